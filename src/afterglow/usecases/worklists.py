"""The worklist: what is to do in the clinic, and who owns it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import TypeVar

from afterglow.clinic import (
    ASKED_LATER,
    BookingState,
    ClinicAlert,
    CourseState,
    Indication,
    Role,
    Standing,
    Transitioned,
    TreatmentCourse,
    TreatmentSession,
    WorkItem,
    list_work,
    reviews_due,
    sessions_in_induction,
)
from afterglow.clinic.diary import Booking
from afterglow.errors import GateClosed
from afterglow.forecast import RelapseState
from afterglow.scales import Change, reliable_change
from afterglow.store import audit, facts
from afterglow.usecases.desk import use_case, view
from afterglow.usecases.forecast_queue import ForecastJob, JobState
from afterglow.usecases.measures import OPEN_ALERTS, CheckIn, Measured, due_of
from afterglow.usecases.patients import KnownFact, aged_fact
from afterglow.usecases.work import CARE, Loaded, Noted, Work, Written

T = TypeVar("T")
_MAIN = {Indication.PTSD: "pcl5", Indication.ANXIETY: "gad7", Indication.PAIN: "peg"}
_DEPRESSION = "phq9"
_LIST_LASTS_S = 10  # an item turns overdue by the clock alone
_LISTS = 16  # of people to whom other charts are closed


@dataclass(frozen=True, slots=True, kw_only=True)
class FormSent:
    """That a session's monitoring form went to the risk programme."""

    session_id: str
    by: str
    reference: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkLine:
    """One line of the worklist, with who the patient is."""

    item: WorkItem
    name: str


@view("worklist.read", roles=(*CARE, Role.COORDINATOR))
def read_worklist(work: Work, *, owner: Role | None = None) -> tuple[WorkLine, ...]:
    """Everything there is to do, most pressing first; of one owner if one is named."""
    kept = [each for each in _items(work) if owner is None or each.owner is owner]
    names = work.names(each.patient_id for each in kept)
    return tuple(WorkLine(item=each, name=names[each.patient_id]) for each in kept)


@use_case("sessions.form_sent", roles=(Role.COORDINATOR, Role.NURSE, Role.COMPLIANCE))
def note_form_sent(work: Work, session_id: str, *, reference: str = "") -> Written:
    """The monitoring form of a session went to the risk programme.

    Raises: NotFound; GateClosed for a session that needs none.
    """
    session = work.load(TreatmentSession, session_id).now
    if session.rems_due_at is None:
        raise GateClosed(
            "No monitoring form is due for this session", rule="S070", observed=session.delivery.words, allowed="none"
        )
    sent = FormSent(session_id=session_id, by=work.actor.person_id, reference=reference)
    return Written(id=work.write(sent, patient_id=session.patient_id, subject=session_id))


def main_scale(indication: Indication) -> str:
    """The scale that tells how a course goes.

    >>> main_scale(Indication.PTSD)
    'pcl5'
    """
    return _MAIN.get(indication, _DEPRESSION)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Listed:
    """The whole list as one change and one moment left it."""

    change: int
    moment: int
    items: tuple[WorkItem, ...]


