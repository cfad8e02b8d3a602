"""Calibration: rows, likelihood, mode, importance sampling, chains, and what is reported of them."""

import dataclasses
from collections.abc import Sequence

import numpy as np
import pytest

from afterglow.protocol import AtRisk
from afterglow.provenance import Role
from afterglow.records import Record
from afterglow.therapy.calibrated import read_calibrated, shipped_calibration
from afterglow.therapy.population import prior_population
from afterglow.therapy.setting import Condition
from afterglow.trials import calibrate as calibrating
from afterglow.trials import leaving_out, sampler
from afterglow.trials import likelihood as likelihoods
from afterglow.trials.arms import ReadAt, arm_designs, scored_figures
from afterglow.trials.calibrate import Calibration, calibrate
from afterglow.trials.calibration_report import Fits, calibrate_all, calibrated_text, calibration_markdown, data_digest
from afterglow.trials.leaving_out import leave_out
from afterglow.trials.likelihood import FitRow, Likelihood, class_priors, fit_rows
from afterglow.trials.moments import Statistic
from afterglow.trials.reported import ArmRun, arm_runs, run_doubts, run_draws, sampled_correlation
from afterglow.trials.sampler import Surface, sample_posterior

PRIOR = prior_population(Condition.DEPRESSION)
NOT_THESE = ("daly2018", "daly2019_sustain1", "murrough2013_bp", "fava2020")


def day_one() -> Likelihood:
    """One trial of two arms at 24 h."""
    rows = [row for row in fit_rows(Condition.DEPRESSION) if row.trial == "murrough2013_ajp"]
    return Likelihood(PRIOR, rows, persons=64)


def small(**more: object) -> Calibration:
    """A calibration to that trial alone."""
    return calibrate(without=NOT_THESE, with_class_priors=False, persons=64, **more)  # type: ignore[arg-type]


def test_only_calibration_figures_are_fitted() -> None:
    roles = {arm: f.trial.role for f in scored_figures() for arm in [(f.trial.key, f.arm.arm)]}
    for condition in Condition:
        assert {roles[row.arm.key] for row in fit_rows(condition)} <= {Role.CALIBRATION}
    with pytest.raises(ValueError, match="Only calibration"):
        fit_rows(Condition.DEPRESSION, roles=[Role.HELD_OUT])
    assert len(fit_rows(Condition.DEPRESSION, roles=[Role.CONTEXT])) == 6


def test_a_contrast_is_never_fitted_beside_its_arms() -> None:
    assert all(row.minus is None for row in fit_rows(Condition.DEPRESSION))


def test_class_priors_name_their_overlap(monkeypatch: pytest.MonkeyPatch) -> None:
    assert all(row.prior and words and overlap for row, words, overlap in class_priors())
    class_priors.cache_clear()
    monkeypatch.setattr(likelihoods, "read_record", lambda *_: Record({"schema": 2}, file="class_priors.yaml"))
    with pytest.raises(Exception, match="unknown version"):
        class_priors()
    monkeypatch.undo()
    class_priors.cache_clear()


def test_same_people_under_every_value_make_predictions_smooth() -> None:
    one = day_one()
    steps = np.zeros((3, one.size))
    steps[1, 0], steps[2, 0] = 1e-3, 2e-3
    mean, error = one.predict(steps, np.zeros((3, 3)))
    assert np.abs(np.diff(mean, 2, axis=0)).max() < 1e-2 * np.abs(np.diff(mean, axis=0)).max() + 1e-9
    assert (error > 0).all()


def test_the_likelihood_of_one_trial_by_hand() -> None:
    one = day_one()
    at = np.zeros((1, one.size))
    mean, error, slopes = one.with_slopes(at)
    within = one.sampling("murrough2013_ajp") * np.outer(error[0], error[0])
    covariance = within + slopes[0] @ slopes[0].T
    off = one.values - mean[0]
    expected = -0.5 * (off @ np.linalg.inv(covariance) @ off + np.log(np.linalg.det(2 * np.pi * covariance)))
    assert one.log_density(at)[0] == pytest.approx(expected)
    # mean and response of one arm come from the same patients: a larger fall goes with more response
    assert one.sampling("murrough2013_ajp")[0, 2] < -0.5
    assert one.sampling("murrough2013_ajp")[0, 1] == 0  # another arm


