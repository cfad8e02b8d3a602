"""The course of care: one table from inquiry to stop, with what is recorded on the way.

Consent (who, how, version), plan, authorisation (units left), benefit reviews and safety plan are facts; a move checks
them. A new induction after relapse is a state of its own, so that outcomes can tell the two apart.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import date, datetime
from enum import StrEnum
from math import isfinite

from afterglow.clinic.acting import CLINICAL, Act, Outcome, Role, Row, StateTable, days_between, login
from afterglow.clinic.candidacy import Candidacy, check_candidate
from afterglow.clinic.policy import SitePolicy, check_in_force
from afterglow.clinic.resistance import Indication, LabelStatus
from afterglow.clinic.rulebook import Delivery, rule
from afterglow.clinic.ruling import judge
from afterglow.clinic.typed import as_word, check_day, check_utc, typed
from afterglow.errors import (
    Conflict,
    GateClosed,
    MissingValue,
    NotFound,
    OutOfRange,
    SecondPerson,
    TooEarly,
    WrongOrder,
    WrongState,
    echo,
)
from afterglow.predicates import Fact, Truth
from afterglow.quantities import DrugForm


class CourseState(StrEnum):
    """Where a course is; authorisation: consent is signed and cover is awaited."""

    INQUIRY = "inquiry"
    CANDIDACY = "candidacy"
    CONSENT = "consent"
    AUTHORISATION = "authorisation"
    INDUCTION = "induction"
    MAINTENANCE = "maintenance"
    PAUSED = "paused"
    RELAPSE = "relapse"
    REINDUCTION = "reinduction"
    STOPPED = "stopped"


class StopReason(StrEnum):
    """Why a course ended, coded; an end without a reason is an end in silence."""

    PLANNED_END = "planned_end"
    NO_BENEFIT = "no_benefit"
    ADVERSE_EVENT = "adverse_event"
    PATIENT_CHOICE = "patient_choice"
    COST_OR_COVER = "cost_or_cover"
    AUTHORISATION_LAPSED = "authorisation_lapsed"
    LOST_TO_FOLLOW_UP = "lost_to_follow_up"
    TRANSFER = "transfer"
    NOT_A_CANDIDATE = "not_a_candidate"
    PREGNANCY = "pregnancy"
    DEATH = "death"
    OTHER = "other"


_MOST_SESSIONS, _LONGEST_INTERVAL_DAYS = 60, 92  # Assumption: beyond them a typing slip
_I, _C, _K, _A = CourseState.INQUIRY, CourseState.CANDIDACY, CourseState.CONSENT, CourseState.AUTHORISATION
_IN, _M, _P, _R = CourseState.INDUCTION, CourseState.MAINTENANCE, CourseState.PAUSED, CourseState.RELAPSE
_RE = CourseState.REINDUCTION
_DOSING = (_IN, _RE, _M)
_OFFICE = (Role.COORDINATOR, Role.PRESCRIBER, Role.NURSE)

COURSE = StateTable(
    machine="course",
    initial=_I,
    rows=(
        Row(states=(_I,), event="accept", to=_C, roles=_OFFICE, guard="no emergency: that path comes first"),
        Row(
            states=(_C,),
            event="find_suitable",
            to=_K,
            roles=(Role.PRESCRIBER,),
            guard="every gate known, every hit answered, work-up done",
        ),
        Row(states=(_K,), event="await_cover", to=_A, roles=_OFFICE, guard="plan, consent and safety plan are there"),
        Row(
            states=(_A,),
            event="start",
            to=_IN,
            roles=(Role.PRESCRIBER,),
            guard="consent current; units left or self-pay",
        ),
        Row(states=(_IN, _RE), event="maintain", to=_M, roles=(Role.PRESCRIBER,), guard="benefit review says continue"),
        Row(states=_DOSING, event="pause", to=_P, roles=(Role.PRESCRIBER, Role.NURSE), reason=True),
        Row(
            states=(_P,), event="resume", to=None, roles=(Role.PRESCRIBER,), guard="consent current; back where it was"
        ),
        Row(states=(*_DOSING, _P), event="relapse", to=_R, roles=(Role.PRESCRIBER,), reason=True),
        Row(
            states=(_R,),
            event="induce_again",
            to=_RE,
            roles=(Role.PRESCRIBER,),
            guard="candidacy assessed again; consent current; units left or self-pay",
        ),
        Row(
            states=(_R,),
            event="recover",
            to=_M,
            roles=(Role.PRESCRIBER,),
            guard="benefit review of this induction says continue",
            reason=True,
        ),
        Row(
            states=(_I, _C, _K, _A, *_DOSING, _P, _R),
            event="stop",
            to=CourseState.STOPPED,
            roles=(Role.PRESCRIBER, Role.COORDINATOR),
            guard="coded reason",
        ),
    ),
)


class ConsentMethod(StrEnum):
    """How consent was given."""

    PAPER = "paper"
    ELECTRONIC = "electronic"
    WITNESSED_VERBAL = "witnessed_verbal"


@typed
@dataclass(frozen=True, slots=True, kw_only=True)
class Consent:
    """A signed consent: who, how, which version, for which delivery, off-label wording included or not.

    Raises: MissingValue without version or giver; SecondPerson where one person does both.
    """

    version: str
    delivery: Delivery
    method: ConsentMethod
    off_label_stated: bool
    given_by: str
    taken_by: str
    at: datetime
    withdrawn_at: datetime | None = None

    def __post_init__(self) -> None:
        if not self.version.strip() or not self.given_by.strip():
            raise MissingValue("A consent has a version and names who gave it", next_step="Enter both")
        if login(self.given_by) == login(self.taken_by):
            raise SecondPerson(
                "Who takes a consent does not give it",
                rule="C062",
                observed="one person",
                allowed="patient and clinician",
            )


@typed
@dataclass(frozen=True, slots=True, kw_only=True)
class Authorisation:
    """Cover for sessions: from a payer with units and an end, or agreed self-pay (no units).

    Args:
        used: units, of `sessions` and of others that were not told.
        sessions: ids of the sessions that used one.
    """

    id: str
    payer: str
    units: int | None
    used: int = 0
    starts_on: date
    ends_on: date | None = None
    self_pay: bool = False
    sessions: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.self_pay != (self.units is None):
            raise MissingValue("An authorisation has units, and self-pay has none", observed=f"{self.units} units")
        if self.units is not None and not 0 <= self.used <= self.units:
            raise OutOfRange("Units used are refused", observed=str(self.used), allowed=f"0 to {self.units}")

    def left(self, on: date) -> int | None:
        """Units left on a day; 0 outside its dates, None for self-pay within them."""
        if on < self.starts_on or (self.ends_on is not None and on > self.ends_on):
            return 0
        return None if self.units is None else self.units - self.used


class ReviewDecision(StrEnum):
    """What a benefit review decided."""

    CONTINUE = "continue"
    CHANGE = "change"
    STOP = "stop"


class ReviewKind(StrEnum):
    """Why a review is held."""

    EARLY_NON_RESPONSE = "early_non_response"
    END_OF_INDUCTION = "end_of_induction"
    PERIODIC = "periodic"


_REVIEWED_IN = {
    ReviewKind.EARLY_NON_RESPONSE: (_IN, _RE, _P),
    ReviewKind.END_OF_INDUCTION: (_IN, _RE, _P, _R),
    ReviewKind.PERIODIC: (_M, _P, _R),
}


@typed
@dataclass(frozen=True, slots=True, kw_only=True)
class BenefitReview:
    """A review of benefit in writing."""

    kind: ReviewKind
    decision: ReviewDecision
    by: str
    at: datetime
    reason: str


@typed
@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What is planned; ASA guidance asks for an endpoint and a number of sessions (asa2023)."""

    endpoint: str
    induction_sessions: int
    interval_days: float
    on_label: Truth
    label_statement: str
    by: str
    at: datetime


