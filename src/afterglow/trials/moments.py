"""What a trial reports of an arm, gathered over its virtual patients: moments of the score, chances of the events."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum

import numpy as np

from afterglow.errors import UnknownName
from afterglow.protocol import AtRisk, ObservationPlan, RelapseQuestion, ScaleBounds
from afterglow.scales import Instrument, instrument
from afterglow.therapy.kinetics import FloatArray
from afterglow.trials.cohort import ArmPlan, CohortChunk
from afterglow.trials.predictive import at_most, bounded_moments

_TINY = 1e-12


class Statistic(StrEnum):
    """What a trial reports."""

    MEAN_CHANGE = "mean_change"
    MEAN_SCORE = "mean_score"
    RESPONSE_PCT = "response_pct"
    REMISSION_PCT = "remission_pct"
    RELAPSE_PCT = "relapse_pct"


def known_instrument(scale: str) -> Instrument | None:
    """The instrument; None for a scale that only the protocol knows: a clinician's, in whole numbers."""
    try:
        return instrument(scale)
    except UnknownName:
        return None


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What is asked, on one time axis.

    Args:
        times_h: every time the model must be run at.
        reported: indices of the times that statistics are reported at.
        observe: definitions of response, remission and relapse.
        scale: that scores are on.
        judged: index of the time that decides who is at risk of relapse.
        visits: indices of the visits that look for relapse.
        reports: for each asked relapse time, how many visits have happened by then.
        but_not_remitters: whether remitters do not count among the responders at risk of relapse.
        held: indices of earlier visits at which those at risk must have been so already.
    """

    times_h: FloatArray
    reported: tuple[int, ...]
    observe: ObservationPlan
    scale: ScaleBounds
    judged: int
    visits: tuple[int, ...]
    reports: tuple[int, ...]
    but_not_remitters: bool = False
    held: tuple[int, ...] = ()

    @classmethod
    def of_plan(
        cls,
        observe: ObservationPlan,
        *,
        scale: ScaleBounds,
        judged_h: float,
        but_not_remitters: bool = False,
        held_h: tuple[float, ...] = (),
    ) -> Asked:
        """What an observation plan asks for; `judged_h` is when those at risk of relapse are determined."""
        relapse = observe.relapse
        visits_h = (relapse.visits_h or relapse.at_h) if relapse else ()
        times = np.array(sorted({*observe.times_h, *((judged_h, *held_h, *visits_h) if relapse else ())}))
        index = {float(time): i for i, time in enumerate(times)}
        return cls(
            times_h=times,
            reported=tuple(index[time] for time in observe.times_h),
            observe=observe,
            scale=scale,
            judged=index[judged_h] if relapse else -1,
            visits=tuple(index[time] for time in visits_h),
            reports=tuple(sum(visit <= at for visit in visits_h) for at in relapse.at_h) if relapse else (),
            but_not_remitters=but_not_remitters,
            held=tuple(index[time] for time in held_h) if relapse else (),
        )

    @property
    def relapse(self) -> RelapseQuestion | None:
        """What is asked about relapse."""
        return self.observe.relapse


class Moments:
    """Per draw of the population: means and variances over its virtual patients; shape (n_draws, n_times) each."""

    def __init__(self, asked: Asked, n_draws: int) -> None:
        self.asked = asked
        self.filled = 0
        shape = (n_draws, len(asked.times_h))
        self.score, self.score_var, self.change, self.change_var = (np.zeros(shape) for _ in range(4))
        self.response, self.remission = np.zeros(shape), np.zeros(shape)
        self.parts = np.zeros((3, *shape))
        self.at_risk = np.zeros(n_draws)
        self.relapsed = np.zeros((n_draws, len(asked.reports)))

    def add(self, chunk: CohortChunk, plan: ArmPlan, patients_per_draw: int) -> None:
        """Take in the next draws."""

        def per_draw(values: FloatArray) -> FloatArray:
            grouped: FloatArray = values.reshape(-1, patients_per_draw, *values.shape[1:]).mean(axis=1)
            return grouped

        relief, baseline, link = chunk.relief, chunk.baseline, chunk.link
        mean = link.expected(baseline, relief.left)
        sd = link.sd(baseline, relief.left, chunk.mood.variance(relief.times_h))
        first, second = bounded_moments(
            mean, sd, lowest=plan.lowest, highest=plan.highest, whole_numbers=plan.whole_numbers
        )
        here = slice(self.filled, self.filled + len(baseline) // patients_per_draw)
        start = baseline[:, None]
        self.score[here], self.change[here] = per_draw(first), per_draw(first - start)
        self.score_var[here] = per_draw(second) - self.score[here] ** 2
        self.change_var[here] = per_draw(second - 2.0 * start * first + start**2) - self.change[here] ** 2
        response, remission = (self._limit(of, chunk) for of in AtRisk)
        if response is not None:
            self.response[here] = per_draw(at_most(mean, sd, response))
        if remission is not None:
            self.remission[here] = per_draw(at_most(mean, sd, remission))
        following = np.broadcast_to(np.asarray(link.following), baseline.shape)[:, None]
        for part, share in zip(self.parts, relief.shares(), strict=True):
            part[here] = per_draw(-(start - plan.lowest) * following * share)
        if self.asked.relapse:
            self._add_relapse(here, chunk, mean, per_draw)
        self.filled = here.stop

    def _limit(self, of: AtRisk, chunk: CohortChunk) -> FloatArray | None:
        """Latent score below which a patient responds or remits, (n_patients, 1); None where it is not defined."""
        observe, link, start = self.asked.observe, chunk.link, chunk.baseline[:, None]
        if of is AtRisk.REMITTERS:
            return None if observe.remission_at_most is None else link.at_most(observe.remission_at_most) + 0.0 * start
        if observe.response_fraction is None:
            return None
        return link.at_most(link.lowest + (start - link.lowest) * (1.0 - observe.response_fraction) + _TINY)

    def _add_relapse(
        self,
        here: slice,
        chunk: CohortChunk,
        mean: FloatArray,
        per_draw: Callable[[FloatArray], FloatArray],
    ) -> None:
        """Relapse of those at risk: given a patient's latent mood, errors at visits are independent."""
        asked, link = self.asked, chunk.link
        relapse = asked.relapse
        at_risk = self._limit(relapse.of, chunk) if relapse else None
        if relapse is None or at_risk is None:  # pragma: no cover - the protocol refuses a relapse without definition
            return
        columns, before = [*asked.held, asked.judged, *asked.visits], len(asked.held) + 1
        mood = chunk.mood.paths(chunk.relief.times_h[columns], chunk.further_deviates(len(columns)))
        left = chunk.relief.left[:, columns]
        following = np.broadcast_to(np.asarray(link.following), chunk.baseline.shape)[:, None]
        swing = (chunk.baseline[:, None] - link.lowest) * following * np.sqrt(np.maximum(left, 0.0)) * mood
        latent = mean[:, columns] + swing
        error = np.broadcast_to(np.asarray(link.error_sd), chunk.baseline.shape)[:, None]
        weight = at_most(latent[:, :before], error, at_risk).prod(axis=1)
        remitted = self._limit(AtRisk.REMITTERS, chunk)
        if asked.but_not_remitters and remitted is not None:
            weight = np.maximum(weight - at_most(latent[:, :before], error, remitted).prod(axis=1), 0.0)
        shown = at_most(-latent[:, before:], error, -self._relapse_limit(relapse, chunk, at_risk))
        relapsed = consecutive_by(shown, relapse.consecutive)
        self.at_risk[here] = per_draw(weight)
        for k, visits in enumerate(asked.reports):
            self.relapsed[here, k] = per_draw(weight * relapsed[:, visits]) / np.maximum(self.at_risk[here], _TINY)

    @staticmethod
    def _relapse_limit(relapse: RelapseQuestion, chunk: CohortChunk, at_risk: FloatArray) -> FloatArray:
        """Latent score above which a visit shows relapse."""
        link, start = chunk.link, chunk.baseline[:, None]
        if relapse.score_at_least is not None:
            return link.below(relapse.score_at_least) + 0.0 * start
        if relapse.improvement_below is not None:
            return link.at_most(link.lowest + (start - link.lowest) * (1.0 - relapse.improvement_below) + _TINY)
        return at_risk


def consecutive_by(shown: FloatArray, needed: int) -> FloatArray:
    """Chance that `needed` visits in a row have shown it, begun by each visit; (n, n_visits) -> (n, n_visits + 1).

    The first visit of the row dates the relapse, so a run begun at visit k counts from k on. Visits are independent
    given the chances. Column 0 is before any visit.

    >>> consecutive_by(np.array([[0.5, 0.5]]), 1).tolist()
    [[0.0, 0.5, 0.75]]
    >>> consecutive_by(np.array([[0.5, 0.5]]), 2).tolist()
    [[0.0, 0.25, 0.25]]
    """
    n, visits = shown.shape
    running = [np.zeros(n) for _ in range(needed)]  # chance of a row of that length so far, no relapse yet
    running[0] = np.ones(n)
    begun = np.zeros((n, visits + 1))
    for visit in range(visits):
        chance = shown[:, visit]
        completed = running[-1] * chance
        running = [sum(running, np.zeros(n)) * (1.0 - chance), *(row * chance for row in running[:-1])]
        begun[:, max(visit + 2 - needed, 0)] += completed
    total: FloatArray = np.cumsum(begun, axis=1)
    return total
