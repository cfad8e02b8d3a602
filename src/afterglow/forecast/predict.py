"""One patient's forecast: what the next scores will be, when relapse is likely, and when the next session is due."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from scipy.special import ndtr

from afterglow.forecast.answer import (
    EarlyNonResponse,
    Forecast,
    ForecastInput,
    IntervalChoice,
    Method,
    NextDue,
    RelapseForecast,
    RelapseRule,
    Trajectory,
)
from afterglow.forecast.filter import MoodState, advance, loading
from afterglow.forecast.linking import link_scales, relapse_rule, response_and_remission
from afterglow.forecast.update import (
    LinkedScale,
    Posterior,
    infer,
    relief_of,
    scale_states,
)
from afterglow.forecast.warnings import reliable_change_sentence, warnings_of
from afterglow.quantities import HOURS_PER_DAY
from afterglow.therapy.course import IntArray
from afterglow.therapy.kinetics import FloatArray
from afterglow.therapy.population import Population, VirtualPatients, load_population
from afterglow.therapy.regimen import Regimen, repeat
from afterglow.therapy.relief import Relief

HORIZON_DAYS = 91
INTERVALS_DAYS = (7, 14, 28)
_MAINTENANCE_DAYS = 84
_SUBSET = 2_048  # virtual patients behind pictures and comparisons, drawn by weight
_NEGLIGIBLE = 1e-4
_BINS = 2_000  # of the written score's range, for quantiles over all virtual patients
_EARLY_SHARE, _EARLY_SESSIONS, _EARLY_CERTAINTY = 0.2, 3, 0.8
_EARLY_SOURCE = "under 20 % improvement by infusion 3 to 4 (evidence notes; certainty of 80 % is policy)"


def forecast(given: ForecastInput, *, layers: bool = False) -> Forecast:
    """Forecast one patient.

    Args:
        given: everything the answer depends on; the same input gives the same answer.
        layers: also split the drug's part by session, which costs one run a session.

    Raises: InputError or NoModel for scores that cannot be linked to the model.
    """
    population = load_population(given.condition)
    scales = link_scales(given)
    posterior = infer(given, population, scales)
    scale = scales[-1]
    answer = Forecast(
        given=given,
        model=f"afterglow population {population.version}",
        status=population.status,
        method=posterior.method,
        ess=posterior.ess,
        khat=posterior.khat,
        reason=posterior.reason,
        scale=scale.name,
        unit="% of baseline" if scale.percent else "points",
        lowest=scale.lowest,
        highest=scale.highest,
        baseline=None,
        trajectory=None,
        p_response=None,
        p_remission=None,
        relapse=None,
        next_due=None,
        intervals=(),
        early_nonresponse=EarlyNonResponse(called=None, chance=None, reason="no forecast", source=_EARLY_SOURCE),
        reliable_change=reliable_change_sentence(given),
        warnings=warnings_of(given, population, scales, posterior),
    )
    if posterior.method is Method.NONE:
        return answer
    return _complete(answer, _Person(given, population, scales, posterior), layers=layers)


class _Person:
    """The posterior at the time the forecast starts from, with one common stream of random numbers."""

    def __init__(
        self, given: ForecastInput, population: Population, scales: tuple[LinkedScale, ...], posterior: Posterior
    ) -> None:
        self.given, self.population, self.scales, self.posterior = given, population, scales, posterior
        self.scale, self.place = scales[-1], len(scales) - 1
        self.rng = np.random.default_rng([given.seed, HORIZON_DAYS])
        self.correlation_h = population.parameters["mood_correlation_h"].typical
        self.days_h: FloatArray = given.now_h + HOURS_PER_DAY * np.arange(HORIZON_DAYS + 1, dtype=np.float64)
        mood = posterior.mood
        self.mood = advance(
            mood,
            to_h=max(given.now_h, mood.at_h),
            mood_sd=posterior.patients.mood_sd,
            correlation_h=self.correlation_h,
        )
        level = scales[-1].level + float(np.sum(posterior.weights * self.mood.mean[:, 1 + self.place]))
        self.baseline = self.scale.lowest + level
        self.subset, self.everyone = self._subset(), self._everyone()

    def _subset(self) -> _Group:
        """Virtual patients drawn by weight, systematically, so that few seeds matter."""
        steps = (np.arange(_SUBSET) + self.rng.random()) / _SUBSET
        chosen = np.minimum(np.searchsorted(np.cumsum(self.posterior.weights), steps), len(self.posterior.weights) - 1)
        return self._group(chosen, np.full(_SUBSET, 1.0 / _SUBSET))

    def _everyone(self) -> _Group:
        """All virtual patients but the least likely ones, whose weights together are under `_NEGLIGIBLE`."""
        weights = self.posterior.weights
        order = np.argsort(weights)
        kept = np.sort(order[np.searchsorted(np.cumsum(weights[order]), _NEGLIGIBLE) :])
        return self._group(kept, weights[kept] / weights[kept].sum())

    def _group(self, chosen: IntArray, weights: FloatArray) -> _Group:
        if len(chosen) == len(self.posterior.weights):
            return _Group(patients=self.posterior.patients, mood=self.mood, weights=weights)
        patients = self.posterior.patients.take(chosen)
        mood = replace(self.mood, mean=self.mood.mean[chosen], covariance=self.mood.covariance[chosen])
        return _Group(patients=patients, mood=mood, weights=weights)

    def relief(self, group: _Group, regimen: Regimen, times_h: FloatArray) -> Relief:
        return relief_of(self.population, group.patients, regimen, times_h)

    def true_scores(self, group: _Group, left: FloatArray) -> FloatArray:
        """Sampled true scores above the scale's lowest on the days from now on, (n, n_days)."""
        n, days = left.shape
        size = group.mood.mean.shape[1]
        root = np.linalg.cholesky(group.mood.covariance + 1e-12 * np.eye(size))
        now = group.mood.mean + np.einsum("nde,ne->nd", root, self.rng.standard_normal((n, size)))
        keep = float(np.exp(-HOURS_PER_DAY / self.correlation_h))
        push = group.patients.mood_sd * np.sqrt(1.0 - keep * keep)
        shocks = self.rng.standard_normal((days, n), dtype=np.float32)
        x = np.empty((days, n))
        x[0] = now[:, 0]
        for day in range(1, days):
            x[day] = keep * x[day - 1] + push * shocks[day]
        following = np.broadcast_to(scale_states(self.scales, group.patients)[self.place].following, (n,))
        level = (self.scale.level + now[:, 1 + self.place])[:, None]
        swing = (self.scale.level * following)[:, None] * np.sqrt(np.maximum(left, 0.0)) * x.T
        score: FloatArray = level * (1.0 - following[:, None] * (1.0 - left)) + swing
        return score

    def written(self, group: _Group, true: FloatArray) -> FloatArray:
        """True scores with measurement error and rounding, on the scale."""
        noise = np.sqrt(
            np.broadcast_to(scale_states(self.scales, group.patients)[self.place].noise_variance, len(true))
        )
        error = self.rng.standard_normal(true.shape, dtype=np.float32) * noise[:, None]
        score: FloatArray = np.clip(self.scale.lowest + true + error, self.scale.lowest, self.scale.highest)
        return score


