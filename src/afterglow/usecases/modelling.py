"""What a person can ask of the model and the evidence, without any clinic's records: expose and replicate."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from afterglow.errors import NoModel
from afterglow.evidence import Z975, Figure, SpreadKind, TimeOrigin, Trial, trial
from afterglow.evidence import Statistic as Published
from afterglow.protocol import TrialProtocol
from afterglow.provenance import Role, Verified
from afterglow.quantities import HOURS_PER_DAY, HOURS_PER_MINUTE, DrugForm
from afterglow.therapy.acute import AcuteEffects, simulate_acute
from afterglow.therapy.catalogue import PARENTS
from afterglow.therapy.exposure import (
    Analyte,
    ExposureProfile,
    PkVariation,
    Site,
    exposure_models,
    simulate_exposure,
)
from afterglow.therapy.kinetics import FloatArray
from afterglow.therapy.population import Circumstances, belief, draw_patients, load_population
from afterglow.therapy.setting import Arm
from afterglow.trials import ArmTrajectory, Prediction, Replication, Statistic, replicate, simulate_trajectory

N_PROFILE_PATIENTS = 2048
# Times after the first dose that people read off: part of every grid.
READABLE_TIMES_H = (1 / 3, 2 / 3, 1.0, 1.5, 2.0, 3.0, 4.0, 6.0, 8.0, 12.0, 24.0, 48.0, 72.0, 96.0, 120.0)
_MOST_TIMES = 600  # of a picture, besides those that people read off
_SAME_TIME = 0.02  # Published times are rounded (0.083 d for 2 h): within 2 % they are the same time.

_PUBLISHED: dict[tuple[Statistic, bool], tuple[Published, ...]] = {
    (Statistic.MEAN_CHANGE, False): (Published.MEAN_CHANGE, Published.ADJUSTED_MEAN_CHANGE),
    (Statistic.MEAN_SCORE, False): (Published.MEAN, Published.ADJUSTED_MEAN),
    (Statistic.MEAN_CHANGE, True): (Published.MEAN_DIFF, Published.ADJUSTED_MEAN_DIFF),
    (Statistic.RESPONSE_PCT, False): (Published.RESPONSE_PCT,),
    (Statistic.REMISSION_PCT, False): (Published.REMISSION_PCT,),
    (Statistic.RELAPSE_PCT, False): (Published.RELAPSE_PCT,),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class ExposureAnswer:
    """Concentrations and acute effects of a protocol.

    Args:
        protocol: what was asked.
        weight_kg: median weight of the virtual people.
        profiles: one per analyte and site.
        acute: effects of the last session's drug.
        seed: of the virtual people.
        asked: whether the caller chose the times.
    """

    protocol: TrialProtocol
    weight_kg: float
    profiles: tuple[ExposureProfile, ...]
    acute: AcuteEffects
    seed: int
    asked: bool

    @property
    def readable_times(self) -> tuple[int, ...]:
        """Indices of the times that a person reads in a table: all asked ones, or round ones of a picture's grid."""
        times = self.profiles[0].times_h
        if self.asked:
            return tuple(range(len(times)))
        return tuple(int(np.argmin(np.abs(times - t))) for t in READABLE_TIMES_H if np.min(np.abs(times - t)) < 1e-6)


@dataclass(frozen=True, slots=True, kw_only=True)
class ObservedFigure:
    """A published figure that stands beside a prediction; `low` and `high` are its 95 % interval where known."""

    value: float
    low: float | None
    high: float | None
    figure: Figure


@dataclass(frozen=True, slots=True, kw_only=True)
class ReplicationAnswer:
    """A trial predicted, beside what was published.

    Args:
        protocol: what was asked.
        replication: the predictions.
        observed: the published figure of each prediction, None where there is none.
        trial: the published trial, if the protocol names one.
        recalled_left_out: figures of that trial known from memory only, which are never shown as fact.
    """

    protocol: TrialProtocol
    replication: Replication
    observed: tuple[ObservedFigure | None, ...]
    trial: Trial | None
    recalled_left_out: int

    @property
    def notes(self) -> tuple[str, ...]:
        """What a reader must know: of the model, and of what stands beside it."""
        notes = [*self.replication.notes]
        if self.trial is not None and self.protocol.trial is not None:
            named = (self.protocol.trial.active, self.protocol.trial.control)
            baselines = [self.trial.arm(name).baseline for name in named if name is not None]
            if any(b is not None and b.provenance.verified is Verified.RECALLED for b in baselines):
                notes.append(
                    "The evidence knows the baseline of this trial from memory only: predicted scores rest on the "
                    "protocol's baseline, which is not confirmed."
                )
        if self.recalled_left_out:
            notes.append(f"{self.recalled_left_out} figures of this trial are known from memory only and not shown.")
        return tuple(notes)

    @property
    def standing(self) -> str:
        """What the comparison is worth, in one sentence."""
        if self.trial is None:
            return "No published figures stand beside this prediction."
        return {
            Role.CALIBRATION: "Calibration figures, not a prediction: the model may be fitted to them.",
            Role.BOUND: "These figures may bound the model, so agreement is weak evidence.",
            Role.CONTEXT: "Context figures: neither fitted nor kept apart.",
            Role.HELD_OUT: "Held-out figures: never fitted, so agreement counts.",
            Role.HELD_OUT_SHARED: "Held-out figures of a trial that shares patients with a calibration trial.",
        }[self.trial.role]


