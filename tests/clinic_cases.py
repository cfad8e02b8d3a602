"""A clinic for tests: people, times, facts that let everything go on, and sessions at each stage."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, date, datetime, timedelta

from afterglow.clinic import (
    Act,
    Allergies,
    AllergyStatus,
    BodyWeight,
    Candidacy,
    Container,
    Delivery,
    DoseOrder,
    Indication,
    LeaveCheck,
    Medicine,
    MedicineList,
    Reading,
    Role,
    SitePolicy,
    TreatmentSession,
    arrive,
    assess_candidacy,
    attach_dose,
    check_dose,
    demo_policy,
    dose_facts,
    enter_reading,
    finish_dose,
    give_device,
    go,
    known_facts,
    latest_facts,
    medicine_facts,
    prepare_dose,
    receive,
    screen,
    start_dose,
    take_drug,
)
from afterglow.predicates import Fact
from afterglow.quantities import DrugForm

START = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)
POLICY: SitePolicy = demo_policy()
DEVICE_FACTS: dict[str, Fact | None] = {"device.green_dots_checked": True, "device.primed": False}


def at(minutes: float) -> datetime:
    """Minutes after the day's start."""
    return START + timedelta(minutes=minutes)


def act(role: Role, minutes: float = 0.0, *, by: str | None = None, reason: str | None = None) -> Act:
    return Act(by=by or f"{role}1", roles=(role,), at=at(minutes), reason=reason)


def nurse(minutes: float = 0.0, *, by: str | None = None, reason: str | None = None) -> Act:
    return act(Role.NURSE, minutes, by=by, reason=reason)


def prescriber(minutes: float = 0.0, *, by: str | None = None, reason: str | None = None) -> Act:
    return act(Role.PRESCRIBER, minutes, by=by, reason=reason)


def quiet_facts(**changes: Fact | None) -> dict[str, Fact | None]:
    """Facts under which no rule of candidacy is hit and nothing is unknown; double underscores stand for dots."""
    facts: dict[str, Fact | None] = {}
    for name, kind in known_facts().items():
        if kind is bool and name.split(".")[0] in {"hx", "dx", "sud", "meds", "tx", "allergy", "clinical", "pregnancy"}:
            facts[name] = False
    facts |= {f"workup.w{n:02d}.age_days": 0 for n in range(1, 18) if n != 13}
    facts |= {
        "age": 44,
        "vitals.systolic": 122,
        "vitals.diastolic": 76,
        "vitals.bmi": 24,
        "lab.child_pugh": "none",
        "lab.alt_ast_xuln": 1,
        "lab.uds": "negative",
        "pregnancy.test": "negative",
        "hx.nyha_class": 0,
        "cssrs.level": "none",
        "patient.sex_for_cutoff": "female",
        "audit_c.total": 0,
        "dast10.total": 0,
        "workup.pdmp_checked": True,
        "workup.w13.done": True,
        "trd.adequate_trials": 2,
        "trd.trial_adequate": True,
        "phq9.total": 18,
        "rems.patient_enrolled": True,
        "rems.setting_certified": True,
        "rems.prescriber_on_site": True,
        "rems.pulse_oximeter_present": True,
        "consent.current": True,
        "logistics.transport": True,
        "plan.prescriber_evaluation_done": True,
        "plan.endpoint_defined": True,
        "plan.team_review": True,
        "plan.home_unsupervised": False,
        "plan.indication": "trd",
        "plan.route": "esk",
        "intake.hours_since_alcohol": 200,
        "meds.diazepam_equivalent_mg_per_day": 0,
    }
    return facts | {name.replace("__", "."): value for name, value in changes.items()}


