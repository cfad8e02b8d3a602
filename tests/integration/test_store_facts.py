"""Facts, heads and patients, on both databases."""

from __future__ import annotations

import threading
from datetime import UTC, date, datetime
from pathlib import Path

import pytest
from sqlalchemy import delete, insert, select, update
from tests.integration.stores import BY, Chair, Pressure, Visit

from afterglow.errors import (
    AfterglowError,
    Conflict,
    InputError,
    InvalidData,
    MissingValue,
    NotFound,
    OutOfRange,
    OutOfScope,
    RecordsDamaged,
)
from afterglow.store import attachments, facts, patients, tables
from afterglow.store.engine import transaction
from afterglow.store.keys import load_keys, rotate_key
from afterglow.store.patients import Identifiers
from afterglow.store.records import Clinic, Store

AT = datetime(2026, 1, 5, 8, 30, tzinfo=UTC)
ANNA = Identifiers(name="Anna Ämmler", born_on=date(1980, 2, 29), email="Anna@example.org", record_number="R-17")


def new_patient(store: Store, who: Identifiers = ANNA) -> str:
    with store.write("north", by=BY) as tx:
        found = patients.register(tx, who)
        tx.event("patient.registered", patient_id=found)
    return found


def write_pressure(store: Store, patient_id: str, systolic: int, origin: str | None = None) -> str:
    with store.write("north", by=BY) as tx:
        found = facts.write(
            tx, Pressure(systolic_mmhg=systolic), at=AT, patient_id=patient_id, subject="s1", origin=origin
        )
        tx.event("reading.recorded", patient_id=patient_id, subject="s1")
    return found


def test_a_fact_comes_back_with_who_and_when(store: Store) -> None:
    anna = new_patient(store)
    written = write_pressure(store, anna, 142)
    with store.read("north") as tx:
        (found,) = facts.standing(tx, Pressure, patient_id=anna, subject="s1")
    assert found.id == written
    assert found.fact == Pressure(systolic_mmhg=142)
    assert (found.at, found.recorded_by, found.recorded_at.tzinfo) == (AT, BY, UTC)
    assert found.recorded_at > AT


def test_a_correction_supersedes_and_the_history_keeps_both(store: Store) -> None:
    anna = new_patient(store)
    old = write_pressure(store, anna, 412)
    with store.write("north", by="nurse-2") as tx:
        new = facts.supersede(tx, old, Pressure(systolic_mmhg=142), reason="digits swapped")
        tx.event("reading.corrected", patient_id=anna)
    with store.read("north") as tx:
        (now,) = facts.standing(tx, Pressure, patient_id=anna)
        first, second = facts.history(tx, Pressure, patient_id=anna)
    assert (now.id, now.fact, now.reason, now.supersedes) == (new, Pressure(systolic_mmhg=142), "digits swapped", old)
    assert (first.id, second.id, second.recorded_by) == (old, new, "nurse-2")


def test_a_fact_of_the_wrong_patient_stands_for_nothing(store: Store) -> None:
    anna = new_patient(store)
    old = write_pressure(store, anna, 142)
    with store.write("north", by=BY) as tx:
        facts.mark_in_error(tx, old, reason="read on another patient")
        tx.event("reading.in_error", patient_id=anna)
    with store.read("north") as tx:
        assert facts.standing(tx, Pressure, patient_id=anna) == ()
        assert [each.entered_in_error for each in facts.history(tx, Pressure, patient_id=anna)] == [False, True]


def test_a_fact_is_corrected_once(store: Store) -> None:
    old = write_pressure(store, new_patient(store), 412)
    with store.write("north", by=BY) as tx:
        mark = facts.mark_in_error(tx, old, reason="wrong patient")
        tx.event("reading.in_error")
    for gone in (old, mark):
        with pytest.raises(Conflict, match="corrected already"), store.write("north", by=BY) as tx:
            facts.supersede(tx, gone, Pressure(systolic_mmhg=142), reason="again")


