"""One patient's course and what comes next: scores, the fan from today, the next due date, the afterglow strip."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Final

import numpy as np

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
from afterglow.render.chart import Canvas, Chart, Column, Drawing, Table, check_finite, check_series, finish_chart
from afterglow.render.marks import (
    JOINED_WITHIN_H,
    LANE_PX,
    LINE_PX,
    DoseMark,
    Mark,
    ObservedPoint,
    Series,
    bracket,
    dose_lane,
    draw_key,
    due_diamond,
    observed_marks,
)
from afterglow.render.panels import (
    Fan,
    Relief,
    Rest,
    SeverityBand,
    Threshold,
    draw_afterglow,
    draw_fan,
    draw_severity,
    not_explained,
    score_axis,
)
from afterglow.render.svg import AXIS_PX, NOTHING, Markup, Point, curve, join, line, text
from afterglow.render.text import (
    NOT_EXPLAINED,
    format_day,
    format_number,
    format_parts,
    format_points,
    format_range,
    text_width,
    wrap_text,
)

_NEWEST_PX: Final = 6.5
_TABLE_STEP_DAYS: Final = 7
_CONTROL: Final = "Expected in a control arm"


@dataclass(frozen=True, slots=True, kw_only=True)
class DueDate:
    """The last day by which the chance of relapse stays under a limit.

    Attributes:
        limit: of the chance, a fraction.
        on_h, at_half_h, at_twice_h: the day at the limit, at half and at twice of it; None where it is passed already
            or not within the horizon.
        reason: what the date means, or why there is none.
    """

    limit: float
    on_h: float | None
    at_half_h: float | None
    at_twice_h: float | None
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ForecastData:
    """One patient's scores, sessions and forecast; every time in h since the calendar's origin.

    Attributes:
        score_name: the scale, as "PHQ-9".
        percent: whether scores are percentages of the level before treatment.
        lowest, highest: range of the scale.
        baseline: level before treatment; None where unknown.
        now_h: where the forecast starts.
        scores: on this scale, in time order.
        sessions: given and planned, in time order; `relief.drug_layers` has one layer for each, or one for all.
        fan: from `now_h` on.
        relief: parts of the modelled relief, past and to come.
        control: score expected in a control arm, at `relief.time_h`.
    """

    title: str
    calendar: Calendar
    score_name: str
    percent: bool = False
    lowest: float
    highest: float
    baseline: float | None
    now_h: float
    scores: tuple[ObservedPoint, ...]
    sessions: tuple[DoseMark, ...]
    fan: Fan
    relief: Relief
    control: Series
    due: DueDate
    thresholds: tuple[Threshold, ...] = ()
    severity: tuple[SeverityBand, ...] = ()

    @property
    def unit(self) -> str:
        """What stands behind a score."""
        return " % of baseline" if self.percent else ""

    def day(self, time_h: float, *, weekday: bool = False, year: bool = False) -> str:
        """The date of a time."""
        return format_day(self.calendar.at(time_h).date(), weekday=weekday, year=year)


def forecast_chart(data: ForecastData) -> Chart:
    """The course so far, the fan from today, the next due date, and what the relief is made of.

    Args:
        data: series of the fan equally long, likewise those of the relief.
    Raises: InvalidData for series that are unequal, too short or not finite.
    """
    fan, relief = data.fan, data.relief
    check_series(
        data.title,
        time_h=fan.time_h,
        median=fan.median,
        lo50=fan.lo50,
        hi50=fan.hi50,
        lo90=fan.lo90,
        hi90=fan.hi90,
    )
    check_series(
        data.title,
        time_h=relief.time_h,
        expectancy=relief.expectancy,
        care=relief.care,
        control=data.control,
        **{f"drug_layer_{i}": layer for i, layer in enumerate(relief.drug_layers)},
    )
    check_finite(data.title, [point.value for point in data.scores])
    return finish_chart(data.title, _sentence(data), _table(data), lambda canvas: _draw(data, canvas))


def format_due(due: DueDate, calendar: Calendar) -> tuple[str, str]:
    """The next due date, and the dates at half and at twice the limit; or that there is none, and why.

    Examples:
        >>> from datetime import UTC, datetime
        >>> due = DueDate(limit=0.1, on_h=24.0, at_half_h=None, at_twice_h=72.0, reason="")
        >>> format_due(due, Calendar(origin_at=datetime(2026, 12, 10, 9, tzinfo=UTC), zone="UTC"))
        ('Next due by Fri 11 Dec', 'over 5 % already, 13 Dec at 20 %')
    """
    if due.on_h is None:
        return "No date for the next session", due.reason
    half, twice = (f"{format_number(100 * share * due.limit, 1).removesuffix('.0')} %" for share in (0.5, 2.0))
    earlier, later = (
        None if at is None else format_day(calendar.at(at).date()) for at in (due.at_half_h, due.at_twice_h)
    )
    said = f"{earlier} at a {half} limit" if earlier else f"over {half} already"
    if 2.0 * due.limit < 1.0:
        said += f", {later} at {twice}" if later else f", beyond the forecast at {twice}"
    return f"Next due by {format_day(calendar.at(due.on_h).date(), weekday=True)}", said


# In words


def _score(value: float) -> str:
    """A measured score: whole, or to one decimal where the file has one."""
    return format_number(value, 1).removesuffix(".0")


def _sentence(data: ForecastData) -> str:
    name, fan = data.score_name, data.fan
    interval = format_range(format_number(fan.lo90[-1]), format_number(fan.hi90[-1]))
    expects = f"the model expects {format_number(fan.median[-1])} (90 % {interval}) on {data.day(fan.time_h[-1])}"
    said = f"{expects[0].upper()}{expects[1:]}"
    if data.scores:
        last = data.scores[-1]
        since = "" if data.baseline is None else f", from {_score(data.baseline)} before treatment"
        said = f"{name} was {_score(last.value)}{data.unit} on {data.day(last.time_h)}{since}; {expects}"
    headline, about = format_due(data.due, data.calendar)
    if data.due.on_h is not None:
        about = f"The last day with a chance of relapse under {100 * data.due.limit:g} %"
    return f"{said}. {headline}. {about.rstrip('.')}."


def _table(data: ForecastData) -> Table:
    points = "% of baseline" if data.percent else "points"
    headings = (
        "Day", "What", data.score_name, "Change", "50 %", "90 %", "Control arm",
        "Drug", "Expectancy", "Care and time", NOT_EXPLAINED,
    )  # fmt: skip
    rows = [(score.time_h, 0, _score_row(data, score)) for score in data.scores]
    rows += [(dose.time_h, 1, _session_row(data, i, dose)) for i, dose in enumerate(data.sessions)]
    rows += [(data.fan.time_h[i], 2, _forecast_row(data, i)) for i in _forecast_rows(data)]
    return Table(
        caption=f"{data.title}: scores, sessions and forecast in order of time; parts of the relief in {points}",
        columns=tuple(Column(heading=name, numeric=i >= 2) for i, name in enumerate(headings)),
        rows=tuple(row for _, _, row in sorted(rows)),
    )


def _forecast_rows(data: ForecastData) -> list[int]:
    """Today, then weekly, and the next due date."""
    fan = data.fan
    due = () if data.due.on_h is None else (int(np.argmin(np.abs(np.asarray(fan.time_h) - data.due.on_h))),)
    weekly = [i for i, at in enumerate(fan.time_h) if round((at - data.now_h) / 24) % _TABLE_STEP_DAYS == 0]
    return sorted({*weekly, *due})


def _parts_at(data: ForecastData, time_h: float) -> dict[str, float]:
    levels = [float(np.interp(time_h, data.relief.time_h, level)) for level in data.relief.levels]
    drug, hoped, total = levels[-3:]
    return {"Drug": drug, "Expectancy": hoped - drug, "Care and time": total - hoped}


def _score_row(data: ForecastData, score: ObservedPoint) -> tuple[str, ...]:
    day, value = data.day(score.time_h, weekday=True, year=True), _score(score.value)
    if data.baseline is None:
        return (day, "Score", value, *[""] * 8)
    relief = data.baseline - score.value
    control = float(np.interp(score.time_h, data.relief.time_h, data.control))
    parts = format_parts(relief, _parts_at(data, score.time_h))
    return (day, "Score", value, format_points(-relief, signed=True), "", "", format_points(control), *parts.values())


def _session_row(data: ForecastData, i: int, dose: DoseMark) -> tuple[str, ...]:
    """A session, with what it holds of today's relief under what the drug is credited with."""
    layers = data.relief.drug_layers
    held = ""
    if len(layers) == len(data.sessions) and not dose.planned:
        held = f"{format_points(float(np.interp(data.now_h, data.relief.time_h, layers[i])))} today"
    what = f"{'Planned session' if dose.planned else 'Session'} {i + 1}, {dose.label}"
    return (data.day(dose.time_h, weekday=True, year=True), what, *[""] * 5, held, *[""] * 3)


