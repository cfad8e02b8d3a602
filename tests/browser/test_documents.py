"""Documents in the browser: a file is taken away from where one looks for it; a period that cannot be is said so."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import pytest
from pypdf import PdfReader
from tests.browser.conftest import Open, Served, hire, log_in, look
from tests.browser.test_session import running
from tests.integration.desks import desk

from afterglow.clinic import Role
from afterglow.usecases import patients


def anna_of(served: Served) -> str:
    return patients.find(desk(served.store, Role.NURSE), "Anna").shown[0].id


def read(download: Any) -> str:
    pages = PdfReader(io.BytesIO(Path(download.path()).read_bytes())).pages
    return " ".join(" ".join(page.extract_text().split()) for page in pages)


def test_a_record_is_taken_away_under_a_name_that_names_nobody(served: Served, opened: Open) -> None:
    page = opened(accept_downloads=True)
    log_in(page, served)
    page.wait_for_url("**/today")
    page.goto(f"/sessions/{running(served)}")
    with page.expect_download() as taken:
        page.click("text=Session record (PDF)")
    assert taken.value.suggested_filename == "session-record.pdf"
    text = read(taken.value)
    assert "Anna Berger · born 1 May 1982" in text
    assert "Not closed: dosing" in text
    assert "Made by Nora (nora)" in text
    page.goto(f"/patients/{anna_of(served)}")
    with page.expect_download() as taken:
        page.click("text=Course summary (PDF)")
    assert taken.value.suggested_filename == "course-summary.pdf"
    assert "treatment-resistant depression" in read(taken.value)


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_the_documents_of_the_clinic_take_a_period(served: Served, opened: Open, theme: str) -> None:
    hire(served, "dora", Role.MEDICAL_DIRECTOR)
    page = opened(accept_downloads=True, color_scheme=theme)
    log_in(page, served, "dora")
    page.wait_for_url("**/today")
    page.goto("/worklist")
    page.click("text=Documents")
    look(page, "documents", theme)
    with page.expect_download() as taken:
        page.click("text=Make the drug log")
    assert taken.value.suggested_filename.startswith("drugs-")
    assert "v1: racemic ketamine, 50 mg/mL; lot L1" in read(taken.value)
    with page.expect_download() as taken:
        page.click("text=Make the outcome report")
    assert "No first dose was given in this period" in read(taken.value)  # the infusion still runs
    page.fill("#outcomes-since", "2026-01-05")
    page.fill("#outcomes-until", "2025-01-05")
    page.click("text=Make the outcome report")
    page.wait_for_selector(".summary")
    assert page.title().startswith("Error: ")
    assert "The period is refused" in page.text_content(".summary")
    assert page.input_value("#outcomes-until") == "2025-01-05"
    page.click(".summary a")
    assert page.evaluate("document.activeElement.id") == "outcomes-since"
    look(page, "documents-refused", theme)


def test_who_sees_no_patient_makes_no_document(served: Served, opened: Open) -> None:
    page = opened()
    log_in(page, served, "ada")
    page.wait_for_url(lambda address: "/login" not in address)
    assert page.goto("/documents").status == 403


def test_paper_keeps_what_is_said_and_leaves_out_what_is_typed(served: Served, opened: Open) -> None:
    page = opened(viewport={"width": 700, "height": 1000})
    log_in(page, served, "petra")
    page.wait_for_url("**/today")
    page.goto(f"/patients/{anna_of(served)}")
    form, passing = page.locator(".decide form"), page.locator(".body .notice[role=status]")
    assert form.is_visible()
    assert passing.is_visible()  # a newer forecast is being made
    page.emulate_media(media="print")
    assert not form.is_visible()
    assert not passing.is_visible()
    assert not page.locator(".progress-link").is_visible()
    page.goto("/worklist")
    assert page.locator(".work thead").first.is_visible()  # a table, not the phone's cards
    assert page.locator(".work tr").first.evaluate("each => getComputedStyle(each).display") == "table-row"
    assert not page.locator(".head .button").first.is_visible()
    page.goto("/evidence")
    assert page.locator(".report .notice").first.is_visible()  # what the numbers are worth
