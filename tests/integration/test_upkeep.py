"""The operator's commands as he runs them, and what they never say."""

from __future__ import annotations

import io
import sqlite3
import subprocess
import sys
from contextlib import redirect_stderr, redirect_stdout
from datetime import UTC, date, datetime
from pathlib import Path

import pytest

from afterglow.cli import main
from afterglow.settings import Settings
from afterglow.store import audit, facts, patients
from afterglow.store.patients import Identifiers
from afterglow.usecases.upkeep import opened

SECRETS = ("Annabel", "Quixote", "1980-02-29", "annabel@", "R-4711")


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("AFTERGLOW_FOLDER", str(tmp_path / "data"))
    monkeypatch.setenv("AFTERGLOW_CLINIC", "north")
    return tmp_path


def run(*words: str, code: int = 0, set_to: dict[str, str] | None = None) -> str:
    said = io.StringIO()
    with pytest.MonkeyPatch.context() as patched, redirect_stdout(said), redirect_stderr(said):
        patched.setattr(sys, "argv", ["afterglow", *words])
        for name, value in (set_to or {}).items():
            patched.setenv(name, value)
        with pytest.raises(SystemExit) as left:
            main()
    assert left.value.code == code, said.getvalue()
    assert not [secret for secret in SECRETS if secret in said.getvalue()]
    return said.getvalue()


def register(folder: Path) -> None:
    who = Identifiers(name="Annabel Quixote", born_on=date(1980, 2, 29), email="annabel@x", record_number="R-4711")
    with opened(Settings(folder=folder / "data")) as store, store.write("north", by="nurse-1") as tx:
        patients.register(tx, who, id="p1")
        tx.event("patient.registered", patient_id="p1")


def test_an_installation_from_its_creation_to_its_restore(folder: Path) -> None:
    assert "no records" in run("audit", "verify", code=7)
    assert "Keep a copy" in run("records", "create", "--name", "North", "--time-zone", "Europe/Zurich")
    register(folder)
    assert "already" in run("records", "create", "--name", "North", code=6)
    run("records", "create", "--name", "South", set_to={"AFTERGLOW_CLINIC": "south"})
    assert "nothing to do" in run("records", "upgrade")
    assert "anchored at event 2" in run("audit", "anchor")
    assert "1 patient's key" in run("records", "rotate-key", "clinic")
    assert "now k2" in run("records", "rotate-key", "audit")
    assert "patient.registered" in run("audit", "who", "p1")
    assert "audit.read" in run("audit", "who", "p1")
    assert "no such patient" in run("audit", "who", "Annabel"[:3], code=2)
    backup = str(folder / "backup.zip")
    assert "rows are in" in run("backup", backup)
    assert "whole" in run("restore", "--verify", backup)
    assert "not empty" in run("restore", backup, code=6)
    fresh = {"AFTERGLOW_FOLDER": str(folder / "new"), "AFTERGLOW_KEYS_FOLDER": str(folder / "data" / "keys")}
    assert "restored" in run("restore", backup, set_to=fresh)
    assert "Everything verifies" in run("audit", "verify", set_to=fresh)
    export = str(folder / "north.zip")
    assert "in the clear" in run("export", export)
    other = {"AFTERGLOW_FOLDER": str(folder / "other")}
    assert "without a clinic" in run("records", "create", set_to=other)
    assert "Clinic north is here" in run("records", "bring-clinic", export, set_to=other)
    assert "Everything verifies" in run("audit", "verify", set_to=other)
    assert "exists" not in run("backup", backup, code=2)


def test_tampering_is_told_with_its_place(folder: Path) -> None:
    run("records", "create", "--name", "North")
    register(folder)
    with sqlite3.connect(folder / "data" / "records.db") as thief:
        thief.execute("UPDATE patients SET version = 7")
    assert "FAULT event 2: a record differs" in run("audit", "verify", code=7)


