"""Every page that there is, in light and dark, without a finding of axe; a page that is not opened here fails."""

from __future__ import annotations

import importlib
import pkgutil
import re
from importlib.resources import files
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from fastapi import APIRouter
from tests.browser.conftest import PASSWORD, Open, Served, hire, log_in
from tests.browser.test_patient import LINES, link
from tests.browser.test_session import booked, running, staffed
from tests.integration import care
from tests.integration.desks import desk

import afterglow.web
from afterglow import errors
from afterglow.clinic import Delivery, Role
from afterglow.usecases import contacts, designs, passes, patients, policies, room, sessions
from afterglow.usecases.model_pages import MODEL_PAGES
from afterglow.usecases.passes import Purpose
from afterglow.usecases.plain_protocol import MAINTENANCE_TRIAL
from afterglow.web import pages, work
from afterglow.web.pages import PageRoute

__all__ = ["staffed"]

NO_PAGES = {  # what a GET answers that nobody looks at by itself
    "/": "leads on",
    "/static/{name}": "a file",
    "/patients/{patient_id}/files/{file_id}": "a file",
    "/admin": "leads on",
    "/today/board": "a part of /today",
    "/today/events": "a stream",
    "/room/board": "a part of /room",
    "/room/events": "a stream",
    "/sessions/{session_id}/board": "a part of the session's page",
    "/diary/week.ics": "a file",
    "/documents/outcomes.pdf": "a file",
    "/documents/drugs.pdf": "a file",
    "/sessions/{session_id}/record.pdf": "a file",
    "/sessions/{session_id}/form.pdf": "a file",
    "/courses/{course_id}/summary.pdf": "a file",
    "/offline/key": "a key",
    "/service-worker.js": "a script",
}
NO_TEMPLATES = {"base.html", "patient_base.html", "demo.html"}  # two frames; the demo's door has its test in test_door
REFUSALS: dict[int, errors.AfterglowError] = {
    401: errors.LoginRefused("The login has ended"),
    403: errors.NotPermitted("This is not for this person"),
    404: errors.NotFound("There is no such booking"),
    409: errors.Outdated("Somebody changed it meanwhile"),
    422: errors.OutOfRange("The value is refused", observed="1420 mmHg", allowed="40 to 300 mmHg"),
    429: errors.TooManyTries("Too many failed tries"),
    500: errors.InvalidData("The record cannot be read"),
    503: errors.StoreUnavailable("The records cannot be reached"),
}


class Seen:
    """Opens pages, runs axe in both themes and on a phone, and keeps which routes and templates there were."""

    def __init__(self) -> None:
        self.routes: set[str] = set()
        self.templates: set[str] = set()

    def check(self, page: Any) -> None:
        for theme, rules in (("light", None), ("dark", ["color-contrast"])):  # a theme changes colours and nothing else
            page.emulate_media(color_scheme=theme, reduced_motion="reduce")  # no colour on its way
            found = Axe().run(page, options={"resultTypes": ["violations"]} | ({"runOnly": rules} if rules else {}))
            assert found.violations_count == 0, f"{page.url}, {theme}: {found.generate_report()}"
        size = page.viewport_size
        page.set_viewport_size({"width": 390, "height": 844})
        wide = page.evaluate("document.documentElement.scrollWidth")
        assert wide <= 390, f"{page.url} is {wide} px wide on a phone"
        page.set_viewport_size(size)

    def open(self, page: Any, route: str, **values: str) -> Any:
        page.goto(re.sub(r"{(\w+)}", lambda each: values[each[1]], route))
        page.wait_for_selector("[data-again-s]", state="detached", timeout=60_000)  # what is being computed
        self.routes.add(route)
        self.check(page)
        return page


@pytest.fixture
def seen(monkeypatch: pytest.MonkeyPatch) -> Seen:
    kept = Seen()
    load = pages._TEMPLATES.get_template

    def noted(name: str, *rest: Any) -> Any:
        kept.templates.add(name)
        return load(name, *rest)

    monkeypatch.setattr(pages._TEMPLATES, "get_template", noted)
    return kept


def all_routes() -> set[str]:
    modules = (
        importlib.import_module(f"afterglow.web.{each.name}") for each in pkgutil.iter_modules(afterglow.web.__path__)
    )
    routers = [module.router for module in modules if isinstance(getattr(module, "router", None), APIRouter)]
    return {each.path for router in routers for each in router.routes if "GET" in each.methods}


def all_templates() -> set[str]:
    folder = files("afterglow.web").joinpath("templates")
    return {each.name for each in folder.iterdir() if "{% extends" in each.read_text(encoding="utf-8")}