def _forecast_row(data: ForecastData, i: int) -> tuple[str, ...]:
    fan, at = data.fan, data.fan.time_h[i]
    return (
        data.day(at, weekday=True, year=True),
        "Forecast",
        format_number(fan.median[i]),
        "" if data.baseline is None else format_points(fan.median[i] - data.baseline, signed=True),
        format_range(format_number(fan.lo50[i]), format_number(fan.hi50[i])),
        format_range(format_number(fan.lo90[i]), format_number(fan.hi90[i])),
        format_points(float(np.interp(at, data.relief.time_h, data.control))),
        *(format_points(part) for part in _parts_at(data, at).values()),
        "",
    )


# The picture


def _draw(data: ForecastData, canvas: Canvas) -> Drawing:
    left, right = (30.0, canvas.width_px - 8) if canvas.narrow else (150.0, canvas.width_px - 124)
    times = _times(data, left, right)
    headline, about = format_due(data.due, data.calendar)
    heading = [headline, *wrap_text(about, AXIS_PX, canvas.width_px - 4)]
    top = 14 + LINE_PX * len(heading) + 18
    score_box = Box(left=left, top=top, right=right, bottom=top + 235)
    lane = Box(left=left, top=score_box.bottom + 14, right=right, bottom=score_box.bottom + 14 + LANE_PX)
    strip_top = lane.bottom + 18 + (22.0 if canvas.narrow else 0.0)
    strip = Box(left=left, top=strip_top, right=right, bottom=strip_top + 145)
    rests = _rests(data)
    unit = "relief in % of baseline" if data.percent else "points of relief"
    pieces = [
        _score_panel(data, canvas, score_box, times),
        dose_lane(_lane(data), canvas, lane, times, name="Sessions"),
        draw_afterglow(data.relief, canvas, strip, times, rests=rests, now_h=data.now_h, unit=unit),
        draw_calendar_axis(strip, times, data.calendar, data.now_h),
        _today(data, score_box, strip.bottom, times),
        _due(data, canvas, score_box, strip.bottom, times, heading),
        # The newest score lies on the line of today: once more, on top of it.
        observed_marks(data.scores[-1:], times, _values(data, score_box)[0], last_px=_NEWEST_PX),
    ]
    key_top = strip.bottom + 34
    key, key_px = draw_key(canvas, _key(data, canvas, rests), 0 if canvas.narrow else left, key_top)
    return join(*pieces, key), key_top + key_px


