"""Forecasts of simulated patients beside what happens to them next, in the world that the model assumes and in others.

Patients are drawn from the population itself, with sessions and scores as a clinic would take them. In the world as
modelled everything but the forecast is right by construction, so a wrong likelihood, lost doubt or a wrong prediction
shows. The other worlds break an assumption that the forecast goes on making.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from enum import StrEnum

import numpy as np

from afterglow.forecast.answer import ForecastInput, Method, PatientScore
from afterglow.forecast.candidates import Candidates, candidates_from, case_of, relief_of
from afterglow.forecast.outlook import Outlook, ScoreDistribution
from afterglow.forecast.update import infer
from afterglow.quantities import HOURS_PER_DAY, Dose, DrugForm
from afterglow.therapy.kinetics import FloatArray
from afterglow.therapy.regimen import DoseAdministration, Regimen, Route
from afterglow.therapy.relief import MoodFluctuation
from afterglow.therapy.setting import Condition

ORIGIN_AT = datetime(2026, 1, 5, 9, tzinfo=UTC)  # any Monday; only times since it matter
BASELINE_H = -1.0
LEAST_CHANCE = 1e-5  # under it no forecast of finitely many candidates can be told apart from another

# What the other worlds do; none is known to any forecast.
FASTER = 2.0  # how much faster relief of drug and expectancy fades
MISSING_WELL, MISSING_ILL = 0.1, 0.7  # chance that a score is missing without any symptoms, and with all of the first
ILLNESS = 0.3  # share of the level before treatment that a second illness adds
_SPRAY = DoseAdministration(at_h=0.0, drug=DrugForm.ESKETAMINE, route=Route.INTRANASAL, dose=Dose(mg=56.0))

_DECAY_DAYS = (14.0, 1.0, 2.0, 3.0, 5.0, 7.0, 10.0, 21.0, 28.0, 42.0, 60.0, 90.0)  # 14 where scores cannot tell
FORECASTS = ("forecast", "population", "last score", "own decay")


class World(StrEnum):
    """What is true of simulated patients."""

    AS_MODELLED = "as modelled"
    FASTER_DECAY = "faster decay"
    MISSING_WHEN_ILL = "scores missing when ill"
    SECOND_ILLNESS = "second illness"
    CHANGED_DRUG = "changed drug"


@dataclass(frozen=True, slots=True, kw_only=True)
class Design:
    """What every simulated patient of a batch goes through.

    Args:
        scale: a severity scale with whole numbers.
        baselines: lowest and highest score before treatment; uniform between them.
        sessions: given from time 0 on, as they are recorded.
        score_days: days of the scores after the first session.
        lead_days: whole days after the start of the forecast, on which the next score is predicted.
        from_day: where the forecast starts; None means at the last score.
    """

    scale: str
    baselines: tuple[int, int]
    sessions: Regimen
    score_days: tuple[float, ...]
    lead_days: tuple[int, ...]
    from_day: float | None = None

    @property
    def start_day(self) -> float:
        """Where the forecast starts, days after the first session."""
        return self.score_days[-1] if self.from_day is None else self.from_day


@dataclass(frozen=True, slots=True, kw_only=True)
class SimulatedPatient:
    """A patient with the scores that a forecast may know, and those that came later, one for each lead day."""

    given: ForecastInput
    later: tuple[float, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Proof:
    """Forecasts of n simulated patients against what came; arrays are (n, n_leads) unless said.

    Args:
        design: what they went through.
        inside50, inside90: whether the written score lay in the central band.
        ranks: where it lay in the predicted distribution, uniform in [0, 1] where that is right (ties broken at
            random).
        later: the written score.
        points: (n, n_leads, 2), what the last score carried forward and the own decay expect.
        crps: (n, n_leads, 4), continuous ranked probability score in points, in the order of `FORECASTS`.
        log_score: the same shape, minus the log of the chance given to the written score.
        methods: how the scores of each patient were used.
    """

    design: Design
    inside50: FloatArray
    inside90: FloatArray
    ranks: FloatArray
    later: FloatArray
    points: FloatArray
    crps: FloatArray
    log_score: FloatArray
    methods: tuple[Method, ...]


def simulate_patients(
    design: Design, *, count: int, seed: int, world: World = World.AS_MODELLED
) -> tuple[SimulatedPatient, ...]:
    """Patients drawn from the population, treated and measured by a design.

    Args:
        design: what they go through.
        count: how many.
        seed: same seed, same patients; unrelated to the seed of forecasts.
        world: what is true of them.

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
    truly = replace(design, sessions=_really_given(design.sessions, world))
    case = case_of(_input(truly, float(design.baselines[0]), (), ()))
    people = candidates_from(case, rng.standard_normal((count, case.population.dimensions + case.uncertain)))
    if world is World.FASTER_DECAY:
        people = faster(people, FASTER)
    days = np.array([*design.score_days, *(design.start_day + lead for lead in design.lead_days)])
    order = np.unique(days)  # the forecast may start before the last score of another design
    at = np.searchsorted(order, days)
    left = relief_of(case, people, truly.sessions, HOURS_PER_DAY * order).left[:, at]
    mood = MoodFluctuation(sd=people.patients.mood_sd, correlation_h=case.correlation_h)
    x = mood.paths(HOURS_PER_DAY * order - BASELINE_H, rng.standard_normal((count, len(order))))[:, at]
    scale, level = case.scales[-1], rng.integers(design.baselines[0], design.baselines[1] + 1, count)
    following = scale.following(people.patients)[:, None]
    share = 1.0 - following * (1.0 - left) + following * np.sqrt(left) * x
    error_sd = np.sqrt(scale.noise_variance(people.patients))[:, None]
    errors = error_sd * rng.standard_normal(left.shape)
    if world is World.SECOND_ILLNESS:
        begins = rng.uniform(0.0, float(days[-1]), count)
        share = share + ILLNESS * (days >= begins[:, None])
    written = np.round(scale.lowest + (level - scale.lowest)[:, None] * share + errors)
    scores = np.clip(written, scale.lowest, scale.highest) + 0.0  # no score is written as -0
    known = len(design.score_days)
    kept = np.ones((count, known), dtype=np.bool_)
    if world is World.MISSING_WHEN_ILL:
        missing = MISSING_WELL + (MISSING_ILL - MISSING_WELL) * np.clip(share[:, :known], 0.0, 1.0)
        kept = rng.random((count, known)) >= missing
    return tuple(
        SimulatedPatient(
            given=_input(
                design,
                float(before),
                [day for day, there in zip(design.score_days, keep, strict=True) if there],
                own[:known][keep].tolist(),
            ),
            later=tuple(own[known:].tolist()),
        )
        for before, own, keep in zip(level, scores, kept, strict=True)
    )


