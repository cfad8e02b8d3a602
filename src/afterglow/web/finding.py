"""Finding a patient by part of the name. The name travels in the form alone: it stands in no address, log or title."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Form, Request, Response

from afterglow.errors import AfterglowError
from afterglow.usecases.diary import Bookable, list_bookable
from afterglow.usecases.patients import find
from afterglow.web.pages import PageRoute, desk_of, may, page, status_of

router = APIRouter(route_class=PageRoute)
Text = Annotated[str, Form()]


@router.get("/find")
def ask(request: Request) -> Response:
    """The empty search."""
    return page(request, "find.html", desk=desk_of(request), part="", found=(), courses={}, refused=None)


@router.post("/find")
def search(request: Request, part: Text = "") -> Response:
    """Who fits, and what is booked for them."""
    desk = desk_of(request)
    try:
        found = find(desk, part).shown
    except AfterglowError as refused:
        shown = {"part": part, "found": (), "courses": {}, "refused": refused}
        return page(request, "find.html", desk=desk, status=status_of(refused), **shown)
    courses: dict[str, list[Bookable]] = {}
    if may(desk.actor, "diary.bookable"):
        for each in list_bookable(desk).shown:
            courses.setdefault(each.patient_id, []).append(each)
    return page(request, "find.html", desk=desk, part=part, found=found, courses=courses, refused=None)
