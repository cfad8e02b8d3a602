"""One patient's forecast from his course file, with a plan if there is one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from afterglow.errors import InputError, MissingValue, NoModel, OutOfRange, WrongOrder
from afterglow.forecast import DEFAULT_LIMIT, Forecast, ForecastInput, PatientScore, RelapseRule, forecast
from afterglow.predicates import Comparison
from afterglow.protocol import CourseRecord, RecordedEvent, RecordedSession, TrialProtocol
from afterglow.protocol.course import hours_between
from afterglow.protocol.treatment import LONGEST_COURSE_H
from afterglow.quantities import HOURS_PER_DAY, format_duration
from afterglow.scales import Definition, Instrument, instrument, instruments
from afterglow.therapy.regimen import Regimen, repeat
from afterglow.therapy.setting import Condition

LARGEST_COURSE = 1_000  # policy: daily scores for three years; a forecast of so many takes seconds
PLAN_STARTS_H = HOURS_PER_DAY
"""The first planned session comes a day after the time that the forecast starts from."""

# What a scale must measure to follow the read-out of a condition.
_DOMAINS = {
    Condition.DEPRESSION: "depression",
    Condition.ANXIETY: "anxiety",
    Condition.PTSD: "PTSD",
    Condition.PAIN: "pain",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class ForecastAnswer:
    """A forecast beside the course that it was made from.

    Args:
        course: what happened.
        plan: what is planned, None if nothing.
        forecast: the answer, with its input.
    """

    course: CourseRecord
    plan: TrialProtocol | None
    forecast: Forecast

    @property
    def zone(self) -> str:
        """IANA name of the zone in which times are shown: the course's, or UTC."""
        return self.course.timezone or "UTC"

    def at(self, time_h: float) -> datetime:
        """The moment of a time on the course's clock, in its zone."""
        return self.forecast.given.at(time_h).astimezone(ZoneInfo(self.zone))

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: Any) -> Any:
        """Over HTTP an answer is its documented JSON, as the command prints it."""
        from pydantic_core import core_schema as core  # noqa: PLC0415  the API alone asks

        from afterglow.usecases.forecast_contracts import forecast_document  # noqa: PLC0415  it needs this class

        told = core.dict_schema(core.str_schema(), core.any_schema())
        return core.any_schema(
            serialization=core.plain_serializer_function_ser_schema(forecast_document, return_schema=told)
        )

    @property
    def due_day(self) -> date | None:
        """The last day under the limit, in the course's zone; None where there is no date."""
        due = self.forecast.next_due
        return None if due is None or due.on_h is None else self.at(due.on_h).date()

    def day_at(self, time_h: float) -> datetime:
        """A time whole days from now: the same time of day on another date, whatever the clocks did between."""
        now_h = self.forecast.given.now_h
        return self.at(now_h) + timedelta(days=round((time_h - now_h) / HOURS_PER_DAY))


def forecast_course(
    course: CourseRecord,
    *,
    plan: TrialProtocol | None = None,
    booked: Sequence[RecordedSession] = (),
    limit: float = DEFAULT_LIMIT,
    now: datetime | None = None,
    relapse_at: float | None = None,
    seed: int = 0,
) -> ForecastAnswer:
    """Forecast the patient of a course.

    Args:
        course: what happened.
        plan: its sessions are taken as planned, the first of them a day after `now`; None for no further session.
        booked: sessions to come at times of their own, where there is no plan.
        limit: largest accepted chance of relapse before the next session, a fraction.
        now: where the forecast starts, aware; None for the last row's time.
        relapse_at: the clinic's relapse rule, a score of at least this on the last score's scale and in its unit; None
            for the scale's published cut-off.
        seed: same seed, same virtual patients.

    Raises: InputError for a row after `now` or too long before it, a scale that the condition's model does not follow,
        scales that cannot be linked, a relapse rule outside the scale, and a plan for another drug or condition
        (`about` then begins with "plan.").
    """
    _check_size(course)
    _check_times(course, now or course.last_at)
    _check_scales(course)
    if plan is not None:
        _check_plan(course, plan)
    given = forecast_input(course, plan=plan, booked=booked, limit=limit, now=now, relapse_at=relapse_at, seed=seed)
    try:
        answer = forecast(given, layers=True)
    except InputError as fault:
        row = next((score for score in course.scores if score.scale == fault.about), None)
        raise (fault.at(row.place) if row and row.place else fault) from None
    return ForecastAnswer(course=course, plan=plan, forecast=answer)


def forecast_input(
    course: CourseRecord,
    *,
    plan: TrialProtocol | None = None,
    booked: Sequence[RecordedSession] = (),
    limit: float = DEFAULT_LIMIT,
    now: datetime | None = None,
    relapse_at: float | None = None,
    seed: int = 0,
) -> ForecastInput:
    """What a forecast of a course depends on; arguments as in `forecast_course`.

    Times count from the first session, or from the first row where there is none yet.
    """
    origin_at = course.sessions[0].at if course.sessions else course.origin_at
    now_h = hours_between(origin_at, now or course.last_at)
    planned = Regimen(tuple(session.administration(origin_at) for session in booked))
    if plan is not None:
        starts_h = tuple(now_h + PLAN_STARTS_H + session_h for session_h in plan.session_h)
        planned = repeat(plan.regimen().administrations[0], starts_h)
    return ForecastInput(
        origin_at=origin_at,
        now_h=now_h,
        condition=course.condition,
        scores=tuple(
            PatientScore(
                at_h=hours_between(origin_at, score.at),
                scale=score.scale,
                points=score.points,
                fraction_of_baseline=score.fraction_of_baseline,
            )
            for score in course.scores
        ),
        given=Regimen(tuple(session.administration(origin_at) for session in course.sessions)),
        planned=planned,
        weight_kg=course.weight_kg,
        age_years=course.age_years,
        limit=limit,
        relapse=None if relapse_at is None else _relapse_rule(course, relapse_at),
        seed=seed,
    )


