"""The error tree: stable codes, one message format, a place that is never lost."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Iterator

import pytest

from afterglow import errors
from afterglow.errors import AfterglowError, InputError, OutOfRange, Place, RuleRefused


def tree(base: type[AfterglowError] = AfterglowError) -> Iterator[type[AfterglowError]]:
    yield base
    for child in base.__subclasses__():
        yield from tree(child)


def test_every_class_has_its_own_code() -> None:
    codes = [each.code for each in tree()]
    assert len(codes) == len(set(codes))
    assert len(codes) > 10


def test_a_code_starts_with_its_parents_so_that_edges_can_map_families() -> None:
    for each in tree(InputError):
        assert each.code.split(".")[0] == InputError.code


def test_the_tree_in_the_docstring_names_every_leaf_with_its_code() -> None:
    drawn = str(errors.__doc__)
    for each in tree():
        assert each.__name__ in drawn
        if "." in each.code:
            assert each.code in drawn


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (OutOfRange("The dose is refused"), "The dose is refused."),
        (OutOfRange("The dose is refused", observed="3 mg/kg"), "The dose is refused; found 3 mg/kg."),
        (
            OutOfRange("The dose is refused", observed="3 mg/kg", allowed="0 to 1 mg/kg", next_step="Correct it"),
            "The dose is refused; found 3 mg/kg; allowed: 0 to 1 mg/kg. Correct it.",
        ),
        (OutOfRange("No", next_step="Did you mean iv?"), "No. Did you mean iv?"),
        (OutOfRange("No", next_step="Stop."), "No. Stop."),
        (OutOfRange("No", place=Place(file="a.yaml", line=3)), "a.yaml:3: No."),
        (OutOfRange("No", place=Place(file="a.yaml")), "a.yaml: No."),
    ],
)
def test_a_message_is_place_refusal_observed_allowed_next_step(error: AfterglowError, message: str) -> None:
    assert str(error) == error.message == message


def test_at_adds_the_place_and_leaves_the_original_alone() -> None:
    error = InputError("No", observed="1", allowed="2", next_step="Go", about="dose")
    placed = error.at(Place(file="a.yaml", line=2))
    assert str(placed) == "a.yaml:2: No; found 1; allowed: 2. Go."
    assert placed.about == "dose"
    assert error.place is None


def test_a_place_already_known_is_kept() -> None:
    error = InputError("No", place=Place(file="a.yaml", line=2)).at(Place(file="b.yaml", line=9))
    assert error.place == Place(file="a.yaml", line=2)


@pytest.mark.parametrize("move", [copy.copy, lambda error: pickle.loads(pickle.dumps(error))])
def test_an_error_survives_copying_and_another_process_whole(move: object) -> None:
    assert callable(move)
    error = RuleRefused("Not today", rule="S010", observed="172 mmHg", place=Place(file="a.csv", line=1), about="sbp")
    moved = move(error)
    assert (type(moved), str(moved), moved.rule, moved.about) == (RuleRefused, str(error), "S010", "sbp")


def test_at_keeps_the_rule_of_a_refusal() -> None:
    assert RuleRefused("Not today", rule="S010").at(Place(file="a.csv")).rule == "S010"
