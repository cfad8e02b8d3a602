"""The days ahead of one patient: his next scores, and when he reaches a relapse cut-off, simulated.

Given a candidate, mood goes on from what the scores left open of it, day by day. All comparisons (with and without the
plan, between intervals) use the same random numbers, kept for a seed.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property, lru_cache

import numpy as np
from scipy.special import ndtri

from afterglow.forecast.answer import RelapseRule
from afterglow.forecast.candidates import Candidates, Case, relief_of
from afterglow.forecast.filter import MoodState, advance, start_mood
from afterglow.forecast.linking import LinkedScale, mood_start_h
from afterglow.forecast.update import Posterior
from afterglow.quantities import HOURS_PER_DAY
from afterglow.therapy.course import IntArray
from afterglow.therapy.kinetics import FloatArray
from afterglow.therapy.regimen import Regimen
from afterglow.therapy.relief import Relief

HORIZON_DAYS = 91
N_AHEAD = 8_192  # candidates followed into the future, see `thin`
N_PARTS = 2_048  # of these, behind the days before now, the parts, and the comparison of intervals
N_LAYERS = 512  # of these, behind the share of each session in the drug's part, and all of a course of years
_BLOCK = 1_024  # candidates simulated at once, so that the numbers stay near the processor
_BINS_PER_POINT = 32  # of the distribution of written scores on whole-number scales
_BINS = 2_048  # on other scales


def thin(weights: FloatArray, count: int, start: float) -> tuple[IntArray, FloatArray]:
    """Fewer candidates that stand for all of them: heavy ones stay, light ones are drawn, each with one weight.

    Every candidate keeps his weight on average, and of all ways to keep `count` this one moves weights least.
    Source: Fearnhead P, Clifford P (2003), On-line inference for hidden Markov models via particle filters.

    Args:
        weights: (n,), sum to 1.
        count: how many to keep.
        start: uniform in [0, 1), where the systematic draw of light ones begins.

    Returns: positions in increasing order, and new weights that sum to 1.

    >>> thin(np.array([0.7, 0.1, 0.1, 0.1]), 2, 0.5)
    (array([0, 2]), array([0.7, 0.3]))
    """
    if count >= len(weights):
        return np.arange(len(weights)), weights
    order = np.argsort(-weights, kind="stable")
    heavy = weights[order]
    lighter = np.cumsum(heavy[::-1])[::-1]  # weight from each on
    kept = int(np.argmax(heavy * (count - np.arange(len(weights))) <= lighter))
    light = np.sort(order[kept:])
    share = lighter[kept] / (count - kept)
    steps = (np.arange(count - kept) + start) * share
    drawn = light[np.minimum(np.searchsorted(np.cumsum(weights[light]), steps), len(light) - 1)]
    chosen = np.concatenate([order[:kept], drawn])
    carried = np.concatenate([heavy[:kept], np.full(count - kept, share)])
    increasing = np.argsort(chosen, kind="stable")
    return chosen[increasing], carried[increasing]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Noise:
    """Random numbers of a seed.

    Args:
        path: (N_AHEAD, HORIZON_DAYS + 1), a fluctuation of unit size that starts from zero now.
        mood: (N_AHEAD,) standard normal: where mood is now.
        written: (N_AHEAD,) evenly spread standard normal: what mood and measurement add to a written score, one for
            all days, which are never looked at together, so that bands are smooth.
    """

    path: FloatArray
    mood: FloatArray
    written: FloatArray


@lru_cache(maxsize=4)
def _noise(seed: int, correlation_h: float) -> _Noise:
    rng = np.random.default_rng([seed, HORIZON_DAYS])
    keep = float(np.exp(-HOURS_PER_DAY / correlation_h))
    path = np.sqrt(1.0 - keep * keep) * rng.standard_normal((HORIZON_DAYS + 1, N_AHEAD))
    path[0] = 0.0
    for day in range(1, HORIZON_DAYS + 1):
        path[day] += keep * path[day - 1]
    return _Noise(
        path=np.ascontiguousarray(path.T),
        mood=rng.standard_normal(N_AHEAD),
        written=ndtri((rng.permutation(N_AHEAD) + 0.5) / N_AHEAD),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """Weighted candidates, with their mood now."""

    candidates: Candidates
    weights: FloatArray
    mood: MoodState

    def some(self, count: int, start: float) -> Group:
        """Equally weighted ones among them, drawn systematically by weight from `start` in [0, 1) on."""
        steps = (np.arange(count) + start) / count
        chosen = np.minimum(np.searchsorted(np.cumsum(self.weights), steps), len(self.weights) - 1)
        weights = np.full(count, 1.0 / count)
        return Group(candidates=self.candidates.take(chosen), weights=weights, mood=self.mood.take(chosen))


class Outlook:
    """The posterior at the time the forecast starts from, on the scale of the last score.

    Args:
        case: the patient.
        posterior: what his scores say.
        horizon_days: how far ahead, up to `HORIZON_DAYS`.
    """

    def __init__(self, case: Case, posterior: Posterior, *, horizon_days: int = HORIZON_DAYS) -> None:
        self.case, self.posterior, self.scale = case, posterior, case.scales[-1]
        given = case.given
        self.days_h: FloatArray = given.now_h + HOURS_PER_DAY * np.arange(horizon_days + 1, dtype=np.float64)
        self.noise = _noise(given.seed, case.correlation_h)
        self._start = float(np.random.default_rng([given.seed, N_AHEAD]).random())
        chosen, weights = thin(posterior.weights, N_AHEAD, self._start)
        candidates, mood = posterior.candidates.take(chosen), posterior.mood.take(chosen)
        mood_sd = candidates.patients.mood_sd
        self.everyone = Group(
            candidates=candidates,
            weights=weights,
            mood=advance(mood, to_h=given.now_h, mood_sd=mood_sd, correlation_h=case.correlation_h),
        )
        level = self.scale.level
        if self.scale.level_sd > 0:
            level = float(np.sum(posterior.weights * posterior.candidates.levels[-1]))
        self.baseline = self.scale.lowest + level

    @cached_property
    def some(self) -> Group:
        """`N_PARTS` of everyone."""
        return self.everyone.some(N_PARTS, self._start)

    @cached_property
    def few(self) -> Group:
        """`N_LAYERS` of them."""
        return self.some.some(N_LAYERS, self._start)

    def relief(self, group: Group, regimen: Regimen, times_h: FloatArray) -> Relief:
        """Relief of a group under sessions."""
        return relief_of(self.case, group.candidates, regimen, times_h)

    def scores(self, group: Group, left: FloatArray) -> ScoreDistribution:
        """The next written score, by day from now on.

        Args:
            group: whom to follow.
            left: (n, n_days), symptoms left.
        """
        return self._written(group, left, group.mood, fade=self._fade(left.shape[1]))

    def relapsed(self, group: Group, left: FloatArray, rule: RelapseRule) -> FloatArray:
        """Chance by day of having reached the relapse cut-off, errors of measurement left out: (n_days,).

        Args:
            group: whom to follow.
            left: (n, n_days), symptoms left.
            rule: the cut-off.
        """
        n_days = left.shape[1]
        edge = rule.score_at_least - (0.5 if self.scale.whole_numbers else 0.0) - self.scale.lowest
        first = np.zeros(n_days + 1)  # weight by the first day at or over the edge; the last is for never
        for block, true in self._true_scores(group, left):
            over = true >= edge
            day = np.where(over.any(axis=1), over.argmax(axis=1), n_days)
            first += np.bincount(day, weights=group.weights[block], minlength=n_days + 1)
        return np.cumsum(first[:-1])

    def scores_before(self, group: Group, times_h: FloatArray, left: FloatArray) -> ScoreDistribution:
        """Scores on days before now as the model sees them: this person's relief, any mood he might have had."""
        start, mood_sd = mood_start_h(self.case.scales), group.candidates.patients.mood_sd
        since_h = np.full(len(times_h), np.inf) if start is None else np.maximum(times_h - start, 0.0)
        mood = start_mood(mood_sd, at_h=0.0, stationary=False)
        return self._written(group, left, mood, fade=np.exp(-since_h / self.case.correlation_h))

    def _fade(self, n_days: int) -> FloatArray:
        """What is left of today's mood on each day ahead."""
        fade: FloatArray = np.exp(-HOURS_PER_DAY * np.arange(n_days) / self.case.correlation_h)
        return fade

    def _written(self, group: Group, left: FloatArray, mood: MoodState, *, fade: FloatArray) -> ScoreDistribution:
        """Written scores by day, where `fade` (n_days,) of a known mood is left: normal for each candidate."""
        found = ScoreDistribution(self.scale, left.shape[1])
        patients, level = group.candidates.patients, group.candidates.levels[-1]
        following, noise = self.scale.following(patients), self.scale.noise_variance(patients)
        for first in range(0, len(left), _BLOCK):
            block = slice(first, first + _BLOCK)
            swing = (level * following)[block, None] * np.sqrt(np.maximum(left[block], 0.0))
            variance = mood.variance[block, None] * fade**2 + patients.mood_sd[block, None] ** 2 * (1.0 - fade**2)
            score = np.sqrt(swing**2 * variance + noise[block, None]) * self.noise.written[: len(left)][block, None]
            score += swing * (mood.mean[block, None] * fade)
            score += level[block, None] * (1.0 - following[block, None] * (1.0 - left[block]))
            found.add(score, group.weights[block])
        return found

    def _true_scores(self, group: Group, left: FloatArray) -> Iterator[tuple[slice, FloatArray]]:
        """True scores above the scale's lowest on the days from now on, (n, n_days), in blocks of candidates."""
        patients, level, n_days = group.candidates.patients, group.candidates.levels[-1], left.shape[1]
        swing = level * self.scale.following(patients)
        fade = self._fade(n_days)
        now = group.mood.mean + np.sqrt(group.mood.variance) * self.noise.mood[: len(level)]
        for first in range(0, len(level), _BLOCK):
            block = slice(first, min(first + _BLOCK, len(level)))
            x = patients.mood_sd[block, None] * self.noise.path[block, :n_days]
            x += now[block, None] * fade
            x *= np.sqrt(np.maximum(left[block], 0.0))
            x -= 1.0 - left[block]
            x *= swing[block, None]
            x += level[block, None]
            yield block, x


