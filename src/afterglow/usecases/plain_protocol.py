"""A protocol without a patient in the plain fields of a form, held to the rules of one that is read from a file."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType

from afterglow.errors import InputError, OutOfRange
from afterglow.predicates import Comparison
from afterglow.protocol import (
    ArmSelection,
    Dropout,
    Endpoint,
    ObservationPlan,
    Population,
    ScaleBounds,
    TrialDesign,
    TrialProtocol,
)
from afterglow.protocol.dropout import ASSUMED
from afterglow.provenance import Verified
from afterglow.quantities import HOURS_PER_DAY, HOURS_PER_MINUTE, Dose, DrugForm
from afterglow.scales import instrument
from afterglow.therapy.exposure import exposure_models
from afterglow.therapy.regimen import Route
from afterglow.therapy.setting import Condition, Control

MOST_SESSIONS = 40  # policy: each session is a layer to compute; published courses of induction and a half-year fit
LONGEST_DAYS = 365.0  # policy
MOST_PATIENTS = 2_000  # policy: of an arm, as in a planned trial
RESPONSE_FRACTION = 0.5  # the usual definition; an instrument's own other ones are for its charts
_VISIT_EVERY_DAYS = 7.0
_SCORED_AFTER_DAYS = (1.0, 7.0, 28.0)  # after the last session


@dataclass(frozen=True, slots=True, kw_only=True)
class Measure:
    """What is treated and the scale that it is read on.

    Args:
        bounds: lowest and highest score; None for an instrument that Afterglow knows.
        baseline_mean, baseline_sd: points before treatment that a form begins with. Assumption: like those of the
            trials of the condition; no figure rests on them, and they are there to be changed (decision 0039).
    """

    condition: Condition
    scale: str
    baseline_mean: float
    baseline_sd: float
    bounds: tuple[float, float] | None = None

    @property
    def words(self) -> str:
        """For a list to choose from.

        >>> MEASURES["ptsd-caps"].words
        'PTSD, CAPS-5'
        """
        return f"{self.condition.heading}, {self.scale}"


def _measure(condition: Condition, scale: str, mean: float, sd: float, *bounds: float) -> Measure:
    limits = (bounds[0], bounds[1]) if bounds else None
    return Measure(condition=condition, scale=scale, baseline_mean=mean, baseline_sd=sd, bounds=limits)


MEASURES: Mapping[str, Measure] = MappingProxyType(
    {
        "depression-madrs": _measure(Condition.DEPRESSION, "MADRS", 32.0, 6.0),
        "depression-hamd": _measure(Condition.DEPRESSION, "HAM-D17", 22.0, 4.0),
        "depression-phq9": _measure(Condition.DEPRESSION, "PHQ-9", 17.0, 4.0),
        "depression-qids": _measure(Condition.DEPRESSION, "QIDS-SR16", 17.0, 4.0),
        "suicidal-ssi": _measure(Condition.SUICIDAL_IDEATION, "SSI", 15.0, 7.0, 0.0, 38.0),
        "ptsd-caps": _measure(Condition.PTSD, "CAPS-5", 42.0, 9.0, 0.0, 80.0),
        "ptsd-pcl": _measure(Condition.PTSD, "PCL-5", 50.0, 12.0),
        "anxiety-gad": _measure(Condition.ANXIETY, "GAD-7", 14.0, 4.0),
        "pain-nrs": _measure(Condition.PAIN, "Pain NRS", 7.2, 1.3),
        "cognition-deficit": _measure(Condition.COGNITION, "deficit", 50.0, 10.0, 0.0, 100.0),
    }
)
"""What can be chosen, by the word of the form."""

TREATMENTS: Mapping[str, tuple[DrugForm, Route]] = MappingProxyType(
    {f"{drug}-{route}": (drug, route) for drug, route in dict.fromkeys((m.drug, m.route) for m in exposure_models())}
)
"""Drugs and routes that an exposure model covers, by the word of the form."""

USUAL_CONTROLS: Mapping[Route, Control] = MappingProxyType(
    {
        Route.IV: Control.MIDAZOLAM,
        Route.IM: Control.MIDAZOLAM,
        Route.SC: Control.MIDAZOLAM,
        Route.INTRANASAL: Control.PLACEBO_SPRAY,
        Route.SUBLINGUAL: Control.MASKED,
        Route.ORAL: Control.MASKED,
    }
)
"""What the other arm gets where nothing else is said: what trials of the route gave, else a look-alike."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PlainProtocol:
    """What the form asks for.

    Args:
        measure: a key of `MEASURES`; treatment: one of `TREATMENTS`.
        dose: mg per kg of body weight if `per_kg`, else mg.
        infusion_min: 0 is a bolus; None where nothing is infused.
        sessions, every_days: how many, and the days between two of them.
        control: None takes the usual one of the route.
        baseline_mean, baseline_sd: points.
        patients: of each arm; intervals are those of a trial of this size.
    """

    measure: str
    treatment: str
    dose: float
    per_kg: bool
    infusion_min: float | None
    sessions: int
    every_days: float
    control: Control | None
    baseline_mean: float
    baseline_sd: float
    patients: int


