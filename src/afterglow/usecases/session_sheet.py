"""A session's page: gates, dose, flow sheet, leave check and reconciliation, read at once, told once in the trail."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from enum import StrEnum

from afterglow.clinic import (
    SESSION,
    Allergies,
    Booking,
    Chart,
    Clocks,
    Container,
    ContainerState,
    DueState,
    Finding,
    LabelStatus,
    LeaveCheck,
    Leaving,
    MedicineList,
    Plan,
    PreparedDose,
    Priority,
    Reading,
    SessionState,
    Severity,
    SitePolicy,
    Transitioned,
    TreatmentSession,
    Verdict,
    WorkupItem,
    chart_gates,
    clocks,
    due_readings,
    escalations,
    judge_gates,
    judge_leaving,
    judge_monitoring,
    judge_rate,
    judge_reading,
    next_device_at,
    open_findings,
    priority_of,
    rule,
    standing_readings,
    workup_items,
)
from afterglow.clinic.candidacy import EVERY_SESSION
from afterglow.clinic.factbook import say_condition
from afterglow.clinic.readings import check_values
from afterglow.clinic.rulebook import Group, rules_of
from afterglow.clinic.ruling import blocking_unknowns, condition_in, judge
from afterglow.clinic.thresholds import alone
from afterglow.predicates import Fact
from afterglow.provenance import Guardrail
from afterglow.render.chart import Chart as Picture
from afterglow.render.flowsheet import flow_sheet_chart
from afterglow.render.ready import ready_chart
from afterglow.store import patients
from afterglow.therapy.exposure import dose_guardrails
from afterglow.usecases.courses import label_of
from afterglow.usecases.desk import roles_of, view
from afterglow.usecases.people import names_of
from afterglow.usecases.room import IN_ROOM, Vitals, reading_of
from afterglow.usecases.session_outlook import flow_sheet, ready_data, session_outlook
from afterglow.usecases.sessions import chart_of, policy_of
from afterglow.usecases.work import CARE, Noted, Work
from afterglow.usecases.worklists import FormSent


class GateState(StrEnum):
    """Whether a gate lets the dose go on; unknown counts as open."""

    CLOSED = "closed"
    OPEN = "open"
    UNKNOWN = "unknown"


_GATES: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("identity", ("S007",)),
    ("rems", ("S001",)),
    ("escort", ("S006",)),
    ("fasting", ("S002", "S003", "S004", "S005")),
    ("cssrs", ("S008",)),
    ("well", ("S009", "S015")),
    ("vitals", ("S010", "S011", "S012", "S013", "S014")),
    ("staff", ("S024", "S025")),
    ("dose", ("S016", "S017", "S018", "S019", "S022", "S023")),
)
"""Rules of arrival and dose by what a person would call them."""


_BEFORE_DOSE = (Group.ARRIVAL, Group.PRE_DOSE, Group.ADMINISTRATION)
_OF_CHART = ("treatment", "cover", "candidacy", "medicines")
_READ_AGAIN = {
    "readings.spo2_overdue_min",
    "readings.vitals_age_min",
    "readings.vitals_overdue_min",
    "readings.set_without_moaas",
    "readings.set_without_dissociation",
}


_FIELDS = {
    "bp.systolic": "systolic_mmhg",
    "bp.diastolic": "diastolic_mmhg",
    "vitals.heart_rate": "heart_rate_per_min",
    "vitals.spo2": "spo2_pct",
    "vitals.respiratory_rate": "respiratory_rate_per_min",
    "moaas.score": "moaas",
}
"""Values of a reading by the fact that the rules call them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Gate:
    """One thing that must hold before the dose.

    Args:
        name: "identity", "consent", ...
        findings: the rules behind it, as judged; empty for what the chart holds.
        says: what stands open, in words; None where nothing does.
    """

    name: str
    state: GateState
    findings: tuple[Finding, ...] = ()
    says: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class PlainLimit:
    """A limit that one value alone meets, as a device compares it while no server judges the rules.

    Args:
        field: of the reading, or the sign that is looked for.
        op, value: as in the rule, under the session's policy, in the field's unit.
        words: the limit for people.
    """

    rule: str
    field: str
    op: str
    value: Fact
    words: str
    priority: Priority


