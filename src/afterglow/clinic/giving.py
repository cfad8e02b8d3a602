"""Giving the dose: drug taken, devices or infusion started, held and resumed; `ending` finishes or stops it.

The gates are judged again at the start and at the first device. After that the body answers to the drug, so the
escalation rules take over, and what must stand throughout (course, consent, second check) is asked at each step.
"""

from __future__ import annotations

import math
from dataclasses import replace
from datetime import datetime, timedelta

from afterglow.clinic.acting import Act, Outcome, minutes_between
from afterglow.clinic.closing import form_due_at
from afterglow.clinic.containers import Container, draw
from afterglow.clinic.dosing import DEVICE_UG, PreparedDose, check_second
from afterglow.clinic.factbook import check_facts
from afterglow.clinic.gates import Chart, check_fresh, check_gates, check_treated
from afterglow.clinic.policy import SitePolicy
from afterglow.clinic.readings import check_no_escalation
from afterglow.clinic.rulebook import Delivery, rule
from afterglow.clinic.ruling import Facts, Verdict, judge
from afterglow.clinic.session import DrugUse, DrugUseKind, InfusionRun, TreatmentSession, admit, step
from afterglow.clinic.thresholds import comparisons
from afterglow.errors import Conflict, GateClosed, TooEarly, Unbalanced
from afterglow.quantities import format_mg


def take_drug(
    session: TreatmentSession, container: Container, act: Act, *, amount_ug: int
) -> Outcome[tuple[TreatmentSession, Container]]:
    """Drug drawn from a container for this session, in both books at once.

    Args:
        session: as it is.
        container: of the drug and strength of the prepared dose; a nasal device is one container.
        act: who, when, why.
        amount_ug: free base; a device is taken whole.
    Returns: session and container as they are then, with the facts of both.
    Raises: WrongState, NotPermitted; Conflict for another drug or strength than the prepared one; as `draw`.

    >>> from afterglow.clinic.examples import infusion_of_hours, nurse, vial
    >>> session, box = take_drug(infusion_of_hours(), vial(), nurse(90), amount_ug=50_000).now
    >>> session.outstanding_ug("v1"), box.balance_ug
    (150000, 450000)
    """
    admit(session, "take_drug", act)
    _check_matches(session, container, amount_ug)
    drawn = draw(container, act, amount_ug=amount_ug, session_id=session.id)
    use = _use(act, DrugUseKind.DRAWN, container.id, amount_ug)
    done = step(session, "take_drug", act, written=(use, *drawn.written), drug_uses=(*session.drug_uses, use))
    return Outcome(now=(done.now, drawn.now), written=done.written)


def start_dose(session: TreatmentSession, act: Act, *, chart: Chart, policy: SitePolicy) -> Outcome[TreatmentSession]:
    """Start the infusion, or hand over the first device, syringe, film or tablet; every gate is judged again now.

    Raises: WrongState, NotPermitted; as `check_gates`; GateClosed for a go that is too old; SecondPerson without a
        second check, or when the second checker gives; Unbalanced if less was drawn than prepared (devices are drawn
        one by one).

    >>> from afterglow.clinic.examples import POLICY, chart, infusion_of_hours, nurse
    >>> from afterglow.clinic.session import SessionState
    >>> ready = replace(infusion_of_hours(), state=SessionState.CLEARED, runs=(), go_at=None)
    >>> start_dose(ready, nurse(5), chart=chart(), policy=POLICY)
    Traceback (most recent call last):
    ...
    afterglow.errors.GateClosed: The go is too old; found none; ...
    """
    admit(session, "start_dose", act, policy=policy)
    prepared = _check_before_drug(session, act, chart, policy)
    drawn = sum(session.outstanding_ug(each) for each in session.containers)
    wanted = DEVICE_UG if session.delivery is Delivery.ESK else prepared.amount_ug
    if drawn < wanted:
        raise Unbalanced(
            "Less drug is drawn than the dose needs",
            rule="K01",
            observed=format_mg(drawn),
            allowed=f"{format_mg(wanted)} or more",
            next_step="Draw it and enter it",
        )
    return step(session, "start_dose", act, runs=(InfusionRun(since=act.at),))


