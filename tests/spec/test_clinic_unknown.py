"""What nobody knows is never negative: which unknown stops a dose for good, and which a prescriber answers for."""

from __future__ import annotations

from dataclasses import replace

import pytest
from tests import clinic_cases as cases
from tests.clinic_cases import POLICY, at, nurse, prescriber

from afterglow.clinic import (
    Candidacy,
    Decision,
    Delivery,
    Finding,
    Group,
    Rule,
    Severity,
    Verdict,
    answer_finding,
    answer_rule,
    assess_candidacy,
    check_candidate,
    clear_to_leave,
    enter_reading,
    go,
    judge_gates,
    judge_monitoring,
    medicine_facts,
    rules,
)
from afterglow.clinic.candidacy import CANDIDACY_GROUPS, LATER, check_still_candidate
from afterglow.clinic.medicines import Allergies, AllergyStatus
from afterglow.clinic.ruling import blocking_unknowns, check_open, judge, open_findings
from afterglow.errors import GateClosed, NotOverridable
from afterglow.predicates import Fact, facts_of

GIVEN_BY_THE_SITE = {"site.region", "age", "patient.sex_for_cutoff"}
REVIEWS = [
    each
    for each in rules().values()
    if each.group in CANDIDACY_GROUPS
    and each.severity is Severity.NEEDS_CLINICIAN_REVIEW
    and not (each.gate or each.lock or each.is_labelled)
    and each.id not in LATER
    and Delivery.ESK in each.applies_to
    and each.id not in {"C068", "C070"}  # asked in the EU and UK alone
]


def without(of: Rule) -> Candidacy:
    """Everything known but what this rule looks at."""
    facts = cases.quiet_facts() | medicine_facts(cases.reconciled(), Allergies(status=AllergyStatus.NONE_KNOWN))
    for name in facts_of(of.when) - GIVEN_BY_THE_SITE:
        facts[name] = None
    return assess_candidacy(facts, patient_id="p1", delivery=Delivery.ESK, policy=POLICY, at=at(8))


def answered(found: Candidacy, only: str | None = None) -> Candidacy:
    """The candidacy with a prescriber's answer to each rule that asks, or to one."""
    act = prescriber(9, reason="seen and judged")
    answers = tuple(
        answer_rule(each, act, patient_id="p1", decision=Decision.PROCEED, policy=POLICY)
        for each in found.open
        if only in {None, each.rule}
    )
    return replace(found, answers=answers)


@pytest.mark.parametrize("of", REVIEWS, ids=lambda of: of.id)
def test_a_review_that_is_not_known_needs_a_named_prescribers_answer_with_a_reason(of: Rule) -> None:
    found = without(of)
    (own,) = (each for each in found.findings if each.rule == of.id)
    assert own.verdict is Verdict.UNKNOWN
    assert own.asks
    if found.blocking:  # another rule that must be known looks at the same fact: no answer opens that
        with pytest.raises(GateClosed, match="cannot be judged"):
            check_still_candidate(answered(found))
        return
    for check in (check_candidate, check_still_candidate):
        with pytest.raises(GateClosed, match="or a prescriber answers for it with a reason"):
            check(found)
        check(answered(found))


def test_an_answer_for_one_rule_is_no_answer_for_another_and_falls_when_the_fact_is_known() -> None:
    found = without(rules()["C020"])
    spoken = answered(found, only="C020")
    check_candidate(spoken)
    settled = cases.candidacy(changes={"hx__dementia_or_delirium": True})
    with pytest.raises(GateClosed, match="is met and not answered"):
        check_candidate(replace(settled, answers=spoken.answers))
    with pytest.raises(GateClosed, match="C036"):
        check_open(without(rules()["C036"]).findings, spoken.answers, what="Candidacy")


@pytest.mark.parametrize("decision", [Decision.DEFER, Decision.DECLINE])
def test_only_an_answer_to_proceed_opens_the_way(decision: Decision) -> None:
    found = without(rules()["C020"])
    (own,) = found.open
    said = answer_rule(own, prescriber(9, reason="wait"), patient_id="p1", decision=decision, policy=POLICY)
    with pytest.raises(GateClosed):
        check_candidate(replace(found, answers=(said,)))


