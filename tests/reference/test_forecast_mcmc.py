"""The posterior against a long MCMC run on the same density: maximum difference of quantiles, stated."""

from __future__ import annotations

import sys
from datetime import UTC, datetime

import pytest

from afterglow.errors import MissingValue
from afterglow.forecast import ForecastInput, Method, PatientScore
from afterglow.forecast.candidates import Case, case_of
from afterglow.forecast.chain import largest_difference
from afterglow.forecast.update import infer
from afterglow.quantities import Dose, DrugForm
from afterglow.therapy.regimen import DoseAdministration, Route, repeat
from afterglow.therapy.setting import Condition

INFUSION = DoseAdministration(
    at_h=0.0, drug=DrugForm.RACEMIC_KETAMINE, route=Route.IV, dose=Dose(mg_per_kg=0.5), infusion_h=2 / 3
)
# Largest difference of any quantile of the expected score on any lead day, in points of PHQ-9. Both sides have Monte
# Carlo error: found were 0.06, 0.17 and 0.17, and with chains six times as long 0.03, 0.15 and 0.22.
PATIENTS: dict[str, tuple[list[float], list[tuple[float, float]], Method, float]] = {
    "no score before": ([0], [(24, 9), (100, 12)], Method.REWEIGHT, 0.15),
    "six sessions, seven scores": (
        [0, 3, 7, 10, 14, 17],
        [(-1, 21), (23, 12), (71, 13), (167, 10), (330, 8), (600, 7), (768, 9)],
        Method.REWEIGHT,
        0.35,
    ),
    "far from everyone": (
        [0, 2],
        [(-1, 27), (24, 0), (48, 0), (96, 0), (200, 0), (400, 0), (600, 0)],
        Method.LAPLACE,
        0.45,
    ),
}


def case_for(days: list[float], points: list[tuple[float, float]]) -> Case:
    return case_of(
        ForecastInput(
            origin_at=datetime(2026, 3, 2, 9, tzinfo=UTC),
            now_h=max(points[-1][0], 24.0 * days[-1]),
            condition=Condition.DEPRESSION,
            scores=tuple(PatientScore(at_h=at, scale="PHQ-9", points=value) for at, value in points),
            given=repeat(INFUSION, [24.0 * day for day in days]),
        )
    )


@pytest.mark.parametrize("name", PATIENTS)
def test_posterior_is_that_of_a_long_markov_chain(name: str) -> None:
    days, points, method, tolerance = PATIENTS[name]
    case = case_for(days, points)
    assert infer(case).method is method
    assert largest_difference(case) < tolerance


def test_without_emcee_it_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "emcee", None)
    days, points, _, _ = PATIENTS["no score before"]
    with pytest.raises(MissingValue, match="needs the package emcee"):
        largest_difference(case_for(days, points))
