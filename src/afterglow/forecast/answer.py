"""What goes into one patient's forecast and what comes out; the same input always gives the same answer."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum

from afterglow.errors import MissingValue, OutOfRange, WrongOrder
from afterglow.therapy.kinetics import FloatArray
from afterglow.therapy.regimen import Regimen
from afterglow.therapy.setting import Condition

DEFAULT_LIMIT = 0.10  # Policy, until a medical director signs another: the chance of relapse before the next session.
LIMITS = (0.01, 0.5)  # outside it a limit is a slip, not a choice


class Method(StrEnum):
    """How the patient's scores were used."""

    REWEIGHT = "reweight"
    LAPLACE = "laplace"
    NONE = "none"


class WarningCode(StrEnum):
    """What a reader of a forecast must know; stable across versions."""

    PROVISIONAL = "model_provisional"
    EXTRAPOLATION = "intervals_extrapolated"
    NO_BASELINE = "no_score_before_treatment"
    PERCENT_ONLY = "percent_of_baseline_only"
    STALE = "last_score_old"
    FAR = "patient_unlike_population"
    LAPLACE = "reweighting_poor"
    OUT_OF_RANGE = "outside_calibrated_range"
    UNUSUAL_DOSE = "unusual_dose"
    UPPER_BOUND = "drug_part_upper_bound"
    NO_SCORE = "no_score"
    UNEXPLAINED = "mostly_unexplained"
    RELAPSE_MISSED = "relapse_predicted_too_high"
    SELF_REPORT_MISSED = "self_report_improves_more"
    INTERVALS_MISSED = "intervals_too_narrow"


class RelapseState(StrEnum):
    """Where the person stands with relapse; only who is well can relapse.

    well: more likely than not under the cut-off now. reached: was under it after a session and is over it now.
    not_improved: no score after a session has been under it. unknown: no score after a session, and more likely over
    it than not. not_started: no session yet.
    """

    WELL = "well"
    REACHED = "reached"
    NOT_IMPROVED = "not_improved"
    UNKNOWN = "unknown"
    NOT_STARTED = "not_started"


@dataclass(frozen=True, slots=True, kw_only=True)
class ForecastWarning:
    """A warning as data: a stable code and a sentence for people."""

    code: WarningCode
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class PatientScore:
    """A score at a time; exactly one of the two values is set.

    Args:
        at_h: h since the origin of the course.
        scale: name of the instrument.
        points: total score.
        fraction_of_baseline: the score as a fraction of the one before treatment, where only that is known.
    """

    at_h: float
    scale: str
    points: float | None = None
    fraction_of_baseline: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class RelapseRule:
    """What counts as relapse, and on whose authority."""

    scale: str
    score_at_least: float
    source: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ForecastInput:
    """Everything a forecast depends on.

    Args:
        origin_at: the time origin, UTC: the first session, or the first event where there is none yet.
        now_h: where the forecast starts, h since the origin; no score or given session lies after it.
        condition: what is treated.
        scores: in order of time.
        given: sessions given.
        planned: sessions planned after `now_h`.
        weight_kg: None takes the population's spread.
        age_years: None when unknown.
        limit: largest accepted chance of relapse before the next session.
        relapse: the clinic's rule; None takes the published default of the scale.
        seed: of the virtual patients.
    """

    origin_at: datetime
    now_h: float
    condition: Condition
    scores: tuple[PatientScore, ...]
    given: Regimen
    planned: Regimen = field(default_factory=Regimen)
    weight_kg: float | None = None
    age_years: float | None = None
    limit: float = DEFAULT_LIMIT
    relapse: RelapseRule | None = None
    seed: int = 0

    def __post_init__(self) -> None:
        low, high = LIMITS
        if not low <= self.limit <= high:
            raise OutOfRange(
                "The relapse limit is refused",
                observed=f"{100 * self.limit:g} %",
                allowed=f"{100 * low:g} to {100 * high:g} %",
            )
        if not self.scores and not self.given.administrations and not self.planned.administrations:
            raise MissingValue("A forecast needs a score, a session, or a plan")
        past = [score.at_h for score in self.scores] + list(self.given.starts_h)
        if past and max(past) > self.now_h:
            raise WrongOrder(
                "A score or session lies after the time the forecast starts from",
                observed=f"{self.at(max(past)):%Y-%m-%d %H:%M} UTC",
                allowed=f"up to {self.at(self.now_h):%Y-%m-%d %H:%M} UTC",
                next_step="Move --now, or leave out what came later",
            )
        if any(start <= self.now_h for start in self.planned.starts_h):
            raise WrongOrder("A planned session lies before the forecast starts", next_step="Move the plan after --now")

    def at(self, time_h: float) -> datetime:
        """The moment of a time on the course's clock."""
        return self.origin_at + timedelta(hours=time_h)


