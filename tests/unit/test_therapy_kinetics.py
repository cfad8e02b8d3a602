"""Linear compartment systems as modes: shapes, refusals, superposition, equal rates."""

from __future__ import annotations

import math

import numpy as np
import pytest

from afterglow.errors import InvalidData, NoModel, OutOfRange, UnknownName
from afterglow.therapy.kinetics import (
    ExposureModes,
    FloatArray,
    Input,
    Path,
    area_under_curve,
    concentration,
    first_order,
    mammillary,
    path_modes,
    peak,
    summed,
    system_modes,
)

KG = np.array([70.0])


def one(value: float) -> FloatArray:
    return np.array([value])


def simple(rate: float = 0.5, amplitude: float = 10.0) -> ExposureModes:
    return ExposureModes(rates_per_h=one(rate)[:, None], channels=("iv",), amplitude=np.full((1, 1, 1), amplitude))


def test_amplitudes_must_match_rates_and_channels() -> None:
    with pytest.raises(InvalidData, match="Amplitudes do not match"):
        ExposureModes(rates_per_h=np.ones((2, 3)), channels=("iv",), amplitude=np.ones((2, 2, 3)))


def test_an_unknown_channel_is_refused_with_the_known_ones() -> None:
    with pytest.raises(UnknownName, match=r"found oral; allowed: iv"):
        concentration(simple(), [Input(channel="oral", start_h=0.0, amount_mg=1.0)], [0.0], weight_kg=KG)


@pytest.mark.parametrize("duration_h", [-1.0, math.nan, math.inf])
def test_an_input_lasts_a_finite_time_of_zero_or_more(duration_h: float) -> None:
    with pytest.raises(OutOfRange, match="duration of 0 h or more"):
        Input(channel="iv", start_h=0.0, duration_h=duration_h)


def test_amounts_per_kg_follow_the_weight_and_add_to_fixed_ones() -> None:
    given = Input(channel="iv", start_h=0.0, amount_mg=1.0, amount_mg_per_kg=0.5)
    assert given.amounts_mg(np.array([60.0, 80.0])).tolist() == [31.0, 41.0]


def test_a_bolus_counts_from_its_own_time_and_decays() -> None:
    bolus = Input(channel="iv", start_h=1.0, amount_mg=2.0)
    levels = concentration(simple(), [bolus], [3.0, 0.999, 1.0], weight_kg=KG)[0]  # any order of times
    assert levels == pytest.approx([20.0 * math.exp(-1.0), 0.0, 20.0])


def test_an_infusion_rises_to_its_end_and_decays_from_there() -> None:
    infusion = Input(channel="iv", start_h=0.0, duration_h=2.0, amount_mg=4.0)  # 2 mg/h, 10 ng/mL per mg, 0.5 per h
    levels = concentration(simple(), [infusion], [1.0, 2.0, 4.0], weight_kg=KG)[0]
    at_end = 2.0 * 10.0 / 0.5 * (1.0 - math.exp(-1.0))
    assert levels == pytest.approx([40.0 * (1.0 - math.exp(-0.5)), at_end, at_end * math.exp(-1.0)])


def test_overlapping_inputs_superpose() -> None:
    inputs = [
        Input(channel="iv", start_h=0.0, duration_h=2.0, amount_mg=4.0),
        Input(channel="iv", start_h=1.0, duration_h=3.0, amount_mg=9.0),
        Input(channel="iv", start_h=1.0, amount_mg=1.0),
    ]
    times = np.linspace(-1.0, 6.0, 29)
    together = concentration(simple(), inputs, times, weight_kg=KG)
    apart = sum(concentration(simple(), [given], times, weight_kg=KG) for given in inputs)
    assert together == pytest.approx(apart, abs=1e-12)


def test_no_input_gives_zero_everywhere() -> None:
    assert not concentration(simple(), [], [0.0, 1.0], weight_kg=KG).any()


@pytest.mark.parametrize("duration_h", [0.0, 2.0])
@pytest.mark.parametrize("until_h", [0.5, 1.0, 1.5, 3.0, 20.0, math.inf])
def test_area_is_the_integral_of_the_concentration(duration_h: float, until_h: float) -> None:
    given = Input(channel="iv", start_h=1.0, duration_h=duration_h, amount_mg=3.0)
    times = np.linspace(1.0, min(until_h, 60.0), 200_001) if until_h > 1.0 else np.array([1.0])
    expected = np.trapezoid(concentration(simple(), [given], times, weight_kg=KG)[0], times)
    assert area_under_curve(simple(), [given], weight_kg=KG, until_h=until_h)[0] == pytest.approx(expected, abs=1e-6)


def test_peak_of_absorption_is_at_the_closed_form_time() -> None:
    # The Bateman function has its peak at the logarithm of the ratio of rates over their difference.
    modes = path_modes({"oral": first_order(one(2.0)).then(_one_compartment(0.5))})
    highest, at = peak(modes, [Input(channel="oral", start_h=0.0, amount_mg=1.0)], weight_kg=KG)
    expected = math.log(4.0) / 1.5
    assert at[0] == pytest.approx(expected, abs=1e-4)
    assert highest[0] == pytest.approx(2.0 / 1.5 * (math.exp(-0.5 * expected) - math.exp(-2.0 * expected)), rel=1e-8)


