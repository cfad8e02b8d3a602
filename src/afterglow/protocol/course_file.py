"""The course file (CSV): its columns and rows, and reading and writing it."""

from __future__ import annotations

import csv
import io
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

from afterglow.errors import InputError, MalformedFile, MissingValue, Place, UnknownName, WrongOrder, echo
from afterglow.protocol.course import (
    CourseRecord,
    RecordedEvent,
    RecordedScore,
    RecordedSession,
    utc_from_local,
    zone_called,
)
from afterglow.protocol.kinds import (
    DOSE,
    DURATION,
    RATE,
    Key,
    exact,
    number,
    plain,
    weight_with_unit,
    words,
    write_dose,
    write_percent,
    write_section,
)
from afterglow.protocol.nodes import Node
from afterglow.protocol.source_text import clean_text, read_text
from afterglow.protocol.treatment import Infusion
from afterglow.protocol.trial_file import HEAVIEST_KG, INFUSION, OLDEST_YEARS
from afterglow.quantities import DrugForm, parse_number, parse_percent
from afterglow.scales import instrument
from afterglow.therapy.regimen import InfusionStep, Route
from afterglow.therapy.setting import Condition

LARGEST_MB = 10
COLUMNS = ("when", "what", "value", "note")
SESSION_EXAMPLES = (
    "racemic_ketamine iv 0.5 mg/kg 40 min",
    "esketamine intranasal 84 mg",
    "racemic_ketamine iv 0.1 mg/kg/h for 2 h then 0.2 mg/kg/h for 3 h",
)
SETTING_KEYS = (
    Key(name="condition", kind=words(Condition), meaning="what is treated"),
    Key(name="weight", kind=weight_with_unit(1.0, HEAVIEST_KG), meaning="body weight", field="weight_kg"),
    Key(name="age", kind=number(0.0, OLDEST_YEARS, "years"), meaning="age", field="age_years"),
    Key(
        name="timezone",
        kind=plain("IANA name, as in `Europe/Zurich`", lambda text, _: zone_called(text.strip()).key, str),
        meaning="of times written without an offset from UTC",
    ),
)

