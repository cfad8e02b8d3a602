"""The intranasal and oral esketamine model with its liver: absorption, first pass, plasma, norketamine.

Source: Perez-Ruixo 2021 as held in the evidence (820 people). The same person's absorption and first pass also drive
the effect site, through the arterial disposition of `disposition`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from afterglow.evidence import SpreadKind, pk_model
from afterglow.quantities import mg_per_l_to_ng_per_ml
from afterglow.therapy.kinetics import ExposureModes, FloatArray, Path, first_order, system_modes
from afterglow.therapy.variation import (
    Ancestry,
    PkVariation,
    given,
    parameter_of,
    published_spread,
    spread_value,
    value_of,
)

PEREZ_RUIXO = "perezruixo2021_esketamine"
_JAPANESE = Ancestry.JAPANESE
_NG_PER_ML = mg_per_l_to_ng_per_ml(1.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class HepatoPortal:
    """Individual parameters of the intranasal population model; arrays of shape (n,), rates in 1/h."""

    nose_first: FloatArray
    nose_later: FloatArray
    nasal_rate: FloatArray
    swallowed_rate: FloatArray
    oral_rate: FloatArray
    gut_escape: float
    hepatic_flow_l_per_h: FloatArray
    hepatic_volume_l: FloatArray
    loss_rate: FloatArray
    formation_rate: FloatArray

    @property
    def liver_exit_rate(self) -> FloatArray:
        """Everything that leaves the liver: back to the circulation, lost, or turned into norketamine."""
        return self.hepatic_flow_l_per_h / self.hepatic_volume_l + self.loss_rate + self.formation_rate

    @property
    def liver_escape(self) -> FloatArray:
        """Fraction of drug in the liver that returns to the circulation."""
        return self.hepatic_flow_l_per_h / self.hepatic_volume_l / self.liver_exit_rate

    @property
    def clearance_l_per_h(self) -> FloatArray:
        """Systemic clearance: hepatic flow times extraction."""
        return self.hepatic_flow_l_per_h * (1.0 - self.liver_escape)


def hepato_portal(variation: PkVariation) -> HepatoPortal:
    """Individual absorption and first-pass parameters of `PEREZ_RUIXO`, covariates applied.

    Spread as published. The spread of norketamine formation is missing from the paper: that of norketamine
    clearance is taken instead (assumption). Weight is not in the model.
    """
    typical_nose = value_of(PEREZ_RUIXO, "FRn") * _covariate("Japanese on FRn", applies=variation.ancestry is _JAPANESE)
    logit_sd = spread_value(parameter_of(PEREZ_RUIXO, "FRn"), SpreadKind.IIV_LOGIT_SD_PCT) / 100.0
    logit = math.log(typical_nose / (1.0 - typical_nose)) + logit_sd * variation.deviation("bioavailability")
    nose = 1.0 / (1.0 + np.exp(-logit))
    formation_spread = published_spread(variation, "norketamine_formation", parameter_of(PEREZ_RUIXO, "CLn_F"))
    return HepatoPortal(
        nose_first=nose,
        nose_later=nose * value_of(PEREZ_RUIXO, "dose_on_FRn"),
        nasal_rate=individual(variation, "absorption_rate", "ka_n"),
        swallowed_rate=individual(variation, "swallowed_absorption_rate", "ka_sw"),
        oral_rate=individual(variation, "swallowed_absorption_rate", "ka_po"),
        gut_escape=value_of(PEREZ_RUIXO, "Fgut"),
        hepatic_flow_l_per_h=individual(variation, "hepatic_flow", "Qh", add=_age_effect(variation)),
        hepatic_volume_l=individual(variation, "hepatic_volume", "Vh"),
        loss_rate=individual(variation, "hepatic_loss", "kel")
        * _covariate("Asian on kel", applies=variation.ancestry is not Ancestry.OTHER),
        formation_rate=value_of(PEREZ_RUIXO, "kmet") * formation_spread,
    )


def hepato_portal_entries(person: HepatoPortal, *, oral: bool) -> dict[str, Path]:
    """Mg given into the nose, or by mouth -> mg per h arriving in the circulation, by part of the dose.

    The parts of a device are each fed with its whole amount; the paths hold their shares.
    """
    liver = first_order(person.liver_exit_rate).scaled(person.gut_escape * person.liver_escape)
    if oral:
        return {"oral": first_order(person.oral_rate).then(liver)}
    nose, swallowed = first_order(person.nasal_rate), first_order(person.swallowed_rate).then(liver)
    return {
        "nose_first": nose.scaled(person.nose_first),
        "nose_later": nose.scaled(person.nose_later),
        "swallowed_first": swallowed.scaled(1.0 - person.nose_first),
        "swallowed_later": swallowed.scaled(1.0 - person.nose_later),
    }


_NOSE, _GUT, _LIVER, _CENTRAL, _SHALLOW, _DEEP, _NORKETAMINE, _NORKETAMINE_DEEP = range(8)


def hepato_portal_plasma(variation: PkVariation, *, oral: bool, norketamine: bool) -> ExposureModes:
    """Venous plasma level of `PEREZ_RUIXO` in ng/mL per mg, for the parts of `hepato_portal_entries`.

    Args:
        variation: n patients.
        oral: whether the dose is a swallowed solution or tablet instead of a spray.
        norketamine: whether norketamine is observed instead of esketamine.
    """
    person, n = hepato_portal(variation), variation.n
    central = individual(variation, "central_volume", "Vc")
    shallow = individual(variation, "peripheral_volume", "Vp1")
    nk_central = individual(variation, "norketamine_volume", "Vcn_F")
    nk_clearance = individual(variation, "norketamine_clearance", "CLn_F") * _covariate(
        "Asian on CLn_F", applies=variation.ancestry is not Ancestry.OTHER
    )
    q1, q2, q3 = (value_of(PEREZ_RUIXO, name) for name in ("Q1", "Q2", "Q3_F"))
    gut_rate = person.oral_rate if oral else person.swallowed_rate
    flows = {
        (_CENTRAL, _NOSE): person.nasal_rate,
        (_LIVER, _GUT): gut_rate * person.gut_escape,
        (_CENTRAL, _LIVER): person.hepatic_flow_l_per_h / person.hepatic_volume_l,
        (_LIVER, _CENTRAL): person.hepatic_flow_l_per_h / central,
        (_SHALLOW, _CENTRAL): q1 / central,
        (_CENTRAL, _SHALLOW): q1 / shallow,
        (_DEEP, _CENTRAL): q2 / central,
        (_CENTRAL, _DEEP): np.full(n, q2 / value_of(PEREZ_RUIXO, "Vp2")),
        (_NORKETAMINE, _LIVER): person.formation_rate,
        (_NORKETAMINE_DEEP, _NORKETAMINE): q3 / nk_central,
        (_NORKETAMINE, _NORKETAMINE_DEEP): np.full(n, q3 / value_of(PEREZ_RUIXO, "Vpn_F")),
    }
    lost = {
        _GUT: gut_rate * (1.0 - person.gut_escape),
        _LIVER: person.loss_rate,
        _NORKETAMINE: nk_clearance / nk_central,
    }
    size = 8 if norketamine else 6  # ketamine does not depend on its metabolite
    matrix = np.zeros((n, size, size))
    for (to, out_of), rate in flows.items():
        if max(to, out_of) < size:
            matrix[:, to, out_of] = rate
        if out_of < size:
            matrix[:, out_of, out_of] -= rate
    for place, rate in lost.items():
        if place < size:
            matrix[:, place, place] -= rate
    observed = np.zeros((n, size))
    if norketamine:
        observed[:, _NORKETAMINE] = _NG_PER_ML / nk_central
    else:
        observed[:, _CENTRAL] = _NG_PER_ML / central
    if oral:
        channels = {"oral": _share(n, size, _GUT, np.ones(n))}
    else:
        channels = {
            "nose_first": _share(n, size, _NOSE, person.nose_first),
            "nose_later": _share(n, size, _NOSE, person.nose_later),
            "swallowed_first": _share(n, size, _GUT, 1.0 - person.nose_first),
            "swallowed_later": _share(n, size, _GUT, 1.0 - person.nose_later),
        }
    return system_modes(matrix, channels=channels, observed=observed)


def individual(variation: PkVariation, deviate: str, parameter: str, *, add: FloatArray | float = 0.0) -> FloatArray:
    """A parameter of this model for each patient with its published spread; `add` shifts the typical value."""
    printed = parameter_of(PEREZ_RUIXO, parameter)
    return (given(printed.value) + add) * published_spread(variation, deviate, printed)


def _covariate(effect: str, *, applies: bool) -> float:
    return given(pk_model(PEREZ_RUIXO).covariates[effect].value) if applies else 1.0


def _age_effect(variation: PkVariation) -> FloatArray | float:
    """Hepatic flow falls with each year above 60."""
    if variation.age_years is None:
        return 0.0
    return given(pk_model(PEREZ_RUIXO).covariates["age on Qh"].value) * np.maximum(variation.age_years - 60.0, 0.0)


def _share(n: int, size: int, place: int, amount: FloatArray) -> FloatArray:
    share = np.zeros((n, size))
    share[:, place] = amount
    return share
