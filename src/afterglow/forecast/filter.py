"""How likely a patient's scores are for each candidate, and what they leave unknown of his mood.

A candidate is a virtual patient with a level before treatment on every scale. Given him, a score is

    lowest + level (1 - rho (1 - y0)) + level rho sqrt(y0) x + error

with x the mood fluctuation (Ornstein-Uhlenbeck): linear in the one unknown x, with independent errors. So a scalar
Kalman filter for each candidate gives the exact likelihood of all scores together, of any scales, (autocorrelated mood
is not counted twice) and the distribution of x at the last of them. Rounding to whole points counts as error; that a
score ends with its scale is left out.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from afterglow.therapy.kinetics import FloatArray

ROUNDING_VARIANCE = 1.0 / 12.0  # of a score rounded to whole points


@dataclass(frozen=True, slots=True, kw_only=True)
class MoodState:
    """Mood x of n candidates at one time, normal for each of them.

    Args:
        at_h: the time.
        mean, variance: (n,), of x, as a fraction of the level before treatment.
        log_likelihood: (n,), of all scores used so far.
        surprises: (n,) each, points by which each score differed from what was expected.
        spreads: (n,) each, standard deviation of that difference.
    """

    at_h: float
    mean: FloatArray
    variance: FloatArray
    log_likelihood: FloatArray
    surprises: tuple[FloatArray, ...] = ()
    spreads: tuple[FloatArray, ...] = ()

    def take(self, chosen: np.ndarray[tuple[int], np.dtype[np.int64]]) -> MoodState:
        """Some of the candidates, by position; their surprises are left behind."""
        mean, variance, likelihood = self.mean[chosen], self.variance[chosen], self.log_likelihood[chosen]
        return MoodState(at_h=self.at_h, mean=mean, variance=variance, log_likelihood=likelihood)


def start_mood(mood_sd: FloatArray, *, at_h: float, stationary: bool) -> MoodState:
    """Mood before any score: anything it can be, or zero at a score that defines the level.

    Args:
        mood_sd: (n,), stationary standard deviation of x.
        at_h: when.
        stationary: whether x may be anything.

    >>> start_mood(np.array([0.25]), at_h=0.0, stationary=True).variance
    array([0.0625])
    """
    nothing = np.zeros(len(mood_sd))
    return MoodState(
        at_h=at_h, mean=nothing, variance=mood_sd**2 if stationary else nothing, log_likelihood=np.zeros(len(mood_sd))
    )


def advance(mood: MoodState, *, to_h: float, mood_sd: FloatArray, correlation_h: float) -> MoodState:
    """The same knowledge at a later time: x forgets where it was.

    Args:
        mood: knowledge now.
        to_h: the later time.
        mood_sd: (n,).
        correlation_h: time constant.

    >>> low = MoodState(at_h=0.0, mean=np.ones(1), variance=np.zeros(1), log_likelihood=np.zeros(1))
    >>> advance(low, to_h=240.0, mood_sd=np.array([0.25]), correlation_h=240.0).mean.round(3)
    array([0.368])
    """
    keep = float(np.exp(-(to_h - mood.at_h) / correlation_h))
    variance = keep**2 * mood.variance + (1.0 - keep**2) * mood_sd**2
    return replace(mood, at_h=to_h, mean=keep * mood.mean, variance=variance)


def observe(
    mood: MoodState, *, score: float, expected: FloatArray, swing: FloatArray, noise_variance: FloatArray
) -> MoodState:
    """Take in one score at the time of `mood`.

    Args:
        mood: knowledge before it.
        score: points.
        expected: (n,), the score without fluctuation or error.
        swing: (n,), points by which a unit of x moves it.
        noise_variance: (n,), of the written score around the true one, points squared.

    >>> before = start_mood(np.array([0.25]), at_h=0.0, stationary=True)
    >>> two = np.array([20.0])
    >>> after = observe(before, score=25.0, expected=two, swing=two, noise_variance=np.array([25.0]))
    >>> after.mean.tolist(), after.surprises[0].tolist()  # the prior and the error weigh the same
    ([0.125], [5.0])
    """
    shared = swing * mood.variance
    variance = swing * shared + noise_variance
    surprise = score - expected - swing * mood.mean
    return MoodState(
        at_h=mood.at_h,
        mean=mood.mean + shared / variance * surprise,
        variance=mood.variance * noise_variance / variance,
        log_likelihood=mood.log_likelihood - 0.5 * (np.log(2.0 * np.pi * variance) + surprise**2 / variance),
        surprises=(*mood.surprises, surprise),
        spreads=(*mood.spreads, np.sqrt(variance)),
    )
