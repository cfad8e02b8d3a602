"""The files a person writes (protocol YAML, course CSV), read and written; errors name file and line."""

from afterglow.protocol.course import CourseRecord, RecordedEvent, RecordedScore, RecordedSession
from afterglow.protocol.course_file import parse_course, read_course, read_time, write_course
from afterglow.protocol.design import Endpoint, MaintenanceArm, TrialDesign
from afterglow.protocol.dropout import Analysis, Dropout
from afterglow.protocol.reference_page import protocol_markdown
from afterglow.protocol.treatment import Infusion
from afterglow.protocol.trial import (
    ArmSelection,
    AtRisk,
    CompletePopulation,
    ObservationPlan,
    Population,
    PublishedArms,
    RelapseQuestion,
    ScaleBounds,
    TrialProtocol,
    require_design,
    require_observation,
    require_population,
)
from afterglow.protocol.trial_file import parse_protocol, place_in_protocol, read_protocol, write_protocol

__all__ = [
    "Analysis",
    "ArmSelection",
    "AtRisk",
    "CompletePopulation",
    "CourseRecord",
    "Dropout",
    "Endpoint",
    "Infusion",
    "MaintenanceArm",
    "ObservationPlan",
    "Population",
    "PublishedArms",
    "RecordedEvent",
    "RecordedScore",
    "RecordedSession",
    "RelapseQuestion",
    "ScaleBounds",
    "TrialDesign",
    "TrialProtocol",
    "parse_course",
    "parse_protocol",
    "place_in_protocol",
    "protocol_markdown",
    "read_course",
    "read_protocol",
    "read_time",
    "require_design",
    "require_observation",
    "require_population",
    "write_course",
    "write_protocol",
]
