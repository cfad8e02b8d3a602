"""A session without a network: entries are kept sealed under their author, survive a reload, and are written once."""

from __future__ import annotations

import contextlib
from typing import Any

from tests.browser.conftest import PASSWORD, Open, Served
from tests.browser.test_session import enter, later, now_of, running, staffed
from tests.integration.desks import desk

from afterglow.clinic import Role
from afterglow.store import audit
from afterglow.usecases import room, sessions

__all__ = ["staffed"]


def ready(page: Any) -> None:
    """The page has its key, and the worker holds the shell."""
    page.wait_for_selector("html[data-ready]")
    page.evaluate("() => navigator.serviceWorker.ready.then(() => true)")
    page.wait_for_timeout(300)


def type_set(page: Any, systolic: str = "141") -> None:
    for name, value in (("systolic_mmhg", systolic), ("diastolic_mmhg", "88"), ("heart_rate_per_min", "77")):
        page.fill(f"#reading-{name}", value)
    page.click("#reading button.action")


def rows(page: Any, store: str) -> list[dict[str, Any]]:
    """What lies in a store of the page's own database, as a thief of the tablet would find it."""
    found: list[dict[str, Any]] = page.evaluate(
        """(store) => new Promise((done, failed) => {
            const asked = indexedDB.open("afterglow-offline");
            asked.onerror = () => failed(asked.error);
            asked.onsuccess = () => {
                const all = asked.result.transaction(store).objectStore(store).getAll();
                all.onsuccess = () => {
                    asked.result.close();
                    done(all.result.map((row) => Object.fromEntries(Object.entries(row).map(([name, value]) => [
                        name,
                        value instanceof CryptoKey ? `key, extractable ${value.extractable}`
                            : value instanceof ArrayBuffer ? new TextDecoder("latin1").decode(value) : String(value),
                    ]))));
                };
            };
        })""",
        store,
    )
    return found


def test_entries_survive_a_reload_without_a_network_and_are_written_once(opened: Open, staffed: Served) -> None:
    session_id = running(staffed)
    page = opened()
    enter(page, staffed, session_id)
    ready(page)
    before = len(now_of(staffed, session_id).readings)
    later(staffed, 5)
    page.reload()
    ready(page)
    page.context.set_offline(True)
    type_set(page)
    page.wait_for_selector("#offline:has-text('1 entry is kept on this tablet')")
    assert "141/88" in page.text_content("#offline")
    assert "Dose, second check, leave and close need the server" in page.text_content("#offline")
    page.reload()  # on a dead network
    page.wait_for_selector("#offline:has-text('1 entry is kept on this tablet')")
    assert page.text_content(".patient h1") == "Anna Berger"  # out of what this device keeps sealed
    page.click('#event button[value="Nausea"]')
    page.wait_for_selector("#offline:has-text('2 entries are kept on this tablet')")
    assert page.is_visible("#finish_dose [data-needs-server]")
    assert len(now_of(staffed, session_id).readings) == before
    kept = rows(page, "entries")
    assert [each["author"] for each in kept] == ["nora", "nora"]
    assert not any("141" in each["data"] or "systolic" in each["data"] or "Nausea" in each["data"] for each in kept)
    assert rows(page, "keys")[0]["key"] == "key, extractable false"
    assert not any("Anna" in each["data"] for each in rows(page, "sights"))
    later(staffed, 3)  # three minutes until the network is back
    page.context.set_offline(False)
    page.wait_for_selector(".told li:has-text('Nausea')")
    session = now_of(staffed, session_id)
    assert len(session.readings) == before + 1
    reading = session.readings[-1]
    assert (reading.systolic_mmhg, reading.by) == (141, "nora")
    assert reading.id == next(each["id"] for each in kept if each["act"] == "reading")
    assert reading.taken_at < reading.entered_at
    assert [each.term for each in session.adverse_events] == ["Nausea"]
    page.wait_for_selector("#offline", state="hidden")
    assert rows(page, "entries") == []
    with staffed.store.read("north") as tx:
        told = [each for each in audit.last_events(tx, after=0) if each.action == "sessions.enter_reading"][-1]
    assert "tablet_at" in told.detail


def test_a_dangerous_set_is_warned_of_without_a_network(opened: Open, staffed: Served) -> None:
    session_id = running(staffed)
    page = opened()
    enter(page, staffed, session_id)
    ready(page)
    page.context.set_offline(True)
    for name, value in (("systolic_mmhg", "190"), ("diastolic_mmhg", "110"), ("spo2_pct", "92")):
        page.fill(f"#reading-{name}", value)
    page.wait_for_selector("#draft .draft:has-text('meets S041')")
    assert page.locator("#draft .draft").count() == 1  # 92 % is not below 92 %
    page.fill("#reading-spo2_pct", "80")
    page.wait_for_selector("#draft .draft.high:has-text('meets S045')")
    assert "other rules are not judged" in page.text_content("#draft")
    page.click("#reading button.action")
    page.wait_for_selector("#offline .draft.high:has-text('meets S045')")
    assert "meets S045" in page.text_content("#met")
    assert "Rules are not judged" in page.text_content("#offline")
    assert "kept on this tablet" in page.text_content("[data-last-reading]")
    assert page.text_content("[data-last-reading] .time").strip() == "0:00"
    assert page.locator("#sheet .draft-marks[data-lane=pressure] path").count() >= 2  # its diastolic, in both widths
    page.reload()
    page.wait_for_selector("#offline .draft.high:has-text('meets S045')")
    assert "kept on this tablet" in page.text_content("[data-last-reading]")
    page.context.set_offline(False)
    page.wait_for_selector(".alarm.high:has-text('meets S045')", timeout=30000)
    assert "kept on this tablet" not in page.text_content("[data-last-reading]")