def test_a_key_that_is_turned_beside_a_running_server_is_taken_up_by_it(folder: Path) -> None:
    run("records", "create", "--name", "North")
    register(folder)
    with opened(Settings(folder=folder / "data")) as server:
        with server.read("north") as tx:
            assert patients.find_exact(tx, record_number="R-4711") == ("p1",)
        assert "1 patient's key was wrapped by it" in run("records", "rotate-key", "clinic")
        with server.write("north", by="nurse-1") as tx:
            assert patients.find_exact(tx, record_number="R-4711") == ("p1",)
            found = patients.load(tx, "p1").identifiers
            assert found is not None
            patients.register(tx, Identifiers(name="Berta"), id="p2")
            tx.event("patient.registered", patient_id="p2")
        assert server.keys.clinic.current == "k2"
        (folder / "data" / "keys" / "clinic.keys").rename(folder / "away.keys")  # what was read stays
        assert server.keys.clinic.current == "k2"
    assert "Copy clinic.keys and audit.keys" in run("audit", "verify", code=7)
    (folder / "away.keys").rename(folder / "data" / "keys" / "clinic.keys")
    said = run("records", "rotate-key", "audit")
    assert "now k2" in said
    assert "patient" not in said
    assert "Everything verifies" in run("audit", "verify")


def test_a_deleted_key_is_told_by_verify_and_by_backup(folder: Path) -> None:
    run("records", "create", "--name", "North")
    register(folder)
    with sqlite3.connect(folder / "data" / "records.db") as thief:
        thief.execute("DELETE FROM patient_keys")
    assert "FAULT the patient's key is missing" in run("audit", "verify", code=7)
    assert "patients in it cannot be opened" in run("backup", str(folder / "b.zip"), code=7)
    assert (folder / "b.zip").exists()


def test_nothing_that_identifies_is_said_in_an_error_a_log_or_a_file_name(
    folder: Path, capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    run("records", "create", "--name", "North")
    register(folder)
    with opened(Settings(folder=folder / "data")) as store:
        who = Identifiers(name="Annabel Quixote")
        for act in (
            lambda tx: patients.register(tx, who, id="p1"),
            lambda tx: patients.identify(tx, "p1", who, version=9),
            lambda tx: facts.write(tx, who, at=datetime(2026, 1, 5, tzinfo=UTC), patient_id="p1"),
        ):
            with pytest.raises(Exception) as refused, store.write("north", by="nurse-1") as tx:  # noqa: PT011
                act(tx)
            chain = [refused.value, refused.value.__context__, refused.value.__cause__]
            assert not [secret for secret in SECRETS for each in chain if secret in f"{each} {each!r}"]
        audit.anchor(store, "north")
        print(repr(store), repr(who))  # noqa: T201
    run("backup", str(folder / "backup.zip"))
    said = capfd.readouterr()
    text = said.out + said.err + caplog.text + " ".join(str(each) for each in folder.rglob("*"))
    raw = b"".join(each.read_bytes() for each in folder.rglob("*") if each.is_file())
    assert not [secret for secret in SECRETS if secret in text or secret.encode() in raw]


def test_wrong_keys_and_missing_folders_are_told_plainly(folder: Path) -> None:
    run("records", "create", "--name", "North")
    (folder / "data" / "keys" / "audit.keys").chmod(0o644)
    assert "chmod 600" in run("audit", "verify", code=7)
    assert "cannot be read" in run("audit", "verify", code=7, set_to={"AFTERGLOW_KEYS_FOLDER": str(folder / "none")})
    assert "AFTERGLOW_DATABASE_URL is refused" in run(
        "audit", "verify", code=2, set_to={"AFTERGLOW_DATABASE_URL": "mysql://a"}
    )
    assert "no records to upgrade" in run(
        "records", "upgrade", code=2, set_to={"AFTERGLOW_DATABASE_URL": f"sqlite:///{folder / 'empty.db'}"}
    )


def test_commands_without_records_never_load_the_store() -> None:
    code = (
        "import sys\nfrom afterglow.cli.app import app\nimport afterglow.cli.forecast\n"
        "print([name for name in ('sqlalchemy', 'cryptography', 'pydantic', 'alembic') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


def test_a_folder_that_is_a_file_is_refused(folder: Path) -> None:
    (folder / "data").write_text("mine")
    said = run("records", "create", "--name", "Harbour", code=2)
    assert "cannot be made" in said
    assert (folder / "data").read_text() == "mine"


def test_messages_say_that_nothing_can_leave(folder: Path) -> None:
    run("records", "create", "--name", "Harbour")
    assert "No way out is set" in run("messages", "send")
