"""The marks of the chart grammar: ink is measured, blue is predicted, plum is the drug, dashed grey the control arm.

Each mark has a shape, dash or texture of its own, so that no chart needs its colours to be read.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Final, Literal

from afterglow.quantities import format_duration
from afterglow.render.axes import Box, Scale
from afterglow.render.chart import Canvas, Drawing
from afterglow.render.svg import AXIS_PX, Markup, Point, area, curve, element, join, line, path, text
from afterglow.render.text import format_range, text_width
from afterglow.render.tokens import colour
from afterglow.therapy.kinetics import FloatArray
from afterglow.therapy.regimen import DoseAdministration, Regimen

Mark = Literal[
    "measured",
    "measured control",
    "median, 50 and 90 %",
    "median and 90 %",
    "predicted interval",
    "control",
    "dose",
    "drug",
    "labile",
    "consolidated",
    "expectancy",
    "care",
    "pooled",
    "pooled hollow",
    "trial",
    "trial hollow",
    "new trial",
    "threshold",
    "relapse rule",
    "planned dose",
    "next due",
    "not explained",
    "bands",
    "site limit",
]

Series = tuple[float, ...]

_POINT_PX: Final = 4.6
LINE_PX: Final = 17.0
LANE_PX: Final = 30.0
JOINED_WITHIN_H: Final = 35 * 24.0
"""Scores come at least monthly: a longer silence is a gap in the line that joins them, h."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ObservedPoint:
    """A measured value at a time, with its interval when the source gives one."""

    time_h: float
    value: float
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class DoseMark:
    """A dose or session: when it started, how long it ran, what was given ("0.5 mg/kg IV"), whether it is planned."""

    time_h: float
    duration_h: float = 0.0
    label: str = ""
    planned: bool = False


def dose_marks(regimen: Regimen, *, planned: bool = False) -> tuple[DoseMark, ...]:
    """The sessions of a regimen as a chart marks them."""
    return tuple(
        DoseMark(time_h=given.at_h, duration_h=given.duration_h, label=_dose_name(given), planned=planned)
        for given in regimen.administrations
    )


def _dose_name(given: DoseAdministration) -> str:
    amount = str(given.dose) if given.dose is not None else ", then ".join(str(step.rate) for step in given.steps)
    return f"{amount} {given.route.value.upper() if len(given.route.value) == 2 else given.route}"


def series(values: FloatArray) -> tuple[float, ...]:
    """A curve as a chart takes it."""
    return tuple(float(value) for value in values)


def observed_cell(point: ObservedPoint, write: Callable[[float], str]) -> str:
    """A measured value for a table, with its interval when it has one."""
    if point.low is None or point.high is None:
        return write(point.value)
    return f"{write(point.value)} ({format_range(write(point.low), write(point.high))})"


def rectangle(
    left: float,
    top: float,
    width: float,
    height: float,
    fill: str,
    *,
    edge: str | None = None,
    edge_px: float = 1.25,
    dash: str | None = None,
    opacity: float | None = None,
) -> Markup:
    """A rectangle; `fill` is a colour or a pattern, `edge` a token."""
    return element(
        "rect",
        x=left,
        y=top,
        width=width,
        height=height,
        fill=fill,
        stroke=colour(edge) if edge else None,
        stroke_width=edge_px if edge else None,
        stroke_dasharray=dash,
        opacity=opacity,
    )


def measured_point(x: float, y: float, *, control: bool = False, radius_px: float = _POINT_PX) -> Markup:
    """A measured value: an ink point with a ring of surface; a control arm's is a hollow square."""
    if control:
        return square(x, y, 4.0, hollow=True)
    return element("circle", cx=x, cy=y, r=radius_px, fill=colour("ink"), stroke=colour("surface"), stroke_width=1.6)


def square(x: float, y: float, half_px: float, *, hollow: bool) -> Markup:
    """One trial, or a measured control arm when hollow."""
    fill = colour("surface" if hollow else "ink")
    return rectangle(x - half_px, y - half_px, 2 * half_px, 2 * half_px, fill, edge="ink")


def diamond(left: float, middle: float, right: float, y: float, *, hollow: bool) -> Markup:
    """A pooled result, as wide as its interval."""
    return element(
        "path",
        d=path([(left, y), (middle, y - 6), (right, y), (middle, y + 6)]) + "Z",
        fill=colour("surface" if hollow else "ink"),
        stroke=colour("ink"),
        stroke_width=1.25,
        stroke_linejoin="round",
    )


def whisker(left: float, right: float, y: float) -> Markup:
    """A measured interval with end caps."""
    caps = (line((x, y - 4), (x, y + 4), "ink", 1.25) for x in (left, right))
    return join(line((left, y), (right, y), "ink", 1.25), *caps)


