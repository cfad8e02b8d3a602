"""Searching the audit trail: by patient, person, act and time."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import ColumnElement, Table, or_, select

from afterglow.store import tables
from afterglow.store.audit import LOOKS, AuditEvent, event_of
from afterglow.store.codec import canonical
from afterglow.store.records import Transaction


def page_of(
    tx: Transaction,
    *,
    before: int | None = None,
    most: int = 50,
    patient_id: str | None = None,
    by: str | None = None,
    act: str | None = None,
    since: datetime | None = None,
    until: datetime | None = None,
) -> tuple[AuditEvent, ...]:
    """Events that fit everything that is named, newest first.

    Args:
        tx: where the trail is read.
        before: a number; only earlier events.
        most: how many.
        patient_id: whom they are about.
        by: who did or saw it, also where the program told of it later.
        act: an action, a view that was looked at or a use case that was refused; "read" is every look.
        since: from when on.
        until: to when, itself left out.
    """
    events, wanted = tables.audit_events, []
    if before is not None:
        wanted.append(events.c.seq < before)
    if patient_id is not None:
        wanted.append(events.c.patient_id == patient_id)
    if by is not None:
        wanted.append(or_(events.c.by == by, _told(events, "read_by", by)))
    if act is not None:
        named = events.c.action.in_(LOOKS) if act == LOOKS[0] else events.c.action == act
        wanted.append(or_(named, _told(events, "view", act), _told(events, "use_case", act)))
    if since is not None:
        wanted.append(events.c.at >= since)
    if until is not None:
        wanted.append(events.c.at < until)
    query = select(events).where(tx.mine(events), *wanted).order_by(events.c.seq.desc()).limit(most)
    return tuple(map(event_of, tx.rows(query)))


def looks_at(tx: Transaction, patient_id: str, *, most: int) -> tuple[AuditEvent, ...]:
    """The latest events that tell of a look at a patient, newest first."""
    events = tables.audit_events
    about = (tx.mine(events), events.c.patient_id == patient_id, events.c.action.in_(LOOKS))
    return tuple(map(event_of, tx.rows(select(events).where(*about).order_by(events.c.seq.desc()).limit(most))))


def _told(events: Table, name: str, value: str) -> ColumnElement[bool]:
    """Whether an event's detail, which is canonical JSON, says this."""
    return events.c.detail.contains(canonical({name: value}).decode()[1:-1], autoescape=True)
