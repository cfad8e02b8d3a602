"""`afterglow calibrate` and `afterglow validate`: make the population's numbers again, and show what they predict."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from afterglow.cli.modelling import AsJson, PopulationFile, Seed
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
from afterglow.errors import InputError
from afterglow.therapy.setting import Condition

if TYPE_CHECKING:  # --help must not load the model
    from afterglow.trials.validate import Validation

Page = Annotated[
    Path | None,
    typer.Option(
        "--page",
        metavar="OUT.md",
        help="Also write the page of the documentation; pictures of a validation go to ../images beside it.",
        callback=checked_place,
        show_default=False,
    ),
]


def calibrate_command(
    out: Annotated[
        Path | None,
        typer.Option(
            "--out",
            metavar="FILE",
            help="Write the population file (JSON), which --population of other commands reads.",
            callback=checked_place,
            show_default=False,
        ),
    ] = None,
    page: Page = None,
    leave_out: Annotated[
        bool,
        typer.Option("--leave-out", help="Instead, predict each trial from the others; takes about 20 minutes."),
    ] = False,
    structure: Annotated[
        list[str] | None,
        typer.Option(
            "--with",
            metavar="NAME=VALUE",
            help="With --leave-out: another typical value of a prior, to compare structures; may be repeated.",
            show_default=False,
        ),
    ] = None,
    condition: Annotated[
        list[Condition] | None,
        typer.Option(
            "--condition",
            metavar="CONDITION",
            help="With --leave-out: trials of this one only; may be repeated.",
            show_default=False,
        ),
    ] = None,
    seed: Seed = 0,
    as_json: AsJson = False,
) -> None:
    """Fit the population to the calibration figures; takes some minutes.

    Example: afterglow calibrate --out population.json --page calibration.md
    """
    if leave_out:
        if out is not None or page is not None:
            raise InputError(
                "--leave-out makes no population and no page", next_step="Leave out --out and --page, or --leave-out"
            )
        _leave_out(seed=seed, as_json=as_json, structure=structure or [], conditions=condition or [])
        return
    if structure or condition:
        raise InputError(
            "--with and --condition compare structures; they make no population",
            next_step="Add --leave-out, or change the prior in population.yaml",
        )
    from afterglow.trials.calibration_report import (  # noqa: PLC0415  --help must not load the model
        calibrate_all,
        calibrated_text,
        calibration_markdown,
    )
    from afterglow.usecases.validating import calibrate_document  # noqa: PLC0415

    with progress("Calibration") as done:
        fits = calibrate_all(seed=seed, progress=done)
    if out is not None:
        write_report(out, calibrated_text(fits))
    if page is not None:
        write_report(page, calibration_markdown(fits))
    document = calibrate_document(fits)
    if as_json:
        print_json(document)
        return
    said = console()
    said.print(f"Population {document['version']}, seed {seed}, digest {document['digest'][:16]}", style="bold")
    said.print(", ".join(f"{name.replace('_', ' ')} {value}" for name, value in document["diagnostics"].items()))
    rows = [[v["name"], f"{v['shift']:+.2f}", f"{v['prior_sd']:.2f}", f"{v['left']:.2f}"] for v in document["values"]]
    print_table(said, ["Value", "Moved by", "Prior spread", "Left of it"], rows, numeric=(1, 2, 3))


def _leave_out(*, seed: int, as_json: bool, structure: Sequence[str], conditions: Sequence[Condition]) -> None:
    from afterglow.usecases.validating import leave_out_document  # noqa: PLC0415  --help must not load the model

    values = dict(map(_value, structure))
    with progress("Leaving out one trial at a time") as done:
        document = leave_out_document(seed=seed, values=values, conditions=conditions, progress=done)
    if as_json:
        print_json(document)
        return
    said = console()
    other = "".join(f", {name} {value:g}" for name, value in values.items())
    said.print(f"Each trial predicted from the others, seed {seed}{other}", style="bold")
    said.print("Logarithm of the predictive density; higher is better, and only differences mean anything.")
    said.print("Calibration trials: from the other calibration trials. Context trials: from all of them.")
    said.print()
    words = [(t["condition"].replace("_", " "), t["role"], t["trial"], str(t["figures"])) for t in document["trials"]]
    scores = [(t["log_density"], t["without_class_priors"]) for t in document["trials"]]
    rows = [[*w, *("" if x is None else f"{x:.2f}" for x in pair)] for w, pair in zip(words, scores, strict=True)]
    sums = [(name.replace("_", " "), role, x) for name, of in document["sums"].items() for role, x in of.items()]
    rows += [[name, role, "all", "", f"{x:.2f}", ""] for name, role, x in sums]
    headings = ["Condition", "Role", "Trial", "Figures", "Log density", "Without class-level priors"]
    print_table(said, headings, rows, numeric=(3, 4, 5))


def _value(text: str) -> tuple[str, float]:
    name, _, number = text.partition("=")
    try:
        value = float(number)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise InputError(
            "--with takes the name of a parameter and a number",
            observed=text,
            allowed="NAME=VALUE, as small_trial_shift=0",
        )
    return name, value


def validate_command(
    page: Page = None,
    population: PopulationFile = None,
    seed: Seed = 0,
    as_json: AsJson = False,
    report: Report = None,
) -> None:
    """Predict every applicable published figure; takes some minutes.

    Example: afterglow validate --report out/validation.html --page model.md
    """
    del population  # its reader put it to use
    from afterglow.usecases.validating import validate_document, validate_model  # noqa: PLC0415
    from afterglow.usecases.validation_charts import validation_page, validation_report  # noqa: PLC0415

    with progress("Validation") as done:
        answer = validate_model(seed=seed, progress=done)
    if page is not None:
        text, pictures = validation_page(answer)
        write_text(page, text)
        for name, picture in pictures.items():
            write_text(page.parent.parent / "images" / name, picture)
    if report is not None:
        write_report(report, validation_report(answer))
    if as_json:
        print_json(validate_document(answer))
    else:
        _print_validation(answer.shipped)


def _print_validation(found: Validation) -> None:
    from afterglow.trials.validation_report import figure_name, reason  # noqa: PLC0415

    out = console()
    out.print(f"Validation of population {found.model}, seed {found.seed}", style="bold")
    out.print("Public held-out figures, never fitted")
    out.print()
    misses = [r for r in found.held_out if not r.inside]
    rows = [
        [figure_name(r.scored), f"{r.scored.value:.1f}", f"{r.lo90:.1f} to {r.hi90:.1f}", reason(r)] for r in misses
    ]
    print_table(out, ["Outside", "Observed", "90 % interval", "Why"], rows, numeric=(1, 2))
    out.print()
    table = [
        [
            name,
            str(g.n),
            f"{100 * g.coverage:.0f} %",
            f"{g.score:.1f}",
            f"{g.lookup_score:.1f}",
            f"{g.sharpness:.1f}",
        ]
        for name, g in found.groups(found.held_out).items()
    ]
    print_table(
        out, ["Figures", "n", "Inside 90 %", "Score", "Lookup", "Width / sampling"], table, numeric=(1, 2, 3, 4, 5)
    )
