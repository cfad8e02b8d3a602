"""A session as its flow sheet shows it: what was entered, over what the model expects of this dose in this person.

The model unlocks nothing: leaving is a rule's matter, and the bedside monitor alarms.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import lru_cache

import numpy as np

from afterglow.clinic import (
    Delivery,
    DueState,
    RateStep,
    Reading,
    SessionState,
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
from afterglow.clinic.titration import rates_by_run, rates_of
from afterglow.errors import NoModel, OutOfRange
from afterglow.quantities import HOURS_PER_MINUTE, Dose, Rate
from afterglow.render.axes import Calendar
from afterglow.render.flow import (
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

    An infusion counts where it ran, at its rates: while it runs the rest goes on as planned, while it is held nothing
    more comes, and at its end the amount is the stated one. Devices to come are assumed five minutes apart.
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
        rests_on="" if outlook is None else _rests_on(session),
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
        rests_on=_rests_on(session),
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
        coming = 0 if session.dose_ended_at or session.state is SessionState.HELD else prepared.devices - len(doses)
        first = (at[-1] + _DEVICE_GAP_MIN * HOURS_PER_MINUTE) if at else 0.0
        doses += [given(first + i * _DEVICE_GAP_MIN * HOURS_PER_MINUTE, each_ug) for i in range(coming)]
        return Regimen(tuple(doses))
    if not is_infusion(session):
        return Regimen((given(0.0, prepared.amount_ug if session.dose_ended_at is None else session.given_ug),))
    if session.order is None:
        return Regimen((given(0.0, prepared.amount_ug, prepared.minutes * HOURS_PER_MINUTE),))
    doses = []
    for at_h, steps in _stretches(session, origin_at):
        if not steps:
            continue  # held at once, or the ordered rates were over
        if len(steps) == 1 and steps[0].mg_per_h:
            doses.append(given(at_h, round(steps[0].mg_per_h * steps[0].hours * _UG_PER_MG), steps[0].hours))
            continue
        rates = tuple(InfusionStep(rate=Rate(mg_per_h=each.mg_per_h), duration_h=each.hours) for each in steps)
        doses.append(DoseAdministration(at_h=at_h, drug=session.drug, route=route, steps=rates))
    return Regimen(tuple(doses))


def _stretches(session: TreatmentSession, origin_at: datetime) -> list[tuple[float, tuple[RateStep, ...]]]:
    """When drug of an infusion runs, h since the origin, and at what rates; once ended they give the stated amount."""
    assert session.order is not None  # noqa: S101  the caller looked
    assert session.prepared is not None  # noqa: S101
    if not session.runs:
        return [(0.0, rates_of(session.order, session.prepared))]
    ran = [
        ((run.since - origin_at) / timedelta(hours=1), steps)
        for run, steps in zip(session.runs, rates_by_run(session), strict=True)
    ]
    by_rate_ug = sum(_ug(steps) for _, steps in ran)
    if session.dose_ended_at is None or not by_rate_ug:
        return ran
    stated = session.given_ug / by_rate_ug
    return [(at_h, tuple(replace(each, mg_per_h=stated * each.mg_per_h) for each in steps)) for at_h, steps in ran]


def _ug(steps: Iterable[RateStep]) -> float:
    return sum(each.mg_per_h * each.hours for each in steps) * _UG_PER_MG


@lru_cache(maxsize=64)
def _effects(
    regimen: Regimen, weight_kg: float | None, age_years: float | None, seed: int
) -> tuple[AcuteEffects, tuple[float, ...]]:
    """Effects and when they are over, in h since the first of the drug: the same whenever the dose starts."""
    if not regimen.administrations:
        raise NoModel("No drug ran")
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
    planned = _dose_label(prepared.amount_ug, prepared.minutes)
    if session.dose_started_at is None:
        return (FlowDose(start_h=0.0, end_h=prepared.minutes * HOURS_PER_MINUTE, label=planned, planned=True),)
    if not is_infusion(session):
        return (FlowDose(start_h=0.0, end_h=0.0, label=_mg(session.given_ug or prepared.amount_ug)),)
    if len(session.runs) == 1 and session.runs[0].until is None:
        return (FlowDose(start_h=0.0, end_h=min(now_h, prepared.minutes * HOURS_PER_MINUTE), label=planned),)
    return _runs_and_holds(session, hours, now_h)


def _runs_and_holds(
    session: TreatmentSession, hours: Callable[[datetime], float], now_h: float
) -> tuple[FlowDose, ...]:
    """Where an infusion ran, with what ran there, and where it was held."""
    amounts = [_ug(steps) for _, steps in _stretches(session, session.runs[0].since)]
    ended, whole = session.dose_ended_at is not None, session.prepared.amount_ug if session.prepared else 0
    found: list[FlowDose] = []
    for i, run in enumerate(session.runs):
        start_h, end_h = hours(run.since), now_h if run.until is None else hours(run.until)
        if found:
            minutes = (start_h - found[-1].end_h) / HOURS_PER_MINUTE
            found.append(FlowDose(start_h=found[-1].end_h, end_h=start_h, label=f"held {minutes:.0f} min", held=True))
        mg = f"{amounts[i] / _UG_PER_MG:.3g}"
        if run.until is None:
            label = f"goes on, {_mg(whole)} in all"
        else:
            of = "" if ended else f" of {whole / _UG_PER_MG:g}"
            label = f"{mg}{of} mg in {(end_h - start_h) / HOURS_PER_MINUTE:.0f} min"
        found.append(FlowDose(start_h=start_h, end_h=end_h, label=label))
    if session.state is SessionState.HELD:
        found.append(FlowDose(start_h=found[-1].end_h, end_h=max(now_h, found[-1].end_h), label="held now", held=True))
    return tuple(found)


def _rests_on(session: TreatmentSession) -> str:
    """What a prediction rests on where that is not the plan; empty where it is."""
    if session.state is SessionState.HELD:
        return "The dose is held: predicted from what ran so far, as if no more came"
    if len(session.runs) > 1 and is_infusion(session):
        rest = "" if session.dose_ended_at else ", and the rest as planned"
        return f"The dose was held: predicted from what ran{rest}"
    return ""


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
