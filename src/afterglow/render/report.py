"""A report as one HTML file: it works offline, without scripts, on a phone, in the dark and on paper.

The picture of each chart is followed by the same data as a table. A strict content security policy lets the page
use its own style and font and nothing else.
"""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Final, Literal
from urllib.parse import quote

from afterglow.errors import InvalidData
from afterglow.render.chart import Chart, Table
from afterglow.render.svg import NOTHING, Markup, element, escape
from afterglow.render.tokens import TOKENS, colour, css_variables

GENERATOR: Final = "Afterglow"
"""What a report says made it, near its beginning: only such a file is ever replaced by another report."""

Verdict = Literal["supported", "partly supported", "overstated", "contradicted", "citation not found"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Paragraph:
    """Running text."""

    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyFigure:
    """One number of the strip: what it is, the number, what it rests on; predicted ones are blue."""

    label: str
    value: str
    unit: str = ""
    note: str = ""
    predicted: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyFigures:
    """The strip of numbers that a reader sees first."""

    figures: tuple[KeyFigure, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Notice:
    """A note or a warning, named by its word; grey, since red and yellow belong to priorities."""

    text: str
    kind: Literal["note", "warning"] = "note"


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """One popular claim as it stands in the ledger.

    Attributes:
        numbers: its pieces of evidence, each with its source.
        model: what the model says beside it, or why it says nothing.
    """

    key: str
    claim: str
    verdict: Verdict
    numbers: tuple[str, ...]
    action: str
    model: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ClaimsLedger:
    """Claims with their verdicts, counted at the top."""

    claims: tuple[Claim, ...]


Block = Paragraph | KeyFigures | Notice | Chart | Table | ClaimsLedger


@dataclass(frozen=True, slots=True, kw_only=True)
class Section:
    """A heading and what stands under it, in order."""

    heading: str
    blocks: tuple[Block, ...]


def claims_section(claims: Sequence[Claim], *, heading: str = "What is claimed, and what is known") -> Section:
    """The claims ledger as a section: the tally, then each claim with verdict, numbers and what follows from it.

    Examples:
        >>> one = Claim(key="C1", claim="It works", verdict="overstated", numbers=("n = 3",), action="Say so")
        >>> claims_section([one]).blocks[0].claims[0].verdict
        'overstated'
    """
    return Section(heading=heading, blocks=(ClaimsLedger(claims=tuple(claims)),))


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """What a report says; a document of its own, or the body of a page.

    Attributes:
        title: the one first-level heading, and the document's title.
        subtitle: one sentence under it.
        sections: in reading order.
        foot: version, seed and origin; printed at the foot of every page.
        tags: short facts a reader must not miss, as "Calibration figure, not a prediction".
    """

    title: str
    subtitle: str
    sections: tuple[Section, ...]
    foot: str
    tags: tuple[str, ...] = ()


def sections_html(sections: Sequence[Section], *, row_links: str | None = None) -> Markup:
    """Sections for a page that has a head and rules of its own; `block_rules` is what they look like there.

    With `row_links` each table's row leads to that address followed by its first cell.
    """
    return element("div", *(_section(one, row_links) for one in sections), NOTHING, class_="report")


def block_rules() -> str:
    """The CSS of `sections_html`, for what stands inside its `div` alone."""
    return f".report {{\n{_data('blocks.css').decode()}}}\n"


def report_html(report: Report) -> str:
    """The whole report as one HTML document.

    Returns: HTML that parses as XML too (after its doctype); the same report gives the same bytes.

    Examples:
        >>> report_html(Report(title="A & B", subtitle="", sections=(), foot="v0"))[:15]
        '<!doctype html>'
    """
    style = _style(report.foot)
    digest = base64.b64encode(hashlib.sha256(style.encode("utf-8", "replace")).digest()).decode()
    policy = (
        f"default-src 'none'; style-src 'sha256-{digest}'; font-src data:; img-src data:; "
        "base-uri 'none'; form-action 'none'"
    )
    head = element(
        "head",
        element("meta", charset="utf-8"),
        element("meta", http_equiv="Content-Security-Policy", content=policy),
        element("meta", name="viewport", content="width=device-width, initial-scale=1"),
        element("meta", name="color-scheme", content="light dark"),
        element("meta", name="generator", content=GENERATOR),
        element("title", escape(report.title)),
        element("style", style),
    )
    body = element(
        "body",
        element("a", escape("Skip to the content"), class_="skip", href="#content"),
        _header(report.title, report.subtitle, report.tags),
        element("main", *(_section(one) for one in report.sections), NOTHING, id="content", tabindex="-1"),
        element("footer", escape(report.foot)),
    )
    return f"<!doctype html>\n{element('html', head, body, lang='en')}\n"


def _style(foot: str) -> Markup:
    """Tokens, font, rules and the foot line of printed pages, as the text of the one style element."""
    font = (
        '@font-face { font-family: Inter; font-weight: 100 900; src: url("data:font/woff2;base64,'
        f'{_font_base64()}") format("woff2"); }}'
    )
    foot_font = f"font: 8pt Inter, sans-serif; color: {TOKENS['light']['ink3']};"
    page = (
        f'@page {{ margin: 16mm 15mm 18mm; @bottom-left {{ content: "{_css_string(foot)}"; {foot_font} }} '
        f'@bottom-right {{ content: counter(page) " / " counter(pages); {foot_font} }} }}'
    )
    light = f":root {{ color-scheme: light;\n{css_variables('light')} }}"
    dark = (
        f"@media screen and (prefers-color-scheme: dark) {{ :root {{ color-scheme: dark;\n{css_variables('dark')} }} }}"
    )
    # A style element is not parsed for entities: nothing in it may open a tag, which `_css_string` sees to.
    return Markup("\n".join([font, light, dark, _data("report.css").decode(), _data("blocks.css").decode(), page]))


def _css_string(content: str) -> str:
    r"""Text inside a quoted CSS string: everything but plain letters, digits and marks as an escape.

    Examples:
        >>> _css_string('v1 "</style>')
        'v1 \\22 \\3c \\2f style\\3e '
    """
    return re.sub(r"[^A-Za-z0-9 .,:;()+_-]", lambda match: f"\\{ord(match[0]):x} ", content)


@cache
def _data(name: str) -> bytes:
    return (resources.files("afterglow.render") / "data" / name).read_bytes()


@cache
def _font_base64() -> str:
    return base64.b64encode(_data("inter-latin-wght-normal.woff2")).decode()


def _header(title: str, subtitle: str, tags: Sequence[str]) -> Markup:
    mark = element(
        "svg",
        element(
            "path", d="M1 15C3 15 3.5 2 6 2C8.5 2 9 10 13 12C17 13.5 21 13.5 25 13.7V15Z", fill=colour("drug-fill")
        ),
        element("path", d="M0 15.5H26", stroke=colour("drug"), stroke_width=1.5),
        width=26,
        height=17,
        viewBox="0 0 26 17",
        aria_hidden="true",
    )
    pieces = [element("div", mark, escape("Afterglow"), class_="brand"), element("h1", escape(title))]
    if subtitle:
        pieces.append(element("p", escape(subtitle), class_="subtitle"))
    if tags:
        pieces.append(element("ul", *(element("li", escape(tag)) for tag in tags), class_="tags"))
    return element("header", *pieces)


def _section(section: Section, row_links: str | None = None) -> Markup:
    blocks = [_block(block, row_links) for block in section.blocks]
    return element("section", element("h2", escape(section.heading)), *blocks)


def _block(block: Block, row_links: str | None) -> Markup:
    match block:
        case Paragraph():
            return element("p", escape(block.text), class_="prose")
        case KeyFigures():
            return element("dl", *(_key_figure(figure) for figure in block.figures), class_="card figures")
        case Notice():
            word = element("strong", escape("Warning." if block.kind == "warning" else "Note."))
            return element("p", word, escape(block.text), class_=f"notice {block.kind}")
        case Chart():
            return _chart(block)
        case Table():
            return element("div", _table(block, row_links), class_="card ledger")
        case _:
            return _ledger(block)


def _key_figure(figure: KeyFigure) -> Markup:
    number = [element("span", escape(figure.value), class_="value predicted" if figure.predicted else "value")]
    if figure.unit:
        number.append(element("span", escape(figure.unit), class_="unit"))
    said = [element("dd", *number)]
    if figure.note:
        said.append(element("dd", escape(figure.note), class_="note"))
    return element("div", element("dt", escape(figure.label)), *said)


def _chart(chart: Chart) -> Markup:
    return element(
        "figure",
        element(
            "div",
            element("h3", escape(chart.title)),
            element("p", escape(chart.summary)),
            chart.svg,
            chart.narrow_svg,
            class_="picture",
        ),
        element("details", element("summary", escape("The same, as a table")), _table(chart.table)),
        class_="card chart",
    )


def _table(table: Table, row_links: str | None = None) -> Markup:
    """The table in a box of its own that scrolls, by keyboard too, where a phone is too narrow for it."""
    classes = ["number" if column.numeric else None for column in table.columns]
    head = [
        element("th", escape(column.heading), scope="col", class_=class_)
        for column, class_ in zip(table.columns, classes, strict=True)
    ]
    rows = [
        element(
            "tr",
            element("th", _named(row[0], row_links), scope="row", class_=classes[0]),
            *(element("td", _cell(cell), class_=class_) for cell, class_ in zip(row[1:], classes[1:], strict=True)),
        )
        for row in table.rows
    ]
    whole = element(
        "table",
        element("caption", escape(table.caption)),
        element("thead", element("tr", *head)),
        element("tbody", *rows, NOTHING),
    )
    return element("div", whole, class_="scroll", role="region", aria_label=table.caption, tabindex="0")


def _cell(cell: str) -> Markup:
    """The text of a cell; an address leads there."""
    return (
        element("a", escape(cell), href=cell, rel="noreferrer")
        if cell.startswith(("https://", "http://"))
        else escape(cell)
    )


def _named(cell: str, row_links: str | None) -> Markup:
    return escape(cell) if row_links is None else element("a", escape(cell), href=row_links + quote(cell))


# Verdicts: a shape, a word, a class. Shapes differ without colour.

_VERDICTS: Final[dict[Verdict, tuple[str, str]]] = {
    "supported": ("Supported", "done"),
    "partly supported": ("Partly supported", "done"),
    "overstated": ("Overstated", "over"),
    "contradicted": ("Contradicted", "ink"),
    "citation not found": ("Citation not found", "ink2"),
}


def _glyph(verdict: Verdict) -> Markup:
    """Tick in a disc, half disc, rising arrow, cross in a disc, dashed circle with a stroke."""

    def stroke(d: str, tone: str, width_px: float = 1.75) -> Markup:
        return element("path", d=d, fill="none", stroke=colour(tone), stroke_width=width_px, stroke_linecap="round")

    def disc(tone: str) -> Markup:
        return element("circle", cx=8, cy=8, r=8, fill=colour(tone))

    shapes: dict[Verdict, tuple[Markup, ...]] = {
        "supported": (disc("done"), stroke("M4.6 8.3L7 10.7L11.4 5.8", "surface")),
        "partly supported": (
            element("circle", cx=8, cy=8, r=7, fill="none", stroke=colour("done"), stroke_width=1.75),
            element("path", d="M8 1A7 7 0 0 0 8 15Z", fill=colour("done")),
        ),
        "overstated": (stroke("M2 14L13.5 2.5M6 2.5H13.5V10", "expectancy"),),
        "contradicted": (disc("ink"), stroke("M5.3 5.3L10.7 10.7M10.7 5.3L5.3 10.7", "surface")),
        "citation not found": (
            element(
                "circle",
                cx=8,
                cy=8,
                r=7,
                fill="none",
                stroke=colour("ink2"),
                stroke_width=1.5,
                stroke_dasharray="3 2.2",
            ),
            stroke("M5.3 10.7L10.7 5.3", "ink2", 1.5),
        ),
    }
    return element("svg", *shapes[verdict], width=16, height=16, viewBox="0 0 16 16", aria_hidden="true")


def _verdict(verdict: Verdict) -> Markup:
    if verdict not in _VERDICTS:
        raise InvalidData("A claim has a verdict nobody defined", observed=verdict, allowed=", ".join(_VERDICTS))
    word, class_ = _VERDICTS[verdict]
    return element("span", _glyph(verdict), escape(word), class_=f"verdict {class_}")


def _ledger(ledger: ClaimsLedger) -> Markup:
    """The tally and the table; roles are spelt out because the phone's layout turns rows into cards."""
    counts = {verdict: sum(claim.verdict == verdict for claim in ledger.claims) for verdict in _VERDICTS}
    tally = [
        element("li", element("b", escape(str(count))), _verdict(verdict)) for verdict, count in counts.items() if count
    ]
    headings = ("Number", "Claim", "Verdict", "Numbers", "Model", "So Afterglow will")
    head = [element("th", escape(heading), scope="col", role="columnheader") for heading in headings]
    rows = [
        element(
            "tr",
            element("td", escape(claim.key), role="cell"),
            element("th", escape(claim.claim), scope="row", role="rowheader"),
            element("td", _verdict(claim.verdict), role="cell"),
            element("td", *(element("div", escape(one)) for one in claim.numbers), NOTHING, role="cell"),
            element("td", escape(claim.model), role="cell"),
            element("td", escape(claim.action), role="cell"),
            role="row",
        )
        for claim in ledger.claims
    ]
    table = element(
        "table",
        element("caption", escape("Each claim, judged on what controlled evidence shows for its words")),
        element("thead", element("tr", *head, role="row"), role="rowgroup"),
        element("tbody", *rows, NOTHING, role="rowgroup"),
        class_="claims",
        role="table",
    )
    return element("div", element("ul", *tally, NOTHING, class_="tally"), table, class_="card ledger")
