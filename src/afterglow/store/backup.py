"""Backup while running, and restore: the rows of every clinic as they lie, sealed; the keys are not in it.

One format for SQLite and PostgreSQL, so that a backup of the one can be restored into the other. All rows are of one
moment. A restore goes into an empty database, all or nothing, at the revision of the backup, and is then upgraded.
"""

from __future__ import annotations

import base64
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from sqlalchemy import Boolean, Column, Connection, Integer, LargeBinary, MetaData, Table, Text, insert, select

from afterglow.errors import Conflict, RecordsDamaged
from afterglow.store import audit, patients, tables
from afterglow.store.archive import Reader, new_archive
from afterglow.store.codec import read_time, write_time
from afterglow.store.engine import SCHEMA, enter_clinic, open_engine, schema_of, transaction, upgrade
from afterglow.store.records import Store
from afterglow.store.scope import OWN_SQL
from afterglow.store.tables import UtcTime

_PURPOSE = "backup"
_BATCH = 1_000
_KINDS = ((LargeBinary, "bytes"), (UtcTime, "time"), (Boolean, "flag"), (Integer, "whole"))
_TYPES: dict[str, Any] = {"bytes": LargeBinary, "time": UtcTime, "flag": Boolean, "whole": Integer, "text": Text}


@dataclass(frozen=True, slots=True, kw_only=True)
class Restored:
    """What a restore brought back, and what its check found."""

    made_at: datetime
    schema: str
    rows: int
    erased_again: int
    verified: tuple[audit.Verification, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class BackedUp:
    """What a backup holds, and the patients that the keys do not open: it is then no backup of them.

    Args:
        unopened: clinic and patient with what hinders, in words.
    """

    rows: int
    unopened: tuple[tuple[str, str], ...]


def back_up(store: Store, file: Path) -> BackedUp:
    """Write a backup of the whole installation while it runs, anchor each clinic's trail, and try every patient's key.

    Raises: UnwritableFile, StoreUnavailable.
    """
    count = 0
    with (
        new_archive(file) as archive,
        transaction(
            store.engine, None, writing=False, busy_timeout_s=store.busy_timeout_s, snapshot=True
        ) as connection,
    ):
        ids = [str(row[0]) for row in connection.execute(select(tables.clinics.c.id).order_by(tables.clinics.c.id))]
        count += archive.lines("clinics.jsonl", _rows(connection, tables.clinics, None))
        for clinic_id in ids:
            enter_clinic(connection, clinic_id)
            for table in _walled():
                count += archive.lines(f"{clinic_id}/{table.name}.jsonl", _rows(connection, table, clinic_id))
        about = {
            "afterglow_backup": 1,
            "made_at": write_time(store.clock()),
            "schema": SCHEMA,
            "clinics": ids,
            "tables": [[table.name, _kinds_of(table)] for table in (tables.clinics, *_walled())],
        }
        archive.close(store.keys.audit, _PURPOSE, about)
    unopened: list[tuple[str, str]] = []
    for clinic_id in ids:
        audit.anchor(store, clinic_id)
        with store.read(clinic_id) as tx:
            unopened += [(f"{clinic_id} {patient_id}", what) for patient_id, what in patients.unopened(tx)]
    return BackedUp(rows=count, unopened=tuple(unopened))


def restore(store: Store, file: Path) -> Restored:
    """Bring a backup back into an empty database, repeat the erasures since, and verify every trail.

    Raises: Conflict if the database is not empty; RecordsDamaged if the backup is not whole, with nothing restored;
        KeysRefused if other keys made it.
    """
    backup = Reader(file)
    try:
        backup.check_sign(store.keys.audit, _PURPOSE)
        backup.check_parts()
        if schema_of(store.engine) is not None:
            raise Conflict(
                "The database is not empty; nothing was restored",
                next_step="Restore into a new database, then set AFTERGLOW_DATABASE_URL to it",
            )
        schema = str(backup.manifest["schema"])
        upgrade(store.engine, schema)
        rows = _load(store, backup)
        upgrade(store.engine)
    finally:
        backup.close()
    erased = 0
    here = {clinic.id for clinic in store.clinics()}
    for clinic_id in audit.anchored_clinics(store):
        if clinic_id not in here:  # made after the backup: lost with the database that it replaces
            audit.anchor(store, clinic_id, restored=True)
    for clinic in store.clinics():
        audit.anchor(store, clinic.id, restored=True)
        with store.write(clinic.id, by="program") as tx:
            tx.event("records.restored", made_at=str(backup.manifest["made_at"]))
        erased += _erase_again(store, clinic.id)
        audit.anchor(store, clinic.id)
    return Restored(
        made_at=read_time(backup.manifest["made_at"]),
        schema=schema,
        rows=rows,
        erased_again=erased,
        verified=tuple(audit.verify(store, clinic.id) for clinic in store.clinics()),
    )


def check_backup(store: Store, file: Path) -> Restored:
    """Restore a backup into a database of its own, verify it, open every patient, and throw it away.

    Raises: RecordsDamaged, KeysRefused as `restore`.
    """
    with TemporaryDirectory(prefix="afterglow-") as name:
        folder = Path(name)
        engine = open_engine(f"sqlite:///{folder / 'check.db'}")
        try:
            apart = replace(store, engine=engine, anchors=folder, spool=folder / "spool", cache={})
            return restore(apart, file)
        finally:
            engine.dispose()


def _walled() -> list[Table]:
    left_out = (*tables.UNSCOPED, *tables.PASSING)
    return [table for table in tables.metadata.sorted_tables if table not in left_out]


def _rows(connection: Connection, table: Table, clinic_id: str | None) -> Iterator[dict[str, Any]]:
    query = select(table).order_by(*table.primary_key.columns)
    if clinic_id is not None:
        query = query.where(table.c.clinic_id == clinic_id)
    for row in connection.execute(query, execution_options={"yield_per": _BATCH}).mappings():
        yield {name: _plain(value) for name, value in row.items()}


def _plain(value: Any) -> Any:
    if isinstance(value, bytes):
        return base64.b64encode(value).decode()
    return write_time(value) if isinstance(value, datetime) else value


def _kinds_of(table: Table) -> dict[str, str]:
    return {
        column.name: next((kind for type_, kind in _KINDS if isinstance(column.type, type_)), "text")
        for column in table.columns
    }


def _load(store: Store, backup: Reader) -> int:
    count = 0
    made = {name: _table(name, kinds) for name, kinds in backup.manifest["tables"]}
    with transaction(store.engine, None, writing=True, busy_timeout_s=store.busy_timeout_s) as connection:
        connection.execution_options(**{OWN_SQL: True})  # these tables are of the backup's revision, not of this one
        count += _insert(connection, made["clinics"], backup.lines("clinics.jsonl"))
        for clinic_id in backup.manifest["clinics"]:
            enter_clinic(connection, clinic_id)
            for name, table in made.items():
                if name != "clinics":
                    rows = backup.lines(f"{clinic_id}/{name}.jsonl")
                    count += _insert(connection, table, in_order(rows) if name == "facts" else rows)
    return count


def _table(name: str, kinds: Mapping[str, str]) -> Table:
    return Table(name, MetaData(), *(Column(column, _TYPES[kind]) for column, kind in kinds.items()))


def _insert(connection: Connection, table: Table, rows: Iterable[Mapping[str, Any]]) -> int:
    batch: list[dict[str, Any]] = []
    count = 0
    for row in rows:
        batch.append({name: _value(table.c[name], value) for name, value in row.items()})
        count += 1
        if len(batch) == _BATCH:
            connection.execute(insert(table), batch)
            batch = []
    if batch:
        connection.execute(insert(table), batch)
    return count


def in_order(rows: Iterable[Mapping[str, Any]]) -> Iterator[Mapping[str, Any]]:
    """Facts so that none comes before the one it supersedes.

    Raises: RecordsDamaged if one supersedes a fact that is not there.

    >>> [row["id"] for row in in_order([{"id": "a", "supersedes": "b"}, {"id": "b", "supersedes": None}])]
    ['b', 'a']
    """
    seen: set[str] = set()
    waiting: dict[str, Mapping[str, Any]] = {}
    for row in rows:
        ready: Mapping[str, Any] | None = row
        if row["supersedes"] is not None and row["supersedes"] not in seen:
            waiting[row["supersedes"]] = row
            continue
        while ready is not None:
            yield ready
            seen.add(ready["id"])
            ready = waiting.pop(ready["id"], None)
    if waiting:
        raise RecordsDamaged("A fact supersedes one that is missing", observed=f"{len(waiting)} facts")


def _value(column: Column[Any], value: Any) -> Any:
    if value is None:
        return None
    if isinstance(column.type, LargeBinary):
        return base64.b64decode(value)
    return read_time(value) if isinstance(column.type, UtcTime) else value


def _erase_again(store: Store, clinic_id: str) -> int:
    count = 0
    for patient_id in audit.erasures(store, clinic_id):
        with store.write(clinic_id, by="program") as tx:
            if any(each.id == patient_id and each.identifiers is not None for each in patients.load_all(tx)):
                patients.erase(tx, patient_id)
                tx.event("patient.erased", patient_id=patient_id, again=True)
                count += 1
    return count
