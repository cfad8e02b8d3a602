"""Random-effects pooling of effect sizes, with heterogeneity and a prediction interval."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import numpy as np

from afterglow.errors import MissingValue, OutOfRange


class PoolingMethod(StrEnum):
    """Estimator of the between-study variance tau2."""

    PAULE_MANDEL = "paule_mandel"
    DERSIMONIAN_LAIRD = "dersimonian_laird"


class PoolingStatus(StrEnum):
    """How much a pooled effect can say; the value is the sentence to show."""

    POOLED = "pooled"
    TWO_STUDIES = "two studies: heterogeneity is barely estimable and there is no prediction interval"
    ONE_STUDY = "one study: nothing is pooled and heterogeneity is unknown"


PREDICTION_FORMULA = "Higgins-Thompson-Spiegelhalter: estimate ± t(k - 2 df) * sqrt(tau2 + se^2)"


@dataclass(frozen=True, slots=True, kw_only=True)
class Effect:
    """One study's effect, on a scale where it is about normal (logarithms of ratios), and its sampling variance."""

    label: str
    estimate: float
    variance: float


@dataclass(frozen=True, slots=True, kw_only=True)
class PooledEffect:
    """The mean of a distribution of true effects.

    Args:
        estimate, se, ci95: mean effect; the interval is normal (Wald).
        tau2, i2_pct: between-study variance, and its share of the total with the typical within-study variance of
            Higgins and Thompson 2002; None for one study.
        q, q_df, q_p: Cochran's test of homogeneity; None for one study.
        prediction95: where the true effect of a further study lies, by `PREDICTION_FORMULA`; None below three studies.
        weights: relative weights in the order of the effects; they sum to 1.
    """

    method: PoolingMethod
    status: PoolingStatus
    k: int
    estimate: float
    se: float
    ci95: tuple[float, float]
    tau2: float | None
    i2_pct: float | None
    q: float | None
    q_df: int
    q_p: float | None
    prediction95: tuple[float, float] | None
    weights: tuple[float, ...]


def pool(effects: Sequence[Effect], *, method: PoolingMethod = PoolingMethod.PAULE_MANDEL) -> PooledEffect:
    """The random-effects mean of independent studies.

    The weighted sums are those of statsmodels. Its Paule-Mandel iteration is not used: it stops at a loose absolute
    tolerance or after 50 steps without saying so, and returns tau2 = 0 when rounding takes the last step past the
    root; the same estimating equation Q(tau2) = k - 1 is solved here within a bracket that always holds the root.

    Raises: MissingValue without effects; OutOfRange for a variance that is not positive or a number that is not finite.

    >>> found = pool([Effect(label="A", estimate=-0.9, variance=0.04), Effect(label="B", estimate=-0.3, variance=0.02),
    ...               Effect(label="C", estimate=-0.5, variance=0.09)])
    >>> round(found.estimate, 3), round(found.tau2, 3)
    (-0.552, 0.061)
    """
    estimates, variances = _checked(effects)
    k = len(estimates)
    # Q is computed as a difference of sums of squares: shifting the effects first keeps its digits.
    shift = float(estimates.mean())
    shifted = estimates - shift
    tau2 = 0.0 if k == 1 else _tau2(shifted, variances, method)
    weights = 1.0 / (variances + tau2)
    total = float(weights.sum())
    estimate, se = shift + float(weights @ shifted) / total, math.sqrt(1.0 / total)
    q = None if k == 1 else max(0.0, float(_combined(shifted, variances).q))
    return PooledEffect(
        method=method,
        status=_status(k),
        k=k,
        estimate=estimate,
        se=se,
        ci95=_around(estimate, se, quantile=_normal_quantile()),
        tau2=None if k == 1 else tau2,
        i2_pct=None if k == 1 else _i2_pct(tau2, variances),
        q=q,
        q_df=k - 1,
        q_p=None if q is None else _chi2_tail(q, k - 1),
        prediction95=None if k < 3 else _around(estimate, math.hypot(se, math.sqrt(tau2)), quantile=_t_quantile(k - 2)),
        weights=tuple((weights / total).tolist()),
    )


def _checked(effects: Sequence[Effect]) -> tuple[Any, Any]:
    if not effects:
        raise MissingValue("There is no effect to pool", next_step="Give at least one study with its variance")
    for effect in effects:
        if not math.isfinite(effect.estimate):
            raise OutOfRange(f"The effect of {effect.label} is not a number", observed=f"{effect.estimate:g}")
        if not (effect.variance > 0 and math.isfinite(effect.variance)):
            raise OutOfRange(
                f"The variance of {effect.label} is refused", observed=f"{effect.variance:g}", allowed="over 0, finite"
            )
    return np.array([effect.estimate for effect in effects]), np.array([effect.variance for effect in effects])


def _combined(estimates: Any, variances: Any) -> Any:
    from statsmodels.stats.meta_analysis import combine_effects  # noqa: PLC0415 - costs seconds; only pooling needs it

    # The library also divides by H2, which nobody reads here and which is zero when the studies agree exactly.
    with np.errstate(divide="ignore"):
        return combine_effects(estimates, variances, method_re="dl")


def _tau2(estimates: Any, variances: Any, method: PoolingMethod) -> float:
    if method is PoolingMethod.DERSIMONIAN_LAIRD:
        return max(0.0, float(_combined(estimates, variances).tau2))

    from scipy.optimize import brentq  # noqa: PLC0415 - as above

    def excess(tau2: float) -> float:
        return float(_combined(estimates, variances + tau2).q) - (len(estimates) - 1)

    if excess(0.0) <= 0:
        return 0.0
    # Q(t) <= sum (y - mean)^2 / t, so that at twice the sample variance of the effects Q is at most (k - 1) / 2.
    upper = 2.0 * float(np.var(estimates, ddof=1))
    return float(brentq(excess, 0.0, upper, xtol=1e-14 * upper, rtol=1e-14))


def _i2_pct(tau2: float, variances: Any) -> float:
    weights = 1.0 / variances
    typical = (len(weights) - 1) * weights.sum() / (weights.sum() ** 2 - (weights**2).sum())
    return float(100.0 * tau2 / (tau2 + typical))


def _status(k: int) -> PoolingStatus:
    return {1: PoolingStatus.ONE_STUDY, 2: PoolingStatus.TWO_STUDIES}.get(k, PoolingStatus.POOLED)


def _around(centre: float, sd: float, *, quantile: float) -> tuple[float, float]:
    return centre - quantile * sd, centre + quantile * sd


def _normal_quantile() -> float:
    from scipy.special import ndtri  # noqa: PLC0415 - as above

    return float(ndtri(0.975))


def _t_quantile(df: int) -> float:
    from scipy.special import stdtrit  # noqa: PLC0415 - as above

    return float(stdtrit(df, 0.975))


def _chi2_tail(q: float, df: int) -> float:
    from scipy.special import chdtrc  # noqa: PLC0415 - as above

    return float(chdtrc(df, q))