def bracket(left: float, right: float, y: float, *, open_left: bool = False, open_right: bool = False) -> Markup:
    """A predicted span of dates, with a cap at each end that is known."""
    ends = ((left, open_left), (right, open_right))
    caps = (line((x, y - 5), (x, y + 5), "predicted", 1.5) for x, is_open in ends if not is_open)
    return join(line((left, y), (right, y), "predicted", 1.5), *caps)


def due_diamond(x: float, y: float) -> Markup:
    """The date by which the next session is due."""
    corners = [(x - 5.5, y), (x, y - 5.5), (x + 5.5, y), (x, y + 5.5)]
    return element("path", d=path(corners) + "Z", fill=colour("predicted"))


def predicted_bar(left: float, middle: float, right: float, y: float) -> Markup:
    """A predicted interval: a 90 % bar with edges and a tick at its median."""
    bar = rectangle(left, y - 6, right - left, 12, colour("predicted-90"), edge="predicted", edge_px=0.75)
    return join(bar, line((middle, y - 8), (middle, y + 8), "predicted", 2.25))


def time_scale(time_h: Series, marks: Iterable[ObservedPoint | DoseMark], left: float, right: float) -> Scale:
    """The time axis of a chart: from 0 h to the end of its curve, or to what was measured or given outside it."""
    told = [0.0, *time_h, *(mark.time_h for mark in marks)]
    return Scale(low=min(told), high=max(told), start_px=left, end_px=right)


def measured_range(points: Iterable[ObservedPoint]) -> list[float]:
    """Every value that an axis must hold to show the points with their intervals."""
    return [value for point in points for value in (point.low, point.value, point.high) if value is not None]


def band(times: Scale, values: Scale, time_h: Series, low: Series, high: Series, *, tone: str) -> Markup:
    """A predicted band with the 0.75 px edges that keep it visible where its fill is faint."""
    upper, lower = values.points(times, time_h, high), values.points(times, time_h, low)
    return join(area(upper, lower, colour(tone)), curve(upper, "predicted", 0.75), curve(lower, "predicted", 0.75))


def observed_marks(
    points: Sequence[ObservedPoint],
    times: Scale,
    values: Scale,
    *,
    control: bool = False,
    shift_px: float = 0.0,
    joined_within_h: float = math.inf,
    last_px: float = _POINT_PX,
) -> Markup:
    """Measured points in ink: error bars below, the joining line, the points on top; the line breaks over a gap."""
    at = [(times(point.time_h) + shift_px, values(point.value)) for point in points]
    bars = []
    for point, (x, _) in zip(points, at, strict=True):
        if point.low is not None and point.high is not None:
            ends = values(point.low), values(point.high)
            bars.append(line((x, ends[0]), (x, ends[1]), "ink", 1.25))
            bars += [line((x - 3.5, y), (x + 3.5, y), "ink", 1.25) for y in ends]
    joined: list[list[Point]] = []
    for i, place in enumerate(at):
        if i and points[i].time_h - points[i - 1].time_h <= joined_within_h:
            joined[-1].append(place)
        else:
            joined.append([place])
    lines = [curve(run, "ink", 1.25, "2 3" if control else None) for run in joined if len(run) > 1]
    sizes = [_POINT_PX] * (len(at) - 1) + [last_px]
    circles = (measured_point(x, y, control=control, radius_px=size) for (x, y), size in zip(at, sizes, strict=False))
    return join(*bars, *lines, *circles)


def dose_lane(doses: Sequence[DoseMark], canvas: Canvas, box: Box, times: Scale, *, name: str) -> Markup:
    """Doses as plum bars in a lane of their own, numbered; bars too close share one range of numbers.

    Planned ones are dashed, empty and without a number. The lane's name stands at the left and, when all doses are
    alike, what was given at the right.
    """
    middle = (box.top + box.bottom) / 2 + 4.5
    pieces = [line((box.left, box.bottom), (box.right, box.bottom), "line")]
    starts = [times(dose.time_h) for dose in doses]
    last = sum(not dose.planned for dose in doses) - 1
    first = 0
    for i, (dose, x) in enumerate(zip(doses, starts, strict=True)):
        if dose.planned:
            top, height = box.top + 3.5, LANE_PX - 7
            pieces.append(rectangle(x - 2.5, top, 5, height, "none", edge="drug", edge_px=1.0, dash="2.5 2"))
            continue
        width = max(3.2, times(dose.time_h + dose.duration_h) - x)
        pieces.append(rectangle(x, box.top + 3, width, LANE_PX - 6, colour("drug")))
        label = str(i + 1) if i == first else f"{first + 1}–{i + 1}"
        right = x + width + 5
        fits = right + text_width(label, AXIS_PX) + 6 <= (starts[i + 1] if i + 1 < len(starts) else box.right + 6)
        if len(doses) > 1 and (fits or i == last):
            at, anchor = (right, None) if fits else (starts[first] - 4, "end")
            pieces.append(text(label, at, middle, tone="ink3", anchor=anchor))
            first = i + 1
    if not canvas.narrow:
        given = {dose.label for dose in doses} or {"none"}
        pieces.append(text(name, 0, middle, tone="ink3"))
        pieces.append(text(given.pop() if len(given) == 1 else "see the table", box.right + 14, middle, tone="ink3"))
    return join(*pieces)


