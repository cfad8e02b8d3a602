"""A whole clinic at work at once: python -m benchmarks.load [--quick] [--write PAGE.md].

192 people of every role use the real server on PostgreSQL for ten minutes, 50 on SQLite: pages, the streams that open
pages hold, readings, answers of patients on phones, inquiries, searches. Nothing may fail, nothing acknowledged may be
missing, and the server's memory may not grow with time. `scripts/with_postgres` gives it a PostgreSQL.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import re
import subprocess
import sys
import tempfile
import time
from collections import Counter, defaultdict
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
from benchmarks.store import figures, preface
from benchmarks.web import ROOMS, add_bare, fill, percentile, readings_shown
from tests.integration import care
from tests.integration.desks import at_work, desk
from tests.integration.pages import begin
from tests.integration.stores import POSTGRES, RunningClock, new_store, new_url

from afterglow.clinic import Role
from afterglow.markdown import table
from afterglow.settings import Settings
from afterglow.store.records import Store
from afterglow.usecases import passes, people
from afterglow.usecases.passes import Purpose
from afterglow.web.pages import SESSION_COOKIE
from afterglow.web.serving import Listening, serve

SECONDS, QUICK_SECONDS = 600, 40
THINKS_S = (4.0, 14.0)  # between what one person does and the next
PATIENTS = 60  # beside those in the chairs
QUESTIONS = 9  # of the PHQ-9
PATIENCE = 4.0  # an open page waits this many times as long as its last answer took, as live.js does
MIXES: Mapping[str, Mapping[Role, int]] = {
    "postgresql": {
        Role.NURSE: 60,
        Role.COORDINATOR: 36,
        Role.PRESCRIBER: 30,
        Role.THERAPIST: 20,
        Role.MEDICAL_DIRECTOR: 6,
        Role.COMPLIANCE: 6,
        Role.ADMINISTRATOR: 6,
        Role.PATIENT: 28,
    },
    "sqlite": {
        Role.NURSE: 15,
        Role.COORDINATOR: 9,
        Role.PRESCRIBER: 8,
        Role.THERAPIST: 5,
        Role.MEDICAL_DIRECTOR: 2,
        Role.COMPLIANCE: 2,
        Role.ADMINISTRATOR: 1,
        Role.PATIENT: 8,
    },
}


@dataclass(slots=True, kw_only=True)
class Seen:
    """What the people saw: seconds by page, what failed, what was acknowledged, and the server's memory in MiB."""

    took: defaultdict[str, list[float]] = field(default_factory=lambda: defaultdict(list))
    failed: Counter[str] = field(default_factory=Counter)
    acknowledged: Counter[str] = field(default_factory=Counter)
    memory: list[tuple[float, float]] = field(default_factory=list)


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """A running server: its process, and what is needed to use it."""

    pid: int
    address: str
    cookies: Mapping[str, Sequence[str]]
    links: Sequence[str]
    sessions: Sequence[str]
    patients: Sequence[str]


Doing = Callable[["Person"], Awaitable[None]]


@dataclass(slots=True, kw_only=True)
class Person:
    """One person at a browser."""

    number: int
    role: Role
    place: Place
    client: httpx.AsyncClient
    seen: Seen
    until: float
    chance: random.Random
    question: int = 0
    _written: int = 0

    async def ask(self, what: str, path: str, data: Mapping[str, str] | None = None) -> httpx.Response | None:
        """One page, or one form and the page that it leads to; None where it failed."""
        began = time.perf_counter()
        try:
            answer = await self.client.request("GET" if data is None else "POST", path, data=data)
        except httpx.HTTPError as fault:
            self.seen.failed[f"{what}: {type(fault).__name__}"] += 1
            return None
        self.seen.took[what].append(time.perf_counter() - began)
        if answer.status_code != 200 or "/login" in str(answer.url):
            self.seen.failed[f"{what}: {answer.status_code}"] += 1
            return None
        return answer

    async def follow(self, board: str, after: str, seconds: float) -> None:
        """Hold the stream of an open page, and take its news as its script does."""
        end, news = time.perf_counter() + seconds, asyncio.Event()

        async def take() -> None:
            while await news.wait():
                news.clear()
                began = time.perf_counter()
                await self.ask("the board, by itself", board)
                await asyncio.sleep(PATIENCE * (time.perf_counter() - began))

        taking = asyncio.create_task(take())
        try:
            async with asyncio.timeout(seconds), self.client.stream("GET", f"/today/events?after={after}") as lines:
                if lines.status_code != 200:
                    self.seen.failed[f"stream: {lines.status_code}"] += 1
                async for line in lines.aiter_lines():
                    if line.startswith("event: changed"):
                        news.set()
        except TimeoutError:
            pass
        except httpx.HTTPError as fault:
            self.seen.failed[f"stream: {type(fault).__name__}"] += 1
        finally:
            taking.cancel()
        await asyncio.sleep(max(0.0, end - time.perf_counter()))

    async def works(self) -> None:
        """What the role does, one thing after the other."""
        await asyncio.sleep(self.chance.uniform(0, THINKS_S[1]))
        things, weights = zip(*DOES[self.role], strict=True)
        while time.perf_counter() < self.until:
            await self.chance.choices(things, weights)[0](self)

    def thinks(self) -> float:
        """Seconds until the next thing."""
        return self.chance.uniform(*THINKS_S)

    def one_of(self, many: Sequence[str]) -> str:
        """Any of them."""
        return self.chance.choice(many)

    def key(self) -> str:
        """The id of a form that is sent once."""
        self._written += 1
        return f"load-{self.number:03d}-{self._written:06d}"


