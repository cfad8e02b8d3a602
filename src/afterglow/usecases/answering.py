"""A patient's own pages: one question at a time, each answer kept at the tap, and one's own totals over time.

An answer that calls for somebody is told to the clinic in the transaction that keeps it, before the patient reads that
it was. Nothing is said of what a score means.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace
from datetime import datetime

from afterglow.clinic import Booking, BookingState, ClinicAlert, Role, TreatmentSession, alerts_from_score
from afterglow.errors import NotFound, NotPermitted, OutOfRange, echo
from afterglow.scales import (
    AlertStatus,
    alerts,
    instrument,
    reliable_change,
    scale_answers,
    score,
)
from afterglow.store import facts
from afterglow.store.records import Store
from afterglow.usecases.desk import use_case, view
from afterglow.usecases.measures import (
    CHECK_IN_QUESTIONS,
    Answering,
    CheckIn,
    Measured,
    answered_so_far,
    check_in_alerts,
    raise_alerts,
    sex_of,
)
from afterglow.usecases.messages import Route
from afterglow.usecases.passes import Purpose, link_of, purpose_of
from afterglow.usecases.work import Work, Written

CRITICAL = "critical"
_UNFINISHED = "Raised at the tap on the patient's phone, before the scale was sent."
_THOUGHTS = "low_mood_or_thoughts"


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What a link asks of a patient, and how far the answers are.

    Args:
        about: id of the scale, or of the session that is asked after; None where there is nothing to ask.
        answers: given so far.
        critical: the question whose answer calls for help, if one was so answered.
        told: roles that were sent a message about it, to an address at which messages arrive.
        until: when the link ends.
    """

    purpose: Purpose
    about: str | None
    answers: tuple[tuple[str, int], ...]
    critical: str | None
    told: tuple[Role, ...]
    until: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """A patient's own totals and sessions over time, of one scale. No band, no verdict, no forecast.

    Args:
        instrument: id; None without a score.
        scores: when, and points.
        sessions: when a dose was given.
        noise_points: a difference of two scores below this can be chance; None where nobody has measured it.
        next_session_at: booked.
    """

    instrument: str | None
    scores: tuple[tuple[datetime, float], ...]
    sessions: tuple[datetime, ...]
    noise_points: float | None
    next_session_at: datetime | None


@view("measures.ask", roles=(Role.PATIENT,))
def ask(work: Work, patient_id: str) -> Asked:
    """What a patient's link asks for, and what was answered so far."""
    work.open_patient(patient_id)
    link = link_of(work)
    purpose = Purpose.SEE_PROGRESS if link.purpose is None else link.purpose
    about = link.about
    if purpose is Purpose.CHECK_IN and about is None:
        left = [each.now for each in work.every(TreatmentSession, patient_id=patient_id) if each.now.left_at]
        about = max(left, key=lambda each: each.planned_at).id if left else None
    kept = Answering(about="") if about is None else answered_so_far(work, about)
    critical = [name for name, value in kept.answers if _is_critical(purpose, about, name, value)]
    return Asked(
        purpose=purpose,
        about=about,
        answers=kept.answers,
        critical=critical[-1] if critical else None,
        told=_told(work, link.id, kept.raised),
        until=link.expires_at,
    )


@use_case("measures.tap", roles=(Role.PATIENT,), adds=True)
def tap(work: Work, patient_id: str, about: str, question: str, value: int) -> Written:
    """Keep one answer of a scale or check-in, in place of an earlier one; `state` is "critical" where it asks for help.

    What calls for somebody raises its alert here, not when the last question is answered. `about` is the scale or the
    session of the link; `question` is the item's number or the check-in's name; no and yes are 0 and 1.

    Raises: NotPermitted for another scale than the link's, or one whose wording may not be shown; OutOfRange.
    """
    work.open_patient(patient_id)
    purpose_of(work, patient_id, about)
    link = link_of(work)
    kept = work.find(Answering, link.id)
    before = answered_so_far(work, about)
    answers = tuple(sorted((dict(before.answers) | {question: value}).items()))
    if link.purpose is Purpose.CHECK_IN:
        raised = _check_in_raised(work, patient_id, link.id, before, question, value)
    else:
        raised = _scale_raised(work, patient_id, link.id, before, answers, question)
    now = replace(before, answers=answers, raised=(*before.raised, *raised))
    if kept is None:
        work.add(now, id=link.id, patient_id=patient_id, state="begun")
    else:
        work.change(kept, now, state="begun")
    work.about(patient_id=patient_id, subject=link.id, alerts=len(raised))
    critical = _is_critical(link.purpose or Purpose.SEE_PROGRESS, about, question, value)
    return Written(id=link.id, state=CRITICAL if critical else None)


