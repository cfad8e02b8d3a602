"""The worklist in the browser: groups, filters, empty states, print, and a link that a patient scans."""

from __future__ import annotations

import re
from datetime import timedelta

import pytest
from tests.browser.conftest import PASSWORD, Open, Served, log_in, look
from tests.integration import care
from tests.integration.desks import desk
from tests.integration.stores import RunningClock

from afterglow.clinic import Role
from afterglow.usecases import measures, people
from afterglow.usecases.login import begin_set_up, finish_set_up


@pytest.fixture
def busy(served: Served) -> Served:
    """Weeks later: somebody lapsed, somebody is worse, scales are missing."""
    clock = served.store.clock
    assert isinstance(clock, RunningClock)
    worse, course = care.in_induction(served.store, name="Theo Lindqvist")
    measures.record(desk(served.store, Role.NURSE), worse, "PHQ-9", total=9)
    clock.now += timedelta(days=29)
    measures.record(desk(served.store, Role.NURSE), worse, "PHQ-9", total=22)
    clock.now += timedelta(days=3)
    care.book(served.store, course, minutes=20 * 60)
    return served


def test_everything_in_groups_with_owners(opened: Open, busy: Served) -> None:
    page = opened()
    log_in(page, busy)
    page.click("nav >> text=Worklist")
    titles = page.locator("section.work h2").all_text_contents()
    assert titles[:3] == ["Alerts", "Getting worse", "Lapsed"]
    assert "Theo Lindqvist" in page.text_content("section:has(#g-worse)")
    assert page.locator("section:has(#g-lapsed) tbody tr").count() == 1
    scales = page.locator("section:has(#g-scales) tbody tr")
    assert scales.count() == len(set(scales.locator("th").all_text_contents()))  # one row a patient
    assert "Nothing under" in page.text_content(".rest")
    for row in page.locator("tbody tr").all():
        assert row.locator("td").nth(3).text_content().strip()  # nothing without an owner


def test_filters_say_what_they_leave_out(opened: Open, busy: Served) -> None:
    page = opened(java_script_enabled=False)
    log_in(page, busy)
    page.goto("/worklist")
    page.select_option("#group", "lapsed")
    page.select_option("#owner", "coordinator")
    page.click(".filters button")
    assert page.locator("section.work h2").all_text_contents() == ["Lapsed"]
    assert "with this filter" in page.text_content(".head")
    page.select_option("#group", "cover")
    page.click(".filters button")
    assert "No authorisation runs out soon" in page.text_content("section.work")
    page.click("text=Show all")
    assert page.locator("section.work").count() > 3
    page.goto("/worklist?group=nonsense&owner=nobody&overdue=1")
    assert "Nothing fits this filter" in page.text_content("main")


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_worklist_is_accessible_and_is_seen(opened: Open, busy: Served, theme: str) -> None:
    page = opened(color_scheme=theme)
    log_in(page, busy)
    page.goto("/worklist")
    look(page, "worklist", theme)
    page.emulate_media(media="print")
    assert page.locator("section.work").first.is_visible()
    assert not page.locator(".filters").is_visible()
    assert not page.locator("nav").is_visible()


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_a_link_is_scanned_at_the_desk(opened: Open, busy: Served, theme: str) -> None:
    page = opened(color_scheme=theme)
    log_in(page, busy)
    page.goto("/worklist?group=scales")
    page.locator("section.work form button").first.click()
    assert page.text_content("h1") == "A link for the patient's phone"
    assert re.fullmatch(r"(Anna Berger|Jonas Weber|Theo Lindqvist): \S+", page.text_content(".whose"))
    address = page.text_content(".secret code")
    assert "#" not in page.url
    assert page.locator(".qr svg").is_visible()
    look(page, "link", theme)
    phone = opened(viewport={"width": 390, "height": 844})
    phone.goto(address)
    phone.wait_for_url("**/my")
    assert phone.text_content("h1") == "How have you been?"


def test_an_empty_worklist_says_what_will_fill_it(opened: Open, served: Served) -> None:
    admin = desk(served.store, Role.ADMINISTRATOR, by="operator", clinic="south")
    token = people.add_person(admin, "dora", name="Dora", roles=(Role.MEDICAL_DIRECTOR,)).token
    _ready(served, "dora", token)
    page = opened()
    log_in(page, served, "dora", clinic="south")
    page.goto("/worklist")
    assert "Nothing is to do" in page.text_content("main")


def _ready(served: Served, login: str, token: str) -> None:
    begun = begin_set_up(served.store, token)
    served.secrets[login] = begun.secret
    finish_set_up(served.store, token, password=PASSWORD, secret=begun.secret, code=served.code(login))
