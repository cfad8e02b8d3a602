"""`afterglow forecast` as a person runs it: text, JSON, report, refusals."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from afterglow.cli import main
from afterglow.cli.forecast import parse_now
from afterglow.errors import InputError
from afterglow.forecast import Method, forecast
from afterglow.protocol import parse_course
from afterglow.usecases import forecasting

EXAMPLES = Path(__file__).parents[2] / "examples"
COURSE = str(EXAMPLES / "course.csv")
FIRST = str(EXAMPLES / "liebrenz2007_first.csv")
SECOND = str(EXAMPLES / "liebrenz2007_second.yaml")
WIDTH = 110  # columns of output that no terminal shows
ZURICH = parse_course("when,what,value,note\n,timezone,Europe/Zurich,\n2026-03-02T09:00,PHQ-9,21,\n")
NOWHERE = parse_course("when,what,value,note\n2026-03-02T09:00Z,PHQ-9,21,\n")

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """Run `afterglow` with these words in this process; exit status, stdout, stderr."""

    def run_words(*words: str) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["afterglow", *words])
        with pytest.raises(SystemExit) as left:
            main()
        out, err = capsys.readouterr()
        assert "Traceback" not in out + err
        return int(left.value.code or 0), out, err

    return run_words


def text_of(run: Run, *words: str) -> str:
    """Text of a command that must succeed, within the width, as one line."""
    code, out, err = run(*words)
    assert (code, err) == (0, "")
    assert max(map(len, out.splitlines())) <= WIDTH
    return re.sub(r"\s+", " ", out)


def test_help_shows_an_example_that_runs(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    said = text_of(run, "forecast", "--help")
    example = re.search(r'Example: afterglow forecast (examples/course.csv) --limit "(20 %)" --report (\S+)', said)
    assert example is not None
    monkeypatch.chdir(tmp_path)
    code, _, err = run("forecast", COURSE, "--limit", example[2], "--report", example[3])
    assert (code, err) == (0, f"Report: {example[3]}\n")
    assert (tmp_path / example[3]).read_text(encoding="utf-8").startswith("<!doctype html>")


def test_the_text_tells_now_the_weeks_and_the_intervals(run: Run) -> None:
    said = text_of(run, "forecast", COURSE)
    assert said.startswith("Forecast from 2026-03-30 09:00 Europe/Zurich afterglow population")
    assert "PHQ-9, 30 Mar 13 moderate: up 4 since 16 Mar" in said
    assert "Day Next PHQ-9 50 % 90 % Control arm Relapse if stopped Mon 30 Mar 2026" in said
    assert "Mon 29 Jun 2026" in said
    assert "Note: The model is provisional." in said


def test_json_is_the_documents_and_the_seed_matters(run: Run) -> None:
    found: list[dict[str, Any]] = []
    for seed in ("0", "0", "1"):
        code, out, err = run("forecast", COURSE, "--json", "--seed", seed)
        assert (code, err) == (0, "")
        found.append(json.loads(out))
    assert found[0] == found[1]
    assert found[0]["schema"] == "afterglow.forecast/1"
    assert found[0]["trajectory"] != found[2]["trajectory"]
    assert found[2]["input"]["seed"] == 1


def test_a_plan_and_a_time_are_taken(run: Run) -> None:
    said = text_of(run, "forecast", FIRST, "--plan", SECOND, "--now", "2007-02-11T10:00")
    assert said.startswith("Forecast from 2007-02-11 10:00")
    assert "Next HAM-D17, % of baseline" in said
    code, out, _ = run("forecast", FIRST, "--plan", SECOND, "--now", "2007-02-11", "--json", "--limit", "5 %")
    document = json.loads(out)
    assert code == 0
    assert document["now"] == "2007-02-12T00:00:00+01:00"
    assert document["next_due"]["limit"] == 0.05
    assert [session["planned"] for session in document["sessions"]] == [False, True]


def test_the_clinic_may_set_what_relapse_is(run: Run) -> None:
    assert "Relapse (PHQ-9 of 15 or more" in text_of(run, "forecast", COURSE, "--relapse", "15")
    code, out, _ = run("forecast", COURSE, "--json", "--relapse", "14")
    relapse = json.loads(out)["relapse"]
    assert (code, relapse["score_at_least"], relapse["source"]) == (0, 14, "the clinic's rule, as given")


def test_a_plan_before_the_first_session_has_nothing_to_split(run: Run, tmp_path: Path) -> None:
    path = tmp_path / "course.csv"
    path.write_text("when,what,value,note\n2007-03-02T09:00Z,HAM-D17,24,\n", encoding="utf-8")
    said = text_of(run, "forecast", str(path), "--plan", SECOND)
    assert "HAM-D17, 2 Mar 24" in said
    assert "Of the change" not in said


def test_no_forecast_says_why(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    def none(*words: Any, **named: Any) -> Any:
        found = original(*words, **named)
        reason = "the scores leave only 3 of 20480 virtual patients"
        return replace(found, method=Method.NONE, reason=reason, trajectory=None, relapse=None, next_due=None)

    original = forecast
    monkeypatch.setattr(forecasting, "forecast", none)
    said = text_of(run, "forecast", COURSE)
    assert "No forecast, because the scores leave only 3 of 20480 virtual patients." in said
    assert "Next due" not in said


@pytest.mark.parametrize(
    ("text", "utc"),
    [
        ("2026-03-30T09:00", "2026-03-30T07:00:00+00:00"),
        ("2026-03-30", "2026-03-30T22:00:00+00:00"),
        ("2026-03-30T09:00Z", "2026-03-30T09:00:00+00:00"),
    ],
)
def test_a_time_is_read_in_the_zone_of_the_course(text: str, utc: str) -> None:
    assert parse_now(text, ZURICH).isoformat() == utc


def test_a_course_without_a_zone_takes_dates_in_utc_and_times_with_an_offset() -> None:
    assert parse_now("2026-03-30", NOWHERE) == datetime(2026, 3, 31, tzinfo=UTC)
    with pytest.raises(InputError, match="neither an offset nor a timezone"):
        parse_now("2026-03-30T09:00", NOWHERE)


@pytest.mark.parametrize("text", ["2026-02-30", "tomorrow", "30.03.2026", ""])
def test_a_time_that_cannot_be_read_is_refused(text: str) -> None:
    with pytest.raises(InputError, match="--now cannot be read"):
        parse_now(text, ZURICH)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ((COURSE, "--limit", "0.1"), "--limit needs a percent sign"),
        ((COURSE, "--limit", "90 %"), "--limit is refused; found 90 %; allowed: 1 to 50 %"),
        ((COURSE, "--relapse", "soon"), "--relapse is refused; found 'soon'"),
        ((COURSE, "--relapse", "40"), "40 points of PHQ-9 or more; allowed: over 0 and up to 27"),
        ((COURSE, "--now", "2026-03-01T09:00"), f"{COURSE}:5: The score lies after"),
        (("missing.csv",), "missing.csv"),
        ((COURSE, "--plan", str(EXAMPLES / "daly2018_84mg.yaml")), "The plan is for another drug"),
        ((COURSE, "--plan", str(EXAMPLES / "pain_infusion.yaml")), "The plan is for another condition"),
    ],
)
def test_bad_input_ends_with_two_and_says_what_is_wrong(run: Run, words: tuple[str, ...], message: str) -> None:
    code, out, err = run("forecast", *words)
    assert (code, out) == (2, "")
    assert message in err


def test_a_refused_plan_is_named_with_its_line(run: Run) -> None:
    plan = EXAMPLES / "daly2018_84mg.yaml"
    line = next(i for i, one in enumerate(plan.read_text(encoding="utf-8").splitlines(), 1) if one.startswith("drug:"))
    _, _, err = run("forecast", COURSE, "--plan", str(plan))
    assert err.startswith(f"afterglow: {plan}:{line}: ")


def test_a_scale_that_cannot_be_linked_is_named_with_its_line(run: Run, tmp_path: Path) -> None:
    path = tmp_path / "course.csv"
    path.write_text(
        "when,what,value,note\n2026-03-02T09:00Z,PHQ-9,21,\n2026-03-03T09:00Z,GAD-7,12,\n", encoding="utf-8"
    )
    code, _, err = run("forecast", str(path))
    assert code == 2
    assert err.startswith(f"afterglow: {path}:3: GAD-7 cannot be linked")
