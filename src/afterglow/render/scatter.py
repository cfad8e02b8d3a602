"""Panels of measured points against predictions: observed against predicted, residuals, checks over time and dose."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

from afterglow.render.axes import Box, Scale, draw_value_axis, nice_ticks, tick_labels
from afterglow.render.chart import Canvas, Chart, Column, Drawing, Table, check_finite, finish_chart
from afterglow.render.marks import draw_key, measured_point
from afterglow.render.svg import Markup, area, curve, join, line, text
from afterglow.render.text import format_significant
from afterglow.render.tokens import colour

_HEIGHT_PX: Final = 232.0
_LEFT_PX: Final = 52.0
_GAP_PX: Final = 96.0


@dataclass(frozen=True, slots=True, kw_only=True)
class ScatterPoint:
    """A measured value; `low` and `high` are the predicted interval at its place, `control` a hollow mark."""

    label: str
    x: float
    y: float
    low: float | None = None
    middle: float | None = None
    high: float | None = None
    control: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class ScatterPanel:
    """One plot.

    Attributes:
        heading: what it shows.
        x_label, y_label: of the axes, with units.
        points: what was measured.
        line: a line that the points should follow, as (x, y) pairs.
        band: a predicted curve with its 90 % interval, as (x, low, middle, high).
        levels: values of y that are marked, as the ends of a 90 % interval.
        log_x: a logarithmic horizontal axis; ticks are then given in `x_ticks`.
        y_ends: values that the vertical axis holds at least.
        x_ticks: places and words on the horizontal axis; empty takes round numbers.
    """

    heading: str
    x_label: str
    y_label: str
    points: tuple[ScatterPoint, ...]
    line: tuple[tuple[float, float], ...] = ()
    band: tuple[tuple[float, float, float, float], ...] = ()
    levels: tuple[float, ...] = ()
    y_ends: tuple[float, ...] = ()
    log_x: bool = False
    x_ticks: tuple[tuple[float, str], ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class ScatterData:
    """Panels under one title; `summary` says in words what they show."""

    title: str
    summary: str
    panels: tuple[ScatterPanel, ...]


def scatter_chart(data: ScatterData) -> Chart:
    """The panels, two side by side on a page and one under the other on a phone.

    Raises: InvalidData for a value that is not finite.

    >>> panel = ScatterPanel(heading="a", x_label="x", y_label="y", points=(ScatterPoint(label="p", x=1.0, y=2.0),))
    >>> scatter_chart(ScatterData(title="Two", summary="One point.", panels=(panel,))).table.rows
    (('a', 'p', '1.00', '2.00', '', ''),)
    """
    for panel in data.panels:
        told = [v for p in panel.points for v in (p.x, p.y, p.low, p.middle, p.high) if v is not None]
        check_finite(f"{data.title}, {panel.heading}", [*told, *(v for at in panel.band for v in at)])
    headings = ("Panel", "Figure", "Horizontal", "Observed", "Low", "High")
    rows = tuple(
        (
            panel.heading,
            p.label,
            format_significant(p.x),
            format_significant(p.y),
            *("" if v is None else format_significant(v) for v in (p.low, p.high)),
        )
        for panel in data.panels
        for p in panel.points
    )
    table = Table(
        caption=data.title, columns=tuple(Column(heading=h, numeric=i > 1) for i, h in enumerate(headings)), rows=rows
    )
    return finish_chart(data.title, data.summary, table, lambda canvas: _draw(data, canvas))


def _draw(data: ScatterData, canvas: Canvas) -> Drawing:
    across = 1 if canvas.narrow else 2
    width = (canvas.width_px - _LEFT_PX * across - 24.0 * (across - 1)) / across
    pieces, top = [], 4.0
    for first in range(0, len(data.panels), across):
        for column, panel in enumerate(data.panels[first : first + across]):
            left = _LEFT_PX + column * (width + _LEFT_PX + 24.0)
            box = Box(left=left, right=left + width - 8.0, top=top + 40.0, bottom=top + 40.0 + _HEIGHT_PX)
            pieces.append(_panel(panel, box))
        top += _HEIGHT_PX + _GAP_PX
    key, height = draw_key(
        canvas,
        [
            ("measured", "observed"),
            ("measured control", "observed, no ketamine"),
            ("predicted interval", "predicted, 90 %"),
        ],
        0,
        top,
    )
    return join(*pieces, key), top + height


def _panel(panel: ScatterPanel, box: Box) -> Markup:
    place = math.log10 if panel.log_x else float
    xs = [p.x for p in panel.points] + [x for x, _ in (*panel.line, *panel.x_ticks)] + [x for x, *_ in panel.band]
    ys = [v for p in panel.points for v in (p.y, p.low, p.high) if v is not None]
    ys += [y for _, y in panel.line] + [v for at in panel.band for v in at[1:]] + [*panel.levels, *panel.y_ends]
    across, up = _scale(list(map(place, xs)), box.left + 8.0, box.right - 8.0), _scale(ys, box.bottom, box.top)
    ticks = _ticks(up)
    pieces = [
        text(panel.heading, box.left, box.top - 24.0, tone="ink", bold=True),
        text(panel.y_label, box.left, box.top - 7.0, tone="ink3"),
        draw_value_axis(box, up, ticks, tick_labels(ticks)),
        line((box.left, box.bottom), (box.right, box.bottom), "edge"),
        text(panel.x_label, (box.left + box.right) / 2, box.bottom + 38.0, tone="ink3", anchor="middle"),
    ]
    round_ticks = _ticks(across)
    marks = [(place(x), word) for x, word in panel.x_ticks] or list(
        zip(round_ticks, tick_labels(round_ticks), strict=True)
    )
    for x, word in marks:
        pieces.append(line((across(x), box.bottom), (across(x), box.bottom + 5.0), "edge"))
        pieces.append(text(word, across(x), box.bottom + 20.0, tone="ink3", anchor="middle"))
    pieces += [line((box.left, up(y)), (box.right, up(y)), "ink2", 1.0, "2 3") for y in panel.levels]
    if panel.band:
        at = [across(place(x)) for x, *_ in panel.band]
        low, middle, high = ([up(one[k]) for one in panel.band] for k in (1, 2, 3))
        pieces.append(area(list(zip(at, high, strict=True)), list(zip(at, low, strict=True)), colour("predicted-90")))
        pieces.append(curve(list(zip(at, middle, strict=True)), "predicted", 1.75))
    if panel.line:
        pieces.append(curve([(across(place(x)), up(y)) for x, y in panel.line], "predicted", 1.5))
    for p in panel.points:
        x = across(place(p.x))
        if p.low is not None and p.high is not None:
            upper, lower = [(x - 4.0, up(p.high)), (x + 4.0, up(p.high))], [(x - 4.0, up(p.low)), (x + 4.0, up(p.low))]
            pieces.append(area(upper, lower, colour("predicted-90")))
            pieces.append(line((x, up(p.low)), (x, up(p.high)), "predicted", 0.75))
        if p.middle is not None:
            pieces.append(line((x - 5.0, up(p.middle)), (x + 5.0, up(p.middle)), "predicted", 2.25))
    pieces += [measured_point(across(place(p.x)), up(p.y), control=p.control, radius_px=3.6) for p in panel.points]
    return join(*pieces)


def _ticks(scale: Scale) -> list[float]:
    """Round numbers inside the panel."""
    return [tick for tick in nice_ticks(scale.low, scale.high, 5) if scale.low <= tick <= scale.high]


def _scale(values: list[float], start_px: float, end_px: float) -> Scale:
    low, high = min(values), max(values)
    margin = 0.05 * (high - low) or 1.0
    return Scale(low=low - margin, high=high + margin, start_px=start_px, end_px=end_px)
