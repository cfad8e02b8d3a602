"""The JSON document of a forecast, and its input back from it. Names are kept, fields may be added."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

import numpy as np

from afterglow import __version__
from afterglow.errors import InputError
from afterglow.forecast import Forecast, ForecastInput, PatientScore, RelapseRule, Trajectory
from afterglow.quantities import Dose, DrugForm, Rate
from afterglow.scales import Definition, instrument
from afterglow.therapy.regimen import DoseAdministration, InfusionStep, Regimen, Route
from afterglow.therapy.setting import Condition
from afterglow.usecases.forecasting import ForecastAnswer, definition_used

Document = dict[str, Any]
SCHEMA = "afterglow.forecast/1"
_DIGITS = 6  # significant; the model promises fewer
_NOTHING = 1e-12  # points or chances: what underflows is nothing


def forecast_document(answer: ForecastAnswer) -> Document:
    """`afterglow.forecast/1`: one row a day, times in the course's zone, numbers to six digits, the input exactly."""
    found = answer.forecast
    return {
        "schema": SCHEMA,
        "version": __version__,
        "model": found.model,
        "status": found.status,
        "seed": found.given.seed,
        "now": _moment(answer, found.given.now_h),
        "timezone": answer.zone,
        "method": str(found.method),
        "reason": found.reason,
        "ess": _number(found.ess),
        "khat": _number(found.khat),
        "scale": found.scale,
        "unit": found.unit,
        "lowest": found.lowest,
        "highest": _number(found.highest),
        "baseline": _number(found.baseline),
        "trajectory": [] if found.trajectory is None else _rows(answer, found.trajectory),
        "sessions": _sessions(answer),
        "p_response": _number(found.p_response),
        "p_remission": _number(found.p_remission),
        "definitions": _definitions(found),
        "relapse": _relapse(found),
        "next_due": _next_due(answer),
        "intervals": [
            {"days": one.days, "p_well_12w": _number(one.p_well_12w), "sessions_12w": one.sessions_12w}
            for one in found.intervals
        ],
        "early_nonresponse": {
            "called": found.early_nonresponse.called,
            "chance": _number(found.early_nonresponse.chance),
            "reason": found.early_nonresponse.reason,
            "source": found.early_nonresponse.source,
        },
        "reliable_change": found.reliable_change,
        "warnings": [{"code": str(one.code), "text": one.text} for one in found.warnings],
        "input": input_document(found.given),
    }


def input_document(given: ForecastInput) -> Document:
    """Everything that a forecast depends on, every number exactly."""
    return {
        "origin_at": given.origin_at.isoformat(),
        "now_h": given.now_h,
        "condition": str(given.condition),
        "scores": [
            {"at_h": s.at_h, "scale": s.scale, "points": s.points, "fraction_of_baseline": s.fraction_of_baseline}
            for s in given.scores
        ],
        "given": [_session(one) for one in given.given.administrations],
        "planned": [_session(one) for one in given.planned.administrations],
        "weight_kg": given.weight_kg,
        "age_years": given.age_years,
        "limit": given.limit,
        "relapse": None
        if given.relapse is None
        else {
            "scale": given.relapse.scale,
            "score_at_least": given.relapse.score_at_least,
            "source": given.relapse.source,
        },
        "seed": given.seed,
    }


def input_from_document(document: Mapping[str, Any]) -> ForecastInput:
    """The input of a forecast document, so that the forecast can be made again.

    Raises: InputError if the input breaks a rule, or a field is missing or of another kind.

    >>> from datetime import UTC
    >>> given = ForecastInput(origin_at=datetime(2026, 3, 2, tzinfo=UTC), now_h=24.0, condition=Condition.DEPRESSION,
    ...                       scores=(PatientScore(at_h=0.0, scale="MADRS", points=31.0),), given=Regimen())
    >>> input_from_document({"input": input_document(given)}) == given
    True
    """
    try:
        return _input(document["input"])
    except (KeyError, TypeError, ValueError) as fault:
        raise InputError(
            "The stored input cannot be read",
            observed=f"{type(fault).__name__} at {fault}" if isinstance(fault, KeyError) else type(fault).__name__,
            allowed=f"a document of {SCHEMA} with its `input` unchanged",
        ) from None


def _input(told: Mapping[str, Any]) -> ForecastInput:
    return ForecastInput(
        origin_at=datetime.fromisoformat(told["origin_at"]),
        now_h=told["now_h"],
        condition=Condition(told["condition"]),
        scores=tuple(PatientScore(**score) for score in told["scores"]),
        given=_regimen(told["given"]),
        planned=_regimen(told["planned"]),
        weight_kg=told["weight_kg"],
        age_years=told["age_years"],
        limit=told["limit"],
        relapse=None if told["relapse"] is None else RelapseRule(**told["relapse"]),
        seed=told["seed"],
    )


