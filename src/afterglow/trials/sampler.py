"""The posterior where importance sampling fails: chains over a response surface of the predictions.

One evaluation of the exact likelihood runs every arm four times, too slow for a chain. Between one posterior standard
deviation to either side of the mode the predictions are close to quadratic in the values, so the chain runs on that
surface (logits of chances, points of changes, and the trial effects' slopes), and how far the surface is from the exact
predictions at draws of the chain is reported.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy.special import expit

from afterglow.therapy.kinetics import FloatArray
from afterglow.trials.likelihood import N_TRIAL_EFFECTS, Likelihood

_WALKERS_PER_VALUE = 5
_STEPS, _WARM_UP, _THIN = 3000, 600, 20
_CHECKED = 32  # draws at which the surface is compared with the exact predictions
_REACH = 6.0  # in standard deviations of the normal approximation; beyond it nothing is believed
_EDGE = 1e-4
_MOVES = (0.1, 0.25, 0.5)
_WIDER = 1.15  # of the proposals' spread over the normal approximation's, so that tails are reached
_CROSSED = 10  # strongest directions whose pairs have a term of their own
_ROUNDS = 2  # the second surface lies around the chain of the first
_CLOSE = 0.5  # standard errors between surface and exact predictions that need no second one


@dataclass(frozen=True, slots=True, kw_only=True)
class Chain:
    """What a sampler found.

    Args:
        draws: (n, size), after warm-up and thinning.
        accepted: fraction of proposals.
        autocorrelation: longest integrated autocorrelation time of a value, in steps.
        surface_error: root mean square distance of the surface from exact predictions, in standard errors of the rows.
        skewness: largest of a value's draws, either way.
        normal_widths: smallest and largest ratio, over the rows, of the central 90 % interval of the prediction under
            the normal with the moments of the draws to that under the draws themselves.
    """

    draws: FloatArray
    accepted: float
    autocorrelation: float
    surface_error: float
    skewness: float
    normal_widths: tuple[float, float]

    @property
    def effective(self) -> float:
        """Effective number of independent draws of the slowest value."""
        return len(self.draws) * _THIN / max(self.autocorrelation, float(_THIN))


class Surface:
    """Quadratic response surface of the rows around a point.

    Args:
        likelihood: what is approximated.
        mean: (size,), the point.
        factor: (size, size), directions and distances of the samples: columns of one standard deviation each.
    """

    def __init__(
        self,
        likelihood: Likelihood,
        mean: FloatArray,
        factor: FloatArray,
        progress: Callable[[float], None] | None = None,
    ) -> None:
        tell = progress or (lambda _: None)
        self.likelihood, self.mean, self.inverse = likelihood, mean, np.linalg.inv(factor)
        size = len(mean)
        steps = np.concatenate([np.zeros((1, size)), np.eye(size), -np.eye(size)])
        predicted, error, slopes = likelihood.with_slopes(mean + steps @ factor.T, lambda done: tell(0.7 * done))
        self.chance = np.array([row.read.statistic.endswith("_pct") and row.minus is None for row in likelihood.rows])
        linked = self._link(predicted)
        self.base, self.linear, self.curved = _parabola(linked, size)
        self.slope_base, self.slope_linear, _ = _parabola(slopes, size)
        self.fixed = np.array([row.se is not None for row in likelihood.rows])
        self.error = error[0]
        spread = np.where(self.chance, predicted[0] * (1.0 - predicted[0]), 1.0)
        self.count = np.maximum(spread, 1e-9) / error[0] ** 2
        strength = np.sum((self.linear * np.where(self.chance, spread, 1.0) / error[0]) ** 2, axis=1)
        strongest = [int(i) for i in np.argsort(-strength, kind="stable")[:_CROSSED]]
        self.pairs = [(i, j) for k, i in enumerate(strongest) for j in strongest[:k]]
        # Four corners of each pair: a mixed difference that does not depend on which way the axes point.
        corners = [(1.0, 1.0), (-1.0, -1.0), (1.0, -1.0), (-1.0, 1.0)]
        both = np.array([a * np.eye(size)[i] + b * np.eye(size)[j] for i, j in self.pairs for a, b in corners])
        further, _ = likelihood.predict(mean + both @ factor.T, np.zeros((len(both), N_TRIAL_EFFECTS)))
        mixed = self._link(further).reshape(len(self.pairs), len(corners), -1)
        self.crossed = (mixed[:, 0] + mixed[:, 1] - mixed[:, 2] - mixed[:, 3]) / 4.0
        tell(1.0)

    def rows(self, at: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray]:
        """Predictions, standard errors and slopes on the trial's effects, at points (n, size)."""
        w = (at - self.mean) @ self.inverse.T
        products = np.array([w[:, i] * w[:, j] for i, j in self.pairs]).reshape(-1, len(w)).T
        linked = self.base + w @ self.linear + w**2 @ self.curved + products @ self.crossed
        predicted = np.where(self.chance, expit(np.where(self.chance, linked, 0.0)), linked)
        spread = np.maximum(predicted * (1.0 - predicted), 0.5 / (self.count + 1.0))
        error = np.where(self.fixed | ~self.chance, self.error, np.sqrt(np.abs(spread) / self.count))
        return predicted, error, self.slope_base + np.einsum("ni,irk->nrk", w, self.slope_linear)

    def log_posterior(self, at: FloatArray) -> FloatArray:
        """Log density up to a constant, (n,)."""
        w = (at - self.mean) @ self.inverse.T
        predicted, error, slopes = self.rows(at)
        total: FloatArray = -0.5 * np.sum(at**2, axis=1)
        for trial in self.likelihood.trials:
            here = self.likelihood.of_trial[trial]
            covariance = self.likelihood.sampling(trial) * error[:, here, None] * error[:, None, here]
            covariance = covariance + slopes[:, here] @ np.swapaxes(slopes[:, here], 1, 2)
            off = (self.likelihood.values[here] - predicted[:, here])[..., None]
            total = total - 0.5 * (np.swapaxes(off, 1, 2) @ np.linalg.solve(covariance, off))[:, 0, 0]
            total = total - 0.5 * np.linalg.slogdet(covariance)[1]
        return np.where(np.abs(w).max(axis=1) < _REACH, total, -np.inf)

    def distance(self, draws: FloatArray) -> float:
        """Root mean square distance from the exact predictions at some of the draws, in standard errors of the rows."""
        checked = draws[:: max(1, len(draws) // _CHECKED)][:_CHECKED]
        exact, error, _ = self.likelihood.with_slopes(checked)
        return float(np.sqrt(np.mean(((self.rows(checked)[0] - exact) / error) ** 2)))

    def _link(self, predicted: FloatArray) -> FloatArray:
        chance = np.clip(predicted, _EDGE, 1.0 - _EDGE)
        return np.where(self.chance, np.log(chance / (1.0 - chance)), predicted)


def _parabola(values: FloatArray, size: int) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Height, slope and curvature from values at the point and one step to either side of it in each direction."""
    base, up, down = values[0], values[1 : size + 1], values[size + 1 :]
    return base, (up - down) / 2.0, (up + down) / 2.0 - base


def _directions(covariance: FloatArray) -> FloatArray:
    """Principal axes in columns of one standard deviation each: across these the rows bend least together."""
    values, axes = np.linalg.eigh(covariance)
    directions: FloatArray = axes * np.sqrt(values)
    return directions


def sample_posterior(
    likelihood: Likelihood,
    mean: FloatArray,
    factor: FloatArray,
    *,
    seed: int,
    steps: int = _STEPS,
    warm_up: int = _WARM_UP,
    progress: Callable[[float], None] | None = None,
) -> Chain:
    """Draws of the posterior by Crank-Nicolson proposals of many chains, which start from the normal approximation.

    Moves that learn their scale from the ensemble itself stayed too narrow by 15 % with 40 values. Source of the
    sampler: Foreman-Mackey et al. 2013, Publ Astron Soc Pac 125:306-312 (emcee).

    Args:
        likelihood: of the rows.
        mean: of the normal approximation.
        factor: of its covariance.
        seed: same seed, same draws.
        steps: of each walker.
        warm_up: those of them that are not kept.
        progress: called with the fraction done.
    """
    tell, chains = progress or (lambda _: None), list[Chain]()
    for at in range(_ROUNDS):
        covariance = factor @ factor.T
        surface = Surface(
            likelihood,
            mean,
            _directions(covariance),
            lambda done, at=at: tell((at + 0.5 * done) / _ROUNDS),  # type: ignore[misc]
        )
        # Random numbers go through the Cholesky factor: directions of equal length, as of values that no figure
        # informs, may be turned by the last bit of a machine, and another turn would make other draws.
        proposed = np.asarray(np.linalg.cholesky(covariance), dtype=np.float64)
        draws, accepted, autocorrelation = _ensemble(surface, proposed, seed=seed + at, steps=steps, warm_up=warm_up)
        chains.append(
            Chain(
                draws=draws,
                accepted=accepted,
                autocorrelation=autocorrelation,
                surface_error=surface.distance(draws),
                skewness=float(np.abs(np.mean(((draws - draws.mean(axis=0)) / draws.std(axis=0)) ** 3, axis=0)).max()),
                normal_widths=_normal_widths(surface, draws, seed=seed),
            )
        )
        tell((at + 1.0) / _ROUNDS)
        if chains[-1].surface_error < _CLOSE:
            break
        mean, factor = draws.mean(axis=0), np.asarray(np.linalg.cholesky(np.cov(draws.T)), dtype=np.float64)
    return min(chains, key=lambda chain: chain.surface_error)


def _normal_widths(surface: Surface, draws: FloatArray, *, seed: int) -> tuple[float, float]:
    """What a normal in place of the draws does to predicted rows, see `Chain`."""
    factor = np.linalg.cholesky(np.cov(draws.T))
    normal = draws.mean(axis=0) + np.random.default_rng(seed).standard_normal(draws.shape) @ factor.T
    own, other = (np.diff(np.quantile(surface.rows(some)[0], (0.05, 0.95), axis=0), axis=0) for some in (draws, normal))
    ratio = other / np.maximum(own, _EDGE)
    return float(ratio.min()), float(ratio.max())


def _ensemble(
    surface: Surface, factor: FloatArray, *, seed: int, steps: int, warm_up: int
) -> tuple[FloatArray, float, float]:
    """Draws, accepted fraction and longest autocorrelation time of an ensemble of walkers."""
    import emcee  # noqa: PLC0415  only a calibration needs a sampler

    size = len(surface.mean)
    walkers = 2 * max(_WALKERS_PER_VALUE * size // 2, size + 1)
    start = surface.mean + np.random.default_rng(seed).standard_normal((walkers, size)) @ factor.T
    sampler = emcee.EnsembleSampler(
        walkers,
        size,
        surface.log_posterior,
        vectorize=True,
        moves=[
            (emcee.moves.MHMove(_crank_nicolson(surface.mean, _WIDER * factor, step)), 1 / len(_MOVES))
            for step in _MOVES
        ],
    )
    state = emcee.State(start, random_state=np.random.RandomState(seed).get_state())
    sampler.run_mcmc(state, steps, progress=False)
    draws: FloatArray = sampler.get_chain(discard=warm_up, thin=_THIN, flat=True)
    chain = sampler.get_chain(discard=warm_up)
    slowest = float(np.max(emcee.autocorr.integrated_time(chain, tol=0)))  # a short chain is told in the report
    return draws, float(np.mean(sampler.acceptance_fraction)), slowest


def _crank_nicolson(mean: FloatArray, factor: FloatArray, step: float) -> Callable[..., tuple[FloatArray, FloatArray]]:
    """Proposals that keep the normal approximation as it is, so only what differs from it is accepted or refused.

    Source: Cotter et al. 2013, Stat Sci 28:424-446.
    """
    inverse, keep = np.linalg.inv(factor), float(np.sqrt(1.0 - step**2))

    def propose(at: FloatArray, rng: np.random.RandomState) -> tuple[FloatArray, FloatArray]:
        before = (at - mean) @ inverse.T
        after = keep * before + step * rng.standard_normal(before.shape)
        return mean + after @ factor.T, 0.5 * (np.sum(after**2, axis=1) - np.sum(before**2, axis=1))

    return propose
