"""Random-effects pooling of effect sizes, with heterogeneity and a prediction interval."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import numpy as np

from afterglow.errors import MissingValue, OutOfRange
from afterglow.evidence.figures import Z975


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


def wilson_interval(pct: float, n: int) -> tuple[float, float]:
    """95 % interval of a percentage of n people.

    Source: Wilson 1927, J Am Stat Assoc 22:209-212.

    >>> low, high = wilson_interval(0.0, 10)
    >>> low, round(high, 1)
    (0.0, 27.8)
    """
    chance, more = pct / 100.0, Z975**2 / n
    middle = (chance + more / 2.0) / (1.0 + more)
    half = Z975 * math.sqrt(chance * (1.0 - chance) / n + more / n / 4.0) / (1.0 + more)
    return 100.0 * (middle - half), 100.0 * (middle + half)


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

    The weighted sums are those of statsmodels. Its own tau2 is not used: its Paule-Mandel iteration stops at a loose
    tolerance, or after 50 steps, without saying so, and returns 0 where rounding takes the last step past the root;
    its DerSimonian-Laird estimate is not cut at zero. The estimating equation Q(tau2) = k - 1 is solved here within a
    bracket that always holds its root.

    Raises: MissingValue without effects; OutOfRange for a variance that is not positive or a number that is not finite.

    >>> found = pool([Effect(label="A", estimate=-0.9, variance=0.04), Effect(label="B", estimate=-0.3, variance=0.02),
    ...               Effect(label="C", estimate=-0.5, variance=0.09)])
    >>> round(found.estimate, 3), round(found.tau2, 3)
    (-0.552, 0.061)
    """
    estimates, variances = _checked(effects)
    k = len(estimates)
    if k == 1:
        return _single(effects[0], method)
    # The library takes Q as a difference of two sums: shifting the effects towards zero first keeps its digits.
    shift = float(estimates.mean())
    shifted = estimates - shift
    q = max(0.0, _q(shifted, variances))
    tau2 = _tau2(shifted, variances, method)
    pooled = _combined(shifted, variances + tau2)
    estimate, se = shift + float(pooled.mean_effect_fe), float(pooled.sd_eff_w_fe)
    return PooledEffect(
        method=method,
        status=PoolingStatus.POOLED if k > 2 else PoolingStatus.TWO_STUDIES,
        k=k,
        estimate=estimate,
        se=se,
        ci95=_around(estimate, se, quantile=_normal_quantile()),
        tau2=tau2,
        i2_pct=_i2_pct(tau2, variances),
        q=q,
        q_df=k - 1,
        q_p=_chi2_tail(q, k - 1),
        prediction95=None if k < 3 else _around(estimate, math.hypot(se, math.sqrt(tau2)), quantile=_t_quantile(k - 2)),
        weights=tuple(pooled.weights_rel_fe.tolist()),
    )


def _single(effect: Effect, method: PoolingMethod) -> PooledEffect:
    se = math.sqrt(effect.variance)
    return PooledEffect(
        method=method,
        status=PoolingStatus.ONE_STUDY,
        k=1,
        estimate=effect.estimate,
        se=se,
        ci95=_around(effect.estimate, se, quantile=_normal_quantile()),
        tau2=None,
        i2_pct=None,
        q=None,
        q_df=0,
        q_p=None,
        prediction95=None,
        weights=(1.0,),
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
    """The library's fixed-effect sums with these variances, which may hold tau2."""
    from statsmodels.stats.meta_analysis import combine_effects  # noqa: PLC0415 - costs seconds; only pooling needs it

    # The library also divides by H2, which nobody reads here and which is (nearly) zero when the studies agree.
    with np.errstate(divide="ignore", over="ignore"):
        return combine_effects(estimates, variances, method_re="pm")


def _q(estimates: Any, variances: Any) -> float:
    return float(_combined(estimates, variances).q)


def _tau2(estimates: Any, variances: Any, method: PoolingMethod) -> float:
    df = len(estimates) - 1
    excess = _q(estimates, variances) - df
    if excess <= 0:
        return 0.0
    if method is PoolingMethod.DERSIMONIAN_LAIRD:
        weights = 1.0 / variances
        return float(excess / (weights.sum() - (weights**2).sum() / weights.sum()))

    from scipy.optimize import brentq  # noqa: PLC0415 - as above

    # Q(t) <= sum (y - mean)^2 / t, so that at twice the sample variance of the effects Q is at most (k - 1) / 2.
    upper = 2.0 * float(np.var(estimates, ddof=1))
    root = brentq(lambda t: _q(estimates, variances + t) - df, 0.0, upper, xtol=1e-14 * upper, rtol=1e-14)
    return float(root)


def _i2_pct(tau2: float, variances: Any) -> float:
    weights = 1.0 / variances
    typical = (len(weights) - 1) * weights.sum() / (weights.sum() ** 2 - (weights**2).sum())
    return float(100.0 * tau2 / (tau2 + typical))


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
