"""The course of care: one table from inquiry to stop, with what is recorded on the way.

Consent (who, how, version), plan, authorisation (units left), benefit reviews and safety plan are facts; a move checks
them. A new induction after relapse is a state of its own, so that outcomes can tell the two apart.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import date, datetime
from enum import StrEnum

from afterglow.clinic.acting import CLINICAL, Act, Outcome, Role, Row, StateTable, check_utc, days_between
from afterglow.clinic.candidacy import Candidacy, check_candidate
from afterglow.clinic.policy import SitePolicy
from afterglow.clinic.resistance import Indication
from afterglow.clinic.rulebook import Delivery, rule
from afterglow.clinic.ruling import judge
from afterglow.errors import GateClosed, MissingValue, NotFound, OutOfRange, WrongOrder, echo
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
        Row(states=(_IN, _M, _P), event="relapse", to=_R, roles=(Role.PRESCRIBER,), reason=True),
        Row(
            states=(_R,),
            event="induce_again",
            to=_RE,
            roles=(Role.PRESCRIBER,),
            guard="candidacy assessed again; consent current; units left or self-pay",
        ),
        Row(states=(_R,), event="recover", to=_M, roles=(Role.PRESCRIBER,), reason=True),
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


@dataclass(frozen=True, slots=True, kw_only=True)
class Consent:
    """A signed consent: who, how, which version, for which delivery, off-label wording included or not."""

    version: str
    delivery: Delivery
    method: ConsentMethod
    off_label_stated: bool
    given_by: str
    taken_by: str
    at: datetime
    withdrawn_at: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Authorisation:
    """Cover for sessions: from a payer with units and an end, or agreed self-pay (no units)."""

    id: str
    payer: str
    units: int | None
    used: int = 0
    starts_on: date
    ends_on: date | None = None
    self_pay: bool = False

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


@dataclass(frozen=True, slots=True, kw_only=True)
class BenefitReview:
    """A review of benefit in writing."""

    kind: ReviewKind
    decision: ReviewDecision
    by: str
    at: datetime
    reason: str


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


@dataclass(frozen=True, slots=True, kw_only=True)
class SafetyPlan:
    """That a safety plan was made or renewed with the patient; its text is kept elsewhere."""

    by: str
    at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class TreatmentCourse:
    """One course of one patient.

    Args:
        paused_from: where a paused course goes back to.
        stop_reason: coded, once stopped.
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
    Raises: WrongState, NotPermitted, MissingValue; GateClosed naming what is missing.
    """
    row = COURSE.check(course.state, event, act)
    changes: dict[str, object] = {}
    if event == "accept":
        _check_no_emergency(emergency)
    elif event in {"find_suitable", "induce_again"}:
        _check_candidacy(course, candidacy)
    elif event == "await_cover":
        _check_prepared(course)
    elif event == "maintain":
        _check_benefit(course)
    elif event == "stop":
        if stop_reason is None:
            raise MissingValue("A course stops for a coded reason", allowed=", ".join(StopReason))
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

    Raises: NotPermitted; GateClosed for another delivery, or without off-label wording where the plan is off label.
    """
    act.check_role(*CLINICAL, what="Taking consent")
    check_utc(consent.at, what="The time of a consent")
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

    Raises: NotFound if there is none.
    """
    if not course.consents:
        raise NotFound("There is no consent to withdraw")
    gone = tuple(each if each.withdrawn_at else replace(each, withdrawn_at=act.at) for each in course.consents)
    return Outcome(now=replace(course, consents=gone), written=(gone[-1],))


def has_consent(course: TreatmentCourse, at: datetime, *, version: str, policy: SitePolicy) -> bool:
    """Whether a consent of the current version stands and is not too old: the fact `consent.current`."""
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


def set_plan(course: TreatmentCourse, plan: Plan, act: Act) -> Outcome[TreatmentCourse]:
    """The plan, made or changed by a prescriber.

    Raises: NotPermitted; MissingValue without an endpoint; OutOfRange without sessions.
    """
    act.check_role(Role.PRESCRIBER, what="A plan")
    if not plan.endpoint.strip():
        raise MissingValue("A plan has an endpoint", next_step="Say what ends the course", about="endpoint")
    if plan.induction_sessions < 1 or not plan.interval_days > 0:
        raise OutOfRange("A plan has sessions and an interval", observed=f"{plan.induction_sessions} sessions")
    return Outcome(now=replace(course, plan=plan), written=(plan,))


def make_safety_plan(course: TreatmentCourse, act: Act) -> Outcome[TreatmentCourse]:
    """A safety plan made with the patient.

    Raises: NotPermitted.
    """
    act.check_role(*CLINICAL, Role.THERAPIST, what="A safety plan")
    made = SafetyPlan(by=act.by, at=act.at)
    return Outcome(now=replace(course, safety_plans=(*course.safety_plans, made)), written=(made,))


def add_authorisation(course: TreatmentCourse, authorisation: Authorisation, act: Act) -> Outcome[TreatmentCourse]:
    """Cover, as granted or agreed.

    Raises: NotPermitted; WrongOrder if it ends before it starts.
    """
    act.check_role(*_OFFICE, what="Authorisation")
    if authorisation.ends_on is not None and authorisation.ends_on < authorisation.starts_on:
        raise WrongOrder("An authorisation ends after it starts", observed=f"{authorisation.ends_on}")
    now = replace(course, authorisations=(*course.authorisations, authorisation))
    return Outcome(now=now, written=(authorisation,))


def units_left(course: TreatmentCourse, on: date) -> int | None:
    """Units left on a day over every authorisation; None when self-pay covers it."""
    left = [each.left(on) for each in course.authorisations]
    return None if None in left else sum(each for each in left if each is not None)


def use_unit(course: TreatmentCourse, on: date) -> Outcome[TreatmentCourse]:
    """One session used one unit: of the authorisation that ends first; self-pay uses none.

    Raises: GateClosed if none is left.
    """
    if units_left(course, on) is None:
        return Outcome(now=course, written=())
    _check_cover(course, on)
    usable = [each for each in course.authorisations if each.left(on)]
    first = min(usable, key=lambda each: each.ends_on or date.max)
    used = replace(first, used=first.used + 1)
    now = replace(course, authorisations=tuple(used if each is first else each for each in course.authorisations))
    return Outcome(now=now, written=(used,))


def record_review(course: TreatmentCourse, review: BenefitReview, act: Act) -> Outcome[TreatmentCourse]:
    """A benefit review by a prescriber, in writing.

    Raises: NotPermitted; MissingValue without a reason.
    """
    act.check_role(Role.PRESCRIBER, what="A benefit review")
    if not review.reason.strip():
        raise MissingValue("A review says why", about="reason")
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
    since = course.induced_at
    if since is None or course.state not in _DOSING:
        return ()
    held = {each.kind for each in course.reviews if each.at >= since}
    due = []
    early_after = policy.number("course.early_check_after_sessions")
    poor = improvement_pct is None or improvement_pct < policy.number("course.early_improvement_pct")
    inducing = course.state is not CourseState.MAINTENANCE
    if inducing and sessions_given >= early_after and poor and ReviewKind.EARLY_NON_RESPONSE not in held:
        due.append(ReviewKind.EARLY_NON_RESPONSE)
    planned = course.plan is not None and sessions_given >= course.plan.induction_sessions
    if inducing and planned and ReviewKind.END_OF_INDUCTION not in held:
        due.append(ReviewKind.END_OF_INDUCTION)
    last = max((each.at for each in course.reviews if each.at >= since), default=since)
    if not inducing and days_between(last, at) >= policy.number("course.review_every_days"):
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


def _check_candidacy(course: TreatmentCourse, candidacy: Candidacy | None) -> None:
    if candidacy is None or candidacy.delivery is not course.delivery:
        raise GateClosed("Candidacy was not assessed for this delivery", rule="candidacy", next_step="Assess it")
    check_candidate(candidacy)


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
