"""Today: chairs, arrivals, alerts and due work; live by server-sent events, by asking again where those fail."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Annotated, Any

from fastapi import APIRouter, Form, Header, Request, Response
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import RedirectResponse, StreamingResponse

from afterglow.clinic.worklist import WorkKind
from afterglow.errors import BookingRefused, LoginRefused, StoreFault
from afterglow.store import audit
from afterglow.usecases.desk import Desk
from afterglow.usecases.measures import act_upon, close, mark_read
from afterglow.usecases.sessions import check_in
from afterglow.usecases.today import read_today
from afterglow.usecases.worklists import read_worklist
from afterglow.web.pages import PageRoute, day_of, desk_of, page, status_of
from afterglow.web.words import GATES, PHASES, STEPS, short_name

router = APIRouter(route_class=PageRoute)
POLL_S, HEARTBEAT_S = 1.0, 15.0
_ELSEWHERE = {WorkKind.ALERT, WorkKind.SESSION_OPEN}  # alerts and chairs have their own places on the page
_SHOWN = 8
_READS = {"read", "read.spooled"}
Text = Annotated[str, Form()]
Number = Annotated[int, Form()]


@router.get("/today")
def show(request: Request) -> Response:
    """The whole page."""
    desk = desk_of(request)
    return page(request, "today.html", desk=desk, **_shown(desk))


@router.get("/today/board")
def show_again(request: Request) -> Response:
    """What stands below the top bar, for a page that is open already; it is not told in the trail once more."""
    desk = desk_of(request, refresh=True)
    return page(request, "board.html", desk=desk, **_shown(desk))


@router.get("/today/events")
def follow(request: Request, last_event_id: Annotated[int | None, Header()] = None, after: int = 0) -> Response:
    """A stream that says that something was written: the number of the audit event, nothing else."""
    desk_of(request, refresh=True)
    start = max(0, after if last_event_id is None else last_event_id)
    return StreamingResponse(stream(request, start, desk_of), media_type="text/event-stream")


@router.post("/sessions/arrive")
def arrive(request: Request, session_id: Text) -> Response:
    """The patient is here, or what is in the way of it with where to change that."""
    desk = desk_of(request)
    try:
        check_in(desk, session_id)
    except BookingRefused as refused:
        told: dict[str, Any] = {"refused": refused, "text": "", "leads_to": f"/diary/bookings/{session_id}"}
        return page(request, "error.html", desk=desk, status=status_of(refused), **told)
    return _back()


@router.post("/alerts/read")
def read(request: Request, alert_id: Text, patient_id: Text, version: Number) -> Response:
    """Somebody opened an alert and read it."""
    mark_read(desk_of(request), alert_id, patient_id=patient_id, version=version)
    return _back()


@router.post("/alerts/act")
def act(request: Request, alert_id: Text, version: Number, action: Text = "") -> Response:
    """What was done about an alert."""
    act_upon(desk_of(request), alert_id, action=action, version=version)
    return _back()


@router.post("/alerts/close")
def end(request: Request, alert_id: Text, version: Number) -> Response:
    """Close an alert that somebody acted upon."""
    close(desk_of(request), alert_id, version=version)
    return _back()


def _shown(desk: Desk) -> dict[str, Any]:
    since, until = day_of(desk)
    told = read_today(desk, since=since, until=until)
    work = read_worklist(desk)
    due = [each for each in work.shown if each.item.kind not in _ELSEWHERE]
    own = [each for each in due if desk.actor.has(each.item.owner)]
    due = own + [each for each in due if each not in own]
    return {
        "today": told.shown,
        "seq": max(told.seq, work.seq) if not desk.refresh else told.seq,
        "behind": told.trail_behind or work.trail_behind,
        "due": due[:_SHOWN],
        "due_in_all": len(due),
        "due_own": len(own),
        "steps": STEPS,
        "phases": PHASES,
        "gate_words": GATES,
        "short": short_name,
        "who": lambda login: told.shown.people.get(login, login),
    }


def _back() -> Response:
    return RedirectResponse("/today", status_code=303)


async def stream(request: Request, seq: int, desk_for: Callable[..., Desk]) -> AsyncIterator[str]:
    """Changes after an event's number. Rows wait in the database, so nothing queues here however slow the reader."""
    waited = HEARTBEAT_S  # a first line at once opens the stream
    while not await request.is_disconnected():
        try:
            last, changed = await run_in_threadpool(_news, desk_for, request, seq)
        except LoginRefused:
            yield "event: ended\ndata: log in again\n\n"
            return
        except StoreFault:
            last, changed = seq, False
        if changed:
            yield f"id: {last}\nevent: changed\ndata: {last}\n\n"
            waited = 0.0
        elif waited >= HEARTBEAT_S:
            yield ": still here\n\n"
            waited = 0.0
        seq = last
        await asyncio.sleep(POLL_S)
        waited += POLL_S


def _news(desk_for: Callable[..., Desk], request: Request, seq: int) -> tuple[int, bool]:
    desk = desk_for(request, refresh=True)
    with desk.store.read(desk.actor.clinic_id, by=desk.actor.person_id) as tx:
        found = audit.last_events(tx, after=seq)
    return (found[-1].seq if found else seq), any(each.action not in _READS for each in found)
