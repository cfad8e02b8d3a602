"""The audit trail: every kind of tampering is found and located, on both databases."""

from __future__ import annotations

import shutil
import sqlite3
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import delete, insert, select, update
from tests.integration.stores import BY, Pressure, Visit

from afterglow.errors import InputError, NotFound, StoreUnavailable
from afterglow.store import audit, facts, patients, tables
from afterglow.store.backup import back_up
from afterglow.store.chain import FIRST
from afterglow.store.engine import open_engine
from afterglow.store.keys import create_keys, load_keys, rotate_key
from afterglow.store.patients import Identifiers
from afterglow.store.records import Store, Transaction

AT = datetime(2026, 1, 5, 8, 30, tzinfo=UTC)
C, E, F, H, P = tables.clinics, tables.audit_events, tables.facts, tables.heads, tables.patients
K, S = tables.patient_keys, tables.search_index


@pytest.fixture
def filled(store: Store) -> Store:
    """Seven events: the clinic, Anna, four readings and a visit; the triggers that forbid tampering are gone."""
    with store.write("north", by=BY) as tx:
        patients.register(tx, Identifiers(name="Anna"), id="anna")
        tx.event("patient.registered", patient_id="anna")
    for systolic in (120, 130, 140, 150):
        with store.write("north", by=BY) as tx:
            facts.write(tx, Pressure(systolic_mmhg=systolic), at=AT, patient_id="anna")
            tx.event("reading.recorded", patient_id="anna")
    with store.write("north", by=BY) as tx:
        facts.save(tx, Visit(started_at=AT), id="v1", version=0, patient_id="anna", state="booked")
        tx.event("visit.booked", patient_id="anna")
    _drop_triggers(store)
    return store


def _drop_triggers(store: Store) -> None:
    own = {"afterglow_own_sql": True}
    with store.engine.connect().execution_options(**own) as connection, connection.begin():
        for table in tables.IMMUTABLE:
            if store.engine.dialect.name == "sqlite":
                for change in ("update", "delete"):
                    connection.exec_driver_sql(f"DROP TRIGGER {table.name}_no_{change}")
            else:
                connection.exec_driver_sql(f"DROP TRIGGER {table.name}_written_once ON {table.name}")


def faults(store: Store) -> list[tuple[int | None, str]]:
    return [(each.seq, each.what) for each in audit.verify(store, "north").faults]


def tamper(store: Store, *changes: Callable[[Transaction], object]) -> None:
    with store.write("north", by="thief") as tx:
        for change in changes:
            change(tx)


def mine(tx: Transaction, seq: int) -> tuple[Any, Any]:
    return tx.mine(E), E.c.seq == seq


def test_an_honest_trail_verifies(filled: Store) -> None:
    found = audit.verify(filled, "north")
    assert (found.events, found.rows, found.faults) == (7, 7, ())
    assert found.remarks == ("there is no anchor yet: a tail that was cut off could not show",)
    audit.anchor(filled, "north")
    found = audit.verify(filled, "north")
    assert (found.anchored_seq, found.remarks) == (7, ())
    assert audit.verify(filled, "south").faults == ()


@pytest.mark.parametrize(
    "changed",
    [{"name": "Clinic thief"}, {"time_zone": "UTC"}, {"synthetic": True}, {"created_at": AT}],
    ids=str,
)
def test_an_edited_clinic_is_found(filled: Store, changed: dict[str, object]) -> None:
    tamper(filled, lambda tx: tx.run(update(C).where(C.c.id == "north").values(**changed)))
    (fault,) = audit.verify(filled, "north").faults
    assert (fault.seq, fault.what) == (1, "a record differs from what its event tells")
    assert fault.where == "clinics north"
    assert audit.verify(filled, "south").faults == ()


