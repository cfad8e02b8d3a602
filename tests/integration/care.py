"""A patient on the way through a clinic, by use cases alone."""

from __future__ import annotations

from datetime import date, timedelta
from typing import Any

from tests.clinic_cases import gate_facts, quiet_facts
from tests.integration.desks import actor, desk, later, now

from afterglow.clinic import (
    Allergies,
    AllergyStatus,
    Chair,
    ConsentMethod,
    Delivery,
    Indication,
    MedicineTrial,
    Role,
    TrialOutcome,
)
from afterglow.predicates import Fact
from afterglow.quantities import DrugForm
from afterglow.store.patients import Identifiers
from afterglow.store.records import Store
from afterglow.usecases import courses, diary, drugs, measures, patients, policies, room, sessions
from afterglow.usecases.patients import _HELD, _HELD_TOO
from afterglow.usecases.room import Vitals

FORM = "2026-1"
TRIALS = tuple(
    MedicineTrial(
        drug=drug,
        drug_class=kind,
        at_least_minimum_dose=True,
        weeks=8,
        improvement_pct=10,
        outcome=TrialOutcome.FAILED,
        this_episode=True,
    )
    for drug, kind in (("sertraline", "ssri"), ("venlafaxine", "snri"))
)


def asked(**changes: Fact | None) -> dict[str, Fact | None]:
    """What is asked of a patient in whom no rule is met; what the record holds itself is left out."""
    held = (*_HELD, *_HELD_TOO, "meds.", "phq9.", "workup.w13")
    return {name: value for name, value in quiet_facts(**changes).items() if not name.startswith(held)}


def open_clinic(store: Store) -> None:
    """Consent forms and chairs."""
    director = desk(store, Role.MEDICAL_DIRECTOR)
    for delivery in (Delivery.ESK, Delivery.IV):
        policies.publish_consent_form(director, delivery, version=FORM)
    chairs = (
        Chair(id="c1", deliveries=(Delivery.ESK, Delivery.IV)),
        Chair(id="c2", deliveries=(Delivery.ESK, Delivery.IV)),
    )
    policies.set_chairs(director, chairs, capacity=2)


def register(store: Store, name: str = "Anna Berger") -> str:
    known = Identifiers(name=name, born_on=date(1982, 5, 1), email="anna@example.org", record_number=f"R-{name}")
    return patients.register(desk(store, Role.COORDINATOR), known).id


def candidate(store: Store, patient_id: str, delivery: Delivery = Delivery.IV, **changes: Fact | None) -> str:
    """Everything asked, a score taken; the course waits for the prescriber's word."""
    nurse, prescriber = desk(store, Role.NURSE), desk(store, Role.PRESCRIBER)
    drug = DrugForm.ESKETAMINE if delivery is Delivery.ESK else DrugForm.RACEMIC_KETAMINE
    course_id = courses.open_course(
        desk(store, Role.COORDINATOR), patient_id, delivery=delivery, drug=drug, indication=Indication.TRD
    ).id
    courses.accept(desk(store, Role.COORDINATOR), course_id, emergency=False, version=1)
    patients.note_facts(nurse, patient_id, asked(**changes))
    patients.note_allergies(nurse, patient_id, Allergies(status=AllergyStatus.NONE_KNOWN))
    patients.reconcile_medicines(nurse, patient_id, (), visit="intake")
    patients.note_trials(prescriber, patient_id, TRIALS)
    measures.record(nurse, patient_id, "PHQ-9", answers=[2, 2, 3, 2, 2, 2, 2, 2, 0])
    return course_id


def in_induction(store: Store, delivery: Delivery = Delivery.IV, name: str = "Anna Berger") -> tuple[str, str]:
    """Patient and course, treatment started; six units of cover."""
    patient_id = register(store, name)
    course_id = candidate(store, patient_id, delivery)
    prescriber = desk(store, Role.PRESCRIBER)
    plan = courses.plan(
        prescriber, course_id, endpoint="PHQ-9 halved", induction_sessions=6, interval_days=3.5, version=2
    )
    found = courses.find_suitable(prescriber, course_id, version=plan.version)
    consent = courses.take_consent(
        prescriber,
        course_id,
        method=ConsentMethod.PAPER,
        off_label_stated=True,
        given_by="patient",
        version=found.version,
    )
    safe = courses.safety_plan(desk(store, Role.THERAPIST), course_id, version=consent.version)
    cover = courses.authorise(
        desk(store, Role.COORDINATOR),
        course_id,
        payer="Blue",
        units=6,
        starts_on=now(store).date(),
        ends_on=now(store).date() + timedelta(days=90),
        version=safe.version,
    )
    waiting = courses.await_cover(desk(store, Role.COORDINATOR), course_id, version=cover.version)
    courses.start(desk(store, Role.PRESCRIBER), course_id, version=waiting.version)
    return patient_id, course_id


def book(store: Store, course_id: str, *, minutes: float = 60, chair: str = "c1", dose_minutes: float = 40) -> str:
    """A session some minutes from now."""
    at = now(store) + timedelta(minutes=minutes)
    booked = diary.book_session(
        desk(store, Role.COORDINATOR), course_id, chair_id=chair, starts_at=at, dose_minutes=dose_minutes
    )
    return booked.id


