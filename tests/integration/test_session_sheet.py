"""The session's page and its gates, as the record answers them."""

from __future__ import annotations

from datetime import timedelta

import pytest
from tests.integration import care
from tests.integration.desks import actor, at_work, desk, later, now

from afterglow.clinic import Decision, Delivery, DueState, Priority, Role, SessionState, escalations
from afterglow.errors import MissingValue, NotFound, NotPermitted, OutOfRange
from afterglow.store.records import Store
from afterglow.usecases import people, room, sessions
from afterglow.usecases.login import offline_key
from afterglow.usecases.session_sheet import (
    GateState,
    SessionSheet,
    one_cause,
    read_sheet,
    reading_line,
    standing_priority,
    try_reading,
)


@pytest.fixture
def clinic(store: Store) -> Store:
    store = at_work(store)
    care.open_clinic(store)
    care.vial(store)
    return store


def sheet(store: Store, session_id: str) -> SessionSheet:
    return read_sheet(desk(store, Role.NURSE), session_id, zone="UTC").shown


def states(shown: SessionSheet) -> dict[str, GateState]:
    return {each.name: each.state for each in shown.gates}


def test_gates_open_one_after_the_other(clinic: Store) -> None:
    _, course = care.in_induction(clinic)
    session_id = care.book(clinic, course)
    booked = sheet(clinic, session_id)
    assert (booked.whose.name if booked.whose else "", booked.chair_id, booked.sheet) == ("Anna Berger", "c1", None)
    assert "candidacy" not in states(booked)  # assessed at the visit
    assert states(booked)["escort"] is GateState.UNKNOWN
    assert states(booked)["treatment"] is GateState.CLOSED
    sessions.check_in(desk(clinic, Role.NURSE), session_id)
    arrived = sheet(clinic, session_id)
    assert states(arrived)["medicines"] is GateState.OPEN
    assert {each.id for each in arrived.workup} <= {"W03", "W10", "W17"}
    room.read_vitals(desk(clinic, Role.NURSE), session_id, care.quiet(systolic_mmhg=152))
    pressure = next(each for each in sheet(clinic, session_id).gates if each.name == "vitals")
    assert pressure.state is GateState.OPEN
    assert "systolic pressure 152" in (pressure.says or "")
    assert [each.rule for each in sheet(clinic, session_id).to_answer] == ["S010", "C011"]


def test_a_rule_of_candidacy_that_the_visit_meets_is_answered_in_the_session(clinic: Store) -> None:
    _, course = care.in_induction(clinic)
    session_id = care.book(clinic, course, minutes=1)
    care.screened(clinic, session_id)
    later(clinic, 2)
    room.read_vitals(desk(clinic, Role.NURSE), session_id, care.quiet(systolic_mmhg=152))
    prescriber = desk(clinic, Role.PRESCRIBER)
    for each in sheet(clinic, session_id).to_answer:
        assert states(sheet(clinic, session_id))["candidacy"] is GateState.OPEN
        sessions.answer(prescriber, session_id, each.rule, decision=Decision.PROCEED, reason="usual for her")
    shown = sheet(clinic, session_id)
    assert shown.to_answer == ()
    assert [each.rule for each in shown.session.answers] == ["S010"]  # the other is the course's
    assert set(states(shown).values()) == {GateState.CLOSED}
    sessions.say_go(prescriber, session_id, version=shown.version)
    with pytest.raises(NotFound):
        sessions.answer(prescriber, session_id, "C001", decision=Decision.PROCEED, reason="not met")


def test_after_the_dose_the_gates_are_done_and_leaving_stands_open(clinic: Store) -> None:
    _, course = care.in_induction(clinic)
    session_id = care.book(clinic, course, minutes=1)
    care.screened(clinic, session_id)
    cleared = sheet(clinic, session_id)
    assert set(states(cleared).values()) == {GateState.CLOSED}
    assert [each.id for each in cleared.containers] == ["v1"]
    assert cleared.sheet is not None
    assert cleared.waiting is None
    sessions.say_go(desk(clinic, Role.PRESCRIBER), session_id, version=cleared.version)
    room.take(desk(clinic, Role.NURSE), session_id, "v1", amount_ug=50_000)
    room.start(desk(clinic, Role.NURSE), session_id, version=sheet(clinic, session_id).version)
    running = sheet(clinic, session_id)
    assert (running.gates, running.leaving) == ((), ())
    assert running.ready is not None
    later(clinic, 11)
    late = sheet(clinic, session_id)
    assert [each.rule for each in late.monitoring] == ["S033"]
    assert late.to_answer == ()  # it gets later by the minute: a reading clears it, no answer does
    room.read_vitals(desk(clinic, Role.NURSE), session_id, care.quiet())
    later(clinic, 31)
    room.end_dose(desk(clinic, Role.NURSE), session_id, amounts_ug=(("v1", 40_000),))
    watched = sheet(clinic, session_id)
    assert watched.session.state is SessionState.OBSERVING
    assert {"S061", "S062", "S063", "S064"} <= {each.rule for each in watched.leaving}
    line = reading_line(watched.session, now(clinic), watched.clocks, watched.policy)
    assert [each.state for each in line][:1] == [DueState.DONE]
    assert all(0 <= each.share <= 1 for each in line)


