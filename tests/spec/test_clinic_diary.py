"""The diary follows the day: chairs freed early, stays that are longer, a no-show that was none."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from tests import clinic_cases as cases
from tests.clinic_cases import POLICY, at, nurse

from afterglow.clinic import (
    Booking,
    BookingState,
    Chair,
    Delivery,
    Diary,
    SessionState,
    book,
    cancel,
    clashes,
    end_booking,
    find_conflicts,
    overstay,
    undo_miss,
    undo_no_show,
)
from afterglow.errors import AfterglowError, BookingRefused, MissingValue, OutOfRange, WrongOrder, WrongState


def booking(name: str, starts: float, *, chair: str = "A", state: str = "booked") -> Booking:
    """Two and a half hours of intranasal esketamine."""
    return Booking(
        id=name,
        patient_id=f"p{name}",
        chair_id=chair,
        delivery=Delivery.ESK,
        starts_at=at(starts),
        until=at(starts + 150),
        state=BookingState(state),
    )


def diary(*bookings: Booking) -> Diary:
    chairs = tuple(Chair(id=name, deliveries=(Delivery.ESK,)) for name in ("A", "B"))
    return Diary(chairs=chairs, capacity=2, bookings=bookings)


def booked(plan: Diary, wanted: Booking, minutes: float) -> Diary:
    return book(plan, wanted, nurse(minutes), policy=POLICY, enrolled=True).now


def test_a_chair_takes_the_next_patient_when_the_one_before_has_left() -> None:
    plan = diary(booking("1", 0, state="arrived"), booking("2", 160), booking("3", 160, chair="B"))
    with pytest.raises(BookingRefused, match="Somebody sits in chair A and has not left"):
        end_booking(plan, "2", "arrive", nurse(160))
    assert end_booking(plan, "3", "arrive", nurse(160)).now.booking("3").state is BookingState.ARRIVED
    left = end_booking(plan, "1", "leave", nurse(165)).now
    assert end_booking(left, "2", "arrive", nurse(165)).now.booking("2").state is BookingState.ARRIVED


def test_a_chair_is_free_when_its_patient_has_left() -> None:
    here = end_booking(diary(booking("1", 0)), "1", "arrive", nurse(0)).now
    wanted = booking("2", 100)
    with pytest.raises(BookingRefused, match="chair A is taken"):
        booked(here, wanted, 80)
    left = end_booking(here, "1", "leave", nurse(85)).now
    assert left.booking("1").state is BookingState.LEFT
    assert left.booking("1").until == at(85)
    assert len(booked(left, wanted, 86).active) == 1
    with pytest.raises(WrongState):
        end_booking(left, "1", "leave", nurse(90))


def test_who_has_not_left_still_sits_there_past_the_booked_end() -> None:
    late = diary(booking("1", 0, state="arrived"))
    with pytest.raises(BookingRefused, match="still taken by who came for 09:00 and has not left"):
        booked(late, booking("2", 200), 195)
    assert booked(late, booking("2", 206), 195)  # ten minutes to turn around, and it is hoped that they leave
    assert booked(late, booking("2", 200, chair="B"), 195)
    gone = end_booking(late, "1", "leave", nurse(196)).now
    assert gone.booking("1").until == at(196)  # the chair was held until then


def test_a_longer_stay_holds_the_chair_and_says_whom_it_holds_up() -> None:
    plan = diary(booking("1", 0, state="arrived"), booking("2", 170), booking("3", 0, chair="B", state="arrived"))
    assert clashes(plan, "1", policy=POLICY) == ()
    outcome = overstay(plan, "1", nurse(140, reason="still sedated"), until=at(200))
    assert outcome.now.booking("1").until == at(200)
    assert outcome.now.booking("2") == plan.booking("2")  # nobody is moved
    (clash,) = clashes(outcome.now, "1", policy=POLICY)
    assert clash.booking_id == "2"
    assert clash.text == "chair A is taken Mon 2 Mar, 11:50 to 14:20 UTC, with 10 min to turn around"
    assert [each.booking_id for each in clashes(outcome.now, "2", policy=POLICY)] == ["1"]


@pytest.mark.parametrize(
    ("state", "minutes", "until", "reason", "error"),
    [
        ("booked", 140, 200, "sedated", WrongState),
        ("arrived", 140, 150, "sedated", WrongOrder),
        ("arrived", 210, 200, "sedated", WrongOrder),
        ("arrived", 140, 200, None, MissingValue),
        ("arrived", 140, 60 * 24 * 15, "sedated", OutOfRange),
    ],
)
def test_stays_that_are_refused(
    state: str, minutes: float, until: float, reason: str | None, error: type[AfterglowError]
) -> None:
    with pytest.raises(error):
        overstay(diary(booking("1", 0, state=state)), "1", nurse(minutes, reason=reason), until=at(until))


def undone(plan: Diary, minutes: float = 40, **changes: Any) -> Diary:
    given = {"policy": POLICY, "enrolled": True, **changes}
    return undo_no_show(plan, "1", nurse(minutes, reason="sat in the wrong room"), **given).now


def test_a_no_show_that_was_none_stands_again_if_its_chair_is_free() -> None:
    missed = end_booking(diary(booking("1", 0)), "1", "no_show", nurse(30, reason="not here")).now
    assert undone(missed).booking("1") == booking("1", 0)
    with pytest.raises(MissingValue):
        undo_no_show(missed, "1", nurse(40), policy=POLICY, enrolled=True)
    given_away = booked(missed, booking("2", 35), 31)
    with pytest.raises(BookingRefused, match="chair A is taken"):
        undone(given_away)
    assert undone(given_away, chair_id="B").booking("1").chair_id == "B"
    with pytest.raises(WrongState):
        undone(diary(booking("1", 0)))
    assert end_booking(undone(missed), "1", "arrive", nurse(41)).now.booking("1").state is BookingState.ARRIVED


def test_the_session_of_such_a_no_show_is_booked_again() -> None:
    missed = cancel(cases.booked(), nurse(60, reason="not here"), event="miss").now
    assert missed.state is SessionState.MISSED
    again = undo_miss(missed, nurse(61, reason="sat in the wrong room")).now
    assert again.state is SessionState.BOOKED
    assert replace(again, last_at=None) == cases.booked()
    with pytest.raises(MissingValue):
        undo_miss(missed, nurse(61))


def test_a_plan_is_looked_at_without_the_hour() -> None:
    late = diary(booking("1", 0, state="arrived"))
    assert find_conflicts(late, booking("2", 200), policy=POLICY, enrolled=True) == ()
    assert find_conflicts(late, booking("2", 200), policy=POLICY, enrolled=True, at=at(195))


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"until": at(20161)}, OutOfRange),  # two weeks and a minute
        ({"starts_at": at(731 * 1440), "until": at(731 * 1440 + 150)}, OutOfRange),
        ({"patient_id": " "}, OutOfRange),
    ],
)
def test_a_slip_of_a_booking_is_refused(changes: dict[str, Any], error: type[AfterglowError]) -> None:
    with pytest.raises(error):
        booked(diary(), replace(booking("1", 0), **changes), 0)
    at_bounds: tuple[dict[str, Any], ...] = (
        {"until": at(20160)},
        {"starts_at": at(730 * 1440), "until": at(730 * 1440 + 150)},
    )
    for each in at_bounds:
        assert booked(diary(), replace(booking("1", 0), **each), 0).active