def name_doses(doses: Sequence[DoseMark]) -> str:
    """The doses in words, for a caption: what was given and when."""
    kinds = list(dict.fromkeys(dose.label or "dose" for dose in doses))
    return "; ".join(
        f"{kind} at {', '.join(format_duration(dose.time_h) for dose in doses if (dose.label or 'dose') == kind)}"
        for kind in kinds
    )


def side_text(title: Sequence[str], about: Sequence[str], x: float, y: float) -> Markup:
    """Lines under each other: the title bold in ink, what follows in grey."""
    lines = [(content, True) for content in title] + [(content, False) for content in about]
    return join(
        *(
            text(content, x, y + row * LINE_PX, tone="ink" if bold else "ink3", bold=bold)
            for row, (content, bold) in enumerate(lines)
        )
    )


def draw_key(canvas: Canvas, entries: Sequence[tuple[Mark, str]], left: float, top: float) -> Drawing:
    """The marks in words, in rows that wrap."""
    x, y = left, top
    pieces = []
    for mark, label in entries:
        width = 34 + text_width(label, AXIS_PX)
        if x > left and x + width > canvas.width_px:
            x, y = left, y + 21
        pieces += [_swatch(canvas, mark, x, y + 9), text(label, x + 34, y + 13.5)]
        x += width + 18
    return join(*pieces), y + 24 - top


def _swatch(canvas: Canvas, mark: Mark, x: float, y: float) -> Markup:
    """A mark in a box 26 px wide, centred on `y`."""
    left, middle, right = x + 1, x + 13, x + 25
    match mark:
        case "measured" | "measured control":
            return measured_point(middle, y, control=mark == "measured control")
        case "median, 50 and 90 %" | "median and 90 %":
            inner = [rectangle(left, y - 3.5, 24, 7, colour("predicted-50"))] if "50" in mark else []
            outer = rectangle(left, y - 6, 24, 12, colour("predicted-90"), edge="predicted", edge_px=0.75)
            return join(outer, *inner, line((left, y), (right, y), "predicted", 2.25))
        case "bands":
            outer = rectangle(left, y - 6, 24, 12, colour("predicted-90"), edge="predicted", edge_px=0.75)
            return join(outer, rectangle(left, y - 3, 24, 6, colour("predicted-50"), edge="predicted", edge_px=0.75))
        case "site limit":
            return line((left, y), (right, y), "medium-edge", 1.25, "5 3")
        case "predicted interval":
            return predicted_bar(left, middle, right, y)
        case "control":
            return line((left, y), (right, y), "control", 1.5, "6 4")
        case "dose":
            return rectangle(middle - 1.6, y - 7, 3.2, 14, colour("drug"))
        case "pooled" | "pooled hollow":
            return diamond(left, middle, right, y, hollow=mark == "pooled hollow")
        case "trial" | "trial hollow":
            return join(whisker(left, right, y), square(middle, y, 4, hollow=mark == "trial hollow"))
        case "new trial":
            return line((left, y), (right, y), "ink3", 1.0, "2 2")
        case "threshold" | "relapse rule":
            return line((left, y), (right, y), "ink2", 1.0, "2 3" if mark == "relapse rule" else None)
        case "planned dose":
            return rectangle(middle - 2.5, y - 7, 5, 14, "none", edge="drug", edge_px=1.0, dash="2.5 2")
        case "next due":
            return join(bracket(left, right, y), due_diamond(middle, y))
        case "not explained":
            return rectangle(x + 5, y - 7, 16, 14, "none", edge="ink3", dash="4 3")
        case "drug" | "consolidated" | "labile":
            return rectangle(x + 5, y - 7, 16, 14, colour("drug-layer-3" if mark == "labile" else "drug-fill"))
        case "expectancy":
            return rectangle(x + 5, y - 7, 16, 14, canvas.hatch)
        case _:  # care
            return rectangle(x + 5, y - 7, 16, 14, canvas.dots)
