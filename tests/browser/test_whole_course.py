"""A whole course in the browser, from first contact to maintenance: each step by whose work it is, through pages."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from tests.browser.conftest import Open, Served, hire, log_in, serving
from tests.browser.test_every_page import send
from tests.browser.test_intake import send_inquiry
from tests.browser.test_keyboard import Keys
from tests.browser.test_patient import PHONE, follow
from tests.browser.test_session import choose, fill_reading, later, leave, press, screen, second, sign
from tests.integration import care
from tests.integration.desks import without_policy
from tests.integration.stores import RunningClock, new_store

from afterglow.clinic import Role
from afterglow.usecases.jobs import run_jobs

TEAM = {
    "cora": Role.COORDINATOR,
    "petra": Role.PRESCRIBER,
    "theo": Role.THERAPIST,
    "nora": Role.NURSE,
    "bea": Role.NURSE,
    "mira": Role.MEDICAL_DIRECTOR,
    "quinn": Role.COMPLIANCE,
    "ada": Role.ADMINISTRATOR,
    "rosa": Role.RESEARCHER,
}
NAME = "Mara Lind"
PATIENT, SESSION = "/patients/{patient}", "/sessions/{session}"
CLINICAL = (PATIENT, f"{PATIENT}/candidacy", f"{PATIENT}/plan", SESSION, "/today", "/diary", "/worklist")
DECISIONS = (f"{PATIENT}/candidacy/decide", f"{PATIENT}/candidacy/maintain", f"{PATIENT}/plan", f"{SESSION}/order")
REFUSED: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "cora": ((PATIENT, SESSION, "/drugs"), (*DECISIONS, f"{PATIENT}/candidacy/interview", f"{SESSION}/screen")),
    "petra": (("/admin/people", "/admin/audit"), ("/admin/policy/sign", f"{SESSION}/screen", "/drugs/explain")),
    "theo": (("/admin/people", "/inquiries/new"), (*DECISIONS, f"{SESSION}/prepare", "/drugs/receive")),
    "nora": (("/admin/people", "/admin/audit"), (*DECISIONS, f"{SESSION}/decide", "/admin/policy/draft")),
    "mira": (("/admin/people", "/admin/audit"), (*DECISIONS, f"{SESSION}/take")),
    "quinn": ((*CLINICAL, "/admin/people"), (*DECISIONS, f"{PATIENT}/candidacy/interview", "/links")),
    "ada": (
        (*CLINICAL, "/drugs", "/documents", "/admin/audit", "/admin/policy"),
        (*DECISIONS, "/drugs/receive", "/links"),
    ),
    "rosa": ((*CLINICAL, "/drugs", "/documents", "/admin/people", "/admin/audit", "/clinic"), (*DECISIONS, "/links")),
}
"""What is not theirs, by login: pages, and forms that are refused where they are sent all the same."""


class Team:
    """Colleagues, each at a browser of their own; who was away for long logs in again."""

    def __init__(self, opened: Open, served: Served) -> None:
        self.opened, self.served = opened, served
        self.pages: dict[str, Any] = {}

    def __call__(self, login: str, path: str) -> Any:
        if login not in self.pages:
            self.pages[login] = self.opened()
            self.pages[login].set_default_timeout(60_000)  # the model's first answer of a process takes long
        page = self.pages[login]
        page.goto(path)
        if "/login" in page.url:
            log_in(page, self.served, login)
            page.goto(path)
        assert "/login" not in page.url
        return page


@pytest.fixture
def team(opened: Open, served: Served) -> Team:
    return Team(opened, served)


@pytest.fixture
def served(tmp_path: Path) -> Iterator[Served]:
    """A clinic in which nothing was done yet but that people came to work."""
    store = without_policy(new_store(f"sqlite:///{tmp_path / 'records.db'}", tmp_path))
    with serving(replace(store, clock=RunningClock())) as clinic:
        for login, role in TEAM.items():
            hire(clinic, login, role)
        yield clinic


def words(page: Any, selector: str) -> str:
    return " ".join(page.text_content(selector).split())


def unfold(page: Any, summary: str) -> None:
    """Open what is folded, as somebody would who looks for it."""
    found = page.locator(f"summary:has-text('{summary}')").first
    if not found.evaluate("each => each.parentElement.open"):
        found.click()


def submit(page: Any, form: str) -> None:
    """The form's own button; nothing is refused."""
    with page.expect_navigation():
        page.locator(f"#form-{form} button:not([formaction])").last.click()
    assert page.locator("#summary").count() == 0, words(page, "#summary")


