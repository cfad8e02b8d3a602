"""Pages mounted on an application: who asks, how a refusal looks, and the headers that every page carries."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from datetime import UTC, datetime, timedelta
from importlib.resources import files
from typing import Any
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo

from fastapi import APIRouter, FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import HTMLResponse, RedirectResponse
from fastapi.routing import APIRoute
from jinja2 import Environment, PackageLoader, StrictUndefined, select_autoescape

from afterglow.errors import AfterglowError, LoginRefused, NotPermitted
from afterglow.render.report import block_rules
from afterglow.render.tokens import css_variables
from afterglow.store.records import Clinic, Store
from afterglow.usecases.desk import CATALOGUE, Desk
from afterglow.usecases.login import IDLE, resume
from afterglow.usecases.work import Actor

SESSION_COOKIE, DEVICE_COOKIE = "afterglow_session", "afterglow_device"
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
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
    "Cache-Control": "no-store",
}
_STATIC = {"page.css": "text/css", "chart.css": "text/css", "mark.svg": "image/svg+xml", "live.js": "text/javascript"}
_FONT = "inter-latin-wght-normal.woff2"
_NAVIGATION = (("/today", "Today", "today.read"), ("/evidence", "Evidence", None))
_TEMPLATES = Environment(
    loader=PackageLoader("afterglow.web", "templates"),
    autoescape=select_autoescape(default=True),
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)


class PageRoute(APIRoute):
    """A route whose refusals become pages, and whose answers carry the headers of a page."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """The handler around the page's own."""
        inner = super().get_route_handler()

        async def handle(request: Request) -> Response:
            try:
                if request.method == "POST":
                    _check_same_site(request)
                response = await inner(request)
            except AfterglowError as refused:
                response = refusal(request, refused)
            except RequestValidationError:
                response = error_page(request, 422, "The form came incomplete", "Go back and send it again.")
            for name, value in HEADERS.items():
                response.headers.setdefault(name, value)
            return response

        return handle


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
    from afterglow.web import chart, entering, evidence, today  # noqa: PLC0415  both need what is above

    app.state.store = store
    for router in (_files(), entering.router, today.router, chart.router, evidence.router):
        app.include_router(router, include_in_schema=False)


def store_of(request: Request) -> Store:
    """The store that the application was started on."""
    store: Store = request.app.state.store
    return store


def clinic_of(store: Store, clinic_id: str) -> Clinic:
    """One clinic of the installation; its id comes from a login that holds."""
    return next(each for each in store.clinics() if each.id == clinic_id)


def desk_of(request: Request, *, refresh: bool = False) -> Desk:
    """The desk of whoever's session the request carries.

    Raises: LoginRefused.
    """
    token = request.cookies.get(SESSION_COOKIE, "")
    actor = resume(store_of(request), token, at_work=not refresh)
    return Desk(store=store_of(request), actor=actor, refresh=refresh)


def may(actor: Actor, name: str) -> bool:
    """Whether a button is shown; the use case itself decides again."""
    return actor.has(*CATALOGUE[name].roles)


def page(request: Request, template: str, *, desk: Desk | None = None, status: int = 200, **shown: Any) -> HTMLResponse:
    """A page from its template; the top bar knows who is at work, if anybody."""
    clinic = None if desk is None else clinic_of(desk.store, desk.actor.clinic_id)
    zone = ZoneInfo("UTC" if clinic is None else clinic.time_zone)
    now = datetime.now(UTC) if desk is None else desk.store.clock()
    links = _links(desk)
    html = _TEMPLATES.get_template(template).render(
        path=request.url.path,
        clinic=clinic,
        actor=None if desk is None else desk.actor,
        links=links,
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
    return [(path, words) for path, words, name in _NAVIGATION if name is None or may(desk.actor, name)]


def refusal(request: Request, refused: AfterglowError) -> Response:
    """What was refused, in its own words; whoever is not known goes to the login."""
    if isinstance(refused, LoginRefused) and request.method == "GET":
        return RedirectResponse("/login?ended=1" if SESSION_COOKIE in request.cookies else "/login", status_code=303)
    return error_page(request, status_of(refused), refused.message, "Nothing was changed.")


def error_page(request: Request, status: int, title: str, text: str) -> HTMLResponse:
    """A page that says what went wrong and what to do next."""
    return page(request, "error.html", status=status, heading=title, text=text)


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


def _files() -> APIRouter:
    router = APIRouter(route_class=PageRoute, prefix="/static")
    kept = {"Cache-Control": "public, max-age=3600"}

    @router.get("/{name}")
    def static(request: Request, name: str) -> Response:
        if name == _FONT:
            return Response(files("afterglow.render").joinpath("data", name).read_bytes(), 200, kept, "font/woff2")
        if name == "tokens.css":
            return Response(_tokens_css(), 200, kept, "text/css")
        if name == "report.css":
            return Response(block_rules(), 200, kept, "text/css")
        if name not in _STATIC:
            return error_page(request, 404, "There is no such file", "Check the address.")
        return Response(files("afterglow.web").joinpath("static", name).read_bytes(), 200, kept, _STATIC[name])

    return router


def _tokens_css() -> str:
    """The colours of `render.tokens`: light, dark, and light again on paper."""
    light, dark = css_variables("light"), css_variables("dark")
    return (
        f":root {{ color-scheme: light dark; {light} }}\n"
        f"@media screen and (prefers-color-scheme: dark) {{ :root {{ {dark} }} }}\n"
    )
