"""Amounts that are given: no dose of nothing, what was given is stated, and what differs from the run is told."""

from __future__ import annotations

from dataclasses import replace

import pytest
from tests import clinic_cases as cases
from tests.clinic_cases import POLICY, at, nurse
from tests.spec.test_clinic_titration import ordered, running

from afterglow.clinic import (
    BodyWeight,
    Delivery,
    DoseGap,
    RateStep,
    SecondCheck,
    TreatmentSession,
    finish_dose,
    hold,
    prepare_dose,
    stop,
)
from afterglow.errors import MissingValue, OutOfRange

V1 = "v1"


def stopped(session: TreatmentSession, minutes: float, *amounts: tuple[str, int]) -> TreatmentSession:
    return stop(session, nurse(minutes, reason="asked to end"), policy=POLICY, amounts_ug=amounts).now


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


@pytest.mark.parametrize("delivery", [Delivery.IV, Delivery.IM, Delivery.PO])
def test_a_stop_without_amounts_is_not_zero(delivery: Delivery) -> None:
    session = cases.dosing(delivery)
    for amounts in ((), (("v2", 0),)):
        with pytest.raises(MissingValue, match="not stated; found no amount of container v1"):
            stopped(session, 16, *amounts)
    ended = stopped(session, 16, (V1, 0))
    assert (ended.given_ug, ended.given, ended.complete) == (0, (), False)
    assert stopped(cases.dosing(), 16).given_ug == 0  # devices are counted one by one


def test_each_container_that_was_drawn_from_is_stated() -> None:
    session = cases.dosing(Delivery.IV)
    (drawn,) = session.drug_uses
    session = replace(session, drug_uses=(drawn, replace(drawn, container_id="v2", amount_ug=5_000)))
    with pytest.raises(MissingValue, match="container v2"):
        stopped(session, 35, (V1, 20_000))
    assert stopped(session, 35, (V1, 20_000), ("v2", 0)).given_ug == 20_000


@pytest.mark.parametrize(
    ("given_ug", "differs"),
    [(20_000, False), (24_000, False), (16_000, False), (24_100, True), (15_900, True), (0, True), (40_000, True)],
)
def test_a_stop_keeps_what_differs_from_rate_and_run_time(given_ug: int, *, differs: bool) -> None:
    session = cases.dosing(Delivery.IV)  # 40 mg in 40 min from minute 15 on: 20 mg by minute 35, a tenth is 4 mg
    done = stop(session, nurse(35, reason="pump leaked"), policy=POLICY, amounts_ug=((V1, given_ug),))
    gap = done.now.gap
    assert (gap is not None) is differs
    assert [each for each in done.written if isinstance(each, DoseGap)] == ([gap] if differs else [])
    if gap is not None:
        assert (gap.given_ug, gap.expected_ug, gap.ran_min, gap.planned_min) == (given_ug, 20_000, 20, 40)
        assert (gap.reason, gap.by, gap.at) == ("pump leaked", "nurse1", at(35))
        assert f"{given_ug / 1000:g} mg stated, 20 mg by rate and run time; ran 20.0 of 40 min" in gap.words


def test_a_hold_gives_no_drug() -> None:
    held = hold(cases.dosing(Delivery.IV), nurse(25, reason="vomiting")).now
    assert stopped(held, 60, (V1, 10_000)).gap is None
    assert stopped(held, 60, (V1, 30_000)).gap is not None


@pytest.mark.parametrize(("minutes", "late"), [(55, False), (59, False), (59.1, True), (600, True)])
def test_a_dose_that_is_finished_late_says_why(minutes: float, *, late: bool) -> None:
    session, whole = cases.dosing(Delivery.IV), ((V1, 40_000),)
    if not late:
        assert finish_dose(session, nurse(minutes), policy=POLICY, amounts_ug=whole).now.gap is None
        return
    for reason in (None, " "):
        with pytest.raises(MissingValue, match="nobody says why"):
            finish_dose(session, nurse(minutes, reason=reason), policy=POLICY, amounts_ug=whole)
    gap = finish_dose(session, nurse(minutes, reason="pump slow"), policy=POLICY, amounts_ug=whole).now.gap
    assert gap is not None
    assert (gap.ran_min, gap.expected_ug, gap.reason) == (minutes - 15, 40_000, "pump slow")


def test_a_dose_finished_before_its_heaviest_rate_ran_says_why() -> None:
    steps = (RateStep(mg_per_h=2.0, hours=3.6), RateStep(mg_per_h=40.0, hours=0.4))  # 7.2 mg, then 16 mg
    session = running(steps)
    assert session.prepared is not None
    whole = ((V1, session.prepared.amount_ug),)
    with pytest.raises(MissingValue, match=r"7\.2 mg by rate and run time"):
        finish_dose(session, nurse(15 + 216), policy=POLICY, amounts_ug=whole)
    assert finish_dose(session, nurse(15 + 240), policy=POLICY, amounts_ug=whole).now.gap is None


def test_a_new_rate_that_waits_is_not_passed_over_in_silence() -> None:
    session = ordered(running(), 150)
    change, dose = session.rate_waiting, session.prepared
    assert change is not None
    assert dose is not None
    whole, end = ((V1, dose.amount_ug),), 15 + dose.minutes
    with pytest.raises(MissingValue, match="a new rate was ordered and not set"):
        finish_dose(session, nurse(end), policy=POLICY, amounts_ug=whole)
    ended = finish_dose(session, nurse(end, reason="seen too late"), policy=POLICY, amounts_ug=whole).now
    assert ended.gap is not None
    assert (ended.gap.unset_rate, ended.rate_waiting, ended.complete) == (change.id, None, True)
    early = stopped(session, 160, (V1, 29_000))
    assert early.gap is not None
    assert (early.gap.unset_rate, early.rate_waiting) == (change.id, None)
