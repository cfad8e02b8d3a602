"""What surrounds every page: search, themes, an ended login that keeps what was typed, error pages, the guide."""

from __future__ import annotations

import io
import json
import re
from datetime import timedelta
from typing import Annotated, Any

import pytest
from fastapi import APIRouter, Form, Request, Response
from fastapi.responses import PlainTextResponse
from tests.browser.conftest import PASSWORD, Open, Served, check_accessible, log_in, look
from tests.integration.desks import desk
from tests.integration.stores import RunningClock

from afterglow import logs
from afterglow.clinic import Role
from afterglow.usecases import people
from afterglow.usecases.login import IDLE, begin_set_up, finish_set_up
from afterglow.usecases.passes import issue_token
from afterglow.web import work
from afterglow.web.pages import PageRoute, desk_of

OWN = {"Sec-Fetch-Site": "same-origin"}


@pytest.fixture
def director(served: Served) -> Served:
    """The other clinic, which is empty, and its medical director with a login."""
    admin = desk(served.store, Role.ADMINISTRATOR, by="operator", clinic="south")
    token = people.add_person(admin, "dora", name="Dora", roles=(Role.MEDICAL_DIRECTOR,)).token
    begun = begin_set_up(served.store, token)
    served.secrets["dora"] = begun.secret
    finish_set_up(served.store, token, password=PASSWORD, secret=begun.secret, code=served.code("dora"))
    return served


def forward(served: Served, by: timedelta) -> None:
    clock = served.store.clock
    assert isinstance(clock, RunningClock)
    clock.now += by


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_a_search_leaves_no_name_in_an_address(opened: Open, served: Served, theme: str) -> None:
    page = opened(color_scheme=theme)
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    log_in(page, served)
    page.wait_for_selector("#keys:not([hidden])", state="attached")
    page.keyboard.press("/")
    page.keyboard.type("erg")
    page.keyboard.press("Enter")
    page.wait_for_url("**/find")
    (row,) = page.locator("tbody th").all_text_contents()
    assert row.startswith("Anna Berger")
    look(page, "find", theme)
    page.fill("#part", "Weber")
    page.click("main button")
    assert page.locator("a:text-is('Open booking')").count() == 1
    page.fill("#part", "Nobody of this name")
    page.click("main button")
    assert "Nobody fits" in page.text_content("main")
    assert not [url for url in asked if re.search("erg|Weber|Nobody|Anna", url)]
    assert "Anna" not in page.title()


def test_an_ended_login_keeps_what_was_typed_without_script(opened: Open, served: Served) -> None:
    page = opened(java_script_enabled=False)
    log_in(page, served)
    page.goto("/diary/book")
    page.select_option("#course", page.locator("#course option:has-text('Jonas')").get_attribute("value"))
    page.select_option("#chair", "c1")
    page.fill("#day", "2026-01-07")
    page.fill("#time", "10:00")
    page.fill("#minutes", "40")
    forward(served, IDLE + timedelta(minutes=2))
    page.click("button.action")
    assert "The login of nora has ended" in page.text_content("main")
    check = page.locator("input[name=minutes]").get_attribute("value")
    assert check == "40"
    page.fill("#again_password", "a wrong password")
    page.fill("#again_code", "000000")
    page.click("button.action")
    assert page.text_content("#summary h2") == "Login, password or code do not fit"
    page.fill("#again_password", PASSWORD)
    page.fill("#again_code", served.code("nora"))
    page.click("button.action")
    assert "Booked." in page.text_content("[role=status]")


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_an_idle_page_locks_and_keeps_what_was_typed(opened: Open, served: Served, theme: str) -> None:
    page = opened(color_scheme=theme)
    page.clock.install()
    log_in(page, served)
    page.wait_for_url("**/today")
    page.goto("/diary/book")
    page.fill("#minutes", "45")
    page.clock.run_for((int(IDLE.total_seconds()) - 60) * 1000)
    assert page.locator("#idle").is_visible()
    check_accessible(page)
    forward(served, IDLE + timedelta(minutes=2))
    page.clock.run_for(200_000)
    assert page.locator("#lock").is_visible()
    assert not page.locator("main").is_visible()  # nothing of a patient behind it
    look(page, "locked", theme)
    page.keyboard.press("Escape")
    assert page.locator("#lock").is_visible()
    page.fill("#lock-password", "a wrong password")
    page.fill("#lock-code", "000000")
    page.click("#lock button")
    page.wait_for_selector("#lock-fault:not([hidden])")
    page.fill("#lock-password", PASSWORD)
    page.fill("#lock-code", served.code("nora"))
    page.click("#lock button")
    page.wait_for_selector("#lock", state="hidden")
    assert page.input_value("#minutes") == "45"
    page.goto("/diary")
    assert page.locator("td.held").count() == 2


