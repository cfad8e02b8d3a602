"""The lanes of a flow sheet: what was read, over what the model expects, on one time axis."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from math import inf
from statistics import NormalDist
from typing import Final

from afterglow.render.axes import Box, Scale, nice_ticks, tick_labels
from afterglow.render.chart import Canvas, Drawing
from afterglow.render.flow import FlowReading, FlowSheet, Lane, PredictedBand, last_with, pressure_text
from afterglow.render.marks import measured_point, rectangle, square
from afterglow.render.svg import AXIS_PX, Markup, Point, area, curve, element, join, line, text
from afterglow.render.text import text_width
from afterglow.render.tokens import colour

_Z50, _Z90 = NormalDist().inv_cdf(0.75), NormalDist().inv_cdf(0.95)
_LOWEST_MMHG, _HIGHEST_MMHG = 60.0, 160.0  # the axis holds at least this; more where a reading asks for it


@dataclass(frozen=True, slots=True, kw_only=True)
class Sheet:
    """A flow sheet being drawn: its time scale, and words that stand over the lines through all lanes."""

    sheet: FlowSheet
    canvas: Canvas
    times: Scale
    over: list[Markup] = field(default_factory=list)

    @property
    def left(self) -> float:
        """Where the time axis starts, px."""
        return self.times.start_px

    @property
    def right(self) -> float:
        """Where it ends, px."""
        return self.times.end_px

    @property
    def lines_px(self) -> list[float]:
        """Where lines cross all lanes: now, the next reading, leaving."""
        sheet = self.sheet
        told = (sheet.now_h, sheet.next_reading_h, sheet.leave_h)
        return [self.times(at_h) for at_h in told if at_h is not None and sheet.start_h <= at_h <= sheet.end_h]

    def place(self, width_px: float, lefts: Iterable[float]) -> float:
        """The first place for words of a width that is on the sheet and that no line crosses, else the first of all."""
        found = [left for left in lefts if 0.0 <= left <= self.canvas.width_px - width_px]
        clear = (e for e in found if not any(e - 3 < x < e + width_px + 3 for x in self.lines_px))
        return next(clear, found[0] if found else max(self.canvas.width_px - width_px, 0.0))

    def box(self, top: float, height: float) -> Box:
        """The plotting area of a lane."""
        return Box(left=self.left, top=top, right=self.right, bottom=top + height)


def _named(on: Sheet, y: float, name: str, unit: str, last: str, when: str) -> Drawing:
    """A lane's name and unit at the left, its last value and time at the right; above the lane on a phone."""
    if on.canvas.narrow:
        head = text(name, 0, y + 18, tone="ink", bold=True)
        about = text(unit, text_width(name, AXIS_PX, bold=True) + 8, y + 18, tone="ink3")
        value = text(f"{last} {when}".strip(), on.canvas.width_px, y + 18, tone="ink", bold=True, anchor="end")
        return join(head, about, value), 28.0
    return join(
        text(name, 0, y + 20, tone="ink", bold=True),
        text(unit, 0, y + 36, tone="ink3"),
        text(last, on.canvas.width_px, y + 24, tone="ink", size_px=19, bold=True, anchor="end"),
        text(when, on.canvas.width_px, y + 42, tone="ink3", anchor="end"),
    ), 8.0


def _axis(box: Box, values: Scale, ticks: Sequence[float]) -> Markup:
    pieces = []
    for tick, label in zip(ticks, tick_labels(ticks), strict=True):
        pieces.append(line((box.left, values(tick)), (box.right, values(tick)), "line"))
        pieces.append(text(label, box.left - 7, values(tick) + 4.5, tone="ink3", anchor="end"))
    return join(*pieces)


def _limits(on: Sheet, lane: Lane, values: Scale, box: Box) -> Markup:
    pieces = []
    for limit in on.sheet.limits:
        if limit.lane == lane and values.low <= limit.value <= values.high:
            y = values(limit.value)
            pieces.append(line((box.left, y), (box.right, y), "medium-edge", 1.25, "5 3"))
            width = text_width(limit.label, AXIS_PX)
            ends = [box.right, *sorted((x - 6 for x in on.lines_px), reverse=True)]
            left = on.place(width, [end - width for end in ends if end - width >= box.left])
            on.over.append(text(limit.label, left, y - 5, tone="ink2", halo=True))
    return join(*pieces)


