"""Patients who leave a trial, with a chance that may depend on how they are doing."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

import numpy as np

from afterglow.errors import OutOfRange, UnknownName, echo
from afterglow.evidence import sources, trial_keys
from afterglow.therapy.kinetics import FloatArray

ASSUMED = "assumed"


class Analysis(StrEnum):
    """Whose scores a result counts."""

    INTENTION_TO_TREAT = "intention_to_treat"
    COMPLETERS = "completers"


@dataclass(frozen=True, slots=True, kw_only=True)
class Dropout:
    """Who leaves, and whose scores count.

    A patient is scored at a visit and may leave after it. The log odds of leaving run straight from the first chance
    to the second as true improvement goes from none to all symptoms.

    Args:
        unimproved: chance of leaving after a visit without any improvement.
        recovered: the same for somebody who has lost all symptoms; the same number: leaving says nothing about outcome.
        source: key of a source or a trial, or "assumed".
        visits_h: visits after which patients may leave, h since the first session; empty means every asked time.
        analysis: which result is asked for; the other one is given too.
    """

    unimproved: float
    recovered: float
    source: str
    visits_h: tuple[float, ...] = ()
    analysis: Analysis = Analysis.INTENTION_TO_TREAT

    def __post_init__(self) -> None:
        for name in ("unimproved", "recovered"):
            chance = getattr(self, name)
            if not 0 < chance < 1:
                raise OutOfRange(
                    f"dropout.{name} is refused",
                    observed=f"{100 * chance:g} %",
                    allowed="over 0 % to under 100 % a visit",
                    about=f"dropout.{name}",
                )
        if self.source not in {ASSUMED, *sources(), *trial_keys()}:
            raise UnknownName(
                "No source or trial has this key",
                observed=echo(self.source),
                next_step=f"Name a source or a trial, or write {ASSUMED} where nothing was published",
                about="dropout.source",
            )

    def leaving(self, left: FloatArray) -> FloatArray:
        """Chance of leaving after a visit.

        Args:
            left: symptoms left at the visit, as a fraction of baseline, any shape; improvement beyond none or all
                counts as none or all.

        >>> rule = Dropout(unimproved=0.5, recovered=0.1, source="assumed")
        >>> rule.leaving(np.array([1.0, 0.5, 0.0])).round(3).tolist()
        [0.5, 0.25, 0.1]
        """
        first, second = (np.log(chance / (1.0 - chance)) for chance in (self.unimproved, self.recovered))
        log_odds = first + (second - first) * (1.0 - np.clip(left, 0.0, 1.0))
        chance: FloatArray = 1.0 / (1.0 + np.exp(-log_odds))
        return chance

    def staying(self, left: FloatArray, times_h: FloatArray, visits_h: tuple[float, ...]) -> FloatArray:
        """Chance of still being in the trial at each time, (n_patients, n_times).

        Args:
            left: (n_patients, n_times), symptoms left.
            times_h: (n_times,), increasing.
            visits_h: those of `times_h` after which patients may leave.

        >>> rule = Dropout(unimproved=0.5, recovered=0.1, source="assumed")
        >>> rule.staying(np.array([[1.0, 1.0, 0.0]]), np.array([1.0, 2.0, 3.0]), (1.0, 2.0)).tolist()
        [[1.0, 0.5, 0.25]]
        """
        stays = np.where(np.isin(times_h, visits_h), 1.0 - self.leaving(left), 1.0)
        after = np.cumprod(stays, axis=1)
        return np.concatenate([np.ones((len(left), 1)), after[:, :-1]], axis=1)
