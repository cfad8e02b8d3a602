"""Many patients: what published trials reported, replicated from their protocols."""

from afterglow.trials.cohort import ArmPlan, CohortChunk, simulate_cohort
from afterglow.trials.moments import Statistic
from afterglow.trials.replicate import (
    Parts,
    Prediction,
    Replication,
    arm_plan,
    missed_of,
    outside_calibrated_people,
    replicate,
)
from afterglow.trials.running import Runner, here, on_cluster, run_design, spread
from afterglow.trials.trajectory import ArmTrajectory, simulate_trajectory
from afterglow.trials.virtual import (
    Basis,
    DesignChunk,
    DesignTask,
    Masking,
    arm_names,
    design_digest,
    design_tasks,
    planned_arms,
    simulate_trials,
)

__all__ = [
    "ArmPlan",
    "ArmTrajectory",
    "Basis",
    "CohortChunk",
    "DesignChunk",
    "DesignTask",
    "Masking",
    "Parts",
    "Prediction",
    "Replication",
    "Runner",
    "Statistic",
    "arm_names",
    "arm_plan",
    "design_digest",
    "design_tasks",
    "here",
    "missed_of",
    "on_cluster",
    "outside_calibrated_people",
    "planned_arms",
    "replicate",
    "run_design",
    "simulate_cohort",
    "simulate_trajectory",
    "simulate_trials",
    "spread",
]
