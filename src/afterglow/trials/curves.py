"""Predicted curves of published arms with the figures that lie on them: visual predictive checks and relapse curves.

An arm whose page prints a change from baseline is followed in changes, one whose patients are looked at for relapse in
the share that has relapsed. The bands are those of `validate`: what a trial of that size would report.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from afterglow.quantities import HOURS_PER_DAY
from afterglow.therapy.population import Population, load_population
from afterglow.therapy.setting import Condition
from afterglow.trials.arms import ArmDesign, ReadAt, ScoredFigure
from afterglow.trials.moments import Statistic
from afterglow.trials.predictive import Interval
from afterglow.trials.reported import arm_runs, run_draws
from afterglow.trials.validate import predicted

N_DRAWS, PATIENTS_PER_DRAW = 256, 64
_POINTS = 20  # of a curve
_FIRST_H = 2.0  # expectancy has no onset in the model: earlier hours are not to be read
_FOLLOWED = (Statistic.MEAN_CHANGE, Statistic.RELAPSE_PCT)


@dataclass(frozen=True, slots=True, kw_only=True)
class ArmCurve:
    """One statistic of one arm over time.

    Args:
        figures: what was published of it, in order of time; they share arm, scale, statistic and who is at risk.
        times_h: increasing.
        predicted: at each of the times, with the 90 % interval of a trial of that size; points or per cent.
    """

    figures: tuple[ScoredFigure, ...]
    times_h: tuple[float, ...]
    predicted: tuple[Interval, ...]


def arm_curves(
    figures: Sequence[ScoredFigure],
    *,
    seed: int = 0,
    populations: Callable[[Condition], Population] = load_population,
    n_draws: int = N_DRAWS,
    patients_per_draw: int = PATIENTS_PER_DRAW,
    progress: Callable[[float], None] | None = None,
) -> tuple[ArmCurve, ...]:
    """The curves of every arm with a published change or relapse, in the order of the figures.

    Args:
        figures: others are passed over, differences of arms too.
        seed: same seed, same curves.
        populations: from a condition to its population.
        n_draws: draws of the population for each arm.
        patients_per_draw: virtual patients of each.
        progress: called with the fraction done.

    >>> from afterglow.trials.arms import scored_figures
    >>> some = [f for f in scored_figures() if f.trial.key == "murrough2013_ajp" and f.scale == "MADRS"]
    >>> [(c.figures[0].arm.arm, len(c.figures)) for c in arm_curves(some, n_draws=8, patients_per_draw=8)]
    [('ket05', 1), ('midaz', 1)]
    """
    groups: dict[tuple[tuple[str, str], str, Statistic, str | None], list[ScoredFigure]] = {}
    for f in figures:
        if f.control is None and f.statistic in _FOLLOWED:
            groups.setdefault((f.arm.key, f.scale, f.statistic, f.of), []).append(f)
    found = []
    for done, some in enumerate(groups.values()):
        first = some[0]
        reads = [ReadAt(statistic=first.statistic, time_h=t, of=first.of) for t in _times(first.arm, some)]
        (run,) = arm_runs((first.arm, first.scale, read) for read in reads)
        got = run_draws(
            populations(first.condition), run, seed=seed, n_draws=n_draws, patients_per_draw=patients_per_draw
        )
        found.append(
            ArmCurve(
                figures=tuple(sorted(some, key=lambda f: f.time_h)),
                times_h=tuple(read.time_h for read in reads),
                predicted=tuple(predicted(got[read], first)[2] for read in reads),
            )
        )
        if progress:
            progress((done + 1) / len(groups))
    return tuple(found)


def _times(arm: ArmDesign, some: Sequence[ScoredFigure]) -> list[float]:
    """Times of the curve: for relapse from the first visit that looks for it, else closer where it moves faster."""
    own, last = {f.time_h for f in some}, max(f.time_h for f in some)
    if some[0].statistic is Statistic.RELAPSE_PCT and arm.relapse is not None:
        first = (arm.relapse.judged_day + arm.relapse.every_days * arm.relapse.consecutive) * HOURS_PER_DAY
        return sorted(own | set(np.linspace(min(first, last), last, _POINTS).tolist()))
    return sorted(own | set(np.geomspace(_FIRST_H, max(last, HOURS_PER_DAY), _POINTS).tolist()))
