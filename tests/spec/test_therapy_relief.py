"""From plasticity to relief to a score, with the arithmetic written out."""

from __future__ import annotations

import math

import numpy as np
import pytest

from afterglow.therapy.course import course_table
from afterglow.therapy.population import load_population, typical_chain
from afterglow.therapy.relief import MoodFluctuation, ReadOut, Relief, ScaleLink, drug_relief, simulate_relief
from afterglow.therapy.setting import Condition

DAY = 24.0


def readout(
    *,
    half_relief: float = 0.5,
    steepness: float = 1.0,
    largest_drug_relief: float = 0.4,
    expectancy: float = 0.0,
    lasting_expectancy: float = 0.6,
    inflation: float = 0.0,
    care: float = 0.0,
) -> ReadOut:
    """One patient; expectancy has half-lives of 24 h and 240 h."""
    one = {
        "half_relief": half_relief,
        "steepness": steepness,
        "largest_drug_relief": largest_drug_relief,
        "expectancy": expectancy,
        "lasting_expectancy": lasting_expectancy,
        "expectancy_fast_half_life_h": 24.0,
        "expectancy_slow_half_life_h": 240.0,
        "inflation": inflation,
        "care": care,
    }
    return ReadOut(**{name: np.array([value]) for name, value in one.items()})


def without_drug(person: ReadOut, *, sessions_h: tuple[float, ...], times_h: list[float]) -> Relief:
    table = course_table((), channels=(), sessions_h=sessions_h, times_h=np.array(times_h))
    chain = typical_chain(load_population(Condition.DEPRESSION))
    return simulate_relief(table, modes=None, weight_kg=np.array([74.0]), chain=chain, readout=person)


@pytest.mark.parametrize(
    ("memory", "steepness", "expected"),
    [
        (0.0, 1.0, 0.0),
        (0.5, 1.0, 0.4 / 2),  # A = A50 gives half of D_max, whatever g is
        (0.5, 3.0, 0.4 / 2),
        (1.5, 1.0, 0.4 * 1.5 / (1.5 + 0.5)),
        (1.0, 2.0, 0.4 * 1.0 / (1.0 + 0.25)),
        (0.25, 2.0, 0.4 * 0.0625 / (0.0625 + 0.25)),
        (1e9, 1.0, 0.4),
    ],
)
def test_drug_part(memory: float, steepness: float, expected: float) -> None:
    found = drug_relief(np.array([[memory]]), readout(steepness=steepness))
    assert found[0, 0] == pytest.approx(expected, rel=1e-8, abs=1e-100)


# e = 0.5, f = 0.6, T1 = 24 h, T2 = 240 h
AFTER_A_DAY = 0.5 * (0.4 * 2**-1 + 0.6 * 2**-0.1)
AFTER_TEN_DAYS = 0.5 * (0.4 * 2**-10 + 0.6 * 2**-1)


@pytest.mark.parametrize(
    ("sessions_h", "at_h", "expected"),
    [
        ((0.0,), 0.0, 0.0),  # a score at the start of a session belongs to the time before it
        ((0.0,), 1e-9, 0.5),
        ((0.0,), 1 * DAY, AFTER_A_DAY),
        ((0.0,), 10 * DAY, AFTER_TEN_DAYS),
        ((0.0, 10 * DAY), 10 * DAY, AFTER_TEN_DAYS),
        ((0.0, 10 * DAY), 11 * DAY, AFTER_A_DAY),  # refreshed, not added up
        ((2 * DAY,), 1 * DAY, 0.0),  # nothing before the first session
    ],
)
def test_expectancy_part(sessions_h: tuple[float, ...], at_h: float, expected: float) -> None:
    found = without_drug(readout(expectancy=0.5), sessions_h=sessions_h, times_h=[at_h])
    assert found.expectancy[0, 0] == pytest.approx(expected, rel=1e-9)
    assert found.drug[0, 0] == 0.0


@pytest.mark.parametrize(
    ("inflation", "care", "days", "expected"),
    [
        (0.1, 0.2, 0.0, 0.0),  # the baseline score itself
        (0.1, 0.2, 12.0, 1 - 0.9 * (1 - 0.2 / 2)),
        (0.1, 0.2, 24.0, 1 - 0.9 * (1 - 0.2 * 3 / 4)),
        (0.1, 0.2, 1200.0, 1 - 0.9 * 0.8),
        (0.0, -0.2, 12.0, -0.1),  # worsening
        (0.1, 0.0, 1e-9, 0.1),
    ],
)
def test_care_part(inflation: float, care: float, days: float, expected: float) -> None:
    found = without_drug(readout(inflation=inflation, care=care), sessions_h=(0.0,), times_h=[days * DAY])
    assert found.care[0, 0] == pytest.approx(expected, abs=1e-9)


