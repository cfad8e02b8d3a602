"""A real Dask scheduler with two workers on this machine: the same answer as here, also when a worker is killed."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

PROTOCOL = """\
{drug: racemic_ketamine, route: iv, dose: 0.5 mg/kg, infusion: 40 min, days: [0], control: midazolam, arm: both,
 population: {scale: MADRS, baseline_mean: 32, baseline_sd: 6},
 observe: {times: [24 h, 7 d]}, design: {sizes: [20, 500]}}
"""
TRIALS = "300"
AFTERGLOW = [sys.executable, "-c", "from afterglow.cli import main; main()"]
DEADLINE_S = 60.0

Cluster = tuple[str, Callable[[], subprocess.Popen[bytes]]]


def wait_for(what: Callable[[], object], why: str) -> None:
    deadline = time.monotonic() + DEADLINE_S
    while not what():
        assert time.monotonic() < deadline, why
        time.sleep(0.05)


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[Cluster]:
    """Address of a scheduler, and a function that starts a worker; all are ended by their id."""
    started: list[subprocess.Popen[bytes]] = []
    place = tmp_path / "scheduler.json"

    def start(module: str, *words: str) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-m", f"distributed.cli.{module}", "--scheduler-file", str(place), *words]
        nothing = subprocess.DEVNULL
        # Whatever the machine's settings, all listens on this machine alone.
        env = {**os.environ, "NUMBA_NUM_THREADS": "1", "DASK_DISTRIBUTED__SCHEDULER__ALLOWED_FAILURES": "0"}
        one = subprocess.Popen(command, cwd=tmp_path, stdout=nothing, stderr=nothing, env=env)
        started.append(one)
        return one

    start("dask_scheduler", "--host", "127.0.0.1", "--port", "0", "--dashboard-address", "127.0.0.1:0")
    wait_for(lambda: place.exists() and place.read_text(encoding="utf-8").rstrip().endswith("}"), "no scheduler")
    address = json.loads(place.read_text(encoding="utf-8"))["address"]
    quiet = ("--nthreads", "1", "--no-nanny", "--no-dashboard", "--host", "127.0.0.1", "--death-timeout", "60")
    yield address, lambda: start("dask_worker", *quiet, "--local-directory", str(tmp_path))
    for one in reversed(started):
        one.kill()
        one.wait()


def command(tmp_path: Path, *words: str) -> list[str]:
    file = tmp_path / "plan.yaml"
    file.write_text(PROTOCOL, encoding="utf-8")
    return [*AFTERGLOW, "design", str(file), "--trials", TRIALS, "--json", *words]


def test_a_cluster_gives_the_same_answer_and_a_lost_worker_loses_nothing(tmp_path: Path, cluster: Cluster) -> None:
    """One of two workers is killed while it works; with no failure allowed, the scheduler gives its task up at once."""
    address, worker = cluster
    kept = tmp_path / "kept.jsonl"
    doomed, _ = worker(), worker()
    words = command(tmp_path, "--scheduler", address, "--results", str(kept))
    run = subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    wait_for(lambda: run.poll() or (kept.exists() and kept.read_bytes().count(b"\n") > 4), "nothing was done")
    doomed.send_signal(signal.SIGKILL)
    doomed.wait()
    at_loss = kept.read_bytes().count(b"\n")
    said, errors = run.communicate(timeout=DEADLINE_S)
    assert run.returncode == 0, errors.decode()
    tasks = 3 * 2 * 15  # maskings, bases, chunks of 20
    assert at_loss < tasks, "the worker was killed too late to be missed"
    assert kept.read_bytes().count(b"\n") == 1 + tasks
    alone = subprocess.run(command(tmp_path), capture_output=True, check=True)
    assert said == alone.stdout
