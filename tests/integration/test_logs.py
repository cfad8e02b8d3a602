"""What the program tells its operator: enough to find a fault, and nothing of a patient, a secret or a form."""

from __future__ import annotations

import asyncio
import io
import json
import logging
import os
import re
import signal
import subprocess
import time
import urllib.error
import urllib.parse
import urllib.request
import warnings
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import date
from pathlib import Path
from typing import Any

import httpx
import pyotp
import pytest
from fastapi import FastAPI
from tests.integration import care
from tests.integration.care import desk, in_induction, later, now, open_clinic
from tests.integration.desks import at_work
from tests.integration.stores import new_store
from tests.integration.test_serving import PROGRAM, environment

from afterglow import logs
from afterglow.clinic import Role
from afterglow.errors import AfterglowError
from afterglow.settings import Settings
from afterglow.store import facts
from afterglow.store.patients import Identifiers
from afterglow.store.records import Store
from afterglow.usecases import courses, jobs, measures, passes, patients, people, worklists
from afterglow.usecases.login import begin_set_up, finish_set_up
from afterglow.usecases.passes import Purpose
from afterglow.web import today
from afterglow.web.serving import make_app
from afterglow.web.worker import Worker

PATIENT = Identifiers(
    name="Wilhelmina Quackenbush",
    born_on=date(1977, 7, 17),
    email="mina@quackenbush.example",
    phone="+41 79 555 01 23",
    address="Zwinglistrasse 99",
    record_number="RN-778812",
)
KNOWN = ("Wilhelmina", "Quackenbush", "1977-07-17", "mina@", "555 01 23", "Zwinglistrasse", "RN-778812")
PASSWORD = "nine violet tractors hum"
FREE_TEXT = "hears her late sister at night"


@pytest.fixture
def stream() -> Iterator[io.StringIO]:
    told = io.StringIO()
    logs.start(told)
    yield told
    logs.stop()


def lines(text: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in text.splitlines() if line.startswith("{")]


@pytest.fixture
def north(tmp_path: Path) -> Iterator[Store]:
    store = at_work(new_store(f"sqlite:///{tmp_path / 'records.db'}", tmp_path))
    open_clinic(store)
    yield store
    store.engine.dispose()


def test_the_api_is_told_by_the_template_of_its_route(north: Store, stream: io.StringIO) -> None:
    browser = Browser(make_app(north))
    for method, path in (
        ("POST", "/api/v1/sessions/quackenbush-7/enter_reading"),
        ("GET", "/api/v1/worklist/read?who=Quackenbush"),
        ("GET", "/api/v1/openapi.json"),
        ("POST", "/api/v1/signatures"),
        ("GET", "/api/v1/sessions/quackenbush-7/unknown"),
        ("GET", "/api/v2/Quackenbush"),
        ("DELETE", "/api/Quackenbush"),
    ):
        browser.request(method, path)
    told = [(each["method"], each["route"], each["status"]) for each in lines(stream.getvalue())]
    assert told == [
        ("POST", "/api/v1/sessions/{session_id}/enter_reading", 401),
        ("GET", "/api/v1/worklist/read", 401),
        ("GET", "/api/v1/openapi.json", 200),
        ("POST", "/api/v1/signatures", 401),
        ("GET", "none", 401),
        ("GET", "none", 401),
        ("DELETE", "none", 401),
    ]
    assert "quackenbush" not in stream.getvalue().lower()


def test_nothing_is_told_before_the_log_is_started(capfd: pytest.CaptureFixture[str]) -> None:
    logs.say("request", status=200)
    logs.note(actor="nurse-1")
    assert capfd.readouterr() == ("", "")


