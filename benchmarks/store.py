"""The clinic's records against a bare database: python -m benchmarks.store [--quick] [--write PAGE.md].

Each measure has a floor beside it, taken in the same run, on the same database and disk: what SQLite or PostgreSQL
takes for the rows alone, without encryption, audit trail, rules or roles. `scripts/with_postgres` gives it a server.
"""

from __future__ import annotations

import argparse
import os
import platform
import random
import sqlite3
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import psycopg
from tests.clinic_cases import watched
from tests.integration.desks import at_work
from tests.integration.stores import POSTGRES, new_store, new_url

from afterglow.clinic import Delivery, Role
from afterglow.markdown import table
from afterglow.protocol.history_file import parse_mapping, read_history
from afterglow.store import audit, facts
from afterglow.store import patients as kept
from afterglow.store.patients import Identifiers
from afterglow.store.records import Store
from afterglow.usecases import charts, measures, patients
from afterglow.usecases.desk import Desk
from afterglow.usecases.importing import import_history
from afterglow.usecases.work import Actor

USERS, PAUSE_S = 50, (0.5, 1.5)
SESSIONS, READINGS = 1_000, 5
IMPORTED, SCORES_EACH, SESSIONS_EACH = 200, 10, 6
SEARCHED = 2_000
_MAPPING = """
time_zone: UTC
files:
  p.csv: {kind: patients, columns: {patient: MRN, name: Name, born_on: DOB}, dates: ["%Y-%m-%d"]}
  s.csv: {kind: scores, columns: {patient: MRN, at: When, total: Sum, scale: Scale}, dates: ["%Y-%m-%d %H:%M"]}
  d.csv: {kind: sessions, columns: {patient: MRN, at: When, dose: Dose, infusion: Over},
    fixed: {drug: racemic_ketamine, route: iv}, dates: ["%Y-%m-%d %H:%M"]}
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One measure beside its floor, in ms; `cpu_ms` is what this process computed meanwhile, None where many did."""

    what: str
    ours_ms: float
    floor_ms: float
    limit: str
    cpu_ms: float | None = None

    def cells(self) -> Sequence[str]:
        """As the page shows it."""
        ratio = self.ours_ms / self.floor_ms
        cpu = "" if self.cpu_ms is None else figures(self.cpu_ms)
        return (self.what, figures(self.ours_ms), cpu, figures(self.floor_ms), figures(ratio), self.limit)


def figures(number: float) -> str:
    """Two figures."""
    return f"{float(f'{number:.2g}'):,.10g}"


class Bare:
    """The database without Afterglow: one table, the same durability, the driver alone."""

    def __init__(self, url: str, folder: Path) -> None:
        self.url, self.file = url, folder / "bare.db"
        self._sqlite = url.startswith("sqlite")
        with self.open() as connection:
            connection.execute("CREATE TABLE bare (id TEXT PRIMARY KEY, body TEXT)")
            connection.commit()

    def open(self) -> Any:
        """A connection to it."""
        if not self._sqlite:
            return psycopg.connect(self.url)
        connection = sqlite3.connect(self.file, timeout=20)
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("PRAGMA synchronous=FULL")
        return connection

    def records(self) -> Any:
        """The same database that Afterglow writes."""
        if self._sqlite:
            return sqlite3.connect(self.url.removeprefix("sqlite:///"), timeout=20)
        connection = psycopg.connect(self.url)
        connection.execute("SELECT set_config('afterglow.clinic', 'north', false)")
        return connection

    def insert(self, connection: Any, key: str, body: str) -> None:
        """One row, not committed."""
        mark = "?" if self._sqlite else "%s"
        connection.execute(f"INSERT INTO bare VALUES ({mark}, {mark})", (key, body))


def desk(store: Store, role: Role, *, by: str = "bench-1") -> Desk:
    """Somebody at work."""
    return Desk(store=store, actor=Actor(person_id=by, roles=(role,), clinic_id="north"))


