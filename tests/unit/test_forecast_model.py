"""The forecast from inside: levels before treatment, weights, thinning, the days ahead, the proof's arithmetic."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime

import numpy as np
import pytest

from afterglow.forecast import ForecastInput, Method, PatientScore, WarningCode, search
from afterglow.forecast.candidates import (
    N_PARTICLES,
    case_of,
    circumstances_of,
    prior_candidates,
    prior_deviates,
    relief_of,
)
from afterglow.forecast.filter import MoodState
from afterglow.forecast.linking import evidence, link_scales, mood_start_h, relapse_rule, response_and_remission
from afterglow.forecast.outlook import Group, Outlook, ScoreDistribution, thin
from afterglow.forecast.proof import Design, prove, simulate_patients
from afterglow.forecast.update import infer
from afterglow.forecast.warnings import warnings_of
from afterglow.forecast.weighting import weigh
from afterglow.quantities import Dose, DrugForm
from afterglow.therapy.regimen import DoseAdministration, Regimen, Route, repeat
from afterglow.therapy.setting import Condition
from afterglow.therapy.treated import simulate_treated, treated_table

INFUSION = DoseAdministration(
    at_h=0.0, drug=DrugForm.RACEMIC_KETAMINE, route=Route.IV, dose=Dose(mg_per_kg=0.5), infusion_h=2 / 3
)
SPRAY = DoseAdministration(at_h=0.0, drug=DrugForm.ESKETAMINE, route=Route.INTRANASAL, dose=Dose(mg=84.0))


def course(*points: tuple[float, str, float], days: Sequence[float] = (0.0,), percent: bool = False) -> ForecastInput:
    known = tuple(
        PatientScore(at_h=at, scale=scale, fraction_of_baseline=value)
        if percent
        else PatientScore(at_h=at, scale=scale, points=value)
        for at, scale, value in points
    )
    given = repeat(INFUSION, [24.0 * day for day in days])
    return ForecastInput(
        origin_at=datetime(2026, 3, 2, 9, tzinfo=UTC),
        now_h=max([score.at_h for score in known] + list(given.starts_h)),
        condition=Condition.DEPRESSION,
        scores=known,
        given=given,
    )


def test_one_score_before_treatment_defines_the_level_and_is_no_evidence() -> None:
    given = course((-1, "PHQ-9", 21), (24, "PHQ-9", 10))
    (scale,) = scales = link_scales(given)
    assert (scale.level, scale.level_sd, scale.defined_at_h, scale.measured) == (21.0, 0.0, -1.0, True)
    assert mood_start_h(scales) == -1.0
    assert [score.at_h for score, _ in evidence(given, scales)] == [24]


def test_several_scores_before_treatment_leave_the_level_uncertain_and_are_evidence() -> None:
    given = course((-48, "PHQ-9", 18), (-1, "PHQ-9", 24), (-1, "MADRS", 30), (24, "MADRS", 10))
    phq, madrs = scales = link_scales(given)
    assert (phq.level, phq.level_sd, phq.defined_at_h) == (21.0, 0.25 * 27, None)
    assert (madrs.level, madrs.level_sd, madrs.defined_at_h) == (30.0, 0.25 * 60, None)
    assert mood_start_h(scales) is None
    assert len(evidence(given, scales)) == 4


def test_a_scale_first_used_after_treatment_is_assumed_to_start_like_others() -> None:
    given = course((-1, "PHQ-9", 21), (24, "MADRS", 10))
    phq, madrs = scales = link_scales(given)
    assert (madrs.level, madrs.level_sd) == pytest.approx((33.0, 7.2))
    assert not madrs.measured
    assert mood_start_h(scales) == -1.0
    assert phq.level_sd == 0.0


def test_a_percentage_counts_from_its_hundred_or_from_the_first_session() -> None:
    scales = link_scales(course((-30, "HAM-D17", 1.0), (-2, "HAM-D17", 0.9), (48, "HAM-D17", 0.4), percent=True))
    assert mood_start_h(scales) == -30
    given = course((-2, "HAM-D17", 0.9), (48, "HAM-D17", 0.4), percent=True)
    scales = link_scales(given)
    assert mood_start_h(scales) == 0.0
    assert [score.at_h for score, _ in evidence(given, scales)] == [48]
    untreated = course((5, "HAM-D17", 0.9), (48, "HAM-D17", 0.4), days=(), percent=True)
    assert mood_start_h(link_scales(untreated)) == 5


def test_scores_before_the_mood_is_known_are_left_out() -> None:
    shares = course((-40, "HAM-D17", 1.0), (-20, "HAM-D17", 0.9), (48, "HAM-D17", 0.4), percent=True)
    points = course((-1, "PHQ-9", 21), (48, "PHQ-9", 9))
    both = replace(points, scores=tuple(sorted((*shares.scores, *points.scores), key=lambda score: score.at_h)))
    scales = link_scales(both)
    assert mood_start_h(scales) == -1
    assert [score.at_h for score, _ in evidence(both, scales)] == [48, 48]


def test_levels_stay_inside_the_scale() -> None:
    (scale,) = link_scales(course((24, "PHQ-9", 10)))
    assert scale.levels(np.array([-50.0, 0.0, 50.0])).tolist() == pytest.approx([1.35, 14.85, 27.0])


def test_response_and_remission_of_scales_with_other_definitions() -> None:
    (pcl,) = link_scales(course((-1, "PCL-5", 60)))
    assert response_and_remission(pcl, 60.0) == (45.0, 28.0)
    (audit,) = link_scales(course((-1, "AUDIT-C", 8)))
    assert response_and_remission(audit, 8.0) == (None, None)
    assert relapse_rule(course((-1, "AUDIT-C", 8)), audit, 8.0).score_at_least == 6.0
    (sds,) = link_scales(course((-1, "SDS", 20)))
    assert response_and_remission(sds, 20.0) == (None, None)
    (share,) = link_scales(course((24, "PCL-5", 0.5), percent=True))
    assert response_and_remission(share, 100.0) == (None, None)


def test_a_published_relapse_cut_off_must_lie_under_the_own_level() -> None:
    given = course((-1, "MADRS", 34))
    (madrs,) = link_scales(given)
    assert relapse_rule(given, madrs, 34.0).score_at_least == 22.0
    own = relapse_rule(given, madrs, 21.0)
    assert own.score_at_least == 16.0
    assert "the published cut-off of 22 is not under this person's level" in own.source


def test_a_search_that_stops_far_from_the_mode_is_found_out(monkeypatch: pytest.MonkeyPatch) -> None:
    points = [(-1.0, "PHQ-9", 20.0), (24.0, "PHQ-9", 27.0), (25.0, "PHQ-9", 0.0), (26.0, "PHQ-9", 27.0)]
    case = case_of(course(*points))
    assert infer(case).method is Method.LAPLACE
    monkeypatch.setattr(search, "_ITERATIONS", 1)
    short = infer(case)
    assert short.method is Method.NONE
    assert "did not settle" in short.reason


def test_a_calibrated_model_is_not_called_provisional() -> None:
    case = case_of(course((-1, "PHQ-9", 21)))
    calibrated = replace(case, population=replace(case.population, status="calibrated"))
    codes = [{one.code for one in warnings_of(one, infer(one))} for one in (case, calibrated)]
    assert codes[0] - codes[1] == {WarningCode.PROVISIONAL}


def test_circumstances_are_those_of_a_clinic() -> None:
    infusions = circumstances_of(course((-1, "PHQ-9", 21)))
    sprays = circumstances_of(replace(course((-1, "PHQ-9", 21)), given=Regimen((SPRAY,)), age_years=70.0))
    assert not infusions.nasal_esketamine
    assert infusions.age_mean_years is None
    assert infusions.weight_kg is None
    assert sprays.nasal_esketamine
    assert sprays.age_mean_years == 65.0
    assert not circumstances_of(replace(course((-1, "PHQ-9", 21), days=()), age_years=64.0)).nasal_esketamine


def test_a_known_weight_has_no_spread() -> None:
    known = prior_candidates(case_of(replace(course((-1, "PHQ-9", 21)), weight_kg=90.0)))
    assert set(known.patients.weight_kg.tolist()) == {90.0} == set(known.patients.pk.weight_kg.tolist())
    unknown = prior_candidates(case_of(course((-1, "PHQ-9", 21))))
    assert np.log(unknown.patients.weight_kg).std() == pytest.approx(0.2, abs=0.01)


def test_the_prior_is_large_and_standard_normal() -> None:
    case = case_of(course((24, "PHQ-9", 10)))
    deviates = prior_deviates(case)
    assert N_PARTICLES >= 20_000
    assert deviates.shape == (N_PARTICLES, case.population.dimensions + 1)
    assert np.abs(deviates.mean(axis=0)).max() < 0.01
    assert np.abs(deviates.std(axis=0) - 1.0).max() < 0.01


def test_weights_follow_the_likelihood_not_its_inverse() -> None:
    """The library asks for log likelihoods left out, whose sign is the other way round."""
    log_weights = np.linspace(-5.0, 0.0, 2_000)
    weights, ess, khat = weigh(log_weights)
    exact = np.exp(log_weights) / np.exp(log_weights).sum()
    assert np.all(np.diff(weights) >= 0)
    assert weights == pytest.approx(exact, rel=0.1)
    assert khat is not None
    assert khat < 0.5
    assert ess == pytest.approx(1.0 / np.sum(exact**2), rel=0.05)


def test_weights_that_fit_no_tail_are_not_trusted() -> None:
    log_weights = np.full(2_000, -1e5)
    log_weights[7] = 0.0
    weights, ess, khat = weigh(log_weights)
    assert weights[7] == pytest.approx(1.0)
    assert ess == pytest.approx(1.0)
    assert khat is not None
    assert khat > 0.7


def test_thinning_keeps_heavy_candidates_and_every_weight_on_average() -> None:
    rng = np.random.default_rng(3)
    weights = rng.pareto(1.2, 400)
    weights /= weights.sum()
    mean = np.zeros(400)
    for start in (np.arange(500) + 0.5) / 500:
        chosen, carried = thin(weights, 100, float(start))
        assert len(chosen) == len(set(chosen.tolist())) == 100
        assert carried.sum() == pytest.approx(1.0)
        assert np.all(np.diff(chosen) > 0)
        mean[chosen] += carried / 500
    assert mean == pytest.approx(weights, abs=1e-4)
    everyone, same = thin(weights, 400, 0.3)
    assert everyone.tolist() == list(range(400))
    assert same is weights


def distribution(scale: str = "PHQ-9", value: float = 10.0, days: int = 1) -> ScoreDistribution:
    (linked,) = link_scales(course((-1, scale, value)))
    return ScoreDistribution(linked, days)


def test_written_scores_are_counted_at_halves_and_held_by_the_scale() -> None:
    found = distribution()
    found.add(np.array([[-3.0], [9.4], [9.6], [40.0]]), np.array([0.1, 0.3, 0.4, 0.2]))
    assert found.at_most(9.0)[0] == pytest.approx(0.4)  # the 9.4, and the one held at 0
    assert found.at_most(10.5)[0] == pytest.approx(0.8)  # at most 10, in whole numbers
    assert found.at_most(-1.0)[0] == 0.0
    assert found.at_most(27.0)[0] == pytest.approx(1.0)
    assert np.isnan(found.at_most(None)).all()
    assert found.quantiles((0.05, 0.3, 0.6, 0.95))[:, 0] == pytest.approx([0.0, 9.4, 9.6, 27.0], abs=0.05)


def test_scales_without_whole_numbers_are_not_rounded() -> None:
    found = distribution("PEG", 8.0)
    found.add(np.array([[4.2], [4.4]]), np.array([0.5, 0.5]))
    assert found.at_most(4.3)[0] == pytest.approx(0.5)


def test_quantiles_agree_with_those_of_the_draws() -> None:
    draws = np.random.default_rng(0).normal(12.0, 3.0, (20_000, 3))
    found = distribution(days=3)
    found.add(draws, np.full(20_000, 1 / 20_000))
    levels = (0.05, 0.25, 0.5, 0.75, 0.95)
    assert np.abs(found.quantiles(levels) - np.quantile(draws, levels, axis=0)).max() < 2.0 / 32.0


def test_no_days_have_no_quantiles() -> None:
    assert distribution(days=0).quantiles((0.5,)).shape == (1, 0)


def test_simulated_days_have_the_moments_of_the_model() -> None:
    """Mean and variance of the next scores by simulation against the closed form, within 4 standard errors."""
    given = course((-1, "PHQ-9", 16), (24, "PHQ-9", 9))
    case = case_of(given)
    outlook = Outlook(case, infer(case), horizon_days=28)
    people = outlook.everyone
    n = len(people.weights)
    same = Group(
        candidates=people.candidates.take(np.zeros(n, dtype=np.int64)),
        weights=np.full(n, 1.0 / n),
        mood=MoodState(at_h=given.now_h, mean=np.full(n, -0.1), variance=np.full(n, 0.01), log_likelihood=np.zeros(n)),
    )
    left = np.full((n, 29), 0.6)
    true = np.concatenate([block.copy() for _, block in outlook._true_scores(same, left)])
    patients = same.candidates.patients
    following, sd = patients.following_self_report[0], patients.mood_sd[0]
    keep = np.exp(-24.0 * np.arange(29) / case.correlation_h)
    swing = 16.0 * following * np.sqrt(0.6)
    mean = 16.0 * (1.0 - following * 0.4) - 0.1 * keep * swing
    variance = swing**2 * (0.01 * keep**2 + sd**2 * (1.0 - keep**2))
    assert np.all(np.abs(true.mean(axis=0) - mean) < 4.0 * np.sqrt(variance / n))
    assert np.all(np.abs(true.var(axis=0) / variance - 1.0) < 4.0 * np.sqrt(2.0 / n))


def test_days_before_now_let_mood_be_anything_it_could_have_been() -> None:
    given = course((-1, "PHQ-9", 16), (240, "PHQ-9", 9))
    case = case_of(given)
    outlook = Outlook(case, infer(case))
    left = np.ones((len(outlook.some.weights), 2))
    found = outlook.scores_before(outlook.some, np.array([0.0, 239.0]), left).quantiles((0.05, 0.95))
    assert np.diff(found, axis=0)[0, 1] > 1.5 * np.diff(found, axis=0)[0, 0]  # mood was zero at the first score


def test_the_proof_counts_what_it_says() -> None:
    design = Design(
        scale="PHQ-9", baselines=(20, 20), sessions=Regimen((INFUSION,)), score_days=(1.0,), lead_days=(1, 7)
    )
    (patient,) = simulate_patients(design, count=1, seed=5)
    assert [score.points is not None for score in patient.given.scores] == [True, True]
    edges = [replace(patient, later=(0.0, 27.0)), replace(patient, later=(27.0, 0.0))]
    found = prove(edges, design, seed=0)
    assert found.inside90.shape == (2, 2)
    assert found.ranks.min() >= 0.0
    assert found.ranks.max() <= 1.0
    assert set(found.methods) == {Method.REWEIGHT}
    last = patient.given.scores[-1].points
    assert last is not None
    assert found.points[:, :, 0].tolist() == [[last, last], [last, last]]
    assert found.later.tolist() == [[0.0, 27.0], [27.0, 0.0]]
    assert np.all(found.crps > 0)


def test_the_coarser_quadrature_stays_within_a_thousandth_of_a_point() -> None:
    case = case_of(course((-1, "PHQ-9", 20), (24, "PHQ-9", 9), days=(0, 2, 4, 7, 9, 11)))
    some = prior_candidates(case).take(np.arange(2_048))
    times = np.concatenate([np.linspace(2.0, 300.0, 60), np.linspace(310.0, 2_400.0, 60)])
    coarse = relief_of(case, some, case.given.given, times)
    table = treated_table(case.population, case.given.given, times, drive=some.drive)
    fine = simulate_treated(some.patients, case.given.given, table, drive=some.drive)
    assert float(np.max(np.abs(coarse.left - fine.left))) < 3e-5
