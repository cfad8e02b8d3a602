"""Pages mounted on an application: who asks, how a refusal looks, and the headers that every page carries.

What somebody typed is not lost to an ended login or to a signature that is asked for: the page that asks for password
and code carries the form on, and sends it to where it was going.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Coroutine
from copy import copy
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo

from fastapi import FastAPI, Request, Response
from fastapi.concurrency import run_in_threadpool
from fastapi.exception_handlers import http_exception_handler
from fastapi.exceptions import RequestValidationError
from fastapi.responses import HTMLResponse, RedirectResponse
from fastapi.routing import APIRoute
from jinja2 import Environment, PackageLoader, StrictUndefined, select_autoescape
from starlette.exceptions import HTTPException

from afterglow.clinic.acting import chair_words
from afterglow.errors import AfterglowError, LoginRefused, NotPermitted, SignAgain, TooManyTries
from afterglow.logs import say_fault
from afterglow.store.records import Clinic, Store
from afterglow.usecases.desk import CATALOGUE, Desk, check_permitted
from afterglow.usecases.login import IDLE, LoggedIn, Proof, countersign, log_in, resume, sign_again
from afterglow.usecases.passes import SEPARATOR
from afterglow.usecases.words import shortcut_keys, tidy
from afterglow.usecases.work import Actor
from afterglow.web.citing import citations
from afterglow.web.typed import LARGEST_FORM, check_size
from afterglow.web.typed import Typed as Fields

SESSION_COOKIE, DEVICE_COOKIE, THEME_COOKIE = "afterglow_session", "afterglow_device", "afterglow_theme"
THEMES = ("light", "dark")
AGAIN_PASSWORD, AGAIN_CODE = "again_password", "again_code"  # of a form that also proves who sends it
AGAIN_LOGIN, AGAIN_CLINIC = "again_login", "again_clinic"
_TRIED = ("/try", "/compare")  # what is only looked at while a form is filled in needs no proof, and uses up no code
_CLINICS, _CLINICS_LAST_S = "clinics", 5.0
_DEVICE_LASTS_S = 365 * 24 * 3600
_FORMS = ("application/x-www-form-urlencoded", "multipart/form-data")
Typed = tuple[tuple[str, str], ...]
"""A form as it came: names and values, a name as often as it was given."""
# Status by the start of an error's code; the longest start wins.
STATUSES = {
    "input": 422,
    "data": 500,
    "rule": 409,
    "permission": 403,
    "permission.login": 401,
    "permission.too_many": 429,
    "request.not_found": 404,
    "request.conflict": 409,
    "store": 503,
}
HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; style-src 'self'; script-src 'self'; font-src 'self'; img-src 'self'; connect-src 'self'; "
        "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    ),
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
    "Cache-Control": "no-store",
}
_NAVIGATION = (
    ("/today", "Today", "today.read"),
    ("/diary", "Diary", "diary.show"),
    ("/worklist", "Worklist", "worklist.read"),
    ("/drugs", "Cabinet", "drugs.stock"),
    ("/documents", "Documents", "documents.drug_log"),
    ("/evidence", "Evidence", None),
    ("/explore", "Explore", None),
    ("/admin", "Administration", ""),
)
ADMIN = (
    ("/admin/people", "People", "people.add"),
    ("/admin/policy", "Thresholds", "policies.draft"),
    ("/screens", "Screens", "passes.list_devices"),
    ("/admin/tokens", "Tokens", "passes.list_devices"),
    ("/admin/messages", "Messages", "messages.list"),
    ("/admin/audit", "Audit trail", "audit.page"),
    ("/admin/records", "Backups and exports", "installation.safekeeping"),
    ("/admin/about", "About", "installation.about"),
)
"""The pages of administration, and the use case that says whose each is; the first of somebody's leads there."""
_OVERSIGHT = ("people.add", "audit.page", "messages.list")
_TEMPLATES = Environment(
    loader=PackageLoader("afterglow.web", "templates"),
    autoescape=select_autoescape(default=True),
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)
_TEMPLATES.filters["first_up"] = tidy
_TEMPLATES.filters["chair"] = chair_words
_TEMPLATES.globals["cited"] = citations


