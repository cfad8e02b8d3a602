"""The same course for large cohorts: `plasticity` and the relief read-out, compiled by numba.

Eight patients run side by side in `lanes`, a vector the processor handles at once; exp and log are written out because
a library call would take the lanes apart. A patient's lane never meets another's, so neither threads nor batch size
nor order change a bit. The tables are those of `course`, the formulas those of `plasticity`.

Each operation on lanes is written twice: as numpy on an array of eight, which is what it means, and as the LLVM
instructions that do it. With the compiler off (NUMBA_DISABLE_JIT=1) the kernel therefore runs as plain Python.
"""

from __future__ import annotations

import inspect
import itertools
import math
import operator
from typing import Any

import numpy as np
from llvmlite import ir
from numba import get_num_threads, njit, prange, types
from numba.extending import lower_builtin, models, register_model, type_callable

from afterglow.therapy.course import CourseTable
from afterglow.therapy.kinetics import FloatArray

LANES = 8
_COMPILE: Any = {"error_model": "numpy", "fastmath": {"contract", "nsz"}}
_INLINE: Any = {**_COMPILE, "forceinline": True}
_LOG2_E = 1.4426950408889634
_LN2_HIGH = 6.93147180369123816490e-01
_LN2_LOW = 1.90821492927058770002e-10
_ROUNDER = 6755399441055744.0  # 1.5 * 2**52: adding it rounds to a whole number held in the low bits
_ROUNDER_BITS = 0x4338000000000000
_ONE_BITS = 1023 << 52
_SQRT_HALF_BITS = 0x3FE6A09E667F3BCD
# Numbers under 1e-308 are slow: a mode under _NOTHING is nothing, and no factor is under exp(_SMALLEST).
_SMALLEST, _LARGEST = -400.0, 700.0
_NOTHING = 1e-100
_TAYLOR = tuple(1.0 / math.factorial(n) for n in range(12, -1, -1))
_SERIES_BELOW = 0.25
_TINY = 1e-300
_HALF_BLOCK, _BDNF, _GAIN, _LABILE, _CONSOLIDATION, _CONSOLIDATED = range(6)  # the fields of plasticity.Plasticity

# Lanes: the type, and its operations, each as numpy (what it means) and as LLVM instructions (how it is done).


class _Lanes(types.Type):
    pass


_LANES = _Lanes(name=f"lanes({LANES})")
_VECTOR = ir.VectorType(ir.DoubleType(), LANES)
_BITS = ir.VectorType(ir.IntType(64), LANES)


@register_model(_Lanes)
class _LanesModel(models.PrimitiveModel):
    def __init__(self, manager: Any, kind: Any) -> None:
        super().__init__(manager, kind, _VECTOR)  # type: ignore[no-untyped-call]  # numba says no types here


def _compiled(meaning: Any, emit: Any) -> None:
    """Tell the compiler how to do an operation on lanes; a number among its arguments fills every lane first."""
    arguments = inspect.signature(meaning)

    @type_callable(meaning)
    def _(_context: Any) -> Any:
        def kind(*kinds: Any) -> Any:
            return _LANES if _LANES in kinds or meaning is _filled else None

        kind.pysig = arguments  # type: ignore[attr-defined]  # where numba looks for the names of the arguments
        return kind

    def code(_context: Any, build: Any, signature: Any, values: Any) -> Any:
        given = zip(signature.args, values, strict=True)
        return emit(build, *(value if isinstance(kind, _Lanes) else _spread(build, value) for kind, value in given))

    for kinds in itertools.product((_Lanes, types.Float), repeat=len(arguments.parameters)):
        if _Lanes in kinds or meaning is _filled:
            lower_builtin(meaning, *kinds)(code)  # type: ignore[no-untyped-call]


def _spread(build: Any, number: Any) -> Any:
    one = build.insert_element(ir.Constant(_VECTOR, ir.Undefined), number, ir.Constant(ir.IntType(32), 0))
    return build.shuffle_vector(one, one, ir.Constant(ir.VectorType(ir.IntType(32), LANES), [0] * LANES))


