"""Calibration: the population's doubts, updated on the published arms that may be fitted.

The mode of the posterior by Gauss-Newton with the same virtual people under every value (so that predictions are
smooth), the normal approximation there (Laplace), and importance sampling with Pareto-smoothed weights. Where their
k-hat says that these are not to be trusted, a sampler goes on from the mode instead (`trials.sampler`).
Everything is in units of the prior's doubts, where the prior is standard normal. Same seed, same result.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from afterglow.forecast.weighting import weigh
from afterglow.provenance import Role
from afterglow.therapy.kinetics import FloatArray
from afterglow.therapy.population import Population, prior_population
from afterglow.therapy.setting import Condition
from afterglow.trials.likelihood import N_TRIAL_EFFECTS, FitRow, Likelihood, class_priors, fit_rows
from afterglow.trials.sampler import Chain, sample_posterior

PERSONS = 256  # virtual people an arm
N_PROPOSED = 256  # draws of importance sampling
_ITERATIONS = 12
_STEP = 0.15  # of a prior doubt, for slopes
_WIDER = 1.15  # of the proposal's spread over the posterior's: heavier tails give finite weights
K_HAT_LIMIT = 0.7  # Vehtari et al. 2024, J Mach Learn Res 25(72): above it importance sampling is not to be trusted


@dataclass(frozen=True, slots=True, kw_only=True)
class Calibration:
    """A fitted population.

    Args:
        prior: what was known before, in whose doubts everything is measured.
        rows: what was fitted, class-level priors included.
        mean: (size,), posterior means of the deviates.
        factor: (size, size), lower triangular, of their covariance.
        mode: (size,), where the search ended.
        predicted, error: (n_rows,), at the posterior mean.
        informing: (n_rows, size), information of each row on each value relative to the prior's, alone.
        chi_square: of all rows together, with what they share: patients of an arm, and their trial's effects.
        k_hat: of importance sampling; nan where it was not tried.
        effective: its effective number of draws.
        n_proposed: its draws.
        chain: the sampler's draws where importance sampling was not to be trusted, else None.
        seed: of the draws.
    """

    prior: Population
    rows: tuple[FitRow, ...]
    mean: FloatArray
    factor: FloatArray
    mode: FloatArray
    predicted: FloatArray
    error: FloatArray
    informing: FloatArray
    chi_square: float
    k_hat: float
    effective: float
    n_proposed: int
    chain: Chain | None
    seed: int

    @property
    def sd(self) -> FloatArray:
        """Posterior standard deviations in units of the prior's doubts; 1 is learnt nothing."""
        sds: FloatArray = np.sqrt(np.sum(self.factor**2, axis=1))
        return sds

    @property
    def correlation(self) -> FloatArray:
        """Posterior correlations."""
        covariance: FloatArray = self.factor @ self.factor.T
        return covariance / np.outer(self.sd, self.sd)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Normal:
    """A normal distribution of the values, by mean and lower triangular factor of the covariance."""

    mean: FloatArray
    factor: FloatArray

    @classmethod
    def of_draws(cls, draws: FloatArray, weights: FloatArray) -> _Normal:
        mean = weights @ draws
        centred = draws - mean
        return cls(mean=mean, factor=_factor((centred * weights[:, None]).T @ centred))


def calibrate(
    *,
    condition: Condition = Condition.DEPRESSION,
    seed: int = 0,
    without: Sequence[str] = (),
    roles: Sequence[Role] = (Role.CALIBRATION,),
    with_class_priors: bool = True,
    sample: bool = True,
    n_proposed: int = N_PROPOSED,
    persons: int = PERSONS,
    prior: Population | None = None,
    progress: Callable[[float], None] | None = None,
) -> Calibration:
    """Fit a population to the calibration figures of its condition.

    Args:
        condition: what is treated; class-level priors are of depression alone.
        seed: same seed, same result.
        without: trials left out, to see how well they are predicted.
        roles: calibration; with context figures only to choose structure.
        with_class_priors: whether class-level results enter.
        sample: whether the posterior is sampled; else its normal approximation at the mode is given.
        n_proposed: draws of importance sampling.
        persons: virtual people an arm.
        prior: None for the declared one.
        progress: called with the fraction done.

    >>> found = calibrate(sample=False, persons=32, without=["daly2018", "daly2019_sustain1"], with_class_priors=False)
    >>> found.chain is None, bool((found.sd < 1.05).all())
    (True, True)
    """
    prior = prior or prior_population(condition)
    rows = [row for row in fit_rows(condition, roles=roles) if row.trial not in without]
    if with_class_priors and condition is Condition.DEPRESSION:
        rows += [row for row, _, _ in class_priors()]
    likelihood = Likelihood(prior, rows, persons=persons)
    tell = progress or (lambda _: None)
    normal = _mode(likelihood, lambda done: tell(0.2 * done))
    mode, k_hat, effective, chain = normal.mean, float("nan"), 0.0, None
    if sample:
        weighted, k_hat, effective = _importance(
            likelihood, normal, np.random.default_rng(seed), n_proposed, lambda done: tell(0.2 + 0.3 * done)
        )
        if k_hat < K_HAT_LIMIT:
            normal = weighted
        else:
            chain = sample_posterior(
                likelihood, normal.mean, normal.factor, seed=seed, progress=lambda done: tell(0.5 + 0.5 * done)
            )
            normal = _Normal.of_draws(chain.draws, np.full(len(chain.draws), 1.0 / len(chain.draws)))
    tell(1.0)
    predicted, error = likelihood.predict(normal.mean[None], np.zeros((1, N_TRIAL_EFFECTS)))
    residual, slopes, whitening = _linear(likelihood, normal.mean)
    return Calibration(
        prior=prior,
        rows=tuple(rows),
        mean=normal.mean,
        factor=normal.factor,
        mode=mode,
        predicted=predicted[0],
        error=error[0],
        informing=_informing(likelihood, normal.mean, slopes),
        chi_square=_information(likelihood, residual, slopes, whitening)[2],
        k_hat=k_hat,
        effective=effective,
        chain=chain,
        n_proposed=n_proposed,
        seed=seed,
    )