def test_a_renamed_clinic_verifies_and_an_older_name_put_back_does_not(filled: Store) -> None:
    with filled.write("north", by=BY) as tx:
        before, after = tx.change_clinic(name="Harbour", time_zone=None)
        tx.event("clinic.changed")
    assert (before.name, after.name, after.time_zone) == ("Clinic north", "Harbour", "Europe/Zurich")
    assert {each.name for each in filled.clinics()} == {"Harbour", "Clinic south"}
    assert faults(filled) == []
    tamper(filled, lambda tx: tx.run(update(C).where(C.c.id == "north").values(name="Clinic north")))
    assert faults(filled) == [(8, "a record differs from what its event tells")]


@pytest.mark.parametrize(
    "change",
    [
        {"name": ""},
        {"time_zone": ""},
        {"name": " x"},
        {"name": "x" * 121},
        {"name": "a\nb"},
        {"time_zone": "Mars/Olympus"},
    ],
    ids=str,
)
def test_a_name_or_zone_that_nobody_can_use_changes_nothing(filled: Store, change: dict[str, str]) -> None:
    with pytest.raises(InputError), filled.write("north", by=BY) as tx:
        tx.change_clinic(**{"name": None, "time_zone": None, **change})
    with pytest.raises(NotFound), filled.write("nowhere", by=BY) as tx:
        tx.change_clinic(name="Harbour", time_zone=None)
    assert [each.name for each in filled.clinics()] == ["Clinic north", "Clinic south"]
    assert faults(filled) == []


def test_a_clinic_that_the_database_has_forgotten_is_known_from_its_anchors(filled: Store) -> None:
    assert audit.anchored_clinics(filled) == ()
    audit.anchor(filled, "north")
    audit.note_erasure(filled, "north", "somebody")
    assert audit.anchored_clinics(filled) == ("north",)
    stolen = "UPDATE clinics SET id = 'nord' WHERE id = 'north'"
    if filled.engine.dialect.name == "sqlite":
        thief = sqlite3.connect(str(filled.engine.url.database))  # a program that knows no foreign keys
        thief.execute(stolen)
        thief.commit()
        thief.close()
    else:
        with filled.engine.connect().execution_options(afterglow_own_sql=True) as connection, connection.begin():
            for table in ("patients", "audit_heads"):
                connection.exec_driver_sql(f"ALTER TABLE {table} DROP CONSTRAINT fk_{table}_clinic_id")
            connection.exec_driver_sql(stolen)
    assert [each.id for each in filled.clinics()] == ["nord", "south"]
    assert faults(filled) == [(1, "a record is missing")]
    assert {each.where for each in audit.verify(filled, "nord").faults} == {"audit_heads"}


def test_a_clinic_of_an_earlier_version_is_remarked_on_until_somebody_says_its_name(filled: Store) -> None:
    def as_before(tx: Transaction) -> None:
        tx.run(update(tables.audit_heads).where(tx.mine(tables.audit_heads)).values(seq=0, mac=FIRST))
        for table in (H, F, tables.patient_keys, tables.search_index, P, E):
            tx.run(delete(table).where(tx.mine(table)))

    tamper(filled, as_before)
    with filled.write("north", by="program") as tx:
        tx.event("clinic.created")  # without its row: as it was told before
    found = audit.verify(filled, "north")
    assert found.faults == ()
    assert any("no event tells of the clinic's own name" in remark for remark in found.remarks)
    with filled.write("north", by=BY) as tx:
        tx.change_clinic(name="Clinic north", time_zone=None)
        tx.event("clinic.changed")
    assert not any("no event tells" in remark for remark in audit.verify(filled, "north").remarks)


@pytest.mark.parametrize(
    "changed",
    [{"by": "other"}, {"at": AT}, {"action": "read"}, {"patient_id": None}, {"detail": '{"a":1}'}, {"writes": "[]"}],
    ids=str,
)
def test_an_edited_event_is_found_where_it_stands(filled: Store, changed: dict[str, object]) -> None:
    tamper(filled, lambda tx: tx.run(update(E).where(*mine(tx, 4)).values(**changed)))
    assert (4, "the event was changed, put in, or moved") in faults(filled)


