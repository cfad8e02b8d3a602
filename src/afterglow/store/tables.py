"""Every table of the records, for SQLite and PostgreSQL alike; all but `clinics` carry the clinic of their rows."""

from __future__ import annotations

from datetime import UTC, datetime

from sqlalchemy import (
    Boolean,
    Column,
    DateTime,
    Dialect,
    ForeignKeyConstraint,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    Text,
    UniqueConstraint,
)
from sqlalchemy.types import TypeDecorator

from afterglow.errors import InvalidData

metadata = MetaData(
    naming_convention={
        "pk": "pk_%(table_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
    }
)


class UtcTime(TypeDecorator[datetime]):
    """An aware time, kept in UTC to the microsecond; a time without zone is refused."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """To the database: SQLite keeps no zone, so UTC is taken away there."""
        if value is None:
            return None
        if value.tzinfo is None:
            raise InvalidData("A time without zone cannot be stored", next_step="Make it aware UTC at the edge")
        utc = value.astimezone(UTC)
        return utc.replace(tzinfo=None) if dialect.name == "sqlite" else utc

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """From the database, aware UTC."""
        del dialect
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


ID = String(64)

clinics = Table(
    "clinics",
    metadata,
    Column("id", ID, primary_key=True),
    Column("name", Text, nullable=False),
    Column("time_zone", String(64), nullable=False),
    Column("synthetic", Boolean, nullable=False),
    Column("created_at", UtcTime, nullable=False),
)


def _clinic() -> Column[str]:
    return Column("clinic_id", ID, primary_key=True, nullable=False)


def _of_patient() -> ForeignKeyConstraint:
    return ForeignKeyConstraint(["clinic_id", "patient_id"], ["patients.clinic_id", "patients.id"])


patients = Table(
    "patients",
    metadata,
    _clinic(),
    Column("id", ID, primary_key=True),
    Column("version", Integer, nullable=False),
    Column("created_at", UtcTime, nullable=False),
    Column("erased_at", UtcTime),
    Column("sealed", LargeBinary, nullable=False),
    ForeignKeyConstraint(["clinic_id"], ["clinics.id"]),
)

patient_keys = Table(
    "patient_keys",
    metadata,
    _clinic(),
    Column("patient_id", ID, primary_key=True),
    Column("key_id", String(16), nullable=False),
    Column("wrapped", LargeBinary, nullable=False),
    _of_patient(),
)

search_index = Table(
    "search_index",
    metadata,
    _clinic(),
    Column("patient_id", ID, primary_key=True),
    Column("field", String(32), primary_key=True),
    Column("digest", LargeBinary, nullable=False),
    _of_patient(),
    Index(None, "clinic_id", "digest"),
)

facts = Table(
    "facts",
    metadata,
    _clinic(),
    Column("id", ID, primary_key=True),
    Column("kind", String(64), nullable=False),
    Column("patient_id", ID),
    Column("subject", ID),
    Column("at", UtcTime, nullable=False),
    Column("recorded_at", UtcTime, nullable=False),
    Column("recorded_by", ID, nullable=False),
    Column("supersedes", ID),
    Column("entered_in_error", Boolean, nullable=False),
    Column("origin", String(128)),
    Column("body", LargeBinary, nullable=False),
    _of_patient(),
    ForeignKeyConstraint(["clinic_id", "supersedes"], ["facts.clinic_id", "facts.id"]),
    UniqueConstraint("clinic_id", "supersedes"),
    UniqueConstraint("clinic_id", "origin"),
    Index(None, "clinic_id", "patient_id", "kind"),
    Index(None, "clinic_id", "subject", "kind"),
)

heads = Table(
    "heads",
    metadata,
    _clinic(),
    Column("kind", String(64), primary_key=True),
    Column("id", ID, primary_key=True),
    Column("patient_id", ID),
    Column("state", String(32)),
    Column("due_at", UtcTime),
    Column("version", Integer, nullable=False),
    Column("body", LargeBinary, nullable=False),
    _of_patient(),
    Index(None, "clinic_id", "patient_id", "kind"),
    Index(None, "clinic_id", "kind", "state"),
)

attachments = Table(
    "attachments",
    metadata,
    _clinic(),
    Column("id", ID, primary_key=True),
    Column("patient_id", ID, nullable=False),
    Column("subject", ID),
    Column("media_type", String(64), nullable=False),
    Column("size_bytes", Integer, nullable=False),
    Column("recorded_at", UtcTime, nullable=False),
    Column("recorded_by", ID, nullable=False),
    Column("sealed_name", LargeBinary, nullable=False),
    Column("sealed", LargeBinary, nullable=False),
    _of_patient(),
)

audit_events = Table(
    "audit_events",
    metadata,
    _clinic(),
    Column("seq", Integer, primary_key=True, autoincrement=False),
    Column("at", UtcTime, nullable=False),
    Column("by", ID, nullable=False),
    Column("action", String(64), nullable=False),
    Column("patient_id", ID),
    Column("subject", ID),
    Column("detail", Text, nullable=False),
    Column("writes", Text, nullable=False),
    Column("key_id", String(16), nullable=False),
    Column("mac", LargeBinary, nullable=False),
    Index(None, "clinic_id", "patient_id"),
)

audit_heads = Table(
    "audit_heads",
    metadata,
    _clinic(),
    Column("seq", Integer, nullable=False),
    Column("mac", LargeBinary, nullable=False),
    ForeignKeyConstraint(["clinic_id"], ["clinics.id"]),
)

credentials = Table(
    "credentials",
    metadata,
    _clinic(),
    Column("person_id", ID, primary_key=True),
    Column("version", Integer, nullable=False),
    Column("key_id", String(16), nullable=False),
    Column("sealed", LargeBinary, nullable=False),
)

login_sessions = Table(
    "login_sessions",
    metadata,
    _clinic(),
    Column("digest", String(64), primary_key=True),
    Column("person_id", ID, nullable=False),
    Column("started_at", UtcTime, nullable=False),
    Column("seen_at", UtcTime, nullable=False),
    Column("signed_at", UtcTime),
    Column("ended_at", UtcTime),
    Index(None, "clinic_id", "person_id"),
)

tries = Table(
    "tries",
    metadata,
    _clinic(),
    Column("bucket", String(64), primary_key=True),
    Column("failures", Integer, nullable=False),
    Column("last_at", UtcTime, nullable=False),
)

request_keys = Table(
    "request_keys",
    metadata,
    _clinic(),
    Column("person_id", ID, primary_key=True),
    Column("key", String(64), primary_key=True),
    Column("digest", String(64), nullable=False),
    Column("at", UtcTime, nullable=False),
    Column("result", LargeBinary, nullable=False),
)

PASSING = (login_sessions, tries, request_keys)
"""Tables of what passes: a backup leaves them out, so that a restored one wakes no login."""

UNSCOPED = {clinics}
"""Tables that belong to the installation; every other one is walled by clinic."""

IMMUTABLE = (facts, attachments, audit_events)
"""Tables whose rows are written once; the database itself refuses to change or delete them."""

SCHEMA_TABLE = "alembic_version"
