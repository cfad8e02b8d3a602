"""Thresholds that a site may set: their defaults, bounds and sources, and where they stand in a condition."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

from afterglow.errors import InvalidData, echo
from afterglow.predicates import Combination, Comparison, Condition
from afterglow.provenance import Provenance
from afterglow.records import Record


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """A threshold that a site sets by signing a policy.

    Args:
        name: `<rule>.<what>` or a name of the policy's own.
        text: what it decides.
        default: a number, yes or no, a word, or numbers in ascending order.
        low, high: allowed bounds of a number, or of each of several.
        words: allowed words; empty for the others.
        keeps: numbers that a label sets and no site drops.
        fact: the fact whose comparison with the default it replaces in its rule; None for values used by name.
    """

    name: str
    text: str
    default: SettingValue
    unit: str | None
    low: float = 0.0
    high: float = 0.0
    words: tuple[str, ...] = ()
    keeps: tuple[float, ...] = ()
    fact: str | None = None
    provenance: Provenance


SettingValue = float | bool | str | tuple[float, ...]


def comparisons(condition: Condition) -> Iterator[Comparison]:
    """Every comparison inside a condition, in order.

    >>> from afterglow.clinic.rulebook import rule
    >>> [c.fact for c in comparisons(rule("S010").when)]
    ['bp.systolic', 'bp.diastolic']
    """
    if isinstance(condition, Comparison):
        yield condition
    else:
        for part in condition.parts:
            yield from comparisons(part)


def alone(condition: Condition) -> Iterator[Comparison]:
    """The comparisons of which each by itself meets a condition; none where several must hold together.

    >>> from afterglow.clinic.rulebook import rule
    >>> [c.fact for c in alone(rule("S041").when)], list(alone(rule("S042").when))
    (['bp.systolic', 'bp.diastolic'], [])
    """
    if isinstance(condition, Comparison):
        yield condition
    elif condition.how != "all":
        for part in condition.parts:
            yield from alone(part)


def with_values(condition: Condition, settings: tuple[Setting, ...], values: Mapping[str, SettingValue]) -> Condition:
    """The condition with each site-set threshold in the place of its default.

    >>> from afterglow.clinic.rulebook import rule
    >>> s013 = rule("S013")
    >>> str(with_values(s013.when, s013.settings, {"S013.spo2_below": 95.0}))
    'vitals.spo2 < 95.0 %'
    """
    if isinstance(condition, Combination):
        return replace(condition, parts=tuple(with_values(part, settings, values) for part in condition.parts))
    for setting in settings:
        if setting.name in values and (condition.fact, condition.value) == (setting.fact, setting.default):
            value = values[setting.name]
            if isinstance(value, tuple):
                raise InvalidData(f"{setting.name} replaces one value", observed=echo(value))
            return replace(condition, value=value)
    return condition


def read_setting(record: Record, *, prefix: str = "", provenance: Provenance | None = None, text: str = "") -> Setting:
    """A setting from its mapping; a rule gives its own provenance and text.

    Raises: InvalidData for a default outside its own bounds.

    >>> from afterglow.provenance import Verified
    >>> row = {"name": "x", "text": "a time", "default": 5, "range": [1, 9], "unit": "min", "verified": "policy"}
    >>> read_setting(Record(row, file="some.yaml")).default
    5.0
    """
    name = prefix + record.text("name")
    words, numbers = record.texts("words"), record.numbers("defaults")
    low, high = (0.0, 0.0) if words or record.has("flag") else record.pair("range", float)
    default: SettingValue = numbers
    if words:
        default = record.text("default")
    elif record.has("flag"):
        default = record.flag("flag")
    elif not numbers:
        default = record.number("default")
    read = record.close(
        Setting(
            name=name,
            text=record.text("text", text),
            default=default,
            unit=record.text("unit", None),
            low=low,
            high=high,
            words=words,
            keeps=record.numbers("keeps"),
            fact=record.text("fact", None),
            provenance=provenance or record.provenance(),
        )
    )
    if not is_allowed(read, default):
        raise InvalidData(f"{record.file}: the default of {name} is not allowed", observed=echo(default))
    return read


def is_allowed(setting: Setting, value: SettingValue) -> bool:
    """Whether a site may choose this value.

    >>> from afterglow.clinic.rulebook import rule
    >>> setting = rule("S013").settings[0]
    >>> is_allowed(setting, 95.0), is_allowed(setting, 89.0), is_allowed(setting, True)
    (True, False, False)
    """
    if isinstance(setting.default, bool) or isinstance(value, bool):
        return isinstance(setting.default, bool) and isinstance(value, bool)
    if isinstance(setting.default, str) or isinstance(value, str):
        return value in setting.words
    if isinstance(setting.default, tuple) != isinstance(value, tuple):
        return False
    values = value if isinstance(value, tuple) else (value,)
    rising = list(values) == sorted(set(values))
    return (
        bool(values)
        and rising
        and set(setting.keeps) <= set(values)
        and all(setting.low <= each <= setting.high for each in values)
    )
