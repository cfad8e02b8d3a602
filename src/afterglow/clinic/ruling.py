"""Judging rules against facts: hit, clear or unknown, with what was observed, what settles it, and who answered."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from afterglow.clinic.acting import Act, Role
from afterglow.clinic.policy import SitePolicy
from afterglow.clinic.rulebook import Delivery, Rule, Severity, comparisons, fact_label, rule, with_values
from afterglow.errors import GateClosed, NotOverridable, SecondPerson
from afterglow.predicates import Fact, evaluate

Facts = Mapping[str, Fact | None]


class Verdict(StrEnum):
    """Whether a rule is met; unknown is never clear."""

    HIT = "hit"
    CLEAR = "clear"
    UNKNOWN = "unknown"


class Priority(StrEnum):
    """How fast somebody must respond."""

    HIGH = "high"
    MEDIUM = "medium"
    LOW = "low"


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One rule judged.

    Args:
        rule: its id.
        observed: the facts it looked at and what they were; None is unknown.
        units: unit of each observed fact, in the same order.
        limit: the condition as judged, with the site's thresholds.
        settles: the missing facts that would settle it, in words; empty unless unknown.
        policy_version: the version it was judged under.
    """

    rule: str
    verdict: Verdict
    severity: Severity
    observed: tuple[tuple[str, Fact | None], ...]
    units: tuple[str | None, ...]
    limit: str
    settles: tuple[str, ...]
    proposals: tuple[str, ...]
    policy_version: int

    @property
    def values(self) -> str:
        """What was observed, with units."""
        shown = []
        for (name, value), unit in zip(self.observed, self.units, strict=True):
            if value is not None:
                text = {True: "yes", False: "no"}[value] if isinstance(value, bool) else f"{value}"
                shown.append(f"{fact_label(name)} {text}{'' if unit is None else ' ' + unit}")
        return ", ".join(shown) or "nothing"

    @property
    def message(self) -> str:
        """What the rule says, what was seen, the threshold, where it comes from; never a verdict on a person."""
        of = rule(self.rule)
        says = {Verdict.HIT: "meets", Verdict.CLEAR: "does not meet", Verdict.UNKNOWN: "cannot judge"}[self.verdict]
        missing = f"; missing: {', '.join(self.settles)}" if self.settles else ""
        threshold = "" if of.threshold is None else f"; threshold {of.threshold}"
        return f"{says} rule {of.id} ({of.condition}): {self.values}{threshold}; {of.basis}{missing}"


class Decision(StrEnum):
    """What a clinician decided about a hit."""

    PROCEED = "proceed"
    DEFER = "defer"
    DECLINE = "decline"


@dataclass(frozen=True, slots=True, kw_only=True)
class RuleAnswer:
    """A named clinician's answer to a hit, for the values it was given for.

    Args:
        observed: the values that were answered; other values need another answer.
        cosigned_by: login of the second signer, where one is needed.
    """

    rule: str
    observed: tuple[tuple[str, Fact | None], ...]
    decision: Decision
    reason: str
    by: str
    at: datetime
    cosigned_by: str | None = None
    policy_version: int


def judge(of: Rule, facts: Facts, policy: SitePolicy) -> Finding:
    """One rule against facts under a policy.

    >>> from afterglow.clinic.policy import demo_policy
    >>> found = judge(rule("S010"), {"bp.systolic": 152, "bp.diastolic": 84}, demo_policy())
    >>> found.verdict, found.values
    (<Verdict.HIT: 'hit'>, 'bp: systolic 152 mmHg, bp: diastolic 84 mmHg')
    """
    condition = with_values(of.when, of.settings, policy.own_values)
    truth = evaluate(condition, facts)
    asked = {each.fact: each.unit for each in comparisons(condition)}
    missing = tuple(fact_label(name) for name in asked if facts.get(name) is None) if truth is None else ()
    return Finding(
        rule=of.id,
        verdict={True: Verdict.HIT, False: Verdict.CLEAR, None: Verdict.UNKNOWN}[truth],
        severity=severity_in(of, policy),
        observed=tuple((name, facts.get(name)) for name in asked),
        units=tuple(asked.values()),
        limit=str(condition),
        settles=missing,
        proposals=tuple(each.propose for each in of.branches if truth and evaluate(each.when, facts)),
        policy_version=policy.version,
    )


def judge_all(rules: Iterable[Rule], facts: Facts, policy: SitePolicy) -> tuple[Finding, ...]:
    """Several rules against the same facts, in their order."""
    return tuple(judge(each, facts, policy) for each in rules)


def severity_in(of: Rule, policy: SitePolicy) -> Severity:
    """The severity of a rule at a site.

    A cardiovascular event within 6 weeks may be a question instead of an exclusion outside the label's regions.
    """
    softened = policy.flag("candidacy.infarction_review_outside_label") and policy.region not in of.label_regions
    return Severity.NEEDS_CLINICIAN_REVIEW if of.id == "C006" and softened else of.severity