def _whole(number: int) -> Any:
    return ir.Constant(_BITS, [number] * LANES)


def _filled(number: float) -> Any:
    """A number in every lane."""
    return np.full(LANES, number)


def _least(a: Any, b: Any) -> Any:
    return np.minimum(a, b)


def _most(a: Any, b: Any) -> Any:
    return np.maximum(a, b)


def _where_less(x: Any, limit: Any, a: Any, b: Any) -> Any:
    return np.where(x < limit, a, b)


_compiled(_filled, lambda _, x: x)
_compiled(operator.add, lambda build, a, b: build.fadd(a, b))
_compiled(operator.sub, lambda build, a, b: build.fsub(a, b))
_compiled(operator.mul, lambda build, a, b: build.fmul(a, b))
_compiled(operator.truediv, lambda build, a, b: build.fdiv(a, b))
_compiled(_least, lambda build, a, b: build.select(build.fcmp_ordered("<", a, b), a, b))
_compiled(_most, lambda build, a, b: build.select(build.fcmp_ordered(">", a, b), a, b))
_compiled(_where_less, lambda build, x, y, a, b: build.select(build.fcmp_ordered("<", x, y), a, b))


def _scaled(x: Any, shifted: Any) -> Any:
    """x·2**k, where k are the low bits of `shifted`."""
    return x * ((shifted.view(np.int64) << 52) + _ONE_BITS).view(np.float64)


def _emit_scaled(build: Any, x: Any, shifted: Any) -> Any:
    power = build.add(build.shl(build.bitcast(shifted, _BITS), _whole(52)), _whole(_ONE_BITS))
    return build.fmul(x, build.bitcast(power, _VECTOR))


def _exponent(x: Any) -> Any:
    """Whole number k of x = m·2**k with m in [sqrt(1/2), sqrt(2)); `_ROUNDER` makes it a float."""
    return (((x.view(np.int64) - _SQRT_HALF_BITS) >> 52) + _ROUNDER_BITS).view(np.float64) - _ROUNDER


def _emit_exponent(build: Any, x: Any) -> Any:
    k = build.ashr(build.sub(build.bitcast(x, _BITS), _whole(_SQRT_HALF_BITS)), _whole(52))
    shifted = build.bitcast(build.add(k, _whole(_ROUNDER_BITS)), _VECTOR)
    return build.fsub(shifted, ir.Constant(_VECTOR, [_ROUNDER] * LANES))


def _mantissa(x: Any) -> Any:
    """The m of x = m·2**k with m in [sqrt(1/2), sqrt(2))."""
    bits = x.view(np.int64)
    return (bits - ((bits - _SQRT_HALF_BITS) >> 52 << 52)).view(np.float64)


def _emit_mantissa(build: Any, x: Any) -> Any:
    bits = build.bitcast(x, _BITS)
    power = build.shl(build.ashr(build.sub(bits, _whole(_SQRT_HALF_BITS)), _whole(52)), _whole(52))
    return build.bitcast(build.sub(bits, power), _VECTOR)


_compiled(_scaled, _emit_scaled)
_compiled(_exponent, _emit_exponent)
_compiled(_mantissa, _emit_mantissa)


def _load(rows: Any, i: int) -> Any:
    """Row i of an array of shape (n_rows, LANES) as lanes."""
    return rows[i].copy()


def _store(rows: Any, i: int, lanes: Any) -> None:
    """Lanes into row i of an array of shape (n_rows, LANES)."""
    rows[i] = lanes


@type_callable(_load)
def _(_context: Any) -> Any:
    return lambda _rows, _i: _LANES


@type_callable(_store)
def _(_context: Any) -> Any:
    return lambda _rows, _i, _lanes: types.void


