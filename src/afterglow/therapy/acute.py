"""Acute effects of a session: dissociation, sedation, blood pressure, heart rate, and when they are likely gone.

All follow effect-site S-ketamine Ce, without further delay and without tolerance:

* a person is dissociated (or sedated) while Ce is above his threshold, which is lognormal between people. For
  dissociation its median is the published C50 and its spread what the confidence interval of that C50 in n people
  implies (an upper estimate). The threshold of sedation lies higher by as much as labels count it less often;
* the rise of pressure and heart rate is Ce relative to the peak of the reference infusion, times a mean rise between
  that of the meta-analysis and that of the trials of the spray, with the between-person spread that the label's
  frequency of marked rises implies (an upper estimate, since the label counts the largest of up to eight sessions).

How these compare with what is published: docs/validation/acute.md.

Every part is provisional until calibrated; none is a scale score. A rule decides when somebody leaves, never this
model. Sources: the facts named in `AcuteEffects.sources`; assumptions in `data/acute_effects.yaml`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cache
from statistics import NormalDist

import numpy as np
from numpy.typing import ArrayLike

from afterglow.errors import InputError
from afterglow.evidence import SpreadKind, fact
from afterglow.quantities import HOURS_PER_MINUTE, Dose, DrugForm, nmol_per_ml_to_ng_per_ml
from afterglow.therapy.exposure import PkVariation, check_doses, drive_inputs, drive_model, regimen_drive, typical
from afterglow.therapy.kinetics import BoolArray, FloatArray, concentration, peak
from afterglow.therapy.regimen import DoseAdministration, Regimen, Route
from afterglow.therapy.variation import erf, given, read_assumptions

_HORIZON_H = 12.0  # after the start of the last session; numerical, effects are gone by then
_STEP_H = 3.0 * HOURS_PER_MINUTE
_NOTHING = 1e-12  # a level without effect, so that no drug needs no special case
_C50 = "olofsen2022_c50_dissociation"
_SOURCES = (
    _C50,
    "olofsen2022_effect_site_half_life",
    "jnj_dissociation_by_cadss_esketamine",
    "spravato_label_2020_sedation",
    "vankawala2021_systolic_rise",
    "vankawala2021_diastolic_rise",
    "vankawala2021_heart_rate_rise",
)
_AGE_SOURCES = {
    False: (
        "doherty2020_maximum_pressure_rise_18_64_y",
        "spravato_label_2020_sbp_rise_40_under_65_y",
        "spravato_label_2020_dbp_rise_25_under_65_y",
    ),
    True: (
        "doherty2020_maximum_pressure_rise_65_y",
        "spravato_label_2020_sbp_rise_40_from_65_y",
        "spravato_label_2020_dbp_rise_25_from_65_y",
    ),
}
CLEARS_LATE = (
    "Dissociation and sedation clear too slowly in this model: most are clear 2.9 h and 2.5 h after 84 mg of spray, "
    "against 1.5 h and 1 to 1.5 h published, so the time until people are likely ready errs late."
)
"""What was found beside published figures (docs/validation/acute.md, which a test compares)."""
_NOTES = (
    "Provisional: not calibrated; no published course over time was fitted.",
    "Probabilities are of being affected at all, not points of a scale.",
    "Dissociation fades over repeated sessions; this model has no tolerance.",
    "Sources differ on how long pressure stays raised: 1.5 h in trials, about 4 h in the label.",
    "The prediction for the spray is near the longer, for an infusion near the shorter; monitoring follows the longer.",
    CLEARS_LATE,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Rise:
    """Mean and standard deviation between people of a rise over time, shape (n_times,) each."""

    mean: FloatArray
    sd: FloatArray


@dataclass(frozen=True, slots=True, kw_only=True)
class AcuteEffects:
    """Acute effects over time, averaged over the given patients.

    Args:
        times_h: shape (n_times,), hours since the origin of the course; the other arrays have the same shape.
        effect_site_median, effect_site_lo90, effect_site_hi90: S-ketamine at the effect site in ng/mL.
        dissociation, sedation: probability of being dissociated, sedated.
        dissociation_ever, sedation_ever: the same for any time from the start of the last session.
        systolic_mmhg, diastolic_mmhg, heart_rate_bpm: rise over the value before the session.
        marked_systolic_rise: probability of a systolic rise of 40 mmHg or more.
        ready: probability that from this time on nothing is left: neither dissociated nor sedated, systolic rise
            below 10 mmHg; 0 until all of the last session's drug has been given and the person's own peak is past.
        ready_median_h, ready_90_h: hours after the start of the last session at which half and nine in ten are
            likely ready; infinite if later than 12 h.
        sources: facts of the evidence the numbers come from.
        notes: what limits the prediction, for people.
    """

    times_h: FloatArray
    effect_site_median: FloatArray
    effect_site_lo90: FloatArray
    effect_site_hi90: FloatArray
    dissociation: FloatArray
    sedation: FloatArray
    dissociation_ever: float
    sedation_ever: float
    systolic_mmhg: Rise
    diastolic_mmhg: Rise
    heart_rate_bpm: Rise
    marked_systolic_rise: FloatArray
    ready: FloatArray
    ready_median_h: float
    ready_90_h: float
    sources: tuple[str, ...]
    notes: tuple[str, ...]


def simulate_acute(
    regimen: Regimen, variation: PkVariation, times_h: ArrayLike, *, age_years: float | None = None
) -> AcuteEffects:
    """Acute effects during and after the sessions of a regimen.

    Args:
        regimen: one or more sessions; readiness is after the last one.
        variation: the patients.
        times_h: shape (n_times,), hours since the origin of the course.
        age_years: of all; from 65 on pressure rises more and more variably. Unknown counts as younger.
    Raises: InputError for a regimen without sessions; OutOfRange for a refused dose; NoModel for a route without one.

    >>> session = DoseAdministration(at_h=0.0, drug=DrugForm.ESKETAMINE, route=Route.INTRANASAL, dose=Dose(mg=84.0))
    >>> acute = simulate_acute(Regimen((session,)), typical(), [0.0, 0.6, 4.0])
    >>> [round(float(p), 2) for p in acute.dissociation]
    [0.0, 0.58, 0.01]
    """
    if not regimen.administrations:
        raise InputError("A regimen without any session has no acute effects")
    warnings = check_doses(regimen, weight_kg=float(np.median(variation.weight_kg)))
    times = np.asarray(times_h, dtype=np.float64)
    last = regimen.administrations[-1]
    inputs = drive_inputs(regimen)
    given_by_h = max([last.at_h + last.duration_h, *(entering.start_h for entering in inputs)])
    grid = last.at_h + np.arange(0.0, _HORIZON_H + last.duration_h, _STEP_H)
    modes = regimen_drive(regimen, variation)
    level = concentration(modes, inputs, np.concatenate([times, grid]), weight_kg=variation.weight_kg)
    now, later = level[:, : times.size], level[:, times.size :]
    ahead = np.maximum.accumulate(later[:, ::-1], axis=1)[:, ::-1]  # highest level from each grid time on
    older = age_years is not None and age_years >= _assumed("older_from_years")
    systolic, diastolic, heart_rate = _reference_rises(older=older)
    own_peak_h = np.maximum(grid[np.argmax(later, axis=1)], given_by_h)[:, None]  # nobody is ready before it
    ready = _likely_ready(ahead, systolic, past=grid >= own_peak_h)
    following = np.searchsorted(grid, times)
    from_now = np.maximum(now, np.append(ahead, ahead[:, -1:] * 0.0, axis=1)[:, following])
    low, middle, high = np.quantile(now, (0.05, 0.5, 0.95), axis=0)
    relative = now / _reference_peak()
    return AcuteEffects(
        times_h=times,
        effect_site_median=middle,
        effect_site_lo90=low,
        effect_site_hi90=high,
        dissociation=_affected(now, _dissociation_threshold()).mean(axis=0),
        sedation=_affected(now, _sedation_threshold()).mean(axis=0),
        dissociation_ever=float(_affected(ahead[:, 0], _dissociation_threshold()).mean()),
        sedation_ever=float(_affected(ahead[:, 0], _sedation_threshold()).mean()),
        systolic_mmhg=_rise(relative, systolic),
        diastolic_mmhg=_rise(relative, diastolic),
        heart_rate_bpm=_rise(relative, heart_rate),
        marked_systolic_rise=1.0 - _below(relative, systolic, _assumed("marked_systolic_rise_mmhg")).mean(axis=0),
        ready=_likely_ready(from_now, systolic, past=times >= own_peak_h),
        ready_median_h=_first(grid - last.at_h, ready, 0.5),
        ready_90_h=_first(grid - last.at_h, ready, 0.9),
        sources=(*_SOURCES, *_AGE_SOURCES[older]),
        notes=(*_NOTES, _observation_rule(last), *warnings),
    )


def _observation_rule(last: DoseAdministration) -> str:
    """The rule that stands above the prediction of readiness."""
    if last.drug is DrugForm.ESKETAMINE and last.route is Route.INTRANASAL:
        return "Observation: the label asks for at least 2 h after the first device (spravato_label)."
    return "Observation: no label covers this use; the site's rule decides."


def _affected(level: FloatArray, threshold: NormalDist) -> FloatArray:
    """Probability that a person's threshold, lognormal, lies below the level."""
    return _normal_cdf((np.log(np.maximum(level, _NOTHING)) - threshold.mean) / threshold.stdev)


