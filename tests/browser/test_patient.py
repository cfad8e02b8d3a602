"""A patient's phone: a scale by a link, a critical answer, the day after, own progress, and links that open nothing."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from tests.browser.conftest import Open, Served, log_in, look
from tests.integration.desks import desk
from tests.integration.stores import RunningClock

from afterglow.clinic import Role
from afterglow.store.records import Store
from afterglow.usecases import contacts, measures, passes, patients, policies, worklists
from afterglow.usecases.messages import Channel, OutgoingMessage, confirm_route, set_route
from afterglow.usecases.passes import Purpose
from afterglow.usecases.policies import HelpLines

Seen = list[tuple[str, str]]
PHONE = {"viewport": {"width": 390, "height": 844}, "has_touch": True, "is_mobile": True}
LINES = HelpLines(emergency="911", crisis="988", crisis_text=True, clinic="555 0142", answered="8 to 18")


@pytest.fixture
def anna(served: Served) -> str:
    """A patient in treatment; the clinic has set whom patients call."""
    policies.set_help_lines(desk(served.store, Role.MEDICAL_DIRECTOR), LINES)
    (found,) = patients.find(desk(served.store, Role.NURSE), "Anna").shown
    return found.id


@pytest.fixture
def seen(served: Served, anna: str) -> Iterator[Seen]:
    """Addresses and titles that the phone showed; none holds a token or a name."""
    shown: Seen = []
    yield shown
    for url, title in shown:
        assert passes.SEPARATOR not in url, url
        assert anna not in url
        assert "Anna" not in url + title


def link(store: Store, patient: str, purpose: Purpose, about: str | None = None, *, days: float = 3.0) -> str:
    issued = passes.issue_link(desk(store, Role.COORDINATOR), patient, purpose, about=about, days=days)
    return f"/link#{issued.token}"


def follow(page: Any, path: str) -> None:
    """Open a link as its patient does: the script hands it over, without scripts it is pasted."""
    page.goto("about:blank")
    page.goto(path)
    if not getattr(page.context, "scripts", True):
        page.goto("/link")
        page.fill("#token", f"https://clinic.example{path}")
        page.click("button")
    page.wait_for_url("**/my")


def begin(page: Any, path: str, seen: Seen) -> None:
    follow(page, path)
    seen.append((page.url, page.title()))
    page.click("form[action='/my/start'] button")


def tap(page: Any, words: str, seen: Seen) -> None:
    page.click(f"button.answer:has-text('{words}')")
    seen.append((page.url, page.title()))


def alerts(store: Store, patient: str) -> list[str]:
    return [each.now.text for each in measures.list_alerts(desk(store, Role.NURSE), patient_id=patient).shown]


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("script", [True, False])
def test_a_scale_one_question_at_a_time(
    opened: Open,
    served: Served,
    anna: str,
    seen: Seen,
    theme: str,
    script: bool,  # noqa: FBT001
) -> None:
    page = opened(color_scheme=theme, java_script_enabled=script, **PHONE)
    page.context.scripts = script

    def shot(name: str) -> None:
        if script:
            look(page, f"phone-{name}", theme)
            page.set_viewport_size(PHONE["viewport"])

    before = len(alerts(served.store, anna))
    path = link(served.store, anna, Purpose.ANSWER_SCALE, "PHQ-9")
    follow(page, path)
    shot("start")
    begin(page, path, seen)
    assert page.url.endswith("/my/question/1")
    assert page.locator("[aria-checked=true], .given").count() == 0  # nothing is chosen beforehand
    shot("question")
    for _ in range(3):
        tap(page, "Several days", seen)
    assert "Question 4 of 9" in page.text_content(".steps")
    page.click("text=Back")
    assert "Several days" in page.text_content(".given")
    shot("back")
    tap(page, "Not at all", seen)
    page.context.clear_cookies(name="afterglow_patient")  # put away for long
    page.goto("/my")
    assert "Open your link once more" in page.text_content("h1")
    assert "988" in page.text_content("footer")
    begin(page, path, seen)
    assert page.url.endswith("/my/question/4")
    for _ in range(5):
        tap(page, "Not at all", seen)
    assert "Question 9 of 9" in page.text_content(".steps")
    assert len(alerts(served.store, anna)) == before
    tap(page, "More than half the days", seen)
    told = alerts(served.store, anna)
    assert len(told) > before  # before the page that speaks of it
    assert "You answered: thoughts that you would be better off dead" in page.text_content("h1")
    assert "may not be seen at once" in page.text_content("main")  # nobody has confirmed an address
    assert page.get_attribute("a.go", "href") == "tel:988"
    shot("help")
    wrong, foot = page.locator("text=I tapped the wrong answer").bounding_box(), page.locator("footer").bounding_box()
    assert wrong["y"] + wrong["height"] + 12 <= foot["y"]  # apart from the crisis foot, without scrolling
    page.click("text=Go on and finish")
    assert page.url.endswith("/my/check")
    shot("check")
    page.click("text=Send my answers")
    assert page.url.endswith("/my/done")
    shot("done")
    assert len(alerts(served.store, anna)) == len(told)  # told once
    (line,) = [
        each
        for each in measures.list_scores(desk(served.store, Role.NURSE), anna).shown
        if each.measured.self_rated and each.measured.by.startswith("link:")
    ]
    assert line.measured.total == 4.0
    follow(page, path)
    assert page.text_content("h1") == "Your answers are with the clinic"
    shot("used")


def test_who_was_told_is_said_only_where_messages_arrive(opened: Open, served: Served, anna: str, seen: Seen) -> None:
    director = desk(served.store, Role.MEDICAL_DIRECTOR)
    set_route(director, Role.PRESCRIBER, Channel.EMAIL, "on.duty@clinic.example")
    confirm_route(director, Role.PRESCRIBER, _code(served.store))
    page = opened(**PHONE)
    (session,) = [each.item for each in worklists.read_worklist(director).shown][:1]
    assert session.patient_id
    begin(page, link(served.store, anna, Purpose.CHECK_IN, "s-of-yesterday"), seen)
    assert "felt unwell" in page.text_content("h1")
    tap(page, "No", seen)
    before = len(alerts(served.store, anna))
    tap(page, "Yes", seen)
    assert len(alerts(served.store, anna)) == before + 1
    assert "A message has gone to the prescriber" in page.text_content("main")
    page.click("text=Go on and finish")
    tap(page, "No", seen)
    page.click("text=Send my answers")
    assert "Thank you" in page.text_content("h1")
    assert len(alerts(served.store, anna)) == before + 1


def test_a_wrong_tap_can_be_taken_back_and_stays_told(opened: Open, served: Served, anna: str, seen: Seen) -> None:
    page = opened(**PHONE)
    begin(page, link(served.store, anna, Purpose.CHECK_IN, "s1"), seen)
    page.goto("/my/question/2")
    tap(page, "Yes", seen)
    page.click("text=I tapped the wrong answer")
    tap(page, "No", seen)
    page.goto("/my/help")
    assert page.url.endswith("/my/question/1")  # nothing calls for help now
    assert "24-hour check-in: low mood or thoughts." in alerts(served.store, anna)


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_progress_is_own_scores_in_honest_words(
    opened: Open, served: Served, anna: str, theme: str, seen: Seen
) -> None:
    nurse, clock = desk(served.store, Role.NURSE), served.store.clock
    assert isinstance(clock, RunningClock)
    for answers in (
        [2, 2, 2, 2, 1, 1, 1, 1, 0],
        [1, 1, 1, 1, 1, 1, 1, 0, 0],
        [1, 2, 1, 1, 1, 1, 1, 0, 0],
        [1, 1, 0, 1, 1, 1, 0, 0, 0],
    ):
        clock.now += timedelta(days=6)
        measures.record(nurse, anna, "PHQ-9", answers=answers)
    page = opened(color_scheme=theme, **PHONE)
    begin(page, link(served.store, anna, Purpose.SEE_PROGRESS), seen)
    assert page.text_content("h1").startswith("Your score on 29 Jan was 5. On 5 Jan it was")
    words = page.text_content("main").lower()
    assert "relief often fades; that is common and not your doing" in words
    for never in ("severe", "mild", "forecast", "expected", "remission", "response", "relapse"):
        assert never not in words
    look(page, "phone-progress", theme)
    page.click("text=As a table")
    assert page.locator("tbody tr").count() >= 5
    page.click("text=Close")
    page.goto("/my/progress")
    assert "Open your link once more" in page.text_content("h1")


def test_messages_end_by_one_tap(opened: Open, served: Served, anna: str, seen: Seen) -> None:
    contacts.allow(desk(served.store, Role.COORDINATOR), anna)
    page = opened(java_script_enabled=False, **PHONE)
    page.context.scripts = False
    begin(page, link(served.store, anna, Purpose.ANSWER_SCALE, "GAD-7"), seen)
    page.click("text=Stop messages like")
    page.click("button")
    assert page.text_content("h1") == "Stopped"
    shown = contacts.read_contact(desk(served.store, Role.COORDINATOR), anna).shown
    assert shown.contact is not None
    assert not shown.contact.allowed
    page.goto("/my")
    assert page.url.endswith("/my/question/1")  # the link goes on


def test_links_that_open_nothing_say_what_to_do(opened: Open, served: Served, anna: str) -> None:
    page, clock = opened(**PHONE), served.store.clock
    assert isinstance(clock, RunningClock)
    follow(page, "/link#north~nothing~real")
    assert page.text_content("h1") == "This link does not open"
    old = link(served.store, anna, Purpose.SEE_PROGRESS, days=1)
    clock.now += timedelta(days=2)
    follow(page, old)
    assert page.text_content("h1") == "This link is too old"
    look(page, "phone-expired", "light")
    back = passes.issue_link(desk(served.store, Role.COORDINATOR), anna, Purpose.SEE_PROGRESS)
    passes.revoke_link(desk(served.store, Role.COORDINATOR), back.id)
    follow(page, f"/link#{back.token}")
    assert page.text_content("h1") == "The clinic has taken this link back"
    assert page.locator("a[href='tel:5550142']").count() == 2
    follow(page, link(served.store, anna, Purpose.ANSWER_SCALE, "qids_sr16"))  # its wording may not be shown
    assert page.text_content("h1") == "This one is filled in at the clinic"
    assert page.locator("text=Start").count() == 0


def test_the_token_is_nowhere_after_the_first_request(opened: Open, served: Served, anna: str) -> None:
    page = opened(**PHONE)
    path = link(served.store, anna, Purpose.SEE_PROGRESS)
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    answer = page.goto(path)
    assert answer.headers["referrer-policy"] == "no-referrer"
    page.wait_for_url("**/my")
    token = path.partition("#")[2]
    assert not any(token in url for url in asked)
    assert token not in page.content()
    assert page.evaluate("document.cookie") == ""
    page.go_back()
    page.wait_for_load_state()
    assert token not in page.url
    page.goto("/my")
    page.click("text=Start")
    kept = {each["name"]: each for each in page.context.cookies()}
    assert "afterglow_link" not in kept
    assert kept["afterglow_patient"]["httpOnly"]
    assert kept["afterglow_patient"]["path"] == "/my"
    page.goto("/today")
    assert page.url.endswith("/login")  # a link opens one patient's page and nothing else


def test_a_phone_by_keyboard_alone(opened: Open, served: Served, anna: str, seen: Seen) -> None:
    page = opened(**PHONE)
    follow(page, link(served.store, anna, Purpose.ANSWER_SCALE, "GAD-7"))
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.textContent") == "Skip to the page"
    page.keyboard.press("Enter")
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    page.wait_for_url("**/my/question/1")
    for number in range(1, 8):
        page.wait_for_url(f"**/my/question/{number}")
        page.locator("button.answer").first.focus()
        page.keyboard.press("Enter")
    page.wait_for_url("**/my/check")


def _code(store: Store) -> str:
    from afterglow.store import facts  # noqa: PLC0415

    with store.read("north") as tx:
        sent = [head.now for head in facts.load_all(tx, OutgoingMessage) if head.now is not None]
    (text,) = [each.text for each in sent if "The code is" in each.text]
    return text.split("The code is ")[1][:8]


def test_a_link_opened_again_goes_on_where_it_stopped(opened: Open, served: Served, anna: str, seen: Seen) -> None:
    page = opened(**PHONE)
    page.context.scripts = True
    path = link(served.store, anna, Purpose.ANSWER_SCALE, "PHQ-9")
    begin(page, path, seen)
    for _ in range(3):
        tap(page, "Several days", seen)
    follow(page, path)
    assert page.text_content("h1") == "Go on where you stopped"
    assert "You have answered 3 of 9 questions" in page.text_content("main")
    page.click("button.go")
    assert page.url.endswith("/my/question/4")


def test_staff_make_a_link_to_own_progress_from_the_chart(opened: Open, served: Served, anna: str) -> None:
    page = opened(java_script_enabled=False)
    log_in(page, served)
    page.goto(f"/patients/{anna}")
    page.click(".progress-link button")
    assert page.text_content("h1") == "A link for the patient's phone"
    assert page.text_content(".whose") == "Anna Berger: own progress"
    assert "can read the patient's progress" in page.text_content(".slip")
    assert "answer for the patient" not in page.text_content(".slip")
    page.emulate_media(media="print")
    assert not page.locator(".whose").is_visible()
    assert page.locator(".for-hand").is_visible()  # a line for the name: the page itself names nobody
