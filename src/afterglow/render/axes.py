"""Scales, ticks, axes and the placing of labels: what every chart shares below its marks."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import Final
from zoneinfo import ZoneInfo

from afterglow.quantities import HOURS_PER_DAY, HOURS_PER_MINUTE
from afterglow.render.svg import AXIS_PX, Markup, Point, join, line, text
from afterglow.render.text import format_day, format_number, text_width

# A span up to the limit is labelled in the unit, at one of the steps (all in hours).
_TIME_UNITS: Final = (
    (3.0, "min", 1 / 60, (5 / 60, 10 / 60, 20 / 60, 0.5, 1.0)),
    (96.0, "hours", 1.0, (1.0, 2.0, 4.0, 6.0, 12.0, 24.0)),
    (120 * 24.0, "days", 24.0, (24.0, 48.0, 168.0, 336.0, 672.0)),
    (math.inf, "weeks", 168.0, (672.0, 1344.0, 2184.0, 4368.0, 8736.0)),
)


_CALENDAR_STEPS_DAYS: Final = (1, 2, 7, 14, 28, 56, 91, 182, 364)  # weeks: a step falls on today's weekday


_CLOCK_STEPS_MIN: Final = (5, 10, 15, 30, 60, 120, 240, 480, 720, 1440)


@dataclass(frozen=True, slots=True, kw_only=True)
class Box:
    """The plotting area in px; `top` is the smaller number."""

    left: float
    top: float
    right: float
    bottom: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Scale:
    """A linear or logarithmic map from data to px; a log scale holds what lies under its start at its start.

    Examples:
        >>> Scale(low=0, high=10, start_px=100, end_px=200)(2.5)
        125.0
        >>> Scale(low=1, high=100, start_px=0, end_px=200, log=True)(10)
        100.0
    """

    low: float
    high: float
    start_px: float
    end_px: float
    log: bool = False

    def __call__(self, value: float) -> float:
        """The px of a value."""
        if self.log:
            value = max(value, self.low)
            share = math.log(value / self.low) / math.log(self.high / self.low)
        else:
            share = (value - self.low) / (self.high - self.low)
        return self.start_px + share * (self.end_px - self.start_px)

    def points(self, times: Scale, xs: Sequence[float], ys: Sequence[float]) -> list[Point]:
        """The px of a curve, `times` mapping `xs` and this scale `ys`."""
        return [(times(x), self(y)) for x, y in zip(xs, ys, strict=True)]


def nice_ticks(low: float, high: float, count: int) -> list[float]:
    """About `count` steps of 1, 2 or 5 times a power of ten that cover `low` to `high`.

    Examples:
        >>> nice_ticks(0, 17.3, 4)
        [0.0, 5.0, 10.0, 15.0, 20.0]
        >>> nice_ticks(2, 2, 4)
        [2.0, 2.5, 3.0]
    """
    if high <= low:
        high = low + 1.0
    rough = (high - low) / count
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(factor * power for factor in (1.0, 2.0, 5.0, 10.0) if factor * power >= rough * 0.999)
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    decimals = max(0, -math.floor(math.log10(step)))
    return [round(i * step, decimals) + 0.0 for i in range(first, last + 1)]


def log_ticks(low: float, high: float) -> list[float]:
    """Ticks that cover a positive span on a log scale: whole decades, or 1, 2, 5 over a short span.

    Examples:
        >>> log_ticks(0.8, 300)
        [0.1, 1.0, 10.0, 100.0, 1000.0]
        >>> log_ticks(0.4, 1.8)
        [0.2, 0.5, 1.0, 2.0]
    """
    high = high if high > low else low * 10.0
    decades = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    factors = (1.0,) if high / low > 50 else (1.0, 2.0, 5.0)
    ticks = [float(f"{factor * 10.0**decade:.3g}") for decade in decades for factor in factors]
    first = max((tick for tick in ticks if tick <= low), default=ticks[0])
    last = min(tick for tick in ticks if tick >= high)
    return [tick for tick in ticks if first <= tick <= last]


def tick_labels(ticks: Sequence[float]) -> list[str]:
    """Labels of ticks, each with the decimals it needs.

    Examples:
        >>> tick_labels([-0.5, 0.0, 0.5, 1.0]), tick_labels([0.0, 1000.0])
        (['−0.5', '0', '0.5', '1'], ['0', '1,000'])
    """
    return [format_number(tick, len(f"{tick:.9f}".rstrip("0").split(".")[1])) for tick in ticks]


def time_ticks(low_h: float, high_h: float, count: int) -> tuple[list[tuple[float, str]], str]:
    """Ticks of a time axis inside its span, in the unit people would say.

    Args:
        low_h: start of the axis, h.
        high_h: end of the axis, h.
        count: at most about this many ticks.
    Returns: pairs of time in hours and label, and the unit's name.

    Examples:
        >>> time_ticks(0, 28 * 24, 6)
        ([(0.0, '0'), (168.0, '7'), (336.0, '14'), (504.0, '21'), (672.0, '28')], 'days')
        >>> time_ticks(0, 2, 5)
        ([(0.0, '0'), (0.5, '30'), (1.0, '60'), (1.5, '90'), (2.0, '120')], 'min')
    """
    span = high_h - low_h
    _, unit, unit_h, steps = next(row for row in _TIME_UNITS if span <= row[0])
    step = next((step for step in steps if span / step <= count), steps[-1])
    indices = range(math.ceil(low_h / step - 1e-9), math.floor(high_h / step + 1e-9) + 1)
    return [(i * step, format_number(i * step / unit_h)) for i in indices], unit


@dataclass(frozen=True, slots=True, kw_only=True)
class Calendar:
    """Dates of times that count in h from `origin_at` (aware), as the clocks of an IANA zone show them."""

    origin_at: datetime
    zone: str

    def at(self, time_h: float) -> datetime:
        """The moment on the zone's clock.

        >>> Calendar(origin_at=datetime(2026, 3, 28, 22, tzinfo=UTC), zone="Europe/Zurich").at(6.0).isoformat()
        '2026-03-29T06:00:00+02:00'
        """
        return (self.origin_at + timedelta(hours=time_h)).astimezone(ZoneInfo(self.zone))

    def clock(self, time_h: float) -> str:
        """The time of day at the clinic.

        >>> Calendar(origin_at=datetime(2026, 11, 23, 12, tzinfo=UTC), zone="Europe/Zurich").clock(0.5)
        '13:30'
        """
        return f"{self.at(time_h):%H:%M}"

    def midnight_h(self, day: date) -> float:
        """When a day begins, h since the origin."""
        begin = datetime.combine(day, time(), tzinfo=ZoneInfo(self.zone))
        return (begin.astimezone(UTC) - self.origin_at) / timedelta(hours=1)


def calendar_ticks(
    calendar: Calendar, now_h: float, low_h: float, high_h: float, count: int
) -> list[tuple[float, str]]:
    """About `count` dates inside a span, whole steps of days from today's date, which itself is left out.

    >>> ticks = calendar_ticks(Calendar(origin_at=datetime(2026, 11, 23, tzinfo=UTC), zone="UTC"), 0, -500, 700, 4)
    >>> [label for _, label in ticks]
    ['9 Nov', '7 Dec', '21 Dec']
    """
    span_days = (high_h - low_h) / HOURS_PER_DAY
    step = next((days for days in _CALENDAR_STEPS_DAYS if span_days / days <= count), _CALENDAR_STEPS_DAYS[-1])
    today = calendar.at(now_h).date()
    first, last = math.ceil((low_h - now_h) / HOURS_PER_DAY / step), int((high_h - now_h) / HOURS_PER_DAY / step) + 1
    days = [today + timedelta(days=step * i) for i in range(first, last + 1) if i]
    placed = [(calendar.midnight_h(day), format_day(day, year=step >= 182)) for day in days]
    return [(at_h, label) for at_h, label in placed if low_h <= at_h <= high_h]


def spread_labels(wanted: Sequence[float], heights: Sequence[float], *, low: float, high: float) -> list[float]:
    """Centres of labels moved as little as possible (least squares) until none overlaps another.

    Isotonic regression by pooling adjacent violators, in the coordinates where touching labels coincide.

    Args:
        wanted: centres asked for, px, in any order.
        heights: room each label needs, px.
        low: no label starts before it, px.
        high: no label ends after it, px, unless they cannot all fit.
    Returns: the centres in the order given.

    Examples:
        >>> spread_labels([50, 52, 90], [16, 16, 16], low=0, high=100)
        [43.0, 59.0, 90.0]
    """
    order = sorted(range(len(wanted)), key=lambda i: wanted[i])
    offsets: list[float] = []
    used = 0.0
    for i in order:
        offsets.append(used + heights[i] / 2)
        used += heights[i]
    pools: list[tuple[float, int]] = []
    for i, offset in zip(order, offsets, strict=True):
        total, size = wanted[i] - offset, 1
        while pools and pools[-1][0] / pools[-1][1] > total / size:
            total, size = total + pools[-1][0], size + pools[-1][1]
            pools.pop()
        pools.append((total, size))
    shifts = [total / size for total, size in pools for _ in range(size)]
    placed = [max(low, min(shift, high - used)) + offset for shift, offset in zip(shifts, offsets, strict=True)]
    centres = [0.0] * len(wanted)
    for i, centre in zip(order, placed, strict=True):
        centres[i] = centre
    return centres


def draw_value_axis(box: Box, scale: Scale, ticks: Sequence[float], labels: Sequence[str]) -> Markup:
    """Hairlines across the box with their numbers at the left."""
    pieces = []
    for tick, label in zip(ticks, labels, strict=True):
        pieces.append(line((box.left, scale(tick)), (box.right, scale(tick)), "line"))
        pieces.append(text(label, box.left - 8, scale(tick) + 4.5, tone="ink3", anchor="end"))
    return join(*pieces)


def draw_time_axis(box: Box, scale: Scale, *, origin: str) -> Markup:
    """The axis line under the box, its ticks and numbers, and what they count from."""
    count = max(2, int((box.right - box.left) / 60))
    ticks, unit = time_ticks(scale.low, scale.high, count)
    pieces = [line((box.left, box.bottom), (box.right, box.bottom), "edge")]
    for hours, label in ticks:
        pieces.append(line((scale(hours), box.bottom), (scale(hours), box.bottom + 5), "edge"))
        pieces.append(text(label, scale(hours), box.bottom + 20, tone="ink3", anchor="middle"))
    middle = (box.left + box.right) / 2
    return join(*pieces, text(f"{unit} {origin}", middle, box.bottom + 38, tone="ink3", anchor="middle"))


def draw_calendar_axis(box: Box, scale: Scale, calendar: Calendar, now_h: float) -> Markup:
    """The axis line under the box with its dates, today's in bold; a date too close to it is left out."""
    ticks = calendar_ticks(calendar, now_h, scale.low, scale.high, max(2, int((box.right - box.left) / 54)))
    today = min(max(scale(now_h), box.left + 8), box.right - 8)
    room = 10 + text_width("Today", AXIS_PX, bold=True) / 2
    pieces = [line((box.left, box.bottom), (box.right, box.bottom), "edge")]
    for at_h, label in ticks:
        pieces.append(line((scale(at_h), box.bottom), (scale(at_h), box.bottom + 5), "edge"))
        if abs(scale(at_h) - today) > room + text_width(label, AXIS_PX) / 2:
            pieces.append(text(label, scale(at_h), box.bottom + 20, tone="ink3", anchor="middle"))
    pieces.append(line((scale(now_h), box.bottom), (scale(now_h), box.bottom + 5), "edge"))
    return join(*pieces, text("Today", today, box.bottom + 20, tone="ink", bold=True, anchor="middle"))


