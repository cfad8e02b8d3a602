"""Moves that a review used to reach unsafe states: each is refused, and its harmless neighbour goes on."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta

import pytest
from tests import clinic_cases as cases
from tests.clinic_cases import POLICY, at, entered, nurse, prescriber

from afterglow.clinic import (
    AdverseEvent,
    BodyWeight,
    CourseState,
    Delivery,
    Leaving,
    Medicine,
    RateStep,
    Role,
    SessionState,
    TreatmentSession,
    amend_screening,
    arrive,
    assess_emergency,
    attach_dose,
    back_to_screen,
    check_dose,
    clear_to_leave,
    count,
    draft_policy,
    explain,
    finish_dose,
    give_back,
    go,
    grade_event,
    order_dose,
    prepare_dose,
    receive,
    record_event,
    screen,
    sign_note,
    sign_policy,
    start_dose,
    take_drug,
    transfer,
    walk_out,
    waste,
)
from afterglow.errors import (
    AfterglowError,
    Conflict,
    GateClosed,
    MissingValue,
    NotPermitted,
    OutOfRange,
    PolicyUnsigned,
    SecondPerson,
    TooEarly,
    Unbalanced,
    WrongOrder,
    WrongState,
)
from afterglow.quantities import DrugForm


def start(session: TreatmentSession, minutes: float = 15, **changes: object) -> TreatmentSession:
    chart = cases.chart(session.delivery, **changes)
    return start_dose(session, nurse(minutes), chart=chart, policy=POLICY).now


def say_go(session: TreatmentSession, minutes: float = 10, **changes: object) -> TreatmentSession:
    chart = cases.chart(session.delivery, **changes)
    return go(session, prescriber(minutes), chart=chart, policy=POLICY).now


def test_the_dose_is_not_swapped_after_the_go() -> None:
    session = cases.cleared(Delivery.IV)
    assert session.prepared is not None
    with pytest.raises(WrongState):
        attach_dose(session, session.prepared, session.second_check, nurse(11), policy=POLICY)
    with pytest.raises(WrongState):
        order_dose(session, cases.order(Delivery.IV, ordered_at=at(11)), prescriber(11))


def test_a_prescriber_orders_in_an_act_of_their_own() -> None:
    session = arrive(cases.booked(), nurse(0), policy=POLICY).now
    with pytest.raises(NotPermitted):
        order_dose(session, cases.order(ordered_at=at(1), ordered_by="nurse1"), nurse(1))
    with pytest.raises(Conflict, match="is the act's"):
        order_dose(session, cases.order(ordered_at=at(1), ordered_by="janitor"), prescriber(1))
    with pytest.raises(SecondPerson, match="two people"):
        cases.order(ordered_by="prescriber1", second_signature_by="Prescriber1 ")
    assert order_dose(session, cases.order(ordered_at=at(1)), prescriber(1)).now.order is not None


@pytest.mark.parametrize("field", ["amount_ug", "volume_ul", "concentration_ug_per_ul"])
def test_a_second_check_of_another_preparation_does_not_count(field: str) -> None:
    session = cases.screened(Delivery.IV)
    check, prepared = session.second_check, session.prepared
    assert check is not None
    assert prepared is not None
    other = replace(check, **{field: getattr(check, field) * 2})
    with pytest.raises(GateClosed, match="differs"):
        attach_dose(session, prepared, other, nurse(9), policy=POLICY)
    assert attach_dose(session, prepared, check, nurse(9), policy=POLICY)


def test_logins_are_compared_as_one_person() -> None:
    session = cases.screened(Delivery.IV)
    assert session.prepared is not None
    for same in ("Nurse1 ", "ｎｕｒｓｅ１", "nur\u200bse1", "\ufeffnurse1", "nurse\u00ad1", "nurse¹"):
        with pytest.raises(SecondPerson):
            check_dose(session.prepared, nurse(8, by=same), policy=POLICY, amount_ug=40_000, volume_ul=800)
    with pytest.raises(SecondPerson, match="Giving"):
        start_dose(cases.taken(cases.cleared()), nurse(15, by="nurse2"), chart=cases.chart(), policy=POLICY)


def test_no_act_is_dated_before_the_last() -> None:
    with pytest.raises(WrongOrder):
        take_drug(cases.cleared(), cases.device("d1"), nurse(9.9), amount_ug=28_000)
    with pytest.raises(WrongOrder):
        cases.sprayed(cases.dosing(), 14.9, "d1")
    session = cases.observing(Delivery.IV)
    vial = cases.drawn(session)
    with pytest.raises(WrongOrder):
        waste(session, vial, nurse(54, reason="r"), amount_ug=10_000, policy=POLICY, witness=nurse(54, by="n2"))
    late = nurse(55 + 15.1, by="n2")
    with pytest.raises(WrongOrder, match="witness"):
        waste(session, vial, nurse(55, reason="r"), amount_ug=10_000, policy=POLICY, witness=late)


READ_AFTER_GO: list[tuple[dict[str, object], str | None]] = [
    ({"systolic_mmhg": 140}, None),
    ({"systolic_mmhg": 141}, "S010"),
    ({"spo2_pct": 94}, None),
    ({"spo2_pct": 93}, "S013"),
    ({"heart_rate_per_min": 128}, "S014"),
]


@pytest.mark.parametrize(("values", "refused"), READ_AFTER_GO)
def test_what_is_read_after_the_go_is_judged_at_the_start(values: dict[str, object], refused: str | None) -> None:
    session = entered(cases.taken(cases.cleared()), 13, **values)  # type: ignore[arg-type]
    if refused is None:
        assert start(session).state is SessionState.DOSING
        return
    with pytest.raises(GateClosed) as caught:
        start(session)
    assert caught.value.rule == refused


@pytest.mark.parametrize(("minutes", "allowed"), [(64, True), (64.1, False), (60 * 24 * 9, False)])
def test_readings_screening_and_go_grow_old(minutes: float, *, allowed: bool) -> None:
    """The last set was read at minute 4 and counts for 60 minutes."""
    session = cases.taken(cases.cleared())
    if allowed:
        assert start(session, minutes).state is SessionState.DOSING
    else:
        with pytest.raises(GateClosed):
            start(session, minutes)


def test_the_record_is_not_overridden_by_what_is_said_at_screening() -> None:
    session = arrive(cases.booked(), nurse(0), policy=POLICY).now
    for name in ("bp.systolic", "dose.mg", "weight.age_days", "schedule.treatment_week", "age", "consent.current"):
        with pytest.raises(OutOfRange, match="not asked"):
            screen(entered(session, 1), nurse(1), facts={name: 1})
    high = entered(cases.screened(Delivery.IV), 9, systolic_mmhg=199, diastolic_mmhg=118, spo2_pct=84)
    with pytest.raises(GateClosed):
        say_go(high)


CHARTS: list[tuple[Callable[[], dict[str, object]], type[AfterglowError], str]] = [
    (lambda: {"course": cases.course(state=CourseState.STOPPED)}, GateClosed, "not under treatment"),
    (lambda: {"course": cases.course(state=CourseState.PAUSED)}, GateClosed, "not under treatment"),
    (lambda: {"course": cases.course(authorisations=())}, GateClosed, "No authorised unit"),
    (lambda: {"course": cases.course(consents=())}, GateClosed, "consent"),
    (lambda: {"consent_version": "3"}, GateClosed, "consent"),
    (lambda: {"course": cases.course(patient_id="p2")}, Conflict, "another course"),
    (lambda: {"candidacy": replace(cases.candidacy(), patient_id="p2")}, Conflict, "another patient"),
    (lambda: {"candidacy": cases.candidacy(minutes=11)}, GateClosed, "not assessed at this visit"),
    (lambda: {"candidacy": cases.candidacy(minutes=-1)}, GateClosed, "not assessed at this visit"),
    (lambda: {"candidacy": replace(cases.candidacy(), policy_version=7)}, Conflict, "another policy"),
    (lambda: {"medicines": cases.reconciled(Medicine(ingredient="newdrug"))}, GateClosed, "not classified"),
    (lambda: {"medicines": cases.reconciled(Medicine(ingredient="lorazepam"))}, GateClosed, "another medicine list"),
    (lambda: {"medicines": replace(cases.reconciled(), reconciled_at=at(-1))}, GateClosed, "not reconciled"),
    (lambda: {"age_years": None}, GateClosed, "another age"),
    (lambda: {"age_years": 15}, GateClosed, "another age"),
    (lambda: {"age_years": 45}, GateClosed, "another age"),
    (lambda: {"age_years": float("nan")}, OutOfRange, "age is refused"),
]


@pytest.mark.parametrize(("changes", "error", "text"), CHARTS)
def test_the_chart_closes_gates_at_the_go_and_at_the_start(
    changes: Callable[[], dict[str, object]], error: type[AfterglowError], text: str
) -> None:
    with pytest.raises(error, match=text):
        say_go(cases.screened(), **changes())  # type: ignore[arg-type]
    if "11" not in text and "at this visit" not in text:
        with pytest.raises(error, match=text):
            start(cases.taken(cases.cleared()), **changes())  # type: ignore[arg-type]


def test_earlier_sessions_are_all_there_and_none_is_running() -> None:
    second = replace(cases.screened(), id="s2", number=2)
    with pytest.raises(Conflict, match="other sessions"):
        say_go(second)
    running = replace(cases.observing(), id="s1", number=1)
    with pytest.raises(GateClosed, match="Another session"):
        say_go(second, sessions=(running,), medicines=replace(cases.reconciled(), visit="s2"))


def test_consent_taken_back_stops_the_next_device() -> None:
    session = cases.sprayed(cases.dosing(), 15, "d1")
    with pytest.raises(GateClosed, match="consent"):
        cases.sprayed(session, 20, "d2", chart=cases.chart(course=cases.course(consents=())))
    assert cases.sprayed(session, 20, "d2").given_ug == 56_000


def test_a_container_matches_the_dose_in_drug_and_strength() -> None:
    session = cases.cleared(Delivery.IM)
    wrong = (
        replace(cases.vial(), drug=DrugForm.ESKETAMINE),
        replace(cases.vial(), concentration_ug_per_ul=100),
    )
    for container in wrong:
        with pytest.raises(Conflict, match="not what the dose"):
            take_drug(session, container, nurse(12), amount_ug=40_000)
    with pytest.raises(Unbalanced):
        take_drug(session, cases.vial(), nurse(12), amount_ug=10**9)
    now, vial = take_drug(session, cases.vial(), nurse(12), amount_ug=40_000).now
    assert (now.outstanding_ug("v1"), vial.balance_ug) == (40_000, 460_000)
    with pytest.raises(Unbalanced, match="only unopened"):
        give_back(now, vial, nurse(13, reason="r"), amount_ug=40_000)


def test_a_device_is_one_container_and_sprayed_once() -> None:
    box = receive(
        nurse(0),
        container_id="d1",
        lot="E",
        drug=DrugForm.ESKETAMINE,
        expires_on=at(0).date(),
        amount_ug=56_000,
        concentration_ug_per_ul=None,
    ).now
    with pytest.raises(Unbalanced, match="whole"):
        take_drug(cases.cleared(), box, nurse(12), amount_ug=28_000)
    with pytest.raises(Unbalanced, match="than was drawn"):
        cases.sprayed(cases.sprayed(cases.dosing(), 15, "d1"), 20, "d1")


@pytest.mark.parametrize("name", ["vitals.spo2", "bp.systolic", "hx.avm"])
def test_a_symptom_is_no_measured_value(name: str) -> None:
    with pytest.raises(OutOfRange, match="no symptom"):
        entered(cases.dosing(), 16, symptoms=((name, True),))


@pytest.mark.parametrize(("mg_per_h", "refused"), [(60.0, False), (60.1, True), (2340.0, True)])
def test_no_bolus_hides_in_rate_steps(mg_per_h: float, *, refused: bool) -> None:
    """0.0125 mg/kg/min for 80 kg is 60 mg/h."""
    steps = (RateStep(mg_per_h=mg_per_h, hours=1 / 60), RateStep(mg_per_h=0.5, hours=1.0))
    session = arrive(cases.booked(Delivery.IV), nurse(0), policy=POLICY).now
    session = screen(entered(session, 4), nurse(4), facts=cases.gate_facts()).now
    session = cases.prepared_for(session, cases.order(Delivery.IV, steps=steps, ordered_at=at(6)))
    if refused:
        with pytest.raises(GateClosed, match="S022"):
            say_go(session)
    else:
        assert say_go(session).state is SessionState.CLEARED


@pytest.mark.parametrize(("minutes", "allowed"), [(15.5, False), (50.9, False), (51, True)])
def test_an_infusion_takes_its_time(minutes: float, *, allowed: bool) -> None:
    """40 min from minute 15; a tenth may lack."""
    session = cases.dosing(Delivery.IV)
    if allowed:
        assert finish_dose(session, nurse(minutes), policy=POLICY, amounts_ug=(("v1", 40_000),)).now.complete
    else:
        with pytest.raises(TooEarly, match="shorter"):
            finish_dose(session, nurse(minutes), policy=POLICY, amounts_ug=(("v1", 40_000),))


LEAVING: list[tuple[dict[str, object], str]] = [
    ({"spo2_pct": 91}, "S044"),
    ({"respiratory_rate_per_min": 6}, "S045"),
    ({"symptoms": (("symptoms.hypertensive_crisis", True),)}, "S043"),
    ({"dissociated": True}, "S060"),
    ({"moaas": 4}, "S063"),
    ({"moaas": None}, "S035"),
    ({"dissociated": None}, "S035"),
]


@pytest.mark.parametrize(("values", "rule"), LEAVING)
def test_the_last_readings_hold_the_patient(values: dict[str, object], rule: str) -> None:
    session = entered(cases.watched(), 141, **values)  # type: ignore[arg-type]
    with pytest.raises(GateClosed) as caught:
        clear_to_leave(session, cases.leave_check(142), nurse(142), policy=POLICY)
    assert caught.value.rule == rule


@pytest.mark.parametrize(("minutes", "allowed"), [(165, True), (165.1, False)])
def test_leaving_needs_fresh_readings(minutes: float, *, allowed: bool) -> None:
    """The last set was read at minute 135 and counts for 30 minutes."""
    check = cases.leave_check(minutes)
    if allowed:
        assert clear_to_leave(cases.watched(), check, nurse(minutes), policy=POLICY).now.cleared
    else:
        with pytest.raises(GateClosed):
            clear_to_leave(cases.watched(), check, nurse(minutes), policy=POLICY)


def test_a_set_that_was_never_read_holds_the_patient() -> None:
    session = entered(cases.observing(), 136)
    with pytest.raises(GateClosed) as caught:
        clear_to_leave(session, cases.leave_check(140), nurse(140), policy=POLICY)
    assert caught.value.rule in {"S030", "S037"}


CHECKS: list[tuple[dict[str, object], type[AfterglowError]]] = [
    ({"session_id": "s2"}, Conflict),
    ({"by": "ghost"}, Conflict),
    ({"checked_at": at(10)}, WrongOrder),
    ({"checked_at": at(109.9)}, WrongOrder),
    ({"checked_at": at(140.1)}, WrongOrder),
]


@pytest.mark.parametrize(("changes", "error"), CHECKS)
def test_a_leave_check_is_of_this_session_person_and_time(
    changes: dict[str, object], error: type[AfterglowError]
) -> None:
    check = replace(cases.leave_check(140), **changes)  # type: ignore[arg-type]
    with pytest.raises(error):
        clear_to_leave(cases.watched(), check, nurse(140), policy=POLICY)


@pytest.mark.parametrize("points", [(2, 2, 2, 2), (2, 2, 2, 2, 3), (2, 2, 2, 2, -1), (2, 2, 2, 2, 2.0)])
def test_discharge_scores_have_parts_in_range(points: tuple[int, ...]) -> None:
    for name in ("aldrete", "padss"):
        with pytest.raises(OutOfRange):
            cases.leave_check(140, **{name: points})


def test_an_emergency_that_is_over_is_assessed_before_leaving() -> None:
    session = entered(cases.watched(), 141, spo2_pct=88)
    doctor = prescriber(142, reason="awake, lungs clear")
    with pytest.raises(GateClosed, match="not over"):
        assess_emergency(session, "S045", doctor, policy=POLICY)
    session = entered(session, 150, symptoms=(("events.apnoea", False),))
    with pytest.raises(GateClosed, match="not over"):
        clear_to_leave(session, cases.leave_check(151), nurse(151), policy=POLICY)
    session = assess_emergency(session, "S045", prescriber(151, reason="awake, lungs clear"), policy=POLICY).now
    assert clear_to_leave(session, cases.leave_check(151), nurse(151), policy=POLICY).now.cleared
    gone = transfer(entered(cases.observing(), 60, spo2_pct=80), nurse(61, reason="ambulance")).now
    assert (gone.left_how, gone.cleared) == (Leaving.TRANSFERRED, False)


def test_answers_that_come_late_are_recorded() -> None:
    session = cases.screened(changes={"logistics__escort_confirmed": None})
    with pytest.raises(GateClosed, match="S006"):
        say_go(session)
    late = amend_screening(session, nurse(9, reason="daughter called"), facts={"logistics.escort_confirmed": True}).now
    assert say_go(late).state is SessionState.CLEARED
    back = back_to_screen(cases.cleared(), nurse(11, reason="escort cancelled")).now
    assert back.go_at is None
    again = screen(back, nurse(12), facts=cases.gate_facts(logistics__escort_confirmed=False)).now
    with pytest.raises(GateClosed, match="S006"):
        say_go(again, 13)


def test_events_after_close_and_lower_grades() -> None:
    session = walk_out(cases.observing(), nurse(140, reason="r")).now
    event = AdverseEvent(id="a", term="Cystitis", started_at=at(200), by="nurse1", grade=3, serious=False)
    closed = replace(session, state=SessionState.CLOSED)
    now = record_event(closed, event, nurse(1500)).now
    with pytest.raises(MissingValue, match="lower grade"):
        grade_event(now, "a", nurse(1501), grade=2, serious=False, ended_at=None)
    assert grade_event(now, "a", nurse(1501, reason="urine clear"), grade=2, serious=False, ended_at=None)
    for wrong in (replace(event, started_at=at(1501)), replace(event, ended_at=at(199))):
        with pytest.raises(WrongOrder):
            record_event(closed, wrong, nurse(1500))
    with pytest.raises(Conflict):
        record_event(closed, replace(event, by="zzz"), nurse(1500))
    with pytest.raises(WrongState):
        sign_note(cases.screened(), nurse(9))


def test_the_policy_is_in_force_and_stays_the_same() -> None:
    director = cases.act(Role.MEDICAL_DIRECTOR)
    draft = draft_policy(director, version=1, changes={"S013.spo2_below": 95.0})
    later = sign_policy(draft, director, effective_from=at(1)).now
    with pytest.raises(PolicyUnsigned, match="not in force"):
        arrive(cases.booked(), nurse(0), policy=later)
    session = arrive(cases.booked(), nurse(1), policy=later).now
    loose = replace(draft, values=(("S013.spo2_below", 90.0),))
    with pytest.raises(Conflict, match="another policy"):
        entered(session, 2)
    with pytest.raises(Conflict, match="another policy"):
        attach_dose(session, None, None, nurse(2), policy=loose)  # type: ignore[arg-type]


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -5.0, 0.0])
def test_numbers_that_are_none_are_refused(value: float) -> None:
    with pytest.raises(OutOfRange):
        cases.order(Delivery.PO, dose_mg=value)
    with pytest.raises(OutOfRange):
        cases.order(Delivery.IV, dose_mg_per_kg=0.5, infusion_min=value)
    with pytest.raises(OutOfRange):
        RateStep(mg_per_h=1.0, hours=value)


@pytest.mark.parametrize("strength", [0, -5, 2.5, float("nan")])
def test_a_strength_is_a_whole_number(strength: int) -> None:
    with pytest.raises(OutOfRange):
        receive(
            nurse(0),
            container_id="x",
            lot="l",
            drug=DrugForm.RACEMIC_KETAMINE,
            expires_on=at(0).date(),
            amount_ug=50,
            concentration_ug_per_ul=strength,
        )


def test_who_counted_does_not_explain_alone() -> None:
    director = cases.act(Role.MEDICAL_DIRECTOR, 1, by="md")
    found = count(cases.vial(), director, counted_ug=0, policy=POLICY, witness=nurse(1)).now
    with pytest.raises(SecondPerson):
        explain(found, cases.act(Role.MEDICAL_DIRECTOR, 2, by="MD", reason="r"))
    assert explain(found, cases.act(Role.COMPLIANCE, 2, reason="spilt")).now.state == "spent"


def test_a_weight_is_measured_before_and_not_rounded_down() -> None:
    wanted = cases.order(Delivery.IV)
    with pytest.raises(WrongOrder):
        prepare_dose(
            wanted,
            nurse(7),
            policy=POLICY,
            weight=BodyWeight(kg=80, measured_at=at(7.1)),
            concentration_mg_per_ml=50,
        )
    session = cases.screened(Delivery.IV)
    assert session.prepared is not None
    for age, refused in ((timedelta(days=30), False), (timedelta(days=30, hours=23), True)):
        old = replace(session, prepared=replace(session.prepared, weighed_at=at(10) - age))
        if refused:
            with pytest.raises(GateClosed, match="S016"):
                say_go(old)
        else:
            assert say_go(old).state is SessionState.CLEARED
