"""Plans side by side before treatment: more sessions do not do worse, and what cannot be compared is said."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from afterglow.errors import NoModel
from afterglow.forecast import ForecastInput, PatientScore, WarningCode, update
from afterglow.forecast.compare import AHEAD_DAYS, PlanComparison, compare_plans
from afterglow.forecast.predict import forecast
from afterglow.quantities import HOURS_PER_DAY, Dose, DrugForm
from afterglow.therapy.regimen import DoseAdministration, Regimen, Route, repeat
from afterglow.therapy.setting import Condition

INFUSION = DoseAdministration(
    at_h=0.0, drug=DrugForm.RACEMIC_KETAMINE, route=Route.IV, dose=Dose(mg_per_kg=0.5), infusion_h=2 / 3
)
TWICE_A_WEEK = (1.0, 4.5, 8.0, 11.5)


def patient(scale: str = "PHQ-9", points: float = 20.0, condition: Condition = Condition.DEPRESSION) -> ForecastInput:
    score = PatientScore(at_h=0.0, scale=scale, points=points)
    at = datetime(2026, 3, 2, tzinfo=UTC)
    return ForecastInput(origin_at=at, now_h=0.0, scores=(score,), condition=condition, given=Regimen())


def compared(**changes: object) -> PlanComparison:
    asked: dict[str, object] = {"given": patient(), "session": INFUSION, "induction_days": TWICE_A_WEEK}
    return compare_plans(**(asked | changes))  # type: ignore[arg-type]


def test_more_sessions_hold_more_and_every_way_is_counted() -> None:
    found = compared()
    assert [each.days for each in found.choices] == [7, 14, 28, None]
    assert [each.sessions for each in found.choices] == [4 + 10, 4 + 5, 4 + 2, 4]  # up to day 84 after day 11.5
    chances = [each.chance for each in found.choices]
    assert chances == sorted(chances, reverse=True)
    assert (found.scale, found.response) == ("PHQ-9", 10.0)
    assert found.warnings[-1].code is WarningCode.EXTRAPOLATION


def test_stopping_agrees_with_the_forecast_of_the_same_sessions() -> None:
    """The forecast follows four times as many of the same patients, so the two differ by sampling alone."""
    sessions = repeat(INFUSION, [HOURS_PER_DAY * day for day in TWICE_A_WEEK])
    trajectory = forecast(replace(patient(), planned=sessions)).trajectory
    assert trajectory is not None
    told = float(trajectory.p_response[trajectory.times_h == HOURS_PER_DAY * AHEAD_DAYS][0])
    assert compared().choices[-1].chance == pytest.approx(told, abs=0.02)


def test_what_is_planned_already_is_left_out() -> None:
    booked = replace(patient(), planned=repeat(INFUSION, [24.0, 48.0, 72.0]))
    assert compared(given=booked) == compared()


def test_without_a_forecast_nothing_is_compared(monkeypatch: pytest.MonkeyPatch) -> None:
    swings = tuple(
        PatientScore(at_h=24.0 + step / 10, scale="PHQ-9", points=27.0 if step % 2 else 0.0) for step in range(1, 12)
    )
    treated = replace(patient(), scores=(*patient().scores, *swings), given=repeat(INFUSION, [1.0]), now_h=26.0)
    monkeypatch.setattr(update, "LEAST_FIT", 1e-5)
    with pytest.raises(NoModel, match="contradict"):
        compared(given=treated)


def test_a_scale_without_a_response_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """No scale that a model follows lacks a definition today."""
    monkeypatch.setattr("afterglow.forecast.compare.response_and_remission", lambda *_: (None, None))
    with pytest.raises(NoModel, match="defines no response"):
        compared()