def draw_clock_axis(box: Box, scale: Scale, calendar: Calendar) -> Markup:
    """The axis line under the box with times of day; days too where it is longer than one."""
    minutes = (scale.high - scale.low) / HOURS_PER_MINUTE
    room = (box.right - box.left) / 62
    step_min = next((each for each in _CLOCK_STEPS_MIN if minutes / each <= room), _CLOCK_STEPS_MIN[-1])
    step_h = step_min * HOURS_PER_MINUTE
    midnight_h = calendar.midnight_h(calendar.at(scale.low).date())
    first = math.ceil((scale.low - midnight_h) / step_h - 1e-9)
    last = math.floor((scale.high - midnight_h) / step_h + 1e-9)
    pieces = [line((box.left, box.bottom), (box.right, box.bottom), "edge")]
    for at_h in (midnight_h + i * step_h for i in range(first, last + 1)):
        when, x = calendar.at(at_h), scale(at_h)
        is_day = minutes > _CLOCK_STEPS_MIN[-1] and when.time() == time()
        pieces.append(line((x, box.bottom), (x, box.bottom + 5), "edge"))
        label = format_day(when.date()) if is_day else f"{when:%H:%M}"
        pieces.append(text(label, x, box.bottom + 20, tone="ink3", anchor="middle"))
    return join(*pieces)


TIME_AXIS_PX: Final = 52.0
"""Room under a box for its time axis."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EndLabel:
    """A series named at the right end of its line: the name in bold, what it means below."""

    at_px: float
    name: str
    tone: str = "ink"
    details: tuple[str, ...] = ()


def draw_end_labels(labels: Sequence[EndLabel], box: Box) -> Markup:
    """The labels beside the box, moved apart where they would touch."""
    heights = [17.0 * (1 + len(label.details)) + (4.0 if label.details else 0.0) for label in labels]
    centres = spread_labels([label.at_px for label in labels], heights, low=box.top - 8, high=box.bottom + 8)
    pieces = []
    for label, height, centre in zip(labels, heights, centres, strict=True):
        top = centre - height / 2 + (15 if label.details else 13)
        pieces.append(text(label.name, box.right + 14, top, tone=label.tone, bold=True))
        pieces += [text(detail, box.right + 14, top + 17 * (row + 1)) for row, detail in enumerate(label.details)]
    return join(*pieces)
