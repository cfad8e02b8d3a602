"""How likely a patient's scores are for each virtual patient, and what they leave unknown of mood and level.

Given the modelled relief, the mood fluctuation x (Ornstein-Uhlenbeck) and the true level before treatment of each scale
are linear in every score, and errors are independent. So a small Kalman filter per virtual patient gives the exact
likelihood of all scores together (autocorrelated mood is not counted twice) and the distribution of x and levels now.
The product of level and x is linearised around the level, the one approximation.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from afterglow.therapy.kinetics import FloatArray

_ROUNDING_VARIANCE = 1.0 / 12.0


@dataclass(frozen=True, slots=True, kw_only=True)
class ScaleState:
    """What is known of one scale before the scores are used.

    Args:
        level: points above the scale's lowest score before treatment, prior mean.
        level_sd: its standard deviation; 0 where one score before treatment defines it.
        following: (n,) or a number, how far the scale follows the state.
        error_sd: (n,) or a number, measurement error in points.
        whole_numbers: whether scores are rounded.
    """

    level: float
    level_sd: float
    following: FloatArray | float
    error_sd: FloatArray | float
    whole_numbers: bool

    @property
    def noise_variance(self) -> FloatArray:
        """Variance of a written score around the true one."""
        variance: FloatArray = np.square(np.asarray(self.error_sd)) + _ROUNDING_VARIANCE * self.whole_numbers
        return variance


@dataclass(frozen=True, slots=True, kw_only=True)
class MoodState:
    """Mood and levels of n virtual patients at one time, normal given the patient.

    Args:
        at_h: the time.
        mean: (n, 1 + n_scales), x first, then each scale's level less its prior mean.
        covariance: (n, 1 + n_scales, 1 + n_scales).
        log_likelihood: (n,), of all scores used.
        surprises: (n,) each, how far each score lay from what was expected, in standard deviations.
    """

    at_h: float
    mean: FloatArray
    covariance: FloatArray
    log_likelihood: FloatArray
    surprises: tuple[FloatArray, ...] = ()


def start_state(n: int, scales: list[ScaleState], *, at_h: float, mood_sd: FloatArray, stationary: bool) -> MoodState:
    """Before any score: x is zero at a baseline score that defines the level, else stationary."""
    size = 1 + len(scales)
    covariance = np.zeros((n, size, size))
    if stationary:
        covariance[:, 0, 0] = mood_sd**2
    for i, scale in enumerate(scales, start=1):
        covariance[:, i, i] = scale.level_sd**2
    return MoodState(at_h=at_h, mean=np.zeros((n, size)), covariance=covariance, log_likelihood=np.zeros(n))


def advance(state: MoodState, *, to_h: float, mood_sd: FloatArray, correlation_h: float) -> MoodState:
    """The same knowledge at a later time: x forgets, levels stay."""
    keep = float(np.exp(-(to_h - state.at_h) / correlation_h))
    mean, covariance = state.mean.copy(), state.covariance.copy()
    mean[:, 0] *= keep
    covariance[:, 0, :] *= keep
    covariance[:, :, 0] *= keep
    covariance[:, 0, 0] += mood_sd**2 * (1.0 - keep * keep)
    return replace(state, at_h=to_h, mean=mean, covariance=covariance)


def loading(scale: ScaleState, place: int, left: FloatArray, size: int) -> FloatArray:
    """How a true score above the scale's lowest depends on (x, levels): (n, size); `left` is (n,)."""
    out = np.zeros((len(left), size))
    out[:, 0] = scale.level * np.asarray(scale.following) * np.sqrt(np.maximum(left, 0.0))
    out[:, 1 + place] = 1.0 - np.asarray(scale.following) * (1.0 - left)
    return out


def observe(state: MoodState, scale: ScaleState, place: int, *, score: float, left: FloatArray) -> MoodState:
    """Take in one score.

    Args:
        state: knowledge at the time of the score.
        scale: the score's scale; `place` is its position among the scales.
        place: see above.
        score: points above the scale's lowest.
        left: (n,), modelled symptoms left at that time.
    """
    h = loading(scale, place, left, state.mean.shape[1])
    expected = scale.level * h[:, 1 + place] + np.einsum("nd,nd->n", h, state.mean)
    spread = np.einsum("nde,ne->nd", state.covariance, h)
    variance = np.einsum("nd,nd->n", h, spread) + scale.noise_variance
    surprise = score - expected
    gain = spread / variance[:, None]
    return MoodState(
        at_h=state.at_h,
        mean=state.mean + gain * surprise[:, None],
        covariance=state.covariance - gain[:, :, None] * spread[:, None, :],
        log_likelihood=state.log_likelihood - 0.5 * (np.log(2.0 * np.pi * variance) + surprise**2 / variance),
        surprises=(*state.surprises, surprise / np.sqrt(variance)),
    )
