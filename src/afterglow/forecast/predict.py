"""One patient's forecast: what the next scores will be, when relapse is likely, and when the next session is due.

Given a candidate, the next scores are simulated: his mood from what the scores left open of it, day by day. All
comparisons (with and without the plan, between intervals) use the same random numbers, kept for a seed.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import lru_cache

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
    RelapseState,
    Trajectory,
)
from afterglow.forecast.filter import MoodState, advance
from afterglow.forecast.linking import LinkedScale, link_scales, mood_start_h, relapse_rule, response_and_remission
from afterglow.forecast.update import Candidates, Posterior, infer, relief_of
from afterglow.forecast.warnings import reliable_change_sentence, warnings_of
from afterglow.quantities import HOURS_PER_DAY
from afterglow.therapy.course import IntArray
from afterglow.therapy.kinetics import FloatArray
from afterglow.therapy.population import Population, load_population
from afterglow.therapy.regimen import Regimen, repeat
from afterglow.therapy.relief import Relief

HORIZON_DAYS = 91
INTERVALS_DAYS = (7, 14, 28)
_MAINTENANCE_DAYS = 84
_N_AHEAD = 8_192  # candidates followed into the future, see `thin`
_N_PARTS = 2_048  # of these, behind the days before now, the parts, and the comparison of intervals
_N_LAYERS = 512  # of these, behind the share of each session in the drug's part
_BLOCK = 1_024  # candidates simulated at once, so that the numbers stay near the processor
_BINS_PER_POINT = 32  # of the histogram of written scores on whole-number scales
_BINS = 2_048  # on other scales
_EARLY_SHARE, _EARLY_SESSIONS = 0.2, 3  # source below
_EARLY_CERTAINTY = 0.8  # policy (ADR 0009)
_EARLY_SOURCE = "early: under 20 % improvement by infusion 3 to 4; that it must be 80 % certain is policy"


def forecast(given: ForecastInput, *, layers: bool = False) -> Forecast:
    """Forecast one patient.

    Args:
        given: everything the answer depends on; the same input gives the same answer.
        layers: also split the drug's part by session, which costs one small run a session.

    Raises: InputError or NoModel for scores that cannot be linked to the model.

    >>> from datetime import UTC, datetime
    >>> from afterglow.forecast.answer import PatientScore
    >>> from afterglow.quantities import Dose, DrugForm
    >>> from afterglow.therapy.regimen import DoseAdministration, Route
    >>> from afterglow.therapy.setting import Condition
    >>> session = DoseAdministration(at_h=0.0, drug=DrugForm.RACEMIC_KETAMINE, route=Route.IV,
    ...                              dose=Dose(mg_per_kg=0.5), infusion_h=2 / 3)
    >>> scores = [PatientScore(at_h=at, scale="PHQ-9", points=points) for at, points in ((-1.0, 21.0), (24.0, 9.0))]
    >>> found = forecast(ForecastInput(origin_at=datetime(2026, 3, 2, 9, tzinfo=UTC), now_h=24.0,
    ...                                condition=Condition.DEPRESSION, scores=tuple(scores), given=Regimen((session,))))
    >>> found.method, found.relapse.definition
    (<Method.REWEIGHT: 'reweight'>, 'PHQ-9 of 16 or more, errors of measurement left out')
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
        path: (_N_AHEAD, HORIZON_DAYS + 1), a fluctuation of unit size that starts from zero now.
        mood, error: (_N_AHEAD,) standard normal: where mood is now, and one error of measurement for all days, which
            are never looked at together.
    """

    path: FloatArray
    mood: FloatArray
    error: FloatArray


@lru_cache(maxsize=4)
def _noise(seed: int, correlation_h: float) -> _Noise:
    rng = np.random.default_rng([seed, HORIZON_DAYS])
    keep = float(np.exp(-HOURS_PER_DAY / correlation_h))
    shocks = np.sqrt(1.0 - keep * keep) * rng.standard_normal((HORIZON_DAYS + 1, _N_AHEAD))
    shocks[0] = 0.0
    for day in range(1, HORIZON_DAYS + 1):
        shocks[day] += keep * shocks[day - 1]
    return _Noise(
        path=np.ascontiguousarray(shocks.T), mood=rng.standard_normal(_N_AHEAD), error=rng.standard_normal(_N_AHEAD)
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Group:
    """Candidates with weights, and their mood now."""

    candidates: Candidates
    weights: FloatArray
    mood: MoodState

    def some(self, count: int, start: float) -> _Group:
        """Equally weighted ones among them, drawn systematically by weight, each with the random numbers he has."""
        steps = (np.arange(count) + start) / count
        chosen = np.minimum(np.searchsorted(np.cumsum(self.weights), steps), len(self.weights) - 1)
        return _Group(
            candidates=self.candidates.take(chosen), weights=np.full(count, 1.0 / count), mood=self.mood.take(chosen)
        )


class _Person:
    """The posterior at the time the forecast starts from, on the scale of the last score."""

    def __init__(
        self, given: ForecastInput, population: Population, scales: tuple[LinkedScale, ...], posterior: Posterior
    ) -> None:
        self.given, self.population, self.scales, self.posterior = given, population, scales, posterior
        self.scale = scales[-1]
        self.correlation_h = population.parameters["mood_correlation_h"].typical
        self.days_h: FloatArray = given.now_h + HOURS_PER_DAY * np.arange(HORIZON_DAYS + 1, dtype=np.float64)
        self.noise = _noise(given.seed, self.correlation_h)
        start = float(np.random.default_rng([given.seed, _N_AHEAD]).random())
        chosen, weights = thin(posterior.weights, _N_AHEAD, start)
        candidates = posterior.candidates.take(chosen)
        mood = advance(
            posterior.mood.take(chosen),
            to_h=given.now_h,
            mood_sd=candidates.patients.mood_sd,
            correlation_h=self.correlation_h,
        )
        self.everyone = _Group(candidates=candidates, weights=weights, mood=mood)
        self.some = self.everyone.some(_N_PARTS, start)
        self.few = self.some.some(_N_LAYERS, start)
        level = (
            float(np.sum(posterior.weights * posterior.candidates.levels[-1]))
            if self.scale.level_sd
            else self.scale.level
        )
        self.baseline = self.scale.lowest + level

    def relief(self, group: _Group, regimen: Regimen, times_h: FloatArray) -> Relief:
        return relief_of(self.population, group.candidates, regimen, times_h)

    def true_scores(self, group: _Group, left: FloatArray) -> Iterator[tuple[slice, FloatArray]]:
        """True scores above the scale's lowest on the days from now on, (n, n_days), in blocks of candidates."""
        patients, level = group.candidates.patients, group.candidates.levels[-1]
        swing = level * self.scale.following(patients)
        days = left.shape[1]
        fade = np.exp(-HOURS_PER_DAY * np.arange(days) / self.correlation_h)
        now = group.mood.mean + np.sqrt(group.mood.variance) * self.noise.mood[: len(level)]
        for first in range(0, len(level), _BLOCK):
            block = slice(first, min(first + _BLOCK, len(level)))
            x = patients.mood_sd[block, None] * self.noise.path[block, :days]
            x += now[block, None] * fade
            x *= np.sqrt(np.maximum(left[block], 0.0))
            x -= 1.0 - left[block]
            x *= swing[block, None]
            x += level[block, None]
            yield block, x

    def noise_sd(self, group: _Group) -> FloatArray:
        return np.sqrt(self.scale.noise_variance(group.candidates.patients))


