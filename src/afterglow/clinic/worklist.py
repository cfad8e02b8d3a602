"""The worklist: who is getting worse, who lapsed, what is due or overdue, and who owns it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta, tzinfo
from enum import StrEnum

from afterglow.clinic.acting import Role, days_between
from afterglow.clinic.aftercare import judge_aftercare
from afterglow.clinic.alerts import AlertStage, ClinicAlert
from afterglow.clinic.consent import units_left
from afterglow.clinic.course import CourseState, ReviewKind, TreatmentCourse, says_stop
from afterglow.clinic.measures import DueMeasure
from afterglow.clinic.monitoring import clocks
from afterglow.clinic.policy import SitePolicy
from afterglow.clinic.rulebook import rule
from afterglow.clinic.ruling import Priority, Verdict, priority_of
from afterglow.clinic.session import SessionState, TreatmentSession
from afterglow.clinic.typed import check_utc, typed
from afterglow.errors import Conflict, echo
from afterglow.predicates import Fact
from afterglow.scales import Change, instrument

INDUCED = frozenset({CourseState.INDUCTION, CourseState.REINDUCTION})
"""States in which the plan says when the next session is, not the forecast."""
_OPEN_COURSE = (CourseState.INDUCTION, CourseState.REINDUCTION, CourseState.MAINTENANCE)
_STEPS = {
    CourseState.INQUIRY: ("inquiry waits for an answer: emergency asked first", Role.COORDINATOR),
    CourseState.CANDIDACY: ("candidacy waits for a decision", Role.PRESCRIBER),
    CourseState.CONSENT: ("plan, consent or safety plan is missing", Role.PRESCRIBER),
    CourseState.AUTHORISATION: ("cover is awaited", Role.COORDINATOR),
    CourseState.PAUSED: ("the course is paused: resume or stop", Role.PRESCRIBER),
    CourseState.RELAPSE: ("relapse: induce again, go on or stop", Role.PRESCRIBER),
}
_AFTERCARE = ("S071", "S074", "S075", "S076", "S077")  # the others have items of their own
_UNFINISHED = (
    SessionState.BOOKED,
    SessionState.ARRIVED,
    SessionState.SCREENED,
    SessionState.CLEARED,
    SessionState.DOSING,
    SessionState.HELD,
    SessionState.OBSERVING,
)
_SOON = timedelta(days=1)  # who is late already and comes within a day needs no other booking
_RANK = {Priority.HIGH: 0, Priority.MEDIUM: 1, Priority.LOW: 2}


Between = tuple[datetime | None, datetime | None]


class WorkKind(StrEnum):
    """What is to be done."""

    ALERT = "alert"
    GETTING_WORSE = "getting_worse"
    LAPSED = "lapsed"
    SESSION_DUE = "session_due"
    REVIEW_DUE = "review_due"
    MEASURE_DUE = "measure_due"
    MONITORING_FORM = "monitoring_form"
    CHECK_IN = "check_in"
    AUTHORISATION = "authorisation"
    SESSION_OPEN = "session_open"
    FORECAST = "forecast"
    COURSE_STEP = "course_step"
    AFTERCARE = "aftercare"

    @property
    def by_clock(self) -> bool:
        """Whether it is due at a time; the others are due on a day, and overdue once that is over."""
        return self in {WorkKind.ALERT, WorkKind.CHECK_IN, WorkKind.SESSION_OPEN}


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkItem:
    """One line of the worklist; `due_at` None is now.

    Args:
        between: of a session that is due by the forecast, the days for half and for twice the accepted chance.
    """

    kind: WorkKind
    patient_id: str
    course_id: str
    text: str
    owner: Role
    priority: Priority
    due_at: datetime | None
    overdue: bool
    between: Between = (None, None)


@typed
@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """What the worklist looks at for one patient.

    Args:
        change: of the main scale since its last reading but one, beyond measurement error; None if unknown.
        next_due_at: from the forecast: the last day with an accepted chance of relapse; None where there is none, and
            then the plan's interval since the last session counts.
        next_due_between: the days for half and for twice that chance.
        relief_lost: whether the forecast says that relief was there and is more likely than not lost now.
        forecast_fault: why the forecast was given up; None if it was not.
        next_session_at: booked.
        checked_in: ids of sessions whose 24-hour check-in is done.
        forms_sent: ids of sessions whose monitoring form is in.
        asked: what `judge_aftercare` asks that course and sessions do not hold, by name.
    Raises: Conflict for a course, sessions or alerts of another patient.
    """

    patient_id: str
    course: TreatmentCourse
    sessions: tuple[TreatmentSession, ...] = ()
    alerts: tuple[ClinicAlert, ...] = ()
    measures: tuple[DueMeasure, ...] = ()
    reviews: tuple[ReviewKind, ...] = ()
    change: Change | None = None
    next_due_at: datetime | None = None
    next_due_between: Between = (None, None)
    relief_lost: bool = False
    forecast_fault: str | None = None
    next_session_at: datetime | None = None
    checked_in: tuple[str, ...] = ()
    forms_sent: tuple[str, ...] = ()
    asked: tuple[tuple[str, Fact | None], ...] = ()

    def __post_init__(self) -> None:
        for what, things in (("course", (self.course,)), ("session", self.sessions), ("alert", self.alerts)):
            if others := [each.id for each in things if each.patient_id != self.patient_id]:
                raise Conflict(
                    f"A worklist mixes patients: a {what} is of another",
                    observed=f"{what} {echo(others[0])}",
                    allowed="one patient's course, sessions and alerts",
                    next_step="Ask for each patient apart",
                )


def list_work(
    standings: Iterable[Standing], at: datetime, *, policy: SitePolicy, zone: tzinfo = UTC
) -> tuple[WorkItem, ...]:
    """Everything there is to do, most pressing first: priority, then overdue, then the time it is due.

    Days are those of the clinic's `zone`.

    >>> from datetime import UTC
    >>> from afterglow.clinic.policy import demo_policy
    >>> list_work((), datetime(2026, 1, 5, tzinfo=UTC), policy=demo_policy())
    ()
    """
    check_utc(at, what="The time of a worklist")
    items = [item for standing in standings for item in _items(standing, at, policy)]
    items = [replace(item, overdue=item.overdue or _is_late(item, at, zone)) for item in items]
    return tuple(sorted(items, key=lambda i: (_RANK[i.priority], not i.overdue, i.due_at or at, i.patient_id, i.kind)))


def _is_late(item: WorkItem, at: datetime, zone: tzinfo) -> bool:
    if item.due_at is None or item.kind.by_clock:
        return item.due_at is not None and item.due_at < at
    return item.due_at.astimezone(zone).date() < at.astimezone(zone).date()


def _items(standing: Standing, at: datetime, policy: SitePolicy) -> Iterator[WorkItem]:
    yield from _alert_items(standing, at, policy)
    if standing.course.state is not CourseState.STOPPED:
        yield from _course_items(standing, at, policy)
    for session in standing.sessions:
        yield from _session_items(standing, session, at, policy)


def _alert_items(standing: Standing, at: datetime, policy: SitePolicy) -> Iterator[WorkItem]:
    """Alerts that stand; one of a reading whose patient sits in the chair is due at the next reading at the latest."""
    for each in standing.alerts:
        if each.stage is AlertStage.CLOSED:
            continue
        due_at = each.respond_by
        for session in standing.sessions:
            read_here = any(each.id.startswith(f"{reading.id[:40]}.") for reading in session.readings)
            if read_here and session.left_at is None and (due := clocks(session, at, policy=policy).next_reading):
                due_at = min(due_at, due.due_at)
        yield _item(standing, WorkKind.ALERT, each.text, each.owner, each.priority, due_at)


def _course_items(standing: Standing, at: datetime, policy: SitePolicy) -> Iterator[WorkItem]:
    course = standing.course
    if standing.change is Change.WORSENED:
        text = "the last score is worse by more than measurement error"
        yield _item(standing, WorkKind.GETTING_WORSE, text, Role.PRESCRIBER, Priority.MEDIUM, None)
    if standing.relief_lost and course.state is not CourseState.RELAPSE:
        text = "relief is more likely than not lost, by the forecast"
        yield _item(standing, WorkKind.GETTING_WORSE, text, Role.PRESCRIBER, Priority.MEDIUM, None)
    if standing.forecast_fault is not None:
        text = f"no forecast: {standing.forecast_fault}; ask for it again, and report it if it fails again"
        yield _item(standing, WorkKind.FORECAST, text, Role.PRESCRIBER, Priority.LOW, None)
    for kind in standing.reviews:
        text = f"benefit review: {kind.replace('_', ' ')}"
        yield _item(standing, WorkKind.REVIEW_DUE, text, Role.PRESCRIBER, Priority.MEDIUM, None)
    for each in standing.measures:
        name = instrument(each.instrument).short_name
        item = _item(standing, WorkKind.MEASURE_DUE, name, Role.COORDINATOR, Priority.LOW, each.due_at)
        yield replace(item, overdue=each.overdue)
    if course.state in _STEPS:
        yield _step_item(standing, policy)
    if says_stop(course):
        text = "the last benefit review says stop: stop the course, or review it again"
        yield _item(standing, WorkKind.COURSE_STEP, text, Role.PRESCRIBER, Priority.MEDIUM, None)
    if course.state in _OPEN_COURSE:
        yield from _schedule_items(standing, at, policy)
        yield from _cover_items(standing, at, policy)
        yield from _aftercare_items(standing, at, policy)


def _step_item(standing: Standing, policy: SitePolicy) -> WorkItem:
    """What a course waits for that is not under treatment."""
    text, owner = _STEPS[standing.course.state]
    since = standing.course.moved_at or standing.course.opened_at
    due_at = None if since is None else since + timedelta(days=policy.number("worklist.step_days"))
    priority = Priority.MEDIUM if standing.course.state is CourseState.RELAPSE else Priority.LOW
    return _item(standing, WorkKind.COURSE_STEP, text, owner, priority, due_at)


def _aftercare_items(standing: Standing, at: datetime, policy: SitePolicy) -> Iterator[WorkItem]:
    """Rules of aftercare that are met, and the question about urinary symptoms that nobody has asked."""
    found = judge_aftercare(standing.course, standing.sessions, at, asked=dict(standing.asked), policy=policy)
    for each in found:
        if each.rule not in _AFTERCARE or (each.verdict is not Verdict.HIT and each.rule != "S075"):
            continue
        if each.verdict is Verdict.HIT:
            yield _item(standing, WorkKind.AFTERCARE, each.sentence, Role.PRESCRIBER, priority_of(each), None)
        elif each.verdict is Verdict.UNKNOWN:
            text = "Nobody has asked about urinary symptoms yet."
            yield _item(standing, WorkKind.AFTERCARE, text, Role.NURSE, Priority.LOW, None)


def _schedule_items(standing: Standing, at: datetime, policy: SitePolicy) -> Iterator[WorkItem]:
    """Who lapsed, who was never treated though started, and whose next session is due before the one that is booked."""
    booked = _coming(standing, at, policy)
    horizon = at + timedelta(days=policy.number("worklist.horizon_days"))
    given = [each.dose_started_at for each in standing.sessions if each.dose_started_at is not None]
    lapse = policy.number("S078.lapse_days")
    if booked is None or booked > horizon:
        begun = standing.course.induced_at
        late = "none booked" if booked is None else f"the next booked for {booked:%Y-%m-%d}"
        if given and days_between(max(given), at) > lapse:
            text, since = f"no session for {days_between(max(given), at):.0f} days and {late}", max(given)
            due_at = since + timedelta(days=lapse)
            yield _item(standing, WorkKind.LAPSED, text, Role.COORDINATOR, Priority.MEDIUM, due_at)
        elif not given and begun is not None:
            due_at = begun + timedelta(days=policy.number("worklist.step_days"))
            text = f"treatment was started and no session given, {late}"
            yield _item(standing, WorkKind.LAPSED, text, Role.COORDINATOR, Priority.MEDIUM, due_at)
    wanted, source = standing.next_due_at, "forecast"
    planned, induced = due_by_plan(standing.course, standing.sessions), standing.course.state in INDUCED
    if planned is not None and (wanted is None or induced):
        wanted, source = planned, "plan's interval" if induced else "plan's interval, for the forecast gives no date"
    if wanted is not None and wanted <= horizon and (booked is None or booked > max(wanted, at + _SOON)):
        text = f"next session by the {source}, and none booked before"
        item = _item(standing, WorkKind.SESSION_DUE, text, Role.COORDINATOR, Priority.MEDIUM, wanted)
        yield replace(item, between=standing.next_due_between)


def due_by_plan(course: TreatmentCourse, sessions: Iterable[TreatmentSession]) -> datetime | None:
    """When the plan's interval asks for the next session; None without a plan, or before the first dose."""
    given = [each.dose_started_at for each in sessions if each.dose_started_at is not None]
    return None if course.plan is None or not given else max(given) + timedelta(days=course.plan.interval_days)


