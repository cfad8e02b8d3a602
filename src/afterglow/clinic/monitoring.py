"""What is due during a session, what is late or missed, the clocks, and when the patient may leave at the earliest."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from itertools import pairwise

from afterglow.clinic.acting import minutes_between
from afterglow.clinic.policy import SitePolicy
from afterglow.clinic.readings import baseline, escalations
from afterglow.clinic.rulebook import Delivery, Group, rule, rules_of
from afterglow.clinic.ruling import Finding, judge_all
from afterglow.clinic.session import Reading, TreatmentSession, standing_readings
from afterglow.clinic.thresholds import comparisons
from afterglow.clinic.typed import check_utc
from afterglow.predicates import Fact

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


def due_readings(session: TreatmentSession, at: datetime, *, policy: SitePolicy) -> tuple[DueReading, ...]:
    """Planned readings as they stand at a time: a list of times after a dose, the next one during an infusion.

    A planned time is done when a pressure and a saturation were read for it: from `monitoring.early_minutes` before it
    until the next planned one.

    >>> from datetime import UTC
    >>> from afterglow.clinic.policy import demo_policy
    >>> from afterglow.clinic.session import InfusionRun
    >>> from afterglow.quantities import DrugForm
    >>> start = datetime(2026, 1, 5, 9, tzinfo=UTC)
    >>> session = TreatmentSession(id="s1", patient_id="p1", course_id="c1", delivery=Delivery.IM, number=1, week=1,
    ...                            drug=DrugForm.RACEMIC_KETAMINE, planned_at=start,
    ...                            runs=(InfusionRun(since=start, until=start),), dose_ended_at=start)
    >>> [each.state.value for each in due_readings(session, start + timedelta(minutes=16), policy=demo_policy())][:3]
    ['missed', 'overdue', 'upcoming']
    """
    check_utc(at, what="The time of a clock")
    start, at = first_dose_at(session), _while_here(session, at)
    if start is None:
        return ()
    if is_infusion(session):
        return (_interval_due(session, start, at, policy),)
    return tuple(_scheduled(session, start, at, policy))


def monitoring_facts(session: TreatmentSession, at: datetime, *, policy: SitePolicy) -> dict[str, Fact | None]:
    """What the monitoring rules ask at a time; unknown before the dose.

    >>> from datetime import UTC
    >>> from afterglow.clinic.policy import demo_policy
    >>> from afterglow.clinic.session import InfusionRun
    >>> from afterglow.quantities import DrugForm
    >>> start = datetime(2026, 1, 5, 9, tzinfo=UTC)
    >>> session = TreatmentSession(id="s1", patient_id="p1", course_id="c1", delivery=Delivery.IM, number=1, week=1,
    ...                            drug=DrugForm.RACEMIC_KETAMINE, planned_at=start,
    ...                            runs=(InfusionRun(since=start, until=start),), dose_ended_at=start)
    >>> monitoring_facts(session, start + timedelta(minutes=20), policy=demo_policy())["readings.vitals_overdue_min"]
    5.0
    """
    check_utc(at, what="The time of a check")
    start, at = first_dose_at(session), _while_here(session, at)
    if start is None:
        return {}
    since = minutes_between(start, at)
    due = due_readings(session, at, policy=policy)
    overdue = max((each.overdue_min for each in due), default=0.0)
    after = [each for each in standing_readings(session.readings) if each.taken_at >= start]
    last = after[-1] if after else None
    full = [each for each in after if _is_full(each)]
    end = session.dose_ended_at
    found: dict[str, Fact | None] = {
        "session.minutes_since_dose_end": None if end is None else minutes_between(end, at),
        "readings.spo2_overdue_min": overdue,
        "readings.vitals_overdue_min": overdue,
        "readings.vitals_age_min": minutes_between(full[-1].taken_at if full else start, at),
        "readings.sets_missed": _missed(session, start, at, policy),
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
    """Every monitoring rule at a time: what is late, what a set lacks; none once the patient has left.

    >>> from datetime import UTC
    >>> from afterglow.clinic.policy import demo_policy
    >>> from afterglow.clinic.session import InfusionRun
    >>> from afterglow.quantities import DrugForm
    >>> start = datetime(2026, 1, 5, 9, tzinfo=UTC)
    >>> session = TreatmentSession(id="s1", patient_id="p1", course_id="c1", delivery=Delivery.IM, number=1, week=1,
    ...                            drug=DrugForm.RACEMIC_KETAMINE, planned_at=start,
    ...                            runs=(InfusionRun(since=start, until=start),), dose_ended_at=start)
    >>> found = judge_monitoring(session, start + timedelta(minutes=20), policy=demo_policy())
    >>> [each.rule for each in found if each.verdict == "hit"]  # the sets at 0 and 15 min
    ['S034', 'S037']
    """
    if session.left_at is not None:
        return ()
    rules = rules_of(Group.MONITORING, delivery=session.delivery)
    return judge_all(rules, monitoring_facts(session, at, policy=policy), policy, delivery=session.delivery)


def phase(session: TreatmentSession, at: datetime, policy: SitePolicy) -> str | None:
    """infusion, long_infusion (after its first hour) or post_infusion; None for what is not infused, or before it.

    >>> from datetime import UTC
    >>> from afterglow.clinic.policy import demo_policy
    >>> from afterglow.clinic.session import InfusionRun
    >>> from afterglow.quantities import DrugForm
    >>> start = datetime(2026, 1, 5, 9, tzinfo=UTC)
    >>> session = TreatmentSession(id="s1", patient_id="p1", course_id="c1", delivery=Delivery.IM, number=1, week=1,
    ...                            drug=DrugForm.RACEMIC_KETAMINE, planned_at=start,
    ...                            runs=(InfusionRun(since=start, until=start),), dose_ended_at=start)
    >>> phase(session, start, demo_policy()) is None  # nothing runs after an injection
    True
    """
    check_utc(at, what="The time of a clock")
    start = session.dose_started_at
    if start is None or not is_infusion(session):
        return None
    if session.dose_ended_at is not None and at >= session.dose_ended_at:
        return "post_infusion"
    planned_h = 0.0 if session.prepared is None else session.prepared.minutes / 60.0
    long = planned_h >= policy.number("monitoring.long_infusion_hours")
    return "long_infusion" if long and minutes_between(start, at) >= _FIRST_HOUR_MIN else "infusion"


def first_dose_at(session: TreatmentSession) -> datetime | None:
    """The first device, or where none was used the hand-over; the start of an infusion or injection.

    >>> from datetime import UTC
    >>> from afterglow.clinic.policy import demo_policy
    >>> from afterglow.clinic.session import InfusionRun
    >>> from afterglow.quantities import DrugForm
    >>> start = datetime(2026, 1, 5, 9, tzinfo=UTC)
    >>> session = TreatmentSession(id="s1", patient_id="p1", course_id="c1", delivery=Delivery.IM, number=1, week=1,
    ...                            drug=DrugForm.RACEMIC_KETAMINE, planned_at=start,
    ...                            runs=(InfusionRun(since=start, until=start),), dose_ended_at=start)
    >>> first_dose_at(session) == start
    True
    """
    return session.given[0].at if session.delivery is Delivery.ESK and session.given else session.dose_started_at


def is_infusion(session: TreatmentSession) -> bool:
    """Whether the dose runs over time.

    >>> from datetime import UTC
    >>> from afterglow.clinic.policy import demo_policy
    >>> from afterglow.clinic.session import InfusionRun
    >>> from afterglow.quantities import DrugForm
    >>> start = datetime(2026, 1, 5, 9, tzinfo=UTC)
    >>> session = TreatmentSession(id="s1", patient_id="p1", course_id="c1", delivery=Delivery.IM, number=1, week=1,
    ...                            drug=DrugForm.RACEMIC_KETAMINE, planned_at=start,
    ...                            runs=(InfusionRun(since=start, until=start),), dose_ended_at=start)
    >>> is_infusion(session)
    False
    """
    return session.prepared is not None and session.prepared.minutes > 0


def earliest_leave(session: TreatmentSession, *, policy: SitePolicy) -> datetime | None:
    """The first moment at which time alone allows leaving; None while the dose still runs.

    120 min from the first device for intranasal esketamine (label); from the end of the dose for the others (site).

    >>> from datetime import UTC
    >>> from afterglow.clinic.policy import demo_policy
    >>> from afterglow.clinic.session import InfusionRun
    >>> from afterglow.quantities import DrugForm
    >>> start = datetime(2026, 1, 5, 9, tzinfo=UTC)
    >>> session = TreatmentSession(id="s1", patient_id="p1", course_id="c1", delivery=Delivery.IM, number=1, week=1,
    ...                            drug=DrugForm.RACEMIC_KETAMINE, planned_at=start,
    ...                            runs=(InfusionRun(since=start, until=start),), dose_ended_at=start)
    >>> (earliest_leave(session, policy=demo_policy()) - start).total_seconds() / 60
    90.0
    """
    if session.delivery is Delivery.ESK:
        start = first_dose_at(session)
        (limit,) = comparisons(rule("S031").when)
        return None if start is None else start + timedelta(minutes=float(limit.value))  # type: ignore[arg-type]
    names = {Delivery.IV: "S061.iv_minutes", Delivery.IM: "S061.im_sc_minutes", Delivery.SC: "S061.im_sc_minutes"}
    minutes = policy.number(names.get(session.delivery, "S066.minutes"))
    return None if session.dose_ended_at is None else session.dose_ended_at + timedelta(minutes=minutes)


def clocks(session: TreatmentSession, at: datetime, *, policy: SitePolicy) -> Clocks:
    """What stands on the room's screen at a time; the clocks stop when the patient leaves, and nothing is due then.

    >>> from datetime import UTC
    >>> from afterglow.clinic.policy import demo_policy
    >>> from afterglow.clinic.session import InfusionRun
    >>> from afterglow.quantities import DrugForm
    >>> start = datetime(2026, 1, 5, 9, tzinfo=UTC)
    >>> session = TreatmentSession(id="s1", patient_id="p1", course_id="c1", delivery=Delivery.IM, number=1, week=1,
    ...                            drug=DrugForm.RACEMIC_KETAMINE, planned_at=start,
    ...                            runs=(InfusionRun(since=start, until=start),), dose_ended_at=start)
    >>> clocks(session, start + timedelta(minutes=20), policy=demo_policy()).since_dose_end_min
    20.0
    """
    check_utc(at, what="The time of a clock")
    start, at = first_dose_at(session), _while_here(session, at)
    standing = standing_readings(session.readings)
    open_now = (DueState.OVERDUE, DueState.DUE, DueState.UPCOMING)
    due = [each for each in due_readings(session, at, policy=policy) if each.state in open_now]
    due = sorted((*due, *_repeats(session, at, policy)), key=lambda each: each.due_at)
    return Clocks(
        since_first_dose_min=None if start is None else minutes_between(start, at),
        since_last_reading_min=minutes_between(standing[-1].taken_at, at) if standing else None,
        since_dose_end_min=None if session.dose_ended_at is None else minutes_between(session.dose_ended_at, at),
        phase=phase(session, at, policy),
        earliest_leave_at=earliest_leave(session, policy=policy),
        next_reading=due[0] if due and session.left_at is None else None,
    )


def is_falling(session: TreatmentSession) -> bool | None:
    """Whether the pressure falls: the last one is not above the one before, and below the highest or at baseline.

    Of systolic and diastolic alike. None with fewer than two pressures since the dose started.

    >>> from datetime import UTC
    >>> from afterglow.clinic.policy import demo_policy
    >>> from afterglow.clinic.session import InfusionRun
    >>> from afterglow.quantities import DrugForm
    >>> start = datetime(2026, 1, 5, 9, tzinfo=UTC)
    >>> session = TreatmentSession(id="s1", patient_id="p1", course_id="c1", delivery=Delivery.IM, number=1, week=1,
    ...                            drug=DrugForm.RACEMIC_KETAMINE, planned_at=start,
    ...                            runs=(InfusionRun(since=start, until=start),), dose_ended_at=start)
    >>> is_falling(session) is None
    True
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


