"""Titration of an infusion that runs: a new rate ordered and signed, then set at the pump and checked by another."""

from __future__ import annotations

from afterglow.clinic import SESSION, RateStep, TreatmentSession, order_rate, set_rate
from afterglow.store.records import new_id
from afterglow.usecases.desk import roles_of, use_case
from afterglow.usecases.sessions import chart_of, keep_session, policy_of
from afterglow.usecases.work import Actor, Work, Written


@use_case("sessions.order_rate", roles=roles_of(SESSION, "order_rate"), signs=True)
def order_new_rate(work: Work, session_id: str, steps: tuple[RateStep, ...], *, reason: str, version: int) -> Written:
    """A prescriber orders new rates for an infusion that runs or is held; the session goes on.

    Raises: GateClosed, OutOfRange, MissingValue, WrongState; Conflict if the session changed since it was looked at.
    """
    loaded = work.load(TreatmentSession, session_id, version=version)
    policy, change_id = policy_of(work, loaded.now), new_id()
    outcome = order_rate(loaded.now, work.act(reason), change_id=change_id, steps=steps, policy=policy)
    return keep_session(work, loaded, outcome, also=(change_id,))


@use_case("sessions.set_rate", roles=roles_of(SESSION, "set_rate"))
def set_new_rate(
    work: Work, session_id: str, *, second: Actor | None, mg_per_h: float, rest_ug: int, version: int
) -> Written:
    """The pump is set to the new rate; a second person signs for rate and rest as they computed them.

    Raises: GateClosed, SecondPerson, SignAgain, Unbalanced, WrongState; Conflict if the session changed since it was
        looked at.
    """
    loaded = work.load(TreatmentSession, session_id, version=version)
    policy = policy_of(work, loaded.now)
    outcome = set_rate(
        loaded.now,
        work.act(),
        second=work.act_of(second),
        mg_per_h=mg_per_h,
        rest_ug=rest_ug,
        chart=chart_of(work, loaded.now, policy),
        policy=policy,
    )
    return keep_session(work, loaded, outcome)