def test_a_deleted_event_is_found(filled: Store) -> None:
    tamper(filled, lambda tx: tx.run(delete(E).where(*mine(tx, 4))))
    found = faults(filled)
    assert (4, "event 4 is missing") in found
    assert (None, "a record that no event tells of") in found


def test_two_events_in_a_new_order_are_found(filled: Store) -> None:

    def move(tx: Transaction, old: int, new: int) -> None:
        tx.run(update(E).where(*mine(tx, old)).values(seq=new))

    for old, new in ((3, 99), (4, 3), (99, 4)):
        tamper(filled, partial(move, old=old, new=new))
    assert {3, 4} <= {seq for seq, _ in faults(filled)}


def test_an_event_put_in_at_the_end_is_found(filled: Store) -> None:
    def forge(tx: Transaction) -> None:
        row = tx.one(select(E).where(*mine(tx, 7)))
        assert row is not None
        tx.run(insert(E).values(**{**row, "seq": 8, "writes": "[]"}))

    tamper(filled, forge)
    assert [seq for seq, _ in faults(filled)] == [8, 8]


def test_a_cut_tail_shows_in_the_head_and_behind_a_forged_head_in_the_anchor(filled: Store) -> None:
    audit.anchor(filled, "north")
    tamper(filled, lambda tx: tx.run(delete(E).where(tx.mine(E), E.c.seq > 5)))
    found = faults(filled)
    assert (6, "events 6 to 7 are missing at the end") in found

    def forge_head(tx: Transaction) -> None:
        row = tx.one(select(E.c.mac).where(*mine(tx, 5)))
        assert row is not None
        tx.run(update(tables.audit_heads).where(tx.mine(tables.audit_heads)).values(seq=5, mac=row["mac"]))
        tx.run(
            delete(F).where(
                tx.mine(F),
                F.c.id.in_(
                    [each["id"] for each in tx.rows(select(F.c.id).where(tx.mine(F)).order_by(F.c.id.desc()).limit(1))]
                ),
            )
        )
        tx.run(delete(H).where(tx.mine(H)))

    tamper(filled, forge_head)
    assert faults(filled) == [(7, "the trail ends before this event, which an anchor knows: its tail was cut off")]


def test_a_rewritten_trail_differs_from_its_anchor(filled: Store) -> None:
    """Even who holds the audit key cannot rewrite what was anchored."""
    audit.anchor(filled, "north")
    other = audit.Anchor(at="", seq=7, mac="00" * 32)
    file = filled.anchors / "north.jsonl"
    line = {"at": other.at, "seq": other.seq, "mac": other.mac, "restored": False}
    file.write_bytes(file.read_bytes() + b"torn line\n" + audit._signed(filled.keys.audit, "anchor:north", line))
    assert faults(filled) == [(7, "the trail up to here differs from the anchor")]


def test_a_forged_anchor_is_left_out(filled: Store, tmp_path: Path) -> None:
    forged = replace(filled, keys=create_keys(tmp_path / "thief"))
    audit.anchor(forged, "north")
    assert audit.anchors(filled, "north") == ()


@pytest.mark.parametrize(
    ("table", "change", "what"),
    [
        (F, {"at": AT + timedelta(days=1)}, "a record differs from what its event tells"),
        (F, {"body": b"x"}, "a record differs from what its event tells"),
        (H, {"state": "left"}, "a record differs from what its event tells"),
        (P, {"sealed": b"x"}, "a record differs from what its event tells"),
        (H, None, "a record is missing"),
        (F, None, "a record is missing"),
    ],
)
def test_a_record_changed_or_removed_behind_the_trail_is_found(
    filled: Store, table: Any, change: dict[str, object] | None, what: str
) -> None:
    def act(tx: Transaction) -> None:
        statement = delete(table) if change is None else update(table).values(**change)
        tx.run(statement.where(tx.mine(table)))

    tamper(filled, act)
    assert what in {text for _, text in faults(filled)}


