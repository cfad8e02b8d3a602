"""Chart of exposure: predicted concentration over time, a panel for each analyte and site, the doses below."""

from __future__ import annotations

from dataclasses import dataclass

from afterglow.errors import InvalidData
from afterglow.quantities import format_duration
from afterglow.render.axes import (
    TIME_AXIS_PX,
    Box,
    Scale,
    draw_time_axis,
    draw_value_axis,
    log_ticks,
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
    band,
    dose_lane,
    draw_key,
    measured_range,
    name_doses,
    observed_cell,
    observed_marks,
    side_text,
    time_scale,
)
from afterglow.render.svg import AXIS_PX, Markup, curve, join
from afterglow.render.text import format_range, format_significant, wrap_text


@dataclass(frozen=True, slots=True, kw_only=True)
class ConcentrationCurve:
    """Predicted concentration of one analyte at one site.

    Attributes:
        label: analyte, form and site, as "S-ketamine, venous plasma".
        unit: as "ng/mL".
        time_h: increasing, h since the first dose.
        median, lo90, hi90: the median person and the 90 % range between people, in `unit`.
        observed: measured values in `unit`.
    """

    label: str
    unit: str
    time_h: Series
    median: Series
    lo90: Series
    hi90: Series
    observed: tuple[ObservedPoint, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class ExposureData:
    """Concentrations after doses; curves of one unit share one scale, so their heights compare."""

    title: str
    curves: tuple[ConcentrationCurve, ...]
    doses: tuple[DoseMark, ...]
    log_y: bool = False


def exposure_chart(data: ExposureData) -> Chart:
    """Concentration over time: one panel a curve, the doses in their lane.

    Args:
        data: at least one curve; series of a curve equally long; a few hundred samples are
            plenty, since each is drawn.
    Raises: InvalidData for no curve, and for series that are unequal, too short or not finite.
    """
    if not data.curves:
        raise InvalidData(f'"{data.title}" cannot be drawn: it holds no curve')
    for one in data.curves:
        check_series(one.label, time_h=one.time_h, median=one.median, lo90=one.lo90, hi90=one.hi90)
    return finish_chart(data.title, _sentence(data), _table(data), lambda canvas: _draw(data, canvas))


def _peak(one: ConcentrationCurve) -> int:
    return max(range(len(one.median)), key=lambda i: one.median[i])


def _interval(one: ConcentrationCurve, i: int) -> str:
    return format_range(format_significant(one.lo90[i]), format_significant(one.hi90[i]))


def _sentence(data: ExposureData) -> str:
    said = [
        f"{one.label} {format_significant(one.median[at])} {one.unit} (90 % of people {_interval(one, at)}) "
        f"at {format_duration(one.time_h[at])}"
        for one in data.curves
        for at in [_peak(one)]
    ]
    return f"Predicted peaks of the median: {'; '.join(said)}."


def _table(data: ExposureData) -> Table:
    rows: list[tuple[str, ...]] = []
    for one in data.curves:
        rows += [
            (
                format_duration(one.time_h[i]),
                f"{one.label}, {one.unit}",
                format_significant(one.median[i]),
                _interval(one, i),
            )
            for i in readable_rows(len(one.time_h), [_peak(one)])
        ]
        rows += [
            (
                format_duration(point.time_h),
                f"{one.label}, {one.unit}, measured",
                observed_cell(point, format_significant),
                "",
            )
            for point in one.observed
        ]
    doses = f"; {name_doses(data.doses)}" if data.doses else ""
    return Table(
        caption=f"{data.title}: selected times since the first dose, and the peaks{doses}",
        columns=(
            Column(heading="Time"),
            Column(heading="What"),
            Column(heading="Median or measured", numeric=True),
            Column(heading="90 % of people", numeric=True),
        ),
        rows=tuple(rows),
    )


def _value_scale(data: ExposureData, unit: str, box: Box) -> tuple[Scale, list[float]]:
    """One scale for all curves of a unit, so that heights compare between panels."""
    alike = [one for one in data.curves if one.unit == unit]
    told = [value for one in alike for value in (*one.hi90, *measured_range(one.observed))]
    top = max(told)
    if data.log_y and top > 0:
        # Three decades under the peak is where assays stop.
        low = min(value for one in alike for value in (*one.median, top) if value >= top / 1000)
        ticks = log_ticks(low, top)
    else:
        ticks = nice_ticks(min(0.0, *told), top, 4)
    return Scale(low=ticks[0], high=ticks[-1], start_px=box.bottom, end_px=box.top, log=ticks[0] > 0), ticks


def _draw(data: ExposureData, canvas: Canvas) -> Drawing:
    left, right = (40.0, canvas.width_px - 8) if canvas.narrow else (172.0, canvas.width_px - 132)
    heading_px = 42.0 if canvas.narrow else 0.0
    panel_px = 200.0 if len(data.curves) == 1 else 118.0
    marks: list[ObservedPoint | DoseMark] = [*data.doses, *(point for one in data.curves for point in one.observed)]
    times = time_scale(tuple(hours for one in data.curves for hours in one.time_h), marks, left, right)
    pieces = []
    y = 8.0
    for one in data.curves:
        box = Box(left=left, top=y + heading_px, right=right, bottom=y + heading_px + panel_px)
        pieces.append(_panel(data, one, canvas, box, times))
        y = box.bottom + 20
    lane = Box(left=left, top=y - 8, right=right, bottom=y - 8 + LANE_PX)
    pieces.append(dose_lane(data.doses, canvas, lane, times, name="Doses"))
    pieces.append(draw_time_axis(lane, times, origin="since the first dose"))
    entries: list[tuple[Mark, str]] = [("median and 90 %", "Predicted: median and 90 % of people")]
    if any(one.observed for one in data.curves):
        entries.append(("measured", "Measured"))
    entries.append(("dose", "Dose"))
    top = lane.bottom + TIME_AXIS_PX
    key, key_px = draw_key(canvas, entries, 0 if canvas.narrow else left, top)
    return join(*pieces, key), top + key_px


def _panel(data: ExposureData, one: ConcentrationCurve, canvas: Canvas, box: Box, times: Scale) -> Markup:
    """One curve with its name and unit at the left and its peak at the right; on a phone both stand above."""
    values, ticks = _value_scale(data, one.unit, box)
    at = _peak(one)
    peak, when, people = (
        f"Peak {format_significant(one.median[at])}",
        f"at {format_duration(one.time_h[at])}",
        f"90 % {_interval(one, at)}",
    )
    if canvas.narrow:
        names = side_text([one.label], [f"{one.unit}. {peak} {when}, {people}"], 0, box.top - 29)
    else:
        label = wrap_text(one.label, AXIS_PX, 124, bold=True)
        names = join(
            side_text(label, [one.unit], 0, box.top + 12),
            side_text([peak], [when, people], box.right + 14, box.top + 12),
        )
    return join(
        names,
        draw_value_axis(box, values, ticks, tick_labels(ticks)),
        band(times, values, one.time_h, one.lo90, one.hi90, tone="predicted-90"),
        curve(values.points(times, one.time_h, one.median), "predicted", 2.25),
        observed_marks(one.observed, times, values),
    )
