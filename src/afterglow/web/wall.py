"""The screen on a room's wall: on a token of its own that shows initials alone, changes nothing, can be taken back."""

from __future__ import annotations

from typing import Annotated, Any
from zoneinfo import ZoneInfo

from fastapi import APIRouter, Form, Header, Request, Response
from fastapi.responses import RedirectResponse

from afterglow.errors import AfterglowError, LoginRefused
from afterglow.usecases.desk import Desk
from afterglow.usecases.login import open_token
from afterglow.usecases.passes import PassKind, issue_room, list_devices, revoke_device
from afterglow.usecases.wall import read_board
from afterglow.usecases.words import PHASES, STEPS
from afterglow.web.live import followed
from afterglow.web.pages import ADMIN, PageRoute, clinic_of, day_of, desk_of, page, status_of, store_of

router = APIRouter(route_class=PageRoute)
ROOM_COOKIE = "afterglow_room"
_SHOWN_ONCE = "afterglow_new_screen"  # for the one page after it was made
_LASTS_S = 366 * 24 * 3600
Text = Annotated[str, Form()]


@router.get("/room")
def show(request: Request) -> Response:
    """The screen; a device without a token is asked for one."""
    try:
        desk = room_desk(request)
    except LoginRefused as refused:
        known = ROOM_COOKIE in request.cookies
        return _ask(request, refused if known else None)
    return page(request, "room.html", **_shown(desk))


@router.get("/room/board")
def show_again(request: Request) -> Response:
    """The chairs, for a screen that is on already."""
    return page(request, "room_board.html", **_shown(room_desk(request, refresh=True)))


@router.get("/room/events")
def follow(request: Request, last_event_id: Annotated[int | None, Header()] = None, after: int = 0) -> Response:
    """A stream that says that something was written, nothing else."""
    return followed(request, room_desk, after=after, last_event_id=last_event_id)


@router.post("/room")
def begin(request: Request, token: Text = "") -> Response:
    """Make this device a room's screen: the token goes into a cookie that no script reads."""
    try:
        open_token(store_of(request), token.strip())
    except AfterglowError as refused:
        return _ask(request, refused)
    response = RedirectResponse("/room", status_code=303)
    secure = request.url.scheme == "https"
    response.set_cookie(
        ROOM_COOKIE, token.strip(), max_age=_LASTS_S, httponly=True, samesite="strict", secure=secure, path="/room"
    )
    return response


@router.get("/screens")
def list_screens(request: Request) -> Response:
    """The administrator's list of screens; a token that was just made is shown once, and a reload makes none."""
    response = _screens(request, desk_of(request), token=request.cookies.get(_SHOWN_ONCE, ""))
    response.delete_cookie(_SHOWN_ONCE, path="/screens")
    return response


@router.post("/screens")
def issue(request: Request, label: Text = "", chairs: Text = "") -> Response:
    """A token for a new screen, shown once."""
    desk = desk_of(request)
    try:
        issued = issue_room(desk, label, chairs=chairs.replace(",", " ").split())
    except AfterglowError as refused:
        return _screens(request, desk, refused=refused, label=label, chairs=chairs)
    response = RedirectResponse("/screens", status_code=303)
    secure = request.url.scheme == "https"
    response.set_cookie(
        _SHOWN_ONCE, issued.token, max_age=60, httponly=True, samesite="strict", secure=secure, path="/screens"
    )
    return response


@router.post("/screens/revoke")
def revoke(request: Request, pass_id: Text) -> Response:
    """Take a screen's token back; it goes dark at once."""
    revoke_device(desk_of(request), pass_id)
    return RedirectResponse("/screens", status_code=303)


def room_desk(request: Request, *, refresh: bool = False) -> Desk:
    """The desk of a screen's token, else of whoever is logged in here.

    Raises: LoginRefused.
    """
    token = request.cookies.get(ROOM_COOKIE, "")
    if not token:
        return desk_of(request, refresh=refresh)
    store = store_of(request)
    return Desk(store=store, actor=open_token(store, token), refresh=refresh)


def _shown(desk: Desk) -> dict[str, Any]:
    told = read_board(desk, until=day_of(desk)[1])
    clinic = clinic_of(desk.store, desk.actor.clinic_id)
    return {
        "chairs": told.shown,
        "seq": told.seq,
        "steps": STEPS,
        "phases": PHASES,
        "wall_clinic": clinic,
        "wall_zone": ZoneInfo(clinic.time_zone),
        "wall_now": desk.store.clock(),
    }


def _ask(request: Request, refused: AfterglowError | None) -> Response:
    return page(request, "room_token.html", status=200 if refused is None else status_of(refused), refused=refused)


def _screens(
    request: Request,
    desk: Desk,
    *,
    token: str = "",
    refused: AfterglowError | None = None,
    label: str = "",
    chairs: str = "",
) -> Response:
    told = list_devices(desk).shown
    return page(
        request,
        "screens.html",
        desk=desk,
        status=200 if refused is None else status_of(refused),
        tabs=ADMIN,
        screens=[each for each in told if each.kind is PassKind.ROOM],
        token=token,
        refused=refused,
        label=label,
        room_chairs=chairs,
    )
