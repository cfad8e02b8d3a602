"""A forecast as people see it: its picture, its key figures and its sentences, the same in text and in a report."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np

from afterglow.forecast import DEFAULT_LIMIT, NextDue, RelapseForecast, Trajectory
from afterglow.forecast.linking import link_scales, response_and_remission
from afterglow.quantities import HOURS_PER_DAY
from afterglow.render.axes import Calendar
from afterglow.render.forecast import DueDate, ForecastData, format_due
from afterglow.render.marks import ObservedPoint, dose_marks, series
from afterglow.render.outlook import IntervalData, IntervalRow, RelapseData
from afterglow.render.panels import Fan, Relief, SeverityBand, Threshold
from afterglow.render.report import KeyFigure
from afterglow.render.text import format_day, format_number, format_parts, format_percent, format_points, format_range
from afterglow.scales import band_of, instrument, score_total
from afterglow.usecases.forecasting import ForecastAnswer, cut_off

_SHORTEST_AHEAD_H, _LONGEST_AHEAD_H, _LONGEST_BACK_H = (days * HOURS_PER_DAY for days in (42, 91, 280))
DUE_LABELS = ("Next due", "Next due by")
_ROOM_H = 3 * HOURS_PER_DAY  # after the last mark of the picture


def picture_data(answer: ForecastAnswer, trajectory: Trajectory) -> ForecastData:
    """What the forecast's picture shows: the course so far, and as far ahead as it helps to decide."""
    found, given, strip = answer.forecast, answer.forecast.given, trajectory.strip
    due = due_date(found.next_due)
    begin, end = _shown_h(answer, due)
    ahead = (trajectory.times_h >= given.now_h) & (trajectory.times_h <= end)
    inside = (strip.times_h >= begin) & (strip.times_h <= end)
    marks = (*dose_marks(given.given), *dose_marks(given.planned, planned=True))
    kept = [i for i, mark in enumerate(marks) if begin <= mark.time_h <= end]
    layers = [strip.drug_layers[i] for i in kept] or [strip.drug]
    earlier = strip.drug_layers[: kept[0]].sum(axis=0) if kept else 0.0
    layers[0] = layers[0] + earlier
    return ForecastData(
        title=f"{found.scale}, sessions and forecast",
        calendar=Calendar(origin_at=given.origin_at, zone=answer.zone),
        score_name=found.scale,
        percent=is_percent(answer),
        lowest=found.lowest,
        highest=found.highest,
        baseline=measured_baseline(answer),
        now_h=given.now_h,
        scores=tuple(point for point in scores_shown(answer) if point.time_h >= begin),
        sessions=tuple(marks[i] for i in kept),
        fan=Fan(
            time_h=series(trajectory.times_h[ahead]),
            median=series(trajectory.median[ahead]),
            lo50=series(trajectory.lo50[ahead]),
            hi50=series(trajectory.hi50[ahead]),
            lo90=series(trajectory.lo90[ahead]),
            hi90=series(trajectory.hi90[ahead]),
        ),
        relief=Relief(
            time_h=series(strip.times_h[inside]),
            drug_layers=tuple(series(layer[inside]) for layer in layers),
            expectancy=series(strip.expectancy[inside]),
            care=series(strip.care[inside]),
        ),
        control=series(strip.control[inside]),
        due=due,
        thresholds=tuple(_thresholds(answer)),
        severity=() if is_percent(answer) else tuple(severity_bands(found.scale)),
    )


def due_date(due: NextDue | None) -> DueDate:
    """The next due date as the picture takes it."""
    if due is None:
        return DueDate(limit=DEFAULT_LIMIT, on_h=None, at_half_h=None, at_twice_h=None, reason="No forecast.")
    return DueDate(
        limit=due.limit, on_h=due.on_h, at_half_h=due.at_half_h, at_twice_h=due.at_twice_h, reason=due.reason
    )


def scores_shown(answer: ForecastAnswer) -> tuple[ObservedPoint, ...]:
    """The scores on the forecast's scale, in its unit."""
    return tuple(
        ObservedPoint(
            time_h=score.at_h,
            value=score.points if score.points is not None else 100.0 * (score.fraction_of_baseline or 0.0),
        )
        for score in answer.forecast.given.scores
        if score.scale == answer.forecast.scale
    )


def measured_baseline(answer: ForecastAnswer) -> float | None:
    """The last score before treatment, which people compare with; the model's level where there is none."""
    first_session_h = min(answer.forecast.given.given.starts_h, default=math.inf)
    before = [score.value for score in scores_shown(answer) if score.time_h <= first_session_h]
    return before[-1] if before and not is_percent(answer) else answer.forecast.baseline


def is_percent(answer: ForecastAnswer) -> bool:
    """Whether the forecast is in percent of the level before treatment."""
    return answer.forecast.unit != "points"


