"""Canonical units and every conversion between units; text such as "0.5 mg/kg" becomes a typed quantity here.

Canonical: mg, L, h, kg, ng/mL. No other module multiplies by a unit factor.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from enum import StrEnum

from afterglow.errors import InputError, OutOfRange, UnknownName, echo

HOURS_PER_MINUTE = 1.0 / 60.0
HOURS_PER_DAY = 24.0
DAYS_PER_WEEK = 7.0

_HOURS_PER = {
    "s": 1.0 / 3600.0,
    "min": HOURS_PER_MINUTE,
    "h": 1.0,
    "d": HOURS_PER_DAY,
    "day": HOURS_PER_DAY,
    "days": HOURS_PER_DAY,
    "wk": DAYS_PER_WEEK * HOURS_PER_DAY,
    "week": DAYS_PER_WEEK * HOURS_PER_DAY,
    "weeks": DAYS_PER_WEEK * HOURS_PER_DAY,
}
_MG_PER = {
    "g": 1000.0,
    "mg": 1.0,
    "ug": 0.001,
    "\u00b5g": 0.001,
    "\u03bcg": 0.001,
    "mcg": 0.001,
}  # micro sign, Greek mu
_SHOWN_UNITS = (
    ("s", 1.0 / 3600.0, 60.0),
    ("min", HOURS_PER_MINUTE, 120.0),
    ("h", 1.0, 48.0),
    ("days", HOURS_PER_DAY, math.inf),
)  # unit, hours in it, and from how many of it on the next one is used
_KG_PER = {"kg": 1.0, "lb": 0.45359237}  # international pound, exact by definition

_NUMBER_AND_UNIT = re.compile(r"([+-]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]{1,3})?)\s*(.*)", re.DOTALL)
_LARGEST_NUMBER = 1e15  # nothing measured here comes near it, and any unit keeps it finite


class DrugForm(StrEnum):
    """What was given or measured; never a bare "ketamine"."""

    RACEMIC_KETAMINE = "racemic_ketamine"
    ESKETAMINE = "esketamine"


class Salt(StrEnum):
    """Whether an amount of drug counts the free base or the hydrochloride."""

    BASE = "base"
    HYDROCHLORIDE = "hydrochloride"


@dataclass(frozen=True, slots=True, kw_only=True)
class Dose:
    """An amount of drug (free base), either absolute or per body weight; exactly one of the two is set.

    Args:
        mg: amount in mg.
        mg_per_kg: amount in mg per kg of body weight.
    """

    mg: float | None = None
    mg_per_kg: float | None = None

    def __post_init__(self) -> None:
        if (self.mg is None) == (self.mg_per_kg is None):
            raise InputError("A dose is given in mg or in mg/kg", observed=f"{self.mg} mg, {self.mg_per_kg} mg/kg")
        amount = self.mg if self.mg is not None else self.mg_per_kg or 0.0
        if not 0 <= amount < math.inf:
            raise OutOfRange("A dose cannot be negative or unbounded", observed=str(self), allowed="0 or more")

    def amount_mg(self, weight_kg: float) -> float:
        """Amount in mg for a person of `weight_kg`.

        >>> Dose(mg_per_kg=0.5).amount_mg(80.0)
        40.0
        """
        return self.mg if self.mg is not None else (self.mg_per_kg or 0.0) * weight_kg

    def __str__(self) -> str:
        return f"{self.mg:g} mg" if self.mg is not None else f"{self.mg_per_kg:g} mg/kg"


@dataclass(frozen=True, slots=True, kw_only=True)
class Rate:
    """A constant infusion rate, per hour; exactly one of the two is set.

    Args:
        mg_per_h: rate in mg/h.
        mg_per_kg_per_h: rate in mg per kg of body weight per hour.
    """

    mg_per_h: float | None = None
    mg_per_kg_per_h: float | None = None

    def __post_init__(self) -> None:
        if (self.mg_per_h is None) == (self.mg_per_kg_per_h is None):
            raise InputError(
                "A rate is given in mg/h or in mg/kg/h",
                observed=f"{self.mg_per_h} mg/h, {self.mg_per_kg_per_h} mg/kg/h",
            )
        amount = self.mg_per_h if self.mg_per_h is not None else self.mg_per_kg_per_h or 0.0
        if not 0 <= amount < math.inf:
            raise OutOfRange("A rate cannot be negative or unbounded", observed=str(self), allowed="0 or more")

    def over(self, duration_h: float) -> Dose:
        """The dose delivered in `duration_h` hours."""
        if self.mg_per_h is not None:
            return Dose(mg=self.mg_per_h * duration_h)
        return Dose(mg_per_kg=(self.mg_per_kg_per_h or 0.0) * duration_h)

    def __str__(self) -> str:
        if self.mg_per_h is not None:
            return f"{self.mg_per_h:g} mg/h"
        return f"{self.mg_per_kg_per_h:g} mg/kg/h"


def parse_number(text: object, *, what: str = "number") -> float:
    """A finite plain number.

    Raises: InputError for anything else, booleans, NaN and infinities among them.

    >>> parse_number(" 32.6 ")
    32.6
    """
    number, unit = _split(text, what=what)
    if unit:
        raise UnknownName(f"{what} takes no unit", observed=echo(text), allowed="a plain number")
    return number


def parse_duration_h(text: object, *, what: str = "duration") -> float:
    """A duration or time in hours; the unit is required unless the value is zero.

    >>> parse_duration_h("40 min") == 40 / 60, parse_duration_h("7 d")
    (True, 168.0)
    """
    number, unit = _split(text, what=what)
    if number == 0 and not unit:
        return 0.0
    return number * _factor(unit, _HOURS_PER, what=what, observed=echo(text))


def parse_weight_kg(text: object, *, what: str = "weight") -> float:
    """A body weight in kg.

    >>> parse_weight_kg("80 kg")
    80.0
    """
    number, unit = _split(text, what=what)
    weight_kg = number * _factor(unit, _KG_PER, what=what, observed=echo(text))
    if weight_kg <= 0:
        raise OutOfRange(f"{what} must be positive", observed=echo(text), allowed="over 0 kg")
    return weight_kg


def parse_dose(text: object, *, what: str = "dose") -> Dose:
    """An amount of free base: "84 mg", "0.5 mg/kg"; micrograms and grams are converted.

    Negative amounts are refused here; upper limits belong to the guardrail of the drug and route.

    >>> parse_dose("0.5 mg/kg")
    Dose(mg=None, mg_per_kg=0.5)
    """
    number, unit = _split(text, what=what)
    mass, per, rest = unit.partition("/")
    mg = number * _factor(mass.strip(), _MG_PER, what=what, observed=echo(text), also=" (or per kg, as in mg/kg)")
    if mg < 0:
        raise OutOfRange(f"{what} cannot be negative", observed=echo(text), allowed="0 or more")
    if not per:
        return Dose(mg=mg)
    return Dose(mg_per_kg=mg / _factor(rest.strip(), _KG_PER, what=what, observed=echo(text)))


def parse_rate(text: object, *, what: str = "rate") -> Rate:
    """An infusion rate: "20 mg/h", "0.25 mg/kg/h", "0.1 mg/min".

    >>> parse_rate("0.3 mg/kg/h")
    Rate(mg_per_h=None, mg_per_kg_per_h=0.3)
    """
    number, unit = _split(text, what=what)
    amount_unit, _, time_unit = unit.rpartition("/")
    hours = _factor(time_unit.strip(), _HOURS_PER, what=what, observed=echo(text), also=", as in mg/h or mg/kg/h")
    dose = parse_dose(f"{number!r} {amount_unit}", what=what)
    if dose.mg is not None:
        return Rate(mg_per_h=dose.mg / hours)
    return Rate(mg_per_kg_per_h=(dose.mg_per_kg or 0.0) / hours)


def parse_percent(text: object, *, what: str = "percentage") -> float:
    """A percentage as a fraction; the sign is required, so that 0.5 and 50 cannot be confused.

    >>> parse_percent("50 %")
    0.5
    """
    number, unit = _split(text, what=what)
    if unit != "%":
        raise UnknownName(f"{what} needs a percent sign", observed=echo(text), allowed='as in "50 %"')
    return number / 100.0


def format_duration(hours: float) -> str:
    """Hours as people say them, to one decimal: minutes under two hours, days from two days on.

    >>> [format_duration(hours) for hours in (2 / 3, 1.0, 1.5, 24.0, 36.0, 168.0, 180.0)]
    ['40 min', '1 h', '90 min', '24 h', '36 h', '7 days', '7.5 days']
    """
    if hours == 0:
        return "0 h"
    for unit, hours_per, limit in _SHOWN_UNITS:
        amount = round(hours / hours_per, 1)
        if abs(amount) < limit and (unit, abs(amount)) != ("min", 60.0):
            break
    return f"{amount + 0.0:.1f}".removesuffix(".0").replace("-", "\u2212") + f" {unit}"


def format_mg(micrograms: float) -> str:
    """Micrograms as clinicians say them, in milligrams; no digit is lost of a whole number of micrograms.

    >>> format_mg(200_000), format_mg(39_500), format_mg(1)
    ('200 mg', '39.5 mg', '0.001 mg')
    """
    shown = f"{micrograms / 1000.0:.6f}".rstrip("0").rstrip(".")
    return f"{shown} mg"


def mg_per_l_to_ng_per_ml(concentration: float) -> float:
    """Mass concentration in ng/mL from mg/L; also the number of ng/mL in one mg/L.

    >>> mg_per_l_to_ng_per_ml(0.185)
    185.0
    """
    return concentration * 1000.0


def nmol_per_ml_to_ng_per_ml(concentration: float, *, molar_mass_g_per_mol: float) -> float:
    """Mass concentration in ng/mL from a molar one in nmol/mL.

    >>> round(nmol_per_ml_to_ng_per_ml(0.51, molar_mass_g_per_mol=237.73), 1)
    121.2
    """
    return concentration * molar_mass_g_per_mol


def hydrochloride_to_base_mg(amount_mg: float, *, base_molar_mass_g_per_mol: float) -> float:
    """Free base in an amount of hydrochloride; HCl has a molar mass of 36.46 g/mol (IUPAC standard weights).

    >>> round(hydrochloride_to_base_mg(32.3, base_molar_mass_g_per_mol=237.73), 1)
    28.0
    """
    return amount_mg * base_molar_mass_g_per_mol / (base_molar_mass_g_per_mol + 36.46)


def rate_from_half_life(half_life: float) -> float:
    """First-order rate constant for a half-life, in the inverse of its unit."""
    return math.log(2.0) / half_life


def _split(text: object, *, what: str) -> tuple[float, str]:
    if isinstance(text, bool) or not isinstance(text, str | int | float):
        raise InputError(f"{what} cannot be read", observed=echo(text), allowed="a number with its unit")
    match = _NUMBER_AND_UNIT.fullmatch(str(text).strip())
    number = float(match[1]) if match else math.nan
    if match is None or not abs(number) <= _LARGEST_NUMBER:
        raise InputError(f"{what} cannot be read", observed=echo(text), allowed="a number with its unit")
    return number, match[2]


def _factor(unit: str, table: dict[str, float], *, what: str, observed: str, also: str = "") -> float:
    if unit not in table:
        raise UnknownName(
            f"{what} has no known unit" if unit else f"{what} needs a unit",
            observed=observed,
            allowed=", ".join(table) + also,
        )
    return table[unit]
