"""After a session and along the course: forms due, events to report, lapses, reviews and checks of long exposure."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from afterglow.clinic.acting import days_between, minutes_between
from afterglow.clinic.course import ReviewKind, TreatmentCourse, benefit_reviewed_at, reviews_of
from afterglow.clinic.factbook import check_facts
from afterglow.clinic.policy import SitePolicy
from afterglow.clinic.rulebook import Group, rules_of
from afterglow.clinic.ruling import Facts, Finding, judge_all
from afterglow.clinic.session import AdverseEvent, SessionState, TreatmentSession
from afterglow.clinic.typed import check_utc
from afterglow.errors import OutOfRange, echo
from afterglow.predicates import Fact, Truth

# What the sessions and the course do not hold, and somebody has to look up or ask.
ASKED_LATER = {
    "rems.form_submitted",
    "after.check_in_done",
    "symptoms.depression_worse",
    "events.urinary_symptoms_new",
    "review.days_since_urinary_question",
    "hx.liver_risk",
    "lab.days_since_alt_ast",
}
# Events that the programme's form asks for by name, beside serious ones. Source: rems_form.
_REPORTED = {"sedation", "dissociation", "respiratory depression"}
_MONTH_DAYS, _WEEK_DAYS, _MINUTES_PER_HOUR = 30, 7, 60


def aftercare_facts(
    course: TreatmentCourse, sessions: Iterable[TreatmentSession], at: datetime, *, asked: Facts
) -> dict[str, Fact | None]:
    """What the rules of aftercare ask about a course at a time.

    Args:
        course: as it is.
        sessions: all of the course.
        at: now.
        asked: what neither holds: whether the form is in, the 24 h check-in, urinary symptoms, liver tests.
    Raises: OutOfRange for a fact that course and sessions hold themselves; UnknownName.

    >>> from datetime import UTC
    >>> from afterglow.clinic.resistance import Indication
    >>> from afterglow.clinic.rulebook import Delivery
    >>> from afterglow.quantities import DrugForm
    >>> course = TreatmentCourse(id="c1", patient_id="p1", delivery=Delivery.IV, drug=DrugForm.RACEMIC_KETAMINE,
    ...                          indication=Indication.TRD)
    >>> found = aftercare_facts(course, (), datetime(2026, 1, 5, 9, tzinfo=UTC), asked={})
    >>> found["schedule.sessions_in_30_days"], found.get("schedule.days_since_last_session") is None
    (0, True)
    """
    check_utc(at, what="The time of a check")
    for name in asked:
        if name not in ASKED_LATER:
            raise OutOfRange(
                "This is not asked after a session", observed=echo(name), allowed=", ".join(sorted(ASKED_LATER))
            )
    check_facts(asked)
    mine = [each for each in sessions if each.course_id == course.id]
    given = sorted((each for each in mine if each.given), key=lambda each: each.given[0].at)
    return _of_last(given, at) | _of_schedule(course, mine, given, at) | _of_reviews(course, at) | dict(asked)


def sessions_in_induction(course: TreatmentCourse, sessions: Iterable[TreatmentSession]) -> int:
    """In how many sessions of this induction a dose was started; 0 before it.

    >>> from afterglow.clinic.resistance import Indication
    >>> from afterglow.clinic.rulebook import Delivery
    >>> from afterglow.quantities import DrugForm
    >>> sessions_in_induction(TreatmentCourse(id="c1", patient_id="p1", delivery=Delivery.IV,
    ...                       drug=DrugForm.RACEMIC_KETAMINE, indication=Indication.TRD), ())
    0
    """
    since = course.induced_at
    if since is None:
        return 0
    starts = (each.dose_started_at for each in sessions if each.course_id == course.id)
    return sum(start is not None and start >= since for start in starts)


def judge_aftercare(
    course: TreatmentCourse, sessions: Iterable[TreatmentSession], at: datetime, *, asked: Facts, policy: SitePolicy
) -> tuple[Finding, ...]:
    """Every rule of aftercare at a time; what is missing leaves its rule unknown.

    Args:
        course: as it is.
        sessions: all of the course.
        at: now.
        asked: as `aftercare_facts`.
        policy: in force now.

    >>> from datetime import UTC
    >>> from afterglow.clinic.policy import demo_policy
    >>> from afterglow.clinic.resistance import Indication
    >>> from afterglow.clinic.rulebook import Delivery
    >>> from afterglow.quantities import DrugForm
    >>> course = TreatmentCourse(id="c1", patient_id="p1", delivery=Delivery.IV, drug=DrugForm.RACEMIC_KETAMINE,
    ...                          indication=Indication.TRD)
    >>> found = judge_aftercare(course, (), datetime(2026, 1, 5, 9, tzinfo=UTC), policy=demo_policy(),
    ...                         asked={"review.days_since_urinary_question": 31})
    >>> [each.rule for each in found if each.verdict == "hit"]
    ['S075']
    """
    facts = aftercare_facts(course, sessions, at, asked=asked)
    return judge_all(rules_of(Group.AFTER, delivery=course.delivery), facts, policy, delivery=course.delivery)


def _of_last(given: list[TreatmentSession], at: datetime) -> dict[str, Fact | None]:
    if not given:
        return {}
    last = given[-1]
    left = last.left_at
    return {
        "rems.days_since_session": days_between(last.given[0].at, at),
        "events.rems_reportable": _is_reportable(last.adverse_events),
        "after.hours_since_discharge": None if left is None else minutes_between(left, at) / _MINUTES_PER_HOUR,
        "schedule.days_since_last_session": days_between(last.given[0].at, at),
    }


def _is_reportable(events: tuple[AdverseEvent, ...]) -> Truth:
    if any(each.serious or each.term.strip().casefold() in _REPORTED for each in events):
        return True
    return None if any(each.serious is None for each in events) else False


def _of_schedule(
    course: TreatmentCourse, mine: list[TreatmentSession], given: list[TreatmentSession], at: datetime
) -> dict[str, Fact | None]:
    last = given[-1].given[0].at if given else None
    missed = [e for e in mine if e.state is SessionState.MISSED and (last is None or e.planned_at > last)]
    here = [e.given[0].at for e in given if course.induced_at is None or e.given[0].at >= course.induced_at]
    return {
        "schedule.missed_sessions": len(missed),
        "schedule.treatment_week": None if not here else int(days_between(here[0], at) // _WEEK_DAYS) + 1,
        "schedule.sessions_in_30_days": sum(0 <= days_between(e.given[0].at, at) < _MONTH_DAYS for e in given),
    }


def _of_reviews(course: TreatmentCourse, at: datetime) -> dict[str, Fact | None]:
    since = course.induced_at
    if since is None:
        return {}
    held = reviews_of(course, at)
    return {
        "review.days_since_exposure_review": days_between(benefit_reviewed_at(course, at) or since, at),
        "review.induction_benefit_recorded": any(each.kind is ReviewKind.END_OF_INDUCTION for each in held),
    }
