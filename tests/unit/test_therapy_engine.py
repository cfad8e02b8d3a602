"""The engine: both paths compute the same, whatever the batch, the order, the threads; warm-up; equal rates."""

# mypy: disable-error-code="untyped-decorator"
from __future__ import annotations

import math
import os
import subprocess
import sys
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

import numba
import numpy as np
import pytest
from numba import njit, prange
from numba.core import caching

from afterglow.errors import InputError
from afterglow.quantities import Dose, DrugForm, Rate
from afterglow.therapy import kernel, warm
from afterglow.therapy.course import course_table
from afterglow.therapy.exposure import drive_inputs, regimen_drive
from afterglow.therapy.kinetics import ExposureModes, FloatArray
from afterglow.therapy.plasticity import Plasticity, simulate_plasticity
from afterglow.therapy.population import Belief, Circumstances, VirtualPatients, draw_patients, load_population
from afterglow.therapy.regimen import DoseAdministration, InfusionStep, Regimen, Route, repeat
from afterglow.therapy.relief import Execution, readout_rows, simulate_relief
from afterglow.therapy.setting import Condition

CHANNEL = "racemic_ketamine.iv.dose"
AGREEMENT = 1e-12  # of baseline, the promise of the two paths
compiler = pytest.mark.skipif(bool(numba.config.DISABLE_JIT), reason="about the compiler, which is off")  # type: ignore[attr-defined]
DEPRESSION = load_population(Condition.DEPRESSION)
TIMES_H = np.array([0.0, 0.25, 1.0, 2.0, 24.0, 72.0, 168.0, 400.0, 1000.0])


def given(
    hours: float, drug: DrugForm, route: Route, dose: Dose | None, infusion_h: float = 0.0, steps: tuple[Any, ...] = ()
) -> DoseAdministration:
    return DoseAdministration(at_h=hours, drug=drug, route=route, dose=dose, infusion_h=infusion_h, steps=steps)


INFUSION = given(0.0, DrugForm.RACEMIC_KETAMINE, Route.IV, Dose(mg_per_kg=0.5), 2 / 3)
SPRAY = given(0.0, DrugForm.ESKETAMINE, Route.INTRANASAL, Dose(mg=84.0))
REGIMENS = {
    "weekly infusions": repeat(INFUSION, [0.0, 168.0, 336.0]),
    "sprays with seven modes": repeat(SPRAY, [0.0, 96.0, 168.0]),
    "bolus": Regimen((given(0.0, DrugForm.ESKETAMINE, Route.IV, Dose(mg=10.0)),)),
    "several rates": Regimen(
        (
            given(
                0.0,
                DrugForm.RACEMIC_KETAMINE,
                Route.IV,
                None,
                steps=(
                    InfusionStep(rate=Rate(mg_per_h=20.0), duration_h=0.5),
                    InfusionStep(rate=Rate(mg_per_kg_per_h=0.2), duration_h=2.0),
                ),
            ),
        )
    ),
    "drugs, routes and doses mixed": Regimen(
        (
            INFUSION,
            replace(SPRAY, at_h=48.0),
            given(100.0, DrugForm.RACEMIC_KETAMINE, Route.ORAL, Dose(mg_per_kg=1.0)),
            given(168.0, DrugForm.RACEMIC_KETAMINE, Route.IV, Dose(mg=50.0), 1.0),
        )
    ),
}


def patients(n: int, *, first: int = 0, seed: int = 4) -> VirtualPatients:
    return draw_patients(DEPRESSION, Circumstances(belief=Belief.KETAMINE), seed=seed, first=first, count=n)


def drug(regimen: Regimen, who: VirtualPatients, execution: Execution, times_h: FloatArray = TIMES_H) -> FloatArray:
    modes = regimen_drive(regimen, who.pk)
    table = course_table(drive_inputs(regimen), channels=modes.channels, sessions_h=regimen.starts_h, times_h=times_h)
    relief = simulate_relief(
        table, modes=modes, weight_kg=who.weight_kg, chain=who.chain, readout=who.readout, execution=execution
    )
    return np.stack([relief.drug, relief.expectancy, relief.care])


@pytest.mark.parametrize("name", REGIMENS)
def test_both_paths_agree(name: str) -> None:
    who = patients(203)
    compiled, reference = (drug(REGIMENS[name], who, execution) for execution in Execution)
    assert np.max(np.abs(compiled - reference)) < AGREEMENT
    assert np.max(compiled[0]) > 0.01


@compiler
def test_one_compiled_version_serves_every_course_and_batch() -> None:
    for regimen in REGIMENS.values():
        drug(regimen, patients(3), Execution.COMPILED)
    assert len(kernel._run.signatures) == 1


def test_threads_change_no_bit() -> None:
    who, threads = patients(300), numba.get_num_threads()
    results = []
    try:
        for n in (1, min(2, threads)):
            numba.set_num_threads(n)
            results.append(drug(REGIMENS["weekly infusions"], who, Execution.COMPILED))
    finally:
        numba.set_num_threads(threads)
    assert np.array_equal(results[0], results[1])


