"""The patient that the prior's candidates miss: his most likely deviates, and draws around them with exact weights."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from scipy.special import chdtrc

from afterglow.forecast.candidates import Candidates, Case, candidates_from, relief_of
from afterglow.forecast.filter import MoodState
from afterglow.forecast.weighting import filter_scores, weigh
from afterglow.therapy.kinetics import FloatArray

N_DRAWS = 4_096
_WIDER = 1.15  # the proposal in directions that scores inform, over the normal approximation: tails must hold
_FREEDOM = 5.0  # of its t-distribution, for the same reason
_INFORMED = 1.05  # curvature, in units of the prior's, from which a direction counts as informed
_LEAST_VARIANCE = 1e-6  # along an informed direction, in units of the prior's
_SAMPLES = 4
_ENOUGH, _RELIABLE = 1_500.0, 0.5  # effective draws, and Pareto shape, that need no better sample
_ITERATIONS = 15
_STEP = 1e-3  # of central differences
_SETTLED = 1e-4  # gain of log density that ends the search
_LENGTHS = np.array([1.0, 0.5, 0.25, 0.1, 0.03])  # of the steps tried in each direction


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """Draws around the mode.

    Args:
        candidates: `N_DRAWS` of them.
        left: (N_DRAWS, n_times), their symptoms left at the case's score times.
        mood: what the scores say of each.
        log_weights: (N_DRAWS,), target over proposal, up to a constant.
        misfit: chance that a patient of this model shows scores as unlikely as these.
    """

    candidates: Candidates
    left: FloatArray
    mood: MoodState
    log_weights: FloatArray
    misfit: float


@dataclass(frozen=True, slots=True, kw_only=True)
class _Batch:
    """Candidates from deviates, with the log density of prior times likelihood, up to a constant."""

    deviates: FloatArray
    candidates: Candidates
    left: FloatArray
    mood: MoodState
    density: FloatArray


@dataclass(frozen=True, slots=True, kw_only=True)
class _Proposal:
    """Where candidates are drawn: t-distributed along the directions that scores inform, elsewhere nearly the prior.

    Args:
        middle: (n_deviates,).
        directions: (n_deviates, n_deviates), orthonormal columns, the informed ones first.
        root: (n_informed, n_informed), Cholesky factor of the informed directions' scale.
        sd: of the other directions.
    """

    middle: FloatArray
    directions: FloatArray
    root: FloatArray
    sd: FloatArray

    def draw(self, rng: np.random.Generator) -> tuple[FloatArray, FloatArray]:
        """`N_DRAWS` points and their log density up to a constant."""
        size, informed = len(self.middle), len(self.root)
        standard = rng.standard_normal((N_DRAWS, size))
        stretch = np.sqrt(_FREEDOM / rng.chisquare(_FREEDOM, N_DRAWS))
        inside, outside = standard[:, :informed] * stretch[:, None], standard[:, informed:]
        density = -0.5 * (_FREEDOM + informed) * np.log1p(np.sum(inside**2, axis=1) / _FREEDOM)
        density -= 0.5 * np.sum(outside**2, axis=1)
        along = np.concatenate([inside @ self.root.T, outside * self.sd], axis=1)
        return self.middle + along @ self.directions.T, density


def search(case: Case, deviates: FloatArray, mood: MoodState) -> Found:
    """Draws around the most likely deviates.

    Damped Gauss-Newton finds the mode; the curvature there places a first weighted sample. Its mean and covariance
    along the informed directions place the next one, until one has enough effective draws; the one with most is
    returned. The squared distance of mode and scores from what was expected is chi-squared with one degree for each
    score, were the model linear, and that of the mode from the middle of the population with one for each direction
    that the scores inform; the less likely of the two is the misfit.

    Args:
        case: the patient, with at least one score that is evidence.
        deviates: (n, n_deviates), of the prior's candidates: the search starts from the most likely one.
        mood: what the scores say of these.
    """
    best = int(np.argmax(mood.log_likelihood - 0.5 * np.sum(deviates**2, axis=1)))
    mode, curvature, misfit = _mode(case, deviates[best])
    values, directions = np.linalg.eigh(curvature)
    values, directions = values[::-1], directions[:, ::-1]
    informed = int(np.sum(values > _INFORMED))
    # A patient may fit his scores by being unlike anybody, as one whose mood swings without bound.
    misfit = min(misfit, float(chdtrc(max(informed, 1), float(np.sum(mode**2)))))
    sd = 1.0 / np.sqrt(values)
    rng = np.random.default_rng([case.given.seed, N_DRAWS])
    proposal = _Proposal(middle=mode, directions=directions, root=np.diag(_WIDER * sd[:informed]), sd=sd[informed:])
    samples = []
    for _ in range(_SAMPLES):
        drawn, proposed = proposal.draw(rng)
        found = _run(case, drawn)
        log_weights = found.density - proposed
        weights, ess, khat = weigh(log_weights)
        samples.append((ess, found, log_weights))
        if ess >= _ENOUGH and (khat is None or khat <= _RELIABLE):
            break
        middle = np.sum(drawn * weights[:, None], axis=0)
        along = (drawn - middle) @ directions[:, :informed]
        covariance = np.einsum("n,ni,nj->ij", weights, along, along) + _LEAST_VARIANCE * np.eye(informed)
        proposal = replace(proposal, middle=middle, root=_WIDER * np.linalg.cholesky(covariance))
    _, found, log_weights = max(samples, key=lambda sample: sample[0])
    return Found(candidates=found.candidates, left=found.left, mood=found.mood, log_weights=log_weights, misfit=misfit)


def _run(case: Case, deviates: FloatArray) -> _Batch:
    candidates = candidates_from(case, deviates)
    left = relief_of(case, candidates, case.given.given, np.array(case.score_times_h)).left
    mood = filter_scores(case, candidates, left)
    density = mood.log_likelihood - 0.5 * np.sum(deviates**2, axis=1)
    return _Batch(deviates=deviates, candidates=candidates, left=left, mood=mood, density=density)


def _mode(case: Case, start: FloatArray) -> tuple[FloatArray, FloatArray, float]:
    """Most likely deviates, curvature and misfit there; all finite differences of a step run as one batch."""
    size, middle = len(start), start
    steps = _STEP * np.eye(size)
    for _ in range(_ITERATIONS):
        around = _run(case, np.concatenate([middle[None], middle + steps, middle - steps]))
        curvature = np.eye(size) + _information(around.mood, size)
        slope = _slopes(around.density[None], size)[0]
        tried = _run(case, middle + _LENGTHS[:, None] * np.linalg.solve(curvature, slope))
        highest = int(np.argmax(tried.density))
        if not tried.density[highest] > around.density[0] + _SETTLED:
            break
        middle = tried.deviates[highest]
    scaled = np.array(around.mood.surprises)[:, 0] / np.array(around.mood.spreads)[:, 0]
    distance = float(np.sum(scaled**2) + np.sum(around.deviates[0] ** 2))
    return around.deviates[0], curvature, float(chdtrc(len(scaled), distance))


def _information(mood: MoodState, size: int) -> FloatArray:
    """Expected information of the scores on the deviates."""
    spreads = np.array(mood.spreads)
    by_mean = _slopes(np.array(mood.surprises), size) / spreads[:, :1]
    by_spread = _slopes(np.log(spreads), size)
    information: FloatArray = by_mean.T @ by_mean + 2.0 * by_spread.T @ by_spread
    return information


def _slopes(values: FloatArray, size: int) -> FloatArray:
    """(n, size) central differences of values (n, 1 + 2 size): the middle, then a step up and down for each."""
    slopes: FloatArray = (values[:, 1 : size + 1] - values[:, size + 1 :]) / (2.0 * _STEP)
    return slopes