GATES = ("rems.", "intake.", "logistics.", "checklist.", "cssrs_slc.", "arrival.", "staff.", "equipment.", "meds.sed")


def gates(**changes: Fact | None) -> dict[str, Fact | None]:
    """What is asked at arrival, all as it should be."""
    return {name: value for name, value in gate_facts(**changes).items() if name.startswith(GATES)}


def quiet(**changes: Any) -> Vitals:
    """Readings under which no rule is met."""
    values: dict[str, Any] = {
        "systolic_mmhg": 124,
        "diastolic_mmhg": 78,
        "heart_rate_per_min": 72,
        "spo2_pct": 98,
        "respiratory_rate_per_min": 14,
        "moaas": 5,
        "dissociated": False,
    }
    return Vitals(**(values | changes))


def vial(store: Store, container_id: str = "v1", amount_ug: int = 500_000) -> str:
    return drugs.receive_container(
        desk(store, Role.NURSE),
        container_id,
        lot="L1",
        drug=DrugForm.RACEMIC_KETAMINE,
        expires_on=date(2027, 1, 1),
        amount_ug=amount_ug,
        concentration_ug_per_ul=50,
    ).id


def device(store: Store, container_id: str) -> str:
    return drugs.receive_container(
        desk(store, Role.NURSE),
        container_id,
        lot="S1",
        drug=DrugForm.ESKETAMINE,
        expires_on=date(2027, 1, 1),
        amount_ug=28_000,
        concentration_ug_per_ul=None,
    ).id


def version_of(store: Store, session_id: str) -> int:
    return sessions.read_session(desk(store, Role.NURSE), session_id).shown.version


def screened(store: Store, session_id: str, delivery: Delivery = Delivery.IV, **changes: Fact | None) -> None:
    """Arrived, read, screened, medicines gone through, dose ordered, prepared and checked."""
    nurse, prescriber = desk(store, Role.NURSE), desk(store, Role.PRESCRIBER)
    sessions.check_in(desk(store, Role.COORDINATOR), session_id)
    patient_id = sessions.read_session(nurse, session_id).shown.session.patient_id
    room.read_vitals(nurse, session_id, quiet())
    sessions.screening(nurse, session_id, gates(**changes))
    patients.note_facts(
        nurse, patient_id, {"workup.w10.age_days": 0, "workup.w17.age_days": 0, "workup.w03.age_days": 0}
    )
    patients.reconcile_medicines(nurse, patient_id, (), visit=session_id)
    if delivery is Delivery.ESK:
        sessions.order(prescriber, session_id, dose_mg=56.0)
        sessions.prepare(nurse, session_id, weight_kg=80.0)
        sessions.second_check(desk(store, Role.NURSE, by="nurse-2"), session_id, amount_ug=56_000)
        return
    sessions.order(prescriber, session_id, dose_mg_per_kg=0.5, infusion_min=40.0)
    sessions.prepare(nurse, session_id, weight_kg=80.0, concentration_mg_per_ml=50, diluted=True)
    sessions.second_check(
        desk(store, Role.NURSE, by="nurse-2"),
        session_id,
        amount_ug=40_000,
        volume_ul=800,
        concentration_ug_per_ul=50,
    )


def dosing(store: Store, session_id: str) -> None:
    """An infusion that runs."""
    screened(store, session_id)
    sessions.say_go(desk(store, Role.PRESCRIBER), session_id, version=version_of(store, session_id))
    room.take(desk(store, Role.NURSE), session_id, "v1", amount_ug=50_000)
    room.start(desk(store, Role.NURSE), session_id, version=version_of(store, session_id))


LEAVING = dict.fromkeys(
    (
        "clinically_stable",
        "sedation_resolved",
        "dissociation_resolved",
        "respiratory_depression_resolved",
        "oriented_x3",
        "steady_gait",
        "escort_present",
        "instructions_given",
        "driving_ban_acknowledged",
        "out_of_hours_contact_given",
        "signed",
    ),
    True,
)


def left(store: Store, session_id: str) -> None:
    """The infusion ran, the patient was watched and has left."""
    nurse = desk(store, Role.NURSE)
    for _ in range(4):
        later(store, 10)
        room.read_vitals(nurse, session_id, quiet(systolic_mmhg=132, dissociated=True))
    room.end_dose(nurse, session_id, amounts_ug=(("v1", 40_000),))
    for _ in range(8):
        later(store, 15)
        room.read_vitals(nurse, session_id, quiet())
    done = {"aldrete": (2, 2, 2, 2, 2), "padss": (2, 2, 2, 2, 2)}
    room.let_go(nurse, session_id, LEAVING, **done, version=version_of(store, session_id))


def closed(store: Store, session_id: str) -> None:
    nurse = desk(store, Role.NURSE)
    witness = actor(store, Role.NURSE, by="nurse-2")
    room.waste_drug(nurse, session_id, "v1", amount_ug=10_000, reason="rest of the syringe", witness=witness)
    room.sign(desk(store, Role.NURSE), session_id)
    room.finish(nurse, session_id, version=version_of(store, session_id))


__all__ = ["actor", "book", "candidate", "desk", "in_induction", "later", "now", "open_clinic", "register"]
