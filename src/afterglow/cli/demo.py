"""`afterglow demo-data` and `afterglow demo`: a made-up clinic, and the app on it."""
# ruff: noqa: PLC0415

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated
from urllib.request import urlopen

import typer

from afterglow.cli.output import console, print_table, progress
from afterglow.errors import NotFound, StoreUnavailable

if TYPE_CHECKING:
    from afterglow.demo import Sheet

FOLDER = Path("afterglow-demo")
_SHOWN = 8  # lines of the worklist
_BUILDING = "Making up half a year of a clinic; this takes some three minutes ..."
Folder = Annotated[Path, typer.Argument(metavar="FOLDER", help="Where the demo clinic lies, by itself.")]
Seed = Annotated[
    int, typer.Option("--seed", min=0, help="Same seed on the same day: the same people, doses and scores.")
]
Fresh = Annotated[
    bool, typer.Option("--fresh", help="Throw away the demo clinic that lies there; nothing else ever is.")
]


def demo_data_command(folder: Folder = FOLDER, seed: Seed = 1, fresh: Fresh = False) -> None:
    """Make a clinic up: 36 patients over half a year, everybody of its staff, and a day that is going on now.

    Every record is written as in a real clinic, at the time it tells of; scores are drawn from the calibrated model.
    All of it is fictional.

    Example: afterglow demo-data
    """
    from afterglow.demo import build_demo

    out = console()
    out.print(_BUILDING)
    with progress("Living through it") as told:
        built = build_demo(folder, seed=seed, fresh=fresh, told=told)
    out.print(
        f"{built.patients} made-up patients, {built.sessions} sessions and {built.events} audit events "
        f"lie in {folder} ({built.seconds:.0f} s)."
    )
    _print_logins(built.sheet)
    out.print(f"Open it with: afterglow demo {folder}")


def demo_command(
    folder: Folder = FOLDER,
    seed: Seed = 1,
    fresh: Fresh = False,
    port: Annotated[int, typer.Option("--port", min=0, max=65535, help="0 takes a free one.")] = 8420,
    stay: Annotated[
        bool | None,
        typer.Option(
            "--stay/--leave",
            help="Serve until Ctrl-C, or only see that the pages answer.",
            show_default="--stay on a terminal",
        ),
    ] = None,
) -> None:
    """Open the demo clinic: made today if it was not yet, its worklist here, its app on this machine alone.

    Example: afterglow demo
    """
    from afterglow.demo import build_demo, demo_clock, demo_settings
    from afterglow.web.door import PATH, add_door, check_door
    from afterglow.web.serving import Listening, serve

    out = console()
    sheet = None if fresh else _of_today(folder)
    if sheet is None:
        out.print(_BUILDING)
        with progress("Living through it") as told:
            sheet = build_demo(folder, seed=seed, fresh=fresh or _is_demo(folder), told=told).sheet
    _print_worklist(folder)
    _print_logins(sheet)
    stays = sys.stdin.isatty() and sys.stdout.isatty() if stay is None else stay
    where = Listening(port=port if stays else 0)
    check_door(where)
    shown = sheet

    def started(address: str) -> None:
        out.print(f"Afterglow is at {address.rstrip('/')}{PATH} : one button for each colleague.")
        out.print("Ctrl-C ends it." if stays else "Nobody sits at this terminal: it ends once the pages have answered.")

    answered: list[str] = []
    serve(
        demo_settings(folder),
        where,
        started=started,
        more=lambda app: add_door(app, shown),
        clock=demo_clock,
        until=None if stays else lambda address: answered.extend(_pages(address, PATH, "/login")),
    )
    if not stays:
        if len(answered) < 2:
            raise StoreUnavailable(
                "The demo's pages do not answer", next_step="Run it with --stay and open the address"
            )
        out.print(f"The pages answer: {', '.join(answered)}.")


def _of_today(folder: Path) -> Sheet | None:
    """The sheet of a demo clinic whose today is today, by this version; None where one is to be made."""
    from afterglow import __version__
    from afterglow.demo import read_sheet

    try:
        sheet = read_sheet(folder)
    except NotFound:
        return None
    today = datetime.now(UTC).astimezone().date().isoformat()
    return sheet if sheet.made_on == today and sheet.version == __version__ else None


def _is_demo(folder: Path) -> bool:
    """Whether a demo clinic of another day or version lies there, which is thrown away for today's."""
    from afterglow.demo import read_sheet

    try:
        read_sheet(folder)
    except NotFound:
        return False
    return True


def _pages(address: str, *paths: str) -> Iterator[str]:
    """The paths that answer as a page."""
    for path in paths:
        with suppress(OSError), urlopen(address.rstrip("/") + path, timeout=30) as answer:  # noqa: S310  this machine's own
            if answer.status == 200 and b"</html>" in answer.read():
                yield path


def _print_worklist(folder: Path) -> None:
    """The most pressing lines, as the coordinator sees them."""
    from afterglow.clinic import Role
    from afterglow.demo import demo_clock, demo_settings
    from afterglow.usecases.desk import Desk
    from afterglow.usecases.upkeep import opened
    from afterglow.usecases.work import Actor
    from afterglow.usecases.worklists import read_worklist

    settings = demo_settings(folder)
    with opened(settings) as store:
        cora = Actor(person_id="cora", roles=(Role.COORDINATOR,), clinic_id=settings.clinic)
        lines = read_worklist(Desk(store=replace(store, clock=demo_clock(store)), actor=cora)).shown
    rows = [[each.item.priority, each.name, each.item.text, each.item.owner.replace("_", " ")] for each in lines]
    out = console()
    out.print(f"The worklist now, {min(_SHOWN, len(rows))} of {len(rows)} lines; all patients are made up:")
    print_table(out, ["Priority", "Patient", "What", "Owner"], rows[:_SHOWN], whole=(0, 1))
    out.print()


def _print_logins(sheet: Sheet) -> None:
    out = console()
    rows = [[login, name, roles] for login, name, roles in sheet.people]
    print_table(out, ["Login", "Who", "Role"], rows)
    out.print(f"Password of all: {sheet.password}    The code of now stands on the demo's first page.")