@pytest.mark.parametrize(
    ("spoilt", "what"),
    [
        (lambda tx: tx.run(delete(K).where(tx.mine(K))), "the patient's key is missing"),
        (lambda tx: tx.run(update(K).where(tx.mine(K)).values(wrapped=b"x" * 60)), "the patient cannot be opened"),
        (lambda tx: tx.run(update(K).where(tx.mine(K)).values(key_id="k9")), "lack a key that the records need"),
        (lambda tx: tx.run(delete(S).where(tx.mine(S))), "the search index differs"),
        (lambda tx: tx.run(update(S).where(tx.mine(S)).values(digest=b"x")), "the search index differs"),
        (lambda tx: tx.run(update(S).where(tx.mine(S)).values(field="phone")), "the search index differs"),
    ],
)
def test_a_patient_whom_the_keys_do_not_open_or_the_index_does_not_find_is_found(
    filled: Store, tmp_path: Path, spoilt: Callable[[Transaction], object], what: str
) -> None:
    """Neither has events of its own: keys leave no trace but that nothing can be read."""
    assert back_up(filled, tmp_path / "good.zip").unopened == ()
    tamper(filled, spoilt)
    (fault,) = audit.verify(filled, "north").faults
    assert what in fault.what
    assert (fault.seq, fault.where) == (None, "patients anna")
    assert audit.verify(filled, "south").faults == ()
    assert [where for where, _ in back_up(filled, tmp_path / "bad.zip").unopened] == ["north anna"]


def test_an_erased_patient_whose_key_or_index_is_put_back_is_found(filled: Store) -> None:
    with filled.read("north") as tx:
        key, entry = tx.one(select(K).where(tx.mine(K))), tx.one(select(S).where(tx.mine(S)))
    assert key is not None
    assert entry is not None
    with filled.write("north", by="director") as tx:
        patients.erase(tx, "anna")
        tx.event("patient.erased", patient_id="anna")
    tamper(filled, lambda tx: tx.run(insert(K).values(**key)), lambda tx: tx.run(insert(S).values(**entry)))
    assert {what for _, what in faults(filled)} == {
        "a patient who is erased has a key",
        "a patient who is erased stands in the search index",
    }


def test_a_head_that_is_gone_is_found(filled: Store) -> None:
    heads = tables.audit_heads
    tamper(filled, lambda tx: tx.run(update(heads).where(tx.mine(heads)).values(seq=6)))
    assert faults(filled) == [(7, "the head of the trail differs from its last event")]
    tamper(filled, lambda tx: tx.run(delete(heads).where(tx.mine(heads))))
    assert faults(filled) == [(None, "the trail has no head")]


def test_who_tells_all_that_was_done_and_seen_of_a_patient(filled: Store) -> None:
    assert audit.record_read(filled, "north", by="doctor-1", view="chart", patient_id="anna")
    with filled.read("north") as tx:
        told = audit.who(tx, "anna")
        assert audit.who(tx, "nobody") == ()
    assert [(each.by, each.action) for each in told[-2:]] == [(BY, "visit.booked"), ("doctor-1", "read")]
    assert told[-1].detail == {"view": "chart"}


def test_erasure_leaves_a_trail_that_verifies(filled: Store) -> None:
    with filled.write("north", by="director") as tx:
        patients.erase(tx, "anna")
        tx.event("patient.erased", patient_id="anna")
    assert faults(filled) == []


def test_after_a_new_audit_key_the_older_events_still_verify(filled: Store, tmp_path: Path) -> None:
    audit.anchor(filled, "north")
    shutil.copytree(tmp_path / "keys", tmp_path / "old")
    rotate_key(tmp_path / "keys", "audit")
    turned = replace(filled, keys=load_keys(tmp_path / "keys"))
    audit.record_read(turned, "north", by=BY, view="worklist")
    audit.anchor(turned, "north")
    found = audit.verify(turned, "north")
    assert (found.faults, found.anchored_seq) == ((), 8)
    assert faults(filled) == []  # the ring is read again from its file
    without = replace(filled, keys=load_keys(tmp_path / "old"))
    assert (8, "the event was changed, put in, or moved") in faults(without)  # without the new key it cannot be proven