def _shown_h(answer: ForecastAnswer, due: DueDate) -> tuple[float, float]:
    """First and last time of the picture: at most 40 weeks back, and 6 to 13 weeks ahead."""
    given = answer.forecast.given
    known = [score.at_h for score in given.scores] + list(given.given.starts_h)
    begin = max(min(known, default=given.now_h), given.now_h - _LONGEST_BACK_H)
    ahead = min(max((given.now_h - begin) / 2, _SHORTEST_AHEAD_H), _LONGEST_AHEAD_H)
    marks = [at for at in (due.on_h, due.at_half_h, due.at_twice_h, *given.planned.starts_h) if at is not None]
    wanted = max(given.now_h + ahead, *(at + _ROOM_H for at in marks), given.now_h)
    return begin, min(wanted, given.now_h + _LONGEST_AHEAD_H)


def severity_bands(scale: str) -> Iterator[SeverityBand]:
    """The published bands of a scale's total, each up to where the next begins; none where none are published."""
    known = instrument(scale)
    found = next((one for one in known.bands if "total" in one.applies_to), None)
    if found is None or known.range is None:
        return
    tops = [band.min for band in found.bands[1:]] + [known.range[1]]
    for band, top in zip(found.bands, tops, strict=True):
        yield SeverityBand(name=f"{band.label[0].upper()}{band.label[1:]}", low=band.min, high=top)


def _thresholds(answer: ForecastAnswer) -> Iterator[Threshold]:
    """Response, remission and relapse as lines, each with the highest or lowest score that counts."""
    found = answer.forecast
    baseline = measured_baseline(answer)
    if baseline is None or found.relapse is None:
        return
    scale = link_scales(found.given)[-1]
    response, remission = response_and_remission(scale, baseline)
    if response is not None:
        shown = math.floor(response) if scale.whole_numbers else response
        words = "half of baseline" if scale.percent else f"{format_number(shown)} or less"
        yield Threshold(name="Response", definition=words, score=shown)
    if remission is not None:
        cut = cut_off(instrument(found.scale).remission)
        below = cut[1] if cut is not None and cut[0] == "<" else None
        score = remission if below is None else below
        words = f"{format_number(score)} or less" if below is None else f"under {format_number(below)}"
        yield Threshold(name="Remission", definition=words, score=score)
    score = found.relapse.score_at_least
    yield Threshold(name="Relapse rule", definition=f"{written(score)} or more", score=score, dotted=True)


def relapse_data(answer: ForecastAnswer) -> RelapseData | None:
    """The chance of relapse by day, for its picture; None where there is no relief to lose."""
    found, relapse = answer.forecast, answer.forecast.relapse
    if relapse is None or not relapse.p_by_day:
        return None
    return RelapseData(
        title="Chance of relapse without another session",
        calendar=Calendar(origin_at=found.given.origin_at, zone=answer.zone),
        now_h=found.given.now_h,
        days=tuple(day for day, _ in relapse.p_by_day),
        chance=tuple(chance for _, chance in relapse.p_by_day),
        limit=found.given.limit,
        due_h=found.next_due.on_h if found.next_due else None,
        definition=relapse.definition,
    )


def interval_data(answer: ForecastAnswer) -> IntervalData | None:
    """Maintenance intervals side by side; None where the forecast compares none."""
    found = answer.forecast
    if not found.intervals or found.relapse is None:
        return None
    rows = (
        IntervalRow(days=one.days, chance_well=one.p_well_12w, sessions=one.sessions_12w) for one in found.intervals
    )
    return IntervalData(
        title="If sessions came every...", rows=tuple(rows), definition=f"never reaching {found.relapse.definition}"
    )


def key_figures(answer: ForecastAnswer, trajectory: Trajectory) -> tuple[KeyFigure, ...]:
    """The numbers that a reader sees first; those that need a score are left out where there is none."""
    figures = [*_score_figures(answer)]
    now = today(answer, trajectory)
    if answer.forecast.baseline is not None and figures:
        figures.append(
            KeyFigure(
                label="Control arm now",
                value=format_number(trajectory.control[now] - answer.forecast.baseline, signed=True),
                unit=_unit(answer),
                note="the same visits without the drug",
                predicted=True,
            )
        )
        figures.append(
            KeyFigure(
                label="Credited to the drug now",
                value=format_points(float(trajectory.drug[now])),
                unit=_unit(answer),
                note=f"{drug_range(trajectory, now)} in 90 %; an upper bound: belief works alike",
                predicted=True,
            )
        )
    return (*figures, _due_figure(answer))


def today(answer: ForecastAnswer, trajectory: Trajectory) -> int:
    """Which row of the trajectory is now."""
    return int(np.argmin(np.abs(trajectory.times_h - answer.forecast.given.now_h)))


def drug_range(trajectory: Trajectory, day: int) -> str:
    """The 90 % range of the drug's credit on a day."""
    low, high = float(trajectory.drug_lo90[day]), float(trajectory.drug_hi90[day])
    return format_range(format_points(low), format_points(high))


