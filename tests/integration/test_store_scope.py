"""The wall between clinics: every table, every kind of statement, on both databases."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psycopg
import pytest
from sqlalchemy import and_, delete, exists, func, insert, literal_column, or_, select, text, union, update
from tests.integration.stores import BY, POSTGRES, new_postgres, new_store

from afterglow.errors import OutOfScope, StoreFault
from afterglow.store import scope, tables
from afterglow.store.chain import DIGESTED
from afterglow.store.engine import SCHEMA, check_schema, open_engine
from afterglow.store.records import Store
from afterglow.store.scope import check_scope

SCOPED = [table for table in tables.metadata.sorted_tables if table not in tables.UNSCOPED]
F, H = tables.facts.alias(), tables.heads


def test_every_table_is_walled_or_named_as_the_installations() -> None:
    assert {table.name for table in tables.UNSCOPED} == {"clinics"}
    for table in SCOPED:
        assert "clinic_id" in table.primary_key.columns
    untold = {table.name for table in SCOPED} - set(DIGESTED)
    passing = {table.name for table in tables.PASSING}
    assert untold == {"patient_keys", "search_index", "audit_events", "audit_heads", "credentials"} | passing


@pytest.mark.parametrize("table", SCOPED, ids=lambda table: table.name)
def test_no_table_is_read_or_written_without_its_clinic(store: Store, table: Any) -> None:
    row = {column.name: None for column in table.c} | {"clinic_id": "south"}
    first = next(iter(table.c))
    for statement in (
        select(table),
        select(table).where(table.c.clinic_id == "south"),
        select(table).where(table.c.clinic_id.in_(["north", "south"])),
        select(table).where(or_(table.c.clinic_id == "north", first == "x")),
        select(table).where(table.c.clinic_id != "south"),
        select(table).where(table.c.clinic_id == table.c.clinic_id),
        select(func.count()).select_from(table),
        update(table).values({first: "x"}),
        delete(table),
        delete(table).where(table.c.clinic_id == "south"),
        insert(table).values(row),
        insert(table).values([row, row]),
        insert(table).from_select(["clinic_id"], select(literal_column("'north'"))),
    ):
        with pytest.raises(OutOfScope), store.write("north", by=BY) as tx:
            tx.run(statement)
    with pytest.raises(OutOfScope), store.write("north", by=BY) as tx:
        tx.connection.execute(insert(table), [row])


def mine(table: Any) -> Any:
    return table.c.clinic_id == "north"


@pytest.mark.parametrize(
    ("statement", "allowed"),
    [
        (select(F).where(mine(F)), True),
        (select(F.c.id).where(and_(mine(F), and_(F.c.id == "x", F.c.kind == "y"))), True),
        (select(F).join(H, and_(H.c.id == F.c.subject, mine(H))).where(mine(F)), True),
        (select(F).join(H, H.c.id == F.c.subject).where(mine(F)), False),
        (select(F).outerjoin(H, and_(H.c.id == F.c.subject, mine(H))).where(mine(F)), False),
        (select(F).where(mine(F), mine(H), F.c.id == H.c.id), True),
        (select(F).where(mine(F), F.c.id == H.c.id), False),
        (select(F).where(mine(F), exists(select(H.c.id).where(H.c.id == F.c.id, mine(H)))), True),
        (select(F).where(mine(F), exists(select(H.c.id).where(H.c.id == F.c.id))), False),
        (select(F).where(mine(F), F.c.id.in_(select(H.c.id))), False),
        (select(select(F).where(mine(F)).subquery()), True),
        (select(select(F).subquery()), False),
        (select(select(F).cte()), False),
        (union(select(F.c.id), select(H.c.id)), False),
        (select(tables.clinics), True),
        (text("SELECT 1"), False),
        (select(text("1")).select_from(text("facts")), False),
    ],
    ids=str,
)
def test_each_table_of_a_statement_is_held(store: Store, statement: Any, allowed: bool) -> None:  # noqa: FBT001
    with store.read("north") as tx:
        if allowed:
            tx.rows(statement)
        else:
            with pytest.raises(OutOfScope):
                tx.rows(statement)


@pytest.mark.parametrize("table", SCOPED, ids=lambda table: table.name)
def test_a_structure_that_passed_for_one_clinic_passes_for_no_other(table: Any) -> None:
    first = next(each for each in table.c if each.name != "clinic_id")
    for build in (
        lambda clinic, value: select(table).where(table.c.clinic_id == clinic, first == value),
        lambda clinic, value: update(table).where(table.c.clinic_id == clinic).values({first: value}),
        lambda clinic, value: delete(table).where(table.c.clinic_id == clinic, first == value),
    ):
        for _ in range(2):
            check_scope(build("north", "x"), "north")
            check_scope(build("south", "x"), "south")
            check_scope(build("north", "north"), "north")
            for clinic, value in (("south", "x"), ("south", "north"), ("x", "north")):
                with pytest.raises(OutOfScope):
                    check_scope(build(clinic, value), "north")
            with pytest.raises(OutOfScope):
                check_scope(build("north", "x"), None)


def test_what_passed_is_forgotten_in_time(monkeypatch: pytest.MonkeyPatch) -> None:
    kept: dict[Any, tuple[int, ...]] = {}
    monkeypatch.setattr(scope, "_PASSED", kept)
    monkeypatch.setattr(scope, "_MOST_KEPT", 2)
    for column in list(H.c)[:5]:
        check_scope(select(column).where(H.c.clinic_id == "north"), "north")
    assert 1 <= len(kept) <= 2


def test_sql_as_text_is_refused(store: Store) -> None:
    with store.read("north") as tx, pytest.raises(OutOfScope, match="SQL as text"):
        tx.connection.exec_driver_sql("SELECT * FROM facts")


def test_the_installations_tables_need_no_clinic_but_a_change_of_schema_is_refused(store: Store) -> None:
    with pytest.raises(OutOfScope), store.write("north", by=BY) as tx:
        tables.facts.drop(tx.connection)


def test_row_security_is_the_second_wall(tmp_path: Path) -> None:
    """Behind the hook, with SQL of one's own, PostgreSQL still shows and takes rows of the clinic alone."""
    url = new_postgres()
    store = new_store(url, tmp_path)
    with psycopg.connect(url) as connection:
        for table in SCOPED:
            assert connection.execute(f"SELECT count(*) FROM {table.name}".encode()).fetchone() == (0,)
            policies = connection.execute(
                "SELECT relrowsecurity AND relforcerowsecurity FROM pg_class WHERE relname = %s", (table.name,)
            ).fetchone()
            assert policies == (True,), table.name
        connection.execute("SELECT set_config('afterglow.clinic', 'north', true)")
        assert connection.execute("SELECT count(*) FROM audit_events").fetchone() == (1,)
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            connection.execute("INSERT INTO patients VALUES ('south', 'p', 1, %s, NULL, '')", (datetime.now(UTC),))
    store.engine.dispose()


def test_a_user_who_passes_through_row_security_is_refused(tmp_path: Path) -> None:
    url = new_postgres()
    new_store(url, tmp_path).engine.dispose()
    name = url.rsplit("/", 1)[1]
    with psycopg.connect(POSTGRES, autocommit=True) as admin:
        admin.execute(f"ALTER ROLE {name} BYPASSRLS".encode())
    engine = open_engine(url)
    with pytest.raises(StoreFault, match="passes through"):
        check_schema(engine)
    engine.dispose()


def test_the_migrations_end_at_the_revision_of_this_version_with_these_tables(store: Store) -> None:
    """What Alembic would still change: nothing."""
    from alembic.autogenerate import compare_metadata  # noqa: PLC0415
    from alembic.migration import MigrationContext  # noqa: PLC0415

    options = {"afterglow_own_sql": True}
    with store.engine.connect().execution_options(**options) as connection:
        context = MigrationContext.configure(connection)
        assert context.get_current_revision() == SCHEMA
        assert compare_metadata(context, tables.metadata) == []
