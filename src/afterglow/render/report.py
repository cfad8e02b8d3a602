"""A report as one HTML file: it works offline, without scripts, on a phone, in the dark and on paper.

The picture of each chart is followed by the same data as a table. A strict content security policy lets the page
use its own style and font and nothing else.
"""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib import resources
from types import MappingProxyType
from typing import Final, Literal

from afterglow.errors import InvalidData
from afterglow.render.chart import Chart, Table
from afterglow.render.svg import NOTHING, Markup, element, escape, join
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


@dataclass(frozen=True, slots=True, kw_only=True)
class Marked:
    """Running text with *emphasis*, **weight**, `code` and [links](/to): a paragraph, or the items of a list."""

    lines: tuple[str, ...]
    listed: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Picture:
    """A drawing that was made before, without the data that it shows; its colours are CSS variables."""

    title: str
    svg: Markup


Block = Paragraph | Marked | KeyFigures | Notice | Chart | Picture | Table | ClaimsLedger


@dataclass(frozen=True, slots=True, kw_only=True)
class Link:
    """Where a name in the text leads on a page. Args: to: its address; title: what it names, in words."""

    to: str
    title: str


Links = Mapping[str, Link]
"""By the name as it stands in tables and evidence; a name of several words is a phrase. A document has none."""


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


def sections_html(sections: Sequence[Section], *, links: Links | None = None, named_rows: bool = False) -> Markup:
    """Sections for a page that has a head and rules of its own; `block_rules` is what they look like there.

    Args:
        sections: in reading order.
        links: where names in tables and evidence lead.
        named_rows: each table's row is found by `#` and its first cell.
    """
    return element("div", *(_section(one, links or {}, named_rows) for one in sections), NOTHING, class_="report")


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


def _section(section: Section, links: Links = MappingProxyType({}), named_rows: bool = False) -> Markup:  # noqa: FBT001, FBT002
    blocks = [_block(block, links, named_rows) for block in section.blocks]
    return element("section", element("h2", escape(section.heading)), *blocks)


def _block(block: Block, links: Links, named_rows: bool) -> Markup:  # noqa: FBT001
    match block:
        case Paragraph():
            return element("p", escape(block.text), class_="prose")
        case Marked():
            tag, whole = ("li", "ul") if block.listed else ("p", "div")
            return element(whole, *(element(tag, *_marked(one, links)) for one in block.lines), class_="prose")
        case KeyFigures():
            return element("dl", *(_key_figure(figure) for figure in block.figures), class_="card figures")
        case Notice():
            word = element("strong", escape("Warning." if block.kind == "warning" else "Note."))
            return element("p", word, _cited(block.text, links), class_=f"notice {block.kind}")
        case Chart():
            return _chart(block)
        case Picture():
            drawn = element(
                "div", block.svg, class_="scroll drawn", role="region", aria_label=block.title, tabindex="0"
            )
            return element("figure", element("h3", escape(block.title)), drawn, class_="card")
        case Table():
            return element("div", _table(block, links, named_rows=named_rows), class_="card ledger")
        case _:
            return _ledger(block, links)


_MARKS: Final = re.compile(r"\*\*(.+?)\*\*|\*(.+?)\*|`(.+?)`|\[([^\]]+)\]\((/[^)\s]*)\)")


def _marked(line: str, links: Links) -> list[Markup]:
    pieces, at = [], 0
    for found in _MARKS.finditer(line):
        strong, stressed, code, words, to = found.groups()
        pieces.append(_cited(line[at : found.start()], links))
        tag = "strong" if strong else "em" if stressed else "code" if code else "a"
        pieces.append(element(tag, escape(strong or stressed or code or words), href=to))
        at = found.end()
    return [*pieces, _cited(line[at:], links)]


def _cited(text: str, links: Links) -> Markup:
    """Text whose names lead somewhere; a name that is a plain word does where it stands as a citation alone.

    >>> _cited("as in smith, not by smith [smith]", {"smith": Link(to="/s", title="Smith 2020")}).count("<a ")
    1
    """
    pieces, at = [], 0
    for found in _names(tuple(each for each in links if " " in each)).finditer(text) if links else ():
        link = links.get(found[0])
        plain = found[0].isalpha()
        if link is not None and not (plain and not _stands_alone(text, found)):
            pieces += [escape(text[at : found.start()]), element("a", escape(found[0]), href=link.to, title=link.title)]
            at = found.end()
    return join(*pieces, escape(text[at:]))


@cache
def _names(phrases: tuple[str, ...]) -> re.Pattern[str]:
    return re.compile("|".join((*map(re.escape, phrases), r"[A-Za-z]\w*")))


def _stands_alone(text: str, found: re.Match[str]) -> bool:
    before, after = text[: found.start()], text[found.end() :]
    return (not before or before.endswith(("[", ", ", "from "))) and (not after or after[0] in "],;")


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


def _table(table: Table, links: Links = MappingProxyType({}), *, named_rows: bool = False) -> Markup:
    """The table in a box of its own that scrolls, by keyboard too, where a phone is too narrow for it."""
    classes = ["number" if column.numeric else None for column in table.columns]
    head = [
        element("th", escape(column.heading), scope="col", class_=class_)
        for column, class_ in zip(table.columns, classes, strict=True)
    ]
    rows = [
        element(
            "tr",
            element("th", _cell(row[0], links), scope="row", class_=classes[0], id=row[0] if named_rows else None),
            *(
                element("td", _cell(cell, links), class_=class_)
                for cell, class_ in zip(row[1:], classes[1:], strict=True)
            ),
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


def _cell(cell: str, links: Links) -> Markup:
    """The text of a cell; an address leads there, and names do where they lead."""
    if cell.startswith(("https://", "http://")):
        return element("a", escape(cell), href=cell, rel="noreferrer")
    return _cited(cell, links)


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


def _ledger(ledger: ClaimsLedger, links: Links) -> Markup:
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
            element("td", *(element("div", _cited(one, links)) for one in claim.numbers), NOTHING, role="cell"),
            element("td", _cited(claim.model, links), role="cell"),
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
