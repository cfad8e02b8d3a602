"""Courses: from inquiry to stop. Candidacy, consent, plan, safety plan, authorisation, reviews, and each move."""

from __future__ import annotations

from datetime import date
from typing import TypedDict

from afterglow.clinic import (
    COURSE,
    Authorisation,
    BenefitReview,
    BodyWeight,
    Candidacy,
    Consent,
    ConsentMethod,
    CourseState,
    Decision,
    Delivery,
    DoseOrder,
    Indication,
    LabelStatus,
    Outcome,
    Plan,
    PlannedDose,
    ReviewDecision,
    ReviewKind,
    Role,
    RuleAnswer,
    SitePolicy,
    StopReason,
    TreatmentCourse,
    TreatmentSession,
    WithdrawalMethod,
    add_authorisation,
    answer_rule,
    assess_candidacy,
    give_consent,
    has_consent,
    judge_planned,
    judge_resistance,
    label_status,
    make_safety_plan,
    move_course,
    record_review,
    sessions_in_induction,
    set_plan,
    withdraw_consent,
)
from afterglow.errors import Conflict, GateClosed, NotFound, echo
from afterglow.predicates import Fact, Truth
from afterglow.quantities import DrugForm
from afterglow.store.records import new_id
from afterglow.usecases.desk import roles_of, use_case, view
from afterglow.usecases.measures import Measured
from afterglow.usecases.patients import TrialHistory, known_facts_of
from afterglow.usecases.policies import consent_version
from afterglow.usecases.work import CARE, Actor, Loaded, Work, Written

_OFFICE = (Role.COORDINATOR, Role.PRESCRIBER, Role.NURSE)
_TOTALS = ("phq9", "madrs", "hamd17", "qids_sr16", "audit_c", "dast10")


@use_case("courses.open", roles=_OFFICE)
def open_course(work: Work, patient_id: str, *, delivery: Delivery, drug: DrugForm, indication: Indication) -> Written:
    """A new course, as an inquiry.

    Raises: Conflict where a course of this indication and delivery is open for the patient already.
    """
    return open_new(work, patient_id, delivery=delivery, drug=drug, indication=indication)


def open_new(work: Work, patient_id: str, *, delivery: Delivery, drug: DrugForm, indication: Indication) -> Written:
    """As `open_course`, within another use case."""
    for each in work.every(TreatmentCourse, patient_id=patient_id):
        other = each.now
        if other.state is not CourseState.STOPPED and (other.indication, other.delivery) == (indication, delivery):
            raise Conflict(
                "A course of this indication and delivery is open already",
                observed=f"{each.id}, {other.state.value}",
                allowed="one open course of an indication and delivery",
                next_step="Go on with that course, or stop it first",
            )
    course = TreatmentCourse(
        id=new_id(),
        patient_id=patient_id,
        delivery=delivery,
        drug=drug,
        indication=indication,
        opened_at=work.now,
    )
    return work.add(course, id=course.id, patient_id=patient_id, state=course.state)


@view("courses.read", roles=(*CARE, Role.COORDINATOR))
def read_course(work: Work, course_id: str) -> Loaded[TreatmentCourse]:
    """A course, with the version that a change needs."""
    return work.load(TreatmentCourse, course_id)


@view("courses.candidacy", roles=CARE)
def read_candidacy(work: Work, course_id: str) -> Candidacy:
    """Every rule of candidacy judged on what the record knows now: hits, unknowns, answers, what stands in the way."""
    return candidacy_of(work, work.load(TreatmentCourse, course_id).now)


@view("courses.label", roles=CARE)
def read_label(work: Work, course_id: str) -> LabelStatus:
    """Whether this drug for this indication and patient is on label here, derived and stated."""
    return label_of(work, work.load(TreatmentCourse, course_id).now)


@use_case("courses.answer", roles=(Role.PRESCRIBER,), signs=True)
def answer_candidacy(
    work: Work, course_id: str, rule_id: str, *, decision: Decision, reason: str, cosigner: Actor | None = None
) -> Written:
    """A prescriber's answer to a rule of candidacy that is met, for the values it is met with.

    Raises: NotFound for a rule that is not judged here; NotOverridable, SecondPerson, MissingValue.
    """
    course = work.load(TreatmentCourse, course_id).now
    finding = next((each for each in candidacy_of(work, course).findings if each.rule == rule_id), None)
    if finding is None:
        raise NotFound("No rule of candidacy has this id here", observed=echo(rule_id))
    answer = answer_rule(
        finding,
        work.act(reason),
        patient_id=course.patient_id,
        decision=decision,
        policy=work.policy(),
        cosigner=work.act_of(cosigner, reason),
    )
    work.about(rule=rule_id, decision=decision.value)
    return Written(id=work.write(answer, patient_id=course.patient_id, subject=course_id))


