"""From the inquiry to the signed plan: the decision with its reason, what is tried and not kept, and ways to go on."""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from pathlib import Path

import pytest
from tests.integration import care, desks
from tests.integration.desks import at_work, desk, without_policy
from tests.integration.stores import new_store

from afterglow.clinic import Decision, Delivery, Indication, Role
from afterglow.errors import (
    Conflict,
    GateClosed,
    InputError,
    MissingValue,
    NotPermitted,
    OutOfRange,
    SignAgain,
    UnknownName,
    WrongState,
)
from afterglow.quantities import DrugForm
from afterglow.store import facts
from afterglow.store.patients import Identifiers
from afterglow.store.records import Store
from afterglow.usecases import contacts, courses, intake, jobs, measures, patients, planning, policies
from afterglow.usecases.intake import Referrer
from afterglow.usecases.planning import PlanDraft
from afterglow.usecases.policies import Prices
from afterglow.usecases.work import Written

IV = PlanDraft(induction_sessions=6, interval_days=3.5, dose_mg_per_kg=0.5, infusion_min=40.0, weight_kg=80.0)


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return at_work(new_store(f"sqlite:///{tmp_path / 'records.db'}", tmp_path))


def inquiry(store: Store, *, delivery: Delivery = Delivery.IV, **changes: object) -> tuple[str, str]:
    """Course and patient."""
    drug = DrugForm.ESKETAMINE if delivery is Delivery.ESK else DrugForm.RACEMIC_KETAMINE
    known = Identifiers(**({"name": "Mara Lind", "born_on": date(1980, 4, 2)} | changes))  # type: ignore[arg-type]
    made = intake.inquire(
        desk(store, Role.COORDINATOR),
        known,
        referred_by=Referrer.PSYCHIATRIST,
        referrer="Dr Aho, Lake Street",
        asks="Two antidepressants have failed",
        delivery=delivery,
        drug=drug,
        indication=Indication.TRD,
    )
    return made.id, made.also[0]


def test_an_inquiry_is_patient_course_and_referral_at_once(store: Store) -> None:
    course, patient = inquiry(store)
    shown = intake.read_intake(desk(store, Role.NURSE), patient).shown
    assert shown.inquiry is not None
    assert (shown.inquiry.referrer, shown.course.id) == ("Dr Aho, Lake Street", course)  # type: ignore[union-attr]
    assert shown.identifiers is not None
    assert shown.assessment is not None
    assert "hx.avm" in shown.assessment.asked
    assert not {"age", "meds.lithium", "phq9.total"} & shown.assessment.asked
    assert intake.read_intake(desk(store, Role.COORDINATOR), patient).shown.assessment is None  # reads no charts


def test_a_referral_is_corrected_and_keeps_who_took_it(store: Store) -> None:
    course, patient = inquiry(store)
    nurse = desk(store, Role.NURSE)
    told = {"referred_by": Referrer.HOSPITAL, "referrer": "Ward 3 ", "asks": "Three have failed"}
    with pytest.raises(MissingValue) as found:
        intake.correct_inquiry(nurse, course, reason=" ", **told)  # type: ignore[arg-type]
    assert found.value.about == "reason"
    with pytest.raises(OutOfRange):
        intake.correct_inquiry(nurse, course, reason="x" * 501, **told)  # type: ignore[arg-type]
    before = intake.read_intake(nurse, patient).shown.inquiry
    desks.later(store, 5)
    intake.correct_inquiry(nurse, course, reason="Wrong practice", **told)  # type: ignore[arg-type]
    now = intake.read_intake(nurse, patient).shown.inquiry
    assert before is not None
    assert now == replace(before, referred_by=Referrer.HOSPITAL, referrer="Ward 3", asks="Three have failed")
    with store.read("north") as tx:
        first, second = facts.history(tx, intake.Inquiry, patient_id=patient)
    assert (second.supersedes, second.reason) == (first.id, "Wrong practice")