def _address(context: Any, build: Any, signature: Any, values: Any) -> Any:
    data = context.make_array(signature.args[0])(context, build, values[0]).data
    first = build.mul(values[1], ir.Constant(values[1].type, LANES))
    return build.bitcast(build.gep(data, [first]), _VECTOR.as_pointer())


@lower_builtin(_load, types.Array, types.Integer)  # type: ignore[no-untyped-call]
def _(context: Any, build: Any, signature: Any, values: Any) -> Any:
    return build.load(_address(context, build, signature, values), align=8)


@lower_builtin(_store, types.Array, types.Integer, _Lanes)  # type: ignore[no-untyped-call]
def _(context: Any, build: Any, signature: Any, values: Any) -> Any:
    build.store(values[2], _address(context, build, signature, values), align=8)
    return context.get_dummy_value()


# Mathematics on lanes.


@njit(**_INLINE)
def _exp(x: Any) -> Any:
    """exp(x), x held in [_SMALLEST, _LARGEST], to 2 units in the last place: reduction by Cody and Waite, Taylor."""
    x = _least(_most(x, _SMALLEST), _LARGEST)
    shifted = x * _LOG2_E + _ROUNDER
    whole = shifted - _ROUNDER
    r = (x - whole * _LN2_HIGH) - whole * _LN2_LOW
    p = r * _TAYLOR[0] + _TAYLOR[1]
    for n in range(2, 13):
        p = p * r + _TAYLOR[n]
    return _scaled(p, shifted)


@njit(**_INLINE)
def _log(x: Any) -> Any:
    """log(x) of positive normal numbers to 3 units in the last place: atanh series on the mantissa."""
    mantissa, power = _mantissa(x), _exponent(x)
    s = (mantissa - 1.0) / (mantissa + 1.0)
    z = s * s
    p = z * (1.0 / 21.0) + 1.0 / 19.0
    for odd in (17.0, 15.0, 13.0, 11.0, 9.0, 7.0, 5.0, 3.0):
        p = p * z + 1.0 / odd
    return power * _LN2_HIGH + (s * 2.0 * (z * p + 1.0) + power * _LN2_LOW)


@njit(**_INLINE)
def _two(slow: Any, fast: Any, fall_slow: Any, fall_fast: Any, span: float) -> Any:
    """`plasticity._two` of ordered rates, its series by Horner's rule."""
    gap = fast - slow
    z = gap * span
    x = _least(z, _SERIES_BELOW)
    p = _TAYLOR[2] - x * _TAYLOR[1]
    for n in range(3, 12):
        p = _TAYLOR[n] - p * x
    direct = (fall_slow - fall_fast) / _most(gap, _TINY)
    return _where_less(z, _SERIES_BELOW, fall_slow * p * span, direct)


@njit(**_INLINE)
def _three(low: Any, middle: Any, high: Any, fall_low: Any, fall_middle: Any, fall_high: Any, span: float) -> Any:
    """`plasticity._three` of ordered rates; h and power run through the homogeneous polynomials."""
    gap = high - low
    z = gap * span
    q = _least(z, _SERIES_BELOW)
    p = _least((middle - low) * span, _SERIES_BELOW)
    power = p
    h = q + power
    total = 0.5 - h * _TAYLOR[9]
    for n in range(8, 0, -2):
        power = power * p
        h = h * q + power
        total = total + h * _TAYLOR[n]
        power = power * p
        h = h * q + power
        total = total - h * _TAYLOR[n - 1]
    power = power * p
    h = h * q + power
    total = total + h * _TAYLOR[0]
    before = _two(low, middle, fall_low, fall_middle, span)
    after = _two(middle, high, fall_middle, fall_high, span)
    return _where_less(z, _SERIES_BELOW, fall_low * total * (span * span), (before - after) / _most(gap, _TINY))


# A course of eight patients; all arrays but the tables of the course have the shape (n_rows, LANES).


