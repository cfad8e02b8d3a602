"""The session: one table of what may happen in it, and the moves up to the prescriber's go.

Every move takes an act (who, when, why) and gives the session as it is then with the facts to write. Readings, the
dose, leaving and closing stand in `monitoring`, `giving`, `leaving` and `closing`.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum

from afterglow.clinic.acting import Act, Outcome, Role, Row, StateTable, Transitioned
from afterglow.clinic.candidacy import Candidacy, check_still_candidate
from afterglow.clinic.dosing import DoseOrder, PreparedDose, SecondCheck
from afterglow.clinic.factbook import check_facts
from afterglow.clinic.medicines import MedicineList, is_reconciled
from afterglow.clinic.policy import SitePolicy, policy_facts
from afterglow.clinic.rulebook import Delivery, Group, rules_of
from afterglow.clinic.ruling import Facts, Finding, RuleAnswer, check_open, judge_all
from afterglow.errors import Conflict, GateClosed, PolicyUnsigned, Unbalanced, WrongOrder
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
_NURSE, _PRESCRIBER, _COORDINATOR = Role.NURSE, Role.PRESCRIBER, Role.COORDINATOR
_ROOM = (_NURSE, _PRESCRIBER)

SESSION = StateTable(
    machine="session",
    initial=_B,
    rows=(
        Row(states=(_B,), event="arrive", to=_A, roles=(_COORDINATOR, _NURSE), guard="signed policy in force"),
        Row(states=(_B,), event="miss", to=SessionState.MISSED, roles=(_COORDINATOR, _NURSE), reason=True),
        Row(
            states=(_B, _A, _S, _C),
            event="cancel",
            to=SessionState.CANCELLED,
            roles=(_COORDINATOR, *_ROOM),
            guard="no drug is out",
            reason=True,
        ),
        Row(states=(_A,), event="screen", to=_S, roles=(_NURSE,), guard="a pressure was entered"),
        Row(states=(_S,), event="go", to=_C, roles=(_PRESCRIBER,), guard="every gate known, every hit answered"),
        Row(states=(_S,), event="no_go", to=SessionState.CANCELLED, roles=(_PRESCRIBER,), reason=True),
        Row(states=(_C,), event="back_to_screen", to=_S, roles=_ROOM, reason=True),
        Row(states=(_C,), event="start_dose", to=_D, roles=_ROOM, guard="second check; drug drawn; gates unchanged"),
        Row(states=(_D,), event="give_device", to=None, roles=_ROOM, guard="5 min after the last; nothing open"),
        Row(states=(_D,), event="hold", to=_H, roles=_ROOM, reason=True),
        Row(states=(_H,), event="resume", to=_D, roles=(_PRESCRIBER,), guard="no escalation open"),
        Row(states=(_D,), event="finish_dose", to=_O, roles=_ROOM, guard="all of the dose is given"),
        Row(states=(_D, _H), event="stop", to=_O, roles=_ROOM, guard="amount given is stated", reason=True),
        Row(states=(_O,), event="clear_to_leave", to=_L, roles=_ROOM, guard="every leave rule is known and clear"),
        Row(states=(_O,), event="walk_out", to=_L, roles=_ROOM, reason=True),
        Row(
            states=(_L,), event="close", to=SessionState.CLOSED, roles=_ROOM, guard="drug to zero, note, events graded"
        ),
        Row(states=(_A, _S, _C, _D, _H, _O, _L), event="enter_reading", to=None, roles=_ROOM),
        Row(
            states=(_A, _S, _C, _D, _H, _O, _L, SessionState.CLOSED),
            event="correct_reading",
            to=None,
            roles=_ROOM,
            reason=True,
        ),
        Row(states=(_A, _S, _C, _D, _H, _O, _L), event="record_event", to=None, roles=(*_ROOM, Role.THERAPIST)),
        Row(states=(_S, _C, _D, _H, _O, _L), event="answer_finding", to=None, roles=(_PRESCRIBER,)),
        Row(states=(_C, _D, _H), event="take_drug", to=None, roles=_ROOM),
        Row(states=(_C, _D, _H, _O, _L), event="account_drug", to=None, roles=_ROOM),
        Row(states=(_O, _L), event="grade_event", to=None, roles=_ROOM),
        Row(states=(_A, _S, _C, _D, _H, _O, _L), event="sign_note", to=None, roles=_ROOM),
    ),
)


class DrugUseKind(StrEnum):
    """What became of drug that was taken for a session."""

    DRAWN = "drawn"
    GIVEN = "given"
    WASTED = "wasted"
    RETURNED = "returned"


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


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """One set of discrete readings; what was not read is None and says nothing.

    Args:
        taken_at: when it was read; entered_at: when it was typed, maybe much later.
        moaas: sedation, 5 (awake) to 0.
        dissociated: whether dissociation is present.
        symptoms: yes/no facts seen at the time ("symptoms.hypertensive_crisis", "events.vomiting").
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


