"""Reading and proving the audit trail: who saw what, anchors outside the database, the spool, verification."""

from __future__ import annotations

import fcntl
import hmac
import json
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from hashlib import sha256
from pathlib import Path
from typing import Any

from sqlalchemy import select

from afterglow.errors import KeysRefused, StoreUnavailable
from afterglow.store import patients, tables
from afterglow.store.chain import DIGESTED, FIRST, Row, chain_mac, row_digest
from afterglow.store.codec import canonical, write_time
from afterglow.store.keys import KeyRing
from afterglow.store.records import Store, Transaction

_BATCH = 5_000
LOOKS = ("read", "read.spooled")
"""Actions of events that tell of a look, not of a change."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditEvent:
    """An event of the trail: who did or saw what, when."""

    seq: int
    at: datetime
    by: str
    action: str
    patient_id: str | None
    subject: str | None
    detail: Mapping[str, str | int | bool]


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """Something that verification found.

    Args:
        seq: the event where it shows; None for a row that no event tells of.
        what: in words.
        where: table and key of the row, where it is a row.
    """

    seq: int | None
    what: str
    where: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Verification:
    """What `verify` found in one clinic.

    Args:
        anchored_seq: the last event that an anchor vouches for; a tail cut behind it cannot show.
        remarks: worth knowing, no fault.
    """

    clinic_id: str
    events: int
    rows: int
    anchored_seq: int
    faults: tuple[Fault, ...]
    remarks: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Anchor:
    """The head of a clinic's chain at a time, kept outside the database; `restored` if a backup was put back then."""

    at: str
    seq: int
    mac: str
    restored: bool = False


def who(tx: Transaction, patient_id: str) -> tuple[AuditEvent, ...]:
    """Everything that anybody did or saw of a patient, oldest first."""
    events = tables.audit_events
    found = tx.rows(select(events).where(tx.mine(events), events.c.patient_id == patient_id).order_by(events.c.seq))
    return tuple(map(event_of, found))


def last_seq(tx: Transaction) -> int:
    """The number of the last event; a live stream goes on from here."""
    heads = tables.audit_heads
    row = tx.one(select(heads.c.seq).where(tx.mine(heads)))
    return 0 if row is None else int(row["seq"])


def last_events(tx: Transaction, *, after: int, most: int = 500) -> tuple[AuditEvent, ...]:
    """Events after a number, oldest first: what a live stream tells, and a page of the trail."""
    events = tables.audit_events
    query = select(events).where(tx.mine(events), events.c.seq > after).order_by(events.c.seq).limit(most)
    return tuple(map(event_of, tx.rows(query)))


def last_change(tx: Transaction) -> int:
    """Number of the last event that tells of more than a look; 0 before there is one."""
    events = tables.audit_events
    query = select(events.c.seq).where(tx.mine(events), events.c.action.not_in(LOOKS)).order_by(events.c.seq.desc())
    found = tx.one(query.limit(1))
    return 0 if found is None else int(found["seq"])


def events_of(tx: Transaction, action: str, *, most: int) -> tuple[AuditEvent, ...]:
    """The latest events of an action, newest first."""
    events = tables.audit_events
    query = select(events).where(tx.mine(events), events.c.action == action).order_by(events.c.seq.desc()).limit(most)
    return tuple(map(event_of, tx.rows(query)))


def proven_so_far(store: Store, clinic_id: str) -> int:
    """How many events the latest proof of a clinic's trail has walked over in this process."""
    return int(store.cache.get(f"proven:{clinic_id}", 0))


def reads_wait(store: Store, clinic_id: str) -> bool:
    """Whether reads wait in the spool for a trail that could not be written."""
    file = _file(store.spool, clinic_id)
    return file.exists() or file.with_suffix(".taken").exists()


def last_seen(tx: Transaction, patient_id: str) -> datetime | None:
    """When anybody last wrote about a patient; neither looking at a chart nor the program's clocks keep it alive."""
    events = tables.audit_events
    query = select(events.c.at).where(
        tx.mine(events),
        events.c.patient_id == patient_id,
        events.c.action.not_in(LOOKS),
        events.c.action.not_like("jobs.%"),
    )
    row = tx.one(query.order_by(events.c.seq.desc()).limit(1))
    return None if row is None else row["at"]