class ScoreDistribution:
    """Weighted distribution of written scores by day, on bins so fine that no rounding shows.

    Args:
        scale: whose scores they are.
        n_days: on how many days.
    """

    def __init__(self, scale: LinkedScale, n_days: int) -> None:
        self.scale, self.span = scale, scale.highest - scale.lowest
        self.bins = int(self.span) * _BINS_PER_POINT if scale.whole_numbers else _BINS
        self.mass = np.zeros((n_days, self.bins))

    def add(self, scores: FloatArray, weights: FloatArray) -> None:
        """Scores above the scale's lowest, (n, n_days), with one weight for each row.

        What would be written as the lowest or highest score lies on it.
        """
        half = _BINS_PER_POINT / 2 if self.scale.whole_numbers else 0.0
        place = scores * (self.bins / self.span)
        place[place < half] = 0.0
        place[place >= self.bins - half] = self.bins - 1.0
        place = place.astype(np.int64)
        place += np.arange(len(self.mass)) * self.bins
        weighted = np.broadcast_to(weights[:, None], place.shape).ravel()
        self.mass += np.bincount(place.ravel(), weights=weighted, minlength=self.mass.size).reshape(self.mass.shape)

    def quantiles(self, levels: tuple[float, ...]) -> FloatArray:
        """(n_levels, n_days)."""
        below = np.cumsum(self.mass, axis=1)
        edges = self.scale.lowest + self.span * (np.arange(self.bins) + 1.0) / self.bins
        edges[0] = self.scale.lowest  # scores held by the scale's ends lie on them
        found = np.array([np.interp(levels, day, edges) for day in below]).reshape(-1, len(levels))
        return np.where(np.array(levels) > below[:, -2:-1], self.scale.highest, found).T

    def at_most(self, limit: float | None) -> FloatArray:
        """Chance by day of a written score of at most `limit`; nan where there is no limit."""
        if limit is None:
            return np.full(len(self.mass), np.nan)
        latent = (np.floor(limit + 1e-9) + 0.5 if self.scale.whole_numbers else limit) - self.scale.lowest
        count = int(np.clip(round(latent * self.bins / self.span), 0, self.bins))
        chance: FloatArray = self.mass[:, :count].sum(axis=1)
        return chance