def _items(work: Work) -> tuple[WorkItem, ...]:
    """Everything there is to do; made once for all who look until something is written, or ten seconds have gone."""
    lists: dict[frozenset[str], _Listed] = work.tx.store.cache.setdefault(f"work/{work.tx.clinic_id}", {})
    change, moment = audit.last_change(work.tx), int(work.now.timestamp() // _LIST_LASTS_S)
    found = lists.get(work.hidden)
    if found is None or (found.change, found.moment) != (change, moment):
        items = list_work(_standings(work), work.now, policy=work.policy_or_defaults(), zone=work.zone)
        found = _Listed(change=change, moment=moment, items=items)
        if len(lists) >= _LISTS:
            lists.clear()
        lists[work.hidden] = found
    return found.items


@dataclass(frozen=True, slots=True, kw_only=True)
class _Read:
    """What the worklist reads of the whole clinic, each kind at once, by patient; of courses that are not over."""

    sessions: Mapping[str, list[TreatmentSession]]
    alerts: Mapping[str, list[ClinicAlert]]
    booked: Mapping[str, list[Booking]]
    measured: Mapping[str, tuple[Noted[Measured], ...]]
    known: Mapping[str, tuple[Noted[KnownFact], ...]]
    moves: Mapping[str, tuple[Noted[Transitioned], ...]]
    checked: frozenset[str | None]
    sent: frozenset[str | None]


def _standings(work: Work) -> Iterator[Standing]:
    open_courses = tuple(each for each in CourseState if each is not CourseState.STOPPED)
    courses = work.every(TreatmentCourse, states=open_courses)
    stopped = work.every(TreatmentCourse, states=(CourseState.STOPPED,))
    read = _Read(
        sessions=_by_patient(work.every(TreatmentSession)),
        alerts=_by_patient(work.every(ClinicAlert, states=OPEN_ALERTS)),
        booked=_by_patient(work.every(Booking, states=(BookingState.BOOKED,))),
        measured=work.standing_by_patient(Measured),
        known=work.standing_by_patient(KnownFact, subjects=ASKED_LATER),
        moves=work.standing_by_patient(Transitioned, subjects=[each.id for each in courses]),
        checked=frozenset(each.subject for each in facts.standing(work.tx, CheckIn)),
        sent=frozenset(each.subject for each in facts.standing(work.tx, FormSent)),
    )
    forecasts = {each.id: each for each in work.every(ForecastJob)}
    first: set[str] = set()
    for each in (*courses, *stopped):
        course = each.now
        mine = tuple(s for s in read.sessions.get(course.patient_id, ()) if s.course_id == course.id)
        own_alerts = tuple(read.alerts.get(course.patient_id, ())) if course.patient_id not in first else ()  # once
        first.add(course.patient_id)
        if course.state is CourseState.STOPPED and not own_alerts and not mine:
            continue
        yield _with_forecast(_standing(work, course, mine, own_alerts, read), forecasts.get(course.id))


def _standing(
    work: Work,
    course: TreatmentCourse,
    sessions: tuple[TreatmentSession, ...],
    alerts: tuple[ClinicAlert, ...],
    read: _Read,
) -> Standing:
    patient_id, policy = course.patient_id, work.policy_or_defaults()
    measured = read.measured.get(patient_id, ())
    main = [each for each in measured if each.fact.instrument == main_scale(course.indication)]
    booked = read.booked.get(patient_id, ())
    next_at = min((each.starts_at for each in booked if each.starts_at >= work.now), default=None)
    moves = (each for each in read.moves.get(patient_id, ()) if each.fact.subject == course.id)
    return Standing(
        patient_id=patient_id,
        course=course,
        sessions=sessions,
        alerts=alerts,
        measures=due_of(work, course, ((e.at, e.fact.instrument) for e in measured), next_at=next_at, moves=moves),
        reviews=reviews_due(
            course,
            work.now,
            sessions_given=sessions_in_induction(course, sessions),
            improvement_pct=_improvement_pct(main, course.induced_at),
            policy=policy,
        ),
        change=_last_change(main),
        next_session_at=next_at,
        checked_in=tuple(s.id for s in sessions if s.id in read.checked),
        forms_sent=tuple(s.id for s in sessions if s.id in read.sent),
        asked=tuple({e.fact.name: aged_fact(e.fact, work.now) for e in read.known.get(patient_id, ())}.items()),
    )


def _with_forecast(standing: Standing, job: Loaded[ForecastJob] | None) -> Standing:
    """What the last forecast says that list; one that was refused says nothing."""
    if job is None:
        return standing
    last, given_up = job.now.last, job.state == JobState.GIVEN_UP
    return replace(
        standing,
        next_due_at=None if last is None else last.next_due_at,
        next_due_between=(None, None) if last is None else (last.next_due_from, last.next_due_until),
        relief_lost=last is not None and last.relapse is RelapseState.REACHED,
        forecast_fault=(job.now.fault or "it failed") if given_up else None,
    )


def _improvement_pct(lines: list[Noted[Measured]], since: datetime | None) -> float | None:
    """Of the main scale since before treatment; None where it cannot be told."""
    totals = [(each.at, each.fact.total) for each in lines if each.fact.total is not None]
    before = [total for at, total in totals if since is not None and at <= since]
    after = [total for at, total in totals if since is not None and at > since]
    if not before or not after or not before[-1]:
        return None
    return 100.0 * (before[-1] - after[-1]) / before[-1]


def _last_change(lines: list[Noted[Measured]]) -> Change | None:
    """Of the last two totals, beyond measurement error; None where it cannot be told."""
    totals = [each for each in lines if each.fact.total is not None]
    if len(totals) < 2:
        return None
    return reliable_change(totals[-2].fact.score(), totals[-1].fact.score()).verdict


def _by_patient(loaded: Iterable[Loaded[T]]) -> defaultdict[str, list[T]]:
    found: defaultdict[str, list[T]] = defaultdict(list)
    for each in loaded:
        found[each.patient_id or ""].append(each.now)
    return found
