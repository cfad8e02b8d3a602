"""From virtual patients to what a trial of a given size would report: moments, tails and prediction intervals.

A trial's estimate varies for three reasons: which patients it enrols (sampling), how it differs from other trials,
and how unsure the model's parameters are. The last two are the draws of the population; the first follows from the
number of patients. So a predictive distribution is a mixture over draws of a sampling distribution.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.special import bdtr, ndtr

from afterglow.therapy.kinetics import FloatArray

_PROPORTION_STEPS = 1000  # resolution of a proportion of many patients, or whose denominator differs between draws
_TINY = 1e-12
_ROUNDING_VARIANCE = 1.0 / 12.0  # of a uniform error of one point's width


@dataclass(frozen=True, slots=True, kw_only=True)
class Interval:
    """Mean of a predictive distribution and its central 90 % interval."""

    value: float
    lo90: float
    hi90: float


def bounded_moments(
    mean: FloatArray, sd: FloatArray, *, lowest: float, highest: float, whole_numbers: bool
) -> tuple[FloatArray, FloatArray]:
    """First and second moment of a normal score that cannot leave its scale.

    Args:
        mean: of the latent score.
        sd: of the latent score.
        lowest: bound of the scale; what lies beyond a bound is written as the bound.
        highest: likewise.
        whole_numbers: adds the variance of rounding.

    Source: moments of a censored normal variable (Tobin's type).

    >>> m, m2 = bounded_moments(np.array([30.0]), np.array([3.0]), lowest=0, highest=60, whole_numbers=False)
    >>> round(float(m[0]), 6), round(float(m2[0] - m[0] ** 2), 6)
    (30.0, 9.0)
    """
    a, b = (lowest - mean) / sd, (highest - mean) / sd
    below, above = ndtr(a), ndtr(-b)
    inside = 1.0 - below - above
    density_a, density_b = _density(a), _density(b)
    first = lowest * below + highest * above + mean * inside + sd * (density_a - density_b)
    second = (
        lowest**2 * below
        + highest**2 * above
        + (mean**2 + sd**2) * inside
        + sd * ((mean + lowest) * density_a - (mean + highest) * density_b)
    )
    return first, second + (_ROUNDING_VARIANCE if whole_numbers else 0.0)


def at_most(mean: FloatArray, sd: FloatArray, limit: FloatArray | float) -> FloatArray:
    """Chance that a latent normal score lies below `limit`."""
    chance: FloatArray = ndtr((limit - mean) / sd)
    return chance


def mean_quantiles(means: FloatArray, standard_errors: FloatArray, levels: Sequence[float]) -> FloatArray:
    """Quantiles of the predictive of a trial mean: a mixture over draws of normal sampling distributions.

    Args:
        means: (n_draws, ...), what the trial would report on average in each draw.
        standard_errors: the same shape.
        levels: between 0 and 1.

    Returns: shape (n_levels, ...).

    >>> mean_quantiles(np.zeros(4), np.ones(4), [0.05, 0.95]).round(4).tolist()
    [-1.6449, 1.6449]
    """
    error = np.maximum(standard_errors, _TINY)
    reach = 8.0 * error.max(axis=0)
    out = []
    for level in levels:
        low, high = means.min(axis=0) - reach, means.max(axis=0) + reach
        for _ in range(60):  # halves the bracket to rounding
            middle = (low + high) / 2.0
            below = ndtr((middle - means) / error).mean(axis=0) < level
            low, high = np.where(below, middle, low), np.where(below, high, middle)
        out.append((low + high) / 2.0)
    return np.array(out)


def mean_interval(
    means: FloatArray, standard_errors: FloatArray, *, lowest: float = -np.inf, highest: float = np.inf
) -> Interval:
    """Mean and 90 % interval of the predictive of a trial mean, shape (n_draws,) each, inside what can be reported.

    >>> round(mean_interval(np.zeros(4), np.ones(4)).hi90, 4)
    1.6449
    """
    lo, hi = mean_quantiles(means, standard_errors, (0.05, 0.95))
    return Interval(value=float(np.mean(means)), lo90=max(float(lo), lowest), hi90=min(float(hi), highest))


def proportion_interval(chances: FloatArray, n: FloatArray | int) -> Interval:
    """Predictive of a trial percentage: a mixture over draws of binomial counts out of `n`, in percent.

    The bounds are the smallest counts whose cumulative probability reaches 5 % and 95 %. Beyond 1,000 patients, or with
    a number at risk that differs between draws (responders who may relapse), they are read to 0.1 percentage points, as
    proportions of each draw's own number.

    >>> proportion_interval(np.full(8, 0.5), 20)
    Interval(value=50.0, lo90=30.0, hi90=70.0)
    """
    sizes = np.maximum(np.round(np.broadcast_to(np.asarray(n, dtype=np.float64), chances.shape)), 1.0)
    steps = int(min(sizes[0], _PROPORTION_STEPS)) if np.all(sizes == sizes[0]) else _PROPORTION_STEPS
    proportions = np.arange(steps + 1) / steps
    counts = np.floor(proportions[:, None] * sizes + 1e-9)
    cumulative = bdtr(counts, sizes.astype(np.int64), np.clip(chances, 0.0, 1.0)).mean(axis=1)
    cumulative[-1] = 1.0
    lo, hi = (float(proportions[np.argmax(cumulative >= level - 1e-12)]) * 100.0 for level in (0.05, 0.95))
    return Interval(value=float(np.mean(chances)) * 100.0, lo90=lo, hi90=hi)


def _density(x: FloatArray) -> FloatArray:
    value: FloatArray = np.exp(-0.5 * x * x) / np.sqrt(2.0 * np.pi)
    return value
