"""A day's start in the browser: set-up, login, the board, alerts, an arrival, and the end of an idle login."""

from __future__ import annotations

from datetime import timedelta

import pytest
from tests.browser.conftest import PASSWORD, Open, Served, log_in, look
from tests.integration import care
from tests.integration.desks import desk
from tests.integration.stores import RunningClock

from afterglow.clinic import Role
from afterglow.usecases import measures, patients, room
from afterglow.usecases.login import IDLE


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_every_page_is_accessible_and_is_seen(opened: Open, served: Served, theme: str) -> None:
    page = opened(color_scheme=theme)

    page.goto("/login")
    look(page, "login", theme)
    page.select_option("#clinic", "north")
    page.fill("#login", "nora")
    page.fill("#password", "a wrong password")
    page.fill("#code", "123456")
    page.click("button.action")
    assert page.text_content("#summary h2") == "Login, password or code do not fit"
    assert page.input_value("#login") == "nora"
    look(page, "login-refused", theme)
    page.goto("/set-up")
    look(page, "set-up-token", theme)
    page.fill("#token", served.tokens["cora"])
    page.click("button.action")
    look(page, "set-up", theme)
    log_in(page, served)
    page.wait_for_url("**/today")
    look(page, "today", theme)
    log_in(page, served, "ada")
    assert page.text_content("h1") == "Set-up of the clinic"  # where the administrator begins
    page.goto("/today")
    assert "you are here as administrator" in page.text_content("[role=alert]")
    look(page, "not-permitted", theme)


def test_set_up_then_login_then_logout(opened: Open, served: Served) -> None:
    page = opened()
    page.goto("/set-up")
    page.fill("#token", served.tokens["cora"])
    page.click("button.action")
    served.secrets["cora"] = page.text_content(".secret code")
    page.fill("#password", "short")
    page.evaluate("document.querySelector('#password').removeAttribute('minlength')")
    page.fill("#code", "000000")
    page.click("button.action")
    assert page.text_content("#summary h2") == "The password is refused"
    assert page.text_content(".secret code") == served.secrets["cora"]  # the generator keeps its secret
    page.fill("#password", PASSWORD)
    page.fill("#code", served.code("cora"))
    page.click("button.action")
    assert page.locator(".codes li").count() == 10
    log_in(page, served, "cora")
    assert page.text_content("h1") == "Today"
    assert page.locator(".alerts form").count() == 0  # a coordinator sees alerts and answers none
    page.click(".menu summary")
    page.click("text=Log out")
    page.goto("/today")
    page.wait_for_url("**/login*")


def test_arrival_and_alert_without_script(opened: Open, served: Served) -> None:
    page = opened(java_script_enabled=False)
    log_in(page, served)
    assert page.locator(".chair").nth(0).locator("h2").text_content().split() == ["c1", "Dose"]
    assert page.locator(".chair").nth(1).locator("h2").text_content().split() == ["c2", "Free"]
    page.click("text=Is here")
    assert page.locator(".chair").nth(1).locator("h2").text_content().split() == ["c2", "Screen"]
    room.read_vitals(desk(served.store, Role.NURSE), _sessions(served)[0], care.quiet(systolic_mmhg=166))
    page.reload()
    before = page.locator(".alerts .row").count()
    rows = (page.locator(".alerts .row").nth(1), page.locator(".alerts .row").nth(0))  # a nurse's, a prescriber's
    for row, done in zip(rows, ("Done: Spoke", "Done, as cover for the prescriber, who closes it: Spoke"), strict=True):
        row.locator("button").click()
        assert "read by Nora" in row.text_content()
        row.locator("input[name=action]").fill("Spoke with her; safety plan gone through")
        row.locator("button").click()
        assert done in row.text_content()
    assert rows[1].locator("button").count() == 0
    rows[0].locator("button").click()
    assert page.locator(".alerts .row").count() == before - 1


def test_the_board_follows_what_others_write(opened: Open, served: Served) -> None:
    page = opened()
    log_in(page, served)
    page.wait_for_selector("#live .chair")
    session_id = next(iter(_sessions(served)))
    assert page.locator(".chair.high").count() == 0
    room.read_vitals(desk(served.store, Role.NURSE), session_id, care.quiet(spo2_pct=88))
    page.wait_for_selector(".chair.high", timeout=20_000)
    assert page.locator(".chair.high").text_content().count("High") == 1


