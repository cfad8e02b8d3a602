"""Documents: what was recorded, on paper; each made by somebody at a time, and told in the audit trail once."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from datetime import date, datetime, time, timedelta

from afterglow import __version__
from afterglow.clinic import (
    ASKED_LATER,
    Container,
    Role,
    SessionState,
    Transitioned,
    TreatmentCourse,
    TreatmentSession,
    Verdict,
    judge_aftercare,
    monitoring_form,
)
from afterglow.errors import OutOfRange
from afterglow.render.pdf import Paper
from afterglow.render.report import Notice, Paragraph, Report, Section
from afterglow.store import facts, patients
from afterglow.store.patients import Identifiers
from afterglow.usecases.charts import chart_page
from afterglow.usecases.course_summary import CourseFacts, summary_sections
from afterglow.usecases.desk import view
from afterglow.usecases.drug_log import account, log_sections
from afterglow.usecases.intake import CandidacyDecision, Inquiry
from afterglow.usecases.jobs import forecast_of
from afterglow.usecases.measures import Measured, due_of
from afterglow.usecases.monitoring_sheet import monitored
from afterglow.usecases.outcome_report import outcome_sections
from afterglow.usecases.outcomes import Followed, control_arms, scale_outcomes, started
from afterglow.usecases.patients import KnownFact, aged_fact
from afterglow.usecases.policies import HelpLines
from afterglow.usecases.session_record import session_sections, session_tags
from afterglow.usecases.session_sheet import sheet_of
from afterglow.usecases.wording import Wording, clinic_of, facts_table, wording_of
from afterglow.usecases.work import CARE, Work

LONGEST = timedelta(days=5 * 366)  # Assumption: our policy; a longer period is a typing slip


@view("documents.session_record", roles=CARE)
def session_record(work: Work, session_id: str) -> Paper:
    """One session: gates, dose, readings, events, leaving, close, who signed what; corrections stay corrections.

    Raises: NotFound.
    """
    say = wording_of(work)
    sheet = sheet_of(work, session_id, zone=say.zone.key, model=False)
    session = sheet.session
    moves = [each.fact for each in work.standing(Transitioned, patient_id=session.patient_id, subject=session_id)]
    moves = [each for each in moves if each.machine == "session"]
    return _paper(
        work,
        say,
        "Session record",
        f"Session {session.number}, {session.delivery.words}, {say.day(session.dose_started_at or session.planned_at)}",
        session_sections(sheet, moves, say),
        tags=session_tags(sheet),
        patient_id=session.patient_id,
    )


@view("documents.monitoring_sheet", roles=CARE)
def monitoring_sheet(work: Work, session_id: str) -> Paper:
    """What goes into the risk programme's monitoring form, from the record; no copy of the official form.

    Raises: NotFound, also for a session that needs none.
    """
    say = wording_of(work)
    sheet, found, form = *monitored(work, session_id, say), monitoring_form()
    return _paper(
        work,
        say,
        "REMS monitoring data",
        f"Session {sheet.session.number}, {say.day(sheet.session.given[0].at)}; due {say.day(found.due_at)}",
        (
            Section(
                heading="From the record",
                blocks=(
                    Notice(text=form.print_only, kind="warning"),
                    facts_table(found.fields),
                    Paragraph(
                        text="What the record does not hold is asked by the official form itself: sex, telephone and "
                        "address, and the minutes until the patient would have been ready without the two-hour rule. "
                        f"Form as of {form.version}."
                    ),
                ),
            ),
        ),
        tags=() if sheet.session.state is SessionState.CLOSED else ("Session not closed",),
        patient_id=sheet.session.patient_id,
    )


@view("documents.course_summary", roles=CARE)
def course_summary(work: Work, course_id: str) -> Paper:
    """A course for whoever referred the patient: why, what was given, scores, events, decisions, what to watch.

    Raises: NotFound.
    """
    say = wording_of(work)
    course = work.load(TreatmentCourse, course_id).now
    chart, policy = chart_page(work, course.patient_id), work.policy_or_defaults()
    sessions = [each.now for each in chart.sessions if each.now.course_id == course_id]
    inquiries = [each.fact for each in work.standing(Inquiry, patient_id=course.patient_id, subject=course_id)]
    decided = work.standing(CandidacyDecision, patient_id=course.patient_id, subject=course_id)
    known = work.standing(KnownFact, patient_id=course.patient_id)
    asked = {e.fact.name: aged_fact(e.fact, work.now) for e in known if e.fact.name in ASKED_LATER}
    found = judge_aftercare(course, sessions, work.now, asked=asked, policy=policy)
    next_at = min((e.planned_at for e in sessions if e.state is SessionState.BOOKED), default=None)
    lines = [head.now for head in facts.load_all(work.tx, HelpLines) if head.now is not None]
    told = CourseFacts(
        chart=chart,
        course=course,
        inquiry=inquiries[-1] if inquiries else None,
        candidacy=tuple(each.fact for each in decided),
        due=due_of(work, course, [(e.at, e.measured.instrument) for e in chart.scores], next_at=next_at),
        watch=tuple(each for each in found if each.verdict is Verdict.HIT),
        policy=policy,
        phone=lines[0].clinic if lines else "",
    )
    to = told.inquiry.referrer if told.inquiry is not None and told.inquiry.referrer else "whoever goes on caring"
    return _paper(
        work,
        say,
        "Course summary",
        f"For {to}: {course.delivery.words} for {course.indication.words}",
        summary_sections(told, say, now=work.now),
        tags=("Course goes on",) if course.stop_reason is None else (),
        patient_id=course.patient_id,
    )


@view("documents.outcomes", roles=(Role.PRESCRIBER, Role.MEDICAL_DIRECTOR))
def outcomes(work: Work, *, since: date, until: date) -> Paper:
    """The clinic's outcomes: courses whose first dose lies in a period, both days included; no patient is named.

    Raises: OutOfRange for a period that runs backwards, begins in the future or is over five years.
    """
    say = wording_of(work)
    begin, end = _period(work, say, since, until)
    followed = _followed(work, begin, end)
    return _paper(
        work,
        say,
        "Outcome report",
        f"Courses whose first dose was given from {say.day(since)} to {say.day(until)}",
        outcome_sections(
            followed,
            scale_outcomes(followed, at=work.now),
            control_arms(each.course.indication for each in followed),
            closed=len(work.hidden),
        ),
    )


@view("documents.drug_log", roles=(*CARE, Role.COMPLIANCE))
def drug_log(work: Work, *, since: date, until: date) -> Paper:
    """Every container that was here in a period: received, given, wasted with witness, reconciled to zero.

    Raises: OutOfRange as `outcomes`.
    """
    say = wording_of(work)
    begin, end = _period(work, say, since, until)
    here = [each for each in work.every(Container) if _was_here(each.now, begin, end)]
    wanted = {move.session_id for each in here for move in each.now.movements if move.session_id is not None}
    uses = {
        head.id: None if head.now is None else head.now.drug_uses
        for head in facts.load_all(work.tx, TreatmentSession)  # amounts alone, of restricted charts too
        if head.id in wanted
    }
    accounts = (account(each.now, uses, until=end) for each in here)
    return _paper(
        work,
        say,
        "Drug log",
        f"Containers in the clinic from {say.day(since)} to {say.day(until)}",
        log_sections(
            tuple(sorted(accounts, key=lambda each: (each.movements[0].at, each.container.id))), say, since=begin
        ),
    )


def _followed(work: Work, begin: datetime, end: datetime) -> tuple[Followed, ...]:
    given: defaultdict[str, list[TreatmentSession]] = defaultdict(list)
    for each in work.every(TreatmentSession):
        if each.now.given:
            given[each.now.course_id].append(each.now)
    scores = work.standing_by_patient(Measured)
    found = []
    for head in work.every(TreatmentCourse):
        sessions = tuple(sorted(given.get(head.id, ()), key=started))
        if not sessions or not begin <= started(sessions[0]) < end:
            continue
        mine: defaultdict[str, list[tuple[datetime, Measured]]] = defaultdict(list)
        for noted in scores.get(head.now.patient_id, ()):
            mine[noted.fact.instrument].append((noted.at, noted.fact))
        found.append(
            Followed(
                course=head.now,
                sessions=sessions,
                scores={name: tuple(each) for name, each in mine.items()},
                forecast=forecast_of(work, head.now).answer,
            )
        )
    work.patient_id = work.subject = None  # it is about nobody
    return tuple(found)


def _was_here(container: Container, begin: datetime, end: datetime) -> bool:
    """Whether it came in before the end, and held drug or was touched within the period."""
    moved = [each for each in container.movements if each.at < end]
    return bool(moved) and (moved[-1].balance_ug > 0 or moved[-1].at >= begin)


def _period(work: Work, say: Wording, since: date, until: date) -> tuple[datetime, datetime]:
    """The first moment of a period and the first after it, by the clinic's days."""
    today = work.now.astimezone(say.zone).date()
    if not since <= min(until, today) or until - since > LONGEST:
        raise OutOfRange(
            "The period is refused",
            observed=f"{since.isoformat()} to {until.isoformat()}",
            allowed=f"from a day up to today to a later one, at most {LONGEST.days // 366} years",
            next_step="Choose two days",
            about="since",
        )
    first, after = (datetime.combine(day, time(), say.zone) for day in (since, until + timedelta(days=1)))
    return first, after


