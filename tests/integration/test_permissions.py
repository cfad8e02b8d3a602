"""Who may do what: the truth table of every role and use case, and that the desk holds to it before anything else."""

from __future__ import annotations

import importlib
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from tests.integration.desks import at_work, desk
from tests.integration.stores import new_store

from afterglow.clinic import Role
from afterglow.errors import MissingValue, NotPermitted, SignAgain
from afterglow.store import audit
from afterglow.store.records import Store
from afterglow.usecases import permissions
from afterglow.usecases.desk import CATALOGUE

WRITES, READS, SIGNS = "writes", "reads", "signs"
LETTERS = {
    "C": Role.COORDINATOR,
    "P": Role.PRESCRIBER,
    "N": Role.NURSE,
    "T": Role.THERAPIST,
    "D": Role.MEDICAL_DIRECTOR,
    "Q": Role.COMPLIANCE,
    "R": Role.RESEARCHER,
    "A": Role.ADMINISTRATOR,
    "I": Role.PATIENT,
    "B": Role.ROOM,
    "S": Role.SYSTEM,
}
TABLE = (
    ("alerts.act", "PND", WRITES),
    ("alerts.close", "PND", WRITES),
    ("alerts.escalate", "S", WRITES),
    ("alerts.hand_over", "PND", WRITES),
    ("alerts.list", "CPNTD", READS),
    ("alerts.read", "PND", WRITES),
    ("audit.events", "Q", READS),
    ("audit.find_patient", "Q", READS),
    ("audit.page", "Q", READS),
    ("audit.prove", "Q", READS),
    ("audit.who", "Q", READS),
    ("chart.read", "PNTD", READS),
    ("contacts.allow", "CPNT", WRITES),
    ("contacts.read", "CPNTD", READS),
    ("contacts.remind", "S", WRITES),
    ("contacts.send_link", "CPNT", WRITES),
    ("contacts.stop", "CPNTI", WRITES),
    ("courses.accept", "CPN", WRITES),
    ("courses.answer", "P", SIGNS),
    ("courses.authorise", "CPN", WRITES),
    ("courses.await_cover", "CPN", WRITES),
    ("courses.candidacy", "PNTD", READS),
    ("courses.compare_plans", "PNTD", READS),
    ("courses.correct_inquiry", "CPN", WRITES),
    ("courses.decide_candidacy", "P", SIGNS),
    ("courses.decide_next", "P", WRITES),
    ("courses.find_suitable", "P", SIGNS),
    ("courses.induce_again", "P", SIGNS),
    ("courses.inquire", "CPN", WRITES),
    ("courses.intake", "CPNTD", READS),
    ("courses.label", "PNTD", READS),
    ("courses.maintain", "P", SIGNS),
    ("courses.make_safety_plan", "PNTD", WRITES),
    ("courses.open", "CPN", WRITES),
    ("courses.pause", "PN", WRITES),
    ("courses.read", "CPNTD", READS),
    ("courses.read_plan", "CPNTD", READS),
    ("courses.recover", "P", WRITES),
    ("courses.relapse", "P", WRITES),
    ("courses.resume", "P", WRITES),
    ("courses.review", "P", SIGNS),
    ("courses.set_plan", "P", SIGNS),
    ("courses.start", "P", SIGNS),
    ("courses.stop", "CP", WRITES),
    ("courses.take_consent", "PND", WRITES),
    ("courses.try_candidacy", "PNTD", READS),
    ("courses.try_plan", "PNTD", READS),
    ("courses.withdraw_consent", "CPNTD", WRITES),
    ("designs.cancel", "CPNTDQRA", WRITES),
    ("designs.claim", "S", WRITES),
    ("designs.finish", "S", WRITES),
    ("designs.go_on", "S", WRITES),
    ("designs.leave", "S", WRITES),
    ("designs.list", "CPNTDQRA", READS),
    ("designs.read", "CPNTDQRA", READS),
    ("designs.start", "CPNTDQRA", WRITES),
    ("diary.book", "CPN", WRITES),
    ("diary.bookable", "CPN", READS),
    ("diary.booking", "CPNTD", READS),
    ("diary.cancel", "CPN", WRITES),
    ("diary.clashes", "CPNTD", READS),
    ("diary.conflicts", "CPN", READS),
    ("diary.hours", "CPN", READS),
    ("diary.move", "CPN", WRITES),
    ("diary.next_free", "CPN", READS),
    ("diary.no_show", "CN", WRITES),
    ("diary.read", "CPNTD", READS),
    ("diary.show", "CPNTD", READS),
    ("diary.stay", "CPN", WRITES),
    ("diary.undo_no_show", "CN", WRITES),
    ("diary.warnings", "CPN", READS),
    ("documents.course_summary", "PNTD", READS),
    ("documents.drug_log", "PNTDQ", READS),
    ("documents.monitoring_sheet", "PNTD", READS),
    ("documents.outcomes", "PD", READS),
    ("documents.session_record", "PNTD", READS),
    ("drugs.count", "PND", SIGNS),
    ("drugs.explain", "DQ", SIGNS),
    ("drugs.lot", "PNTDQ", READS),
    ("drugs.receive", "PNDQ", WRITES),
    ("drugs.stock", "PNTDQ", READS),
    ("drugs.waste", "PND", SIGNS),
    ("files.add", "CPNTD", WRITES),
    ("files.list", "CPNTD", READS),
    ("files.read", "PNTD", READS),
    ("forecasts.ask", "PNTD", WRITES),
    ("forecasts.read", "PNTD", READS),
    ("history.check", "S", READS),
    ("history.import", "S", WRITES),
    ("installation.about", "CPNTDQRA", READS),
    ("installation.safekeeping", "DQA", READS),
    ("jobs.claim", "S", WRITES),
    ("jobs.fail", "S", WRITES),
    ("jobs.finish", "S", WRITES),
    ("jobs.list", "AS", READS),
    ("jobs.refresh", "S", WRITES),
    ("measures.answer", "I", WRITES),
    ("measures.ask", "I", READS),
    ("measures.check_in", "CPNTI", WRITES),
    ("measures.correct", "CPNT", WRITES),
    ("measures.due", "CPNTD", READS),
    ("measures.list", "CPNTD", READS),
    ("measures.progress", "I", READS),
    ("measures.record", "CPNT", WRITES),
    ("measures.tap", "I", WRITES),
    ("messages.claim", "S", WRITES),
    ("messages.confirm_route", "DA", WRITES),
    ("messages.list", "DA", READS),
    ("messages.note", "S", WRITES),
    ("messages.of_alert", "CPNTD", READS),
    ("messages.retry", "DA", WRITES),
    ("messages.set_route", "DA", WRITES),
    ("notes.add", "PNTD", WRITES),
    ("notes.correct", "PNTD", WRITES),
    ("notes.list", "PNTD", READS),
    ("passes.issue_link", "CPNTS", WRITES),
    ("passes.issue_room", "A", WRITES),
    ("passes.issue_token", "CPNTDQRA", SIGNS),
    ("passes.list_devices", "QA", READS),
    ("passes.list_links", "CPNT", READS),
    ("passes.revoke", "CPNT", WRITES),
    ("passes.revoke_device", "CPNTDQRA", WRITES),
    ("patients.erase", "Q", SIGNS),
    ("patients.find", "CPNTD", READS),
    ("patients.identify", "CPN", WRITES),
    ("patients.identity", "CPNTD", READS),
    ("patients.mark_in_error", "PNT", WRITES),
    ("patients.note_allergies", "PN", WRITES),
    ("patients.note_facts", "PNT", WRITES),
    ("patients.note_trials", "PN", WRITES),
    ("patients.reconcile_medicines", "PND", WRITES),
    ("patients.register", "CPN", WRITES),
    ("people.add", "A", WRITES),
    ("people.add_service", "A", WRITES),
    ("people.break_glass", "PNTD", WRITES),
    ("people.broken_glass", "DQ", READS),
    ("people.end_sessions", "A", WRITES),
    ("people.issue_token", "A", WRITES),
    ("people.leave", "A", WRITES),
    ("people.list", "CPNTDQRA", READS),
    ("people.reset", "A", WRITES),
    ("people.restrict_chart", "DQ", WRITES),
    ("people.set_roles", "A", WRITES),
    ("policies.change_clinic", "A", WRITES),
    ("policies.discard", "D", WRITES),
    ("policies.draft", "PDQ", WRITES),
    ("policies.list", "CPNTDQ", READS),
    ("policies.publish_consent_form", "DQ", WRITES),
    ("policies.read", "CPNTDQ", READS),
    ("policies.readiness", "CPNTDQA", READS),
    ("policies.set_chairs", "CD", WRITES),
    ("policies.set_help_lines", "CD", WRITES),
    ("policies.set_prices", "CD", WRITES),
    ("policies.sign", "D", SIGNS),
    ("research.courses", "R", READS),
    ("rooms.board", "CPNTDB", READS),
    ("sessions.amend_screening", "N", WRITES),
    ("sessions.answer", "P", SIGNS),
    ("sessions.arrive", "CN", WRITES),
    ("sessions.assess_emergency", "P", SIGNS),
    ("sessions.back_to_screen", "PN", WRITES),
    ("sessions.cancel", "CPN", WRITES),
    ("sessions.clear_to_leave", "PN", WRITES),
    ("sessions.close", "PN", WRITES),
    ("sessions.correct_reading", "PN", WRITES),
    ("sessions.countersign", "P", SIGNS),
    ("sessions.enter_reading", "PN", WRITES),
    ("sessions.finish_dose", "PN", WRITES),
    ("sessions.form_sent", "CNQ", WRITES),
    ("sessions.give_back", "PN", WRITES),
    ("sessions.give_device", "PN", WRITES),
    ("sessions.go", "P", SIGNS),
    ("sessions.grade_event", "PN", WRITES),
    ("sessions.hold", "PN", WRITES),
    ("sessions.monitoring", "PNTD", READS),
    ("sessions.no_go", "P", SIGNS),
    ("sessions.order", "P", SIGNS),
    ("sessions.order_rate", "P", SIGNS),
    ("sessions.prepare", "PN", WRITES),
    ("sessions.read", "PNTD", READS),
    ("sessions.record_event", "PNT", WRITES),
    ("sessions.resume", "P", SIGNS),
    ("sessions.screen", "N", WRITES),
    ("sessions.second_check", "PN", SIGNS),
    ("sessions.set_rate", "PN", WRITES),
    ("sessions.sheet", "PNTD", READS),
    ("sessions.sign_note", "PN", SIGNS),
    ("sessions.start_dose", "PN", WRITES),
    ("sessions.stop_dose", "PN", WRITES),
    ("sessions.take_drug", "PN", WRITES),
    ("sessions.transfer", "PN", WRITES),
    ("sessions.try_reading", "PN", READS),
    ("sessions.void_event", "PNT", WRITES),
    ("sessions.walk_out", "PN", WRITES),
    ("sessions.waste", "PN", SIGNS),
    ("today.read", "CPNTD", READS),
    ("worklist.read", "CPNTD", READS),
)
ROLES = tuple(LETTERS.values())


