"""Inquiry and candidacy: the first contact, the interview with its rules, the decision, consent and cover."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import date, timedelta
from types import MappingProxyType
from typing import Annotated, Any
from zoneinfo import ZoneInfo

from fastapi import APIRouter, Depends, Request, Response
from fastapi.responses import RedirectResponse

from afterglow.clinic import (
    Allergies,
    AllergyStatus,
    Candidacy,
    ConsentMethod,
    CourseState,
    Decision,
    Delivery,
    Indication,
    MedicineTrial,
    Role,
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
from afterglow.errors import AfterglowError, NotFound, SignAgain
from afterglow.quantities import DrugForm
from afterglow.scales import instrument
from afterglow.store.patients import Identifiers
from afterglow.usecases import courses, measures, patients
from afterglow.usecases.desk import CATALOGUE, Desk
from afterglow.usecases.intake import (
    IntakePage,
    Referrer,
    decide_candidacy,
    inquire,
    read_intake,
    treatments,
    try_candidacy,
)
from afterglow.usecases.login import Proof, countersign
from afterglow.usecases.patients import age_years
from afterglow.usecases.work import SIGN_WITHIN
from afterglow.web.acts import medicines_of
from afterglow.web.interview import SHOWN, answers_of, changes_of, interview
from afterglow.web.pages import DEVICE_COOKIE, PageRoute, clinic_of, desk_of, may, page, status_of
from afterglow.web.typed import Typed, typed_of
from afterglow.web.words import source_words, tidy

router = APIRouter(route_class=PageRoute)
Form = Annotated[Typed, Depends(typed_of)]
STEPS = ("Inquiry", "Candidacy", "Consent", "Cover", "Treatment")
_STEP_OF = {
    CourseState.INQUIRY: 1,
    CourseState.CANDIDACY: 2,
    CourseState.CONSENT: 3,
    CourseState.AUTHORISATION: 4,
}
SCALES = ("PHQ-9", "MADRS", "HAM-D17", "QIDS-SR16", "AUDIT-C", "DAST-10")
DECISIONS = {
    "proceed": "Suitable: go on to consent",
    "defer": "Wait: more has to be known or done",
    "decline": "Not suitable: the course ends",
}
_TRIALS = 6  # rows of medicines tried


@router.get("/inquiries/new")
def ask_new(request: Request) -> Response:
    """The empty form of a first contact."""
    return _new_page(request, desk_of(request))


@router.post("/inquiries/new")
def take_new(request: Request, form: Form) -> Response:
    """A first contact; a refusal keeps what was typed."""
    desk = desk_of(request)
    try:
        delivery, drug = _treatment(form)
        made = inquire(
            desk,
            Identifiers(
                name=form.needed("name", "The name"),
                born_on=form.day("born_on"),
                phone=form.text("phone") or None,
                email=form.text("email") or None,
                address=form.text("address") or None,
                record_number=form.text("record_number") or None,
            ),
            referred_by=Referrer(form.one_of("referred_by", Referrer, "Who sent the patient")),
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
def judge_typed(request: Request, patient_id: str, form: Form, course: str = "") -> Response:
    """The rules on what is typed, as the part of the page that shows them; nothing is kept."""
    desk = desk_of(request, refresh=True)
    try:
        found = try_candidacy(desk, form.text("course_id"), answers_of(form, today=_today(desk))).shown
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
    try:
        wanted.do(_Asked(request=request, desk=desk, patient_id=patient_id, course_id=course_id, typed=form))
    except SignAgain:
        raise
    except AfterglowError as refused:
        return _page(
            request, replace(desk, refresh=True), patient_id, course_id, refused=refused, act=_form(form, act), typed=form
        )
    return RedirectResponse(f"/patients/{patient_id}/candidacy?course={course_id}#{wanted.goes_to}", status_code=303)


def _checked(request: Request, desk: Desk, patient_id: str, form: Typed) -> Response:
    """What a script would show as one types, on the whole page; nothing is kept."""
    seen, course_id = replace(desk, refresh=True), form.text("course_id")
    try:
        found = try_candidacy(seen, course_id, answers_of(form, today=_today(desk))).shown
    except AfterglowError as refused:
        return _page(request, seen, patient_id, course_id, refused=refused, act="interview", typed=form)
    return _page(request, seen, patient_id, course_id, act="interview", typed=form, draft=found)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Asked:
    """One form of the page as it came in."""

    request: Request
    desk: Desk
    patient_id: str
    course_id: str
    typed: Typed

    @property
    def version(self) -> int:
        return self.typed.whole("version", "The version of the page") or 0


def _interview(asked: _Asked) -> None:
    changed = changes_of(asked.typed, today=_today(asked.desk))
    if changed:
        patients.note_facts(asked.desk, asked.patient_id, changed)


def _accept(asked: _Asked) -> None:
    emergency = asked.typed.yes_no("emergency")
    courses.accept(asked.desk, asked.course_id, emergency=emergency, version=asked.version)


def _medicines(asked: _Asked) -> None:
    patients.reconcile_medicines(asked.desk, asked.patient_id, medicines_of(asked.typed), visit="candidacy")


def _allergies(asked: _Asked) -> None:
    status = AllergyStatus(asked.typed.one_of("status", AllergyStatus, "Whether there are allergies"))
    named = tuple(part.strip() for part in asked.typed.text("substances").split(",") if part.strip())
    given = Allergies(status=status, substances=named, ketamine=asked.typed.yes_no("ketamine"))
    patients.note_allergies(asked.desk, asked.patient_id, given)


def _trials(asked: _Asked) -> None:
    form = asked.typed
    told = tuple(
        MedicineTrial(
            drug=drug,
            drug_class=form.needed(f"class_{i}", f"The class of trial {i + 1}"),
            at_least_minimum_dose=form.yes_no(f"enough_{i}"),
            weeks=form.number(f"weeks_{i}", "The time at dose"),
            improvement_pct=form.number(f"improvement_{i}", "The improvement"),
            outcome=TrialOutcome(form.text(f"outcome_{i}") or TrialOutcome.UNKNOWN),
            this_episode=form.yes_no(f"episode_{i}"),
            augmentation=form.ticked(f"augmentation_{i}"),
        )
        for i in range(_TRIALS)
        if (drug := form.text(f"drug_{i}"))
    )
    patients.note_trials(asked.desk, asked.patient_id, told)


def _score(asked: _Asked) -> None:
    name = asked.typed.one_of("scale", SCALES, "The scale")
    measures.record(asked.desk, asked.patient_id, name, total=asked.typed.needed_number("total", "The total"))


def _answer(asked: _Asked) -> None:
    form = asked.typed
    second = None
    if form.text("second_login"):
        proof = Proof(
            login=form.text("second_login"),
            password=form.needed("second_password", "The second signature: the password"),
            code=form.needed("second_code", "The second signature: the code"),
            device=asked.request.cookies.get(DEVICE_COOKIE),
            address="" if asked.request.client is None else asked.request.client.host,
        )
        second = countersign(asked.desk.store, asked.desk.actor.clinic_id, proof)
    courses.answer_candidacy(
        asked.desk,
        asked.course_id,
        form.needed("rule", "The rule"),
        decision=Decision(form.one_of("decision", Decision, "The decision")),
        reason=form.needed("reason", "The reason"),
        cosigner=second,
    )


def _decide(asked: _Asked) -> None:
    decide_candidacy(
        asked.desk,
        asked.course_id,
        decision=Decision(asked.typed.one_of("decision", Decision, "The decision")),
        reason=asked.typed.needed("reason", "The reason"),
        version=asked.version,
    )


def _consent(asked: _Asked) -> None:
    courses.take_consent(
        asked.desk,
        asked.course_id,
        method=ConsentMethod(asked.typed.one_of("method", ConsentMethod, "How consent was given")),
        off_label_stated=asked.typed.ticked("off_label_stated"),
        given_by=asked.typed.needed("given_by", "Who gave consent"),
        version=asked.version,
    )


def _withdraw(asked: _Asked) -> None:
    courses.take_back_consent(
        asked.desk,
        asked.course_id,
        withdrawn_by=asked.typed.needed("withdrawn_by", "Who takes consent back"),
        how=WithdrawalMethod(asked.typed.one_of("how", WithdrawalMethod, "How consent was taken back")),
        version=asked.version,
    )


def _safety(asked: _Asked) -> None:
    courses.safety_plan(asked.desk, asked.course_id, version=asked.version)


def _cover(asked: _Asked) -> None:
    form = asked.typed
    own = form.one_of("kind", ("payer", "self_pay"), "Who pays") == "self_pay"
    courses.authorise(
        asked.desk,
        asked.course_id,
        payer="self-pay" if own else form.needed("payer", "The payer"),
        units=None if own else form.whole("units", "The number of sessions"),
        starts_on=form.day("starts_on") or _today(asked.desk),
        ends_on=form.day("ends_on"),
        self_pay=own,
        version=asked.version,
    )


def _await_cover(asked: _Asked) -> None:
    courses.await_cover(asked.desk, asked.course_id, version=asked.version)


def _start(asked: _Asked) -> None:
    courses.start(asked.desk, asked.course_id, version=asked.version)


def _stop(asked: _Asked) -> None:
    courses.stop(
        asked.desk,
        asked.course_id,
        why=StopReason(asked.typed.one_of("why", StopReason, "Why the course ends")),
        reason=asked.typed.text("reason") or None,
        version=asked.version,
    )


def _open(asked: _Asked) -> None:
    delivery, drug = _treatment(asked.typed)
    indication = Indication(asked.typed.one_of("indication", Indication, "What is to be treated"))
    courses.open_course(asked.desk, asked.patient_id, delivery=delivery, drug=drug, indication=indication)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Act:
    """One act of the page, the use case that says who may, and where one goes on after it."""

    do: Callable[[_Asked], None]
    case: str
    goes_to: str


ACTS: Mapping[str, _Act] = MappingProxyType(
    {
        name: _Act(do=do, case=case, goes_to=to)
        for name, do, case, to in (
            ("open", _open, "courses.open", "inquiry"),
            ("accept", _accept, "courses.accept", "interview-title"),
            ("interview", _interview, "patients.note_facts", "interview-title"),
            ("medicines", _medicines, "patients.reconcile_medicines", "medicines"),
            ("allergies", _allergies, "patients.note_allergies", "allergies"),
            ("trials", _trials, "patients.note_trials", "trials"),
            ("score", _score, "measures.record", "scores"),
            ("answer", _answer, "courses.answer", "decision"),
            ("decide", _decide, "courses.decide_candidacy", "decision"),
            ("consent", _consent, "courses.take_consent", "consent"),
            ("withdraw", _withdraw, "courses.withdraw_consent", "consent"),
            ("safety", _safety, "courses.make_safety_plan", "consent"),
            ("cover", _cover, "courses.authorise", "cover"),
            ("await_cover", _await_cover, "courses.await_cover", "cover"),
            ("start", _start, "courses.start", "cover"),
            ("stop", _stop, "courses.stop", "inquiry"),
        )
    }
)
"""Every act of the page, by the last part of its address."""


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
        today=_today(desk),
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
        steps=STEPS,
        groups=() if known is None else interview(known),
        prefix=SHOWN,
        age=_age(shown, _today(desk)),
        today=_today(desk),
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
        "class_words": [(each, _words(each)) for each in staging().classes],
        "outcome_words": [(each.value, _words(each)) for each in TrialOutcome],
        "trial_rows": range(_TRIALS),
        "scale_words": [(each, each) for each in SCALES],
        "scale_of": lambda name: instrument(name).short_name,
        "decision_words": DECISIONS,
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
    blocking = () if found is None else found.blocking
    hits = () if found is None else found.hits
    return {
        "judged": found,
        "met": hits,
        "must": blocking,
        "unknown": () if found is None else tuple(each for each in found.unknowns if each not in blocking),
        "clear": () if found is None else tuple(each for each in found.findings if each.verdict is Verdict.CLEAR),
        "to_answer": () if found is None else found.open,
        "answers": () if found is None else found.answers,
        "workup": () if found is None else tuple(each for each in found.workup if each.is_open),
        "item_of": {each.id: each for each in workup_items()},
        "rule_of": rule,
        "sources": sources(),
        "source_of": lambda finding: source_words(rule(finding.rule)),
        "first_up": tidy,
    }


def _treatment(form: Typed) -> tuple[Delivery, DrugForm]:
    word = form.one_of("treatment", [f"{d}:{drug}" for d, drug in treatments()], "The treatment")
    delivery, _, drug = word.partition(":")
    return Delivery(delivery), DrugForm(drug)


def _form(form: Typed, act: str) -> str:
    return form.text("form") or act


def _age(shown: IntakePage, today: date) -> int | None:
    born_on = None if shown.identifiers is None else shown.identifiers.born_on
    return None if born_on is None else age_years(born_on, today)


def _today(desk: Desk) -> date:
    return desk.store.clock().astimezone(ZoneInfo(clinic_of(desk.store, desk.actor.clinic_id).time_zone)).date()
