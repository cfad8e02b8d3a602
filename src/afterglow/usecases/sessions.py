"""Sessions: from arrival to close, one use case per act in the room; the rules of care decide, the record tells.

What the gates look at (course, candidacy, medicines, other sessions) is loaded here and never taken from the caller.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields, replace
from datetime import datetime

from afterglow.clinic import (
    SESSION,
    BodyWeight,
    Candidacy,
    Chart,
    Clocks,
    Decision,
    DoseOrder,
    Finding,
    LeaveCheck,
    MedicineList,
    Outcome,
    PreparedDose,
    RateStep,
    SitePolicy,
    TreatmentCourse,
    TreatmentSession,
    Verdict,
    amend_screening,
    answer_finding,
    answer_rule,
    arrive,
    attach_dose,
    back_to_screen,
    cancel,
    check_dose,
    clocks,
    countersign_order,
    escalations,
    go,
    judge_gates,
    judge_leaving,
    judge_monitoring,
    judge_rate,
    latest_facts,
    order_dose,
    prepare_dose,
    screen,
)
from afterglow.clinic.session import admit
from afterglow.errors import GateClosed, NotFound, echo
from afterglow.predicates import Fact
from afterglow.records import unknown_name
from afterglow.store.records import new_id
from afterglow.usecases.courses import candidacy_of
from afterglow.usecases.desk import roles_of, use_case, view
from afterglow.usecases.diary import arrived, released, vacated
from afterglow.usecases.patients import age_of
from afterglow.usecases.policies import consent_version
from afterglow.usecases.work import CARE, Actor, Loaded, Work, Written

_VITALS = ("systolic", "diastolic")
_CHECKED = tuple(
    each.name for each in fields(LeaveCheck) if each.name not in {"session_id", "checked_at", "by", "aldrete", "padss"}
)


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionPage:
    """A session as the room sees it.

    Args:
        version: what a change needs; policy: the one that it runs under.
        gates: what stands before the dose; escalations, monitoring: what stands now.
        rate: what stands before the new rate that waits.
    """

    session: TreatmentSession
    version: int
    policy_version: int
    clocks: Clocks
    gates: tuple[Finding, ...]
    escalations: tuple[Finding, ...]
    monitoring: tuple[Finding, ...]
    rate: tuple[Finding, ...] = ()


@use_case("sessions.arrive", roles=roles_of(SESSION, "arrive"))
def check_in(work: Work, session_id: str) -> Written:
    """The patient is here; the session keeps the policy in force to its end.

    Raises: WrongState, PolicyUnsigned.
    """
    loaded = work.load(TreatmentSession, session_id)
    arrived(work, session_id)
    return keep_session(work, loaded, arrive(loaded.now, work.act(), policy=work.policy()))


@use_case("sessions.screen", roles=roles_of(SESSION, "screen"))
def screening(work: Work, session_id: str, facts: Mapping[str, Fact | None]) -> Written:
    """All that is asked at arrival and screening; asking again replaces the answers before.

    Raises: WrongState; UnknownName, OutOfRange for a fact that is not asked here; GateClosed without a pressure.
    """
    loaded = work.load(TreatmentSession, session_id)
    return keep_session(work, loaded, screen(loaded.now, work.act(), facts=facts))


@use_case("sessions.amend_screening", roles=roles_of(SESSION, "amend_screening"))
def amend(work: Work, session_id: str, facts: Mapping[str, Fact | None], *, reason: str) -> Written:
    """Some answers changed or came late.

    Raises: as `screening`; MissingValue without a reason.
    """
    loaded = work.load(TreatmentSession, session_id)
    return keep_session(work, loaded, amend_screening(loaded.now, work.act(reason), facts=facts))


@use_case("sessions.order", roles=roles_of(SESSION, "order_dose"), signs=True)
def order(
    work: Work,
    session_id: str,
    *,
    dose_mg: float | None = None,
    dose_mg_per_kg: float | None = None,
    steps: tuple[RateStep, ...] = (),
    infusion_min: float | None = None,
) -> Written:
    """The dose as a prescriber orders it and signs for it.

    Raises: WrongState; MissingValue, OutOfRange for what cannot be given.
    """
    loaded = work.load(TreatmentSession, session_id)
    course = work.load(TreatmentCourse, loaded.now.course_id).now
    made = DoseOrder(
        id=new_id(),
        delivery=loaded.now.delivery,
        drug=loaded.now.drug,
        indication=course.indication,
        dose_mg=dose_mg,
        dose_mg_per_kg=dose_mg_per_kg,
        steps=steps,
        infusion_min=infusion_min,
        ordered_by=work.actor.person_id,
        ordered_at=work.now,
    )
    return keep_session(work, loaded, order_dose(loaded.now, made, work.act()))


@use_case("sessions.countersign", roles=roles_of(SESSION, "countersign_order"), signs=True)
def countersign(work: Work, session_id: str) -> Written:
    """A second prescriber signs the order.

    Raises: WrongState, SecondPerson, GateClosed.
    """
    loaded = work.load(TreatmentSession, session_id)
    return keep_session(work, loaded, countersign_order(loaded.now, work.act()))


@use_case("sessions.prepare", roles=roles_of(SESSION, "attach_dose"))
def prepare(
    work: Work,
    session_id: str,
    *,
    weight_kg: float | None = None,
    weighed_at: datetime | None = None,
    concentration_mg_per_ml: int | None = None,
    diluted: bool = False,
) -> Written:
    """Amount and volume from order, weight and vial; the session has it once a second person computed the same.

    Raises: GateClosed without an order; MissingValue, OutOfRange.
    """
    loaded = work.load(TreatmentSession, session_id)
    if loaded.now.order is None:
        raise GateClosed("No dose is ordered", rule="dose", next_step="The prescriber orders it")
    policy = policy_of(work, loaded.now)
    weight = None if weight_kg is None else BodyWeight(kg=weight_kg, measured_at=weighed_at or work.now)
    made = prepare_dose(
        loaded.now.order,
        work.act(),
        policy=policy,
        weight=weight,
        concentration_mg_per_ml=concentration_mg_per_ml,
        diluted=diluted,
    )
    waiting = work.find(PreparedDose, session_id)
    if not policy.flag("dosing.second_check_all"):
        return keep_session(work, loaded, attach_dose(loaded.now, made, None, work.act(), policy=policy))
    if waiting is None:
        return work.add(made, id=session_id, patient_id=loaded.patient_id, state="prepared")
    return work.change(waiting, made, state="prepared")


@use_case("sessions.second_check", roles=roles_of(SESSION, "attach_dose"), signs=True)
def second_check(
    work: Work,
    session_id: str,
    *,
    amount_ug: int,
    volume_ul: int | None = None,
    concentration_ug_per_ul: int | None = None,
) -> Written:
    """A second person's own computation, compared with what was prepared; then the session has its dose.

    Raises: NotFound where nothing is prepared; SecondPerson; GateClosed where the two differ.
    """
    loaded, prepared = work.load(TreatmentSession, session_id), work.load(PreparedDose, session_id)
    policy = policy_of(work, loaded.now)
    checked = check_dose(
        prepared.now,
        work.act(),
        policy=policy,
        amount_ug=amount_ug,
        volume_ul=volume_ul,
        concentration_ug_per_ul=concentration_ug_per_ul,
    )
    work.change(prepared, prepared.now, state="checked")
    return keep_session(work, loaded, attach_dose(loaded.now, prepared.now, checked, work.act(), policy=policy))


@use_case("sessions.answer", roles=roles_of(SESSION, "answer_finding"), signs=True)
def answer(
    work: Work,
    session_id: str,
    rule_id: str,
    *,
    decision: Decision,
    reason: str,
    leaving: Mapping[str, bool | None] | None = None,
    cosigner: Actor | None = None,
    also: Iterable[str] = (),
) -> Written:
    """A prescriber's answer to a rule that is met in this session or cannot be judged, for the values as they are.

    `also` are other rules that the same values meet: one decision, an answer to each, all or none.

    A rule of candidacy that this visit's readings meet is answered here too; the answer is the course's.
    `leaving` is the leave check as far as it was done, for a rule of leaving.

    Raises: NotFound for a rule that does not ask now; NotOverridable, SecondPerson, MissingValue.
    """
    loaded = work.load(TreatmentSession, session_id)
    policy = policy_of(work, loaded.now)
    rules = tuple(dict.fromkeys((rule_id, *also)))
    by, cosigned = work.act(reason), work.act_of(cosigner, reason)
    outcome: Outcome[TreatmentSession] | None = None
    kept = ""
    for each in rules:
        now = loaded.now if outcome is None else outcome.now
        course = _of_candidacy(work, now, policy, each)
        if course is None:
            finding = _finding(work, now, policy, each, leaving)
            made = answer_finding(now, finding, by, decision=decision, policy=policy, cosigner=cosigned)
            outcome = made if outcome is None else replace(made, written=(*outcome.written, *made.written))
            continue
        admit(now, "answer_finding", by)
        answered = answer_rule(
            course, by, patient_id=now.patient_id, decision=decision, policy=policy, cosigner=cosigned
        )
        kept = work.write(answered, patient_id=now.patient_id, subject=now.course_id)
    work.about(rule=", ".join(rules), decision=decision.value)
    return Written(id=kept) if outcome is None else keep_session(work, loaded, outcome)


@use_case("sessions.go", roles=roles_of(SESSION, "go"), signs=True)
def say_go(work: Work, session_id: str, *, version: int) -> Written:
    """The prescriber's go: every gate is known, every hit answered, the patient still a candidate, consented, covered.

    Raises: GateClosed naming what stands in the way; WrongState; Conflict if the session changed since it was read.
    """
    loaded = work.load(TreatmentSession, session_id, version=version)
    policy = policy_of(work, loaded.now)
    return keep_session(
        work, loaded, go(loaded.now, work.act(), chart=chart_of(work, loaded.now, policy), policy=policy)
    )


@use_case("sessions.back_to_screen", roles=roles_of(SESSION, "back_to_screen"))
def take_back_go(work: Work, session_id: str, *, reason: str) -> Written:
    """Take back the go, because something changed before the dose.

    Raises: WrongState, MissingValue.
    """
    loaded = work.load(TreatmentSession, session_id)
    return keep_session(work, loaded, back_to_screen(loaded.now, work.act(reason)))


@use_case("sessions.no_go", roles=roles_of(SESSION, "no_go"), signs=True)
def say_no_go(work: Work, session_id: str, *, reason: str) -> Written:
    """No dose today; the chair is free.

    Raises: WrongState, MissingValue; Unbalanced while drug is out.
    """
    loaded = work.load(TreatmentSession, session_id)
    outcome = cancel(loaded.now, work.act(reason), event="no_go")
    vacated(work, session_id)
    return keep_session(work, loaded, outcome)


@use_case("sessions.cancel", roles=roles_of(SESSION, "cancel"))
def call_off(work: Work, session_id: str, *, reason: str) -> Written:
    """End a session before any dose.

    Raises: WrongState, MissingValue; Unbalanced while drug is out.
    """
    loaded = work.load(TreatmentSession, session_id)
    released(work, session_id, work.act(reason))
    vacated(work, session_id)
    return keep_session(work, loaded, cancel(loaded.now, work.act(reason)))


@view("sessions.read", roles=CARE, in_room=True)
def read_session(work: Work, session_id: str) -> SessionPage:
    """A session with its clocks and what stands open; readable in the room when the audit trail cannot be written."""
    loaded = work.load(TreatmentSession, session_id)
    session = loaded.now
    policy = work.policy_or_defaults() if session.policy_version is None else policy_of(work, session)
    monitored = judge_monitoring(session, work.now, policy=policy) if session.runs else ()
    before = session.order is not None and not session.runs and session.policy_version is not None
    chart = chart_of(work, session, policy) if before or session.rate_waiting is not None else None
    gates = judge_gates(session, work.now, chart=chart, policy=policy) if before and chart is not None else ()
    rate = () if chart is None else judge_rate(session, work.now, chart=chart, policy=policy)
    return SessionPage(
        session=session,
        version=loaded.version,
        policy_version=policy.version,
        clocks=clocks(session, work.now, policy=policy),
        gates=tuple(each for each in gates if each.verdict is not Verdict.CLEAR),
        escalations=escalations(session, policy),
        monitoring=tuple(each for each in monitored if each.asks or each.verdict is Verdict.HIT),
        rate=tuple(each for each in rate if each.verdict is not Verdict.CLEAR),
    )


def chart_of(work: Work, session: TreatmentSession, policy: SitePolicy) -> Chart:
    """What the record holds of a session's patient now, for the gates."""
    course = work.load(TreatmentCourse, session.course_id).now
    medicines = work.find(MedicineList, session.patient_id)
    others = work.every(TreatmentSession, patient_id=session.patient_id)
    age = age_of(work, session.patient_id)
    return Chart(
        course=course,
        candidacy=_candidacy(work, session, course, policy),
        medicines=MedicineList() if medicines is None else medicines.now,
        sessions=tuple(e.now for e in others if e.now.course_id == course.id and e.id != session.id),
        age_years=None if age is None else float(age),
        consent_version=consent_version(work, course.delivery),
    )