def test_a_correction_needs_a_reason_and_a_fact_of_the_same_kind(store: Store) -> None:
    old = write_pressure(store, new_patient(store), 142)
    with pytest.raises(MissingValue), store.write("north", by=BY) as tx:
        facts.supersede(tx, old, Pressure(systolic_mmhg=1), reason=" ")
    with pytest.raises(InvalidData), store.write("north", by=BY) as tx:
        facts.supersede(tx, old, Chair(name="1"), reason="why")
    with pytest.raises(NotFound), store.write("north", by=BY) as tx:
        facts.mark_in_error(tx, "nothing", reason="why")


def test_the_same_origin_is_written_once(store: Store) -> None:
    anna = new_patient(store)
    assert write_pressure(store, anna, 142, origin="row-1") == write_pressure(store, anna, 142, origin="row-1")
    with store.read("north") as tx:
        assert len(facts.standing(tx, Pressure)) == 1


@pytest.mark.parametrize("change", ["update", "delete"])
def test_the_database_itself_refuses_to_change_a_fact(store: Store, change: str) -> None:
    write_pressure(store, new_patient(store), 142)
    for table in tables.IMMUTABLE:
        if table is tables.attachments and change:
            with store.write("north", by=BY) as tx:
                attachments.attach(tx, b"x", name="n", media_type="text/plain", patient_id=_only(store))
                tx.event("file.attached")
        column = next(c for c in table.c if c.name in {"recorded_by", "by"})
        statement = update(table).values({column: "other"}) if change == "update" else delete(table)
        with pytest.raises(AfterglowError), store.write("north", by=BY) as tx:
            tx.run(statement.where(tx.mine(table)))


def _only(store: Store) -> str:
    with store.read("north") as tx:
        return next(patients.load_all(tx)).id


def test_an_unknown_class_or_patient_is_refused(store: Store) -> None:
    with pytest.raises(InvalidData, match="no kind"), store.write("north", by=BY) as tx:
        facts.write(tx, ANNA, at=AT)
    with pytest.raises(NotFound), store.write("north", by=BY) as tx:
        facts.write(tx, Pressure(systolic_mmhg=1), at=AT, patient_id="nobody")


def test_a_write_without_an_event_is_rolled_back(store: Store) -> None:
    with pytest.raises(OutOfScope, match="without an audit event"), store.write("north", by=BY) as tx:
        facts.write(tx, Chair(name="1"), at=AT)
    with store.read("north") as tx:
        assert facts.standing(tx, Chair) == ()
        with pytest.raises(OutOfScope):
            tx.run(insert(tables.audit_heads).values(clinic_id="north", seq=1, mac=b""))


def test_a_head_is_changed_under_its_version(store: Store) -> None:
    anna = new_patient(store)
    visit = Visit(started_at=AT)
    with store.write("north", by=BY) as tx:
        assert facts.save(tx, visit, id="v1", version=0, patient_id=anna, state="booked", due_at=AT) == 1
        tx.event("visit.booked", patient_id=anna)
    later = Visit(started_at=AT, readings=(Pressure(systolic_mmhg=120, note="left arm"),))
    with store.write("north", by=BY) as tx:
        assert facts.save(tx, later, id="v1", version=1, patient_id=anna, state="arrived") == 2
        tx.event("visit.arrived", patient_id=anna)
    for version in (0, 1, 3):
        with pytest.raises(Conflict), store.write("north", by="nurse-2") as tx:
            facts.save(tx, visit, id="v1", version=version, patient_id=anna)
    with store.read("north") as tx:
        head = facts.load(tx, Visit, "v1")
        assert (head.now, head.version, head.state, head.patient_id) == (later, 2, "arrived", anna)
        assert facts.load_all(tx, Visit, patient_id=anna, states=("arrived",)) == (head,)
        assert facts.load_all(tx, Visit, states=("booked",)) == ()
        with pytest.raises(NotFound):
            facts.load(tx, Visit, "v2")