def test_a_whole_course_with_errors_tells_nothing_of_the_patient(
    north: Store,
    stream: io.StringIO,
    capfd: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # As in the served program: a server of a browser test has set its own handlers before.
    monkeypatch.setattr(logging.getLogger("uvicorn"), "handlers", [])
    monkeypatch.setattr(logging.getLogger("uvicorn"), "propagate", True)
    patient_id, course_id = in_induction(north, name=PATIENT.name)
    patients.identify(desk(north, Role.NURSE), patient_id, PATIENT, version=1)
    care.vial(north)
    session_id = care.book(north, course_id)
    later(north, 60)
    care.dosing(north, session_id)
    care.left(north, session_id)
    care.closed(north, session_id)
    measures.record(desk(north, Role.NURSE), patient_id, "PHQ-9", answers=[1] * 9)
    link = passes.issue_link(desk(north, Role.NURSE), patient_id, Purpose.SEE_PROGRESS)
    refused: list[Any] = [
        lambda: patients.register(desk(north, Role.NURSE), PATIENT),
        lambda: patients.find(desk(north, Role.ADMINISTRATOR), PATIENT.name),
        lambda: measures.record(desk(north, Role.NURSE), patient_id, "PHQ-9", total=99),
        lambda: measures.correct(desk(north, Role.NURSE), patient_id, FREE_TEXT, reason=FREE_TEXT),
        lambda: courses.pause(desk(north, Role.NURSE), course_id, reason=FREE_TEXT, version=1),
        lambda: courses.relapse(desk(north, Role.PRESCRIBER), PATIENT.name, reason=FREE_TEXT, version=1),
        lambda: Identifiers(name="x" * 999),
    ]
    for each in refused:
        with pytest.raises(AfterglowError):
            each()
    jobs.run_jobs(north)
    worklists.read_worklist(desk(north, Role.NURSE))
    logging.getLogger("some.library").warning("opened %s", PATIENT.name)
    logging.getLogger("some.library").warning(f"opened {PATIENT.name}")  # noqa: G004  as libraries do
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        warnings.warn(PATIENT.name, stacklevel=1)
    try:
        1 / len("")
    except ZeroDivisionError:
        logging.getLogger("uvicorn.error").exception("Exception in ASGI application\n")
    said = stream.getvalue() + "".join(capfd.readouterr())
    assert not [word for word in (*KNOWN, FREE_TEXT, link.token, patient_id) if word in said]
    found = lines(said)
    assert {"event": "job.done", "made": "forecast"}.items() <= found[0].items()
    assert found[-1]["fault"] == "ZeroDivisionError"
    assert found[-1]["text"] == "Exception in ASGI application"
    assert sum(each.get("logger") == "some.library" for each in found) == 2


class Browser:
    """Asks an application as a browser does, and keeps its cookies."""

    def __init__(self, app: FastAPI) -> None:
        way = httpx.ASGITransport(app, raise_app_exceptions=False)
        self._client = httpx.AsyncClient(
            transport=way, base_url="http://clinic", headers={"Sec-Fetch-Site": "same-origin"}
        )
        self.cookies = self._client.cookies

    def request(self, method: str, path: str, data: dict[str, str] | None = None) -> httpx.Response:
        # In a thread of its own: browser tests leave a loop running in this one.
        with ThreadPoolExecutor(1) as own:
            return own.submit(asyncio.run, self._client.request(method, path, data=data)).result()

    def get(self, path: str) -> httpx.Response:
        return self.request("GET", path)

    def post(self, path: str, data: dict[str, str]) -> httpx.Response:
        return self.request("POST", path, data)


def entered(store: Store) -> tuple[Browser, str]:
    """A browser of a nurse who is logged in, and the secret of the code generator."""
    issued = people.add_person(desk(store, Role.ADMINISTRATOR), "nora", name="Nora", roles=(Role.NURSE,))
    secret = begin_set_up(store, issued.token).secret
    code = pyotp.TOTP(secret).at(int(now(store).timestamp()))
    finish_set_up(store, issued.token, password=PASSWORD, secret=secret, code=code)
    browser = Browser(make_app(store))
    later(store, 1)
    form = {"login": "nora", "password": PASSWORD, "code": pyotp.TOTP(secret).at(int(now(store).timestamp()))}
    form["clinic"] = "north"
    assert browser.post("/login", form).status_code == 303
    return browser, secret


def test_a_request_is_told_by_its_route_and_who_never_by_its_address(north: Store, stream: io.StringIO) -> None:
    browser, secret = entered(north)
    assert browser.get("/today?who=Quackenbush").status_code == 200
    lost = browser.get("/Wilhelmina/Quackenbush")
    assert lost.status_code == 404
    browser.post("/login", {"login": "Quackenbush", "password": PASSWORD, "code": "1", "clinic": "north"})
    browser.get("/static/Wilhelmina.css")
    browser.request("QUACKENBUSH", "/today")
    told = lines(stream.getvalue())
    routes = [(each["method"], each["route"], each["status"]) for each in told]
    assert routes == [
        ("POST", "/login", 303),
        ("GET", "/today", 200),
        ("GET", "none", 404),
        ("POST", "/login", 401),
        ("GET", "/static/{name}", 404),
        ("other", "/today", 405),
    ]
    assert (told[1]["actor"], told[1]["use_case"]) == ("nora", "worklist.read")
    assert len({each["request"] for each in told}) == len(told)
    assert lost.headers["x-request-id"] == told[2]["request"]
    assert all(0 <= each["milliseconds"] < 60_000 for each in told)
    cookie = browser.cookies["afterglow_session"]
    device = browser.cookies["afterglow_device"]
    hidden = (*KNOWN, "QUACKENBUSH", PASSWORD, secret, cookie, cookie.split("~")[-1], device)
    assert not [word for word in hidden if word in stream.getvalue()]


def test_an_error_that_nobody_foresaw_is_told_by_its_kind(
    north: Store, stream: io.StringIO, monkeypatch: pytest.MonkeyPatch
) -> None:
    browser, _ = entered(north)

    def broken(*_: object, **__: object) -> None:
        raise ZeroDivisionError(PATIENT.name)

    monkeypatch.setattr(today, "read_today", broken)
    answer = browser.get("/today")
    (told,) = (each for each in lines(stream.getvalue()) if each["event"] == "request.failed")
    assert answer.status_code == 500
    assert told["request"] in answer.text
    assert answer.headers["x-request-id"] == told["request"]
    assert told["fault"] == "ZeroDivisionError"
    assert any(each.startswith("web/today.py:") for each in told["passed"])
    assert "Quackenbush" not in stream.getvalue() + answer.text


def wait_until(what: Any, *, seconds: float = 60) -> None:
    end = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < end
        time.sleep(0.1)


def test_the_served_program_makes_forecasts_and_tells_nothing(tmp_path: Path) -> None:
    """The log of `afterglow serve` as a clinic runs it: forms, lost pages, a broken request; then killed."""
    store = at_work(new_store(f"sqlite:///{tmp_path / 'records.db'}", tmp_path))
    open_clinic(store)
    patient_id, course_id = in_induction(store, name=PATIENT.name)
    patients.identify(desk(store, Role.NURSE), patient_id, PATIENT, version=1)
    issued = people.add_person(desk(store, Role.ADMINISTRATOR), "nora", name="Nora", roles=(Role.NURSE,))
    out, err = tmp_path / "out.txt", tmp_path / "err.txt"
    with out.open("w") as stdout, err.open("w") as stderr:
        program = subprocess.Popen([*PROGRAM, "--port", "0"], env=environment(tmp_path), stdout=stdout, stderr=stderr)
        try:
            wait_until(lambda: "is at http" in out.read_text())
            address = re.findall(r"http://\S+", out.read_text())[0]

            def post(path: str, **form: str) -> str:
                data = urllib.parse.urlencode(form).encode()
                request = urllib.request.Request(f"{address}{path}", data, {"Sec-Fetch-Site": "same-origin"})
                try:
                    with urllib.request.urlopen(request) as answer:
                        return str(answer.read().decode())
                except urllib.error.HTTPError as refused:
                    return str(refused.read().decode())

            post("login", login=PATIENT.name, password=PASSWORD, code="123456", clinic="north")
            post("set-up", token=issued.token)
            for path in (f"charts/{PATIENT.record_number}", f"today?name={KNOWN[1]}", f"link/{issued.token}"):
                with suppress(urllib.error.HTTPError):
                    urllib.request.urlopen(f"{address}{path}").read()

            def made() -> bool:
                return jobs.view_forecast(desk(store, Role.NURSE), course_id).shown.answer is not None

            wait_until(made)
            children = [each["pid"] for each in lines(err.read_text()) if each["event"] == "worker.started"]
        finally:
            program.send_signal(signal.SIGKILL)
            program.wait(timeout=30)
    wait_until(lambda: not any(Path(f"/proc/{pid}").exists() for pid in children))
    told = err.read_text()
    assert len(children) == 1
    assert {each["event"] for each in lines(told)} == {"request", "worker.started", "job.done"}
    assert all(line.startswith("{") for line in told.splitlines())
    hidden = (*KNOWN, PASSWORD, "123456", issued.token, issued.token.split("~")[-1], patient_id)
    assert not [word for word in hidden if word in told + out.read_text()]
    store.engine.dispose()


def test_a_worker_that_is_killed_is_started_again_and_ends_with_the_server(north: Store, tmp_path: Path) -> None:
    patient_id, course_id = in_induction(north)

    def made(times: int) -> bool:
        with north.read("north") as tx:
            return len(facts.standing(tx, jobs.ForecastRecord, subject=course_id)) == times

    with Worker(Settings(folder=tmp_path, clinic="north")) as beside:
        wait_until(lambda: made(1))
        first = beside.pid
        assert first is not None
        os.kill(first, signal.SIGKILL)
        wait_until(lambda: beside.pid is None)
        measures.record(desk(north, Role.NURSE), patient_id, "PHQ-9", total=9)
        beside.keep()
        assert beside.pid not in {None, first}
        wait_until(lambda: made(2))
        beside.keep()
        last = beside.pid
    assert beside.pid is None
    assert not Path(f"/proc/{last}").exists()


def test_a_worker_without_records_ends_and_says_so(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    with Worker(Settings(folder=tmp_path / "none")) as beside:
        wait_until(lambda: beside.pid is None)
    assert '"event": "worker.ended"' in capfd.readouterr().err
