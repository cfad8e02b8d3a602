"""Charts of relief over time: the afterglow of one session, and the response of a population with its parts."""

from __future__ import annotations

from dataclasses import dataclass

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
from afterglow.render.chart import (
    Canvas,
    Chart,
    Column,
    Drawing,
    Table,
    check_series,
    finish_chart,
    readable_rows,
)
from afterglow.render.marks import (
    LANE_PX,
    DoseMark,
    Mark,
    ObservedPoint,
    Series,
    dose_lane,
    draw_key,
    measured_range,
    name_doses,
    observed_cell,
    observed_marks,
    side_text,
    time_scale,
)
from afterglow.render.panels import Fan, Relief, SeverityBand, Threshold, draw_afterglow, draw_fan, draw_severity
from afterglow.render.svg import AXIS_PX, Markup, area, curve, join, line, text
from afterglow.render.text import (
    NOT_EXPLAINED,
    format_parts,
    format_percent,
    format_points,
    format_range,
    format_significant,
    text_width,
)
from afterglow.render.tokens import colour


@dataclass(frozen=True, slots=True, kw_only=True)
class AfterglowData:
    """The plastic response to one session: labile and consolidated gain, relative units.

    Attributes:
        time_h: increasing, h since the session began.
        labile: the gain that fades over days.
        consolidated: the gain that fades over weeks.
    """

    title: str
    time_h: Series
    labile: Series
    consolidated: Series
    unit: str = "relative units"


@dataclass(frozen=True, slots=True, kw_only=True)
class ResponseData:
    """The predicted mean score of a trial arm and what its relief is made of.

    Attributes:
        score_name: the scale, as "MADRS".
        baseline: mean score before the first session.
        time_h: increasing, h since the first session.
        mean: the predicted mean score.
        lo50, hi50, lo90, hi90: ranges of the mean of a trial of this size.
        drug, expectancy, care: the parts of the fall, points.
        observed, observed_control: measured means, or what `observed_name` says they are.
        observed_name: how the key and the table name them.
        control_mean: predicted mean score of the control arm at `time_h`; empty when there is none.
        sessions: in time order.
        drug_layers: the drug part split by session, oldest first, each at `time_h`; empty when not split.
    """

    title: str
    score_name: str
    baseline: float
    time_h: Series
    mean: Series
    lo50: Series
    hi50: Series
    lo90: Series
    hi90: Series
    drug: Series
    expectancy: Series
    care: Series
    sessions: tuple[DoseMark, ...]
    observed: tuple[ObservedPoint, ...] = ()
    control_mean: Series = ()
    observed_control: tuple[ObservedPoint, ...] = ()
    drug_layers: tuple[Series, ...] = ()
    thresholds: tuple[Threshold, ...] = ()
    severity: tuple[SeverityBand, ...] = ()
    observed_name: str = "Measured mean"


# The afterglow of one session


