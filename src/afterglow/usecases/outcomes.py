"""A clinic's outcomes over a period: everybody who began counts, measured or not, and what is missing is always told.

Each course is followed from its first dose to fixed days, on the scale that its indication is judged by and on every
other that was scored before the first dose. Who is not measured stays in the count.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from statistics import fmean

import numpy as np

from afterglow.clinic import Indication, TreatmentCourse, TreatmentSession, read_score
from afterglow.clinic.measures import has_rule
from afterglow.evidence import Statistic, StudiedCondition, Trial, TrialArm, trials
from afterglow.evidence.figures import Figure, TimeOrigin
from afterglow.provenance import Verified
from afterglow.scales import Change, Instrument, instrument
from afterglow.usecases.forecasting import ForecastAnswer
from afterglow.usecases.measures import Measured
from afterglow.usecases.worklists import main_scale

# Assumption: our policy (docs/decisions/0038-documents.md). Four weeks are an induction with esketamine, and where the
# phase 3 trials whose control arms stand beside have their endpoint. Two weeks to either side hold one score of every
# four weeks, which is what the site's default cadence asks for in maintenance.
TIMES = ((28, 14), (84, 14), (182, 14))
"""Days from the first dose at which courses are compared, each with how many days a score may be off."""
BASELINE_DAYS = 28
"""How old the last score before the first dose may be. Assumption: our policy, as `TIMES`."""
_WEEK_4 = 28
_TOLD = frozenset(
    {Statistic.RESPONSE_PCT, Statistic.REMISSION_PCT, Statistic.MEAN_CHANGE, Statistic.ADJUSTED_MEAN_CHANGE}
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Followed:
    """A course from its first dose, with the patient's scores by instrument, oldest first.

    Args:
        sessions: in which drug was given, oldest first; drug was given in one at least.
        forecast: the last; None where there is none.
    """

    course: TreatmentCourse
    sessions: tuple[TreatmentSession, ...]
    scores: Mapping[str, tuple[tuple[datetime, Measured], ...]]
    forecast: ForecastAnswer | None

    @property
    def began_at(self) -> datetime:
        """When the first dose began."""
        return started(self.sessions[0])

    def before(self, name: str) -> Measured | None:
        """The last complete score before the first dose, if it is not too old."""
        since = self.began_at - timedelta(days=BASELINE_DAYS)
        found = [each for at, each in self._complete(name) if since <= at <= self.began_at]
        return found[-1] if found else None

    def near(self, name: str, day: int, within: int) -> tuple[datetime, Measured] | None:
        """The complete score nearest to a day after the first dose; of two as near, the later."""
        target, slack = self.began_at + timedelta(days=day), timedelta(days=within)
        found = [(at, each) for at, each in self._complete(name) if abs(at - target) <= slack]
        return min(reversed(found), key=lambda each: abs(each[0] - target), default=None)

    def _complete(self, name: str) -> list[tuple[datetime, Measured]]:
        return [(at, each) for at, each in self.scores.get(name, ()) if each.total is not None]


@dataclass(frozen=True, slots=True, kw_only=True)
class OutcomeLine:
    """How courses stand on one scale some days after the first dose.

    Args:
        due: courses whose time for it is over; later: those whose time is still to come.
        measured: of those due, with a score before the first dose and one at this time.
        response, remission: of those measured; None where the scale defines none.
        worse: of those measured, beyond measurement error; None where the scale has no published error.
        change: mean of those measured, points; None for nobody.
        control: mean change that the model expects in a control arm of the same people at the same visits, points.
        control_of: how many of those measured have a forecast on the scale.
    """

    instrument: str
    day: int
    within: int
    due: int
    later: int
    measured: int
    response: int | None
    remission: int | None
    worse: int | None
    change: float | None
    control: float | None
    control_of: int

    @property
    def missing(self) -> int:
        """Those due and not measured."""
        return self.due - self.measured


@dataclass(frozen=True, slots=True, kw_only=True)
class ScaleOutcome:
    """A scale and the courses it is for.

    Args:
        main: whether it is the one that the courses' indications are judged by; else only courses with a score before
            the first dose are counted.
    """

    scale: Instrument
    main: bool
    lines: tuple[OutcomeLine, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class ControlArm:
    """What a control arm of a trial showed four weeks after the first dose, as it was read at a page."""

    trial: Trial
    arm: TrialArm
    scale: str
    response_pct: float | None
    remission_pct: float | None
    change: float | None
    sources: tuple[str, ...]


def started(session: TreatmentSession) -> datetime:
    """When the drug of a session in which some was given began."""
    first = session.given[0].at
    return first if session.dose_started_at is None else min(first, session.dose_started_at)


def scale_outcomes(courses: Iterable[Followed], *, at: datetime) -> tuple[ScaleOutcome, ...]:
    """Every scale that courses are judged by, then every other that was scored before the first dose.

    Args:
        courses: of the period.
        at: now; a course counts for a day once the time for it is over.
    """
    every = tuple(courses)
    judged: dict[str, list[Followed]] = {}
    for each in every:
        judged.setdefault(main_scale(each.course.indication), []).append(each)
    others: dict[str, list[Followed]] = {}
    for each in every:
        for name in each.scores:
            if name != main_scale(each.course.indication) and each.before(name) is not None:
                others.setdefault(name, []).append(each)
    found = [
        *((name, judged[name], True) for name in sorted(judged, key=lambda name: -len(judged[name]))),
        *((name, others[name], False) for name in sorted(others) if name not in judged and _is_defined(name)),
    ]
    return tuple(
        ScaleOutcome(
            scale=instrument(name),
            main=main,
            lines=tuple(_line(name, mine, day, within, at) for day, within in TIMES),
        )
        for name, mine, main in found
    )


def control_arms(indications: Iterable[Indication]) -> tuple[ControlArm, ...]:
    """Control arms of published trials of what is treated, where a figure was read at a page; newest trial last.

    A trial's arm that is a part of another's patients says so in its name.
    """
    if not {Indication.TRD, Indication.MDSI, Indication.DEPRESSION} & set(indications):
        return ()
    found = []
    for trial in trials():
        if trial.condition is not StudiedCondition.DEPRESSION:
            continue
        for arm in trial.arms:
            mine = [each for each in trial.figures if _is_control(each, arm)]
            for scale in dict.fromkeys(each.scale for each in mine if each.scale is not None):
                told = [each for each in mine if each.scale == scale]
                found.append(
                    ControlArm(
                        trial=trial,
                        arm=arm,
                        scale=scale,
                        response_pct=_value(told, Statistic.RESPONSE_PCT),
                        remission_pct=_value(told, Statistic.REMISSION_PCT),
                        change=_value(told, Statistic.MEAN_CHANGE, Statistic.ADJUSTED_MEAN_CHANGE),
                        sources=tuple(dict.fromkeys(key for each in told for key in each.provenance.source)),
                    )
                )
    return tuple(sorted(found, key=lambda each: (each.trial.citation.year or 0, each.trial.key)))


def _line(name: str, courses: list[Followed], day: int, within: int, at: datetime) -> OutcomeLine:
    over = timedelta(days=day + within)
    due = [each for each in courses if each.began_at + over <= at]
    pairs = [
        (each, before, *after)
        for each in due
        if (before := each.before(name)) is not None and (after := each.near(name, day, within)) is not None
    ]
    readings = [read_score(after.score(), baseline=before.score()) for _, before, _, after in pairs]
    changes = [(after.total or 0.0) - (before.total or 0.0) for _, before, _, after in pairs]
    controls = [
        found for each, _, when, _ in pairs if (found := _control_change(each.forecast, name, when)) is not None
    ]
    known, verdicts = instrument(name), [each.change.verdict for each in readings if each.change is not None]
    return OutcomeLine(
        instrument=name,
        day=day,
        within=within,
        due=len(due),
        later=len(courses) - len(due),
        measured=len(pairs),
        response=sum(each.response is True for each in readings) if has_rule(known.response) else None,
        remission=sum(each.remission is True for each in readings) if has_rule(known.remission) else None,
        worse=verdicts.count(Change.WORSENED) if known.reliable_change is not None else None,
        change=fmean(changes) if changes else None,
        control=fmean(controls) if controls else None,
        control_of=len(controls),
    )


def _control_change(answer: ForecastAnswer | None, name: str, when: datetime) -> float | None:
    """What the model expects of the same person at the same visits without the drug, against before, points."""
    if answer is None:
        return None
    found, days, before = answer.forecast, answer.forecast.trajectory, answer.forecast.baseline
    if days is None or before is None or found.unit != "points" or found.scale != instrument(name).short_name:
        return None
    hours = (when - found.given.origin_at) / timedelta(hours=1)
    if not days.times_h[0] <= hours <= days.times_h[-1]:
        return None
    return float(np.interp(hours, days.times_h, days.control)) - before


def _is_defined(name: str) -> bool:
    """Whether a scale says what a response is."""
    known = instrument(name)
    return known.range is not None and has_rule(known.response)


def _is_control(figure: Figure, arm: TrialArm) -> bool:
    return (
        arm.form is None
        and figure.arm == arm.id
        and figure.t_days is not None
        and abs(figure.t_days - _WEEK_4) <= 1
        and figure.t_from is TimeOrigin.FIRST_DOSE
        and figure.value is not None
        and not figure.do_not_fit
        and figure.provenance.verified is Verified.PAGE
        and figure.statistic in _TOLD
    )


def _value(figures: Iterable[Figure], *statistics: Statistic) -> float | None:
    return next((each.value for each in figures if each.statistic in statistics), None)