@pytest.fixture(scope="module")
def north(tmp_path_factory: pytest.TempPathFactory) -> Store:
    folder = tmp_path_factory.mktemp("permissions")
    return at_work(new_store(f"sqlite:///{folder / 'records.db'}", folder))


def called(name: str) -> Any:
    """The function of a use case, found by its place in the modules that the catalogue is made of."""
    for module in vars(permissions).values():
        for function in vars(module).values() if hasattr(module, "__name__") else ():
            if callable(function) and getattr(function, "case", None) is CATALOGUE[name]:
                return function
    raise AssertionError(name)


def test_the_table_names_every_use_case() -> None:
    assert [name for name, _, _ in TABLE] == sorted(CATALOGUE)
    assert set(LETTERS.values()) == set(Role)
    assert permissions.SHOWN == ROLES


@pytest.mark.parametrize(("name", "letters", "kind"), TABLE, ids=[name for name, _, _ in TABLE])
def test_who_may(north: Store, name: str, letters: str, kind: str) -> None:
    function, allowed = called(name), [LETTERS[letter] for letter in letters]
    assert (CATALOGUE[name].reads, CATALOGUE[name].signs) == (kind == READS, kind == SIGNS)
    for role in ROLES:
        if role in allowed:
            with (
                pytest.raises(TypeError) if _asks(function) else suppress(MissingValue)
            ):  # let in: it asks for what it is about
                function(desk(north, role))
            if kind == SIGNS:
                with pytest.raises(SignAgain):
                    function(desk(north, role, signed=False))
        else:
            with pytest.raises(NotPermitted) as refused:
                function(desk(north, role))
            assert not isinstance(refused.value, SignAgain)
            with north.read("north") as tx:
                (event,) = audit.last_events(tx, after=audit.last_seq(tx) - 1)
            assert (event.action, event.by, event.detail["use_case"]) == ("refused", f"{role}-1", name)


