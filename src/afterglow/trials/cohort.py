"""Many virtual patients through one arm, in chunks, so that a million courses need no more memory than a thousand."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from afterglow.therapy.course import CourseTable
from afterglow.therapy.kinetics import FloatArray
from afterglow.therapy.population import (
    Circumstances,
    Population,
    VirtualPatients,
    draw_patients,
)
from afterglow.therapy.regimen import Regimen
from afterglow.therapy.relief import Execution, MoodFluctuation, Relief, ScaleLink
from afterglow.therapy.treated import simulate_treated, treated_table

CHUNK = 16_384


@dataclass(frozen=True, slots=True, kw_only=True)
class ArmPlan:
    """One arm as the model sees it.

    Args:
        regimen: drug given; empty in a control arm.
        sessions_h: starts of the sessions, with or without drug.
        circumstances: how the arm is treated.
        scale: name of the scale the baseline and scores are on.
        lowest, highest: range of that scale, points.
        whole_numbers: whether only whole scores exist.
        self_report: whether patients rate themselves.
        baseline_mean, baseline_sd: of the observed baseline score, points.
    """

    regimen: Regimen
    sessions_h: tuple[float, ...]
    circumstances: Circumstances
    scale: str
    lowest: float
    highest: float
    whole_numbers: bool
    self_report: bool
    baseline_mean: float
    baseline_sd: float


@dataclass(frozen=True, slots=True, kw_only=True)
class CohortChunk:
    """Consecutive virtual patients of one arm.

    Args:
        patients: the patients.
        relief: their parts of relief at the asked times.
        baseline: (n_patients,) observed baseline score.
        link: from fraction of baseline to the scale, one value a patient.
        mood: their fluctuation.
    """

    patients: VirtualPatients
    relief: Relief
    baseline: FloatArray
    link: ScaleLink
    mood: MoodFluctuation


def simulate_cohort(
    population: Population,
    plan: ArmPlan,
    times_h: FloatArray,
    *,
    seed: int,
    n_draws: int,
    patients_per_draw: int,
    execution: Execution | None = None,
    chunk: int = CHUNK,
) -> Iterator[CohortChunk]:
    """Virtual patients of an arm, whole draws at a time and in order.

    Args:
        population: where they come from.
        plan: the arm.
        times_h: asked times in h since the first session, increasing.
        seed: same seed, same patients, whatever the chunk.
        n_draws: draws of the population.
        patients_per_draw: patients of each.
        execution: None takes the compiled kernel when the whole cohort is large enough for it.
        chunk: most patients held at once.

    >>> from afterglow.therapy.population import Belief, load_population
    >>> from afterglow.therapy.setting import Condition
    >>> plan = ArmPlan(regimen=Regimen(), sessions_h=(0.0,), circumstances=Circumstances(belief=Belief.SALINE),
    ...                scale="MADRS", lowest=0.0, highest=60.0, whole_numbers=True, self_report=False,
    ...                baseline_mean=32.0, baseline_sd=5.0)
    >>> depression = load_population(Condition.DEPRESSION)
    >>> chunks = simulate_cohort(depression, plan, np.array([24.0]), seed=0, n_draws=4, patients_per_draw=8, chunk=16)
    >>> [chunk.relief.left.shape for chunk in chunks]
    [(16, 1), (16, 1)]
    """
    total = n_draws * patients_per_draw
    execution = execution or Execution.for_courses(total)
    step = max(1, chunk // patients_per_draw) * patients_per_draw
    table = treated_table(population, plan.regimen, times_h, sessions_h=plan.sessions_h)
    for first in range(0, total, step):
        patients = draw_patients(
            population,
            plan.circumstances,
            seed=seed,
            first=first,
            count=min(step, total - first),
            patients_per_draw=patients_per_draw,
        )
        yield treat(plan, patients, table, execution=execution)


def treat(plan: ArmPlan, patients: VirtualPatients, table: CourseTable, *, execution: Execution) -> CohortChunk:
    """Patients through one arm.

    Args:
        plan: the arm.
        patients: drawn in its circumstances.
        table: of its regimen and sessions, see `treated_table`.
        execution: which implementation.
    """
    points = plan.highest - plan.lowest
    return CohortChunk(
        patients=patients,
        relief=simulate_treated(patients, plan.regimen, table, execution=execution),
        baseline=_baseline(plan, patients.baseline_deviate),
        link=ScaleLink(
            name=plan.scale,
            lowest=plan.lowest,
            highest=plan.highest,
            whole_numbers=plan.whole_numbers,
            following=patients.following_self_report if plan.self_report else 1.0,
            error_sd=points * (patients.error_self_report if plan.self_report else patients.error_clinician),
        ),
        mood=MoodFluctuation(
            sd=patients.mood_sd, correlation_h=patients.population.parameters["mood_correlation_h"].typical
        ),
    )


def _baseline(plan: ArmPlan, deviates: FloatArray) -> FloatArray:
    """Observed baseline scores: normal, cut to the scale (a baseline of nothing has nothing to relieve)."""
    if plan.baseline_sd == 0:
        return np.full(len(deviates), plan.baseline_mean)
    score = np.clip(plan.baseline_mean + plan.baseline_sd * deviates, plan.lowest + 1.0, plan.highest)
    return np.round(score) if plan.whole_numbers else score