def _lane(data: ForecastData) -> tuple[DoseMark, ...]:
    """The sessions, and an empty place for the next one where a date is set and nothing is planned."""
    if data.due.on_h is None or not data.sessions or data.sessions[-1].planned:
        return data.sessions
    return (*data.sessions, replace(data.sessions[-1], time_h=data.due.on_h, planned=True))


def _times(data: ForecastData, left: float, right: float) -> Scale:
    marks = [*(score.time_h for score in data.scores), *(dose.time_h for dose in data.sessions)]
    low = min([data.relief.time_h[0], data.now_h, *marks])
    high = max([data.fan.time_h[-1], *marks])
    return Scale(low=low - 0.015 * (high - low), high=high, start_px=left, end_px=right)


def _values(data: ForecastData, box: Box) -> tuple[Scale, list[float]]:
    told = [*data.fan.hi90, *data.control, *(score.value for score in data.scores)]
    told += [threshold.score for threshold in data.thresholds]
    return score_axis(box, data.severity, lowest=data.lowest, highest=data.highest, told=told)


def _score_panel(data: ForecastData, canvas: Canvas, box: Box, times: Scale) -> Markup:
    values, ticks = _values(data, box)
    pieces = [
        draw_severity(data.severity, canvas, box, values),
        draw_value_axis(box, values, ticks, tick_labels(ticks)),
        draw_fan(data.fan, box, times, values),
    ]
    ends = []
    for threshold in data.thresholds:
        y = values(threshold.score)
        pieces.append(line((box.left, y), (box.right, y), "ink2", 1.0, "2 3" if threshold.dotted else None))
        ends.append(EndLabel(at_px=y, name=threshold.name, details=(threshold.definition,)))
    control = values.points(times, data.relief.time_h, data.control)
    pieces.append(curve(control, "control", 1.5, "6 4"))
    measured = [(times(score.time_h), values(score.value)) for score in data.scores]
    number, number_px = _name_baseline(data, measured, box)
    named = _name_on_line(control, measured, left=max(box.left, number_px), right=times(data.now_h), top=box.top)
    if named is None and not canvas.narrow:
        ends.append(EndLabel(at_px=control[-1][1], name="Control arm", tone="control"))
    pieces.append(named or NOTHING)
    pieces += [observed_marks(data.scores, times, values, joined_within_h=JOINED_WITHIN_H), number]
    if not canvas.narrow:
        pieces.append(draw_end_labels(ends, box))
    return join(*pieces)


