"""What a course is for and under which circumstances it is given: the words that the model knows."""

from __future__ import annotations

from enum import StrEnum


class Condition(StrEnum):
    """What is treated; each has its own read-out of the same plasticity, pain its own effect compartment."""

    DEPRESSION = "depression"
    SUICIDAL_IDEATION = "suicidal_ideation"
    ANXIETY = "anxiety"
    PTSD = "ptsd"
    PAIN = "pain"
    COGNITION = "cognition"


class Control(StrEnum):
    """What the other arm gets; none means that there is no other arm and the drug is given openly."""

    NONE = "none"
    SALINE = "saline"
    MIDAZOLAM = "midazolam"
    PLACEBO_SPRAY = "placebo_spray"
    MASKED = "masked"


class Setting(StrEnum):
    """Where the patients are treated."""

    OUTPATIENT = "outpatient"
    INPATIENT = "inpatient"


class Enrolment(StrEnum):
    """How patients came in: a trial's screening inflates the first score, a clinic's does not."""

    TRIAL = "trial"
    CLINIC = "clinic"


class Arm(StrEnum):
    """An arm of a trial, or the difference of the two."""

    ACTIVE = "active"
    CONTROL = "control"
    CONTRAST = "contrast"