def test_a_course_without_a_first_contact_gets_its_referral(store: Store) -> None:
    care.open_clinic(store)
    patient, course = care.in_induction(store)
    nurse = desk(store, Role.NURSE)
    page = intake.read_intake(nurse, patient).shown
    assert (page.inquiry, page.given, page.may_write) == (None, 0, None)
    intake.correct_inquiry(nurse, course, referred_by=Referrer.SELF, reason="Nobody noted it")
    contacts.allow(nurse, patient)
    page = intake.read_intake(nurse, patient).shown
    assert page.inquiry is not None
    assert (page.inquiry.referred_by, page.inquiry.by, page.may_write) == (Referrer.SELF, "nurse-1", True)


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"born_on": date(2027, 1, 1)}, OutOfRange),
        ({"name": " "}, MissingValue),
        ({"email": "nowhere"}, OutOfRange),
    ],
)
def test_a_refused_inquiry_leaves_nobody(store: Store, changes: dict[str, object], error: type[Exception]) -> None:
    with pytest.raises(error):
        inquiry(store, **changes)  # type: ignore[arg-type]
    assert patients.find(desk(store, Role.NURSE), "Mara").shown == ()


def test_an_inquiry_is_refused_twice_and_for_what_nobody_gives(store: Store) -> None:
    inquiry(store)
    with pytest.raises(Conflict):
        inquiry(store)
    asked = {"referred_by": Referrer.SELF, "indication": Indication.TRD, "drug": DrugForm.RACEMIC_KETAMINE}
    someone = Identifiers(name="Somebody Else")
    with pytest.raises(OutOfRange) as found:
        intake.inquire(desk(store, Role.NURSE), someone, delivery=Delivery.ESK, **asked)  # type: ignore[arg-type]
    assert found.value.about == "treatment"
    with pytest.raises(OutOfRange):
        intake.inquire(desk(store, Role.NURSE), someone, delivery=Delivery.IV, asks="x" * 501, **asked)  # type: ignore[arg-type]


def test_what_is_tried_is_judged_and_not_kept(store: Store) -> None:
    course, patient = inquiry(store)
    nurse = desk(store, Role.NURSE)
    found = {each.rule: each for each in intake.try_candidacy(nurse, course, {"hx.avm": True}).shown.findings}
    assert found["C002"].verdict == "hit"
    assert found["C001"].verdict == "unknown"
    assert found["C001"].settles == ("history of aneurysmal vascular disease",)
    kept = intake.read_intake(nurse, patient).shown.assessment
    assert kept is not None
    assert "hx.avm" not in kept.noted
    with pytest.raises(OutOfRange):
        intake.try_candidacy(nurse, course, {"age": 30})
    with pytest.raises(UnknownName):
        intake.try_candidacy(nurse, course, {"hx.unheard_of": True})
    with pytest.raises(NotPermitted):
        intake.try_candidacy(desk(store, Role.COORDINATOR), course, {})


def test_the_decision_has_a_reason_and_moves_the_course(store: Store) -> None:
    patient = care.register(store)
    course = care.candidate(store, patient)
    prescriber = desk(store, Role.PRESCRIBER)
    with pytest.raises(SignAgain):
        decide(store, course, signed=False)
    with pytest.raises(MissingValue):
        decide(store, course, reason=" ")
    with pytest.raises(GateClosed):  # the endpoint of the plan is not set
        decide(store, course)
    waits = decide(store, course, Decision.DEFER, "The plan is missing")
    assert waits.state == "candidacy"
    planned = courses.plan(
        prescriber, course, endpoint="PHQ-9 halved", induction_sessions=6, interval_days=3.5, version=waits.version
    )
    assert decide(store, course, version=planned.version).state == "consent"
    with pytest.raises(WrongState):
        decide(store, course, version=planned.version + 1)
    told = intake.read_intake(prescriber, patient, course_id=course).shown.decisions
    assert [(each.decision, each.reason) for each in told] == [
        (Decision.DEFER, "The plan is missing"),
        (Decision.PROCEED, "Two trials failed, nothing against it"),
    ]
    assert "C064" in told[0].hits


def test_what_is_settled_later_is_no_answer_of_candidacy(store: Store) -> None:
    course = care.candidate(store, care.register(store), hx__sleep_apnoea=True)
    found = courses.read_candidacy(desk(store, Role.PRESCRIBER), course).shown
    assert [each.rule for each in found.open_now] == ["C022", "C064"]  # the endpoint waits for the plan
    assert [each.rule for each in found.later] == ["C062"]  # consent
    assert "C062" in {each.rule for each in found.open}