def test_two_nurses_at_one_session_one_of_them_is_told(store: Store) -> None:
    anna = new_patient(store)
    with store.write("north", by=BY) as tx:
        facts.save(tx, Visit(started_at=AT), id="v1", version=0, patient_id=anna)
        tx.event("visit.booked")
    told: list[str] = []
    barrier = threading.Barrier(2)

    def nurse(name: str) -> None:
        barrier.wait()
        try:
            with store.write("north", by=name) as tx:
                facts.save(tx, Visit(started_at=AT), id="v1", version=1, patient_id=anna)
                tx.event("visit.changed")
            told.append("saved")
        except Conflict:
            told.append("conflict")

    threads = [threading.Thread(target=nurse, args=(name,)) for name in ("nurse-1", "nurse-2")]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    assert sorted(told) == ["conflict", "saved"]


def test_a_patient_is_found_by_exact_value_and_by_part_of_a_name(store: Store) -> None:
    anna = new_patient(store)
    berta = new_patient(store, Identifiers(name="Berta Amsler", phone="+41 44 000 00 00"))
    with store.read("north") as tx:
        assert patients.find_exact(tx, email="anna@EXAMPLE.org") == (anna,)
        assert patients.find_exact(tx, born_on=date(1980, 2, 29), record_number="r-17") == (anna,)
        assert patients.find_exact(tx, name="anna ammler", record_number="R-18") == ()
        assert patients.find_exact(tx, address="nowhere") == ()
        assert patients.find_by_name(tx, "AMML") == (anna,)
        assert patients.find_by_name(tx, "am") == (anna, berta)
        assert patients.find_by_name(tx, "am", most=1) == (anna,)
        with pytest.raises(MissingValue):
            patients.find_exact(tx)
    with store.read("south") as tx:
        assert patients.find_exact(tx, email="anna@example.org") == ()
        assert patients.find_by_name(tx, "a") == ()
        with pytest.raises(NotFound):
            patients.load(tx, anna)


def test_a_corrected_name_is_found_and_the_old_one_is_not(store: Store) -> None:
    anna = new_patient(store)
    with store.read("north") as tx:
        assert patients.find_by_name(tx, "anna") == (anna,)
    with store.write("north", by=BY) as tx:
        assert patients.identify(tx, anna, Identifiers(name="Anne Muster"), version=1) == 2
        tx.event("patient.identified", patient_id=anna)
    with pytest.raises(Conflict), store.write("north", by=BY) as tx:
        patients.identify(tx, anna, ANNA, version=1)
    with store.read("north") as tx:
        assert patients.find_by_name(tx, "anna") == ()
        assert patients.find_by_name(tx, "muster") == (anna,)
        assert patients.find_exact(tx, record_number="R-17") == ()
        assert patients.load(tx, anna).identifiers == Identifiers(name="Anne Muster")


def test_nothing_that_identifies_lies_open_in_the_database(store: Store) -> None:
    anna = new_patient(store)
    with store.write("north", by=BY) as tx:
        facts.write(tx, Pressure(systolic_mmhg=120, note="sister Marta brings her"), at=AT, patient_id=anna)
        attachments.attach(tx, b"%PDF-secret", name="Ammler.pdf", media_type="application/pdf", patient_id=anna)
        tx.event("chart.filled", patient_id=anna)
    seen = []
    for table in tables.metadata.sorted_tables:
        if table is not tables.clinics:
            with store.read("north") as tx:
                seen += [str(value) for row in tx.rows(select(table).where(tx.mine(table))) for value in row.values()]
    text = " ".join(seen)
    assert len(seen) > 20
    for secret in ("Ämmler", "Ammler", "1980-02-29", "xample.org", "R-17", "Marta", "secret"):
        assert secret not in text


def test_erasure_destroys_what_was_sealed(store: Store) -> None:
    anna, berta = new_patient(store), new_patient(store, Identifiers(name="Berta Amsler"))
    write_pressure(store, anna, 142)
    with store.write("north", by=BY) as tx:
        facts.save(tx, Visit(started_at=AT), id="v1", version=0, patient_id=anna)
        file = attachments.attach(tx, b"x", name="n", media_type="text/plain", patient_id=anna)
        tx.event("visit.booked")
    with store.write("north", by="director") as tx:
        patients.erase(tx, anna)
        tx.event("patient.erased", patient_id=anna)
    with store.read("north") as tx:
        assert patients.load(tx, anna).identifiers is None
        assert [each.fact for each in facts.standing(tx, Pressure, patient_id=anna)] == [None]
        assert facts.load(tx, Visit, "v1").now is None
        assert attachments.fetch(tx, file).content is None
        assert patients.find_by_name(tx, "a") == (berta,)
        assert patients.find_exact(tx, record_number="R-17") == ()
    for act in (
        lambda tx: patients.erase(tx, anna),
        lambda tx: patients.identify(tx, anna, ANNA, version=2),
        lambda tx: facts.write(tx, Pressure(systolic_mmhg=1), at=AT, patient_id=anna),
        lambda tx: attachments.attach(tx, b"x", name="n", media_type="text/plain", patient_id=anna),
    ):
        with pytest.raises(Conflict), store.write("north", by=BY) as tx:
            act(tx)


