"""The same course by general ODE solvers, each in its best honest configuration.

The right-hand side is compiled, there is no Python in a step, only the asked times come out, and integration starts
anew where an infusion starts or ends, because a solver that steps over a jump is wrong or slow.
"""

# mypy: disable-error-code="untyped-decorator"
from __future__ import annotations

import math
from typing import Any

import numba
import numpy as np
from benchmarks.problem import INFUSION_H, STARTS_H, TIMES_H, People, readout_columns
from numba import carray  # type: ignore[attr-defined]  # exported without saying so
from numbalsoda import lsoda, lsoda_sig
from scipy.integrate import odeint, solve_ivp

from afterglow.therapy.kinetics import FloatArray


def segments() -> tuple[FloatArray, FloatArray, FloatArray]:
    """Start and end of every stretch without a jump, and whether an infusion runs (1) or not (0)."""
    marks = sorted({0.0, TIMES_H[-1], *STARTS_H, *(start + INFUSION_H for start in STARTS_H)})
    edges = np.array(marks)
    running = np.array([1.0 if start in STARTS_H else 0.0 for start in marks[:-1]])
    return edges[:-1], edges[1:], running


@numba.njit(error_model="numpy")
def slope(x: Any, p: Any, running: float, out: Any) -> None:
    c1, c2, c3 = x[0] / p[0], x[1] / p[1], x[2] / p[2]
    block = x[3] / (x[3] + p[7])
    out[0] = running * p[13] - p[3] * c1 - p[4] * (c1 - c2) - p[5] * (c1 - c3)
    out[1] = p[4] * (c1 - c2)
    out[2] = p[5] * (c1 - c3)
    out[3] = p[6] * (1000.0 * c1 - x[3])
    out[4] = p[8] * (block - x[4])
    out[5] = p[9] * x[4] - (p[10] + p[11]) * x[5]
    out[6] = p[11] * x[5] - p[12] * x[6]


@numba.cfunc(lsoda_sig)
def numbalsoda_slope(_t: Any, x: Any, out: Any, p: Any) -> None:
    given = carray(p, (15,))
    slope(carray(x, (7,)), given, given[14], carray(out, (7,)))


@numba.njit(error_model="numpy")
def relief(memory: float, readout: Any) -> Any:
    if memory <= 0.0:
        return 0.0
    return readout[2] / (1.0 + math.exp(readout[1] * (readout[0] - math.log(memory))))


@numba.njit(parallel=True, error_model="numpy")
def numbalsoda_courses(
    function: Any, rows: Any, readout: Any, segments: Any, times_h: Any, rtol: float, atol: float
) -> Any:
    starts, ends, running = segments
    drug = np.zeros((len(rows), len(times_h)))
    for i in numba.prange(len(rows)):
        data = np.empty(15)
        data[:14] = rows[i]
        x = np.zeros(7)
        time = 1  # nothing has been given at the first asked time
        for segment in range(len(starts)):
            last = time
            while last < len(times_h) and times_h[last] <= ends[segment]:
                last += 1
            asked = np.empty(last - time + 2)
            asked[0] = starts[segment]
            asked[1:-1] = times_h[time:last]
            asked[-1] = ends[segment]
            count = len(asked) - 1 if last > time and times_h[last - 1] == ends[segment] else len(asked)
            data[14] = running[segment]
            path, success = lsoda(function, x, asked[:count], data, rtol, atol, 100_000)
            if not success:
                drug[i] = np.nan
                break
            for k in range(time, last):
                drug[i, k] = relief(path[k - time + 1, 5] + path[k - time + 1, 6], readout[i])
            x = path[count - 1].copy()
            time = last
    return drug


def numbalsoda_drug(people: People, *, rtol: float) -> FloatArray:
    """LSODA of numbalsoda, called from one compiled loop over people."""
    function: Any = numbalsoda_slope.address
    drug: FloatArray = numbalsoda_courses(
        function, people.rows(), readout_columns(people.readout), segments(), TIMES_H, rtol, rtol / 100.0
    )
    return drug


@numba.njit(error_model="numpy")
def odeint_slope(x: Any, _t: float, p: Any, running: float) -> Any:
    out = np.empty(7)
    slope(x, p, running, out)
    return out


@numba.njit(error_model="numpy")
def ivp_slope(_t: float, x: Any, p: Any, running: float) -> Any:
    return odeint_slope(x, _t, p, running)


def scipy_drug(people: People, *, rtol: float, atol: float, interface: str) -> FloatArray:
    """LSODA of scipy with a compiled right-hand side, by `odeint` or by `solve_ivp`."""
    rows, readout = people.rows(), readout_columns(people.readout)
    drug = np.zeros((len(people), len(TIMES_H)))
    for i, row in enumerate(rows):
        x = np.zeros(7)
        for start, end, running in zip(*segments(), strict=True):
            asked = np.arange(*np.searchsorted(TIMES_H, [start, end], side="right"))
            times = np.unique([start, *TIMES_H[asked], end])
            if interface == "odeint":
                solve: Any = odeint  # its stubs do not know compiled functions
                path = solve(odeint_slope, x, times, args=(row, running), rtol=rtol, atol=atol, mxstep=100_000)
            else:
                path = solve_ivp(
                    ivp_slope, (start, end), x, "LSODA", times, args=(row, running), rtol=rtol, atol=atol
                ).y.T
            for k, state in zip(asked, path[1:], strict=False):
                drug[i, k] = relief(state[5] + state[6], readout[i])
            x = path[-1]
    return drug
