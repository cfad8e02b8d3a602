"""What the model predicts beside each claim of the ledger, or why it has nothing to say.

The ledger judges; the model only adds a number to the words of a claim that it can address. No prediction changes a
verdict, and the sentences here name no cause for hope.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache

import numpy as np

from afterglow.evidence import claims
from afterglow.protocol import TrialProtocol, parse_protocol
from afterglow.render.text import format_number, format_percent, format_points, format_range
from afterglow.therapy.coverage import COGNITION_LEAVES_OUT, missed_in_validation
from afterglow.therapy.population import load_population
from afterglow.therapy.setting import Arm, Condition
from afterglow.trials import Statistic, replicate
from afterglow.trials.predictive import proportion_interval
from afterglow.usecases.modelling import expose

BESIDE_THE_LEDGER = (
    "Verdicts rest on published evidence alone. The model's number says what it would predict for the words of a "
    "claim; it changes no verdict, and it may be wrong."
)
PATIENTS = 100
_N_DRAWS, _PATIENTS_PER_DRAW = 128, 64  # a sentence needs no third digit

_INFUSION = "drug: racemic_ketamine, route: iv, dose: 0.5 mg/kg, infusion: 40 min"
_DEPRESSED = f"scale: MADRS, baseline_mean: 32, baseline_sd: 6, n: {PATIENTS}"
_ONE = f"{_INFUSION}, days: [0], population: {{{_DEPRESSED}"
_SIX = f"{_INFUSION}, days: [0, 2, 4, 7, 9, 11]"


@dataclass(frozen=True, slots=True, kw_only=True)
class AskedOfTrial:
    """A statistic of a replicated trial. Args: protocol: its text; arm, statistic, time_h: which; says: in words."""

    protocol: str
    arm: Arm
    statistic: Statistic
    time_h: float
    says: str


@dataclass(frozen=True, slots=True, kw_only=True)
class AskedOfSession:
    """Dissociation of one session. Args: protocol: its text; at_h: after its start, None for any time; says: words."""

    protocol: str
    at_h: float | None
    says: str


@dataclass(frozen=True, slots=True, kw_only=True)
class NotAsked:
    """Why the model has nothing to say on a claim."""

    reason: str


Asked = AskedOfTrial | AskedOfSession | NotAsked
_DISSOCIATED = "dissociated_pct"
_SLOW_FADE = "The fade of dissociation is predicted too slowly (validation of acute effects)."
_NOT_REPRODUCED = "The largest trial above found no such difference, and the model does not reproduce it."
_WORST_SESSION = (
    "The label's 61 to 84 % count whoever was dissociated in any of several sessions, so they are no figure of one "
    "session (validation of acute effects)."
)


def _no(reason: str) -> NotAsked:
    return NotAsked(reason=reason)


_HISTORY = _no("a matter of history, law or practice, not of a course of treatment")
_MECHANISM = _no("about mechanism: the model assumes it and cannot test it")
_FIRST_HOURS = _no(
    "about the first hours: expectancy has no onset in the model, so a number for them would be worth nothing; for "
    "24 h see C09"
)
_SPRAY = "{drug: esketamine, route: intranasal, dose: 84 mg, days: [0]}"
_AFTER_SIX = (
    f"{{{_SIX}, setting: outpatient, population: {{{_DEPRESSED}, enrolment: clinic}}, observe: {{times: [12 d], "
    "response: 50 %, relapse: {of: responders, judged: 12 d, at: [39 d, 95 d]}}}"
)

ASKED: Mapping[str, Asked] = {
    "C01": _HISTORY,
    "C02": _HISTORY,
    "C03": _HISTORY,
    "C04": _MECHANISM,
    "C05": _HISTORY,
    "C06": _FIRST_HOURS,
    "C07": _no("about other antidepressants, which the model does not hold"),
    "C08": _no("about all conditions at once; each has its own line where a claim names it"),
    "C09": AskedOfTrial(
        protocol=f"{{{_ONE}}}, observe: {{times: [24 h], response: 50 %}}}}",
        arm=Arm.ACTIVE,
        statistic=Statistic.RESPONSE_PCT,
        time_h=24.0,
        says="24 h after one infusion given openly in a trial, share with half their symptoms gone, belief and care "
        "included",
    ),
    "C10": _no("about other antidepressants, which the model does not hold"),
    "C11": AskedOfTrial(
        protocol=f"{{{_ONE}}}, observe: {{times: [24 h], remission: 10}}}}",
        arm=Arm.ACTIVE,
        statistic=Statistic.REMISSION_PCT,
        time_h=24.0,
        says="24 h after one infusion given openly in a trial, share without depression (MADRS of 10 or less), belief "
        "and care included",
    ),
    "C12": AskedOfTrial(
        protocol=f"{{condition: suicidal_ideation, {_INFUSION}, days: [0], control: midazolam, arm: both, "
        f"scales: {{SSI: [0, 38]}}, population: {{scale: SSI, baseline_mean: 15, baseline_sd: 7, n: {PATIENTS}}}, "
        "observe: {times: [24 h]}}",
        arm=Arm.CONTRAST,
        statistic=Statistic.MEAN_CHANGE,
        time_h=24.0,
        says="24 h after one infusion, suicidal thoughts (SSI, 0 to 38 points) against midazolam; nothing about "
        "attempts or deaths",
    ),
    "C13": _HISTORY,
    "C14": _HISTORY,
    "C15": _no("names a study that could not be found; for PTSD see C16"),
    "C16": AskedOfTrial(
        protocol=f"{{condition: ptsd, {_SIX}, control: midazolam, arm: both, scales: {{CAPS-5: [0, 80]}}, "
        f"population: {{scale: CAPS-5, baseline_mean: 42, baseline_sd: 9, n: {PATIENTS}}}, "
        "observe: {times: [12 d]}}",
        arm=Arm.CONTRAST,
        statistic=Statistic.MEAN_CHANGE,
        time_h=12 * 24.0,
        says="a day after six infusions, PTSD (CAPS-5, 0 to 80 points) against midazolam",
    ),
    "C17": _no("about other treatments, which the model does not hold"),
    "C18": _HISTORY,
    "C19": _no(
        "about the twelfth week after an infusion of days: the figures of pain that may inform the model are of the "
        "first, so any number for the twelfth would come from assumptions alone"
    ),
    "C20": _MECHANISM,
    "C21": _MECHANISM,
    "C22": _MECHANISM,
    "C23": _no("about published cohorts, which stand in the ledger"),
    "C24": _FIRST_HOURS,
    "C25": _no("a judgement of worth, not a quantity"),
    "C26": AskedOfTrial(
        protocol=_AFTER_SIX,
        arm=Arm.ACTIVE,
        statistic=Statistic.RELAPSE_PCT,
        time_h=39 * 24.0,
        says="four weeks after six infusions in a clinic without another, share of responders who have lost response",
    ),
    "C27": AskedOfTrial(
        protocol=_AFTER_SIX,
        arm=Arm.ACTIVE,
        statistic=Statistic.RELAPSE_PCT,
        time_h=95 * 24.0,
        says="twelve weeks after six infusions in a clinic without another, share of responders who have lost response",
    ),
    "C28": _no("a judgement of worth, not a quantity"),
    "C29": AskedOfTrial(
        protocol=f"{{condition: cognition, {_SIX}, control: midazolam, arm: both, scales: {{deficit: [0, 100]}}, "
        f"population: {{scale: deficit, baseline_mean: 50, baseline_sd: 10, n: {PATIENTS}}}, "
        "observe: {times: [18 d]}}",
        arm=Arm.CONTRAST,
        statistic=Statistic.MEAN_CHANGE,
        time_h=18 * 24.0,
        says="a week after six infusions, cognitive deficit (0 to 100 points) against midazolam",
    ),
    "C30": _no("about memories, which no scale of the model measures; for PTSD symptoms see C16"),
    "C31": _no("about misuse, which the model does not hold"),
    "C32": AskedOfSession(
        protocol=_SPRAY,
        at_h=None,
        says="share of people dissociated at any time of one session of 84 mg esketamine spray",
    ),
    "C33": AskedOfSession(
        protocol=_SPRAY,
        at_h=2.0,
        says="share of people still dissociated 2 h after a session of 84 mg esketamine spray began",
    ),
    "C34": _no("advice on whom to treat, which is a clinician's"),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class ClaimPrediction:
    """The model's number beside a claim.

    Args:
        claim: its id.
        says: what the number is, in words.
        statistic: mean_change, response_pct, remission_pct, relapse_pct or dissociated_pct.
        difference: whether it is active minus control.
        time_h: after the first session began; None for any time.
        value, lo90, hi90: mean, and the central 90 % for a trial of `PATIENTS` in an arm.
        status: of the population: provisional or calibrated.
    """

    claim: str
    says: str
    statistic: str
    difference: bool
    time_h: float | None
    value: float
    lo90: float
    hi90: float
    status: str


@cache
def claim_predictions() -> Mapping[str, ClaimPrediction | NotAsked]:
    """For every claim of the ledger, in its order, the model's number or why there is none.

    >>> claim_predictions()["C04"].reason
    'about mechanism: the model assumes it and cannot test it'
    """
    return {claim.id: _predicted(claim.id, ASKED[claim.id]) for claim in claims()}


def claim_sentence(found: ClaimPrediction | NotAsked) -> str:
    """One sentence for people.

    >>> claim_sentence(claim_predictions()["C13"])
    'Not for the model: a matter of history, law or practice, not of a course of treatment.'
    """
    if isinstance(found, NotAsked):
        return f"Not for the model: {found.reason}."
    low, high = _number(found, found.lo90), _number(found, found.hi90)
    return (
        f"Model, {found.status}: {found.says}: {_number(found, found.value)} (90 % {format_range(low, high)} for "
        f"{PATIENTS} patients an arm).{_missed(found)}"
    )


def _missed(found: ClaimPrediction) -> str:
    """What validation says against a number of this kind; it stands with the number."""
    if found.statistic == _DISSOCIATED:
        return f" {_SLOW_FADE if found.time_h is not None else _WORST_SESSION}"
    condition = asked_condition(found.claim) or Condition.DEPRESSION
    relapse = found.statistic == Statistic.RELAPSE_PCT
    said = [
        *([] if condition is Condition.DEPRESSION else [load_population(condition).evidence]),
        *([COGNITION_LEAVES_OUT] if condition is Condition.COGNITION else []),
        *missed_in_validation(condition, difference=found.difference, relapse=relapse),
        *([_NOT_REPRODUCED] if condition is Condition.PTSD else []),
    ]
    return "".join(f" {one}" for one in said)


def asked_condition(claim: str) -> Condition | None:
    """What the protocol behind a claim's number treats; None where no number is given.

    >>> asked_condition("C29")
    <Condition.COGNITION: 'cognition'>
    """
    asked = ASKED[claim]
    return None if isinstance(asked, NotAsked) else asked_protocol(asked).condition


def _number(found: ClaimPrediction, value: float) -> str:
    if found.statistic == Statistic.MEAN_CHANGE:
        return format_points(value, signed=True)
    return f"{format_number(value, signed=True)} pp" if found.difference else format_percent(value, predicted=True)


def asked_protocol(asked: AskedOfTrial | AskedOfSession) -> TrialProtocol:
    """The protocol behind a prediction.

    >>> asked = ASKED["C33"]
    >>> isinstance(asked, AskedOfSession) and asked_protocol(asked).session_h
    (0.0,)
    """
    return parse_protocol(asked.protocol, file="claims_model")


def _predicted(claim: str, asked: Asked) -> ClaimPrediction | NotAsked:
    if isinstance(asked, NotAsked):
        return asked
    protocol = asked_protocol(asked)
    if isinstance(asked, AskedOfSession):
        return _of_session(claim, asked, protocol)
    found = replicate(protocol, n_draws=_N_DRAWS, patients_per_draw=_PATIENTS_PER_DRAW)
    wanted = (asked.arm, asked.statistic, asked.time_h)
    (one,) = (p for p in found.predictions if (p.arm, p.statistic, p.time_h) == wanted)
    return ClaimPrediction(
        claim=claim,
        says=asked.says,
        statistic=str(asked.statistic),
        difference=asked.arm is Arm.CONTRAST,
        time_h=asked.time_h,
        value=one.value,
        lo90=one.lo90,
        hi90=one.hi90,
        status=found.status,
    )


def _of_session(claim: str, asked: AskedOfSession, protocol: TrialProtocol) -> ClaimPrediction:
    acute = expose(protocol, times_h=[asked.at_h if asked.at_h is not None else 1.0]).acute
    chance = acute.dissociation_ever if asked.at_h is None else float(acute.dissociation[0])
    interval = proportion_interval(np.array([chance]), PATIENTS)
    return ClaimPrediction(
        claim=claim,
        says=asked.says,
        statistic=_DISSOCIATED,
        difference=False,
        time_h=asked.at_h,
        value=interval.value,
        lo90=interval.lo90,
        hi90=interval.hi90,
        status=load_population(protocol.condition).status,
    )
