"""How a patient's scores hang on the model: scales, their levels before treatment, and what counts as relapse.

One score of a scale before treatment defines its level, and mood is zero there, as at a trial's baseline score. Several
scores of one scale show that the level itself is uncertain: then every measured level is free, mood is stationary, and
all of them are evidence. A scale without any is assumed to start like other patients', with wide doubt.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from afterglow.errors import InputError, NoModel
from afterglow.forecast.answer import ForecastInput, PatientScore, RelapseRule
from afterglow.forecast.filter import ROUNDING_VARIANCE
from afterglow.predicates import Comparison
from afterglow.scales import Definition, Direction, instrument
from afterglow.therapy.kinetics import FloatArray
from afterglow.therapy.population import VirtualPatients

UNKNOWN_LEVEL, UNKNOWN_LEVEL_SD = 0.55, 0.12  # Assumption (ADR 0009): level of a patient, share of the scale's range
_LEVEL_FREEDOM = 0.25  # Assumption (ADR 0009): sd of a level that several scores before treatment tell of, same share
_LEAST_LEVEL = 0.05  # Assumption (ADR 0009): nobody with less, in the same share, is treated
_NO_SCORE_SCALE = "MADRS"  # what a forecast without any score is written on
_WITHOUT_RESPONSE = 0.5  # the improvement that makes a response, on a scale that defines none
_LOSS = 0.5  # policy (ADR 0009): the share of that improvement whose loss is relapse, without a published cut-off


@dataclass(frozen=True, slots=True, kw_only=True)
class LinkedScale:
    """One scale of the patient's scores.

    Args:
        name: as the scores name it.
        lowest, highest: range in points, or in percent of baseline.
        whole_numbers: whether only whole scores exist.
        self_report: whether patients rate themselves.
        percent: whether scores are known in percent of baseline only.
        level: before treatment, above `lowest`; its middle where it is uncertain.
        level_sd: doubt about it; 0 where it is defined.
        defined_at_h: when the level was defined, and mood zero; None where it is uncertain.
        measured: whether any score tells of the level.
    """

    name: str
    lowest: float
    highest: float
    whole_numbers: bool
    self_report: bool
    percent: bool
    level: float
    level_sd: float
    defined_at_h: float | None
    measured: bool

    def following(self, patients: VirtualPatients) -> FloatArray:
        """How far the scale follows each patient's state: (n,)."""
        return patients.following_self_report if self.self_report else np.ones(len(patients))

    def noise_variance(self, patients: VirtualPatients) -> FloatArray:
        """Variance of a written score around the true one: (n,)."""
        share = patients.error_self_report if self.self_report else patients.error_clinician
        variance: FloatArray = (share * (self.highest - self.lowest)) ** 2 + ROUNDING_VARIANCE * self.whole_numbers
        return variance

    def levels(self, deviates: FloatArray) -> FloatArray:
        """The levels that standard-normal deviates stand for."""
        span = self.highest - self.lowest
        return np.clip(self.level + self.level_sd * deviates, _LEAST_LEVEL * span, span)

    def value(self, score: PatientScore) -> float:
        """A score in the unit of this scale."""
        return score.points if score.points is not None else 100.0 * (score.fraction_of_baseline or 0.0)


def link_scales(given: ForecastInput) -> tuple[LinkedScale, ...]:
    """Every scale of the scores, the one of the last score last.

    Raises: NoModel for a scale without a total, or on which higher is better; InputError for a scale given both in
        points and as a percentage, or without any symptoms before treatment. `about` is the scale's name.

    >>> from datetime import UTC, datetime
    >>> from afterglow.therapy.regimen import Regimen
    >>> from afterglow.therapy.setting import Condition
    >>> before = PatientScore(at_h=-1.0, scale="PHQ-9", points=21.0)
    >>> given = ForecastInput(origin_at=datetime(2026, 3, 2, tzinfo=UTC), now_h=0.0, condition=Condition.DEPRESSION,
    ...                       scores=(before,), given=Regimen())
    >>> (scale,) = link_scales(given)
    >>> scale.level, scale.level_sd, scale.defined_at_h
    (21.0, 0.0, -1.0)
    """
    names = list(dict.fromkeys(score.scale for score in given.scores)) or [_NO_SCORE_SCALE]
    if given.scores:
        names.remove(given.scores[-1].scale)
        names.append(given.scores[-1].scale)
    first_h = min((*given.given.starts_h, *given.planned.starts_h), default=math.inf)
    before = {
        name: [s for s in given.scores if s.scale == name and s.at_h <= first_h and s.points is not None]
        for name in names
    }
    uncertain = any(len(scores) > 1 for scores in before.values())
    return tuple(_link(name, given, before[name], first_h=first_h, uncertain=uncertain) for name in names)


