"""Rows of a clinic's history: what is taken, and what is rejected with which reason."""

from __future__ import annotations

from datetime import UTC, date, datetime
from pathlib import Path

import pytest

from afterglow.errors import InputError, MalformedFile, UnknownName
from afterglow.protocol.course_file import read_session
from afterglow.protocol.history_file import (
    HistoryRow,
    PastPatient,
    PastScore,
    PastSession,
    parse_mapping,
    read_history,
    read_mapping,
)

NOW = datetime(2026, 3, 2, 9, tzinfo=UTC)
MAPPING = """
time_zone: Europe/Zurich
files:
  patients.csv:
    kind: patients
    columns: {patient: MRN, name: Name, born_on: DOB}
    dates: ["%d.%m.%Y", "%m/%d/%Y", "%d/%m/%Y"]
  gad.csv:
    kind: scores
    columns: {patient: MRN, at: When, total: Sum}
    fixed: {scale: GAD-7}
    items: {"1": Q1, "2": Q2, "3": Q3, "4": Q4, "5": Q5, "6": Q6, "7": Q7}
    words: {"Not at all": 0, "Several days": 1}
    dates: ["%Y-%m-%d %H:%M", "%Y-%m-%d", "%Y-%m-%dT%H:%M%z"]
  sessions.csv:
    kind: sessions
    columns: {patient: MRN, at: When, dose: Dose, infusion: Over}
    fixed: {drug: racemic_ketamine, route: iv}
    dates: ["%Y-%m-%d %H:%M"]
"""


def rows(folder: Path, name: str, text: str) -> tuple[HistoryRow, ...]:
    (folder / name).write_text(text, encoding="utf-8")
    return read_history(parse_mapping(MAPPING), [folder / name], now=NOW)


@pytest.mark.parametrize(
    ("cells", "born_on", "refused"),
    [
        ("7;Ann;02.03.1980", date(1980, 3, 2), ""),
        ("7;Ann;", None, ""),
        ("7;Ann;03/04/1980", None, "may be one of several dates"),
        ("7;Ann;04/04/1980", date(1980, 4, 4), ""),
        ("7;Ann;13/04/1980", date(1980, 4, 13), ""),
        ("7;Ann;1980", None, "cannot be read"),
        ("7;Ann;02.03.2026", date(2026, 3, 2), ""),
        ("7;Ann;02.03.1905", date(1905, 3, 2), ""),  # whether it can be is asked where today is known
        (";Ann;02.03.1980", None, "patient is empty"),
        ("7;Ann;02.03.1980;more", None, "more cells"),
        ("7;Ann", None, "fewer cells"),
    ],
)
def test_patients(tmp_path: Path, cells: str, born_on: date | None, refused: str) -> None:
    (row,) = rows(tmp_path, "patients.csv", f"MRN;Name;DOB\n{cells}\n")
    assert "Ann" not in repr(row) + repr(row.said)
    if refused:
        assert row.said is None
        assert row.refused is not None
        assert refused in row.refused.refused
        return
    assert isinstance(row.said, PastPatient)
    assert (row.said.record_number, row.said.born_on) == ("7", born_on)


@pytest.mark.parametrize(
    ("cells", "points", "refused"),
    [
        ("2026-01-05 09:30,1,1,1,1,1,1,1,7", 1 * 7, ""),
        ("2026-01-05 09:30,Several days,not at all,1,1,1,1,1,", 1 + 0 + 5, ""),
        ("2026-01-05 09:30,,,,,,,,9", 9, ""),
        ("2026-01-05 09:30,,,,,,,,", None, "neither answers nor a total"),
        ("2026-01-05 09:30,1,1,1,1,1,1,,6", None, "incomplete"),
        ("2026-01-05 09:30,1,1,1,1,1,1,1,8", None, "disagrees"),
        ("2026-01-05 09:30,1.5,1,1,1,1,1,1,", None, "whole number"),
        ("2026-01-05 09:30,4,1,1,1,1,1,1,", None, "answer is refused"),
        ("2026-01-05 09:30,,,,,,,,22", None, "GAD-7"),
        ("2026-03-02 10:00,,,,,,,,9", 9, ""),
        ("2026-03-02 10:01,,,,,,,,9", None, "in the future"),
    ],
)
def test_scores(tmp_path: Path, cells: str, points: float | None, refused: str) -> None:
    (row,) = rows(tmp_path, "gad.csv", f"MRN,When,Q1,Q2,Q3,Q4,Q5,Q6,Q7,Sum\n7,{cells}\n")
    if refused:
        assert row.refused is not None
        assert refused in row.refused.refused
        return
    assert isinstance(row.said, PastScore)
    assert row.said.score.points == points
    assert (row.said.answers is None) == cells[16:].startswith(",,")


@pytest.mark.parametrize(
    ("when", "at"),
    [
        ("2026-01-05 09:30", datetime(2026, 1, 5, 8, 30, tzinfo=UTC)),  # winter in Zurich: an hour before UTC
        ("2026-01-05", datetime(2026, 1, 5, 11, tzinfo=UTC)),  # noon
        ("2026-01-05T09:30+0000", datetime(2026, 1, 5, 9, 30, tzinfo=UTC)),
    ],
)
def test_times(tmp_path: Path, when: str, at: datetime) -> None:
    (row,) = rows(tmp_path, "gad.csv", f"MRN,When,Q1,Q2,Q3,Q4,Q5,Q6,Q7,Sum\n7,{when},,,,,,,,9\n")
    assert isinstance(row.said, PastScore)
    assert row.said.score.at == at


