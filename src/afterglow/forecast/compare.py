"""What a plan would bring before its first session: the induction, then one interval or none, on the same patients.

Who has no relief yet cannot lose it, so what is compared is a response twelve weeks from now. Extrapolation: no trial
has compared intervals.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from afterglow.errors import NoModel
from afterglow.forecast.answer import ForecastInput, ForecastWarning, Method
from afterglow.forecast.candidates import case_of
from afterglow.forecast.linking import response_and_remission
from afterglow.forecast.outlook import Outlook
from afterglow.forecast.predict import INTERVALS_DAYS
from afterglow.forecast.update import infer
from afterglow.forecast.warnings import EXTRAPOLATED, warnings_of
from afterglow.quantities import HOURS_PER_DAY
from afterglow.therapy.regimen import DoseAdministration, repeat

AHEAD_DAYS = 84


@dataclass(frozen=True, slots=True, kw_only=True)
class PlanChoice:
    """One way to go on after the induction.

    Args:
        days: between sessions; None for no further session.
        chance: of a response on a score written twelve weeks from now, a fraction.
        sessions: until then, those of the induction counted.
    """

    days: int | None
    chance: float
    sessions: int


@dataclass(frozen=True, slots=True, kw_only=True)
class PlanComparison:
    """Ways to go on side by side.

    Args:
        scale: that the response is on.
        response: the highest score that is one.
        model: which virtual patients, and their version.
    """

    scale: str
    response: float
    choices: tuple[PlanChoice, ...]
    warnings: tuple[ForecastWarning, ...]
    model: str


def compare_plans(
    given: ForecastInput, session: DoseAdministration, *, induction_days: Sequence[float]
) -> PlanComparison:
    """The chance of a response in twelve weeks by how sessions go on after the induction.

    Args:
        given: the patient as of now; what is planned there is left out.
        session: what each session gives; its time is left out.
        induction_days: days from now of the induction's sessions, in order, over 0 and up to 84.
    Raises: NoModel where the scores allow no forecast, or the scale defines no response.

    >>> from datetime import UTC, datetime
    >>> from afterglow.forecast import PatientScore
    >>> from afterglow.quantities import Dose, DrugForm
    >>> from afterglow.therapy.regimen import Regimen, Route
    >>> from afterglow.therapy.setting import Condition
    >>> spray = DoseAdministration(at_h=0.0, drug=DrugForm.ESKETAMINE, route=Route.INTRANASAL, dose=Dose(mg=84.0))
    >>> before = PatientScore(at_h=0.0, scale="PHQ-9", points=20.0)
    >>> patient = ForecastInput(origin_at=datetime(2026, 3, 2, tzinfo=UTC), now_h=0.0, scores=(before,),
    ...                         condition=Condition.DEPRESSION, given=Regimen())
    >>> found = compare_plans(patient, spray, induction_days=(1.0, 4.5, 8.0, 11.5))
    >>> [each.sessions for each in found.choices], found.choices[0].chance > found.choices[-1].chance
    ([14, 9, 6, 4], True)
    """
    first = repeat(session, [given.now_h + HOURS_PER_DAY * day for day in induction_days])
    case = case_of(replace(given, planned=first))
    posterior = infer(case)
    if posterior.method is Method.NONE:
        raise NoModel("There is no forecast to compare plans by", observed=posterior.reason or "no forecast")
    outlook = Outlook(case, posterior, horizon_days=AHEAD_DAYS)
    response, _ = response_and_remission(outlook.scale, outlook.baseline)
    if response is None:
        raise NoModel("The scale defines no response to compare plans by", observed=outlook.scale.name)
    choices = []
    for days in (*INTERVALS_DAYS, None):
        later = () if days is None else np.arange(induction_days[-1] + days, AHEAD_DAYS + 1e-9, days)
        starts = [given.now_h + HOURS_PER_DAY * float(day) for day in (*induction_days, *later)]
        regimen = replace(
            given.given, administrations=(*given.given.administrations, *repeat(session, starts).administrations)
        )
        left = outlook.relief(outlook.some, regimen, outlook.days_h).left
        chance = float(outlook.scores(outlook.some, left).at_most(response)[-1])
        choices.append(PlanChoice(days=days, chance=chance, sessions=len(starts)))
    return PlanComparison(
        scale=outlook.scale.name,
        response=response,
        choices=tuple(choices),
        warnings=(*warnings_of(case, posterior), EXTRAPOLATED),
        model=f"afterglow population {case.population.version}",
    )
