"""What a forecast says of the coming weeks: the chance of relapse by day, and maintenance intervals side by side."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from afterglow.render.axes import (
    Box,
    Calendar,
    EndLabel,
    Scale,
    draw_calendar_axis,
    draw_end_labels,
    draw_value_axis,
    nice_ticks,
    tick_labels,
)
from afterglow.render.chart import Canvas, Chart, Column, Drawing, Table, check_finite, check_series, finish_chart
from afterglow.render.marks import LINE_PX, Series, due_diamond
from afterglow.render.svg import AXIS_PX, Markup, curve, element, join, line, text
from afterglow.render.text import format_day, format_number, format_percent, text_width
from afterglow.render.tokens import colour

_TABLE_STEP_DAYS: Final = 7


@dataclass(frozen=True, slots=True, kw_only=True)
class RelapseData:
    """The chance of having reached relapse by each day from now on without another session.

    Attributes:
        days: increasing, from 0, which is `now_h` on the calendar.
        chance: at each, a fraction.
        limit: the largest accepted chance, a fraction.
        due_h: the last day under the limit, h on the calendar; None where there is none.
        definition: what relapse is, in words.
    """

    title: str
    calendar: Calendar
    now_h: float
    days: Series
    chance: Series
    limit: float
    due_h: float | None
    definition: str


@dataclass(frozen=True, slots=True, kw_only=True)
class IntervalRow:
    """One maintenance interval: the chance (a fraction) of staying well over 12 weeks, and the sessions it takes."""

    days: int
    chance_well: float
    sessions: int

    @property
    def name(self) -> str:
        """The interval in words.

        >>> IntervalRow(days=14, chance_well=0.9, sessions=6).name
        'every 2 weeks'
        """
        if self.days % 7:
            return f"every {self.days} days"
        return "every week" if self.days == 7 else f"every {self.days // 7} weeks"


@dataclass(frozen=True, slots=True, kw_only=True)
class IntervalData:
    """Maintenance intervals side by side; no trial compared them, and the picture says so."""

    title: str
    rows: tuple[IntervalRow, ...]
    definition: str


def relapse_chart(data: RelapseData) -> Chart:
    """The chance of having reached relapse, with the limit and the day that it sets.

    Args:
        data: `days` and `chance` equally long.
    Raises: InvalidData for series that are unequal, too short or not finite.
    """
    check_series(data.title, time_h=data.days, chance=data.chance)
    return finish_chart(
        data.title, _relapse_sentence(data), _relapse_table(data), lambda canvas: _draw_relapse(data, canvas)
    )


def interval_chart(data: IntervalData) -> Chart:
    """The chance of staying well over the sessions that it takes.

    Args:
        data: at least one row.
    Raises: InvalidData for a chance that is not finite.
    """
    check_finite(data.title, [row.chance_well for row in data.rows])
    return finish_chart(
        data.title, _interval_sentence(data), _interval_table(data), lambda canvas: _draw_intervals(data, canvas)
    )


def _percent(chance: float) -> str:
    return format_percent(100 * chance, predicted=True)


def _at_h(data: RelapseData, day: float) -> float:
    return data.now_h + 24.0 * day


def _relapse_sentence(data: RelapseData) -> str:
    last = data.calendar.at(_at_h(data, data.days[-1])).date()
    half = next((day for day, chance in zip(data.days, data.chance, strict=True) if chance >= 0.5), None)
    median = "under an even chance throughout"
    if half is not None:
        median = f"an even chance by {format_day(data.calendar.at(_at_h(data, half)).date())}"
    return (
        f"Chance of having reached relapse ({data.definition}) without another session: "
        f"{_percent(data.chance[0])} now, {_percent(data.chance[-1])} by {format_day(last)}; {median}."
    )


def _relapse_table(data: RelapseData) -> Table:
    return Table(
        caption=f"{data.title}: week by week",
        columns=(
            Column(heading="Day"),
            Column(heading="Days from now", numeric=True),
            Column(heading="Chance", numeric=True),
        ),
        rows=tuple(
            (
                format_day(data.calendar.at(_at_h(data, day)).date(), weekday=True, year=True),
                format_number(day),
                _percent(chance),
            )
            for day, chance in zip(data.days, data.chance, strict=True)
            if day % _TABLE_STEP_DAYS == 0
        ),
    )


def _draw_relapse(data: RelapseData, canvas: Canvas) -> Drawing:
    left, right = (52.0, canvas.width_px - 10) if canvas.narrow else (150.0, canvas.width_px - 124)
    box = Box(left=left, top=26, right=right, bottom=206)
    times = Scale(low=data.now_h, high=_at_h(data, data.days[-1]), start_px=left, end_px=right)
    ticks = [tick for tick in nice_ticks(0.0, max(100 * max(data.chance), 200 * data.limit), 4) if tick <= 100]
    values = Scale(low=0.0, high=ticks[-1], start_px=box.bottom, end_px=box.top)
    limit = values(100 * data.limit)
    points = [
        (times(_at_h(data, day)), values(100 * chance)) for day, chance in zip(data.days, data.chance, strict=True)
    ]
    pieces = [
        draw_value_axis(box, values, ticks, [f"{label} %" for label in tick_labels(ticks)]),
        line((left, limit), (right, limit), "ink2", 1.0),
        curve(points, "predicted", 2.25),
        draw_calendar_axis(box, times, data.calendar, data.now_h),
    ]
    if data.due_h is not None:
        x = times(data.due_h)
        words = f"Next due by {format_day(data.calendar.at(data.due_h).date(), weekday=True)}"
        at = min(max(x - 6, 0.0), canvas.width_px - text_width(words, AXIS_PX, bold=True))
        pieces += [
            line((x, box.top), (x, box.bottom), "predicted", 1.5),
            due_diamond(x, limit),
            text(words, at, box.top - 10, tone="ink", bold=True),
        ]
    number = format_number(100 * data.limit, 1).removesuffix(".0")
    if canvas.narrow:
        pieces.append(text(f"Limit {number} %", right, limit - 5, tone="ink", bold=True, anchor="end", halo=True))
    else:
        ends = [
            EndLabel(at_px=points[-1][1], name="Chance of relapse", tone="predicted"),
            EndLabel(at_px=limit, name=f"Limit {number} %"),
        ]
        pieces.append(draw_end_labels(ends, box))
    return join(*pieces), box.bottom + 30


def _interval_sentence(data: IntervalData) -> str:
    said = [f"{row.name} {_percent(row.chance_well)} with {row.sessions} sessions" for row in data.rows]
    return (
        f"Chance of staying well ({data.definition}) for 12 weeks, the first session one interval from now: "
        f"{', '.join(said)}. "
        "No trial has compared these intervals: this is the model's extrapolation."
    )


def _interval_table(data: IntervalData) -> Table:
    return Table(
        caption=f"{data.title}: the model's extrapolation",
        columns=(
            Column(heading="Interval"),
            Column(heading="Stays well for 12 weeks", numeric=True),
            Column(heading="Sessions in 12 weeks", numeric=True),
        ),
        rows=tuple(
            (row.name.capitalize(), _percent(row.chance_well), format_number(row.sessions)) for row in data.rows
        ),
    )


def _draw_intervals(data: IntervalData, canvas: Canvas) -> Drawing:
    left, right = (52.0, canvas.width_px - 16) if canvas.narrow else (150.0, canvas.width_px - 124)
    box = Box(left=left, top=26, right=right, bottom=206)
    most = max(row.sessions for row in data.rows)
    counts = nice_ticks(0.0, most, 6)
    across = Scale(low=0.0, high=counts[-1], start_px=left, end_px=right)
    ticks = [0.0, 25.0, 50.0, 75.0, 100.0]
    values = Scale(low=0.0, high=100.0, start_px=box.bottom, end_px=box.top)
    rows = sorted(data.rows, key=lambda row: row.sessions)
    points = [(across(row.sessions), values(100 * row.chance_well)) for row in rows]
    pieces = [
        text("Extrapolation: no trial has compared these intervals", 0 if canvas.narrow else left, 12, tone="ink3"),
        draw_value_axis(box, values, ticks, [f"{label} %" for label in tick_labels(ticks)]),
        curve(points, "predicted", 1.25, "3 4"),
        _count_axis(box, across, counts),
    ]
    placed: list[tuple[float, float, float]] = []  # left end, right end and foot of each label
    labels: list[Markup] = []
    for row, (x, y) in zip(rows, points, strict=True):
        words = f"{row.name.capitalize()}, {_percent(row.chance_well)}"
        width = text_width(words, AXIS_PX)
        at, foot = next(
            (at, foot)
            for at, foot in _places(box, (x, y), width)
            if at + width <= box.right + 8
            and not any(
                at < end + 8 and at + width > start - 8 and abs(foot - low) < LINE_PX for start, end, low in placed
            )
            and not any(at - 6 < px < at + width + 6 and foot - LINE_PX < py < foot + 6 for px, py in points)
        )
        if not y - 12 <= foot <= y + 19:  # far from its point: a line leads there
            pieces.append(line((x, y), (x, foot + 4 if foot < y else foot - AXIS_PX), "ink3", 1.0))
        labels += [_extrapolated(x, y), text(words, at, foot, tone="ink2", halo=True)]
        placed.append((at, at + width, foot))
    pieces += labels
    if not canvas.narrow:
        pieces.append(draw_end_labels([EndLabel(at_px=points[-1][1], name="Stays well")], box))
    return join(*pieces), box.bottom + 46


def _places(box: Box, point: tuple[float, float], width: float) -> Iterator[tuple[float, float]]:
    """Where the label of a point may stand, its left end and foot, the best place first; there is always one more.

    More sessions never help less, so the line rises: the room is below it at the right, or above it at the left. Where
    both are taken, as by points that lie close, labels stack up or down from their points.
    """
    x, y = point
    left = max(0.0, x + 8 - width)
    yield x + 8, min(y + 19, box.bottom - 5)
    if y - 12 > box.top:
        yield left, y - 12
    yield left, min(y + 19, box.bottom - 5)
    for step in itertools.count(1):
        for foot in (y - 12 - step * LINE_PX, y + 19 + step * LINE_PX):
            if box.top + LINE_PX <= foot <= box.bottom - 5:
                yield x + 8, foot
                yield left, foot
        if step * LINE_PX > box.bottom - box.top:
            yield left, y - 12 - step * LINE_PX


def _extrapolated(x: float, y: float) -> Markup:
    """A value that the model gives beyond what any trial shows: a hollow point in blue."""
    return element("circle", cx=x, cy=y, r=5.0, fill=colour("surface"), stroke=colour("predicted"), stroke_width=2.25)


def _count_axis(box: Box, across: Scale, counts: list[float]) -> Markup:
    pieces = [line((box.left, box.bottom), (box.right, box.bottom), "edge")]
    for count, label in zip(counts, tick_labels(counts), strict=True):
        pieces.append(line((across(count), box.bottom), (across(count), box.bottom + 5), "edge"))
        pieces.append(text(label, across(count), box.bottom + 20, tone="ink3", anchor="middle"))
    middle = (box.left + box.right) / 2
    return join(*pieces, text("sessions in 12 weeks", middle, box.bottom + 38, tone="ink3", anchor="middle"))
