"""From inquiry to relapse and stop, with what a course is made of, by use cases on both databases."""

from __future__ import annotations

from dataclasses import replace
from datetime import date, timedelta

import pytest
from tests.integration.care import (
    FORM,
    actor,
    asked,
    book,
    candidate,
    desk,
    in_induction,
    later,
    now,
    open_clinic,
    register,
    vial,
)
from tests.integration.desks import at_work, without_policy

from afterglow.clinic import (
    Chair,
    Closure,
    ConflictKind,
    ConsentMethod,
    CourseState,
    Decision,
    Delivery,
    Indication,
    InfusionRun,
    Medicine,
    ReviewDecision,
    ReviewKind,
    Role,
    SessionState,
    StopReason,
    TreatmentSession,
    WithdrawalMethod,
)
from afterglow.errors import (
    BookingRefused,
    Conflict,
    GateClosed,
    MissingValue,
    NotFound,
    NotOverridable,
    OutOfRange,
    PolicyUnsigned,
    SecondPerson,
    TooEarly,
    UnknownName,
    WrongOrder,
    WrongState,
)
from afterglow.quantities import DrugForm
from afterglow.store import audit, facts
from afterglow.store.patients import Identifiers
from afterglow.store.records import Store
from afterglow.usecases import charts, courses, diary, drugs, measures, patients, policies
from afterglow.usecases.patients import KnownFact

PRESCRIBER, NURSE, COORDINATOR, DIRECTOR = Role.PRESCRIBER, Role.NURSE, Role.COORDINATOR, Role.MEDICAL_DIRECTOR


@pytest.fixture
def north(store: Store) -> Store:
    made = at_work(store)
    open_clinic(made)
    return made


def version(store: Store, course_id: str) -> int:
    return courses.read_course(desk(store, PRESCRIBER), course_id).shown.version


def state(store: Store, course_id: str) -> CourseState:
    return courses.read_course(desk(store, PRESCRIBER), course_id).shown.now.state


def end_induction(store: Store, course_id: str) -> None:
    courses.review(
        desk(store, PRESCRIBER),
        course_id,
        kind=ReviewKind.END_OF_INDUCTION,
        decision=ReviewDecision.CONTINUE,
        reason="halved",
        version=version(store, course_id),
    )


def sit_through(store: Store, course_id: str) -> None:
    """A session that was given, as far as a course counts it; how one is given is told in `test_sessions`."""
    session_id = book(store, course_id, minutes=3 * 24 * 60)
    later(store, 4 * 24 * 60)
    with store.write("north", by="test") as tx:
        head = facts.load(tx, TreatmentSession, session_id)
        assert head.now is not None
        given = replace(head.now, runs=(InfusionRun(since=head.now.planned_at),), state=SessionState.CLOSED)
        facts.save(tx, given, id=head.id, version=head.version, patient_id=head.patient_id, state=given.state)
        tx.event("test.given", patient_id=head.patient_id, subject=session_id)


def test_a_course_from_inquiry_to_stop(north: Store) -> None:
    patient, course = in_induction(north)
    prescriber = desk(north, PRESCRIBER)
    assert state(north, course) is CourseState.INDUCTION
    with pytest.raises(GateClosed, match="benefit review"):
        courses.maintain(prescriber, course, version=version(north, course))
    with pytest.raises(TooEarly, match="0 sessions in this induction"):
        end_induction(north, course)
    for _ in range(4):
        sit_through(north, course)
    end_induction(north, course)
    prescriber = desk(north, PRESCRIBER)
    courses.maintain(prescriber, course, version=version(north, course))
    courses.pause(desk(north, NURSE), course, reason="holiday", version=version(north, course))
    courses.resume(prescriber, course, version=version(north, course))
    assert state(north, course) is CourseState.MAINTENANCE
    courses.relapse(prescriber, course, reason="back to 18", version=version(north, course))
    courses.recover(prescriber, course, reason="one session helped", version=version(north, course))
    courses.relapse(prescriber, course, reason="again", version=version(north, course))
    with pytest.raises(GateClosed, match="W02"):  # what was asked at intake is weeks old
        courses.induce_again(prescriber, course, version=version(north, course))
    patients.note_facts(desk(north, NURSE), patient, asked())
    courses.induce_again(prescriber, course, version=version(north, course))
    assert state(north, course) is CourseState.REINDUCTION
    courses.stop(
        desk(north, COORDINATOR), course, why=StopReason.PATIENT_CHOICE, reason="moves", version=version(north, course)
    )
    assert state(north, course) is CourseState.STOPPED
    with pytest.raises(WrongState):
        book(north, course)
    assert audit.verify(north, "north").faults == ()


