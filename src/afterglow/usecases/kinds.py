"""What a clinic's records hold: the classes of facts and heads, by the name that is stored with them for good.

A name stays when its class moves or is renamed; a class that is no longer written stays here as long as rows of it lie
in anybody's database.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from afterglow.clinic import (
    AdverseEvent,
    Allergies,
    Authorisation,
    BenefitReview,
    Booking,
    ClinicAlert,
    Consent,
    Container,
    DoseOrder,
    DrugUse,
    EmergencyAssessment,
    Finding,
    LeaveCheck,
    MedicineList,
    MedicineTrial,
    Movement,
    Plan,
    PreparedDose,
    Reading,
    RuleAnswer,
    SafetyPlan,
    ScoreReading,
    SecondCheck,
    SignedNote,
    SitePolicy,
    Transitioned,
    TreatmentCourse,
    TreatmentSession,
)
from afterglow.protocol import RecordedScore, RecordedSession
from afterglow.scales import ScaleAnswers, ScaleScore
from afterglow.store.patients import Identifiers

KINDS: Mapping[str, type] = MappingProxyType(
    {
        "adverse_event": AdverseEvent,
        "allergies": Allergies,
        "authorisation": Authorisation,
        "benefit_review": BenefitReview,
        "booking": Booking,
        "alert": ClinicAlert,
        "consent": Consent,
        "container": Container,
        "dose_order": DoseOrder,
        "drug_use": DrugUse,
        "emergency_assessment": EmergencyAssessment,
        "finding": Finding,
        "identifiers": Identifiers,
        "leave_check": LeaveCheck,
        "medicine_list": MedicineList,
        "medicine_trial": MedicineTrial,
        "movement": Movement,
        "plan": Plan,
        "prepared_dose": PreparedDose,
        "reading": Reading,
        "rule_answer": RuleAnswer,
        "safety_plan": SafetyPlan,
        "score_reading": ScoreReading,
        "second_check": SecondCheck,
        "signed_note": SignedNote,
        "site_policy": SitePolicy,
        "transitioned": Transitioned,
        "course": TreatmentCourse,
        "session": TreatmentSession,
        "past_score": RecordedScore,
        "past_session": RecordedSession,
        "scale_answers": ScaleAnswers,
        "scale_score": ScaleScore,
    }
)
