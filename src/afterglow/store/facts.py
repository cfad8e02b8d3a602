"""Facts, written once; and heads, the thing as it is now, changed under a version.

A correction is a new fact that supersedes an older one, with who, when and why; a fact of the wrong patient is
superseded by a mark that it was entered in error. What belongs to a patient is sealed with the patient's key.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Generic, TypeVar

from sqlalchemy import Select, select, update

from afterglow.errors import Conflict, InvalidData, MissingValue, NotFound
from afterglow.store.chain import Row
from afterglow.store.codec import canonical, from_data, to_data
from afterglow.store.kept import Kept
from afterglow.store.records import Transaction, kind_name, new_id
from afterglow.store.sealing import seal, unseal
from afterglow.store.tables import facts, heads

T = TypeVar("T")
_KEPT = Kept(size=32 * 2**20)  # stored bytes; as objects some ten times that


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredFact(Generic[T]):
    """A fact with its circumstances.

    Args:
        fact: None for a mark of error, and after the patient's erasure.
        subject: what it is about: a course, a session, a container.
        at: when it happened; recorded_at: when it was written.
        supersedes: id of the fact that this one corrects, with the `reason`.
        origin: what made it, if that may come twice (a row of an import, a request's key).
    """

    id: str
    fact: T | None
    patient_id: str | None
    subject: str | None
    at: datetime
    recorded_at: datetime
    recorded_by: str
    supersedes: str | None
    entered_in_error: bool
    reason: str | None
    origin: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Head(Generic[T]):
    """A thing as it is now; `now` is None after the patient's erasure."""

    id: str
    now: T | None
    version: int
    patient_id: str | None
    state: str | None
    due_at: datetime | None


def write(
    tx: Transaction,
    fact: object,
    *,
    at: datetime,
    patient_id: str | None = None,
    subject: str | None = None,
    origin: str | None = None,
    new: bool = False,
) -> str:
    """Write a fact; its id. A fact of an origin that is already there is not written again: its id is given.

    `new` spares the look for who knows that the origin is not there; should it be, it is a Conflict.

    Raises: InvalidData for a class that is no kind of record; NotFound for an unknown patient; Conflict for an erased
        one.
    """
    if origin is not None and not new and (known := find_origin(tx, origin)) is not None:
        return known
    kind = kind_name(tx.store, type(fact))
    return _insert(tx, kind, fact, at=at, patient_id=patient_id, subject=subject, origin=origin)


def find_origin(tx: Transaction, origin: str) -> str | None:
    """The id of the fact that came from an origin; None if none did."""
    known = tx.one(select(facts.c.id).where(tx.mine(facts), facts.c.origin == origin))
    return None if known is None else str(known["id"])


def supersede(tx: Transaction, fact_id: str, fact: object, *, reason: str, at: datetime | None = None) -> str:
    """Correct a fact by a new one of the same patient and subject; the new id.

    Raises: MissingValue without a reason; NotFound; Conflict if it was corrected already.
    """
    old = _check_correctable(tx, fact_id, reason)
    kind = kind_name(tx.store, type(fact))
    if kind != old["kind"]:
        raise InvalidData("A correction is of the same kind", observed=kind, allowed=str(old["kind"]))
    return _insert(
        tx,
        kind,
        fact,
        at=at or old["at"],
        patient_id=old["patient_id"],
        subject=old["subject"],
        supersedes=fact_id,
        reason=reason,
    )


def mark_in_error(tx: Transaction, fact_id: str, *, reason: str) -> str:
    """Mark a fact as entered in error (a wrong patient): it stands for nothing, and stays readable in the history.

    Raises: MissingValue without a reason; NotFound; Conflict if it was corrected already.
    """
    old = _check_correctable(tx, fact_id, reason)
    return _insert(
        tx,
        old["kind"],
        None,
        at=old["at"],
        patient_id=old["patient_id"],
        subject=old["subject"],
        supersedes=fact_id,
        reason=reason,
    )


def standing(
    tx: Transaction,
    kind: type[T],
    *,
    patient_id: str | None = None,
    subject: str | None = None,
    subjects: Collection[str] | None = None,
) -> tuple[StoredFact[T], ...]:
    """The facts of a kind that hold now, by the time they happened.

    Only this patient's with `patient_id`, only about this with `subject` or one of `subjects`; none of them: the whole
    clinic's.

    Raises: RecordsDamaged if a body does not open.
    """
    query = _query(tx, kind, patient_id, subject)
    rows = tx.rows(query if subjects is None else query.where(facts.c.subject.in_(subjects)))
    over = {row["supersedes"] for row in rows}
    kept = [row for row in rows if row["id"] not in over and not row["entered_in_error"]]
    tx.open_keys(row["patient_id"] for row in kept)
    return tuple(_fact_of(tx, kind, row) for row in kept)


def history(
    tx: Transaction, kind: type[T], *, patient_id: str | None = None, subject: str | None = None
) -> tuple[StoredFact[T], ...]:
    """Every fact of a kind, corrected ones and marks of error too, in the order they were written."""
    found = (_fact_of(tx, kind, row) for row in tx.rows(_query(tx, kind, patient_id, subject)))
    return tuple(sorted(found, key=lambda each: (each.recorded_at, each.id)))


def save(
    tx: Transaction,
    now: object,
    *,
    id: str,  # noqa: A002  the word of the record
    version: int,
    patient_id: str | None = None,
    state: str | None = None,
    due_at: datetime | None = None,
) -> int:
    """Keep a thing as it is now; its new version.

    `version` is the one that was loaded, 0 for a new thing. `state` and `due_at` are what lists are made from; they
    identify nobody.

    Raises: Conflict if somebody saved another version first.
    """
    kind = kind_name(tx.store, type(now))
    row = {
        "kind": kind,
        "id": id,
        "patient_id": patient_id,
        "state": state,
        "due_at": due_at,
        "version": version + 1,
        "body": sealed(tx, patient_id, f"heads/{kind}/{id}", to_data(now)),
    }
    if version == 0:
        if tx.one(select(heads.c.version).where(tx.mine(heads), heads.c.kind == kind, heads.c.id == id)) is not None:
            raise Conflict(f"The {kind} is there already", observed=id, next_step="Load it and repeat")
        tx.insert(heads, row)
        return 1
    own = (tx.mine(heads), heads.c.kind == kind, heads.c.id == id, heads.c.version == version)
    changed = {name: value for name, value in row.items() if name not in {"kind", "id"}}
    tx.change(update(heads).where(*own).values(**changed), heads, row, what=f"The {kind} {id}")
    return version + 1


def load(tx: Transaction, kind: type[T], id: str, *, hold: bool = False) -> Head[T]:  # noqa: A002
    """A thing as it is now; with `hold` nobody else changes it until this transaction ends.

    Raises: NotFound, RecordsDamaged.
    """
    name = kind_name(tx.store, kind)
    query = select(heads).where(tx.mine(heads), heads.c.kind == name, heads.c.id == id)
    row = tx.one(query.with_for_update() if hold else query)
    if row is None:
        raise NotFound(f"There is no such {name}", observed=id)
    return _head_of(tx, kind, row)


def load_all(
    tx: Transaction,
    kind: type[T],
    *,
    patient_id: str | None = None,
    states: Sequence[str] = (),
    due_from: datetime | None = None,
    due_until: datetime | None = None,
    most: int | None = None,
) -> tuple[Head[T], ...]:
    """Every thing of a kind, by what is due first; of a patient, in some states, due in some time, `most`, if asked."""
    name = kind_name(tx.store, kind)
    query = select(heads).where(tx.mine(heads), heads.c.kind == name)
    if patient_id is not None:
        query = query.where(heads.c.patient_id == patient_id)
    if states:
        query = query.where(heads.c.state.in_(states))
    if due_from is not None:
        query = query.where(heads.c.due_at >= due_from)
    if due_until is not None:
        query = query.where(heads.c.due_at <= due_until)
    rows = tx.rows(query.order_by(heads.c.due_at.is_(None), heads.c.due_at, heads.c.id).limit(most))
    tx.open_keys(row["patient_id"] for row in rows)
    return tuple(_head_of(tx, kind, row) for row in rows)


def is_due(tx: Transaction, kind: type, *, states: Sequence[str], until: datetime) -> bool:
    """Whether a thing of a kind, in one of some states, is due by then; opens none."""
    own = (tx.mine(heads), heads.c.kind == kind_name(tx.store, kind))
    query = select(heads.c.id).where(*own, heads.c.state.in_(states), heads.c.due_at <= until)
    return tx.one(query.limit(1)) is not None


def stop_clocks(tx: Transaction, patient_id: str) -> None:
    """Nothing of a patient is due any more, before an erasure: what is unreadable is not taken up again and again."""
    query = select(heads).where(tx.mine(heads), heads.c.patient_id == patient_id, heads.c.due_at.is_not(None))
    for row in tx.rows(query.order_by(heads.c.kind, heads.c.id)):
        same = (heads.c.kind == row["kind"], heads.c.id == row["id"], heads.c.version == row["version"])
        stopped = {"due_at": None, "version": row["version"] + 1}
        change = update(heads).where(tx.mine(heads), *same).values(**stopped)
        tx.change(change, heads, {**row, **stopped}, what=f"The {row['kind']} {row['id']}")


def _insert(
    tx: Transaction,
    kind: str,
    fact: object | None,
    *,
    at: datetime,
    patient_id: str | None,
    subject: str | None,
    supersedes: str | None = None,
    reason: str | None = None,
    origin: str | None = None,
) -> str:
    fact_id = new_id()
    row = {
        "id": fact_id,
        "kind": kind,
        "patient_id": patient_id,
        "subject": subject,
        "at": at,
        "recorded_at": tx.now,
        "recorded_by": tx.by,
        "supersedes": supersedes,
        "entered_in_error": fact is None,
        "origin": origin,
        "body": sealed(tx, patient_id, f"facts/{fact_id}", {"fact": to_data(fact), "reason": reason}),
    }
    tx.insert(facts, row)
    return fact_id


def sealed(tx: Transaction, patient_id: str | None, place: str, data: object) -> bytes:
    """A body as it is stored: sealed for its place with the patient's key, or plain where there is no patient.

    Raises: NotFound; Conflict for an erased patient.
    """
    text = canonical(data)
    if patient_id is None:
        return text
    key = tx.patient_key(patient_id)
    if key is None:
        raise Conflict("The patient is erased; nothing more is written", observed=patient_id)
    return seal(key, text, f"{tx.clinic_id}/{patient_id}/{place}")


def opened(tx: Transaction, patient_id: str | None, place: str, body: bytes) -> dict[str, object] | None:
    """What `sealed` was given; None after the patient's erasure.

    Raises: RecordsDamaged.
    """
    key, sealed_for = _sealed_by(tx, patient_id, place)
    if patient_id is not None and key is None:
        return None
    data: dict[str, object] = _open(key, sealed_for, body)
    return data


def _sealed_by(tx: Transaction, patient_id: str | None, place: str) -> tuple[bytes | None, str]:
    """Key and full place of a body; no key where there is no patient, and after an erasure."""
    if patient_id is None:
        return None, place
    return tx.patient_key(patient_id), f"{tx.clinic_id}/{patient_id}/{place}"


def forget_read() -> None:
    """Drop what this process keeps of what it read: a patient was erased."""
    _KEPT.forget()


def _read_fact(kind: type[T], key: bytes | None, place: str, body: bytes) -> tuple[T | None, str | None]:
    def read() -> tuple[T | None, str | None]:
        data = _open(key, place, body)
        reason, fact = data["reason"], data["fact"]
        return None if fact is None else from_data(kind, fact), None if reason is None else str(reason)

    found: tuple[T | None, str | None] = _KEPT.get((kind, key, place, body), read)
    return found


def _read_head(kind: type[T], key: bytes | None, place: str, body: bytes) -> T:
    found: T = _KEPT.get((kind, key, place, body), lambda: from_data(kind, _open(key, place, body)))
    return found


def _open(key: bytes | None, place: str, body: bytes) -> Any:
    return json.loads(body if key is None else unseal(key, body, place))


def _fact_of(tx: Transaction, kind: type[T], row: Row) -> StoredFact[T]:
    key, place = _sealed_by(tx, row["patient_id"], f"facts/{row['id']}")
    erased = row["patient_id"] is not None and key is None
    fact, reason = (None, None) if erased else _read_fact(kind, key, place, row["body"])
    return StoredFact(
        id=row["id"],
        fact=fact,
        patient_id=row["patient_id"],
        subject=row["subject"],
        at=row["at"],
        recorded_at=row["recorded_at"],
        recorded_by=row["recorded_by"],
        supersedes=row["supersedes"],
        entered_in_error=row["entered_in_error"],
        reason=reason,
        origin=row["origin"],
    )


def _head_of(tx: Transaction, kind: type[T], row: Row) -> Head[T]:
    key, place = _sealed_by(tx, row["patient_id"], f"heads/{row['kind']}/{row['id']}")
    erased = row["patient_id"] is not None and key is None
    return Head(
        id=row["id"],
        now=None if erased else _read_head(kind, key, place, row["body"]),
        version=row["version"],
        patient_id=row["patient_id"],
        state=row["state"],
        due_at=row["due_at"],
    )


def _query(tx: Transaction, kind: type, patient_id: str | None, subject: str | None) -> Select[tuple[object, ...]]:
    query = select(facts).where(tx.mine(facts), facts.c.kind == kind_name(tx.store, kind))
    if patient_id is not None:
        query = query.where(facts.c.patient_id == patient_id)
    if subject is not None:
        query = query.where(facts.c.subject == subject)
    return query.order_by(facts.c.at, facts.c.id)


def _check_correctable(tx: Transaction, fact_id: str, reason: str) -> Row:
    if not reason.strip():
        raise MissingValue("A correction needs a reason", next_step="Say why in a few words")
    row = tx.one(select(facts).where(tx.mine(facts), facts.c.id == fact_id))
    if row is None:
        raise NotFound("There is no such fact", observed=fact_id)
    over = tx.one(select(facts.c.id).where(tx.mine(facts), facts.c.supersedes == fact_id))
    if over is not None or row["entered_in_error"]:
        raise Conflict("The fact was corrected already", observed=fact_id, next_step="Load it again and repeat")
    return row
