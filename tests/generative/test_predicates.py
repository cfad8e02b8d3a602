"""The laws of Kleene's strong three-valued logic, on random conditions and random facts."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from afterglow.predicates import Combination, Comparison, Condition, Fact, Truth, evaluate, facts_of, parse_condition

NAMES = ("a", "b", "c", "d")
comparisons = st.builds(
    Comparison,
    fact=st.sampled_from(NAMES),
    op=st.sampled_from(["==", "!=", "<", "<=", ">", ">="]),
    value=st.integers(0, 3),
)


def combinations(hows: list[str]) -> st.SearchStrategy[Condition]:
    def extend(parts: st.SearchStrategy[Condition]) -> st.SearchStrategy[Condition]:
        lists = st.lists(parts, min_size=1, max_size=3).map(tuple)
        return st.builds(Combination, how=st.sampled_from(hows), parts=lists)

    return st.recursive(comparisons, extend, max_leaves=8)


kleene = combinations(["any", "all"])
facts = st.dictionaries(st.sampled_from(NAMES), st.one_of(st.none(), st.integers(0, 3)))
OPPOSITE = {"==": "!=", "!=": "==", "<": ">=", ">=": "<", ">": "<=", "<=": ">"}


def both(how: str, *parts: Condition) -> Condition:
    return Combination(how=how, parts=parts)


def negated(condition: Condition) -> Condition:
    if isinstance(condition, Comparison):
        return Comparison(fact=condition.fact, op=OPPOSITE[condition.op], value=condition.value)
    how = {"any": "all", "all": "any"}[condition.how]
    return Combination(how=how, parts=tuple(negated(part) for part in condition.parts))


def negation(truth: Truth) -> Truth:
    return None if truth is None else not truth


def as_data(condition: Condition) -> dict[str, Any]:
    if isinstance(condition, Comparison):
        return {"fact": condition.fact, "op": condition.op, "value": condition.value, "unit": condition.unit}
    return {condition.how: [as_data(part) for part in condition.parts]}


@given(condition=kleene, known=facts, more=facts)
def test_learning_a_fact_never_flips_a_known_truth(
    condition: Condition, known: dict[str, Fact | None], more: dict[str, Fact | None]
) -> None:
    before = evaluate(condition, known)
    # `any_known` is left out on purpose: it answers from what is known so far, and may turn true later.
    after = evaluate(condition, more | {name: value for name, value in known.items() if value is not None})
    assert before is None or after is before


@given(condition=kleene, known=facts)
def test_negation_by_de_morgan(condition: Condition, known: dict[str, Fact | None]) -> None:
    assert evaluate(negated(condition), known) is negation(evaluate(condition, known))


@given(p=kleene, q=kleene, r=kleene, known=facts)
def test_order_grouping_repetition_and_distribution_do_not_matter(
    p: Condition, q: Condition, r: Condition, known: dict[str, Fact | None]
) -> None:
    for how, other in (("any", "all"), ("all", "any")):
        assert evaluate(both(how, p, q), known) is evaluate(both(how, q, p), known)
        assert evaluate(both(how, p, both(how, q, r)), known) is evaluate(both(how, p, q, r), known)
        assert evaluate(both(how, p, p), known) is evaluate(p, known)
        spread = both(how, both(other, p, q), both(other, p, r))
        assert evaluate(both(other, p, both(how, q, r)), known) is evaluate(spread, known)


@given(condition=combinations(["any", "all", "any_known"]), values=st.tuples(*[st.integers(0, 3)] * len(NAMES)))
def test_with_every_fact_known_logic_is_ordinary(condition: Condition, values: tuple[int, ...]) -> None:
    known = dict(zip(NAMES, values, strict=True))

    def ordinary(part: Condition) -> bool:
        if isinstance(part, Comparison):
            return bool(eval(f"{known[part.fact]} {part.op} {part.value}"))  # the sentence as Python reads it
        return (all if part.how == "all" else any)(ordinary(each) for each in part.parts)

    assert evaluate(condition, known) is ordinary(condition)


@given(condition=combinations(["any", "all", "any_known"]))
def test_without_facts_nothing_is_known(condition: Condition) -> None:
    assert evaluate(condition, {}) is None


@given(condition=combinations(["any", "all", "any_known"]))
def test_a_condition_reads_back_from_its_data(condition: Condition) -> None:
    assert parse_condition(as_data(condition), where="test") == condition
    assert facts_of(condition) <= set(NAMES)
