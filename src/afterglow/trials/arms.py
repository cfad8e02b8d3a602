"""Published arms as the model runs them, and the published figures that predictions of them are scored against.

What a trial's record does not say in a form that can be simulated stands in data/arms.yaml. A figure is scored if its
field `applicable` says so; the field follows the rule of `may_be_scored` and was fixed before the first validation run
(docs/decisions/0010).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from afterglow.errors import InputError, InvalidData
from afterglow.evidence import (
    Z975,
    Figure,
    SpreadKind,
    TimeOrigin,
    Trial,
    TrialArm,
    trial,
    trials,
    wilson_interval,
)
from afterglow.evidence import Statistic as Published
from afterglow.protocol import AtRisk, ObservationPlan, RelapseQuestion, ScaleBounds
from afterglow.protocol.treatment import administer
from afterglow.protocol.trial import known_bounds
from afterglow.provenance import Role, Verified
from afterglow.quantities import HOURS_PER_DAY, DrugForm, parse_dose, parse_duration_h
from afterglow.records import Record, read_record
from afterglow.scales import Direction
from afterglow.therapy.population import Belief, Circumstances
from afterglow.therapy.regimen import DoseAdministration, Regimen, Route, repeat
from afterglow.therapy.setting import Condition, Enrolment, Setting
from afterglow.trials.cohort import ArmPlan
from afterglow.trials.moments import Asked, Statistic, known_instrument

_FILE = Path(__file__).parent / "data"
_SHARED_UNTIL_DAYS = 28.0  # what shares patients with a calibration trial is tested on its acute endpoint alone

_STATISTICS = {
    Published.MEAN_CHANGE: Statistic.MEAN_CHANGE,
    Published.ADJUSTED_MEAN_CHANGE: Statistic.MEAN_CHANGE,
    Published.MEAN: Statistic.MEAN_SCORE,
    Published.ADJUSTED_MEAN: Statistic.MEAN_SCORE,
    Published.MEAN_DIFF: Statistic.MEAN_CHANGE,
    Published.ADJUSTED_MEAN_DIFF: Statistic.MEAN_CHANGE,
    Published.RESPONSE_PCT: Statistic.RESPONSE_PCT,
    Published.REMISSION_PCT: Statistic.REMISSION_PCT,
    Published.COUNT: Statistic.REMISSION_PCT,
    Published.RELAPSE_PCT: Statistic.RELAPSE_PCT,
    Published.RELAPSE_FREE_PCT: Statistic.RELAPSE_PCT,
    Published.MEDIAN_DAYS_TO_RELAPSE: Statistic.RELAPSE_PCT,
}
_DIFFERENCES = (Published.MEAN_DIFF, Published.ADJUSTED_MEAN_DIFF)
_MEASURES = {Published.COUNT: ("remission",), Published.REMISSION_PCT: (None, "SSI of 3 or less")}


@dataclass(frozen=True, slots=True, kw_only=True)
class ScaleRule:
    """A scale that figures are on: its bounds, the condition it measures, and what response and remission mean."""

    bounds: ScaleBounds
    condition: Condition
    remission_at_most: float | None
    response_fraction: float


@dataclass(frozen=True, slots=True, kw_only=True)
class RelapseDesign:
    """How an arm looks for relapse; see data/arms.yaml."""

    judged_day: float
    held_days: tuple[float, ...]
    every_days: float
    score_at_least: float | None
    improvement_below: float | None
    consecutive: int
    until_day: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class ArmDesign:
    """One published arm in the model's words; see data/arms.yaml for the fields."""

    trial: str
    arm: str
    belief: Belief
    setting: Setting
    enrolment: Enrolment
    new_antidepressant: bool
    given: DoseAdministration | None
    days: tuple[float, ...]
    sham_from_day: float
    n: int | None
    stratum: str | None
    responders_only: bool
    baseline: Mapping[str, tuple[float, float]]
    remission: Mapping[str, float]
    relapse: RelapseDesign | None

    @property
    def key(self) -> tuple[str, str]:
        """Trial and arm."""
        return self.trial, self.arm

    @property
    def drug_days(self) -> tuple[float, ...]:
        """Days of the sessions with the drug."""
        return () if self.given is None else tuple(day for day in self.days if day < self.sham_from_day)

    def plan(self, rule: ScaleRule, scale: str) -> ArmPlan:
        """The arm as a cohort is simulated from it, scored on one scale."""
        known = known_instrument(scale)
        mean, sd = self.baseline[scale]
        nasal = self.given is not None and (self.given.drug, self.given.route) == (
            DrugForm.ESKETAMINE,
            Route.INTRANASAL,
        )
        hours = tuple(day * HOURS_PER_DAY for day in self.drug_days)
        return ArmPlan(
            regimen=Regimen() if self.given is None else repeat(self.given, hours),
            sessions_h=tuple(day * HOURS_PER_DAY for day in self.days),
            circumstances=Circumstances(
                belief=self.belief,
                setting=self.setting,
                enrolment=self.enrolment,
                new_antidepressant=self.new_antidepressant,
                nasal_esketamine=nasal,
                people_per_arm=self.n,
            ),
            scale=scale,
            lowest=rule.bounds.lowest,
            highest=rule.bounds.highest,
            whole_numbers=known is None or known.whole_numbers,
            self_report=known is not None and known.is_self_rated,
            baseline_mean=mean,
            baseline_sd=sd,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadAt:
    """One number that an arm reports: which statistic, when, and of whom relapse is counted."""

    statistic: Statistic
    time_h: float
    of: AtRisk | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ScoredFigure:
    """A published figure of one arm, or of the difference of two, as the model would report it.

    Args:
        trial: where it was published.
        figure: as published.
        arm: the arm; the first one of a contrast.
        control: the second arm of a contrast, else None.
        scale: on which the arm is simulated.
        condition: what the scale measures.
        statistic: what is predicted.
        of: who may relapse, else None.
        time_h: h since the first session.
        value: points, a fall negative, or per cent from 0 to 100.
        se: sampling standard error as printed or from a printed SD or interval; None for percentages.
        n: patients behind it; None where those at risk of relapse are not counted.
    """

    trial: Trial
    figure: Figure
    arm: ArmDesign
    control: ArmDesign | None
    scale: str
    condition: Condition
    statistic: Statistic
    of: AtRisk | None
    time_h: float
    value: float
    se: float | None
    n: int | None

    @property
    def observed_interval(self) -> tuple[float, float] | None:
        """Its 95 % interval: printed, from the standard error, or Wilson's for a percentage; None without n."""
        if self.se is not None:
            return self.value - Z975 * self.se, self.value + Z975 * self.se
        if self.n is None or not self.statistic.endswith("_pct"):
            return None
        return wilson_interval(self.value, self.n)

    @property
    def read_at(self) -> ReadAt:
        """What has to be read off the simulated arm."""
        return ReadAt(statistic=self.statistic, time_h=self.time_h, of=self.of)

    @property
    def arms(self) -> tuple[ArmDesign, ...]:
        """The arm, and the control of a contrast."""
        return (self.arm,) if self.control is None else (self.arm, self.control)


def arm_designs() -> Mapping[tuple[str, str], ArmDesign]:
    """Every arm that can be simulated, by trial and arm.

    >>> arm_designs()["daly2018", "esk84"].given.dose.mg
    84.0
    """
    return _book().designs


def scale_rule(scale: str, design: ArmDesign) -> ScaleRule:
    """The scale with what remission means in that arm's trial.

    Raises: UnknownName for a scale that nobody describes.

    >>> scale_rule("MADRS", arm_designs()["daly2019_sustain1", "esk_remit"]).remission_at_most
    12
    """
    book = _book()
    extra = book.scales.get(scale)
    return ScaleRule(
        bounds=known_bounds(scale) if extra is None else ScaleBounds(name=scale, lowest=extra[0], highest=extra[1]),
        condition=Condition.DEPRESSION if extra is None else extra[2],
        remission_at_most=design.remission.get(scale, book.remission.get(scale)),
        response_fraction=book.response.get(scale, 0.5),
    )


def scored_figures() -> tuple[ScoredFigure, ...]:
    """Every applicable figure, by trial and in the order of its record.

    >>> {found.trial.role for found in scored_figures()} >= {Role.CALIBRATION, Role.HELD_OUT}
    True
    """
    return tuple(_scored(found, figure) for found in trials() for figure in found.figures if figure.applicable)


def may_be_scored(found: Trial, figure: Figure) -> bool:
    """The rule that the field `applicable` follows.

    A change, score, response, remission or relapse of one simulated arm (or a difference of two means), read at a page
    or derived from one, with a time, a baseline and a number of patients; not of a study that only bounds; of a trial
    that shares patients with calibration only up to day 28; not of patients chosen by an earlier phase of the trial.

    >>> one = trial("murrough2013_ajp")
    >>> [may_be_scored(one, figure) for figure in one.figures[:3]]
    [True, True, False]
    """
    sound = (
        found.role is not Role.BOUND
        and figure.provenance.verified in (Verified.PAGE, Verified.DERIVED)
        and figure.value is not None
        and not figure.do_not_fit
        and figure.statistic in _STATISTICS
        and figure.measure in _MEASURES.get(figure.statistic, (None,))
        and (figure.contrast is not None) == (figure.statistic in _DIFFERENCES)
    )
    if not sound:
        return False
    try:
        scored = _scored(found, figure)
    except (InputError, KeyError):
        return False
    shared = found.role is Role.HELD_OUT_SHARED and scored.time_h > _SHARED_UNTIL_DAYS * HOURS_PER_DAY
    relapse = scored.statistic is Statistic.RELAPSE_PCT
    return scored.time_h > 0 and not shared and (figure.of is None or relapse) and (scored.n is not None or relapse)


def asked_of(design: ArmDesign, scale: str, figures: Sequence[ReadAt]) -> Asked:
    """What is asked of an arm so that its figures can be read off."""
    rule = scale_rule(scale, design)
    relapses = sorted({f.time_h for f in figures if f.statistic is Statistic.RELAPSE_PCT})
    times = sorted({f.time_h for f in figures if f.statistic is not Statistic.RELAPSE_PCT})
    return Asked.of_plan(
        ObservationPlan(
            times_h=tuple(times or relapses),
            response_fraction=rule.response_fraction,
            remission_at_most=rule.remission_at_most,
            relapse=_question(design, figures, relapses) if relapses else None,
        ),
        scale=rule.bounds,
        judged_h=design.relapse.judged_day * HOURS_PER_DAY if design.relapse else 0.0,
        but_not_remitters=design.responders_only,
        held_h=tuple(day * HOURS_PER_DAY for day in design.relapse.held_days) if design.relapse else (),
    )


def _question(design: ArmDesign, figures: Sequence[ReadAt], at_h: list[float]) -> RelapseQuestion:
    looks = design.relapse
    (of,) = {f.of for f in figures if f.of is not None}
    if looks is None:  # pragma: no cover - a figure of relapse is applicable only where the arm looks for it
        raise InvalidData("A relapse without a design")
    last, visits, day = at_h[-1], [], looks.judged_day + looks.every_days
    while day * HOURS_PER_DAY <= last + 1e-6:
        visits.append(day * HOURS_PER_DAY)
        day += looks.every_days
    return RelapseQuestion(
        of=of,
        at_h=tuple(at_h),
        score_at_least=looks.score_at_least,
        improvement_below=looks.improvement_below,
        visits_h=tuple(visits),
        consecutive=looks.consecutive,
    )


def _scored(found: Trial, figure: Figure) -> ScoredFigure:
    """The figure as the model would report it.

    Raises: KeyError where nothing simulates its arm, time or baseline.
    """
    designs = arm_designs()
    names = figure.contrast or (figure.arm,)
    arm = designs[found.key, str(names[0])]
    control = designs[found.key, str(names[1])] if len(names) > 1 else None
    statistic = _STATISTICS[figure.statistic]
    scale = next(iter(arm.baseline)) if figure.scale is None else figure.scale
    rule = scale_rule(scale, arm)
    known = known_instrument(scale)
    if (known is not None and known.direction is Direction.HIGHER_IS_BETTER) or scale not in arm.baseline:
        raise KeyError(scale)
    if statistic is Statistic.REMISSION_PCT and rule.remission_at_most is None:
        raise KeyError("remission")
    relapse = statistic is Statistic.RELAPSE_PCT
    n = arm.n if figure.n is None else figure.n
    value = _value(figure, n)
    return ScoredFigure(
        trial=found,
        figure=figure,
        arm=arm,
        control=control,
        scale=scale,
        condition=rule.condition,
        statistic=statistic,
        of=_at_risk(figure) if relapse else None,
        time_h=_time_h(figure, arm),
        value=value,
        se=_standard_error(figure, n) if statistic in (Statistic.MEAN_CHANGE, Statistic.MEAN_SCORE) else None,
        n=n if not relapse or figure.n is not None or arm.stratum is not None else None,
    )


def _at_risk(figure: Figure) -> AtRisk:
    return AtRisk.REMITTERS if "remitters" in (figure.of or "") else AtRisk.RESPONDERS


def _value(figure: Figure, n: int | None) -> float:
    value = float("nan") if figure.value is None else figure.value
    if figure.statistic in _DIFFERENCES and figure.favours is not None:
        return -abs(value) if figure.favours == "first" else abs(value)
    if figure.statistic is Published.COUNT:
        return 100.0 * value / (n or math.nan)
    if figure.statistic is Published.RELAPSE_FREE_PCT:
        return 100.0 - value
    return 50.0 if figure.statistic is Published.MEDIAN_DAYS_TO_RELAPSE else value


def _time_h(figure: Figure, arm: ArmDesign) -> float:
    """When the figure was measured, h since the first session."""
    looks = arm.relapse
    origins = {TimeOrigin.FIRST_DOSE: 0.0, TimeOrigin.WEEK_8: 56.0}
    ends = (TimeOrigin.LAST_DOSE, TimeOrigin.END_OF_INDUCTION, TimeOrigin.END_OF_TREATMENT)
    origins |= dict.fromkeys(ends, max(arm.days))
    if looks is not None:
        origins[TimeOrigin.RANDOMISATION] = looks.judged_day
    days = figure.value if figure.statistic is Published.MEDIAN_DAYS_TO_RELAPSE else figure.t_days
    relapse = _STATISTICS[figure.statistic] is Statistic.RELAPSE_PCT
    if relapse and looks is None:
        raise KeyError("relapse")
    if days is None:
        if not relapse or looks is None or looks.until_day is None:
            raise KeyError("time")
        return looks.until_day * HOURS_PER_DAY
    return (origins[figure.t_from] + days) * HOURS_PER_DAY


def _standard_error(figure: Figure, n: int | None) -> float | None:
    for kind in (SpreadKind.SE, SpreadKind.UNLABELLED):
        spread = figure.spread(kind)
        if spread is not None:
            return spread.value
    interval, sd = figure.spread(SpreadKind.CI95), figure.spread(SpreadKind.SD)
    if interval is not None and interval.lo is not None and interval.hi is not None:
        return (interval.hi - interval.lo) / (2.0 * Z975)
    return None if sd is None or sd.value is None or n is None else sd.value / math.sqrt(n)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Book:
    designs: Mapping[tuple[str, str], ArmDesign]
    scales: Mapping[str, tuple[float, float, Condition]]
    remission: Mapping[str, float]
    response: Mapping[str, float]


@cache
def _book() -> _Book:
    record = read_record(_FILE, "arms.yaml")
    if record.whole("schema") != 1:
        raise record.fault("is of an unknown version", key="schema", allowed="1")
    scales = {}
    for name, one in record.mapping("scales").items():
        low, high = one.pair("range", float)
        scales[name] = one.close((low, high, one.word("condition", Condition, Condition.DEPRESSION)))
    remission, response = record.table("remission", str, float), record.table("response", str, float)
    designs = {}
    for key, one in record.mapping("trials").items():
        one.text("basis", None)
        shared = one.record("all", None)
        for name, own in one.mapping("arms").items():
            designs[key, name] = read_design(own.over(shared), key=key, name=name, arm=trial(key).arm(name))
        one.close(None)
    return record.close(_Book(designs=designs, scales=scales, remission=remission, response=response))


def read_design(record: Record, *, key: str, name: str, arm: TrialArm | None = None) -> ArmDesign:
    """An arm from its entry in a data file, over what the trial's own record says of it.

    Args:
        record: the entry, see data/arms.yaml.
        key: of the trial or the study.
        name: of the arm.
        arm: the trial's record; None for an arm that no single trial holds.
    """
    form = record.word("form", DrugForm, arm.form if arm else None)
    route = record.word("route", Route, Route(arm.route.value) if arm and arm.route else None)
    dose = record.quantity("dose", parse_dose, arm.dose if arm else None)
    infusion_h = record.quantity("infusion", parse_duration_h, arm.infusion_h if arm else None)
    given = None
    if form is not None and route is not None:
        given = administer(drug=form, route=route, dose=dose, infusion=infusion_h if route is Route.IV else None)
    score = arm.baseline if arm else None
    published = {} if score is None else {score.scale: (score.mean, score.sd or 0.0)}
    return record.close(
        ArmDesign(
            trial=key,
            arm=name,
            belief=record.word("belief", Belief),
            setting=record.word("setting", Setting, Setting.OUTPATIENT),
            enrolment=record.word("enrolment", Enrolment, Enrolment.TRIAL),
            new_antidepressant=record.flag("new_antidepressant"),
            given=given,
            days=record.numbers("days") or (arm.session_days if arm else ()),
            sham_from_day=record.number("sham_from_day", math.inf),
            n=record.count("n", arm.n if arm else None),
            stratum=arm.stratum if arm else None,
            responders_only=record.flag("responders_only"),
            baseline=published | _baselines(record.record("baseline", None)),
            remission=record.table("remission", str, float),
            relapse=_relapse(record.record("relapse", None)),
        )
    )


def _baselines(record: Record | None) -> dict[str, tuple[float, float]]:
    """Mean and standard deviation by scale."""
    if record is None:
        return {}
    rows = {scale: record.numbers(scale) for scale in record.keys}
    return {scale: (mean, sd) for scale, (mean, sd) in rows.items()}


def _relapse(record: Record | None) -> RelapseDesign | None:
    if record is None:
        return None
    return record.close(
        RelapseDesign(
            judged_day=record.number("judged_day"),
            held_days=record.numbers("held_days"),
            every_days=record.number("every_days"),
            score_at_least=record.number("score_at_least", None),
            improvement_below=record.number("improvement_below", None),
            consecutive=record.count("consecutive", 1),
            until_day=record.number("until_day", None),
        )
    )