def test_every_page_in_light_and_dark(
    opened: Open, staffed: Served, seen: Seen, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = staffed.store
    nurse, coordinator = desk(store, Role.NURSE), desk(store, Role.COORDINATOR)
    policies.set_help_lines(desk(store, Role.MEDICAL_DIRECTOR), LINES)
    anna = patients.find(nurse, "Anna").shown[0].id
    at_the_door(opened(), staffed, seen)
    at_work(opened(), staffed, seen, anna)
    at_the_wall(opened(), opened(), staffed, seen)
    contacts.allow(coordinator, anna)
    for purpose, about in ((Purpose.ANSWER_SCALE, "PHQ-9"), (Purpose.SEE_PROGRESS, None)):
        on_the_phone(opened(), seen, link(store, anna, purpose, about))
    that_refuse(opened(breaks=True), staffed, seen, monkeypatch)
    assert all_routes() - seen.routes == set(NO_PAGES)
    assert all_templates() - seen.templates <= NO_TEMPLATES


def at_the_door(page: Any, served: Served, seen: Seen) -> None:
    seen.open(page, "/login")
    seen.open(page, "/offline")
    seen.open(page, "/offline/session")
    seen.open(page, "/set-up")
    page.fill("#token", served.tokens["cora"])
    page.click("button.action")
    seen.check(page)
    served.secrets["cora"] = page.text_content(".secret code")
    page.fill("#password", PASSWORD)
    page.fill("#code", served.code("cora"))
    page.click("button.action")
    assert page.locator(".codes li").count() == 10
    seen.check(page)


def at_work(page: Any, served: Served, seen: Seen, anna: str) -> None:
    store = served.store
    sprayed = booked(served, Delivery.ESK)
    care.device(store, "d1")
    care.device(store, "d2")
    care.screened(store, sprayed, Delivery.ESK)
    room.read_vitals(desk(store, Role.NURSE), sprayed, care.quiet(systolic_mmhg=152))
    log_in(page, served, "nora")
    page.wait_for_selector(".chair.medium footer a[href$='#decisions']")  # a decision waits: S010, the pressure
    seen.check(page)
    assert page.locator(".chair.medium footer a").bounding_box()["height"] >= 24
    room.read_vitals(desk(store, Role.NURSE), sprayed, care.quiet())
    sessions.say_go(desk(store, Role.PRESCRIBER), sprayed, version=care.version_of(store, sprayed))
    room.take(desk(store, Role.NURSE), sprayed, "d1", amount_ug=28_000)
    room.start(desk(store, Role.NURSE), sprayed, version=care.version_of(store, sprayed))
    room.use_device(desk(store, Role.NURSE), sprayed, "d1", green_dots_checked=True, primed=False)
    log_in(page, served, "nora")
    page.wait_for_url("**/today")
    for route in ("/today", "/diary", "/diary/week", "/diary/book", "/find", "/worklist", "/drugs", "/documents"):
        seen.open(page, route)
    page.goto("/diary")
    seen.open(page, "/diary/bookings/{booking_id}", booking_id=running(served))
    seen.open(page, "/patients/{patient_id}", patient_id=anna)
    seen.open(page, "/sessions/{session_id}", session_id=running(served))
    seen.open(page, "/sessions/{session_id}/form", session_id=sprayed)
    for route, values in (
        ("/evidence", {}),
        ("/evidence/pooled", {}),
        ("/evidence/model", {}),
        *(("/evidence/model/{name}", {"name": each}) for each in MODEL_PAGES),
        ("/evidence/sources", {}),
        ("/evidence/trials", {}),
        ("/evidence/trials/{key}", {"key": "murrough2013_ajp"}),
    ):
        seen.open(page, route, **values)
    for route in ("/explore", "/explore/design"):
        seen.open(page, route)
    asked = designs.start_design(desk(store, Role.NURSE, by="nora"), MAINTENANCE_TRIAL, trials=designs.FEWEST_TRIALS).id
    page.goto(f"/explore/design/{asked}")
    seen.check(page)  # while it waits
    designs.cancel_design(desk(store, Role.NURSE, by="nora"), asked)
    seen.open(page, "/explore/design/{design_id}", design_id=asked)
    page.goto("/evidence/pooled")
    other = page.locator(".others a, .tabs a").evaluate_all("all => all.map(each => each.getAttribute('href'))")
    name = next(each.rsplit("/", 1)[1] for each in other if each.startswith("/evidence/pooled/"))
    seen.open(page, "/evidence/pooled/{name}", name=name)
    log_in(page, served, "petra")
    seen.open(page, "/inquiries/new")
    seen.open(page, "/patients/{patient_id}/candidacy", patient_id=anna)
    seen.open(page, "/patients/{patient_id}/plan", patient_id=anna)
    log_in(page, served, "cora")
    page.goto("/worklist")
    assert send(page, "/links", patient_id=anna, purpose="answer_scale", about="PHQ-9") == 200
    assert "phone" in page.text_content("h1")
    seen.check(page)


def at_the_wall(own: Any, page: Any, served: Served, seen: Seen) -> None:
    log_in(own, served, "ada")
    for route in ("/clinic", "/screens", "/admin/people", "/admin/tokens", "/admin/messages", "/admin/records"):
        seen.open(own, route)
    seen.open(own, "/admin/people/{login}", login="nora")
    seen.open(own, "/admin/about")
    hire(served, "quinn", Role.COMPLIANCE)
    log_in(own, served, "quinn")
    seen.open(own, "/admin/policy")
    seen.open(own, "/admin/audit")
    seen.open(page, "/room")
    page.fill("#token", passes.issue_room(desk(served.store, Role.ADMINISTRATOR), "Corridor").token)
    page.click("button.action")
    page.wait_for_selector(".wall .chair")
    seen.check(page)


def on_the_phone(page: Any, seen: Seen, path: str) -> None:
    page.set_viewport_size({"width": 390, "height": 844})
    seen.open(page, "/link")
    page.goto("about:blank")
    page.goto(path)
    page.wait_for_url("**/my")
    seen.open(page, "/my")
    page.click("text=Start")
    if page.url.endswith("/my/progress"):
        seen.open(page, "/my/progress")
        return
    for number in range(1, 10):
        page.wait_for_url(f"**/my/question/{number}")
        if number in {1, 9}:
            seen.open(page, "/my/question/{number}", number=str(number))
        page.locator("button.answer").nth(1).click()
    page.wait_for_url("**/my/help")
    seen.open(page, "/my/help")
    seen.open(page, "/my/messages")
    seen.open(page, "/my/check")
    page.click("text=Send my answers")
    seen.open(page, "/my/done")
    page.goto("about:blank")
    page.goto(path)
    page.wait_for_selector("h1:text-is('Your answers are with the clinic')")
    seen.check(page)


def that_refuse(page: Any, served: Served, seen: Seen, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every status of the table of statuses, to a GET and to a form; and what has none of its own."""
    assert set(REFUSALS) == set(pages.STATUSES.values())
    router = APIRouter(route_class=PageRoute)

    @router.api_route("/refused/{status}", methods=["GET", "POST"])
    def refuse(status: int) -> None:
        raise REFUSALS[status]

    served.app.include_router(router)
    log_in(page, served, "nora")
    page.wait_for_url("**/today")
    for status, wanted in REFUSALS.items():
        page.goto("/today")
        assert send(page, f"/refused/{status}") == status
        assert page.text_content("h1")
        seen.check(page)
        assert wanted.refused in page.text_content("main") or status == 401
        if status != 401:  # leads to the login
            assert page.goto(f"/refused/{status}").status == status
            assert page.text_content("h1")
    assert page.goto("/no/such/page").status == 404
    seen.check(page)
    page.goto("/today")
    assert send(page, "/today") == 405
    seen.check(page)
    page.goto("/today")
    assert send(page, "/alerts/read", version="many") == 422
    seen.check(page)
    monkeypatch.setattr(work, "read_worklist", lambda _desk: 1 / 0)
    assert page.goto("/worklist").status == 500
    seen.check(page)
    for _ in range(7):
        page.goto("/login")
        page.select_option("#clinic", "north")
        page.fill("#login", "nora")
        page.fill("#password", "wrong")
        page.fill("#code", "000000")
        with page.expect_navigation() as answered:
            page.click("button.action")
    assert answered.value.status == 429
    seen.check(page)


def send(page: Any, path: str, **fields: str) -> int:
    """A form of the page's own, as a browser sends it."""
    with page.expect_navigation() as answered:
        page.evaluate(
            """([path, fields]) => {
              const form = document.body.appendChild(document.createElement("form"));
              form.method = "post"; form.action = path;
              for (const [name, value] of Object.entries(fields)) {
                const field = form.appendChild(document.createElement("input"));
                field.name = name; field.value = value;
              }
              form.submit();
            }""",
            [path, fields],
        )
    return int(answered.value.status)
