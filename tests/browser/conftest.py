"""A clinic with people in its chairs, served on the loopback, and a browser that takes no error for an answer."""

from __future__ import annotations

import os
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyotp
import pytest
import uvicorn
from axe_playwright_python.sync_playwright import Axe
from fastapi import FastAPI
from tests.integration import care
from tests.integration.desks import at_work, desk
from tests.integration.stores import RunningClock, new_store

from afterglow.clinic import Role
from afterglow.store.records import Store
from afterglow.usecases import measures, people
from afterglow.usecases.login import begin_set_up, finish_set_up
from afterglow.web.pages import add_pages

playwright_api = pytest.importorskip("playwright.sync_api")
CHROMIUM = os.environ.get("AFTERGLOW_TEST_CHROMIUM", "/usr/bin/chromium")
SHOTS = os.environ.get("AFTERGLOW_TEST_SHOTS", "")
SIZES = ((390, 844), (820, 1180), (1280, 900))
Open = Callable[..., Any]
PASSWORD = "seven quiet rivers"  # of made-up people


@dataclass(frozen=True, slots=True, kw_only=True)
class Served:
    """The clinic as it runs."""

    address: str
    app: FastAPI
    store: Store
    tokens: dict[str, str]
    secrets: dict[str, str]

    def code(self, login: str) -> str:
        """A code that was not used yet; each is good once, so the clock goes on to where the next begins.

        Of two codes for one form the first is then of the time step before, which still holds.
        """
        clock = self.store.clock
        assert isinstance(clock, RunningClock)
        step_s = pyotp.TOTP(self.secrets[login]).interval
        begins = (int(clock.now.timestamp()) // step_s + 1) * step_s
        clock.now = datetime.fromtimestamp(begins, UTC)
        return pyotp.TOTP(self.secrets[login]).at(begins)


def _fill(store: Store) -> None:
    care.open_clinic(store)
    care.vial(store)
    anna, first = care.in_induction(store, name="Anna Berger")
    _, second = care.in_induction(store, name="Jonas Weber")
    booked = care.book(store, first, minutes=1)
    care.dosing(store, booked)
    care.book(store, second, minutes=90, chair="c2")
    measures.record(desk(store, Role.NURSE), anna, "PHQ-9", answers=[2, 2, 3, 2, 2, 2, 2, 2, 2])


def hire(served: Served, login: str, role: Role, name: str = "") -> None:
    """Somebody new, who has set up the login."""
    admin = desk(served.store, Role.ADMINISTRATOR, by="operator")
    served.tokens[login] = people.add_person(admin, login, name=name or login.title(), roles=(role,)).token
    begun = begin_set_up(served.store, served.tokens[login])
    served.secrets[login] = begun.secret
    code = pyotp.TOTP(begun.secret).at(int(served.store.clock().timestamp()))
    finish_set_up(served.store, served.tokens[login], password=PASSWORD, secret=begun.secret, code=code)


@contextmanager
def serving(store: Store) -> Iterator[Served]:
    """A store's pages on the loopback, with nobody's login yet."""
    app = FastAPI(openapi_url=None)
    add_pages(app, store)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    config = uvicorn.Config(app, host="127.0.0.1", port=port, log_level="error", timeout_graceful_shutdown=1, ws="none")
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    while not server.started:
        time.sleep(0.02)
    yield Served(app=app, address=f"http://127.0.0.1:{port}", store=store, tokens={}, secrets={})
    server.should_exit = True
    thread.join(timeout=10)
    store.engine.dispose()


@pytest.fixture
def served(tmp_path: Path) -> Iterator[Served]:
    store = at_work(new_store(f"sqlite:///{tmp_path / 'records.db'}", tmp_path))
    store = replace(store, clock=RunningClock())
    _fill(store)
    with serving(store) as clinic:
        for login, role in (
            ("nora", Role.NURSE),
            ("petra", Role.PRESCRIBER),
            ("carl", Role.COORDINATOR),
            ("ada", Role.ADMINISTRATOR),
        ):
            hire(clinic, login, role)
        admin = desk(store, Role.ADMINISTRATOR, by="operator")
        clinic.tokens["cora"] = people.add_person(admin, "cora", name="Cora", roles=(Role.COORDINATOR,)).token
        yield clinic


@pytest.fixture(scope="session")
def chromium() -> Iterator[object]:
    if not Path(CHROMIUM).exists():
        pytest.skip("Chromium is not here")
    os.environ.setdefault(
        "PW_EXPERIMENTAL_SERVICE_WORKER_NETWORK_EVENTS", "1"
    )  # so that a worker has no network either
    with playwright_api.sync_playwright() as started:
        browser = started.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu"])
        yield browser
        browser.close()


@pytest.fixture
def opened(chromium: Any, served: Served) -> Iterator[Open]:
    """Opens pages; whatever the console says of errors, or the policy blocks, fails the test at its end."""
    said: list[str] = []
    contexts = []

    def make(*, breaks: bool = False, **options: Any) -> Any:
        """A page in a browser of its own; `breaks` where the server is made to fail."""

        def hear(line: Any) -> None:
            if line.type in {"error", "warning"} and not (breaks and "responded with a status of 5" in line.text):
                said.append(line.text)

        def guarded(answer: Any) -> None:
            """Each page comes with a policy under which no script or style but its own files' runs."""
            policy = answer.headers.get("content-security-policy", "")
            if "text/html" in answer.headers.get("content-type", "") and (
                not {"default-src 'none'", "script-src 'self'", "style-src 'self'"} <= set(policy.split("; "))
            ):
                said.append(f"{answer.url} has no strict policy: {policy}")

        context = chromium.new_context(base_url=served.address, **options)
        contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(20_000)
        page.on("console", hear)
        page.on("response", guarded)
        page.on("pageerror", lambda error: said.append(str(error)))
        return page

    yield make
    for each in contexts:
        each.close()
    asked_for = ("the server responded with a status of 4", "net::ERR_INTERNET_DISCONNECTED", "net::ERR_FAILED")
    refused = [each for each in said if not any(wanted in each for wanted in asked_for)]
    assert refused == []


def log_in(page: Any, served: Served, login: str = "nora", *, clinic: str = "north") -> None:
    page.goto("/login")
    page.select_option("#clinic", clinic)
    page.fill("#login", login)
    page.fill("#password", PASSWORD)
    page.fill("#code", served.code(login))
    page.click("button.action")


def check_accessible(page: Any) -> None:
    found = Axe().run(page)
    assert found.violations_count == 0, found.generate_report()


def look(page: Any, name: str, theme: str, *, tall: bool = True) -> None:
    """Check a page in three widths: accessible, not wider than the screen; and take its picture if asked to."""
    check_accessible(page)
    for width, height in SIZES:
        page.set_viewport_size({"width": width, "height": height})
        wide = page.evaluate("document.documentElement.scrollWidth")
        assert wide <= width, f"{name} is {wide} px wide on {width}"
        if SHOTS:
            page.screenshot(path=Path(SHOTS) / f"{name}-{width}-{theme}.png", full_page=tall)
