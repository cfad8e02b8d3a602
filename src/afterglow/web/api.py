"""The API: JSON over HTTP beside the pages, on the same use cases and with no rules of its own.

Each request goes one way: its token, its limits, its fields, the use case, the answer. A refusal is a problem
(RFC 9457) with the project's codes. Nothing of a request is written to a log: addresses hold ids alone, and bodies stay
here.
"""

from __future__ import annotations

import hmac
import json
import math
import re
import time
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, is_dataclass, replace
from dataclasses import fields as fields_of
from datetime import UTC, date, datetime
from threading import Lock
from typing import Any, TypeVar

from fastapi import FastAPI, Request, Response
from fastapi.concurrency import run_in_threadpool
from pydantic import BaseModel, ValidationError
from starlette.convertors import PathConvertor, register_url_convertor

from afterglow.errors import (
    AfterglowError,
    InputError,
    LoginRefused,
    MissingValue,
    NotFound,
    Outdated,
    OutOfRange,
    StoreFault,
    TooManyTries,
    UnknownName,
    echo,
)
from afterglow.logs import note, say_fault
from afterglow.store.codec import canonical, to_data
from afterglow.store.logins import keyed_digest
from afterglow.store.records import Store
from afterglow.usecases.desk import CALLS, Desk, Page, check_permitted
from afterglow.usecases.login import Proof, open_token
from afterglow.usecases.signing import sign_by_token, signed_by
from afterglow.usecases.work import Actor
from afterglow.web.api_document import SIGNATURES, SIGNING, Sign, openapi
from afterglow.web.api_fields import refused_fields
from afterglow.web.api_routes import PREFIX, Listed, Route, find_route
from afterglow.web.pages import status_of

LARGEST_BODY = 1_000_000  # bytes
LONGEST_TEXT = 20_000  # characters of one text
FAR = 1e12  # numbers beyond it are no measure of anything here
YEARS = (1900, 2200)
LONGEST_PART, USUAL_PART = 200, 50  # lines of a list in one answer
_BEARER = re.compile(r"Bearer ([\x21-\x7e]{1,256})", re.IGNORECASE)
_VERSION = re.compile(r'"([0-9]{1,9})"')
_METHODS = ["GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS", "TRACE"]
_HEADERS = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}
_KEPT_BUCKETS = 10_000
M = TypeVar("M", bound=BaseModel)


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """How much is taken from whom.

    Args:
        per_minute: requests of one token; a quarter of them may come at once.
        refused_per_minute: tokens that do not hold, from one address.
    """

    per_minute: int = 600
    refused_per_minute: int = 30


def add_api(app: FastAPI, store: Store, limits: Limits | None = None) -> None:
    """Mount the API on an application, below `/api`."""
    api = _Api(store, limits or Limits())
    app.add_api_route(
        "/api/{rest:anything}", api.answer, methods=_METHODS, include_in_schema=False, response_model=None
    )


class _Anything(PathConvertor):
    """Also what no address should hold, such as a line's end: it is refused in the API's own words."""

    regex = "(?s:.*)"


register_url_convertor("anything", _Anything())


class _Refused(Exception):
    """A refusal of the edge itself, where the status says more than the error's code."""

    def __init__(self, status: int, error: AfterglowError, **headers: str) -> None:
        super().__init__(error.code)
        self.status, self.error = status, error
        self.headers = {name.replace("_", "-"): value for name, value in headers.items()}


@dataclass(frozen=True, slots=True, kw_only=True)
class _Asked:
    """A request as it came."""

    method: str
    path: str
    query: tuple[tuple[str, str], ...]
    headers: Mapping[str, str]
    body: bytes
    address: str


