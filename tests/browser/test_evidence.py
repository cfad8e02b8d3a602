"""What is known, in the browser: claims beside the model, a forest plot, a trial; in every width and theme."""

from __future__ import annotations

from typing import Any

import pytest
from tests.browser.conftest import Open, Served, log_in, look


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_the_evidence_is_accessible_and_is_seen(opened: Open, served: Served, theme: str) -> None:
    page: Any = opened(color_scheme=theme)
    log_in(page, served)
    page.click("nav >> text=Evidence")
    page.wait_for_selector("text=being computed", state="detached", timeout=60_000)
    for path, heading in (
        ("/evidence", "What ketamine therapy does, and what is only said of it"),
        ("/evidence/pooled", "Pooled: "),
        ("/evidence/model", "Validation of the model"),
        ("/evidence/model/acute", "Acute effects: predicted and published"),
        ("/evidence/sources", "Sources"),
        ("/evidence/trials", "Trials, cohorts and labels"),
        ("/evidence/trials/murrough2013_ajp", "murrough2013_ajp"),
    ):
        page.goto(path)
        assert page.text_content("h1").startswith(heading)
        look(page, path.strip("/").replace("/", "-"), theme)


def test_a_trial_leads_from_the_list_and_an_unknown_one_says_so(opened: Open, served: Served) -> None:
    page = opened()
    log_in(page, served)
    page.goto("/evidence/trials")
    page.click("text=murrough2013_ajp")
    assert page.text_content("h1") == "murrough2013_ajp"
    answer = page.goto("/evidence/trials/nobody2020")
    assert answer.status == 404
    assert "nobody2020" not in page.title()


def test_every_key_beside_a_number_leads_to_what_it_was_read_at(opened: Open, served: Served) -> None:
    page = opened()
    log_in(page, served)
    page.goto("/evidence")
    page.click(".claims td a:text-is('focus_2023') >> nth=0")
    assert page.url.endswith("/evidence/sources#focus_2023")
    assert page.locator("th:target").inner_text() == "focus_2023"
    page.goto("/evidence/pooled")
    trial = page.locator("table a[href^='/evidence/trials/']").first
    key = trial.inner_text()
    trial.click()
    assert page.text_content("h1") == key
    for start in ("/evidence", "/evidence/pooled", "/evidence/model"):
        page.goto(start)
        ways = page.locator("main a[href^='/evidence']").evaluate_all("all => all.map(one => one.getAttribute('href'))")
        for to in sorted({each.partition("#")[0] for each in ways})[::6]:
            assert page.goto(to).status == 200, to


def test_the_validation_of_the_model_shows_its_misses_and_pictures(opened: Open, served: Served) -> None:
    page = opened()
    log_in(page, served)
    page.goto("/evidence")
    page.click("nav.tabs >> text=The model")
    assert "The bar is not reached" in page.inner_text("main")
    assert page.locator(".drawn svg").count() == 6
    page.click("nav.others >> text=Acute effects")
    assert page.text_content("h1") == "Acute effects: predicted and published"
