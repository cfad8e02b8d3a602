"""From an inquiry to a signed plan in the browser: by two roles, by keyboard alone, without scripts, and with slips."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from tests.browser.conftest import PASSWORD, Open, Served, log_in, look
from tests.integration import care
from tests.integration.desks import desk
from tests.integration.stores import RunningClock

from afterglow.clinic import Allergies, AllergyStatus, Delivery, Role
from afterglow.usecases import courses, measures, patients, policies
from afterglow.usecases.intake import read_intake
from afterglow.usecases.policies import Prices


def words(page: Any, selector: str) -> str:
    return " ".join(page.text_content(selector).split())


def take(page: Any, name: str = "Mara Lind") -> str:
    """A new inquiry; the patient's id."""
    page.goto("/inquiries/new")
    return send_inquiry(page, name)


def send_inquiry(page: Any, name: str) -> str:
    """The form of an inquiry that is open, filled in and sent; the patient's id."""
    page.fill("#new-name", name)
    page.fill("#new-born_on", "1980-04-02")
    page.select_option("#new-referred_by", "psychiatrist")
    page.fill("#new-referrer", "Dr Aho, Lake Street")
    page.select_option("#new-treatment", "iv:racemic_ketamine")
    page.select_option("#new-indication", "trd")
    page.click("text=Take the inquiry")
    page.wait_for_url("**/candidacy")
    return str(page.url.split("/")[-2])


def known(served: Served, patient: str) -> None:
    """Everything asked and nothing met, but for what the plan settles."""
    nurse = desk(served.store, Role.NURSE)
    patients.note_facts(nurse, patient, care.asked())
    patients.note_allergies(nurse, patient, Allergies(status=AllergyStatus.NONE_KNOWN))
    patients.reconcile_medicines(nurse, patient, (), visit="intake")
    patients.note_trials(nurse, patient, care.TRIALS)
    measures.record(nurse, patient, "PHQ-9", answers=[2, 2, 3, 2, 2, 2, 2, 2, 0])


def later(served: Served, minutes: float) -> None:
    served.store.clock.now += timedelta(minutes=minutes)  # type: ignore[attr-defined]


def sign(page: Any, served: Served, form: str, login: str = "petra") -> None:
    page.fill(f"#{form}-again_password", PASSWORD)
    page.fill(f"#{form}-again_code", served.code(login))


def test_an_inquiry_becomes_a_signed_plan_and_treatment(opened: Open, served: Served) -> None:
    policies.set_prices(desk(served.store, Role.COORDINATOR), Prices(currency="USD", session=((Delivery.IV, 45_000),)))
    desk_page: Any = opened()
    log_in(desk_page, served, "carl")
    desk_page.goto("/worklist")
    desk_page.click("text=New inquiry")
    patient = take(desk_page)
    assert "Dr Aho, Lake Street" in words(desk_page, "#inquiry")
    assert "Rules" not in words(desk_page, "main")  # the coordinator reads no charts
    desk_page.click("label:has-text('No') >> nth=0")
    desk_page.click("text=Take into candidacy")
    assert words(desk_page, ".facts .phase") == "Candidacy"
    known(served, patient)

    page: Any = opened()
    log_in(page, served, "petra")
    page.goto("/worklist")
    page.click("[aria-label='Go on with the course of Mara Lind']")
    page.click(".tools-line >> text=Plan")
    page.fill("#plan-dose_mg_per_kg", "0.5")
    page.fill("#plan-weight_kg", "80")
    page.fill("#plan-infusion_min", "40")
    page.wait_for_selector("#verdict >> text=40 mg")
    page.fill("#plan-induction_sessions", "6")
    page.fill("#plan-interval_days", "3.5")
    page.wait_for_selector("#verdict >> text=2,700.00 USD")
    page.click("button:has-text('Check and compare')")
    assert page.locator("#ways tbody tr").count() == 4
    assert "no trial has compared intervals" in words(page, "#ways")
    page.fill("#plan-endpoint", "PHQ-9 halved")
    later(served, 6)  # the password given at log-in stands for no signature any more
    page.click("button:has-text('Check and compare')")
    page.fill("#plan-again_password", "a wrong password")
    page.fill("#plan-again_code", served.code("petra"))
    page.click("text=Sign the plan")
    assert page.locator("#plan").count() == 0
    page.fill("#again_password", PASSWORD)
    page.fill("#again_code", served.code("petra"))
    page.click("button:has-text('and send')")
    assert "0.5 mg/kg, over 40 min, judged for 80 kg" in words(page, "#plan")
    assert "petra" in words(page, "#plan")

    page.click("text=Inquiry and candidacy")
    page.click("text=Sign the decision")  # nothing is chosen before
    assert page.text_content("#summary h2") == "The decision is missing"
    page.check("#decide-decision")
    page.click("text=Sign the decision")
    assert page.text_content("#summary h2") == "The reason is missing"
    assert page.is_checked("#decide-decision")
    page.fill("#decide-reason", "Two trials failed, nothing against it")
    page.click("text=Sign the decision")
    assert "Suitable: go on to consent. Two trials failed" in words(page, "#decision")
    page.click("label:has-text('Paper')")
    page.fill("#consent-given_by", "Mara Lind")
    page.click("text=Record consent")
    assert page.text_content("#summary h2") == "The consent does not fit the plan"
    page.check("#consent-off_label_stated")
    page.click("text=Record consent")
    page.click("text=Safety plan made with the patient")
    assert "off-label use stated" in words(page, "#consent")

    desk_page.reload()
    desk_page.click("label:has-text('A payer')")
    desk_page.fill("#cover-payer", "Blue")
    desk_page.fill("#cover-units", "6")
    desk_page.fill("#cover-ends_on", "2026-04-30")
    desk_page.click("text=Record authorisation")
    assert "6 of 6 sessions left, from 5 Jan 2026 until 30 Apr 2026" in words(desk_page, "#cover")
    desk_page.click("text=On to cover")
    later(served, 6)
    page.reload()
    sign(page, served, "start")
    page.click("text=Start treatment")
    assert words(page, ".facts .phase") == "Induction"
    page.click(".tools-line >> text=Chart")
    assert "0.5 mg/kg over 40 min" in words(page, ".beside")