def _candidacy(work: Work, session: TreatmentSession, course: TreatmentCourse, policy: SitePolicy) -> Candidacy:
    """Candidacy with what was read and weighed at this visit."""
    seen = latest_facts(session, policy, since=session.arrived_at)
    over: dict[str, Fact | None] = {name: value for name, value in seen.items() if name.startswith("vitals.")}
    over |= {f"vitals.{name}": seen[f"bp.{name}"] for name in _VITALS if seen.get(f"bp.{name}") is not None}
    if over:
        over["workup.w02.age_days"] = 0
    weight = None if session.prepared is None else session.prepared.weight
    if weight is not None:
        over["workup.w03.age_days"] = (work.now - weight.measured_at).days
    return candidacy_of(work, course, policy=policy, over=over)


def policy_of(work: Work, session: TreatmentSession) -> SitePolicy:
    """The policy that a session runs under.

    Raises: PolicyUnsigned, NotFound.
    """
    return work.policy_of(session.policy_version)


def keep_session(
    work: Work, loaded: Loaded[TreatmentSession], outcome: Outcome[TreatmentSession], *, also: tuple[str, ...] = ()
) -> Written:
    """The session as it is now, with the facts of its act."""
    now = outcome.now
    due_at = now.rems_due_at if now.left_at is not None else now.planned_at
    written = work.keep(loaded, outcome, state=now.state, due_at=due_at)
    return Written(id=written.id, version=written.version, state=written.state, also=also)