def test_two_people_do_not_change_one_course_over_each_other(north: Store) -> None:
    _, course = in_induction(north)
    seen = version(north, course)
    courses.pause(desk(north, NURSE), course, reason="ill", version=seen)
    with pytest.raises(Conflict, match="Load it again"):
        courses.stop(desk(north, COORDINATOR), course, why=StopReason.OTHER, version=seen)


def test_candidacy_tells_what_is_missing_and_what_is_met(north: Store) -> None:
    patient = register(north)
    course = courses.open_course(
        desk(north, COORDINATOR),
        patient,
        delivery=Delivery.IV,
        drug=DrugForm.RACEMIC_KETAMINE,
        indication=Indication.TRD,
    ).id
    with pytest.raises(GateClosed, match="not asked"):
        courses.accept(desk(north, COORDINATOR), course, emergency=None, version=1)
    courses.accept(desk(north, COORDINATOR), course, emergency=False, version=1)
    found = courses.read_candidacy(desk(north, NURSE), course).shown
    assert "C001" in {each.rule for each in found.blocking}
    unknown = patients.register(desk(north, COORDINATOR), Identifiers(name="No Date")).id
    other = courses.open_course(
        desk(north, COORDINATOR),
        unknown,
        delivery=Delivery.IV,
        drug=DrugForm.RACEMIC_KETAMINE,
        indication=Indication.TRD,
    ).id
    assert "age" in {n for e in courses.read_candidacy(desk(north, NURSE), other).shown.unknowns for n, _ in e.observed}
    with pytest.raises(GateClosed):
        courses.find_suitable(desk(north, PRESCRIBER), course, version=2)
    with pytest.raises(NotFound, match="No rule of candidacy"):
        courses.answer_candidacy(desk(north, PRESCRIBER), course, "S010", decision=Decision.PROCEED, reason="x")
    with pytest.raises(NotOverridable, match="must be known"):
        courses.answer_candidacy(desk(north, PRESCRIBER), course, "C001", decision=Decision.PROCEED, reason="x")


def test_an_exclusion_is_answered_by_two(north: Store) -> None:
    patient = register(north)
    course = candidate(north, patient, sud__active=True)
    measures.record(desk(north, NURSE), patient, "GAD-7", total=9)
    prescriber = desk(north, PRESCRIBER)
    courses.plan(prescriber, course, endpoint="halved", induction_sessions=6, interval_days=3.5, version=2)
    hits = [each for each in courses.read_candidacy(prescriber, course).shown.open if each.rule != "C062"]
    for each in hits:
        with pytest.raises(SecondPerson):
            courses.answer_candidacy(prescriber, course, each.rule, decision=Decision.PROCEED, reason="in treatment")
        with pytest.raises(SecondPerson):
            courses.answer_candidacy(
                prescriber,
                course,
                each.rule,
                decision=Decision.PROCEED,
                reason="in treatment",
                cosigner=prescriber.actor,
            )
    for each in hits:
        courses.answer_candidacy(
            prescriber,
            course,
            each.rule,
            decision=Decision.PROCEED,
            reason="in treatment, agreed",
            cosigner=actor(north, PRESCRIBER, by="prescriber-2"),
        )
    assert [each.severity for each in hits] == ["exclude"]
    assert {each.rule for each in courses.read_candidacy(prescriber, course).shown.open} == {"C062"}  # consent is later
    courses.find_suitable(prescriber, course, version=3)


