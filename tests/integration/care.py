"""A patient on the way through a clinic, by use cases alone."""

from __future__ import annotations

from datetime import date, timedelta

from tests.clinic_cases import quiet_facts
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
from afterglow.usecases import courses, diary, measures, patients, policies
from afterglow.usecases.patients import _HELD, _HELD_TOO

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


__all__ = ["actor", "book", "candidate", "desk", "in_induction", "later", "now", "open_clinic", "register"]