def test_a_login_that_was_closed_in_another_window_is_taken_up_again(opened: Open, served: Served) -> None:
    page = opened()
    log_in(page, served)
    page.goto("/diary/book")
    page.fill("#minutes", "40")
    other = page.context.new_page()
    other.goto("/today")
    with other.expect_navigation():
        other.evaluate("document.querySelector('form[action=\"/logout\"]').submit()")
    page.evaluate("document.getElementById('stay').click()")
    page.wait_for_selector("#lock[open]")
    page.fill("#lock-password", PASSWORD)
    page.fill("#lock-code", served.code("nora"))
    page.click("#lock button.action")
    page.wait_for_selector("#lock:not([open])", state="attached")
    assert page.input_value("#minutes") == "40"
    other.goto("/today")
    assert other.text_content("h1") == "Today"


def test_nothing_is_sent_into_a_dead_network(opened: Open, served: Served) -> None:
    page = opened()
    log_in(page, served)
    page.goto("/find")
    page.fill("#part", "Anna")
    page.context.set_offline(True)
    page.click("main button")
    assert "nothing was sent" in page.text_content("#unsent")
    assert page.input_value("#part") == "Anna"
    page.context.set_offline(False)
    page.click("main button")
    page.wait_for_selector("tbody th")


def test_the_theme_is_the_persons_and_comes_with_the_page(opened: Open, served: Served) -> None:
    page = opened(color_scheme="light", java_script_enabled=False)
    log_in(page, served)
    page.goto("/diary?day=2026-01-06")
    page.click(".menu summary")
    page.click("button:text-is('Dark')")
    assert page.url.endswith("/diary")
    assert page.get_attribute("html", "data-theme") == "dark"
    page.click(".menu summary")
    page.click("button:text-is('As the system')")
    assert page.get_attribute("html", "data-theme") is None
    answer = page.request.post(
        "/theme",
        form={"theme": "dark", "back": "//elsewhere.example"},
        headers=OWN,
        max_redirects=0,
    )
    assert answer.headers["location"] == "/"


