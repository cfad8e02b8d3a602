"""An infusion of hours is titrated: a prescriber orders, somebody sets the pump, another checks; the session goes on.

The case: 12 mg/h for four hours, 80 kg, from minute 15 on; 100 mg are drawn. Hand arithmetic stands beside each total.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from tests import clinic_cases as cases
from tests.clinic_cases import POLICY, at, entered, nurse, prescriber

from afterglow.clinic import (
    Chart,
    CourseState,
    Decision,
    Delivery,
    RateStep,
    Role,
    SessionState,
    TreatmentSession,
    WithdrawalMethod,
    answer_finding,
    answer_rule,
    arrive,
    countersign_order,
    finish_dose,
    go,
    hold,
    judge_gates,
    judge_rate,
    order_rate,
    phase,
    resume,
    screen,
    set_rate,
    start_dose,
    stop,
    take_drug,
    withdraw_consent,
)
from afterglow.errors import (
    AfterglowError,
    GateClosed,
    MissingValue,
    NotPermitted,
    OutOfRange,
    SecondPerson,
    TooEarly,
    Unbalanced,
    WrongOrder,
    WrongState,
)

CHART = cases.chart(Delivery.IV)
STEPS = (RateStep(mg_per_h=12.0, hours=4.0),)


def answered(session: TreatmentSession, minutes: float, *findings: object) -> TreatmentSession:
    for each in findings:
        act = prescriber(minutes, reason="pain; watched one to one")
        session = answer_finding(session, each, act, decision=Decision.PROCEED, policy=POLICY).now  # type: ignore[arg-type]
    return session


def running(steps: tuple[RateStep, ...] = STEPS, drawn_ug: int = 100_000) -> TreatmentSession:
    """The infusion runs since minute 15, set by nurse1."""
    session = arrive(cases.booked(Delivery.IV), nurse(0), policy=POLICY).now
    session = screen(entered(session, 4), nurse(6), facts=cases.gate_facts()).now
    session = cases.prepared_for(session, cases.order(Delivery.IV, steps=steps, ordered_at=at(6)))
    found = judge_gates(session, at(9), chart=CHART, policy=POLICY)
    session = answered(session, 9, *(each for each in found if each.asks))
    session = go(session, prescriber(10), chart=CHART, policy=POLICY).now
    session = take_drug(session, cases.vial(), nurse(12), amount_ug=drawn_ug).now[0]
    return start_dose(session, nurse(15), chart=CHART, policy=POLICY).now


def ordered(
    session: TreatmentSession, minutes: float = 135, *, mg_per_h: float = 15.0, hours: float = 2.0
) -> TreatmentSession:
    act = prescriber(minutes, reason="pain stays at 7 of 10")
    steps = (RateStep(mg_per_h=mg_per_h, hours=hours),)
    return order_rate(session, act, change_id="o2", steps=steps, policy=POLICY).now


def approved(session: TreatmentSession, minutes: float = 136) -> TreatmentSession:
    """Every rule that the new rate meets is answered."""
    found = judge_rate(session, at(minutes), chart=CHART, policy=POLICY)
    return answered(session, minutes, *(each for each in found if each.asks))


def pump_set(session: TreatmentSession, minutes: float = 137, **changes: Any) -> TreatmentSession:
    change = session.rate_waiting
    assert change is not None
    given: dict[str, Any] = {
        "second": nurse(minutes, by="nurse2"),
        "mg_per_h": change.steps[0].mg_per_h,
        "rest_ug": change.rest_ug,
        "chart": CHART,
        "policy": POLICY,
    }
    return set_rate(session, changes.pop("act", nurse(minutes)), **(given | changes)).now


def test_the_rate_goes_up_and_the_session_goes_on_to_its_new_end() -> None:
    session = pump_set(approved(ordered(running()), 135), 135)
    dose = session.prepared
    assert dose is not None
    assert session.state is SessionState.DOSING
    assert dose.amount_ug == 54_000  # 12 mg/h for 2 h and 15 mg/h for 2 h
    assert dose.volume_ul == 1_080  # 54 mg of 50 mg/mL
    assert dose.minutes == 240.0
    assert session.order is not None
    assert [(each.mg_per_h, each.hours) for each in session.order.steps] == [(12.0, 2.0), (15.0, 2.0)]
    (change,) = session.rate_changes
    assert (change.ordered_by, change.set_by, change.checked_by) == ("prescriber1", "nurse1", "nurse2")
    assert (change.set_at, change.reason) == (at(135), "pain stays at 7 of 10")
    with pytest.raises(TooEarly):
        finish_dose(session, nurse(200), policy=POLICY, amounts_ug=(("v1", 54_000),))
    with pytest.raises(Unbalanced):
        finish_dose(session, nurse(255), policy=POLICY, amounts_ug=(("v1", 48_000),))
    ended = finish_dose(session, nurse(255), policy=POLICY, amounts_ug=(("v1", 54_000),)).now
    assert ended.complete
    assert phase(ended, at(256), POLICY) == "post_infusion"


def test_what_ran_until_the_pump_was_set_counts_at_the_old_rate() -> None:
    session = pump_set(approved(ordered(running(), 135)), 165)
    assert session.prepared is not None
    assert session.prepared.amount_ug == 60_000  # 12 mg/h for 2.5 h and 15 mg/h for 2 h
    assert session.prepared.minutes == 270.0


def test_a_hold_does_not_count_and_the_rate_may_be_set_in_it() -> None:
    session = hold(running(), nurse(75, reason="vomiting")).now  # 60 min ran
    session = pump_set(ordered(session, 100, mg_per_h=6.0, hours=3.0), 105)
    assert session.state is SessionState.HELD
    session = resume(session, prescriber(110), chart=CHART, policy=POLICY).now
    assert session.prepared is not None
    assert session.prepared.amount_ug == 30_000  # 12 mg/h for 1 h and 6 mg/h for 3 h
    again = pump_set(ordered(session, 170, mg_per_h=3.0, hours=1.0), 170)  # 2 h ran
    assert again.prepared is not None
    assert again.prepared.amount_ug == 21_000  # 12 + 6 + 3
    assert len(again.rate_changes) == 2


def test_an_infusion_ordered_by_weight_is_slowed_without_an_end() -> None:
    session = cases.dosing(Delivery.IV)  # 40 mg over 40 min from minute 15
    session = pump_set(ordered(session, 35, mg_per_h=30.0, hours=2 / 3), 35)
    assert session.prepared is not None
    assert session.prepared.amount_ug == 40_000  # 60 mg/h for 20 min and 30 mg/h for 40 min
    assert session.prepared.minutes == pytest.approx(60.0)


def test_a_new_order_takes_the_place_of_one_that_waits() -> None:
    session = ordered(ordered(running(), 135), 136, mg_per_h=9.0)
    (change,) = session.rate_changes
    assert change.steps[0].mg_per_h == 9.0


REFUSED: list[tuple[str, Callable[[], object], type[AfterglowError]]] = [
    ("a nurse orders", lambda: order_rate(running(), nurse(135, reason="x"), **RATE), NotPermitted),
    ("no reason", lambda: order_rate(running(), prescriber(135), **RATE), MissingValue),
    ("a text as rate", lambda: ordered(running(), mg_per_h="15"), OutOfRange),  # type: ignore[arg-type]
    ("nothing more is given", lambda: ordered(running(), mg_per_h=0.0), MissingValue),
    ("beyond the guardrail on the rate", lambda: ordered(running(), mg_per_h=400.0), OutOfRange),
    ("beyond two weeks", lambda: ordered(running(), mg_per_h=1.0, hours=400.0), OutOfRange),
    ("after its time", lambda: ordered(running(), 255), GateClosed),
    ("before the last act", lambda: ordered(running(), 5), WrongOrder),
    ("an injection", lambda: ordered(cases.dosing(Delivery.IM), 16), GateClosed),
    ("before the dose", lambda: ordered(cases.cleared(Delivery.IV), 12), WrongState),
    ("no rate waits", lambda: set_rate(running(), nurse(135), **PUMP), GateClosed),
    ("nobody checks", lambda: pump_set(ready(), second=None), SecondPerson),
    ("set by who checks", lambda: pump_set(ready(), second=nurse(137)), SecondPerson),
    ("checked by a coordinator", lambda: pump_set(ready(), second=cases.act(Role.COORDINATOR, 137)), NotPermitted),
    ("checked an hour before", lambda: pump_set(ready(), second=nurse(77, by="nurse2")), WrongOrder),
    ("another rate was computed", lambda: pump_set(ready(), mg_per_h=15.2), GateClosed),
    ("another rest was computed", lambda: pump_set(ready(), rest_ug=30_400), GateClosed),
    ("no number was computed", lambda: pump_set(ready(), mg_per_h=float("nan")), GateClosed),
    ("an order of an hour ago", lambda: pump_set(ready(), 196), GateClosed),
    ("consent taken back", lambda: pump_set(ready(), chart=withdrawn()), GateClosed),
    ("the course is paused", lambda: pump_set(ready(), chart=paused()), GateClosed),
    ("a rule about the dose waits", lambda: pump_set(ordered(running())), GateClosed),
    ("less is drawn", lambda: pump_set(approved(ordered(running(drawn_ug=50_000)))), Unbalanced),
    ("an escalation is open", lambda: pump_set(entered(ready(), 137, spo2_pct=91)), GateClosed),
]
RATE: dict[str, Any] = {"change_id": "o2", "steps": (RateStep(mg_per_h=15.0, hours=2.0),), "policy": POLICY}
PUMP: dict[str, Any] = {
    "second": nurse(135, by="nurse2"),
    "mg_per_h": 15.0,
    "rest_ug": 30_000,
    "chart": CHART,
    "policy": POLICY,
}


def ready() -> TreatmentSession:
    return approved(ordered(running()))


def withdrawn() -> Chart:
    course = withdraw_consent(CHART.course, nurse(130), withdrawn_by="p1", how=WithdrawalMethod.IN_PERSON).now
    return replace(CHART, course=course)


def paused() -> Chart:
    return replace(CHART, course=replace(CHART.course, state=CourseState.PAUSED, paused_from=CourseState.INDUCTION))


@pytest.mark.parametrize(("why", "move", "error"), REFUSED, ids=[why for why, _, _ in REFUSED])
def test_refused(why: str, move: Callable[[], object], error: type[AfterglowError]) -> None:
    with pytest.raises(error):
        move()


@pytest.mark.parametrize(
    ("mg_per_h", "hours", "allowed"),
    [(6.0, 2.0, True), (12.0, 2.0, True), (12.1, 1.0, False), (11.9, 2.1, False)],  # of 12 mg/h and 48 mg
)
def test_what_lowers_rate_and_total_is_set_while_an_escalation_is_open(
    mg_per_h: float, hours: float, *, allowed: bool
) -> None:
    session = entered(ordered(running(), mg_per_h=mg_per_h, hours=hours), 135, spo2_pct=91)
    if allowed:
        assert pump_set(session, 135).rate_changes[-1].set_at == at(135)
    else:
        with pytest.raises(GateClosed, match="No more drug is given"):
            pump_set(session, 135)


@pytest.mark.parametrize(("computed", "agrees"), [(14.85, True), (15.15, True), (14.84, False), (15.16, False)])
def test_both_sides_of_the_second_checks_tolerance(computed: float, *, agrees: bool) -> None:
    if agrees:
        assert pump_set(ready(), mg_per_h=computed).rate_waiting is None
    else:
        with pytest.raises(GateClosed, match="Second check"):
            pump_set(ready(), mg_per_h=computed)


def test_a_rate_beyond_the_site_limit_needs_an_answer_and_a_second_signature_is_recorded() -> None:
    session = ordered(running(), mg_per_h=30.0, hours=2.0)  # 24 + 60 mg of 80 kg: above 1 mg/kg
    found = {each.rule for each in judge_rate(session, at(136), chart=CHART, policy=POLICY) if each.asks}
    assert "S019" in found
    with pytest.raises(GateClosed, match="S019"):
        pump_set(session)
    signed = countersign_order(session, prescriber(136, by="prescriber2")).now
    assert signed.rate_waiting is not None
    assert signed.rate_waiting.second_signature_by == "prescriber2"
    with pytest.raises(SecondPerson):
        countersign_order(session, prescriber(136))
    with pytest.raises(GateClosed, match="No new rate waits"):
        countersign_order(running(), prescriber(136, by="prescriber2"))
    done = pump_set(approved(signed))
    assert done.order is not None
    assert done.order.second_signature_by == "prescriber2"


def test_a_rule_that_came_to_be_met_while_the_order_waited_asks_for_a_new_order() -> None:
    session = ordered(running(STEPS), 90, mg_per_h=17.0, hours=3.9)  # as ordered 81.3 mg: 1.016 mg/kg
    assert "S019" in {e.rule for e in judge_rate(session, at(91), chart=CHART, policy=POLICY) if e.asks}
    close = ordered(running(STEPS, 100_000), 90, mg_per_h=12.0, hours=1.98)  # as ordered 38.76 mg: 0.4845 mg/kg
    assert "S019" not in {e.rule for e in judge_rate(close, at(91), chart=CHART, policy=POLICY) if e.asks}
    late = approved(ordered(running(STEPS, 100_000), 90, mg_per_h=12.1, hours=2.0), 91)  # 15 + 24.2 = 39.2 mg
    with pytest.raises(GateClosed, match="now meets rule S019"):  # 22 + 24.2 = 46.2 mg: over 0.5 mg/kg
        pump_set(late, 125)


def test_the_stop_states_what_was_given_at_both_rates() -> None:
    session = pump_set(ready(), 137)
    stopped = stop(session, nurse(160, reason="asked to end"), policy=POLICY, amounts_ug=(("v1", 30_000),)).now
    assert stopped.given_ug == 30_000
    assert stopped.dose_ended_at == at(160)
    assert stopped.dose_ended_at - at(15) == timedelta(minutes=145)


def test_an_answer_before_the_order_of_a_rate_is_none_for_it() -> None:
    session = ordered(running())
    asked = [each for each in judge_rate(session, at(136), chart=CHART, policy=POLICY) if each.asks]
    early = [
        answer_rule(
            replace(each, observed=tuple((name, None) for name, _ in each.observed)),
            prescriber(136, reason="in advance"),
            patient_id="p1",
            decision=Decision.PROCEED,
            policy=POLICY,
        )
        for each in asked
    ]
    assert asked
    with pytest.raises(GateClosed):
        pump_set(replace(session, answers=(*session.answers, *early)))
