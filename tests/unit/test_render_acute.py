"""The chart of acute effects: one panel of chances, one of each rise, the dose, and the table beneath."""

from __future__ import annotations

from dataclasses import replace

import pytest
from tests.unit.test_render_charts import tree, words

from afterglow.errors import InvalidData
from afterglow.render.acute import AcuteData, ChanceCurve, RiseCurve, acute_chart
from afterglow.render.chart import Column, Table
from afterglow.render.marks import DoseMark

TABLE = Table(caption="By time", columns=(Column(heading="Time"),), rows=(("1 h",),))
DATA = AcuteData(
    title="Effects of a session",
    time_h=(0.0, 0.5, 1.0, 2.0),
    chances=(
        ChanceCurve(name="Dissociated", chance=(0.0, 0.4, 0.2, 0.001)),
        ChanceCurve(name="Sedated", chance=(0.0, 0.2, 0.1, 0.0)),
        ChanceCurve(name="Likely ready", chance=(0.0, 0.0, 0.5, 0.998)),
    ),
    rises=(RiseCurve(name="Systolic rise", unit="mmHg", mean=(0.0, 12.0, 8.0, 2.0), sd=(0.0, 10.0, 8.0, 4.0)),),
    dose=DoseMark(time_h=0.0, duration_h=0.7, label="0.5 mg/kg IV"),
    table=TABLE,
)


def test_it_says_what_is_highest_and_when() -> None:
    chart = acute_chart(DATA)
    assert chart.summary == (
        "Predicted, at the highest: Dissociated 40 % at 30 min; Sedated 20 % at 30 min; "
        "Systolic rise 12 mmHg at 30 min."
    )
    assert chart.table is TABLE


@pytest.mark.parametrize("narrow", [False, True])
def test_each_curve_is_named_and_has_a_dash_of_its_own(narrow: bool) -> None:  # noqa: FBT001
    chart = acute_chart(DATA)
    said = words(tree(chart, narrow=narrow))
    for name in ("Dissociated", "Sedated", "Likely ready", "Systolic rise"):
        assert any(each.startswith(name) for each in said)
    drawn = chart.narrow_svg if narrow else chart.svg
    assert 'stroke-dasharray="7 4"' in drawn
    assert 'stroke-dasharray="2 3"' in drawn
    if not narrow:
        assert "up to 40 %," in said
        assert "dashed line" in said


def test_what_cannot_be_drawn_is_refused() -> None:
    with pytest.raises(InvalidData, match="differ in length"):
        acute_chart(replace(DATA, chances=(ChanceCurve(name="Dissociated", chance=(0.0, 0.4)),)))
    with pytest.raises(InvalidData, match="cannot be drawn"):
        acute_chart(replace(DATA, rises=(replace(DATA.rises[0], sd=(0.0, float("nan"), 1.0, 1.0)),)))