def test_nobody_who_signs_is_let_in_by_a_token() -> None:
    """A token has no signature; what asks for one is for people alone."""
    assert {name for name, _, kind in TABLE if kind == SIGNS} == {n for n, c in CATALOGUE.items() if c.signs}


@pytest.mark.parametrize("letter", ["A", "R", "B"])
def test_who_sees_no_patient(letter: str) -> None:
    """Administrator, researcher and screen reach no use case that opens a patient."""
    groups = {
        "alerts",
        "audit",
        "chart",
        "contacts",
        "courses",
        "diary",
        "files",
        "forecasts",
        "notes",
        "measures",
        "patients",
        "sessions",
        "today",
        "worklist",
        "drugs",
        "documents",
    }
    reached = {name for name, letters, _ in TABLE if letter in letters}
    assert not [name for name in reached if name.split(".")[0] in groups]


def test_the_page_is_made_of_the_catalogue() -> None:
    page = permissions.permissions_markdown()
    assert all(f"`{name}`" in page for name in CATALOGUE)


def test_every_module_of_use_cases_with_a_desk_is_in_the_page() -> None:
    folder = Path(importlib.import_module("afterglow.usecases").__path__[0])
    makers = {
        file.stem
        for file in folder.glob("*.py")
        if "@use_case(" in (text := file.read_text(encoding="utf-8")) or "@view(" in text
    }
    assert makers - {"desk"} <= set(vars(permissions))


def _asks(function: Any) -> bool:
    return bool(function.case.asks)
