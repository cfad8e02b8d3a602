"""The session: one table of what may happen in it, what it holds, and the one door that every act passes through.

Every move takes an act (who, when, why) and gives the session as it is then with the facts to write. What is asked
before the dose stands in `gates` and `screening`; readings, the dose, leaving and closing in modules of these names.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum

from afterglow.clinic.acting import Act, Outcome, Role, Row, StateTable
from afterglow.clinic.dosing import DoseOrder, PreparedDose, RateChange, SecondCheck
from afterglow.clinic.policy import SitePolicy
from afterglow.clinic.rulebook import Delivery
from afterglow.clinic.ruling import RuleAnswer
from afterglow.clinic.typed import typed
from afterglow.errors import Conflict, OutOfRange
from afterglow.predicates import Fact
from afterglow.quantities import DrugForm


class SessionState(StrEnum):
    """Where a session is; observing: after the last of the dose, until the leave check."""

    BOOKED = "booked"
    ARRIVED = "arrived"
    SCREENED = "screened"
    CLEARED = "cleared"
    DOSING = "dosing"
    HELD = "held"
    OBSERVING = "observing"
    LEFT = "left"
    CLOSED = "closed"
    CANCELLED = "cancelled"
    MISSED = "missed"


_B, _A, _S, _C = SessionState.BOOKED, SessionState.ARRIVED, SessionState.SCREENED, SessionState.CLEARED
_D, _H, _O, _L = SessionState.DOSING, SessionState.HELD, SessionState.OBSERVING, SessionState.LEFT
_END, _OFF = SessionState.CLOSED, SessionState.CANCELLED
_NURSE, _PRESCRIBER, _COORDINATOR = Role.NURSE, Role.PRESCRIBER, Role.COORDINATOR
_ROOM = (_NURSE, _PRESCRIBER)
_HERE = (_A, _S, _C, _D, _H, _O, _L)

SESSION = StateTable(
    machine="session",
    initial=_B,
    rows=(
        Row(states=(_B,), event="arrive", to=_A, roles=(_COORDINATOR, _NURSE), guard="signed policy in force"),
        Row(states=(_B,), event="miss", to=SessionState.MISSED, roles=(_COORDINATOR, _NURSE), reason=True),
        Row(
            states=(SessionState.MISSED,),
            event="undo_miss",
            to=_B,
            roles=(_COORDINATOR, _NURSE),
            guard="the booking stands again",
            reason=True,
        ),
        Row(
            states=(_B, _A, _S, _C),
            event="cancel",
            to=_OFF,
            roles=(_COORDINATOR, *_ROOM),
            guard="no drug is out",
            reason=True,
        ),
        Row(states=(_A, _S), event="screen", to=_S, roles=(_NURSE,), guard="a pressure was entered at this visit"),
        Row(states=(_S,), event="amend_screening", to=None, roles=(_NURSE,), reason=True),
        Row(states=(_B, _A, _S), event="order_dose", to=None, roles=(_PRESCRIBER,), guard="the order is the act's"),
        Row(
            states=(_B, _A, _S, _D, _H),
            event="countersign_order",
            to=None,
            roles=(_PRESCRIBER,),
            guard="another prescriber; of the dose, or of the new rate that waits",
        ),
        Row(states=(_A, _S), event="attach_dose", to=None, roles=_ROOM, guard="prepared from the order, at this visit"),
        Row(states=(_S,), event="go", to=_C, roles=(_PRESCRIBER,), guard="every gate known, every hit answered"),
        Row(states=(_S,), event="no_go", to=_OFF, roles=(_PRESCRIBER,), reason=True),
        Row(states=(_C,), event="back_to_screen", to=_S, roles=_ROOM, reason=True),
        Row(
            states=(_C,),
            event="start_dose",
            to=_D,
            roles=_ROOM,
            guard="gates judged again; go not too old; second check by another; drug drawn",
        ),
        Row(states=(_D,), event="give_device", to=None, roles=_ROOM, guard="5 min after the last; nothing open"),
        Row(
            states=(_D, _H),
            event="order_rate",
            to=None,
            roles=(_PRESCRIBER,),
            guard="an infusion; inside the guardrails on rate and total",
            reason=True,
        ),
        Row(
            states=(_D, _H),
            event="set_rate",
            to=None,
            roles=_ROOM,
            guard="second check by another; the dose's rules answered; drug drawn; to give more, nothing open",
        ),
        Row(states=(_D,), event="hold", to=_H, roles=_ROOM, reason=True),
        Row(states=(_H,), event="resume", to=_D, roles=(_PRESCRIBER,), guard="no escalation open; consent stands"),
        Row(
            states=(_D,),
            event="finish_dose",
            to=_O,
            roles=_ROOM,
            guard="all is given, over its time, or says why",
        ),
        Row(states=(_D, _H), event="stop", to=_O, roles=_ROOM, guard="amount given is stated, 0 too", reason=True),
        Row(
            states=(_O,),
            event="clear_to_leave",
            to=_L,
            roles=_ROOM,
            guard="every leave and monitoring rule is clear or answered; no escalation open",
        ),
        Row(states=(_O,), event="walk_out", to=_L, roles=_ROOM, reason=True),
        Row(states=(_A, _S, _C, _O), event="transfer", to=_L, roles=_ROOM, guard="to emergency care", reason=True),
        Row(states=(_L,), event="close", to=_END, roles=_ROOM, guard="drug to zero, note, events graded"),
        Row(states=_HERE, event="enter_reading", to=None, roles=_ROOM),
        Row(
            states=(*_HERE, _END),
            event="correct_reading",
            to=None,
            roles=_ROOM,
            guard="what clears an emergency is a prescriber's",
            reason=True,
        ),
        Row(states=(_S, _C, _D, _H, _O, _L), event="answer_finding", to=None, roles=(_PRESCRIBER,), reason=True),
        Row(
            states=(_D, _H, _O),
            event="assess_emergency",
            to=None,
            roles=(_PRESCRIBER,),
            guard="a later reading is clear",
            reason=True,
        ),
        Row(states=(_C, _D, _H), event="take_drug", to=None, roles=_ROOM, guard="drug and strength are the dose's"),
        Row(states=(_C, _S, _D, _H, _O, _L), event="account_drug", to=None, roles=_ROOM, reason=True),
        Row(states=(*_HERE, _END), event="record_event", to=None, roles=(*_ROOM, Role.THERAPIST)),
        Row(states=(*_HERE, _END), event="void_event", to=None, roles=(*_ROOM, Role.THERAPIST), reason=True),
        Row(states=(_O, _L, _END), event="grade_event", to=None, roles=_ROOM, guard="a lower grade needs a reason"),
        Row(states=(_L,), event="sign_note", to=None, roles=_ROOM),
    ),
)


class DrugUseKind(StrEnum):
    """What became of drug that was taken for a session."""

    DRAWN = "drawn"
    GIVEN = "given"
    WASTED = "wasted"
    RETURNED = "returned"


@typed
@dataclass(frozen=True, slots=True, kw_only=True)
class DrugUse:
    """An amount of drug of one container in a session, free base; `device` counts nasal devices from 1."""

    kind: DrugUseKind
    container_id: str
    amount_ug: int
    at: datetime
    by: str
    witness: str | None = None
    reason: str | None = None
    device: int | None = None


@typed
@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """One set of discrete readings; what was not read is None and says nothing.

    Args:
        taken_at: when it was read; entered_at: when it was typed, maybe much later.
        moaas: sedation, 5 (awake) to 0.
        dissociated: whether dissociation is present.
        symptoms: yes/no facts seen at the time ("symptoms.hypertensive_crisis", "events.vomiting"), and no others.
        supersedes: id of the reading it corrects.
        entered_in_error: it stands for nothing (a wrong patient); then nothing else is set.
    """

    id: str
    taken_at: datetime
    entered_at: datetime
    by: str
    systolic_mmhg: int | None = None
    diastolic_mmhg: int | None = None
    heart_rate_per_min: int | None = None
    spo2_pct: int | None = None
    respiratory_rate_per_min: int | None = None
    moaas: int | None = None
    dissociated: bool | None = None
    symptoms: tuple[tuple[str, bool], ...] = ()
    supersedes: str | None = None
    entered_in_error: bool = False
    reason: str | None = None


@typed
@dataclass(frozen=True, slots=True, kw_only=True)
class AdverseEvent:
    """An adverse event of a session; grade 1 to 5 (CTCAE general grades, source ctcae5), None until graded.

    Args:
        by: who recorded it; graded_by, graded_at: who graded it last, and when.
        reason: why a grade was lowered, or why it was entered in error.
        voided_by: who said that it was entered in error; None while it stands.
    """

    id: str
    term: str
    started_at: datetime
    ended_at: datetime | None = None
    grade: int | None = None
    serious: bool | None = None
    intervention: str | None = None
    by: str
    graded_by: str | None = None
    graded_at: datetime | None = None
    reason: str | None = None
    voided_by: str | None = None


@typed
@dataclass(frozen=True, slots=True, kw_only=True)
class SignedNote:
    """Who signed the session's note, and when; its text is kept elsewhere."""

    by: str
    at: datetime