def _complete(answer: Forecast, person: _Person, *, layers: bool) -> Forecast:
    """Fill in what needs a forecast."""
    given = person.given
    rule = relapse_rule(given, person.scale, person.baseline)
    all_sessions = Regimen((*given.given.administrations, *given.planned.administrations))
    relief = person.relief(person.everyone, all_sessions, person.days_h)
    written, reached = _simulate(person, person.everyone, relief.left, rule)
    if given.planned.administrations:
        alone = person.relief(person.everyone, given.given, person.days_h).left
        reached = _reached_by(person, person.everyone, alone, rule)
    trajectory = _trajectory(person, written, all_sessions, layers=layers)
    today = len(trajectory.times_h) - len(person.days_h)
    now = [None if np.isnan(p[today]) else float(p[today]) for p in (trajectory.p_response, trajectory.p_remission)]
    relapse = _relapse(person, rule, reached)
    well = relapse.state is RelapseState.WELL
    return replace(
        answer,
        baseline=person.baseline,
        trajectory=trajectory,
        p_response=now[0],
        p_remission=now[1],
        relapse=relapse,
        next_due=_next_due(person, reached, relapse),
        intervals=_intervals(person, rule) if well else (),
        early_nonresponse=_early(person),
    )


class _Histogram:
    """Weighted distribution of written scores by day, on bins so fine that no rounding shows."""

    def __init__(self, scale: LinkedScale, days: int) -> None:
        self.scale, self.span = scale, scale.highest - scale.lowest
        self.bins = int(self.span) * _BINS_PER_POINT if scale.whole_numbers else _BINS
        self.mass = np.zeros((days, self.bins))

    def add(self, scores: FloatArray, weights: FloatArray) -> None:
        """Scores above the scale's lowest, (n, n_days), with one weight for each row."""
        place = np.clip(scores * (self.bins / self.span), 0.0, self.bins - 1.0).astype(np.int64)
        place += np.arange(len(self.mass)) * self.bins
        weighted = np.broadcast_to(weights[:, None], place.shape).ravel()
        self.mass += np.bincount(place.ravel(), weights=weighted, minlength=self.mass.size).reshape(self.mass.shape)

    def quantiles(self, levels: tuple[float, ...]) -> FloatArray:
        """(n_levels, n_days)."""
        below = np.cumsum(self.mass, axis=1)
        edges = self.scale.lowest + self.span * (np.arange(self.bins) + 1.0) / self.bins
        edges[0] = self.scale.lowest  # scores cut off at the scale's end lie on it
        return np.array([np.interp(levels, day, edges) for day in below]).reshape(-1, len(levels)).T

    def at_most(self, limit: float | None) -> FloatArray:
        """Chance by day of a written score of at most `limit`; nan where there is no limit."""
        if limit is None:
            return np.full(len(self.mass), np.nan)
        latent = (np.floor(limit + 1e-9) + 0.5 if self.scale.whole_numbers else limit) - self.scale.lowest
        count = int(np.clip(round(latent * self.bins / self.span), 0, self.bins))
        chance: FloatArray = self.mass[:, :count].sum(axis=1)
        return chance


