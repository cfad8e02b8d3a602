"""Trials that have not been run, simulated patient by patient: what each finds, and how often it is significant.

A simulated trial is one draw of the population (or its typical values) and as many independent patients as its size
asks for. Sizes share the draw but are trials of their own: a small one shows more of the drug (decision 0018). Every
trial has random numbers of its own, so neither the order nor the place of the work changes a number.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from functools import lru_cache
from importlib.metadata import version

import numpy as np
from scipy.special import ndtr, stdtr

from afterglow.protocol import (
    Analysis,
    AtRisk,
    Endpoint,
    ObservationPlan,
    TrialDesign,
    TrialProtocol,
    require_design,
    require_observation,
    require_population,
    write_protocol,
)
from afterglow.therapy.kinetics import FloatArray
from afterglow.therapy.population import Belief, Circumstances, Population, build_patients, load_population
from afterglow.therapy.regimen import Regimen, repeat
from afterglow.therapy.relief import Execution
from afterglow.therapy.setting import Arm, Condition, Control
from afterglow.therapy.treated import treated_table
from afterglow.trials.cohort import ArmPlan, CohortChunk, treat
from afterglow.trials.replicate import arm_plan

BoolArray = np.ndarray[tuple[int, ...], np.dtype[np.bool_]]
Places = np.ndarray[tuple[int, ...], np.dtype[np.int64]]

CHUNK_TRIALS = 20
_TINY = 1e-12


class Masking(StrEnum):
    """What patients and raters can tell.

    Masked: nobody can tell the arms apart; arms with different sessions get the sessions of all, some without drug.
    Unmasked: a control arm knows that it is one, as after saline.
    """

    PLANNED = "planned"
    MASKED = "masked"
    UNMASKED = "unmasked"


class Basis(StrEnum):
    """Power: as if the typical values were right. Assurance: over all they might be, and how trials differ."""

    POWER = "power"
    ASSURANCE = "assurance"


@dataclass(frozen=True, slots=True, kw_only=True)
class DesignTask:
    """Consecutive simulated trials: what is lost when a worker is."""

    masking: Masking
    basis: Basis
    first: int
    count: int


@dataclass(frozen=True, slots=True, kw_only=True)
class DesignChunk:
    """What the trials of a task found; the reference arm is the first one.

    Args:
        task: which trials.
        digest: of the design that they belong to, made where they were simulated.
        outcome: (count, n_sizes, n_arms), points of change or percent.
        estimate: (count, n_sizes, n_arms - 1), each other arm minus the reference.
        p: the same shape, two-sided.
        randomised: (count, n_sizes, n_arms), patients.
        stayed: the same shape, of these those who were still in the trial at its end.
    """

    task: DesignTask
    digest: str
    outcome: FloatArray
    estimate: FloatArray
    p: FloatArray
    randomised: FloatArray
    stayed: FloatArray


def design_tasks(protocol: TrialProtocol, *, trials: int) -> tuple[DesignTask, ...]:
    """The work of a design, in order.

    Args:
        protocol: with a design.
        trials: simulated for each kind of masking and each basis.

    >>> from afterglow.protocol import parse_protocol
    >>> plan = parse_protocol('''
    ... {drug: esketamine, route: intranasal, dose: 84 mg, days: [0, 3], control: placebo_spray, arm: both,
    ...  population: {scale: MADRS, baseline_mean: 35, baseline_sd: 5}, observe: {times: [7 d]}, design: {sizes: [50]}}
    ... ''')
    >>> tasks = design_tasks(plan, trials=30)
    >>> len(tasks), tasks[1].count
    (12, 10)
    """
    maskings = list(Masking)
    if require_design(protocol).arms:  # given openly: there is no control that could find out
        maskings.remove(Masking.UNMASKED)
    if protocol.control is Control.MASKED:
        maskings.remove(Masking.MASKED)
    return tuple(
        DesignTask(masking=masking, basis=basis, first=first, count=min(CHUNK_TRIALS, trials - first))
        for masking in maskings
        for basis in Basis
        for first in range(0, trials, CHUNK_TRIALS)
    )


def design_digest(protocol: TrialProtocol, *, seed: int) -> str:
    """What a simulated trial depends on: protocol, seed, this version, and the population as it is here.

    >>> from afterglow.protocol import parse_protocol
    >>> plan = parse_protocol("{drug: esketamine, route: intranasal, dose: 84 mg, days: [0]}")
    >>> design_digest(plan, seed=0) == design_digest(plan, seed=1)
    False
    """
    told = (version("afterglow"), write_protocol(protocol), seed, CHUNK_TRIALS, _fingerprint(protocol.condition))
    return hashlib.sha256(repr(told).encode()).hexdigest()


@lru_cache(maxsize=8)
def _fingerprint(condition: Condition) -> str:
    """Of what the loaded population makes of a few deviates, whatever file it came from."""
    population = load_population(condition)
    numbers = np.random.default_rng(0)
    persons = numbers.standard_normal((4, population.person_dimensions))
    doubts = numbers.standard_normal((4, population.dimensions - population.person_dimensions))
    arm = Circumstances(belief=Belief.OPEN, people_per_arm=30)
    patients = build_patients(population, arm, persons=persons, doubts=doubts)
    parts = (patients.chain, patients.readout, patients.mood_sd, patients.error_clinician, patients.weight_kg)
    return hashlib.sha256(repr((population.version, parts)).encode()).hexdigest()


def simulate_trials(protocol: TrialProtocol, task: DesignTask, *, seed: int) -> DesignChunk:
    """Run the trials of a task.

    Args:
        protocol: with population, observation and design.
        task: which trials.
        seed: same seed, same trials, on whatever machine and in whatever order.

    Raises: MissingValue for a protocol that lacks one of them.

    >>> from afterglow.protocol import parse_protocol
    >>> plan = parse_protocol('''
    ... {drug: esketamine, route: intranasal, dose: 84 mg, days: [0, 3], control: placebo_spray, arm: both,
    ...  population: {scale: MADRS, baseline_mean: 35, baseline_sd: 5}, observe: {times: [7 d]},
    ...  design: {sizes: [20, 40]}}
    ... ''')
    >>> task = DesignTask(masking=Masking.PLANNED, basis=Basis.ASSURANCE, first=0, count=3)
    >>> simulate_trials(plan, task, seed=0).estimate.shape
    (3, 2, 1)
    """
    planned, digest = require_design(protocol), design_digest(protocol, seed=seed)
    plans = [replace(protocol, design=replace(planned, sizes=(size,))) for size in planned.sizes]
    found = zip(*(_one_size(plan, task, seed=seed) for plan in plans), strict=True)
    outcome, estimate, p, randomised, stayed = (np.concatenate(one, axis=1) for one in found)
    return DesignChunk(
        task=task, digest=digest, outcome=outcome, estimate=estimate, p=p, randomised=randomised, stayed=stayed
    )


def _one_size(protocol: TrialProtocol, task: DesignTask, *, seed: int) -> tuple[FloatArray, ...]:
    """Outcome, estimate, p, randomised and stayed of trials of one size; shapes as in `DesignChunk`."""
    asked, population = _Asked.of_plan(protocol), load_population(protocol.condition)
    numbers = [np.random.default_rng([seed, list(Basis).index(task.basis), task.first + i]) for i in range(task.count)]
    doubts = [_doubts(one, population, task.basis) for one in numbers]
    arms = []
    for plan in planned_arms(protocol, task.masking):
        persons = [one.standard_normal((asked.most, population.person_dimensions)) for one in numbers]
        patients = build_patients(
            population,
            plan.circumstances,
            persons=np.concatenate(persons),
            doubts=np.repeat(doubts, asked.most, axis=0),
        )
        table = treated_table(population, plan.regimen, asked.times_h, sessions_h=plan.sessions_h)
        chunk = treat(plan, patients, table, execution=Execution.COMPILED)
        arms.append(_follow(asked, plan, chunk, numbers))
    outcome, estimate, p = _TESTS[asked.endpoint](asked, arms)
    at_sizes = [
        [np.cumsum(who, axis=1)[:, asked.last] for who in (a.randomised, a.randomised & a.stayed)] for a in arms
    ]
    randomised, stayed = (np.stack([one[i] for one in at_sizes], axis=2).astype(np.float64) for i in (0, 1))
    return outcome, estimate, p, randomised, stayed


def arm_names(protocol: TrialProtocol) -> tuple[str, ...]:
    """The arms of a design, the reference first.

    >>> from afterglow.protocol import parse_protocol
    >>> arm_names(parse_protocol('''
    ... {drug: esketamine, route: intranasal, dose: 84 mg, days: [0, 3], control: placebo_spray, arm: both,
    ...  population: {scale: MADRS, baseline_mean: 35, baseline_sd: 5}, observe: {times: [7 d]}, design: {sizes: [50]}}
    ... '''))
    ('control', 'active')
    """
    planned = require_design(protocol)
    return tuple(arm.name for arm in planned.arms) or (str(Arm.CONTROL), str(Arm.ACTIVE))


@dataclass(frozen=True, slots=True, kw_only=True)
class _Asked:
    """What is looked at, on one time axis.

    Args:
        times_h: every time that patients are seen at.
        end: index of the last asked time.
        judged: index of the time that decides who is randomised; -1 where everybody is at the start.
        visits: indices of the visits that look for relapse.
        leaving: indices of the visits after which patients may leave.
        last: for each size, position of its last patient.
        protocol, observe, planned: what they come from.
    """

    times_h: FloatArray
    end: int
    judged: int
    visits: tuple[int, ...]
    leaving: tuple[int, ...]
    last: tuple[int, ...]
    protocol: TrialProtocol
    observe: ObservationPlan
    planned: TrialDesign

    @classmethod
    def of_plan(cls, protocol: TrialProtocol) -> _Asked:
        planned, observe = require_design(protocol), require_observation(protocol)
        relapse = observe.relapse if planned.compared_on is Endpoint.RELAPSE else None
        visits_h = (relapse.visits_h or relapse.at_h) if relapse else ()
        end_h = relapse.at_h[-1] if relapse else observe.times_h[-1]
        visits_h = tuple(visit for visit in visits_h if visit <= end_h)
        judged_h = (protocol.relapse_judged_h,) if relapse else ()
        leaving_h: tuple[float, ...] = ()
        if protocol.dropout:
            leaving_h = protocol.dropout.visits_h or tuple({*observe.times_h, *visits_h})
        times = sorted({end_h, *judged_h, *visits_h, *(time for time in leaving_h if time < end_h)})
        place = {time: i for i, time in enumerate(times)}
        return cls(
            times_h=np.array(times),
            end=place[end_h],
            judged=place[judged_h[0]] if judged_h else -1,
            visits=tuple(place[visit] for visit in visits_h),
            leaving=tuple(place[time] for time in leaving_h if time < end_h),
            last=tuple(size - 1 for size in planned.sizes),
            protocol=protocol,
            observe=observe,
            planned=planned,
        )

    @property
    def most(self) -> int:
        """Patients of an arm in the largest trial."""
        return self.planned.sizes[-1]

    @property
    def endpoint(self) -> Endpoint:
        return self.planned.compared_on


@dataclass(frozen=True, slots=True, kw_only=True)
class _Followed:
    """One arm of every trial, patient by patient; shape (count, most) each, visits last.

    Args:
        baseline, end: written scores.
        randomised: whether the arm counts him.
        stayed: whether he is there at the end.
        relapsed_at: number of the visit that dates his relapse; the number of visits where there is none.
        seen: (count, most, n_visits), whether he is there.
    """

    baseline: FloatArray
    end: FloatArray
    randomised: BoolArray
    stayed: BoolArray
    relapsed_at: Places
    seen: BoolArray


def planned_arms(protocol: TrialProtocol, masking: Masking) -> list[ArmPlan]:
    """What each arm of a design is given, the reference first."""
    planned = require_design(protocol)
    people = require_population(_sized(protocol))
    active = arm_plan(protocol, people, Arm.ACTIVE)
    if not planned.arms:
        plans = [arm_plan(protocol, people, Arm.CONTROL), active]
        beliefs = {
            Masking.PLANNED: [plan.circumstances.belief for plan in plans],
            Masking.MASKED: [Belief.MASKED, Belief.MASKED],
            Masking.UNMASKED: [Belief.SALINE, Belief.KETAMINE],
        }[masking]
        return [
            replace(plan, circumstances=replace(plan.circumstances, belief=believed))
            for plan, believed in zip(plans, beliefs, strict=True)
        ]
    asked, session = _Asked.of_plan(protocol), protocol.regimen().administrations[0]
    from_h, until_h = float(asked.times_h[asked.judged]), float(asked.times_h[asked.end])
    later = [arm.sessions_h(from_h, until_h) for arm in planned.arms]
    everyone = tuple(sorted({start for starts in later for start in starts}))
    out = []
    for starts in later:
        regimen = Regimen((*protocol.regimen().administrations, *repeat(session, starts).administrations))
        masked = masking is Masking.MASKED
        circumstances = replace(active.circumstances, belief=Belief.MASKED) if masked else active.circumstances
        sessions_h = (*protocol.session_h, *(everyone if masked else starts))
        out.append(replace(active, regimen=regimen, sessions_h=sessions_h, circumstances=circumstances))
    return out


def _sized(protocol: TrialProtocol) -> TrialProtocol:
    """The protocol with the number of patients that the design asks for."""
    people, sizes = protocol.population, require_design(protocol).sizes
    return protocol if people is None else replace(protocol, population=replace(people, n=sizes[-1]))


def _doubts(numbers: np.random.Generator, population: Population, basis: Basis) -> FloatArray:
    """Deviates of one draw: zero for the typical values."""
    drawn = numbers.standard_normal(population.dimensions - population.person_dimensions)
    return np.zeros_like(drawn) if basis is Basis.POWER else drawn


def _follow(asked: _Asked, plan: ArmPlan, chunk: CohortChunk, numbers: Sequence[np.random.Generator]) -> _Followed:
    """Written scores, leaving and relapse of one arm."""
    shape = (len(numbers), asked.most, len(asked.times_h))
    left, baseline = chunk.relief.left, chunk.baseline[:, None]
    per_patient = (len(left), len(asked.times_h))
    moods = np.stack([one.standard_normal(shape[1:]) for one in numbers]).reshape(per_patient)
    errors = np.stack([one.standard_normal(shape[1:]) for one in numbers]).reshape(per_patient)
    chances = np.stack([one.random(shape[1:]) for one in numbers]).reshape(per_patient)
    swing = np.sqrt(np.maximum(left, 0.0)) * chunk.mood.paths(asked.times_h, moods)
    following = np.broadcast_to(np.asarray(chunk.link.following), len(left))[:, None]
    error_sd = np.broadcast_to(np.asarray(chunk.link.error_sd), len(left))[:, None]
    latent = chunk.link.expected(chunk.baseline, left) + (baseline - plan.lowest) * following * swing
    written = latent + error_sd * errors
    scores = np.clip(np.round(written) if plan.whole_numbers else written, plan.lowest, plan.highest)
    there = _there(asked, left + swing, chances)
    randomised: BoolArray = np.ones(len(left), dtype=np.bool_)
    relapsed_at: Places = np.zeros(len(left), dtype=np.int64)
    if asked.judged >= 0:
        limit = _risk_limit(asked, plan, baseline)
        randomised = (scores[:, [asked.judged]] <= limit)[:, 0] & there[:, asked.judged]
        relapsed_at = _relapse(asked, plan, scores, there, baseline, limit)
    return _Followed(
        baseline=chunk.baseline.reshape(shape[:2]),
        end=scores[:, asked.end].reshape(shape[:2]),
        randomised=randomised.reshape(shape[:2]),
        stayed=there[:, asked.end].reshape(shape[:2]),
        relapsed_at=relapsed_at.reshape(shape[:2]),
        seen=there[:, list(asked.visits)].reshape(*shape[:2], len(asked.visits)),
    )


def _there(asked: _Asked, left: FloatArray, chances: FloatArray) -> BoolArray:
    """Whether each patient is still in the trial at each time."""
    goes = np.zeros(left.shape, dtype=np.bool_)
    if asked.protocol.dropout and asked.leaving:
        at = list(asked.leaving)
        goes[:, at] = chances[:, at] < asked.protocol.dropout.leaving(left[:, at])
    there: BoolArray = np.cumsum(goes, axis=1) == goes  # nobody leaves twice before he is gone
    return there


def _risk_limit(asked: _Asked, plan: ArmPlan, baseline: FloatArray) -> FloatArray:
    """Highest written score of a responder or remitter, (n, 1)."""
    relapse = asked.observe.relapse
    if relapse is not None and relapse.of is AtRisk.REMITTERS:
        return np.full_like(baseline, asked.observe.remission_at_most or 0.0)
    return _improved(plan, baseline, asked.observe.response_fraction or 0.0)


def _improved(plan: ArmPlan, baseline: FloatArray, fraction: float) -> FloatArray:
    """Highest written score that shows an improvement by a fraction."""
    return plan.lowest + (baseline - plan.lowest) * (1.0 - fraction) + _TINY


def _relapse(
    asked: _Asked, plan: ArmPlan, scores: FloatArray, there: BoolArray, baseline: FloatArray, limit: FloatArray
) -> Places:
    """Number of the visit that begins the first row of visits which show relapse; a row needs all its visits."""
    question, visits = asked.observe.relapse, list(asked.visits)
    if question is None:  # pragma: no cover - a relapse endpoint has its question
        return np.zeros(len(scores), dtype=np.int64)
    if question.score_at_least is not None:
        shows: BoolArray = scores[:, visits] >= question.score_at_least
    elif question.improvement_below is not None:
        shows = scores[:, visits] > _improved(plan, baseline, question.improvement_below)
    else:
        shows = scores[:, visits] > limit
    shows &= there[:, visits]
    begins = np.zeros((len(scores), len(visits) + 1), dtype=np.bool_)
    begins[:, -1] = True  # no relapse: the number of visits
    starts = len(visits) + 1 - question.consecutive
    if starts > 0:
        begins[:, :starts] = np.all([shows[:, k : k + starts] for k in range(question.consecutive)], axis=0)
    first: Places = np.argmax(begins, axis=1)
    return first


def _mean_test(asked: _Asked, arms: Sequence[_Followed]) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Welch's t test of the change from baseline."""
    n, mean, error2 = [], [], []
    for arm in arms:
        counted = _counted(asked, arm)
        change = np.where(counted, arm.end - arm.baseline, 0.0)
        count, total, squares = (np.cumsum(x, axis=1)[:, asked.last] for x in (counted, change, change**2))
        count = np.maximum(count, 2.0)
        variance = np.maximum(squares - total**2 / count, _TINY) / (count - 1.0)
        n.append(count)
        mean.append(total / count)
        error2.append(variance / count)
    outcome = np.stack(mean, axis=2)
    out_p = []
    for k in range(1, len(arms)):
        both = error2[0] + error2[k]
        freedom = both**2 / (error2[0] ** 2 / (n[0] - 1.0) + error2[k] ** 2 / (n[k] - 1.0))
        out_p.append(2.0 * stdtr(freedom, -np.abs(mean[k] - mean[0]) / np.sqrt(both)))
    return outcome, outcome[:, :, 1:] - outcome[:, :, :1], np.stack(out_p, axis=2)


