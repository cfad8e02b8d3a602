"""Charts in rows: observed against predicted, and the forest plot."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal

from afterglow.errors import InvalidData
from afterglow.render.axes import Scale, log_ticks, nice_ticks, tick_labels
from afterglow.render.chart import Canvas, Chart, Column, Drawing, Table, check_finite, finish_chart
from afterglow.render.marks import LINE_PX, Mark, diamond, draw_key, measured_point, predicted_bar, square, whisker
from afterglow.render.svg import AXIS_PX, Markup, join, line, text
from afterglow.render.text import format_number, format_range, wrap_text


@dataclass(frozen=True, slots=True, kw_only=True)
class PredictionRow:
    """One figure: what the model says and what was published.

    Attributes:
        label: arm and time, as "Ketamine, 24 h".
        predicted, lo90, hi90: mean and 90 % prediction interval for a trial of that size.
        observed: the published figure; None when none is known.
        observed_low, observed_high: its own interval, when published.
    """

    label: str
    predicted: float
    lo90: float
    hi90: float
    observed: float | None = None
    observed_low: float | None = None
    observed_high: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class PredictionGroup:
    """Rows of one statistic in one unit, on one axis; `decimals` is how its numbers are written."""

    heading: str
    unit: str
    rows: tuple[PredictionRow, ...]
    decimals: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class ObservedPredictedData:
    """Published figures beside their predictions, grouped by statistic.

    Attributes:
        published: whether somebody may have published such figures; a plan has none, so their place is left out.
    """

    title: str
    groups: tuple[PredictionGroup, ...]
    published: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class ForestRow:
    """One effect: a pooled result or one trial.

    Attributes:
        label: the comparison or the trial.
        source: where it was published, with the reading depth when it matters ("abstract").
        comparator: what it was compared with.
        effect, lo95, hi95: in the measure of the plot.
        kind: "pooled" or "trial".
        weight_percent: share in the pooled effect, 0 to 100.
        prediction_lo95, prediction_hi95: where the effect of a new trial would lie.
    """

    label: str
    source: str
    comparator: str
    effect: float
    lo95: float
    hi95: float
    kind: Literal["pooled", "trial"]
    weight_percent: float | None = None
    prediction_lo95: float | None = None
    prediction_hi95: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ForestGroup:
    """Rows under one heading."""

    heading: str
    rows: tuple[ForestRow, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class ForestData:
    """A forest plot.

    Attributes:
        measure: what the numbers are, as "Standardised difference".
        left_label, right_label: what lies on either side of no effect.
        log_x: for ratios; no effect is then 1 instead of 0.
        decimals: how its numbers are written.
    """

    title: str
    measure: str
    left_label: str
    right_label: str
    groups: tuple[ForestGroup, ...]
    log_x: bool = False
    decimals: int = 2

    @property
    def no_effect(self) -> float:
        """The value that means no difference."""
        return 1.0 if self.log_x else 0.0

    def number(self, value: float) -> str:
        """An effect or an end of its interval as it is written."""
        return format_number(value, self.decimals)


_ROW_PX: Final = 26.0
_MARK_PX: Final = 26.0
"""Room for a row's mark under its words, on a phone."""
_NARROW_MARGIN_PX: Final = 20.0


# Observed against predicted


def observed_predicted_chart(data: ObservedPredictedData) -> Chart:
    """Each published figure as an ink point on the blue bar of its prediction.

    Args:
        data: at least one row; a group whose axis crosses zero marks it.
    Raises: InvalidData when there is no row, or a number that is not finite.
    """
    if not any(group.rows for group in data.groups):
        raise InvalidData(f'"{data.title}" cannot be drawn: it holds no row')
    check_finite(data.title, [value for group in data.groups for value in _prediction_values(group)])
    return finish_chart(
        data.title,
        _prediction_sentence(data),
        _prediction_table(data),
        lambda canvas: _draw_predictions(data, canvas),
    )


def _prediction_values(group: PredictionGroup) -> list[float]:
    return [
        value
        for row in group.rows
        for value in (row.predicted, row.lo90, row.hi90, row.observed, row.observed_low, row.observed_high)
        if value is not None
    ]


