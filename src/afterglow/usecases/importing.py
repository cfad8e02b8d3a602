"""A clinic's history, brought in from files: checked first, then all that can be trusted in one transaction."""

from __future__ import annotations

import csv
import os
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from hashlib import sha256
from pathlib import Path

from afterglow.clinic import Role
from afterglow.errors import AfterglowError, Conflict, NotFound, OutOfRange, UnwritableFile
from afterglow.protocol import RecordedScore, RecordedSession
from afterglow.protocol.history_file import HistoryRow, PastPatient, PastScore, PastSession
from afterglow.store import facts, patients
from afterglow.store.patients import Identifiers
from afterglow.store.sealing import normalised
from afterglow.usecases.desk import use_case, view
from afterglow.usecases.measures import SENT_TWICE_WITHIN
from afterglow.usecases.patients import check_born, same_person
from afterglow.usecases.work import Work

_PRIVATE = 0o600
Event = RecordedScore | RecordedSession


@dataclass(frozen=True, slots=True, kw_only=True)
class PastAnswers:
    """Answers of a form of long ago by item number; the instrument by name alone, as its records stay the same.

    Args:
        instrument: its short name.
        items: item number and answer, of the items that were answered.
    """

    instrument: str
    items: tuple[tuple[str, int], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Rejected:
    """A row that was not taken, and why."""

    row: HistoryRow
    why: AfterglowError


@dataclass(frozen=True, slots=True, kw_only=True)
class ImportReport:
    """What an import wrote or would write.

    Args:
        new: rows by what they are; known: rows that the records hold already, or that stand twice in the files.
        rejected: in order of file and line.
    """

    new: dict[str, int]
    known: dict[str, int]
    rejected: tuple[Rejected, ...]


@dataclass(slots=True, kw_only=True)
class _Chart:
    """A patient of the files: who it is, what the records hold, what is new."""

    person: Identifiers
    patient_id: str | None
    held: list[Event]
    new: list[PastScore | PastSession] = field(default_factory=list)


@dataclass(slots=True, kw_only=True)
class _Plan:
    charts: dict[str, _Chart] = field(default_factory=dict)
    met: dict[str, list[Identifiers]] = field(default_factory=dict)  # who is new, by name as it is searched for
    new: Counter[str] = field(default_factory=Counter)
    known: Counter[str] = field(default_factory=Counter)
    rejected: list[Rejected] = field(default_factory=list)

    def report(self) -> ImportReport:
        rejected = sorted(self.rejected, key=lambda each: (each.row.place.file, each.row.place.line or 0))
        return ImportReport(new=dict(self.new), known=dict(self.known), rejected=tuple(rejected))


@view("history.check", roles=(Role.SYSTEM,))
def check_history(work: Work, rows: Sequence[HistoryRow]) -> ImportReport:
    """What an import of these rows would write; nothing is written."""
    return _planned(work, rows).report()


@use_case("history.import", roles=(Role.SYSTEM,))
def import_history(work: Work, rows: Sequence[HistoryRow]) -> ImportReport:
    """Write every row that can be trusted and is not here yet, in one transaction; a second time writes nothing.

    Past scores raise no alerts: they are history when they come in.
    """
    plan = _planned(work, rows)
    for chart in plan.charts.values():
        _write(work, chart)
    work.about(new=plan.new.total(), known=plan.known.total(), rejected=len(plan.rejected))
    return plan.report()


def write_rejected(report: ImportReport, folder: Path, files: Iterable[str] = ()) -> tuple[Path, ...]:
    """The rejected rows, one file for each file they came from, readable by their owner alone.

    Of `files` without any, what an earlier import wrote is taken away: it would pass for this one's.

    Raises: UnwritableFile.
    """
    by_file: dict[str, list[Rejected]] = {}
    for each in report.rejected:
        by_file.setdefault(each.row.place.file, []).append(each)
    written = []
    for name in set(files) - by_file.keys():
        try:
            _rejected_file(folder, name).unlink(missing_ok=True)
        except OSError as fault:
            raise UnwritableFile("Old rejected rows cannot be removed", observed=str(fault.strerror).lower()) from None
    for name, found in by_file.items():
        path = _rejected_file(folder, name)
        try:
            with open(  # noqa: PTH123  a descriptor, made private from the start
                os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, _PRIVATE), "w", encoding="utf-8", newline=""
            ) as out:
                writer = csv.writer(out)
                writer.writerow(["line", "why", *found[0].row.header])
                writer.writerows([each.row.place.line, each.why.message, *each.row.raw] for each in found)
        except OSError as fault:
            raise UnwritableFile("The rejected rows cannot be written", observed=str(fault.strerror).lower()) from None
        written.append(path)
    return tuple(written)


