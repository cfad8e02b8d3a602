"""Moves of a course, its plan, safety plan and benefit reviews: what may be done, and what must stand before it."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from math import ceil, isfinite

from afterglow.clinic.acting import CLINICAL, Act, Outcome, Role, days_between
from afterglow.clinic.candidacy import Candidacy, check_candidate
from afterglow.clinic.consent import check_consent, check_cover
from afterglow.clinic.course import (
    COURSE,
    DOSING,
    REVIEWED_IN,
    BenefitReview,
    CourseState,
    Plan,
    ReviewDecision,
    ReviewKind,
    SafetyPlan,
    StopReason,
    TreatmentCourse,
    benefit_reviewed_at,
    check_open_course,
    check_signed,
    reviews_of,
)
from afterglow.clinic.policy import SitePolicy, check_in_force
from afterglow.clinic.resistance import label_status
from afterglow.clinic.rulebook import rule
from afterglow.clinic.ruling import judge
from afterglow.clinic.typed import as_word, check_utc
from afterglow.errors import Conflict, GateClosed, MissingValue, TooEarly, WrongState
from afterglow.predicates import Fact, Truth


def move_course(
    course: TreatmentCourse,
    event: str,
    act: Act,
    *,
    policy: SitePolicy,
    consent_version: str = "",
    candidacy: Candidacy | None = None,
    emergency: bool | None = None,
    stop_reason: StopReason | None = None,
) -> Outcome[TreatmentCourse]:
    """One row of the course's table.

    Args:
        course: as it is.
        event: a name of the table.
        act: who, when, why.
        policy: in force now.
        consent_version: the clinic's current consent form, for what needs a current consent.
        candidacy: for `find_suitable` and `induce_again`.
        emergency: for `accept`: whether the inquiry is an emergency; None is "not asked".
        stop_reason: for `stop`.
    Raises: WrongState, NotPermitted, MissingValue; WrongOrder for a time before the last move; PolicyUnsigned but for
        accepting, pausing and stopping; GateClosed naming what is missing.

    >>> from afterglow.clinic.examples import POLICY, course, nurse
    >>> move_course(course(), "pause", nurse(5, reason="travels"), policy=POLICY).now.state.value
    'paused'
    """
    row = COURSE.check(course.state, event, act)
    if stop_reason is not None:
        stop_reason = as_word(StopReason, stop_reason, what="The reason to stop")
    _check_time(course, act, what="A move of a course")
    if event not in {"accept", "pause", "stop"}:
        check_in_force(policy, act)
    changes: dict[str, object] = {"moved_at": act.at}
    if event == "accept":
        _check_no_emergency(emergency)
    elif event in {"find_suitable", "induce_again"}:
        _check_candidacy(course, candidacy, act, policy)
    elif event == "await_cover":
        _check_prepared(course, act)
    elif event in {"maintain", "recover"}:
        _check_benefit(course, act)
    elif event == "stop":
        if stop_reason is None:
            raise MissingValue("A course stops for a coded reason", allowed=", ".join(StopReason))
        if stop_reason is StopReason.OTHER:
            act.check_reason(what="Another reason to stop")
        changes["stop_reason"] = stop_reason
    if event in {"await_cover", "start", "resume", "induce_again"}:
        check_consent(course, act.at, version=consent_version, policy=policy)
    if event in {"start", "induce_again"}:
        check_cover(course, act.at.date())
        changes["induced_at"] = act.at
    if event == "pause":
        changes["paused_from"] = course.state
    step = COURSE.step(course.state, event, act, subject=course.id)
    after = (course.paused_from or course.state) if row.back else CourseState(row.to or course.state)
    if event != "pause":
        changes["paused_from"] = None
    now = replace(course, state=after, **changes)  # type: ignore[arg-type]
    return Outcome(now=now, written=(replace(step, after=after.value),))


def set_plan(
    course: TreatmentCourse,
    plan: Plan,
    act: Act,
    *,
    age_years: float | None,
    resistant: Truth,
    on_ssri_or_snri: Truth,
    policy: SitePolicy,
) -> Outcome[TreatmentCourse]:
    """The plan, made or changed by a prescriber; whether it is on label is derived here, from the label's rules.

    Args:
        course: as it is.
        plan: what is planned; what it says of the label is what is derived, or nothing.
        act: who and when; the plan says the same.
        age_years: None where unknown.
        resistant: whether the depression is resistant, as `judge_resistance` finds it.
        on_ssri_or_snri: whether one is taken.
        policy: in force; its region's labels count.
    Raises: NotPermitted; Conflict for another label status, person or time.

    >>> from afterglow.clinic.examples import POLICY, course, prescriber
    >>> act = prescriber(5)
    >>> plan = Plan(endpoint="PHQ-9 halved", induction_sessions=6, interval_days=3.5, by=act.by, at=act.at)
    >>> made = set_plan(course(), plan, act, age_years=44, resistant=True, on_ssri_or_snri=True, policy=POLICY).now
    >>> made.plan.on_label
    False
    """
    act.check_role(Role.PRESCRIBER, what="A plan")
    check_open_course(course, what="A plan")
    check_signed(plan.by, plan.at, act, what="A plan")
    label = label_status(
        delivery=course.delivery,
        indication=course.indication,
        age_years=age_years,
        resistant=resistant,
        on_ssri_or_snri=on_ssri_or_snri,
        policy=policy,
    )
    if plan.label_statement and (plan.on_label, plan.label_statement) != (label.on_label, label.statement):
        raise Conflict(
            "Whether a plan is on label is derived, not entered",
            observed=plan.label_statement,
            allowed=label.statement,
            next_step="Take it from the label's rules",
        )
    made = replace(plan, on_label=label.on_label, label_statement=label.statement)
    return Outcome(now=replace(course, plan=made), written=(made,))


def make_safety_plan(course: TreatmentCourse, act: Act) -> Outcome[TreatmentCourse]:
    """A safety plan made with the patient.

    Raises: NotPermitted; WrongState once the course has stopped; WrongOrder for a time before the course got to
        where it is.

    >>> from afterglow.clinic.examples import course, nurse
    >>> len(make_safety_plan(course(), nurse(5)).now.safety_plans)
    1
    """
    act.check_role(*CLINICAL, Role.THERAPIST, what="A safety plan")
    check_open_course(course, what="A safety plan")
    _check_dated(course, act, what="A safety plan")
    made = SafetyPlan(by=act.by, at=act.at)
    return Outcome(now=replace(course, safety_plans=(*course.safety_plans, made)), written=(made,))


def record_review(
    course: TreatmentCourse, review: BenefitReview, act: Act, *, sessions_given: int, policy: SitePolicy
) -> Outcome[TreatmentCourse]:
    """A benefit review by a prescriber, in writing.

    Args:
        course: under treatment.
        review: its person and time are the act's.
        act: who and when.
        sessions_given: in this induction; benefit cannot be judged before a few.
        policy: in force now.
    Raises: NotPermitted; WrongState for a kind that has no place there; TooEarly for the end of an induction that has
        hardly begun; Conflict for another person or time; MissingValue without a reason.

    >>> from afterglow.clinic.examples import POLICY, course, prescriber
    >>> act = prescriber(5)
    >>> kind, decision = ReviewKind.END_OF_INDUCTION, ReviewDecision.CONTINUE
    >>> review = BenefitReview(kind=kind, decision=decision, by=act.by, at=act.at, reason="PHQ-9 halved")
    >>> len(record_review(course(), review, act, sessions_given=6, policy=POLICY).now.reviews)
    1
    """
    act.check_role(Role.PRESCRIBER, what="A benefit review")
    check_signed(review.by, review.at, act, what="A benefit review")
    _check_dated(course, act, what="A benefit review")
    if not review.reason.strip():
        raise MissingValue("A review says why", about="reason")
    places = REVIEWED_IN[review.kind]
    if course.state not in places:
        raise WrongState(
            f"A review of kind {review.kind.replace('_', ' ')} has no place here",
            rule="S077",
            observed=course.state,
            allowed=", ".join(places),
        )
    fewest = policy.number("course.early_check_after_sessions")
    goes_on = review.kind is ReviewKind.END_OF_INDUCTION and review.decision is not ReviewDecision.STOP
    for each in course.reviews:
        act.check_after(each.at, what="A benefit review")
    if goes_on and not sessions_given >= fewest:
        raise TooEarly(
            "The end of induction is not reviewed yet",
            rule="S077",
            observed=f"{sessions_given} sessions in this induction",
            allowed=f"from {fewest:g} sessions on",
            next_step="Go on with the induction, or stop the course",
        )
    return Outcome(now=replace(course, reviews=(*course.reviews, review)), written=(review,))


def reviews_due(
    course: TreatmentCourse,
    at: datetime,
    *,
    sessions_given: int,
    improvement_pct: float | None,
    policy: SitePolicy,
) -> tuple[ReviewKind, ...]:
    """Reviews that are due: early non-response, the end of induction, every 6 months in maintenance.

    Args:
        course: as it is.
        at: now.
        sessions_given: in this induction.
        improvement_pct: of the main scale since before treatment; None is unknown and asks for a review too.
        policy: in force now.

    >>> from afterglow.clinic.examples import POLICY, at, course
    >>> [each.value for each in reviews_due(course(), at(0), sessions_given=4, improvement_pct=10, policy=POLICY)]
    ['early_non_response']
    """
    check_utc(at, what="The time of a check")
    since = course.induced_at
    if since is None or course.state not in DOSING:
        return ()
    held = {each.kind for each in reviews_of(course, at)}
    due = []
    early_after = policy.number("course.early_check_after_sessions")
    known = improvement_pct is not None and isfinite(improvement_pct)
    poor = not known or (improvement_pct or 0.0) < policy.number("course.early_improvement_pct")
    inducing = course.state is not CourseState.MAINTENANCE
    if inducing and sessions_given >= early_after and poor and ReviewKind.EARLY_NON_RESPONSE not in held:
        due.append(ReviewKind.EARLY_NON_RESPONSE)
    planned = course.plan is not None and sessions_given >= course.plan.induction_sessions
    if inducing and planned and ReviewKind.END_OF_INDUCTION not in held:
        due.append(ReviewKind.END_OF_INDUCTION)
    if not inducing and days_between(benefit_reviewed_at(course, at) or since, at) > policy.number("S074.review_days"):
        due.append(ReviewKind.PERIODIC)
    return tuple(due)


def after_missed_session(
    *, missed: int, week: int, depression_worse: bool | None, policy: SitePolicy
) -> tuple[str, ...]:
    """What the label proposes after missed esketamine sessions (S073); a prescriber decides.

    Nothing is proposed from week 5 on while it is unknown whether the depression is worse.

    >>> from afterglow.clinic.policy import demo_policy
    >>> after_missed_session(missed=1, week=3, depression_worse=None, policy=demo_policy())
    ('continue the current dosing schedule',)
    """
    facts: dict[str, Fact | None] = {
        "schedule.missed_sessions": missed,
        "schedule.treatment_week": week,
        "symptoms.depression_worse": depression_worse,
    }
    return judge(rule("S073"), facts, policy).proposals


def _check_no_emergency(emergency: Truth) -> None:
    if emergency is not False:
        raise GateClosed(
            "The inquiry cannot be accepted",
            rule="emergency",
            observed="an emergency" if emergency else "emergency not asked",
            allowed="asked, and none",
            next_step="Emergency path first: same-day clinician or emergency services" if emergency else "Ask",
        )


def _check_candidacy(course: TreatmentCourse, candidacy: Candidacy | None, act: Act, policy: SitePolicy) -> None:
    if candidacy is None or (candidacy.patient_id, candidacy.delivery) != (course.patient_id, course.delivery):
        raise GateClosed(
            "Candidacy was not assessed for this patient and delivery", rule="candidacy", next_step="Assess it"
        )
    age_days, limit = days_between(candidacy.assessed_at, act.at), policy.number("course.candidacy_valid_days")
    if not 0 <= age_days <= limit or candidacy.policy_version != policy.version:
        raise GateClosed(
            "Candidacy is not of now",
            rule="candidacy",
            observed=f"{ceil(age_days)} days old, policy version {candidacy.policy_version}",
            allowed=f"up to {limit:g} days, policy version {policy.version}",
            next_step="Assess it again",
        )
    check_candidate(candidacy)


def _check_time(course: TreatmentCourse, act: Act, *, what: str) -> None:
    if course.moved_at is not None:
        act.check_after(course.moved_at, what=what)


def _check_dated(course: TreatmentCourse, act: Act, *, what: str) -> None:
    """What is recorded of a course is not dated before it was opened, induced or moved to where it is."""
    for earlier in (course.opened_at, course.induced_at, course.moved_at):
        if earlier is not None:
            act.check_after(earlier, what=what)


def _check_prepared(course: TreatmentCourse, act: Act) -> None:
    if course.plan is None or course.plan.at > act.at:
        raise GateClosed("The course has no plan", rule="C064", next_step="Set endpoint and number of sessions")
    if not any(each.at <= act.at for each in course.safety_plans):
        raise GateClosed("The course has no safety plan", rule="S008", next_step="Make one with the patient")


def _check_benefit(course: TreatmentCourse, act: Act) -> None:
    held = [each for each in reviews_of(course, act.at) if each.kind is ReviewKind.END_OF_INDUCTION]
    if not held or held[-1].decision is ReviewDecision.STOP:
        raise GateClosed(
            "Maintenance needs a benefit review that goes on",
            rule="S077",
            observed=held[-1].decision if held else "none recorded",
            allowed="continue or change",
            next_step="The prescriber reviews benefit in writing",
        )
