"""A session in the browser: from arrival to close, by keyboard, without scripts, by two people, without a network."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Any

import pytest
from tests.browser.conftest import PASSWORD, Open, Served, hire, log_in, look
from tests.integration import care
from tests.integration.desks import desk
from tests.integration.stores import RunningClock

from afterglow.clinic import Decision, Delivery, Role, SessionState
from afterglow.predicates import Fact
from afterglow.usecases import room, sessions
from afterglow.usecases.today import read_today


@pytest.fixture
def staffed(served: Served) -> Served:
    """The clinic with a second nurse and a prescriber, who have set up their logins."""
    hire(served, "bea", Role.NURSE, "Bea Amato")
    hire(served, "paul", Role.PRESCRIBER, "Paul Hale")
    return served


def running(served: Served) -> str:
    """The infusion of the clinic that runs."""
    now = served.store.clock()
    shown = read_today(
        desk(served.store, Role.NURSE), since=now - timedelta(days=1), until=now + timedelta(days=1)
    ).shown
    return next(str(each.now.session_id) for each in shown.chairs if each.now is not None)


def booked(served: Served, delivery: Delivery = Delivery.IV, name: str = "Theo Lindqvist") -> str:
    _, course = care.in_induction(served.store, delivery, name)
    return care.book(served.store, course, minutes=270, chair="c2", dose_minutes=40 if delivery is Delivery.IV else 0)


def now_of(served: Served, session_id: str) -> Any:
    return sessions.read_session(desk(served.store, Role.NURSE), session_id).shown.session


def later(served: Served, minutes: float) -> None:
    clock = served.store.clock
    assert isinstance(clock, RunningClock)
    clock.now += timedelta(minutes=minutes)


def enter(page: Any, served: Served, session_id: str, login: str = "nora") -> None:
    log_in(page, served, login)
    page.wait_for_url("**/today")
    page.goto(f"/sessions/{session_id}")


def sign(page: Any, served: Served, form: str, login: str) -> None:
    """Password and code in the form itself, where it asks for them."""
    if page.locator(f"#{form}-again_password").count():
        page.fill(f"#{form}-again_password", PASSWORD)
        page.fill(f"#{form}-again_code", served.code(login))


def press(page: Any, form: str) -> None:
    """Send a form, and wait for the page that comes back."""
    with page.expect_navigation():
        page.locator(f"#{form} button:not([type=button])").last.click()


def choose(page: Any, form: str, field: str, value: str) -> None:
    page.locator(f'#{form} input[name="{field}"][value="{value}"]').check(force=True)


def second(page: Any, served: Served, form: str, login: str) -> None:
    page.fill(f"#{form}-second_login", login)
    page.fill(f"#{form}-second_password", PASSWORD)
    page.fill(f"#{form}-second_code", served.code(login))


GOOD = {
    "checklist.arrival_complete": "yes",
    "cssrs_slc.item_4": "no",
    "cssrs_slc.item_5": "no",
    "cssrs_slc.behaviour": "no",
    "arrival.acute_illness": "no",
    "arrival.intoxicated": "no",
    "arrival.oriented": "yes",
    "meds.sedating_or_pressor_changed": "no",
    "logistics.escort_confirmed": "yes",
    "logistics.no_driving_confirmed": "yes",
    "staff.prescriber_in_facility": "yes",
    "staff.acls_on_site": "yes",
    "staff.second_bls_on_site": "yes",
    "equipment.emergency_set_checked": "yes",
}
HOURS = {
    "intake.hours_since_solid_food": "10",
    "intake.hours_since_clear_fluids": "4",
    "intake.hours_since_alcohol": "72",
}


def screen(page: Any) -> None:
    for name, value in GOOD.items():
        choose(page, "screen", name, value)
    for name, hours in HOURS.items():
        page.locator(f'#screen input[name="{name}"]').fill(hours)
    for each in page.locator('#screen input[name^="workup_"]').all():
        each.check()
    press(page, "screen")


def fill_reading(page: Any, **values: str) -> None:
    quiet = {"systolic_mmhg": "124", "diastolic_mmhg": "78", "heart_rate_per_min": "72", "spo2_pct": "98"} | values
    for name, value in quiet.items():
        page.fill(f"#reading-{name}", value)
    choose(page, "reading", "moaas", "5")
    choose(page, "reading", "dissociated", "no")


def whole_session(page: Any, other: Any, served: Served, session_id: str) -> None:
    """From arrival to close: a nurse on `page`, the prescriber on `other`, the second nurse by credentials."""
    enter(page, served, session_id)
    press(page, "arrive")
    press(page, "medicines")
    fill_reading(page)
    press(page, "reading")
    screen(page)
    assert now_of(served, session_id).state is SessionState.SCREENED
    enter(other, served, session_id, "paul")
    other.fill("#order-dose_mg_per_kg", "0.5")
    other.fill("#order-infusion_min", "40")
    sign(other, served, "order", "paul")
    press(other, "order")
    page.goto(f"/sessions/{session_id}")
    page.fill("#prepare-weight_kg", "80")
    choose(page, "prepare", "concentration_mg_per_ml", "50")
    choose(page, "prepare", "diluted", "yes")
    press(page, "prepare")
    page.fill("#second_check-amount_mg", "400")  # ten times too much
    page.fill("#second_check-volume_ml", "0.8")
    page.fill("#second_check-concentration_mg_per_ml", "50")
    second(page, served, "second_check", "bea")
    press(page, "second_check")
    assert "the amount differs" in page.text_content("#summary h2")
    assert page.input_value("#second_check-volume_ml") == "0.8"
    assert page.input_value("#second_check-second_password") == ""
    page.fill("#second_check-amount_mg", "40")
    second(page, served, "second_check", "bea")
    press(page, "second_check")
    assert now_of(served, session_id).second_check.by == "bea"
    other.goto(f"/sessions/{session_id}")
    assert other.locator("#decide input[type=radio]:checked").count() == 0  # nothing is preselected
    choose(other, "decide", "decision", "go")
    sign(other, served, "decide", "paul")
    press(other, "decide")
    assert now_of(served, session_id).state is SessionState.CLEARED
    page.goto(f"/sessions/{session_id}")
    page.select_option("#take-container_id", "v1")
    page.fill("#take-amount_mg", "50")
    press(page, "take")
    press(page, "start")
    assert now_of(served, session_id).state is SessionState.DOSING
    for minutes in (10, 10, 10, 11):
        later(served, minutes)
        page.goto(f"/sessions/{session_id}")
        fill_reading(page, systolic_mmhg="131")
        press(page, "reading")
    page.locator('#finish_dose input[name="given_v1"]').fill("40")
    press(page, "finish_dose")
    press_event(page, "Nausea")
    for _ in range(5):
        later(served, 14)
        page.goto(f"/sessions/{session_id}")
        fill_reading(page)
        press(page, "reading")
    leave(page)
    assert now_of(served, session_id).state is SessionState.LEFT
    page.select_option("#waste-container_id", "v1")
    page.fill("#waste-amount_mg", "10")
    page.fill("#waste-reason", "rest of the syringe")
    sign(page, served, "waste", "nora")
    second(page, served, "waste", "bea")
    press(page, "waste")
    assert now_of(served, session_id).outstanding_ug("v1") == 0
    press(page, "close")
    assert "no signed note" in page.text_content("#summary h2")
    sign(page, served, "sign_note", "nora")
    press(page, "sign_note")
    event = now_of(served, session_id).adverse_events[0].id
    page.locator(f"#grade-{event}").evaluate("form => { form.closest('details').open = true }")
    choose(page, f"grade-{event}", "grade", "1")
    choose(page, f"grade-{event}", "serious", "no")
    press(page, f"grade-{event}")
    press(page, "close")
    assert now_of(served, session_id).state is SessionState.CLOSED


def press_event(page: Any, term: str) -> None:
    with page.expect_navigation():
        page.locator(f'#event button[value="{term}"]').click()


def leave(page: Any) -> None:
    for name in care.LEAVING:
        if name != "signed":
            choose(page, "leave", name, "yes")
    for scale in ("aldrete", "padss"):
        for part in range(1, 6):
            choose(page, "leave", f"{scale}_{part}", "2")
    page.check("#leave-signed")
    press(page, "leave")


def test_a_whole_session_posts_without_script(opened: Open, staffed: Served) -> None:
    session_id = booked(staffed)
    whole_session(opened(java_script_enabled=False), opened(java_script_enabled=False), staffed, session_id)
    closed = now_of(staffed, session_id)
    assert (closed.prepared.prepared_by, closed.second_check.by, closed.go_at is not None) == ("nora", "bea", True)
    assert [(each.kind.value, each.witness) for each in closed.drug_uses if each.witness] == [("wasted", "bea")]


def test_a_full_set_goes_in_by_keyboard_alone(opened: Open, staffed: Served) -> None:
    session_id = running(staffed)
    page = opened()
    enter(page, staffed, session_id)
    page.wait_for_selector("html[data-ready]")
    page.focus("#reading-systolic_mmhg")
    later(staffed, 10)
    strokes = ["1", "3", "4", "Enter", "8", "2", "Enter", "7", "6", "Enter", "9", "7", "Enter", "4", "p", "Enter"]
    before = len(now_of(staffed, session_id).readings)
    for each in strokes:
        page.keyboard.press(each)
    page.wait_for_selector("#said:has-text('Saved')", state="attached")
    last = now_of(staffed, session_id).readings[-1]
    assert (last.systolic_mmhg, last.diastolic_mmhg, last.heart_rate_per_min, last.spo2_pct) == (134, 82, 76, 97)
    assert (last.moaas, last.dissociated, last.by) == (4, True, "nora")
    assert len(now_of(staffed, session_id).readings) == before + 1
    # A stroke takes 0.28 s at 40 words a minute (Card, Moran and Newell 1983, average non-secretary), looking at the
    # monitor and at the page 1.35 s for each of six values.
    assert len(strokes) * 0.28 + 6 * 1.35 < 15
    assert page.evaluate("document.activeElement.id") == "reading-systolic_mmhg"
    assert page.input_value("#reading-systolic_mmhg") == ""


def test_a_patient_is_let_go_by_keyboard_alone(opened: Open, staffed: Served) -> None:
    store, session_id = staffed.store, running(staffed)
    nurse = desk(store, Role.NURSE)
    for _ in range(4):
        later(staffed, 10)
        room.read_vitals(nurse, session_id, care.quiet())
    room.end_dose(nurse, session_id, amounts_ug=(("v1", 40_000),))
    for _ in range(5):
        later(staffed, 14)
        room.read_vitals(nurse, session_id, care.quiet())
    page = opened()
    enter(page, staffed, session_id)
    page.wait_for_selector("html[data-ready]")
    here = "() => { const e = document.activeElement; return [e.form?.id ?? '', e.type ?? '', e.name ?? '']; }"
    asked: list[str] = []
    for _ in range(160):
        page.keyboard.press("Tab")
        form, kind, name = page.evaluate(here)
        if form != "leave":
            continue
        if kind == "radio" and name not in asked:
            page.keyboard.press("Space")  # the first of the group: yes, or 2 points
            asked.append(name)
        elif kind == "checkbox":
            page.keyboard.press("Space")
        elif kind == "submit":
            page.keyboard.press("Enter")
            break
    assert len(asked) == len(care.LEAVING) - 1 + 10
    page.wait_for_selector("text=after the leave check")
    assert now_of(staffed, session_id).state is SessionState.LEFT


def test_rules_show_while_one_types_and_nothing_is_kept(opened: Open, staffed: Served) -> None:
    session_id = running(staffed)
    page = opened()
    enter(page, staffed, session_id)
    page.wait_for_selector("html[data-ready]")
    before = len(now_of(staffed, session_id).readings)
    page.fill("#reading-systolic_mmhg", "184")
    page.fill("#reading-diastolic_mmhg", "112")
    page.wait_for_selector("#draft .medium")
    assert "meets S041" in page.text_content("#draft")
    assert len(now_of(staffed, session_id).readings) == before
    page.fill("#reading-systolic_mmhg", "1420")
    page.wait_for_selector("#draft:has-text('40 to 300')")
    page.click("#reading button.action")
    page.wait_for_selector("#reading .fault-line")
    assert "1420" in page.text_content("#reading .fault-line")
    assert page.evaluate("document.activeElement.id") == "reading-systolic_mmhg"
    assert page.input_value("#reading-systolic_mmhg") == "1420"
    assert len(now_of(staffed, session_id).readings) == before


def test_a_tablet_keeps_its_keypad(opened: Open, staffed: Served) -> None:
    session_id = running(staffed)
    page = opened(has_touch=True, is_mobile=True, viewport={"width": 820, "height": 1180})
    enter(page, staffed, session_id)
    page.wait_for_selector("html[data-ready]")
    for systolic in (131, 135):
        room.read_vitals(desk(staffed.store, Role.NURSE, by="bea"), session_id, care.quiet(systolic_mmhg=systolic))
        page.wait_for_selector(f"#sheet td:has-text('{systolic}/78')", state="attached")  # the form was replaced
        assert page.locator(".keypad").count() == 1
        assert page.get_attribute("#reading-systolic_mmhg", "inputmode") == "none"
    for key in ("1", "2", "8", "Next", "7", "7"):
        page.tap(f".keypad button:text-is('{key}')")
    assert (page.input_value("#reading-systolic_mmhg"), page.input_value("#reading-diastolic_mmhg")) == ("128", "77")
    page.tap(".keypad button:text-is('Clear')")
    assert page.input_value("#reading-diastolic_mmhg") == ""


def test_a_refusal_leaves_keypad_and_clock_as_they_are(opened: Open, staffed: Served) -> None:
    session_id = running(staffed)
    tablet = {"has_touch": True, "is_mobile": True, "viewport": {"width": 820, "height": 1180}}
    page = opened(**tablet, timezone_id="America/Chicago")
    enter(page, staffed, session_id)
    page.wait_for_selector("html[data-ready]")
    clock = page.locator("[data-last-reading]")
    before = (clock.text_content(), page.locator(".keypad button").all_text_contents())
    places = [page.locator(each) for each in ("#draft", "#reading button.action")]
    stood = [each.bounding_box() for each in places]
    for name, value in (("systolic_mmhg", "999"), ("diastolic_mmhg", "78"), ("spo2_pct", "101")):
        page.fill(f"#reading-{name}", value)
    page.wait_for_selector("#draft > *")
    assert [each.bounding_box() for each in places] == stood
    assert stood[0]["y"] < page.locator(".keypad").bounding_box()["y"]  # warned of beside the numbers
    page.tap("#reading button.action")
    page.wait_for_selector("#reading .fault-line")
    told = page.text_content("#reading .fault-line")
    assert "999" in told
    assert "101" in told
    assert page.locator("#reading [aria-invalid]").count() == 2
    assert page.locator(".keypad > *").count() == 12
    assert (clock.text_content(), page.locator(".keypad button").all_text_contents()) == before
    assert "Kept" not in page.text_content("#said")
    assert page.evaluate("document.activeElement.id") == "reading-systolic_mmhg"


def test_a_set_that_is_sent_twice_at_once_is_one(opened: Open, staffed: Served) -> None:
    session_id = running(staffed)
    page = opened()
    enter(page, staffed, session_id)
    page.wait_for_selector("html[data-ready]")
    before = len(now_of(staffed, session_id).readings)
    page.fill("#reading-heart_rate_per_min", "71")
    page.dblclick("#reading button.action")
    page.wait_for_selector("#said:has-text('Saved')", state="attached")
    page.wait_for_timeout(500)
    assert len(now_of(staffed, session_id).readings) == before + 1
    assert page.locator("#reading .fault-line").count() == 0


def test_a_session_that_is_over_stands_still(opened: Open, staffed: Served) -> None:
    session_id = running(staffed)
    care.left(staffed.store, session_id)
    left_at = now_of(staffed, session_id).left_at
    page = opened()
    seen = []
    for minutes in (7, 45):
        later(staffed, minutes)
        enter(page, staffed, session_id)
        assert "Anna Berger" in page.text_content("h1")
        seen.append(page.locator(".clock .time").all_text_contents())
        assert page.locator(".finding").count() == 0  # no next set is overdue: nobody watches any more
        lines = page.locator("#sheet svg text").all_text_contents()
        assert f"Left {left_at + timedelta(hours=1):%H:%M}" in lines
        assert not any(each.startswith("Leave ") for each in lines)
    assert seen[0] == seen[1]


@pytest.mark.parametrize("script", [True, False])
def test_a_late_answer_leaves_the_others_as_they_are(opened: Open, staffed: Served, script: bool) -> None:  # noqa: FBT001
    session_id = booked(staffed)
    care.later(staffed.store, 240)
    late: dict[str, Fact | None] = {"logistics.escort_confirmed": False}
    care.screened(staffed.store, session_id, Delivery.IV, **late)
    before = now_of(staffed, session_id)
    page = opened(java_script_enabled=script)
    enter(page, staffed, session_id)
    page.click("summary:has(#screen-title)")
    assert page.is_checked('#amend input[name="logistics.escort_confirmed"][value="no"]')
    assert page.is_checked('#amend input[name="arrival.oriented"][value="yes"]')
    choose(page, "amend", "logistics.escort_confirmed", "yes")
    # Meanwhile a colleague changes another answer.
    nurse = desk(staffed.store, Role.NURSE, by="bea")
    sessions.amend(nurse, session_id, {"arrival.acute_illness": True}, reason="coughs")
    page.fill("#amend-reason", "daughter called")
    press(page, "amend")
    now = now_of(staffed, session_id)
    assert dict(now.gate_facts) == dict(before.gate_facts) | {
        "logistics.escort_confirmed": True,
        "arrival.acute_illness": True,
    }
    assert now.screened_at == before.screened_at
    assert ", changed " in page.text_content("summary:has(#screen-title)")


@pytest.mark.parametrize("script", [True, False])
def test_a_double_tap_is_one_event_and_is_taken_back_with_a_reason(
    opened: Open,
    staffed: Served,
    script: bool,  # noqa: FBT001
) -> None:
    session_id = running(staffed)
    page = opened(java_script_enabled=script)
    enter(page, staffed, session_id)
    if script:
        page.wait_for_selector("html[data-ready]")
        page.dblclick('#event button[value="Nausea"]')
        page.wait_for_selector("#told-events:has-text('Nausea')")
        page.wait_for_timeout(500)
        page.click('#event button[value="Nausea"]')
        page.wait_for_selector("#said:has-text('recorded already')", state="attached")
        assert page.locator("#event .fault-line").count() == 0
    else:
        for _ in range(2):
            with page.expect_navigation():
                page.click('#event button[value="Nausea"]')
        assert "counts once" in page.text_content("#summary")
    assert [each.term for each in now_of(staffed, session_id).adverse_events] == ["Nausea"]
    page.goto(f"/sessions/{session_id}")
    page.click("#told-events summary:has-text('Entered in error')")
    page.fill("#told-events [name=reason]", "wrong patient")
    with page.expect_navigation():
        page.click("text=Take this event back")
    assert now_of(staffed, session_id).adverse_events == ()
    assert "entered in error" in page.text_content("#told-events del + *, #told-events li:has(del)")


def test_a_closed_session_tells_what_was_signed(opened: Open, staffed: Served) -> None:
    session_id = running(staffed)
    care.left(staffed.store, session_id)
    care.closed(staffed.store, session_id)
    page = opened()
    enter(page, staffed, session_id)
    page.emulate_media(media="print")
    left = page.locator("#left")
    for words in ("Walks steadily", "Escort is here", "Driving ban understood"):
        assert left.locator(f"tr:has-text('{words}') td").text_content() == "yes"
    assert "10: " in left.locator("tr:has-text('Aldrete') td").text_content()
    assert "Let go and signed by" in left.text_content()
    gates = page.locator("#gates")
    for words in ("C-SSRS", "Fasting", "Cover", "Staff and room"):
        assert gates.locator(f"li:has-text('{words}')").count() == 1
    answer = gates.locator("tr:has-text('Suicidal behaviour') td")
    assert (answer.text_content(), answer.is_visible()) == ("no", True)
    assert left.is_visible()


def test_a_closed_session_takes_an_event_with_its_time_and_grade_alone(opened: Open, staffed: Served) -> None:
    session_id = running(staffed)
    care.left(staffed.store, session_id)
    care.closed(staffed.store, session_id)
    later(staffed, 20)
    page = opened(java_script_enabled=False)
    enter(page, staffed, session_id)
    assert page.locator(".taps").count() == 0
    page.click("text=An event told later")
    page.fill("#event-other-term", "Anxiety")
    press(page, "event-other")
    assert "needs its grade" in page.text_content("#summary")
    choose(page, "event-other", "grade", "2")
    choose(page, "event-other", "serious", "no")
    press(page, "event-other")
    assert "when the event began" in page.text_content("#summary")
    page.fill("#event-other-started", staffed.store.clock().strftime("%H:%M"))
    press(page, "event-other")
    assert "grade 2" in page.text_content("#told-events")


def test_a_patient_who_walks_out_leaves_a_reason(opened: Open, staffed: Served) -> None:
    session_id = running(staffed)
    later(staffed, 40)
    room.end_dose(desk(staffed.store, Role.NURSE), session_id, amounts_ug=(("v1", 40_000),))
    room.left_unchecked(desk(staffed.store, Role.NURSE), session_id, reason="took the stairs")
    page = opened()
    enter(page, staffed, session_id)
    assert "Left without the leave check" in page.text_content("#left h2")
    assert "took the stairs" in page.text_content("#left")


def test_two_people_see_each_others_entries(opened: Open, staffed: Served) -> None:
    session_id = running(staffed)
    nora, bea = opened(), opened()
    enter(nora, staffed, session_id)
    enter(bea, staffed, session_id, "bea")
    for page in (nora, bea):
        page.wait_for_selector("html[data-ready]")
    bea.fill("#reading-systolic_mmhg", "118")
    nora.click('#event button[value="Dizziness"]')
    bea.wait_for_selector("#told-events >> text=Dizziness")
    assert bea.input_value("#reading-systolic_mmhg") == "118"  # what is typed stays
    assert "Nora" in bea.text_content("#told-events")
    room.read_vitals(desk(staffed.store, Role.NURSE), session_id, care.quiet(systolic_mmhg=171))
    nora.wait_for_selector(".alarm.medium")


def test_a_second_check_from_another_device(opened: Open, staffed: Served) -> None:
    session_id = booked(staffed)
    store = staffed.store
    sessions.check_in(desk(store, Role.NURSE), session_id)
    sessions.order(desk(store, Role.PRESCRIBER), session_id, dose_mg_per_kg=0.5, infusion_min=40.0)
    sessions.prepare(
        desk(store, Role.NURSE, by="nora"), session_id, weight_kg=80.0, concentration_mg_per_ml=50, diluted=True
    )
    page = opened()
    enter(page, staffed, session_id, "bea")
    assert page.locator("#second_check-second_login").count() == 0
    assert not re.search(r"\b(40|0\.8)\b[^.]*\b(mg|mL)\b", page.text_content("#dose"))  # it is computed blind
    for field, value in (("amount_mg", "20"), ("volume_ml", "0.4"), ("concentration_mg_per_ml", "50")):
        page.fill(f"#second_check-{field}", value)
    press(page, "second_check")
    told = page.text_content("#summary")
    assert "Second check: the amount differs" in told
    assert "Found 20 mg." in told
    assert "40" not in told
    later(staffed, 10)  # the login is no fresh signature any more
    for field, value in (("amount_mg", "40"), ("volume_ml", "0.8"), ("concentration_mg_per_ml", "50")):
        page.fill(f"#second_check-{field}", value)
    press(page, "second_check")
    page.fill("#again_password", PASSWORD)
    page.fill("#again_code", staffed.code("bea"))
    with page.expect_navigation():
        page.click("button.action")
    assert now_of(staffed, session_id).second_check.by == "bea"
    assert "40 mg" in page.text_content("#dose .amount")


def test_who_prepared_a_dose_can_look_at_it_and_folds_it_away(opened: Open, staffed: Served) -> None:
    session_id = booked(staffed)
    store = staffed.store
    sessions.check_in(desk(store, Role.NURSE), session_id)
    sessions.order(desk(store, Role.PRESCRIBER), session_id, dose_mg_per_kg=0.5, infusion_min=40.0)
    nora = desk(store, Role.NURSE, by="nora")
    sessions.prepare(nora, session_id, weight_kg=80.0, concentration_mg_per_ml=50, diluted=True)
    page = opened()
    enter(page, staffed, session_id)
    assert not page.is_visible("#dose .amount")  # the second person types on this screen, too
    page.click("#dose summary:has-text('What you prepared')")
    assert "40 mg" in page.text_content("#dose .amount")


def test_a_stop_states_what_was_given_and_tells_the_difference(opened: Open, staffed: Served) -> None:
    session_id, page = running(staffed), opened(java_script_enabled=False)
    later(staffed, 9)
    enter(page, staffed, session_id)
    page.locator("summary:has-text('Stop the dose')").click()
    page.fill("#stop-reason", "patient asked")
    press(page, "stop")
    assert "The amount given" in page.text_content("#summary")
    assert now_of(staffed, session_id).state is SessionState.DOSING
    page.fill('#stop input[name="given_v1"]', "20")
    press(page, "stop")
    assert now_of(staffed, session_id).given_ug == 20_000
    told = page.locator("text=Ended otherwise than ordered")
    assert told.count() == 2  # beside the dose and where drug comes to zero
    assert "20 mg stated" in page.text_content("#dose")
    assert "patient asked" in page.text_content("#close-session")


def test_devices_wait_five_minutes(opened: Open, staffed: Served) -> None:
    store = staffed.store
    for each in ("d1", "d2"):
        care.device(store, each)
    session_id = booked(staffed, Delivery.ESK)
    care.screened(store, session_id, Delivery.ESK)
    sessions.say_go(desk(store, Role.PRESCRIBER), session_id, version=care.version_of(store, session_id))
    page = opened()
    enter(page, staffed, session_id)
    for each in ("d1", "d2"):
        page.locator("#take").evaluate("form => { form.closest('details').open = true }")
        page.select_option("#take-container_id", each)
        page.fill("#take-amount_mg", "28")
        press(page, "take")
    press(page, "start")
    for each, refused in (("d1", False), ("d2", True)):
        page.select_option("#device-container_id", each)
        choose(page, "device", "green_dots_checked", "yes")
        choose(page, "device", "primed", "no")
        press(page, "device")
        assert bool(page.locator("#summary").count()) is refused
    assert "cannot be used yet" in page.text_content("#summary h2")
    assert "Device 2 of 2" in page.text_content(".timer")
    assert page.evaluate("document.activeElement.id") == "summary"
    later(staffed, 5)
    press(page, "device")
    assert page.locator("#summary").count() == 0, page.text_content("#summary")
    assert len(now_of(staffed, session_id).given) == 2
    page.goto(f"/sessions/{session_id}/form")
    assert "56 mg" in page.text_content("table")
    assert "d1 at" in page.text_content("table")
    look(page, "rems-form", "light")


def test_an_infusion_of_hours_gets_a_new_rate(opened: Open, staffed: Served) -> None:
    store, session_id = staffed.store, booked(staffed)
    nurse = desk(store, Role.NURSE)
    care.screened(store, session_id)
    paul, nora = (opened(java_script_enabled=False) for _ in range(2))
    enter(paul, staffed, session_id, "paul")
    paul.locator("summary:has-text('Order')").first.click()
    paul.locator("summary:has-text('Or rates in steps')").click()
    paul.fill("#order-mg_per_h_1", "12")
    paul.fill("#order-hours_1", "4")
    press(paul, "order")
    assert paul.text_content("#summary h2") == "Not done: An order has one amount"  # the planned one still stands there
    for name in ("dose_mg_per_kg", "infusion_min"):
        paul.fill(f"#order-{name}", "")
    press(paul, "order")
    sessions.prepare(nurse, session_id, weight_kg=80.0, concentration_mg_per_ml=50, diluted=True)
    check = {"amount_ug": 48_000, "volume_ul": 960, "concentration_ug_per_ul": 50}
    sessions.second_check(desk(store, Role.NURSE, by="nurse-2"), session_id, **check)
    prescriber = desk(store, Role.PRESCRIBER)
    sessions.answer(prescriber, session_id, "S019", decision=Decision.PROCEED, reason="pain, watched")
    sessions.say_go(prescriber, session_id, version=care.version_of(store, session_id))
    room.take(nurse, session_id, "v1", amount_ug=100_000)
    room.start(nurse, session_id, version=care.version_of(store, session_id))
    later(staffed, 10)
    paul.goto(f"/sessions/{session_id}")
    paul.locator("summary:has-text('Order a new rate')").click()
    paul.fill("#order_rate-mg_per_h_1", "15")
    paul.fill("#order_rate-hours_1", "3")
    paul.fill("#order_rate-reason", "pain 7 of 10")
    sign(paul, staffed, "order_rate", "paul")
    press(paul, "order_rate")
    assert now_of(staffed, session_id).rate_waiting is not None
    while paul.locator("form[id^=answer-S0]").count():
        form = str(paul.locator("form[id^=answer-S0]").first.get_attribute("id"))
        choose(paul, form, "decision", "proceed")
        paul.fill(f"#{form}-reason", "pain, watched one to one")
        sign(paul, staffed, form, "paul")
        press(paul, form)
        assert paul.locator("#summary").count() == 0
    enter(nora, staffed, session_id)
    assert "15 mg/h for 3 h" in nora.text_content("#main")
    nora.fill("#set_rate-mg_per_h", "15")
    nora.fill("#set_rate-rest_mg", "45")
    second(nora, staffed, "set_rate", "bea")
    press(nora, "set_rate")
    assert nora.locator("#summary").count() == 0
    assert now_of(staffed, session_id).rate_waiting is None


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_the_page_is_accessible_at_every_stage(opened: Open, staffed: Served, theme: str) -> None:
    store = staffed.store
    arrived = booked(staffed)
    sessions.check_in(desk(store, Role.NURSE), arrived)
    page, paul = opened(color_scheme=theme), opened(color_scheme=theme)
    enter(page, staffed, arrived)

    look(page, "session-arrived", theme)
    watched = running(staffed)
    later(staffed, 9)
    room.read_vitals(desk(store, Role.NURSE), watched, care.quiet(systolic_mmhg=184, diastolic_mmhg=112, spo2_pct=89))
    enter(paul, staffed, watched, "paul")
    look(paul, "session-alarm", theme)
    room.stop_early(desk(store, Role.NURSE), watched, reason="pressure", amounts_ug=(("v1", 8_000),))
    page.goto(f"/sessions/{watched}")
    look(page, "session-watched", theme)
    page.locator("#leave").evaluate("form => { form.closest('details').open = true }")
    press(page, "leave")
    assert "too early" in page.text_content("#summary h2")
    assert page.title().startswith("Error: ")
    look(page, "session-refused", theme)
    room.left_unchecked(desk(store, Role.NURSE), watched, reason="went")
    page.goto(f"/sessions/{watched}")
    look(page, "session-left", theme)


def test_no_patient_stands_in_titles_or_addresses(opened: Open, staffed: Served) -> None:
    session_id = running(staffed)
    page = opened()
    seen: list[str] = []
    page.on("request", lambda request: seen.append(request.url))
    enter(page, staffed, session_id)
    page.wait_for_selector("html[data-ready]")
    assert "Anna" in page.text_content(".patient h1")
    assert "Anna" not in page.title()
    assert not [each for each in seen if re.search("Anna|Berger|R-|124", each)]
    assert "no-referrer" in page.request.get(f"/sessions/{session_id}").headers["referrer-policy"]


def test_in_an_emergency_hold_and_stop_come_first_and_cards_are_short(opened: Open, staffed: Served) -> None:
    session_id, page = running(staffed), opened(java_script_enabled=False, viewport={"width": 1024, "height": 1366})
    nurse = desk(staffed.store, Role.NURSE)
    for minute in (2, 6):
        later(staffed, minute)
        room.read_vitals(nurse, session_id, care.quiet(systolic_mmhg=190, diastolic_mmhg=112, spo2_pct=84, moaas=1))
    enter(page, staffed, session_id, "paul")
    assert page.locator(".alarm").count() >= 4
    for words in ("Hold the dose", "Stop the dose"):
        box = page.locator(f"summary:has-text('{words}')").bounding_box()
        assert box["y"] + box["height"] < page.locator(".alarm").first.bounding_box()["y"]
        assert box["height"] >= 44
    assert page.locator(".alarm [href='#halt']").count() == page.locator(".alarm form[action$=answer]").count() > 0
    assert not page.locator(".alarm .source").first.is_visible()  # folded
    card, tint = page.locator(".alarm").first.bounding_box(), page.locator(".alarm .finding").first.bounding_box()
    assert card["width"] - tint["width"] <= 4  # the tint fills its card
    page.locator("summary:has-text('Hold the dose')").click()
    page.fill("#hold-reason", "pressure and breathing")
    press(page, "hold")
    assert now_of(staffed, session_id).state is SessionState.HELD


def test_what_a_draft_would_meet_does_not_move_the_button(opened: Open, staffed: Served) -> None:
    session_id, page = running(staffed), opened()
    enter(page, staffed, session_id)
    page.wait_for_selector("html[data-ready]")
    before = page.locator("#reading button.action").bounding_box()["y"]
    page.fill("#reading-systolic_mmhg", "190")
    page.fill("#reading-diastolic_mmhg", "112")
    page.wait_for_selector("#draft .draft")
    assert page.locator("#reading button.action").bounding_box()["y"] == before
