"""Alerts keep a clock until they are closed, whose they are is a rule, and what they say is a sentence."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest
from tests.clinic_cases import POLICY, act, at, nurse, prescriber

from afterglow.clinic import (
    ClinicAlert,
    Priority,
    Role,
    act_on,
    alert_from_finding,
    alerts_from_score,
    close_alert,
    closing_time,
    draft_policy,
    escalate,
    hand_over,
    raise_alert,
    read_alert,
    read_score,
    rule,
    rules,
)
from afterglow.clinic.factbook import fact_label
from afterglow.clinic.ruling import Verdict, judge
from afterglow.errors import NotPermitted, TooEarly
from afterglow.predicates import Fact, facts_of
from afterglow.scales import instruments, scale_answers, score

DIRECTOR, PRESCRIBER, NURSE, SYSTEM = Role.MEDICAL_DIRECTOR, Role.PRESCRIBER, Role.NURSE, Role.SYSTEM


def raised(priority: Priority = Priority.HIGH) -> ClinicAlert:
    return raise_alert(
        alert_id="a1",
        patient_id="p1",
        about="S044",
        text="SpO2 low.",
        source="rule S044",
        action=None,
        priority=priority,
        at=at(0),
        policy=POLICY,
    )


def seen(alert: ClinicAlert) -> ClinicAlert:
    return read_alert(alert, nurse(1), patient_id="p1").now


def acted(alert: ClinicAlert, role: Role, minutes: float = 5) -> ClinicAlert:
    return act_on(alert, act(role, minutes, reason="seen"), policy=POLICY).now


@pytest.mark.parametrize(
    ("priority", "owner", "minutes"),
    [(Priority.HIGH, PRESCRIBER, 240), (Priority.MEDIUM, NURSE, 4320), (Priority.LOW, NURSE, 20160)],
)
def test_an_alert_that_was_acted_upon_has_a_time_to_close(priority: Priority, owner: Role, minutes: int) -> None:
    done = acted(seen(raised(priority)), owner)
    assert done.respond_by == at(5) + timedelta(minutes=minutes)
    assert closing_time(priority, POLICY) == timedelta(minutes=minutes)
    with pytest.raises(TooEarly):
        escalate(done, act(SYSTEM, 5 + minutes - 1), policy=POLICY)
    up = escalate(done, act(SYSTEM, 5 + minutes), policy=POLICY).now
    assert up.owner is {PRESCRIBER: DIRECTOR, NURSE: PRESCRIBER}[owner]
    assert up.respond_by == at(5 + minutes) + timedelta(minutes=minutes)
    assert close_alert(up, act(up.owner, 6 + minutes)).now.closed_by == f"{up.owner}1"


def test_acting_again_and_again_does_not_put_the_clock_off() -> None:
    done = acted(seen(raised()), PRESCRIBER, 5)
    again = acted(acted(done, PRESCRIBER, 100), NURSE, 200)
    assert again.respond_by == done.respond_by
    assert again.covered is False  # the owner has acted; who helps after that does not make it a cover


@pytest.mark.parametrize(
    ("owner", "who", "owns"),
    [
        (NURSE, NURSE, True),
        (NURSE, PRESCRIBER, True),
        (NURSE, DIRECTOR, True),
        (PRESCRIBER, NURSE, False),
        (PRESCRIBER, PRESCRIBER, True),
        (PRESCRIBER, DIRECTOR, True),
        (DIRECTOR, NURSE, False),
        (DIRECTOR, PRESCRIBER, False),
        (DIRECTOR, DIRECTOR, True),
    ],
)
def test_who_acts_on_and_closes_whose_alert(owner: Role, who: Role, *, owns: bool) -> None:
    alert = seen(replace(raised(), owner=owner))
    done = acted(alert, who)
    assert (done.acted_by, done.covered) == (f"{who}1", not owns)
    assert (done.respond_by == alert.respond_by) is not owns  # under cover the owner's clock runs on
    if owns:
        assert close_alert(done, act(who, 6)).now.closed_by == f"{who}1"
    else:
        with pytest.raises(NotPermitted, match="Closing an alert of the"):
            close_alert(done, act(who, 6))
        up = escalate(done, act(SYSTEM, 15), policy=POLICY).now
        assert up.respond_by == at(30)  # still a time to respond, not one to close
        assert close_alert(done, act(owner, 6)).now.closed_by == f"{owner}1"


@pytest.mark.parametrize("role", [Role.COORDINATOR, Role.THERAPIST, Role.COMPLIANCE, Role.PATIENT, SYSTEM])
def test_who_is_no_clinician_reads_and_acts_on_none(role: Role) -> None:
    with pytest.raises(NotPermitted):
        read_alert(raised(), act(role, 1), patient_id="p1")
    with pytest.raises(NotPermitted):
        acted(seen(raised()), role)


def test_one_with_two_roles_acts_as_the_higher() -> None:
    both = replace(nurse(5, reason="seen"), roles=(NURSE, PRESCRIBER))
    assert act_on(seen(raised()), both, policy=POLICY).now.covered is False


def test_an_alert_that_was_acted_upon_is_handed_over_with_its_clock() -> None:
    done = acted(seen(raised(Priority.MEDIUM)), NURSE)
    handed = hand_over(done, nurse(10, reason="end of the shift"), to=PRESCRIBER).now
    assert (handed.owner, handed.respond_by) == (PRESCRIBER, done.respond_by)
    with pytest.raises(NotPermitted):
        close_alert(handed, nurse(11))
    assert close_alert(handed, prescriber(11)).now.closed_by == "prescriber1"


def test_the_times_to_close_are_the_sites() -> None:
    own = draft_policy(act(DIRECTOR), version=1, changes={"alerts.close_high_minutes": 60.0})
    assert closing_time(Priority.HIGH, own) == timedelta(hours=1)


CODE = ("item ", ">=", "<=", "==", "_", "recalled", "verified", " > ")


@pytest.mark.parametrize("name", [each.id for each in instruments().values() if each.alerts])
def test_every_alert_of_a_scale_is_a_sentence_and_its_source_stands_apart(name: str) -> None:
    for each in instruments()[name].alerts:
        assert each.says, each.id
        assert not [sign for sign in CODE if sign in each.says], each.says
    form = scale_answers("PHQ-9", {str(n): 2 for n in range(1, 10)})
    found = alerts_from_score(read_score(score(form)).alerts, score_id="q", patient_id="p1", at=at(0), policy=POLICY)
    (alert,) = found  # one answer, two rules: the more pressing one's, which names both and tells both owners
    assert alert.about == "phq9_item9_high, phq9_item9"
    assert (alert.priority, alert.owner, alert.informs) == (Priority.HIGH, Role.PRESCRIBER, (Role.NURSE,))
    high, low = alert.text.split(" Also: ")
    assert high.endswith("more than half of the days, or more than last time.")
    assert low == "PHQ-9: thoughts of death or self-harm on several days or more."
    high, low = alert.source.split("; also ")
    assert high.endswith("site default to be signed (recalled)")
    assert low == "PHQ-9, item 9 >= 1; page"


def test_what_cannot_be_told_asks_to_find_out() -> None:
    form = scale_answers("PHQ-9", {"9": 1})
    found = alerts_from_score(read_score(score(form)).alerts, score_id="q", patient_id="p1", at=at(0), policy=POLICY)
    (high,) = (each for each in found if each.unknown)
    assert high.text.startswith("PHQ-9: it cannot be told whether there is this: thoughts of death")


ESCALATIONS: list[tuple[str, dict[str, Fact | None]]] = [
    ("S043", {"symptoms.hypertensive_crisis": True}),
    ("S044", {"vitals.spo2": 90}),
    ("S045", {"vitals.spo2": 88}),
    ("S046", {"moaas.score": 3}),
    ("S051", {"events.allergic_reaction": True}),
]


@pytest.mark.parametrize(("name", "facts"), ESCALATIONS)
def test_the_alert_of_a_rule_is_a_sentence_and_its_source_stands_apart(
    name: str, facts: dict[str, Fact | None]
) -> None:
    found = judge(rule(name), facts, POLICY)
    alert = alert_from_finding(found, alert_id="a", patient_id="p1", action=None, at=at(0), policy=POLICY)
    assert alert.text.endswith(".")
    assert name not in alert.text
    assert not [sign for sign in ("_", "==", "recalled", "limit:") if sign in alert.text], alert.text
    assert alert.source.startswith(f"rule {name}; limit: ")


def test_the_sentence_has_the_sites_own_limit() -> None:
    own = draft_policy(act(DIRECTOR), version=1, changes={"S044.spo2_below": 93.0})
    found = judge(rule("S044"), {"vitals.spo2": 92}, own)
    assert found.verdict is Verdict.HIT
    assert found.sentence == "Oxygen saturation under 93 %: oxygen saturation 92 %."


def test_every_fact_of_every_rule_has_a_name_in_words() -> None:

    for each in rules().values():
        for name in facts_of(each.when):
            assert "_" not in fact_label(name), name
