"""From booking to the prescriber's go: arrival, screening, the dose as ordered and prepared, answers to rules."""

from __future__ import annotations

from afterglow.clinic.acting import Act, Outcome
from afterglow.clinic.closing import check_reconciled
from afterglow.clinic.dose_rules import is_within_order
from afterglow.clinic.dosing import DoseOrder, PreparedDose, SecondCheck, check_second, sign_second
from afterglow.clinic.factbook import check_facts
from afterglow.clinic.gates import Chart, check_gates
from afterglow.clinic.policy import SitePolicy, check_in_force
from afterglow.clinic.rulebook import rule
from afterglow.clinic.ruling import Decision, Facts, Finding, answer_rule, severity_in
from afterglow.clinic.session import SessionState, TreatmentSession, admit, policy_digest, standing_readings, step
from afterglow.errors import Conflict, GateClosed, OutOfRange, echo

_ASKED = {"rems", "intake", "logistics", "checklist", "cssrs_slc", "arrival", "staff", "equipment"}
_ASKED_TOO = {"meds.sedating_or_pressor_changed", "schedule.returned_to_twice_weekly"}


def arrive(session: TreatmentSession, act: Act, *, policy: SitePolicy) -> Outcome[TreatmentSession]:
    """Check in; the session keeps this policy to its end. Take the policy from `policy_at`.

    Raises: WrongState, NotPermitted; PolicyUnsigned for a draft outside the demo clinic, and before it is in force.

    >>> from datetime import UTC, datetime
    >>> from afterglow.clinic.acting import Role
    >>> from afterglow.clinic.policy import demo_policy
    >>> from afterglow.clinic.rulebook import Delivery
    >>> from afterglow.quantities import DrugForm
    >>> now = datetime(2026, 1, 5, 9, tzinfo=UTC)
    >>> session = TreatmentSession(id="s1", patient_id="p1", course_id="c1", delivery=Delivery.IV,
    ...                            drug=DrugForm.RACEMIC_KETAMINE, number=1, week=1, planned_at=now)
    >>> arrive(session, Act(by="rn1", roles=(Role.NURSE,), at=now), policy=demo_policy()).now.state
    <SessionState.ARRIVED: 'arrived'>
    """
    check_in_force(policy, act)
    digest = policy_digest(policy)
    return step(session, "arrive", act, policy_version=policy.version, policy_digest=digest, arrived_at=act.at)


def screen(session: TreatmentSession, act: Act, *, facts: Facts) -> Outcome[TreatmentSession]:
    """All that is asked at arrival and screening, after the readings; asking again replaces the answers before.

    Raises: WrongState, NotPermitted; UnknownName for a fact no rule asks for; OutOfRange for one that the record
        itself holds; GateClosed without a pressure.

    >>> from afterglow.clinic.examples import injected, nurse, reading, session
    >>> from afterglow.clinic.session import SessionState
    >>> here = session(SessionState.ARRIVED, readings=(reading(0, systolic_mmhg=124, diastolic_mmhg=78),))
    >>> screen(here, nurse(5), facts={"logistics.escort_confirmed": True}).now.state.value
    'screened'
    """
    admit(session, "screen", act)
    _check_asked(facts)
    if not any(each.systolic_mmhg is not None for each in standing_readings(session.readings)):
        raise GateClosed("No pressure is entered", rule="S010", next_step="Enter the pressure before the dose")
    return step(session, "screen", act, gate_facts=tuple(sorted(facts.items())), screened_at=act.at, amended_at=None)


def amend_screening(session: TreatmentSession, act: Act, *, facts: Facts) -> Outcome[TreatmentSession]:
    """Some answers changed or came late (the escort is confirmed now), with a reason; the others keep their age.

    Raises: as `screen`; MissingValue without a reason.

    >>> from afterglow.clinic.examples import nurse, session
    >>> from afterglow.clinic.session import SessionState
    >>> late = nurse(9, reason="escort is here")
    >>> amend_screening(session(SessionState.SCREENED), late, facts={"logistics.escort_confirmed": True}).now.gate_facts
    (('logistics.escort_confirmed', True),)
    """
    admit(session, "amend_screening", act)
    _check_asked(facts)
    known = dict(session.gate_facts) | dict(facts)
    return step(session, "amend_screening", act, gate_facts=tuple(sorted(known.items())), amended_at=act.at)


