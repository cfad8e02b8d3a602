"""Run all measurements and write them as one page."""

from __future__ import annotations

import argparse
import os
import platform
import statistics
import sys
from collections.abc import Iterator, Sequence
from importlib.metadata import version
from pathlib import Path

import numpy as np
from benchmarks import forecast
from benchmarks.floor import Floor, kernel_us, measure
from benchmarks.measure import (
    CHUNK,
    SEED,
    Memory,
    Result,
    cold_starts,
    contenders,
    loosest_rtols,
    memory,
    oracle,
    race,
    raced_people,
)
from benchmarks.problem import DAYS, TIMES_H, draw_people, table
from llvmlite.binding import get_host_cpu_name

LOOSE, TIGHT = 1e-4, 1e-6  # of baseline: the errors at which the peers are held against the kernel
MEMORY_LIMIT_MIB = 1024.0
OURS = "Afterglow, compiled"


def main(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(description="Measure the engine against its peers.")
    parser.add_argument("--quick", action="store_true", help="fewer people and rounds: under 40 seconds")
    parser.add_argument("--write", type=Path, metavar="PAGE.md", help="also write the page there")
    chosen = parser.parse_args(arguments)
    page = "\n\n".join(measured(quick=chosen.quick)) + "\n"
    sys.stdout.write(page)
    if chosen.write:
        chosen.write.parent.mkdir(parents=True, exist_ok=True)
        chosen.write.write_text(page, encoding="utf-8")
    return 0


def measured(*, quick: bool) -> Iterator[str]:
    """The paragraphs of the page, in the order in which they are measured."""
    yield from introduction(quick=quick)
    checked = 4 if quick else 24
    difference = oracle(checked)
    rtols = loosest_rtols(draw_people(raced_people(quick=quick), seed=SEED), (LOOSE, TIGHT))
    results = race(contenders(quick=quick, rtols=rtols), rounds=3 if quick else 9)
    yield speed(results)
    yield (
        "Error: difference of the drug part of relief, in fractions of baseline, largest over the asked days, against "
        f"this engine's own quadrature at far finer settings; on {checked} of these people that yardstick is at most "
        f"{difference:.0e} from LSODA of scipy at a relative tolerance of 1e-11."
    )
    yield "## Times faster than numbalsoda"
    yield (
        "Of both is asked that nobody's error exceeds the first column; numbalsoda runs at the loosest tolerance that "
        "keeps it. Errors are of the people that both ran. The ratio is taken round by round; the median."
    )
    yield ratios(results, rtols)
    yield from arithmetic(measure(), kernel_us(CHUNK, rounds=20 if quick else 100))
    yield "## Cold start"
    yield rows(("a new process", "s"), ((name, f"{s:.2f}") for name, s in cold_starts(times=1 if quick else 3).items()))
    yield "## Memory"
    yield room(memory(50_000 if quick else 1_000_000))
    yield from forecast.section(quick=quick)


def rows(head: Sequence[str], body: Iterator[Sequence[str]]) -> str:
    """A Markdown table."""
    lines = [head, ["---"] * len(head), *body]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def introduction(*, quick: bool) -> Iterator[str]:
    cut = table()
    nodes = int(np.diff(cut.panel_node)[cut.step_panel].sum())
    packages = ", ".join(f"{name} {version(name)}" for name in ("numpy", "numba", "llvmlite", "scipy", "numbalsoda"))
    yield "# Benchmarks"
    yield "A quick run with few people and rounds: not for quoting." if quick else "Written by `make bench` in one run."
    yield (
        f"Machine: {processor()}, {os.cpu_count()} cores of which at most 2 are used, {platform.system()}, "
        f"Python {platform.python_version()}, {packages}."
    )
    yield (
        f"Problem: {len(DAYS)} infusions of 40 min in {TIMES_H[-1] / 168:.0f} weeks, relief asked on {len(TIMES_H)} "
        "days. Three compartments, effect site, BDNF, labile and consolidated synapses, read-out: 7 differential "
        f"equations. The engine walks {len(cut.step_panel)} steps and evaluates the receptor block {nodes} times. All "
        "start from the same volumes, flows and rates; plasticity and read-out are drawn from the shipped population, "
        "kinetics for benchmarking only."
    )
    yield "## Speed and error"
    yield (
        f"Every engine runs once in every round, at most {CHUNK:,} people at a time; medians, with the slowest and the "
        "fastest round."
    )


def processor() -> str:
    """Model name of the processor, as far as the system tells, and what the compiler takes it for."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return f"{(names or [platform.machine()])[0]} ({get_host_cpu_name()})"


def speed(results: Sequence[Result]) -> str:
    def body() -> Iterator[Sequence[str]]:
        for one in results:
            yield (
                one.contender.name,
                str(one.contender.cores),
                figures(one.median),
                f"{figures(min(one.rates))} to {figures(max(one.rates))}",
                f"{one.contender.people:,}",
                *(f"{np.quantile(one.errors, q):.0e}" for q in (1.0, 0.99, 0.5)),
            )

    head = ("engine", "cores", "courses/s", "slowest to fastest", "people", "max error", "99 % below", "median error")
    return rows(head, body())


def figures(number: float) -> str:
    """Three figures."""
    return f"{float(f'{number:.3g}'):,.0f}" if number >= 100 else f"{number:.3g}"


def ratios(results: Sequence[Result], rtols: dict[float, float]) -> str:
    by_name = {(one.contender.name, one.contender.cores): one for one in results}

    def body() -> Iterator[Sequence[str]]:
        for error, rtol in rtols.items():
            for (name, cores), ours in by_name.items():
                if name == OURS:
                    theirs = by_name[f"numbalsoda LSODA, rtol {rtol:.0e}", cores]
                    ratio = statistics.median(a / b for a, b in zip(ours.rates, theirs.rates, strict=True))
                    errors = (f"{one.errors[: len(theirs.errors)].max():.0e}" for one in (theirs, ours))
                    yield f"{error:.0e}", str(cores), figures(ratio), f"{rtol:.0e}", *errors

    return rows(("error asked", "cores", "ratio", "numbalsoda's rtol", "its max error", "ours"), body())


def arithmetic(least: Floor, taken_us: float) -> Iterator[str]:
    yield "## The kernel against its own arithmetic"
    yield (
        "Exponentials, logarithms and divisions of one course, counted by running the kernel as plain Python; the time "
        "of each measured on vectors of the kernel's width in the first cache. Both sides are the fastest of their "
        "rounds, on one core, without the eigenvalues of the compartments."
    )
    kinds = (
        ("exp", least.exps, least.exp_ns),
        ("log", least.logs, least.log_ns),
        ("division", least.divisions, least.division_ns),
    )
    yield rows(("", "count", "ns each"), ((name, f"{count:,}", f"{ns:.2f}") for name, count, ns in kinds))
    yield (
        f"These alone take {least.us:.2f} us a patient ({figures(1e6 / least.us)} courses/s); the kernel takes "
        f"{taken_us:.2f} us ({figures(1e6 / taken_us)} courses/s): {taken_us / least.us:.2f} times as long."
    )


def room(used: Memory) -> str:
    return (
        f"{used.patients:,} virtual patients' courses with 26 weekly outputs, streamed by "
        f"`afterglow.trials.simulate_cohort`: {used.peak_mib:,.0f} MiB at most (limit {MEMORY_LIMIT_MIB:,.0f} MiB), "
        f"{used.seconds:.0f} s."
    )
