"""When nothing of a session's effects is likely left: dots of equal chance beside the time that the rule sets."""

from __future__ import annotations

import math
from dataclasses import dataclass

from afterglow.errors import InvalidData
from afterglow.render.axes import Box, Calendar, Scale, draw_clock_axis
from afterglow.render.chart import Canvas, Chart, Column, Drawing, Table, check_finite, finish_chart
from afterglow.render.flow import rests_on
from afterglow.render.flowsheet import TABLET_PX
from afterglow.render.marks import Series, rectangle
from afterglow.render.svg import AXIS_PX, Markup, element, join, line, text
from afterglow.render.text import format_number, format_percent, text_width
from afterglow.render.tokens import colour


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadyData:
    """When nothing of the drug's effects is likely left.

    Attributes:
        ready_h: equally likely times, increasing, h on the clock; infinite where later than the model looks.
        rule_h: the earliest time at which the rule lets anybody leave; None while that cannot be told.
        rule: which one, "rule S061".
        rests_on: what the times rest on, in a sentence without its stop; empty for the plan.
    """

    title: str
    clock: Calendar
    start_h: float
    ready_h: Series
    rule_h: float | None
    rule: str
    rests_on: str = ""


def ready_chart(data: ReadyData) -> Chart:
    """Dots for when somebody is likely ready, each an equal chance; the rule's time stands above them.

    Args:
        data: at least one time.
    Raises: InvalidData for no time.
    """
    if not data.ready_h:
        raise InvalidData(f'"{data.title}" cannot be drawn: it holds no time')
    check_finite(data.title, [data.start_h])
    return finish_chart(
        data.title,
        _ready_sentence(data),
        _ready_table(data),
        lambda canvas: _draw_ready(data, canvas),
        wide_px=TABLET_PX,
    )


def _quantile(data: ReadyData, share: float) -> float:
    return data.ready_h[min(int(share * len(data.ready_h)), len(data.ready_h) - 1)]


def _ready_sentence(data: ReadyData) -> str:
    each = f"Each dot is 1 chance in {len(data.ready_h)}"
    told = []
    for name, share in (("half", 0.5), ("nine in ten", 0.9)):
        at_h = _quantile(data, share)
        told.append(f"{name} by {data.clock.clock(at_h)}" if math.isfinite(at_h) else f"{name} later than shown")
    rule = "" if data.rule_h is None else f" Not before {data.clock.clock(data.rule_h)} ({data.rule})."
    return f"{each}: {', '.join(told)}.{rule}{rests_on(data.rests_on)} The rule decides, not the model."


def _ready_table(data: ReadyData) -> Table:
    count = len(data.ready_h)
    rows = [
        (
            format_percent(100.0 * (i + 1) / count, predicted=True),
            data.clock.clock(at_h) if math.isfinite(at_h) else "later",
        )
        for i, at_h in enumerate(data.ready_h)
    ]
    return Table(
        caption=f"{data.title}: chance of being ready by a time",
        columns=(Column(heading="Chance"), Column(heading="Ready by", numeric=True)),
        rows=tuple(rows),
    )


def _draw_ready(data: ReadyData, canvas: Canvas) -> Drawing:
    finite = [at_h for at_h in data.ready_h if math.isfinite(at_h)]
    told = [*finite, *([] if data.rule_h is None else [data.rule_h]), data.start_h, data.start_h + 0.5]
    radius, stacks = 7.5, dict[int, int]()
    left, right = radius + 2, canvas.width_px - radius - 2
    start_h, end_h = min(told), max(told)
    times = Scale(low=start_h, high=end_h, start_px=left, end_px=right)
    columns: list[tuple[int, int]] = []
    for at_h in finite:
        column = round((times(at_h) - left) / (2 * radius + 2))
        stacks[column] = stacks.get(column, 0) + 1
        columns.append((column, stacks[column]))
    tallest = max(stacks.values(), default=1)
    bottom = 26 + tallest * (2 * radius + 2)
    pieces: list[Markup] = []
    if data.rule_h is not None:
        x = times(data.rule_h)
        label = f"{data.clock.clock(data.rule_h)}, {data.rule}"
        fits = x + 6 + text_width(label, AXIS_PX, bold=True) <= canvas.width_px
        pieces += [
            rectangle(0, 20, x, bottom - 20, colour("band-b")),
            line((x, 6), (x, bottom), "ink", 2.0),
            text(label, x + 6 if fits else x - 6, 14, tone="ink", bold=True, anchor=None if fits else "end"),
        ]
    for column, height in columns:
        pieces.append(
            element(
                "circle",
                cx=left + column * (2 * radius + 2),
                cy=bottom - height * (2 * radius + 2) + radius,
                r=radius,
                fill=colour("predicted-50"),
                stroke=colour("predicted"),
                stroke_width=1.25,
            )
        )
    later = len(data.ready_h) - len(finite)
    if later:
        pieces.append(
            text(f"{format_number(later)} of {len(data.ready_h)} later", right, 30, tone="ink2", anchor="end")
        )
    axis = Box(left=left, top=0, right=right, bottom=bottom)
    return join(*pieces, draw_clock_axis(axis, times, data.clock)), bottom + 30