@dataclass(frozen=True, slots=True, kw_only=True)
class Whose:
    """Whose session it is."""

    name: str
    born_on: date | None
    record_number: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionSheet:
    """Everything that the session's page shows.

    Args:
        at: the server's time; version: what a change needs.
        whose: None once the patient is erased.
        to_answer: rules that are met, and reviews that stay unknown, as they wait for a prescriber's decision.
        plain_limits: of the escalation rules, what one value alone meets, the most pressing first.
        leaving: every leave rule as the record alone answers it; what nobody looked at yet is unknown.
        gates_met: names of the gates that were judged at the start of the dose, where each had to be closed.
        leave_check: as it was found when the patient was let go; None before, and where there was none.
        left_because: why the patient left without it.
        plan: of the course, whose dose an order begins with; None before it is signed.
        waiting: a dose that is prepared and not checked by a second person.
        containers: those in stock that hold the drug.
        guardrails: limits on a dose by this route.
        next_device_at: from when the next nasal device may be used; None where none is to come.
        workup: what is asked at every session and not recorded for this one.
        sheet, ready: charts; None before there is anything to draw.
        people: names by login.
    """

    at: datetime
    session: TreatmentSession
    version: int
    policy: SitePolicy
    whose: Whose | None
    chair_id: str | None
    allergies: Allergies | None
    label: LabelStatus
    clocks: Clocks
    gates: tuple[Gate, ...]
    escalations: tuple[Finding, ...]
    monitoring: tuple[Finding, ...]
    to_answer: tuple[Finding, ...]
    plain_limits: tuple[PlainLimit, ...]
    leaving: tuple[Finding, ...]
    gates_met: tuple[str, ...]
    leave_check: LeaveCheck | None
    left_because: str | None
    plan: Plan | None
    waiting: PreparedDose | None
    containers: tuple[Container, ...]
    medicines: MedicineList
    workup: tuple[WorkupItem, ...]
    guardrails: tuple[Guardrail, ...]
    next_device_at: datetime | None
    sheet: Picture | None
    ready: Picture | None
    form_sent: Noted[FormSent] | None
    people: dict[str, str]


_PLACES = 100  # of a reading line: nearer marks lie on each other


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadingMark:
    """One mark of a reading line: a set that was read, is due or was missed; `share` is its place from 0 to 1.

    Sets that were read at about the same place are one mark, `count` of them, at the last.
    """

    state: DueState
    at: datetime
    share: float
    count: int = 1


@view("sessions.sheet", roles=CARE, in_room=True)
def read_sheet(work: Work, session_id: str, *, zone: str) -> SessionSheet:
    """A session as its page shows it; readable in the room when the audit trail cannot be written.

    `zone` is the IANA name of the clinic's time zone, for the charts.
    """
    return sheet_of(work, session_id, zone=zone)


