"""Readings during a session: entering and correcting them, what they fire, what is due, and the clocks.

Readings are discrete and typed. Nothing is inferred from a missing one, and a rule fires on the entered reading alone.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum
from functools import cache
from types import MappingProxyType

from afterglow.clinic.acting import Act, Outcome, check_utc, minutes_between
from afterglow.clinic.factbook import check_facts
from afterglow.clinic.policy import SitePolicy
from afterglow.clinic.rulebook import DATA, Delivery, Group, Severity, comparisons, rule, rules_of, sources
from afterglow.clinic.ruling import Finding, Verdict, judge_all
from afterglow.clinic.session import SESSION, Reading, TreatmentSession, check_policy, standing_readings
from afterglow.errors import Conflict, InvalidData, MissingValue, NotFound, OutOfRange, WrongOrder, echo
from afterglow.predicates import Fact
from afterglow.records import read_record

_EARLIEST_BEFORE_ARRIVAL = timedelta(hours=1)  # Assumption: a set read in the waiting room before check-in
_FIRST_HOUR_MIN = 60.0  # a long infusion is watched like a short one for its first hour (S036)


class DueState(StrEnum):
    """Where a planned reading stands; missed: its time is over and a later one is due."""

    UPCOMING = "upcoming"
    DUE = "due"
    OVERDUE = "overdue"
    DONE = "done"
    MISSED = "missed"


@dataclass(frozen=True, slots=True, kw_only=True)
class DueReading:
    """A planned reading; `overdue_min` is 0 unless it is overdue."""

    what: str
    due_at: datetime
    state: DueState
    overdue_min: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Clocks:
    """The room's clocks in minutes; None before they start.

    Args:
        earliest_leave_at: None while that cannot be told yet (an infusion that still runs).
    """

    since_first_dose_min: float | None
    since_last_reading_min: float | None
    since_dose_end_min: float | None
    phase: str | None
    earliest_leave_at: datetime | None
    next_reading: DueReading | None


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadingLimit:
    """What a reading can be, closed bounds."""

    name: str
    text: str
    unit: str
    low: float
    high: float


def enter_reading(
    session: TreatmentSession, reading: Reading, act: Act, *, policy: SitePolicy
) -> Outcome[TreatmentSession]:
    """Add a set of readings; the facts written are the reading and every escalation rule that it meets.

    A reading typed late counts from when it was taken.

    Raises: WrongState, NotPermitted; OutOfRange, WrongOrder, MissingValue for a slip; Conflict for an id used already.
    """
    SESSION.check(session.state, "enter_reading", act)
    _check_reading(session, reading, act)
    if reading.supersedes is not None or reading.entered_in_error:
        raise Conflict("A new reading replaces nothing", next_step="Correct the reading instead")
    return _with_reading(session, reading, policy)


def correct_reading(
    session: TreatmentSession, reading: Reading, act: Act, *, policy: SitePolicy
) -> Outcome[TreatmentSession]:
    """A reading that supersedes another, or marks it entered in error; the old one stays as it was written.

    Raises: as `enter_reading`; NotFound unless it supersedes a reading that stands.
    """
    SESSION.check(session.state, "correct_reading", act)
    _check_reading(session, reading, act)
    if reading.supersedes not in {each.id for each in standing_readings(session.readings)}:
        raise NotFound(
            "The reading to correct does not stand",
            observed=echo(reading.supersedes),
            next_step="Correct the last version of it",
        )
    return _with_reading(session, reading, policy)


def reading_facts(session: TreatmentSession, reading: Reading, policy: SitePolicy) -> dict[str, Fact | None]:
    """What one reading says to the rules, with its rise over the last pressure before the dose.

    >>> from datetime import UTC
    >>> from afterglow.clinic.policy import demo_policy
    >>> from afterglow.quantities import DrugForm
    >>> now = datetime(2026, 1, 5, 9, tzinfo=UTC)
    >>> session = TreatmentSession(id="s1", patient_id="p1", course_id="c1", delivery=Delivery.IV,
    ...                            drug=DrugForm.RACEMIC_KETAMINE, number=1, week=1, planned_at=now)
    >>> reading = Reading(id="r1", taken_at=now, entered_at=now, by="rn1", spo2_pct=93)
    >>> facts = reading_facts(session, reading, demo_policy())
    >>> facts["vitals.spo2"], facts["bp.systolic"] is None
    (93, True)
    """
    found: dict[str, Fact | None] = {
        "bp.systolic": reading.systolic_mmhg,
        "bp.diastolic": reading.diastolic_mmhg,
        "vitals.heart_rate": reading.heart_rate_per_min,
        "vitals.spo2": reading.spo2_pct,
        "vitals.respiratory_rate": reading.respiratory_rate_per_min,
        "moaas.score": reading.moaas,
        "bp.consecutive_readings_at_level": _at_level(session, reading, policy),
    }
    base = baseline(session)
    after = session.dose_started_at is not None and reading.taken_at >= session.dose_started_at
    if base is not None and after and reading.systolic_mmhg is not None and reading.diastolic_mmhg is not None:
        before_s, before_d = base.systolic_mmhg or 0, base.diastolic_mmhg or 0
        rise_s, rise_d = reading.systolic_mmhg - before_s, reading.diastolic_mmhg - before_d
        found["bp.systolic_rise"], found["bp.diastolic_rise"] = rise_s, rise_d
        found["bp.change_from_baseline_pct"] = round(max(100 * rise_s / before_s, 100 * rise_d / before_d), 6)
    return found | dict(reading.symptoms)


def latest_facts(session: TreatmentSession, policy: SitePolicy) -> dict[str, Fact | None]:
    """Each vital sign as last read: what the gates before a dose look at. What was never read stays unknown."""
    found: dict[str, Fact | None] = {}
    for reading in standing_readings(session.readings):
        known = reading_facts(session, reading, policy).items()
        found |= {name: value for name, value in known if value is not None}
    return found


def judge_reading(session: TreatmentSession, reading: Reading, policy: SitePolicy) -> tuple[Finding, ...]:
    """Every escalation rule against one reading."""
    facts = reading_facts(session, reading, policy)
    return judge_all(rules_of(Group.ESCALATION, delivery=session.delivery), facts, policy, delivery=session.delivery)


def escalations(session: TreatmentSession, policy: SitePolicy) -> tuple[Finding, ...]:
    """Escalation rules as they stand: met and not cleared by a later reading; an emergency is not cleared by one.

    A later reading clears a rule only where it can be judged on it.
    """
    standing: dict[str, Finding] = {}
    for reading in standing_readings(session.readings):
        for found in judge_reading(session, reading, policy):
            before = standing.get(found.rule)
            stays = before is not None and before.verdict is Verdict.HIT and before.severity is Severity.EMERGENCY
            if found.verdict is Verdict.HIT or (found.verdict is Verdict.CLEAR and not stays):
                standing[found.rule] = found
    return tuple(each for each in standing.values() if each.verdict is Verdict.HIT)


def baseline(session: TreatmentSession) -> Reading | None:
    """The last standing pressure before the dose; None if there is none."""
    start = session.dose_started_at
    before = [
        each
        for each in standing_readings(session.readings)
        if each.systolic_mmhg is not None and (start is None or each.taken_at < start)
    ]
    return before[-1] if before else None


def due_readings(session: TreatmentSession, at: datetime, *, policy: SitePolicy) -> tuple[DueReading, ...]:
    """Planned readings as they stand at a time: a list of times after a dose, the next one during an infusion.

    A reading counts for a planned time from `monitoring.early_minutes` before it until the next planned one.
    """
    check_utc(at, what="The time of a clock")
    start = _first_dose_at(session)
    if start is None:
        return ()
    if is_infusion(session):
        return (_interval_due(session, start, at, policy),)
    return tuple(_scheduled(session, start, at, policy))


def monitoring_facts(session: TreatmentSession, at: datetime, *, policy: SitePolicy) -> dict[str, Fact | None]:
    """What the monitoring rules ask at a time; unknown before the dose."""
    start = _first_dose_at(session)
    if start is None:
        return {}
    since = minutes_between(start, at)
    due = due_readings(session, at, policy=policy)
    overdue = max((each.overdue_min for each in due), default=0.0)
    after = [each for each in standing_readings(session.readings) if each.taken_at >= start]
    last = after[-1] if after else None
    end = session.dose_ended_at
    found: dict[str, Fact | None] = {
        "session.minutes_since_dose_end": None if end is None else minutes_between(end, at),
        "readings.spo2_overdue_min": overdue,
        "readings.vitals_overdue_min": overdue,
        "readings.vitals_age_min": minutes_between(start if last is None else last.taken_at, at),
        "readings.set_without_moaas": None if last is None else last.moaas is None,
        "readings.set_without_dissociation": None if last is None else last.dissociated is None,
    }
    if session.delivery is Delivery.ESK:
        figures = rule("S030").figures
        low, high = figures["window_from"], figures["window_to"]
        minutes = [minutes_between(start, each.taken_at) for each in after if each.systolic_mmhg is not None]
        found["session.minutes_since_first_device"] = since
        found["readings.bp_in_40_min_window"] = any(low <= each <= high for each in minutes)
    if is_infusion(session):
        found["session.minutes_since_infusion_start"] = since
        found["session.phase"] = phase(session, at, policy)
    return found


def judge_monitoring(session: TreatmentSession, at: datetime, *, policy: SitePolicy) -> tuple[Finding, ...]:
    """Every monitoring rule at a time: what is late, what a set lacks."""
    rules = rules_of(Group.MONITORING, delivery=session.delivery)
    return judge_all(rules, monitoring_facts(session, at, policy=policy), policy, delivery=session.delivery)


def phase(session: TreatmentSession, at: datetime, policy: SitePolicy) -> str | None:
    """infusion, long_infusion (after its first hour) or post_infusion; None for what is not infused, or before it."""
    start = session.dose_started_at
    if start is None or not is_infusion(session):
        return None
    if session.dose_ended_at is not None and at >= session.dose_ended_at:
        return "post_infusion"
    planned_h = 0.0 if session.prepared is None else session.prepared.minutes / 60.0
    long = planned_h >= policy.number("monitoring.long_infusion_hours")
    return "long_infusion" if long and minutes_between(start, at) >= _FIRST_HOUR_MIN else "infusion"


def is_infusion(session: TreatmentSession) -> bool:
    """Whether the dose runs over time."""
    return session.prepared is not None and session.prepared.minutes > 0


def earliest_leave(session: TreatmentSession, *, policy: SitePolicy) -> datetime | None:
    """The first moment at which time alone allows leaving; None while the dose still runs.

    120 min from the first device for intranasal esketamine (label); from the end of the dose for the others (site).
    """
    if session.delivery is Delivery.ESK:
        start = _first_dose_at(session)
        (limit,) = comparisons(rule("S031").when)
        return None if start is None else start + timedelta(minutes=float(limit.value))  # type: ignore[arg-type]
    names = {Delivery.IV: "S061.iv_minutes", Delivery.IM: "S061.im_sc_minutes", Delivery.SC: "S061.im_sc_minutes"}
    minutes = policy.number(names.get(session.delivery, "S066.minutes"))
    return None if session.dose_ended_at is None else session.dose_ended_at + timedelta(minutes=minutes)


def clocks(session: TreatmentSession, at: datetime, *, policy: SitePolicy) -> Clocks:
    """What stands on the room's screen at a time."""
    start = _first_dose_at(session)
    standing = standing_readings(session.readings)
    open_now = (DueState.OVERDUE, DueState.DUE, DueState.UPCOMING)
    due = [each for each in due_readings(session, at, policy=policy) if each.state in open_now]
    return Clocks(
        since_first_dose_min=None if start is None else minutes_between(start, at),
        since_last_reading_min=minutes_between(standing[-1].taken_at, at) if standing else None,
        since_dose_end_min=None if session.dose_ended_at is None else minutes_between(session.dose_ended_at, at),
        phase=phase(session, at, policy),
        earliest_leave_at=earliest_leave(session, policy=policy),
        next_reading=due[0] if due else None,
    )


