"""Chart of acute effects: the chance of being dissociated or sedated, and rises of pressure and pulse, after a dose."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from afterglow.quantities import format_duration
from afterglow.render.axes import (
    TIME_AXIS_PX,
    Box,
    EndLabel,
    Scale,
    draw_end_labels,
    draw_time_axis,
    draw_value_axis,
    nice_ticks,
    tick_labels,
)
from afterglow.render.chart import Canvas, Chart, Drawing, Table, check_finite, check_series, finish_chart
from afterglow.render.marks import LANE_PX, DoseMark, Mark, Series, band, dose_lane, draw_key, side_text
from afterglow.render.svg import Markup, curve, join, line, text
from afterglow.render.text import format_number, format_percent

_Z90: Final = 1.645
_CHANCE_PX, _RISE_PX, _GAP_PX = 150.0, 104.0, 22.0
_DASHES: Final = ((None, "solid line"), ("7 4", "dashed line"), ("2 3", "dotted line"))


@dataclass(frozen=True, slots=True, kw_only=True)
class ChanceCurve:
    """The chance of an effect, a fraction at each time; `name` as "Dissociated"."""

    name: str
    chance: Series


@dataclass(frozen=True, slots=True, kw_only=True)
class RiseCurve:
    """A rise over the value before the dose: mean, and its standard deviation between people, in `unit`."""

    name: str
    unit: str
    mean: Series
    sd: Series


@dataclass(frozen=True, slots=True, kw_only=True)
class AcuteData:
    """Acute effects after the start of one session.

    Attributes:
        time_h: increasing, h since the session's start.
        chances: one panel, up to three curves.
        rises: a panel each.
        dose: what was given.
        table: the same data as text.
    """

    title: str
    time_h: Series
    chances: tuple[ChanceCurve, ...]
    rises: tuple[RiseCurve, ...]
    dose: DoseMark
    table: Table


def acute_chart(data: AcuteData) -> Chart:
    """Chances of effects over time, rises under them with the 90 % range of people, the dose below.

    Raises: InvalidData for series that are unequal, too short or not finite.
    """
    for chance in data.chances:
        check_series(chance.name, time_h=data.time_h, chance=chance.chance)
    for rise in data.rises:
        check_series(rise.name, time_h=data.time_h, mean=rise.mean, sd=rise.sd)
    check_finite(data.title, data.time_h)
    return finish_chart(data.title, _sentence(data), data.table, lambda canvas: _draw(data, canvas))


def _highest(values: Series) -> int:
    return max(range(len(values)), key=lambda i: values[i])


def _sentence(data: AcuteData) -> str:
    said = [
        f"{one.name} {format_percent(100 * one.chance[at], predicted=True)} at {format_duration(data.time_h[at])}"
        for one in data.chances
        for at in [_highest(one.chance)]
        if at < len(data.time_h) - 1  # what only grows has no highest
    ]
    said += [
        f"{one.name} {format_number(one.mean[at])} {one.unit} at {format_duration(data.time_h[at])}"
        for one in data.rises
        for at in [_highest(one.mean)]
    ]
    return f"Predicted, at the highest: {'; '.join(said)}."


def _draw(data: AcuteData, canvas: Canvas) -> Drawing:
    left, right = (44.0, canvas.width_px - 8) if canvas.narrow else (172.0, canvas.width_px - 132)
    heading_px = 26.0 if canvas.narrow else 0.0
    times = Scale(low=0.0, high=data.time_h[-1], start_px=left, end_px=right)
    box = Box(left=left, top=12 + heading_px, right=right, bottom=12 + heading_px + _CHANCE_PX)
    pieces = [_chances(data, canvas, box, times)]
    for one in data.rises:
        top = box.bottom + _GAP_PX + heading_px
        box = Box(left=left, top=top, right=right, bottom=top + _RISE_PX)
        pieces.append(_rise(data, one, canvas, box, times))
    lane = Box(left=left, top=box.bottom + 12, right=right, bottom=box.bottom + 12 + LANE_PX)
    pieces.append(dose_lane((data.dose,), canvas, lane, times, name="Dose"))
    pieces.append(draw_time_axis(lane, times, origin="since the session began"))
    entries: list[tuple[Mark, str]] = [("median and 90 %", "Mean and 90 % of people"), ("dose", "Dose")]
    key, key_px = draw_key(canvas, entries, 0 if canvas.narrow else left, lane.bottom + TIME_AXIS_PX)
    bottom = lane.bottom + TIME_AXIS_PX + key_px
    if not canvas.narrow:
        return join(*pieces, key), bottom
    names = []
    for chance, (dash, _) in zip(data.chances, _DASHES, strict=False):
        names.append(line((0, bottom + 8), (26, bottom + 8), "predicted", 2.0, dash))
        names.append(text(chance.name, 34, bottom + 12.5))
        bottom += 20
    return join(*pieces, key, *names), bottom + 4


def _chances(data: AcuteData, canvas: Canvas, box: Box, times: Scale) -> Markup:
    """All chances in one panel, each with a dash of its own and its name at the right end."""
    values, ticks = Scale(low=0.0, high=100.0, start_px=box.bottom, end_px=box.top), [0.0, 25.0, 50.0, 75.0, 100.0]
    pieces = [
        side_text(["Chance, % of people"], [], 0, box.top - 12)
        if canvas.narrow
        else side_text(["Chance"], ["% of people"], 0, box.top + 12),
        draw_value_axis(box, values, ticks, tick_labels(ticks)),
    ]
    ends = []
    for one, (dash, name) in zip(data.chances, _DASHES, strict=False):
        points = values.points(times, data.time_h, [100.0 * chance for chance in one.chance])
        pieces.append(curve(points, "predicted", 2.0, dash))
        top = format_percent(100 * max(one.chance), predicted=True)
        ends.append(EndLabel(at_px=points[-1][1], name=one.name, tone="predicted", details=(f"up to {top},", name)))
    return join(*pieces) if canvas.narrow else join(*pieces, draw_end_labels(ends, box))


def _rise(data: AcuteData, one: RiseCurve, canvas: Canvas, box: Box, times: Scale) -> Markup:
    low = tuple(mean - _Z90 * sd for mean, sd in zip(one.mean, one.sd, strict=True))
    high = tuple(mean + _Z90 * sd for mean, sd in zip(one.mean, one.sd, strict=True))
    ticks = nice_ticks(min(0.0, *low), max(*high), 4)
    values = Scale(low=ticks[0], high=ticks[-1], start_px=box.bottom, end_px=box.top)
    at = _highest(one.mean)
    peak, when = f"Up to {format_number(one.mean[at])}", f"at {format_duration(data.time_h[at])}"
    if canvas.narrow:
        names = side_text([f"{one.name}, {one.unit}"], [], 0, box.top - 12)
    else:
        names = join(
            side_text([one.name], [one.unit], 0, box.top + 12),
            side_text([peak], [when], box.right + 14, box.top + 12),
        )
    return join(
        names,
        draw_value_axis(box, values, ticks, tick_labels(ticks)),
        band(times, values, data.time_h, low, high, tone="predicted-90"),
        curve(values.points(times, data.time_h, one.mean), "predicted", 2.25),
    )