def _rejected_file(folder: Path, name: str) -> Path:
    return folder / f"{Path(name).stem}.rejected.csv"


def _planned(work: Work, rows: Sequence[HistoryRow]) -> _Plan:
    plan = _Plan()
    disputed = _disputed(rows)
    for row in rows:
        if row.refused is not None:
            plan.rejected.append(Rejected(row=row, why=row.refused))
            continue
        try:
            if isinstance(row.said, PastPatient):
                fresh = _meet(work, plan, row.said)
            elif row.said is not None:
                if _when(row.said) in disputed:
                    raise _otherwise(_event(row.said))
                fresh = _add(work, plan, row.said)
        except AfterglowError as refused:
            plan.rejected.append(Rejected(row=row, why=refused))
        else:
            (plan.new if fresh else plan.known)[_word(row)] += 1
    return plan


def _when(said: PastScore | PastSession) -> tuple[str, str, datetime]:
    """Of whom a row speaks, of what, and when."""
    event = _event(said)
    return said.record_number, _what(event), event.at


def _disputed(rows: Sequence[HistoryRow]) -> set[tuple[str, str, datetime]]:
    """What rows of the files say differently: which of them is right is nobody's guess here."""
    first: dict[tuple[str, str, datetime], Event] = {}
    told = [row.said for row in rows if isinstance(row.said, PastScore | PastSession)]
    return {_when(said) for said in told if first.setdefault(_when(said), _event(said)) != _event(said)}


def _otherwise(event: Event) -> Conflict:
    return Conflict(
        "Another row says otherwise of the same time",
        observed=f"{_what(event)} at {event.at:%Y-%m-%d %H:%M} UTC",
        next_step="Find out which is right; correct a row that is in the records there",
    )


def _word(row: HistoryRow) -> str:
    words = {PastPatient: "patients", PastScore: "scores", PastSession: "sessions"}
    return words[type(row.said)]


def _meet(work: Work, plan: _Plan, person: PastPatient) -> bool:
    """Whether a patient is new.

    Raises: Conflict where somebody else has the record number; OutOfRange for a new one with what nobody has.
    """
    chart = _chart(work, plan, person.record_number)
    if chart is None:
        new = Identifiers(
            name=person.name,
            born_on=person.born_on,
            email=person.email,
            phone=person.phone,
            address=person.address,
            record_number=person.record_number,
        )
        patients.check_identifiers(new, work.now.date())
        _check_one_number(work, plan, person)
        plan.charts[person.record_number] = _Chart(person=new, patient_id=None, held=[])
        plan.met.setdefault(normalised(person.name), []).append(new)
        return True
    if not _may_be(person, chart.person):
        raise Conflict(
            "The record number belongs to a patient of another name or birth date",
            next_step="Correct the file, or the patient's identity in the records",
        )
    if others := [name for name in _CONTACT if _disagree(getattr(person, name), getattr(chart.person, name))]:
        raise Conflict(
            f"The patient is here already with another {' and '.join(others)}",
            next_step="Find out which is right; change it in the patient's identity, or correct the file",
        )
    return False


_CONTACT = ("born_on", "email", "phone", "address")


def _disagree(told: object, known: object) -> bool:
    """Whether a row tells what the records do not hold: it would be lost without a word."""
    return told is not None and (known is None or normalised(str(told)) != normalised(str(known)))


def _check_one_number(work: Work, plan: _Plan, person: PastPatient) -> None:
    """Refuse a person whom files or records know under another number: one person's course would be torn in two.

    Raises: Conflict.
    """
    known = same_person(work, person.name, person.born_on)
    if known or any(_may_be(person, each) for each in plan.met.get(normalised(person.name), [])):
        raise Conflict(
            "A patient of this name and birth date has another record number",
            observed=known[0] if known else None,
            next_step="Write the same number in every file; register another person of this name by hand, as a twin",
        )


