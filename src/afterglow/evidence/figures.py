"""What every published number consists of: a statistic, a value, its spread, and where it was read."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from afterglow.provenance import Provenance, Verified
from afterglow.records import Record


class Confidence(StrEnum):
    """How sure the compiler was of a figure that was not simply read."""

    HIGH = "high"
    MEDIUM = "medium"
    LOW = "low"


class SpreadKind(StrEnum):
    """What a spread describes; the unit is that of its figure unless the kind says otherwise."""

    SD = "sd"
    SE = "se"
    CI95 = "ci95"
    CI90 = "ci90"
    IQR = "iqr"
    RANGE = "range"
    UNLABELLED = "unlabelled"
    OMEGA2 = "omega2"
    """Between-subject variance of the logarithm."""
    OCCASION_OMEGA2 = "occasion_omega2"
    """Between-occasion variance of the logarithm."""
    COVARIANCE = "covariance"
    """Between-subject covariance of the logarithm with the parameter in `partner`."""
    IIV_CV_PCT = "iiv_cv_pct"
    """Between-subject coefficient of variation in per cent."""
    IIV_LOGIT_SD_PCT = "iiv_logit_sd_pct"
    """Between-subject standard deviation on the logit scale times 100."""
    RSE_PCT = "rse_pct"
    """Standard error of an estimate in per cent of it."""


Z975 = 1.959963984540054
"""Normal quantile: a 95 % interval reaches this many standard errors to either side."""

_INTERVALS = frozenset({SpreadKind.CI95, SpreadKind.CI90, SpreadKind.IQR, SpreadKind.RANGE})


@dataclass(frozen=True, slots=True, kw_only=True)
class Spread:
    """The spread of one figure: `value`, or `lo` and `hi` for intervals.

    All three are None where the publication has the quantity but leaves the number out; `note` then says so.
    One of `lo` and `hi` may be None where the source calls it not estimable. `partner` names the other parameter of
    a covariance. `verified` is None where the spread was read with its figure.
    """

    kind: SpreadKind
    value: float | None = None
    lo: float | None = None
    hi: float | None = None
    partner: str | None = None
    verified: Verified | None = None
    note: str | None = None

    def __str__(self) -> str:
        basis = "" if self.verified is None else f" ({self.verified})"
        if self.kind not in _INTERVALS:
            return f"{self.kind} {_shown(self.value)}{basis}"
        return f"{self.kind} {_shown(self.lo)} to {_shown(self.hi)}{basis}"


def _shown(number: float | None) -> str:
    return "not given" if number is None else f"{number:g}"


@dataclass(frozen=True, slots=True, kw_only=True)
class PValue:
    """A p-value as printed; `below` where the source only gives an upper limit."""

    value: float
    below: bool = False

    def __str__(self) -> str:
        return f"p {'<' if self.below else '='} {self.value:g}"


def read_spreads(record: Record, key: str = "spread") -> tuple[Spread, ...]:
    """The list of spreads under `key` of a record; empty when there is none."""
    return tuple(_read_spread(child) for child in record.records(key))


def _read_spread(record: Record) -> Spread:
    spread = record.close(
        Spread(
            kind=record.word("kind", SpreadKind),
            value=record.number("value", None),
            lo=record.number("lo", None),
            hi=record.number("hi", None),
            partner=record.text("partner", None),
            verified=record.word("verified", Verified, None),
            note=record.text("note", None),
        )
    )
    interval = spread.kind in _INTERVALS
    if (spread.value is not None) if interval else (spread.lo is not None or spread.hi is not None):
        raise record.fault("takes lo and hi" if interval else "takes a value", observed=str(spread))
    if (None in (spread.lo, spread.hi) if interval else spread.value is None) and spread.note is None:
        raise record.fault("lacks a number and a note that says why", observed=str(spread))
    if spread.lo is not None and spread.hi is not None and spread.lo > spread.hi:
        raise record.fault("runs backwards", observed=str(spread))
    if (spread.kind is SpreadKind.COVARIANCE) != (spread.partner is not None):
        raise record.fault("takes the key `partner` if and only if it is a covariance")
    return spread


def read_p(record: Record) -> PValue | None:
    """The key `p` of a record: a number, or a text such as "<0.001"."""
    text = record.text_or_number("p", None)
    if text is None:
        return None
    try:
        p = PValue(value=float(text.removeprefix("<")), below=text.startswith("<"))
    except ValueError:
        raise record.fault("is not a p-value", key="p", observed=text) from None
    if not 0 <= p.value <= 1:
        raise record.fault("is not a probability", key="p", observed=text)
    return p


def read_confidence(record: Record) -> Confidence | None:
    """The key `confidence` of a record, None when absent."""
    return record.word("confidence", Confidence, None)


class Statistic(StrEnum):
    """What a figure is; differences and ratios are of the first arm of a contrast against the second.

    `adjusted_` marks model-based (least-squares) means. `_within` marks a standardised change from baseline, which
    holds regression to the mean and everything else that a control arm would show. `other` is explained by the
    figure's `measure`.
    """

    MEAN = "mean"
    ADJUSTED_MEAN = "adjusted_mean"
    MEDIAN = "median"
    MEAN_CHANGE = "mean_change"
    ADJUSTED_MEAN_CHANGE = "adjusted_mean_change"
    PCT_CHANGE = "pct_change"
    MEAN_DIFF = "mean_diff"
    ADJUSTED_MEAN_DIFF = "adjusted_mean_diff"
    MEDIAN_DIFF = "median_diff"
    SE_OF_MEAN_DIFF = "se_of_mean_diff"
    SMD = "smd"
    COHEN_D = "cohen_d"
    HEDGES_G = "hedges_g"
    BETA = "beta"
    EFFECT_SIZE = "effect_size"
    COHEN_D_WITHIN = "cohen_d_within"
    HEDGES_G_WITHIN = "hedges_g_within"
    ODDS_RATIO = "odds_ratio"
    RISK_RATIO = "risk_ratio"
    HAZARD_RATIO = "hazard_ratio"
    RISK_DIFF_PCT = "risk_diff_pct"
    NUMBER_NEEDED_TO_TREAT = "number_needed_to_treat"
    RESPONSE_PCT = "response_pct"
    REMISSION_PCT = "remission_pct"
    RELAPSE_PCT = "relapse_pct"
    RELAPSE_FREE_PCT = "relapse_free_pct"
    WORSE_PCT = "worse_pct"
    CLASS_PCT = "class_pct"
    SENSITIVITY_PCT = "sensitivity_pct"
    SPECIFICITY_PCT = "specificity_pct"
    PCT = "pct"
    COUNT = "count"
    MEDIAN_DAYS_TO_RELAPSE = "median_days_to_relapse"
    MEAN_DAYS_TO_RELAPSE = "mean_days_to_relapse"
    MEDIAN_DAYS = "median_days"
    R2 = "r2"
    P_VALUE = "p_value"
    DOSE = "dose"
    OTHER = "other"


class TimeOrigin(StrEnum):
    """What the time of a figure counts from."""

    FIRST_DOSE = "first_dose"
    LAST_DOSE = "last_dose"
    RANDOMISATION = "randomisation"
    END_OF_INDUCTION = "end_of_induction"
    END_OF_TREATMENT = "end_of_treatment"
    MAINTENANCE_BASELINE = "maintenance_baseline"
    PERIOD_2 = "period_2"
    WEEK_8 = "week_8"


class Favours(StrEnum):
    """The arm of a contrast that did better; printed signs differ between publications."""

    FIRST = "first"
    SECOND = "second"


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """One published number of a trial or a meta-analysis.

    Args:
        arm: the arm, or "all" (everybody), "between" (a comparison of no two single arms), "within" (before and after).
        contrast: the two arms of a difference or ratio, first against second; replaces `arm`.
        scale: rating scale, by its short name; None where the measure is none.
        measure: what is counted or measured where scale and statistic do not say it.
        of: the patients meant, where not all of the arm (responders, remitters, ...).
        when: the time in the publication's words.
        t_days: days from `t_from`; None where no time applies or none is printed.
        value: in points, per cent, days or as a ratio, by the statistic; None where only `text`, `p` or `spread`
            is given, or where the figure is known to exist and was not read.
        text: a finding stated in words alone.
        favours: which arm of a contrast did better, where a sign could be read either way.
        n, events: patients behind the figure, where not the whole arm, and how many of them had the event.
        do_not_fit: the publication contradicts itself or others here; kept for the record only, never drawn.
        applicable: the model can report such a figure, so validation scores it; fixed before the first validation
            (decision record 0010).
    """

    arm: str | None
    contrast: tuple[str, str] | None
    scale: str | None
    statistic: Statistic
    measure: str | None
    of: str | None
    when: str | None
    t_days: float | None
    t_from: TimeOrigin
    value: float | None
    text: str | None
    favours: Favours | None
    spreads: tuple[Spread, ...]
    n: int | None
    events: int | None
    p: PValue | None
    do_not_fit: bool
    applicable: bool
    confidence: Confidence | None
    provenance: Provenance

    def spread(self, kind: SpreadKind) -> Spread | None:
        """The spread of that kind, None if the source does not give it."""
        return next((spread for spread in self.spreads if spread.kind is kind), None)


def read_figure(record: Record, arms: frozenset[str]) -> Figure:
    """A figure of a trial with these arms.

    Raises: InvalidData for an arm that the trial does not have, or a figure that says nothing.
    """
    figure = record.close(
        Figure(
            arm=record.text("arm", None),
            contrast=_read_contrast(record, arms),
            scale=record.text("scale", None),
            statistic=record.word("statistic", Statistic),
            measure=record.text("measure", None),
            of=record.text("of", None),
            when=record.text("when", None),
            t_days=record.number("t_days", None),
            t_from=record.word("t_from", TimeOrigin, TimeOrigin.FIRST_DOSE),
            value=record.number("value", None),
            text=record.text("text", None),
            favours=record.word("favours", Favours, None),
            spreads=read_spreads(record),
            n=record.count("n", None),
            events=record.count("events", None),
            p=read_p(record),
            do_not_fit=record.flag("do_not_fit"),
            applicable=record.flag("applicable"),
            confidence=read_confidence(record),
            provenance=record.provenance(),
        )
    )
    if (figure.arm is None) == (figure.contrast is None):
        raise record.fault("has an arm or a contrast, and not both")
    if figure.arm is not None and figure.arm not in arms | _GROUPS:
        raise record.fault("names an unknown arm", observed=figure.arm, allowed=", ".join(sorted(arms | _GROUPS)))
    if figure.favours is not None and figure.contrast is None:
        raise record.fault("favours an arm and is no contrast")
    if figure.value is None and figure.text is None and figure.p is None and not figure.spreads:
        raise record.fault("has no value, spread, p-value or text")
    if figure.events is not None and figure.n is not None and figure.events > figure.n:
        raise record.fault("has more events than patients", observed=f"{figure.events} of {figure.n}")
    return figure


_GROUPS = frozenset({"all", "between", "within"})


def _read_contrast(record: Record, arms: frozenset[str]) -> tuple[str, str] | None:
    names = record.texts("contrast")
    if not names:
        return None
    if len(names) != len(set(names)) or len(names) != 2 or not arms.issuperset(names):
        raise record.fault("is not two arms", key="contrast", observed=names, allowed=", ".join(sorted(arms)))
    return names[0], names[1]
