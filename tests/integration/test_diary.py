"""What the diary's pages read: days with names, one booking, who can be booked, and the next free time."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from tests.integration.care import book, candidate, desk, in_induction, later, now, open_clinic, register
from tests.integration.desks import at_work, without_policy

from afterglow.clinic import Chair, Closure, Delivery, Role
from afterglow.errors import NotFound, NotPermitted, OutOfRange
from afterglow.store.records import Store
from afterglow.usecases import diary, people, policies

NURSE, COORDINATOR, DIRECTOR = Role.NURSE, Role.COORDINATOR, Role.MEDICAL_DIRECTOR
NINE = datetime(2026, 1, 7, 8, tzinfo=UTC)  # nine o'clock in Zurich, on a Wednesday


@pytest.fixture
def north(store: Store) -> Store:
    made = at_work(store)
    open_clinic(made)
    return made


def at(store: Store, when: datetime) -> float:
    """Minutes from now until a time."""
    return (when - now(store)).total_seconds() / 60


def test_a_day_shows_names_and_what_was_cancelled(north: Store) -> None:
    _, anna = in_induction(north)
    berta_id, berta = in_induction(north, name="Berta Muster")
    first = book(north, anna, minutes=at(north, NINE))
    second = book(north, berta, minutes=at(north, NINE), chair="c2")
    office = desk(north, COORDINATOR)
    diary.cancel_booking(office, second, reason="ill")
    shown = diary.show_diary(office, since=NINE, until=NINE + timedelta(days=1)).shown
    assert [(each.name, each.number, each.booking.state) for each in shown.booked] == [
        ("Anna Berger", 1, "booked"),
        ("Berta Muster", 1, "cancelled"),
    ]
    assert (shown.opens_hour, shown.closes_hour) == (8, 18)
    found = {each.name: (each.next_at, each.booking_id) for each in diary.list_bookable(office).shown}
    assert found == {"Anna Berger": (NINE, first), "Berta Muster": (None, None)}
    one = diary.read_booking(office, first).shown
    assert (one.name, one.course_id) == ("Anna Berger", anna)
    with pytest.raises(OutOfRange):
        diary.show_diary(office, since=NINE, until=NINE)
    people.restrict_chart(desk(north, Role.COMPLIANCE), berta_id, team=_team(north))
    again = diary.show_diary(office, since=NINE, until=NINE + timedelta(days=1)).shown
    assert [(each.name, each.booking.patient_id) for each in again.booked][1] == (None, "")
    with pytest.raises(NotPermitted):
        diary.read_booking(office, second)


def test_the_next_free_time_is_one_that_can_be_booked(north: Store) -> None:
    _, anna = in_induction(north)
    _, berta = in_induction(north, name="Berta Muster")
    office = desk(north, COORDINATOR)
    held = book(north, anna, minutes=at(north, NINE))
    wanted: dict[str, Any] = {"chair_id": "c1", "starts_at": NINE, "dose_minutes": 40.0}
    free = diary.find_free(office, berta, **wanted).shown
    assert free is not None
    assert (free.chair_id, free.starts_at) == ("c2", NINE)  # another chair before another time
    policies.set_chairs(desk(north, DIRECTOR), (Chair(id="c1", deliveries=(Delivery.IV,)),), capacity=1)
    free = diary.find_free(office, berta, **wanted).shown
    assert free is not None
    assert free.starts_at == NINE + timedelta(minutes=130 + 10)
    assert diary.book_session(office, berta, chair_id="c1", starts_at=free.starts_at, dose_minutes=40).id
    moved = diary.find_free(office, anna, chair_id="c1", starts_at=NINE + timedelta(minutes=60), moving=held).shown
    assert moved is not None
    assert moved.starts_at == free.until + timedelta(minutes=10)
    late = diary.find_free(office, berta, **(wanted | {"starts_at": NINE + timedelta(hours=8)})).shown
    assert late is not None
    assert f"{late.starts_at:%d %H:%M}" == "08 07:00"  # eight in the morning, the day after
    later(north, 3 * 24 * 60)
    past = diary.find_free(office, berta, **wanted).shown
    assert past is not None
    assert past.starts_at > now(north)


def test_where_no_time_helps_none_is_offered(north: Store) -> None:
    _, anna = in_induction(north)
    shut = Closure(starts_at=NINE - timedelta(days=3), until=NINE + timedelta(days=60), reason="building")
    chairs = (Chair(id="c1", deliveries=(Delivery.IV,)),)
    policies.set_chairs(desk(north, DIRECTOR), chairs, capacity=1, closures=(shut,))
    office = desk(north, COORDINATOR)
    assert diary.find_free(office, anna, chair_id="c1", starts_at=NINE, dose_minutes=40).shown is None


def test_an_infusion_of_days_begins_in_the_opening_hours(north: Store) -> None:
    _, anna = in_induction(north)
    office = desk(north, COORDINATOR)
    night = NINE + timedelta(hours=14)
    free = diary.find_free(office, anna, chair_id="c1", starts_at=night, dose_minutes=24 * 60).shown
    assert free is not None
    assert f"{free.starts_at:%d %H:%M}" == "08 07:00"


def test_a_clinic_gets_ready_step_by_step(store: Store) -> None:
    empty = at_work(store)
    director = desk(empty, DIRECTOR, clinic="south")
    with pytest.raises(NotFound):
        diary.show_diary(director, since=NINE, until=NINE + timedelta(days=1))
    ready = policies.read_readiness(director).shown
    assert (ready.people, ready.policy, ready.diary, ready.help_lines, ready.has_course) == ((), 0, None, None, False)
    open_clinic(empty)
    policies.set_help_lines(desk(empty, DIRECTOR), policies.HelpLines(emergency="911", clinic="555 0142"))
    people.add_person(desk(empty, Role.ADMINISTRATOR), "nora", name="Nora", roles=(NURSE,))
    candidate(empty, register(empty))
    ready = policies.read_readiness(desk(empty, DIRECTOR)).shown
    assert (ready.people, ready.has_course) == ((NURSE,), True)
    assert set(ready.consent_forms) == {Delivery.ESK, Delivery.IV}
    assert ready.help_lines is not None
    assert ready.diary is not None


def test_without_a_signed_policy_the_guide_says_so(store: Store) -> None:
    bare = without_policy(store)
    assert policies.read_readiness(desk(bare, DIRECTOR)).shown.policy is None


def _team(store: Store) -> tuple[str, ...]:
    people.add_person(desk(store, Role.ADMINISTRATOR), "nora", name="Nora", roles=(NURSE,))
    return ("nora",)
