"""The web app under use, against a page without records: python -m benchmarks.web [--quick] [--write PAGE.md].

A server in a process of its own, with 20 people in chairs. Rooms write a reading a second each while screens follow by
server-sent events; then one and fifty people open pages one after the other. The floor is a page of the same frame that
reads nothing, in the same run. `scripts/with_postgres` gives it a PostgreSQL.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path
from threading import Event, Lock, Thread

import httpx
import pyotp
import uvicorn
from benchmarks.store import figures, preface
from fastapi import FastAPI, Request, Response
from playwright.sync_api import sync_playwright
from tests.integration import care
from tests.integration.desks import at_work, desk
from tests.integration.stores import POSTGRES, RunningClock, new_store, new_url

from afterglow.clinic import Chair, Delivery, Role
from afterglow.markdown import table
from afterglow.store.records import Store
from afterglow.usecases import people, policies, room
from afterglow.usecases.jobs import run_jobs
from afterglow.usecases.login import Proof, begin_set_up, finish_set_up, log_in
from afterglow.web.pages import SESSION_COOKIE, error_page
from afterglow.web.serving import make_app

CHROMIUM = "/usr/bin/chromium"
ROOMS, PEOPLE = 20, 50
SECONDS, QUICK_SECONDS = 600, 20
VISITS, QUICK_VISITS = 20, 4  # of each page, by each person
SCREENS = 3
_PASSWORD = "seven quiet rivers"  # of made-up people
_HEADS = {"Sec-Fetch-Site": "same-origin"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Served:
    """A running server and what is needed to use it: a cookie for each person, sessions in the chairs, a chart."""

    address: str
    cookies: Sequence[str]
    sessions: Sequence[str]
    patient: str

    def client(self, who: int) -> httpx.Client:
        """A browser of one person."""
        cookies = {SESSION_COOKIE: self.cookies[who % len(self.cookies)]}
        return httpx.Client(base_url=self.address, cookies=cookies, headers=_HEADS, timeout=60.0)


def measured(backend: str, *, quick: bool) -> Iterator[str]:
    """The paragraphs of one database."""
    with _served(backend) as served:
        _rooms(served, QUICK_SECONDS)  # pages are opened on sessions of as many sets as sessions have
        yield _pages(served, QUICK_VISITS if quick else VISITS)
        yield _hands(served, QUICK_VISITS if quick else VISITS)
        yield _rooms(served, QUICK_SECONDS if quick else SECONDS)


def _rooms(served: Served, seconds: int) -> str:
    """Every room writes a reading a second; screens follow. What was acknowledged, what stands, and how late."""
    end, lock = Event(), Lock()
    wrote: list[float] = []  # when each reading was acknowledged
    late: list[float] = []

    def follow(who: int) -> None:
        seen = 0
        with served.client(who) as client, client.stream("GET", "/today/events", timeout=None) as lines:
            for line in lines.iter_lines():
                if end.is_set():
                    return
                if not line.startswith("event: changed"):
                    continue
                with lock:
                    news = wrote[seen:]
                    seen = len(wrote)
                client.get("/today/board")
                now = time.perf_counter()
                with lock:
                    late.extend(now - each for each in news)

    def write(place: int) -> int:
        missed, begin = 0, time.perf_counter()
        with served.client(place) as client:
            for number in range(seconds):
                time.sleep(max(0.0, begin + number - time.perf_counter()))
                fields = {"systolic_mmhg": str(120 + number % 9), "diastolic_mmhg": "78", "heart_rate_per_min": "70"}
                fields |= {"spo2_pct": "98", "key": f"room-{place:02d}-{number:06d}"}
                path = f"/sessions/{served.sessions[place]}/reading"
                answer = client.post(path, data=fields, headers={"Accept": "application/json"})
                with lock:
                    wrote.extend([time.perf_counter()] if answer.status_code == 200 else [])
                missed += answer.status_code != 200
        return missed

    before = readings_shown(served.address, served.cookies[0], served.sessions)
    screens = [Thread(target=follow, args=(PEOPLE - 1 - i,), daemon=True) for i in range(SCREENS)]
    for each in screens:
        each.start()
    with ThreadPoolExecutor(ROOMS) as pool:
        failed = sum(pool.map(write, range(ROOMS)))
    time.sleep(3.0)
    end.set()
    rows = [
        ["readings acknowledged", f"{ROOMS * seconds:,}", f"{len(wrote):,}; {failed:,} refused or failed"],
        [
            "acknowledged readings that stand",
            f"{len(wrote):,}",
            f"{readings_shown(served.address, served.cookies[0], served.sessions) - before:,}",
        ],
        ["acknowledged to seen on a screen, p95, s", "under 1", figures(percentile(late, 95))],
    ]
    return "\n".join(table(["rooms", "wanted", "measured"], rows))


def readings_shown(address: str, cookie: str, sessions: Sequence[str]) -> int:
    """Readings that the sessions' pages show, one row each in the table below the flow sheet."""
    with httpx.Client(base_url=address, cookies={SESSION_COOKIE: cookie}, timeout=60.0) as client:
        pages = [client.get(f"/sessions/{each}").text for each in sessions]
    return sum(each.partition('id="sheet"')[2].partition("</table>")[0].count('<th scope="row">') for each in pages)


