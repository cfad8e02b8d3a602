"""What the model rests on: the generated pages of docs/validation, shipped with the package and shown as reports."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from functools import cache
from importlib import resources
from itertools import groupby

from afterglow import __version__
from afterglow.records import unknown_name
from afterglow.render.chart import Column, Table
from afterglow.render.report import Block, Marked, Picture, Report, Section
from afterglow.render.svg import Markup
from afterglow.render.tokens import name_colours

MODEL_PAGES: Mapping[str, str] = {
    "model": "Course and trials",
    "forecast": "Forecast",
    "acute": "Acute effects",
    "exposure": "Exposure",
    "calibration": "Calibration",
}
"""The pages by name, with their words; each is docs/validation/NAME.md too, which a test compares."""

_NUMBER = re.compile(r"[+−-]?\d[\d.,]*( %)?")
_BEGIN = "In short"


@cache
def model_report(name: str) -> Report:
    """A page as a report.

    Raises: UnknownName.
    """
    if name not in MODEL_PAGES:
        raise unknown_name("No page of the model has this name", name, MODEL_PAGES)
    lines = _shipped(f"{name}.md").splitlines()
    sections = [Section(heading=heading, blocks=tuple(_blocks(heading, own))) for heading, own in _parts(lines[1:])]
    return Report(
        title=lines[0].removeprefix("# "),
        subtitle="What the model says, held against what was published. Written when the model was last made.",
        sections=tuple(each for each in sections if each.blocks),
        foot=f"Afterglow {__version__}. Decision support, not advice.",
    )


def _parts(lines: Iterable[str]) -> Iterator[tuple[str, list[str]]]:
    """Headings with the lines beneath; what stands before the first has a heading of ours."""
    heading, own = _BEGIN, list[str]()
    for line in lines:
        if line.startswith("##"):
            yield heading, own
            heading, own = line.lstrip("# "), []
        else:
            own.append(line)
    yield heading, own


def _blocks(heading: str, lines: Iterable[str]) -> Iterator[Block]:
    tables = 0
    for empty, chunk in groupby(lines, key=lambda line: not line.strip()):
        if not empty:
            own = list(chunk)
            if own[0].startswith("|"):
                tables += 1
                yield _table(heading if tables == 1 else f"{heading}, table {tables}", own)
            elif pictured := re.fullmatch(r"!\[(.*)\]\(\.\./images/(\w+\.svg)\)", own[0]):
                svg = _shipped(pictured[2]).replace(' class="wide"', "", 1)
                yield Picture(title=pictured[1], svg=Markup(name_colours(svg)))
            else:
                text = " ".join(line.strip() for line in own)
                listed = own[0].startswith("- ")
                items = re.split(r"^- ", "\n".join(own), flags=re.MULTILINE) if listed else [text]
                yield Marked(lines=tuple(_linked(" ".join(each.split())) for each in items if each), listed=listed)


def _table(caption: str, lines: list[str]) -> Table:
    cells = [[_plain(cell) for cell in re.split(r"(?<!\\)\|", line)[1:-1]] for line in (lines[0], *lines[2:])]
    heads, rows = cells[0], cells[1:]
    numeric = [all(_NUMBER.fullmatch(row[i]) for row in rows if row[i]) for i in range(len(heads))]
    return Table(
        caption=caption,
        columns=tuple(
            Column(heading=each, numeric=of and i > 0) for i, (each, of) in enumerate(zip(heads, numeric, strict=True))
        ),
        rows=tuple(map(tuple, rows)),
    )


def _plain(cell: str) -> str:
    return cell.strip().replace("\\|", "|").replace("`", "")


def _linked(text: str) -> str:
    """Links between the pages lead to where they are shown."""
    return re.sub(r"\]\((\w+)\.md\)", r"](/evidence/model/\1)", text)


def _shipped(name: str) -> str:
    return (resources.files("afterglow.usecases") / "data" / "validation" / name).read_text(encoding="utf-8")