@use_case("courses.accept", roles=roles_of(COURSE, "accept"))
def accept(work: Work, course_id: str, *, emergency: bool | None, version: int) -> Written:
    """Take an inquiry into candidacy; an emergency goes another way first.

    Raises: GateClosed, WrongState, Conflict.
    """
    return move(work, course_id, "accept", version=version, emergency=emergency)


@use_case("courses.find_suitable", roles=roles_of(COURSE, "find_suitable"), signs=True)
def find_suitable(work: Work, course_id: str, *, version: int) -> Written:
    """The prescriber finds the patient suitable: every gate is known, every hit answered, work-up done.

    Raises: GateClosed naming what stands in the way; WrongState, Conflict.
    """
    course = work.load(TreatmentCourse, course_id).now
    return move(work, course_id, "find_suitable", version=version, candidacy=candidacy_of(work, course))


@use_case("courses.take_consent", roles=(Role.PRESCRIBER, Role.NURSE, Role.MEDICAL_DIRECTOR))
def take_consent(
    work: Work,
    course_id: str,
    *,
    method: ConsentMethod,
    off_label_stated: bool,
    given_by: str,
    version: int,
) -> Written:
    """A consent as given now, on the form in use.

    Raises: GateClosed where no form is in use or it does not fit the plan; Conflict.
    """
    loaded = work.load(TreatmentCourse, course_id, version=version)
    form = consent_version(work, loaded.now.delivery)
    if not form:
        raise GateClosed(
            "No consent form is in use for this delivery",
            rule="C062",
            observed="none published",
            next_step="The medical director publishes one",
        )
    consent = Consent(
        version=form,
        delivery=loaded.now.delivery,
        method=method,
        off_label_stated=off_label_stated,
        given_by=given_by,
        taken_by=work.actor.person_id,
        at=work.now,
    )
    return _keep(work, loaded, give_consent(loaded.now, consent, work.act()))


@use_case("courses.withdraw_consent", roles=(Role.COORDINATOR, *CARE))
def take_back_consent(work: Work, course_id: str, *, withdrawn_by: str, how: WithdrawalMethod, version: int) -> Written:
    """Consent is taken back, by whom and how; earlier ones count no more.

    Raises: NotFound, MissingValue, Conflict.
    """
    loaded = work.load(TreatmentCourse, course_id, version=version)
    return _keep(work, loaded, withdraw_consent(loaded.now, work.act(), withdrawn_by=withdrawn_by, how=how))


@use_case("courses.set_plan", roles=(Role.PRESCRIBER,), signs=True)
def plan(
    work: Work,
    course_id: str,
    *,
    endpoint: str,
    induction_sessions: int,
    interval_days: float,
    dose_mg: float | None = None,
    dose_mg_per_kg: float | None = None,
    infusion_min: float | None = None,
    weight_kg: float | None = None,
    version: int,
) -> Written:
    """The plan, signed; whether it is on label is derived and stated, not typed. A dose in it is no order.

    Raises: MissingValue; OutOfRange for a dose beyond its guardrails or another number that cannot be meant; Conflict.
    """
    loaded = work.load(TreatmentCourse, course_id, version=version)
    made = Plan(
        endpoint=endpoint,
        induction_sessions=induction_sessions,
        interval_days=interval_days,
        dose_mg=dose_mg,
        dose_mg_per_kg=dose_mg_per_kg,
        infusion_min=infusion_min,
        weight_kg=weight_kg,
        by=work.actor.person_id,
        at=work.now,
    )
    judge_plan(work, loaded.now, made)
    known = _label_facts(work, loaded.now)
    return _keep(work, loaded, set_plan(loaded.now, made, work.act(), policy=work.policy_or_defaults(), **known))


