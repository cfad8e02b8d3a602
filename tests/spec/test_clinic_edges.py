"""Refusals that only a caller who bypasses a step can meet: each says what was refused."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from tests import clinic_cases as cases
from tests.clinic_cases import POLICY, act, at, nurse, prescriber, reading
from tests.spec.test_clinic_titration import CHART, approved, ordered, pump_set, running

from afterglow.clinic import (
    Decision,
    Delivery,
    Indication,
    LeaveCheck,
    RateStep,
    Reading,
    Role,
    alert_from_finding,
    answer_finding,
    assess_emergency,
    attach_dose,
    cancel,
    check_gates,
    check_second,
    clear_to_leave,
    correct_reading,
    countersign_order,
    enter_reading,
    escalations,
    hand_over,
    judge_rate,
    order_rate,
    rule,
)
from afterglow.clinic.containers import put_back
from afterglow.clinic.readings import check_values
from afterglow.clinic.ruling import judge
from afterglow.errors import (
    AfterglowError,
    Conflict,
    GateClosed,
    NotFound,
    NotPermitted,
    OutOfRange,
    SecondPerson,
    Unbalanced,
    WrongOrder,
)

SESSION = cases.screened(Delivery.IV)
DOSE: Any = SESSION.prepared
CHECK: Any = SESSION.second_check
FOUND = judge(rule("S014"), {"vitals.heart_rate": 120}, POLICY, delivery=Delivery.IM)
OTHER = replace(CHART.course, indication=Indication.PAIN)
BACK: dict[str, Any] = {"amount_ug": 50, "session_id": "s1"}
ANSWER: dict[str, Any] = {"decision": Decision.PROCEED, "policy": POLICY}

REFUSED: list[tuple[str, Callable[[], object], type[AfterglowError]]] = [
    ("checked by who prepared", lambda: check_second(DOSE, replace(CHECK, by=DOSE.prepared_by), POLICY), SecondPerson),
    ("check of another order", lambda: check_second(DOSE, replace(CHECK, order_id="o9"), POLICY), Conflict),
    ("nothing to countersign", lambda: countersign_order(cases.booked(), prescriber(1)), GateClosed),
    (
        "another order's dose",
        lambda: attach_dose(SESSION, replace(DOSE, order_id="o9"), CHECK, nurse(9), policy=POLICY),
        Conflict,
    ),
    (
        "prepared before arrival",
        lambda: attach_dose(SESSION, replace(DOSE, prepared_at=at(-5)), CHECK, nurse(9), policy=POLICY),
        Conflict,
    ),
    (
        "judged for another delivery",
        lambda: answer_finding(SESSION, FOUND, prescriber(9, reason="x"), **ANSWER),
        Conflict,
    ),
    ("no way to cancel", lambda: cancel(SESSION, nurse(9, reason="x"), event="arrive"), OutOfRange),
    (
        "ordered for something else",
        lambda: check_gates(SESSION, prescriber(10), chart=replace(CHART, course=OTHER), policy=POLICY),
        GateClosed,
    ),
    (
        "no emergency stands",
        lambda: assess_emergency(cases.observing(), "S045", prescriber(30, reason="x"), policy=POLICY),
        NotFound,
    ),
    (
        "part of a liquid goes back",
        lambda: put_back(cases.drawn(cases.taken(cases.cleared(Delivery.IV))), nurse(20, reason="x"), **BACK),
        Unbalanced,
    ),
]


@pytest.mark.parametrize(("why", "move", "error"), REFUSED, ids=[why for why, _, _ in REFUSED])
def test_refused(why: str, move: Callable[[], object], error: type[AfterglowError]) -> None:
    with pytest.raises(error):
        move()


def test_a_rate_of_several_steps_is_changed_before_and_after_its_first() -> None:
    """12 mg/h for an hour, then 6 mg/h for two; changed in the second stretch, and again before anything of it ran."""
    session = running((RateStep(mg_per_h=12.0, hours=1.0), RateStep(mg_per_h=6.0, hours=2.0)))
    session = pump_set(approved(ordered(session, 105, mg_per_h=9.0, hours=1.0), 105), 105)
    assert session.order is not None
    assert [(each.mg_per_h, each.hours) for each in session.order.steps] == [(12.0, 1.0), (6.0, 0.5), (9.0, 1.0)]
    again = pump_set(ordered(session, 105, mg_per_h=3.0, hours=1.0), 105)
    assert again.prepared is not None
    assert again.prepared.amount_ug == 18_000  # 12 + 3 + 3


def test_a_low_alert_may_go_down_by_who_stands_above() -> None:
    found = judge(rule("S014"), {"vitals.heart_rate": 120}, POLICY)
    alert = alert_from_finding(found, alert_id="a", patient_id="p1", action=None, at=at(0), policy=POLICY)
    up = hand_over(alert, nurse(1, reason="asked"), to=Role.PRESCRIBER).now
    assert hand_over(up, act(Role.PRESCRIBER, 2, reason="seen"), to=Role.NURSE).now.owner is Role.NURSE


def test_no_rule_is_asked_of_a_rate_that_nobody_ordered() -> None:
    assert judge_rate(running(), at(30), chart=CHART, policy=POLICY) == ()
    with pytest.raises(GateClosed, match="Nothing is infused"):
        steps = (RateStep(mg_per_h=1.0, hours=1.0),)
        order_rate(cases.dosing(), prescriber(16, reason="x"), change_id="o2", steps=steps, policy=POLICY)


def test_a_nurse_alone_corrects_no_emergency_away() -> None:
    low = reading(20, spo2_pct=89)
    session = enter_reading(cases.dosing(Delivery.IV), low, nurse(20), policy=POLICY).now
    fixed = reading(26, spo2_pct=98, supersedes=low.id, taken_at=at(20))
    nothing = Reading(id="e", taken_at=at(20), entered_at=at(26), by="nurse1", supersedes=low.id, entered_in_error=True)
    for made in (fixed, nothing):
        with pytest.raises(NotPermitted, match=r"S045.*A prescriber corrects it, or enter a fresh reading"):
            correct_reading(session, made, nurse(26, reason="typed wrong"), policy=POLICY)
        signed = replace(made, by="prescriber1")
        after = correct_reading(session, signed, prescriber(26, reason="typed wrong"), policy=POLICY).now
        assert not escalations(after, POLICY)
    lower = replace(fixed, spo2_pct=88)  # it clears nothing
    assert correct_reading(session, lower, nurse(26, reason="typed wrong"), policy=POLICY).now.readings[-1] == lower
    caution = enter_reading(cases.dosing(Delivery.IV), replace(low, spo2_pct=91), nurse(20), policy=POLICY).now
    assert not escalations(correct_reading(caution, fixed, nurse(26, reason="typed wrong"), policy=POLICY).now, POLICY)


def test_what_was_observed_has_the_digits_and_the_unit_that_somebody_reads() -> None:
    weight = judge(rule("S016"), {"weight.age_days": 1.0}, POLICY, delivery=Delivery.IV)
    assert "age of the weight 1 day" in weight.values
    assert "1 days" not in weight.values
    late = judge(rule("S034"), {"readings.vitals_overdue_min": 8.35}, POLICY, delivery=Delivery.IV)
    assert late.values == "set overdue by 8 min"


def test_an_empty_leave_check_says_what_is_not_known_and_that_she_cannot_leave_yet() -> None:
    empty = LeaveCheck(session_id="s1", checked_at=at(140), by="nurse1")
    with pytest.raises(GateClosed) as caught:
        clear_to_leave(cases.watched(), empty, nurse(140), policy=POLICY)
    assert str(caught.value).startswith("The patient cannot leave yet: ")
    assert "not known: " in (caught.value.observed or "")
    assert "nothing" not in (caught.value.observed or "")
    with pytest.raises(WrongOrder, match="Systolic must be above diastolic"):
        check_values(reading(20, systolic_mmhg=88, diastolic_mmhg=145))
