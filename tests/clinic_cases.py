"""A clinic for tests: people, times, facts that let everything go on, and sessions at each stage."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta

from afterglow.clinic import (
    Act,
    Allergies,
    AllergyStatus,
    Authorisation,
    BodyWeight,
    Candidacy,
    Chart,
    Consent,
    ConsentMethod,
    Container,
    CourseState,
    Delivery,
    DoseOrder,
    Indication,
    LeaveCheck,
    Medicine,
    MedicineList,
    Reading,
    Role,
    SitePolicy,
    TreatmentCourse,
    TreatmentSession,
    arrive,
    assess_candidacy,
    attach_dose,
    check_dose,
    demo_policy,
    enter_reading,
    finish_dose,
    give_device,
    go,
    known_facts,
    medicine_facts,
    order_dose,
    prepare_dose,
    receive,
    screen,
    start_dose,
    take_drug,
)
from afterglow.clinic.containers import draw
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


def course(delivery: Delivery = Delivery.ESK, **changes: object) -> TreatmentCourse:
    """In induction, with a consent that stands and self-pay."""
    consent = Consent(
        version="2",
        delivery=delivery,
        method=ConsentMethod.PAPER,
        off_label_stated=True,
        given_by="p1",
        taken_by="nurse1",
        at=at(-60),
    )
    fields: dict[str, object] = {
        "id": "c1",
        "patient_id": "p1",
        "delivery": delivery,
        "drug": DrugForm.ESKETAMINE if delivery is Delivery.ESK else DrugForm.RACEMIC_KETAMINE,
        "indication": Indication.TRD,
        "state": CourseState.INDUCTION,
        "consents": (consent,),
        "authorisations": (Authorisation(id="a1", payer="self", units=None, self_pay=True, starts_on=at(0).date()),),
        "induced_at": at(-60),
        **changes,
    }
    return TreatmentCourse(**fields)  # type: ignore[arg-type]


def chart(delivery: Delivery = Delivery.ESK, **changes: object) -> Chart:
    """A chart that lets everything go on."""
    fields: dict[str, object] = {
        "course": course(delivery),
        "candidacy": candidacy(delivery),
        "medicines": reconciled(),
        "age_years": 44,
        "consent_version": "2",
        **changes,
    }
    return Chart(**fields)  # type: ignore[arg-type]


def prepared_for(session: TreatmentSession, wanted: DoseOrder, minutes: float = 7) -> TreatmentSession:
    """Ordered at 6, prepared and checked after it."""
    session = order_dose(session, wanted, prescriber(minutes - 1)).now
    injected = wanted.delivery in {Delivery.IV, Delivery.IM, Delivery.SC}
    dose = prepare_dose(
        wanted,
        nurse(minutes),
        policy=POLICY,
        weight=BodyWeight(kg=80.0, measured_at=at(2)),
        concentration_mg_per_ml=50 if injected else None,
        diluted=wanted.delivery is Delivery.IV,
    )
    check = check_dose(
        dose,
        nurse(minutes + 1, by="nurse2"),
        policy=POLICY,
        amount_ug=dose.amount_ug,
        volume_ul=dose.volume_ul,
        concentration_ug_per_ul=dose.concentration_ug_per_ul,
    )
    return attach_dose(session, dose, check, nurse(minutes + 1), policy=POLICY).now


def screened(delivery: Delivery = Delivery.ESK, changes: Mapping[str, Fact | None] | None = None) -> TreatmentSession:
    session = arrive(booked(delivery), nurse(0), policy=POLICY).now
    session = entered(session, 4)
    session = screen(session, nurse(6), facts=gate_facts(**(changes or {}))).now
    return prepared_for(session, order(delivery, ordered_at=at(6)))


def cleared(delivery: Delivery = Delivery.ESK) -> TreatmentSession:
    return go(screened(delivery), prescriber(10), chart=chart(delivery), policy=POLICY).now


def device(container_id: str) -> Container:
    return receive(
        nurse(0),
        container_id=container_id,
        lot="E1",
        drug=DrugForm.ESKETAMINE,
        expires_on=date(2027, 1, 1),
        amount_ug=28_000,
        concentration_ug_per_ul=None,
    ).now


def containers_for(session: TreatmentSession) -> tuple[tuple[Container, int], ...]:
    """Containers of a prepared dose, with what is taken from each."""
    dose = session.prepared
    assert dose is not None
    if session.delivery is Delivery.ESK:
        return tuple((device(f"d{n}"), 28_000) for n in range(1, dose.devices + 1))
    if dose.concentration_ug_per_ul is None:
        bottle = replace(vial(), concentration_ug_per_ul=None, balance_ul=0)
        return ((bottle, dose.amount_ug + 10_000),)
    return ((vial(), dose.amount_ug + 10_000),)


def taken(session: TreatmentSession, minutes: float = 12) -> TreatmentSession:
    for container, amount_ug in containers_for(session):
        session = take_drug(session, container, nurse(minutes), amount_ug=amount_ug).now[0]
    return session


def dosing(delivery: Delivery = Delivery.ESK) -> TreatmentSession:
    session = taken(cleared(delivery))
    return start_dose(session, nurse(15), chart=chart(delivery), policy=POLICY).now


def sprayed(session: TreatmentSession, minutes: float, container_id: str, **changes: object) -> TreatmentSession:
    given = {"device_facts": DEVICE_FACTS, "chart": chart(), "policy": POLICY, **changes}
    return give_device(session, nurse(minutes), container_id=container_id, **given).now  # type: ignore[arg-type]


def observing(delivery: Delivery = Delivery.ESK) -> TreatmentSession:
    """Dose from minute 15; finished at 20 (devices), 55 (infusion) or 16 (the others)."""
    session = dosing(delivery)
    dose = session.prepared
    assert dose is not None
    if delivery is Delivery.ESK:
        session = sprayed(sprayed(session, 15, "d1"), 20, "d2")
        return finish_dose(session, nurse(20), policy=POLICY).now
    end = 55 if delivery is Delivery.IV else 16
    return finish_dose(session, nurse(end), policy=POLICY, amounts_ug=(("v1", dose.amount_ug),)).now


def watched(delivery: Delivery = Delivery.ESK) -> TreatmentSession:
    """Observed with every planned set of readings, typed at minute 140."""
    session = observing(delivery)
    minutes = [15, 35, 55, 75, 105, 135] if delivery is Delivery.ESK else [15, *range(20, 141, 5)]
    for minute in minutes:
        typed = reading(140, minute, taken_at=at(minute), systolic_mmhg=140 if minute < 60 else 124)
        session = enter_reading(session, typed, nurse(140), policy=POLICY).now
    return session


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
        "aldrete": (2, 2, 2, 2, 2),
        "padss": (2, 2, 2, 2, 2),
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


def drawn(session: TreatmentSession, container_id: str = "v1") -> Container:
    """The container that a session drew from, as its own book has it."""
    box = vial(container_id) if session.delivery is not Delivery.ESK else device(container_id)
    mine = [each for each in session.drug_uses if each.container_id == container_id and each.kind == "drawn"]
    return draw(box, nurse(12), amount_ug=sum(each.amount_ug for each in mine), session_id=session.id).now
