"""Jobs: forecasts of patients, made outside any lock by a worker of its own, and kept with what they rest on.

A worker claims a job for some minutes, reads the records, forecasts with no transaction open, and keeps the answer
under the claim: what another worker took meanwhile is dropped. Who dies loses the claim when its time is over.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import partial
from hashlib import sha256

from afterglow import __version__
from afterglow.clinic import CourseState, Role, TreatmentCourse
from afterglow.errors import AfterglowError, Conflict, NotFound, OutOfRange, StoreFault
from afterglow.forecast import Forecast, RelapseState, WarningCode
from afterglow.logs import say
from afterglow.protocol import CourseRecord, RecordedSession
from afterglow.store import facts
from afterglow.store.codec import canonical, to_data
from afterglow.store.records import Store
from afterglow.therapy.population import load_population
from afterglow.usecases.designs import run_designs
from afterglow.usecases.desk import Desk, taken_up, use_case, view
from afterglow.usecases.forecast_queue import ForecastJob, ForecastSummary, JobState, ask
from afterglow.usecases.forecasting import ForecastAnswer, forecast_course
from afterglow.usecases.messages import wait_after
from afterglow.usecases.recorded_course import condition_of, recorded_course
from afterglow.usecases.work import CARE, Loaded, Work, Written, program

LEASE = timedelta(minutes=5)  # Assumption: the longest course takes seconds; a worker silent for so long has died
MOST_TRIES = 5  # policy
FRESH_FOR = timedelta(days=7)  # policy: a forecast under treatment is made again after a week without news
LOOK_EVERY_S = 2.0
REFRESH_EVERY = timedelta(hours=1)
DIED = "the worker died or took too long"
_TREATED = (
    CourseState.INDUCTION,
    CourseState.REINDUCTION,
    CourseState.MAINTENANCE,
    CourseState.PAUSED,
    CourseState.RELAPSE,
)
_OPEN = tuple(each for each in CourseState if each is not CourseState.STOPPED)
_AT_ONCE = 10  # due jobs that a claim looks at


@dataclass(frozen=True, slots=True, kw_only=True)
class ForecastRecord:
    """A forecast as it was made, for good: what it rests on, by which model, and what it said.

    Args:
        digest: SHA-256 of what it rests on, the time that it starts from left out.
        population: version of the virtual patients; empty where no model exists.
        program: version of Afterglow.
        refused: why there is no forecast; None if there is one.
        forecast: with its input and seed, without its days, which the same input gives again.
    """

    course_id: str
    digest: str
    population: str
    program: str
    refused: str | None = None
    forecast: Forecast | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ForecastPicture:
    """The last forecast of a course with all its days, for pages that draw it."""

    made_at: datetime
    answer: ForecastAnswer


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """A job that a worker claimed; the claim is what it gives back."""

    course_id: str
    claim: str
    last: ForecastSummary | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Made:
    """What came of a job; `answer` may hold no days where the model refuses."""

    digest: str
    population: str
    refused: str | None
    answer: ForecastAnswer | None


@dataclass(frozen=True, slots=True, kw_only=True)
class ForecastPage:
    """The forecast of a course as it is kept.

    Args:
        answer: what a picture is drawn from; None where there is no forecast.
        refused: why there is none; None where there is one, or none was made yet.
        digest, population: what it rests on and by which virtual patients; empty before the first.
        made_at: None before the first.
        age: since then.
        pending: a newer one is being made.
        outdated: it was made by other virtual patients than this version's.
        fault: why the last try failed; None if it did not.
        given_up: nobody tries again until something new comes, or somebody asks.
    """

    course_id: str
    answer: ForecastAnswer | None = None
    refused: str | None = None
    digest: str = ""
    population: str = ""
    made_at: datetime | None = None
    age: timedelta | None = None
    pending: bool = False
    outdated: bool = False
    fault: str | None = None
    given_up: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class JobLine:
    """One job as the operator sees it: no patient, no result."""

    course_id: str
    state: str
    due_at: datetime | None
    tries: int
    fault: str | None
    made_at: datetime | None


@view("forecasts.read", roles=CARE)
def view_forecast(work: Work, course_id: str) -> ForecastPage:
    """The last forecast of a course, how old it is and what it rests on; none is made here.

    Raises: NotFound.
    """
    return forecast_of(work, work.load(TreatmentCourse, course_id).now)


def forecast_of(work: Work, course: TreatmentCourse) -> ForecastPage:
    """As `view_forecast`, for a page that shows more than that."""
    course_id = course.id
    found = work.find(ForecastJob, course_id)
    if found is None:
        return ForecastPage(course_id=course_id)
    job, last = found.now, found.now.last
    page = ForecastPage(
        course_id=course_id,
        pending=found.state in {JobState.WAITING, JobState.RUNNING},
        fault=job.fault,
        given_up=found.state == JobState.GIVEN_UP,
    )
    if last is None:
        return page
    picture = work.find(ForecastPicture, course_id)
    return replace(
        page,
        answer=None if picture is None or last.refused is not None else picture.now.answer,
        refused=last.refused,
        digest=last.digest,
        population=last.population,
        made_at=last.made_at,
        age=work.now - last.made_at,
        outdated=last.population != _population(course),
    )


@use_case("forecasts.ask", roles=CARE, adds=True)
def ask_forecast(work: Work, course_id: str) -> Written:
    """Ask for a forecast again, as after one was given up; it is made within moments, not here.

    Raises: NotFound; OutOfRange for a course that is stopped.
    """
    course = work.load(TreatmentCourse, course_id).now
    if course.state is CourseState.STOPPED:
        raise OutOfRange("A stopped course has no forecast", observed=course_id)
    ask(work.tx, course_id, patient_id=course.patient_id)
    return Written(id=course_id)


@view("jobs.list", roles=(Role.ADMINISTRATOR, Role.SYSTEM))
def list_jobs(work: Work) -> tuple[JobLine, ...]:
    """Every job with its state, what is due first; no patient and no result."""
    return tuple(
        JobLine(
            course_id=each.id,
            state=each.state or "",
            due_at=head.due_at,
            tries=each.now.tries,
            fault=each.now.fault,
            made_at=None if each.now.last is None else each.now.last.made_at,
        )
        for head in facts.load_all(work.tx, ForecastJob)
        if head.now is not None
        for each in (Loaded(id=head.id, now=head.now, version=head.version, patient_id=None, state=head.state),)
    )


@use_case("jobs.refresh", roles=(Role.SYSTEM,), adds=True)
def refresh(work: Work) -> int:
    """Ask for what is missing or old: no forecast yet, another version's virtual patients, a week without news."""
    old = _old(work)
    for each in old:
        ask(work.tx, each.id, patient_id=each.patient_id)
    work.about(jobs=len(old))
    return len(old)


