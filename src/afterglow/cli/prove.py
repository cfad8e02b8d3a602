"""`afterglow prove`: the forecast against simulated patients; text, JSON, a report, or the generated page."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from afterglow.cli.modelling import AsJson, PopulationFile
from afterglow.cli.output import (
    Report,
    checked_place,
    console,
    print_json,
    print_table,
    progress,
    write_report,
    write_text,
)

if TYPE_CHECKING:  # --help must not load the model
    from afterglow.usecases.proving import ProofAnswer


def prove_command(
    quick: Annotated[bool, typer.Option("--quick", help="A few patients only: a check that it runs.")] = False,
    cores: Annotated[int, typer.Option("--cores", min=1, max=256, help="Processes on this machine.")] = 2,
    page: Annotated[
        Path | None,
        typer.Option(
            "--page",
            metavar="FILE.md",
            help="Also write the page of the documentation; its pictures go to ../images beside it.",
            callback=checked_place,
            show_default=False,
        ),
    ] = None,
    population: PopulationFile = None,
    seed: Annotated[int, typer.Option("--seed", min=0, help="Same seed, same simulated patients.")] = 1,
    as_json: AsJson = False,
    report: Report = None,
) -> None:
    """Prove the forecast on simulated patients: bands, ranks, scores, wrong worlds, and policies of treating again.

    Example: afterglow prove --report out/proof.html
    """
    del population  # its reader put it to use
    from afterglow.usecases.proof_report import proof_document, proof_page, proof_report  # noqa: PLC0415
    from afterglow.usecases.proving import FULL, QUICK, prove_forecast  # noqa: PLC0415

    with progress("Simulated patients") as done:
        answer = prove_forecast(size=QUICK if quick else FULL, seed=seed, cores=cores, progress=done)
    if report is not None:
        write_report(report, proof_report(answer))
    if page is not None:
        text, pictures = proof_page(answer)
        write_text(page, text)
        for name, picture in pictures.items():
            write_text(page.parent.parent / "images" / name, picture)
    if as_json:
        print_json(proof_document(answer))
    else:
        _print_proof(answer)


def _print_proof(answer: ProofAnswer) -> None:
    from afterglow.forecast.proof import FORECASTS  # noqa: PLC0415
    from afterglow.usecases.proof_report import EXTRAPOLATION  # noqa: PLC0415

    out = console()
    out.print("Proof of the forecast", style="bold")
    size = answer.size
    out.print(f"{size.patients} simulated patients a setting; {answer.model}, {answer.status}; seed {answer.seed}")
    out.print()
    rows = [
        (
            one.setting.name if i == 0 else "",
            str(row.lead_days),
            f"{100 * row.inside50:.0f} %",
            f"{100 * row.inside90:.0f} %",
            f"{row.unevenness:.1f}",
            *(f"{value:.2f}" for value in row.crps),
        )
        for one in answer.settings
        for i, row in enumerate(one.leads)
    ]
    headings = ["Patients", "Days", "In 50 %", "In 90 %", "Ranks", *(f"CRPS, {name}" for name in FORECASTS)]
    print_table(out, headings, rows, numeric=range(1, len(headings)))
    out.print()
    out.print("Largest difference to a long Markov chain, points", style="bold")
    print_table(out, ["Patient", "Points"], [(name, f"{found:.2f}") for name, found in answer.chains], numeric=(1,))
    out.print()
    out.print("Policies, per quarter of 91 days", style="bold")
    print_table(
        out,
        ["Sessions add up", "Policy", "Sessions", "Days relapsed"],
        [
            (str(row.addition), row.policy.name, f"{row.sessions:.1f}", f"{row.relapsed_days:.1f}")
            for row in answer.policies
        ],
        numeric=(2, 3),
    )
    out.print(EXTRAPOLATION)
