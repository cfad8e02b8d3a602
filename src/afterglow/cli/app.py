"""The `afterglow` command: its subcommands, and one place where an error becomes a message and an exit code."""

from __future__ import annotations

import io
import os
import sys
from typing import Annotated

import typer

from afterglow import __version__
from afterglow.cli import (
    clinic,
    demo,
    design,
    forecast,
    jobs,
    knowledge,
    messages,
    modelling,
    prove,
    serve,
    tokens,
    upkeep,
    validating,
)
from afterglow.errors import AfterglowError

# Exit code by the start of an error's code; the longest start wins.
EXIT_CODES = {
    "input": 2,
    "request.not_found": 2,
    "data": 3,
    "rule": 4,
    "permission": 5,
    "request.conflict": 6,
    "store": 7,
}
_INTERNAL = 70  # EX_SOFTWARE of sysexits.h

app = typer.Typer(
    name="afterglow",
    help="From ketamine dose to relief: exposure, evidence and trial replication. Decision support, not advice.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.command("expose")(modelling.expose_command)
app.command("replicate")(modelling.replicate_command)
app.command("design")(design.design_command)
app.command("forecast")(forecast.forecast_command)
app.command("calibrate")(validating.calibrate_command)
app.command("validate")(validating.validate_command)
app.command("prove")(prove.prove_command)
app.add_typer(knowledge.evidence_app, name="evidence")
app.command("scales")(knowledge.scales_command)
app.add_typer(upkeep.records_app, name="records")
app.add_typer(upkeep.audit_app, name="audit")
app.add_typer(clinic.user_app, name="user")
app.add_typer(clinic.policy_app, name="policy")
app.add_typer(tokens.token_app, name="token")
app.add_typer(messages.messages_app, name="messages")
app.add_typer(jobs.jobs_app, name="jobs")
app.command("worklist")(clinic.worklist_command)
app.command("demo-data")(demo.demo_data_command)
app.command("demo")(demo.demo_command)
app.command("serve")(serve.serve_command)
app.command("backup")(upkeep.backup_command)
app.command("restore")(upkeep.restore_command)
app.command("export")(upkeep.export_command)
app.command("import")(upkeep.import_command)


def _print_version(asked: bool) -> None:
    if asked:
        typer.echo(f"afterglow {__version__}")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version and leave.")
    ] = False,
) -> None:
    del version


def exit_code(error: AfterglowError) -> int:
    """The exit status for an error's code.

    >>> from afterglow.errors import OutOfRange
    >>> exit_code(OutOfRange("A dose is refused"))
    2
    """
    starts = [start for start in EXIT_CODES if error.code == start or error.code.startswith(f"{start}.")]
    return EXIT_CODES[max(starts, key=len)] if starts else 1


def main() -> None:
    """Run the command line; deliberate errors become one message on stderr and an exit code.

    Typer leaves quietly with 130 when interrupted and with 1 when nobody reads the output any more.
    """
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")  # a terminal without minus signs gets question marks, not a crash
    try:
        app(prog_name="afterglow")
    except AfterglowError as error:
        _say(f"afterglow: {error}")
        sys.exit(exit_code(error))
    except Exception as fault:
        if os.environ.get("AFTERGLOW_DEBUG"):
            raise
        # The message of an unforeseen error may quote a patient's data, so only its kind is told.
        _say(f"afterglow: internal error ({type(fault).__name__}); set AFTERGLOW_DEBUG=1 to see where, and report it")
        sys.exit(_INTERNAL)


def _say(message: str) -> None:
    print(message, file=sys.stderr)  # noqa: T201  the one place that talks to stderr
