"""The cabinet in the browser: taken in, counted by two, locked by a difference, explained, wasted before a witness."""

from __future__ import annotations

from typing import Any

import pytest
from tests.browser.conftest import Open, Served, hire, log_in, look
from tests.browser.test_session import second, sign
from tests.integration import care

from afterglow.clinic import Role


def words(page: Any, selector: str) -> str:
    return " ".join(page.text_content(selector).split())


def submit(page: Any, form: str) -> None:
    with page.expect_navigation():
        page.click(f"#form-{form} button")


def choose(page: Any, form: str, container: str) -> None:
    option = page.locator(f"#{form}-container option", has_text=container).get_attribute("value")
    page.select_option(f"#{form}-container", option)


@pytest.mark.parametrize("script", [True, False])
def test_a_count_that_differs_locks_until_somebody_else_explains(opened: Open, served: Served, script: bool) -> None:  # noqa: FBT001
    hire(served, "bea", Role.NURSE)
    hire(served, "mira", Role.MEDICAL_DIRECTOR)
    care.vial(served.store, "v2")
    page: Any = opened(java_script_enabled=script)
    log_in(page, served)
    page.goto("/drugs")
    choose(page, "count", "v2")
    page.fill("#count-counted_mg", "450")
    sign(page, served, "count", "nora")
    second(page, served, "count", "nora")
    submit(page, "count")
    assert page.locator("#summary").count() == 1  # one person does not count twice
    assert page.input_value("#count-counted_mg") == "450"
    second(page, served, "count", "bea")
    submit(page, "count")
    assert "Discrepant: counted 450 mg" in words(page, "tr:has-text('v2')")
    assert page.locator("#form-explain").count() == 0
    assert page.locator("#waste-container option", has_text="v2").count() == 0  # locked
    director: Any = opened(java_script_enabled=script)
    log_in(director, served, "mira")
    director.goto("/drugs")
    choose(director, "explain", "v2")
    submit(director, "explain")
    assert words(director, "#summary h2") == "The reason is missing"
    choose(director, "explain", "v2")
    director.fill("#explain-reason", "A syringe was drawn twice")
    sign(director, served, "explain", "mira")
    submit(director, "explain")
    assert "450 of 500 mg" in words(director, "tr:has-text('v2')")
    page.goto("/drugs")
    choose(page, "waste", "v2")
    page.fill("#waste-reason", "open for too long")
    sign(page, served, "waste", "nora")
    second(page, served, "waste", "bea")
    submit(page, "waste")
    assert page.locator("tr:has-text('v2')").count() == 0


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_the_cabinet_is_accessible_and_is_seen(opened: Open, served: Served, theme: str) -> None:
    care.device(served.store, "d1")
    page: Any = opened(color_scheme=theme)
    log_in(page, served)
    page.goto("/drugs")
    look(page, "cabinet", theme)
    page.click("#form-receive button")
    look(page, "cabinet-refused", theme)
