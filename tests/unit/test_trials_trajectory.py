"""The pictured course of an arm agrees with what is predicted at its visits."""

from __future__ import annotations

import numpy as np
import pytest

from afterglow.protocol import TrialProtocol, parse_protocol
from afterglow.therapy.setting import Arm
from afterglow.trials import ArmTrajectory, Statistic, replicate, simulate_trajectory

TIMES = np.array([0.0, 2.0, 24.0, 72.5, 168.0, 400.0])


def protocol(days: str, *, scale: str = "MADRS", mean: float = 32, sd: float = 5) -> TrialProtocol:
    return parse_protocol(
        f"drug: racemic_ketamine\nroute: iv\ndose: 0.5 mg/kg\ninfusion: 40 min\ndays: {days}\n"
        f"control: midazolam\narm: both\n"
        f"population: {{n: 40, n_control: 10, scale: {scale}, baseline_mean: {mean}, baseline_sd: {sd}}}\n"
        "observe: {times: [24 h, 7 d]}\n"
    )


def course(days: str = "[0, 3]", arm: Arm = Arm.ACTIVE, **what: object) -> ArmTrajectory:
    return simulate_trajectory(protocol(days, **what), arm, times_h=TIMES, seed=1)  # type: ignore[arg-type]


@pytest.mark.parametrize("arm", [Arm.ACTIVE, Arm.CONTROL])
def test_a_picture_agrees_with_the_prediction(arm: Arm) -> None:
    """The same cohort; other asked times cut the course into other panels, which moves the engine by its own error."""
    predictions = replicate(protocol("[0, 3]"), seed=1, n_draws=128, patients_per_draw=64).predictions
    pictured = course(arm=arm)
    for at, time_h in ((2, 24.0), (4, 168.0)):
        (found,) = (p for p in predictions if (p.arm, p.statistic, p.time_h) == (arm, Statistic.MEAN_SCORE, time_h))
        assert pictured.mean[at] == pytest.approx(found.value, abs=1e-6)
        assert pictured.lo90[at] == pytest.approx(found.lo90, abs=1e-6)
        assert pictured.hi90[at] == pytest.approx(found.hi90, abs=1e-6)


def test_intervals_are_nested() -> None:
    found = course()
    rows = np.array([found.lo90, found.lo50, found.mean, found.hi50, found.hi90])
    assert np.all(np.diff(rows[:, 1:], axis=0) > 0)
    small, large = course(arm=Arm.CONTROL), course(arm=Arm.ACTIVE)
    assert np.all((small.hi90 - small.lo90)[1:] > 0.5 * (large.hi90 - large.lo90)[1:])


def test_it_starts_at_the_baseline_and_the_parts_explain_the_fall() -> None:
    found = course()
    fall = found.drug + found.expectancy + found.care
    assert fall[0] == pytest.approx(0.0, abs=1e-9)
    assert found.mean[0] == pytest.approx(32.0, abs=0.3)
    assert found.mean == pytest.approx(32.0 - fall, abs=0.4)


def test_each_session_adds_its_layer() -> None:
    found = course("[0, 3, 10]")
    assert found.drug_layers.shape == (3, len(TIMES))
    assert found.drug_layers.sum(axis=0) == pytest.approx(found.drug, abs=1e-12)
    first, second, third = found.drug_layers
    assert np.all(first[1:] > 0)
    assert np.allclose(second[:3], 0.0, atol=1e-9)
    assert np.all(second[3:] > 0)
    assert np.allclose(third[:5], 0.0, atol=1e-9)
    assert third[5] > 0


@pytest.mark.parametrize(
    ("days", "arm"),
    [
        ("[0]", Arm.ACTIVE),  # one session is the drug part itself
        ("[0, 3]", Arm.CONTROL),
        (str(list(range(25))), Arm.ACTIVE),  # more than can be told apart
    ],
)
def test_no_layers_where_they_say_nothing(days: str, arm: Arm) -> None:
    assert course(days, arm).drug_layers.shape == (0, len(TIMES))


def test_a_self_report_on_a_scale_with_fractions() -> None:
    found = course(scale="PEG", mean=6, sd=1)
    assert np.all((found.mean > 0) & (found.mean < 7))
    assert found.mean == pytest.approx(6.0 - (found.drug + found.expectancy + found.care), abs=0.2)