def _factor(covariance: np.ndarray[Any, Any]) -> FloatArray:
    return np.asarray(np.linalg.cholesky(covariance), dtype=np.float64)


def _linear(likelihood: Likelihood, at: FloatArray) -> tuple[FloatArray, FloatArray, list[FloatArray]]:
    """Residuals, slopes (n_rows, size) and the inverse Cholesky factor of each trial's covariance, at one point."""
    points = np.concatenate([at[None], at + _STEP * np.eye(likelihood.size), at - _STEP * np.eye(likelihood.size)])
    mean, _ = likelihood.predict(points, np.zeros((len(points), N_TRIAL_EFFECTS)))
    slopes = ((mean[1 : likelihood.size + 1] - mean[likelihood.size + 1 :]) / (2.0 * _STEP)).T
    _, error, effects = likelihood.with_slopes(at[None])
    whitening = [
        np.linalg.inv(np.linalg.cholesky(likelihood.covariance(trial, error[0], effects[0])))
        for trial in likelihood.trials
    ]
    return likelihood.values - mean[0], slopes, whitening


def _information(
    likelihood: Likelihood, residual: FloatArray, slopes: FloatArray, whitening: list[FloatArray]
) -> tuple[FloatArray, FloatArray, float]:
    """Information of the rows, the gradient of their log-density, and their chi-square."""
    information, gradient = np.zeros((likelihood.size, likelihood.size)), np.zeros(likelihood.size)
    chi_square = 0.0
    for trial, white in zip(likelihood.trials, whitening, strict=True):
        here = likelihood.of_trial[trial]
        scaled, off = white @ slopes[here], white @ residual[here]
        information += scaled.T @ scaled
        gradient += scaled.T @ off
        chi_square += float(off @ off)
    return information, gradient, chi_square


def _mode(likelihood: Likelihood, tell: Callable[[float], None]) -> _Normal:
    """The normal approximation at the mode; steps longer than a prior doubt are cut."""
    at = np.zeros(likelihood.size)
    identity = np.eye(likelihood.size)
    for step in range(_ITERATIONS):
        information, gradient, _ = _information(likelihood, *_linear(likelihood, at))
        move = np.linalg.solve(information + identity, gradient - at)
        at = at + move * min(1.0, 1.0 / max(float(np.abs(move).max()), 1e-12))
        tell((step + 1) / _ITERATIONS)
        if np.abs(move).max() < 0.02:
            break
    information, _, _ = _information(likelihood, *_linear(likelihood, at))
    return _Normal(mean=at, factor=_factor(np.linalg.inv(information + identity)))


def _importance(
    likelihood: Likelihood,
    at: _Normal,
    rng: np.random.Generator,
    count: int,
    tell: Callable[[float], None],
) -> tuple[_Normal, float, float]:
    """Moments of the posterior from draws of the normal approximation, with k-hat and effective number of draws."""
    z = rng.standard_normal((count, likelihood.size))
    points = at.mean + _WIDER * z @ at.factor.T
    log_density = likelihood.log_density(points, tell) - 0.5 * np.sum(points**2, axis=1)
    weights, effective, k_hat = weigh(log_density + 0.5 * np.sum(z**2, axis=1))
    return _Normal.of_draws(points, weights), k_hat or 0.0, effective


def _informing(likelihood: Likelihood, at: FloatArray, slopes: FloatArray) -> FloatArray:
    """Information of each row alone on each value, in units of the prior's."""
    _, error, effects = likelihood.with_slopes(at[None])
    variance = error[0] ** 2 + np.sum(effects[0] ** 2, axis=1)
    information: FloatArray = slopes**2 / variance[:, None]
    return information
