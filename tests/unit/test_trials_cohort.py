"""Virtual arms: chunks, baselines, scales, conditions, memory."""

from __future__ import annotations

import tracemalloc
from dataclasses import replace

import numpy as np
import pytest

from afterglow.quantities import Dose, DrugForm
from afterglow.therapy.population import Belief, Circumstances, load_population
from afterglow.therapy.regimen import DoseAdministration, Regimen, Route
from afterglow.therapy.relief import Execution
from afterglow.therapy.setting import Condition
from afterglow.trials.cohort import ArmPlan, CohortChunk, simulate_cohort

INFUSION = DoseAdministration(
    at_h=0.0, drug=DrugForm.RACEMIC_KETAMINE, route=Route.IV, dose=Dose(mg_per_kg=0.5), infusion_h=2 / 3
)
PLAN = ArmPlan(
    regimen=Regimen((INFUSION,)),
    sessions_h=(0.0,),
    circumstances=Circumstances(belief=Belief.KETAMINE),
    scale="MADRS",
    lowest=0.0,
    highest=60.0,
    whole_numbers=True,
    self_report=False,
    baseline_mean=32.6,
    baseline_sd=6.1,
)
TIMES = np.array([2.0, 24.0, 168.0])


def cohort(
    plan: ArmPlan = PLAN,
    *,
    condition: Condition = Condition.DEPRESSION,
    n_draws: int = 16,
    patients_per_draw: int = 16,
    chunk: int = 1024,
    execution: Execution | None = None,
) -> list[CohortChunk]:
    return list(
        simulate_cohort(
            load_population(condition),
            plan,
            TIMES,
            seed=2,
            n_draws=n_draws,
            patients_per_draw=patients_per_draw,
            chunk=chunk,
            execution=execution,
        )
    )


@pytest.mark.parametrize("chunk", [1, 16, 40, 100])
def test_chunks_change_nothing(chunk: int) -> None:
    (whole,) = cohort()
    parts = cohort(chunk=chunk)
    assert [len(part.patients) for part in parts[:-1]] == [max(1, chunk // 16) * 16] * (len(parts) - 1)
    for name in ("drug", "expectancy", "care"):
        joined = np.concatenate([getattr(part.relief, name) for part in parts])
        assert np.array_equal(joined, getattr(whole.relief, name))
    assert np.array_equal(np.concatenate([part.baseline for part in parts]), whole.baseline)
    assert np.array_equal(np.concatenate([part.patients.draw for part in parts]), np.arange(256) // 16)


def test_paths_agree() -> None:
    (reference,), (compiled,) = cohort(execution=Execution.REFERENCE), cohort(execution=Execution.COMPILED)
    assert np.max(np.abs(reference.relief.left - compiled.relief.left)) <= 1e-12


def test_baselines_are_those_of_the_trial() -> None:
    (found,) = cohort(n_draws=4, patients_per_draw=256)
    assert found.baseline.mean() == pytest.approx(32.6, abs=0.05)
    assert found.baseline.std() == pytest.approx(6.1, abs=0.1)
    assert np.array_equal(found.baseline, np.round(found.baseline))


@pytest.mark.parametrize(
    ("change", "lowest", "highest"),
    [
        ({"baseline_mean": 1.0, "baseline_sd": 30.0}, 1.0, 60.0),  # a baseline of nothing has nothing to relieve
        ({"baseline_mean": 0.0, "baseline_sd": 0.01}, 1.0, 1.0),
        ({"lowest": 20.0, "baseline_sd": 30.0}, 21.0, 60.0),
        ({"baseline_sd": 0.0}, 32.6, 32.6),
        ({"baseline_mean": 60.0, "baseline_sd": 0.0}, 60.0, 60.0),
    ],
)
def test_baselines_stay_on_the_scale(change: dict[str, float], lowest: float, highest: float) -> None:
    (found,) = cohort(replace(PLAN, **change))  # type: ignore[arg-type]
    assert (found.baseline.min(), found.baseline.max()) == (lowest, highest)


def test_baselines_of_a_scale_with_fractions_are_not_rounded() -> None:
    (found,) = cohort(replace(PLAN, whole_numbers=False))
    assert not np.any(found.baseline == np.round(found.baseline))
    assert not found.link.whole_numbers


def typical(name: str) -> float:
    """Of depression."""
    return load_population(Condition.DEPRESSION).parameters[name].typical


def test_a_self_report_follows_less_and_errs_more() -> None:
    (clinician,), (patient,) = cohort(), cohort(replace(PLAN, self_report=True))
    assert clinician.link.following == 1.0
    assert np.all(np.asarray(patient.link.following) < 1.0)
    assert np.median(clinician.link.error_sd) == pytest.approx(60 * typical("error_clinician"), abs=0.1)
    assert np.median(patient.link.error_sd) == pytest.approx(60 * typical("error_self_report"), abs=0.2)
    assert np.array_equal(clinician.relief.left, patient.relief.left)


def test_an_arm_without_drug_has_no_drug_part() -> None:
    (control,) = cohort(replace(PLAN, regimen=Regimen()))
    assert np.all(control.relief.drug == 0.0)
    (active,) = cohort()
    assert np.array_equal(control.relief.care, active.relief.care)


@pytest.mark.parametrize("condition", Condition)
@pytest.mark.parametrize("regimen", [Regimen(), PLAN.regimen])
def test_every_condition_runs(condition: Condition, regimen: Regimen) -> None:
    (found,) = cohort(replace(PLAN, regimen=regimen), condition=condition)
    assert np.all(np.isfinite(found.relief.left))
    assert np.any(found.relief.drug > 0) == bool(regimen.administrations)


def test_pain_reads_the_slow_effect_site() -> None:
    """After 100 h of 20 mg/h esketamine most of the relief is still to come within days, and lasts for weeks."""
    steady = DoseAdministration(
        at_h=0.0, drug=DrugForm.ESKETAMINE, route=Route.IV, dose=Dose(mg=2000.0), infusion_h=100.0
    )
    plan = replace(PLAN, regimen=Regimen((steady,)))
    times = np.array([10.0, 100.0, 150.0, 700.0, 1400.0, 4000.0])
    (found,) = simulate_cohort(load_population(Condition.PAIN), plan, times, seed=0, n_draws=64, patients_per_draw=4)
    course = found.relief.drug.mean(axis=0)
    assert course[0] < 0.5 * course[1]
    assert course[1] > course[3] > course[4] > course[5]
    assert course[3] > 0.4 * course[1]  # 25 days on, with a half-time of 10.9 days


def test_cognition_has_no_drug_part() -> None:
    (found,) = cohort(condition=Condition.COGNITION)
    assert np.max(found.relief.drug) < 0.02


def test_a_streamed_cohort_needs_the_memory_of_a_chunk() -> None:
    """200,000 patients, 3 times: peak of what Python and numpy allocate below 40 MiB (measured: 19)."""
    next(iter(cohort(execution=Execution.COMPILED)))  # compile outside the measurement
    tracemalloc.start()
    try:
        seen = sum(
            len(part.patients)
            for part in simulate_cohort(
                load_population(Condition.DEPRESSION),
                PLAN,
                TIMES,
                seed=0,
                n_draws=800,
                patients_per_draw=250,
            )
        )
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert seen == 200_000
    assert peak < 40 * 2**20