def test_a_new_clinic_key_opens_everything_and_the_old_one_may_go(store: Store, tmp_path: Path) -> None:
    anna = new_patient(store)
    write_pressure(store, anna, 142)
    ring = rotate_key(tmp_path / "keys", "clinic")
    turned = _with_keys(store, tmp_path)
    with turned.read("north") as tx:
        assert patients.find_exact(tx, record_number="R-17") == (anna,)  # before the records are sealed again
    with turned.write("north", by="program") as tx:
        assert patients.reseal_keys(tx) == 1
        tx.event("keys.rotated")
    (tmp_path / "keys" / "clinic.keys").write_text(
        (tmp_path / "keys" / "clinic.keys").read_text().replace('"k1"', '"k0"')
    )
    without_old = _with_keys(store, tmp_path)
    with without_old.read("north") as tx:
        assert ring.current == "k2"
        assert patients.load(tx, anna).identifiers == ANNA
        assert patients.find_exact(tx, record_number="R-17") == (anna,)
        assert facts.standing(tx, Pressure, patient_id=anna)[0].fact == Pressure(systolic_mmhg=142)


def _with_keys(store: Store, folder: Path) -> Store:
    return Store(
        engine=store.engine,
        keys=load_keys(folder / "keys"),
        kinds=store.kinds,
        anchors=store.anchors,
        spool=store.spool,
        clock=store.clock,
    )


def test_a_sealed_record_that_was_moved_or_changed_does_not_open(store: Store) -> None:
    anna, berta = new_patient(store), new_patient(store, Identifiers(name="Berta Amsler"))
    rows = tables.patients
    with store.write("north", by=BY) as tx:
        row = tx.one(select(rows.c.sealed).where(tx.mine(rows), rows.c.id == anna))
        assert row is not None
        tx.run(update(rows).where(tx.mine(rows), rows.c.id == berta).values(sealed=row["sealed"]))
    with store.read("north") as tx, pytest.raises(RecordsDamaged, match="does not open"):
        patients.load(tx, berta)
    keys = tables.patient_keys
    with store.write("north", by=BY) as tx:
        tx.run(delete(keys).where(tx.mine(keys), keys.c.patient_id == anna))
    with store.read("north") as tx, pytest.raises(RecordsDamaged, match="key is missing"):
        patients.load(tx, anna)


def test_files_are_held_to_types_and_sizes(store: Store) -> None:
    anna = new_patient(store)
    good = {"name": "Ammler.pdf", "media_type": "application/pdf", "patient_id": anna}
    with store.write("north", by=BY) as tx:
        found = attachments.attach(tx, b"%PDF-1.7 ...", subject="s1", **good)
        tx.event("file.attached", patient_id=anna)
    with store.read("north") as tx:
        file = attachments.fetch(tx, found)
        assert (file.name, file.content, file.subject) == ("Ammler.pdf", b"%PDF-1.7 ...", "s1")
        assert "Ammler" not in repr(file)
        assert [each.id for each in attachments.listed(tx, anna)] == [found]
        with pytest.raises(NotFound):
            attachments.fetch(tx, "nothing")
    for error, content, media_type in (
        (InputError, b"MZ", "application/x-msdownload"),
        (InputError, b"<html>", "application/pdf"),
        (InputError, b"a\0b", "text/plain"),
        (InputError, b"\xff\xfe", "text/plain"),
        (OutOfRange, b"", "text/plain"),
        (OutOfRange, b"x" * 20_000_001, "text/plain"),
    ):
        with pytest.raises(error), store.write("north", by=BY) as tx:
            attachments.attach(tx, content, name="n", media_type=media_type, patient_id=anna)


