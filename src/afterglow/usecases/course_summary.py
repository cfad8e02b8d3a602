"""A course on paper for whoever referred the patient: why, what was given, what the scales say, what was decided.

The model's forecast is left out: it is for who decides here beside the chart, not for a letter that is read later.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime

from afterglow.clinic import (
    AllergyStatus,
    CourseState,
    DueMeasure,
    Finding,
    SitePolicy,
    TreatmentCourse,
    TreatmentSession,
    event_grades,
    judge_resistance,
    rule,
)
from afterglow.render.report import Block, KeyFigure, KeyFigures, Notice, Paragraph, Section
from afterglow.render.scores import scores_chart
from afterglow.scales import Change, instrument
from afterglow.usecases.charts import ChartPage
from afterglow.usecases.course_view import ScaleCourse, dose_words, scale_courses
from afterglow.usecases.deciding import NextDecision
from afterglow.usecases.forecast_report import definition_rows
from afterglow.usecases.forecast_view import written
from afterglow.usecases.intake import CandidacyDecision, Inquiry
from afterglow.usecases.measures import ScoreLine
from afterglow.usecases.wording import Wording, count_words, facts_table, medicines_words, table_of
from afterglow.usecases.words import source_words, tidy
from afterglow.usecases.worklists import main_scale

_YES = {True: "yes", False: "no", None: "–"}
_CHANGE = {
    Change.IMPROVED: "better, beyond measurement error",
    Change.WORSENED: "worse, beyond measurement error",
    Change.WITHIN_NOISE: "within measurement error",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class CourseFacts:
    """What a course's summary is made of.

    Args:
        chart: of the patient, with all scores.
        course: that the summary is about.
        inquiry: the first contact; None where none was taken.
        candidacy: decisions whether the patient is suitable, oldest first.
        due: scales that are due.
        watch: rules of aftercare that are met.
        phone: of the clinic; empty where none is set.
    """

    chart: ChartPage
    course: TreatmentCourse
    inquiry: Inquiry | None
    candidacy: tuple[CandidacyDecision, ...]
    due: tuple[DueMeasure, ...]
    watch: tuple[Finding, ...]
    policy: SitePolicy
    phone: str

    @property
    def sessions(self) -> tuple[TreatmentSession, ...]:
        """Of this course, in order of time."""
        mine = (each.now for each in self.chart.sessions if each.now.course_id == self.course.id)
        return tuple(sorted(mine, key=lambda each: each.planned_at))

    def lines(self, scale: ScaleCourse) -> list[ScoreLine]:
        """Every score on a scale, oldest first."""
        return [each for each in self.chart.scores if each.measured.instrument == scale.last.measured.instrument]

    @property
    def given(self) -> tuple[TreatmentSession, ...]:
        """Those in which drug was given."""
        return tuple(each for each in self.sessions if each.given)


def summary_sections(of: CourseFacts, say: Wording, *, now: datetime) -> tuple[Section, ...]:
    """The summary, what matters to who reads it first."""
    scales = scale_courses(of.chart, now=now, zone=say.zone.key)
    return tuple(
        Section(heading=heading, blocks=blocks)
        for heading, found in (
            ("In short", _short(of, scales, say)),
            ("Why", _why(of, say)),
            ("What was given", _given(of, say)),
            ("Scores", _scores(of, scales, say)),
            ("Adverse events", _events(of, say)),
            ("What was decided", _decided(of, say)),
            ("What to watch", _watch(of, say)),
        )
        if (blocks := tuple(found))
    )


def _short(of: CourseFacts, scales: tuple[ScaleCourse, ...], say: Wording) -> Iterator[Block]:
    course, given = of.course, of.given
    figures = [
        KeyFigure(
            label="Course",
            value=course.state.replace("_", " ").capitalize(),
            note=course.stop_reason.replace("_", " ") if course.stop_reason else course.delivery.words,
        ),
        KeyFigure(
            label="Sessions given",
            value=str(len(given)),
            note=f"{say.day(given[0].dose_started_at)} to {say.day(given[-1].dose_started_at)}"
            if given
            else "none yet",
        ),
    ]
    main = main_scale(course.indication)
    lines = [each for each in of.chart.scores if each.measured.instrument == main and each.measured.total is not None]
    if lines and scales:
        last = lines[-1]
        figures.append(
            KeyFigure(
                label=f"{instrument(main).short_name}, {say.day(last.at)}",
                value=_total(last),
                note=last.reading.band or "",
            )
        )
        change = last.reading.change
        if change is not None and change.change_points is not None:
            reached = {(True, True): "response and remission", (True, False): "response, not remission"}
            figures.append(
                KeyFigure(
                    label="Since before treatment",
                    value=written(change.change_points, signed=True),
                    unit="points",
                    note=reached.get((last.reading.response is True, last.reading.remission is True), "no response")
                    if last.reading.response is not None
                    else "",
                )
            )
    yield KeyFigures(figures=tuple(figures))


def _why(of: CourseFacts, say: Wording) -> Iterator[Block]:
    course, inquiry = of.course, of.inquiry
    rows = [("Treated", course.indication.words)]
    if inquiry is not None:
        by = inquiry.referred_by.replace("_", " ")
        rows.append(("Referred by", f"{inquiry.referrer}, {by}" if inquiry.referrer else by))
        rows += [("Asked for", inquiry.asks)] if inquiry.asks else []
    rows += [
        (
            {"proceed": "Found suitable", "defer": "Put off", "decline": "Not suitable"}[each.decision],
            f"{each.reason} ({say.who(each.by)}, {say.day(each.at)})",
        )
        for each in of.candidacy
    ]
    yield facts_table(rows)
    trials = of.chart.trials
    if trials is None:
        yield Paragraph(text="Medicines tried before were not asked about.")
        return
    verdict = judge_resistance(trials.trials, of.policy)
    counts = {each.drug: each.counts for each in verdict.trials}
    yield table_of(
        "Medicines tried before",
        ("Medicine", "Class", "Dose", "Weeks#", "Better by, %#", "Came to", "Adequate, failed"),
        (
            (
                each.drug,
                each.drug_class.upper(),
                each.dose or "not known",
                "not known" if each.weeks is None else f"{each.weeks:g}",
                "not known" if each.improvement_pct is None else f"{each.improvement_pct:g}",
                each.outcome.replace("_", " "),
                {True: "yes", False: "no", None: "not known"}[counts.get(each.drug)],
            )
            for each in trials.trials
        ),
    )


def _given(of: CourseFacts, say: Wording) -> Iterator[Block]:
    plan = of.course.plan
    if plan is not None:
        sessions = count_words(plan.induction_sessions, "session")
        planned = f"{sessions}, one every {plan.interval_days:g} days; {plan.endpoint}"
        yield facts_table((("Planned", planned), ("Label", plan.label_statement)))
    if not of.given:
        yield Paragraph(text="No dose has been given in this course.")
        return
    yield table_of(
        "",
        ("Session#", "Day", "Treatment", "Given", "Whole dose", "Left"),
        (
            (
                str(each.number),
                say.day(each.dose_started_at),
                each.delivery.words,
                dose_words(each),
                {True: "yes", False: "stopped early", None: "not ended"}[each.complete],
                "–" if each.left_how is None else each.left_how.replace("_", " "),
            )
            for each in of.given
        ),
    )
    missed = [each for each in of.sessions if each.state in {"missed", "cancelled"}]
    if missed:
        yield Paragraph(text=f"Missed or called off: {count_words(len(missed), 'booked session')}.")


def _scores(of: CourseFacts, scales: tuple[ScaleCourse, ...], say: Wording) -> Iterator[Block]:
    if not scales:
        yield Notice(text="No scale was scored, so nothing can be said of how the symptoms went.", kind="warning")
        return
    first, *others = scales
    yield scores_chart(first.picture)
    yield table_of(
        first.name,
        ("Day", "Score#", "Band", "Change#", "Beyond error?", "Response", "Remission"),
        (_score_row(line, say) for line in of.lines(first)),
    )
    if others:
        yield table_of(
            "Other scales",
            ("Scale", "Day", "Score#", "Band", "Change#"),
            ((each.name, *_score_row(line, say)[:4]) for each in others for line in of.lines(each)),
        )
    known = instrument(first.last.measured.instrument)
    rules = [*definition_rows("Response", known.response), *definition_rows("Remission", known.remission)]
    if rules:
        yield table_of(f"What counts on {known.short_name}", ("What", "Definition", "Source"), rules)
    yield Paragraph(
        text="Change is counted from the last score before the first dose. These scores alone do not say how much of a "
        "change is the drug's: scores fall in control arms too."
    )


def _score_row(line: ScoreLine, say: Wording) -> tuple[str, ...]:
    reading, change = line.reading, line.reading.change
    points = None if change is None else change.change_points
    return (
        say.day(line.at),
        _total(line),
        reading.band or "–",
        "–" if points is None else written(points, signed=True),
        "–" if change is None or change.verdict is None else _CHANGE[change.verdict],
        _YES[reading.response],
        _YES[reading.remission],
    )


def _events(of: CourseFacts, say: Wording) -> Iterator[Block]:
    rows = [
        (
            say.day(each.started_at),
            str(session.number),
            each.term,
            "not graded" if each.grade is None else f"{each.grade}, {event_grades()[each.grade]}",
            {True: "yes", False: "no", None: "not known"}[each.serious],
            each.intervention or "",
        )
        for session in of.sessions
        for each in session.adverse_events
    ]
    if rows:
        yield table_of(
            "During and after sessions (CTCAE general grades)",
            ("Day", "Session#", "Event", "Grade", "Serious", "What was done"),
            rows,
        )
    else:
        yield Paragraph(text=f"None was recorded in {count_words(len(of.given), 'session')}.")


def _decided(of: CourseFacts, say: Wording) -> Iterator[Block]:
    course = of.course
    rows = [
        (each.at, f"Review, {each.kind.replace('_', ' ')}", each.decision.replace("_", " "), each.reason, each.by)
        for each in course.reviews
    ]
    decisions = [made for made in of.chart.decisions if made.course_id == course.id]
    for each in decisions:
        until = "" if each.by_day is None else f", {say.day(each.by_day)}"
        gone = " (replaced)" if _is_replaced(each, decisions, of.given) else ""
        rows.append((each.at, "Next session", f"{each.step.words}{until}{gone}", each.reason, each.by))
    if course.stop_reason is not None and course.moved_at is not None:
        rows.append((course.moved_at, "Course", "stopped", course.stop_reason.replace("_", " "), ""))
    if rows:
        yield table_of(
            "",
            ("Day", "About", "Decision", "Reason", "By"),
            ((say.day(at), about, what, why, say.who(by)) for at, about, what, why, by in sorted(rows)),
        )
    else:
        yield Paragraph(text="Nothing was decided yet about going on or ending.")


def _is_replaced(made: NextDecision, decisions: Sequence[NextDecision], given: Sequence[TreatmentSession]) -> bool:
    """Whether a later decision was about the same session: no dose was given between the two."""
    later = min((each.at for each in decisions if each.at > made.at), default=None)
    return later is not None and not any(
        each.dose_started_at is not None and made.at < each.dose_started_at <= later for each in given
    )


def _watch(of: CourseFacts, say: Wording) -> Iterator[Block]:
    chart, course = of.chart, of.course
    plan = course.safety_plans[-1:] or ()
    rows = [
        ("Medicines", "not gone through" if chart.medicines is None else medicines_words(chart.medicines)),
        ("Allergies", _allergies(chart)),
        ("Safety plan", f"made or renewed {say.day(plan[0].at)}" if plan else "none was made"),
        *(("Open alert", each.now.text) for each in chart.alerts),
        *(("Rule met", f"{tidy(each.sentence)} {source_words(rule(each.rule), of.policy)}") for each in of.watch),
        *(
            ("Scale due", f"{instrument(e.instrument).short_name}, {e.reason}, since {say.day(e.due_at)}")
            for e in of.due
        ),
    ]
    yield facts_table(rows)
    ended = course.state is CourseState.STOPPED
    yield Paragraph(
        text="Relief often fades after the last session. Please ask about mood and thoughts of suicide at each visit"
        f"{'' if ended else ', and tell us of new medicines, pregnancy and urinary symptoms'}."
        f"{f' The clinic is reached at {of.phone}.' if of.phone else ''}"
    )


def _allergies(chart: ChartPage) -> str:
    found = chart.allergies
    if found is None or found.status is AllergyStatus.NOT_ASKED:
        return "not asked"
    return ", ".join(found.substances) or "none known"


def _total(line: ScoreLine) -> str:
    return "incomplete" if line.measured.total is None else written(line.measured.total)
