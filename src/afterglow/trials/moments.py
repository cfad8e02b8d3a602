"""What a trial reports of an arm, gathered over its virtual patients: moments of the score, chances of the events."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum

import numpy as np

from afterglow.errors import UnknownName
from afterglow.protocol import Analysis, AtRisk, Dropout, ObservationPlan, RelapseQuestion, ScaleBounds
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
    STAYING_PCT = "staying_pct"


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
        dropout: who leaves; None where everybody stays.
        leaving_h: visits after which they may.
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
    dropout: Dropout | None
    leaving_h: tuple[float, ...]
    but_not_remitters: bool = False
    held: tuple[int, ...] = ()

    @classmethod
    def of_plan(
        cls,
        observe: ObservationPlan,
        *,
        scale: ScaleBounds,
        judged_h: float,
        dropout: Dropout | None = None,
        but_not_remitters: bool = False,
        held_h: tuple[float, ...] = (),
    ) -> Asked:
        """What an observation plan asks for; `judged_h` is when those at risk of relapse are determined."""
        relapse = observe.relapse
        visits_h = (relapse.visits_h or relapse.at_h) if relapse else ()
        leaving_h = (dropout.visits_h or observe.times_h) if dropout else ()
        times = np.array(sorted({*observe.times_h, *((judged_h, *held_h, *visits_h) if relapse else ()), *leaving_h}))
        index = {float(time): i for i, time in enumerate(times)}
        return cls(
            times_h=times,
            reported=tuple(index[time] for time in observe.times_h),
            observe=observe,
            scale=scale,
            judged=index[judged_h] if relapse else -1,
            visits=tuple(index[time] for time in visits_h),
            reports=tuple(sum(visit <= at for visit in visits_h) for at in relapse.at_h) if relapse else (),
            dropout=dropout,
            leaving_h=leaving_h,
            but_not_remitters=but_not_remitters,
            held=tuple(index[time] for time in held_h) if relapse else (),
        )

    @property
    def relapse(self) -> RelapseQuestion | None:
        """What is asked about relapse."""
        return self.observe.relapse


class Moments:
    """Per draw of the population: means and variances over its virtual patients; shape (n_draws, n_times) each."""

    def __init__(self, asked: Asked, n_draws: int, analysis: Analysis | None = None) -> None:
        self.asked, self.analysis = asked, analysis
        self.filled = 0
        shape = (n_draws, len(asked.times_h))
        self.score, self.score_var, self.change, self.change_var = (np.zeros(shape) for _ in range(4))
        self.response, self.remission = np.zeros(shape), np.zeros(shape)
        self.parts = np.zeros((3, *shape))
        self.at_risk = np.zeros(n_draws)
        self.relapsed = np.zeros((n_draws, len(asked.reports)))
        self.staying = np.ones(shape)

    @property
    def counted(self) -> FloatArray:
        """Share of patients whose scores count, (n_draws, n_times)."""
        return self.staying if self.analysis is Analysis.COMPLETERS else np.ones_like(self.staying)

    def add(self, chunk: CohortChunk, plan: ArmPlan, patients_per_draw: int) -> None:
        """Take in the next draws."""
        relief, baseline, link = chunk.relief, chunk.baseline, chunk.link
        mean = link.expected(baseline, relief.left)
        sd = link.sd(baseline, relief.left, chunk.mood.variance(relief.times_h))
        here = slice(self.filled, self.filled + len(baseline) // patients_per_draw)
        start = baseline[:, None]
        mood = self._mood(chunk)
        stays = self._stays(chunk, mood)
        followed = np.broadcast_to(np.asarray(link.following), baseline.shape)[:, None]
        errors = np.broadcast_to(np.asarray(link.error_sd), baseline.shape)[:, None]

        def grouped(values: FloatArray) -> FloatArray:
            by_draw: FloatArray = values.reshape(-1, patients_per_draw, *values.shape[1:]).mean(axis=1)
            return by_draw

        self.staying[here] = 1.0 if stays is None else grouped(stays)

        def per_draw(everyone: FloatArray, given_mood: FloatArray | None) -> FloatArray:
            """Mean over patients; among those who stay it moves as it does given their mood."""
            if stays is None or given_mood is None or self.analysis is not Analysis.COMPLETERS:
                return grouped(everyone)
            return grouped(everyone) + grouped(stays * given_mood) / self.staying[here] - grouped(given_mood)

        everyone, seen = self._figures(chunk, plan, mean, sd), {}
        if mood is not None and self.analysis is Analysis.COMPLETERS:
            swing = (start - link.lowest) * followed * np.sqrt(np.maximum(relief.left, 0.0)) * mood
            seen = self._figures(chunk, plan, mean + swing, errors)
        found = {name: per_draw(values, seen.get(name)) for name, values in everyone.items()}
        self.score[here], self.change[here] = found["score"], found["change"]
        self.score_var[here] = found["score squared"] - found["score"] ** 2
        self.change_var[here] = found["change squared"] - found["change"] ** 2
        self.response[here] = np.clip(found.get("response", 0.0), 0.0, 1.0)
        self.remission[here] = np.clip(found.get("remission", 0.0), 0.0, 1.0)
        for part, share in zip(self.parts, relief.shares(), strict=True):
            points = -(start - plan.lowest) * followed * share
            part[here] = per_draw(points, points)
        if self.asked.relapse:
            last = (
                None if stays is None or self.analysis is not Analysis.COMPLETERS else stays[:, self.asked.visits[-1]]
            )
            self._add_relapse(here, chunk, mean, grouped, mood, last)
        self.filled = here.stop

    def _figures(self, chunk: CohortChunk, plan: ArmPlan, mean: FloatArray, sd: FloatArray) -> dict[str, FloatArray]:
        """What each patient adds to the statistics, by name, for a latent score of this mean and spread."""
        start = chunk.baseline[:, None]
        first, second = bounded_moments(
            mean, sd, lowest=plan.lowest, highest=plan.highest, whole_numbers=plan.whole_numbers
        )
        found = {
            "score": first,
            "score squared": second,
            "change": first - start,
            "change squared": second - 2.0 * start * first + start**2,
        }
        for name, of in (("response", AtRisk.RESPONDERS), ("remission", AtRisk.REMITTERS)):
            limit = self._limit(of, chunk)
            if limit is not None:
                found[name] = at_most(mean, sd, limit)
        return found

    def _mood(self, chunk: CohortChunk) -> FloatArray | None:
        """Mood of each patient at every time; None where nothing depends on its path."""
        if self.asked.dropout is None:
            return None
        times = chunk.relief.times_h
        return chunk.mood.paths(times, chunk.further_deviates(len(times)))

    def _stays(self, chunk: CohortChunk, mood: FloatArray | None) -> FloatArray | None:
        """Chance of each patient to be in the trial at every time, given his mood."""
        if self.asked.dropout is None or mood is None:
            return None
        left = chunk.relief.left
        now = left + np.sqrt(np.maximum(left, 0.0)) * mood
        return self.asked.dropout.staying(now, chunk.relief.times_h, self.asked.leaving_h)

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
        paths: FloatArray | None,
        stays: FloatArray | None,
    ) -> None:
        """Relapse of those at risk: given a patient's latent mood, errors at visits are independent."""
        asked, link = self.asked, chunk.link
        relapse = asked.relapse
        at_risk = self._limit(relapse.of, chunk) if relapse else None
        if relapse is None or at_risk is None:  # pragma: no cover - the protocol refuses a relapse without definition
            return
        columns, before = [*asked.held, asked.judged, *asked.visits], len(asked.held) + 1
        if paths is None:
            paths = chunk.mood.paths(chunk.relief.times_h[columns], chunk.further_deviates(len(columns)))
        else:
            paths = paths[:, columns]
        left = chunk.relief.left[:, columns]
        following = np.broadcast_to(np.asarray(link.following), chunk.baseline.shape)[:, None]
        swing = (chunk.baseline[:, None] - link.lowest) * following * np.sqrt(np.maximum(left, 0.0)) * paths
        latent = mean[:, columns] + swing
        error = np.broadcast_to(np.asarray(link.error_sd), chunk.baseline.shape)[:, None]
        weight = at_most(latent[:, :before], error, at_risk).prod(axis=1)
        remitted = self._limit(AtRisk.REMITTERS, chunk)
        if asked.but_not_remitters and remitted is not None:
            weight = np.maximum(weight - at_most(latent[:, :before], error, remitted).prod(axis=1), 0.0)
        weight = weight * (1.0 if stays is None else stays)
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