def _relapse_rule(course: CourseRecord, score_at_least: float) -> RelapseRule:
    """The clinic's own cut-off on the scale that the forecast will be on."""
    if not course.scores:
        raise MissingValue(
            "A relapse rule needs a score of its scale", next_step="Leave the rule out, or add a score to the course"
        )
    last = course.scores[-1]
    known = instrument(last.scale).range
    if last.points is None or known is None:
        low, high, unit = 0.0, 100.0, " % of baseline"
    else:
        low, high, unit = float(known[0]), float(known[1]), f" points of {last.scale}"
    if not low < score_at_least <= high:
        raise OutOfRange(
            "The relapse rule is refused",
            observed=f"{score_at_least:g}{unit} or more",
            allowed=f"over {low:g} and up to {high:g}{unit}",
        )
    return RelapseRule(scale=last.scale, score_at_least=score_at_least, source="the clinic's rule, as given")


def follows(scale: Instrument, condition: Condition) -> bool:
    """Whether a scale measures what the model of a condition follows.

    >>> follows(instrument("PHQ-9"), Condition.DEPRESSION), follows(instrument("PHQ-9"), Condition.PAIN)
    (True, False)
    """
    domain = _DOMAINS.get(condition)
    return domain is None or scale.domain == domain


def cut_off(definitions: Sequence[Definition]) -> tuple[str, float] | None:
    """The comparison and the number of the definition that a forecast goes by; None where it names none.

    >>> cut_off(instrument("PHQ-9").remission)
    ('<', 5.0)
    """
    used = definition_used(definitions)
    rule = None if used is None else used.rule
    if not isinstance(rule, Comparison) or not isinstance(rule.value, int | float):
        return None
    return rule.op, float(rule.value)


def definition_used(definitions: Sequence[Definition]) -> Definition | None:
    """The definition of response or remission that a forecast goes by: the first with a single cut-off.

    >>> definition_used(instrument("PHQ-9").remission).text
    'total <5'
    """
    return next((one for one in definitions if isinstance(one.rule, Comparison)), None)


def _check_size(course: CourseRecord) -> None:
    for what, rows in (("scores", course.scores), ("sessions", course.sessions)):
        if len(rows) > LARGEST_COURSE:
            raise OutOfRange(
                f"The course has too many {what} for a forecast",
                observed=f"{len(rows):,}",
                allowed=f"up to {LARGEST_COURSE:,}",
                next_step="Leave the oldest ones out",
            )


def _check_times(course: CourseRecord, now: datetime) -> None:
    """No row after the forecast starts, and none longer before it than any course lasts."""
    for event in course.events:
        if event.at > now:
            raise WrongOrder(
                f"The {_kind(event)} lies after the time that the forecast starts from",
                observed=f"{event.at:%Y-%m-%d %H:%M} UTC",
                allowed=f"up to {now:%Y-%m-%d %H:%M} UTC",
                next_step="Move --now, or leave out the rows that came later",
                place=event.place,
            )
        if now - event.at > timedelta(hours=LONGEST_COURSE_H):
            raise OutOfRange(
                f"The {_kind(event)} lies before any course could have begun",
                observed=f"{event.at:%Y-%m-%d %H:%M} UTC",
                allowed=f"up to {format_duration(LONGEST_COURSE_H)} before the forecast starts",
                next_step="Correct its year, or leave the row out",
                place=event.place,
            )


def _check_scales(course: CourseRecord) -> None:
    """Every scale measures what is treated: only then does one relief explain them all."""
    if course.condition is Condition.COGNITION:
        raise NoModel(
            "Cognition cannot be forecast for one patient",
            observed="cognition",
            allowed=", ".join(one.replace("_", " ") for one in Condition if one is not Condition.COGNITION),
            next_step="No lasting effect is known that could hold or fade; see `afterglow evidence claims`",
        )
    for score in course.scores:
        known = instrument(score.scale)
        if not follows(known, course.condition):
            fitting = [instrument(name) for name in instruments()]
            raise NoModel(
                f"{score.scale} cannot be linked to a forecast of {course.condition.words}",
                observed=f"a scale of {known.domain}",
                allowed=", ".join(
                    one.short_name for one in fitting if follows(one, course.condition) and one.range is not None
                ),
                next_step="Leave its rows out, or correct the condition",
                place=score.place,
            )


def _check_plan(course: CourseRecord, plan: TrialProtocol) -> None:
    if plan.condition is not course.condition:
        raise InputError(
            "The plan is for another condition than the course",
            observed=plan.condition.words,
            allowed=course.condition.words,
            next_step="Give the plan of this patient, or correct the condition",
            about="plan.condition",
        )
    drugs = {session.drug for session in course.sessions[-1:]}
    if drugs and plan.drug not in drugs:
        raise InputError(
            "The plan is for another drug than the last session's",
            observed=plan.drug.replace("_", " "),
            allowed=course.sessions[-1].drug.replace("_", " "),
            next_step="Give the plan of this patient: what one drug achieved says little of another",
            about="plan.drug",
        )


def _kind(event: RecordedEvent) -> str:
    return "session" if isinstance(event, RecordedSession) else "score"
