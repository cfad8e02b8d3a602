"""The files a person writes (protocol YAML, course CSV), read and written; errors name file and line."""

from afterglow.protocol.trial import (
    ArmSelection,
    AtRisk,
    CompletePopulation,
    Infusion,
    ObservationPlan,
    Population,
    PublishedArms,
    RelapseQuestion,
    ScaleBounds,
    TrialProtocol,
    require_observation,
    require_population,
)
from afterglow.protocol.trial_file import parse_protocol, read_protocol, write_protocol

__all__ = [
    "ArmSelection",
    "AtRisk",
    "CompletePopulation",
    "Infusion",
    "ObservationPlan",
    "Population",
    "PublishedArms",
    "RelapseQuestion",
    "ScaleBounds",
    "TrialProtocol",
    "parse_protocol",
    "read_protocol",
    "require_observation",
    "require_population",
    "write_protocol",
]