def opens(what: str, path: str) -> Doing:
    """Open a page and look at it."""

    async def do(who: Person) -> None:
        session, patient = who.one_of(who.place.sessions), who.one_of(who.place.patients)
        await who.ask(what, path.format(session=session, patient=patient))
        await asyncio.sleep(who.thinks())

    return do


def stays(what: str, path: str, board: str) -> Doing:
    """Open a page that is live, and stay on it for a while."""

    async def do(who: Person) -> None:
        session = who.one_of(who.place.sessions)
        answer = await who.ask(what, path.format(session=session))
        seq = None if answer is None else re.search(r'data-seq="(\d+)"', answer.text)
        await who.follow(board.format(session=session), seq[1] if seq else "0", who.thinks())

    return do


async def read_vitals(who: Person) -> None:
    """Write a reading, as the session page's script does."""
    session = who.place.sessions[who.number % len(who.place.sessions)]
    fields = {"systolic_mmhg": f"{118 + who.number % 9}", "diastolic_mmhg": "78", "heart_rate_per_min": "70"}
    fields |= {"spo2_pct": "98", "key": who.key()}
    if await who.ask("a reading", f"/sessions/{session}/reading", fields):
        who.seen.acknowledged["readings"] += 1
    await asyncio.sleep(who.thinks())


async def search(who: Person) -> None:
    """Look for part of a name."""
    await who.ask("search", "/find", {"part": f"Patient {who.chance.randint(1, 9)}"})
    await asyncio.sleep(who.thinks())


async def inquire(who: Person) -> None:
    """Somebody new is on the telephone."""
    name = f"Inquiry {who.key()}"
    asked = {"name": name, "referred_by": "self", "treatment": "iv:racemic_ketamine", "indication": "trd"}
    if await who.ask("an inquiry", "/inquiries/new", asked):
        who.seen.acknowledged["inquiries"] += 1
    await asyncio.sleep(who.thinks())


async def answer(who: Person) -> None:
    """A patient answers a question, or comes back to one."""
    number = who.question % QUESTIONS + 1
    await who.ask("a question", f"/my/question/{number}")
    await asyncio.sleep(who.thinks() / 2)
    if await who.ask("an answer", "/my/answer", {"number": f"{number}", "value": "0" if number == QUESTIONS else "1"}):
        who.seen.acknowledged["answers"] += 1
    who.question += 1
    await asyncio.sleep(who.thinks() / 2)


BARE = opens("bare", "/bare")
TODAY = stays("Today", "/today", "/today/board")
SESSION = stays("session", "/sessions/{session}", "/sessions/{session}/board")
CHART = opens("chart", "/patients/{patient}")
WORKLIST = opens("worklist", "/worklist")
DOES: Mapping[Role, Sequence[tuple[Doing, float]]] = {
    Role.NURSE: ((TODAY, 3), (SESSION, 4), (read_vitals, 4), (CHART, 1), (BARE, 1)),
    Role.COORDINATOR: (
        (TODAY, 3), (opens("diary", "/diary"), 3), (opens("diary, week", "/diary/week"), 1), (WORKLIST, 3),
        (search, 2), (inquire, 1), (BARE, 1),
    ),
    Role.PRESCRIBER: (
        (TODAY, 2), (CHART, 4), (SESSION, 2), (WORKLIST, 1), (opens("candidacy", "/patients/{patient}/candidacy"), 1),
        (opens("plan", "/patients/{patient}/plan"), 1), (opens("evidence", "/evidence"), 1), (BARE, 1),
    ),
    Role.THERAPIST: ((TODAY, 2), (CHART, 3), (WORKLIST, 1), (BARE, 1)),
    Role.MEDICAL_DIRECTOR: ((TODAY, 1), (WORKLIST, 2), (opens("thresholds", "/admin/policy"), 1), (BARE, 1)),
    Role.COMPLIANCE: ((opens("audit trail", "/admin/audit"), 3), (BARE, 1)),
    Role.ADMINISTRATOR: (
        (opens("people", "/admin/people"), 2), (opens("backups", "/admin/records"), 1),
        (opens("about", "/admin/about"), 1), (BARE, 1),
    ),
    Role.PATIENT: ((answer, 1),),
}  # fmt: skip


