"""`afterglow user`, `policy` and `worklist` as people run them."""

from __future__ import annotations

import io
import sys
from collections.abc import Iterator
from contextlib import redirect_stderr, redirect_stdout
from datetime import UTC, datetime
from pathlib import Path

import pyotp
import pytest
import typer
from argon2 import PasswordHasher
from argon2.profiles import CHEAPEST

from afterglow.cli import main
from afterglow.settings import read_settings
from afterglow.store import audit
from afterglow.usecases import login
from afterglow.usecases.upkeep import opened

PASSWORD = "seven quiet rivers"


@pytest.fixture(autouse=True)
def _installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("AFTERGLOW_FOLDER", str(tmp_path / "data"))
    monkeypatch.setenv("AFTERGLOW_CLINIC", "north")
    monkeypatch.setattr(login, "HASHER", PasswordHasher.from_parameters(CHEAPEST))
    login._nobody.cache_clear()
    run("records", "create", "--name", "North")
    yield
    login._nobody.cache_clear()


def run(*words: str, code: int = 0, typed: tuple[str, ...] = (), secret: str = "") -> str:
    """One command; `typed` answers its prompts, "code" with the code of now."""
    said, answers = io.StringIO(), list(typed)

    def prompt(text: str, **_: object) -> str:
        answer = answers.pop(0)
        if answer != "code":
            return answer
        known = secret or next(line for line in said.getvalue().splitlines() if len(line) == 32 and line.isupper())
        return pyotp.TOTP(known).at(datetime.now(UTC))

    with pytest.MonkeyPatch.context() as patched, redirect_stdout(said), redirect_stderr(said):
        patched.setattr(sys, "argv", ["afterglow", *words])
        patched.setattr(typer, "prompt", prompt)
        with pytest.raises(SystemExit) as left:
            main()
    assert left.value.code == code, said.getvalue()
    assert PASSWORD not in said.getvalue()
    return said.getvalue()


def token_of(said: str) -> str:
    return next(line for line in said.splitlines() if line.startswith("north~"))


def set_up(name: str, *roles: str) -> str:
    """A person with a login; the code generator's secret."""
    words = [word for role in roles for word in ("--role", role)]
    token = token_of(run("user", "add", name, "--name", name.title(), *words))
    said = run("user", "set-up", typed=(token, PASSWORD, "code"))
    assert said.count(" ") > 10
    return next(line for line in said.splitlines() if len(line) == 32 and line.isupper())


@pytest.fixture
def _any_step(monkeypatch: pytest.MonkeyPatch) -> None:
    """Codes count again within their half minute, so that a test need not wait for the next."""
    known = login._step_of
    monkeypatch.setattr(
        login, "_step_of", lambda secret, code, now, *, after: known(secret, code, now, after=after * 0)
    )


def test_people_from_the_first_administrator_to_leaving() -> None:
    assert run("user", "list").count("\n") == 1
    token_of(run("user", "add", "ada", "--name", "Ada", "--role", "administrator"))
    assert "medical_director" in run("user", "roles")
    assert "stands alone" in run(
        "user", "add", "x1", "--name", "X", "--role", "administrator", "--role", "nurse", code=5
    )
    assert "no such role" in run("user", "add", "x1", "--name", "X", "--role", "boss", code=2)
    run("user", "add", "nora", "--name", "Nora", "--role", "nurse")
    assert "therapist" in run("user", "set-roles", "nora", "--role", "therapist")
    token_of(run("user", "reset", "nora"))
    assert "has left" in run("user", "leave", "nora")
    assert "left 20" in run("user", "list")
    assert "Nobody has this login" in run("user", "leave", "nobody", code=2)


