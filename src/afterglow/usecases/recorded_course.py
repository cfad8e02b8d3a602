"""What the records say of one patient's treatment, as the course that a forecast takes."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import datetime, timedelta

from afterglow.clinic import Delivery, Indication, SessionState, TreatmentCourse, TreatmentSession
from afterglow.clinic.monitoring import is_infusion
from afterglow.errors import NoModel
from afterglow.protocol import CourseRecord, RecordedScore, RecordedSession
from afterglow.protocol.treatment import LONGEST_COURSE_H
from afterglow.quantities import Dose
from afterglow.scales import instrument
from afterglow.store import patients
from afterglow.therapy.setting import Condition
from afterglow.usecases.forecasting import LARGEST_COURSE, follows
from afterglow.usecases.measures import Measured
from afterglow.usecases.patients import age_years
from afterglow.usecases.work import Work

_CONDITIONS = {
    Indication.TRD: Condition.DEPRESSION,
    Indication.MDSI: Condition.DEPRESSION,
    Indication.DEPRESSION: Condition.DEPRESSION,
    Indication.PTSD: Condition.PTSD,
    Indication.ANXIETY: Condition.ANXIETY,
    Indication.PAIN: Condition.PAIN,
}
_UG_PER_MG = 1000.0
Event = RecordedScore | RecordedSession


def condition_of(course: TreatmentCourse) -> Condition:
    """What the model calls what is treated.

    Raises: NoModel for an indication without a model.
    """
    found = _CONDITIONS.get(course.indication)
    if found is None:
        raise NoModel(
            "There is no model for this indication",
            observed=course.indication.replace("_", " "),
            allowed=", ".join(each.replace("_", " ") for each in _CONDITIONS),
        )
    return found


def recorded_course(work: Work, course: TreatmentCourse, *, zone: str) -> tuple[CourseRecord, list[RecordedSession]]:
    """Everything up to now that a forecast takes, and the sessions that are booked.

    Scores of the condition's scales and sessions in which drug was given, of every course of the patient, imported ones
    too. A booked session is taken to give what the last one gave.

    Args:
        work: of whoever may open the patient.
        course: whose indication and bookings count.
        zone: IANA name of the clinic's time zone.
    Raises: NoModel; MissingValue where nothing was recorded; OutOfRange, WrongOrder for records that fit no course.
    """
    patient_id, condition = course.patient_id, condition_of(course)
    sessions = sorted(
        (each.now for each in work.every(TreatmentSession, patient_id=patient_id)), key=lambda each: each.planned_at
    )
    own: list[Event] = [
        *_scores(work, patient_id),
        *(given for each in sessions if (given := _given(each)) is not None),
    ]
    past: list[Event] = [each.fact for each in work.standing(RecordedSession, patient_id=patient_id)]
    past += [each.fact for each in work.standing(RecordedScore, patient_id=patient_id)]
    events = _in_order(own, past, condition, work.now)
    identity = patients.load(work.tx, patient_id).identifiers
    born_on = None if identity is None else identity.born_on
    weights = [each.prepared.weight_kg for each in sessions if each.prepared is not None and each.prepared.weight_kg]
    made = CourseRecord(
        events=tuple(events),
        condition=condition,
        weight_kg=weights[-1] if weights else None,
        age_years=None if born_on is None else float(age_years(born_on, work.now.date())),
        timezone=zone,
    )
    return made, list(_booked(course, sessions, made.sessions, work.now))


def _scores(work: Work, patient_id: str) -> Iterator[RecordedScore]:
    for each in work.standing(Measured, patient_id=patient_id):
        if each.fact.total is not None:
            yield RecordedScore(at=each.at, scale=instrument(each.fact.instrument).short_name, points=each.fact.total)


def _given(session: TreatmentSession) -> RecordedSession | None:
    """A session as it was given; None while an infusion runs, and where nothing was given.

    A stopped infusion counts as what was given over the time that it ran; nasal devices count together from the first.
    """
    spray = session.delivery is Delivery.ESK
    start = session.given[0].at if spray and session.given else session.dose_started_at
    if start is None or not session.given_ug or (session.dose_ended_at is None and not spray):
        return None
    infusion = None
    if is_infusion(session) and session.dose_ended_at is not None:
        infusion = max(session.dose_ended_at - start, timedelta(minutes=1)) / timedelta(hours=1)
    return RecordedSession(
        at=start,
        drug=session.drug,
        route=session.delivery.route,
        dose=Dose(mg=session.given_ug / _UG_PER_MG),
        infusion=infusion,
    )


def _in_order(own: Iterable[Event], past: Iterable[Event], condition: Condition, now: datetime) -> list[Event]:
    """By time, each thing once (what was recorded here counts before what was imported), the newest that fit."""
    found: dict[tuple[datetime, str], Event] = {}
    oldest = now - timedelta(hours=LONGEST_COURSE_H)
    for each in (*own, *past):
        if isinstance(each, RecordedScore):
            known = instrument(each.scale)
            if not follows(known, condition) or known.range is None:
                continue
            key = (each.at, known.id)
        else:
            key = (each.at, "session")
        if oldest <= each.at <= now:
            found.setdefault(key, each)
    ordered = sorted(found.values(), key=lambda each: (each.at, isinstance(each, RecordedSession)))
    kept: list[Event] = []
    for kind in (RecordedScore, RecordedSession):
        kept += [each for each in ordered if isinstance(each, kind)][-LARGEST_COURSE:]
    return sorted(kept, key=lambda each: (each.at, isinstance(each, RecordedSession)))


def _booked(
    course: TreatmentCourse, sessions: Iterable[TreatmentSession], given: tuple[RecordedSession, ...], now: datetime
) -> Iterator[RecordedSession]:
    like = [each for each in given if (each.drug, each.route) == (course.drug, course.delivery.route)]
    for each in sessions:
        if like and each.course_id == course.id and each.state is SessionState.BOOKED and each.planned_at > now:
            last = like[-1]
            yield RecordedSession(
                at=each.planned_at, drug=last.drug, route=last.route, dose=last.dose, infusion=last.infusion
            )
