"""Closing a session: drug to zero with a witness to waste, events graded, note signed, monitoring form due."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta

from afterglow.clinic.acting import CLINICAL, Act, Outcome
from afterglow.clinic.policy import SitePolicy
from afterglow.clinic.rulebook import Delivery, rule
from afterglow.clinic.session import (
    SESSION,
    AdverseEvent,
    DrugUse,
    DrugUseKind,
    SignedNote,
    TreatmentSession,
    check_policy,
    move,
)
from afterglow.errors import Conflict, GateClosed, NotFound, OutOfRange, SecondPerson, Unbalanced, echo

GRADES = {1: "mild", 2: "moderate", 3: "severe", 4: "life-threatening", 5: "death"}  # Source: ctcae5


def waste(
    session: TreatmentSession,
    act: Act,
    *,
    container_id: str,
    amount_ug: int,
    policy: SitePolicy,
    witness: Act | None = None,
) -> Outcome[TreatmentSession]:
    """Drug of this session wasted, with a reason and a witness who is another login.

    Raises: WrongState, NotPermitted, MissingValue; SecondPerson without the witness; Unbalanced for more than is out.
    """
    SESSION.check(session.state, "account_drug", act)
    act.check_reason(what="Waste")
    if policy.flag("drugs.waste_witness"):
        check_witness(act, witness, what="Waste")
    by = None if witness is None else witness.by
    return _account(session, act, DrugUseKind.WASTED, container_id, amount_ug, witness=by)


def give_back(session: TreatmentSession, act: Act, *, container_id: str, amount_ug: int) -> Outcome[TreatmentSession]:
    """Unopened drug of this session returned to its container; the container's record is `containers.put_back`.

    Raises: WrongState, NotPermitted, MissingValue; Unbalanced for more than is out.
    """
    SESSION.check(session.state, "account_drug", act)
    act.check_reason(what="A return")
    return _account(session, act, DrugUseKind.RETURNED, container_id, amount_ug)


def record_event(session: TreatmentSession, event: AdverseEvent, act: Act) -> Outcome[TreatmentSession]:
    """An adverse event, graded or not yet.

    Raises: WrongState, NotPermitted; Conflict for an id used already; OutOfRange for a grade that does not exist.
    """
    SESSION.check(session.state, "record_event", act)
    if event.id in {each.id for each in session.adverse_events}:
        raise Conflict("An event with this id was recorded already", observed=echo(event.id))
    _check_grade(event.grade)
    return Outcome(now=replace(session, adverse_events=(*session.adverse_events, event)), written=(event,))


def grade_event(
    session: TreatmentSession, event_id: str, act: Act, *, grade: int, serious: bool, ended_at: datetime | None
) -> Outcome[TreatmentSession]:
    """Grade an event, 1 to 5, and say whether it is serious.

    Raises: WrongState, NotPermitted, NotFound, OutOfRange.
    """
    SESSION.check(session.state, "grade_event", act)
    _check_grade(grade)
    for each in session.adverse_events:
        if each.id == event_id:
            graded = replace(each, grade=grade, serious=serious, ended_at=ended_at, by=act.by)
            events = tuple(graded if e.id == event_id else e for e in session.adverse_events)
            return Outcome(now=replace(session, adverse_events=events), written=(graded,))
    raise NotFound("No event of this session has this id", observed=echo(event_id))


def sign_note(session: TreatmentSession, act: Act) -> Outcome[TreatmentSession]:
    """The session's note is signed.

    Raises: WrongState, NotPermitted.
    """
    SESSION.check(session.state, "sign_note", act)
    note = SignedNote(by=act.by, at=act.at)
    return Outcome(now=replace(session, note=note), written=(note,))


def close(session: TreatmentSession, act: Act, *, policy: SitePolicy) -> Outcome[TreatmentSession]:
    """Close a session: every container at zero, note signed, every event graded; the form is due in 7 days.

    Raises: WrongState, NotPermitted; Unbalanced naming the container; GateClosed naming what is missing.
    """
    SESSION.check(session.state, "close", act)
    check_policy(session, policy)
    check_reconciled(session)
    if session.note is None:
        raise GateClosed("The session has no signed note", rule="note", next_step="Sign the note")
    for each in session.adverse_events:
        if each.grade is None or each.serious is None:
            raise GateClosed(
                "An adverse event is not graded", rule="ctcae5", observed=echo(each.term), allowed="grade 1 to 5"
            )
    return move(session, "close", act, closed_at=act.at, rems_due_at=form_due_at(session))


def form_due_at(session: TreatmentSession) -> datetime | None:
    """When the monitoring form must be in: 7 days after an esketamine session in which drug was given (S070)."""
    if session.delivery is not Delivery.ESK or not session.given:
        return None
    return session.given[0].at + timedelta(days=rule("S070").figures["due_days"])


def check_reconciled(session: TreatmentSession) -> None:
    """Refuse while drawn is not given plus wasted plus returned, container by container (K01).

    Raises: Unbalanced.
    """
    for each in session.containers:
        left = session.outstanding_ug(each)
        if left:
            raise Unbalanced(
                f"Drug of container {each} is not accounted for",
                rule="K01",
                observed=f"{left} micrograms",
                allowed="0 at close",
                next_step="Enter what was given, wasted or returned",
            )


def check_witness(act: Act, witness: Act | None, *, what: str) -> None:
    """Refuse without a second clinician under another login.

    Raises: SecondPerson, NotPermitted.
    """
    if witness is None:
        raise SecondPerson(f"{what} needs a witness", rule="K02", observed="one person", allowed="two logins")
    witness.check_role(*CLINICAL, what=f"Witnessing: {what.lower()}")
    witness.check_other_than(act.by, what=what)


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
    if not 0 < amount_ug <= out:
        raise Unbalanced(
            f"The amount {kind} is refused",
            rule="K01",
            observed=f"{amount_ug} micrograms",
            allowed=f"1 to {out} micrograms of container {container_id}",
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
    return Outcome(now=replace(session, drug_uses=(*session.drug_uses, use)), written=(use,))


def _check_grade(grade: int | None) -> None:
    if grade is not None and grade not in GRADES:
        raise OutOfRange("The grade is refused", observed=str(grade), allowed="1 to 5", next_step="Grade it by CTCAE")