def answered_by(store: Store, clinic_id: str, link_id: str) -> int:
    """How many questions of a link were answered; for whoever holds its whole token, as `why_ended` found."""
    with store.read(clinic_id) as tx:
        try:
            kept = facts.load(tx, Answering, link_id).now
        except NotFound:
            return 0
    return 0 if kept is None else len(kept.answers)


@view("measures.progress", roles=(Role.PATIENT,))
def progress(work: Work, patient_id: str) -> Progress:
    """A patient's own totals, of the scale that was answered most often, with the sessions."""
    found = [
        (each.at, each.fact)
        for each in work.standing(Measured, patient_id=patient_id)
        if each.fact.total is not None and each.fact.self_rated
    ]
    sessions = work.every(TreatmentSession, patient_id=patient_id)
    booked = work.every(Booking, patient_id=patient_id, states=(BookingState.BOOKED,))
    most = Counter(made.instrument for _, made in found).most_common(1)
    name = most[0][0] if most else None
    mine = [(at, made) for at, made in found if made.instrument == name]
    last = mine[-1][1].score() if mine else None
    return Progress(
        instrument=name,
        scores=tuple((at, made.total) for at, made in mine if made.total is not None),
        sessions=tuple(sorted(e.now.dose_started_at for e in sessions if e.now.dose_started_at is not None)),
        noise_points=None if last is None else reliable_change(last, last).threshold_points,
        next_session_at=min((e.now.starts_at for e in booked if e.now.starts_at >= work.now), default=None),
    )


def questions_of(purpose: Purpose, about: str) -> tuple[str, ...]:
    """Numbers of the items of a scale, or the names of the questions of a check-in, in order."""
    if purpose is Purpose.CHECK_IN:
        return CHECK_IN_QUESTIONS
    return tuple(each.number for each in instrument(about).items.listed)


def _check_in_raised(
    work: Work, patient_id: str, link_id: str, before: Answering, question: str, value: int
) -> tuple[str, ...]:
    if question not in CHECK_IN_QUESTIONS or value not in {0, 1}:
        raise OutOfRange("This is no answer", observed=f"{echo(question)}: {value}", allowed="0 or 1")
    said = dict.fromkeys(CHECK_IN_QUESTIONS, False) | {question: bool(value)}
    made = CheckIn(session_id=before.about, by=work.actor.person_id, **said)
    found = check_in_alerts(work, made, patient_id, alert_id=f"{link_id}.{question}", told=before.raised)
    raise_alerts(work, patient_id, found)
    return (question,) if found else ()


def _scale_raised(
    work: Work,
    patient_id: str,
    link_id: str,
    before: Answering,
    answers: tuple[tuple[str, int], ...],
    question: str,
) -> tuple[str, ...]:
    scale = instrument(before.about)
    if not scale.is_self_rated or not scale.may_show_text:
        raise NotPermitted("This scale is not answered on a phone", observed=scale.id)
    if question not in {each.number for each in scale.items.listed}:
        raise OutOfRange("The scale has no such item", observed=echo(question))
    last = [each.fact for each in work.standing(Measured, patient_id=patient_id) if each.fact.instrument == scale.id]
    states = alerts(
        score(scale_answers(scale, dict(answers))),
        previous=last[-1].score() if last else None,
        sex=sex_of(work, patient_id),
    )
    new = tuple(each for each in states if each.status is AlertStatus.TRIGGERED and each.alert.id not in before.raised)
    found = alerts_from_score(
        new, score_id=link_id, patient_id=patient_id, at=work.now, policy=work.policy_or_defaults()
    )
    raise_alerts(work, patient_id, (replace(each, text=f"{each.text} {_UNFINISHED}") for each in found))
    return tuple(each.alert.id for each in new)


def _is_critical(purpose: Purpose, about: str | None, question: str, value: int) -> bool:
    if purpose is Purpose.CHECK_IN:
        return question == _THOUGHTS and bool(value)
    if about is None or purpose is not Purpose.ANSWER_SCALE:
        return False
    item = next((each for each in instrument(about).items.listed if each.number == question), None)
    return item is not None and item.critical and value > item.range[0]


def _told(work: Work, link_id: str, raised: tuple[str, ...]) -> tuple[Role, ...]:
    """Who owns the alerts of a link's answers and has an address at which messages arrive."""
    found = [work.find(ClinicAlert, _alert_id(link_id, each)) for each in raised]
    owners = dict.fromkeys(each.now.owner for each in found if each is not None)
    routes = {each: work.find(Route, each) for each in owners}
    return tuple(each for each, route in routes.items() if route is not None and route.now.confirmed_at is not None)


def _alert_id(link_id: str, raised: str) -> str:
    return f"{link_id}.{raised}.check_in" if raised in CHECK_IN_QUESTIONS else f"{link_id}.{raised}"
