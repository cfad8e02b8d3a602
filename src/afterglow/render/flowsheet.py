"""The flow sheet of a session: readings as they were entered, over what the model expects, lanes on one time axis.

Readings are discrete and never smoothed: where a planned set is missing, the line breaks. Pressure has the
anaesthetist's marks. No band is drawn where the model has none.
"""

from __future__ import annotations

from typing import Final

from afterglow.errors import InvalidData
from afterglow.render.axes import Scale, draw_clock_axis, spread_labels
from afterglow.render.chart import Canvas, Chart, Column, Drawing, Table, check_series, finish_chart
from afterglow.render.flow import FlowSheet, last_with, pressure_text, rests_on, saved
from afterglow.render.lanes import LANES, Sheet
from afterglow.render.marks import Mark, draw_key
from afterglow.render.svg import AXIS_PX, Markup, join, line, text
from afterglow.render.text import text_width

TABLET_PX: Final = 632.0
"""Width of the lanes beside the entry panel of a tablet held upright."""

_NAME_PX: Final = 100.0
_LAST_PX: Final = 84.0
_HEADER_PX: Final = 32.0


def flow_sheet_chart(sheet: FlowSheet) -> Chart:
    """The lanes of a session.

    Args:
        sheet: an axis that has a length; predicted series equally long.
    Raises: InvalidData for an axis without length, and for series that are unequal or not finite.
    """
    if not sheet.end_h > sheet.start_h:
        raise InvalidData("A flow sheet needs a time axis", observed=f"{sheet.start_h:g} to {sheet.end_h:g} h")
    if sheet.predicted is not None:
        check_series(sheet.title, time_h=sheet.predicted.time_h, dissociation=sheet.predicted.dissociation)
    return finish_chart(
        sheet.title, _sentence(sheet), _table(sheet), lambda canvas: _draw(sheet, canvas), wide_px=TABLET_PX
    )


def _sentence(sheet: FlowSheet) -> str:
    found = saved(sheet)
    if not found:
        return f"No reading was entered yet.{rests_on(sheet.rests_on)}"
    count = f"{len(found)} {'set' if len(found) == 1 else 'sets'} of readings from {sheet.clock.clock(found[0].time_h)}"
    told = []
    pressure = last_with(sheet, lambda each: each.systolic_mmhg is not None)
    if pressure is not None:
        told.append(f"last pressure {pressure_text(pressure)} mmHg at {sheet.clock.clock(pressure.time_h)}")
    oxygen = last_with(sheet, lambda each: each.spo2_pct is not None)
    if oxygen is not None:
        told.append(f"last SpO2 {oxygen.spo2_pct} % at {sheet.clock.clock(oxygen.time_h)}")
    if sheet.missed_h:
        told.append(f"{len(sheet.missed_h)} planned {'set' if len(sheet.missed_h) == 1 else 'sets'} not taken")
    return "; ".join([count, *told]) + "." + rests_on(sheet.rests_on)


def _known(value: int | None) -> str:
    if value is None:
        return "not taken"
    return ("yes" if value else "no") if isinstance(value, bool) else str(value)


def _table(sheet: FlowSheet) -> Table:
    rows: list[tuple[float, tuple[str, ...]]] = [
        (
            each.time_h,
            (
                sheet.clock.clock(each.time_h),
                "not taken" if each.systolic_mmhg is None else pressure_text(each),
                _known(each.heart_rate_per_min),
                _known(each.spo2_pct),
                _known(each.moaas),
                _known(each.dissociated),
                "",
            ),
        )
        for each in saved(sheet)
    ]
    told = [(each.time_h, each.label) for each in sheet.events]
    told += [(dose.start_h, f"{'planned: ' if dose.planned else ''}{dose.label}") for dose in sheet.doses]
    rows += [(time_h, (sheet.clock.clock(time_h), "", "", "", "", "", label)) for time_h, label in told]
    rows += [(time_h, (sheet.clock.clock(time_h), *["not taken"] * 5, "planned set")) for time_h in sheet.missed_h]
    return Table(
        caption=f"{sheet.title}: every set, dose and event",
        columns=(
            Column(heading="Time"),
            Column(heading="Pressure, mmHg", numeric=True),
            Column(heading="Heart rate, per min", numeric=True),
            Column(heading="SpO2, %", numeric=True),
            Column(heading="Alertness, MOAA/S", numeric=True),
            Column(heading="Dissociated"),
            Column(heading="What"),
        ),
        rows=tuple(row for _, row in sorted(rows, key=lambda each: each[0])),
    )


def _draw(sheet: FlowSheet, canvas: Canvas) -> Drawing:
    left, right = (34.0, canvas.width_px - 10) if canvas.narrow else (_NAME_PX + 34, canvas.width_px - _LAST_PX)
    on = Sheet(
        sheet=sheet, canvas=canvas, times=Scale(low=sheet.start_h, high=sheet.end_h, start_px=left, end_px=right)
    )
    y, pieces = _HEADER_PX, []
    for lane in LANES:
        marks, height = lane(on, y)
        pieces.append(line((0, y), (canvas.width_px, y), "line"))
        pieces.append(marks)
        y += height
    axis = draw_clock_axis(on.box(0, y), on.times, sheet.clock)
    entries: list[tuple[Mark, str]] = [("measured", "Measured")]
    if sheet.predicted is not None:
        entries.append(("bands", "Predicted for the drug alone, 50 and 90 % of people"))
    if sheet.limits:
        entries.append(("site limit", "Site limit"))
    if sheet.doses:
        entries.append(("dose", "Drug"))
    key, key_px = draw_key(canvas, entries, 0, y + 34)
    return join(*pieces, _moments(on, y), *on.over, axis, key), y + 34 + key_px


def _moments(on: Sheet, bottom: float) -> Markup:
    """Now, the next reading, the earliest leave or when the patient left: lines through all lanes, named above."""
    sheet = on.sheet
    told = [
        (sheet.now_h, "Now", "ink", 1.6, None),
        (sheet.next_reading_h, "Next", "ink2", 1.2, "2 3"),
        (sheet.leave_h, "Leave" if sheet.now_h is not None else "Left", "ink3", 1.0, None),
    ]
    shown = [
        (at_h, f"{name} {sheet.clock.clock(at_h)}", tone, width, dash)
        for at_h, name, tone, width, dash in told
        if at_h is not None and sheet.start_h <= at_h <= sheet.end_h
    ]
    widths = [text_width(label, AXIS_PX, bold=tone == "ink") + 10 for _, label, tone, _, _ in shown]
    wanted = [on.times(at_h) for at_h, *_ in shown]
    centres = spread_labels(wanted, widths, low=0, high=on.canvas.width_px)
    pieces = []
    for (at_h, label, tone, width, dash), centre in zip(shown, centres, strict=True):
        x = on.times(at_h)
        pieces.append(line((x, _HEADER_PX - 6), (x, bottom), tone, width, dash))
        pieces.append(text(label, centre, 16, tone=tone, bold=tone == "ink", anchor="middle"))
    return join(*pieces)
