"""The proof of the forecast: what it is put to, and what came of it, from one fixed seed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.special import stdtrit

from afterglow.forecast import ForecastInput, Method, PatientScore
from afterglow.forecast.candidates import Case, case_of
from afterglow.forecast.chain import largest_difference
from afterglow.forecast.policy import POLICIES, VISITS, Addition, Outcome, Policy, follow
from afterglow.forecast.proof import ORIGIN_AT, Design, Proof, World, pooled, prove, simulate_patients
from afterglow.quantities import HOURS_PER_DAY, Dose, DrugForm
from afterglow.therapy.kinetics import FloatArray
from afterglow.therapy.population import load_population
from afterglow.therapy.regimen import DoseAdministration, Regimen, Route, repeat
from afterglow.therapy.setting import Condition
from afterglow.trials import spread

LEADS = (1, 7, 28)
BINS = 20  # of a rank histogram
_INFUSION = DoseAdministration(
    at_h=0.0, drug=DrugForm.RACEMIC_KETAMINE, route=Route.IV, dose=Dose(mg_per_kg=0.5), infusion_h=2 / 3
)
_SPRAY = DoseAdministration(at_h=0.0, drug=DrugForm.ESKETAMINE, route=Route.INTRANASAL, dose=Dose(mg=84.0))


def _days(session: DoseAdministration, days: Sequence[float]) -> Regimen:
    return repeat(session, [HOURS_PER_DAY * day for day in days])


_SIX = _days(_INFUSION, (0, 3, 7, 10, 14, 17))
_SCORE_DAYS: dict[int, tuple[float, ...]] = {
    0: (),
    1: (20.0,),
    3: (6.9, 13.9, 20.0),
    6: (1.0, 2.9, 6.9, 9.9, 13.9, 20.0),
    12: (1.0, 2.9, 6.9, 9.9, 13.9, 16.9, 20.0, 27.0, 34.0, 41.0, 48.0, 55.0),
}


def _scored(count: int) -> Design:
    return Design(
        scale="PHQ-9",
        baselines=(12, 22),
        sessions=_SIX,
        score_days=_SCORE_DAYS[count],
        lead_days=LEADS,
        from_day=None if count else 20.0,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """One batch of simulated patients: what they go through, and in what world."""

    name: str
    design: Design
    world: World = World.AS_MODELLED


SETTINGS = (
    *(Setting(name=f"{count} {'score' if count == 1 else 'scores'}", design=_scored(count)) for count in _SCORE_DAYS),
    Setting(
        name="sprays, 4 scores by clinicians",
        design=Design(
            scale="MADRS",
            baselines=(28, 44),
            sessions=_days(_SPRAY, (0, 3, 7, 10, 14, 17, 21, 24)),
            score_days=(6.9, 13.9, 20.9, 27.9),
            lead_days=LEADS,
        ),
    ),
    *(Setting(name=world.value, design=_scored(6), world=world) for world in World if world is not World.AS_MODELLED),
)

# Patients of the check against a long chain: days of infusions, and scores (PHQ-9) by hour.
_CHAIN_PATIENTS: dict[str, tuple[tuple[float, ...], tuple[tuple[float, float], ...]]] = {
    "no score before": ((0,), ((24, 9), (100, 12))),
    "six sessions, seven scores": (
        (0, 3, 7, 10, 14, 17),
        ((-1, 21), (23, 12), (71, 13), (167, 10), (330, 8), (600, 7), (768, 9)),
    ),
    "far from everyone": ((0, 2), ((-1, 27), (24, 0), (48, 0), (96, 0), (200, 0), (400, 0), (600, 0))),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Size:
    """How much is simulated: patients of a setting, steps of a chain, responders of a policy, and their visits."""

    patients: int
    steps: int
    responders: int
    visits: int


FULL = Size(patients=1_000, steps=1_000, responders=60, visits=VISITS)
QUICK = Size(patients=12, steps=40, responders=1, visits=4)
_BATCH, _PEOPLE = 100, 10  # simulated patients and responders of one task
_PLACES = tuple((policy, addition) for addition in Addition for policy in POLICIES)


@dataclass(frozen=True, slots=True, kw_only=True)
class LeadRow:
    """A setting at one lead.

    Args:
        lead_days: ahead.
        inside50, inside90: share of scores in the bands.
        ranks: patients by bin of the rank.
        unevenness: chi-squared of the ranks against flat ones.
        crps, log_score: mean of each of `FORECASTS`.
        crps_gain_se: standard error of the gain in CRPS over each (0 for the forecast itself).
    """

    lead_days: int
    inside50: float
    inside90: float
    ranks: tuple[int, ...]
    unevenness: float
    crps: tuple[float, ...]
    log_score: tuple[float, ...]
    crps_gain_se: tuple[float, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class SettingResult:
    """What came of a setting: n patients, of whom so many got no forecast."""

    setting: Setting
    n: int
    refused: int
    leads: tuple[LeadRow, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class PolicyRow:
    """A policy in a world, per quarter of 91 days: means over responders with their standard errors."""

    policy: Policy
    addition: Addition
    n: int
    sessions: float
    sessions_se: float
    relapsed_days: float
    relapsed_days_se: float


@dataclass(frozen=True, slots=True, kw_only=True)
class PairedRow:
    """A policy by forecast less another one in a world, person by person, per quarter of 91 days.

    Args:
        policy, against: the two.
        addition: the world.
        n: responders, the same under both.
        sessions, relapsed_days: mean differences; below zero the forecast gives fewer.
        sessions_reach, relapsed_days_reach: half the width of their 95 % intervals (Student's t); 0 for one person.
    """

    policy: Policy
    against: Policy
    addition: Addition
    n: int
    sessions: float
    sessions_reach: float
    relapsed_days: float
    relapsed_days_reach: float


@dataclass(frozen=True, slots=True, kw_only=True)
class ProofAnswer:
    """The whole proof.

    Args:
        model, status: the population.
        seed, size: of the simulation.
        settings: in the order of `SETTINGS`.
        chains: by patient, the largest difference to a long chain in points.
        policies: by world and policy.
        paired: policies by forecast less each of the others, by world.
    """

    model: str
    status: str
    seed: int
    size: Size
    settings: tuple[SettingResult, ...]
    chains: tuple[tuple[str, float], ...]
    policies: tuple[PolicyRow, ...]
    paired: tuple[PairedRow, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Batch:
    """One task: a batch of a setting, a chain, or responders under a policy; `place` is where it belongs."""

    kind: str
    place: int
    first: int
    count: int
    seed: int
    visits: int


def prove_forecast(
    *,
    size: Size = FULL,
    seed: int = 1,
    cores: int = 1,
    progress: Callable[[float], None] | None = None,
) -> ProofAnswer:
    """Put the forecast to the proof.

    Args:
        size: how much is simulated.
        seed: same seed, same answer, on however many cores.
        cores: processes.
        progress: called with the fraction done.

    Raises: MissingValue without the package emcee.
    """
    tasks = _tasks(size, seed)
    weights = {"policy": 8.0, "chain": 3.0, "setting": 1.0}
    total = sum(weights[task.kind] for task in tasks)
    done: dict[_Batch, object] = {}
    spent = 0.0
    for task, found in spread(_work, tasks, cores=cores):
        done[task] = found
        spent += weights[task.kind]
        if progress:
            progress(spent / total)
    population = load_population(Condition.DEPRESSION)

    def of(kind: str, place: int) -> list[object]:
        return [done[task] for task in tasks if (task.kind, task.place) == (kind, place)]

    outcomes = {
        pair: _together([one for one in of("policy", place) if isinstance(one, Outcome)])
        for place, pair in enumerate(_PLACES)
    }
    return ProofAnswer(
        model=f"afterglow population {population.version}",
        status=population.status,
        seed=seed,
        size=size,
        settings=tuple(
            _setting_result(setting, [p for p in of("setting", place) if isinstance(p, Proof)])
            for place, setting in enumerate(SETTINGS)
        ),
        chains=tuple(
            (name, float(of("chain", place)[0]))  # type: ignore[arg-type]
            for place, name in enumerate(_CHAIN_PATIENTS)
        ),
        policies=tuple(_policy_row(policy, addition, found) for (policy, addition), found in outcomes.items()),
        paired=tuple(
            _paired_row(policy, against, addition, outcomes[policy, addition], outcomes[against, addition])
            for policy, addition in _PLACES
            if policy.limit is not None
            for against in POLICIES
            if against.limit is None
        ),
    )


def _tasks(size: Size, seed: int) -> list[_Batch]:
    """The longest first, so that the cores finish together."""
    batches = [("policy", len(_PLACES), size.responders, _PEOPLE)]
    batches += [("chain", len(_CHAIN_PATIENTS), size.steps, size.steps)]
    batches += [("setting", len(SETTINGS), size.patients, _BATCH)]
    return [
        _Batch(kind=kind, place=place, first=first, count=min(step, count - first), seed=seed, visits=size.visits)
        for kind, places, count, step in batches
        for place in reversed(range(places))
        for first in range(0, count, step)
    ]


def _work(batch: _Batch) -> Proof | Outcome | float:
    if batch.kind == "chain":
        return largest_difference(_chain_case(batch.place), steps=batch.count)
    if batch.kind == "setting":
        setting = SETTINGS[batch.place]
        seed = 1_000_000 * batch.seed + batch.first  # every batch has patients of its own
        people = simulate_patients(setting.design, count=batch.count, seed=seed, world=setting.world)
        return prove(people, setting.design, seed=seed + 1)
    policy, addition = _PLACES[batch.place]
    return follow(policy, addition, first=batch.first, count=batch.count, seed=batch.seed, visits=batch.visits)


def _chain_case(place: int) -> Case:
    days, points = list(_CHAIN_PATIENTS.values())[place]
    return case_of(
        ForecastInput(
            origin_at=ORIGIN_AT,
            now_h=max(points[-1][0], HOURS_PER_DAY * days[-1]),
            condition=Condition.DEPRESSION,
            scores=tuple(PatientScore(at_h=at, scale="PHQ-9", points=value) for at, value in points),
            given=_days(_INFUSION, days),
        )
    )


def _setting_result(setting: Setting, parts: Sequence[Proof]) -> SettingResult:
    proof = pooled(parts)
    n = len(proof.methods)
    return SettingResult(
        setting=setting,
        n=n,
        refused=sum(method is Method.NONE for method in proof.methods),
        leads=tuple(_lead_row(proof, place, lead, n) for place, lead in enumerate(setting.design.lead_days)),
    )


def _lead_row(proof: Proof, place: int, lead: int, n: int) -> LeadRow:
    counts, _ = np.histogram(proof.ranks[:, place], bins=BINS, range=(0.0, 1.0))
    crps = proof.crps[:, place]
    gains = crps - crps[:, :1]
    return LeadRow(
        lead_days=lead,
        inside50=float(proof.inside50[:, place].mean()),
        inside90=float(proof.inside90[:, place].mean()),
        ranks=tuple(int(count) for count in counts),
        unevenness=float(np.sum((counts - n / BINS) ** 2 / (n / BINS))),
        crps=_means(crps),
        log_score=_means(proof.log_score[:, place]),
        crps_gain_se=tuple(float(one) for one in gains.std(axis=0) / np.sqrt(n)),
    )


def _means(values: FloatArray) -> tuple[float, ...]:
    return tuple(float(one) for one in values.mean(axis=0))


def _together(parts: Sequence[Outcome]) -> Outcome:
    return Outcome(
        sessions=np.concatenate([part.sessions for part in parts]),
        relapsed_days=np.concatenate([part.relapsed_days for part in parts]),
    )


def _paired_row(policy: Policy, against: Policy, addition: Addition, one: Outcome, other: Outcome) -> PairedRow:
    sessions, days = one.sessions - other.sessions, one.relapsed_days - other.relapsed_days
    return PairedRow(
        policy=policy,
        against=against,
        addition=addition,
        n=len(days),
        sessions=float(sessions.mean()),
        sessions_reach=_reach(sessions),
        relapsed_days=float(days.mean()),
        relapsed_days_reach=_reach(days),
    )


def _reach(differences: FloatArray) -> float:
    """Half the width of the 95 % interval of a mean."""
    n = len(differences)
    return float(stdtrit(n - 1, 0.975) * differences.std(ddof=1) / np.sqrt(n)) if n > 1 else 0.0


def _policy_row(policy: Policy, addition: Addition, found: Outcome) -> PolicyRow:
    sessions, days = found.sessions, found.relapsed_days
    n = len(sessions)
    return PolicyRow(
        policy=policy,
        addition=addition,
        n=n,
        sessions=float(sessions.mean()),
        sessions_se=float(sessions.std() / np.sqrt(n)),
        relapsed_days=float(days.mean()),
        relapsed_days_se=float(days.std() / np.sqrt(n)),
    )