def parts_of_change(answer: ForecastAnswer, trajectory: Trajectory) -> dict[str, str] | None:
    """What the last measured change is made of, adding up as shown; None without a score after the first session."""
    scores, given, baseline = scores_shown(answer), answer.forecast.given, measured_baseline(answer)
    if baseline is None or not scores or not given.given.starts_h or scores[-1].time_h <= given.given.starts_h[0]:
        return None
    at = scores[-1].time_h
    named = {"Drug": trajectory.drug, "Expectancy": trajectory.expectancy, "Care and time": trajectory.care}
    parts = {name: float(np.interp(at, trajectory.times_h, values)) for name, values in named.items()}
    return format_parts(baseline - scores[-1].value, parts)


def sentences(answer: ForecastAnswer) -> tuple[str, ...]:
    """What the forecast says beside its picture, each a sentence."""
    found = answer.forecast
    chances = [
        f"{what} with {format_percent(100 * chance, predicted=True)}"
        for what, chance in (("response", found.p_response), ("remission", found.p_remission))
        if chance is not None
    ]
    said = [f"A score written now would show {' and '.join(chances)}"] if chances else []
    due = due_date(found.next_due)
    if due.on_h is not None:
        calendar = Calendar(origin_at=found.given.origin_at, zone=answer.zone)
        said.append(": ".join(format_due(due, calendar)))
    if found.relapse is not None:
        said.append(_relapse_sentence(answer, found.relapse))
    if found.reliable_change:
        said.append(found.reliable_change)
    early = found.early_nonresponse
    if early.called is not None and early.chance is not None:
        verdict = "Early non-response" if early.called else "No early non-response"
        said.append(f"{verdict}: {format_percent(100 * early.chance, predicted=True)} {early.reason}")
    else:
        said.append(f"Early non-response is not judged: {early.reason}")
    return tuple(f"{one.rstrip('.')}." for one in said)


def _relapse_sentence(answer: ForecastAnswer, relapse: RelapseForecast) -> str:
    """When the chance of relapse becomes even, or why there is none to tell."""
    if relapse.reached or not relapse.p_by_day:
        return relapse.reason
    what = f"Relapse ({relapse.definition}) without another session"
    if relapse.median_days is None:
        return f"{what} stays under an even chance throughout the forecast"
    given = answer.forecast.given
    day = format_day(answer.at(given.now_h + HOURS_PER_DAY * relapse.median_days).date(), weekday=True)
    return f"{what} has an even chance by {day}"


def _unit(answer: ForecastAnswer) -> str:
    return "% of baseline" if is_percent(answer) else "points"


def _score_figures(answer: ForecastAnswer) -> Iterator[KeyFigure]:
    """The last score, and its change from before treatment."""
    found, scores = answer.forecast, scores_shown(answer)
    if not scores:
        return
    last = scores[-1]
    band = None if is_percent(answer) else band_of(score_total(found.scale, last.value))
    yield KeyFigure(
        label=f"{found.scale}, {format_day(answer.at(last.time_h).date())}",
        value=written(last.value),
        unit="% of baseline" if is_percent(answer) else ("" if band is None else band.label),
        note="" if len(scores) < 2 else _since_last(answer, scores),
    )
    baseline = measured_baseline(answer)
    if baseline is None or len(scores) < 2:
        return
    change = last.value - baseline
    share = 100.0 * abs(change) / (baseline - found.lowest)
    yield KeyFigure(
        label=f"Since baseline of {written(baseline)}",
        value=written(change, signed=True),
        unit="% of baseline" if is_percent(answer) else f"points, {format_number(share)} %",
        note=_reached(answer, last.value),
    )


def written(value: float, *, signed: bool = False) -> str:
    """A score with the decimals it has.

    >>> written(7.0), written(-8.5, signed=True)
    ('7', '−8.5')
    """
    return format_number(value, 1, signed=signed).removesuffix(".0")


def _since_last(answer: ForecastAnswer, scores: tuple[ObservedPoint, ...]) -> str:
    change = scores[-1].value - scores[-2].value
    words = "unchanged" if change == 0 else f"{'up' if change > 0 else 'down'} {written(abs(change))}"
    return f"{words} since {format_day(answer.at(scores[-2].time_h).date())}"


def _reached(answer: ForecastAnswer, value: float) -> str:
    """Response and remission in words, against what was measured before treatment."""
    found = answer.forecast
    scale = link_scales(found.given)[-1]
    cuts = response_and_remission(scale, measured_baseline(answer) or 0.0)
    response, remission = (None if cut is None else value <= cut for cut in cuts)
    if remission:
        return "remission"
    if response:
        return "response" if remission is None else "response, not remission"
    return "" if response is None else "no response"


def _due_figure(answer: ForecastAnswer) -> KeyFigure:
    due = due_date(answer.forecast.next_due)
    if due.on_h is None:
        return KeyFigure(label=DUE_LABELS[0], value="No date", note=due.reason)
    return KeyFigure(
        label=DUE_LABELS[1],
        value=format_day(answer.at(due.on_h).date()),
        note=f"at a limit of {written(100 * due.limit)} %: our default, no clinic's",
        predicted=True,
    )
