"""`afterglow forecast`: a course file in, and perhaps a plan; text, JSON or a report out."""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated
from zoneinfo import ZoneInfo

import typer

from afterglow.cli.modelling import AsJson, PopulationFile, Seed
from afterglow.cli.output import Report, console, named, print_facts, print_json, print_table, progress, write_report
from afterglow.errors import InputError, OutOfRange, echo
from afterglow.protocol import CourseRecord, place_in_protocol, read_course, read_protocol, read_time
from afterglow.quantities import parse_percent

if TYPE_CHECKING:  # --help must not load the model
    from afterglow.forecast import Trajectory
    from afterglow.usecases.forecasting import ForecastAnswer

CourseFile = Annotated[Path, typer.Argument(metavar="COURSE", help="A course file (CSV).", show_default=False)]
_SHOWN_DAYS = 7  # between the rows of the text's table


def forecast_command(
    course: CourseFile,
    plan: Annotated[
        Path | None,
        typer.Option(
            "--plan",
            metavar="PROTOCOL",
            help="Planned sessions, as a protocol file; the first comes a day after the forecast starts.",
            show_default=False,
        ),
    ] = None,
    limit: Annotated[
        str, typer.Option("--limit", help="Largest accepted chance of relapse before the next session.")
    ] = "10 %",
    now: Annotated[
        str | None,
        typer.Option(
            "--now",
            metavar="WHEN",
            help="Where the forecast starts, a date (its end) or 2026-03-30T09:00, in the course's time zone; "
            "default the last row's time.",
            show_default=False,
        ),
    ] = None,
    relapse: Annotated[
        str | None,
        typer.Option(
            "--relapse",
            metavar="SCORE",
            help="The clinic's relapse rule: a score of at least this, on the last score's scale and in its unit; "
            "default the scale's published cut-off.",
            show_default=False,
        ),
    ] = None,
    population: PopulationFile = None,
    seed: Seed = 0,
    as_json: AsJson = False,
    report: Report = None,
) -> None:
    """Forecast one patient: how long relief will hold, and when the next session is due.

    Example: afterglow forecast examples/course.csv --limit "20 %" --report out/course.html
    """
    del population  # its reader put it to use
    read = read_course(course)
    planned = None if plan is None else read_protocol(plan)
    fraction = _limit(limit)
    rule = None if relapse is None else _score(relapse)
    starts = None if now is None else parse_now(now, read)
    from afterglow.usecases.forecasting import forecast_course  # noqa: PLC0415

    try:
        with progress("Virtual patients") as done:
            answer = forecast_course(read, plan=planned, limit=fraction, now=starts, relapse_at=rule, seed=seed)
            done(1.0)
    except InputError as fault:
        about, _, key = (fault.about or "").partition(".")
        if about == "plan" and plan is not None:
            raise fault.at(place_in_protocol(plan, key)) from None
        with named(course):
            raise
    if report is not None:
        from afterglow.usecases.forecast_report import forecast_report  # noqa: PLC0415

        write_report(report, forecast_report(answer))
    if as_json:
        from afterglow.usecases.forecast_contracts import forecast_document  # noqa: PLC0415

        print_json(forecast_document(answer))
    else:
        _print_forecast(answer)


def _limit(text: str) -> float:
    from afterglow.forecast.answer import LIMITS  # noqa: PLC0415

    fraction, (low, high) = parse_percent(text, what="--limit"), LIMITS
    if not low <= fraction <= high:
        raise OutOfRange("--limit is refused", observed=text, allowed=f"{100 * low:g} to {100 * high:g} %")
    return fraction


def _score(text: str) -> float:
    """A score in points or per cent of baseline, whichever the last score is in."""
    try:
        return float(text.removesuffix("of baseline").strip().removesuffix("%"))
    except ValueError:
        raise InputError(
            "--relapse is refused",
            observed=echo(text),
            allowed="a number on the last score's scale and in its unit: 15 points, or 75 of 100 % of baseline",
        ) from None