def expose(
    protocol: TrialProtocol,
    *,
    site: Site | None = None,
    times_h: Sequence[float] | None = None,
    weight_kg: float | None = None,
    seed: int = 0,
) -> ExposureAnswer:
    """Concentrations over time for the active arm of a protocol, and the acute effects.

    Args:
        protocol: drug, route, dose and sessions are used.
        site: None for venous plasma, which clinics measure, or arterial where no venous model exists.
        times_h: None for a grid over the sessions and a day after the last.
        weight_kg: everybody's weight; None for the protocol's median weight, or the population's.
        seed: of the virtual people.

    Raises: NoModel naming what exists; OutOfRange for a dose or weight outside its limits.

    >>> from afterglow.protocol import parse_protocol
    >>> plan = parse_protocol("{drug: esketamine, route: intranasal, dose: 84 mg, days: [0]}")
    >>> [str(profile.analyte) for profile in expose(plan, times_h=[0.5, 1.0]).profiles]
    ['s_ketamine', 's_norketamine']
    """
    regimen = protocol.regimen()
    people = _people(protocol, weight_kg, seed)
    times = np.unique(np.asarray(times_h, dtype=np.float64)) if times_h is not None else _grid(protocol, HOURS_PER_DAY)
    covered = _covered(protocol, site)
    profiles = tuple(
        simulate_exposure(regimen, analyte=analyte, site=where, times_h=times, variation=people)
        for analyte, where in covered
    )
    age = protocol.population.age_mean if protocol.population else None
    return ExposureAnswer(
        protocol=protocol,
        weight_kg=float(np.median(people.weight_kg)),
        profiles=profiles,
        acute=simulate_acute(regimen, people, times, age_years=age),
        seed=seed,
        asked=times_h is not None,
    )


def replicate_beside_published(
    protocol: TrialProtocol, *, seed: int = 0, progress: Callable[[float], None] | None = None
) -> ReplicationAnswer:
    """Predict a trial and put its published figures, if the protocol names them, beside the predictions.

    Raises: MissingValue for a protocol without population or observation.

    >>> from afterglow.protocol import parse_protocol
    >>> answer = replicate_beside_published(parse_protocol('''
    ... {drug: racemic_ketamine, route: iv, dose: 0.5 mg/kg, infusion: 40 min, days: [0], control: midazolam,
    ...  population: {n: 47, scale: MADRS, baseline_mean: 32.6, baseline_sd: 6.1}, observe: {times: [24 h]},
    ...  trial: {key: murrough2013_ajp, active: ket05, control: midaz}}
    ... '''))
    >>> answer.observed[0].value, answer.standing
    (-16.5, 'Calibration figures, not a prediction: the model may be fitted to them.')
    """
    replication = replicate(protocol, seed=seed, progress=progress)
    published = trial(protocol.trial.key) if protocol.trial else None
    usable = [figure for figure in published.figures if _may_be_shown(figure)] if published else []
    observed = tuple(_beside(protocol, prediction, usable) for prediction in replication.predictions)
    return ReplicationAnswer(
        protocol=protocol,
        replication=replication,
        observed=observed,
        trial=published,
        recalled_left_out=_count_recalled(published) if published else 0,
    )


def trajectories(protocol: TrialProtocol, *, seed: int = 0) -> tuple[ArmTrajectory, ...]:
    """The predicted course of each arm of a protocol, for its picture."""
    times = _grid(protocol, 2.0 * HOURS_PER_DAY)
    return tuple(
        simulate_trajectory(protocol, arm, times_h=times, seed=seed)
        for arm in (Arm.ACTIVE, Arm.CONTROL)
        if arm in protocol.arms
    )


def _people(protocol: TrialProtocol, weight_kg: float | None, seed: int) -> PkVariation:
    told = protocol.population.weight_kg if protocol.population else None
    patients = draw_patients(
        load_population(protocol.condition),
        Circumstances(belief=belief(protocol.control, active=True), weight_kg=told),
        seed=seed,
        first=0,
        count=N_PROFILE_PATIENTS,
    )
    weight = patients.weight_kg if weight_kg is None else np.full(N_PROFILE_PATIENTS, weight_kg)
    return PkVariation(weight_kg=weight, deviations=patients.pk.deviations)