def set_up(team: Team) -> None:
    """Thresholds, chairs, consent form, telephone, drug: what a new clinic needs before its first patient."""
    page = team("mira", "/admin/policy")
    assert "None yet" in words(page, "main")
    page.select_option("#setting", "course.early_check_after_sessions")
    page.fill("#value", "20")
    page.click("button:has-text('Make the draft')")
    assert "is refused" in words(page, "#summary h2")
    assert page.input_value("#value") == "20"
    page.fill("#value", "2")
    page.click("button:has-text('Make the draft')")
    assert "Draft" in words(page, ".version")
    page.click("button:has-text('Sign version 1')")
    assert "In force, signed by mira" in words(page, ".version")
    page = team("mira", "/clinic")
    page.select_option("#delivery", "iv")
    page.fill("#version", "2026-1")
    page.click("text=Put in use")
    page = team("cora", "/clinic")
    page.fill("#chair-0", "c1")
    page.check("input[name=gives][value='0:iv']")
    page.fill("#capacity", "1")
    page.click("text=Keep chairs and staff")
    page.fill("#emergency", "911")
    page.fill("#clinic", "555 0142")
    page.click("text=Keep the numbers")
    page.fill("#currency", "USD")
    page.fill("#price_iv", "450")
    page.click("text=Keep the prices")
    assert "5 of 6 done" in words(page, "main")
    page = team("nora", "/drugs")
    assert "Nothing is in the cabinet" in words(page, "main")
    for field, value in (
        ("container_id", "v1"),
        ("lot", "L1"),
        ("amount_mg", "500"),
        ("concentration_mg_per_ml", "50"),
    ):
        page.fill(f"#receive-{field}", value)
    page.select_option("#receive-drug", "racemic_ketamine")
    page.fill("#receive-expires_on", "2026-01-04")
    page.click("#form-receive button")
    assert "expire" in words(page, "#summary").lower()
    page.fill("#receive-expires_on", "2027-01-01")
    submit(page, "receive")
    assert "500 of 500 mg" in words(page, "table")


def inquire(team: Team) -> str:
    """The first contact, with a slip in it that is put right; the patient's id."""
    page = team("cora", "/worklist")
    page.click("text=New inquiry")
    page.fill("#new-phone", "555 0100")
    patient = send_inquiry(page, NAME)
    unfold(page, "Correct name or contact")
    assert page.input_value("#identify-phone") == "555 0100"
    page.fill("#identify-phone", "555 0199")
    page.fill("#identify-email", "mara@example.org")
    submit(page, "identify")
    unfold(page, "Ask about messages by mail")
    submit(page, "write_to")
    assert "Agreed to" in words(page, "#inquiry")
    unfold(page, "Correct the referral")
    page.fill("#refer-referrer", "Dr Aho, Hill Street")
    page.locator("#form-refer button").click()
    assert words(page, "#summary h2") == "A correction needs a reason"
    page.fill("#refer-reason", "The practice has moved")
    submit(page, "refer")
    assert "555 0199" in words(page, "#inquiry")
    assert "Dr Aho, Hill Street; taken by cora" in words(page, "#inquiry")
    page.locator("#form-accept input[value=no]").check(force=True)
    submit(page, "accept")
    assert words(page, ".facts .phase") == "Candidacy"
    return patient


