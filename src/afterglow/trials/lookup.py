"""The baseline that the model must beat: the average of the same kind of arm at that time, and how trials differ.

From calibration and context figures alone. A cell is: drug, control or difference; the statistic; the time. An empty
cell takes all times, then all arms of the statistic. A trial never predicts itself.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from afterglow.provenance import Role
from afterglow.quantities import HOURS_PER_DAY
from afterglow.trials.arms import ScoredFigure, scale_rule
from afterglow.trials.moments import Statistic
from afterglow.trials.predictive import Interval

_Z95 = 1.6448536269514722
_CUTS_DAYS = (0.5, 1.5, 10.0, 45.0)
_SINGLE_SAMPLING = 10.0  # Assumption: percentage points of sampling error where a figure prints none and has no n
_Key = tuple[object, ...]


class Lookup:
    """Averages of published figures, in per cent.

    Args:
        figures: all; those that are neither calibration nor context are not looked at.

    >>> from afterglow.trials.arms import scored_figures
    >>> figures = scored_figures()
    >>> one = next(f for f in figures if f.trial.key == "ionescu2021_aspire2")
    >>> found = Lookup(figures).predict(one)
    >>> found.lo90 < found.value < found.hi90
    True
    """

    def __init__(self, figures: Sequence[ScoredFigure]) -> None:
        self._known = [f for f in figures if f.trial.role in (Role.CALIBRATION, Role.CONTEXT)]

    @staticmethod
    def per_cent(f: ScoredFigure) -> float:
        """Factor from the figure's unit to per cent of what could be improved."""
        if f.statistic not in (Statistic.MEAN_CHANGE, Statistic.MEAN_SCORE):
            return 1.0
        return 100.0 / (f.arm.baseline[f.scale][0] - scale_rule(f.scale, f.arm).bounds.lowest)

    def predict(self, f: ScoredFigure) -> Interval | None:
        """What the table says of a figure, in per cent; None where it has no figure of the statistic."""
        others = [g for g in self._known if g.trial.key != f.trial.key]
        for level in range(3):
            same = [g for g in others if _key(g, level) == _key(f, level)]
            if same:
                break
        else:
            return None
        values = _by_trial(same)
        mean = float(np.mean(list(values.values())))
        spread = self._between(others, f.statistic) * np.sqrt(1.0 + 1.0 / len(values))
        half = _Z95 * float(np.hypot(spread, self._sampling(f, mean)))
        return Interval(value=mean, lo90=mean - half, hi90=mean + half)

    @staticmethod
    def _between(known: Sequence[ScoredFigure], statistic: Statistic) -> float:
        """Standard deviation of trials about their cell's average; where no cell has two, about the statistic's."""
        for level in range(3):
            squares, freedom = 0.0, 0
            cells: dict[_Key, list[ScoredFigure]] = {}
            for g in known:
                if g.statistic is statistic:
                    cells.setdefault(_key(g, level), []).append(g)
            for cell in cells.values():
                values = np.array(list(_by_trial(cell).values()))
                squares += float(np.sum((values - values.mean()) ** 2))
                freedom += len(values) - 1
            if freedom:
                return float(np.sqrt(squares / freedom))
        return 0.0

    def _sampling(self, f: ScoredFigure, mean: float) -> float:
        if f.se is not None:
            return f.se * self.per_cent(f)
        n = f.n if f.n is not None else f.arm.n
        if n is None or f.statistic in (Statistic.MEAN_CHANGE, Statistic.MEAN_SCORE):
            return _SINGLE_SAMPLING
        chance = float(np.clip(mean / 100.0, 0.5 / n, 1.0 - 0.5 / n))
        return 100.0 * float(np.sqrt(chance * (1.0 - chance) / n))


def _key(f: ScoredFigure, level: int) -> _Key:
    arm = "difference" if f.control is not None else "control" if f.arm.given is None else "drug"
    cut = int(np.searchsorted(_CUTS_DAYS, f.time_h / HOURS_PER_DAY))
    return (f.statistic, arm, cut, f.of)[: 4 - level] if level < 2 else (f.statistic, arm == "difference")


def _by_trial(figures: Sequence[ScoredFigure]) -> dict[str, float]:
    """Average of each trial's figures, in per cent."""
    found: dict[str, list[float]] = {}
    for g in figures:
        found.setdefault(g.trial.key, []).append(g.value * Lookup.per_cent(g))
    return {key: float(np.mean(values)) for key, values in found.items()}
