"""The patient's chart in the browser: what it shows, in every width and theme, and to whom."""

from __future__ import annotations

from typing import Any

import pytest
from tests.browser.conftest import Open, Served, log_in, look
from tests.integration.desks import desk

from afterglow.clinic import Role
from afterglow.usecases.jobs import run_jobs
from afterglow.usecases.patients import find


def chart_of(served: Served, name: str = "Anna") -> str:
    found = find(desk(served.store, Role.NURSE), name).shown
    return f"/patients/{found[0].id}"


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_the_chart_is_accessible_and_is_seen(opened: Open, served: Served, theme: str) -> None:
    run_jobs(served.store)
    page: Any = opened(color_scheme=theme)
    log_in(page, served)
    page.goto(chart_of(served))
    assert page.text_content("h1") == "Anna Berger"
    assert page.locator("text=Today, PHQ-9 is 19").count() == 2  # page and phone
    width = "[...document.querySelectorAll('figure.picture')].map(each => each.getBoundingClientRect().width)[0]"
    assert page.locator("svg.wide").first.bounding_box()["width"] == page.evaluate(width)  # as wide as its place
    assert page.title() == "Chart – Afterglow"  # no name in a title
    assert page.text_content(".facts > div:last-child dd") == "No risk, 5 Jan 2026"
    look(page, "chart", theme)


def test_a_prescriber_decides_and_changes_it(opened: Open, served: Served) -> None:
    run_jobs(served.store)
    page: Any = opened(java_script_enabled=False)
    log_in(page, served, "petra")
    page.goto(chart_of(served))
    page.fill("#reason", "Waits for the next score")
    page.click("text=Record decision")
    assert page.text_content("#summary h2") == "Nothing was chosen"
    assert page.input_value("#reason") == "Waits for the next score"
    page.check("#step-wait")
    page.click("text=Record decision")
    assert "Wait for the next score. Waits for the next score (petra" in " ".join(page.text_content("#decide").split())
    page.check("#step-book_by")
    page.fill("#reason", "Fading")
    page.click("text=Record decision")
    assert page.text_content("#summary h2") == "A day belongs to booking a session, and only to that"
    page.fill("#by_day", "2026-01-20")
    page.click("text=Record decision")
    assert "Book a session by a date: 20 Jan 2026. Fading" in " ".join(page.text_content("#decide").split())