def _coming(standing: Standing, at: datetime, policy: SitePolicy) -> datetime | None:
    """When the next session is: now for who sits in a chair, or is booked for about now and not called missing yet."""
    for each in standing.sessions:
        waits = each.state is SessionState.BOOKED and each.planned_at <= at < _over_at(each, policy)
        if waits or (each.state in _UNFINISHED and each.state is not SessionState.BOOKED):
            return at
    booked = standing.next_session_at
    return None if booked is None or booked < at else booked


def _over_at(session: TreatmentSession, policy: SitePolicy) -> datetime:
    """From when a session that is not over is asked about."""
    minutes = 0.0 if session.prepared is None else session.prepared.minutes
    end = (session.dose_started_at or session.planned_at) + timedelta(minutes=minutes)
    return end + timedelta(hours=policy.number("worklist.session_open_hours"))


def _cover_items(standing: Standing, at: datetime, policy: SitePolicy) -> Iterator[WorkItem]:
    left = units_left(standing.course, at.date())
    ahead = units_left(standing.course, (at + timedelta(days=policy.number("worklist.authorisation_days_low"))).date())
    if left is not None and left <= policy.number("worklist.authorisation_units_low"):
        text = f"{left} authorised units left"
        priority = Priority.LOW if left else Priority.MEDIUM
        yield _item(standing, WorkKind.AUTHORISATION, text, Role.COORDINATOR, priority, None)
    elif ahead == 0:
        yield _item(standing, WorkKind.AUTHORISATION, "authorisation ends soon", Role.COORDINATOR, Priority.LOW, None)


