"""What a flow sheet shows: sets as entered, drug, events, limits and what the model expects."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from afterglow.render.axes import Calendar
from afterglow.render.marks import Series

Lane = Literal["pressure", "heart rate", "oxygen"]


@dataclass(frozen=True, slots=True, kw_only=True)
class FlowReading:
    """One set as entered; what was not read is None. A draft is typed but not saved yet.

    Attributes:
        moaas: sedation, 5 (awake) to 0.
    """

    time_h: float
    systolic_mmhg: int | None = None
    diastolic_mmhg: int | None = None
    heart_rate_per_min: int | None = None
    spo2_pct: int | None = None
    moaas: int | None = None
    dissociated: bool | None = None
    draft: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class FlowEvent:
    """Something that happened: "nausea, mild"."""

    time_h: float
    label: str


@dataclass(frozen=True, slots=True, kw_only=True)
class FlowDose:
    """Drug given, or still planned: "39 mg in 40 min"; `end_h` equals `start_h` for what is given at once.

    Attributes:
        held: no drug ran in this stretch.
    """

    start_h: float
    end_h: float
    label: str
    planned: bool = False
    held: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class SiteLimit:
    """A site's limit in a lane: its value, and rule and status in words ("S041 160, signed 2 Sep")."""

    lane: Lane
    value: float
    label: str


@dataclass(frozen=True, slots=True, kw_only=True)
class PredictedBand:
    """Mean and standard deviation between people of a predicted value."""

    mean: Series
    sd: Series


@dataclass(frozen=True, slots=True, kw_only=True)
class PredictedSession:
    """What the model expects; a value whose start is not known has no band.

    Attributes:
        time_h: increasing, h on the sheet's clock.
        dissociation: chance of being dissociated, fractions.
    """

    time_h: Series
    systolic_mmhg: PredictedBand | None
    diastolic_mmhg: PredictedBand | None
    heart_rate_per_min: PredictedBand | None
    dissociation: Series


@dataclass(frozen=True, slots=True, kw_only=True)
class FlowSheet:
    """A session on one time axis; times are h since `clock.origin_at`.

    Attributes:
        now_h: None on paper and once the session is over.
        missed_h: planned sets that were not taken: lines break there.
        rests_on: what the prediction rests on, in a sentence without its stop; empty for the plan.
    """

    title: str
    clock: Calendar
    start_h: float
    end_h: float
    now_h: float | None
    next_reading_h: float | None
    leave_h: float | None
    readings: tuple[FlowReading, ...]
    doses: tuple[FlowDose, ...]
    events: tuple[FlowEvent, ...]
    limits: tuple[SiteLimit, ...]
    predicted: PredictedSession | None
    missed_h: tuple[float, ...] = ()
    rests_on: str = ""


def saved(sheet: FlowSheet) -> list[FlowReading]:
    """The sets that were saved."""
    return [each for each in sheet.readings if not each.draft]


def last_with(sheet: FlowSheet, has: Callable[[FlowReading], bool]) -> FlowReading | None:
    """The last saved set that holds something."""
    return next((each for each in reversed(saved(sheet)) if has(each)), None)


def rests_on(words: str) -> str:
    """What a prediction rests on, as one more sentence of a picture's words."""
    return f" {words}." if words else ""


def pressure_text(reading: FlowReading) -> str:
    """A pressure as people write it."""
    return f"{reading.systolic_mmhg}/{reading.diastolic_mmhg}"
