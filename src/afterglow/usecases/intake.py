"""From first contact to the decision: the inquiry, what is known of a patient, the rules on it, and who decided."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from afterglow.clinic import (
    Allergies,
    Candidacy,
    CourseState,
    Decision,
    Delivery,
    Indication,
    LabelStatus,
    MedicineList,
    Role,
    StopReason,
    TreatmentCourse,
    TreatmentSession,
    asked_for,
    sessions_in_induction,
    units_left,
)
from afterglow.errors import MissingValue, OutOfRange, PolicyUnsigned, WrongState
from afterglow.predicates import Fact
from afterglow.quantities import DrugForm
from afterglow.store import facts, patients
from afterglow.store.patients import Identifiers
from afterglow.therapy.exposure import dose_guardrails
from afterglow.usecases.charts import newest_course
from afterglow.usecases.contacts import Contact
from afterglow.usecases.courses import candidacy_of, label_of, move, open_new
from afterglow.usecases.desk import use_case, view
from afterglow.usecases.measures import ScoreLine, score_lines
from afterglow.usecases.patients import (
    KnownFact,
    TrialHistory,
    check_noted,
    is_held,
    known_facts_of,
    register_new,
)
from afterglow.usecases.policies import consent_version
from afterglow.usecases.work import CARE, Loaded, Work, Written

_OFFICE = (Role.COORDINATOR, Role.PRESCRIBER, Role.NURSE)
_LONGEST = 500  # characters of a text
ELSEWHERE = ("phq9.", "madrs.", "hamd17.", "qids_sr16.", "audit_c.", "dast10.", "workup.w13.")
"""Starts of facts that come from scores and from the history of medicines, and are asked there."""


class Referrer(StrEnum):
    """Who sent a patient."""

    SELF = "self"
    FAMILY_DOCTOR = "family_doctor"
    PSYCHIATRIST = "psychiatrist"
    HOSPITAL = "hospital"
    OTHER = "other"


@dataclass(frozen=True, slots=True, kw_only=True)
class Inquiry:
    """The first contact, as it was taken.

    Args:
        referrer: name and practice of who sent the patient; empty where nobody did.
        asks: what is asked for, in the words of who asks.
    """

    course_id: str
    referred_by: Referrer
    referrer: str
    asks: str
    by: str
    at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class CandidacyDecision:
    """A prescriber's decision whether a patient is suitable, for good; a change is a new one.

    Args:
        hits, unknowns: ids of the rules that were met or not known then.
    """

    course_id: str
    decision: Decision
    reason: str
    hits: tuple[str, ...]
    unknowns: tuple[str, ...]
    policy_version: int
    by: str
    at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Assessment:
    """What is known of a patient in the clinic's own words, and every rule judged on it.

    Args:
        asked: facts that this delivery's rules ask for and that somebody enters by asking.
        noted: the newest answer to each, as it was given; `facts` has what it says today.
        unsigned: nobody has signed the thresholds, so the rules are judged on the defaults and nothing is decided.
    """

    candidacy: Candidacy
    asked: frozenset[str]
    noted: Mapping[str, KnownFact]
    facts: Mapping[str, Fact | None]
    medicines: MedicineList | None
    allergies: Allergies | None
    trials: TrialHistory | None
    scores: tuple[ScoreLine, ...]
    label: LabelStatus
    unsigned: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class IntakePage:
    """A patient on the way to treatment.

    Args:
        identity_version: what a correction of the identifiers needs.
        course: the one that is asked for, else the newest that goes on; None before the first.
        given: sessions of this induction whose dose was started.
        decisions: whether the patient is suitable, oldest first.
        consent_form: version in use; empty where none is.
        units_left: today; None under self-pay.
        may_write: whether the patient agreed to messages by mail; None where nobody asked.
        assessment: None for who reads no charts, and without a course.
    """

    patient_id: str
    identifiers: Identifiers | None
    identity_version: int
    course: Loaded[TreatmentCourse] | None
    given: int
    inquiry: Inquiry | None
    decisions: tuple[CandidacyDecision, ...]
    consent_form: str
    units_left: int | None
    may_write: bool | None
    assessment: Assessment | None


def treatments() -> tuple[tuple[Delivery, DrugForm], ...]:
    """What a course may give: deliveries with the drug forms that have limits on a dose.

    >>> (Delivery.ESK, DrugForm.ESKETAMINE) in treatments(), (Delivery.ESK, DrugForm.RACEMIC_KETAMINE) in treatments()
    (True, False)
    """
    limited = {(drug, route) for drug, route, _ in dose_guardrails()}
    return tuple(
        (delivery, drug)
        for delivery in Delivery
        for drug in (DrugForm.ESKETAMINE, DrugForm.RACEMIC_KETAMINE)
        if (drug, delivery.route) in limited and (delivery is not Delivery.ESK or drug is DrugForm.ESKETAMINE)
    )


@use_case("courses.inquire", roles=_OFFICE)
def inquire(
    work: Work,
    identifiers: Identifiers,
    *,
    referred_by: Referrer,
    referrer: str = "",
    asks: str = "",
    delivery: Delivery,
    drug: DrugForm,
    indication: Indication,
    twin: bool = False,
) -> Written:
    """A first contact: a new patient, a course as an inquiry, and who sent them; `also` holds the patient's id.

    Raises: as `patients.register`; OutOfRange for a treatment without limits on its dose, or a text over 500
        characters.
    """
    for name, text in (("referrer", referrer), ("asks", asks)):
        _check_length(text, name)
    if (delivery, drug) not in treatments():
        raise OutOfRange(
            "Nothing is given that way",
            observed=f"{drug.replace('_', ' ')}, {delivery.route}",
            allowed="a treatment with limits on its dose",
            next_step="Choose from the list",
            about="treatment",
        )
    patient_id = register_new(work, identifiers, twin=twin)
    course = open_new(work, patient_id, delivery=delivery, drug=drug, indication=indication)
    made = Inquiry(
        course_id=course.id,
        referred_by=referred_by,
        referrer=referrer.strip(),
        asks=asks.strip(),
        by=work.actor.person_id,
        at=work.now,
    )
    work.write(made, patient_id=patient_id, subject=course.id)
    work.about(patient_id=patient_id, subject=course.id)
    return Written(id=course.id, version=course.version, state=course.state, also=(patient_id,))


@use_case("courses.correct_inquiry", roles=_OFFICE)
def correct_inquiry(
    work: Work, course_id: str, *, referred_by: Referrer, referrer: str = "", asks: str = "", reason: str
) -> Written:
    """Correct who sent a patient and what was asked for, or note it where nobody did; the first contact keeps its time.

    Raises: NotFound; MissingValue without a reason; OutOfRange for a text over 500 characters.
    """
    for name, text in (("referrer", referrer), ("asks", asks), ("reason", reason)):
        _check_length(text, name)
    if not reason.strip():
        raise MissingValue("A correction needs a reason", about="reason", next_step="Write one sentence")
    course = work.load(TreatmentCourse, course_id).now
    before = [e for e in work.standing(Inquiry, patient_id=course.patient_id) if e.fact.course_id == course_id]
    by, at = (before[-1].fact.by, before[-1].fact.at) if before else (work.actor.person_id, work.now)
    made = Inquiry(
        course_id=course_id, referred_by=referred_by, referrer=referrer.strip(), asks=asks.strip(), by=by, at=at
    )
    if before:
        return Written(id=facts.supersede(work.tx, before[-1].id, made, reason=reason))
    return Written(id=work.write(made, patient_id=course.patient_id, subject=course_id))


@view("courses.intake", roles=(*CARE, Role.COORDINATOR))
def read_intake(work: Work, patient_id: str, *, course_id: str | None = None) -> IntakePage:
    """A patient on the way to treatment; what was asked and judged is for who reads charts.

    Raises: NotFound.
    """
    work.open_patient(patient_id)
    courses = work.every(TreatmentCourse, patient_id=patient_id)
    named = next((each for each in courses if each.id == course_id), None)
    course = named or newest_course(courses)
    mine = None if course is None else course.id
    inquiries = [each.fact for each in work.standing(Inquiry, patient_id=patient_id) if each.fact.course_id == mine]
    decided = (each.fact for each in work.standing(CandidacyDecision, patient_id=patient_id))
    reads_charts = work.actor.has(*CARE)
    known = patients.load(work.tx, patient_id)
    contact = None if known.identifiers is None else work.find(Contact, patient_id)
    sessions = (each.now for each in work.every(TreatmentSession, patient_id=patient_id))
    return IntakePage(
        patient_id=patient_id,
        identifiers=known.identifiers,
        identity_version=known.version,
        course=course,
        given=0 if course is None else sessions_in_induction(course.now, sessions),
        inquiry=inquiries[-1] if inquiries else None,
        decisions=tuple(each for each in decided if each.course_id == mine) if reads_charts else (),
        consent_form="" if course is None else consent_version(work, course.now.delivery),
        units_left=0 if course is None else units_left(course.now, work.now.date()),
        may_write=None if contact is None else contact.now.allowed,
        assessment=None if course is None or not reads_charts else _assessment(work, course.now),
    )


@view("courses.try_candidacy", roles=CARE)
def try_candidacy(work: Work, course_id: str, facts: Mapping[str, Fact | None]) -> Candidacy:
    """Every rule of candidacy as it would be judged if these answers were saved now; nothing is kept.

    Raises: NotFound; as `patients.note_facts`.
    """
    check_noted(facts)
    course = work.load(TreatmentCourse, course_id).now
    return candidacy_of(work, course, policy=work.policy_or_defaults(), over=dict(facts))


@use_case("courses.decide_candidacy", roles=(Role.PRESCRIBER,), signs=True)
def decide_candidacy(work: Work, course_id: str, *, decision: Decision, reason: str, version: int) -> Written:
    """Whether a patient is suitable: go on to consent, wait, or end the course; each with its reason.

    Going on needs every gate known, every hit answered and the work-up done.
    Raises: WrongState, MissingValue, OutOfRange, Conflict; GateClosed naming what stands in the way.
    """
    loaded = work.load(TreatmentCourse, course_id, version=version)
    course = loaded.now
    if course.state is not CourseState.CANDIDACY:
        raise WrongState(
            "Candidacy is not decided here",
            observed=course.state.replace("_", " "),
            allowed="candidacy",
            next_step="Take the inquiry into candidacy first, or go on with the course",
        )
    if not reason.strip():
        raise MissingValue("A decision needs a reason", about="reason", next_step="Write one sentence")
    _check_length(reason, "reason")
    found = candidacy_of(work, course)
    made = CandidacyDecision(
        course_id=course_id,
        decision=decision,
        reason=reason.strip(),
        hits=tuple(each.rule for each in found.hits),
        unknowns=tuple(each.rule for each in found.unknowns),
        policy_version=found.policy_version,
        by=work.actor.person_id,
        at=work.now,
    )
    kept = Written(id=course_id, version=version, state=course.state)
    if decision is Decision.PROCEED:
        kept = move(work, course_id, "find_suitable", version=version, reason=reason, candidacy=found)
    elif decision is Decision.DECLINE:
        kept = move(work, course_id, "stop", version=version, reason=reason, stop_reason=StopReason.NOT_A_CANDIDATE)
    work.write(made, patient_id=course.patient_id, subject=course_id)
    work.about(decision=decision.value)
    return kept


def _assessment(work: Work, course: TreatmentCourse) -> Assessment:
    policy, patient_id = work.policy_or_defaults(), course.patient_id
    try:
        work.policy()
        unsigned = False
    except PolicyUnsigned:
        unsigned = True
    medicines, allergies = work.find(MedicineList, patient_id), work.find(Allergies, patient_id)
    trials = work.find(TrialHistory, patient_id)
    asked = asked_for(course.delivery)
    return Assessment(
        candidacy=candidacy_of(work, course, policy=policy),
        asked=frozenset(each for each in asked if not is_held(each) and not each.startswith(ELSEWHERE)),
        noted={each.fact.name: each.fact for each in work.standing(KnownFact, patient_id=patient_id)},
        facts=known_facts_of(work, patient_id, policy=policy),
        medicines=None if medicines is None else medicines.now,
        allergies=None if allergies is None else allergies.now,
        trials=None if trials is None else trials.now,
        scores=score_lines(work, patient_id),
        label=label_of(work, course),
        unsigned=unsigned,
    )


def _check_length(text: str, name: str) -> None:
    if len(text) > _LONGEST:
        raise OutOfRange(
            "The text is too long",
            observed=f"{len(text)} characters",
            allowed=f"up to {_LONGEST}",
            next_step="Shorten it",
            about=name,
        )
