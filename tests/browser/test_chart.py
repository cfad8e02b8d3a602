"""The patient's chart in the browser: what it shows, in every width and theme, and to whom."""

from __future__ import annotations

import re
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
    assert "Waits for the next score" in page.text_content("#decide details")


def test_of_two_windows_the_second_is_told_of_the_first(opened: Open, served: Served) -> None:
    run_jobs(served.store)
    page: Any = opened(java_script_enabled=False)
    log_in(page, served, "petra")
    page.goto(chart_of(served))
    stale = page.context.new_page()
    stale.goto(chart_of(served))
    for each, reason in ((page, "First"), (stale, "Second")):
        each.check("#step-wait")
        each.fill("#reason", reason)
        each.click("text=Record decision")
    assert stale.text_content("#summary h2") == "Somebody decided meanwhile"
    assert "wait for the next score, by petra" in stale.text_content("#summary")
    assert stale.input_value("#reason") == "Second"
    stale.click("text=Record decision")
    assert "Wait for the next score. Second" in " ".join(stale.text_content("#decide").split())


def test_files_stand_in_the_chart_with_who_looked(opened: Open, served: Served) -> None:
    page: Any = opened()
    log_in(page, served, "petra")
    page.goto(chart_of(served))
    page.click("text=Add the file")
    assert page.text_content("#summary h2") == "No file was chosen"
    page.set_input_files("#file", {"name": "Letter.html", "mimeType": "text/html", "buffer": b"<b>no</b>"})
    page.click("text=Add the file")
    assert page.text_content("#summary h2") == "A file of this type is refused"
    letter = b"%PDF-1.7 a letter about Anna Berger " + b"x" * 1_500_000
    page.set_input_files("#file", {"name": "Letter of Dr Frei.pdf", "mimeType": "application/pdf", "buffer": letter})
    page.click("text=Add the file")
    page.wait_for_selector("a:has-text('Letter of Dr Frei.pdf')")
    given = page.request.get(page.get_attribute("a:has-text('Letter of Dr Frei.pdf')", "href"))
    assert given.headers["content-disposition"].startswith("attachment; ")  # no browser shows or runs it here
    assert given.headers["x-content-type-options"] == "nosniff"
    with page.expect_download() as taken:
        page.click("a:has-text('Letter of Dr Frei.pdf')")
    assert taken.value.path().read_bytes() == letter
    assert re.fullmatch(r"file-[0-9a-f]{8}\.pdf", taken.value.suggested_filename)
    page.reload()
    seen = " ".join(page.text_content("section:has(#looks)").split())
    assert re.search(r"petra last 5 Jan 2026, \d\d:\d\d; \d+ looks", seen)
