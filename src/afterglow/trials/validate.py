"""Every applicable published figure beside its prediction: coverage, interval score against a lookup table, sharpness.

All numbers of a comparison are in per cent: percentages as they are, points as per cent of the range of improvement
(baseline to the scale's lowest score), so that they can be averaged. What a figure is scored by was fixed before the
first run (docs/decisions/0010).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import cached_property

import numpy as np
from scipy.special import ndtr

from afterglow.provenance import Role
from afterglow.quantities import HOURS_PER_DAY
from afterglow.therapy.kinetics import FloatArray
from afterglow.therapy.population import Population, load_population
from afterglow.therapy.setting import Condition
from afterglow.trials.arms import ArmDesign, ReadAt, ScoredFigure, arm_designs, scored_figures
from afterglow.trials.lookup import Lookup
from afterglow.trials.moments import Statistic
from afterglow.trials.predictive import Interval, mean_interval, proportion_interval
from afterglow.trials.reported import Reported, arm_runs, run_draws

N_DRAWS, PATIENTS_PER_DRAW = 512, 128
_LEVEL = 0.1  # of a 90 % interval
_Z95, _Z975 = 1.6448536269514722, 1.959963984540054
HELD_OUT = (Role.HELD_OUT, Role.HELD_OUT_SHARED)


class Kind(StrEnum):
    """Groups that coverage is reported for."""

    FIRST_DAY = "first day"
    WEEKS = "day 2 to week 4"
    LATER = "after week 4"
    RELAPSE = "relapse"
    CONTRAST = "active minus control"


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One figure beside its prediction; in points or per cent as published.

    Args:
        scored: the figure.
        value: mean of the predictive.
        lo90, hi90: its central 90 % interval for a trial of that size.
        sd: of the predictive.
        sampling_sd: of sampling alone.
        chance_significant: of p < 0.05 in such a trial; None where it is no contrast.
        lookup: what a table of averages predicts; None where it has nothing of the kind.
        per_cent: factor from the figure's unit to per cent.
    """

    scored: ScoredFigure
    value: float
    lo90: float
    hi90: float
    sd: float
    sampling_sd: float
    chance_significant: float | None
    lookup: Interval | None
    per_cent: float

    @property
    def inside(self) -> bool:
        """Whether the observed value lies in the interval."""
        return self.lo90 - 1e-9 <= self.scored.value <= self.hi90 + 1e-9

    @property
    def z(self) -> float:
        """Distance of the observed value from the prediction in its standard deviations."""
        return (self.scored.value - self.value) / self.sd

    @property
    def kind(self) -> Kind:
        """The group it is reported in."""
        if self.scored.control is not None:
            return Kind.CONTRAST
        if self.scored.statistic is Statistic.RELAPSE_PCT:
            return Kind.RELAPSE
        days = self.scored.time_h / HOURS_PER_DAY
        return Kind.FIRST_DAY if days <= 1.25 else Kind.WEEKS if days <= 28.5 else Kind.LATER

    @property
    def is_control(self) -> bool:
        """Whether it is of an arm without ketamine."""
        return self.scored.control is None and self.scored.arm.given is None

    @property
    def score(self) -> float:
        """Interval score in per cent; lower is better."""
        return self.per_cent * interval_score(self.scored.value, self.lo90, self.hi90)

    @property
    def lookup_score(self) -> float | None:
        """Interval score of the lookup table in per cent."""
        found = self.lookup
        return None if found is None else interval_score(self.scored.value * self.per_cent, found.lo90, found.hi90)

    @property
    def lookup_inside(self) -> bool | None:
        """Whether the observed value lies in the lookup's interval."""
        found = self.lookup
        return None if found is None else found.lo90 <= self.scored.value * self.per_cent <= found.hi90

    @property
    def width_to_lookup(self) -> float | None:
        """Width of the interval over the lookup's."""
        found = self.lookup
        return None if found is None else self.per_cent * (self.hi90 - self.lo90) / (found.hi90 - found.lo90)

    @property
    def relative_width(self) -> float:
        """Width of the interval over that of pure sampling."""
        return (self.hi90 - self.lo90) / (2.0 * _Z95 * self.sampling_sd)


@dataclass(frozen=True, slots=True, kw_only=True)
class Summary:
    """How a group of rows did.

    Args:
        n, trials: figures, and trials they come from.
        coverage: fraction inside the 90 % interval.
        score, lookup_score: interval scores, averaged by trial and then over trials, of rows that the lookup predicts.
        sharpness: median width over the width of pure sampling.
        lookup_coverage: fraction inside the lookup's interval, of rows that it predicts.
        width_to_lookup: median width over the lookup's, of the same rows.
    """

    n: int
    trials: int
    coverage: float
    score: float
    lookup_score: float
    sharpness: float
    lookup_coverage: float
    width_to_lookup: float

    @property
    def gain(self) -> float:
        """By how much the score is better than the lookup's, as a fraction."""
        return 1.0 - self.score / self.lookup_score


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannedContrast:
    """Active minus control in a trial that prints no such difference: what it would show.

    Args:
        active, control: the arms.
        scale, time_h: what is compared and when.
        value, lo90, hi90: points.
        chance_significant: of p < 0.05.
    """

    active: ArmDesign
    control: ArmDesign
    scale: str
    time_h: float
    value: float
    lo90: float
    hi90: float
    chance_significant: float