@dataclass(frozen=True, slots=True, kw_only=True)
class PlainDesign:
    """What a planned trial asks for besides.

    Args:
        endpoint: change, response or remission, drug against control.
        scored_day: days after the first session.
        sizes: patients who start treatment for each arm.
        leaving_unimproved, leaving_recovered: fraction of patients that leaves after each weekly visit before that day,
            without any improvement and without symptoms; None where everybody stays.
    """

    endpoint: Endpoint
    scored_day: float
    sizes: tuple[int, ...]
    leaving_unimproved: float | None = None
    leaving_recovered: float | None = None


EXAMPLES: Mapping[str, PlainProtocol] = MappingProxyType(
    {
        name: PlainProtocol(
            measure=measure,
            treatment=treatment,
            dose=dose,
            per_kg=per_kg,
            infusion_min=infusion_min,
            sessions=sessions,
            every_days=every_days,
            control=control,
            baseline_mean=MEASURES[measure].baseline_mean,
            baseline_sd=MEASURES[measure].baseline_sd,
            patients=patients,
        )
        for name, measure, treatment, dose, per_kg, infusion_min, sessions, every_days, control, patients in (
            ("Six infusions", "depression-madrs", "racemic_ketamine-iv", 0.5, True, 40.0, 6, 2.0, None, 50),
            ("One infusion", "depression-madrs", "racemic_ketamine-iv", 0.5, True, 40.0, 1, 2.0, None, 50),
            ("Spray twice a week", "depression-madrs", "esketamine-intranasal", 84.0, False, None, 8, 3.5, None, 90),
            ("PTSD, six infusions", "ptsd-caps", "racemic_ketamine-iv", 0.5, True, 40.0, 6, 2.0, None, 15),
            ("Pain, four days", "pain-nrs", "esketamine-iv", 28.8, True, 6048.0, 1, 7.0, Control.SALINE, 30),
        )
    }
)
"""Courses to begin from; the first is shown to who asks for none."""

MAINTENANCE_TRIAL = """\
# Everybody has two sessions a week for four weeks; who has responded by day 28 is randomised to a session every week,
# every two or every four weeks. The numbers of this text that name no source are assumed.
title: Maintenance esketamine weekly, every two or every four weeks
drug: esketamine
route: intranasal
dose: 84 mg
days: [0, 3, 7, 10, 14, 17, 21, 24]
population: {scale: MADRS, baseline_mean: 37, baseline_sd: 5}
observe:
  times: [28 d]
  response: 50 %
  relapse:
    of: responders
    judged: 28 d
    at: [140 d]
    visits: [35 d, 42 d, 49 d, 56 d, 63 d, 70 d, 77 d, 84 d, 91 d, 98 d, 105 d, 112 d, 119 d, 126 d, 133 d, 140 d]
    score_at_least: 22
    consecutive: 2
dropout: {unimproved: 3 %, recovered: 0.5 %, source: assumed}
design:
  sizes: [50, 100, 200, 400]
  arms:
    - {name: every week, every: 7 d}
    - {name: every two weeks, every: 14 d}
    - {name: every four weeks, every: 28 d}
"""
"""The planned trial of `examples/maintenance_trial.yaml`, to begin a protocol's text from."""


def trial_protocol(plain: PlainProtocol) -> TrialProtocol:
    """The protocol of plain fields, both arms, scored a day after the first session and after the course.

    Raises: InputError, with the field or the protocol's key in `about`.

    >>> protocol = trial_protocol(EXAMPLES["Spray twice a week"])
    >>> str(protocol.control), protocol.session_h[:2], protocol.observe.times_h[:2]
    ('placebo_spray', (0.0, 84.0), (24.0, 612.0))
    """
    _check(plain)
    chosen, (drug, route) = MEASURES[plain.measure], TREATMENTS[plain.treatment]
    bounds = chosen.bounds
    infusion_h = None if plain.infusion_min is None else plain.infusion_min * HOURS_PER_MINUTE
    session_h = tuple(HOURS_PER_DAY * plain.every_days * i for i in range(plain.sessions))
    over_days = math.floor((infusion_h or 0.0) / HOURS_PER_DAY)  # a long infusion is followed from its last day on
    ended_h = session_h[-1] + HOURS_PER_DAY * over_days
    scored_h = {HOURS_PER_DAY, *(ended_h + HOURS_PER_DAY * days for days in _SCORED_AFTER_DAYS)}
    return TrialProtocol(
        drug=drug,
        route=route,
        session_h=session_h,
        dose=Dose(mg_per_kg=plain.dose) if plain.per_kg else Dose(mg=plain.dose),
        infusion=infusion_h,
        condition=chosen.condition,
        control=plain.control or USUAL_CONTROLS[route],
        arm=ArmSelection.BOTH,
        scales=() if bounds is None else (ScaleBounds(name=chosen.scale, lowest=bounds[0], highest=bounds[1]),),
        population=Population(
            n=plain.patients,
            scale=chosen.scale,
            baseline_mean=plain.baseline_mean,
            baseline_sd=plain.baseline_sd,
        ),
        observe=ObservationPlan(
            times_h=tuple(sorted(scored_h)),
            response_fraction=RESPONSE_FRACTION,
            remission_at_most=_remission_at_most(chosen),
        ),
    )