def _paper(
    work: Work,
    say: Wording,
    title: str,
    subtitle: str,
    sections: Iterable[Section],
    *,
    tags: tuple[str, ...] = (),
    patient_id: str | None = None,
) -> Paper:
    """A document with who made it and when, and whom it is about, on every page."""
    clinic, by = clinic_of(work), work.actor.person_id
    made = (
        f"Made by {say.who(by)}{'' if say.who(by) == by else f' ({by})'}, {say.moment(work.now)} ({clinic.time_zone})"
    )
    whose = "" if patient_id is None else _whose(patients.load(work.tx, patient_id).identifiers, say)
    return Paper(
        report=Report(
            title=title,
            subtitle=subtitle,
            sections=tuple(sections),
            foot=f"{made}. Afterglow {__version__}. The record itself is the original.",
            tags=(*(("Synthetic data",) if clinic.synthetic else ()), *tags),
        ),
        clinic=clinic.name,
        whose=whose,
        at=work.now,
        size="us-letter" if work.policy_or_defaults().region == "US" else "a4",
    )


def _whose(known: Identifiers | None, say: Wording) -> str:
    if known is None:
        return "Erased patient"
    born = "birth date not recorded" if known.born_on is None else f"born {say.day(known.born_on)}"
    number = f"record {known.record_number}" if known.record_number else "no record number"
    return f"{known.name} · {born} · {number}"