def is_falling(session: TreatmentSession) -> bool | None:
    """Whether the pressure falls: the last one is not above the one before, and below the highest or at baseline.

    Of systolic and diastolic alike. None with fewer than two pressures since the dose started.
    """
    start = session.dose_started_at
    found = [each for each in standing_readings(session.readings) if each.systolic_mmhg is not None]
    after = [each for each in found if start is not None and each.taken_at >= start]
    if len(after) < 2:
        return None
    base = baseline(session)
    pairs = [(each.systolic_mmhg or 0, each.diastolic_mmhg or 0) for each in after]
    (last_s, last_d), (before_s, before_d) = pairs[-1], pairs[-2]
    not_rising = last_s <= before_s and last_d <= before_d
    below_peak = last_s < max(s for s, _ in pairs)
    at_base = base is not None and last_s <= (base.systolic_mmhg or 0) and last_d <= (base.diastolic_mmhg or 0)
    return at_base or (not_rising and below_peak)


@cache
def reading_limits() -> Mapping[str, ReadingLimit]:
    """What each reading can be, by field.

    >>> reading_limits()["spo2_pct"].high
    100.0
    """
    file = read_record(DATA, "readings.yaml")
    found = {}
    for row in file.records("readings"):
        low, high = row.pair("range", float)
        name, text, unit = row.text("name"), row.text("text"), row.text("unit")
        provenance = row.provenance()
        if any(key not in sources() for key in provenance.source):
            raise InvalidData("readings.yaml: no such source", observed=", ".join(provenance.source))
        found[name] = row.close(ReadingLimit(name=name, text=text, unit=unit, low=float(low), high=float(high)))
    return MappingProxyType(file.close(found))


