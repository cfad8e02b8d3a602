"""What simulated arms report: each arm run once for all its figures, per draw of the population."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from afterglow.protocol import AtRisk
from afterglow.therapy.kinetics import FloatArray
from afterglow.therapy.population import Population, build_patients, normal_points
from afterglow.therapy.relief import Execution
from afterglow.therapy.treated import treated_table
from afterglow.trials.arms import ArmDesign, ReadAt, asked_of, scale_rule
from afterglow.trials.cohort import ArmPlan, simulate_cohort, treat
from afterglow.trials.moments import Asked, Moments, Statistic

_TINY = 1e-9


@dataclass(frozen=True, slots=True, kw_only=True)
class ArmRun:
    """One arm on one scale, with everything that is read off it.

    Args:
        design: the arm.
        scale: of its scores.
        reads: what is read off; relapse of one kind of patients at most.
    """

    design: ArmDesign
    scale: str
    reads: tuple[ReadAt, ...]

    @property
    def plan(self) -> ArmPlan:
        """As cohorts are simulated."""
        return self.design.plan(scale_rule(self.scale, self.design), self.scale)

    @property
    def asked(self) -> Asked:
        """As moments are gathered."""
        return asked_of(self.design, self.scale, self.reads)


@dataclass(frozen=True, slots=True, kw_only=True)
class Reported:
    """One number of an arm in each draw of the population, shape (n_draws,) each.

    Args:
        mean: points or a chance from 0 to 1.
        variance: of one patient's contribution; of a chance it is p (1 - p).
        at_risk: chance that a patient counts (relapse alone; else 1).
    """

    mean: FloatArray
    variance: FloatArray
    at_risk: FloatArray


def arm_runs(wanted: Iterable[tuple[ArmDesign, str, ReadAt]]) -> tuple[ArmRun, ...]:
    """The arms to run so that everything wanted can be read off, in the order first wanted.

    Relapse of responders and of remitters takes a run each.

    >>> from afterglow.trials.arms import scored_figures
    >>> salloum = [f for f in scored_figures() if f.trial.key == "salloum2019"]
    >>> len(arm_runs((f.arm, f.scale, f.read_at) for f in salloum))
    7
    """
    found: dict[tuple[tuple[str, str], str, AtRisk | None], tuple[ArmDesign, list[ReadAt]]] = {}
    for design, scale, read in wanted:
        reads = found.setdefault((design.key, scale, read.of), (design, []))[1]
        if read not in reads:
            reads.append(read)
    return tuple(
        ArmRun(design=design, scale=scale, reads=tuple(reads)) for (_, scale, _), (design, reads) in found.items()
    )


def run_draws(
    population: Population, run: ArmRun, *, seed: int, n_draws: int, patients_per_draw: int
) -> dict[ReadAt, Reported]:
    """What an arm reports in each draw of the population; every draw has its own patients."""
    gathered = Moments(run.asked, n_draws)
    chunks = simulate_cohort(
        population, run.plan, run.asked.times_h, seed=seed, n_draws=n_draws, patients_per_draw=patients_per_draw
    )
    for chunk in chunks:
        gathered.add(chunk, run.plan, patients_per_draw)
    return _read(run, gathered)


def run_doubts(population: Population, run: ArmRun, doubts: FloatArray, *, persons: int) -> dict[ReadAt, Reported]:
    """What an arm reports for given deviates of a draw, with the same people under each: smooth in the deviates.

    Args:
        population: whose draws the deviates are.
        run: the arm.
        doubts: (n_draws, population.dimensions - population.person_dimensions).
        persons: virtual patients.
    """
    gathered, plan = Moments(run.asked, len(doubts)), run.plan
    people = normal_points(0, skip=0, dimensions=population.person_dimensions, first=0, count=persons)
    table = treated_table(population, plan.regimen, run.asked.times_h, sessions_h=plan.sessions_h)
    step = max(1, 32_768 // persons)
    for first in range(0, len(doubts), step):
        some = doubts[first : first + step]
        patients = build_patients(
            population,
            plan.circumstances,
            persons=np.tile(people, (len(some), 1)),
            doubts=np.repeat(some, persons, axis=0),
        )
        chunk = treat(plan, patients, table, execution=Execution.COMPILED, repeats=len(some))
        gathered.add(chunk, plan, persons)
    return _read(run, gathered)


def sampled_correlation(population: Population, run: ArmRun, *, persons: int = 4096) -> FloatArray:
    """How the statistics of one arm go together because they come from the same patients, (n_reads, n_reads).

    From simulated scores of the typical draw; statistics of relapse are taken to go together by 0.8, and with nothing
    else, because who is at risk differs between them.
    """
    plan, asked = run.plan, run.asked
    rng = np.random.default_rng(0)
    doubts = np.zeros((persons, population.dimensions - population.person_dimensions))
    people = normal_points(0, skip=0, dimensions=population.person_dimensions, first=0, count=persons)
    patients = build_patients(population, plan.circumstances, persons=people, doubts=doubts)
    table = treated_table(population, plan.regimen, asked.times_h, sessions_h=plan.sessions_h)
    chunk = treat(plan, patients, table, execution=Execution.REFERENCE)
    mood = chunk.mood.paths(asked.times_h, rng.standard_normal((persons, len(asked.times_h))))
    left, link, start = chunk.relief.left, chunk.link, chunk.baseline[:, None]
    following, error = (
        np.broadcast_to(np.asarray(v), chunk.baseline.shape)[:, None] for v in (link.following, link.error_sd)
    )
    score = (
        link.expected(chunk.baseline, left) + (start - link.lowest) * following * np.sqrt(np.maximum(left, 0)) * mood
    )
    score = np.clip(np.round(score + error * rng.standard_normal(score.shape)), plan.lowest, plan.highest)
    rows = np.array([_of_patients(run, asked, read, score, chunk.baseline) for read in run.reads])
    rows = rows + 1e-3 * rng.standard_normal(rows.shape)  # so that a statistic that nobody has keeps a correlation
    relapse = np.array([read.of is not None for read in run.reads])
    found: FloatArray = np.atleast_2d(np.corrcoef(rows)) * ~np.logical_or.outer(relapse, relapse)
    found = found + 0.8 * np.logical_and.outer(relapse, relapse)
    np.fill_diagonal(found, 1.0)
    return found


def _of_patients(run: ArmRun, asked: Asked, read: ReadAt, score: FloatArray, baseline: FloatArray) -> FloatArray:
    if read.of is not None:
        return np.zeros(len(score))
    at = score[:, int(np.argmin(np.abs(asked.times_h - read.time_h)))]
    if read.statistic is Statistic.RESPONSE_PCT:
        lowest = run.plan.lowest
        fraction = asked.observe.response_fraction or 0.0
        return (at <= lowest + (baseline - lowest) * (1.0 - fraction)).astype(np.float64)
    if read.statistic is Statistic.REMISSION_PCT:
        return (at <= (asked.observe.remission_at_most or 0.0)).astype(np.float64)
    return at - baseline if read.statistic is Statistic.MEAN_CHANGE else at


def _read(run: ArmRun, gathered: Moments) -> dict[ReadAt, Reported]:
    return {read: _one(run.asked, gathered, read) for read in run.reads}


def _one(asked: Asked, of: Moments, read: ReadAt) -> Reported:
    everybody = np.ones(len(of.at_risk))
    if read.statistic is Statistic.RELAPSE_PCT:
        relapse = asked.relapse
        at = relapse.at_h if relapse else ()
        chance = of.relapsed[:, int(np.argmin(np.abs(np.array(at) - read.time_h)))]
        return Reported(mean=chance, variance=chance * (1.0 - chance), at_risk=of.at_risk)
    i = int(np.argmin(np.abs(asked.times_h - read.time_h)))
    if read.statistic in (Statistic.RESPONSE_PCT, Statistic.REMISSION_PCT):
        chance = (of.response if read.statistic is Statistic.RESPONSE_PCT else of.remission)[:, i]
        return Reported(mean=chance, variance=chance * (1.0 - chance), at_risk=everybody)
    if read.statistic is Statistic.MEAN_CHANGE:
        return Reported(mean=of.change[:, i], variance=of.change_var[:, i], at_risk=everybody)
    return Reported(mean=of.score[:, i], variance=of.score_var[:, i], at_risk=everybody)
