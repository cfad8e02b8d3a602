"""Ticks, scales and the placing of labels."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from afterglow.render.axes import Scale, log_ticks, nice_ticks, spread_labels, tick_labels, time_ticks

spans = st.tuples(st.floats(-1e4, 1e4), st.floats(1e-3, 1e4))


@given(spans)
def test_ticks_cover_the_span_evenly_and_are_few(span: tuple[float, float]) -> None:
    low, high = span[0], span[0] + span[1]
    ticks = nice_ticks(low, high, 5)
    step = ticks[1] - ticks[0]
    assert ticks[0] <= low + 1e-6 * step
    assert ticks[-1] >= high - 1e-6 * step
    assert 2 <= len(ticks) <= 8
    assert [b - a for a, b in pairwise(ticks)] == pytest.approx([step] * (len(ticks) - 1))
    assert len(set(tick_labels(ticks))) == len(ticks)


@given(st.floats(1e-4, 1e4), st.floats(1.0, 1e4))
def test_log_ticks_cover_the_span(low: float, ratio: float) -> None:
    ticks = log_ticks(low, low * ratio)
    assert ticks[0] <= low * 1.001
    assert ticks[-1] >= low * ratio * 0.999
    assert ticks == sorted(set(ticks))
    assert len(ticks) >= 2


def test_labels_never_write_a_negative_zero() -> None:
    assert tick_labels(nice_ticks(-0.3, 0.3, 4)) == ["−0.4", "−0.2", "0", "0.2", "0.4"]


@pytest.mark.parametrize(
    ("hours", "unit", "labels"),
    [
        (0.5, "min", ["0", "5", "10", "15", "20", "25", "30"]),
        (2, "min", ["0", "20", "40", "60", "80", "100", "120"]),
        (24, "hours", ["0", "4", "8", "12", "16", "20", "24"]),
        (72, "hours", ["0", "12", "24", "36", "48", "60", "72"]),
        (28 * 24, "days", ["0", "7", "14", "21", "28"]),
        (26 * 168, "weeks", ["0", "4", "8", "12", "16", "20", "24"]),
        (20 * 8736, "weeks", ["0"] + [f"{52 * i:,}" for i in range(1, 21)]),
    ],
)
def test_time_is_told_in_the_unit_people_say(hours: float, unit: str, labels: list[str]) -> None:
    ticks, said = time_ticks(0, hours, 7)
    assert (said, [label for _, label in ticks]) == (unit, labels)


def test_a_time_axis_may_start_before_zero() -> None:
    assert time_ticks(-24, 24 * 13, 7)[0][0] == (0.0, "0")
    assert time_ticks(-48, 48, 5)[0][0] == (-48.0, "−48")


def test_a_log_scale_holds_zero_at_its_start() -> None:
    scale = Scale(low=1, high=1000, start_px=300, end_px=0, log=True)
    assert (scale(0.0), scale(1.0), scale(10.0)) == pytest.approx((300, 300, 200))


labels = st.lists(st.tuples(st.floats(0, 400), st.floats(10, 40)), min_size=0, max_size=8)


@given(labels)
def test_spread_labels_never_overlap_keep_their_order_and_stay_inside(wanted: list[tuple[float, float]]) -> None:
    centres = spread_labels([at for at, _ in wanted], [height for _, height in wanted], low=0, high=400)
    placed = sorted((centre, height, at) for centre, (at, height) in zip(centres, wanted, strict=True))
    for (first, first_height, first_at), (second, second_height, second_at) in pairwise(placed):
        assert second - first >= (first_height + second_height) / 2 - 1e-6
        assert first_at <= second_at
    for centre, height, _ in placed:
        assert centre - height / 2 >= -1e-6
        assert centre + height / 2 <= 400 + 1e-6


@given(st.lists(st.integers(1, 19), unique=True, max_size=10))
def test_labels_that_are_apart_stay_where_they_were_asked(slots: list[int]) -> None:
    wanted = [20.0 * slot for slot in slots]
    assert spread_labels(wanted, [17.0] * len(wanted), low=0, high=400) == pytest.approx(wanted)


def test_more_labels_than_room_run_over_the_end_but_stay_apart() -> None:
    assert spread_labels([5, 5, 5], [20, 20, 20], low=0, high=30) == [10, 30, 50]
