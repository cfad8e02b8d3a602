"""Pooling obeys the symmetries of its definition, and the data reader refuses garbage without falling over."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from afterglow.errors import InvalidData
from afterglow.evidence.figures import Figure, read_figure
from afterglow.evidence.pooling import Effect, PooledEffect, PoolingMethod, pool
from afterglow.records import Record

STUDIES = st.lists(st.tuples(st.floats(-3, 3), st.floats(0.001, 2)), min_size=2, max_size=12)
METHODS = st.sampled_from(list(PoolingMethod))
JUNK = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)
KEYS = st.sampled_from(
    ["arm", "contrast", "statistic", "value", "spread", "n", "events", "p", "verified", "source", "x"]
)


def pooled(studies: list[tuple[float, float]], method: PoolingMethod) -> PooledEffect:
    return pool([Effect(label="s", estimate=y, variance=v) for y, v in studies], method=method)


@settings(deadline=None)  # the first call imports the statistics library
@given(STUDIES, METHODS, st.floats(-5, 5), st.floats(0.1, 10))
def test_shift_and_scale_pass_through(
    studies: list[tuple[float, float]], method: PoolingMethod, shift: float, scale: float
) -> None:
    before = pooled(studies, method)
    after = pooled([(scale * y + shift, scale**2 * v) for y, v in studies], method)
    assert before.tau2 is not None
    assert after.tau2 == pytest.approx(scale**2 * before.tau2, rel=1e-6, abs=1e-9)
    assert after.estimate == pytest.approx(scale * before.estimate + shift, rel=1e-6, abs=1e-7)


@settings(deadline=None)
@given(STUDIES, METHODS)
def test_the_order_of_studies_does_not_matter(studies: list[tuple[float, float]], method: PoolingMethod) -> None:
    forth, back = pooled(studies, method), pooled(studies[::-1], method)
    assert forth.estimate == pytest.approx(back.estimate, rel=1e-9, abs=1e-9)
    assert forth.weights == pytest.approx(back.weights[::-1], rel=1e-6)


@settings(deadline=None)
@given(STUDIES, METHODS)
def test_the_mean_lies_among_the_studies_and_intervals_nest(
    studies: list[tuple[float, float]], method: PoolingMethod
) -> None:
    found = pooled(studies, method)
    estimates = [y for y, _ in studies]
    assert min(estimates) - 1e-9 <= found.estimate <= max(estimates) + 1e-9
    assert sum(found.weights) == pytest.approx(1.0)
    assume(found.prediction95 is not None)
    assert found.prediction95 is not None
    assert found.prediction95[0] <= found.ci95[0] <= found.ci95[1] <= found.prediction95[1]


@given(st.dictionaries(KEYS, JUNK, max_size=8))
def test_garbage_is_a_figure_or_refused_by_name(data: dict[str, Any]) -> None:
    try:
        found = read_figure(Record(data, file="some.yaml"), frozenset({"a", "b"}))
    except InvalidData as refusal:
        said = refusal.message
    else:
        said = "" if isinstance(found, Figure) else "neither"
    assert not said or "some.yaml" in said
