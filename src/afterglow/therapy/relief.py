"""From plasticity to relief and to the score a clinician would write down.

    D  = D_max A^g / (A^g + A50^g)                              drug part
    E  = e [(1 - f) 2^(-s/T1) + f 2^(-s/T2)]                    expectancy, s = time since the last session
    N  : 1 - N = (1 - N0) (1 - nu (1 - 2^(-t/12 d)))            care: time, attention, regression to the mean
    y0 = (1 - D)(1 - E)(1 - N)                                  symptoms left, as a fraction of baseline
    y  = y0 + sqrt(y0) x                                        x: mood fluctuation, zero at the baseline score
    score = baseline (1 - rho (1 - y)) + error                  then the scale's range and whole numbers

Expectancy is refreshed by a session, it does not add up. From active arms only D + E is identified, so the part
credited to the drug is an upper bound. Source: this project's model, docs/explanation/model.md.
"""

from __future__ import annotations

from dataclasses import astuple, dataclass, fields
from enum import StrEnum
from typing import TYPE_CHECKING

import numpy as np

from afterglow.errors import InputError
from afterglow.quantities import HOURS_PER_DAY, rate_from_half_life
from afterglow.therapy.course import CourseTable
from afterglow.therapy.kinetics import FloatArray
from afterglow.therapy.plasticity import Plasticity, simulate_plasticity

if TYPE_CHECKING:
    from afterglow.therapy.kinetics import ExposureModes

CARE_HALF_TIME_H = (
    12.0 * HOURS_PER_DAY
)  # Assumption of the model equations: how fast care acts; owner: the model, ADR 0004.
_COMPILED_FROM = 20_000  # Below this many courses loading the compiled kernel costs more than it saves (benchmarks).
_TINY = 1e-300
_LARGEST = 700.0


class Execution(StrEnum):
    """Which implementation runs a course; both use the same tables and agree to 1e-12."""

    REFERENCE = "reference"
    COMPILED = "compiled"

    @classmethod
    def for_courses(cls, count: int) -> Execution:
        """The faster way to run that many courses in one process."""
        return cls.COMPILED if count >= _COMPILED_FROM else cls.REFERENCE


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadOut:
    """How a virtual patient's plasticity becomes relief; every array has shape (n_patients,).

    Args:
        half_relief: A50, plasticity (block-hours) or effect-site level (ng/mL) of half the largest drug relief.
        steepness: g, Hill exponent.
        largest_drug_relief: D_max, fraction of baseline.
        expectancy: e, fraction of baseline just after a session.
        lasting_expectancy: f, share of expectancy that fades slowly.
        expectancy_fast_half_life_h: T1.
        expectancy_slow_half_life_h: T2.
        inflation: N0, fraction of baseline that is screening inflation and regression to the mean.
        care: nu, fraction of baseline that care takes away in the long run; negative is worsening.
    """

    half_relief: FloatArray
    steepness: FloatArray
    largest_drug_relief: FloatArray
    expectancy: FloatArray
    lasting_expectancy: FloatArray
    expectancy_fast_half_life_h: FloatArray
    expectancy_slow_half_life_h: FloatArray
    inflation: FloatArray
    care: FloatArray

    def __post_init__(self) -> None:
        for field in fields(self):
            values = getattr(self, field.name)
            if values.shape != self.half_relief.shape or not np.all(np.isfinite(values)):
                raise InputError(f"{field.name} must be finite, one value a patient")


