"""What a person can ask of the evidence: what there is, figures in words, and an outcome pooled for reading."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, fields, is_dataclass
from typing import Any

from afterglow.evidence import (
    PREDICTION_FORMULA,
    Z975,
    ClaimEvidence,
    EffectMeasure,
    Figure,
    MetaAnalysis,
    OutcomePool,
    OutcomeRow,
    PoolingMethod,
    Spread,
    SpreadKind,
    Statistic,
    TimeOrigin,
    TrialArm,
    Verdict,
    claims,
    meta_analyses,
    outcomes,
    pool_outcome,
    trials,
)
from afterglow.provenance import Provenance, Role, Verified
from afterglow.quantities import HOURS_PER_DAY, format_duration
from afterglow.render.text import (
    MINUS,
    format_number,
    format_percent,
    format_range,
    format_significant,
)

ROLE_USES: Mapping[Role, str] = {
    Role.CALIBRATION: "may be fitted",
    Role.BOUND: "may bound a prior or a sign, never fitted",
    Role.CONTEXT: "neither fitted nor kept apart",
    Role.HELD_OUT: "judges the model, never fitted",
    Role.HELD_OUT_SHARED: "judges the acute endpoint only: some patients are also in a calibration trial",
}
VERDICT_MARKS: Mapping[Verdict, str] = {
    Verdict.SUPPORTED: "✓",
    Verdict.PARTLY_SUPPORTED: "◐",
    Verdict.OVERSTATED: "↗",
    Verdict.CONTRADICTED: "✗",
    Verdict.CITATION_NOT_FOUND: "?",
}
METHOD_NAMES: Mapping[PoolingMethod, str] = {
    PoolingMethod.PAULE_MANDEL: "Paule-Mandel",
    PoolingMethod.DERSIMONIAN_LAIRD: "DerSimonian-Laird",
}
FROM_MEMORY = "from memory, not confirmed"
SIGN_WARNING = "Publications sign a benefit either way, so a sign alone does not say which side did better."

_HELD_OUT = frozenset({Role.HELD_OUT, Role.HELD_OUT_SHARED})
# Published results that lie on the axis of our pool. Standardised ones do not: publications sign a benefit either way.
_SAME_AXIS: Mapping[EffectMeasure, frozenset[Statistic]] = {
    EffectMeasure.MEAN_DIFFERENCE: frozenset({Statistic.MEAN_DIFF, Statistic.ADJUSTED_MEAN_DIFF}),
    EffectMeasure.STANDARDISED_MEAN_DIFFERENCE: frozenset(),
    EffectMeasure.LOG_ODDS_RATIO: frozenset({Statistic.ODDS_RATIO}),
    EffectMeasure.LOG_HAZARD_RATIO: frozenset({Statistic.HAZARD_RATIO}),
}
_STATISTIC_WORDS: Mapping[Statistic, str] = {
    Statistic.MEAN_DIFF: "mean difference",
    Statistic.ADJUSTED_MEAN_DIFF: "adjusted mean difference",
    Statistic.MEDIAN_DIFF: "median difference",
    Statistic.SE_OF_MEAN_DIFF: "standard error of a mean difference",
    Statistic.SMD: "standardised mean difference",
    Statistic.COHEN_D: "Cohen's d",
    Statistic.HEDGES_G: "Hedges' g",
    Statistic.COHEN_D_WITHIN: "Cohen's d before to after",
    Statistic.HEDGES_G_WITHIN: "Hedges' g before to after",
    Statistic.RISK_DIFF_PCT: "risk difference",
    Statistic.PCT: "proportion",
    Statistic.PCT_CHANGE: "relative change",
    Statistic.CLASS_PCT: "share of a class",
    Statistic.R2: "R²",
    Statistic.P_VALUE: "test",
    Statistic.OTHER: "",
}
_SPREAD_WORDS: Mapping[SpreadKind, str] = {
    SpreadKind.SD: "SD",
    SpreadKind.SE: "SE",
    SpreadKind.CI95: "95 %",
    SpreadKind.CI90: "90 %",
    SpreadKind.IQR: "quartiles",
    SpreadKind.RANGE: "range",
    SpreadKind.UNLABELLED: "±",
}
_PER_CENT = frozenset(statistic for statistic in Statistic if "pct" in statistic)
_DAYS = frozenset(statistic for statistic in Statistic if "_days" in statistic)


@dataclass(frozen=True, slots=True, kw_only=True)
class Overview:
    """What the evidence holds.

    Args:
        roles: trials by role.
        verdicts: claims by verdict.
        figures, recalled: figures of all trials, and how many of them are from memory.
        pools: every outcome, pooled.
    """

    roles: Mapping[Role, int]
    verdicts: Mapping[Verdict, int]
    meta_analyses: int
    figures: int
    recalled: int
    pools: tuple[OutcomePool, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class ShownEffect:
    """An effect and its 95 % interval in the unit a reader sees: ratios, not their logarithms."""

    estimate: float
    lo95: float
    hi95: float


@dataclass(frozen=True, slots=True, kw_only=True)
class ShownRow:
    """One pooled contrast.

    Args:
        label: first author, year, and the part of the trial where it is not all of it.
        drug, control: what the two arms were given.
        weight_pct: its share of the pooled effect.
    """

    row: OutcomeRow
    label: str
    drug: str
    control: str
    effect: ShownEffect
    weight_pct: float

    @property
    def sources(self) -> tuple[str, ...]:
        """Keys of the sources of its figures."""
        return tuple(dict.fromkeys(key for figure in self.row.figures for key in figure.provenance.source))


@dataclass(frozen=True, slots=True, kw_only=True)
class PublishedBeside:
    """What a meta-analysis printed; `effect` is None where it does not lie on the axis of our pool."""

    study: MetaAnalysis
    figure: Figure
    effect: ShownEffect | None

    @property
    def label(self) -> str:
        """First author and year."""
        return f"{self.study.citation.first_author} {self.study.citation.year or 'undated'}"


@dataclass(frozen=True, slots=True, kw_only=True)
class PoolAnswer:
    """An outcome pooled, in the unit a reader sees.

    Args:
        pool: the outcome on the scale it was pooled on.
        prediction95: where the true effect of a further trial would lie; None below three trials.
        published: meta-analyses on the same question that were read at a page.
        recalled_left_out: those that are known from memory only.
    """

    pool: OutcomePool
    effect: ShownEffect
    prediction95: tuple[float, float] | None
    rows: tuple[ShownRow, ...]
    published: tuple[PublishedBeside, ...]
    recalled_left_out: int

    @property
    def is_ratio(self) -> bool:
        """Whether effects were pooled as logarithms and are shown as ratios."""
        return _is_ratio(self.pool)

    @property
    def no_effect(self) -> float:
        """The value that means no difference."""
        return 1.0 if self.is_ratio else 0.0

    @property
    def source_keys(self) -> tuple[str, ...]:
        """Keys of the sources of everything shown."""
        figures = [figure for row in self.rows for figure in row.row.figures]
        return source_keys(figure.provenance for figure in [*figures, *(found.figure for found in self.published)])

    @property
    def unit(self) -> str:
        """What the shown numbers are."""
        return self.pool.outcome.unit.removeprefix("log ")

    @property
    def lower_favours_drug(self) -> bool:
        """Whether a smaller number is the better one."""
        return self.pool.outcome.better.startswith("negative")

    @property
    def better(self) -> str:
        """Which side favours the drug, in words."""
        if self.is_ratio:
            return f"{'below' if self.lower_favours_drug else 'above'} 1 favours the drug"
        return self.pool.outcome.better

    @property
    def held_out(self) -> int:
        """How many rows are held out."""
        return sum(row.row.role in _HELD_OUT for row in self.rows)

    @property
    def notes(self) -> tuple[str, ...]:
        """What a reader must know beside the numbers."""
        said = []
        if self.pool.pooled.prediction95 is None:
            status = str(self.pool.pooled.status)
            said.append(f"{status[0].upper()}{status[1:]}.")
        if self.held_out:
            said.append(
                f"{self.held_out} of {len(self.rows)} rows are held out: they are pooled for display only, "
                "and nothing is fitted to them."
            )
        if self.is_ratio:
            said.append(f"Pooled as {self.pool.outcome.unit}s and shown as {self.unit}s; τ² is on the log scale.")
        doubted = dict.fromkeys(found.label for found in self.published if found.figure.do_not_fit)
        if doubted:
            said.append(f"In doubt, so listed but not drawn (see the caveats): {', '.join(doubted)}.")
        if self.recalled_left_out:
            said.append(f"Published results known from memory only and left out: {self.recalled_left_out}.")
        return tuple(said)

    @property
    def decimals(self) -> int:
        """How its numbers are written: points to one decimal, anything else to two."""
        return 1 if self.pool.outcome.measure is EffectMeasure.MEAN_DIFFERENCE else 2

    def number(self, value: float) -> str:
        """A number of this outcome as it is written."""
        return format_number(value, self.decimals)

    def interval(self, effect: ShownEffect) -> str:
        """The 95 % interval of an effect."""
        return format_range(self.number(effect.lo95), self.number(effect.hi95))


def overview(progress: Callable[[float], None] | None = None) -> Overview:
    """Counts of everything, and each outcome pooled.

    Args:
        progress: told the fraction done; loading the statistics library takes a second.

    >>> found = overview()
    >>> sum(found.roles.values()) > 60, found.recalled < found.figures
    (True, True)
    """
    every = trials()
    figures = [figure for trial in every for figure in trial.figures]
    pools = []
    for i, outcome in enumerate(outcomes()):
        pools.append(pool_outcome(outcome.name))
        if progress is not None:
            progress((i + 1) / len(outcomes()))
    roles, verdicts = Counter(trial.role for trial in every), Counter(claim.verdict for claim in claims())
    return Overview(
        roles={role: roles[role] for role in Role},
        verdicts={verdict: verdicts[verdict] for verdict in Verdict},
        meta_analyses=len(meta_analyses()),
        figures=len(figures),
        recalled=sum(is_recalled(figure.provenance) for figure in figures),
        pools=tuple(pools),
    )


def pooled_outcome(name: str, *, method: PoolingMethod = PoolingMethod.PAULE_MANDEL) -> PoolAnswer:
    """An outcome pooled over its trials, beside what meta-analyses printed.

    Raises: UnknownName with close matches.

    >>> answer = pooled_outcome("depression-relapse")
    >>> answer.unit, answer.better, answer.number(answer.effect.estimate)
    ('hazard ratio', 'below 1 favours the drug', '0.39')
    """
    return shown_pool(pool_outcome(name, method=method))


def shown_pool(pool: OutcomePool) -> PoolAnswer:
    """A pooled outcome in the unit a reader sees; what is recalled is counted and left out."""
    pooled = pool.pooled
    confirmed = [found for found in pool.published if not is_recalled(found.figure.provenance)]
    return PoolAnswer(
        pool=pool,
        effect=_shown(pool, pooled.estimate, *pooled.ci95),
        prediction95=None if pooled.prediction95 is None else _displayed(pool, *pooled.prediction95),
        rows=tuple(_row(pool, row, weight) for row, weight in zip(pool.rows, pooled.weights, strict=True)),
        published=tuple(
            PublishedBeside(study=found.study, figure=found.figure, effect=_on_axis(pool, found.figure))
            for found in confirmed
        ),
        recalled_left_out=len(pool.published) - len(confirmed),
    )


def heterogeneity_words(answer: PoolAnswer) -> tuple[tuple[str, str], ...]:
    """How much the trials differ, by name; empty for a single trial.

    >>> [name for name, _ in heterogeneity_words(pooled_outcome("depression-24h"))]
    ['Between-trial variance', 'Test of homogeneity', 'Prediction interval']
    """
    pooled = answer.pool.pooled
    if pooled.tau2 is None or pooled.i2_pct is None or pooled.q is None or pooled.q_p is None:
        return ()
    said = [
        (
            "Between-trial variance",
            f"τ² {format_significant(pooled.tau2)}, I² {format_percent(pooled.i2_pct, predicted=False)} of the total",
        ),
        (
            "Test of homogeneity",
            f"Q {format_number(pooled.q, 1)} on {pooled.q_df} df, p = {format_significant(pooled.q_p, 2)}",
        ),
    ]
    if answer.prediction95 is not None:
        low, high = map(answer.number, answer.prediction95)
        said.append(
            ("Prediction interval", f"{low} to {high}: the true effect of a further trial. {PREDICTION_FORMULA}")
        )
    return tuple(said)


def is_recalled(provenance: Provenance) -> bool:
    """Whether something is from memory and must never be shown as a fact."""
    return provenance.verified is Verified.RECALLED


def typeset(text: str) -> str:
    """Words from the records as they are printed: a true minus, spaced per cent, signs for "at least" and "at most".

    >>> typeset("-3.8 MADRS (CI -6.56 to -1.09), >=50% on 0.25-1 mg/kg")
    '−3.8 MADRS (CI −6.56 to −1.09), ≥50 % on 0.25-1 mg/kg'
    """
    text = re.sub(r"(^|[\s(=<>])-(?=\d)", rf"\1{MINUS}", text.replace(">=", "≥").replace("<=", "≤"))
    return re.sub(r"(?<=\d)%", " %", text)


def printed(value: float) -> str:
    """A published number with the digits it was published with, thousands set apart, and a true minus.

    >>> printed(-7.95), printed(9016), printed(64.0)
    ('−7.95', '9,016', '64')
    """
    return f"{value:,.10g}".replace("-", MINUS)


def arm_words(arm: TrialArm) -> str:
    """What an arm was given: the drug with its dose, then what was added.

    >>> from afterglow.evidence import trial
    >>> arm_words(trial("murrough2013_ajp").arm("ket05"))
    'racemic ketamine 0.5 mg/kg'
    """
    dose = arm.dose_text or ("" if arm.dose is None else str(arm.dose))
    drug, plus, added = arm.drug.partition(" + ")
    return typeset(f"{drug} {dose}".rstrip() + plus + added)


def figure_words(figure: Figure) -> str:
    """What a figure is, without its arm, time and value.

    >>> from afterglow.evidence import trial
    >>> figure_words(trial("murrough2013_ajp").figures[4])
    'MADRS, adjusted mean difference'
    """
    plain = figure.statistic.removesuffix("_pct").removesuffix("_days").replace("_", " ")
    words = (
        figure.scale,
        _STATISTIC_WORDS.get(figure.statistic, plain),
        figure.measure,
        figure.of and f"of {figure.of}",
    )
    return typeset(", ".join(word for word in words if word)) or "figure"


def figure_time(figure: Figure) -> str:
    """When a figure was taken, from the first dose unless it says otherwise; empty where no time applies."""
    if figure.t_days is None:
        return typeset(figure.when or "")
    time = "before" if figure.t_days == 0 else format_duration(figure.t_days * HOURS_PER_DAY)
    if figure.t_from is not TimeOrigin.FIRST_DOSE:
        time += f" from {figure.t_from.replace('_', ' ')}"
    return time if figure.when is None or figure.when == time else f"{time} ({typeset(figure.when)})"


def figure_value(figure: Figure) -> str:
    """A figure's value as published, with unit, spread, numbers of patients, p and words.

    >>> from afterglow.evidence import trial
    >>> figure_value(trial("murrough2013_ajp").figures[4])
    '−7.95 points (95 % −12.71 to −3.2)'
    """
    value = "" if figure.value is None else f"{printed(figure.value)}{_unit(figure)}"
    spread = ", ".join(_spread_words(spread) for spread in figure.spreads)
    parts = [f"{value} ({spread})" if value and spread else value or spread]
    if figure.events is not None:
        parts.append(f"{figure.events} of {figure.n} patients" if figure.n else f"{figure.events} patients")
    elif figure.n is not None:
        parts.append(f"n = {figure.n}")
    parts += [str(figure.p)] if figure.p else []
    parts += [typeset(figure.text)] if figure.text else []
    parts += ["in doubt, kept for the record only"] if figure.do_not_fit else []
    return "; ".join(part for part in parts if part)


def evidence_words(part: ClaimEvidence) -> str:
    """A piece of evidence on a claim; what is from memory says so."""
    text = typeset(part.text)
    return text if part.may_be_shown_as_fact else f"{FROM_MEMORY.capitalize()}: {text}"


def cited_words(part: ClaimEvidence) -> str:
    """A piece of evidence on a claim with the keys of its sources in brackets."""
    return f"{evidence_words(part)} [{', '.join(part.provenance.source) or 'no source'}]"


def checked_words(provenance: Provenance) -> str:
    """How far something was checked and where, in the fewest words.

    >>> checked_words(Provenance(source=("spier",), verified=Verified.PAGE, note="table 2"))
    'spier; table 2'
    >>> checked_words(Provenance(source=(), verified=Verified.RECALLED))
    'from memory, not confirmed'
    """
    keys = ", ".join(provenance.source)
    said = {
        Verified.PAGE: keys,
        Verified.DERIVED: f"derived from {keys}" if keys else "derived",
        Verified.POLICY: "policy default, no published figure" + (f": {keys}" if keys else ""),
        Verified.RECALLED: FROM_MEMORY,
    }[provenance.verified]
    return said if provenance.note is None else f"{said}; {typeset(provenance.note)}"


def source_keys(provenances: Iterable[Provenance]) -> tuple[str, ...]:
    """Keys of all sources, each once, in the order they are first cited."""
    return tuple(dict.fromkeys(key for provenance in provenances for key in provenance.source))


def provenances_in(value: Any) -> Iterable[Provenance]:
    """Every provenance inside a record, in its order."""
    if isinstance(value, Provenance):
        yield value
    elif is_dataclass(value):
        for field in fields(value):
            yield from provenances_in(getattr(value, field.name))
    elif isinstance(value, tuple):
        for part in value:
            yield from provenances_in(part)


def _unit(figure: Figure) -> str:
    if figure.statistic in _PER_CENT:
        return " %"
    if figure.statistic in _DAYS:
        return " days"
    of_a_scale = figure.scale is not None and ("mean" in figure.statistic or "median" in figure.statistic)
    return " points" if of_a_scale else ""


def _spread_words(spread: Spread) -> str:
    word = _SPREAD_WORDS.get(spread.kind, spread.kind.replace("_", " "))
    memory = f", {FROM_MEMORY}" if spread.verified is Verified.RECALLED else ""
    ends = (
        [spread.value]
        if spread.kind in {SpreadKind.SD, SpreadKind.SE, SpreadKind.UNLABELLED}
        else [spread.lo, spread.hi]
    )
    numbers = " to ".join("not given" if end is None else printed(end) for end in ends)
    return f"{word} {numbers}{memory}"


def _is_ratio(pool: OutcomePool) -> bool:
    return pool.outcome.measure in {EffectMeasure.LOG_ODDS_RATIO, EffectMeasure.LOG_HAZARD_RATIO}


def _displayed(pool: OutcomePool, low: float, high: float) -> tuple[float, float]:
    return (math.exp(low), math.exp(high)) if _is_ratio(pool) else (low, high)


def _shown(pool: OutcomePool, estimate: float, low: float, high: float) -> ShownEffect:
    shown, _ = _displayed(pool, estimate, estimate)
    lo95, hi95 = _displayed(pool, low, high)
    return ShownEffect(estimate=shown, lo95=lo95, hi95=hi95)


def _row(pool: OutcomePool, row: OutcomeRow, weight: float) -> ShownRow:
    drug, control = (row.trial.arm(arm) for arm in row.contrast)
    half = Z975 * math.sqrt(row.effect.variance)
    citation = row.trial.citation
    return ShownRow(
        row=row,
        label=f"{citation.first_author} {citation.year or 'undated'}" + (f", {drug.stratum}" if drug.stratum else ""),
        drug=arm_words(drug),
        control=arm_words(control),
        effect=_shown(pool, row.effect.estimate, row.effect.estimate - half, row.effect.estimate + half),
        weight_pct=100 * weight,
    )


def _on_axis(pool: OutcomePool, figure: Figure) -> ShownEffect | None:
    """A published result as a diamond on our axis; it is printed as a ratio where ours is one."""
    interval = figure.spread(SpreadKind.CI95)
    if figure.statistic not in _SAME_AXIS[pool.outcome.measure] or figure.do_not_fit:
        return None
    if figure.value is None or interval is None or interval.lo is None or interval.hi is None:
        return None
    return ShownEffect(estimate=figure.value, lo95=interval.lo, hi95=interval.hi)