def gate_facts(**changes: Fact | None) -> dict[str, Fact | None]:
    """What is asked at arrival, all as it should be."""
    facts: dict[str, Fact | None] = {
        "rems.patient_enrolled": True,
        "rems.setting_certified": True,
        "rems.prescriber_on_site": True,
        "rems.pulse_oximeter_present": True,
        "intake.hours_since_food": 8,
        "intake.minutes_since_liquids": 120,
        "intake.minutes_since_nasal_drug": 600,
        "intake.hours_since_solid_food": 10,
        "intake.hours_since_clear_fluids": 4,
        "intake.hours_since_alcohol": 72,
        "logistics.escort_confirmed": True,
        "logistics.no_driving_confirmed": True,
        "checklist.arrival_complete": True,
        "cssrs_slc.item_4": False,
        "cssrs_slc.item_5": False,
        "cssrs_slc.behaviour": False,
        "meds.sedating_or_pressor_changed": False,
        "arrival.acute_illness": False,
        "arrival.intoxicated": False,
        "arrival.oriented": True,
        "staff.prescriber_in_facility": True,
        "staff.acls_on_site": True,
        "staff.second_bls_on_site": True,
        "equipment.emergency_set_checked": True,
        "age": 44,
        "schedule.treatment_week": 1,
        "schedule.sessions_in_7_days": 0,
    }
    return facts | {name.replace("__", "."): value for name, value in changes.items()}


def order(delivery: Delivery = Delivery.ESK, **changes: object) -> DoseOrder:
    """56 mg by device, or 0.5 mg/kg over 40 min, or what the route asks for."""
    amounts: dict[Delivery, dict[str, object]] = {
        Delivery.ESK: {"dose_mg": 56.0},
        Delivery.IV: {"dose_mg_per_kg": 0.5, "infusion_min": 40.0},
        Delivery.IM: {"dose_mg_per_kg": 0.5},
        Delivery.SC: {"dose_mg_per_kg": 0.5},
        Delivery.SL: {"dose_mg": 50.0},
        Delivery.PO: {"dose_mg": 50.0},
    }
    fields: dict[str, object] = {
        "id": "o1",
        "delivery": delivery,
        "drug": DrugForm.ESKETAMINE if delivery is Delivery.ESK else DrugForm.RACEMIC_KETAMINE,
        "indication": Indication.TRD,
        "ordered_by": "prescriber1",
        "ordered_at": at(0),
        **(amounts[delivery] if not {"dose_mg", "dose_mg_per_kg", "steps"} & set(changes) else {}),
        **changes,
    }
    return DoseOrder(**fields)  # type: ignore[arg-type]


def booked(delivery: Delivery = Delivery.ESK) -> TreatmentSession:
    drug = DrugForm.ESKETAMINE if delivery is Delivery.ESK else DrugForm.RACEMIC_KETAMINE
    return TreatmentSession(
        id="s1", patient_id="p1", course_id="c1", delivery=delivery, drug=drug, number=1, week=1, planned_at=at(30)
    )


def reading(minutes: float, number: int = 0, **values: object) -> Reading:
    """A set of readings, quiet unless told otherwise."""
    quiet: dict[str, object] = {
        "systolic_mmhg": 124,
        "diastolic_mmhg": 78,
        "heart_rate_per_min": 72,
        "spo2_pct": 98,
        "respiratory_rate_per_min": 14,
        "moaas": 5,
        "dissociated": False,
        "by": "nurse1",
    }
    fields = {**quiet, **values}
    name = f"r{minutes:g}.{number}"
    taken_at = fields.pop("taken_at", at(minutes))
    return Reading(id=name, taken_at=taken_at, entered_at=at(minutes), **fields)  # type: ignore[arg-type]


def entered(session: TreatmentSession, minutes: float, number: int = 0, **values: object) -> TreatmentSession:
    return enter_reading(session, reading(minutes, number, **values), nurse(minutes), policy=POLICY).now


def reconciled(*medicines: Medicine) -> MedicineList:
    return MedicineList(medicines=medicines, reconciled_at=at(5), reconciled_by="nurse1", visit="s1")


def candidacy(
    delivery: Delivery = Delivery.ESK, minutes: float = 8.0, changes: Mapping[str, Fact | None] | None = None
) -> Candidacy:
    facts = quiet_facts()
    allergies = Allergies(status=AllergyStatus.NONE_KNOWN)
    facts |= medicine_facts(reconciled(), allergies)
    facts |= {name.replace("__", "."): value for name, value in (changes or {}).items()}
    return assess_candidacy(facts, patient_id="p1", delivery=delivery, policy=POLICY, at=at(minutes))