def order_dose(session: TreatmentSession, order: DoseOrder, act: Act) -> Outcome[TreatmentSession]:
    """The dose as a prescriber orders it, in the prescriber's own act; what was prepared from another order falls.

    Raises: WrongState, NotPermitted; Conflict for another delivery or drug, or an order by somebody else.

    >>> from afterglow.clinic.examples import infusion_of_hours, prescriber, session
    >>> order = infusion_of_hours().order
    >>> order_dose(session(), order, prescriber(-20)).now.order.id
    'o1'
    """
    admit(session, "order_dose", act)
    if (order.delivery, order.drug) != (session.delivery, session.drug):
        raise Conflict(
            "The dose does not belong to this session",
            observed=f"{order.delivery.words}, order {echo(order.id)}",
            allowed=session.delivery.words,
        )
    if (order.ordered_by, order.ordered_at) != (act.by, act.at) or order.second_signature_by is not None:
        raise Conflict(
            "Who orders a dose and when is the act's",
            observed="another login or time, or a signature that was not given here",
            next_step="Take both from the act; countersign in an act of its own",
        )
    return step(session, "order_dose", act, written=(order,), order=order, prepared=None, second_check=None)


def countersign_order(session: TreatmentSession, act: Act) -> Outcome[TreatmentSession]:
    """A second prescriber signs the order (S019); while the dose runs, the new rate that waits.

    Raises: WrongState, NotPermitted, SecondPerson; GateClosed without an order, or without a new rate.

    >>> from afterglow.clinic.examples import infusion_of_hours, prescriber, session
    >>> ordered = order_dose(session(), infusion_of_hours().order, prescriber(-20)).now
    >>> countersign_order(ordered, prescriber(-10, by="dr2")).now.order.second_signature_by
    'dr2'
    """
    admit(session, "countersign_order", act)
    if session.state in {SessionState.DOSING, SessionState.HELD}:
        if session.rate_waiting is None:
            raise GateClosed("No new rate waits for its pump", rule="dose", next_step="Order it")
        change = sign_second(session.rate_waiting, act)
        return step(
            session, "countersign_order", act, written=(change,), rate_changes=(*session.rate_changes[:-1], change)
        )
    if session.order is None:
        raise GateClosed("No dose is ordered", rule="dose", next_step="Order it")
    signed = sign_second(session.order, act)
    return step(session, "countersign_order", act, written=(signed,), order=signed)


def attach_dose(
    session: TreatmentSession, prepared: PreparedDose, check: SecondCheck | None, act: Act, *, policy: SitePolicy
) -> Outcome[TreatmentSession]:
    """The dose as prepared at this visit, with its second check.

    Raises: WrongState (after the go it is taken back first), NotPermitted; Conflict unless it is prepared from the
        session's order, at this visit; SecondPerson, GateClosed for a second check that is missing or of another dose.

    >>> from afterglow.clinic.examples import POLICY, infusion_of_hours, nurse, session
    >>> from afterglow.clinic.session import SessionState
    >>> made = infusion_of_hours()
    >>> here = session(SessionState.ARRIVED, order=made.order)
    >>> attach_dose(here, made.prepared, made.second_check, nurse(-5), policy=POLICY).now.prepared.mg
    48.0
    """
    admit(session, "attach_dose", act, policy=policy)
    order = session.order
    if order is None or prepared.order_id != order.id or not is_within_order(order, prepared):
        raise Conflict(
            "The dose is not prepared from the order of this session",
            observed=f"order {echo(prepared.order_id)}, {prepared.mg:g} mg",
            allowed="none" if order is None else f"order {echo(order.id)} to half a microlitre",
            next_step="Prepare it from the order",
        )
    times = (session.arrived_at, prepared.prepared_at, check.at if check is not None else None, act.at)
    known = [each for each in times if each is not None]
    if known != sorted(known) or prepared.prepared_at < order.ordered_at:
        raise Conflict(
            "The dose was not prepared at this visit",
            observed=f"{prepared.prepared_at:%Y-%m-%d %H:%M} UTC",
            allowed="after arrival and order, then checked",
            next_step="Prepare it now",
        )
    check_second(prepared, check, policy)
    facts = (prepared,) if check is None else (prepared, check)
    return step(session, "attach_dose", act, written=facts, prepared=prepared, second_check=check)


