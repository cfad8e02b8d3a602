"""A clinic's history as spreadsheets and forms export it: a mapping says which column is what, rows become records.

A row that cannot be trusted is rejected with its reason and never guessed at; the others do not wait for it.
"""

from __future__ import annotations

import csv
import io
import os
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, time
from enum import StrEnum
from pathlib import Path
from zoneinfo import ZoneInfo

from afterglow.errors import InputError, InvalidData, MalformedFile, MissingValue, OutOfRange, Place, UnknownName, echo
from afterglow.protocol.course import RecordedScore, RecordedSession, utc_from_local, zone_called
from afterglow.protocol.course_file import read_session_cells
from afterglow.protocol.source_text import read_text
from afterglow.quantities import parse_number
from afterglow.records import Record, parse_record
from afterglow.scales import ScaleAnswers, instrument, scale_answers, score
from afterglow.therapy.exposure import check_doses, check_given
from afterglow.therapy.regimen import Regimen

LARGEST_MB = 50
WEIGHTS_KG = (40.0, 150.0)
"""Our policy, as a history tells no weight: a dose is implausible if it is for both."""
NOON = time(12)
"""Assumption: the time of a score or session of which only the day is known, in the clinic's time zone."""


class RowKind(StrEnum):
    """What the rows of a file are."""

    PATIENTS = "patients"
    SCORES = "scores"
    SESSIONS = "sessions"


_FIELDS = {
    RowKind.PATIENTS: ("patient", "name", "born_on", "email", "phone", "address"),
    RowKind.SCORES: ("patient", "at", "scale", "total", "note"),
    RowKind.SESSIONS: ("patient", "at", "drug", "route", "dose", "infusion", "note"),
}
_NEEDED = {
    RowKind.PATIENTS: ("patient", "name"),
    RowKind.SCORES: ("patient", "at", "scale"),
    RowKind.SESSIONS: ("patient", "at", "drug", "route", "dose"),
}
_SEVERAL_LINES = ("address", "note")
_DECIMAL_COMMA = re.compile(r"(?<![\d.,])(\d+),(\d+)(?![\d.,])")


@dataclass(frozen=True, slots=True, kw_only=True)
class FileMapping:
    """How one file is read.

    Args:
        columns: the file's column for each field; `patient` is the patient's record number.
        fixed: fields that are the same in every row.
        items: the file's column for each item of the scale, for scores with answers.
        words: numbers that stand for written answers, as in "Not at all" for 0.
        dates: `strptime` formats; a date that two of them read differently is rejected.
    """

    kind: RowKind
    columns: Mapping[str, str]
    fixed: Mapping[str, str]
    items: Mapping[str, str]
    words: Mapping[str, int]
    dates: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class ImportMapping:
    """How the files of a clinic's history are read, by file name."""

    time_zone: ZoneInfo
    files: Mapping[str, FileMapping]


@dataclass(frozen=True, slots=True, kw_only=True)
class PastPatient:
    """A patient of a file; its text form shows nothing."""

    record_number: str
    name: str
    born_on: date | None
    email: str | None
    phone: str | None
    address: str | None

    def __repr__(self) -> str:
        return "PastPatient(...)"


@dataclass(frozen=True, slots=True, kw_only=True)
class PastScore:
    """A score of a patient of a file, with its answers where the file has them."""

    record_number: str
    score: RecordedScore
    answers: ScaleAnswers | None


@dataclass(frozen=True, slots=True, kw_only=True)
class PastSession:
    """A session of a patient of a file."""

    record_number: str
    session: RecordedSession


@dataclass(frozen=True, slots=True, kw_only=True)
class HistoryRow:
    """One row: what it says, or why it was rejected.

    Args:
        place: the line where it begins.
        header, raw: the file's own names and this row's cells, as many as there are, for the list of rejected rows.
        said: also of a session whose dose is refused as implausible: other rows may speak of the same one.
    """

    place: Place
    said: PastPatient | PastScore | PastSession | None
    refused: InputError | None = None
    header: tuple[str, ...] = ()
    raw: tuple[str, ...] = ()

    def __repr__(self) -> str:
        return f"HistoryRow({self.place})"


