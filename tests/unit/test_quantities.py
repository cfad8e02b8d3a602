"""Text to typed quantities: what is read, what is refused, and in which words."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest

from afterglow.errors import InputError, OutOfRange, UnknownName
from afterglow.quantities import (
    Dose,
    Rate,
    format_duration,
    hydrochloride_to_base_mg,
    mg_per_l_to_ng_per_ml,
    nmol_per_ml_to_ng_per_ml,
    parse_dose,
    parse_duration_h,
    parse_number,
    parse_percent,
    parse_rate,
    parse_weight_kg,
    rate_from_half_life,
)

PARSERS: list[Callable[..., object]] = [
    parse_number,
    parse_duration_h,
    parse_weight_kg,
    parse_dose,
    parse_rate,
    parse_percent,
]


@pytest.mark.parametrize(
    ("text", "hours"),
    [
        ("40 min", 40 / 60),
        ("90min", 1.5),
        ("30 s", 30 / 3600),
        ("2 h", 2.0),
        ("1 d", 24.0),
        ("7 days", 168.0),
        ("2 weeks", 336.0),
        ("1.5 wk", 252.0),
        (" 2\u00a0h ", 2.0),  # a no-break space comes along when text is copied from a page
        ("0", 0.0),
        (0, 0.0),
        ("-1 h", -1.0),
    ],
)
def test_durations(text: object, hours: float) -> None:
    assert parse_duration_h(text) == pytest.approx(hours, rel=1e-15)


@pytest.mark.parametrize(
    ("text", "dose"),
    [
        ("84 mg", Dose(mg=84.0)),
        ("0.5 mg/kg", Dose(mg_per_kg=0.5)),
        ("0.5mg / kg", Dose(mg_per_kg=0.5)),
        ("500 ug/kg", Dose(mg_per_kg=0.5)),
        ("500 \u00b5g/kg", Dose(mg_per_kg=0.5)),  # the micro sign of a keyboard
        ("500 \u03bcg/kg", Dose(mg_per_kg=0.5)),  # the Greek letter of a publisher
        ("0.1 g", Dose(mg=100.0)),
        ("0 mg", Dose(mg=0.0)),
    ],
)
def test_doses(text: str, dose: Dose) -> None:
    assert parse_dose(text) == dose


def test_a_dose_per_pound_is_a_larger_dose_per_kilogram() -> None:
    assert parse_dose("1 mg/lb").mg_per_kg == pytest.approx(1 / 0.45359237)


@pytest.mark.parametrize(
    ("text", "rate"),
    [
        ("20 mg/h", Rate(mg_per_h=20.0)),
        ("0.3 mg/kg/h", Rate(mg_per_kg_per_h=0.3)),
        ("0.1 mg/min", Rate(mg_per_h=0.1 / (1 / 60))),
        ("5 ug/kg/min", Rate(mg_per_kg_per_h=0.005 / (1 / 60))),
    ],
)
def test_rates(text: str, rate: Rate) -> None:
    assert parse_rate(text) == rate


def test_weights_and_percentages() -> None:
    assert parse_weight_kg("80 kg") == 80.0
    assert parse_weight_kg("100 lb") == pytest.approx(45.359237)
    assert parse_percent("50 %") == parse_percent("50%") == 0.5
    assert parse_number("-1.5e2") == -150.0
    assert parse_number(7) == 7.0


@pytest.mark.parametrize("parse", PARSERS)
@pytest.mark.parametrize(
    "value",
    [
        "",
        " ",
        "abc",
        "mg",
        "nan",
        "inf",
        "-inf",
        ".nan",
        "1e400 h",
        "1e16",
        "１ mg",
        True,
        False,
        None,
        [1],
        {},
        math.nan,
        math.inf,
        10**400,
    ],
)
def test_what_is_no_finite_number_is_refused(parse: Callable[..., object], value: object) -> None:
    with pytest.raises(InputError, match=r"^the value cannot be read; found"):
        parse(value, what="the value")


@pytest.mark.parametrize(
    ("parse", "text", "message"),
    [
        (parse_number, "5 mg", "it takes no unit; found '5 mg'; allowed: a plain number."),
        (parse_number, "0x10", "it takes no unit; found '0x10'; allowed: a plain number."),
        (parse_number, "1_000", "it takes no unit; found '1_000'; allowed: a plain number."),
        (parse_number, "32,6", "it takes no unit; found '32,6'; allowed: a plain number."),
        (parse_duration_h, "40", "it needs a unit; found '40'; allowed: s, min, h, d, day, days, wk, week, weeks."),
        (parse_weight_kg, "80 st", "it has no known unit; found '80 st'; allowed: kg, lb."),
        (parse_dose, "1 mg/m2", "it has no known unit; found '1 mg/m2'; allowed: kg, lb."),
        (parse_percent, "0.5", "it needs a percent sign; found '0.5'; allowed: as in \"50 %\"."),
    ],
)
def test_a_wrong_unit_is_named_beside_the_right_ones(parse: Callable[..., object], text: str, message: str) -> None:
    with pytest.raises(UnknownName) as refused:
        parse(text, what="it")
    assert str(refused.value) == message


@pytest.mark.parametrize("text", ["84", "84 Mg", "84 mg/", "84 mg/h", "84 /kg"])
def test_a_dose_without_a_known_mass_or_weight_is_refused(text: str) -> None:
    with pytest.raises(UnknownName):
        parse_dose(text)


@pytest.mark.parametrize("text", ["20", "20 mg", "20 mg/kg", "20 h", "20 mg/kg/lb"])
def test_a_rate_without_a_time_is_refused(text: str) -> None:
    with pytest.raises(UnknownName):
        parse_rate(text)


@pytest.mark.parametrize(
    ("parse", "text"),
    [(parse_dose, "-1 mg"), (parse_rate, "-1 mg/h"), (parse_weight_kg, "-80 kg"), (parse_weight_kg, "0 kg")],
)
def test_no_negative_amounts(parse: Callable[[str], object], text: str) -> None:
    with pytest.raises(OutOfRange):
        parse(text)


@pytest.mark.parametrize("amount", [-0.1, math.nan, math.inf])
def test_a_dose_or_rate_built_by_hand_is_held_to_the_same(amount: float) -> None:
    for build in (
        lambda: Dose(mg=amount),
        lambda: Dose(mg_per_kg=amount),
        lambda: Rate(mg_per_h=amount),
        lambda: Rate(mg_per_kg_per_h=amount),
    ):
        with pytest.raises(OutOfRange, match="negative or unbounded"):
            build()


def test_a_dose_or_rate_has_exactly_one_amount() -> None:
    for amount in (None, 1.0):
        with pytest.raises(InputError, match="in mg or in mg/kg"):
            Dose(mg=amount, mg_per_kg=amount)
        with pytest.raises(InputError, match="in mg/h or in mg/kg/h"):
            Rate(mg_per_h=amount, mg_per_kg_per_h=amount)


def test_amounts_for_a_person() -> None:
    assert Dose(mg=84.0).amount_mg(50.0) == 84.0
    assert Dose(mg_per_kg=0.5).amount_mg(80.0) == 40.0
    assert Dose(mg_per_kg=0.0).amount_mg(80.0) == 0.0
    assert Rate(mg_per_h=20.0).over(4.0) == Dose(mg=80.0)
    assert Rate(mg_per_kg_per_h=0.25).over(4.0) == Dose(mg_per_kg=1.0)
    assert Rate(mg_per_kg_per_h=0.0).over(4.0) == Dose(mg_per_kg=0.0)


def test_quantities_as_text() -> None:
    texts = [str(q) for q in (Dose(mg=84.0), Dose(mg_per_kg=0.5), Rate(mg_per_h=20.0), Rate(mg_per_kg_per_h=0.1))]
    assert texts == ["84 mg", "0.5 mg/kg", "20 mg/h", "0.1 mg/kg/h"]


@pytest.mark.parametrize(
    ("hours", "text"),
    [
        (0.0, "0 h"),
        (-0.0, "0 h"),
        (10 / 3600, "10 s"),
        (1 / 60, "1 min"),
        (0.5, "30 min"),
        (2 / 3, "40 min"),
        (0.9999, "1 h"),  # never 60 min
        (1.0, "1 h"),
        (1.01, "60.6 min"),
        (1.5, "90 min"),
        (1.998, "119.9 min"),
        (1.9999, "2 h"),  # the unit follows the rounded amount
        (2.0, "2 h"),
        (8 / 3, "2.7 h"),
        (24.0, "24 h"),
        (36.0, "36 h"),
        (47.94, "47.9 h"),
        (47.96, "2 days"),
        (48.0, "2 days"),
        (252.0, "10.5 days"),
        (24e6, "1000000 days"),
        (-0.5, "−30 min"),
        (-1.0, "−1 h"),
        (-72.0, "−3 days"),
    ],
)
def test_durations_as_people_say_them(hours: float, text: str) -> None:
    assert format_duration(hours) == text


def test_concentrations_and_salts() -> None:
    assert mg_per_l_to_ng_per_ml(0.185) == 185.0
    # Ketamine base has a molar mass of 237.73 g/mol: 0.51 nmol/mL x 237.73 ng/nmol = 121.24 ng/mL.
    assert nmol_per_ml_to_ng_per_ml(0.51, molar_mass_g_per_mol=237.73) == pytest.approx(121.2423)
    # The esketamine label: a device holds 32.3 mg of hydrochloride, 28 mg of base.
    assert hydrochloride_to_base_mg(32.3, base_molar_mass_g_per_mol=237.73) == pytest.approx(28.0, abs=0.05)


def test_a_half_life_halves() -> None:
    assert math.exp(-rate_from_half_life(8.3) * 8.3) == pytest.approx(0.5)


def test_a_long_value_is_shortened_in_the_message() -> None:
    with pytest.raises(InputError) as refused:
        parse_number("x" * 100_000)
    assert len(str(refused.value)) < 200


def test_a_value_of_many_blanks_is_read_at_once() -> None:
    # A pattern that looks for blanks twice would need hours for this.
    with pytest.raises(UnknownName):
        parse_number("1 x" + " " * 1_000_000 + "y")