@typed
@dataclass(frozen=True, slots=True, kw_only=True)
class InfusionRun:
    """A stretch in which the drug ran; `until` is None while it runs."""

    since: datetime
    until: datetime | None = None


@typed
@dataclass(frozen=True, slots=True, kw_only=True)
class DoseGap:
    """How an infusion ended otherwise than ordered, by more than the site's tolerance, and why.

    Args:
        given_ug: as stated; expected_ug: by the ordered rates and the time that drug ran.
        unset_rate: id of a new rate that was ordered and never set; it ended with the dose.
    """

    given_ug: int
    expected_ug: int
    ran_min: float
    planned_min: float
    unset_rate: str | None
    reason: str
    by: str
    at: datetime

    @property
    def words(self) -> str:
        """The difference, for people."""
        said = f"{self.given_ug / 1000:g} mg stated, {round(self.expected_ug / 1000, 1):g} mg by rate and run time"
        ran = f"ran {self.ran_min:.1f} of {self.planned_min:g} min"
        return f"{said}; {ran}{'' if self.unset_rate is None else '; a new rate was ordered and not set'}"


@typed
@dataclass(frozen=True, slots=True, kw_only=True)
class EmergencyAssessment:
    """A prescriber saw the patient after an emergency was over; it lets nobody give more drug, only leave."""

    rule: str
    by: str
    at: datetime
    reason: str


