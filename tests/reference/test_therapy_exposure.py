"""Exposure against published numbers: the intranasal model's own table, and every held-out observation.

Origin of the numbers: the evidence of this package (`model_exposure`, `observations`, `cross_checks`), each figure
with its source. No tolerance here was used to choose a model or a parameter; the limits of the observation table
record today's errors, so that a change of a prediction cannot pass unseen.
"""

from __future__ import annotations

import math

import numpy as np
import pytest

from afterglow.evidence import fact, pharmacology
from afterglow.quantities import Dose, DrugForm
from afterglow.therapy.exposure import Analyte, Site, simulate_exposure, typical
from afterglow.therapy.exposure_validation import (
    Comparison,
    exposure_checks,
    exposure_validation_markdown,
    model_table_checks,
)
from afterglow.therapy.regimen import DoseAdministration, Regimen, Route
from afterglow.therapy.variation import given

CHECKS = {check.fact_id: check for check in exposure_checks()}
MODEL_CHECKS = {check.fact_id: check for check in model_table_checks()}

# Largest and median absolute error today, in per cent of the observed figure, rounded up.
ERRORS_PCT = {
    "obs_krystal1994_range": (0, 0),
    "obs_lahti2001_bolus": (32, 32),
    "obs_grant1981_oral": (51, 51),
    "obs_grant1981_im": (24, 24),
    "obs_otto_chdr1311_sket": (17, 11),
    "obs_otto_chdr1311_snk": (125, 6),
    "obs_kamp_fig1a_sket_esketamine": (29, 8),
    "obs_kamp_fig1b_sket_racemic": (18, 5),
    "obs_kamp_fig1c_rket_racemic": (41, 11),
    "obs_kamp_fig1d_snk_esketamine": (12, 3),
    "obs_kamp_peaks_other": (19, 11),
    "obs_hasan_iv_cmax_s": (21, 21),
    "obs_hasan_iv_cmax_r": (23, 23),
    "obs_hasan_iv_racemic_cmax": (16, 16),
    "obs_hasan_iv_racemic_auc": (8, 8),
    "obs_hasan_iv_racemic_thalf": (31, 31),
    "obs_hasan_po_auc": (53, 31),
    "obs_hasan_nk_auc_ratio_iv": (15, 15),
    "obs_hasan_hnk_auc_ratio_iv": (47, 47),
    "obs_simons_iv20": (19, 16),
    "obs_simons_film_s_ketamine_cmax": (16, 15),
    "obs_simons_film_s_ketamine_tmax": (9, 9),
    "obs_simons_film_s_ketamine_auc": (14, 11),
    "obs_simons_film_s_norketamine_cmax": (14, 14),
    "obs_simons_film_s_norketamine_tmax": (21, 12),
    "obs_simons_film_s_norketamine_auc": (10, 7),
    "obs_simons_film_s_hnk_cmax": (10, 6),
    "obs_simons_film_s_hnk_tmax": (31, 19),
    "obs_simons_film_s_hnk_auc": (7, 4),
}
NOT_PREDICTED = {
    "obs_analgesic_iv",
    "obs_hasan_po_cmax",
    "obs_hasan_po_tmax",
    "obs_hasan_po_f",
    "obs_hasan_po_thalf",
    "obs_hasan_nk_auc_ratio_oral",
    "obs_hasan_hnk_auc_ratio_po40",
    "obs_langsjo_tci",
}


def test_every_observation_is_listed_predicted_or_with_its_reason() -> None:
    assert list(CHECKS) == [observation.id for observation in pharmacology("observations")]
    assert {name for name, check in CHECKS.items() if not check.comparisons} == NOT_PREDICTED
    assert all(CHECKS[name].remark for name in NOT_PREDICTED)
    assert ERRORS_PCT.keys() | NOT_PREDICTED == CHECKS.keys()


@pytest.mark.parametrize("fact_id", ERRORS_PCT)
def test_errors_against_the_held_out_observations_are_as_reported(fact_id: str) -> None:
    largest, median = ERRORS_PCT[fact_id]
    check = CHECKS[fact_id]
    assert largest - 1.5 <= check.max_error_pct <= largest
    assert median - 1.5 <= check.median_error_pct <= median


def test_data_of_the_models_own_subjects_are_flagged() -> None:
    page = exposure_validation_markdown()
    flagged = {name for name in CHECKS if "| overlap |" in _summary(page, name)}
    assert "obs_otto_chdr1311_sket" in flagged
    assert "obs_kamp_fig1a_sket_esketamine" in flagged
    assert "obs_hasan_iv_cmax_s" not in flagged
    assert "Recalled, not read." in _summary(page, "obs_grant1981_im")


@pytest.mark.parametrize("fact_id", MODEL_CHECKS)
def test_the_intranasal_model_reproduces_its_own_table(fact_id: str) -> None:
    # Printed parameters have three digits, so 1 % is what they can give. The printed norketamine areas do not
    # follow from the printed parameters (1.4 to 1.6 times too high), which is why nobody is shown them.
    check = MODEL_CHECKS[fact_id]
    if "noresketamine_auc" in fact_id:
        assert all(35 < pair.error_pct < 60 for pair in check.comparisons)
    else:
        assert check.max_error_pct < 1.0


def test_the_pooled_model_gives_the_concentrations_computed_elsewhere() -> None:
    points = fact("check_racemic_40_min_kamp2020_meta_3cmt").points
    session = DoseAdministration(
        at_h=0.0,
        drug=DrugForm.RACEMIC_KETAMINE,
        route=Route.IV,
        dose=Dose(mg_per_kg=0.5),
        infusion_h=40.0 / 60.0,
    )
    found = simulate_exposure(
        Regimen((session,)),
        analyte=Analyte.KETAMINE,
        site=Site.ARTERIAL,
        times_h=[given(point.time_h) for point in points],
        variation=typical(),
    )
    # The other program printed whole numbers and did not split the enantiomers.
    assert np.abs(found.median - [given(point.value) for point in points]).max() < 0.5


def test_a_range_counts_as_met_inside_and_errs_from_its_nearer_end() -> None:
    inside = Comparison(what="", observed=100.0, observed_hi=250.0, predicted=185.0)
    above = Comparison(what="", observed=100.0, observed_hi=250.0, predicted=275.0)
    below = Comparison(what="", observed=100.0, observed_hi=250.0, predicted=90.0)
    assert (inside.error_pct, above.error_pct, below.error_pct) == pytest.approx((0.0, 10.0, -10.0))


def test_an_unpredicted_data_set_has_no_error() -> None:
    check = CHECKS["obs_langsjo_tci"]
    assert math.isnan(check.max_error_pct)
    assert math.isnan(check.median_error_pct)


def _summary(page: str, name: str) -> str:
    return next(line for line in page.splitlines() if line.startswith(f"| {name} |"))
