"""Candidacy: every rule, drug class and work-up item judged on the facts known, and what stands in the way."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from afterglow.clinic.factbook import check_facts
from afterglow.clinic.policy import SitePolicy, policy_facts
from afterglow.clinic.rulebook import Delivery, Group, WorkupItem, rules_of, workup_items
from afterglow.clinic.ruling import (
    Facts,
    Finding,
    RuleAnswer,
    Verdict,
    blocking_unknowns,
    check_open,
    judge_all,
    open_findings,
)
from afterglow.clinic.thresholds import with_values
from afterglow.clinic.typed import as_word, check_utc
from afterglow.errors import Conflict, GateClosed
from afterglow.predicates import Truth, evaluate, facts_of

CANDIDACY_GROUPS = (
    Group.LABELLED,
    Group.AGE,
    Group.CARDIOVASCULAR,
    Group.NEUROLOGICAL,
    Group.RESPIRATORY,
    Group.HEPATIC,
    Group.ENDOCRINE,
    Group.METABOLIC,
    Group.UROLOGICAL,
    Group.RENAL,
    Group.REPRODUCTIVE,
    Group.PSYCHIATRIC,
    Group.SUBSTANCE,
    Group.INDICATION,
    Group.PROCESS,
    Group.INTERACTION,
)
LATER = frozenset({"C060", "C061", "C062", "C063"})  # settled after candidacy: enrolment, consent, transport
LATER_WORKUP = frozenset({"W16"})  # consent, escort plan, emergency contact
EVERY_SESSION = frozenset({"W02", "W03", "W10", "W17"})  # vitals, weight, suicide risk, urinary symptoms


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkupStatus:
    """One work-up item: whether it applies to this patient, and whether it is due; None where a fact is missing."""

    item: str
    required: Truth
    due: Truth

    @property
    def is_open(self) -> bool:
        """Whether somebody has something to do: due or never done, and not known to be needless."""
        return self.required is not False and self.due is not False


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidacy:
    """Every rule judged at one time under one policy, for one patient and delivery."""

    patient_id: str
    delivery: Delivery
    assessed_at: datetime
    policy_version: int
    findings: tuple[Finding, ...]
    workup: tuple[WorkupStatus, ...]
    answers: tuple[RuleAnswer, ...]

    @property
    def hits(self) -> tuple[Finding, ...]:
        """Rules that are met, answered or not."""
        return tuple(each for each in self.findings if each.verdict is Verdict.HIT)

    @property
    def unknowns(self) -> tuple[Finding, ...]:
        """Rules that cannot be judged; none of them is negative."""
        return tuple(each for each in self.findings if each.verdict is Verdict.UNKNOWN)

    @property
    def open(self) -> tuple[Finding, ...]:
        """Hits, and reviews of what is not known, that wait for an answer."""
        return open_findings(self.findings, self.answers)

    @property
    def open_now(self) -> tuple[Finding, ...]:
        """Of these, what candidacy itself waits for: enrolment, setting, consent and transport are settled later."""
        return tuple(each for each in self.open if each.rule not in LATER)

    @property
    def later(self) -> tuple[Finding, ...]:
        """What is met or not known and is settled after candidacy, before a dose."""
        return tuple(each for each in self.findings if each.rule in LATER and each.verdict is not Verdict.CLEAR)

    @property
    def blocking(self) -> tuple[Finding, ...]:
        """Unknowns that must be settled: no answer stands in for them."""
        return blocking_unknowns(self.findings)

    @property
    def missing(self) -> tuple[str, ...]:
        """Every fact that would settle an unknown rule, once."""
        return tuple(dict.fromkeys(fact for each in self.unknowns for fact in each.settles))


def assess_candidacy(
    facts: Facts,
    *,
    patient_id: str,
    delivery: Delivery,
    policy: SitePolicy,
    at: datetime,
    answers: tuple[RuleAnswer, ...] = (),
) -> Candidacy:
    """Judge every rule that applies to a delivery.

    Args:
        at: now.
        delivery: what is given.
        patient_id: whose facts they are.
        policy: in force; of the session where there is one.
        facts: what is known by name; what is absent or None is unknown. Site facts come from the policy.
        answers: earlier answers; one counts for the values it was given for.
    Raises: UnknownName for a fact that no rule asks for, or a delivery that does not exist; OutOfRange; Conflict for an
        answer that was given for another patient.

    >>> from datetime import UTC
    >>> from afterglow.clinic.policy import demo_policy
    >>> found = assess_candidacy({"age": 44, "hx.avm": False}, patient_id="p1", delivery=Delivery.IV,
    ...                          policy=demo_policy(), at=datetime(2026, 1, 5, tzinfo=UTC))
    >>> len(found.hits), "C001" in {each.rule for each in found.blocking}
    (0, True)
    """
    check_utc(at, what="The time of an assessment")
    check_facts(facts)
    delivery = as_word(Delivery, delivery, what="The delivery")
    if any(each.patient_id != patient_id for each in answers):
        raise Conflict("An answer was given for another patient", next_step="Answer the rule for this patient")
    known = dict(facts) | policy_facts(policy)
    return Candidacy(
        patient_id=patient_id,
        delivery=delivery,
        assessed_at=at,
        policy_version=policy.version,
        findings=judge_all(rules_of(*CANDIDACY_GROUPS, delivery=delivery), known, policy, delivery=delivery),
        workup=tuple(_workup(item, known, policy) for item in workup_items()),
        answers=tuple(each for each in answers if each.at <= at),
    )


def asked_for(delivery: Delivery) -> frozenset[str]:
    """Every fact that candidacy for a delivery hangs on, work-up included.

    >>> "hx.avm" in asked_for(Delivery.ESK), "vitals.spo2" in asked_for(Delivery.ESK)
    (True, False)
    """
    conditions = [each.when for each in rules_of(*CANDIDACY_GROUPS, delivery=delivery)]
    conditions += [each.due_if for each in workup_items()]
    conditions += [each.required_if for each in workup_items() if each.required_if is not None]
    return frozenset(name for each in conditions for name in facts_of(each))


def check_candidate(candidacy: Candidacy) -> None:
    """Refuse consent while a hit waits for an answer, a gate is unknown or work-up is open.

    What is settled later is left out: enrolment, setting, consent and transport.

    Raises: GateClosed naming the first that stands in the way.

    >>> from afterglow.clinic.examples import candidacy
    >>> check_candidate(candidacy(age=44))
    Traceback (most recent call last):
    ...
    afterglow.errors.GateClosed: Candidacy: rule C001 ...
    """
    kept = [each for each in candidacy.findings if each.rule not in LATER]
    check_open(kept, candidacy.answers, what="Candidacy")
    _check_workup(candidacy, frozenset(item.id for item in workup_items()) - LATER_WORKUP)


def check_still_candidate(candidacy: Candidacy) -> None:
    """Refuse a dose: every rule counts, and the work-up that is done at every session.

    Raises: GateClosed naming the first that stands in the way.

    >>> from afterglow.clinic.examples import candidacy
    >>> check_still_candidate(candidacy(age=17))
    Traceback (most recent call last):
    ...
    afterglow.errors.GateClosed: Candidacy: rule C008 ...
    """
    check_open(candidacy.findings, candidacy.answers, what="Candidacy")
    _check_workup(candidacy, EVERY_SESSION)


def _check_workup(candidacy: Candidacy, items: frozenset[str]) -> None:
    by_id = {item.id: item for item in workup_items()}
    for status in candidacy.workup:
        if status.is_open and status.item in items:
            item = by_id[status.item]
            raise GateClosed(
                f"Candidacy: work-up {item.id} ({item.item}) is open",
                rule=item.id,
                observed="out of date" if status.due else "not recorded",
                allowed=f"asked: {item.timing}",
                next_step="Do it and record when",
            )


def _workup(item: WorkupItem, facts: Facts, policy: SitePolicy) -> WorkupStatus:
    return WorkupStatus(
        item=item.id,
        required=True if item.required_if is None else evaluate(item.required_if, facts),
        due=evaluate(with_values(item.due_if, item.settings, policy.own_values), facts),
    )