def _band(on: Sheet, values: Scale, predicted: PredictedBand | None) -> Markup:
    """The 90 % band and the 50 % band on it, cut to the sheet."""
    if predicted is None or on.sheet.predicted is None:
        return join()
    rows = [
        (time_h, mean, sd)
        for time_h, mean, sd in zip(on.sheet.predicted.time_h, predicted.mean, predicted.sd, strict=True)
        if on.sheet.start_h <= time_h <= on.sheet.end_h
    ]
    pieces = []
    for tone, z in (("predicted-90", _Z90), ("predicted-50", _Z50)):
        upper, lower = (
            [
                (on.times(time_h), values(min(max(mean + sign * z * sd, values.low), values.high)))
                for time_h, mean, sd in rows
            ]
            for sign in (1.0, -1.0)
        )
        if len(rows) > 1:
            pieces += [
                area(upper, lower, colour(tone)),
                curve(upper, "predicted", 0.75),
                curve(lower, "predicted", 0.75),
            ]
    return join(*pieces)


def _edges(predicted: PredictedBand) -> list[float]:
    """What an axis must hold to show a band."""
    return [mean + sign * _Z90 * sd for mean, sd in zip(predicted.mean, predicted.sd, strict=True) for sign in (1, -1)]


def _runs(on: Sheet, points: Sequence[tuple[float, Point]]) -> list[list[Point]]:
    """Points in a row without a missed set between them."""
    runs: list[list[Point]] = []
    before = -inf
    for time_h, point in points:
        broken = any(before < missed < time_h for missed in on.sheet.missed_h)
        if runs and not broken:
            runs[-1].append(point)
        else:
            runs.append([point])
        before = time_h
    return runs


def _pressure_lane(on: Sheet, y: float) -> Drawing:
    found = [each for each in on.sheet.readings if each.systolic_mmhg is not None and each.diastolic_mmhg is not None]
    told = [float(value) for each in found for value in (each.systolic_mmhg or 0, each.diastolic_mmhg or 0)]
    told += [limit.value for limit in on.sheet.limits if limit.lane == "pressure"]
    predicted = on.sheet.predicted
    bands = [] if predicted is None else [each for each in (predicted.systolic_mmhg, predicted.diastolic_mmhg) if each]
    told += [edge for each in bands for edge in _edges(each)]
    ticks = nice_ticks(min([_LOWEST_MMHG, *told]), max([_HIGHEST_MMHG, *told]), 9)  # steps of 20 up to 180 mmHg
    last = last_with(on.sheet, lambda each: each.systolic_mmhg is not None)
    head, room = _named(
        on,
        y,
        "BP",
        "mmHg",
        "" if last is None else pressure_text(last),
        "" if last is None else on.sheet.clock.clock(last.time_h),
    )
    box = on.box(y + room + 8, 190.0)
    values = Scale(low=ticks[0], high=ticks[-1], start_px=box.bottom, end_px=box.top)
    stems = [_stem(on, values, each) for each in found]
    return join(
        head,
        *(_band(on, values, each) for each in bands),
        _axis(box, values, ticks),
        _limits(on, "pressure", values, box),
        *stems,
        _scale(on, "pressure", values),
    ), room + 8 + 190.0 + 12


def _scale(on: Sheet, lane: Lane, values: Scale) -> Markup:
    """An empty group with a lane's scale and the place of now, for a page that draws a set while it is typed."""
    if on.sheet.now_h is None:
        return join()
    return element(
        "g",
        class_="draft-marks",
        data_lane=lane,
        data_now=on.times(on.sheet.now_h),
        data_hour=on.times(on.sheet.now_h + 1.0) - on.times(on.sheet.now_h),
        data_low=values.low,
        data_high=values.high,
        data_top=values.end_px,
        data_bottom=values.start_px,
    )


