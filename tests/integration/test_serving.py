"""`afterglow serve`, as a program of its own: where it listens, what it refuses, what runs beside it."""

from __future__ import annotations

import os
import re
import signal
import socket
import sqlite3
import ssl
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from afterglow.errors import InputError, UnreadableFile
from afterglow.settings import Settings
from afterglow.store import audit
from afterglow.store.records import Clinic, Store
from afterglow.usecases.upkeep import create_records, opened
from afterglow.web import serving
from afterglow.web.serving import Clocks, Listening, check_listening


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    made = Settings(folder=tmp_path / "data")
    create_records(made, Clinic(id="clinic", name="Harbour", time_zone="Europe/Zurich"))
    return made


PROGRAM = (sys.executable, "-c", "from afterglow.cli import main; main()", "serve")


def environment(folder: Path) -> dict[str, str]:
    return {**os.environ, "AFTERGLOW_FOLDER": str(folder), "COLUMNS": "200"}


@contextmanager
def served(folder: Path, *options: str) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """The program, started as a clinic starts it, and its address."""
    command = [sys.executable, "-c", "from afterglow.cli import main; main()", "serve", "--port", "0", *options]
    environment = {**os.environ, "AFTERGLOW_FOLDER": str(folder), "COLUMNS": "200"}
    with subprocess.Popen(
        command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as program:
        assert program.stdout is not None
        found, lines = None, []
        while found is None:
            lines.append(program.stdout.readline())
            assert lines[-1], lines
            found = re.search(r"is at (https?://\S+)", lines[-1])
        try:
            yield program, found[1]
        finally:
            if program.poll() is None:
                program.send_signal(signal.SIGINT)
                program.wait(timeout=30)


def test_the_login_is_served_and_the_server_ends_when_asked(settings: Settings) -> None:
    with served(settings.folder) as (program, address):
        with urllib.request.urlopen(f"{address}login") as answer:
            assert answer.status == 200
            assert "default-src 'none'" in answer.headers["Content-Security-Policy"]
            assert "server" not in answer.headers
            assert b"Log in" in answer.read()
        program.send_signal(signal.SIGINT)
        assert program.wait(timeout=30) == 130  # as any command that is interrupted
        assert program.stdout is not None
        assert "Traceback" not in program.stdout.read()


def certificate(folder: Path) -> tuple[Path, Path]:
    """A certificate of this machine for a day, and its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .sign(key, hashes.SHA256())
    )
    files = folder / "clinic.pem", folder / "clinic.key"
    files[0].write_bytes(made.public_bytes(serialization.Encoding.PEM))
    files[1].write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    return files


def test_tls_is_served_with_a_certificate(settings: Settings, tmp_path: Path) -> None:
    pem, key = certificate(tmp_path)
    with served(settings.folder, "--certificate", str(pem), "--key", str(key)) as (_, address):
        assert address.startswith("https://")
        trusting = ssl.create_default_context(cafile=str(pem))
        port = address.rsplit(":", 1)[1]
        with urllib.request.urlopen(f"https://localhost:{port}login", context=trusting) as answer:
            assert answer.status == 200


@pytest.mark.parametrize(
    ("where", "error", "says"),
    [
        (Listening(host="0.0.0.0"), InputError, "Plain HTTP is refused"),
        (Listening(host="192.0.2.7"), InputError, "Plain HTTP is refused"),
        (Listening(host="clinic"), InputError, "no address"),
        (Listening(certificate=Path("a.pem")), InputError, "certificate and its key"),
        (Listening(certificate=Path("a.pem"), key=Path("a.key")), UnreadableFile, "not there"),
    ],
)
def test_a_way_that_others_could_read_is_refused(where: Listening, error: type[Exception], says: str) -> None:
    with pytest.raises(error, match=says):
        check_listening(where)


@pytest.mark.parametrize("host", ["127.0.0.1", "127.1.2.3", "::1", "localhost"])
def test_this_machine_may_listen_to_itself(host: str) -> None:
    check_listening(Listening(host=host))


def test_a_proxy_that_ends_tls_may_stand_before_it() -> None:
    check_listening(Listening(host="10.0.0.5", proxy="10.0.0.4"))


def test_a_port_that_is_taken_is_named(settings: Settings) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        command = [*PROGRAM, "--port", str(taken.getsockname()[1])]
        ended = subprocess.run(
            command, env=environment(settings.folder), capture_output=True, text=True, timeout=60, check=False
        )
    assert ended.returncode == 2
    assert "The server cannot listen there; found 127.0.0.1:" in ended.stderr
    assert "Traceback" not in ended.stderr


def test_the_clocks_go_on_and_anchor_the_trail(settings: Settings) -> None:
    with opened(settings) as store:
        ahead = [timedelta(0)]
        moving = replace(store, clock=lambda: datetime.now(UTC) + ahead[0])
        with Clocks(settings, moving, every=timedelta(milliseconds=20)) as clocks:
            wait_for(clocks, 2)
            assert not anchored(settings)
            ahead[0] = serving.ANCHOR_EVERY
            wait_for(clocks, clocks.rounds + 2)
        assert clocks.faults == 0
        assert anchored(settings)


def test_a_fault_of_one_round_ends_no_other(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    def away(_: object, __: Settings) -> tuple[int, int]:
        raise InputError("The database is away")

    monkeypatch.setattr(serving, "run_due", away)
    with opened(settings) as store, Clocks(settings, store, every=timedelta(milliseconds=10)) as clocks:
        wait_for(clocks, 3)
    assert clocks.faults >= 3


@contextmanager
def held(settings: Settings) -> Iterator[None]:
    """Another program writes, and does not end."""
    other = sqlite3.connect(str(settings.url).removeprefix("sqlite:///"), isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    try:
        yield
    finally:
        other.execute("ROLLBACK")
        other.close()


def spooled(store: Store) -> list[str]:
    with store.read("clinic") as tx:
        events = audit.last_events(tx, after=0)
    return [str(each.detail["view"]) for each in events if each.action == "read.spooled"]


def look(store: Store, view: str) -> None:
    assert not audit.record_read(store, "clinic", by="nurse-1", view=view, may_spool=True)


def test_reads_that_waited_are_told_once_as_soon_as_the_trail_can_be_written(settings: Settings) -> None:
    quick = settings.model_copy(update={"busy_timeout_s": 0.1})
    with opened(quick) as store, opened(quick) as other:
        with Clocks(quick, store, every=timedelta(milliseconds=10)) as clocks:
            with held(quick):
                for view in ("rooms.board", "sessions.sheet"):
                    look(store, view)
                wait_for(clocks, clocks.rounds + 2)
                assert spooled(store) == []
            wait_for(clocks, clocks.rounds + 2)
            assert spooled(store) == ["rooms.board", "sessions.sheet"]
        assert clocks.faults >= 2
        with held(quick):
            look(store, "sessions.read")
        one, two = (Clocks(quick, each, every=timedelta(hours=1)) for each in (store, other))
        with one, two:  # at the start, and by two servers at once
            until = time.monotonic() + 60
            while len(spooled(store)) < 3 or waits(quick):
                assert time.monotonic() < until
                time.sleep(0.01)
        assert spooled(store) == ["rooms.board", "sessions.sheet", "sessions.read"]
        found = audit.verify(store, "clinic")
    assert found.faults == ()
    assert "reads wait in the spool" not in found.remarks


def waits(settings: Settings) -> bool:
    return any(each.suffix in {".jsonl", ".taken"} for each in settings.spool.iterdir())


def anchored(settings: Settings) -> bool:
    return any(each.is_file() and each.stat().st_size for each in settings.anchors.rglob("*"))


def wait_for(clocks: Clocks, rounds: int) -> None:
    until = time.monotonic() + 60
    while clocks.rounds < rounds:
        assert time.monotonic() < until
        time.sleep(0.01)
