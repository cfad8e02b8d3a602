"""Explore in a browser: a protocol by keyboard and without scripts, a planned trial followed, cancelled, done."""

from __future__ import annotations

import threading
from typing import Any

import pytest
from tests.browser.conftest import Open, Served, log_in, look

from afterglow.usecases.designs import FEWEST_TRIALS, run_designs
from afterglow.web import explore

SMALL = """\
title: A small one
drug: esketamine
route: intranasal
dose: 84 mg
days: [0, 3]
control: placebo_spray
arm: both
population: {scale: MADRS, baseline_mean: 35, baseline_sd: 5}
observe: {times: [7 d]}
design: {sizes: [20, 60]}
"""


def computed(page: Any) -> None:
    page.wait_for_selector("[data-again-s]", state="detached", timeout=60_000)


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_the_pages_are_accessible_and_are_seen(opened: Open, served: Served, theme: str) -> None:
    page: Any = opened(color_scheme=theme)
    log_in(page, served)
    page.click("nav >> text=Explore")
    computed(page)
    assert page.text_content("h1") == "A protocol without a patient"
    assert page.locator("figure.chart").count() >= 4
    look(page, "explore", theme)
    page.goto("/explore?treatment=racemic_ketamine-iv&dose=2&unit=mg/kg")
    look(page, "explore-refused", theme)
    page.goto("/explore/design?text=maintenance")
    look(page, "explore-design", theme)
    page.fill("#explore-text", SMALL)
    page.fill("#text-trials", f"{FEWEST_TRIALS}")
    page.click("text=Simulate this text")
    page.wait_for_url("**/explore/design/*")
    look(page, "explore-trial-waits", theme)
    run_designs(served.store)
    page.reload()
    assert page.text_content("h1") == "A small one"
    look(page, "explore-trial", theme)


def test_a_protocol_is_asked_for_by_keyboard_and_its_error_has_the_focus(opened: Open, served: Served) -> None:
    page = opened()
    log_in(page, served)
    page.goto("/explore")
    computed(page)
    page.keyboard.press("g")
    page.keyboard.press("x")
    page.wait_for_url("**/explore")
    page.focus("#explore-dose")
    page.keyboard.press("Control+A")
    page.keyboard.type("2")
    page.keyboard.press("Enter")
    page.wait_for_selector("#summary")
    assert "dose=2" in page.url
    assert page.title() == "Error: Explore – Afterglow"
    assert "1.5 mg/kg" in page.text_content("#summary")
    page.click("#summary a")
    assert page.evaluate("document.activeElement.id") == "explore-dose"
    page.fill("#explore-dose", "0.25")
    page.keyboard.press("Enter")
    computed(page)
    assert "0.25 mg/kg" in page.text_content(".said")


def test_everything_works_without_scripts(opened: Open, served: Served) -> None:
    page = opened(java_script_enabled=False)
    log_in(page, served)
    page.goto("/explore")
    for making in list(explore._REPORTS._kept.values()):
        making.join()
    page.click("text=Look again") if page.locator("[data-again-s]").count() else page.reload()
    assert page.locator("figure.chart").count() >= 4
    page.click("text=Plan a trial of it")
    page.fill("#explore-sizes", "20")
    page.fill("#explore-trials", f"{FEWEST_TRIALS}")
    page.click("text=Simulate the trial")
    assert "It waits for its turn" in page.text_content("main")
    page.click("text=Cancel it")
    assert "It was cancelled" in page.text_content("main")
    page.click("text=Run again")
    assert "It waits for its turn" in page.text_content("main")


def test_a_trial_under_way_is_followed_and_stops_when_cancelled(opened: Open, served: Served) -> None:
    page = opened()
    log_in(page, served)
    page.goto("/explore/design")
    page.fill("#explore-sizes", "20")
    page.fill("#explore-trials", f"{FEWEST_TRIALS}")
    page.click("text=Simulate the trial")
    page.wait_for_selector("text=It waits for its turn")
    go_on, ended = threading.Event(), threading.Event()

    def work() -> None:
        run_designs(served.store, meanwhile=lambda: go_on.wait(30))
        ended.set()

    threading.Thread(target=work, daemon=True).start()
    page.wait_for_selector("progress", timeout=20_000)  # by itself: the page looks again
    assert "is simulated" in page.text_content("main")
    page.click("text=Cancel it")
    page.wait_for_selector("text=It was cancelled")
    go_on.set()
    assert ended.wait(20)
    page.reload()
    assert "It was cancelled" in page.text_content("main")


def test_a_report_is_printed_without_its_form(opened: Open, served: Served) -> None:
    page = opened()
    log_in(page, served)
    page.goto("/explore")
    computed(page)
    page.emulate_media(media="print")
    assert not page.is_visible("#explore-dose")
    assert not page.is_visible("nav.others")
    assert page.is_visible(".said")
    assert page.is_visible("figure.chart >> nth=0")