def prove(patients: Sequence[SimulatedPatient], design: Design, *, seed: int) -> Proof:
    """Forecast simulated patients and compare with what came.

    Args:
        patients: of `simulate_patients`.
        design: what they went through.
        seed: breaks ties of ranks.
    """
    rng = np.random.default_rng([seed, len(patients)])
    population: dict[float, _Predicted] = {}
    inside, ranks, scores, points, methods = [], [], [], [], []
    for patient in patients:
        before = patient.given.scores[0].points or 0.0
        if before not in population:
            population[before] = _Predicted.of(replace(patient.given, scores=patient.given.scores[:1]), design)
        own = _Predicted.of(patient.given, design)
        compared = [own.inside(patient, place, lead) for place, lead in enumerate(design.lead_days)]
        inside.append([one[:2] for one in compared])
        ranks.append([below + float(rng.random()) * (up_to - below) for _, _, below, up_to in compared])
        scores.append(
            [
                [distribution.scored(patient.later[place], lead) for distribution in (own, population[before])]
                for place, lead in enumerate(design.lead_days)
            ]
        )
        points.append([(_last(patient), _decay(patient, design, lead)) for lead in design.lead_days])
        methods.append(own.method)
    found, bands = np.array(scores), np.array(inside, dtype=np.float64)
    later, expected = np.array([patient.later for patient in patients]), np.array(points)
    rivals = _rivals(later, expected, own.points)
    return Proof(
        design=design,
        inside50=bands[:, :, 0],
        inside90=bands[:, :, 1],
        ranks=np.array(ranks),
        later=later,
        points=expected,
        crps=np.concatenate([found[..., 0], rivals[..., 0]], axis=2),
        log_score=np.concatenate([found[..., 1], rivals[..., 1]], axis=2),
        methods=tuple(methods),
    )


