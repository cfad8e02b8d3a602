"""Moments, tails and intervals of what a trial would report, against integration and exact enumeration."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.integrate import quad
from scipy.stats import binom, norm

from afterglow.trials.predictive import (
    Interval,
    at_most,
    bounded_moments,
    mean_interval,
    mean_quantiles,
    proportion_interval,
)

SCORES = [(30.0, 3.0), (2.0, 4.0), (-6.0, 5.0), (58.0, 6.0), (75.0, 4.0), (30.0, 40.0), (0.0, 0.5)]


@pytest.mark.parametrize(("mean", "sd"), SCORES)
@pytest.mark.parametrize(("lowest", "highest"), [(0.0, 60.0), (4.0, 28.0)])
def test_moments_of_a_bounded_score_are_the_integral(mean: float, sd: float, lowest: float, highest: float) -> None:
    found = bounded_moments(np.array([mean]), np.array([sd]), lowest=lowest, highest=highest, whole_numbers=False)

    def expected(power: int) -> float:
        inside, _ = quad(lambda x: x**power * norm.pdf(x, mean, sd), lowest, highest, epsabs=1e-12, points=[mean])
        below, above = norm.cdf(lowest, mean, sd), norm.sf(highest, mean, sd)
        return float(inside + lowest**power * below + highest**power * above)

    assert [float(m[0]) for m in found] == pytest.approx([expected(1), expected(2)], rel=1e-8, abs=1e-8)


@pytest.mark.parametrize(("mean", "sd"), [(30.0, 3.0), (16.3, 8.0), (3.0, 4.0), (57.0, 5.0)])
def test_rounding_is_one_twelfth_of_variance(mean: float, sd: float) -> None:
    """Against the exact sum over whole scores; a score on a bound is not rounded, hence the tolerance of 0.05."""
    scores = np.arange(61.0)
    edges = np.concatenate([[-np.inf], scores[:-1] + 0.5, [np.inf]])
    chances = np.diff(norm.cdf(edges, mean, sd))
    first, second = bounded_moments(np.array([mean]), np.array([sd]), lowest=0.0, highest=60.0, whole_numbers=True)
    exact_mean = float(chances @ scores)
    assert first[0] == pytest.approx(exact_mean, abs=0.01)
    assert second[0] - first[0] ** 2 == pytest.approx(float(chances @ scores**2) - exact_mean**2, abs=0.05)


def test_chance_of_a_score_at_most() -> None:
    found = at_most(np.array([10.0, 10.0, 10.0]), np.array([2.0, 2.0, 2.0]), np.array([10.0, 12.0, 6.0]))
    assert found == pytest.approx([0.5, 0.8413447460685429, 0.02275013194817921])


@pytest.mark.parametrize("level", [0.05, 0.25, 0.5, 0.9])
def test_quantiles_of_a_mixture(level: float) -> None:
    """One draw has no sampling error, so the distribution jumps by a quarter at 0, where its median lies."""
    means, errors = np.array([-5.0, 0.0, 5.0, 0.0]), np.array([1.0, 2.0, 0.5, 0.0])

    def below(x: float) -> float:
        return float(np.mean(norm.cdf(x, means, np.maximum(errors, 1e-9))))

    (quantile,) = mean_quantiles(means, errors, [level])
    assert below(quantile - 1e-6) <= level <= below(quantile + 1e-6)
    assert (quantile == pytest.approx(0.0, abs=1e-6)) == (level == 0.5)


def test_quantiles_keep_the_shape_of_what_is_asked() -> None:
    means = np.random.default_rng(1).normal(size=(8, 3))
    found = mean_quantiles(means, np.ones((8, 3)), (0.05, 0.5, 0.95))
    assert found.shape == (3, 3)
    for column in range(3):
        alone = mean_quantiles(means[:, column], np.ones(8), (0.05, 0.5, 0.95))
        assert np.allclose(found[:, column], alone, atol=1e-12)
    assert np.all(np.diff(found, axis=0) > 0)


def test_an_interval_stays_inside_what_can_be_reported() -> None:
    means, errors = np.full(4, 2.0), np.full(4, 3.0)
    wide = mean_interval(means, errors)
    assert (wide.lo90, wide.hi90) == pytest.approx((2 - 3 * 1.6448536, 2 + 3 * 1.6448536))
    assert mean_interval(means, errors, lowest=0.0, highest=5.0) == Interval(value=2.0, lo90=0.0, hi90=5.0)
    assert mean_interval(np.full(4, 2.0), np.zeros(4)).lo90 == pytest.approx(2.0, abs=1e-9)


@pytest.mark.parametrize("chance", [0.0, 0.01, 0.31, 0.5, 0.97, 1.0])
@pytest.mark.parametrize("n", [1, 7, 47, 400])
def test_a_proportion_of_one_draw_is_binomial(chance: float, n: int) -> None:
    found = proportion_interval(np.full(3, chance), n)
    assert found.value == pytest.approx(100 * chance)
    assert [found.lo90, found.hi90] == pytest.approx([100 * binom.ppf(level, n, chance) / n for level in (0.05, 0.95)])


def test_a_proportion_of_many_draws_is_their_mixture() -> None:
    chances, n = np.array([0.1, 0.2, 0.4, 0.8]), 20
    cumulative = np.mean([binom.cdf(np.arange(n + 1), n, chance) for chance in chances], axis=0)
    found = proportion_interval(chances, n)
    assert found.value == pytest.approx(100 * 1.5 / 4)
    assert [found.lo90, found.hi90] == pytest.approx(
        [100 * int(np.argmax(cumulative >= level)) / n for level in (0.05, 0.95)]
    )


def test_a_proportion_whose_number_at_risk_differs() -> None:
    """Exact: counts of each draw as proportions of its own number, at the resolution of 0.1 percentage points."""
    chances, sizes = np.array([0.2, 0.5, 0.5]), np.array([12.0, 30.4, 0.2])
    whole = [12, 30, 1]  # rounded; nobody at risk counts as one

    def below(p: float) -> float:
        return float(np.mean([binom.cdf(math.floor(p * n + 1e-9), n, c) for c, n in zip(chances, whole, strict=True)]))

    points = sorted({k / n for n in whole for k in range(n + 1)})
    exact = [100 * next(p for p in points if below(p) >= level) for level in (0.05, 0.95)]
    found = proportion_interval(chances, sizes)
    assert [found.lo90, found.hi90] == pytest.approx(exact, abs=0.1)
    assert found.value == pytest.approx(40.0)
