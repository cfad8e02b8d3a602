"""Forecasts of simulated patients: bands cover what they say, ranks are flat, and scores beat simpler forecasts.

False-alarm rates are those of a right forecast under the fixed seeds' distribution: each bound below lies as many
standard errors away as it says. Every design has 400 patients at one lead, so outcomes are independent.
"""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import chi2

from afterglow.forecast import Method
from afterglow.forecast.proof import FORECASTS, Design, Proof, prove, simulate_patients
from afterglow.quantities import Dose, DrugForm
from afterglow.therapy.regimen import DoseAdministration, Regimen, Route, repeat

N = 1000
INFUSION = DoseAdministration(
    at_h=0.0, drug=DrugForm.RACEMIC_KETAMINE, route=Route.IV, dose=Dose(mg_per_kg=0.5), infusion_h=2 / 3
)
DESIGNS = {
    "one score": Design(
        scale="PHQ-9", baselines=(12, 22), sessions=Regimen((INFUSION,)), score_days=(1.0,), lead_days=(7,)
    ),
    "six sessions": Design(
        scale="MADRS",
        baselines=(24, 40),
        sessions=repeat(INFUSION, [24.0 * day for day in (0, 3, 7, 10, 14, 17)]),
        score_days=(1.0, 6.9, 13.9, 21.0, 28.0),
        lead_days=(7,),
    ),
}


@pytest.fixture(scope="module", params=DESIGNS)
def proof(request: pytest.FixtureRequest) -> Proof:
    design = DESIGNS[request.param]
    return prove(simulate_patients(design, count=N, seed=11), design, seed=12)


def test_bands_cover_what_they_say(proof: Proof) -> None:
    """Three standard errors: 2.8 points around 90 %, 4.7 around 50 %; false alarm 1 in 370 for each."""
    assert abs(proof.inside90.mean() - 0.9) < 3.0 * np.sqrt(0.9 * 0.1 / N)
    assert abs(proof.inside50.mean() - 0.5) < 3.0 * np.sqrt(0.5 * 0.5 / N)


def test_ranks_are_flat(proof: Proof) -> None:
    """Chi-squared over ten bins at its 99.9 % point: false alarm 1 in 1,000."""
    counts, _ = np.histogram(proof.ranks, bins=10, range=(0.0, 1.0))
    assert np.sum((counts - N / 10) ** 2 / (N / 10)) < chi2.ppf(0.999, 9)


def test_scores_make_forecasts_better_than_the_last_score_or_the_population(proof: Proof) -> None:
    """By more than three standard errors of the paired difference; false alarm under 1 in 700 were they equal."""
    for name in ("population", "last score"):
        gain = proof.crps[:, 0, FORECASTS.index(name)] - proof.crps[:, 0, 0]
        assert gain.mean() > 3.0 * gain.std() / np.sqrt(N)


def test_a_decay_fitted_to_the_patient_alone_is_not_better(proof: Proof) -> None:
    """It is told the width of its errors, so with one score it may come close: better by two standard errors is no."""
    gain = proof.crps[:, 0, FORECASTS.index("own decay")] - proof.crps[:, 0, 0]
    assert gain.mean() > -2.0 * gain.std() / np.sqrt(N)


def test_nearly_every_patient_of_the_model_is_forecast(proof: Proof) -> None:
    assert sum(method is Method.NONE for method in proof.methods) <= 2
    assert sum(method is Method.REWEIGHT for method in proof.methods) > 0.95 * N
