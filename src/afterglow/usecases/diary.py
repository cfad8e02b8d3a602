"""The diary: sessions booked into chairs, moved, cancelled; two people never book the same chair."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta

from afterglow.clinic import (
    BOOKING,
    SESSION,
    Act,
    Booking,
    BookingConflict,
    BookingState,
    CourseState,
    Delivery,
    Diary,
    Finding,
    Outcome,
    Role,
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
    next_free,
    overstay,
    undo_miss,
    undo_no_show,
)
from afterglow.clinic.free_times import is_open
from afterglow.errors import NotFound, OutOfRange, WrongState
from afterglow.store import facts, patients
from afterglow.store.records import new_id
from afterglow.usecases.desk import roles_of, use_case, view
from afterglow.usecases.patients import known_fact
from afterglow.usecases.work import CARE, DIARY, Loaded, Work, Written

_DESK = roles_of(BOOKING, "move")
_BOOKABLE = (CourseState.AUTHORISATION, CourseState.INDUCTION, CourseState.REINDUCTION, CourseState.MAINTENANCE)
_LONGEST = timedelta(days=93)
_WEEK = timedelta(days=7)
_AHEAD = timedelta(days=28)  # how far a free time is looked for
_LONGEST_BLOCK = timedelta(days=15)  # an infusion of days holds its chair
_HELD = (BookingState.BOOKED, BookingState.ARRIVED)


@dataclass(frozen=True, slots=True, kw_only=True)
class Booked:
    """A booking as a page shows it; without patient, name and course for a chart that is closed to whoever looks."""

    booking: Booking
    name: str | None
    course_id: str | None
    number: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class DiaryPage:
    """Some days of the diary: chairs and closures, every booking that begins in them, and the opening hours."""

    diary: Diary
    booked: tuple[Booked, ...]
    opens_hour: float
    closes_hour: float
    turnaround_minutes: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Bookable:
    """A course that a session may be booked for, its planned length of an infusion, and its next session if booked."""

    course_id: str
    patient_id: str
    name: str
    born_on: date | None
    delivery: Delivery
    infusion_min: float | None
    state: CourseState
    next_at: datetime | None
    booking_id: str | None


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
    course, wanted = _wanted(work, course_id, id or new_id(), chair_id, starts_at, dose_minutes)
    if course.state not in _BOOKABLE:
        raise WrongState(
            "No session is booked for this course",
            rule="diary.book",
            observed=f"it is {course.state}",
            allowed=", ".join(_BOOKABLE),
        )
    plan, policy = _plan(work), work.policy_or_defaults()
    diary = _diary(work, plan, wanted.starts_at, wanted.until)
    enrolled = _enrolled(work, course.patient_id)
    outcome = book(diary, wanted, work.act(), policy=policy, enrolled=enrolled, zone=work.zone)
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
    enrolled = _enrolled(work, loaded.now.patient_id)
    outcome = move_booking(
        diary,
        booking_id,
        act,
        chair_id=chair_id,
        starts_at=starts_at,
        policy=policy,
        enrolled=enrolled,
        zone=work.zone,
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
    course, wanted = _wanted(work, course_id, "wanted", chair_id, starts_at, dose_minutes)
    diary, policy = _diary(work, _plan(work), wanted.starts_at, wanted.until), work.policy_or_defaults()
    enrolled = _enrolled(work, course.patient_id)
    return find_conflicts(diary, wanted, policy=policy, enrolled=enrolled, at=work.now, zone=work.zone)


@view("diary.warnings", roles=_DESK)
def list_warnings(
    work: Work, course_id: str, *, chair_id: str, starts_at: datetime, dose_minutes: float = 0.0
) -> tuple[Finding, ...]:
    """What to know before a booking that fits all the same: more infusions at once than the nurses can watch."""
    _, wanted = _wanted(work, course_id, "wanted", chair_id, starts_at, dose_minutes)
    diary = _diary(work, _plan(work), wanted.starts_at, wanted.until)
    return booking_warnings(diary, wanted, policy=work.policy_or_defaults())


@view("diary.hours", roles=_DESK)
def outside_hours(
    work: Work, course_id: str, *, starts_at: datetime, dose_minutes: float = 0.0, moving: str | None = None
) -> str | None:
    """The opening hours in words, where a session of a course would lie outside them: allowed, but asked about first.

    `moving` is a booking that would move there, with the length that it has. None where it lies inside.

    Raises: NotFound.
    """
    wanted = _wanted(work, course_id, "wanted", "", starts_at, dose_minutes)[1] if moving is None else None
    held = wanted or work.load(Booking, moving or "").now
    policy = work.policy_or_defaults()
    if is_open(starts_at, starts_at + (held.until - held.starts_at), policy, work.zone):
        return None
    return f"{policy.number('diary.opens_hour'):02.0f}:00 to {policy.number('diary.closes_hour'):02.0f}:00"


@view("diary.next_free", roles=_DESK)
def find_free(
    work: Work,
    course_id: str,
    *,
    chair_id: str,
    starts_at: datetime,
    dose_minutes: float = 0.0,
    moving: str | None = None,
) -> Booking | None:
    """The next time, from one on, at which a session of a course fits.

    `moving` is a booking that would move there, with the length that it has.

    Raises: NotFound.
    """
    minute = work.now.replace(second=0, microsecond=0)
    soonest = max(starts_at, minute + timedelta(minutes=5 - minute.minute % 5))  # a time that can still be typed
    policy = work.policy_or_defaults()
    if moving is None:
        _, wanted = _wanted(work, course_id, "wanted", chair_id, soonest, dose_minutes)
    else:
        held = work.load(Booking, moving).now
        until = soonest + (held.until - held.starts_at)
        wanted = replace(held, chair_id=chair_id, starts_at=soonest, until=until)
    diary = _diary(work, _plan(work), soonest, soonest + _AHEAD)
    enrolled = _enrolled(work, wanted.patient_id)
    return next_free(diary, wanted, policy=policy, enrolled=enrolled, zone=work.zone)


@view("diary.show", roles=(*CARE, Role.COORDINATOR))
def show_diary(work: Work, *, since: datetime, until: datetime) -> DiaryPage:
    """As `diary.read`, with who each booking is for and its session; what was cancelled or missed too.

    Raises: OutOfRange for more than 93 days; NotFound before chairs are set.
    """
    if not timedelta(0) < until - since <= _LONGEST:
        raise OutOfRange("The days are refused", allowed=f"up to {_LONGEST.days} days")
    plan, policy = _plan(work), work.policy_or_defaults()
    heads = facts.load_all(work.tx, Booking, due_from=since, due_until=until)
    booked = [_booked(work, head.now) for head in heads if head.now is not None]
    work.patient_id = work.subject = None
    return DiaryPage(
        diary=plan.now,
        booked=tuple(sorted(booked, key=lambda each: (each.booking.starts_at, each.booking.chair_id))),
        opens_hour=policy.number("diary.opens_hour"),
        closes_hour=policy.number("diary.closes_hour"),
        turnaround_minutes=policy.number("diary.turnaround_minutes"),
    )


@view("diary.booking", roles=(*CARE, Role.COORDINATOR))
def read_booking(work: Work, booking_id: str) -> Booked:
    """One booking, with who it is for.

    Raises: NotFound, NotPermitted.
    """
    return _booked(work, work.load(Booking, booking_id).now)


@view("diary.bookable", roles=_DESK)
def list_bookable(work: Work) -> tuple[Bookable, ...]:
    """Every course that a session may be booked for, by the patient's name."""
    held = work.every(Booking, states=(BookingState.BOOKED,))
    coming = {each.id: each.now for each in held if each.now.starts_at >= work.now}
    courses = {each.id: each.now.course_id for each in work.every(TreatmentSession, states=("booked",))}
    found = []
    bookable = work.every(TreatmentCourse, states=_BOOKABLE)
    who = patients.load_some(work.tx, (each.now.patient_id for each in bookable))
    for each in bookable:
        course, known = each.now, who[each.now.patient_id].identifiers
        mine = [booking for id_, booking in coming.items() if courses.get(id_) == course.id]
        first = min(mine, key=lambda booking: booking.starts_at, default=None)
        found.append(
            Bookable(
                course_id=course.id,
                patient_id=course.patient_id,
                name="" if known is None else known.name,
                born_on=None if known is None else known.born_on,
                delivery=course.delivery,
                infusion_min=None if course.plan is None else course.plan.infusion_min,
                state=course.state,
                next_at=None if first is None else first.starts_at,
                booking_id=None if first is None else first.id,
            )
        )
    work.patient_id = work.subject = None
    return tuple(sorted(found, key=lambda each: (each.name.casefold(), each.course_id)))


