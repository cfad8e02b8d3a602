"""The session's page: the flow sheet and its forms; two people at once see each other's entries."""

from __future__ import annotations

import secrets
from dataclasses import replace
from datetime import timedelta
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Header, Request, Response
from fastapi.responses import JSONResponse, RedirectResponse

from afterglow.clinic import (
    Decision,
    Delivery,
    Role,
    SessionState,
    adverse_events,
    drug_classes,
    monitoring_form,
    priority_of,
    rule,
    standing_readings,
)
from afterglow.errors import AfterglowError, NotFound, NotPermitted, RuleRefused, SignAgain
from afterglow.scales import instrument
from afterglow.usecases.desk import CATALOGUE, Desk
from afterglow.usecases.monitoring_sheet import read_monitoring
from afterglow.usecases.session_sheet import SessionSheet, one_cause, read_sheet, try_reading
from afterglow.usecases.words import (
    GATES,
    LEAVE_RULES,
    LEAVING,
    MONITORING,
    PHASES,
    READINGS,
    SEEN,
    STEPS,
    questions,
    source_words,
    tidy,
)
from afterglow.usecases.work import SIGN_WITHIN
from afterglow.web.acts import ACTS, Asked, vitals_of
from afterglow.web.pages import PageRoute, clinic_of, desk_of, may, page, status_of
from afterglow.web.typed import Typed, as_typed, typed_of

router = APIRouter(route_class=PageRoute)
Form = Annotated[Typed, Depends(typed_of)]
_ONE_TAP = 9  # terms with a button of their own; the others are chosen from a list


@router.get("/sessions/{session_id}")
def show(request: Request, session_id: str) -> Response:
    """The whole page."""
    return _page(request, desk_of(request), session_id)


@router.get("/sessions/{session_id}/board")
def show_again(request: Request, session_id: str) -> Response:
    """The parts of a page that is open already; it is not told in the trail once more."""
    return _page(request, desk_of(request, refresh=True), session_id, template="session_parts.html")


@router.get("/sessions/{session_id}/form")
def show_form(request: Request, session_id: str) -> Response:
    """What goes into the risk programme's official form, from the record."""
    desk = desk_of(request)
    told = read_monitoring(desk, session_id).shown
    return page(request, "rems_form.html", desk=desk, form=monitoring_form(), data=told, session_id=session_id)


@router.post("/sessions/{session_id}/try")
def judge_draft(request: Request, session_id: str, form: Form) -> Response:
    """Which rules a set would meet, while it is typed; nothing is kept."""
    desk = desk_of(request, refresh=True)
    try:
        found = try_reading(desk, session_id, vitals_of(form)).shown
    except (NotFound, NotPermitted):
        raise
    except AfterglowError as refused:
        return page(request, "session_draft.html", desk=desk, refused=refused, found=())
    return page(request, "session_draft.html", desk=desk, refused=None, found=found, **_rule_words())


@router.post("/sessions/{session_id}/{act}")
def do(request: Request, session_id: str, act: str, form: Form, accept: Annotated[str, Header()] = "") -> Response:
    """One act; what is refused comes back on the page with what was typed."""
    wanted = ACTS.get(act)
    if wanted is None:
        raise NotFound("There is no such form")
    desk = replace(desk_of(request), request_key=form.text("key") or None)
    by_script = accept.startswith("application/json")
    try:
        wanted.do(Asked(request=request, desk=desk, session_id=session_id, typed=form))
    except SignAgain:
        raise
    except AfterglowError as refused:
        if by_script:
            also = [{"refused": each.message, "about": each.about} for each in refused.also]
            told = {"refused": refused.message, "about": refused.about, "code": refused.code, "also": also}
            return JSONResponse(told, status_code=status_of(refused))
        seen = replace(desk, refresh=True, request_key=None)
        return _page(request, seen, session_id, refused=refused, act=form.text("form") or act, typed=form)
    if by_script:
        return JSONResponse({"written": act})
    return RedirectResponse(f"/sessions/{session_id}#{wanted.goes_to}", status_code=303)


def _page(
    request: Request,
    desk: Desk,
    session_id: str,
    *,
    template: str = "session.html",
    refused: AfterglowError | None = None,
    act: str = "",
    typed: Typed | None = None,
) -> Response:
    told = read_sheet(desk, session_id, zone=_zone(desk))
    return page(
        request,
        template,
        desk=desk,
        status=200 if refused is None else status_of(refused),
        seq=told.seq,
        behind=told.trail_behind,
        refused=refused,
        act=act,
        typed={} if typed is None else typed.fields,
        refused_rule=refused.rule if isinstance(refused, RuleRefused) else "",
        **_context(desk, told.shown),
    )


def _zone(desk: Desk) -> str:
    return clinic_of(desk.store, desk.actor.clinic_id).time_zone


def _context(desk: Desk, sheet: SessionSheet) -> dict[str, Any]:
    """Everything that the templates say beside the sheet itself."""
    session = sheet.session
    step, phase = PHASES[session.state]
    actor = desk.actor
    fresh = actor.signed_at is not None and sheet.at - actor.signed_at < SIGN_WITHIN - timedelta(seconds=45)
    terms = adverse_events().terms
    return {
        "s": sheet,
        "also": (also := one_cause(sheet.to_answer)),
        "merged": [each for others in also.values() for each in others],
        "session": session,
        "state": session.state.value,
        "States": SessionState,
        "esk": session.delivery is Delivery.ESK,
        "infused": session.delivery is Delivery.IV,
        "step": step,
        "phase": phase,
        "steps": STEPS,
        "who": lambda login: sheet.people.get(login, "Afterglow" if login == "program" else login or ""),
        "may": lambda act: may(actor, ACTS[act].case),
        "is_prescriber": actor.has(Role.PRESCRIBER),
        "signs": lambda act: CATALOGUE[ACTS[act].case].signs and not fresh,
        "new_key": lambda: secrets.token_hex(12),
        "gate_words": GATES,
        "questions": questions(session.delivery),
        "answered": {name: as_typed(fact) for name, fact in session.gate_facts},
        "points": LEAVING,
        "leave_rules": LEAVE_RULES,
        "monitoring_words": MONITORING,
        "reading_fields": READINGS,
        "seen": SEEN,
        "readings": tuple(reversed(standing_readings(session.readings))),
        "replaced": {each.supersedes: each for each in session.readings if each.supersedes},
        "terms": terms[:_ONE_TAP],
        "more_terms": terms[_ONE_TAP:],
        "grades": adverse_events().grades,
        "scales": {"aldrete": instrument("aldrete_modified"), "padss": instrument("padss")},
        "drug_classes": drug_classes(),
        "decisions": tuple(Decision),
        "open_containers": tuple(each for each in session.containers if session.outstanding_ug(each)),
        "mg": lambda ug: f"{ug / 1000:g}",
        "source_of": lambda finding: source_words(rule(finding.rule), sheet.policy),
        **_rule_words(),
    }


def _rule_words() -> dict[str, Any]:
    return {
        "rule_of": rule,
        "first_up": tidy,
        "level_of": lambda finding: priority_of(finding).value,
    }