@njit(**_INLINE)
def _first_column(chain: Any, span: float) -> Any:
    """What B alone becomes after `span`: bb, lb, kb of `plasticity._propagator`."""
    a, b, c = _load(chain, _BDNF), _load(chain, _LABILE) + _load(chain, _CONSOLIDATION), _load(chain, _CONSOLIDATED)
    fall_a, fall_b, fall_c = _exp(a * -span), _exp(b * -span), _exp(c * -span)
    slow, fast = _least(a, b), _most(a, b)
    fall_slow, fall_fast = _most(fall_a, fall_b), _least(fall_a, fall_b)
    low, middle, high = _least(slow, c), _most(slow, _least(fast, c)), _most(fast, c)
    fall_low, fall_high = _most(fall_slow, fall_c), _least(fall_fast, fall_c)
    fall_middle = _least(fall_slow, _most(fall_fast, fall_c))
    gain = _load(chain, _GAIN)
    labile = gain * _two(slow, fast, fall_slow, fall_fast, span)
    consolidated = _three(low, middle, high, fall_low, fall_middle, fall_high, span)
    return fall_a, labile, gain * _load(chain, _CONSOLIDATION) * consolidated


@njit(**_INLINE)
def _fade(rates: Any, span: float, out: Any, at: int) -> None:
    """exp(-rate·span) of every mode, from row `at` on."""
    for mode in range(rates.shape[0]):
        _store(out, at + mode, _exp(_load(rates, mode) * -span))


@njit(**_COMPILE)
def _tabulate_panels(lengths_h: Any, rates: Any, chain: Any, out: Any) -> None:
    """For each panel the rows: fading of the modes, then bb, lb, ll, kb, kl, kk of the chain's propagator."""
    n_modes = rates.shape[0]
    for panel in range(len(lengths_h)):
        span, at = lengths_h[panel], panel * (n_modes + 6)
        _fade(rates, span, out, at)
        bb, lb, kb = _first_column(chain, span)
        b, c = _load(chain, _LABILE) + _load(chain, _CONSOLIDATION), _load(chain, _CONSOLIDATED)
        fall_b, fall_c = _exp(b * -span), _exp(c * -span)
        bc = _two(_least(b, c), _most(b, c), _most(fall_b, fall_c), _least(fall_b, fall_c), span)
        at += n_modes
        _store(out, at, bb)
        _store(out, at + 1, lb)
        _store(out, at + 2, fall_b)
        _store(out, at + 3, kb)
        _store(out, at + 4, _load(chain, _CONSOLIDATION) * bc)
        _store(out, at + 5, fall_c)


@njit(**_COMPILE)
def _tabulate_nodes(
    lengths_h: Any, panel_node: Any, node_h: Any, node_weight_h: Any, rates: Any, chain: Any, out: Any
) -> None:
    """For each node the rows: fading of the modes until it, then what the block there adds to B, L and K."""
    n_modes = rates.shape[0]
    for panel in range(len(lengths_h)):
        for node in range(panel_node[panel], panel_node[panel + 1]):
            at = node * (n_modes + 3)
            _fade(rates, node_h[node], out, at)
            bb, lb, kb = _first_column(chain, lengths_h[panel] - node_h[node])
            scale = _load(chain, _BDNF) * node_weight_h[node]
            at += n_modes
            _store(out, at, scale * bb)
            _store(out, at + 1, scale * lb)
            _store(out, at + 2, scale * kb)


@njit(**_COMPILE)
def _tabulate_inputs(rows: Any, weight: Any, amplitude: Any, out: Any) -> None:
    """Amount in every mode for every row of inputs; amplitude has the rows channel·n_modes + mode."""
    n_modes = amplitude.shape[0] // rows.shape[1]
    for row in range(rows.shape[0]):
        for mode in range(n_modes):
            total = _filled(0.0)
            for channel in range(rows.shape[1]):
                mg = _load(weight, 0) * rows[row, channel, 1] + rows[row, channel, 0]
                total = total + mg * _load(amplitude, channel * n_modes + mode)
            _store(out, row * n_modes + mode, total)


