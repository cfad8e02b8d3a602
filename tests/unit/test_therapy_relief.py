"""Relief: what is refused, which path runs, and what a course without drug gives."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from afterglow.errors import InputError
from afterglow.quantities import Dose, DrugForm
from afterglow.therapy.course import CourseTable, course_table
from afterglow.therapy.exposure import drive_inputs, regimen_drive
from afterglow.therapy.kinetics import FloatArray
from afterglow.therapy.population import Belief, Circumstances, VirtualPatients, draw_patients, load_population
from afterglow.therapy.regimen import DoseAdministration, Regimen, Route, repeat
from afterglow.therapy.relief import Execution, MoodFluctuation, ReadOut, Relief, ScaleLink, simulate_relief
from afterglow.therapy.setting import Condition

TIMES = np.array([-24.0, 0.0, 2.0, 24.0, 168.0, 672.0])


def patients(count: int = 7) -> VirtualPatients:
    arm = Circumstances(belief=Belief.KETAMINE)
    return draw_patients(load_population(Condition.DEPRESSION), arm, seed=3, first=0, count=count)


def infusions(mg_per_kg: float) -> Regimen:
    session = DoseAdministration(
        at_h=0.0, drug=DrugForm.RACEMIC_KETAMINE, route=Route.IV, dose=Dose(mg_per_kg=mg_per_kg), infusion_h=2 / 3
    )
    return repeat(session, [0.0, 72.0])


def relief(
    people: VirtualPatients, regimen: Regimen, *, drug: bool = True, execution: Execution | None = None
) -> Relief:
    modes = regimen_drive(regimen, people.pk) if drug else None
    table: CourseTable = course_table(
        drive_inputs(regimen) if modes else (),
        channels=modes.channels if modes else (),
        sessions_h=regimen.starts_h,
        times_h=TIMES,
    )
    return simulate_relief(
        table,
        modes=modes,
        weight_kg=people.weight_kg,
        chain=people.chain,
        readout=people.readout,
        execution=execution,
    )


def test_the_compiled_kernel_is_for_large_cohorts() -> None:
    assert Execution.for_courses(19_999) is Execution.REFERENCE
    assert Execution.for_courses(20_000) is Execution.COMPILED


def test_both_paths_agree() -> None:
    people = patients()
    reference = relief(people, infusions(0.5))
    compiled = relief(people, infusions(0.5), execution=Execution.COMPILED)
    for part in ("drug", "expectancy", "care"):
        assert np.max(np.abs(getattr(reference, part) - getattr(compiled, part))) <= 1e-12


def test_nothing_before_the_first_session() -> None:
    found = relief(patients(), infusions(0.5))
    for part in (found.drug, found.expectancy, found.care):
        assert np.all(np.abs(part[:, :2]) < 1e-100)
        assert np.all(part[:, 3] > 0)
    assert np.all(found.left[:, :2] == 1.0)


def test_no_drug_and_no_dose_are_the_same() -> None:
    people = patients()
    none, zero = relief(people, infusions(0.5), drug=False), relief(people, infusions(0.0))
    assert np.all(none.drug == 0)
    assert np.max(zero.drug) < 1e-100
    assert np.array_equal(none.expectancy, zero.expectancy)
    assert np.array_equal(none.care, zero.care)


def test_more_drug_more_relief() -> None:
    people = patients()
    low, high = relief(people, infusions(0.1)), relief(people, infusions(0.5))
    assert np.all(high.drug[:, 2:] > low.drug[:, 2:])
    assert np.array_equal(high.expectancy, low.expectancy)


@pytest.mark.parametrize("bad", [np.array([np.nan] * 7), np.array([np.inf] * 7), np.ones(6)])
def test_a_read_out_needs_one_finite_value_a_patient(bad: FloatArray) -> None:
    good: ReadOut = patients().readout
    with pytest.raises(InputError, match="care must be finite, one value a patient"):
        replace(good, care=bad)


def test_mood_and_measurement_may_differ_between_patients() -> None:
    sd = np.array([0.1, 0.3])
    each = MoodFluctuation(sd=sd, correlation_h=240.0)
    times = np.array([0.0, 48.0, 480.0])
    alone = [MoodFluctuation(sd=float(one), correlation_h=240.0) for one in sd]
    assert np.array_equal(each.variance(times), np.array([one.variance(times) for one in alone]))
    deviates = np.random.default_rng(1).standard_normal((2, 3))
    for i, one in enumerate(alone):
        assert np.array_equal(each.paths(times, deviates)[i], one.paths(times, deviates[i : i + 1])[0])

    baseline, left = np.array([30.0, 20.0]), np.array([[0.5], [0.7]])
    following, error = np.array([0.8, 0.9]), np.array([1.0, 2.0])

    def scale(rho: FloatArray | float, noise: FloatArray | float) -> ScaleLink:
        return ScaleLink(name="PHQ-9", lowest=0.0, highest=27.0, whole_numbers=True, following=rho, error_sd=noise)

    both, mood = scale(following, error), np.array([0.04])
    for i in range(2):
        mine, link = (baseline[i : i + 1], left[i : i + 1]), scale(float(following[i]), float(error[i]))
        assert both.expected(baseline, left)[i, 0] == link.expected(*mine)[0, 0]
        assert both.sd(baseline, left, mood)[i, 0] == link.sd(*mine, mood)[0, 0]