@dataclass(frozen=True, slots=True, kw_only=True)
class _Group:
    """Virtual patients with their weights and what is known of their mood now."""

    patients: VirtualPatients
    mood: MoodState
    weights: FloatArray


def _complete(answer: Forecast, person: _Person, *, layers: bool) -> Forecast:
    """Fill in what needs a forecast."""
    given = person.given
    everyone = person.everyone
    all_sessions = Regimen((*given.given.administrations, *given.planned.administrations))
    left = person.relief(everyone, all_sessions, person.days_h).left
    true = person.true_scores(everyone, left)
    written = person.written(everyone, true)
    response, remission = response_and_remission(person.scale, person.baseline)
    chances = [_chance_at_most(person, everyone, written, limit) for limit in (response, remission)]
    trajectory = _trajectory(person, everyone, written, chances, all_sessions, layers=layers)
    rule = relapse_rule(given, person.scale, person.baseline)
    alone = true
    if given.planned.administrations:
        alone = person.true_scores(everyone, person.relief(everyone, given.given, person.days_h).left)
    reached = _reached_by(person, everyone, alone, rule)
    now = [None if np.isnan(chance[0]) else float(chance[0]) for chance in chances]
    return replace(
        answer,
        baseline=person.baseline,
        trajectory=trajectory,
        p_response=now[0],
        p_remission=now[1],
        relapse=_relapse(rule, person.scale, reached),
        next_due=_next_due(person, reached),
        intervals=_intervals(person, rule),
        early_nonresponse=_early(person),
    )


