"""What the commands share: printing tables, JSON and reports, and showing progress."""

from __future__ import annotations

import json
import os
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table
from rich.text import Text

from afterglow.errors import AfterglowError, Place, UnwritableFile
from afterglow.render import report as reporting

_PLAIN_WIDTH = 110  # columns when the output is not a terminal
_REPORT_HEAD = 1024  # characters in which a report says what made it
_NAME_WIDTH = 24  # columns of a name beside what it says; longer ones wrap


def print_json(document: dict[str, Any]) -> None:
    """One JSON document on stdout."""
    sys.stdout.write(json.dumps(document, ensure_ascii=False, allow_nan=False, indent=1) + "\n")
    sys.stdout.flush()  # a reader that has left is noticed here, not when the interpreter ends


def console() -> Console:
    """Stdout; as wide as the terminal, or a fixed width in a pipe so that output is the same everywhere."""
    return Console(width=None if sys.stdout.isatty() else _PLAIN_WIDTH, highlight=False, emoji=False, markup=False)


def print_table(
    out: Console,
    headings: Sequence[str],
    rows: Sequence[Sequence[str]],
    *,
    numeric: Sequence[int] = (),
    whole: Sequence[int] = (),
) -> None:
    """A table of text; columns in `numeric` are flush right, those in `whole` are never broken over lines."""
    table = Table(box=None, pad_edge=False, header_style="bold", padding=(0, 2, 0, 0))
    for i, heading in enumerate(headings):
        table.add_column(
            heading,
            justify="right" if i in numeric else "left",
            no_wrap=i in numeric or i in whole,
            overflow="fold",  # a long address goes on in the next line instead of ending in an ellipsis
        )
    for row in rows:
        table.add_row(*(Text(cell) for cell in row))
    out.print(table)


def print_facts(out: Console, facts: Sequence[tuple[str, str | Text]]) -> None:
    """Names at the left, what they say at the right with its lines kept together; an empty saying is left out."""
    grid = Table.grid(padding=(0, 2, 0, 0))
    grid.add_column(max_width=_NAME_WIDTH, overflow="fold")
    grid.add_column(overflow="fold")
    for name, said in facts:
        if said:
            grid.add_row(Text(name), said if isinstance(said, Text) else Text(said))
    out.print(grid)


def _checked_report(path: Path | None) -> Path | None:
    """Refuse a place for a report before anything is computed: never another file, never a wrong folder.

    Raises: UnwritableFile.
    """
    if path is None:
        return None
    problem = _problem(path)
    if problem is not None:
        raise UnwritableFile(
            "--report is refused",
            observed=f"{str(path)!r}, {problem}",
            allowed="a new file, or an earlier report, that ends in .html",
            next_step="Choose a file in a folder that you may write to",
        )
    return path


def _problem(path: Path) -> str | None:
    """What is wrong with the place of a report; one missing folder is made later."""
    if path.suffix.lower() not in {".html", ".htm"}:
        return "which does not end in .html"
    problem = _place_problem(path)
    if problem is not None or not path.exists():
        return problem
    with path.open(encoding="utf-8", errors="replace") as old:
        ours = f'name="generator" content="{reporting.GENERATOR}"' in old.read(_REPORT_HEAD)
    return None if ours else "which exists and is no report of Afterglow"


def checked_place(path: Path | None) -> Path | None:
    """Refuse a place for a file before the minutes that it takes to compute what is written there.

    Raises: UnwritableFile.
    """
    problem = None if path is None else _place_problem(path)
    if problem is not None:
        raise UnwritableFile(
            "The place of the file is refused",
            observed=f"{str(path)!r}, {problem}",
            next_step="Choose a file in a folder that you may write to",
        )
    return path


def _place_problem(path: Path) -> str | None:
    """What is wrong with the place of a file; one missing folder is made later."""
    if path.is_dir():
        return "which is a folder"
    folder = path.parent if path.parent.exists() else path.parent.parent
    if not folder.is_dir() or (folder != path.parent and folder.resolve() == Path(path.anchor or "/")):
        return "whose folder does not exist"
    if not os.access(folder, os.W_OK):
        return "whose folder may not be written to"
    if path.exists() and not (path.is_file() and os.access(path, os.R_OK | os.W_OK)):
        return "which may not be written to"
    return None


Report = Annotated[
    Path | None,
    typer.Option(
        "--report",
        metavar="OUT.html",
        help="Also write a self-contained report with pictures.",
        callback=_checked_report,
        readable=False,  # the callback says it in our words
        show_default=False,
    ),
]
"""The option of every command that has a picture."""


def write_report(path: Path, report: reporting.Report | str) -> None:
    """Write a whole report or nothing, and say where it is.

    Args:
        path: its folder is made if it is missing.
        report: as HTML, or a text as it is.
    Raises: UnwritableFile if it cannot be written.
    """
    write_text(path, report if isinstance(report, str) else reporting.report_html(report))
    sys.stderr.write(f"Report: {path}\n")


def write_text(path: Path, content: str) -> None:
    """Write a whole file or nothing.

    Raises: UnwritableFile if it cannot be written.
    """
    try:
        path.parent.mkdir(exist_ok=True)
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=".part")
        try:
            with os.fdopen(handle, "w", encoding="utf-8") as part:
                part.write(content)
            Path(name).chmod(0o644)
            Path(name).replace(path)
        finally:
            Path(name).unlink(missing_ok=True)
    except OSError as fault:
        raise UnwritableFile(
            f"The file {path} cannot be written",
            observed=fault.strerror,
            next_step="Choose a file in a folder that you may write to",
        ) from None


@contextmanager
def named(place: Path | str) -> Iterator[None]:
    """Tell which file or option an error is about, where the error does not say it itself."""
    try:
        yield
    except AfterglowError as error:
        raise error.at(Place(file=str(place))) from None


@contextmanager
def progress(what: str) -> Iterator[Callable[[float], None]]:
    """A bar on stderr, shown only where somebody watches; call it with the fraction done."""
    bar = Progress(
        TextColumn(what),
        BarColumn(),
        TextColumn("{task.percentage:>3.0f} %"),
        TimeElapsedColumn(),
        console=Console(stderr=True),
        transient=True,
        disable=not sys.stderr.isatty(),
    )
    with bar:
        task = bar.add_task(what, total=1.0)
        yield lambda done: bar.update(task, completed=done)