def _proportion_test(asked: _Asked, arms: Sequence[_Followed]) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Two proportions with a pooled standard error."""
    n, events = [], []
    for arm in arms:
        counted = _counted(asked, arm)
        if asked.endpoint is Endpoint.REMISSION:
            reached = arm.end <= (asked.observe.remission_at_most or 0.0)
        else:
            lowest = require_population(_sized(asked.protocol)).scale.lowest
            fraction = asked.observe.response_fraction or 0.0
            reached = arm.end <= lowest + (arm.baseline - lowest) * (1.0 - fraction) + _TINY
        n.append(np.maximum(np.cumsum(counted, axis=1)[:, asked.last], 1.0))
        events.append(np.cumsum(counted & reached, axis=1)[:, asked.last])
    share = np.stack([e / m for e, m in zip(events, n, strict=True)], axis=2)
    out_p = []
    for k in range(1, len(arms)):
        pooled = (events[0] + events[k]) / (n[0] + n[k])
        error = np.sqrt(np.maximum(pooled * (1.0 - pooled) * (1.0 / n[0] + 1.0 / n[k]), _TINY))
        out_p.append(2.0 * ndtr(-np.abs(share[:, :, k] - share[:, :, 0]) / error))
    return 100.0 * share, 100.0 * (share[:, :, 1:] - share[:, :, :1]), np.stack(out_p, axis=2)


def _relapse_test(asked: _Asked, arms: Sequence[_Followed]) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Relapse by Kaplan and Meier; log-rank test over visits. Who leaves is followed until then."""
    at_risk, events = [], []
    order = np.arange(len(asked.visits))
    for arm in arms:
        here = arm.randomised[:, :, None] & arm.seen & (arm.relapsed_at[:, :, None] >= order)
        now = here & (arm.relapsed_at[:, :, None] == order)
        at_risk.append(np.cumsum(here, axis=1)[:, asked.last].astype(np.float64))  # (count, n_sizes, n_visits)
        events.append(np.cumsum(now, axis=1)[:, asked.last].astype(np.float64))
    well = [np.prod(1.0 - d / np.maximum(n, 1.0), axis=2) for d, n in zip(events, at_risk, strict=True)]
    outcome = 100.0 * (1.0 - np.stack(well, axis=2))
    out_p = [_log_rank(at_risk[0], events[0], at_risk[k], events[k]) for k in range(1, len(arms))]
    return outcome, outcome[:, :, 1:] - outcome[:, :, :1], np.stack(out_p, axis=2)


def _log_rank(n0: FloatArray, d0: FloatArray, n1: FloatArray, d1: FloatArray) -> FloatArray:
    """Two-sided p of the log-rank test; visits on the last axis."""
    n, d = n0 + n1, d0 + d1
    share = n1 / np.maximum(n, 1.0)
    variance = d * share * (1.0 - share) * (n - d) / np.maximum(n - 1.0, 1.0)
    z = np.sum(d1 - d * share, axis=-1) / np.sqrt(np.maximum(np.sum(variance, axis=-1), _TINY))
    p: FloatArray = 2.0 * ndtr(-np.abs(z))
    return p


def _counted(asked: _Asked, arm: _Followed) -> BoolArray:
    dropout = asked.protocol.dropout
    return arm.stayed if dropout and dropout.analysis is Analysis.COMPLETERS else arm.randomised


_TESTS = {
    Endpoint.CHANGE: _mean_test,
    Endpoint.RESPONSE: _proportion_test,
    Endpoint.REMISSION: _proportion_test,
    Endpoint.RELAPSE: _relapse_test,
}