@asynccontextmanager
async def browser(place: Place, number: int, role: Role, cookie: str) -> AsyncIterator[httpx.AsyncClient]:
    """A browser of one person at an address of its own."""
    heads = {"Sec-Fetch-Site": "same-origin", "X-Forwarded-For": f"10.0.{number // 250}.{number % 250 + 1}"}
    limits = httpx.Limits(max_connections=6, keepalive_expiry=50.0)  # as browsers keep them
    cookies = {} if role is Role.PATIENT else {SESSION_COOKIE: cookie}
    async with httpx.AsyncClient(
        base_url=place.address, cookies=cookies, headers=heads, timeout=60.0, limits=limits, follow_redirects=True
    ) as client:
        if role is Role.PATIENT:
            for path, data in (("/link", {"token": cookie}), ("/my/start", {})):
                (await client.post(path, data=data)).raise_for_status()
        yield client


async def day(place: Place, mix: Mapping[Role, int], seconds: float) -> Seen:
    """Everybody at work for some seconds."""
    seen, until = Seen(), time.perf_counter() + seconds
    links, cookies = iter(place.links), {role: iter(of) for role, of in place.cookies.items()}
    everybody = [role for role, count in mix.items() for _ in range(count)]

    async def one(number: int, role: Role) -> None:
        cookie = next(links) if role is Role.PATIENT else next(cookies[role])
        async with browser(place, number, role, cookie) as client:
            await Person(
                number=number,
                role=role,
                place=place,
                client=client,
                seen=seen,
                until=until,
                chance=random.Random(number),
            ).works()

    async def weigh() -> None:
        began = time.perf_counter()
        while time.perf_counter() < until:
            seen.memory.append((time.perf_counter() - began, _memory(place.pid)))
            await asyncio.sleep(5.0)

    await asyncio.gather(weigh(), *(one(number, role) for number, role in enumerate(everybody)))
    return seen


def _memory(pid: int) -> float:
    """What the server's process holds, MiB."""
    status = Path(f"/proc/{pid}/status").read_text(encoding="ascii")
    return int(next(line.split()[1] for line in status.splitlines() if line.startswith("VmRSS"))) / 1024


def measured(backend: str, seconds: float) -> Iterator[str]:
    """The paragraphs of one database."""
    mix = MIXES[backend]
    with _served(backend) as place:
        before = readings_shown(place.address, place.cookies[Role.NURSE][0], place.sessions)
        seen = asyncio.run(day(place, mix, seconds))
        stand = readings_shown(place.address, place.cookies[Role.NURSE][0], place.sessions) - before
    asked = sum(map(len, seen.took.values()))
    early = [mib for at, mib in seen.memory if seconds / 5 <= at <= 2 * seconds / 5]
    late = [mib for at, mib in seen.memory if at >= 4 * seconds / 5]
    peak = f"{max(mib for _, mib in seen.memory):.0f}"
    wrote = ", ".join(f"{count:,} {what}" for what, count in seen.acknowledged.items())
    failed = "; ".join(f"{count} {what}" for what, count in seen.failed.most_common(8)) or "none"
    roles = ", ".join(f"{count} {role.replace('_', ' ')}" for role, count in mix.items())
    growth = f"{figures(_mean(late) / _mean(early))} (peak {peak} MiB)"
    rows = [
        ["people", "", f"{sum(mix.values())}: {roles}"],
        ["requests, beside the streams", "", f"{asked:,} in {seconds:.0f} s"],
        ["failed", "0", failed],
        ["acknowledged", "", wrote],
        ["acknowledged readings that stand", f"{seen.acknowledged['readings']:,}", f"{stand:,}"],
        ["server's memory, last fifth to second fifth", "about 1", growth],
    ]
    yield "\n".join(table(["", "wanted", "measured"], rows))
    bare = {q: percentile(seen.took["bare"], q) for q in (50, 95)}
    pages = [
        [
            what,
            f"{len(took):,}",
            *(figures(1000 * percentile(took, q)) for q in (50, 95)),
            figures(percentile(took, 95) / bare[95]),
        ]
        for what, took in sorted(seen.took.items(), key=lambda each: -len(each[1]))
    ]
    yield "\n".join(table(["page", "asked", "p50, ms", "p95, ms", "p95 to the bare page's"], pages))


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values) if values else float("nan")


