"""How a patient's scores hang on the model: the scales, their levels before treatment, and the clinic's cut-offs."""

from __future__ import annotations

import numpy as np

from afterglow.errors import InputError, NoModel
from afterglow.forecast.answer import ForecastInput, PatientScore, RelapseRule
from afterglow.forecast.update import LinkedScale
from afterglow.predicates import Comparison, Condition
from afterglow.scales import Direction, Instrument, instrument

UNKNOWN_LEVEL, UNKNOWN_LEVEL_SD = 0.55, 0.12  # Assumption: level before treatment as a share of the scale's range
_LEVEL_FREEDOM = 0.25  # Assumption: sd of a level that several scores before treatment settle, share of the range
_NO_SCORE_SCALE = "MADRS"  # what a forecast without any score is written on
_LOSS = 0.5  # relapse without a published cut-off: less than half of the improvement that makes a response


def link_scales(given: ForecastInput) -> tuple[LinkedScale, ...]:
    """Every scale of the scores, the one of the last score last.

    Raises: NoModel for a scale without a total, or on which higher is better; InputError for a scale given both in
        points and as a percentage, or without any symptoms before treatment.
    """
    names = list(dict.fromkeys(score.scale for score in given.scores)) or [_NO_SCORE_SCALE]
    if given.scores:
        names.remove(given.scores[-1].scale)
        names.append(given.scores[-1].scale)
    return tuple(_link(name, given) for name in names)


def _link(name: str, given: ForecastInput) -> LinkedScale:
    known = instrument(name)
    if known.range is None or known.direction is not Direction.HIGHER_IS_WORSE:
        raise NoModel(
            f"{name} cannot be forecast",
            observed="no total" if known.range is None else "higher is better",
            allowed="a severity scale with a total score",
        )
    own = [score for score in given.scores if score.scale == name]
    percent = {score.points is None for score in own}
    if len(percent) > 1:
        raise InputError(
            f"{name} is given both in points and as a percentage of baseline",
            next_step="Give all its scores in the same way, so that they can be linked",
        )
    if percent == {True}:
        return LinkedScale(
            name=name,
            lowest=0.0,
            highest=100.0 / UNKNOWN_LEVEL,
            whole_numbers=False,
            self_report=known.is_self_rated,
            percent=True,
            level=100.0,
            level_sd=0.0,
        )
    lowest, highest = map(float, known.range)
    level, level_sd = _level(name, [s for s in own if s.at_h <= _first_session_h(given)], lowest, highest)
    return LinkedScale(
        name=name,
        lowest=lowest,
        highest=highest,
        whole_numbers=known.whole_numbers,
        self_report=known.is_self_rated,
        percent=False,
        level=level,
        level_sd=level_sd,
    )


def _level(name: str, before: list[PatientScore], lowest: float, highest: float) -> tuple[float, float]:
    """Points above the lowest score before treatment: known from one score, settled by several, assumed from none."""
    span = highest - lowest
    if not before:
        return UNKNOWN_LEVEL * span, UNKNOWN_LEVEL_SD * span
    level = float(np.mean([score.points or 0.0 for score in before])) - lowest
    if level <= 0:
        raise InputError(
            f"{name} shows no symptoms before treatment, so there is nothing to relieve",
            observed=f"{level + lowest:g} points",
            allowed=f"over {lowest:g} points",
        )
    return level, 0.0 if len(before) == 1 else _LEVEL_FREEDOM * span


def _first_session_h(given: ForecastInput) -> float:
    return min((*given.given.starts_h, *given.planned.starts_h), default=np.inf)


def cut_off(conditions: tuple[Condition, ...], *, lowest: float, baseline: float) -> float | None:
    """The highest score that still meets a definition of response or remission; None where there is no definition."""
    for condition in conditions:
        if not isinstance(condition, Comparison) or isinstance(condition.value, tuple | str):
            continue
        value = float(condition.value)
        if condition.fact == "total":
            return value if condition.op == "<=" else value - 1.0
        if condition.fact == "change_pct":
            return lowest + (baseline - lowest) * (1.0 + value / 100.0)
        if condition.fact == "change":
            return baseline + value
    return None


def response_and_remission(scale: LinkedScale, baseline: float) -> tuple[float | None, float | None]:
    """Highest score that is a response, and a remission, on this scale."""
    known = instrument(scale.name)
    response = cut_off(_rules(known, "response"), lowest=scale.lowest, baseline=baseline)
    if scale.percent:
        return 50.0 if response is not None else None, None
    return response, cut_off(_rules(known, "remission"), lowest=scale.lowest, baseline=baseline)


def relapse_rule(given: ForecastInput, scale: LinkedScale, baseline: float) -> RelapseRule:
    """The clinic's rule, else the scale's published cut-off, else the loss of half the improvement that is a response.

    Raises: InputError if the clinic's rule is on another scale.
    """
    if given.relapse is not None:
        if given.relapse.scale != scale.name:
            raise InputError(
                "The relapse rule is on another scale than the last score",
                observed=given.relapse.scale,
                allowed=scale.name,
            )
        return given.relapse
    known = instrument(scale.name)
    for definition in known.relapse if not scale.percent else ():
        rule = definition.rule
        if (
            isinstance(rule, Comparison)
            and (rule.fact, rule.op) == ("total", ">=")
            and isinstance(rule.value, int | float)
        ):
            source = f"{definition.text} ({', '.join(definition.provenance.source)})"
            return RelapseRule(scale=scale.name, score_at_least=float(rule.value), source=source)
    half = scale.lowest + (baseline - scale.lowest) * (1.0 - _LOSS * 0.5)
    return RelapseRule(
        scale=scale.name,
        score_at_least=half,
        source="policy, no published cut-off: half of the improvement that makes a response is lost",
    )


def _rules(known: Instrument, what: str) -> tuple[Condition, ...]:
    return tuple(definition.rule for definition in getattr(known, what) if definition.rule is not None)
