"""What the scores say of each candidate, and how far the weights that follow can be trusted."""

from __future__ import annotations

from typing import Any

import numpy as np

from afterglow.forecast.candidates import Candidates, Case, score_time_h
from afterglow.forecast.filter import MoodState, advance, observe, start_mood
from afterglow.forecast.linking import evidence, mood_start_h
from afterglow.therapy.kinetics import FloatArray


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
    with np.errstate(all="ignore"):  # where all but a few weights are nothing, no shape can be fitted
        smoothed, khat = pareto.psislw(-log_weights)  # it takes log likelihoods left out, hence the sign
    if not np.isfinite(khat) or np.any(np.isnan(smoothed)):
        smoothed, khat = log_weights, np.inf
    weights = np.exp(smoothed - np.max(smoothed))
    weights /= weights.sum()
    return weights, float(1.0 / np.sum(weights**2)), float(khat)


def filter_scores(case: Case, candidates: Candidates, left: FloatArray) -> MoodState:
    """Likelihood of all scores for each candidate, and his mood at the last of them.

    Args:
        case: the patient.
        candidates: n of them.
        left: (n, n_times), their symptoms left at the case's score times.
    """
    patients, times = candidates.patients, case.score_times_h
    used, start = evidence(case.given, case.scales), mood_start_h(case.scales)
    begin = start if start is not None else used[0][0].at_h if used else case.given.now_h
    mood = start_mood(patients.mood_sd, at_h=begin, stationary=start is None)
    for score, place in used:
        scale, level = case.scales[place], candidates.levels[place]
        remaining = left[:, times.index(score_time_h(score.at_h))]
        following = scale.following(patients)
        mood = observe(
            advance(mood, to_h=score.at_h, mood_sd=patients.mood_sd, correlation_h=case.correlation_h),
            score=scale.value(score) - scale.lowest,
            expected=level * (1.0 - following * (1.0 - remaining)),
            swing=level * following * np.sqrt(np.maximum(remaining, 0.0)),
            noise_variance=scale.noise_variance(patients),
        )
    return mood
