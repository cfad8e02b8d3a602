"""In what virtual patients differ kinetically, and the spreads published for it.

Every spread is a function of standard-normal deviates by name, so that any sequence of points (random or Sobol) makes
a population. Spreads of volunteers are widened before they stand for patients.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from functools import cache
from pathlib import Path
from types import MappingProxyType

import numpy as np

from afterglow.errors import InputError, InvalidData, OutOfRange, UnknownName
from afterglow.evidence import PkParameter, SpreadKind, pk_model
from afterglow.records import Record, read_record
from afterglow.therapy.kinetics import FloatArray

REFERENCE_WEIGHT_KG = 70.0  # of every allometric model here, see their units "per 70 kg"
PLAUSIBLE_WEIGHT_KG = (20.0, 350.0)  # Assumption: catches a weight in grams or of a child, not an unusual adult.

PK_DEVIATIONS: tuple[str, ...] = (
    "central_volume",
    "clearance",
    "absorption_rate",
    "bioavailability",
    "swallowed_absorption_rate",
    "hepatic_flow",
    "hepatic_volume",
    "hepatic_loss",
    "norketamine_formation",
    "peripheral_volume",
    "norketamine_volume",
    "norketamine_clearance",
    "hydroxynorketamine_volume",
    "hydroxynorketamine_clearance",
)
"""Names of the standard-normal deviates in which people differ; the first four matter for most routes."""


class Ancestry(StrEnum):
    """Ancestry as the intranasal population analysis distinguishes it; other models know none."""

    OTHER = "other"
    ASIAN = "asian"
    JAPANESE = "japanese"


@dataclass(frozen=True, slots=True, kw_only=True)
class PkVariation:
    """In what n virtual patients differ.

    Args:
        weight_kg: shape (n,).
        deviations: standard-normal deviates by name of `PK_DEVIATIONS`, shape (n,) each; one left out is zero.
        age_years: shape (n,), None if unknown; used by the intranasal model alone.
        ancestry: of all n; used by the intranasal model alone.

    >>> PkVariation(weight_kg=np.array([60.0, 80.0])).deviation("clearance").tolist()
    [0.0, 0.0]
    """

    weight_kg: FloatArray
    deviations: Mapping[str, FloatArray] = field(default_factory=dict)
    age_years: FloatArray | None = None
    ancestry: Ancestry = Ancestry.OTHER

    def __post_init__(self) -> None:
        low, high = PLAUSIBLE_WEIGHT_KG
        bad = self.weight_kg[~((self.weight_kg >= low) & (self.weight_kg <= high))]
        if bad.size:
            raise OutOfRange("Body weight is refused", observed=f"{bad[0]:g} kg", allowed=f"{low:g} to {high:g} kg")
        for name, values in self.deviations.items():
            if name not in PK_DEVIATIONS:
                raise UnknownName("No kinetic deviation has this name", observed=name, allowed=", ".join(PK_DEVIATIONS))
            if values.shape != self.weight_kg.shape:
                raise InputError(f"Deviation {name} needs one value per patient", observed=f"shape {values.shape}")

    @property
    def n(self) -> int:
        """Number of patients."""
        return len(self.weight_kg)

    def deviation(self, name: str) -> FloatArray:
        """The deviates of that name, zeros if none were given."""
        given = self.deviations.get(name)
        return np.zeros(self.n) if given is None else given

    def typical_patient(self) -> PkVariation:
        """One patient without deviation, of median weight and age."""
        age = None if self.age_years is None else np.array([np.median(self.age_years)])
        return PkVariation(weight_kg=np.array([np.median(self.weight_kg)]), age_years=age, ancestry=self.ancestry)


def typical(n: int = 1, *, weight_kg: float = REFERENCE_WEIGHT_KG) -> PkVariation:
    """N patients of that weight without any deviation.

    >>> typical().weight_kg.tolist()
    [70.0]
    """
    return PkVariation(weight_kg=np.full(n, weight_kg))


@dataclass(frozen=True, slots=True, kw_only=True)
class Assumption:
    """A number that no publication gives: one value, or a band from `lo` to `hi`."""

    name: str
    value: float | None
    lo: float | None
    hi: float | None
    unit: str
    basis: str
    source: tuple[str, ...]
    note: str


def assumptions() -> Mapping[str, Assumption]:
    """Every assumption of the exposure models by name.

    >>> assumptions()["s_to_r_clearance_ratio"].value
    1.15
    """
    return read_assumptions("exposure.yaml")


@cache
def read_assumptions(file_name: str) -> Mapping[str, Assumption]:
    """Every assumption of a data file of this package, by name."""
    file = read_record(Path(__file__).parent / "data", file_name)
    found = {name: _assumption(name, record) for name, record in file.mapping("assumptions").items()}
    return file.close(MappingProxyType(found))


def _assumption(name: str, record: Record) -> Assumption:
    found = record.close(
        Assumption(
            name=name,
            value=record.number("value", None),
            lo=record.number("lo", None),
            hi=record.number("hi", None),
            unit=record.text("unit"),
            basis=record.text("basis"),
            source=record.texts("source"),
            note=record.text("note"),
        )
    )
    if (found.value is None) == (found.lo is None or found.hi is None):
        raise record.fault("has a value, or a band from lo to hi")
    return found


def parameter_of(model_id: str, name: str) -> PkParameter:
    """A parameter of a published kinetic model."""
    return pk_model(model_id).parameters[name]


def value_of(model_id: str, name: str) -> float:
    """Its typical value, in the printed unit."""
    return given(parameter_of(model_id, name).value)


def given(value: float | None) -> float:
    """A number that must be there.

    Raises: InvalidData if the data lack it.
    """
    if value is None:
        raise InvalidData("A kinetic model lacks a number it needs")
    return value


def log_sd(parameter: PkParameter) -> float:
    """Published between-person standard deviation of the logarithm."""
    return math.sqrt(given(parameter.between_subject_omega2))


def spread_value(parameter: PkParameter, kind: SpreadKind) -> float:
    """A published spread of that kind."""
    spread = parameter.spread(kind)
    return given(None if spread is None else spread.value)


def allometry(variation: PkVariation) -> tuple[FloatArray, FloatArray]:
    """Factors of body weight on clearances and on volumes, 1 at `REFERENCE_WEIGHT_KG`."""
    relative = variation.weight_kg / REFERENCE_WEIGHT_KG
    known = assumptions()
    return (
        relative ** given(known["allometric_exponent_clearance"].value),
        relative ** given(known["allometric_exponent_volume"].value),
    )


def published_spread(variation: PkVariation, deviate: str, parameter: PkParameter) -> FloatArray:
    """Lognormal factor with the spread as published."""
    return np.exp(log_sd(parameter) * variation.deviation(deviate))


def volunteer_spread(variation: PkVariation, deviate: str, parameter: PkParameter) -> FloatArray:
    """Lognormal factor with the spread published for volunteers, widened for patients."""
    return np.exp(_widening() * log_sd(parameter) * variation.deviation(deviate))


def occasion_spread(variation: PkVariation, deviate: str, parameter: PkParameter) -> FloatArray:
    """Lognormal factor with the spread published between occasions, taken as spread between patients and widened."""
    sd = math.sqrt(spread_value(parameter, SpreadKind.OCCASION_OMEGA2))
    return np.exp(_widening() * sd * variation.deviation(deviate))


def correlated_spread(
    variation: PkVariation, deviates: tuple[str, str], parameters: tuple[PkParameter, PkParameter]
) -> tuple[FloatArray, FloatArray]:
    """Lognormal factors of two parameters whose covariance the second one holds, widened for patients."""
    first_sd, second_sd = (log_sd(parameter) for parameter in parameters)
    shared = spread_value(parameters[1], SpreadKind.COVARIANCE) / first_sd
    own = math.sqrt(second_sd**2 - shared**2)
    z1, z2 = (variation.deviation(deviate) for deviate in deviates)
    return np.exp(_widening() * first_sd * z1), np.exp(_widening() * (shared * z1 + own * z2))


def uniform(variation: PkVariation, deviate: str, band: tuple[float, float]) -> FloatArray:
    """A value uniform in the probability of the deviate; deviate 0 is the middle of the band.

    >>> uniform(typical(), "bioavailability", (0.25, 0.75)).tolist()
    [0.5]
    """
    low, high = band
    return low + (high - low) * 0.5 * (1.0 + erf(variation.deviation(deviate) / math.sqrt(2.0)))


def erf(x: FloatArray) -> FloatArray:
    """The error function of each element."""
    result: FloatArray = _ERF(x)
    return result


_ERF = np.vectorize(math.erf, otypes=[np.float64])


def _widening() -> float:
    return given(assumptions()["volunteer_spread_widening"].value)
