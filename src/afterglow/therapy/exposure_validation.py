"""Exposure predictions beside every held-out observation, and beside the intranasal model's own table.

Nothing here is fitted. Every published observation is listed: with its error, or with the reason why no model predicts
it. The result is the page `docs/validation/exposure.md`.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache, partial

import numpy as np

from afterglow.evidence import PharmacologyFact, fact, pharmacology
from afterglow.markdown import table
from afterglow.provenance import Verified
from afterglow.quantities import HOURS_PER_MINUTE, Dose, DrugForm, Rate, nmol_per_ml_to_ng_per_ml, parse_dose
from afterglow.therapy.disposition import KAMP
from afterglow.therapy.exposure import (
    Analyte,
    Ancestry,
    ExposureProfile,
    PkVariation,
    Site,
    exposure_inputs,
    exposure_model,
    oral_prolonged_release_area,
    simulate_exposure,
    typical,
)
from afterglow.therapy.kinetics import area_under_curve, peak
from afterglow.therapy.regimen import DoseAdministration, InfusionStep, Regimen, Route
from afterglow.therapy.variation import REFERENCE_WEIGHT_KG, given

_OLDER_AGE_YEARS = 70.0  # The table prints no age for its older stratum; this one reproduces it.
_FILM_KG = 73.0  # mean weight in the film study, as its population says


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """One observed figure and its prediction, in the observation's unit; `observed_hi` makes it a range."""

    what: str
    observed: float
    predicted: float
    observed_hi: float | None = None

    @property
    def error_pct(self) -> float:
        """Predicted less observed, in per cent of observed; 0 inside a range, else from its nearer end."""
        high = self.observed if self.observed_hi is None else self.observed_hi
        nearest = min(max(self.predicted, self.observed), high)
        return 100.0 * (self.predicted - nearest) / nearest


@dataclass(frozen=True, slots=True, kw_only=True)
class ExposureCheck:
    """One observed data set.

    Args:
        fact_id: of the evidence.
        study: what was measured in whom.
        model_ids: what predicted it.
        overlaps: kinetic models estimated in the same people; agreement with them proves little.
        comparisons: empty when nothing predicts it.
        remark: why it is not predicted, or what to know about it.
    """

    fact_id: str
    study: str
    unit: str
    model_ids: tuple[str, ...]
    overlaps: tuple[str, ...]
    comparisons: tuple[Comparison, ...]
    remark: str

    @property
    def max_error_pct(self) -> float:
        """Largest absolute error; NaN when nothing is predicted."""
        return max((abs(pair.error_pct) for pair in self.comparisons), default=math.nan)

    @property
    def median_error_pct(self) -> float:
        """Median absolute error; NaN when nothing is predicted."""
        return float(np.median([abs(pair.error_pct) for pair in self.comparisons])) if self.comparisons else math.nan


@dataclass(frozen=True, slots=True, kw_only=True)
class _Plan:
    """How to predict a figure: `statistic` (curve, cmax, tmax, auc, thalf, auc_ratio) of `analyte` at `site`."""

    regimen: Regimen
    analyte: Analyte
    statistic: str
    site: Site = Site.VENOUS
    weight_kg: float = REFERENCE_WEIGHT_KG
    until_h: float = math.inf


def exposure_checks() -> tuple[ExposureCheck, ...]:
    """Every held-out observation with its prediction, in the order of the evidence.

    >>> checks = {check.fact_id: check for check in exposure_checks()}
    >>> checks["obs_grant1981_oral"].comparisons[0].error_pct < 0
    True
    """
    return tuple(_check(observation) for observation in pharmacology("observations"))


def model_table_checks() -> tuple[ExposureCheck, ...]:
    """The intranasal model against its authors' simulations: a check of this code, not of the model.

    >>> max(check.max_error_pct for check in model_table_checks() if "noresketamine_auc" not in check.fact_id) < 1.0
    True
    """
    return tuple(_model_check(figure) for figure in pharmacology("model_exposure"))


