"""What the calibration figures cover, and what is said of a protocol that lies outside of it."""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import pairwise

from afterglow.protocol import TrialProtocol
from afterglow.quantities import HOURS_PER_DAY, DrugForm
from afterglow.therapy.regimen import Route
from afterglow.therapy.setting import Condition
from afterglow.therapy.variation import REFERENCE_WEIGHT_KG


@dataclass(frozen=True, slots=True, kw_only=True)
class CoveredTreatment:
    """The treatments of one drug and route that calibration figures are of.

    Args:
        lowest, highest: dose of a session, in mg/kg or mg.
        per_kg: whether the dose is per body weight.
        longest_days: from the first session to the last one with the drug.
        shortest_gap_days: between two sessions.
    """

    lowest: float
    highest: float
    per_kg: bool
    longest_days: float
    shortest_gap_days: float

    @property
    def doses(self) -> str:
        """The range of doses in words.

        >>> COVERED[Condition.DEPRESSION][DrugForm.ESKETAMINE, Route.INTRANASAL].doses
        '28 to 84 mg'
        """
        unit = "mg/kg" if self.per_kg else "mg"
        return (
            f"{self.lowest:g} {unit}" if self.lowest == self.highest else f"{self.lowest:g} to {self.highest:g} {unit}"
        )


_INFUSIONS = (DrugForm.RACEMIC_KETAMINE, Route.IV)
COVERED: dict[Condition, dict[tuple[DrugForm, Route], CoveredTreatment]] = {
    Condition.DEPRESSION: {
        _INFUSIONS: CoveredTreatment(lowest=0.1, highest=1.0, per_kg=True, longest_days=11, shortest_gap_days=2),
        (DrugForm.ESKETAMINE, Route.INTRANASAL): CoveredTreatment(
            lowest=28, highest=84, per_kg=False, longest_days=245, shortest_gap_days=3
        ),
    },
    Condition.SUICIDAL_IDEATION: {
        _INFUSIONS: CoveredTreatment(lowest=0.5, highest=0.5, per_kg=True, longest_days=0, shortest_gap_days=0)
    },
    Condition.PTSD: {
        _INFUSIONS: CoveredTreatment(lowest=0.5, highest=0.5, per_kg=True, longest_days=11, shortest_gap_days=2)
    },
    Condition.PAIN: {
        (DrugForm.ESKETAMINE, Route.IV): CoveredTreatment(
            lowest=28.8, highest=28.8, per_kg=True, longest_days=0, shortest_gap_days=0
        )
    },
    Condition.ANXIETY: {},
    Condition.COGNITION: {},
}
"""Derived from the arms that were fitted; a test compares them with `arm_designs`."""


def outside_calibration(protocol: TrialProtocol) -> tuple[str, ...]:
    """Sentences on what of a protocol no calibration figure covers, each with the range that is covered.

    >>> from afterglow.protocol import parse_protocol
    >>> outside_calibration(parse_protocol("{drug: esketamine, route: intranasal, dose: 84 mg, days: [0, 3]}"))
    ()
    """
    words = protocol.condition.replace("_", " ")
    known = COVERED[protocol.condition]
    if not known:
        return (f"No calibration figure is of {words}: its values are assumed, and its bands say little.",)
    names = ", ".join(f"{_name(drug, route)} ({one.doses})" for (drug, route), one in known.items())
    found = known.get((protocol.drug, protocol.route))
    if found is None:
        given = _name(protocol.drug, protocol.route)
        said = f"No calibration figure of {words} is of {given}: those that exist are of {names}."
        return (f"{said} The prediction is carried over by exposure alone.",)
    return (*_dose(protocol, found), *_schedule(protocol, found))


def _name(drug: DrugForm, route: Route) -> str:
    return f"{drug.replace('_', ' ')} {route}"


def _dose(protocol: TrialProtocol, found: CoveredTreatment) -> tuple[str, ...]:
    weight = (protocol.population.weight_kg if protocol.population else None) or REFERENCE_WEIGHT_KG
    totals = [given.amount_mg(weight) for given in protocol.regimen().administrations]
    doses = [total / weight if found.per_kg else total for total in totals]
    outside = [dose for dose in doses if not found.lowest * 0.99 <= dose <= found.highest * 1.01]
    if not outside:
        return ()
    unit = "mg/kg" if found.per_kg else "mg"
    worst = max(outside, key=lambda dose: max(dose / found.highest, found.lowest / dose if dose else math.inf))
    return (f"The dose of {worst:.3g} {unit} lies outside the calibrated range, {found.doses}: an extrapolation.",)


def _schedule(protocol: TrialProtocol, found: CoveredTreatment) -> tuple[str, ...]:
    hours = protocol.session_h
    days = hours[-1] / HOURS_PER_DAY
    gaps = [(after - before) / HOURS_PER_DAY for before, after in pairwise(hours)]
    out = []
    if days > found.longest_days:
        out.append(
            f"The course of {days:g} days is longer than the {found.longest_days:g} days that calibration figures of "
            "this drug and route cover: an extrapolation."
        )
    if gaps and min(gaps) < found.shortest_gap_days:
        out.append(
            f"Sessions {min(gaps):g} days apart are closer than the {found.shortest_gap_days:g} days of calibration "
            "figures: an extrapolation."
        )
    return tuple(out)
