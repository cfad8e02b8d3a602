"""Today: chairs, arrivals, alerts and due work; live by server-sent events, by asking again where those fail."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Form, Header, Request, Response
from fastapi.responses import RedirectResponse

from afterglow.clinic import DueState
from afterglow.clinic.worklist import WorkKind
from afterglow.errors import BookingRefused
from afterglow.usecases.desk import Desk
from afterglow.usecases.measures import act_upon, close, mark_read
from afterglow.usecases.sessions import check_in
from afterglow.usecases.today import ChairNow, read_today
from afterglow.usecases.words import GATES, PHASES, STEPS, short_name
from afterglow.usecases.worklists import read_worklist
from afterglow.web.live import followed
from afterglow.web.pages import PageRoute, day_of, desk_of, page, status_of

router = APIRouter(route_class=PageRoute)
_ELSEWHERE = {WorkKind.ALERT, WorkKind.SESSION_OPEN}  # alerts and chairs have their own places on the page
_SHOWN = 8
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
    return followed(request, desk_of, after=after, last_event_id=last_event_id)


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
def read(request: Request, alert_id: Text, patient_id: Text, version: Number, chart: Text = "") -> Response:
    """Somebody opened an alert and read it; `chart` leads on to the patient's own."""
    mark_read(desk_of(request), alert_id, patient_id=patient_id, version=version)
    return RedirectResponse(f"/patients/{patient_id}", status_code=303) if chart else _back()


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
    due.sort(key=lambda each: not desk.actor.has(each.item.owner))  # own work first, each part in its order
    own = sum(desk.actor.has(each.item.owner) for each in due)
    return {
        "today": told.shown,
        "seq": max(told.seq, work.seq) if not desk.refresh else told.seq,
        "behind": told.trail_behind or work.trail_behind,
        "overdue": [each for each in told.shown.chairs if _is_overdue(each)],
        "due": due[:_SHOWN],
        "due_in_all": len(due),
        "due_own": own,
        "steps": STEPS,
        "phases": PHASES,
        "gate_words": GATES,
        "short": short_name,
        "who": lambda login: told.shown.people.get(login, login),
    }


def _is_overdue(chair: ChairNow) -> bool:
    told = None if chair.now is None else chair.now.clocks
    return told is not None and told.next_reading is not None and told.next_reading.state is DueState.OVERDUE


def _back() -> Response:
    return RedirectResponse("/today", status_code=303)
