"""Decisions about the next session: recorded with their reason, changed only by a new one."""

from __future__ import annotations

from datetime import timedelta

import pytest
from tests.integration.care import in_induction, now, open_clinic, register
from tests.integration.desks import at_work, desk, later

from afterglow.clinic import Delivery, Indication, Role
from afterglow.errors import MissingValue, NotPermitted, Outdated, OutOfRange, WrongState
from afterglow.quantities import DrugForm
from afterglow.store.records import Store
from afterglow.usecases import courses
from afterglow.usecases.charts import read_chart
from afterglow.usecases.deciding import NextStep, decide_next
from afterglow.usecases.jobs import run_jobs, view_forecast
from afterglow.usecases.measures import record


@pytest.fixture
def clinic(store: Store) -> Store:
    opened = at_work(store)
    open_clinic(opened)
    return opened


def test_a_new_decision_stands_and_the_old_one_stays_in_the_history(clinic: Store) -> None:
    patient_id, course_id = in_induction(clinic)
    prescriber = desk(clinic, Role.PRESCRIBER)
    day = now(clinic).date() + timedelta(days=9)
    decide_next(prescriber, course_id, step=NextStep.WAIT, reason="Score due on Monday")
    decide_next(prescriber, course_id, step=NextStep.BOOK_BY, by_day=day, reason="Fading")
    shown = read_chart(prescriber, patient_id).shown.decisions
    assert [(each.step, each.by_day, each.by) for each in shown] == [
        (NextStep.WAIT, None, "prescriber-1"),
        (NextStep.BOOK_BY, day, "prescriber-1"),
    ]


def test_a_decision_keeps_the_forecast_that_stood_and_not_one_that_was_replaced(clinic: Store) -> None:
    patient_id, course_id = in_induction(clinic)
    prescriber = desk(clinic, Role.PRESCRIBER)
    run_jobs(clinic)
    seen = view_forecast(prescriber, course_id).shown
    assert seen.digest
    decide_next(prescriber, course_id, step=NextStep.WAIT, digest=seen.digest, reason="Looked at")
    (kept,) = read_chart(prescriber, patient_id).shown.decisions
    assert kept.digest == seen.digest
    assert kept.due_day == (None if seen.answer is None else seen.answer.due_day)
    later(clinic, 60)
    record(desk(clinic, Role.NURSE), patient_id, "PHQ-9", total=9)
    run_jobs(clinic)
    with pytest.raises(Outdated, match="newer forecast"):
        decide_next(prescriber, course_id, step=NextStep.WAIT, digest=seen.digest, reason="Not looked at again")
    assert len(read_chart(prescriber, patient_id).shown.decisions) == 1


def test_what_cannot_be_decided_is_refused(clinic: Store) -> None:
    _, course_id = in_induction(clinic)
    prescriber = desk(clinic, Role.PRESCRIBER)
    past = now(clinic).date() - timedelta(days=1)
    with pytest.raises(MissingValue, match="reason"):
        decide_next(prescriber, course_id, step=NextStep.WAIT, reason=" ")
    with pytest.raises(MissingValue, match="day belongs"):
        decide_next(prescriber, course_id, step=NextStep.BOOK_BY, reason="x")
    with pytest.raises(MissingValue, match="day belongs"):
        decide_next(prescriber, course_id, step=NextStep.END, by_day=past, reason="x")
    with pytest.raises(OutOfRange, match="past"):
        decide_next(prescriber, course_id, step=NextStep.BOOK_BY, by_day=past, reason="x")
    with pytest.raises(OutOfRange, match="too long"):
        decide_next(prescriber, course_id, step=NextStep.WAIT, reason="x" * 501)
    with pytest.raises(NotPermitted):
        decide_next(desk(clinic, Role.NURSE), course_id, step=NextStep.WAIT, reason="x")


def test_an_inquiry_has_no_next_session(clinic: Store) -> None:
    patient_id = register(clinic)
    course = courses.open_course(
        desk(clinic, Role.COORDINATOR),
        patient_id,
        delivery=Delivery.IV,
        drug=DrugForm.RACEMIC_KETAMINE,
        indication=Indication.TRD,
    )
    with pytest.raises(WrongState, match="next session"):
        decide_next(desk(clinic, Role.PRESCRIBER), course.id, step=NextStep.WAIT, reason="x")