def _with_reading(session: TreatmentSession, reading: Reading, policy: SitePolicy) -> Outcome[TreatmentSession]:
    check_policy(session, policy)
    now = replace(session, readings=(*session.readings, reading))
    fired = () if reading.entered_in_error else judge_reading(now, reading, policy)
    return Outcome(now=now, written=(reading, *(each for each in fired if each.verdict is Verdict.HIT)))


def _check_reading(session: TreatmentSession, reading: Reading, act: Act) -> None:
    check_utc(reading.taken_at, what="The time of a reading")
    if reading.id in {each.id for each in session.readings}:
        raise Conflict("A reading with this id was entered already", observed=echo(reading.id))
    if (reading.by, reading.entered_at) != (act.by, act.at):
        raise Conflict("Who enters a reading and when is the act's", next_step="Take both from the act")
    earliest = None if session.arrived_at is None else session.arrived_at - _EARLIEST_BEFORE_ARRIVAL
    if reading.taken_at > reading.entered_at or (earliest is not None and reading.taken_at < earliest):
        raise WrongOrder(
            "The time of the reading is refused",
            observed=f"taken {reading.taken_at:%Y-%m-%d %H:%M} UTC",
            allowed=f"from an hour before arrival to {reading.entered_at:%Y-%m-%d %H:%M} UTC",
            next_step="Correct when it was taken",
        )
    check_facts(dict(reading.symptoms))
    values = {name: getattr(reading, name) for name in reading_limits()}
    known = {name: value for name, value in values.items() if value is not None}
    if reading.entered_in_error == bool(known or reading.symptoms or reading.dissociated is not None):
        raise MissingValue("A reading holds at least one value, and one entered in error holds none")
    for name, value in known.items():
        _check_limit(reading_limits()[name], value)
    if (reading.systolic_mmhg is None) != (reading.diastolic_mmhg is None):
        raise MissingValue("A pressure has two numbers", next_step="Enter systolic and diastolic")
    if reading.systolic_mmhg is not None and reading.systolic_mmhg <= (reading.diastolic_mmhg or 0):
        raise WrongOrder(
            "Systolic is above diastolic", observed=f"{reading.systolic_mmhg}/{reading.diastolic_mmhg} mmHg"
        )