def give_device(
    session: TreatmentSession, act: Act, *, container_id: str, device_facts: Facts, chart: Chart, policy: SitePolicy
) -> Outcome[TreatmentSession]:
    """One nasal device, sprayed by the patient under observation.

    Args:
        act: who, when, why.
        container_id: what it comes from; each device is a container of its own.
        policy: in force; of the session where there is one.
        session: as it is.
        chart: of the patient.
        device_facts: green dots checked, primed.
    Raises: WrongState, NotPermitted; TooEarly less than 5 minutes after the one before (S021, label); GateClosed if the
        device was not checked or an escalation is open, and for the first device as `start_dose`; Unbalanced if it was
        not drawn or is one too many; SecondPerson when the second checker gives.

    >>> from afterglow.clinic.examples import POLICY, chart, infusion_of_hours, nurse
    >>> give_device(infusion_of_hours(), nurse(5), container_id="v1", device_facts={}, chart=chart(), policy=POLICY)
    Traceback (most recent call last):
    ...
    afterglow.errors.GateClosed: ...
    """
    admit(session, "give_device", act, policy=policy)
    number = len(session.given) + 1
    before = _check_before_drug if number == 1 else _check_during
    prepared = before(session, act, chart, policy)
    if number > prepared.devices:
        raise Unbalanced(
            "All devices of the dose are used", rule="S020", observed=f"{number - 1} of {prepared.devices}"
        )
    _check_spacing(session, act, policy, number)
    _check_device(device_facts, policy, number)
    check_drawn(session, container_id, DEVICE_UG)
    use = _use(act, DrugUseKind.GIVEN, container_id, DEVICE_UG, device=number)
    uses = (*session.drug_uses, use)
    due_at = form_due_at(replace(session, drug_uses=uses))
    return step(session, "give_device", act, written=(use,), drug_uses=uses, rems_due_at=due_at)


def next_device_at(session: TreatmentSession) -> datetime | None:
    """From when the next nasal device may be used (S021, label); None before the first and after the last.

    >>> from afterglow.quantities import DrugForm
    >>> from datetime import UTC
    >>> session = TreatmentSession(id="s1", patient_id="p1", course_id="c1", delivery=Delivery.ESK, number=1, week=1,
    ...     drug=DrugForm.ESKETAMINE, planned_at=datetime(2026, 1, 5, 9, tzinfo=UTC))
    >>> next_device_at(session) is None
    True
    """
    prepared = session.prepared
    if session.delivery is not Delivery.ESK or prepared is None or not 0 < len(session.given) < prepared.devices:
        return None
    (limit,) = comparisons(rule("S021").when)
    return session.given[-1].at + timedelta(minutes=float(str(limit.value)))


def hold(session: TreatmentSession, act: Act) -> Outcome[TreatmentSession]:
    """Pause the dose, with a reason: pump paused, or no further device.

    Raises: WrongState, NotPermitted, MissingValue.

    >>> from afterglow.clinic.examples import infusion_of_hours, nurse
    >>> hold(infusion_of_hours(), nurse(20, reason="vomiting")).now.state.value
    'held'
    """
    return step(session, "hold", act, runs=runs_until(session, act.at))


def resume(session: TreatmentSession, act: Act, *, chart: Chart, policy: SitePolicy) -> Outcome[TreatmentSession]:
    """Go on after a hold; a prescriber decides, after every open escalation is answered and while consent stands.

    Raises: WrongState, NotPermitted, GateClosed.

    >>> from afterglow.clinic.examples import POLICY, chart, infusion_of_hours, nurse, prescriber
    >>> held = hold(infusion_of_hours(), nurse(20, reason="vomiting")).now
    >>> resume(held, prescriber(30), chart=chart(), policy=POLICY).now.state.value
    'dosing'
    """
    admit(session, "resume", act, policy=policy)
    check_treated(session, chart, act, policy)
    check_second(session.prepared, session.second_check, policy)
    check_no_escalation(session, policy, what="The dose cannot go on")
    return step(session, "resume", act, runs=(*session.runs, InfusionRun(since=act.at)))


def _check_before_drug(session: TreatmentSession, act: Act, chart: Chart, policy: SitePolicy) -> PreparedDose:
    """Before any drug is in the body: go not too old, second check by another, every gate as it stands now."""
    check_fresh(session.go_at, act, policy, what="The go")
    prepared = _check_checker(session, act, policy)
    check_gates(session, act, chart=chart, policy=policy)
    return prepared


