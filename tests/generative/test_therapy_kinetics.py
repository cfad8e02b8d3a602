"""Modes agree with the matrix exponential and with an adaptive solver on random systems."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.integrate import solve_ivp
from scipy.linalg import expm

from afterglow.therapy.kinetics import (
    ExposureModes,
    FloatArray,
    Input,
    concentration,
    first_order,
    mammillary,
    path_modes,
    system_modes,
)

KG = np.array([70.0])
FACTOR = st.floats(0.3, 3.0)
CLOSE = 1e-8  # of the peak, for nearly equal rates
TIMES = np.concatenate([np.linspace(0.0, 2.0, 11), [4.0, 8.0, 24.0]])


def largest_error(
    modes: ExposureModes, channel: str, system: FloatArray, entered: FloatArray, seen: FloatArray
) -> float:
    """Largest difference to the matrix exponential after a bolus of 1 mg, relative to the peak."""
    ours = concentration(modes, [Input(channel=channel, start_h=0.0, amount_mg=1.0)], TIMES, weight_kg=KG)[0]
    # Rolled, because scipy's shortcut for triangular matrices loses digits when two diagonal entries nearly agree.
    order = np.roll(np.arange(len(system)), 1)
    rolled = system[np.ix_(order, order)]
    exact = np.array([seen[order] @ expm(rolled * t) @ entered[order] for t in TIMES])
    return float(np.abs(ours - exact).max() / np.abs(exact).max())


@st.composite
def three_compartments(draw: st.DrawFn) -> tuple[float, float, float, float, float, float]:
    """CL, V1, V2, V3, Q2, Q3 around the pooled ketamine model, in L/h and L."""
    typical = (84.0, 25.0, 56.0, 157.0, 161.0, 79.0)
    cl, v1, v2, v3, q2, q3 = (value * draw(FACTOR) for value in typical)
    return cl, v1, v2, v3, q2, q3


@settings(max_examples=40, deadline=None)
@given(disposition=three_compartments(), ke0=st.floats(0.5, 20.0), ka=st.floats(0.3, 20.0), nearly=st.integers(0, 6))
def test_closed_form_equals_the_matrix_exponential(
    disposition: tuple[float, float, float, float, float, float], ke0: float, ka: float, nearly: int
) -> None:
    cl, v1, v2, v3, q2, q3 = disposition
    central = mammillary(
        clearance_l_per_h=np.array([cl]),
        central_volume_l=np.array([v1]),
        peripherals=((np.array([q2]), np.array([v2])), (np.array([q3]), np.array([v3]))),
    )
    poles = [float(pole[0]) for pole in central.poles]
    close = 1.0 + 10.0 ** -(3.0 + nearly)  # near-equal pairs: ke0 with a disposition rate, or with ka
    ke0 = poles[nearly % 3] * close if nearly < 3 else ke0
    ka = ke0 * close if nearly > 3 else ka
    if min(abs(ka / pole - 1.0) for pole in poles) < 1e-2:
        ka *= 1.1  # three equal rates have their own test
    effect, depot = first_order(np.array([ke0])), first_order(np.array([ka]))
    modes = path_modes({"iv": central.then(effect), "im": depot.then(central).then(effect)})
    system = np.array(
        [
            [-(cl + q2 + q3) / v1, q2 / v2, q3 / v3, 0.0, ka],
            [q2 / v1, -q2 / v2, 0.0, 0.0, 0.0],
            [q3 / v1, 0.0, -q3 / v3, 0.0, 0.0],
            [ke0 / v1, 0.0, 0.0, -ke0, 0.0],
            [0.0, 0.0, 0.0, 0.0, -ka],
        ]
    )
    assert largest_error(modes, "iv", system, np.eye(5)[0], np.eye(5)[3]) < CLOSE
    assert largest_error(modes, "im", system, np.eye(5)[4], np.eye(5)[3]) < CLOSE
    general = system_modes(system[None], channels={"iv": np.eye(5)[0], "im": np.eye(5)[4]}, observed=np.eye(5)[3])
    assert largest_error(general, "iv", system, np.eye(5)[0], np.eye(5)[3]) < CLOSE
    assert largest_error(general, "im", system, np.eye(5)[4], np.eye(5)[3]) < CLOSE


@settings(max_examples=40, deadline=None)
@given(disposition=three_compartments(), ke0=st.floats(2.0, 20.0))
def test_distinct_rates_are_exact_to_rounding(
    disposition: tuple[float, float, float, float, float, float], ke0: float
) -> None:
    cl, v1, v2, v3, q2, q3 = disposition
    central = mammillary(
        clearance_l_per_h=np.array([cl]),
        central_volume_l=np.array([v1]),
        peripherals=((np.array([q2]), np.array([v2])), (np.array([q3]), np.array([v3]))),
    )
    if min(abs(ke0 / float(pole[0]) - 1.0) for pole in central.poles) < 1e-2:
        ke0 *= 1.5
    system = np.array(
        [
            [-(cl + q2 + q3) / v1, q2 / v2, q3 / v3, 0.0],
            [q2 / v1, -q2 / v2, 0.0, 0.0],
            [q3 / v1, 0.0, -q3 / v3, 0.0],
            [ke0 / v1, 0.0, 0.0, -ke0],
        ]
    )
    modes = path_modes({"iv": central.then(first_order(np.array([ke0])))})
    assert largest_error(modes, "iv", system, np.eye(4)[0], np.eye(4)[3]) < 1e-11


@settings(max_examples=25, deadline=None)
@given(rate=st.floats(0.2, 10.0), first=st.floats(-3e-4, 3e-4), second=st.floats(-3e-4, 3e-4))
def test_three_nearly_equal_rates_stay_within_a_millionth_of_the_peak(rate: float, first: float, second: float) -> None:
    rates = rate * np.array([1.0, 1.0 + first, 1.0 + second])
    path = first_order(rates[:1]).then(first_order(rates[1:2])).then(first_order(rates[2:]))
    system = np.diag(-rates) + np.diag(rates[:2], -1)
    scaled = path_modes({"in": path.scaled(1.0 / rates[2])})  # the amount in the last compartment
    assert largest_error(scaled, "in", system, np.eye(3)[0], np.eye(3)[2]) < 1e-6


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), equal=st.booleans())
def test_a_tree_of_exchange_with_transit_and_metabolite_equals_the_matrix_exponential(
    *, seed: int, equal: bool
) -> None:
    rng = np.random.default_rng(seed)
    k = rng.uniform(0.3, 6.0, 12)
    size = 8  # 0, 1: transits; 2: liver; 3: central; 4, 5: peripheral; 6, 7: metabolite
    flows = {
        (1, 0): k[0],
        (2, 1): k[0] * (1.0 if equal else 1.37),
        (3, 2): k[1],
        (2, 3): k[2],
        (4, 3): k[3],
        (3, 4): k[4],
        (5, 4): k[5],
    }
    flows |= {(4, 5): k[6], (6, 2): k[7], (7, 6): k[8], (6, 7): k[9]}
    system = np.zeros((size, size))
    for (to, out_of), rate in flows.items():
        system[to, out_of] += rate
        system[out_of, out_of] -= rate
    system[2, 2] -= k[10]
    system[6, 6] -= k[11]
    for seen in (3, 6):
        modes = system_modes(system[None], channels={"in": np.eye(size)[0]}, observed=np.eye(size)[seen])
        assert largest_error(modes, "in", system, np.eye(size)[0], np.eye(size)[seen]) < (2e-7 if equal else 1e-9)


@settings(max_examples=15, deadline=None)
@given(
    rates=st.lists(st.floats(0.1, 8.0), min_size=2, max_size=2),
    inputs=st.lists(st.tuples(st.floats(0.0, 5.0), st.floats(0.0, 3.0), st.floats(0.0, 50.0)), min_size=1, max_size=4),
)
def test_overlapping_infusions_equal_an_adaptive_solver(
    rates: list[float], inputs: list[tuple[float, float, float]]
) -> None:
    k, ke0 = rates
    modes = path_modes({"iv": first_order(np.array([k])).then(first_order(np.array([ke0]))).scaled(1.0 / k)})
    given_inputs = [Input(channel="iv", start_h=s, duration_h=d + 0.05, amount_mg=a) for s, d, a in inputs]
    times = np.linspace(0.0, 12.0, 49)
    ours = concentration(modes, given_inputs, times, weight_kg=KG)[0]
    state, now, exact = np.zeros(2), 0.0, np.zeros(len(times))
    edges = sorted({e for i in given_inputs for e in (i.start_h, i.start_h + i.duration_h)} | {0.0, 12.0, *times})
    for until in edges[1:]:
        middle = 0.5 * (now + until)
        running = sum(i.amount_mg / i.duration_h for i in given_inputs if i.start_h < middle < i.start_h + i.duration_h)

        def flow(_: float, x: FloatArray, running: float = running) -> list[float]:
            return [running - k * x[0], ke0 * (x[0] - x[1])]

        solved = solve_ivp(flow, (now, until), state, method="DOP853", rtol=1e-11, atol=1e-13)
        state, now = solved.y[:, -1], until
        exact[times == until] = state[1]
    assert np.abs(ours - exact).max() <= 1e-8 * max(exact.max(), 1e-6)
