"""One patient's forecast: warm, cold and memory, beside what other tools take: python -m benchmarks.forecast."""

from __future__ import annotations

import json
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import numpy as np

from afterglow.forecast import ForecastInput, Method, PatientScore, forecast
from afterglow.forecast.candidates import N_PARTICLES, case_of, prior_candidates, relief_of
from afterglow.forecast.outlook import HORIZON_DAYS, N_AHEAD
from afterglow.quantities import Dose, DrugForm
from afterglow.therapy.regimen import DoseAdministration, Route, repeat
from afterglow.therapy.setting import Condition

ROOT = Path(__file__).parent.parent
COMMAND = "from afterglow.cli import main; main()"
LIBRARIES = "import scipy.stats.qmc, arviz_stats.base.array, numba, typer, rich.table, yaml"
P95_LIMIT_MS, COLD_LIMIT_S = 150.0, 2.0
INFUSION = DoseAdministration(
    at_h=0.0, drug=DrugForm.RACEMIC_KETAMINE, route=Route.IV, dose=Dose(mg_per_kg=0.5), infusion_h=2 / 3
)
PEERS = (
    ("mapbayr 0.10.2, mode and Hessian", 4, "234 ms"),
    ("posologyr 1.2.8, mode", 4, "1,285 ms"),
    ("posologyr 1.2.8, 2,000 draws re-weighted", 4, "8.8 s"),
    ("NumPyro 0.22.0, NUTS of 1,500 steps", 21, "55 s"),
)


def patient(number: int) -> ForecastInput:
    """A patient of his own: weight, days, times of day and six to eight scores differ, so that nothing is kept."""
    rng = np.random.default_rng([7, number])
    sessions = np.sort(rng.choice(np.arange(1, 21), 5, replace=False))
    days = np.sort(rng.choice(np.arange(1, 35), int(rng.integers(5, 8)), replace=False)) + rng.uniform(0.0, 0.4)
    points = np.clip(np.round(14.0 - 6.0 * (1.0 - np.exp(-days / 5.0)) + 2.5 * rng.standard_normal(len(days))), 0, 27)
    scores = [(-1.0, float(rng.integers(15, 24))), *zip((24.0 * days).tolist(), points.tolist(), strict=True)]
    return ForecastInput(
        origin_at=datetime(2026, 3, 2, 9, tzinfo=UTC),
        now_h=24.0 * 36,
        condition=Condition.DEPRESSION,
        scores=tuple(PatientScore(at_h=at, scale="PHQ-9", points=value) for at, value in scores),
        given=repeat(INFUSION, [0.0, *(24.0 * sessions).tolist()]),
        weight_kg=float(np.round(rng.uniform(50.0, 110.0), 1)),
    )


def section(*, quick: bool) -> Iterator[str]:
    """The paragraphs of the page."""
    count = 20 if quick else 200
    found, floors = measured(count)
    taken = [seconds for seconds, method in found if method is Method.REWEIGHT]
    searched = [seconds for seconds, method in found if method is not Method.REWEIGHT]
    p50, p95 = 1e3 * statistics.median(taken), 1e3 * float(np.quantile(taken, 0.95))
    yield "## One patient's forecast"
    yield (
        f"{N_PARTICLES:,} virtual patients re-weighted by 6 to 8 scores and {N_AHEAD:,} of them followed for "
        f"{HORIZON_DAYS} days; {len(taken)} patients, each with a weight, sessions and times of his own. Warm: "
        f"**{p50:.0f} ms** in the middle, **{p95:.0f} ms** at 95 % (limit {P95_LIMIT_MS:.0f} ms). The engine's runs "
        f"that no forecast can do without took {1e3 * statistics.median(floors):.0f} ms in the same minutes."
    )
    if searched:
        yield f"{len(searched)} more needed the search: {1e3 * max(searched):.0f} ms at most."
    times = 1 if quick else 7
    starts = [_fresh(["-m", "benchmarks.forecast", "cold"]) for _ in range(times)]
    commands = [_fresh(["-c", COMMAND, "forecast", "examples/course.csv"]) for _ in range(times)]
    bare = statistics.median(_fresh(["-c", LIBRARIES])[0] for _ in range(times))
    yield (
        f"Cold: {statistics.median(seconds for seconds, _ in starts):.2f} s for a new process that makes one forecast "
        f"(limit {COLD_LIMIT_S:.0f} s), {statistics.median(seconds for seconds, _ in commands):.2f} s for `afterglow "
        f"forecast`, of which importing the libraries it uses takes {bare:.2f} s; "
        f"{json.loads(starts[-1][1])['peak_mib']:.0f} MiB at most. After {count} patients this process had used "
        f"{resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024.0:,.0f} MiB at most."
    )
    yield (
        "Other tools, one patient with six scores, each with its own model: measured once by this project before this "
        "model was written, on two cores of the same class, and not run again here."
    )
    yield "| tool | random effects | time |\n| --- | --- | --- |\n" + "\n".join(
        f"| {name} | {effects} | {taken} |" for name, effects, taken in PEERS
    )


def measured(count: int) -> tuple[list[tuple[float, Method]], list[float]]:
    """Seconds and method of each patient's forecast, and seconds of its bare engine runs."""
    forecast(patient(0))
    found, floors = [], []
    for number in range(1, count + 1):
        given = patient(number)
        start = time.perf_counter()
        method = forecast(given).method
        found.append((time.perf_counter() - start, method))
        floors.append(floor_seconds(given))
    return found, floors


def floor_seconds(given: ForecastInput) -> float:
    """The engine alone: all virtual patients at the scores' times, and those followed on every day ahead."""
    case = case_of(given)
    everyone = prior_candidates(case)
    some = everyone.take(np.arange(N_AHEAD))
    days_h = given.now_h + 24.0 * np.arange(HORIZON_DAYS + 1.0)
    start = time.perf_counter()
    relief_of(case, everyone, given.given, np.array(case.score_times_h))
    relief_of(case, some, given.given, days_h)
    return time.perf_counter() - start


def cold() -> None:
    """One forecast, as a new process makes it."""
    forecast(patient(1))
    print(json.dumps({"peak_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024.0}))


def _fresh(arguments: list[str]) -> tuple[float, str]:
    """Seconds and output of a new process."""
    start = time.perf_counter()
    done = subprocess.run([sys.executable, *arguments], cwd=ROOT, check=True, capture_output=True, text=True)
    return time.perf_counter() - start, done.stdout


if __name__ == "__main__":
    if sys.argv[1:] == ["cold"]:
        cold()
    else:
        print("\n\n".join(section(quick="--quick" in sys.argv)))
