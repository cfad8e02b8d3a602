"""Who a patient might be: virtual patients with his weight, under his sessions, with a level on each of his scales.

Everything about a candidate is a function of standard-normal deviates: those of a virtual patient, then one for each
uncertain level before treatment. The prior's candidates and their relief are kept for the next forecast of the same
kind, because they cost more than weighting them.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np

from afterglow.forecast.answer import ForecastInput
from afterglow.forecast.linking import LinkedScale, evidence, link_scales
from afterglow.quantities import DrugForm
from afterglow.therapy.course import IntArray, Quadrature
from afterglow.therapy.kinetics import ExposureModes, FloatArray
from afterglow.therapy.population import (
    AGE_THRESHOLD_YEARS,
    Belief,
    Circumstances,
    Population,
    VirtualPatients,
    build_patients,
    load_population,
    normal_points,
)
from afterglow.therapy.regimen import DoseAdministration, Regimen, Route
from afterglow.therapy.relief import Execution, Relief
from afterglow.therapy.setting import Condition, Enrolment
from afterglow.therapy.treated import simulate_treated, treated_drive, treated_table

N_PARTICLES = 20_480
_KEPT = 4  # priors and reliefs kept, up to 20 MB each and a little for every score
_QUADRATURE = Quadrature(nodes_per_fold=1.5, fresh_nodes=4.0, horizon_h=168.0)
"""Coarser than that of trials: within 3e-5 of the level before treatment, a thousandth of a point (ADR 0009)."""
_TIME_STEP_H = 1e-6  # scores closer than a few milliseconds are of one time


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One patient as the model sees him.

    Args:
        given: the input.
        population: of his condition.
        scales: of his scores, the last score's last.
    """

    given: ForecastInput
    population: Population
    scales: tuple[LinkedScale, ...]

    @property
    def sessions(self) -> Regimen:
        """Sessions given, then those planned."""
        return Regimen((*self.given.given.administrations, *self.given.planned.administrations))

    @property
    def correlation_h(self) -> float:
        """Time constant of mood."""
        return self.population.parameters["mood_correlation_h"].typical

    @property
    def uncertain(self) -> int:
        """How many levels before treatment are uncertain."""
        return sum(scale.level_sd > 0 for scale in self.scales)

    @property
    def score_times_h(self) -> tuple[float, ...]:
        """Times of the scores that are evidence, each once, h since the origin."""
        return tuple(sorted({score_time_h(score.at_h) for score, _ in evidence(self.given, self.scales)}))


def case_of(given: ForecastInput) -> Case:
    """The patient of an input.

    Raises: InputError or NoModel for scores that cannot be linked to the model.
    """
    return Case(given=given, population=load_population(given.condition), scales=link_scales(given))


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidates:
    """Who this patient might be.

    Args:
        patients: n virtual patients.
        levels: (n_scales, n), before treatment, above each scale's lowest score.
        drive: what their sessions, given and planned, drive relief with; None where there are none.
    """

    patients: VirtualPatients
    levels: FloatArray
    drive: ExposureModes | None

    def take(self, chosen: IntArray) -> Candidates:
        """Some of them, by position."""
        drive = self.drive
        if drive is not None:
            drive = replace(drive, rates_per_h=drive.rates_per_h[chosen], amplitude=drive.amplitude[chosen])
        return Candidates(patients=self.patients.take(chosen), levels=self.levels[:, chosen], drive=drive)


def circumstances_of(given: ForecastInput) -> Circumstances:
    """A clinic patient is not a trial arm: open treatment, no screening inflation, no trial care.

    Age counts only as over or under the threshold, and weight is put in later, so that few priors serve all patients.

    >>> from datetime import UTC, datetime
    >>> from afterglow.forecast.answer import PatientScore
    >>> before = PatientScore(at_h=0.0, scale="PHQ-9", points=21.0)
    >>> given = ForecastInput(origin_at=datetime(2026, 3, 2, tzinfo=UTC), now_h=0.0, condition=Condition.DEPRESSION,
    ...                       scores=(before,), given=Regimen(), age_years=71.0)
    >>> circumstances_of(given).age_mean_years
    65.0
    """
    sessions = (*given.given.administrations, *given.planned.administrations)
    old = given.age_years is not None and given.age_years >= AGE_THRESHOLD_YEARS
    return Circumstances(
        belief=Belief.OPEN,
        enrolment=Enrolment.CLINIC,
        nasal_esketamine=bool(sessions)
        and all((s.drug, s.route) == (DrugForm.ESKETAMINE, Route.INTRANASAL) for s in sessions),
        age_mean_years=AGE_THRESHOLD_YEARS if old else None,
    )


def candidates_from(case: Case, deviates: FloatArray) -> Candidates:
    """Candidates from all their deviates.

    Args:
        case: the patient.
        deviates: (n, population.dimensions + number of uncertain levels), standard normal a priori.

    >>> from datetime import UTC, datetime
    >>> from afterglow.quantities import Dose
    >>> spray = DoseAdministration(at_h=0.0, drug=DrugForm.ESKETAMINE, route=Route.INTRANASAL, dose=Dose(mg=56.0))
    >>> case = case_of(ForecastInput(origin_at=datetime(2026, 3, 2, tzinfo=UTC), now_h=0.0, scores=(),
    ...                              condition=Condition.DEPRESSION, given=Regimen((spray,))))
    >>> middle = candidates_from(case, np.zeros((1, case.population.dimensions + case.uncertain)))
    >>> middle.levels.tolist()  # of MADRS, which a forecast without any score is written on
    [[33.0]]
    """
    known = case.population.dimensions
    patients = _weighing(_patients_from(case, deviates[:, :known]), case.given.weight_kg)
    drive = treated_drive(patients, case.sessions) if case.sessions.administrations else None
    return Candidates(patients=patients, levels=_levels(case.scales, deviates[:, known:]), drive=drive)


