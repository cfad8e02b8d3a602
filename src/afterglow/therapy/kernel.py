"""The same course for large cohorts: `plasticity` and the relief read-out, compiled by numba.

Patients run in lanes of `LANES`, so that every inner loop is one vector instruction after another; exp and log are
written out because a library call would stop that. Blocks of lanes are independent, so neither threads nor batch size
nor order change a bit. The tables are those of `course`, the formulas those of `plasticity`.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from llvmlite import ir
from numba import get_num_threads, njit, prange, types
from numba.extending import intrinsic

from afterglow.therapy.course import CourseTable
from afterglow.therapy.kinetics import FloatArray

LANES = 32
_COMPILE: Any = {"cache": True, "error_model": "numpy", "fastmath": {"contract", "nsz"}}
_LOG2_E = 1.4426950408889634
_LN2_HIGH = 6.93147180369123816490e-01
_LN2_LOW = 1.90821492927058770002e-10
_ROUNDER = 6755399441055744.0  # 1.5 * 2**52: adding it rounds to a whole number held in the low bits
_LARGEST = 708.0
_SERIES_BELOW = 0.25
_TINY = 1e-300


def _as_float(_typing: Any, _bits: Any) -> Any:  # pragma: no cover - compiled
    def codegen(_context: Any, builder: Any, _signature: Any, args: Any) -> Any:
        return builder.bitcast(args[0], ir.DoubleType())

    return types.float64(types.int64), codegen


def _as_bits(_typing: Any, _value: Any) -> Any:  # pragma: no cover - compiled
    def codegen(_context: Any, builder: Any, _signature: Any, args: Any) -> Any:
        return builder.bitcast(args[0], ir.IntType(64))

    return types.int64(types.float64), codegen


_float_of_bits: Any = intrinsic(_as_float)
_bits_of_float: Any = intrinsic(_as_bits)


@njit(inline="always", **_COMPILE)
def _exp(x: Any) -> Any:  # pragma: no cover - compiled
    """exp(x) to 1 ulp, x clamped to ±708: Cody-Waite reduction and the Taylor polynomial."""
    x = min(max(x, -_LARGEST), _LARGEST)
    shifted = x * _LOG2_E + _ROUNDER
    whole = shifted - _ROUNDER
    r = (x - whole * _LN2_HIGH) - whole * _LN2_LOW
    p = 1.0 / 479001600.0
    p = p * r + 1.0 / 39916800.0
    p = p * r + 1.0 / 3628800.0
    p = p * r + 1.0 / 362880.0
    p = p * r + 1.0 / 40320.0
    p = p * r + 1.0 / 5040.0
    p = p * r + 1.0 / 720.0
    p = p * r + 1.0 / 120.0
    p = p * r + 1.0 / 24.0
    p = p * r + 1.0 / 6.0
    p = p * r + 0.5
    p = p * r + 1.0
    p = p * r + 1.0
    return p * _float_of_bits((_bits_of_float(shifted) << 52) + (1023 << 52))


@njit(inline="always", **_COMPILE)
def _log(x: Any) -> Any:  # pragma: no cover - compiled
    """log(x) of a positive normal number: atanh series on the mantissa in [sqrt(1/2), sqrt(2))."""
    bits = _bits_of_float(x)
    exponent = (bits - 0x3FE6A09E667F3BCD) >> 52
    mantissa = _float_of_bits(bits - (exponent << 52))
    s = (mantissa - 1.0) / (mantissa + 1.0)
    z = s * s
    p = 1.0 / 21.0
    p = p * z + 1.0 / 19.0
    p = p * z + 1.0 / 17.0
    p = p * z + 1.0 / 15.0
    p = p * z + 1.0 / 13.0
    p = p * z + 1.0 / 11.0
    p = p * z + 1.0 / 9.0
    p = p * z + 1.0 / 7.0
    p = p * z + 1.0 / 5.0
    p = p * z + 1.0 / 3.0
    power = _float_of_bits(exponent + 0x4338000000000000) - _ROUNDER
    return power * _LN2_HIGH + (2.0 * s * (1.0 + z * p) + power * _LN2_LOW)


@njit(inline="always", **_COMPILE)
def _two(slow: float, fast: float, fall_slow: float, fall_fast: float, span: float) -> float:  # pragma: no cover
    z = (fast - slow) * span
    near = z < _SERIES_BELOW
    x = z if near else 0.0
    series = 1.0
    series = 1.0 - x * (1.0 / 11.0) * series
    series = 1.0 - x * (1.0 / 10.0) * series
    series = 1.0 - x * (1.0 / 9.0) * series
    series = 1.0 - x * (1.0 / 8.0) * series
    series = 1.0 - x * (1.0 / 7.0) * series
    series = 1.0 - x * (1.0 / 6.0) * series
    series = 1.0 - x * (1.0 / 5.0) * series
    series = 1.0 - x * (1.0 / 4.0) * series
    series = 1.0 - x * (1.0 / 3.0) * series
    series = 1.0 - x * (1.0 / 2.0) * series
    direct = (fall_slow - fall_fast) / (1.0 if near else fast - slow)
    return span * fall_slow * series if near else direct


@njit(inline="always", **_COMPILE)
def _three(
    low: float, middle: float, high: float, fall_low: float, fall_middle: float, fall_high: float, span: float
) -> float:  # pragma: no cover - compiled
    gap = high - low
    near = gap * span < _SERIES_BELOW
    direct = (_two(low, middle, fall_low, fall_middle, span) - _two(middle, high, fall_middle, fall_high, span)) / (
        1.0 if near else gap
    )
    p = (middle - low) * span if near else 0.0
    q = gap * span if near else 0.0
    power = p
    h = q + power
    total = 0.5 - h * (1.0 / 6.0)
    power = power * p
    h = h * q + power
    total = total + h * (1.0 / 24.0)
    power = power * p
    h = h * q + power
    total = total - h * (1.0 / 120.0)
    power = power * p
    h = h * q + power
    total = total + h * (1.0 / 720.0)
    power = power * p
    h = h * q + power
    total = total - h * (1.0 / 5040.0)
    power = power * p
    h = h * q + power
    total = total + h * (1.0 / 40320.0)
    power = power * p
    h = h * q + power
    total = total - h * (1.0 / 362880.0)
    power = power * p
    h = h * q + power
    total = total + h * (1.0 / 3628800.0)
    power = power * p
    h = h * q + power
    total = total - h * (1.0 / 39916800.0)
    power = power * p
    h = h * q + power
    total = total + h * (1.0 / 479001600.0)
    return span * span * fall_low * total if near else direct


@njit(**_COMPILE)
def _first_column(chain: Any, span: float, weight: float, out: Any, i: int) -> None:  # pragma: no cover - compiled
    """What B alone becomes after `span`, times `weight`: out[i..i+2] = bb, lb, kb of each lane."""
    for lane in range(LANES):
        a = chain[1, lane]
        b = chain[3, lane] + chain[4, lane]
        c = chain[5, lane]
        fall_a, fall_b, fall_c = _exp(-a * span), _exp(-b * span), _exp(-c * span)
        slow, fast = min(a, b), max(a, b)
        fall_slow, fall_fast = max(fall_a, fall_b), min(fall_a, fall_b)
        low, high = min(slow, c), max(fast, c)
        middle = max(slow, min(fast, c))
        fall_low, fall_high = max(fall_slow, fall_c), min(fall_fast, fall_c)
        fall_middle = min(fall_slow, max(fall_fast, fall_c))
        gain = weight * chain[2, lane]
        out[i, lane] = weight * fall_a
        out[i + 1, lane] = gain * _two(slow, fast, fall_slow, fall_fast, span)
        out[i + 2, lane] = gain * chain[4, lane] * _three(low, middle, high, fall_low, fall_middle, fall_high, span)


@njit(**_COMPILE)
def _other_columns(chain: Any, span: float, out: Any, i: int) -> None:  # pragma: no cover - compiled
    """What L and K become after `span`: out[i..i+2] = ll, kl, kk of each lane."""
    for lane in range(LANES):
        b = chain[3, lane] + chain[4, lane]
        c = chain[5, lane]
        fall_b, fall_c = _exp(-b * span), _exp(-c * span)
        out[i, lane] = fall_b
        out[i + 1, lane] = chain[4, lane] * _two(min(b, c), max(b, c), max(fall_b, fall_c), min(fall_b, fall_c), span)
        out[i + 2, lane] = fall_c


@njit(**_COMPILE)
def _fade_rows(rates: Any, span: float, out: Any, i: int) -> None:  # pragma: no cover - compiled
    """exp(-rate·span) of every mode: out[i + mode]."""
    for mode in range(rates.shape[0]):
        for lane in range(LANES):
            out[i + mode, lane] = _exp(-rates[mode, lane] * span)


@njit(**_COMPILE)
def _drive_panel(
    fading: Any, total: Any, half: Any, state: Any, node_fade: Any, f: int, node_add: Any, a: int, nodes: int, site: Any
) -> None:  # pragma: no cover - compiled
    """Add to the states (B, L, K) what the receptor block of one panel contributes; modes come in fours."""
    n_modes = fading.shape[0]
    for node in range(nodes):
        at, to = f + node * n_modes, a + 3 * node
        for lane in range(LANES):
            site[0, lane] = (
                total[0, lane]
                + fading[0, lane] * node_fade[at, lane]
                + fading[1, lane] * node_fade[at + 1, lane]
                + fading[2, lane] * node_fade[at + 2, lane]
                + fading[3, lane] * node_fade[at + 3, lane]
            )
        for mode in range(4, n_modes, 4):
            for lane in range(LANES):
                site[0, lane] += (
                    fading[mode, lane] * node_fade[at + mode, lane]
                    + fading[mode + 1, lane] * node_fade[at + mode + 1, lane]
                    + fading[mode + 2, lane] * node_fade[at + mode + 2, lane]
                    + fading[mode + 3, lane] * node_fade[at + mode + 3, lane]
                )
        for lane in range(LANES):
            block = site[0, lane] / (site[0, lane] + half[0, lane])
            state[0, lane] += node_add[to, lane] * block
            state[1, lane] += node_add[to + 1, lane] * block
            state[2, lane] += node_add[to + 2, lane] * block


@njit(**_COMPILE)
def _read_out(
    state: Any, readout: Any, since: float, drug: Any, expectancy: Any, time: int
) -> None:  # pragma: no cover - compiled
    """Drug part and expectancy of each lane at one asked time."""
    for lane in range(LANES):
        memory = max(state[1, lane] + state[2, lane], _TINY)
        x = readout[1, lane] * (readout[0, lane] - _log(memory))
        drug[time, lane] = readout[2, lane] / (1.0 + _exp(x))
        fast, slow = _exp(-since * readout[5, lane]), _exp(-since * readout[6, lane])
        expectancy[time, lane] = readout[3, lane] * ((1.0 - readout[4, lane]) * fast + readout[4, lane] * slow)


@njit(parallel=True, **_COMPILE)
def _run(
    panel_length: Any,
    panel_driven: Any,
    step_panel: Any,
    step_rates: Any,
    step_bolus: Any,
    step_time: Any,
    rate_rows: Any,
    bolus_rows: Any,
    nodes: Any,
    weights: Any,
    since_session: Any,
    rates: Any,
    amplitude: Any,
    weight: Any,
    chain: Any,
    readout: Any,
    n_before: int,
    n_chunks: int,
    drug: Any,
    expectancy: Any,
) -> None:  # pragma: no cover - compiled
    n_blocks, n_modes = rates.shape[0], rates.shape[1]
    n_panels, n_nodes, n_times = len(panel_length), len(nodes), len(since_session)
    for chunk in prange(n_chunks):
        fade = np.empty((n_panels * n_modes, LANES))
        columns = np.empty((n_panels * 6, LANES))
        node_fade = np.empty((n_panels * n_nodes * n_modes, LANES))
        node_add = np.empty((n_panels * n_nodes * 3, LANES))
        steady = np.empty((rate_rows.shape[0] * n_modes, LANES))
        jump = np.empty((max(bolus_rows.shape[0], 1) * n_modes, LANES))
        modes = np.empty((n_modes, LANES))
        fading = np.empty((n_modes, LANES))
        total = np.empty((1, LANES))
        site = np.empty((1, LANES))
        state = np.empty((3, LANES))
        drug_lanes = np.empty((n_times, LANES))
        expectancy_lanes = np.empty((n_times, LANES))
        for block in range(chunk * n_blocks // n_chunks, (chunk + 1) * n_blocks // n_chunks):
            block_rates, block_chain, block_readout = rates[block], chain[block], readout[block]
            for panel in range(n_panels):
                span = panel_length[panel]
                _fade_rows(block_rates, span, fade, panel * n_modes)
                _first_column(block_chain, span, 1.0, columns, panel * 6)
                _other_columns(block_chain, span, columns, panel * 6 + 3)
                if panel_driven[panel]:
                    for node in range(n_nodes):
                        at = panel * n_nodes + node
                        _fade_rows(block_rates, span * nodes[node], node_fade, at * n_modes)
                        _first_column(block_chain, span * (1.0 - nodes[node]), weights[node] * span, node_add, at * 3)
                        for row in range(at * 3, at * 3 + 3):
                            for lane in range(LANES):
                                node_add[row, lane] *= block_chain[1, lane]
            _amounts(rate_rows, weight, amplitude, block, steady)
            for row in range(rate_rows.shape[0]):
                for mode in range(n_modes):
                    for lane in range(LANES):
                        steady[row * n_modes + mode, lane] /= block_rates[mode, lane]
            _amounts(bolus_rows, weight, amplitude, block, jump)
            modes[:] = 0.0
            state[:] = 0.0
            for time in range(n_before):
                _read_out(state, block_readout, since_session[time], drug_lanes, expectancy_lanes, time)
            for step in range(len(step_panel)):
                panel = step_panel[step]
                if step_bolus[step] >= 0:
                    at = step_bolus[step] * n_modes
                    for mode in range(n_modes):
                        for lane in range(LANES):
                            modes[mode, lane] += jump[at + mode, lane]
                at = panel * 6
                for lane in range(LANES):
                    b, labile = state[0, lane], state[1, lane]
                    state[0, lane] = columns[at, lane] * b
                    state[1, lane] = columns[at + 1, lane] * b + columns[at + 3, lane] * labile
                    state[2, lane] = (
                        columns[at + 2, lane] * b
                        + columns[at + 4, lane] * labile
                        + columns[at + 5, lane] * state[2, lane]
                    )
                s, f = step_rates[step] * n_modes, panel * n_modes
                for lane in range(LANES):
                    total[0, lane] = 0.0
                for mode in range(n_modes):
                    for lane in range(LANES):
                        limit = steady[s + mode, lane]
                        fading[mode, lane] = modes[mode, lane] - limit
                        total[0, lane] += limit
                        modes[mode, lane] = limit + fading[mode, lane] * fade[f + mode, lane]
                if panel_driven[panel]:
                    f *= n_nodes
                    at = panel * n_nodes * 3
                    _drive_panel(fading, total, block_chain, state, node_fade, f, node_add, at, n_nodes, site)
                if step_time[step] >= 0:
                    time = step_time[step]
                    _read_out(state, block_readout, since_session[time], drug_lanes, expectancy_lanes, time)
            for lane in range(LANES):
                patient = block * LANES + lane
                if patient < drug.shape[0]:
                    for time in range(n_times):
                        drug[patient, time] = drug_lanes[time, lane]
                        expectancy[patient, time] = expectancy_lanes[time, lane]


@njit(**_COMPILE)
def _amounts(rows: Any, weight: Any, amplitude: Any, block: int, out: Any) -> None:  # pragma: no cover - compiled
    """Modal amounts of every row of inputs: out[row·n_modes + mode]."""
    n_modes = amplitude.shape[2]
    for row in range(rows.shape[0]):
        for mode in range(n_modes):
            for lane in range(LANES):
                total = 0.0
                for channel in range(rows.shape[1]):
                    mg = rows[row, channel, 0] + rows[row, channel, 1] * weight[block, lane]
                    total += mg * amplitude[block, channel, mode, lane]
                out[row * n_modes + mode, lane] = total


def simulate(
    table: CourseTable,
    *,
    rates_per_h: FloatArray,
    amplitude: FloatArray,
    weight_kg: FloatArray,
    chain: FloatArray,
    readout: FloatArray,
) -> tuple[FloatArray, FloatArray]:
    """Drug part of relief and expectancy at the asked times, shape (n_patients, n_times) each.

    Args:
        table: the course.
        rates_per_h: (n_patients, n_modes).
        amplitude: (n_patients, n_channels, n_modes).
        weight_kg: (n_patients,).
        chain: (6, n_patients), the fields of `plasticity.Plasticity` in order.
        readout: (7, n_patients), the rows that `relief.readout_rows` makes.
    """
    n = len(weight_kg)
    drug, expectancy = np.empty((n, len(table.times_h))), np.empty((n, len(table.times_h)))
    if n == 0:
        return drug, expectancy
    missing = -rates_per_h.shape[1] % 4
    rates_per_h = np.pad(rates_per_h, ((0, 0), (0, missing)), constant_values=1.0)
    amplitude = np.pad(amplitude, ((0, 0), (0, 0), (0, missing)))
    in_lanes = np.minimum(np.arange(-(-n // LANES) * LANES), n - 1).reshape(-1, LANES)
    _run(
        table.panel_length_h,
        table.panel_driven,
        table.step_panel,
        table.step_rates,
        table.step_bolus,
        table.step_time,
        table.rates,
        table.boluses,
        table.nodes,
        table.weights,
        table.since_session_h,
        np.ascontiguousarray(rates_per_h[in_lanes].transpose(0, 2, 1)),
        np.ascontiguousarray(amplitude[in_lanes].transpose(0, 2, 3, 1)),
        weight_kg[in_lanes],
        np.ascontiguousarray(chain.T[in_lanes].transpose(0, 2, 1)),
        np.ascontiguousarray(readout.T[in_lanes].transpose(0, 2, 1)),
        len(table.times_h) - np.count_nonzero(table.step_time >= 0),
        min(len(in_lanes), 4 * get_num_threads()),
        drug,
        expectancy,
    )
    return drug, expectancy
