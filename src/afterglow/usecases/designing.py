"""A planned trial's operating characteristics: what was simulated, summed up for each arm and size."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from afterglow.protocol import Endpoint, TrialProtocol, require_design
from afterglow.therapy.coverage import model_standing, outside_calibration, outside_circumstances
from afterglow.therapy.kinetics import FloatArray
from afterglow.therapy.population import load_population
from afterglow.therapy.setting import Control
from afterglow.trials import (
    Basis,
    DesignChunk,
    Masking,
    Runner,
    arm_names,
    design_digest,
    here,
    missed_of,
    outside_calibrated_people,
    planned_arms,
    run_design,
)

TRIALS = 1_000


@dataclass(frozen=True, slots=True, kw_only=True)
class DesignRow:
    """One comparison at one size.

    Args:
        masking: what patients and raters can tell.
        arm: compared with the reference.
        size: patients who start treatment for each arm.
        power, assurance: chance of a significant result, as if the typical values were right, and over all draws.
        power_se, assurance_se: their simulation errors.
        estimate, lo90, hi90: what a trial would find, over all draws: mean and central 90 %.
        randomised, stayed: patients of both arms together, on average: compared, and of these there at the end.
    """

    masking: Masking
    arm: str
    size: int
    power: float
    power_se: float
    assurance: float
    assurance_se: float
    estimate: float
    lo90: float
    hi90: float
    randomised: float
    stayed: float


@dataclass(frozen=True, slots=True, kw_only=True)
class ArmOutcome:
    """What an arm of the largest size shows on average, over all draws, with its central 90 %."""

    masking: Masking
    arm: str
    value: float
    lo90: float
    hi90: float


@dataclass(frozen=True, slots=True, kw_only=True)
class DesignAnswer:
    """A design and what would come of it.

    Args:
        protocol: what was asked.
        model, status: the population.
        seed, trials: of the simulation.
        digest: of everything that the numbers depend on.
        reference: the arm that the others are compared with.
        unit: of estimates and outcomes.
        rows, outcomes: in the order of masking, arms and sizes.
        notes: what a reader must know, in sentences, those of `warnings` among them.
        warnings: what speaks against these numbers: no figure covers it, or validation missed it.
    """

    protocol: TrialProtocol
    model: str
    status: str
    seed: int
    trials: int
    digest: str
    reference: str
    unit: str
    rows: tuple[DesignRow, ...]
    outcomes: tuple[ArmOutcome, ...]
    warnings: tuple[str, ...]
    notes: tuple[str, ...]

    @property
    def maskings(self) -> tuple[Masking, ...]:
        """What was simulated, the plan first."""
        return tuple(dict.fromkeys(row.masking for row in self.rows))

    @property
    def arms(self) -> tuple[str, ...]:
        """The arms that are compared with the reference."""
        return tuple(dict.fromkeys(row.arm for row in self.rows))


def design(
    protocol: TrialProtocol,
    *,
    seed: int = 0,
    trials: int = TRIALS,
    runner: Runner | None = None,
    results: Path | None = None,
    progress: Callable[[float], None] | None = None,
) -> DesignAnswer:
    """Simulate a planned trial many times over.

    Args:
        protocol: with population, observation and design.
        seed: same seed, same answer, whatever runs it.
        trials: simulated for each kind of masking, with typical values and over all draws.
        runner: `here(cores)` or `on_cluster(address)`; None works in this process.
        results: file that keeps finished work; a rerun goes on from it.
        progress: called with the fraction done.

    Raises: MissingValue, Conflict, UnwritableFile, NotFound; see `run_design`.

    >>> from afterglow.protocol import parse_protocol
    >>> found = design(parse_protocol('''
    ... {drug: esketamine, route: intranasal, dose: 84 mg, days: [0, 3], control: placebo_spray, arm: both,
    ...  population: {scale: MADRS, baseline_mean: 35, baseline_sd: 5}, observe: {times: [7 d]},
    ...  design: {sizes: [20, 400]}}
    ... '''), trials=20)
    >>> [(row.arm, row.size) for row in found.rows][:2], found.rows[0].assurance < found.rows[1].assurance
    ([('active', 20), ('active', 400)], True)
    """
    planned = require_design(protocol)
    chunks = run_design(
        protocol, seed=seed, trials=trials, runner=runner or here(1), results=results, progress=progress
    )
    population, (reference, *others) = load_population(protocol.condition), arm_names(protocol)
    limit = planned.alpha / len(others)
    rows, outcomes = [], []
    for masking in dict.fromkeys(chunk.task.masking for chunk in chunks):
        found = {basis: [c for c in chunks if (c.task.masking, c.task.basis) == (masking, basis)] for basis in Basis}
        rows += [
            _row(found, masking, arm, size, (i, k), limit)
            for k, arm in enumerate(others)
            for i, size in enumerate(planned.sizes)
        ]
        shown = _joined(found[Basis.ASSURANCE], "outcome")[:, -1]
        for k, arm in enumerate((reference, *others)):
            low, high = np.quantile(shown[:, k], (0.05, 0.95))
            outcomes.append(
                ArmOutcome(masking=masking, arm=arm, value=float(shown[:, k].mean()), lo90=float(low), hi90=float(high))
            )
    points = planned.compared_on is Endpoint.CHANGE
    scale, warnings = protocol.scale(), _warnings(protocol)
    return DesignAnswer(
        protocol=protocol,
        model=f"afterglow population {population.version}",
        status=population.status,
        seed=seed,
        trials=trials,
        digest=design_digest(protocol, seed=seed),
        reference=reference,
        unit=f"{scale.name} points" if points and scale else "percentage points",
        rows=tuple(rows),
        outcomes=tuple(outcomes),
        warnings=warnings,
        notes=(
            model_standing(protocol.condition, population.status, population.evidence),
            *warnings,
            *_notes(protocol, len(others)),
        ),
    )


def _joined(chunks: Sequence[DesignChunk], name: str) -> FloatArray:
    joined: FloatArray = np.concatenate([getattr(chunk, name) for chunk in chunks])
    return joined


def _row(
    found: dict[Basis, list[DesignChunk]], masking: Masking, arm: str, size: int, at: tuple[int, int], limit: float
) -> DesignRow:
    i, k = at
    chance, error = {}, {}
    for basis, chunks in found.items():
        significant = _joined(chunks, "p")[:, i, k] < limit
        chance[basis] = float(significant.mean())
        error[basis] = float(np.sqrt(chance[basis] * (1.0 - chance[basis]) / len(significant)))
    estimates = _joined(found[Basis.ASSURANCE], "estimate")[:, i, k]
    low, high = np.quantile(estimates, (0.05, 0.95))
    patients = [_joined(found[Basis.ASSURANCE], name)[:, i] for name in ("randomised", "stayed")]
    randomised, stayed = (float((one[:, 0] + one[:, k + 1]).mean()) for one in patients)
    return DesignRow(
        masking=masking,
        arm=arm,
        size=size,
        power=chance[Basis.POWER],
        power_se=error[Basis.POWER],
        assurance=chance[Basis.ASSURANCE],
        assurance_se=error[Basis.ASSURANCE],
        estimate=float(estimates.mean()),
        lo90=float(low),
        hi90=float(high),
        randomised=randomised,
        stayed=stayed,
    )


_TEST_NAMES = {
    Endpoint.CHANGE: "Welch's t test of the change from baseline",
    Endpoint.RESPONSE: "a test of two proportions",
    Endpoint.REMISSION: "a test of two proportions",
    Endpoint.RELAPSE: "the log-rank test over visits; relapse in percent is by Kaplan and Meier",
}


def _warnings(protocol: TrialProtocol) -> tuple[str, ...]:
    """What speaks against these numbers: no figure covers it, or validation missed it."""
    planned = require_design(protocol)
    relapse = planned.compared_on is Endpoint.RELAPSE
    told = dict.fromkeys(
        sentence
        for control in ((Control.MASKED,) if planned.arms else (protocol.control, Control.MASKED, Control.SALINE))
        for sentence in outside_circumstances(protocol.setting, control)
    )
    intervals = (
        "No trial in the evidence compared maintenance intervals: how sessions add up rests on assumptions, so this "
        "is extrapolation."
    )
    return (
        *_outside(protocol),
        *outside_calibrated_people(protocol, sizes=planned.sizes),
        *told,
        *([intervals] if planned.arms else []),
        *missed_of(protocol, difference=not relapse, relapse=relapse),
        "Plan for a smaller effect than is shown.",
    )


def _outside(protocol: TrialProtocol) -> tuple[str, ...]:
    """What of the arms lies outside of calibration; an arm's name stands before what is not true of all."""
    weight_kg = protocol.population.weight_kg if protocol.population else None
    plans = zip(arm_names(protocol), planned_arms(protocol, Masking.PLANNED), strict=True)
    said = {
        name: outside_calibration(protocol.condition, plan.regimen, weight_kg=weight_kg)
        for name, plan in plans
        if plan.regimen.administrations
    }
    every = tuple(one for one in next(iter(said.values())) if all(one in some for some in said.values()))
    own = tuple(f"Arm {name}: {one}" for name, some in said.items() for one in some if one not in every)
    return every + own


def _notes(protocol: TrialProtocol, comparisons: int) -> tuple[str, ...]:
    planned = require_design(protocol)
    shared = "" if comparisons == 1 else f", shared out among {comparisons} comparisons"
    notes = [
        f"Significant: two-sided p under {100 * planned.alpha:g} %{shared}, by {_TEST_NAMES[planned.compared_on]}.",
        (
            "Power takes the model's typical values for true; assurance is the same chance over all that they might be "
            "and over how trials differ, and is the one to plan with."
        ),
    ]
    if planned.arms:
        notes.append(
            "Patients know how often they are treated. Masked: all arms have the sessions of all, some without drug."
        )
    else:
        notes.append("Masked: nobody can tell the arms apart. Unmasked: the control arm knows it, as after saline.")
    if protocol.dropout is None:
        notes.append("Nobody leaves: the protocol names no drop-out.")
    elif planned.compared_on is not Endpoint.RELAPSE:
        asked = protocol.dropout.analysis.replace("_", " ")
        notes.append(f"Analysis: {asked}. Those who leave count in intention to treat as if they had been scored.")
    return tuple(notes)