def test_sessions(tmp_path: Path) -> None:
    good, bad = rows(
        tmp_path,
        "sessions.csv",
        "MRN\tWhen\tDose\tOver\n7\t2026-01-05 09:30\t40 mg\t40 min\n7\t2026-01-05 09:30\tx\t\n",
    )
    assert isinstance(good.said, PastSession)
    assert good.said.session == read_session("racemic_ketamine iv 40 mg 40 min", at=good.said.session.at)
    assert bad.refused is not None


@pytest.mark.parametrize(
    ("dose", "over", "mg", "refused"),
    [
        ("40,5 mg", "40 min", 40.5, ""),
        ("40.5 mg", "0,5 h", 40.5, ""),
        ("1,000 mg", "40 min", None, "dose may be a decimal or thousands"),
        ("40 mgs", "40 min", None, "dose has no known unit; found '40 mgs'"),
        ("40", "40 min", None, "dose needs a unit; found '40'"),
        ("40 mg", "40 minutes", None, "infusion"),
        ("225 mg", "40 min", 225, ""),  # 1.5 mg/kg, the guardrail, in 150 kg
        ("226 mg", "40 min", None, "IV dose of racemic ketamine is refused; found '226 mg'"),
        ("4000 mg", "40 min", None, "found '4000 mg'; 26.6667 mg/kg in a body of 150 kg; allowed: 0 to 1.5 mg/kg"),
        ("1.6 mg/kg", "40 min", None, "found '1.6 mg/kg'"),
        ("40 mg", "300 h", None, "infusion length of racemic ketamine is refused"),
        ("20 mg/h for 5 h", "", None, ""),
        ("200 mg/h for 5 h", "", None, "rate of racemic ketamine is refused"),
        ("20 mg/h for 5 h", "40 min", None, "says its own length"),
    ],
)
def test_doses(tmp_path: Path, dose: str, over: str, mg: float | None, refused: str) -> None:
    (row,) = rows(tmp_path, "sessions.csv", f"MRN;When;Dose;Over\n7;2026-01-05 09:30;{dose};{over}\n")
    if refused:
        assert row.refused is not None
        assert refused in row.refused.message
        return
    assert row.refused is None
    assert isinstance(row.said, PastSession)
    assert (row.said.session.dose.mg if row.said.session.dose else None) == mg


def test_an_open_quote_takes_no_row_in_silence(tmp_path: Path) -> None:
    head = "MRN;Name;DOB;Remark\n7;Ann;02.03.1980;\n"
    for end in ("8;Bea;;\n9;Cem;;\n", '8;Bea;;\n9;"Cem";;\n'):  # never closed, or closed by the next quote
        with pytest.raises(MalformedFile, match=r"^patients\.csv:3: The row that begins here is not CSV"):
            rows(tmp_path, "patients.csv", f'{head}4;"Uncl;01.02.1970;\n{end}')
    good, last, swallowed = rows(tmp_path, "patients.csv", f'{head}4;"Uncl;;\n8;Bea;;";01.02.1970;\n9;Cem;;\n')
    assert [each.place.line for each in (good, swallowed, last)] == [2, 3, 5]
    assert swallowed.refused is not None
    assert "'Name' goes over several lines" in swallowed.refused.message
    assert "Bea" not in swallowed.refused.message
    assert isinstance(last.said, PastPatient)
    free, rest = rows(tmp_path, "patients.csv", f'{head[:20]}7;Ann;;"two\nlines"\n8;Bea;;"x\n9;Cem;;"\n')
    assert free.refused is None
    assert rest.refused is not None
    assert "'Remark' goes over several lines" in rest.refused.message


@pytest.mark.parametrize(
    ("before", "after", "words"),
    [
        ("kind: patients", "kind: people", "unknown word"),
        ("patient: MRN, name", "patient: MRN, nom", "unknown field"),
        ("{patient: MRN, name: Name, born_on: DOB}", "{patient: MRN}", "lacks a field"),
        ('    dates: ["%d.%m.%Y", "%m/%d/%Y", "%d/%m/%Y"]\n', "", "lacks the formats"),
        (MAPPING[MAPPING.index("    items") : MAPPING.index("    words")], "", ""),
        ("Europe/Zurich", "Europe/Zurick", "timezone"),
        (
            "at: When, total: Sum}\n    fixed: {scale: GAD-7}\n    items",
            "at: When, scale: S}\n    item",
            "neither items",
        ),
    ],
)
def test_mappings(tmp_path: Path, before: str, after: str, words: str) -> None:
    assert before in MAPPING
    file = tmp_path / "mapping.yaml"
    file.write_text(MAPPING.replace(before, after), encoding="utf-8")
    if not words:
        assert read_mapping(file).files["gad.csv"].items == {}
        return
    with pytest.raises(InputError, match=words):
        read_mapping(file)


def test_files_that_are_no_table(tmp_path: Path) -> None:
    with pytest.raises(UnknownName, match="no such file"):
        rows(tmp_path, "other.csv", "a,b\n")
    with pytest.raises(MalformedFile, match="DOB"):
        rows(tmp_path, "patients.csv", "MRN,Name\n7,Ann\n")
    with pytest.raises(MalformedFile, match="not CSV"):
        rows(tmp_path, "patients.csv", "MRN,Name,DOB\n7," + "x" * 200_000 + ",\n")
