"""The end of a dose, finished or stopped: what was given is stated, what differs from the order is kept."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from afterglow.clinic.acting import Act, Outcome
from afterglow.clinic.containers import check_amount
from afterglow.clinic.dosing import RateStep
from afterglow.clinic.giving import check_drawn, floor_minutes, ran_minutes, runs_until
from afterglow.clinic.monitoring import is_infusion
from afterglow.clinic.policy import SitePolicy
from afterglow.clinic.rulebook import Delivery
from afterglow.clinic.session import DoseGap, DrugUse, DrugUseKind, TreatmentSession, admit, step
from afterglow.clinic.titration import rates_of
from afterglow.errors import MissingValue, TooEarly, Unbalanced
from afterglow.quantities import HOURS_PER_MINUTE, format_mg

_UG_PER_MG = 1000


def finish_dose(
    session: TreatmentSession, act: Act, *, policy: SitePolicy, amounts_ug: tuple[tuple[str, int], ...] = ()
) -> Outcome[TreatmentSession]:
    """The whole dose is given, an infusion over its time.

    Args:
        act: who, when; why, where the run of an infusion differs from its order.
        session: as it is.
        policy: of the session.
        amounts_ug: by container; empty for devices, which were counted one by one.
    Raises: WrongState, NotPermitted; Unbalanced unless the amounts add up to the prepared dose; TooEarly for an
        infusion that ran shorter than planned, holds left out; MissingValue without a reason where it ran longer, where
        rate and run time say another amount, or where a new rate was ordered and not set, which ends with the dose.

    >>> from afterglow.clinic.examples import POLICY, infusion_of_hours, nurse
    >>> finish_dose(infusion_of_hours(), nurse(240), policy=POLICY, amounts_ug=(("v1", 48_000),)).now.complete
    True
    """
    admit(session, "finish_dose", act, policy=policy)
    _check_ran(session, act, policy)
    given = _with_amounts(session, act, amounts_ug)
    wanted = 0 if session.prepared is None else session.prepared.amount_ug
    if given.given_ug != wanted:
        raise Unbalanced(
            "The dose is not complete",
            rule="K01",
            observed=f"{format_mg(given.given_ug)} given",
            allowed=format_mg(wanted),
            next_step="Stop it with a reason if less was given",
        )
    return _end(session, given, act, policy, "finish_dose", complete=True)


def stop(
    session: TreatmentSession, act: Act, *, policy: SitePolicy, amounts_ug: tuple[tuple[str, int], ...] = ()
) -> Outcome[TreatmentSession]:
    """End the dose early, with a reason and with the amount given by then; observation goes on.

    Args:
        act: who, when, why.
        session: as it is.
        policy: of the session.
        amounts_ug: given by then, from each container that drug was drawn from; 0 is said too. Empty for devices.
    Raises: WrongState, NotPermitted; MissingValue without a reason or an amount; Unbalanced if more than the dose.

    >>> from afterglow.clinic.examples import POLICY, infusion_of_hours, nurse
    >>> act = nurse(60, reason="asked to end")
    >>> stopped = stop(infusion_of_hours(), act, policy=POLICY, amounts_ug=(("v1", 12_000),)).now
    >>> stopped.state.value, stopped.complete, stopped.given_ug
    ('observing', False, 12000)
    """
    admit(session, "stop", act, policy=policy)
    given = _with_amounts(session, act, amounts_ug)
    _check_stated(session, amounts_ug)
    return _end(session, given, act, policy, "stop", complete=False)


def _check_ran(session: TreatmentSession, act: Act, policy: SitePolicy) -> None:
    if session.prepared is None or not is_infusion(session):
        return
    least, ran = session.prepared.minutes * (1 - _tolerance(policy)), ran_minutes(session, act.at)
    if ran < least:
        raise TooEarly(
            "The infusion ran shorter than planned",
            rule="S022",
            observed=f"{floor_minutes(ran):g} min",
            allowed=f"{least:g} of {session.prepared.minutes:g} min or more",
            next_step="Let it run; stop it with a reason if it ended early",
        )


def _check_stated(session: TreatmentSession, amounts_ug: tuple[tuple[str, int], ...]) -> None:
    if session.delivery is Delivery.ESK:
        return  # counted one by one
    stated = {container_id for container_id, _ in amounts_ug}
    silent = [each for each in session.containers if session.outstanding_ug(each) and each not in stated]
    if silent:
        raise MissingValue(
            "What was given by now is not stated",
            observed=f"no amount of container {', '.join(silent)}",
            allowed="an amount of each container that drug was drawn from, 0 too",
            next_step="Read the pump or the syringe and state it",
            about="amounts_ug",
        )


def _with_amounts(session: TreatmentSession, act: Act, amounts_ug: tuple[tuple[str, int], ...]) -> TreatmentSession:
    if amounts_ug and session.delivery is Delivery.ESK:
        raise Unbalanced("Devices are counted one by one", rule="S020", next_step="Enter each device")
    for container_id, amount_ug in amounts_ug:
        if amount_ug == 0:
            continue  # said aloud: nothing of it was given
        check_amount(amount_ug)
        check_drawn(session, container_id, amount_ug)
        use = DrugUse(kind=DrugUseKind.GIVEN, container_id=container_id, amount_ug=amount_ug, at=act.at, by=act.by)
        session = replace(session, drug_uses=(*session.drug_uses, use))
    wanted = 0 if session.prepared is None else session.prepared.amount_ug
    if session.given_ug > wanted:
        raise Unbalanced(
            "More is given than the dose",
            rule="K01",
            observed=format_mg(session.given_ug),
            allowed=format_mg(wanted),
            next_step="Correct the amounts",
        )
    return session


def _end(
    before: TreatmentSession, given: TreatmentSession, act: Act, policy: SitePolicy, event: str, *, complete: bool
) -> Outcome[TreatmentSession]:
    new = given.drug_uses[len(before.drug_uses) :]
    gap = _gap(before, given.given_ug, act, policy)
    return step(
        given,
        event,
        act,
        written=(*new, *(() if gap is None else (gap,))),
        runs=runs_until(before, act.at),
        rate_changes=tuple(each for each in before.rate_changes if each.set_at is not None),
        dose_ended_at=act.at,
        complete=complete,
        gap=gap,
    )


def _gap(session: TreatmentSession, given_ug: int, act: Act, policy: SitePolicy) -> DoseGap | None:
    """What differs from the order by more than the tolerance, with the reason for it; None if nothing does."""
    order, prepared = session.order, session.prepared
    if order is None or prepared is None or not is_infusion(session):
        return None
    ran, waiting = ran_minutes(session, act.at), session.rate_waiting
    expected_ug = _run_ug(rates_of(order, prepared), ran * HOURS_PER_MINUTE)
    rounding = prepared.concentration_ug_per_ul or 1  # what is drawn is whole microlitres
    off = abs(given_ug - expected_ug) > _tolerance(policy) * prepared.amount_ug + rounding
    late = ran > prepared.minutes * (1 + _tolerance(policy))
    if not (off or late or waiting is not None):
        return None
    gap = DoseGap(
        given_ug=given_ug,
        expected_ug=expected_ug,
        ran_min=ran,
        planned_min=prepared.minutes,
        unset_rate=None if waiting is None else waiting.id,
        reason=act.reason or "",
        by=act.by,
        at=act.at,
    )
    if not gap.reason.strip():
        raise MissingValue(
            "The dose ends otherwise than it was ordered, and nobody says why",
            observed=gap.words,
            allowed=f"within {100 * _tolerance(policy):g} % of amount and length, and no new rate that waits",
            next_step="Correct the amount, set the new rate, or say why in a few words",
            about="reason",
        )
    return gap


def _run_ug(rates: Iterable[RateStep], hours: float) -> int:
    """Micrograms that rates give in so many hours of drug; nothing once they are over."""
    total, left = 0.0, hours
    for each in rates:
        total += each.mg_per_h * max(0.0, min(each.hours, left))
        left -= each.hours
    return round(total * _UG_PER_MG)


def _tolerance(policy: SitePolicy) -> float:
    return policy.number("session.infusion_early_pct") / 100.0
