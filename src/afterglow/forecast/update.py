"""From the population to this patient: virtual patients under his own sessions, weighted by his own scores.

First the prior is re-weighted. Where too few virtual patients carry the weight, the patient's own most likely deviates
are searched (Gauss-Newton), and draws around them (Laplace) are weighted exactly. Where that fails too there is no
forecast.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np

from afterglow.forecast.answer import ForecastInput, Method
from afterglow.forecast.filter import MoodState, ScaleState, advance, observe, start_state
from afterglow.therapy.kinetics import FloatArray
from afterglow.therapy.population import (
    Belief,
    Circumstances,
    Population,
    VirtualPatients,
    build_patients,
    load_population,
    normal_points,
)
from afterglow.therapy.regimen import Regimen
from afterglow.therapy.relief import Execution, Relief
from afterglow.therapy.setting import Condition, Enrolment
from afterglow.therapy.treated import simulate_treated, treated_table

N_PARTICLES = 20_480
N_LAPLACE = 4_096
LEAST_ESS = 500.0  # below it re-weighting is given up for the search
LEAST_LAPLACE_ESS = 200.0  # below it there is no forecast
LARGEST_KHAT = 0.7  # Vehtari et al., Pareto smoothed importance sampling: weights are unreliable above
_WIDER = 1.15  # proposal wider than the Laplace approximation, so that its tails hold the target's
_ITERATIONS = 12
_STEP = 1e-3
_SETTLED = 1e-4  # gain of log density that ends the search
_LENGTHS = np.array([1.0, 0.5, 0.25, 0.1, 0.03])


@dataclass(frozen=True, slots=True, kw_only=True)
class LinkedScale:
    """One scale of the patient's scores: its place in the filter, and its range."""

    name: str
    lowest: float
    highest: float
    whole_numbers: bool
    self_report: bool
    percent: bool
    level: float
    level_sd: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Posterior:
    """Virtual patients that stand for this one.

    Args:
        patients: n of them.
        weights: (n,), sum to 1.
        mood: what the scores leave open of mood and levels at the time of the last score.
        method, ess, khat, reason: as in `Forecast`.
    """

    patients: VirtualPatients
    weights: FloatArray
    mood: MoodState
    method: Method
    ess: float
    khat: float | None
    reason: str


def infer(given: ForecastInput, population: Population, scales: tuple[LinkedScale, ...]) -> Posterior:
    """The patient's posterior; `method` is none where no weighting can be trusted.

    Args:
        given: the input.
        population: of the condition.
        scales: of the scores, in the order of the filter.
    """
    circumstances = circumstances_of(given)
    deviates, patients = _prior(population.condition, circumstances, given.seed)
    mood = filter_scores(given, population, patients, scales)
    weights, ess, khat = _weigh(mood.log_likelihood)
    if not given.scores or (ess >= LEAST_ESS and (khat is None or khat <= LARGEST_KHAT)):
        return Posterior(
            patients=patients,
            weights=weights,
            mood=mood,
            method=Method.REWEIGHT,
            ess=ess,
            khat=khat,
            reason="",
        )
    poor = f"only {ess:.0f} of {len(patients)} virtual patients resemble this one"
    searched = _search(given, population, scales, deviates, mood)
    if searched.ess >= LEAST_LAPLACE_ESS and searched.khat is not None and searched.khat <= LARGEST_KHAT:
        return Posterior(
            patients=searched.patients,
            weights=searched.weights,
            mood=searched.mood,
            method=Method.LAPLACE,
            ess=searched.ess,
            khat=searched.khat,
            reason=poor,
        )
    why = f"{poor}, and a search around the most likely one did not settle (k-hat {searched.khat or np.inf:.2f})"
    return Posterior(
        patients=patients,
        weights=weights,
        mood=mood,
        method=Method.NONE,
        ess=ess,
        khat=khat,
        reason=why,
    )


def circumstances_of(given: ForecastInput) -> Circumstances:
    """A clinic patient is not a trial arm: open treatment, no screening inflation, no trial care."""
    return Circumstances(
        belief=Belief.OPEN,
        enrolment=Enrolment.CLINIC,
        weight_kg=given.weight_kg,
        age_mean_years=given.age_years,
    )


def relief_of(
    population: Population,
    patients: VirtualPatients,
    regimen: Regimen,
    times_h: FloatArray,
    *,
    execution: Execution = Execution.COMPILED,
) -> Relief:
    """Relief of virtual patients under this patient's sessions; no sessions, no relief."""
    return simulate_treated(patients, regimen, treated_table(population, regimen, times_h), execution=execution)


def scale_states(scales: tuple[LinkedScale, ...], patients: VirtualPatients) -> list[ScaleState]:
    """The scales as the filter sees them, for these patients."""
    states = []
    for scale in scales:
        error = patients.error_self_report if scale.self_report else patients.error_clinician
        states.append(
            ScaleState(
                level=scale.level,
                level_sd=scale.level_sd,
                following=patients.following_self_report if scale.self_report else 1.0,
                error_sd=error * (scale.highest - scale.lowest),
                whole_numbers=scale.whole_numbers,
            )
        )
    return states