def test_who_is_not_suitable_ends_there(store: Store) -> None:
    course = care.candidate(store, care.register(store), hx__avm=True)
    assert decide(store, course, Decision.DECLINE, "Malformation").state == "stopped"
    assert courses.read_course(desk(store, Role.NURSE), course).shown.now.stop_reason == "not_a_candidate"


def decide(
    store: Store,
    course: str,
    decision: Decision = Decision.PROCEED,
    reason: str = "Two trials failed, nothing against it",
    *,
    version: int = 2,
    signed: bool = True,
) -> Written:
    by = desk(store, Role.PRESCRIBER, signed=signed)
    return intake.decide_candidacy(by, course, decision=decision, reason=reason, version=version)


def test_without_signed_thresholds_the_rules_are_shown_on_the_defaults(tmp_path: Path) -> None:
    store = without_policy(new_store(f"sqlite:///{tmp_path / 'records.db'}", tmp_path))
    _, patient = inquiry(store)
    shown = intake.read_intake(desk(store, Role.NURSE), patient).shown.assessment
    assert shown is not None
    assert shown.unsigned
    assert shown.candidacy.unknowns


def test_a_patient_without_a_course_has_a_page_and_no_plan(store: Store) -> None:
    patient = care.register(store)
    shown = intake.read_intake(desk(store, Role.NURSE), patient).shown
    assert (shown.course, shown.inquiry, shown.assessment, shown.units_left) == (None, None, None, 0)
    with pytest.raises(MissingValue):
        planning.read_plan(desk(store, Role.NURSE), patient)


def test_a_plan_is_signed_with_its_dose_inside_the_limits(store: Store) -> None:
    course, patient = inquiry(store)
    asked = {"endpoint": "PHQ-9 halved", "induction_sessions": 6, "interval_days": 3.5, "version": 1}
    dose = {"dose_mg_per_kg": 0.5, "infusion_min": 40.0, "weight_kg": 80.0}
    with pytest.raises(SignAgain):
        courses.plan(desk(store, Role.PRESCRIBER, signed=False), course, **asked, **dose)  # type: ignore[arg-type]
    prescriber = desk(store, Role.PRESCRIBER)
    for wrong in ({"dose_mg_per_kg": 50.0}, {"weight_kg": 700.0}, {"infusion_min": None}, {"dose_mg": 40.0}):
        with pytest.raises(InputError):
            courses.plan(prescriber, course, **(asked | dose | wrong))  # type: ignore[arg-type]
    courses.plan(prescriber, course, **asked, **dose)  # type: ignore[arg-type]
    shown = planning.read_plan(prescriber, patient).shown
    assert shown.course.now.plan is not None
    assert (shown.course.now.plan.dose_mg_per_kg, shown.weight_kg, shown.cost) == (0.5, 80.0, None)
    assert {each.unit for each in shown.guardrails} == {"mg/kg", "mg/kg/h", "h"}


def test_a_draft_is_judged_as_it_would_be_ordered(store: Store) -> None:
    course, _ = inquiry(store)
    nurse = desk(store, Role.NURSE)
    found = planning.try_plan(nurse, course, IV).shown
    assert found.dose is not None
    assert (found.dose.mg, found.dose.findings, found.cost) == (40.0, (), None)
    higher = planning.try_plan(nurse, course, PlanDraft(dose_mg_per_kg=1.2, infusion_min=40.0, weight_kg=80.0)).shown
    assert higher.dose is not None
    assert [each.rule for each in higher.dose.findings] == ["S019", "S022"]
    assert "outside the usual" in higher.dose.warnings[0]
    unweighed = planning.try_plan(nurse, course, PlanDraft(dose_mg_per_kg=0.5, infusion_min=40.0)).shown.dose
    assert unweighed is not None
    assert (unweighed.mg, unweighed.mg_per_kg) == (None, 0.5)  # without a weight nobody knows the amount
    assert planning.try_plan(nurse, course, PlanDraft()).shown == planning.JudgedPlan(dose=None, cost=None)


