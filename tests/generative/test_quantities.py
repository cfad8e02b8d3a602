"""Any number with any unit is read; any other text is refused; nothing else happens."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from afterglow.errors import InputError
from afterglow.quantities import (
    format_duration,
    parse_dose,
    parse_duration_h,
    parse_number,
    parse_percent,
    parse_rate,
    parse_weight_kg,
)

PARSERS: list[Callable[[object], object]] = [
    parse_number,
    parse_duration_h,
    parse_weight_kg,
    parse_dose,
    parse_rate,
    parse_percent,
]
amounts = st.floats(min_value=0.0, max_value=1e15)
masses = st.sampled_from(["g", "mg", "ug", "mcg"])
times = st.sampled_from(["s", "min", "h", "d", "wk"])
pieces = st.sampled_from(
    ["1", "-", ".", "e", "9" * 400, " ", "mg", "/", "kg", "h", "%", "min", "\u00a0", "nan", "_", ","]
)
garbage = st.one_of(
    st.text(), st.lists(pieces).map("".join), st.floats(), st.integers(), st.none(), st.booleans(), st.binary()
)


@pytest.mark.parametrize("parse", PARSERS)
@given(value=garbage)
def test_any_value_is_read_or_refused(parse: Callable[[object], object], value: object) -> None:
    try:
        found = parse(value)
    except InputError as refused:
        found = len(str(refused))
    assert not isinstance(found, float) or math.isfinite(found)
    assert not isinstance(found, int) or found < 400  # the length of a message


@given(number=st.floats(min_value=-1e15, max_value=1e15))
def test_a_number_reads_back(number: float) -> None:
    assert parse_number(repr(number)) == parse_number(number) == number


@given(amount=amounts, unit=masses, time=times)
def test_a_rate_over_its_own_time_unit_is_its_amount(amount: float, unit: str, time: str) -> None:
    rate, dose = parse_rate(f"{amount!r} {unit}/{time}"), parse_dose(f"{amount!r} {unit}")
    delivered = rate.over(parse_duration_h(f"1 {time}"))
    assert delivered.mg == pytest.approx(dose.mg, rel=1e-12)


@given(amount=amounts, unit=masses, weight_kg=st.floats(min_value=1.0, max_value=650.0))
def test_a_dose_per_weight_is_proportional_to_weight(amount: float, unit: str, weight_kg: float) -> None:
    per_kg, flat = parse_dose(f"{amount!r} {unit}/kg"), parse_dose(f"{amount!r} {unit}")
    assert per_kg.amount_mg(weight_kg) == pytest.approx(flat.amount_mg(weight_kg) * weight_kg, rel=1e-12)


@given(hours=st.floats(min_value=0.0, max_value=1e5))
def test_a_duration_as_text_reads_back_to_one_decimal(hours: float) -> None:
    text = format_duration(hours)
    half_a_digit_h = parse_duration_h(f"0.05 {text.split()[1]}") * 1.001
    assert abs(parse_duration_h(text) - hours) <= half_a_digit_h