@typed
@dataclass(frozen=True, slots=True, kw_only=True)
class SafetyPlan:
    """That a safety plan was made or renewed with the patient; its text is kept elsewhere."""

    by: str
    at: datetime


@typed
@dataclass(frozen=True, slots=True, kw_only=True)
class TreatmentCourse:
    """One course of one patient.

    Args:
        paused_from: where a paused course goes back to.
        stop_reason: coded, once stopped.
        opened_at, moved_at: when it was opened, and came to where it is; None where that is not known.
    """

    id: str
    patient_id: str
    delivery: Delivery
    drug: DrugForm
    indication: Indication
    state: CourseState = CourseState.INQUIRY
    plan: Plan | None = None
    consents: tuple[Consent, ...] = ()
    authorisations: tuple[Authorisation, ...] = ()
    reviews: tuple[BenefitReview, ...] = ()
    safety_plans: tuple[SafetyPlan, ...] = ()
    paused_from: CourseState | None = None
    induced_at: datetime | None = None
    stop_reason: StopReason | None = None
    opened_at: datetime | None = None
    moved_at: datetime | None = None


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
        _check_prepared(course)
    elif event in {"maintain", "recover"}:
        _check_benefit(course)
    elif event == "stop":
        if stop_reason is None:
            raise MissingValue("A course stops for a coded reason", allowed=", ".join(StopReason))
        if stop_reason is StopReason.OTHER:
            act.check_reason(what="Another reason to stop")
        changes["stop_reason"] = stop_reason
    if event in {"await_cover", "start", "resume", "induce_again"}:
        check_consent(course, act.at, version=consent_version, policy=policy)
    if event in {"start", "induce_again"}:
        _check_cover(course, act.at.date())
        changes["induced_at"] = act.at
    if event == "pause":
        changes["paused_from"] = course.state
    step = COURSE.step(course.state, event, act, subject=course.id)
    after = CourseState(row.to) if row.to is not None else course.paused_from or course.state
    if event != "pause":
        changes["paused_from"] = None
    now = replace(course, state=after, **changes)  # type: ignore[arg-type]
    return Outcome(now=now, written=(replace(step, after=after.value),))


