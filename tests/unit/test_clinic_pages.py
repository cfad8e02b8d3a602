"""What the pages ask of the rules beside the acts: what the chart holds, when the next device may be used, slips."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from tests import clinic_cases as cases
from tests.clinic_cases import POLICY, at, prescriber

from afterglow.clinic import Delivery, Reading, chart_gates, next_device_at
from afterglow.clinic.readings import check_values
from afterglow.errors import MissingValue, OutOfRange, WrongOrder


def test_the_chart_answers_each_gate_on_its_own() -> None:
    session, chart = cases.screened(Delivery.IV), cases.chart(Delivery.IV)
    assert chart_gates(session, prescriber(10), chart=chart, policy=POLICY) == dict.fromkeys(
        ("treatment", "cover", "candidacy", "medicines")
    )
    bare = replace(chart, medicines=replace(chart.medicines, visit="another"), consent_version="3")
    found = chart_gates(session, prescriber(10), chart=bare, policy=POLICY)
    assert {name for name, refused in found.items() if refused is not None} == {"treatment", "medicines"}
    assert found["medicines"] is not None
    assert "not reconciled" in found["medicines"].refused


def test_the_next_device_waits_for_the_label() -> None:
    session = cases.dosing(Delivery.ESK)
    assert next_device_at(session) is None  # none is used yet
    one = cases.sprayed(session, 15, "d1")
    assert next_device_at(one) == at(20)
    assert next_device_at(cases.sprayed(one, 20, "d2")) is None  # none is to come


@pytest.mark.parametrize(
    ("values", "fault", "about"),
    [
        ({"systolic_mmhg": 1420, "diastolic_mmhg": 80}, OutOfRange, "systolic_mmhg"),
        ({"systolic_mmhg": 142}, MissingValue, "diastolic_mmhg"),
        ({"diastolic_mmhg": 82}, MissingValue, "systolic_mmhg"),
        ({"systolic_mmhg": 80, "diastolic_mmhg": 82}, WrongOrder, "systolic_mmhg"),
        ({}, MissingValue, "systolic_mmhg"),
        ({"spo2_pct": 101}, OutOfRange, "spo2_pct"),
    ],
)
def test_a_slip_in_a_reading_names_its_field(values: dict[str, Any], fault: type[Exception], about: str) -> None:
    with pytest.raises(fault) as refused:
        check_values(Reading(id="r1", taken_at=at(0), entered_at=at(0), by="nurse1", **values))
    assert getattr(refused.value, "about", None) == about