def exposure_validation_markdown() -> str:
    """Both comparisons as a page, each data set and each figure, none left out."""
    checks, model_checks = exposure_checks(), model_table_checks()
    lines = [
        "# Exposure: predicted and observed",
        "",
        "Typical-value predictions of the default models against all published observations this project holds.",
        "Nothing was fitted to them. *Overlap* marks people in whom the model itself was estimated. Observed figures",
        "are means or medians of groups, some digitised by third parties; an observed range counts as met anywhere",
        "inside it. Errors are in per cent of the observed figure. Two things cannot be tested, for want of",
        "observations: levels after intranasal esketamine, and the spread between patients at 0.5 mg/kg.",
        "",
        "## Held-out observations",
        "",
        *table(
            ["Observation", "Study", "Model", "Overlap", "n", "Max error %", "Median error %", "Remark"],
            map(_summary_row, checks),
        ),
        "",
        "## Every figure",
        "",
        *table(
            ["Observation", "Figure", "Unit", "Observed", "Predicted", "Error %"],
            (row for check in checks for row in _figure_rows(check)),
        ),
        "",
        "## The intranasal model against its own table",
        "",
        "Simulations printed by the model's authors: a check of this implementation. The older stratum's age is not",
        f"printed; {_OLDER_AGE_YEARS:g} years reproduces it. The printed norketamine areas do not follow from the",
        "printed parameters.",
        "",
        *table(
            ["Figure", "n", "Max error %", "Median error %"],
            (
                (check.study, len(check.comparisons), f"{check.max_error_pct:.1f}", f"{check.median_error_pct:.1f}")
                for check in model_checks
            ),
        ),
        "",
    ]
    return "\n".join(lines)


def _summary_row(check: ExposureCheck) -> list[str]:
    errors = (
        [f"{check.max_error_pct:.0f}", f"{check.median_error_pct:.0f}"] if check.comparisons else ["not predicted", ""]
    )
    return [
        check.fact_id,
        check.study,
        " + ".join(check.model_ids),
        "overlap" if any(overlap in model for overlap in check.overlaps for model in check.model_ids) else "",
        str(len(check.comparisons)),
        *errors,
        check.remark,
    ]


def _figure_rows(check: ExposureCheck) -> Iterator[Sequence[str]]:
    for pair in check.comparisons:
        observed = (
            f"{pair.observed:.4g}" if pair.observed_hi is None else f"{pair.observed:.4g} to {pair.observed_hi:.4g}"
        )
        yield check.fact_id, pair.what, check.unit, observed, f"{pair.predicted:.4g}", f"{pair.error_pct:+.0f}"


def _check(observation: PharmacologyFact) -> ExposureCheck:
    plans, remark = _plans()[observation.id]
    comparisons: list[Comparison] = []
    models: list[str] = []
    if plans and plans[0].statistic == "curve":
        times = [given(point.time_h) for point in observation.points]
        profile = _profile(plans[0], times)
        models.extend(profile.model_ids)
        for point, level in zip(observation.points, profile.median, strict=True):
            predicted = _in_unit(float(level), observation.unit, plans[0].analyte)
            comparisons.append(Comparison(what=f"at {point.label}", observed=given(point.value), predicted=predicted))
    else:
        for plan, (what, low, high) in zip(plans, _observed(observation), strict=False):
            value, used = _predicted(plan)
            models.extend(used)
            predicted = _in_unit(value, observation.unit, plan.analyte)
            comparisons.append(Comparison(what=what, observed=low, observed_hi=high, predicted=predicted))
    if observation.provenance.verified is Verified.RECALLED:
        remark = f"{remark} Recalled, not read.".strip()
    return ExposureCheck(
        fact_id=observation.id,
        study=f"{observation.study}: {observation.analyte}, {observation.dose}",
        unit=observation.unit or "",
        model_ids=tuple(dict.fromkeys(models)),
        overlaps=observation.overlaps_models,
        comparisons=tuple(comparisons),
        remark=remark,
    )