@use_case("jobs.claim", roles=(Role.SYSTEM,), adds=True)
def claim(work: Work) -> Task | None:
    """The job that is due first, for five minutes nobody else's; None if none is due.

    A job that was claimed too often without an answer is given up.
    """
    states = (JobState.WAITING, JobState.RUNNING)
    for head in facts.load_all(work.tx, ForecastJob, states=states, due_until=work.now, most=_AT_ONCE):
        if head.now is None:
            continue  # pragma: no cover  an erasure stops the patient's clocks
        loaded = Loaded(id=head.id, now=head.now, version=head.version, patient_id=head.patient_id, state=head.state)
        fault = DIED if head.state == JobState.RUNNING else head.now.fault
        if head.now.tries >= MOST_TRIES:
            work.change(loaded, replace(head.now, claim=None, fault=fault), state=JobState.GIVEN_UP)
            continue
        token = secrets.token_hex(8)
        job = replace(head.now, claim=token, again=False, tries=head.now.tries + 1, fault=fault)
        work.change(loaded, job, state=JobState.RUNNING, due_at=work.now + LEASE)
        work.about(patient_id=head.patient_id, subject=head.id, tries=job.tries)
        return Task(course_id=head.id, claim=token, last=job.last)
    return None


@use_case("jobs.finish", roles=(Role.SYSTEM,), adds=True)
def finish(work: Work, task: Task, made: Made | None) -> Written:
    """Keep what came of a job, or that nothing had changed (None), if the claim still holds.

    Raises: Conflict if another worker has the job, or the patient was erased.
    """
    loaded = _held(work, task)
    job = replace(loaded.now, claim=None, again=False, tries=0, fault=None)
    if made is not None:
        job = replace(job, last=_kept(work, loaded, made))
    work.about(made=made is not None)
    again = loaded.now.again
    state = JobState.WAITING if again else JobState.DONE
    return work.change(loaded, job, state=state, due_at=work.now if again else None)


