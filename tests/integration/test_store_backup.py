"""Backup while running, restore into either database, damage, erasures since, an older revision."""

from __future__ import annotations

import threading
import zipfile
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
from sqlalchemy import select
from tests.integration.stores import BY, Chair, Pressure, Visit, new_url

from afterglow.errors import Conflict, KeysRefused, RecordsDamaged, UnreadableFile, UnwritableFile
from afterglow.store import attachments, audit, facts, patients, tables
from afterglow.store.backup import back_up, check_backup, in_order, restore
from afterglow.store.engine import open_engine, schema_of
from afterglow.store.keys import create_keys
from afterglow.store.patients import Identifiers
from afterglow.store.records import Clinic, Store

AT = datetime(2026, 1, 5, 8, 30, tzinfo=UTC)


def fill(store: Store) -> None:
    with store.write("north", by=BY) as tx:
        for name in ("anna", "berta"):
            patients.register(tx, Identifiers(name=name.title(), born_on=None, phone="+41"), id=name)
            old = facts.write(tx, Pressure(systolic_mmhg=412, note="°"), at=AT, patient_id=name, origin=f"o-{name}")
            facts.supersede(tx, old, Pressure(systolic_mmhg=142), reason="swapped")
            facts.save(tx, Visit(started_at=AT), id=f"v-{name}", version=0, patient_id=name, state="booked", due_at=AT)
            attachments.attach(tx, b"%PDF-", name="a.pdf", media_type="application/pdf", patient_id=name)
        facts.mark_in_error(tx, facts.write(tx, Chair(name="1"), at=AT), reason="no such chair")
        tx.event("chart.filled")
    with store.write("south", by=BY) as tx:
        facts.write(tx, Chair(name="1"), at=AT)
        tx.event("chair.added")


def content(store: Store) -> list[tuple[object, ...]]:
    """Every row of every clinic."""
    found = []
    for clinic in store.clinics():
        with store.read(clinic.id) as tx:
            for table in tables.metadata.sorted_tables:
                query = select(table).order_by(*table.primary_key.columns)
                rows = tx.rows(query if table is tables.clinics else query.where(tx.mine(table)))
                found += [(table.name, *row.values()) for row in rows]
    return found


def empty(store: Store, backend: str, folder: Path) -> Store:
    folder.mkdir()
    return replace(store, engine=open_engine(new_url(backend, folder)), anchors=folder, cache={})


@pytest.mark.parametrize("into", ["sqlite", "postgresql"])
def test_a_backup_comes_back_equal_in_either_database(store: Store, tmp_path: Path, into: str) -> None:
    fill(store)
    before = content(store)
    file = tmp_path / "backup.zip"
    assert back_up(store, file).rows == len(set(before))
    assert (file.stat().st_mode & 0o777, audit.anchors(store, "north")[0].seq) == (0o600, 2)
    target = empty(store, into, tmp_path / "new")
    done = restore(target, file)
    assert [each.faults for each in done.verified] == [(), ()]
    assert (done.rows, done.erased_again) == (len(set(before)), 0)
    lately = {("audit_events", "north", 3), ("audit_events", "south", 3)}
    kept = [row for row in content(target) if row[:3] not in lately and row[0] != "audit_heads"]
    assert kept == [row for row in before if row[0] != "audit_heads"]
    with target.write("north", by=BY) as tx:
        tx.event("read")
    target.engine.dispose()


def test_a_backup_is_of_one_moment_while_others_write(store: Store, tmp_path: Path) -> None:
    fill(store)
    stop = threading.Event()

    def write() -> None:
        while not stop.is_set():
            with store.write("north", by=BY) as tx:
                facts.write(tx, Chair(name="x"), at=AT)
                tx.event("chair.added")

    writer = threading.Thread(target=write)
    writer.start()
    try:
        for each in range(3):
            back_up(store, tmp_path / f"{each}.zip")
    finally:
        stop.set()
        writer.join()
    for each in range(3):
        verified = check_backup(store, tmp_path / f"{each}.zip").verified
        assert [found.faults for found in verified] == [(), ()]
        assert not any("spool" in remark for found in verified for remark in found.remarks)  # anchors are no reads


def test_what_was_erased_since_is_erased_again_and_what_was_lost_is_told(store: Store, tmp_path: Path) -> None:
    fill(store)
    back_up(store, tmp_path / "backup.zip")
    with store.write("north", by="director") as tx:
        patients.erase(tx, "anna")
        tx.event("patient.erased", patient_id="anna")
    audit.note_erasure(store, "north", "anna")
    audit.anchor(store, "north")
    target = replace(empty(store, "sqlite", tmp_path / "new"), anchors=store.anchors)
    done = restore(target, tmp_path / "backup.zip")
    assert done.erased_again == 1
    assert [each.faults for each in done.verified] == [(), ()]
    with target.read("north") as tx:
        assert patients.load(tx, "anna").identifiers is None
    target.engine.dispose()


