"""Leave one trial out: how well each trial is predicted from the others, by which structure is chosen.

Each calibration trial is predicted from a fit without it, each context trial from a fit to all calibration figures.
The score is the logarithm of the predictive density of the trial's figures together, so that figures of the same
patients count once. Held-out figures never enter. Fits are normal approximations at the mode: the same for every
structure, and quick enough to compare several.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from scipy.special import logsumexp

from afterglow.errors import UnknownName
from afterglow.provenance import Role
from afterglow.therapy.calibrated import read_calibrated
from afterglow.therapy.kinetics import FloatArray
from afterglow.therapy.population import Population, prior_population, updated_population
from afterglow.therapy.setting import Condition
from afterglow.trials.calibrate import PERSONS, Calibration, calibrate
from afterglow.trials.calibration_report import calibrated_text
from afterglow.trials.likelihood import FitRow, Likelihood, fit_rows

N_DRAWS = 256


@dataclass(frozen=True, slots=True, kw_only=True)
class LeftOut:
    """One trial, predicted by a fit that has not seen it.

    Args:
        condition: what was treated.
        role: calibration or context.
        trial: the trial.
        n: its figures.
        log_density: natural logarithm of their joint predictive density, points and chances from 0 to 1; higher is
            better, and only differences between structures mean anything.
        without_priors: the same, from a fit without class-level results, whose trials overlap with the one left out;
            None for a condition that has none.
    """

    condition: Condition
    role: Role
    trial: str
    n: int
    log_density: float
    without_priors: float | None


def declared_with(values: Mapping[str, float]) -> Callable[[Condition], Population]:
    """The declared priors with other typical values: another structure to put to the test.

    Args:
        values: typical values by name of the parameter, in its unit; a condition's own value is replaced too.

    Raises: UnknownName for a parameter that depression does not have.

    >>> declared_with({"small_trial_shift": 0.0})(Condition.PTSD).parameters["small_trial_shift"].typical
    0.0
    """
    known = prior_population(Condition.DEPRESSION).parameters
    for name in values:
        if name not in known:
            raise UnknownName("The population has no such parameter", observed=name, allowed=", ".join(known))

    def declared(condition: Condition) -> Population:
        prior = prior_population(condition)
        changed = {name: replace(prior.parameters[name], typical=value) for name, value in values.items()}
        return replace(prior, parameters={**prior.parameters, **changed})

    return declared


def leave_out(
    *,
    seed: int = 0,
    n_draws: int = N_DRAWS,
    persons: int = PERSONS,
    conditions: Sequence[Condition] = tuple(Condition),
    declared: Callable[[Condition], Population] = prior_population,
    progress: Callable[[float], None] | None = None,
) -> tuple[LeftOut, ...]:
    """Predict every calibration trial from the others, and every context trial from all of them.

    Args:
        seed: of the draws; same seed, same result.
        n_draws: draws of each fit.
        persons: virtual people an arm.
        conditions: which ones; depression is always fitted, since the others start from it.
        declared: from a condition to its priors, so that another structure can be put to the same test.
        progress: called with the fraction done.
    """
    tell, found = progress or (lambda _: None), []
    whole = calibrate(sample=False, persons=persons, prior=declared(Condition.DEPRESSION))
    base = read_calibrated(calibrated_text({Condition.DEPRESSION: whole}), file="population.json")
    wanted = [(c, role, t) for c in conditions for role in (Role.CALIBRATION, Role.CONTEXT) for t in _trials(c, role)]
    fits: dict[tuple[Condition, str, bool], Calibration | None] = {}
    for done, (condition, role, trial) in enumerate(wanted):
        first, unseen = condition is Condition.DEPRESSION, trial if role is Role.CALIBRATION else ""
        prior = declared(condition) if first else updated_population(declared(condition), base)
        rows = [row for row in fit_rows(condition, roles=(role,)) if row.trial == trial]
        scores = []
        for with_priors in (True, False) if first else (True,):
            key = condition, unseen, with_priors
            if key not in fits:
                fits[key] = _fit(condition, prior, unseen, persons=persons, with_class_priors=with_priors)
            scores.append(_log_density(fits[key], prior, rows, seed=seed, n_draws=n_draws, persons=persons))
        found.append(
            LeftOut(
                condition=condition,
                role=role,
                trial=trial,
                n=len(rows),
                log_density=scores[0],
                without_priors=scores[1] if first else None,
            )
        )
        tell((done + 1) / len(wanted))
    return tuple(found)


def _trials(condition: Condition, role: Role) -> tuple[str, ...]:
    return tuple(dict.fromkeys(row.trial for row in fit_rows(condition, roles=(role,))))


def _fit(
    condition: Condition, prior: Population, trial: str, *, persons: int, with_class_priors: bool
) -> Calibration | None:
    """The fit without a trial; None where no figure is left, which leaves the prior."""
    if condition is not Condition.DEPRESSION and all(row.trial == trial for row in fit_rows(condition)):
        return None
    return calibrate(
        condition=condition,
        prior=prior,
        without=(trial,),
        sample=False,
        persons=persons,
        with_class_priors=with_class_priors,
    )


def _log_density(
    fit: Calibration | None, prior: Population, rows: Sequence[FitRow], *, seed: int, n_draws: int, persons: int
) -> float:
    """Logarithm of the mean density of the rows over draws of the fit."""
    likelihood = Likelihood(prior, rows, persons=persons)
    points: FloatArray = np.random.default_rng(seed).standard_normal((n_draws, likelihood.size))
    if fit is not None:
        points = fit.mean + points @ fit.factor.T
    return float(logsumexp(likelihood.log_density(points)) - np.log(n_draws))
