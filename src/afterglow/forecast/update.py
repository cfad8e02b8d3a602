"""From the population to this patient: candidates under his own sessions, weighted by his own scores.

First the prior is re-weighted. Where too few candidates carry the weight, the patient's own most likely deviates are
searched (Gauss-Newton), and draws around them (Laplace) are weighted exactly. Where that fails too there is no
forecast. Everything about a candidate is a function of standard-normal deviates: those of a virtual patient, then one
for each uncertain level before treatment.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

import numpy as np
from scipy.special import chdtrc

from afterglow.forecast.answer import ForecastInput, Method
from afterglow.forecast.filter import MoodState, advance, observe, start_mood
from afterglow.forecast.linking import LinkedScale, evidence, mood_start_h
from afterglow.quantities import DrugForm
from afterglow.therapy.course import IntArray
from afterglow.therapy.kinetics import ExposureModes, FloatArray
from afterglow.therapy.population import (
    AGE_THRESHOLD_YEARS,
    Belief,
    Circumstances,
    Population,
    VirtualPatients,
    build_patients,
    load_population,
    normal_points,
)
from afterglow.therapy.regimen import Regimen, Route
from afterglow.therapy.relief import Execution, Relief
from afterglow.therapy.setting import Condition, Enrolment
from afterglow.therapy.treated import simulate_treated, treated_drive, treated_table

N_PARTICLES = 20_480
N_LAPLACE = 4_096
LEAST_ESS = 500.0  # below it re-weighting is given up for the search
LEAST_LAPLACE_ESS = 200.0  # below it there is no forecast
LARGEST_KHAT = 0.7  # Vehtari et al., Pareto smoothed importance sampling: weights are unreliable above
_WIDER = 1.15  # the proposal in directions that scores inform, over the Laplace approximation: tails must hold
_INFORMED = 1.05  # curvature over the prior's from which a direction counts as informed
_ITERATIONS = 15
_STEP = 1e-3
_SETTLED = 1e-4  # gain of log density that ends the search
_LENGTHS = np.array([1.0, 0.5, 0.25, 0.1, 0.03])
_TIME_STEP_H = 1e-6  # scores closer than a few milliseconds are of one time


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidates:
    """Who this patient might be.

    Args:
        patients: n virtual patients.
        levels: (n_scales, n), before treatment, above each scale's lowest score.
        drive: what their sessions, given and planned, drive relief with; None where there are none.
    """

    patients: VirtualPatients
    levels: FloatArray
    drive: ExposureModes | None

    def __len__(self) -> int:
        return len(self.patients)

    def take(self, chosen: IntArray) -> Candidates:
        """Some of them, by position."""
        drive = self.drive
        if drive is not None:
            drive = replace(drive, rates_per_h=drive.rates_per_h[chosen], amplitude=drive.amplitude[chosen])
        return Candidates(patients=self.patients.take(chosen), levels=self.levels[:, chosen], drive=drive)


@dataclass(frozen=True, slots=True, kw_only=True)
class Posterior:
    """Candidates weighted by the patient's scores.

    Args:
        candidates: n of them.
        weights: (n,), sum to 1.
        mood: what the scores leave open of mood at the time of the last score.
        left: (n,), modelled symptoms left at that time.
        method, ess, khat, reason: as in `Forecast`.
        misfit: chance that a patient of this model shows scores as unlikely as these; None without a score.
    """

    candidates: Candidates
    weights: FloatArray
    mood: MoodState
    left: FloatArray
    method: Method
    ess: float
    khat: float | None
    reason: str
    misfit: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class _Weighed:
    """Candidates with what the scores say of them."""

    candidates: Candidates
    mood: MoodState
    left: FloatArray


def infer(given: ForecastInput, population: Population, scales: tuple[LinkedScale, ...]) -> Posterior:
    """The patient's posterior; `method` is none where no weighting can be trusted.

    Args:
        given: the input.
        population: of the condition.
        scales: of the scores, as `link_scales` gives them.
    """
    deviates, patients = _prior(population.condition, circumstances_of(given), given.seed)
    uncertain = sum(scale.level_sd > 0 for scale in scales)
    more = _more_deviates(given.seed, population.dimensions, uncertain)
    prior = _filtered(given, population, scales, _own(given, scales, patients, more))
    weights, ess, khat = weigh(prior.mood.log_likelihood)
    if ess >= LEAST_ESS and (khat is None or khat <= LARGEST_KHAT):
        return _posterior(prior, weights, method=Method.REWEIGHT, ess=ess, khat=khat, reason="")
    poor = f"only {ess:.0f} of {len(weights)} virtual patients resemble this one"
    found, log_weights = _search(given, population, scales, prior, np.concatenate([deviates, more], axis=1))
    around, searched_ess, searched_khat = weigh(log_weights)
    if searched_ess >= LEAST_LAPLACE_ESS and (searched_khat is None or searched_khat <= LARGEST_KHAT):
        return _posterior(found, around, method=Method.LAPLACE, ess=searched_ess, khat=searched_khat, reason=poor)
    why = f"{poor}, and a search around the most likely one did not settle (effective sample {searched_ess:.0f})"
    return _posterior(prior, weights, method=Method.NONE, ess=ess, khat=khat, reason=why)


def _posterior(
    found: _Weighed, weights: FloatArray, *, method: Method, ess: float, khat: float | None, reason: str
) -> Posterior:
    misfit = None
    if found.mood.surprises:
        squares = np.sum(np.square(found.mood.surprises), axis=0)
        misfit = float(np.sum(weights * chdtrc(len(found.mood.surprises), squares)))
    return Posterior(
        candidates=found.candidates,
        weights=weights,
        mood=found.mood,
        left=found.left,
        method=method,
        ess=ess,
        khat=khat,
        reason=reason,
        misfit=misfit,
    )


def weigh(log_weights: FloatArray) -> tuple[FloatArray, float, float | None]:
    """Normalised weights, effective sample size, and Pareto shape, None where all weights are equal.

    The largest weights are smoothed. Source: Vehtari et al., Pareto smoothed importance sampling.

    Args:
        log_weights: (n,), up to a constant.

    >>> weigh(np.zeros(4))[:2]
    (array([0.25, 0.25, 0.25, 0.25]), 4.0)
    """
    n = len(log_weights)
    if np.ptp(log_weights) == 0:
        return np.full(n, 1.0 / n), float(n), None
    from arviz_stats.base.array import BaseArray  # noqa: PLC0415  costs most of a second

    pareto: Any = BaseArray()
    smoothed, khat = pareto.psislw(-log_weights)  # it takes log likelihoods left out, hence the sign
    weights = np.exp(np.asarray(smoothed) - np.max(smoothed))
    weights /= weights.sum()
    return weights, float(1.0 / np.sum(weights**2)), float(khat)


def circumstances_of(given: ForecastInput) -> Circumstances:
    """A clinic patient is not a trial arm: open treatment, no screening inflation, no trial care.

    Age counts only as over or under the threshold, and weight is put in later, so that few priors serve all patients.
    """
    sessions = (*given.given.administrations, *given.planned.administrations)
    old = given.age_years is not None and given.age_years >= AGE_THRESHOLD_YEARS
    return Circumstances(
        belief=Belief.OPEN,
        enrolment=Enrolment.CLINIC,
        nasal_esketamine=bool(sessions)
        and all((s.drug, s.route) == (DrugForm.ESKETAMINE, Route.INTRANASAL) for s in sessions),
        age_mean_years=AGE_THRESHOLD_YEARS if old else None,
    )


def relief_of(population: Population, candidates: Candidates, regimen: Regimen, times_h: FloatArray) -> Relief:
    """Relief of candidates under sessions.

    Args:
        population: of the condition.
        candidates: n of them.
        regimen: may be empty: no session, no relief.
        times_h: increasing, h since the origin.
    """
    drive = candidates.drive if regimen.administrations else None
    table = treated_table(population, regimen, times_h, drive=drive)
    return simulate_treated(candidates.patients, regimen, table, drive=drive, execution=Execution.COMPILED)


def filter_scores(
    given: ForecastInput, population: Population, scales: tuple[LinkedScale, ...], candidates: Candidates
) -> tuple[MoodState, FloatArray]:
    """Likelihood of all scores for each candidate; his mood, and his symptoms left, at the last score.

    Args:
        given: the input.
        population: of the condition.
        scales: of the scores.
        candidates: n of them.
    """
    patients = candidates.patients
    correlation_h = population.parameters["mood_correlation_h"].typical
    used, start = evidence(given, scales), mood_start_h(scales)
    begin = start if start is not None else used[0][0].at_h if used else given.now_h
    mood = start_mood(patients.mood_sd, at_h=begin, stationary=start is None)
    left = np.ones(len(patients))
    if not used:
        return mood, left
    times = np.unique([_rounded(score.at_h) for score, _ in used])
    all_left = relief_of(population, candidates, given.given, times).left
    for score, place in used:
        scale, level = scales[place], candidates.levels[place]
        left = all_left[:, np.searchsorted(times, _rounded(score.at_h))]
        following = scale.following(patients)
        mood = observe(
            advance(mood, to_h=score.at_h, mood_sd=patients.mood_sd, correlation_h=correlation_h),
            score=scale.value(score) - scale.lowest,
            expected=level * (1.0 - following * (1.0 - left)),
            swing=level * following * np.sqrt(np.maximum(left, 0.0)),
            noise_variance=scale.noise_variance(patients),
        )
    return mood, left


def _rounded(at_h: float) -> float:
    return round(at_h / _TIME_STEP_H) * _TIME_STEP_H


def _filtered(
    given: ForecastInput, population: Population, scales: tuple[LinkedScale, ...], candidates: Candidates
) -> _Weighed:
    mood, left = filter_scores(given, population, scales, candidates)
    return _Weighed(candidates=candidates, mood=mood, left=left)


def candidates_from(
    given: ForecastInput, population: Population, scales: tuple[LinkedScale, ...], deviates: FloatArray
) -> Candidates:
    """Candidates from all their deviates.

    Args:
        given: the input.
        population: of the condition.
        scales: of the scores.
        deviates: (n, population.dimensions + number of uncertain levels), standard normal a priori.
    """
    patients = _patients_from(population, circumstances_of(given), deviates[:, : population.dimensions], given.seed)
    return _own(given, scales, patients, deviates[:, population.dimensions :])


def _own(
    given: ForecastInput, scales: tuple[LinkedScale, ...], patients: VirtualPatients, deviates: FloatArray
) -> Candidates:
    """Virtual patients with this patient's weight, and levels: the uncertain ones take a column of `deviates` each."""
    if given.weight_kg is not None:
        known = np.full(len(patients), given.weight_kg)
        patients = replace(patients, weight_kg=known, pk=replace(patients.pk, weight_kg=known))
    columns, nothing = iter(deviates.T), np.zeros(len(patients))
    levels = [scale.levels(next(columns) if scale.level_sd > 0 else nothing) for scale in scales]
    sessions = (*given.given.administrations, *given.planned.administrations)
    drive = treated_drive(patients, Regimen(sessions)) if sessions else None
    return Candidates(patients=patients, levels=np.array(levels), drive=drive)


