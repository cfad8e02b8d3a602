"""The course of care: one table from inquiry to stop, and what it holds.

Consent (who, how, version), plan, authorisation (units left), benefit reviews and safety plan are facts; `moves` checks
them. A new induction after relapse is a state of its own, so that outcomes can tell the two apart.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime
from enum import StrEnum

from afterglow.clinic.acting import Act, Role, Row, StateTable, login
from afterglow.clinic.resistance import Indication
from afterglow.clinic.rulebook import Delivery
from afterglow.clinic.typed import typed
from afterglow.errors import (
    Conflict,
    MissingValue,
    OutOfRange,
    SecondPerson,
    WrongState,
    echo,
)
from afterglow.predicates import Truth
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
DOSING = (_IN, _RE, _M)
_INDUCED = (*DOSING, _P, _R)
OFFICE = (Role.COORDINATOR, Role.PRESCRIBER, Role.NURSE)

COURSE = StateTable(
    machine="course",
    initial=_I,
    rows=(
        Row(states=(_I,), event="accept", to=_C, roles=OFFICE, guard="no emergency: that path comes first"),
        Row(
            states=(_C,),
            event="find_suitable",
            to=_K,
            roles=(Role.PRESCRIBER,),
            guard="every gate known, every hit answered, work-up done",
        ),
        Row(states=(_K,), event="await_cover", to=_A, roles=OFFICE, guard="plan, consent and safety plan are there"),
        Row(
            states=(_A,),
            event="start",
            to=_IN,
            roles=(Role.PRESCRIBER,),
            guard="consent current; units left or self-pay",
        ),
        Row(states=(_IN, _RE), event="maintain", to=_M, roles=(Role.PRESCRIBER,), guard="benefit review says continue"),
        Row(states=DOSING, event="pause", to=_P, roles=(Role.PRESCRIBER, Role.NURSE), reason=True),
        Row(states=(_P,), event="resume", to=None, roles=(Role.PRESCRIBER,), guard="consent current", back=True),
        Row(states=(*DOSING, _P), event="relapse", to=_R, roles=(Role.PRESCRIBER,), reason=True),
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
            states=(_I, _C, _K, _A, *DOSING, _P, _R),
            event="stop",
            to=CourseState.STOPPED,
            roles=(Role.PRESCRIBER, Role.COORDINATOR),
            guard="coded reason",
        ),
    ),
)


class WithdrawalMethod(StrEnum):
    """How consent was taken back; a spoken word counts."""

    IN_PERSON = "in_person"
    BY_PHONE = "by_phone"
    IN_WRITING = "in_writing"
    ELECTRONIC = "electronic"


class ConsentMethod(StrEnum):
    """How consent was given."""

    PAPER = "paper"
    ELECTRONIC = "electronic"
    WITNESSED_VERBAL = "witnessed_verbal"


@typed
@dataclass(frozen=True, slots=True, kw_only=True)
class Consent:
    """A signed consent: who, how, which version, for which delivery, off-label wording included or not.

    Args:
        withdrawn_by, withdrawn_how, withdrawal_noted_by: who took it back, how, and the login that noted it.

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
    withdrawn_by: str | None = None
    withdrawn_how: WithdrawalMethod | None = None
    withdrawal_noted_by: str | None = None

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


REVIEWED_IN = {
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
    """What is planned; ASA guidance asks for an endpoint and a number of sessions (asa2023).

    Args:
        interval_days: between sessions, once there is no forecast to say when the next is due.
        dose_mg, dose_mg_per_kg, infusion_min: what a session is planned to give, free base; each is ordered by itself.
        weight_kg: that the dose was judged for.
        on_label, label_statement: as `set_plan` derives them.
    Raises: MissingValue without an endpoint; OutOfRange for numbers that cannot be meant.
    """

    endpoint: str
    induction_sessions: int
    interval_days: float
    on_label: Truth = None
    label_statement: str = ""
    dose_mg: float | None = None
    dose_mg_per_kg: float | None = None
    infusion_min: float | None = None
    weight_kg: float | None = None
    by: str
    at: datetime

    def __post_init__(self) -> None:
        if not self.endpoint.strip():
            raise MissingValue("A plan has an endpoint", next_step="Say what ends the course", about="endpoint")
        fits = 1 <= self.induction_sessions <= _MOST_SESSIONS and 0 < self.interval_days <= _LONGEST_INTERVAL_DAYS
        if not fits:
            raise OutOfRange(
                "A plan has sessions and an interval",
                observed=f"{self.induction_sessions} sessions, every {self.interval_days:g} days",
                allowed=f"1 to {_MOST_SESSIONS} sessions, over 0 and up to {_LONGEST_INTERVAL_DAYS} days apart",
                about="interval_days" if 1 <= self.induction_sessions <= _MOST_SESSIONS else "induction_sessions",
            )


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

    def __post_init__(self) -> None:
        if self.state in _INDUCED and self.induced_at is None:
            raise MissingValue(
                f"A course in {self.state} says when its induction began",
                observed="no time",
                next_step="Start it by a move of the course",
                about="induced_at",
            )


def says_stop(course: TreatmentCourse) -> bool:
    """Whether the last review of this induction asks for an end that nobody has made.

    >>> says_stop(TreatmentCourse(id="c1", patient_id="p1", delivery=Delivery.IV, drug=DrugForm.RACEMIC_KETAMINE,
    ...                           indication=Indication.TRD))
    False
    """
    held = reviews_of(course)
    return bool(held) and held[-1].decision is ReviewDecision.STOP


def reviews_of(course: TreatmentCourse, at: datetime | None = None) -> tuple[BenefitReview, ...]:
    """Reviews of this induction, up to a time where one is given: none counts before it was held.

    >>> from afterglow.clinic.examples import course
    >>> reviews_of(course())
    ()
    """
    since = course.induced_at
    return tuple(
        each for each in course.reviews if (since is None or each.at >= since) and (at is None or each.at <= at)
    )


def benefit_reviewed_at(course: TreatmentCourse, at: datetime) -> datetime | None:
    """When benefit was last reviewed in this induction; a look at early non-response is none, and restarts no clock.

    >>> from afterglow.clinic.examples import at, course
    >>> benefit_reviewed_at(course(), at(0)) is None
    True
    """
    held = [each.at for each in reviews_of(course, at) if each.kind is not ReviewKind.EARLY_NON_RESPONSE]
    return max(held, default=None)


def check_signed(by: str, at: datetime, act: Act, *, what: str) -> None:
    """Refuse what is signed by another login, or at another time, than the act's.

    Raises: Conflict.

    >>> from afterglow.clinic.examples import at, nurse
    >>> check_signed("Nurse1", at(5), nurse(5), what="A consent")
    """
    if (login(by), at) != (act.by, act.at):
        raise Conflict(
            f"{what}: who and when are the act's",
            observed=f"{echo(by)}, {at:%Y-%m-%d %H:%M} UTC",
            allowed=f"{echo(act.by)}, {act.at:%Y-%m-%d %H:%M} UTC",
        )


def check_open_course(course: TreatmentCourse, *, what: str) -> None:
    """Refuse to record anything of a course that has stopped.

    Raises: WrongState.

    >>> from afterglow.clinic.examples import course
    >>> check_open_course(course(), what="A plan")
    """
    if course.state is CourseState.STOPPED:
        raise WrongState(f"{what}: the course has stopped", rule="course", next_step="Open a new course")
