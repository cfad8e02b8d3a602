"""Conditions over facts of which some may be unknown: unknown is a value and never negative.

A condition is written as in the rule files: `{fact, op, value, unit}`, or `any` / `all` / `any_known` over a list
of conditions. Its truth is True, False, or None for unknown (Kleene's strong three-valued logic; `any_known`
leaves out the parts that have no fact).
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from afterglow.errors import InvalidData, echo

_FACT_TYPES = (bool, int, float, str)
Fact = bool | int | float | str
Truth = bool | None

_OPERATORS = ("==", "!=", "<", "<=", ">", ">=", "in")
_ORDERINGS: Mapping[str, Callable[[float, float], bool]] = {
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}
_EQUALITIES = frozenset(_OPERATORS) - _ORDERINGS.keys()
_COMBINERS = ("any", "all", "any_known")


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """`fact op value`; `unit` names the unit of the value, None for counts, words and yes/no facts."""

    fact: str
    op: str
    value: Fact | tuple[Fact, ...]
    unit: str | None = None

    def __str__(self) -> str:
        value = ", ".join(map(str, self.value)) if isinstance(self.value, tuple) else str(self.value)
        return f"{self.fact} {self.op} {value}{'' if self.unit is None else ' ' + self.unit}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Combination:
    """`any`, `all` or `any_known` of several conditions."""

    how: str
    parts: tuple[Condition, ...]

    def __str__(self) -> str:
        return "(" + (" and " if self.how == "all" else " or ").join(map(str, self.parts)) + ")"


Condition = Comparison | Combination


def parse_condition(data: Any, *, where: str) -> Condition:
    """A condition from the mapping of a rule file.

    Raises: InvalidData naming `where` for an unknown key, operator or shape.

    >>> str(parse_condition({"fact": "total", "op": ">=", "value": 10, "unit": None}, where="PHQ-9"))
    'total >= 10'
    """
    if isinstance(data, Mapping) and len(data) == 1:
        ((how, parts),) = data.items()
        if how in _COMBINERS and isinstance(parts, list) and parts:
            return Combination(how=how, parts=tuple(parse_condition(part, where=where) for part in parts))
    if not isinstance(data, Mapping) or not {"fact", "op", "value"} <= set(data) <= {"fact", "op", "value", "unit"}:
        raise InvalidData(
            f"{where}: a condition is {{fact, op, value, unit}}, or any / all / any_known over a list",
            observed=echo(data),
        )
    op, value = data["op"], data["value"]
    if op not in _OPERATORS:
        raise InvalidData(f"{where}: unknown operator", observed=echo(op), allowed=", ".join(_OPERATORS))
    if op == "in":
        if not isinstance(value, list) or not all(isinstance(v, _FACT_TYPES) for v in value):
            raise InvalidData(f"{where}: `in` takes a list of values", observed=echo(value))
        return Comparison(fact=str(data["fact"]), op=op, value=tuple(value), unit=data.get("unit"))
    if not isinstance(value, _FACT_TYPES):
        raise InvalidData(f"{where}: {op} takes one value", observed=echo(value))
    return Comparison(fact=str(data["fact"]), op=op, value=value, unit=data.get("unit"))


def evaluate(condition: Condition, facts: Mapping[str, Fact | None]) -> Truth:
    """Truth of a condition: True, False, or None where a missing fact decides it.

    A fact that is absent or None is unknown. Comparing words by size is a fault of the rule, not of the patient.

    Raises: InvalidData if an ordering is asked of values that have none.

    >>> rule = parse_condition({"any": [{"fact": "sbp", "op": ">", "value": 140, "unit": "mmHg"},
    ...                                 {"fact": "dbp", "op": ">", "value": 90, "unit": "mmHg"}]}, where="S010")
    >>> evaluate(rule, {"sbp": 152}), evaluate(rule, {"sbp": 130}), evaluate(rule, {"sbp": 130, "dbp": 80})
    (True, None, False)
    """
    if isinstance(condition, Comparison):
        return _compare(condition, facts.get(condition.fact))
    truths = [evaluate(part, facts) for part in condition.parts]
    if condition.how == "any_known":
        known = [truth for truth in truths if truth is not None]
        return any(known) if known else None
    decisive = condition.how == "any"
    if decisive in truths:
        return decisive
    return None if None in truths else not decisive


def facts_of(condition: Condition) -> frozenset[str]:
    """Names of every fact a condition looks at."""
    if isinstance(condition, Comparison):
        return frozenset({condition.fact})
    return frozenset().union(*(facts_of(part) for part in condition.parts))


def _compare(condition: Comparison, observed: Fact | None) -> Truth:
    if observed is None or observed != observed:  # noqa: PLR0124 - NaN is how arrays write "unknown"
        return None
    op, value = condition.op, condition.value
    values = value if isinstance(value, tuple) else (value,)
    if type(observed) is not type(value) and _kind(observed) not in map(_kind, values):
        # "yes" == True would be False without a word, and so a contraindication would be negative.
        raise InvalidData(f"Condition {condition} compares unlike things", observed=echo(observed))
    if op in _EQUALITIES:
        return (observed in values) == (op != "!=")
    if isinstance(value, tuple) or isinstance(observed, str) or isinstance(value, str):
        raise InvalidData(f"Condition {condition} orders something that has no order", observed=echo(observed))
    return _ORDERINGS[op](observed, value)


def _kind(value: Fact) -> str:
    return "yes or no" if isinstance(value, bool) else "word" if isinstance(value, str) else "number"
