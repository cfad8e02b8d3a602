"""Speed and error of each engine on the benchmark problem, in interleaved rounds; cold starts and memory."""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import astuple, dataclass, field
from functools import partial
from pathlib import Path

import numba
import numpy as np
from benchmarks.peers import numbalsoda_drug, scipy_drug
from benchmarks.problem import FINE, People, draw_people, modes, table

from afterglow.therapy import kernel
from afterglow.therapy.course import DEFAULT_QUADRATURE, Quadrature
from afterglow.therapy.kinetics import FloatArray
from afterglow.therapy.plasticity import simulate_plasticity
from afterglow.therapy.relief import Execution, drug_relief, readout_rows, simulate_relief

SEED = 1
CHUNK = 4_096  # people held at once, as cohorts are streamed: their results stay in the caches of one core
ROOT = Path(__file__).parent.parent


@dataclass(frozen=True, slots=True, kw_only=True)
class Contender:
    """One engine in one setting: what it runs, on how many people, on how many cores."""

    name: str
    run: Callable[[People], FloatArray]
    people: int
    cores: int = 1


@dataclass(slots=True, kw_only=True)
class Result:
    """Courses a second in each round, and the error of each person (largest over the asked times)."""

    contender: Contender
    rates: list[float] = field(default_factory=list)
    errors: FloatArray

    @property
    def median(self) -> float:
        """Courses a second."""
        return statistics.median(self.rates)


@dataclass(frozen=True, slots=True, kw_only=True)
class Memory:
    """What it takes to stream a cohort with weekly outputs."""

    patients: int
    peak_mib: float
    seconds: float


def kernel_drug(people: People, quadrature: Quadrature = DEFAULT_QUADRATURE) -> FloatArray:
    """From compartments to relief, compiled."""
    of_people = modes(people)
    drug, _ = kernel.simulate(
        table(quadrature),
        rates_per_h=of_people.rates_per_h,
        amplitude=of_people.amplitude,
        weight_kg=people.weight_kg,
        chain=np.array(astuple(people.chain)),
        readout=readout_rows(people.readout),
    )
    return drug


def whole_relief(people: People) -> FloatArray:
    """What a cohort calls: drug, expectancy and care."""
    relief = simulate_relief(
        table(),
        modes=modes(people),
        weight_kg=people.weight_kg,
        chain=people.chain,
        readout=people.readout,
        execution=Execution.COMPILED,
    )
    return relief.drug


def reference_drug(people: People) -> FloatArray:
    """From compartments to relief, in plain numpy."""
    of_people = modes(people)
    states = simulate_plasticity(
        table(),
        rates_per_h=of_people.rates_per_h,
        amplitude=of_people.amplitude,
        weight_kg=people.weight_kg,
        chain=people.chain,
    )
    return drug_relief(states.total, people.readout)


def reference_on_threads(people: People, cores: int) -> FloatArray:
    """The same, people shared among threads."""
    edges = np.linspace(0, len(people), cores + 1).astype(int)
    with ThreadPoolExecutor(cores) as pool:
        return np.concatenate(list(pool.map(lambda a, b: reference_drug(people[a:b]), edges[:-1], edges[1:])))


def raced_people(*, quick: bool) -> int:
    """How many people the general solvers get; their tolerance is chosen on the same ones."""
    return 32 if quick else 512


