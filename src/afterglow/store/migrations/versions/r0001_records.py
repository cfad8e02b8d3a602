"""The first tables: clinics, patients with their keys, facts, heads, attachments, the audit trail."""

import sqlalchemy as sa
from alembic import op

from afterglow.store.migrations.walls import make_immutable, wall_off
from afterglow.store.tables import UtcTime

revision = "0001"
down_revision = None

_ID = sa.String(64)


def _clinic() -> sa.Column[str]:
    return sa.Column("clinic_id", _ID, nullable=False)


def _patient(table: str) -> sa.ForeignKeyConstraint:
    return sa.ForeignKeyConstraint(
        ["clinic_id", "patient_id"], ["patients.clinic_id", "patients.id"], name=f"fk_{table}_clinic_id_patient_id"
    )


def _key(table: str, *columns: str) -> sa.PrimaryKeyConstraint:
    return sa.PrimaryKeyConstraint("clinic_id", *columns, name=f"pk_{table}")


def upgrade() -> None:
    """Make them."""
    op.create_table(
        "clinics",
        sa.Column("id", _ID, nullable=False),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("time_zone", sa.String(64), nullable=False),
        sa.Column("synthetic", sa.Boolean, nullable=False),
        sa.Column("created_at", UtcTime, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_clinics"),
    )
    _of_patients()
    _of_care()
    _of_audit()
    for table in (
        "patients",
        "patient_keys",
        "search_index",
        "facts",
        "heads",
        "attachments",
        "audit_events",
        "audit_heads",
    ):
        wall_off(table)
    for table in ("facts", "attachments", "audit_events"):
        make_immutable(table)


def _of_patients() -> None:
    op.create_table(
        "patients",
        _clinic(),
        sa.Column("id", _ID, nullable=False),
        sa.Column("version", sa.Integer, nullable=False),
        sa.Column("created_at", UtcTime, nullable=False),
        sa.Column("erased_at", UtcTime),
        sa.Column("sealed", sa.LargeBinary, nullable=False),
        sa.ForeignKeyConstraint(["clinic_id"], ["clinics.id"], name="fk_patients_clinic_id"),
        _key("patients", "id"),
    )
    op.create_table(
        "patient_keys",
        _clinic(),
        sa.Column("patient_id", _ID, nullable=False),
        sa.Column("key_id", sa.String(16), nullable=False),
        sa.Column("wrapped", sa.LargeBinary, nullable=False),
        _patient("patient_keys"),
        _key("patient_keys", "patient_id"),
    )
    op.create_table(
        "search_index",
        _clinic(),
        sa.Column("patient_id", _ID, nullable=False),
        sa.Column("field", sa.String(32), nullable=False),
        sa.Column("digest", sa.LargeBinary, nullable=False),
        _patient("search_index"),
        _key("search_index", "patient_id", "field"),
    )
    op.create_index("ix_search_index_clinic_id_digest", "search_index", ["clinic_id", "digest"])


def _of_care() -> None:
    op.create_table(
        "facts",
        _clinic(),
        sa.Column("id", _ID, nullable=False),
        sa.Column("kind", sa.String(64), nullable=False),
        sa.Column("patient_id", _ID),
        sa.Column("subject", _ID),
        sa.Column("at", UtcTime, nullable=False),
        sa.Column("recorded_at", UtcTime, nullable=False),
        sa.Column("recorded_by", _ID, nullable=False),
        sa.Column("supersedes", _ID),
        sa.Column("entered_in_error", sa.Boolean, nullable=False),
        sa.Column("origin", sa.String(128)),
        sa.Column("body", sa.LargeBinary, nullable=False),
        _patient("facts"),
        _key("facts", "id"),
        sa.ForeignKeyConstraint(
            ["clinic_id", "supersedes"], ["facts.clinic_id", "facts.id"], name="fk_facts_clinic_id_supersedes"
        ),
        sa.UniqueConstraint("clinic_id", "supersedes", name="uq_facts_clinic_id_supersedes"),
        sa.UniqueConstraint("clinic_id", "origin", name="uq_facts_clinic_id_origin"),
    )
    op.create_index("ix_facts_clinic_id_patient_id_kind", "facts", ["clinic_id", "patient_id", "kind"])
    op.create_index("ix_facts_clinic_id_subject_kind", "facts", ["clinic_id", "subject", "kind"])
    op.create_table(
        "heads",
        _clinic(),
        sa.Column("kind", sa.String(64), nullable=False),
        sa.Column("id", _ID, nullable=False),
        sa.Column("patient_id", _ID),
        sa.Column("state", sa.String(32)),
        sa.Column("due_at", UtcTime),
        sa.Column("version", sa.Integer, nullable=False),
        sa.Column("body", sa.LargeBinary, nullable=False),
        _patient("heads"),
        _key("heads", "kind", "id"),
    )
    op.create_index("ix_heads_clinic_id_patient_id_kind", "heads", ["clinic_id", "patient_id", "kind"])
    op.create_index("ix_heads_clinic_id_kind_state", "heads", ["clinic_id", "kind", "state"])
    op.create_table(
        "attachments",
        _clinic(),
        sa.Column("id", _ID, nullable=False),
        sa.Column("patient_id", _ID, nullable=False),
        sa.Column("subject", _ID),
        sa.Column("media_type", sa.String(64), nullable=False),
        sa.Column("size_bytes", sa.Integer, nullable=False),
        sa.Column("recorded_at", UtcTime, nullable=False),
        sa.Column("recorded_by", _ID, nullable=False),
        sa.Column("sealed_name", sa.LargeBinary, nullable=False),
        sa.Column("sealed", sa.LargeBinary, nullable=False),
        _patient("attachments"),
        _key("attachments", "id"),
    )


def _of_audit() -> None:
    op.create_table(
        "audit_events",
        _clinic(),
        sa.Column("seq", sa.Integer, nullable=False, autoincrement=False),
        sa.Column("at", UtcTime, nullable=False),
        sa.Column("by", _ID, nullable=False),
        sa.Column("action", sa.String(64), nullable=False),
        sa.Column("patient_id", _ID),
        sa.Column("subject", _ID),
        sa.Column("detail", sa.Text, nullable=False),
        sa.Column("writes", sa.Text, nullable=False),
        sa.Column("key_id", sa.String(16), nullable=False),
        sa.Column("mac", sa.LargeBinary, nullable=False),
        _key("audit_events", "seq"),
    )
    op.create_index("ix_audit_events_clinic_id_patient_id", "audit_events", ["clinic_id", "patient_id"])
    op.create_table(
        "audit_heads",
        _clinic(),
        sa.Column("seq", sa.Integer, nullable=False),
        sa.Column("mac", sa.LargeBinary, nullable=False),
        sa.ForeignKeyConstraint(["clinic_id"], ["clinics.id"], name="fk_audit_heads_clinic_id"),
        _key("audit_heads"),
    )
