"""By keyboard alone: a whole session in which nothing is clicked; the focus while others write; a set while typed."""

from __future__ import annotations

from typing import Any

import pytest
from tests.browser.conftest import PASSWORD, Open, Served
from tests.browser.test_session import GOOD, HOURS, booked, enter, later, now_of, running, staffed
from tests.integration import care
from tests.integration.desks import desk

from afterglow.clinic import Role, SessionState
from afterglow.usecases import room

__all__ = ["staffed"]

_STOPS = 400  # more than any page has
_HERE = """() => {
  const e = document.activeElement, box = e.getBoundingClientRect(), of = e.form ?? e.closest("form");
  const seen = e.type === "radio" ? e.nextElementSibling : e;
  return {form: of?.id || new URL(of?.action ?? location).pathname,
    kind: e.localName === "input" ? e.type : e.localName,
    name: e.name ?? "", value: e.value ?? "", text: (e.innerText ?? "").trim(), path: e.getAttribute("href") ?? "",
    ring: getComputedStyle(seen).outlineStyle, on: box.bottom > 0 && box.top < innerHeight};
}"""


class Keys:
    """Somebody with a keyboard at a page. Every stop of the way must show where it is."""

    def __init__(self, page: Any) -> None:
        self.page = page

    def to(self, **wanted: str) -> dict[str, Any]:
        """Tab on until what is wanted has the focus."""
        for _ in range(_STOPS):
            self.page.keyboard.press("Tab")
            here: dict[str, Any] = self.page.evaluate(_HERE)
            if here["kind"] not in {"body", "div"}:  # between two rounds; a table that scrolls
                assert here["ring"] != "none", f"no ring on {here}"
                assert here["on"], f"out of sight: {here}"
            if all(here[name] == value for name, value in wanted.items()):
                return here
        raise AssertionError(f"no key leads to {wanted}")

    def type(self, form: str, **values: str) -> None:
        for name, value in values.items():
            self.to(form=form, name=name)
            self.page.keyboard.type(value)

    def choose(self, form: str, name: str, value: str) -> None:
        """A segment: Space takes the first, arrows go on."""
        here = self.to(form=form, kind="radio", name=name)
        if here["value"] == value:
            self.page.keyboard.press("Space")
        for _ in range(12):
            if self.page.evaluate(_HERE)["value"] == value:
                return
            self.page.keyboard.press("ArrowRight")
        raise AssertionError(f"no arrow leads to {value} of {name}")

    def pick(self, form: str, name: str, value: str) -> None:
        """An option of a list, by the letters it begins with."""
        self.to(form=form, kind="select", name=name)
        self.page.keyboard.type(self.page.text_content(f'select[name="{name}"] option[value="{value}"]'))
        assert self.page.evaluate(_HERE)["value"] == value

    def tick(self, form: str, name: str) -> None:
        self.to(form=form, kind="checkbox", name=name)
        self.page.keyboard.press("Space")

    def send(self, form: str, text: str = "") -> None:
        """The form's last button, with Enter."""
        self.to(form=form, kind="button", **({"text": text} if text else {}))
        with self.page.expect_navigation():
            self.page.keyboard.press("Enter")
        assert self.page.locator("#summary").count() == 0, self.page.text_content("#summary")

    def follow(self, text: str) -> None:
        """A link, or what opens."""
        self.to(text=text)
        self.page.keyboard.press("Enter")

    def log_in(self, served: Served, login: str) -> None:
        self.page.goto("/login")
        self.pick("/login", "clinic", "north")
        self.type("/login", login=login, password=PASSWORD, code=served.code(login))
        with self.page.expect_navigation():
            self.page.keyboard.press("Enter")

    def sign(self, served: Served, form: str, login: str) -> None:
        if self.page.locator(f"#{form}-again_password").count():
            self.type(form, again_password=PASSWORD, again_code=served.code(login))

    def second(self, served: Served, form: str, login: str) -> None:
        self.type(form, second_login=login, second_password=PASSWORD, second_code=served.code(login))

    def open(self, session_id: str) -> None:
        """The session's page as it is now, from Today."""
        self.page.keyboard.press("Escape")
        self.page.goto("/today")
        self.to(path=f"/sessions/{session_id}")
        with self.page.expect_navigation():
            self.page.keyboard.press("Enter")
        self.page.wait_for_selector("html[data-ready]")

    def reading(self, served: Served, session_id: str) -> int:
        """A full set; how many keys it took, once its first field has the focus."""
        before = len(now_of(served, session_id).readings)
        self.to(form="reading", name="systolic_mmhg")
        keys = ["1", "2", "4", "Enter", "7", "8", "Enter", "7", "2", "Enter", "9", "8", "Enter", "5", "n", "Enter"]
        for each in keys:
            self.page.keyboard.press(each)
        self.page.wait_for_selector("#said:has-text('Saved')", state="attached")
        assert len(now_of(served, session_id).readings) == before + 1
        return len(keys)