def _pages(served: Served, visits: int) -> str:
    """Each page by one person, then by fifty at once, as a ratio to the page that reads nothing."""
    paths = {
        "bare": "/bare",
        "Today": "/today",
        "session": f"/sessions/{served.sessions[0]}",
        "worklist": "/worklist",
        "diary": "/diary",
        "chart": f"/patients/{served.patient}",
    }
    rows = []
    alone = {name: _times(served, path, visits, 1) for name, path in paths.items()}
    many = {name: _times(served, path, max(2, visits // 5), PEOPLE) for name, path in paths.items()}
    for name, path in paths.items():
        with served.client(0) as client:
            size = len(client.get(path).content) / 1024
        cells = [name]
        for times in (alone, many):
            cells += [figures(1000 * percentile(times[name], q)) for q in (50, 95)]
            cells.append(figures(percentile(times[name], 50) / percentile(times["bare"], 50)))
        rows.append([*cells, f"{size:.0f}"])
    heads = ["page", "1: p50, ms", "p95", "ratio", "50: p50, ms", "p95", "ratio", "KiB (limit 150)"]
    return "\n".join(table(heads, rows))


def _hands(served: Served, times: int) -> str:
    """What a person waits for in a browser: a session that opens, a set of vitals by keyboard, a form that is sent."""
    begin = time.perf_counter()

    def lap() -> float:
        nonlocal begin
        took, begin = time.perf_counter() - begin, time.perf_counter()
        return took

    took: dict[str, list[float]] = {"a bare page": [], "opening a session": [], "a set of vitals": [], "a form": []}
    with sync_playwright() as tools, tools.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"]) as browser:
        for place in range(times):
            context = browser.new_context(base_url=served.address)
            value = served.cookies[place % len(served.cookies)]
            context.add_cookies([{"name": SESSION_COOKIE, "value": value, "url": served.address}])
            page = context.new_page()
            page.goto("/bare")
            lap()
            page.goto("/bare")
            took["a bare page"].append(lap())
            page.goto(f"/sessions/{served.sessions[place % ROOMS]}")
            page.wait_for_selector("html[data-ready]")
            took["opening a session"].append(lap())
            page.focus("#reading-systolic_mmhg")
            for keys in ("124", "78", "71", "98"):
                page.keyboard.type(keys)
                page.keyboard.press("Enter")
            for key in ("5", "n", "Enter"):
                page.keyboard.press(key)
            page.wait_for_selector("#said:has-text('Saved')", state="attached")
            took["a set of vitals"].append(lap())
            page.goto("/find")
            lap()
            page.fill("#part", "Patient 1")
            page.keyboard.press("Enter")
            page.wait_for_selector("main a:has-text('Patient 1')")
            took["a form"].append(lap())
            context.close()
    rows = [[what, *(figures(1000 * percentile(each, q)) for q in (50, 95))] for what, each in took.items()]
    return "\n".join(table(["in Chromium, by a script", "p50, ms", "p95, ms"], rows))


def _times(served: Served, path: str, visits: int, people_at_once: int) -> list[float]:
    def visit(who: int) -> list[float]:
        found = []
        with served.client(who) as client:
            client.get(path)
            for _ in range(visits):
                begin = time.perf_counter()
                answer = client.get(path)
                found.append(time.perf_counter() - begin)
                if answer.status_code != 200:
                    raise SystemExit(f"{path} answered {answer.status_code}")
        return found

    with ThreadPoolExecutor(people_at_once) as pool:
        return [each for times in pool.map(visit, range(people_at_once)) for each in times]


def percentile(values: Sequence[float], q: int) -> float:
    """The q-th of a hundred parts; NaN for fewer than two."""
    return statistics.quantiles(values, n=100, method="inclusive")[q - 1] if len(values) > 1 else float("nan")


@contextmanager
def _served(backend: str) -> Iterator[Served]:
    with tempfile.TemporaryDirectory() as name:
        command = [sys.executable, "-m", "benchmarks.web", "--serve", new_url(backend, Path(name)), name]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
            try:
                assert process.stdout is not None
                told: Mapping[str, list[str] | str] = json.loads(process.stdout.readline())
                yield Served(**told)  # type: ignore[arg-type]
            finally:
                process.terminate()


def serve(url: str, folder: Path) -> None:
    """A clinic of twenty chairs, all taken, served until it is ended."""
    store = replace(at_work(new_store(url, folder)), clock=RunningClock())
    sessions, patient = fill(store)
    run_jobs(store)
    cookies = list(_logins(store))
    app = make_app(store, more=add_bare)
    server = uvicorn.Server(uvicorn.Config(app, port=0, log_level="error", access_log=False))
    startup = server.startup

    async def told(sockets: list[object] | None = None) -> None:
        await startup(sockets)  # type: ignore[arg-type]
        port = server.servers[0].sockets[0].getsockname()[1]
        known = {"address": f"http://127.0.0.1:{port}", "cookies": cookies, "sessions": sessions, "patient": patient}
        sys.stdout.write(json.dumps(known) + "\n")
        sys.stdout.flush()

    server.startup = told  # type: ignore[method-assign,assignment]
    server.run()


def add_bare(app: FastAPI) -> None:
    """A page of the usual frame that reads nothing."""

    @app.get("/bare", include_in_schema=False)
    def bare(request: Request) -> Response:
        return error_page(request, 200, "Nothing", "Nothing is read for this page.")


def fill(store: Store) -> tuple[list[str], str]:
    """Twenty chairs, all taken, each with a reading; the sessions, and a patient in one."""
    care.open_clinic(store)
    chairs = tuple(Chair(id=f"c{i + 1}", deliveries=(Delivery.IV,)) for i in range(ROOMS))
    policies.set_chairs(desk(store, Role.MEDICAL_DIRECTOR), chairs, capacity=ROOMS)
    care.vial(store, amount_ug=ROOMS * 100_000)
    sessions, patient = [], ""
    for place in range(ROOMS):
        patient, course = care.in_induction(store, name=f"Patient {place + 1}")
        session = care.book(store, course, minutes=1, chair=f"c{place + 1}")
        care.dosing(store, session)
        room.read_vitals(desk(store, Role.NURSE), session, care.quiet())
        sessions.append(session)
    return sessions, patient


def _logins(store: Store) -> Iterator[str]:
    admin = desk(store, Role.ADMINISTRATOR, by="operator")
    for place in range(PEOPLE):
        login = f"nurse{place + 1}"
        token = people.add_person(admin, login, name=f"Nurse {place + 1}", roles=(Role.NURSE,)).token
        begun = begin_set_up(store, token)
        codes, at = pyotp.TOTP(begun.secret), store.clock()
        finish_set_up(store, token, password=_PASSWORD, secret=begun.secret, code=codes.at(int(at.timestamp())))
        later = at + timedelta(seconds=31)
        proof = Proof(login=login, password=_PASSWORD, code=codes.at(int(later.timestamp())), device=None, address="1")
        yield log_in(replace(store, clock=_at(later)), "north", proof).token


def _at(moment: datetime) -> Callable[[], datetime]:
    return lambda: moment


def report(*, quick: bool) -> Iterator[str]:
    """The paragraphs of the page."""
    yield from preface("the web app", "web", quick=quick)
    seconds = QUICK_SECONDS if quick else SECONDS
    yield (
        f"Server and {ROOMS} rooms, {SCREENS} screens and up to {PEOPLE} people share the machine. Rooms write for "
        f"{seconds} s, one reading a second each. Ratios are to the bare page of the same run, by as many people."
    )
    for backend in ("sqlite", *(("postgresql",) if POSTGRES else ())):
        yield f"## {'SQLite' if backend == 'sqlite' else 'PostgreSQL'}"
        yield from measured(backend, quick=quick)


def main() -> int:
    """Measure and print the page; or serve, for the process that measures."""
    asked = argparse.ArgumentParser(description="Measure the web app under use.")
    asked.add_argument("--quick", action="store_true", help="a minute instead of half an hour")
    asked.add_argument("--write", type=Path, metavar="PAGE.md", help="also write the page there")
    asked.add_argument("--serve", nargs=2, metavar=("URL", "FOLDER"), help=argparse.SUPPRESS)
    given = asked.parse_args()
    if given.serve:
        serve(given.serve[0], Path(given.serve[1]))
        return 0
    text = "\n\n".join(report(quick=given.quick)) + "\n"
    sys.stdout.write(text)
    if given.write:
        given.write.write_text(text, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
