"""From answers to a score: reverse items, subscales, skips and the missing-item rule. Incomplete is never zero."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType

from afterglow.errors import MissingValue, NoModel, OutOfRange, UnknownName, WrongOrder, echo
from afterglow.predicates import Fact, evaluate
from afterglow.scales.catalogue import instrument as instrument_called
from afterglow.scales.instrument import Instrument, Method, MissingMethod, MissingRule


class ScoreStatus(StrEnum):
    """complete: every item counts. prorated: the missing-item rule filled gaps. incomplete: there is no score."""

    COMPLETE = "complete"
    PRORATED = "prorated"
    INCOMPLETE = "incomplete"


@dataclass(frozen=True, slots=True, kw_only=True)
class ScaleAnswers:
    """Answers to an instrument by item number; an item that is not there was not answered.

    Raises: UnknownName for an item the instrument does not have; OutOfRange for an answer outside the item's range.
    """

    instrument: Instrument
    items: Mapping[str, int]

    def __post_init__(self) -> None:
        known = {item.number: item for item in self.instrument.items.listed}
        for number, value in self.items.items():
            if number not in known:
                raise UnknownName(
                    f"{self.instrument.short_name} has no such item",
                    observed=echo(number),
                    allowed=", ".join(known) or "none: enter its score",
                )
            low, high = known[number].range
            if type(value) is not int or not low <= value <= high:
                raise OutOfRange(
                    f"{self.instrument.short_name} item {number}: the answer is refused",
                    observed=echo(value),
                    allowed=f"whole numbers from {low} to {high}",
                    next_step="Correct the answer, or leave the item out if it was not answered",
                )


@dataclass(frozen=True, slots=True, kw_only=True)
class ScaleScore:
    """The score of one instrument at one time.

    Args:
        total: in points; None where the form is incomplete or the instrument has no total.
        subscales: by name, None where incomplete; empty where only a total was entered.
        level: for instruments that end in a level; decided as soon as no missing answer could change it.
        missing: numbers of the items without an answer.
        items: answers that count, with skipped items filled in; empty where a score was entered.
    """

    instrument: Instrument
    total: float | None
    subscales: Mapping[str, float | None]
    level: str | None
    status: ScoreStatus
    missing: tuple[str, ...]
    items: Mapping[str, int]


def scale_answers(
    name: str | Instrument, values: Mapping[str, int | bool | None] | Sequence[int | bool | None]
) -> ScaleAnswers:
    """Answers by item number, or all of them in the order of the items; None is "not answered".

    Yes/no items take True and False as well as 1 and 0.

    Raises: UnknownName, OutOfRange as `ScaleAnswers`; WrongOrder if a sequence has the wrong length.

    >>> scale_answers("PEG", [4, 5, None]).items
    mappingproxy({'1': 4, '2': 5})
    """
    scale = _instrument(name)
    listed = {item.number: item for item in scale.items.listed}
    if not isinstance(values, Mapping):
        if len(values) != len(listed):
            raise WrongOrder(
                f"{scale.short_name}: answers in order must be as many as the items",
                observed=str(len(values)),
                allowed=str(len(listed)),
                next_step="Leave an item that was not answered empty: null in JSON, None in Python",
            )
        values = dict(zip(listed, values, strict=True))
    items = {
        number: int(value) if isinstance(value, bool) and number in listed and listed[number].is_yes_no else value
        for number, value in values.items()
        if value is not None
    }
    return ScaleAnswers(instrument=scale, items=MappingProxyType(items))


def score(answers: ScaleAnswers, *, prorate: bool = False) -> ScaleScore:
    """The score of a form.

    An incomplete form has no total, whatever was answered, unless the instrument's missing-item rule allows it;
    where that rule is for the site to switch on, it applies only with `prorate`. Prorated scores are not rounded.

    Args:
        answers: complete or not.
        prorate: whether the site has switched on proration for instruments that leave it to the site.
    Raises: NoModel for an instrument that is scored elsewhere and only entered.

    >>> form = score(scale_answers("PHQ-9", [2, 2, 3, 2, 1, 2, 1, 0, 1]))
    >>> form.total, form.status
    (14.0, <ScoreStatus.COMPLETE: 'complete'>)
    >>> score(scale_answers("PHQ-9", [2, 2, 3, 2, 1, 2, 1, None, 1])).total is None
    True
    """
    scale = answers.instrument
    if not scale.items.listed:
        raise NoModel(
            f"{scale.short_name} is not scored from its items here",
            next_step="Enter its score as the form or the program gives it",
        )
    items = dict(answers.items)
    for skip in scale.scoring.missing.skips:
        if answers.items.get(skip.when_item) == skip.is_value:
            items = dict.fromkeys(skip.items, skip.count_as) | items
    points = {
        item.number: sum(item.range) - items[item.number] if item.reverse else items[item.number]
        for item in scale.items.listed
        if item.number in items
    }
    numbers = tuple(item.number for item in scale.items.listed)
    missing = tuple(number for number in numbers if number not in items)
    subscales = {
        part.name: _combined(points, part.items, part.method, part.missing, prorate=prorate)
        for part in scale.scoring.subscales
    }
    total, parts = None, tuple(subscales.values())
    if scale.scoring.method is Method.SUM_OF_SUBSCALES:
        known = [value for value in parts if value is not None]
        total = sum(known) if len(known) == len(parts) else None
    elif scale.scoring.method is not Method.NONE:
        total = _combined(points, numbers, scale.scoring.method, scale.scoring.missing, prorate=prorate)
    wanted = parts if scale.scoring.method is Method.NONE else (total,)
    status = ScoreStatus.COMPLETE
    if missing:
        # An instrument that ends in a level has nothing to prorate: a gap leaves it incomplete.
        scored = wanted and None not in wanted
        status = ScoreStatus.PRORATED if scored else ScoreStatus.INCOMPLETE
    return ScaleScore(
        instrument=scale,
        total=total,
        subscales=MappingProxyType(subscales),
        level=_level(scale, items),
        status=status,
        missing=missing,
        items=MappingProxyType(items),
    )


def score_total(name: str | Instrument, value: float) -> ScaleScore:
    """A total that was scored elsewhere, checked against the range and the steps of the instrument.

    Raises: OutOfRange outside the range or between the steps; NoModel if the instrument has no total.

    >>> score_total("MADRS", 31).total
    31.0
    """
    scale = _instrument(name)
    if scale.range is None:
        parts = ", ".join(part.name for part in scale.scoring.subscales)
        raise NoModel(
            f"{scale.short_name} has no total",
            next_step=f"Enter its subscales: {parts}" if parts else "Enter its answers or keep the form",
        )
    total = _on_scale(f"{scale.short_name} total", value, scale.range, scale.scoring.steps_per_point)
    return _entered(scale, total=total, subscales={})


def score_subscales(name: str | Instrument, values: Mapping[str, float]) -> ScaleScore:
    """Part scores that were scored elsewhere, for an instrument without a total; some may be left out.

    Raises: UnknownName for a subscale that does not exist; OutOfRange outside its range or between its steps;
    MissingValue if nothing was entered; NoModel for an instrument that has a total or no subscales.

    >>> dict(score_subscales("PROMIS-29", {"anxiety": 61.2}).subscales)
    {'anxiety': 61.2}
    """
    scale = _instrument(name)
    if scale.range is not None or not scale.scoring.subscales:
        raise NoModel(
            f"{scale.short_name} is not entered by subscales", next_step="Enter its total, or the answers to its items"
        )
    if not values:
        names = ", ".join(part.name for part in scale.scoring.subscales)
        raise MissingValue(f"{scale.short_name}: no subscale was entered", allowed=names)
    subscales = {}
    for name_of_part, value in values.items():
        part = scale.subscale(name_of_part)
        subscales[part.name] = _on_scale(f"{scale.short_name} {part.name}", value, part.range, part.steps_per_point)
    return _entered(scale, total=None, subscales=subscales)


def item_facts(scale: Instrument, items: Mapping[str, int]) -> dict[str, Fact | None]:
    """Facts that conditions may ask about single items: `item_9` (True or False for yes/no), `item_6b_answered`.

    Without any answer, as for an entered score, every one of them is unknown.

    >>> item_facts(instrument_called("PEG"), {"1": 4})["item_2_answered"]
    False
    """
    facts: dict[str, Fact | None] = {}
    for item in scale.items.listed:
        value = items.get(item.number)
        facts[f"item_{item.number}"] = bool(value) if item.is_yes_no and value is not None else value
        facts[f"item_{item.number}_answered"] = item.number in items if items else None
    return facts


def _instrument(name: str | Instrument) -> Instrument:
    return name if isinstance(name, Instrument) else instrument_called(name)


def _combined(
    points: Mapping[str, int], numbers: tuple[str, ...], method: Method, rule: MissingRule, *, prorate: bool
) -> float | None:
    """Sum, mean or maximum over some items; None where the missing-item rule gives no score."""
    given = [points[number] for number in numbers if number in points]
    absent = len(numbers) - len(given)
    if absent:
        fills = rule.method in {MissingMethod.PRORATE_MEAN, MissingMethod.MEAN_OF_ANSWERED}
        switched_on = prorate or not rule.site_must_allow
        needed = all(number in points for number in rule.never_missing)
        if not (fills and switched_on and needed and absent <= (rule.max_missing or 0)):
            return None
    if method is Method.MAX:
        return float(max(given))
    mean_times = len(numbers) if method is Method.SUM else 1
    return sum(given) * mean_times / len(given)  # multiplied first: exact for a complete form


def _level(scale: Instrument, items: Mapping[str, int]) -> str | None:
    facts = item_facts(scale, items)
    for level in scale.scoring.levels:
        truth = evaluate(level.when, facts)
        if truth is not False:
            # Unknown stops the search: a lower level must not hide a higher one that may be true.
            return level.name if truth else None
    return None


def _on_scale(what: str, value: float, bounds: tuple[float, float], steps_per_point: int | None) -> float:
    low, high = bounds
    nearest = value
    if low <= value <= high and steps_per_point is not None:
        nearest = round(value * steps_per_point) / steps_per_point
    # Thirds cannot be written out: 4.3 and 4.33 stand for 13/3.
    written = {nearest, round(nearest, 1), round(nearest, 2), round(nearest, 3)}
    if isinstance(value, bool) or not low <= value <= high or value not in written:
        steps = {None: "", 1: ", whole numbers"}.get(steps_per_point, f", in steps of 1/{steps_per_point}")
        raise OutOfRange(
            f"{what} is refused",
            observed=f"{value:g} points",
            allowed=f"{low:g} to {high:g} points{steps}",
            next_step="Correct the score, or the name of the instrument",
        )
    return float(nearest)


def _entered(scale: Instrument, *, total: float | None, subscales: Mapping[str, float | None]) -> ScaleScore:
    return ScaleScore(
        instrument=scale,
        total=total,
        subscales=MappingProxyType(dict(subscales)),
        level=None,
        status=ScoreStatus.COMPLETE,
        missing=(),
        items=MappingProxyType({}),
    )
