"""`afterglow expose` and `afterglow replicate`: a protocol file in, text, JSON or a report out."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import numpy as np
import typer

from afterglow.cli.output import Report, console, named, print_json, print_table, progress, write_report
from afterglow.errors import OutOfRange, WrongOrder
from afterglow.protocol import read_protocol
from afterglow.protocol.treatment import LONGEST_COURSE_H
from afterglow.quantities import format_duration, parse_duration_h, parse_weight_kg
from afterglow.therapy.exposure import Site, typical

if TYPE_CHECKING:  # other commands must not load the model
    from afterglow.trials import Parts
    from afterglow.usecases.modelling import ExposureAnswer, ReplicationAnswer

ProtocolFile = Annotated[Path, typer.Argument(metavar="PROTOCOL", help="A protocol file (YAML).", show_default=False)]
Seed = Annotated[int, typer.Option("--seed", min=0, help="Same seed, same virtual patients.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON (a versioned schema) instead of text.")]


def _use_population(path: Path | None) -> Path | None:
    """Let the command rest on a population file, read and checked before anything is computed."""
    if path is not None:
        from afterglow.therapy.calibrated import choose_calibration, load_calibrated  # noqa: PLC0415  --help is light

        choose_calibration(load_calibrated(path))
    return path


PopulationFile = Annotated[
    Path | None,
    typer.Option(
        "--population",
        metavar="FILE",
        help="Rest on a population file that `afterglow calibrate --out` wrote, instead of the shipped one.",
        callback=_use_population,
        show_default=False,
    ),
]
"""The option of every command that predicts relief; its callback puts the file to use."""


def expose_command(
    protocol: ProtocolFile,
    site: Annotated[
        Site | None, typer.Option("--site", help="Where it is measured; default venous plasma.", show_default=False)
    ] = None,
    times: Annotated[
        str | None,
        typer.Option("--times", help='Times after the first dose, as "40 min, 1 h, 7 d".', show_default=False),
    ] = None,
    weight: Annotated[
        str | None,
        typer.Option(
            "--weight", help='Everybody\'s body weight, as "80 kg"; default a spread of weights.', show_default=False
        ),
    ] = None,
    seed: Seed = 0,
    as_json: AsJson = False,
    report: Report = None,
) -> None:
    """Predict concentrations and acute effects of a protocol.

    Example: afterglow expose examples/murrough2013.yaml --site arterial --times "40 min, 1 h, 2 h"
    """
    from afterglow.usecases.contracts import expose_document  # noqa: PLC0415  --help must not load the model
    from afterglow.usecases.modelling import expose  # noqa: PLC0415

    times_h = None if times is None else parse_times(times)
    weight_kg = None if weight is None else parse_weight(weight)
    read = read_protocol(protocol)
    with named(protocol):
        answer = expose(read, site=site, times_h=times_h, weight_kg=weight_kg, seed=seed)
    if report is not None:
        from afterglow.usecases.reports import expose_report  # noqa: PLC0415

        # A picture shows the whole course, whatever times the table was asked for.
        pictured = answer if times_h is None else expose(read, site=site, weight_kg=weight_kg, seed=seed)
        write_report(report, expose_report(pictured))
    if as_json:
        print_json(expose_document(answer))
    else:
        _print_exposure(answer)


def replicate_command(
    protocol: ProtocolFile,
    population: PopulationFile = None,
    seed: Seed = 0,
    as_json: AsJson = False,
    report: Report = None,
) -> None:
    """Predict what a trial would report, beside what was published.

    Example: afterglow replicate examples/murrough2013.yaml --report out/murrough2013.html
    """
    del population  # its reader put it to use
    from afterglow.usecases.contracts import replicate_document  # noqa: PLC0415
    from afterglow.usecases.modelling import replicate_beside_published, trajectories  # noqa: PLC0415

    read = read_protocol(protocol)
    with named(protocol), progress("Virtual patients") as done:
        answer = replicate_beside_published(read, seed=seed, progress=done)
    if report is not None:
        from afterglow.usecases.reports import replicate_report  # noqa: PLC0415

        write_report(report, replicate_report(answer, trajectories(read, seed=seed)))
    if as_json:
        print_json(replicate_document(answer))
    else:
        _print_replication(answer)


def parse_times(text: str) -> list[float]:
    """Times in h from a comma-separated list.

    Raises: InputError for what is no time, or lies outside a course.

    >>> parse_times("1 h, 2 d")
    [1.0, 48.0]
    """
    times_h = [parse_duration_h(one, what="--times") for one in text.split(",")]
    for before, after in pairwise(times_h):
        if not before < after:
            raise WrongOrder(
                "--times must increase",
                observed=f"{format_duration(after)} after {format_duration(before)}",
                next_step="Put the times in order, each once",
            )
    for time_h in (times_h[0], times_h[-1]):
        if not 0 <= time_h <= LONGEST_COURSE_H:
            raise OutOfRange(
                "--times lies outside the course",
                observed=f"{time_h:g} h",
                allowed=f"0 to {LONGEST_COURSE_H:g} h after the first dose",
            )
    return times_h


def parse_weight(text: str) -> float:
    """A body weight in kg that the models cover.

    Raises: InputError for anything else.

    >>> parse_weight("80 kg")
    80.0
    """
    weight_kg = parse_weight_kg(text, what="--weight")
    with named("--weight"):
        typical(weight_kg=weight_kg)
    return weight_kg


def _print_exposure(answer: ExposureAnswer) -> None:
    from afterglow.render.text import format_percent, format_significant  # noqa: PLC0415
    from afterglow.usecases.contracts import analyte_name, site_name  # noqa: PLC0415

    out = console()
    sessions = answer.protocol.regimen().administrations
    count = "one session" if len(sessions) == 1 else f"{len(sessions)} sessions"
    out.print(answer.protocol.title or "Exposure", style="bold")
    out.print(f"{sessions[0]}, {count}, median weight {answer.weight_kg:.0f} kg")
    first = answer.profiles[0]
    where = site_name(first.site)
    out.print(f"Concentrations, {where}, {first.unit}; median, and 90 % of people in brackets")
    out.print()
    shown = answer.readable_times
    rows = [["Highest (typical)", *(format_significant(p.cmax) for p in answer.profiles)]]
    rows.append(["reached at", *(format_duration(p.tmax_h) for p in answer.profiles)])
    rows.append([f"Area, {first.unit}·h", *(format_significant(p.auc_h) for p in answer.profiles)])
    for i in shown:
        cells = [
            f"{format_significant(float(p.median[i]))} "
            f"({format_significant(float(p.lo90[i]), 2)} to {format_significant(float(p.hi90[i]), 2)})"
            for p in answer.profiles
        ]
        rows.append([format_duration(float(first.times_h[i])), *cells])
    headings = ["", *(analyte_name(p.analyte) for p in answer.profiles)]
    print_table(out, headings, rows, numeric=range(1, len(headings)))
    acute = answer.acute
    out.print()
    out.print("Acute effects of the last session", style="bold")
    out.print(
        f"Dissociated at any time {format_percent(100 * acute.dissociation_ever, predicted=True)}, "
        f"sedated {format_percent(100 * acute.sedation_ever, predicted=True)}"
    )
    top = int(np.argmax(acute.systolic_mmhg.mean))
    rise = "Mean rise, highest of these times" if answer.asked else "Mean rise at its highest"
    out.print(
        f"{rise}: {acute.systolic_mmhg.mean[top]:.0f}/{acute.diastolic_mmhg.mean[top]:.0f} mmHg, "
        f"{acute.heart_rate_bpm.mean[top]:.0f} beats/min"
    )
    half = format_duration(acute.ready_median_h) if np.isfinite(acute.ready_median_h) else "later than 12 h"
    out.print(f"Likely ready to leave: half of people by {half}, erring late. A rule decides, never this model.")
    out.print()
    borrowed = ("The spread between people is borrowed from volunteers and widened.",) * any(
        p.borrowed_spread for p in answer.profiles
    )
    for note in dict.fromkeys((*(w for p in answer.profiles for w in p.warnings), *borrowed, *acute.notes)):
        out.print(f"Note: {note}")


def _print_replication(answer: ReplicationAnswer) -> None:
    from afterglow.usecases.reports import (  # noqa: PLC0415
        ARM_NAMES,
        arm_label,
        format_prediction,
        statistic_label,
    )

    out = console()
    replication = answer.replication
    out.print(answer.protocol.title or "Replication", style="bold")
    sizes = ", ".join(f"{ARM_NAMES[arm].lower()} n = {n}" for arm, n in replication.n.items())
    out.print(f"{answer.protocol.regimen().administrations[0]}; {sizes}")
    virtual = replication.n_draws * replication.patients_per_draw
    out.print(f"{replication.model}, seed {replication.seed}, {virtual} virtual patients an arm")
    out.print(answer.standing, style="bold")
    pairs = list(zip(replication.predictions, answer.observed, strict=True))
    for heading in dict.fromkeys(arm_label(prediction) for prediction, _ in pairs):
        out.print()
        out.print(heading, style="bold")
        rows = []
        for prediction, observed in pairs:
            if arm_label(prediction) != heading:
                continue
            low, high = (format_prediction(prediction, bound) for bound in (prediction.lo90, prediction.hi90))
            parts, verdict = prediction.parts, ""
            if observed is not None:
                verdict = "inside" if prediction.lo90 <= observed.value <= prediction.hi90 else "OUTSIDE"
            rows.append(
                [
                    format_duration(prediction.time_h),
                    statistic_label(prediction),
                    format_prediction(prediction, prediction.value),
                    f"{low} to {high}",
                    "" if observed is None else format_prediction(prediction, observed.value, observed=True),
                    verdict,
                    *([""] * 3 if parts is None else _parts_cells(parts)),
                ]
            )
        headings = ["Time", "Statistic", "Predicted", "90 % interval", "Observed", "", "Drug", "Expectancy", "Care"]
        print_table(out, headings, rows, numeric=(2, 3, 4, 6, 7, 8))
    out.print()
    out.print(
        f"Points are of {replication.predictions[0].scale}; pp: percentage points; parts are points of the change."
    )
    for note in answer.notes:
        out.print(f"Note: {note}")


def _parts_cells(parts: Parts) -> list[str]:
    """Drug with its range over the population's draws, expectancy, care."""
    from afterglow.render.text import format_points, format_range  # noqa: PLC0415

    doubt = format_range(format_points(parts.drug_lo90), format_points(parts.drug_hi90))
    drug = format_points(parts.drug)
    credited = f"{drug} ({doubt})" if parts.drug_hi90 != parts.drug_lo90 else drug
    return [credited, format_points(parts.expectancy), format_points(parts.care)]
