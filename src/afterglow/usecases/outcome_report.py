"""A clinic's outcomes on paper: no number without how many are missing, no change without what a control arm shows."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator

from afterglow.clinic import event_grades
from afterglow.evidence import source
from afterglow.evidence.pooling import wilson_interval
from afterglow.render.report import Block, KeyFigure, KeyFigures, Notice, Paragraph, Section
from afterglow.render.text import format_number
from afterglow.usecases.forecast_report import definition_rows
from afterglow.usecases.outcomes import (
    BASELINE_DAYS,
    TIMES,
    ControlArm,
    Followed,
    OutcomeLine,
    ScaleOutcome,
)
from afterglow.usecases.wording import count_words, table_of


def outcome_sections(
    courses: tuple[Followed, ...], scales: Iterable[ScaleOutcome], arms: tuple[ControlArm, ...], *, closed: int
) -> tuple[Section, ...]:
    """The report.

    Args:
        courses: whose first dose lies in the period.
        scales: how they stand.
        arms: of published trials.
        closed: patients whose charts are closed to who asks, and who are not in it.
    """
    if not courses:
        text = "No first dose was given in this period, so there is nothing to report."
        return (Section(heading="Nobody began", blocks=(Notice(text=text), *_closed(closed))),)
    found = tuple(scales)
    shown = [each for each in found if each.main or any(line.measured for line in each.lines)]
    return (
        Section(
            heading="Who is counted",
            blocks=(*_counted(courses, found), *_closed(closed), *_unseen(each for each in found if each not in shown)),
        ),
        *(Section(heading=_heading(each), blocks=tuple(_scale(each))) for each in shown),
        Section(heading="What a control arm shows", blocks=tuple(_control(arms))),
        Section(heading="Sessions and adverse events", blocks=tuple(_safety(courses))),
        Section(heading="How courses ended", blocks=tuple(_ends(courses))),
        Section(heading="How it was counted", blocks=tuple(_method(tuple(shown)))),
    )


def _counted(courses: tuple[Followed, ...], scales: tuple[ScaleOutcome, ...]) -> Iterator[Block]:
    people = len({each.course.patient_id for each in courses})
    figures = [
        KeyFigure(label="Courses begun", value=str(len(courses)), note=f"of {count_words(people, 'patient')}"),
        KeyFigure(label="Sessions given", value=str(sum(len(each.sessions) for each in courses))),
    ]
    first = next(iter(scales), None)
    if first is not None and first.lines[0].due:
        line = first.lines[0]
        figures.append(
            KeyFigure(
                label=f"Missing {_after(line)}",
                value=f"{format_number(100 * line.missing / line.due)} %",
                note=f"{line.missing} of {line.due} without a {first.scale.short_name} before or then",
            )
        )
        if line.response is not None:
            figures.append(
                KeyFigure(
                    label=f"Response {_after(line)}",
                    value=f"{format_number(100 * line.response / line.due)} %",
                    note=f"of all {line.due}; up to {format_number(100 * (line.response + line.missing) / line.due)} % "
                    "if all missing responded",
                )
            )
    yield KeyFigures(figures=tuple(figures))
    treated = Counter((each.course.delivery.words, each.course.indication.words) for each in courses)
    yield table_of(
        "",
        ("Treatment", "For", "Courses#"),
        ((drug, what, str(count)) for (drug, what), count in sorted(treated.items())),
    )


def _closed(closed: int) -> Iterator[Block]:
    if closed:
        text = f"{count_words(closed, 'patient')} not counted: a chart that is open to its team alone."
        yield Notice(text=text, kind="warning")


def _heading(outcome: ScaleOutcome) -> str:
    return f"{outcome.scale.short_name}{'' if outcome.main else ', where it was scored before the first dose'}"


def _scale(outcome: ScaleOutcome) -> Iterator[Block]:
    lines = [each for each in outcome.lines if each.due]
    if not lines:
        yield Paragraph(text="The time for the first comparison is not over for any course.")
        return
    rows = [
        (_after(line), what, _share(count, line.due), _share(count + line.missing, line.due), *_measured(count, line))
        for line in lines
        for what, count in (("response", line.response), ("remission", line.remission), ("worse", line.worse))
        if count is not None
    ]
    yield table_of(
        "Of all who are due: at least (who is missing counts as no) and at most (as yes)",
        ("When", "What", "At least", "At most", "Missing", "Of those measured"),
        rows,
    )
    yield table_of(
        "Mean change of those measured, and what the model expects of the same people in a control arm, points",
        ("When", "Change#", "Control arm#", "Missing", "Measured", "Of them with a forecast"),
        (
            (
                _after(each),
                _points(each.change),
                _points(each.control),
                _share(each.missing, each.due),
                _share(each.measured, each.due),
                f"{each.control_of} of {each.measured}",
            )
            for each in lines
        ),
    )
    later = outcome.lines[0].later
    if later:
        yield Paragraph(
            text=f"{count_words(later, 'course')} began too late to be counted yet, even {_after(lines[0])}."
        )


def _unseen(scales: Iterable[ScaleOutcome]) -> Iterator[Block]:
    """Scales that were scored before the first dose and by nobody at any of these times."""
    told = [f"{each.scale.short_name} ({count_words(each.lines[0].due, 'course')})" for each in scales]
    if told:
        text = f"Scored before the first dose and never when it was due: {', '.join(told)}."
        yield Notice(text=text, kind="warning")


def _control(arms: tuple[ControlArm, ...]) -> Iterator[Block]:
    yield Paragraph(
        text="Scores fall without the drug too: people begin at their worst, they are cared for, and they "
        "hope. A clinic without a control arm sees the sum. What it reports is therefore no measure of what "
        "the drug does, and a response rate here does not compare with a drug arm of a trial, least of all while "
        "scores are missing: who does not come back may be better, or worse."
    )
    yield Paragraph(
        text="The expected change beside each scale is the model's, for the very people who were measured, at the same "
        "visits without the drug. The model was fitted to published control arms and is not evidence of its own."
    )
    if not arms:
        yield Notice(text="No control arm four weeks after the first dose was read for what is treated here.")
        return
    yield table_of(
        "Control arms of published trials in depression, four weeks after the first dose",
        ("Trial", "Control arm", "n#", "Scale", "Response#", "Remission#", "Change#"),
        (
            (
                str(each.trial.citation),
                f"{each.arm.drug}{f', {each.arm.stratum}' if each.arm.stratum else ''}",
                "not read" if each.arm.n is None else str(each.arm.n),
                each.scale,
                "–" if each.response_pct is None else f"{each.response_pct:g} %",
                "–" if each.remission_pct is None else f"{each.remission_pct:g} %",
                _points(each.change),
            )
            for each in arms
        ),
    )
    read = dict.fromkeys(key for each in arms for key in each.sources)
    yield Paragraph(text=f"Read at: {'; '.join(source(key).citation for key in read)}.")


def _safety(courses: tuple[Followed, ...]) -> Iterator[Block]:
    sessions = [session for each in courses for session in each.sessions]
    events = [event for session in sessions for event in session.adverse_events]
    stopped = sum(each.complete is False for each in sessions)
    early = sum(each.cleared is False for each in sessions)
    yield Paragraph(
        text=f"{count_words(len(sessions), 'session')}; {stopped} stopped before the whole dose; {early} ended "
        f"without the leave check (walked out, or handed over to emergency care)."
    )
    if not events:
        yield Paragraph(text="No adverse event was recorded in them.")
        return
    grades = event_grades()
    terms = Counter(each.term for each in events)
    yield table_of(
        "Adverse events by CTCAE grade",
        ("Event", *(f"{name.capitalize()}#" for name in grades.values()), "Not graded#", "Serious#", "Sessions#"),
        (
            (
                term,
                *(str(sum(e.term == term and e.grade == grade for e in events)) for grade in grades),
                str(sum(e.term == term and e.grade is None for e in events)),
                str(sum(e.term == term and e.serious is True for e in events)),
                _share(sum(any(e.term == term for e in each.adverse_events) for each in sessions), len(sessions)),
            )
            for term, _ in terms.most_common()
        ),
    )


def _ends(courses: tuple[Followed, ...]) -> Iterator[Block]:
    states = Counter(
        each.course.stop_reason.replace("_", " ") if each.course.stop_reason else f"goes on: {each.course.state}"
        for each in courses
    )
    rows = ((name.replace("_", " "), _share(count, len(courses))) for name, count in states.most_common())
    yield table_of("", ("State or reason", "Courses#"), rows)


def _method(scales: tuple[ScaleOutcome, ...]) -> Iterator[Block]:
    days = "; ".join(f"day {day} ± {within}" for day, within in TIMES)
    yield Paragraph(
        text=f"A course counts from its first dose here; courses of before the move to Afterglow, and erased records, "
        f"are not in it. Compared are the last score of the {BASELINE_DAYS} days before the first dose and the score "
        f"nearest to {days}. A course is due once its time is over, whether it goes on or has ended. Intervals in "
        f"brackets are 95 % (Wilson 1927). Worse: beyond measurement error. These choices are our policy."
    )
    rows = [
        (each.scale.short_name, *row)
        for each in scales
        for row in (
            *definition_rows("Response", each.scale.response),
            *definition_rows("Remission", each.scale.remission),
        )
    ]
    yield table_of("Definitions", ("Scale", "What", "Definition", "Source"), rows)


def _after(line: OutcomeLine) -> str:
    return f"after {line.day // 7} weeks"


def _share(count: int, of: int) -> str:
    return f"{count} of {of}, {_percent(100 * count / of)}"


def _percent(pct: float) -> str:
    """Whole, but nothing that happened is 0 %."""
    return "under 1 %" if 0 < pct < 1 else f"{format_number(pct)} %"


def _measured(count: int, line: OutcomeLine) -> tuple[str, str]:
    """Who is missing, and the share that leaves them out, with its 95 % interval."""
    missing = _share(line.missing, line.due)
    if not line.measured:
        return missing, "nobody"
    low, high = wilson_interval(100 * count / line.measured, line.measured)
    return missing, f"{_share(count, line.measured)} ({format_number(low)} to {format_number(high)} %)"


def _points(value: float | None) -> str:
    return "–" if value is None else format_number(value, 1, signed=True)
