"""The filter against the definition it replaces: one multivariate normal density of all scores together."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from afterglow.forecast.filter import advance, observe, start_mood
from afterglow.therapy.kinetics import FloatArray

TAU_H = 240.0


def brute_force(
    times: FloatArray,
    expected: FloatArray,
    swing: FloatArray,
    noise: FloatArray,
    scores: FloatArray,
    start: float | None,
) -> tuple[float, float, float]:
    """Log density of the scores, and mean and variance of x at the last, with mood of standard deviation 0.25."""
    gap = np.abs(times[:, None] - times)
    covariance = np.exp(-gap / TAU_H)
    if start is not None:  # zero then
        covariance -= np.exp(-((times[:, None] - start) + (times - start)) / TAU_H)
    covariance *= 0.25**2
    total = covariance * np.outer(swing, swing) + np.diag(noise)
    surprise = scores - expected
    solved = np.linalg.solve(total, surprise)
    log_density = -0.5 * (surprise @ solved + np.linalg.slogdet(2.0 * np.pi * total)[1])
    shared = covariance[-1] * swing
    mean, variance = shared @ solved, covariance[-1, -1] - shared @ np.linalg.solve(total, shared)
    return float(log_density), float(mean), float(variance)


one_score = st.tuples(
    st.floats(0.0, 500.0),  # h since the score before
    st.floats(0.0, 60.0),  # expected
    st.floats(0.0, 60.0),  # swing
    st.floats(0.05, 50.0),  # error variance
    st.floats(-10.0, 70.0),  # score
)


@settings(max_examples=300)
@given(rows=st.lists(one_score, min_size=1, max_size=8), stationary=st.booleans())
def test_filter_is_the_joint_normal_density(rows: list[tuple[float, ...]], *, stationary: bool) -> None:
    gaps, expected, swing, noise, scores = np.array(rows).T
    times = np.cumsum(gaps)
    sd = np.array([0.25])
    mood = start_mood(sd, at_h=0.0, stationary=stationary)
    for i, time in enumerate(times):
        mood = observe(
            advance(mood, to_h=float(time), mood_sd=sd, correlation_h=TAU_H),
            score=float(scores[i]),
            expected=expected[i : i + 1],
            swing=swing[i : i + 1],
            noise_variance=noise[i : i + 1],
        )
    log_density, mean, variance = brute_force(times, expected, swing, noise, scores, None if stationary else 0.0)
    assert abs(mood.log_likelihood[0] - log_density) <= 1e-10 * max(1.0, abs(log_density))
    assert abs(mood.mean[0] - mean) <= 1e-10
    assert abs(mood.variance[0] - variance) <= 1e-10
    squares = np.sum(np.square(np.divide(mood.surprises, mood.spreads)))
    spreads = np.sum(np.log(mood.spreads))
    rebuilt = -0.5 * squares - spreads - 0.5 * len(times) * np.log(2.0 * np.pi)
    assert abs(rebuilt - log_density) <= 1e-10 * max(1.0, abs(log_density))