def pooled(parts: Sequence[Proof]) -> Proof:
    """One proof of several batches of the same design; what simple forecasts are told of their errors is told anew.

    Args:
        parts: at least one.
    """

    def joined(name: str) -> FloatArray:
        together: FloatArray = np.concatenate([getattr(part, name) for part in parts])
        return together

    scale = case_of(_input(parts[0].design, 1.0, (), ())).scales[-1]
    rivals = _rivals(joined("later"), joined("points"), np.arange(scale.lowest, scale.highest + 1.0))
    return Proof(
        design=parts[0].design,
        inside50=joined("inside50"),
        inside90=joined("inside90"),
        ranks=joined("ranks"),
        later=joined("later"),
        points=joined("points"),
        crps=np.concatenate([joined("crps")[:, :, :2], rivals[..., 0]], axis=2),
        log_score=np.concatenate([joined("log_score")[:, :, :2], rivals[..., 1]], axis=2),
        methods=tuple(method for part in parts for method in part.methods),
    )


def faster(people: Candidates, factor: float) -> Candidates:
    """The same people, whose relief fades that much faster: drug and expectancy.

    Args:
        people: candidates.
        factor: of every rate of loss.
    """
    patients = people.patients
    chain = replace(
        patients.chain,
        labile_loss_per_h=factor * patients.chain.labile_loss_per_h,
        consolidation_per_h=factor * patients.chain.consolidation_per_h,
        consolidated_loss_per_h=factor * patients.chain.consolidated_loss_per_h,
    )
    readout = replace(
        patients.readout,
        expectancy_fast_half_life_h=patients.readout.expectancy_fast_half_life_h / factor,
        expectancy_slow_half_life_h=patients.readout.expectancy_slow_half_life_h / factor,
    )
    return replace(people, patients=replace(patients, chain=chain, readout=readout))


def _really_given(sessions: Regimen, world: World) -> Regimen:
    """In the world of the changed drug the later half of the sessions was a spray, and the record did not say so."""
    if world is not World.CHANGED_DRUG:
        return sessions
    half = len(sessions.administrations) // 2
    later = (replace(_SPRAY, at_h=session.at_h) for session in sessions.administrations[half:])
    return Regimen((*sessions.administrations[:half], *later))