def _may_be(person: PastPatient, other: Identifiers) -> bool:
    same_name = normalised(person.name) == normalised(other.name)
    return same_name and (person.born_on is None or other.born_on is None or person.born_on == other.born_on)


def _add(work: Work, plan: _Plan, said: PastScore | PastSession) -> bool:
    """Whether a score or session is new.

    Raises: NotFound without its patient; WrongOrder before the birth; Conflict where the records say otherwise.
    """
    chart = _chart(work, plan, said.record_number)
    if chart is None:
        raise NotFound("No patient has this record number", next_step="Bring in the patients, or correct the number")
    event: Event = said.score if isinstance(said, PastScore) else said.session
    check_born(chart.person.born_on, event.at)
    known = [*chart.held, *(_event(each) for each in chart.new)]
    if any(_same(event, each) for each in known):
        return False
    if any(_what(event) == _what(each) and event.at == each.at for each in known):
        raise _otherwise(event)
    chart.new.append(said)
    return True


def _chart(work: Work, plan: _Plan, record_number: str) -> _Chart | None:
    """A patient of the files or of the records; None for one that neither knows.

    Raises: Conflict where the records know several.
    """
    if record_number in plan.charts:
        return plan.charts[record_number]
    ids = patients.find_exact(work.tx, record_number=record_number)
    if not ids:
        return None
    if len(ids) > 1:
        raise Conflict("Several patients have this record number", observed=f"{len(ids)} patients")
    work.open_patient(ids[0])
    identity = patients.load(work.tx, ids[0]).identifiers
    if identity is None:  # pragma: no cover  an erased patient is in no index
        raise OutOfRange("The patient is erased")
    held: list[Event] = [*_ever(work, RecordedScore, ids[0]), *_ever(work, RecordedSession, ids[0])]
    plan.charts[record_number] = _Chart(person=identity, patient_id=ids[0], held=held)
    return plan.charts[record_number]


def _ever(work: Work, kind: type[Event], patient_id: str) -> Iterator[Event]:
    """What the records ever held, also what was corrected since: it does not come back."""
    return (each.fact for each in facts.history(work.tx, kind, patient_id=patient_id) if each.fact is not None)


def _event(said: PastScore | PastSession) -> Event:
    return said.score if isinstance(said, PastScore) else said.session


def _what(event: Event) -> str:
    return event.scale if isinstance(event, RecordedScore) else "session"


def _same(one: Event, other: Event) -> bool:
    """Whether two rows say the same; a form sent again within minutes counts as the same one."""
    if isinstance(one, RecordedScore) and abs(one.at - other.at) <= SENT_TWICE_WITHIN:
        return one == _at(other, one.at)
    return one == other


def _at(event: Event, at: datetime) -> Event:
    return replace(event, at=at)


def _write(work: Work, chart: _Chart) -> None:
    patient_id = chart.patient_id
    if patient_id is None:
        patient_id = patients.register(work.tx, chart.person)
    elif not chart.new:
        return
    for said in chart.new:
        event = _event(said)
        origin = _origin(patient_id, _what(event), event.at)
        facts.write(work.tx, event, at=event.at, patient_id=patient_id, origin=origin, new=True)
        if isinstance(said, PastScore) and said.answers is not None:
            answers = PastAnswers(instrument=_what(event), items=tuple(said.answers.items.items()))
            facts.write(work.tx, answers, at=event.at, patient_id=patient_id, subject=f"history/{_what(event)}")
    work.tx.event("history.imported", patient_id=patient_id, rows=len(chart.new))


def _origin(*parts: object) -> str:
    """What makes two imports at the same moment write a row once; it holds the patient's id and no more."""
    return "history/" + sha256("|".join(map(str, parts)).encode()).hexdigest()


def counted(counts: dict[str, int]) -> Iterable[str]:
    """Counts in words, for a report.

    >>> list(counted({"patients": 2, "scores": 10}))
    ['2 patients', '10 scores']
    """
    return (f"{number} {word}" for word, number in counts.items())
