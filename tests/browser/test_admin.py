"""Administration in the browser: each page's main act, by who may, in both themes and by keyboard."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Any

import pyotp
import pytest
from sqlalchemy import update
from tests.browser.conftest import PASSWORD, Open, Served, check_accessible, hire, log_in, look
from tests.integration.desks import desk
from tests.integration.test_store_audit import _drop_triggers as drop_triggers

from afterglow.clinic import Role
from afterglow.store import facts, tables
from afterglow.store.audit import anchor
from afterglow.usecases import messages, people, policies
from afterglow.usecases.desk import Desk
from afterglow.usecases.login import begin_set_up, finish_set_up
from afterglow.usecases.messages import MOST_TRIES, Channel, send_due
from afterglow.usecases.passes import list_devices
from afterglow.usecases.policies import policy_id
from afterglow.usecases.upkeep import BACKED_UP

THEMES = pytest.mark.parametrize("theme", ["light", "dark"])


def operator(served: Served) -> Desk:
    return desk(served.store, Role.ADMINISTRATOR, by="operator")


@pytest.fixture
def staffed(served: Served) -> Served:
    """With Mira, the medical director, and Quinn of compliance."""
    hire(served, "mira", Role.MEDICAL_DIRECTOR)
    hire(served, "quinn", Role.COMPLIANCE)
    return served


def admin(opened: Open, served: Served, login: str, theme: str = "light", **options: Any) -> Any:
    page = opened(color_scheme=theme, **options)
    log_in(page, served, login)
    page.wait_for_url(lambda address: "/login" not in address)
    return page


@THEMES
def test_somebody_is_added_changed_reset_and_leaves(opened: Open, staffed: Served, theme: str) -> None:
    page = admin(opened, staffed, "ada", theme)
    page.click("nav a:text-is('Administration')")
    assert page.text_content("h1") == "People"
    page.fill("#name", "Tom Therapist")
    page.fill("#login", "tom")
    page.click("button.action")
    assert "A person needs a role" in page.text_content("#summary")
    assert page.input_value("#name") == "Tom Therapist"
    look(page, "admin-people-refused", theme)
    page.check("label:has-text('Therapist') input")
    page.click("button.action")
    token = page.text_content(".secret code")
    look(page, "admin-people", theme)
    page.goto("/admin/people")
    assert token not in page.content()
    begun = begin_set_up(staffed.store, token)
    code = pyotp.TOTP(begun.secret).at(int(staffed.store.clock().timestamp()))
    finish_set_up(staffed.store, token, password=PASSWORD, secret=begun.secret, code=code)
    staffed.secrets["tom"] = begun.secret
    his = admin(opened, staffed, "tom")
    assert "/today" in his.url
    page.click("table a:text-is('Tom Therapist')")
    page.check("label:has-text('Nurse') input")
    page.click("text=Keep these roles")
    assert "count at once" in page.text_content("[role=status]")
    assert his.goto("/today").status == 200
    page.click("#sessions")
    assert "ended" in page.text_content("[role=status]")
    his.goto("/today")
    assert "/login" in his.url
    page.click("#reset")
    assert page.text_content(".secret code").startswith("north~")
    look(page, "admin-person", theme)
    page.goto("/admin/people/tom")
    page.click("#leave")
    assert "has left" in page.text_content("[role=status]")
    page.goto("/admin/people/ada")
    assert "Nobody changes the own login" in page.text_content("main")


def test_people_by_keyboard_alone(opened: Open, staffed: Served) -> None:
    page = admin(opened, staffed, "ada")
    page.goto("/admin/people")
    page.focus("#name")
    page.keyboard.type("Rita Researcher")
    page.keyboard.press("Tab")
    page.keyboard.type("rita")
    for _ in range(7):
        page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.value") == "researcher"
    page.keyboard.press("Space")
    page.keyboard.press("Enter")
    page.wait_for_selector(".secret code")
    assert [each.roles for each, _ in people.list_people(operator(staffed)).shown if each.login == "rita"] == [
        (Role.RESEARCHER,)
    ]


@THEMES
def test_a_system_gets_a_token_that_is_shown_once_and_taken_back(opened: Open, staffed: Served, theme: str) -> None:
    page = admin(opened, staffed, "ada", theme)
    page.goto("/admin/tokens")
    page.fill("#service-name", "Laboratory")
    page.fill("#service-login", "laboratory")
    page.check("section:has-text('New system') label:has-text('Nurse') input")
    page.click("section:has-text('New system') button:text-is('Add')")
    page.fill("#label", "Scores from the ward")
    page.check("label:has-text('Measures') input")
    page.fill("#days", "900")
    page.click("text=Make a token")
    assert "900" in page.text_content("#summary")
    assert page.is_checked("label:has-text('Measures') input")
    page.fill("#days", "30")
    page.click("text=Make a token")
    token = page.text_content(".secret code")
    look(page, "admin-tokens", theme)
    page.goto("/admin/tokens")
    assert token not in page.content()
    page.click("tr:has-text('Scores from the ward') >> text=Take back")
    assert "Taken back" in page.text_content("tr:has-text('Scores from the ward')")
    (held,) = (each for each in list_devices(operator(staffed)).shown if each.label == "Scores from the ward")
    assert held.revoked_at is not None


@THEMES
def test_an_address_is_confirmed_and_a_message_that_was_given_up_goes_again(
    opened: Open, staffed: Served, theme: str
) -> None:
    store, sent = staffed.store, []
    page = admin(opened, staffed, "ada", theme)
    page.goto("/admin/messages")
    assert "Nobody is told outside the screens" in page.text_content("main")
    page.fill("#address", "not an address")
    page.click("text=Send a code there")
    assert "refused" in page.text_content("#summary")
    assert page.input_value("#address") == "not an address"
    page.fill("#address", "ward@clinic.example")
    page.click("text=Send a code there")
    send_due(store, "north", lambda _id, message: sent.append(message.text))
    page.fill("#code-nurse", "00000000")
    page.click("text=Confirm")
    assert "does not fit" in page.text_content("#summary")
    page.fill("#code-nurse", re.findall(r"\d{8}", sent[0])[0])
    page.click("text=Confirm")
    assert "confirmed" in page.text_content("[role=status]")
    messages.set_route(operator(staffed), Role.PRESCRIBER, Channel.EMAIL, "doctor@clinic.example")
    clock: Any = store.clock
    for _ in range(MOST_TRIES):
        send_due(store, "north", lambda _id, _message: "the mail server answered 550")
        clock.now += timedelta(hours=2)
    page = admin(opened, staffed, "ada", theme)  # hours have gone by
    page.goto("/admin/messages")
    assert "Given up" in page.text_content("table")
    assert "answered 550" in page.text_content("table")
    look(page, "admin-messages", theme)
    page.click("text=Send again")
    send_due(store, "north", lambda _id, _message: None)
    page.goto("/admin/messages")
    assert "Given up" not in page.text_content("table")
    assert "ward@clinic.example" not in page.text_content("table")


@THEMES
def test_the_director_reads_the_difference_and_signs(opened: Open, staffed: Served, theme: str) -> None:
    store = staffed.store
    director = desk(store, Role.MEDICAL_DIRECTOR)
    policies.draft(director, {"S013.spo2_below": 95.0})
    policies.sign(director, 1)
    policies.draft(director, {"S013.spo2_below": 96.0, "alerts.high_minutes": 10.0})
    page = admin(opened, staffed, "mira", theme)
    page.goto("/admin/policy")
    assert page.text_content("h1") == "Thresholds"
    changed = page.locator("tr:has(.inline:text-is('changed'))")
    assert changed.count() == 2
    assert "95" in changed.filter(has_text="spo2").first.text_content()
    look(page, "admin-policy", theme)
    page.click("button.action")
    page.wait_for_load_state()
    if page.locator("#again_password").count():
        page.fill("#again_password", PASSWORD)
        page.fill("#again_code", staffed.code("mira"))
        page.click("button.action")
    assert "In force, signed by mira" in page.text_content(".version:has-text('Version 2')")
    with store.read("north") as tx:
        assert facts.load(tx, type(policies.list_policies(director).shown[-1]), policy_id(2)).state == "signed"
    nurse = admin(opened, staffed, "nora")
    nurse.goto("/admin/policy?version=2")
    assert nurse.locator("main button.action").count() == 0
    assert nurse.locator("nav a:text-is('Administration')").count() == 0


@THEMES
def test_compliance_reads_the_trail_and_proves_it(opened: Open, staffed: Served, theme: str) -> None:
    store = staffed.store
    anchor(store, "north")
    page = admin(opened, staffed, "quinn", theme)
    page.click("nav a:text-is('Administration')")
    page.click(".tabs a:text-is('Audit trail')")
    assert page.locator(".trail tbody tr").count() == 50
    page.click("text=Prove it now")
    page.wait_for_selector("text=Nothing was changed, removed or put in.", timeout=60_000)
    look(page, "admin-audit", theme)
    page.click("text=Older")
    assert "before=" in page.url
    assert page.locator("text=event 1").first.is_visible()
    page.click(".trail a")
    assert "patient=" in page.url
    assert page.locator(".trail td:nth-of-type(1)").count() > 0
    check_accessible(page)
    drop_triggers(store)
    with store.write("north", by="thief") as tx:
        events = tables.audit_events
        tx.run(update(events).where(tx.mine(events), events.c.seq == 5).values(by="somebody"))
        tx.event("read", view="nothing")
    page.goto("/admin/audit")
    page.click("text=Prove it again")
    page.wait_for_selector("text=faults were found", timeout=60_000)
    assert "Event 5: the event was changed" in page.text_content(".proof")
    look(page, "admin-audit-faults", theme)


def test_compliance_finds_a_patient_by_name_and_filters_the_trail(opened: Open, staffed: Served) -> None:
    page = admin(opened, staffed, "quinn")
    page.goto("/admin/audit")
    page.fill("#name", "anna")
    page.click("text=Find the patient")
    assert "anna" not in page.url.lower()
    page.click(".trail-patient li a >> nth=0")
    rows = page.locator(".trail tbody tr")
    assert rows.count() > 0
    assert page.locator(".trail td:last-child a").count() == rows.count()
    assert "chart.read" not in page.inner_text(".trail")
    act = page.locator(".trail td:nth-of-type(2)").first.inner_text().partition("\n")[0].removeprefix("Looked at: ")
    page.select_option("#act", label=act)
    page.click("button:text-is('Show')")
    assert "patient=" in page.url  # filters add up
    assert all(act in each for each in rows.all_inner_texts())
    page.goto("/admin/audit?by=quinn&act=audit.find_patient")
    assert "Search for a patient, for the audit trail" in rows.first.inner_text()
    assert "Quinn" in rows.first.inner_text()
    page.goto("/admin/audit?until=2001-01-01")
    assert "No event fits" in page.inner_text(".trail")
    for odd in ("Anna Berger", "%00", "'", "%25"):  # nothing typed in a filter is an error page
        assert page.goto(f"/admin/audit?patient={odd}").status == 200
        assert "No event fits" in page.inner_text(".trail")
    assert page.goto("/admin/audit?since=soon").status == 422
    assert page.locator("#summary a[href='#since']").count() == 1
    page.goto("/admin/audit")
    page.click("text=Find the patient")
    assert "A search needs" in page.inner_text("#summary")
    check_accessible(page)


@THEMES
def test_backups_and_what_runs_here_are_shown(opened: Open, staffed: Served, theme: str) -> None:
    page = admin(opened, staffed, "ada", theme)
    page.goto("/admin/records")
    assert "No backup was made yet" in page.text_content("main")
    anchor(staffed.store, "north")
    with staffed.store.write("north", by="program") as tx:
        tx.event(BACKED_UP, rows=10)
    page.goto("/admin/records")
    assert page.locator(".finding").count() == 0
    look(page, "admin-records", theme)
    page.goto("/admin/about")
    assert "SQLAlchemy" in page.content()
    assert page.locator("code").count() == 5
    look(page, "admin-about", theme)


def test_nobody_sees_pages_that_are_not_theirs(opened: Open, staffed: Served) -> None:
    told = {"ada": "Audit trail", "quinn": "People", "mira": "People"}
    for login, hidden in told.items():
        page = admin(opened, staffed, login)
        page.click("nav a:text-is('Administration')")
        assert page.locator(f".tabs a:text-is('{hidden}')").count() == 0
    assert page.goto("/admin/audit").status == 403
