"""What a person can ask about the model's numbers: calibrate it again, and validate it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from afterglow.therapy.calibrated import read_calibrated
from afterglow.therapy.population import Population, prior_population, updated_population
from afterglow.therapy.setting import Condition
from afterglow.trials.calibrate import calibrate
from afterglow.trials.calibration_report import Fits, calibrated_text
from afterglow.trials.curves import ArmCurve, arm_curves
from afterglow.trials.leaving_out import declared_with, leave_out
from afterglow.trials.validate import Row, Summary, Validation, validate

Document = dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class ValidationAnswer:
    """A validation, its repetition with a population that saw no class-level priors, and the curves of the arms."""

    shipped: Validation
    without_priors: Validation
    curves: tuple[ArmCurve, ...]


def validate_model(*, seed: int = 0, progress: Callable[[float], None] | None = None) -> ValidationAnswer:
    """Validate the shipped population, and one calibrated without class-level priors (the normal approximation)."""
    tell = progress or (lambda _: None)
    shipped = validate(seed=seed, progress=lambda done: tell(0.4 * done))
    fit = calibrate(seed=seed, with_class_priors=False, sample=False, progress=lambda done: tell(0.4 + 0.2 * done))
    again = validate(
        seed=seed,
        populations=populations_after({Condition.DEPRESSION: fit}),
        progress=lambda done: tell(0.6 + 0.3 * done),
    )
    over_time = arm_curves([r.scored for r in shipped.rows], seed=seed, progress=lambda done: tell(0.9 + 0.1 * done))
    return ValidationAnswer(shipped=shipped, without_priors=again, curves=over_time)


def populations_after(fits: Fits) -> Callable[[Condition], Population]:
    """The populations of every condition after calibrations that are not shipped."""
    found = read_calibrated(calibrated_text(fits), file="population.json")
    return lambda condition: updated_population(prior_population(condition), found)


def calibrate_document(fits: Fits) -> Document:
    """`afterglow.calibrate/1`; `values` and `figures` are of depression."""
    fit = fits[Condition.DEPRESSION]
    file = read_calibrated(calibrated_text(fits), file="population.json")
    sds = fit.prior.doubt_sds
    return {
        "schema": "afterglow.calibrate/1",
        "version": file.version,
        "seed": fit.seed,
        "digest": file.digest,
        "data_digest": file.data_digest,
        "diagnostics": dict(file.diagnostics),
        "values": [
            {"name": name, "shift": _round(fit.mean[i] * sds[i]), "prior_sd": _round(sds[i]), "left": _round(fit.sd[i])}
            for i, name in enumerate(fit.prior.uncertain)
        ],
        "figures": [
            {
                "figure": row.label,
                "published": _round(row.value),
                "fitted": _round(fit.predicted[i]),
                "se": _round(fit.error[i]),
                "class_prior": row.prior,
            }
            for i, row in enumerate(fit.rows)
        ],
    }


def leave_out_document(
    *,
    seed: int = 0,
    values: Mapping[str, float] | None = None,
    conditions: Sequence[Condition] = (),
    progress: Callable[[float], None] | None = None,
) -> Document:
    """`afterglow.leave-out/1`: every trial predicted from the others, by which structure is chosen.

    Args:
        seed: of the draws.
        values: typical values that replace declared ones, by name of the parameter: another structure.
        conditions: those whose trials are predicted; none named is all.
        progress: called with the fraction done.
    """
    declared = declared_with(values or {})
    left = leave_out(seed=seed, conditions=conditions or tuple(Condition), declared=declared, progress=progress)
    groups = dict.fromkeys((str(one.condition), str(one.role)) for one in left)
    sums: dict[str, dict[str, float | None]] = {}
    for condition, role in groups:
        some = [one.log_density for one in left if (one.condition, one.role) == (condition, role)]
        sums.setdefault(condition, {})[role] = _round(sum(some))
    return {
        "schema": "afterglow.leave-out/1",
        "seed": seed,
        "with": dict(values or {}),
        "trials": [
            {
                "condition": str(one.condition),
                "role": str(one.role),
                "trial": one.trial,
                "figures": one.n,
                "log_density": _round(one.log_density),
                "without_class_priors": None if one.without_priors is None else _round(one.without_priors),
            }
            for one in left
        ],
        "sums": sums,
    }


def validate_document(answer: ValidationAnswer) -> Document:
    """`afterglow.validate/1`."""
    shipped, again = answer.shipped, answer.without_priors
    return {
        "schema": "afterglow.validate/1",
        "model": shipped.model,
        "seed": shipped.seed,
        "held_out": {name: _summary(g) for name, g in shipped.groups(shipped.held_out).items()},
        "held_out_without_class_priors": {name: _summary(g) for name, g in again.groups(again.held_out).items()},
        "figures": [_row(row) for row in shipped.rows],
        "planned_contrasts": [
            {
                "trial": p.active.trial,
                "active": p.active.arm,
                "control": p.control.arm,
                "scale": p.scale,
                "time_h": _round(p.time_h),
                "value": _round(p.value),
                "lo90": _round(p.lo90),
                "hi90": _round(p.hi90),
                "chance_p_under_005": _round(p.chance_significant),
            }
            for p in shipped.planned
        ],
    }


def _row(row: Row) -> Document:
    f, interval = row.scored, row.scored.observed_interval
    return {
        "trial": f.trial.key,
        "role": str(f.trial.role),
        "condition": str(f.condition),
        "arm": f.arm.arm,
        "control": None if f.control is None else f.control.arm,
        "scale": f.scale,
        "statistic": str(f.statistic),
        "of": None if f.of is None else str(f.of),
        "time_h": _round(f.time_h),
        "n": f.n,
        "observed": _round(f.value),
        "observed_lo95": None if interval is None else _round(interval[0]),
        "observed_hi95": None if interval is None else _round(interval[1]),
        "value": _round(row.value),
        "lo90": _round(row.lo90),
        "hi90": _round(row.hi90),
        "inside": row.inside,
        "z": _round(row.z),
        "kind": str(row.kind),
        "chance_p_under_005": None if row.chance_significant is None else _round(row.chance_significant),
    }


def _summary(group: Summary) -> Document:
    return {
        "n": group.n,
        "trials": group.trials,
        "coverage": _round(group.coverage),
        "score": _round(group.score),
        "lookup_score": _round(group.lookup_score),
        "width_over_sampling": _round(group.sharpness),
    }


def _round(value: float) -> float | None:
    return float(f"{value:.6g}") if np.isfinite(value) else None
