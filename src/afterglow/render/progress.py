"""A patient's own scores over time: ink points, sessions below, no band, no line but the one through the points."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

from afterglow.render.axes import Scale, nice_ticks, tick_labels
from afterglow.render.marks import measured_point, rectangle
from afterglow.render.svg import Markup, curve, line, picture, text
from afterglow.render.text import format_day, format_number
from afterglow.render.tokens import colour

_WIDTH, _HEIGHT = 342.0, 236.0
_LEFT, _RIGHT, _TOP, _BOTTOM = 30.0, 330.0, 12.0, 186.0
_SIZE = 13.0


@dataclass(frozen=True, slots=True, kw_only=True)
class ProgressData:
    """What the chart shows.

    Args:
        name: of the scale.
        most: the highest total there can be, points.
        higher_is_worse: whether a high total means more symptoms.
        scores: when and points, by time.
        sessions: when a dose was given.
        zone: IANA name of the clinic's clock.
    """

    name: str
    most: float
    higher_is_worse: bool
    scores: Sequence[tuple[datetime, float]]
    sessions: Sequence[datetime]
    zone: str


def progress_chart(data: ProgressData) -> Markup:
    """The picture, 342 px wide; its label is a sentence, and a table belongs beside it.

    >>> from datetime import UTC
    >>> day = datetime(2026, 1, 5, 9, tzinfo=UTC)
    >>> drawn = progress_chart(ProgressData(name="PHQ-9", most=27, higher_is_worse=True, zone="UTC",
    ...     scores=[(day, 21.0), (day + timedelta(days=7), 9.0)], sessions=[day + timedelta(days=1)]))
    >>> drawn.count("<circle"), "from 21 to 9" in drawn
    (2, True)
    """
    zone = ZoneInfo(data.zone)
    times = [at for at, _ in data.scores]
    every = sorted([*times, *(each for each in data.sessions if each <= times[-1])])
    first, last = every[0], max(times[-1], every[0] + timedelta(days=1))
    across = Scale(low=0.0, high=(last - first) / timedelta(hours=1), start_px=_LEFT + 10, end_px=_RIGHT - 12)
    up = Scale(low=0.0, high=data.most, start_px=_BOTTOM, end_px=_TOP)
    x_of = {at: across((at - first) / timedelta(hours=1)) for at in every}
    points = [(x_of[at], up(value)) for at, value in data.scores]
    ticks = [tick for tick in nice_ticks(0.0, data.most, 3) if tick <= data.most]
    above, below = ("more", "fewer") if data.higher_is_worse else ("fewer", "more")
    rows = [
        rectangle(_LEFT, _TOP, _RIGHT - _LEFT, _BOTTOM - _TOP, colour("surface")),
        *(line((_LEFT, up(tick)), (_RIGHT, up(tick)), "line" if tick else "edge") for tick in ticks),
        *(
            text(label, _LEFT - 8, up(tick) + 4.5, size_px=_SIZE, anchor="end")
            for tick, label in zip(ticks, tick_labels(ticks), strict=True)
        ),
        text(f"{above} symptoms", _RIGHT - 6, _TOP + 16, size_px=_SIZE, anchor="end"),
        text(f"{below} symptoms", _RIGHT - 6, _BOTTOM - 8, size_px=_SIZE, anchor="end", halo=True),
        *(rectangle(x_of[each] - 1.6, _BOTTOM + 3, 3.2, 11, colour("drug")) for each in data.sessions if each in x_of),
        curve(points, "ink", 1.25),
        *(measured_point(x, y) for x, y in points[:-1]),
        measured_point(*points[-1], radius_px=6.5),
        *_values(points, [value for _, value in data.scores]),
        *_dates(
            x_of[times[0]], x_of[times[-1]], format_day(times[0].astimezone(zone)), format_day(last.astimezone(zone))
        ),
    ]
    return picture(*rows, width_px=_WIDTH, height_px=_HEIGHT, label=_sentence(data), class_="chart")


def points_words(value: float) -> str:
    """Points as a patient reads them: whole, or to one decimal where a score has one.

    >>> points_words(7.0), points_words(61.2)
    ('7', '61.2')
    """
    return format_number(value, 0 if value == round(value) else 1)


def _values(points: Sequence[tuple[float, float]], values: Sequence[float]) -> list[Markup]:
    """The first and the last number beside their points, the first left out where the two would touch."""
    ends = (
        [(points[-1], values[-1])]
        if len(points) == 1 or points[-1][0] - points[0][0] < 60
        else [
            (points[0], values[0]),
            (points[-1], values[-1]),
        ]
    )
    drawn = []
    for (x, y), value in ends:
        anchor = "start" if x < _LEFT + 40 else "end"
        above = y > _TOP + 44
        drawn.append(
            text(
                points_words(value),
                x + (9 if anchor == "start" else 4),
                y - 11 if above else y + 20,
                tone="ink",
                size_px=16,
                bold=True,
                anchor=anchor,
                halo=True,
            )
        )
    return drawn


def _dates(first_px: float, last_px: float, first: str, last: str) -> list[Markup]:
    y = _BOTTOM + 34
    shown = [text(last, min(last_px + 10, _RIGHT), y, size_px=_SIZE, bold=True, anchor="end")]
    if last_px - first_px > 110:
        shown.append(text(first, max(first_px - 10, _LEFT), y, size_px=_SIZE))
    return shown


def _sentence(data: ProgressData) -> str:
    number = len(data.scores)
    if number == 1:
        return f"One {data.name} score: {points_words(data.scores[0][1])} points."
    span = f"from {points_words(data.scores[0][1])} to {points_words(data.scores[-1][1])}"
    return f"{number} {data.name} scores over time, {span} points. The table below has each."