def give_consent(course: TreatmentCourse, consent: Consent, act: Act) -> Outcome[TreatmentCourse]:
    """A consent taken by a clinician.

    Raises: NotPermitted; Conflict if somebody else or another time stands in it; GateClosed for another delivery, or
        without off-label wording where the plan is off label.
    """
    act.check_role(*CLINICAL, what="Taking consent")
    _check_open_course(course, what="Consent")
    _check_signed(consent.taken_by, consent.at, act, what="A consent")
    _check_after_consents(course, act)
    off_label = course.plan is None or course.plan.on_label is not True
    if consent.delivery is not course.delivery or (off_label and not consent.off_label_stated):
        raise GateClosed(
            "The consent does not fit the plan",
            rule="C062",
            observed=f"{consent.delivery.words}, off label {'stated' if consent.off_label_stated else 'not stated'}",
            allowed=f"{course.delivery.words}{', off label stated' if off_label else ''}",
            next_step="Use the consent form of this delivery",
        )
    return Outcome(now=replace(course, consents=(*course.consents, consent)), written=(consent,))


def withdraw_consent(course: TreatmentCourse, act: Act) -> Outcome[TreatmentCourse]:
    """The patient takes consent back; every earlier one counts no more.

    Raises: NotPermitted; NotFound if there is none; WrongOrder for a time before it was given.
    """
    act.check_role(*CLINICAL, Role.THERAPIST, Role.COORDINATOR, what="Noting that consent is withdrawn")
    _check_after_consents(course, act)
    if not course.consents:
        raise NotFound("There is no consent to withdraw")
    gone = tuple(each if each.withdrawn_at else replace(each, withdrawn_at=act.at) for each in course.consents)
    return Outcome(now=replace(course, consents=gone), written=(gone[-1],))


def has_consent(course: TreatmentCourse, at: datetime, *, version: str, policy: SitePolicy) -> bool:
    """Whether a consent of the current version stands and is not too old: the fact `consent.current`."""
    check_utc(at, what="The time of a check")
    valid_days = policy.number("course.consent_valid_days")
    return any(
        each.withdrawn_at is None
        and each.version == version
        and each.delivery is course.delivery
        and 0 <= days_between(each.at, at) <= valid_days
        for each in course.consents
    )


def check_consent(course: TreatmentCourse, at: datetime, *, version: str, policy: SitePolicy) -> None:
    """Refuse without a current consent (C062).

    Raises: GateClosed.
    """
    if not has_consent(course, at, version=version, policy=policy):
        raise GateClosed(
            "No current consent",
            rule="C062",
            observed=f"{len(course.consents)} consents, none of version {echo(version)} in force",
            allowed="signed, current version, this delivery",
            next_step="Take consent on the current form",
        )