def _input(design: Design, before: float, days: Sequence[float], points: Sequence[float]) -> ForecastInput:
    return ForecastInput(
        origin_at=ORIGIN_AT,
        now_h=HOURS_PER_DAY * design.start_day,
        condition=Condition.DEPRESSION,
        scores=(
            PatientScore(at_h=BASELINE_H, scale=design.scale, points=before),
            *(
                PatientScore(at_h=HOURS_PER_DAY * day, scale=design.scale, points=value)
                for day, value in zip(days, points, strict=True)
            ),
        ),
        given=design.sessions,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Predicted:
    """A forecast's distribution with its distribution function on every score: (n_points, n_days)."""

    distribution: ScoreDistribution
    points: FloatArray
    at_most: FloatArray
    method: Method

    @classmethod
    def of(cls, given: ForecastInput, design: Design) -> _Predicted:
        case = case_of(given)
        posterior = infer(case)
        outlook = Outlook(case, posterior, horizon_days=max(design.lead_days))
        left = outlook.relief(outlook.everyone, case.sessions, outlook.days_h).left
        found = outlook.scores(outlook.everyone, left)
        points = np.arange(found.scale.lowest, found.scale.highest + 1.0)
        below = [found.at_most(float(point)) for point in points[:-1]]
        at_most = np.array([*below, np.ones(len(below[0]))])
        return cls(distribution=found, points=points, at_most=at_most, method=posterior.method)

    def inside(self, patient: SimulatedPatient, place: int, day: int) -> tuple[float, float, float, float]:
        """Whether the score lies in the 50 and the 90 % band, and the chance of less, and of that or less."""
        score = patient.later[place]
        levels = self.distribution.quantiles((0.25, 0.75, 0.05, 0.95))[:, day]
        at = int(score - self.points[0])
        below, up_to = (float(self.at_most[i, day]) if i >= 0 else 0.0 for i in (at - 1, at))
        return float(levels[0] <= score <= levels[1]), float(levels[2] <= score <= levels[3]), below, up_to

    def scored(self, score: float, day: int) -> tuple[float, float]:
        """CRPS and log score of what came."""
        crps, log_score = _scores(self.at_most[None, :, day], np.array([score]), self.points)
        return float(crps[0]), float(log_score[0])


def _scores(at_most: FloatArray, score: FloatArray, points: FloatArray) -> tuple[FloatArray, FloatArray]:
    """CRPS (squared distance of distribution functions, summed over points) and minus the log of the score's chance.

    Args:
        at_most: (n, n_points), distribution functions.
        score: (n,), what came.
        points: (n_points,), every score.
    """
    crps: FloatArray = np.sum((at_most - (points >= score[:, None])) ** 2, axis=1)
    chances = np.diff(at_most, axis=1, prepend=0.0)
    at = (score - points[0]).astype(np.int64)
    chance = chances[np.arange(len(score)), at]
    return crps, -np.log(np.maximum(chance, LEAST_CHANCE))


def _rivals(later: FloatArray, expected: FloatArray, points: FloatArray) -> FloatArray:
    """CRPS and log score of the simple forecasts: (n, n_leads, 2, 2), scores last.

    Each is a normal around what it expects, as wide as its errors on these very patients: more than it could know.
    """
    from scipy.special import ndtr  # noqa: PLC0415  keeps the import of the forecast light

    out = np.zeros((*expected.shape, 2))
    for lead in range(expected.shape[1]):
        for rival in range(expected.shape[2]):
            middle, came = expected[:, lead, rival], later[:, lead]
            sd = max(float(np.sqrt(np.mean((came - middle) ** 2))), 0.5)
            at_most = ndtr((points + 0.5 - middle[:, None]) / sd)
            at_most[:, -1] = 1.0
            out[:, lead, rival, 0], out[:, lead, rival, 1] = _scores(at_most, came, points)
    return out


def _last(patient: SimulatedPatient) -> float:
    """The last score carried forward."""
    return patient.given.scores[-1].points or 0.0


def _decay(patient: SimulatedPatient, design: Design, lead: int) -> float:
    """What relief that fades exponentially since the last session expects, fitted to this patient's scores alone."""
    given = patient.given
    level, starts = given.scores[0].points or 0.0, np.array(design.sessions.starts_h)

    def since_days(at_h: float) -> float:
        before = starts[starts <= at_h]
        return float(at_h - before[-1]) / HOURS_PER_DAY if before.size else np.inf

    known = [(since_days(score.at_h), level - (score.points or 0.0)) for score in given.scores[1:]]
    if not known:
        return level
    since, relief = np.array(known).T
    best = (np.inf, 0.0, _DECAY_DAYS[0])
    for tau in _DECAY_DAYS:
        shape = np.exp(-since / tau)
        size = max(float(shape @ relief / max(shape @ shape, LEAST_CHANCE)), 0.0)
        loss = float(np.sum((relief - size * shape) ** 2))
        if loss < best[0] - 1e-9:
            best = (loss, size, tau)
    _, size, tau = best
    return level - size * float(np.exp(-since_days(given.now_h + HOURS_PER_DAY * lead) / tau))
