"""Forecasts of simulated patients beside what happens to them next: coverage, ranks and CRPS.

The patients are drawn from the population itself, with sessions and scores as a clinic would take them, so everything
but the forecast is right by construction: a wrong likelihood, lost doubt or a wrong prediction shows.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime

import numpy as np

from afterglow.forecast.answer import ForecastInput, Method, PatientScore
from afterglow.forecast.candidates import candidates_from, case_of, relief_of
from afterglow.forecast.outlook import Outlook, ScoreDistribution
from afterglow.forecast.update import infer
from afterglow.quantities import HOURS_PER_DAY
from afterglow.therapy.kinetics import FloatArray
from afterglow.therapy.regimen import Regimen
from afterglow.therapy.relief import MoodFluctuation
from afterglow.therapy.setting import Condition

_ORIGIN_AT = datetime(2026, 1, 5, 9, tzinfo=UTC)  # any Monday; only times since it matter
_BASELINE_H = -1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Design:
    """What every simulated patient of a batch goes through.

    Args:
        scale: a severity scale with whole numbers.
        baselines: lowest and highest score before treatment; uniform between them.
        sessions: given from time 0 on.
        score_days: days of the scores after the first session; the forecast starts from the last one.
        lead_days: whole days after it, on which the next score is predicted.
    """

    scale: str
    baselines: tuple[int, int]
    sessions: Regimen
    score_days: tuple[float, ...]
    lead_days: tuple[int, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class SimulatedPatient:
    """A patient with the scores that a forecast may know, and those that came later, one for each lead day."""

    given: ForecastInput
    later: tuple[float, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Proof:
    """Forecasts of n simulated patients against what came; arrays are (n, n_leads).

    Args:
        design: what they went through.
        inside50, inside90: whether the written score lay in the central band.
        ranks: where it lay in the predicted distribution, uniform in [0, 1] where that is right (ties broken at
            random).
        crps: continuous ranked probability score of the forecast, points.
        crps_population: of the forecast that knows the score before treatment and the sessions alone.
        crps_last: of the last score carried forward.
        methods: how the scores of each patient were used.
    """

    design: Design
    inside50: FloatArray
    inside90: FloatArray
    ranks: FloatArray
    crps: FloatArray
    crps_population: FloatArray
    crps_last: FloatArray
    methods: tuple[Method, ...]


def simulate_patients(design: Design, *, count: int, seed: int) -> tuple[SimulatedPatient, ...]:
    """Patients drawn from the population, treated and measured by a design.

    Args:
        design: what they go through.
        count: how many.
        seed: same seed, same patients; unrelated to the seed of forecasts.

    >>> from afterglow.quantities import Dose, DrugForm
    >>> from afterglow.therapy.regimen import DoseAdministration, Route
    >>> spray = DoseAdministration(at_h=0.0, drug=DrugForm.ESKETAMINE, route=Route.INTRANASAL, dose=Dose(mg=84.0))
    >>> design = Design(
    ...     scale="MADRS", baselines=(30, 30), sessions=Regimen((spray,)), score_days=(1.0,), lead_days=(7,)
    ... )
    >>> (one,) = simulate_patients(design, count=1, seed=0)
    >>> [score.points for score in one.given.scores][0], len(one.later)
    (30.0, 1)
    """
    rng = np.random.default_rng([seed, count])
    case = case_of(_input(design, [float(design.baselines[0])]))
    people = candidates_from(case, rng.standard_normal((count, case.population.dimensions + case.uncertain)))
    times = HOURS_PER_DAY * np.array(_days(design))
    left = relief_of(case, people, design.sessions, times).left
    mood = MoodFluctuation(sd=people.patients.mood_sd, correlation_h=case.correlation_h)
    x = mood.paths(times - _BASELINE_H, rng.standard_normal(left.shape))
    scale, level = case.scales[-1], rng.integers(design.baselines[0], design.baselines[1] + 1, count)
    following = scale.following(people.patients)[:, None]
    true = (level - scale.lowest)[:, None] * (1.0 - following * (1.0 - left) + following * np.sqrt(left) * x)
    error_sd = np.sqrt(scale.noise_variance(people.patients))[:, None]
    written = np.round(scale.lowest + true + error_sd * rng.standard_normal(left.shape))
    scores = np.clip(written, scale.lowest, scale.highest) + 0.0  # no score is written as -0
    known = len(design.score_days)
    return tuple(
        SimulatedPatient(
            given=_input(design, [float(before), *own[:known].tolist()]), later=tuple(own[known:].tolist())
        )
        for before, own in zip(level, scores, strict=True)
    )


def prove(patients: Sequence[SimulatedPatient], design: Design, *, seed: int) -> Proof:
    """Forecast simulated patients and compare with what came.

    Args:
        patients: of `simulate_patients`.
        design: what they went through.
        seed: breaks ties of ranks.
    """
    rng = np.random.default_rng([seed, len(patients)])
    population: dict[float, ScoreDistribution] = {}
    rows, methods = [], []
    for patient in patients:
        before = patient.given.scores[0].points or 0.0
        if before not in population:
            population[before], _ = _predicted(replace(patient.given, scores=patient.given.scores[:1]), design)
        found, method = _predicted(patient.given, design)
        rows.append([_compared(found, population[before], patient, rng, lead) for lead in enumerate(design.lead_days)])
        methods.append(method)
    inside50, inside90, ranks, crps, crps_population, crps_last = np.moveaxis(np.array(rows, dtype=np.float64), 2, 0)
    return Proof(
        design=design,
        inside50=inside50,
        inside90=inside90,
        ranks=ranks,
        crps=crps,
        crps_population=crps_population,
        crps_last=crps_last,
        methods=tuple(methods),
    )


def _days(design: Design) -> tuple[float, ...]:
    return (*design.score_days, *(design.score_days[-1] + lead for lead in design.lead_days))


def _input(design: Design, points: list[float]) -> ForecastInput:
    times = [_BASELINE_H, *(HOURS_PER_DAY * day for day in design.score_days)]
    return ForecastInput(
        origin_at=_ORIGIN_AT,
        now_h=times[-1],
        condition=Condition.DEPRESSION,
        scores=tuple(
            PatientScore(at_h=at, scale=design.scale, points=value)
            for at, value in zip(times[: len(points)], points, strict=True)
        ),
        given=design.sessions,
    )


def _predicted(given: ForecastInput, design: Design) -> tuple[ScoreDistribution, Method]:
    case = case_of(given)
    posterior = infer(case)
    outlook = Outlook(case, posterior, horizon_days=max(design.lead_days))
    left = outlook.relief(outlook.everyone, case.sessions, outlook.days_h).left
    return outlook.scores(outlook.everyone, left), posterior.method


def _compared(
    found: ScoreDistribution,
    population: ScoreDistribution,
    patient: SimulatedPatient,
    rng: np.random.Generator,
    lead: tuple[int, int],
) -> list[float]:
    place, day = lead
    score = patient.later[place]
    levels = found.quantiles((0.25, 0.75, 0.05, 0.95))[:, day]
    below = float(found.at_most(score - 1.0)[day]) if score > found.scale.lowest else 0.0
    up_to = float(found.at_most(score)[day]) if score < found.scale.highest else 1.0
    last = patient.given.scores[-1].points or 0.0
    return [
        float(levels[0] <= score <= levels[1]),
        float(levels[2] <= score <= levels[3]),
        below + float(rng.random()) * (up_to - below),
        _crps(found, day, score),
        _crps(population, day, score),
        abs(score - last),
    ]


def _crps(found: ScoreDistribution, day: int, score: float) -> float:
    """Of a distribution on whole numbers: the squared distance of distribution functions, summed over points."""
    points = np.arange(found.scale.lowest, found.scale.highest)
    predicted = np.array([found.at_most(float(point))[day] for point in points])
    return float(np.sum((predicted - (points >= score)) ** 2))
