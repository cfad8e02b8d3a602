"""Concentrations after ketamine over time, with their spread between patients, and the doses that are accepted.

`exposure_models()` lists what can be predicted; anything else is refused with that list.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike

from afterglow.errors import InputError, NoModel, OutOfRange
from afterglow.evidence import fact
from afterglow.provenance import Guardrail, Provenance, Verified
from afterglow.quantities import HOURS_PER_MINUTE, Dose, DrugForm, mg_per_l_to_ng_per_ml
from afterglow.records import read_record
from afterglow.therapy import disposition as pk
from afterglow.therapy.catalogue import (
    EARLY_VENOUS,
    ESKETAMINE,
    PARENTS,
    RACEMIC,
    Analyte,
    ExposureModel,
    Site,
    channel_name,
    exposure_model,
    exposure_models,
)
from afterglow.therapy.hepatoportal import PEREZ_RUIXO
from afterglow.therapy.kinetics import (
    ExposureModes,
    FloatArray,
    Input,
    area_under_curve,
    concentration,
    peak,
    summed,
)
from afterglow.therapy.regimen import DoseAdministration, Regimen, Route
from afterglow.therapy.variation import PK_DEVIATIONS, Ancestry, PkVariation, given, typical

__all__ = [
    "PK_DEVIATIONS",
    "Analyte",
    "Ancestry",
    "ExposureModel",
    "ExposureProfile",
    "PkVariation",
    "Site",
    "check_doses",
    "check_given",
    "dose_guardrails",
    "drive_inputs",
    "drive_model",
    "exposure_inputs",
    "exposure_model",
    "exposure_models",
    "oral_prolonged_release_area",
    "regimen_drive",
    "regimen_plasma",
    "simulate_exposure",
    "simulate_exposures",
    "typical",
]

_LEAST_OF_USUAL = 0.1  # Assumption: our policy; less is a slip of unit or decimal
_LONG_INFUSION_H = 2.0  # Assumption: beyond it a rate says more about safety than the total dose.
_EARLY_VENOUS_H = 15.0 * HOURS_PER_MINUTE  # as EARLY_VENOUS says


@dataclass(frozen=True, slots=True, kw_only=True)
class ExposureProfile:
    """Predicted concentrations of one analyte at one site.

    `median`, `lo90` and `hi90` are quantiles over the given patients at each time. `cmax`, `tmax_h` and `auc_h` belong
    to the typical patient (no deviation, median weight and age), over the whole regimen: the highest level, its time
    since the origin of the course, and the area from the first dose to infinity.

    Args:
        drug: form given.
        unit: of every level; `auc_h` is in that unit times h.
        times_h: shape (n_times,), hours since the origin of the course.
        model_ids: one per route used.
        warnings: what limits this prediction, for people.
    """

    drug: DrugForm
    analyte: Analyte
    site: Site
    unit: str
    times_h: FloatArray
    median: FloatArray
    lo90: FloatArray
    hi90: FloatArray
    cmax: float
    tmax_h: float
    auc_h: float
    borrowed_spread: bool
    exploratory: bool
    model_ids: tuple[str, ...]
    sources: tuple[str, ...]
    warnings: tuple[str, ...]


def drive_model(drug: DrugForm, route: Route, variation: PkVariation) -> ExposureModes:
    """Effect-site S-ketamine in ng/mL per mg of the drug form given: the drive of relief and of acute effects.

    Channels match `drive_inputs`; bioavailability and nasal fractions are in the amplitudes.

    >>> drive_model(RACEMIC, Route.IV, typical()).channels
    ('racemic_ketamine.iv.dose',)
    """
    return exposure_model(drug, route, analyte=Analyte.S_KETAMINE, site=Site.EFFECT).build(
        variation, Analyte.S_KETAMINE
    )


def regimen_drive(regimen: Regimen, variation: PkVariation) -> ExposureModes:
    """Drive of a regimen that may mix drugs and routes: the channels of all of them, side by side.

    Raises: InputError for a regimen without sessions.
    """
    return _of_regimen(regimen, variation, site=Site.EFFECT)


def regimen_plasma(regimen: Regimen, variation: PkVariation) -> ExposureModes:
    """Arterial S-ketamine of a regimen, with the channels of `regimen_drive`: what a slow effect site follows."""
    return _of_regimen(regimen, variation, site=Site.ARTERIAL)


def _of_regimen(regimen: Regimen, variation: PkVariation, *, site: Site) -> ExposureModes:
    kinds = dict.fromkeys((session.drug, session.route) for session in regimen.administrations)
    if not kinds:
        raise InputError("A regimen without any session drives nothing")
    models = [exposure_model(drug, route, analyte=Analyte.S_KETAMINE, site=site) for drug, route in kinds]
    return summed([model.build(variation, Analyte.S_KETAMINE) for model in models])


def drive_inputs(regimen: Regimen) -> tuple[Input, ...]:
    """What a regimen puts into the channels of its drive; the same for every patient.

    Raises: OutOfRange or NoModel for a nasal esketamine dose that is not a number of whole devices.

    >>> dose = Dose(mg=56.0)
    >>> two = DoseAdministration(at_h=0.0, drug=ESKETAMINE, route=Route.INTRANASAL, dose=dose)
    >>> [(given.channel.split(".")[-1], round(given.start_h * 60)) for given in drive_inputs(Regimen((two,)))]
    [('nose_first', 0), ('swallowed_first', 0), ('nose_later', 5), ('swallowed_later', 5)]
    """
    return tuple(given for given in exposure_inputs(regimen) if not given.channel.endswith(".swallowed"))


def exposure_inputs(regimen: Regimen) -> tuple[Input, ...]:
    """What a regimen puts into all channels, those of metabolites formed before the circulation included."""
    return tuple(
        Input(
            channel=channel_name(session.drug, session.route, part),
            start_h=session.at_h + delay_h,
            duration_h=duration_h,
            amount_mg=dose.mg or 0.0,
            amount_mg_per_kg=dose.mg_per_kg or 0.0,
        )
        for session in regimen.administrations
        for part, delay_h, duration_h, dose in _parts(session)
    )


def simulate_exposure(
    regimen: Regimen, *, analyte: Analyte, site: Site, times_h: ArrayLike, variation: PkVariation
) -> ExposureProfile:
    """Concentration of one analyte at one site over time, with its spread between patients.

    Args:
        regimen: one or more sessions of one drug form; routes may differ.
        analyte: what is measured.
        site: where.
        times_h: shape (n_times,), hours since the origin of the course.
        variation: the patients; one patient gives no spread.
    Raises: NoModel for a combination without a model or more than one drug form; OutOfRange for a dose outside the
        absolute limits; InputError for a regimen without sessions.

    >>> spray = DoseAdministration(at_h=0.0, drug=ESKETAMINE, route=Route.INTRANASAL, dose=Dose(mg=84.0))
    >>> profile = simulate_exposure(
    ...     Regimen((spray,)), analyte=Analyte.S_KETAMINE, site=Site.VENOUS, times_h=[0.5, 2.0], variation=typical()
    ... )
    >>> profile.unit, bool(profile.median[0] > profile.median[1])
    ('ng/mL', True)
    """
    sessions = regimen.administrations
    drugs = tuple(dict.fromkeys(session.drug for session in sessions))
    if not sessions:
        raise InputError("A regimen without any session has no exposure")
    if len(drugs) > 1:
        raise NoModel("One profile shows one drug form", observed=", ".join(drugs), next_step="Ask for each by itself")
    middle_patient = variation.typical_patient()
    warnings = check_doses(regimen, weight_kg=float(middle_patient.weight_kg[0]))
    routes = dict.fromkeys(session.route for session in sessions)
    models = [exposure_model(drugs[0], route, analyte=analyte, site=site) for route in routes]
    times = np.asarray(times_h, dtype=np.float64)
    inputs = exposure_inputs(regimen)

    def response(people: PkVariation) -> tuple[ExposureModes, tuple[Input, ...]]:
        modes = summed([model.build(people, analyte) for model in models])
        return modes, tuple(given for given in inputs if given.channel in modes.channels)

    levels = concentration(*response(variation), times, weight_kg=variation.weight_kg)
    low, middle, high = np.quantile(levels, (0.05, 0.5, 0.95), axis=0)
    modes, entering = response(middle_patient)
    highest, at = peak(modes, entering, weight_kg=middle_patient.weight_kg)
    area = area_under_curve(modes, entering, weight_kg=middle_patient.weight_kg)
    early = site is Site.VENOUS and any(EARLY_VENOUS in model.cautions for model in models)
    cautions = [caution for model in models for caution in model.cautions if caution != EARLY_VENOUS]
    if early and _any_early(sessions, times):
        cautions.append(EARLY_VENOUS)
    return ExposureProfile(
        drug=drugs[0],
        analyte=analyte,
        site=site,
        unit="ng/mL",
        times_h=times,
        median=middle,
        lo90=low,
        hi90=high,
        cmax=float(highest[0]),
        tmax_h=float(at[0]),
        auc_h=float(area[0]),
        borrowed_spread=any(model.borrowed_spread for model in models),
        exploratory=any(model.exploratory for model in models),
        model_ids=tuple(model.id for model in models),
        sources=tuple(dict.fromkeys(source for model in models for source in model.sources)),
        warnings=tuple(dict.fromkeys((*cautions, *warnings))),
    )


def simulate_exposures(
    regimen: Regimen, *, site: Site, times_h: ArrayLike, variation: PkVariation
) -> tuple[ExposureProfile, ...]:
    """The profiles shown by default: the sum, S and R for racemic ketamine; esketamine alone for esketamine."""
    racemic = any(session.drug is RACEMIC for session in regimen.administrations)
    analytes = PARENTS if racemic else (Analyte.S_KETAMINE,)
    return tuple(
        simulate_exposure(regimen, analyte=analyte, site=site, times_h=times_h, variation=variation)
        for analyte in analytes
    )


def oral_prolonged_release_area(dose_mg: float, variation: PkVariation) -> FloatArray:
    """Area under the curve of ketamine (S and R) after a prolonged-release tablet of racemic ketamine.

    Only the total exposure is predicted: no absorption model of such a tablet was found.

    Args:
        dose_mg: racemic ketamine base.
        variation: n patients.
    Returns: ng*h/mL, shape (n_patients,), from the dose to infinity.

    >>> oral_prolonged_release_area(40.0, typical()).round(1).tolist()
    [81.6]
    """
    area = np.zeros(variation.n)
    for enantiomer, factor in zip(("s", "r"), pk.enantiomer_factors(pooled=True), strict=True):
        f = given(fact(f"hasan2021_oral_prolonged_f_{enantiomer}").value)
        area += 0.5 * dose_mg * f / pk.kamp_parent(variation, factor).clearance_l_per_h
    return area * mg_per_l_to_ng_per_ml(1.0)


@cache
def dose_guardrails() -> Mapping[tuple[DrugForm, Route, str], Guardrail]:
    """Limits by drug form, route and unit: mg or mg/kg a session, mg/kg/h of a long infusion, h of any infusion.

    >>> dose_guardrails()[ESKETAMINE, Route.INTRANASAL, "mg"].absolute
    (0, 84)
    """
    found = {}
    file = read_record(Path(__file__).parent / "data", "dose_guardrails.yaml")
    for record in file.records("guardrails"):
        drug, route, unit = record.word("drug", DrugForm), record.word("route", Route), record.text("unit")
        what = {"h": "infusion length", "mg/kg/h": "rate"}.get(unit, "dose")
        provenance = Provenance(source=record.texts("source"), verified=Verified.POLICY, note=record.text("note"))
        found[drug, route, unit] = record.close(
            Guardrail(
                name=f"The {route.upper() if len(route) == 2 else route} {what} of {drug.replace('_', ' ')}",
                unit=unit,
                absolute=record.pair("absolute", float),
                usual=record.pair("usual", float),
                provenance=provenance,
            )
        )
    return file.close(found)


def check_doses(regimen: Regimen, *, weight_kg: float) -> tuple[str, ...]:
    """Refuse doses outside the absolute limits, and name those outside the usual ones.

    Args:
        regimen: any number of sessions.
        weight_kg: body weight for limits per kg, or the median of a group.
    Returns: one sentence for each kind of unusual dose.
    Raises: OutOfRange with the limit and its source.

    >>> session = DoseAdministration(at_h=0.0, drug=RACEMIC, route=Route.IV, dose=Dose(mg_per_kg=1.2))
    >>> check_doses(Regimen((session,)), weight_kg=70.0)
    ('The IV dose of racemic ketamine, 1.2 mg/kg, is outside the usual 0.1 to 1 mg/kg.',)
    """
    unusual = []
    for session in regimen.administrations:
        for guardrail, value in _limited(session, weight_kg):
            guardrail.check(value)
            if not guardrail.is_usual(value):
                low, high = guardrail.usual
                limits = f"{low:g} to {high:g} {guardrail.unit}"
                unusual.append(f"{guardrail.name}, {value:.3g} {guardrail.unit}, is outside the usual {limits}.")
    return tuple(dict.fromkeys(unusual))


def check_given(session: DoseAdministration, *, weight_kg: float) -> None:
    """Refuse what is told as given and is next to nothing: under a tenth of the usual doses, whose source it names.

    Raises: OutOfRange.

    >>> check_given(DoseAdministration(at_h=0.0, drug=RACEMIC, route=Route.IV, dose=Dose(mg=3.0)), weight_kg=40.0)
    """
    for guardrail, value in _limited(session, weight_kg):
        least = guardrail.usual[0] * _LEAST_OF_USUAL
        if guardrail.unit != "h" and not value >= least:
            raise OutOfRange(
                f"{guardrail.name} is next to nothing",
                observed=f"{value:.3g} {guardrail.unit}",
                allowed=f"{least:g} {guardrail.unit} or more, a tenth of usual doses ({_sources(guardrail)})",
            )


def _sources(guardrail: Guardrail) -> str:
    return "; ".join(guardrail.provenance.source)


def _limited(session: DoseAdministration, weight_kg: float) -> list[tuple[Guardrail, float]]:
    """What of a session is limited: how long it runs, and its rate if that is long, else its dose."""
    limits = dose_guardrails()
    key = (session.drug, session.route)
    amount = session.amount_mg(weight_kg)
    length = [(limits[*key, "h"], session.duration_h)] if session.duration_h > 0 else []
    if session.duration_h > _LONG_INFUSION_H:
        rates = [step.rate.over(1.0).amount_mg(weight_kg) for step in session.steps] or [amount / session.duration_h]
        return [*length, (limits[*key, "mg/kg/h"], max(rates, key=abs) / weight_kg)]
    if (*key, "mg") in limits:
        return [*length, (limits[*key, "mg"], amount)]
    return [*length, (limits[*key, "mg/kg"], amount / weight_kg)]


def _any_early(sessions: tuple[DoseAdministration, ...], times_h: FloatArray) -> bool:
    return any(
        np.any((times_h > session.at_h) & (times_h < session.at_h + session.duration_h + _EARLY_VENOUS_H))
        for session in sessions
    )


def _parts(session: DoseAdministration) -> list[tuple[str, float, float, Dose]]:
    """Part of the dose, delay and duration in h, amount."""
    if session.route is Route.INTRANASAL and session.drug is ESKETAMINE:
        return _devices(session)
    if session.steps:
        ends = np.cumsum([step.duration_h for step in session.steps])
        return [
            ("dose", float(end - step.duration_h), step.duration_h, step.rate.over(step.duration_h))
            for step, end in zip(session.steps, ends, strict=True)
        ]
    dose = session.dose or Dose(mg=0.0)
    match session.route:
        case Route.SUBLINGUAL:
            return [
                ("mucosa", 0.0, pk.input_duration_h(pk.SIMONS, "D1"), dose),
                ("swallowed", 0.0, pk.input_duration_h(pk.SIMONS, "D2"), dose),
            ]
        case Route.ORAL:
            return [("oral", 0.0, pk.input_duration_h(PEREZ_RUIXO, "D_po"), dose)]
        case _:
            return [("dose", 0.0, session.infusion_h, dose)]


def _devices(session: DoseAdministration) -> list[tuple[str, float, float, Dose]]:
    device = pk.device_mg()
    total = session.dose.mg if session.dose is not None else None
    if total is None or total < 0 or abs(total / device - round(total / device)) > 1e-9:
        raise OutOfRange(
            "A nasal esketamine dose is a number of whole devices",
            observed=str(session.dose),
            allowed=f"{device:g} mg, {2 * device:g} mg or {3 * device:g} mg",
        )
    swallowing = pk.input_duration_h(PEREZ_RUIXO, "D_sw")
    parts = []
    for number in range(round(total / device)):
        which, delay = ("later", number * pk.device_interval_h()) if number else ("first", 0.0)
        parts.append((f"nose_{which}", delay, 0.0, Dose(mg=device)))
        parts.append((f"swallowed_{which}", delay, swallowing, Dose(mg=device)))
    return parts
