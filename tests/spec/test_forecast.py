"""What a forecast counts as response, remission and relapse, and when the next session is due: by hand."""

from __future__ import annotations

from datetime import UTC, datetime

import numpy as np
import pytest

from afterglow.forecast import ForecastInput, PatientScore, forecast
from afterglow.forecast.linking import link_scales, relapse_rule, response_and_remission
from afterglow.quantities import Dose, DrugForm
from afterglow.therapy.regimen import DoseAdministration, Regimen, Route
from afterglow.therapy.setting import Condition

SPRAY = DoseAdministration(at_h=0.0, drug=DrugForm.ESKETAMINE, route=Route.INTRANASAL, dose=Dose(mg=84.0))

# scale, score before treatment | highest response | highest remission | lowest relapse
CUT_OFFS = [
    ("PHQ-9", 21, 21 / 2, 4, 16),  # response 10.5; relapse half-way back, 10.5 + 10.5 / 2 = 15.75, in whole points 16
    ("PHQ-9", 20, 20 / 2, 4, 15),  # 10 + 10 / 2 = 15
    ("MADRS", 34, 34 / 2, 10, 22),  # the published cut-off
    ("MADRS", 22, 22 / 2, 10, 17),  # 22 is this person's own level: half-way back, 11 + 11 / 2 = 16.5
    ("HAM-D17", 24, 24 / 2, 7, 18),  # 12 + 12 / 2
    ("GAD-7", 16, 16 / 2, 4, 12),  # 8 + 8 / 2
    ("PCL-5", 60, 60 - 15, 28, 53),  # response is a fall of 15 points; 60 - 15 / 2 = 52.5
    ("Pain NRS", 8, 8 * 0.7, None, 7),  # response is a fall of 30 %; 8 - 2.4 / 2 = 6.8
    ("PEG", 8, 8 * 0.7, None, 6.8),  # the same on a scale of thirds, which is not rounded
]


def patient(scale: str, *scores: tuple[float, float], condition: Condition = Condition.DEPRESSION) -> ForecastInput:
    return ForecastInput(
        origin_at=datetime(2026, 3, 2, 9, tzinfo=UTC),
        now_h=max(0.0, scores[-1][0]),
        condition=condition,
        scores=tuple(PatientScore(at_h=at, scale=scale, points=points) for at, points in scores),
        given=Regimen((SPRAY,)),
    )


@pytest.mark.parametrize(("scale", "before", "response", "remission", "relapse"), CUT_OFFS)
def test_cut_offs(scale: str, before: float, response: float, remission: float | None, relapse: float) -> None:
    given = patient(scale, (-1, before))
    (linked,) = link_scales(given)
    found = response_and_remission(linked, before)
    assert found[0] == pytest.approx(response)
    assert found[1] == remission
    assert relapse_rule(given, linked, before).score_at_least == pytest.approx(relapse)


def test_a_percentage_relapses_at_three_quarters_of_baseline() -> None:
    known = PatientScore(at_h=48.0, scale="HAM-D17", fraction_of_baseline=0.434)
    given = ForecastInput(
        origin_at=datetime(2026, 3, 2, 9, tzinfo=UTC),
        now_h=48.0,
        condition=Condition.DEPRESSION,
        scores=(known,),
        given=Regimen((SPRAY,)),
    )
    (linked,) = link_scales(given)
    assert (linked.lowest, linked.level) == (0.0, 100.0)
    assert response_and_remission(linked, 100.0) == (50.0, None)
    assert relapse_rule(given, linked, 100.0).score_at_least == 75.0


def test_the_next_session_is_due_on_the_last_day_under_the_limit() -> None:
    found = forecast(patient("MADRS", (-1, 34), (24, 12)))
    assert found.relapse is not None
    assert found.next_due is not None
    chance = np.array([chance for _, chance in found.relapse.p_by_day])
    for limit, due_h in (
        (0.05, found.next_due.at_half_h),
        (0.10, found.next_due.on_h),
        (0.20, found.next_due.at_twice_h),
    ):
        over = [day for day in range(92) if chance[day] >= limit]
        if over[0] == 0:
            assert due_h is None
            continue
        last, following = over[0] - 1, over[0]
        crossed = last + (limit - chance[last]) / (chance[following] - chance[last])  # days from now
        assert due_h == pytest.approx(24.0 + 24.0 * max(crossed - 1.0, 0.0))
