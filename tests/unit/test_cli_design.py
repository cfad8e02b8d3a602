"""`afterglow design`: text, JSON, report, and the work that it keeps."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from afterglow.cli.app import app
from afterglow.errors import Conflict, InvalidData, MissingValue
from afterglow.protocol import parse_protocol
from afterglow.render.design import PowerData, PowerLine, power_chart
from afterglow.usecases import designing

ROOT = Path(__file__).parents[2]
CONTROLLED = """\
title: A small plan
drug: racemic_ketamine
route: iv
dose: 0.5 mg/kg
infusion: 40 min
days: [0]
control: midazolam
arm: both
population: {scale: MADRS, baseline_mean: 32, baseline_sd: 6}
observe: {times: [24 h]}
design: {sizes: [20, 60]}
"""


@pytest.fixture
def plan(tmp_path: Path) -> Path:
    file = tmp_path / "plan.yaml"
    file.write_text(CONTROLLED, encoding="utf-8")
    return file


def run(*words: object) -> Result:
    return CliRunner().invoke(app, ["design", *map(str, words), "--trials", "20"])


def keys_in(value: Any) -> set[str]:
    if isinstance(value, dict):
        return set(value).union(*(keys_in(one) for one in value.values()))
    return set().union(*map(keys_in, value)) if isinstance(value, list) else set()


def test_the_text_says_what_was_planned_and_what_would_come_of_it(plan: Path) -> None:
    said = run(plan).output
    for words in (
        "A small plan",
        "change, compared with control",
        "20 simulated trials of each kind",
        "As planned",
        "Masked",
        "Unmasked",
        "An arm: patients starting treatment for each arm",
        "Significant: two-sided p under 5 %, by Welch's t test",
        "Nobody leaves: the protocol names no drop-out.",
    ):
        assert words in said
    assert re.search(r"active +20 +\d+ % +\d+ % +−\d+\.\d \(−\d+\.\d to −?\d+\.\d\) +40 +100 %", said)


def test_the_document_is_as_promised(plan: Path) -> None:
    document = json.loads(run(plan, "--json", "--seed", "3").output)
    assert (document["schema"], document["title"], document["seed"]) == ("afterglow.design/1", "A small plan", 3)
    assert (document["endpoint"], document["alpha"], document["reference"]) == ("change", 0.05, "control")
    assert (document["trials"], document["unit"]) == (20, "MADRS points")
    assert [(c["masking"], c["size"]) for c in document["comparisons"]][:3] == [
        ("planned", 20),
        ("planned", 60),
        ("masked", 20),
    ]
    for one in document["comparisons"]:
        assert 0 <= one["power"] <= 1
        assert 0 <= one["assurance"] <= 1
        assert one["lo90"] <= one["estimate"] <= one["hi90"]
        assert one["randomised"] == one["stayed"] == 2 * one["size"]
    assert [one["arm"] for one in document["arms"]] == ["control", "active"] * 3
    page = (ROOT / "docs" / "reference" / "json.md").read_text(encoding="utf-8")
    section = page.partition("## `afterglow.design/1`")[2].partition("\n## ")[0]
    for key in keys_in(document):
        assert f"`{key}`" in section, key


def test_a_report_with_its_pictures(plan: Path, tmp_path: Path) -> None:
    report = tmp_path / "plan.html"
    run(plan, "--report", report)
    page = report.read_text(encoding="utf-8")
    for words in (
        "Active against control",
        "assurance with 60 an arm",
        "if the control arm knew",
        "<svg",
        "MADRS points",
    ):
        assert words in page
    assert "Extrapolation" not in page


def test_maintenance_arms_are_marked_as_extrapolation(tmp_path: Path) -> None:
    report = tmp_path / "maintenance.html"
    said = run(ROOT / "examples" / "maintenance_trial.yaml", "--report", report).output
    assert re.search(r"every four weeks +400 +\d+ % +\d+ % +\+\d+ pp", said)
    page = report.read_text(encoding="utf-8")
    assert "Extrapolation" in page
    assert "this is extrapolation" in page
    assert "sessions 32 days apart (3 to 14)" in page


def test_what_lies_outside_calibration_is_said_for_every_arm() -> None:
    text = (ROOT / "examples" / "maintenance_trial.yaml").read_text(encoding="utf-8")
    assert "dose: 84 mg" in text
    found = designing._outside(parse_protocol(text.replace("dose: 84 mg", "dose: 14 mg")))
    assert [one.partition(":")[0] for one in found[1:]] == ["Arm every two weeks", "Arm every four weeks"]
    assert found[0].startswith("The dose of 14 mg lies outside the calibrated range, 28 to 84 mg")
    assert designing._outside(parse_protocol(CONTROLLED)) == ()


def test_what_validation_missed_and_no_figure_informs_is_said_once_each() -> None:
    said = designing._warnings(parse_protocol(CONTROLLED))
    assert len(set(said)) == len(said)
    text = " ".join(said)
    for words in ("cannot tell the arms apart", "one pooled result", "Differences from control", "smaller effect"):
        assert words in text


def test_an_arm_smaller_than_any_of_calibration_is_said() -> None:
    notes = designing._warnings(parse_protocol(CONTROLLED.replace("[20, 60]", "[2, 60]")))
    assert "An arm of 2 patients lies outside the calibrated range, 11 to 90 patients an arm" in " ".join(notes)
    assert "calibrated range" not in " ".join(designing._warnings(parse_protocol(CONTROLLED)))


def test_kept_results_give_the_same_answer(plan: Path, tmp_path: Path) -> None:
    kept = tmp_path / "folder" / "kept.jsonl"
    first = run(plan, "--results", kept).output
    written = kept.read_bytes()
    assert run(plan, "--results", kept, "--cores", "2").output == first
    assert kept.read_bytes() == written


def test_what_is_refused(plan: Path, tmp_path: Path) -> None:
    kept = tmp_path / "kept.jsonl"
    run(plan, "--results", kept)
    with pytest.raises(Conflict, match=r"plan\.yaml: .*holds results of another design"):
        raise run(plan, "--results", kept, "--seed", "1").exception or AssertionError
    plan.write_text(CONTROLLED.replace("design: {sizes: [20, 60]}\n", ""), encoding="utf-8")
    with pytest.raises(MissingValue, match=r"plan\.yaml: design is missing"):
        raise run(plan).exception or AssertionError


def chart(**changes: Any) -> PowerData:
    lines = (
        PowerLine(kind="assurance", name="Assurance", about="over all", chance=(0.4, 0.85)),
        PowerLine(kind="unmasked", name="Unmasked", about="if they knew", chance=(0.5, 0.9)),
    )
    return PowerData(**({"title": "A", "sizes": (50, 1000), "counted": "patients an arm", "lines": lines} | changes))


def test_the_sentence_says_where_the_line_reaches_the_goal() -> None:
    assert power_chart(chart()).summary == (
        "Assurance runs from 40 % with 50 to 85 % with 1,000 patients an arm; it reaches 80 % at 1,000."
    )
    low = PowerLine(kind="power", name="Power", about="", chance=(0.1, 0.2))
    assert power_chart(chart(lines=(low,))).summary.endswith("it does not reach 80 %.")


def test_the_table_holds_every_line() -> None:
    table = power_chart(chart()).table
    assert [column.heading for column in table.columns] == ["Patients an arm", "Assurance", "Unmasked"]
    assert table.rows == (("50", "40 %", "50 %"), ("1,000", "85 %", "90 %"))


def test_both_drawings_name_every_line_and_close_sizes_keep_their_distance() -> None:
    lines = (PowerLine(kind="assurance", name="Assurance", about="over all", chance=(0.1, 0.2, 0.3)),)
    drawn = power_chart(chart(sizes=(100, 101, 400), lines=lines))
    for svg in (drawn.svg, drawn.narrow_svg):
        assert "Assurance" in svg
        assert ">100<" in svg
        assert ">101<" not in svg
    one = power_chart(chart(sizes=(100,), lines=(PowerLine(kind="power", name="P", about="", chance=(0.5,)),)))
    assert ">100<" in one.svg


@pytest.mark.parametrize(
    "changes", [{"sizes": ()}, {"lines": ()}, {"sizes": (50,)}], ids=["no size", "no line", "unequal"]
)
def test_lines_fit_their_sizes(changes: dict[str, Any]) -> None:
    with pytest.raises(InvalidData, match="its lines do not fit its sizes"):
        power_chart(chart(**changes))