def parse_now(text: str, course: CourseRecord) -> datetime:
    r"""A time as the course file writes it, or a date, which stands for its end: the day's scores count.

    Raises: InputError for anything else.

    >>> from afterglow.protocol import parse_course
    >>> course = parse_course("when,what,value,note\n2026-03-02T09:00Z,PHQ-9,21,\n")
    >>> parse_now("2026-03-30", course).isoformat()
    '2026-03-31T00:00:00+00:00'
    """
    zone = None if course.timezone is None else ZoneInfo(course.timezone)
    try:
        day = date.fromisoformat(text) if len(text) == len("2026-03-30") else None
    except ValueError:  # read_time says what is allowed
        day = None
    if day is not None:
        return datetime.combine(day + timedelta(days=1), time(), tzinfo=zone or UTC).astimezone(UTC)
    return read_time(text, zone, what="--now")


def _print_forecast(answer: ForecastAnswer) -> None:
    found = answer.forecast
    out = console()
    out.print(f"Forecast from {answer.at(found.given.now_h):%Y-%m-%d %H:%M} {answer.zone}", style="bold")
    out.print(
        f"{found.model}, {found.status}; {found.method}, effective sample {found.ess:.0f}, seed {found.given.seed}"
    )
    out.print()
    if found.trajectory is None:
        out.print(f"No forecast, because {found.reason}.", style="bold")
    else:
        _print_outlook(answer, found.trajectory)
    out.print()
    for warning in found.warnings:
        out.print(f"Note: {warning.text}")


def _print_outlook(answer: ForecastAnswer, trajectory: Trajectory) -> None:
    from afterglow.render.text import format_day  # noqa: PLC0415
    from afterglow.usecases.forecast_view import (  # noqa: PLC0415
        interval_data,
        key_figures,
        parts_of_change,
        scores_shown,
        sentences,
    )

    out = console()
    facts = [
        (figure.label, ": ".join(part for part in (f"{figure.value} {figure.unit}".strip(), figure.note) if part))
        for figure in key_figures(answer, trajectory)
    ]
    parts = parts_of_change(answer, trajectory)
    if parts is not None:
        day = format_day(answer.at(scores_shown(answer)[-1].time_h).date())
        facts.append((f"Of the change by {day}", ", ".join(f"{name.lower()} {value}" for name, value in parts.items())))
    print_facts(out, facts)
    out.print()
    _print_trajectory(answer, trajectory)
    out.print()
    for sentence in sentences(answer):
        out.print(sentence)
    if answer.forecast.relapse is not None:
        out.print(f"Relapse rule: {answer.forecast.relapse.source}.")
    intervals = interval_data(answer)
    if intervals is not None:
        from afterglow.render.outlook import interval_chart  # noqa: PLC0415

        out.print()
        table = interval_chart(intervals).table
        print_table(out, [column.heading for column in table.columns], table.rows, numeric=(1, 2))


def _print_trajectory(answer: ForecastAnswer, trajectory: Trajectory) -> None:
    """The next score week by week, with the chance of relapse."""
    from afterglow.render.text import format_day, format_number, format_percent, format_range  # noqa: PLC0415
    from afterglow.usecases.forecast_view import today  # noqa: PLC0415

    found = answer.forecast
    first = today(answer, trajectory)
    chances = dict(found.relapse.p_by_day) if found.relapse is not None else {}
    rows = []
    for day in range(0, len(trajectory.times_h) - first, _SHOWN_DAYS):
        i = first + day
        rows.append(
            [
                format_day(answer.day_at(float(trajectory.times_h[i])).date(), weekday=True, year=True),
                format_number(float(trajectory.median[i])),
                format_range(format_number(float(trajectory.lo50[i])), format_number(float(trajectory.hi50[i]))),
                format_range(format_number(float(trajectory.lo90[i])), format_number(float(trajectory.hi90[i]))),
                format_number(float(trajectory.control[i])),
                *([format_percent(100 * chances[day], predicted=True)] if chances else []),
            ]
        )
    name = found.scale if found.unit == "points" else f"{found.scale}, {found.unit}"
    headings = ["Day", f"Next {name}", "50 %", "90 %", "Control arm", *(["Relapse if stopped"] if chances else [])]
    print_table(console(), headings, rows, numeric=range(1, len(headings)))