def _below(relative: FloatArray, rise: NormalDist, limit: float) -> FloatArray:
    """Probability that a rise is below the limit, at a level relative to the reference peak."""
    return _normal_cdf((limit / np.maximum(relative, _NOTHING) - rise.mean) / rise.stdev)


def _rise(relative: FloatArray, rise: NormalDist) -> Rise:
    """Between-person mean and spread: of the level, and of the response to it."""
    mean = relative.mean(axis=0) * rise.mean
    variance = relative.var(axis=0) * rise.mean**2 + (relative**2).mean(axis=0) * rise.variance
    return Rise(mean=mean, sd=np.sqrt(variance))


def _likely_ready(ahead: FloatArray, systolic: NormalDist, *, past: BoolArray) -> FloatArray:
    """Probability that no effect is left; who is sensitive to dissociation is also sensitive to sedation.

    `past` says who is past his peak: whoever feels nothing yet is not ready.
    """
    affected = np.maximum(_affected(ahead, _dissociation_threshold()), _affected(ahead, _sedation_threshold()))
    calm: FloatArray = (1.0 - affected) * _below(ahead / _reference_peak(), systolic, _assumed("pressure_back_mmhg"))
    ready: FloatArray = (calm * past).mean(axis=0)
    return ready


def _first(hours: FloatArray, probability: FloatArray, wanted: float) -> float:
    reached = np.flatnonzero(probability >= wanted)
    return float(hours[reached[0]]) if reached.size else math.inf


