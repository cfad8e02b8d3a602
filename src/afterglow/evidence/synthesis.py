"""What can be pooled: for each outcome the comparable contrasts of the trials, and why the others are left out."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum

from afterglow.evidence.figures import Z975, Favours, Figure, SpreadKind, Statistic, TimeOrigin
from afterglow.evidence.pooling import Effect, PooledEffect, PoolingMethod, pool
from afterglow.evidence.studies import (
    MetaAnalysis,
    StudiedCondition,
    StudyKind,
    Trial,
    TrialArm,
    meta_analyses,
    trials,
)
from afterglow.provenance import Role, Verified
from afterglow.records import unknown_name


class EffectMeasure(StrEnum):
    """The scale effects are pooled on; ratios are pooled as logarithms."""

    MEAN_DIFFERENCE = "mean_difference"
    STANDARDISED_MEAN_DIFFERENCE = "standardised_mean_difference"
    LOG_ODDS_RATIO = "log_odds_ratio"
    LOG_HAZARD_RATIO = "log_hazard_ratio"


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """A question that several trials answer in the same way.

    Args:
        name, title: what it is called, and what is compared.
        measure, unit: scale of the effects; `better` says which sign favours the drug.
        printed: statistics of printed contrasts that answer it.
        from_arms: statistic of the two arms from which it is computed where no contrast is printed; None for never.
        days: first and last day counted from the first dose; None where no time is printed.
        scales: rating scales that are comparable here; empty for any.
        published, published_word: statistics of meta-analyses shown beside, and a word their measure must hold.
    """

    name: str
    title: str
    measure: EffectMeasure
    unit: str
    better: str
    conditions: frozenset[StudiedCondition]
    printed: frozenset[Statistic]
    from_arms: Statistic | None
    days: tuple[float, float] | None
    scales: frozenset[str]
    published: frozenset[Statistic]
    published_word: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class OutcomeRow:
    """One contrast that was pooled: first arm against second, oriented as `Outcome.better` says."""

    trial: Trial
    contrast: tuple[str, str]
    effect: Effect
    basis: str
    figures: tuple[Figure, ...]

    @property
    def role(self) -> Role:
        """What the figure may be used for; a held-out one is pooled for display only."""
        return self.trial.role


@dataclass(frozen=True, slots=True, kw_only=True)
class ExcludedRow:
    """A contrast that was left out, and why."""

    trial: Trial
    contrast: tuple[str, str]
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class PublishedResult:
    """What a meta-analysis printed on the same question; its trials overlap with the rows."""

    study: MetaAnalysis
    figure: Figure


@dataclass(frozen=True, slots=True, kw_only=True)
class OutcomePool:
    """An outcome pooled from our trials, everything that was left out, and what others published."""

    outcome: Outcome
    pooled: PooledEffect
    rows: tuple[OutcomeRow, ...]
    excluded: tuple[ExcludedRow, ...]
    published: tuple[PublishedResult, ...]


_DEPRESSION = frozenset({StudiedCondition.DEPRESSION})
_SUICIDAL = frozenset({StudiedCondition.DEPRESSION, StudiedCondition.SUICIDAL_IDEATION})
_MADRS = frozenset({"MADRS"})
_DIFFERENCES = frozenset({Statistic.MEAN_DIFF, Statistic.ADJUSTED_MEAN_DIFF})
_STANDARDISED = frozenset({Statistic.COHEN_D, Statistic.HEDGES_G, Statistic.SMD})
_EFFECTS = _STANDARDISED | {Statistic.BETA, Statistic.EFFECT_SIZE}
_RATIOS = frozenset({Statistic.ODDS_RATIO, Statistic.RISK_RATIO})
_LOWER = "negative favours the drug"


def _points(name: str, title: str, days: tuple[float, float]) -> Outcome:
    return Outcome(
        name=name,
        title=title,
        measure=EffectMeasure.MEAN_DIFFERENCE,
        unit="MADRS points",
        better=_LOWER,
        conditions=_DEPRESSION,
        printed=_DIFFERENCES,
        from_arms=None,
        days=days,
        scales=_MADRS,
        published=_DIFFERENCES | _EFFECTS,
    )


def _standardised(
    name: str,
    title: str,
    days: tuple[float, float],
    *,
    conditions: frozenset[StudiedCondition] = _DEPRESSION,
    scales: frozenset[str] = frozenset(),
    from_arms: Statistic | None = None,
    published_word: str = "",
) -> Outcome:
    return Outcome(
        name=name,
        title=title,
        measure=EffectMeasure.STANDARDISED_MEAN_DIFFERENCE,
        unit="standard deviations",
        better=_LOWER,
        conditions=conditions,
        printed=_STANDARDISED,
        from_arms=from_arms,
        days=days,
        scales=scales,
        published=_EFFECTS,
        published_word=published_word,
    )


def _odds(name: str, title: str, days: tuple[float, float], statistic: Statistic) -> Outcome:
    return Outcome(
        name=name,
        title=title,
        measure=EffectMeasure.LOG_ODDS_RATIO,
        unit="log odds ratio",
        better="positive favours the drug",
        conditions=_DEPRESSION,
        printed=frozenset(),
        from_arms=statistic,
        days=days,
        scales=_MADRS,
        published=_RATIOS,
        published_word=statistic.removesuffix("_pct"),
    )


_SUICIDAL_SCALES = frozenset({"SSI", "MADRS item 10", "suicidal ideation"})
_OUTCOMES = {
    outcome.name: outcome
    for outcome in (
        _standardised(
            "depression-40min",
            "depression 40 minutes after the start of one infusion",
            (0.02, 0.05),
            scales=frozenset({"MADRS", "HAM-D21"}),
        ),
        _points("depression-4h", "depression 2 to 4 hours after the first dose", (0.08, 0.17)),
        _points("depression-24h", "depression 24 hours after the first dose", (0.9, 1.1)),
        _points("depression-7d", "depression a week after the first dose", (6.0, 8.0)),
        _points("depression-28d", "depression after four weeks of repeated doses", (27.0, 29.0)),
        _odds("depression-response-24h", "response 24 hours after the first dose", (0.9, 1.1), Statistic.RESPONSE_PCT),
        _odds("depression-response-28d", "response after four weeks", (27.0, 29.0), Statistic.RESPONSE_PCT),
        _odds("depression-remission-28d", "remission after four weeks", (27.0, 29.0), Statistic.REMISSION_PCT),
        Outcome(
            name="depression-relapse",
            title="relapse on continued drug against its withdrawal",
            measure=EffectMeasure.LOG_HAZARD_RATIO,
            unit="log hazard ratio",
            better=_LOWER,
            conditions=_DEPRESSION,
            printed=frozenset({Statistic.HAZARD_RATIO}),
            from_arms=None,
            days=None,
            scales=frozenset(),
            published=frozenset({Statistic.HAZARD_RATIO}),
        ),
        _standardised(
            "suicidal-ideation-24h",
            "suicidal ideation 24 hours after one dose",
            (0.9, 1.1),
            conditions=_SUICIDAL,
            scales=_SUICIDAL_SCALES,
            from_arms=Statistic.MEAN,
            published_word="suicidal",
        ),
        _standardised(
            "ptsd-2w",
            "PTSD after two weeks of repeated doses",
            (12.0, 16.0),
            conditions=frozenset({StudiedCondition.PTSD}),
        ),
    )
}


def outcomes() -> tuple[Outcome, ...]:
    """Every outcome that at least one trial answers with an effect and its spread.

    >>> "depression-24h" in [outcome.name for outcome in outcomes()]
    True
    """
    return tuple(_OUTCOMES.values())


def pool_outcome(name: str, *, method: PoolingMethod = PoolingMethod.PAULE_MANDEL) -> OutcomePool:
    """One outcome pooled over the trials that answer it.

    A contrast enters if it compares the drug with a control, was read at a page or derived from such figures, and has
    a spread. Contrasts of a trial that share an arm are not independent: the highest dose stays. Of trials that share
    patients the larger stays. Held-out figures enter for display only, and their rows say so: a pooled effect is
    never fitted.

    Raises: UnknownName listing the outcomes.

    >>> found = pool_outcome("depression-24h")
    >>> [row.trial.key for row in found.rows]
    ['murrough2013_ajp', 'daly2018', 'fu2020_aspire1', 'ionescu2021_aspire2']
    """
    if name not in _OUTCOMES:
        raise unknown_name("No outcome has this name", name, _OUTCOMES)
    outcome = _OUTCOMES[name]
    candidates = [
        candidate
        for trial in trials()
        if trial.condition in outcome.conditions
        for candidate in (*_printed(trial, outcome), *_computed(trial, outcome))
    ]
    excluded = [row for row in candidates if isinstance(row, ExcludedRow)]
    kept = _independent([row for row in candidates if isinstance(row, OutcomeRow)], excluded)
    return OutcomePool(
        outcome=outcome,
        pooled=pool([row.effect for row in kept], method=method),
        rows=tuple(kept),
        excluded=tuple(excluded),
        published=tuple(
            PublishedResult(study=study, figure=figure)
            for study in meta_analyses()
            if study.condition in outcome.conditions
            for figure in study.figures
            if figure.statistic in outcome.published
            and outcome.published_word in (figure.measure or "")
            and _in_window(figure, outcome)
        ),
    )


def _printed(trial: Trial, outcome: Outcome) -> Iterator[OutcomeRow | ExcludedRow]:
    for figure in trial.figures:
        if figure.contrast is not None and figure.statistic in outcome.printed and _asks(figure, outcome):
            first, second = (trial.arm(arm) for arm in figure.contrast)
            refusal = _refusal(figure)
            if not _against_control(first, second):
                refusal = "does not compare the drug with a control"
            made = refusal or _from_print(trial.kind, first, second, figure, outcome)
            yield _judged(trial, figure.contrast, made, (figure,))


def _computed(trial: Trial, outcome: Outcome) -> Iterator[OutcomeRow | ExcludedRow]:
    if outcome.from_arms is None:
        return
    by_arm = {
        figure.arm: figure
        for figure in trial.figures
        if figure.statistic is outcome.from_arms and _asks(figure, outcome)
    }
    compute = _odds_ratio if outcome.measure is EffectMeasure.LOG_ODDS_RATIO else _hedges_g
    for first, second in itertools.permutations(trial.arms, 2):
        if first.id in by_arm and second.id in by_arm and _against_control(first, second):
            pair = by_arm[first.id], by_arm[second.id]
            made = _refusal(*pair) or compute(first, second, *pair)
            yield _judged(trial, (first.id, second.id), made, pair)


_Made = tuple[float, float, str]
"""Estimate, variance and where they come from."""


def _judged(
    trial: Trial, contrast: tuple[str, str], made: _Made | str, figures: tuple[Figure, ...]
) -> OutcomeRow | ExcludedRow:
    if isinstance(made, str):
        return ExcludedRow(trial=trial, contrast=contrast, reason=made)
    estimate, variance, basis = made
    label = f"{trial.citation.first_author} {trial.citation.year}, {contrast[0]} against {contrast[1]}"
    effect = Effect(label=label, estimate=estimate, variance=variance)
    return OutcomeRow(trial=trial, contrast=contrast, effect=effect, basis=basis, figures=figures)


def _refusal(*figures: Figure) -> str | None:
    for figure in figures:
        if figure.provenance.verified is Verified.RECALLED:
            return "from memory, not read at a page"
        if figure.do_not_fit:
            return "the publication contradicts itself"
        if figure.value is None:
            return "the value was not read"
    return None


def _from_print(kind: StudyKind, first: TrialArm, second: TrialArm, figure: Figure, outcome: Outcome) -> _Made | str:
    value = figure.value or 0.0
    se, interval = figure.spread(SpreadKind.SE), figure.spread(SpreadKind.CI95)
    lo, hi = (None, None) if interval is None else (interval.lo, interval.hi)
    if outcome.measure is EffectMeasure.LOG_HAZARD_RATIO:
        if lo is None or hi is None:
            return "no interval to derive a standard error from"
        return math.log(value), (math.log(hi / lo) / (2 * Z975)) ** 2, "printed 95 % interval"
    # Printed signs differ between publications: what counts is the arm that did better.
    oriented = abs(value) if figure.favours is Favours.SECOND else -abs(value)
    if se is not None and se.value is not None:
        return oriented, se.value**2, "printed standard error"
    if lo is not None and hi is not None:
        return oriented, ((hi - lo) / (2 * Z975)) ** 2, "printed 95 % interval"
    if outcome.measure is EffectMeasure.MEAN_DIFFERENCE or not first.n or not second.n:
        return "no spread to derive a standard error from"
    if kind not in {StudyKind.RCT, StudyKind.RCT_PARALLEL}:
        return "group sizes do not give a standard error in a crossover"
    return oriented, _smd_variance(value, first.n, second.n), "group sizes (variance of Hedges and Olkin 1985)"


def _odds_ratio(first: TrialArm, second: TrialArm, one: Figure, two: Figure) -> _Made | str:
    cells: list[float] = []
    for arm, figure in ((first, one), (second, two)):
        n = figure.n or arm.n
        if n is None:
            return "no group sizes to compute it from"
        events = round((figure.value or 0.0) * n / 100) if figure.events is None else figure.events
        cells += [events, n - events]
    basis = "counts of the arms"
    if 0 in cells:  # Haldane's correction; without it the ratio is infinite
        cells, basis = [cell + 0.5 for cell in cells], "counts of the arms, 0.5 added to each because one is zero"
    return math.log(cells[0] * cells[3] / (cells[1] * cells[2])), sum(1 / cell for cell in cells), basis


def _hedges_g(first: TrialArm, second: TrialArm, one: Figure, two: Figure) -> _Made | str:
    """The difference of two means over the pooled SD, with the small-sample factor 1 - 3 / (4 df - 1)."""
    n1, n2 = one.n or first.n, two.n or second.n
    sd1, sd2 = (spread and spread.value for spread in (one.spread(SpreadKind.SD), two.spread(SpreadKind.SD)))
    if not (n1 and n2 and sd1 and sd2):
        return "no group sizes and SDs to compute it from"
    df = n1 + n2 - 2
    pooled_sd = math.sqrt(((n1 - 1) * sd1**2 + (n2 - 1) * sd2**2) / df)
    g = ((one.value or 0.0) - (two.value or 0.0)) / pooled_sd * (1 - 3 / (4 * df - 1))
    return g, _smd_variance(g, n1, n2), "means and SDs of the arms (Hedges' g)"


def _smd_variance(d: float, n1: int, n2: int) -> float:
    return (n1 + n2) / (n1 * n2) + d**2 / (2 * (n1 + n2))


def _independent(rows: list[OutcomeRow], excluded: list[ExcludedRow]) -> list[OutcomeRow]:
    """The rows that share neither an arm nor patients with a better one; the rest goes to `excluded`."""
    kept: list[OutcomeRow] = []
    for row in sorted(rows, key=lambda row: (-_patients(row.trial, rows), -_dose(row))):
        reason = next((found for other in kept if (found := _dependence(row, other)) is not None), None)
        if reason is None:
            kept.append(row)
        else:
            excluded.append(ExcludedRow(trial=row.trial, contrast=row.contrast, reason=reason))
    return sorted(kept, key=lambda row: (row.trial.citation.year or 0, row.trial.key))


def _dependence(row: OutcomeRow, other: OutcomeRow) -> str | None:
    versus = " against ".join(other.contrast)
    if row.trial.key == other.trial.key:
        shared = set(row.contrast) & set(other.contrast)
        return f"shares the arm {', '.join(shared)} with {versus}, which has the higher dose" if shared else None
    if row.trial.key in other.trial.overlaps or other.trial.key in row.trial.overlaps:
        return f"shares patients with {other.trial.key}, which is larger"
    return None


def _patients(trial: Trial, rows: list[OutcomeRow]) -> int:
    arms = {arm for row in rows if row.trial.key == trial.key for arm in row.contrast}
    return sum(trial.arm(arm).n or 0 for arm in arms)


def _dose(row: OutcomeRow) -> float:
    dose = row.trial.arm(row.contrast[0]).dose
    return 0.0 if dose is None else dose.mg or dose.mg_per_kg or 0.0


def _against_control(first: TrialArm, second: TrialArm) -> bool:
    return first.form is not None and second.form is None and first.stratum == second.stratum


def _asks(figure: Figure, outcome: Outcome) -> bool:
    return _in_window(figure, outcome) and (not outcome.scales or figure.scale in outcome.scales)


def _in_window(figure: Figure, outcome: Outcome) -> bool:
    if outcome.days is None:
        return True
    if figure.t_days is None or figure.t_from is not TimeOrigin.FIRST_DOSE:
        return False
    return outcome.days[0] <= figure.t_days <= outcome.days[1]