@dataclass(frozen=True, kw_only=True)
class Validation:
    """The whole table.

    Args:
        model: version of the population.
        seed: of the virtual patients.
        rows: every applicable figure.
        planned: contrasts of trials that print none.
    """

    model: str
    seed: int
    rows: tuple[Row, ...]
    planned: tuple[PlannedContrast, ...]

    @cached_property
    def held_out(self) -> tuple[Row, ...]:
        """Rows of trials that were never fitted and are kept apart."""
        return tuple(row for row in self.rows if row.scored.trial.role in HELD_OUT)

    def groups(self, rows: Sequence[Row]) -> Mapping[str, Summary]:
        """Summaries: all, by kind, control arms, by condition; groups without a row are left out."""
        found: dict[str, list[Row]] = {"all": list(rows)}
        for row in rows:
            names = [
                str(row.kind),
                row.scored.condition.words,
                *(["control arms"] if row.is_control else []),
            ]
            for name in names:
                found.setdefault(name, []).append(row)
        order = ["all", *Kind, "control arms", *(c.words for c in Condition)]
        return {str(name): summarise(found[name]) for name in order if name in found}


def interval_score(observed: float, low: float, high: float) -> float:
    """Winkler's score of a central 90 % interval: its width, and 20 times what the value lies outside of it.

    Source: Gneiting and Raftery 2007, J Am Stat Assoc 102:359-378, section 6.2.

    >>> interval_score(1.0, 0.0, 2.0), interval_score(3.0, 0.0, 2.0)
    (2.0, 22.0)
    """
    return (high - low) + 2.0 / _LEVEL * (max(low - observed, 0.0) + max(observed - high, 0.0))


def summarise(rows: Sequence[Row]) -> Summary:
    """How rows did; see `Summary`."""
    by_trial: dict[str, list[Row]] = {}
    for row in rows:
        by_trial.setdefault(row.scored.trial.key, []).append(row)
    pairs = [[(r.score, s) for r in some if (s := r.lookup_score) is not None] for some in by_trial.values()]
    means = np.array([np.mean(some, axis=0) for some in pairs if some]).reshape(-1, 2)
    score, lookup = means.mean(axis=0) if len(means) else (float("nan"), float("nan"))
    return Summary(
        n=len(rows),
        trials=len(by_trial),
        coverage=float(np.mean([row.inside for row in rows])),
        score=float(score),
        lookup_score=float(lookup),
        sharpness=float(np.median([row.relative_width for row in rows])),
        lookup_coverage=_mean([row.lookup_inside for row in rows if row.lookup_inside is not None]),
        width_to_lookup=_median([w for row in rows if (w := row.width_to_lookup) is not None]),
    )


def _mean(values: Sequence[float]) -> float:
    return float(np.mean(values)) if len(values) else float("nan")


def _median(values: Sequence[float]) -> float:
    return float(np.median(values)) if len(values) else float("nan")


def validate(
    *,
    seed: int = 0,
    populations: Callable[[Condition], Population] = load_population,
    figures: Sequence[ScoredFigure] | None = None,
    n_draws: int = N_DRAWS,
    patients_per_draw: int = PATIENTS_PER_DRAW,
    progress: Callable[[float], None] | None = None,
) -> Validation:
    """Predict every applicable figure and score the predictions.

    Args:
        seed: same seed, same table.
        populations: from a condition to its population; the shipped ones by default.
        figures: None for all that are applicable.
        n_draws: draws of the population for each arm.
        patients_per_draw: virtual patients of each.
        progress: called with the fraction done.

    >>> some = [f for f in scored_figures() if f.trial.key == "murrough2013_ajp" and f.scale == "MADRS"]
    >>> found = validate(figures=some, n_draws=16, patients_per_draw=16)
    >>> len(found.rows), found.held_out
    (5, ())
    """
    chosen = scored_figures() if figures is None else tuple(figures)
    planned = _planned_pairs(chosen)
    wanted: list[tuple[ArmDesign, str, ReadAt]] = [(arm, f.scale, f.read_at) for f in chosen for arm in f.arms]
    wanted += [(arm, scale, read) for pair, scale, read in planned for arm in pair]
    conditions = {(f.arm.key, f.scale): f.condition for f in chosen}
    runs = arm_runs(wanted)
    found: dict[tuple[tuple[str, str], str, ReadAt], Reported] = {}
    for done, run in enumerate(runs):
        population = populations(conditions.get((run.design.key, run.scale), Condition.DEPRESSION))
        got = run_draws(population, run, seed=seed, n_draws=n_draws, patients_per_draw=patients_per_draw)
        found |= {(run.design.key, run.scale, read): one for read, one in got.items()}
        if progress:
            progress((done + 1) / len(runs))
    lookup = Lookup(scored_figures())
    return Validation(
        model=_model(populations(Condition.DEPRESSION)),
        seed=seed,
        rows=tuple(_row(f, found, lookup) for f in chosen),
        planned=tuple(_planned(pair, scale, read, found) for pair, scale, read in planned),
    )


