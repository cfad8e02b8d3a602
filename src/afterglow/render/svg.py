"""Markup as text that is always escaped: elements, text and paths of our SVG and HTML.

Only presentation attributes and classes are written, never `style`, so that a strict content security policy
cannot break a picture. Numbers are rounded the same way everywhere: the same data give the same bytes.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final, NewType

from afterglow.render.tokens import colour

Markup = NewType("Markup", str)
"""Text that is already markup; plain `str` must pass through `escape` first, and the type checker knows it."""

Point = tuple[float, float]

FONT_FAMILY: Final = "Inter, system-ui, sans-serif"
AXIS_PX: Final = 12.5
"""Size of the smallest text: axes, labels and keys."""

NOTHING: Final = Markup("")

# XML 1.0 forbids these even when escaped.
_ILLEGAL: Final = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff\ufffe\uffff]")


def escape(text: str) -> Markup:
    """Plain text made safe for element content and for quoted attributes.

    Examples:
        >>> escape('<b> & "c"')
        '&lt;b&gt; &amp; &quot;c&quot;'
    """
    shown = clean(text)
    for raw, safe in (("&", "&amp;"), ("<", "&lt;"), (">", "&gt;"), ('"', "&quot;"), ("'", "&#39;")):
        shown = shown.replace(raw, safe)
    return Markup(shown)


def clean(text: str) -> str:
    r"""Text without the characters that no document may hold; each leaves a mark in its place.

    Examples:
        >>> clean("a\x00b")
        'a\ufffdb'
    """
    return _ILLEGAL.sub("\ufffd", text)


def join(*pieces: Markup) -> Markup:
    """Pieces of markup as one."""
    return Markup("".join(pieces))


def coordinate(value: float) -> str:
    """A length in px to two decimals without trailing zeros.

    Examples:
        >>> coordinate(12.0), coordinate(-0.001), coordinate(3.14159)
        ('12', '0', '3.14')
    """
    shown = f"{value:.2f}".rstrip("0").rstrip(".")
    return "0" if shown == "-0" else shown


def element(name: str, /, *children: Markup, **attributes: str | float | None) -> Markup:
    """One element; without children it closes itself.

    Args:
        name: the tag.
        children: markup, in order.
        attributes: underscores become hyphens, a trailing one is dropped (`class_`); None leaves one out.
    Raises: ValueError for a `style` attribute: a strict page would ignore it.

    Examples:
        >>> element("text", escape("a < b"), x=1.50, class_="axis", fill=None)
        '<text x="1.5" class="axis">a &lt; b</text>'
    """
    if "style" in attributes:
        raise ValueError("style attributes are not written; use presentation attributes or a class")
    shown = "".join(
        f' {key.rstrip("_").replace("_", "-")}="{escape(value) if isinstance(value, str) else coordinate(value)}"'
        for key, value in attributes.items()
        if value is not None
    )
    return Markup(f"<{name}{shown}>{join(*children)}</{name}>" if children else f"<{name}{shown}/>")


def text(
    content: str,
    x: float,
    y: float,
    *,
    tone: str = "ink2",
    size_px: float = AXIS_PX,
    bold: bool = False,
    anchor: str | None = None,
    halo: bool = False,
) -> Markup:
    """One line of text with its baseline at `y`; `anchor` is None (start), "middle" or "end".

    A `halo` of surface keeps it readable on a hairline.
    """
    # Inter's tabular setting widens the hyphen too, so words with one keep the proportional figures.
    tabular = "-" not in content and any(letter.isdigit() for letter in content)
    return element(
        "text",
        escape(content),
        x=x,
        y=y,
        fill=colour(tone),
        font_size=size_px,
        font_weight="600" if bold else None,
        text_anchor=anchor,
        class_="number" if tabular else None,
        stroke=colour("surface") if halo else None,
        stroke_width=4 if halo else None,
        paint_order="stroke" if halo else None,
    )


def line(start: Point, end: Point, tone: str, width_px: float = 1.0, dash: str | None = None) -> Markup:
    """A straight line."""
    return element(
        "line",
        x1=start[0],
        y1=start[1],
        x2=end[0],
        y2=end[1],
        stroke=colour(tone),
        stroke_width=width_px,
        stroke_dasharray=dash,
    )


def curve(points: Sequence[Point], tone: str, width_px: float, dash: str | None = None) -> Markup:
    """A line through points."""
    return element(
        "path",
        d=path(points),
        fill="none",
        stroke=colour(tone),
        stroke_width=width_px,
        stroke_linejoin="round",
        stroke_dasharray=dash,
    )


def area(upper: Sequence[Point], lower: Sequence[Point], fill: str) -> Markup:
    """The area between two curves; `fill` is a colour or the reference of a pattern."""
    return element("path", d=path([*upper, *reversed(lower)]) + "Z", fill=fill)


def path(points: Sequence[Point]) -> str:
    """Path data through points, to a tenth of a px.

    Examples:
        >>> path([(0, 1), (2.25, 3.04)])
        'M0 1L2.2 3'
    """
    return "M" + "L".join(f"{coordinate(round(x, 1))} {coordinate(round(y, 1))}" for x, y in points)


def hatch(identifier: str) -> Markup:
    """The pattern of expectancy: lines at 45 degrees, 1.1 px in 6 px, on its wash."""
    return element(
        "pattern",
        element("rect", width=6, height=6, fill=colour("expectancy-wash")),
        element("line", x1=0, y1=0, x2=0, y2=6, stroke=colour("expectancy"), stroke_width=2.2),
        id=identifier,
        width=6,
        height=6,
        patternUnits="userSpaceOnUse",
        patternTransform="rotate(45)",
    )


def dots(identifier: str) -> Markup:
    """The pattern of care and time: dots of radius 0.7 px in 6 px, on its wash."""
    return element(
        "pattern",
        element("rect", width=6, height=6, fill=colour("care-wash")),
        element("circle", cx=1.5, cy=1.5, r=0.7, fill=colour("care")),
        element("circle", cx=4.5, cy=4.5, r=0.7, fill=colour("care")),
        id=identifier,
        width=6,
        height=6,
        patternUnits="userSpaceOnUse",
    )


def picture(*children: Markup, width_px: float, height_px: float, label: str, class_: str) -> Markup:
    """The root of one chart: an image with a one-sentence label that scales with the page."""
    return element(
        "svg",
        *children,
        xmlns="http://www.w3.org/2000/svg",
        viewBox=f"0 0 {coordinate(width_px)} {coordinate(height_px)}",
        width=width_px,
        height=height_px,
        role="img",
        aria_label=label,
        class_=class_,
        font_family=FONT_FAMILY,
    )