@use_case("jobs.fail", roles=(Role.SYSTEM,), adds=True)
def fail(work: Work, task: Task, fault: str) -> Written:
    """A try failed: the job waits, or is given up after the last try; something new makes it wait no longer.

    Raises: Conflict if another worker has the job, or the patient was erased.
    """
    loaded = _held(work, task)
    job = replace(loaded.now, claim=None, fault=fault)
    if loaded.now.again:
        fresh = replace(job, again=False, tries=0)
        return work.change(loaded, fresh, state=JobState.WAITING, due_at=work.now)
    if job.tries >= MOST_TRIES:
        return work.change(loaded, job, state=JobState.GIVEN_UP)
    return work.change(loaded, job, state=JobState.WAITING, due_at=work.now + wait_after(job.tries))


def run_jobs(store: Store, *, end: Callable[[], bool] = lambda: False) -> int:
    """Make every forecast that is due in every clinic, one after the other; how many jobs were done.

    Args:
        store: of the installation.
        end: whether to end before the next job.
    Raises: StoreFault.
    """
    zones, count = {each.id: each.time_zone for each in store.clinics()}, 0
    for desk, task in taken_up(store, is_due=partial(_is_due, store), claim=claim, end=end):
        _work_on(desk, task, zone=zones[desk.actor.clinic_id])
        count += 1
    return count


def refresh_all(store: Store) -> int:
    """Ask for what is missing or old in every clinic; how many. Nothing old leaves nothing in the audit trail.

    Raises: StoreFault.
    """
    count = 0
    for clinic in store.clinics():
        desk = Desk(store=store, actor=program(clinic.id))
        with store.read(clinic.id) as tx:
            old = _old(Work(tx=tx, actor=desk.actor))
        count += refresh(desk) if old else 0
    return count


def keep_running(store: Store, *, wait: Callable[[float], bool]) -> None:
    """Work until told to end; a fault of the records ends no more than one round.

    Planned trials come after the forecasts, and let those that become due meanwhile go first.

    Args:
        store: of the installation.
        wait: waits some seconds, and says whether to end.
    """
    refreshed: datetime | None = None
    pause = 0.0

    def ends() -> bool:
        return wait(0.0)

    def forecasts() -> None:
        run_jobs(store, end=ends)

    while not wait(pause):
        pause = LOOK_EVERY_S
        try:
            now = store.clock()
            if refreshed is None or now - refreshed >= REFRESH_EVERY:
                refresh_all(store)
                refreshed = now
            forecasts()
            run_designs(store, meanwhile=forecasts, end=ends)
        except StoreFault as fault:
            say("jobs.away", code=fault.code)


def make_forecast(
    course: CourseRecord, booked: list[RecordedSession], *, population: str, digest: str, now: datetime
) -> Made:
    """One patient's forecast, or why there is none; takes from a fraction of a second to some seconds."""
    try:
        answer = forecast_course(course, booked=booked, now=now)
    except AfterglowError as refused:
        return Made(digest=digest, population=population, refused=refused.message, answer=None)
    found = answer.forecast
    refused_for = found.reason or "no forecast" if found.trajectory is None else None
    return Made(digest=digest, population=population, refused=refused_for, answer=answer)


def _work_on(desk: Desk, task: Task, *, zone: str) -> None:
    """One job from records to answer; whatever goes wrong is told to the job, never with a word of the patient."""
    began = time.perf_counter()
    try:
        made = _made(desk.store, desk.actor.clinic_id, task, zone=zone)
    except StoreFault:
        raise
    except Exception as fault:  # noqa: BLE001  its message may quote a patient's data, so only its kind is told
        with suppress(Conflict, NotFound):
            state = fail(desk, task, f"the forecast failed ({type(fault).__name__})").state
            say("job.failed", course=task.course_id, kind=type(fault).__name__, state=state)
        return
    with suppress(Conflict, NotFound):  # another worker has it, or the patient was erased meanwhile
        finish(desk, task, made)
        say(
            "job.done",
            course=task.course_id,
            made="nothing new" if made is None else "refused" if made.refused is not None else "forecast",
            seconds=round(time.perf_counter() - began, 3),
        )


