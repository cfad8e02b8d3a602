"""The diary: sessions booked into chairs, moved, cancelled; two people never book the same chair."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from datetime import datetime, timedelta

from afterglow.clinic import (
    BOOKING,
    SESSION,
    Act,
    Booking,
    BookingConflict,
    BookingState,
    CourseState,
    Diary,
    Finding,
    Outcome,
    Role,
    SitePolicy,
    TreatmentCourse,
    TreatmentSession,
    block,
    book,
    booking_warnings,
    cancel,
    clashes,
    end_booking,
    find_conflicts,
    move_booking,
    overstay,
    undo_miss,
    undo_no_show,
)
from afterglow.errors import NotFound, OutOfRange, WrongState
from afterglow.store import facts
from afterglow.store.records import new_id
from afterglow.usecases.desk import roles_of, use_case, view
from afterglow.usecases.patients import known_facts_of
from afterglow.usecases.policies import DIARY
from afterglow.usecases.work import CARE, Loaded, Work, Written

_DESK = roles_of(BOOKING, "move")
_BOOKABLE = (CourseState.AUTHORISATION, CourseState.INDUCTION, CourseState.REINDUCTION, CourseState.MAINTENANCE)
_LONGEST = timedelta(days=93)
_WEEK = timedelta(days=7)
_LONGEST_BLOCK = timedelta(days=15)  # an infusion of days holds its chair
_HELD = (BookingState.BOOKED, BookingState.ARRIVED)


@use_case("diary.book", roles=_DESK, adds=True)
def book_session(
    work: Work,
    course_id: str,
    *,
    chair_id: str,
    starts_at: datetime,
    dose_minutes: float = 0.0,
    id: str | None = None,  # noqa: A002
) -> Written:
    """The next session of a course, in a chair at a time, for as long as drug and route need; both have one id.

    `dose_minutes` is the length of an infusion; `id` is given where the caller makes it (work without a line).

    Raises: NotFound; WrongState for a course that is not treated; OutOfRange, BookingRefused naming every conflict.
    """
    course = work.load(TreatmentCourse, course_id).now
    if course.state not in _BOOKABLE:
        raise WrongState(
            "No session is booked for this course",
            rule="diary.book",
            observed=f"it is {course.state}",
            allowed=", ".join(_BOOKABLE),
        )
    policy = work.policy_or_defaults()
    until = starts_at + block(course.delivery, dose_minutes=dose_minutes, policy=policy)
    wanted = Booking(
        id=id or new_id(),
        patient_id=course.patient_id,
        chair_id=chair_id,
        delivery=course.delivery,
        starts_at=starts_at,
        until=until,
        dose_minutes=dose_minutes,
    )
    plan = _plan(work)
    diary = _diary(work, plan, wanted.starts_at, wanted.until)
    enrolled = _enrolled(work, course.patient_id, policy)
    outcome = book(diary, wanted, work.act(), policy=policy, enrolled=enrolled)
    _keep(work, plan, None, outcome, wanted.id)
    others = _sessions(work, course)
    session = TreatmentSession(
        id=wanted.id,
        patient_id=course.patient_id,
        course_id=course.id,
        delivery=course.delivery,
        drug=course.drug,
        number=1 + max((each.number for each in others), default=0),
        week=1 + max(0, int((starts_at - (course.induced_at or starts_at)) // _WEEK)),
        planned_at=starts_at,
    )
    written = work.add(session, id=session.id, patient_id=course.patient_id, state=session.state, due_at=starts_at)
    work.about(subject=session.id)
    return written


@use_case("diary.move", roles=roles_of(BOOKING, "move"), adds=True)
def move(work: Work, booking_id: str, *, chair_id: str, starts_at: datetime, reason: str) -> Written:
    """Another chair or time for a booked session, of the same length.

    Raises: NotFound, WrongState, MissingValue, BookingRefused.
    """
    loaded, plan = work.load(Booking, booking_id), _plan(work)
    length = loaded.now.until - loaded.now.starts_at
    diary = _diary(work, plan, starts_at, starts_at + length, also=loaded.now)
    act, policy = work.act(reason), work.policy_or_defaults()
    enrolled = _enrolled(work, loaded.now.patient_id, policy)
    outcome = move_booking(
        diary, booking_id, act, chair_id=chair_id, starts_at=starts_at, policy=policy, enrolled=enrolled
    )
    session = work.load(TreatmentSession, booking_id)
    work.change(session, replace(session.now, planned_at=starts_at), state=session.state, due_at=starts_at)
    return _keep(work, plan, loaded, outcome, booking_id)


@use_case("diary.cancel", roles=roles_of(BOOKING, "cancel"), adds=True)
def cancel_booking(work: Work, booking_id: str, *, reason: str) -> Written:
    """A session that will not be: booking and session are cancelled.

    Raises: NotFound, WrongState, MissingValue.
    """
    return _end(work, booking_id, "cancel", "cancel", reason)


@use_case("diary.no_show", roles=tuple(set(roles_of(BOOKING, "no_show")) - {Role.PRESCRIBER}), adds=True)
def no_show(work: Work, booking_id: str, *, reason: str) -> Written:
    """The patient did not come: the session counts as missed.

    Raises: NotFound, WrongState, MissingValue.
    """
    return _end(work, booking_id, "no_show", "miss", reason)


@view("diary.read", roles=(*CARE, Role.COORDINATOR))
def read_diary(work: Work, *, since: datetime, until: datetime) -> Diary:
    """Chairs, bookings and closures of some days; bookings of restricted charts hold their chair without a patient.

    Raises: OutOfRange for more than 93 days; NotFound before chairs are set.
    """
    if not timedelta(0) < until - since <= _LONGEST:
        raise OutOfRange("The days are refused", allowed=f"up to {_LONGEST.days} days")
    return _diary(work, _plan(work), since, until, shown=True)


@view("diary.conflicts", roles=_DESK)
def list_conflicts(
    work: Work, course_id: str, *, chair_id: str, starts_at: datetime, dose_minutes: float = 0.0
) -> tuple[BookingConflict, ...]:
    """What stands against a booking before it is made; empty if it fits."""
    course, policy = work.load(TreatmentCourse, course_id).now, work.policy_or_defaults()
    wanted = Booking(
        id="wanted",
        patient_id=course.patient_id,
        chair_id=chair_id,
        delivery=course.delivery,
        starts_at=starts_at,
        until=starts_at + block(course.delivery, dose_minutes=dose_minutes, policy=policy),
        dose_minutes=dose_minutes,
    )
    diary = _diary(work, _plan(work), wanted.starts_at, wanted.until)
    enrolled = _enrolled(work, course.patient_id, policy)
    return find_conflicts(diary, wanted, policy=policy, enrolled=enrolled, at=work.now)


@view("diary.warnings", roles=_DESK)
def list_warnings(
    work: Work, course_id: str, *, chair_id: str, starts_at: datetime, dose_minutes: float = 0.0
) -> tuple[Finding, ...]:
    """What to know before a booking that fits all the same: more infusions at once than the nurses can watch."""
    course, policy = work.load(TreatmentCourse, course_id).now, work.policy_or_defaults()
    wanted = Booking(
        id="wanted",
        patient_id=course.patient_id,
        chair_id=chair_id,
        delivery=course.delivery,
        starts_at=starts_at,
        until=starts_at + block(course.delivery, dose_minutes=dose_minutes, policy=policy),
        dose_minutes=dose_minutes,
    )
    diary = _diary(work, _plan(work), wanted.starts_at, wanted.until)
    return booking_warnings(diary, wanted, policy=policy)


def arrived(work: Work, booking_id: str) -> None:
    """The booking of a session whose patient is here."""
    loaded = work.find(Booking, booking_id)
    if loaded is not None and loaded.now.state is BookingState.BOOKED:
        diary = Diary(chairs=(), capacity=0, bookings=(loaded.now,))
        _keep(work, None, loaded, end_booking(diary, booking_id, "arrive", work.act()), booking_id)


@use_case("diary.undo_no_show", roles=roles_of(SESSION, "undo_miss"), adds=True)
def undo_missed(work: Work, booking_id: str, *, reason: str, chair_id: str | None = None) -> Written:
    """A no-show that was none: booking and session stand again, in the same chair or in another that is free.

    Raises: NotFound, WrongState, MissingValue; BookingRefused where the chair was given away.
    """
    loaded, session, plan = work.load(Booking, booking_id), work.load(TreatmentSession, booking_id), _plan(work)
    policy, act = work.policy_or_defaults(), work.act(reason)
    diary = _diary(work, plan, loaded.now.starts_at, loaded.now.until, also=loaded.now)
    enrolled = _enrolled(work, loaded.now.patient_id, policy)
    outcome = undo_no_show(diary, booking_id, act, policy=policy, enrolled=enrolled, chair_id=chair_id)
    back = undo_miss(session.now, act)
    work.keep(session, back, state=back.now.state, due_at=back.now.planned_at)
    return _keep(work, plan, loaded, outcome, booking_id)


@use_case("diary.stay", roles=roles_of(BOOKING, "stay"), adds=True)
def stay_longer(work: Work, booking_id: str, *, until: datetime, reason: str) -> Written:
    """Somebody stays in the chair longer than booked; `also` holds the bookings that are held up by it.

    Raises: NotFound, WrongState, WrongOrder, MissingValue.
    """
    loaded, plan = work.load(Booking, booking_id), _plan(work)
    diary = _diary(work, plan, loaded.now.starts_at, until, also=loaded.now)
    outcome = overstay(diary, booking_id, work.act(reason), until=until)
    held_up = clashes(outcome.now, booking_id, policy=work.policy_or_defaults())
    written = _keep(work, plan, loaded, outcome, booking_id)
    ids = tuple(dict.fromkeys(each.booking_id for each in held_up if each.booking_id is not None))
    return Written(id=written.id, version=written.version, state=written.state, also=ids)


@view("diary.clashes", roles=(*CARE, Role.COORDINATOR))
def list_clashes(work: Work, booking_id: str) -> tuple[BookingConflict, ...]:
    """Which bookings a booking as it stands holds up, in words; empty if none."""
    loaded = work.load(Booking, booking_id)
    diary = _diary(work, _plan(work), loaded.now.starts_at, loaded.now.until, also=loaded.now)
    return clashes(diary, booking_id, policy=work.policy_or_defaults())


def vacated(work: Work, booking_id: str) -> None:
    """The chair of a session whose patient has left, or gets no dose today, is free."""
    loaded = work.find(Booking, booking_id)
    if loaded is not None and loaded.now.state is BookingState.ARRIVED:
        diary = Diary(chairs=(), capacity=0, bookings=(loaded.now,))
        _keep(work, None, loaded, end_booking(diary, booking_id, "leave", work.act()), booking_id)


def released(work: Work, booking_id: str, act: Act) -> None:
    """The booking of a session that was cancelled before its patient came."""
    loaded = work.find(Booking, booking_id)
    if loaded is not None and loaded.now.state is BookingState.BOOKED:
        diary = Diary(chairs=(), capacity=0, bookings=(loaded.now,))
        _keep(work, None, loaded, end_booking(diary, booking_id, "cancel", act), booking_id)


def _enrolled(work: Work, patient_id: str, policy: SitePolicy) -> bool | None:
    """Whether the record says that the patient is enrolled in the risk programme."""
    told = known_facts_of(work, patient_id, policy=policy).get("rems.patient_enrolled")
    return told if isinstance(told, bool) else None


def _end(work: Work, booking_id: str, event: str, of_session: str, reason: str) -> Written:
    loaded, session = work.load(Booking, booking_id), work.load(TreatmentSession, booking_id)
    act = work.act(reason)
    diary = Diary(chairs=(), capacity=0, bookings=(loaded.now,))
    ended = cancel(session.now, act, event=of_session)
    work.keep(session, ended, state=ended.now.state)
    return _keep(work, None, loaded, end_booking(diary, booking_id, event, act), booking_id)


def _plan(work: Work) -> Loaded[Diary]:
    found = work.find(Diary, DIARY)
    if found is None:
        raise NotFound("The clinic has no chairs yet", next_step="Set chairs and staff first")
    return found


def _diary(
    work: Work,
    plan: Loaded[Diary],
    since: datetime,
    until: datetime,
    *,
    also: Booking | None = None,
    shown: bool = False,
) -> Diary:
    """The diary with every booking near some hours, of all patients: a chair is taken whoever sits in it."""
    states = (*_HELD, BookingState.LEFT) if shown else _HELD  # a day's page shows who has left, too
    heads = facts.load_all(
        work.tx, Booking, states=states, due_from=since - _LONGEST_BLOCK, due_until=until + _LONGEST_BLOCK
    )
    bookings = [head.now for head in heads if head.now is not None]
    if also is not None and also.id not in {each.id for each in bookings}:
        bookings.append(also)
    if shown:
        bookings = [each if each.patient_id not in work.hidden else replace(each, patient_id="") for each in bookings]
    return replace(plan.now, bookings=tuple(bookings))


def _keep(
    work: Work, plan: Loaded[Diary] | None, loaded: Loaded[Booking] | None, outcome: Outcome[Diary], booking_id: str
) -> Written:
    """The booking as it is now; saving the plan too makes two bookings at once stand in line."""
    now = outcome.now.booking(booking_id)
    for fact in outcome.written:
        work.write(fact, patient_id=now.patient_id, subject=booking_id)
    if plan is not None:
        work.change(plan, plan.now)
    if loaded is None:
        return work.add(now, id=now.id, patient_id=now.patient_id, state=now.state, due_at=now.starts_at)
    return work.change(loaded, now, state=now.state, due_at=now.starts_at)


def _sessions(work: Work, course: TreatmentCourse) -> Iterable[TreatmentSession]:
    return [
        each.now
        for each in work.every(TreatmentSession, patient_id=course.patient_id)
        if each.now.course_id == course.id
    ]