def _inside(row: PredictionRow) -> bool:
    return row.observed is not None and row.lo90 <= row.observed <= row.hi90


def _prediction_sentence(data: ObservedPredictedData) -> str:
    known = [row for group in data.groups for row in group.rows if row.observed is not None]
    if not data.published:
        return "Predicted figures with their 90 % intervals."
    if not known:
        return "Predicted figures with their 90 % intervals; none has been published."
    inside = sum(_inside(row) for row in known)
    return f"{inside} of {len(known)} published figures lie inside the predicted 90 % interval."


def _prediction_cells(group: PredictionGroup, row: PredictionRow) -> tuple[str, str, str, str]:
    """Predicted, its interval, observed with its own interval, and the verdict."""

    def number(value: float) -> str:
        return format_number(value, group.decimals)

    observed = "none shown" if row.observed is None else number(row.observed)
    if row.observed_low is not None and row.observed_high is not None:
        observed += f" ({format_range(number(row.observed_low), number(row.observed_high))})"
    verdict = "" if row.observed is None else ("inside" if _inside(row) else "outside")
    return number(row.predicted), format_range(number(row.lo90), number(row.hi90)), observed, verdict


def _prediction_table(data: ObservedPredictedData) -> Table:
    headings = ("Figure", "Statistic", "Unit", "Predicted", "90 % interval", "Observed", "Observed is")
    shown = slice(0, None if data.published else 5)
    rows: list[tuple[str, ...]] = [
        (row.label, group.heading, group.unit, *_prediction_cells(group, row))
        for group in data.groups
        for row in group.rows
    ]
    return Table(
        caption=f"{data.title}: every figure shown",
        columns=tuple(Column(heading=name, numeric=3 <= i <= 5) for i, name in enumerate(headings[shown])),
        rows=tuple(row[shown] for row in rows),
    )


def _draw_predictions(data: ObservedPredictedData, canvas: Canvas) -> Drawing:
    y = 0.0
    pieces = []
    for group in data.groups:
        marks, height = _prediction_panel(group, canvas, y, published=data.published)
        pieces.append(marks)
        y += height
    entries: list[tuple[Mark, str]] = [
        ("predicted interval", "Predicted: mean and 90 % interval for a trial of this size"),
        ("measured", "Published"),
    ]
    if canvas.narrow:
        entries[0] = ("predicted interval", "Predicted: mean and 90 %")
    entries = entries if data.published else entries[:1]
    key, key_px = draw_key(canvas, entries, 0, y + 4)
    return join(*pieces, key), y + 4 + key_px


def _prediction_panel(group: PredictionGroup, canvas: Canvas, top: float, *, published: bool) -> Drawing:
    left, right = (_NARROW_MARGIN_PX, canvas.width_px - _NARROW_MARGIN_PX) if canvas.narrow else (200.0, 472.0)
    known = _prediction_values(group)
    ticks = nice_ticks(min(known), max(known), 4 if canvas.narrow else 5)
    scale = Scale(low=ticks[0], high=ticks[-1], start_px=left, end_px=right)
    y = top + (30 if canvas.narrow else 44)
    first = y - 4
    heading = [text(group.heading, 0, top + 18, tone="ink", size_px=13.5, bold=True)]
    if not canvas.narrow:
        columns = (("Predicted (90 %)", 496), *([("Published", 650)] if published else []))
        heading += [text(name, x, top + 34, tone="ink3") for name, x in columns]
    rows = []
    middles = []
    for row in group.rows:
        words, middle, height = _prediction_words(group, row, canvas, y, is_published=published)
        rows.append(join(words, _prediction_mark(row, scale, middle)))
        middles.append(middle)
        y += height
    spans = [(at - 11, at + 11) for at in middles] if canvas.narrow else [(first, y)]
    axis = _row_axis(scale, ticks, spans, y + 2, group.unit, no_effect=0.0)
    return join(axis, *heading, *rows), y + 50 - top