def interview(team: Team, patient: str) -> None:
    """The therapist asks, the nurse goes through medicines, allergies, what was tried, and the scales."""
    page = team("theo", f"/patients/{patient}/candidacy")
    today = team.served.store.clock().date().isoformat()
    for name, value in care.asked().items():
        field = page.locator(f'#form-interview [name="{name}"]:not([type=hidden])')
        if field.count() == 0:
            continue
        if isinstance(value, bool):
            page.locator(f'#form-interview [name="{name}"][value="{"yes" if value else "no"}"]').check(force=True)
        elif field.evaluate("each => each.localName") == "select":
            field.select_option(str(value))
        else:
            field.fill(today if field.get_attribute("type") == "date" else f"{value:g}")
    submit(page, "interview")
    assert page.locator("#form-decide, #form-medicines").count() == 0  # a therapist neither decides nor prescribes
    page = team("nora", f"/patients/{patient}/candidacy")
    submit(page, "medicines")
    page.locator("#form-allergies [name=status][value=none_known]").check(force=True)
    submit(page, "allergies")
    for i, (drug, kind) in enumerate((("sertraline", "ssri"), ("venlafaxine", "snri"))):
        if i:
            unfold(page, f"Medicine {i + 1}")
        page.fill(f"#trials-drug_{i}", drug)
        page.select_option(f"#trials-class_{i}", kind)
        page.select_option(f"#trials-outcome_{i}", "failed")
        page.fill(f"#trials-weeks_{i}", "8")
        page.fill(f"#trials-improvement_{i}", "10")
        page.locator(f"#form-trials [name=enough_{i}][value=yes]").check(force=True)
        page.locator(f"#form-trials [name=episode_{i}][value=yes]").check(force=True)
    submit(page, "trials")
    for scale, total in (("PHQ-9", "18"), ("AUDIT-C", "0"), ("DAST-10", "0")):
        page.select_option("#score-scale", scale)
        page.fill("#score-total", total)
        submit(page, "score")
    assert page.locator("#form-decide").count() == 0


def decide_and_plan(team: Team, patient: str) -> None:
    """Plan with what-ifs, decision, consent, safety plan, cover, start."""
    served = team.served
    page = team("petra", f"/patients/{patient}/plan")
    for field, value in (
        ("dose_mg_per_kg", "0.5"),
        ("weight_kg", "80"),
        ("infusion_min", "40"),
        ("induction_sessions", "2"),
        ("interval_days", "3.5"),
        ("endpoint", "PHQ-9 halved"),
    ):
        page.fill(f"#plan-{field}", value)
    page.wait_for_selector("#verdict >> text=40 mg")
    page.click("button:has-text('Check and compare')")
    page.wait_for_selector("#ways tbody")
    assert page.locator("#ways tbody tr").count() == 4
    sign(page, served, "plan", "petra")
    page.click("text=Sign the plan")
    page.wait_for_selector("#plan >> text=0.5 mg/kg, over 40 min")
    page = team("petra", f"/patients/{patient}/candidacy")
    page.check("#decide-decision")
    page.fill("#decide-reason", "Two trials failed, nothing against it")
    sign(page, served, "decide", "petra")
    submit(page, "decide")
    assert "Suitable: go on to consent. Two trials failed" in words(page, "#decision")
    page = team("nora", f"/patients/{patient}/candidacy")
    page.locator("#form-consent [name=method][value=paper]").check(force=True)
    page.fill("#consent-given_by", NAME)
    page.check("#consent-off_label_stated")
    submit(page, "consent")
    submit(team("theo", f"/patients/{patient}/candidacy"), "safety")
    page = team("cora", f"/patients/{patient}/candidacy")
    page.locator("#form-cover [name=kind][value=payer]").check(force=True)
    for field, value in (("payer", "Blue"), ("units", "6"), ("ends_on", "2026-04-30")):
        page.fill(f"#cover-{field}", value)
    submit(page, "cover")
    submit(page, "await_cover")
    assert page.locator("#form-start").count() == 0  # the coordinator starts no treatment
    page = team("petra", f"/patients/{patient}/candidacy")
    sign(page, served, "start", "petra")
    submit(page, "start")
    assert words(page, ".facts .phase") == "Induction"


