"""The tasks of a design, done here or on a Dask cluster, and kept in a file as they are done.

The file is text: a first line that says what it holds, then one line a finished task. A line that is not whole (the run
was cut off while it was written) is dropped and its task done again, so an interruption costs at most what was under
way.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, ProcessPoolExecutor, wait
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from afterglow.errors import Conflict, MissingValue, NotFound, UnwritableFile
from afterglow.protocol import TrialProtocol
from afterglow.therapy.calibrated import Calibrated, calibration_in_use, choose_calibration
from afterglow.trials.virtual import (
    Basis,
    DesignChunk,
    DesignTask,
    Masking,
    design_digest,
    design_tasks,
    simulate_trials,
)

SCHEMA = "afterglow.design.results/1"
_ARRAYS = ("outcome", "estimate", "p", "randomised", "stayed")
_CONNECT_S = 10.0
_RETRIES = 20  # of a task whose worker died, before the run gives up

S = TypeVar("S")
T = TypeVar("T")
Work = Callable[[DesignTask], DesignChunk]
Runner = Callable[[Work, Sequence[DesignTask]], Iterator[DesignChunk]]


def run_design(
    protocol: TrialProtocol,
    *,
    seed: int = 0,
    trials: int,
    runner: Runner,
    results: Path | None = None,
    progress: Callable[[float], None] | None = None,
) -> tuple[DesignChunk, ...]:
    """Every chunk of a design, in order, whatever ran it and in however many goes.

    Args:
        protocol: with a design.
        seed: same seed, same answer.
        trials: simulated for each kind of masking and each basis.
        runner: where tasks are done: `here(cores)` or `on_cluster(address)`.
        results: file that keeps finished tasks; tasks already in it are not done again.
        progress: called with the fraction done.

    Raises: Conflict for a file of another design, or a worker that runs another version; UnwritableFile.

    >>> from afterglow.protocol import parse_protocol
    >>> plan = parse_protocol('''
    ... {drug: esketamine, route: intranasal, dose: 84 mg, days: [0, 3], control: placebo_spray, arm: both,
    ...  population: {scale: MADRS, baseline_mean: 35, baseline_sd: 5}, observe: {times: [7 d]}, design: {sizes: [20]}}
    ... ''')
    >>> chunks = run_design(plan, trials=2, runner=here(1))
    >>> [(str(chunk.task.masking), str(chunk.task.basis)) for chunk in chunks][:2]
    [('planned', 'power'), ('planned', 'assurance')]
    """
    tasks, digest = design_tasks(protocol, trials=trials), design_digest(protocol, seed=seed)
    kept = _Kept(results, digest)
    done = {task: chunk for task, chunk in kept.chunks.items() if task in set(tasks)}
    report = progress or (lambda _: None)
    report(len(done) / len(tasks))
    for chunk in runner(partial(_simulate, protocol, seed), [task for task in tasks if task not in done]):
        if chunk.digest != digest:
            raise Conflict(
                "A worker gives another answer than this machine would",
                observed=f"design {chunk.digest[:12]}",
                allowed=f"{digest[:12]}",
                next_step="Install the same version of Afterglow on all machines",
            )
        kept.add(chunk)
        done[chunk.task] = chunk
        report(len(done) / len(tasks))
    return tuple(done[task] for task in tasks)


def spread(work: Callable[[S], T], tasks: Sequence[S], *, cores: int) -> Iterator[tuple[S, T]]:
    """Tasks done on this machine, each with what came of it, as they finish.

    Args:
        work: a function that other processes can be sent.
        tasks: each may be sent too.
        cores: processes; one works in this process and in order.

    >>> list(spread(abs, [-1, 2], cores=1))
    [(-1, 1), (2, 2)]
    """
    if cores <= 1 or len(tasks) <= 1:
        yield from ((task, work(task)) for task in tasks)
        return
    with ProcessPoolExecutor(
        min(cores, len(tasks)), mp_context=get_context("spawn"), initializer=_begin, initargs=(calibration_in_use(),)
    ) as pool:
        waiting = {pool.submit(work, task): task for task in tasks}
        try:
            while waiting:
                finished, _ = wait(waiting, return_when=FIRST_COMPLETED)
                for one in finished:
                    yield waiting.pop(one), one.result()
        finally:
            for one in waiting:
                one.cancel()


def here(cores: int) -> Runner:
    """A runner on this machine.

    Args:
        cores: processes; one works in this process.
    """

    def run(work: Work, tasks: Sequence[DesignTask]) -> Iterator[DesignChunk]:
        yield from (chunk for _, chunk in spread(work, tasks, cores=cores))

    return run


def on_cluster(address: str) -> Runner:
    """A runner on a Dask cluster; a task whose worker is lost is done again by another.

    Args:
        address: of the scheduler, as "tcp://127.0.0.1:8786".

    Raises, when it runs: MissingValue without the package `distributed`; NotFound where no scheduler answers.
    """

    def run(work: Work, tasks: Sequence[DesignTask]) -> Iterator[DesignChunk]:
        try:
            from distributed import Client, as_completed  # noqa: PLC0415  an optional package
            from distributed.comm.addressing import get_address_host_port  # noqa: PLC0415
            from distributed.scheduler import KilledWorker  # noqa: PLC0415
        except ImportError:
            raise MissingValue(
                "--scheduler needs the package distributed",
                next_step="Install it: pip install 'afterglow[cluster]'",
            ) from None
        try:
            get_address_host_port(address)  # a client that cannot read its address complains again when it is freed
            client: Any = Client(address, timeout=_CONNECT_S, set_as_default=False)  # type: ignore[no-untyped-call]
        except (OSError, ValueError) as fault:
            raise NotFound(
                "No Dask scheduler answers",
                observed=address,
                allowed="an address as tcp://127.0.0.1:8786",
                next_step="Start one with: dask scheduler",
            ) from fault
        with client:  # pragma: no cover - done in a process of its own, by tests/unit/test_trials_cluster.py
            lost = 0
            futures = {client.submit(work, task, pure=False): task for task in tasks}
            waiting: Any = as_completed(list(futures), loop=client.loop)  # type: ignore[no-untyped-call]
            for future in waiting:
                task = futures.pop(future)
                if isinstance(future.exception(), KilledWorker) and lost < _RETRIES:
                    lost += 1
                    again = client.submit(work, task, pure=False)
                    futures[again] = task
                    waiting.add(again)
                    continue
                chunk: DesignChunk = future.result()
                yield chunk

    return run


def _simulate(protocol: TrialProtocol, seed: int, task: DesignTask) -> DesignChunk:
    return simulate_trials(protocol, task, seed=seed)


def _begin(found: Calibrated) -> None:
    """Start a process: on the same population, and one thread for each kernel, read when it is loaded."""
    os.environ["NUMBA_NUM_THREADS"] = "1"
    choose_calibration(found)


class _Kept:
    """Finished tasks in a file; without a file nothing is kept."""

    def __init__(self, path: Path | None, digest: str) -> None:
        self.path, self.digest = path, digest
        self.chunks: dict[DesignTask, DesignChunk] = {}
        if path is None:
            return
        try:
            found = path.read_bytes() if path.exists() else b""
            if not found:
                path.write_text(json.dumps({"schema": SCHEMA, "digest": digest}) + "\n", encoding="utf-8")
                return
            *whole, rest = found.split(b"\n")  # what follows the last end of a line was cut off
            self._check_head(path, whole[0] if whole else b"")
            if rest:
                with path.open("r+b") as file:
                    file.truncate(len(found) - len(rest))
        except OSError as fault:
            raise _unwritable(path, fault) from None
        for line in whole[1:]:
            chunk = _chunk_of(line, digest)
            if chunk is not None:
                self.chunks[chunk.task] = chunk

    def _check_head(self, path: Path, line: bytes) -> None:
        head = _read_json(line)
        if not isinstance(head, dict) or head.get("schema") != SCHEMA:
            raise UnwritableFile(
                "--results is refused",
                observed=f"{str(path)!r}, which exists and holds no results of a design",
                next_step="Name a new file",
            )
        if head.get("digest") != self.digest:
            raise Conflict(
                f"{path} holds results of another design: the protocol, the seed, the population or the version differ",
                observed=f"design {str(head.get('digest'))[:12]}",
                allowed=f"design {self.digest[:12]}",
                next_step="Name another file, or go back to what it was started with",
            )

    def add(self, chunk: DesignChunk) -> None:
        """Keep one more, on disk before the next is taken up."""
        if self.path is None:
            return
        body = json.dumps(_document(chunk))
        line = json.dumps({"sha256": hashlib.sha256(body.encode()).hexdigest(), "chunk": json.loads(body)})
        try:
            with self.path.open("a", encoding="utf-8") as file:
                file.write(line + "\n")
                file.flush()
                os.fsync(file.fileno())
        except OSError as fault:
            raise _unwritable(self.path, fault) from None


def _unwritable(path: Path, fault: OSError) -> UnwritableFile:
    return UnwritableFile(
        f"The results {path} cannot be kept",
        observed=fault.strerror,
        next_step="Choose a file in a folder that you may write to",
    )


def _read_json(line: bytes) -> Any:
    try:
        return json.loads(line)
    except ValueError:
        return None


def _document(chunk: DesignChunk) -> dict[str, Any]:
    task = chunk.task
    return {
        "task": [str(task.masking), str(task.basis), task.first, task.count],
        "digest": chunk.digest,
        **{name: getattr(chunk, name).tolist() for name in _ARRAYS},
    }


def _chunk_of(line: bytes, digest: str) -> DesignChunk | None:
    """A finished task; None where the line was changed or belongs to something else, so that it is done again."""
    kept = _read_json(line)
    if not isinstance(kept, dict) or not isinstance(kept.get("chunk"), dict):
        return None
    body = kept["chunk"]
    if kept.get("sha256") != hashlib.sha256(json.dumps(body).encode()).hexdigest() or body.get("digest") != digest:
        return None
    masking, basis, first, count = body["task"]
    task = DesignTask(masking=Masking(masking), basis=Basis(basis), first=first, count=count)
    return DesignChunk(task=task, digest=digest, **{name: np.array(body[name]) for name in _ARRAYS})
