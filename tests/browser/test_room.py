"""The screen on the wall, and Today's gates and links, in the browser."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from tests.browser.conftest import SHOTS, Open, Served, check_accessible, log_in, look
from tests.browser.test_session import booked, running, staffed
from tests.integration import care
from tests.integration.desks import desk

from afterglow.clinic import Role
from afterglow.usecases import passes, room

__all__ = ["staffed"]


def screen(page: Any, token: str) -> None:
    page.goto("/room")
    page.fill("#token", token)
    page.click("button.action")


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_the_wall_shows_initials_and_follows(opened: Open, served: Served, theme: str) -> None:
    issued = passes.issue_room(desk(served.store, Role.ADMINISTRATOR), "Corridor")
    page = opened(color_scheme=theme, viewport={"width": 1920, "height": 1080})
    page.goto("/room")
    look(page, "room-token", theme)
    page.set_viewport_size({"width": 1920, "height": 1080})
    screen(page, "not a token")
    assert "does not hold" in page.text_content("#summary")
    screen(page, issued.token)
    page.wait_for_selector(".wall .chair")
    assert "A. B." in page.text_content(".wall-chairs")
    assert "J. W. at" in page.text_content(".chair.free")
    for name in ("Anna", "Berger", "Jonas", "Weber"):
        assert name not in page.content()
    check_accessible(page)
    assert page.evaluate("document.documentElement.scrollWidth") <= 1920
    big = page.evaluate("parseFloat(getComputedStyle(document.querySelector('.clocks .main')).fontSize)")
    assert (
        big >= 100
    )  # 1/200 of 5 m is 25 mm; on a 43-inch screen of 1920 px a px is 0.5 mm, and a digit 0.7 of its size
    if SHOTS:
        page.screenshot(path=Path(SHOTS) / f"room-1920-{theme}.png")
    assert page.locator(".chair.high").count() == 0
    session_id = running(served)
    room.read_vitals(desk(served.store, Role.NURSE), session_id, care.quiet(spo2_pct=88))
    page.wait_for_selector(".chair.high")
    passes.revoke_device(desk(served.store, Role.ADMINISTRATOR), issued.id)
    page.reload()
    assert page.locator("#token").count() == 1  # taken back: the screen is dark


def test_a_screen_reaches_nothing_else(opened: Open, served: Served) -> None:
    issued = passes.issue_room(desk(served.store, Role.ADMINISTRATOR), "Room 2", chairs=("c2",))
    page = opened()
    screen(page, issued.token)
    page.wait_for_selector(".wall .chair")
    assert page.locator(".chair").count() == 1
    assert "A. B." not in page.content()
    page.goto(f"/sessions/{running(served)}")
    page.wait_for_url("**/login*")
    cookies = {each["name"]: each for each in page.context.cookies()}
    assert cookies["afterglow_room"]["httpOnly"]
    assert cookies["afterglow_room"]["path"] == "/room"


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_the_administrator_makes_a_screen_and_takes_it_back(opened: Open, served: Served, theme: str) -> None:
    page = opened(color_scheme=theme)
    log_in(page, served, "ada")
    page.goto("/screens")
    page.fill("#label", "Corridor")
    page.fill("#chairs", "c1, c2")
    page.click("button.action")
    token = page.text_content(".secret code")
    look(page, "screens", theme)
    assert page.reload().request.method == "GET"  # makes no second token
    assert token not in page.content()  # shown once
    assert page.locator("tbody tr").count() == 1
    page.fill("#label", "Corridor TV")
    page.fill("#chairs", "TV")
    page.click("button.action")
    assert page.text_content("#summary h2") == "The clinic has no such chair"
    assert "c1, c2" in page.text_content("table")
    page.click("text=Take back")
    assert "taken back" in page.text_content("table")
    other = opened()
    screen(other, token)
    assert "does not hold" in other.text_content("#summary")


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_today_names_gates_people_and_leads_to_the_session(opened: Open, staffed: Served, theme: str) -> None:
    booked(staffed, name="Theo Lindqvist")
    page = opened(color_scheme=theme)
    log_in(page, staffed)
    arrivals = page.text_content(".arrivals")
    assert "Theo L." in arrivals
    assert "Lindqvist" not in page.text_content("#live")
    assert "Medicines gone through" in arrivals
    assert "Escort, no driving" in arrivals
    page.click(".alerts .row button")
    assert "read by Nora" in page.text_content(".alerts")
    look(page, "today", theme)
    page.click(".chair a")
    page.wait_for_url("**/sessions/*")
    assert page.text_content(".patient h1") == "Anna Berger"


_SIX = """() => {
    const rooms = document.querySelector('.wall-chairs'), taken = rooms.querySelector('.chair:not(.free)');
    rooms.replaceChildren(...Array.from({length: 6}, (_, i) => {
        const copy = taken.cloneNode(true);
        copy.className = i % 2 ? 'chair high' : 'chair medium';
        const [words, when] = copy.querySelectorAll('footer > span, footer > strong');
        words.textContent = 'Reading, ' + 'repeat for pressure and oxygen, and alertness after it, '.repeat(3);
        when.textContent = '125 min overdue';
        return copy;
    }));
}"""
_CUT = """() => [...document.querySelectorAll('.wall .chair > *')].filter((part) => {
    const chair = part.parentElement.getBoundingClientRect(), box = part.getBoundingClientRect();
    return box.bottom > chair.bottom + 0.5 || box.bottom > innerHeight;
}).map((part) => part.tagName + ' ' + part.className)"""


@pytest.mark.parametrize("size", [(1920, 1080), (1280, 720), (1366, 768)])
def test_six_chairs_with_long_strips_fit_a_wall_screen(opened: Open, served: Served, size: tuple[int, int]) -> None:
    issued = passes.issue_room(desk(served.store, Role.ADMINISTRATOR), "Corridor")
    page = opened(viewport={"width": size[0], "height": size[1]})
    screen(page, issued.token)
    page.wait_for_selector(".wall .chair")
    page.evaluate(_SIX)
    assert page.evaluate("document.documentElement.scrollHeight") <= size[1]
    assert page.evaluate(_CUT) == []
    assert (
        page.evaluate("parseFloat(getComputedStyle(document.querySelector('.clocks .main')).fontSize)") >= size[1] / 11
    )
    assert page.locator("body > footer").is_visible()  # the bedside monitor alarms
    if SHOTS:
        page.screenshot(path=Path(SHOTS) / f"room-six-{size[0]}.png")