def arrived(work: Work, booking_id: str) -> None:
    """The booking of a session whose patient is here, in a chair that is empty.

    Raises: BookingRefused while another patient sits there.
    """
    loaded = work.find(Booking, booking_id)
    if loaded is not None and loaded.now.state is BookingState.BOOKED:
        sitting = facts.load_all(work.tx, Booking, states=(BookingState.ARRIVED,))
        bookings = (loaded.now, *(head.now for head in sitting if head.now is not None))
        diary = Diary(chairs=(), capacity=0, bookings=bookings)
        _keep(work, _plan(work), loaded, end_booking(diary, booking_id, "arrive", work.act()), booking_id)


@use_case("diary.undo_no_show", roles=roles_of(SESSION, "undo_miss"), adds=True)
def undo_missed(work: Work, booking_id: str, *, reason: str, chair_id: str | None = None) -> Written:
    """A no-show that was none: booking and session stand again, in the same chair or in another that is free.

    Raises: NotFound, WrongState, MissingValue; BookingRefused where the chair was given away.
    """
    loaded, session, plan = work.load(Booking, booking_id), work.load(TreatmentSession, booking_id), _plan(work)
    policy, act = work.policy_or_defaults(), work.act(reason)
    diary = _diary(work, plan, loaded.now.starts_at, loaded.now.until, also=loaded.now)
    enrolled = _enrolled(work, loaded.now.patient_id)
    outcome = undo_no_show(diary, booking_id, act, policy=policy, enrolled=enrolled, chair_id=chair_id, zone=work.zone)
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
    held_up = clashes(outcome.now, booking_id, policy=work.policy_or_defaults(), zone=work.zone)
    written = _keep(work, plan, loaded, outcome, booking_id)
    ids = tuple(dict.fromkeys(each.booking_id for each in held_up if each.booking_id is not None))
    return Written(id=written.id, version=written.version, state=written.state, also=ids)