@pytest.mark.parametrize("execution", Execution)
def test_neither_batch_nor_place_in_it_changes_a_bit(execution: Execution) -> None:
    regimen = REGIMENS["sprays with seven modes"]
    whole = drug(regimen, patients(64), execution)
    parts = [drug(regimen, patients(n, first=first), execution) for first, n in ((0, 1), (1, 12), (13, 51))]
    assert np.array_equal(whole, np.concatenate(parts, axis=1))


@pytest.mark.parametrize("execution", Execution)
def test_order_changes_no_bit(execution: Execution) -> None:
    course = Course.random(50)
    assert np.array_equal(course.taken(slice(None, None, -1)).run(execution), course.run(execution)[::-1])


@pytest.mark.parametrize("execution", Execution)
def test_nobody_has_no_course(execution: Execution) -> None:
    assert Course.random(0).run(execution).shape == (0, len(TIMES_H))


@dataclass(frozen=True)
class Course:
    """One infusion for people given by their numbers."""

    rates_per_h: FloatArray
    amplitude: FloatArray
    chain: FloatArray

    @classmethod
    def random(cls, n: int, seed: int = 6) -> Course:
        rng = np.random.default_rng(seed)
        around = np.array([30.0, 0.3, 1.0, 0.008, 0.001, 0.001])[:, None]
        return cls(
            rates_per_h=np.array([13.0, 1.2, 0.25, 5.0]) * np.exp(0.4 * rng.standard_normal((n, 4))),
            amplitude=np.array([[1.0, 3.0, 2.0, -6.0]]) * np.exp(0.3 * rng.standard_normal((n, 1, 1))),
            chain=around * np.exp(0.5 * rng.standard_normal((6, n))),
        )

    def taken(self, part: slice) -> Course:
        return Course(self.rates_per_h[part], self.amplitude[part], self.chain[:, part])

    def run(self, execution: Execution) -> FloatArray:
        n, who = len(self.rates_per_h), patients(1)
        one = {field.name: np.repeat(getattr(who.readout, field.name), n) for field in fields(who.readout)}
        relief = simulate_relief(
            course_table(drive_inputs(Regimen((INFUSION,))), channels=(CHANNEL,), sessions_h=(0.0,), times_h=TIMES_H),
            modes=ExposureModes(rates_per_h=self.rates_per_h, channels=(CHANNEL,), amplitude=self.amplitude),
            weight_kg=np.full(n, 70.0),
            chain=Plasticity(**{field.name: row for field, row in zip(fields(Plasticity), self.chain, strict=True)}),
            readout=replace(who.readout, **one),
            execution=execution,
        )
        return relief.drug


@pytest.mark.parametrize("gap", [0.0, 1e-300, 1e-14, 1e-9, 1e-6, 1e-3, 0.1, 0.3, 1.0])
def test_equal_and_nearly_equal_chain_rates_agree_and_change_smoothly(gap: float) -> None:
    course = Course.random(24)
    leaving = course.chain[1] / 2
    chain = course.chain.copy()
    chain[3], chain[4], chain[5] = leaving * (1 + gap) * 0.9, leaving * (1 + gap) * 0.1, leaving * (1 + gap) ** 2
    chain[1] = leaving
    near = replace(course, chain=chain)
    compiled, reference = (near.run(execution) for execution in Execution)
    assert np.max(np.abs(compiled - reference)) < AGREEMENT
    chain = chain.copy()
    chain[5] *= 1 + 1e-7
    assert np.max(np.abs(replace(course, chain=chain).run(Execution.COMPILED) - compiled)) < 1e-6


def test_a_course_without_input_leaves_the_chain_at_rest() -> None:
    who = patients(5)
    modes = regimen_drive(REGIMENS["weekly infusions"], who.pk)
    table = course_table((), channels=modes.channels, sessions_h=(0.0,), times_h=TIMES_H)
    states = simulate_plasticity(
        table, rates_per_h=modes.rates_per_h, amplitude=modes.amplitude, weight_kg=who.weight_kg, chain=who.chain
    )
    assert not np.any(states.total)
    assert not np.any(states.bdnf)


def test_states_forgotten_for_years_are_fast_zeros() -> None:
    """Numbers under 1e-308 would make the kernel ten times slower; it drops them without a trace in the result."""
    times = np.array([24.0, 5000.0, 90000.0])
    compiled, reference = (drug(REGIMENS["weekly infusions"], patients(9), e, times) for e in Execution)
    assert np.max(np.abs(compiled - reference)) < AGREEMENT


@pytest.mark.parametrize("bad", [0.0, -1.0, math.nan, math.inf])
def test_chain_parameters_must_be_positive_and_finite(bad: float) -> None:
    with pytest.raises(InputError, match="bdnf_rate_per_h"):
        replace(patients(3).chain, bdnf_rate_per_h=np.array([1.0, bad, 1.0]))


def test_chain_parameters_are_one_a_patient() -> None:
    with pytest.raises(InputError, match="labile_loss_per_h"):
        replace(patients(3).chain, labile_loss_per_h=np.ones(2))


