"""The server's worker: forecasts in a process of their own, so that no page waits for their arithmetic."""

from __future__ import annotations

import multiprocessing
import os
import sys
from multiprocessing.connection import Connection
from typing import Self

from afterglow.logs import say, start
from afterglow.settings import Settings
from afterglow.usecases.jobs import keep_running
from afterglow.usecases.upkeep import opened

_NICE = 10  # pages go first where both want the same core
_END_S = 15.0  # a forecast that takes longer is ended, and made again by the next worker
_SPAWN = multiprocessing.get_context("spawn")  # a fork would share the server's connections and locks


class Worker:
    """A process that makes forecasts until the server ends, however it ends: the line between them breaks."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._line: Connection | None = None
        self._process: multiprocessing.process.BaseProcess | None = None

    @property
    def pid(self) -> int | None:
        """Of the process; None where it does not run."""
        return None if self._process is None or not self._process.is_alive() else self._process.pid

    def __enter__(self) -> Self:
        self._begin()
        return self

    def __exit__(self, *_: object) -> None:
        if self._line is not None:
            self._line.close()
        if self._process is not None:
            self._process.join(_END_S)
            if self._process.is_alive():
                self._process.terminate()  # what it had claimed is free again after its lease
                self._process.join()

    def keep(self) -> None:
        """Start it again if it died."""
        if self.pid is None:
            say("worker.again")
            self._begin()

    def _begin(self) -> None:
        theirs, ours = _SPAWN.Pipe(duplex=False)
        process = _SPAWN.Process(target=_work, args=(self._settings, theirs), name="forecasts", daemon=True)
        process.start()
        theirs.close()
        if self._line is not None:
            self._line.close()
        self._line, self._process = ours, process


def _work(settings: Settings, line: Connection) -> None:
    """The process: works until the server closes its end of the line, or is gone."""
    start(sys.stderr)
    os.nice(_NICE)
    try:
        with opened(settings) as store:
            say("worker.started", pid=os.getpid())
            keep_running(store, wait=line.poll)
    except KeyboardInterrupt:
        pass
    except Exception as fault:  # noqa: BLE001  its message may quote anything
        say("worker.ended", fault=type(fault).__name__)