def test_sets_that_lie_on_each_other_are_one_mark_of_a_reading_line(clinic: Store) -> None:
    _, course = care.in_induction(clinic)
    session_id = care.book(clinic, course, minutes=1)
    care.dosing(clinic, session_id)
    before = sheet(clinic, session_id)
    known = sum(each.count for each in reading_line(before.session, before.at, before.clocks, before.policy))
    for _ in range(40):
        room.read_vitals(desk(clinic, Role.NURSE), session_id, care.quiet())
    shown = sheet(clinic, session_id)
    line = reading_line(shown.session, shown.at, shown.clocks, shown.policy)
    done = [each for each in line if each.state is DueState.DONE]
    assert sum(each.count for each in done) >= 40
    assert sum(each.count for each in line) <= known + 40
    assert len(done) < 20


def test_a_second_check_waits_until_somebody_else_gives_it(clinic: Store) -> None:
    _, course = care.in_induction(clinic, Delivery.ESK)
    session_id = care.book(clinic, course, dose_minutes=0)
    sessions.check_in(desk(clinic, Role.NURSE), session_id)
    sessions.order(desk(clinic, Role.PRESCRIBER), session_id, dose_mg=56.0)
    sessions.prepare(desk(clinic, Role.NURSE), session_id, weight_kg=80.0)
    waiting = sheet(clinic, session_id).waiting
    assert waiting is not None
    assert (waiting.mg, waiting.devices) == (56.0, 2)
    shown = sheet(clinic, session_id)
    assert reading_line(shown.session, shown.at, shown.clocks, shown.policy) == ()


def test_a_draft_says_which_rules_it_would_meet_and_keeps_nothing(clinic: Store) -> None:
    _, course = care.in_induction(clinic)
    session_id = care.book(clinic, course, minutes=1)
    care.dosing(clinic, session_id)
    nurse = desk(clinic, Role.NURSE)
    before = sheet(clinic, session_id)
    found = try_reading(nurse, session_id, care.quiet(systolic_mmhg=184, diastolic_mmhg=112)).shown
    assert {"S040", "S041"} <= {each.rule for each in found}
    with pytest.raises(OutOfRange, match="systolic") as refused:
        try_reading(nurse, session_id, room.Vitals(systolic_mmhg=1420, diastolic_mmhg=80))
    assert refused.value.about == "systolic_mmhg"
    with pytest.raises(MissingValue) as half:
        try_reading(nurse, session_id, room.Vitals(systolic_mmhg=142))
    assert half.value.about == "diastolic_mmhg"
    assert sheet(clinic, session_id).version == before.version


def test_the_sheet_knows_names_and_keeps_closed_charts_closed(clinic: Store) -> None:
    patient_id, course = care.in_induction(clinic)
    session_id = care.book(clinic, course)
    people.add_person(desk(clinic, Role.ADMINISTRATOR), "nora", name="Nora Osei", roles=(Role.NURSE,))
    assert sheet(clinic, session_id).people["nora"] == "Nora Osei"
    people.restrict_chart(desk(clinic, Role.COMPLIANCE), patient_id, team=("nora",))
    with pytest.raises(NotPermitted):
        sheet(clinic, session_id)


def test_the_key_of_what_a_device_keeps_is_a_persons_own(clinic: Store) -> None:
    nora, bea = actor(clinic, Role.NURSE, by="nora"), actor(clinic, Role.NURSE, by="bea")
    elsewhere = actor(clinic, Role.NURSE, by="nora", clinic="south")
    key = offline_key(clinic, nora)
    assert len(key) == 32
    assert key == offline_key(clinic, actor(clinic, Role.NURSE, by="nora", signed=False))
    assert len({key, offline_key(clinic, bea), offline_key(clinic, elsewhere)}) == 3