class _Api:
    """The API of one installation."""

    def __init__(self, store: Store, limits: Limits) -> None:
        self._store = store
        self._asks = _Buckets(limits.per_minute, at_once=max(1, limits.per_minute // 4))
        self._refusals = _Buckets(limits.refused_per_minute, at_once=limits.refused_per_minute)

    async def answer(self, request: Request) -> Response:
        """The answer to any request below `/api`."""
        note(route=_template(str(request.scope["path"])))
        try:
            asked = _Asked(
                method=request.method,
                path=str(request.scope["path"]),
                query=tuple(request.query_params.multi_items()),
                headers=request.headers,
                body=b"",
                address=request.client.host if request.client is not None else "",
            )
            if asked.path == f"{PREFIX}/openapi.json":
                response = _document(asked)
            else:
                actor = await run_in_threadpool(self._known, asked)  # before anything of the body is taken
                body = await _body(request, self._largest(asked.path))
                response = await run_in_threadpool(self._answer, replace(asked, body=body), actor)
        except _Refused as refused:
            response = _problem(refused.error, refused.status, refused.headers)
        except AfterglowError as refused:
            response = _problem(refused, _status(refused), _advice(refused))
        except Exception as fault:  # noqa: BLE001  its message may quote a patient's data, so its kind alone is told
            say_fault(fault)
            response = _problem(StoreFault(f"The program is at fault ({type(fault).__name__})"), 500, {})
        for name, value in _HEADERS.items():
            response.headers.setdefault(name, value)
        return response

    def _largest(self, path: str) -> int:
        """Bytes of a body; a file is a third longer as base64."""
        route, _ = find_route(path.removeprefix(PREFIX))
        return LARGEST_BODY + int(self._store.attachment_limit_mb * 1.4e6 if route is not None and route.large else 0)

    def _answer(self, asked: _Asked, actor: Actor) -> Response:
        if not asked.path.startswith(f"{PREFIX}/"):
            raise NotFound("There is no such version of the API", allowed=PREFIX)
        below = asked.path.removeprefix(PREFIX)
        if below == SIGNATURES:
            _check_method(asked, "POST")
            return self._signature(asked, actor)
        route, thing = find_route(below)
        if route is None:
            raise NotFound("There is no such route", next_step=f"See {PREFIX}/openapi.json")
        _check_method(asked, route.method)
        if SIGNING in asked.headers:
            actor = signed_by(self._store, actor, asked.headers[SIGNING])
        desk = Desk(store=self._store, actor=actor, request_key=asked.headers.get("idempotency-key"))
        check_permitted(route.case, desk)  # who may not is told so before anything of the request is looked at
        if len(dict(asked.query)) < len(asked.query):
            raise InputError("A field came twice", next_step="Send each field once")
        part, query = _split_part(asked.query) if route.listed else (None, asked.query)
        given = self._given(route, asked, query, actor)
        if thing is not None and route.thing is not None:
            given[route.thing] = thing
        result = CALLS[route.case.name](desk, **given)
        if part is not None:
            result = self._part(actor, result, part)
        return _shown(route, result)

    def _known(self, asked: _Asked) -> Actor:
        """Who asks.

        Raises: LoginRefused, as 401; _Refused where too much came from the token, or from an address tokens that do not
            hold. One that holds is let in from there all the same, so that nobody locks others out.
        """
        try:
            held = _token(asked)
            actor = open_token(self._store, held)
        except LoginRefused:
            self._refusals.take(asked.address)
            raise
        self._asks.take(held)
        return actor

    def _signature(self, asked: _Asked, actor: Actor) -> Response:
        proof = _read_body(Sign, asked)
        typed = Proof(login=proof.login, password=proof.password, code=proof.code, address=asked.address)
        made = sign_by_token(self._store, actor, typed)
        shown = {"login": made.login, "signature": made.signature, "expires_at": made.expires_at.isoformat()}
        return Response(json.dumps(shown), media_type="application/json")

    def _given(self, route: Route, asked: _Asked, query: Sequence[tuple[str, str]], actor: Actor) -> dict[str, Any]:
        """What the use case is given: fields, the version that was seen, and who else signed."""
        if route.method == "GET":
            read = _read_query(route.asked, query)
        elif query:
            raise UnknownName("The address takes no fields here", next_step="Put them into the body")
        else:
            read = _read_body(route.asked, asked)
        given = {name: getattr(read, name) for name in route.asked.model_fields}
        _check_sense(given, ())
        given |= {name: each.astimezone(UTC) for name, each in given.items() if isinstance(each, datetime)}
        for name in route.persons:
            if given[name] is not None:
                given[name] = signed_by(self._store, actor, given[name], second=True)
        if route.versioned:
            given["version"] = _seen_version(asked)
        return given

    def _part(self, actor: Actor, page: Page[tuple[Any, ...]], part: _Part) -> Listed[Any]:
        """The lines after the cursor; where its line is gone, those that now stand in its place."""
        marks = [self._mark(actor, each) for each in page.shown]
        start = 0
        if part.after is not None:
            index, mark = part.after
            start = next((i + 1 for i, each in enumerate(marks) if hmac.compare_digest(each, mark)), index)
        end = min(start + part.limit, len(marks))
        following = f"{end}.{marks[end - 1]}" if start < end < len(marks) else None
        return Listed(shown=page.shown[start:end], next=following, seq=page.seq, trail_behind=page.trail_behind)

    def _mark(self, actor: Actor, line: Any) -> str:
        """What stands for a line in a cursor: keyed, since a score or a name could be guessed from a plain digest."""
        known = getattr(line, "id", None) or canonical(to_data(line)).decode()
        return keyed_digest(self._store, actor.clinic_id, "cursors", str(known))[:24]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Part:
    """Which part of a list is asked for."""

    limit: int
    after: tuple[int, str] | None


class _Buckets:
    """A bucket for each of many: it fills by the minute, and what finds it empty waits."""

    def __init__(self, per_minute: int, *, at_once: int) -> None:
        self._rate, self._full = per_minute / 60, float(at_once)
        self._left: OrderedDict[str, tuple[float, float]] = OrderedDict()
        self._lock = Lock()

    def take(self, whose: str) -> None:
        """One out of the bucket.

        Raises: _Refused where it is empty.
        """
        with self._lock:
            now = time.monotonic()
            before, at = self._left.pop(whose, (self._full, now))
            left = min(self._full, before + (now - at) * self._rate)
            self._left[whose] = (left - 1 if left >= 1 else left, now)
            if len(self._left) > _KEPT_BUCKETS:
                self._left.popitem(last=False)
        if left < 1:
            wait = math.ceil((1 - left) / self._rate)
            raise _Refused(
                429,
                TooManyTries(
                    "Too many requests", allowed=f"{self._rate * 60:.0f} a minute", next_step=f"Wait {wait} s"
                ),
                Retry_After=str(wait),
            )


def _template(path: str) -> str:
    """The address without what stands in it; `none` where nothing answers."""
    if path in {f"{PREFIX}/openapi.json", f"{PREFIX}{SIGNATURES}"}:
        return path
    route, _ = find_route(path.removeprefix(PREFIX)) if path.startswith(f"{PREFIX}/") else (None, None)
    return "none" if route is None else route.path


def _document(asked: _Asked) -> Response:
    _check_method(asked, "GET")
    return Response(openapi(), media_type="application/json")


async def _body(request: Request, largest: int) -> bytes:
    """The body, no longer than the limit, however it comes."""
    found = bytearray()
    async for chunk in request.stream():
        found += chunk
        if len(found) > largest:
            refused = OutOfRange("The body is too large", allowed=f"{largest} bytes", next_step="Send it in parts")
            raise _Refused(413, refused, Connection="close")
    return bytes(found)


def _token(asked: _Asked) -> str:
    found = _BEARER.fullmatch(asked.headers.get("authorization", ""))
    if found is None:
        raise LoginRefused(
            "A token is needed",
            allowed="'Authorization: Bearer TOKEN'; cookies are not looked at",
            next_step="Make a token with 'afterglow token add'",
        )
    return found[1]


def _check_method(asked: _Asked, allowed: str) -> None:
    if asked.method != allowed:
        refused = InputError("The method is refused", observed=asked.method, allowed=allowed)
        raise _Refused(405, refused, Allow=allowed)


def _read_body(model: type[M], asked: _Asked) -> M:
    """The fields of a body; none at all is an empty one.

    Raises: InputError; _Refused for another type of content.
    """
    kind = asked.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind not in ({"application/json"} if asked.body else {"application/json", ""}):
        refused = InputError("The type of the body is refused", observed=echo(kind), allowed="application/json")
        raise _Refused(415, refused, Accept="application/json")
    try:
        return model.model_validate_json(asked.body or b"{}", strict=True)
    except ValidationError as fault:
        raise refused_fields(fault, asked.body or b"{}") from None


def _read_query(model: type[BaseModel], query: Sequence[tuple[str, str]]) -> BaseModel:
    """The fields of an address."""
    try:
        return model.model_validate_strings(dict(query), strict=False)
    except ValidationError as fault:
        raise refused_fields(fault, dict(query)) from None


def _split_part(query: Sequence[tuple[str, str]]) -> tuple[_Part, tuple[tuple[str, str], ...]]:
    """How much of a list is asked for, and the other fields."""
    asked = dict(query)
    limit, cursor = asked.get("limit", str(USUAL_PART)), asked.get("cursor")
    if not (limit.isascii() and limit.isdigit() and 1 <= int(limit[:9]) <= LONGEST_PART):
        raise OutOfRange("The limit is refused", observed=echo(limit), allowed=f"1 to {LONGEST_PART}", about="limit")
    found = None if cursor is None else re.fullmatch(r"([0-9]{1,9})\.([0-9a-f]{24})", cursor)
    if cursor is not None and found is None:
        raise InputError("The cursor is refused", next_step="Take it from `next` of the part before", about="cursor")
    after = None if found is None else (int(found[1]), found[2])
    rest = tuple(each for each in query if each[0] not in {"limit", "cursor"})
    return _Part(limit=int(limit), after=after), rest


def _seen_version(asked: _Asked) -> int:
    said = asked.headers.get("if-match")
    if said is None:
        missing = MissingValue(
            "A change says which version was seen",
            allowed="'If-Match: \"3\"', as `ETag` or `version` gave it",
            next_step="Read it, then change it",
            about="If-Match",
        )
        raise _Refused(428, missing)
    found = _VERSION.fullmatch(said.strip())
    if found is None:
        raise InputError(
            "The version is refused", observed=echo(said), allowed='one number, as in "3"', about="If-Match"
        )
    return int(found[1])


def _check_sense(value: Any, where: tuple[str, ...]) -> None:
    """Refuse what fits its type and is nothing all the same: a time without zone, the year 9999, a text with NUL.

    Raises: OutOfRange.
    """
    about = ".".join(where[:6])[:80]
    if isinstance(value, str):
        if len(value) > LONGEST_TEXT or "\0" in value:
            raise OutOfRange(
                "The text is refused",
                observed=f"{len(value)} characters",
                allowed=f"{LONGEST_TEXT}, none of them NUL",
                about=about,
            )
    elif isinstance(value, datetime | date):
        if isinstance(value, datetime) and value.tzinfo is None:
            raise OutOfRange("The time has no zone", allowed="as in 2026-01-05T09:00:00Z", about=about)
        if not YEARS[0] <= value.year <= YEARS[1]:
            raise OutOfRange("The year is refused", observed=str(value.year), allowed="1900 to 2200", about=about)
    elif isinstance(value, int | float):
        if abs(value) > FAR:
            raise OutOfRange("The number is refused", allowed=f"-{FAR:g} to {FAR:g}", about=about)
    elif isinstance(value, Mapping):
        for key, each in value.items():
            _check_sense(str(key), where)
            _check_sense(each, (*where, str(key)[:40]))
    elif isinstance(value, tuple | list | frozenset):
        for index, each in enumerate(value):
            _check_sense(each, (*where, str(index)))
    elif is_dataclass(value):
        for each in fields_of(value):
            _check_sense(getattr(value, each.name), (*where, each.name))


def _shown(route: Route, result: Any) -> Response:
    body = route.answer.model_construct(result).model_dump_json(fallback=_fallback, warnings=False)
    response = Response(body, media_type="application/json")
    told = result.shown if isinstance(result, Page) else result
    version = getattr(told, "version", None)
    if isinstance(version, int) and version > 0:
        response.headers["ETag"] = f'"{version}"'
    return response


def _fallback(value: Any) -> Any:
    """What the types alone do not tell how to write."""
    if isinstance(value, Mapping):
        return dict(value)
    if hasattr(value, "tolist"):
        return value.tolist()
    raise TypeError(type(value).__name__)


def _problem(error: AfterglowError, status: int, headers: Mapping[str, str]) -> Response:
    """A refusal as a problem (RFC 9457)."""
    parts = {
        "type": f"urn:afterglow:error:{error.code}",
        "title": error.refused,
        "status": status,
        "detail": error.message,
        "code": error.code,
        "observed": error.observed,
        "allowed": error.allowed,
        "next_step": error.next_step,
        "about": error.about,
        "rule": getattr(error, "rule", None) or None,
    }
    body = json.dumps({name: value for name, value in parts.items() if value is not None}, ensure_ascii=False)
    return Response(body.encode("utf-8", "replace"), status, dict(headers), "application/problem+json")


def _status(error: AfterglowError) -> int:
    """As for the pages; a version that is not the last has a status of its own over HTTP (RFC 9110, 13.1.1)."""
    return 412 if isinstance(error, Outdated) else status_of(error)


def _advice(error: AfterglowError) -> dict[str, str]:
    if isinstance(error, LoginRefused):
        return {"WWW-Authenticate": 'Bearer realm="afterglow"'}
    if isinstance(error, TooManyTries):
        found = re.search(r"(\d+) s", error.next_step or "")
        return {"Retry-After": found[1] if found else "60"}
    return {"Retry-After": "5"} if isinstance(error, StoreFault) else {}