def _observed(observation: PharmacologyFact) -> list[tuple[str, float, float | None]]:
    """What, the figure or the low end of its range, the high end."""
    if observation.points:
        return [(point.label, given(point.value), None) for point in observation.points]
    if observation.value is not None:
        return [(observation.quantity, observation.value, None)]
    band = observation.spread[0]
    return [(observation.quantity, given(band.lo), given(band.hi))]


def _profile(plan: _Plan, times_h: list[float]) -> ExposureProfile:
    return simulate_exposure(
        plan.regimen,
        analyte=plan.analyte,
        site=plan.site,
        times_h=times_h,
        variation=typical(weight_kg=plan.weight_kg),
    )


def _predicted(plan: _Plan) -> tuple[float, tuple[str, ...]]:
    """The statistic in ng/mL and h, and the models used."""
    session = plan.regimen.administrations[0]
    if plan.statistic == "prolonged_auc":
        amount = session.amount_mg(plan.weight_kg)
        area = oral_prolonged_release_area(amount, typical(weight_kg=plan.weight_kg))
        return float(area[0]), (KAMP,)
    profile = _profile(plan, [])
    match plan.statistic:
        case "cmax":
            return profile.cmax, profile.model_ids
        case "tmax":
            return profile.tmax_h, profile.model_ids
        case "auc_ratio":
            parent = Analyte.S_KETAMINE if plan.analyte is Analyte.S_HYDROXYNORKETAMINE else Analyte.KETAMINE
            below = _profile(replace(plan, analyte=parent), [])
            return profile.auc_h / below.auc_h, profile.model_ids + below.model_ids
    person = typical(weight_kg=plan.weight_kg)
    model = exposure_model(session.drug, session.route, analyte=plan.analyte, site=plan.site)
    modes = model.build(person, plan.analyte)
    if plan.statistic == "thalf":
        return math.log(2.0) / float(modes.rates_per_h.min()), profile.model_ids
    inputs = [entering for entering in exposure_inputs(plan.regimen) if entering.channel in modes.channels]
    area = area_under_curve(modes, inputs, weight_kg=person.weight_kg, until_h=plan.until_h)
    return float(area[0]), profile.model_ids


def _in_unit(value: float, unit: str | None, analyte: Analyte) -> float:
    """A value in ng/mL and h, in the unit of an observation."""
    if unit == "nmol/mL":
        substance = analyte.split("_")[-1]
        molar_mass = given(fact(f"molar_mass_{substance}").value)
        return value / nmol_per_ml_to_ng_per_ml(1.0, molar_mass_g_per_mol=molar_mass)
    return value / HOURS_PER_MINUTE if unit in {"min", "ng*min/mL"} else value


def _model_check(figure: PharmacologyFact) -> ExposureCheck:
    stratum, quantity = figure.population or "", figure.quantity
    ancestry = (
        Ancestry.OTHER if "Caucasian" in stratum else Ancestry.ASIAN if "non-Japanese" in stratum else Ancestry.JAPANESE
    )
    age = np.array([_OLDER_AGE_YEARS]) if stratum.startswith(">60") else None
    person = PkVariation(weight_kg=np.array([REFERENCE_WEIGHT_KG]), age_years=age, ancestry=ancestry)
    analyte = Analyte.S_NORKETAMINE if figure.analyte == "noresketamine" else Analyte.S_KETAMINE
    model = exposure_model(DrugForm.ESKETAMINE, Route.INTRANASAL, analyte=analyte, site=Site.VENOUS)
    modes = model.build(person, analyte)
    comparisons = []
    for point in figure.points:
        inputs = exposure_inputs(_given(DrugForm.ESKETAMINE, Route.INTRANASAL, parse_dose(point.label)))
        if quantity.endswith("Cmax"):
            predicted, _ = peak(modes, inputs, weight_kg=person.weight_kg)
        else:
            predicted = area_under_curve(modes, inputs, weight_kg=person.weight_kg, until_h=24.0)
        comparisons.append(Comparison(what=point.label, observed=given(point.value), predicted=float(predicted[0])))
    return ExposureCheck(
        fact_id=figure.id,
        study=f"{stratum}: {quantity}",
        unit=figure.unit or "",
        model_ids=(model.id,),
        overlaps=(model.id,),
        comparisons=tuple(comparisons),
        remark="",
    )