def measured(backend: str, *, quick: bool) -> Iterator[Line]:
    """Every measure on one kind of database."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        url = new_url(backend, folder)
        made = at_work(new_store(url, folder))
        store = replace(made, clock=lambda: datetime.now(UTC), busy_timeout_s=20)
        bare = Bare(url, folder)
        try:
            yield _writes(store, bare, each=3 if quick else 12)
            yield _chart(store, bare, sessions=100 if quick else SESSIONS)
            yield _import(store, bare, folder, count=20 if quick else IMPORTED)
            yield from _search(store, bare, count=100 if quick else SEARCHED)
            yield _verify(store, bare)
        finally:
            store.engine.dispose()


def _writes(store: Store, bare: Bare, *, each: int) -> Line:
    """50 people who write a score every second or so; how long until it is acknowledged."""
    who = [patients.register(desk(store, Role.COORDINATOR), Identifiers(name=f"Person {n}")).id for n in range(USERS)]

    def ours(place: int) -> Callable[[int], object]:
        mine = desk(store, Role.NURSE, by=f"nurse-{place}")
        return lambda n: measures.record(mine, who[place], "PHQ-9", answers=[n % 4, n // 4 % 4, 1, 2, 1, 2, 1, 2, 0])

    def floor(place: int) -> Callable[[int], object]:
        connection = bare.open()

        def write(number: int) -> None:
            bare.insert(connection, f"{place}-{number}", "x" * 600)
            connection.commit()

        return write

    return Line(
        what=f"acknowledged score, p95, {USERS} people who each write about once a second",
        ours_ms=_p95(ours, each),
        floor_ms=_p95(floor, each),
        limit="100",
    )


def _p95(made: Callable[[int], Callable[[int], object]], each: int) -> float:
    chance = random.Random(1)
    pauses = [[chance.uniform(*PAUSE_S) for _ in range(each)] for _ in range(USERS)]

    def person(place: int) -> list[float]:
        act, took = made(place), []
        time.sleep(place / USERS)
        for number, pause in enumerate(pauses[place]):
            began = time.perf_counter()
            act(number)
            took.append(1000 * (time.perf_counter() - began))
            time.sleep(pause)
        return took

    with ThreadPoolExecutor(USERS) as pool:
        took = sorted(one for group in pool.map(person, range(USERS)) for one in group)
    return took[int(0.95 * len(took))]


def _chart(store: Store, bare: Bare, *, sessions: int) -> Line:
    """The chart of somebody with many sessions, as the page asks for it."""
    patient = patients.register(desk(store, Role.COORDINATOR), Identifiers(name="Long Treated")).id
    session = watched(Delivery.ESK)
    session = replace(session, patient_id=patient, readings=session.readings[-READINGS:])
    with store.write("north", by="program") as tx:
        for number in range(sessions):
            one = replace(session, id=f"s{number:04d}", number=number + 1)
            facts.save(tx, one, id=one.id, version=0, patient_id=patient, state=one.state)
        tx.event("benchmark.filled", patient_id=patient)
    connection = bare.records()
    mark = "?" if bare.url.startswith("sqlite") else "%s"

    def select() -> None:
        found = connection.execute(f"SELECT * FROM heads WHERE patient_id = {mark}", (patient,)).fetchall()
        assert len(found) == sessions

    nurse = desk(store, Role.NURSE)
    what = f"chart with {sessions:,} sessions and {sessions * READINGS:,} readings, median"
    line = _line(what, lambda: charts.read_chart(nurse, patient), select, limit="100")
    connection.close()
    return line


def _import(store: Store, bare: Bare, folder: Path, *, count: int) -> Line:
    """A clinic's history from files: everything read, checked and written in one transaction."""
    chance, began = random.Random(2), date(2025, 1, 6)
    files: dict[str, list[str]] = {"p": ["MRN,Name,DOB"], "s": ["MRN,When,Scale,Sum"], "d": ["MRN,When,Dose,Over"]}
    for number in range(count):
        files["p"].append(f"I{number},Import {number} Person,{1950 + number % 50}-03-02")
        for place in range(SCORES_EACH):
            day = began + timedelta(days=3 * place)
            files["s"].append(f"I{number},{day} 09:00,PHQ-9,{chance.randint(3, 22)}")
        for place in range(SESSIONS_EACH):
            files["d"].append(f"I{number},{began + timedelta(days=3 * place)} 10:00,40 mg,40 min")
    for name, lines in files.items():
        (folder / f"{name}.csv").write_text("\n".join([*lines, ""]), encoding="utf-8")

    def ours() -> None:
        paths = [folder / f"{name}.csv" for name in "psd"]
        read = read_history(parse_mapping(_MAPPING), paths, now=datetime.now(UTC))
        assert not import_history(desk(store, Role.SYSTEM), read).rejected

    def floor() -> None:
        with bare.open() as connection:
            for place in range(sum(len(lines) - 1 for lines in files.values())):
                bare.insert(connection, f"import-{place}", "x" * 300)
            connection.commit()

    what = f"import of {count} patients, {count * SCORES_EACH} scores, {count * SESSIONS_EACH} sessions"
    return _line(what, ours, floor, times=1, limit="10,000")


