"""Judging rules against facts: hit, clear or unknown, with what was observed, what settles it, and who answered."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from functools import lru_cache

from afterglow.clinic.acting import Act, Role, login
from afterglow.clinic.factbook import fact_kinds, fact_label, say_clear, say_condition
from afterglow.clinic.policy import SitePolicy
from afterglow.clinic.rulebook import Delivery, Rule, Severity, rule
from afterglow.clinic.thresholds import comparisons, with_values
from afterglow.clinic.typed import as_word, typed
from afterglow.errors import GateClosed, MissingValue, NotOverridable, SecondPerson, WrongOrder
from afterglow.predicates import Condition, Fact, Truth, evaluate

_MANY = ("days", "weeks", "years", "sets", "readings", "sessions", "patients", "trials", "units")
_COSIGNED_WITHIN = timedelta(days=1)  # Assumption: two people who answer together do so within a day
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
        limit: the condition as judged in words, with the site's thresholds.
        settles: the missing facts that would settle it, in words; empty unless unknown.
        policy_version: the version it was judged under.
        delivery: what it was judged for; None for what no dose hangs on.
        overridable: whether a prescriber may let a dose go on although it is met.
        cosigned: whether that takes a second signature.
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
    delivery: Delivery | None
    overridable: bool
    cosigned: bool

    @property
    def must_be_known(self) -> bool:
        """Whether no answer stands in for a fact that is missing.

        Of a gate, a lock, a labelled contraindication, an exclusion or an emergency.
        """
        of = rule(self.rule)
        return of.gate or of.lock or of.is_labelled or self.severity in {Severity.EXCLUDE, Severity.EMERGENCY}

    @property
    def asks(self) -> bool:
        """Whether a prescriber must answer it: a hit that is more than information, or a review that is not known."""
        if self.verdict is Verdict.UNKNOWN:
            return self.severity is Severity.NEEDS_CLINICIAN_REVIEW and not self.must_be_known
        return self.verdict is Verdict.HIT and self.severity is not Severity.CAUTION

    @property
    def values(self) -> str:
        """What was observed, with units."""
        shown = []
        for (name, value), unit in zip(self.observed, self.units, strict=True):
            if value is not None:
                if isinstance(value, bool):
                    shown.append(f"{fact_label(name)}: {'yes' if value else 'no'}")
                    continue
                text = f"{value}".replace("_", " ") if isinstance(value, str) else _few_digits(value, unit)
                one = unit in _MANY and text == "1"
                shown.append(
                    f"{fact_label(name)} {text}{'' if unit in {None, 'points'} else f' {unit}'[: -1 if one else None]}"
                )
        return ", ".join(shown) or "nothing"

    @property
    def sentence(self) -> str:
        """What was met or is not known, in a sentence for whoever must act; its source stands in `source`.

        >>> from afterglow.clinic.policy import demo_policy
        >>> judge(rule("S044"), {"vitals.spo2": 90}, demo_policy()).sentence
        'SpO2 below 92% for 30 s: oxygen saturation 90 %.'
        """
        of = rule(self.rule)
        met = of.condition if self.limit == say_condition(of.when) else self.limit  # the site's own threshold
        told = f"not known: {', '.join(self.settles)}" if self.verdict is Verdict.UNKNOWN else self.values
        return f"{met[0].upper()}{met[1:]}: {told}."

    @property
    def wanted(self) -> str:
        """What must hold instead.

        >>> from afterglow.clinic.policy import demo_policy
        >>> judge(rule("S044"), {"vitals.spo2": 90}, demo_policy()).wanted
        'oxygen saturation at least 92 %'
        """
        when = rule(self.rule).when
        return say_clear(when) if self.limit == say_condition(when) else f"not {self.limit}"  # the site's own threshold

    @property
    def source(self) -> str:
        """Which rule it is, the limit in force, and how far it was checked.

        >>> from afterglow.clinic.policy import demo_policy
        >>> judge(rule("S044"), {"vitals.spo2": 90}, demo_policy()).source
        'rule S044; limit: oxygen saturation under 92 %; site default to be signed (recalled)'
        """
        return f"rule {self.rule}; limit: {self.limit}; {rule(self.rule).basis}"

    @property
    def message(self) -> str:
        """What the rule says, what was seen, the limit in force and its source; never a verdict on a person."""
        of = rule(self.rule)
        says = {Verdict.HIT: "meets", Verdict.CLEAR: "does not meet", Verdict.UNKNOWN: "cannot judge"}[self.verdict]
        missing = f"; missing: {', '.join(self.settles)}" if self.settles else ""
        return f"{says} rule {of.id} ({of.condition}): {self.values}; limit: {self.limit}; {of.basis}{missing}"


class Decision(StrEnum):
    """What a clinician decided about a hit, or about a review whose facts are not known."""

    PROCEED = "proceed"
    DEFER = "defer"
    DECLINE = "decline"


@typed
@dataclass(frozen=True, slots=True, kw_only=True)
class RuleAnswer:
    """A named clinician's answer to a rule that asks, for the values and the delivery it was given for.

    Args:
        delivery: None for what no dose hangs on.
        observed: the values that were answered, None where not known; other values need another answer.
        cosigned_by: login of the second signer, where one is needed.
    """

    rule: str
    patient_id: str
    delivery: Delivery | None
    observed: tuple[tuple[str, Fact | None], ...]
    decision: Decision
    reason: str
    by: str
    at: datetime
    cosigned_by: str | None = None
    policy_version: int

    def __post_init__(self) -> None:
        if not self.by.strip():
            raise MissingValue("An answer names who gave it")


@dataclass(frozen=True, slots=True, kw_only=True)
class _InForce:
    """A rule as it binds under a policy: all that does not hang on the facts."""

    condition: Condition
    facts: tuple[str, ...]
    units: tuple[str | None, ...]
    limit: str
    severity: Severity
    overridable: bool
    cosigned: bool


_VERDICTS: Mapping[Truth, Verdict] = {True: Verdict.HIT, False: Verdict.CLEAR, None: Verdict.UNKNOWN}


@lru_cache(maxsize=4096)  # a few policies of some 150 rules
def _in_force(of: Rule, policy: SitePolicy, delivery: Delivery | None) -> _InForce:
    condition = with_values(of.when, of.settings, policy.own_values)
    asked = {each.fact: each.unit for each in comparisons(condition)}
    severity = severity_in(of, policy)
    return _InForce(
        condition=condition,
        facts=tuple(asked),
        units=tuple(asked.values()),
        limit=say_condition(condition),
        severity=severity,
        overridable=is_overridable(of, delivery=delivery, policy=policy),
        cosigned=severity is Severity.EXCLUDE and policy.flag("candidacy.cosign_exclude"),
    )


def judge(of: Rule, facts: Facts, policy: SitePolicy, *, delivery: Delivery | None = None) -> Finding:
    """One rule against facts under a policy; `delivery` decides what a prescriber may override.

    >>> from afterglow.clinic.policy import demo_policy
    >>> found = judge(rule("S010"), {"bp.systolic": 152, "bp.diastolic": 84}, demo_policy())
    >>> found.verdict, found.values
    (<Verdict.HIT: 'hit'>, 'systolic pressure 152 mmHg, diastolic pressure 84 mmHg')
    """
    law = _in_force(of, policy, delivery)
    truth = evaluate(law.condition, facts)
    return Finding(
        rule=of.id,
        verdict=_VERDICTS[truth],
        severity=law.severity,
        observed=tuple([(name, facts.get(name)) for name in law.facts]),
        units=law.units,
        limit=law.limit,
        settles=tuple(fact_label(name) for name in law.facts if facts.get(name) is None) if truth is None else (),
        proposals=tuple(each.propose for each in of.branches if truth and evaluate(each.when, facts)),
        policy_version=policy.version,
        delivery=delivery,
        overridable=law.overridable,
        cosigned=law.cosigned,
    )


def judge_all(rules: Iterable[Rule], facts: Facts, policy: SitePolicy, *, delivery: Delivery) -> tuple[Finding, ...]:
    """Several rules against the same facts, in their order.

    >>> from afterglow.clinic.policy import demo_policy
    >>> [each.verdict.value for each in judge_all((rule("S010"),), {}, demo_policy(), delivery=Delivery.IV)]
    ['unknown']
    """
    return tuple(judge(each, facts, policy, delivery=delivery) for each in rules)


def condition_in(of: Rule, policy: SitePolicy) -> Condition:
    """When a rule is met at a site, with the site's own thresholds.

    >>> from afterglow.clinic.policy import demo_policy
    >>> str(condition_in(rule("S044"), demo_policy()))
    'vitals.spo2 < 92 %'
    """
    return _in_force(of, policy, None).condition


def severity_in(of: Rule, policy: SitePolicy) -> Severity:
    """The severity of a rule at a site.

    A cardiovascular event within 6 weeks may be a question instead of an exclusion where the label read does not have
    it.

    >>> from afterglow.clinic.policy import demo_policy
    >>> severity_in(rule("C006"), demo_policy()).value
    'exclude'
    """
    softened = policy.flag("candidacy.infarction_review_outside_label") and policy.region in of.not_in_labels_of
    return Severity.NEEDS_CLINICIAN_REVIEW if of.id == "C006" and softened else of.severity


def is_overridable(of: Rule, *, delivery: Delivery | None, policy: SitePolicy) -> bool:
    """Whether a prescriber may let a dose go on although the rule is hit.

    Never for a labelled contraindication (for other routes too, unless the policy says otherwise) but in regions whose
    label was read and does not have it; nor for an exclusion that a label or risk programme sets, nor for a lock or an
    emergency.

    >>> from afterglow.clinic.policy import demo_policy
    >>> [is_overridable(rule(name), delivery=Delivery.IV, policy=demo_policy()) for name in ("C001", "S010")]
    [False, True]
    """
    if of.lock or of.severity is Severity.EMERGENCY:
        return False
    if of.is_labelled:
        elsewhere = delivery is not None and delivery not in of.label_deliveries
        free = elsewhere and not policy.flag("candidacy.labelled_binds_all_routes")
        return free or policy.region in of.not_in_labels_of
    fixed_session_rule = of.id.startswith("S") and not of.site_configurable
    never = of.id in {"C008", "C060", "C061", "C062", "C066"}  # age, risk programme, consent, dosing at home
    return not (of.severity is Severity.EXCLUDE and (fixed_session_rule or never))


def answer_rule(
    finding: Finding,
    act: Act,
    *,
    patient_id: str,
    decision: Decision,
    policy: SitePolicy,
    cosigner: Act | None = None,
) -> RuleAnswer:
    """A prescriber's answer to a rule that asks, with a reason; overriding an exclusion may need a second signature.

    It holds for this patient, and for the delivery and the values that the finding was judged for: once something
    becomes known that was not, the rule is asked again.

    Raises: NotPermitted unless a prescriber answers; MissingValue without a reason; NotOverridable where there is
        nothing to answer, something must be known first, or nobody may let it go on; SecondPerson without the
        co-signature the policy asks for; WrongOrder for one signed later.

    >>> from datetime import UTC
    >>> from afterglow.clinic.policy import demo_policy
    >>> found = judge(rule("S010"), {"bp.systolic": 152, "bp.diastolic": 84}, demo_policy(), delivery=Delivery.IV)
    >>> act = Act(by="md1", roles=(Role.PRESCRIBER,), at=datetime(2026, 1, 5, tzinfo=UTC), reason="usual for her")
    >>> answer_rule(found, act, patient_id="p1", decision=Decision.PROCEED, policy=demo_policy()).delivery.value
    'iv'
    """
    of, decision = rule(finding.rule), as_word(Decision, decision, what="The decision")
    act.check_role(Role.PRESCRIBER, what="Answering a rule")
    reason = act.check_reason(what="Answering a rule")
    if finding.verdict is not Verdict.HIT and not finding.asks:
        raise NotOverridable(
            f"Rule {of.id} is {finding.verdict}: there is nothing to answer"
            if not finding.must_be_known or finding.verdict is Verdict.CLEAR
            else f"Rule {of.id} ({of.condition}) must be known: no answer stands in for it",
            rule=of.id,
            observed=finding.values,
            next_step=f"Find out: {', '.join(finding.settles)}" if finding.settles else None,
        )
    if decision is Decision.PROCEED:
        if not finding.overridable:
            raise NotOverridable(
                f"Rule {of.id} ({of.condition}) cannot be overridden",
                rule=of.id,
                observed=finding.values,
                allowed=finding.wanted,
                next_step=of.action or "Do not give the drug; record what is done instead",
            )
        if finding.cosigned:
            _check_cosigner(of, act, cosigner)
    return RuleAnswer(
        rule=of.id,
        patient_id=patient_id,
        delivery=finding.delivery,
        observed=finding.observed,
        decision=decision,
        reason=reason,
        by=act.by,
        at=act.at,
        cosigned_by=None if cosigner is None else cosigner.by,
        policy_version=policy.version,
    )


def open_findings(findings: Iterable[Finding], answers: Iterable[RuleAnswer]) -> tuple[Finding, ...]:
    """What waits for a prescriber: hits and reviews not known that have no answer to proceed at these values.

    The latest answer to a rule counts. Information (caution) never stands in the way; what must be known stands in
    `blocking_unknowns`.

    >>> from afterglow.clinic.policy import demo_policy
    >>> found = judge_all((rule("S014"), rule("S013")), {}, demo_policy(), delivery=Delivery.IV)
    >>> [each.rule for each in open_findings(found, ())], [each.rule for each in blocking_unknowns(found)]
    (['S014'], ['S013'])
    """
    last = {each.rule: each for each in sorted(answers, key=lambda each: each.at)}
    return tuple(each for each in findings if each.asks and not _is_answered(each, last.get(each.rule)))


def blocking_unknowns(findings: Iterable[Finding]) -> tuple[Finding, ...]:
    """Unknown findings that must be settled, whoever answers.

    >>> blocking_unknowns(())
    ()
    """
    return tuple(each for each in findings if each.verdict is Verdict.UNKNOWN and each.must_be_known)


def check_open(findings: Iterable[Finding], answers: Iterable[RuleAnswer], *, what: str) -> None:
    """Refuse while a hit is unanswered, something that must be known is not, or nobody answers for what is not known.

    Raises: GateClosed for the first one, in this order.

    >>> from afterglow.clinic.policy import demo_policy
    >>> check_open((judge(rule("S014"), {"vitals.heart_rate": 72}, demo_policy()),), (), what="Session 1")
    """
    found = tuple(findings)
    waiting = open_findings(found, answers)
    hits = tuple(each for each in waiting if each.verdict is Verdict.HIT)
    for each in (*hits, *blocking_unknowns(found), *waiting):
        of = rule(each.rule)
        missing = f"{each.values}; missing {', '.join(each.settles)}"
        if each.verdict is Verdict.HIT:
            raise GateClosed(
                f"{what}: rule {of.id} ({of.condition}) is met and not answered",
                rule=of.id,
                observed=each.values,
                allowed=each.wanted,
                next_step=of.action or "A prescriber records a decision",
            )
        find_out = f"Find out: {', '.join(each.settles)}"
        raise GateClosed(
            f"{what}: rule {of.id} ({of.condition}) cannot be judged",
            rule=of.id,
            observed=missing,
            allowed=f"known, and {each.wanted}" + (", or answered by a prescriber" if each.asks else ""),
            next_step=f"{find_out}; or a prescriber answers for it with a reason" if each.asks else find_out,
        )


def priority_of(finding: Finding) -> Priority:
    """How fast a hit is responded to.

    Emergency and exclude are high, review is medium (high when the rule is urgent), caution low.

    >>> from afterglow.clinic.policy import demo_policy
    >>> priority_of(judge(rule("S044"), {"vitals.spo2": 90}, demo_policy())).value
    'high'
    """
    if finding.severity in {Severity.EMERGENCY, Severity.EXCLUDE}:
        return Priority.HIGH
    if finding.severity is Severity.NEEDS_CLINICIAN_REVIEW:
        return Priority.HIGH if rule(finding.rule).urgent else Priority.MEDIUM
    return Priority.LOW


def _few_digits(value: float, unit: str | None) -> str:
    """A number with the digits that somebody reads: whole minutes, two decimals else, three figures below 1."""
    if unit == "min" and value != int(value):
        return "under 1" if 0 < value < 1 else f"{value:.0f}"
    return f"{value:.3g}" if abs(value) < 1 else f"{value:.2f}".rstrip("0").rstrip(".")


def _is_answered(finding: Finding, answer: RuleAnswer | None) -> bool:
    """Whether an answer lets a dose go on; how it came about does not matter, so each of its conditions is asked."""
    return (
        answer is not None
        and answer.decision is Decision.PROCEED
        and _is_same(finding, answer)
        and answer.delivery == finding.delivery
        and finding.overridable
        and bool(answer.reason.strip())
        and (not finding.cosigned or login(answer.cosigned_by or answer.by) != login(answer.by))
    )


def _is_same(finding: Finding, answer: RuleAnswer) -> bool:
    """Whether the values are those that were answered; a clock that went on is the same while it compares the same."""
    of, kinds = rule(finding.rule), fact_kinds()
    before = dict(answer.observed)
    if before.keys() != dict(finding.observed).keys():
        return False
    for name, value in finding.observed:
        old = before[name]
        if kinds[name].runs and value is not None and old is not None:
            asked = [each for each in comparisons(of.when) if each.fact == name]
            if any(evaluate(each, {name: value}) != evaluate(each, {name: old}) for each in asked):
                return False
        elif old != value:
            return False
    return True


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
    if not act.at - _COSIGNED_WITHIN <= cosigner.at <= act.at:
        raise WrongOrder(
            f"Rule {of.id}: the second signature comes before the answer is recorded, on the same day",
            observed=f"{cosigner.at:%Y-%m-%d %H:%M} UTC",
            allowed=f"{act.at - _COSIGNED_WITHIN:%Y-%m-%d %H:%M} to {act.at:%Y-%m-%d %H:%M} UTC",
        )