@dataclass(frozen=True, slots=True, kw_only=True)
class Relief:
    """The three parts at the asked times, as fractions; shape (n_patients, n_times) each."""

    times_h: FloatArray
    drug: FloatArray
    expectancy: FloatArray
    care: FloatArray

    @property
    def left(self) -> FloatArray:
        """y0: symptoms left as a fraction of baseline, before mood fluctuation."""
        left: FloatArray = 1.0 - self.drug
        left *= 1.0 - self.expectancy
        left *= 1.0 - self.care
        return left

    def shares(self) -> tuple[FloatArray, FloatArray, FloatArray]:
        """Fraction of baseline credited to drug, expectancy and care: the Shapley average over their orders.

        The product is not additive, so a part's credit is its average over all orders in which the three can be
        taken away; the shares add up to 1 - `left` exactly in exact arithmetic and stay finite everywhere.

        Source: Shapley LS, A value for n-person games (1953), for three players.

        >>> none = np.array([[0.0]])
        >>> r = Relief(times_h=np.zeros(1), drug=np.array([[0.5]]), expectancy=none, care=none)
        >>> [float(part[0, 0]) for part in r.shares()]
        [0.5, 0.0, 0.0]
        """
        d, e, n = self.drug, self.expectancy, self.care

        def credit(mine: FloatArray, other: FloatArray, third: FloatArray) -> FloatArray:
            share: FloatArray = mine * (1.0 - (other + third) / 2.0 + other * third / 3.0)
            return share

        return credit(d, e, n), credit(e, d, n), credit(n, d, e)


def simulate_relief(
    table: CourseTable,
    *,
    modes: ExposureModes | None,
    weight_kg: FloatArray,
    chain: Plasticity,
    readout: ReadOut,
    execution: Execution | None = None,
) -> Relief:
    """Relief of virtual patients under a course.

    Args:
        table: the course, with the channels of `modes`.
        modes: effect-site concentration model; None for an arm without drug.
        weight_kg: (n_patients,).
        chain: plasticity parameters.
        readout: relief parameters.
        execution: None takes the compiled kernel from 20,000 courses on.

    Returns: zeros before the origin and before the first session.
    """
    n = len(weight_kg)
    execution = execution or Execution.for_courses(n)
    if modes is None:
        drug, expectancy = np.zeros((n, len(table.times_h))), _expectancy(table, readout)
    elif execution is Execution.COMPILED:
        from afterglow.therapy import kernel  # noqa: PLC0415  numba costs 0.3 s that small runs need not pay

        drug, expectancy = kernel.simulate(
            table,
            rates_per_h=modes.rates_per_h,
            amplitude=modes.amplitude,
            weight_kg=weight_kg,
            chain=np.array(astuple(chain)),
            readout=readout_rows(readout),
        )
    else:
        states = simulate_plasticity(
            table, rates_per_h=modes.rates_per_h, amplitude=modes.amplitude, weight_kg=weight_kg, chain=chain
        )
        drug, expectancy = drug_relief(states.total, readout), _expectancy(table, readout)
    return Relief(times_h=table.times_h, drug=drug, expectancy=expectancy, care=_care(table, readout))


def drug_relief(memory: FloatArray, readout: ReadOut) -> FloatArray:
    """D for plasticity (or an effect-site level) of shape (n_patients, n_times); zero where there is none."""
    log_ratio = np.log(readout.half_relief)[:, None] - np.log(np.maximum(memory, _TINY))
    exponent = np.minimum(readout.steepness[:, None] * log_ratio, _LARGEST)
    relief: FloatArray = readout.largest_drug_relief[:, None] / (1.0 + np.exp(exponent))
    return relief


def readout_rows(readout: ReadOut) -> FloatArray:
    """(7, n_patients): what the kernel needs of a read-out, logarithms and rates taken once."""
    return np.array(
        [
            np.log(readout.half_relief),
            readout.steepness,
            readout.largest_drug_relief,
            readout.expectancy,
            readout.lasting_expectancy,
            rate_from_half_life(1.0) / readout.expectancy_fast_half_life_h,
            rate_from_half_life(1.0) / readout.expectancy_slow_half_life_h,
        ]
    )


def _expectancy(table: CourseTable, readout: ReadOut) -> FloatArray:
    rows = readout_rows(readout)[:, :, None]
    fast, slow = np.exp(-table.since_session_h * rows[5]), np.exp(-table.since_session_h * rows[6])
    level: FloatArray = rows[3] * ((1.0 - rows[4]) * fast + rows[4] * slow)
    return level


