"""One patient's forecast: what the next scores will be, when relapse is likely, and when the next session is due."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from scipy.special import ndtr

from afterglow.forecast.answer import (
    AfterglowStrip,
    EarlyNonResponse,
    Forecast,
    ForecastInput,
    ForecastWarning,
    IntervalChoice,
    Method,
    NextDue,
    RelapseForecast,
    RelapseRule,
    RelapseState,
    Trajectory,
)
from afterglow.forecast.candidates import case_of
from afterglow.forecast.linking import LinkedScale, relapse_rule, response_and_remission
from afterglow.forecast.outlook import HORIZON_DAYS, Group, Outlook, ScoreDistribution
from afterglow.forecast.update import infer
from afterglow.forecast.warnings import EXTRAPOLATED, reliable_change_sentence, unexplained, warnings_of
from afterglow.quantities import HOURS_PER_DAY
from afterglow.therapy.kinetics import FloatArray
from afterglow.therapy.regimen import Regimen, repeat

INTERVALS_DAYS = (7, 14, 28)
_LEVELS = (0.5, 0.25, 0.75, 0.05, 0.95)
_RISE_H = (0.0, 0.05, 1.0, 2.0, 4.0, 8.0, 14.0)  # after a session begins: belief acts at once, plasticity over a day
_MAINTENANCE_DAYS = 84
_LONG_COURSE_DAYS = 400  # before now; a longer one is looked at through fewer candidates
_EARLY_SHARE, _EARLY_SESSIONS = 0.2, 3  # source below
_EARLY_CERTAINTY = 0.8  # policy (ADR 0009)
_EARLY_SOURCE = "early: under 20 % improvement by infusion 3 to 4; that it must be 80 % certain is policy"


def forecast(given: ForecastInput, *, layers: bool = False) -> Forecast:
    """Forecast one patient.

    Args:
        given: everything the answer depends on; the same input gives the same answer.
        layers: also split the drug's part by session, and show how each one rises: one small run a session.

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
    (<Method.REWEIGHT: 'reweight'>, 'PHQ-9 of 16 or more, one odd rating aside')
    """
    case = case_of(given)
    posterior = infer(case)
    population, scale = case.population, case.scales[-1]
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
        warnings=warnings_of(case, posterior),
    )
    if posterior.method is Method.NONE:
        return answer
    return _complete(answer, Outlook(case, posterior), layers=layers)


def _complete(answer: Forecast, outlook: Outlook, *, layers: bool) -> Forecast:
    """Fill in what needs a forecast."""
    given, everyone = answer.given, outlook.everyone
    rule = relapse_rule(given, outlook.scale, outlook.baseline)
    left = outlook.relief(everyone, outlook.case.sessions, outlook.days_h).left
    trajectory = _trajectory(outlook, outlook.scores(everyone, left), layers=layers)
    if given.planned.administrations:
        left = outlook.relief(everyone, given.given, outlook.days_h).left
    relapse = _relapse(outlook, rule, outlook.relapsed(everyone, left, rule))
    compared = relapse.state is RelapseState.WELL and not outlook.posterior.contradicts
    intervals = _intervals(outlook, rule) if compared else ()
    today = len(trajectory.times_h) - len(outlook.days_h)
    now = [None if np.isnan(p[today]) else float(p[today]) for p in (trajectory.p_response, trajectory.p_remission)]
    return replace(
        answer,
        baseline=outlook.baseline,
        trajectory=trajectory,
        p_response=now[0],
        p_remission=now[1],
        relapse=relapse,
        next_due=_next_due(outlook, relapse),
        intervals=intervals,
        warnings=(*_unexplained(outlook, trajectory), *answer.warnings, *([EXTRAPOLATED] if intervals else [])),
        early_nonresponse=_early(outlook),
    )


def _unexplained(outlook: Outlook, found: Trajectory) -> tuple[ForecastWarning, ...]:
    scores = outlook.case.given.scores
    last_h = scores[-1].at_h if scores else outlook.case.given.now_h
    explained = float(np.interp(last_h, found.times_h, found.drug + found.expectancy + found.care))
    return unexplained(outlook.case, explained, outlook.baseline)


def _trajectory(outlook: Outlook, ahead: ScoreDistribution, *, layers: bool) -> Trajectory:
    """Days from the first event to the horizon: before now as the model sees them, from now on as it predicts them."""
    given, sessions = outlook.case.given, outlook.case.sessions
    begin = min((*(score.at_h for score in given.scores), *given.given.starts_h, given.now_h))
    past: FloatArray = given.now_h - HOURS_PER_DAY * np.arange(int((given.now_h - begin) // HOURS_PER_DAY), 0.0, -1.0)
    days = np.concatenate([past, outlook.days_h])
    times = _with_rises(days, sessions, begin) if layers else days
    group = outlook.some if len(past) <= _LONG_COURSE_DAYS else outlook.few
    relief, scaled = outlook.relief(group, sessions, times), _scaled(outlook, group)
    daily = np.searchsorted(times, days)
    credit, *others = (scaled * share for share in relief.shares())
    without = 1.0 - (1.0 - relief.expectancy) * (1.0 - relief.care)
    drug = credit.mean(axis=0)
    strip = AfterglowStrip(
        times_h=times,
        drug=drug,
        expectancy=others[0].mean(axis=0),
        care=others[1].mean(axis=0),
        control=outlook.baseline - (scaled * without).mean(axis=0),
        drug_layers=_layers(outlook, sessions, times, drug) if layers else np.empty((0, len(times))),
    )
    before = outlook.scores_before(group, past, relief.left[:, daily[: len(past)]])
    rows = np.concatenate([before.quantiles(_LEVELS), ahead.quantiles(_LEVELS)], axis=1)
    response, remission = response_and_remission(outlook.scale, outlook.baseline)
    unseen = np.full(len(past), np.nan)
    low, high = _range90(credit[:, daily])
    return Trajectory(
        times_h=days,
        median=rows[0],
        lo50=rows[1],
        hi50=rows[2],
        lo90=rows[3],
        hi90=rows[4],
        drug=strip.drug[daily],
        drug_lo90=low,
        drug_hi90=high,
        expectancy=strip.expectancy[daily],
        care=strip.care[daily],
        control=strip.control[daily],
        p_response=np.concatenate([unseen, ahead.at_most(response)]),
        p_remission=np.concatenate([unseen, ahead.at_most(remission)]),
        strip=strip,
    )


def _with_rises(days_h: FloatArray, sessions: Regimen, begin_h: float) -> FloatArray:
    """The days, and the hours after each session in which relief rises."""
    rises = np.add.outer(np.array(sessions.starts_h), np.array(_RISE_H)).ravel()
    times: FloatArray = np.unique(np.concatenate([[begin_h], days_h, rises[rises < days_h[-1]]]))
    return times


def _range90(credit: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Central 90 % of each column of equally weighted rows."""
    at = [round(share * (len(credit) - 1)) for share in (0.05, 0.95)]
    ordered = np.partition(np.ascontiguousarray(credit.T), at, axis=1)
    return ordered[:, at[0]], ordered[:, at[1]]


