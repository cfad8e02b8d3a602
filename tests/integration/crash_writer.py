"""A program that writes facts without end, and says each one on stdout once it is acknowledged; killed by the test.

python crash_writer.py URL FOLDER: forks a writer for each line "go" on stdin, so that a start costs nothing.
"""

from __future__ import annotations

import os
import sys
from datetime import UTC, datetime
from itertools import count
from pathlib import Path

from tests.integration.stores import KINDS, Pressure, Visit

from afterglow.store import facts, patients
from afterglow.store.engine import open_engine
from afterglow.store.keys import load_keys
from afterglow.store.patients import Identifiers
from afterglow.store.records import Store

AT = datetime(2026, 1, 5, 9, tzinfo=UTC)


def write_without_end(url: str, folder: Path) -> None:
    """Each use case writes two facts and a head; what is acknowledged is one line."""
    store = Store(
        engine=open_engine(url, busy_timeout_s=20),
        keys=load_keys(folder / "keys"),
        kinds=KINDS,
        anchors=folder / "anchors",
        spool=folder / "spool",
        busy_timeout_s=20,
    )
    name = f"p{os.getpid()}-{os.urandom(4).hex()}"
    with store.write("north", by="nurse-1") as tx:
        patients.register(tx, Identifiers(name="Anna"), id=name)
        tx.event("patient.registered", patient_id=name)
    for number in count():
        with store.write("north", by="nurse-1") as tx:
            pair = [
                facts.write(tx, Pressure(systolic_mmhg=each), at=AT, patient_id=name, subject=f"{name}-{number}")
                for each in (120, 130)
            ]
            facts.save(tx, Visit(started_at=AT), id=name, version=number, patient_id=name)
            tx.event("reading.recorded", patient_id=name)
        os.write(1, f"{name} {number} {pair[0]} {pair[1]}\n".encode())


def main() -> None:
    """Fork at each "go"; say the writer's process id."""
    url, folder = sys.argv[1], Path(sys.argv[2])
    for _ in sys.stdin:
        child = os.fork()
        if child == 0:
            write_without_end(url, folder)
        os.write(1, f"pid {child}\n".encode())
        os.waitpid(child, 0)
        os.write(1, b"dead\n")


if __name__ == "__main__":
    main()