def test_error_pages_say_what_to_do_and_name_nobody(
    opened: Open, served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    page = opened()
    log_in(page, served)
    answer = page.goto("/no/such/page")
    assert (answer.status, page.text_content("[role=alert]")) == (404, "There is no such page")
    assert answer.headers["referrer-policy"] == "no-referrer"
    check_accessible(page)
    answer = page.goto("/diary/bookings/01a21b3943e500001d58a01e652e4b7d")
    assert answer.status == 404
    look(page, "not-found", "light")
    ada = opened()
    log_in(ada, served, "ada")
    assert ada.goto("/today").status == 403
    assert ada.text_content("[role=alert]").startswith("This is for ")
    assert "you are here as administrator" in ada.text_content("[role=alert]")
    ada.click("text=Go to your first page")  # never one that refuses her, too
    assert ada.url.endswith("/clinic")

    def break_down(_desk: Any) -> None:
        raise RuntimeError("Anna Berger, born 1982")

    monkeypatch.setattr(work, "read_worklist", break_down)
    log = io.StringIO()
    logs.start(log)
    broken = page.request.get("/worklist")
    logs.stop()
    assert broken.status == 500
    assert "Afterglow made a mistake" in broken.text()
    told = next(each for each in map(json.loads, log.getvalue().splitlines()) if each["event"] == "request.failed")
    assert told["fault"] == "RuntimeError"
    assert told["request"] in broken.text()
    assert "Anna" not in broken.text() + log.getvalue()


def test_too_many_tries_are_told_to_wait(opened: Open) -> None:
    page = opened()
    for _ in range(7):
        form = {"clinic": "north", "login": "nora", "password": "wrong", "code": "000000"}
        answer = page.request.post("/login", form=form, headers=OWN)
    assert answer.status == 429
    assert "Try again in" in answer.text()


def test_a_signature_carries_the_form_on(opened: Open, served: Served) -> None:
    """A page that signs needs no flow of its own: the same form comes back, with password and code."""
    router = APIRouter(route_class=PageRoute)

    @router.post("/make")
    def make(request: Request, label: Annotated[str, Form()]) -> Response:
        return PlainTextResponse(f"token: {issue_token(desk_of(request), label, only=['today']).id}")

    served.app.include_router(router)
    page = opened()
    log_in(page, served)
    page.wait_for_url("**/today")

    def post(body: str) -> Any:
        kind = {"Content-Type": "application/x-www-form-urlencoded"}
        return page.request.post("/make", data=body, headers=OWN | kind)

    assert "token:" in post("label=scale").text()
    forward(served, timedelta(minutes=6))
    asked = post("label=scale&gives=a&gives=b&other_password=secret")
    assert asked.status == 403
    assert "Sign with password and code" in asked.text()
    assert asked.text().count('name="gives"') == 2
    assert "other_password" not in asked.text()
    assert "token:" in post(f"label=scale&again_password={PASSWORD}&again_code={served.code('nora')}").text()


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_an_empty_clinic_is_led_to_its_first_patient(opened: Open, director: Served, theme: str) -> None:
    page = opened(color_scheme=theme, java_script_enabled=False)
    log_in(page, director, "dora", clinic="south")
    page.click("text=What a new clinic needs")
    assert "of 6 done" in page.text_content(".guide .head")
    before = page.locator(".state.done").count()
    page.fill("#chair-0", "A")
    page.fill("#capacity", "2")
    page.click("text=Keep chairs and staff")
    assert "Chair A is for nothing" in page.text_content("#summary")
    assert page.get_attribute("#summary a", "href") == "#chair-0"
    assert page.get_attribute("#chair-0", "aria-invalid") == "true"
    assert (page.input_value("#chair-0"), page.input_value("#capacity")) == ("A", "2")  # what was typed is kept
    page.fill("#capacity", "two")
    page.locator("input[name=gives][value^='0:']").first.check()
    page.click("text=Keep chairs and staff")
    assert "patients in chairs at once is no whole number" in page.text_content("#capacity-fault")
    assert page.locator("input[name=gives][value^='0:']").first.is_checked()
    page.fill("#capacity", "2")
    page.locator("input[name=gives][value^='0:']").first.check()
    page.click("text=Keep chairs and staff")
    page.fill("#clinic", "555 0142")
    page.fill("#answered", "8 to 18")
    page.click("text=Keep the numbers")
    page.select_option("#delivery", "esk")
    page.fill("#version", "2026-1")
    page.click("text=Put in use")
    page.fill("#begin", "2026-01-08T12:00")
    page.fill("#end", "2026-01-08T18:00")
    page.fill("#reason", "staff training")
    page.click("text=Close this time")
    assert "staff training" in page.text_content("#closures")
    assert page.locator(".state.done").count() == before + 3
    page.goto("/diary?day=2026-01-08")
    assert "Closed: staff training" in page.text_content("td.shut")
    page.goto("/clinic")
    page.click("text=Open again")
    assert "No time is closed" in page.text_content("#closures")


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_the_guide_is_accessible_and_is_seen(opened: Open, director: Served, theme: str) -> None:
    page = opened(color_scheme=theme)
    log_in(page, director, "dora", clinic="south")
    page.goto("/clinic")
    look(page, "clinic", theme)
    page.click(".menu summary")
    check_accessible(page)