def test_emergencies_come_first_and_stay_until_the_patient_has_left(clinic: Store) -> None:
    _, course = care.in_induction(clinic)
    session_id = care.book(clinic, course, minutes=1)
    care.dosing(clinic, session_id)
    nurse = desk(clinic, Role.NURSE)
    shown = sheet(clinic, session_id)
    assert standing_priority(escalations(shown.session, shown.policy), shown.session) is None
    later(clinic, 5)
    room.read_vitals(nurse, session_id, care.quiet(systolic_mmhg=172, diastolic_mmhg=104))
    shown = sheet(clinic, session_id)
    assert standing_priority(escalations(shown.session, shown.policy), shown.session) is Priority.MEDIUM
    later(clinic, 1)
    room.read_vitals(nurse, session_id, care.quiet(systolic_mmhg=172, diastolic_mmhg=104, spo2_pct=88))
    shown = sheet(clinic, session_id)
    assert standing_priority(escalations(shown.session, shown.policy), shown.session) is Priority.HIGH
    assert shown.escalations[0].rule == "S045"
    later(clinic, 1)
    room.read_vitals(nurse, session_id, care.quiet())
    shown = sheet(clinic, session_id)
    assert [each.rule for each in shown.escalations] == ["S045"]


def test_a_pressure_that_asks_for_another_in_five_minutes_sets_the_next_reading(clinic: Store) -> None:
    _, course = care.in_induction(clinic)
    session_id = care.book(clinic, course, minutes=1)
    care.dosing(clinic, session_id)
    later(clinic, 10)
    nurse = desk(clinic, Role.NURSE)
    room.read_vitals(nurse, session_id, care.quiet())
    planned = sheet(clinic, session_id).clocks.next_reading
    assert planned is not None
    room.read_vitals(nurse, session_id, care.quiet(systolic_mmhg=166))
    shown = sheet(clinic, session_id)
    soon = shown.clocks.next_reading
    assert soon is not None
    assert soon.what in {"pressure again, rule S040", "pressure again, rule S041"}
    assert soon.due_at == shown.session.readings[-1].taken_at + timedelta(minutes=5)
    assert soon.state is DueState.UPCOMING
    later(clinic, 6)
    late = sheet(clinic, session_id).clocks.next_reading
    assert late is not None
    assert late.state is DueState.OVERDUE
    room.read_vitals(desk(clinic, Role.NURSE), session_id, care.quiet())
    calm = sheet(clinic, session_id).clocks.next_reading
    assert calm is not None
    assert calm.what.startswith("every ")


def test_one_cause_is_one_decision_and_a_set_without_alertness_asks_nobody(clinic: Store) -> None:
    _, course = care.in_induction(clinic)
    session_id = care.book(clinic, course, minutes=1)
    care.screened(clinic, session_id)
    later(clinic, 2)
    room.read_vitals(desk(clinic, Role.NURSE), session_id, care.quiet(systolic_mmhg=152))
    prescriber = desk(clinic, Role.PRESCRIBER)
    assert one_cause(sheet(clinic, session_id).to_answer) == {"S010": ("C011",)}
    with pytest.raises(NotFound):  # all or none
        sessions.answer(
            prescriber, session_id, "S010", also=("C001",), decision=Decision.PROCEED, reason="usual for her"
        )
    assert sheet(clinic, session_id).session.answers == ()
    sessions.answer(prescriber, session_id, "S010", also=("C011",), decision=Decision.PROCEED, reason="usual for her")
    shown = sheet(clinic, session_id)
    assert shown.to_answer == ()
    sessions.say_go(prescriber, session_id, version=shown.version)
    room.take(desk(clinic, Role.NURSE), session_id, "v1", amount_ug=50_000)
    room.start(desk(clinic, Role.NURSE), session_id, version=care.version_of(clinic, session_id))
    later(clinic, 5)
    room.read_vitals(desk(clinic, Role.NURSE), session_id, room.Vitals(systolic_mmhg=130, diastolic_mmhg=80))
    watched = sheet(clinic, session_id)
    assert "S035" in {each.rule for each in watched.monitoring}
    assert "S035" not in {each.rule for each in watched.to_answer}
