"""What a researcher sees: courses without whoever they are of.

No name, date, place, text or id of the records: days count from the first dose, ages are decades, people have
pseudonyms that only this clinic's key makes. What too few share is left out. It stays data about people: somebody who
knows when a patient was treated, and how often, may still find the course.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date, datetime
from zoneinfo import ZoneInfo

from afterglow.clinic import CourseState, Delivery, DrugUseKind, Indication, Role, StopReason, TreatmentCourse
from afterglow.clinic import TreatmentSession as Visit
from afterglow.quantities import DrugForm
from afterglow.store import facts, patients
from afterglow.store.logins import keyed_digest
from afterglow.usecases.desk import view
from afterglow.usecases.measures import Measured
from afterglow.usecases.work import Loaded, Work

SMALLEST_CELL = 5  # Assumption: our policy: patients who share delivery, drug, indication and decade, or are not shown
OLDEST_DECADE = 80


@dataclass(frozen=True, slots=True, kw_only=True)
class ResearchSession:
    """One session in which drug was given.

    Args:
        day: of the clinic's calendar, from the first dose of the course.
        given_mg: free base.
        events: adverse events; worst_grade: of those, 1 to 5, None where none was graded.
    """

    day: int
    given_mg: float
    complete: bool | None
    events: int
    worst_grade: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class ResearchScore:
    """One score; `day` counts from the first dose, negative before it."""

    day: int
    instrument: str
    total: float
    self_rated: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class ResearchCourse:
    """One course with doses, without whoever it is of.

    Args:
        person: the same for all courses of a person in this clinic, and for nobody else.
        decade: of the age at the first dose, 80 for all above; None where some decade has too few patients.
    """

    person: str
    delivery: Delivery
    drug: DrugForm
    indication: Indication
    decade: int | None
    state: CourseState
    stop_reason: StopReason | None
    sessions: tuple[ResearchSession, ...]
    scores: tuple[ResearchScore, ...]


_Like = tuple[Delivery, DrugForm, Indication]


@view("research.courses", roles=(Role.RESEARCHER,))
def read_courses(work: Work) -> tuple[ResearchCourse, ...]:
    """Courses with doses, de-identified; none of a kind that fewer than five patients share, none of a closed chart."""
    visits: dict[str, list[Visit]] = defaultdict(list)
    for each in work.every(Visit):
        if each.now.runs or any(use.kind is DrugUseKind.GIVEN for use in each.now.drug_uses):
            visits[each.now.course_id].append(each.now)
    courses = [each for each in work.every(TreatmentCourse) if each.id in visits]
    groups: dict[_Like, list[Loaded[TreatmentCourse]]] = defaultdict(list)
    for course in courses:
        groups[course.now.delivery, course.now.drug, course.now.indication].append(course)
    scores, days = _scores(work), _calendar(work)
    found = []
    for group in groups.values():
        first = {course.id: min(map(_began, visits[course.id])) for course in group}
        decades = {course.id: _decade(work, course.now.patient_id, first[course.id]) for course in group}
        if _patients(group) < SMALLEST_CELL:
            continue
        shared = _all_shared(group, decades)
        for course in group:
            since = first[course.id]
            found.append(
                ResearchCourse(
                    person=_pseudonym(work, course.now.patient_id),
                    delivery=course.now.delivery,
                    drug=course.now.drug,
                    indication=course.now.indication,
                    decade=decades[course.id] if shared else None,
                    state=course.now.state,
                    stop_reason=course.now.stop_reason,
                    sessions=tuple(
                        _session(each, days(since, _began(each))) for each in sorted(visits[course.id], key=_began)
                    ),
                    scores=tuple(_score(each, days(since, at)) for at, each in scores[course.now.patient_id]),
                )
            )
    return tuple(sorted(found, key=lambda each: (each.person, each.sessions[0].day, len(each.sessions))))


def _calendar(work: Work) -> Callable[[datetime, datetime], int]:
    """Days from one time to another by the clinic's own calendar."""
    zones = {each.id: ZoneInfo(each.time_zone) for each in work.tx.store.clinics()}
    zone = zones[work.actor.clinic_id]
    return lambda since, at: (at.astimezone(zone).date() - since.astimezone(zone).date()).days


def _scores(work: Work) -> Mapping[str, list[tuple[datetime, Measured]]]:
    found: dict[str, list[tuple[datetime, Measured]]] = defaultdict(list)
    for each in facts.standing(work.tx, Measured):
        if each.fact is not None and each.patient_id is not None and each.fact.total is not None:
            found[each.patient_id].append((each.at, each.fact))
    return found


def _patients(group: list[Loaded[TreatmentCourse]]) -> int:
    return len({course.now.patient_id for course in group})


def _all_shared(group: list[Loaded[TreatmentCourse]], decades: Mapping[str, int | None]) -> bool:
    """Whether every decade has enough patients; one that has not would show by being the only one left out."""
    people: dict[int | None, set[str]] = defaultdict(set)
    for course in group:
        people[decades[course.id]].add(course.now.patient_id)
    return all(len(each) >= SMALLEST_CELL for each in people.values())


def _decade(work: Work, patient_id: str, at: datetime) -> int | None:
    known = patients.load(work.tx, patient_id).identifiers
    if known is None or known.born_on is None:
        return None
    return min(OLDEST_DECADE, _age(known.born_on, at.date()) // 10 * 10)


def _age(born_on: date, on: date) -> int:
    return on.year - born_on.year - ((on.month, on.day) < (born_on.month, born_on.day))


def _began(visit: Visit) -> datetime:
    given = [use.at for use in visit.drug_uses if use.kind is DrugUseKind.GIVEN]
    return min([*given, *(run.since for run in visit.runs)])


def _session(visit: Visit, day: int) -> ResearchSession:
    given = sum(use.amount_ug for use in visit.drug_uses if use.kind is DrugUseKind.GIVEN)
    return ResearchSession(
        day=day,
        given_mg=given / 1000,
        complete=visit.complete,
        events=len(visit.adverse_events),
        worst_grade=max((each.grade for each in visit.adverse_events if each.grade is not None), default=None),
    )


def _score(measured: Measured, day: int) -> ResearchScore:
    return ResearchScore(
        day=day,
        instrument=measured.instrument,
        total=measured.total or 0.0,
        self_rated=measured.self_rated,
    )


def _pseudonym(work: Work, patient_id: str) -> str:
    return keyed_digest(work.tx.store, work.actor.clinic_id, "research", patient_id)[:16]
