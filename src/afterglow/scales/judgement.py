"""What a score means: bands, response, remission, relapse, reliable change and alerts. Unknown is never negative."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from afterglow.errors import InputError, MissingValue, NoModel, UnknownName, echo
from afterglow.predicates import Fact, Truth, evaluate
from afterglow.provenance import Provenance
from afterglow.scales.instrument import Alert, Band, BandSet, Definition, Direction
from afterglow.scales.scoring import ScaleScore, item_facts

SEX_FACT = "patient.sex_for_cutoff"


class AlertStatus(StrEnum):
    """Whether an alert's condition holds; unknown: a missing fact decides it, and somebody must find out."""

    TRIGGERED = "triggered"
    CLEAR = "clear"
    UNKNOWN = "unknown"


class Change(StrEnum):
    """Whether a change is more than measurement error."""

    IMPROVED = "improved"
    WORSENED = "worsened"
    WITHIN_NOISE = "within noise"


@dataclass(frozen=True, slots=True, kw_only=True)
class AlertState:
    """One alert of an instrument at one score; `scale` is the instrument's short name."""

    scale: str = ""
    alert: Alert
    status: AlertStatus


@dataclass(frozen=True, slots=True, kw_only=True)
class ReliableChangeVerdict:
    """Whether the difference of two scores is more than measurement error.

    Args:
        verdict: None where it cannot be told; `reason` then says why.
        change_points: score minus baseline.
        threshold_points: the smallest change that counts, in either direction.
        provenance: where the threshold comes from.
    """

    verdict: Change | None
    change_points: float | None
    threshold_points: float | None
    provenance: Provenance | None
    reason: str | None


def facts_of_score(
    score: ScaleScore,
    *,
    baseline: ScaleScore | None = None,
    previous: ScaleScore | None = None,
    of: str = "total",
) -> dict[str, Fact | None]:
    """Everything that conditions may ask about a score; what cannot be known is None.

    `total`, `level`, subscales by name (with `_change` and `_change_pct`), items (`item_9`), and of the score
    named by `of`: `change` (score - baseline), `change_pct` (100 x change / baseline), `change_toward_better`.
    `item_9_rise_since_last` compares with `previous`.

    Raises: InputError if the scores are of different instruments.

    >>> from afterglow.scales.scoring import score_total
    >>> facts = facts_of_score(score_total("MADRS", 12), baseline=score_total("MADRS", 30))
    >>> facts["change"], facts["change_pct"], facts["change_toward_better"]
    (-18.0, -60.0, 18.0)
    """
    for other in (baseline, previous):
        if other is not None and other.instrument.id != score.instrument.id:
            raise InputError(
                "Scores of different instruments cannot be compared",
                observed=f"{other.instrument.short_name} and {score.instrument.short_name}",
                next_step="Give two scores of one instrument",
            )
    facts: dict[str, Fact | None] = {"total": score.total, "level": score.level}
    for name in (part.name for part in score.instrument.scoring.subscales):
        facts[name] = score.subscales.get(name)
        facts[f"{name}_change"], facts[f"{name}_change_pct"] = _change(baseline, score, name)
    facts["change"], facts["change_pct"] = change, _ = _change(baseline, score, of)
    better = -1.0 if _direction(score, of) is Direction.HIGHER_IS_WORSE else 1.0
    facts["change_toward_better"] = None if change is None else better * change
    facts |= item_facts(score.instrument, score.items)
    last = {} if previous is None else previous.items
    for item in score.instrument.items.listed:
        value = score.items.get(item.number)
        # The lowest answer cannot be a rise, whatever the last one was.
        before = last.get(item.number, value if value == item.range[0] else None)
        facts[f"item_{item.number}_rise_since_last"] = None if value is None or before is None else value - before
    return facts


