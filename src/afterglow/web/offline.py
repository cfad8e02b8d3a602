"""What lets a session's page live through a dead network: the worker, the empty shell, and the key for what is kept."""

from __future__ import annotations

import base64
from importlib.resources import files

from fastapi import APIRouter, Request, Response
from fastapi.responses import JSONResponse

from afterglow.usecases.login import offline_key
from afterglow.web.pages import PageRoute, desk_of, page

router = APIRouter(route_class=PageRoute)


@router.get("/offline/key")
def give_key(request: Request) -> Response:
    """The key with which this device seals what the person who is logged in enters; the same at each login."""
    desk = desk_of(request, refresh=True)
    key = base64.b64encode(offline_key(desk.store, desk.actor)).decode()
    return JSONResponse({"author": desk.actor.person_id, "key": key})


@router.get("/offline/session")
def show_shell(request: Request) -> Response:
    """The session's page without anybody in it; the worker keeps it."""
    return page(request, "offline_session.html")


@router.get("/offline")
def show_no_network(request: Request) -> Response:
    """What stands in place of a page that needs the server; the worker keeps it."""
    return page(request, "offline.html")


@router.get("/service-worker.js")
def worker() -> Response:
    """The worker, from the top of the site, since it looks after addresses there."""
    script = files("afterglow.web").joinpath("static", "service-worker.js").read_bytes()
    return Response(script, 200, {"Cache-Control": "no-cache"}, "text/javascript")