@cache
def _dissociation_threshold() -> NormalDist:
    """Logarithm of the effect-site level (ng/mL) from which a person is dissociated."""
    c50 = fact(_C50)
    interval = next(spread for spread in c50.spread if spread.kind is SpreadKind.CI95)
    standard_error = math.log(given(interval.hi) / given(interval.lo)) / (2.0 * NormalDist().inv_cdf(0.975))
    molar_mass = given(fact("molar_mass_ketamine").value)
    median = nmol_per_ml_to_ng_per_ml(given(c50.value), molar_mass_g_per_mol=molar_mass)
    return NormalDist(math.log(median), standard_error * math.sqrt(given(c50.n)))


@cache
def _sedation_threshold() -> NormalDist:
    """As for dissociation, higher by the distance of the two frequencies that labels state."""
    dissociation = _dissociation_threshold()
    often, seldom = (_middle("jnj_dissociation_by_cadss_esketamine"), _middle("spravato_label_2020_sedation"))
    distance = NormalDist().inv_cdf(often / 100.0) - NormalDist().inv_cdf(seldom / 100.0)
    return NormalDist(dissociation.mean + dissociation.stdev * distance, dissociation.stdev)


@cache
def _reference_rises(*, older: bool) -> tuple[NormalDist, NormalDist, NormalDist]:
    """Systolic and diastolic (mmHg) and heart-rate (bpm) rise at the peak of the reference infusion, between people.

    The meta-analysis gives the mean there, the trials of the spray their mean maximum at the higher peak of the
    largest spray. A rise in proportion to the level cannot follow both, so the mean lies between them at equal ratio;
    older people have it times their ratio in the trials. The spread follows from the frequency of marked rises around
    the mean maximum of the same trials, at the level of the spray; heart rate takes the relative spread of systolic
    pressure, for want of its own.
    """
    largest, systolic_often, diastolic_often = (fact(name) for name in _AGE_SOURCES[older])
    younger = fact(_AGE_SOURCES[False][0])
    higher = _largest_spray_peak() / _reference_peak()
    rises = []
    for label, often, pooled, marked in (
        ("SBP", systolic_often, "vankawala2021_systolic_rise", "marked_systolic_rise_mmhg"),
        ("DBP", diastolic_often, "vankawala2021_diastolic_rise", "marked_diastolic_rise_mmhg"),
    ):
        maximum, usual = given(largest.point(label).value), given(younger.point(label).value)
        sd = (_assumed(marked) - maximum) / NormalDist().inv_cdf(1.0 - given(often.value) / 100.0)
        mean = math.sqrt(given(fact(pooled).value) * usual / higher)
        rises.append(NormalDist(mean * maximum / usual, sd / higher))
    beats = given(fact("vankawala2021_heart_rate_rise").value)
    return rises[0], rises[1], NormalDist(beats, beats * rises[0].stdev / rises[0].mean)


@cache
def _reference_peak() -> float:
    """Peak effect-site level in ng/mL of the typical patient in the reference infusion."""
    return _typical_peak(
        DoseAdministration(
            at_h=0.0,
            drug=DrugForm.RACEMIC_KETAMINE,
            route=Route.IV,
            dose=Dose(mg_per_kg=_assumed("reference_dose_mg_per_kg")),
            infusion_h=_assumed("reference_infusion_min") * HOURS_PER_MINUTE,
        )
    )


@cache
def _largest_spray_peak() -> float:
    """The same after the largest dose of the spray."""
    dose = Dose(mg=_assumed("largest_spray_mg"))
    return _typical_peak(DoseAdministration(at_h=0.0, drug=DrugForm.ESKETAMINE, route=Route.INTRANASAL, dose=dose))


def _typical_peak(session: DoseAdministration) -> float:
    patient = typical()
    modes = drive_model(session.drug, session.route, patient)
    highest, _ = peak(modes, drive_inputs(Regimen((session,))), weight_kg=patient.weight_kg)
    return float(highest[0])


def _assumed(name: str) -> float:
    return given(read_assumptions("acute_effects.yaml")[name].value)


def _middle(fact_id: str) -> float:
    band = fact(fact_id).spread[0]
    return 0.5 * (given(band.lo) + given(band.hi))


def _normal_cdf(x: FloatArray) -> FloatArray:
    return 0.5 * (1.0 + erf(x / math.sqrt(2.0)))
