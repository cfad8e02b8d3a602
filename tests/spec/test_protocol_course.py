"""The course file: what a valid one means, and what is said about every kind of mistake, with its line."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

from afterglow.errors import InputError
from afterglow.protocol import CourseRecord, RecordedScore, RecordedSession, parse_course, read_course, write_course
from afterglow.quantities import Dose, DrugForm, Rate
from afterglow.therapy.regimen import InfusionStep, Route
from afterglow.therapy.setting import Condition

EXAMPLES = Path(__file__).parents[2] / "examples"

COURSE = """\
when,what,value,note
,condition,ptsd,
,weight,80 kg,
,age,54,
,timezone,Europe/Zurich,

2026-03-02T09:00,PHQ-9,21,
2026-03-02T10:00,session,racemic_ketamine iv 0.5 mg/kg 40 min,"well tolerated,
went home at noon"
2026-03-03 09:00:30,phq9,12,
2026-03-05T09:00:00Z,session,racemic_ketamine iv 0.1 mg/kg/h for 2 h then 16 mg/h for 90 min,
2026-03-09T10:00+01:00,madrs,43.4 % of baseline,
,,,
2026-04-07T09:00,session,esketamine intranasal 84 mg,
"""


def test_every_row_has_its_meaning() -> None:
    # Zurich is an hour ahead of UTC in March and two from the 29th on.
    assert parse_course(COURSE) == CourseRecord(
        condition=Condition.PTSD,
        weight_kg=80.0,
        age_years=54.0,
        timezone="Europe/Zurich",
        events=(
            RecordedScore(at=datetime(2026, 3, 2, 8, tzinfo=UTC), scale="PHQ-9", points=21.0),
            RecordedSession(
                at=datetime(2026, 3, 2, 9, tzinfo=UTC),
                drug=DrugForm.RACEMIC_KETAMINE,
                route=Route.IV,
                dose=Dose(mg_per_kg=0.5),
                infusion=40 / 60,
                note="well tolerated,\nwent home at noon",
            ),
            RecordedScore(at=datetime(2026, 3, 3, 8, 0, 30, tzinfo=UTC), scale="PHQ-9", points=12.0),
            RecordedSession(
                at=datetime(2026, 3, 5, 9, tzinfo=UTC),
                drug=DrugForm.RACEMIC_KETAMINE,
                route=Route.IV,
                infusion=(
                    InfusionStep(rate=Rate(mg_per_kg_per_h=0.1), duration_h=2.0),
                    InfusionStep(rate=Rate(mg_per_h=16.0), duration_h=1.5),
                ),
            ),
            RecordedScore(at=datetime(2026, 3, 9, 9, tzinfo=UTC), scale="MADRS", fraction_of_baseline=0.434),
            RecordedSession(
                at=datetime(2026, 4, 7, 7, tzinfo=UTC),
                drug=DrugForm.ESKETAMINE,
                route=Route.INTRANASAL,
                dose=Dose(mg=84.0),
            ),
        ),
    )


def test_the_clock_starts_at_the_first_row() -> None:
    course = parse_course(COURSE)
    assert course.origin_at == datetime(2026, 3, 2, 8, tzinfo=UTC)
    assert course.last_at == datetime(2026, 4, 7, 7, tzinfo=UTC)
    # The last session: 36 days and 1 hour less, since the clocks went forward.
    assert course.regimen().starts_h == (1.0, 73.0, 36 * 24 - 1.0)
    assert [score.points for score in course.scores] == [21.0, 12.0, None]


@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
@pytest.mark.parametrize("ending", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("mark", ["", "\ufeff"])
def test_spreadsheets_differ_in_what_they_save(delimiter: str, ending: str, mark: str) -> None:
    plain = COURSE.replace('"well tolerated,\nwent home at noon"', "")
    assert parse_course(mark + plain.replace(",", delimiter).replace("\n", ending)) == parse_course(plain)


def test_the_header_may_be_quoted() -> None:
    quoted = '"When";"What";"Value";"Note"\n2026-03-02T09:00Z;PHQ-9;21;\n'
    assert parse_course(quoted).scores[0].points == 21.0


@pytest.mark.parametrize(
    ("value", "session"),
    [
        ("racemic_ketamine iv 0.2mg/kg bolus", (Dose(mg_per_kg=0.2), 0.0)),
        ("racemic_ketamine  iv  0.2  mg/kg  1 h", (Dose(mg_per_kg=0.2), 1.0)),
        ("esketamine sc 0.5 mg/kg", (Dose(mg_per_kg=0.5), None)),
        ("esketamine oral 1e1 mg", (Dose(mg=10.0), None)),
    ],
)
def test_ways_of_writing_a_session(value: str, session: tuple[Dose, float | None]) -> None:
    given = parse_course(f"when,what,value,note\n2026-03-02T09:00Z,session,{value},\n").sessions[0]
    assert (given.dose, given.infusion) == session


# What is replaced in COURSE, and what is said about it.
MISTAKES = {
    # scores
    ("PHQ-9,21", "PHQ-9,28"): ":7: PHQ-9 total is refused; found 28 points; allowed: 0 to 27 points, whole numbers.",
    ("PHQ-9,21", "PHQ-9,-1"): ":7: PHQ-9 total is refused; found -1 points",
    ("PHQ-9,21", "PHQ-9,12.5"): ":7: PHQ-9 total is refused; found 12.5 points",
    ("PHQ-9,21", "PHQ-9,nan"): ":7: PHQ-9 cannot be read; found 'nan'",
    ("PHQ-9,21", "PHQ-9,"): ":7: PHQ-9 has no value.",
    ("PHQ-9,21", "PHQ-99,21"): ":7: No scale has this name; found 'PHQ-99'; allowed: session, PHQ-9",
    ("PHQ-9,21", "C-SSRS screener,2"): ":7: C-SSRS screener has no total",
    ("43.4 %", "43.4"): ":12: MADRS needs a percent sign; found '43.4 '",
    ("43.4 %", "-1 %"): ":12: MADRS cannot be this fraction of its baseline; found -1 %; allowed: 0 to 6000 %.",
    ("43.4 %", "6001 %"): ":12: MADRS cannot be this fraction of its baseline; found 6001 %",
    # sessions
    ("racemic_ketamine iv 0.5 mg/kg 40 min", ""): ":8: session has no value.",
    ("0.5 mg/kg 40 min", ""): ":8: A session needs drug, route and dose; found 'racemic_ketamine iv'; allowed: racemic",
    ("0.5 mg/kg 40 min", "0.5 mg/kg"): ":8: infusion is missing: an intravenous dose is infused or pushed",
    ("0.5 mg/kg 40 min", "0.5 mg/kg 40"): ":8: infusion needs a unit; found '40'",
    ("0.5 mg/kg 40 min", "50 mg/kg 40 min"): ":8: The IV dose of racemic ketamine is refused; found 50 mg/kg",
    ("0.5 mg/kg 40 min", "5000 mg 40 min"): ":8: The IV dose of racemic ketamine is refused; found 62.5 mg/kg",
    ("0.5 mg/kg 40 min", "-5 mg 40 min"): ":8: dose cannot be negative; found '-5 mg'",
    ("racemic_ketamine iv 0.5", "ketamine iv 0.5"): ":8: drug is not known; found 'ketamine'",
    ("iv 0.5", "nasal 0.5"): ":8: route is not known; found 'nasal'",
    ("iv 0.5", "im 0.5"): ":8: infusion does not go with this route; found im",
    ("0.1 mg/kg/h for", "0.1 mg/kg for"): ":11: rate",
    ("for 90 min", "for ever"): ":11: duration cannot be read; found 'ever'",
    # times
    ("2026-03-03 09:00:30", "2026-03-01T09:00"): ":10: The row is earlier than the one before; found 2026-03-01 08:00 "
    "after 2026-03-02 09:00 (UTC).",
    ("2026-03-03 09:00:30,phq9", "2026-03-02T10:00,session"): ":10: A session needs drug, route and dose; found '12'",
    ("2026-03-02T10:00", "2026-03-02"): ":8: when cannot be read; found '2026-03-02'; allowed: 2026-03-02T09:00 with",
    ("2026-03-02T10:00", "02/03/2026 10:00"): ":8: when cannot be read; found '02/03/2026 10:00'",
    ("2026-03-02T10:00", "2026-02-30T10:00"): ":8: when cannot be read; found '2026-02-30T10:00'",
    ("2026-03-02T10:00", "2026-03-02T10:00+99:00"): ":8: when cannot be read",
    ("2026-04-07T09:00", "2026-03-29T02:30"): ":14: In Europe/Zurich the clocks skip this time; found 2026-03-29T02:30",
    ("2026-04-07T09:00", "2026-10-25T02:30"): ":14: In Europe/Zurich the clocks show this time twice",
    (
        ",timezone,Europe/Zurich,\n",
        "",
    ): ":6: The time has neither an offset nor a timezone row; found 2026-03-02T09:00.",
    (
        "Europe/Zurich",
        "Europe/Zürich",
    ): ":5: timezone is not known; found 'Europe/Zürich'; allowed: an IANA name, as in "
    "Europe/Zurich. Did you mean Europe/Zurich",
    ("Europe/Zurich", "../../etc/passwd"): ":5: timezone is not known",
    ("Europe/Zurich", "qqqqqqqq"): ":5: timezone is not known; found 'qqqqqqqq'; allowed: an IANA name, as in Europe/Z",
    ("2026-03-02T09:00,", "1900-01-01T00:00+01:00,"): ":7: A time of a course is in UTC; found 1899-12-31T23:00",
    # rows
    (
        "when,",
        "wann,",
    ): ":1: The first line is not the header of a course; found 'wann,what,value,note'; allowed: when,",
    ("12,\n", "12\n"): ":10: The row has the wrong number of cells; found 3; allowed: 4: when, what, value, note.",
    ("12,\n", "12,5,,\n"): ":10: The row has the wrong number of cells; found 6",
    ("43.4", "43,4"): ":12: The row has the wrong number of cells; found 5",
    ('noon"', "noon"): ":8: The row is not CSV; found unexpected end of data.",
    ('noon"', 'noon"!'): ":8: The row is not CSV; found ',' expected after '\"'.",
    ("well", "we\u200bll"): ":8: The note is refused; found 34 characters; allowed: up to 500 printable characters.",
    ("well", "well" * 200): ":8: The note is refused; found 829 characters",
    (",age,54,", ",,,a note alone"): ":4: what is empty; allowed: a scale, session, condition, weight, age, timezone.",
    (",age,54,", ",agee,54,"): ":4: The row has no time; found 'agee'; allowed: rows without a time: condition, weight",
    (",age,54,", ",PHQ-9,21,"): ":4: The row has no time; found 'PHQ-9'",
    (",age,54,", ",age,54,about"): ":4: The note of age would be lost",
    (",age,54,", ",weight,81 kg,"): ":4: weight is given twice; found first on line 3. Keep one of the two rows.",
    (",age,54,", "2026-03-02T09:00,age,54,"): ":4: age holds for the whole course and takes no time",
    (",age,54,", ",age,154,"): ":4: age in years is refused; found 154; allowed: 0 to 130.",
    ("80 kg", "80"): ":3: weight needs a unit; found '80'; allowed: kg, lb.",
    ("80 kg", "800 kg"): ":3: weight in kg is refused; found 800; allowed: 1 to 650.",
    ("ptsd", "PTSD"): ":2: condition is not known; found 'PTSD'; allowed: depression",
}


@pytest.mark.parametrize(("right", "wrong"), MISTAKES)
def test_a_mistake_is_named_with_its_line_value_and_what_is_allowed(right: str, wrong: str) -> None:
    assert right in COURSE
    with pytest.raises(InputError) as refused:
        parse_course(COURSE.replace(right, wrong, 1), file="my.csv")
    assert str(refused.value).startswith("my.csv:")
    assert MISTAKES[right, wrong] in str(refused.value)


HEADER = "when,what,value,note\n"
DOSE = "session,racemic_ketamine iv 0.5 mg/kg 40 min,\n"


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ("2026-03-02T09:00Z,PHQ-9,21,\n" * 2, "c:3: The row stands twice; found PHQ-9 at 2026-03-02 09:00 (UTC)"),
        (f"2026-03-02T09:00Z,{DOSE}" * 2, "c:3: The row stands twice; found session at 2026-03-02 09:00 (UTC)"),
        (
            f"2026-03-02T09:00Z,{DOSE}2026-03-02T09:20Z,MADRS,20,\n2026-03-02T09:39Z,{DOSE}",
            "c:4: The session starts before the infusion of the one before has ended",
        ),
        (",age,54,\n", "c: The course has no row with a time"),
        ("", "c: The course has no row with a time"),
        (
            "2026-03-02T09:00Z," + "x" * 200_000 + ",1,\n",
            "c:2: The row is not CSV; found field larger than field limit",
        ),
    ],
)
def test_rows_that_do_not_go_together(rows: str, message: str) -> None:
    with pytest.raises(InputError) as refused:
        parse_course(HEADER + rows, file="c")
    assert str(refused.value).startswith(message)


@pytest.mark.parametrize("text", ["", "\n\n", "PHQ-9 21", "\ufeff"])
def test_a_file_without_its_header(text: str) -> None:
    with pytest.raises(InputError, match=r"c:1: (The file is empty|The first line is not the header).*Begin the file"):
        parse_course(text, file="c")


def test_a_note_never_reaches_an_error() -> None:
    for right, wrong in MISTAKES:
        with pytest.raises(InputError) as refused:
            parse_course(COURSE.replace(right, wrong, 1))
        assert "tolerated" not in str(refused.value)


def test_writing_keeps_the_local_clock_and_reads_back() -> None:
    text = write_course(parse_course(COURSE))
    assert text == (
        "when,what,value,note\n"
        ",condition,ptsd,\n"
        ",weight,80 kg,\n"
        ",age,54,\n"
        ",timezone,Europe/Zurich,\n"
        "2026-03-02T09:00,PHQ-9,21,\n"
        '2026-03-02T10:00,session,racemic_ketamine iv 0.5 mg/kg 40 min,"well tolerated,\nwent home at noon"\n'
        "2026-03-03T09:00:30,PHQ-9,12,\n"
        "2026-03-05T10:00,session,racemic_ketamine iv 0.1 mg/kg/h for 2 h then 16 mg/h for 90 min,\n"
        "2026-03-09T10:00,MADRS,43.4 % of baseline,\n"
        "2026-04-07T09:00,session,esketamine intranasal 84 mg,\n"
    )
    assert parse_course(text) == parse_course(COURSE)


def test_the_hour_that_the_clocks_show_twice_is_written_in_utc() -> None:
    text = HEADER + ",timezone,Europe/Zurich,\n2026-10-25T02:30+02:00,PHQ-9,9,\n2026-10-25T02:30+01:00,PHQ-9,8,\n"
    written = write_course(parse_course(text))
    assert "2026-10-25T00:30+00:00,PHQ-9,9" in written
    assert "2026-10-25T01:30+00:00,PHQ-9,8" in written
    assert parse_course(written) == parse_course(text)


def test_the_example_reads_and_writes() -> None:
    course = read_course(EXAMPLES / "course.csv")
    assert len(course.sessions) == 4
    assert parse_course(write_course(course)) == course