def test_an_idle_login_ends_though_the_board_is_live(opened: Open, served: Served) -> None:
    page = opened()
    log_in(page, served)
    page.wait_for_selector("#live .chair")
    clock = served.store.clock
    assert isinstance(clock, RunningClock)
    clock.now += IDLE + timedelta(minutes=2)
    page.wait_for_url("**/login?ended=1", timeout=20_000)
    assert "The login has ended" in page.text_content("main")


def test_a_form_from_another_site_is_refused(served: Served, opened: Open) -> None:
    page = opened()
    log_in(page, served)
    answer = page.request.post("/logout", headers={"Origin": "https://elsewhere.example"})
    assert answer.status == 403
    assert "default-src 'none'" in answer.headers["content-security-policy"]
    assert page.request.post("/logout").status == 403  # neither origin nor the browser's word
    page.goto("/today")
    assert page.text_content("h1") == "Today"


def _sessions(served: Served) -> tuple[str, ...]:
    from afterglow.usecases.today import read_today  # noqa: PLC0415

    nurse = desk(served.store, Role.NURSE)
    now = served.store.clock()
    shown = read_today(nurse, since=now - timedelta(days=1), until=now + timedelta(days=1)).shown
    return tuple(each.now.session_id for each in shown.chairs if each.now is not None and each.now.session_id)


def test_an_overdue_reading_has_one_priority(opened: Open, served: Served) -> None:
    """On the chair, in the chair's foot and on the session's page, though a rule of lower priority is met too."""
    store, clock = served.store, served.store.clock
    assert isinstance(clock, RunningClock)
    page = opened()
    log_in(page, served)
    page.wait_for_url("**/today")
    session = page.locator(".chair header a").first
    session_id = str(session.get_attribute("href")).rsplit("/", 1)[1]
    room.read_vitals(desk(store, Role.NURSE), session_id, care.quiet(systolic_mmhg=171))
    page.wait_for_selector(".chair.medium")
    assert "Medium" in page.text_content(".chair.medium footer")
    clock.now += timedelta(minutes=14)
    page.reload()
    assert "9 min overdue" in page.text_content(".chair.high footer")  # S041 asks for one in 5 min
    assert "Medium" not in page.text_content(".chair.high footer")
    page.click(".chair.high header a")
    assert "High, S033" in page.text_content("[data-part=answers]")
    assert "Medium, S03" not in page.text_content("[data-part=answers]")


def test_a_phone_shows_alerts_then_chairs_as_rows(opened: Open, served: Served) -> None:
    page = opened(viewport={"width": 390, "height": 844})
    log_in(page, served)
    page.wait_for_selector(".chair")
    tops = [page.locator(each).first.bounding_box()["y"] for each in (".alerts", ".chairs", ".arrivals", ".due")]
    assert tops == sorted(tops)
    for each in page.locator(".chair").all():
        assert each.bounding_box()["height"] <= 190
    page.click("a[href='#chairs']")
    assert page.locator(".chair").first.bounding_box()["y"] < 844


def test_an_alert_leads_to_where_it_is_answered(opened: Open, served: Served) -> None:
    page = opened(java_script_enabled=False)
    log_in(page, served)
    words = [each.strip() for each in page.locator(".alerts .row a.button").all_inner_texts()]
    assert words == ["Enter reading"] * len(words) != []  # Anna sits in a chair
    page.locator(".alerts .row a.button").first.click()
    assert page.url.endswith("#reading-systolic_mmhg")
    assert page.locator(":target").count() == 1
    log_in(page, served, "petra")
    row = page.locator(".alerts .row", has_text="Owner prescriber").first
    row.locator("a.button").click()
    assert page.url.endswith("#decisions")


def test_due_work_begins_with_the_lookers_own(opened: Open, served: Served) -> None:
    page = opened(java_script_enabled=False)
    log_in(page, served)
    owners = [each.strip() for each in page.locator(".due .row .age").all_inner_texts()]
    assert "nurse" in owners
    assert owners == sorted(owners, key=lambda each: each != "nurse")
    assert page.text_content(".due .title p").startswith(f"{owners.count('nurse')} for you, ")
    page.click(".due .title a")
    assert page.text_content("h1") == "Worklist"