def _session_items(
    standing: Standing, session: TreatmentSession, at: datetime, policy: SitePolicy
) -> Iterator[WorkItem]:
    yield from _open_items(standing, session, at, policy)
    if session.left_at is not None and session.id not in standing.checked_in:
        due = session.left_at + timedelta(hours=policy.number("S072.hours"))
        if at >= due - timedelta(hours=1):
            yield _item(standing, WorkKind.CHECK_IN, "24-hour check-in", Role.NURSE, Priority.MEDIUM, due)
    if session.rems_due_at is not None and session.id not in standing.forms_sent:
        figures = rule("S070").figures
        warn_at = session.rems_due_at - timedelta(days=figures["due_days"] - figures["warn_days"])
        priority = Priority.MEDIUM if at >= warn_at else Priority.LOW
        text = "monitoring form of the risk programme"
        yield _item(standing, WorkKind.MONITORING_FORM, text, Role.COORDINATOR, priority, session.rems_due_at)


def _open_items(standing: Standing, session: TreatmentSession, at: datetime, policy: SitePolicy) -> Iterator[WorkItem]:
    """A session that is not over though its time is."""
    if session.state is SessionState.LEFT:
        yield _item(standing, WorkKind.SESSION_OPEN, "session is not closed", Role.NURSE, Priority.MEDIUM, None)
        return
    if session.state not in _UNFINISHED:
        return
    due_at = _over_at(session, policy)
    if at >= due_at:
        in_room = session.state is not SessionState.BOOKED
        text = f"session of {session.planned_at:%Y-%m-%d} is still {session.state.replace('_', ' ')}"
        owner = Role.NURSE if in_room else Role.COORDINATOR
        given = session.dose_started_at is not None
        yield _item(standing, WorkKind.SESSION_OPEN, text, owner, Priority.HIGH if given else Priority.MEDIUM, due_at)


def _item(
    standing: Standing, kind: WorkKind, text: str, owner: Role, priority: Priority, due_at: datetime | None
) -> WorkItem:
    return WorkItem(
        kind=kind,
        patient_id=standing.patient_id,
        course_id=standing.course.id,
        text=text,
        owner=owner,
        priority=priority,
        due_at=due_at,
        overdue=False,
    )
