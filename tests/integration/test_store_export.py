"""A whole clinic out in open formats, and back into an empty installation, equal."""

from __future__ import annotations

import json
import zipfile
from dataclasses import fields, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from tests.integration.stores import BY, Chair, Pressure, Visit, new_url

from afterglow.errors import Conflict, InputError, NotFound, RecordsDamaged
from afterglow.store import attachments, audit, facts, patients
from afterglow.store.backup import back_up
from afterglow.store.engine import open_engine, upgrade
from afterglow.store.export import export_clinic, import_clinic, kinds_markdown
from afterglow.store.keys import create_keys
from afterglow.store.patients import Identifiers
from afterglow.store.records import Store
from afterglow.usecases.kinds import KINDS

AT = datetime(2026, 1, 5, 8, 30, tzinfo=UTC)


def fill(store: Store) -> None:
    with store.write("north", by=BY) as tx:
        for name in ("anna", "berta"):
            patients.register(tx, Identifiers(name=name.title(), phone="+41"), id=name)
            old = facts.write(tx, Pressure(systolic_mmhg=412, note="°"), at=AT, patient_id=name, origin=f"o-{name}")
            facts.supersede(tx, old, Pressure(systolic_mmhg=142), reason="swapped")
            facts.save(tx, Visit(started_at=AT), id=f"v-{name}", version=0, patient_id=name, state="booked", due_at=AT)
            attachments.attach(tx, b"%PDF-", name="a.pdf", media_type="application/pdf", patient_id=name)
        facts.mark_in_error(tx, facts.write(tx, Chair(name="1"), at=AT), reason="no such chair")
        tx.event("chart.filled", patients=2)
    with store.write("north", by=BY) as tx:
        facts.save(tx, Visit(started_at=AT), id="v-anna", version=1, patient_id="anna", state="left")
        patients.erase(tx, "berta")
        tx.event("patient.erased", patient_id="berta")


def parts(file: Path) -> dict[str, Any]:
    with zipfile.ZipFile(file) as archive:
        return {
            name: [json.loads(line) for line in archive.read(name).splitlines()]
            if name.endswith(".jsonl")
            else archive.read(name)
            for name in archive.namelist()
            if name != "manifest.json"
        }


def elsewhere(store: Store, backend: str, folder: Path) -> Store:
    """Another, empty installation with keys of its own."""
    folder.mkdir()
    engine = open_engine(new_url(backend, folder))
    upgrade(engine)
    return replace(store, engine=engine, keys=create_keys(folder / "keys"), anchors=folder, spool=folder, cache={})


def test_every_kind_is_described_with_its_fields() -> None:
    """Whoever reads an export has no program: each kind, and what stands in its fields, down to plain values."""
    page = kinds_markdown(KINDS)
    sections = {each.split("\n")[0]: each for each in page.split("\n## ")[1:]}
    for name, kind in KINDS.items():
        section = sections[f"`{name}`: {kind.__name__}"]
        assert all(f"| `{each.name}` |" in section for each in fields(kind))
    assert "`high`" in sections["Priority"]
    assert not [line for line in page.splitlines() if line.startswith("| `") and "afterglow" in line]


@pytest.mark.parametrize("into", ["sqlite", "postgresql"])
def test_an_exported_clinic_comes_back_equal(store: Store, tmp_path: Path, into: str) -> None:
    fill(store)
    assert export_clinic(store, "north", tmp_path / "one.zip", by="director") == 12
    other = elsewhere(store, into, tmp_path / "other")
    assert import_clinic(other, tmp_path / "one.zip", by="director").name == "Clinic north"
    assert audit.verify(other, "north").faults == ()
    export_clinic(other, "north", tmp_path / "two.zip", by="director")
    one, two = parts(tmp_path / "one.zip"), parts(tmp_path / "two.zip")
    assert [each["action"] for each in two["audit.jsonl"][-2:]] == ["clinic.imported", "clinic.exported"]
    two["audit.jsonl"] = two["audit.jsonl"][:-2]
    assert one == two
    with other.read("north") as tx:
        assert patients.find_by_name(tx, "ann") == patients.find_exact(tx, phone="+41") == ("anna",)
        assert facts.standing(tx, Pressure, patient_id="anna")[0].fact == Pressure(systolic_mmhg=142)
        assert facts.load(tx, Visit, "v-anna").version == 2
        assert attachments.fetch(tx, attachments.listed(tx, "anna")[0].id).content == b"%PDF-"
    other.engine.dispose()


def test_an_export_can_be_read_without_afterglow(store: Store, tmp_path: Path) -> None:
    fill(store)
    export_clinic(store, "north", tmp_path / "one.zip", by="director")
    found = parts(tmp_path / "one.zip")
    assert (tmp_path / "one.zip").stat().st_mode & 0o777 == 0o600
    assert [each["identifiers"] for each in found["patients.jsonl"]] == [{"name": "Anna", "phone": "+41"}, None]
    correction = next(each for each in found["facts.jsonl"] if each["reason"] == "swapped")
    assert (correction["fact"], correction["recorded_by"]) == ({"systolic_mmhg": 142}, BY)
    for name in found:
        if name.endswith(".jsonl"):
            assert name in found["README.txt"].decode()
    with pytest.raises(NotFound):
        export_clinic(store, "west", tmp_path / "west.zip", by="director")
    assert not (tmp_path / "west.zip").exists()


def test_nothing_is_half_imported(store: Store, tmp_path: Path) -> None:
    fill(store)
    export_clinic(store, "north", tmp_path / "one.zip", by="director")
    with pytest.raises(Conflict, match="there already"):
        import_clinic(store, tmp_path / "one.zip", by="director")
    other = elsewhere(store, "sqlite", tmp_path / "other")
    back_up(store, tmp_path / "backup.zip")
    with pytest.raises(InputError, match="no export"):
        import_clinic(other, tmp_path / "backup.zip", by="director")
    with zipfile.ZipFile(tmp_path / "one.zip") as good, zipfile.ZipFile(tmp_path / "bad.zip", "w") as bad:
        for name in good.namelist():
            bad.writestr(name, good.read(name).replace(b"142", b"141"))
    with pytest.raises(RecordsDamaged):
        import_clinic(other, tmp_path / "bad.zip", by="director")
    assert other.clinics() == ()
    other.engine.dispose()
