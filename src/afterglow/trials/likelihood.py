"""How well values of the population agree with published arms: a normal likelihood, trial effects integrated out.

Rows of one arm share patients, so they share a covariance: the correlation comes from the virtual cohort, the standard
error from the page (means) or from the predicted chance (percentages). What a trial adds to drug relief, expectancy and
care is integrated out to first order, which adds the between-trial spread to that covariance.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np

from afterglow.provenance import Role
from afterglow.quantities import HOURS_PER_DAY
from afterglow.records import read_record
from afterglow.therapy.kinetics import FloatArray
from afterglow.therapy.population import Population
from afterglow.therapy.setting import Condition
from afterglow.trials.arms import ArmDesign, ReadAt, read_design, scored_figures
from afterglow.trials.moments import Statistic
from afterglow.trials.reported import ArmRun, arm_runs, run_doubts, sampled_correlation

N_TRIAL_EFFECTS = 3
_STEP = 0.25  # of a standard-normal deviate, for the effect of a trial
_SCALE_OF = "MADRS"


@dataclass(frozen=True, slots=True, kw_only=True)
class FitRow:
    """One published number that enters the likelihood, or a class-level result that enters as a prior.

    Args:
        trial: whose effects it shares; a class-level result is a trial of its own.
        label: for people.
        arm, minus: the arm, and the one taken from it for a difference.
        scale: of both.
        read: what is read off.
        value: points, or a chance from 0 to 1.
        se: standard error; None where it follows from the chance and `n`.
        n: patients; None where those at risk of relapse are not counted.
        prior: whether it is a class-level result.
    """

    trial: str
    label: str
    arm: ArmDesign
    minus: ArmDesign | None
    scale: str
    read: ReadAt
    value: float
    se: float | None
    n: int | None
    prior: bool


def fit_rows(condition: Condition, *, roles: Sequence[Role] = (Role.CALIBRATION,)) -> tuple[FitRow, ...]:
    """Figures of single arms that a fit may use; held-out figures never pass.

    Raises: ValueError for a role that is never fitted.

    >>> len(fit_rows(Condition.DEPRESSION)) > 50
    True
    """
    if not set(roles) <= {Role.CALIBRATION, Role.CONTEXT}:
        raise ValueError("Only calibration figures are fitted, with context figures to choose structure")
    rows = []
    for f in scored_figures():
        if f.trial.role not in roles or f.condition is not condition or f.control is not None:
            continue
        pct = f.statistic not in (Statistic.MEAN_CHANGE, Statistic.MEAN_SCORE)
        of, words = f" of {f.of}" if f.of else "", f.statistic.replace("_", " ")
        rows.append(
            FitRow(
                trial={"salloum2019": "fava2020"}.get(f.trial.key, f.trial.key),
                label=f"{f.trial.key} {f.arm.arm}: {words}{of}, day {f.time_h / HOURS_PER_DAY:.3g}",
                arm=f.arm,
                minus=None,
                scale=f.scale,
                read=f.read_at,
                value=f.value / 100.0 if pct else f.value,
                se=f.se,
                n=f.n if f.n is not None else f.arm.n,
                prior=False,
            )
        )
    return tuple(rows)


@cache
def class_priors() -> tuple[tuple[FitRow, str, str], ...]:
    """Class-level results as rows, each with the words it comes from and its overlap; data/class_priors.yaml."""
    record = read_record(Path(__file__).parent / "data", "class_priors.yaml")
    if record.whole("schema") != 1:
        raise record.fault("is of an unknown version", key="schema", allowed="1")
    found = []
    for name, one in record.mapping("priors").items():
        study, overlap, words = one.text("study"), one.text("overlap"), one.text("from")
        arm = read_design(one.record("arm"), key=study, name=name)
        against = one.record("minus", None)
        statistic = one.word("statistic", Statistic)
        factor = 1.0 if statistic is Statistic.MEAN_CHANGE else 0.01
        row = FitRow(
            trial=name,
            label=f"{study}: {words}",
            arm=arm,
            minus=None if against is None else read_design(against, key=study, name=f"{name}_control"),
            scale=_SCALE_OF,
            read=ReadAt(statistic=statistic, time_h=one.number("day") * HOURS_PER_DAY),
            value=factor * one.number("value"),
            se=factor * one.number("se"),
            n=None,
            prior=True,
        )
        found.append((one.close(row), words, overlap))
    return record.close(tuple(found))


class Likelihood:
    """The rows of a fit with the arms that predict them.

    Args:
        population: prior of the values; deviates are in units of its doubts.
        rows: what is fitted.
        persons: virtual patients an arm, the same under every value.
    """

    def __init__(self, population: Population, rows: Sequence[FitRow], *, persons: int) -> None:
        self.population, self.rows, self.persons = population, tuple(rows), persons
        self.size = len(population.uncertain)
        wanted = [(arm, row.scale, row.read) for row in rows for arm in (row.arm, row.minus) if arm is not None]
        self.runs = arm_runs(wanted)
        self.trials = tuple(dict.fromkeys(row.trial for row in rows))
        self.of_trial = {t: [i for i, row in enumerate(rows) if row.trial == t] for t in self.trials}
        self.values = np.array([row.value for row in rows])
        self._correlation = self._correlations()

    def predict(
        self, deviates: FloatArray, effects: FloatArray, progress: Callable[[float], None] | None = None
    ) -> tuple[FloatArray, FloatArray]:
        """Predicted rows and their sampling standard errors, (n_draws, n_rows) each.

        Args:
            deviates: (n_draws, size), of the uncertain values.
            effects: (n_draws, 3), of the trial, the same for every trial.
            progress: called with the fraction done.
        """
        doubts = np.concatenate([deviates, effects], axis=1)
        mean = np.zeros((len(doubts), len(self.rows)))
        error = np.zeros_like(mean)
        for k, run in enumerate(self.runs):
            found = run_doubts(self.population, run, doubts, persons=self.persons)
            for i, row in enumerate(self.rows):
                for arm, sign in ((row.arm, 1.0), (row.minus, -1.0)):
                    if arm is None or not _reads(run, arm, row):
                        continue
                    got = found[row.read]
                    mean[:, i] += sign * got.mean
                    n = np.maximum((row.n or 1) * (got.at_risk if _counts_at_risk(row) else 1.0), 1.0)
                    # Half a patient is added to either side, so that a chance near 0 or 1 is not held for certain.
                    floor = 0.5 / (n + 1.0)
                    error[:, i] = np.sqrt(np.maximum(got.variance, floor * (1.0 - floor)) / n)
            if progress:
                progress((k + 1) / len(self.runs))
        for i, row in enumerate(self.rows):
            if row.se is not None:
                error[:, i] = row.se
        return mean, error

    def log_density(self, deviates: FloatArray, progress: Callable[[float], None] | None = None) -> FloatArray:
        """Log-likelihood with the trials' effects integrated out to first order, (n_draws,)."""
        mean, error, slopes = self.with_slopes(deviates, progress)
        total = np.zeros(len(deviates))
        for trial in self.trials:
            for draw in range(len(deviates)):
                covariance = self.covariance(trial, error[draw], slopes[draw])
                here = self.of_trial[trial]
                total[draw] += _normal_log_density(self.values[here] - mean[draw, here], covariance)
        return total

    def with_slopes(
        self, deviates: FloatArray, progress: Callable[[float], None] | None = None
    ) -> tuple[FloatArray, FloatArray, FloatArray]:
        """Predicted rows, their errors, and their slopes on the trial's effects, (n_draws, n_rows, 3)."""
        n = len(deviates)
        effects = np.concatenate([np.zeros((1, N_TRIAL_EFFECTS)), _STEP * np.eye(N_TRIAL_EFFECTS)])
        repeated = np.repeat(deviates, len(effects), axis=0)
        mean, error = self.predict(repeated, np.tile(effects, (n, 1)), progress)
        mean = mean.reshape(n, len(effects), -1)
        error = error.reshape(n, len(effects), -1)[:, 0]
        slopes = np.moveaxis((mean[:, 1:] - mean[:, :1]) / _STEP, 1, 2)
        return mean[:, 0], error, slopes

    def covariance(self, trial: str, error: FloatArray, slopes: FloatArray) -> FloatArray:
        """Covariance of the rows of a trial: sampling and between trials."""
        here = self.of_trial[trial]
        sampling = self.sampling(trial) * np.outer(error[here], error[here])
        between: FloatArray = slopes[here] @ slopes[here].T
        return sampling + between

    def sampling(self, trial: str) -> FloatArray:
        """Correlation of the rows of a trial because they come from the same patients."""
        here = self.of_trial[trial]
        found: FloatArray = self._correlation[np.ix_(here, here)]
        return found

    def _correlations(self) -> FloatArray:
        found = np.eye(len(self.rows))
        for run in self.runs:
            at = {
                run.reads.index(row.read): i
                for i, row in enumerate(self.rows)
                if not row.prior and _reads(run, row.arm, row)
            }
            if len(at) > 1:
                within = sampled_correlation(self.population, run)
                for a, i in at.items():
                    for b, j in at.items():
                        found[i, j] = 0.99 * within[a, b] if i != j else 1.0
        return found


def _reads(run: ArmRun, arm: ArmDesign, row: FitRow) -> bool:
    return run.design.key == arm.key and run.scale == row.scale and row.read in run.reads


def _counts_at_risk(row: FitRow) -> bool:
    """Whether `n` counts the arm, of whom only those at risk can relapse."""
    return row.read.of is not None and row.arm.stratum is None


def _normal_log_density(residual: FloatArray, covariance: FloatArray) -> float:
    factor = np.linalg.cholesky(covariance)
    white = np.linalg.solve(factor, residual)
    return float(-0.5 * white @ white - np.log(np.diag(factor)).sum() - 0.5 * len(residual) * np.log(2.0 * np.pi))
