"""Leaving: the check that every leave rule is known and clear, who walks out, who is transferred to emergency care."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from datetime import datetime, timedelta

from afterglow.clinic.acting import Act, Outcome, login
from afterglow.clinic.factbook import say_clear
from afterglow.clinic.monitoring import earliest_leave, is_falling, judge_monitoring, monitoring_facts
from afterglow.clinic.policy import SitePolicy
from afterglow.clinic.readings import check_over, latest_facts
from afterglow.clinic.rulebook import Delivery, Group, rule, rules_of
from afterglow.clinic.ruling import Finding, Verdict, check_open, judge_all, open_findings
from afterglow.clinic.session import Leaving, TreatmentSession, admit, step
from afterglow.clinic.thresholds import alone, with_values
from afterglow.clinic.typed import typed
from afterglow.errors import Conflict, GateClosed, OutOfRange, TooEarly, WrongOrder, echo
from afterglow.predicates import Fact, evaluate
from afterglow.scales import instrument

LOCKS = {Delivery.ESK: "S031", Delivery.SL: "S066", Delivery.PO: "S066"}


@typed
@dataclass(frozen=True, slots=True, kw_only=True)
class LeaveCheck:
    """What the nurse finds before the patient leaves; None is "not looked at" and holds the patient.

    Args:
        aldrete, padss: points of each part, 0 to 2; Aldrete first, then PADSS. Source: the two scales.
    Raises: OutOfRange for points that the scale does not have.
    """

    session_id: str
    checked_at: datetime
    by: str
    clinically_stable: bool | None = None
    sedation_resolved: bool | None = None
    dissociation_resolved: bool | None = None
    respiratory_depression_resolved: bool | None = None
    oriented_x3: bool | None = None
    steady_gait: bool | None = None
    escort_present: bool | None = None
    instructions_given: bool | None = None
    driving_ban_acknowledged: bool | None = None
    out_of_hours_contact_given: bool | None = None
    signed: bool | None = None
    aldrete: tuple[int, ...] | None = None
    padss: tuple[int, ...] | None = None

    def __post_init__(self) -> None:
        _check_parts("aldrete_modified", self.aldrete)
        _check_parts("padss", self.padss)


_NOT_FACTS = {"session_id", "checked_at", "by", "aldrete", "padss"}


def leave_facts(
    session: TreatmentSession, check: LeaveCheck, at: datetime, *, policy: SitePolicy
) -> dict[str, Fact | None]:
    """What the leave rules ask: the check, the readings of the last minutes after the dose, and the time since it.

    Readings count while they are not older than `session.leave_reading_minutes`; a value read before that, or before
    the end of the dose, says nothing about now.

    >>> from afterglow.clinic.examples import POLICY, at, injected
    >>> check = LeaveCheck(session_id="s1", checked_at=at(95), by="nurse1", steady_gait=True)
    >>> leave_facts(injected(), check, at(95), policy=POLICY)["discharge.steady_gait"]
    True
    """
    since = at - timedelta(minutes=policy.number("session.leave_reading_minutes"))
    ended = session.dose_ended_at
    found = latest_facts(session, policy, since=since if ended is None else max(since, ended))
    found |= monitoring_facts(session, at, policy=policy)
    found |= {f"discharge.{f.name}": getattr(check, f.name) for f in fields(check) if f.name not in _NOT_FACTS}
    found["aldrete.total"] = None if check.aldrete is None else sum(check.aldrete)
    found["padss.total"] = None if check.padss is None else sum(check.padss)
    found["bp.decreasing"] = is_falling(session)
    found["dose.route"] = session.delivery.value
    if found.get("readings.dissociated") is True:  # what was read stands over what was ticked
        found["discharge.dissociation_resolved"] = False
    return found


def judge_leaving(
    session: TreatmentSession, check: LeaveCheck, at: datetime, *, policy: SitePolicy
) -> tuple[Finding, ...]:
    """Every leave rule at a time; all of them hold while unknown.

    >>> from afterglow.clinic.examples import POLICY, at, injected
    >>> check = LeaveCheck(session_id="s1", checked_at=at(95), by="nurse1")
    >>> found = judge_leaving(injected(), check, at(95), policy=POLICY)
    >>> [each.rule for each in found if each.verdict is Verdict.CLEAR]  # the time alone is known
    ['S061']
    """
    rules = rules_of(Group.DISCHARGE, delivery=session.delivery)
    return judge_all(rules, leave_facts(session, check, at, policy=policy), policy, delivery=session.delivery)


def clear_to_leave(
    session: TreatmentSession, check: LeaveCheck, act: Act, *, policy: SitePolicy
) -> Outcome[TreatmentSession]:
    """Let the patient go: time is over, nothing is open or missed, and every leave rule is known and clear or answered.

    Raises: WrongState, NotPermitted; Conflict for another's check; WrongOrder for one that is too old; TooEarly before
        `earliest_leave`; GateClosed for the first rule that holds.

    >>> from afterglow.clinic.examples import POLICY, at, injected, nurse
    >>> check = LeaveCheck(session_id="s1", checked_at=at(80), by="nurse1")
    >>> clear_to_leave(injected(), check, nurse(80), policy=POLICY)
    Traceback (most recent call last):
    ...
    afterglow.errors.TooEarly: It is too early to leave; ...
    """
    admit(session, "clear_to_leave", act, policy=policy)
    _check_time(session, act, policy)
    _check_own(session, check, act, policy)
    check_over(session, policy, what="Leaving")
    check_open(judge_monitoring(session, act.at, policy=policy), session.answers, what="Leaving")
    found = judge_leaving(session, check, act.at, policy=policy)
    unanswered = {each.rule for each in open_findings(found, session.answers)}
    for each in found:
        if each.verdict is Verdict.UNKNOWN or (each.verdict is Verdict.HIT and each.rule in unanswered):
            of = rule(each.rule)
            held, wanted = _what_holds(each, policy)
            missing = f"not known: {', '.join(each.settles)}" if each.settles else ""
            known = held.values if any(value is not None for _, value in held.observed) else ""
            raise GateClosed(
                f"The patient cannot leave yet: {of.condition} ({of.id})",
                rule=of.id,
                observed="; ".join(filter(None, (known, missing))),
                allowed=wanted,
                next_step="Fill in what is not known" if missing else "Go on watching, and check again",
            )
    facts = (check, *found)
    return step(session, "clear_to_leave", act, written=facts, left_at=act.at, left_how=Leaving.CLEARED)


def _what_holds(finding: Finding, policy: SitePolicy) -> tuple[Finding, str]:
    """Of a rule that any one of several points meets: those that do or are not known, and what must hold of them."""
    of = rule(finding.rule)
    when, known = with_values(of.when, of.settings, policy.own_values), dict(finding.observed)
    points = [each for each in alone(when) if evaluate(each, known) is not False]
    if not points:
        return finding, finding.wanted
    facts = {each.fact for each in points}
    kept = [
        (observed, unit)
        for observed, unit in zip(finding.observed, finding.units, strict=True)
        if observed[0] in facts and observed[1] is not None
    ]
    shown = replace(finding, observed=tuple(each for each, _ in kept), units=tuple(unit for _, unit in kept))
    return shown, ", ".join(say_clear(each) for each in points)


def walk_out(session: TreatmentSession, act: Act) -> Outcome[TreatmentSession]:
    """The patient left without the check; it is recorded with a reason and never counts as cleared.

    Raises: WrongState, NotPermitted, MissingValue.

    >>> from afterglow.clinic.examples import injected, nurse
    >>> walk_out(injected(), nurse(40, reason="left with a friend")).now.cleared
    False
    """
    return step(session, "walk_out", act, left_at=act.at, left_how=Leaving.WALKED_OUT)


def transfer(session: TreatmentSession, act: Act) -> Outcome[TreatmentSession]:
    """The patient was handed over to emergency care, with a reason; a dose that runs is stopped first.

    Raises: WrongState, NotPermitted, MissingValue.

    >>> from afterglow.clinic.examples import injected, nurse
    >>> transfer(injected(), nurse(40, reason="chest pain")).now.left_how.value
    'transferred'
    """
    return step(session, "transfer", act, left_at=act.at, left_how=Leaving.TRANSFERRED)


def _check_parts(scale: str, points: tuple[int, ...] | None) -> None:
    if points is None:
        return
    ranges = [each.range for each in instrument(scale).items.listed]
    fits = len(points) == len(ranges) and all(
        type(point) is int and low <= point <= high for point, (low, high) in zip(points, ranges, strict=True)
    )
    if not fits:
        raise OutOfRange(
            f"The parts of {instrument(scale).short_name} are refused",
            observed=echo(points),
            allowed=f"{len(ranges)} whole numbers, each {ranges[0][0]} to {ranges[0][1]}",
            next_step="Score each part",
            about=scale,
        )


def _check_time(session: TreatmentSession, act: Act, policy: SitePolicy) -> None:
    earliest = earliest_leave(session, policy=policy)
    if earliest is None or act.at < earliest:
        raise TooEarly(
            "It is too early to leave",
            rule=LOCKS.get(session.delivery, "S061"),
            observed=f"{act.at:%H:%M} UTC",
            allowed="not before the dose" if earliest is None else f"from {earliest:%H:%M} UTC on",
            next_step="Go on watching",
        )


def _check_own(session: TreatmentSession, check: LeaveCheck, act: Act, policy: SitePolicy) -> None:
    if check.session_id != session.id or login(check.by) != act.by:
        raise Conflict(
            "The leave check is of another session or person",
            observed=f"session {echo(check.session_id)}",
            allowed=f"session {session.id}, by the login that lets the patient go",
            next_step="Check this patient",
        )
    allowed = timedelta(minutes=policy.number("session.leave_reading_minutes"))
    since = act.at - allowed if session.dose_ended_at is None else max(act.at - allowed, session.dose_ended_at)
    if not since <= check.checked_at <= act.at:
        raise WrongOrder(
            "The time of the leave check is refused",
            observed=f"{check.checked_at:%Y-%m-%d %H:%M} UTC",
            allowed=f"from {since:%Y-%m-%d %H:%M} to {act.at:%Y-%m-%d %H:%M} UTC",
            next_step="Check again now",
        )
