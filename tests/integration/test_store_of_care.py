"""The rules of care on the store: a session's own steps are written, corrected and loaded as they were."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any, get_type_hints

import pytest

from afterglow.clinic import (
    Act,
    Delivery,
    Outcome,
    Reading,
    Role,
    Transitioned,
    TreatmentSession,
    arrive,
    demo_policy,
    enter_reading,
)
from afterglow.quantities import DrugForm
from afterglow.store import audit, codec, facts, patients
from afterglow.store.patients import Identifiers
from afterglow.store.records import Store
from afterglow.usecases.kinds import KINDS

AT = datetime(2026, 1, 5, 9, tzinfo=UTC)


@pytest.mark.parametrize("name", KINDS)
def test_every_field_of_every_kind_has_a_stored_form(name: str) -> None:
    read: Any = codec._reader
    for hint in get_type_hints(KINDS[name]).values():
        assert read(hint)


def test_a_name_is_of_one_kind() -> None:
    assert len(set(KINDS.values())) == len(KINDS)


def test_a_session_is_kept_step_by_step(store: Store) -> None:
    store = replace(store, kinds=KINDS)
    nurse = Act(by="nurse-1", roles=(Role.NURSE,), at=AT)
    session = TreatmentSession(
        id="s1",
        patient_id="p1",
        course_id="c1",
        delivery=Delivery.IV,
        drug=DrugForm.RACEMIC_KETAMINE,
        number=1,
        week=1,
        planned_at=AT,
    )
    with store.write("north", by="nurse-1") as tx:
        patients.register(tx, Identifiers(name="Anna"), id="p1")
        facts.save(tx, session, id="s1", version=0, patient_id="p1", state=session.state, due_at=AT)
        tx.event("session.booked", patient_id="p1", subject="s1")
    reading = Reading(id="r1", taken_at=AT, entered_at=AT, by="nurse-1", systolic_mmhg=142, diastolic_mmhg=86)

    def step(move: Callable[[TreatmentSession], Outcome[TreatmentSession]]) -> TreatmentSession:
        with store.write("north", by="nurse-1") as tx:
            head = facts.load(tx, TreatmentSession, "s1")
            assert head.now is not None
            outcome = move(head.now)
            for fact in outcome.written:
                facts.write(tx, fact, at=AT, patient_id="p1", subject="s1")
            facts.save(tx, outcome.now, id="s1", version=head.version, patient_id="p1", state=outcome.now.state)
            tx.event("session.step", patient_id="p1", subject="s1")
        return outcome.now

    step(lambda now: arrive(now, nurse, policy=demo_policy()))
    last = step(lambda now: enter_reading(now, reading, nurse, policy=demo_policy()))
    with store.read("north") as tx:
        kept = facts.load(tx, TreatmentSession, "s1")
        assert kept.now == last
        assert (kept.version, kept.state) == (3, "arrived")
        assert [each.fact for each in facts.standing(tx, Reading, subject="s1")] == [reading]
        steps = [each.fact.event for each in facts.standing(tx, Transitioned, subject="s1") if each.fact]
        assert steps[:1] == ["arrive"]
    assert audit.verify(store, "north").faults == ()
