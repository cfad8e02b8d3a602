"""A whole course over HTTP: `afterglow serve` as a program of its own, tokens, signatures, a clock that is moved."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pyotp
import pytest
from pydantic import SecretStr
from tests.integration.apis import PREFIX, ask
from tests.integration.care import LEAVING, TRIALS, asked, gates, quiet

from afterglow.clinic import Role
from afterglow.settings import Settings
from afterglow.store import audit
from afterglow.store.records import Clinic, Store
from afterglow.usecases import login, people
from afterglow.usecases.desk import Desk
from afterglow.usecases.upkeep import create_records, opened
from afterglow.usecases.work import Actor

ROOT = Path(__file__).parent.parent.parent
PASSWORD = "seven quiet rivers"
NAME, BORN, MAIL, NUMBER = "Zora Quill", "1982-05-01", "zora@example.org", "R-8841"
# The program itself, on a clock that a file sets forward by minutes: nobody waits two hours for a patient to leave.
SERVE = """
import pathlib, sys
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from afterglow.usecases import upkeep
known, file = upkeep.open_store, pathlib.Path(sys.argv.pop(1))
def clock():
    return datetime.now(UTC) + timedelta(minutes=float(file.read_text()))
upkeep.open_store = lambda *given, **more: replace(known(*given, **more), clock=clock)
from afterglow.cli import main
main()
"""


class Clinic_:  # noqa: N801  the records' own word is taken
    """A running clinic, as its other systems see it."""

    def __init__(self, client: httpx.Client, file: Path, codes: dict[str, list[str]]) -> None:
        self.client, self._file, self._codes = client, file, codes

    def does(self, name: str, thing: str | None = None, /, *, by: str | None = None, **given: Any) -> dict[str, Any]:
        """Do something that is not refused; `by` signs for it."""
        answer = self.tries(name, thing, by=by, **given)
        assert answer.status_code == 200, (name, answer.text)
        told: dict[str, Any] = answer.json()
        return told

    def tries(self, name: str, thing: str | None = None, /, *, by: str | None = None, **given: Any) -> httpx.Response:
        signed = {} if by is None else {"signature": self.signature(by)}
        return ask(self.client, name, thing, **given, **signed)

    def signature(self, by: str) -> str:
        proof = {"login": by, "password": PASSWORD, "code": self._codes[by].pop()}
        answer = self.client.post(f"{PREFIX}/signatures", json=proof)
        assert answer.status_code == 200, answer.text
        return str(answer.json()["signature"])

    def later(self, minutes: float) -> None:
        self._file.write_text(str(float(self._file.read_text()) + minutes))

    @property
    def now(self) -> datetime:
        return datetime.now(UTC) + timedelta(minutes=float(self._file.read_text()))


@pytest.fixture
def settings(url: str, tmp_path: Path) -> Settings:
    made = Settings(folder=tmp_path / "data", database_url=SecretStr(url))
    if not url.startswith("sqlite"):
        made.folder.mkdir()
    create_records(made, Clinic(id="clinic", name="Harbour", time_zone="Europe/Zurich"))
    return made


def set_up(store: Store, name: str, role: Role) -> list[str]:
    """A person with a login; the recovery codes."""
    issued = people.add_person(operator(store), name, name=name.title(), roles=(role,))
    begun = login.begin_set_up(store, issued.token)
    code = pyotp.TOTP(begun.secret).at(int(store.clock().timestamp()))
    return list(login.finish_set_up(store, issued.token, password=PASSWORD, secret=begun.secret, code=code))


def operator(store: Store) -> Desk:
    return Desk(store=store, actor=Actor(person_id="shell:op", roles=(Role.ADMINISTRATOR,), clinic_id="clinic"))


@pytest.fixture
def clinic(settings: Settings, tmp_path: Path) -> Iterator[Clinic_]:
    with opened(settings) as store:
        staff = {"drew": Role.PRESCRIBER, "nora": Role.NURSE, "ida": Role.NURSE, "mira": Role.MEDICAL_DIRECTOR}
        codes = {name: set_up(store, name, role) for name, role in staff.items()}
        roles = (Role.COORDINATOR, Role.NURSE, Role.PRESCRIBER, Role.THERAPIST)
        people.add_service(operator(store), "ehr", name="Ward system", roles=roles)
        groups = ("courses", "diary", "drugs", "measures", "alerts", "patients", "policies", "sessions", "chart")
        held = people.issue_service_token(operator(store), "ehr", "whole course", only=groups).token
    file = tmp_path / "minutes"
    file.write_text("0")
    with (
        served(settings, file, tmp_path / "said") as address,
        httpx.Client(base_url=address, headers={"Authorization": f"Bearer {held}"}, timeout=60) as client,
    ):
        yield Clinic_(client, file, codes)
    said = (tmp_path / "said").read_text(encoding="utf-8")
    assert not [
        each for each in (NAME, "Zora", "Quill", BORN, MAIL, NUMBER, PASSWORD, held, "Traceback") if each in said
    ]
    with opened(settings) as store:
        found = audit.verify(store, "clinic")
        assert (found.faults, found.events > 5) == ((), True)


@contextmanager
def served(settings: Settings, file: Path, said: Path) -> Iterator[str]:
    environment = {
        **os.environ,
        "AFTERGLOW_FOLDER": str(settings.folder),
        "AFTERGLOW_DATABASE_URL": settings.url,
        "AFTERGLOW_API_PER_MINUTE": "100000",
        "COLUMNS": "200",
    }
    command = [sys.executable, "-c", SERVE, str(file), "serve", "--port", "0"]
    with (
        said.open("w", encoding="utf-8") as errors,
        subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=errors, text=True) as program,
    ):
        try:
            assert program.stdout is not None
            found = re.search(r"http://\S+", program.stdout.readline())
            assert found, said.read_text(encoding="utf-8")
            yield found[0]
        finally:
            program.send_signal(signal.SIGINT)
            program.wait(timeout=30)


def vitals(**changes: Any) -> dict[str, Any]:
    """Readings under which no rule is met."""
    return {name: value for name, value in asdict(quiet(**changes)).items() if value not in {None, ()}}


def test_a_whole_course_from_registration_to_a_closed_session(clinic: Clinic_) -> None:
    does = clinic.does
    assert does("policies.draft", by="mira", changes={"S013.spo2_below": 94})["id"] == "v1"
    does("policies.sign", by="mira", version=1)
    does("policies.publish_consent_form", by="mira", delivery="iv", version="2026-1")
    does("policies.set_chairs", by="mira", chairs=[{"id": "c1", "deliveries": ["iv"]}], capacity=1)

    known = {"name": NAME, "born_on": BORN, "email": MAIL, "record_number": NUMBER}
    patient = does("patients.register", identifiers=known, key="register-0001")["id"]
    assert [each["id"] for each in does("patients.find", part="Quill")["shown"]] == [patient]
    course = does("courses.open", patient, delivery="iv", drug="racemic_ketamine", indication="trd")["id"]
    does("courses.accept", course, emergency=False, version=1)
    does("patients.note_facts", patient, facts=asked())
    does("patients.note_allergies", patient, allergies={"status": "none_known"})
    does("patients.reconcile_medicines", patient, medicines=[], visit="intake")
    trials = [{name: value for name, value in asdict(each).items() if value is not None} for each in TRIALS]
    does("patients.note_trials", patient, trials=trials)
    does("measures.record", patient, name="PHQ-9", answers=[2, 2, 3, 2, 2, 2, 2, 2, 0])

    planned: dict[str, Any] = {"endpoint": "PHQ-9 halved", "induction_sessions": 6, "interval_days": 3.5}
    version = does("courses.set_plan", course, by="drew", **planned, version=2)["version"]
    assert clinic.tries("courses.find_suitable", course, version=version).json()["code"] == "permission.sign_again"
    version = does("courses.find_suitable", course, by="drew", version=version)["version"]
    given: dict[str, Any] = {"method": "paper", "off_label_stated": True, "given_by": "patient"}
    version = does("courses.take_consent", course, **given, version=version)["version"]
    version = does("courses.make_safety_plan", course, version=version)["version"]
    cover: dict[str, Any] = {"payer": "Blue", "units": 6, "starts_on": clinic.now.date().isoformat()}
    cover["ends_on"] = (clinic.now + timedelta(days=90)).date().isoformat()
    version = does("courses.authorise", course, **cover, version=version)["version"]
    version = does("courses.await_cover", course, version=version)["version"]
    assert does("courses.start", course, by="drew", version=version)["state"] == "induction"

    at = (clinic.now + timedelta(minutes=60)).isoformat()
    slot: dict[str, Any] = {"chair_id": "c1", "starts_at": at, "dose_minutes": 40}
    assert does("diary.conflicts", course, **slot)["shown"] == []
    session = does("diary.book", course, **slot)["id"]
    vial: dict[str, Any] = {"lot": "L1", "drug": "racemic_ketamine", "expires_on": "2036-01-01", "amount_ug": 500_000}
    does("drugs.receive", "v1", **vial, concentration_ug_per_ul=50)
    does("sessions.arrive", session)
    does("sessions.enter_reading", session, vitals=vitals())
    does("sessions.screen", session, facts=gates())
    ages = {"workup.w10.age_days": 0, "workup.w17.age_days": 0, "workup.w03.age_days": 0}
    does("patients.note_facts", patient, facts=ages)
    does("patients.reconcile_medicines", patient, medicines=[], visit=session)
    does("sessions.order", session, by="drew", dose_mg_per_kg=0.5, infusion_min=40)
    does("sessions.prepare", session, weight_kg=80, concentration_mg_per_ml=50, diluted=True)
    checked = {"amount_ug": 40_000, "volume_ul": 800, "concentration_ug_per_ul": 50}
    does("sessions.second_check", session, by="ida", **checked)
    seen = clinic.tries("sessions.read", session)
    assert seen.headers["etag"] == f'"{seen.json()["shown"]["version"]}"'
    does("sessions.go", session, by="drew", version=seen.json()["shown"]["version"])
    does("sessions.take_drug", session, container_id="v1", amount_ug=50_000)
    version = does("sessions.read", session)["shown"]["version"]
    stale = clinic.tries("sessions.start_dose", session, version=version - 1)
    assert (stale.status_code, stale.json()["code"]) == (412, "request.conflict.outdated")
    does("sessions.start_dose", session, version=version)
    for _ in range(4):
        clinic.later(10)
        does("sessions.enter_reading", session, vitals=vitals(systolic_mmhg=132, dissociated=True))
    does("sessions.finish_dose", session, amounts_ug=[["v1", 40_000]])
    done: dict[str, Any] = {"checked": LEAVING, "aldrete": [2] * 5, "padss": [2] * 5}
    version = does("sessions.read", session)["shown"]["version"]
    early = clinic.tries("sessions.clear_to_leave", session, **done, version=version)
    assert (early.status_code, early.json()["status"]) == (409, 409)
    assert early.json()["code"].startswith("rule.")
    for _ in range(8):
        clinic.later(15)
        does("sessions.enter_reading", session, vitals=vitals())
    version = does("sessions.read", session)["shown"]["version"]
    does("sessions.clear_to_leave", session, **done, version=version)
    rest: dict[str, Any] = {"container_id": "v1", "amount_ug": 10_000, "reason": "rest of the syringe"}
    does("sessions.waste", session, by="nora", **rest, witness=clinic.signature("ida"))
    does("sessions.sign_note", session, by="nora")
    version = does("sessions.read", session)["shown"]["version"]
    assert does("sessions.close", session, version=version)["state"] == "closed"

    does("measures.record", patient, name="PHQ-9", answers=[1] * 8 + [0], origin="form-17")
    again = clinic.tries("measures.record", patient, name="PHQ-9", answers=[1] * 8 + [0], origin="form-17")
    assert again.status_code in {200, 409}
    assert len(does("measures.list", patient)["shown"]) == 2
    chart = does("chart.read", patient)["shown"]
    assert chart["identifiers"]["name"] == NAME
    (vial_left,) = does("drugs.stock")["shown"]
    assert vial_left["id"] == "v1"


def test_a_retry_after_a_lost_reply_writes_once_even_beside_itself(clinic: Clinic_) -> None:
    known = {"name": NAME, "born_on": BORN, "email": MAIL, "record_number": NUMBER}
    patient = clinic.does("patients.register", identifiers=known)["id"]

    def once(number: int) -> tuple[int, str]:
        key = f"score-of-day-{number % 4}"
        answers = [number % 4, *[1] * 8]  # the same answers twice within ten minutes are one score, whatever the key
        answer = clinic.tries("measures.record", patient, name="PHQ-9", answers=answers, key=key)
        return answer.status_code, answer.json()["id"]

    with ThreadPoolExecutor(16) as pool:
        answers = list(pool.map(once, range(64)))
    assert {status for status, _ in answers} == {200}
    assert len({number for _, number in answers}) == 4
    assert len(clinic.does("measures.list", patient)["shown"]) == 4


@pytest.mark.skipif(shutil.which("curl") is None, reason="the how-to is about curl")
def test_what_the_how_to_says_runs(tmp_path: Path) -> None:
    """Every shell block of the page in order, as one script, each on the port of this test."""
    page = (ROOT / "docs/how-to/use-the-api.md").read_text(encoding="utf-8")
    blocks = re.findall(r"```sh\n(.*?)```", page, re.DOTALL)
    assert len(blocks) >= 4
    program = tmp_path / "bin" / "afterglow"
    program.parent.mkdir()
    program.write_text(f"#!/bin/sh\nexec {sys.executable} -c 'from afterglow.cli import main; main()' \"$@\"\n")
    program.chmod(0o755)
    script = "set -eu\ntrap 'kill $(jobs -p)' EXIT\n" + "\n".join(blocks)
    script = script.replace("8420", str(free_port()))
    environment = {name: value for name, value in os.environ.items() if not name.startswith("AFTERGLOW_")}
    environment |= {"PATH": f"{program.parent}{os.pathsep}{os.environ['PATH']}", "COLUMNS": "200"}
    said = subprocess.run(
        ["bash", "-c", script], cwd=tmp_path, env=environment, capture_output=True, text=True, check=False, timeout=120
    )
    assert said.returncode == 0, said.stdout + said.stderr
    for word in ('"shown"', '"version"', "rule.", "permission.refused", "412", "ETag", '"state"'):
        assert word.lower() in said.stdout.lower(), (word, said.stdout + said.stderr)
    after = next(each for each in said.stdout.splitlines() if '"name":"Zora Quill-Lang"' in each)
    assert '"born_on":"1982-05-01"' in after  # the correction of the name wiped nothing
    assert '"record_number":"R-17"' in after


def free_port() -> int:
    import socket  # noqa: PLC0415

    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])
