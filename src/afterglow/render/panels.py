"""Panels that charts of relief share: the severity of a score, the fan of a prediction, and the afterglow strip."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Final

import numpy as np

from afterglow.render.axes import (
    Box,
    EndLabel,
    Scale,
    draw_end_labels,
    draw_value_axis,
    nice_ticks,
    spread_labels,
    tick_labels,
)
from afterglow.render.chart import Canvas
from afterglow.render.marks import LINE_PX, Series, band, rectangle, side_text
from afterglow.render.svg import AXIS_PX, NOTHING, Markup, area, curve, join, text
from afterglow.render.text import wrap_text
from afterglow.render.tokens import DRUG_LAYERS, colour

_LABEL_PX: Final = 34.0  # of "50 %" in bold


@dataclass(frozen=True, slots=True, kw_only=True)
class SeverityBand:
    """A named range of a score."""

    name: str
    low: float
    high: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Threshold:
    """A named line of a score: response, remission, relapse; a rule for action is dotted."""

    name: str
    definition: str
    score: float
    dotted: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Fan:
    """A prediction over time: its median with its 50 and 90 % ranges; series equally long, `time_h` increasing."""

    time_h: Series
    median: Series
    lo50: Series
    hi50: Series
    lo90: Series
    hi90: Series


@dataclass(frozen=True, slots=True, kw_only=True)
class Relief:
    """Points of relief over time and what they are made of.

    Attributes:
        time_h: increasing.
        drug_layers: the drug part split by session, oldest first, each at `time_h`; one layer when not split.
        expectancy, care: the other parts.
    """

    time_h: Series
    drug_layers: tuple[Series, ...]
    expectancy: Series
    care: Series

    @property
    def levels(self) -> list[Series]:
        """The stack from zero: under the first layer, over each layer, over expectancy, over care (the sum)."""
        parts = [*self.drug_layers, self.expectancy, self.care]
        return list(accumulate(parts, _add, initial=(0.0,) * len(self.time_h)))


Rest = list[tuple[float, float, float]]
"""A stretch of measured relief on one side of the sum: times with the sum and the measured relief at each."""


def not_explained(relief: Relief, measured_h: Series, measured: Series) -> list[Rest]:
    """Where measured relief, joined by straight lines, lies above or below the sum of its parts.

    Args:
        relief: the parts.
        measured_h: increasing, at least one.
        measured: relief at each.

    Examples:
        >>> parts = Relief(time_h=(0.0, 24.0), drug_layers=((0.0, 2.0),), expectancy=(0.0, 1.0), care=(0.0, 0.0))
        >>> not_explained(parts, (0.0, 24.0), (0.0, 5.0))
        [[(24.0, 3.0, 5.0)]]
    """
    at = sorted({*measured_h, *(t for t in relief.time_h if measured_h[0] <= t <= measured_h[-1])})
    sums, found = np.interp(at, relief.time_h, relief.levels[-1]), np.interp(at, measured_h, measured)
    rests: list[Rest] = []
    above = None
    for t, total, reached in zip(at, sums.tolist(), found.tolist(), strict=True):
        if (reached > total) != above or reached == total:
            rests.append([])
        above = reached > total
        if reached != total:
            rests[-1].append((t, total, reached))
    return [rest for rest in rests if rest]


def score_axis(
    box: Box, severity: Sequence[SeverityBand], *, lowest: float, highest: float, told: Sequence[float]
) -> tuple[Scale, list[float]]:
    """The score axis and its ticks: severity borders where they are named, else round numbers.

    It holds everything that is told; empty height above is cut off.
    """
    top = min(nice_ticks(lowest, max(told), 5)[-1], highest)
    if top > 0.8 * highest:
        top = highest
    borders = [band.low for band in severity if band.low < top]
    round_ticks = [tick for tick in nice_ticks(lowest, top, 5) if tick <= top]
    ticks = sorted({*borders, lowest, top}) if borders else round_ticks
    return Scale(low=lowest, high=top, start_px=box.bottom, end_px=box.top), ticks


def draw_severity(bands: Sequence[SeverityBand], canvas: Canvas, box: Box, values: Scale) -> Markup:
    """Two greys by turns, named at the left; the phone's drawing has no room for the names and so no bands."""
    shown = [one for one in bands if not canvas.narrow and one.low < values.high and one.high > values.low]
    edges = [(values(max(one.low, values.low)), values(min(one.high, values.high))) for one in shown]
    centres = spread_labels([sum(ends) / 2 for ends in edges], [LINE_PX] * len(edges), low=box.top, high=box.bottom)
    pieces = []
    for i, (one, (low, high), centre) in enumerate(zip(shown, edges, centres, strict=True)):
        fill = colour("band-a" if i % 2 else "band-b")
        pieces.append(rectangle(box.left, high, box.right - box.left, low - high, fill))
        pieces.append(text(one.name, 0, centre + 4.5, tone="ink3"))
    return join(*pieces)