def test_what_is_left_and_who_is_credited() -> None:
    relief = Relief(
        times_h=np.array([24.0]), drug=np.array([[0.3]]), expectancy=np.array([[0.2]]), care=np.array([[0.1]])
    )
    assert relief.left[0, 0] == pytest.approx(0.7 * 0.8 * 0.9)
    # Removed first, in the middle (after either) or last: 0.3·1, 0.3·0.8 or 0.3·0.9, 0.3·0.8·0.9.
    drug = (2 * 0.3 + 0.3 * 0.8 + 0.3 * 0.9 + 2 * 0.3 * 0.8 * 0.9) / 6
    expectancy = (2 * 0.2 + 0.2 * 0.7 + 0.2 * 0.9 + 2 * 0.2 * 0.7 * 0.9) / 6
    care = (2 * 0.1 + 0.1 * 0.7 + 0.1 * 0.8 + 2 * 0.1 * 0.7 * 0.8) / 6
    assert [part[0, 0] for part in relief.shares()] == pytest.approx([drug, expectancy, care])
    assert drug + expectancy + care == pytest.approx(1 - 0.504)


def test_mood_starts_at_the_baseline_score_and_forgets_it() -> None:
    mood = MoodFluctuation(sd=0.25, correlation_h=240.0)
    expected = [0.0, 0.0, 0.0625 * (1 - math.exp(-2)), 0.0625]
    assert mood.variance(np.array([-24.0, 0.0, 240.0, 1e6])) == pytest.approx(expected)
    keep = math.exp(-24 / 240)  # of a value a day later
    first = 0.25 * math.sqrt(1 - keep**2) * 1.0
    second = keep * first + 0.25 * math.sqrt(1 - keep**2) * -2.0
    found = mood.paths(np.array([0.0, 24.0, 48.0]), np.array([[5.0, 1.0, -2.0]]))
    assert found[0] == pytest.approx([0.0, first, second])


def link(*, lowest: float = 0.0, whole_numbers: bool = True, following: float = 1.0) -> ScaleLink:
    return ScaleLink(
        name="a scale",
        lowest=lowest,
        highest=60.0,
        whole_numbers=whole_numbers,
        following=following,
        error_sd=3.0,
    )


@pytest.mark.parametrize(
    ("lowest", "following", "baseline", "left", "expected"),
    [
        (0.0, 1.0, 32.0, 1.0, 32.0),
        (0.0, 1.0, 32.0, 0.5, 16.0),
        (0.0, 0.85, 32.0, 0.5, 32 * (1 - 0.85 * 0.5)),  # a self-report follows less far
        (4.0, 1.0, 24.0, 0.5, 4 + 20 / 2),  # the lowest score is the symptom-free one
        (4.0, 1.0, 24.0, 0.0, 4.0),
        (0.0, 1.0, 32.0, 1.1, 35.2),  # worse than at baseline
    ],
)
def test_expected_score(lowest: float, following: float, baseline: float, left: float, expected: float) -> None:
    found = link(lowest=lowest, following=following).expected(np.array([baseline]), np.array([[left]]))
    assert found[0, 0] == pytest.approx(expected)


@pytest.mark.parametrize(
    ("lowest", "following", "left", "expected"),
    [
        (0.0, 1.0, 0.25, math.sqrt(32**2 * 0.25 * 0.0625 + 9)),  # = 5
        (0.0, 0.5, 0.25, math.sqrt(16**2 * 0.25 * 0.0625 + 9)),
        (12.0, 1.0, 1.0, math.sqrt(20**2 * 0.0625 + 9)),
        (0.0, 1.0, 0.0, 3.0),  # nothing left to fluctuate: measurement error alone
        (0.0, 1.0, -0.1, 3.0),
    ],
)
def test_spread_of_a_score(lowest: float, following: float, left: float, expected: float) -> None:
    found = link(lowest=lowest, following=following).sd(np.array([32.0]), np.array([[left]]), np.array([0.0625]))
    assert found[0, 0] == pytest.approx(expected)


@pytest.mark.parametrize(
    ("points", "at_most", "below"), [(10.0, 10.5, 9.5), (16.5, 16.5, 16.5), (16.9, 16.5, 16.5), (0.0, 0.5, -0.5)]
)
def test_cut_offs_on_whole_numbers(points: float, at_most: float, below: float) -> None:
    whole = link()
    assert [float(whole.at_most(points)), float(whole.below(points))] == [at_most, below]
    # On either side of a limit the written score is on either side of the cut-off.
    assert round(at_most - 0.01) <= points < round(at_most + 0.01)
    assert round(below - 0.01) < points <= round(below + 0.01)


def test_cut_offs_of_a_scale_with_fractions() -> None:
    thirds = link(whole_numbers=False)
    assert [float(thirds.at_most(3.4)), float(thirds.below(3.4))] == [3.4, 3.4]
