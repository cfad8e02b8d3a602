"""`afterglow design`: a protocol with a design in; text, JSON or a report out."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from afterglow.cli.modelling import AsJson, PopulationFile, ProtocolFile, Seed
from afterglow.cli.output import Report, console, named, print_json, print_table, progress, write_report
from afterglow.protocol import read_protocol, require_design

if TYPE_CHECKING:  # --help must not load the model
    from afterglow.usecases.designing import DesignAnswer


def design_command(
    protocol: ProtocolFile,
    trials: Annotated[
        int, typer.Option("--trials", min=20, max=100_000, help="Simulated trials for each line of the table.")
    ] = 1_000,
    results: Annotated[
        Path | None,
        typer.Option(
            "--results",
            metavar="FILE",
            help="Keep finished work here; a rerun goes on from it.",
            show_default=False,
        ),
    ] = None,
    cores: Annotated[int, typer.Option("--cores", min=1, max=256, help="Processes on this machine.")] = 1,
    scheduler: Annotated[
        str | None,
        typer.Option(
            "--scheduler",
            metavar="ADDRESS",
            help="Work on a Dask cluster instead, as tcp://127.0.0.1:8786.",
            show_default=False,
        ),
    ] = None,
    population: PopulationFile = None,
    seed: Seed = 0,
    as_json: AsJson = False,
    report: Report = None,
) -> None:
    """Plan a trial: power, assurance and what it would find, over arms and sizes.

    Example: afterglow design examples/maintenance_trial.yaml --results out/plan.jsonl --report out/plan.html
    """
    del population  # its reader put it to use
    from afterglow.trials import here, on_cluster  # noqa: PLC0415
    from afterglow.usecases.designing import design  # noqa: PLC0415

    read = read_protocol(protocol)
    if results is not None:
        results.parent.mkdir(exist_ok=True)
    with named(protocol):
        require_design(read)
    runner = here(cores) if scheduler is None else on_cluster(scheduler)
    with named(protocol), progress("Simulated trials") as done:
        answer = design(read, seed=seed, trials=trials, runner=runner, results=results, progress=done)
    if report is not None:
        from afterglow.usecases.design_report import design_report  # noqa: PLC0415

        write_report(report, design_report(answer))
    if as_json:
        from afterglow.usecases.design_report import design_document  # noqa: PLC0415

        print_json(design_document(answer))
    else:
        _print_design(answer)


def _print_design(answer: DesignAnswer) -> None:
    from afterglow.usecases.design_report import COUNTED, HEADINGS, MASKING_NAMES, design_cells  # noqa: PLC0415

    out = console()
    out.print(answer.protocol.title or "A planned trial", style="bold")
    planned = require_design(answer.protocol)
    out.print(
        f"{answer.protocol.regimen().administrations[0]}; {planned.compared_on}, compared with {answer.reference}"
    )
    out.print(f"{answer.model}, {answer.status}; seed {answer.seed}, {answer.trials} simulated trials of each kind")
    for masking in answer.maskings:
        out.print()
        out.print(MASKING_NAMES[masking], style="bold")
        rows = [design_cells(answer, row)[1:] for row in answer.rows if row.masking is masking]
        print_table(out, HEADINGS[1:], rows, numeric=range(1, len(HEADINGS) - 1), whole=(0,))
    out.print()
    out.print(f"An arm: {COUNTED}. Compared: patients of both arms whose outcome counts. Stay: there at the end.")
    for note in answer.notes:
        out.print(f"Note: {note}")