def test_what_was_asked_grows_old_by_whole_days(north: Store) -> None:
    patient = register(north)
    course = candidate(north, patient, hx__days_since_cv_event=60)
    later(north, 10 * 24 * 60)
    found = courses.read_candidacy(desk(north, NURSE), course).shown
    seen = {name: value for each in found.findings for name, value in each.observed}
    assert seen["hx.days_since_cv_event"] == 70
    assert seen["age"] == 43
    known = charts.read_chart(desk(north, NURSE), patient).shown.known
    assert len(known) == len(asked(hx__days_since_cv_event=60))


def test_facts_that_the_record_holds_are_not_typed_again(north: Store) -> None:
    patient, nurse = register(north), desk(north, NURSE)
    for name in ("age", "consent.current", "meds.lithium", "trd.adequate_trials", "plan.route", "dose.mg"):
        with pytest.raises(OutOfRange, match="record itself holds"):
            patients.note_facts(nurse, patient, {name: True})
    with pytest.raises(UnknownName):
        patients.note_facts(nurse, patient, {"hx.nonsense": True})
    with pytest.raises(WrongOrder):
        patients.note_facts(nurse, patient, {"hx.avm": False}, learnt_at=now(north) + timedelta(days=1))


def test_a_fact_of_the_wrong_patient_stands_for_nothing(north: Store) -> None:
    anna, berta = register(north), register(north, "Berta Muster")
    nurse = desk(north, NURSE)
    patients.note_facts(nurse, anna, {"hx.avm": True})
    with north.read("north") as tx:
        (fact,) = facts.standing(tx, KnownFact, patient_id=anna)
    with pytest.raises(OutOfRange):
        patients.mark_in_error(nurse, berta, fact.id, reason="Berta's")
    with pytest.raises(MissingValue):
        patients.mark_in_error(nurse, anna, fact.id, reason=" ")
    patients.mark_in_error(nurse, anna, fact.id, reason="Berta's")
    with pytest.raises(Conflict):
        patients.mark_in_error(nurse, anna, fact.id, reason="Berta's")
    assert charts.read_chart(nurse, anna).shown.known == ()


def test_a_patient_is_found_by_name_part_birth_date_and_number(north: Store) -> None:
    anna, berta = register(north), register(north, "Berta Muster")
    desk_ = desk(north, COORDINATOR)
    assert [each.id for each in patients.find(desk_, "ber ann").shown] == [anna]
    assert {each.id for each in patients.find(desk_, born_on=date(1982, 5, 1)).shown} == {anna, berta}
    assert [each.id for each in patients.find(desk_, "muster", born_on=date(1982, 5, 1)).shown] == [berta]
    assert [each.id for each in patients.find(desk_, record_number="r-anna berger").shown] == [anna]
    with pytest.raises(MissingValue):
        patients.find(desk_, " ")


def test_a_patient_is_registered_once_and_corrected_under_a_version(north: Store) -> None:
    anna, office = register(north), desk(north, COORDINATOR)
    same = Identifiers(name="anna  BERGER", born_on=date(1982, 5, 1))
    with pytest.raises(Conflict, match="here already"):
        patients.register(office, same)
    with pytest.raises(Conflict, match="here already"):
        patients.register(office, Identifiers(name="Other", record_number="R-Anna Berger"))
    twin = patients.register(office, same, twin=True).id
    assert twin != anna
    for number in ("R-Anna Berger", " r-ANNA  berger"):
        with pytest.raises(Conflict, match="record number is here already"):
            patients.register(office, replace(same, record_number=number), twin=True)
        with pytest.raises(Conflict, match="record number is here already"):
            patients.identify(office, twin, replace(same, record_number=number), version=1)
    now_ = patients.identify(office, anna, Identifiers(name="Anna Berger-Muster"), version=1)
    assert now_.version == 2
    assert patients.identify(office, twin, replace(same, record_number="R-2"), version=1).version == 2
    assert patients.identify(office, twin, replace(same, record_number="R-2", phone="044"), version=2).version == 3
    with pytest.raises(Conflict):
        patients.identify(office, anna, Identifiers(name="X"), version=1)
    found = patients.read_identity(office, anna).shown
    assert found.identifiers is not None
    assert found.identifiers.name == "Anna Berger-Muster"


