"""The engine against an ODE solver on the same equations: at most 1e-6 of baseline apart, for every kind of patient."""

from __future__ import annotations

import itertools
from dataclasses import dataclass, fields
from typing import Any

import numba
import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.integrate import odeint

from afterglow.therapy.course import course_table
from afterglow.therapy.kinetics import Input, first_order, mammillary, path_modes
from afterglow.therapy.plasticity import Plasticity
from afterglow.therapy.relief import Execution, ReadOut, drug_relief, simulate_relief

FloatArray = NDArray[np.float64]
HOUR_OF_DAY = 24.0
INDUCTION_AND_MAINTENANCE = (0, 3, 7, 10, 14, 17, 21, 24, 31, 38, 45, 52, 66, 80, 94, 108, 122, 136, 150)
TOLERANCE = 1e-6  # of baseline, the promise of the engine


@dataclass(frozen=True)
class People:
    """Compartments (L, L/h), effect site (1/h) and chain of n people, drawn far wider than any population."""

    volumes: FloatArray
    flows: FloatArray
    ke0: FloatArray
    weight_kg: FloatArray
    chain: Plasticity
    readout: ReadOut

    def __len__(self) -> int:
        return len(self.ke0)


def people(n: int, seed: int, *, spread: float = 1.0) -> People:
    rng = np.random.default_rng(seed)

    def around(value: float, sd: float) -> FloatArray:
        return value * np.exp(spread * sd * rng.standard_normal(n))

    weight = around(75.0, 0.2)
    return People(
        volumes=np.array([around(v, 0.3) * weight / 70 for v in (25.0, 56.0, 157.0)]),
        flows=np.array([around(q, 0.35) * (weight / 70) ** 0.75 for q in (84.0, 161.0, 79.0)]),
        ke0=around(5.0, 0.4),
        weight_kg=weight,
        chain=Plasticity(
            half_block_ng_per_ml=around(30.0, 0.55),
            bdnf_rate_per_h=around(0.087, 0.5),
            synaptic_gain_per_h=np.ones(n),
            labile_loss_per_h=around(0.0087, 0.5),
            consolidation_per_h=around(0.00096, 0.7),
            consolidated_loss_per_h=around(0.00103, 0.5),
        ),
        readout=ReadOut(
            half_relief=around(0.5, 0.9),
            steepness=around(1.6, 0.3),
            largest_drug_relief=rng.uniform(0.05, 0.95, n),
            expectancy=rng.uniform(0.05, 0.6, n),
            lasting_expectancy=rng.uniform(0.2, 0.8, n),
            expectancy_fast_half_life_h=around(24.0, 0.3),
            expectancy_slow_half_life_h=around(240.0, 0.4),
            inflation=rng.uniform(0.0, 0.1, n),
            care=rng.uniform(-0.1, 0.3, n),
        ),
    )


def infusions(days: list[float], *, mg_per_kg: float = 0.25, duration_h: float = 2 / 3) -> tuple[Input, ...]:
    return tuple(
        Input(channel="iv", start_h=day * HOUR_OF_DAY, duration_h=duration_h, amount_mg=0.0, amount_mg_per_kg=mg_per_kg)
        for day in days
    )


def engine(who: People, inputs: tuple[Input, ...], times_h: FloatArray, execution: Execution) -> FloatArray:
    central = mammillary(
        clearance_l_per_h=who.flows[0],
        central_volume_l=who.volumes[0],
        peripherals=((who.flows[1], who.volumes[1]), (who.flows[2], who.volumes[2])),
    )
    modes = path_modes({"iv": central.then(first_order(who.ke0)).scaled(1000.0)})
    starts = sorted(given.start_h for given in inputs)
    table = course_table(inputs, channels=modes.channels, sessions_h=starts, times_h=times_h)
    relief = simulate_relief(
        table, modes=modes, weight_kg=who.weight_kg, chain=who.chain, readout=who.readout, execution=execution
    )
    return relief.drug


@numba.njit
def slope(x: FloatArray, _t: float, p: FloatArray, rate: float) -> FloatArray:
    v1, v2, v3, cl, q2, q3, ke0, half, kb, ks, ll, kc, lk = p
    c1, c2, c3 = x[0] / v1, x[1] / v2, x[2] / v3
    block = x[3] / (x[3] + half)
    out = np.empty(7)
    out[0] = rate - cl * c1 - q2 * (c1 - c2) - q3 * (c1 - c3)
    out[1] = q2 * (c1 - c2)
    out[2] = q3 * (c1 - c3)
    out[3] = ke0 * (1000.0 * c1 - x[3])
    out[4] = kb * (block - x[4])
    out[5] = ks * x[4] - (ll + kc) * x[5]
    out[6] = kc * x[5] - lk * x[6]
    return out


