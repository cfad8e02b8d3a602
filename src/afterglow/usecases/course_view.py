"""A chart as a page shows it: which course counts, each scale's scores with its cut-offs, who the patient is."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

from afterglow.clinic import INDUCED, Indication, TreatmentSession, due_by_plan, sessions_in_induction
from afterglow.render.axes import Calendar
from afterglow.render.marks import DoseMark, ObservedPoint
from afterglow.render.panels import Threshold
from afterglow.render.report import KeyFigure
from afterglow.render.scores import ScoresData
from afterglow.render.text import format_day, format_number
from afterglow.scales import instrument
from afterglow.usecases.charts import ChartPage
from afterglow.usecases.forecast_view import severity_bands
from afterglow.usecases.forecasting import cut_off
from afterglow.usecases.measures import ScoreLine
from afterglow.usecases.worklists import main_scale

_MG = 1000.0  # micrograms


@dataclass(frozen=True, slots=True, kw_only=True)
class ScaleCourse:
    """One scale over the course.

    Args:
        name: as people call it.
        last: the newest score that has a total.
        picture: what its chart shows.
    """

    name: str
    last: ScoreLine
    picture: ScoresData


def scale_courses(chart: ChartPage, *, now: datetime, zone: str) -> tuple[ScaleCourse, ...]:
    """Every scale with a total, the one that the course is about first."""
    by_scale: dict[str, list[ScoreLine]] = {}
    for each in chart.scores:
        if each.measured.total is not None:
            by_scale.setdefault(each.measured.instrument, []).append(each)
    main = main_scale(Indication.TRD if chart.course is None else chart.course.now.indication)
    sessions = [each.now for each in chart.sessions if each.now.dose_started_at is not None]
    names = sorted(by_scale, key=lambda name: (name != main, -len(by_scale[name]), name))
    return tuple(_scale_course(name, by_scale[name], sessions, now=now, zone=zone) for name in names)


def planned_next(chart: ChartPage, *, zone: str) -> KeyFigure | None:
    """The next session by the plan; None where the forecast says when it is due, or nothing was given yet."""
    course = None if chart.course is None else chart.course.now
    if course is None or course.plan is None or course.state not in INDUCED:
        return None
    mine = [each.now for each in chart.sessions if each.now.course_id == course.id]
    due_at = due_by_plan(course, mine)
    if due_at is None:
        return None
    count, days = sessions_in_induction(course, mine), format_number(course.plan.interval_days, 1)
    return KeyFigure(
        label="Next by the plan",
        value=format_day(due_at.astimezone(ZoneInfo(zone)).date()),
        note=f"{count} of {course.plan.induction_sessions} given, {days} days apart",
    )


def dose_words(session: TreatmentSession) -> str:
    """What a session gave, as it is written: "56 mg"; a dash before the dose."""
    if not session.given_ug:
        return "–"
    return f"{format_number(session.given_ug / _MG, 1).removesuffix('.0')} mg"


def _scale_course(
    name: str, lines: list[ScoreLine], sessions: list[TreatmentSession], *, now: datetime, zone: str
) -> ScaleCourse:
    known = instrument(name)
    low, high = known.range or (0.0, max(_total(each) for each in lines))
    origin = min(lines[0].at, now)

    def hours(at: datetime) -> float:
        return (at - origin) / timedelta(hours=1)

    doses = sorted(
        (
            DoseMark(time_h=hours(each.dose_started_at), label=each.delivery.words.removeprefix("intranasal "))
            for each in sessions
            if each.dose_started_at is not None and each.dose_started_at >= lines[0].at - timedelta(days=1)
        ),
        key=lambda dose: dose.time_h,
    )
    picture = ScoresData(
        title=f"{known.short_name} and sessions",
        calendar=Calendar(origin_at=origin, zone=zone),
        score_name=known.short_name,
        lowest=low,
        highest=high,
        now_h=hours(now),
        scores=tuple(ObservedPoint(time_h=hours(each.at), value=_total(each)) for each in lines),
        severity_of=tuple(each.reading.band or "" for each in lines),
        sessions=tuple(doses),
        thresholds=tuple(_cut_offs(name)),
        severity=tuple(severity_bands(name)),
    )
    return ScaleCourse(name=known.short_name, last=lines[-1], picture=picture)


def _total(line: ScoreLine) -> float:
    return float("nan") if line.measured.total is None else line.measured.total


def _cut_offs(name: str) -> Iterator[Threshold]:
    """Remission, where the scale publishes one cut-off for it."""
    known = instrument(name)
    cut = cut_off(known.remission)
    if cut is not None:
        op, value = cut
        words = {"<": "under ", "<=": "", ">": "over ", ">=": ""}[op]
        tail = {"<=": " or less", ">=": " or more"}.get(op, "")
        yield Threshold(name="Remission", definition=f"{words}{format_number(value)}{tail}", score=value)