def contenders(*, quick: bool, rtols: dict[float, float]) -> list[Contender]:
    """Who runs, on how many people; `rtols` are the peers' tolerances by the error they reach."""
    cores = [1, 2] if numba.get_num_threads() > 1 else [1]
    less = 4 if quick else 1
    ours = [Contender(name="Afterglow, compiled", run=kernel_drug, people=32_768 // less, cores=n) for n in cores]
    whole = [
        Contender(
            name="Afterglow, compiled, with expectancy and care", run=whole_relief, people=16_384 // less, cores=n
        )
        for n in cores
    ]
    numpy = [
        Contender(name="Afterglow, numpy", run=partial(reference_on_threads, cores=n), people=4_096 // less, cores=n)
        for n in cores
    ]
    peers = [
        Contender(
            name=f"numbalsoda LSODA, rtol {rtol:.0e}",
            run=partial(numbalsoda_drug, rtol=rtol),
            people=raced_people(quick=quick),
            cores=n,
        )
        for rtol in rtols.values()
        for n in cores
    ]
    slow = [
        Contender(
            name=f"scipy {interface}, LSODA, compiled rhs, rtol {rtol:.0e}",
            run=partial(scipy_drug, rtol=rtol, atol=rtol / 100.0, interface=interface),
            people=8 // less,
        )
        for interface in ("odeint", "solve_ivp")
        for rtol in list(rtols.values())[:1]
    ]
    return [*ours, *whole, *numpy, *peers, *slow]


def loosest_rtols(people: People, wanted: Sequence[float]) -> dict[float, float]:
    """For each wanted error the loosest tolerance at which numbalsoda keeps it for everybody."""
    expected = kernel_drug(people, FINE)
    reached = {
        rtol: float(np.max(np.abs(numbalsoda_drug(people, rtol=rtol) - expected)))
        for rtol in (1e-3, 3e-4, 1e-4, 3e-5, 1e-5, 3e-6, 1e-6, 3e-7, 1e-7, 3e-8, 1e-8)
    }
    return {error: next(rtol for rtol, e in reached.items() if e <= error) for error in wanted}


def race(runners: Sequence[Contender], *, rounds: int) -> list[Result]:
    """Everyone once a round, so that a noisy minute hurts all alike; an untimed run compiles and gives the errors."""
    people = draw_people(max(one.people for one in runners), seed=SEED)
    parts = {one.name: [people[i : min(i + CHUNK, one.people)] for i in range(0, one.people, CHUNK)] for one in runners}
    results = []
    for one in runners:
        errors = [np.max(np.abs(one.run(part) - kernel_drug(part, FINE)), axis=1) for part in parts[one.name]]
        results.append(Result(contender=one, errors=np.concatenate(errors)))
    for _ in range(rounds):
        for result in results:
            one = result.contender
            numba.set_num_threads(one.cores)
            start = time.perf_counter()
            for part in parts[one.name]:
                one.run(part)
            result.rates.append(one.people / (time.perf_counter() - start))
    return results


def oracle(n: int) -> float:
    """Largest difference between the fine quadrature, the yardstick of all errors, and a tight ODE solution."""
    people = draw_people(n, seed=SEED)
    tight = scipy_drug(people, rtol=1e-11, atol=1e-12, interface="odeint")
    return float(np.max(np.abs(tight - kernel_drug(people, FINE))))


def cold_starts(*, times: int) -> dict[str, float]:
    """Seconds of fresh processes, the median of some, by what they do."""
    commands = {
        "python": ["-c", ""],
        "import numpy": ["-c", "import numpy"],
        "import afterglow": ["-c", "import afterglow"],
        "import afterglow.therapy": ["-c", "import afterglow.therapy"],
        "1,000 virtual patients, numpy path": ["-m", "benchmarks.fresh", "courses", "1000", "reference"],
        "1,000 virtual patients, compiled path, kernel kept": ["-m", "benchmarks.fresh", "courses", "1000", "compiled"],
        "afterglow replicate --help": [str(Path(sys.executable).with_name("afterglow")), "replicate", "--help"],
    }
    return {name: statistics.median(_seconds(arguments) for _ in range(times)) for name, arguments in commands.items()}


def _seconds(arguments: Sequence[str]) -> float:
    start = time.perf_counter()
    _fresh(arguments)
    return time.perf_counter() - start


def _fresh(arguments: Sequence[str]) -> str:
    done = subprocess.run([sys.executable, *arguments], cwd=ROOT, check=True, capture_output=True, text=True)
    return done.stdout


def memory(patients: int) -> Memory:
    """A fresh process that streams a cohort."""
    return Memory(patients=patients, **json.loads(_fresh(["-m", "benchmarks.fresh", "cohort", str(patients)])))
