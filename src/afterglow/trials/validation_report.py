"""The page docs/validation/model.md: misses first, then how groups of figures did, then every figure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from afterglow.markdown import table
from afterglow.quantities import HOURS_PER_DAY, format_duration
from afterglow.therapy.setting import Condition, Setting
from afterglow.trials.arms import ScoredFigure
from afterglow.trials.moments import Statistic
from afterglow.trials.validate import PlannedContrast, Row, Summary, Validation

BAR_COVERAGE, BAR_GAIN = 0.85, 0.10
_SMALL_TRIAL = 30


def validation_markdown(found: Validation, without_priors: Validation) -> str:
    """The page of a validation and of its repetition without class-level priors."""
    held_out = found.held_out
    groups, again = found.groups(held_out), without_priors.groups(without_priors.held_out)
    fitted = [row for row in found.rows if row not in held_out]
    everything = groups["all"]
    lines = [
        "# Validation of the model",
        "",
        f"`afterglow validate`, population {found.model}, seed {found.seed}. Every applicable figure of the evidence",
        "beside its prediction; which figures count was fixed before the first run (decision 0010), and every",
        "look at the",
        "held-out table is logged (decision 0012). Held-out figures are never fitted. Pictures:",
        "`afterglow validate --report OUT.html`.",
        "",
        "## What was reached",
        "",
        f"- {everything.n} public held-out figures of {everything.trials} trials;",
        f"  **{100 * everything.coverage:.0f} %** lie inside their 90 % interval (the bar is",
        f"{100 * BAR_COVERAGE:.0f} %).",
        f"- Interval score {everything.score:.1f} against {everything.lookup_score:.1f} of the lookup table:",
        f"  **{_gain(everything.gain)}** (the bar is {100 * BAR_GAIN:.0f} %).",
        f"- The median interval is {everything.sharpness:.1f} times as wide as pure sampling would make it.",
        f"- Without the class-level priors: {100 * again['all'].coverage:.0f} % inside,",
        f"  {_gain(again['all'].gain)} than the lookup, {again['all'].sharpness:.1f} times sampling.",
        "",
        "## Held-out figures outside their interval",
        "",
        *_misses(held_out),
        "",
        "## Held-out figures by group",
        "",
        *_groups(groups),
        "",
        "Scores are interval (Winkler) scores in per cent of the possible improvement, averaged by trial and then over",
        "trials; lower is better. The lookup is the average of the same kind of arm at that time with the spread",
        "between",
        "trials, from calibration and context figures.",
        "",
        "### Without class-level priors",
        "",
        *_groups(again),
        "",
        "## Active minus control",
        "",
        "Each predicted difference with the trial's own standard error and the spread between trials, and the",
        "chance that",
        "such a trial has p < 0.05.",
        "",
        *_contrasts(found.rows),
        "",
        "Trials that print no difference, at their last time up to week 4, as changes on their scale:",
        "",
        *_planned(found.planned),
        "",
        "## Every held-out figure",
        "",
        *_rows(held_out),
        "",
        "## Calibration and context figures",
        "",
        "A check of the fit, not evidence.",
        "",
        *_groups(found.groups(fitted)),
        "",
        *_misses(fitted),
        "",
        *_rows(fitted),
    ]
    return "\n".join(lines) + "\n"


def _gain(gain: float) -> str:
    return f"{100 * abs(gain):.0f} % {'better' if gain >= 0 else 'worse'}"


def figure_name(f: ScoredFigure) -> str:
    """A figure in few words.

    >>> from afterglow.trials.arms import scored_figures
    >>> figure_name(next(f for f in scored_figures() if f.trial.key == "murrough2013_ajp"))
    'murrough2013_ajp ket05, MADRS change, 24 h'
    """
    arms = f.arm.arm if f.control is None else f"{f.arm.arm} minus {f.control.arm}"
    words = f.statistic.removesuffix("_pct").replace("mean_", "")
    of = f" of {f.of}" if f.of else ""
    return f"{f.trial.key} {arms}, {f.scale} {words}{of}, {format_duration(f.time_h)}"


def reason(row: Row) -> str:
    """Why a figure may lie outside its interval, from what its trial was; one sentence."""
    f = row.scored
    side = "higher" if f.value > row.value else "lower"
    if f.control is not None:
        size = "smaller" if abs(f.value) < abs(row.value) else "larger"
        return (
            f"A difference {size} than predicted: the contrast of drug and control is learnt from trials of few "
            "people, and control arms differ between trials."
        )
    if f.n is not None and f.n < _SMALL_TRIAL:
        return f"{f.n} patients, {side} than predicted: small open or early trials run to extremes."
    if f.statistic is Statistic.RELAPSE_PCT:
        return f"Relapse {side} than predicted: its definition is assumed, and who stays in follow-up is not modelled."
    if f.figure.scale is not None and f.scale.startswith(("PHQ", "QIDS")):
        return f"A self-report, {side} than predicted: no calibration figure is of one."
    if f.arm.setting is Setting.INPATIENT:
        return f"Inpatients in a crisis, {side} than predicted: no calibration figure shows what admission does."
    if f.control is None and f.arm.given is None:
        return f"A control arm, {side} than predicted: control arms differ between trials more than anything else."
    if f.condition is not Condition.DEPRESSION:
        return f"{side.capitalize()} than predicted: this condition has one calibration trial or none."
    return f"{side.capitalize()} than predicted, beyond what trials of this kind differed by in calibration."


def _misses(rows: Sequence[Row]) -> list[str]:
    outside = sorted((row for row in rows if not row.inside), key=lambda row: -abs(row.z))
    if not outside:
        return ["None."]
    return [
        *table(
            ["Figure", "Observed", "Predicted", "90 % interval", "z", "Why"],
            (
                [
                    figure_name(r.scored),
                    f"{r.scored.value:.1f}",
                    f"{r.value:.1f}",
                    _interval(r),
                    f"{r.z:.1f}",
                    reason(r),
                ]
                for r in outside
            ),
        )
    ]


def _groups(groups: Mapping[str, Summary]) -> list[str]:
    return [
        *table(
            ["Figures", "n", "Trials", "Inside 90 %", "Score", "Lookup", "Better by", "Width / sampling"],
            (
                [
                    name,
                    g.n,
                    g.trials,
                    f"{100 * g.coverage:.0f} %",
                    f"{g.score:.1f}",
                    f"{g.lookup_score:.1f}",
                    f"{100 * g.gain:.0f} %",
                    f"{g.sharpness:.1f}",
                ]
                for name, g in groups.items()
            ),
        )
    ]


def _contrasts(rows: Sequence[Row]) -> list[str]:
    return [
        *table(
            ["Figure", "Role", "Observed", "SE", "Predicted", "90 % interval", "Inside", "Chance of p < 0.05"],
            (
                [
                    figure_name(r.scored),
                    r.scored.trial.role,
                    f"{r.scored.value:.1f}",
                    "" if r.scored.se is None else f"{r.scored.se:.1f}",
                    f"{r.value:.1f}",
                    _interval(r),
                    "yes" if r.inside else "NO",
                    f"{100 * (r.chance_significant or 0.0):.0f} %",
                ]
                for r in rows
                if r.scored.control is not None
            ),
        )
    ]


def _planned(planned: Sequence[PlannedContrast]) -> list[str]:
    return [
        *table(
            ["Trial", "Active", "Control", "Scale", "Day", "Predicted", "90 % interval", "Chance of p < 0.05"],
            (
                [
                    p.active.trial,
                    p.active.arm,
                    p.control.arm,
                    p.scale,
                    f"{p.time_h / HOURS_PER_DAY:g}",
                    f"{p.value:.1f}",
                    f"{p.lo90:.1f} to {p.hi90:.1f}",
                    f"{100 * p.chance_significant:.0f} %",
                ]
                for p in planned
            ),
        )
    ]


def _rows(rows: Sequence[Row]) -> list[str]:
    return [
        *table(
            ["Figure", "Observed (95 %)", "Predicted", "90 % interval", "Inside", "z", "Width / sampling"],
            (
                [
                    figure_name(r.scored),
                    _observed(r.scored),
                    f"{r.value:.1f}",
                    _interval(r),
                    "yes" if r.inside else "NO",
                    f"{r.z:.1f}",
                    f"{r.relative_width:.1f}",
                ]
                for r in rows
            ),
        )
    ]


def _observed(f: ScoredFigure) -> str:
    interval = f.observed_interval
    return f"{f.value:.1f}" if interval is None else f"{f.value:.1f} ({interval[0]:.1f} to {interval[1]:.1f})"


def _interval(row: Row) -> str:
    return f"{row.lo90:.1f} to {row.hi90:.1f}"