@contextmanager
def _served(backend: str) -> Iterator[Place]:
    with tempfile.TemporaryDirectory() as name:
        command = [sys.executable, "-m", "benchmarks.load", "--serve", backend, new_url(backend, Path(name)), name]
        log = Path(name) / "log"
        with (
            log.open("w") as told,
            subprocess.Popen(command, stdout=subprocess.PIPE, stderr=told, text=True) as process,
        ):
            try:
                assert process.stdout is not None
                line = process.stdout.readline()
                if not line:
                    raise SystemExit(f"the server did not start: {log.read_text()[-2000:]}")
                yield Place(pid=process.pid, **json.loads(line))
            finally:
                process.terminate()


def serve_clinic(backend: str, url: str, folder: Path) -> None:
    """The real server on a filled clinic, until it is ended."""
    clock, mix = RunningClock(), MIXES[backend]
    today = datetime.now(UTC)
    clock.now = (today - timedelta(days=today.weekday())).replace(hour=9)
    store = replace(at_work(replace(new_store(url, folder), clock=clock)), clock=clock)
    sessions, _ = fill(store)
    patients = [care.in_induction(store, name=f"Patient {ROOMS + place + 1}")[0] for place in range(PATIENTS)]
    known: dict[str, Any] = {
        "cookies": {role: list(_hired(store, role, count)) for role, count in mix.items() if role is not Role.PATIENT},
        "links": [
            passes.issue_link(desk(store, Role.NURSE), each, Purpose.ANSWER_SCALE, about="PHQ-9").token
            for each in patients[: mix[Role.PATIENT]]
        ],
        "sessions": sessions,
        "patients": patients,
    }
    store.engine.dispose()

    def told(address: str) -> None:
        sys.stdout.write(json.dumps(known | {"address": address}) + "\n")
        sys.stdout.flush()

    settings = Settings(folder=folder, database_url=url, clinic="north")  # type: ignore[arg-type]
    where = Listening(port=0, proxy="127.0.0.1")
    serve(settings, where, started=told, more=add_bare, clock=lambda _: clock)


def _hired(store: Store, role: Role, count: int) -> Iterator[str]:
    admin = desk(store, Role.ADMINISTRATOR, by="operator")
    for place in range(count):
        login = f"{role.replace('_', '-')}-{place + 1}"
        people.add_person(admin, login, name=f"{role.capitalize()} {place + 1}", roles=(role,))
        yield begin(store, login)


def report(*, quick: bool, only: str | None) -> Iterator[str]:
    """The paragraphs of the page."""
    yield from preface("the web app under load", "load", quick=quick)
    yield (
        "Server, its worker, database and everybody's browsers share the machine. Each person does something every "
        f"{THINKS_S[0]:g} to {THINKS_S[1]:g} s; who is on Today or in a session holds its stream and takes its news. "
        "Times are what a browser waits, redirects included; the last column sets them beside a page that reads "
        "nothing, asked by the same people in the same minutes."
    )
    for backend in (only,) if only else ("sqlite", *(("postgresql",) if POSTGRES else ())):
        yield f"## {'SQLite' if backend == 'sqlite' else 'PostgreSQL'}"
        yield from measured(backend, QUICK_SECONDS if quick else SECONDS)


def main() -> int:
    """Measure and print the page; or serve, for the process that measures."""
    asked = argparse.ArgumentParser(description="A whole clinic at work at once.")
    asked.add_argument("--quick", action="store_true", help="a minute or two instead of twenty")
    asked.add_argument("--write", type=Path, metavar="PAGE.md", help="also write the page there")
    asked.add_argument("--only", choices=tuple(MIXES), help="one kind of database alone")
    asked.add_argument("--serve", nargs=3, metavar=("BACKEND", "URL", "FOLDER"), help=argparse.SUPPRESS)
    given = asked.parse_args()
    if given.serve:
        serve_clinic(given.serve[0], given.serve[1], Path(given.serve[2]))
        return 0
    text = "\n\n".join(report(quick=given.quick, only=given.only)) + "\n"
    sys.stdout.write(text)
    if given.write:
        given.write.write_text(text, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
