"""What each table gets besides its columns: immutability by trigger, and row security on PostgreSQL."""

from __future__ import annotations

from alembic import op


def wall_off(table: str) -> None:
    """PostgreSQL: rows of a table are seen and written in their own clinic only, by its owner too."""
    if op.get_bind().dialect.name != "postgresql":
        return
    op.execute(f"ALTER TABLE {table} ENABLE ROW LEVEL SECURITY")
    op.execute(f"ALTER TABLE {table} FORCE ROW LEVEL SECURITY")
    own = "clinic_id = current_setting('afterglow.clinic', true)"
    op.execute(f"CREATE POLICY clinic_wall ON {table} USING ({own}) WITH CHECK ({own})")


def make_immutable(table: str) -> None:
    """Rows of a table are written once: a change or a deletion is refused by the database."""
    if op.get_bind().dialect.name == "sqlite":
        for change in ("UPDATE", "DELETE"):
            op.execute(
                f"CREATE TRIGGER {table}_no_{change.lower()} BEFORE {change} ON {table} "
                f"BEGIN SELECT RAISE(ABORT, '{table} are written once'); END"
            )
        return
    op.execute(
        "CREATE OR REPLACE FUNCTION afterglow_written_once() RETURNS trigger LANGUAGE plpgsql AS "
        "$$ BEGIN RAISE EXCEPTION '% are written once', TG_TABLE_NAME; END $$"
    )
    op.execute(
        f"CREATE TRIGGER {table}_written_once BEFORE UPDATE OR DELETE OR TRUNCATE ON {table} "
        "FOR EACH STATEMENT EXECUTE FUNCTION afterglow_written_once()"
    )