@pytest.mark.parametrize(("first", "second"), [(None, None), (None, date(1982, 5, 1)), (date(1982, 5, 1), None)])
def test_the_same_name_without_a_birth_date_may_be_the_same_person(
    north: Store, first: date | None, second: date | None
) -> None:
    office = desk(north, COORDINATOR)
    one = patients.register(office, Identifiers(name="Carl Muster", born_on=first)).id
    with pytest.raises(Conflict, match="birth date missing"):
        patients.register(office, Identifiers(name="carl MUSTER", born_on=second))
    assert patients.register(office, Identifiers(name="Carl Muster", born_on=second), twin=True).id != one


def test_medicines_and_trials_are_replaced_and_kept_in_the_history(north: Store) -> None:
    patient, nurse = register(north), desk(north, NURSE)
    for listed in ((), (Medicine(ingredient="lithium"),)):
        patients.reconcile_medicines(nurse, patient, listed, visit="intake")
    patients.note_trials(nurse, patient, ())
    chart = charts.read_chart(nurse, patient).shown
    assert chart.medicines is not None
    assert [each.ingredient for each in chart.medicines.medicines] == ["lithium"]
    assert chart.trials is not None
    assert chart.trials.trials == ()
    assert (chart.allergies, chart.courses) == (None, ())


@pytest.mark.parametrize(
    ("about", "wrong"),
    [
        ("born_on", date(2099, 1, 1)),
        ("born_on", date(1850, 1, 1)),
        ("email", "anna.example.org"),
        ("email", "anna@example"),
        ("email", "anna@@example.org"),
        ("email", "anna @example.org"),
        ("phone", "call me"),
        ("name", "Anna\u202eBerger"),
        ("address", "Street 1\nTown"),
        ("record_number", "R\x007"),
    ],
)
def test_what_nobody_has_is_refused_and_never_told(north: Store, about: str, wrong: str | date) -> None:
    office = desk(north, COORDINATOR)
    good = Identifiers(name="Zahra کاوه\u200cیان", born_on=date(1982, 5, 1), email="z@a.example", phone="+41 (0)44")
    patient = patients.register(office, good).id
    bad = replace(good, **{about: wrong})  # type: ignore[arg-type]
    with pytest.raises(OutOfRange) as new:
        patients.register(office, bad, twin=True)
    with pytest.raises(OutOfRange) as corrected:
        patients.identify(office, patient, bad, version=1)
    for caught in (new.value, corrected.value):
        assert caught.about == about
        assert str(wrong) not in caught.message
    assert patients.read_identity(office, patient).shown.identifiers == good


def test_one_course_of_an_indication_and_delivery_is_open(north: Store) -> None:
    patient, office = register(north), desk(north, COORDINATOR)

    def opened(delivery: Delivery, indication: Indication, whose: str = patient) -> str:
        kind = {"delivery": delivery, "drug": DrugForm.RACEMIC_KETAMINE, "indication": indication}
        return courses.open_course(office, whose, **kind).id  # type: ignore[arg-type]

    first = opened(Delivery.IV, Indication.TRD)
    with pytest.raises(Conflict, match="open already") as caught:
        opened(Delivery.IV, Indication.TRD)
    assert first in str(caught.value.observed)
    opened(Delivery.IM, Indication.TRD)
    opened(Delivery.IV, Indication.PTSD)
    opened(Delivery.IV, Indication.TRD, register(north, "Berta Weber"))
    courses.stop(office, first, why=StopReason.OTHER, reason="moved", version=1)
    assert opened(Delivery.IV, Indication.TRD) != first