def test_a_whole_session_by_keyboard_alone(opened: Open, staffed: Served) -> None:
    session_id = booked(staffed)
    nora, paul = Keys(opened()), Keys(opened())
    nora.log_in(staffed, "nora")
    paul.log_in(staffed, "paul")
    nora.open(session_id)
    nora.send("arrive")
    nora.send("medicines")
    nora.page.wait_for_selector("html[data-ready]")
    nora.reading(staffed, session_id)
    for name in GOOD | HOURS:
        if name in HOURS:
            nora.type("screen", **{name: HOURS[name]})
        else:
            nora.choose("screen", name, GOOD[name])
    for each in nora.page.locator('#screen input[name^="workup_"]').all():
        nora.tick("screen", str(each.get_attribute("name")))
    nora.send("screen")
    assert now_of(staffed, session_id).state is SessionState.SCREENED

    paul.open(session_id)
    paul.type("order", dose_mg_per_kg="0.5", infusion_min="40")
    paul.sign(staffed, "order", "paul")
    paul.send("order", "Sign the order")

    nora.open(session_id)
    nora.type("prepare", weight_kg="80")
    nora.choose("prepare", "concentration_mg_per_ml", "50")
    nora.choose("prepare", "diluted", "yes")
    nora.send("prepare")
    nora.type("second_check", amount_mg="40", volume_ml="0.8", concentration_mg_per_ml="50")
    nora.second(staffed, "second_check", "bea")
    nora.send("second_check")
    assert now_of(staffed, session_id).second_check.by == "bea"

    paul.open(session_id)
    paul.choose("decide", "decision", "go")
    paul.sign(staffed, "decide", "paul")
    paul.send("decide")

    nora.open(session_id)
    nora.pick("take", "container_id", "v1")
    nora.type("take", amount_mg="50")
    nora.send("take")
    nora.send("start")
    assert now_of(staffed, session_id).state is SessionState.DOSING
    for minutes in (10, 10, 10, 11):
        later(staffed, minutes)
        nora.open(session_id)
        nora.reading(staffed, session_id)
    nora.type("finish_dose", given_v1="40")
    nora.send("finish_dose")
    for _ in range(5):
        later(staffed, 14)
        nora.open(session_id)
        nora.reading(staffed, session_id)
    nora.to(form="event", text="Nausea")
    nora.page.keyboard.press("Enter")
    nora.page.wait_for_selector("#told-events >> text=Nausea")

    nora.open(session_id)
    for name in care.LEAVING:
        if name != "signed":
            nora.choose("leave", name, "yes")
    for scale in ("aldrete", "padss"):
        for part in range(1, 6):
            nora.choose("leave", f"{scale}_{part}", "2")
    nora.tick("leave", "signed")
    nora.send("leave")
    assert now_of(staffed, session_id).state is SessionState.LEFT

    nora.pick("waste", "container_id", "v1")
    nora.type("waste", amount_mg="10", reason="rest of the syringe")
    nora.sign(staffed, "waste", "nora")
    nora.second(staffed, "waste", "bea")
    nora.send("waste")
    nora.sign(staffed, "sign_note", "nora")
    nora.send("sign_note")
    (event,) = now_of(staffed, session_id).adverse_events
    nora.to(kind="summary", text=nora.page.inner_text("summary:has-text('Grade nausea')"))
    nora.page.keyboard.press("Enter")
    nora.choose(f"grade-{event.id}", "grade", "1")
    nora.choose(f"grade-{event.id}", "serious", "no")
    nora.send(f"grade-{event.id}")
    nora.send("close")
    closed = now_of(staffed, session_id)
    assert closed.state is SessionState.CLOSED
    assert closed.outstanding_ug("v1") == 0


def test_the_focus_stays_while_others_write(opened: Open, staffed: Served) -> None:
    session_id = running(staffed)
    nora = Keys(opened())
    nora.log_in(staffed, "nora")
    nora.to(path=f"/sessions/{session_id}")
    room.read_vitals(desk(staffed.store, Role.NURSE), session_id, care.quiet(spo2_pct=88))
    nora.page.wait_for_selector(".chair.high")
    assert nora.page.evaluate(_HERE)["path"] == f"/sessions/{session_id}"
    nora.open(session_id)
    nora.to(form="event", text="Dizziness")
    room.read_vitals(desk(staffed.store, Role.NURSE), session_id, care.quiet(systolic_mmhg=171))
    nora.page.wait_for_selector(".alarm:has-text('171')")
    assert nora.page.evaluate(_HERE)["text"] == "Dizziness"


def test_a_set_stands_hollow_on_the_sheet_while_it_is_typed(opened: Open, staffed: Served) -> None:
    session_id = running(staffed)
    page = opened()
    enter(page, staffed, session_id)
    page.wait_for_selector("html[data-ready]")
    in_lane = "#sheet svg.wide .draft-marks[data-lane='{}'] > *"
    page.fill("#reading-systolic_mmhg", "138")
    assert page.locator(in_lane.format("pressure")).count() == 1  # a V; the stem comes with the other
    page.fill("#reading-diastolic_mmhg", "84")
    assert page.locator(in_lane.format("pressure")).count() == 3
    page.fill("#reading-heart_rate_per_min", "80")
    page.fill("#reading-spo2_pct", "97")
    dot = page.locator(in_lane.format("heart rate"))
    grid = page.locator("#sheet svg.wide .draft-marks[data-lane='heart rate']")
    low, high, top, bottom = (float(grid.get_attribute(f"data-{each}")) for each in ("low", "high", "top", "bottom"))
    assert float(dot.get_attribute("cy")) == pytest.approx(
        bottom + (80 - low) / (high - low) * (top - bottom), abs=0.01
    )
    assert dot.get_attribute("fill") == "none"
    room.read_vitals(desk(staffed.store, Role.NURSE), session_id, care.quiet(systolic_mmhg=171))
    page.wait_for_selector(".alarm:has-text('171')")
    assert page.locator(in_lane.format("pressure")).count() == 3  # others' entries leave it standing
    page.fill("#reading-heart_rate_per_min", "800")
    assert dot.count() == 0  # no axis holds it
    page.fill("#reading-heart_rate_per_min", "80")
    page.click("#reading button.action")
    page.wait_for_selector("#said:has-text('Saved')", state="attached")
    assert page.locator("#sheet .draft-marks > *").count() == 0
