"""The posterior of one patient by a long Markov chain: slow, exact in the limit, and a check of the fast one.

emcee runs 96 chains from the prior with preconditioned Crank-Nicolson proposals, which keep the prior, so acceptance
depends on the likelihood alone; the density runs through the compiled engine, all chains at once.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from afterglow.errors import MissingValue
from afterglow.forecast.candidates import Candidates, Case, candidates_from, relief_of
from afterglow.forecast.filter import MoodState
from afterglow.forecast.update import infer
from afterglow.forecast.weighting import filter_scores
from afterglow.therapy.kinetics import FloatArray

LEADS_DAYS = (1.0, 7.0, 28.0)
LEVELS = (0.05, 0.25, 0.5, 0.75, 0.95)
_CHAINS, _STEPS, _BURN, _THIN = 96, 1_000, 100, 5


def largest_difference(case: Case, *, steps: int = _STEPS) -> float:
    """Largest difference of any quantile of the expected score on any lead day, in points, between the two posteriors.

    Both sides have Monte Carlo error.

    Args:
        case: the patient.
        steps: of the chain.

    Raises: MissingValue without the package emcee.
    """
    found = infer(case)
    ours = _expected_scores(case, found.candidates, found.mood)
    people = candidates_from(case, _sample(case, steps))
    left = relief_of(case, people, case.given.given, np.array(case.score_times_h)).left
    theirs = _expected_scores(case, people, filter_scores(case, people, left))
    differences = [
        np.abs(_weighted_quantiles(ours[:, lead], found.weights) - np.quantile(theirs[:, lead], LEVELS)).max()
        for lead in range(len(LEADS_DAYS))
    ]
    return float(max(differences))


def _crank_nicolson(size: float) -> Callable[[FloatArray, np.random.RandomState], tuple[FloatArray, FloatArray]]:
    """A proposal that leaves the standard normal prior as it is."""

    def propose(x: FloatArray, rng: np.random.RandomState) -> tuple[FloatArray, FloatArray]:
        moved = np.sqrt(1.0 - size**2) * x + size * rng.standard_normal(x.shape)
        return moved, 0.5 * (np.sum(moved**2, axis=1) - np.sum(x**2, axis=1))

    return propose


def _sample(case: Case, steps: int) -> FloatArray:
    try:
        import emcee  # noqa: PLC0415  an optional package
    except ImportError:
        raise MissingValue(
            "The check against a long chain needs the package emcee", next_step="Install it: pip install emcee"
        ) from None
    times = np.array(case.score_times_h)

    def log_density(z: FloatArray) -> FloatArray:
        people = candidates_from(case, z)
        left = relief_of(case, people, case.given.given, times).left
        density: FloatArray = filter_scores(case, people, left).log_likelihood - 0.5 * np.sum(z**2, axis=1)
        return density

    size = case.population.dimensions + case.uncertain
    moves = [(emcee.moves.MHMove(_crank_nicolson(step)), 1 / 3) for step in (0.15, 0.4, 0.8)]
    sampler = emcee.EnsembleSampler(_CHAINS, size, log_density, vectorize=True, moves=moves)
    sampler._random = np.random.RandomState(1)  # noqa: SLF001  what emcee draws from, and it takes no other
    sampler.run_mcmc(np.random.default_rng(1).standard_normal((_CHAINS, size)), steps)
    drawn: FloatArray = sampler.get_chain(discard=min(_BURN, steps // 2), thin=_THIN, flat=True)
    return drawn


def _expected_scores(case: Case, people: Candidates, mood: MoodState) -> FloatArray:
    """Of each candidate on the lead days, error and future mood averaged out."""
    times = case.given.now_h + 24.0 * np.array(LEADS_DAYS)
    left = relief_of(case, people, case.given.given, times).left
    level, following = people.levels[-1][:, None], case.scales[-1].following(people.patients)[:, None]
    x = np.exp(-(times - mood.at_h) / case.correlation_h) * mood.mean[:, None]
    scores: FloatArray = level * (1.0 - following * (1.0 - left) + following * np.sqrt(left) * x)
    return scores


def _weighted_quantiles(values: FloatArray, weights: FloatArray) -> FloatArray:
    order = np.argsort(values)
    middle = np.cumsum(weights[order]) - 0.5 * weights[order]
    return np.interp(LEVELS, middle, values[order])
