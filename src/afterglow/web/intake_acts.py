"""What the forms of inquiry and candidacy ask for: each act reads its form and calls one use case."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import date
from types import MappingProxyType
from zoneinfo import ZoneInfo

from fastapi import Request

from afterglow.clinic import (
    Allergies,
    AllergyStatus,
    ConsentMethod,
    Decision,
    Delivery,
    Indication,
    MedicineTrial,
    ReviewDecision,
    ReviewKind,
    StopReason,
    TrialOutcome,
    WithdrawalMethod,
)
from afterglow.quantities import DrugForm
from afterglow.store.patients import Identifiers
from afterglow.usecases import contacts, courses, measures, patients
from afterglow.usecases.desk import Desk
from afterglow.usecases.intake import Referrer, correct_inquiry, decide_candidacy, read_intake, treatments
from afterglow.web.acts import medicines_of
from afterglow.web.interview import changes_of
from afterglow.web.pages import clinic_of, second_person
from afterglow.web.typed import Typed

SCALES = ("PHQ-9", "MADRS", "HAM-D17", "QIDS-SR16", "AUDIT-C", "DAST-10")
TRIALS = 6  # rows of medicines tried that an empty list shows; a longer one shows all, and two more
_MOST_TRIALS = 60


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """One form of the page as it came in."""

    request: Request
    desk: Desk
    patient_id: str
    course_id: str
    typed: Typed

    @property
    def version(self) -> int:
        """The version that the page showed."""
        return self.typed.whole("version", "The version of the page") or 0


def _interview(asked: Asked) -> None:
    changed = changes_of(asked.typed, today=today_of(asked.desk))
    if not changed:
        seen = replace(asked.desk, refresh=True)
        read_intake(seen, asked.patient_id, course_id=asked.course_id or None)  # whose page it is, all the same
        return
    patients.note_facts(asked.desk, asked.patient_id, changed)


def _identify(asked: Asked) -> None:
    version = asked.typed.whole("identity_version", "The version of the page") or 0
    patients.identify(asked.desk, asked.patient_id, identifiers_of(asked.typed), version=version)


def _write_to(asked: Asked) -> None:
    contacts.allow(asked.desk, asked.patient_id)


def _write_no_more(asked: Asked) -> None:
    contacts.stop(asked.desk, asked.patient_id)


def _refer(asked: Asked) -> None:
    correct_inquiry(
        asked.desk,
        asked.course_id,
        referred_by=referrer_of(asked.typed),
        referrer=asked.typed.text("referrer"),
        asks=asked.typed.text("asks"),
        reason=asked.typed.text("reason"),
    )


def _accept(asked: Asked) -> None:
    emergency = asked.typed.yes_no("emergency")
    courses.accept(asked.desk, asked.course_id, emergency=emergency, version=asked.version)


def _medicines(asked: Asked) -> None:
    patients.reconcile_medicines(asked.desk, asked.patient_id, medicines_of(asked.typed), visit="candidacy")


def _allergies(asked: Asked) -> None:
    status = AllergyStatus(asked.typed.one_of("status", AllergyStatus, "Whether there are allergies"))
    named = tuple(part.strip() for part in asked.typed.text("substances").split(",") if part.strip())
    given = Allergies(status=status, substances=named, ketamine=asked.typed.yes_no("ketamine"))
    patients.note_allergies(asked.desk, asked.patient_id, given)


def _trials(asked: Asked) -> None:
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
        for i in range(_MOST_TRIALS)
        if (drug := form.text(f"drug_{i}"))
    )
    patients.note_trials(asked.desk, asked.patient_id, told)


def _score(asked: Asked) -> None:
    name = asked.typed.one_of("scale", SCALES, "The scale")
    measures.record(asked.desk, asked.patient_id, name, total=asked.typed.needed_number("total", "The total"))


def _answer(asked: Asked) -> None:
    form = asked.typed
    second = None
    if form.text("second_login"):
        second = second_person(asked.request, asked.desk, form, "The second signature")
    courses.answer_candidacy(
        asked.desk,
        asked.course_id,
        form.needed("rule", "The rule"),
        decision=Decision(form.one_of("decision", Decision, "The decision")),
        reason=form.needed("reason", "The reason"),
        cosigner=second,
    )


def _decide(asked: Asked) -> None:
    decide_candidacy(
        asked.desk,
        asked.course_id,
        decision=Decision(asked.typed.one_of("decision", Decision, "The decision")),
        reason=asked.typed.needed("reason", "The reason"),
        version=asked.version,
    )


def _consent(asked: Asked) -> None:
    courses.take_consent(
        asked.desk,
        asked.course_id,
        method=ConsentMethod(asked.typed.one_of("method", ConsentMethod, "How consent was given")),
        off_label_stated=asked.typed.ticked("off_label_stated"),
        given_by=asked.typed.needed("given_by", "Who gave consent"),
        version=asked.version,
    )


def _withdraw(asked: Asked) -> None:
    courses.take_back_consent(
        asked.desk,
        asked.course_id,
        withdrawn_by=asked.typed.needed("withdrawn_by", "Who takes consent back"),
        how=WithdrawalMethod(asked.typed.one_of("how", WithdrawalMethod, "How consent was taken back")),
        version=asked.version,
    )


def _safety(asked: Asked) -> None:
    courses.safety_plan(asked.desk, asked.course_id, version=asked.version)


def _cover(asked: Asked) -> None:
    form = asked.typed
    own = form.one_of("kind", ("payer", "self_pay"), "Who pays") == "self_pay"
    courses.authorise(
        asked.desk,
        asked.course_id,
        payer="self-pay" if own else form.needed("payer", "The payer"),
        units=None if own else form.whole("units", "The number of sessions"),
        starts_on=form.day("starts_on") or today_of(asked.desk),
        ends_on=form.day("ends_on"),
        self_pay=own,
        version=asked.version,
    )


def _await_cover(asked: Asked) -> None:
    courses.await_cover(asked.desk, asked.course_id, version=asked.version)


def _start(asked: Asked) -> None:
    courses.start(asked.desk, asked.course_id, version=asked.version)


def _review(asked: Asked) -> None:
    courses.review(
        asked.desk,
        asked.course_id,
        kind=ReviewKind(asked.typed.one_of("kind", ReviewKind, "Why it is reviewed")),
        decision=ReviewDecision(asked.typed.one_of("decision", ReviewDecision, "What the review decides")),
        reason=asked.typed.needed("reason", "The reason"),
        version=asked.version,
    )


def _maintain(asked: Asked) -> None:
    courses.maintain(asked.desk, asked.course_id, version=asked.version)


def _pause(asked: Asked) -> None:
    reason = asked.typed.needed("reason", "The reason")
    courses.pause(asked.desk, asked.course_id, reason=reason, version=asked.version)


def _resume(asked: Asked) -> None:
    courses.resume(asked.desk, asked.course_id, version=asked.version)


def _relapse(asked: Asked) -> None:
    reason = asked.typed.needed("reason", "The reason")
    courses.relapse(asked.desk, asked.course_id, reason=reason, version=asked.version)


def _induce_again(asked: Asked) -> None:
    courses.induce_again(asked.desk, asked.course_id, version=asked.version)


def _recover(asked: Asked) -> None:
    reason = asked.typed.needed("reason", "The reason")
    courses.recover(asked.desk, asked.course_id, reason=reason, version=asked.version)


def _stop(asked: Asked) -> None:
    courses.stop(
        asked.desk,
        asked.course_id,
        why=StopReason(asked.typed.one_of("why", StopReason, "Why the course ends")),
        reason=asked.typed.text("reason") or None,
        version=asked.version,
    )


def _open(asked: Asked) -> None:
    delivery, drug = treatment_of(asked.typed)
    indication = Indication(asked.typed.one_of("indication", Indication, "What is to be treated"))
    courses.open_course(asked.desk, asked.patient_id, delivery=delivery, drug=drug, indication=indication)


@dataclass(frozen=True, slots=True, kw_only=True)
class IntakeAct:
    """One act of the page, the use case that says who may, and where one goes on after it."""

    do: Callable[[Asked], None]
    case: str
    goes_to: str


ACTS: Mapping[str, IntakeAct] = MappingProxyType(
    {
        name: IntakeAct(do=do, case=case, goes_to=to)
        for name, do, case, to in (
            ("open", _open, "courses.open", "inquiry"),
            ("identify", _identify, "patients.identify", "inquiry"),
            ("write_to", _write_to, "contacts.allow", "inquiry"),
            ("write_no_more", _write_no_more, "contacts.stop", "inquiry"),
            ("refer", _refer, "courses.correct_inquiry", "inquiry"),
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
            ("start", _start, "courses.start", "treatment"),
            ("review", _review, "courses.review", "treatment"),
            ("maintain", _maintain, "courses.maintain", "treatment"),
            ("pause", _pause, "courses.pause", "treatment"),
            ("resume", _resume, "courses.resume", "treatment"),
            ("relapse", _relapse, "courses.relapse", "treatment"),
            ("induce_again", _induce_again, "courses.induce_again", "treatment"),
            ("recover", _recover, "courses.recover", "treatment"),
            ("stop", _stop, "courses.stop", "inquiry"),
        )
    }
)
"""Every act of the page, by the last part of its address."""


def identifiers_of(form: Typed) -> Identifiers:
    """Who a patient is, as typed; what is empty is not known.

    Raises: MissingValue without a name; OutOfRange.
    """
    return Identifiers(
        name=form.needed("name", "The name"),
        born_on=form.day("born_on"),
        phone=form.text("phone") or None,
        email=form.text("email") or None,
        address=form.text("address") or None,
        record_number=form.text("record_number") or None,
    )


def referrer_of(form: Typed) -> Referrer:
    """Who sent a patient.

    Raises: MissingValue, OutOfRange.
    """
    return Referrer(form.one_of("referred_by", Referrer, "Who sent the patient"))


def treatment_of(form: Typed) -> tuple[Delivery, DrugForm]:
    """The treatment that was chosen.

    Raises: MissingValue, OutOfRange.
    """
    word = form.one_of("treatment", [f"{d}:{drug}" for d, drug in treatments()], "The treatment")
    delivery, _, drug = word.partition(":")
    return Delivery(delivery), DrugForm(drug)


def today_of(desk: Desk) -> date:
    """The day at the clinic."""
    return desk.store.clock().astimezone(ZoneInfo(clinic_of(desk.store, desk.actor.clinic_id).time_zone)).date()
