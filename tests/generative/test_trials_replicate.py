"""Predictions against brute force: trials enrolled one by one from the same virtual patients, visits enumerated."""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from afterglow.protocol import TrialProtocol, parse_protocol, require_population
from afterglow.therapy.population import load_population
from afterglow.therapy.setting import Arm
from afterglow.trials import Prediction, Replication, Statistic, arm_plan, replicate, simulate_cohort
from afterglow.trials.moments import consecutive_by

FloatArray = NDArray[np.float64]
DRAWS, PATIENTS, TRIALS, N = 64, 128, 4000, 40
JUDGED_H, VISITS_H = 24.0, (168.0, 336.0, 504.0, 672.0)
OBSERVED_H = (24.0, 168.0)
PROTOCOL = f"""\
drug: racemic_ketamine
route: iv
dose: 0.5 mg/kg
infusion: 40 min
days: [0]
control: midazolam
arm: both
population: {{n: {N}, n_control: {N}, scale: MADRS, baseline_mean: 30, baseline_sd: 6}}
observe:
  times: [24 h, 7 d]
  response: 50 %
  remission: 10
  relapse: {{of: responders, judged: 24 h, at: [14 d, 28 d], visits: [7 d, 14 d, 21 d, 28 d], RULE}}
"""
LOSS = "consecutive: 1"
CONFIRMED = "score_at_least: 18, consecutive: 2"


@dataclass(frozen=True)
class Trials:
    """Simulated trials of one arm: what each reports, shape (TRIALS, n_times)."""

    change: FloatArray
    response: FloatArray
    remission: FloatArray
    relapse: FloatArray


def protocol(rule: str) -> TrialProtocol:
    return parse_protocol(PROTOCOL.replace("RULE", rule))


def enrol(asked: TrialProtocol, arm: Arm, *, relapse_at: float | None, needed: int) -> Trials:
    """TRIALS trials: each picks a draw, enrols N of its patients, and every score is written down as a rater would.

    `relapse_at` is the score that shows relapse; None means the loss of response.
    """
    times = np.array(sorted({*OBSERVED_H, JUDGED_H, *VISITS_H}))
    (cohort,) = simulate_cohort(
        load_population(asked.condition),
        arm_plan(asked, require_population(asked), arm),
        times,
        seed=0,
        n_draws=DRAWS,
        patients_per_draw=PATIENTS,
    )
    draw = np.random.default_rng(11).integers(0, DRAWS, (TRIALS, 1))  # both arms of a trial share it
    rng = np.random.default_rng([12, arm is Arm.ACTIVE])
    who = (draw * PATIENTS + rng.integers(0, PATIENTS, (TRIALS, N))).ravel()
    baseline, left = cohort.baseline[who], cohort.relief.left[who]
    mood, value, before = np.empty_like(left), np.zeros(len(who)), 0.0
    for i, time in enumerate(times):
        keep = np.exp(-(time - before) / cohort.mood.correlation_h)
        value = keep * value + np.asarray(cohort.mood.sd)[who] * np.sqrt(1 - keep**2) * rng.standard_normal(len(who))
        mood[:, i], before = value, time
    error = np.asarray(cohort.link.error_sd)[who, None] * rng.standard_normal(left.shape)
    latent = baseline[:, None] * (left + np.sqrt(left) * mood) + error
    score = np.clip(np.round(latent), 0, 60).reshape(TRIALS, N, len(times))
    start = baseline.reshape(TRIALS, N, 1)
    responded, remitted = score <= start / 2, score <= 10
    seen = np.flatnonzero(np.isin(times, OBSERVED_H))
    visits = np.flatnonzero(np.isin(times, VISITS_H))
    at_risk = responded[:, :, list(times).index(JUDGED_H)]
    shows = (score[:, :, visits] >= relapse_at) if relapse_at is not None else ~responded[:, :, visits]
    run = np.array([shows[:, :, k : k + needed].all(axis=2) for k in range(len(visits) - needed + 1)])
    by = [run[: sum(visit <= day * 24 for visit in VISITS_H)].any(axis=0) for day in (14, 28)]
    some = at_risk.sum(axis=1) > 0
    relapsed = [100.0 * (hit & at_risk).sum(axis=1)[some] / at_risk.sum(axis=1)[some] for hit in by]
    return Trials(
        change=(score - start).mean(axis=1)[:, seen],
        response=100.0 * responded.mean(axis=1)[:, seen],
        remission=100.0 * remitted.mean(axis=1)[:, seen],
        relapse=np.array(relapsed).T,
    )