def _stem(on: Sheet, values: Scale, reading: FlowReading) -> Markup:
    """The anaesthetist's mark: a V on the systolic, an inverted V under the diastolic, a stem between."""
    x = on.times(reading.time_h)
    top, foot = values(reading.systolic_mmhg or 0), values(reading.diastolic_mmhg or 0)
    return join(
        line((x, top), (x, foot), "ink", 1.2, "2 3" if reading.draft else None),
        curve([(x - 6, top - 5), (x, top), (x + 6, top - 5)], "ink", 1.8),
        curve([(x - 6, foot + 5), (x, foot), (x + 6, foot + 5)], "ink", 1.8),
    )


def _heart_lane(on: Sheet, y: float) -> Drawing:
    predicted = None if on.sheet.predicted is None else on.sheet.predicted.heart_rate_per_min
    return _line_lane(
        on,
        y,
        name="Heart rate",
        unit="per min",
        lane="heart rate",
        low=60.0,
        high=100.0,
        height=74.0,
        of=lambda each: each.heart_rate_per_min,
        mark=measured_point,
        predicted=predicted,
    )


def _oxygen_lane(on: Sheet, y: float) -> Drawing:
    return _line_lane(
        on,
        y,
        name="SpO₂",
        unit="%",
        lane="oxygen",
        low=90.0,
        high=100.0,
        height=64.0,
        of=lambda each: each.spo2_pct,
        mark=lambda x, y: square(x, y, 4.0, hollow=False),
        predicted=None,
    )


def _line_lane(
    on: Sheet,
    y: float,
    *,
    name: str,
    unit: str,
    lane: Lane,
    low: float,
    high: float,
    height: float,
    of: Callable[[FlowReading], int | None],
    mark: Callable[[float, float], Markup],
    predicted: PredictedBand | None,
) -> Drawing:
    """A value as points joined by a line."""
    found = [(each, value) for each in on.sheet.readings if (value := of(each)) is not None]
    told = [float(value) for _, value in found]
    told += [] if predicted is None else _edges(predicted)
    ticks = nice_ticks(min([low, *told]), max([high, *told]), 3)
    last = last_with(on.sheet, lambda each: of(each) is not None)
    head, room = _named(
        on,
        y,
        name,
        unit,
        "" if last is None else str(of(last)),
        "" if last is None else on.sheet.clock.clock(last.time_h),
    )
    box = on.box(y + room + 6, height)
    values = Scale(low=ticks[0], high=ticks[-1], start_px=box.bottom, end_px=box.top)
    points = [(each.time_h, (on.times(each.time_h), values(value))) for each, value in found if not each.draft]
    drafts = [
        element(
            "circle",
            cx=on.times(each.time_h),
            cy=values(value),
            r=4.6,
            fill="none",
            stroke=colour("ink"),
            stroke_dasharray="2 2",
        )
        for each, value in found
        if each.draft
    ]
    return join(
        head,
        _band(on, values, predicted),
        _axis(box, values, ticks),
        _limits(on, lane, values, box),
        *(curve(run, "ink", 1.25) for run in _runs(on, points) if len(run) > 1),
        *(mark(x, at) for _, (x, at) in points),
        *drafts,
        _scale(on, lane, values),
    ), room + 6 + height + 12


def _alertness_lane(on: Sheet, y: float) -> Drawing:
    found = [each for each in on.sheet.readings if each.moaas is not None]
    last = last_with(on.sheet, lambda each: each.moaas is not None)
    head, room = _named(
        on, y, "Alertness", "MOAA/S", "" if last is None else str(last.moaas), "" if last is None else "5 is awake"
    )
    at = y + room + (14 if on.canvas.narrow else 22)
    lowered, wide, step = 5, 14.0, 11 if on.canvas.narrow else 15
    digits, before, down = [], -wide, False
    for each in found:
        x = on.times(each.time_h)
        down = x - before < wide and not down  # two that touch would read as one number
        before = x
        digits.append(
            text(
                str(each.moaas),
                x,
                at + step * down,
                tone="ink3" if each.draft else "ink",
                size_px=15,
                bold=(each.moaas or 0) < lowered,
                anchor="middle",
                halo=True,
            )
        )
    return join(head, *digits), room + (26.0 if on.canvas.narrow else 46.0)


