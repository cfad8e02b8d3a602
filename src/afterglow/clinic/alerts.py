"""Alerts: each has an owner, a clock and an escalation until it is closed, and is closed only when read and acted upon.

Whose alert it is: the role that owns it, and the roles above it in the order nurse, prescriber, medical director.
Anybody clinical reads an alert and acts at once, since help does not wait for a role. Who acts below the owner covers:
that is recorded, and the owner's clock runs on until the owner, or a role above, has closed it.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum

from afterglow.clinic.acting import CLINICAL, Act, Outcome, Role, Row, StateTable, minutes_between
from afterglow.clinic.leaving import LOCKS
from afterglow.clinic.policy import SitePolicy
from afterglow.clinic.rulebook import basis_of, rule
from afterglow.clinic.ruling import Finding, Priority, Verdict, priority_of
from afterglow.clinic.session import Leaving, TreatmentSession
from afterglow.clinic.typed import as_word, typed
from afterglow.errors import GateClosed, InputError, MissingValue, TooEarly, WrongState
from afterglow.predicates import facts_of
from afterglow.scales import AlertSeverity, AlertState, AlertStatus

_REACH = (Role.NURSE, Role.PRESCRIBER, Role.MEDICAL_DIRECTOR)  # who an alert goes to next, in this order


class AlertStage(StrEnum):
    """Where an alert is; seen: somebody has read it and nothing is decided yet."""

    OPEN = "open"
    SEEN = "seen"
    ACTED = "acted"
    CLOSED = "closed"


_UNCLOSED = (AlertStage.OPEN, AlertStage.SEEN, AlertStage.ACTED)
ALERT = StateTable(
    machine="alert",
    initial=AlertStage.OPEN,
    rows=(
        Row(states=(AlertStage.OPEN,), event="read", to=AlertStage.SEEN, roles=CLINICAL),
        Row(
            states=(AlertStage.SEEN, AlertStage.ACTED),
            event="act",
            to=AlertStage.ACTED,
            roles=CLINICAL,
            guard="below its owner: as cover, and the owner's clock runs on",
            reason=True,
        ),
        Row(
            states=(AlertStage.ACTED,),
            event="close",
            to=AlertStage.CLOSED,
            roles=CLINICAL,
            guard="read and acted upon; by its owner or a role above",
        ),
        Row(
            states=_UNCLOSED,
            event="escalate",
            to=None,
            roles=(Role.SYSTEM,),
            guard="its clock has run out; the next owner gets a new clock",
        ),
        Row(states=_UNCLOSED, event="hand_over", to=None, roles=CLINICAL, reason=True),
    ),
)


@typed
@dataclass(frozen=True, slots=True, kw_only=True)
class ClinicAlert:
    """Something that somebody must see and act upon.

    Args:
        about: id of the rule or of the scale's alert.
        text: what was met, in a sentence for whoever reads it.
        source: the rule or item, its limit, and how far it was checked.
        action: what the rule asks for.
        owner: role that must respond by `respond_by`, and once it was acted upon close it by then.
        informs: roles that are told as well: owners of what the same cause met besides.
        unknown: nobody knows whether the condition holds, and somebody must find out.
        escalations: roles it went to before.
        read_by, acted_by, closed_by: logins; None until then.
        covered: whether who acted last stands below the owner.
        stepped_at: when something was last done with it.
    """

    id: str
    patient_id: str
    about: str
    text: str
    source: str = ""
    action: str | None
    priority: Priority
    owner: Role
    raised_at: datetime
    respond_by: datetime
    stage: AlertStage = AlertStage.OPEN
    unknown: bool = False
    informs: tuple[Role, ...] = ()
    escalations: tuple[Role, ...] = ()
    read_by: str | None = None
    acted_by: str | None = None
    action_taken: str | None = None
    covered: bool = False
    closed_by: str | None = None
    stepped_at: datetime | None = None


def alert_from_finding(
    finding: Finding, *, alert_id: str, patient_id: str, action: str | None, at: datetime, policy: SitePolicy
) -> ClinicAlert:
    """The alert of a rule that is met.

    Raises: InputError for a rule that is not met.

    >>> from afterglow.clinic.examples import alert
    >>> alert(spo2_pct=90).text
    'SpO2 below 92% for 30 s: oxygen saturation 90 %.'
    """
    if finding.verdict is not Verdict.HIT:
        raise InputError("Only a rule that is met raises an alert", observed=f"{finding.rule} is {finding.verdict}")
    return raise_alert(
        alert_id=alert_id,
        patient_id=patient_id,
        about=finding.rule,
        text=finding.sentence,
        source=finding.source,
        action=action,
        priority=priority_of(finding),
        at=at,
        policy=policy,
    )


def alerts_from_findings(
    findings: Iterable[Finding], *, reading_id: str, patient_id: str, at: datetime, policy: SitePolicy
) -> tuple[ClinicAlert, ...]:
    """The alerts of the rules that one set of readings meets: one for each value that was read.

    Raises: InputError for a rule that is not met.

    >>> from afterglow.clinic.examples import POLICY, at
    >>> from afterglow.clinic.ruling import judge
    >>> facts = {"bp.systolic": 165, "bp.diastolic": 88, "bp.systolic_rise": 43, "bp.diastolic_rise": 8}
    >>> met = [judge(rule(name), facts, POLICY) for name in ("S040", "S041")]
    >>> [each.about for each in alerts_from_findings(met, reading_id="r1", patient_id="p1", at=at(0), policy=POLICY)]
    ['S040, S041']
    """
    raised = []
    for each in findings:
        name = f"{reading_id}.{each.rule}"
        action = rule(each.rule).action
        alert = alert_from_finding(each, alert_id=name, patient_id=patient_id, action=action, at=at, policy=policy)
        raised.append((_measures(fact for fact, _ in each.observed), alert))
    return _one_of_each_cause(raised)


def alerts_from_score(
    states: tuple[AlertState, ...], *, score_id: str, patient_id: str, at: datetime, policy: SitePolicy
) -> tuple[ClinicAlert, ...]:
    """An alert of each answer with a state that is triggered, or with an unknown one of an urgent kind.

    Args:
        states: of `ScoreReading.alerts`.
        score_id: makes the ids of the alerts.
        patient_id: whose score.
        at: when the answers were saved.
        policy: in force then.

    >>> from afterglow.clinic.examples import POLICY, at
    >>> alerts_from_score((), score_id="q1", patient_id="p1", at=at(0), policy=POLICY)
    ()
    """
    raised = []
    for state in states:
        unknown = state.status is AlertStatus.UNKNOWN
        if state.status is AlertStatus.TRIGGERED or (unknown and state.alert.urgent):
            alert = raise_alert(
                alert_id=f"{score_id}.{state.alert.id}",
                patient_id=patient_id,
                about=state.alert.id,
                text=sentence_of(state),
                source=source_of(state),
                action=state.alert.action,
                priority=_score_priority(state.alert.severity, urgent=state.alert.urgent),
                unknown=unknown,
                at=at,
                policy=policy,
            )
            raised.append((_measures(facts_of(state.alert.when)), alert))
    return _one_of_each_cause(raised)


def _measures(facts: Iterable[str]) -> frozenset[str]:
    """What was read or answered, whatever is derived of it: a rise of the pressure is of the pressure."""
    return frozenset("bp" if name.startswith("bp.") else name.removesuffix("_rise_since_last") for name in facts)


def _one_of_each_cause(raised: Iterable[tuple[frozenset[str], ClinicAlert]]) -> tuple[ClinicAlert, ...]:
    """Alerts of one cause as one: the most pressing with owner and clock; it names all rules and tells all owners."""
    causes: dict[frozenset[str], list[ClinicAlert]] = {}
    for measures, alert in raised:
        causes.setdefault(measures, []).append(alert)
    made = []
    for alerts in causes.values():
        first, *others = sorted(alerts, key=lambda each: list(Priority).index(each.priority))
        told = dict.fromkeys(each.action for each in (first, *others) if each.action)
        made.append(
            replace(
                first,
                about=", ".join(each.about for each in (first, *others)),
                text=" Also: ".join(each.text for each in (first, *others)),
                source="; also ".join(each.source for each in (first, *others)),
                action="; ".join(told) or None,
                informs=tuple(dict.fromkeys(each.owner for each in others if each.owner is not first.owner)),
            )
        )
    return tuple(made)


def read_alert(alert: ClinicAlert, act: Act, *, patient_id: str) -> Outcome[ClinicAlert]:
    """Somebody reads it, on the patient's own screen.

    Raises: WrongState, NotPermitted; WrongOrder before it was raised; GateClosed on another's screen.

    >>> from afterglow.clinic.examples import alert, nurse
    >>> read_alert(alert(), nurse(1), patient_id="p1").now.stage.value
    'seen'
    """
    if patient_id != alert.patient_id:
        raise GateClosed(
            "An alert is read on its patient's screen", rule=alert.about, next_step="Open the patient it is about"
        )
    return _stepped(alert, "read", act, read_by=act.by)


def act_on(alert: ClinicAlert, act: Act, *, policy: SitePolicy) -> Outcome[ClinicAlert]:
    """What was done, in the act's reason; the first time that the owner or a role above acts starts the time to close.

    Raises: WrongState unless it was read; NotPermitted, MissingValue.

    >>> from afterglow.clinic.examples import POLICY, alert, nurse, prescriber
    >>> seen = read_alert(alert(), nurse(1), patient_id="p1").now  # a prescriber's, for 15 minutes
    >>> covered = act_on(seen, nurse(2, reason="oxygen given"), policy=POLICY).now
    >>> covered.covered, covered.respond_by == seen.respond_by
    (True, True)
    >>> owned = act_on(covered, prescriber(5, reason="seen, lungs clear"), policy=POLICY).now
    >>> owned.covered, (owned.respond_by - owned.stepped_at).total_seconds() / 60
    (False, 240.0)
    """
    covers, began = not owns_alert(alert, act.roles), alert.stage is AlertStage.ACTED and not alert.covered
    respond_by = alert.respond_by if covers or began else act.at + closing_time(alert.priority, policy)
    return _stepped(
        alert,
        "act",
        act,
        acted_by=act.by,
        action_taken=act.reason,
        covered=covers and not began,
        respond_by=respond_by,
    )


def close_alert(alert: ClinicAlert, act: Act) -> Outcome[ClinicAlert]:
    """Close it; who owns it, or stands above, does that.

    Raises: WrongState unless it was read and acted upon; NotPermitted.

    >>> from afterglow.clinic.examples import POLICY, alert, nurse, prescriber
    >>> seen = read_alert(alert(), nurse(1), patient_id="p1").now
    >>> acted = act_on(seen, nurse(2, reason="oxygen given"), policy=POLICY).now
    >>> close_alert(acted, prescriber(9)).now.closed_by
    'prescriber1'
    """
    ALERT.check(alert.stage, "close", act)
    act.check_role(*_REACH[_REACH.index(alert.owner) :], what=f"Closing an alert of the {_say(alert.owner)}")
    return _stepped(alert, "close", act, closed_by=act.by)


def hand_over(alert: ClinicAlert, act: Act, *, to: Role) -> Outcome[ClinicAlert]:
    """Another role owns it from now on, with a reason; the clock runs on.

    Anybody hands it further up; down only who owns it or stands above, and a high one never goes down.

    Raises: WrongState, NotPermitted; MissingValue for a role that cannot own alerts; GateClosed for a high alert that
        would go down.

    >>> from afterglow.clinic.examples import alert, prescriber
    >>> hand_over(alert(), prescriber(1, reason="away"), to=Role.MEDICAL_DIRECTOR).now.owner.value
    'medical_director'
    """
    to = as_word(Role, to, what="The owner of an alert")
    if to not in _REACH:
        raise MissingValue("An alert has a clinical owner", observed=to, allowed=", ".join(_REACH))
    owner_and_above = _REACH[_REACH.index(alert.owner) :]
    if to not in owner_and_above:
        act.check_role(*owner_and_above, what="Handing this alert down")
        if alert.priority is Priority.HIGH:
            raise GateClosed(
                "A high alert does not go down",
                rule=alert.about,
                observed=to.value,
                allowed=", ".join(owner_and_above),
                next_step="Act upon it, or hand it further up",
            )
    return _stepped(alert, "hand_over", act, owner=to, escalations=(*alert.escalations, alert.owner))


def escalate(alert: ClinicAlert, act: Act, *, policy: SitePolicy) -> Outcome[ClinicAlert]:
    """Its clock has run out: the next role owns it, with a new clock; the medical director is the last.

    Raises: WrongState, NotPermitted (the clock alone escalates); TooEarly before its time.

    >>> from afterglow.clinic.examples import POLICY, act, alert
    >>> escalate(alert(), act(Role.SYSTEM, 15), policy=POLICY).now.owner.value
    'medical_director'
    """
    ALERT.check(alert.stage, "escalate", act)
    if act.at < alert.respond_by:
        raise TooEarly(
            "The alert still has time",
            rule=alert.about,
            observed=f"{act.at:%Y-%m-%d %H:%M} UTC",
            allowed=f"from {alert.respond_by:%Y-%m-%d %H:%M} UTC on",
        )
    place, own = _REACH.index(alert.owner), alert.stage is AlertStage.ACTED and not alert.covered
    return _stepped(
        alert,
        "escalate",
        act,
        owner=_REACH[min(place + 1, len(_REACH) - 1)],
        escalations=(*alert.escalations, alert.owner),
        respond_by=act.at + (closing_time if own else response_time)(alert.priority, policy),
    )


def response_time(priority: Priority, policy: SitePolicy) -> timedelta:
    """How long somebody may take to respond.

    >>> from afterglow.clinic.policy import demo_policy
    >>> response_time(Priority.HIGH, demo_policy())
    datetime.timedelta(seconds=900)
    """
    return timedelta(minutes=policy.number(f"alerts.{priority}_minutes"))


def closing_time(priority: Priority, policy: SitePolicy) -> timedelta:
    """How long an alert that was acted upon may stay unclosed.

    >>> from afterglow.clinic.policy import demo_policy
    >>> closing_time(Priority.HIGH, demo_policy())
    datetime.timedelta(seconds=14400)
    """
    return timedelta(minutes=policy.number(f"alerts.close_{priority}_minutes"))


def sentence_of(state: AlertState) -> str:
    """What a score's answers say, in a sentence for whoever reads the alert.

    >>> from afterglow.scales import alerts, scale_answers, score
    >>> found = alerts(score(scale_answers("PHQ-9", {"1": 1, "9": 2})))
    >>> sentence_of(next(each for each in found if each.alert.id == "phq9_item9_high"))
    'PHQ-9: thoughts of death or self-harm on more than half of the days, or more than last time.'
    """
    if state.status is AlertStatus.UNKNOWN:
        return f"{state.scale}: it cannot be told whether there is this: {state.alert.says}. Ask."
    return f"{state.scale}: {state.alert.says}."


def source_of(state: AlertState) -> str:
    """Which answers a score's alert rests on, and how far the threshold was checked.

    >>> from afterglow.scales import alerts, scale_answers, score
    >>> source_of(alerts(score(scale_answers("PHQ-9", {"9": 1})))[0])
    'PHQ-9, item 9 >= 1; page'
    """
    return f"{state.scale}, {state.alert.text}; {basis_of(state.alert.provenance)}"


def _say(role: Role) -> str:
    return role.replace("_", " ")


def owns_alert(alert: ClinicAlert, roles: Iterable[Role]) -> bool:
    """Whether somebody of these roles owns an alert or stands above its owner: who closes it.

    >>> from afterglow.clinic.examples import alert
    >>> owns_alert(alert(), (Role.NURSE,)), owns_alert(alert(), (Role.MEDICAL_DIRECTOR,))
    (False, True)
    """
    return bool(set(roles) & set(_REACH[_REACH.index(alert.owner) :]))


def _score_priority(severity: AlertSeverity, *, urgent: bool) -> Priority:
    if severity is AlertSeverity.EMERGENCY or (severity is AlertSeverity.NEEDS_CLINICIAN_REVIEW and urgent):
        return Priority.HIGH
    return Priority.LOW if severity is AlertSeverity.CAUTION else Priority.MEDIUM


def raise_alert(
    *,
    alert_id: str,
    patient_id: str,
    about: str,
    text: str,
    source: str,
    action: str | None,
    priority: Priority,
    at: datetime,
    policy: SitePolicy,
    unknown: bool = False,
) -> ClinicAlert:
    """An alert with its first owner and clock: high ones are a prescriber's, the others a nurse's.

    Args:
        alert_id: of its own.
        patient_id: whom it is about.
        about: id of the rule or of the scale's alert.
        text: what was met, in a sentence.
        source: the rule, its limit, and how far it was checked.
        action: what the rule asks for.
        priority: how fast somebody must respond.
        at: when it is raised.
        policy: in force then.
        unknown: nobody knows whether the condition holds.

    >>> from afterglow.clinic.examples import POLICY, at
    >>> raise_alert(alert_id="a1", patient_id="p1", about="S072", text="Unwell at the 24-hour call.", source="S072",
    ...             action="Call", priority=Priority.MEDIUM, at=at(0), policy=POLICY).owner.value
    'nurse'
    """
    return ClinicAlert(
        id=alert_id,
        patient_id=patient_id,
        about=about,
        text=text,
        source=source,
        action=action,
        priority=priority,
        owner=Role.PRESCRIBER if priority is Priority.HIGH else Role.NURSE,
        raised_at=at,
        respond_by=at + response_time(priority, policy),
        unknown=unknown,
    )


def walk_out_alert(session: TreatmentSession, *, alert_id: str, policy: SitePolicy) -> ClinicAlert:
    """The high alert of a patient who left without the check after a dose: a prescriber calls now.

    Raises: WrongState unless the patient walked out after a dose.

    >>> from afterglow.clinic.examples import POLICY, injected, nurse
    >>> from afterglow.clinic.leaving import walk_out
    >>> gone = walk_out(injected(), nurse(40, reason="left with a friend")).now
    >>> alert = walk_out_alert(gone, alert_id="a1", policy=POLICY)
    >>> alert.text, alert.owner.value, alert.priority.value
    ('Left at 40 min without the leave check; call now.', 'prescriber', 'high')
    """
    begun, left = session.dose_started_at, session.left_at
    if session.left_how is not Leaving.WALKED_OUT or begun is None or left is None:
        raise WrongState("Nobody walked out of this session after a dose", observed=session.state.replace("_", " "))
    lock = rule(LOCKS.get(session.delivery, "S061"))
    return raise_alert(
        alert_id=alert_id,
        patient_id=session.patient_id,
        about=lock.id,
        text=f"Left at {minutes_between(begun, left):.0f} min without the leave check; call now.",
        source=f"rule {lock.id}; minutes since the dose began; {lock.basis}",
        action="Call the patient now; send help if nobody answers",
        priority=Priority.HIGH,
        at=left,
        policy=policy,
    )


def _stepped(alert: ClinicAlert, event: str, act: Act, **changes: object) -> Outcome[ClinicAlert]:
    act.check_after(alert.stepped_at or alert.raised_at, what="A step of an alert")
    step = ALERT.step(alert.stage, event, act, subject=alert.id)
    now = replace(alert, stage=AlertStage(step.after), stepped_at=act.at, **changes)  # type: ignore[arg-type]
    return Outcome(now=now, written=(step, now))