def find(found: Replication, arm: Arm, statistic: Statistic) -> list[Prediction]:
    return [p for p in found.predictions if (p.arm, p.statistic) == (arm, statistic)]


def check(prediction: Prediction, reported: FloatArray, *, slack: float = 0.0) -> None:
    """Mean within 4 standard errors; no more than 5 % beyond each bound and no less than 5 % at or beyond it, within 4.

    One check raises a false alarm for about one seed in 3,000; `slack` is the approximation that is stated.
    """
    error = reported.std() / np.sqrt(len(reported))
    assert abs(prediction.value - reported.mean()) < 4 * error + 40 * slack
    tolerance = 4 * np.sqrt(0.05 * 0.95 / len(reported)) + slack
    grain = 1e-6
    assert np.mean(reported < prediction.lo90 - grain) < 0.05 + tolerance
    assert np.mean(reported <= prediction.lo90 + grain) > 0.05 - tolerance
    assert np.mean(reported > prediction.hi90 + grain) < 0.05 + tolerance
    assert np.mean(reported >= prediction.hi90 - grain) > 0.05 - tolerance


@pytest.fixture(scope="module")
def predicted() -> Replication:
    return replicate(protocol(LOSS), n_draws=DRAWS, patients_per_draw=PATIENTS)


@pytest.fixture(scope="module")
def trials() -> dict[Arm, Trials]:
    asked = protocol(LOSS)
    return {arm: enrol(asked, arm, relapse_at=None, needed=1) for arm in (Arm.ACTIVE, Arm.CONTROL)}


@pytest.mark.parametrize("arm", [Arm.ACTIVE, Arm.CONTROL])
def test_means_and_percentages_are_those_of_simulated_trials(
    predicted: Replication, trials: dict[Arm, Trials], arm: Arm
) -> None:
    reported = {
        Statistic.MEAN_CHANGE: trials[arm].change,
        Statistic.RESPONSE_PCT: trials[arm].response,
        Statistic.REMISSION_PCT: trials[arm].remission,
    }
    for statistic, values in reported.items():
        for i, prediction in enumerate(find(predicted, arm, statistic)):
            check(prediction, values[:, i])


def test_contrasts_are_those_of_trials_with_two_arms(predicted: Replication, trials: dict[Arm, Trials]) -> None:
    """A difference of two binomial percentages is taken as normal: 2 % of trials more or less beyond a bound."""
    for statistic, name in ((Statistic.MEAN_CHANGE, "change"), (Statistic.RESPONSE_PCT, "response")):
        active, control = (getattr(trials[arm], name) for arm in (Arm.ACTIVE, Arm.CONTROL))
        for i, prediction in enumerate(find(predicted, Arm.CONTRAST, statistic)):
            check(prediction, active[:, i] - control[:, i], slack=0.0 if name == "change" else 0.02)


@pytest.mark.parametrize(("rule", "relapse_at", "needed"), [(LOSS, None, 1), (CONFIRMED, 18.0, 2)])
def test_relapse_is_that_of_simulated_trials(rule: str, relapse_at: float | None, needed: int) -> None:
    """The number at risk is predicted as its mean, which makes the bounds approximate: 2 % of trials more or less."""
    asked = protocol(rule)
    found = replicate(asked, n_draws=DRAWS, patients_per_draw=PATIENTS)
    reported = enrol(asked, Arm.ACTIVE, relapse_at=relapse_at, needed=needed).relapse
    for i, prediction in enumerate(find(found, Arm.ACTIVE, Statistic.RELAPSE_PCT)):
        check(prediction, reported[:, i], slack=0.02)


@given(
    chances=st.lists(st.floats(0.0, 1.0), min_size=0, max_size=7),
    needed=st.integers(1, 4),
)
def test_runs_of_visits_are_enumerated(chances: list[float], needed: int) -> None:
    """Every outcome of every visit, weighted by its chance: which runs long enough have begun by each visit."""
    visits = len(chances)
    expected = np.zeros(visits + 1)
    for shown in itertools.product((False, True), repeat=visits):
        weight = float(np.prod([c if s else 1 - c for c, s in zip(chances, shown, strict=True)]))
        begun = next((k for k in range(visits - needed + 1) if all(shown[k : k + needed])), None)
        if begun is not None:
            expected[begun + 1 :] += weight
    found = consecutive_by(np.array([chances]).reshape(1, visits), needed)
    assert np.allclose(found[0], expected, atol=1e-12)