def _search(store: Store, bare: Bare, *, count: int) -> Iterator[Line]:
    """Part of a name among many: the first search opens every name, later ones look through the open list."""
    names = ("Ada", "Ben", "Cleo", "Dora", "Emil", "Fay", "Gus", "Hedda")
    with store.write("north", by="program") as tx:
        for number in range(count):
            kept.register(tx, Identifiers(name=f"{names[number % 8]} Search{number:04d}"))
        tx.event("benchmark.filled")
    nurse = desk(store, Role.NURSE)
    connection = bare.records()

    def select() -> None:
        connection.execute("SELECT id FROM patients ORDER BY id").fetchall()

    what = f"first search for part of a name among {count:,}"
    yield _line(what, lambda: patients.find(nurse, "search00"), select, times=1)
    yield _line("a later search", lambda: patients.find(nurse, "search01"), select, limit="100")
    connection.close()


def _verify(store: Store, bare: Bare) -> Line:
    """Proof of the whole trail with every record."""
    connection = bare.records()

    def select() -> None:
        for name in ("audit_events", "facts", "heads", "patients"):
            connection.execute(f"SELECT * FROM {name}").fetchall()

    found = audit.verify(store, "north")
    assert found.faults == ()
    what = f"proof of the audit trail: {found.events:,} events, {found.rows:,} records"
    line = _line(what, lambda: audit.verify(store, "north"), select, times=1)
    connection.close()
    return line


def _median(run: Callable[[], object], times: int) -> tuple[float, float]:
    """Time on the clock and time of computing, in ms."""
    took, computed = [], []
    for _ in range(times):
        began, busy = time.perf_counter(), time.process_time()
        run()
        took.append(1000 * (time.perf_counter() - began))
        computed.append(1000 * (time.process_time() - busy))
    return statistics.median(took), statistics.median(computed)


def _line(
    what: str, ours: Callable[[], object], floor: Callable[[], object], *, times: int = 9, limit: str = ""
) -> Line:
    bare_ms, _ = _median(floor, times)
    ours_ms, cpu_ms = _median(ours, times)
    return Line(what=what, ours_ms=ours_ms, floor_ms=bare_ms, limit=limit, cpu_ms=cpu_ms)


def preface(what: str, module: str, *, quick: bool) -> Iterator[str]:
    """How a page of benchmarks begins: what wrote it, and on which machine."""
    yield f"# Benchmarks of {what}"
    yield (
        f"Written by `scripts/with_postgres .venv/bin/python -m benchmarks.{module} --write "
        f"docs/reference/benchmarks-{module}.md` in one run, on {datetime.now(UTC):%Y-%m-%d}."
        + (" A quick run of little: not for quoting." if quick else "")
    )
    load, cores = os.getloadavg()[0], os.cpu_count() or 1
    busy = " **The machine was busy with other work: run it again before quoting.**" if load > cores else ""
    yield f"Machine: {processor()}, {cores} cores, load {load:.1f} when it began (1 is one busy core).{busy}"


def page(*, quick: bool) -> Iterator[str]:
    """The paragraphs of the page."""
    yield from preface("the records", "store", quick=quick)
    yield (
        "Floor: the same number of rows on the same kind of database and disk by the driver alone, equally durable, "
        "without encryption, audit trail, rules and roles. Reads are told in the audit trail, so each of ours also "
        "writes. A load above the number of cores makes times on the clock longer; what was computed tells more then."
    )
    for backend in ("sqlite", *(("postgresql",) if POSTGRES else ())):
        yield f"## {'SQLite' if backend == 'sqlite' else 'PostgreSQL'}"
        head = ["measure", "ms", "of it computing, ms", "floor, ms", "ratio", "wanted, ms"]
        yield "\n".join(table(head, [list(line.cells()) for line in measured(backend, quick=quick)]))


def processor() -> str:
    """Model name of the processor, as far as the system tells."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = []
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), platform.machine())


def main() -> int:
    """Measure and print the page."""
    asked = argparse.ArgumentParser(description="Measure the records against a bare database.")
    asked.add_argument("--quick", action="store_true", help="few records: under a minute")
    asked.add_argument("--write", type=Path, metavar="PAGE.md", help="also write the page there")
    given = asked.parse_args()
    text = "\n\n".join(page(quick=given.quick)) + "\n"
    sys.stdout.write(text)
    if given.write:
        given.write.write_text(text, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
