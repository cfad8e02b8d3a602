"""What a person can ask about the model's numbers: calibrate it again, and validate it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.special import ndtr

from afterglow import __version__
from afterglow.quantities import HOURS_PER_DAY
from afterglow.render.chart import Chart
from afterglow.render.report import KeyFigure, KeyFigures, Notice, Report, Section
from afterglow.render.rows import ObservedPredictedData, PredictionGroup, PredictionRow, observed_predicted_chart
from afterglow.render.scatter import ScatterData, ScatterPanel, ScatterPoint, scatter_chart
from afterglow.therapy.calibrated import read_calibrated
from afterglow.therapy.population import Population, prior_population, updated_population
from afterglow.therapy.setting import Condition
from afterglow.trials.calibrate import calibrate
from afterglow.trials.calibration_report import Fits, calibrated_text
from afterglow.trials.leaving_out import leave_out
from afterglow.trials.moments import Statistic
from afterglow.trials.validate import Kind, Row, Summary, Validation, validate
from afterglow.trials.validation_report import figure_name, reason

Document = dict[str, Any]
_ASIDE = 1.3  # on the axis of time, from one point to the next at the same time
_LEVELS = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9)
_TIMES = ((2.0, "2 h"), (24.0, "1 d"), (168.0, "1 w"), (672.0, "4 w"), (5376.0, "32 w"))


@dataclass(frozen=True, slots=True, kw_only=True)
class ValidationAnswer:
    """A validation, and its repetition with a population that saw no class-level priors."""

    shipped: Validation
    without_priors: Validation


def validate_model(*, seed: int = 0, progress: Callable[[float], None] | None = None) -> ValidationAnswer:
    """Validate the shipped population, and one calibrated without class-level priors (the normal approximation)."""
    tell = progress or (lambda _: None)
    shipped = validate(seed=seed, progress=lambda done: tell(0.4 * done))
    fit = calibrate(seed=seed, with_class_priors=False, sample=False, progress=lambda done: tell(0.4 + 0.2 * done))
    again = validate(
        seed=seed,
        populations=populations_after({Condition.DEPRESSION: fit}),
        progress=lambda done: tell(0.6 + 0.4 * done),
    )
    return ValidationAnswer(shipped=shipped, without_priors=again)


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


def leave_out_document(*, seed: int = 0, progress: Callable[[float], None] | None = None) -> Document:
    """`afterglow.leave-out/1`: every trial predicted from the others, by which structure is chosen."""
    left = leave_out(seed=seed, progress=progress)
    groups = dict.fromkeys((str(one.condition), str(one.role)) for one in left)
    sums: dict[str, dict[str, float | None]] = {}
    for condition, role in groups:
        some = [one.log_density for one in left if (one.condition, one.role) == (condition, role)]
        sums.setdefault(condition, {})[role] = _round(sum(some))
    return {
        "schema": "afterglow.leave-out/1",
        "seed": seed,
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


def validation_report(answer: ValidationAnswer) -> Report:
    """Pictures of a validation as one HTML document."""
    found = answer.shipped
    groups = found.groups(found.held_out)
    everything = groups["all"]
    misses = [row for row in found.held_out if not row.inside]
    figures = KeyFigures(
        figures=(
            KeyFigure(
                label="Held-out figures inside 90 %",
                value=f"{100 * everything.coverage:.0f}",
                unit="%",
                note=f"of {everything.n}, from {everything.trials} trials",
            ),
            KeyFigure(
                label="Interval score",
                value=f"{everything.score:.0f}",
                unit="%",
                note=f"lower is better; {everything.lookup_score:.0f} % by the lookup",
            ),
            KeyFigure(label="Interval over pure sampling", value=f"{everything.sharpness:.1f}", note="median width"),
        )
    )
    sections = [
        Section(
            heading="Held-out figures",
            blocks=(figures, *(Notice(text=f"{figure_name(r.scored)}: {reason(r)}") for r in misses)),
        ),
        Section(heading="Checks of every held-out figure", blocks=(_checks(found.held_out),)),
        Section(heading="Calibration figures: dose and time", blocks=(_dose_and_time(found.rows),)),
        Section(heading="Arm by arm, held out", blocks=tuple(_arms(found.held_out))),
        Section(
            heading="Arm by arm, calibration and context",
            blocks=tuple(_arms([row for row in found.rows if row not in found.held_out])),
        ),
    ]
    return Report(
        title="Validation of the model",
        subtitle=f"Population {found.model}",
        sections=tuple(sections),
        foot=f"Afterglow {__version__}, seed {found.seed}. Decision support, not advice.",
        tags=("Held-out figures are never fitted",),
    )


def _checks(rows: tuple[Row, ...]) -> Chart:
    """Observed against predicted, residuals over time, and how often central intervals cover."""
    against = tuple(
        ScatterPoint(
            label=figure_name(r.scored),
            x=r.value * r.per_cent,
            y=r.scored.value * r.per_cent,
            control=r.is_control,
        )
        for r in rows
    )
    ends = [v for p in against for v in (p.x, p.y)]
    over_time = tuple(
        ScatterPoint(label=figure_name(r.scored), x=max(r.scored.time_h, 0.5), y=r.z, control=r.is_control)
        for r in rows
    )
    ranks = np.array([ndtr(r.z) for r in rows])
    cover = tuple(
        ScatterPoint(
            label=f"central {100 * level:.0f} %",
            x=100.0 * level,
            y=100.0 * float(np.mean(np.abs(2.0 * ranks - 1.0) <= level)),
        )
        for level in _LEVELS
    )
    by_kind = tuple(
        ScatterPoint(label=str(kind), x=float(i), y=100.0 * float(np.mean([r.inside for r in rows if r.kind is kind])))
        for i, kind in enumerate(Kind)
        if any(r.kind is kind for r in rows)
    )
    inside = 100.0 * float(np.mean([row.inside for row in rows]))
    return scatter_chart(
        ScatterData(
            title="Observed and predicted",
            summary=f"{inside:.0f} % of {len(rows)} held-out figures lie inside their 90 % interval.",
            panels=(
                ScatterPanel(
                    heading="Observed against predicted",
                    x_label="predicted, % of possible improvement or of patients",
                    y_label="observed, %",
                    points=against,
                    line=((min(ends), min(ends)), (max(ends), max(ends))),
                ),
                ScatterPanel(
                    heading="Residual by time",
                    x_label="time since the first session",
                    y_label="standard deviations of the prediction",
                    points=over_time,
                    levels=(-1.645, 0.0, 1.645),
                    log_x=True,
                    x_ticks=_TIMES,
                ),
                ScatterPanel(
                    heading="Calibration of the intervals",
                    x_label="central interval, %",
                    y_label="figures inside, %",
                    points=cover,
                    line=((0.0, 0.0), (100.0, 100.0)),
                ),
                ScatterPanel(
                    heading="Inside 90 % by kind",
                    x_label="kind of figure",
                    y_label="figures inside, %",
                    points=by_kind,
                    levels=(90.0,),
                    y_ends=(0.0, 100.0),
                    x_ticks=tuple(
                        (float(i), word) for i, word in enumerate(("1 d", "w 4", "later", "relapse", "diff."))
                    ),
                ),
            ),
        )
    )


def _dose_and_time(rows: tuple[Row, ...]) -> Chart:
    """Change at 24 h by dose, and the arms of one trial over time, with predicted intervals."""
    sprays = [r for r in rows if r.scored.trial.key == "daly2018" and r.scored.control is None]
    changes = [r for r in sprays if r.scored.statistic is Statistic.MEAN_CHANGE]
    relapses = [r for r in rows if r.kind is Kind.RELAPSE]
    day = [r for r in changes if r.scored.time_h == HOURS_PER_DAY]
    return scatter_chart(
        ScatterData(
            title="Dose, time and relapse",
            summary="Observed points with the predicted 90 % interval of a trial of that size.",
            panels=(
                ScatterPanel(
                    heading="Esketamine spray, change at 24 h by dose",
                    x_label="dose, mg",
                    y_label="MADRS points",
                    points=tuple(_point(r, _dose_mg(r)) for r in day),
                ),
                ScatterPanel(
                    heading="The same trial over time",
                    x_label="time since the first session, doses side by side",
                    y_label="MADRS points",
                    points=tuple(_side_by_side(changes)),
                    log_x=True,
                    x_ticks=_TIMES[:3],
                ),
                ScatterPanel(
                    heading="Relapse after or during treatment",
                    x_label="time since the first session, arms side by side",
                    y_label="relapsed, %",
                    points=tuple(_side_by_side(relapses)),
                    y_ends=(0.0, 100.0),
                    log_x=True,
                    x_ticks=_TIMES[2:],
                ),
            ),
        )
    )


def _side_by_side(rows: Sequence[Row]) -> Iterator[ScatterPoint]:
    """Points of one time next to each other, so that none hides another; the table has their times."""
    for time_h in dict.fromkeys(r.scored.time_h for r in rows):
        here = [r for r in rows if r.scored.time_h == time_h]
        yield from (_point(r, time_h * _ASIDE ** (i - 0.5 * (len(here) - 1))) for i, r in enumerate(here))


def _dose_mg(row: Row) -> float:
    given = row.scored.arm.given
    return 0.0 if given is None or given.dose is None or given.dose.mg is None else given.dose.mg


def _point(row: Row, x: float) -> ScatterPoint:
    return ScatterPoint(
        label=figure_name(row.scored),
        x=x,
        y=row.scored.value,
        low=row.lo90,
        middle=row.value,
        high=row.hi90,
        control=row.is_control,
    )


def _arms(rows: list[Row] | tuple[Row, ...]) -> list[Chart]:
    """Every figure with its interval, a chart for points and one for percentages."""
    charts = []
    for title, unit, points in (("Changes and differences", "points", True), ("Percentages", "%", False)):
        some = [r for r in rows if (r.scored.statistic in (Statistic.MEAN_CHANGE, Statistic.MEAN_SCORE)) is points]
        groups = tuple(
            PredictionGroup(heading=str(kind), unit=unit, rows=tuple(_prediction(r) for r in some if r.kind is kind))
            for kind in Kind
            if any(r.kind is kind for r in some)
        )
        if groups:
            charts.append(observed_predicted_chart(ObservedPredictedData(title=title, groups=groups)))
    return charts


def _prediction(row: Row) -> PredictionRow:
    interval = row.scored.observed_interval
    return PredictionRow(
        label=figure_name(row.scored),
        predicted=row.value,
        lo90=row.lo90,
        hi90=row.hi90,
        observed=row.scored.value,
        observed_low=None if interval is None else interval[0],
        observed_high=None if interval is None else interval[1],
    )


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
