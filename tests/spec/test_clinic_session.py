"""A treatment session on a real day: gates, dose, devices, holds and stops, readings, leaving, closing."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from tests import clinic_cases as cases
from tests.clinic_cases import POLICY, at, entered, nurse, prescriber, reading

from afterglow.clinic import (
    Act,
    AdverseEvent,
    BenefitReview,
    BodyWeight,
    Decision,
    Delivery,
    DueState,
    Finding,
    RateStep,
    Reading,
    ReviewDecision,
    ReviewKind,
    SessionState,
    TreatmentSession,
    answer_finding,
    answer_rule,
    arrive,
    back_to_screen,
    cancel,
    clear_to_leave,
    clocks,
    close,
    correct_reading,
    due_readings,
    earliest_leave,
    enter_reading,
    escalations,
    finish_dose,
    give_back,
    go,
    grade_event,
    hold,
    is_falling,
    judge_gates,
    judge_monitoring,
    lot_balance,
    phase,
    prepare_dose,
    record_event,
    resume,
    screen,
    sign_note,
    start_dose,
    stop,
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
    NotFound,
    NotOverridable,
    OutOfRange,
    PolicyUnsigned,
    SecondPerson,
    TooEarly,
    Unbalanced,
    UnknownName,
    WrongOrder,
)
from afterglow.predicates import Fact


def rule_of(caught: pytest.ExceptionInfo[AfterglowError]) -> str:
    return str(getattr(caught.value, "rule", ""))


# One fact changed at arrival, and the rule that then refuses the prescriber's go (intranasal esketamine).
CLOSED_GATES: list[tuple[str, Fact | None, str]] = [
    ("rems__patient_enrolled", False, "S001"),
    ("rems__patient_enrolled", None, "S001"),
    ("rems__pulse_oximeter_present", False, "S001"),
    ("intake__hours_since_food", 1, "S002"),
    ("intake__hours_since_food", None, "S002"),
    ("logistics__escort_confirmed", False, "S006"),
    ("logistics__escort_confirmed", None, "S006"),
    ("checklist__arrival_complete", False, "S007"),
    ("cssrs_slc__item_4", True, "S008"),
    ("cssrs_slc__behaviour", None, "S008"),
    ("arrival__intoxicated", True, "S015"),
    ("staff__acls_on_site", False, "S024"),
    ("staff__acls_on_site", None, "S024"),
]


@pytest.mark.parametrize(("name", "value", "rule"), CLOSED_GATES)
def test_a_gate_that_is_met_or_unknown_refuses_the_go(name: str, value: Fact | None, rule: str) -> None:
    session = cases.screened(changes={name: value})
    with pytest.raises(GateClosed) as caught:
        go_on(session)
    assert rule_of(caught) == rule


def go_on(session: TreatmentSession, **changes: Fact | None) -> TreatmentSession:
    chart = cases.chart(session.delivery, candidacy=cases.candidacy(session.delivery, changes=changes))
    return go(session, prescriber(10), chart=chart, policy=POLICY).now


def judged(session: TreatmentSession) -> dict[str, Finding]:
    return {f.rule: f for f in judge_gates(session, at(10), chart=cases.chart(session.delivery), policy=POLICY)}


def test_with_every_gate_known_and_clear_the_prescriber_says_go() -> None:
    assert go_on(cases.screened()).state is SessionState.CLEARED


@pytest.mark.parametrize(
    ("systolic", "diastolic", "refused"), [(140, 90, None), (141, 90, "S010"), (140, 91, "S010"), (161, 80, "S010")]
)
def test_pressure_before_the_dose(systolic: int, diastolic: int, refused: str | None) -> None:
    session = entered(cases.screened(), 9, systolic_mmhg=systolic, diastolic_mmhg=diastolic)
    if refused is None:
        assert go_on(session).state is SessionState.CLEARED
        return
    with pytest.raises(GateClosed) as caught:
        go_on(session)
    assert rule_of(caught) == refused


def test_an_answer_lets_it_go_on_for_the_values_it_was_given_for() -> None:
    session = entered(cases.screened(), 9, systolic_mmhg=146)
    act = prescriber(9, reason="benefit outweighs")
    met = judged(session)["S010"]
    session = answer_finding(session, met, act, decision=Decision.PROCEED, policy=POLICY).now
    assert go_on(session).state is SessionState.CLEARED
    with pytest.raises(GateClosed, match="S010"):
        go_on(entered(session, 9.5, systolic_mmhg=147))


def test_a_hard_lock_takes_no_answer_and_an_override_needs_a_second_signature() -> None:
    session = cases.screened(changes={"rems__patient_enrolled": False, "staff__acls_on_site": False})
    found = judged(session)
    act = prescriber(9, reason="known to us")

    def ask(name: str, cosigner: Act | None = None) -> object:
        return answer_rule(
            found[name], act, patient_id="p1", decision=Decision.PROCEED, policy=POLICY, cosigner=cosigner
        )

    with pytest.raises(NotOverridable, match="S001"):
        ask("S001")
    with pytest.raises(SecondPerson, match="second signature"):
        ask("S024")
    with pytest.raises(SecondPerson, match="second person"):
        ask("S024", prescriber(9))
    assert ask("S024", prescriber(9, by="prescriber2"))
    with pytest.raises(NotOverridable, match="nothing to answer"):
        ask("S006")


def test_the_go_needs_todays_candidacy_todays_medicine_list_and_a_dose() -> None:
    session = cases.screened()
    early = cases.candidacy(minutes=-5)
    with pytest.raises(GateClosed, match="not assessed at this visit"):
        go(session, prescriber(10), chart=cases.chart(candidacy=early), policy=POLICY)
    elsewhere = cases.chart(medicines=replace(cases.reconciled(), visit="s0"))
    with pytest.raises(GateClosed, match="not reconciled"):
        go(session, prescriber(10), chart=elsewhere, policy=POLICY)
    with pytest.raises(GateClosed, match="No dose"):
        go(replace(session, prepared=None), prescriber(10), chart=cases.chart(), policy=POLICY)
    with pytest.raises(GateClosed, match="C001"):
        go_on(session, hx__aneurysmal_vascular_disease=True)
    with pytest.raises(GateClosed, match="W10"):
        go_on(session, workup__w10__age_days=1)


def test_arrival_needs_a_signed_policy_and_screening_a_pressure() -> None:
    with pytest.raises(PolicyUnsigned, match="unsigned"):
        arrive(cases.booked(), nurse(), policy=replace(POLICY, demo=False))
    session = arrive(cases.booked(), nurse(), policy=POLICY).now
    with pytest.raises(GateClosed, match="No pressure"):
        screen(session, nurse(1), facts={})
    with pytest.raises(UnknownName, match="No rule asks"):
        screen(entered(session, 1), nurse(1), facts={"intake.typo": True})
    with pytest.raises(Conflict, match="another policy"):
        enter_reading(session, reading(1), nurse(1), policy=replace(POLICY, version=2))


@pytest.mark.parametrize(("minutes", "allowed"), [(19.9, False), (20.0, True)])
def test_devices_are_five_minutes_apart(minutes: float, *, allowed: bool) -> None:
    session = cases.sprayed(cases.dosing(), 15, "d1")
    if allowed:
        assert cases.sprayed(session, minutes, "d2").given_ug == 56_000
    else:
        with pytest.raises(TooEarly, match="Device 2"):
            cases.sprayed(session, minutes, "d2")


def test_a_device_is_checked_drawn_and_counted() -> None:
    session = cases.dosing()
    for facts in ({}, {"device.green_dots_checked": True, "device.primed": True}):
        with pytest.raises(GateClosed, match="not ready"):
            cases.sprayed(session, 15, "d1", device_facts=facts)
    with pytest.raises(Unbalanced, match="More is given"):
        cases.sprayed(session, 15, "d9")
    both = cases.observing()
    session = replace(both, state=SessionState.DOSING)
    with pytest.raises(Unbalanced, match="All devices"):
        cases.sprayed(session, 30, "d2")


def test_an_open_escalation_stops_the_next_device_until_a_prescriber_answers() -> None:
    session = entered(cases.sprayed(cases.dosing(), 15, "d1"), 18, spo2_pct=91)
    with pytest.raises(GateClosed, match="S044"):
        cases.sprayed(session, 20, "d2")
    assert not escalations(entered(session, 19, spo2_pct=92), POLICY)
    assert escalations(entered(session, 19, spo2_pct=None), POLICY)  # a missing reading clears nothing
    act = prescriber(19, reason="probe slipped, 97 % on the other hand")
    (met,) = escalations(session, POLICY)
    session = answer_finding(session, met, act, decision=Decision.PROCEED, policy=POLICY).now
    assert cases.sprayed(session, 20, "d2")


def test_an_emergency_is_not_cleared_by_a_later_reading_but_by_a_correction() -> None:
    session = entered(cases.dosing(Delivery.IV), 20, spo2_pct=89)
    session = hold(session, nurse(21, reason="desaturation")).now
    session = entered(session, 25, spo2_pct=99)
    with pytest.raises(GateClosed, match="S045"):
        resume(session, prescriber(26), chart=cases.chart(Delivery.IV), policy=POLICY)
    fixed = reading(26, spo2_pct=98, supersedes="r20.0", reason="typed 89 for 98", taken_at=at(20))
    signed = replace(fixed, by="prescriber1")
    session = correct_reading(session, signed, prescriber(26, reason="typed 89 for 98"), policy=POLICY).now
    chart = cases.chart(Delivery.IV)
    assert resume(session, prescriber(27), chart=chart, policy=POLICY).now.state is SessionState.DOSING


def test_hold_resume_and_stop_keep_what_ran_and_what_was_given() -> None:
    session = hold(cases.dosing(Delivery.IV), nurse(25, reason="distress")).now
    session = resume(session, prescriber(30), chart=cases.chart(Delivery.IV), policy=POLICY).now
    with pytest.raises(Unbalanced, match="not complete"):
        finish_dose(session, nurse(60), policy=POLICY, amounts_ug=(("v1", 20_000),))
    with pytest.raises(Unbalanced, match="than was drawn"):
        stop(session, nurse(40, reason="vomiting"), policy=POLICY, amounts_ug=(("v1", 90_000),))
    with pytest.raises(Unbalanced, match="than the dose"):
        stop(session, nurse(40, reason="vomiting"), policy=POLICY, amounts_ug=(("v1", 45_000),))
    ended = stop(session, nurse(40, reason="vomiting"), policy=POLICY, amounts_ug=(("v1", 20_000),))
    assert (ended.now.given_ug, ended.now.complete, ended.now.state) == (20_000, False, SessionState.OBSERVING)
    assert [(run.since, run.until) for run in ended.now.runs] == [(at(15), at(25)), (at(30), at(40))]
    assert len(ended.written) == 2
    with pytest.raises(Unbalanced, match="one by one"):
        stop(cases.dosing(), nurse(40, reason="x"), policy=POLICY, amounts_ug=(("d1", 28_000),))


def test_the_dose_starts_only_with_a_second_check_and_enough_drug() -> None:
    session = cases.cleared(Delivery.IM)
    with pytest.raises(Unbalanced, match="Less drug"):
        start_dose(session, nurse(15), chart=cases.chart(Delivery.IM), policy=POLICY)
    session = take_drug(session, cases.vial(), nurse(12), amount_ug=40_000).now[0]
    chart = cases.chart(Delivery.IM)
    with pytest.raises(SecondPerson, match="no second check"):
        start_dose(replace(session, second_check=None), nurse(15), chart=chart, policy=POLICY)
    assert start_dose(session, nurse(15), chart=chart, policy=POLICY).now.state is SessionState.DOSING
    with pytest.raises(OutOfRange, match="positive"):
        take_drug(session, cases.vial(), nurse(12), amount_ug=0)


def test_a_session_with_drug_out_is_not_cancelled_before_it_is_accounted_for() -> None:
    session, device = take_drug(cases.cleared(), cases.device("d1"), nurse(12), amount_ug=28_000).now
    with pytest.raises(Unbalanced, match="not accounted"):
        cancel(session, nurse(13, reason="patient changed her mind"))
    session = give_back(session, device, nurse(13, reason="unopened"), amount_ug=28_000).now[0]
    assert cancel(session, nurse(14, reason="patient changed her mind")).now.state is SessionState.CANCELLED
    assert back_to_screen(cases.cleared(), nurse(12, reason="felt unwell")).now.state is SessionState.SCREENED
    with pytest.raises(WrongOrder, match="before what was done"):
        cancel(cases.cleared(), nurse(-5, reason="clock is wrong"))


# delivery -> minutes after the first device (esk) or the end of the dose at which time alone allows leaving
LEAVE_AT = {Delivery.ESK: 15 + 120, Delivery.IV: 55 + 60, Delivery.IM: 16 + 90, Delivery.SC: 106, Delivery.SL: 106}


@pytest.mark.parametrize(("delivery", "minute"), LEAVE_AT.items())
def test_nobody_leaves_before_time(delivery: Delivery, minute: float) -> None:
    session = cases.observing(delivery)
    times = [15, 35, 55, 75, 105] if delivery is Delivery.ESK else range(20, int(minute), 5)
    for each in times:
        typed = reading(minute - 1, each, taken_at=at(each), systolic_mmhg=140 if each < 60 else 124)
        session = enter_reading(session, typed, nurse(minute - 1), policy=POLICY).now
    session = entered(session, minute - 0.5)
    assert earliest_leave(session, policy=POLICY) == at(minute)
    with pytest.raises(TooEarly):
        clear_to_leave(session, cases.leave_check(minute), nurse(minute - 0.1), policy=POLICY)
    assert clear_to_leave(session, cases.leave_check(minute), nurse(minute), policy=POLICY).now.cleared is True
    assert earliest_leave(cases.dosing(Delivery.IV), policy=POLICY) is None


LEAVE_HELD: list[tuple[str, object, str]] = [
    ("sedation_resolved", False, "S060"),
    ("dissociation_resolved", None, "S060"),
    ("respiratory_depression_resolved", False, "S060"),
    ("clinically_stable", None, "S060"),
    ("aldrete", (2, 2, 2, 1, 1), "S062"),
    ("padss", (2, 2, 2, 1, 1), "S062"),
    ("padss", None, "S062"),
    ("oriented_x3", False, "S063"),
    ("steady_gait", None, "S063"),
    ("escort_present", False, "S064"),
    ("escort_present", None, "S064"),
    ("driving_ban_acknowledged", False, "S064"),
    ("out_of_hours_contact_given", None, "S064"),
    ("signed", None, "S065"),
]


@pytest.mark.parametrize(("name", "value", "rule"), LEAVE_HELD)
def test_a_leave_rule_that_is_met_or_unknown_holds(name: str, value: object, rule: str) -> None:
    session = cases.watched()
    with pytest.raises(GateClosed) as caught:
        clear_to_leave(session, cases.leave_check(140, **{name: value}), nurse(140), policy=POLICY)
    assert rule_of(caught) == rule


def test_a_refused_leave_names_the_point_that_holds_and_no_other() -> None:
    with pytest.raises(GateClosed) as caught:
        clear_to_leave(cases.watched(), cases.leave_check(140, escort_present=False), nurse(140), policy=POLICY)
    assert caught.value.observed == "escort here: no"
    assert caught.value.allowed == "escort here"


@pytest.mark.parametrize(
    ("pressures", "falling"),
    [
        ([], None),
        ([(150, 90)], None),
        ([(150, 90), (150, 90)], False),
        ([(140, 84), (150, 90)], False),
        ([(150, 90), (140, 84)], True),
        ([(150, 84), (140, 90)], False),
        ([(120, 76), (124, 78)], True),  # at baseline
    ],
)
def test_whether_the_pressure_falls(pressures: list[tuple[int, int]], *, falling: bool | None) -> None:
    session = cases.observing()
    for place, (systolic, diastolic) in enumerate(pressures):
        session = entered(session, 40 + place * 10, systolic_mmhg=systolic, diastolic_mmhg=diastolic)
    assert is_falling(session) is falling


def test_who_walks_out_is_never_cleared() -> None:
    with pytest.raises(MissingValue):
        walk_out(cases.observing(), nurse(60))
    gone = walk_out(cases.observing(), nurse(60, reason="left with a friend")).now
    assert (gone.state, gone.cleared, gone.left_at) == (SessionState.LEFT, False, at(60))


def test_closing_needs_drug_at_zero_a_note_and_graded_events() -> None:
    session = walk_out(cases.observing(Delivery.IV), nurse(120, reason="r")).now
    event = AdverseEvent(id="a1", term="Nausea", started_at=at(30), by="nurse1")
    session = record_event(session, event, nurse(121)).now
    with pytest.raises(Unbalanced, match="v1"):
        close(session, nurse(122), policy=POLICY)
    why = nurse(122, reason="rest of syringe")
    rest: dict[str, Any] = {"container": cases.drawn(session), "amount_ug": 10_000, "policy": POLICY}
    with pytest.raises(SecondPerson, match="witness"):
        waste(session, act=why, **rest)
    with pytest.raises(SecondPerson, match="second person"):
        waste(session, act=why, witness=nurse(122), **rest)
    with pytest.raises(Unbalanced, match="refused"):
        waste(session, act=why, witness=nurse(122, by="n2"), **(rest | {"amount_ug": 10_001}))
    session, vial = waste(session, act=why, witness=nurse(122, by="n2"), **rest).now
    balance = lot_balance((vial,), "L1")
    assert (balance.used_ug, balance.wasted_ug) == (40_000, 10_000)
    with pytest.raises(GateClosed, match="note"):
        close(session, nurse(123), policy=POLICY)
    session = sign_note(session, nurse(123)).now
    with pytest.raises(GateClosed, match="not graded"):
        close(session, nurse(124), policy=POLICY)
    with pytest.raises(OutOfRange, match="grade"):
        grade_event(session, "a1", nurse(124), grade=6, serious=False, ended_at=None)
    with pytest.raises(NotFound):
        grade_event(session, "a2", nurse(124), grade=1, serious=False, ended_at=None)
    with pytest.raises(Conflict):
        record_event(session, event, nurse(124))
    session = grade_event(session, "a1", nurse(124), grade=1, serious=False, ended_at=at(50)).now
    closed = close(session, nurse(125), policy=POLICY).now
    assert (closed.state, closed.rems_due_at) == (SessionState.CLOSED, None)


def test_the_monitoring_form_is_due_seven_days_after_the_first_device() -> None:
    session = sign_note(walk_out(cases.observing(), nurse(140, reason="r")).now, nurse(140)).now
    assert close(session, nurse(141), policy=POLICY).now.rems_due_at == at(15) + timedelta(days=7)


def test_a_reading_typed_late_counts_from_when_it_was_taken() -> None:
    late = reading(90, systolic_mmhg=150, taken_at=at(55))
    session = enter_reading(cases.observing(), late, nurse(90), policy=POLICY).now
    found = {f.rule: f.verdict for f in judge_monitoring(session, at(91), policy=POLICY)}
    assert found["S030"] == "clear"  # 40 min after the first device at minute 15
    without = {f.rule: f.verdict for f in judge_monitoring(cases.observing(), at(15 + 51), policy=POLICY)}
    assert without["S030"] == "hit"


@pytest.mark.parametrize(
    ("values", "error"),
    [
        ({"spo2_pct": 101}, OutOfRange),
        ({"systolic_mmhg": 39}, OutOfRange),
        ({"moaas": 6}, OutOfRange),
        ({"diastolic_mmhg": None}, MissingValue),
        ({"systolic_mmhg": 80, "diastolic_mmhg": 80}, WrongOrder),
        ({"taken_at": at(61)}, WrongOrder),
        ({"taken_at": at(-61)}, WrongOrder),
        ({"by": "somebody"}, Conflict),
        ({"supersedes": "r4.0"}, Conflict),
        ({"symptoms": (("symptoms.typo", True),)}, UnknownName),
    ],
)
def test_a_slip_in_a_reading_is_refused(values: dict[str, object], error: type[AfterglowError]) -> None:
    with pytest.raises(error):
        enter_reading(cases.observing(), reading(60, **values), nurse(60), policy=POLICY)  # type: ignore[arg-type]


def test_a_reading_is_entered_once_and_corrected_by_a_new_one() -> None:
    session = entered(cases.observing(), 60)
    with pytest.raises(Conflict, match="already"):
        enter_reading(session, reading(60), nurse(60), policy=POLICY)
    empty = Reading(id="e", taken_at=at(61), entered_at=at(61), by="nurse1")
    with pytest.raises(MissingValue, match="at least one"):
        enter_reading(session, empty, nurse(61), policy=POLICY)
    wrong = replace(empty, entered_in_error=True, supersedes="r60.0")
    act = nurse(61, reason="wrong patient")
    after = correct_reading(session, wrong, act, policy=POLICY)
    assert wrong in after.written
    with pytest.raises(NotFound):
        correct_reading(after.now, replace(wrong, id="e2"), act, policy=POLICY)


def test_written_facts_hold_the_rules_that_one_reading_meets() -> None:
    done = enter_reading(
        cases.observing(), reading(50, systolic_mmhg=186, diastolic_mmhg=112), nurse(50), policy=POLICY
    )
    assert [each.rule for each in done.written if isinstance(each, Finding)] == ["S040", "S041"]
    again = enter_reading(done.now, reading(55, systolic_mmhg=184, diastolic_mmhg=100), nurse(55), policy=POLICY)
    assert "S042" in [each.rule for each in again.written if isinstance(each, Finding)]  # twice, 5 min apart
    soon = enter_reading(done.now, reading(54.9, systolic_mmhg=184, diastolic_mmhg=100), nurse(54.9), policy=POLICY)
    assert "S042" not in [each.rule for each in soon.written if isinstance(each, Finding)]
    crisis = reading(56, symptoms=(("symptoms.hypertensive_crisis", True),))
    hit = enter_reading(done.now, crisis, nurse(56), policy=POLICY)
    assert "S043" in [each.rule for each in hit.written if isinstance(each, Finding)]  # at any pressure


def test_due_readings_after_devices() -> None:
    session = cases.observing()  # first device at minute 15; times 0, 20, 40, 60, 90, 120
    states = [each.state for each in due_readings(session, at(15 + 41), policy=POLICY)]
    assert states == [DueState.MISSED, DueState.MISSED, DueState.OVERDUE, *[DueState.UPCOMING] * 3]
    session = entered(session, 15 + 36)
    states = [each.state for each in due_readings(session, at(15 + 56), policy=POLICY)]
    assert states == [DueState.MISSED, DueState.MISSED, DueState.DONE, DueState.DUE, *[DueState.UPCOMING] * 2]
    assert due_readings(cases.cleared(), at(12), policy=POLICY) == ()


def test_due_readings_and_clocks_of_infusions() -> None:
    session = cases.dosing(Delivery.IV)
    (due,) = due_readings(session, at(26), policy=POLICY)  # every 10 min, none yet
    assert (due.due_at, due.state, due.overdue_min) == (at(25), DueState.OVERDUE, 1.0)
    assert phase(session, at(26), POLICY) == "infusion"
    after = entered(cases.observing(Delivery.IV), 57)
    (due,) = due_readings(after, at(58), policy=POLICY)  # every 15 min after it
    assert due.due_at == at(72)
    shown = clocks(after, at(60), policy=POLICY)
    assert (shown.since_first_dose_min, shown.since_last_reading_min, shown.since_dose_end_min) == (45, 3, 5)
    assert (shown.phase, shown.earliest_leave_at) == ("post_infusion", at(115))
    assert shown.next_reading == due_readings(after, at(60), policy=POLICY)[0]
    empty = clocks(cases.booked(), at(0), policy=POLICY)
    assert (empty.since_first_dose_min, empty.next_reading, empty.phase) == (None, None, None)


def test_an_infusion_of_hours_has_its_own_interval_after_the_first_hour() -> None:
    session = cases.dosing(Delivery.IV)
    long = cases.order(Delivery.IV, steps=(RateStep(mg_per_h=20.0, hours=96.0),))
    assert session.prepared is not None
    session = replace(session, order=long, prepared=replace(session.prepared, minutes=long.minutes))
    assert phase(session, at(74), POLICY) == "infusion"
    assert phase(session, at(75), POLICY) == "long_infusion"
    session = entered(session, 80)
    (due,) = due_readings(session, at(100), policy=POLICY)
    assert due.due_at == at(140)


def test_a_patient_who_falls_ill_before_the_dose_is_transferred_and_the_session_closed() -> None:
    for session in (arrive(cases.booked(), nurse(0), policy=POLICY).now, cases.screened(), cases.cleared()):
        gone = transfer(session, nurse(20, reason="chest pain, ambulance")).now
        assert (gone.state, gone.cleared) == (SessionState.LEFT, False)
        signed = sign_note(gone, nurse(21)).now
        assert close(signed, nurse(22), policy=POLICY).now.state is SessionState.CLOSED


def test_a_review_that_says_stop_closes_the_gates() -> None:
    stopped = BenefitReview(
        kind=ReviewKind.EARLY_NON_RESPONSE, decision=ReviewDecision.STOP, by="prescriber1", at=at(1), reason="no change"
    )
    session = cases.screened()
    chart = cases.chart(session.delivery)
    ended = replace(chart, course=replace(chart.course, reviews=(stopped,)))
    with pytest.raises(GateClosed, match="says stop"):
        go(session, prescriber(10), chart=ended, policy=POLICY)
    again = replace(stopped, decision=ReviewDecision.CONTINUE, at=at(2))
    went_on = replace(chart, course=replace(chart.course, reviews=(stopped, again)))
    assert go(session, prescriber(10), chart=went_on, policy=POLICY).now.state is SessionState.CLEARED


def test_what_must_hold_instead_is_said_as_such() -> None:
    with pytest.raises(GateClosed) as held:
        clear_to_leave(cases.watched(), cases.leave_check(140, escort_present=False), nurse(140), policy=POLICY)
    assert held.value.allowed == "escort here"
    assert "not escort" not in str(held.value)


def test_the_length_of_an_infusion_is_refused_in_the_minutes_it_was_ordered_in() -> None:
    order, weight = cases.order(Delivery.IV, dose_mg=40.0, infusion_min=1.0), BodyWeight(kg=80, measured_at=at(0))
    with pytest.raises(OutOfRange) as refused:
        prepare_dose(order, nurse(), weight=weight, concentration_mg_per_ml=50, policy=POLICY)
    assert "found 1 min; allowed: 1.8 to 14400 min" in str(refused.value)
