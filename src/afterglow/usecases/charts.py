"""The chart: everything of one patient on one page, in one read that the audit trail tells once."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime

from afterglow.clinic import Allergies, ClinicAlert, CourseState, MedicineList, TreatmentCourse, TreatmentSession
from afterglow.store import attachments, patients, trail
from afterglow.store.attachments import AttachmentLine
from afterglow.store.patients import Identifiers
from afterglow.usecases.deciding import NextDecision
from afterglow.usecases.desk import view
from afterglow.usecases.jobs import ForecastPage, forecast_of
from afterglow.usecases.measures import OPEN_ALERTS, ScoreLine, score_lines
from afterglow.usecases.papers import NoteLine, note_lines
from afterglow.usecases.patients import KnownFact, TrialHistory
from afterglow.usecases.work import CARE, Loaded, Work

_BEFORE_ALL = datetime(1, 1, 1, tzinfo=UTC)
_LOOKS = 300  # looks back in the trail for who opened a chart


@dataclass(frozen=True, slots=True, kw_only=True)
class ChartLook:
    """Somebody who looked at a chart: `last_at` the latest time, `times` how often among the latest looks."""

    by: str
    last_at: datetime
    times: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ChartPage:
    """Everything of one patient; heads come with the version that a change needs.

    Args:
        decisions: about the next session, oldest first.
        notes: that stand, newest first.
        files: without their contents, newest first.
        looks: who looked at this patient before, the latest first; this look is told after it.
        course: the one that the chart is about; None before the first.
        forecast: of that course; None without one.
    """

    patient_id: str
    version: int
    identifiers: Identifiers | None
    courses: tuple[Loaded[TreatmentCourse], ...]
    sessions: tuple[Loaded[TreatmentSession], ...]
    scores: tuple[ScoreLine, ...]
    alerts: tuple[Loaded[ClinicAlert], ...]
    medicines: MedicineList | None
    allergies: Allergies | None
    trials: TrialHistory | None
    known: tuple[KnownFact, ...]
    decisions: tuple[NextDecision, ...]
    notes: tuple[NoteLine, ...]
    files: tuple[AttachmentLine, ...]
    looks: tuple[ChartLook, ...]
    course: Loaded[TreatmentCourse] | None
    forecast: ForecastPage | None


@view("chart.read", roles=CARE)
def read_chart(work: Work, patient_id: str) -> ChartPage:
    """A patient's chart."""
    return chart_page(work, patient_id)


def chart_page(work: Work, patient_id: str) -> ChartPage:
    """As `read_chart`, within another use case."""
    work.open_patient(patient_id)
    patient = patients.load(work.tx, patient_id)
    medicines, allergies = work.find(MedicineList, patient_id), work.find(Allergies, patient_id)
    trials = work.find(TrialHistory, patient_id)
    latest = {each.fact.name: each.fact for each in work.standing(KnownFact, patient_id=patient_id)}
    courses = work.every(TreatmentCourse, patient_id=patient_id)
    shown = newest_course(courses)
    return ChartPage(
        patient_id=patient_id,
        version=patient.version,
        identifiers=patient.identifiers,
        courses=courses,
        sessions=work.every(TreatmentSession, patient_id=patient_id),
        scores=score_lines(work, patient_id),
        alerts=work.every(ClinicAlert, patient_id=patient_id, states=OPEN_ALERTS),
        medicines=None if medicines is None else medicines.now,
        allergies=None if allergies is None else allergies.now,
        trials=None if trials is None else trials.now,
        known=tuple(sorted(latest.values(), key=lambda each: each.name)),
        decisions=tuple(each.fact for each in work.standing(NextDecision, patient_id=patient_id)),
        notes=note_lines(work, patient_id),
        files=tuple(reversed(attachments.listed(work.tx, patient_id))),
        looks=_looks(work, patient_id),
        course=shown,
        forecast=None if shown is None else forecast_of(work, shown.now),
    )


def _looks(work: Work, patient_id: str) -> tuple[ChartLook, ...]:
    found: dict[str, ChartLook] = {}
    for each in trail.looks_at(work.tx, patient_id, most=_LOOKS):
        known = found.get(each.by)
        latest, times = (each.at, 0) if known is None else (known.last_at, known.times)
        found[each.by] = ChartLook(by=each.by, last_at=latest, times=times + 1)
    return tuple(found.values())


def newest_course(courses: Iterable[Loaded[TreatmentCourse]]) -> Loaded[TreatmentCourse] | None:
    """The course that a page of a patient is about: the newest that goes on, else the newest; None before the first."""
    known = list(courses)
    going = [each for each in known if each.now.state is not CourseState.STOPPED]
    return max(going or known, key=lambda each: each.now.opened_at or _BEFORE_ALL, default=None)