class PageRoute(APIRoute):
    """A route whose refusals become pages, and whose answers carry the headers of a page."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """The handler around the page's own."""
        inner = super().get_route_handler()

        async def handle(request: Request) -> Response:
            typed: Typed = ()
            try:
                if request.method == "POST":
                    _check_same_site(request)
                    check_size(request, most=self.largest(request))
                    typed = await _typed(request)
                    if dict(typed).get(AGAIN_PASSWORD) and not request.url.path.endswith(_TRIED):
                        await run_in_threadpool(_prove_again, request, typed)
                response = await inner(request)
            except AfterglowError as refused:
                response = await run_in_threadpool(self.refused, request, refused, typed)
            except RequestValidationError:
                response = error_page(request, 422, "The form came incomplete", "Go back and send it again.")
            except HTTPException:
                raise
            except Exception as fault:  # noqa: BLE001  whatever it is, the page names nobody
                response = unexpected(request, fault)
            await request.close()  # files that came with a form
            if (entered := getattr(request.state, "entered", None)) is not None:
                keep_login(request, response, entered)
            for name, value in HEADERS.items():
                response.headers.setdefault(name, value)
            return response

        return handle

    def largest(self, request: Request) -> int:  # noqa: ARG002
        """Bytes of the largest form that is read."""
        return LARGEST_FORM

    def refused(self, request: Request, refused: AfterglowError, typed: Typed) -> Response:
        """The page of a refusal."""
        return refusal(request, refused, typed)


def status_of(error: AfterglowError) -> int:
    """The HTTP status of an error's code.

    >>> from afterglow.errors import Conflict
    >>> status_of(Conflict("It was changed"))
    409
    """
    starts = [start for start in STATUSES if error.code == start or error.code.startswith(f"{start}.")]
    return STATUSES[max(starts, key=len)] if starts else 500


def add_pages(app: FastAPI, store: Store) -> None:
    """Mount the pages on an application: log in at `/login`, work at `/today`."""
    from afterglow.web import (  # noqa: PLC0415  each needs what is above
        admin,
        assets,
        chart,
        clinic,
        diary,
        documents,
        drugs,
        entering,
        evidence,
        explore,
        finding,
        intake,
        live,
        offline,
        papers,
        patient,
        planning,
        session,
        today,
        trail,
        wall,
        work,
    )

    app.state.store = store
    app.state.pulse = live.Pulse(store)
    app.add_exception_handler(HTTPException, _no_such_page)
    pages = (
        assets, entering, today, finding, diary, work, drugs, intake, planning,
        chart, evidence, explore, clinic, patient, session,
        documents, papers, offline, wall, trail, admin,
    )  # fmt: skip
    for each in pages:
        app.include_router(each.router, include_in_schema=False)


def store_of(request: Request) -> Store:
    """The store that the application was started on."""
    store: Store = request.app.state.store
    return store


def clinic_of(store: Store, clinic_id: str) -> Clinic:
    """One clinic of the installation; its id comes from a login that holds.

    Every page asks several times: the clinics are looked up once in some seconds, or when one is not known yet.
    """
    asked_at, known = store.cache.get(_CLINICS, (0.0, {}))
    if clinic_id not in known or time.monotonic() - asked_at > _CLINICS_LAST_S:
        known = {each.id: each for each in store.clinics()}
        store.cache[_CLINICS] = (time.monotonic(), known)
    clinic: Clinic = known[clinic_id]
    return clinic


def desk_of(request: Request, *, refresh: bool = False) -> Desk:
    """The desk of whoever's session the request carries; a patient's session is for the patient's own pages alone.

    Raises: LoginRefused.
    """
    actor = resume(store_of(request), session_token(request), at_work=not refresh)
    if actor.patient_id is not None:
        raise LoginRefused("A patient's link opens the patient's own pages alone", next_step="Log in")
    return Desk(store=store_of(request), actor=actor, refresh=refresh)


def session_token(request: Request) -> str:
    """The session that the request carries, or the one that it has just begun; empty without one."""
    entered: LoggedIn | None = getattr(request.state, "entered", None)
    return request.cookies.get(SESSION_COOKIE, "") if entered is None else entered.token


def keep_login(request: Request, response: Response, entered: LoggedIn) -> None:
    """Put a new session into cookies that no script reads."""
    secure = request.url.scheme == "https"
    response.set_cookie(SESSION_COOKIE, entered.token, httponly=True, samesite="strict", secure=secure)
    response.set_cookie(
        DEVICE_COOKIE, entered.device, max_age=_DEVICE_LASTS_S, httponly=True, samesite="strict", secure=secure
    )


def may(actor: Actor, name: str) -> bool:
    """Whether a button is shown; the use case itself decides again."""
    return actor.has(*CATALOGUE[name].roles)


def proof_of(request: Request, login: str, password: str, code: str) -> Proof:
    """Who somebody says to be on this device, to be proved."""
    address = "" if request.client is None else request.client.host
    return Proof(login=login, password=password, code=code, device=request.cookies.get(DEVICE_COOKIE), address=address)