def sheet_of(work: Work, session_id: str, *, zone: str, model: bool = True) -> SessionSheet:
    """As `read_sheet`, within another use case; without the model, the charts show what was recorded alone."""
    loaded = work.load(TreatmentSession, session_id)
    session = loaded.now
    policy = work.policy_or_defaults() if session.policy_version is None else policy_of(work, session)
    chart = chart_of(work, session, policy)
    identifiers = patients.load(work.tx, session.patient_id).identifiers
    booking, waiting = work.find(Booking, session_id), work.find(PreparedDose, session_id)
    allergies, medicines = work.find(Allergies, session.patient_id), work.find(MedicineList, session.patient_id)
    sent = work.standing(FormSent, patient_id=session.patient_id, subject=session_id)
    gates = gates_of(work, session, chart, policy)
    standing = escalations(session, policy)
    watched = _watched(work, session, policy)
    monitoring = tuple(each for each in watched if each.verdict is Verdict.HIT)
    leaving = _leaving(work, session, policy)
    sheet, ready = _charts(work, session, policy, zone, chart.age_years, model=model)
    work.subject = session_id
    return SessionSheet(
        at=work.now,
        session=session,
        version=loaded.version,
        policy=policy,
        whose=None
        if identifiers is None
        else Whose(name=identifiers.name, born_on=identifiers.born_on, record_number=identifiers.record_number),
        chair_id=None if booking is None else booking.now.chair_id,
        allergies=None if allergies is None else allergies.now,
        label=label_of(work, chart.course),
        clocks=clocks(session, work.now, policy=policy),
        gates=gates,
        escalations=tuple(sorted(standing, key=_pressing)),
        monitoring=monitoring,
        to_answer=waiting_decisions(work, session, chart, policy, standing=standing),
        plain_limits=_plain_limits(session, policy),
        leaving=leaving,
        gates_met=_gates_met(session),
        leave_check=_leave_check(work, session),
        left_because=_left_because(work, session),
        plan=chart.course.plan,
        waiting=waiting.now if waiting is not None and waiting.state == "prepared" else None,
        containers=_containers(work, session),
        medicines=MedicineList() if medicines is None else medicines.now,
        workup=_workup(chart) if session.state in {SessionState.ARRIVED, SessionState.SCREENED} else (),
        guardrails=tuple(
            each
            for (drug, route, _), each in dose_guardrails().items()
            if (drug, route) == (session.drug, session.delivery.route)
        ),
        next_device_at=next_device_at(session),
        sheet=sheet,
        ready=ready,
        form_sent=sent[-1] if sent else None,
        people=names_of(work),
    )


def waiting_decisions(
    work: Work, session: TreatmentSession, chart: Chart | None, policy: SitePolicy, *, standing: Iterable[Finding]
) -> tuple[Finding, ...]:
    """The rules that wait for a prescriber's decision now; what can be found out or read again is found out first.

    `standing` are the session's `escalations`. `chart` may be None while a dose runs or after it: the gates are judged
    before, and a new rate is asked apart.
    """
    watched = _watched(work, session, policy)
    judged = [*standing]
    judged += [e for e in watched if session.state is SessionState.OBSERVING or e.verdict is Verdict.HIT]
    answers = session.answers
    if chart is not None:
        gates = gates_of(work, session, chart, policy)
        before = [*(f for gate in gates for f in gate.findings), *(chart.candidacy.findings if gates else ())]
        judged, answers = [*before, *judged], (*answers, *chart.candidacy.answers)
        if session.rate_waiting is not None:
            judged += judge_rate(session, work.now, chart=chart, policy=policy)
    # A review that is not known is asked once the dose is prepared.
    found_out = session.prepared is not None and session.state is not SessionState.ARRIVED
    return tuple(
        each
        for each in open_findings(judged, answers)
        if (found_out or each.verdict is Verdict.HIT) and not _is_read_again(each)
    )


def one_cause(findings: Iterable[Finding]) -> dict[str, tuple[str, ...]]:
    """The other rules that the same values meet, by the first of them: one decision answers them all."""
    groups: dict[tuple[str, bool, bool], list[str]] = {}
    for each in findings:
        if each.verdict is Verdict.HIT:
            groups.setdefault((each.values, each.overridable, each.cosigned), []).append(each.rule)
    return {first: tuple(others) for first, *others in groups.values() if others}


def _watched(work: Work, session: TreatmentSession, policy: SitePolicy) -> tuple[Finding, ...]:
    """What watching asks; a time that is not over is no finding."""
    found = judge_monitoring(session, work.now, policy=policy) if session.runs else ()
    return tuple(each for each in found if not rule(each.rule).lock)