@njit(**_COMPILE)
def _walk(
    step_panel: Any,
    step_rates: Any,
    step_bolus: Any,
    step_time: Any,
    panel_node: Any,
    panels: Any,
    nodes: Any,
    steady: Any,
    jumps: Any,
    chain: Any,
    modes: Any,
    fading: Any,
    memory: Any,
) -> None:
    """Walk the steps of a course; `modes` and `fading` are room to work in, `memory` gets L + K at the asked times."""
    n_modes = modes.shape[0]
    half = _load(chain, _HALF_BLOCK)
    b, labile, k = _filled(0.0), _filled(0.0), _filled(0.0)
    for mode in range(n_modes):
        _store(modes, mode, b)
    for step in range(len(step_panel)):
        panel = step_panel[step]
        if step_bolus[step] >= 0:
            for mode in range(n_modes):
                _store(modes, mode, _load(modes, mode) + _load(jumps, step_bolus[step] * n_modes + mode))
        at = panel * (n_modes + 6)
        total = _filled(0.0)
        for mode in range(n_modes):
            limit = _load(steady, step_rates[step] * n_modes + mode)
            gap = _load(modes, mode) - limit
            total = total + limit
            _store(fading, mode, gap)
            after = limit + gap * _load(panels, at + mode)
            _store(modes, mode, _where_less(_most(after, 0.0 - after), _NOTHING, 0.0, after))
        at += n_modes
        k = _load(panels, at + 3) * b + _load(panels, at + 4) * labile + _load(panels, at + 5) * k
        labile = _load(panels, at + 1) * b + _load(panels, at + 2) * labile
        b = _load(panels, at) * b
        for node in range(panel_node[panel], panel_node[panel + 1]):
            at = node * (n_modes + 3)
            site = total
            for mode in range(n_modes):
                site = site + _load(fading, mode) * _load(nodes, at + mode)
            at += n_modes
            block = site / (site + half)
            b = b + _load(nodes, at) * block
            labile = labile + _load(nodes, at + 1) * block
            k = k + _load(nodes, at + 2) * block
        if step_time[step] >= 0:
            _store(memory, step_time[step], labile + k)


@njit(**_COMPILE)
def _relieve(memory: Any, readout: Any, out: Any) -> None:
    """`relief.drug_relief` at each asked time."""
    log_half, steepness, largest = _load(readout, 0), _load(readout, 1), _load(readout, 2)
    for time in range(memory.shape[0]):
        log_ratio = log_half - _log(_most(_load(memory, time), _TINY))
        _store(out, time, largest / (_exp(steepness * log_ratio) + 1.0))


@njit(**_COMPILE)
def _expect(since_h: Any, readout: Any, out: Any) -> None:
    """`relief._expectancy` for each distinct time since a session."""
    for i in range(len(since_h)):
        fast, slow = _exp(_load(readout, 5) * -since_h[i]), _exp(_load(readout, 6) * -since_h[i])
        lasting = _load(readout, 4)
        _store(out, i, _load(readout, 3) * ((1.0 - lasting) * fast + lasting * slow))


@njit(**_COMPILE)
def _gather(source: Any, first: int, out: Any) -> None:
    """Columns `first`... of an array (n_rows, n_patients) as lanes; beyond the end the last patient again."""
    for row in range(source.shape[0]):
        for lane in range(LANES):
            out[row, lane] = source[row, min(first + lane, source.shape[1] - 1)]


def _kept(function: Any) -> Any:
    """Compiled once for all processes; without a directory for compiled code, by each process for itself."""
    try:
        return njit(parallel=True, cache=True, **_COMPILE)(function)
    except RuntimeError:  # how numba says that it may write nowhere
        return njit(parallel=True, **_COMPILE)(function)


