"""Inquiry and candidacy: the first contact, the interview with its rules, the decision, consent and cover."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Annotated, Any
from urllib.parse import quote

from fastapi import APIRouter, Depends, Request, Response
from fastapi.responses import RedirectResponse

from afterglow.clinic import (
    COURSE,
    Candidacy,
    ConsentMethod,
    CourseState,
    Delivery,
    Indication,
    ReviewDecision,
    ReviewKind,
    Role,
    Severity,
    StopReason,
    TrialOutcome,
    Verdict,
    WithdrawalMethod,
    drug_classes,
    rule,
    sources,
    staging,
    workup_items,
)
from afterglow.clinic.course import REVIEWED_IN
from afterglow.errors import AfterglowError, NotFound, NotPermitted, SignAgain
from afterglow.quantities import DrugForm
from afterglow.scales import instrument
from afterglow.store.patients import Identifiers
from afterglow.usecases.desk import CATALOGUE, Desk
from afterglow.usecases.intake import (
    Referrer,
    inquire,
    read_intake,
    treatments,
    try_candidacy,
)
from afterglow.usecases.patients import age_years
from afterglow.usecases.words import source_words, tidy
from afterglow.usecases.work import SIGN_WITHIN
from afterglow.web.intake_acts import (
    ACTS,
    SCALES,
    TRIALS,
    Asked,
    identifiers_of,
    referrer_of,
    today_of,
    treatment_of,
)
from afterglow.web.interview import SHOWN, answers_of, interview
from afterglow.web.pages import PageRoute, check_role, desk_of, may, page, status_of
from afterglow.web.typed import Typed, typed_of

router = APIRouter(route_class=PageRoute)
Form = Annotated[Typed, Depends(typed_of)]
STEPS = ("Inquiry", "Candidacy", "Consent", "Cover", "Treatment")
_STEP_OF = {
    CourseState.INQUIRY: 1,
    CourseState.CANDIDACY: 2,
    CourseState.CONSENT: 3,
    CourseState.AUTHORISATION: 4,
}
DECISIONS = {
    "proceed": "Suitable: go on to consent",
    "defer": "Wait: more has to be known or done",
    "decline": "Not suitable: the course ends",
}
MOVES = {
    "maintain": "Go on into maintenance",
    "pause": "Pause treatment",
    "resume": "Go on after the pause",
    "relapse": "Record a relapse",
    "induce_again": "Start a new induction",
    "recover": "Back to maintenance without a new induction",
}
"""What a course under treatment may come to, as its buttons say it."""
REVIEWS = {
    ReviewKind.EARLY_NON_RESPONSE: "Early non-response",
    ReviewKind.END_OF_INDUCTION: "End of induction",
    ReviewKind.PERIODIC: "From time to time",
}
REVIEWED = {
    ReviewDecision.CONTINUE: "Continue as planned",
    ReviewDecision.CHANGE: "Continue with a change",
    ReviewDecision.STOP: "Stop treatment",
}
_SEVERITIES = {
    Severity.CAUTION: "Note",
    Severity.NEEDS_CLINICIAN_REVIEW: "Asks a prescriber",
    Severity.EXCLUDE: "Excludes",
    Severity.EMERGENCY: "Emergency",
}
_STOPS = (Severity.EXCLUDE, Severity.EMERGENCY)


@router.get("/inquiries/new")
def ask_new(request: Request) -> Response:
    """The empty form of a first contact."""
    desk = desk_of(request)
    check_role(desk, "courses.inquire")
    return _new_page(request, desk)


@router.post("/inquiries/new")
def take_new(request: Request, form: Form) -> Response:
    """A first contact; a refusal keeps what was typed."""
    desk = desk_of(request)
    check_role(desk, "courses.inquire")
    try:
        delivery, drug = treatment_of(form)
        made = inquire(
            desk,
            identifiers_of(form),
            referred_by=referrer_of(form),
            referrer=form.text("referrer"),
            asks=form.text("asks"),
            delivery=delivery,
            drug=drug,
            indication=Indication(form.one_of("indication", Indication, "What is to be treated")),
            twin=form.ticked("twin"),
        )
    except AfterglowError as refused:
        return _new_page(request, desk, refused=refused, typed=form)
    return RedirectResponse(f"/patients/{made.also[0]}/candidacy", status_code=303)


@router.get("/patients/{patient_id}/candidacy")
def show(request: Request, patient_id: str, course: str = "") -> Response:
    """The whole page."""
    return _page(request, desk_of(request), patient_id, course)


@router.post("/patients/{patient_id}/candidacy/try")
def judge_typed(request: Request, patient_id: str, form: Form) -> Response:  # noqa: ARG001  the form names the course
    """The rules on what is typed, as the part of the page that shows them; nothing is kept."""
    desk = desk_of(request, refresh=True)
    try:
        found = try_candidacy(desk, form.text("course_id"), answers_of(form, today=today_of(desk))).shown
    except (NotFound, NotPermitted):
        raise
    except AfterglowError as refused:
        return page(request, "intake_rules.html", desk=desk, refused=refused, draft=True, **_judged(None))
    return page(request, "intake_rules.html", desk=desk, refused=None, draft=True, **_judged(found))


@router.post("/patients/{patient_id}/candidacy/{act}")
def do(request: Request, patient_id: str, act: str, form: Form) -> Response:
    """One act; what is refused comes back on the page with what was typed."""
    wanted = ACTS.get(act)
    desk = desk_of(request)
    course_id = form.text("course_id")
    if act == "check":
        return _checked(request, desk, patient_id, form)
    if wanted is None:
        raise NotFound("There is no such form")
    check_role(desk, wanted.case)
    try:
        wanted.do(Asked(request=request, desk=desk, patient_id=patient_id, course_id=course_id, typed=form))
    except SignAgain:
        raise
    except AfterglowError as refused:
        return _page(
            request,
            replace(desk, refresh=True),
            patient_id,
            course_id,
            refused=refused,
            act=_form(form, act),
            typed=form,
        )
    return RedirectResponse(
        f"/patients/{patient_id}/candidacy?course={quote(course_id)}#{wanted.goes_to}", status_code=303
    )


def _checked(request: Request, desk: Desk, patient_id: str, form: Typed) -> Response:
    """What a script would show as one types, on the whole page; nothing is kept."""
    seen, course_id = replace(desk, refresh=True), form.text("course_id")
    try:
        found = try_candidacy(seen, course_id, answers_of(form, today=today_of(desk))).shown
    except AfterglowError as refused:
        return _page(request, seen, patient_id, course_id, refused=refused, act="interview", typed=form)
    return _page(request, seen, patient_id, course_id, act="interview", typed=form, draft=found)


def _new_page(
    request: Request, desk: Desk, *, refused: AfterglowError | None = None, typed: Typed | None = None
) -> Response:
    return page(
        request,
        "inquiry.html",
        desk=desk,
        status=200 if refused is None else status_of(refused),
        refused=refused,
        act="new" if typed is not None else "",
        typed={} if typed is None else typed.fields,
        today=today_of(desk),
        **_choices(),
    )


def _page(
    request: Request,
    desk: Desk,
    patient_id: str,
    course_id: str,
    *,
    refused: AfterglowError | None = None,
    act: str = "",
    typed: Typed | None = None,
    draft: Candidacy | None = None,
) -> Response:
    found = read_intake(desk, patient_id, course_id=course_id or None)
    shown, known = found.shown, found.shown.assessment
    judged = draft or (None if known is None else known.candidacy)
    course = None if shown.course is None else shown.course.now
    return page(
        request,
        "intake.html",
        desk=desk,
        status=200 if refused is None else status_of(refused),
        intake=shown,
        behind=found.trail_behind,
        course=course,
        known=known,
        step=5 if course is None else _STEP_OF.get(course.state, 5),
        moves=() if course is None else [r for r in COURSE.rows if course.state in r.states and r.event in MOVES],
        reviews=[(k.value, REVIEWS[k]) for k, at in REVIEWED_IN.items() if course is not None and course.state in at],
        steps=STEPS,
        groups=() if known is None else interview(known),
        prefix=SHOWN,
        age=age_shown(shown.identifiers, desk),
        today=today_of(desk),
        refused=refused,
        act=act,
        typed={} if typed is None else typed.fields,
        draft=draft is not None,
        **_choices(),
        **_judged(judged),
        **signing(desk),
    )


def signing(desk: Desk) -> dict[str, Any]:
    """What the forms of signatures ask: who signs, and whether a signature of the last minutes still holds."""
    actor, now = desk.actor, desk.store.clock()
    fresh = actor.signed_at is not None and now - actor.signed_at < SIGN_WITHIN - timedelta(seconds=45)
    return {
        "who": lambda login: login,
        "may": lambda name: may(actor, ACTS[name].case),
        "signs": lambda name: CATALOGUE[ACTS[name].case if name in ACTS else name].signs and not fresh,
        "is_prescriber": actor.has(Role.PRESCRIBER),
    }


def _choices() -> dict[str, Any]:
    return {
        "treatments": [(f"{d}:{drug}", treatment_words(d, drug)) for d, drug in treatments()],
        "indications": [(each.value, each.words) for each in Indication],
        "referrers": [(each.value, _words(each)) for each in Referrer],
        "methods": [(each.value, _words(each)) for each in ConsentMethod],
        "withdrawals": [(each.value, _words(each)) for each in WithdrawalMethod],
        "stops": [(each.value, _words(each)) for each in StopReason],
        "class_options": [(each.rule.id, each.name) for each in drug_classes()],
        "class_words": [(each, each.upper() if len(each) <= 5 else _words(each)) for each in staging().classes],
        "outcome_words": [(each.value, _words(each)) for each in TrialOutcome],
        "trial_rows": TRIALS,
        "scale_words": [(each, each) for each in SCALES],
        "scale_of": lambda name: instrument(name).short_name,
        "decision_words": DECISIONS,
        "move_words": MOVES,
        "review_words": [(each.value, words) for each, words in REVIEWED.items()],
        "answer_words": {"proceed": "go on all the same", "defer": "put off", "decline": "do not treat"},
        "yes_no_unknown": (("yes", "Yes"), ("no", "No"), ("unknown", "Not known")),
        "tri": lambda value: "unknown" if value is None else "yes" if value else "no",
    }


def treatment_words(delivery: Delivery, drug: DrugForm) -> str:
    """A treatment as people say it; racemic ketamine is what "ketamine" means.

    >>> treatment_words(Delivery.IV, DrugForm.ESKETAMINE), treatment_words(Delivery.ESK, DrugForm.ESKETAMINE)
    ('IV esketamine', 'intranasal esketamine')
    """
    return delivery.words.replace(" ketamine", " esketamine") if drug is DrugForm.ESKETAMINE else delivery.words


def _words(word: str) -> str:
    return word.replace("_", " ").capitalize()


def _judged(found: Candidacy | None) -> dict[str, Any]:
    """The rules in the order in which somebody has to do with them."""
    later = () if found is None else found.later
    blocking = () if found is None else tuple(each for each in found.blocking if each not in later)
    hits = () if found is None else tuple(each for each in found.hits if each not in later)
    unknown = () if found is None else tuple(each for each in found.unknowns if each not in (*blocking, *later))
    return {
        "judged": found,
        "met": hits,
        "must": blocking,
        "unknown": unknown,
        "later": later,
        "clear": () if found is None else tuple(each for each in found.findings if each.verdict is Verdict.CLEAR),
        "to_answer": () if found is None else found.open_now,
        "answers": () if found is None else found.answers,
        "workup": () if found is None else tuple(each for each in found.workup if each.is_open),
        "item_of": {each.id: each for each in workup_items()},
        "rule_of": rule,
        "sources": sources(),
        "source_of": lambda finding: source_words(rule(finding.rule)),
        "first_up": tidy,
        "severity_words": _SEVERITIES,
        "excluding": sum(each.severity in _STOPS for each in hits),
        "asking": sum(each.severity is Severity.NEEDS_CLINICIAN_REVIEW for each in hits),
        "grave": any(each.severity in _STOPS for each in hits),
    }


def _form(form: Typed, act: str) -> str:
    return form.text("form") or act


def age_shown(identifiers: Identifiers | None, desk: Desk) -> int | None:
    """A patient's age in whole years on the clinic's day; None where it is not known."""
    born_on = None if identifiers is None else identifiers.born_on
    return None if born_on is None else age_years(born_on, today_of(desk))
