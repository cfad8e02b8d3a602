"""A disk that is full or read-only, a database that another program holds: a clear error, and nothing lost."""

from __future__ import annotations

import os
import sqlite3
import threading
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import psycopg
import pytest
from tests.integration.stores import BY, Chair, new_postgres, new_store

from afterglow.errors import InputError, StoreOutdated, StoreUnavailable
from afterglow.store import audit, facts
from afterglow.store.engine import check_schema, open_engine, wait_until_reachable
from afterglow.store.records import Store

AT = datetime(2026, 1, 5, 9, tzinfo=UTC)


@pytest.fixture
def small(tmp_path: Path) -> Iterator[Store]:
    made = new_store(f"sqlite:///{tmp_path / 'records.db'}", tmp_path)
    yield made
    made.engine.dispose()


def write(store: Store, size: int = 1) -> None:
    with store.write("north", by=BY) as tx:
        facts.write(tx, Chair(name="x" * size), at=AT)
        tx.event("chair.added")


def count(store: Store) -> int:
    with store.read("north") as tx:
        return len(facts.standing(tx, Chair))


def test_a_full_disk_is_told_and_loses_nothing(small: Store) -> None:
    write(small)
    own = {"afterglow_own_sql": True}
    with small.engine.connect().execution_options(**own) as connection:
        pages = connection.exec_driver_sql("PRAGMA page_count").scalar_one()
    small.engine.dispose()

    def limit(connection: sqlite3.Connection, _: object) -> None:
        connection.execute(f"PRAGMA max_page_count={pages + 2}")

    from sqlalchemy import event  # noqa: PLC0415

    event.listen(small.engine, "connect", limit)
    with pytest.raises(StoreUnavailable, match="disk is full"):
        write(small, 1_000_000)
    event.remove(small.engine, "connect", limit)
    small.engine.dispose()
    assert count(small) == 1
    write(small)
    assert audit.verify(small, "north").faults == ()


def test_a_read_only_database_is_told_and_stays_readable(small: Store) -> None:
    write(small)
    from sqlalchemy import event  # noqa: PLC0415

    small.engine.dispose()
    event.listen(small.engine, "connect", lambda connection, _: connection.execute("PRAGMA query_only=ON"))
    with pytest.raises(StoreUnavailable, match="read-only"):
        write(small)
    assert count(small) == 1


def test_another_program_that_writes_is_waited_for_and_then_told(tmp_path: Path, small: Store) -> None:
    other = sqlite3.connect(tmp_path / "records.db", isolation_level=None, check_same_thread=False)
    other.execute("BEGIN IMMEDIATE")
    threading.Timer(0.5, lambda: other.execute("COMMIT")).start()
    write(small)
    assert count(small) == 1
    quick = open_engine(str(small.engine.url), busy_timeout_s=0.2)
    other.execute("BEGIN IMMEDIATE")
    impatient = Store(
        engine=quick,
        keys=small.keys,
        kinds=small.kinds,
        anchors=small.anchors,
        spool=small.spool,
        busy_timeout_s=0.2,
    )
    with pytest.raises(StoreUnavailable, match="another program is writing"):
        write(impatient)
    other.execute("ROLLBACK")
    other.close()
    with small.write("north", by=BY) as tx:
        tx.event("read")
        told = []

        def second() -> None:
            try:
                write(impatient)
            except StoreUnavailable as error:
                told.append(error.message)

        thread = threading.Thread(target=second)
        thread.start()
        thread.join()
    assert "busy" in told[0]
    quick.dispose()


def test_a_locked_row_of_postgresql_is_told(tmp_path: Path) -> None:
    url = new_postgres()
    store = new_store(url, tmp_path)
    engine = open_engine(url, busy_timeout_s=0.2)
    impatient = Store(engine=engine, keys=store.keys, kinds=store.kinds, anchors=tmp_path, spool=tmp_path)
    with psycopg.connect(url) as other:
        other.execute("SELECT set_config('afterglow.clinic', 'north', true)")
        other.execute("SELECT * FROM audit_heads FOR UPDATE")
        with pytest.raises(StoreUnavailable):
            write(impatient)
    write(impatient)
    engine.dispose()
    store.engine.dispose()


def test_a_server_that_is_away_is_told(tmp_path: Path) -> None:
    engine = open_engine("postgresql://nobody:secret@127.0.0.1:9/none")
    with pytest.raises(StoreUnavailable) as told:
        wait_until_reachable(engine, seconds=0.3)
    assert "secret" not in told.value.message
    empty = open_engine(f"sqlite:///{tmp_path / 'empty.db'}")
    with pytest.raises(StoreOutdated, match="no records"):
        check_schema(empty)
    assert not (tmp_path / "empty.db").exists()


@pytest.mark.parametrize("url", ["", "nonsense", "mysql://a:secret@b/c", "sqlite://", "sqlite:///:memory:", "x://y"])
def test_an_address_of_another_kind_is_refused_without_being_shown(url: str) -> None:
    with pytest.raises(InputError, match="AFTERGLOW_DATABASE_URL") as refused:
        open_engine(url)
    assert "secret" not in refused.value.message


@pytest.mark.usefixtures("open_umask")
def test_the_records_are_for_their_owner_alone(tmp_path: Path) -> None:
    made = new_store(f"sqlite:///{tmp_path / 'records.db'}", tmp_path)
    try:
        write(made)
        with made.read("north"):
            modes = {file.name: file.stat().st_mode & 0o777 for file in tmp_path.glob("records.db*")}
    finally:
        made.engine.dispose()
    assert modes == {"records.db": 0o600, "records.db-wal": 0o600, "records.db-shm": 0o600}


@pytest.fixture
def open_umask() -> Iterator[None]:
    before = os.umask(0o022)
    yield
    os.umask(before)
