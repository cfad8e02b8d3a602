"""A whole session, from arrival to close, by use cases on both databases."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta
from functools import partial
from typing import Any

import pytest
from tests.integration.care import (
    LEAVING,
    actor,
    book,
    closed,
    desk,
    device,
    dosing,
    gates,
    in_induction,
    later,
    left,
    open_clinic,
    quiet,
    screened,
    version_of,
    vial,
)
from tests.integration.desks import at_work, now, without_policy

from afterglow.clinic import Decision, Delivery, DoseGap, Priority, RateStep, Reading, Role, SessionState, StopReason
from afterglow.errors import (
    AfterglowError,
    BookingRefused,
    Conflict,
    GateClosed,
    MissingValue,
    NotFound,
    NotPermitted,
    OutOfRange,
    SecondPerson,
    SignAgain,
    TooEarly,
    Unbalanced,
    UnknownName,
    WrongState,
)
from afterglow.store import audit, facts
from afterglow.store.records import Store
from afterglow.usecases import (
    courses,
    diary,
    drugs,
    login,
    measures,
    passes,
    patients,
    people,
    policies,
    room,
    sessions,
    titration,
    wall,
    worklists,
)
from afterglow.usecases.desk import Desk
from afterglow.usecases.room import Vitals
from afterglow.usecases.work import Written

NURSE, PRESCRIBER, COORDINATOR = Role.NURSE, Role.PRESCRIBER, Role.COORDINATOR


@pytest.fixture
def north(store: Store) -> Store:
    made = at_work(store)
    open_clinic(made)
    return made


@pytest.fixture
def session(north: Store) -> str:
    """An infusion booked for half an hour from now, with its vial."""
    _, course = in_induction(north)
    vial(north)
    return book(north, course, minutes=30)


def state(store: Store, session_id: str) -> SessionState:
    return sessions.read_session(desk(store, NURSE), session_id).shown.session.state


def test_an_infusion_from_arrival_to_close(north: Store, session: str) -> None:
    dosing(north, session)
    left(north, session)
    closed(north, session)
    page = sessions.read_session(desk(north, NURSE), session).shown
    assert page.session.state is SessionState.CLOSED
    assert page.session.cleared is True
    lot = drugs.read_lot(desk(north, NURSE), "L1").shown
    assert (lot.used_ug, lot.wasted_ug, lot.in_stock_ug) == (40_000, 10_000, 450_000)
    course = courses.read_course(desk(north, NURSE), page.session.course_id).shown.now
    assert [each.used for each in course.authorisations] == [1]
    assert audit.verify(north, "north").faults == ()
    assert measures.list_alerts(desk(north, NURSE)).shown == ()


def test_devices_from_the_first_to_the_form(north: Store) -> None:
    _, course = in_induction(north, Delivery.ESK)
    session = book(north, course, minutes=30, dose_minutes=0)
    nurse = desk(north, NURSE)
    screened(north, session, Delivery.ESK)
    sessions.say_go(desk(north, PRESCRIBER), session, version=version_of(north, session))
    for each in ("d1", "d2"):
        device(north, each)
        room.take(nurse, session, each, amount_ug=28_000)
    room.start(nurse, session, version=version_of(north, session))
    with pytest.raises(GateClosed, match="not ready"):
        room.use_device(nurse, session, "d1", green_dots_checked=True, primed=None)
    room.use_device(nurse, session, "d1", green_dots_checked=True, primed=False)
    with pytest.raises(TooEarly):
        room.use_device(nurse, session, "d2", green_dots_checked=True, primed=False)
    later(north, 5)
    room.use_device(nurse, session, "d2", green_dots_checked=True, primed=False)
    room.end_dose(nurse, session)
    for minutes in (1, 16, 20, 20, 30, 30):
        later(north, minutes)
        room.read_vitals(nurse, session, quiet())
    done = {"aldrete": (2,) * 5, "padss": (2,) * 5}
    room.let_go(nurse, session, LEAVING, **done, version=version_of(north, session))
    room.sign(desk(north, NURSE), session)
    room.finish(nurse, session, version=version_of(north, session))
    now = courses.read_course(nurse, course).shown.now
    assert [each.used for each in now.authorisations] == [1]
    sent = worklists.note_form_sent(desk(north, COORDINATOR), session, reference="REMS 1")
    assert sent.id


def test_the_record_is_what_the_gates_look_at(north: Store, session: str) -> None:
    nurse, prescriber = desk(north, NURSE), desk(north, PRESCRIBER)
    sessions.check_in(desk(north, COORDINATOR), session)
    with pytest.raises(GateClosed, match="No pressure"):
        sessions.screening(nurse, session, gates())
    room.read_vitals(nurse, session, quiet())
    with pytest.raises(OutOfRange, match="not asked at screening"):
        sessions.screening(nurse, session, gates() | {"bp.systolic": 120})
    sessions.screening(nurse, session, gates(logistics__escort_confirmed=None))
    with pytest.raises(GateClosed, match="No dose is ordered"):
        sessions.prepare(nurse, session, weight_kg=80)
    with pytest.raises(NotFound):
        sessions.second_check(desk(north, NURSE, by="nurse-2"), session, amount_ug=1)
    sessions.order(prescriber, session, dose_mg_per_kg=0.5, infusion_min=40)
    sessions.countersign(desk(north, PRESCRIBER, by="prescriber-2"), session)
    sessions.prepare(nurse, session, weight_kg=90, concentration_mg_per_ml=50, diluted=True)
    sessions.prepare(nurse, session, weight_kg=80, concentration_mg_per_ml=50, diluted=True)  # weighed again
    checked = {"amount_ug": 40_000, "volume_ul": 800, "concentration_ug_per_ul": 50}
    with pytest.raises(SecondPerson):
        sessions.second_check(nurse, session, **checked)
    with pytest.raises(GateClosed, match="amount differs"):
        sessions.second_check(desk(north, NURSE, by="nurse-2"), session, **(checked | {"amount_ug": 4_000}))
    sessions.second_check(desk(north, NURSE, by="nurse-2"), session, **checked)
    with pytest.raises(SignAgain):
        sessions.say_go(desk(north, PRESCRIBER, signed=False), session, version=version_of(north, session))
    with pytest.raises(GateClosed):
        sessions.say_go(prescriber, session, version=version_of(north, session))
    page = sessions.read_session(nurse, session).shown
    sessions.amend(nurse, session, gates(), reason="escort is here")
    patient = page.session.patient_id
    patients.note_facts(nurse, patient, {f"workup.w{n}.age_days": 0 for n in ("03", "10", "17")})
    patients.reconcile_medicines(nurse, patient, (), visit=session)
    with pytest.raises(Conflict, match="Load it again"):
        sessions.say_go(desk(north, PRESCRIBER), session, version=page.version)
    sessions.say_go(desk(north, PRESCRIBER), session, version=version_of(north, session))
    sessions.take_back_go(nurse, session, reason="patient is sick")
    sessions.say_no_go(desk(north, PRESCRIBER), session, reason="patient is sick")
    assert state(north, session) is SessionState.CANCELLED


def test_a_session_is_called_off_with_its_booking(north: Store, session: str) -> None:
    sessions.call_off(desk(north, COORDINATOR), session, reason="patient called")
    with pytest.raises(WrongState):
        diary.cancel_booking(desk(north, COORDINATOR), session, reason="again")
    assert state(north, session) is SessionState.CANCELLED


def test_a_session_that_has_begun_is_called_off_and_keeps_its_arrival(north: Store, session: str) -> None:
    sessions.check_in(desk(north, NURSE), session)
    sessions.call_off(desk(north, NURSE), session, reason="ill")
    assert state(north, session) is SessionState.CANCELLED


def test_readings_raise_alerts_and_are_corrected(north: Store, session: str) -> None:
    dosing(north, session)
    nurse = desk(north, NURSE)
    later(north, 5)
    high = room.read_vitals(nurse, session, quiet(systolic_mmhg=186, diastolic_mmhg=112), id="r-high")
    assert high.also[0] == "r-high"
    assert len(high.also) > 1
    assert {each.id for each in measures.list_alerts(nurse).shown} == set(high.also[1:])
    assert sessions.read_session(nurse, session).shown.escalations
    with pytest.raises(Conflict):
        room.read_vitals(nurse, session, quiet(), id="r-high")
    with pytest.raises(OutOfRange):
        room.read_vitals(nurse, session, quiet(systolic_mmhg=1860))
    room.correct_vitals(nurse, session, "r-high", vitals=quiet(systolic_mmhg=136), reason="typed wrong")
    assert sessions.read_session(nurse, session).shown.escalations == ()
    with pytest.raises(NotFound):
        room.correct_vitals(nurse, session, "r-none", vitals=None, reason="x")
    wrong = room.read_vitals(nurse, session, quiet(spo2_pct=70))
    with pytest.raises(NotPermitted):  # an emergency
        room.correct_vitals(nurse, session, wrong.also[0], vitals=None, reason="another patient's")
    room.correct_vitals(desk(north, PRESCRIBER), session, wrong.also[0], vitals=None, reason="another patient's")
    assert sessions.read_session(nurse, session).shown.escalations == ()
    with north.read("north") as tx:
        assert len(facts.standing(tx, Reading, subject=session)) == 5


def test_a_hit_is_answered_and_the_dose_goes_on(north: Store, session: str) -> None:
    dosing(north, session)
    later(north, 5)
    nurse, prescriber = desk(north, NURSE), desk(north, PRESCRIBER)
    room.read_vitals(nurse, session, quiet(spo2_pct=91))
    room.pause_dose(nurse, session, reason="saturation")
    open_ = [each for each in sessions.read_session(nurse, session).shown.escalations if each.severity != "caution"]
    assert open_
    with pytest.raises(GateClosed):
        room.go_on(prescriber, session, version=version_of(north, session))
    with pytest.raises(NotFound):
        sessions.answer(prescriber, session, "S031", decision=Decision.PROCEED, reason="x")
    for each in open_:
        sessions.answer(
            prescriber,
            session,
            each.rule,
            decision=Decision.PROCEED,
            reason="oxygen given, seen",
            cosigner=actor(north, PRESCRIBER, by="prescriber-2"),
        )
    room.go_on(desk(north, PRESCRIBER), session, version=version_of(north, session))
    room.stop_early(nurse, session, reason="patient asked", amounts_ug=(("v1", 20_000),))
    assert state(north, session) is SessionState.OBSERVING


def test_what_was_given_is_stated_and_the_difference_is_kept(north: Store, session: str) -> None:
    dosing(north, session)
    nurse = desk(north, NURSE)
    later(north, 60)
    with pytest.raises(MissingValue):
        room.stop_early(nurse, session, reason="patient asked")
    with pytest.raises(MissingValue):
        room.end_dose(nurse, session, amounts_ug=(("v1", 40_000),))
    room.end_dose(nurse, session, amounts_ug=(("v1", 40_000),), reason="pump ran slow")
    gap = sessions.read_session(nurse, session).shown.session.gap
    assert gap is not None
    assert (gap.reason, gap.planned_min, gap.given_ug) == ("pump ran slow", 40, 40_000)
    with north.read("north") as tx:
        assert [each.fact for each in facts.standing(tx, DoseGap, subject=session)] == [gap]


def test_a_rule_of_leaving_is_found_with_the_check(north: Store, session: str) -> None:
    dosing(north, session)
    later(north, 41)
    room.end_dose(desk(north, NURSE), session, amounts_ug=(("v1", 40_000),))
    room.read_vitals(desk(north, NURSE), session, quiet())
    with pytest.raises(NotFound):
        sessions.answer(
            desk(north, PRESCRIBER),
            session,
            "S012",
            decision=Decision.PROCEED,
            reason="seen",
            leaving={"escort_present": False},
        )
    version = version_of(north, session)
    with pytest.raises(UnknownName):
        room.let_go(desk(north, NURSE), session, {"steady": True}, aldrete=None, padss=None, version=version)


def test_an_emergency_is_assessed_before_the_patient_leaves(north: Store, session: str) -> None:
    dosing(north, session)
    nurse = desk(north, NURSE)
    later(north, 5)
    room.read_vitals(nurse, session, quiet(spo2_pct=85))
    (emergency, *_) = [e for e in sessions.read_session(nurse, session).shown.escalations if e.severity == "emergency"]
    room.stop_early(nurse, session, reason="saturation", amounts_ug=(("v1", 5_000),))
    later(north, 5)
    room.read_vitals(nurse, session, replace(quiet(), symptoms=(("events.apnoea", False),)))
    room.assess(desk(north, PRESCRIBER), session, emergency.rule, reason="seen, awake, 98 %")
    page = sessions.read_session(nurse, session).shown
    assert [each.rule for each in page.session.assessments] == [emergency.rule]


def test_nobody_is_checked_in_to_a_chair_that_is_not_empty(north: Store, session: str) -> None:
    _, course_id = in_induction(north, name="Berta Vogel")
    second = book(north, course_id, minutes=400)
    nurse = desk(north, NURSE)
    sessions.check_in(nurse, session)
    later(north, 400)
    with pytest.raises(BookingRefused, match="has not left"):
        sessions.check_in(nurse, second)
    assert state(north, second) is SessionState.BOOKED
    room.hand_over_to_emergency(nurse, session, reason="chest pain")
    sessions.check_in(nurse, second)
    assert state(north, second) is SessionState.ARRIVED


@pytest.mark.parametrize("how", ["walk_out", "transfer"])
def test_a_patient_who_left_otherwise_never_counts_as_cleared(north: Store, session: str, how: str) -> None:
    dosing(north, session)
    nurse = desk(north, NURSE)
    later(north, 5)
    room.stop_early(nurse, session, reason="patient asked", amounts_ug=(("v1", 5_000),))
    ends = {"walk_out": room.left_unchecked, "transfer": room.hand_over_to_emergency}
    ends[how](nurse, session, reason="would not stay")
    assert sessions.read_session(nurse, session).shown.session.cleared is False
    lines = [each.item for each in worklists.read_worklist(desk(north, PRESCRIBER)).shown]
    urgent = [each for each in lines if each.priority is Priority.HIGH]
    told = ["Left at 5 min without the leave check; call now."] if how == "walk_out" else []
    assert [(each.text, each.owner) for each in urgent] == [(text, PRESCRIBER) for text in told]


def test_events_are_graded_before_a_session_closes(north: Store, session: str) -> None:
    dosing(north, session)
    event = room.note_event(desk(north, Role.THERAPIST), session, term="Nausea", intervention="ondansetron")
    left(north, session)
    nurse = desk(north, NURSE)
    witness = actor(north, NURSE, by="nurse-2")
    with pytest.raises(Unbalanced):
        room.finish(nurse, session, version=version_of(north, session))
    with pytest.raises(SecondPerson):
        room.waste_drug(nurse, session, "v1", amount_ug=10_000, reason="rest")
    room.waste_drug(nurse, session, "v1", amount_ug=10_000, reason="rest", witness=witness)
    room.sign(desk(north, NURSE), session)
    with pytest.raises(GateClosed, match="not graded"):
        room.finish(nurse, session, version=version_of(north, session))
    room.grade(nurse, session, event.also[0], grade=2, serious=False)
    room.finish(nurse, session, version=version_of(north, session))
    assert state(north, session) is SessionState.CLOSED


def test_an_event_tapped_twice_is_one_and_can_be_taken_back(north: Store, session: str) -> None:
    dosing(north, session)
    nurse = desk(north, NURSE)
    first = room.note_event(nurse, session, term="Nausea").also[0]
    with pytest.raises(Conflict, match="counts once"):
        room.note_event(nurse, session, term="Nausea")
    room.note_event(nurse, session, term="Dizziness")
    room.note_event(desk(north, NURSE, by="nurse-2"), session, term="Nausea")  # two people saw it
    later(north, 1)
    again = room.note_event(nurse, session, term="Nausea").also[0]  # a minute later it is another
    with pytest.raises(MissingValue):
        room.take_event_back(nurse, session, again, reason="")
    room.take_event_back(nurse, session, again, reason="wrong button")
    with pytest.raises(NotFound):
        room.take_event_back(nurse, session, again, reason="wrong button")
    held = sessions.read_session(nurse, session).shown.session
    assert [each.term for each in held.adverse_events] == ["Nausea", "Dizziness", "Nausea"]
    assert [(each.id, each.reason) for each in held.voided_events] == [(again, "wrong button")]
    with pytest.raises(Conflict, match="id was recorded"):
        room.note_event(nurse, session, term="Nausea", id=again, started_at=now(north))
    assert first in {each.id for each in held.adverse_events}


def test_a_sealed_vial_goes_back(north: Store, session: str) -> None:
    vial(north, "v2", amount_ug=50_000)
    screened(north, session)
    nurse = desk(north, NURSE)
    sessions.say_go(desk(north, PRESCRIBER), session, version=version_of(north, session))
    room.take(nurse, session, "v2", amount_ug=50_000)
    with pytest.raises(Unbalanced):
        sessions.call_off(nurse, session, reason="ill")
    room.return_drug(nurse, session, "v2", amount_ug=50_000, reason="not opened")
    stock = {each.id: each.now.balance_ug for each in drugs.list_stock(nurse).shown}
    assert stock == {"v1": 500_000, "v2": 50_000}
    sessions.call_off(nurse, session, reason="ill")


def test_the_screen_on_the_wall_shows_initials_and_clocks(north: Store, session: str) -> None:
    dosing(north, session)
    later(north, 10)
    issued = passes.issue_room(desk(north, Role.ADMINISTRATOR), "Room 1", chairs=("c1",))
    screen = Desk(store=north, actor=login.open_token(north, issued.token))
    with pytest.raises(UnknownName, match="no such chair"):
        passes.issue_room(desk(north, Role.ADMINISTRATOR), "Corridor TV", chairs=("c1", "TV"))
    (chair,) = wall.read_board(screen).shown
    line = chair.now
    assert line is not None
    assert (chair.chair_id, line.initials, line.state) == ("c1", "A. B.", SessionState.DOSING)
    assert line.clocks.since_first_dose_min == pytest.approx(10, abs=1)
    with north.read("north") as tx:
        (event,) = audit.last_events(tx, after=audit.last_seq(tx) - 1)
    assert (event.by, event.patient_id) == (screen.actor.person_id, None)
    for other in (lambda: sessions.read_session(screen, session), lambda: worklists.read_worklist(screen)):
        with pytest.raises(NotPermitted):
            other()
    elsewhere = passes.issue_room(desk(north, Role.ADMINISTRATOR), "Room 2", chairs=("c2",))
    (free,) = wall.read_board(Desk(store=north, actor=login.open_token(north, elsewhere.token))).shown
    assert (free.chair_id, free.taken, free.now, free.next_initials) == ("c2", False, None, "")
    assert [each.taken for each in wall.read_board(desk(north, NURSE)).shown] == [True, False]
    patient = sessions.read_session(desk(north, NURSE), session).shown.session.patient_id
    people.add_person(desk(north, Role.ADMINISTRATOR), "nora", name="Nora", roles=(NURSE,))
    people.restrict_chart(desk(north, Role.COMPLIANCE), patient, team=("nora",))
    closed = wall.read_board(desk(north, NURSE)).shown[0]
    assert (closed.taken, closed.now) == (True, None)  # a closed chart holds its chair and tells nothing
    (chair,) = wall.read_board(screen).shown
    assert chair.now is not None


def test_the_screen_on_the_wall_tells_who_comes_next(north: Store, session: str) -> None:
    until = now(north) + timedelta(days=1)
    free, _ = wall.read_board(desk(north, NURSE), until=until).shown
    assert (free.taken, free.next_initials) == (False, "A. B.")
    assert free.next_at == sessions.read_session(desk(north, NURSE), session).shown.session.planned_at


def test_two_nurses_enter_readings_of_one_session(north: Store, session: str) -> None:
    """What only adds asks for no version, so neither loses a reading."""
    dosing(north, session)
    before = version_of(north, session)
    room.read_vitals(desk(north, NURSE), session, Vitals(spo2_pct=97))
    room.read_vitals(desk(north, NURSE, by="nurse-2"), session, Vitals(heart_rate_per_min=70))
    page = sessions.read_session(desk(north, NURSE), session).shown
    assert page.version == before + 2
    assert {each.by for each in page.session.readings} == {"nurse-1", "nurse-2"}


def test_a_site_without_second_checks_attaches_the_dose_at_once(store: Store) -> None:
    north = without_policy(store)
    director = desk(north, Role.MEDICAL_DIRECTOR)
    policies.draft(director, {"dosing.second_check_all": False})
    policies.sign(director, 1)
    open_clinic(north)
    _, course = in_induction(north)
    one = book(north, course, minutes=30)
    sessions.check_in(desk(north, NURSE), one)
    with pytest.raises(WrongState):
        sessions.check_in(desk(north, NURSE), one)
    with pytest.raises(NotFound):
        sessions.answer(desk(north, PRESCRIBER), one, "S010", decision=Decision.PROCEED, reason="seen")
    sessions.order(desk(north, PRESCRIBER), one, dose_mg_per_kg=0.5, infusion_min=40)
    assert sessions.read_session(desk(north, NURSE), one).shown.gates
    done = {"weight_kg": 80.0, "concentration_mg_per_ml": 50, "diluted": True}
    sessions.prepare(desk(north, NURSE), one, **done)  # type: ignore[arg-type]
    assert sessions.read_session(desk(north, NURSE), one).shown.session.prepared is not None


def test_an_agreed_self_pay_uses_no_unit(north: Store) -> None:
    _, course = in_induction(north)
    version = courses.read_course(desk(north, NURSE), course).shown.version
    courses.authorise(
        desk(north, COORDINATOR),
        course,
        payer="self",
        units=None,
        starts_on=now(north).date(),
        self_pay=True,
        version=version,
    )
    vial(north)
    dosing(north, book(north, course, minutes=30))
    assert [each.used for each in courses.read_course(desk(north, NURSE), course).shown.now.authorisations] == [0, 0]


def at_once(*calls: Callable[[], object]) -> list[object]:
    """Calls that start at the same moment; what each gave or was refused with."""
    gate = threading.Barrier(len(calls))

    def run(call: Callable[[], object]) -> object:
        gate.wait()
        try:
            return call()
        except AfterglowError as refused:
            return refused

    with ThreadPoolExecutor(len(calls)) as pool:
        return list(pool.map(run, calls))


def test_two_desks_that_book_one_chair_at_once_get_one_booking(north: Store) -> None:
    found = [in_induction(north, name=name)[1] for name in ("Anna Berger", "Berta Muster")]
    gave = at_once(*(partial(book, north, course, minutes=600) for course in found))
    assert sorted(type(each).__name__ for each in gave) == ["BookingRefused", "str"]


def test_readings_entered_at_once_are_all_kept(north: Store, session: str) -> None:
    dosing(north, session)
    desks = [desk(north, NURSE, by=f"nurse-{n}") for n in range(4)]
    gave = at_once(*(partial(room.read_vitals, each, session, Vitals(spo2_pct=97)) for each in desks))
    assert all(isinstance(each, Written) for each in gave)
    page = sessions.read_session(desk(north, NURSE), session).shown
    assert {each.by for each in page.session.readings} >= {each.actor.person_id for each in desks}
    assert audit.verify(north, "north").faults == ()


def test_a_session_that_stays_open_in_a_stopped_course_is_on_the_worklist(north: Store, session: str) -> None:
    dosing(north, session)
    course = sessions.read_session(desk(north, NURSE), session).shown.session.course_id
    version = courses.read_course(desk(north, NURSE), course).shown.version
    courses.stop(
        desk(north, PRESCRIBER), course, why=StopReason.PATIENT_CHOICE, reason="wants no more", version=version
    )
    later(north, 20 * 60)
    found = worklists.read_worklist(desk(north, NURSE)).shown
    assert any("still dosing" in each.item.text for each in found)


def test_an_infusion_of_hours_is_titrated_without_ending_the_session(north: Store) -> None:
    _, course = in_induction(north)
    one = book(north, course, minutes=30, dose_minutes=240)
    vial(north)
    nurse, prescriber = desk(north, NURSE), desk(north, PRESCRIBER)
    screened(north, one)
    sessions.order(prescriber, one, steps=(RateStep(mg_per_h=12.0, hours=4.0),))
    sessions.prepare(nurse, one, weight_kg=80.0, concentration_mg_per_ml=50, diluted=True)
    nurse2 = desk(north, NURSE, by="nurse-2")
    sessions.second_check(nurse2, one, amount_ug=48_000, volume_ul=960, concentration_ug_per_ul=50)
    sessions.answer(prescriber, one, "S019", decision=Decision.PROCEED, reason="pain; watched one to one")
    sessions.say_go(prescriber, one, version=version_of(north, one))
    room.take(nurse, one, "v1", amount_ug=100_000)
    room.start(nurse, one, version=version_of(north, one))
    later(north, 60)
    steps = (RateStep(mg_per_h=15.0, hours=3.0),)
    with pytest.raises(NotPermitted):
        titration.order_new_rate(nurse, one, steps, reason="pain", version=version_of(north, one))
    prescriber = desk(north, PRESCRIBER)
    titration.order_new_rate(prescriber, one, steps, reason="pain 7 of 10", version=version_of(north, one))
    second = actor(north, NURSE, by="nurse-2")
    check: dict[str, Any] = {"mg_per_h": 15.0, "rest_ug": 45_000}
    with pytest.raises(GateClosed, match="S0"):
        titration.set_new_rate(nurse, one, second=second, version=version_of(north, one), **check)
    shown = sessions.read_session(nurse, one).shown
    assert shown.session.rate_waiting is not None
    for each in shown.rate:
        sessions.answer(prescriber, one, each.rule, decision=Decision.PROCEED, reason="pain; watched one to one")
    with pytest.raises(SecondPerson):
        titration.set_new_rate(nurse, one, second=None, version=version_of(north, one), **check)
    titration.set_new_rate(nurse, one, second=second, version=version_of(north, one), **check)
    session = sessions.read_session(nurse, one).shown.session
    assert session.state is SessionState.DOSING
    assert session.prepared is not None
    total = session.prepared.amount_ug  # 12 mg/h for 1 h and 15 mg/h for 3 h; the clock ticks between the acts
    assert 57_000 <= total <= 57_100
    later(north, 180)
    room.end_dose(nurse, one, amounts_ug=(("v1", total),))
    assert sessions.read_session(nurse, one).shown.session.complete


def test_the_chair_follows_the_day(north: Store) -> None:
    """Freed by a no-go and by leaving, held by a longer stay, and booked again after a no-show that was none."""
    nurse, coordinator = desk(north, NURSE), desk(north, COORDINATOR)
    vial(north)
    _, course = in_induction(north)
    first = book(north, course, minutes=30)
    later(north, 31)
    diary.no_show(coordinator, first, reason="not here")
    diary.undo_missed(coordinator, first, reason="sat in the wrong room")
    assert sessions.read_session(nurse, first).shown.session.state is SessionState.BOOKED
    _, other = in_induction(north, name="Jonas Weber")
    second = book(north, other, minutes=140)
    screened(north, first)
    stay = diary.stay_longer(nurse, first, until=now(north) + timedelta(minutes=200), reason="slow to wake")
    assert stay.also == (second,)
    (clash,) = diary.list_clashes(nurse, first).shown
    assert "chair c1 is taken" in clash.text
    sessions.say_no_go(desk(north, PRESCRIBER), first, reason="feverish")
    since = now(north) - timedelta(hours=6)
    shown = diary.read_diary(nurse, since=since, until=since + timedelta(hours=12)).shown
    assert shown.booking(first).state == "left"
    assert shown.booking(first).until <= now(north)
    assert diary.list_clashes(nurse, second).shown == ()


def test_an_event_told_after_the_close_has_its_time_and_grade(north: Store, session: str) -> None:
    dosing(north, session)
    left(north, session)
    closed(north, session)
    shut = sessions.read_session(desk(north, NURSE), session).shown.session.closed_at
    assert shut is not None
    later(north, 30)
    nurse = desk(north, NURSE)
    with pytest.raises(MissingValue, match="needs its grade") as ungraded:
        room.note_event(nurse, session, term="Anxiety", started_at=now(north) - timedelta(minutes=5))
    assert ungraded.value.about == "grade"
    with pytest.raises(MissingValue, match="when the event began"):
        room.note_event(nurse, session, term="Anxiety", grade=1, serious=False)
    at = now(north) - timedelta(minutes=5)
    room.note_event(nurse, session, term="Anxiety", started_at=at, grade=1, serious=False)
    before = shut - timedelta(minutes=2)  # taken by a tablet without a line, before the close
    room.note_event(nurse, session, term="Nausea", started_at=before, id="late-1", tablet_at=before)
    held = sessions.read_session(nurse, session).shown.session
    assert [(each.term, each.grade) for each in held.adverse_events] == [("Anxiety", 1), ("Nausea", None)]
