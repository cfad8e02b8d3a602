"""A session as its flow sheet shows it: what was entered, over what the model expects of this dose in this person.

The model unlocks nothing: leaving is a rule's matter, and the bedside monitor alarms.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import lru_cache

import numpy as np

from afterglow.clinic import (
    Delivery,
    DueState,
    Reading,
    SitePolicy,
    TreatmentSession,
    baseline,
    due_readings,
    earliest_leave,
    standing_readings,
)
from afterglow.clinic.monitoring import is_infusion
from afterglow.clinic.rulebook import rule
from afterglow.clinic.thresholds import comparisons, with_values
from afterglow.errors import NoModel, OutOfRange
from afterglow.quantities import HOURS_PER_MINUTE, Dose, Rate
from afterglow.render.axes import Calendar
from afterglow.render.lanes import (
    FlowDose,
    FlowEvent,
    FlowReading,
    FlowSheet,
    Lane,
    PredictedBand,
    PredictedSession,
    SiteLimit,
)
from afterglow.render.marks import series
from afterglow.render.ready import ReadyData
from afterglow.render.text import format_day
from afterglow.therapy.acute import AcuteEffects, Rise, simulate_acute
from afterglow.therapy.exposure import PkVariation
from afterglow.therapy.population import Belief, Circumstances, draw_patients, load_population
from afterglow.therapy.regimen import DoseAdministration, InfusionStep, Regimen
from afterglow.therapy.setting import Condition

N_PEOPLE = 512
DOTS = 20  # each 1 chance in 20
_LOOK_AHEAD_H = 12.0
_STEP_H = 2.0 * HOURS_PER_MINUTE
_BEFORE_H, _AFTER_H, _LONGEST_AFTER_H = 0.25, 0.5, 4.0
_DEVICE_GAP_MIN = 5.0  # Source: spravato_ifu, five minutes between devices (rule S022)
_UG_PER_MG = 1000.0
_LIMITS: tuple[tuple[str, str, Lane], ...] = (
    ("S041", "bp.systolic", "pressure"),
    ("S044", "vitals.spo2", "oxygen"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionOutlook:
    """What the model expects of a session's drug.

    Args:
        origin_at: time 0 of `acute`: the first of the drug, given or planned.
        acute: over `acute.times_h`, from the first of the drug on.
        ready_h: `DOTS` equally likely times (h since the origin) from which nothing is left; infinite if later than
            the model looks.
        regimen: what it was computed for.
        weight_kg: None for the weights of the population.
    """

    origin_at: datetime
    acute: AcuteEffects
    ready_h: tuple[float, ...]
    regimen: Regimen
    weight_kg: float | None


def session_outlook(
    session: TreatmentSession, *, at: datetime, age_years: float | None = None, seed: int = 0
) -> SessionOutlook | None:
    """What the model expects of the dose that was prepared, or given so far.

    Devices that are still to come are assumed five minutes apart; a stopped infusion counts as what was given.
    None where nothing is prepared or no model exists for the drug by this route.

    Args:
        session: at any stage.
        at: when the dose is assumed to start if it has not.
        age_years: from 65 on pressure rises more; unknown counts as younger.
        seed: of the virtual people.
    """
    if session.prepared is None or (session.dose_ended_at is not None and not session.given_ug):
        return None
    origin_at = _origin(session, at)
    try:
        regimen, weight_kg = _regimen(session, origin_at), session.prepared.weight_kg
        acute, ready_h = _effects(regimen, weight_kg, age_years, seed)
    except (NoModel, OutOfRange):
        return None
    return SessionOutlook(origin_at=origin_at, acute=acute, ready_h=ready_h, regimen=regimen, weight_kg=weight_kg)


def flow_sheet(
    session: TreatmentSession,
    *,
    at: datetime,
    policy: SitePolicy,
    zone: str,
    outlook: SessionOutlook | None,
    draft: FlowReading | None = None,
) -> FlowSheet:
    """The flow sheet of a session at a time.

    Args:
        session: at any stage.
        at: now.
        policy: the one the session runs under: its limits are drawn with their status.
        zone: IANA name of the clinic's time zone.
        outlook: what the model expects; None draws no band.
        draft: what is typed but not saved yet.
    """
    over = session.left_at is not None
    at = at if session.left_at is None else min(at, session.left_at)
    origin_at = _origin(session, at)
    clock = Calendar(origin_at=origin_at, zone=zone)

    def hours(when: datetime) -> float:
        return (when - origin_at) / timedelta(hours=1)

    due = due_readings(session, at, policy=policy)
    leave_at = session.left_at or earliest_leave(session, policy=policy)
    coming = [each.due_at for each in due if each.state in {DueState.UPCOMING, DueState.DUE, DueState.OVERDUE}]
    readings = [_flow_reading(each, hours(each.taken_at)) for each in standing_readings(session.readings)]
    shown = [*readings, *([] if draft is None else [draft])]
    doses = _doses(session, hours, hours(at))
    events = [FlowEvent(time_h=hours(each.started_at), label=each.term.lower()) for each in session.adverse_events]
    told = [0.0, hours(at), *(each.time_h for each in shown), *(each.time_h for each in events)]
    told += [each.end_h for each in doses]
    last = max(told) if over else max([*told, *([] if leave_at is None else [hours(leave_at)])])
    return FlowSheet(
        title=f"Session {session.number}",
        clock=clock,
        start_h=min([-_BEFORE_H, *(each.time_h - 0.1 for each in shown)]),
        end_h=min(last, hours(at) + _LONGEST_AFTER_H) + _AFTER_H,
        now_h=None if over else hours(at),
        next_reading_h=hours(min(coming)) if coming and not over else None,
        leave_h=None if leave_at is None else hours(leave_at),
        readings=tuple(shown),
        doses=doses,
        events=tuple(events),
        limits=_site_limits(policy),
        predicted=None if outlook is None else _predicted(session, outlook),
        missed_h=tuple(hours(each.due_at) for each in due if each.state is DueState.MISSED),
    )


def ready_data(
    session: TreatmentSession, outlook: SessionOutlook, *, at: datetime, policy: SitePolicy, zone: str
) -> ReadyData:
    """When this session's effects are likely gone, beside the time that the rule sets."""
    leave_at = earliest_leave(session, policy=policy)
    label = {Delivery.ESK: "S031", Delivery.SL: "S066", Delivery.PO: "S066"}.get(session.delivery, "S061")
    return ReadyData(
        title="Likely ready",
        clock=Calendar(origin_at=outlook.origin_at, zone=zone),
        start_h=(at - outlook.origin_at) / timedelta(hours=1),
        ready_h=outlook.ready_h,
        rule_h=None if leave_at is None else (leave_at - outlook.origin_at) / timedelta(hours=1),
        rule=f"rule {label}",
    )


