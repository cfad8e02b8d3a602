"""Credentials, login sessions, failed tries and answered requests."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from afterglow.store.migrations.walls import wall_off
from afterglow.store.tables import UtcTime

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

_ID = sa.String(64)


def upgrade() -> None:
    """Make the tables of logins; nobody has credentials yet."""
    _table(
        "credentials",
        sa.Column("person_id", _ID, nullable=False),
        sa.Column("version", sa.Integer, nullable=False),
        sa.Column("key_id", sa.String(16), nullable=False),
        sa.Column("sealed", sa.LargeBinary, nullable=False),
        key=("person_id",),
    )
    _table(
        "login_sessions",
        sa.Column("digest", sa.String(64), nullable=False),
        sa.Column("person_id", _ID, nullable=False),
        sa.Column("started_at", UtcTime, nullable=False),
        sa.Column("seen_at", UtcTime, nullable=False),
        sa.Column("signed_at", UtcTime),
        sa.Column("ended_at", UtcTime),
        key=("digest",),
    )
    op.create_index("ix_login_sessions_clinic_id_person_id", "login_sessions", ["clinic_id", "person_id"])
    _table(
        "tries",
        sa.Column("bucket", sa.String(64), nullable=False),
        sa.Column("failures", sa.Integer, nullable=False),
        sa.Column("last_at", UtcTime, nullable=False),
        key=("bucket",),
    )
    _table(
        "request_keys",
        sa.Column("person_id", _ID, nullable=False),
        sa.Column("key", sa.String(64), nullable=False),
        sa.Column("digest", sa.String(64), nullable=False),
        sa.Column("at", UtcTime, nullable=False),
        sa.Column("result", sa.LargeBinary, nullable=False),
        key=("person_id", "key"),
    )


def _table(name: str, *columns: sa.Column[object], key: tuple[str, ...]) -> None:
    op.create_table(
        name,
        sa.Column("clinic_id", _ID, nullable=False),
        *columns,
        sa.PrimaryKeyConstraint("clinic_id", *key, name=f"pk_{name}"),
    )
    wall_off(name)
