"""Panels of points against predictions."""

import pytest

from afterglow.errors import InvalidData
from afterglow.render.scatter import ScatterData, ScatterPanel, ScatterPoint, scatter_chart


def chart(*points: ScatterPoint, **more: object) -> ScatterData:
    """One panel with a line, a level and given ticks."""
    panel = ScatterPanel(heading="Panel", x_label="x", y_label="y", points=points, **more)  # type: ignore[arg-type]
    return ScatterData(title="Title", summary="Summary.", panels=(panel, panel, panel))


def test_points_intervals_and_lines_are_drawn_in_both_sizes() -> None:
    points = (
        ScatterPoint(label="a", x=2.0, y=1.0, low=0.5, middle=1.1, high=2.0),
        ScatterPoint(label="b", x=200.0, y=3.0, control=True),
    )
    found = scatter_chart(
        chart(
            *points, log_x=True, x_ticks=((2.0, "2 h"), (200.0, "8 d")), line=((2.0, 0.0), (200.0, 4.0)), levels=(1.5,)
        )
    )
    assert found.svg.count("<circle") >= 3
    assert "8 d" in found.narrow_svg
    assert found.table.rows[0] == ("Panel", "a", "2.00", "1.00", "0.500", "2.00")
    assert len(found.table.rows) == 6


def test_one_point_alone_has_an_axis() -> None:
    assert "<svg" in scatter_chart(chart(ScatterPoint(label="a", x=0.0, y=0.0))).svg


def test_what_is_not_finite_is_refused() -> None:
    with pytest.raises(InvalidData, match="Title, Panel"):
        scatter_chart(chart(ScatterPoint(label="a", x=float("nan"), y=1.0)))