def _name_baseline(data: ForecastData, measured: Sequence[Point], box: Box) -> tuple[Markup, float]:
    """The number beside the last score before treatment, and where it ends, px."""
    first_session = min((dose.time_h for dose in data.sessions if not dose.planned), default=data.now_h)
    before = [i for i, score in enumerate(data.scores) if score.time_h <= first_session]
    if not before or before[-1] == len(data.scores) - 1:
        return NOTHING, box.left
    x, y = measured[before[-1]]
    number = _score(data.scores[before[-1]].value)
    words = text(number, x + 9, max(y + 5, box.top + 12), tone="ink", size_px=14.0, bold=True, halo=True)
    return words, x + 9 + text_width(number, 14.0, bold=True)


def _name_on_line(
    control: Sequence[Point], measured: Sequence[Point], *, left: float, right: float, top: float
) -> Markup | None:
    """The control arm named above or below its line before today, where no score is in the way; None if nowhere."""
    width = text_width(_CONTROL, AXIS_PX)
    middle = (left + right) / 2
    xs, ys = (np.array(column) for column in zip(*control, strict=True))
    joined = np.array(measured).reshape(-1, 2)
    starts = np.arange(left + 6, right - width - 6, 4.0)
    for above in (True, False):
        for x in sorted(starts.tolist(), key=lambda start: abs(start + width / 2 - middle)):
            near = np.interp(np.linspace(x - 4, x + width + 4, 60), xs, ys)
            base = float(near.min()) - 7 if above else float(near.max()) + 17
            if base - 14 >= top and not _crossed(joined, x - 8, x + width + 8, base - 20, base + 11):
                return text(_CONTROL, x, base, tone="control", halo=True)
    return None


def _crossed(
    joined: np.ndarray[tuple[int, int], np.dtype[np.float64]], left: float, right: float, top: float, bottom: float
) -> bool:
    """Whether the joined scores pass through a rectangle."""
    if not len(joined):
        return False
    at = np.linspace(left, right, 80)
    known = at[(at >= joined[0, 0]) & (at <= joined[-1, 0])]
    y = np.interp(known, joined[:, 0], joined[:, 1])
    return bool(np.any((y > top) & (y < bottom)))


