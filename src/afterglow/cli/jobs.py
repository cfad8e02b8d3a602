"""`afterglow jobs`: forecasts that are to be made. The store is imported inside each command."""
# ruff: noqa: PLC0415

from __future__ import annotations

from typing import Annotated

import typer

from afterglow.cli.clinic import operator
from afterglow.cli.output import console, print_table

jobs_app = typer.Typer(no_args_is_help=True, rich_markup_mode=None, help="Forecasts that are to be made.")


@jobs_app.command("run")
def run_command(
    once: Annotated[bool, typer.Option("--once", help="Make what is due now, then end.")] = False,
) -> None:
    """Make every clinic's forecasts as they become due, and planned trials; 'afterglow serve' does so by itself.

    Ctrl-C ends it. Several may run at once, on several machines: each forecast and each trial is made by one of them.

    Example: afterglow jobs run --once
    """
    import sys
    from contextlib import suppress
    from threading import Event

    from afterglow.logs import start
    from afterglow.settings import read_settings
    from afterglow.usecases.designs import run_designs
    from afterglow.usecases.jobs import keep_running, refresh_all, run_jobs
    from afterglow.usecases.upkeep import opened

    with opened(read_settings()) as store:
        if once:
            refresh_all(store)
            count = run_jobs(store)
            console().print(f"{count} forecast{'' if count == 1 else 's'} done.")
            if trials := run_designs(store, meanwhile=lambda: run_jobs(store)):
                console().print(f"{trials} planned trial{'' if trials == 1 else 's'} done.")
            return
        start(sys.stderr)
        with suppress(KeyboardInterrupt):
            keep_running(store, wait=Event().wait)
    console().print("Ended.")


@jobs_app.command("list")
def list_command() -> None:
    """The clinic's jobs: state, tries, when the next is due, why the last one failed. No patient, no result."""
    from afterglow.usecases.jobs import list_jobs

    with operator() as desk:
        lines = list_jobs(desk).shown
    if not lines:
        console().print("There are no jobs.")
        return
    rows = [
        [
            each.course_id,
            each.state.replace("_", " "),
            str(each.tries),
            "" if each.due_at is None else f"{each.due_at:%Y-%m-%d %H:%M} UTC",
            "" if each.made_at is None else f"{each.made_at:%Y-%m-%d %H:%M} UTC",
            each.fault or "",
        ]
        for each in lines
    ]
    print_table(console(), ["Course", "State", "Tries", "Due", "Last made", "Fault"], rows)
