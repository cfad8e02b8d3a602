"""A day of the diary as rows: what is free, and where the clinic is closed."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from afterglow.clinic import Booking, BookingState, Chair, Delivery, Diary
from afterglow.usecases.diary import Booked, DiaryPage
from afterglow.web.day_table import Cell, day_rows

OPENS = datetime(2026, 11, 27, 8, tzinfo=UTC)
FIRST = OPENS - timedelta(hours=1)  # somebody comes at seven


def booked(number: int, start: float, end: float, state: str = "booked", chair: str = "1") -> Booked:
    held = Booking(
        id=f"b{number}",
        patient_id=f"p{number}",
        chair_id=chair,
        delivery=Delivery.ESK,
        starts_at=OPENS + timedelta(minutes=start),
        until=OPENS + timedelta(minutes=end),
        state=BookingState(state),
    )
    return Booked(booking=held, name="A", course_id="c", number=1)


def cells(*held: Booked) -> dict[str, list[Cell]]:
    chairs = tuple(Chair(id=each, deliveries=(Delivery.ESK,)) for each in ("1", "2"))
    shown = DiaryPage(
        diary=Diary(chairs=chairs, capacity=2, bookings=tuple(each.booking for each in held)),
        booked=held,
        opens_hour=8,
        closes_hour=18,
        turnaround_minutes=15,
    )
    last = OPENS + timedelta(hours=10)
    rows = day_rows(shown, FIRST, last, (OPENS, last), OPENS + timedelta(hours=5))
    assert all(sum(each.rows for _, row in rows for each in row if each.chair == chair.id) == 44 for chair in chairs)
    return {chair.id: [each for _, row in rows for each in row if each.chair == chair.id] for chair in chairs}


def test_a_gap_in_the_middle_of_the_day_is_not_closed() -> None:
    """One left at 11:34 and the next sits at 11:45: no time to book in, and no closed clinic either."""
    found = cells(booked(1, 60, 214, "left"), booked(2, 225, 375))["1"]
    assert [each.closed for each in found] == ["outside opening hours", *[None] * (len(found) - 1)]
    gap = found[3]
    assert (gap.booked, gap.rows, gap.until) == (None, 1, OPENS + timedelta(minutes=225))


def test_every_chair_is_closed_before_the_opening_hours() -> None:
    found = cells(booked(1, -60, 90))
    free = found["2"]
    assert [(each.rows, each.closed) for each in free] == [(4, "outside opening hours"), (40, None)]
    assert free[1].starts_at == OPENS
    assert found["1"][0].booked is not None
