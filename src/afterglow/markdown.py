"""Tables of the pages that are generated from data."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence


def table(columns: Sequence[str], rows: Iterable[Sequence[object]]) -> Iterator[str]:
    r"""Lines of a Markdown table; a bar inside a cell is escaped.

    >>> list(table(["Key", "Value"], [["n", 47], ["arm", "active | control"]]))
    ['| Key | Value |', '|---|---|', '| n | 47 |', '| arm | active \\| control |']
    """
    yield f"| {' | '.join(columns)} |"
    yield "|---" * len(columns) + "|"
    for cells in rows:
        shown = (str(cell).replace("|", "\\|") for cell in cells)
        yield f"| {' | '.join(shown)} |"
