"""From the population to this patient: candidates weighted by his scores.

First the prior is re-weighted. Where too few candidates carry the weight, the patient's own most likely deviates are
searched, and draws around them are weighted exactly. Where that fails too there is no forecast.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from afterglow.forecast.answer import Method
from afterglow.forecast.candidates import Candidates, Case, prior_candidates, prior_deviates, prior_left
from afterglow.forecast.filter import MoodState
from afterglow.forecast.search import search
from afterglow.forecast.weighting import filter_scores, weigh
from afterglow.therapy.kinetics import FloatArray

LEAST_ESS = 500.0  # below it re-weighting is given up for the search
LEAST_SEARCHED_ESS = 200.0  # below it there is no forecast
LARGEST_KHAT = 0.7  # Vehtari et al., Pareto smoothed importance sampling: weights are unreliable above
UNLIKELY = 0.001  # policy (ADR 0009): a misfit that one in a thousand of the model's own patients would show
LEAST_FIT = 1e-12  # policy (ADR 0009): scores less likely than that contradict the model, and there is no forecast


@dataclass(frozen=True, slots=True, kw_only=True)
class Posterior:
    """Candidates weighted by the patient's scores.

    Args:
        candidates: n of them.
        weights: (n,), sum to 1.
        mood: what the scores leave open of mood at the time of the last score.
        left: (n,), modelled symptoms left at that time.
        method, ess, khat, reason: as in `Forecast`.
        misfit: chance that a patient of this model shows scores as unlikely as these; None unless searched.
    """

    candidates: Candidates
    weights: FloatArray
    mood: MoodState
    left: FloatArray
    method: Method
    ess: float
    khat: float | None
    reason: str
    misfit: float | None

    @property
    def contradicts(self) -> bool:
        """Whether the scores fit the model so badly that it sets no dates."""
        return self.misfit is not None and self.misfit < UNLIKELY


def infer(case: Case) -> Posterior:
    """The patient's posterior; `method` is none where no weighting can be trusted.

    Args:
        case: the patient.

    >>> from datetime import UTC, datetime
    >>> from afterglow.forecast.answer import ForecastInput, PatientScore
    >>> from afterglow.forecast.candidates import case_of
    >>> from afterglow.therapy.regimen import Regimen
    >>> from afterglow.therapy.setting import Condition
    >>> before = PatientScore(at_h=0.0, scale="PHQ-9", points=21.0)
    >>> given = ForecastInput(origin_at=datetime(2026, 3, 2, tzinfo=UTC), now_h=0.0, condition=Condition.DEPRESSION,
    ...                       scores=(before,), given=Regimen())
    >>> found = infer(case_of(given))  # the score defines the level, so nothing is learnt from it
    >>> found.method, found.ess, found.khat
    (<Method.REWEIGHT: 'reweight'>, 20480.0, None)
    """
    candidates, left = prior_candidates(case), prior_left(case)
    mood = filter_scores(case, candidates, left)
    weights, ess, khat = weigh(mood.log_likelihood)
    method, reason, misfit = Method.REWEIGHT, "", None
    if not _trusted(ess, khat, LEAST_ESS):
        reason = _poor(ess, khat, len(weights))
        found = search(case, prior_deviates(case), mood)
        around, searched_ess, searched_khat = weigh(found.log_weights)
        misfit = found.misfit
        if not _trusted(searched_ess, searched_khat, LEAST_SEARCHED_ESS):
            method = Method.NONE
            reason += f", and a search around the most likely one did not settle (effective sample {searched_ess:.0f})"
        elif misfit < LEAST_FIT:
            method, reason = Method.NONE, f"the scores contradict the model (chance of worse ones {misfit:.0e})"
        else:
            method, ess, khat = Method.LAPLACE, searched_ess, searched_khat
            candidates, left, mood, weights = found.candidates, found.left, found.mood, around
    return Posterior(
        candidates=candidates,
        weights=weights,
        mood=mood,
        left=left[:, -1] if left.shape[1] else np.ones(len(weights)),
        method=method,
        ess=ess,
        khat=khat,
        reason=reason,
        misfit=misfit,
    )


def _poor(ess: float, khat: float | None, count: int) -> str:
    if ess < LEAST_ESS:
        return f"the scores leave only {ess:.0f} of {count} virtual patients"
    return f"a few of {count} virtual patients carry most of the weight (k-hat {khat:.1f})"


def _trusted(ess: float, khat: float | None, least: float) -> bool:
    return ess >= least and (khat is None or khat <= LARGEST_KHAT)