def test_the_rules_answer_as_one_types_and_the_same_without_scripts(opened: Open, served: Served) -> None:
    patient = take(opened_as(opened, served, "carl"))
    page = opened_as(opened, served, "nora")
    page.goto(f"/patients/{patient}/candidacy")
    page.focus("[id='interview-hx.avm']")
    page.keyboard.press("Space")
    page.wait_for_selector("#rules >> text=C002")
    page.fill("[id='interview-hx.nyha_class']", "9")
    page.wait_for_selector("#rules >> text=Allowed: 0 to 4")
    assert "Allowed: 0 to 4" in words(page, "[id='interview-hx.nyha_class-fault']")  # at the field and beside Save, too
    assert page.get_attribute("[id='interview-hx.nyha_class']", "aria-invalid") == "true"
    assert "Allowed: 0 to 4" in words(page, "#so-far")
    page.fill("[id='interview-hx.nyha_class']", "0")
    page.wait_for_selector("#rules h3:has-text('Met')")
    by_script = words(page, "#rules")
    assert words(page, "#so-far").startswith("1 excludes, 1 asks a prescriber, ")
    assert page.locator("[aria-invalid], #form-interview .fault").count() == 0
    assert "As typed, not saved yet" in by_script
    page.goto(f"/patients/{patient}/candidacy")
    assert "C002" not in words(page, "#rules h3 + ul")  # nothing was kept

    plain = opened_as(opened, served, "nora", java_script_enabled=False)
    plain.goto(f"/patients/{patient}/candidacy")
    plain.focus("[id='interview-hx.avm']")
    plain.keyboard.press("Space")
    for slip in ("9", "abc", "1,5"):
        plain.fill("[id='interview-hx.nyha_class']", slip)
        plain.click("#form-interview button.action")
        assert "Allowed:" in words(plain, "[id='interview-hx.nyha_class-fault']")
        assert plain.get_attribute("[id='interview-hx.nyha_class']", "aria-invalid") == "true"
    plain.fill("[id='interview-hx.nyha_class']", "0")
    plain.click("text=Check without saving")
    assert words(plain, "#rules") == by_script
    assert plain.is_checked("[id='interview-hx.avm']")
    plain.click("#form-interview button.action")
    assert "As typed" not in words(plain, "#rules")
    noted = noted_of(served, patient)
    assert noted == {"hx.avm": True, "hx.nyha_class": 0.0}  # what nobody touched is not written
    plain.focus("[id='interview-hx.avm-3']")
    plain.keyboard.press("Space")
    plain.click("#form-interview button.action")
    assert noted_of(served, patient)["hx.avm"] is None  # not known again


def noted_of(served: Served, patient: str) -> dict[str, Any]:
    found = read_intake(desk(served.store, Role.NURSE), patient).shown.assessment
    assert found is not None
    return {name: each.value for name, each in found.noted.items()}


def opened_as(opened: Open, served: Served, login: str, **options: Any) -> Any:
    page = opened(**options)
    log_in(page, served, login)
    return page


