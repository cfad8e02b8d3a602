"""A day of the diary as rows of slots: what stands in which chair, what is free, what is closed."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta

from afterglow.clinic import Booking, BookingState
from afterglow.usecases.diary import Booked, DiaryPage

SLOT = timedelta(minutes=15)
SHOWN = (BookingState.BOOKED, BookingState.ARRIVED, BookingState.LEFT)


@dataclass(frozen=True, slots=True, kw_only=True)
class Cell:
    """A stretch of one chair's day: a booking, a closure, or free time; as many rows as it has slots."""

    chair: str
    rows: int
    starts_at: datetime
    until: datetime
    booked: Booked | None = None
    closed: str | None = None


def day_rows(
    shown: DiaryPage, first: datetime, last: datetime, opening: tuple[datetime, datetime], now: datetime
) -> list[tuple[datetime, list[Cell]]]:
    """The day as rows of slots: each cell stands in the row in which it starts, and spans the rows that it takes.

    The chair of a patient who has left is free from now on, and from where the next one sits.
    """
    count = max(1, round((last - first) / SLOT))
    starting: list[list[Cell]] = [[] for _ in range(count)]
    opens = (round((opening[0] - first) / SLOT), round((opening[1] - first) / SLOT))
    gap = timedelta(minutes=shown.turnaround_minutes)
    for chair in shown.diary.chairs:
        mine = [each for each in shown.booked if each.booking.chair_id == chair.id and each.booking.state in SHOWN]
        held = [(e.booking.starts_at, _frees(e.booking, mine, now), e, None) for e in mine]
        shut = [
            (max(each.starts_at, first), min(each.until, last), None, each.reason)
            for each in shown.diary.closures
            if each.chair_id in {None, chair.id} and each.starts_at < last and each.until > first
        ]
        row, free = 0, first
        for starts, until, booked, closed in sorted([*held, *shut], key=lambda each: each[0]):
            begin, end = (min(count, max(0, round((each - first) / SLOT))) for each in (starts, until))
            begin = max(begin, row)
            end = min(count, max(end, begin + 1))
            if begin >= count or end <= row:
                continue
            if begin > row:
                for at, cell in _free(chair.id, rows=(row, begin), between=(free, starts), opens=opens, first=first):
                    starting[at].append(cell)
            cell = Cell(chair=chair.id, rows=end - begin, starts_at=starts, until=until, booked=booked, closed=closed)
            starting[begin].append(cell)
            row, free = end, until if booked is None else next_slot(until + gap, timedelta(minutes=5))
        if row < count:
            for at, cell in _free(chair.id, rows=(row, count), between=(free, last), opens=opens, first=first):
                starting[at].append(cell)
    return [(first + n * SLOT, cells) for n, cells in enumerate(starting)]


def _free(
    chair: str,
    *,
    rows: tuple[int, int],
    between: tuple[datetime, datetime],
    opens: tuple[int, int],
    first: datetime,
) -> Iterator[tuple[int, Cell]]:
    """Rows that nothing takes: closed before and after the opening hours, in each chair alike, and free between.

    What is offered begins once the chair is ready again; a gap in which it never is offers nothing.
    """
    row, upto = rows
    begin, end = (min(upto, max(row, each)) for each in opens)
    for start, stop, is_open in ((row, begin, False), (begin, end, True), (end, upto, False)):
        if start < stop:
            until = between[1] if stop == upto else first + stop * SLOT
            starts = max(between[0], first + start * SLOT) if is_open else first + start * SLOT
            why = None if is_open else "outside opening hours"
            yield start, Cell(chair=chair, rows=stop - start, starts_at=starts, until=until, closed=why)


def _frees(booking: Booking, beside: list[Booked], now: datetime) -> datetime:
    """When a chair is free again."""
    if booking.state is not BookingState.LEFT:
        return booking.until
    later = (e.booking.starts_at for e in beside if e.booking.starts_at > booking.starts_at)
    return min(booking.until, max(now, booking.starts_at), *later)


def next_slot(at: datetime, slot: timedelta = SLOT) -> datetime:
    """The next whole slot of the hour, or the time itself where it is one.

    >>> from datetime import UTC
    >>> f"{next_slot(datetime(2026, 1, 5, 9, 31, tzinfo=UTC)):%H:%M}"
    '09:45'
    """
    hour = at.replace(minute=0, second=0, microsecond=0)
    return hour + slot * -((hour - at) // slot)