def _check_limit(limit: ReadingLimit, value: int) -> None:
    if not limit.low <= value <= limit.high:
        raise OutOfRange(
            f"The {limit.text} is refused",
            observed=f"{value} {limit.unit}",
            allowed=f"{limit.low:g} to {limit.high:g} {limit.unit}",
            next_step="Correct the number",
            about=limit.name,
        )


def _first_dose_at(session: TreatmentSession) -> datetime | None:
    """The first device, or where none was used the hand-over; the start of an infusion or injection."""
    return session.given[0].at if session.delivery is Delivery.ESK and session.given else session.dose_started_at


def _at_level(session: TreatmentSession, reading: Reading, policy: SitePolicy) -> int | None:
    """How many standing pressures in a row, the last being this one, are at the level of S042, minutes apart."""
    if reading.systolic_mmhg is None:
        return None
    apart = policy.number("S042.minutes_apart")
    systolic, diastolic = policy.number("S042.systolic"), policy.number("S042.diastolic")
    earlier = [
        each
        for each in standing_readings(session.readings)
        if each.systolic_mmhg is not None and each.taken_at < reading.taken_at
    ]
    count, counted_at = 0, None
    for each in [reading, *reversed(earlier)]:
        if (each.systolic_mmhg or 0) < systolic and (each.diastolic_mmhg or 0) < diastolic:
            break
        if counted_at is None or minutes_between(each.taken_at, counted_at) >= apart:
            count, counted_at = count + 1, each.taken_at
    return count


