"""Conditions over facts that may be unknown, as truth tables. U is unknown."""

from __future__ import annotations

import math
from typing import Any

import pytest

from afterglow.errors import InvalidData
from afterglow.predicates import Combination, Comparison, Condition, Fact, Truth, evaluate, facts_of, parse_condition

T, F, U = True, False, None


def fact(name: str, op: str, value: Any) -> Condition:
    return parse_condition({"fact": name, "op": op, "value": value}, where="test")


def combined(how: str) -> Condition:
    return parse_condition(
        {how: [{"fact": "a", "op": "==", "value": True}, {"fact": "b", "op": "==", "value": True}]}, where="test"
    )


@pytest.mark.parametrize(
    ("a", "b", "any_", "all_", "any_known"),
    [
        (T, T, T, T, T),
        (T, F, T, F, T),
        (F, T, T, F, T),
        (F, F, F, F, F),
        (T, U, T, U, T),
        (U, T, T, U, T),
        (F, U, U, F, F),
        (U, F, U, F, F),
        (U, U, U, U, U),
    ],
)
def test_combinations(a: Truth, b: Truth, any_: Truth, all_: Truth, any_known: Truth) -> None:
    facts = {"a": a, "b": b}
    assert [evaluate(combined(how), facts) for how in ("any", "all", "any_known")] == [any_, all_, any_known]


@pytest.mark.parametrize(
    ("op", "under", "equal", "over"),
    [
        ("==", F, T, F),
        ("!=", T, F, T),
        ("<", T, F, F),
        ("<=", T, T, F),
        (">", F, F, T),
        (">=", F, T, T),
    ],
)
def test_numbers(op: str, under: Truth, equal: Truth, over: Truth) -> None:
    condition = fact("sbp", op, 140)
    assert [evaluate(condition, {"sbp": value}) for value in (139.5, 140.0, 141)] == [under, equal, over]


@pytest.mark.parametrize("op", ["==", "!=", "<", "<=", ">", ">="])
@pytest.mark.parametrize("facts", [{}, {"sbp": None}, {"sbp": math.nan}, {"dbp": 90}])
def test_an_unknown_fact_is_never_negative(op: str, facts: dict[str, Fact | None]) -> None:
    assert evaluate(fact("sbp", op, 140), facts) is U


@pytest.mark.parametrize(
    ("op", "value", "observed", "truth"),
    [
        ("in", ["iv", "im"], "iv", T),
        ("in", ["iv", "im"], "oral", F),
        ("in", ["iv", "im"], None, U),
        ("in", [1, 2], 2.0, T),
        ("==", "iv", "iv", T),
        ("!=", "iv", "im", T),
        ("==", False, False, T),
        ("!=", True, False, T),
    ],
)
def test_words_and_yes_or_no(*, op: str, value: Any, observed: Fact | None, truth: Truth) -> None:
    assert evaluate(fact("x", op, value), {"x": observed}) is truth


@pytest.mark.parametrize(
    ("op", "value", "observed"),
    [
        ("==", True, "yes"),  # false without a word would make a contraindication negative
        ("==", 1, True),
        ("==", 140, "140"),
        (">", 140, "140"),
        ("<", 1, False),
        ("in", ["iv"], 1),
        ("in", [1], True),
    ],
)
def test_unlike_things_are_a_fault_and_no_answer(op: str, value: Any, observed: Fact) -> None:
    with pytest.raises(InvalidData, match="compares unlike things"):
        evaluate(fact("x", op, value), {"x": observed})


def test_words_have_no_order() -> None:
    with pytest.raises(InvalidData, match="orders something that has no order"):
        evaluate(fact("route", "<", "iv"), {"route": "im"})
    with pytest.raises(InvalidData, match="orders something that has no order"):
        evaluate(Comparison(fact="x", op="<", value=(1, 2)), {"x": 1})


def test_conditions_nest_and_name_their_facts() -> None:
    condition = parse_condition(
        {
            "all": [
                {"fact": "age", "op": ">=", "value": 65, "unit": "years"},
                {
                    "any": [
                        {"fact": "sbp", "op": ">", "value": 140, "unit": "mmHg"},
                        {"fact": "route", "op": "in", "value": ["iv", "im"]},
                    ]
                },
            ]
        },
        where="test",
    )
    assert isinstance(condition, Combination)
    assert str(condition) == "(age >= 65 years and (sbp > 140 mmHg or route in iv, im))"
    assert facts_of(condition) == {"age", "sbp", "route"}
    assert evaluate(condition, {"age": 70, "sbp": 150}) is T
    assert evaluate(condition, {"age": 70, "sbp": 130}) is U
    assert evaluate(condition, {"age": 50}) is F


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ("sbp > 140", "a condition is"),
        ({}, "a condition is"),
        ({"fact": "x", "op": ">"}, "a condition is"),
        ({"fact": "x", "op": ">", "value": 1, "units": "mmHg"}, "a condition is"),
        ({"any": []}, "a condition is"),
        ({"none": [{"fact": "x", "op": ">", "value": 1}]}, "a condition is"),
        ({"any": {"fact": "x", "op": ">", "value": 1}}, "a condition is"),
        ({"any": [{"fact": "x", "op": ">", "value": 1}], "all": []}, "a condition is"),
        ({"any": ["x"]}, "a condition is"),
        ({"fact": "x", "op": "=>", "value": 1}, "unknown operator; found '=>'"),
        ({"fact": "x", "op": "in", "value": 1}, "`in` takes a list"),
        ({"fact": "x", "op": "in", "value": [[1]]}, "`in` takes a list"),
        ({"fact": "x", "op": "==", "value": [1]}, "== takes one value"),
        ({"fact": "x", "op": "==", "value": None}, "== takes one value"),
    ],
)
def test_a_malformed_condition_is_refused_with_the_rule_it_stands_in(data: Any, message: str) -> None:
    with pytest.raises(InvalidData) as refused:
        parse_condition(data, where="rule S010")
    assert str(refused.value).startswith("rule S010: ")
    assert message in str(refused.value)
