"""The diary: chairs, blocks per drug, bookings; a conflict is explained, never silently moved."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, time, timedelta, tzinfo
from enum import StrEnum

from afterglow.clinic.acting import Act, Outcome, Role, Row, StateTable
from afterglow.clinic.dosing import LONGEST_MIN
from afterglow.clinic.policy import SitePolicy
from afterglow.clinic.rulebook import Delivery, comparisons, rule
from afterglow.clinic.ruling import Finding, Verdict, judge
from afterglow.clinic.typed import check_utc, typed
from afterglow.errors import BookingRefused, Conflict, NotFound, OutOfRange, TooEarly, WrongState, echo
from afterglow.predicates import Fact

_EARLY = timedelta(hours=12)  # Assumption: who comes earlier than this comes on another day
_NO_NURSE = 10  # nobody watches: over any limit
_LOOK_AHEAD_DAYS = 28  # for a free time; Assumption: who waits longer asks anew
_STEP_MIN = 5  # free times are offered at whole steps of the clock


class BookingState(StrEnum):
    """Where a booking is."""

    BOOKED = "booked"
    ARRIVED = "arrived"
    CANCELLED = "cancelled"
    NO_SHOW = "no_show"


_DESK = (Role.COORDINATOR, Role.NURSE, Role.PRESCRIBER)
BOOKING = StateTable(
    machine="booking",
    initial=BookingState.BOOKED,
    rows=(
        Row(states=(BookingState.BOOKED,), event="move", to=None, roles=_DESK, guard="no conflict", reason=True),
        Row(states=(BookingState.BOOKED,), event="arrive", to=BookingState.ARRIVED, roles=_DESK),
        Row(states=(BookingState.BOOKED,), event="cancel", to=BookingState.CANCELLED, roles=_DESK, reason=True),
        Row(states=(BookingState.BOOKED,), event="no_show", to=BookingState.NO_SHOW, roles=_DESK, reason=True),
    ),
)


@typed
@dataclass(frozen=True, slots=True, kw_only=True)
class Chair:
    """A chair or bed, and what may be given in it."""

    id: str
    deliveries: tuple[Delivery, ...]


@typed
@dataclass(frozen=True, slots=True, kw_only=True)
class Booking:
    """A block in a chair, `until` without the turnaround.

    Args:
        dose_minutes: length of the infusion that is planned; 0 for what is given at once.
    """

    id: str
    patient_id: str
    chair_id: str
    delivery: Delivery
    starts_at: datetime
    until: datetime
    dose_minutes: float = 0.0
    state: BookingState = BookingState.BOOKED


@typed
@dataclass(frozen=True, slots=True, kw_only=True)
class Closure:
    """A time in which nothing is booked; chair None closes the clinic."""

    starts_at: datetime
    until: datetime
    reason: str
    chair_id: str | None = None


class ConflictKind(StrEnum):
    """Why a booking does not fit."""

    CHAIR_TAKEN = "chair_taken"
    PATIENT_TAKEN = "patient_taken"
    NOT_EQUIPPED = "not_equipped"
    CLOSED = "closed"
    CAPACITY = "capacity"
    TOO_SHORT = "too_short"
    NOT_ENROLLED = "not_enrolled"


@dataclass(frozen=True, slots=True, kw_only=True)
class BookingConflict:
    """One reason, in words, with the booking that is in the way."""

    kind: ConflictKind
    text: str
    booking_id: str | None = None


@typed
@dataclass(frozen=True, slots=True, kw_only=True)
class Diary:
    """Chairs, bookings and closures of one clinic.

    Args:
        capacity: largest number of patients in chairs at once, by staff; one number for the clinic.
        nurses: who watch infusions at once; None is unknown, and then no warning can be given.
    """

    chairs: tuple[Chair, ...]
    capacity: int
    bookings: tuple[Booking, ...] = ()
    closures: tuple[Closure, ...] = ()
    nurses: int | None = None

    @property
    def active(self) -> tuple[Booking, ...]:
        """Bookings that hold their chair."""
        return tuple(each for each in self.bookings if each.state in {BookingState.BOOKED, BookingState.ARRIVED})

    def booking(self, booking_id: str) -> Booking:
        """One booking.

        Raises: NotFound.
        """
        for each in self.bookings:
            if each.id == booking_id:
                return each
        raise NotFound("No booking has this id", observed=echo(booking_id))


def block(delivery: Delivery, *, dose_minutes: float = 0.0, policy: SitePolicy) -> timedelta:
    """How long a chair is needed: check-in and screen, the dose, observation.

    Args:
        delivery: what is given.
        dose_minutes: length of an infusion.
        policy: in force now.
    Raises: OutOfRange for an infusion without a length.

    >>> from afterglow.clinic.policy import demo_policy
    >>> block(Delivery.ESK, policy=demo_policy()), block(Delivery.IV, dose_minutes=40, policy=demo_policy())
    (datetime.timedelta(seconds=9000), datetime.timedelta(seconds=7800))
    """
    infused = {Delivery.IV, Delivery.SC}
    too_long = not 0 <= dose_minutes <= LONGEST_MIN or (dose_minutes and delivery not in infused)
    if too_long or (delivery is Delivery.IV and not dose_minutes):
        raise OutOfRange(
            "The length of the infusion is refused",
            observed=f"{dose_minutes:g} min of {delivery.words}",
            allowed=f"over 0 to {LONGEST_MIN:g} min for infusions, 0 for the others",
        )
    (nasal,) = comparisons(rule("S031").when)
    names = {Delivery.IV: "S061.iv_minutes", Delivery.IM: "S061.im_sc_minutes", Delivery.SC: "S061.im_sc_minutes"}
    observe = policy.number(names.get(delivery, "diary.observe_other_minutes"))
    if delivery is Delivery.ESK:
        observe = float(nasal.value)  # type: ignore[arg-type]  # the label's two hours, from the first device
    return timedelta(minutes=policy.number("diary.prepare_minutes") + dose_minutes + observe)


def find_conflicts(
    diary: Diary, wanted: Booking, *, policy: SitePolicy, enrolled: bool | None = None, zone: tzinfo = UTC
) -> tuple[BookingConflict, ...]:
    """Everything that stands against a booking; empty if it fits. An earlier version of itself does not count.

    Args:
        diary: as it is.
        wanted: the booking.
        policy: in force now.
        enrolled: whether the patient is enrolled in the risk programme (C060); asked for intranasal esketamine alone.
        zone: of the times in the texts.

    >>> from afterglow.clinic.policy import demo_policy
    >>> nine = datetime(2026, 1, 5, 9, tzinfo=UTC)
    >>> wanted = Booking(id="b1", patient_id="p1", chair_id="A", delivery=Delivery.ESK, starts_at=nine,
    ...                  until=nine + timedelta(hours=1))
    >>> diary = Diary(chairs=(Chair(id="A", deliveries=(Delivery.ESK,)),), capacity=2)
    >>> [each.kind.value for each in find_conflicts(diary, wanted, policy=demo_policy(), enrolled=True)]
    ['too_short']
    """
    gap = timedelta(minutes=policy.number("diary.turnaround_minutes"))
    others = [each for each in diary.active if each.id != wanted.id]
    found = []
    chair = next((each for each in diary.chairs if each.id == wanted.chair_id), None)
    if chair is None or wanted.delivery not in chair.deliveries:
        text = f"chair {wanted.chair_id} is not for {wanted.delivery.words}" if chair else "there is no such chair"
        found.append(BookingConflict(kind=ConflictKind.NOT_EQUIPPED, text=text))
    needed = block(wanted.delivery, dose_minutes=wanted.dose_minutes, policy=policy)
    if wanted.until - wanted.starts_at < needed:
        text = f"{wanted.delivery.words} needs the chair for {needed.total_seconds() / 60:.0f} min"
        found.append(BookingConflict(kind=ConflictKind.TOO_SHORT, text=text))
    if wanted.delivery is Delivery.ESK and enrolled is not True:
        text = f"the patient is {'not' if enrolled is False else 'not known to be'} enrolled in the risk programme"
        found.append(BookingConflict(kind=ConflictKind.NOT_ENROLLED, text=text))
    for each in others:
        if each.chair_id == wanted.chair_id and _overlap(each, wanted, gap):
            text = f"chair {each.chair_id} is taken {_span(each, zone)}, with {gap.seconds // 60} min to turn around"
            found.append(BookingConflict(kind=ConflictKind.CHAIR_TAKEN, text=text, booking_id=each.id))
        if each.patient_id == wanted.patient_id and _overlap(each, wanted, timedelta(0)):
            text = f"the patient is booked {_span(each, zone)}"
            found.append(BookingConflict(kind=ConflictKind.PATIENT_TAKEN, text=text, booking_id=each.id))
    for closure in diary.closures:
        here = closure.chair_id in {None, wanted.chair_id}
        if here and closure.starts_at < wanted.until and wanted.starts_at < closure.until:
            text = f"closed until {closure.until.astimezone(zone):%Y-%m-%d %H:%M %Z}: {closure.reason}"
            found.append(BookingConflict(kind=ConflictKind.CLOSED, text=text))
    most = _most_at_once(others, wanted)
    if most + 1 > diary.capacity:
        text = f"{most} patients are in chairs then, and staff can watch {diary.capacity}"
        found.append(BookingConflict(kind=ConflictKind.CAPACITY, text=text))
    return tuple(found)


def next_free(
    diary: Diary, wanted: Booking, *, policy: SitePolicy, enrolled: bool | None = None, zone: tzinfo = UTC
) -> Booking | None:
    """The first time from the wanted one on, within opening hours, at which nothing stands against the booking.

    The wanted chair comes first where several are free. None where no time of the next 28 days fits, or where what
    stands against it is not a matter of time.

    Args:
        diary: with every booking and closure of those days.
        wanted: as it was asked for.
        policy: its `diary.opens_hour` and `diary.closes_hour` are hours of the clock in `zone`.
        enrolled: as in `find_conflicts`.
        zone: of the clinic.

    >>> from afterglow.clinic.policy import demo_policy
    >>> nine = datetime(2026, 1, 5, 9, tzinfo=UTC)
    >>> held = Booking(id="b1", patient_id="p1", chair_id="A", delivery=Delivery.ESK, starts_at=nine,
    ...                until=nine + timedelta(minutes=150))
    >>> diary = Diary(chairs=(Chair(id="A", deliveries=(Delivery.ESK,)),), capacity=2, bookings=(held,))
    >>> found = next_free(diary, replace(held, id="b2", patient_id="p2"), policy=demo_policy(), enrolled=True)
    >>> f"{found.starts_at:%H:%M}"
    '11:40'
    """
    chairs = sorted((each.id for each in diary.chairs), key=lambda each: each != wanted.chair_id)
    length = wanted.until - wanted.starts_at
    for start in sorted(set(_starts(diary, wanted, policy, zone))):
        if not _is_open(start, start + length, policy, zone):
            continue
        for chair in chairs:
            tried = replace(wanted, chair_id=chair, starts_at=start, until=start + length)
            if not find_conflicts(diary, tried, policy=policy, enrolled=enrolled):
                return tried
    return None


def booking_warnings(diary: Diary, wanted: Booking, *, policy: SitePolicy) -> tuple[Finding, ...]:
    """What to tell whoever books, though it stands against nothing: too many infusions for one nurse (S025).

    >>> from datetime import UTC
    >>> from afterglow.clinic.policy import demo_policy
    >>> nine = datetime(2026, 1, 5, 9, tzinfo=UTC)
    >>> wanted = Booking(id="b1", patient_id="p1", chair_id="A", delivery=Delivery.ESK, starts_at=nine,
    ...                  until=nine + timedelta(hours=3))
    >>> booking_warnings(Diary(chairs=(), capacity=1), wanted, policy=demo_policy())
    ()
    """
    if wanted.delivery is not Delivery.IV or diary.nurses is None:
        return ()
    others = [each for each in diary.active if each.id != wanted.id and each.delivery is Delivery.IV]
    infusions = _most_at_once(others, wanted) + 1
    facts: dict[str, Fact | None] = {
        "staff.iv_patients_per_rn": infusions / diary.nurses if diary.nurses else float(infusions) * _NO_NURSE,
        "session.minutes_since_infusion_start": 20,  # the first minutes are a matter of the day, not of the booking
    }
    found = judge(rule("S025"), facts, policy)
    return (found,) if found.verdict is Verdict.HIT else ()


def book(
    diary: Diary,
    wanted: Booking,
    act: Act,
    *,
    policy: SitePolicy,
    enrolled: bool | None = None,
    zone: tzinfo = UTC,
) -> Outcome[Diary]:
    """A new booking; `enrolled` and `zone` as in `find_conflicts`.

    Raises: NotPermitted; Conflict for an id used already; OutOfRange for a block without length or in the past;
        BookingRefused naming every conflict.
    """
    act.check_role(*_DESK, what="Booking")
    if wanted.id in {each.id for each in diary.bookings}:
        raise Conflict("A booking with this id exists", observed=echo(wanted.id))
    if wanted.state is not BookingState.BOOKED:
        raise OutOfRange("A new booking starts as booked", observed=wanted.state)
    _check_fits(diary, wanted, act, policy, enrolled=enrolled, zone=zone)
    return Outcome(now=replace(diary, bookings=(*diary.bookings, wanted)), written=(wanted,))


def move_booking(
    diary: Diary,
    booking_id: str,
    act: Act,
    *,
    chair_id: str,
    starts_at: datetime,
    policy: SitePolicy,
    enrolled: bool | None = None,
    zone: tzinfo = UTC,
) -> Outcome[Diary]:
    """Another chair or time, of the same length, with a reason; `enrolled` and `zone` as in `find_conflicts`.

    Raises: NotFound, WrongState, NotPermitted, MissingValue, BookingRefused.
    """
    old = diary.booking(booking_id)
    step = BOOKING.step(old.state, "move", act, subject=booking_id)
    check_utc(starts_at, what="The time of a booking")
    wanted = replace(old, chair_id=chair_id, starts_at=starts_at, until=starts_at + (old.until - old.starts_at))
    _check_fits(diary, wanted, act, policy, enrolled=enrolled, zone=zone)
    return Outcome(now=_replaced(diary, wanted), written=(step, wanted))


def end_booking(diary: Diary, booking_id: str, event: str, act: Act) -> Outcome[Diary]:
    """`arrive`, `cancel` or `no_show`; the last two with a reason.

    Raises: NotFound, WrongState, NotPermitted, MissingValue; TooEarly for an arrival on an earlier day, or a no-show
        before its time.
    """
    old = diary.booking(booking_id)
    if event == "move":
        raise WrongState("Moving a booking does not end it", rule="booking", next_step="Move it")
    earliest = {"arrive": old.starts_at - _EARLY, "no_show": old.starts_at}.get(event)
    if earliest is not None and act.at < earliest:
        raise TooEarly(
            f"The booking cannot be marked {event.replace('_', ' ')} yet",
            rule="booking",
            observed=f"{act.at:%Y-%m-%d %H:%M} UTC",
            allowed=f"from {earliest:%Y-%m-%d %H:%M} UTC on",
        )
    step = BOOKING.step(old.state, event, act, subject=booking_id)
    return Outcome(now=_replaced(diary, replace(old, state=BookingState(step.after))), written=(step,))


def _check_fits(
    diary: Diary, wanted: Booking, act: Act, policy: SitePolicy, *, enrolled: bool | None, zone: tzinfo
) -> None:
    if wanted.until <= wanted.starts_at or wanted.starts_at < act.at:
        raise OutOfRange(
            "The time of the booking is refused",
            observed=_span(wanted, zone),
            allowed="from now on, and with a length",
            about="starts_at",
        )
    conflicts = find_conflicts(diary, wanted, policy=policy, enrolled=enrolled, zone=zone)
    if conflicts:
        raise BookingRefused(
            f"The booking {_span(wanted, zone)} does not fit",
            rule=conflicts[0].kind,
            observed="; ".join(each.text for each in conflicts),
            next_step="Take another time or chair",
            about="starts_at",
        )


def _starts(diary: Diary, wanted: Booking, policy: SitePolicy, zone: tzinfo) -> Iterator[datetime]:
    """Every time at which something could become free, and each morning."""
    gap = timedelta(minutes=policy.number("diary.turnaround_minutes"))
    last = wanted.starts_at + timedelta(days=_LOOK_AHEAD_DAYS)
    opens = time(int(policy.number("diary.opens_hour")))
    mornings = (
        datetime.combine((wanted.starts_at + timedelta(days=day)).astimezone(zone).date(), opens, tzinfo=zone)
        for day in range(_LOOK_AHEAD_DAYS + 1)
    )
    ends = (each.until + wait for each in diary.active if each.id != wanted.id for wait in (timedelta(0), gap))
    for each in (wanted.starts_at, *mornings, *ends, *(closure.until for closure in diary.closures)):
        start = each.astimezone(UTC)
        over = start.replace(second=0, microsecond=0) - start.replace(minute=0, second=0, microsecond=0)
        late = -over.total_seconds() % (_STEP_MIN * 60)
        if start != wanted.starts_at and (late or start.second or start.microsecond):
            start = start.replace(second=0, microsecond=0) + timedelta(seconds=late or _STEP_MIN * 60)
        if wanted.starts_at <= start <= last:
            yield start


def _is_open(starts_at: datetime, until: datetime, policy: SitePolicy, zone: tzinfo) -> bool:
    """Whether a time lies in the opening hours of one day; what is longer than a day begins in them."""
    begin, end = starts_at.astimezone(zone), until.astimezone(zone)
    opens, closes = policy.number("diary.opens_hour"), policy.number("diary.closes_hour")
    first = begin.hour + begin.minute / 60
    if not opens <= first < closes:
        return False
    longer = (until - starts_at) > timedelta(hours=closes - opens)
    return longer or (begin.date() == end.date() and end.hour + end.minute / 60 <= closes)


def _replaced(diary: Diary, booking: Booking) -> Diary:
    return replace(diary, bookings=tuple(booking if each.id == booking.id else each for each in diary.bookings))


def _overlap(one: Booking, other: Booking, gap: timedelta) -> bool:
    return one.starts_at < other.until + gap and other.starts_at < one.until + gap


def _most_at_once(others: list[Booking], wanted: Booking) -> int:
    inside = [each for each in others if _overlap(each, wanted, timedelta(0))]
    moments = [wanted.starts_at, *(each.starts_at for each in inside if each.starts_at > wanted.starts_at)]
    return max(sum(each.starts_at <= moment < each.until for each in inside) for moment in moments)


def _span(booking: Booking, zone: tzinfo) -> str:
    begin, end = booking.starts_at.astimezone(zone), booking.until.astimezone(zone)
    return f"{begin:%Y-%m-%d %H:%M} to {end:%H:%M %Z}"
