"""The diary in the browser: book, conflicts with the next free time, move, cancel, no-show, undo, calendar file."""

from __future__ import annotations

from datetime import date, datetime, timedelta
from typing import Any

import pytest
from tests.browser.conftest import Open, Served, log_in, look
from tests.browser.test_session import running
from tests.integration import care
from tests.integration.desks import desk
from tests.integration.stores import RunningClock

from afterglow.clinic import Chair, Closure, Delivery, Role
from afterglow.store.records import Store
from afterglow.usecases import policies, room

DAY = "2026-01-07"  # a Wednesday, two days after the clinic's first


def set_chairs(store: Store) -> None:
    """Three chairs; the last is closed on Wednesday afternoon."""
    shut = Closure(
        starts_at=datetime.fromisoformat(f"{DAY}T13:00+00:00"),
        until=datetime.fromisoformat(f"{DAY}T17:00+00:00"),
        reason="maintenance",
        chair_id="c3",
    )
    both = (Delivery.IV, Delivery.ESK)
    chairs = tuple(Chair(id=name, deliveries=both if name != "c3" else (Delivery.ESK,)) for name in ("c1", "c2", "c3"))
    policies.set_chairs(desk(store, Role.MEDICAL_DIRECTOR), chairs, capacity=3, closures=(shut,))


def fill(
    page: Any, *, who: str = "Jonas", chair: str = "c1", day: str = DAY, at: str = "10:00", minutes: str = "40"
) -> None:
    value = page.locator(f"#course option:has-text('{who}')").first.get_attribute("value")
    page.select_option("#course", value)
    page.select_option("#chair", chair)
    page.fill("#day", day)
    page.fill("#time", at)
    page.fill("#minutes", minutes)
    page.click("button.action")


@pytest.mark.parametrize("script", [True, False])
def test_book_conflict_next_free_move_cancel_and_undo(opened: Open, served: Served, script: bool) -> None:  # noqa: FBT001
    set_chairs(served.store)
    page = opened(java_script_enabled=script)
    log_in(page, served)
    page.goto("/diary/book")
    fill(page)
    assert page.url.endswith(f"/diary?day={DAY}")
    assert "Booked." in page.text_content("[role=status]")
    assert "10:00 to 12:10" in page.text_content("td.held")
    page.goto("/diary/book")
    fill(page, who="Anna", at="11:00")
    assert "Chair c1 is taken Wed 7 Jan, 10:00 to 12:10" in page.text_content("#summary")
    assert page.input_value("#time") == "11:00"  # what was typed is kept
    assert "Next free: Wed 7 Jan, 11:00 to 13:10, chair c2" in page.text_content(".offer")
    page.click("text=Book that instead")
    held = page.locator("td.held").all_text_contents()
    assert len(held) == 2
    page.click("text=Undo")
    assert "Undone." in page.text_content("[role=status]")
    assert page.locator("td.held").count() == 1
    page.reload()
    assert page.locator("[role=status]").count() == 0  # said once
    page.click("td.held a")
    page.fill("#time", "14:00")
    page.fill("#reason", "Patient asked")
    page.click("button:text-is('Move')")
    assert "14:00 to 16:10" in page.text_content("td.held")
    page.click("text=Undo")
    assert "10:00 to 12:10" in page.text_content("td.held")
    page.click("td.held a")
    page.click("summary:text-is('Cancel')")
    page.fill("#cancel-reason", "Ill")
    page.click("text=Cancel this session")
    assert page.locator("td.held").count() == 0
    assert "Jonas Weber" in page.text_content(".gone")
    page.click("text=Book it again")
    assert "10:00 to 12:10" in page.text_content("td.held")


def test_what_is_typed_wrong_is_said_beside_the_field(opened: Open, served: Served) -> None:
    set_chairs(served.store)
    page = opened(java_script_enabled=False)
    log_in(page, served)
    page.goto("/diary/book")
    fill(page, minutes="forty")
    assert "not a number" in page.text_content("#summary h2")
    assert page.get_attribute("#summary a", "href") == "#minutes"
    fill(page, minutes="")
    assert "length of the infusion is missing" in page.text_content("#summary h2")
    assert "up to 14 days" in page.text_content("#summary")
    assert "20160" not in page.text_content("#summary")
    fill(page, chair="c3")
    assert "Chair c3 is not for IV ketamine" in page.text_content("#summary")
    fill(page, day="2026-01-05", at="08:00")
    assert "from now on" in page.text_content("#summary")


def test_who_did_not_come_counts_as_missed(opened: Open, served: Served) -> None:
    clock = served.store.clock
    assert isinstance(clock, RunningClock)
    page = opened()
    log_in(page, served)
    page.goto("/diary")
    page.click("td.held a:text-is('Jonas Weber')")
    page.click("summary:text-is('Did not come')")
    assert "Can be marked from 11:30 on" in page.text_content("main")
    clock.now += timedelta(hours=3)
    log_in(page, served)
    page.goto("/diary")
    page.click("td.held a:text-is('Jonas Weber')")
    page.click("summary:text-is('Did not come')")
    page.fill("#missed-reason", "No escort")
    page.click("text=Mark as not come")
    assert "counts as missed" in page.text_content("[role=status]")
    assert page.locator("button:text-is('Undo')").count() == 0
    assert "did not come" in page.text_content(".gone")


