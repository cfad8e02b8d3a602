"""Scores of one scale over a course's dates, with sessions, severity bands and cut-offs; no model anywhere."""

from __future__ import annotations

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
    tick_labels,
)
from afterglow.render.chart import Canvas, Chart, Column, Drawing, Table, check_finite, finish_chart
from afterglow.render.marks import (
    JOINED_WITHIN_H,
    LANE_PX,
    DoseMark,
    Mark,
    ObservedPoint,
    dose_lane,
    draw_key,
    observed_marks,
)
from afterglow.render.panels import SeverityBand, Threshold, draw_severity, score_axis
from afterglow.render.svg import join, line
from afterglow.render.text import format_day, format_number

_HEIGHT_PX: Final = 200.0
_NEWEST_PX: Final = 6.5


@dataclass(frozen=True, slots=True, kw_only=True)
class ScoresData:
    """Scores of one scale; every time in h since the calendar's origin.

    Attributes:
        score_name: the scale, as "PHQ-9".
        lowest, highest: range of the scale.
        scores: at least one, in time order.
        sessions: given ones, in time order.
        severity: for each score the band's name, or "".
    """

    title: str
    calendar: Calendar
    score_name: str
    lowest: float
    highest: float
    now_h: float
    scores: tuple[ObservedPoint, ...]
    severity_of: tuple[str, ...]
    sessions: tuple[DoseMark, ...] = ()
    thresholds: tuple[Threshold, ...] = ()
    severity: tuple[SeverityBand, ...] = ()


def scores_chart(data: ScoresData) -> Chart:
    """What was measured, as points; a silence of over five weeks breaks the line.

    Raises: InvalidData for values that no axis can hold.
    """
    check_finite(data.title, (score.value for score in data.scores))
    return finish_chart(data.title, _sentence(data), _table(data), lambda canvas: _draw(data, canvas))


def _number(value: float) -> str:
    return format_number(value, 1).removesuffix(".0")


def _day(data: ScoresData, time_h: float) -> str:
    return format_day(data.calendar.at(time_h).date(), year=True)


def _sentence(data: ScoresData) -> str:
    first, last = data.scores[0], data.scores[-1]
    if len(data.scores) == 1:
        return f"One {data.score_name} score: {_number(first.value)} on {_day(data, first.time_h)}."
    return (
        f"{len(data.scores)} {data.score_name} scores, from {_number(first.value)} on {_day(data, first.time_h)} "
        f"to {_number(last.value)} on {_day(data, last.time_h)}."
    )


def _table(data: ScoresData) -> Table:
    rows = [
        (_day(data, score.time_h), _number(score.value), band)
        for score, band in zip(data.scores, data.severity_of, strict=True)
    ]
    return Table(
        caption=f"{data.score_name}, newest first",
        columns=(Column(heading="Day"), Column(heading=data.score_name, numeric=True), Column(heading="Band")),
        rows=tuple(reversed(rows)),
    )


def _draw(data: ScoresData, canvas: Canvas) -> Drawing:
    left, right = (30.0, canvas.width_px - 8) if canvas.narrow else (150.0, canvas.width_px - 124)
    box = Box(left=left, top=12, right=right, bottom=12 + _HEIGHT_PX)
    marks = [*(score.time_h for score in data.scores), *(dose.time_h for dose in data.sessions), data.now_h]
    low, high = min(marks), max(marks)
    room = 0.02 * (high - low) + 24.0
    times = Scale(low=low - room, high=high + room, start_px=left, end_px=right)
    told = [*(score.value + 1 for score in data.scores), *(one.score for one in data.thresholds)]
    values, ticks = score_axis(box, data.severity, lowest=data.lowest, highest=data.highest, told=told)
    ends, pieces = [], [draw_severity(data.severity, canvas, box, values)]
    pieces.append(draw_value_axis(box, values, ticks, tick_labels(ticks)))
    for threshold in data.thresholds:
        y = values(threshold.score)
        pieces.append(line((left, y), (right, y), "ink2", 1.0, "2 3" if threshold.dotted else None))
        ends.append(EndLabel(at_px=y, name=threshold.name, details=(threshold.definition,)))
    bottom = box.bottom
    if data.sessions:
        lane = Box(left=left, top=bottom + 14, right=right, bottom=bottom + 14 + LANE_PX)
        pieces.append(dose_lane(data.sessions, canvas, lane, times, name="Sessions"))
        bottom = lane.bottom + 8
    foot = Box(left=left, top=box.top, right=right, bottom=bottom)
    pieces += [
        line((times(data.now_h), box.top), (times(data.now_h), bottom), "ink", 1.25),
        observed_marks(data.scores, times, values, joined_within_h=JOINED_WITHIN_H, last_px=_NEWEST_PX),
        draw_calendar_axis(foot, times, data.calendar, data.now_h),
    ]
    if not canvas.narrow:
        pieces.append(draw_end_labels(ends, box))
    key, key_px = draw_key(canvas, _key(data, canvas), 0 if canvas.narrow else left, bottom + 34)
    return join(*pieces, key), bottom + 34 + key_px


def _key(data: ScoresData, canvas: Canvas) -> list[tuple[Mark, str]]:
    lines = "; ".join(f"{one.name} {one.definition}" for one in data.thresholds if canvas.narrow)
    shown: list[tuple[bool, Mark, str]] = [
        (True, "measured", "Measured"),
        (bool(data.sessions), "dose", "Session given"),
        (bool(lines), "threshold", lines),
    ]
    return [(mark, words) for wanted, mark, words in shown if wanted]