def book(team: Team, patient: str, day: str) -> None:
    page = team("cora", "/diary/book")
    page.select_option("#course", index=1)
    page.select_option("#chair", "c1")
    page.fill("#day", day)
    page.fill("#time", "10:00")
    page.fill("#minutes", "40")
    page.click("button.action")
    page.wait_for_url("**/diary?day=*")
    assert "Mara" in words(page, "main"), patient


def treat(team: Team, *, events: tuple[str, ...] = ()) -> str:
    """A session of today from arrival to close: coordinator, nurse, prescriber, and a second nurse who checks."""
    served = team.served
    team("cora", "/today").click("button:has-text('Is here')")
    page = team("nora", "/today")
    session = str(page.get_attribute("a[href^='/sessions/']", "href")).split("#")[0].rsplit("/", 1)[1]
    path = f"/sessions/{session}"
    page = team("nora", path)
    assert page.locator("#order, #decide").count() == 0  # a nurse neither orders nor decides
    press(page, "medicines")
    fill_reading(page)
    page = posted(page, "reading", path)
    screen(page)
    other = team("petra", path)
    assert other.locator("#screen, #amend").count() == 0
    assert "Planned by Petra, 5 Jan 2026: 0.5 mg/kg over 40 min" in words(other, "main")
    assert (other.input_value("#order-dose_mg_per_kg"), other.input_value("#order-infusion_min")) == ("0.5", "40")
    sign(other, served, "order", "petra")
    press(other, "order")
    page.goto(path)
    page.fill("#prepare-weight_kg", "80")
    choose(page, "prepare", "concentration_mg_per_ml", "50")
    choose(page, "prepare", "diluted", "yes")
    press(page, "prepare")
    for field, value in (("amount_mg", "40"), ("volume_ml", "0.8"), ("concentration_mg_per_ml", "50")):
        page.fill(f"#second_check-{field}", value)
    second(page, served, "second_check", "nora")
    press(page, "second_check")
    assert page.locator("#summary").count() == 1  # nobody checks the own work
    second(page, served, "second_check", "bea")
    press(page, "second_check")
    other.goto(path)
    choose(other, "decide", "decision", "go")
    sign(other, served, "decide", "petra")
    press(other, "decide")
    page.goto(path)
    page.select_option("#take-container_id", "v1")
    page.fill("#take-amount_mg", "50")
    press(page, "take")
    press(page, "start")
    for minutes in (10, 10, 10, 11):
        later(served, minutes)
        page.goto(path)
        fill_reading(page, systolic_mmhg="131")
        page = posted(page, "reading", path)
    page.locator('#finish_dose input[name="given_v1"]').fill("40")
    press(page, "finish_dose")
    for term in events:
        page.wait_for_selector("html[data-ready]")
        page.locator(f'#event button[value="{term}"]').click()
        page.wait_for_selector(f"#told-events >> text={term}")
    for _ in range(5):
        later(served, 14)
        page.goto(path)
        fill_reading(page)
        page = posted(page, "reading", path)
    leave(page)
    page.select_option("#waste-container_id", "v1")
    page.fill("#waste-amount_mg", "10")
    page.fill("#waste-reason", "rest of the syringe")
    sign(page, served, "waste", "nora")
    second(page, served, "waste", "bea")
    press(page, "waste")
    sign(page, served, "sign_note", "nora")
    press(page, "sign_note")
    for form in page.locator("form[id^='grade-']").evaluate_all("all => all.map(each => each.id)"):
        page.locator(f"#{form}").evaluate("form => { form.closest('details').open = true }")
        choose(page, form, "grade", "1")
        choose(page, form, "serious", "no")
        press(page, form)
    press(page, "close")
    assert page.locator("#summary").count() == 0, words(page, "#summary")
    assert "Closed" in words(page, "#close-title")
    return session