def test_an_arm_run_reads_what_its_draws_report() -> None:
    design = arm_designs()["salloum2019", "ket05"]
    change = ReadAt(statistic=Statistic.MEAN_CHANGE, time_h=24.0)
    score = ReadAt(statistic=Statistic.MEAN_SCORE, time_h=24.0)
    relapse = ReadAt(statistic=Statistic.RELAPSE_PCT, time_h=336.0, of=AtRisk.RESPONDERS)
    (run, second) = arm_runs([(design, "MADRS", change), (design, "MADRS", score), (design, "MADRS", relapse)])
    doubts = np.zeros((2, PRIOR.dimensions - PRIOR.person_dimensions))
    found = run_doubts(PRIOR, run, doubts, persons=128)
    assert found[change].mean[0] == found[change].mean[1]
    assert found[score].mean[0] - found[change].mean[0] == pytest.approx(33, abs=0.6)
    assert found[score].at_risk.tolist() == [1.0, 1.0]
    relapsed = run_draws(PRIOR, second, seed=0, n_draws=4, patients_per_draw=32)[relapse]
    assert ((relapsed.mean > 0) & (relapsed.mean < 1) & (relapsed.at_risk > 0)).all()
    everything = ArmRun(
        design=design,
        scale="MADRS",
        reads=(change, score, ReadAt(statistic=Statistic.REMISSION_PCT, time_h=24.0), relapse),
    )
    within = sampled_correlation(PRIOR, everything, persons=512)
    assert within[0, 1] > 0.5
    assert within[0, 2] < 0
    assert within[3].tolist() == [0, 0, 0, 1]


def test_stable_responders_are_no_remitters_and_were_so_before() -> None:
    looks = ReadAt(statistic=Statistic.RELAPSE_PCT, time_h=252 * 24.0, of=AtRisk.RESPONDERS)
    strict = arm_designs()["daly2019_sustain1", "esk_resp"]
    assert strict.relapse is not None
    loose = dataclasses.replace(strict, responders_only=False)
    looser = dataclasses.replace(loose, relapse=dataclasses.replace(strict.relapse, held_days=()))
    shares = [
        run_draws(PRIOR, arm_runs([(design, "MADRS", looks)])[0], seed=0, n_draws=2, patients_per_draw=64)[
            looks
        ].at_risk
        for design in (strict, loose, looser)
    ]
    assert (shares[0] < shares[1]).all()
    assert (shares[1] < shares[2]).all()


def test_the_fit_moves_towards_what_was_published() -> None:
    found = small(sample=False)
    before, error = day_one().predict(np.zeros((1, len(found.mean))), np.zeros((1, 3)))
    published = np.array([row.value for row in found.rows])
    assert np.sum(((published - found.predicted) / error[0]) ** 2) < np.sum(((published - before[0]) / error[0]) ** 2)
    assert (found.sd <= 1.0 + 1e-9).all()
    assert found.sd[PRIOR.uncertain.index("age_65_offset")] == pytest.approx(1.0)
    assert np.isnan(found.k_hat)


def test_same_seed_same_result_and_good_weights_are_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(calibrating, "K_HAT_LIMIT", 10.0)
    told: list[float] = []
    first, second = small(n_proposed=128, seed=4, progress=told.append), small(n_proposed=128, seed=4)
    assert first.chain is None
    assert np.array_equal(first.mean, second.mean)
    assert first.effective > 1
    assert told[-1] == 1.0
    assert told == sorted(told)


@pytest.mark.parametrize(
    "close", [10.0, 0.0]
)  # the first surface will do; it never will, and the closer of two is kept
def test_chains_go_on_where_weights_are_not_to_be_trusted(monkeypatch: pytest.MonkeyPatch, close: float) -> None:
    monkeypatch.setattr(calibrating, "K_HAT_LIMIT", -10.0)
    monkeypatch.setattr(sampler, "_CLOSE", close)
    few = {"steps": 120, "warm_up": 40}
    monkeypatch.setattr(
        calibrating, "sample_posterior", lambda *args, **more: sample_posterior(*args, **{**more, **few})
    )
    found = small(n_proposed=64)
    assert found.chain is not None
    assert found.chain.effective > 0
    assert found.chain.surface_error < 0.5
    text = calibration_markdown({Condition.DEPRESSION: found})
    assert "not to be trusted" in text


def test_draws_do_not_depend_on_how_a_machine_turns_the_axes() -> None:
    # Values that no figure informs have equal spreads: which way their principal axes point is up to the last bit.
    one = day_one()
    idle = [
        i
        for i, name in enumerate(PRIOR.uncertain)
        if any(w in name for w in ("masked", "saline", "self_report", "spray"))
    ]
    assert len(idle) >= 6
    factor = np.diag(np.linspace(0.5, 0.9, one.size))
    factor[idle, idle] = 1.0
    turned = factor.copy()
    turned[np.ix_(idle, idle)], _ = np.linalg.qr(np.random.default_rng(0).standard_normal((len(idle), len(idle))))
    first, second = (
        sample_posterior(one, np.zeros(one.size), some, seed=1, steps=60, warm_up=20) for some in (factor, turned)
    )
    assert np.abs(first.draws - second.draws).max() < 1e-9
    assert first.accepted == second.accepted


def test_the_surface_is_exact_where_it_was_sampled() -> None:
    one = day_one()
    surface = Surface(one, np.zeros(one.size), np.eye(one.size))
    steps = np.zeros((3, one.size))
    steps[1, 5], steps[2, 7] = 1.0, -1.0
    rows, error, slopes = surface.rows(steps)
    exact, exact_error, exact_slopes = one.with_slopes(steps)
    assert rows == pytest.approx(exact, abs=1e-9)
    assert slopes[0] == pytest.approx(exact_slopes[0])
    assert error[0] == pytest.approx(exact_error[0])
    far = np.zeros((1, one.size))
    far[0, 0] = 7.0
    assert surface.log_posterior(far)[0] == -np.inf