@view("diary.clashes", roles=(*CARE, Role.COORDINATOR))
def list_clashes(work: Work, booking_id: str) -> tuple[BookingConflict, ...]:
    """Which bookings a booking as it stands holds up, in words; empty if none."""
    loaded = work.load(Booking, booking_id)
    diary = _diary(work, _plan(work), loaded.now.starts_at, loaded.now.until, also=loaded.now)
    return clashes(diary, booking_id, policy=work.policy_or_defaults(), zone=work.zone)


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


def _wanted(
    work: Work,
    course_id: str,
    id: str,  # noqa: A002
    chair_id: str,
    starts_at: datetime,
    dose_minutes: float,
) -> tuple[TreatmentCourse, Booking]:
    """A course, and the booking that somebody wants for it: as long as drug and route need."""
    course = work.load(TreatmentCourse, course_id).now
    length = block(course.delivery, dose_minutes=dose_minutes, policy=work.policy_or_defaults())
    wanted = Booking(
        id=id,
        patient_id=course.patient_id,
        chair_id=chair_id,
        delivery=course.delivery,
        starts_at=starts_at,
        until=starts_at + length,
        dose_minutes=dose_minutes,
    )
    return course, wanted


def _booked(work: Work, booking: Booking) -> Booked:
    if booking.patient_id in work.hidden:
        return Booked(booking=replace(booking, patient_id=""), name=None, course_id=None, number=None)
    known = patients.load(work.tx, booking.patient_id).identifiers
    session = work.find(TreatmentSession, booking.id)
    return Booked(
        booking=booking,
        name="" if known is None else known.name,
        course_id=None if session is None else session.now.course_id,
        number=None if session is None else session.now.number,
    )


def _enrolled(work: Work, patient_id: str) -> bool | None:
    """Whether the record says that the patient is enrolled in the risk programme."""
    told = known_fact(work, patient_id, "rems.patient_enrolled")
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