def _chance_at_most(person: _Person, group: _Group, written: FloatArray, limit: float | None) -> FloatArray:
    """Chance by day that the written score is at most `limit`; nan where there is no limit."""
    if limit is None:
        return np.full(written.shape[1], np.nan)
    edge = np.floor(limit + 1e-9) + 0.5 if person.scale.whole_numbers else limit
    chance: FloatArray = group.weights @ (written <= edge)
    return chance


def _reached_by(person: _Person, group: _Group, true: FloatArray, rule: RelapseRule) -> FloatArray:
    """Chance by day of having reached the relapse cut-off, errors of measurement left out."""
    edge = rule.score_at_least - (0.5 if person.scale.whole_numbers else 0.0) - person.scale.lowest
    reached: FloatArray = group.weights @ np.maximum.accumulate(true >= edge, axis=1)
    return reached


def _trajectory(
    person: _Person,
    everyone: _Group,
    written: FloatArray,
    chances: list[FloatArray],
    regimen: Regimen,
    *,
    layers: bool,
) -> Trajectory:
    """Days from the first event to the horizon: before now as the model sees them, from now on as it predicts them."""
    given, subset = person.given, person.subset
    begin = min((*(score.at_h for score in given.scores), *given.given.starts_h, given.now_h))
    past = given.now_h - HOURS_PER_DAY * np.arange(int((given.now_h - begin) // HOURS_PER_DAY), 0, -1)
    times = np.concatenate([past, person.days_h])
    relief = person.relief(subset, regimen, times)
    left = relief.left
    states = scale_states(person.scales, subset.patients)[person.place]
    size = subset.mood.mean.shape[1]
    mean = np.empty((len(subset.weights), len(past)))
    sd = np.empty_like(mean)
    for day in range(len(past)):
        h = loading(states, person.place, left[:, day], size)
        mean[:, day] = (person.scale.level + subset.mood.mean[:, 1 + person.place]) * h[:, 1 + person.place]
        sd[:, day] = np.sqrt((h[:, 0] * subset.patients.mood_sd) ** 2 + states.noise_variance)
    draws = person.rng.standard_normal(mean.shape)
    before = np.clip(person.scale.lowest + mean + sd * draws, person.scale.lowest, person.scale.highest)
    levels = (0.5, 0.25, 0.75, 0.05, 0.95)
    rows = np.concatenate([np.quantile(before, levels, axis=0), _quantiles(person, everyone, written, levels)], axis=1)
    following = np.broadcast_to(states.following, len(subset.weights))[:, None]
    scaled = (person.scale.level + subset.mood.mean[:, 1 + person.place])[:, None] * following
    drug, expectancy, care = ((scaled * share).mean(axis=0) for share in relief.shares())
    without = 1.0 - (1.0 - relief.expectancy) * (1.0 - relief.care)
    control = person.baseline - (scaled * without).mean(axis=0)
    empty = np.full(len(past), np.nan)
    return Trajectory(
        times_h=times,
        median=rows[0],
        lo50=rows[1],
        hi50=rows[2],
        lo90=rows[3],
        hi90=rows[4],
        drug=drug,
        expectancy=expectancy,
        care=care,
        control=control,
        p_response=np.concatenate([empty, chances[0]]),
        p_remission=np.concatenate([empty, chances[1]]),
        drug_layers=_layers(person, regimen, relief, scaled) if layers else np.empty((0, len(times))),
    )


def _quantiles(person: _Person, group: _Group, written: FloatArray, levels: tuple[float, ...]) -> FloatArray:
    """Weighted quantiles by day over all virtual patients, from a fine histogram: (n_levels, n_days)."""
    lowest, width = person.scale.lowest, (person.scale.highest - person.scale.lowest) / _BINS
    days = written.shape[1]
    bins = np.minimum(((written - lowest) / width).astype(np.int64), _BINS - 1)
    bins += np.arange(days) * _BINS
    weights = np.broadcast_to(group.weights[:, None], written.shape)
    mass = np.bincount(bins.ravel(), weights=weights.ravel(), minlength=days * _BINS).reshape(days, _BINS)
    below = np.cumsum(mass, axis=1)
    edges = lowest + width * (np.arange(_BINS) + 1.0)
    return np.array([[np.interp(level, below[day], edges) for day in range(days)] for level in levels])


def _layers(person: _Person, regimen: Regimen, relief: Relief, scaled: FloatArray) -> FloatArray:
    """What each session adds to the drug's part: the part with it less the part without it and all later ones."""
    rows, before = [], np.zeros(len(relief.times_h))
    for count in range(1, len(regimen.administrations) + 1):
        fewer = person.relief(person.subset, Regimen(regimen.administrations[:count]), relief.times_h)
        part = replace(relief, drug=fewer.drug).shares()[0]
        drug = (scaled * part).mean(axis=0)
        rows.append(drug - before)
        before = drug
    return np.array(rows).reshape(len(rows), len(relief.times_h))


def _relapse(rule: RelapseRule, scale: LinkedScale, reached: FloatArray) -> RelapseForecast:
    later = np.flatnonzero(reached >= 0.5)
    unit = " % of baseline" if scale.percent else ""
    return RelapseForecast(
        definition=f"{rule.scale} of {rule.score_at_least:g}{unit} or more, errors of measurement left out",
        source=rule.source,
        score_at_least=rule.score_at_least,
        median_days=float(later[0]) if later.size else None,
        p_by_day=tuple((float(day), float(chance)) for day, chance in enumerate(reached)),
        reached=bool(reached[0] >= 0.5),
    )


def _next_due(person: _Person, reached: FloatArray) -> NextDue:
    """The last day with the chance of relapse still under the limit."""
    limit = person.given.limit

    def last_day(chance: float) -> float | None:
        under = np.flatnonzero(reached < chance)
        if not under.size or reached[-1] < chance:
            return None
        return float(person.days_h[under[-1]])

    on_h = last_day(limit)
    if not person.given.given.administrations:
        reason, on_h = "No session has been given yet, so none is due again.", None
    elif reached[0] >= limit:
        reason = (
            f"The chance of having reached the relapse cut-off is {100 * reached[0]:.0f} % now, at or over the limit."
        )
    elif on_h is None:
        reason = f"The chance of relapse stays under the limit for {HORIZON_DAYS} days."
    else:
        reason = f"Last day with a chance under {100 * limit:g} % of having reached the relapse cut-off."
    return NextDue(
        limit=limit,
        on_h=on_h,
        at_half_h=last_day(limit / 2.0),
        at_twice_h=last_day(min(2.0 * limit, 1.0)),
        reason=reason,
    )


def _intervals(person: _Person, rule: RelapseRule) -> tuple[IntervalChoice, ...]:
    """Sessions every so many days from now on: chance of never reaching the cut-off in 12 weeks. Extrapolation."""
    given = person.given
    known = given.planned.administrations or given.given.administrations
    if not known or not given.given.administrations:
        return ()
    days_h = person.days_h[: _MAINTENANCE_DAYS + 1]
    choices = []
    for days in INTERVALS_DAYS:
        starts = given.now_h + HOURS_PER_DAY * np.arange(days, _MAINTENANCE_DAYS + 1, days)
        more = repeat(known[-1], starts.tolist())
        regimen = Regimen((*given.given.administrations, *more.administrations))
        true = person.true_scores(person.subset, person.relief(person.subset, regimen, days_h).left)
        relapsed = _reached_by(person, person.subset, true, rule)[-1]
        choices.append(IntervalChoice(days=days, p_well_12w=1.0 - float(relapsed), sessions_12w=len(starts)))
    return tuple(choices)


def _early(person: _Person) -> EarlyNonResponse:
    """Whether true improvement at the last score is under a fifth after three or more sessions."""
    given = person.given
    last = given.scores[-1].at_h if given.scores else -np.inf
    before = sum(start < last for start in given.given.starts_h)
    if before < _EARLY_SESSIONS:
        reason = f"{before} session(s) before the last score; judged from {_EARLY_SESSIONS} on"
        return EarlyNonResponse(called=None, chance=None, reason=reason, source=_EARLY_SOURCE)
    # Judged with mood as it is now: at the last score the same, and only more certain.
    subset = person.subset
    left = person.relief(subset, given.given, np.array([last], dtype=np.float64)).left[:, 0]
    root = np.sqrt(np.maximum(left, 0.0))
    mean = left + root * subset.mood.mean[:, 0]
    sd = np.maximum(root * np.sqrt(np.maximum(subset.mood.covariance[:, 0, 0], 0.0)), 1e-9)
    chance = float(subset.weights @ ndtr((mean - (1.0 - _EARLY_SHARE)) / sd))
    called = chance >= _EARLY_CERTAINTY
    reason = f"chance of under {100 * _EARLY_SHARE:g} % improvement after {before} sessions"
    return EarlyNonResponse(called=called, chance=chance, reason=reason, source=_EARLY_SOURCE)