_DELIMITERS = ",;\t"
_SESSION = "session"
_OF_BASELINE = "of baseline"
_TIME = re.compile(r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d(:\d\d(\.\d{1,6})?)?(Z|[+-]\d\d:\d\d)?", re.ASCII)
_DOSE_THEN_INFUSION = re.compile(r"([+-]?[\d.]+(?:[eE][+-]?\d+)?\s*[^\s\d]\S*)(?:\s+(\S.*))?", re.ASCII | re.DOTALL)
_TIME_EXAMPLES = "2026-03-02T09:00 with a timezone row, or 2026-03-02T09:00+01:00"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Row:
    place: Place
    when: str
    what: str
    value: str
    note: str

    @property
    def node(self) -> Node:
        return Node(place=self.place, path=self.what, value=self.value)


def read_course(path: str | os.PathLike[str]) -> CourseRecord:
    r"""The course in a CSV file of up to 10 MB.

    Raises: InputError with file and line for anything that is not a valid course.

    >>> from pathlib import Path
    >>> from tempfile import TemporaryDirectory
    >>> with TemporaryDirectory() as folder:
    ...     file = Path(folder, "course.csv")
    ...     _ = file.write_text("when,what,value,note\n,timezone,UTC,\n2026-03-02T09:00,PHQ-9,21,\n")
    ...     len(read_course(file).events)
    1
    """
    return _parse(read_text(path, largest_mb=LARGEST_MB), file=os.fspath(path))


def parse_course(text: str, *, file: str = "course") -> CourseRecord:
    r"""The course in a CSV text; `file` names it in errors.

    Raises: InputError with file and line for anything that is not a valid course.

    >>> course = parse_course("when,what,value,note\n2026-03-02T09:00Z,PHQ-9,21,\n2026-03-03T09:00Z,PHQ-9,12,\n")
    >>> [score.points for score in course.scores]
    [21.0, 12.0]
    """
    return _parse(clean_text(text, file=file), file=file)


def read_time(text: str, zone: ZoneInfo | None, *, what: str) -> datetime:
    """UTC of a time as a course file writes it; `zone` is the course's, for a time without an offset from UTC.

    Raises: InputError that begins with `what`.

    >>> read_time("2026-03-02T09:00", ZoneInfo("Europe/Zurich"), what="when").isoformat()
    '2026-03-02T08:00:00+00:00'
    """
    try:
        at = datetime.fromisoformat(text) if _TIME.fullmatch(text) else None
    except ValueError:  # the pattern fits, the calendar does not
        at = None
    if at is None:
        raise InputError(f"{what} cannot be read", observed=echo(text), allowed=_TIME_EXAMPLES)
    if at.tzinfo is not None:
        return at.astimezone(UTC)
    if zone is None:
        raise MissingValue(
            "The time has neither an offset nor a timezone row",
            observed=text,
            next_step="Add a row such as ,timezone,Europe/Zurich, or write 2026-03-02T09:00+01:00",
        )
    return utc_from_local(at, zone)


def read_session(text: str, *, at: datetime, note: str = "") -> RecordedSession:
    """A session as a course file writes it.

    Raises: InputError.

    >>> read_session("esketamine intranasal 84 mg", at=datetime(2026, 3, 2, tzinfo=UTC)).route
    <Route.INTRANASAL: 'intranasal'>
    """
    return _read_session(_Row(place=Place(file="session"), when="", what=_SESSION, value=text, note=note), at)


def read_session_cells(
    *, at: datetime, drug: str, route: str, dose: str, infusion: str = "", note: str = ""
) -> RecordedSession:
    """A session whose parts stand in cells of their own, so that an error names the part.

    Raises: InputError, also for steps of an infusion with a length beside them.

    >>> at = datetime(2026, 3, 2, tzinfo=UTC)
    >>> read_session_cells(at=at, drug="esketamine", route="intranasal", dose="84 mg").dose
    Dose(mg=84.0, mg_per_kg=None)
    """
    if infusion and " for " in dose:
        raise InputError("The dose says its own length", observed=echo(infusion), next_step="Leave infusion empty")
    row = _Row(place=Place(file="session"), when="", what=_SESSION, value="", note=note)
    return _session_of(row, at, drug=drug, route=route, dose=dose, infusion=infusion)


def write_course(course: CourseRecord) -> str:
    r"""The course as CSV: local times where the course has a time zone, UTC otherwise and where the clocks change.

    >>> print(write_course(parse_course("when,what,value,note\n2026-03-02T09:00+01:00,MADRS,31,\n")), end="")
    when,what,value,note
    2026-03-02T08:00+00:00,MADRS,31,
    """
    zone = None if course.timezone is None else zone_called(course.timezone)
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(COLUMNS)
    writer.writerows(("", name, text, "") for name, text in write_section(SETTING_KEYS, course))
    for event in course.events:
        what, value = _written(event)
        writer.writerow((_write_time(event.at, zone), what, value, event.note))
    return out.getvalue()


def _parse(text: str, *, file: str) -> CourseRecord:
    settings: dict[str, _Row] = {}
    timed: list[_Row] = []
    for row in _rows(text, file):
        if row.when:
            timed.append(row)
        else:
            _check_setting(row, settings)
            settings[row.what] = row
    known = {key.target: key.kind.read(settings[key.name].node) for key in SETTING_KEYS if key.name in settings}
    zone = zone_called(known["timezone"]) if "timezone" in known else None
    events = tuple(_event(row, zone) for row in timed)
    try:
        return CourseRecord(events=events, **known)
    except InputError as fault:
        places = {f"events.{number}": row.place for number, row in enumerate(timed)}
        raise fault.at(places.get(fault.about or "", Place(file=file))) from None


def _rows(text: str, file: str) -> Iterator[_Row]:
    header, _, body = text.partition("\n")
    names = header.replace('"', "").lower()
    delimiter = next((d for d in _DELIMITERS if tuple(name.strip() for name in names.split(d)) == COLUMNS), None)
    if delimiter is None:
        raise MalformedFile(
            "The first line is not the header of a course" if text.strip() else "The file is empty",
            observed=echo(header),
            allowed=",".join(COLUMNS),
            next_step="Begin the file with this line; semicolons or tabs may stand for the commas",
            place=Place(file=file, line=1),
        )
    reader = csv.reader(io.StringIO(body), delimiter=delimiter, strict=True)
    place = Place(file=file, line=2)
    try:
        for cells in reader:
            if any(cell.strip() for cell in cells):
                yield _row(cells, place)
            place = Place(file=file, line=reader.line_num + 2)  # a quoted note may span lines: a row begins here
    except csv.Error as fault:
        raise MalformedFile(
            "The row is not CSV", observed=str(fault), next_step="Check the quotes of this row", place=place
        ) from None


def _row(cells: list[str], place: Place) -> _Row:
    if len(cells) != len(COLUMNS):
        raise MalformedFile(
            "The row has the wrong number of cells",
            observed=f"{len(cells)}",
            allowed=f"{len(COLUMNS)}: {', '.join(COLUMNS)}",
            next_step="Put text that holds a comma in quotes; end a row without a note with a comma",
            place=place,
        )
    when, what, value = (cell.strip() for cell in cells[:3])
    if not what:
        raise MissingValue(
            "what is empty", allowed=f"a scale, {_SESSION}, {', '.join(key.name for key in SETTING_KEYS)}", place=place
        )
    if when and any(what == key.name for key in SETTING_KEYS):
        raise MalformedFile(
            f"{what} holds for the whole course and takes no time",
            observed=echo(when),
            next_step="Leave the first cell empty",
            place=place,
        )
    return _Row(place=place, when=when, what=what, value=value, note=cells[3])


def _check_setting(row: _Row, settings: dict[str, _Row]) -> None:
    names = [key.name for key in SETTING_KEYS]
    if row.what not in names:
        raise MissingValue(
            "The row has no time",
            observed=echo(row.what),
            allowed=f"rows without a time: {', '.join(names)}",
            next_step=f"Give the time of the score or session: {_TIME_EXAMPLES}",
            place=row.place,
        )
    if row.what in settings:
        raise WrongOrder(
            f"{row.what} is given twice",
            observed=f"first on line {settings[row.what].place.line}",
            next_step="Keep one of the two rows",
            place=row.place,
        )
    if row.note.strip():
        raise MalformedFile(
            f"The note of {row.what} would be lost",
            allowed="notes on rows with a time",
            next_step="Move the note to a row with a time, or remove it",
            place=row.place,
        )


def _event(row: _Row, zone: ZoneInfo | None) -> RecordedEvent:
    try:
        at = read_time(row.when, zone, what="when")
        if row.what == _SESSION:
            return _read_session(row, at)
        return _read_score(row, at)
    except InputError as fault:
        raise fault.at(row.place) from None


def _write_time(at: datetime, zone: ZoneInfo | None) -> str:
    if zone is not None:
        local = at.astimezone(zone).replace(tzinfo=None)
        try:
            utc_from_local(local, zone)
        except InputError:  # the hour that the clocks show twice
            return _iso(at)
        return _iso(local)
    return _iso(at)


def _iso(at: datetime) -> str:
    return at.isoformat(timespec="auto" if at.second or at.microsecond else "minutes")


def _read_score(row: _Row, at: datetime) -> RecordedScore:
    try:
        scale = instrument(row.what).short_name
    except UnknownName as fault:
        raise UnknownName(
            "No scale has this name", observed=echo(row.what), allowed=f"{_SESSION}, {fault.allowed}"
        ) from None
    text = row.node.text()
    if text.endswith(_OF_BASELINE):
        fraction = parse_percent(text.removesuffix(_OF_BASELINE), what=scale)
        return RecordedScore(at=at, scale=scale, fraction_of_baseline=fraction, note=row.note, place=row.place)
    return RecordedScore(at=at, scale=scale, points=parse_number(text, what=scale), note=row.note, place=row.place)


def _read_session(row: _Row, at: datetime) -> RecordedSession:
    drug, route, given = (*row.node.text().split(maxsplit=2), "", "", "")[:3]
    if " for " in given:
        return _session_of(row, at, drug=drug, route=route, dose=given, infusion="")
    amount = _DOSE_THEN_INFUSION.fullmatch(given)
    if amount is None:
        raise MissingValue(
            "A session needs drug, route and dose", observed=echo(row.value), allowed="; ".join(SESSION_EXAMPLES)
        )
    return _session_of(row, at, drug=drug, route=route, dose=amount[1], infusion=amount[2] or "")


def _session_of(row: _Row, at: datetime, *, drug: str, route: str, dose: str, infusion: str) -> RecordedSession:
    given: Infusion = None
    if " for " in dose:
        given = tuple(_read_step(row, step) for step in dose.split(" then "))
    elif infusion:
        given = INFUSION.read(_part(row, "infusion", infusion))
    return RecordedSession(
        at=at,
        drug=words(DrugForm).read(_part(row, "drug", drug)),
        route=words(Route).read(_part(row, "route", route)),
        dose=None if isinstance(given, tuple) else DOSE.read(_part(row, "dose", dose)),
        infusion=given,
        note=row.note,
        place=row.place,
    )


def _read_step(row: _Row, text: str) -> InfusionStep:
    rate, _, duration = text.partition(" for ")
    return InfusionStep(
        rate=RATE.read(_part(row, "rate", rate)), duration_h=DURATION.read(_part(row, "duration", duration))
    )


def _part(row: _Row, path: str, text: str) -> Node:
    return Node(place=row.place, path=path, value=text)


def _written(event: RecordedEvent) -> tuple[str, str]:
    if isinstance(event, RecordedSession):
        return _SESSION, _write_session(event)
    if event.points is not None:
        return event.scale, exact(event.points)
    return event.scale, f"{write_percent(event.fraction_of_baseline or 0.0)} {_OF_BASELINE}"


def _write_session(session: RecordedSession) -> str:
    parts = [str(session.drug), str(session.route)]
    if session.dose is not None:
        parts.append(write_dose(session.dose))
    if isinstance(session.infusion, tuple):
        steps = (f"{RATE.write(step.rate)} for {DURATION.write(step.duration_h)}" for step in session.infusion)
        parts.append(" then ".join(steps))
    elif session.infusion is not None:
        parts.append(INFUSION.write(session.infusion))
    return " ".join(parts)
