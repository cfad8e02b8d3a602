"""The database: one schema on SQLite or PostgreSQL, opened so that what was acknowledged is never lost."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from alembic import command
from alembic.config import Config
from sqlalchemy import Connection, Engine, create_engine, event, inspect
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import (
    ArgumentError,
    DBAPIError,
    IntegrityError,
    NoSuchModuleError,
    OperationalError,
    SQLAlchemyError,
)

from afterglow.errors import Conflict, InputError, StoreFault, StoreOutdated, StoreUnavailable
from afterglow.store.scope import CLINIC_OPTION, OWN_SQL, guard
from afterglow.store.tables import SCHEMA_TABLE

SCHEMA = "0002"
"""The revision that this version of Afterglow reads and writes."""

WRITING = "afterglow_writing"
_MIGRATIONS = Path(__file__).parent / "migrations"
_LOCKS: dict[str, threading.Lock] = {}
_LOCKS_GUARD = threading.Lock()


def open_engine(url: str, *, busy_timeout_s: float = 10.0, synced: bool = True) -> Engine:
    """An engine on the database of an address, with the wall between clinics on it.

    SQLite: write-ahead log, every commit synced to disk, foreign keys. PostgreSQL: psycopg 3. `synced` False is for
    made-up records alone, which can be made again after a power cut.
    Raises: InputError for an address that is neither; it is not shown, as it may hold a password.
    """
    address = _address(url)
    sqlite = address.get_backend_name() == "sqlite"
    timeout: dict[str, Any] = {"timeout": busy_timeout_s, "check_same_thread": False} if sqlite else {}
    engine = create_engine(address, hide_parameters=True, connect_args=timeout, pool_size=10, max_overflow=50)
    if sqlite:
        event.listen(engine, "do_connect", _make_private)
        event.listen(engine, "connect", _prepare_sqlite(synced=synced))
    else:
        event.listen(engine, "connect", _prepare_postgres(busy_timeout_s))
    event.listen(engine, "begin", _begin_sqlite if sqlite else _begin_postgres)
    guard(engine)
    return engine


def _address(url: str) -> URL:
    try:
        address = make_url(url)
        backend = address.get_backend_name()
    except (ArgumentError, NoSuchModuleError):
        backend = "?"
    if backend == "postgresql":
        return address.set(drivername="postgresql+psycopg")
    if backend == "sqlite" and address.database not in {None, "", ":memory:"}:
        return address.set(drivername="sqlite+pysqlite")
    raise InputError(
        "AFTERGLOW_DATABASE_URL is refused", allowed="sqlite:///FILE or postgresql://USER:PASSWORD@HOST/NAME"
    )


def _make_private(dialect: object, record: object, where: Sequence[Any], how: object) -> None:
    """Make a new database's file for its owner alone; SQLite gives -wal and -shm the same mode."""
    del dialect, record, how
    with suppress(OSError):  # there already, or no place for it, which SQLite itself then says
        os.close(os.open(where[0], os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600))


def _prepare_sqlite(*, synced: bool) -> Any:
    synchronous = f"synchronous={'FULL' if synced else 'OFF'}"

    def prepare(connection: Any, record: object) -> None:
        del record
        connection.isolation_level = None  # Afterglow says BEGIN itself: the driver's own is never IMMEDIATE
        cursor = connection.cursor()
        for pragma in ("journal_mode=WAL", synchronous, "foreign_keys=ON", "secure_delete=ON"):
            cursor.execute(f"PRAGMA {pragma}")
        cursor.close()

    return prepare


def _begin_sqlite(connection: Connection) -> None:
    writing = connection.get_execution_options().get(WRITING)
    _own(connection, "BEGIN IMMEDIATE" if writing else "BEGIN")


def _prepare_postgres(busy_timeout_s: float) -> Any:
    def prepare(connection: Any, record: object) -> None:
        del record
        connection.execute(f"SET lock_timeout = {int(1000 * busy_timeout_s)}")
        connection.commit()

    return prepare


def _begin_postgres(connection: Connection) -> None:
    enter_clinic(connection, connection.get_execution_options().get(CLINIC_OPTION) or "")


def enter_clinic(connection: Connection, clinic_id: str) -> None:
    """From here on the transaction is in this clinic, for the hook and for PostgreSQL's row security."""
    connection.execution_options(**{CLINIC_OPTION: clinic_id or None})
    if connection.dialect.name == "postgresql":
        options = {OWN_SQL: True}
        connection.exec_driver_sql(
            "SELECT set_config('afterglow.clinic', %s, true)", (clinic_id,), execution_options=options
        )


def _own(connection: Connection, sql: str) -> Any:
    return connection.exec_driver_sql(sql, execution_options={OWN_SQL: True})


@contextmanager
def transaction(
    engine: Engine, clinic_id: str | None, *, writing: bool, busy_timeout_s: float, snapshot: bool = False
) -> Iterator[Connection]:
    """One transaction in one clinic; all of it is written, or nothing.

    With `snapshot` every read sees the same moment, also where several statements read.
    On SQLite writes stand in line in this process (one lock), then for other programs (BEGIN IMMEDIATE).
    Raises: StoreUnavailable if the database is full, read-only, locked or unreachable; Conflict if the database itself
        sees that somebody was first; StoreFault for anything else that it refuses.
    """
    with _turn(engine, writing=writing, busy_timeout_s=busy_timeout_s), translated():
        options: dict[str, Any] = {CLINIC_OPTION: clinic_id, WRITING: writing}
        if snapshot and engine.dialect.name == "postgresql":  # on SQLite every transaction is of one moment
            options |= {"isolation_level": "REPEATABLE READ", "postgresql_readonly": True}  # said with BEGIN itself
        with engine.connect().execution_options(**options) as connection, connection.begin():
            yield connection