def test_costs_are_the_clinics_own(store: Store) -> None:
    course, patient = inquiry(store)
    coordinator = desk(store, Role.COORDINATOR)
    for wrong in (
        Prices(currency="usd", session=()),
        Prices(currency="USD", session=((Delivery.IV, 0),)),
        Prices(currency="USD", session=((Delivery.IV, 100_000_000),)),
    ):
        with pytest.raises(OutOfRange):
            policies.set_prices(coordinator, wrong)
    with pytest.raises(Conflict):
        policies.set_prices(coordinator, Prices(currency="USD", session=((Delivery.IV, 1), (Delivery.IV, 2))))
    policies.set_prices(coordinator, Prices(currency="USD", session=((Delivery.ESK, 60_000),)))
    assert planning.read_plan(coordinator, patient).shown.price is None  # a price of another treatment is none
    policies.set_prices(coordinator, Prices(currency="USD", session=((Delivery.IV, 45_000),)))
    shown = planning.read_plan(coordinator, patient).shown
    assert (shown.price, shown.label, shown.what_ifs) == (
        planning.Cost(currency="USD", sessions=1, hundredths=45_000),
        None,
        None,
    )
    found = planning.try_plan(desk(store, Role.NURSE), course, IV).shown.cost
    assert found is not None
    assert found.words == "2,700.00 USD"
    assert policies.read_readiness(coordinator).shown.prices == Prices(currency="USD", session=((Delivery.IV, 45_000),))


def test_ways_to_go_on_before_treatment(store: Store) -> None:
    course, patient = inquiry(store)
    nurse = desk(store, Role.NURSE)
    with pytest.raises(MissingValue):  # no score, so nothing to forecast from
        planning.compare(nurse, course, IV)
    measures.record(nurse, patient, "PHQ-9", total=19)
    policies.set_prices(desk(store, Role.COORDINATOR), Prices(currency="USD", session=((Delivery.IV, 45_000),)))
    found = planning.compare(nurse, course, IV).shown
    assert [(each.words, each.sessions) for each in found.rows] == [
        ("Weekly", 15),
        ("Every 2 weeks", 10),
        ("Every 4 weeks", 8),
        ("Stop", 6),
    ]
    assert found.rows[0].chance > found.rows[-1].chance
    assert planning.compare(nurse, course, replace(IV, weight_kg=None)).shown.rows  # the population's weights
    jobs.run_jobs(store)
    assert planning.read_plan(nurse, patient).shown.what_ifs is None  # a kept forecast has nothing to lose yet
    assert found.rows[-1].cost == planning.Cost(currency="USD", sessions=6, hundredths=270_000)
    for wrong, about in (
        (PlanDraft(), "induction_sessions"),
        (PlanDraft(induction_sessions=6), "interval_days"),
        (PlanDraft(induction_sessions=6, interval_days=3.5), "dose"),
        (
            PlanDraft(induction_sessions=60, interval_days=7.0, dose_mg_per_kg=0.5, infusion_min=40.0),
            "induction_sessions",
        ),
    ):
        with pytest.raises(InputError) as refused:
            planning.compare(nurse, course, wrong)
        assert refused.value.about == about


def test_under_treatment_the_kept_forecast_tells(store: Store) -> None:
    care.open_clinic(store)
    care.vial(store)
    patient, course = care.in_induction(store)
    first = care.book(store, course, minutes=1)
    care.dosing(store, first)
    care.left(store, first)
    care.later(store, 24 * 60)
    nurse = desk(store, Role.NURSE)
    measures.record(nurse, patient, "PHQ-9", total=18)
    jobs.run_jobs(store)
    told = planning.read_plan(nurse, patient).shown
    assert told.what_ifs is not None
    assert (told.what_ifs.rows, told.weight_kg) == ((), 80.0)
    assert told.what_ifs.refused is not None  # no relief yet that could be lost
    care.later(store, 24 * 60)
    measures.record(nurse, patient, "PHQ-9", total=4)
    jobs.run_jobs(store)
    rows = planning.read_plan(desk(store, Role.NURSE), patient, course_id=course).shown.what_ifs
    assert rows is not None
    assert [each.words for each in rows.rows] == ["Weekly", "Every 2 weeks", "Every 4 weeks", "Stop"]
    assert [each.sessions for each in rows.rows] == [12, 6, 3, 0]