def _care(table: CourseTable, readout: ReadOut) -> FloatArray:
    """N = 1 - (1 - N0)(1 - nu p), multiplied out so that one pass over the array is enough."""
    if not (readout.inflation.any() or readout.care.any()):  # as in a clinic
        return np.zeros((len(readout.care), len(table.times_h)))
    begun = (table.times_h > 0).astype(np.float64)
    progress = begun - begun * np.exp2(-np.maximum(table.times_h, 0.0) / CARE_HALF_TIME_H)
    share: FloatArray = np.multiply.outer(readout.care * (1.0 - readout.inflation), progress)
    share += np.multiply.outer(readout.inflation, begun)
    return share


@dataclass(frozen=True, slots=True, kw_only=True)
class MoodFluctuation:
    """x, an Ornstein-Uhlenbeck process that is zero at the baseline score.

    Args:
        sd: stationary standard deviation, fraction of baseline.
        correlation_h: time constant in h.
    """

    sd: float | FloatArray
    correlation_h: float

    def variance(self, times_h: FloatArray) -> FloatArray:
        """Variance of x at times since the baseline score; zero before it. Shape (n_times,) or (n, n_times).

        >>> MoodFluctuation(sd=0.25, correlation_h=240.0).variance(np.array([0.0, 1e6]))
        array([0.    , 0.0625])
        """
        growth = 1.0 - np.exp(-2.0 * np.maximum(times_h, 0.0) / self.correlation_h)
        sd = np.asarray(self.sd)
        variance: FloatArray = sd[..., None] ** 2 * growth if sd.ndim else sd**2 * growth
        return variance

    def paths(self, times_h: FloatArray, deviates: FloatArray) -> FloatArray:
        """Exact sample paths at increasing times, from standard-normal deviates of shape (n, n_times)."""
        sd = np.asarray(self.sd, dtype=np.float64)
        x = np.zeros(deviates.shape)
        value, before = np.zeros(len(deviates)), 0.0
        for i, time in enumerate(np.maximum(times_h, 0.0)):
            keep = float(np.exp(-(time - before) / self.correlation_h))
            value = keep * value + sd * np.sqrt(1.0 - keep * keep) * deviates[:, i]
            x[:, i], before = value, float(time)
        return x


@dataclass(frozen=True, slots=True, kw_only=True)
class ScaleLink:
    """How a fraction of baseline shows on one scale.

    Args:
        name: scale.
        lowest, highest: range in points.
        whole_numbers: whether only whole scores exist.
        following: rho, how far the scale follows the state; 1 for clinician ratings, less for self-report.
        error_sd: measurement error in points.
    """

    name: str
    lowest: float
    highest: float
    whole_numbers: bool
    following: float | FloatArray
    error_sd: float | FloatArray

    def expected(self, baseline: FloatArray, left: FloatArray) -> FloatArray:
        """Score without error or bounds: baseline (n,) with left (n, n_times) -> (n, n_times)."""
        following = np.asarray(self.following)
        rho = following[:, None] if following.ndim else following
        score: FloatArray = self.lowest + (baseline - self.lowest)[:, None] * (1.0 - rho * (1.0 - left))
        return score

    def sd(self, baseline: FloatArray, left: FloatArray, mood_variance: FloatArray) -> FloatArray:
        """Standard deviation of the score around `expected`: mood and measurement error, (n, n_times)."""
        following, error = np.asarray(self.following), np.asarray(self.error_sd)
        rho = following[:, None] if following.ndim else following
        noise = error[:, None] if error.ndim else error
        swing = ((baseline - self.lowest)[:, None] * rho) ** 2 * np.maximum(left, 0.0) * mood_variance
        spread: FloatArray = np.sqrt(swing + noise**2)
        return spread

    def at_most(self, points: FloatArray | float) -> FloatArray:
        """The latent score below which the written one is at most `points`: half a point more on whole numbers."""
        points = np.asarray(points, dtype=np.float64)
        return np.floor(points) + 0.5 if self.whole_numbers else points

    def below(self, points: FloatArray | float) -> FloatArray:
        """The latent score below which the written one is below `points`."""
        points = np.asarray(points, dtype=np.float64)
        return np.ceil(points) - 0.5 if self.whole_numbers else points
