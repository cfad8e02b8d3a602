"""The chart of one scale's scores: what it says, what it leaves out."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from afterglow.errors import InvalidData
from afterglow.render.axes import Calendar
from afterglow.render.marks import DoseMark, ObservedPoint
from afterglow.render.panels import SeverityBand, Threshold
from afterglow.render.scores import ScoresData, scores_chart

DATA = ScoresData(
    title="PHQ-9 and sessions",
    calendar=Calendar(origin_at=datetime(2026, 1, 5, 9, tzinfo=UTC), zone="Europe/Zurich"),
    score_name="PHQ-9",
    lowest=0,
    highest=27,
    now_h=24.0 * 80,
    scores=(
        ObservedPoint(time_h=0, value=21),
        ObservedPoint(time_h=24 * 7, value=14),
        ObservedPoint(time_h=24 * 70, value=9),
    ),
    severity_of=("severe", "moderate", "mild"),
    sessions=(DoseMark(time_h=24, label="IV"),),
    thresholds=(Threshold(name="Remission", definition="under 5", score=5),),
    severity=(SeverityBand(name="Minimal", low=0, high=5), SeverityBand(name="Mild", low=5, high=27)),
)


def test_it_says_in_words_what_it_shows() -> None:
    chart = scores_chart(DATA)
    assert chart.summary == "3 PHQ-9 scores, from 21 on 5 Jan 2026 to 9 on 16 Mar 2026."
    assert chart.table.rows == (
        ("16 Mar 2026", "9", "mild"),
        ("12 Jan 2026", "14", "moderate"),
        ("5 Jan 2026", "21", "severe"),
    )
    assert "Remission" in chart.svg
    assert "Severe" not in chart.svg


def test_a_silence_of_nine_weeks_breaks_the_line() -> None:
    joined = replace(DATA, scores=tuple(replace(one, time_h=one.time_h / 10) for one in DATA.scores))
    lines = [chart.svg.count("<polyline") + chart.svg.count("<path") for chart in map(scores_chart, (DATA, joined))]
    assert scores_chart(DATA).svg != scores_chart(joined).svg
    assert lines[0] == lines[1]  # one line of two points, or one of three


def test_one_score_is_a_chart_too() -> None:
    one = replace(DATA, scores=DATA.scores[:1], severity_of=("severe",), sessions=(), thresholds=(), severity=())
    assert scores_chart(one).summary == "One PHQ-9 score: 21 on 5 Jan 2026."


def test_what_no_axis_can_hold_is_refused() -> None:
    bad = replace(DATA, scores=(ObservedPoint(time_h=0, value=float("nan")),), severity_of=("",))
    with pytest.raises(InvalidData, match="cannot be drawn"):
        scores_chart(bad)