def band_of(
    score: ScaleScore, *, of: str = "total", sex: str | None = None, band_set: str | None = None
) -> Band | None:
    """The named band that a score lies in; None where the score is incomplete or no bands are published.

    A band reaches up to the next one, so that a prorated 4.5 is below the cut of 5.

    Args:
        score: complete or prorated; an incomplete one has no band.
        of: "total", a subscale, or an item ("item_3").
        sex: where cut-offs differ by sex; not recorded means the lower cut.
        band_set: which of several published sets; by default the first.
    Raises: UnknownName if there is no such set.

    >>> from afterglow.scales.scoring import score_total
    >>> band_of(score_total("PHQ-9", 14)).label
    'moderate'
    """
    fitting = [bands for bands in score.instrument.bands if of in bands.applies_to]
    if band_set is not None:
        names = dict.fromkeys(bands.name for bands in fitting)
        if band_set not in names:
            raise UnknownName(
                f"{score.instrument.short_name} has no such bands",
                observed=echo(band_set),
                allowed=", ".join(names) or "none",
            )
        fitting = [bands for bands in fitting if bands.name == band_set]
    chosen = _for_sex(fitting, sex)
    value = _value(score, of)
    if value is None or chosen is None:
        return None
    return [band for band in chosen.bands if band.min <= value][-1]


def meets(definition: Definition, score: ScaleScore, *, baseline: ScaleScore | None = None, of: str = "total") -> Truth:
    """Whether a score meets a definition at this visit; None where a missing fact decides it.

    Args:
        definition: one of the instrument's own, such as `instrument.remission[0]`.
        score: at the visit that is judged.
        baseline: the score that changes are counted from.
        of: the subscale that is meant, for an instrument without a total.
    Raises: NoModel if the source gives no single cut-off; MissingValue if a subscale must be named.
    """
    scale = score.instrument
    if definition.rule is None:
        raise NoModel(
            f"{scale.short_name}: {definition.text} has no single cut-off", next_step="Use another definition"
        )
    if of == "total" and scale.range is None:
        raise MissingValue(
            f"{scale.short_name} has no total: name the subscale",
            allowed=", ".join(part.name for part in scale.scoring.subscales),
        )
    return evaluate(definition.rule, facts_of_score(score, baseline=baseline, of=of))


def is_response(baseline: ScaleScore, score: ScaleScore, *, definition: str = "usual", of: str = "total") -> Truth:
    """Whether a score is a response, by the instrument's own definition; None if unknown.

    Raises: NoModel if the instrument defines none; UnknownName for another definition; as `meets`.

    >>> from afterglow.scales.scoring import score_total
    >>> is_response(score_total("MADRS", 30), score_total("MADRS", 15))
    True
    """
    found = _definition(score, "response", score.instrument.response, definition)
    return meets(found, score, baseline=baseline, of=of)


def is_remission(score: ScaleScore, *, definition: str = "usual") -> Truth:
    """Whether a score is a remission, by the instrument's own definition; None if unknown.

    Raises: NoModel if the instrument defines none; UnknownName for another definition.

    >>> from afterglow.scales.scoring import score_total
    >>> is_remission(score_total("MADRS", 11)), is_remission(score_total("MADRS", 11), definition="esketamine trials")
    (False, True)
    """
    return meets(_definition(score, "remission", score.instrument.remission, definition), score)


def is_relapse(score: ScaleScore, *, definition: str = "usual") -> Truth:
    """Whether a score reaches the relapse cut-off at this visit; None if unknown.

    Who is at risk, and how many visits in a row are needed (`Definition.window`), is for the caller to apply.

    Raises: NoModel if the instrument defines none; UnknownName for another definition.

    >>> from afterglow.scales.scoring import score_total
    >>> is_relapse(score_total("MADRS", 22))
    True
    """
    return meets(_definition(score, "relapse", score.instrument.relapse, definition), score)


def reliable_change(baseline: ScaleScore, score: ScaleScore) -> ReliableChangeVerdict:
    """Whether the change between two totals is more than measurement error.

    The threshold is the instrument's own: published, or 1.96 x sqrt(2) x SEM (Jacobson and Truax 1991).

    Raises: InputError if the scores are of different instruments.

    >>> from afterglow.scales.scoring import score_total
    >>> reliable_change(score_total("PCL-5", 50), score_total("PCL-5", 36)).verdict
    <Change.WITHIN_NOISE: 'within noise'>
    """
    facts = facts_of_score(score, baseline=baseline)
    change, toward_better = facts["change"], facts["change_toward_better"]
    known = score.instrument.reliable_change
    reason = verdict = None
    if known is None:
        reason = f"no measurement error of {score.instrument.short_name} was found"
    elif not isinstance(change, float) or not isinstance(toward_better, float):
        reason = "one of the two scores is incomplete"
    elif abs(change) < known.threshold_points:
        verdict = Change.WITHIN_NOISE
    else:
        verdict = Change.IMPROVED if toward_better > 0 else Change.WORSENED
    return ReliableChangeVerdict(
        verdict=verdict,
        change_points=change if isinstance(change, float) else None,
        threshold_points=None if known is None else known.threshold_points,
        provenance=None if known is None else known.provenance,
        reason=reason,
    )


