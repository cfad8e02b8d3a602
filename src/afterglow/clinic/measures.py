"""Measures: which scale is due when, what a score means, and the alerts that its answers raise."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cache

from afterglow.clinic.course import CourseState
from afterglow.clinic.policy import SitePolicy
from afterglow.clinic.resistance import Indication
from afterglow.clinic.rulebook import DATA
from afterglow.clinic.typed import check_utc
from afterglow.errors import InvalidData
from afterglow.predicates import Truth
from afterglow.provenance import Provenance
from afterglow.records import Record, read_record
from afterglow.scales import (
    AlertState,
    AlertStatus,
    Definition,
    ReliableChangeVerdict,
    ScaleScore,
    alerts,
    band_of,
    instruments,
    is_remission,
    is_response,
    reliable_change,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Cadence:
    """How often some scales are due, for what is treated and in which part of the course; one of the three is set."""

    indications: tuple[Indication, ...]
    phases: tuple[CourseState, ...]
    instruments: tuple[str, ...]
    every_days: int | None
    at_session: bool
    once: bool
    provenance: Provenance


@dataclass(frozen=True, slots=True, kw_only=True)
class DueMeasure:
    """A scale that is due; `due_at` is when it became or becomes due."""

    instrument: str
    due_at: datetime
    overdue: bool
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ScoreReading:
    """What one score says, each part None where it cannot be told.

    Args:
        band: label of the published band.
        change: whether it is more than measurement error; its `reason` says why not.
        alerts: of the instrument, triggered or unknown; an unknown one is for somebody to find out.
    """

    instrument: str
    total: float | None
    band: str | None
    response: Truth
    remission: Truth
    change: ReliableChangeVerdict | None
    alerts: tuple[AlertState, ...]


@cache
def cadences() -> tuple[Cadence, ...]:
    """The site's default cadence.

    >>> cadences()[2].at_session
    True
    """
    file = read_record(DATA, "cadence.yaml")
    return file.close(tuple(map(_cadence, file.records("cadence"))))


def due_measures(
    *,
    indication: Indication,
    phase: CourseState,
    phase_since: datetime,
    last_done: Mapping[str, datetime],
    next_session_at: datetime | None,
    at: datetime,
    policy: SitePolicy,
) -> tuple[DueMeasure, ...]:
    """Scales that are due or come due within a day of the next session, soonest first.

    Args:
        phase_since: when it got there.
        indication: what is treated.
        phase: state of the course.
        last_done: when each scale was last completed, by instrument; a scale that is not there was never done.
        next_session_at: booked, or None.
        at: now.
        policy: in force now.

    >>> from datetime import UTC
    >>> from afterglow.clinic.policy import demo_policy
    >>> now = datetime(2026, 3, 2, 9, tzinfo=UTC)
    >>> [each.instrument for each in due_measures(indication=Indication.TRD, phase=CourseState.PAUSED,
    ...     phase_since=now - timedelta(days=40), last_done={}, next_session_at=None, at=now, policy=demo_policy())]
    ['phq9']
    """
    check_utc(at, what="The time of a due list")
    for when in (phase_since, next_session_at, *last_done.values()):
        if when is not None:
            check_utc(when, what="A time that a due list looks at")
    late = timedelta(days=policy.number("measures.overdue_days"))
    found: dict[str, DueMeasure] = {}
    for each in cadences():
        if indication not in each.indications or phase not in each.phases:
            continue
        for name in each.instruments:
            due = _due_at(each, last_done.get(name), phase_since, next_session_at)
            if due is None or due > at:
                continue
            overdue = at > due + late or (each.at_session and next_session_at is not None and at > next_session_at)
            reason = (
                "before the session" if each.at_session else "once" if each.once else f"every {each.every_days} days"
            )
            measure = DueMeasure(instrument=name, due_at=due, overdue=overdue, reason=reason)
            if name not in found or due < found[name].due_at:
                found[name] = measure
    return tuple(sorted(found.values(), key=lambda each: (each.due_at, each.instrument)))


def read_score(
    score: ScaleScore,
    *,
    baseline: ScaleScore | None = None,
    previous: ScaleScore | None = None,
    sex: str | None = None,
) -> ScoreReading:
    """Band, response, remission, reliable change and alerts of one score; incomplete is never zero.

    >>> from afterglow.scales import score_total
    >>> found = read_score(score_total("PHQ-9", 8), baseline=score_total("PHQ-9", 20))
    >>> found.band, found.response, found.remission
    ('mild', True, False)
    """
    band = band_of(score, sex=sex) if score.instrument.range is not None else None
    has_total = score.instrument.range is not None
    response: Truth = None
    remission: Truth = None
    if has_total and baseline is not None and has_rule(score.instrument.response):
        response = is_response(baseline, score)
    if has_total and has_rule(score.instrument.remission):
        remission = is_remission(score)
    return ScoreReading(
        instrument=score.instrument.id,
        total=score.total,
        band=None if band is None else band.label,
        response=response,
        remission=remission,
        change=None if baseline is None else reliable_change(baseline, score),
        alerts=tuple(
            each
            for each in alerts(score, baseline=baseline, previous=previous, sex=sex)
            if each.status is not AlertStatus.CLEAR
        ),
    )


def has_rule(definitions: tuple[Definition, ...]) -> bool:
    """Whether the usual definition of response or remission has a single cut-off.

    >>> from afterglow.scales import instrument
    >>> has_rule(instrument("PHQ-9").response)
    True
    """
    return any(each.name == "usual" and each.rule is not None for each in definitions)


def _due_at(
    cadence: Cadence, last: datetime | None, phase_since: datetime, next_session_at: datetime | None
) -> datetime | None:
    if cadence.once:
        return phase_since if last is None or last < phase_since - timedelta(days=14) else None
    if cadence.at_session:
        if next_session_at is None:
            return None
        opens = next_session_at - timedelta(days=1)
        return opens if last is None or last < opens else None
    return phase_since if last is None else last + timedelta(days=cadence.every_days or 0)


def _cadence(record: Record) -> Cadence:
    read = record.close(
        Cadence(
            indications=tuple(map(Indication, record.texts("indications"))),
            phases=tuple(map(CourseState, record.texts("phases"))),
            instruments=record.texts("instruments"),
            every_days=record.whole("every_days", None),
            at_session=record.flag("at_session"),
            once=record.flag("once"),
            provenance=record.provenance(),
        )
    )
    kinds = [read.every_days is not None, read.at_session, read.once]
    unknown = set(read.instruments) - set(instruments())
    if sum(kinds) != 1 or unknown:
        raise InvalidData("cadence.yaml: one of every_days, at_session, once, and known scales", observed=str(unknown))
    return read
