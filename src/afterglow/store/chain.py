"""The chain of the audit trail: one per clinic, of keyed events written in the transaction that they tell of.

Each event holds a digest of every row it wrote, and a MAC (HMAC-SHA256, key outside the database) over itself and the
MAC before it. An edit, a deletion, a new order or a row changed behind its back breaks the chain where it happened;
a tail that was cut off shows against the anchors, which lie outside the database.
"""

from __future__ import annotations

import hmac
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from hashlib import sha256
from typing import Any

from sqlalchemy import Table

from afterglow.store.codec import canonical, write_time
from afterglow.store.keys import KeyRing

Row = Mapping[Any, Any]
"""A row of a table, by column name."""

FIRST = b"afterglow"
"""The MAC before the first event."""

DIGESTED: Mapping[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "clinics": (("id",), ("name", "time_zone", "synthetic", "created_at")),
    "facts": (
        ("id",),
        (
            "kind",
            "patient_id",
            "subject",
            "at",
            "recorded_at",
            "recorded_by",
            "supersedes",
            "entered_in_error",
            "origin",
            "body",
        ),
    ),
    "heads": (("kind", "id"), ("patient_id", "state", "due_at", "version", "body")),
    "patients": (("id",), ("version", "created_at", "erased_at", "sealed")),
    "attachments": (
        ("id",),
        ("patient_id", "subject", "media_type", "size_bytes", "recorded_at", "recorded_by", "sealed_name", "sealed"),
    ),
}
"""What a digest of a row covers, by table: its key, then its other columns. A new table of records belongs here."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Write:
    """One row that an event tells of; `digest` is None where an older version was not kept."""

    table: str
    key: tuple[str, ...]
    digest: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class NewEvent:
    """An event before it has its place in the chain."""

    at: datetime
    by: str
    action: str
    patient_id: str | None
    subject: str | None
    detail: Mapping[str, str | int | bool]
    writes: tuple[Write, ...]


def write_of(table: Table, row: Row) -> Write:
    """A row as its event tells it."""
    key, _ = DIGESTED[table.name]
    return Write(table=table.name, key=tuple(str(row[each]) for each in key), digest=row_digest(table.name, row))


def row_digest(table: str, row: Row) -> str:
    """SHA-256 of a row's columns in canonical form, the same on every database.

    >>> from datetime import UTC
    >>> row = {"id": "p1", "version": 1, "created_at": datetime(2026, 1, 5, tzinfo=UTC), "sealed": b"..."}
    >>> row_digest("patients", row)[:8]
    '56fb8104'
    """
    key, others = DIGESTED[table]
    return sha256(canonical([table, *(_plain(row.get(name)) for name in (*key, *others))])).hexdigest()


def _plain(value: Any) -> Any:
    if isinstance(value, bytes):
        return sha256(value).hexdigest()
    return write_time(value) if isinstance(value, datetime) else value


def event_row(clinic_id: str, seq: int, new: NewEvent, key_id: str) -> dict[str, Any]:
    """The row of an event at its place, without its MAC."""
    writes = [[write.table, *write.key, write.digest] for write in new.writes]
    return {
        "clinic_id": clinic_id,
        "seq": seq,
        "at": new.at,
        "by": new.by,
        "action": new.action,
        "patient_id": new.patient_id,
        "subject": new.subject,
        "detail": canonical(dict(new.detail)).decode(),
        "writes": canonical(writes).decode(),
        "key_id": key_id,
    }


def chain_mac(ring: KeyRing, row: Mapping[str, Any], before: bytes) -> bytes:
    """The MAC of an event after the MAC before it.

    Raises: KeysRefused if the ring lacks the event's key.
    """
    key = ring.derive(str(row["key_id"]), f"chain:{row['clinic_id']}")
    names = ("clinic_id", "seq", "at", "by", "action", "patient_id", "subject", "detail", "writes", "key_id")
    return hmac.digest(key, before + canonical([_plain(row[name]) for name in names]), sha256)
