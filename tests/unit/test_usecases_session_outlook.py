"""A session's flow sheet: from what was entered, and what the model expects of this dose."""

from __future__ import annotations

import math
from dataclasses import replace
from datetime import timedelta

import pytest
from tests import clinic_cases as cases
from tests.clinic_cases import POLICY, at

from afterglow.clinic import (
    AdverseEvent,
    Delivery,
    RateStep,
    SessionState,
    finish_dose,
    give_device,
    hold,
    resume,
    sign_policy,
)
from afterglow.clinic.acting import Role
from afterglow.render.flowsheet import flow_sheet_chart
from afterglow.render.ready import ready_chart
from afterglow.usecases.session_outlook import DOTS, flow_sheet, ready_data, session_outlook

ZONE = "Europe/Zurich"


@pytest.mark.parametrize("delivery", [Delivery.ESK, Delivery.IV, Delivery.IM])
def test_the_outlook_of_a_prepared_dose_rises_and_ends(delivery: Delivery) -> None:
    found = session_outlook(cases.screened(delivery), at=at(10))
    assert found is not None
    assert found.weight_kg == 80.0 or delivery is Delivery.ESK
    peak = max(found.acute.dissociation)
    assert 0.1 < peak < 0.95
    assert found.acute.dissociation[-1] < 0.01
    assert len(found.ready_h) == DOTS
    assert list(found.ready_h) == sorted(found.ready_h)
    assert found.ready_h[0] >= found.regimen.administrations[-1].at_h


def test_the_dose_as_given_replaces_the_plan() -> None:
    planned = session_outlook(cases.screened(Delivery.IV), at=at(10))
    stopped = cases.observing(Delivery.IV)
    assert stopped.dose_started_at is not None
    half = replace(
        stopped,
        runs=(replace(stopped.runs[0], until=stopped.dose_started_at + timedelta(minutes=20)),),
        dose_ended_at=stopped.dose_started_at + timedelta(minutes=20),
        drug_uses=tuple(replace(use, amount_ug=20_000) if use.kind == "given" else use for use in stopped.drug_uses),
    )
    found = session_outlook(half, at=at(60))
    assert planned is not None
    assert found is not None
    assert str(found.regimen.administrations[0]) == "racemic ketamine 20 mg iv over 20 min"
    assert str(planned.regimen.administrations[0]) == "racemic ketamine 40 mg iv over 40 min"
    assert max(found.acute.dissociation) < max(planned.acute.dissociation)


def test_devices_stand_where_they_were_given_and_the_rest_five_minutes_apart() -> None:
    session = cases.dosing(Delivery.ESK)
    session = give_device(
        session,
        cases.nurse(15),
        container_id="d1",
        device_facts=cases.DEVICE_FACTS,
        chart=cases.chart(Delivery.ESK),
        policy=POLICY,
    ).now
    found = session_outlook(session, at=at(16))
    assert found is not None
    assert found.origin_at == at(15)
    assert [round(each.at_h * 60) for each in found.regimen.administrations] == [0, 5]
    assert [each.dose.mg for each in found.regimen.administrations if each.dose] == [28.0, 28.0]


def test_rates_of_a_long_infusion_are_kept() -> None:
    session = cases.screened(Delivery.IV)
    assert session.order is not None
    assert session.prepared is not None
    steps = (RateStep(mg_per_h=10.0, hours=2.0), RateStep(mg_per_h=5.0, hours=2.0))
    long = replace(session, order=replace(session.order, dose_mg_per_kg=None, infusion_min=None, steps=steps))
    found = session_outlook(long, at=at(10))
    assert found is not None
    assert found.regimen.administrations[0].duration_h == 4.0


def test_a_held_infusion_counts_what_ran_and_goes_on_after_it() -> None:
    running = cases.dosing(Delivery.IV)  # 40 mg in 40 min from minute 15 on
    held = hold(running, cases.nurse(25, reason="drowsy")).now
    whole, cut = session_outlook(running, at=at(30)), session_outlook(held, at=at(30))
    assert whole is not None
    assert cut is not None
    assert [str(each) for each in cut.regimen.administrations] == ["racemic ketamine 10 mg iv over 10 min"]
    assert max(cut.acute.dissociation) < max(whole.acute.dissociation)
    assert cut.ready_h[-1] < whole.ready_h[-1]  # likely ready earlier, from the same exposure
    sheet = flow_sheet(held, at=at(30), policy=POLICY, zone=ZONE, outlook=cut)
    assert [(round(each.start_h * 60), round(each.end_h * 60), each.held, each.label) for each in sheet.doses] == [
        (0, 10, False, "10 of 40 mg in 10 min"),
        (10, 15, True, "held now"),
    ]
    drawn = flow_sheet_chart(sheet)
    assert "The dose is held: predicted from what ran so far" in drawn.summary
    assert {"10 of 40 mg in 10 min", "held now"} <= {row[-1] for row in drawn.table.rows}
    assert "The dose is held" in ready_chart(ready_data(held, cut, at=at(30), policy=POLICY, zone=ZONE)).summary


def test_after_a_hold_the_rest_follows_as_planned() -> None:
    held = hold(cases.dosing(Delivery.IV), cases.nurse(25, reason="drowsy")).now
    on = resume(held, cases.prescriber(45), chart=cases.chart(Delivery.IV), policy=POLICY).now
    found = session_outlook(on, at=at(50))
    assert found is not None
    second = found.regimen.administrations[1]
    assert (round(second.at_h * 60), str(second)) == (30, "racemic ketamine 30 mg iv over 30 min")
    sheet = flow_sheet(on, at=at(50), policy=POLICY, zone=ZONE, outlook=found)
    assert [each.label for each in sheet.doses] == ["10 of 40 mg in 10 min", "held 20 min", "goes on, 40 mg in all"]
    ended = finish_dose(on, cases.nurse(75), policy=POLICY, amounts_ug=(("v1", 40_000),)).now
    after = flow_sheet(ended, at=at(80), policy=POLICY, zone=ZONE, outlook=session_outlook(ended, at=at(80)))
    assert [each.label for each in after.doses] == ["10 mg in 10 min", "held 20 min", "30 mg in 30 min"]


