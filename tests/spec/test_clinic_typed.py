"""A slip in a typed field is refused where the record is made, with what the field takes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta, timezone
from typing import Any

import pytest
from tests import clinic_cases as cases
from tests.clinic_cases import POLICY, act, at, nurse, prescriber

from afterglow.clinic import (
    Act,
    AdverseEvent,
    Authorisation,
    BenefitReview,
    BodyWeight,
    Booking,
    Chair,
    Consent,
    ConsentMethod,
    Decision,
    Delivery,
    Medicine,
    RateStep,
    Reading,
    ReviewDecision,
    ReviewKind,
    Role,
    Standing,
    StopReason,
    answer_rule,
    assess_candidacy,
    hand_over,
    has_consent,
    judge_gates,
    list_work,
    move_course,
    policy_at,
    receive,
    reviews_due,
    rule,
    units_left,
)
from afterglow.clinic.alerts import alert_from_finding
from afterglow.clinic.ruling import judge
from afterglow.clinic.typed import as_word, check_day, check_utc
from afterglow.errors import AfterglowError, InputError, MissingValue, NotOverridable, OutOfRange, UnknownName
from afterglow.quantities import DrugForm

NAIVE = datetime(2026, 3, 2, 9)  # noqa: DTZ001  the slip under test
FAR = datetime(9999, 12, 31, 23, tzinfo=UTC)
SUMMER = at(0).astimezone(timezone(timedelta(hours=2)))
REVIEW: dict[str, Any] = {"kind": ReviewKind.PERIODIC, "decision": ReviewDecision.STOP, "by": "dr1", "at": at(0)}
CONSENT: dict[str, Any] = {
    "version": "2",
    "delivery": Delivery.IV,
    "method": ConsentMethod.PAPER,
    "off_label_stated": True,
    "given_by": "p1",
    "taken_by": "rn1",
    "at": at(0),
}
RECEIPT: dict[str, Any] = {
    "container_id": "v1",
    "lot": "L1",
    "drug": DrugForm.RACEMIC_KETAMINE,
    "expires_on": date(2027, 1, 1),
    "amount_ug": 500_000,
    "concentration_ug_per_ul": 50,
}
BOOKING: dict[str, Any] = {
    "id": "b1",
    "patient_id": "p1",
    "chair_id": "A",
    "delivery": Delivery.IV,
    "starts_at": at(0),
    "until": at(90),
}
EVENT: dict[str, Any] = {"id": "e1", "term": "Nausea", "started_at": at(0), "by": "rn1"}
READING: dict[str, Any] = {"id": "r1", "taken_at": at(0), "entered_at": at(0), "by": "rn1"}


def review(**changes: Any) -> BenefitReview:
    return BenefitReview(**(REVIEW | {"reason": "scores"} | changes))


WORDS: list[tuple[Callable[[], object], str]] = [
    (lambda: review(decision="go on"), "continue, change, stop"),
    (lambda: review(kind="yearly"), "early_non_response, end_of_induction, periodic"),
    (lambda: Consent(**(CONSENT | {"method": "by phone"})), "paper, electronic, witnessed_verbal"),
    (lambda: Consent(**(CONSENT | {"delivery": "nasal"})), "esk, iv, im, sc, sl, po"),
    (lambda: Act(by="rn1", roles=("nurses",), at=at(0)), "coordinator, prescriber, nurse"),  # type: ignore[arg-type]
    (lambda: Booking(**(BOOKING | {"state": "gone"})), "booked, arrived"),
    (lambda: receive(nurse(), **(RECEIPT | {"drug": "ketamine"})), "racemic_ketamine, esketamine"),
    (lambda: stop_for("bored"), "planned_end, no_benefit"),
    (lambda: handed_to("nurze"), "coordinator, prescriber"),
    (lambda: answered("go"), "proceed, defer, decline"),
    (lambda: assess_candidacy({}, patient_id="p1", delivery="nasal", policy=POLICY, at=at(0)), "esk, iv"),  # type: ignore[arg-type]
]


def stop_for(reason: Any) -> object:
    return move_course(cases.course(), "stop", prescriber(), policy=POLICY, stop_reason=reason)


def handed_to(role: Any) -> object:
    found = judge(rule("S044"), {"vitals.spo2": 90}, POLICY)
    alert = alert_from_finding(found, alert_id="a1", patient_id="p1", action=None, at=at(0), policy=POLICY)
    return hand_over(alert, nurse(reason="end of the shift"), to=role)


def answered(decision: Any, name: str = "S014") -> object:
    found = judge(rule(name), {"vitals.heart_rate": 120, "hx.avm": True}, POLICY, delivery=Delivery.ESK)
    return answer_rule(found, prescriber(reason="fit"), patient_id="p1", decision=decision, policy=POLICY)


@pytest.mark.parametrize(("slip", "allowed"), WORDS)
def test_a_word_that_is_none_is_refused_with_every_word_that_is(slip: Callable[[], object], allowed: str) -> None:
    with pytest.raises(UnknownName) as caught:
        slip()
    assert (caught.value.allowed or "").startswith(allowed)
    assert caught.value.next_step == "Choose one of the words"


KINDS: list[tuple[Callable[[], object], str, str]] = [
    (lambda: RateStep(mg_per_h="12", hours=4), "'12'", "a number"),  # type: ignore[arg-type]
    (lambda: RateStep(mg_per_h=True, hours=4), "True", "a number"),
    (lambda: cases.order(Delivery.SL, dose_mg="50 mg"), "'50 mg'", "a number"),
    (lambda: BodyWeight(kg="80", measured_at=at(0)), "'80'", "a number"),  # type: ignore[arg-type]
    (lambda: Reading(**(READING | {"dissociated": "no"})), "'no'", "yes or no"),
    (lambda: Reading(**(READING | {"systolic_mmhg": "124"})), "'124'", "a whole number"),
    (lambda: Reading(**(READING | {"symptoms": (("events.vomiting", "no"),)})), "'no'", "yes or no"),
    (lambda: AdverseEvent(**(EVENT | {"grade": 2.0})), "2.0", "a whole number"),
    (lambda: AdverseEvent(**(EVENT | {"serious": "no"})), "'no'", "yes or no"),
    (lambda: Authorisation(id="a", payer="B", units=3.5, starts_on=at(0).date()), "3.5", "a whole number"),  # type: ignore[arg-type]
    (lambda: Authorisation(id="a", payer="B", units=3, starts_on=at(0)), "2026-03-02", "a day without a time"),
    (lambda: receive(nurse(), **(RECEIPT | {"expires_on": FAR.replace(year=2027)})), "2027", "a day without a time"),
    (lambda: receive(nurse(), **(RECEIPT | {"expires_on": "2027-01-01"})), "'2027-01-01'", "a day without a time"),
    (lambda: Act(by="rn1", roles="nurse", at=at(0)), "'nurse'", "several, as a tuple"),  # type: ignore[arg-type]
    (lambda: Medicine(ingredient="x", classes="D01"), "'D01'", "several, as a tuple"),  # type: ignore[arg-type]
    (lambda: Chair(id="A", deliveries=[Delivery.IV]), "list", "several, as a tuple"),  # type: ignore[arg-type]
    (lambda: Standing(patient_id="p1", course=None), "nothing", "a TreatmentCourse"),  # type: ignore[arg-type]
    (lambda: Act(by=7, roles=(Role.NURSE,), at=at(0)), "7", "text"),  # type: ignore[arg-type]
    (lambda: replace(POLICY, values=(("S013.spo2_below",),)), "a list", "2 values, as a tuple"),  # type: ignore[arg-type]
    (lambda: units_left(cases.course(), at(0)), "2026-03-02", "a day without a time"),
]


@pytest.mark.parametrize(("slip", "observed", "allowed"), KINDS)
def test_a_value_of_another_kind_is_refused(slip: Callable[[], object], observed: str, allowed: str) -> None:
    with pytest.raises(OutOfRange) as caught:
        slip()
    assert observed in (caught.value.observed or "")
    assert allowed in (caught.value.allowed or "")


TIMES: list[Callable[[datetime], object]] = [
    lambda when: act(Role.NURSE, 0) and Act(by="rn1", roles=(Role.NURSE,), at=when),
    lambda when: Booking(**(BOOKING | {"starts_at": when})),
    lambda when: Consent(**(CONSENT | {"at": when})),
    lambda when: Reading(**(READING | {"taken_at": when})),
    lambda when: has_consent(cases.course(), when, version="2", policy=POLICY),
    lambda when: reviews_due(cases.course(), when, sessions_given=4, improvement_pct=10, policy=POLICY),
    lambda when: list_work((), when, policy=POLICY),
    lambda when: Standing(patient_id="p1", course=cases.course(), next_due_at=when),
    lambda when: policy_at((POLICY,), when),
    lambda when: judge_gates(cases.screened(), when, chart=cases.chart(), policy=POLICY),
]


@pytest.mark.parametrize("use", TIMES)
@pytest.mark.parametrize("when", [NAIVE, SUMMER, FAR], ids=["naive", "another zone", "year 9999"])
def test_a_time_is_aware_utc_of_a_year_in_which_somebody_is_treated(
    use: Callable[[datetime], object], when: datetime
) -> None:
    with pytest.raises(InputError, match="must be aware UTC" if when is not FAR else "years 1900 to 2999"):
        use(when)


@pytest.mark.parametrize(("year", "fits"), [(1899, False), (1900, True), (2999, True), (3000, False)])
def test_both_ends_of_the_years(year: int, *, fits: bool) -> None:
    checks: tuple[tuple[Any, Any], ...] = ((check_day, date(year, 1, 1)), (check_utc, at(0).replace(year=year)))
    for check, value in checks:
        if fits:
            check(value, what="It")
        else:
            with pytest.raises(OutOfRange, match="years 1900 to 2999"):
                check(value, what="It")


def test_the_text_of_a_word_becomes_the_word_and_its_rules_hold() -> None:
    assert review(decision="stop").decision is ReviewDecision.STOP
    assert Act(by="rn1", roles=("nurse",), at=at(0)).roles == (Role.NURSE,)  # type: ignore[arg-type]
    assert stop_for("no_benefit").now.stop_reason is StopReason.NO_BENEFIT  # type: ignore[attr-defined]
    assert as_word(Decision, "defer", what="The decision") is Decision.DEFER
    with pytest.raises(NotOverridable):  # as text it would have gone past the question whether anybody may
        answered("proceed", "C002")
    with pytest.raises(MissingValue):
        stop_for("other")


def test_what_is_refused_never_repeats_free_text() -> None:
    with pytest.raises(AfterglowError) as caught:
        review(reason=("she told of her brother",))
    assert "brother" not in caught.value.message