def second_person(request: Request, desk: Desk, typed: Fields, what: str) -> Actor:
    """The second person who proves who it is on this screen.

    Raises: MissingValue, LoginRefused, TooManyTries.
    """
    login = typed.needed("second_login", f"{what}: the login")
    password = typed.needed("second_password", f"{what}: the password")
    proof = proof_of(request, login, password, typed.needed("second_code", f"{what}: the code"))
    return countersign(desk.store, desk.actor.clinic_id, proof)


def check_role(desk: Desk, name: str) -> None:
    """Refuse who may never do what a form is for, before what was typed is looked at; the trail is told.

    Raises: NotPermitted.
    """
    check_permitted(replace(CATALOGUE[name], signs=False), desk)


def first_page(actor: Actor) -> str:
    """Where somebody's work begins: the chairs, the set-up, or the evidence."""
    begins = (("/today", "today.read"), ("/clinic", "policies.readiness"))
    return next((path for path, name in begins if may(actor, name)), "/evidence")  # a researcher sees no clinic


def page(request: Request, template: str, *, desk: Desk | None = None, status: int = 200, **shown: Any) -> HTMLResponse:
    """A page from its template; the top bar knows who is at work, if anybody."""
    clinic = None if desk is None else clinic_of(desk.store, desk.actor.clinic_id)
    zone = ZoneInfo("UTC" if clinic is None else clinic.time_zone)
    now = datetime.now(UTC) if desk is None else desk.store.clock()
    links = _links(desk)
    if isinstance(refused := shown.get("refused"), AfterglowError) and desk is not None:
        shown["refused"] = _on_the_clock(refused, zone, now)
    html = _TEMPLATES.get_template(template).render(
        path=request.url.path,
        theme=theme if (theme := request.cookies.get(THEME_COOKIE)) in THEMES else "",
        clinic=clinic,
        actor=None if desk is None else desk.actor,
        links=links,
        keys=shortcut_keys(words for _, words in links),
        now=now,
        zone=zone,
        clock=lambda at: f"{at.astimezone(zone):%H:%M}",
        minutes=minutes_words,
        clock_minutes=clock_words,
        idle_s=int(IDLE.total_seconds()),
        can=(lambda name: may(desk.actor, name)) if desk is not None else (lambda _name: False),
        **shown,
    )
    return HTMLResponse(html, status_code=status)


def _links(desk: Desk | None) -> list[tuple[str, str]]:
    """The pages that whoever is at work may open."""
    if desk is None:
        return []
    overseer = any(may(desk.actor, name) for name in _OVERSIGHT)
    return [
        (path, words)
        for path, words, name in _NAVIGATION
        if name is None or (overseer if not name else may(desk.actor, name))
    ]


def refusal(request: Request, refused: AfterglowError, typed: Typed) -> Response:
    """What was refused, in its own words; who is not known goes to the login, and keeps what was typed.

    Args:
        request: as it came.
        refused: why it is not done.
        typed: the form that came with it.
    """
    known = SESSION_COOKIE in request.cookies
    if isinstance(refused, LoginRefused) and "text/event-stream" in request.headers.get("accept", ""):
        return Response(status_code=204)  # a live page that is still open does not ask again
    if isinstance(refused, LoginRefused) and request.method == "GET":
        return RedirectResponse("/login?ended=1" if known else "/login", status_code=303)
    ended = isinstance(refused, LoginRefused) and known
    if (
        ended
        or isinstance(refused, SignAgain)
        or (isinstance(refused, TooManyTries) and dict(typed).get(AGAIN_PASSWORD))
    ):
        return _again_page(request, refused, typed)
    return error_page(request, status_of(refused), refused.message, "Nothing was changed.")


def _on_the_clock(refused: AfterglowError, zone: ZoneInfo, now: datetime) -> AfterglowError:
    """A refusal with its times on the clinic's clock, as everything else on the page."""
    told = copy(refused)

    def local(found: re.Match[str]) -> str:
        at = datetime.fromisoformat(f"{found[1] or f'{now:%Y-%m-%d} '}{found[2]}+00:00").astimezone(zone)
        return f"{at:%-d %b %Y, %H:%M}" if found[1] else f"{at:%H:%M}"

    for name in ("refused", "observed", "allowed", "next_step"):
        if (text := getattr(refused, name)) is not None:
            setattr(told, name, re.sub(r"(\d{4}-\d\d-\d\d )?(\d\d:\d\d)(?::\d\d)? UTC", local, text))
    return told


def error_page(request: Request, status: int, title: str, text: str) -> HTMLResponse:
    """A page that says what went wrong and what to do next; it names nobody."""
    return page(request, "error.html", status=status, heading=title, text=text, refused=None, leads_to=None)


def unexpected(request: Request, fault: Exception) -> HTMLResponse:
    """The page of a fault of the program; the log holds its kind and place under the number that the page shows."""
    text = f"Nothing more was done. Tell whoever runs Afterglow the number {say_fault(fault)}; the log holds it."
    response = error_page(request, 500, "Afterglow made a mistake", text)
    response.headers.update(HEADERS)
    return response