def test_a_clock_that_goes_back_is_remarked_on(filled: Store) -> None:
    late = replace(filled, clock=lambda: AT - timedelta(days=1))
    audit.record_read(late, "north", by=BY, view="worklist")
    found = audit.verify(late, "north")
    assert found.faults == ()
    assert "the clock went back before event 8" in found.remarks


def _blocked(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object, **__: object) -> None:
        raise StoreUnavailable("The records cannot be reached or written", observed="the disk is full")

    monkeypatch.setattr(Store, "write", full)


def test_while_the_trail_cannot_be_written_only_a_room_in_session_is_shown_and_the_read_waits(
    filled: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patched:
        _blocked(filled, patched)
        with pytest.raises(StoreUnavailable):
            audit.record_read(filled, "north", by=BY, view="chart", patient_id="anna")
        assert not audit.record_read(filled, "north", by=BY, view="room", patient_id="anna", may_spool=True)
        with pytest.raises(StoreUnavailable):
            audit.drain_spool(filled, "north")
    assert "reads wait in the spool" in audit.verify(filled, "north").remarks
    taken = filled.spool / "north.taken"
    kept = taken.read_bytes()
    assert audit.drain_spool(filled, "north") == 1
    taken.write_bytes(kept)  # as if it had crashed before the file was removed
    assert audit.drain_spool(filled, "north") == 0
    assert audit.drain_spool(filled, "north") == 0
    with filled.read("north") as tx:
        last = audit.who(tx, "anna")[-1]
    assert (last.action, last.by, last.detail["read_by"], last.detail["view"]) == (
        "read.spooled",
        "program",
        BY,
        "room",
    )


def test_a_spool_that_cannot_be_written_refuses_the_read(filled: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    filled.spool.write_text("in the way")
    _blocked(filled, monkeypatch)
    with pytest.raises(StoreUnavailable, match="beside the records"):
        audit.record_read(filled, "north", by=BY, view="room", may_spool=True)


def test_no_read_is_lost_while_the_spool_is_emptied(filled: Store, tmp_path: Path) -> None:
    """Writers and two who empty it, at once: a line that comes between reading and removing would be gone."""
    away = replace(filled, engine=open_engine(f"sqlite:///{tmp_path / 'not' / 'there.db'}", busy_timeout_s=1))
    stop = threading.Event()
    with ThreadPoolExecutor(6) as pool:

        def write(name: str) -> None:
            for number in range(25):
                assert not audit.record_read(
                    away, "north", by=BY, view=f"{name}-{number}", patient_id="anna", may_spool=True
                )

        def empty() -> int:
            moved = 0
            while not stop.is_set():
                moved += audit.drain_spool(filled, "north")
            return moved

        emptied = [pool.submit(empty) for _ in range(2)]
        for each in [pool.submit(write, name) for name in "abcd"]:
            each.result()
        stop.set()
        moved = sum(each.result() for each in emptied) + audit.drain_spool(filled, "north")
    with filled.read("north") as tx:
        views = [event.detail["view"] for event in audit.who(tx, "anna") if event.action == "read.spooled"]
    assert sorted(views) == sorted(f"{name}-{number}" for name in "abcd" for number in range(25))
    assert moved == 100
    assert audit.verify(filled, "north").faults == ()


def test_who_empties_the_spool_waits_for_a_line_that_is_being_written(filled: Store) -> None:
    file = filled.spool / "north.jsonl"
    audit._append(file, b"{}\n")
    with ThreadPoolExecutor(1) as pool, audit._locked(file, "lock"):
        emptying = pool.submit(audit.drain_spool, filled, "north")
        time.sleep(0.2)
        assert not emptying.done()
        assert file.exists()
    assert emptying.result() == 0
    assert not file.exists()
