"""Leaving: the check that every leave rule is known and clear, and what is recorded when somebody walks out."""

from __future__ import annotations

from dataclasses import dataclass, fields
from datetime import datetime

from afterglow.clinic.acting import Act, Outcome
from afterglow.clinic.monitoring import earliest_leave, is_falling, latest_facts, monitoring_facts
from afterglow.clinic.policy import SitePolicy
from afterglow.clinic.rulebook import Group, rule, rules_of
from afterglow.clinic.ruling import Finding, Verdict, judge_all, open_findings
from afterglow.clinic.session import SESSION, TreatmentSession, check_policy, move
from afterglow.errors import GateClosed, TooEarly
from afterglow.predicates import Fact


@dataclass(frozen=True, slots=True, kw_only=True)
class LeaveCheck:
    """What the nurse finds before the patient leaves; None is "not looked at" and holds the patient.

    Args:
        aldrete_total, padss_total: points; Aldrete first, then PADSS.
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
    aldrete_total: int | None = None
    padss_total: int | None = None


_NOT_FACTS = {"session_id", "checked_at", "by", "aldrete_total", "padss_total"}


def leave_facts(
    session: TreatmentSession, check: LeaveCheck, at: datetime, *, policy: SitePolicy
) -> dict[str, Fact | None]:
    """What the leave rules ask: the check, the readings as last taken, and the time since the dose."""
    found = latest_facts(session, policy) | monitoring_facts(session, at, policy=policy)
    found |= {f"discharge.{f.name}": getattr(check, f.name) for f in fields(check) if f.name not in _NOT_FACTS}
    found["aldrete.total"], found["padss.total"] = check.aldrete_total, check.padss_total
    found["bp.decreasing"] = is_falling(session)
    found["dose.route"] = session.delivery.value
    return found


def judge_leaving(
    session: TreatmentSession, check: LeaveCheck, at: datetime, *, policy: SitePolicy
) -> tuple[Finding, ...]:
    """Every leave rule at a time; all of them hold while unknown."""
    rules = rules_of(Group.DISCHARGE, delivery=session.delivery)
    return judge_all(rules, leave_facts(session, check, at, policy=policy), policy, delivery=session.delivery)


def clear_to_leave(
    session: TreatmentSession, check: LeaveCheck, act: Act, *, policy: SitePolicy
) -> Outcome[TreatmentSession]:
    """Let the patient go: time is over, every leave rule is known and clear, or answered where that is allowed.

    Raises: WrongState, NotPermitted; TooEarly before `earliest_leave`; GateClosed for the first rule that holds.
    """
    SESSION.check(session.state, "clear_to_leave", act)
    check_policy(session, policy)
    earliest = earliest_leave(session, policy=policy)
    if earliest is not None and act.at < earliest:
        raise TooEarly(
            "It is too early to leave",
            rule="S031" if session.delivery == "esk" else "S061",
            observed=f"{act.at:%H:%M} UTC",
            allowed=f"from {earliest:%H:%M} UTC on",
            next_step="Go on watching",
        )
    found = judge_leaving(session, check, act.at, policy=policy)
    unanswered = {each.rule for each in open_findings(found, session.answers)}
    for each in found:
        if each.verdict is Verdict.UNKNOWN or (each.verdict is Verdict.HIT and each.rule in unanswered):
            of = rule(each.rule)
            missing = f"; missing: {', '.join(each.settles)}" if each.settles else ""
            raise GateClosed(
                f"Leave rule {of.id} ({of.condition}) holds",
                rule=of.id,
                observed=f"{each.values}{missing}",
                allowed=of.threshold,
                next_step="Go on watching, and check what is missing",
            )
    return move(session, "clear_to_leave", act, also=(check, *found), left_at=act.at, cleared=True)


def walk_out(session: TreatmentSession, act: Act) -> Outcome[TreatmentSession]:
    """The patient left without the check; it is recorded with a reason and never counts as cleared.

    Raises: WrongState, NotPermitted, MissingValue.
    """
    return move(session, "walk_out", act, left_at=act.at, cleared=False)
