"""The tables of a course: marks, panels, rows of inputs, and what is refused."""

from __future__ import annotations

import math

import numpy as np
import pytest

from afterglow.errors import InputError, WrongOrder
from afterglow.therapy.course import CourseTable, Quadrature, course_table
from afterglow.therapy.kinetics import Input

COARSE = Quadrature(
    soonest_h=1.0,
    nodes_per_fold=2.0,
    least_nodes=1.0,
    fresh_nodes=3.0,
    fresh_h=10.0,
    input_nodes_per_h=0.5,
    horizon_h=100.0,
)


def table(*inputs: Input, times: list[float], sessions: list[float] | None = None) -> CourseTable:
    return course_table(
        inputs,
        channels=("iv", "nose"),
        sessions_h=[given.start_h for given in inputs] if sessions is None else sessions,
        times_h=np.array(times),
        quadrature=COARSE,
    )


def infusion(start: float, hours: float, mg: float = 1.0, per_kg: float = 0.0, channel: str = "iv") -> Input:
    return Input(channel=channel, start_h=start, duration_h=hours, amount_mg=mg, amount_mg_per_kg=per_kg)


def lengths(cut: CourseTable) -> list[float]:
    return [round(float(h), 9) for h in cut.panel_length_h[cut.step_panel]]


def counts(cut: CourseTable) -> list[int]:
    return [int(n) for n in np.diff(cut.panel_node)[cut.step_panel]]


def test_steps_run_from_mark_to_mark_up_to_the_last_asked_time() -> None:
    cut = table(infusion(10.0, 2.0), times=[0.0, 10.0, 11.0, 20.0, 200.0])
    #                    10-11, 11-12 (end of infusion), 12-20, 20-112 (12 + the horizon), 112-200
    assert lengths(cut) == [1.0, 1.0, 8.0, 92.0, 88.0]
    assert cut.step_time.tolist() == [2, -1, 3, -1, 4]
    assert cut.step_rates.tolist() == [1, 1, 0, 0, 0]
    assert cut.step_bolus.tolist() == [-1] * 5


def test_a_value_asked_for_at_the_start_of_a_session_belongs_before_it() -> None:
    cut = table(infusion(0.0, 1.0), infusion(24.0, 1.0), times=[0.0, 24.0, 48.0])
    assert cut.since_session_h.tolist() == [math.inf, 24.0, 24.0]
    assert cut.step_time.tolist() == [-1, 1, -1, 2]
    before_second = cut.step_rates[: 1 + cut.step_time.tolist().index(1)]
    assert before_second.tolist() == [1, 0]


def test_nodes_follow_the_clock_the_freshness_and_a_running_input() -> None:
    cut = table(infusion(0.0, 4.0), times=[4.0, 14.0, 50.0, 200.0])
    expected = [
        math.ceil(1 + 2 * math.log(5 / 1) + 3 + 0.5 * 4),
        math.ceil(1 + 2 * math.log(11 / 1) + 3),
        math.ceil(1 + 2 * math.log(47 / 11) + 3 * math.exp(-10 / 10)),
        math.ceil(1 + 2 * math.log(101 / 47) + 3 * math.exp(-46 / 10)),
        0,  # beyond the horizon states only fade
    ]
    assert counts(cut) == expected == [10, 9, 6, 3, 0]


def test_nodes_and_weights_integrate_their_panel() -> None:
    cut = table(infusion(0.0, 4.0), times=[4.0, 14.0])
    for panel, length in enumerate(cut.panel_length_h):
        part = slice(cut.panel_node[panel], cut.panel_node[panel + 1])
        node, weight = cut.node_h[part], cut.node_weight_h[part]
        assert np.all((node > 0) & (node < length))
        assert np.sum(weight) == pytest.approx(length, rel=1e-6)
        assert np.sum(weight * np.exp(-node)) == pytest.approx(1 - math.exp(-length), rel=1e-4)


def test_the_same_hours_after_another_session_are_the_same_panel() -> None:
    cut = table(*(infusion(24.0 * day, 2 / 3) for day in range(10)), times=[24.0 * day for day in range(11)])
    assert len(cut.step_panel) == 20
    assert len(cut.panel_length_h) == 2
    assert len(cut.rates) == 2


def test_a_bolus_is_added_at_the_start_of_its_step_and_never_at_its_end() -> None:
    bolus = Input(channel="nose", start_h=5.0, amount_mg=2.0, amount_mg_per_kg=0.5)
    cut = table(bolus, times=[5.0, 6.0])
    assert cut.step_bolus.tolist() == [0]
    assert cut.boluses.tolist() == [[[0.0, 0.0], [2.0, 0.5]]]
    assert cut.rates.tolist() == [[[0.0, 0.0], [0.0, 0.0]]]
    assert cut.step_time.tolist() == [1]


def test_overlapping_inputs_add() -> None:
    cut = table(infusion(0.0, 2.0, mg=4.0), infusion(1.0, 2.0, mg=0.0, per_kg=1.0), times=[3.0])
    assert lengths(cut) == [1.0, 1.0, 1.0]
    assert [cut.rates[i, 0].tolist() for i in cut.step_rates] == [[2.0, 0.0], [2.0, 0.5], [0.0, 0.5]]


def test_inputs_in_any_order_give_the_same_table() -> None:
    first, second = infusion(0.0, 1.0), infusion(24.0, 1.0, channel="nose")
    one, other = (
        table(first, second, times=[48.0], sessions=[0.0, 24.0]),
        table(second, first, times=[48.0], sessions=[0.0, 24.0]),
    )
    assert np.array_equal(one.step_rates, other.step_rates)
    assert np.array_equal(one.node_h, other.node_h)


def test_marks_closer_than_the_resolution_are_one() -> None:
    cut = table(infusion(0.0, 0.1 + 0.2), times=[0.3, 1.0])
    assert lengths(cut) == [0.3, 0.7]
    assert cut.step_time.tolist() == [0, 1]


def test_without_drug_there_is_nothing_to_walk_but_sessions_still_count() -> None:
    cut = table(times=[0.0, 10.0, 30.0], sessions=[0.0, 24.0])
    assert len(cut.step_panel) == len(cut.node_h) == 0
    assert cut.since_session_h.tolist() == [math.inf, 10.0, 6.0]


def test_without_sessions_no_time_is_since_one() -> None:
    assert table(times=[1.0], sessions=[]).since_session_h.tolist() == [math.inf]


def test_without_asked_times_nothing_is_walked() -> None:
    assert len(table(infusion(0.0, 1.0), times=[]).step_panel) == 0


def test_drug_after_the_last_asked_time_is_not_walked() -> None:
    cut = table(infusion(0.0, 1.0), infusion(50.0, 1.0), times=[10.0])
    assert lengths(cut) == [1.0, 9.0]


@pytest.mark.parametrize("times", [[1.0, 1.0], [2.0, 1.0], [math.nan], [math.inf]])
def test_times_must_be_finite_and_increase(times: list[float]) -> None:
    with pytest.raises(WrongOrder, match="Asked times"):
        table(infusion(0.0, 1.0), times=times)


def test_sessions_must_increase() -> None:
    with pytest.raises(WrongOrder, match="Sessions"):
        table(times=[1.0], sessions=[24.0, 0.0])


def test_a_channel_the_model_lacks_is_refused_by_name() -> None:
    with pytest.raises(InputError, match=r"oral.*iv, nose"):
        table(infusion(0.0, 1.0, channel="oral"), times=[1.0])