def _simulate(person: _Person, group: _Group, left: FloatArray, rule: RelapseRule) -> tuple[_Histogram, FloatArray]:
    """Written scores by day, and the chance by day of having reached the relapse cut-off."""
    written = _Histogram(person.scale, left.shape[1])
    error = person.noise_sd(group) * person.noise.error[: len(left)]
    relapsed = np.zeros(left.shape[1] + 1)
    for block, true in person.true_scores(group, left):
        relapsed += _first_days(true, _edge(person.scale, rule), group.weights[block])
        written.add(true + error[block, None], group.weights[block])
    return written, np.cumsum(relapsed[:-1])


def _reached_by(person: _Person, group: _Group, left: FloatArray, rule: RelapseRule) -> FloatArray:
    """Chance by day of having reached the relapse cut-off, errors of measurement left out."""
    relapsed = np.zeros(left.shape[1] + 1)
    for block, true in person.true_scores(group, left):
        relapsed += _first_days(true, _edge(person.scale, rule), group.weights[block])
    return np.cumsum(relapsed[:-1])


def _first_days(true: FloatArray, edge: float, weights: FloatArray) -> FloatArray:
    """Weight by the first day at or over the edge, (n_days + 1,); the last is for never."""
    over = true >= edge
    day = np.where(over.any(axis=1), over.argmax(axis=1), true.shape[1])
    return np.bincount(day, weights=weights, minlength=true.shape[1] + 1).astype(np.float64)


def _edge(scale: LinkedScale, rule: RelapseRule) -> float:
    """The true score above the scale's lowest that would be written as the cut-off."""
    return rule.score_at_least - (0.5 if scale.whole_numbers else 0.0) - scale.lowest