def _while_here(session: TreatmentSession, at: datetime) -> datetime:
    """A time, or when the patient left if that was before it: nobody watches from then on."""
    return at if session.left_at is None else min(at, session.left_at)


def _scheduled(session: TreatmentSession, start: datetime, at: datetime, policy: SitePolicy) -> Iterator[DueReading]:
    name = {Delivery.ESK: "esketamine", Delivery.SL: "oral", Delivery.PO: "oral"}.get(session.delivery, "injection")
    minutes = policy.numbers(f"monitoring.{name}_minutes")
    early = policy.number("monitoring.early_minutes")
    read = [(minutes_between(start, each.taken_at), each) for each in standing_readings(session.readings)]
    now = minutes_between(start, at)
    for place, due in enumerate(minutes):
        until = minutes[place + 1] - early if place + 1 < len(minutes) else float("inf")
        state = DueState.UPCOMING
        if _is_covered([each for minute, each in read if due - early <= minute < until]):
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
    every = _interval(session, at, policy)
    after = [each.taken_at for each in _full_readings(session) if each.taken_at >= start]
    due_at = (after[-1] if after else start) + timedelta(minutes=every)
    return _due_by(f"every {every:g} min", due_at, at, early=policy.number("monitoring.early_minutes"))


def _repeats(session: TreatmentSession, at: datetime, policy: SitePolicy) -> Iterator[DueReading]:
    """The pressure again, soon, for each rule that stands and asks for it; until the patient has left."""
    pressures = [e.taken_at for e in standing_readings(session.readings) if e.systolic_mmhg is not None]
    if not pressures or session.left_at is not None or first_dose_at(session) is None:
        return
    for each in escalations(session, policy):
        every = rule(each.rule).figures.get("repeat_minutes")
        if every is not None:  # due at its time, not before: the wait is short and is meant
            yield _due_by(f"pressure again, rule {each.rule}", pressures[-1] + timedelta(minutes=every), at, early=0.0)