def prior_candidates(case: Case) -> Candidates:
    """The candidates before any score, `N_PARTICLES` of them."""
    patients, drive = _driven(*_key(case))
    return Candidates(patients=patients, levels=_levels(case.scales, _more_deviates(*_more_key(case))), drive=drive)


def prior_deviates(case: Case) -> FloatArray:
    """What `prior_candidates` are made from."""
    deviates, _ = _prior(*_key(case)[:3])
    return np.concatenate([deviates, _more_deviates(*_more_key(case))], axis=1)


def prior_left(case: Case) -> FloatArray:
    """Symptoms left of `prior_candidates` at the case's score times, (N_PARTICLES, n_times)."""
    return _left(*_key(case), case.given.given, case.score_times_h)


def relief_of(case: Case, candidates: Candidates, regimen: Regimen, times_h: FloatArray) -> Relief:
    """Relief of candidates under sessions.

    Args:
        case: the patient.
        candidates: n of them.
        regimen: of the drugs and routes of the case; may be empty: no session, no relief.
        times_h: increasing, h since the origin.
    """
    drive = candidates.drive if regimen.administrations else None
    table = treated_table(case.population, regimen, times_h, drive=drive, quadrature=_QUADRATURE)
    return simulate_treated(candidates.patients, regimen, table, drive=drive, execution=Execution.COMPILED)


def score_time_h(at_h: float) -> float:
    """The time of a score on the grid of times that are told apart.

    >>> score_time_h(24.0000000001)
    24.0
    """
    return round(at_h / _TIME_STEP_H) * _TIME_STEP_H


_Key = tuple[Condition, Circumstances, int, float | None, Regimen]


def _key(case: Case) -> _Key:
    """What the prior depends on: one session of each drug and route stands for all."""
    kinds: dict[tuple[DrugForm, Route], DoseAdministration] = {}
    for session in case.sessions.administrations:
        kinds.setdefault((session.drug, session.route), session)
    one_of_each = Regimen(tuple(replace(session, at_h=float(i)) for i, session in enumerate(kinds.values())))
    given = case.given
    return given.condition, circumstances_of(given), given.seed, given.weight_kg, one_of_each


def _more_key(case: Case) -> tuple[int, int, int]:
    return case.given.seed, case.population.dimensions, case.uncertain


@lru_cache(maxsize=_KEPT)
def _prior(condition: Condition, circumstances: Circumstances, seed: int) -> tuple[FloatArray, VirtualPatients]:
    dimensions = load_population(condition).dimensions
    deviates = normal_points(seed, skip=0, dimensions=dimensions, first=0, count=N_PARTICLES)
    return deviates, _virtual_patients(condition, circumstances, deviates, seed)


@lru_cache(maxsize=_KEPT)
def _more_deviates(seed: int, skip: int, dimensions: int) -> FloatArray:
    return normal_points(seed, skip=skip, dimensions=dimensions, first=0, count=N_PARTICLES)


@lru_cache(maxsize=_KEPT)
def _driven(
    condition: Condition, circumstances: Circumstances, seed: int, weight_kg: float | None, one_of_each: Regimen
) -> tuple[VirtualPatients, ExposureModes | None]:
    patients = _weighing(_prior(condition, circumstances, seed)[1], weight_kg)
    return patients, treated_drive(patients, one_of_each) if one_of_each.administrations else None


@lru_cache(maxsize=_KEPT)
def _left(
    condition: Condition,
    circumstances: Circumstances,
    seed: int,
    weight_kg: float | None,
    one_of_each: Regimen,
    regimen: Regimen,
    times_h: tuple[float, ...],
) -> FloatArray:
    patients, drive = _driven(condition, circumstances, seed, weight_kg, one_of_each)
    drive = drive if regimen.administrations else None
    population = load_population(condition)
    table = treated_table(population, regimen, np.array(times_h), drive=drive, quadrature=_QUADRATURE)
    return simulate_treated(patients, regimen, table, drive=drive, execution=Execution.COMPILED).left


def _patients_from(case: Case, deviates: FloatArray) -> VirtualPatients:
    return _virtual_patients(case.given.condition, circumstances_of(case.given), deviates, case.given.seed)


def _virtual_patients(
    condition: Condition, circumstances: Circumstances, deviates: FloatArray, seed: int
) -> VirtualPatients:
    population = load_population(condition)
    split = population.person_dimensions
    return build_patients(population, circumstances, persons=deviates[:, :split], doubts=deviates[:, split:], seed=seed)


def _weighing(patients: VirtualPatients, weight_kg: float | None) -> VirtualPatients:
    """The same patients with a known weight."""
    if weight_kg is None:
        return patients
    known = np.full(len(patients), weight_kg)
    return replace(patients, weight_kg=known, pk=replace(patients.pk, weight_kg=known))


def _levels(scales: tuple[LinkedScale, ...], deviates: FloatArray) -> FloatArray:
    """Levels before treatment, (n_scales, n); the uncertain ones take a column of `deviates` each, in order."""
    columns, nothing = iter(deviates.T), np.zeros(len(deviates))
    return np.array([scale.levels(next(columns) if scale.level_sd > 0 else nothing) for scale in scales])