@dataclass(frozen=True, slots=True, kw_only=True)
class AdverseEvent:
    """An adverse event of a session; grade 1 to 5 (CTCAE general grades, source ctcae5), None until graded."""

    id: str
    term: str
    started_at: datetime
    ended_at: datetime | None = None
    grade: int | None = None
    serious: bool | None = None
    intervention: str | None = None
    by: str


@dataclass(frozen=True, slots=True, kw_only=True)
class SignedNote:
    """Who signed the session's note, and when; its text is kept elsewhere."""

    by: str
    at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class InfusionRun:
    """A stretch in which the drug ran; `until` is None while it runs."""

    since: datetime
    until: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class TreatmentSession:
    """One visit with treatment.

    Args:
        number: in the course, from 1; week: of treatment, from 1.
        policy_version: the site policy it runs under, fixed at arrival.
        gate_facts: what was asked at arrival and screening, by name.
        drug_uses: every movement of drug in this session.
        runs: stretches in which the dose was being given.
        cleared: whether the leave check was passed; False for who walked out, None before.
        rems_due_at: when the monitoring form is due; None unless esketamine was given.
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
    arrived_at: datetime | None = None
    order: DoseOrder | None = None
    prepared: PreparedDose | None = None
    second_check: SecondCheck | None = None
    gate_facts: tuple[tuple[str, Fact | None], ...] = ()
    answers: tuple[RuleAnswer, ...] = ()
    drug_uses: tuple[DrugUse, ...] = ()
    runs: tuple[InfusionRun, ...] = ()
    readings: tuple[Reading, ...] = ()
    adverse_events: tuple[AdverseEvent, ...] = ()
    dose_ended_at: datetime | None = None
    complete: bool | None = None
    note: SignedNote | None = None
    left_at: datetime | None = None
    cleared: bool | None = None
    closed_at: datetime | None = None
    rems_due_at: datetime | None = None

    @property
    def dose_started_at(self) -> datetime | None:
        """When the drug first ran or the first device was used."""
        return self.runs[0].since if self.runs else None

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


def arrive(session: TreatmentSession, act: Act, *, policy: SitePolicy) -> Outcome[TreatmentSession]:
    """Check in; the session keeps this policy version to its end. Take the policy from `policy_at`.

    Raises: WrongState, NotPermitted, PolicyUnsigned.
    """
    _check_signed(policy)
    return move(session, "arrive", act, policy_version=policy.version, arrived_at=act.at)


def screen(session: TreatmentSession, act: Act, *, facts: Facts) -> Outcome[TreatmentSession]:
    """What was asked at arrival and screening; readings are entered before, as readings.

    Raises: WrongState, NotPermitted; UnknownName for a fact no rule asks for; GateClosed without a pressure.
    """
    check_facts(facts)
    SESSION.check(session.state, "screen", act)
    if not any(each.systolic_mmhg is not None for each in standing_readings(session.readings)):
        raise GateClosed("No pressure is entered", rule="S010", next_step="Enter the pressure before the dose")
    return move(session, "screen", act, gate_facts=tuple(sorted(facts.items())))


def attach_dose(
    session: TreatmentSession,
    *,
    order: DoseOrder,
    prepared: PreparedDose,
    check: SecondCheck | None,
) -> TreatmentSession:
    """The session with its order, prepared dose and second check; before it is given.

    Raises: Conflict if the order is for another delivery or drug, or the dose has started.
    """
    if (
        session.runs
        or (order.delivery, order.drug) != (session.delivery, session.drug)
        or prepared.order_id != order.id
    ):
        raise Conflict(
            "The dose does not belong to this session",
            observed=f"{order.delivery.words}, order {order.id}",
            allowed=f"{session.delivery.words}, before the dose starts",
        )
    return replace(session, order=order, prepared=prepared, second_check=check)


def gate_findings(session: TreatmentSession, facts: Facts, policy: SitePolicy) -> tuple[Finding, ...]:
    """Every rule of arrival, pre-dose and administration that is decided before the dose.

    Args:
        policy: in force; of the session where there is one.
        session: as it is.
        facts: of the dose and the last readings, over what was asked at screening.
    """
    during = {"S020", "S021"}  # asked at each device
    rules = rules_of(Group.ARRIVAL, Group.PRE_DOSE, Group.ADMINISTRATION, delivery=session.delivery)
    known = dict(session.gate_facts) | dict(facts) | policy_facts(policy)
    return judge_all((each for each in rules if each.id not in during), known, policy, delivery=session.delivery)


def go(
    session: TreatmentSession,
    act: Act,
    *,
    facts: Facts,
    candidacy: Candidacy,
    medicines: MedicineList,
    policy: SitePolicy,
) -> Outcome[TreatmentSession]:
    """The prescriber's go: every gate is known, every hit answered, the patient still a candidate.

    Args:
        act: who, when, why.
        medicines: reconciled at this visit.
        policy: in force; of the session where there is one.
        session: as it is.
        facts: of dose and readings, from `dose_facts` and `reading_facts`.
        candidacy: assessed since arrival, for this delivery.
    Raises: WrongState, NotPermitted; GateClosed naming the first thing that stands in the way.
    """
    SESSION.check(session.state, "go", act)
    check_policy(session, policy)
    if (
        session.arrived_at is None
        or candidacy.assessed_at < session.arrived_at
        or candidacy.delivery != session.delivery
    ):
        raise GateClosed("Candidacy was not assessed at this visit", rule="candidacy", next_step="Assess it again")
    if not is_reconciled(medicines, visit=session.id):
        raise GateClosed("The medicine list was not reconciled at this visit", rule="S007", next_step="Go through it")
    if session.order is None or session.prepared is None:
        raise GateClosed("No dose is ordered and prepared", rule="dose", next_step="Order it and prepare it")
    check_still_candidate(candidacy)
    found = gate_findings(session, facts, policy)
    check_open(found, session.answers, what=f"Session {session.number}")
    return move(session, "go", act, also=found)


def answer_finding(session: TreatmentSession, answer: RuleAnswer, act: Act) -> Outcome[TreatmentSession]:
    """A prescriber's answer, kept with the session; make it with `answer_rule`.

    Raises: WrongState, NotPermitted.
    """
    SESSION.check(session.state, "answer_finding", act)
    now = replace(session, answers=(*session.answers, answer))
    return Outcome(now=now, written=(answer,))


def cancel(session: TreatmentSession, act: Act, *, event: str = "cancel") -> Outcome[TreatmentSession]:
    """End a session before any dose: `cancel`, `miss` or `no_go`, each with a reason.

    Raises: WrongState, NotPermitted, MissingValue; Unbalanced while drug is out.
    """
    SESSION.check(session.state, event, act)
    for each in session.containers:
        if session.outstanding_ug(each):
            raise Unbalanced(
                "Drug of this session is not accounted for",
                rule="K01",
                observed=f"{session.outstanding_ug(each)} micrograms of container {each}",
                allowed="0",
                next_step="Waste or return it first",
            )
    return move(session, event, act)


def back_to_screen(session: TreatmentSession, act: Act) -> Outcome[TreatmentSession]:
    """Take back the go, because something changed before the dose.

    Raises: WrongState, NotPermitted, MissingValue.
    """
    return move(session, "back_to_screen", act)


def move(
    session: TreatmentSession, event: str, act: Act, *, also: Iterable[object] = (), **changes: object
) -> Outcome[TreatmentSession]:
    """One row of the table with what changes beside the state; guards are checked before.

    Raises: WrongState, NotPermitted, MissingValue; WrongOrder for an act before the session's last move.
    """
    moved: Transitioned = SESSION.step(session.state, event, act, subject=session.id)
    last = max(
        (t for t in (session.arrived_at, session.dose_started_at, session.dose_ended_at, session.left_at) if t),
        default=None,
    )
    if last is not None and act.at < last:
        raise WrongOrder(
            f"Session: {event.replace('_', ' ')} lies before the last move",
            observed=f"{act.at:%Y-%m-%d %H:%M} UTC",
            allowed=f"from {last:%Y-%m-%d %H:%M} UTC on",
            next_step="Check the clock of the device",
        )
    now = replace(session, state=SessionState(moved.after), **changes)  # type: ignore[arg-type]
    return Outcome(now=now, written=(moved, *also))


def standing_readings(readings: Iterable[Reading]) -> tuple[Reading, ...]:
    """Readings that stand, by the time they were taken: not superseded, not entered in error."""
    every = list(readings)
    replaced = {each.supersedes for each in every}
    kept = [each for each in every if each.id not in replaced and not each.entered_in_error]
    return tuple(sorted(kept, key=lambda each: (each.taken_at, each.entered_at)))


def check_policy(session: TreatmentSession, policy: SitePolicy) -> None:
    """Refuse another policy version than the one the session runs under.

    Raises: Conflict.
    """
    if policy.version != session.policy_version:
        raise Conflict(
            "The session runs under another policy version",
            observed=f"version {policy.version}",
            allowed=f"version {session.policy_version}",
            next_step="Load the version of the session",
        )


def _check_signed(policy: SitePolicy) -> None:
    if policy.signed_by is None and not policy.demo:
        raise PolicyUnsigned(
            "No session runs on an unsigned policy",
            rule="policy",
            observed=f"version {policy.version} is a draft",
            next_step="Let the medical director sign it",
        )