def _made(store: Store, clinic_id: str, task: Task, *, zone: str) -> Made | None:
    """The answer; None where the last one rests on the same and is not old."""
    with store.read(clinic_id, snapshot=True) as tx:
        work = Work(tx=tx, actor=program(clinic_id))
        course, now = work.load(TreatmentCourse, task.course_id).now, tx.now
        population = _population(course)
        try:
            record, booked = recorded_course(work, course, zone=zone)
        except StoreFault:
            raise
        except AfterglowError as refused:
            digest = _digest(refused.message)
            return (
                None
                if _is_last(task, digest, population, now)
                else Made(digest=digest, population=population, refused=refused.message, answer=None)
            )
    digest = _digest([to_data(record), to_data(booked)])
    if _is_last(task, digest, population, now):
        return None
    return make_forecast(record, booked, population=population, digest=digest, now=now)


def _is_last(task: Task, digest: str, population: str, now: datetime) -> bool:
    last = task.last
    if last is None or now - last.made_at >= FRESH_FOR:
        return False
    return (last.digest, last.population) == (digest, population)


def _kept(work: Work, loaded: Loaded[ForecastJob], made: Made) -> ForecastSummary:
    """The forecast as a fact, its picture, and what lists need of it."""
    course_id, patient_id = loaded.id, loaded.patient_id
    found = None if made.answer is None else made.answer.forecast
    record = ForecastRecord(
        course_id=course_id,
        digest=made.digest,
        population=made.population,
        program=__version__,
        refused=made.refused,
        forecast=None if found is None else replace(found, trajectory=None),
    )
    record_id = work.write(record, patient_id=patient_id, subject=course_id)
    if made.answer is not None and made.refused is None:
        picture, old = ForecastPicture(made_at=work.now, answer=made.answer), work.find(ForecastPicture, course_id)
        if old is None:
            work.add(picture, id=course_id, patient_id=patient_id)
        else:
            work.change(old, picture)
    due = None if found is None or made.refused is not None else found.next_due
    begin, end = (None, None) if due is None else (due.at_half_h, due.at_twice_h)
    return ForecastSummary(
        record_id=record_id,
        made_at=work.now,
        digest=made.digest,
        population=made.population,
        refused=made.refused,
        next_due_at=None if found is None else _due_at(found),
        next_due_from=None if found is None or begin is None else found.given.at(begin),
        next_due_until=None if found is None or end is None else found.given.at(end),
        relapse=None if found is None or found.relapse is None else found.relapse.state,
    )


def _due_at(found: Forecast) -> datetime | None:
    """By when the next session is due; where the limit is passed already, from when the forecast starts."""
    due, relapse = found.next_due, found.relapse
    if due is None or relapse is None:
        return None
    if due.on_h is not None:
        return found.given.at(due.on_h)
    unexplained = any(each.code is WarningCode.UNEXPLAINED for each in found.warnings)
    passed = relapse.state is RelapseState.WELL and bool(relapse.p_by_day) and relapse.p_by_day[0][1] >= due.limit
    return found.given.at(found.given.now_h) if passed and not unexplained else None


def _held(work: Work, task: Task) -> Loaded[ForecastJob]:
    loaded = work.load(ForecastJob, task.course_id)
    if loaded.now.claim != task.claim:
        raise Conflict("Another worker has the job", observed=task.course_id)
    return loaded


def _old(work: Work) -> tuple[TreatmentCourse, ...]:
    """Open courses whose forecast is to be asked for."""
    jobs = {each.id: each for each in work.every(ForecastJob)}
    found = []
    for each in work.every(TreatmentCourse, states=_OPEN):
        job = jobs.get(each.id)
        if job is None:
            found.append(each.now)
            continue
        last = job.now.last
        if job.state != JobState.DONE or last is None:
            continue
        aged = each.now.state in _TREATED and work.now - last.made_at >= FRESH_FOR
        if aged or last.population != _population(each.now):
            found.append(each.now)
    return tuple(found)


def _population(course: TreatmentCourse) -> str:
    """Version of the virtual patients of what is treated; empty where no model exists."""
    try:
        return load_population(condition_of(course)).version
    except AfterglowError:
        return ""


def _is_due(store: Store, clinic_id: str) -> bool:
    with store.read(clinic_id) as tx:
        return facts.is_due(tx, ForecastJob, states=(JobState.WAITING, JobState.RUNNING), until=tx.now)


def _digest(data: object) -> str:
    return sha256(canonical(data)).hexdigest()
