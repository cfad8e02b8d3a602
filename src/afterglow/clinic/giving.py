"""Giving the dose: drug taken, devices or infusion started, held, resumed, finished or stopped with what was given."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime

from afterglow.clinic.acting import Act, Outcome, minutes_between
from afterglow.clinic.dosing import DEVICE_UG, check_second
from afterglow.clinic.factbook import check_facts
from afterglow.clinic.monitoring import escalations
from afterglow.clinic.policy import SitePolicy
from afterglow.clinic.rulebook import Delivery, rule
from afterglow.clinic.ruling import Facts, Verdict, check_open, judge
from afterglow.clinic.session import (
    SESSION,
    DrugUse,
    DrugUseKind,
    InfusionRun,
    TreatmentSession,
    check_policy,
    move,
)
from afterglow.errors import GateClosed, OutOfRange, TooEarly, Unbalanced


def take_drug(session: TreatmentSession, act: Act, *, container_id: str, amount_ug: int) -> Outcome[TreatmentSession]:
    """Drug drawn from a container for this session; the container's own record is `containers.draw`.

    Raises: WrongState, NotPermitted, OutOfRange.
    """
    SESSION.check(session.state, "take_drug", act)
    _check_amount(amount_ug)
    return _use(session, act, DrugUseKind.DRAWN, container_id, amount_ug)


def start_dose(session: TreatmentSession, act: Act, *, policy: SitePolicy) -> Outcome[TreatmentSession]:
    """Start the infusion, or hand over the first device, syringe, film or tablet.

    Raises: WrongState, NotPermitted; SecondPerson without a second check; Unbalanced if less was drawn than prepared
        (devices are drawn one by one); GateClosed after a new escalation.
    """
    SESSION.check(session.state, "start_dose", act)
    check_policy(session, policy)
    prepared = check_second(session.prepared, session.second_check, policy)
    drawn = sum(session.outstanding_ug(each) for each in session.containers)
    wanted = DEVICE_UG if session.delivery is Delivery.ESK else prepared.amount_ug
    if drawn < wanted:
        raise Unbalanced(
            "Less drug is drawn than the dose needs",
            rule="K01",
            observed=f"{drawn} micrograms",
            allowed=f"{wanted} micrograms or more",
            next_step="Draw it and enter it",
        )
    check_no_escalation(session, policy, what="The dose cannot start")
    return move(session, "start_dose", act, runs=(InfusionRun(since=act.at),))


def give_device(
    session: TreatmentSession, act: Act, *, container_id: str, device_facts: Facts, policy: SitePolicy
) -> Outcome[TreatmentSession]:
    """One nasal device, sprayed by the patient under observation.

    Args:
        act: who, when, why.
        container_id: what it comes from.
        policy: in force; of the session where there is one.
        session: as it is.
        device_facts: green dots checked, primed.
    Raises: WrongState, NotPermitted; TooEarly less than 5 minutes after the one before (S021, label); GateClosed if the
        device was not checked or an escalation is open; Unbalanced if it was not drawn or is one too many.
    """
    SESSION.check(session.state, "give_device", act)
    check_policy(session, policy)
    number = len(session.given) + 1
    prepared = check_second(session.prepared, session.second_check, policy)
    if number > prepared.devices:
        raise Unbalanced(
            "All devices of the dose are used", rule="S020", observed=f"{number - 1} of {prepared.devices}"
        )
    facts = {"device.count_matches_dose": True, **device_facts}
    check_facts(facts)
    if session.given:
        since = minutes_between(session.given[-1].at, act.at)
        spacing = judge(rule("S021"), {"session.minutes_since_previous_device": since}, policy)
        if spacing.verdict is Verdict.HIT:
            raise TooEarly(
                f"Device {number} cannot be used yet",
                rule="S021",
                observed=f"{since:.1f} min after the one before",
                allowed="5 min or more",
                next_step="Wait, head back, without blowing the nose",
            )
    device = judge(rule("S020"), facts, policy)
    if device.verdict is not Verdict.CLEAR:
        raise GateClosed(
            f"Device {number} is not ready",
            rule="S020",
            observed=f"{device.values}{'; missing ' + ', '.join(device.settles) if device.settles else ''}",
            allowed="green dots checked, not primed",
            next_step="Check the device; replace it if it was primed",
        )
    check_no_escalation(session, policy, what=f"Device {number} cannot be used")
    return _give(session, act, container_id, DEVICE_UG, event="give_device", device=number)


def hold(session: TreatmentSession, act: Act) -> Outcome[TreatmentSession]:
    """Pause the dose, with a reason: pump paused, or no further device.

    Raises: WrongState, NotPermitted, MissingValue.
    """
    return move(session, "hold", act, runs=_ended(session, act))


def resume(session: TreatmentSession, act: Act, *, policy: SitePolicy) -> Outcome[TreatmentSession]:
    """Go on after a hold; a prescriber decides, after every open escalation is answered.

    Raises: WrongState, NotPermitted, GateClosed.
    """
    SESSION.check(session.state, "resume", act)
    check_policy(session, policy)
    check_no_escalation(session, policy, what="The dose cannot go on")
    return move(session, "resume", act, runs=(*session.runs, InfusionRun(since=act.at)))


def finish_dose(
    session: TreatmentSession, act: Act, *, amounts_ug: tuple[tuple[str, int], ...] = ()
) -> Outcome[TreatmentSession]:
    """The whole dose is given.

    Args:
        act: who, when, why.
        session: as it is.
        amounts_ug: by container; empty for devices, which were counted one by one.
    Raises: WrongState, NotPermitted; Unbalanced unless the amounts add up to the prepared dose.
    """
    SESSION.check(session.state, "finish_dose", act)
    given = _with_amounts(session, act, amounts_ug)
    wanted = 0 if session.prepared is None else session.prepared.amount_ug
    if given.given_ug != wanted:
        raise Unbalanced(
            "The dose is not complete",
            rule="K01",
            observed=f"{given.given_ug} micrograms given",
            allowed=f"{wanted} micrograms",
            next_step="Stop it with a reason if less was given",
        )
    return _end(session, given, act, "finish_dose", complete=True)


def stop(
    session: TreatmentSession, act: Act, *, amounts_ug: tuple[tuple[str, int], ...] = ()
) -> Outcome[TreatmentSession]:
    """End the dose early, with a reason and with the amount given by then; observation goes on.

    Args:
        act: who, when, why.
        session: as it is.
        amounts_ug: by container, given by then; empty if none, and for devices.
    Raises: WrongState, NotPermitted, MissingValue; Unbalanced if more than the dose.
    """
    SESSION.check(session.state, "stop", act)
    given = _with_amounts(session, act, amounts_ug)
    return _end(session, given, act, "stop", complete=False)


def check_no_escalation(session: TreatmentSession, policy: SitePolicy, *, what: str) -> None:
    """Refuse to give drug while an escalation rule that a standing reading met is not answered.

    Raises: GateClosed.
    """
    check_open(escalations(session, policy), session.answers, what=what)


def _check_amount(amount_ug: int) -> None:
    if amount_ug <= 0:
        raise OutOfRange("An amount of drug is positive", observed=f"{amount_ug} micrograms", allowed="1 or more")


def _use(
    session: TreatmentSession, act: Act, kind: DrugUseKind, container_id: str, amount_ug: int, device: int | None = None
) -> Outcome[TreatmentSession]:
    use = DrugUse(kind=kind, container_id=container_id, amount_ug=amount_ug, at=act.at, by=act.by, device=device)
    return Outcome(now=replace(session, drug_uses=(*session.drug_uses, use)), written=(use,))


def _give(
    session: TreatmentSession, act: Act, container_id: str, amount_ug: int, *, event: str, device: int | None = None
) -> Outcome[TreatmentSession]:
    _check_amount(amount_ug)
    _check_drawn(session, container_id, amount_ug)
    step = SESSION.step(session.state, event, act, subject=session.id)
    used = _use(session, act, DrugUseKind.GIVEN, container_id, amount_ug, device)
    return Outcome(now=used.now, written=(step, *used.written))


def _check_drawn(session: TreatmentSession, container_id: str, amount_ug: int) -> None:
    drawn = session.outstanding_ug(container_id)
    if amount_ug > drawn:
        raise Unbalanced(
            "More is given than was drawn",
            rule="K01",
            observed=f"{amount_ug} micrograms of container {container_id}",
            allowed=f"{drawn} micrograms",
            next_step="Enter what was drawn first",
        )


def _with_amounts(session: TreatmentSession, act: Act, amounts_ug: tuple[tuple[str, int], ...]) -> TreatmentSession:
    if amounts_ug and session.delivery is Delivery.ESK:
        raise Unbalanced("Devices are counted one by one", rule="S020", next_step="Enter each device")
    for container_id, amount_ug in amounts_ug:
        _check_amount(amount_ug)
        _check_drawn(session, container_id, amount_ug)
        session = _use(session, act, DrugUseKind.GIVEN, container_id, amount_ug).now
    wanted = 0 if session.prepared is None else session.prepared.amount_ug
    if session.given_ug > wanted:
        raise Unbalanced(
            "More is given than the dose",
            rule="K01",
            observed=f"{session.given_ug} micrograms",
            allowed=f"{wanted} micrograms",
            next_step="Correct the amounts",
        )
    return session


def _end(
    before: TreatmentSession, given: TreatmentSession, act: Act, event: str, *, complete: bool
) -> Outcome[TreatmentSession]:
    new = given.drug_uses[len(before.drug_uses) :]
    return move(given, event, act, also=new, runs=_ended(before, act), dose_ended_at=act.at, complete=complete)


def _ended(session: TreatmentSession, act: Act) -> tuple[InfusionRun, ...]:
    return tuple(run if run.until is not None else replace(run, until=act.at) for run in session.runs)


def ran_minutes(session: TreatmentSession, at: datetime) -> float:
    """Minutes in which drug ran up to a time, holds left out.

    >>> from datetime import UTC, timedelta
    >>> from afterglow.quantities import DrugForm
    >>> start = datetime(2026, 1, 5, 9, tzinfo=UTC)
    >>> session = TreatmentSession(id="s1", patient_id="p1", course_id="c1", delivery=Delivery.IV,
    ...     drug=DrugForm.RACEMIC_KETAMINE, number=1, week=1, planned_at=start,
    ...     runs=(InfusionRun(since=start, until=start + timedelta(minutes=10)),))
    >>> ran_minutes(session, start + timedelta(minutes=30))
    10.0
    """
    return sum(minutes_between(run.since, min(run.until or at, at)) for run in session.runs if run.since <= at)
