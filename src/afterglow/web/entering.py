"""Logging in and out, setting up a login, and staying at work."""

from __future__ import annotations

import io
from contextlib import suppress
from typing import Annotated

import segno
from fastapi import APIRouter, Form, Request, Response
from fastapi.responses import RedirectResponse

from afterglow.errors import AfterglowError, LoginRefused
from afterglow.usecases.login import SetUp, begin_set_up, finish_set_up, log_in, log_out
from afterglow.usecases.people import is_login
from afterglow.web.pages import (
    SESSION_COOKIE,
    THEME_COOKIE,
    THEMES,
    PageRoute,
    desk_of,
    first_page,
    keep_login,
    page,
    proof_of,
    status_of,
    store_of,
)

router = APIRouter(route_class=PageRoute)
_THEME_LASTS_S = 365 * 24 * 3600
Text = Annotated[str, Form()]


@router.get("/")
def home(request: Request) -> Response:
    """Where somebody's work begins, or the login before it."""
    return RedirectResponse(first_page(desk_of(request).actor), status_code=303)


@router.get("/login")
def ask_login(request: Request, ended: bool = False) -> Response:  # noqa: FBT001, FBT002  a query parameter
    """The form."""
    return _login_form(request, ended=ended)


@router.post("/login")
def enter(request: Request, login: Text = "", password: Text = "", code: Text = "", clinic: Text = "") -> Response:
    """Log in; the session's token goes into a cookie that no script reads."""
    store = store_of(request)
    known = store.clinics()
    chosen = clinic or (known[0].id if len(known) == 1 else "")
    try:
        entered = log_in(store, chosen, proof_of(request, login, password, code))
    except AfterglowError as refused:
        shown = login if is_login(login.strip().lower()) else ""  # a password typed here by mistake is not shown
        return _login_form(request, refused=refused, login=shown, chosen=chosen)
    response = RedirectResponse(first_page(entered.actor), status_code=303)
    keep_login(request, response, entered)
    return response


@router.post("/logout")
def leave(request: Request) -> Response:
    """End the session; one that has ended already is none the worse."""
    with suppress(LoginRefused):
        log_out(store_of(request), request.cookies.get(SESSION_COOKIE, ""))
    response = RedirectResponse("/login", status_code=303)
    response.delete_cookie(SESSION_COOKIE)
    return response


@router.post("/still-here")
def stay(request: Request) -> Response:
    """Somebody pressed a key: the session goes on."""
    desk_of(request)
    return Response(status_code=204)


@router.post("/theme")
def choose_theme(request: Request, theme: Text = "", back: Text = "/") -> Response:
    """Light, dark, or whatever the system says; kept on this device."""
    response = RedirectResponse(back if is_own_path(back) else "/", status_code=303)
    if theme in THEMES:
        secure = request.url.scheme == "https"
        response.set_cookie(THEME_COOKIE, theme, max_age=_THEME_LASTS_S, httponly=True, samesite="lax", secure=secure)
    else:
        response.delete_cookie(THEME_COOKIE)
    return response


@router.get("/set-up")
def ask_token(request: Request) -> Response:
    """Where the token from the administrator is typed; it never stands in an address."""
    return page(request, "set_up_token.html", refused=None)


@router.post("/set-up")
def begin(request: Request, token: Text = "") -> Response:
    """The secret for the code generator, as a picture and as text."""
    try:
        return _set_up_form(request, token, begin_set_up(store_of(request), token))
    except AfterglowError as refused:
        return page(request, "set_up_token.html", status=status_of(refused), refused=refused)


@router.post("/set-up/finish")
def finish(
    request: Request, token: Text = "", secret: Text = "", address: Text = "", password: Text = "", code: Text = ""
) -> Response:
    """Keep password and secret; show the recovery codes once."""
    store = store_of(request)
    try:
        codes = finish_set_up(store, token, password=password, secret=secret, code=code)
    except AfterglowError as refused:
        begun = begin_set_up(store, token)
        kept = SetUp(login=begun.login, secret=secret or begun.secret, address=address or begun.address)
        return _set_up_form(request, token, kept, refused=refused)
    spaced = [" ".join(each[i : i + 4] for i in range(0, len(each), 4)) for each in codes]
    return page(request, "recovery.html", codes=spaced)


def is_own_path(path: str) -> bool:
    """Whether a path leads nowhere but to this server.

    >>> is_own_path("/today"), is_own_path("//elsewhere"), is_own_path("https://elsewhere")
    (True, False, False)
    """
    return path.startswith("/") and not path.startswith(("//", "/\\")) and path.isprintable()


def _login_form(
    request: Request,
    *,
    ended: bool = False,
    refused: AfterglowError | None = None,
    login: str = "",
    chosen: str = "",
) -> Response:
    status = 200 if refused is None else status_of(refused)
    clinics = store_of(request).clinics()
    return page(
        request,
        "login.html",
        status=status,
        ended=ended,
        refused=refused,
        login=login,
        chosen=chosen,
        clinics=clinics if len(clinics) > 1 else (),
    )


def _set_up_form(request: Request, token: str, begun: SetUp, *, refused: AfterglowError | None = None) -> Response:
    status = 200 if refused is None else status_of(refused)
    drawn = segno.make(begun.address, error="m", micro=False)
    squares = io.BytesIO()
    drawn.save(squares, kind="svg", xmldecl=False, svgns=False, omitsize=True, border=4, svgclass=None, lineclass="qr")
    return page(
        request,
        "set_up.html",
        status=status,
        token=token,
        begun=begun,
        picture=squares.getvalue().decode(),
        refused=refused,
    )