def leave_check(
    work: Work,
    session: TreatmentSession,
    checked: Mapping[str, bool | None],
    *,
    aldrete: tuple[int, ...] | None = None,
    padss: tuple[int, ...] | None = None,
) -> LeaveCheck:
    """What who lets the patient go has checked.

    Raises: UnknownName for a point that nobody checks; OutOfRange for parts that do not fit their scale.
    """
    for name in checked:
        if name not in _CHECKED:
            raise unknown_name("The leave check has no such point", name, _CHECKED)
    return LeaveCheck(
        session_id=session.id,
        checked_at=work.now,
        by=work.actor.person_id,
        aldrete=aldrete,
        padss=padss,
        **checked,
    )


def _of_candidacy(work: Work, session: TreatmentSession, policy: SitePolicy, rule_id: str) -> Finding | None:
    """A rule of candidacy as this visit meets it; None for a rule of the session itself."""
    if rule_id.startswith("S"):
        return None
    findings = chart_of(work, session, policy).candidacy.findings
    return next((e for e in findings if e.rule == rule_id and (e.asks or e.verdict is Verdict.HIT)), None)


def _finding(
    work: Work,
    session: TreatmentSession,
    policy: SitePolicy,
    rule_id: str,
    leaving: Mapping[str, bool | None] | None,
) -> Finding:
    """A rule as it asks now, wherever it stands."""
    found: list[Finding] = [*escalations(session, policy)]
    if session.runs:
        found += judge_monitoring(session, work.now, policy=policy)
    if session.order is not None:
        chart = chart_of(work, session, policy)
        found += judge_rate(session, work.now, chart=chart, policy=policy)
        found += judge_gates(session, work.now, chart=chart, policy=policy)
    if leaving is not None:
        check = leave_check(work, session, leaving)
        found += judge_leaving(session, check, work.now, policy=policy)
    for each in found:
        if each.rule == rule_id and (each.asks or each.verdict is Verdict.HIT):
            return each
    raise NotFound("No rule with this id asks for an answer in this session now", observed=echo(rule_id))
