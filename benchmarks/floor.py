"""The time that a course's exponentials, logarithms and divisions alone take: what the compiled kernel is held against.

How many there are is counted, by running the kernel's own code as plain Python with counting stand-ins (the compiler
must be off: `python -m benchmarks.floor` in a process with NUMBA_DISABLE_JIT=1). How long one takes is measured on
vectors of the kernel's width, on data that stays in the first cache.
"""

# mypy: disable-error-code="untyped-decorator"
# ruff: noqa: SLF001  the inner parts of the kernel are what is measured
from __future__ import annotations

import json
import math
import os
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import astuple, dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from benchmarks.problem import draw_people, modes, table
from numba import njit, set_num_threads

from afterglow.therapy import kernel
from afterglow.therapy.relief import readout_rows

_ROWS, _REPEATS, _ROUNDS = 64, 200, 5_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Floor:
    """Operations of one patient's course, and ns for one of each in every lane of a vector, divided by the lanes."""

    exps: int
    logs: int
    divisions: int
    exp_ns: float
    log_ns: float
    division_ns: float

    @property
    def us(self) -> float:
        """All of them, in microseconds a patient."""
        return (self.exps * self.exp_ns + self.logs * self.log_ns + self.divisions * self.division_ns) / 1000.0


class _Counting(np.ndarray[Any, Any]):
    """Lanes that count their divisions."""

    divisions = 0

    def __truediv__(self, other: Any) -> Any:
        _Counting.divisions += 1
        return super().__truediv__(other)

    def __rtruediv__(self, other: Any) -> Any:
        _Counting.divisions += 1
        return super().__rtruediv__(other)


def count() -> dict[str, int]:
    """Run one block of patients as plain Python and count."""
    calls = {"exps": 0, "logs": 0}
    plain: Any = kernel
    exp, log, load = plain._exp, plain._log, plain._load

    def counted(name: str, function: Any) -> Any:
        def call(x: Any) -> Any:
            calls[name] += 1
            before = _Counting.divisions
            result = function(x)
            _Counting.divisions = before  # those inside are part of its measured time
            return result

        return call

    plain._exp, plain._log = counted("exps", exp), counted("logs", log)
    plain._load = lambda rows, i: load(rows, i).view(_Counting)
    course(kernel.LANES)()
    return {**calls, "divisions": _Counting.divisions}


def course(n: int) -> Callable[[], Any]:
    """The kernel, ready to run for n people."""
    people = draw_people(n, seed=1)
    of_people = modes(people)
    return partial(
        kernel.simulate,
        table(),
        rates_per_h=of_people.rates_per_h,
        amplitude=of_people.amplitude,
        weight_kg=people.weight_kg,
        chain=np.array(astuple(people.chain)),
        readout=readout_rows(people.readout),
    )


def kernel_us(n: int, *, rounds: int) -> float:
    """Microseconds a patient on one core, the fastest round."""
    set_num_threads(1)
    return _fastest_s(course(n), rounds=rounds) * 1e6 / n


def measure() -> Floor:
    """Count in a process without the compiler, time in this one."""
    counted = subprocess.run(
        [sys.executable, "-m", "benchmarks.floor"],
        env={**os.environ, "NUMBA_DISABLE_JIT": "1"},
        cwd=Path(__file__).parent.parent,
        capture_output=True,
        text=True,
        check=True,
    )
    rng = np.random.default_rng(1)
    rows, out = rng.uniform(0.5, 2.0, (_ROWS, kernel.LANES)), np.empty((_ROWS, kernel.LANES))
    return Floor(
        **json.loads(counted.stdout),
        exp_ns=_ns(_exps, rows, out),
        log_ns=_ns(_logs, rows, out),
        division_ns=_ns(_divisions, rows, out),
    )


def _ns(loop: Any, rows: Any, out: Any) -> float:
    return _fastest_s(partial(loop, rows, out), rounds=_ROUNDS) * 1e9 / (_REPEATS * int(rows.size))


def _fastest_s(call: Callable[[], Any], *, rounds: int) -> float:
    """The fastest of many rounds: what the processor can do when nothing else runs; a first one compiles."""
    call()
    fastest: float = math.inf
    for _ in range(rounds):
        start = time.perf_counter()
        call()
        fastest = min(fastest, time.perf_counter() - start)
    return fastest


@njit(**kernel._COMPILE)
def _exps(rows: Any, out: Any) -> None:
    for _ in range(_REPEATS):
        for i in range(_ROWS):
            kernel._store(out, i, kernel._exp(kernel._load(rows, i)))


@njit(**kernel._COMPILE)
def _logs(rows: Any, out: Any) -> None:
    for _ in range(_REPEATS):
        for i in range(_ROWS):
            kernel._store(out, i, kernel._log(kernel._load(rows, i)))


@njit(**kernel._COMPILE)
def _divisions(rows: Any, out: Any) -> None:
    for _ in range(_REPEATS):
        for i in range(_ROWS):
            kernel._store(out, i, 1.0 / kernel._load(rows, i))


if __name__ == "__main__":
    print(json.dumps(count()))