def test_an_entry_whose_answer_was_lost_is_not_written_twice(opened: Open, staffed: Served) -> None:
    session_id = running(staffed)
    page = opened()
    enter(page, staffed, session_id)
    ready(page)
    before = len(now_of(staffed, session_id).readings)
    lost = []

    def lose(route: Any) -> None:
        lost.append(route.fetch())  # it reaches the server; the answer never reaches the tablet
        route.abort()

    page.route("**/reading", lose, times=1)
    with contextlib.suppress(Exception):
        type_set(page)
    page.wait_for_selector("#offline:has-text('1 entry is kept on this tablet')")
    assert lost[0].ok
    assert len(now_of(staffed, session_id).readings) == before + 1
    page.evaluate("() => dispatchEvent(new Event('online'))")
    page.wait_for_selector("#offline", state="hidden")
    assert len(now_of(staffed, session_id).readings) == before + 1
    assert rows(page, "entries") == []


def test_an_entry_stays_with_its_author(opened: Open, staffed: Served) -> None:
    session_id = running(staffed)
    page = opened()
    enter(page, staffed, session_id)
    ready(page)
    before = len(now_of(staffed, session_id).readings)
    page.context.set_offline(True)
    type_set(page)
    page.wait_for_selector("#offline:has-text('1 entry is kept')")
    page.context.clear_cookies()  # the login ends while there is no network
    page.context.set_offline(False)
    enter(page, staffed, session_id, "bea")
    page.wait_for_selector("#offline:has-text('1 entry of another login waits on this tablet')")
    ready(page)
    assert "141" not in page.text_content("#offline")
    assert [each["author"] for each in rows(page, "keys")] == ["bea"]  # the key of the login before is gone
    assert len(now_of(staffed, session_id).readings) == before
    page.click(".menu summary")
    page.click("text=Log out")
    page.wait_for_url("**/login*")
    enter(page, staffed, session_id)
    page.wait_for_selector("#offline", state="hidden")
    ready(page)
    assert now_of(staffed, session_id).readings[-1].by == "nora"
    assert len(now_of(staffed, session_id).readings) == before + 1


def test_logging_out_wipes_what_this_device_keeps(opened: Open, staffed: Served) -> None:
    session_id = running(staffed)
    page = opened()
    enter(page, staffed, session_id)
    ready(page)
    assert len(rows(page, "sights")) == 1
    page.click(".menu summary")
    page.click("text=Log out")
    page.wait_for_url("**/login*")
    assert (rows(page, "keys"), rows(page, "sights")) == ([], [])
    page.context.set_offline(True)
    page.goto(f"/sessions/{session_id}")
    page.wait_for_selector("text=nothing of this session is kept on this device")
    assert "Anna" not in page.content()


def test_what_the_server_refuses_stays_with_its_reason(opened: Open, staffed: Served) -> None:
    session_id = running(staffed)
    page = opened()
    enter(page, staffed, session_id)
    ready(page)
    page.context.set_offline(True)
    type_set(page, systolic="80")  # below the diastolic
    page.wait_for_selector("#offline:has-text('1 entry is kept')")
    page.context.set_offline(False)
    page.wait_for_selector("#offline:has-text('Not accepted: Systolic must be above diastolic')", timeout=20000)
    page.click("text=Discard this entry")
    page.wait_for_selector("#offline", state="hidden")
    assert rows(page, "entries") == []


def test_the_key_is_the_authors_own(opened: Open, staffed: Served) -> None:
    nora, again, bea, nobody = opened(), opened(), opened(), opened()
    session_id = running(staffed)
    for page, login in ((nora, "nora"), (again, "nora"), (bea, "bea")):
        enter(page, staffed, session_id, login)
    keys = [page.request.get("/offline/key").json()["key"] for page in (nora, again, bea)]
    assert keys[0] == keys[1] != keys[2]
    assert nobody.request.get("/offline/key", max_redirects=0).status == 303
    shell = nobody.request.get("/offline/session")
    assert "Anna" not in shell.text()
    assert PASSWORD not in shell.text()
    room.note_event(desk(staffed.store, Role.NURSE), session_id, term="Nausea")
    assert sessions.read_session(desk(staffed.store, Role.NURSE), session_id).shown.session.adverse_events


def test_a_page_that_needs_the_server_says_so_without_a_network(opened: Open, staffed: Served) -> None:
    session_id = running(staffed)
    page = opened()
    enter(page, staffed, session_id)
    ready(page)
    page.context.set_offline(True)
    page.goto("/today")
    assert "There is no network" in page.text_content("main")
    with page.expect_navigation():
        page.click("#kept a")
    page.wait_for_selector("#offline:has-text('Offline since')")
    assert page.url.endswith(f"/sessions/{session_id}")