def judge_plan(work: Work, course: TreatmentCourse, plan: Plan) -> PlannedDose | None:
    """The dose of a plan beside its limits; None where the plan names none.

    Raises: OutOfRange, MissingValue for a dose that could not be ordered.
    """
    weight = None if plan.weight_kg is None else BodyWeight(kg=plan.weight_kg, measured_at=plan.at)
    if plan.dose_mg is None and plan.dose_mg_per_kg is None:
        return None
    order = DoseOrder(
        id="plan",
        delivery=course.delivery,
        drug=course.drug,
        indication=course.indication,
        dose_mg=plan.dose_mg,
        dose_mg_per_kg=plan.dose_mg_per_kg,
        infusion_min=plan.infusion_min,
        ordered_by=plan.by,
        ordered_at=plan.at,
    )
    age = _label_facts(work, course)["age_years"]
    return judge_planned(order, weight=weight, age_years=age, policy=work.policy_or_defaults())


@use_case("courses.make_safety_plan", roles=(Role.PRESCRIBER, Role.NURSE, Role.MEDICAL_DIRECTOR, Role.THERAPIST))
def safety_plan(work: Work, course_id: str, *, version: int) -> Written:
    """A safety plan made or renewed with the patient.

    Raises: Conflict.
    """
    loaded = work.load(TreatmentCourse, course_id, version=version)
    return _keep(work, loaded, make_safety_plan(loaded.now, work.act()))


@use_case("courses.authorise", roles=_OFFICE)
def authorise(
    work: Work,
    course_id: str,
    *,
    payer: str,
    units: int | None,
    starts_on: date,
    ends_on: date | None = None,
    self_pay: bool = False,
    version: int,
) -> Written:
    """Cover as granted by a payer, or self-pay as agreed.

    Raises: MissingValue, WrongOrder, Conflict.
    """
    loaded = work.load(TreatmentCourse, course_id, version=version)
    made = Authorisation(id=new_id(), payer=payer, units=units, starts_on=starts_on, ends_on=ends_on, self_pay=self_pay)
    return _keep(work, loaded, add_authorisation(loaded.now, made, work.act()))


@use_case("courses.review", roles=(Role.PRESCRIBER,), signs=True)
def review(
    work: Work, course_id: str, *, kind: ReviewKind, decision: ReviewDecision, reason: str, version: int
) -> Written:
    """A review of benefit, in writing.

    Raises: MissingValue, WrongState, TooEarly, Conflict.
    """
    loaded = work.load(TreatmentCourse, course_id, version=version)
    made = BenefitReview(kind=kind, decision=decision, by=work.actor.person_id, at=work.now, reason=reason)
    sessions = (each.now for each in work.every(TreatmentSession, patient_id=loaded.now.patient_id))
    given = sessions_in_induction(loaded.now, sessions)
    outcome = record_review(loaded.now, made, work.act(), sessions_given=given, policy=work.policy_or_defaults())
    return _keep(work, loaded, outcome)


@use_case("courses.await_cover", roles=roles_of(COURSE, "await_cover"))
def await_cover(work: Work, course_id: str, *, version: int) -> Written:
    """Plan, consent and safety plan are there: cover is awaited.

    Raises: GateClosed, WrongState, Conflict.
    """
    return move(work, course_id, "await_cover", version=version)


@use_case("courses.start", roles=roles_of(COURSE, "start"), signs=True)
def start(work: Work, course_id: str, *, version: int) -> Written:
    """Start treatment: consent stands and a unit is left, or self-pay is agreed.

    Raises: GateClosed, WrongState, Conflict.
    """
    return move(work, course_id, "start", version=version)


@use_case("courses.maintain", roles=roles_of(COURSE, "maintain"), signs=True)
def maintain(work: Work, course_id: str, *, version: int) -> Written:
    """Go on into maintenance after a benefit review that says so.

    Raises: GateClosed, WrongState, Conflict.
    """
    return move(work, course_id, "maintain", version=version)


@use_case("courses.pause", roles=roles_of(COURSE, "pause"))
def pause(work: Work, course_id: str, *, reason: str, version: int) -> Written:
    """Pause treatment.

    Raises: MissingValue, WrongState, Conflict.
    """
    return move(work, course_id, "pause", version=version, reason=reason)


@use_case("courses.resume", roles=roles_of(COURSE, "resume"))
def resume(work: Work, course_id: str, *, version: int) -> Written:
    """Go on after a pause.

    Raises: GateClosed, WrongState, Conflict.
    """
    return move(work, course_id, "resume", version=version)


@use_case("courses.relapse", roles=roles_of(COURSE, "relapse"))
def relapse(work: Work, course_id: str, *, reason: str, version: int) -> Written:
    """A relapse, as the prescriber judges it.

    Raises: MissingValue, WrongState, Conflict.
    """
    return move(work, course_id, "relapse", version=version, reason=reason)