@lru_cache(maxsize=4)
def _prior(condition: Condition, circumstances: Circumstances, seed: int) -> tuple[FloatArray, VirtualPatients]:
    """The prior's virtual patients; kept, because building them costs more than weighting them."""
    population = load_population(condition)
    deviates = normal_points(seed, skip=0, dimensions=population.dimensions, first=0, count=N_PARTICLES)
    deviates.flags.writeable = False
    return deviates, _patients_from(population, circumstances, deviates, seed)


@lru_cache(maxsize=4)
def _more_deviates(seed: int, skip: int, dimensions: int) -> FloatArray:
    deviates = normal_points(seed, skip=skip, dimensions=dimensions, first=0, count=N_PARTICLES)
    deviates.flags.writeable = False
    return deviates


def _patients_from(
    population: Population, circumstances: Circumstances, deviates: FloatArray, seed: int
) -> VirtualPatients:
    split = population.person_dimensions
    return build_patients(population, circumstances, persons=deviates[:, :split], doubts=deviates[:, split:], seed=seed)


def _search(
    given: ForecastInput,
    population: Population,
    scales: tuple[LinkedScale, ...],
    prior: _Weighed,
    prior_deviates: FloatArray,
) -> tuple[_Weighed, FloatArray]:
    """Draws around the most likely deviates, and their log weights.

    Damped Gauss-Newton on the standardised surprises finds the mode; the draws are normal with the curvature there,
    wider where the scores inform it. All finite differences of a step run as one batch.
    """
    size = prior_deviates.shape[1]

    def run(deviates: FloatArray) -> tuple[_Weighed, FloatArray]:
        found = _filtered(given, population, scales, candidates_from(given, population, scales, deviates))
        return found, _log_density(found, deviates)

    best = prior_deviates[int(np.argmax(_log_density(prior, prior_deviates)))]
    steps = _STEP * np.eye(size)
    for _ in range(_ITERATIONS):
        around, density = run(np.concatenate([best[None], best + steps, best - steps]))
        slope = (density[1 : size + 1] - density[size + 1 :]) / (2.0 * _STEP)
        surprises = np.array(around.mood.surprises)
        jacobian = (surprises[:, 1 : size + 1] - surprises[:, size + 1 :]) / (2.0 * _STEP)
        curvature = np.eye(size) + jacobian.T @ jacobian
        tried = best + _LENGTHS[:, None] * np.linalg.solve(curvature, slope)
        _, heights = run(tried)
        highest = int(np.argmax(heights))
        if not heights[highest] > density[0] + _SETTLED:
            break
        best = tried[highest]
    informed, directions = np.linalg.eigh(curvature)
    sd = np.where(informed > _INFORMED, _WIDER, 1.0) / np.sqrt(informed)
    standard = np.random.default_rng([given.seed, N_LAPLACE]).standard_normal((N_LAPLACE, size))
    drawn, density = run(best + (standard * sd) @ directions.T)
    return drawn, density + 0.5 * np.sum(standard * standard, axis=1)


def _log_density(found: _Weighed, deviates: FloatArray) -> FloatArray:
    """Log of prior times likelihood, up to a constant."""
    density: FloatArray = found.mood.log_likelihood - 0.5 * np.sum(deviates**2, axis=1)
    return density
