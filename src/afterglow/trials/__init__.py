"""Many patients: what published trials reported, replicated from their protocols."""

from afterglow.trials.cohort import ArmPlan, CohortChunk, simulate_cohort
from afterglow.trials.moments import Statistic
from afterglow.trials.replicate import Parts, Prediction, Replication, arm_plan, replicate
from afterglow.trials.trajectory import ArmTrajectory, simulate_trajectory

__all__ = [
    "ArmPlan",
    "ArmTrajectory",
    "CohortChunk",
    "Parts",
    "Prediction",
    "Replication",
    "Statistic",
    "arm_plan",
    "replicate",
    "simulate_cohort",
    "simulate_trajectory",
]