def record_read(
    store: Store,
    clinic_id: str,
    *,
    by: str,
    view: str,
    patient_id: str | None = None,
    may_spool: bool = False,
    through: str | None = None,
) -> bool:
    """Tell that somebody looks at a page; True if it stands in the trail, False if it waits in the spool.

    Call it before the page is shown: what cannot be told is not shown. `may_spool` is for a room in session, which must
    stay readable; the page then says that the trail is behind. `through` is the token by which somebody looks.

    Raises: StoreUnavailable if it cannot be told at all.
    """
    try:
        with store.write(clinic_id, by=by) as tx:
            tx.event("read", patient_id=patient_id, view=view, **({} if through is None else {"token": through}))
    except StoreUnavailable:
        if not may_spool:
            raise
        line = {"at": write_time(store.clock()), "by": by, "patient_id": patient_id, "view": view}
        file = _file(store.spool, clinic_id)
        with _locked(file, "lock"):  # else a program that empties the spool could take the file away before the line
            _append(file, _signed(store.keys.audit, f"spool:{clinic_id}", line))
        return False
    return True


def drain_spool(store: Store, clinic_id: str) -> int:
    """Move waiting reads into the trail, each once; how many were moved.

    Raises: StoreUnavailable if the trail still cannot be written; the reads then wait on.
    """
    file = _file(store.spool, clinic_id)
    taken = file.with_suffix(".taken")
    if not (file.exists() or taken.exists()):
        return 0
    with _locked(file, "drain"):  # one program at a time empties it
        if not taken.exists():
            with _locked(file, "lock"):
                if not file.exists():
                    return 0
                file.replace(taken)
        lines = list(_trusted(store.keys.audit, f"spool:{clinic_id}", taken))
        moved = _move_in(store, clinic_id, lines)
        taken.unlink()
    return moved


def _move_in(store: Store, clinic_id: str, lines: Sequence[Mapping[str, Any]]) -> int:
    """Reads of the spool as events; those that a crash left behind after they were written are known by their mark."""
    with store.write(clinic_id, by="program") as tx:
        events = tables.audit_events
        done = {
            row["subject"]
            for row in tx.rows(select(events.c.subject).where(tx.mine(events), events.c.action == "read.spooled"))
        }
        new = [line for line in lines if line["sign"][:32] not in done]
        for line in new:
            tx.event(
                "read.spooled",
                patient_id=line["patient_id"],
                subject=line["sign"][:32],
                view=line["view"],
                read_by=line["by"],
                read_at=line["at"],
            )
    return len(new)


def anchor(store: Store, clinic_id: str, *, restored: bool = False) -> Anchor:
    """Keep the head of the chain outside the database: at each backup and every ten minutes.

    With `restored`, anchors of events after this head are known to be lost with the database that the backup replaces.

    Raises: StoreUnavailable if it cannot be written.
    """
    with store.read(clinic_id) as tx:
        heads = tables.audit_heads
        row = tx.one(select(heads).where(tx.mine(heads)))
    found = Anchor(
        at=write_time(store.clock()),
        seq=0 if row is None else row["seq"],
        mac="" if row is None else row["mac"].hex(),
        restored=restored,
    )
    line = {"at": found.at, "seq": found.seq, "mac": found.mac, "restored": restored}
    _append(_file(store.anchors, clinic_id), _signed(store.keys.audit, f"anchor:{clinic_id}", line))
    return found


def anchors(store: Store, clinic_id: str) -> tuple[Anchor, ...]:
    """The anchors that carry a true signature, oldest first."""
    lines = _trusted(store.keys.audit, f"anchor:{clinic_id}", _file(store.anchors, clinic_id))
    return tuple(Anchor(at=each["at"], seq=each["seq"], mac=each["mac"], restored=each["restored"]) for each in lines)


def anchored_clinics(store: Store) -> tuple[str, ...]:
    """Ids of the clinics that anchors vouch for, also where the database has forgotten one; not those of lost events.

    Raises: StoreUnavailable if the anchors cannot be read.
    """
    try:
        names = sorted(file.stem for file in store.anchors.glob("*.jsonl") if not file.stem.endswith(".erased"))
        return tuple(name for name in names if max(_standing_anchors(store, name, []), default=0) > 0)
    except OSError as fault:
        raise _unwritable(store.anchors / "any", fault) from None


def note_erasure(store: Store, clinic_id: str, patient_id: str) -> None:
    """List an erasure beside the anchors, so that a restored backup does not bring the patient back.

    Raises: StoreUnavailable if it cannot be written.
    """
    line = {"at": write_time(store.clock()), "patient_id": patient_id}
    _append(_file(store.anchors, f"{clinic_id}.erased"), _signed(store.keys.audit, f"erased:{clinic_id}", line))


