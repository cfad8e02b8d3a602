"""A report as a PDF: the same blocks as on a page, on paper, with who and when on every sheet.

One template lays every document out; what a document says reaches it as data, so that no text is ever read as markup.
The same report at the same moment gives the same bytes.
"""

from __future__ import annotations

import json
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from importlib.resources import files
from typing import Any, Final, Literal

import typst

from afterglow.render.chart import WIDE_PX, Chart, Table
from afterglow.render.report import Block, KeyFigures, Notice, Paragraph, Report
from afterglow.render.svg import clean
from afterglow.render.text import text_width
from afterglow.render.tokens import TOKENS, resolve_colours

_DATA: Final = files("afterglow.render").joinpath("data")
_CELL_PX: Final = 10.0
_WIDEST_PX, _PADDING_PX = 190.0, 10.0
_LONGEST_WORD: Final = 36
_WAYS: Final[tuple[tuple[bool, typst.PDFStandards], ...]] = ((False, "ua-1"), (True, "ua-1"), (True, None))
"""Our own fonts; the machine's behind them; and boxes for letters that none of them draws, which PDF/UA forbids."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Paper:
    """A document for paper.

    Attributes:
        report: what it says; its `foot` stands on every page, beside the page's number.
        clinic: whose document it is, on every page.
        whose: name, birth date and record number of whom it is about, on every page; empty for one about nobody.
        at: when it was made.
        size: of the sheet.
    """

    report: Report
    clinic: str
    whose: str = ""
    at: datetime
    size: Literal["a4", "us-letter"] = "a4"


def pdf(paper: Paper) -> bytes:
    """The document as PDF/UA-1 (ISO 14289-1): tagged, so that a screen reader reads it in order.

    A letter that no font of the machine draws is a box, and the document says so.
    """
    told = json.dumps(_told(paper), ensure_ascii=False)
    for machine, standard in _WAYS:
        with suppress(*(() if standard is None else (typst.TypstError,))):
            return typst.compile(
                str(_DATA.joinpath("document.typ")),
                root=str(_DATA),
                font_paths=_fonts(machine=machine),
                sys_inputs={"document": told, "boxes": str(standard is None)},
                timestamp=int(paper.at.timestamp()),
                format="pdf",
                pdf_standards=standard,
            )
    raise AssertionError  # pragma: no cover  the last way returns or raises


def _told(paper: Paper) -> dict[str, Any]:
    report = paper.report
    return {
        "title": _printed(report.title),
        "subtitle": _printed(report.subtitle),
        "tags": [_printed(tag) for tag in report.tags],
        "foot": _printed(report.foot),
        "clinic": _printed(paper.clinic),
        "whose": _printed(paper.whose),
        "paper": paper.size,
        "colours": TOKENS["light"],
        "sections": [
            {"heading": _printed(one.heading), "blocks": [_block(block) for block in one.blocks]}
            for one in report.sections
        ],
    }


def _block(block: Block) -> dict[str, Any]:
    match block:
        case Paragraph():
            return {"kind": "paragraph", "text": _printed(block.text)}
        case Notice():
            return {"kind": "notice", "text": _printed(block.text), "warning": block.kind == "warning"}
        case KeyFigures():
            figures = [
                {
                    "label": _printed(each.label),
                    "value": _printed(each.value),
                    "unit": _printed(each.unit),
                    "note": _printed(each.note),
                    "predicted": each.predicted,
                }
                for each in block.figures
            ]
            return {"kind": "figures", "figures": figures}
        case Chart():
            return {
                "kind": "chart",
                "title": _printed(block.title),
                "summary": _printed(block.summary),
                "svg": resolve_colours(block.svg, "light"),
                "share": float(block.svg.partition(' width="')[2].partition('"')[0]) / WIDE_PX,
            }
        case Table():
            return _table(block)
        case _:
            raise TypeError(f"{type(block).__name__} has no form on paper")


def _table(table: Table) -> dict[str, Any]:
    headings = [column.heading for column in table.columns]
    columns = list(zip(headings, *table.rows, strict=True))
    return {
        "kind": "table",
        "caption": _printed(table.caption),
        "headings": [_printed(each) for each in headings],
        "numeric": [column.numeric for column in table.columns],
        "weights": [_weight(cells) for cells in columns],
        "rows": [[_printed(cell) for cell in row] for row in table.rows],
    }


def _weight(cells: tuple[str, ...]) -> float:
    """How much of the width a column wants: its widest cell up to a limit, never less than its longest word."""
    words = max((text_width(word, _CELL_PX) for cell in cells for word in _printed(cell).split()), default=0.0)
    whole = max(text_width(cell, _CELL_PX) for cell in cells)
    return round(max(words, min(whole, _WIDEST_PX)) + _PADDING_PX, 1)


def _printed(text: str) -> str:
    """Text without what no sheet can show; words that are wider than a column may break anywhere."""
    words = (
        "\u200b".join(word[i : i + _LONGEST_WORD] for i in range(0, len(word), _LONGEST_WORD))
        for word in clean(text).replace(" %", "\u00a0%").split(" ")
    )
    return " ".join(words)


@cache
def _fonts(*, machine: bool) -> typst.Fonts:
    return typst.Fonts(include_system_fonts=machine, include_embedded_fonts=True, font_paths=[str(_DATA)])
