"""Who a patient is: sealed with a key of the patient, found by exact value or part of a name, erased with the key."""

from __future__ import annotations

import json
import re
import unicodedata
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, fields
from datetime import date
from threading import Lock

from sqlalchemy import delete, insert, or_, select, update

from afterglow.errors import Conflict, KeysRefused, MissingValue, NotFound, OutOfRange, RecordsDamaged
from afterglow.store import tables
from afterglow.store.chain import Row
from afterglow.store.codec import canonical, from_data, to_data
from afterglow.store.facts import forget_read
from afterglow.store.keys import KeyRing
from afterglow.store.records import AT_ONCE, Transaction, new_id
from afterglow.store.sealing import WrappedKey, new_patient_key, normalised, seal, search_digest, unseal, unwrap, wrap

LONGEST = 200
"""Characters of one identifier."""
OLDEST_YEARS = 130  # Assumption: nobody is known to have lived longer

_EMAIL = re.compile(r"[^@\s]+@[^@\s.]+(\.[^@\s.]+)+")
_JOINERS = "\u200c\u200d"  # Persian and Indic names are spelt with them

_SEARCHED = ("name", "born_on", "email", "phone", "record_number")
_NAMES_LOCK = Lock()


@dataclass(frozen=True, slots=True, kw_only=True)
class Identifiers:
    """What says who a patient is; its text form shows nothing.

    Args:
        record_number: the patient's number in the clinic's other systems.
    Raises: MissingValue without a name; OutOfRange for a text over 200 characters.
    """

    name: str
    born_on: date | None = None
    email: str | None = None
    phone: str | None = None
    address: str | None = None
    record_number: str | None = None

    def __post_init__(self) -> None:
        if not self.name.strip():
            raise MissingValue("A patient needs a name", about="name")
        for each in fields(self):
            value = getattr(self, each.name)
            if isinstance(value, str) and len(value) > LONGEST:
                raise OutOfRange(
                    f"The patient's {each.name} is too long",
                    observed=f"{len(value)} characters",
                    allowed=f"{LONGEST}",
                    about=each.name,
                )

    def __repr__(self) -> str:
        return "Identifiers(...)"


def check_identifiers(identifiers: Identifiers, today: date) -> None:
    """Refuse what nobody has, before it is written; what was stored earlier stays readable.

    Raises: OutOfRange naming the field, never its value.
    """
    for each in fields(identifiers):
        value = getattr(identifiers, each.name)
        if isinstance(value, str) and (hidden := sum(map(_is_hidden, value))):
            raise OutOfRange(
                f"The patient's {each.name} is refused",
                observed=f"{hidden} control or invisible characters",
                allowed="what can be read, in one line",
                next_step="Type it again",
                about=each.name,
            )
    born_on, email, phone = identifiers.born_on, identifiers.email, identifiers.phone
    if born_on is not None and not 0 <= (today - born_on).days <= OLDEST_YEARS * 365.25:
        raise OutOfRange(
            "The birth date is in the future" if born_on > today else "The birth date is too long ago",
            observed="after today" if born_on > today else f"{today.year - born_on.year} years ago",
            allowed=f"0 to {OLDEST_YEARS} years ago",
            about="born_on",
        )
    if email is not None and not _EMAIL.fullmatch(email):
        raise OutOfRange("The patient's email is refused", allowed="as in name@domain.example", about="email")
    if phone is not None and not any(map(str.isdigit, phone)):
        raise OutOfRange("The patient's phone is refused", observed="no digit", allowed="a number", about="phone")


def _is_hidden(character: str) -> bool:
    return unicodedata.category(character) in {"Cc", "Cf"} and character not in _JOINERS


@dataclass(frozen=True, slots=True, kw_only=True)
class Patient:
    """A patient as stored; `identifiers` is None after erasure."""

    id: str
    version: int
    identifiers: Identifiers | None


def register(tx: Transaction, identifiers: Identifiers, *, id: str | None = None) -> str:  # noqa: A002
    """A new patient with a key of its own; the id, which says nothing about who it is."""
    patient_id = id or new_id()
    key, wrapped = new_patient_key(tx.store.keys.clinic, tx.clinic_id, patient_id)
    row = {
        "id": patient_id,
        "version": 1,
        "created_at": tx.now,
        "erased_at": None,
        "sealed": seal_identifiers(tx, key, patient_id, identifiers),
    }
    tx.insert(tables.patients, row)
    keep_wrapped(tx, patient_id, wrapped)
    tx.keep_key(patient_id, key)
    index(tx, patient_id, identifiers)
    return patient_id


def identify(tx: Transaction, patient_id: str, identifiers: Identifiers, *, version: int) -> int:
    """Correct who a patient is; the new version.

    Raises: NotFound; Conflict if somebody else did so first, or the patient is erased.
    """
    row = _row(tx, patient_id)
    key = tx.patient_key(patient_id)
    if key is None:
        raise Conflict("The patient is erased; nothing more is written", observed=patient_id)
    changed = {"version": version + 1, "sealed": seal_identifiers(tx, key, patient_id, identifiers)}
    _change(tx, row, version, changed)
    _unindex(tx, patient_id)
    index(tx, patient_id, identifiers)
    return version + 1