def afterglow_chart(data: AfterglowData) -> Chart:
    """The afterglow A = L + K of one session: a fast rise, a fast fade, a slow tail.

    Args:
        data: series equally long, from 0 h.
    Raises: InvalidData for series that are unequal, too short or not finite.
    """
    check_series(data.title, time_h=data.time_h, labile=data.labile, consolidated=data.consolidated)
    return finish_chart(
        data.title,
        _afterglow_sentence(data),
        _afterglow_table(data),
        lambda canvas: _draw_afterglow(data, canvas),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Turns:
    """The sum of the curve, what to say at which of its samples, and what is left at its end."""

    total: Series
    said: tuple[tuple[int, str], ...]
    left: str


def _turns(data: AfterglowData) -> _Turns:
    total = tuple(labile + kept for labile, kept in zip(data.labile, data.consolidated, strict=True))
    peak = max(range(len(total)), key=lambda i: total[i])
    if total[peak] <= 0:
        return _Turns(total=total, said=(), left="no gain")
    half = next((i for i in range(peak, len(total)) if total[i] <= total[peak] / 2), None)
    said = [(peak, f"highest after {format_duration(data.time_h[peak])}")]
    if half is not None:
        said.append((half, f"half of it gone by {format_duration(data.time_h[half])}"))
    left = f"{format_percent(100 * total[-1] / total[peak], predicted=True)} left"
    return _Turns(total=total, said=tuple(said), left=left)


def _afterglow_sentence(data: AfterglowData) -> str:
    turns = _turns(data)
    said = [words for _, words in turns.said] + [f"{turns.left} at {format_duration(data.time_h[-1])}"]
    return f"The afterglow of one session: {', '.join(said)}."


def _afterglow_table(data: AfterglowData) -> Table:
    turns = _turns(data)
    columns = ("Time since the session", "Labile", "Consolidated", "Afterglow")
    return Table(
        caption=f"{data.title}: gain at selected times, {data.unit}",
        columns=tuple(Column(heading=heading, numeric=i > 0) for i, heading in enumerate(columns)),
        rows=tuple(
            (
                format_duration(data.time_h[i]),
                format_significant(data.labile[i]),
                format_significant(data.consolidated[i]),
                format_significant(turns.total[i]),
            )
            for i in readable_rows(len(data.time_h), [i for i, _ in turns.said])
        ),
    )


def _draw_afterglow(data: AfterglowData, canvas: Canvas) -> Drawing:
    left, right = (40.0, canvas.width_px - 8) if canvas.narrow else (172.0, canvas.width_px - 132)
    turns = _turns(data)
    box = Box(left=left, top=34 if canvas.narrow else 24, right=right, bottom=224)
    times = Scale(low=data.time_h[0], high=data.time_h[-1], start_px=left, end_px=right)
    ticks = nice_ticks(0.0, max(turns.total), 4)
    values = Scale(low=0.0, high=ticks[-1], start_px=box.bottom, end_px=box.top)
    kept = values.points(times, data.time_h, data.consolidated)
    total = values.points(times, data.time_h, turns.total)
    pieces = [
        draw_value_axis(box, values, ticks, tick_labels(ticks)),
        area(total, kept, colour("drug-layer-3")),
        area(kept, [(x, box.bottom) for x, _ in kept], colour("drug-fill")),
        curve(kept, "surface", 1.0),
        curve(total, "drug", 2.25),
        draw_time_axis(box, times, origin="since the session began"),
    ]
    for i, words in turns.said:
        x, y = total[i]
        shown = words[0].upper() + words[1:]
        pieces.append(text(shown, min(x + 14, right - text_width(shown, AXIS_PX)), y + 1, halo=True))
    if canvas.narrow:
        pieces.append(side_text(["The afterglow"], [], 0, 14))
    else:
        pieces.append(side_text(["The afterglow"], [f"gain, {data.unit}"], 0, box.top + 12))
        details = (turns.left, f"at {format_duration(data.time_h[-1])}")
        pieces.append(
            draw_end_labels([EndLabel(at_px=total[-1][1], name="Afterglow", tone="drug", details=details)], box)
        )
    entries: list[tuple[Mark, str]] = [
        ("labile", "Labile gain: fades over days"),
        ("consolidated", "Consolidated gain: fades over weeks"),
    ]
    top = box.bottom + TIME_AXIS_PX
    key, key_px = draw_key(canvas, entries, 0 if canvas.narrow else left, top)
    return join(*pieces, key), top + key_px


# The response of a population


def response_chart(data: ResponseData) -> Chart:
    """The mean score of an arm with its bands, its sessions, and the afterglow strip: drug, expectancy, care.

    Args:
        data: series equally long; `control_mean` and each drug layer too, or empty.
    Raises: InvalidData for series that are unequal, too short or not finite.
    """
    check_series(
        data.title,
        time_h=data.time_h,
        mean=data.mean,
        lo50=data.lo50,
        hi50=data.hi50,
        lo90=data.lo90,
        hi90=data.hi90,
        drug=data.drug,
        expectancy=data.expectancy,
        care=data.care,
        control_mean=data.control_mean or data.mean,
        **{f"drug_layer_{i}": layer for i, layer in enumerate(data.drug_layers)},
    )
    return finish_chart(data.title, _response_sentence(data), _response_table(data), lambda c: _draw_response(data, c))


def _parts_at(data: ResponseData, i: int) -> dict[str, str]:
    parts = {"Drug": data.drug[i], "Expectancy": data.expectancy[i], "Care and time": data.care[i]}
    return format_parts(data.baseline - data.mean[i], parts)


def _response_sentence(data: ResponseData) -> str:
    parts = _parts_at(data, -1)
    interval = format_range(format_points(data.lo90[-1]), format_points(data.hi90[-1]))
    return (
        f"Predicted mean {data.score_name} falls from {format_points(data.baseline)} to {format_points(data.mean[-1])} "
        f"(90 % of such trials {interval}) at {format_duration(data.time_h[-1])}; of this the drug is credited with "
        f"{parts['Drug']} points, expectancy with {parts['Expectancy']}, care and time with {parts['Care and time']}."
    )


def _response_table(data: ResponseData) -> Table:
    score = f"Mean {data.score_name}"
    parts = ("Relief", "Drug", "Expectancy", "Care and time", NOT_EXPLAINED)
    headings = ("Time", "Kind", score, "50 % range", "90 % range", "Control arm", *parts)
    rows: list[tuple[str, ...]] = [
        (
            format_duration(data.time_h[i]),
            "predicted",
            format_points(data.mean[i]),
            format_range(format_points(data.lo50[i]), format_points(data.hi50[i])),
            format_range(format_points(data.lo90[i]), format_points(data.hi90[i])),
            format_points(data.control_mean[i]) if data.control_mean else "",
            format_points(data.baseline - data.mean[i]),
            *_parts_at(data, i).values(),
        )
        for i in readable_rows(len(data.time_h), [])
    ]
    active, control = (
        {point.time_h: observed_cell(point, format_points) for point in points}
        for points in (data.observed, data.observed_control)
    )
    rows += [
        (
            format_duration(hours),
            data.observed_name,
            active.get(hours, ""),
            "",
            "",
            control.get(hours, ""),
            *[""] * len(parts),
        )
        for hours in sorted({*active, *control})
    ]
    sessions = f"; {name_doses(data.sessions)}" if data.sessions else ""
    return Table(
        caption=f"{data.title}: {score} and points of relief at selected times{sessions}",
        columns=tuple(Column(heading=name, numeric=i >= 2) for i, name in enumerate(headings)),
        rows=tuple(rows),
    )


def _draw_response(data: ResponseData, canvas: Canvas) -> Drawing:
    left, right = (34.0, canvas.width_px - 8) if canvas.narrow else (150.0, canvas.width_px - 124)
    marks: list[ObservedPoint | DoseMark] = [*data.sessions, *data.observed, *data.observed_control]
    times = time_scale(data.time_h, marks, left, right)
    heading_px = 22.0 if canvas.narrow else 0.0
    score_box = Box(left=left, top=30, right=right, bottom=280)
    lane = Box(left=left, top=score_box.bottom + 14, right=right, bottom=score_box.bottom + 14 + LANE_PX)
    strip_top = lane.bottom + 18 + heading_px
    strip = Box(left=left, top=strip_top, right=right, bottom=strip_top + 170)
    relief = Relief(
        time_h=data.time_h,
        drug_layers=data.drug_layers or (data.drug,),
        expectancy=data.expectancy,
        care=data.care,
    )
    pieces = [
        _score_panel(data, canvas, score_box, times),
        dose_lane(data.sessions, canvas, lane, times, name="Sessions"),
        draw_afterglow(relief, canvas, strip, times),
        draw_time_axis(strip, times, origin="since the first session"),
    ]
    top = strip.bottom + TIME_AXIS_PX
    key, key_px = draw_key(canvas, _response_key(data, canvas), 0 if canvas.narrow else left, top)
    return join(*pieces, key), top + key_px


def _response_key(data: ResponseData, canvas: Canvas) -> list[tuple[Mark, str]]:
    shown: list[tuple[bool, Mark, str]] = [
        (True, "median, 50 and 90 %", "Predicted mean, 50 % and 90 % of such trials"),
        (bool(data.observed), "measured", data.observed_name),
        (bool(data.control_mean), "control", "Control arm, predicted"),
        (bool(data.observed_control), "measured control", f"{data.observed_name}, control arm"),
        (bool(data.sessions), "dose", "Session"),
        (canvas.narrow, "drug", "Drug"),
        (canvas.narrow, "expectancy", "Expectancy"),
        (canvas.narrow, "care", "Care and time"),
    ]
    return [(mark, label) for present, mark, label in shown if present]


def _score_panel(data: ResponseData, canvas: Canvas, box: Box, times: Scale) -> Markup:
    told = [0.0, data.baseline, *data.lo90, *data.hi90, *data.control_mean]
    told += measured_range([*data.observed, *data.observed_control])
    ticks = nice_ticks(min(told), max(told), 5)
    values = Scale(low=ticks[0], high=ticks[-1], start_px=box.bottom, end_px=box.top)
    ends = [EndLabel(at_px=values(data.mean[-1]), name="Predicted", tone="predicted")]
    pieces = [
        draw_severity(data.severity, canvas, box, values),
        draw_value_axis(box, values, ticks, tick_labels(ticks)),
    ]
    for threshold in data.thresholds:
        y = values(threshold.score)
        pieces.append(line((box.left, y), (box.right, y), "ink2"))
        ends.append(EndLabel(at_px=y, name=threshold.name, details=(threshold.definition,)))
    fan = Fan(time_h=data.time_h, median=data.mean, lo50=data.lo50, hi50=data.hi50, lo90=data.lo90, hi90=data.hi90)
    pieces.append(draw_fan(fan, box, times, values))
    if data.control_mean:
        pieces.append(curve(values.points(times, data.time_h, data.control_mean), "control", 1.5, "6 4"))
        ends.append(EndLabel(at_px=values(data.control_mean[-1]), name="Control arm", tone="control"))
    # Arms are measured at the same times: side by side, their error bars stay apart.
    apart = 3.0 if data.observed_control else 0.0
    pieces.append(observed_marks(data.observed_control, times, values, control=True, shift_px=apart))
    pieces.append(observed_marks(data.observed, times, values, shift_px=-apart))
    pieces.append(side_text([f"Mean {data.score_name}"], [], 0, box.top - 14))
    if not canvas.narrow:
        pieces.append(draw_end_labels(ends, box))
    return join(*pieces)
