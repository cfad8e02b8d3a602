"""What the calibration figures cover, and what is said of a treatment that lies outside of it."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

from afterglow.quantities import HOURS_PER_DAY, DrugForm, format_duration
from afterglow.therapy.regimen import DoseAdministration, Regimen, Route
from afterglow.therapy.setting import Condition
from afterglow.therapy.variation import REFERENCE_WEIGHT_KG

_ROUNDING = 0.01  # of a dose: 35 mg for 70 kg are 0.5 mg/kg
_INFUSED = 0.25  # Assumption: of an infusion's length; 50 minutes instead of 40 are no other treatment


@dataclass(frozen=True, slots=True, kw_only=True)
class CoveredTreatment:
    """The treatments of one drug and route that calibration figures are of.

    Args:
        lowest, highest: dose of a session, in mg/kg or mg.
        per_kg: whether the dose is per body weight.
        infusion_h: how long it is given; 0 for a spray.
        most_sessions: with the drug.
        longest_days: from the first session to the last one with the drug.
        gaps_days: shortest and longest time between two sessions; None where there was one session only.
    """

    lowest: float
    highest: float
    per_kg: bool
    infusion_h: float = 0.0
    most_sessions: int = 1
    longest_days: float = 0.0
    gaps_days: tuple[float, float] | None = None

    @property
    def doses(self) -> str:
        """The range of doses in words.

        >>> COVERED[Condition.DEPRESSION][DrugForm.ESKETAMINE, Route.INTRANASAL].doses
        '28 to 84 mg'
        """
        return f"{_range(self.lowest, self.highest)} {'mg/kg' if self.per_kg else 'mg'}"


_INFUSIONS = (DrugForm.RACEMIC_KETAMINE, Route.IV)
COVERED: dict[Condition, dict[tuple[DrugForm, Route], CoveredTreatment]] = {
    Condition.DEPRESSION: {
        _INFUSIONS: CoveredTreatment(
            lowest=0.1,
            highest=1.0,
            per_kg=True,
            infusion_h=2 / 3,
            most_sessions=6,
            longest_days=11,
            gaps_days=(2, 3),
        ),
        (DrugForm.ESKETAMINE, Route.INTRANASAL): CoveredTreatment(
            lowest=28, highest=84, per_kg=False, most_sessions=40, longest_days=245, gaps_days=(3, 14)
        ),
    },
    Condition.SUICIDAL_IDEATION: {_INFUSIONS: CoveredTreatment(lowest=0.5, highest=0.5, per_kg=True, infusion_h=2 / 3)},
    Condition.PTSD: {
        _INFUSIONS: CoveredTreatment(
            lowest=0.5,
            highest=0.5,
            per_kg=True,
            infusion_h=2 / 3,
            most_sessions=6,
            longest_days=11,
            gaps_days=(2, 3),
        )
    },
    Condition.PAIN: {
        (DrugForm.ESKETAMINE, Route.IV): CoveredTreatment(lowest=28.8, highest=28.8, per_kg=True, infusion_h=100.8)
    },
    Condition.ANXIETY: {},
    Condition.COGNITION: {},
}
"""Derived from the arms that were fitted; a test compares them with `arm_designs`."""


RELAPSE_MISSED = (
    "Relapse is predicted too early and too often where it could be checked: 73 % by day 49 and 87 % by day 77 in a "
    "cohort of a clinic, against 20 % and 40 % observed; 2 of 4 such figures lie inside their 90 % interval."
)
DIFFERENCE_MISSED = (
    "Differences from control are predicted too large where they could be checked: at 24 h -8.6 and -8.3 MADRS points "
    "in two trials of the spray, against -3.8 and -3.9 observed; 3 of 7 such figures lie inside their 90 % interval."
)
"""What validation on held-out figures of depression found (docs/validation/model.md, which a test compares)."""


def outside_calibration(condition: Condition, regimen: Regimen, *, weight_kg: float | None = None) -> tuple[str, ...]:
    """Sentences on what of a treatment no calibration figure covers, each with the range that is covered.

    Args:
        condition: what is treated.
        regimen: every session with the drug.
        weight_kg: None takes 70 kg.

    >>> from afterglow.quantities import Dose
    >>> spray = DoseAdministration(at_h=0.0, drug=DrugForm.ESKETAMINE, route=Route.INTRANASAL, dose=Dose(mg=100.0))
    >>> outside_calibration(Condition.DEPRESSION, Regimen((spray,)))
    ('The dose of 100 mg lies outside the calibrated range, 28 to 84 mg: an extrapolation.',)
    """
    words, known = condition.words, COVERED[condition]
    if not known:
        return (f"No calibration figure is of {words}: its values are assumed, and its bands say little.",)
    treatments: dict[tuple[DrugForm, Route], list[DoseAdministration]] = {}
    for given in regimen.administrations:
        treatments.setdefault((given.drug, given.route), []).append(given)
    said = []
    strange = [_name(*one) for one in treatments if one not in known]
    if strange:
        names = ", ".join(f"{_name(*one)} ({covered.doses})" for one, covered in known.items())
        said.append(
            f"No calibration figure of {words} is of {' or '.join(strange)}: those that exist are of {names}. "
            "The prediction is carried over by exposure alone."
        )
    if len(treatments) > 1:
        said.append("No calibration figure is of two drugs or routes in one course: an extrapolation.")
    for one, sessions in treatments.items():
        if one in known:
            said += [
                *_dose(sessions, known[one], REFERENCE_WEIGHT_KG if weight_kg is None else weight_kg),
                *_infusion(sessions, known[one]),
                *_schedule(_name(*one), sessions, known[one]),
            ]
    return tuple(said)


def _name(drug: DrugForm, route: Route) -> str:
    return f"{drug.replace('_', ' ')} {route}"


def _range(low: float, high: float) -> str:
    return f"{low:g}" if low == high else f"{low:g} to {high:g}"


def _dose(sessions: list[DoseAdministration], found: CoveredTreatment, weight_kg: float) -> Iterator[str]:
    doses = [given.amount_mg(weight_kg) / (weight_kg if found.per_kg else 1.0) for given in sessions]
    low, high = found.lowest * (1 - _ROUNDING), found.highest * (1 + _ROUNDING)
    outside = [dose for dose in doses if not low <= dose <= high]
    if outside:
        worst = max(outside, key=lambda dose: max(dose / high, low / dose if dose else math.inf))
        unit = "mg/kg" if found.per_kg else "mg"
        yield f"The dose of {worst:.3g} {unit} lies outside the calibrated range, {found.doses}: an extrapolation."


def _infusion(sessions: list[DoseAdministration], found: CoveredTreatment) -> Iterator[str]:
    off = [given.duration_h - found.infusion_h for given in sessions]
    worst = max(off, key=abs)
    if abs(worst) > _INFUSED * found.infusion_h + 1e-9:
        yield (
            f"An infusion of {format_duration(found.infusion_h + worst)} lies outside what calibration figures cover, "
            f"{format_duration(found.infusion_h)}: an extrapolation."
        )


def _schedule(name: str, sessions: list[DoseAdministration], found: CoveredTreatment) -> Iterator[str]:
    days = [given.at_h / HOURS_PER_DAY for given in sessions]
    gaps = [after - before for before, after in pairwise(days)]
    beyond = []
    if len(days) > found.most_sessions:
        beyond.append(f"{len(days)} sessions (calibrated: up to {found.most_sessions})")
    if days[-1] - days[0] > found.longest_days and found.gaps_days:
        beyond.append(f"{days[-1] - days[0]:.3g} days from first to last (up to {found.longest_days:g})")
    if gaps and found.gaps_days:
        shortest, longest = found.gaps_days
        beyond += [
            f"sessions {gap:.3g} days apart ({_range(shortest, longest)})" for gap in _off(gaps, found.gaps_days)
        ]
    if beyond:
        yield (
            f"The schedule of {name} lies outside what calibration figures cover: {', '.join(beyond)}. It is an "
            "extrapolation."
        )


def _off(gaps: list[float], covered: tuple[float, float]) -> Iterator[float]:
    """The shortest and the longest gap, where they lie outside by more than an appointment moves."""
    shortest, longest = covered
    if min(gaps) < shortest - 0.5:
        yield min(gaps)
    if max(gaps) > longest + 1.0:
        yield max(gaps)