@view("sessions.try_reading", roles=roles_of(SESSION, "enter_reading"))
def try_reading(work: Work, session_id: str, vitals: Vitals) -> tuple[Finding, ...]:
    """The escalation rules that a set would meet if it were saved now; nothing is kept.

    Raises: OutOfRange, MissingValue, WrongOrder for a slip.
    """
    session = work.load(TreatmentSession, session_id).now
    draft: Reading = reading_of(work, "draft", vitals, work.now)
    check_values(draft)
    policy = work.policy_or_defaults() if session.policy_version is None else policy_of(work, session)
    return tuple(each for each in judge_reading(session, draft, policy) if each.verdict is Verdict.HIT)


def gates_of(work: Work, session: TreatmentSession, chart: Chart, policy: SitePolicy) -> tuple[Gate, ...]:
    """Every gate before the dose as it stands now; after the dose began there is nothing left to judge."""
    if session.runs or session.state not in {SessionState.BOOKED, *IN_ROOM}:
        return ()
    findings = {each.rule: each for each in judge_gates(session, work.now, chart=chart, policy=policy)}
    found = [
        _gate(name, tuple(findings[each] for each in rules if each in findings), session) for name, rules in _GATES
    ]
    held = [
        Gate(name=name, state=GateState.CLOSED)
        if refused is None
        else Gate(name=name, state=GateState.OPEN, says=f"{refused.refused}{_next(refused.next_step)}")
        for name, refused in chart_gates(session, work.act(), chart=chart, policy=policy).items()
        if name != "candidacy" or session.arrived_at is not None
    ]
    return (*held, *(each for each in found if each.findings))


def reading_line(session: TreatmentSession, at: datetime, told: Clocks, policy: SitePolicy) -> tuple[ReadingMark, ...]:
    """Sets read, missed and still due between the first dose and the earliest leave (or the next set, if later)."""
    start = session.dose_started_at
    if start is None:
        return ()
    due = due_readings(session, at, policy=policy)
    read = [each.taken_at for each in standing_readings(session.readings) if each.taken_at >= start]
    open_ = [(each.due_at, each.state) for each in due if each.state is not DueState.DONE]
    last = max([at, *read, *(when for when, _ in open_), *([told.earliest_leave_at] if told.earliest_leave_at else [])])
    whole = max(last - start, timedelta(minutes=1))
    places: dict[int, list[datetime]] = {}
    for when in sorted(read):
        places.setdefault(int(_PLACES * (when - start) / whole), []).append(when)
    marks = [
        ReadingMark(state=DueState.DONE, at=e[-1], share=(e[-1] - start) / whole, count=len(e)) for e in places.values()
    ]
    marks += [ReadingMark(state=state, at=when, share=(when - start) / whole) for when, state in open_]
    return tuple(sorted(marks, key=lambda each: (each.at, each.state)))


def standing_priority(standing: tuple[Finding, ...], session: TreatmentSession) -> Priority | None:
    """How fast somebody must respond to what the readings met: the highest that nobody has answered; None for nothing.

    An emergency stays until the patient has left.

    Args:
        standing: `escalations` of the session.
        session: whose answers count.
    """
    waits = (*open_findings(standing, session.answers), *(e for e in standing if e.severity is Severity.EMERGENCY))
    return min((priority_of(each) for each in waits), key=list(Priority).index, default=None)


def _gate(name: str, findings: tuple[Finding, ...], session: TreatmentSession) -> Gate:
    waits = open_findings(findings, session.answers)
    hits = [each for each in waits if each.verdict is Verdict.HIT]
    unknown = [*blocking_unknowns(findings), *(each for each in waits if each.verdict is Verdict.UNKNOWN)]
    if hits:
        says = "; ".join(f"{each.values}, meets {each.rule}" for each in hits)
        return Gate(name=name, state=GateState.OPEN, findings=findings, says=says)
    if unknown:
        missing = dict.fromkeys(each for finding in unknown for each in finding.settles)
        return Gate(name=name, state=GateState.UNKNOWN, findings=findings, says=f"not known: {', '.join(missing)}")
    return Gate(name=name, state=GateState.CLOSED, findings=findings)