def test_who_was_treated_and_left_stands_in_the_chair_and_leads_to_the_session(opened: Open, served: Served) -> None:
    clock = served.store.clock
    assert isinstance(clock, RunningClock)
    session_id = running(served)
    clock.now += timedelta(minutes=9)
    nurse = desk(served.store, Role.NURSE)
    room.stop_early(nurse, session_id, reason="asked to", amounts_ug=(("v1", 8_000),))
    room.left_unchecked(nurse, session_id, reason="went")
    page = opened()
    log_in(page, served)
    text = page.request.get("/diary/week.ics").text()
    assert (text.count("STATUS:CONFIRMED"), text.count("STATUS:CANCELLED")) == (2, 0)
    page.goto("/diary/week")
    assert "Anna Berger" in page.text_content(".week")
    page.goto("/diary")
    assert page.locator(".gone").count() == 0  # neither cancelled nor missed
    assert "left" in page.text_content("td.held:has-text('Anna Berger')")
    page.click("td.held a:text-is('Anna Berger')")
    assert "The patient has left" in page.text_content("main")
    page.click("text=Open the session")
    assert page.text_content(".patient h1") == "Anna Berger"


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_the_diary_is_accessible_and_is_seen(opened: Open, served: Served, theme: str) -> None:
    set_chairs(served.store)
    now = served.store.clock()
    wednesday = (datetime.fromisoformat(f"{DAY}T08:30+00:00") - now).total_seconds() / 60
    people = (("Maren Okafor", 0, "c1"), ("Theo Lindqvist", 45, "c2"), ("Ines Aurelio", 180, "c1"))
    for n, (name, offset, chair) in enumerate(people):
        _, course = care.in_induction(served.store, name=name)
        care.book(served.store, course, minutes=wednesday + offset, chair=chair, dose_minutes=40 if n else 60)
    page = opened(color_scheme=theme)
    log_in(page, served)
    page.goto(f"/diary?day={DAY}")
    look(page, "diary-day", theme)
    page.goto(f"/diary/week?day={DAY}")
    assert page.locator("tbody td").count() == 21
    look(page, "diary-week", theme)
    page.goto(f"/diary?day={DAY}")
    page.click("td.held a:text-is('Theo Lindqvist')")
    look(page, "diary-booking", theme)
    page.goto("/diary/book")
    look(page, "diary-book", theme)
    fill(page, who="Theo", chair="c2", at="10:00")
    look(page, "diary-conflict", theme)


def test_the_diary_by_keyboard_alone(opened: Open, served: Served) -> None:
    page = opened()
    log_in(page, served)
    page.wait_for_selector("#live .chair")
    page.keyboard.press("g")
    page.keyboard.press("d")
    page.wait_for_url("**/diary")
    page.keyboard.press("n")
    page.wait_for_url("**/diary?day=2026-01-06")
    page.keyboard.press("p")
    page.wait_for_url("**/diary?day=2026-01-05")
    page.keyboard.press("?")
    assert page.locator("#shortcuts").is_visible()
    page.keyboard.press("Escape")
    page.locator("td.free a").first.focus()
    page.keyboard.press("Enter")
    page.wait_for_url("**/diary/book?*")
    page.locator("#course").focus()
    page.keyboard.type("Anna")
    assert page.locator("#course").input_value()
    page.locator("#minutes").focus()
    page.keyboard.type("40")
    page.keyboard.press("Enter")
    page.wait_for_selector("main .notice, #summary")


def test_a_calendar_file_names_nobody(opened: Open, served: Served) -> None:
    page = opened()
    log_in(page, served)
    answer = page.request.get("/diary/week.ics")
    text = answer.text()
    assert answer.headers["content-type"].startswith("text/calendar")
    assert text.count("BEGIN:VEVENT") == 2
    assert "SUMMARY:Chair c1: IV ketamine\\, session 1\r\n" in text
    for name in ("Anna", "Berger", "Jonas", "Weber"):
        assert name not in text
    assert all(len(line.encode()) <= 75 for line in text.split("\r\n"))
    assert f"{date(2026, 1, 5):%Y%m%d}" in text


def test_outside_opening_hours_is_asked_before_it_is_booked_or_moved(opened: Open, served: Served) -> None:
    set_chairs(served.store)
    page = opened(java_script_enabled=False)
    log_in(page, served)
    page.goto("/diary/book")
    fill(page, at="20:30")
    assert page.text_content("#summary h2") == "This is outside the opening hours"
    assert "08:00 to 18:00" in page.text_content("#summary")
    fill(page, at="10:00")
    page.click("td.held a")
    page.fill("#time", "20:30")
    page.fill("#reason", "Patient asked")
    page.click("text=Move >> nth=-1")
    assert page.text_content("#summary h2") == "This is outside the opening hours"
    page.check("#outside")
    page.locator("button", has_text="Move").first.click()
    assert "20:30 to 22:40" in page.text_content("td.held")
    free = page.locator("td.free a").all_inner_texts()
    assert free
    assert max(each[-5:] for each in free) == "18:00"  # what is offered ends with the opening hours