@contextmanager
def _turn(engine: Engine, *, writing: bool, busy_timeout_s: float) -> Iterator[None]:
    if not writing or engine.dialect.name != "sqlite":
        yield
        return
    file = str(Path(str(engine.url.database)).absolute())
    with _LOCKS_GUARD:
        lock = _LOCKS.setdefault(file, threading.Lock())
    if not lock.acquire(timeout=busy_timeout_s):
        raise StoreUnavailable(
            "The records are busy", observed=f"no turn within {busy_timeout_s:g} s", next_step="Try again"
        )
    try:
        yield
    finally:
        lock.release()


@contextmanager
def translated() -> Iterator[None]:
    """The database's errors as Afterglow's; what the database said may quote values, so only its kind is told."""
    try:
        yield
    except IntegrityError:
        raise Conflict(
            "The records were changed by somebody else at the same time", next_step="Load them again and repeat"
        ) from None
    except OperationalError as fault:
        raise StoreUnavailable(
            "The records cannot be reached or written", observed=_reason(fault), next_step=_advice(fault)
        ) from None
    except DBAPIError as fault:
        if "read only" in str(fault.orig) or "read-only" in str(fault.orig):
            raise StoreUnavailable("The records are read-only", next_step="Free or remount the disk") from None
        raise StoreFault("The database refuses this", observed=type(fault.orig).__name__) from None
    except SQLAlchemyError as fault:
        raise StoreFault("The database cannot do this", observed=type(fault).__name__) from None


_REASONS = (
    ("database or disk is full", "the disk is full", "Free some space; nothing was lost"),
    ("readonly", "the database is read-only", "Make its folder writable; nothing was lost"),
    ("locked", "another program is writing", "Try again"),
    ("lock timeout", "another program is writing", "Try again"),
    ("unable to open", "the file cannot be opened", "Check AFTERGLOW_DATABASE_URL and the folder's owner"),
    ("no space left", "the disk is full", "Free some space; nothing was lost"),
    ("no such table", "there are no records in this database", "Run 'afterglow records create'"),
    (
        "disk i/o",
        "the disk fails",
        "Free some space first: what was written is kept. Restore a backup only where the disk is damaged",
    ),
)


def _reason(fault: OperationalError) -> str:
    said = str(fault.orig).lower()
    return next((reason for sign, reason, _ in _REASONS if sign in said), "the database does not answer")


def _advice(fault: OperationalError) -> str:
    said = str(fault.orig).lower()
    return next((advice for sign, _, advice in _REASONS if sign in said), "Check that it runs, then try again")


def schema_of(engine: Engine) -> str | None:
    """The revision that a database is at; None for an empty one.

    Raises: StoreUnavailable.
    """
    if engine.dialect.name == "sqlite" and not Path(str(engine.url.database)).exists():
        return None  # looking would make an empty file
    with translated(), engine.connect().execution_options(**{OWN_SQL: True}) as connection:
        if not inspect(connection).has_table(SCHEMA_TABLE):
            return None
        row = _own(connection, f"SELECT version_num FROM {SCHEMA_TABLE}").first()  # noqa: S608  a constant
        return None if row is None else str(row[0])


def check_schema(engine: Engine) -> None:
    """Refuse a database that is empty or of another version.

    Raises: StoreOutdated, StoreUnavailable.
    """
    found = schema_of(engine)
    if found != SCHEMA:
        raise StoreOutdated(
            "The database is of another version" if found else "There are no records in this database",
            observed=f"revision {found}" if found else "an empty database",
            allowed=f"revision {SCHEMA}",
            next_step="Run 'afterglow records upgrade' after a backup" if found else "Run 'afterglow records create'",
        )
    if engine.dialect.name == "postgresql":
        _check_role(engine)


def _check_role(engine: Engine) -> None:
    with translated(), engine.connect() as connection:
        row = _own(connection, "SELECT rolsuper OR rolbypassrls FROM pg_roles WHERE rolname = current_user").first()
    if row is None or row[0]:
        raise StoreFault(
            "The database's user is refused",
            observed="it passes through row security",
            allowed="a user without SUPERUSER and BYPASSRLS",
            next_step="Create one with 'CREATE ROLE afterglow LOGIN' and use it in AFTERGLOW_DATABASE_URL",
        )


def upgrade(engine: Engine, revision: str = "head") -> None:
    """Bring a database to a revision, from nothing or from an older one; all of it or nothing.

    Raises: StoreFault, StoreUnavailable.
    """
    config = Config()
    config.set_main_option("script_location", str(_MIGRATIONS))
    options = {OWN_SQL: True, WRITING: True}
    with (
        _turn(engine, writing=True, busy_timeout_s=60.0),
        translated(),
        engine.connect().execution_options(**options) as connection,
        connection.begin(),
    ):
        config.attributes["connection"] = connection
        command.upgrade(config, revision)


def wait_until_reachable(engine: Engine, *, seconds: float) -> None:
    """Wait for a database that is starting.

    Raises: StoreUnavailable when the time is over.
    """
    end = time.monotonic() + seconds
    while True:
        try:
            schema_of(engine)
        except StoreUnavailable:
            if time.monotonic() > end:
                raise
            time.sleep(0.2)
        else:
            return