def read_mapping(path: str | os.PathLike[str]) -> ImportMapping:
    """The mapping of a YAML file.

    Raises: UnreadableFile; MalformedFile, UnknownName or MissingValue for a mapping that is not whole.
    """
    return parse_mapping(read_text(path, largest_mb=1), file=os.fspath(path))


def parse_mapping(text: str, *, file: str = "mapping") -> ImportMapping:
    """The mapping of a YAML text.

    >>> mapping = parse_mapping('''
    ... time_zone: Europe/Zurich
    ... files:
    ...   phq.csv:
    ...     {kind: scores, columns: {patient: MRN, at: When, total: Sum}, fixed: {scale: PHQ-9}, dates: ["%d.%m.%Y"]}
    ... ''')
    >>> mapping.files["phq.csv"].kind
    <RowKind.SCORES: 'scores'>
    """
    try:
        record = parse_record(text, file=file)
        zone = zone_called(record.text("time_zone"))
        files = {name: _file_mapping(each) for name, each in record.mapping("files").items()}
        return record.close(ImportMapping(time_zone=zone, files=files))
    except InvalidData as fault:
        raise MalformedFile(
            "The mapping is refused",
            observed=fault.message.removesuffix("."),
            next_step="See docs/how-to/import-history.md",
        ) from None
    except InputError as fault:
        raise fault.at(Place(file=file)) from None


def read_history(mapping: ImportMapping, paths: Sequence[Path], *, now: datetime) -> tuple[HistoryRow, ...]:
    """Every row of the files, patients first.

    What lies after `now` (aware UTC) is rejected.

    Raises: UnreadableFile, MalformedFile for a file that is no table; UnknownName for one that the mapping lacks.
    """
    rows: list[HistoryRow] = []
    for path in paths:
        if path.name not in mapping.files:
            raise UnknownName(
                "The mapping has no such file", observed=echo(path.name), allowed=", ".join(mapping.files)
            )
        rows += _read_file(path, mapping.files[path.name], mapping.time_zone, now)
    return tuple(sorted(rows, key=lambda row: not isinstance(row.said, PastPatient)))


def _file_mapping(record: Record) -> FileMapping:
    made = FileMapping(
        kind=record.word("kind", RowKind),
        columns=record.table("columns", str, str),
        fixed=record.table("fixed", str, str),
        items=record.table("items", str, str),
        words={word.casefold(): number for word, number in record.table("words", str, int).items()},
        dates=record.texts("dates"),
    )
    given = {*made.columns, *made.fixed}
    if unknown := given - set(_FIELDS[made.kind]):
        raise record.fault("has an unknown field", observed=sorted(unknown), allowed=", ".join(_FIELDS[made.kind]))
    if missing := set(_NEEDED[made.kind]) - given:
        raise record.fault("lacks a field", observed=sorted(missing))
    if made.kind is RowKind.SCORES and not made.items and "total" not in given:
        raise record.fault("has neither items nor a total")
    if not made.dates and given & {"at", "born_on"}:
        raise record.fault("lacks the formats of its dates", key="dates")
    return record.close(made)


def _read_file(path: Path, mapping: FileMapping, zone: ZoneInfo, now: datetime) -> Iterator[HistoryRow]:
    text = read_text(path, largest_mb=LARGEST_MB)
    head = text.partition("\n")[0]
    delimiter = max(",;\t", key=head.count)
    reader = csv.reader(io.StringIO(text), delimiter=delimiter, strict=True)
    place = Place(file=path.name, line=1)
    try:
        names = [name.strip() for name in next(reader, [])]
        wanted = {*mapping.columns.values(), *mapping.items.values()}
        if absent := sorted(wanted - set(names)):
            raise MalformedFile(
                f"The file lacks the columns {', '.join(absent)}",
                observed=", ".join(filter(None, names)) or "no header",
                next_step="Correct the mapping, or the first line of the file",
                place=place,
            )
        if twice := sorted({name for name in names if name and names.count(name) > 1}):
            raise MalformedFile(
                "Two columns have the same name",
                observed=", ".join(twice),
                next_step="Give each its own name; nothing of the files was taken",
                place=place,
            )
        place = Place(file=path.name, line=reader.line_num + 1)
        for found in reader:
            if found:
                shape = _misshapen(found, names, mapping, delimiter)
                cells = dict(zip(names, (*found, *[""] * len(names)), strict=False))
                yield replace(_read_row(cells, mapping, zone, now, place, shape), header=tuple(names), raw=tuple(found))
            place = Place(file=path.name, line=reader.line_num + 1)
    except csv.Error as fault:
        raise MalformedFile(
            "The row that begins here is not CSV",
            observed=str(fault),
            next_step="Look for a quote that is never closed; nothing of the files was taken",
            place=place,
        ) from None


