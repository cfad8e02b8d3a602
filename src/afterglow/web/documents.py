"""Documents to take away: each made when it is asked for, as a PDF; a file's name says nothing of whom it is about."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date, timedelta
from zoneinfo import ZoneInfo

from fastapi import APIRouter, Request, Response

from afterglow.errors import AfterglowError, InputError
from afterglow.render.pdf import Paper, pdf
from afterglow.usecases.desk import Desk, Page
from afterglow.usecases.documents import course_summary, drug_log, monitoring_sheet, outcomes, session_record
from afterglow.web.pages import PageRoute, check_role, clinic_of, desk_of, page, status_of

router = APIRouter(route_class=PageRoute)
_FORMS = {"outcomes": ("documents.outcomes", outcomes), "drugs": ("documents.drug_log", drug_log)}
_USUAL = {"outcomes": 365, "drugs": 30}  # days before today that a form begins with


@router.get("/documents")
def show(request: Request) -> Response:
    """The documents of the clinic, each with its period, and where those of a patient are."""
    desk = desk_of(request)
    check_role(desk, "documents.drug_log")  # whoever makes any document of the clinic makes this one
    return _page(request, desk)


@router.get("/documents/outcomes.pdf")
def take_outcomes(request: Request, since: str = "", until: str = "") -> Response:
    """The outcome report of a period."""
    return _of_period(request, "outcomes", since, until)


@router.get("/documents/drugs.pdf")
def take_drugs(request: Request, since: str = "", until: str = "") -> Response:
    """The drug log of a period."""
    return _of_period(request, "drugs", since, until)


@router.get("/sessions/{session_id}/record.pdf")
def take_record(request: Request, session_id: str) -> Response:
    """A session's record."""
    return _file(session_record(desk_of(request), session_id), "session-record")


@router.get("/sessions/{session_id}/form.pdf")
def take_form(request: Request, session_id: str) -> Response:
    """What goes into the risk programme's form of a session."""
    return _file(monitoring_sheet(desk_of(request), session_id), "monitoring-data")


@router.get("/courses/{course_id}/summary.pdf")
def take_summary(request: Request, course_id: str) -> Response:
    """A course's summary for whoever referred the patient."""
    return _file(course_summary(desk_of(request), course_id), "course-summary")


def _of_period(request: Request, name: str, since: str, until: str) -> Response:
    desk = desk_of(request)
    make: Callable[..., Page[Paper]]
    case, make = _FORMS[name]
    check_role(desk, case)
    try:
        made = make(desk, since=_day(since, "since"), until=_day(until, "until"))
    except AfterglowError as refused:
        return _page(request, desk, refused=refused, form=name, typed={"since": since, "until": until})
    return _file(made, f"{name}-{since}-to-{until}")


def _file(made: Page[Paper], name: str) -> Response:
    """The document as a file; laid out here, after the read is told and nothing is held."""
    disposition = f'attachment; filename="{name}.pdf"'
    return Response(pdf(made.shown), media_type="application/pdf", headers={"Content-Disposition": disposition})


def _page(
    request: Request,
    desk: Desk,
    *,
    refused: AfterglowError | None = None,
    form: str = "",
    typed: dict[str, str] | None = None,
) -> Response:
    today = desk.store.clock().astimezone(ZoneInfo(clinic_of(desk.store, desk.actor.clinic_id).time_zone)).date()
    periods = {
        name: {"since": (today - timedelta(days=days)).isoformat(), "until": today.isoformat()}
        for name, days in _USUAL.items()
    }
    return page(
        request,
        "documents.html",
        desk=desk,
        status=200 if refused is None else status_of(refused),
        periods=periods | ({form: typed} if form and typed is not None else {}),
        refused=refused,
        form=form,
    )


def _day(text: str, about: str) -> date:
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise InputError(
            "The day cannot be read", allowed="as in 2026-12-11", next_step="Write the day", about=about
        ) from None