def _session(given: DoseAdministration) -> Document:
    return {
        "at_h": given.at_h,
        "drug": str(given.drug),
        "route": str(given.route),
        "dose": None if given.dose is None else {"mg": given.dose.mg, "mg_per_kg": given.dose.mg_per_kg},
        "infusion_h": given.infusion_h,
        "steps": [
            {
                "rate": {"mg_per_h": step.rate.mg_per_h, "mg_per_kg_per_h": step.rate.mg_per_kg_per_h},
                "duration_h": step.duration_h,
            }
            for step in given.steps
        ],
    }


def _regimen(sessions: Sequence[Mapping[str, Any]]) -> Regimen:
    return Regimen(
        tuple(
            DoseAdministration(
                at_h=one["at_h"],
                drug=DrugForm(one["drug"]),
                route=Route(one["route"]),
                dose=None if one["dose"] is None else Dose(**one["dose"]),
                infusion_h=one["infusion_h"],
                steps=tuple(
                    InfusionStep(rate=Rate(**step["rate"]), duration_h=step["duration_h"]) for step in one["steps"]
                ),
            )
            for one in sessions
        )
    )


def _rows(answer: ForecastAnswer, found: Trajectory) -> list[Document]:
    series = {
        "median": found.median,
        "lo50": found.lo50,
        "hi50": found.hi50,
        "lo90": found.lo90,
        "hi90": found.hi90,
        "drug": found.drug,
        "drug_lo90": found.drug_lo90,
        "drug_hi90": found.drug_hi90,
        "expectancy": found.expectancy,
        "care": found.care,
        "control": found.control,
        "p_response": found.p_response,
        "p_remission": found.p_remission,
    }
    return [
        {"at": _moment(answer, time_h), **{name: _number(values[day]) for name, values in series.items()}}
        for day, time_h in enumerate(found.times_h)
    ]


def _sessions(answer: ForecastAnswer) -> list[Document]:
    """Sessions given and planned, each with what it adds to the drug's part on the trajectory's days."""
    found = answer.forecast
    sessions = (*found.given.given.administrations, *found.given.planned.administrations)
    layers: Sequence[np.ndarray[Any, Any]] = ()
    if found.trajectory is not None:
        strip = found.trajectory.strip
        layers = list(strip.drug_layers[:, np.searchsorted(strip.times_h, found.trajectory.times_h)])
    return [
        {
            "at": _moment(answer, session.at_h),
            "what": str(session),
            "planned": i >= len(found.given.given.administrations),
            "drug": [_number(value) for value in layers[i]] if i < len(layers) else None,
        }
        for i, session in enumerate(sessions)
    ]


def _definitions(found: Forecast) -> Document:
    known = instrument(found.scale)
    return {"response": _definition(known.response), "remission": _definition(known.remission)}


def _definition(definitions: tuple[Definition, ...]) -> Document | None:
    used = definition_used(definitions)
    if used is None:
        return None
    return {
        "text": used.text,
        "source": list(used.provenance.source),
        "verified": str(used.provenance.verified),
    }


def _relapse(found: Forecast) -> Document | None:
    relapse = found.relapse
    if relapse is None:
        return None
    return {
        "definition": relapse.definition,
        "source": relapse.source,
        "score_at_least": _number(relapse.score_at_least),
        "state": str(relapse.state),
        "reason": relapse.reason,
        "median_days": _number(relapse.median_days),
        "p_by_day": [[_number(day), _number(chance)] for day, chance in relapse.p_by_day],
    }


def _next_due(answer: ForecastAnswer) -> Document | None:
    due = answer.forecast.next_due
    if due is None:
        return None
    return {
        "on": _day(answer, due.on_h),
        "limit": due.limit,
        "reason": due.reason,
        "on_at_half_limit": _day(answer, due.at_half_h),
        "on_at_twice_limit": _day(answer, due.at_twice_h),
    }


def _moment(answer: ForecastAnswer, time_h: float) -> str:
    return answer.at(float(time_h)).isoformat(timespec="seconds")


def _day(answer: ForecastAnswer, time_h: float | None) -> str | None:
    return None if time_h is None else answer.at(time_h).date().isoformat()


def _number(value: float | np.floating[Any] | None) -> float | None:
    if value is None or not math.isfinite(value):
        return None
    number = float(value)
    return float(f"{number:.{_DIGITS}g}") if abs(number) > _NOTHING else 0.0
