"""Policy, medicines, resistance, dose, course, measures, alerts and worklist: cases by hand."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from tests import clinic_cases as cases
from tests.clinic_cases import POLICY, act, at, nurse, prescriber

import afterglow.clinic
from afterglow.clinic import (
    AlertStage,
    Allergies,
    AllergyStatus,
    Authorisation,
    BenefitReview,
    BodyWeight,
    Booking,
    Chair,
    Closure,
    Consent,
    ConsentMethod,
    CourseState,
    Decision,
    Delivery,
    Diary,
    DueMeasure,
    Finding,
    Group,
    Indication,
    LabelStatus,
    MaudsleySeverity,
    Medicine,
    MedicineList,
    MedicineTrial,
    Plan,
    Priority,
    RateStep,
    ReviewDecision,
    ReviewKind,
    Role,
    RuleAnswer,
    SafetyPlan,
    SessionState,
    Severity,
    SitePolicy,
    Standing,
    StopReason,
    TreatmentCourse,
    TreatmentSession,
    TrialOutcome,
    Verdict,
    WithdrawalMethod,
    WorkItem,
    WorkKind,
    act_on,
    add_authorisation,
    after_missed_session,
    aftercare_facts,
    alert_from_finding,
    alerts_from_score,
    answer_rule,
    assess_candidacy,
    block,
    book,
    booking_warnings,
    changed_facts,
    check_candidate,
    check_dose,
    check_facts,
    classes_of,
    close_alert,
    demo_policy,
    draft_policy,
    due_measures,
    end_booking,
    escalate,
    find_conflicts,
    finish_dose,
    give_consent,
    hand_over,
    has_consent,
    is_overridable,
    judge_resistance,
    judge_trial,
    label_status,
    list_work,
    make_safety_plan,
    maudsley_stage,
    medicine_facts,
    move_booking,
    move_course,
    open_findings,
    policy_at,
    policy_settings,
    prepare_dose,
    priority_of,
    read_alert,
    read_score,
    record_review,
    resistance_facts,
    reviews_due,
    rule,
    set_plan,
    sign_policy,
    sign_second,
    unclassified,
    units_left,
    use_unit,
    withdraw_consent,
)
from afterglow.clinic.ruling import judge
from afterglow.errors import (
    AfterglowError,
    BookingRefused,
    Conflict,
    GateClosed,
    InputError,
    MissingValue,
    NotOverridable,
    NotPermitted,
    OutOfRange,
    PolicyUnsigned,
    SecondPerson,
    TooEarly,
    UnknownName,
    WrongOrder,
    WrongState,
)
from afterglow.predicates import Fact
from afterglow.quantities import DrugForm
from afterglow.scales import Change, scale_answers, score, score_total

DIRECTOR = act(Role.MEDICAL_DIRECTOR, 0)


def test_every_public_name_is_there() -> None:
    assert set(afterglow.clinic.__all__) == set(afterglow.clinic._PUBLIC) == set(dir(afterglow.clinic))
    for name in afterglow.clinic.__all__:
        assert getattr(afterglow.clinic, name).__doc__
    with pytest.raises(AttributeError, match="no attribute 'nonsense'"):
        _ = afterglow.clinic.nonsense


# Policy ------------------------------------------------------------------------------------------------------------


def test_a_policy_is_drafted_signed_and_in_force_from_its_time() -> None:
    draft = draft_policy(nurse(), version=1, changes={"S013.spo2_below": 95.0})
    with pytest.raises(PolicyUnsigned):
        policy_at([draft], at(0))
    with pytest.raises(NotPermitted):
        sign_policy(draft, prescriber(), effective_from=at(10))
    with pytest.raises(TooEarly):
        sign_policy(draft, DIRECTOR, effective_from=at(-1))
    first = sign_policy(draft, DIRECTOR, effective_from=at(10)).now
    with pytest.raises(WrongState):
        sign_policy(first, DIRECTOR, effective_from=at(20))
    second_draft = draft_policy(nurse(), version=2, changes={"S013.spo2_below": 94.0}, before=first)
    assert second_draft.values == ()  # back at the default
    second = sign_policy(second_draft, DIRECTOR, effective_from=at(20)).now
    versions = [first, second]
    with pytest.raises(PolicyUnsigned):
        policy_at(versions, at(9.9))
    assert policy_at(versions, at(10)).version == 1
    assert policy_at(versions, at(19.9)).version == 1
    assert policy_at(versions, at(20)).version == 2
    assert judge(rule("S013"), {"vitals.spo2": 94}, first).verdict is Verdict.HIT
    assert judge(rule("S013"), {"vitals.spo2": 94}, second).verdict is Verdict.CLEAR
    assert policy_at([POLICY], at(0)) is POLICY


@pytest.mark.parametrize(
    ("name", "value", "error"),
    [
        ("S013.spo2_below", 89.9, OutOfRange),
        ("S013.spo2_below", 98.1, OutOfRange),
        ("S013.spo2_below", True, OutOfRange),
        ("S012.systolic", 181.0, OutOfRange),  # may only be tightened
        ("site.region", "Mars", OutOfRange),
        ("site.policy_uds", 1.0, OutOfRange),
        ("monitoring.oral_minutes", (30.0, 0.0), OutOfRange),
        ("monitoring.oral_minutes", 30.0, OutOfRange),
        ("nonsense", 1.0, UnknownName),
    ],
)
def test_a_setting_outside_its_range_is_refused(name: str, value: float, error: type[AfterglowError]) -> None:
    with pytest.raises(error):
        draft_policy(nurse(), version=1, changes={name: value})


def test_versions_follow_one_another() -> None:
    with pytest.raises(WrongOrder):
        draft_policy(nurse(), version=2, changes={})


def test_a_recalled_threshold_is_never_shown_as_fact() -> None:
    for each in afterglow.clinic.rules().values():
        if each.provenance.verified in {"recalled", "policy"}:
            assert "site default" in each.basis, each.id
    assert all(each.provenance.verified for each in policy_settings().values())


# Candidacy ---------------------------------------------------------------------------------------------------------


def test_with_everything_known_and_clear_a_candidate_goes_on() -> None:
    check_candidate(cases.candidacy())


@pytest.mark.parametrize(
    ("name", "value", "refused_by"),
    [
        ("hx__avm", None, "C002"),  # an unknown labelled contraindication blocks
        ("pregnancy__test", None, "C029"),
        ("workup__w08__age_days", None, None),  # no ECG asked of her
        ("workup__w14__age_days", 31, "W14"),
        ("hx__dementia_or_delirium", None, "C020"),  # unknown, and no gate: a prescriber answers for it
        ("hx__dementia_or_delirium", True, "C020"),
        ("consent__current", False, None),  # comes after candidacy
    ],
)
def test_what_stands_in_the_way(name: str, value: bool | int | None, refused_by: str | None) -> None:  # noqa: FBT001
    found = cases.candidacy(changes={name: value})
    if refused_by is None:
        check_candidate(found)
    else:
        with pytest.raises(GateClosed) as caught:
            check_candidate(found)
        assert caught.value.rule == refused_by


def test_nothing_known_means_everything_unknown_and_nothing_hit() -> None:
    found = assess_candidacy({}, patient_id="p1", delivery=Delivery.IV, policy=POLICY, at=at(0))
    assert not found.hits
    assert {each.verdict for each in found.open} == {Verdict.UNKNOWN}
    assert not {each.rule for each in found.open} & {each.rule for each in found.blocking}
    assert "history of arteriovenous malformation" in found.missing
    with pytest.raises(UnknownName):
        assess_candidacy({"hx.avn": True}, patient_id="p1", delivery=Delivery.IV, policy=POLICY, at=at(0))
    with pytest.raises(UnknownName, match="another kind"):
        assess_candidacy({"hx.avm": "yes"}, patient_id="p1", delivery=Delivery.IV, policy=POLICY, at=at(0))


def policy(**changes: object) -> SitePolicy:
    values = {name.replace("__", "."): value for name, value in changes.items()}
    return replace(draft_policy(nurse(), version=1, changes=values), demo=True)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("name", "delivery", "changes", "allowed"),
    [
        ("C001", Delivery.ESK, {}, False),
        ("C001", Delivery.IV, {}, False),
        ("C001", Delivery.IV, {"candidacy__labelled_binds_all_routes": False}, True),
        ("C001", Delivery.ESK, {"candidacy__labelled_binds_all_routes": False}, False),
        ("C006", Delivery.ESK, {}, True),  # no label contraindication in the US
        ("C006", Delivery.ESK, {"site__region": "EU"}, False),
        ("C008", Delivery.IV, {}, False),
        ("C032", Delivery.IV, {}, True),
        ("C062", Delivery.IV, {}, False),
        ("S012", Delivery.IV, {}, True),
        ("S023", Delivery.IV, {}, False),
        ("S031", Delivery.ESK, {}, False),
        ("S045", Delivery.IV, {}, False),
    ],
)
def test_what_may_be_overridden(name: str, delivery: Delivery, changes: dict[str, object], *, allowed: bool) -> None:
    assert is_overridable(rule(name), delivery=delivery, policy=policy(**changes)) is allowed


def test_a_softened_rule_is_a_review() -> None:
    softened = policy(candidacy__infarction_review_outside_label=True)
    event = {"hx.cv_event": True, "hx.days_since_cv_event": 10}
    assert judge(rule("C006"), event, softened).severity is Severity.NEEDS_CLINICIAN_REVIEW
    assert judge(rule("C006"), event, POLICY).severity is Severity.EXCLUDE


def test_an_answer_is_a_prescribers_with_a_reason() -> None:
    found = judge(rule("C011"), {"vitals.systolic": 150}, POLICY)
    ask = {"patient_id": "p1", "decision": Decision.PROCEED, "policy": POLICY}
    with pytest.raises(NotPermitted):
        answer_rule(found, nurse(reason="ok"), **ask)  # type: ignore[arg-type]
    with pytest.raises(MissingValue):
        answer_rule(found, prescriber(), **ask)  # type: ignore[arg-type]
    given = answer_rule(found, prescriber(reason="white coat"), **ask)  # type: ignore[arg-type]
    assert (given.by, given.reason, given.cosigned_by) == ("prescriber1", "white coat", None)
    assert "150 mmHg" in found.message
    assert "limit: systolic pressure over 140 mmHg or diastolic pressure over 90 mmHg" in found.message
    avm = judge(rule("C002"), {"hx.avm": True}, POLICY)
    with pytest.raises(NotOverridable):
        answer_rule(avm, prescriber(reason="small"), **ask)  # type: ignore[arg-type]
    assert answer_rule(avm, prescriber(reason="no"), **(ask | {"decision": Decision.DECLINE}))  # type: ignore[arg-type]


# Medicines ---------------------------------------------------------------------------------------------------------


def test_a_medicine_nobody_classified_leaves_every_class_unknown() -> None:
    none_known = Allergies(status=AllergyStatus.NONE_KNOWN)
    known = medicine_facts(cases.reconciled(Medicine(ingredient="Lithium")), none_known)
    assert (known["meds.lithium"], known["meds.maoi"], known["allergy.ketamine"]) == (True, False, False)
    unclear = medicine_facts(cases.reconciled(Medicine(ingredient="newdrug")), none_known)
    assert (unclear["meds.maoi"], unclear["meds.diazepam_equivalent_mg_per_day"]) == (None, None)
    looked_up = medicine_facts(cases.reconciled(Medicine(ingredient="newdrug", classes=())), none_known)
    assert looked_up["meds.maoi"] is False
    with pytest.raises(UnknownName):
        Medicine(ingredient="x", classes=("D99",))
    with pytest.raises(MissingValue):
        Allergies(status=AllergyStatus.KNOWN)


@pytest.mark.parametrize(
    ("before", "now", "changed"),
    [
        ([], [], False),
        ([], ["lorazepam"], True),
        (["lorazepam"], ["lorazepam"], False),
        (["lorazepam"], [], True),
        ([], ["lithium"], False),
        ([], ["newdrug"], None),
    ],
)
def test_whether_a_sedating_medicine_changed(before: list[str], now: list[str], *, changed: bool | None) -> None:
    lists = [cases.reconciled(*(Medicine(ingredient=name) for name in names)) for names in (before, now)]
    assert changed_facts(*lists) == {"meds.sedating_or_pressor_changed": changed}
    assert changed_facts(MedicineList(), lists[1]) == {"meds.sedating_or_pressor_changed": None}


def test_diazepam_equivalents_add_up_or_are_unknown() -> None:
    allergies = Allergies(status=AllergyStatus.NOT_ASKED)
    two = [Medicine(ingredient=n, diazepam_equivalent_mg_per_day=5.0) for n in ("lorazepam", "diazepam")]
    assert medicine_facts(cases.reconciled(*two), allergies)["meds.diazepam_equivalent_mg_per_day"] == 10.0


# Resistance --------------------------------------------------------------------------------------------------------


def trial(**changes: object) -> MedicineTrial:
    fields: dict[str, object] = {
        "drug": "sertraline",
        "drug_class": "ssri",
        "at_least_minimum_dose": True,
        "weeks": 6.0,
        "improvement_pct": 25.0,
        "this_episode": True,
    }
    return MedicineTrial(**(fields | changes))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("changes", "counts"),
    [
        ({}, True),
        ({"weeks": 5.9}, False),
        ({"weeks": None}, None),
        ({"improvement_pct": 25.1}, False),
        ({"improvement_pct": None}, None),
        ({"improvement_pct": None, "outcome": TrialOutcome.WORKED}, False),
        ({"at_least_minimum_dose": False}, False),
        ({"this_episode": None}, None),
        ({"outcome": TrialOutcome.INTOLERANT}, False),
        ({"augmentation": True}, False),
    ],
)
def test_which_trial_counts(changes: dict[str, object], *, counts: bool | None) -> None:
    assert judge_resistance((trial(**changes),), POLICY).trials[0].counts is counts


def test_resistance_counts_trials_and_open_questions() -> None:
    second = trial(drug="venlafaxine", drug_class="snri")
    assert judge_resistance((trial(), second), POLICY).meets is True
    assert judge_resistance((trial(), replace(second, weeks=None)), POLICY).meets is None
    assert judge_resistance((trial(), trial(weeks=8.0)), POLICY).meets is False  # the same drug twice
    for same in ("Sertraline HCl", "sertraline hydrochloride", "SERTRALINE (hydrochloride)"):
        assert judge_resistance((trial(), trial(drug=same)), POLICY).at_most == 1, same
    odd = judge_resistance((trial(), trial(drug="Zoloft", drug_class="antidepressant")), POLICY)
    assert (odd.at_least, odd.meets) == (1, None)
    assert odd.trials[1].reasons[0].startswith("unknown: a class by a word that is known")
    same_class = (trial(), trial(drug="citalopram"))
    assert judge_resistance(same_class, POLICY).meets is True
    assert judge_resistance(same_class, policy(resistance__different_classes=True)).meets is False
    assert resistance_facts((trial(), replace(second, weeks=None)), POLICY)["trd.adequate_trials"] is None
    assert resistance_facts((trial(), second), POLICY)["trd.adequate_trials"] == 2


@pytest.mark.parametrize(
    ("months", "failures", "total", "band"),
    [
        (12, 2, 1 + 3 + 1, "mild"),
        (12.1, 3, 2 + 3 + 2, "moderate"),
        (24.1, 7, 3 + 3 + 4, "moderate"),
        (25, 11, 11, "severe"),
    ],
)
def test_maudsley(months: float, failures: int, total: int, band: str) -> None:
    found = maudsley_stage(
        duration_months=months, severity=MaudsleySeverity.MODERATE, failures=failures, augmentation=False, ect=False
    )
    assert (found.total, found.band) == (total, band)


def test_maudsley_without_a_part_has_no_total() -> None:
    unknown = maudsley_stage(duration_months=None, severity=None, failures=None, augmentation=None, ect=None)
    assert (unknown.total, unknown.band) == (None, None)
    known = {"severity": None, "augmentation": None, "ect": None}
    with pytest.raises(OutOfRange):
        maudsley_stage(duration_months=-1, failures=1, **known)
    with pytest.raises(OutOfRange):
        maudsley_stage(duration_months=1, failures=0, **known)


def labelled(
    age: float | None = 40, *, resistant: bool | None = True, region: str = "US", with_drug: bool | None = False
) -> LabelStatus:
    return label_status(
        delivery=Delivery.ESK,
        indication=Indication.TRD,
        age_years=age,
        resistant=resistant,
        on_ssri_or_snri=with_drug,
        policy=policy(site__region=region),
    )


def test_on_and_off_label() -> None:
    assert labelled().on_label is True
    assert labelled(17).on_label is False
    assert labelled(None).on_label is None
    assert labelled(resistant=None).on_label is None
    assert labelled(region="EU").on_label is False  # without an SSRI or SNRI
    assert labelled(region="EU", with_drug=True).on_label is True
    pain = {"indication": Indication.PAIN, "age_years": 40, "resistant": True, "on_ssri_or_snri": True}
    assert label_status(delivery=Delivery.ESK, policy=POLICY, **pain).on_label is False  # type: ignore[arg-type]


# Dose --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("concentration", "volume_ul"), [(10, 4000), (50, 800), (100, 400)])
def test_volume_follows_from_weight_and_concentration(concentration: int, volume_ul: int) -> None:
    weight = BodyWeight(kg=80.0, measured_at=at(0))  # 0.5 mg/kg x 80 kg = 40 mg
    dose = prepare_dose(
        cases.order(Delivery.IV), nurse(), policy=POLICY, weight=weight, concentration_mg_per_ml=concentration
    )
    assert (dose.amount_ug, dose.volume_ul, dose.mg, dose.mg_per_kg) == (40_000, volume_ul, 40.0, 0.5)


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"dose_mg_per_kg": 1.5}, None),
        ({"dose_mg_per_kg": 1.51}, OutOfRange),
        ({"dose_mg_per_kg": 5.0}, OutOfRange),  # ten-fold
        ({"steps": (RateStep(mg_per_h=22.0, hours=96.0),), "infusion_min": None}, None),
        ({"steps": (RateStep(mg_per_h=220.0, hours=96.0),), "infusion_min": None}, OutOfRange),
    ],
)
def test_guardrails(changes: dict[str, object], error: type[AfterglowError] | None) -> None:
    def prepare() -> object:
        wanted = cases.order(Delivery.IV, **({"infusion_min": 40.0} | changes))
        weight = BodyWeight(kg=80.0, measured_at=at(0))
        return prepare_dose(wanted, nurse(), policy=POLICY, weight=weight, concentration_mg_per_ml=50)

    if error is None:
        assert prepare()
    else:
        with pytest.raises(error):
            prepare()


def test_a_vial_must_be_one_in_use_and_an_injection_needs_a_weight() -> None:
    weight = BodyWeight(kg=80.0, measured_at=at(0))
    for concentration in (None, 5, 500):
        with pytest.raises(OutOfRange, match="concentration"):
            prepare_dose(
                cases.order(Delivery.IM), nurse(), policy=POLICY, weight=weight, concentration_mg_per_ml=concentration
            )
    with pytest.raises(MissingValue):
        prepare_dose(cases.order(Delivery.IM), nurse(), policy=POLICY, concentration_mg_per_ml=50)
    with pytest.raises(OutOfRange):
        BodyWeight(kg=800.0, measured_at=at(0))


@pytest.mark.parametrize(
    ("amount", "volume", "concentration", "agrees"),
    [
        (40_000, 800, 50, True),
        (40_400, 808, 50, True),
        (40_401, 800, 50, False),
        (40_000, 400, 50, False),
        (40_000, 800, 100, False),
        (4_000, 80, 50, False),
    ],
)
def test_second_check(amount: int, volume: int, concentration: int, *, agrees: bool) -> None:
    weight = BodyWeight(kg=80.0, measured_at=at(0))
    dose = prepare_dose(cases.order(Delivery.IV), nurse(), policy=POLICY, weight=weight, concentration_mg_per_ml=50)
    typed = {"amount_ug": amount, "volume_ul": volume, "concentration_ug_per_ul": concentration, "policy": POLICY}
    with pytest.raises(SecondPerson):
        check_dose(dose, nurse(), **typed)  # type: ignore[arg-type]
    if agrees:
        assert check_dose(dose, nurse(by="nurse2"), **typed).by == "nurse2"  # type: ignore[arg-type]
    else:
        with pytest.raises(GateClosed, match="differs"):
            check_dose(dose, nurse(by="nurse2"), **typed)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("delivery", "changes", "error"),
    [
        (Delivery.ESK, {"dose_mg": 70.0}, OutOfRange),
        (Delivery.ESK, {"drug": DrugForm.RACEMIC_KETAMINE}, OutOfRange),
        (Delivery.IV, {"infusion_min": None}, MissingValue),
        (Delivery.IV, {"infusion_min": 0.0}, OutOfRange),
        (Delivery.IM, {"infusion_min": 10.0}, OutOfRange),
        (Delivery.IV, {"dose_mg": 40.0, "dose_mg_per_kg": 0.5}, MissingValue),
    ],
)
def test_orders_that_cannot_be_given(
    delivery: Delivery, changes: dict[str, object], error: type[AfterglowError]
) -> None:
    with pytest.raises(error):
        cases.order(delivery, **changes)


def test_a_second_signature_is_another_prescribers() -> None:
    with pytest.raises(SecondPerson):
        sign_second(cases.order(), prescriber())
    assert sign_second(cases.order(), prescriber(by="prescriber2")).second_signature_by == "prescriber2"


# Course ------------------------------------------------------------------------------------------------------------


INDUCED = {"induction", "reinduction", "maintenance", "paused", "relapse"}


def course(**changes: object) -> TreatmentCourse:
    fields: dict[str, object] = {
        "id": "c1",
        "patient_id": "p1",
        "delivery": Delivery.ESK,
        "drug": DrugForm.ESKETAMINE,
        "indication": Indication.TRD,
        "induced_at": at(0)
        if changes.get("state") in {"induction", "reinduction", "maintenance", "paused", "relapse"}
        else None,
    }
    return TreatmentCourse(**(fields | changes))  # type: ignore[arg-type]


BACK: dict[str, Any] = {"withdrawn_by": "p1", "how": WithdrawalMethod.BY_PHONE}
LABEL: dict[str, Any] = {"age_years": 44, "resistant": True, "on_ssri_or_snri": True, "policy": POLICY}
PLAN = Plan(
    endpoint="PHQ-9 below 5",
    induction_sessions=8,
    interval_days=3.5,
    by="prescriber1",
    at=at(0),
)


def consent(**changes: object) -> Consent:
    fields: dict[str, object] = {
        "version": "2",
        "delivery": Delivery.ESK,
        "method": ConsentMethod.PAPER,
        "off_label_stated": True,
        "given_by": "patient",
        "taken_by": "nurse1",
        "at": at(0),
    }
    return Consent(**(fields | changes))  # type: ignore[arg-type]


def test_a_course_from_inquiry_to_maintenance() -> None:
    def step(now: TreatmentCourse, event: str, **more: object) -> TreatmentCourse:
        by = prescriber(1, reason="r")
        return move_course(now, event, by, policy=POLICY, consent_version="2", **more).now  # type: ignore[arg-type]

    now = course()
    for emergency in (None, True):
        with pytest.raises(GateClosed, match="cannot be accepted"):
            step(now, "accept", emergency=emergency)
    now = step(now, "accept", emergency=False)
    with pytest.raises(GateClosed, match="not assessed"):
        step(now, "find_suitable")
    now = step(now, "find_suitable", candidacy=cases.candidacy(minutes=0))
    with pytest.raises(GateClosed, match="no plan"):
        step(now, "await_cover")
    now = set_plan(now, PLAN, prescriber(), **(LABEL | {"resistant": False})).now
    with pytest.raises(GateClosed, match="safety plan"):
        step(now, "await_cover")
    now = make_safety_plan(now, nurse(1)).now
    with pytest.raises(GateClosed, match="No current consent"):
        step(now, "await_cover")
    with pytest.raises(GateClosed, match="does not fit"):
        give_consent(now, consent(off_label_stated=False), nurse())
    now = step(give_consent(now, consent(), nurse()).now, "await_cover")
    with pytest.raises(GateClosed, match="No authorised unit"):
        step(now, "start")
    cover = Authorisation(id="a1", payer="p", units=2, starts_on=at(0).date(), ends_on=at(0).date())
    now = step(add_authorisation(now, cover, nurse()).now, "start")
    with pytest.raises(GateClosed, match="benefit review"):
        step(now, "maintain")
    review = benefit_review()
    with pytest.raises(TooEarly, match="3 sessions in this induction"):
        record_review(now, review, prescriber(2), sessions_given=3, policy=POLICY)
    reviewed = record_review(now, review, prescriber(2), sessions_given=4, policy=POLICY).now
    with pytest.raises(GateClosed, match="benefit review"):  # held later than now: it does not count yet
        step(reviewed, "maintain")
    by = prescriber(2)
    now = replace(move_course(reviewed, "maintain", by, policy=POLICY).now, moved_at=at(1))
    paused = step(now, "pause")
    assert paused.state is CourseState.PAUSED
    assert step(paused, "resume").state is CourseState.MAINTENANCE
    with pytest.raises(MissingValue, match="coded reason"):
        step(now, "stop")
    with pytest.raises(MissingValue, match="needs a reason"):
        move_course(now, "stop", prescriber(3), policy=POLICY, stop_reason=StopReason.OTHER)
    with pytest.raises(WrongOrder, match="before what was done"):
        move_course(now, "pause", prescriber(0, reason="r"), policy=POLICY)


def benefit_review(**changes: object) -> BenefitReview:
    fields: dict[str, object] = {
        "kind": ReviewKind.END_OF_INDUCTION,
        "decision": ReviewDecision.CONTINUE,
        "by": "prescriber1",
        "at": at(2),
        "reason": "half the score",
    }
    return BenefitReview(**(fields | changes))  # type: ignore[arg-type]


def test_relapse_leads_back_to_maintenance_only_over_a_benefit_review() -> None:
    def step(now: TreatmentCourse, event: str) -> TreatmentCourse:
        return move_course(now, event, prescriber(5, reason="r"), policy=POLICY).now

    ill = step(course(state=CourseState.INDUCTION, induced_at=at(0)), "relapse")
    with pytest.raises(GateClosed, match="benefit review"):
        step(ill, "recover")
    reviewed = replace(ill, reviews=(benefit_review(),))
    assert step(reviewed, "recover").state is CourseState.MAINTENANCE
    again = course(state=CourseState.REINDUCTION, induced_at=at(0))
    assert step(again, "relapse").state is CourseState.RELAPSE


@pytest.mark.parametrize(
    ("days", "changes", "fits"),
    [
        (30, {}, True),
        (30.01, {}, False),
        (-0.01, {}, False),
        (1, {"patient_id": "p2"}, False),
        (1, {"policy_version": 7}, False),
    ],
)
def test_candidacy_is_of_this_patient_and_of_now(days: float, changes: dict[str, object], *, fits: bool) -> None:
    assessed = replace(cases.candidacy(minutes=0), **changes)  # type: ignore[arg-type]
    now = course(state=CourseState.CANDIDACY)
    act = prescriber(days * 24 * 60)
    if fits:
        assert move_course(now, "find_suitable", act, policy=POLICY, candidacy=assessed).now.state == "consent"
    else:
        with pytest.raises(GateClosed, match="Candidacy"):
            move_course(now, "find_suitable", act, policy=POLICY, candidacy=assessed)


def test_whether_a_plan_is_on_label_is_derived() -> None:
    derived = label_status(
        delivery=Delivery.IV,
        indication=Indication.TRD,
        age_years=40,
        resistant=True,
        on_ssri_or_snri=True,
        policy=POLICY,
    )
    iv = course(delivery=Delivery.IV, drug=DrugForm.RACEMIC_KETAMINE)
    with pytest.raises(Conflict, match="derived"):
        set_plan(iv, replace(PLAN, on_label=True, label_statement="on label"), prescriber(), **LABEL)
    made = set_plan(iv, PLAN, prescriber(), **LABEL).now.plan
    assert made is not None
    assert (made.on_label, made.label_statement) == (False, derived.statement)
    assert set_plan(iv, made, prescriber(), **LABEL).now.plan == made
    nasal = set_plan(course(), PLAN, prescriber(), **LABEL).now.plan
    unknown = set_plan(course(), PLAN, prescriber(), **(LABEL | {"resistant": None})).now.plan
    assert [plan and plan.on_label for plan in (nasal, unknown)] == [True, None]


@pytest.mark.parametrize(
    "changes", [{"interval_days": float("inf")}, {"interval_days": 93}, {"induction_sessions": 61}]
)
def test_a_plan_that_cannot_be_is_refused(changes: dict[str, object]) -> None:
    with pytest.raises(OutOfRange, match="sessions and an interval"):
        set_plan(course(), replace(PLAN, **changes), prescriber(), **LABEL)  # type: ignore[arg-type]


def test_who_signs_is_who_acts() -> None:
    with pytest.raises(Conflict, match="A plan: who and when"):
        set_plan(course(), replace(PLAN, by="ghost"), prescriber(), **LABEL)
    with pytest.raises(Conflict, match="A consent: who and when"):
        give_consent(course(plan=PLAN), consent(taken_by="nobody"), nurse())
    with pytest.raises(Conflict, match="A consent: who and when"):
        give_consent(course(plan=PLAN), consent(at=at(5)), nurse())
    inducing = course(state=CourseState.INDUCTION, induced_at=at(0))
    with pytest.raises(Conflict, match="A benefit review: who and when"):
        record_review(inducing, benefit_review(by="ghost"), prescriber(2), sessions_given=8, policy=POLICY)
    with pytest.raises(SecondPerson, match="does not give it"):
        consent(given_by="Nurse1")
    with pytest.raises(WrongState, match="has stopped"):
        make_safety_plan(course(state=CourseState.STOPPED), nurse())
    for missing in ({"given_by": ""}, {"version": " "}):
        with pytest.raises(MissingValue, match="version and names"):
            consent(**missing)


def test_a_review_has_its_place() -> None:
    maintained = course(state=CourseState.MAINTENANCE, induced_at=at(0))
    with pytest.raises(WrongState, match="no place"):
        record_review(maintained, benefit_review(), prescriber(2), sessions_given=8, policy=POLICY)
    stop = benefit_review(decision=ReviewDecision.STOP)
    inducing = course(state=CourseState.INDUCTION, induced_at=at(0))
    assert record_review(inducing, stop, prescriber(2), sessions_given=1, policy=POLICY).now.reviews == (stop,)


def test_nothing_more_is_recorded_once_a_course_has_stopped() -> None:
    over = course(state=CourseState.STOPPED, plan=PLAN)
    moves: tuple[Callable[[], object], ...] = (
        lambda: set_plan(over, PLAN, prescriber(), **LABEL),
        lambda: give_consent(over, consent(), nurse()),
        lambda: add_authorisation(over, Authorisation(id="a", payer="p", units=1, starts_on=at(0).date()), nurse()),
    )
    for move in moves:
        with pytest.raises(WrongState, match="has stopped"):
            move()


def test_an_authorisation_counts_once() -> None:
    cover = Authorisation(id="a1", payer="p", units=8, starts_on=at(0).date())
    now = add_authorisation(course(), cover, nurse()).now
    with pytest.raises(Conflict, match="recorded already"):
        add_authorisation(now, cover, nurse())


def test_consent_runs_out_and_is_of_a_version() -> None:
    now = give_consent(course(plan=PLAN), consent(), nurse()).now
    assert has_consent(now, at(0) + timedelta(days=365), version="2", policy=POLICY)
    assert not has_consent(now, at(1) + timedelta(days=365), version="2", policy=POLICY)
    assert not has_consent(now, at(1), version="3", policy=POLICY)


def test_units_are_used_from_what_ends_first_and_self_pay_uses_none() -> None:
    today = at(0).date()
    late = Authorisation(id="late", payer="p", units=5, starts_on=today)
    soon = Authorisation(id="soon", payer="p", units=1, starts_on=today, ends_on=today)
    now = course(authorisations=(late, soon))
    assert units_left(now, today) == 6
    now = use_unit(now, nurse(), on=today, session_id="s1").now
    assert [(each.used, each.sessions) for each in now.authorisations] == [(0, ()), (1, ("s1",))]
    with pytest.raises(Conflict, match="used its unit already"):
        use_unit(now, nurse(), on=today, session_id="s1")
    assert units_left(now, today + timedelta(days=1)) == 5
    own = Authorisation(id="own", payer="self", units=None, self_pay=True, starts_on=today)
    paying = course(authorisations=(own,))
    assert (units_left(paying, today), use_unit(paying, nurse(), on=today, session_id="s1").written) == (None, ())
    with pytest.raises(GateClosed):
        use_unit(course(), nurse(), on=today, session_id="s1")
    with pytest.raises(NotPermitted):
        use_unit(now, cases.act(Role.COORDINATOR), on=today, session_id="s2")
    with pytest.raises(MissingValue):
        Authorisation(id="x", payer="p", units=None, starts_on=today)


@pytest.mark.parametrize(
    ("state", "given", "improvement", "days", "due"),
    [
        (CourseState.INDUCTION, 3, 0.0, 10, ()),
        (CourseState.INDUCTION, 4, 19.9, 10, (ReviewKind.EARLY_NON_RESPONSE,)),
        (CourseState.INDUCTION, 4, 20.0, 10, ()),
        (CourseState.INDUCTION, 4, None, 10, (ReviewKind.EARLY_NON_RESPONSE,)),
        (CourseState.INDUCTION, 4, float("nan"), 10, (ReviewKind.EARLY_NON_RESPONSE,)),
        (CourseState.INDUCTION, 8, 50.0, 28, (ReviewKind.END_OF_INDUCTION,)),
        (CourseState.MAINTENANCE, 8, 50.0, 180, ()),
        (CourseState.MAINTENANCE, 8, 50.0, 181, (ReviewKind.PERIODIC,)),
        (CourseState.PAUSED, 8, 0.0, 300, ()),
    ],
)
def test_reviews_due(
    state: CourseState, given: int, improvement: float | None, days: int, due: tuple[ReviewKind, ...]
) -> None:
    now = course(state=state, plan=PLAN, induced_at=at(0))
    later = at(0) + timedelta(days=days)
    assert reviews_due(now, later, sessions_given=given, improvement_pct=improvement, policy=POLICY) == due


@pytest.mark.parametrize(
    ("missed", "week", "worse", "starts"),
    [(0, 3, None, ""), (1, 4, None, "continue"), (1, 5, None, ""), (1, 5, False, "continue"), (1, 5, True, "clinical")],
)
def test_missed_sessions(missed: int, week: int, starts: str, *, worse: bool | None) -> None:
    found = after_missed_session(missed=missed, week=week, depression_worse=worse, policy=POLICY)
    assert [each.startswith(starts) for each in found] == ([True] if starts else [])


# Diary -------------------------------------------------------------------------------------------------------------


def booking(name: str, chair: str, starts: float, patient: str, delivery: Delivery = Delivery.ESK) -> Booking:
    return Booking(
        id=name,
        patient_id=patient,
        chair_id=chair,
        delivery=delivery,
        starts_at=at(starts),
        until=at(starts + 150),
        dose_minutes=40.0 if delivery is Delivery.IV else 0.0,
    )


@pytest.mark.parametrize(
    ("wanted", "kinds"),
    [
        (booking("n", "a", 159.9, "p2"), ["chair_taken"]),  # 150 min and 10 to turn around
        (booking("n", "a", 160, "p2"), []),
        (booking("n", "b", 149, "p1"), ["patient_taken"]),
        (booking("n", "b", 0, "p2", Delivery.IV), ["not_equipped"]),
        (booking("n", "z", 0, "p2"), ["not_equipped"]),
        (booking("n", "b", 480, "p2"), ["closed"]),
    ],
)
def test_conflicts_are_explained(wanted: Booking, kinds: list[str]) -> None:
    chairs = (Chair(id="a", deliveries=tuple(Delivery)), Chair(id="b", deliveries=(Delivery.ESK,)))
    closed = Closure(starts_at=at(500), until=at(600), reason="meeting")
    diary = Diary(chairs=chairs, capacity=2, bookings=(booking("o", "a", 0, "p1"),), closures=(closed,))
    assert [each.kind for each in find_conflicts(diary, wanted, policy=POLICY, enrolled=True)] == kinds
    if kinds:
        with pytest.raises(BookingRefused, match="does not fit"):
            book(diary, wanted, nurse(), policy=POLICY, enrolled=True)
    one = replace(diary, capacity=1)
    found = find_conflicts(one, booking("n", "b", 100, "p3"), policy=POLICY, enrolled=True)
    assert "capacity" in [each.kind for each in found]


@pytest.mark.parametrize(
    ("delivery", "minutes", "dose", "fits"),
    [
        (Delivery.ESK, 150, 0.0, True),
        (Delivery.ESK, 149, 0.0, False),
        (Delivery.IV, 130, 40.0, True),
        (Delivery.IV, 129, 40.0, False),
        (Delivery.IV, 4 * 60 + 90, 240.0, True),
        (Delivery.SL, 120, 0.0, True),
        (Delivery.SL, 119, 0.0, False),
    ],
)
def test_a_booking_is_as_long_as_dose_and_watching(
    delivery: Delivery, minutes: float, dose: float, *, fits: bool
) -> None:
    diary = Diary(chairs=(Chair(id="a", deliveries=tuple(Delivery)),), capacity=2)
    wanted = replace(booking("n", "a", 60, "p2", delivery), until=at(60 + minutes), dose_minutes=dose)
    kinds = [each.kind for each in find_conflicts(diary, wanted, policy=POLICY, enrolled=True)]
    assert kinds == ([] if fits else ["too_short"])


@pytest.mark.parametrize(("enrolled", "kinds"), [(True, []), (False, ["not_enrolled"]), (None, ["not_enrolled"])])
def test_esketamine_is_booked_for_who_is_enrolled(kinds: list[str], *, enrolled: bool | None) -> None:
    diary = Diary(chairs=(Chair(id="a", deliveries=tuple(Delivery)),), capacity=2)
    wanted = booking("n", "a", 60, "p2")
    assert [each.kind for each in find_conflicts(diary, wanted, policy=POLICY, enrolled=enrolled)] == kinds
    ketamine = booking("n", "a", 60, "p2", Delivery.IV)
    assert find_conflicts(diary, ketamine, policy=POLICY, enrolled=enrolled) == ()


@pytest.mark.parametrize(("nurses", "warned"), [(None, False), (1, False), (0, True)])
def test_more_infusions_than_a_nurse_can_watch_are_warned_of(nurses: int | None, *, warned: bool) -> None:
    chairs = tuple(Chair(id=name, deliveries=tuple(Delivery)) for name in "abcd")
    taken = tuple(booking(f"o{name}", name, 60, f"p{name}", Delivery.IV) for name in "ab")
    diary = Diary(chairs=chairs, capacity=4, bookings=taken, nurses=nurses)
    wanted = booking("n", "c", 60, "p2", Delivery.IV)
    assert bool(booking_warnings(diary, wanted, policy=POLICY)) is warned
    third = replace(diary, bookings=(*taken, booking("oc", "c", 60, "pc", Delivery.IV)))
    fourth = booking("n", "d", 60, "p2", Delivery.IV)
    assert bool(booking_warnings(third, fourth, policy=POLICY)) is (nurses is not None)
    assert booking_warnings(third, booking("n", "d", 60, "p2"), policy=POLICY) == ()


def test_a_no_show_has_had_its_time() -> None:
    diary = Diary(chairs=(), capacity=1, bookings=(booking("o", "a", 60, "p1"),))
    with pytest.raises(TooEarly, match="no show"):
        end_booking(diary, "o", "no_show", nurse(59, reason="r"))
    assert end_booking(diary, "o", "no_show", nurse(60, reason="r")).now.bookings[0].state == "no_show"
    with pytest.raises(TooEarly, match="arrive"):
        end_booking(diary, "o", "arrive", nurse(60 - 12 * 60 - 1))
    assert end_booking(diary, "o", "arrive", nurse(60 - 12 * 60)).now.bookings[0].state == "arrived"
    with pytest.raises(WrongState, match="does not end"):
        end_booking(diary, "o", "move", nurse(60, reason="r"))


def test_times_in_the_diary_have_a_zone() -> None:
    with pytest.raises(InputError, match="booking"):
        replace(booking("o", "a", 60, "p1"), until=datetime(2026, 3, 2, 12))  # noqa: DTZ001
    with pytest.raises(InputError, match="closure"):
        Closure(starts_at=datetime(2026, 3, 2, 12), until=at(0), reason="r")  # noqa: DTZ001


@pytest.mark.parametrize("minutes", [float("nan"), float("inf"), -1.0, 20161.0])
def test_a_length_that_cannot_be_is_refused(minutes: float) -> None:
    with pytest.raises(OutOfRange, match="length of the infusion"):
        block(Delivery.IV, dose_minutes=minutes, policy=POLICY)
    with pytest.raises(OutOfRange, match="length of the infusion"):
        block(Delivery.ESK, dose_minutes=40, policy=POLICY)


def test_an_infusion_needs_its_length() -> None:
    assert block(Delivery.SL, policy=POLICY) == timedelta(minutes=30 + 90)
    with pytest.raises(OutOfRange):
        block(Delivery.IV, policy=POLICY)


# Measures, alerts, worklist ----------------------------------------------------------------------------------------


def measures(phase: CourseState, done: dict[str, datetime], session: float | None) -> dict[str, bool]:
    found = due_measures(
        indication=Indication.TRD,
        phase=phase,
        phase_since=at(0),
        last_done=done,
        next_session_at=None if session is None else at(session),
        at=at(60),
        policy=POLICY,
    )
    return {each.instrument: each.overdue for each in found}


def test_measures_due() -> None:
    assert measures(CourseState.INDUCTION, {}, 120) == {"cssrs_screener": False, "phq9": False}
    assert measures(CourseState.INDUCTION, {}, 30) == {"cssrs_screener": True, "phq9": True}
    assert measures(CourseState.INDUCTION, {"phq9": at(10)}, 120) == {"cssrs_screener": False}
    assert measures(CourseState.INDUCTION, {}, None) == {}
    assert measures(CourseState.STOPPED, {}, None) == {}
    assert "madrs" in measures(CourseState.CANDIDACY, {}, None)
    month = {"phq9": at(60) - timedelta(days=28), "audit_c": at(0), "dast10": at(0)}
    assert measures(CourseState.MAINTENANCE, month, None) == {"phq9": False}
    month["phq9"] -= timedelta(days=3, minutes=1)
    assert measures(CourseState.MAINTENANCE, month, None) == {"phq9": True}


def test_a_critical_answer_raises_an_alert_before_there_is_a_total() -> None:
    form = score(scale_answers("PHQ-9", {"9": 1}))
    found = read_score(form, baseline=score_total("PHQ-9", 20))
    assert (found.total, found.band, found.response) == (None, None, None)
    raised = alerts_from_score(found.alerts, score_id="q1", patient_id="p1", at=at(0), policy=POLICY)
    assert [(each.about, each.priority, each.unknown) for each in raised] == [
        ("phq9_item9_high, phq9_item9", Priority.HIGH, True),  # nobody knows the worse, so somebody finds out now,
    ]
    high = read_score(score(scale_answers("C-SSRS", {"4": True})))
    (alert,) = alerts_from_score(high.alerts, score_id="q2", patient_id="p1", at=at(0), policy=POLICY)[:1]
    assert (alert.priority, alert.owner, alert.respond_by) == (Priority.HIGH, Role.PRESCRIBER, at(15))


@pytest.mark.parametrize(
    ("severity", "priority"),
    [
        (Severity.EMERGENCY, Priority.HIGH),
        (Severity.EXCLUDE, Priority.HIGH),
        (Severity.NEEDS_CLINICIAN_REVIEW, Priority.MEDIUM),
        (Severity.CAUTION, Priority.LOW),
    ],
)
def test_three_priorities(severity: Severity, priority: Priority) -> None:
    found = replace(judge(rule("S049"), {"events.vomiting": True}, POLICY), severity=severity)
    assert priority_of(found) is priority


@pytest.mark.parametrize(
    ("name", "facts"),
    [
        ("S008", {"cssrs_slc.item_4": True}),
        ("C036", {"cssrs.level": "high"}),
        ("S042", {"bp.systolic": 200, "bp.diastolic": 120, "bp.consecutive_readings_at_level": 2}),
        ("S044", {"vitals.spo2": 90}),
        ("S046", {"moaas.score": 2}),
    ],
)
def test_what_cannot_wait_alerts_at_high_priority(name: str, facts: dict[str, Fact | None]) -> None:
    found = judge(rule(name), facts, POLICY)
    raised = alert_from_finding(found, alert_id="a", patient_id="p1", action=None, at=at(0), policy=POLICY)
    assert found.severity is Severity.NEEDS_CLINICIAN_REVIEW
    assert (raised.priority, raised.owner, raised.respond_by) == (Priority.HIGH, Role.PRESCRIBER, at(15))


def test_an_alert_is_not_stepped_before_it_was_raised_or_last_stepped() -> None:
    found = judge(rule("S045"), {"vitals.spo2": 80}, POLICY)
    raised = alert_from_finding(found, alert_id="a", patient_id="p1", action=None, at=at(10), policy=POLICY)
    with pytest.raises(WrongOrder, match="before what was done"):
        read_alert(raised, nurse(9), patient_id="p1")
    seen = read_alert(raised, nurse(12), patient_id="p1").now
    with pytest.raises(WrongOrder, match="before what was done"):
        act_on(seen, nurse(11, reason="oxygen"), policy=POLICY)
    done = act_on(seen, nurse(12, reason="oxygen"), policy=POLICY).now
    assert close_alert(done, prescriber(13)).now.stepped_at == at(13)
    with pytest.raises(InputError, match="UTC"):
        alert_from_finding(
            found,
            alert_id="a",
            patient_id="p1",
            action=None,
            at=datetime(2026, 1, 5),  # noqa: DTZ001
            policy=POLICY,
        )


# Answers -----------------------------------------------------------------------------------------------------------


def met_and_answered(judged_for: Delivery, **changes: object) -> tuple[Finding, RuleAnswer]:
    """An exclusion that is met, and a complete answer to it."""
    found = judge(rule("C032"), {"dx.psychosis_active": True}, POLICY, delivery=judged_for)
    act, second = prescriber(5, reason="stable for years"), prescriber(4, by="prescriber2")
    given = answer_rule(found, act, patient_id="p1", decision=Decision.PROCEED, policy=POLICY, cosigner=second)
    return found, replace(given, **changes)  # type: ignore[arg-type]


def test_an_answer_counts_for_its_delivery_and_values_alone() -> None:
    found, answer = met_and_answered(Delivery.IV)
    assert not open_findings([found], [answer])
    other, _ = met_and_answered(Delivery.ESK)
    assert open_findings([other], [answer]) == (other,)


@pytest.mark.parametrize(
    "changes",
    [
        {"decision": Decision.DEFER},
        {"observed": ()},
        {"cosigned_by": None},
        {"cosigned_by": "prescriber1"},
        {"reason": " "},
        {"cosigned_by": "Prescriber1 "},
        {"delivery": None},
    ],
)
def test_an_answer_that_lacks_anything_does_not_count_however_it_was_made(changes: dict[str, object]) -> None:
    found, answer = met_and_answered(Delivery.IV, **changes)
    assert open_findings([found], [answer]) == (found,)


def test_an_answer_for_one_patient_is_no_answer_for_another() -> None:
    _, answer = met_and_answered(Delivery.IV)
    facts = cases.quiet_facts()
    ask = {"delivery": Delivery.IV, "policy": POLICY, "at": at(9), "answers": (answer,)}
    assert assess_candidacy(facts, patient_id="p1", **ask).answers == (answer,)  # type: ignore[arg-type]
    with pytest.raises(Conflict, match="another patient"):
        assess_candidacy(facts, patient_id="p2", **ask)  # type: ignore[arg-type]
    before = ask | {"at": at(4)}  # the answer is of later
    assert assess_candidacy(facts, patient_id="p1", **before).answers == ()  # type: ignore[arg-type]
    with pytest.raises(UnknownName, match="delivery"):
        assess_candidacy(facts, patient_id="p1", **(ask | {"delivery": "nasal"}))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "name", ["age", "hx.poorly_controlled_cvd", "dx.psychosis_active", "lab.child_pugh", "vitals.systolic"]
)
def test_an_exclusion_that_nobody_asked_about_is_not_clear(name: str) -> None:
    found = assess_candidacy(
        cases.quiet_facts(**{name.replace(".", "__"): None}),
        patient_id="p1",
        delivery=Delivery.IV,
        policy=POLICY,
        at=at(0),
    )
    with pytest.raises(GateClosed, match="cannot be judged"):
        check_candidate(found)


def test_no_answer_opens_a_labelled_contraindication() -> None:
    found = judge(rule("C001"), {"hx.aneurysmal_vascular_disease": True}, POLICY, delivery=Delivery.ESK)
    _, answer = met_and_answered(Delivery.ESK)
    forged = replace(answer, rule="C001", observed=found.observed)
    assert open_findings([found], [forged]) == (found,)


def test_a_second_signature_comes_before_the_answer() -> None:
    found, _ = met_and_answered(Delivery.IV)
    act = prescriber(5, reason="stable for years")
    with pytest.raises(WrongOrder, match="second signature"):
        answer_rule(
            found,
            act,
            patient_id="p1",
            decision=Decision.PROCEED,
            policy=POLICY,
            cosigner=prescriber(6, by="prescriber2"),
        )


@pytest.mark.parametrize("region", ["UK", "HK", "MY", "EU"])
def test_where_a_label_was_not_read_its_contraindication_binds(region: str) -> None:
    assert not is_overridable(rule("C006"), delivery=Delivery.ESK, policy=policy(site__region=region))


# What a fact can be ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("facts", "says"),
    [
        ({"pregnancy.test": "Positive"}, "negative, positive, not_done"),
        ({"lab.child_pugh": "c"}, "none, A, B, C"),
        ({"cssrs.level": "High"}, "none, low, moderate, high"),
        ({"lab.uds": "positive"}, "negative, positive_explained, positive_unexplained"),
        ({"age": 200}, "0 to 120"),
        ({"age": -5}, "0 to 120"),
        ({"age": float("nan")}, "0 to 120"),
        ({"vitals.bmi": -1}, "8 to 120"),
        ({"audit_c.total": 13}, "0 to 12"),
        ({"vitals.systolic": float("inf")}, "40 to 300"),
        ({"hx.avm": "no"}, "yes or no"),
        ({"age": True}, "a number"),
    ],
)
def test_a_slip_is_refused_and_not_taken_for_no(facts: dict[str, Fact | None], says: str) -> None:
    with pytest.raises((UnknownName, OutOfRange), match=re.escape(f"allowed: {says}")):
        check_facts(facts)


@pytest.mark.parametrize(("value", "fits"), [(0, True), (120, True), (120.5, False), (None, True)])
def test_the_bounds_of_a_fact_are_closed(value: float | None, *, fits: bool) -> None:
    if fits:
        check_facts({"age": value})
    else:
        with pytest.raises(OutOfRange):
            check_facts({"age": value})


# Trials of medicines -----------------------------------------------------------------------------------------------


def medicine_trial(**changes: object) -> MedicineTrial:
    fields: dict[str, object] = {
        "drug": "sertraline",
        "drug_class": "ssri",
        "at_least_minimum_dose": True,
        "weeks": 8,
        "improvement_pct": 10,
        "this_episode": True,
    }
    return MedicineTrial(**(fields | changes))  # type: ignore[arg-type]


def test_the_same_medicine_twice_is_one_trial_however_it_is_typed() -> None:
    assert judge_resistance((medicine_trial(), medicine_trial(drug=" Sertraline ")), POLICY).at_least == 1


def test_a_trial_that_worked_does_not_count_whatever_its_number() -> None:
    assert judge_trial(medicine_trial(outcome=TrialOutcome.WORKED), POLICY).counts is False


@pytest.mark.parametrize(
    "changes",
    [
        {"weeks": float("nan")},
        {"weeks": -1},
        {"weeks": 1e9},
        {"improvement_pct": float("nan")},
        {"improvement_pct": -500},
        {"drug": " "},
        {"improvement_pct": 60, "outcome": TrialOutcome.FAILED},
    ],
)
def test_a_trial_that_cannot_be_is_refused(changes: dict[str, object]) -> None:
    with pytest.raises(InputError):
        medicine_trial(**changes)


# Medicines, policy -------------------------------------------------------------------------------------------------


def test_a_class_known_by_name_stays_though_somebody_left_it_out() -> None:
    assert classes_of(Medicine(ingredient="lorazepam", classes=())) == ("D01",)
    assert classes_of(Medicine(ingredient="newdrug", classes=())) == ()
    assert unclassified(cases.reconciled(Medicine(ingredient="newdrug"))) == ("newdrug",)


@pytest.mark.parametrize(
    "changes",
    [
        {"ingredient": " "},
        {"diazepam_equivalent_mg_per_day": -50.0},
        {"diazepam_equivalent_mg_per_day": float("nan")},
        {"last_taken_at": datetime(2026, 1, 5)},  # noqa: DTZ001
    ],
)
def test_a_medicine_that_cannot_be_is_refused(changes: dict[str, object]) -> None:
    with pytest.raises(InputError):
        Medicine(**({"ingredient": "lithium"} | changes))  # type: ignore[arg-type]


def test_a_site_keeps_the_readings_that_the_label_sets() -> None:
    name = "monitoring.esketamine_minutes"
    assert policy(**{name: (10.0, 40.0, 120.0)}).numbers(name) == (10.0, 40.0, 120.0)
    for without in ((0.0,), (0.0, 40.0), (0.0, 120.0)):
        with pytest.raises(OutOfRange, match="with 40, 120 of the label"):
            policy(**{name: without})


def test_a_policy_is_drafted_by_a_clinician_or_compliance_and_never_has_the_demos_version() -> None:
    assert demo_policy().version == 0
    with pytest.raises(NotPermitted):
        draft_policy(cases.act(Role.COORDINATOR), version=1, changes={})
    assert draft_policy(cases.act(Role.COMPLIANCE), version=1, changes={}).version == 1


def test_an_alert_is_read_acted_upon_and_closed_and_goes_on_when_nobody_responds() -> None:
    found = judge(rule("S045"), {"vitals.spo2": 88}, POLICY)
    with pytest.raises(InputError):
        alert_from_finding(
            judge(rule("S045"), {}, POLICY), alert_id="a", patient_id="p1", action=None, at=at(0), policy=POLICY
        )
    alert = alert_from_finding(found, alert_id="a", patient_id="p1", action="stop", at=at(0), policy=POLICY)
    clock = act(Role.SYSTEM, 14.9)
    with pytest.raises(TooEarly):
        escalate(alert, clock, policy=POLICY)
    up = escalate(alert, act(Role.SYSTEM, 15), policy=POLICY).now
    assert (up.owner, up.respond_by, up.escalations) == (Role.MEDICAL_DIRECTOR, at(30), (Role.PRESCRIBER,))
    assert escalate(up, act(Role.SYSTEM, 30), policy=POLICY).now.owner is Role.MEDICAL_DIRECTOR
    with pytest.raises(WrongState):
        act_on(alert, nurse(1, reason="r"), policy=POLICY)
    with pytest.raises(WrongState):
        close_alert(alert, prescriber(1, reason="r"))
    with pytest.raises(GateClosed):
        read_alert(alert, nurse(1), patient_id="p2")
    seen = read_alert(alert, nurse(1), patient_id="p1").now
    with pytest.raises(WrongState):
        close_alert(seen, nurse(2))
    with pytest.raises(MissingValue):
        hand_over(seen, nurse(2, reason="r"), to=Role.COORDINATOR)
    done = act_on(seen, nurse(2, reason="oxygen"), policy=POLICY).now
    assert close_alert(done, prescriber(3)).now.stage is AlertStage.CLOSED


def test_the_worklist_names_what_presses_and_who_owns_it() -> None:
    alert = alert_from_finding(
        judge(rule("S045"), {"vitals.spo2": 88}, POLICY),
        alert_id="a",
        patient_id="p1",
        action="stop",
        at=at(0),
        policy=POLICY,
    )
    given = replace(
        cases.observing(), state=SessionState.CLOSED, left_at=at(200), rems_due_at=at(15) + timedelta(days=7)
    )
    later = at(0) + timedelta(days=29)
    one = Standing(
        patient_id="p1",
        course=course(state=CourseState.MAINTENANCE, authorisations=()),
        sessions=(given,),
        alerts=(alert,),
        reviews=(ReviewKind.PERIODIC,),
        change=Change.WORSENED,
        next_due_at=later + timedelta(days=6),
    )
    found = list_work([one], later, policy=POLICY)
    assert found[0].kind is WorkKind.ALERT
    assert {each.kind for each in found} == {
        WorkKind.ALERT,
        WorkKind.GETTING_WORSE,
        WorkKind.LAPSED,
        WorkKind.SESSION_DUE,
        WorkKind.REVIEW_DUE,
        WorkKind.CHECK_IN,
        WorkKind.MONITORING_FORM,
        WorkKind.AUTHORISATION,
        WorkKind.AFTERCARE,
    }
    assert {each.kind for each in found if each.overdue} >= {WorkKind.CHECK_IN, WorkKind.MONITORING_FORM}
    quiet = replace(one, alerts=(), reviews=(), change=None, next_session_at=later, checked_in=("s1",))
    quiet = replace(quiet, forms_sent=("s1",), course=replace(one.course, state=CourseState.PAUSED))
    (step,) = list_work([quiet], later, policy=POLICY)
    assert (step.kind, step.text, step.owner) == (
        WorkKind.COURSE_STEP,
        "the course is paused: resume or stop",
        Role.PRESCRIBER,
    )


@pytest.mark.parametrize(
    ("state", "owner"),
    [
        (CourseState.INQUIRY, Role.COORDINATOR),
        (CourseState.CANDIDACY, Role.PRESCRIBER),
        (CourseState.CONSENT, Role.PRESCRIBER),
        (CourseState.AUTHORISATION, Role.COORDINATOR),
        (CourseState.PAUSED, Role.PRESCRIBER),
        (CourseState.RELAPSE, Role.PRESCRIBER),
    ],
)
def test_a_course_that_waits_has_an_owner_and_a_day(state: CourseState, owner: Role) -> None:
    waiting = Standing(patient_id="p1", course=course(state=state, moved_at=at(0)))
    for days, overdue in ((7.5, False), (8, True)):  # overdue once its day is over
        (item,) = list_work([waiting], at(days * 24 * 60), policy=POLICY)
        assert (item.kind, item.owner, item.overdue) == (WorkKind.COURSE_STEP, owner, overdue)
    fresh = Standing(patient_id="p1", course=course(state=state, opened_at=at(0)))
    assert list_work([fresh], at(0), policy=POLICY)[0].due_at == at(7 * 24 * 60)


def test_every_state_of_a_course_that_goes_on_is_on_the_worklist() -> None:
    for state in set(CourseState) - {CourseState.STOPPED}:
        assert list_work([Standing(patient_id="p1", course=course(state=state))], at(0), policy=POLICY), state


@pytest.mark.parametrize(
    ("session", "end", "priority", "owner"),
    [
        (cases.booked(), 30, Priority.MEDIUM, Role.COORDINATOR),
        (cases.screened(), 30, Priority.MEDIUM, Role.NURSE),
        (cases.dosing(), 15, Priority.HIGH, Role.NURSE),
        (cases.observing(Delivery.IV), 55, Priority.HIGH, Role.NURSE),
    ],
)
def test_a_session_that_does_not_end_is_on_the_worklist(
    session: TreatmentSession, end: float, priority: Priority, owner: Role
) -> None:
    over = Standing(patient_id="p1", course=course(state=CourseState.STOPPED), sessions=(session,))

    def open_ones(minutes: float) -> list[WorkItem]:
        return [i for i in list_work([over], at(minutes), policy=POLICY) if i.kind is WorkKind.SESSION_OPEN]

    assert open_ones(end + 12 * 60 - 1) == []
    (item,) = open_ones(end + 12 * 60)
    assert (item.priority, item.owner) == (priority, owner)


def test_aftercare_that_is_due_or_was_never_asked_is_on_the_worklist() -> None:
    def found(**asked: Fact) -> dict[str, Priority]:
        facts = tuple((name.replace("__", "."), value) for name, value in asked.items())
        one = Standing(patient_id="p1", course=course(state=CourseState.INDUCTION, induced_at=at(0)), asked=facts)
        return {
            each.text.split(":")[0]: each.priority
            for each in list_work([one], at(60), policy=POLICY)
            if each.kind is WorkKind.AFTERCARE
        }

    assert list(found().values()) == [Priority.LOW]  # the urinary question was never asked
    asked = {"review__days_since_urinary_question": 3, "events__urinary_symptoms_new": False}
    assert found(**asked) == {}
    assert len(found(**(asked | {"events__urinary_symptoms_new": True}))) == 1


def open_work(now: TreatmentCourse, minutes: float, **more: object) -> dict[WorkKind, WorkItem]:
    one = Standing(patient_id="p1", course=now, **more)  # type: ignore[arg-type]
    return {each.kind: each for each in list_work([one], at(minutes), policy=POLICY)}


DAY = 24 * 60.0


def test_a_booking_far_away_hides_neither_a_lapse_nor_a_session_that_is_due() -> None:
    now = course(state=CourseState.MAINTENANCE, induced_at=at(0))
    given = replace(cases.observing(), state=SessionState.CLOSED)
    far, near, due = at(230 * DAY), at(31 * DAY), at(32 * DAY)
    found = open_work(now, 30 * DAY, sessions=(given,), next_session_at=far, next_due_at=due)
    assert "the next booked for 2026-10-18" in found[WorkKind.LAPSED].text
    assert found[WorkKind.SESSION_DUE].due_at == due
    soon = open_work(now, 30 * DAY, sessions=(given,), next_session_at=near, next_due_at=due)
    assert not {WorkKind.LAPSED, WorkKind.SESSION_DUE} & set(soon)


def test_what_a_forecast_says_is_on_the_worklist() -> None:
    now = course(state=CourseState.MAINTENANCE, induced_at=at(0))
    lost = open_work(now, DAY, relief_lost=True)
    assert lost[WorkKind.GETTING_WORSE].owner is Role.PRESCRIBER
    assert "lost, by the forecast" in lost[WorkKind.GETTING_WORSE].text
    known = open_work(replace(now, state=CourseState.RELAPSE), DAY, relief_lost=True)
    assert WorkKind.GETTING_WORSE not in known  # the course says so already
    failed = open_work(now, DAY, forecast_fault="it took too long")[WorkKind.FORECAST]
    assert (failed.text.split(";")[0], failed.priority) == ("no forecast: it took too long", Priority.LOW)


def test_a_treatment_that_was_started_and_never_given_is_not_forgotten() -> None:
    now = course(state=CourseState.INDUCTION, induced_at=at(0))
    item = open_work(now, 8 * DAY)[WorkKind.LAPSED]
    assert (item.text, item.overdue) == ("treatment was started and no session given, none booked", True)


def test_a_review_that_says_stop_waits_for_the_stop() -> None:
    stop = benefit_review(decision=ReviewDecision.STOP)
    now = course(state=CourseState.INDUCTION, induced_at=at(0), reviews=(stop,))
    assert open_work(now, 10)[WorkKind.COURSE_STEP].owner is Role.PRESCRIBER
    again = replace(now, reviews=(stop, benefit_review(at=at(3))))
    assert WorkKind.COURSE_STEP not in open_work(again, 10)


def test_nothing_of_a_course_runs_on_an_unsigned_policy() -> None:
    draft = draft_policy(nurse(), version=1, changes={})
    now = course(state=CourseState.CANDIDACY)
    with pytest.raises(PolicyUnsigned, match="unsigned"):
        move_course(now, "find_suitable", prescriber(1), policy=draft, candidacy=cases.candidacy(minutes=0))
    assert move_course(now, "stop", prescriber(1), policy=draft, stop_reason=StopReason.PATIENT_CHOICE).now


def test_what_is_recorded_later_is_not_dated_earlier() -> None:
    given = give_consent(course(plan=PLAN), consent(at=at(5)), nurse(5)).now
    with pytest.raises(WrongOrder, match="Consent"):
        withdraw_consent(given, nurse(4), **BACK)
    gone = withdraw_consent(given, nurse(6), **BACK).now
    (kept,) = gone.consents
    assert (kept.withdrawn_at, kept.withdrawn_by, kept.withdrawal_noted_by) == (at(6), "p1", "nurse1")
    assert kept.withdrawn_how is WithdrawalMethod.BY_PHONE
    with pytest.raises(MissingValue, match="who takes consent back"):
        withdraw_consent(given, nurse(6), withdrawn_by=" ", how=WithdrawalMethod.BY_PHONE)
    with pytest.raises(WrongOrder, match="Consent"):
        give_consent(gone, consent(at=at(5.5)), nurse(5.5))
    with pytest.raises(NotPermitted):
        withdraw_consent(given, cases.act(Role.COMPLIANCE, 6), **BACK)
    reviewed = course(state=CourseState.INDUCTION, induced_at=at(0), reviews=(benefit_review(),))
    with pytest.raises(WrongOrder, match="review"):
        record_review(reviewed, benefit_review(at=at(1)), prescriber(1), sessions_given=8, policy=POLICY)


def test_the_same_cover_under_another_id_is_refused_and_units_are_whole() -> None:
    cover = Authorisation(id="a1", payer="p", units=8, starts_on=at(0).date())
    now = use_unit(add_authorisation(course(), cover, nurse()).now, nurse(), on=at(0).date(), session_id="s1").now
    with pytest.raises(Conflict, match="like this"):
        add_authorisation(now, replace(cover, id="a2"), nurse())
    assert add_authorisation(now, replace(cover, id="a2", units=4), nurse()).now
    with pytest.raises(OutOfRange, match="whole"):
        Authorisation(id="a", payer="p", units=2.5, starts_on=at(0).date())  # type: ignore[arg-type]


def test_an_esketamine_booking_is_moved_for_who_is_still_enrolled() -> None:
    diary = Diary(
        chairs=(Chair(id="a", deliveries=tuple(Delivery)),), capacity=1, bookings=(booking("o", "a", 60, "p1"),)
    )
    with pytest.raises(BookingRefused, match="does not fit"):
        move_booking(diary, "o", nurse(0, reason="r"), chair_id="a", starts_at=at(90), policy=POLICY, enrolled=False)


def test_a_high_alert_does_not_go_down() -> None:
    found = judge(rule("S045"), {"vitals.spo2": 80}, POLICY)
    high = alert_from_finding(found, alert_id="a", patient_id="p1", action=None, at=at(0), policy=POLICY)
    with pytest.raises(NotPermitted, match="Handing this alert down"):
        hand_over(high, nurse(1, reason="busy"), to=Role.NURSE)
    assert hand_over(high, nurse(1, reason="seen"), to=Role.PRESCRIBER).now.owner is Role.PRESCRIBER
    with pytest.raises(GateClosed, match="does not go down"):
        hand_over(high, prescriber(1, reason="busy"), to=Role.NURSE)
    assert hand_over(high, prescriber(1, reason="away"), to=Role.MEDICAL_DIRECTOR).now.owner == "medical_director"


def test_the_latest_answer_counts_and_names_somebody() -> None:
    found, answer = met_and_answered(Delivery.IV)
    later = replace(answer, decision=Decision.DECLINE, at=at(9))
    assert open_findings([found], [later, answer]) == (found,)
    with pytest.raises(MissingValue, match="who gave it"):
        replace(answer, by=" ")
    with pytest.raises(InputError, match="UTC"):
        replace(answer, at=datetime(2026, 1, 5))  # noqa: DTZ001
    act, old = prescriber(5, reason="r"), prescriber(5 - DAY - 1, by="prescriber2")
    with pytest.raises(WrongOrder, match="same day"):
        answer_rule(found, act, patient_id="p1", decision=Decision.PROCEED, policy=POLICY, cosigner=old)


def test_a_due_list_looks_at_times_with_a_zone() -> None:
    with pytest.raises(InputError, match="UTC"):
        measures(CourseState.INDUCTION, {"phq9": datetime(2026, 1, 5)}, None)  # noqa: DTZ001


def test_every_group_has_rules() -> None:
    assert {each.group for each in afterglow.clinic.rules().values()} == set(Group)


# What is dated, and what counts when -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "restarts"),
    [(ReviewKind.EARLY_NON_RESPONSE, False), (ReviewKind.END_OF_INDUCTION, True), (ReviewKind.PERIODIC, True)],
)
def test_only_a_review_of_benefit_restarts_its_six_months(kind: ReviewKind, *, restarts: bool) -> None:
    day = 24 * 60
    held = benefit_review(kind=kind, at=at(100 * day))
    maintained = course(state=CourseState.MAINTENANCE, reviews=(held,))

    def due(days: float) -> bool:
        found = reviews_due(maintained, at(days * day), sessions_given=9, improvement_pct=60.0, policy=POLICY)
        return ReviewKind.PERIODIC in found

    assert due(181) is not restarts
    assert (due(280), due(281)) == (not restarts, True)
    facts = aftercare_facts(maintained, (), at(150 * day), asked={})
    assert facts["review.days_since_exposure_review"] == (50 if restarts else 150)


def test_what_lies_ahead_does_not_count_yet() -> None:
    ahead = course(state=CourseState.INDUCTION, reviews=(benefit_review(at=at(10)),))
    with pytest.raises(GateClosed, match="benefit review"):
        move_course(ahead, "maintain", prescriber(9), policy=POLICY)
    assert move_course(ahead, "maintain", prescriber(10), policy=POLICY).now.state is CourseState.MAINTENANCE
    plan = course(state=CourseState.CONSENT, plan=PLAN, safety_plans=(SafetyPlan(by="nurse1", at=at(10)),))
    with pytest.raises(GateClosed, match="safety plan"):
        move_course(plan, "await_cover", prescriber(9), policy=POLICY)


def test_a_safety_plan_and_a_review_are_not_dated_before_the_induction() -> None:
    inducing = course(state=CourseState.INDUCTION, induced_at=at(10))
    with pytest.raises(WrongOrder, match="safety plan"):
        make_safety_plan(inducing, nurse(9))
    assert make_safety_plan(inducing, nurse(10)).now.safety_plans
    stop = benefit_review(decision=ReviewDecision.STOP, at=at(9))
    with pytest.raises(WrongOrder, match="benefit review"):
        record_review(inducing, stop, prescriber(9), sessions_given=1, policy=POLICY)


@pytest.mark.parametrize("state", sorted(INDUCED))
def test_a_course_under_treatment_says_when_its_induction_began(state: str) -> None:
    with pytest.raises(MissingValue, match="says when its induction began"):
        course(state=CourseState(state), induced_at=None)


def test_without_a_forecast_the_plans_interval_says_when_the_next_session_is_due() -> None:
    given = replace(cases.observing(), state=SessionState.CLOSED, left_at=at(200))
    week = course(state=CourseState.MAINTENANCE, plan=replace(PLAN, interval_days=7.0))

    def due(of: TreatmentCourse = week, **changes: Any) -> WorkItem | None:
        one = Standing(patient_id="p1", course=of, sessions=(given,), **changes)
        found = list_work([one], at(3 * 24 * 60), policy=POLICY)
        return next((each for each in found if each.kind is WorkKind.SESSION_DUE), None)

    item = due()
    assert item is not None
    assert item.due_at == at(15) + timedelta(days=7)
    assert item.text == "next session by the plan's interval, for the forecast gives no date, and none booked before"
    assert due(next_session_at=at(6 * 24 * 60)) is None
    forecast = due(next_due_at=at(5 * 24 * 60))
    assert forecast is not None
    assert (forecast.due_at, forecast.text) == (
        at(5 * 24 * 60),
        "next session by the forecast, and none booked before",
    )
    induction = due(replace(week, state=CourseState.INDUCTION), next_due_at=at(5 * 24 * 60))
    assert induction is not None
    assert (induction.due_at, induction.text) == (
        at(15) + timedelta(days=7),
        "next session by the plan's interval, and none booked before",
    )


def test_a_policy_is_not_signed_before_it_was_drafted_nor_before_the_version_before() -> None:
    director = cases.act(Role.MEDICAL_DIRECTOR, 10)
    first = draft_policy(director, version=1, changes={})
    assert first.drafted_at == at(10)
    with pytest.raises(WrongOrder, match="Signing a policy"):
        sign_policy(first, cases.act(Role.MEDICAL_DIRECTOR, 9), effective_from=at(20))
    signed = sign_policy(first, cases.act(Role.MEDICAL_DIRECTOR, 60), effective_from=at(60)).now
    second = draft_policy(cases.act(Role.MEDICAL_DIRECTOR, 30), version=2, changes={}, before=signed)
    with pytest.raises(WrongOrder, match="Signing a policy"):
        sign_policy(second, cases.act(Role.MEDICAL_DIRECTOR, 59), effective_from=at(70), before=signed)
    assert sign_policy(second, cases.act(Role.MEDICAL_DIRECTOR, 60), effective_from=at(70), before=signed).now
    tomorrow = sign_policy(first, cases.act(Role.MEDICAL_DIRECTOR, 60), effective_from=at(1440)).now
    with pytest.raises(WrongOrder, match="does not start before the version it follows"):
        sign_policy(second, cases.act(Role.MEDICAL_DIRECTOR, 60), effective_from=at(1439), before=tomorrow)
    last = sign_policy(second, cases.act(Role.MEDICAL_DIRECTOR, 60), effective_from=at(1440), before=tomorrow).now
    assert policy_at((tomorrow, last), at(1440)).version == last.version
    with pytest.raises(WrongState, match="signed already"):
        sign_policy(replace(last, signed_at=None), cases.act(Role.MEDICAL_DIRECTOR, 60), effective_from=at(1440))
    with pytest.raises(WrongOrder, match="A later version is signed already"):
        sign_policy(first, cases.act(Role.MEDICAL_DIRECTOR, 60), effective_from=at(1440), before=last)


def test_what_is_refused_never_reads_as_allowed() -> None:
    session = cases.sprayed(cases.dosing(), 15, "d1")
    with pytest.raises(TooEarly, match=r"found 4\.9 min after the one before; allowed: 5 min or more"):
        cases.sprayed(session, 15 + 4.99, "d2")
    with pytest.raises(TooEarly, match=r"found 35\.9 min; allowed: 36 of 40 min or more"):
        finish_dose(cases.dosing(Delivery.IV), nurse(15 + 35.99), policy=POLICY, amounts_ug=(("v1", 40_000),))
    old = cases.candidacy(minutes=0)
    with pytest.raises(GateClosed, match="found 31 days old, policy version 0; allowed: up to 30 days"):
        move_course(
            course(state=CourseState.CANDIDACY),
            "find_suitable",
            prescriber(30.2 * 24 * 60),
            policy=POLICY,
            candidacy=old,
        )


def test_who_sits_in_a_chair_or_comes_today_is_not_asked_to_be_booked() -> None:
    now = course(state=CourseState.MAINTENANCE, induced_at=at(0), plan=PLAN)
    given = replace(cases.observing(), state=SessionState.CLOSED)
    here = replace(given, id="s2", state=SessionState.ARRIVED, planned_at=at(200 * DAY), runs=())
    asked = {WorkKind.LAPSED, WorkKind.SESSION_DUE}

    def found(*sessions: TreatmentSession, after_min: float = 10, **more: object) -> set[WorkKind]:
        return asked & set(open_work(now, 200 * DAY + after_min, sessions=sessions, **more))

    assert found(given) == asked
    assert found(given, here) == set()
    assert found(here) == set()
    late = replace(here, state=SessionState.BOOKED)
    assert found(given, late) == set()  # expected ten minutes ago
    assert found(given, late, after_min=13 * 60) == asked  # forgotten: asked about by itself, and to be booked
    overdue: dict[str, Any] = {"next_due_at": at(190 * DAY)}
    assert found(given, next_session_at=at(200 * DAY + 300), **overdue) == set()
    assert found(given, next_session_at=at(203 * DAY), **overdue) == {WorkKind.SESSION_DUE}


def test_a_day_without_a_time_is_overdue_once_it_is_over_by_the_clinics_clock() -> None:
    due = at(0)  # a Monday, 09:00 UTC
    measure = DueMeasure(instrument="phq9", due_at=due, overdue=False, reason="every 28 days")
    one = Standing(patient_id="p1", course=course(), measures=(measure,))

    def overdue(hours: float, zone: str = "UTC") -> bool:
        found = list_work([one], due + timedelta(hours=hours), policy=POLICY, zone=ZoneInfo(zone))
        return next(each.overdue for each in found if each.kind is WorkKind.MEASURE_DUE)

    assert not overdue(3)  # noon of the same day
    assert overdue(15.1)  # 00:06 of the next
    assert not overdue(15.1, "America/Chicago")  # where it is evening yet


def test_an_alert_of_a_reading_is_due_at_the_next_reading_while_its_patient_is_here() -> None:
    session = cases.entered(cases.observing(Delivery.IM), 20, systolic_mmhg=165, diastolic_mmhg=88)
    found = judge(rule("S041"), {"bp.systolic": 165, "bp.diastolic": 88}, POLICY)
    alert = alert_from_finding(
        found, alert_id=f"{session.readings[-1].id}.S041", patient_id="p1", action="repeat", at=at(20), policy=POLICY
    )
    here = Standing(patient_id="p1", course=course(), sessions=(session,), alerts=(alert,))
    (item,) = (each for each in list_work([here], at(21), policy=POLICY) if each.kind is WorkKind.ALERT)
    assert item.due_at == at(25)  # S041 asks for one in five minutes
    gone = replace(here, sessions=(replace(session, left_at=at(22), state=SessionState.LEFT),))
    (item,) = (each for each in list_work([gone], at(23), policy=POLICY) if each.kind is WorkKind.ALERT)
    assert item.due_at == alert.respond_by