def _scaled(outlook: Outlook, group: Group) -> FloatArray:
    """Points of the scale for a relief of one, (n, 1)."""
    scaled: FloatArray = group.candidates.levels[-1] * outlook.scale.following(group.candidates.patients)
    return scaled[:, None]


def _layers(outlook: Outlook, regimen: Regimen, times_h: FloatArray, drug: FloatArray) -> FloatArray:
    """What each session adds to the drug's part, (n_sessions, n_times): the part up to it less the part before it.

    Measured on few candidates and scaled to the part of all, so that the layers add up to it.
    """
    few, rows, before = outlook.few, [], np.zeros(len(times_h))
    relief, scaled = outlook.relief(few, regimen, times_h), _scaled(outlook, few)
    for count in range(1, len(regimen.administrations) + 1):
        fewer = outlook.relief(few, Regimen(regimen.administrations[:count]), times_h)
        part = (scaled * replace(relief, drug=fewer.drug).shares()[0]).mean(axis=0)
        rows.append(part - before)
        before = part
    factor = np.divide(drug, before, out=np.zeros_like(drug), where=before > 0)
    return np.array(rows).reshape(len(rows), len(times_h)) * factor


def _relapse(outlook: Outlook, rule: RelapseRule, reached: FloatArray) -> RelapseForecast:
    state, reason = _relapse_state(outlook, rule, reached)
    later = np.flatnonzero(reached >= 0.5)
    well = state is RelapseState.WELL
    return RelapseForecast(
        definition=f"{rule.scale} of {_shown(outlook.scale, rule)} or more, one odd rating aside",
        source=rule.source,
        score_at_least=rule.score_at_least,
        median_days=float(later[0]) if well and later.size else None,
        p_by_day=tuple((float(day), float(chance)) for day, chance in enumerate(reached)) if well else (),
        reached=state is RelapseState.REACHED,
        state=state,
        reason=reason,
    )


