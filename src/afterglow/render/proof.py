"""Pictures of a proof: marks in rows, rank histograms, and what a policy costs against what it spares."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal

from afterglow.errors import InvalidData
from afterglow.render.axes import Box, Scale, draw_value_axis, nice_ticks, tick_labels
from afterglow.render.chart import Canvas, Chart, Column, Drawing, Table, check_finite, finish_chart
from afterglow.render.marks import LINE_PX, rectangle
from afterglow.render.svg import AXIS_PX, Markup, curve, element, join, line, text
from afterglow.render.text import format_number, text_width, wrap_text
from afterglow.render.tokens import colour

Kind = Literal["own", "own second", "rival", "second rival", "third rival"]

_TONES: Final[dict[Kind, str]] = {
    "own": "predicted",
    "own second": "predicted",
    "rival": "control",
    "second rival": "expectancy",
    "third rival": "care",
}
_ROW_PX: Final = 24.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Dot:
    """One mark of a row, with its interval where it has one."""

    kind: Kind
    value: float
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class DotRow:
    """One row: a name and its marks."""

    label: str
    dots: tuple[Dot, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class DotData:
    """Marks in rows on one axis.

    Attributes:
        unit: of the axis.
        names: what each kind of mark is.
        goals: values that marks should lie at.
        decimals: how numbers are written.
        sentence: what the picture says, in words.
    """

    title: str
    unit: str
    names: tuple[tuple[Kind, str], ...]
    rows: tuple[DotRow, ...]
    sentence: str
    goals: tuple[float, ...] = ()
    decimals: int = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class RankPanel:
    """Counts of ranks in equal bins, flat where a forecast is right, and how uneven they are (chi-squared)."""

    name: str
    counts: tuple[int, ...]
    unevenness: float


@dataclass(frozen=True, slots=True, kw_only=True)
class RankData:
    """Rank histograms side by side; `beyond` is a sentence on those that are not drawn."""

    title: str
    panels: tuple[RankPanel, ...]
    beyond: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class PolicyPoint:
    """What a policy costs and spares per quarter: sessions, and days over the cut-off with their standard error."""

    name: str
    short: str
    sessions: float
    days: float
    days_se: float
    kind: Literal["forecast", "calendar", "reactive"]


@dataclass(frozen=True, slots=True, kw_only=True)
class PolicyData:
    """Policies in several worlds, one panel each."""

    title: str
    worlds: tuple[tuple[str, tuple[PolicyPoint, ...]], ...]


_LABELS_APART = 13.0  # px between two labels of 12.5 px


# Marks in rows


def dot_chart(data: DotData) -> Chart:
    """Marks in rows with a line at each goal.

    Args:
        data: at least one row with a mark.
    Raises: InvalidData when there is none, or a number is not finite.
    """
    if not data.rows or not all(row.dots for row in data.rows):
        raise InvalidData(f'"{data.title}" cannot be drawn: it holds no mark')
    check_finite(data.title, _values(data))
    return finish_chart(data.title, data.sentence, _dot_table(data), lambda canvas: _draw_dots(data, canvas))


def _values(data: DotData) -> list[float]:
    ends = [v for row in data.rows for dot in row.dots for v in (dot.value, dot.low, dot.high) if v is not None]
    return [*ends, *data.goals]


def _dot_table(data: DotData) -> Table:
    def cell(row: DotRow, kind: Kind) -> str:
        return next((format_number(dot.value, data.decimals) for dot in row.dots if dot.kind == kind), "")

    return Table(
        caption=f"{data.title}, {data.unit}",
        columns=(Column(heading="Patients"), *(Column(heading=name, numeric=True) for _, name in data.names)),
        rows=tuple((row.label, *(cell(row, kind) for kind, _ in data.names)) for row in data.rows),
    )


def _draw_dots(data: DotData, canvas: Canvas) -> Drawing:
    left, right = (12.0, canvas.width_px - 12) if canvas.narrow else (232.0, canvas.width_px - 24)
    ticks = nice_ticks(min(_values(data)), max(_values(data)), 5)
    across = Scale(low=ticks[0], high=ticks[-1], start_px=left, end_px=right)
    step = _ROW_PX + LINE_PX * canvas.narrow
    top, bottom = 6.0, 6.0 + step * len(data.rows)
    pieces = [line((across(tick), top), (across(tick), bottom), "line") for tick in ticks]
    pieces += [line((across(goal), top), (across(goal), bottom), "ink2") for goal in data.goals]
    for i, row in enumerate(data.rows):
        middle = top + step * (i + 1) - _ROW_PX / 2
        words = middle - LINE_PX + 2 if canvas.narrow else middle + 4.5
        pieces.append(text(row.label, 0, words, tone="ink", halo=canvas.narrow))
        for dot in reversed(row.dots):
            if dot.low is not None and dot.high is not None:
                pieces.append(line((across(dot.low), middle), (across(dot.high), middle), _TONES[dot.kind], 1.5))
            pieces.append(_mark(dot.kind, across(dot.value), middle))
    pieces.append(line((left, bottom), (right, bottom), "edge"))
    for tick, label in zip(ticks, tick_labels(ticks), strict=True):
        pieces.append(text(label, across(tick), bottom + 19, tone="ink3", anchor="middle"))
    pieces.append(text(data.unit, (left + right) / 2, bottom + 37, tone="ink3", anchor="middle"))
    key, height = _key([(kind, name) for kind, name in data.names], canvas, bottom + 58)
    return join(*pieces, key), height


def _mark(kind: Kind, x: float, y: float) -> Markup:
    tone, size = colour(_TONES[kind]), 4.6
    if kind in {"own", "own second"}:
        fill = tone if kind == "own" else colour("surface")
        return element("circle", cx=x, cy=y, r=size, fill=fill, stroke=tone, stroke_width=1.75)
    if kind == "rival":
        return rectangle(
            x - size + 0.6, y - size + 0.6, 2 * size - 1.2, 2 * size - 1.2, colour("surface"), edge="control"
        )
    if kind == "second rival":
        points = f"{x:.1f},{y - size - 1:.1f} {x + size:.1f},{y + size - 1:.1f} {x - size:.1f},{y + size - 1:.1f}"
    else:
        reach = size + 0.8
        points = f"{x:.1f},{y - reach:.1f} {x + reach:.1f},{y:.1f} {x:.1f},{y + reach:.1f} {x - reach:.1f},{y:.1f}"
    return element("polygon", points=points, fill=colour("surface"), stroke=tone, stroke_width=1.5)


def _key(names: Sequence[tuple[Kind, str]], canvas: Canvas, top: float) -> Drawing:
    pieces, x, y = [], 0.0, top
    for kind, name in names:
        width = 16 + text_width(name, AXIS_PX) + 22
        if x > 0 and x + width > canvas.width_px:
            x, y = 0.0, y + LINE_PX + 3
        pieces += [_mark(kind, x + 6, y), text(name, x + 16, y + 4.5)]
        x += width
    return join(*pieces), y + 12


# Rank histograms


def rank_chart(data: RankData) -> Chart:
    """Histograms of ranks, each with the range that flat ones keep to in 95 of 100 bins.

    Args:
        data: at least one panel.
    Raises: InvalidData when there is none.
    """
    if not data.panels:
        raise InvalidData(f'"{data.title}" cannot be drawn: it holds no panel')
    worst = max(data.panels, key=lambda panel: panel.unevenness)
    sentence = (
        f"Where the next score lay in its prediction, in {len(worst.counts)} equal bins: flat where it is right. "
        f"Most uneven of those drawn: {worst.name}, chi-squared {worst.unevenness:.1f} on "
        f"{len(worst.counts) - 1} degrees of freedom.{data.beyond and f' {data.beyond}'}"
    )
    table = Table(
        caption=f"{data.title}: patients by bin",
        columns=(
            Column(heading="Patients"),
            Column(heading="Chi-squared", numeric=True),
            Column(heading="Counts, lowest rank first"),
        ),
        rows=tuple((panel.name, f"{panel.unevenness:.1f}", " ".join(map(str, panel.counts))) for panel in data.panels),
    )
    return finish_chart(data.title, sentence, table, lambda canvas: _draw_ranks(data, canvas))


def _draw_ranks(data: RankData, canvas: Canvas) -> Drawing:
    across, gap = (1, 0.0) if canvas.narrow else (3, 28.0)
    width, height = (canvas.width_px - gap * (across - 1)) / across, 96.0
    highest = max(max(panel.counts) for panel in data.panels) * 1.1
    pieces = []
    for i, panel in enumerate(data.panels):
        left, top = (i % across) * (width + gap), (i // across) * (height + 40) + 22
        level = Scale(low=0.0, high=highest, start_px=top + height, end_px=top)
        n, bins = sum(panel.counts), len(panel.counts)
        spread = 1.96 * math.sqrt(n / bins * (1 - 1 / bins))
        step = width / bins
        pieces.append(text(panel.name, left, top - 8, tone="ink", bold=True))
        low, high = level(max(n / bins - spread, 0.0)), level(n / bins + spread)
        pieces.append(rectangle(left, high, width, low - high, colour("band-b")))
        for b, count in enumerate(panel.counts):
            pieces.append(
                rectangle(
                    left + b * step + 0.75, level(count), step - 1.5, level(0) - level(count), colour("predicted-50")
                )
            )
        pieces.append(line((left, level(n / bins)), (left + width, level(n / bins)), "ink2"))
        pieces.append(line((left, level(0)), (left + width, level(0)), "edge"))
    rows = -(-len(data.panels) // across)
    bottom = rows * (height + 40)
    words = wrap_text("Line: flat. Grey: where 95 of 100 bins of a right forecast lie.", AXIS_PX, canvas.width_px)
    pieces += [text(one, 0, bottom + 8 + LINE_PX * i, tone="ink3") for i, one in enumerate(words)]
    return join(*pieces), bottom + 14 + LINE_PX * (len(words) - 1)


# Policies


def policy_chart(data: PolicyData) -> Chart:
    """Days spent relapsed over sessions given, per quarter, one panel a world: the product's own picture.

    Args:
        data: at least one world with a point.
    Raises: InvalidData when there is none, or a number is not finite.
    """
    if not data.worlds or not all(points for _, points in data.worlds):
        raise InvalidData(f'"{data.title}" cannot be drawn: it holds no policy')
    check_finite(data.title, [v for _, points in data.worlds for p in points for v in (p.sessions, p.days, p.days_se)])
    return finish_chart(
        data.title, _policy_sentence(data), _policy_table(data), lambda canvas: _draw_policy(data, canvas)
    )


def _policy_sentence(data: PolicyData) -> str:
    world, points = data.worlds[len(data.worlds) // 2]
    first, last = (min(points, key=lambda p: p.days), max(points, key=lambda p: p.days))
    said = [
        f"{point.name} has {format_number(point.sessions, 1)} sessions and {format_number(point.days)} days relapsed"
        for point in (first, last)
    ]
    return (
        f"Per quarter where sessions add up {world}, {said[0]}, the fewest days; {said[1]}, the most. "
        "Extrapolation: no trial has compared how often sessions are given."
    )


def _policy_table(data: PolicyData) -> Table:
    headings = ("Sessions add up", "Policy", "Sessions", "Days relapsed", "Standard error")
    return Table(
        caption=f"{data.title}: per quarter of 91 days, simulated responders",
        columns=tuple(Column(heading=name, numeric=i > 1) for i, name in enumerate(headings)),
        rows=tuple(
            (
                world,
                point.name,
                format_number(point.sessions, 1),
                format_number(point.days, 1),
                format_number(point.days_se, 1),
            )
            for world, points in data.worlds
            for point in points
        ),
    )


def _draw_policy(data: PolicyData, canvas: Canvas) -> Drawing:
    count = len(data.worlds)
    every = [point for _, points in data.worlds for point in points]
    x_ticks = nice_ticks(0.0, max(point.sessions for point in every), 4)
    y_ticks = nice_ticks(0.0, max(point.days for point in every), 4)
    gap, margin, height = 26.0, 40.0, 250.0
    columns = 1 if canvas.narrow else count
    width = (canvas.width_px - margin - gap * (columns - 1) - 8) / columns
    pieces = [text("Extrapolation: no trial has compared how often sessions are given", 0, 12, tone="ink3")]
    if canvas.narrow:
        words = wrap_text("Extrapolation: no trial has compared how often sessions are given", AXIS_PX, canvas.width_px)
        pieces = [text(one, 0, 12 + LINE_PX * i, tone="ink3") for i, one in enumerate(words)]
    bottom = 0.0
    for i, (world, points) in enumerate(data.worlds):
        left = margin + (0 if canvas.narrow else i * (width + gap))
        top = 62.0 + (i * (height + 78) if canvas.narrow else 0.0)
        box = Box(left=left, top=top, right=left + width, bottom=top + height)
        labels = tick_labels(y_ticks) if canvas.narrow or i == 0 else [""] * len(y_ticks)
        values = Scale(low=0.0, high=y_ticks[-1], start_px=box.bottom, end_px=box.top)
        across = Scale(low=0.0, high=x_ticks[-1], start_px=box.left, end_px=box.right)
        pieces.append(text(f"Sessions add up {world}", left, top - 14, tone="ink", bold=True))
        pieces.append(draw_value_axis(box, values, y_ticks, labels))
        pieces.append(_policy_panel(points, across, values))
        pieces.append(line((box.left, box.bottom), (box.right, box.bottom), "edge"))
        for tick, label in zip(x_ticks, tick_labels(x_ticks), strict=True):
            pieces.append(line((across(tick), box.bottom), (across(tick), box.bottom + 5), "edge"))
            pieces.append(text(label, across(tick), box.bottom + 19, tone="ink3", anchor="middle"))
        middle = (box.left + box.right) / 2
        pieces.append(text("sessions a quarter", middle, box.bottom + 37, tone="ink3", anchor="middle"))
        bottom = box.bottom
    pieces.append(text("days relapsed a quarter", 0, 62.0 - 32, tone="ink3"))
    key, end = _policy_key(canvas, bottom + 62)
    return join(*pieces, key), end


def _policy_panel(points: Sequence[PolicyPoint], across: Scale, values: Scale) -> Markup:
    def at(point: PolicyPoint) -> tuple[float, float]:
        return across(point.sessions), values(point.days)

    calendar = sorted((p for p in points if p.kind == "calendar"), key=lambda p: p.sessions)
    forecast = sorted((p for p in points if p.kind == "forecast"), key=lambda p: p.sessions)
    pieces = [
        curve([at(p) for p in calendar], "control", 1.5, "6 4"),
        curve([at(p) for p in forecast], "predicted", 2.5),
    ]
    for point in points:
        x, y = at(point)
        tone = {"forecast": "predicted", "calendar": "control", "reactive": "expectancy"}[point.kind]
        reach = values(0.0) - values(point.days_se)
        pieces.append(line((x, y - reach), (x, min(y + reach, values(0.0))), tone, 1.25))
        pieces.append(_mark({"forecast": "own", "calendar": "rival", "reactive": "second rival"}[point.kind], x, y))  # type: ignore[arg-type]
    taken: list[tuple[float, float, float]] = []
    for point in sorted((p for p in points if p.short), key=lambda p: p.kind != "calendar"):
        pieces += [_policy_label(point, at(point), across, taken)]
    return join(*pieces)


def _policy_label(
    point: PolicyPoint, at: tuple[float, float], across: Scale, taken: list[tuple[float, float, float]]
) -> Markup:
    """A label over its point, or under it where another label stands already."""
    width = text_width(point.short, AXIS_PX)
    x = min(
        max(at[0] - width / 2 + (8 if point.kind == "calendar" else -8), across.start_px + 2), across.end_px - width
    )
    places = (at[1] - 12, at[1] + 22, at[1] - 28, at[1] + 38)
    y = next(
        (
            y
            for y in places
            if not any(x < end and start < x + width and abs(y - other) < _LABELS_APART for start, end, other in taken)
        ),
        places[0],
    )
    taken.append((x, x + width, y))
    tone = {"forecast": "predicted", "calendar": "ink2", "reactive": "expectancy"}[point.kind]
    return text(point.short, x, y, tone=tone, halo=True)


def _policy_key(canvas: Canvas, top: float) -> Drawing:
    names: list[tuple[Kind, str]] = [
        ("own", "next due: at the limit of the chance of relapse"),
        ("rival", "by the calendar"),
        ("second rival", "when it feels bad"),
    ]
    return _key(names, canvas, top)
