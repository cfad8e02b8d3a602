"""The predicted course of one arm between its visits: for looking at, not for comparing with figures."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from afterglow.protocol import TrialProtocol, require_population
from afterglow.therapy.kinetics import FloatArray
from afterglow.therapy.population import load_population
from afterglow.therapy.regimen import Regimen
from afterglow.therapy.relief import Execution, Relief
from afterglow.therapy.setting import Arm
from afterglow.trials.cohort import ArmPlan, CohortChunk, simulate_cohort
from afterglow.trials.predictive import bounded_moments, mean_quantiles
from afterglow.trials.replicate import arm_plan

_N_DRAWS, _PATIENTS_PER_DRAW = 128, 64  # a picture needs no third digit
_MOST_LAYERS = 24


@dataclass(frozen=True, slots=True, kw_only=True)
class ArmTrajectory:
    """Mean score of an arm over time, with the interval of a trial of its size; shape (n_times,) each.

    Args:
        arm: active or control.
        times_h: h since the first session.
        mean: of the predictive.
        lo50, hi50, lo90, hi90: its central intervals.
        drug, expectancy, care: points of the fall credited to each, on average.
        drug_layers: (n_sessions, n_times), what each session adds to `drug`; empty for a control arm, and for more
            sessions than can be told apart.
    """

    arm: Arm
    times_h: FloatArray
    mean: FloatArray
    lo50: FloatArray
    hi50: FloatArray
    lo90: FloatArray
    hi90: FloatArray
    drug: FloatArray
    expectancy: FloatArray
    care: FloatArray
    drug_layers: FloatArray


def simulate_trajectory(protocol: TrialProtocol, arm: Arm, *, times_h: FloatArray, seed: int = 0) -> ArmTrajectory:
    """The course of one arm.

    Args:
        protocol: the trial; it must name its population.
        arm: active or control.
        times_h: increasing, h since the first session.
        seed: as in `replicate`.

    >>> from afterglow.protocol import parse_protocol
    >>> plan = parse_protocol('''
    ... {drug: esketamine, route: intranasal, dose: 84 mg, days: [0],
    ...  population: {n: 50, scale: MADRS, baseline_mean: 35, baseline_sd: 5}}
    ... ''')
    >>> course = simulate_trajectory(plan, Arm.ACTIVE, times_h=np.array([2.0, 24.0, 168.0]))
    >>> bool(np.all((course.lo90 < course.mean) & (course.mean < course.hi90)))
    True
    """
    people = require_population(protocol)
    plan = arm_plan(protocol, people, arm)
    n = people.n if arm is Arm.ACTIVE else people.n_control
    sessions = len(plan.regimen.administrations)
    execution = Execution.for_courses(_N_DRAWS * _PATIENTS_PER_DRAW * (sessions if sessions <= _MOST_LAYERS else 1))
    chunk = _cohort(protocol, plan, times_h, seed, execution)
    mean, sd = (
        chunk.link.expected(chunk.baseline, chunk.relief.left),
        chunk.link.sd(chunk.baseline, chunk.relief.left, chunk.mood.variance(times_h)),
    )
    first, second = bounded_moments(
        mean, sd, lowest=plan.lowest, highest=plan.highest, whole_numbers=plan.whole_numbers
    )
    means, squares = (values.reshape(_N_DRAWS, _PATIENTS_PER_DRAW, -1).mean(axis=1) for values in (first, second))
    errors = np.sqrt(np.maximum(squares - means**2, 0.0) / n)
    lo90, lo50, hi50, hi90 = mean_quantiles(means, errors, (0.05, 0.25, 0.75, 0.95))
    drug, expectancy, care = _points(chunk, chunk.relief)
    return ArmTrajectory(
        arm=arm,
        times_h=times_h,
        mean=means.mean(axis=0),
        lo50=lo50,
        hi50=hi50,
        lo90=lo90,
        hi90=hi90,
        drug=drug,
        expectancy=expectancy,
        care=care,
        drug_layers=_layers(protocol, plan, chunk, seed, execution),
    )


def _cohort(
    protocol: TrialProtocol, plan: ArmPlan, times_h: FloatArray, seed: int, execution: Execution
) -> CohortChunk:
    (chunk,) = simulate_cohort(
        load_population(protocol.condition),
        plan,
        times_h,
        seed=seed,
        n_draws=_N_DRAWS,
        patients_per_draw=_PATIENTS_PER_DRAW,
        execution=execution,
    )
    return chunk


def _layers(protocol: TrialProtocol, plan: ArmPlan, chunk: CohortChunk, seed: int, execution: Execution) -> FloatArray:
    """What the drug of each session adds: the drug part after it less the drug part without it."""
    sessions = plan.regimen.administrations
    if not 1 < len(sessions) <= _MOST_LAYERS:
        return np.empty((0, len(chunk.relief.times_h)))
    layers, before = [], np.zeros(len(chunk.relief.times_h))
    for count in range(1, len(sessions) + 1):
        fewer = replace(plan, regimen=Regimen(sessions[:count]))
        part = _cohort(protocol, fewer, chunk.relief.times_h, seed, execution) if count < len(sessions) else chunk
        drug = _points(chunk, part.relief)[0]
        layers.append(drug - before)
        before = drug
    return np.array(layers)


def _points(chunk: CohortChunk, relief: Relief) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Mean points of the fall credited to drug, expectancy and care."""
    scale = ((chunk.baseline - chunk.link.lowest) * chunk.link.following)[:, None]
    drug, expectancy, care = ((scale * share).mean(axis=0) for share in relief.shares())
    return drug, expectancy, care
