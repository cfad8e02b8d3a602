"""Amounts that are given: no dose of nothing, what was given is stated, and what differs from the run is told."""

from __future__ import annotations

from dataclasses import replace

import pytest
from tests import clinic_cases as cases
from tests.clinic_cases import POLICY, at, nurse

from afterglow.clinic import BodyWeight, Delivery, RateStep, SecondCheck, prepare_dose
from afterglow.errors import OutOfRange


@pytest.mark.parametrize(
    "amount",
    [
        {"dose_mg": 0.001},
        {"dose_mg": 0.009},
        {"dose_mg_per_kg": 1e-6},
        {"steps": (RateStep(mg_per_h=0.0, hours=2.0),)},
        {"steps": (RateStep(mg_per_h=0.001, hours=0.5),)},
    ],
)
def test_an_order_of_nothing_is_refused(amount: dict[str, object]) -> None:
    none = {"dose_mg": None, "dose_mg_per_kg": None, "infusion_min": None if "steps" in amount else 40.0}
    with pytest.raises(OutOfRange, match="too small"):
        cases.order(Delivery.IV, **(none | amount))
    assert cases.order(Delivery.IV, **(none | {"infusion_min": 40.0, "dose_mg": 0.01})).amount_ug(None) == 10


def test_a_dose_that_rounds_to_nothing_is_refused_when_it_is_prepared_and_checked() -> None:
    order = cases.order(
        Delivery.IV, dose_mg=0.024, dose_mg_per_kg=None, infusion_min=40.0
    )  # half a microlitre of 50 mg/mL is 25
    weight = BodyWeight(kg=80, measured_at=at(6))
    with pytest.raises(OutOfRange, match="too small"):
        prepare_dose(order, nurse(8), policy=POLICY, weight=weight, concentration_mg_per_ml=50)
    least = replace(order, dose_mg=0.026)
    dose = prepare_dose(least, nurse(8), policy=POLICY, weight=weight, concentration_mg_per_ml=50)
    assert (dose.amount_ug, dose.volume_ul) == (50, 1)
    for changes in ({"amount_ug": 0}, {"volume_ul": 0}):
        with pytest.raises(OutOfRange, match="too small"):
            replace(dose, **changes)  # type: ignore[arg-type]
    found = {"amount_ug": 0, "volume_ul": 0, "concentration_ug_per_ul": 50}
    with pytest.raises(OutOfRange, match="too small"):
        SecondCheck(order_id="o1", by="rn2", at=at(9), **found)


@pytest.mark.parametrize(("minutes", "allowed"), [(120.0, True), (40.0, False), (121.0, False)])
def test_steps_and_a_length_that_contradict_are_refused(minutes: float, *, allowed: bool) -> None:
    both = {"dose_mg_per_kg": None, "steps": (RateStep(mg_per_h=12.0, hours=2.0),), "infusion_min": minutes}
    if allowed:
        assert cases.order(Delivery.IV, **both).minutes == minutes
    else:
        with pytest.raises(OutOfRange, match="contradict"):
            cases.order(Delivery.IV, **both)
