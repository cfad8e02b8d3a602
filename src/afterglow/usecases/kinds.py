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
    Diary,
    DoseGap,
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
    RateChange,
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
from afterglow.usecases.contacts import Contact
from afterglow.usecases.deciding import NextDecision
from afterglow.usecases.designs import PlannedTrial
from afterglow.usecases.forecast_queue import ForecastJob
from afterglow.usecases.importing import PastAnswers
from afterglow.usecases.intake import CandidacyDecision, Inquiry
from afterglow.usecases.jobs import ForecastPicture, ForecastRecord
from afterglow.usecases.measures import Answering, CheckIn, Measured
from afterglow.usecases.messages import OutgoingMessage, Route
from afterglow.usecases.papers import ChartNote
from afterglow.usecases.passes import Pass
from afterglow.usecases.patients import KnownFact, TrialHistory
from afterglow.usecases.people import Person
from afterglow.usecases.policies import ConsentForm, HelpLines, Prices
from afterglow.usecases.work import BrokenGlass, PatientAccess
from afterglow.usecases.worklists import FormSent

KINDS: Mapping[str, type] = MappingProxyType(
    {
        "adverse_event": AdverseEvent,
        "allergies": Allergies,
        "authorisation": Authorisation,
        "benefit_review": BenefitReview,
        "answering": Answering,
        "booking": Booking,
        "broken_glass": BrokenGlass,
        "alert": ClinicAlert,
        "chart_note": ChartNote,
        "candidacy_decision": CandidacyDecision,
        "check_in": CheckIn,
        "consent": Consent,
        "consent_form": ConsentForm,
        "contact": Contact,
        "container": Container,
        "diary": Diary,
        "dose_gap": DoseGap,
        "dose_order": DoseOrder,
        "drug_use": DrugUse,
        "emergency_assessment": EmergencyAssessment,
        "finding": Finding,
        "forecast": ForecastRecord,
        "forecast_job": ForecastJob,
        "forecast_picture": ForecastPicture,
        "form_sent": FormSent,
        "help_lines": HelpLines,
        "identifiers": Identifiers,
        "inquiry": Inquiry,
        "known_fact": KnownFact,
        "leave_check": LeaveCheck,
        "measured": Measured,
        "medicine_list": MedicineList,
        "medicine_trial": MedicineTrial,
        "movement": Movement,
        "next_decision": NextDecision,
        "outgoing_message": OutgoingMessage,
        "pass": Pass,
        "person": Person,
        "plan": Plan,
        "planned_trial": PlannedTrial,
        "prepared_dose": PreparedDose,
        "prices": Prices,
        "rate_change": RateChange,
        "reading": Reading,
        "route": Route,
        "rule_answer": RuleAnswer,
        "safety_plan": SafetyPlan,
        "score_reading": ScoreReading,
        "second_check": SecondCheck,
        "signed_note": SignedNote,
        "site_policy": SitePolicy,
        "trial_history": TrialHistory,
        "transitioned": Transitioned,
        "course": TreatmentCourse,
        "session": TreatmentSession,
        "patient_access": PatientAccess,
        "past_answers": PastAnswers,
        "past_score": RecordedScore,
        "past_session": RecordedSession,
        "scale_answers": ScaleAnswers,  # of imports before "past_answers": each held its whole instrument
        "scale_score": ScaleScore,
    }
)