class Leaving(StrEnum):
    """How the patient left."""

    CLEARED = "cleared"
    WALKED_OUT = "walked_out"
    TRANSFERRED = "transferred"  # to emergency care


@typed
@dataclass(frozen=True, slots=True, kw_only=True)
class TreatmentSession:
    """One visit with treatment.

    Args:
        number: in the course, from 1; week: of treatment, from 1.
        policy_version, policy_digest: the site policy it runs under, fixed at arrival; the digest tells two apart that
            share a number.
        last_at: time of the last act; none may be dated before it.
        gate_facts: what was asked at arrival and screening, by name; screened_at: when all of it was asked last;
            amended_at: when some of it was changed since.
        go_at: when the prescriber said go; None before, and when it was taken back.
        rate_changes: new rates that were ordered, in order; the last may wait for the pump to be set.
        drug_uses: every movement of drug in this session.
        runs: stretches in which the dose was being given.
        gap: how the dose ended otherwise than ordered; None where it did not.
        adverse_events: those that stand; voided_events: those entered in error, kept for the record.
        left_how: how the patient left; None before.
        rems_due_at: when the monitoring form is due, from the first device on; None unless esketamine was given.
    """

    id: str
    patient_id: str
    course_id: str
    delivery: Delivery
    drug: DrugForm
    number: int
    week: int
    planned_at: datetime
    state: SessionState = SessionState.BOOKED
    policy_version: int | None = None
    policy_digest: str | None = None
    last_at: datetime | None = None
    arrived_at: datetime | None = None
    screened_at: datetime | None = None
    amended_at: datetime | None = None
    go_at: datetime | None = None
    order: DoseOrder | None = None
    prepared: PreparedDose | None = None
    second_check: SecondCheck | None = None
    rate_changes: tuple[RateChange, ...] = ()
    gate_facts: tuple[tuple[str, Fact | None], ...] = ()
    answers: tuple[RuleAnswer, ...] = ()
    assessments: tuple[EmergencyAssessment, ...] = ()
    drug_uses: tuple[DrugUse, ...] = ()
    runs: tuple[InfusionRun, ...] = ()
    readings: tuple[Reading, ...] = ()
    adverse_events: tuple[AdverseEvent, ...] = ()
    voided_events: tuple[AdverseEvent, ...] = ()
    dose_ended_at: datetime | None = None
    complete: bool | None = None
    gap: DoseGap | None = None
    note: SignedNote | None = None
    left_at: datetime | None = None
    left_how: Leaving | None = None
    closed_at: datetime | None = None
    rems_due_at: datetime | None = None

    def __post_init__(self) -> None:
        if min(self.number, self.week) < 1:
            raise OutOfRange(
                "Sessions and weeks count from 1",
                observed=f"session {self.number}, week {self.week}",
                allowed="1 or more",
            )

    @property
    def cleared(self) -> bool | None:
        """Whether the leave check was passed; None before the patient left."""
        return None if self.left_how is None else self.left_how is Leaving.CLEARED

    @property
    def dose_started_at(self) -> datetime | None:
        """When the drug first ran or the first device was used."""
        return self.runs[0].since if self.runs else None

    @property
    def rate_waiting(self) -> RateChange | None:
        """The new rate that was ordered and that no pump was set to yet."""
        last = self.rate_changes[-1] if self.rate_changes else None
        return None if last is None or last.set_at is not None else last

    @property
    def given(self) -> tuple[DrugUse, ...]:
        """Doses and devices given, in order."""
        return tuple(each for each in self.drug_uses if each.kind is DrugUseKind.GIVEN)

    @property
    def given_ug(self) -> int:
        """Drug given so far, free base."""
        return sum(each.amount_ug for each in self.given)

    def outstanding_ug(self, container_id: str) -> int:
        """Drug of a container that was drawn and is not accounted for yet."""
        return sum(
            each.amount_ug if each.kind is DrugUseKind.DRAWN else -each.amount_ug
            for each in self.drug_uses
            if each.container_id == container_id
        )

    @property
    def containers(self) -> tuple[str, ...]:
        """Containers it drew from."""
        return tuple(dict.fromkeys(each.container_id for each in self.drug_uses))