def _due_by(what: str, due_at: datetime, at: datetime, *, early: float) -> DueReading:
    late = minutes_between(due_at, at)
    state = DueState.OVERDUE if late > 0 else DueState.DUE if late >= -early else DueState.UPCOMING
    return DueReading(what=what, due_at=due_at, state=state, overdue_min=max(late, 0.0))


def _interval(session: TreatmentSession, at: datetime, policy: SitePolicy) -> float:
    names = {"infusion": "S033.during_infusion_every_min", "long_infusion": "S036.every_min"}
    return policy.number(names.get(phase(session, at, policy) or "infusion", "S033.after_every_min"))


def _is_full(reading: Reading) -> bool:
    return reading.systolic_mmhg is not None and reading.spo2_pct is not None


def _full_readings(session: TreatmentSession) -> list[Reading]:
    return [each for each in standing_readings(session.readings) if _is_full(each)]


def _is_covered(readings: list[Reading]) -> bool:
    pressure = any(each.systolic_mmhg is not None for each in readings)
    return pressure and any(each.spo2_pct is not None for each in readings)


def _missed(session: TreatmentSession, start: datetime, at: datetime, policy: SitePolicy) -> int:
    """Planned sets that were never read; in an infusion, gaps of twice its interval or more."""
    if not is_infusion(session):
        return sum(each.state is DueState.MISSED for each in _scheduled(session, start, at, policy))
    times = [start, *(each.taken_at for each in _full_readings(session) if start <= each.taken_at <= at), at]
    allowed = [2 * _interval(session, earlier, policy) for earlier, _ in pairwise(times)]
    return sum(minutes_between(a, b) >= limit for (a, b), limit in zip(pairwise(times), allowed, strict=True))
