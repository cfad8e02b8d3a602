"""The picture of a planned trial: the chance of a significant result over its size."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

from afterglow.errors import InvalidData
from afterglow.render.axes import Box, EndLabel, Scale, draw_end_labels, draw_value_axis, tick_labels
from afterglow.render.chart import Canvas, Chart, Column, Drawing, Table, check_finite, finish_chart
from afterglow.render.marks import LINE_PX
from afterglow.render.svg import AXIS_PX, Markup, curve, element, join, line, text
from afterglow.render.text import format_number, format_percent, text_width, wrap_text
from afterglow.render.tokens import colour

Kind = Literal["assurance", "power", "masked", "unmasked"]

_STYLES: Final[dict[Kind, tuple[str, float, str | None]]] = {
    "assurance": ("predicted", 2.5, None),
    "power": ("predicted", 1.5, "2 4"),
    "masked": ("expectancy", 1.75, "6 4"),
    "unmasked": ("control", 1.75, "1.5 3"),
}
_GOAL: Final = 80.0  # the usual aim of a trial, per cent


@dataclass(frozen=True, slots=True, kw_only=True)
class PowerLine:
    """One way to see a comparison: `chance` (a fraction) at each size."""

    kind: Kind
    name: str
    about: str
    chance: tuple[float, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class PowerData:
    """The chance of a significant result over the size of the trial.

    Attributes:
        sizes: patients, increasing.
        counted: what they are, as "patients starting treatment for each arm".
        lines: as many chances as sizes each; the first one is the line to plan with.
    """

    title: str
    sizes: tuple[int, ...]
    counted: str
    lines: tuple[PowerLine, ...]


def power_chart(data: PowerData) -> Chart:
    """Lines of chance over size, on a log axis of sizes; the goal of 80 % is a line of its own.

    Args:
        data: at least one size and one line.
    Raises: InvalidData for lines that do not fit the sizes.
    """
    if not data.sizes or not data.lines or any(len(one.chance) != len(data.sizes) for one in data.lines):
        raise InvalidData(f'"{data.title}" cannot be drawn: its lines do not fit its sizes')
    check_finite(data.title, [chance for one in data.lines for chance in one.chance])
    return finish_chart(data.title, _sentence(data), _table(data), lambda canvas: _draw(data, canvas))


def _percent(chance: float) -> str:
    return format_percent(100 * chance, predicted=True)


def _sentence(data: PowerData) -> str:
    first = data.lines[0]
    enough = next((size for size, chance in zip(data.sizes, first.chance, strict=True) if 100 * chance >= _GOAL), None)
    reached = (
        f"it reaches {_GOAL:.0f} % at {format_number(enough)}"
        if enough is not None
        else f"it does not reach {_GOAL:.0f} %"
    )
    return (
        f"{first.name} runs from {_percent(first.chance[0])} with {format_number(data.sizes[0])} to "
        f"{_percent(first.chance[-1])} with {format_number(data.sizes[-1])} {data.counted}; {reached}."
    )


def _table(data: PowerData) -> Table:
    return Table(
        caption=f"{data.title}: chance of a significant result",
        columns=(
            Column(heading=data.counted[0].upper() + data.counted[1:], numeric=True),
            *(Column(heading=one.name, numeric=True) for one in data.lines),
        ),
        rows=tuple(
            (format_number(size), *(_percent(one.chance[i]) for one in data.lines)) for i, size in enumerate(data.sizes)
        ),
    )


def _draw(data: PowerData, canvas: Canvas) -> Drawing:
    left, right = (52.0, canvas.width_px - 12) if canvas.narrow else (70.0, canvas.width_px - 190)
    box = Box(left=left, top=16, right=right, bottom=236)
    one_size = len(data.sizes) == 1
    low, high = data.sizes[0], data.sizes[-1] * 2 if one_size else data.sizes[-1]
    across = Scale(low=low, high=high, start_px=left + 14, end_px=right - 14, log=True)
    values = Scale(low=0.0, high=100.0, start_px=box.bottom, end_px=box.top)
    ticks = [0.0, 20.0, 40.0, 60.0, 80.0, 100.0]
    pieces = [
        draw_value_axis(box, values, ticks, [f"{label} %" for label in tick_labels(ticks)]),
        line((left, values(_GOAL)), (right, values(_GOAL)), "ink2", 1.0),
        _sizes_axis(data, box, across),
    ]
    ends = []
    for one in reversed(data.lines):  # the line to plan with lies on top
        tone, width, dash = _STYLES[one.kind]
        points = [(across(size), values(100 * chance)) for size, chance in zip(data.sizes, one.chance, strict=True)]
        pieces.append(curve(points, tone, width, dash))
        pieces += [_point(x, y, tone, hollow=one.kind != "assurance") for x, y in points]
        about = tuple(wrap_text(one.about, AXIS_PX, 168))
        ends.append(EndLabel(at_px=points[-1][1], name=one.name, tone=tone, details=about))
    if not canvas.narrow:
        return join(*pieces, draw_end_labels(ends, box)), box.bottom + 46
    key, bottom = [], box.bottom + 62
    for one in data.lines:
        tone, width, dash = _STYLES[one.kind]
        key.append(line((0, bottom - 4.5), (26, bottom - 4.5), tone, width, dash))
        key.append(text(one.name, 34, bottom, tone=tone, bold=True))
        key.append(text(one.about, 34 + text_width(f"{one.name} ", AXIS_PX, bold=True) + 4, bottom))
        bottom += LINE_PX
    return join(*pieces, *key), bottom


def _sizes_axis(data: PowerData, box: Box, across: Scale) -> Markup:
    pieces = [line((box.left, box.bottom), (box.right, box.bottom), "edge")]
    taken = -1e9
    for size in data.sizes:
        label, x = format_number(size), across(size)
        pieces.append(line((x, box.bottom), (x, box.bottom + 5), "edge"))
        half = text_width(label, AXIS_PX) / 2
        if x - half > taken + 6:
            pieces.append(text(label, x, box.bottom + 20, tone="ink3", anchor="middle"))
            taken = x + half
    middle = (box.left + box.right) / 2
    return join(*pieces, text(data.counted, middle, box.bottom + 38, tone="ink3", anchor="middle"))


def _point(x: float, y: float, tone: str, *, hollow: bool) -> Markup:
    fill = colour("surface") if hollow else colour(tone)
    return element("circle", cx=x, cy=y, r=3.6, fill=fill, stroke=colour(tone), stroke_width=1.75)
