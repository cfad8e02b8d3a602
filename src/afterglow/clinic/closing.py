"""Closing a session: drug to zero with a witness to waste, events graded, note signed, monitoring form due."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta

from afterglow.clinic.acting import Act, Outcome, login
from afterglow.clinic.containers import Container, Movement, check_amount, put_back, waste_drawn
from afterglow.clinic.policy import SitePolicy
from afterglow.clinic.registers import event_grades
from afterglow.clinic.rulebook import Delivery, rule
from afterglow.clinic.session import (
    AdverseEvent,
    DrugUse,
    DrugUseKind,
    SignedNote,
    TreatmentSession,
    admit,
    step,
)
from afterglow.errors import Conflict, GateClosed, MissingValue, NotFound, OutOfRange, Unbalanced, WrongOrder, echo
from afterglow.quantities import format_mg

_ONE_TAP = timedelta(seconds=10)  # Assumption: the same event by the same person within it was tapped twice


def waste(
    session: TreatmentSession,
    container: Container,
    act: Act,
    *,
    amount_ug: int,
    policy: SitePolicy,
    witness: Act | None = None,
) -> Outcome[tuple[TreatmentSession, Container]]:
    """Drug of this session wasted, in both books at once, with a reason and a witness who is another login.

    Returns: session and container as they are then, with the facts of both.
    Raises: WrongState, NotPermitted, MissingValue; SecondPerson without the witness; Unbalanced for more than is out.

    >>> from afterglow.clinic.examples import POLICY, infusion_of_hours, nurse, vial
    >>> from afterglow.clinic.containers import draw
    >>> box = draw(vial(), nurse(-5), amount_ug=100_000, session_id="s1").now
    >>> by, other = nurse(90, reason="broken syringe"), nurse(90, by="rn2")
    >>> session, box = waste(infusion_of_hours(), box, by, amount_ug=20_000, policy=POLICY, witness=other).now
    >>> session.outstanding_ug("v1"), box.movements[-1].witness
    (80000, 'rn2')
    """
    admit(session, "account_drug", act, policy=policy)
    gone = waste_drawn(container, act, amount_ug=amount_ug, session_id=session.id, policy=policy, witness=witness)
    by = gone.written[0].witness if isinstance(gone.written[0], Movement) else None
    done = _account(session, act, DrugUseKind.WASTED, container.id, amount_ug, witness=by)
    return Outcome(now=(done.now, gone.now), written=(*done.written, *gone.written))


def give_back(
    session: TreatmentSession, container: Container, act: Act, *, amount_ug: int
) -> Outcome[tuple[TreatmentSession, Container]]:
    """Unopened drug of this session returned to its container, in both books at once, with a reason.

    Returns: session and container as they are then, with the facts of both.
    Raises: WrongState, NotPermitted, MissingValue; Unbalanced for more than is out; as `put_back`.

    >>> from afterglow.clinic.examples import infusion_of_hours, nurse, vial
    >>> from afterglow.clinic.containers import draw
    >>> box = draw(vial(100_000), nurse(-5), amount_ug=100_000, session_id="s1").now
    >>> session, box = give_back(infusion_of_hours(), box, nurse(5, reason="unopened"), amount_ug=100_000).now
    >>> session.outstanding_ug("v1"), box.balance_ug
    (0, 100000)
    """
    admit(session, "account_drug", act)
    done = _account(session, act, DrugUseKind.RETURNED, container.id, amount_ug)
    back = put_back(container, act, amount_ug=amount_ug, session_id=session.id)
    return Outcome(now=(done.now, back.now), written=(*done.written, *back.written))


def record_event(
    session: TreatmentSession, event: AdverseEvent, act: Act, *, typed_at: datetime | None = None
) -> Outcome[TreatmentSession]:
    """An adverse event, graded or not yet; one told after the session was closed has its grade, since no close asks.

    `typed_at` is when a device without a line took it; what it took before the close is not lost.

    Raises: WrongState, NotPermitted; MissingValue for an event without a grade after the close; Conflict for an id used
        already, another person, or the same event of seconds before; OutOfRange for a grade that does not exist;
        WrongOrder for times that run backwards.

    >>> from afterglow.clinic.examples import at, injected, nurse
    >>> event = AdverseEvent(id="e1", term="Nausea", started_at=at(10), by="nurse1")
    >>> len(record_event(injected(), event, nurse(12)).now.adverse_events)
    1
    """
    admit(session, "record_event", act)
    if event.id in {each.id for each in (*session.adverse_events, *session.voided_events)}:
        raise Conflict("An event with this id was recorded already", observed=echo(event.id))
    if login(event.by) != act.by or event.graded_by is not None or event.voided_by is not None:
        raise Conflict("Who records an event is the act's", next_step="Take the login from the act")
    _check_grade(event.grade)
    if session.closed_at is not None and event.grade is None and (typed_at is None or typed_at >= session.closed_at):
        raise MissingValue(
            "The session is closed: an event told now needs its grade",
            allowed="a grade from 1 to 5, and when it began",
            next_step="Enter it with its time and grade",
            about="grade",
        )
    _check_event_times(event, act)
    for each in session.adverse_events:
        same = (each.term, each.intervention, each.by) == (event.term, event.intervention, event.by)
        if same and abs(event.started_at - each.started_at) < _ONE_TAP:
            raise Conflict(
                "This event was recorded seconds before and counts once",
                allowed=f"the same event again after {_ONE_TAP.seconds} s",
                next_step="If it happened twice, record it again then",
                about="term",
            )
    return step(session, "record_event", act, written=(event,), adverse_events=(*session.adverse_events, event))


def grade_event(
    session: TreatmentSession, event_id: str, act: Act, *, grade: int, serious: bool, ended_at: datetime | None
) -> Outcome[TreatmentSession]:
    """Grade an event, 1 to 5, and say whether it is serious; a lower grade, or no longer serious, needs a reason.

    Raises: WrongState, NotPermitted, NotFound, OutOfRange, MissingValue; WrongOrder for an end before the start.

    >>> from afterglow.clinic.examples import at, injected, nurse
    >>> event = AdverseEvent(id="e1", term="Nausea", started_at=at(10), by="nurse1")
    >>> session = record_event(injected(), event, nurse(12)).now
    >>> grade_event(session, "e1", nurse(30), grade=2, serious=False, ended_at=None).now.adverse_events[0].grade
    2
    """
    admit(session, "grade_event", act)
    _check_grade(grade)
    for each in session.adverse_events:
        if each.id == event_id:
            if (each.grade or 0) > grade or (each.serious and not serious):
                act.check_reason(what="A lower grade")
            graded = replace(
                each,
                grade=grade,
                serious=serious,
                ended_at=ended_at,
                graded_by=act.by,
                graded_at=act.at,
                reason=act.reason,
            )
            _check_event_times(graded, act)
            events = tuple(graded if e.id == event_id else e for e in session.adverse_events)
            return step(session, "grade_event", act, written=(graded,), adverse_events=events)
    raise NotFound("No event of this session has this id", observed=echo(event_id))


def void_event(session: TreatmentSession, event_id: str, act: Act) -> Outcome[TreatmentSession]:
    """An event that was entered in error, with the reason; it is kept and stands for nothing.

    Raises: WrongState, NotPermitted, MissingValue, NotFound.

    >>> from afterglow.clinic.examples import at, injected, nurse
    >>> event = AdverseEvent(id="e1", term="Nausea", started_at=at(10), by="nurse1")
    >>> session = record_event(injected(), event, nurse(12)).now
    >>> now = void_event(session, "e1", nurse(13, reason="tapped by mistake")).now
    >>> now.adverse_events, now.voided_events[0].voided_by
    ((), 'nurse1')
    """
    admit(session, "void_event", act)
    for each in session.adverse_events:
        if each.id == event_id:
            voided = replace(each, voided_by=act.by, reason=act.check_reason(what="An event entered in error"))
            kept = tuple(e for e in session.adverse_events if e.id != event_id)
            gone = (*session.voided_events, voided)
            return step(session, "void_event", act, written=(voided,), adverse_events=kept, voided_events=gone)
    raise NotFound("No event of this session has this id", observed=echo(event_id))


def sign_note(session: TreatmentSession, act: Act) -> Outcome[TreatmentSession]:
    """The session's note is signed, after the patient left: it tells the whole session.

    Raises: WrongState, NotPermitted.

    >>> from afterglow.clinic.examples import injected, nurse
    >>> from afterglow.clinic.session import SessionState
    >>> sign_note(injected(state=SessionState.LEFT), nurse(100)).now.note.by
    'nurse1'
    """
    note = SignedNote(by=act.by, at=act.at)
    return step(session, "sign_note", act, written=(note,), note=note)


def close(session: TreatmentSession, act: Act, *, policy: SitePolicy) -> Outcome[TreatmentSession]:
    """Close a session: every container at zero, note signed, every event graded.

    Raises: WrongState, NotPermitted; Unbalanced naming the container; GateClosed naming what is missing.

    >>> from afterglow.clinic.examples import POLICY, injected, nurse
    >>> from afterglow.clinic.session import SessionState
    >>> left = sign_note(injected(state=SessionState.LEFT), nurse(100)).now
    >>> close(left, nurse(110), policy=POLICY).now.state.value
    'closed'
    """
    admit(session, "close", act, policy=policy)
    check_reconciled(session)
    if session.note is None:
        raise GateClosed("The session has no signed note", rule="note", next_step="Sign the note")
    for each in session.adverse_events:
        if each.grade is None or each.serious is None:
            raise GateClosed(
                "An adverse event is not graded", rule="ctcae5", observed=echo(each.term), allowed="grade 1 to 5"
            )
    return step(session, "close", act, closed_at=act.at)


def form_due_at(session: TreatmentSession) -> datetime | None:
    """When the monitoring form must be in: 7 days after an esketamine session in which drug was given (S070).

    >>> from afterglow.clinic.examples import injected
    >>> form_due_at(injected()) is None  # of esketamine alone
    True
    """
    if session.delivery is not Delivery.ESK or not session.given:
        return None
    return session.given[0].at + timedelta(days=rule("S070").figures["due_days"])


def check_reconciled(session: TreatmentSession) -> None:
    """Refuse while drawn is not given plus wasted plus returned, container by container (K01).

    Raises: Unbalanced.

    >>> from afterglow.clinic.examples import infusion_of_hours
    >>> check_reconciled(infusion_of_hours())
    Traceback (most recent call last):
    ...
    afterglow.errors.Unbalanced: Drug of container v1 is not accounted for; found 100 mg; ...
    """
    for each in session.containers:
        left = session.outstanding_ug(each)
        if left:
            raise Unbalanced(
                f"Drug of container {each} is not accounted for",
                rule="K01",
                observed=format_mg(left),
                allowed="0 at close",
                next_step="Enter what was given, wasted or returned",
            )


def _account(
    session: TreatmentSession,
    act: Act,
    kind: DrugUseKind,
    container_id: str,
    amount_ug: int,
    *,
    witness: str | None = None,
) -> Outcome[TreatmentSession]:
    out = session.outstanding_ug(container_id)
    check_amount(amount_ug)
    if amount_ug > out:
        raise Unbalanced(
            f"The amount {kind} is refused",
            rule="K01",
            observed=format_mg(amount_ug),
            allowed=f"up to {format_mg(out)} of container {container_id}",
            next_step="Count what is left",
        )
    use = DrugUse(
        kind=kind,
        container_id=container_id,
        amount_ug=amount_ug,
        at=act.at,
        by=act.by,
        witness=witness,
        reason=act.reason,
    )
    return step(session, "account_drug", act, written=(use,), drug_uses=(*session.drug_uses, use))


def _check_grade(grade: int | None) -> None:
    if grade is not None and grade not in event_grades():
        raise OutOfRange("The grade is refused", observed=str(grade), allowed="1 to 5", next_step="Grade it by CTCAE")


def _check_event_times(event: AdverseEvent, act: Act) -> None:
    times = [each for each in (event.started_at, event.ended_at, act.at) if each is not None]
    if times != sorted(times):
        raise WrongOrder(
            "The times of the event are refused",
            observed=" to ".join(f"{each:%Y-%m-%d %H:%M}" for each in times[:-1]) + " UTC",
            allowed=f"a start, then an end, up to {act.at:%Y-%m-%d %H:%M} UTC",
            next_step="Correct when it was",
        )