def erasures(store: Store, clinic_id: str) -> tuple[str, ...]:
    """Ids of the patients who are erased, also where an older backup does not know it."""
    lines = _trusted(store.keys.audit, f"erased:{clinic_id}", _file(store.anchors, f"{clinic_id}.erased"))
    return tuple(dict.fromkeys(line["patient_id"] for line in lines))


def verify(store: Store, clinic_id: str) -> Verification:
    """Prove a clinic's trail: every event, every row that it tells of, the head, the anchors, every patient's key.

    Finds any edit, deletion or new order of events, any record that was changed, removed or put in behind the trail's
    back, a patient whom the keys do not open or the index does not find, and a tail that was cut off after an anchor;
    says where. A tail cut behind the last anchor cannot show, nor can a login that was deleted.
    """
    faults: list[Fault] = []
    remarks: list[str] = []
    known = _standing_anchors(store, clinic_id, remarks)
    store.cache[f"proven:{clinic_id}"] = 0
    with store.read(clinic_id) as tx:
        told, events, mac = _walk(tx, known, faults, remarks)
        faults += _head_faults(tx, events, mac)
        faults += [
            Fault(seq=seq, what="the trail ends before this event, which an anchor knows: its tail was cut off")
            for seq in known
            if seq > events
        ]
        rows = _check_rows(tx, told, faults, remarks)
        faults += [Fault(seq=None, what=what, where=f"patients {each}") for each, what in patients.unopened(tx)]
    if not known:
        remarks.append("there is no anchor yet: a tail that was cut off could not show")
    if reads_wait(store, clinic_id):
        remarks.append("reads wait in the spool")
    last = max((seq for seq in known if seq <= events), default=0)
    return Verification(
        clinic_id=clinic_id,
        events=events,
        rows=rows,
        anchored_seq=last,
        faults=tuple(faults),
        remarks=tuple(remarks),
    )


def _standing_anchors(store: Store, clinic_id: str, remarks: list[str]) -> dict[int, Anchor]:
    """By event; those of events that a restored backup does not hold are remarked on and left out."""
    known: dict[int, Anchor] = {}
    for each in anchors(store, clinic_id):
        lost = [seq for seq in known if each.restored and seq > each.seq]
        if lost:
            remarks.append(
                f"events {each.seq + 1} to {max(lost)} or later were lost: a backup was restored at {each.at}"
            )
        known = {seq: other for seq, other in known.items() if seq not in lost} | {each.seq: each}
    return known


_Told = dict[tuple[str, ...], tuple[int, str | None]]


def _walk(
    tx: Transaction, known: Mapping[int, Anchor], faults: list[Fault], remarks: list[str]
) -> tuple[_Told, int, bytes]:
    """Every event in order: what it tells of, the last number, the last MAC."""
    told: _Told = {}
    expected, mac, last_at = 0, FIRST, None
    for row in _events(tx):
        expected += 1
        if row["seq"] != expected:
            gap = (
                f"events {expected} to {row['seq'] - 1} are missing"
                if row["seq"] > expected + 1
                else (f"event {expected} is missing")
            )
            faults.append(Fault(seq=expected, what=gap))
            expected = row["seq"]
        elif not _is_true(tx.store.keys.audit, row, mac):
            faults.append(Fault(seq=row["seq"], what="the event was changed, put in, or moved"))
        mac = bytes(row["mac"])
        if row["seq"] in known and known[row["seq"]].mac != mac.hex():
            faults.append(Fault(seq=row["seq"], what="the trail up to here differs from the anchor"))
        if last_at is not None and row["at"] < last_at:
            remarks.append(f"the clock went back before event {row['seq']}")
        last_at = row["at"]
        for table, *key, digest in json.loads(row["writes"]):
            told[(table, *key)] = (row["seq"], digest)
    return told, expected, mac


def _is_true(ring: KeyRing, row: Row, before: bytes) -> bool:
    try:
        return hmac.compare_digest(chain_mac(ring, row, before), bytes(row["mac"]))
    except KeysRefused:
        return False


def _head_faults(tx: Transaction, events: int, mac: bytes) -> Iterator[Fault]:
    heads = tables.audit_heads
    head = tx.one(select(heads).where(tx.mine(heads)))
    if head is None:
        yield Fault(seq=None, what="the trail has no head", where="audit_heads")
    elif head["seq"] > events:
        yield Fault(seq=events + 1, what=f"events {events + 1} to {head['seq']} are missing at the end")
    elif head["seq"] != events or bytes(head["mac"]) != mac:
        yield Fault(seq=events, what="the head of the trail differs from its last event", where="audit_heads")