def mood_start_h(scales: tuple[LinkedScale, ...]) -> float | None:
    """When mood is zero by definition; None where it may be anything.

    >>> from datetime import UTC, datetime
    >>> from afterglow.therapy.regimen import Regimen
    >>> from afterglow.therapy.setting import Condition
    >>> known = ((-30.0, 20.0), (-1.0, 22.0))
    >>> scores = tuple(PatientScore(at_h=at, scale="PHQ-9", points=points) for at, points in known)
    >>> given = ForecastInput(origin_at=datetime(2026, 3, 2, tzinfo=UTC), now_h=24.0, condition=Condition.DEPRESSION,
    ...                       scores=scores, given=Regimen())
    >>> mood_start_h(link_scales(given)) is None  # two scores before treatment: the level is uncertain
    True
    """
    if any(scale.level_sd > 0 and scale.measured for scale in scales):
        return None
    return max((scale.defined_at_h for scale in scales if scale.defined_at_h is not None), default=None)


def evidence(given: ForecastInput, scales: tuple[LinkedScale, ...]) -> list[tuple[PatientScore, int]]:
    """The scores that tell of the patient, each with the place of its scale: those that define a level tell nothing.

    >>> from datetime import UTC, datetime
    >>> from afterglow.therapy.regimen import Regimen
    >>> from afterglow.therapy.setting import Condition
    >>> known = ((-1.0, 21.0), (24.0, 9.0))
    >>> scores = tuple(PatientScore(at_h=at, scale="PHQ-9", points=points) for at, points in known)
    >>> given = ForecastInput(origin_at=datetime(2026, 3, 2, tzinfo=UTC), now_h=24.0, condition=Condition.DEPRESSION,
    ...                       scores=scores, given=Regimen())
    >>> [(score.at_h, place) for score, place in evidence(given, link_scales(given))]  # no session: both are before
    [(-1.0, 0), (24.0, 0)]
    """
    places = {scale.name: place for place, scale in enumerate(scales)}
    start = mood_start_h(scales)
    found = []
    for score in given.scores:
        defined = scales[places[score.scale]].defined_at_h
        if (defined is None or score.at_h > defined) and (start is None or score.at_h >= start):
            found.append((score, places[score.scale]))
    return found


def _link(
    name: str, given: ForecastInput, before: list[PatientScore], *, first_h: float, uncertain: bool
) -> LinkedScale:
    known = instrument(name)
    if known.range is None or known.direction is not Direction.HIGHER_IS_WORSE:
        raise NoModel(
            f"{name} cannot be forecast",
            observed="no total" if known.range is None else "higher is better",
            allowed="a severity scale with a total score",
            about=name,
        )
    own = [score for score in given.scores if score.scale == name]
    percent = {score.points is None for score in own}
    if len(percent) > 1:
        raise InputError(
            f"{name} is given both in points and as a percentage of baseline",
            next_step="Give all its scores in the same way, so that they can be linked",
            about=name,
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
            defined_at_h=_percent_defined_h(own, first_h if first_h <= given.now_h else None),
            measured=True,
        )
    lowest, highest = map(float, known.range)
    span = highest - lowest
    level, level_sd = UNKNOWN_LEVEL * span, UNKNOWN_LEVEL_SD * span
    if before:
        level = float(np.mean([score.points for score in before if score.points is not None])) - lowest
        level_sd = _LEVEL_FREEDOM * span if uncertain else 0.0
    if level <= 0:
        raise InputError(
            f"{name} shows no symptoms before treatment, so there is nothing to relieve",
            observed=f"{level + lowest:g} points",
            allowed=f"over {lowest:g} points",
            about=name,
        )
    return LinkedScale(
        name=name,
        lowest=lowest,
        highest=highest,
        whole_numbers=known.whole_numbers,
        self_report=known.is_self_rated,
        percent=False,
        level=level,
        level_sd=level_sd,
        defined_at_h=before[0].at_h if before and not uncertain else None,
        measured=bool(before),
    )


def _percent_defined_h(own: list[PatientScore], first_h: float | None) -> float:
    """When a percentage's baseline was: at the last 100 % before treatment, else at the first session or score."""
    whole = [s.at_h for s in own if s.fraction_of_baseline == 1.0 and (first_h is None or s.at_h <= first_h)]
    return max(whole, default=own[0].at_h if first_h is None else first_h)