async def _no_such_page(request: Request, fault: Exception) -> Response:
    """An address without a page; an API on the same application keeps its own form."""
    told = fault if isinstance(fault, HTTPException) else HTTPException(404)
    if request.url.path.startswith("/api"):
        return await http_exception_handler(request, told)
    heading = "There is no such page" if told.status_code == 404 else "That cannot be done here"
    response = error_page(request, told.status_code, heading, "Check the address, or go on from your first page.")
    response.headers.update(HEADERS)
    return response


def _again_page(request: Request, refused: AfterglowError, typed: Typed) -> HTMLResponse:
    """Asks for password and code, and carries the form on: with them it goes to where it was going."""
    secret = ("password", "code")
    kept = [(name, value) for name, value in typed if not any(each in name for each in secret)]
    return page(
        request,
        "again.html",
        status=status_of(refused),
        refused=refused if dict(typed).get(AGAIN_PASSWORD) else None,
        signing=isinstance(refused, SignAgain) or _goes_on(request),
        to=request.url.path,
        login=_login_of(request),
        kept=kept,
    )


def _goes_on(request: Request) -> bool:
    """Whether the request's session holds: then it is the proof that was refused, not the login."""
    try:
        resume(store_of(request), request.cookies.get(SESSION_COOKIE, ""), at_work=False)
    except LoginRefused:
        return False
    return True


async def _typed(request: Request) -> Typed:
    if not request.headers.get("content-type", "").startswith(_FORMS):
        return ()
    return tuple((name, value) for name, value in (await request.form()).multi_items() if isinstance(value, str))


def _prove_again(request: Request, typed: Typed) -> None:
    """Sign with a session that goes on, or begin a new one of the same person in place of one that has ended.

    Raises: LoginRefused, TooManyTries.
    """
    store, token, said = store_of(request), request.cookies.get(SESSION_COOKIE, ""), dict(typed)
    login = _login_of(request) or said.get(AGAIN_LOGIN, "")  # of a page whose login was closed in another window
    if said.get(AGAIN_LOGIN, login) != login:
        raise LoginRefused("Somebody else is logged in on this device now", next_step="Log in again")
    proof = proof_of(request, login, said[AGAIN_PASSWORD], said.get(AGAIN_CODE, ""))
    try:
        resume(store, token, at_work=False)
    except LoginRefused:
        clinic_id = token.partition(SEPARATOR)[0] or said.get(AGAIN_CLINIC, "")
        if not any(each.id == clinic_id for each in store.clinics()):
            raise
        request.state.entered = log_in(store, clinic_id, proof)
    else:
        sign_again(store, token, proof)


def _login_of(request: Request) -> str:
    """Whose session the cookie says it is or was; a proof shows whether that is so."""
    parts = request.cookies.get(SESSION_COOKIE, "").split(SEPARATOR)
    return parts[1] if len(parts) == 3 else ""


def day_of(desk: Desk) -> tuple[datetime, datetime]:
    """Begin and end of the clinic's own day."""
    zone = ZoneInfo(clinic_of(desk.store, desk.actor.clinic_id).time_zone)
    start = desk.store.clock().astimezone(zone).replace(hour=0, minute=0, second=0, microsecond=0)
    return start.astimezone(UTC), (start + timedelta(days=1)).astimezone(UTC)


def clock_words(minutes: float | None) -> str:
    """A running clock as h:mm; a dash before it starts.

    >>> clock_words(84.4), clock_words(None)
    ('1:24', '–')
    """
    if minutes is None:
        return "–"
    whole = max(0, int(minutes))
    return f"{whole // 60}:{whole % 60:02d}"


def minutes_words(minutes: float) -> str:
    """A length of time in words, whole minutes, hours or days.

    >>> minutes_words(14.2), minutes_words(200), minutes_words(4000)
    ('14 min', '3 h 20 min', '2 days')
    """
    whole = max(0, int(minutes))
    if whole < 60:
        return f"{whole} min"
    if whole < 2 * 24 * 60:
        return f"{whole // 60} h {whole % 60} min"
    return f"{whole // (24 * 60)} days"


def _check_same_site(request: Request) -> None:
    """Refuse a form that another site sent.

    A page without referrer sends `Origin: null`, so the browser's own word (Sec-Fetch-Site) counts first.
    """
    said = request.headers.get("sec-fetch-site")
    origin = urlsplit(request.headers.get("origin", "")).netloc
    if said != "same-origin" and not (said is None and origin and origin == request.headers.get("host")):
        raise NotPermitted("The form came from another site", next_step="Open Afterglow itself and send it from there")
