"""The room: drug drawn and given, readings, events, leaving, and what closes a session; and the screen on the wall."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from datetime import datetime
from typing import Any

from afterglow.clinic import (
    SESSION,
    AdverseEvent,
    Container,
    Delivery,
    Finding,
    Outcome,
    Reading,
    SessionState,
    Severity,
    SitePolicy,
    TreatmentCourse,
    TreatmentSession,
    assess_emergency,
    clear_to_leave,
    close,
    correct_reading,
    enter_reading,
    finish_dose,
    give_back,
    give_device,
    grade_event,
    hold,
    record_event,
    resume,
    sign_note,
    start_dose,
    stop,
    take_drug,
    transfer,
    use_unit,
    void_event,
    walk_out,
    walk_out_alert,
    waste,
)
from afterglow.clinic.alerts import alerts_from_findings
from afterglow.errors import MissingValue, NotFound, echo
from afterglow.predicates import Fact
from afterglow.store.records import new_id
from afterglow.usecases.desk import roles_of, use_case
from afterglow.usecases.diary import vacated
from afterglow.usecases.drugs import keep_container
from afterglow.usecases.measures import raise_alerts
from afterglow.usecases.sessions import chart_of, keep_session, leave_check, policy_of
from afterglow.usecases.work import Actor, Loaded, Work, Written

IN_ROOM = (
    SessionState.ARRIVED,
    SessionState.SCREENED,
    SessionState.CLEARED,
    SessionState.DOSING,
    SessionState.HELD,
    SessionState.OBSERVING,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Vitals:
    """A set of readings as typed; what was not read is None and says nothing. Units as in `Reading`."""

    systolic_mmhg: int | None = None
    diastolic_mmhg: int | None = None
    heart_rate_per_min: int | None = None
    spo2_pct: int | None = None
    respiratory_rate_per_min: int | None = None
    moaas: int | None = None
    dissociated: bool | None = None
    symptoms: tuple[tuple[str, bool], ...] = ()


@use_case("sessions.take_drug", roles=roles_of(SESSION, "take_drug"))
def take(work: Work, session_id: str, container_id: str, *, amount_ug: int) -> Written:
    """Drug drawn from a container for this session, in both books at once.

    Raises: WrongState; Conflict for another drug or strength; Unbalanced, OutOfRange.
    """
    loaded, container = work.load(TreatmentSession, session_id), work.load(Container, container_id)
    return _both(work, loaded, container, take_drug(loaded.now, container.now, work.act(), amount_ug=amount_ug))


@use_case("sessions.start_dose", roles=roles_of(SESSION, "start_dose"))
def start(work: Work, session_id: str, *, version: int) -> Written:
    """Start the infusion or hand over the dose; every gate is judged again now. A unit of cover is used.

    Raises: GateClosed, SecondPerson, Unbalanced, WrongState; Conflict if the session changed since it was looked at.
    """
    loaded = work.load(TreatmentSession, session_id, version=version)
    policy = policy_of(work, loaded.now)
    chart = chart_of(work, loaded.now, policy)
    written = keep_session(work, loaded, start_dose(loaded.now, work.act(), chart=chart, policy=policy))
    if loaded.now.delivery is not Delivery.ESK:
        _use_unit(work, loaded.now)
    return written


@use_case("sessions.give_device", roles=roles_of(SESSION, "give_device"))
def use_device(
    work: Work, session_id: str, container_id: str, *, green_dots_checked: bool | None, primed: bool | None
) -> Written:
    """One nasal device, sprayed by the patient under observation; the first uses a unit of cover.

    Raises: TooEarly, GateClosed, Unbalanced, SecondPerson, WrongState.
    """
    loaded = work.load(TreatmentSession, session_id)
    policy = policy_of(work, loaded.now)
    facts: dict[str, Fact | None] = {"device.green_dots_checked": green_dots_checked, "device.primed": primed}
    outcome = give_device(
        loaded.now,
        work.act(),
        container_id=container_id,
        device_facts=facts,
        chart=chart_of(work, loaded.now, policy),
        policy=policy,
    )
    written = keep_session(work, loaded, outcome)
    if not loaded.now.given:
        _use_unit(work, loaded.now)
    return written


@use_case("sessions.hold", roles=roles_of(SESSION, "hold"))
def pause_dose(work: Work, session_id: str, *, reason: str) -> Written:
    """Pause the dose.

    Raises: WrongState, MissingValue.
    """
    loaded = work.load(TreatmentSession, session_id)
    return keep_session(work, loaded, hold(loaded.now, work.act(reason)))


@use_case("sessions.resume", roles=roles_of(SESSION, "resume"), signs=True)
def go_on(work: Work, session_id: str, *, version: int) -> Written:
    """Go on after a hold; a prescriber decides.

    Raises: GateClosed, WrongState, Conflict.
    """
    loaded = work.load(TreatmentSession, session_id, version=version)
    policy = policy_of(work, loaded.now)
    chart = chart_of(work, loaded.now, policy)
    return keep_session(work, loaded, resume(loaded.now, work.act(), chart=chart, policy=policy))


@use_case("sessions.finish_dose", roles=roles_of(SESSION, "finish_dose"))
def end_dose(
    work: Work, session_id: str, *, amounts_ug: tuple[tuple[str, int], ...] = (), reason: str | None = None
) -> Written:
    """The whole dose is given; amounts by container, none for devices; why, where its run differs from the order.

    Raises: Unbalanced, TooEarly, MissingValue, WrongState.
    """
    loaded = work.load(TreatmentSession, session_id)
    policy = policy_of(work, loaded.now)
    return keep_session(work, loaded, finish_dose(loaded.now, work.act(reason), policy=policy, amounts_ug=amounts_ug))


@use_case("sessions.stop_dose", roles=roles_of(SESSION, "stop"))
def stop_early(work: Work, session_id: str, *, reason: str, amounts_ug: tuple[tuple[str, int], ...] = ()) -> Written:
    """End the dose early, with what was given by then from each container, 0 too; none for devices.

    Raises: Unbalanced, MissingValue, WrongState.
    """
    loaded = work.load(TreatmentSession, session_id)
    policy = policy_of(work, loaded.now)
    return keep_session(work, loaded, stop(loaded.now, work.act(reason), policy=policy, amounts_ug=amounts_ug))


@use_case("sessions.enter_reading", roles=roles_of(SESSION, "enter_reading"), adds=True)
def read_vitals(
    work: Work,
    session_id: str,
    vitals: Vitals,
    *,
    id: str | None = None,  # noqa: A002  made by the device, where it works without a line
    taken_at: datetime | None = None,
    tablet_at: datetime | None = None,
) -> Written:
    """A set of readings; `also` holds its id and those of the alerts that it raises.

    `tablet_at` is what the device's own clock said when it was typed; the audit trail keeps it beside ours.

    Raises: OutOfRange, WrongOrder, MissingValue for a slip; WrongState; Conflict for an id used already.
    """
    loaded = work.load(TreatmentSession, session_id)
    policy = policy_of(work, loaded.now)
    _tell_tablet(work, tablet_at)
    made = reading_of(work, id or new_id(), vitals, taken_at or work.now)
    return _watched(work, loaded, enter_reading(loaded.now, made, work.act(), policy=policy), made, policy)


@use_case("sessions.correct_reading", roles=roles_of(SESSION, "correct_reading"))
def correct_vitals(
    work: Work,
    session_id: str,
    reading_id: str,
    *,
    vitals: Vitals | None,
    reason: str,
    taken_at: datetime | None = None,
) -> Written:
    """A set of readings in place of another; none marks the other as entered in error.

    Raises: as `read_vitals`; NotFound unless the other stands; MissingValue without a reason.
    """
    loaded = work.load(TreatmentSession, session_id)
    policy = policy_of(work, loaded.now)
    old = next((each for each in loaded.now.readings if each.id == reading_id), None)
    if old is None:
        raise NotFound("There is no such reading", observed=echo(reading_id))
    at = taken_at or old.taken_at
    about: dict[str, Any] = {"supersedes": reading_id, "reason": reason}
    if vitals is None:
        about["entered_in_error"] = True
    made = reading_of(work, new_id(), vitals or Vitals(), at, **about)
    return _watched(work, loaded, correct_reading(loaded.now, made, work.act(reason), policy=policy), made, policy)


@use_case("sessions.assess_emergency", roles=roles_of(SESSION, "assess_emergency"), signs=True)
def assess(work: Work, session_id: str, rule_id: str, *, reason: str) -> Written:
    """A prescriber saw the patient after an emergency was over.

    Raises: NotFound, GateClosed, MissingValue, WrongState.
    """
    loaded = work.load(TreatmentSession, session_id)
    policy = policy_of(work, loaded.now)
    return keep_session(work, loaded, assess_emergency(loaded.now, rule_id, work.act(reason), policy=policy))


@use_case("sessions.record_event", roles=roles_of(SESSION, "record_event"), adds=True)
def note_event(
    work: Work,
    session_id: str,
    *,
    term: str,
    started_at: datetime | None = None,
    intervention: str | None = None,
    grade: int | None = None,
    serious: bool | None = None,
    id: str | None = None,  # noqa: A002  made by the device, where it works without a line
    tablet_at: datetime | None = None,
) -> Written:
    """An adverse event, to be graded before the session closes; `tablet_at` as in `read_vitals`.

    Raises: WrongState; MissingValue after the close for one without its time or grade; Conflict for an id used already,
        and for the same event of seconds before.
    """
    loaded = work.load(TreatmentSession, session_id)
    _tell_tablet(work, tablet_at)
    made = AdverseEvent(
        id=id or new_id(),
        term=term,
        started_at=started_at or work.now,
        intervention=intervention,
        grade=grade,
        serious=serious,
        by=work.actor.person_id,
    )
    outcome = record_event(loaded.now, made, work.act(), typed_at=tablet_at)
    if loaded.now.closed_at is not None and started_at is None and tablet_at is None:
        raise MissingValue("The session is closed: say when the event began", about="started")
    return keep_session(work, loaded, outcome, also=(made.id,))


@use_case("sessions.grade_event", roles=roles_of(SESSION, "grade_event"))
def grade(
    work: Work,
    session_id: str,
    event_id: str,
    *,
    grade: int,
    serious: bool,
    ended_at: datetime | None = None,
    reason: str | None = None,
) -> Written:
    """Grade an event, 1 to 5, and say whether it is serious; a lower grade than before needs a reason.

    Raises: NotFound, OutOfRange, MissingValue, WrongState.
    """
    loaded = work.load(TreatmentSession, session_id)
    outcome = grade_event(loaded.now, event_id, work.act(reason), grade=grade, serious=serious, ended_at=ended_at)
    return keep_session(work, loaded, outcome)


@use_case("sessions.void_event", roles=roles_of(SESSION, "void_event"))
def take_event_back(work: Work, session_id: str, event_id: str, *, reason: str) -> Written:
    """An event that was entered in error; it is kept with the reason and stands for nothing.

    Raises: NotFound, MissingValue, WrongState.
    """
    loaded = work.load(TreatmentSession, session_id)
    return keep_session(work, loaded, void_event(loaded.now, event_id, work.act(reason)))


@use_case("sessions.clear_to_leave", roles=roles_of(SESSION, "clear_to_leave"))
def let_go(
    work: Work,
    session_id: str,
    checked: Mapping[str, bool | None],
    *,
    aldrete: tuple[int, ...] | None,
    padss: tuple[int, ...] | None,
    version: int,
) -> Written:
    """The leave check by who lets the patient go: time is over, every leave rule is known and clear.

    Raises: TooEarly, GateClosed, WrongState; UnknownName; Conflict if the session changed since it was looked at.
    """
    loaded = work.load(TreatmentSession, session_id, version=version)
    check = leave_check(work, loaded.now, checked, aldrete=aldrete, padss=padss)
    policy = policy_of(work, loaded.now)
    outcome = clear_to_leave(loaded.now, check, work.act(), policy=policy)
    return _left(work, loaded, outcome)


@use_case("sessions.walk_out", roles=roles_of(SESSION, "walk_out"))
def left_unchecked(work: Work, session_id: str, *, reason: str) -> Written:
    """The patient left without the check; `also` holds the id of the alert that asks a prescriber to call now.

    Raises: WrongState, MissingValue.
    """
    loaded = work.load(TreatmentSession, session_id)
    outcome = walk_out(loaded.now, work.act(reason))
    alert = walk_out_alert(outcome.now, alert_id=f"{session_id[:40]}.walked_out", policy=policy_of(work, loaded.now))
    return _left(work, loaded, outcome, also=raise_alerts(work, outcome.now.patient_id, (alert,)))


@use_case("sessions.transfer", roles=roles_of(SESSION, "transfer"))
def hand_over_to_emergency(work: Work, session_id: str, *, reason: str) -> Written:
    """The patient was handed over to emergency care.

    Raises: WrongState, MissingValue.
    """
    loaded = work.load(TreatmentSession, session_id)
    return _left(work, loaded, transfer(loaded.now, work.act(reason)))


@use_case("sessions.waste", roles=roles_of(SESSION, "account_drug"), signs=True)
def waste_drug(
    work: Work, session_id: str, container_id: str, *, amount_ug: int, reason: str, witness: Actor | None = None
) -> Written:
    """Drug of this session wasted before a witness, in both books at once.

    Raises: SecondPerson, Unbalanced, MissingValue, WrongState.
    """
    loaded, container = work.load(TreatmentSession, session_id), work.load(Container, container_id)
    outcome = waste(
        loaded.now,
        container.now,
        work.act(reason),
        amount_ug=amount_ug,
        policy=policy_of(work, loaded.now),
        witness=work.act_of(witness),
    )
    return _both(work, loaded, container, outcome)


@use_case("sessions.give_back", roles=roles_of(SESSION, "account_drug"))
def return_drug(work: Work, session_id: str, container_id: str, *, amount_ug: int, reason: str) -> Written:
    """Unopened drug of this session returned to its container, in both books at once.

    Raises: Unbalanced, MissingValue, WrongState.
    """
    loaded, container = work.load(TreatmentSession, session_id), work.load(Container, container_id)
    return _both(work, loaded, container, give_back(loaded.now, container.now, work.act(reason), amount_ug=amount_ug))


@use_case("sessions.sign_note", roles=roles_of(SESSION, "sign_note"), signs=True)
def sign(work: Work, session_id: str) -> Written:
    """The session's note is signed.

    Raises: WrongState.
    """
    loaded = work.load(TreatmentSession, session_id)
    return keep_session(work, loaded, sign_note(loaded.now, work.act()))


@use_case("sessions.close", roles=roles_of(SESSION, "close"))
def finish(work: Work, session_id: str, *, version: int) -> Written:
    """Close a session: every container at zero, note signed, every event graded.

    Raises: Unbalanced, GateClosed, WrongState, Conflict.
    """
    loaded = work.load(TreatmentSession, session_id, version=version)
    return keep_session(work, loaded, close(loaded.now, work.act(), policy=policy_of(work, loaded.now)))


def _left(
    work: Work, loaded: Loaded[TreatmentSession], outcome: Outcome[TreatmentSession], *, also: tuple[str, ...] = ()
) -> Written:
    """The session without its patient; the chair is free."""
    vacated(work, loaded.id)
    return keep_session(work, loaded, outcome, also=also)


def _both(
    work: Work,
    loaded: Loaded[TreatmentSession],
    container: Loaded[Container],
    outcome: Outcome[tuple[TreatmentSession, Container]],
) -> Written:
    """Session and container, each with its facts: a movement is the container's, the rest the session's."""
    session, vessel = outcome.now
    moved = tuple(
        fact for fact in outcome.written if getattr(fact, "container_id", None) and hasattr(fact, "balance_ug")
    )
    keep_container(work, container, Outcome(now=vessel, written=moved))
    mine = tuple(fact for fact in outcome.written if fact not in moved)
    return keep_session(work, loaded, Outcome(now=session, written=mine))


def _use_unit(work: Work, session: TreatmentSession) -> None:
    course = work.load(TreatmentCourse, session.course_id)
    outcome = use_unit(course.now, work.act(), on=work.now.date(), session_id=session.id)
    if outcome.written:
        work.keep(course, outcome, state=outcome.now.state)


def reading_of(work: Work, reading_id: str, vitals: Vitals, taken_at: datetime, **about: Any) -> Reading:
    """A set of readings by whoever is at work, entered now."""
    values = {each.name: getattr(vitals, each.name) for each in fields(Vitals)}
    return Reading(id=reading_id, taken_at=taken_at, entered_at=work.now, by=work.actor.person_id, **values, **about)


def _watched(
    work: Work,
    loaded: Loaded[TreatmentSession],
    outcome: Outcome[TreatmentSession],
    reading: Reading,
    policy: SitePolicy,
) -> Written:
    """The session with its reading, and an alert of each value of the reading that meets escalation rules."""
    patient_id = loaded.now.patient_id
    hits = [fact for fact in outcome.written if isinstance(fact, Finding) and fact.severity is not Severity.CAUTION]
    raised = raise_alerts(
        work,
        patient_id,
        alerts_from_findings(hits, reading_id=reading.id[:40], patient_id=patient_id, at=work.now, policy=policy),
    )
    return keep_session(work, loaded, outcome, also=(reading.id, *raised))


def _tell_tablet(work: Work, tablet_at: datetime | None) -> None:
    if tablet_at is not None:
        work.about(tablet_at=tablet_at.isoformat())
