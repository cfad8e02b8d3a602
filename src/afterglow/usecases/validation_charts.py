"""Pictures of a validation: for the report, and beside the page of the documentation."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import numpy as np
from scipy.special import ndtr

from afterglow import __version__
from afterglow.quantities import HOURS_PER_DAY
from afterglow.render.chart import Chart
from afterglow.render.report import KeyFigure, KeyFigures, Notice, Report, Section
from afterglow.render.rows import ObservedPredictedData, PredictionGroup, PredictionRow, observed_predicted_chart
from afterglow.render.scatter import ScatterData, ScatterPanel, ScatterPoint, scatter_chart
from afterglow.render.tokens import resolve_colours
from afterglow.trials.arms import ScoredFigure
from afterglow.trials.curves import ArmCurve
from afterglow.trials.moments import Statistic
from afterglow.trials.validate import HELD_OUT, Kind, Row
from afterglow.trials.validation_report import BAR_COVERAGE, figure_name, reason, validation_markdown
from afterglow.usecases.validating import ValidationAnswer

_ASIDE = 1.3  # on the axis of time, from one point to the next at the same time
_LEVELS = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9)
_TIMES = ((2.0, "2 h"), (24.0, "1 d"), (168.0, "1 w"), (672.0, "4 w"), (5376.0, "32 w"))


def validation_charts(answer: ValidationAnswer) -> Mapping[str, Chart]:
    """The pictures by name; one that would be empty is left out.

    Args:
        answer: of `validate_model`.
    """
    found, charts = answer.shipped, {"checks": _checks(answer.shipped.held_out)}
    for name, statistic, words in (
        ("changes", Statistic.MEAN_CHANGE, "Change from baseline"),
        ("relapse", Statistic.RELAPSE_PCT, "Relapse"),
    ):
        for suffix, held_out in (("_held_out", True), ("", False)):
            some = [
                one
                for one in answer.curves
                if one.figures[0].statistic is statistic and (one.figures[0].trial.role in HELD_OUT) is held_out
            ]
            if some:
                title = f"{words}, arm by arm: {'held out' if held_out else 'calibration and context'}"
                charts[name + suffix] = _curves(title, some)
    return {**charts, "dose": _dose_and_time(found.rows)}


def validation_page(answer: ValidationAnswer) -> tuple[str, dict[str, str]]:
    """The Markdown page and its pictures (SVG by file name), which stand in ../images beside it.

    Args:
        answer: of `validate_model`.
    """
    charts = validation_charts(answer)
    pictures = {f"validation_{name}.svg": resolve_colours(str(one.svg), "light") for name, one in charts.items()}
    shown = {
        name: [f"![{one.title}](../images/validation_{name}.svg)", "", one.summary, ""] for name, one in charts.items()
    }
    return validation_markdown(answer.shipped, answer.without_priors, shown), pictures


def validation_report(answer: ValidationAnswer) -> Report:
    """Pictures of a validation as one HTML document."""
    found, charts = answer.shipped, validation_charts(answer)
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
        Section(heading="Checks of every held-out figure", blocks=(charts["checks"],)),
        *(
            Section(heading=heading, blocks=blocks)
            for heading, names in (
                ("Visual predictive check, arm by arm", ("changes_held_out", "changes")),
                ("Relapse curves with observed points", ("relapse_held_out", "relapse")),
            )
            if (blocks := tuple(charts[name] for name in names if name in charts))
        ),
        Section(heading="Calibration figures: dose and time", blocks=(charts["dose"],)),
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
    # At 90 % by the interval itself, as everywhere; at the others by a normal of the same mean and deviation.
    ranks, inside_90 = np.array([ndtr(r.z) for r in rows]), np.array([r.inside for r in rows])
    cover = tuple(
        ScatterPoint(
            label=f"central {100 * level:.0f} %",
            x=100.0 * level,
            y=100.0 * float(np.mean(inside_90 if level == _LEVELS[-1] else np.abs(2.0 * ranks - 1.0) <= level)),
        )
        for level in _LEVELS
    )
    by_kind = tuple(
        ScatterPoint(label=str(kind), x=float(i), y=100.0 * float(np.mean([r.inside for r in rows if r.kind is kind])))
        for i, kind in enumerate(Kind)
        if any(r.kind is kind for r in rows)
    )
    inside = 100.0 * float(np.mean(inside_90))
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
                    heading=f"Inside 90 % by kind (bar {100 * BAR_COVERAGE:.0f} %)",
                    x_label="kind of figure",
                    y_label="figures inside, %",
                    points=by_kind,
                    levels=(100.0 * BAR_COVERAGE,),
                    y_ends=(0.0, 100.0),
                    x_ticks=tuple(
                        (float(i), word) for i, word in enumerate(("1 d", "w 4", "later", "relapse", "diff."))
                    ),
                ),
            ),
        )
    )


def _curves(title: str, some: Sequence[ArmCurve]) -> Chart:
    """A panel an arm: the predicted curve with its 90 % interval, and what was observed."""
    inside = [low <= f.value <= high for one in some for f, low, high in _at_figures(one)]
    return scatter_chart(
        ScatterData(
            title=title,
            summary=(
                f"{sum(inside)} of {len(inside)} observed points lie inside the predicted 90 % interval of a trial of "
                "that size. Points at other times than printed are predictions alone; the lines join points and tell "
                "nothing of the time between."
            ),
            panels=tuple(_curve(one) for one in some),
        )
    )


def _at_figures(one: ArmCurve) -> Iterator[tuple[ScoredFigure, float, float]]:
    """Each figure with the ends of the interval at its time."""
    for f in one.figures:
        at = one.predicted[one.times_h.index(f.time_h)]
        yield f, at.lo90, at.hi90


def _curve(one: ArmCurve) -> ScatterPanel:
    first = one.figures[0]
    relapse = first.statistic is Statistic.RELAPSE_PCT
    unit = HOURS_PER_DAY if relapse else 1.0
    last = one.times_h[-1]
    arm = f"{first.trial.key} {first.arm.arm}"
    return ScatterPanel(
        heading=f"{arm}, {first.of}" if relapse else arm,
        x_label="days since the first session" if relapse else "time since the first session",
        y_label="relapsed, %" if relapse else f"change of {first.scale}, points",
        points=tuple(
            ScatterPoint(label=figure_name(f), x=f.time_h / unit, y=f.value, control=f.arm.given is None)
            for f in one.figures
        ),
        band=tuple((t / unit, p.lo90, p.value, p.hi90) for t, p in zip(one.times_h, one.predicted, strict=True)),
        y_ends=(0.0, 100.0) if relapse else (0.0,),
        log_x=not relapse,
        x_ticks=() if relapse else tuple(tick for tick in _TIMES if tick[0] <= last * 1.01),
    )


def _dose_and_time(rows: tuple[Row, ...]) -> Chart:
    """Change at 24 h by dose, and the arms of one trial over time, with predicted intervals."""
    sprays = [r for r in rows if r.scored.trial.key == "daly2018" and r.scored.control is None]
    changes = [r for r in sprays if r.scored.statistic is Statistic.MEAN_CHANGE]
    day = [r for r in changes if r.scored.time_h == HOURS_PER_DAY]
    return scatter_chart(
        ScatterData(
            title="Dose and time",
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