def load(tx: Transaction, patient_id: str) -> Patient:
    """A patient.

    Raises: NotFound, RecordsDamaged.
    """
    return _patient_of(tx, _row(tx, patient_id))


def load_some(tx: Transaction, patient_ids: Iterable[str]) -> dict[str, Patient]:
    """Several patients by id, at once; an id that nobody has is left out.

    Raises: RecordsDamaged.
    """
    patients, ids = tables.patients, sorted(set(patient_ids))
    tx.open_keys(ids)
    found: dict[str, Patient] = {}
    for begin in range(0, len(ids), AT_ONCE):
        some = patients.c.id.in_(ids[begin : begin + AT_ONCE])
        found |= {row["id"]: _patient_of(tx, row) for row in tx.rows(select(patients).where(tx.mine(patients), some))}
    return found


def load_all(tx: Transaction) -> Iterator[Patient]:
    """Every patient of the clinic, erased ones too, in the order they came."""
    patients = tables.patients
    for row in tx.rows(select(patients).where(tx.mine(patients)).order_by(patients.c.created_at, patients.c.id)):
        yield _patient_of(tx, row)


def find_exact(tx: Transaction, **known: str | date) -> tuple[str, ...]:
    """Ids of the patients with exactly these values (name, born_on, email, phone, record_number), case aside.

    Raises: MissingValue for no value; KeyError never: an unknown field finds nobody.
    """
    if not known:
        raise MissingValue("A search needs a value", allowed=", ".join(_SEARCHED))
    ring, rows = tx.store.keys.clinic, tables.search_index
    found: set[str] | None = None
    for name, value in known.items():
        digests = [search_digest(ring, key_id, tx.clinic_id, name, str(value)) for key_id, _ in ring.secrets_by_id]
        query = select(rows.c.patient_id).where(tx.mine(rows), rows.c.field == name)
        ids = {row["patient_id"] for row in tx.rows(query.where(or_(*(rows.c.digest == each for each in digests))))}
        found = ids if found is None else found & ids
    return tuple(sorted(found or ()))


def find_by_name(tx: Transaction, part: str, *, most: int = 50) -> tuple[str, ...]:
    """Ids of the patients whose name holds each word given, accents and case aside, by name.

    The names are opened once and kept in this process's memory; after that only patients who changed are opened.
    """
    patients, words = tables.patients, normalised(part).split()
    query = select(patients.c.id, patients.c.version, patients.c.erased_at).where(tx.mine(patients))
    now = {row["id"]: row["version"] for row in tx.rows(query) if row["erased_at"] is None}
    with _NAMES_LOCK:
        names: dict[str, tuple[int, str]] = tx.store.cache.setdefault(f"names/{tx.clinic_id}", {})
        for gone in [each for each in names if each not in now]:
            del names[gone]
        stale = [each for each, version in now.items() if names.get(each, (0, ""))[0] != version]
    opened = {each: (now[each], normalised(_name(tx, each))) for each in stale}
    with _NAMES_LOCK:
        names.update(opened)
        hits = [(name, each) for each, (_, name) in names.items() if each in now and all(w in name for w in words)]
    return tuple(each for _, each in sorted(hits)[:most])


def erase(tx: Transaction, patient_id: str) -> None:
    """Destroy a patient's key: everything sealed with it is unreadable from now on, while the chain still verifies.

    What was sealed stays as noise; kinds, times and counts stay. Copies in backups are unreadable only once those are
    gone, so erasures are listed beside the anchors and repeated at each restore.
    Raises: NotFound; Conflict if the patient is erased already.
    """
    row = _row(tx, patient_id)
    if row["erased_at"] is not None:
        raise Conflict("The patient is erased already", observed=patient_id)
    _unindex(tx, patient_id)
    keys = tables.patient_keys
    tx.run(delete(keys).where(tx.mine(keys), keys.c.patient_id == patient_id))
    tx.forget_key(patient_id)
    forget_read()
    _change(tx, row, row["version"], {"version": row["version"] + 1, "erased_at": tx.now, "sealed": b""})
    with _NAMES_LOCK:
        tx.store.cache.get(f"names/{tx.clinic_id}", {}).pop(patient_id, None)


def reseal_keys(tx: Transaction) -> int:
    """Wrap every patient's key by the clinic's key in use, and make the search index with it; how many patients.

    Run it in each clinic after `keys.rotate_key`; older keys stay in the ring for older backups.
    """
    ring, keys, count = tx.store.keys.clinic, tables.patient_keys, 0
    for row in tx.rows(select(keys).where(tx.mine(keys))):
        patient_id = row["patient_id"]
        wrapped = WrappedKey(key_id=row["key_id"], wrapped=row["wrapped"])
        again = wrap(ring, unwrap(ring, wrapped, tx.clinic_id, patient_id), tx.clinic_id, patient_id)
        mine = (tx.mine(keys), keys.c.patient_id == patient_id)
        tx.run(update(keys).where(*mine).values(key_id=again.key_id, wrapped=again.wrapped))
        identifiers = load(tx, patient_id).identifiers
        _unindex(tx, patient_id)
        if identifiers is not None:
            index(tx, patient_id, identifiers)
        count += 1
    return count