def _check_rows(tx: Transaction, told: _Told, faults: list[Fault], remarks: list[str]) -> int:
    """Every record against the last event that tells of it; how many records there are."""
    count = 0
    left = dict(told)
    for name, (key_names, _) in DIGESTED.items():
        table = tables.metadata.tables[name]
        for row in _batches(tx, table, [table.c[each] for each in key_names]):
            count += 1
            key = (name, *(str(row[each]) for each in key_names))
            where = f"{name} {'/'.join(key[1:])}"
            if name == "clinics" and key not in left:
                remarks.append(
                    "no event tells of the clinic's own name and zone, as an earlier version made it: "
                    "say them once with 'afterglow records change-clinic'"
                )
                continue
            if key not in left:
                faults.append(Fault(seq=None, what="a record that no event tells of", where=where))
                continue
            seq, digest = left.pop(key)
            if digest != row_digest(name, row):
                faults.append(Fault(seq=seq, what="a record differs from what its event tells", where=where))
    faults += [
        Fault(seq=seq, what="a record is missing", where=f"{key[0]} {'/'.join(key[1:])}")
        for key, (seq, _) in left.items()
    ]
    return count


def _events(tx: Transaction) -> Iterator[Row]:
    events, after = tables.audit_events, 0
    while True:
        query = select(events).where(tx.mine(events), events.c.seq > after).order_by(events.c.seq).limit(_BATCH)
        rows = tx.rows(query)
        yield from rows
        if len(rows) < _BATCH:
            return
        after = rows[-1]["seq"]
        tx.store.cache[f"proven:{tx.clinic_id}"] = after


def _batches(tx: Transaction, table: Any, order: list[Any]) -> Iterator[Row]:
    offset = 0
    while True:
        rows = tx.rows(select(table).where(tx.mine(table)).order_by(*order).limit(_BATCH).offset(offset))
        yield from rows
        if len(rows) < _BATCH:
            return
        offset += _BATCH


def event_of(row: Row) -> AuditEvent:
    """A row of the trail as an event."""
    return AuditEvent(
        seq=row["seq"],
        at=row["at"],
        by=row["by"],
        action=row["action"],
        patient_id=row["patient_id"],
        subject=row["subject"],
        detail=json.loads(row["detail"]),
    )


def _file(folder: Path, name: str) -> Path:
    return folder / f"{name}.jsonl"


def _signed(ring: KeyRing, purpose: str, line: Mapping[str, Any]) -> bytes:
    sign = hmac.digest(ring.derive(ring.current, purpose), canonical(dict(line)), sha256).hex()
    return canonical({**line, "key_id": ring.current, "sign": sign}) + b"\n"


def _trusted(ring: KeyRing, purpose: str, file: Path) -> Iterable[dict[str, Any]]:
    """The lines of a file whose signature is true; a torn last line (a crash) and forged ones are left out."""
    if not file.exists():
        return
    for text in file.read_bytes().splitlines():
        try:
            line = json.loads(text)
            sign = str(line.pop("sign"))
            key = ring.derive(str(line.pop("key_id")), purpose)
        except (ValueError, KeyError, TypeError, KeysRefused):
            continue
        if hmac.compare_digest(hmac.digest(key, canonical(line), sha256).hex(), sign):
            yield {**line, "sign": sign}


@contextmanager
def _locked(file: Path, what: str) -> Iterator[None]:
    """Hold a lock beside a file against every other thread and program of this machine.

    Raises: StoreUnavailable.
    """
    try:
        file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        handle = os.open(file.with_suffix(f".{what}"), os.O_RDWR | os.O_CREAT, 0o600)
    except OSError as fault:
        raise _unwritable(file, fault) from None
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)


def _append(file: Path, line: bytes) -> None:
    """One line at the end of a file, on the disk before this returns.

    Raises: StoreUnavailable.
    """
    try:
        file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        handle = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        try:
            os.write(handle, line)
            os.fsync(handle)
        finally:
            os.close(handle)
    except OSError as fault:
        raise _unwritable(file, fault) from None


def _unwritable(file: Path, fault: OSError) -> StoreUnavailable:
    return StoreUnavailable("A file beside the records cannot be written", observed=f"{file.parent}: {fault.strerror}")