def _relapse_state(outlook: Outlook, rule: RelapseRule, reached: FloatArray) -> tuple[RelapseState, str]:
    """Who has no relief cannot lose it: whether this person has, on the scores and the model."""
    given, cut_off = outlook.case.given, _shown(outlook.scale, rule)
    if not given.given.administrations:
        return RelapseState.NOT_STARTED, "No session has been given yet, so there is no relief to lose."
    if reached[0] < 0.5:
        return RelapseState.WELL, f"More likely than not the score is under the relapse cut-off of {cut_off} now."
    own = [s for s in given.scores if s.at_h > given.given.starts_h[0] and s.scale == outlook.scale.name]
    if not own:
        chance = _percent(1.0 - reached[0])
        reason = f"No score has been taken since treatment began; the model gives {chance} for one under {cut_off} now."
        return RelapseState.UNKNOWN, reason
    if any(outlook.scale.value(score) < rule.score_at_least for score in own):
        reason = f"The score has been under the relapse cut-off of {cut_off}; more likely than not it is over it now."
        return RelapseState.REACHED, reason
    reason = f"No score since treatment began is under the relapse cut-off of {cut_off}"
    return RelapseState.NOT_IMPROVED, f"{reason}, so by this rule there is nothing to lose."


def _shown(scale: LinkedScale, rule: RelapseRule) -> str:
    return f"{rule.score_at_least:g}" + (" % of baseline" if scale.percent else "")


def _percent(chance: float) -> str:
    """A chance in words; a model never gives 0 or 100 %."""
    return "under 1 %" if chance < 0.01 else "over 99 %" if chance > 0.99 else f"{100 * chance:.0f} %"


def _next_due(outlook: Outlook, relapse: RelapseForecast) -> NextDue:
    """The last day with the chance of relapse still under the limit."""
    limit = outlook.case.given.limit
    if relapse.state is not RelapseState.WELL:
        return NextDue(limit=limit, on_h=None, at_half_h=None, at_twice_h=None, reason=_not_due(relapse))
    reached = np.array([chance for _, chance in relapse.p_by_day])

    def last_day(chance: float) -> float | None:
        under = np.flatnonzero(reached < chance)
        return float(outlook.days_h[under[-1]]) if 0 < under.size < len(reached) else None

    if outlook.posterior.contradicts:
        reason = "The model explains these scores badly, so it sets no date."
        return NextDue(limit=limit, on_h=None, at_half_h=None, at_twice_h=None, reason=reason)
    if reached[0] >= limit:
        chance = _percent(reached[0])
        reason = f"The chance of being over the relapse cut-off is {chance} now: the limit is passed already."
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


def _intervals(outlook: Outlook, rule: RelapseRule) -> tuple[IntervalChoice, ...]:
    """Sessions every so many days from now on: chance of never reaching the cut-off in 12 weeks. Extrapolation."""
    given, session = outlook.case.given, outlook.case.sessions.administrations[-1]
    days_h = outlook.days_h[: _MAINTENANCE_DAYS + 1]
    choices = []
    for days in INTERVALS_DAYS:
        starts = given.now_h + HOURS_PER_DAY * np.arange(days, _MAINTENANCE_DAYS + 1, days)
        more = repeat(session, starts.tolist())
        regimen = Regimen((*given.given.administrations, *more.administrations))
        relapsed = outlook.relapsed(outlook.some, outlook.relief(outlook.some, regimen, days_h).left, rule)[-1]
        choices.append(IntervalChoice(days=days, p_well_12w=1.0 - float(relapsed), sessions_12w=len(starts)))
    return tuple(choices)


def _early(outlook: Outlook) -> EarlyNonResponse:
    """Whether true improvement at the last score is under a fifth after three or more sessions."""
    given, posterior = outlook.case.given, outlook.posterior
    last = given.scores[-1].at_h if given.scores else -np.inf
    before = sum(start < last for start in given.given.starts_h)
    if before < _EARLY_SESSIONS:
        sessions = "1 session" if before == 1 else f"{before} sessions"
        reason = f"{sessions} before the last score; judged from {_EARLY_SESSIONS} on"
        return EarlyNonResponse(called=None, chance=None, reason=reason, source=_EARLY_SOURCE)
    root = np.sqrt(np.maximum(posterior.left, 0.0))
    following = outlook.scale.following(posterior.candidates.patients)
    worst = 1.0 - _EARLY_SHARE / following  # symptoms left at which the scale would show a fifth
    sd = np.maximum(root * np.sqrt(posterior.mood.variance), 1e-9)
    chances = ndtr((posterior.left + root * posterior.mood.mean - worst) / sd)
    chance = float(np.sum(posterior.weights * chances))
    reason = f"chance of under {100 * _EARLY_SHARE:g} % improvement after {before} sessions"
    return EarlyNonResponse(called=chance >= _EARLY_CERTAINTY, chance=chance, reason=reason, source=_EARLY_SOURCE)