def _origin(session: TreatmentSession, at: datetime) -> datetime:
    if session.given and session.delivery is Delivery.ESK:
        return session.given[0].at
    return session.dose_started_at or max(at, session.planned_at)


def _regimen(session: TreatmentSession, origin_at: datetime) -> Regimen:
    """The drug as it was given, and what is still to come as planned."""
    prepared, route = session.prepared, session.delivery.route
    assert prepared is not None  # noqa: S101  the caller looked

    def given(at_h: float, ug: int, hours: float = 0.0) -> DoseAdministration:
        return DoseAdministration(
            at_h=at_h, drug=session.drug, route=route, dose=Dose(mg=ug / _UG_PER_MG), infusion_h=hours
        )

    if session.delivery is Delivery.ESK:
        at = [(each.at - origin_at) / timedelta(hours=1) for each in session.given]
        doses = [given(at_h, each.amount_ug) for at_h, each in zip(at, session.given, strict=True)]
        each_ug = prepared.amount_ug // max(prepared.devices, 1)
        coming = 0 if session.dose_ended_at else prepared.devices - len(doses)
        first = (at[-1] + _DEVICE_GAP_MIN * HOURS_PER_MINUTE) if at else 0.0
        doses += [given(first + i * _DEVICE_GAP_MIN * HOURS_PER_MINUTE, each_ug) for i in range(coming)]
        return Regimen(tuple(doses))
    ended = session.dose_ended_at
    if ended is None and session.order is not None and session.order.steps:
        steps = tuple(
            InfusionStep(rate=Rate(mg_per_h=each.mg_per_h), duration_h=each.hours) for each in session.order.steps
        )
        return Regimen((DoseAdministration(at_h=0.0, drug=session.drug, route=route, steps=steps),))
    hours = prepared.minutes * HOURS_PER_MINUTE
    if ended is not None and is_infusion(session):
        hours = max((ended - origin_at) / timedelta(hours=1), HOURS_PER_MINUTE)
    amount = session.given_ug if ended is not None else prepared.amount_ug
    return Regimen((given(0.0, amount, hours),))


