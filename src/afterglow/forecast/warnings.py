"""What a reader of a forecast must know, as data."""

from __future__ import annotations

from collections.abc import Iterator

from afterglow.forecast.answer import ForecastInput, ForecastWarning, Method, WarningCode
from afterglow.forecast.candidates import Case
from afterglow.forecast.linking import LinkedScale
from afterglow.forecast.update import Posterior
from afterglow.quantities import HOURS_PER_DAY
from afterglow.scales import reliable_change, score_total
from afterglow.therapy.coverage import (
    RELAPSE_MISSED,
    SELF_REPORT_MISSED,
    intervals_missed,
    outside_calibration,
    outside_people,
)
from afterglow.therapy.exposure import check_doses
from afterglow.therapy.setting import Condition

LEAST_IMPROVED = 0.2  # policy (ADR 0009): an improvement smaller than a fifth needs no explanation
STALE_DAYS = 28.0  # policy (ADR 0009): older than the longest usual maintenance interval
_REFERENCE_WEIGHT_KG = 70.0


def warnings_of(case: Case, posterior: Posterior) -> tuple[ForecastWarning, ...]:
    """Every warning that applies, in a fixed order.

    Args:
        case: the patient.
        posterior: what the scores say.
    Raises: OutOfRange for a dose outside the absolute limits.
    """
    found = (
        *_of_fit(posterior),
        *_of_scores(case.given, case.scales[-1]),
        *_of_model(case),
        *_of_sessions(case),
    )
    return tuple(ForecastWarning(code=code, text=text) for code, text in found)


def _of_model(case: Case) -> Iterator[tuple[WarningCode, str]]:
    population = case.population
    if population.status != "calibrated":
        yield WarningCode.PROVISIONAL, f"The model of {case.given.condition.words} is {population.status}."
    yield WarningCode.INTERVALS_MISSED, f"In trials: {intervals_missed(case.given.condition)}"
    if case.scales[-1].self_report:
        yield WarningCode.SELF_REPORT_MISSED, SELF_REPORT_MISSED
    if case.given.given.administrations:
        yield WarningCode.UPPER_BOUND, "The part credited to the drug is an upper bound."
        if case.given.condition is Condition.DEPRESSION:
            yield WarningCode.RELAPSE_MISSED, f"{RELAPSE_MISSED} A next due date rests on these chances."


def _of_fit(posterior: Posterior) -> Iterator[tuple[WarningCode, str]]:
    if posterior.method is Method.NONE:
        yield WarningCode.FAR, f"No forecast: {posterior.reason}."
        return
    if posterior.method is Method.LAPLACE:
        text = f"The most likely patient was searched instead of weighting the population: {posterior.reason}."
        yield WarningCode.LAPLACE, text
    if posterior.contradicts:
        yield (
            WarningCode.FAR,
            "The model explains these scores badly: fewer than one in 1,000 of its patients fit so poorly.",
        )


def _of_scores(given: ForecastInput, scale: LinkedScale) -> Iterator[tuple[WarningCode, str]]:
    if not given.scores:
        yield WarningCode.NO_SCORE, "No score is known: this is what the population does, not this person."
        return
    if scale.percent:
        yield WarningCode.PERCENT_ONLY, f"{scale.name} is known as a percentage of baseline only."
    if not scale.measured:
        text = f"No {scale.name} score before treatment: its level is assumed, with wide doubt."
        yield WarningCode.NO_BASELINE, text
    age_days = (given.now_h - given.scores[-1].at_h) / HOURS_PER_DAY
    if age_days > STALE_DAYS:
        yield WarningCode.STALE, f"The last score is {age_days:.0f} days old."


def _of_sessions(case: Case) -> Iterator[tuple[WarningCode, str]]:
    given = case.given
    if given.condition is not Condition.DEPRESSION:
        yield WarningCode.OUT_OF_RANGE, f"{given.condition.heading}: {case.population.evidence}"
    for text in outside_calibration(given.condition, case.sessions, weight_kg=given.weight_kg):
        yield WarningCode.OUT_OF_RANGE, text
    scale, starts_h = case.scales[-1], case.sessions.starts_h
    known = scale.measured and not scale.percent
    for text in outside_people(
        given.condition,
        until_h=max(given.now_h, *starts_h) - starts_h[0] if starts_h else 0.0,
        level=(scale.level, scale.highest - scale.lowest) if known else None,
        one_patient=True,
        age_years=given.age_years,
    ):
        yield WarningCode.OUT_OF_RANGE, text
    weight_kg = _REFERENCE_WEIGHT_KG if given.weight_kg is None else given.weight_kg
    for text in check_doses(case.sessions, weight_kg=weight_kg):
        yield WarningCode.UNUSUAL_DOSE, text


def unexplained(case: Case, explained: float, baseline: float) -> tuple[ForecastWarning, ...]:
    """Whether most of the improvement at the last score is none of the model's parts: mood, or what it does not know.

    Args:
        case: the patient.
        explained: points of relief by drug, expectancy and care at the last score.
        baseline: level before treatment.
    """
    scores, scale = case.given.scores, case.scales[-1]
    if not scores or not case.given.given.administrations or scores[-1].at_h <= case.given.given.starts_h[0]:
        return ()
    improved = baseline - scale.value(scores[-1])
    if improved < LEAST_IMPROVED * (baseline - scale.lowest) or explained > improved / 2.0:
        return ()
    unit = "% of baseline" if scale.percent else "points"
    text = (
        f"Only {explained:.1f} of the improvement of {improved:.1f} {unit} are explained by sessions and time: the "
        "forecast rests on how long a fluctuation of mood lasts."
    )
    return (ForecastWarning(code=WarningCode.UNEXPLAINED, text=text),)


EXTRAPOLATED = ForecastWarning(
    code=WarningCode.EXTRAPOLATION, text="No trial has compared these intervals. This is the model's extrapolation."
)


def reliable_change_sentence(given: ForecastInput) -> str | None:
    """The last score against the first of its scale; None without two scores in points.

    Args:
        given: the input.

    >>> from datetime import UTC, datetime
    >>> from afterglow.forecast.answer import PatientScore
    >>> from afterglow.therapy.regimen import Regimen
    >>> known = ((-1.0, 21.0), (24.0, 9.0))
    >>> scores = tuple(PatientScore(at_h=at, scale="PHQ-9", points=points) for at, points in known)
    >>> given = ForecastInput(origin_at=datetime(2026, 3, 2, tzinfo=UTC), now_h=24.0, condition=Condition.DEPRESSION,
    ...                       scores=scores, given=Regimen())
    >>> reliable_change_sentence(given)
    'PHQ-9 −12 points since the first score of 21: improved (a change of 8.59 or more counts)'
    """
    name = given.scores[-1].scale if given.scores else ""
    own = [score.points for score in given.scores if score.scale == name and score.points is not None]
    if len(own) < 2:
        return None
    verdict = reliable_change(score_total(name, own[0]), score_total(name, own[-1]))
    if verdict.verdict is None or verdict.change_points is None or verdict.threshold_points is None:
        return f"{name}: no verdict, because {verdict.reason}"
    change = f"{verdict.change_points:+g}".replace("-", "−")
    since = f"since the first score of {own[0]:g}"
    return (
        f"{name} {change} points {since}: {verdict.verdict} (a change of {verdict.threshold_points:.3g} or more counts)"
    )