def posted(page: Any, form: str, path: str) -> Any:
    """A form that a script sends by itself; the page as it is then."""
    page.wait_for_selector("html[data-ready]")
    page.locator(f"#{form} button:not([type=button])").last.click()
    page.wait_for_selector("#said:has-text('Saved')", state="attached")
    page.goto(path)
    return page


def answer_on_the_phone(team: Team, opened: Open, patient: str) -> None:
    """The coordinator sees that a scale is missing and makes a link; the patient answers on a phone."""
    page = team("cora", "/worklist?group=scales")
    assert NAME in words(page, "main")
    page.locator("form[action='/links'] button[aria-label*='PHQ-9']").first.click()
    link = page.text_content(".secret code").strip()
    phone = opened(**PHONE)
    follow(phone, link[link.index("/link#") :])
    phone.click("form[action='/my/start'] button")
    for number in range(1, 10):
        phone.wait_for_url(f"**/my/question/{number}")
        phone.locator("button.answer").nth(1 if number <= 5 else 0).click()
    phone.wait_for_url("**/my/check")
    phone.click("text=Send my answers")
    phone.wait_for_url("**/my/done")
    for url in (phone.url, page.url):
        assert patient not in url


def go_on_into_maintenance(team: Team, patient: str) -> None:
    """The prescriber reads the chart with its forecast, decides the next session, reviews the benefit, goes on."""
    served = team.served
    run_jobs(served.store)
    page = team("petra", f"/patients/{patient}")
    assert page.locator("figure.picture svg").count() > 0
    assert "the model's extrapolation" in words(page, "#decide")
    assert page.locator("#decide input[type=radio]:checked").count() == 0
    page.check("#step-book_by")
    page.fill("#by_day", "2026-01-26")
    page.fill("#reason", "Halved, and fading by then")
    page.click("text=Record decision")
    assert "Book a session by a date: 26 Jan 2026. Halved" in words(page, "#decide")
    page = team("petra", "/worklist?group=reviews")
    page.click(f"[aria-label='Review the benefit of {NAME}']")
    assert "2 of 2 planned" in words(page, "#treatment")
    unfold(page, "Go on into maintenance")
    sign(page, served, "maintain", "petra")
    page.locator("#form-maintain button").click()
    assert words(page, "#summary h2") == "Maintenance needs a benefit review that goes on"
    unfold(page, "Review the benefit")
    page.locator("#form-review [name=kind][value=end_of_induction]").check(force=True)
    page.locator("#form-review [name=decision][value=continue]").check(force=True)
    page.fill("#review-reason", "PHQ-9 from 18 to 5")
    sign(page, served, "review", "petra")
    submit(page, "review")
    assert "Continue. PHQ-9 from 18 to 5 (petra" in words(page, "#treatment")
    unfold(page, "Go on into maintenance")
    sign(page, served, "maintain", "petra")
    submit(page, "maintain")
    assert words(page, ".facts .phase") == "Maintenance"


def keep_a_note(team: Team, patient: str) -> None:
    """The therapist's integration, as a note in the chart."""
    page = team("theo", f"/patients/{patient}")
    page.click("text=Write the note")
    assert page.locator("#summary").count() == 1
    page.fill("#note", "Integration: walks every morning again")
    page.click("text=Write the note")
    assert "Integration: walks every morning again" in words(page, "section:has(#notes)")


def look_back(team: Team, patient: str, session: str) -> None:
    """Director, compliance, administrator and researcher each see what is theirs."""
    page = team("mira", f"/patients/{patient}")
    assert "Maintenance" in words(page, ".facts")
    assert "Continue, end of induction, petra" in words(page, "aside.beside")
    assert page.locator("#decide form").count() == 0
    assert "Version 1" in words(team("mira", "/admin/policy"), "main")
    page = team("mira", "/documents")
    with page.expect_download() as made:
        page.click("text=Make the outcome report")
    assert Path(made.value.path()).read_bytes().startswith(b"%PDF")
    for action in ("courses.inquire", "courses.correct_inquiry", "courses.decide_candidacy", "courses.maintain"):
        page = team("quinn", f"/admin/audit?patient={patient}&act={action}")
        assert "event " in words(page, "table")  # each act of this patient is told by its number
        assert NAME not in words(page, "body")
    assert "v1" in words(team("quinn", "/drugs"), "main")
    page = team("ada", "/admin/people")
    assert NAME not in words(page, "body")
    page = team("rosa", "/")
    assert page.url.endswith("/evidence")
    assert page.locator("nav[aria-label=Pages] a:has-text('Today'), [role=search]").count() == 0
    page = team("theo", f"/sessions/{session}")
    assert page.locator("#waste, #close, #order").count() == 0