def _model(population: Population) -> str:
    return f"{population.version} ({(population.digest or 'priors')[:16]})"


def predicted(got: Reported, f: ScoredFigure) -> tuple[FloatArray, FloatArray, Interval]:
    """What trials of a figure's size would report: means and sampling errors by draw, and their predictive.

    Args:
        got: what the arm reports in each draw, at the figure's time or another.
        f: whose statistic and number of patients it is.

    Returns: points or per cent.
    """
    if f.statistic in (Statistic.MEAN_CHANGE, Statistic.MEAN_SCORE):
        errors: FloatArray = np.sqrt(got.variance / (f.n or 1))
        return got.mean, errors, mean_interval(got.mean, errors)
    n = np.maximum(got.at_risk * (f.arm.n or 1) if f.n is None else np.full(len(got.mean), f.n), 1.0)
    errors = 100.0 * np.sqrt(np.maximum(got.variance, 0.0) / n)  # a chance of nothing may be rounded below it
    return 100.0 * got.mean, errors, proportion_interval(got.mean, np.round(n))


def _row(f: ScoredFigure, found: Mapping[tuple[tuple[str, str], str, ReadAt], Reported], lookup: Lookup) -> Row:
    got = found[f.arm.key, f.scale, f.read_at]
    significant = None
    if f.control is not None:
        other = found[f.control.key, f.scale, f.read_at]
        means, errors = _difference(got, other, f.arm.n, f.control.n)
        errors = np.full(len(means), f.se) if f.se is not None else errors
        interval, significant = mean_interval(means, errors), _chance_significant(means, errors)
    else:
        means, errors, interval = predicted(got, f)
    sampling = float(np.sqrt(np.mean(errors**2)))
    sd = float(np.sqrt(np.var(means) + sampling**2))
    return Row(
        scored=f,
        value=interval.value,
        lo90=interval.lo90,
        hi90=interval.hi90,
        sd=max(sd, 1e-6),
        sampling_sd=max(sampling, 1e-6),
        chance_significant=significant,
        lookup=lookup.predict(f),
        per_cent=lookup.per_cent(f),
    )


def _difference(a: Reported, b: Reported, n_a: int | None, n_b: int | None) -> tuple[FloatArray, FloatArray]:
    errors: FloatArray = np.sqrt(a.variance / (n_a or 1) + b.variance / (n_b or 1))
    return a.mean - b.mean, errors


def _chance_significant(means: FloatArray, errors: FloatArray) -> float:
    """Chance of p < 0.05 two-sided, over the draws."""
    z = means / errors
    return float(np.mean(ndtr(z - _Z975) + ndtr(-z - _Z975)))


_Pair = tuple[tuple[ArmDesign, ArmDesign], str, ReadAt]


def _planned_pairs(chosen: Iterable[ScoredFigure]) -> list[_Pair]:
    """Active and control arms of trials of depression without a printed difference, at their last time to week 4."""
    by_trial: dict[str, list[ScoredFigure]] = {}
    for f in chosen:
        by_trial.setdefault(f.trial.key, []).append(f)
    pairs: list[_Pair] = []
    for key, some in by_trial.items():
        arms = [design for design in arm_designs().values() if design.trial == key]
        times = [f.time_h for f in some if f.time_h <= 28.5 * HOURS_PER_DAY and f.condition is Condition.DEPRESSION]
        if any(f.control is not None for f in some) or not times:
            continue
        scale, read = some[0].scale, ReadAt(statistic=Statistic.MEAN_CHANGE, time_h=max(times))
        pairs += [
            ((active, control), scale, read)
            for active in arms
            for control in arms
            if active.given is not None and control.given is None and active.stratum == control.stratum
        ]
    return pairs


def _planned(
    pair: tuple[ArmDesign, ArmDesign],
    scale: str,
    read: ReadAt,
    found: Mapping[tuple[tuple[str, str], str, ReadAt], Reported],
) -> PlannedContrast:
    active, control = pair
    means, errors = _difference(found[active.key, scale, read], found[control.key, scale, read], active.n, control.n)
    interval = mean_interval(means, errors)
    return PlannedContrast(
        active=active,
        control=control,
        scale=scale,
        time_h=read.time_h,
        value=interval.value,
        lo90=interval.lo90,
        hi90=interval.hi90,
        chance_significant=_chance_significant(means, errors),
    )