def response_and_remission(scale: LinkedScale, baseline: float) -> tuple[float | None, float | None]:
    """Highest score that is a response, and a remission, on this scale; None where it defines none.

    Args:
        scale: the scale.
        baseline: score before treatment.

    >>> from datetime import UTC, datetime
    >>> from afterglow.therapy.regimen import Regimen
    >>> from afterglow.therapy.setting import Condition
    >>> scores = tuple(PatientScore(at_h=at, scale="PHQ-9", points=points) for at, points in ((-1.0, 21.0),))
    >>> given = ForecastInput(origin_at=datetime(2026, 3, 2, tzinfo=UTC), now_h=24.0, condition=Condition.DEPRESSION,
    ...                       scores=scores, given=Regimen())
    >>> response_and_remission(link_scales(given)[0], 21.0)
    (10.5, 4.0)
    """
    known = instrument(scale.name)
    response = _highest(known.response, scale, baseline)
    return response, None if scale.percent else _highest(known.remission, scale, baseline)


def _highest(definitions: tuple[Definition, ...], scale: LinkedScale, baseline: float) -> float | None:
    """The highest score that meets the first definition that has one; changes in points mean nothing in percent."""
    facts = {"change_pct"} if scale.percent else {"change_pct", "change", "total"}
    for rule, value, _ in _comparisons(definitions, facts):
        if rule.fact == "change_pct":
            return scale.lowest + (baseline - scale.lowest) * (1.0 + value / 100.0)
        if rule.fact == "change":
            return baseline + value
        return value - 1.0 if rule.op == "<" and scale.whole_numbers else value
    return None


def _comparisons(definitions: tuple[Definition, ...], facts: set[str]) -> list[tuple[Comparison, float, Definition]]:
    """The rules among definitions that compare one of these facts with a number."""
    return [
        (one.rule, float(one.rule.value), one)
        for one in definitions
        if isinstance(one.rule, Comparison) and one.rule.fact in facts and isinstance(one.rule.value, int | float)
    ]


def relapse_rule(given: ForecastInput, scale: LinkedScale, baseline: float) -> RelapseRule:
    """The clinic's rule, else the scale's published cut-off, else the loss of half the improvement that is a response.

    A published cut-off that is no better than the person's own level before treatment cannot tell relief from its loss,
    and is passed over. On whole-number scales the cut-off is the lowest whole score that counts.

    Args:
        given: the input, with the clinic's rule if there is one.
        scale: the scale.
        baseline: score before treatment.
    Raises: InputError if the clinic's rule is on another scale.

    >>> from datetime import UTC, datetime
    >>> from afterglow.therapy.regimen import Regimen
    >>> from afterglow.therapy.setting import Condition
    >>> scores = tuple(PatientScore(at_h=at, scale="PHQ-9", points=points) for at, points in ((-1.0, 21.0),))
    >>> given = ForecastInput(origin_at=datetime(2026, 3, 2, tzinfo=UTC), now_h=24.0, condition=Condition.DEPRESSION,
    ...                       scores=scores, given=Regimen())
    >>> relapse_rule(given, link_scales(given)[0], 21.0).score_at_least
    16.0
    """
    if given.relapse is not None:
        if given.relapse.scale != scale.name:
            raise InputError(
                "The relapse rule is on another scale than the last score",
                observed=given.relapse.scale,
                allowed=scale.name,
            )
        return given.relapse
    published = None if scale.percent else _published_relapse(scale)
    if published is not None and published.score_at_least < baseline:
        return published
    response, _ = response_and_remission(scale, baseline)
    if response is None:
        response = scale.lowest + (baseline - scale.lowest) * (1.0 - _WITHOUT_RESPONSE)
    cut_off = baseline - _LOSS * (baseline - response)
    if scale.whole_numbers:
        cut_off = float(math.ceil(cut_off - 1e-9))
    why = (
        "no published cut-off"
        if published is None
        else f"the published cut-off of {published.score_at_least:g} is not under this person's level before treatment"
    )
    return RelapseRule(
        scale=scale.name,
        score_at_least=cut_off,
        source=f"policy, because {why}: half of the improvement that makes a response is lost",
    )


def _published_relapse(scale: LinkedScale) -> RelapseRule | None:
    for _, cut_off, definition in _comparisons(instrument(scale.name).relapse, {"total"}):
        source = f"{definition.text} ({', '.join(definition.provenance.source)})"
        return RelapseRule(scale=scale.name, score_at_least=cut_off, source=source)
    return None
