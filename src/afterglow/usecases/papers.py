"""Papers of a chart: notes that people write, and files that they add. Both are sealed with the patient's key."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime

from afterglow.clinic import Role, TreatmentCourse, TreatmentSession
from afterglow.errors import MissingValue, NotFound, NotPermitted, OutOfRange, echo
from afterglow.store import attachments, facts
from afterglow.store.attachments import Attachment, AttachmentLine
from afterglow.usecases.desk import use_case, view
from afterglow.usecases.work import CARE, Work, Written

LONGEST_NOTE = 20_000
"""Characters of a note; a longer text is a file."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ChartNote:
    """A note in a chart, as written; `by` stands by it and is the only one who corrects it."""

    text: str = field(repr=False)
    by: str


@dataclass(frozen=True, slots=True, kw_only=True)
class NoteLine:
    """A note as a chart shows it.

    Args:
        subject: the course or session that it is about; None for the patient.
        at: when it was written, or first written where it was corrected.
        corrected_at: when it was corrected last; None if it never was.
    """

    id: str
    subject: str | None
    at: datetime
    by: str
    text: str = field(repr=False)
    corrected_at: datetime | None = None


@use_case("notes.add", roles=CARE, adds=True)
def add_note(work: Work, patient_id: str, text: str, *, subject: str | None = None) -> Written:
    """A note about a patient, or about a course or session of the patient.

    Raises: NotFound; MissingValue for an empty text; OutOfRange for a longer one than 20,000 characters.
    """
    work.open_patient(patient_id)
    _check_subject(work, patient_id, subject)
    note = ChartNote(text=_checked(text), by=work.actor.person_id)
    fact_id = work.write(note, patient_id=patient_id, subject=subject)
    work.about(subject=fact_id)
    return Written(id=fact_id)


@use_case("notes.correct", roles=CARE)
def correct_note(work: Work, patient_id: str, note_id: str, text: str | None, *, reason: str) -> Written:
    """Write a note anew, or mark it as entered in error (None); what it said stays in the history.

    Raises: NotFound; NotPermitted for somebody else's; MissingValue without a reason; Conflict if it was corrected.
    """
    work.open_patient(patient_id)
    old = next((each for each in facts.history(work.tx, ChartNote, patient_id=patient_id) if each.id == note_id), None)
    if old is None or old.fact is None:
        raise NotFound("There is no such note", observed=echo(note_id))
    if old.fact.by != work.actor.person_id:
        raise NotPermitted("The note is somebody else's", next_step="Write a note of your own beside it")
    work.about(subject=note_id)
    if text is None:
        return Written(id=facts.mark_in_error(work.tx, note_id, reason=reason))
    note = ChartNote(text=_checked(text), by=work.actor.person_id)
    return Written(id=facts.supersede(work.tx, note_id, note, reason=reason))


@view("notes.list", roles=CARE)
def list_notes(work: Work, patient_id: str) -> tuple[NoteLine, ...]:
    """The notes of a patient that stand, newest first."""
    work.open_patient(patient_id)
    return note_lines(work, patient_id)


def note_lines(work: Work, patient_id: str) -> tuple[NoteLine, ...]:
    """The notes that stand, newest first, of a patient who is open already."""
    standing = facts.standing(work.tx, ChartNote, patient_id=patient_id)
    lines = [
        NoteLine(
            id=each.id,
            subject=each.subject,
            at=each.at,
            by=each.fact.by,
            text=each.fact.text,
            corrected_at=None if each.supersedes is None else each.recorded_at,
        )
        for each in standing
        if each.fact is not None
    ]
    return tuple(reversed(lines))


@use_case("files.add", roles=(*CARE, Role.COORDINATOR), adds=True)
def add_file(
    work: Work, patient_id: str, content: bytes, *, name: str, media_type: str, subject: str | None = None
) -> Written:
    """A file of a patient (PDF, PNG, JPEG or text), or of a course or session of the patient.

    Raises: NotFound; InputError for another type, or a content that is not of its type; OutOfRange if it is empty or
        too large; MissingValue without a name.
    """
    work.open_patient(patient_id)
    _check_subject(work, patient_id, subject)
    kept = _file_name(name)
    file_id = attachments.attach(
        work.tx, content, name=kept, media_type=media_type, patient_id=patient_id, subject=subject
    )
    work.about(subject=file_id, media_type=media_type, size_bytes=len(content))
    return Written(id=file_id)


@view("files.list", roles=(*CARE, Role.COORDINATOR))
def list_files(work: Work, patient_id: str) -> tuple[AttachmentLine, ...]:
    """A patient's files without their contents, newest first."""
    work.open_patient(patient_id)
    return tuple(reversed(attachments.listed(work.tx, patient_id)))


@view("files.read", roles=CARE)
def read_file(work: Work, patient_id: str, file_id: str) -> Attachment:
    """A file of a patient with its content.

    Raises: NotFound, also for a file of somebody else.
    """
    work.open_patient(patient_id)
    found = attachments.fetch(work.tx, file_id) if file_id.isprintable() else None
    if found is None or found.patient_id != patient_id:
        raise NotFound("There is no such file", observed=echo(file_id))
    return found


def _check_subject(work: Work, patient_id: str, subject: str | None) -> None:
    """Refuse a course or session of somebody else, or none at all.

    Raises: NotFound.
    """
    if subject is None:
        return
    session, course = work.find(TreatmentSession, subject), work.find(TreatmentCourse, subject)
    if patient_id not in {None if found is None else found.patient_id for found in (session, course)}:
        raise NotFound("The patient has no such course or session", observed=echo(subject))


def _checked(text: str) -> str:
    kept = text.replace("\r\n", "\n").strip()
    if not kept:
        raise MissingValue("The note is empty", about="text")
    if len(kept) > LONGEST_NOTE:
        raise OutOfRange(
            "The note is too long",
            observed=f"{len(kept):,} characters",
            allowed=f"{LONGEST_NOTE:,}",
            next_step="Add it as a file",
            about="text",
        )
    return kept


def _file_name(name: str) -> str:
    """The last part of a file's name, without what a screen or a disk might trip over."""
    last = name.replace("\\", "/").rpartition("/")[2]
    kept = "".join(each for each in last if each.isprintable()).strip().lstrip(".")
    if not kept:
        raise MissingValue("A file needs a name", about="name")
    return kept[-120:]