def set_plan(course: TreatmentCourse, plan: Plan, act: Act, *, label: LabelStatus) -> Outcome[TreatmentCourse]:
    """The plan, made or changed by a prescriber.

    Args:
        course: as it is.
        plan: what is planned.
        act: who and when; the plan says the same.
        label: as `label_status` derives it; the plan cannot say otherwise.
    Raises: NotPermitted; MissingValue without an endpoint; OutOfRange without sessions; Conflict for another label
        status, person or time than derived.
    """
    act.check_role(Role.PRESCRIBER, what="A plan")
    _check_open_course(course, what="A plan")
    _check_signed(plan.by, plan.at, act, what="A plan")
    if (plan.on_label, plan.label_statement) != (label.on_label, label.statement):
        raise Conflict(
            "Whether a plan is on label is derived, not entered",
            observed=plan.label_statement,
            allowed=label.statement,
            next_step="Take it from the label's rules",
        )
    if not plan.endpoint.strip():
        raise MissingValue("A plan has an endpoint", next_step="Say what ends the course", about="endpoint")
    if not 1 <= plan.induction_sessions <= _MOST_SESSIONS or not 0 < plan.interval_days <= _LONGEST_INTERVAL_DAYS:
        raise OutOfRange(
            "A plan has sessions and an interval",
            observed=f"{plan.induction_sessions} sessions, every {plan.interval_days:g} days",
            allowed=f"1 to {_MOST_SESSIONS} sessions, up to {_LONGEST_INTERVAL_DAYS} days apart",
        )
    return Outcome(now=replace(course, plan=plan), written=(plan,))


def make_safety_plan(course: TreatmentCourse, act: Act) -> Outcome[TreatmentCourse]:
    """A safety plan made with the patient.

    Raises: NotPermitted.
    """
    act.check_role(*CLINICAL, Role.THERAPIST, what="A safety plan")
    _check_open_course(course, what="A safety plan")
    made = SafetyPlan(by=act.by, at=act.at)
    return Outcome(now=replace(course, safety_plans=(*course.safety_plans, made)), written=(made,))


def add_authorisation(course: TreatmentCourse, authorisation: Authorisation, act: Act) -> Outcome[TreatmentCourse]:
    """Cover, as granted or agreed.

    Raises: NotPermitted; Conflict if it was recorded already; WrongOrder if it ends before it starts.
    """
    act.check_role(*_OFFICE, what="Authorisation")
    _check_open_course(course, what="Authorisation")
    if authorisation.id in {each.id for each in course.authorisations}:
        raise Conflict("This authorisation was recorded already", observed=echo(authorisation.id))
    same = [
        each
        for each in course.authorisations
        if replace(each, id=authorisation.id, used=0, sessions=()) == authorisation
    ]
    if same and not authorisation.self_pay:
        raise Conflict(
            "An authorisation like this was recorded already",
            observed=f"{authorisation.units} units of {echo(authorisation.payer)} from {authorisation.starts_on}",
            next_step="A second one differs in its units or dates",
        )
    if authorisation.ends_on is not None and authorisation.ends_on < authorisation.starts_on:
        raise WrongOrder("An authorisation ends after it starts", observed=f"{authorisation.ends_on}")
    now = replace(course, authorisations=(*course.authorisations, authorisation))
    return Outcome(now=now, written=(authorisation,))


def units_left(course: TreatmentCourse, on: date) -> int | None:
    """Units left on a day over every authorisation; None when self-pay covers it."""
    check_day(on, what="The day of cover")
    left = [each.left(on) for each in course.authorisations]
    return None if None in left else sum(each for each in left if each is not None)