def meets_symptom_count(score: ScaleScore) -> Truth:
    """Whether enough items of each cluster are positive for a provisional diagnosis; None if gaps could decide it.

    Raises: NoModel if the instrument has no such rule.

    >>> from afterglow.scales.scoring import scale_answers, score
    >>> meets_symptom_count(score(scale_answers("PCL-5", [2] * 20)))
    True
    """
    rule = score.instrument.scoring.symptom_count
    if rule is None:
        raise NoModel(f"{score.instrument.short_name} has no rule that counts symptoms")
    open_clusters = False
    for name, needed in rule.need.items():
        numbers = score.instrument.subscale(name).items
        positive = sum(score.items.get(number, -1) >= rule.item_at_least for number in numbers)
        unanswered = sum(number not in score.items for number in numbers)
        if positive + unanswered < needed:
            return False
        open_clusters |= positive < needed
    return None if open_clusters else True


def alerts(
    score: ScaleScore,
    *,
    baseline: ScaleScore | None = None,
    previous: ScaleScore | None = None,
    sex: str | None = None,
    context: Mapping[str, Fact | None] | None = None,
) -> tuple[AlertState, ...]:
    """Every alert of the instrument with its state at this score.

    Items count as soon as they are answered: an incomplete form without a total still alerts.

    Args:
        score: complete or not.
        baseline: for alerts on a change.
        previous: the last score before this one, for alerts on a rise.
        sex: where cut-offs differ by sex; not recorded means the lower cut.
        context: facts from elsewhere ("events.severe_distress").

    >>> from afterglow.scales.scoring import scale_answers, score
    >>> for state in alerts(score(scale_answers("PHQ-9", {"9": 1}))):
    ...     print(state.alert.id, state.status)
    phq9_item9 triggered
    phq9_item9_high unknown
    """
    facts = facts_of_score(score, baseline=baseline, previous=previous) | dict(context or {})
    cut_for = _for_sex([bands for bands in score.instrument.bands if bands.sex is not None], sex)
    facts[SEX_FACT] = sex if cut_for is None else cut_for.sex
    states = {True: AlertStatus.TRIGGERED, False: AlertStatus.CLEAR, None: AlertStatus.UNKNOWN}
    return tuple(
        AlertState(scale=score.instrument.short_name, alert=alert, status=states[evaluate(alert.when, facts)])
        for alert in score.instrument.alerts
    )


def _for_sex(sets: list[BandSet], sex: str | None) -> BandSet | None:
    """The set for this sex, else the one for everybody or for those whose sex is not recorded."""
    own = [bands for bands in sets if bands.sex is not None and bands.sex == sex]
    rest = [bands for bands in sets if bands.sex is None or bands.when_sex_unknown]
    return next(iter(own + rest), None)


def _definition(score: ScaleScore, what: str, definitions: tuple[Definition, ...], name: str) -> Definition:
    if not definitions:
        raise NoModel(f"{score.instrument.short_name} defines no {what}", next_step="Use a scale that does")
    for definition in definitions:
        if definition.name == name:
            return definition
    raise UnknownName(
        f"{score.instrument.short_name} has no such definition of {what}",
        observed=echo(name),
        allowed=", ".join(definition.name for definition in definitions),
    )


def _value(score: ScaleScore, of: str) -> float | None:
    if of == "total":
        return score.total
    if of.startswith("item_"):
        return score.items.get(of.removeprefix("item_"))
    return score.subscales.get(score.instrument.subscale(of).name)


def _direction(score: ScaleScore, of: str) -> Direction:
    named = [part.direction for part in score.instrument.scoring.subscales if part.name == of]
    return (named or [score.instrument.direction])[0]


def _change(baseline: ScaleScore | None, score: ScaleScore, of: str) -> tuple[float | None, float | None]:
    """Change in points and in percent of the baseline; None without both scores, percent None from zero."""
    before = None if baseline is None else _value(baseline, of)
    now = _value(score, of)
    if before is None or now is None:
        return None, None
    # Thirds and prorated scores must not miss a cut-off of exactly 30 % by the last bit.
    return now - before, round(100.0 * (now - before) / before, 9) if before else None