def unopened(tx: Transaction) -> Iterator[tuple[str, str]]:
    """What hinders opening or finding patients, as id and words; no event tells of keys and of the search index.

    Each patient who is not erased has a key that the ring opens, identifiers that it opens, and an index of them; one
    who is erased has neither key nor index.
    """
    patients, keys, rows = tables.patients, tables.patient_keys, tables.search_index
    wrapped = {row["patient_id"] for row in tx.rows(select(keys.c.patient_id).where(tx.mine(keys)))}
    indexed: dict[str, dict[str, bytes]] = {}
    for row in tx.rows(select(rows).where(tx.mine(rows))):
        indexed.setdefault(row["patient_id"], {})[row["field"]] = bytes(row["digest"])
    for row in tx.rows(select(patients).where(tx.mine(patients)).order_by(patients.c.id)):
        patient_id, found = row["id"], indexed.get(row["id"], {})
        if row["erased_at"] is not None:
            if patient_id in wrapped:
                yield patient_id, "a patient who is erased has a key"
            if found:
                yield patient_id, "a patient who is erased stands in the search index"
        elif patient_id not in wrapped:
            yield patient_id, "the patient's key is missing: nothing of the patient can be read"
        else:
            try:
                identifiers = _patient_of(tx, row).identifiers
            except (KeysRefused, RecordsDamaged) as fault:
                yield patient_id, f"the patient cannot be opened: {fault.refused}"
                continue
            if identifiers is not None and not _is_indexed(tx, identifiers, found):
                yield patient_id, "the search index differs from who the patient is"


def _is_indexed(tx: Transaction, identifiers: Identifiers, found: dict[str, bytes]) -> bool:
    """Whether the index holds these values and no others, each by any key of the ring."""
    ring = tx.store.keys.clinic
    values = {name: str(value) for name in _SEARCHED if (value := getattr(identifiers, name)) is not None}
    return values.keys() == found.keys() and all(
        any(found[name] == search_digest(ring, key_id, tx.clinic_id, name, text) for key_id, _ in ring.secrets_by_id)
        for name, text in values.items()
    )


def keep_wrapped(tx: Transaction, patient_id: str, wrapped: WrappedKey) -> None:
    """Write a patient's wrapped key; it is no record, so no event tells of it."""
    row = {"clinic_id": tx.clinic_id, "patient_id": patient_id, "key_id": wrapped.key_id, "wrapped": wrapped.wrapped}
    tx.run(insert(tables.patient_keys).values(**row))


def index(tx: Transaction, patient_id: str, identifiers: Identifiers) -> None:
    """Put a patient into the search index."""
    ring: KeyRing = tx.store.keys.clinic
    for name in _SEARCHED:
        value = getattr(identifiers, name)
        if value is not None:
            digest = search_digest(ring, ring.current, tx.clinic_id, name, str(value))
            row = {"clinic_id": tx.clinic_id, "patient_id": patient_id, "field": name, "digest": digest}
            tx.run(insert(tables.search_index).values(**row))


def _unindex(tx: Transaction, patient_id: str) -> None:
    rows = tables.search_index
    tx.run(delete(rows).where(tx.mine(rows), rows.c.patient_id == patient_id))


def _row(tx: Transaction, patient_id: str) -> Row:
    patients = tables.patients
    row = tx.one(select(patients).where(tx.mine(patients), patients.c.id == patient_id))
    if row is None:
        raise NotFound("There is no such patient", observed=patient_id)
    return row


def _change(tx: Transaction, row: Row, version: int, changed: dict[str, object]) -> None:
    patients = tables.patients
    own = (tx.mine(patients), patients.c.id == row["id"], patients.c.version == version)
    tx.change(update(patients).where(*own).values(**changed), patients, {**row, **changed}, what="The patient")


def _patient_of(tx: Transaction, row: Row) -> Patient:
    key = tx.patient_key(row["id"])
    if key is None:
        return Patient(id=row["id"], version=row["version"], identifiers=None)
    text = unseal(key, row["sealed"], _place(tx, row["id"]))
    return Patient(id=row["id"], version=row["version"], identifiers=from_data(Identifiers, json.loads(text)))


def _name(tx: Transaction, patient_id: str) -> str:
    found = load(tx, patient_id).identifiers
    return "" if found is None else found.name


def seal_identifiers(tx: Transaction, key: bytes, patient_id: str, identifiers: Identifiers) -> bytes:
    """A patient's identifiers as they are stored."""
    return seal(key, canonical(to_data(identifiers)), _place(tx, patient_id))


def _place(tx: Transaction, patient_id: str) -> str:
    return f"{tx.clinic_id}/{patient_id}/identifiers"
