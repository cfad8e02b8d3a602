"""What a reader of a forecast must know, as data."""

from __future__ import annotations

from afterglow.forecast.answer import ForecastInput, ForecastWarning, Method, WarningCode
from afterglow.forecast.update import LinkedScale, Posterior
from afterglow.quantities import HOURS_PER_DAY, DrugForm
from afterglow.scales import reliable_change, score_total
from afterglow.therapy.exposure import check_doses
from afterglow.therapy.population import Population
from afterglow.therapy.regimen import Regimen, Route
from afterglow.therapy.setting import Condition

_STALE_DAYS = 28.0
_CALIBRATED_ROUTES = {(DrugForm.RACEMIC_KETAMINE, Route.IV), (DrugForm.ESKETAMINE, Route.INTRANASAL)}
_REFERENCE_WEIGHT_KG = 70.0


def warnings_of(
    given: ForecastInput, population: Population, scales: tuple[LinkedScale, ...], posterior: Posterior
) -> tuple[ForecastWarning, ...]:
    """Every warning that applies, in a fixed order."""
    found: list[tuple[WarningCode, str]] = []
    if population.status != "calibrated":
        found.append((WarningCode.PROVISIONAL, f"The model is {population.status}. {population.evidence}"))
    if posterior.method is Method.LAPLACE:
        found.append((WarningCode.LAPLACE, f"The patient is unlike most of the population: {posterior.reason}."))
    if posterior.method is Method.NONE:
        found.append((WarningCode.FAR, f"No forecast: {posterior.reason}."))
    last = scales[-1]
    if last.percent:
        found.append((WarningCode.PERCENT_ONLY, f"{last.name} is known as a percentage of baseline only."))
    elif (
        last.level_sd > 0 and given.scores and min(s.at_h for s in given.scores) > min(given.given.starts_h, default=0)
    ):
        found.append((WarningCode.NO_BASELINE, "No score before treatment: its level is assumed, with wide doubt."))
    if given.scores and given.now_h - given.scores[-1].at_h > _STALE_DAYS * HOURS_PER_DAY:
        age = (given.now_h - given.scores[-1].at_h) / HOURS_PER_DAY
        found.append((WarningCode.STALE, f"The last score is {age:.0f} days old."))
    sessions = (*given.given.administrations, *given.planned.administrations)
    if given.condition is Condition.DEPRESSION:
        strange = {
            f"{s.drug.replace('_', ' ')} {s.route}" for s in sessions if (s.drug, s.route) not in _CALIBRATED_ROUTES
        }
        if strange:
            text = f"{', '.join(sorted(strange))}: the model rests on racemic ketamine iv and nasal esketamine."
            found.append((WarningCode.OUT_OF_RANGE, text))
    elif sessions:
        found.append((WarningCode.OUT_OF_RANGE, f"{given.condition.replace('_', ' ')}: {population.evidence}"))
    weight = given.weight_kg or _REFERENCE_WEIGHT_KG
    found += [(WarningCode.UNUSUAL_DOSE, text) for text in check_doses(Regimen(sessions), weight_kg=weight)]
    if given.given.administrations:
        found.append((WarningCode.UPPER_BOUND, "The part credited to the drug is an upper bound."))
        found.append(
            (WarningCode.EXTRAPOLATION, "No trial has compared these intervals. This is the model's extrapolation.")
        )
    return tuple(ForecastWarning(code=code, text=text) for code, text in found)


def reliable_change_sentence(given: ForecastInput) -> str | None:
    """The last score against the first of its scale; None without two scores in points."""
    if not given.scores:
        return None
    name = given.scores[-1].scale
    own = [score.points for score in given.scores if score.scale == name and score.points is not None]
    if len(own) < 2:
        return None
    verdict = reliable_change(score_total(name, own[0]), score_total(name, own[-1]))
    if verdict.verdict is None or verdict.change_points is None or verdict.threshold_points is None:
        return f"{name}: no verdict, because {verdict.reason}"
    change = f"{verdict.change_points:+g}".replace("-", "−")
    return f"{name} {change} points, {verdict.verdict} (a change of {verdict.threshold_points:.3g} or more counts)"