def _misshapen(found: Sequence[str], names: Sequence[str], mapping: FileMapping, delimiter: str) -> InputError | None:
    """Why a row is none of this table: too many or few cells, or a quote left open, which swallows the next rows."""
    allowed = {mapping.columns[field] for field in _SEVERAL_LINES if field in mapping.columns}
    mapped = {*mapping.columns.values(), *mapping.items.values()} - allowed
    for number, cell in enumerate(found):
        name = names[number] if number < len(names) else ""
        more = cell.strip().split("\n")[1:]
        if more and (name in mapped or any(line.count(delimiter) >= len(names) - 1 for line in more)):
            return MalformedFile(
                f"The cell of column {echo(name)} goes over several lines",
                observed=f"{len(more) + 1} lines",
                allowed="one line, or text without whole rows in a note or an address",
                next_step="Close the quote that was left open; the rows that follow it in this cell were not read",
            )
    if len(found) != len(names):
        word = "more" if len(found) > len(names) else "fewer"
        return MalformedFile(
            f"The row has {word} cells than the header", observed=f"{len(found)} cells", allowed=f"{len(names)} cells"
        )
    return None


def _read_row(
    cells: dict[str, str],
    mapping: FileMapping,
    zone: ZoneInfo,
    now: datetime,
    place: Place,
    shape: InputError | None,
) -> HistoryRow:
    fields = dict(mapping.fixed) | {field: cells[column].strip() for field, column in mapping.columns.items()}
    read = _READERS[mapping.kind]
    try:
        if shape is not None:
            raise shape
        for name in _NEEDED[mapping.kind]:
            if not fields[name]:
                raise MissingValue(f"{name} is empty")
        said = read(fields, cells, mapping, zone, now)
    except InputError as fault:
        return HistoryRow(place=place, said=None, refused=fault)
    refused = _implausible(said, fields["dose"]) if isinstance(said, PastSession) else None
    return HistoryRow(place=place, said=said, refused=refused)


def _implausible(said: PastSession, dose: str) -> InputError | None:
    """Why nobody was given this: beyond the guardrails of drug and route, or next to nothing, whatever the weight."""
    given = said.session.administration(said.session.at)
    per_kg = "/kg" in dose or "/lb" in dose
    light, heavy = WEIGHTS_KG
    weight_kg = light if per_kg else heavy
    try:
        check_doses(Regimen((given,)), weight_kg=weight_kg)
        weight_kg = heavy if per_kg else light
        check_given(given, weight_kg=weight_kg)
    except OutOfRange as fault:
        return OutOfRange(
            fault.refused,
            observed=f"{echo(dose)}; {fault.observed} in a body of {weight_kg:g} kg",
            allowed=fault.allowed,
            next_step="Correct it from the paper, also its unit; of a heavier patient write the dose in mg/kg",
        )
    return None


def _patient(
    fields: Mapping[str, str], cells: Mapping[str, str], mapping: FileMapping, zone: ZoneInfo, now: datetime
) -> PastPatient:
    del cells, zone, now
    born_on = None
    if fields.get("born_on"):
        born_on = _moment(fields["born_on"], mapping.dates, what="born_on").date()
    more = {name: fields.get(name) or None for name in ("email", "phone", "address")}
    return PastPatient(record_number=fields["patient"], name=fields["name"], born_on=born_on, **more)


