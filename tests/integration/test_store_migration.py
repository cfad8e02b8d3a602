"""A database of the previous version, with data in it, comes to this version and loses nothing."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest
from tests.integration.stores import BY, KINDS, Clock, Pressure

from afterglow.errors import StoreOutdated
from afterglow.store import audit, facts, patients
from afterglow.store.engine import check_schema, open_engine, schema_of, upgrade
from afterglow.store.keys import create_keys
from afterglow.store.records import Clinic, Store

AT = datetime(2026, 1, 5, 9, tzinfo=UTC)


def test_data_of_the_previous_version_is_whole_after_the_upgrade(url: str, tmp_path: Path) -> None:
    engine = open_engine(url, busy_timeout_s=5)
    upgrade(engine, "0001")
    store = Store(
        engine=engine,
        keys=create_keys(tmp_path / "keys"),
        kinds=KINDS,
        anchors=tmp_path / "anchors",
        spool=tmp_path / "spool",
        clock=Clock(),
    )
    who = patients.Identifiers(name="Ann Early", record_number="7")
    store.add_clinic(Clinic(id="north", name="North", time_zone="UTC"), by="program")
    with store.write("north", by=BY) as tx:
        ann = patients.register(tx, who)
        facts.write(tx, Pressure(systolic_mmhg=120), at=AT, patient_id=ann)
        tx.event("pressure.recorded", patient_id=ann)
    audit.anchor(store, "north")
    with pytest.raises(StoreOutdated, match="another version"):
        check_schema(engine)
    upgrade(engine)
    check_schema(engine)
    upgrade(engine)  # a second time changes nothing
    assert schema_of(engine) == "0002"
    assert audit.verify(store, "north").faults == ()
    with store.write("north", by=BY) as tx:
        assert patients.find_exact(tx, record_number="7") == (ann,)
        assert patients.load(tx, ann).identifiers == who
        (kept,) = facts.standing(tx, Pressure, patient_id=ann)
        facts.supersede(tx, kept.id, Pressure(systolic_mmhg=121), reason="read again")
        tx.event("pressure.corrected", patient_id=ann)
    assert kept.fact == Pressure(systolic_mmhg=120)
    assert audit.verify(store, "north").faults == ()
    engine.dispose()
