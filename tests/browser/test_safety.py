"""What a browser holds to: no typed markup comes alive, no other site frames a page or sends a form as somebody."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import pytest
from tests.browser.conftest import Open, Served, log_in
from tests.integration.desks import desk

from afterglow.clinic import Allergies, AllergyStatus, Role
from afterglow.store import audit
from afterglow.store.records import Store
from afterglow.usecases import papers, patients
from afterglow.usecases.diary import list_bookable

MARKUP = "<img src=/own onerror=\"document.title='own'\"><script>document.title='own'</script>"


@pytest.fixture
def elsewhere(served: Served) -> Iterator[str]:
    """Another site on this machine, which frames the clinic's pages and sends forms to them."""

    class Site(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            page = (
                f"<iframe id=frame src='{served.address}/today'></iframe>"
                f"<form id=form method=post action='{served.address}/screens'><input name=label value=Foreign></form>"
            )
            self.send_response(200)
            self.send_header("Content-Type", "text/html")
            self.end_headers()
            self.wfile.write(page.encode())

        def log_message(self, *_: object) -> None:
            """Nothing is told."""

    site = HTTPServer(("127.0.0.1", 0), Site)
    threading.Thread(target=site.serve_forever, daemon=True).start()
    yield f"http://localhost:{site.server_address[1]}/"
    site.shutdown()
    site.server_close()


def actions(store: Store) -> list[str]:
    with store.read("north") as tx:
        return [each.action for each in audit.last_events(tx, after=0)]


def test_typed_markup_never_comes_alive(opened: Open, served: Served) -> None:
    store = served.store
    patient_id = next(each.patient_id for each in list_bookable(desk(store, Role.NURSE)).shown)
    nurse = desk(store, Role.NURSE)
    papers.add_note(nurse, patient_id, MARKUP)
    papers.add_file(nurse, patient_id, b"a", name=MARKUP, media_type="text/plain")
    patients.note_allergies(nurse, patient_id, Allergies(status=AllergyStatus.KNOWN, substances=(MARKUP,)))
    page = opened()
    log_in(page, served)
    page.goto(f"/patients/{patient_id}")
    assert "onerror" in page.text_content("main")  # it is there, as text
    assert page.locator("main script, main img").count() == 0
    assert page.title() != "own"


def test_no_other_site_frames_a_page(chromium: Any, served: Served, elsewhere: str) -> None:
    page = chromium.new_context(base_url=served.address).new_page()
    log_in(page, served)
    said: list[str] = []
    page.on("console", lambda line: said.append(line.text))
    page.goto(elsewhere)
    page.wait_for_timeout(500)
    assert any("frame-ancestors" in each for each in said), said
    assert "Today" not in (page.frames[1].content() if len(page.frames) > 1 else "")
    page.context.close()


def test_no_other_site_sends_a_form_as_somebody(chromium: Any, served: Served, elsewhere: str) -> None:
    page = chromium.new_context(base_url=served.address).new_page()
    log_in(page, served, "ada")
    page.wait_for_url("**/clinic")
    before = actions(served.store)
    page.goto(elsewhere)
    page.evaluate("document.getElementById('form').submit()")
    page.wait_for_url("**/screens")
    assert "came from another site" in page.content()
    assert set(actions(served.store)[len(before) :]) <= {"read", "refused"}
    page.goto("/screens")  # the login itself goes on, on the clinic's own page
    assert page.text_content("h1") == "Screens"
    assert "Foreign" not in page.content()
    page.context.close()