def _check_during(session: TreatmentSession, act: Act, chart: Chart, policy: SitePolicy) -> PreparedDose:
    prepared = _check_checker(session, act, policy)
    check_treated(session, chart, act, policy)
    check_no_escalation(session, policy, what="No further device")
    return prepared


def _check_checker(session: TreatmentSession, act: Act, policy: SitePolicy) -> PreparedDose:
    prepared = check_second(session.prepared, session.second_check, policy)
    if session.second_check is not None:
        act.check_other_than(session.second_check.by, what="Giving what one checked")
    return prepared


def _check_matches(session: TreatmentSession, container: Container, amount_ug: int) -> None:
    prepared = session.prepared
    wanted = (session.drug, None if prepared is None else prepared.concentration_ug_per_ul)
    if prepared is None or (container.drug, container.concentration_ug_per_ul) != wanted:
        raise Conflict(
            "The container is not what the dose was prepared for",
            observed=_strength(container.drug, container.concentration_ug_per_ul),
            allowed=_strength(*wanted),
            next_step="Take the right container, or prepare the dose again from this one",
        )
    whole_device = amount_ug == container.received_ug == DEVICE_UG
    if session.delivery is Delivery.ESK and not whole_device:
        raise Unbalanced(
            "A nasal device is taken whole",
            rule="S020",
            observed=f"{format_mg(amount_ug)} of a container of {format_mg(container.received_ug)}",
            allowed=f"{format_mg(DEVICE_UG)}, one device",
            next_step="Take devices one by one",
        )


def _strength(drug: str, concentration_ug_per_ul: int | None) -> str:
    strength = "no liquid" if concentration_ug_per_ul is None else f"{concentration_ug_per_ul} mg/mL"
    return f"{drug.replace('_', ' ')}, {strength}"


def _check_spacing(session: TreatmentSession, act: Act, policy: SitePolicy, number: int) -> None:
    if not session.given:
        return
    since = minutes_between(session.given[-1].at, act.at)
    spacing = judge(rule("S021"), {"session.minutes_since_previous_device": since}, policy)
    if spacing.verdict is Verdict.HIT:
        raise TooEarly(
            f"Device {number} cannot be used yet",
            rule="S021",
            observed=f"{floor_minutes(since):g} min after the one before",
            allowed="5 min or more",
            next_step="Wait, head back, without blowing the nose",
        )


def _check_device(device_facts: Facts, policy: SitePolicy, number: int) -> None:
    facts = {**device_facts, "device.count_matches_dose": True}
    check_facts(facts)
    device = judge(rule("S020"), facts, policy)
    if device.verdict is not Verdict.CLEAR:
        raise GateClosed(
            f"Device {number} is not ready",
            rule="S020",
            observed=f"{device.values}{'; missing ' + ', '.join(device.settles) if device.settles else ''}",
            allowed="green dots checked, not primed",
            next_step="Check the device; replace it if it was primed",
        )


def floor_minutes(minutes: float) -> float:
    """Minutes to a tenth, rounded down: what is refused as too short never reads as long enough.

    >>> floor_minutes(35.99)
    35.9
    """
    return math.floor(10 * minutes) / 10


def _use(act: Act, kind: DrugUseKind, container_id: str, amount_ug: int, device: int | None = None) -> DrugUse:
    return DrugUse(kind=kind, container_id=container_id, amount_ug=amount_ug, at=act.at, by=act.by, device=device)


def check_drawn(session: TreatmentSession, container_id: str, amount_ug: int) -> None:
    """Refuse to give more of a container than this session drew and has left, micrograms.

    Raises: Unbalanced.

    >>> from afterglow.clinic.examples import infusion_of_hours
    >>> check_drawn(infusion_of_hours(), "v1", 48_000)
    """
    drawn = session.outstanding_ug(container_id)
    if amount_ug > drawn:
        raise Unbalanced(
            "More is given than was drawn",
            rule="K01",
            observed=f"{format_mg(amount_ug)} of container {container_id}",
            allowed=format_mg(drawn),
            next_step="Enter what was drawn first",
        )


def runs_until(session: TreatmentSession, at: datetime) -> tuple[InfusionRun, ...]:
    """The stretches in which drug ran, the last ended at a time.

    >>> from afterglow.clinic.examples import at, infusion_of_hours
    >>> runs_until(infusion_of_hours(), at(60))[-1].until == at(60)
    True
    """
    return tuple(run if run.until is not None else replace(run, until=at) for run in session.runs)


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
