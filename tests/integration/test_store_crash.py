"""kill -9 in mid-write: every acknowledged fact is there, no use case is half there, the trail verifies.

Bounded here; in full: python benchmarks/crash.py --kills 1000 --database sqlite (or postgresql).
"""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

from sqlalchemy import select
from tests.integration.stores import Pressure, Visit

from afterglow.store import audit, tables
from afterglow.store.facts import load_all, standing
from afterglow.store.records import Store

CRASHES = int(os.environ.get("AFTERGLOW_CRASHES", "25"))
ROOT = Path(__file__).parents[2]


def test_a_killed_writer_loses_nothing_that_it_acknowledged(store: Store, url: str, tmp_path: Path) -> None:
    chance = random.Random(6)
    command = [sys.executable, "-m", "tests.integration.crash_writer", url, str(tmp_path)]
    acknowledged: dict[str, list[str]] = {}
    with subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdin is not None
        assert parent.stdout is not None
        for _ in range(CRASHES):
            parent.stdin.write("go\n")
            parent.stdin.flush()
            lines = iter(parent.stdout.readline, "dead\n")
            early = []
            while not (line := next(lines)).startswith("pid"):
                early.append(line)
            pid = int(line.split()[1])
            if not early and chance.random() < 0.9:  # else at any moment from its start on
                early.append(next(lines))
            time.sleep(chance.uniform(0.0, 0.3))
            os.kill(pid, signal.SIGKILL)
            for line in [*early, *lines]:
                name, _, *ids = line.split()
                acknowledged.setdefault(name, []).extend(ids)
        parent.stdin.close()
        assert parent.wait() == 0
    _check(store, acknowledged)


def _check(store: Store, acknowledged: dict[str, list[str]]) -> None:
    assert len(acknowledged) > CRASHES / 2  # most writers came as far as to acknowledge something
    with store.read("north") as tx:
        there = standing(tx, Pressure)
        heads = {head.id: head.version for head in load_all(tx, Visit)}
        patients = tx.rows(select(tables.patients.c.id).where(tx.mine(tables.patients)))
    ids = {each.id for each in there}
    assert {each for group in acknowledged.values() for each in group} <= ids
    subjects = [each.subject for each in there]
    assert all(subjects.count(each) == 2 for each in set(subjects[-200:]))  # both facts of a use case, or none
    for name, group in acknowledged.items():
        assert len(group) / 2 <= heads[name] <= len(group) / 2 + 1  # at most one use case was not acknowledged in time
    assert len(patients) >= len(acknowledged)
    assert len(there) == 2 * sum(heads.values())
    assert audit.verify(store, "north").faults == ()