def admit(session: TreatmentSession, event: str, act: Act, *, policy: SitePolicy | None = None) -> Row:
    """The one door: whether this person may do this now, in this state, after what was done, under this policy.

    Args:
        session: as it is.
        event: a name of the table.
        act: who, when, why.
        policy: given where the event looks at one; it must be the one fixed at arrival.
    Raises: WrongState, NotPermitted, MissingValue; WrongOrder for an act before the session's last; Conflict for
        another policy.

    >>> from datetime import UTC
    >>> now = datetime(2026, 1, 5, 9, tzinfo=UTC)
    >>> session = TreatmentSession(id="s1", patient_id="p1", course_id="c1", delivery=Delivery.IV,
    ...                            drug=DrugForm.RACEMIC_KETAMINE, number=1, week=1, planned_at=now)
    >>> admit(session, "arrive", Act(by="rn1", roles=(Role.NURSE,), at=now)).to
    <SessionState.ARRIVED: 'arrived'>
    """
    row = SESSION.check(session.state, event, act)
    if session.last_at is not None:
        act.check_after(session.last_at, what=f"Session: {event.replace('_', ' ')}")
    if policy is not None:
        check_policy(session, policy)
    return row


def step(
    session: TreatmentSession, event: str, act: Act, *, written: Iterable[object] = (), **changes: object
) -> Outcome[TreatmentSession]:
    """One row of the table, through the door, with what changes beside the state; other guards are checked before.

    Raises: as `admit`.

    >>> from datetime import UTC
    >>> now = datetime(2026, 1, 5, 9, tzinfo=UTC)
    >>> session = TreatmentSession(id="s1", patient_id="p1", course_id="c1", delivery=Delivery.IV,
    ...                            drug=DrugForm.RACEMIC_KETAMINE, number=1, week=1, planned_at=now)
    >>> done = step(session, "miss", Act(by="rn1", roles=(Role.NURSE,), at=now, reason="no answer"))
    >>> done.now.state, done.written[0].reason
    (<SessionState.MISSED: 'missed'>, 'no answer')
    """
    admit(session, event, act)
    moved = SESSION.step(session.state, event, act, subject=session.id)
    now = replace(session, state=SessionState(moved.after), last_at=act.at, **changes)  # type: ignore[arg-type]
    return Outcome(now=now, written=(moved, *written))


def standing_readings(readings: Iterable[Reading]) -> tuple[Reading, ...]:
    """Readings that stand, by the time they were taken: not superseded, not entered in error.

    >>> standing_readings(())
    ()
    """
    every = list(readings)
    replaced = {each.supersedes for each in every}
    kept = [each for each in every if each.id not in replaced and not each.entered_in_error]
    return tuple(sorted(kept, key=lambda each: (each.taken_at, each.entered_at)))


def check_policy(session: TreatmentSession, policy: SitePolicy) -> None:
    """Refuse another policy than the one the session runs under, whatever its number.

    Raises: Conflict.

    >>> from afterglow.clinic.examples import POLICY, session
    >>> check_policy(session(SessionState.ARRIVED), POLICY)
    """
    if (policy.version, policy_digest(policy)) != (session.policy_version, session.policy_digest):
        raise Conflict(
            "The session runs under another policy",
            observed=f"version {policy.version}, digest {policy_digest(policy)}",
            allowed=f"version {session.policy_version}, digest {session.policy_digest}",
            next_step="Load the policy of the session",
        )


def policy_digest(policy: SitePolicy) -> str:
    """A short digest of all that a policy says and who signed it: two with one number differ in it.

    >>> from afterglow.clinic.policy import demo_policy
    >>> other = replace(demo_policy(), values=(("S013.spo2_below", 95.0),))
    >>> len(policy_digest(demo_policy())), policy_digest(other) == policy_digest(demo_policy())
    (16, False)
    """
    times = [None if each is None else each.isoformat() for each in (policy.signed_at, policy.effective_from)]
    values = [(name, float(value) if type(value) is int else value) for name, value in sorted(policy.values)]
    told = (policy.version, values, policy.signed_by, *times, policy.demo)
    return hashlib.sha256(repr(told).encode()).hexdigest()[:16]