def test_identifiers_are_checked_and_show_nothing() -> None:
    assert "Anna" not in repr(ANNA)
    with pytest.raises(MissingValue):
        Identifiers(name=" ")
    with pytest.raises(OutOfRange):
        Identifiers(name="x" * 201)


def test_a_clinic_is_made_once_in_a_known_zone(store: Store) -> None:
    assert [each.id for each in store.clinics()] == ["north", "south"]
    with pytest.raises(Conflict):
        store.add_clinic(Clinic(id="north", name="x", time_zone="UTC"), by="program")
    with pytest.raises(InputError, match="time zone"):
        store.add_clinic(Clinic(id="east", name="x", time_zone="Moon/Crater"), by="program")
    for clinic, by in (("no/rth", BY), ("north", ""), ("north", "Ann Müller")):
        with pytest.raises(InputError), store.write(clinic, by=by):
            pass
    with pytest.raises(NotFound, match="no such clinic"), store.write("west", by=BY) as tx:
        tx.event("read")


def test_a_failing_use_case_leaves_nothing(store: Store) -> None:
    anna = new_patient(store)
    with pytest.raises(ZeroDivisionError), store.write("north", by=BY) as tx:
        facts.write(tx, Pressure(systolic_mmhg=120), at=AT, patient_id=anna)
        tx.event("reading.recorded")
        _ = 1 / 0
    with store.read("north") as tx:
        assert facts.standing(tx, Pressure) == ()
        events = tables.audit_events
        assert sorted(row["action"] for row in tx.rows(select(events.c.action).where(tx.mine(events)))) == [
            "clinic.created",
            "patient.registered",
        ]


def test_transactions_are_of_the_right_kind(store: Store) -> None:
    with transaction(store.engine, None, writing=False, busy_timeout_s=1) as connection:
        assert len(connection.execute(select(tables.clinics)).all()) == 2


def test_what_was_read_is_given_again_only_for_the_same_bytes_and_the_same_key(store: Store) -> None:
    anna = new_patient(store)
    with store.write("north", by=BY) as tx:
        facts.save(tx, Visit(started_at=AT), id="v1", version=0, patient_id=anna)
        tx.event("visit.started", patient_id=anna)

    def read() -> Visit | None:
        with store.read("north") as tx:
            return facts.load(tx, Visit, "v1").now

    def put(body: bytes) -> None:
        with store.write("north", by=BY) as tx:
            tx.run(update(rows).where(*mine).values(body=body))

    rows = tables.heads
    mine = (rows.c.clinic_id == "north", rows.c.id == "v1")
    assert read() is read()  # opened once
    with store.read("north") as tx:
        row = tx.one(select(rows.c.body).where(*mine))
    assert row is not None
    put(row["body"][:-1] + bytes([row["body"][-1] ^ 1]))
    with pytest.raises(RecordsDamaged):
        read()
    put(row["body"])
    assert read() == Visit(started_at=AT)
    with store.write("north", by=BY) as tx:
        patients.erase(tx, anna)
        tx.event("patient.erased", patient_id=anna)
    assert read() is None
    assert not len(facts._KEPT)


def test_many_patients_are_read_at_once(store: Store) -> None:
    several = [new_patient(store, Identifiers(name=f"Patient {place}")) for place in range(3)]
    for each in several:
        write_pressure(store, each, 142)
    with store.read("north") as tx:
        found = patients.load_some(tx, [*several, "nobody"])
        about = facts.standing(tx, Pressure, subjects=["s1", "s2"])
        nothing = facts.standing(tx, Pressure, subjects=[])
    assert {each: of.identifiers.name for each, of in found.items() if of.identifiers} == {
        each: f"Patient {place}" for place, each in enumerate(several)
    }
    assert ({each.patient_id for each in about}, nothing) == (set(several), ())
    with store.read("south") as tx:
        assert patients.load_some(tx, several) == {}
