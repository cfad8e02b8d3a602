"""Files that belong to a patient: sealed, of a few types, of a limited size; their names are sealed too."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime

from sqlalchemy import select

from afterglow.errors import Conflict, InputError, NotFound, OutOfRange
from afterglow.store.records import Transaction, new_id
from afterglow.store.sealing import seal, unseal
from afterglow.store.tables import attachments

_MB = 1_000_000

MEDIA_TYPES = {
    "application/pdf": (b"%PDF-",),
    "image/png": (b"\x89PNG\r\n\x1a\n",),
    "image/jpeg": (b"\xff\xd8\xff",),
    "text/plain": (b"",),
}
"""What may be attached, and how such a file starts."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Attachment:
    """A file of a patient; name and content are None after erasure, and stay out of its text form."""

    id: str
    patient_id: str
    subject: str | None
    media_type: str
    name: str | None = field(repr=False)
    content: bytes | None = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class AttachmentLine:
    """A file without its content."""

    id: str
    subject: str | None
    media_type: str
    size_bytes: int
    at: datetime
    by: str
    name: str | None = field(repr=False)


def attach(
    tx: Transaction, content: bytes, *, name: str, media_type: str, patient_id: str, subject: str | None = None
) -> str:
    """Keep a file; its id.

    Raises: InputError for another type, or a content that is not of its type; OutOfRange if it is too large or empty;
        NotFound, Conflict for an unknown or erased patient.
    """
    starts = MEDIA_TYPES.get(media_type)
    if starts is None:
        raise InputError("A file of this type is refused", allowed=", ".join(MEDIA_TYPES))
    if not content or len(content) > tx.store.attachment_limit_mb * _MB:
        raise OutOfRange(
            "The file is refused",
            observed=f"{len(content) / _MB:.1f} MB",
            allowed=f"not empty, up to {tx.store.attachment_limit_mb:g} MB",
        )
    if not content.startswith(starts) or (media_type == "text/plain" and not _is_text(content)):
        raise InputError("The file is not of the type that it says", allowed=media_type)
    key = tx.patient_key(patient_id)
    if key is None:
        raise Conflict("The patient is erased; nothing more is written", observed=patient_id)
    found = new_id()
    place = f"{tx.clinic_id}/{patient_id}/attachments/{found}"
    row = {
        "id": found,
        "patient_id": patient_id,
        "subject": subject,
        "media_type": media_type,
        "size_bytes": len(content),
        "recorded_at": tx.now,
        "recorded_by": tx.by,
        "sealed_name": seal(key, name.encode(), f"{place}/name"),
        "sealed": seal(key, content, place),
    }
    tx.insert(attachments, row)
    return found


def fetch(tx: Transaction, attachment_id: str) -> Attachment:
    """A file.

    Raises: NotFound, RecordsDamaged.
    """
    row = tx.one(select(attachments).where(tx.mine(attachments), attachments.c.id == attachment_id))
    if row is None:
        raise NotFound("There is no such file", observed=attachment_id)
    key = tx.patient_key(row["patient_id"])
    place = f"{tx.clinic_id}/{row['patient_id']}/attachments/{attachment_id}"
    return Attachment(
        id=attachment_id,
        patient_id=row["patient_id"],
        subject=row["subject"],
        media_type=row["media_type"],
        name=None if key is None else unseal(key, row["sealed_name"], f"{place}/name").decode(),
        content=None if key is None else unseal(key, row["sealed"], place),
    )


def listed(tx: Transaction, patient_id: str) -> tuple[AttachmentLine, ...]:
    """A patient's files without their contents, oldest first; names are None after the patient's erasure."""
    key = tx.patient_key(patient_id)
    mine = (tx.mine(attachments), attachments.c.patient_id == patient_id)
    columns = [column for column in attachments.c if column.name != "sealed"]
    return tuple(
        AttachmentLine(
            id=row["id"],
            subject=row["subject"],
            media_type=row["media_type"],
            size_bytes=row["size_bytes"],
            at=row["recorded_at"],
            by=row["recorded_by"],
            name=None
            if key is None
            else unseal(key, row["sealed_name"], f"{tx.clinic_id}/{patient_id}/attachments/{row['id']}/name").decode(),
        )
        for row in tx.rows(select(*columns).where(*mine).order_by(attachments.c.id))
    )


def _is_text(content: bytes) -> bool:
    try:
        return "\0" not in content.decode("utf-8")
    except UnicodeDecodeError:
        return False