@pytest.mark.parametrize("name", ["C001", "C032", "C062", "S008", "S013", "S031", "S045"])
def test_what_must_be_known_takes_no_answer(name: str) -> None:
    found = judge(rules()[name], {}, POLICY, delivery=Delivery.ESK)
    assert found.verdict is Verdict.UNKNOWN
    assert (found.must_be_known, found.asks) == (True, False)
    assert blocking_unknowns((found,)) == (found,)
    with pytest.raises(NotOverridable, match="must be known"):
        answer_rule(found, prescriber(reason="go"), patient_id="p1", decision=Decision.PROCEED, policy=POLICY)


def test_information_never_asks_and_what_is_clear_has_no_answer() -> None:
    of = next(each for each in rules().values() if each.severity is Severity.CAUTION and not each.gate)
    unknown = judge(of, {}, POLICY, delivery=Delivery.IV)
    assert open_findings((unknown,), ()) == ()
    clear = judge(rules()["S014"], {"vitals.heart_rate": 72}, POLICY, delivery=Delivery.IV)
    for each in (unknown, clear):
        with pytest.raises(NotOverridable, match="nothing to answer"):
            answer_rule(each, prescriber(reason="go"), patient_id="p1", decision=Decision.PROCEED, policy=POLICY)


UNKNOWN_AT_THE_GO: list[tuple[str, dict[str, Fact | None]]] = [
    ("S009", {"meds__sedating_or_pressor_changed": None}),
    ("S015", {"arrival__oriented": None}),
    ("S015", {"arrival__acute_illness": None}),
]


@pytest.mark.parametrize(("name", "changes"), UNKNOWN_AT_THE_GO)
def test_no_dose_goes_past_a_question_nobody_asked_on_the_day(name: str, changes: dict[str, Fact | None]) -> None:
    session = cases.screened(Delivery.ESK, changes)
    chart = cases.chart(Delivery.ESK)

    def finding() -> Finding:
        return next(each for each in judge_gates(session, at(9), chart=chart, policy=POLICY) if each.rule == name)

    with pytest.raises(GateClosed, match=name):
        go(session, prescriber(10), chart=chart, policy=POLICY)
    act = prescriber(9, reason="could not be asked; examined instead")
    session = answer_finding(session, finding(), act, decision=Decision.PROCEED, policy=POLICY).now
    assert go(session, prescriber(10), chart=chart, policy=POLICY).now.state == "cleared"


def test_a_monitoring_rule_that_cannot_be_judged_asks_too() -> None:
    groups = (Group.MONITORING, Group.ESCALATION)
    asking = [each for each in rules().values() if each.group in groups and judge(each, {}, POLICY).asks]
    assert {each.severity for each in asking} == {Severity.NEEDS_CLINICIAN_REVIEW}


def test_an_answer_to_a_missed_40_minute_pressure_lets_the_patient_leave_later() -> None:
    session = cases.observing(Delivery.ESK)
    for minute in (15, 35, 75, 105, 135):  # none from 25 to 50 min after the first device
        typed = cases.reading(140, minute, taken_at=at(minute))
        session = enter_reading(session, typed, nurse(140), policy=POLICY).now
    asked = [each for each in judge_monitoring(session, at(141), policy=POLICY) if each.asks]
    assert {each.rule for each in asked} == {"S030", "S037"}
    with pytest.raises(GateClosed, match="S030"):
        clear_to_leave(session, cases.leave_check(150), nurse(150), policy=POLICY)
    act = prescriber(141, reason="seen at 40 min, pressure not written down")
    for each in asked:
        session = answer_finding(session, each, act, decision=Decision.PROCEED, policy=POLICY).now
    left = clear_to_leave(session, cases.leave_check(150), nurse(150), policy=POLICY).now
    assert left.cleared


@pytest.mark.parametrize(("since", "same"), [(51, True), (300, True), (50, False)])
def test_a_clock_that_went_on_is_the_same_while_it_compares_the_same(since: float, *, same: bool) -> None:
    def found(minutes: float) -> Finding:
        facts = {"session.minutes_since_first_device": minutes, "readings.bp_in_40_min_window": False}
        return judge(rules()["S030"], facts, POLICY, delivery=Delivery.ESK)

    given = answer_rule(found(60), prescriber(reason="seen"), patient_id="p1", decision=Decision.PROCEED, policy=POLICY)
    now = replace(found(60), observed=found(since).observed)
    assert (open_findings((now,), (given,)) == ()) is same