def _dissociation_lane(on: Sheet, y: float) -> Drawing:
    found = [each for each in on.sheet.readings if each.dissociated is not None]
    last = last_with(on.sheet, lambda each: each.dissociated is not None)
    head, room = _named(
        on,
        y,
        "Dissociation",
        "chance, %" if on.sheet.predicted else "",
        "" if last is None else ("Yes" if last.dissociated else "No"),
        "" if last is None else on.sheet.clock.clock(last.time_h),
    )
    box = on.box(y + room + 6, 64.0)
    values = Scale(low=0.0, high=100.0, start_px=box.bottom, end_px=box.top)
    pieces = [head]
    if on.sheet.predicted is not None:
        told = [
            (on.times(time_h), values(100 * chance))
            for time_h, chance in zip(on.sheet.predicted.time_h, on.sheet.predicted.dissociation, strict=True)
            if on.sheet.start_h <= time_h <= on.sheet.end_h
        ]
        if len(told) > 1:
            flat = [(told[0][0], values(0.0)), (told[-1][0], values(0.0))]
            pieces += [area(told, flat, colour("predicted-90")), curve(told, "predicted", 1.75)]
        pieces.append(_axis(box, values, [0.0, 100.0]))
    for each in found:
        pieces.append(
            element(
                "circle",
                cx=on.times(each.time_h),
                cy=box.bottom - 8,
                r=5,
                fill=colour("ink" if each.dissociated else "surface"),
                stroke=colour("ink"),
                stroke_width=1.4,
                stroke_dasharray="2 2" if each.draft else None,
            )
        )
    return join(*pieces), room + 6 + 64.0 + 12


def _event_lane(on: Sheet, y: float) -> Drawing:
    head, room = _named(on, y, "Events", "", "", "")
    top, pieces = y + room, [head]
    labelled = [each for each in on.sheet.doses if each.label]
    told = len(labelled) > 1  # a dose that was held: its stretches are told in a line of their own
    for dose in on.sheet.doses:
        x, end = on.times(dose.start_h), on.times(max(dose.end_h, dose.start_h))
        width = max(end - x, 3.2)
        fits = not dose.held and text_width(dose.label, AXIS_PX, bold=True) + 12 <= width
        if dose.held:
            pieces.append(rectangle(x, top + 6, width, 8, colour("surface"), edge="drug", edge_px=1.0, dash="2 2"))
        elif dose.planned:
            pieces.append(rectangle(x, top, width, 20, "none", edge="drug", edge_px=1.0, dash="3 2"))
        else:
            pieces.append(rectangle(x, top, width, 20, colour("drug")))
        if told:
            continue
        tone = "drug" if dose.planned or not fits else "surface"
        words = text_width(dose.label, AXIS_PX)
        where = x + width / 2 if fits else on.place(words, (x + width + 5, x - 5 - words))
        on.over.append(
            text(dose.label, where, top + 14.5, tone=tone, bold=fits, anchor="middle" if fits else None, halo=not fits)
        )
    if told:
        on.over.append(_told(on, top + 34.5, ", ".join(each.label for each in labelled), on.times(labelled[0].start_h)))
        top += 20
    rows: list[float] = []
    for event in on.sheet.events:
        x, label = on.times(event.time_h), f"{on.sheet.clock.clock(event.time_h)} {event.label}"
        words = text_width(label, AXIS_PX)
        beside = on.place(words, (x + 10, x - 10 - words))
        left, width = min(beside, x - 6), words + 16
        row = next((i for i, used in enumerate(rows) if used <= left), len(rows))
        rows[row : row + 1] = [left + width + 10]
        at = top + 34 + 20 * row
        pieces.append(element("path", d=f"M{x - 5:.1f} {at:.1f}l5 -5l5 5l-5 5Z", fill=colour("ink")))
        on.over.append(text(label, beside, at + 4.5, tone="ink", halo=True))
    return join(*pieces), room + 26.0 + 20 * (len(rows) + told) + 6


def _told(on: Sheet, y: float, words: str, start_px: float) -> Markup:
    """Words about the drug under its bars, from their start or as far left as they need."""
    width = text_width(words, AXIS_PX)
    x = on.place(width, (start_px, *sorted((x - 6 - width for x in on.lines_px), reverse=True)))
    return text(words, x, y, tone="drug", halo=True)


LANES: Final = (_pressure_lane, _heart_lane, _oxygen_lane, _alertness_lane, _dissociation_lane, _event_lane)
"""What draws each lane from its top, in order."""
