"""What the calibration figures cover, and what is said of a treatment that lies outside of it."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

from afterglow.quantities import HOURS_PER_DAY, DrugForm, format_duration
from afterglow.therapy.regimen import DoseAdministration, Regimen, Route
from afterglow.therapy.setting import Condition, Control, Setting
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


@dataclass(frozen=True, slots=True, kw_only=True)
class CoveredPeople:
    """The people and the length of follow-up that a condition's calibration figures are of.

    Args:
        until_days: the latest figure, after the first session.
        baseline: lowest and highest mean of an arm before treatment, as a share of its scale's range.
        mildest: an arm's mean less two standard deviations, the lowest of them, in the same share.
        arms: patients in the smallest and in the largest arm.
    """

    until_days: float
    baseline: tuple[float, float]
    mildest: float
    arms: tuple[int, int]


COVERED_PEOPLE: dict[Condition, CoveredPeople] = {
    Condition.DEPRESSION: CoveredPeople(until_days=385, baseline=(0.518, 0.668), mildest=0.332, arms=(11, 90)),
    Condition.SUICIDAL_IDEATION: CoveredPeople(until_days=1, baseline=(0.247, 0.268), mildest=0, arms=(25, 47)),
    Condition.PTSD: CoveredPeople(until_days=14, baseline=(0.525, 0.525), mildest=0.3, arms=(15, 15)),
    Condition.PAIN: CoveredPeople(until_days=7, baseline=(0.71, 0.71), mildest=0.41, arms=(30, 30)),
}
"""Derived from the arms that were fitted, as `COVERED`; none of anxiety and cognition."""
_OTHER_LEVEL = 0.05  # Assumption: of a scale's range; 3 points of MADRS make no other people
_OLD_YEARS = 65.0  # The age groups of the esketamine label (spravato label, section 8.5).


_INSIDE, _BAR = "66 %", "85 %"
INTERVALS_MISSED = (
    f"{_INSIDE} of 53 held-out figures lay inside such 90 % intervals; the bar of {_BAR} is not reached, so read them "
    "as too narrow."
)
_TESTED = (Condition.DEPRESSION, Condition.SUICIDAL_IDEATION)  # what those figures are of
RELAPSE_MISSED = (
    "Relapse is predicted too early and too often where it could be checked: 73 % by day 49 and 87 % by day 77 in a "
    "cohort of a clinic, against 20 % and 40 % observed; 2 of 4 such figures lie inside their 90 % interval."
)
DIFFERENCE_MISSED = (
    "Differences from control are predicted too large where they could be checked: at 24 h -8.6 and -8.3 MADRS points "
    "in two trials of the spray, against -3.8 and -3.9 observed; 3 of 7 such figures lie inside their 90 % interval."
)
SELF_REPORT_MISSED = (
    "On scales that patients fill in, too little improvement is predicted where it could be checked: 3 of 9 such "
    "figures lie inside their 90 % interval, and the other 6 are all higher than predicted. How far such a scale "
    "follows the clinician's is assumed."
)
CRISIS_MISSED = (
    "Admission in a crisis is not modelled: by day 3, remission of suicidal thoughts was predicted for 22.7 % with the "
    "drug and 8.7 % without, against 63.0 % and 31.6 % observed."
)
"""What validation on held-out figures found (docs/validation/model.md, which a test compares)."""

FIRST_HOURS = "Expectancy has no onset in this model: the first hours after a session are not to be read."
COGNITION_LEAVES_OUT = (
    "Whether the drug helps or harms cognition is left out: a drug effect of zero is assumed, without doubt, so a "
    "difference between arms holds chance and error of measurement alone. That its band is narrow is no knowledge."
)
_HARMLESS = (
    "The drug cannot harm in this model, so an interval of its effect that leaves out zero is mostly built in, not "
    "found."
)
_NO_FIGURE = "No calibration figure tells what "
_WEAK = (
    " Under it the effect fades along a curve whose shape is assumed: that little is predicted does not show that the "
    "dose does nothing."
)
_NOT_COMPARED = (
    "Its dose cannot be compared with theirs either: a weak one is not told from a strong one, and that little is "
    "predicted does not show that the dose does nothing."
)


def model_tag(status: str) -> str:
    """A few words on what the model's intervals are worth, for the head of a report.

    Args:
        status: of the population.

    >>> model_tag("calibrated")
    'Calibrated model: 66 % of held-out figures inside 90 % intervals, bar 85 %'
    """
    return f"{status.capitalize()} model: {_INSIDE} of held-out figures inside 90 % intervals, bar {_BAR}"


def model_standing(condition: Condition, status: str, evidence: str) -> str:
    """Sentences on what is known of the model of a condition, and how its intervals did.

    Args:
        condition: what is treated.
        status: of its population.
        evidence: of its population, on how much is known.

    >>> model_standing(Condition.PAIN, "provisional", "One trial.")[:38]
    'Model status: provisional. One trial. '
    """
    return f"Model status: {status}. {evidence} {intervals_missed(condition)}"


def intervals_missed(condition: Condition) -> str:
    """How 90 % intervals did in validation, and whether any figure of the condition was there.

    Args:
        condition: what is treated.

    >>> intervals_missed(Condition.PTSD)[-25:]
    ' None of them is of PTSD.'
    """
    return INTERVALS_MISSED if condition in _TESTED else f"{INTERVALS_MISSED} None of them is of {condition.words}."


def missed_in_validation(
    condition: Condition,
    *,
    difference: bool = False,
    relapse: bool = False,
    self_report: bool = False,
    setting: Setting = Setting.OUTPATIENT,
) -> tuple[str, ...]:
    """What validation says against numbers of the kinds that are shown, worst first.

    Args:
        condition: what is treated; one without held-out figures is told what was found for depression.
        difference: whether active minus control is shown.
        relapse: whether relapse is shown.
        self_report: whether scores are of a scale that patients fill in.
        setting: where they are treated.

    >>> missed_in_validation(Condition.PTSD, difference=True)[0] == DIFFERENCE_MISSED
    True
    """
    said = []
    if condition is Condition.SUICIDAL_IDEATION and setting is Setting.INPATIENT:
        said.append(CRISIS_MISSED)
    if relapse:
        said.append(RELAPSE_MISSED)
    if difference and condition is not Condition.COGNITION:
        said.append(DIFFERENCE_MISSED)
        if condition is not Condition.DEPRESSION:
            said.append(_HARMLESS)
    if self_report:
        said.append(SELF_REPORT_MISSED)
    return tuple(said)


def outside_circumstances(setting: Setting, control: Control) -> tuple[str, ...]:
    """Sentences on what of setting and control no calibration figure, or one pooled result alone, informs.

    Args:
        setting: where patients are treated.
        control: what an arm believes about it; that of an arm that is not asked about is `none`.

    >>> outside_circumstances(Setting.OUTPATIENT, Control.MIDAZOLAM)
    ()
    """
    said = []
    if setting is Setting.INPATIENT:
        said.append(f"{_NO_FIGURE}being an inpatient changes: its part is assumed, so this is an extrapolation.")
    if control is Control.MASKED:
        said.append(
            f"{_NO_FIGURE}patients expect who cannot tell the arms apart: their part is assumed, so this is an "
            "extrapolation."
        )
    if control is Control.SALINE:
        said.append(
            "What patients on saline expect rests on one pooled result, 1 % responders at 24 h: that arm, and any "
            "difference from it, is close to an extrapolation."
        )
    return tuple(said)


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
        left_out = (COGNITION_LEAVES_OUT,) if condition is Condition.COGNITION else ()
        return (f"No calibration figure is of {words}: its values are assumed, and its bands say little.", *left_out)
    treatments: dict[tuple[DrugForm, Route], list[DoseAdministration]] = {}
    for given in regimen.administrations:
        treatments.setdefault((given.drug, given.route), []).append(given)
    said = []
    strange = [_name(*one) for one in treatments if one not in known]
    if strange:
        names = ", ".join(f"{_name(*one)} ({covered.doses})" for one, covered in known.items())
        said.append(
            f"No calibration figure of {words} is of {' or '.join(strange)}: those that exist are of {names}. "
            f"The prediction is carried over by exposure alone. {_NOT_COMPARED}"
        )
    if len(treatments) > 1:
        said.append("No calibration figure is of two drugs or routes in one course: an extrapolation.")
    for one, sessions in treatments.items():
        nearest = _nearest(one, tuple(known))
        if one == nearest:
            said += _dose(sessions, known[one], REFERENCE_WEIGHT_KG if weight_kg is None else weight_kg)
        if one[1] is nearest[1]:
            said += _infusion(sessions, known[nearest])
        said += _schedule(_name(*one), sessions, known[nearest])
    return tuple(said)


def _nearest(one: tuple[DrugForm, Route], known: tuple[tuple[DrugForm, Route], ...]) -> tuple[DrugForm, Route]:
    """The covered treatment that a schedule is compared with: itself, else of its route, else of its drug."""
    return min(known, key=lambda other: (other != one, other[1] is not one[1], other[0] is not one[0]))


def outside_people(
    condition: Condition,
    *,
    until_h: float,
    level: tuple[float, float] | None = None,
    one_patient: bool = False,
    age_years: float | None = None,
    smallest_arm: int | None = None,
) -> tuple[str, ...]:
    """Sentences on who and how long no calibration figure covers, each with the range that is covered.

    Args:
        condition: what is treated; one without figures has no ranges, which `outside_calibration` says.
        until_h: the latest time asked about, h since the first session.
        level: score before treatment above the scale's lowest, and the scale's range, in points; None when unknown.
        one_patient: whether the level is one patient's instead of an arm's mean. A trial lets in nobody mild, but
            anybody severe, so then only a low level lies outside.
        age_years: of the patient, or the mean age; None when unknown.
        smallest_arm: patients of a trial's smallest arm; None for one patient.

    >>> outside_people(Condition.PAIN, until_h=14 * 24.0)
    ('Day 14 lies beyond the calibrated follow-up, up to day 7 after the first session: an extrapolation.',)
    """
    found, said = COVERED_PEOPLE.get(condition), []
    if found is None:
        return ()
    if until_h / HOURS_PER_DAY > found.until_days + 1.0:
        said.append(
            f"Day {until_h / HOURS_PER_DAY:,.0f} lies beyond the calibrated follow-up, up to day "
            f"{found.until_days:g} after the first session: an extrapolation."
        )
    if level is not None:
        said += _level(*level, found, one_patient=one_patient)
    if smallest_arm is not None and smallest_arm < found.arms[0]:
        of = "patient" if smallest_arm == 1 else "patients"
        said.append(
            f"An arm of {smallest_arm} {of} lies outside the calibrated range, {found.arms[0]:g} to {found.arms[1]:g} "
            "patients an arm: its effect and its interval are extrapolations."
        )
    if age_years is not None and age_years >= _OLD_YEARS:
        said.append(
            f"No calibration figure tells what an age of {_OLD_YEARS:g} or over changes: at {age_years:g} years the "
            "drug's effect is that of younger adults with more doubt, an assumption."
        )
    return tuple(said)


def _level(above: float, span: float, found: CoveredPeople, *, one_patient: bool) -> Iterator[str]:
    """Whether a level before treatment lies outside."""
    share, (low, high) = above / span, found.baseline
    if one_patient and share < found.mildest:
        yield (
            f"A level before treatment of {100 * share:.0f} % of the scale's range is milder than the people of the "
            f"calibration figures, {100 * found.mildest:.0f} % or more: an extrapolation."
        )
    elif not one_patient and not low - _OTHER_LEVEL <= share <= high + _OTHER_LEVEL:
        covered = _range(round(100 * low), round(100 * high))
        yield (
            f"A mean baseline of {100 * share:.0f} % of the scale's range lies outside the calibrated range, {covered} "
            "%: an extrapolation."
        )


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
        said = f"The dose of {worst:.3g} {unit} lies outside the calibrated range, {found.doses}: an extrapolation."
        yield said + _WEAK if min(doses) < low else said


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