def test_an_arrival_that_is_refused_says_where_to_change_the_booking(opened: Open, served: Served) -> None:
    _, course = care.in_induction(served.store, name="Theo Lindqvist")
    booking_id = care.book(served.store, course, minutes=240, chair="c1")
    page = opened(java_script_enabled=False)
    log_in(page, served)
    page.locator(".arrivals tr", has_text="Theo L.").locator("button").click()
    told = page.text_content("main")
    assert "Somebody sits in chair c1" in told
    assert "UTC" not in told
    page.click("a.action")
    assert page.url.endswith(f"/diary/bookings/{booking_id}")


def test_alerts_fold_after_three_and_no_high_one_is_folded(opened: Open, served: Served) -> None:
    nurse = desk(served.store, Role.NURSE)
    session_id = next(iter(_sessions(served)))
    for systolic in (166, 168):
        room.read_vitals(nurse, session_id, care.quiet(systolic_mmhg=systolic))
    room.read_vitals(nurse, session_id, care.quiet(spo2_pct=86))
    page = opened(viewport={"width": 1024, "height": 1366})
    log_in(page, served)
    page.wait_for_selector(".alerts .row")
    assert page.locator("#more-alerts").count() == 0  # those are the nurse's own, and own ones are never folded
    log_in(page, served, "petra")
    page.wait_for_selector("#more-alerts")
    seen = page.locator(".alerts > .row").count()
    assert seen >= 3
    assert page.locator("#more-alerts .row.high").count() == 0
    assert f"{seen + page.locator('#more-alerts .row').count()} open" in page.text_content(".alerts .title")
    assert page.locator(".chairs").bounding_box()["y"] < page.locator(".alerts").bounding_box()["y"]
    page.click("#more-alerts summary")
    room.read_vitals(nurse, session_id, care.quiet(spo2_pct=85))
    page.locator(".alerts > .row").nth(seen).wait_for(timeout=20_000)
    assert page.locator("#more-alerts[open]").count() == 1  # a live refresh leaves it open
    page.set_viewport_size({"width": 390, "height": 844})
    assert page.locator(".chairs").bounding_box()["y"] > page.locator(".alerts").bounding_box()["y"]


def test_an_overdue_reading_stands_first_among_the_alerts(opened: Open, served: Served) -> None:
    clock = served.store.clock
    assert isinstance(clock, RunningClock)
    clock.now += timedelta(minutes=11)
    page = opened(java_script_enabled=False)
    log_in(page, served)
    first = page.locator(".alerts > .row").first
    assert "min overdue" in first.locator("h3").text_content()
    assert "Anna B., chair c1" in first.text_content()
    assert "1 reading overdue" in page.text_content(".alerts .title")
    first.locator("a.button").click()
    assert page.url.endswith("#reading-systolic_mmhg")


def test_open_and_read_reads_the_alert_and_opens_the_chart(opened: Open, served: Served) -> None:
    jonas = patients.find(desk(served.store, Role.NURSE), "Jonas").shown[0].id
    measures.record(desk(served.store, Role.NURSE), jonas, "PHQ-9", answers=[2, 2, 3, 2, 2, 2, 2, 2, 2])
    page = opened(java_script_enabled=False)
    log_in(page, served)
    page.locator(".alerts .row", has_text="Jonas").locator("text=Open and read").click()
    assert page.url.endswith(f"/patients/{jonas}")
    page.goto("/today")
    row = page.locator(".alerts .row", has_text="Jonas")
    assert "read by Nora" in row.text_content()
    assert row.locator("text=Open chart").count() == 1
    assert row.locator("text=Mark as read").count() == 0


def test_on_a_tablet_every_target_is_44_px_high_and_a_cards_head_leads_on(opened: Open, served: Served) -> None:
    page = opened(viewport={"width": 820, "height": 1180})
    log_in(page, served)
    page.wait_for_selector("#live .chair")
    small = """() => [...document.querySelectorAll('.bar input, .bar button, summary, main button, main a.button')]
        .filter((each) => each.checkVisibility() && each.getBoundingClientRect().height < 44)
        .map((each) => each.outerHTML.slice(0, 90))"""
    assert page.evaluate(small) == []
    head = page.locator(".chair header").first.bounding_box()
    page.mouse.click(head["x"] + 8, head["y"] + head["height"] - 4)
    page.wait_for_url("**/sessions/*")
    assert page.evaluate(small) == []