@_kept
def _run(
    panel_length_h: Any,
    panel_node: Any,
    node_h: Any,
    node_weight_h: Any,
    step_panel: Any,
    step_rates: Any,
    step_bolus: Any,
    step_time: Any,
    rate_rows: Any,
    bolus_rows: Any,
    since_h: Any,
    time_since: Any,
    rates: Any,
    amplitude: Any,
    weight: Any,
    chain: Any,
    readout: Any,
    n_chunks: int,
    drug: Any,
    expectancy: Any,
) -> None:
    """All patients, a block of lanes after the other; chunks of blocks run on threads, each with its own room."""
    n_blocks, n_modes = -(-weight.shape[1] // LANES), rates.shape[0]
    n_patients, n_times = drug.shape
    for chunk in prange(n_chunks):
        of_weight = np.empty((1, LANES))
        of_chain = np.empty((chain.shape[0], LANES))
        of_readout = np.empty((readout.shape[0], LANES))
        of_rates = np.empty((n_modes, LANES))
        of_amplitude = np.empty((amplitude.shape[0], LANES))
        panels = np.empty((len(panel_length_h) * (n_modes + 6), LANES))
        nodes = np.empty((len(node_h) * (n_modes + 3), LANES))
        steady = np.empty((rate_rows.shape[0] * n_modes, LANES))
        jumps = np.empty((bolus_rows.shape[0] * n_modes, LANES))
        modes = np.empty((n_modes, LANES))
        fading = np.empty((n_modes, LANES))
        memory = np.zeros((n_times, LANES))  # and so it stays before the first input
        drug_lanes = np.empty((n_times, LANES))
        expectancy_lanes = np.empty((len(since_h), LANES))
        for block in range(chunk * n_blocks // n_chunks, (chunk + 1) * n_blocks // n_chunks):
            first = block * LANES
            _gather(weight, first, of_weight)
            _gather(chain, first, of_chain)
            _gather(readout, first, of_readout)
            _gather(rates, first, of_rates)
            _gather(amplitude, first, of_amplitude)
            _tabulate_panels(panel_length_h, of_rates, of_chain, panels)
            _tabulate_nodes(panel_length_h, panel_node, node_h, node_weight_h, of_rates, of_chain, nodes)
            _tabulate_inputs(rate_rows, of_weight, of_amplitude, steady)
            for row in range(len(steady)):
                _store(steady, row, _load(steady, row) / _load(of_rates, row % n_modes))
            _tabulate_inputs(bolus_rows, of_weight, of_amplitude, jumps)
            _walk(
                step_panel,
                step_rates,
                step_bolus,
                step_time,
                panel_node,
                panels,
                nodes,
                steady,
                jumps,
                of_chain,
                modes,
                fading,
                memory,
            )
            _relieve(memory, of_readout, drug_lanes)
            _expect(since_h, of_readout, expectancy_lanes)
            for lane in range(min(LANES, n_patients - first)):
                for time in range(n_times):
                    drug[first + lane, time] = drug_lanes[time, lane]
                    expectancy[first + lane, time] = expectancy_lanes[time_since[time], lane]


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
    since_h, time_since = np.unique(table.since_session_h, return_inverse=True)
    _run(
        table.panel_length_h,
        table.panel_node,
        table.node_h,
        table.node_weight_h,
        table.step_panel,
        table.step_rates,
        table.step_bolus,
        table.step_time,
        table.rates,
        table.boluses,
        since_h,
        time_since,
        # Copies, so that every caller's arrays have the one type the kernel is compiled for.
        np.array(rates_per_h.T, order="C"),
        np.array(amplitude.reshape(n, -1).T, order="C"),
        np.array(weight_kg[None, :], order="C"),
        np.array(chain, order="C"),
        np.array(readout, order="C"),
        min(-(-n // LANES), 4 * get_num_threads()),
        drug,
        expectancy,
    )
    return drug, expectancy


def compiled_code() -> tuple[str | None, bool]:
    """Directory that keeps the compiled kernel, None if none can be written; and whether it was loaded from there."""
    statistics = _run.stats
    return statistics.cache_path, bool(statistics.cache_hits)
