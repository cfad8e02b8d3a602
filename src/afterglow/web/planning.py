"""The plan of a course: dose beside its limits as one types, ways to go on side by side, cost, and the signature."""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated, Any
from urllib.parse import quote

from fastapi import APIRouter, Depends, Request, Response
from fastapi.responses import RedirectResponse

from afterglow.clinic import CourseState, Delivery, Plan, rule, sources
from afterglow.errors import AfterglowError, NotFound, NotPermitted, SignAgain
from afterglow.usecases import courses
from afterglow.usecases.desk import Desk
from afterglow.usecases.forecast_report import notices
from afterglow.usecases.planning import JudgedPlan, PlanDraft, WhatIfs, compare, read_plan, try_plan
from afterglow.usecases.words import source_words, tidy
from afterglow.web.intake import age_shown, signing, treatment_words
from afterglow.web.pages import PageRoute, check_role, desk_of, page, status_of
from afterglow.web.typed import Typed, typed_of

router = APIRouter(route_class=PageRoute, prefix="/patients/{patient_id}/plan")
Form = Annotated[Typed, Depends(typed_of)]
_PER_KG = (Delivery.IV, Delivery.IM, Delivery.SC)


@router.get("")
def show(request: Request, patient_id: str, course: str = "") -> Response:
    """The plan as it stands."""
    return _page(request, desk_of(request), patient_id, course)


@router.post("")
def keep(request: Request, patient_id: str, form: Form) -> Response:
    """The plan signed; a refusal keeps what was typed."""
    desk, course_id = desk_of(request), form.text("course_id")
    check_role(desk, "courses.set_plan")
    try:
        draft = _draft(form)
        form.needed("induction_sessions", "The number of sessions")
        form.needed("interval_days", "The interval")
        courses.plan(
            desk,
            course_id,
            endpoint=form.text("endpoint"),
            induction_sessions=draft.induction_sessions or 0,
            interval_days=draft.interval_days or 0.0,
            dose_mg=draft.dose_mg,
            dose_mg_per_kg=draft.dose_mg_per_kg,
            infusion_min=draft.infusion_min,
            weight_kg=draft.weight_kg,
            version=form.whole("version", "The version of the page") or 0,
        )
    except SignAgain:
        raise
    except AfterglowError as refused:
        return _page(request, desk, patient_id, course_id, refused=refused, typed=form)
    return RedirectResponse(f"/patients/{patient_id}/plan?course={quote(course_id)}#plan", status_code=303)


@router.post("/try")
def judge_typed(request: Request, patient_id: str, form: Form) -> Response:  # noqa: ARG001  the form names the course
    """The limits on what is typed, as the part of the page that shows them; nothing is kept."""
    desk = desk_of(request, refresh=True)
    try:
        found = try_plan(desk, form.text("course_id"), _draft(form)).shown
    except (NotFound, NotPermitted):
        raise
    except AfterglowError as refused:
        return page(request, "plan_verdict.html", desk=desk, refused=refused, verdict=None, **_rule_words())
    return page(request, "plan_verdict.html", desk=desk, refused=None, verdict=found, **_rule_words())


@router.post("/compare")
def show_ways(request: Request, patient_id: str, form: Form) -> Response:
    """Ways to go on after the plan as typed, and the limits on its dose; nothing is kept."""
    desk, course_id = desk_of(request, refresh=True), form.text("course_id")
    verdict = None
    try:
        draft = _draft(form)
        verdict = try_plan(desk, course_id, draft).shown
        found = compare(desk, course_id, draft).shown
    except AfterglowError as refused:
        return _page(request, desk, patient_id, course_id, refused=refused, typed=form, verdict=verdict)
    return _page(request, desk, patient_id, course_id, typed=form, verdict=verdict, what_ifs=found)


def _page(
    request: Request,
    desk: Desk,
    patient_id: str,
    course_id: str,
    *,
    refused: AfterglowError | None = None,
    typed: Typed | None = None,
    verdict: JudgedPlan | None = None,
    what_ifs: WhatIfs | None = None,
) -> Response:
    told = read_plan(desk if refused is None else replace(desk, refresh=True), patient_id, course_id=course_id or None)
    shown = told.shown
    course = shown.course.now
    plan = course.plan
    ways = what_ifs or shown.what_ifs
    fields = _fields(plan, shown.weight_kg) if typed is None else typed.fields
    return page(
        request,
        "plan.html",
        desk=desk,
        status=200 if refused is None else status_of(refused),
        shown=shown,
        behind=told.trail_behind,
        course=course,
        plan=plan,
        age=age_shown(shown.identifiers, desk),
        treatment=treatment_words(course.delivery, course.drug),
        esk=course.delivery is Delivery.ESK,
        infused=course.delivery is Delivery.IV,
        per_kg=course.delivery in _PER_KG,
        begun=course.state
        not in {CourseState.INQUIRY, CourseState.CANDIDACY, CourseState.CONSENT, CourseState.AUTHORISATION},
        stopped=course.state is CourseState.STOPPED,
        ways=ways,
        way_notices=() if ways is None else tuple(notices(ways.warnings)),
        verdict=verdict,
        refused=refused,
        act="plan",
        typed=fields,
        **_rule_words(),
        **signing(desk),
    )


def _draft(form: Typed) -> PlanDraft:
    """The plan as typed; what is empty is None.

    Raises: OutOfRange.
    """
    return PlanDraft(
        induction_sessions=form.whole("induction_sessions", "The number of sessions"),
        interval_days=form.number("interval_days", "The interval"),
        dose_mg=form.number("dose_mg", "The dose"),
        dose_mg_per_kg=form.number("dose_mg_per_kg", "The dose"),
        infusion_min=form.number("infusion_min", "The length of the infusion"),
        weight_kg=form.number("weight_kg", "The weight"),
    )


def _fields(plan: Plan | None, weight_kg: float | None) -> dict[str, str]:
    """What the form shows before anybody types: the plan as it stands."""
    found: dict[str, Any] = {"weight_kg": weight_kg}
    if plan is not None:
        names = ("endpoint", "induction_sessions", "interval_days", "dose_mg", "dose_mg_per_kg", "infusion_min")
        found |= {name: getattr(plan, name) for name in names}
    return {
        name: f"{value:g}" if isinstance(value, float) else f"{value}"
        for name, value in found.items()
        if value is not None
    }


def _rule_words() -> dict[str, Any]:
    return {
        "rule_of": rule,
        "sources": sources(),
        "source_of": lambda finding: source_words(rule(finding.rule)),
        "first_up": tidy,
    }
