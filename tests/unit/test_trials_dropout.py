"""Patients who leave: by hand, who looks better for it, and what follows for statistics, text and published figures."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from afterglow.cli.app import app
from afterglow.evidence import source, sources
from afterglow.protocol import Analysis, Dropout, TrialProtocol, parse_protocol
from afterglow.render.report import report_html
from afterglow.therapy.setting import Arm
from afterglow.trials import Prediction, Replication, Statistic, replicate
from afterglow.usecases.modelling import replicate_beside_published
from afterglow.usecases.reports import replicate_report

TEXT = """\
{drug: racemic_ketamine, route: iv, dose: 0.5 mg/kg, infusion: 40 min, days: [0], control: midazolam, arm: both,
 population: {n: 47, n_control: 25, scale: MADRS, baseline_mean: 32.6, baseline_sd: 6.1},
 observe: {times: [24 h, 7 d, 28 d], response: 50 %, remission: 10, relapse: {of: responders, at: [14 d, 28 d]}},
 dropout: {unimproved: 30 %, recovered: 2 %, source: assumed, visits: [2 d, 4 d, 7 d, 14 d, 21 d]},
 trial: {key: murrough2013_ajp, active: ket05, control: midaz}}
"""
LEAVING = parse_protocol(TEXT)


def asked(**changes: object) -> TrialProtocol:
    assert LEAVING.dropout is not None
    return replace(LEAVING, dropout=replace(LEAVING.dropout, **changes))  # type: ignore[arg-type]


def predicted(protocol: TrialProtocol) -> Replication:
    return replicate(protocol, n_draws=32, patients_per_draw=64)


def values(found: Replication, analysis: Analysis | None, statistic: Statistic) -> dict[tuple[Arm, float], float]:
    return {(p.arm, p.time_h): p.value for p in found.predictions if (p.analysis, p.statistic) == (analysis, statistic)}


def test_the_chance_of_leaving_by_hand() -> None:
    """Log odds run straight: from 4:1 to 1:4, half the symptoms gone leaves even odds."""
    rule = Dropout(unimproved=0.8, recovered=0.2, source="assumed")
    assert rule.leaving(np.array([1.4, 1.0, 0.5, 0.0, -0.2])) == pytest.approx([0.8, 0.8, 0.5, 0.2, 0.2])


def test_nobody_leaves_before_his_visit_or_without_one() -> None:
    rule = Dropout(unimproved=0.5, recovered=0.1, source="assumed")
    left, times = np.array([[1.0, 1.0, 1.0, 0.0]]), np.array([1.0, 2.0, 3.0, 4.0])
    assert rule.staying(left, times, (2.0, 4.0)).tolist() == [[1.0, 1.0, 0.5, 0.5]]


def test_completers_look_better_because_the_others_have_left() -> None:
    """By construction: leaving is likelier without improvement, so what remains has improved more."""
    found = predicted(LEAVING)
    everybody, stayed = (values(found, analysis, Statistic.MEAN_CHANGE) for analysis in Analysis)
    response, kept = (values(found, analysis, Statistic.RESPONSE_PCT) for analysis in Analysis)
    relapse, relapsed = (values(found, analysis, Statistic.RELAPSE_PCT) for analysis in Analysis)
    for arm in (Arm.ACTIVE, Arm.CONTROL):
        assert stayed[arm, 24.0] == pytest.approx(everybody[arm, 24.0])  # nobody has left yet
        for time in (7 * 24.0, 28 * 24.0):
            assert stayed[arm, time] < everybody[arm, time] - 0.1
            assert kept[arm, time] > response[arm, time]
        assert relapsed[arm, 28 * 24.0] < relapse[arm, 28 * 24.0]
        # Flatter: relief is lost more slowly among those who stay.
        assert stayed[arm, 28 * 24.0] - stayed[arm, 24.0] < everybody[arm, 28 * 24.0] - everybody[arm, 24.0]


def test_leaving_that_says_nothing_about_outcome_changes_no_mean() -> None:
    found = predicted(asked(unimproved=0.2, recovered=0.2))
    for statistic in set(Statistic) - {Statistic.RELAPSE_PCT, Statistic.STAYING_PCT}:
        everybody, stayed = (values(found, analysis, statistic) for analysis in Analysis)
        assert stayed == pytest.approx(everybody, rel=1e-9, abs=1e-9)
    # Fewer scores count, so the interval is wider.
    whole, part = (
        next(p for p in found.predictions if (p.analysis, p.time_h, p.statistic) == (a, 28 * 24.0, "mean_change"))
        for a in Analysis
    )
    assert part.hi90 - part.lo90 > whole.hi90 - whole.lo90
    # 0.8 stays after each of five visits, four of them before day 21 and all before day 28.
    staying = values(found, None, Statistic.STAYING_PCT)
    assert staying[Arm.ACTIVE, 24.0] == 100.0
    assert staying[Arm.ACTIVE, 28 * 24.0] == pytest.approx(100 * 0.8**5)
    assert staying[Arm.CONTRAST, 28 * 24.0] == pytest.approx(0.0)


def test_fewer_stay_where_fewer_improve() -> None:
    staying = values(predicted(LEAVING), None, Statistic.STAYING_PCT)
    assert staying[Arm.CONTROL, 28 * 24.0] < staying[Arm.ACTIVE, 28 * 24.0]
    assert staying[Arm.ACTIVE, 28 * 24.0] < staying[Arm.ACTIVE, 7 * 24.0]


def test_the_asked_analysis_comes_first_and_everybody_counts_as_without_dropout() -> None:
    for analysis in Analysis:
        found = predicted(asked(analysis=analysis))
        assert found.predictions[0].analysis is analysis
        assert {p.analysis for p in found.predictions} == {*Analysis, None}
    without = predicted(replace(LEAVING, dropout=None))
    everybody = values(found, Analysis.INTENTION_TO_TREAT, Statistic.MEAN_CHANGE)
    assert values(without, None, Statistic.MEAN_CHANGE) == pytest.approx(everybody)


def test_published_figures_stand_beside_the_asked_analysis_alone() -> None:
    answer = replicate_beside_published(LEAVING)
    beside = [p for p, o in zip(answer.replication.predictions, answer.observed, strict=True) if o is not None]
    assert beside
    assert {p.analysis for p in beside} == {Analysis.INTENTION_TO_TREAT}
    assert any("leaving is assumed" in note for note in answer.notes)
    page = report_html(replicate_report(answer, ()))
    assert "Active, completers, 7 days" in page
    assert "Still in the trial" in page


def test_a_published_chance_names_its_source() -> None:
    key = next(iter(sources()))
    assert source(key)
    assert any(f"leaving is from {key}" in note for note in predicted(asked(source=key)).notes)


def test_the_command_shows_both(tmp_path: Path) -> None:
    file = tmp_path / "leaving.yaml"
    file.write_text(TEXT, encoding="utf-8")
    said = CliRunner().invoke(app, ["replicate", str(file)]).output
    for heading in ("Active, intention to treat", "Active, completers", "Still in the trial"):
        assert heading in said
    document = json.loads(CliRunner().invoke(app, ["replicate", str(file), "--json"]).output)
    assert {p["analysis"] for p in document["predictions"]} == {"intention_to_treat", "completers", None}


def test_a_prediction_says_whose_scores_count() -> None:
    found: list[Prediction] = list(predicted(LEAVING).predictions)
    assert all((p.analysis is None) == (p.statistic is Statistic.STAYING_PCT) for p in found)


def test_completers_flatter_in_a_cohort_of_a_clinic_too() -> None:
    """With 30 % of the unimproved leaving after each visit a third is gone by day 12."""
    cohort = parse_protocol(
        "{drug: racemic_ketamine, route: iv, dose: 0.5 mg/kg, infusion: 40 min, days: [0, 2, 4, 7, 9, 11], "
        "population: {scale: MADRS, n: 50, baseline_mean: 32, baseline_sd: 6, enrolment: clinic}, "
        "observe: {times: [2 d, 4 d, 7 d, 12 d, 28 d], response: 50 %}, "
        "dropout: {unimproved: 30 %, recovered: 3 %, source: assumed}}"
    )
    found = replicate(cohort, n_draws=32, patients_per_draw=32)
    response = {
        (p.time_h / 24.0, p.analysis): p.value for p in found.predictions if p.statistic is Statistic.RESPONSE_PCT
    }
    for day in (12.0, 28.0):
        gain = response[day, Analysis.COMPLETERS] - response[day, Analysis.INTENTION_TO_TREAT]
        assert 2.0 < gain < 12.0