@lru_cache(maxsize=64)
def _effects(
    regimen: Regimen, weight_kg: float | None, age_years: float | None, seed: int
) -> tuple[AcuteEffects, tuple[float, ...]]:
    """Effects and when they are over, in h since the first of the drug: the same whenever the dose starts."""
    last = regimen.administrations[-1]
    times = np.arange(0.0, last.at_h + last.duration_h + _LOOK_AHEAD_H, _STEP_H)
    acute = simulate_acute(regimen, _people(weight_kg, seed), times, age_years=age_years)
    shares = [(i + 0.5) / DOTS for i in range(DOTS)]
    ready = [np.flatnonzero(acute.ready >= share) for share in shares]
    return acute, tuple(float(times[found[0]]) if found.size else float("inf") for found in ready)


def _people(weight_kg: float | None, seed: int) -> PkVariation:
    patients = draw_patients(
        load_population(Condition.DEPRESSION), Circumstances(belief=Belief.OPEN), seed=seed, first=0, count=N_PEOPLE
    )
    weight = patients.weight_kg if weight_kg is None else np.full(N_PEOPLE, weight_kg)
    return PkVariation(weight_kg=weight, deviations=patients.pk.deviations)


def _flow_reading(reading: Reading, time_h: float) -> FlowReading:
    return FlowReading(
        time_h=time_h,
        systolic_mmhg=reading.systolic_mmhg,
        diastolic_mmhg=reading.diastolic_mmhg,
        heart_rate_per_min=reading.heart_rate_per_min,
        spo2_pct=reading.spo2_pct,
        moaas=reading.moaas,
        dissociated=reading.dissociated,
    )


def _doses(session: TreatmentSession, hours: Callable[[datetime], float], now_h: float) -> tuple[FlowDose, ...]:
    """What was given, and what is prepared and not given yet."""
    prepared = session.prepared
    if prepared is None:
        return ()
    if session.delivery is Delivery.ESK:  # five minutes apart: only the last has room for words
        count = len(session.given)
        each_mg = _mg(prepared.amount_ug // prepared.devices)
        words = each_mg if count == 1 else f"{count} devices of {each_mg}"
        return tuple(
            FlowDose(start_h=hours(use.at), end_h=hours(use.at), label=words if i == count else "")
            for i, use in enumerate(session.given, start=1)
        )
    planned_h = prepared.minutes * HOURS_PER_MINUTE
    if session.dose_started_at is None:
        label = _dose_label(prepared.amount_ug, prepared.minutes)
        return (FlowDose(start_h=0.0, end_h=planned_h, label=label, planned=True),)
    ended = session.dose_ended_at
    if ended is None:
        until = min(now_h, planned_h)
        return (FlowDose(start_h=0.0, end_h=until, label=_dose_label(prepared.amount_ug, prepared.minutes)),)
    end_h = hours(ended) if is_infusion(session) else 0.0
    return (FlowDose(start_h=0.0, end_h=end_h, label=_dose_label(session.given_ug, end_h / HOURS_PER_MINUTE)),)


def _dose_label(ug: int, minutes: float) -> str:
    return _mg(ug) if minutes <= 0 else f"{_mg(ug)} in {minutes:.0f} min"


def _mg(ug: int) -> str:
    return f"{ug / _UG_PER_MG:g} mg"


def _site_limits(policy: SitePolicy) -> tuple[SiteLimit, ...]:
    """The limits a nurse looks for, with who signed them."""
    found = []
    for rule_id, fact, lane in _LIMITS:
        of = rule(rule_id)
        compared = comparisons(with_values(of.when, of.settings, policy.own_values))
        value = next(each.value for each in compared if each.fact == fact)
        status = "default, unsigned" if policy.signed_at is None else f"signed {format_day(policy.signed_at.date())}"
        found.append(SiteLimit(lane=lane, value=float(str(value)), label=f"{rule_id} {value:g}, {status}"))
    return tuple(found)


def _predicted(session: TreatmentSession, outlook: SessionOutlook) -> PredictedSession:
    """Expected values: the last pressure and pulse before the dose, and the rise over them."""
    before, acute = baseline(session), outlook.acute

    def band(start: int | None, rise: Rise) -> PredictedBand | None:
        if start is None:
            return None
        return PredictedBand(mean=series(start + rise.mean), sd=series(rise.sd))

    return PredictedSession(
        time_h=series(acute.times_h),
        systolic_mmhg=band(None if before is None else before.systolic_mmhg, acute.systolic_mmhg),
        diastolic_mmhg=band(None if before is None else before.diastolic_mmhg, acute.diastolic_mmhg),
        heart_rate_per_min=band(None if before is None else before.heart_rate_per_min, acute.heart_rate_bpm),
        dissociation=series(acute.dissociation),
    )