def test_leaving_out_never_fits_the_trial_it_predicts(monkeypatch: pytest.MonkeyPatch) -> None:
    fitted: list[tuple[tuple[str, ...], bool]] = []
    stand_in = calibrate(without=NOT_THESE, with_class_priors=False, persons=8, sample=False)

    def recorded(
        *,
        without: tuple[str, ...] = (),
        with_class_priors: bool = True,
        condition: Condition = Condition.DEPRESSION,
        **_: object,
    ) -> Calibration:
        assert condition is Condition.DEPRESSION  # the one trial of PTSD leaves its prior
        fitted.append((without, with_class_priors))
        return stand_in

    def some(condition: Condition, *, roles: Sequence[Role] = (Role.CALIBRATION,)) -> tuple[FitRow, ...]:
        asked = ("murrough2013_ajp", "zarate2006", "berman2000", "feder_2021")
        return tuple(row for row in fit_rows(condition, roles=roles) if row.trial in asked)

    monkeypatch.setattr(leaving_out, "calibrate", recorded)
    monkeypatch.setattr(leaving_out, "fit_rows", some)
    told: list[float] = []
    found = leave_out(n_draws=8, persons=8, conditions=(Condition.DEPRESSION, Condition.PTSD), progress=told.append)
    assert [(left.trial, left.role) for left in found] == [
        ("murrough2013_ajp", Role.CALIBRATION),
        ("berman2000", Role.CONTEXT),
        ("zarate2006", Role.CONTEXT),
        ("feder_2021", Role.CALIBRATION),
    ]
    assert fitted == [
        ((), True),  # what other conditions start from
        (("murrough2013_ajp",), True),
        (("murrough2013_ajp",), False),
        (("",), True),  # context trials share one fit to every calibration trial
        (("",), False),
    ]
    assert [left.without_priors is None for left in found] == [False, False, False, True]
    assert all(np.isfinite(left.log_density) for left in found)
    assert told == [0.25, 0.5, 0.75, 1.0]


def test_the_density_of_a_left_out_trial_by_hand() -> None:
    rows = [row for row in fit_rows(Condition.DEPRESSION) if row.trial == "murrough2013_ajp"]
    got = leaving_out._log_density(None, PRIOR, rows, seed=1, n_draws=3, persons=64)
    draws = np.random.default_rng(1).standard_normal((3, len(PRIOR.uncertain)))
    assert got == pytest.approx(np.log(np.mean(np.exp(day_one().log_density(draws)))))


@pytest.fixture(scope="module")
def fits() -> Fits:
    """Normal approximations of every condition with figures, from few persons."""
    patched = pytest.MonkeyPatch()
    whole = calibrating.calibrate
    patched.setattr(
        "afterglow.trials.calibration_report.calibrate",
        lambda **more: whole(**{**more, "sample": False, "persons": 16, "without": NOT_THESE}),
    )
    told: list[float] = []
    found = calibrate_all(progress=told.append)
    patched.undo()
    assert told == sorted(told)
    return found


def test_every_condition_with_figures_is_calibrated(fits: Fits) -> None:
    assert set(fits) == {Condition.DEPRESSION, Condition.SUICIDAL_IDEATION, Condition.PTSD, Condition.PAIN}
    file = read_calibrated(calibrated_text(fits), file="population.json")
    assert set(file.learnt) == {str(condition) for condition in fits}
    assert file.learnt["pain"].names == prior_population(Condition.PAIN).uncertain


def test_the_page_says_what_was_learnt_from_what(fits: Fits) -> None:
    page = calibration_markdown(fits)
    for expected in ("## What is not identified", "`largest_drug_relief`", "wilkinson2019_ipd", "## Pain", "not tried"):
        assert expected in page
    weak = dataclasses.replace(fits[Condition.DEPRESSION], factor=np.eye(len(PRIOR.uncertain)), k_hat=0.2)
    told = calibration_markdown({Condition.DEPRESSION: weak})
    tied = np.eye(len(PRIOR.uncertain))
    tied[1, :2] = 0.8, 0.6
    strong = dataclasses.replace(weak, factor=tied)
    assert f"`{PRIOR.uncertain[1]}` and `{PRIOR.uncertain[0]}`: 0.80" in calibration_markdown(
        {Condition.DEPRESSION: strong}
    )
    assert "No posterior correlation" in told
    assert "k-hat 0.20, taken" in told


def test_the_shipped_file_was_made_from_the_figures_that_are_there() -> None:
    rows: list[FitRow] = [*fit_rows(Condition.DEPRESSION), *(row for row, _, _ in class_priors())]
    for condition in Condition:
        if condition is not Condition.DEPRESSION:
            rows += fit_rows(condition)
    assert shipped_calibration().data_digest == data_digest(tuple(rows))
