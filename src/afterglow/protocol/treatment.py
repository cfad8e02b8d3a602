"""What is given in one session, as both files write it: which drug, route, dose and infusion go together."""

from __future__ import annotations

from afterglow.errors import MissingValue, OutOfRange
from afterglow.quantities import HOURS_PER_DAY, Dose, DrugForm, format_duration
from afterglow.therapy.exposure import check_doses
from afterglow.therapy.regimen import DoseAdministration, InfusionStep, Regimen, Route
from afterglow.therapy.variation import REFERENCE_WEIGHT_KG

LONGEST_COURSE_H = 10 * 365.25 * HOURS_PER_DAY  # the longest published follow-up is 6.5 years (SUSTAIN-3)

_INFUSED = (Route.IV, Route.SC)

Infusion = float | tuple[InfusionStep, ...] | None
"""How a dose is infused: hours at a constant rate (0 is a bolus), rates in a row, or None for other ways."""


def administer(
    *, drug: DrugForm, route: Route, dose: Dose | None, infusion: Infusion, at_h: float = 0.0
) -> DoseAdministration:
    """One session; says which of drug, route, dose and infusion do not go together.

    Raises: MissingValue, OutOfRange.
    """
    steps = infusion if isinstance(infusion, tuple) else ()
    if infusion is None and route is Route.IV:
        raise MissingValue(
            "infusion is missing: an intravenous dose is infused or pushed",
            allowed="a duration as in 40 min, bolus, or steps of rate and for",
            about="infusion",
        )
    if infusion is not None and route not in _INFUSED:
        raise OutOfRange(
            "infusion does not go with this route", observed=route, allowed=", ".join(_INFUSED), about="infusion"
        )
    if infusion == ():
        raise MissingValue("infusion has no step", allowed="one step of rate and for, or more", about="infusion")
    if dose is None and not steps:
        raise MissingValue(
            "dose is missing", allowed="an amount as in 0.5 mg/kg or 84 mg, or infusion steps", about="dose"
        )
    if dose is not None and steps:
        raise OutOfRange(
            "dose and infusion steps exclude each other",
            observed=f"{dose} and {len(steps)} steps",
            next_step="Remove dose: the steps say how much is given",
            about="dose",
        )
    infusion_h = 0.0 if infusion is None or isinstance(infusion, tuple) else infusion
    given = DoseAdministration(at_h=at_h, drug=drug, route=route, dose=dose, infusion_h=infusion_h, steps=steps)
    if not given.duration_h <= LONGEST_COURSE_H:
        raise OutOfRange(
            "infusion lasts longer than any course",
            observed=format_duration(given.duration_h),
            allowed=f"up to {format_duration(LONGEST_COURSE_H)}",
            about="infusion",
        )
    return given


def check_dose(given: DoseAdministration, *, weight_kg: float | None) -> None:
    """Refuse a dose outside the absolute limits of its drug and route; without a weight, for 70 kg.

    Raises: OutOfRange with the limit and its source.
    """
    try:
        check_doses(Regimen((given,)), weight_kg=REFERENCE_WEIGHT_KG if weight_kg is None else weight_kg)
    except OutOfRange as fault:
        too_long = "infusion length" in fault.refused
        fault.about = "infusion" if given.steps or too_long else "dose"
        if too_long:
            fault.next_step = f"Correct the infusion, {format_duration(given.duration_h)} as it stands"
        elif weight_kg is None and given.dose is not None and given.dose.mg_per_kg is None:
            fault.next_step = f"Correct the dose, or give the body weight: {REFERENCE_WEIGHT_KG:g} kg was assumed"
        raise
