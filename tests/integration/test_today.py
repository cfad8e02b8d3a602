"""Today: chairs keep their places, a taken chair is never shown as free, a closed chart gives no name."""

from __future__ import annotations

from datetime import timedelta

from tests.integration import care
from tests.integration.desks import at_work, desk, later, now

from afterglow.clinic import Role, SessionState
from afterglow.store.records import Store
from afterglow.usecases import measures, people, room, sessions
from afterglow.usecases.desk import Desk
from afterglow.usecases.today import Today, read_today


def shown(at: Desk) -> Today:
    time = now(at.store)
    return read_today(at, since=time - timedelta(days=1), until=time + timedelta(days=1)).shown


def test_an_empty_clinic_has_no_chairs(store: Store) -> None:
    told = shown(desk(at_work(store), Role.COORDINATOR))
    assert (told.chairs, told.expected, told.alerts) == ((), (), ())


def test_chairs_arrivals_and_alerts(store: Store) -> None:
    store = at_work(store)
    care.open_clinic(store)
    anna, course = care.in_induction(store)
    _, other = care.in_induction(store, name="Jonas Weber")
    first, second = care.book(store, course), care.book(store, other, chair="c2", minutes=120)
    nurse = desk(store, Role.NURSE)
    sessions.check_in(nurse, first)
    measures.record(nurse, anna, "PHQ-9", answers=[2, 2, 3, 2, 2, 2, 2, 2, 2])
    told = shown(nurse)
    sitting, free = told.chairs
    assert (sitting.chair_id, free.chair_id) == ("c1", "c2")
    assert sitting.now is not None
    assert (sitting.now.name, sitting.now.state, sitting.now.session_id) == ("Anna Berger", SessionState.ARRIVED, first)
    assert free.now is None
    assert free.next is not None
    assert (free.next.name, free.next.session_id) == ("Jonas Weber", second)
    assert {each.name for each in told.alerts} == {"Anna Berger"}


def test_a_closed_chart_holds_its_chair_without_a_name(store: Store) -> None:
    store = at_work(store)
    care.open_clinic(store)
    patient_id, course = care.in_induction(store)
    session_id = care.book(store, course)
    people.add_person(desk(store, Role.ADMINISTRATOR), "teresa", name="Teresa", roles=(Role.THERAPIST,))
    people.restrict_chart(desk(store, Role.COMPLIANCE), patient_id, team=("teresa",))
    outside, team = desk(store, Role.NURSE), desk(store, Role.THERAPIST, by="teresa")
    assert [each.name for each in shown(outside).expected] == [None]
    assert [each.name for each in shown(team).expected] == ["Anna Berger"]
    people.restrict_chart(desk(store, Role.COMPLIANCE), patient_id, team=())
    sessions.check_in(outside, session_id)
    people.restrict_chart(desk(store, Role.COMPLIANCE), patient_id, team=("teresa",))
    taken = shown(outside).chairs[0].now
    assert taken is not None
    assert (taken.name, taken.session_id) == (None, None)


def test_a_chair_says_that_a_decision_waits_and_since_when(store: Store) -> None:
    store = at_work(store)
    care.open_clinic(store)
    care.vial(store)
    _, course = care.in_induction(store)
    session_id = care.book(store, course)
    nurse = desk(store, Role.NURSE)
    sessions.check_in(nurse, session_id)
    room.read_vitals(nurse, session_id, care.quiet(systolic_mmhg=152))
    sitting = shown(nurse).chairs[0].now
    assert sitting is not None
    assert sitting.decisions == ()  # nobody decides before the screening is saved
    sessions.screening(nurse, session_id, care.gates())
    later(store, 4)
    told = shown(desk(store, Role.NURSE))
    sitting = told.chairs[0].now
    assert sitting is not None
    assert {each.rule for each in sitting.decisions} == {"S010", "C011"}
    assert sitting.asked_at is not None
    assert timedelta(minutes=4) <= told.at - sitting.asked_at < timedelta(minutes=5)


def test_an_alert_knows_the_session_in_which_its_patient_sits(store: Store) -> None:
    store = at_work(store)
    care.open_clinic(store)
    anna, course = care.in_induction(store)
    session_id = care.book(store, course)
    nurse = desk(store, Role.NURSE)
    measures.record(nurse, anna, "PHQ-9", answers=[2, 2, 3, 2, 2, 2, 2, 2, 2])
    assert {each.session_id for each in shown(nurse).alerts} == {None}
    sessions.check_in(nurse, session_id)
    assert {each.session_id for each in shown(nurse).alerts} == {session_id}
