"""What the rules ask about: every fact with its kind, what it can be, and its name in words.

A number outside its range and a word that is not listed are refused as slips; otherwise a misspelt word would read as
"no", which a rule takes for an answer.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from types import MappingProxyType

from afterglow.clinic.rulebook import DATA, rules, workup_items
from afterglow.clinic.thresholds import comparisons
from afterglow.errors import InvalidData, OutOfRange, UnknownName, echo
from afterglow.predicates import Combination, Comparison, Condition, Fact
from afterglow.records import read_record, unknown_name

_OPERATORS = {
    "==": "is",
    "!=": "is not",
    "in": "is one of",
    "<": "under",
    "<=": "at most",
    ">": "over",
    ">=": "at least",
}
_OPPOSITES = {
    "==": "is not",
    "!=": "is",
    "in": "is none of",
    "<": "at least",
    "<=": "over",
    ">": "at most",
    ">=": "under",
}
_WORKUP = re.compile(r"workup\.w\d\d\.age_days")


@dataclass(frozen=True, slots=True, kw_only=True)
class FactKind:
    """What a fact can be.

    Args:
        kind: float, str or bool.
        text: its name in words.
        words: allowed words; empty for the others.
        low, high: closed bounds of a number.
        runs: it grows by itself during a session; an answer holds while its comparisons stay as they were.
    """

    kind: type
    text: str
    words: tuple[str, ...] = ()
    low: float = -math.inf
    high: float = math.inf
    runs: bool = False


@cache
def known_facts() -> Mapping[str, type]:
    """Every fact that a rule or work-up item asks for, and whether it is a number, a word, or yes or no.

    >>> known_facts()["vitals.spo2"], known_facts()["hx.avm"]
    (<class 'float'>, <class 'bool'>)
    """
    return MappingProxyType({name: each.kind for name, each in fact_kinds().items()})


@cache
def fact_kinds() -> Mapping[str, FactKind]:
    """Every fact that a rule or work-up item asks for.

    >>> fact_kinds()["pregnancy.test"].words
    ('negative', 'positive', 'not_done')
    """
    asked = _asked()
    file = read_record(DATA, "facts.yaml")
    told: dict[str, FactKind] = {}
    for row in file.records("flags"):
        name = row.text("name")
        told[name] = row.close(FactKind(kind=bool, text=row.text("text")))
    for row in file.records("words"):
        name = row.text("name")
        told[name] = row.close(FactKind(kind=str, text=row.text("text"), words=row.texts("words")))
    for row in file.records("numbers"):
        name, (low, high) = row.text("name"), row.pair("range", float)
        told[name] = row.close(FactKind(kind=float, text=row.text("text"), low=low, high=high, runs=row.flag("runs")))
    file.close(told)
    found = {name: _kind_of(name, values, told) for name, values in sorted(asked.items())}
    unused = set(told) - set(found) - {"workup.age_days"}
    if unused:
        raise InvalidData("facts.yaml names facts that no rule asks for", observed=", ".join(sorted(unused)))
    return MappingProxyType(found)


def check_facts(facts: Mapping[str, Fact | None]) -> None:
    """Refuse a fact that no rule knows, of another kind, outside its range, or a word that is not one of its own.

    Raises: UnknownName for a name or a word; OutOfRange for a number.

    >>> check_facts({"pregnancy.test": "negative", "age": None})
    """
    kinds = fact_kinds()
    for name, value in facts.items():
        if name not in kinds:
            raise unknown_name("No rule asks for this fact", name, kinds)
        if value is not None:
            _check_value(name, value, kinds[name])


def fact_label(name: str) -> str:
    """A fact's name in words.

    Raises: UnknownName for one that no rule asks for.

    >>> fact_label("hx.intracerebral_haemorrhage"), fact_label("bp.systolic")
    ('history of intracerebral haemorrhage', 'systolic pressure')
    """
    kinds = fact_kinds()
    if name not in kinds:
        raise unknown_name("No rule asks for this fact", name, kinds)
    return kinds[name].text


def say_condition(condition: Condition) -> str:
    """A condition in words, with the values in force.

    >>> from afterglow.clinic.rulebook import rule
    >>> say_condition(rule("S010").when)
    'systolic pressure over 140 mmHg or diastolic pressure over 90 mmHg'
    """
    if isinstance(condition, Combination):
        joiner = " and " if condition.how == "all" else " or "
        parts = [
            f"({say_condition(part)})" if isinstance(part, Combination) else say_condition(part)
            for part in condition.parts
        ]
        return joiner.join(parts)
    label, value = fact_label(condition.fact), condition.value
    if isinstance(value, bool):
        return f"{label}: {'yes' if (condition.op == '==') == value else 'no'}"
    return f"{label} {_OPERATORS[condition.op]} {_amount(condition)}"


def say_clear(condition: Condition) -> str:
    """What holds where a condition does not, in words, with the values in force.

    >>> from afterglow.clinic.rulebook import rule
    >>> say_clear(rule("S010").when)
    'systolic pressure at most 140 mmHg, diastolic pressure at most 90 mmHg'
    """
    if isinstance(condition, Combination):
        parts = [
            f"({say_clear(part)})" if isinstance(part, Combination) else say_clear(part) for part in condition.parts
        ]
        return (" or " if condition.how == "all" else ", ").join(parts)
    label, value = fact_label(condition.fact), condition.value
    if isinstance(value, bool):
        return f"{label}: no" if (condition.op == "==") == value else label
    return f"{label} {_OPPOSITES[condition.op]} {_amount(condition)}"


def _amount(condition: Comparison) -> str:
    value = condition.value
    shown = ", ".join(map(_say, value)) if isinstance(value, tuple) else _say(value)
    return shown if condition.unit in {None, "points"} else f"{shown} {condition.unit}"


def _say(value: Fact) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value).replace("_", " ")


def _check_value(name: str, value: Fact, kind: FactKind) -> None:
    if _type_of(value) is not kind.kind:
        raise UnknownName(
            f"The fact {name} is of another kind",
            observed=echo(value),
            allowed={float: "a number", bool: "yes or no", str: "a word"}[kind.kind],
            about=name,
        )
    if kind.kind is str and value not in kind.words:
        raise UnknownName(
            f"This is no value of {kind.text}",
            observed=echo(value),
            allowed=", ".join(kind.words),
            next_step="Choose one of the words; leave it out where it is not known",
            about=name,
        )
    if kind.kind is float and not kind.low <= float(value) <= kind.high:
        raise OutOfRange(
            f"The {kind.text} is refused",
            observed=f"{float(value):g}",
            allowed=f"{kind.low:.10g} to {kind.high:.10g}",
            next_step="Correct the number",
            about=name,
        )


def _asked() -> dict[str, list[Fact]]:
    conditions = [each.when for each in rules().values()]
    conditions += [branch.when for each in rules().values() for branch in each.branches]
    conditions += [c for item in workup_items() for c in (item.due_if, item.required_if) if c is not None]
    found: dict[str, list[Fact]] = {}
    for condition in conditions:
        for each in comparisons(condition):
            found.setdefault(each.fact, []).extend(each.value if isinstance(each.value, tuple) else (each.value,))
    return found


def _kind_of(name: str, values: list[Fact], told: Mapping[str, FactKind]) -> FactKind:
    kinds = {_type_of(value) for value in values}
    found = told.get("workup.age_days" if _WORKUP.fullmatch(name) else name)
    if found is None or kinds != {found.kind}:
        raise InvalidData("facts.yaml does not say what a fact can be", observed=name)
    if found.kind is str and not set(values) <= set(found.words):
        raise InvalidData("A rule compares with a word that its fact cannot be", observed=f"{name}: {values}")
    return found


def _type_of(value: Fact) -> type:
    return bool if isinstance(value, bool) else str if isinstance(value, str) else float