def twin(who: People, inputs: tuple[Input, ...], times_h: FloatArray) -> FloatArray:
    marks = sorted({t for g in inputs for t in (g.start_h, g.start_h + g.duration_h)} | set(times_h) | {0.0})
    marks = [t for t in marks if t <= times_h[-1]]
    memory = np.zeros((len(who), len(times_h)))
    chain = np.array([getattr(who.chain, field.name) for field in fields(who.chain)])
    solve: Any = odeint  # its stubs do not know compiled functions
    for i in range(len(who)):
        p = np.concatenate([who.volumes[:, i], who.flows[:, i], [who.ke0[i]], chain[:, i]])
        x = np.zeros(7)
        for start, end in itertools.pairwise(marks):
            rate = sum(
                (g.amount_mg + g.amount_mg_per_kg * who.weight_kg[i]) / g.duration_h
                for g in inputs
                if g.start_h <= start + 1e-9 and end <= g.start_h + g.duration_h + 1e-9
            )
            x = solve(slope, x, [start, end], args=(p, rate), rtol=1e-11, atol=1e-12, mxstep=100_000)[-1]
            where = np.flatnonzero(np.abs(times_h - end) < 1e-9)
            memory[i, where] = x[5] + x[6]
    return drug_relief(memory, who.readout)


def largest_difference(who: People, inputs: tuple[Input, ...], times_h: FloatArray) -> float:
    expected = twin(who, inputs, times_h)
    worst = 0.0
    for execution in Execution:
        worst = max(worst, float(np.max(np.abs(engine(who, inputs, times_h, execution) - expected))))
    return worst


def test_a_26_week_course_of_19_sessions_for_200_random_patients() -> None:
    inputs = infusions([float(day) for day in INDUCTION_AND_MAINTENANCE])
    times = np.array([2.0, 24.0, 168.0, *np.arange(336.0, 26 * 168.0 + 1, 336.0)])
    assert largest_difference(people(200, seed=1), inputs, times) < TOLERANCE


@pytest.mark.parametrize(
    ("days", "times"),
    [
        pytest.param([0.0], [2.0, 24.0, 168.0, 2000.0], id="one session"),
        pytest.param([k / 24 for k in range(5)], [1.5, 3.0, 24.0, 168.0], id="sessions one hour apart"),
        pytest.param([k * 3.5 for k in range(60)], [24.0, 2000.0, 60 * 84.0], id="60 sessions"),
    ],
)
def test_other_courses(days: list[float], times: list[float]) -> None:
    assert largest_difference(people(12, seed=2), infusions(days), np.array(times)) < TOLERANCE


@pytest.mark.parametrize("gap", [0.0, 1e-12, 1e-6, 1e-3])
def test_equal_and_nearly_equal_rates(gap: float) -> None:
    who = people(6, seed=3)
    rate = who.chain.bdnf_rate_per_h
    third = rate / 3.0
    chain = Plasticity(
        half_block_ng_per_ml=who.chain.half_block_ng_per_ml,
        bdnf_rate_per_h=rate,
        synaptic_gain_per_h=who.chain.synaptic_gain_per_h,
        labile_loss_per_h=rate * (1 + gap) - third,
        consolidation_per_h=third,
        consolidated_loss_per_h=rate * (1 - 2 * gap),
    )
    same = People(who.volumes, who.flows, who.flows[2] / who.volumes[2] * (1 + gap), who.weight_kg, chain, who.readout)
    assert largest_difference(same, infusions([0.0, 3.0]), np.array([2.0, 24.0, 168.0])) < TOLERANCE


def test_zero_dose_is_no_drug_effect() -> None:
    who = people(5, seed=4)
    for execution in Execution:
        drug = engine(who, infusions([0.0, 2.0], mg_per_kg=0.0), np.array([1.0, 24.0, 100.0]), execution)
        assert np.max(drug) < 1e-100


def test_slow_and_fast_eliminators_three_spreads_away() -> None:
    who = people(20, seed=5, spread=2.0)
    assert largest_difference(who, infusions([0.0, 7.0]), np.array([2.0, 24.0, 168.0, 336.0])) < 5 * TOLERANCE
