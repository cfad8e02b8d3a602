"""What was given, how and when."""

from __future__ import annotations

import math

import pytest

from afterglow.errors import InputError, OutOfRange, WrongOrder
from afterglow.quantities import Dose, DrugForm, Rate
from afterglow.therapy.regimen import DoseAdministration, InfusionStep, Regimen, Route, repeat

HALF_MG_PER_KG = Dose(mg_per_kg=0.5)


def session(
    *,
    at_h: float = 0.0,
    route: Route = Route.IV,
    dose: Dose | None = HALF_MG_PER_KG,
    infusion_h: float = 0.0,
    steps: tuple[InfusionStep, ...] = (),
) -> DoseAdministration:
    return DoseAdministration(
        at_h=at_h, drug=DrugForm.RACEMIC_KETAMINE, route=route, dose=dose, infusion_h=infusion_h, steps=steps
    )


def steps() -> tuple[InfusionStep, ...]:
    slow, fast = Rate(mg_per_kg_per_h=0.1), Rate(mg_per_kg_per_h=0.25)
    return (InfusionStep(rate=slow, duration_h=2.0), InfusionStep(rate=fast, duration_h=4.0))


def test_the_amount_of_rates_in_a_row_is_their_sum() -> None:
    given = session(dose=None, steps=steps())
    assert given.amount_mg(80.0) == pytest.approx(80 * (0.1 * 2 + 0.25 * 4))
    assert given.duration_h == 6.0
    assert session().amount_mg(80.0) == 40.0
    assert session(infusion_h=2 / 3).duration_h == 2 / 3
    assert session().duration_h == 0.0


def test_a_session_as_text() -> None:
    assert str(session(infusion_h=2 / 3)) == "racemic ketamine 0.5 mg/kg iv over 40 min"
    assert (
        str(session(dose=None, steps=steps())) == "racemic ketamine 0.1 mg/kg/h for 2 h, then 0.25 mg/kg/h for 4 h iv"
    )
    assert str(session(route=Route.IM)) == "racemic ketamine 0.5 mg/kg im"


def test_a_session_has_a_dose_or_steps() -> None:
    for dose, rates in ((None, ()), (HALF_MG_PER_KG, steps())):
        with pytest.raises(InputError, match="a dose, or infusion steps, and not both"):
            session(dose=dose, steps=rates)


@pytest.mark.parametrize("route", [Route.INTRANASAL, Route.IM, Route.SUBLINGUAL, Route.ORAL])
def test_only_some_routes_are_infused(route: Route) -> None:
    assert session(route=route).duration_h == 0.0
    for dose, infusion_h, rates in ((HALF_MG_PER_KG, 1.0, ()), (None, 0.0, steps())):
        with pytest.raises(InputError, match="is infused; found " + route):
            session(route=route, dose=dose, infusion_h=infusion_h, steps=rates)
    assert session(route=Route.SC, infusion_h=1.0).duration_h == 1.0


@pytest.mark.parametrize("hours", [-1.0, math.nan])
def test_an_infusion_does_not_run_backwards(hours: float) -> None:
    with pytest.raises(OutOfRange):
        session(infusion_h=hours)
    with pytest.raises(OutOfRange):
        InfusionStep(rate=Rate(mg_per_h=1.0), duration_h=hours)
    with pytest.raises(OutOfRange):
        InfusionStep(rate=Rate(mg_per_h=1.0), duration_h=0.0)


def test_sessions_follow_one_another() -> None:
    assert repeat(session(), [0.0, 48.0]).starts_h == (0.0, 48.0)
    assert Regimen().starts_h == ()
    for starts in ([0.0, 0.0], [48.0, 0.0], [0.0, math.nan]):
        with pytest.raises(WrongOrder, match="must follow one another"):
            repeat(session(), starts)


def test_repeating_keeps_everything_but_the_time() -> None:
    given = session(dose=None, steps=steps(), at_h=5.0)
    assert repeat(given, [5.0]).administrations == (given,)