def _row_axis(
    scale: Scale,
    ticks: Sequence[float],
    spans: Sequence[tuple[float, float]],
    bottom: float,
    caption: str,
    *,
    no_effect: float,
) -> Markup:
    """Vertical hairlines through the spans, a darker one at no effect; numbers and what they count below."""
    pieces = []
    for tick, label in zip(ticks, tick_labels(ticks), strict=True):
        pieces += [line((scale(tick), top), (scale(tick), end), "line") for top, end in spans]
        pieces.append(line((scale(tick), bottom), (scale(tick), bottom + 5), "edge"))
        pieces.append(text(label, scale(tick), bottom + 19, tone="ink3", anchor="middle"))
    if ticks[0] <= no_effect <= ticks[-1]:
        pieces += [line((scale(no_effect), top), (scale(no_effect), end), "ink2") for top, end in spans]
    middle = (scale.start_px + scale.end_px) / 2
    pieces.append(line((scale.start_px, bottom), (scale.end_px, bottom), "edge"))
    return join(*pieces, text(caption, middle, bottom + 36, tone="ink3", anchor="middle"))


def _prediction_words(
    group: PredictionGroup, row: PredictionRow, canvas: Canvas, top: float, *, is_published: bool
) -> tuple[Markup, float, float]:
    """The words of a row, the height of its mark's middle, and the height of the row."""
    predicted, interval, _, verdict = _prediction_cells(group, row)
    published = "none shown" if row.observed is None else format_number(row.observed, group.decimals)
    outside = verdict == "outside"
    published += ", outside" if outside else ""
    if canvas.narrow:
        lines = wrap_text(row.label, AXIS_PX, canvas.width_px)
        about = [f"Predicted {predicted}, 90 % {interval}", *([f"Published: {published}"] if is_published else [])]
        words = join(_cell(lines, 0, top + 13, "ink"), _cell(about, 0, top + 13 + LINE_PX * len(lines), "ink3"))
        height = LINE_PX * (len(lines) + len(about)) + _MARK_PX
        return words, top + height - 11, height + 8
    lines = wrap_text(row.label, AXIS_PX, 184)
    height = max(_ROW_PX, 9 + LINE_PX * len(lines))
    middle = top + height / 2
    words = join(
        _cell(lines, 0, middle + 4.5 - LINE_PX / 2 * (len(lines) - 1), "ink"),
        text(f"{predicted} ({interval})", 496, middle + 4.5, tone="predicted"),
        *([text(published, 650, middle + 4.5, tone="ink", bold=outside)] if is_published else []),
    )
    return words, middle, height


def _cell(lines: Sequence[str], x: float, first: float, tone: str) -> Markup:
    return join(*(text(content, x, first + LINE_PX * i, tone=tone) for i, content in enumerate(lines)))


def _prediction_mark(row: PredictionRow, scale: Scale, middle: float) -> Markup:
    pieces = [predicted_bar(scale(row.lo90), scale(row.predicted), scale(row.hi90), middle)]
    if row.observed_low is not None and row.observed_high is not None:
        pieces.append(whisker(scale(row.observed_low), scale(row.observed_high), middle))
    if row.observed is not None:
        pieces.append(measured_point(scale(row.observed), middle))
    return join(*pieces)


# Forest plot


def forest_chart(data: ForestData) -> Chart:
    """Pooled effects as diamonds, trials as squares; hollow where the interval reaches no effect.

    Args:
        data: at least one row; on a log axis all numbers positive.
    Raises: InvalidData when there is no row, or a number that the axis cannot hold.
    """
    rows = [row for group in data.groups for row in group.rows]
    if not rows:
        raise InvalidData(f'"{data.title}" cannot be drawn: it holds no row')
    check_finite(data.title, [value for row in rows for value in (row.effect, *_forest_values(row))])
    lowest = min(value for row in rows for value in _forest_values(row))
    if data.log_x and lowest <= 0:
        raise InvalidData(
            f'"{data.title}" cannot be drawn on a log axis', observed=format_number(lowest, 2), allowed="above 0"
        )
    return finish_chart(
        data.title, _forest_sentence(data), _forest_table(data), lambda canvas: _draw_forest(data, canvas)
    )