def _given(drug: DrugForm, route: Route, dose: Dose, *, infusion_min: float = 0.0) -> Regimen:
    infusion_h = infusion_min * HOURS_PER_MINUTE
    return Regimen((DoseAdministration(at_h=0.0, drug=drug, route=route, dose=dose, infusion_h=infusion_h),))


def _escalating(drug: DrugForm, *rates_mg_per_kg_per_h: float) -> Regimen:
    steps = tuple(InfusionStep(rate=Rate(mg_per_kg_per_h=rate), duration_h=1.0) for rate in rates_mg_per_kg_per_h)
    return Regimen((DoseAdministration(at_h=0.0, drug=drug, route=Route.IV, steps=steps),))


def _film(mg: float, *, then_infusion: bool = False) -> Regimen:
    film = _given(DrugForm.ESKETAMINE, Route.SUBLINGUAL, Dose(mg=mg)).administrations
    infusion = DoseAdministration(
        at_h=6.0, drug=DrugForm.ESKETAMINE, route=Route.IV, dose=Dose(mg=20.0), infusion_h=20.0 * HOURS_PER_MINUTE
    )
    return Regimen((*film, infusion) if then_infusion else film)


@cache
def _plans() -> Mapping[str, tuple[tuple[_Plan, ...], str]]:
    """By observation: how its figures are predicted, in their order (fewer plans: the rest is not), and a remark."""
    racemic, esketamine = DrugForm.RACEMIC_KETAMINE, DrugForm.ESKETAMINE
    half = Dose(mg_per_kg=0.5)
    hasan = _given(racemic, Route.IV, Dose(mg=5.0), infusion_min=30.0)
    volunteer = partial(_Plan, regimen=_given(esketamine, Route.IV, Dose(mg=10.0), infusion_min=30.0), weight_kg=68.0)
    to_s, to_racemate = _escalating(esketamine, 0.14, 0.28, 0.57), _escalating(racemic, 0.28, 0.57, 1.14)
    artery = partial(_Plan, site=Site.ARTERIAL)
    no_release = "No model of prolonged-release absorption; only its area is predicted."
    plans: dict[str, tuple[tuple[_Plan, ...], str]] = {
        "obs_krystal1994_range": (
            (
                _Plan(
                    regimen=_given(racemic, Route.IV, half, infusion_min=40.0),
                    analyte=Analyte.KETAMINE,
                    statistic="cmax",
                ),
            ),
            "",
        ),
        "obs_lahti2001_bolus": (
            (
                _Plan(
                    regimen=_given(racemic, Route.IV, Dose(mg_per_kg=0.3)), analyte=Analyte.KETAMINE, statistic="cmax"
                ),
            ),
            "After a bolus the peak is the level at time 0, which nobody samples.",
        ),
        "obs_analgesic_iv": ((), "Neither the length of the infusion nor the time of the sample is stated."),
        "obs_grant1981_oral": (
            (_Plan(regimen=_given(racemic, Route.ORAL, half), analyte=Analyte.KETAMINE, statistic="cmax"),),
            "",
        ),
        "obs_grant1981_im": (
            (_Plan(regimen=_given(racemic, Route.IM, half), analyte=Analyte.KETAMINE, statistic="cmax"),),
            "Absorption is an assumed band; its middle is shown.",
        ),
        "obs_otto_chdr1311_sket": ((volunteer(analyte=Analyte.S_KETAMINE, statistic="curve"),), ""),
        "obs_otto_chdr1311_snk": ((volunteer(analyte=Analyte.S_NORKETAMINE, statistic="curve"),), ""),
        "obs_kamp_fig1a_sket_esketamine": (
            (artery(regimen=to_s, analyte=Analyte.S_KETAMINE, statistic="curve"),),
            "The digitiser calls points where the rate changes unreliable; they are included.",
        ),
        "obs_kamp_fig1b_sket_racemic": (
            (artery(regimen=to_racemate, analyte=Analyte.S_KETAMINE, statistic="curve"),),
            "",
        ),
        "obs_kamp_fig1c_rket_racemic": (
            (artery(regimen=to_racemate, analyte=Analyte.R_KETAMINE, statistic="curve"),),
            "",
        ),
        "obs_kamp_fig1d_snk_esketamine": (
            (artery(regimen=to_s, analyte=Analyte.S_NORKETAMINE, statistic="curve"),),
            "",
        ),
        "obs_kamp_peaks_other": (
            tuple(
                artery(regimen=to_racemate, analyte=analyte, statistic="cmax")
                for analyte in (Analyte.S_NORKETAMINE, Analyte.R_NORKETAMINE)
            ),
            "Total hydroxynorketamine is not predicted: the model knows S alone.",
        ),
        "obs_hasan_iv_cmax_s": ((_Plan(regimen=hasan, analyte=Analyte.S_KETAMINE, statistic="cmax"),), ""),
        "obs_hasan_iv_cmax_r": ((_Plan(regimen=hasan, analyte=Analyte.R_KETAMINE, statistic="cmax"),), ""),
        "obs_hasan_iv_racemic_cmax": ((_Plan(regimen=hasan, analyte=Analyte.KETAMINE, statistic="cmax"),), ""),
        "obs_hasan_iv_racemic_auc": ((_Plan(regimen=hasan, analyte=Analyte.KETAMINE, statistic="auc"),), ""),
        "obs_hasan_iv_racemic_thalf": ((_Plan(regimen=hasan, analyte=Analyte.KETAMINE, statistic="thalf"),), ""),
        "obs_hasan_po_auc": (
            tuple(
                _Plan(
                    regimen=_given(racemic, Route.ORAL, Dose(mg=mg)),
                    analyte=Analyte.KETAMINE,
                    statistic="prolonged_auc",
                )
                for mg in (10.0, 20.0, 40.0, 80.0)
            ),
            "Not independent: the bioavailability is from this study.",
        ),
        "obs_hasan_po_f": ((), "An input of the model, from this study."),
        "obs_hasan_nk_auc_ratio_iv": ((_Plan(regimen=hasan, analyte=Analyte.NORKETAMINE, statistic="auc_ratio"),), ""),
        "obs_hasan_hnk_auc_ratio_iv": (
            (artery(regimen=hasan, analyte=Analyte.S_HYDROXYNORKETAMINE, statistic="auc_ratio"),),
            "Exploratory; R is not predicted. Another abstract of this study contradicts the figure.",
        ),
        "obs_hasan_hnk_auc_ratio_po40": ((), no_release),
        "obs_simons_iv20": (
            tuple(
                artery(
                    regimen=_film(mg, then_infusion=True),
                    analyte=Analyte.S_KETAMINE,
                    statistic="cmax",
                    weight_kg=_FILM_KG,
                )
                for mg in (50.0, 100.0)
            ),
            "The study's own model is not the one used after an infusion.",
        ),
        "obs_langsjo_tci": ((), "A pump's target: its own model and rates are not stated."),
    }
    plans |= {f"obs_hasan_{name}": ((), no_release) for name in ("po_cmax", "po_tmax", "po_thalf", "nk_auc_ratio_oral")}
    for name, analyte in (
        ("s_ketamine", Analyte.S_KETAMINE),
        ("s_norketamine", Analyte.S_NORKETAMINE),
        ("s_hnk", Analyte.S_HYDROXYNORKETAMINE),
    ):
        for statistic in ("cmax", "tmax", "auc"):
            film = partial(artery, analyte=analyte, statistic=statistic, weight_kg=_FILM_KG, until_h=6.0)
            plans[f"obs_simons_film_{name}_{statistic}"] = (tuple(film(regimen=_film(mg)) for mg in (50.0, 100.0)), "")
    return plans
