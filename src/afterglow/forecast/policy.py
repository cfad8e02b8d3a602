"""When to treat again: policies followed by simulated patients, week by week, in worlds where sessions add up unlike.

The forecast knows only its prior. What is true of a world is how much of relief is consolidated and how long that
lasts, which no data inform; it is put at the lower end, the middle and the upper end of the prior.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum

import numpy as np

from afterglow.forecast.answer import ForecastInput, Method, PatientScore, RelapseRule
from afterglow.forecast.candidates import Candidates, Case, candidates_from, case_of, relief_of
from afterglow.forecast.linking import relapse_rule
from afterglow.forecast.outlook import Outlook
from afterglow.forecast.proof import BASELINE_H, ORIGIN_AT
from afterglow.forecast.update import infer
from afterglow.quantities import HOURS_PER_DAY, Dose, DrugForm
from afterglow.therapy.kinetics import FloatArray
from afterglow.therapy.population import Population
from afterglow.therapy.regimen import DoseAdministration, Regimen, Route
from afterglow.therapy.relief import MoodFluctuation
from afterglow.therapy.setting import Condition

ADDING_UP = ("consolidated_share", "consolidated_half_life_h")  # the parameters that say how sessions add up
ENDS = 1.2816  # deviates of the 10th and 90th percentile
SCALE, BASELINES = "PHQ-9", (16, 22)
INDUCTION_DAYS = (0.0, 3.0, 7.0, 10.0, 14.0, 17.0)
INDUCTION_SCORES = (6.9, 13.9, 20.0)
FIRST_VISIT, VISITS = 21, 26  # weekly, for two quarters
QUARTER_DAYS = 91.0
RESPONSE = 0.5  # who has not lost half his symptoms by the last score of the induction is not maintained
_WEEK = 7
_INFUSION = DoseAdministration(
    at_h=0.0, drug=DrugForm.RACEMIC_KETAMINE, route=Route.IV, dose=Dose(mg_per_kg=0.5), infusion_h=2 / 3
)


class Addition(StrEnum):
    """How sessions add up in a world."""

    LITTLE = "little"
    EXPECTED = "as expected"
    MUCH = "much"


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """When a session is given at a weekly visit.

    Args:
        name: for people.
        every_weeks: whatever the scores say; None: not by the calendar.
        limit: where the chance of relapse before the next visit reaches it; None: not by forecast.

    With neither a session is given when a score has reached the cut-off: when it feels bad.
    """

    name: str
    every_weeks: int | None = None
    limit: float | None = None


POLICIES = (
    Policy(name="weekly", every_weeks=1),
    Policy(name="every 2 weeks", every_weeks=2),
    Policy(name="every 4 weeks", every_weeks=4),
    Policy(name="when it feels bad"),
    *(Policy(name=f"next due, limit {100 * limit:.0f} %", limit=limit) for limit in (0.1, 0.2, 0.5)),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """One policy in one world, patient by patient: (n,) each, per quarter of 91 days."""

    sessions: FloatArray
    relapsed_days: FloatArray


@dataclass(frozen=True, slots=True, kw_only=True)
class _Person:
    """One simulated responder: himself, his mood by day, and his errors of measurement by visit."""

    case: Case
    alone: Candidates
    level: float
    mood: FloatArray
    first_scores: tuple[float, ...]
    errors: FloatArray


def follow(policy: Policy, addition: Addition, *, first: int, count: int, seed: int, visits: int = VISITS) -> Outcome:
    """Responders to six infusions, maintained by a policy for two quarters.

    Args:
        policy: when a session is given.
        addition: how sessions add up for them.
        first: number of the first of the responders of a seed; they are the same under every policy.
        count: how many.
        seed: same seed, same people.
        visits: weekly ones after the induction, up to `VISITS`.

    >>> found = follow(Policy(name="weekly", every_weeks=1), Addition.EXPECTED, first=0, count=2, seed=0)
    >>> found.sessions.tolist()  # 26 visits in 182 days
    [13.0, 13.0]
    """
    rows = [_followed(policy, person, visits) for person in _responders(addition, first=first, count=count, seed=seed)]
    sessions, days = np.array(rows, dtype=np.float64).reshape(-1, 2).T / (visits * _WEEK / QUARTER_DAYS)
    return Outcome(sessions=sessions, relapsed_days=days)


def chance_before_next_visit(given: ForecastInput) -> float:
    """The chance of having reached the relapse cut-off by the next weekly visit without a session now.

    It reaches a limit exactly where `forecast` puts the last day for the next session at least a day before that visit.
    Without a forecast it is 1: nobody waits on an answer that is not there.

    Args:
        given: a patient with scores and sessions.
    """
    case = case_of(given)
    posterior = infer(case)
    if posterior.method is Method.NONE:
        return 1.0
    outlook = Outlook(case, posterior, horizon_days=_WEEK)
    rule = relapse_rule(given, outlook.scale, outlook.baseline)
    left = outlook.relief(outlook.everyone, given.given, outlook.days_h).left
    return float(outlook.relapsed(outlook.everyone, left, rule)[-1])


def _responders(addition: Addition, *, first: int, count: int, seed: int) -> list[_Person]:
    """Patients number `first` to `first + count` of those who respond, drawn in order."""
    found: list[_Person] = []
    number = 0
    while len(found) < first + count:
        person = _person(addition, seed, number)
        if person is not None:
            found.append(person)
        number += 1
    return found[first:]


def _person(addition: Addition, seed: int, number: int) -> _Person | None:
    """One patient; None where the induction does not help him enough."""
    rng = np.random.default_rng([seed, number])
    level = float(rng.integers(BASELINES[0], BASELINES[1] + 1))
    case = case_of(_input(level, [], Regimen(tuple(_session(day) for day in INDUCTION_DAYS)), FIRST_VISIT))
    deviates = _put(case.population, addition, rng.standard_normal((1, case.population.dimensions + case.uncertain)))
    alone = candidates_from(case, deviates)
    days = np.arange(FIRST_VISIT + _WEEK * VISITS + 1.0)
    fluctuation = MoodFluctuation(sd=alone.patients.mood_sd, correlation_h=case.correlation_h)
    mood = fluctuation.paths(HOURS_PER_DAY * days - BASELINE_H, rng.standard_normal((1, len(days))))[0]
    errors = rng.standard_normal(VISITS + len(INDUCTION_SCORES))
    person = _Person(case=case, alone=alone, level=level, mood=mood, first_scores=(), errors=errors)
    true = _true(person, case.given.given, np.array(INDUCTION_SCORES))
    scores = tuple(_written(person, one, place) for place, one in enumerate(true))
    return replace(person, first_scores=scores) if scores[-1] <= (1.0 - RESPONSE) * level else None


def _put(population: Population, addition: Addition, deviates: FloatArray) -> FloatArray:
    """The deviates of the world: how sessions add up is put where the world has it, all else is drawn."""
    where = {Addition.LITTLE: -ENDS, Addition.EXPECTED: 0.0, Addition.MUCH: ENDS}[addition]
    for name in ADDING_UP:
        if name in population.uncertain:
            deviates[:, population.person_dimensions + population.uncertain.index(name)] = where
    return deviates


def _followed(policy: Policy, person: _Person, visits: int) -> tuple[float, float]:
    """Sessions given, and days over the cut-off."""
    given = Regimen(tuple(_session(day) for day in INDUCTION_DAYS))
    scores = list(zip(INDUCTION_SCORES, person.first_scores, strict=True))
    rule = relapse_rule(person.case.given, person.case.scales[-1], person.level)
    sessions, relapsed = 0, 0
    for visit in range(visits):
        day = FIRST_VISIT + _WEEK * visit
        (now,) = _true(person, given, np.array([float(day)]))
        scores.append((float(day), _written(person, now, len(INDUCTION_SCORES) + visit)))
        if _treats(policy, rule, visit, _input(person.level, scores, given, day)):
            given = Regimen((*given.administrations, _session(day)))
            sessions += 1
        week = _true(person, given, day + np.arange(1.0, _WEEK + 1.0))
        relapsed += int(np.sum(week >= rule.score_at_least - 0.5))
    return sessions, relapsed


def _treats(policy: Policy, rule: RelapseRule, visit: int, given: ForecastInput) -> bool:
    if policy.every_weeks is not None:
        return (visit + 1) % policy.every_weeks == 0
    if policy.limit is not None:
        return chance_before_next_visit(given) >= policy.limit
    return (given.scores[-1].points or 0.0) >= rule.score_at_least


def _true(person: _Person, given: Regimen, days: FloatArray) -> FloatArray:
    """Scores without error on days; a session of a day begins after its score."""
    left = relief_of(person.case, person.alone, given, HOURS_PER_DAY * days).left[0]
    following = float(person.case.scales[-1].following(person.alone.patients)[0])
    mood = np.interp(days, np.arange(len(person.mood)), person.mood)
    share: FloatArray = 1.0 - following * (1.0 - left) + following * np.sqrt(left) * mood
    return person.level * share


def _written(person: _Person, true: float, place: int) -> float:
    scale = person.case.scales[-1]
    sd = float(np.sqrt(scale.noise_variance(person.alone.patients)[0]))
    return float(np.clip(np.round(true + sd * person.errors[place]), scale.lowest, scale.highest)) + 0.0


def _session(day: float) -> DoseAdministration:
    return replace(_INFUSION, at_h=HOURS_PER_DAY * day)


def _input(level: float, scores: list[tuple[float, float]], given: Regimen, day: float) -> ForecastInput:
    return ForecastInput(
        origin_at=ORIGIN_AT,
        now_h=HOURS_PER_DAY * day,
        condition=Condition.DEPRESSION,
        scores=(
            PatientScore(at_h=BASELINE_H, scale=SCALE, points=level),
            *(PatientScore(at_h=HOURS_PER_DAY * at, scale=SCALE, points=points) for at, points in scores),
        ),
        given=given,
    )