def _trajectory(person: _Person, ahead: _Histogram, regimen: Regimen, *, layers: bool) -> Trajectory:
    """Days from the first event to the horizon: before now as the model sees them, from now on as it predicts them."""
    given, some = person.given, person.some
    begin = min((*(score.at_h for score in given.scores), *given.given.starts_h, given.now_h))
    past: FloatArray = given.now_h - HOURS_PER_DAY * np.arange(int((given.now_h - begin) // HOURS_PER_DAY), 0.0, -1.0)
    times = np.concatenate([past, person.days_h])
    relief = person.relief(some, regimen, times)
    levels = (0.5, 0.25, 0.75, 0.05, 0.95)
    before = _before(person, past, relief.left[:, : len(past)])
    rows = np.concatenate([before.quantiles(levels), ahead.quantiles(levels)], axis=1)
    response, remission = response_and_remission(person.scale, person.baseline)
    unseen = np.full(len(past), np.nan)
    level = some.candidates.levels[-1]
    scaled = (level * person.scale.following(some.candidates.patients))[:, None]
    drug, expectancy, care = ((scaled * share).mean(axis=0) for share in relief.shares())
    without = 1.0 - (1.0 - relief.expectancy) * (1.0 - relief.care)
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
        control=person.baseline - (scaled * without).mean(axis=0),
        p_response=np.concatenate([unseen, ahead.at_most(response)]),
        p_remission=np.concatenate([unseen, ahead.at_most(remission)]),
        drug_layers=_layers(person, regimen, times, drug) if layers else np.empty((0, len(times))),
    )


def _before(person: _Person, times_h: FloatArray, left: FloatArray) -> _Histogram:
    """Scores on days before now as the model sees them: this person's relief, any mood he might have had."""
    some, found = person.some, _Histogram(person.scale, len(times_h))
    patients, level = some.candidates.patients, some.candidates.levels[-1][:, None]
    following = person.scale.following(patients)[:, None]
    start = mood_start_h(person.scales)
    forgotten = 1.0 if start is None else -np.expm1(-2.0 * np.maximum(times_h - start, 0.0) / person.correlation_h)
    swing = level * following * patients.mood_sd[:, None]
    sd = np.sqrt(swing**2 * np.maximum(left, 0.0) * forgotten + person.noise_sd(some)[:, None] ** 2)
    found.add(
        level * (1.0 - following * (1.0 - left)) + sd * person.noise.error[: len(sd), None],
        some.weights,
    )
    return found


def _layers(person: _Person, regimen: Regimen, times_h: FloatArray, drug: FloatArray) -> FloatArray:
    """What each session adds to the drug's part, (n_sessions, n_times): the part up to it less the part before it.

    Measured on few candidates and scaled to the part of all, so that the layers add up to it.
    """
    few, rows, before = person.few, [], np.zeros(len(times_h))
    relief = person.relief(few, regimen, times_h)
    scaled = (few.candidates.levels[-1] * person.scale.following(few.candidates.patients))[:, None]
    for count in range(1, len(regimen.administrations) + 1):
        fewer = person.relief(few, Regimen(regimen.administrations[:count]), times_h)
        part = (scaled * replace(relief, drug=fewer.drug).shares()[0]).mean(axis=0)
        rows.append(part - before)
        before = part
    factor = np.divide(drug, before, out=np.zeros_like(drug), where=before > 0)
    return np.array(rows).reshape(len(rows), len(times_h)) * factor


def _relapse(person: _Person, rule: RelapseRule, reached: FloatArray) -> RelapseForecast:
    state, reason = _relapse_state(person, rule, reached)
    later = np.flatnonzero(reached >= 0.5)
    well = state is RelapseState.WELL
    return RelapseForecast(
        definition=f"{rule.scale} of {_shown(person.scale, rule)} or more, errors of measurement left out",
        source=rule.source,
        score_at_least=rule.score_at_least,
        median_days=float(later[0]) if well and later.size else None,
        p_by_day=tuple((float(day), float(chance)) for day, chance in enumerate(reached)) if well else (),
        reached=state is RelapseState.REACHED,
        state=state,
        reason=reason,
    )


def _relapse_state(person: _Person, rule: RelapseRule, reached: FloatArray) -> tuple[RelapseState, str]:
    """Who has no relief cannot lose it: whether this person has, on the scores and the model."""
    given, cut_off = person.given, _shown(person.scale, rule)
    if not given.given.administrations:
        return RelapseState.NOT_STARTED, "No session has been given yet, so there is no relief to lose."
    if reached[0] < 0.5:
        return RelapseState.WELL, f"More likely than not the score is under the relapse cut-off of {cut_off} now."
    own = [s for s in given.scores if s.at_h > given.given.starts_h[0] and s.scale == person.scale.name]
    if not own:
        chance = f"{100 * (1.0 - reached[0]):.0f} %"
        reason = f"No score has been taken since treatment began; the model gives {chance} for one under {cut_off} now."
        return RelapseState.UNKNOWN, reason
    if any(person.scale.value(score) < rule.score_at_least for score in own):
        return RelapseState.REACHED, f"The score has been under the relapse cut-off of {cut_off}, and is back over it."
    reason = f"No score since treatment began is under the relapse cut-off of {cut_off}: there is no relief to lose."
    return RelapseState.NOT_IMPROVED, reason


def _shown(scale: LinkedScale, rule: RelapseRule) -> str:
    return f"{rule.score_at_least:g}" + (" % of baseline" if scale.percent else "")


def _next_due(person: _Person, reached: FloatArray, relapse: RelapseForecast) -> NextDue:
    """The last day with the chance of relapse still under the limit."""
    limit = person.given.limit
    if relapse.state is not RelapseState.WELL:
        return NextDue(limit=limit, on_h=None, at_half_h=None, at_twice_h=None, reason=_not_due(relapse))

    def last_day(chance: float) -> float | None:
        under = np.flatnonzero(reached < chance)
        return float(person.days_h[under[-1]]) if 0 < under.size < len(reached) else None

    if reached[0] >= limit:
        chance = f"{100 * reached[0]:.0f} %"
        reason = f"The chance of being over the relapse cut-off is {chance} now: a session is due, or another plan."
    elif reached[-1] < limit:
        reason = f"The chance of relapse stays under the limit for {HORIZON_DAYS} days."
    else:
        reason = f"Last day with a chance under {100 * limit:g} % of having reached the relapse cut-off."
    return NextDue(
        limit=limit,
        on_h=last_day(limit),
        at_half_h=last_day(limit / 2.0),
        at_twice_h=last_day(2.0 * limit),
        reason=reason,
    )


def _not_due(relapse: RelapseForecast) -> str:
    if relapse.state is RelapseState.NOT_STARTED:
        return "No session has been given yet, so none is due again."
    if relapse.state is RelapseState.REACHED:
        return f"{relapse.reason} The limit is passed already."
    return f"{relapse.reason} No date can be set by a limit on losing it."


def _intervals(person: _Person, rule: RelapseRule) -> tuple[IntervalChoice, ...]:
    """Sessions every so many days from now on: chance of never reaching the cut-off in 12 weeks. Extrapolation."""
    given = person.given
    session = (*given.given.administrations, *given.planned.administrations)[-1]
    days_h = person.days_h[: _MAINTENANCE_DAYS + 1]
    choices = []
    for days in INTERVALS_DAYS:
        starts = given.now_h + HOURS_PER_DAY * np.arange(days, _MAINTENANCE_DAYS + 1, days)
        more = repeat(session, starts.tolist())
        regimen = Regimen((*given.given.administrations, *more.administrations))
        relapsed = _reached_by(person, person.some, person.relief(person.some, regimen, days_h).left, rule)[-1]
        choices.append(IntervalChoice(days=days, p_well_12w=1.0 - float(relapsed), sessions_12w=len(starts)))
    return tuple(choices)


def _early(person: _Person) -> EarlyNonResponse:
    """Whether true improvement at the last score is under a fifth after three or more sessions."""
    given, posterior = person.given, person.posterior
    last = given.scores[-1].at_h if given.scores else -np.inf
    before = sum(start < last for start in given.given.starts_h)
    if before < _EARLY_SESSIONS:
        sessions = "1 session" if before == 1 else f"{before} sessions"
        reason = f"{sessions} before the last score; judged from {_EARLY_SESSIONS} on"
        return EarlyNonResponse(called=None, chance=None, reason=reason, source=_EARLY_SOURCE)
    root = np.sqrt(np.maximum(posterior.left, 0.0))
    following = person.scale.following(posterior.candidates.patients)
    worst = 1.0 - _EARLY_SHARE / following  # symptoms left at which the scale would show a fifth
    sd = np.maximum(root * np.sqrt(posterior.mood.variance), 1e-9)
    chances = ndtr((posterior.left + root * posterior.mood.mean - worst) / sd)
    chance = float(np.sum(posterior.weights * chances))
    reason = f"chance of under {100 * _EARLY_SHARE:g} % improvement after {before} sessions"
    return EarlyNonResponse(called=chance >= _EARLY_CERTAINTY, chance=chance, reason=reason, source=_EARLY_SOURCE)