def test_consent_is_on_the_form_in_use_and_may_be_taken_back(north: Store) -> None:
    patient = register(north)
    course = courses.open_course(
        desk(north, COORDINATOR),
        patient,
        delivery=Delivery.IM,
        drug=DrugForm.RACEMIC_KETAMINE,
        indication=Indication.TRD,
    ).id
    given = {"method": ConsentMethod.ELECTRONIC, "off_label_stated": True, "given_by": "patient"}
    with pytest.raises(GateClosed, match="No consent form"):
        courses.take_consent(desk(north, NURSE), course, **given, version=1)  # type: ignore[arg-type]
    director = desk(north, DIRECTOR)
    policies.publish_consent_form(director, Delivery.IM, version="1")
    courses.take_consent(desk(north, NURSE), course, **given, version=1)  # type: ignore[arg-type]
    with pytest.raises(Conflict, match="in use already"):
        policies.publish_consent_form(director, Delivery.IM, version="1 ")
    policies.publish_consent_form(director, Delivery.IM, version="2")
    with pytest.raises(MissingValue):
        policies.publish_consent_form(director, Delivery.IM, version=" ")
    courses.take_back_consent(
        desk(north, COORDINATOR), course, withdrawn_by="patient", how=WithdrawalMethod.BY_PHONE, version=2
    )
    (consent,) = courses.read_course(desk(north, NURSE), course).shown.now.consents
    assert (consent.version, consent.withdrawn_at is not None) == ("1", True)
    assert (consent.withdrawn_by, consent.withdrawn_how) == ("patient", WithdrawalMethod.BY_PHONE)


def test_the_label_is_derived(north: Store) -> None:
    _, course = in_induction(north, Delivery.ESK)
    assert courses.read_label(desk(north, NURSE), course).shown.on_label is True
    plan = courses.read_course(desk(north, NURSE), course).shown.now.plan
    assert plan is not None
    assert plan.label_statement.startswith("on label in US")


def test_a_patient_is_erased_after_retention_by_two(north: Store) -> None:
    patient, compliance = register(north), desk(north, Role.COMPLIANCE)
    director = actor(north, DIRECTOR)
    with pytest.raises(MissingValue):
        patients.erase(compliance, patient, reason=" ", second=director)
    for second in (None, actor(north, NURSE)):
        with pytest.raises(SecondPerson):
            patients.erase(compliance, patient, reason="asked for", second=second)
    with pytest.raises(TooEarly, match="10 years"):
        patients.erase(compliance, patient, reason="asked for", second=director)
    later(north, 10.1 * 365.25 * 24 * 60)
    compliance, director = desk(north, Role.COMPLIANCE), actor(north, DIRECTOR)
    patients.erase(compliance, patient, reason="retention is over", second=director)
    assert patients.read_identity(desk(north, COORDINATOR), patient).shown.identifiers is None
    assert patients.find(desk(north, COORDINATOR), "anna").shown == ()
    assert audit.erasures(north, "north") == (patient,)
    assert audit.verify(north, "north").faults == ()
    with pytest.raises(Conflict):
        patients.erase(desk(north, Role.COMPLIANCE), patient, reason="again", second=actor(north, DIRECTOR))


# The diary.


def test_a_chair_is_booked_once(north: Store) -> None:
    _, anna = in_induction(north)
    _, berta = in_induction(north, name="Berta Muster")
    _, clara = in_induction(north, name="Clara Test")
    first = book(north, anna)
    with pytest.raises(BookingRefused, match="chair c1 is taken"):
        book(north, berta)
    at = now(north) + timedelta(minutes=60)
    office = desk(north, COORDINATOR)
    found = diary.list_conflicts(office, berta, chair_id="c1", starts_at=at, dose_minutes=40).shown
    assert [each.kind for each in found] == [ConflictKind.CHAIR_TAKEN]
    book(north, berta, chair="c2")
    with pytest.raises(BookingRefused, match="staff can watch 2"):
        book(north, clara, chair="c3")
    diary.move(office, first, chair_id="c1", starts_at=at + timedelta(days=1), reason="patient asked")
    second = book(north, clara)
    diary.cancel_booking(office, second, reason="ill")
    third = book(north, clara)
    with pytest.raises(TooEarly, match="no show"):
        diary.no_show(office, third, reason="did not come")
    later(north, 90)
    diary.no_show(office, third, reason="did not come")
    shown = diary.read_diary(office, since=at, until=at + timedelta(days=3)).shown
    assert {each.id for each in shown.bookings} & {first, second, third} == {first}
    page = charts.read_chart(desk(north, NURSE), shown.booking(first).patient_id).shown
    assert page.sessions[0].now.planned_at == at + timedelta(days=1)
    far = at + timedelta(days=30)
    assert diary.move(office, first, chair_id="c2", starts_at=far, reason="holiday").state == "booked"
    with pytest.raises(OutOfRange):
        diary.read_diary(office, since=now(north), until=now(north))
    with pytest.raises(WrongState):
        diary.cancel_booking(office, second, reason="again")