def is_overridable(of: Rule, *, delivery: Delivery, policy: SitePolicy) -> bool:
    """Whether a prescriber may let a dose go on although the rule is hit.

    Never for a labelled contraindication in its label's regions (for other routes too, unless the policy says
    otherwise), nor for an exclusion that a label or risk programme sets, nor for a lock or an emergency.
    """
    if of.lock or of.severity is Severity.EMERGENCY:
        return False
    if of.is_labelled:
        labelled = delivery in of.label_deliveries or policy.flag("candidacy.labelled_binds_all_routes")
        return not (labelled and policy.region in of.label_regions)
    fixed_session_rule = of.id.startswith("S") and not of.site_configurable
    never = of.id in {"C008", "C060", "C061", "C062", "C066"}  # age, risk programme, consent, dosing at home
    return not (of.severity is Severity.EXCLUDE and (fixed_session_rule or never))


def answer_rule(
    finding: Finding,
    act: Act,
    *,
    decision: Decision,
    delivery: Delivery,
    policy: SitePolicy,
    cosigner: Act | None = None,
) -> RuleAnswer:
    """A prescriber's answer to a hit, with a reason; overriding an exclusion may need a second signature.

    Raises: NotPermitted unless a prescriber answers; MissingValue without a reason; NotOverridable where nobody may
        let it go on; SecondPerson without the co-signature the policy asks for.
    """
    of = rule(finding.rule)
    act.check_role(Role.PRESCRIBER, what="Answering a rule")
    reason = act.check_reason(what="Answering a rule")
    if finding.verdict is not Verdict.HIT:
        raise NotOverridable(
            f"Rule {of.id} is {finding.verdict}: there is nothing to answer",
            rule=of.id,
            observed=finding.values,
            next_step=f"Find out: {', '.join(finding.settles)}" if finding.settles else None,
        )
    if decision is Decision.PROCEED:
        if not is_overridable(of, delivery=delivery, policy=policy):
            raise NotOverridable(
                f"Rule {of.id} ({of.condition}) cannot be overridden",
                rule=of.id,
                observed=finding.values,
                allowed=of.threshold,
                next_step=of.action or "Do not give the drug; record what is done instead",
            )
        needs_two = finding.severity is Severity.EXCLUDE and policy.flag("candidacy.cosign_exclude")
        if needs_two:
            _check_cosigner(of, act, cosigner)
    return RuleAnswer(
        rule=of.id,
        observed=finding.observed,
        decision=decision,
        reason=reason,
        by=act.by,
        at=act.at,
        cosigned_by=None if cosigner is None else cosigner.by,
        policy_version=policy.version,
    )


def open_findings(findings: Iterable[Finding], answers: Iterable[RuleAnswer]) -> tuple[Finding, ...]:
    """What still stands in the way: hits that ask for a decision and have no answer to proceed at these values.

    The last answer to a rule counts. Information (caution) never stands in the way.
    """
    last = {each.rule: each for each in answers}
    return tuple(
        each
        for each in findings
        if each.verdict is Verdict.HIT
        and each.severity is not Severity.CAUTION
        and not _is_answered(each, last.get(each.rule))
    )


def blocking_unknowns(findings: Iterable[Finding]) -> tuple[Finding, ...]:
    """Unknown findings that must be settled: gates and labelled contraindications."""
    return tuple(
        each
        for each in findings
        if each.verdict is Verdict.UNKNOWN and (rule(each.rule).gate or rule(each.rule).is_labelled)
    )


def check_open(findings: Iterable[Finding], answers: Iterable[RuleAnswer], *, what: str) -> None:
    """Refuse while a hit is unanswered or something that must be known is not.

    Raises: GateClosed for the first one, hits before unknowns.
    """
    found = tuple(findings)
    for each in open_findings(found, answers):
        of = rule(each.rule)
        raise GateClosed(
            f"{what}: rule {of.id} ({of.condition}) is met and not answered",
            rule=of.id,
            observed=each.values,
            allowed=of.threshold,
            next_step=of.action or "A prescriber records a decision",
        )
    for each in blocking_unknowns(found):
        of = rule(each.rule)
        raise GateClosed(
            f"{what}: rule {of.id} ({of.condition}) cannot be judged",
            rule=of.id,
            observed=f"{each.values}; missing {', '.join(each.settles)}",
            allowed=of.threshold,
            next_step=f"Find out: {', '.join(each.settles)}",
        )


def priority_of(finding: Finding, *, urgent: bool = False) -> Priority:
    """How fast a hit is responded to.

    Emergency and exclude are high, review is medium (high when urgent), caution low.
    """
    if finding.severity in {Severity.EMERGENCY, Severity.EXCLUDE}:
        return Priority.HIGH
    if finding.severity is Severity.NEEDS_CLINICIAN_REVIEW:
        return Priority.HIGH if urgent else Priority.MEDIUM
    return Priority.LOW


def _is_answered(finding: Finding, answer: RuleAnswer | None) -> bool:
    return answer is not None and answer.decision is Decision.PROCEED and answer.observed == finding.observed


def _check_cosigner(of: Rule, act: Act, cosigner: Act | None) -> None:
    if cosigner is None:
        raise SecondPerson(
            f"Overriding rule {of.id} needs a second signature",
            rule=of.id,
            observed="one signature",
            allowed="a second prescriber or the medical director",
        )
    cosigner.check_role(Role.PRESCRIBER, Role.MEDICAL_DIRECTOR, what="A co-signature")
    cosigner.check_other_than(act.by, what="A co-signature")