def _forest_values(row: ForestRow) -> list[float]:
    return [row.lo95, row.hi95] + [v for v in (row.prediction_lo95, row.prediction_hi95) if v is not None]


def _reaches(data: ForestData, row: ForestRow) -> bool:
    return row.lo95 <= data.no_effect <= row.hi95


def _forest_sentence(data: ForestData) -> str:
    rows = [row for group in data.groups for row in group.rows]
    reaching = sum(_reaches(data, row) for row in rows)
    low, high = min(row.effect for row in rows), max(row.effect for row in rows)
    trials = sum(row.kind == "trial" for row in rows)
    return (
        f"{data.measure}: {trials} contrasts of trials and {len(rows) - trials} pooled or published results, "
        f"from {data.number(low)} to {data.number(high)}; the 95 % interval reaches no effect in {reaching}."
    )


def _forest_interval(data: ForestData, low: float | None, high: float | None) -> str:
    return "" if low is None or high is None else format_range(data.number(low), data.number(high))


def _forest_table(data: ForestData) -> Table:
    headings = (
        "Comparison", "Group", "Source", "Control", "Kind", "Effect", "95 % interval", "Weight", "Prediction interval",
    )  # fmt: skip
    return Table(
        caption=f"{data.title}: {data.measure}; under {format_number(data.no_effect)} {data.left_label}, "
        f"over it {data.right_label}",
        columns=tuple(Column(heading=name, numeric=i >= 5) for i, name in enumerate(headings)),
        rows=tuple(
            (
                row.label,
                group.heading,
                row.source,
                row.comparator,
                "pooled" if row.kind == "pooled" else "one trial",
                data.number(row.effect),
                _forest_interval(data, row.lo95, row.hi95),
                "" if row.weight_percent is None else f"{format_number(row.weight_percent, 1)} %",
                _forest_interval(data, row.prediction_lo95, row.prediction_hi95),
            )
            for group in data.groups
            for row in group.rows
        ),
    )


def _draw_forest(data: ForestData, canvas: Canvas) -> Drawing:
    weighted = any(row.weight_percent is not None for group in data.groups for row in group.rows)
    right = canvas.width_px - (192 if weighted else 142)
    left, right = (_NARROW_MARGIN_PX, canvas.width_px - _NARROW_MARGIN_PX) if canvas.narrow else (366.0, right)
    scale, ticks = _forest_scale(data, left, right)
    pieces = [_forest_head(data, canvas, scale, weighted=weighted)]
    middles = []
    y = 26.0 if canvas.narrow else 36.0
    first = y
    for i, group in enumerate(data.groups):
        if i:
            pieces.append(line((0, y + 3), (canvas.width_px, y + 3), "line"))
        pieces.append(text(group.heading, 0, y + 23, tone="ink", size_px=13.5, bold=True))
        y += 32
        for row in group.rows:
            words, middle, height = _forest_words(data, row, canvas, y)
            pieces.append(join(words, _forest_mark(data, row, scale, middle)))
            middles.append(middle)
            y += height
        y += 6
    spans = [(at - 11, at + 11) for at in middles] if canvas.narrow else [(first, y)]
    axis = _row_axis(scale, ticks, spans, y + 2, data.measure, no_effect=data.no_effect)
    key, key_px = draw_key(canvas, _forest_key(data), 0, y + 52)
    return join(axis, *pieces, key), y + 52 + key_px


def _forest_scale(data: ForestData, left: float, right: float) -> tuple[Scale, list[float]]:
    values = [value for group in data.groups for row in group.rows for value in _forest_values(row)]
    low, high = min(*values, data.no_effect), max(*values, data.no_effect)
    ticks = log_ticks(low, high) if data.log_x else nice_ticks(low, high, 5)
    return Scale(low=ticks[0], high=ticks[-1], start_px=left, end_px=right, log=data.log_x), ticks


