"""The server: pages and API on one installation's store, and what runs beside them: clocks, a worker for forecasts.

It tells what it does in JSON lines on standard error: one for each request, with the template of its route, never the
address itself. Plain HTTP is refused except on this machine itself, or behind a proxy that ends TLS.
"""

from __future__ import annotations

import ipaddress
import secrets
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable, MutableMapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path
from threading import Event, Thread
from typing import Any, Self

import uvicorn
from anyio import to_thread
from fastapi import FastAPI, Request

from afterglow.errors import AfterglowError, InputError, UnreadableFile
from afterglow.logs import Word, gathering, say
from afterglow.logs import start as start_log
from afterglow.settings import Settings
from afterglow.store.audit import anchor, drain_spool
from afterglow.store.records import Store
from afterglow.usecases.post import run_due
from afterglow.usecases.upkeep import opened
from afterglow.web.api import Limits, add_api
from afterglow.web.pages import add_pages, unexpected
from afterglow.web.worker import Worker

EVERY = timedelta(minutes=1)
ANCHOR_EVERY = timedelta(minutes=10)
_GRACE_S = 10
_THREADS = 12  # measured with benchmarks.load: with 40, pages of 192 people took twice as long
_KEEP_ALIVE_S = 75  # longer than browsers hold a quiet line, so that none is cut as it is used
_ONLY_TLS = b"max-age=31536000"  # a year; not of subdomains, which may be somebody else's
_METHODS = {"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Listening:
    """Where the server listens, and how the way there is protected.

    Args:
        host: an address of this machine, or `localhost`.
        certificate, key: PEM files; both or none.
        proxy: address of the proxy that ends TLS and is trusted to say who asks; None without one.
    """

    host: str = "127.0.0.1"
    port: int = 8420
    certificate: Path | None = None
    key: Path | None = None
    proxy: str | None = None


def check_listening(where: Listening) -> None:
    """Refuse a way that others could read.

    Raises: InputError for plain HTTP beyond this machine, for half a certificate or a host that is no address;
        UnreadableFile.

    >>> check_listening(Listening(host="127.0.0.1"))
    """
    if (where.certificate is None) != (where.key is None):
        raise InputError(
            "TLS needs a certificate and its key",
            observed="one of the two",
            next_step="Give --certificate and --key, or neither",
        )
    for file in (where.certificate, where.key):
        if file is not None and not file.is_file():
            raise UnreadableFile("The file is not there", observed=file.name, next_step="Give a PEM file")
    if where.certificate is None and where.proxy is None and not is_loopback(where.host):
        raise InputError(
            "Plain HTTP is refused beyond this machine",
            observed=where.host,
            allowed="127.0.0.1, ::1 or localhost without TLS",
            next_step="Give --certificate and --key, or --behind-proxy with the address of a proxy that ends TLS",
        )


def is_loopback(host: str) -> bool:
    """Whether an address reaches this machine alone.

    Raises: InputError for what is no address.

    >>> is_loopback("127.0.0.1"), is_loopback("localhost"), is_loopback("0.0.0.0")
    (True, True, False)
    """
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        raise InputError("This is no address", observed=repr(host), allowed="as in 127.0.0.1 or ::1") from None


def make_app(store: Store, limits: Limits | None = None, *, more: Callable[[FastAPI], None] | None = None) -> FastAPI:
    """The application: every page that exists, and the API; `more` adds to it."""
    app = FastAPI(title="Afterglow", openapi_url=None, docs_url=None, redoc_url=None, lifespan=_few_threads)
    add_api(app, store, limits)
    add_pages(app, store)
    app.add_middleware(RequestLog)
    if more is not None:
        more(app)
    return app


@asynccontextmanager
async def _few_threads(_: FastAPI) -> AsyncIterator[None]:
    """Work in few threads: one interpreter runs one at a time, and many that want it only hold each other up."""
    to_thread.current_default_thread_limiter().total_tokens = _THREADS
    yield


def serve(
    settings: Settings,
    where: Listening,
    *,
    started: Callable[[str], None],
    more: Callable[[FastAPI], None] | None = None,
    until: Callable[[str], None] | None = None,
    clock: Callable[[Store], Callable[[], datetime]] | None = None,
) -> None:
    """Serve until it is asked to end; clocks and forecasts run meanwhile.

    Args:
        settings: of the installation.
        where: checked before anything is opened.
        started: is told the address once it listens.
        more: adds to the application, as the demo does.
        clock: gives the time that is kept there; the time now if None.
        until: is told the address too, beside the server, which ends when this returns; None serves until asked to end.
    Raises: InputError, UnreadableFile, StoreFault; InputError if the port is taken.
    """
    check_listening(where)
    start_log(sys.stderr)
    with opened(settings) as found:
        store = found if clock is None else replace(found, clock=clock(found))
        server = _Server(
            uvicorn.Config(
                make_app(store, Limits(per_minute=settings.api_per_minute), more=more),
                host=where.host,
                port=where.port,
                ssl_certfile=where.certificate,
                ssl_keyfile=where.key,
                proxy_headers=where.proxy is not None,
                forwarded_allow_ips=where.proxy or "127.0.0.1",
                access_log=False,  # addresses may hold what a log should not
                log_config=None,
                server_header=False,
                ws="none",
                timeout_keep_alive=_KEEP_ALIVE_S,
                timeout_graceful_shutdown=_GRACE_S,
            ),
            started,
            until,
        )
        with Worker(settings) as worker, Clocks(settings, store, beside=worker.keep):
            try:
                server.run()
            except SystemExit:
                raise InputError(
                    "The server cannot listen there",
                    observed=f"{where.host}:{where.port}",
                    next_step="Another program may hold the port: take another with --port",
                ) from None


_Message = MutableMapping[str, Any]
_App = Callable[[_Message, Callable[[], Awaitable[_Message]], Callable[[_Message], Awaitable[None]]], Awaitable[None]]


class RequestLog:
    """Tells of each request: id, method, route, who, which use case, status, time; the answer carries the id.

    An answer over TLS also tells the browser to come here in no other way for a year.

    An error that nobody foresaw becomes a page with that id; its message, which may quote anything, is told to nobody.
    """

    def __init__(self, app: _App) -> None:
        self._app = app

    async def __call__(
        self,
        scope: _Message,
        receive: Callable[[], Awaitable[_Message]],
        send: Callable[[_Message], Awaitable[None]],
    ) -> None:
        """One request through the application."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        request_id, began, status = secrets.token_hex(8), time.perf_counter(), 0

        async def answer(message: _Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                told = [(b"x-request-id", request_id.encode())]
                if scope["scheme"] == "https":
                    told.append((b"strict-transport-security", _ONLY_TLS))
                message["headers"] = [*message["headers"], *told]
            await send(message)

        with gathering(request=request_id) as about:
            try:
                await self._app(scope, receive, answer)
            except Exception as fault:
                if status:
                    raise
                await unexpected(Request(scope), fault)(scope, receive, answer)
            finally:
                words: dict[str, Word] = {
                    "method": scope["method"] if scope["method"] in _METHODS else "other",
                    "route": getattr(scope.get("route"), "path", "none"),
                    "status": status,
                    "milliseconds": round(1000 * (time.perf_counter() - began), 1),
                }
                say("request", **(words | about))  # the API notes its own template


class _Server(uvicorn.Server):
    """Tells its address when it listens, and ends when what runs until then is over."""

    def __init__(
        self, config: uvicorn.Config, told: Callable[[str], None], until: Callable[[str], None] | None
    ) -> None:
        super().__init__(config)
        self._told, self._until = told, until

    async def startup(self, sockets: list[object] | None = None) -> None:  # type: ignore[override]
        await super().startup(sockets)  # type: ignore[arg-type]
        if self.started:
            port = self.servers[0].sockets[0].getsockname()[1]
            host = f"[{self.config.host}]" if ":" in self.config.host else self.config.host
            address = f"{'https' if self.config.ssl_certfile else 'http'}://{host}:{port}/"
            self._told(address)
            if self._until is not None:
                Thread(target=self._end_after, args=(address,), daemon=True).start()

    def _end_after(self, address: str) -> None:
        try:
            if self._until is not None:
                self._until(address)
        finally:
            self.should_exit = True


class Clocks:
    """What runs every minute beside the server, in a thread of its own; a fault of one round ends no other.

    Args:
        settings: of the installation.
        store: of the installation.
        every: between rounds.
        beside: done in each round besides.
    """

    def __init__(
        self, settings: Settings, store: Store, *, every: timedelta = EVERY, beside: Callable[[], None] = lambda: None
    ) -> None:
        self._settings, self._store, self._every, self._beside = settings, store, every, beside
        self._end = Event()
        self._thread = Thread(target=self._run, name="clocks", daemon=True)
        self.faults = 0
        self.rounds = 0

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._end.set()
        self._thread.join(timeout=30)

    def _run(self) -> None:
        anchored = self._store.clock()
        self._safely(self._drain)  # of a server that ended while the trail could not be written
        while not self._end.wait(self._every.total_seconds()):
            self._safely(self._beside)
            self._safely(self._drain)
            self._safely(lambda: run_due(self._store, self._settings))
            if self._store.clock() - anchored >= ANCHOR_EVERY and self._safely(self._anchor):
                anchored = self._store.clock()
            self.rounds += 1

    def _safely(self, work: Callable[[], object]) -> bool:
        """Whether it could be done; where the database is away the next round tries again."""
        try:
            work()
        except AfterglowError as fault:
            self.faults += 1
            say("clocks.failed", code=fault.code)
            return False
        return True

    def _drain(self) -> None:
        for clinic in self._store.clinics():
            if moved := drain_spool(self._store, clinic.id):
                say("spool.drained", events=moved)

    def _anchor(self) -> None:
        for clinic in self._store.clinics():
            anchor(self._store, clinic.id)
