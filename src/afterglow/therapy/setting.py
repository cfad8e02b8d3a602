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

    @property
    def words(self) -> str:
        """Its name within a sentence.

        >>> Condition.SUICIDAL_IDEATION.words, Condition.PTSD.words
        ('suicidal ideation', 'PTSD')
        """
        return "PTSD" if self is Condition.PTSD else self.value.replace("_", " ")

    @property
    def heading(self) -> str:
        """Its name where a sentence begins.

        >>> Condition.SUICIDAL_IDEATION.heading, Condition.PTSD.heading
        ('Suicidal ideation', 'PTSD')
        """
        return self.words[0].upper() + self.words[1:]


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