def test_a_clinic_that_is_not_there_has_no_people(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AFTERGLOW_CLINIC", "west")
    assert "no such clinic" in run("user", "list", code=2)


def test_a_clinic_is_renamed_and_moved_to_another_zone() -> None:
    assert "north is now Harbour [2], with the time of UTC" in run("records", "change-clinic", "--name", "Harbour [2]")
    assert "the time of Europe/Berlin" in run("records", "change-clinic", "--time-zone", "Europe/Berlin")
    assert "Nothing is changed" in run("records", "change-clinic", code=2)
    assert "time zone is unknown" in run("records", "change-clinic", "--time-zone", "Mars/Olympus", code=2)
    assert "Everything verifies" in run("audit", "verify")
    with opened(read_settings()) as store, store.read("north") as tx:
        told = [each for each in audit.last_events(tx, after=0) if each.action == "policies.change_clinic"]
        assert [(clinic.name, clinic.time_zone) for clinic in store.clinics()] == [("Harbour [2]", "Europe/Berlin")]
    assert [dict(each.detail) for each in told] == [
        {"renamed": True, "zone_before": "UTC", "zone": "UTC"},
        {"renamed": False, "zone_before": "UTC", "zone": "Europe/Berlin"},
    ]


@pytest.mark.usefixtures("_any_step")
def test_a_policy_is_drafted_signed_and_shown() -> None:
    secret = set_up("mira", "medical-director")
    own = ("--login", "mira")

    def as_mira(*words: str, code: int = 0) -> str:
        return run(*words, *own, code=code, typed=(PASSWORD, "code"), secret=secret)

    assert "Version 1 is a draft" in as_mira(
        "policy", "draft", "S013.spo2_below=95", "drugs.waste_witness=yes", "site.region=EU"
    )
    assert "not signed" in as_mira("policy", "list")
    assert "NAME=VALUE" in as_mira("policy", "draft", "S013", code=2)
    assert "zone" in as_mira("policy", "sign", "1", "--from", "2999-01-01T09:00", code=2)
    assert "zone" in as_mira("policy", "sign", "1", "--from", "soon", code=2)
    assert "is signed" in as_mira("policy", "sign", "1")
    assert "mira" in as_mira("policy", "list")
    assert "95.0" in as_mira("policy", "show")
    assert "Priority" in as_mira("worklist")
    assert "Priority" in as_mira("worklist", "--owner", "nurse")
    as_mira("policy", "draft", "monitoring.esketamine_minutes=20,40,60,90,120")
    assert "is signed" in as_mira("policy", "sign", "2", "--from", "2999-01-01T09:00+01:00")


def test_a_wrong_password_is_told_as_little_as_a_wrong_login() -> None:
    set_up("nora", "nurse")
    first = run("worklist", "--login", "nora", typed=("wrong wrong wrong", "000000"), code=5)
    second = run("worklist", "--login", "nobody", typed=("wrong wrong wrong", "000000"), code=5)
    assert first == second


def test_a_history_is_brought_in(tmp_path: Path) -> None:
    (tmp_path / "mapping.yaml").write_text(
        "time_zone: UTC\nfiles:\n  p.csv: {kind: patients, columns: {patient: MRN, name: Name, born_on: DOB}, "
        'dates: ["%Y-%m-%d"]}\n',
        encoding="utf-8",
    )
    (tmp_path / "p.csv").write_text("MRN,Name,DOB\n7,Ann Early,1980-03-02\n8,Bea Late,2980-03-02\n", encoding="utf-8")
    words = ("import", str(tmp_path / "mapping.yaml"), str(tmp_path / "p.csv"))
    assert "Would be written: 1 patients" in run(*words, "--dry-run", code=8)
    said = run(*words, code=8)
    assert "Written: 1 patients" in said
    assert "p.csv:3: The birth date is in the future" in said
    assert "Bea" not in said
    assert "Bea Late" in (tmp_path / "p.rejected.csv").read_text(encoding="utf-8")
    assert "Written: nothing" in run(*words, code=8)
    (tmp_path / "p.csv").write_text("MRN,Name,DOB\n" + ",Ann,\n" * 22, encoding="utf-8")
    said = run(*words, code=8)
    assert "p.csv:21: patient is empty" in said
    assert "p.csv:22" not in said
    assert "2 more reasons are not shown here" in said
    (tmp_path / "p.csv").write_text("MRN,Name,DOB\n7,Ann Early,1980-03-02\n", encoding="utf-8")
    assert "Rejected: 0" in run(*words)


@pytest.mark.usefixtures("_any_step")
def test_tokens_of_people_and_services() -> None:
    secret = set_up("nora", "nurse")
    said = run("token", "add", "mine", "--login", "nora", "--for", "measures", typed=(PASSWORD, "code"), secret=secret)
    assert token_of(said).count("~") == 2
    assert "may be given tokens" in run("token", "add-service", "ward", "--name", "Ward", "--role", "nurse")
    made = token_of(run("token", "add", "reader", "--service", "ward", "--for", "sessions.read", "--days", "7"))
    listed = run("token", "list")
    assert [each in listed for each in ("nora", "ward", "sessions.read", made)] == [True, True, True, False]
    assert "somebody's" in run("token", "add", "x", "--for", "measures", code=2)
    assert "for services alone" in run("token", "add", "x", "--service", "nora", "--for", "measures", code=5)
    assert "Nobody does this" in run("token", "add", "x", "--service", "ward", "--for", "cooking", code=2)
    number = made.split("~")[1]
    assert "holds no more" in run("token", "revoke", number)
    assert "ended" in run("token", "list")
    assert "taken back already" in run("token", "revoke", number, code=6)
