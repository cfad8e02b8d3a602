"""The diary: chairs, blocks per drug, bookings; a conflict is explained, never silently moved."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta, tzinfo
from enum import StrEnum

from afterglow.clinic.acting import Act, Outcome, Role, Row, StateTable, chair_words
from afterglow.clinic.dosing import LONGEST_MIN
from afterglow.clinic.policy import SitePolicy
from afterglow.clinic.rulebook import Delivery, rule
from afterglow.clinic.ruling import Finding, Verdict, judge
from afterglow.clinic.thresholds import comparisons
from afterglow.clinic.typed import check_utc, typed
from afterglow.errors import BookingRefused, Conflict, NotFound, OutOfRange, TooEarly, WrongOrder, WrongState, echo
from afterglow.predicates import Fact

_EARLY = timedelta(hours=12)  # Assumption: who comes earlier than this comes on another day
_LONGEST = timedelta(minutes=LONGEST_MIN)
_AHEAD = timedelta(days=730)  # Assumption: beyond two years a typing slip
_NO_NURSE = 10  # nobody watches: over any limit


class BookingState(StrEnum):
    """Where a booking is; left: the chair is free again."""

    BOOKED = "booked"
    ARRIVED = "arrived"
    LEFT = "left"
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
        Row(
            states=(BookingState.NO_SHOW,),
            event="undo_no_show",
            to=BookingState.BOOKED,
            roles=_DESK,
            guard="the chair is still free",
            reason=True,
        ),
        Row(states=(BookingState.ARRIVED,), event="leave", to=BookingState.LEFT, roles=_DESK),
        Row(
            states=(BookingState.ARRIVED,),
            event="stay",
            to=None,
            roles=_DESK,
            guard="longer than booked; who is in the way is told, nobody is moved",
            reason=True,
        ),
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
            f"The length of the infusion is {'refused' if dose_minutes else 'missing'}",
            observed=f"{dose_minutes:g} min of {delivery.words}" if dose_minutes else None,
            allowed=f"the minutes it runs, up to {_LONGEST.days} days" if delivery in infused else "none: not infused",
            about="minutes",
        )
    (nasal,) = comparisons(rule("S031").when)
    names = {Delivery.IV: "S061.iv_minutes", Delivery.IM: "S061.im_sc_minutes", Delivery.SC: "S061.im_sc_minutes"}
    observe = policy.number(names.get(delivery, "diary.observe_other_minutes"))
    if delivery is Delivery.ESK:
        observe = float(nasal.value)  # type: ignore[arg-type]  # the label's two hours, from the first device
    return timedelta(minutes=policy.number("diary.prepare_minutes") + dose_minutes + observe)


def find_conflicts(
    diary: Diary,
    wanted: Booking,
    *,
    policy: SitePolicy,
    enrolled: bool | None = None,
    at: datetime | None = None,
    zone: tzinfo = UTC,
) -> tuple[BookingConflict, ...]:
    """Everything that stands against a booking; empty if it fits. An earlier version of itself does not count.

    Args:
        diary: as it is.
        wanted: the booking.
        policy: in force now.
        enrolled: whether the patient is enrolled in the risk programme (C060); asked for intranasal esketamine alone.
        at: now, so that whoever sits in a chair past the booked end counts as sitting there; None looks at the plan.
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
    others = [_sitting(each, at) for each in diary.active if each.id != wanted.id]
    found = []
    chair = next((each for each in diary.chairs if each.id == wanted.chair_id), None)
    if chair is None or wanted.delivery not in chair.deliveries:
        what = f"{chair_words(wanted.chair_id)} is not for {wanted.delivery.words}"
        text = what if chair else "there is no such chair"
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
            where = chair_words(each.chair_id)
            text = f"{where} is taken {_span(each, zone)}, with {gap.seconds // 60} min to turn around"
            if at is not None and diary.booking(each.id).until < at <= each.until:
                came = f"{each.starts_at.astimezone(zone):%H:%M}"
                text = f"{where} is still taken by who came for {came} and has not left"
            found.append(BookingConflict(kind=ConflictKind.CHAIR_TAKEN, text=text, booking_id=each.id))
        if each.patient_id == wanted.patient_id and _overlap(each, wanted, timedelta(0)):
            text = f"the patient is booked {_span(each, zone)}"
            found.append(BookingConflict(kind=ConflictKind.PATIENT_TAKEN, text=text, booking_id=each.id))
    for closure in diary.closures:
        if (
            closure.chair_id in {None, wanted.chair_id}
            and closure.starts_at < wanted.until
            and wanted.starts_at < closure.until
        ):
            text = f"closed until {closure.until.astimezone(zone):%a %-d %b, %H:%M}: {closure.reason}"
            found.append(BookingConflict(kind=ConflictKind.CLOSED, text=text))
    if (most := _most_at_once(others, wanted)) + 1 > diary.capacity:
        text = f"{most} patients are in chairs then, and staff can watch {diary.capacity}"
        found.append(BookingConflict(kind=ConflictKind.CAPACITY, text=text))
    return tuple(found)


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

    Raises: NotPermitted; Conflict for an id used already; OutOfRange without a patient, for a block
        without length, over two weeks, in the past or over two years ahead; BookingRefused naming every conflict.

    >>> from afterglow.clinic.examples import POLICY, at, diary, nurse
    >>> time = {"starts_at": at(350), "until": at(500)}
    >>> wanted = Booking(id="b3", patient_id="p3", chair_id="A", delivery=Delivery.ESK, **time)
    >>> len(book(diary(), wanted, nurse(), policy=POLICY, enrolled=True).now.active)
    3
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

    >>> from afterglow.clinic.examples import POLICY, at, diary, nurse
    >>> asked = nurse(reason="asked for the afternoon")
    >>> moved = move_booking(diary(), "b1", asked, chair_id="A", starts_at=at(400), policy=POLICY, enrolled=True).now
    >>> moved.booking("b1").until == at(550)
    True
    """
    old = diary.booking(booking_id)
    step = BOOKING.step(old.state, "move", act, subject=booking_id)
    check_utc(starts_at, what="The time of a booking")
    wanted = replace(old, chair_id=chair_id, starts_at=starts_at, until=starts_at + (old.until - old.starts_at))
    _check_fits(diary, wanted, act, policy, enrolled=enrolled, zone=zone)
    return Outcome(now=_replaced(diary, wanted), written=(step, wanted))


def overstay(diary: Diary, booking_id: str, act: Act, *, until: datetime) -> Outcome[Diary]:
    """Somebody stays in the chair longer than booked, with a reason; the block ends later, whoever is in the way.

    Nobody is moved: `clashes` says whom it holds up, so that somebody decides.

    Raises: NotFound, WrongState, NotPermitted, MissingValue; WrongOrder for an end that is not later; OutOfRange for
        one beyond two weeks.

    >>> from afterglow.clinic.examples import POLICY, at, diary, nurse
    >>> late = overstay(diary("arrived"), "b1", nurse(150, reason="sedated"), until=at(240)).now
    >>> [each.text for each in clashes(late, "b1", policy=POLICY)]
    ['chair A is taken Mon 5 Jan, 12:00 to 14:30 UTC, with 10 min to turn around']
    """
    old = diary.booking(booking_id)
    step = BOOKING.step(old.state, "stay", act, subject=booking_id)
    check_utc(until, what="The end of a booking")
    if until <= max(old.until, act.at):
        raise WrongOrder(
            "Who stays longer leaves later",
            observed=f"until {until:%Y-%m-%d %H:%M} UTC",
            allowed=f"after {max(old.until, act.at):%Y-%m-%d %H:%M} UTC",
        )
    if until - old.starts_at > _LONGEST:
        raise OutOfRange("The end of the booking is refused", observed=f"{until:%Y-%m-%d}", allowed="within two weeks")
    later = replace(old, until=until)
    return Outcome(now=_replaced(diary, later), written=(step, later))


def clashes(diary: Diary, booking_id: str, *, policy: SitePolicy, zone: tzinfo = UTC) -> tuple[BookingConflict, ...]:
    """Bookings that a booking as it stands is in the way of: of its chair, its patient, or what staff can watch.

    Raises: NotFound.

    >>> from afterglow.clinic.examples import POLICY, diary
    >>> clashes(diary(), "b1", policy=POLICY)
    ()
    """
    kinds = {ConflictKind.CHAIR_TAKEN, ConflictKind.PATIENT_TAKEN, ConflictKind.CAPACITY}
    found = find_conflicts(diary, diary.booking(booking_id), policy=policy, enrolled=True, zone=zone)
    return tuple(each for each in found if each.kind in kinds)


def undo_no_show(
    diary: Diary,
    booking_id: str,
    act: Act,
    *,
    policy: SitePolicy,
    enrolled: bool | None = None,
    chair_id: str | None = None,
    zone: tzinfo = UTC,
) -> Outcome[Diary]:
    """A no-show that was none, with a reason: the booking stands again, in its chair or in another that is free.

    Raises: NotFound, WrongState, NotPermitted, MissingValue; BookingRefused where the chair was given away.

    >>> from afterglow.clinic.examples import POLICY, diary, nurse
    >>> gone = end_booking(diary(), "b1", "no_show", nurse(20, reason="not here")).now
    >>> back = undo_no_show(gone, "b1", nurse(25, reason="sat in the wrong room"), policy=POLICY, enrolled=True).now
    >>> back.booking("b1").state.value
    'booked'
    """
    old = diary.booking(booking_id)
    step = BOOKING.step(old.state, "undo_no_show", act, subject=booking_id)
    again = replace(old, state=BookingState.BOOKED, chair_id=chair_id or old.chair_id)
    _check_free(diary, again, act, policy, enrolled=enrolled, zone=zone)
    return Outcome(now=_replaced(diary, again), written=(step, again))


def end_booking(diary: Diary, booking_id: str, event: str, act: Act) -> Outcome[Diary]:
    """`arrive`, `leave` (the chair is free from now on), `cancel` or `no_show`; the last two with a reason.

    Raises: NotFound, WrongState, NotPermitted, MissingValue; TooEarly for an arrival on an earlier day, or a no-show
        before its time; BookingRefused for an arrival in a chair whose last patient has not left.

    >>> from afterglow.clinic.examples import diary, nurse
    >>> end_booking(diary("arrived"), "b1", "leave", nurse(120)).now.booking("b1").state.value
    'left'
    """
    old = diary.booking(booking_id)
    if event not in {"arrive", "leave", "cancel", "no_show"}:
        raise WrongState(
            "This does not end a booking",
            rule="booking",
            observed=echo(event),
            allowed="arrive, leave, cancel, no_show",
            next_step="Use the act of its own",
        )
    earliest = {"arrive": old.starts_at - _EARLY, "no_show": old.starts_at}.get(event)
    if earliest is not None and act.at < earliest:
        raise TooEarly(
            f"The booking cannot be marked {event.replace('_', ' ')} yet",
            rule="booking",
            observed=f"{act.at:%Y-%m-%d %H:%M} UTC",
            allowed=f"from {earliest:%Y-%m-%d %H:%M} UTC on",
        )
    step = BOOKING.step(old.state, event, act, subject=booking_id)
    if event == "arrive":
        _check_empty(diary, old)
    ended = replace(old, state=BookingState(step.after))
    if event == "leave":  # who stayed longer than anybody entered held the chair until now
        ended = replace(ended, until=max(act.at, old.starts_at))
    return Outcome(now=_replaced(diary, ended), written=(step,))


def _check_fits(
    diary: Diary, wanted: Booking, act: Act, policy: SitePolicy, *, enrolled: bool | None, zone: tzinfo
) -> None:
    if not wanted.patient_id.strip():
        raise OutOfRange("A booking is for a patient", observed="nobody", about="patient_id")
    long, ahead = wanted.until - wanted.starts_at, wanted.starts_at - act.at
    if not (timedelta(0) < long <= _LONGEST and timedelta(0) <= ahead <= _AHEAD):
        raise OutOfRange(
            "The time of the booking is refused",
            observed=f"{wanted.starts_at.astimezone(zone):%a %-d %b %Y, %H:%M}, {long / timedelta(hours=1):.3g} h long",
            allowed=f"from now on, within {_AHEAD.days // 365} years; over 0 h, up to {_LONGEST.days} days long",
            about="starts_at",
        )
    _check_free(diary, wanted, act, policy, enrolled=enrolled, zone=zone)


def _check_free(
    diary: Diary, wanted: Booking, act: Act, policy: SitePolicy, *, enrolled: bool | None, zone: tzinfo
) -> None:
    conflicts = find_conflicts(diary, wanted, policy=policy, enrolled=enrolled, at=act.at, zone=zone)
    if conflicts:
        raise BookingRefused(
            f"The booking {_span(wanted, zone)} does not fit",
            rule=conflicts[0].kind,
            observed="; ".join(each.text for each in conflicts),
            next_step="Take another time or chair",
            about="starts_at",
        )


def _check_empty(diary: Diary, coming: Booking) -> None:
    for each in diary.bookings:
        if each.state is BookingState.ARRIVED and each.chair_id == coming.chair_id and each.id != coming.id:
            raise BookingRefused(
                f"Somebody sits in {chair_words(coming.chair_id)} and has not left",
                rule=ConflictKind.CHAIR_TAKEN,
                observed=f"who came for {each.starts_at:%Y-%m-%d %H:%M} UTC",
                allowed="one patient in a chair",
                next_step="Move this booking to another chair, or end the visit of the first",
            )


def _replaced(diary: Diary, booking: Booking) -> Diary:
    return replace(diary, bookings=tuple(booking if each.id == booking.id else each for each in diary.bookings))


def _sitting(booking: Booking, at: datetime | None) -> Booking:
    """A booking with the end it has in truth: who has arrived and not left still sits there."""
    stays = at is not None and booking.state is BookingState.ARRIVED and booking.until < at
    return replace(booking, until=at) if stays and at is not None else booking


def _overlap(one: Booking, other: Booking, gap: timedelta) -> bool:
    return one.starts_at < other.until + gap and other.starts_at < one.until + gap


def _most_at_once(others: list[Booking], wanted: Booking) -> int:
    inside = [each for each in others if _overlap(each, wanted, timedelta(0))]
    moments = [wanted.starts_at, *(each.starts_at for each in inside if each.starts_at > wanted.starts_at)]
    return max(sum(each.starts_at <= moment < each.until for each in inside) for moment in moments)


def _span(booking: Booking, zone: tzinfo) -> str:
    begin, end = booking.starts_at.astimezone(zone), booking.until.astimezone(zone)
    return f"{begin:%a %-d %b, %H:%M} to {end:%H:%M}{' UTC' if zone is UTC else ''}"
