"""Calibration: the population's doubts, updated on the published arms that may be fitted.

The mode of the posterior by Gauss-Newton with the same virtual people under every value (so that predictions are
smooth), the normal approximation there (Laplace), and importance sampling with Pareto-smoothed weights: each round
proposes from the moments of the round before, until the k-hat of the weights is under 0.7 or the rounds are used up.
Everything is in units of the prior's doubts, where the prior is standard normal. Same seed, same result.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from afterglow.forecast.weighting import weigh
from afterglow.provenance import Role
from afterglow.therapy.kinetics import FloatArray
from afterglow.therapy.population import Population, prior_population
from afterglow.therapy.setting import Condition
from afterglow.trials.likelihood import N_TRIAL_EFFECTS, FitRow, Likelihood, class_priors, fit_rows

PERSONS = 256  # virtual people an arm
N_PROPOSED = 1024  # draws a round of importance sampling
ROUNDS = 4
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
        k_hat: of each round of importance sampling.
        effective: effective number of draws of the last round.
        n_proposed: draws a round.
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
    k_hat: tuple[float, ...]
    effective: float
    n_proposed: int
    seed: int

    @property
    def sd(self) -> FloatArray:
        """Posterior standard deviations in units of the prior's doubts; 1 is learnt nothing."""
        return np.sqrt(np.sum(self.factor**2, axis=1))

    @property
    def correlation(self) -> FloatArray:
        """Posterior correlations."""
        covariance: FloatArray = self.factor @ self.factor.T
        return covariance / np.outer(self.sd, self.sd)


def calibrate(
    *,
    seed: int = 0,
    without: Sequence[str] = (),
    roles: Sequence[Role] = (Role.CALIBRATION,),
    with_class_priors: bool = True,
    rounds: int = ROUNDS,
    n_proposed: int = N_PROPOSED,
    persons: int = PERSONS,
    prior: Population | None = None,
    progress: Callable[[float], None] | None = None,
) -> Calibration:
    """Fit the depression population to the calibration figures.

    Args:
        seed: same seed, same result.
        without: trials left out, to see how well they are predicted.
        roles: calibration; with context figures only to choose structure.
        with_class_priors: whether class-level results enter.
        rounds: most rounds of importance sampling; 0 gives the normal approximation at the mode.
        n_proposed: draws a round.
        persons: virtual people an arm.
        prior: None for the declared one.
        progress: called with the fraction done.

    >>> found = calibrate(rounds=0, persons=32, without=["daly2018", "daly2019_sustain1"], with_class_priors=False)
    >>> found.k_hat, bool((found.sd < 1.05).all())
    ((), True)
    """
    prior = prior or prior_population(Condition.DEPRESSION)
    rows = [row for row in fit_rows(Condition.DEPRESSION, roles=roles) if row.trial not in without]
    if with_class_priors:
        rows += [row for row, _, _ in class_priors()]
    likelihood = Likelihood(prior, rows, persons=persons)
    tell = progress or (lambda fraction: None)
    share = 0.2 if rounds else 1.0
    mode, covariance = _mode(likelihood, lambda done: tell(share * done))
    mean, k_hats, effective = mode, [], 0.0
    rng = np.random.default_rng(seed)
    for at in range(rounds):
        base = share + (1.0 - share) * at / rounds
        mean, covariance, k_hat, effective = _importance(
            likelihood, mean, covariance, rng, n_proposed, lambda done, base=base: tell(base + done * (1 - share) / rounds)
        )
        k_hats.append(k_hat)
        if k_hat < K_HAT_LIMIT:
            break
    tell(1.0)
    predicted, error = likelihood.predict(mean[None], np.zeros((1, N_TRIAL_EFFECTS)))
    return Calibration(
        prior=prior,
        rows=tuple(rows),
        mean=mean,
        factor=np.linalg.cholesky(covariance),
        mode=mode,
        predicted=predicted[0],
        error=error[0],
        informing=_informing(likelihood, mean),
        k_hat=tuple(k_hats),
        effective=effective,
        n_proposed=n_proposed,
        seed=seed,
    )


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


def _mode(likelihood: Likelihood, tell: Callable[[float], None]) -> tuple[FloatArray, FloatArray]:
    """Mode and covariance of the normal approximation there; steps longer than a prior doubt are cut."""
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
    return at, np.linalg.inv(information + identity)


def _importance(
    likelihood: Likelihood,
    mean: FloatArray,
    covariance: FloatArray,
    rng: np.random.Generator,
    count: int,
    tell: Callable[[float], None],
) -> tuple[FloatArray, FloatArray, float, float]:
    """Moments of the posterior from draws of a normal proposal, with k-hat and effective number of draws."""
    factor = _WIDER * np.linalg.cholesky(covariance)
    z = rng.standard_normal((count, likelihood.size))
    points = mean + z @ factor.T
    log_density = likelihood.log_density(points, tell) - 0.5 * np.sum(points**2, axis=1)
    weights, effective, k_hat = weigh(log_density + 0.5 * np.sum(z**2, axis=1))
    new_mean = weights @ points
    centred = points - new_mean
    new_covariance = (centred * weights[:, None]).T @ centred
    # Few effective draws leave a noisy covariance: it is drawn towards the one of the proposal.
    trust = effective / (effective + likelihood.size)
    return new_mean, trust * new_covariance + (1.0 - trust) * covariance, k_hat or 0.0, effective


def _informing(likelihood: Likelihood, at: FloatArray) -> FloatArray:
    """Information of each row alone on each value, in units of the prior's."""
    _, slopes, _ = _linear(likelihood, at)
    _, error, effects = likelihood.with_slopes(at[None])
    variance = error[0] ** 2 + np.sum(effects[0] ** 2, axis=1)
    information: FloatArray = slopes**2 / variance[:, None]
    return information