def answer_finding(
    session: TreatmentSession,
    finding: Finding,
    act: Act,
    *,
    decision: Decision,
    policy: SitePolicy,
    cosigner: Act | None = None,
) -> Outcome[TreatmentSession]:
    """A prescriber's answer to a rule that is met in this session, with a reason, for the values it was met with.

    Args:
        session: as it is.
        finding: of `judge_gates`, `escalations`, `judge_monitoring` or `judge_leaving`.
        act: of the prescriber.
        decision: what is done.
        policy: of the session.
        cosigner: the second signer, where the rules ask for one.
    Raises: WrongState, NotPermitted, MissingValue; as `answer_rule`; Conflict for another session's finding.

    >>> from afterglow.clinic.examples import POLICY, injected, nurse, prescriber, reading
    >>> from afterglow.clinic.readings import enter_reading, escalations
    >>> session = enter_reading(injected(), reading(20, spo2_pct=91), nurse(20), policy=POLICY).now
    >>> (found,) = escalations(session, POLICY)
    >>> act = prescriber(22, reason="probe was loose")
    >>> answer_finding(session, found, act, decision=Decision.PROCEED, policy=POLICY).now.answers[0].rule
    'S044'
    """
    admit(session, "answer_finding", act, policy=policy)
    of = rule(finding.rule)
    judged = (finding.delivery, finding.policy_version) == (session.delivery, policy.version)
    judged = judged and finding.severity is severity_in(of, policy)
    if not judged or session.delivery not in of.applies_to:
        raise Conflict("The rule was not judged in this session", observed=f"{of.id}, policy {finding.policy_version}")
    answer = answer_rule(
        finding, act, patient_id=session.patient_id, decision=decision, policy=policy, cosigner=cosigner
    )
    return step(session, "answer_finding", act, written=(answer,), answers=(*session.answers, answer))


def go(session: TreatmentSession, act: Act, *, chart: Chart, policy: SitePolicy) -> Outcome[TreatmentSession]:
    """The prescriber's go: every gate is known, every hit answered, the patient still a candidate, consented, covered.

    Args:
        session: as it is.
        act: who, when, why.
        chart: of the patient.
        policy: of the session.
    Raises: WrongState, NotPermitted; as `check_gates`.

    >>> from afterglow.clinic.examples import POLICY, chart, prescriber, session
    >>> from afterglow.clinic.session import SessionState
    >>> go(session(SessionState.SCREENED), prescriber(5), chart=chart(), policy=POLICY)
    Traceback (most recent call last):
    ...
    afterglow.errors.GateClosed: Candidacy was not assessed at this visit; ...
    """
    admit(session, "go", act, policy=policy)
    found = check_gates(session, act, chart=chart, policy=policy)
    check_second(session.prepared, session.second_check, policy)
    return step(session, "go", act, written=found, go_at=act.at)


def back_to_screen(session: TreatmentSession, act: Act) -> Outcome[TreatmentSession]:
    """Take back the go, because something changed before the dose.

    Raises: WrongState, NotPermitted, MissingValue.

    >>> from afterglow.clinic.examples import nurse, session
    >>> from afterglow.clinic.session import SessionState
    >>> back_to_screen(session(SessionState.CLEARED), nurse(9, reason="feels unwell")).now.state.value
    'screened'
    """
    return step(session, "back_to_screen", act, go_at=None)


def cancel(session: TreatmentSession, act: Act, *, event: str = "cancel") -> Outcome[TreatmentSession]:
    """End a session before any dose: `cancel`, `miss` or `no_go`, each with a reason.

    Raises: WrongState, NotPermitted, MissingValue; Unbalanced while drug is out; OutOfRange for another event.

    >>> from afterglow.clinic.examples import nurse, session
    >>> cancel(session(), nurse(reason="bus strike")).now.state.value
    'cancelled'
    """
    if event not in {"cancel", "miss", "no_go"}:
        raise OutOfRange("This does not cancel a session", observed=echo(event), allowed="cancel, miss, no_go")
    admit(session, event, act)
    check_reconciled(session)
    return step(session, event, act)


def undo_miss(session: TreatmentSession, act: Act) -> Outcome[TreatmentSession]:
    """A session that was marked missed and was not, with a reason: it is booked again.

    Raises: WrongState, NotPermitted, MissingValue.

    >>> from afterglow.clinic.examples import nurse, session
    >>> missed = cancel(session(), nurse(30, reason="not here"), event="miss").now
    >>> undo_miss(missed, nurse(35, reason="sat in the wrong room")).now.state.value
    'booked'
    """
    return step(session, "undo_miss", act)


def _check_asked(facts: Facts) -> None:
    for name in facts:
        if name.partition(".")[0] not in _ASKED and name not in _ASKED_TOO:
            raise OutOfRange(
                "This is not asked at screening",
                observed=echo(name),
                allowed=", ".join(sorted(_ASKED | _ASKED_TOO)),
                next_step="Enter it where it belongs: readings, dose, weight, chart",
            )
    check_facts(facts)
