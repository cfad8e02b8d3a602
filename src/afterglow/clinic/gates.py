"""The gates before a dose, judged from the record: the session's own readings and answers, and the patient's chart.

Nothing is taken on the caller's word: dose, readings, weight, schedule, consent, cover, candidacy and medicines are
derived here, for the go, for the start, for the first device, and in part for each step after it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from afterglow.clinic.acting import Act, days_between
from afterglow.clinic.candidacy import Candidacy, check_still_candidate
from afterglow.clinic.consent import check_consent, check_cover
from afterglow.clinic.course import CourseState, TreatmentCourse, says_stop
from afterglow.clinic.dose_rules import dose_facts
from afterglow.clinic.factbook import check_facts
from afterglow.clinic.medicines import Allergies, AllergyStatus, MedicineList, classes_of, is_reconciled, medicine_facts
from afterglow.clinic.policy import SitePolicy, policy_facts
from afterglow.clinic.readings import check_no_escalation, latest_facts
from afterglow.clinic.rulebook import Group, rule, rules_of
from afterglow.clinic.ruling import Finding, check_open, judge_all
from afterglow.clinic.session import SessionState, TreatmentSession
from afterglow.clinic.typed import check_utc, typed
from afterglow.errors import AfterglowError, Conflict, GateClosed
from afterglow.predicates import Fact

_TREATED = (CourseState.INDUCTION, CourseState.REINDUCTION, CourseState.MAINTENANCE)
_RUNNING = (SessionState.CLEARED, SessionState.DOSING, SessionState.HELD, SessionState.OBSERVING)
_AT_EACH_DEVICE = {"S020", "S021"}
_WEEK_DAYS = 7


@typed
@dataclass(frozen=True, slots=True, kw_only=True)
class Chart:
    """What the record holds of a patient at a visit.

    Args:
        course: as it is now.
        candidacy: assessed since arrival.
        medicines: reconciled at this visit.
        sessions: every other session of the course; those numbered below this one must all be there.
        age_years: None where unknown.
        consent_version: the clinic's current consent form.
    """

    course: TreatmentCourse
    candidacy: Candidacy
    medicines: MedicineList
    sessions: tuple[TreatmentSession, ...] = ()
    age_years: float | None
    consent_version: str


def chart_facts(session: TreatmentSession, at: datetime, *, chart: Chart, policy: SitePolicy) -> dict[str, Fact | None]:
    """What the record says to the rules before a dose; what it does not hold is unknown.

    Readings count while they are not older than `session.gates_valid_minutes`. The week of treatment counts from the
    first dose of this induction.

    >>> from afterglow.clinic.examples import POLICY, at, chart, session
    >>> chart_facts(session(), at(0), chart=chart(), policy=POLICY)["schedule.treatment_week"]
    1
    """
    check_utc(at, what="The time of a check")
    since = at - timedelta(minutes=policy.number("session.gates_valid_minutes"))
    given = sorted((each for each in chart.sessions if each.given), key=lambda each: each.given[0].at)
    before = [each.prepared.weight for each in given if each.prepared is not None and each.prepared.weight is not None]
    found = latest_facts(session, policy, since=since)
    week = treatment_week(chart, at)
    found["age"] = chart.age_years
    found["schedule.treatment_week"] = week
    found["schedule.sessions_in_7_days"] = sum(days_between(each.given[0].at, at) < _WEEK_DAYS for each in given)
    if session.order is not None:
        found |= dose_facts(
            session.order,
            session.prepared,
            weight_before=before[-1] if before else None,
            number=len(given) + 1,
            week=week,
            age_years=chart.age_years,
            at=at,
            policy=policy,
        )
    return found


def treatment_week(chart: Chart, at: datetime) -> int:
    """The week of treatment from 1, counted from the first dose of this induction; 1 before it.

    >>> from afterglow.clinic.examples import at, chart
    >>> treatment_week(chart(), at(0))
    1
    """
    check_utc(at, what="The time of a check")
    since = chart.course.induced_at
    starts = [each.given[0].at for each in chart.sessions if each.given]
    here = [each for each in starts if since is None or each >= since]
    return 1 if not here else int(days_between(min(here), at) // _WEEK_DAYS) + 1


def judge_gates(session: TreatmentSession, at: datetime, *, chart: Chart, policy: SitePolicy) -> tuple[Finding, ...]:
    """Every rule of arrival, pre-dose and administration that is decided before the dose, on the record alone.

    Args:
        session: as it is; what was asked at screening counts unless the record itself knows the answer.
        at: now.
        chart: of the patient.
        policy: of the session.

    >>> from afterglow.clinic.examples import POLICY, at, chart, session
    >>> found = judge_gates(session(), at(0), chart=chart(), policy=POLICY)
    >>> {each.verdict.value for each in found if each.rule == "S010"}
    {'unknown'}
    """
    rules = rules_of(Group.ARRIVAL, Group.PRE_DOSE, Group.ADMINISTRATION, delivery=session.delivery)
    known = dict(session.gate_facts) | chart_facts(session, at, chart=chart, policy=policy) | policy_facts(policy)
    return judge_all(
        (each for each in rules if each.id not in _AT_EACH_DEVICE), known, policy, delivery=session.delivery
    )


def chart_gates(
    session: TreatmentSession, act: Act, *, chart: Chart, policy: SitePolicy
) -> Mapping[str, AfterglowError | None]:
    """What the chart must hold before a dose, by name, each with why it does not hold at the time of the act.

    None where it holds. The same questions as `check_gates` asks, all of them instead of the first that refuses.
    """
    asked: tuple[tuple[str, Callable[[], None]], ...] = (
        ("treatment", lambda: check_treated(session, chart, act, policy)),
        ("cover", lambda: check_cover(chart.course, act.at.date())),
        ("candidacy", lambda: _check_candidacy(session, chart, act)),
        ("medicines", lambda: _check_medicines(session, chart, act)),
    )
    found: dict[str, AfterglowError | None] = {}
    for name, check in asked:
        try:
            check()
            found[name] = None
        except (GateClosed, Conflict) as refused:
            found[name] = refused
    return found


def check_gates(session: TreatmentSession, act: Act, *, chart: Chart, policy: SitePolicy) -> tuple[Finding, ...]:
    """Refuse a dose unless everything that must hold before it holds at the time of the act; the rules as judged.

    Args:
        session: as it is.
        act: whose time counts.
        chart: of the patient.
        policy: of the session.
    Raises: Conflict for a chart of somebody else; GateClosed naming the first thing that stands in the way.

    >>> from afterglow.clinic.examples import POLICY, chart, prescriber, session
    >>> from afterglow.clinic.session import SessionState
    >>> check_gates(session(SessionState.SCREENED), prescriber(5), chart=chart(), policy=POLICY)
    Traceback (most recent call last):
    ...
    afterglow.errors.GateClosed: Candidacy was not assessed at this visit; ...
    """
    check_treated(session, chart, act, policy)
    check_facts({"age": chart.age_years})
    check_cover(chart.course, act.at.date())
    _check_candidacy(session, chart, act)
    _check_medicines(session, chart, act)
    if session.order is None or session.prepared is None:
        raise GateClosed("No dose is ordered and prepared", rule="dose", next_step="Order it and prepare it")
    if session.order.indication is not chart.course.indication:
        raise GateClosed(
            "The dose is ordered for another indication",
            rule="dose",
            observed=session.order.indication.value,
            allowed=chart.course.indication.value,
            next_step="Order it for what the course treats",
        )
    check_fresh(session.screened_at, act, policy, what="The screening")
    found = judge_gates(session, act.at, chart=chart, policy=policy)
    check_open(found, session.answers, what=f"Session {session.number}")
    check_no_escalation(session, policy, what=f"Session {session.number}")
    return found


def check_treated(session: TreatmentSession, chart: Chart, act: Act, policy: SitePolicy) -> None:
    """Refuse drug outside a course that is under treatment with a consent that stands; asked at every step.

    Raises: Conflict for a chart of another patient, course or delivery, or with sessions missing; GateClosed.

    >>> from afterglow.clinic.examples import POLICY, chart, nurse, session
    >>> check_treated(session(), chart(), nurse(5), POLICY)
    """
    course = chart.course
    mine = (session.course_id, session.patient_id, session.delivery, session.drug)
    if (course.id, course.patient_id, course.delivery, course.drug) != mine:
        raise Conflict("The chart is of another course", observed=course.id, allowed=session.course_id)
    _check_sessions(session, chart)
    if course.state not in _TREATED:
        raise GateClosed(
            "The course is not under treatment",
            rule="course",
            observed=course.state.value,
            allowed=", ".join(_TREATED),
            next_step="A prescriber starts or resumes the course",
        )
    if says_stop(course):
        raise GateClosed(
            "The last benefit review says stop",
            rule="S077",
            observed=f"reviewed {course.reviews[-1].at:%Y-%m-%d %H:%M} UTC",
            allowed="a review that goes on",
            next_step="Stop the course, or review benefit again",
        )
    check_consent(course, act.at, version=chart.consent_version, policy=policy)


def check_fresh(at: datetime | None, act: Act, policy: SitePolicy, *, what: str) -> None:
    """Refuse what lies too long before a dose.

    Raises: GateClosed.

    >>> from datetime import UTC
    >>> from afterglow.clinic.acting import Role
    >>> from afterglow.clinic.policy import demo_policy
    >>> act = Act(by="rn1", roles=(Role.NURSE,), at=datetime(2026, 1, 5, 9, tzinfo=UTC))
    >>> check_fresh(act.at - timedelta(minutes=60), act, demo_policy(), what="The go")
    """
    allowed = timedelta(minutes=policy.number("session.gates_valid_minutes"))
    if at is None or act.at - at > allowed:
        raise GateClosed(
            f"{what} is too old",
            rule="session.gates_valid_minutes",
            observed="none" if at is None else f"{at:%Y-%m-%d %H:%M} UTC",
            allowed=f"at most {allowed / timedelta(minutes=1):g} min before",
            next_step="Do it again",
        )


def _check_sessions(session: TreatmentSession, chart: Chart) -> None:
    other = [
        each for each in chart.sessions if (each.course_id, each.patient_id) != (session.course_id, session.patient_id)
    ]
    missing = set(range(1, session.number)) - {each.number for each in chart.sessions}
    if other or missing or session.id in {each.id for each in chart.sessions}:
        raise Conflict(
            "The chart does not hold the other sessions of this course",
            observed=f"{len(other)} of another course, {len(missing)} missing",
            allowed=f"all of sessions 1 to {session.number - 1}",
            next_step="Load the course with its sessions",
        )
    running = [each for each in chart.sessions if each.state in _RUNNING]
    if running:
        raise GateClosed(
            "Another session of this course is running",
            rule="course",
            observed=f"session {running[0].number} is {running[0].state.replace('_', ' ')}",
            allowed="one at a time",
            next_step="End that one first",
        )


def _check_candidacy(session: TreatmentSession, chart: Chart, act: Act) -> None:
    found = chart.candidacy
    if (found.patient_id, found.delivery) != (session.patient_id, session.delivery):
        raise Conflict("The candidacy is of another patient or delivery", observed=found.delivery.words)
    if session.arrived_at is None or not session.arrived_at <= found.assessed_at <= act.at:
        raise GateClosed(
            "Candidacy was not assessed at this visit",
            rule="candidacy",
            observed=f"{found.assessed_at:%Y-%m-%d %H:%M} UTC",
            allowed="since arrival, not later than now",
            next_step="Assess it again",
        )
    if found.policy_version != session.policy_version:
        raise Conflict(
            "The candidacy was assessed under another policy",
            observed=f"version {found.policy_version}",
            allowed=f"version {session.policy_version}",
            next_step="Assess it again",
        )
    for each in found.findings:
        for name, value in each.observed:
            if name == "age" and value != chart.age_years:
                raise GateClosed(
                    "Candidacy was assessed for another age",
                    rule=each.rule,
                    observed=f"{value} and {chart.age_years}",
                    allowed="the age in the chart, known",
                    next_step="Enter the birth date and assess it again",
                )
    check_still_candidate(found)


def _check_medicines(session: TreatmentSession, chart: Chart, act: Act) -> None:
    listed, arrived = chart.medicines, session.arrived_at
    at = listed.reconciled_at
    here = at is not None and arrived is not None and arrived <= at <= act.at and bool(listed.reconciled_by)
    if not (here and is_reconciled(listed, visit=session.id)):
        raise GateClosed("The medicine list was not reconciled at this visit", rule="S007", next_step="Go through it")
    unclassified = sum(classes_of(each) is None for each in listed.medicines)
    if unclassified:
        raise GateClosed(
            "A medicine is not classified",
            rule="medicines",
            observed=f"{unclassified} of {len(listed.medicines)}",
            allowed="each with its interacting classes, or none",
            next_step="A clinician says which class each belongs to",
        )
    now = medicine_facts(listed, Allergies(status=AllergyStatus.NOT_ASKED))
    for each in chart.candidacy.findings:
        for name, value in each.observed:
            if rule(each.rule).group is Group.INTERACTION and name in now and now[name] != value:
                raise GateClosed(
                    "Candidacy was assessed on another medicine list",
                    rule=each.rule,
                    observed=each.values,
                    next_step="Assess it again with the list of today",
                )