def filter_scores(
    given: ForecastInput, population: Population, patients: VirtualPatients, scales: tuple[LinkedScale, ...]
) -> MoodState:
    """Likelihood of all scores for each virtual patient, and mood and levels at the last of them."""
    used = [score for score in given.scores if not defines_level(given, score.at_h, score.scale, scales)]
    states = scale_states(scales, patients)
    stationary = not any(scale.level_sd == 0 and not scale.percent for scale in scales)
    begin = min((score.at_h for score in given.scores), default=0.0)
    mood = start_state(len(patients), states, at_h=begin, mood_sd=patients.mood_sd, stationary=stationary)
    if not used:
        return mood
    times = np.array(sorted({score.at_h for score in used}))
    left = relief_of(population, patients, given.given, times).left
    correlation_h = population.parameters["mood_correlation_h"].typical
    names = [scale.name for scale in scales]
    for score in used:
        place = names.index(score.scale)
        mood = advance(mood, to_h=score.at_h, mood_sd=patients.mood_sd, correlation_h=correlation_h)
        value = score.points if score.points is not None else 100.0 * (score.fraction_of_baseline or 0.0)
        mood = observe(
            mood,
            states[place],
            place,
            score=value - scales[place].lowest,
            left=left[:, int(np.searchsorted(times, score.at_h))],
        )
    return mood


def defines_level(given: ForecastInput, at_h: float, name: str, scales: tuple[LinkedScale, ...]) -> bool:
    """Whether a score is the one before treatment that defines its scale's level, and so is no evidence of it."""
    scale = next(one for one in scales if one.name == name)
    first_session = given.given.starts_h[0] if given.given.administrations else np.inf
    return scale.level_sd == 0 and not scale.percent and at_h <= first_session


def patients_from(
    population: Population, circumstances: Circumstances, deviates: FloatArray, *, seed: int
) -> VirtualPatients:
    """Virtual patients from all their deviates, (n, population.dimensions)."""
    split = population.person_dimensions
    return build_patients(population, circumstances, persons=deviates[:, :split], doubts=deviates[:, split:], seed=seed)


@lru_cache(maxsize=8)
def _prior(condition: Condition, circumstances: Circumstances, seed: int) -> tuple[FloatArray, VirtualPatients]:
    """The prior's virtual patients; kept, because building them costs more than weighting them."""
    population = load_population(condition)
    deviates = normal_points(seed, skip=0, dimensions=population.dimensions, first=0, count=N_PARTICLES)
    deviates.flags.writeable = False
    return deviates, patients_from(population, circumstances, deviates, seed=seed)


def _weigh(log_weights: FloatArray) -> tuple[FloatArray, float, float | None]:
    """Normalised weights, effective sample size, Pareto shape; no shape where all weights are equal."""
    if np.ptp(log_weights) == 0:
        n = len(log_weights)
        return np.full(n, 1.0 / n), float(n), None
    from arviz_stats.base.array import BaseArray  # noqa: PLC0415  costs most of a second

    pareto: Any = BaseArray()
    smoothed, khat = pareto.psislw(-log_weights)  # it takes log likelihoods left out, hence the sign
    weights = np.exp(np.asarray(smoothed) - np.max(smoothed))
    weights /= weights.sum()
    return weights, float(1.0 / np.sum(weights**2)), float(khat)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Searched:
    patients: VirtualPatients
    weights: FloatArray
    mood: MoodState
    ess: float
    khat: float | None


def _search(
    given: ForecastInput,
    population: Population,
    scales: tuple[LinkedScale, ...],
    start: FloatArray,
    mood: MoodState,
) -> _Searched:
    """Mode of the deviates by damped Gauss-Newton, draws around it, exact weights."""
    circumstances = circumstances_of(given)
    size = population.dimensions

    def run(z: FloatArray) -> tuple[VirtualPatients, MoodState]:
        people = patients_from(population, circumstances, z, seed=given.seed)
        return people, filter_scores(given, population, people, scales)

    def log_density(z: FloatArray, found: MoodState) -> FloatArray:
        value: FloatArray = found.log_likelihood - 0.5 * np.sum(z * z, axis=1)
        return value

    best = start[int(np.argmax(log_density(start, mood)))]
    steps = _STEP * np.eye(size)
    for _ in range(_ITERATIONS):
        z = np.concatenate([best[None], best + steps, best - steps])
        _, found = run(z)
        density = log_density(z, found)
        slope = (density[1 : size + 1] - density[size + 1 :]) / (2.0 * _STEP)
        scores = np.array(found.surprises)
        jacobian = (scores[:, 1 : size + 1] - scores[:, size + 1 :]) / (2.0 * _STEP)
        curvature = np.eye(size) + jacobian.T @ jacobian
        step = np.linalg.solve(curvature, slope)
        tried = best + _LENGTHS[:, None] * step
        heights = log_density(tried, run(tried)[1])
        k = int(np.argmax(heights))
        if not heights[k] > density[0] + _SETTLED:
            break
        best = tried[k]
    rng = np.random.default_rng([given.seed, N_LAPLACE])
    deviates = rng.standard_normal((N_LAPLACE, size))
    draws = best + _WIDER * np.linalg.solve(np.linalg.cholesky(curvature).T, deviates.T).T
    people, at_end = run(draws)
    weights, ess, khat = _weigh(log_density(draws, at_end) + 0.5 * np.sum(deviates * deviates, axis=1))
    return _Searched(patients=people, weights=weights, mood=at_end, ess=ess, khat=khat)