def _scheduled(session: TreatmentSession, start: datetime, at: datetime, policy: SitePolicy) -> Iterator[DueReading]:
    name = {Delivery.ESK: "esketamine", Delivery.SL: "oral", Delivery.PO: "oral"}.get(session.delivery, "injection")
    minutes = policy.numbers(f"monitoring.{name}_minutes")
    early = policy.number("monitoring.early_minutes")
    taken = [minutes_between(start, each.taken_at) for each in standing_readings(session.readings)]
    now = minutes_between(start, at)
    for place, due in enumerate(minutes):
        until = minutes[place + 1] - early if place + 1 < len(minutes) else float("inf")
        state = DueState.UPCOMING
        if any(due - early <= each < until for each in taken):
            state = DueState.DONE
        elif now >= until:
            state = DueState.MISSED
        elif now > due:
            state = DueState.OVERDUE
        elif now >= due - early:
            state = DueState.DUE
        yield DueReading(
            what=f"{due:g} min",
            due_at=start + timedelta(minutes=due),
            state=state,
            overdue_min=now - due if state is DueState.OVERDUE else 0.0,
        )


def _interval_due(session: TreatmentSession, start: datetime, at: datetime, policy: SitePolicy) -> DueReading:
    names = {"infusion": "S033.during_infusion_every_min", "long_infusion": "S036.every_min"}
    now_phase = phase(session, at, policy) or "infusion"
    every = policy.number(names.get(now_phase, "S033.after_every_min"))
    after = [each.taken_at for each in standing_readings(session.readings) if each.taken_at >= start]
    due_at = (after[-1] if after else start) + timedelta(minutes=every)
    late = minutes_between(due_at, at)
    early = policy.number("monitoring.early_minutes")
    state = DueState.OVERDUE if late > 0 else DueState.DUE if late >= -early else DueState.UPCOMING
    return DueReading(what=f"every {every:g} min", due_at=due_at, state=state, overdue_min=max(late, 0.0))