def _rests(data: ForecastData) -> list[Rest]:
    """Measured relief that the parts do not reach, run by run of joined scores."""
    if data.baseline is None or not data.scores:
        return []
    runs = [[data.scores[0]]]
    for before, after in pairwise(data.scores):
        if after.time_h - before.time_h > JOINED_WITHIN_H:
            runs.append([])
        runs[-1].append(after)
    base = data.baseline
    return [
        rest
        for run in runs
        for rest in not_explained(data.relief, tuple(s.time_h for s in run), tuple(base - s.value for s in run))
    ]


def _today(data: ForecastData, box: Box, bottom: float, times: Scale) -> Markup:
    """The line of today with the last score in words at its left."""
    x, y = times(data.now_h), box.top - 12
    words = "Today"
    if data.scores:
        last = data.scores[-1]
        value = f"{_score(last.value)}{data.unit}"
        same_day = data.day(last.time_h, year=True) == data.day(data.now_h, year=True)
        words += (
            f", {data.score_name} is {value}" if same_day else f"; {data.score_name} {value} on {data.day(last.time_h)}"
        )
    at = max(x - 8, text_width(words, AXIS_PX, bold=True))
    return join(
        line((x, y - 4), (x, bottom), "ink", 1.25),
        text(words, at, y, tone="ink", bold=True, anchor="end", halo=True),
    )


def _due(data: ForecastData, canvas: Canvas, box: Box, bottom: float, times: Scale, heading: Sequence[str]) -> Markup:
    """The next due line through all lanes, its diamond and bracket on top, and what it says above."""
    due, y = data.due, box.top - 16
    pieces = []
    anchor = times(data.now_h)
    if due.on_h is not None:
        x = times(due.on_h)
        ends = [None if at_h is None else times(at_h) for at_h in (due.at_half_h, due.at_twice_h)]
        anchor = times(data.now_h) if ends[0] is None else ends[0]
        pieces = [
            bracket(
                anchor,
                box.right if ends[1] is None else ends[1],
                y,
                open_left=ends[0] is None,
                open_right=ends[1] is None,
            ),
            line((x, y), (x, bottom), "predicted", 2.25),
            due_diamond(x, y),
        ]
    widest = max(text_width(words, AXIS_PX, bold=not row) for row, words in enumerate(heading))
    at = 0.0 if canvas.narrow else max(0.0, min(anchor, canvas.width_px - widest))
    for row, words in enumerate(heading):
        pieces.append(text(words, at, 14 + LINE_PX * row, tone="ink3" if row else "ink", bold=not row))
    return join(*pieces)


def _key(data: ForecastData, canvas: Canvas, rests: Sequence[Rest]) -> list[tuple[Mark, str]]:
    lines = [threshold for threshold in data.thresholds if canvas.narrow]
    solid = "; ".join(f"{one.name} {one.definition}" for one in lines if not one.dotted)
    dotted = "; ".join(f"{one.name} {one.definition}" for one in lines if one.dotted)
    shown: list[tuple[bool, Mark, str]] = [
        (bool(data.scores), "measured", "Measured"),
        (True, "median, 50 and 90 %", "Next score, with 50 % and 90 % ranges"),
        (True, "control", "Control arm"),
        (any(not dose.planned for dose in data.sessions), "dose", "Session given"),
        (any(dose.planned for dose in data.sessions), "planned dose", "Session planned"),
        (bool(solid), "threshold", solid),
        (bool(dotted), "relapse rule", dotted),
        (canvas.narrow, "drug", "Drug"),
        (canvas.narrow, "expectancy", "Expectancy"),
        (canvas.narrow, "care", "Care and time"),
        (bool(rests), "not explained", NOT_EXPLAINED),
        (data.due.on_h is not None and canvas.narrow, "next due", "Next due"),
    ]
    return [(mark, label) for present, mark, label in shown if present]
