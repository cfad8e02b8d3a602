"""Notes and files of a chart: sealed, of few types, corrected by who wrote them, read by who may."""

from __future__ import annotations

import pytest
from tests.integration import care
from tests.integration.care import desk, in_induction, later, open_clinic, register
from tests.integration.desks import at_work

from afterglow.clinic import Role
from afterglow.errors import Conflict, InputError, MissingValue, NotFound, NotPermitted, OutOfRange
from afterglow.store import audit
from afterglow.store.records import Store
from afterglow.usecases import papers, patients, people

LETTER = b"%PDF-1.7 a letter"
TEXT = "Sleeps better; wife agrees."


@pytest.fixture
def north(store: Store) -> Store:
    made = at_work(store)
    open_clinic(made)
    return made


def test_a_note_stands_under_who_wrote_it_and_is_corrected_by_nobody_else(north: Store) -> None:
    patient_id, course_id = in_induction(north)
    nurse = desk(north, Role.NURSE)
    first = papers.add_note(nurse, patient_id, f"  {TEXT}\r\n")
    papers.add_note(desk(north, Role.THERAPIST), patient_id, "Talked of work.", subject=course_id)
    newest, oldest = papers.list_notes(nurse, patient_id).shown
    assert (oldest.id, oldest.text, oldest.by, oldest.subject) == (first.id, TEXT, "nurse-1", None)
    assert (newest.by, newest.subject, newest.corrected_at) == ("therapist-1", course_id, None)
    assert TEXT not in repr(oldest)
    with pytest.raises(NotPermitted, match="somebody else's"):
        papers.correct_note(desk(north, Role.PRESCRIBER), patient_id, first.id, "No.", reason="wrong")
    with pytest.raises(MissingValue):
        papers.correct_note(nurse, patient_id, first.id, "Sleeps well.", reason=" ")
    later(north, 5)
    second = papers.correct_note(nurse, patient_id, first.id, "Sleeps well.", reason="clearer")
    with pytest.raises(Conflict):
        papers.correct_note(nurse, patient_id, first.id, "Again.", reason="late")
    line = papers.list_notes(nurse, patient_id).shown[-1]
    assert (line.id, line.text) == (second.id, "Sleeps well.")
    assert line.corrected_at is not None
    assert line.corrected_at > line.at
    papers.correct_note(nurse, patient_id, second.id, None, reason="another patient's")
    assert [each.by for each in papers.list_notes(nurse, patient_id).shown] == ["therapist-1"]
    with pytest.raises(NotFound):
        papers.correct_note(nurse, patient_id, "nothing", "x", reason="y")
    assert audit.verify(north, "north").faults == ()


def test_a_note_has_some_text_and_a_subject_of_the_patient(north: Store) -> None:
    patient_id = register(north)
    _, other = in_induction(north, name="Jonas Weber")
    nurse = desk(north, Role.NURSE)
    with pytest.raises(MissingValue):
        papers.add_note(nurse, patient_id, " \n")
    with pytest.raises(OutOfRange, match="20,001"):
        papers.add_note(nurse, patient_id, "x" * 20_001)
    for subject in (other, "nothing", "a\nb"):
        with pytest.raises(NotFound):
            papers.add_note(nurse, patient_id, TEXT, subject=subject)


def test_a_file_is_kept_listed_and_read_and_told(north: Store) -> None:
    patient_id, course_id = in_induction(north)
    session_id = care.book(north, course_id)
    coordinator, nurse = desk(north, Role.COORDINATOR), desk(north, Role.NURSE)
    added = papers.add_file(
        coordinator,
        patient_id,
        LETTER,
        name="C:\\Users\\doc\\Überweisung\n Berger.pdf",
        media_type="application/pdf",
        subject=session_id,
    )
    (line,) = papers.list_files(coordinator, patient_id).shown
    assert (line.id, line.name, line.size_bytes, line.by) == (
        added.id,
        "Überweisung Berger.pdf",
        len(LETTER),
        "coordinator-1",
    )
    assert (line.subject, line.media_type) == (session_id, "application/pdf")
    found = papers.read_file(nurse, patient_id, added.id).shown
    assert found.content == LETTER
    assert "Berger" not in repr(found) + repr(line)
    with north.read("north") as tx:
        events = [(each.action, each.detail.get("view")) for each in audit.who(tx, patient_id)]
    assert ("files.add", None) in events
    assert ("read", "files.read") in events
    with pytest.raises(NotPermitted):
        papers.read_file(coordinator, patient_id, added.id)


def test_a_file_of_another_type_size_or_patient_is_refused(north: Store) -> None:
    patient_id, other = register(north), register(north, "Jonas Weber")
    nurse = desk(north, Role.NURSE)
    with pytest.raises(InputError, match="of this type"):
        papers.add_file(nurse, patient_id, b"<html>", name="a.html", media_type="text/html")
    with pytest.raises(InputError, match="not of the type"):
        papers.add_file(nurse, patient_id, b"<html>", name="a.pdf", media_type="application/pdf")
    with pytest.raises(OutOfRange):
        papers.add_file(nurse, patient_id, LETTER + b"x" * 20_000_000, name="a.pdf", media_type="application/pdf")
    for name in ("", "...", "/tmp/"):
        with pytest.raises(MissingValue):
            papers.add_file(nurse, patient_id, LETTER, name=name, media_type="application/pdf")
    with pytest.raises(NotFound):
        papers.add_file(
            nurse,
            patient_id,
            LETTER,
            name="a.pdf",
            media_type="application/pdf",
            subject=in_induction(north, name="B")[1],
        )
    kept = papers.add_file(nurse, patient_id, LETTER, name="a.pdf", media_type="application/pdf").id
    for owner, file in ((other, kept), (patient_id, "nothing"), (patient_id, "a\nb")):
        with pytest.raises(NotFound):
            papers.read_file(nurse, owner, file)
    assert papers.list_files(nurse, other).shown == ()


def test_papers_of_a_closed_chart_are_closed_and_of_an_erased_patient_gone(north: Store) -> None:
    patient_id = register(north)
    nurse = desk(north, Role.NURSE)
    kept = papers.add_file(nurse, patient_id, LETTER, name="a.pdf", media_type="application/pdf").id
    papers.add_note(nurse, patient_id, TEXT)
    people.add_person(desk(north, Role.ADMINISTRATOR), "teresa", name="Teresa", roles=(Role.THERAPIST,))
    people.restrict_chart(desk(north, Role.COMPLIANCE), patient_id, team=("teresa",))
    for closed in (
        lambda: papers.list_notes(nurse, patient_id),
        lambda: papers.read_file(nurse, patient_id, kept),
        lambda: papers.add_note(nurse, patient_id, TEXT),
    ):
        with pytest.raises(NotPermitted):
            closed()
    people.restrict_chart(desk(north, Role.COMPLIANCE), patient_id, team=())
    later(north, 11 * 366 * 24 * 60)
    second = care.actor(north, Role.MEDICAL_DIRECTOR)
    patients.erase(desk(north, Role.COMPLIANCE), patient_id, reason="asked for", second=second)
    again = desk(north, Role.NURSE)
    assert papers.list_notes(again, patient_id).shown == ()
    assert papers.list_files(again, patient_id).shown[0].name is None
    assert papers.read_file(again, patient_id, kept).shown.content is None
    with pytest.raises(Conflict):
        papers.add_note(again, patient_id, TEXT)
