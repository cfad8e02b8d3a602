"""Any object of the kinds that the domain is made of comes back equal, from the same bytes each time."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from enum import StrEnum

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from afterglow.errors import InvalidData
from afterglow.store.codec import canonical, decode, encode, read_time, write_time
from afterglow.therapy.kinetics import FloatArray


class Arm(StrEnum):
    LEFT = "left"
    RIGHT = "right"


@dataclass(frozen=True, slots=True, kw_only=True)
class Dose:
    mg: float
    at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Hold:
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Everything:
    """One field of each form."""

    text: str
    count: int
    ratio: float
    sure: bool | None
    arm: Arm
    born_on: date | None = None
    answers: tuple[int | None, ...] = ()
    pair: tuple[str, float] = ("", 0.0)
    values: tuple[tuple[str, float | bool | str | tuple[float, ...]], ...] = ()
    by_item: Mapping[str, int] = field(default_factory=dict)
    dose: Dose | None = None
    events: tuple[Dose | Hold, ...] = ()
    arms: frozenset[Arm] = frozenset()
    either: Dose | Hold | None = None
    anything: object = None
    content: bytes = b""
    inner: Everything | None = None


TIMES = st.datetimes(timezones=st.just(UTC))
FLOATS = st.floats(allow_nan=False, allow_infinity=False)
DOSES = st.builds(Dose, mg=FLOATS, at=TIMES)
EITHER = DOSES | st.builds(Hold, reason=st.text())
VALUES = FLOATS | st.booleans() | st.text() | st.lists(FLOATS).map(tuple)
THINGS = st.builds(
    Everything,
    text=st.text(),
    count=st.integers(),
    ratio=FLOATS,
    sure=st.none() | st.booleans(),
    arm=st.sampled_from(Arm),
    born_on=st.none() | st.dates(),
    answers=st.lists(st.none() | st.integers()).map(tuple),
    pair=st.tuples(st.text(), FLOATS),
    values=st.lists(st.tuples(st.text(), VALUES)).map(tuple),
    by_item=st.dictionaries(st.text(), st.integers()),
    dose=st.none() | DOSES,
    events=st.lists(EITHER).map(tuple),
    arms=st.frozensets(st.sampled_from(Arm)),
    either=st.none() | EITHER,
    anything=st.none() | st.text() | st.integers(),
    content=st.binary(),
)


@given(THINGS, st.booleans())
def test_what_is_stored_comes_back_equal(thing: Everything, nested: bool) -> None:  # noqa: FBT001
    whole = Everything(text="", count=0, ratio=0.5, sure=True, arm=Arm.LEFT, inner=thing) if nested else thing
    body = encode(whole)
    again = decode(Everything, body)
    assert again == whole
    assert [type(value) for _, value in again.values] == [type(value) for _, value in whole.values]
    assert encode(again) == body


@given(TIMES, TIMES)
def test_times_as_text_sort_as_times(one: datetime, other: datetime) -> None:
    assert (write_time(one) < write_time(other)) == (one < other)
    assert read_time(write_time(one)) == one


def test_a_field_at_its_default_is_left_out_and_a_new_field_is_read_as_its_default() -> None:
    small = Everything(text="a", count=1, ratio=1.0, sure=None, arm=Arm.LEFT)
    assert encode(small) == b'{"arm":"left","count":1,"ratio":1.0,"sure":null,"text":"a"}'


@dataclass(frozen=True, slots=True, kw_only=True)
class Odd:
    """A field that no stored form fits."""

    value: complex = 0j


@pytest.mark.parametrize(
    ("kind", "body"),
    [
        (Hold, b"{}"),
        (Hold, b"nonsense"),
        (Hold, b'{"reason":"a","more":1}'),
        (Dose, b'{"mg":"much","at":"2026-01-05"}'),
        (Odd, b'{"value":"x"}'),
        (Everything, b'{"text":"","count":1,"ratio":1,"sure":1,"arm":"middle"}'),
        (Everything, b'{"text":"","count":1,"ratio":1,"sure":1,"arm":"left","values":[["a",{}]]}'),
    ],
)
def test_a_body_that_does_not_fit_is_refused_without_its_text(kind: type, body: bytes) -> None:
    with pytest.raises(InvalidData) as refused:
        decode(kind, body)
    assert "much" not in refused.value.message


def test_what_has_no_stored_form_is_refused() -> None:
    with pytest.raises(InvalidData, match="cannot be stored"):
        encode(Odd(value=1j))
    with pytest.raises(InvalidData, match="without zone"):
        write_time(datetime(2026, 1, 5))  # noqa: DTZ001
    with pytest.raises(ValueError, match="JSON"):
        canonical(float("nan"))


def test_a_whole_number_where_a_number_belongs_is_a_number() -> None:
    read = decode(Everything, b'{"text":"","count":1,"ratio":1,"sure":true,"arm":"left","values":[["a",3]]}')
    assert (type(read.ratio), read.values) == (float, (("a", 3.0),))


@dataclass(frozen=True, slots=True, kw_only=True)
class Days:
    """What a model gives for some days."""

    median: FloatArray
    layers: FloatArray


@given(st.lists(st.floats(-1e6, 1e6) | st.just(float("nan")), min_size=1, max_size=5), st.integers(0, 3))
def test_arrays_come_back_to_six_figures(numbers: list[float], rows: int) -> None:
    days = Days(median=np.array(numbers), layers=np.array([numbers] * rows).reshape(rows, len(numbers)))
    back = decode(Days, encode(days))
    assert back.median == pytest.approx(days.median, rel=1e-5, abs=1e-300, nan_ok=True)
    assert back.layers.shape == days.layers.shape
    assert encode(back) == encode(days)
