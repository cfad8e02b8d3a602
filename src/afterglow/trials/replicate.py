"""What a trial of a given size would report, predicted from its protocol.

Every statistic at every asked time, each with a 90 % prediction interval that holds sampling, between-trial and
parameter uncertainty. A prediction of a figure the model was calibrated on is a check of the fit, never evidence.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from afterglow.errors import NoModel
from afterglow.protocol import (
    Analysis,
    AtRisk,
    CompletePopulation,
    Dropout,
    TrialProtocol,
    require_observation,
    require_population,
)
from afterglow.quantities import DrugForm, format_duration
from afterglow.scales import Direction
from afterglow.therapy.coverage import (
    FIRST_HOURS,
    missed_in_validation,
    model_standing,
    outside_calibration,
    outside_circumstances,
    outside_people,
)
from afterglow.therapy.kinetics import FloatArray
from afterglow.therapy.population import Circumstances, belief, load_population
from afterglow.therapy.regimen import Regimen, Route
from afterglow.therapy.relief import Execution
from afterglow.therapy.setting import Arm, Control
from afterglow.trials.cohort import ArmPlan, simulate_cohort
from afterglow.trials.moments import Asked, Moments, Statistic, known_instrument
from afterglow.trials.predictive import (
    Interval,
    mean_interval,
    proportion_interval,
)

N_DRAWS = 512
PATIENTS_PER_DRAW = 256


@dataclass(frozen=True, slots=True, kw_only=True)
class Parts:
    """What a mean change is made of, in points; a fall is negative.

    The three add up to the modelled change before the scale's bounds. The drug's part is an upper bound: trials see
    only the sum of drug and expectancy. `drug_lo90` and `drug_hi90` are its range over the draws of the population.
    """

    drug: float
    drug_lo90: float
    drug_hi90: float
    expectancy: float
    care: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Prediction:
    """One statistic of one arm (or of active minus control) at one time.

    Args:
        arm: active, control or contrast.
        time_h: h since the first session.
        statistic: what is predicted; percentages run from 0 to 100, contrasts of them from -100 to 100.
        of: responders or remitters for relapse, else None.
        scale: whose points.
        value: mean of the predictive distribution.
        lo90, hi90: central 90 % prediction interval for a trial of the protocol's size.
        parts: of a mean change or score, else None.
        analysis: whose scores it counts; None where everybody stays, and of the share that stays.
    """

    arm: Arm
    time_h: float
    statistic: Statistic
    of: AtRisk | None
    scale: str
    value: float
    lo90: float
    hi90: float
    parts: Parts | None
    analysis: Analysis | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Replication:
    """All predictions of a protocol, with what they rest on.

    Args:
        model: name and version of the population.
        status: provisional or calibrated.
        seed: of the virtual patients.
        n_draws, patients_per_draw: size of the virtual cohort.
        n: patients in the arms predicted.
        predictions: in the order asked; with drop-out those of the asked analysis first, then those of the other.
        notes: what a reader must know, in sentences, those of `warnings` among them.
        warnings: what speaks against these numbers: no figure covers it, or validation missed it.
    """

    model: str
    status: str
    seed: int
    n_draws: int
    patients_per_draw: int
    n: Mapping[Arm, int]
    predictions: tuple[Prediction, ...]
    warnings: tuple[str, ...]
    notes: tuple[str, ...]


def replicate(
    protocol: TrialProtocol,
    *,
    seed: int = 0,
    n_draws: int = N_DRAWS,
    patients_per_draw: int = PATIENTS_PER_DRAW,
    execution: Execution | None = None,
    progress: Callable[[float], None] | None = None,
) -> Replication:
    """Predict what a trial would report.

    Args:
        protocol: the trial; it must name its population and what is observed.
        seed: same seed, same answer.
        n_draws: draws of the population (parameter and between-trial uncertainty).
        patients_per_draw: virtual patients of each.
        execution: None chooses by the size of the cohort.
        progress: called with the fraction done.

    Raises: MissingValue for a protocol without population or observation; NoModel for a drug and route without one.

    >>> from afterglow.protocol import parse_protocol
    >>> found = replicate(parse_protocol('''
    ... {drug: esketamine, route: intranasal, dose: 84 mg, days: [0, 3], control: placebo_spray, arm: both,
    ...  population: {n: 50, scale: MADRS, baseline_mean: 35, baseline_sd: 5}, observe: {times: [24 h]}}
    ... '''), n_draws=8, patients_per_draw=8)
    >>> contrast = found.predictions[-2]
    >>> str(contrast.arm), str(contrast.statistic), contrast.time_h, contrast.lo90 < contrast.value < contrast.hi90
    ('contrast', 'mean_change', 24.0, True)
    """
    people, observe = require_population(protocol), require_observation(protocol)
    asked = Asked.of_plan(observe, scale=people.scale, judged_h=protocol.relapse_judged_h, dropout=protocol.dropout)
    population = load_population(protocol.condition)
    arms: list[Arm] = [arm for arm in (Arm.ACTIVE, Arm.CONTROL) if arm in protocol.arms]
    analyses = _analyses(protocol.dropout)
    moments: dict[tuple[Arm, Analysis | None], Moments] = {}
    for i, arm in enumerate(arms):
        collected = [Moments(asked, n_draws, analysis) for analysis in analyses]
        plan = arm_plan(protocol, people, arm)
        for chunk in simulate_cohort(
            population,
            plan,
            asked.times_h,
            seed=seed,
            n_draws=n_draws,
            patients_per_draw=patients_per_draw,
            execution=execution,
        ):
            for one in collected:
                one.add(chunk, plan, patients_per_draw)
            if progress:
                progress((i + collected[0].filled / n_draws) / len(arms))
        moments.update({(arm, one.analysis): one for one in collected})
    sizes = {Arm.ACTIVE: people.n, Arm.CONTROL: people.n_control}
    predictions: list[Prediction] = []
    for analysis in analyses:
        for arm in arms:
            predictions += _arm_predictions(asked, moments[arm, analysis], arm, sizes[arm])
        if Arm.CONTRAST in protocol.arms:
            predictions += _contrasts(asked, moments[Arm.ACTIVE, analysis], moments[Arm.CONTROL, analysis], sizes)
    warnings = _warnings(protocol)
    return Replication(
        model=f"afterglow population {population.version}",
        status=population.status,
        seed=seed,
        n_draws=n_draws,
        patients_per_draw=patients_per_draw,
        n={arm: sizes[arm] for arm in arms},
        predictions=tuple(predictions),
        warnings=warnings,
        notes=(
            model_standing(protocol.condition, population.status, population.evidence),
            *warnings,
            *_notes(protocol),
        ),
    )


def _analyses(dropout: Dropout | None) -> tuple[Analysis | None, ...]:
    """The asked analysis, then the other one; none where everybody stays."""
    if dropout is None:
        return (None,)
    return tuple(sorted(Analysis, key=lambda analysis: analysis is not dropout.analysis))


def arm_plan(protocol: TrialProtocol, people: CompletePopulation, arm: Arm) -> ArmPlan:
    """One arm of a protocol as the model sees it; the control arm has the sessions without the drug."""
    active = arm is Arm.ACTIVE
    scale, known = people.scale, known_instrument(people.scale.name)
    if known and known.direction is Direction.HIGHER_IS_BETTER:
        raise NoModel(
            f"On {scale.name} a higher score is better; the model predicts symptoms",
            next_step="Name a scale of symptoms, such as MADRS",
            about="population.scale",
        )
    return ArmPlan(
        regimen=protocol.regimen() if active else Regimen(),
        sessions_h=protocol.session_h,
        circumstances=Circumstances(
            belief=belief(protocol.control, active=active),
            setting=protocol.setting,
            enrolment=people.enrolment,
            new_antidepressant=people.new_antidepressant,
            nasal_esketamine=active and protocol.route is Route.INTRANASAL and protocol.drug is DrugForm.ESKETAMINE,
            age_mean_years=people.age_mean,
            weight_kg=people.weight_kg,
            people_per_arm=people.n,
        ),
        scale=scale.name,
        lowest=scale.lowest,
        highest=scale.highest,
        whole_numbers=known is None or known.whole_numbers,
        self_report=known is not None and known.is_self_rated,
        baseline_mean=people.baseline_mean,
        baseline_sd=people.baseline_sd,
    )


def _arm_predictions(asked: Asked, of: Moments, arm: Arm, n: int) -> list[Prediction]:
    scale, out = asked.scale, []
    for i in asked.reported:
        parts, size = _parts(of.parts[:, :, i]), _size(of, n, i)
        change = mean_interval(of.change[:, i], np.sqrt(of.change_var[:, i] / size))
        score = mean_interval(
            of.score[:, i], np.sqrt(of.score_var[:, i] / size), lowest=scale.lowest, highest=scale.highest
        )
        out.append(_prediction(asked, of, arm, i, Statistic.MEAN_CHANGE, change, parts))
        out.append(_prediction(asked, of, arm, i, Statistic.MEAN_SCORE, score, parts))
        for statistic, chances in _proportions(asked, of):
            out.append(_prediction(asked, of, arm, i, statistic, proportion_interval(chances[:, i], size)))
        if asked.dropout and of.analysis is asked.dropout.analysis:
            staying = proportion_interval(of.staying[:, i], n)
            out.append(replace(_prediction(asked, of, arm, i, Statistic.STAYING_PCT, staying), analysis=None))
    for k, interval in enumerate(
        proportion_interval(of.relapsed[:, k], n * of.at_risk) for k in range(len(asked.reports))
    ):
        out.append(_relapse_prediction(asked, of, arm, k, interval))
    return out


def _size(of: Moments, n: int, i: int) -> FloatArray | int:
    """Patients whose scores count at a time: all of them, or in each draw those who stay."""
    return np.maximum(n * of.counted[:, i], 1.0) if of.analysis is Analysis.COMPLETERS else n


def _contrasts(asked: Asked, active: Moments, control: Moments, sizes: Mapping[Arm, int]) -> list[Prediction]:
    """Active minus control: both arms belong to one trial, so they share its draw."""
    n_active, n_control = sizes[Arm.ACTIVE], sizes[Arm.CONTROL]

    def mean_difference(of: str, i: int) -> Interval:
        a, b = getattr(active, of)[:, i], getattr(control, of)[:, i]
        a_var, b_var = getattr(active, f"{of}_var")[:, i], getattr(control, f"{of}_var")[:, i]
        errors = np.sqrt(a_var / _size(active, n_active, i) + b_var / _size(control, n_control, i))
        return mean_interval(a - b, errors)

    def difference_pct(a: FloatArray, b: FloatArray, n_a: FloatArray | int, n_b: FloatArray | int) -> Interval:
        variance = a * (1.0 - a) / np.maximum(n_a, 1) + b * (1.0 - b) / np.maximum(n_b, 1)
        errors = 100.0 * np.sqrt(np.maximum(variance, 0.0))
        return mean_interval(100.0 * (a - b), errors, lowest=-100.0, highest=100.0)

    out = []
    for i in asked.reported:
        parts = _parts(active.parts[:, :, i] - control.parts[:, :, i])
        change = mean_difference("change", i)
        score = mean_difference("score", i)
        out.append(_prediction(asked, active, Arm.CONTRAST, i, Statistic.MEAN_CHANGE, change, parts))
        out.append(_prediction(asked, active, Arm.CONTRAST, i, Statistic.MEAN_SCORE, score, parts))
        for (statistic, a), (_, b) in zip(_proportions(asked, active), _proportions(asked, control), strict=True):
            interval = difference_pct(a[:, i], b[:, i], _size(active, n_active, i), _size(control, n_control, i))
            out.append(_prediction(asked, active, Arm.CONTRAST, i, statistic, interval))
        if asked.dropout and active.analysis is asked.dropout.analysis:
            interval = difference_pct(active.staying[:, i], control.staying[:, i], n_active, n_control)
            staying = _prediction(asked, active, Arm.CONTRAST, i, Statistic.STAYING_PCT, interval)
            out.append(replace(staying, analysis=None))
    for k in range(len(asked.reports)):
        a, b = active.relapsed[:, k], control.relapsed[:, k]
        interval = difference_pct(a, b, n_active * active.at_risk, n_control * control.at_risk)
        out.append(_relapse_prediction(asked, active, Arm.CONTRAST, k, interval))
    return out


def _proportions(asked: Asked, of: Moments) -> Iterator[tuple[Statistic, FloatArray]]:
    if asked.observe.response_fraction is not None:
        yield Statistic.RESPONSE_PCT, of.response
    if asked.observe.remission_at_most is not None:
        yield Statistic.REMISSION_PCT, of.remission


def _parts(points: FloatArray) -> Parts:
    """Mean over draws of the three parts, (3, n_draws)."""
    drug, expectancy, care = points.mean(axis=1)
    low, high = np.quantile(points[0], (0.05, 0.95))
    return Parts(
        drug=float(drug),
        drug_lo90=float(low),
        drug_hi90=float(high),
        expectancy=float(expectancy),
        care=float(care),
    )


def _prediction(
    asked: Asked,
    moments: Moments,
    arm: Arm,
    i: int,
    statistic: Statistic,
    interval: Interval,
    parts: Parts | None = None,
) -> Prediction:
    return Prediction(
        arm=arm,
        time_h=float(asked.times_h[i]),
        statistic=statistic,
        of=None,
        scale=asked.scale.name,
        value=interval.value,
        lo90=interval.lo90,
        hi90=interval.hi90,
        parts=parts,
        analysis=moments.analysis,
    )


def _relapse_prediction(asked: Asked, moments: Moments, arm: Arm, k: int, interval: Interval) -> Prediction:
    relapse = asked.relapse
    return Prediction(
        arm=arm,
        time_h=relapse.at_h[k] if relapse else float("nan"),
        statistic=Statistic.RELAPSE_PCT,
        of=relapse.of if relapse else None,
        scale=asked.scale.name,
        value=interval.value,
        lo90=interval.lo90,
        hi90=interval.hi90,
        parts=None,
        analysis=moments.analysis,
    )


def outside_calibrated_people(protocol: TrialProtocol, *, sizes: Sequence[int] = ()) -> tuple[str, ...]:
    """What of a protocol's people and follow-up no calibration figure covers; see `outside_people`.

    Args:
        protocol: the trial.
        sizes: of its arms; none takes those of its population.

    >>> from afterglow.protocol import parse_protocol
    >>> mild = "{drug: esketamine, route: intranasal, dose: 84 mg, days: [0], population: {scale: MADRS, n: 50, %s}}"
    >>> outside_calibrated_people(parse_protocol(mild % "baseline_mean: 8, baseline_sd: 3"))
    ("A mean baseline of 13 % of the scale's range lies outside the calibrated range, 52 to 67 %: an extrapolation.",)
    """
    found, observe, scale = protocol.population, protocol.observe, protocol.scale()
    times_h = [*protocol.session_h, *(observe.times_h if observe else ())]
    if observe and observe.relapse:
        times_h += observe.relapse.at_h
    level = None
    if found is not None and found.baseline_mean is not None and scale is not None:
        level = found.baseline_mean - scale.lowest, scale.highest - scale.lowest
    arms = [n for n in (found.n, found.n_control) if n is not None] if found is not None else []
    return outside_people(
        protocol.condition,
        until_h=max(times_h),
        level=level,
        age_years=found.age_mean if found else None,
        smallest_arm=min(sizes or arms, default=None),
    )


def missed_of(protocol: TrialProtocol, *, difference: bool, relapse: bool) -> tuple[str, ...]:
    """What validation says against a prediction of a protocol; see `missed_in_validation`.

    Args:
        protocol: the trial.
        difference: whether active minus control is shown.
        relapse: whether relapse is shown.

    >>> from afterglow.protocol import parse_protocol
    >>> open_arm = parse_protocol("{drug: esketamine, route: intranasal, dose: 84 mg, days: [0]}")
    >>> missed_of(open_arm, difference=False, relapse=False)
    ()
    """
    scale = protocol.scale()
    known = known_instrument(scale.name) if scale is not None else None
    return missed_in_validation(
        protocol.condition,
        difference=difference,
        relapse=relapse,
        self_report=known is not None and known.is_self_rated,
        setting=protocol.setting,
    )


def _warnings(protocol: TrialProtocol) -> tuple[str, ...]:
    weight_kg = protocol.population.weight_kg if protocol.population else None
    masked = protocol.control is Control.MASKED
    asked = protocol.control if masked or Arm.CONTROL in protocol.arms else Control.NONE
    return (
        *outside_calibration(protocol.condition, protocol.regimen(), weight_kg=weight_kg),
        *outside_calibrated_people(protocol),
        *outside_circumstances(protocol.setting, asked),
        *missed_of(
            protocol,
            difference=Arm.CONTRAST in protocol.arms,
            relapse=protocol.observe is not None and protocol.observe.relapse is not None,
        ),
    )


def _notes(protocol: TrialProtocol) -> tuple[str, ...]:
    notes = []
    if Arm.ACTIVE in protocol.arms:
        notes.append(
            "The part credited to the drug is an upper bound: from scores alone only drug and expectancy together "
            "are identified."
        )
        notes.append(
            "The dose curve of the model is nearly flat, as in the trials behind it: it is no ground for "
            "choosing a dose."
        )
    notes.append(FIRST_HOURS)
    if protocol.dropout:
        basis = protocol.dropout.source
        notes.append(
            "Intention to treat counts everybody, as if those who left had gone on and been scored; completers are "
            "those still there at the time, for relapse those still there at its last visit. The chance of leaving is "
            f"{'assumed' if basis == 'assumed' else f'from {basis}'}."
        )
    if protocol.observe and protocol.observe.relapse:
        notes.append(
            "Relapse is judged among those at risk at "
            f"{format_duration(protocol.relapse_judged_h)} after the first session."
        )
    return tuple(notes)