def test_events_lost_by_a_restore_are_remarked_on(store: Store, tmp_path: Path) -> None:
    back_up(store, tmp_path / "backup.zip")
    for _ in range(5):
        audit.record_read(store, "north", by=BY, view="chart")
    audit.anchor(store, "north")
    target = replace(empty(store, "sqlite", tmp_path / "new"), anchors=store.anchors)
    found = restore(target, tmp_path / "backup.zip").verified[0]
    assert found.faults == ()
    assert "events 2 to 6 or later were lost" in found.remarks[0]
    target.engine.dispose()


def test_a_clinic_made_after_the_backup_is_known_to_be_lost(store: Store, tmp_path: Path) -> None:
    fill(store)
    back_up(store, tmp_path / "backup.zip")
    store.add_clinic(Clinic(id="west", name="West", time_zone="UTC"), by="program")
    audit.anchor(store, "west")
    (tmp_path / "new").mkdir()
    target = replace(store, engine=open_engine(new_url("sqlite", tmp_path / "new")), cache={})
    restore(target, tmp_path / "backup.zip")
    assert audit.anchored_clinics(target) == ("north", "south")
    target.engine.dispose()


def test_a_backup_goes_into_an_empty_database_alone(store: Store, tmp_path: Path) -> None:
    back_up(store, tmp_path / "backup.zip")
    before = content(store)
    with pytest.raises(Conflict, match="not empty"):
        restore(store, tmp_path / "backup.zip")
    assert content(store) == before


def test_a_file_is_not_written_over_and_nothing_is_left_of_a_failure(store: Store, tmp_path: Path) -> None:
    file = tmp_path / "backup.zip"
    file.write_text("mine")
    with pytest.raises(UnwritableFile):
        back_up(store, file)
    with pytest.raises(UnwritableFile):
        back_up(store, tmp_path / "missing" / "backup.zip")
    assert file.read_text() == "mine"
    assert not list(tmp_path.glob(".*part"))


def test_a_damaged_or_foreign_backup_restores_nothing(store: Store, tmp_path: Path) -> None:
    fill(store)
    file = tmp_path / "backup.zip"
    back_up(store, file)
    good = file.read_bytes()
    foreign = replace(store, keys=create_keys(tmp_path / "other"))
    with pytest.raises(KeysRefused, match="not made with these keys"):
        check_backup(foreign, file)
    with pytest.raises(UnreadableFile):
        check_backup(store, tmp_path / "nothing.zip")
    (tmp_path / "torn.zip").write_bytes(good[: len(good) // 2])
    with pytest.raises(RecordsDamaged):
        check_backup(store, tmp_path / "torn.zip")
    for name in ("north/facts.jsonl", "south/facts.jsonl", "north/audit_heads.jsonl"):
        for how in ("changed", "missing", "shorter"):
            bad = tmp_path / f"{name.replace('/', '-')}-{how}.zip"
            _spoil(file, bad, name, how)
            target = empty(store, "sqlite", tmp_path / bad.stem)
            with pytest.raises(RecordsDamaged):
                restore(target, bad)
            assert schema_of(target.engine) is None
            target.engine.dispose()


def _spoil(good: Path, bad: Path, name: str, how: str) -> None:
    with zipfile.ZipFile(good) as source, zipfile.ZipFile(bad, "w") as out:
        for each in source.namelist():
            text = source.read(each)
            if each == name and how == "missing":
                continue
            if each == name:
                text = (
                    text[: text.index(b"\n") + 1] * 0 if how == "shorter" else text.replace(b"north", b"nortH") + b"{"
                )
            out.writestr(each, text)


def test_a_fact_before_the_one_it_corrects_is_held_back() -> None:
    rows: list[dict[str, str | None]] = [
        {"id": "c", "supersedes": "b"},
        {"id": "b", "supersedes": "a"},
        {"id": "a", "supersedes": None},
    ]
    assert [row["id"] for row in in_order(rows)] == ["a", "b", "c"]
    with pytest.raises(RecordsDamaged):
        list(in_order(rows[:2]))


def test_only_the_owner_reads_what_lies_beside(store: Store, tmp_path: Path) -> None:
    audit.anchor(store, "north")
    assert (store.anchors / "north.jsonl").stat().st_mode & 0o777 == 0o600
    assert tmp_path in store.anchors.parents