def trial_design(plain: PlainProtocol, planned: PlainDesign) -> TrialProtocol:
    """The planned trial of plain fields: the active arm against its control, compared on one day.

    Raises: InputError, as `trial_protocol`.
    """
    protocol = trial_protocol(plain)
    observe, people = protocol.observe, protocol.population
    assert observe is not None  # noqa: S101  `trial_protocol` gave both
    assert people is not None  # noqa: S101
    observed = replace(observe, times_h=(HOURS_PER_DAY * planned.scored_day,))
    return replace(
        protocol,
        population=replace(people, n=None),
        observe=observed,
        dropout=_dropout(planned),
        design=TrialDesign(sizes=planned.sizes, endpoint=planned.endpoint),
        title=_title(protocol, people.scale or ""),
    )


def _title(protocol: TrialProtocol, scale: str) -> str:
    """What is planned in one line, so that one's trials can be told apart."""
    count = len(protocol.session_h)
    given = f"{protocol.regimen().administrations[0]}, {'one session' if count == 1 else f'{count} sessions'}"
    return f"{protocol.condition.heading}, {scale}: {given}, against {protocol.control.replace('_', ' ')}"


def _dropout(planned: PlainDesign) -> Dropout | None:
    unimproved, recovered = planned.leaving_unimproved, planned.leaving_recovered
    if unimproved is None and recovered is None:
        return None
    if unimproved is None or recovered is None:
        raise InputError(
            "Who leaves needs both chances",
            next_step="Fill in both, or leave both empty",
            about="leaving_unimproved" if unimproved is None else "leaving_recovered",
        )
    weeks = range(1, math.ceil(planned.scored_day / _VISIT_EVERY_DAYS))
    if not weeks:
        raise OutOfRange(
            "Nobody can leave before the first weekly visit",
            observed=f"scores compared on day {planned.scored_day:g}",
            next_step="Compare later, or leave both chances empty",
            about="scored_day",
        )
    visits_h = tuple(HOURS_PER_DAY * _VISIT_EVERY_DAYS * week for week in weeks)
    return Dropout(unimproved=unimproved, recovered=recovered, source=ASSUMED, visits_h=visits_h)


def _check(plain: PlainProtocol) -> None:
    """Refuse what a page will not compute; everything else is the protocol's own matter.

    Raises: OutOfRange.
    """
    limits: tuple[tuple[str, str, float, float, float, str], ...] = (
        ("sessions", "The number of sessions", plain.sessions, 1, MOST_SESSIONS, "sessions"),
        ("every_days", "The time between sessions", plain.every_days, 0.5, LONGEST_DAYS, "days"),
        ("patients", "The number of patients", plain.patients, 2, MOST_PATIENTS, "patients in each arm"),
        ("every_days", "The course", plain.every_days * (plain.sessions - 1), 0, LONGEST_DAYS, "days in all"),
    )
    for about, what, value, low, high, unit in limits:
        if not low <= value <= high:
            raise OutOfRange(
                f"{what} is refused",
                observed=f"{value:g} {unit}",
                allowed=f"{low:g} to {high:g} {unit}",
                next_step="Correct it",
                about=about,
            )


def _remission_at_most(measure: Measure) -> float | None:
    """Highest score that counts as remission by the instrument's usual definition, read at a page; None without one."""
    definitions = instrument(measure.scale).remission if measure.bounds is None else ()
    for usual in definitions[:1]:
        rule = usual.rule
        if isinstance(rule, Comparison) and rule.fact == "total" and usual.provenance.verified is not Verified.RECALLED:
            return _highest_under(rule)
    return None


def _highest_under(rule: Comparison) -> float | None:
    """The highest whole total that meets a cut-off from above; None for another kind of rule."""
    limit = float(str(rule.value))
    return {"<=": limit, "<": limit - 1.0}.get(rule.op)