def use_unit(course: TreatmentCourse, act: Act, *, on: date, session_id: str) -> Outcome[TreatmentCourse]:
    """One session used one unit: of the authorisation that ends first; self-pay uses none.

    Args:
        course: as it is.
        act: who gave the drug.
        on: the day at the clinic.
        session_id: which session used it; a session uses one.
    Raises: NotPermitted; Conflict for a session that used one already; GateClosed if none is left.
    """
    act.check_role(Role.NURSE, Role.PRESCRIBER, what="Using a unit")
    if any(session_id in each.sessions for each in course.authorisations):
        raise Conflict("This session used its unit already", observed=echo(session_id), allowed="one for a session")
    if units_left(course, on) is None:
        return Outcome(now=course, written=())
    _check_cover(course, on)
    usable = [each for each in course.authorisations if each.left(on)]
    first = min(usable, key=lambda each: each.ends_on or date.max)
    used = replace(first, used=first.used + 1, sessions=(*first.sessions, session_id))
    now = replace(course, authorisations=tuple(used if each is first else each for each in course.authorisations))
    return Outcome(now=now, written=(used,))


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
    """
    act.check_role(Role.PRESCRIBER, what="A benefit review")
    _check_signed(review.by, review.at, act, what="A benefit review")
    if not review.reason.strip():
        raise MissingValue("A review says why", about="reason")
    places = _REVIEWED_IN[review.kind]
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
    """
    check_utc(at, what="The time of a check")
    since = course.induced_at
    if since is None or course.state not in _DOSING:
        return ()
    held = {each.kind for each in course.reviews if each.at >= since}
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
    last = max((each.at for each in course.reviews if each.at >= since), default=since)
    if not inducing and days_between(last, at) > policy.number("S074.review_days"):
        due.append(ReviewKind.PERIODIC)
    return tuple(due)


def says_stop(course: TreatmentCourse) -> bool:
    """Whether the last review of this induction asks for an end that nobody has made.

    >>> says_stop(TreatmentCourse(id="c1", patient_id="p1", delivery=Delivery.IV, drug=DrugForm.RACEMIC_KETAMINE,
    ...                           indication=Indication.TRD))
    False
    """
    since = course.induced_at
    held = [each for each in course.reviews if since is None or each.at >= since]
    return bool(held) and held[-1].decision is ReviewDecision.STOP


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
            observed=f"{age_days:.0f} days old, policy version {candidacy.policy_version}",
            allowed=f"up to {limit:g} days, policy version {policy.version}",
            next_step="Assess it again",
        )
    check_candidate(candidacy)


def _check_time(course: TreatmentCourse, act: Act, *, what: str) -> None:
    if course.moved_at is not None:
        act.check_after(course.moved_at, what=what)


def _check_signed(by: str, at: datetime, act: Act, *, what: str) -> None:
    """Who signs something and when is who does it and when."""
    if (login(by), at) != (act.by, act.at):
        raise Conflict(
            f"{what}: who and when are the act's",
            observed=f"{echo(by)}, {at:%Y-%m-%d %H:%M} UTC",
            allowed=f"{echo(act.by)}, {act.at:%Y-%m-%d %H:%M} UTC",
        )


def _check_after_consents(course: TreatmentCourse, act: Act) -> None:
    for each in course.consents:
        act.check_after(each.withdrawn_at or each.at, what="Consent")


def _check_open_course(course: TreatmentCourse, *, what: str) -> None:
    if course.state is CourseState.STOPPED:
        raise WrongState(f"{what}: the course has stopped", rule="course", next_step="Open a new course")


def _check_prepared(course: TreatmentCourse) -> None:
    if course.plan is None:
        raise GateClosed("The course has no plan", rule="C064", next_step="Set endpoint and number of sessions")
    if not course.safety_plans:
        raise GateClosed("The course has no safety plan", rule="S008", next_step="Make one with the patient")


def _check_cover(course: TreatmentCourse, on: date) -> None:
    if units_left(course, on) == 0:
        raise GateClosed(
            "No authorised unit is left",
            rule="authorisation",
            observed=f"{len(course.authorisations)} authorisations, 0 units on {on}",
            allowed="a unit, or agreed self-pay",
            next_step="Ask the payer again, or agree self-pay",
        )


def _check_benefit(course: TreatmentCourse) -> None:
    since = course.induced_at
    reviews = [r for r in course.reviews if r.kind is ReviewKind.END_OF_INDUCTION and (since is None or r.at >= since)]
    if not reviews or reviews[-1].decision is ReviewDecision.STOP:
        raise GateClosed(
            "Maintenance needs a benefit review that goes on",
            rule="S077",
            observed=reviews[-1].decision if reviews else "none recorded",
            allowed="continue or change",
            next_step="The prescriber reviews benefit in writing",
        )
