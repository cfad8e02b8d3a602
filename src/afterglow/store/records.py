"""The store: one transaction per thing a clinic does, with its audit events in the same transaction."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from threading import Lock
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from sqlalchemy import Connection, Engine, Executable, Table, Update, insert, select, update

from afterglow.errors import Conflict, InputError, InvalidData, NotFound, Outdated, OutOfScope, RecordsDamaged
from afterglow.settings import Settings
from afterglow.store import chain, tables
from afterglow.store.chain import Row
from afterglow.store.engine import check_schema, open_engine, transaction
from afterglow.store.keys import Keys, load_keys
from afterglow.store.sealing import WrappedKey, unwrap

_ID_RANDOM_BYTES = 8
AT_ONCE = 1000
"""Ids in one statement; SQLite takes 32,766."""
_LONGEST_NAME = 120  # Assumption: what fits the head of a page


@dataclass(frozen=True, slots=True, kw_only=True)
class Clinic:
    """One clinic of the installation.

    Args:
        id: short and stable; it is not shown to patients.
        time_zone: IANA name, for display alone; everything is stored in UTC.
        synthetic: whether its patients are made up, which every page then says.
    """

    id: str
    name: str
    time_zone: str
    synthetic: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Store:
    """The records of an installation: a database, keys outside it, anchors and spool outside it.

    Args:
        kinds: the classes that facts and heads may be, by the name that is stored with them.
        public_url: address of the pages as patients reach them; None where there is none.
        clock: gives aware UTC; tests set it.
    """

    engine: Engine
    keys: Keys
    kinds: Mapping[str, type]
    anchors: Path
    spool: Path
    busy_timeout_s: float = 10.0
    attachment_limit_mb: float = 20.0
    public_url: str | None = None
    clock: Callable[[], datetime] = lambda: datetime.now(UTC)
    cache: dict[str, Any] = field(default_factory=dict, repr=False, compare=False)

    @contextmanager
    def write(self, clinic_id: str, *, by: str) -> Iterator[Transaction]:
        """A transaction that writes; all of it with its audit events, or nothing.

        `by` is the id of the person (or program) who acts, never a name.

        Raises: StoreUnavailable, Conflict, StoreFault; OutOfScope if something was written that no event tells of.
        """
        _check_id(clinic_id, what="A clinic's id")
        _check_id(by, what="The id of who acts")
        with transaction(self.engine, clinic_id, writing=True, busy_timeout_s=self.busy_timeout_s) as connection:
            found = Transaction(store=self, connection=connection, clinic_id=clinic_id, by=by, now=self.clock())
            yield found
            found.finish()

    @contextmanager
    def read(self, clinic_id: str, *, by: str = "program", snapshot: bool = False) -> Iterator[Transaction]:
        """A transaction that reads; with `snapshot` all that it reads is of one moment, also on PostgreSQL.

        Raises: StoreUnavailable, StoreFault.
        """
        _check_id(clinic_id, what="A clinic's id")
        with transaction(
            self.engine, clinic_id, writing=False, busy_timeout_s=self.busy_timeout_s, snapshot=snapshot
        ) as connection:
            yield Transaction(
                store=self, connection=connection, clinic_id=clinic_id, by=by, now=self.clock(), writing=False
            )

    def clinics(self) -> tuple[Clinic, ...]:
        """Every clinic of the installation, by id."""
        with transaction(self.engine, None, writing=False, busy_timeout_s=self.busy_timeout_s) as connection:
            rows = connection.execute(select(tables.clinics).order_by(tables.clinics.c.id)).mappings().all()
        return tuple(map(_clinic_of, rows))

    def add_clinic(self, clinic: Clinic, *, by: str) -> None:
        """A new clinic, whose audit trail starts here.

        Raises: InputError for a name or zone that is refused; Conflict if the clinic is there already.
        """
        check_clinic(clinic)
        if any(each.id == clinic.id for each in self.clinics()):
            raise Conflict("The clinic is there already", observed=clinic.id)
        with self.write(clinic.id, by=by) as tx:
            tx.start_clinic(clinic)
            tx.event("clinic.created")


@dataclass(slots=True, kw_only=True)
class Transaction:
    """One transaction in one clinic; `now` is the same for all that it writes.

    Args:
        touched: kind and patient of each fact and thing that it wrote.
    """

    store: Store
    connection: Connection
    clinic_id: str
    by: str
    now: datetime
    writing: bool = True
    touched: set[tuple[str, str]] = field(default_factory=set)
    _pending: list[chain.Write] = field(default_factory=list)
    _events: list[chain.NewEvent] = field(default_factory=list)
    _keys: dict[str, bytes] = field(default_factory=dict, repr=False)

    def start_clinic(self, clinic: Clinic) -> None:
        """The rows of a new clinic, whose chain starts here."""
        row = {"id": clinic.id, "name": clinic.name, "time_zone": clinic.time_zone, "synthetic": clinic.synthetic}
        self.run(insert(tables.clinics).values(**row, created_at=self.now))
        self._tell(tables.clinics, {**row, "created_at": self.now})
        self.run(insert(tables.audit_heads).values(clinic_id=clinic.id, seq=0, mac=chain.FIRST))

    def change_clinic(self, *, name: str | None, time_zone: str | None) -> tuple[Clinic, Clinic]:
        """Another name or time zone for the clinic, told in the next audit event; the clinic before and after.

        What is None stays as it is: the row is locked, so that of two changes at once none is lost.
        Raises: InputError for one that is refused; NotFound.
        """
        table = tables.clinics
        row = self.one(select(table).where(self.mine(table)).with_for_update())
        if row is None:
            raise NotFound("There is no such clinic", observed=self.clinic_id)
        asked = {"name": name, "time_zone": time_zone}
        new = {column: row[column] if value is None else value for column, value in asked.items()}
        before, after = _clinic_of(row), _clinic_of({**row, **new})
        check_clinic(after)
        self.change(update(table).where(self.mine(table)).values(**new), table, {**row, **new}, what="The clinic")
        return before, after

    def rows(self, statement: Executable) -> Sequence[Row]:
        """Every row that a statement finds."""
        return self.connection.execute(statement).mappings().all()

    def one(self, statement: Executable) -> Row | None:
        """The row that a statement finds, or None."""
        return self.connection.execute(statement).mappings().first()

    def run(self, statement: Executable) -> int:
        """Write; the number of rows.

        Raises: OutOfScope in a transaction that reads.
        """
        if not self.writing:
            raise OutOfScope("A transaction that reads cannot write")
        return self.connection.execute(statement).rowcount

    def mine(self, table: Table) -> Any:
        """The condition that holds a table to this clinic; every statement needs it."""
        return (table.c.id if table is tables.clinics else table.c.clinic_id) == self.clinic_id

    def insert(self, table: Table, row: Row) -> None:
        """A new row, told in the next audit event."""
        full = {"clinic_id": self.clinic_id, **row}
        if not self.writing:
            raise OutOfScope("A transaction that reads cannot write")
        self.connection.execute(insert(table), [full])  # beside the statement: one that is the same costs least
        self._tell(table, full)

    def change(self, statement: Update, table: Table, row: Row, *, what: str) -> None:
        """Change one row, which must be there as expected; `row` is the whole row after it.

        Raises: Conflict if it is not: somebody changed it first.
        """
        if self.run(statement) != 1:
            raise Outdated(f"{what} was changed by somebody else in the meantime", next_step="Load it again and repeat")
        self._tell(table, {"clinic_id": self.clinic_id, **row})

    def event(
        self, action: str, *, patient_id: str | None = None, subject: str | None = None, **detail: str | int | bool
    ) -> None:
        """An audit event: it tells of everything written since the last one.

        `action` is a word of the program ("score.recorded"), never text that somebody typed; `detail` holds ids,
        counts and words, never anything that identifies a patient.
        """
        self._events.append(
            chain.NewEvent(
                at=self.now,
                by=self.by,
                action=action,
                patient_id=patient_id,
                subject=subject,
                detail=detail,
                writes=tuple(self._pending),
            )
        )
        self._pending = []

    def patient_key(self, patient_id: str) -> bytes | None:
        """The key that seals a patient's data; None after erasure.

        Raises: NotFound for a patient nobody knows; KeysRefused, RecordsDamaged if the clinic's key does not open it.
        """
        if patient_id not in self._keys:
            keys = tables.patient_keys
            row = self.one(select(keys).where(self.mine(keys), keys.c.patient_id == patient_id))
            if row is None:
                self._check_erased(patient_id)
                return None
            self._open_key(row)
        return self._keys[patient_id]

    def open_keys(self, patient_ids: Iterable[str | None]) -> None:
        """Unwrap the keys of several patients at once, for what is read of all of them."""
        wanted = {each for each in patient_ids if each is not None} - self._keys.keys()
        keys, ids = tables.patient_keys, sorted(wanted) if len(wanted) > 1 else []
        for begin in range(0, len(ids), AT_ONCE):
            some = keys.c.patient_id.in_(ids[begin : begin + AT_ONCE])
            for row in self.rows(select(keys).where(self.mine(keys), some)):
                self._open_key(row)

    def _open_key(self, row: Row) -> None:
        wrapped, patient_id = WrappedKey(key_id=row["key_id"], wrapped=row["wrapped"]), row["patient_id"]
        self._keys[patient_id] = unwrap(self.store.keys.clinic, wrapped, self.clinic_id, patient_id)

    def keep_key(self, patient_id: str, key: bytes) -> None:
        """The key of a patient who is new in this transaction."""
        self._keys[patient_id] = key

    def forget_key(self, patient_id: str) -> None:
        """The key of a patient who is erased in this transaction."""
        self._keys.pop(patient_id, None)

    def replay(self, events: Sequence[chain.NewEvent]) -> None:
        """Events of a clinic that is brought in, before its own: who did them and when is as it was."""
        self._events = [*events, *self._events]

    def finish(self) -> None:
        """Write the audit events, with the head of the chain locked last.

        Raises: OutOfScope if something was written that no event tells of.
        """
        if self._pending:
            tables_told = ", ".join(sorted({write.table for write in self._pending}))
            raise OutOfScope("Something was written without an audit event", observed=tables_told)
        if self._events:
            self._append(self._events)

    def _append(self, events: Sequence[chain.NewEvent]) -> None:
        """Put events at the end of the chain; its head is locked here, last of all, until the transaction ends."""
        heads, ring = tables.audit_heads, self.store.keys.audit
        head = self.one(select(heads).where(self.mine(heads)).with_for_update())
        if head is None:
            raise NotFound("There is no such clinic", observed=self.clinic_id)
        seq, mac = int(head["seq"]), bytes(head["mac"])
        rows = []
        for each in events:
            seq += 1
            row: dict[str, Any] = chain.event_row(self.clinic_id, seq, each, ring.current)
            mac = chain.chain_mac(ring, row, mac)
            rows.append({**row, "mac": mac})
        self.connection.execute(insert(tables.audit_events), rows)
        self.run(update(heads).where(self.mine(heads)).values(seq=seq, mac=mac))

    def _tell(self, table: Table, row: Row) -> None:
        self._pending.append(chain.write_of(table, row))
        kind, patient_id = row.get("kind"), row.get("patient_id")
        if kind is not None and patient_id is not None:
            self.touched.add((kind, patient_id))

    def _check_erased(self, patient_id: str) -> None:
        patients = tables.patients
        row = self.one(select(patients.c.erased_at).where(self.mine(patients), patients.c.id == patient_id))
        if row is None:
            raise NotFound("There is no such patient", observed=patient_id)
        if row["erased_at"] is None:
            raise RecordsDamaged(
                "A patient's key is missing",
                observed=patient_id,
                next_step="Run 'afterglow audit verify', then restore the last backup",
            )


def open_store(settings: Settings, kinds: Mapping[str, type], *, synced: bool = True) -> Store:
    """The store of an installation; `synced` as in `open_engine`.

    Raises: InputError, StoreOutdated, StoreUnavailable, KeysRefused.
    """
    engine = open_engine(settings.url, busy_timeout_s=settings.busy_timeout_s, synced=synced)
    check_schema(engine)
    return Store(
        engine=engine,
        keys=load_keys(settings.keys),
        kinds=kinds,
        anchors=settings.anchors,
        spool=settings.spool,
        busy_timeout_s=settings.busy_timeout_s,
        attachment_limit_mb=settings.attachment_limit_mb,
        public_url=settings.public_url,
    )


_ids_lock = Lock()
_last_ms = 0


def new_id() -> str:
    """An id that nobody can guess and that sorts by the time it was made: 48 bits of ms, 16 of order, 64 of chance."""
    global _last_ms  # noqa: PLW0603  the order within a process, also when its clock is set back
    with _ids_lock:
        _last_ms = max(_last_ms + 1, time.time_ns() // 1_000_000 << 16)
        head = _last_ms
    return f"{head:016x}{os.urandom(_ID_RANDOM_BYTES).hex()}"


def kind_name(store: Store, kind: type) -> str:
    """The name under which a class is stored.

    Raises: InvalidData if the store does not know it.
    """
    for name, known in store.kinds.items():
        if known is kind:
            return name
    raise InvalidData(f"{kind.__name__} is no kind of record", next_step="Add it to the kinds of the store")


def check_clinic(clinic: Clinic) -> None:
    """Refuse a name that no page can show and a time zone that nobody knows.

    Raises: InputError.

    >>> check_clinic(Clinic(id="north", name="North clinic", time_zone="Europe/Zurich"))
    """
    try:
        ZoneInfo(clinic.time_zone)
    except (ZoneInfoNotFoundError, ValueError, OSError):  # a folder of zones is no zone either
        raise InputError(
            "The clinic's time zone is unknown", observed=repr(clinic.time_zone[:64]), allowed="as in Europe/Zurich"
        ) from None
    name = clinic.name
    if not 1 <= len(name) <= _LONGEST_NAME or name != name.strip() or not name.isprintable():
        raise InputError(
            "The clinic's name is refused",
            observed=f"{len(name)} characters",
            allowed=f"1 to {_LONGEST_NAME} on one line, without blanks around them",
            next_step="Give a name as staff know it",
        )


def _check_id(text: str, *, what: str) -> None:
    if not text or len(text) > 64 or not all(c.isascii() and (c.isalnum() or c in "-_.:") for c in text):
        raise InputError(f"{what} is refused", observed=f"{len(text)} characters", allowed="1 to 64 of a-z 0-9 - _ . :")


def _clinic_of(row: Row) -> Clinic:
    return Clinic(id=row["id"], name=row["name"], time_zone=row["time_zone"], synthetic=row["synthetic"])
