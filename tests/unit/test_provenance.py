"""Where figures come from, and the guardrails on what a person types."""

from __future__ import annotations

import math

import pytest

from afterglow.errors import InvalidData, OutOfRange
from afterglow.provenance import Guardrail, Provenance, Verified, lowest, parse_verified


def pressure(*, absolute: tuple[float, float] = (60.0, 180.0), usual: tuple[float, float] = (90.0, 140.0)) -> Guardrail:
    source = Provenance(source=("a_label",), verified=Verified.POLICY)
    return Guardrail(name="Systolic pressure", unit="mmHg", absolute=absolute, usual=usual, provenance=source)


@pytest.mark.parametrize(
    ("value", "accepted", "usual"),
    [
        (59.9, False, False),
        (60.0, True, False),
        (89.9, True, False),
        (90.0, True, True),
        (140.0, True, True),
        (140.1, True, False),
        (180.0, True, False),
        (180.1, False, False),
        (math.nan, False, False),
        (math.inf, False, False),
    ],
)
def test_both_sides_of_every_bound(*, value: float, accepted: bool, usual: bool) -> None:
    assert pressure().is_usual(value) is usual
    if accepted:
        pressure().check(value)
    else:
        with pytest.raises(OutOfRange):
            pressure().check(value)


def test_a_refusal_names_value_bounds_and_source() -> None:
    with pytest.raises(OutOfRange) as refused:
        pressure().check(200.0)
    assert str(refused.value) == (
        "Systolic pressure is refused; found 200 mmHg; allowed: 60 to 180 mmHg (a_label). "
        "Correct the value; if it is right, this model has no evidence for it."
    )


@pytest.mark.parametrize(
    ("absolute", "usual"),
    [
        ((180.0, 60.0), (90.0, 140.0)),
        ((60.0, 180.0), (140.0, 90.0)),
        ((100.0, 180.0), (90.0, 140.0)),
        ((60.0, 130.0), (90.0, 140.0)),
        ((math.nan, 180.0), (90.0, 140.0)),
    ],
)
def test_bounds_that_do_not_nest_are_refused(absolute: tuple[float, float], usual: tuple[float, float]) -> None:
    with pytest.raises(InvalidData, match="must lie inside"):
        pressure(absolute=absolute, usual=usual)


def test_a_figure_read_at_a_page_names_the_page() -> None:
    with pytest.raises(InvalidData, match="names no source"):
        Provenance(source=(), verified=Verified.PAGE)
    assert Provenance(source=(), verified=Verified.RECALLED).source == ()


def test_verification_is_one_word() -> None:
    assert [parse_verified(word, where="x") for word in ("page", "derived", "policy", "recalled")] == list(Verified)


@pytest.mark.parametrize("value", ["page (n); recalled (sd)", "Page", "", None, ["page"], 1, True])
def test_a_mixed_or_unknown_verification_is_refused(value: object) -> None:
    with pytest.raises(InvalidData, match="a figure: `verified` must be one word"):
        parse_verified(value, where="a figure")


@pytest.mark.parametrize(
    ("values", "weakest"),
    [
        (["page"], "page"),
        (["page", "derived"], "derived"),
        (["policy", "derived"], "policy"),
        (["recalled", "policy", "page"], "recalled"),
    ],
)
def test_a_result_is_no_better_than_its_worst_input(values: list[str], weakest: str) -> None:
    assert lowest(Verified(value) for value in values) is Verified(weakest)