def _plain_limits(session: TreatmentSession, policy: SitePolicy) -> tuple[PlainLimit, ...]:
    found = []
    for of in rules_of(Group.ESCALATION, delivery=session.delivery):
        asked = judge(of, {}, policy, delivery=session.delivery)
        for each in alone(condition_in(of, policy)):
            field = _FIELDS.get(each.fact, each.fact if each.fact.startswith(("symptoms.", "events.")) else None)
            if field is not None and not isinstance(each.value, tuple):
                words, level = say_condition(each), priority_of(asked)
                limit = PlainLimit(rule=of.id, field=field, op=each.op, value=each.value, words=words, priority=level)
                found.append((_pressing(asked), limit))
    return tuple(limit for _, limit in sorted(found, key=lambda each: each[0]))


def _pressing(finding: Finding) -> tuple[bool, int]:
    """Emergencies first, then by how fast somebody must respond."""
    return finding.severity is not Severity.EMERGENCY, list(Priority).index(priority_of(finding))


def _next(step: str | None) -> str:
    return "" if step is None else f". {step}"


def _is_read_again(finding: Finding) -> bool:
    """Whether a set is late, or lacks what a nurse sees: reading it clears the rule, so nobody decides on it."""
    return any(name in _READ_AGAIN for name, _ in finding.observed)


def _leaving(work: Work, session: TreatmentSession, policy: SitePolicy) -> tuple[Finding, ...]:
    """What holds the patient, as far as the record alone tells."""
    if session.state is not SessionState.OBSERVING:
        return ()
    blank = LeaveCheck(session_id=session.id, checked_at=work.now, by=work.actor.person_id)
    return judge_leaving(session, blank, work.now, policy=policy)


def _gates_met(session: TreatmentSession) -> tuple[str, ...]:
    """Nothing starts a dose while one of them is open."""
    if not session.runs:
        return ()
    asked = {each.id for each in rules_of(*_BEFORE_DOSE, delivery=session.delivery)}
    return (*_OF_CHART, *(name for name, rules in _GATES if asked & set(rules)))


def _leave_check(work: Work, session: TreatmentSession) -> LeaveCheck | None:
    if session.left_how is not Leaving.CLEARED:
        return None
    found = work.standing(LeaveCheck, patient_id=session.patient_id, subject=session.id)
    return found[-1].fact if found else None


def _left_because(work: Work, session: TreatmentSession) -> str | None:
    if session.left_how in {None, Leaving.CLEARED}:
        return None
    moves = work.standing(Transitioned, patient_id=session.patient_id, subject=session.id)
    return next((e.fact.reason for e in reversed(moves) if e.fact.after == SessionState.LEFT), None)


def _containers(work: Work, session: TreatmentSession) -> tuple[Container, ...]:
    if session.state not in {SessionState.SCREENED, SessionState.CLEARED, SessionState.DOSING, SessionState.HELD}:
        return ()
    stock = work.every(Container, states=(ContainerState.SEALED, ContainerState.OPENED))
    return tuple(each.now for each in stock if each.now.drug is session.drug)


def _workup(chart: Chart) -> tuple[WorkupItem, ...]:
    asked: Iterable[str] = EVERY_SESSION - {"W02"}  # vitals are read, not asked
    left = {each.item for each in chart.candidacy.workup if each.is_open} & set(asked)
    return tuple(each for each in workup_items() if each.id in left)


def _charts(
    work: Work, session: TreatmentSession, policy: SitePolicy, zone: str, age_years: float | None, *, model: bool
) -> tuple[Picture | None, Picture | None]:
    if session.prepared is None and not session.readings:
        return None, None
    outlook = session_outlook(session, at=work.now, age_years=age_years) if model else None
    sheet = flow_sheet_chart(flow_sheet(session, at=work.now, policy=policy, zone=zone, outlook=outlook))
    watched = session.dose_started_at is not None and session.left_at is None
    if outlook is None or not watched:
        return sheet, None
    return sheet, ready_chart(ready_data(session, outlook, at=work.now, policy=policy, zone=zone))