# exp and log of lanes


@njit(**kernel._COMPILE)
def _exps(rows: Any, out: Any) -> None:
    for i in range(len(rows)):
        kernel._store(out, i, kernel._exp(kernel._load(rows, i)))


@njit(**kernel._COMPILE)
def _logs(rows: Any, out: Any) -> None:
    for i in range(len(rows)):
        kernel._store(out, i, kernel._log(kernel._load(rows, i)))


def ulps(function: Any, rows: FloatArray, expected: FloatArray) -> float:
    out = np.empty_like(rows)
    function(rows, out)
    return float(np.max(np.abs(out - expected) / np.spacing(np.abs(expected))))


def test_exp_is_accurate_to_two_units_in_the_last_place() -> None:
    x = np.concatenate([np.linspace(-400.0, 700.0, 80_000), np.geomspace(1e-300, 1.0, 8_000)]).reshape(-1, kernel.LANES)
    assert ulps(_exps, x, np.exp(x)) <= 2.0


def test_log_is_accurate_to_three_units_in_the_last_place() -> None:
    x = np.concatenate([np.geomspace(1e-300, 1e300, 80_000), np.geomspace(0.5, 2.0, 80_000)])
    x = x[np.abs(np.log(x)) > 1e-3][:159_000].reshape(-1, kernel.LANES)
    assert ulps(_logs, x, np.log(x)) <= 3.0


def test_log_near_one_is_exact_to_rounding() -> None:
    near = 1.0 + np.linspace(-1e-3, 1e-3, 8_000).reshape(-1, kernel.LANES)
    out = np.empty_like(near)
    _logs(near, out)
    assert np.max(np.abs(out - np.log(near))) < 1e-18


def test_exp_is_held_between_its_limits() -> None:
    rows, out = np.array([[-1e9, -math.inf, -401.0, -400.0, 700.0, 701.0, 1e9, math.inf]]), np.empty((1, 8))
    _exps(rows, out)
    assert np.all(out[0, :4] == out[0, 3])
    assert np.all(out[0, 4:] == out[0, 4])


# Without the compiler, and where compiled code cannot be kept


def run(code: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-W", "error", "-c", code],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=True,
    )


@compiler
def test_the_kernel_is_also_plain_python(tmp_path: Path) -> None:
    course = Course.random(11)
    table = course_table(drive_inputs(Regimen((INFUSION,))), channels=(CHANNEL,), sessions_h=(0.0,), times_h=TIMES_H)
    rows = readout_rows(patients(11).readout)
    saved, result = tmp_path / "in.npz", tmp_path / "out.npy"
    np.savez(saved, rates=course.rates_per_h, amplitude=course.amplitude, chain=course.chain, rows=rows, times=TIMES_H)
    code = f"""
import numpy as np
from afterglow.therapy import kernel
from afterglow.therapy.course import course_table
from afterglow.therapy.kinetics import Input
a = np.load({str(saved)!r})
dose = Input(channel="iv", start_h=0.0, duration_h=2 / 3, amount_mg_per_kg=0.5)
table = course_table((dose,), channels=("iv",), sessions_h=(0.0,), times_h=a["times"])
result = kernel.simulate(table, rates_per_h=a["rates"], amplitude=a["amplitude"], weight_kg=np.full(11, 70.0),
                         chain=a["chain"], readout=a["rows"])
np.save({str(result)!r}, np.array(result))
"""
    run(code, NUMBA_DISABLE_JIT="1")
    compiled = kernel.simulate(
        table,
        rates_per_h=course.rates_per_h,
        amplitude=course.amplitude,
        weight_kg=np.full(11, 70.0),
        chain=course.chain,
        readout=rows,
    )
    assert np.max(np.abs(np.load(result) - np.array(compiled))) < AGREEMENT


@compiler
def test_warm_compiles_once_and_then_loads(tmp_path: Path) -> None:
    code = "import runpy; runpy.run_module('afterglow.therapy.warm', run_name='__main__')"
    first, second = (run(code, NUMBA_CACHE_DIR=str(tmp_path)).stdout for _ in range(2))
    assert first.startswith("The simulation kernel was compiled and kept in " + str(tmp_path))
    assert second.startswith("The simulation kernel is compiled and kept in " + str(tmp_path))
    assert first.count("\n") == second.count("\n") == 1


@compiler
def test_warm_says_where_the_kernel_is() -> None:
    assert "kernel" in warm.warm()


def test_warm_says_when_compiled_code_cannot_be_kept() -> None:
    assert "NUMBA_CACHE_DIR" in warm.describe(None, loaded=False)


@compiler
def test_a_kernel_that_cannot_be_kept_still_compiles(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(caching.CompileResultCacheImpl, "_locator_classes", [])
    function = kernel._kept(_sum)
    assert function(np.arange(10.0)) == 45.0
    assert function.stats.cache_path is None


def _sum(values: FloatArray) -> float:
    total = 0.0
    for i in prange(len(values)):
        total += values[i]
    return total
