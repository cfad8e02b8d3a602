"""How numbers are written, as a table a reader can check by eye."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from afterglow.render.text import (
    format_number,
    format_parts,
    format_percent,
    format_points,
    format_significant,
    text_width,
    wrap_text,
)


@pytest.mark.parametrize(
    ("percent", "predicted", "shown"),
    [
        (0.0, True, "under 1 %"),  # a model never says 0 %
        (0.99, True, "under 1 %"),
        (1.0, True, "1 %"),
        (45.3, True, "45 %"),
        (99.0, True, "99 %"),
        (99.01, True, "over 99 %"),
        (100.0, True, "over 99 %"),  # nor 100 %
        (0.0, False, "0 %"),  # a count may be none or all
        (100.0, False, "100 %"),
        (16.7, False, "17 %"),
    ],
)
def test_percentages(percent: float, shown: str, *, predicted: bool) -> None:
    assert format_percent(percent, predicted=predicted) == shown


@pytest.mark.parametrize(
    ("value", "signed", "shown"),
    [
        (-3.84, False, "−3.8"),
        (-0.04, False, "0.0"),
        (-0.04, True, "0.0"),
        (0.0, True, "0.0"),
        (5.0, True, "+5.0"),
        (-5.0, True, "−5.0"),
        (1234.56, False, "1,234.6"),
        (math.nan, False, "unknown"),
        (-math.inf, False, "unknown"),
    ],
)
def test_points(value: float, shown: str, *, signed: bool) -> None:
    assert format_points(value, signed=signed) == shown


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (285.0, "285"),
        (96.0, "96.0"),
        (9.996, "10.0"),
        (999.6, "1,000"),
        (123456.0, "123,000"),
        (0.00012345, "0.000123"),
        (-2.5, "−2.50"),
        (0.0, "0"),
        (math.nan, "unknown"),
    ],
)
def test_significant_figures(value: float, shown: str) -> None:
    assert format_significant(value) == shown


def test_parts_are_rounded_so_that_a_readers_sum_is_right() -> None:
    # 3.34 + 3.34 + 3.34 = 10.02 shows as 3.3 + 3.3 + 3.3 = 9.9 of 10.0, so 0.1 is left over.
    assert format_parts(10.02, {"Drug": 3.34, "Expectancy": 3.34, "Care and time": 3.34}) == {
        "Drug": "3.3",
        "Expectancy": "3.3",
        "Care and time": "3.3",
        "Not explained": "0.1",
    }


@given(st.floats(-60, 60), st.lists(st.floats(-60, 60), max_size=4))
def test_shown_parts_always_add_up_to_the_shown_total(total: float, parts: list[float]) -> None:
    shown = format_parts(total, {str(i): part for i, part in enumerate(parts)})
    added = sum(float(value.replace("−", "-")) for value in shown.values())
    assert format_points(added) == format_points(round(total, 1))


@given(value=st.floats(-1e9, 1e9), decimals=st.integers(0, 6), signed=st.booleans())
def test_numbers_have_no_hyphen_for_a_minus_and_no_negative_zero(value: float, decimals: int, *, signed: bool) -> None:
    shown = format_number(value, decimals, signed=signed)
    assert "-" not in shown
    if shown.startswith("−"):
        assert float(shown[1:].replace(",", "")) > 0


@given(st.lists(st.text(alphabet="abcdefgh", min_size=1, max_size=12), max_size=12))
def test_wrapping_keeps_every_word_and_the_width(words: list[str]) -> None:
    lines = wrap_text(" ".join(words), 12.5, 90.0)
    assert " ".join(lines).split() == words
    assert all(text_width(line, 12.5) <= 90.0 or " " not in line for line in lines)


def test_bold_text_is_wider() -> None:
    assert text_width("Sum", 12.5, bold=True) > text_width("Sum", 12.5)