def test_sessions_count_on_in_their_course(north: Store) -> None:
    patient, course = in_induction(north)
    book(north, course)
    later(north, 8 * 24 * 60)
    book(north, course)
    found = sorted(each.now.number for each in charts.read_chart(desk(north, NURSE), patient).shown.sessions)
    assert found == [1, 2]


def test_a_clinic_without_chairs_books_nothing(store: Store) -> None:
    north = at_work(store)
    for delivery in (Delivery.IV,):
        policies.publish_consent_form(desk(north, DIRECTOR), delivery, version=FORM)
    _, course = in_induction(north)
    with pytest.raises(NotFound, match="no chairs"):
        book(north, course)
    chair = Chair(id="c1", deliveries=(Delivery.IV,))
    office = desk(north, COORDINATOR)
    for chairs, capacity in (((), 1), ((chair,), 0)):
        with pytest.raises(OutOfRange):
            policies.set_chairs(office, chairs, capacity=capacity)
    with pytest.raises(Conflict):
        policies.set_chairs(office, (chair, chair), capacity=1)
    night = Closure(starts_at=now(north), until=now(north), reason="night")
    with pytest.raises(WrongOrder):
        policies.set_chairs(office, (chair,), capacity=1, closures=(night,))
    policies.set_chairs(office, (chair,), capacity=1)
    policies.set_chairs(office, (chair,), capacity=2)
    book(north, course)


# Policy.


def test_a_policy_is_drafted_signed_and_then_stands(store: Store) -> None:
    north = without_policy(store)
    director = desk(north, DIRECTOR)
    with pytest.raises(PolicyUnsigned):
        policies.read_policy(director)
    policies.draft(director, {"S013.spo2_below": 95.0})
    with pytest.raises(Conflict, match="waits for its signature"):
        policies.draft(director, {})
    policies.discard(director, 1, {"S013.spo2_below": 93.0})
    with pytest.raises(TooEarly):
        policies.sign(director, 1, effective_from=now(north) - timedelta(days=1))
    policies.sign(director, 1)
    with pytest.raises(Conflict):
        policies.discard(director, 1, {})
    with pytest.raises(WrongState):
        policies.sign(director, 1)
    policies.draft(director, {"alerts.high_minutes": 10.0})
    lines = {each.name: each for each in policies.read_policy(director).shown}
    assert (lines["S013.spo2_below"].value, lines["alerts.high_minutes"].value) == (93.0, 15.0)
    newer = {each.name: each.value for each in policies.read_policy(director, 2).shown}
    assert (newer["S013.spo2_below"], newer["alerts.high_minutes"]) == (93.0, 10.0)
    policies.discard(director, 2, {})
    assert [each.version for each in policies.list_policies(director).shown] == [1, 2]


# Drugs.


def test_drug_is_counted_explained_and_wasted_by_two(north: Store) -> None:
    vial(north)
    nurse, witness = desk(north, NURSE), actor(north, NURSE, by="nurse-2")
    with pytest.raises(Conflict):
        vial(north)
    with pytest.raises(SecondPerson):
        drugs.count_container(nurse, "v1", counted_ug=500_000, version=1)
    drugs.count_container(nurse, "v1", counted_ug=450_000, witness=witness, version=1)
    with pytest.raises(WrongState):
        drugs.waste_container(nurse, "v1", reason="old", witness=witness, version=2)
    drugs.explain_container(desk(north, Role.COMPLIANCE), "v1", reason="spilt", version=2)
    with pytest.raises(Conflict):
        drugs.waste_container(nurse, "v1", reason="old", witness=witness, version=2)
    drugs.waste_container(nurse, "v1", reason="old", witness=witness, version=3)
    lot = drugs.read_lot(nurse, "L1").shown
    assert (lot.received_ug, lot.wasted_ug, lot.written_off_ug, lot.in_stock_ug) == (500_000, 450_000, 50_000, 0)
    assert drugs.list_stock(nurse).shown == ()
