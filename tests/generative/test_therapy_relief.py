"""Credit for relief, and mood, for any values."""

from __future__ import annotations

import itertools

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from afterglow.therapy.relief import MoodFluctuation, Relief

FRACTION = st.floats(0.0, 1.0)
CARE = st.floats(-2.0, 1.0)  # negative is worsening


def shares(drug: float, expectancy: float, care: float) -> list[float]:
    relief = Relief(
        times_h=np.zeros(1), drug=np.array([[drug]]), expectancy=np.array([[expectancy]]), care=np.array([[care]])
    )
    return [float(part[0, 0]) for part in relief.shares()]


def shapley(parts: tuple[float, float, float]) -> list[float]:
    """What each takes away, averaged over the six orders."""
    credit = [0.0, 0.0, 0.0]
    for order in itertools.permutations(range(3)):
        left = 1.0
        for i in order:
            credit[i] += left * parts[i] / 6.0
            left *= 1.0 - parts[i]
    return credit


@given(drug=FRACTION, expectancy=FRACTION, care=CARE)
def test_shares_are_the_shapley_values_and_add_up(drug: float, expectancy: float, care: float) -> None:
    found = shares(drug, expectancy, care)
    assert np.allclose(found, shapley((drug, expectancy, care)), rtol=1e-13, atol=1e-15)
    assert abs(sum(found) - (1.0 - (1.0 - drug) * (1.0 - expectancy) * (1.0 - care))) < 1e-14


@given(a=FRACTION, b=FRACTION, c=CARE)
def test_a_part_keeps_its_share_under_another_name(a: float, b: float, c: float) -> None:
    in_order = dict(zip("abc", shares(a, b, c), strict=True))
    for names in itertools.permutations("abc"):
        values = {"a": a, "b": b, "c": c}
        found = shares(*(values[name] for name in names))
        assert np.allclose(found, [in_order[name] for name in names], rtol=1e-13, atol=1e-15)


@given(tiny=st.floats(0.0, 1e-300), other=st.floats(-1e-300, 1e-300))
def test_shares_stay_finite_where_nothing_is_relieved(tiny: float, other: float) -> None:
    assert shares(tiny, 0.0, other) == [tiny, 0.0, other]


@given(
    gaps_h=st.lists(st.floats(0.0, 2000.0), min_size=1, max_size=5),
    sd=st.floats(0.01, 1.0),
    correlation_h=st.floats(1.0, 2000.0),
)
def test_paths_have_the_covariance_of_the_process(gaps_h: list[float], sd: float, correlation_h: float) -> None:
    """Paths are linear in the deviates, so unit deviates give the covariance without any sampling."""
    times = np.cumsum(gaps_h)
    mood = MoodFluctuation(sd=sd, correlation_h=correlation_h)
    response = mood.paths(times, np.eye(len(times)))
    earlier, later = np.minimum.outer(times, times), np.maximum.outer(times, times)
    expected: NDArray[np.float64] = sd**2 * (
        np.exp(-(later - earlier) / correlation_h) - np.exp(-(later + earlier) / correlation_h)
    )
    assert np.allclose(response.T @ response, expected, rtol=1e-9, atol=1e-14)
    assert np.allclose(mood.variance(times), np.diag(expected), rtol=1e-9, atol=1e-14)


def test_sampled_paths_scatter_as_they_should() -> None:
    """20,000 paths, fixed seed; each of ten covariances within 4 standard errors: false alarms once in 1,600 seeds."""
    times, n = np.array([2.0, 24.0, 168.0, 672.0]), 20_000
    mood = MoodFluctuation(sd=0.25, correlation_h=240.0)
    paths = mood.paths(times, np.random.default_rng(7).standard_normal((n, len(times))))
    unit = mood.paths(times, np.eye(len(times)))
    expected = unit.T @ unit
    found = paths.T @ paths / n
    variance = np.diag(expected)
    standard_error = np.sqrt((np.multiply.outer(variance, variance) + expected**2) / n)
    assert np.all(np.abs(found - expected) < 4 * standard_error)