def screened(delivery: Delivery = Delivery.ESK, changes: Mapping[str, Fact | None] | None = None) -> TreatmentSession:
    session = arrive(booked(delivery), nurse(0), policy=POLICY).now
    session = entered(session, 4)
    session = screen(session, nurse(6), facts=gate_facts(**(changes or {}))).now
    weight = BodyWeight(kg=80.0, measured_at=at(2))
    wanted = order(delivery)
    injected = delivery in {Delivery.IV, Delivery.IM, Delivery.SC}
    dose = prepare_dose(
        wanted,
        nurse(7),
        policy=POLICY,
        weight=weight,
        concentration_mg_per_ml=50 if injected else None,
        diluted=delivery is Delivery.IV,
    )
    check = check_dose(
        dose,
        nurse(8, by="nurse2"),
        policy=POLICY,
        amount_ug=dose.amount_ug,
        volume_ul=dose.volume_ul,
        concentration_ug_per_ul=dose.concentration_ug_per_ul,
    )
    return attach_dose(session, order=wanted, prepared=dose, check=check)


def facts_of_dose(session: TreatmentSession) -> dict[str, Fact | None]:
    assert session.order is not None
    weight = BodyWeight(kg=80.0, measured_at=at(2))
    found = dose_facts(
        session.order,
        session.prepared,
        weight=weight,
        weight_before=weight,
        number=session.number,
        week=session.week,
        age_years=44,
        at=at(10),
        policy=POLICY,
    )
    return found | latest_facts(session, POLICY)


def cleared(delivery: Delivery = Delivery.ESK) -> TreatmentSession:
    session = screened(delivery)
    return go(
        session,
        prescriber(10),
        facts=facts_of_dose(session),
        candidacy=candidacy(delivery),
        medicines=reconciled(),
        policy=POLICY,
    ).now


def dosing(delivery: Delivery = Delivery.ESK) -> TreatmentSession:
    session = cleared(delivery)
    dose = session.prepared
    assert dose is not None
    if delivery is Delivery.ESK:
        for device in ("d1", "d2"):
            session = take_drug(session, nurse(12), container_id=device, amount_ug=28_000).now
    else:
        session = take_drug(session, nurse(12), container_id="v1", amount_ug=dose.amount_ug + 10_000).now
    return start_dose(session, nurse(15), policy=POLICY).now


def observing(delivery: Delivery = Delivery.ESK) -> TreatmentSession:
    """Dose from minute 15; finished at 20 (devices), 55 (infusion) or 16 (the others)."""
    session = dosing(delivery)
    dose = session.prepared
    assert dose is not None
    if delivery is Delivery.ESK:
        for minute, device in ((15, "d1"), (20, "d2")):
            session = give_device(
                session, nurse(minute), container_id=device, device_facts=DEVICE_FACTS, policy=POLICY
            ).now
        return finish_dose(session, nurse(20)).now
    end = 55 if delivery is Delivery.IV else 16
    return finish_dose(session, nurse(end), amounts_ug=(("v1", dose.amount_ug),)).now


def leave_check(minutes: float, **changes: object) -> LeaveCheck:
    found: dict[str, object] = {
        "clinically_stable": True,
        "sedation_resolved": True,
        "dissociation_resolved": True,
        "respiratory_depression_resolved": True,
        "oriented_x3": True,
        "steady_gait": True,
        "escort_present": True,
        "instructions_given": True,
        "driving_ban_acknowledged": True,
        "out_of_hours_contact_given": True,
        "signed": True,
        "aldrete_total": 10,
        "padss_total": 10,
    }
    return LeaveCheck(session_id="s1", checked_at=at(minutes), by="nurse1", **(found | changes))  # type: ignore[arg-type]


def vial(container_id: str = "v1", amount_ug: int = 500_000) -> Container:
    return receive(
        nurse(0),
        container_id=container_id,
        lot="L1",
        drug=DrugForm.RACEMIC_KETAMINE,
        expires_on=date(2027, 1, 1),
        amount_ug=amount_ug,
        concentration_ug_per_ul=50,
    ).now