def _forest_head(data: ForestData, canvas: Canvas, scale: Scale, *, weighted: bool) -> Markup:
    """The columns' names and, on a line of their own, what lies on either side of no effect."""
    if canvas.narrow:
        return text(f"Left: {data.left_label}. Right: {data.right_label}.", 0, 14, tone="ink3")
    none = scale(data.no_effect)
    names: list[tuple[str, float, str | None]] = [
        ("Comparison", 0.0, None),
        ("Source", 172.0, None),
        ("Control", 282.0, None),
    ]
    names += [("95 % interval", canvas.width_px, "end"), ("Effect", canvas.width_px - 98, "end")]
    if weighted:
        names.append(("Weight", canvas.width_px - 146, "end"))
    return join(
        *(text(name, x, 14, tone="ink3", anchor=anchor) for name, x, anchor in names),
        text(data.left_label, none - 8, 31, tone="ink3", anchor="end"),
        text(data.right_label, none + 8, 31, tone="ink3"),
    )


def _forest_words(data: ForestData, row: ForestRow, canvas: Canvas, top: float) -> tuple[Markup, float, float]:
    """The words of a row, the height of its mark's middle, and the height of the row."""
    effect, interval = data.number(row.effect), _forest_interval(data, row.lo95, row.hi95)
    weight = "" if row.weight_percent is None else f"{format_number(row.weight_percent)} %"
    if canvas.narrow:
        about = ", ".join(part for part in (row.source, row.comparator, weight and f"weight {weight}") if part)
        names = wrap_text(row.label, AXIS_PX, canvas.width_px)
        lines = [f"{effect} ({interval})", *wrap_text(about, AXIS_PX, canvas.width_px)]
        words = join(_cell(names, 0, top + 13, "ink"), _cell(lines, 0, top + 13 + LINE_PX * len(names), "ink3"))
        height = LINE_PX * (len(names) + len(lines)) + _MARK_PX
        return words, top + height - 11, height + 8
    cells = [
        (wrap_text(content, AXIS_PX, width), x, tone)
        for content, width, x, tone in (
            (row.label, 164, 0, "ink"),
            (row.source, 104, 172, "ink2"),
            (row.comparator, 78, 282, "ink2"),
        )
    ]
    height = max(_ROW_PX, 9 + LINE_PX * max(len(lines) for lines, _, _ in cells))
    middle = top + height / 2
    base = middle + 4.5
    words = join(
        *(_cell(lines, x, base - LINE_PX / 2 * (len(lines) - 1), tone) for lines, x, tone in cells),
        text(weight, canvas.width_px - 146, base, anchor="end"),
        text(effect, canvas.width_px - 98, base, tone="ink", bold=True, anchor="end"),
        text(interval, canvas.width_px, base, anchor="end"),
    )
    return words, middle, height


def _forest_mark(data: ForestData, row: ForestRow, scale: Scale, middle: float) -> Markup:
    left, right, hollow = scale(row.lo95), scale(row.hi95), _reaches(data, row)
    pieces = []
    if row.prediction_lo95 is not None and row.prediction_hi95 is not None:
        ends = scale(row.prediction_lo95), scale(row.prediction_hi95)
        pieces.append(line((ends[0], middle), (ends[1], middle), "ink3", 1.0, "2 2"))
    if row.kind == "pooled":
        pieces.append(diamond(left, scale(row.effect), right, middle, hollow=hollow))
    else:
        # The area of a square, not its side, tells its weight.
        half = 4.0 if row.weight_percent is None else 2.5 + 4.5 * math.sqrt(row.weight_percent / 100)
        pieces += [whisker(left, right, middle), square(scale(row.effect), middle, half, hollow=hollow)]
    return join(*pieces)


def _forest_key(data: ForestData) -> list[tuple[Mark, str]]:
    rows = [row for group in data.groups for row in group.rows]
    shapes = {(row.kind, _reaches(data, row)) for row in rows}
    every: list[tuple[tuple[str, bool], Mark, str]] = [
        (("pooled", False), "pooled", "Pooled"),
        (("pooled", True), "pooled hollow", "Pooled, interval reaches no effect"),
        (("trial", False), "trial", "One trial"),
        (("trial", True), "trial hollow", "One trial, interval reaches no effect"),
    ]
    entries = [(mark, name) for shape, mark, name in every if shape in shapes]
    if any(row.prediction_lo95 is not None for row in rows):
        entries.append(("new trial", "Where a new trial would lie"))
    return entries
