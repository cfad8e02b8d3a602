"""Decisions about the next session: recorded with their reason, changed only by a new one."""

from __future__ import annotations

from datetime import timedelta

import pytest
from tests.integration.care import in_induction, now, open_clinic, register
from tests.integration.desks import at_work, desk

from afterglow.clinic import Delivery, Indication, Role
from afterglow.errors import MissingValue, NotPermitted, OutOfRange, WrongState
from afterglow.quantities import DrugForm
from afterglow.store.records import Store
from afterglow.usecases import courses
from afterglow.usecases.charts import read_chart
from afterglow.usecases.deciding import NextStep, decide_next


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
    decide_next(prescriber, course_id, step=NextStep.BOOK_BY, by_day=day, due_day=day, digest="ab", reason="Fading")
    shown = read_chart(prescriber, patient_id).shown.decisions
    assert [(each.step, each.by_day, each.by) for each in shown] == [
        (NextStep.WAIT, None, "prescriber-1"),
        (NextStep.BOOK_BY, day, "prescriber-1"),
    ]


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
