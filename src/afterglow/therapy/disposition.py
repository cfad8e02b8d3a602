"""Disposition and absorption of ketamine by route: published parameters as transfer functions of n patients.

Numbers come from the evidence and from `data/exposure.yaml`; none is typed here. Which function serves which
question, and what it must not be used for, is said in `exposure`.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from afterglow.evidence import fact
from afterglow.quantities import HOURS_PER_MINUTE, mg_per_l_to_ng_per_ml, rate_from_half_life
from afterglow.therapy.hepatoportal import individual
from afterglow.therapy.kinetics import FloatArray, Path, first_order, mammillary
from afterglow.therapy.variation import (
    PkVariation,
    allometry,
    assumptions,
    correlated_spread,
    given,
    occasion_spread,
    parameter_of,
    uniform,
    value_of,
    volunteer_spread,
)

KAMP = "kamp2020_meta_3cmt"
OTTO = "otto2021_fanta_iv_esketamine"
SIMONS = "simons2022_otf"


def effect_site_rate_per_h() -> float:
    """Rate constant ke0 in 1/h of the effect site, relative to arterial S-ketamine."""
    half_life_min = fact("olofsen2022_effect_site_half_life").value
    return rate_from_half_life(given(half_life_min) * HOURS_PER_MINUTE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Parent:
    """Ketamine in plasma: mg into the circulation -> mg/L, and the clearance that feeds the metabolite."""

    path: Path
    clearance_l_per_h: FloatArray
    central_volume_l: FloatArray


def kamp_parent(variation: PkVariation, clearance_factor: float = 1.0) -> Parent:
    """Pooled three-compartment model, arterial; spread of volume and clearance borrowed from `SIMONS`, widened."""
    flows, volumes = allometry(variation)
    central = value_of(KAMP, "V1") * volumes * _simons_spread(variation, "central_volume", "VK1")
    clearance = value_of(KAMP, "CL") * flows * _simons_spread(variation, "clearance", "CLK1") * clearance_factor
    peripherals = tuple(
        (value_of(KAMP, q) * flows, value_of(KAMP, v) * volumes) for q, v in (("Q2", "V2"), ("Q3", "V3"))
    )
    return _parent(clearance, central, peripherals)


def simons_parent(variation: PkVariation, clearance_factor: float = 1.0) -> Parent:
    """Three-compartment model of arterial S-ketamine; own spread of volunteers, widened."""
    flows, volumes = allometry(variation)
    flows = flows / HOURS_PER_MINUTE  # printed in L/min
    central = value_of(SIMONS, "VK1") * volumes * _simons_spread(variation, "central_volume", "VK1")
    clearance = value_of(SIMONS, "CLK1") * flows * _simons_spread(variation, "clearance", "CLK1")
    peripherals = tuple(
        (value_of(SIMONS, q) * flows, value_of(SIMONS, v) * volumes) for q, v in (("CLK2", "VK2"), ("CLK3", "VK3"))
    )
    return _parent(clearance * clearance_factor, central, peripherals)


def otto_parent(variation: PkVariation, clearance_factor: float = 1.0) -> Parent:
    """Three-compartment model of venous S-ketamine; own spread and correlation of volunteers, widened.

    Weight scales central volume and clearance alone, as printed.
    """
    flows, volumes = allometry(variation)
    printed = parameter_of(OTTO, "V1"), parameter_of(OTTO, "CL")
    volume, clearance = correlated_spread(variation, ("central_volume", "clearance"), printed)
    ones = np.ones(variation.n)
    return _parent(
        value_of(OTTO, "CL") * flows * clearance * clearance_factor,
        value_of(OTTO, "V1") * volumes * volume,
        tuple((value_of(OTTO, q) * ones, value_of(OTTO, v) * ones) for q, v in (("Q1", "Vp1"), ("Q2", "Vp2"))),
    )


def otto_norketamine(variation: PkVariation, parent: Parent) -> Path:
    """Mg of parent into the circulation -> norketamine in mg/L.

    All parent clearance forms norketamine, in parent mass: the metabolite parameters are apparent and absorb it.
    """
    flows, volumes = allometry(variation)
    printed = parameter_of(OTTO, "NK_V"), parameter_of(OTTO, "NK_CL")
    volume, clearance = correlated_spread(variation, ("norketamine_volume", "norketamine_clearance"), printed)
    ones = np.ones(variation.n)
    metabolite = mammillary(
        clearance_l_per_h=value_of(OTTO, "NK_CL") * flows * clearance,
        central_volume_l=value_of(OTTO, "NK_V") * volumes * volume,
        peripherals=((value_of(OTTO, "NK_Q") * ones, value_of(OTTO, "NK_Vp") * ones),),
    )
    return parent.path.scaled(parent.clearance_l_per_h).then(metabolite)


def simons_norketamine(variation: PkVariation, parent: Parent) -> tuple[Path, Path]:
    """S-norketamine in mg/L, from mg in the circulation and from mg swallowed that reach hepatic metabolism."""
    flows, volumes = allometry(variation)
    flows = flows / HOURS_PER_MINUTE
    formed = _chain(variation, "MTT_K_to_NK").scaled(
        value_of(SIMONS, "fraction_K_to_NK") * _molar_mass_ratio("norketamine")
    )
    metabolite = mammillary(
        clearance_l_per_h=_simons_norketamine_clearance(variation),
        central_volume_l=parent.central_volume_l,  # VN1 = VK1, as printed
        peripherals=((value_of(SIMONS, "CLN2") * flows, value_of(SIMONS, "VN2") * volumes),),
    )
    from_liver = formed.then(metabolite)
    return parent.path.scaled(parent.clearance_l_per_h).then(from_liver), from_liver


def simons_hydroxynorketamine(variation: PkVariation, norketamine: Path) -> Path:
    """S-hydroxynorketamine in mg/L after what gives `norketamine` in mg/L; exploratory."""
    flows, volumes = allometry(variation)
    flows = flows / HOURS_PER_MINUTE
    volume = _simons_spread(variation, "hydroxynorketamine_volume", "VH1")
    clearance = _simons_spread(variation, "hydroxynorketamine_clearance", "CLH1")
    metabolite = mammillary(
        clearance_l_per_h=value_of(SIMONS, "CLH1") * flows * clearance,
        central_volume_l=value_of(SIMONS, "VH1") * volumes * volume,
        peripherals=((value_of(SIMONS, "CLH2") * flows, value_of(SIMONS, "VH2") * volumes),),
    )
    mass = _molar_mass_ratio("hydroxynorketamine") / _molar_mass_ratio("norketamine")
    formed = _chain(variation, "MTT_NK_to_HNK").scaled(value_of(SIMONS, "fraction_NK_to_HNK") * mass)
    return norketamine.scaled(_simons_norketamine_clearance(variation)).then(formed).then(metabolite)


def film_entries(variation: PkVariation) -> tuple[Path, Path]:
    """Sublingual dose -> the circulation, and -> hepatic metabolism for the swallowed part, in mg per h.

    The spread between occasions is taken as spread between patients, widened; swallowed drug never reaches the
    systemic pool of ketamine in this model, it only forms metabolites.
    """
    mucosa = value_of(SIMONS, "F1_mucosal") * occasion_spread(
        variation, "bioavailability", parameter_of(SIMONS, "F1_mucosal")
    )
    rate = (
        value_of(SIMONS, "KA1")
        / HOURS_PER_MINUTE
        * occasion_spread(variation, "absorption_rate", parameter_of(SIMONS, "KA1"))
    )
    swallowed_rate = np.full(variation.n, value_of(SIMONS, "KA2") / HOURS_PER_MINUTE)
    transit = np.full(variation.n, 1.0 / (value_of(SIMONS, "MTT_gut") * HOURS_PER_MINUTE))
    swallowed = first_order(swallowed_rate).then(first_order(transit))
    return first_order(rate).scaled(mucosa), swallowed.scaled(value_of(SIMONS, "F2_swallowed_into_hepatic_metabolism"))


def injected_entry(variation: PkVariation, *, rate: tuple[float, float], bioavailability: tuple[float, float]) -> Path:
    """First-order absorption from muscle or under the skin, with a band of rates (1/h) and of bioavailabilities.

    Bands are uniform in the probability of the deviate: deviate 0 is the middle.
    """
    rates = uniform(variation, "absorption_rate", rate)
    return first_order(rates).scaled(uniform(variation, "bioavailability", bioavailability))


def borrowed_entry(variation: PkVariation, *, deviate: str, rate: str, bioavailability: tuple[float, float]) -> Path:
    """First-order absorption at a rate of the esketamine model, with a band of bioavailabilities."""
    return first_order(individual(variation, deviate, rate)).scaled(
        uniform(variation, "bioavailability", bioavailability)
    )


def enantiomer_factors(*, pooled: bool) -> tuple[float, float]:
    """Clearance of S- and of R-ketamine relative to the model's.

    A pooled model describes the racemate: S and R lie around it so that their summed exposure is the racemate's. A
    model of S-ketamine keeps its S clearance.

    >>> s, r = enantiomer_factors(pooled=True)
    >>> round(s / r, 9), round(2 / (1 / s + 1 / r), 9)
    (1.15, 1.0)
    """
    ratio = given(assumptions()["s_to_r_clearance_ratio"].value)
    return ((1.0 + ratio) / 2.0, (1.0 + ratio) / (2.0 * ratio)) if pooled else (1.0, 1.0 / ratio)


def to_ng_per_ml(path: Path) -> Path:
    """A path that ends in mg/L, ending in ng/mL."""
    return path.scaled(mg_per_l_to_ng_per_ml(1.0))


def device_mg() -> float:
    """Esketamine base in one nasal device."""
    return given(fact("spravato_salt").point("base").value)


def device_interval_h() -> float:
    """Time between two nasal devices."""
    return given(fact("spravato_device_interval").value) * HOURS_PER_MINUTE


def input_duration_h(model_id: str, name: str) -> float:
    """Duration of a zero-order input into a depot."""
    parameter = parameter_of(model_id, name)
    return given(parameter.value) * (1.0 if parameter.unit == "h" else HOURS_PER_MINUTE)


def _simons_spread(variation: PkVariation, deviate: str, parameter: str) -> FloatArray:
    return volunteer_spread(variation, deviate, parameter_of(SIMONS, parameter))


def _parent(
    clearance: FloatArray, central: FloatArray, peripherals: tuple[tuple[FloatArray, FloatArray], ...]
) -> Parent:
    path = mammillary(clearance_l_per_h=clearance, central_volume_l=central, peripherals=peripherals)
    return Parent(path=path, clearance_l_per_h=clearance, central_volume_l=central)


def _chain(variation: PkVariation, mean_transit: str) -> Path:
    rate = np.full(variation.n, 2.0 / (value_of(SIMONS, mean_transit) * HOURS_PER_MINUTE))
    return first_order(rate).then(first_order(rate))


def _simons_norketamine_clearance(variation: PkVariation) -> FloatArray:
    flows = allometry(variation)[0] / HOURS_PER_MINUTE
    return value_of(SIMONS, "CLN1") * flows * _simons_spread(variation, "norketamine_clearance", "CLN1")


def _molar_mass_ratio(metabolite: str) -> float:
    return given(fact(f"molar_mass_{metabolite}").value) / given(fact("molar_mass_ketamine").value)