def _score(
    fields: Mapping[str, str], cells: Mapping[str, str], mapping: FileMapping, zone: ZoneInfo, now: datetime
) -> PastScore:
    scale = instrument(fields["scale"])
    answered = {number: cells[column].strip() for number, column in mapping.items.items()}
    answers, total = None, None
    if any(answered.values()):
        answers = scale_answers(scale, {number: _answer(text, mapping.words) for number, text in answered.items()})
        scored = score(answers)
        total = scored.total
        if total is None:
            raise MissingValue(
                "The form is incomplete, so it has no score",
                observed=f"no answer to {', '.join(scored.missing)}",
                next_step="Complete it from the paper, or leave it out",
            )
    if fields.get("total"):
        told = parse_number(_decimal(fields["total"], what="total"), what="total")
        if total is not None and told != total:
            raise OutOfRange(
                "The total disagrees with the answers", observed=f"{told:g}", allowed=f"{total:g}, what they add up to"
            )
        total = told
    if total is None:
        raise MissingValue("The row has neither answers nor a total")
    at = _at(fields["at"], mapping.dates, zone, now)
    recorded = RecordedScore(at=at, scale=scale.short_name, points=float(total), note=fields.get("note", ""))
    return PastScore(record_number=fields["patient"], score=recorded, answers=answers)


def _session(
    fields: Mapping[str, str], cells: Mapping[str, str], mapping: FileMapping, zone: ZoneInfo, now: datetime
) -> PastSession:
    del cells
    at = _at(fields["at"], mapping.dates, zone, now)
    session = read_session_cells(
        at=at,
        drug=fields["drug"],
        route=fields["route"],
        dose=_decimal(fields["dose"], what="dose"),
        infusion=_decimal(fields.get("infusion", ""), what="infusion"),
        note=fields.get("note", ""),
    )
    return PastSession(record_number=fields["patient"], session=session)


def _decimal(text: str, *, what: str) -> str:
    """Numbers with a decimal comma as they are written with a point.

    Raises: InputError for one that may be thousands, as 1,000.

    >>> _decimal("40,5 mg", what="dose"), _decimal("0,125 mg/kg", what="dose")
    ('40.5 mg', '0.125 mg/kg')
    """
    for whole, rest in _DECIMAL_COMMA.findall(text):
        if len(rest) == 3 and int(whole):  # as a group of thousands has them
            raise InputError(
                f"{what} may be a decimal or thousands",
                observed=echo(text),
                allowed=f"{whole}.{rest} or {whole}{rest}",
                next_step="Write it without the comma",
            )
    return _DECIMAL_COMMA.sub(r"\1.\2", text)


def _answer(text: str, words: Mapping[str, int]) -> int | None:
    if not text:
        return None
    known = words.get(text.casefold())
    if known is not None:
        return known
    try:
        number = parse_number(text, what="an answer")
    except InputError:
        raise InputError(
            "An answer cannot be read",
            observed=echo(text),
            allowed=f"a whole number, or one of the mapping's words: {', '.join(words)}" if words else "a whole number",
            next_step="Put the word into `words` of the mapping, or correct the cell",
        ) from None
    if number != int(number):
        raise OutOfRange("An answer is a whole number", observed=echo(text))
    return int(number)


def _at(text: str, formats: Sequence[str], zone: ZoneInfo, now: datetime) -> datetime:
    local = _moment(text, formats, what="at")
    at = local.astimezone(UTC) if local.tzinfo is not None else utc_from_local(local, zone)
    if at > now:
        raise OutOfRange("The row lies in the future", observed=f"{at:%Y-%m-%d}", allowed=f"up to {now:%Y-%m-%d}")
    return at


def _moment(text: str, formats: Sequence[str], *, what: str) -> datetime:
    """The one moment that the formats read; noon where they hold a day alone."""
    found = set()
    for each in formats:
        try:
            read = datetime.strptime(text, each)  # noqa: DTZ007  the caller gives it its zone
        except ValueError:
            continue
        timed = any(code in each for code in ("%H", "%I", "%X", "%c", "%T"))
        found.add(read if timed else datetime.combine(read.date(), NOON))
    if len(found) != 1:
        raise InputError(
            f"{what} {'may be one of several dates' if found else 'cannot be read'}",
            observed=echo(text),
            allowed=", ".join(formats),
            next_step="Write the date as the mapping says"
            if not found
            else "Leave one of these formats to the mapping",
        )
    return found.pop()


_READERS: Mapping[RowKind, Callable[..., PastPatient | PastScore | PastSession]] = {
    RowKind.PATIENTS: _patient,
    RowKind.SCORES: _score,
    RowKind.SESSIONS: _session,
}
