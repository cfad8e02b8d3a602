"""`afterglow evidence` and `afterglow scales`: what is published with its sources, and the instruments."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

import typer

from afterglow.cli.knowledge_text import (
    print_claims,
    print_overview,
    print_pool,
    print_scale,
    print_scales,
    print_trial,
    print_trials,
)
from afterglow.cli.output import Report, print_json, progress, write_report
from afterglow.evidence import PoolingMethod, StudiedCondition, trial, trials_where
from afterglow.provenance import Role
from afterglow.scales import instrument
from afterglow.usecases.knowledge import overview, pooled_outcome
from afterglow.usecases.knowledge_contracts import (
    claims_document,
    overview_document,
    pool_document,
    scale_document,
    scales_document,
    trial_document,
    trials_document,
)
from afterglow.usecases.knowledge_reports import claims_report, pool_report, trial_report

evidence_app = typer.Typer(rich_markup_mode=None)


class MethodName(StrEnum):
    """Estimators of the between-study variance by their usual short names."""

    PM = "PM"
    DL = "DL"


_METHODS = {MethodName.PM: PoolingMethod.PAULE_MANDEL, MethodName.DL: PoolingMethod.DERSIMONIAN_LAIRD}

AsJson = Annotated[bool, typer.Option("--json", help="Print JSON (a versioned schema) instead of text.")]


@evidence_app.callback(invoke_without_command=True)
def evidence_command(context: typer.Context, as_json: AsJson = False) -> None:
    """Published trials, claims and pooled effects.

    Without a command: an overview of what there is.

    Example: afterglow evidence pool depression-24h --report out/depression-24h.html
    """
    if context.invoked_subcommand is not None:
        return
    with progress("Pooling") as done:
        found = overview(done)
    if as_json:
        print_json(overview_document(found))
    else:
        print_overview(found)


@evidence_app.command("trials")
def trials_command(
    role: Annotated[
        Role | None,
        typer.Option("--role", metavar="ROLE", help=f"Only trials of a role: {', '.join(Role)}.", show_default=False),
    ] = None,
    condition: Annotated[
        StudiedCondition | None,
        typer.Option(
            "--condition",
            metavar="CONDITION",
            help=f"Only trials on a condition: {', '.join(StudiedCondition)}.",
            show_default=False,
        ),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Every trial, cohort, label and survey, by condition.

    Example: afterglow evidence trials --role held_out --condition depression
    """
    found = trials_where(role=role, condition=condition)
    if as_json:
        print_json(trials_document(found, role=role, condition=condition))
    else:
        print_trials(found)


@evidence_app.command("trial")
def trial_command(
    key: Annotated[str, typer.Argument(metavar="KEY", help="A key that `evidence trials` lists.", show_default=False)],
    as_json: AsJson = False,
    report: Report = None,
) -> None:
    """One trial: design, arms, every figure with its source, caveats.

    Example: afterglow evidence trial murrough2013_ajp
    """
    found = trial(key)
    if as_json:
        print_json(trial_document(found))
    else:
        print_trial(found)
    if report is not None:
        write_report(report, trial_report(found))


@evidence_app.command("claims")
def claims_command(as_json: AsJson = False, report: Report = None) -> None:
    """Popular claims, each with verdict and evidence.

    Example: afterglow evidence claims --report out/claims.html
    """
    if report is not None:
        write_report(report, claims_report())
    if as_json:
        print_json(claims_document())
    else:
        print_claims()


@evidence_app.command("pool")
def pool_command(
    outcome: Annotated[
        str, typer.Argument(metavar="OUTCOME", help="An outcome that `evidence` lists.", show_default=False)
    ],
    method: Annotated[
        MethodName,
        typer.Option("--method", case_sensitive=False, help="Paule-Mandel or DerSimonian-Laird random effects."),
    ] = MethodName.PM,
    as_json: AsJson = False,
    report: Report = None,
) -> None:
    """One outcome pooled, beside meta-analyses.

    Example: afterglow evidence pool depression-24h --method DL --report out/depression-24h.html
    """
    with progress("Pooling") as done:
        answer = pooled_outcome(outcome, method=_METHODS[method])
        done(1.0)
    if report is not None:
        write_report(report, pool_report(answer))
    if as_json:
        print_json(pool_document(answer))
    else:
        print_pool(answer)


def scales_command(
    name: Annotated[
        str | None, typer.Argument(metavar="NAME", help='An instrument, as "PHQ-9".', show_default=False)
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Every instrument; with NAME its items, scoring, bands, definitions, alerts and licence.

    Example: afterglow scales PHQ-9
    """
    found = None if name is None else instrument(name)
    if as_json:
        print_json(scales_document() if found is None else scale_document(found))
    elif found is None:
        print_scales()
    else:
        print_scale(found)