@pytest.mark.parametrize("scripts", [True, False])
def test_slips_are_refused_beside_their_field_and_nothing_is_lost(opened: Open, served: Served, scripts: bool) -> None:  # noqa: FBT001
    page = opened_as(opened, served, "petra", java_script_enabled=scripts)
    page.goto("/inquiries/new")
    page.fill("#new-name", "Mara Lind")
    page.fill("#new-born_on", "2027-01-01")
    page.select_option("#new-referred_by", "self")
    page.select_option("#new-treatment", "iv:racemic_ketamine")
    page.select_option("#new-indication", "trd")
    page.click("text=Take the inquiry")
    assert page.text_content("#summary h2") == "The birth date is in the future"
    assert page.get_attribute("#new-born_on", "aria-invalid") == "true"
    assert page.input_value("#new-name") == "Mara Lind"
    page.fill("#new-born_on", "1980-04-02")
    page.click("text=Take the inquiry")
    patient = page.url.split("/")[-2]

    page.goto(f"/patients/{patient}/plan")
    for field, value in (("dose_mg_per_kg", "0.5"), ("weight_kg", "700"), ("infusion_min", "40"), ("endpoint", "Well")):
        page.fill(f"#plan-{field}", value)
    page.fill("#plan-induction_sessions", "6")
    page.fill("#plan-interval_days", "3.5")
    page.click("text=Sign the plan")
    assert page.text_content("#summary h2") == "The weight is refused"
    assert "700 kg" in page.text_content("#summary p")
    assert page.input_value("#plan-weight_kg") == "700"
    page.fill("#plan-weight_kg", "80")
    page.fill("#plan-dose_mg_per_kg", "5")
    page.click("text=Sign the plan")
    assert "is refused" in page.text_content("#summary h2")
    page.fill("#plan-dose_mg_per_kg", "0.5")
    page.fill("#plan-endpoint", "")
    page.click("text=Sign the plan")
    assert page.text_content("#summary h2") == "A plan has an endpoint"
    assert courses.read_course(desk(served.store, Role.NURSE), course_of(served, patient)).shown.now.plan is None


def course_of(served: Served, patient: str) -> str:
    course = read_intake(desk(served.store, Role.NURSE), patient).shown.course
    assert course is not None
    return course.id


def test_the_same_person_twice_is_asked_about(opened: Open, served: Served) -> None:
    page = opened_as(opened, served, "carl")
    take(page)
    page.goto("/inquiries/new")
    page.fill("#new-name", "Mara Lind")
    page.fill("#new-born_on", "1980-04-02")
    page.select_option("#new-referred_by", "self")
    page.select_option("#new-treatment", "esk:esketamine")
    page.select_option("#new-indication", "trd")
    page.click("text=Take the inquiry")
    assert "is here already" in page.text_content("#summary h2")
    page.check("#new-twin")
    page.click("text=Take the inquiry")
    page.wait_for_url("**/candidacy")


def test_a_prescriber_answers_a_rule_with_a_reason(opened: Open, served: Served) -> None:
    patient = take(opened_as(opened, served, "carl"))
    known(served, patient)
    patients.note_facts(desk(served.store, Role.NURSE), patient, {"hx.sleep_apnoea": True})
    page = opened_as(opened, served, "petra", java_script_enabled=False)
    page.goto(f"/patients/{patient}/candidacy")
    page.click("#ask-C022 > summary")
    page.fill("#answer-C022-reason", "Uses CPAP every night")
    page.click("#ask-C022 >> text=Record answer")
    assert page.text_content("#summary h2") == "The decision is missing"
    page.check("#answer-C022-decision", force=True)
    page.click("#ask-C022 >> text=Record answer")
    assert "C022: go on all the same, petra" in words(page, "#decision")
    assert page.locator("#ask-C022").count() == 0


def test_a_long_list_of_medicines_tried_keeps_every_one(opened: Open, served: Served) -> None:
    patient = take(opened_as(opened, served, "carl"))
    tried = tuple(replace(care.TRIALS[0], drug=f"medicine {place}") for place in range(9))
    nurse = desk(served.store, Role.NURSE)
    patients.note_trials(nurse, patient, tried)
    page = opened_as(opened, served, "petra", java_script_enabled=False)
    page.goto(f"/patients/{patient}/candidacy")
    page.click("text=Save what was tried")
    known_now = read_intake(nurse, patient).shown.assessment
    assert known_now is not None
    assert known_now.trials is not None
    assert [each.drug for each in known_now.trials.trials] == [each.drug for each in tried]