@dataclass(frozen=True, slots=True, kw_only=True)
class AfterglowStrip:
    """What relief is made of on average, at the trajectory's days and, where sessions are split, as each one acts.

    Args:
        times_h: increasing, h since the origin.
        drug, expectancy, care, control: as in `Trajectory`, shape (n_times,).
        drug_layers: (n_sessions, n_times), what each session, given and planned, adds to `drug`; empty unless
            asked for.
    """

    times_h: FloatArray
    drug: FloatArray
    expectancy: FloatArray
    care: FloatArray
    control: FloatArray
    drug_layers: FloatArray


@dataclass(frozen=True, slots=True, kw_only=True)
class Trajectory:
    """One row a day from the first score (or the origin) to 13 weeks after now; shape (n_days,) each.

    Args:
        times_h: h since the origin.
        median, lo50, hi50, lo90, hi90: of the next score that would be written down, on the forecast's scale; before
            now, of a score as the model sees that day with mood left open.
        drug, expectancy, care: points of relief credited to each on average.
        drug_lo90, drug_hi90: central 90 % of the drug's credit over everybody this patient might be, doubt about how
            much of it is expectancy included.
        control: expected score of the same person without the drug, believing the same at the same visits.
        p_response, p_remission: chance that a score written that day would show it; nan where it is not defined.
        strip: what the relief behind the scores is made of.
    """

    times_h: FloatArray
    median: FloatArray
    lo50: FloatArray
    hi50: FloatArray
    lo90: FloatArray
    hi90: FloatArray
    drug: FloatArray
    drug_lo90: FloatArray
    drug_hi90: FloatArray
    expectancy: FloatArray
    care: FloatArray
    control: FloatArray
    p_response: FloatArray
    p_remission: FloatArray
    strip: AfterglowStrip


@dataclass(frozen=True, slots=True, kw_only=True)
class RelapseForecast:
    """When relapse, as defined, is reached if no further session is given: of the true score, judged once a day.

    Args:
        definition: in words, with the scale and its cut-off.
        source: on whose authority.
        score_at_least: the cut-off.
        median_days: after now; None when later than the horizon, or where there is no relief to lose.
        p_by_day: (days after now, chance of having reached it); empty where there is no relief to lose.
        reached: whether relief was there and is more likely than not lost now.
        state: where the person stands.
        reason: that in a sentence.
    """

    definition: str
    source: str
    score_at_least: float
    median_days: float | None
    p_by_day: tuple[tuple[float, float], ...]
    reached: bool
    state: RelapseState
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class NextDue:
    """The last day by which the chance of relapse without another session stays under the limit.

    `on_h`, `at_half_h` and `at_twice_h` are h since the origin, each a day before the chance reaches the limit, half or
    twice of it: it holds to the end of that calendar day. None where the limit is passed already, or not within the
    horizon, as `reason` says.
    """

    limit: float
    on_h: float | None
    at_half_h: float | None
    at_twice_h: float | None
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class IntervalChoice:
    """A maintenance interval from now on: extrapolation, since no trial compared intervals."""

    days: int
    p_well_12w: float
    sessions_12w: int


@dataclass(frozen=True, slots=True, kw_only=True)
class EarlyNonResponse:
    """Whether the first sessions have brought too little: under 20 % improvement by the third or fourth session.

    `called` is None where too few sessions or scores are known; `chance` is that true improvement is under 20 %.
    """

    called: bool | None
    chance: float | None
    reason: str
    source: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Forecast:
    """One patient's forecast.

    Args:
        given: the input, so that the forecast can be replayed.
        model: population version.
        status: provisional or calibrated.
        method: how the scores were used; none means that there is no forecast, because of `reason`.
        ess: effective number of virtual patients behind the answer.
        khat: Pareto shape of the weights; over 0.7 they cannot be trusted. None where no score was used.
        reason: why there is no forecast, or why the method changed; empty otherwise.
        scale: the scale of the last score, which the trajectory is on.
        unit: points, or "% of baseline".
        lowest, highest: range of that scale.
        baseline: level before treatment on that scale.
        trajectory: None without a forecast; the same for what follows.
        p_response, p_remission: chance that a score written now would show it; None where it is not defined.
        reliable_change: a sentence on the last score against the first; None without two scores of one scale.
    """

    given: ForecastInput
    model: str
    status: str
    method: Method
    ess: float
    khat: float | None
    reason: str
    scale: str
    unit: str
    lowest: float
    highest: float
    baseline: float | None
    trajectory: Trajectory | None
    p_response: float | None
    p_remission: float | None
    relapse: RelapseForecast | None
    next_due: NextDue | None
    intervals: tuple[IntervalChoice, ...]
    early_nonresponse: EarlyNonResponse
    reliable_change: str | None
    warnings: tuple[ForecastWarning, ...]