def _covered(protocol: TrialProtocol, site: Site | None) -> list[tuple[Analyte, Site]]:
    """What is shown by default: the ketamines that were given and what becomes of them, at one site."""
    models = [m for m in exposure_models() if (m.drug, m.route) == (protocol.drug, protocol.route)]
    sites = dict.fromkeys(where for model in models for where in model.sites)
    chosen = site or (Site.VENOUS if Site.VENOUS in sites else Site.ARTERIAL)
    racemic = protocol.drug is DrugForm.RACEMIC_KETAMINE
    wanted = (*PARENTS, Analyte.NORKETAMINE) if racemic else (Analyte.S_KETAMINE, Analyte.S_NORKETAMINE)
    covered = [
        (analyte, chosen)
        for analyte in wanted
        if any(chosen in model.sites and analyte in model.analytes and not model.exploratory for model in models)
    ]
    if not covered:
        raise NoModel(
            f"No model predicts the {chosen} site after {protocol.drug.replace('_', ' ')} by route {protocol.route}",
            allowed=", ".join(sites),
            next_step="Ask for a site that exists",
        )
    return covered


def _grid(protocol: TrialProtocol, after_last_h: float) -> FloatArray:
    """Times for a picture: dense after each session, ending with the last asked time or a while after the last one."""
    sessions = protocol.session_h
    given = protocol.regimen().administrations[0].duration_h
    asked = protocol.observe.times_h if protocol.observe and after_last_h > HOURS_PER_DAY else ()
    end = max(sessions[-1] + given + after_last_h, *asked, 0.0)
    first_steps = (
        np.arange(0.0, given + 1.0, 5.0 * HOURS_PER_MINUTE) if given <= HOURS_PER_DAY else np.linspace(0, given, 60)
    )
    later = given + np.geomspace(1.0, max(end, 2.0), 40)
    readable = [start + t for start in (0.0, sessions[-1]) for t in READABLE_TIMES_H if start + t < end]
    times = [0.0, end, *readable]
    for start, following in pairwise([*sessions, end]):
        offsets = np.concatenate([first_steps, later])
        times.extend(start + offsets[start + offsets < following])
    grid = np.unique(np.round(times, 6))
    if len(grid) <= _MOST_TIMES:
        return grid
    return np.unique(np.round([*grid[:: len(grid) // _MOST_TIMES + 1], *readable, end], 6))


def _may_be_shown(figure: Figure) -> bool:
    return figure.value is not None and figure.provenance.verified is not Verified.RECALLED and not figure.do_not_fit


def _count_recalled(published: Trial) -> int:
    return sum(figure.provenance.verified is Verified.RECALLED for figure in published.figures)


def _beside(protocol: TrialProtocol, prediction: Prediction, figures: Sequence[Figure]) -> ObservedFigure | None:
    """The published figure of the same arm, scale, statistic and time."""
    arms = protocol.trial
    if arms is None or (protocol.dropout and prediction.analysis is not protocol.dropout.analysis):
        return None  # the protocol says whose scores the published figures count
    contrast = prediction.arm is Arm.CONTRAST
    wanted = _PUBLISHED.get((prediction.statistic, contrast), ())
    for figure in figures:
        if contrast:
            same_arm = figure.contrast == (arms.active, arms.control)
        else:
            same_arm = figure.arm == (arms.active if prediction.arm is Arm.ACTIVE else arms.control)
        if (
            same_arm
            and figure.statistic in wanted
            and figure.scale == prediction.scale
            and figure.measure is None  # else it counts something else, as response at any time
            and (figure.of is None if prediction.of is None else prediction.of in (figure.of or "").split())
            and _same_time(figure, prediction.time_h, protocol)
        ):
            return _observed(figure)
    return None


def _same_time(figure: Figure, time_h: float, protocol: TrialProtocol) -> bool:
    if figure.t_days is None:
        return False
    if figure.t_from is TimeOrigin.FIRST_DOSE:
        origin_h = 0.0
    elif figure.t_from is TimeOrigin.LAST_DOSE:
        origin_h = protocol.session_h[-1]
    else:
        return False
    return abs(origin_h + figure.t_days * HOURS_PER_DAY - time_h) <= _SAME_TIME * max(time_h, 1.0)


def _observed(figure: Figure) -> ObservedFigure:
    value = figure.value if figure.value is not None else float("nan")
    interval, error = figure.spread(SpreadKind.CI95), figure.spread(SpreadKind.SE)
    low = high = None
    if interval is not None:
        low, high = interval.lo, interval.hi
    elif error is not None and error.value is not None:
        low, high = value - Z975 * error.value, value + Z975 * error.value
    return ObservedFigure(value=value, low=low, high=high, figure=figure)