@use_case("courses.induce_again", roles=roles_of(COURSE, "induce_again"), signs=True)
def induce_again(work: Work, course_id: str, *, version: int) -> Written:
    """A new induction after a relapse, with candidacy assessed again.

    Raises: GateClosed, WrongState, Conflict.
    """
    course = work.load(TreatmentCourse, course_id).now
    return move(work, course_id, "induce_again", version=version, candidacy=candidacy_of(work, course))


@use_case("courses.recover", roles=roles_of(COURSE, "recover"))
def recover(work: Work, course_id: str, *, reason: str, version: int) -> Written:
    """Back to maintenance without a new induction.

    Raises: MissingValue, WrongState, Conflict.
    """
    return move(work, course_id, "recover", version=version, reason=reason)


@use_case("courses.stop", roles=roles_of(COURSE, "stop"))
def stop(work: Work, course_id: str, *, why: StopReason, reason: str | None = None, version: int) -> Written:
    """End a course, for a coded reason.

    Raises: WrongState, Conflict.
    """
    return move(work, course_id, "stop", version=version, reason=reason, stop_reason=why)


def candidacy_of(
    work: Work, course: TreatmentCourse, *, policy: SitePolicy | None = None, over: dict[str, Fact | None] | None = None
) -> Candidacy:
    """Candidacy as the record knows it now; `over` holds what the session at hand read last."""
    policy = policy or work.policy()
    facts = known_facts_of(work, course.patient_id, policy=policy) | _scores(work, course.patient_id)
    facts |= {
        "consent.current": has_consent(course, work.now, version=consent_version(work, course.delivery), policy=policy),
        "plan.indication": course.indication.value,
        "plan.route": course.delivery.value,
        "plan.endpoint_defined": course.plan is not None,
    }
    facts |= over or {}
    return assess_candidacy(
        facts,
        patient_id=course.patient_id,
        delivery=course.delivery,
        policy=policy,
        at=work.now,
        answers=_answers(work, course),
    )


def _answers(work: Work, course: TreatmentCourse) -> tuple[RuleAnswer, ...]:
    found = work.standing(RuleAnswer, patient_id=course.patient_id, subject=course.id)
    return tuple(each.fact for each in found)


def _scores(work: Work, patient_id: str) -> dict[str, Fact | None]:
    """The newest total of each scale that rules ask about."""
    found: dict[str, Fact | None] = {}
    for each in work.standing(Measured, patient_id=patient_id):
        if each.fact.instrument in _TOTALS and each.fact.total is not None:
            found[f"{each.fact.instrument}.total"] = each.fact.total
    return found


def label_of(work: Work, course: TreatmentCourse) -> LabelStatus:
    """Whether a course is on label, as far as the record tells."""
    return label_status(
        delivery=course.delivery,
        indication=course.indication,
        policy=work.policy_or_defaults(),
        **_label_facts(work, course),
    )


class _LabelFacts(TypedDict):
    age_years: float | None
    resistant: Truth
    on_ssri_or_snri: Truth


def _label_facts(work: Work, course: TreatmentCourse) -> _LabelFacts:
    """What a label asks of a patient, as the record knows it."""
    policy = work.policy_or_defaults()
    known = known_facts_of(work, course.patient_id, policy=policy)
    history = work.find(TrialHistory, course.patient_id)
    age, ssri = known.get("age"), known.get("tx.on_ssri_or_snri")
    return {
        "age_years": float(age) if isinstance(age, int | float) else None,
        "resistant": None if history is None else judge_resistance(history.now.trials, policy).meets,
        "on_ssri_or_snri": ssri if isinstance(ssri, bool) else None,
    }


def move(
    work: Work,
    course_id: str,
    event: str,
    *,
    version: int,
    reason: str | None = None,
    candidacy: Candidacy | None = None,
    emergency: bool | None = None,
    stop_reason: StopReason | None = None,
) -> Written:
    """One row of the course's table, within a use case.

    Raises: as `move_course`; Conflict.
    """
    loaded = work.load(TreatmentCourse, course_id, version=version)
    outcome = move_course(
        loaded.now,
        event,
        work.act(reason),
        policy=work.policy(),
        consent_version=consent_version(work, loaded.now.delivery),
        candidacy=candidacy,
        emergency=emergency,
        stop_reason=stop_reason,
    )
    return _keep(work, loaded, outcome)


def _keep(work: Work, loaded: Loaded[TreatmentCourse], outcome: Outcome[TreatmentCourse]) -> Written:
    return work.keep(loaded, outcome, state=outcome.now.state)
