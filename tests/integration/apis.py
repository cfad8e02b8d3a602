"""What the API's tests share: the application on a store, tokens, and requests."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import httpx
from fastapi import FastAPI
from tests.integration.desks import desk

from afterglow.clinic import Role
from afterglow.store.records import Store
from afterglow.usecases import people
from afterglow.usecases.desk import CATALOGUE
from afterglow.web.api import Limits
from afterglow.web.api_document import document
from afterglow.web.api_routes import PREFIX, routes
from afterglow.web.serving import make_app

ENDLESS = Limits(per_minute=10**9, refused_per_minute=10**9)
NOWHERE = "0000000000000000ffffffffffffffff"


def everything(*roles: Role) -> tuple[str, ...]:
    """Every group of use cases that a token of these roles may be for."""
    may = (name for name, case in CATALOGUE.items() if case.signs or set(roles).intersection(case.roles))
    return tuple(sorted({name.split(".")[0] for name in may}))


def token(store: Store, *roles: Role, login: str = "", only: tuple[str, ...] = (), clinic: str = "north") -> str:
    """A token of a service with these roles, for everything unless said."""
    administrator = desk(store, Role.ADMINISTRATOR, clinic=clinic)
    name = login or f"service-{roles[0].replace('_', '-')}"
    people.add_service(administrator, name, name=name, roles=roles)
    return people.issue_service_token(administrator, name, "test", only=only or everything(*roles)).token


class InProcess(httpx.BaseTransport):
    """Requests to an application in this process, each on an event loop and a thread of its own."""

    def __init__(self, app: FastAPI) -> None:
        self._app, self._pool = app, ThreadPoolExecutor(16)

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        request.read()
        return self._pool.submit(asyncio.run, self._answer(request)).result()

    async def _answer(self, request: httpx.Request) -> httpx.Response:
        transport = httpx.ASGITransport(self._app, raise_app_exceptions=False)
        answer = await transport.handle_async_request(request)
        assert isinstance(answer.stream, httpx.AsyncByteStream)
        body = b"".join([part async for part in answer.stream])
        return httpx.Response(answer.status_code, headers=answer.headers, content=body)

    def close(self) -> None:
        self._pool.shutdown()


@contextmanager
def asking(
    store: Store, held: str | None, limits: Limits = ENDLESS, cookies: dict[str, str] | None = None
) -> Iterator[httpx.Client]:
    """A client of the application that shows a token."""
    headers = {} if held is None else {"Authorization": f"Bearer {held}"}
    transport = InProcess(make_app(store, limits))
    with httpx.Client(transport=transport, headers=headers, base_url="http://clinic", cookies=cookies) as client:
        yield client


def ask(client: httpx.Client, name: str, thing: str | None = None, /, **given: Any) -> httpx.Response:
    """Ask for a use case; `version`, `key` and `signature` go into headers."""
    route = routes()[name]
    path = route.path if route.thing is None else route.path.replace(f"{{{route.thing}}}", thing or NOWHERE)
    headers = {}
    if route.versioned and "version" in given:
        headers["If-Match"] = f'"{given.pop("version")}"'
    if (key := given.pop("key", None)) is not None:
        headers["Idempotency-Key"] = key
    if (signature := given.pop("signature", None)) is not None:
        headers["Afterglow-Signature"] = signature
    if route.method == "GET":
        return client.get(path, params=given, headers=headers)
    return client.post(path, content=json.dumps(given), headers={**headers, "Content-Type": "application/json"})


def example(name: str) -> dict[str, Any]:
    """The example of a use case's request in the document, with a version and, in an address, what it needs."""
    route = routes()[name]
    operation = document_()["paths"][route.path][route.method.lower()]
    if route.method == "POST":
        found = dict(operation["requestBody"]["content"]["application/json"]["example"])
    else:
        needed = (each for each in operation["parameters"] if each["in"] == "query" and each.get("required"))
        found = {each["name"]: each["example"] for each in needed}
    return found | ({"version": 1} if route.versioned else {})


def document_() -> dict[str, Any]:
    if not _DOCUMENT:
        _DOCUMENT.update(document())
    return _DOCUMENT


_DOCUMENT: dict[str, Any] = {}

__all__ = ["PREFIX"]