def test_without_dose_or_model_there_is_no_outlook() -> None:
    assert session_outlook(cases.booked(Delivery.IV), at=at(0)) is None
    nothing_given = replace(cases.screened(Delivery.IV), dose_ended_at=at(20))
    assert session_outlook(nothing_given, at=at(30)) is None
    screened = cases.screened(Delivery.IV)
    assert screened.prepared is not None
    unknown = replace(screened, prepared=replace(screened.prepared, amount_ug=4_000_000))
    assert session_outlook(unknown, at=at(10)) is None  # beyond the guardrail of the model


def test_the_sheet_of_a_running_infusion() -> None:
    session = cases.entered(cases.dosing(Delivery.IV), 30, systolic_mmhg=141, dissociated=True)
    event = AdverseEvent(id="a1", term="Nausea", started_at=at(28), by="nurse1")
    session = replace(session, adverse_events=(event,))
    outlook = session_outlook(session, at=at(31))
    sheet = flow_sheet(session, at=at(31), policy=POLICY, zone=ZONE, outlook=outlook)
    assert sheet.now_h == pytest.approx(16 / 60)
    assert [each.systolic_mmhg for each in sheet.readings] == [124, 141]
    assert sheet.doses[0].label == "40 mg in 40 min"
    assert sheet.doses[0].end_h == pytest.approx(16 / 60)
    assert sheet.events[0].label == "nausea"
    assert {each.label for each in sheet.limits} == {"S041 160, default, unsigned", "S044 92, default, unsigned"}
    assert sheet.predicted is not None
    assert sheet.predicted.systolic_mmhg is not None
    assert sheet.predicted.systolic_mmhg.mean[0] == 124.0  # from the last pressure before the dose
    assert sheet.next_reading_h is not None
    assert sheet.leave_h is None  # the infusion still runs
    assert "141/78 mmHg" in flow_sheet_chart(sheet).summary


def test_the_sheet_after_the_dose_looks_ahead_to_leaving() -> None:
    session = cases.observing(Delivery.IV)
    outlook = session_outlook(session, at=at(60))
    assert outlook is not None
    sheet = flow_sheet(session, at=at(60), policy=POLICY, zone=ZONE, outlook=outlook)
    assert sheet.leave_h is not None
    assert sheet.end_h > sheet.leave_h
    data = ready_data(session, outlook, at=at(60), policy=POLICY, zone=ZONE)
    assert data.rule_h == sheet.leave_h
    assert data.rule == "rule S061"
    assert "The rule decides" in ready_chart(data).summary


def test_devices_are_named_and_missed_sets_break_the_line() -> None:
    session = cases.observing(Delivery.ESK)
    sheet = flow_sheet(session, at=at(110), policy=POLICY, zone=ZONE, outlook=None)
    assert [each.label for each in sheet.doses] == ["", "2 devices of 28 mg"]
    assert sheet.missed_h
    assert sheet.predicted is None
    outlook = session_outlook(session, at=at(110))
    assert outlook is not None
    assert ready_data(session, outlook, at=at(110), policy=POLICY, zone=ZONE).rule == "rule S031"


def test_a_dose_given_at_once_and_one_not_given_yet() -> None:
    given = flow_sheet(cases.observing(Delivery.IM), at=at(20), policy=POLICY, zone=ZONE, outlook=None)
    assert [(each.label, each.end_h) for each in given.doses] == [("40 mg", 0.0)]
    planned = flow_sheet(cases.screened(Delivery.IV), at=at(10), policy=POLICY, zone=ZONE, outlook=None)
    assert planned.doses[0].planned
    assert not flow_sheet(cases.booked(), at=at(0), policy=POLICY, zone=ZONE, outlook=None).doses


def test_without_a_pressure_before_the_dose_nothing_is_predicted_of_it() -> None:
    session = replace(cases.dosing(Delivery.IV), readings=())
    sheet = flow_sheet(session, at=at(20), policy=POLICY, zone=ZONE, outlook=session_outlook(session, at=at(20)))
    assert sheet.predicted is not None
    assert sheet.predicted.systolic_mmhg is None


def test_a_signed_limit_says_when_and_a_closed_session_has_no_now() -> None:
    director = cases.act(Role.MEDICAL_DIRECTOR, -60, by="md")
    signed = sign_policy(replace(POLICY, demo=False), director, effective_from=at(-30)).now
    session = replace(cases.observing(Delivery.IV), state=SessionState.LEFT, left_at=at(130))
    sheet = flow_sheet(session, at=at(200), policy=signed, zone=ZONE, outlook=None)
    assert sheet.now_h is None
    assert sheet.next_reading_h is None
    assert sheet.limits[0].label == "S041 160, signed 2 Mar"


def test_the_same_dose_is_simulated_once() -> None:
    session = cases.observing(Delivery.IV)
    one, other = session_outlook(session, at=at(60)), session_outlook(session, at=at(61))
    assert one is not None
    assert other is not None
    assert one.acute is other.acute
    assert not math.isnan(session_outlook(session, at=at(60)).ready_h[0])  # type: ignore[union-attr]
