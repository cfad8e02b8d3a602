"""What every chart is: two drawings of the same data (page and phone), one sentence, and the table beneath."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

from afterglow.errors import InvalidData
from afterglow.render.svg import Markup, dots, element, hatch, picture

WIDE_PX: Final = 760.0
"""Width at which a page or a sheet of paper shows a chart without shrinking its text."""
NARROW_PX: Final = 312.0
"""Width of the drawing for a phone: 360 px less its margins."""

Drawing = tuple[Markup, float]
"""Marks and the height they take, px."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    """A column of a table; numbers are set flush right in tabular figures."""

    heading: str
    numeric: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """A table of text; the first cell of each row names the row.

    Raises: InvalidData for a row whose length differs from the columns'.
    """

    caption: str
    columns: tuple[Column, ...]
    rows: tuple[tuple[str, ...], ...]

    def __post_init__(self) -> None:
        for row in self.rows:
            if len(row) != len(self.columns):
                raise InvalidData(
                    f'Table "{self.caption}" has a row that does not fit its columns',
                    observed=f"{len(row)} cells",
                    allowed=f"{len(self.columns)}",
                )


@dataclass(frozen=True, slots=True, kw_only=True)
class Chart:
    """A finished chart.

    Attributes:
        title: what the picture shows, without a full stop.
        summary: one sentence that says it in words; also the picture's label.
        svg: the drawing for pages and paper, `WIDE_PX` wide, its colours CSS variables.
        narrow_svg: the same for a phone, `NARROW_PX` wide.
        table: the same data as text.
    """

    title: str
    summary: str
    svg: Markup
    narrow_svg: Markup
    table: Table


@dataclass(frozen=True, slots=True, kw_only=True)
class Canvas:
    """Where a chart is drawn: its width, whether it is the phone's, and the fills of its patterns."""

    width_px: float
    narrow: bool
    prefix: str

    @property
    def hatch(self) -> str:
        """The fill of expectancy."""
        return f"url(#{self.prefix}-hatch)"

    @property
    def dots(self) -> str:
        """The fill of care and time."""
        return f"url(#{self.prefix}-dots)"


def finish_chart(
    title: str, summary: str, table: Table, draw: Callable[[Canvas], Drawing], *, wide_px: float = WIDE_PX
) -> Chart:
    """Draw both sizes; the patterns' names come from the data, so the same data give the same bytes.

    `wide_px` is the width of the larger one, where a page has less room than a sheet of paper.
    """
    digest = hashlib.sha256(repr((title, summary, table)).encode("utf-8", "replace")).hexdigest()[:8]

    def at_size(canvas: Canvas, class_: str) -> Markup:
        marks, height = draw(canvas)
        used = [
            pattern(f"{canvas.prefix}-{name}")
            for name, pattern in (("hatch", hatch), ("dots", dots))
            if f"#{canvas.prefix}-{name})" in marks
        ]
        children = [element("defs", *used), marks] if used else [marks]
        return picture(*children, width_px=canvas.width_px, height_px=height, label=summary, class_=class_)

    return Chart(
        title=title,
        summary=summary,
        svg=at_size(Canvas(width_px=wide_px, narrow=False, prefix=f"c{digest}-w"), "wide"),
        narrow_svg=at_size(Canvas(width_px=NARROW_PX, narrow=True, prefix=f"c{digest}-n"), "narrow"),
        table=table,
    )


def check_series(what: str, **columns: Sequence[float]) -> None:
    """Refuse series that differ in length or have under two samples, times that do not increase, odd values.

    Args:
        what: the curve, for the message.
        columns: the series by name; one of them is `time_h`.

    Raises: InvalidData that names the series.
    """
    lengths = {name: len(column) for name, column in columns.items()}
    if len(set(lengths.values())) > 1 or min(lengths.values()) < 2:
        raise InvalidData(
            f'"{what}" cannot be drawn: its series differ in length or are too short',
            observed=", ".join(f"{name} {length}" for name, length in lengths.items()),
            allowed="equal lengths of 2 or more",
        )
    for name, column in columns.items():
        check_finite(f"{what}, {name}", column)
    time_h = columns["time_h"]
    for before, after in pairwise(time_h):
        if after <= before:
            raise InvalidData(
                f'"{what}" cannot be drawn: its times do not increase', observed=f"{after} h after {before} h"
            )


def check_finite(what: str, values: Iterable[float]) -> None:
    """Refuse values that no axis can hold.

    Raises: InvalidData with the value found.
    """
    for value in values:
        if not math.isfinite(value):
            raise InvalidData(f'"{what}" cannot be drawn', observed=str(value), allowed="finite numbers")


def readable_rows(count: int, always: Sequence[int], limit: int = 15) -> list[int]:
    """Which of `count` samples a table shows: all when few, else about `limit` of them and those named.

    Examples:
        >>> readable_rows(5, [2])
        [0, 1, 2, 3, 4]
        >>> readable_rows(101, [33], limit=5)
        [0, 25, 33, 50, 75, 100]
    """
    if count <= limit:
        return list(range(count))
    return sorted({round(i * (count - 1) / (limit - 1)) for i in range(limit)} | set(always))