def test_two_compartments_match_the_quadratic_formula() -> None:
    path = mammillary(clearance_l_per_h=one(10.0), central_volume_l=one(5.0), peripherals=((one(20.0), one(10.0)),))
    # k10 2, k12 4, k21 2: rates 4 +- sqrt(12); they sum to 8 and multiply to 4
    assert [float(pole[0]) for pole in path.poles] == pytest.approx([4 + math.sqrt(12), 4 - math.sqrt(12)])


def test_closed_form_stops_at_three_compartments() -> None:
    with pytest.raises(NoModel, match="3 peripheral compartments"):
        mammillary(clearance_l_per_h=one(1.0), central_volume_l=one(1.0), peripherals=((one(1.0), one(1.0)),) * 3)


@pytest.mark.parametrize("gap", [0.0, 1e-12, 1e-7, 2e-5, 1e-3])
def test_nearly_equal_rates_of_absorption_and_elimination_cost_no_accuracy(gap: float) -> None:
    k, ka = 0.8, 0.8 * (1.0 + gap)
    modes = path_modes({"oral": first_order(one(ka)).then(_one_compartment(k))})
    times = np.linspace(0.0, 15.0, 151)
    levels = concentration(modes, [Input(channel="oral", start_h=0.0, amount_mg=1.0)], times, weight_kg=KG)[0]
    difference = ka - k
    # k (e^-kt - e^-kat) / (ka - k), with expm1 so that the expected value is exact for small differences too
    shape = -np.expm1(-difference * times) / difference if difference else times
    expected = ka * np.exp(-k * times) * shape
    assert np.abs(levels - expected).max() < 1e-9 * expected.max()


def test_a_pole_moved_for_one_channel_leaves_the_other_channels_alone() -> None:
    effect = first_order(one(5.0))
    central = _one_compartment(0.5)
    both = path_modes({"iv": central.then(effect), "im": first_order(one(5.0)).then(central).then(effect)})
    alone = path_modes({"iv": central.then(effect)})
    times = np.linspace(0.0, 5.0, 51)
    bolus = [Input(channel="iv", start_h=0.0, amount_mg=1.0)]
    expected = concentration(alone, bolus, times, weight_kg=KG)
    assert concentration(both, bolus, times, weight_kg=KG) == pytest.approx(expected, abs=1e-9)


def test_crowded_patients_do_not_disturb_the_others() -> None:
    rates = np.array([0.5, 2.0])  # the first patient's absorption equals his elimination
    modes = path_modes(
        {
            "oral": first_order(rates).then(
                mammillary(clearance_l_per_h=np.full(2, 0.5), central_volume_l=np.ones(2), peripherals=())
            )
        }
    )
    assert modes.rates_per_h[1].tolist() == [2.0, 0.5]
    assert abs(modes.rates_per_h[0, 0] / modes.rates_per_h[0, 1] - 1.0) == pytest.approx(3e-5, rel=1e-3)


def test_summed_responses_add_shared_channels_and_keep_the_others() -> None:
    first = simple()
    second = ExposureModes(rates_per_h=one(1.0)[:, None], channels=("iv", "im"), amplitude=np.full((1, 2, 1), 5.0))
    both = summed([first, second])
    inputs = [Input(channel="iv", start_h=0.0, amount_mg=1.0), Input(channel="im", start_h=0.0, amount_mg=1.0)]
    assert both.channels == ("iv", "im")
    assert concentration(both, inputs, [0.0], weight_kg=KG)[0, 0] == pytest.approx(10.0 + 5.0 + 5.0)


def test_a_compartment_that_never_empties_is_refused() -> None:
    trap = np.array([[[-1.0, 0.0], [1.0, 0.0]]])
    with pytest.raises(OutOfRange, match="emptied in the end"):
        system_modes(trap, channels={"in": np.array([1.0, 0.0])}, observed=np.array([0.0, 1.0]))


def test_a_circle_of_flows_is_refused_because_it_could_oscillate() -> None:
    circle = np.array([[[-2.0, 0.0, 1.0], [2.0, -2.0, 0.0], [0.0, 2.0, -2.0]]])
    assert np.abs(np.linalg.eigvals(circle[0]).imag).max() > 0.5  # it does
    with pytest.raises(NoModel, match="along a tree"):
        system_modes(circle, channels={"in": np.eye(3)[0]}, observed=np.eye(3)[1])


def test_an_exchange_around_a_ring_is_refused_too() -> None:
    ring = np.ones((1, 3, 3)) - 4.0 * np.eye(3)
    with pytest.raises(NoModel, match="compartments 0, 1, 2"):
        system_modes(ring, channels={"in": np.eye(3)[0]}, observed=np.eye(3)[1])


def test_what_cannot_reach_the_site_has_amplitude_zero() -> None:
    system = np.array([[[-1.0, 0.0, 0.0], [1.0, -2.0, 0.0], [0.0, 1.0, -3.0]]])  # 0 -> 1 -> 2
    modes = system_modes(system, channels={"late": np.eye(3)[1]}, observed=np.eye(3)[1])
    assert modes.amplitude[0, 0].tolist() == pytest.approx([0.0, 1.0, 0.0])


def _one_compartment(rate: float) -> Path:
    return mammillary(clearance_l_per_h=one(rate), central_volume_l=one(1.0), peripherals=())