def check_refusals(team: Team, patient: str, session: str) -> None:
    """What is not somebody's is not offered in the pages that are, and refused where it is asked for all the same."""
    typed = {"version": "1", "patient_id": patient, "purpose": "see_progress", "decision": "go"}
    typed |= {"container_id": "v1", "amount_mg": "1"}
    for login, (pages, forms) in REFUSED.items():
        page = team(login, "/")
        offered = page.locator("nav[aria-label=Pages] a").evaluate_all("all => all.map(a => a.getAttribute('href'))")
        for each in pages:
            assert each not in offered, (login, each)
            path = each.format(patient=patient, session=session)
            assert page.goto(path).status == 403, (login, path)
            assert NAME not in words(page, "body"), (login, path)
        for each in forms:
            page.goto("/evidence")
            path = each.format(patient=patient, session=session)
            assert send(page, path, **typed) == 403, (login, path)


def test_from_the_first_contact_to_maintenance(opened: Open, team: Team) -> None:
    clock = team.served.store.clock
    assert isinstance(clock, RunningClock)
    set_up(team)
    patient = inquire(team)
    interview(team, patient)
    decide_and_plan(team, patient)
    for on in ("2026-01-06", "2026-01-09"):
        book(team, patient, on)
    treated = []
    for day, events in ((6, ("Nausea",)), (9, ())):
        clock.now = clock.now.replace(day=day, hour=8, minute=50)
        treated.append(treat(team, events=events))
        if day == 6:
            clock.now = clock.now.replace(day=8, hour=12)
            answer_on_the_phone(team, opened, patient)
    clock.now += timedelta(days=3)
    keep_a_note(team, patient)
    go_on_into_maintenance(team, patient)
    look_back(team, patient, treated[0])
    check_refusals(team, patient, treated[0])


def test_from_the_first_contact_to_the_plan_by_keyboard_alone(opened: Open, served: Served) -> None:
    cora, petra = Keys(opened()), Keys(opened())
    cora.log_in(served, "cora")
    cora.page.goto("/worklist")
    with cora.page.expect_navigation():
        cora.follow("New inquiry")
    new = "/inquiries/new"
    cora.type(new, name=NAME)
    cora.pick(new, "referred_by", "psychiatrist")
    cora.pick(new, "treatment", "iv:racemic_ketamine")
    cora.pick(new, "indication", "trd")
    cora.send(new, "Take the inquiry")
    patient = cora.page.url.split("/")[-2]
    petra.log_in(served, "petra")
    petra.page.goto(f"/patients/{patient}/candidacy")
    petra.choose("form-interview", "hx.avm", "no")
    petra.pick("form-interview", "lab.child_pugh", "none")
    petra.to(form="form-interview", text="Save")
    with petra.page.expect_navigation():
        petra.page.keyboard.press("Enter")
    assert petra.page.is_checked("#form-interview [name='hx.avm'][value=no]")
    petra.page.goto(f"/patients/{patient}/candidacy")
    with petra.page.expect_navigation():
        petra.follow("Plan")
    form = f"/patients/{patient}/plan"
    petra.type(form, dose_mg_per_kg="0.5", weight_kg="80", infusion_min="40", induction_sessions="6")
    petra.type(form, interval_days="3.5", endpoint="PHQ-9 halved")
    petra.send(form, "Sign the plan")
    assert "6 sessions, every 3.5 days" in words(petra.page, "#plan")
