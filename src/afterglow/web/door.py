"""The demo's door: one button for each colleague of the demo clinic, and the code of now.

`afterglow demo` alone mounts it, on a clinic that is marked as made up and on an address of this machine; no setting
opens it for any other server.
"""

from __future__ import annotations

from math import ceil

from fastapi import APIRouter, FastAPI, Request, Response

from afterglow.demo import Sheet, code_of
from afterglow.errors import InputError
from afterglow.usecases.login import unspent_code_at
from afterglow.web.pages import PageRoute, page, store_of
from afterglow.web.serving import Listening, is_loopback

PATH = "/demo"
_REFRESH_S, _STEP_S = 15, 30


def check_door(where: Listening) -> None:
    """Refuse a door that others than this machine's own could open.

    Raises: InputError.
    """
    if not is_loopback(where.host) or where.proxy is not None:
        raise InputError(
            "The demo shows its logins, so it is for this machine alone",
            observed=where.host,
            allowed="127.0.0.1, ::1 or localhost, without a proxy",
        )


def add_door(app: FastAPI, sheet: Sheet) -> None:
    """Mount the door on an application.

    Raises: InputError where any clinic of the store is not marked as made up.
    """
    clinics = app.state.store.clinics()
    if not clinics or not all(each.synthetic for each in clinics):
        raise InputError("The demo's door is for made-up clinics alone", next_step="Serve it with 'afterglow serve'")
    router = APIRouter(route_class=PageRoute)

    @router.get(PATH)
    def door(request: Request) -> Response:
        store = store_of(request)
        clinic, now = store.clinics()[0], store.clock()
        people = []
        for login, name, roles in sheet.people:
            at = unspent_code_at(store, clinic.id, login)
            wait_s = (at - now).total_seconds() - _STEP_S  # a code is taken from one step ahead
            people.append((login, name, roles, code_of(sheet, at), max(0, ceil(wait_s))))
        answer = page(request, "demo.html", sheet=sheet, people=people, made_up=clinic)
        answer.headers["Refresh"] = str(_REFRESH_S)
        return answer

    app.include_router(router, include_in_schema=False)