def test_trying_a_plan_needs_no_signature_and_uses_none_up(opened: Open, served: Served) -> None:
    patient = take(opened_as(opened, served, "carl"))
    page = opened_as(opened, served, "petra")
    clock = served.store.clock
    assert isinstance(clock, RunningClock)
    clock.now += timedelta(minutes=10)  # the login's proof is too old to sign with
    page.goto(f"/patients/{patient}/plan")
    page.fill("#plan-again_password", "not typed to the end")
    for dose in ("2", "20", "200", "0.5"):
        page.fill("#plan-dose_mg_per_kg", dose)
        page.wait_for_timeout(500)
    page.fill("#plan-weight_kg", "80")
    page.fill("#plan-infusion_min", "40")
    page.wait_for_selector("#verdict >> text=40 mg")
    page.fill("#plan-induction_sessions", "6")
    page.fill("#plan-interval_days", "3.5")
    page.fill("#plan-endpoint", "PHQ-9 halved")
    page.fill("#plan-again_password", "")
    page.click("text=Sign the plan")
    assert "This needs a signature of the last five minutes." in words(page, "main")
    page.fill("#again_password", "wrong")
    page.fill("#again_code", "000000")
    page.click("button.action")
    assert "30 minutes" not in words(page, "main")
    page.fill("#again_password", PASSWORD)
    page.fill("#again_code", served.code("petra"))
    page.click("button.action")
    assert "6 sessions, every 3.5 days" in words(page, "#plan")


def test_a_plan_by_keyboard_alone(opened: Open, served: Served) -> None:
    patient = take(opened_as(opened, served, "carl"))
    page = opened_as(opened, served, "petra")
    page.goto(f"/patients/{patient}/plan")
    page.focus("#plan-dose_mg_per_kg")
    for typed in ("0.5", "", "80", "40", "6", "3.5", "PHQ-9 halved"):
        page.keyboard.type(typed)
        page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.textContent") == "Sign the plan"
    page.keyboard.press("Enter")
    page.wait_for_selector("#plan")
    assert "6 sessions, every 3.5 days" in words(page, "#plan")


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_the_pages_are_accessible_and_are_seen(opened: Open, served: Served, theme: str) -> None:
    policies.set_prices(desk(served.store, Role.COORDINATOR), Prices(currency="USD", session=((Delivery.IV, 45_000),)))
    page = opened_as(opened, served, "petra", color_scheme=theme)
    page.goto("/inquiries/new")
    look(page, "inquiry", theme)
    patient = take(page)
    look(page, "intake-inquiry", theme)
    known(served, patient)
    patients.note_facts(desk(served.store, Role.NURSE), patient, {"hx.sleep_apnoea": True, "hx.mi": None})
    courses.accept(desk(served.store, Role.COORDINATOR), course_of(served, patient), emergency=False, version=1)
    page.goto(f"/patients/{patient}/candidacy")
    assert page.title() == "Inquiry and candidacy – Afterglow"  # no name in a title
    look(page, "candidacy", theme)
    page.goto(f"/patients/{patient}/plan")
    for field, value in (("dose_mg_per_kg", "1.2"), ("weight_kg", "80"), ("infusion_min", "40")):
        page.fill(f"#plan-{field}", value)
    page.fill("#plan-induction_sessions", "6")
    page.fill("#plan-interval_days", "3.5")
    page.click("button:has-text('Check and compare')")
    page.wait_for_selector("#ways tbody")
    look(page, "plan", theme)


def test_who_reads_no_charts_sees_no_answers(opened: Open, served: Served) -> None:
    page = opened_as(opened, served, "carl")
    patient = take(page)
    known(served, patient)
    page.goto(f"/patients/{patient}/candidacy")
    assert page.locator("#decision, #rules, #medicines, #form-interview").count() == 0
    assert page.locator("#cover").count() == 1
    page.goto(f"/patients/{patient}/plan")
    assert page.locator("form[data-tried], #ways").count() == 0


def test_prices_are_set_with_the_clinic(opened: Open, served: Served) -> None:
    page = opened_as(opened, served, "carl", java_script_enabled=False)
    page.goto("/clinic")
    page.fill("#currency", "usd")
    page.fill("#price_iv", "450.555")
    page.click("text=Keep the prices")
    assert page.text_content("#prices #summary h2") == "The price of IV ketamine is refused"
    assert page.input_value("#price_iv") == "450.555"
    page.fill("#price_iv", "450.5")
    page.click("text=Keep the prices")
    assert (page.input_value("#currency"), page.input_value("#price_iv")) == ("USD", "450.50")
    assert page.input_value("#price_esk") == ""  # no price is none, never zero
