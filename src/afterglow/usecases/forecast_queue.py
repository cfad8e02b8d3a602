"""The queue of forecasts: one job for each course, asked for in the transaction that changes what a forecast rests on.

A job is a thing of the records: its state and due time are the queue, its version keeps two workers from one job. What
is asked for while it waits is the same job; what is asked for while it runs makes it run once more.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum

from afterglow.clinic import CourseState, TreatmentCourse
from afterglow.errors import NotFound
from afterglow.forecast import RelapseState
from afterglow.store import facts
from afterglow.store.records import Transaction

FED_BY = frozenset({"measured", "past_score", "past_session", "course", "drug_use", "booking"})
"""Kinds of records that a forecast rests on; whoever writes one asks for the forecast of the patient's open courses."""


class JobState(StrEnum):
    """Where a forecast is; given up: nobody tries again until something new comes, or somebody asks."""

    WAITING = "waiting"
    RUNNING = "running"
    DONE = "done"
    GIVEN_UP = "given_up"


@dataclass(frozen=True, slots=True, kw_only=True)
class ForecastSummary:
    """What lists need of the last forecast.

    Args:
        record_id: of the fact that holds the forecast.
        digest: SHA-256 of what it rests on, the time that it starts from left out.
        population: version of the virtual patients; empty where no model exists.
        refused: why there is no forecast; None if there is one.
        next_due_at: the last day with an accepted chance of relapse; None where there is none.
        next_due_from, next_due_until: the days for half and for twice that chance.
        relapse: where the patient stands with relapse.
    """

    record_id: str
    made_at: datetime
    digest: str
    population: str
    refused: str | None = None
    next_due_at: datetime | None = None
    next_due_from: datetime | None = None
    next_due_until: datetime | None = None
    relapse: RelapseState | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ForecastJob:
    """The forecast of a course that is to be made, and what the last one said.

    Args:
        claim: of the worker that is at it; a worker that lost it writes nothing.
        again: something new came while it ran.
        tries: since it was asked for.
        fault: why the last try failed, in words that hold nothing of the patient.
    """

    course_id: str
    asked_at: datetime
    claim: str | None = None
    again: bool = False
    tries: int = 0
    fault: str | None = None
    last: ForecastSummary | None = None


def ask_touched(tx: Transaction) -> None:
    """Ask for the forecasts of every patient of whom this transaction wrote something that they rest on."""
    for patient_id in sorted({patient_id for kind, patient_id in tx.touched if kind in FED_BY}):
        courses = facts.load_all(tx, TreatmentCourse, patient_id=patient_id)
        for each in sorted(courses, key=lambda course: course.id):  # one order, so that two askers never wait in a ring
            if each.now is not None and each.state != CourseState.STOPPED:
                ask(tx, each.id, patient_id=patient_id)


def ask(tx: Transaction, course_id: str, *, patient_id: str) -> None:
    """Ask for the forecast of a course: a new job, or the one that is there."""
    try:
        head = facts.load(tx, ForecastJob, course_id, hold=True)
    except NotFound:
        _save(tx, ForecastJob(course_id=course_id, asked_at=tx.now), 0, patient_id, JobState.WAITING, tx.now)
        return
    job = head.now
    if job is None or (head.state == JobState.WAITING and not job.tries):
        return
    if head.state == JobState.RUNNING:
        if not job.again:
            _save(tx, replace(job, again=True), head.version, patient_id, JobState.RUNNING, head.due_at)
        return
    fresh = replace(job, asked_at=tx.now, claim=None, again=False, tries=0, fault=None)
    _save(tx, fresh, head.version, patient_id, JobState.WAITING, tx.now)


def _save(
    tx: Transaction, job: ForecastJob, version: int, patient_id: str, state: JobState, due_at: datetime | None
) -> None:
    facts.save(tx, job, id=job.course_id, version=version, patient_id=patient_id, state=state, due_at=due_at)
