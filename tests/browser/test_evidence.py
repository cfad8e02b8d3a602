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
