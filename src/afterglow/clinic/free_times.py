"""Free times: the next one within opening hours at which a booking fits."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, time, timedelta, tzinfo

from afterglow.clinic.diary import Booking, Diary, find_conflicts
from afterglow.clinic.policy import SitePolicy

_LOOK_AHEAD_DAYS = 28  # for a free time; Assumption: who waits longer asks anew
_STEP_MIN = 5  # free times are offered at whole steps of the clock


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

    >>> from afterglow.clinic.diary import Chair
    >>> from afterglow.clinic.policy import demo_policy
    >>> from afterglow.clinic.rulebook import Delivery
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
        if not is_open(start, start + length, policy, zone):
            continue
        for chair in chairs:
            tried = replace(wanted, chair_id=chair, starts_at=start, until=start + length)
            if not find_conflicts(diary, tried, policy=policy, enrolled=enrolled):
                return tried
    return None


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


def is_open(starts_at: datetime, until: datetime, policy: SitePolicy, zone: tzinfo) -> bool:
    """Whether a time lies in the opening hours of one day; what is longer than a day begins in them.

    >>> from datetime import timedelta
    >>> from afterglow.clinic.policy import demo_policy
    >>> start = datetime(2026, 1, 10, 20, 30, tzinfo=UTC)
    >>> is_open(start, start + timedelta(hours=2), demo_policy(), UTC)
    False
    """
    begin, end = starts_at.astimezone(zone), until.astimezone(zone)
    opens, closes = policy.number("diary.opens_hour"), policy.number("diary.closes_hour")
    first = begin.hour + begin.minute / 60
    if not opens <= first < closes:
        return False
    longer = (until - starts_at) > timedelta(hours=closes - opens)
    return longer or (begin.date() == end.date() and end.hour + end.minute / 60 <= closes)