def draw_fan(fan: Fan, box: Box, times: Scale, values: Scale) -> Markup:
    """Both bands and the median; "50 %" and "90 %" inside the lower half, where it is high enough to hold them."""
    pieces = [
        band(times, values, fan.time_h, fan.lo90, fan.hi90, tone="predicted-90"),
        band(times, values, fan.time_h, fan.lo50, fan.hi50, tone="predicted-50"),
        curve(values.points(times, fan.time_h, fan.median), "predicted", 2.25),
    ]
    x = box.right - _LABEL_PX / 2 - 10
    xs = [times(time_h) for time_h in fan.time_h]
    median, lo50, lo90 = (float(np.interp(x, xs, [values(v) for v in s])) for s in (fan.median, fan.lo50, fan.lo90))
    for label, outer, inner in (("50 %", lo50, median), ("90 %", lo90, lo50)):
        if outer - inner >= 14:
            pieces.append(text(label, x, (outer + inner) / 2 + 4.5, tone="ink", bold=True, anchor="middle"))
    return join(*pieces)


def draw_afterglow(
    relief: Relief,
    canvas: Canvas,
    box: Box,
    times: Scale,
    *,
    rests: Sequence[Rest] = (),
    now_h: float | None = None,
    unit: str = "points of relief",
) -> Markup:
    """Relief stacked from zero: drug by session, expectancy, care; their sum in blue.

    Args:
        relief: the parts.
        canvas: the page's or the phone's.
        box: the strip.
        times: of the course.
        rests: measured relief that the sum does not reach, or goes beyond, left empty within dashes.
        now_h: after it everything lightens by a third; None for a course without a today.
        unit: what the heights are.
    """
    levels = relief.levels
    told = [value for level in levels for value in level] + [high for rest in rests for _, _, high in rest]
    ticks = nice_ticks(min(told), max(told), 3)
    values = Scale(low=ticks[0], high=ticks[-1], start_px=box.bottom, end_px=box.top)
    px = [values.points(times, relief.time_h, level) for level in levels]
    pieces = [draw_value_axis(box, values, ticks, tick_labels(ticks)), _layers(px[:-2])]
    # Care may be negative: drawn last, its dots then lie over the drug that they take back.
    pieces += [area(px[-2], px[-3], canvas.hatch), area(px[-1], px[-2], canvas.dots)]
    pieces.append(curve(px[-3], "drug", 2.25))
    if now_h is not None:
        left = times(now_h)
        pieces.append(rectangle(left, box.top, box.right - left, box.bottom - box.top, colour("surface"), opacity=0.34))
    pieces.append(curve(px[-1], "predicted", 2.25))
    for rest in rests:
        (start, foot, _), (end, last, _) = rest[0], rest[-1]
        outline = [(start, foot), *((at, high) for at, _, high in rest), (end, last)]
        pieces.append(curve([(times(at), values(height)) for at, height in outline], "ink3", 1.25, "4 3"))
    if canvas.narrow:
        return join(*pieces, side_text([f"The afterglow, {unit}"], [], 0, box.top - 14))
    about = "each session and their sum" if len(relief.drug_layers) > 1 else "and what they are made of"
    drug, hoped, total = (level[-1][1] for level in px[-3:])
    ends = [
        EndLabel(at_px=total, name="Sum", tone="predicted"),
        EndLabel(at_px=(total + hoped) / 2, name="Care and time", tone="care"),
        EndLabel(at_px=(hoped + drug) / 2, name="Expectancy", tone="expectancy"),
        EndLabel(at_px=(drug + values(0.0)) / 2, name="Drug", tone="drug"),
    ]
    words = side_text(["The afterglow"], wrap_text(f"{unit}, {about}", AXIS_PX, 112), 0, box.top + 12)
    return join(*pieces, words, draw_end_labels(ends, box))


def _layers(edges: Sequence[Sequence[tuple[float, float]]]) -> Markup:
    """The sessions' layers, oldest palest; a line of surface parts those that are high enough to be seen."""
    pieces, lines = [], []
    newest = DRUG_LAYERS - 1
    count = len(edges) - 1
    for i in range(count):
        step = newest - (count - 1 - i) * newest // max(1, count - 1)
        pieces.append(area(edges[i + 1], edges[i], colour(f"drug-layer-{step}")))
        thickest = max(low - high for (_, low), (_, high) in zip(edges[i], edges[i + 1], strict=True))
        lines.append(curve(edges[i + 1], "surface", 1.0) if i + 1 < count and thickest >= 3 else NOTHING)
    return join(*pieces, *lines)


def _add(low: Series, part: Series) -> Series:
    return tuple(a + b for a, b in zip(low, part, strict=True))
