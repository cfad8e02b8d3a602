"""A trial arm, a plan or a what-if: what is given to whom, and what is looked at afterwards.

Every check that needs more than one value stands here, so that a protocol built in Python is held to the same rules
as one read from a file. Errors name the key of the file (`about`), which is how the reader finds the line.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from afterglow.errors import MissingValue, NoModel, OutOfRange, UnknownName, WrongOrder
from afterglow.evidence import trial
from afterglow.protocol.design import Endpoint, TrialDesign
from afterglow.protocol.dropout import Dropout
from afterglow.protocol.treatment import LONGEST_COURSE_H, Infusion, administer, check_dose
from afterglow.quantities import HOURS_PER_DAY, Dose, DrugForm, format_duration
from afterglow.scales import instrument
from afterglow.therapy.regimen import DoseAdministration, Regimen, Route, repeat
from afterglow.therapy.setting import Arm, Condition, Control, Enrolment, Setting

LONGEST_TITLE = 200

# A control is given the way the drug is given, or nobody is blinded. No swallowed placebo is described here.
_CONTROL_ROUTES = {
    Control.SALINE: (Route.IV, Route.IM, Route.SC),
    Control.MIDAZOLAM: (Route.IV, Route.IM, Route.SC),
    Control.PLACEBO_SPRAY: (Route.INTRANASAL,),
}


class ArmSelection(StrEnum):
    """Which arms are asked for; both brings their contrast too."""

    ACTIVE = "active"
    CONTROL = "control"
    BOTH = "both"


class AtRisk(StrEnum):
    """Whose relapse is looked at."""

    RESPONDERS = "responders"
    REMITTERS = "remitters"


@dataclass(frozen=True, slots=True, kw_only=True)
class ScaleBounds:
    """A scale by its usual name, with the lowest and highest total score in points."""

    name: str
    lowest: float
    highest: float

    def __post_init__(self) -> None:
        if not self.lowest < self.highest:
            raise WrongOrder(
                f"The lowest score of {self.name} must be under its highest",
                observed=f"{self.lowest:g} to {self.highest:g}",
                about=f"scales.{self.name}",
            )

    def check(self, score: float, *, what: str) -> None:
        """Refuse a score outside the scale; `what` is the key it stands under.

        Raises: OutOfRange.
        """
        if not self.lowest <= score <= self.highest:
            raise OutOfRange(
                f"{what} lies outside {self.name}",
                observed=f"{score:g} points",
                allowed=f"{self.lowest:g} to {self.highest:g} points",
                about=what,
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class Population:
    """Who is treated, as far as the file says; `require_population` gives the complete form.

    Args:
        n: patients in the active arm.
        n_control: patients in the control arm; None means as many as in the active arm.
        scale: on which the baseline is given; None means the observed one.
        baseline_mean: mean score before treatment, points.
        baseline_sd: standard deviation of that score between patients, points.
        weight_kg: mean body weight.
        age_mean: mean age in years.
        new_antidepressant: whether an oral antidepressant is started with the course.
        enrolment: a trial's screening inflates the first score, a clinic's does not.
    """

    n: int | None = None
    n_control: int | None = None
    scale: str | None = None
    baseline_mean: float | None = None
    baseline_sd: float | None = None
    weight_kg: float | None = None
    age_mean: float | None = None
    new_antidepressant: bool = False
    enrolment: Enrolment = Enrolment.TRIAL


@dataclass(frozen=True, slots=True, kw_only=True)
class CompletePopulation:
    """A population of which everything needed to predict a trial is known; fields as in `Population`."""

    n: int
    n_control: int
    scale: ScaleBounds
    baseline_mean: float
    baseline_sd: float
    weight_kg: float | None
    age_mean: float | None
    new_antidepressant: bool
    enrolment: Enrolment


@dataclass(frozen=True, slots=True, kw_only=True)
class RelapseQuestion:
    """Whose relapse, by when, and what counts as one.

    Without `score_at_least` and `improvement_below`, relapse is the loss of what made a patient responder or remitter.

    Args:
        of: the patients at risk.
        at_h: times at which the fraction relapsed is asked for, h since the first session.
        judged_h: time at which responders or remitters are determined and their follow-up begins; None means a day
            after the last session began, or at its end if it lasts longer.
        score_at_least: relapse is a score of at least this many points.
        improvement_below: relapse is an improvement on baseline under this fraction.
        visits_h: times at which patients are scored; empty means at `at_h` alone.
        consecutive: visits in a row that must show it; the first of them dates the relapse.
    """

    of: AtRisk
    at_h: tuple[float, ...]
    judged_h: float | None = None
    score_at_least: float | None = None
    improvement_below: float | None = None
    visits_h: tuple[float, ...] = ()
    consecutive: int = 1

    def __post_init__(self) -> None:
        if self.score_at_least is not None and self.improvement_below is not None:
            raise OutOfRange(
                "A relapse has one definition",
                observed="score_at_least and improvement_below",
                allowed="one of the two",
                about="observe.relapse.improvement_below",
            )
        _check_times(self.at_h, "observe.relapse.at")
        if self.visits_h:
            _check_times(self.visits_h, "observe.relapse.visits")


@dataclass(frozen=True, slots=True, kw_only=True)
class ObservationPlan:
    """What is asked of the course; a statistic without its definition is not computed.

    Args:
        times_h: times of the scores, h since the first session.
        scale: of the scores; None means the one of the baseline.
        response_fraction: improvement on baseline that counts as response.
        remission_at_most: highest score in points that counts as remission.
        relapse: None where relapse is not asked for.
    """

    times_h: tuple[float, ...]
    scale: str | None = None
    response_fraction: float | None = None
    remission_at_most: float | None = None
    relapse: RelapseQuestion | None = None

    def __post_init__(self) -> None:
        _check_times(self.times_h, "observe.times")
        if self.relapse is None:
            return
        defined = {AtRisk.RESPONDERS: self.response_fraction, AtRisk.REMITTERS: self.remission_at_most}
        if defined[self.relapse.of] is None:
            key = "response" if self.relapse.of is AtRisk.RESPONDERS else "remission"
            raise MissingValue(
                f"observe.{key} is missing, so nobody knows who the {self.relapse.of} are",
                next_step=f"Give observe.{key}, as in response: 50 % or remission: 10",
                about="observe.relapse.of",
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class PublishedArms:
    """The published trial whose figures stand beside the prediction.

    Args:
        key: of the trial in the evidence.
        active: its arm that got the drug.
        control: its comparator, None if it had none.
    """

    key: str
    active: str
    control: str | None = None

    def __post_init__(self) -> None:
        try:
            arms = {arm.id for arm in trial(self.key).arms}
        except UnknownName as fault:
            fault.about = "trial.key"
            raise
        for key, arm in (("active", self.active), ("control", self.control)):
            if arm is not None and arm not in arms:
                raise UnknownName(
                    f"{self.key} has no arm of this name",
                    observed=repr(arm),
                    allowed=", ".join(sorted(arms)),
                    about=f"trial.{key}",
                )


@dataclass(frozen=True, slots=True, kw_only=True)
class TrialProtocol:
    """A trial arm, a plan or a what-if.

    Args:
        drug: drug form given in the active arm.
        route: how it is given.
        session_h: start of each session, h since the first one, which is 0.
        dose: free base per session; None when infusion steps say it.
        infusion: see `Infusion`.
        condition: what is treated.
        control: what the other arm gets.
        setting: where.
        arm: which arms are asked for.
        scales: bounds of scales that Afterglow does not know.
        population: None where nothing is said.
        observe: None where no scores are asked for.
        dropout: None where everybody stays.
        design: None where no trial is planned.
        title: one line for people.
        trial: None where no published figures belong to this protocol.
    """

    drug: DrugForm
    route: Route
    session_h: tuple[float, ...]
    dose: Dose | None = None
    infusion: Infusion = None
    condition: Condition = Condition.DEPRESSION
    control: Control = Control.NONE
    setting: Setting = Setting.OUTPATIENT
    arm: ArmSelection = ArmSelection.ACTIVE
    scales: tuple[ScaleBounds, ...] = ()
    population: Population | None = None
    observe: ObservationPlan | None = None
    dropout: Dropout | None = None
    design: TrialDesign | None = None
    title: str | None = None
    trial: PublishedArms | None = None

    def __post_init__(self) -> None:
        _check_title(self.title)
        check_dose(self._given(), weight_kg=self.population.weight_kg if self.population else None)
        _check_sessions(self._given(), self.session_h)
        _check_control(self)
        _check_scales(self)
        _check_relapse(self)
        if self.dropout and self.dropout.visits_h:
            _check_times(self.dropout.visits_h, "dropout.visits")
        _check_design(self)
        _check_published(self)

    def regimen(self) -> Regimen:
        """The sessions of the active arm.

        >>> plan = TrialProtocol(drug=DrugForm.ESKETAMINE, route=Route.INTRANASAL, dose=Dose(mg=84.0),
        ...                      session_h=(0.0, 72.0))
        >>> print(plan.regimen().administrations[1])
        esketamine 84 mg intranasal
        """
        return repeat(self._given(), self.session_h)

    @property
    def arms(self) -> tuple[Arm, ...]:
        """What is predicted: one arm, or both and their contrast."""
        if self.arm is ArmSelection.BOTH:
            return (Arm.ACTIVE, Arm.CONTROL, Arm.CONTRAST)
        return (Arm(self.arm.value),)

    @property
    def relapse_judged_h(self) -> float:
        """Time at which responders or remitters are determined, h since the first session."""
        relapse = self.observe.relapse if self.observe else None
        if relapse is not None and relapse.judged_h is not None:
            return relapse.judged_h
        return self.session_h[-1] + max(HOURS_PER_DAY, self._given().duration_h)

    def bounds(self, scale: str) -> ScaleBounds:
        """Bounds of a scale: of this file, or of the instruments that Afterglow knows.

        Raises: UnknownName; NoModel for an instrument without a total.
        """
        for declared in self.scales:
            if declared.name == scale:
                return declared
        return known_bounds(scale)

    def scale(self) -> ScaleBounds | None:
        """The scale of baseline and observation; None where neither names one."""
        names = [part.scale for part in (self.population, self.observe) if part is not None and part.scale is not None]
        return self.bounds(names[0]) if names else None

    def _given(self) -> DoseAdministration:
        return administer(drug=self.drug, route=self.route, dose=self.dose, infusion=self.infusion)


def require_population(protocol: TrialProtocol) -> CompletePopulation:
    """The population of a protocol, with everything that predicting a trial needs.

    Raises: MissingValue naming the first key that is absent.
    """
    found = protocol.population or Population()
    scale = protocol.scale()
    if found.n is None:
        raise _needed("population.n")
    if scale is None:
        raise _needed("population.scale")
    if found.baseline_mean is None:
        raise _needed("population.baseline_mean")
    if found.baseline_sd is None:
        raise _needed("population.baseline_sd")
    return CompletePopulation(
        n=found.n,
        n_control=found.n if found.n_control is None else found.n_control,
        scale=scale,
        baseline_mean=found.baseline_mean,
        baseline_sd=found.baseline_sd,
        weight_kg=found.weight_kg,
        age_mean=found.age_mean,
        new_antidepressant=found.new_antidepressant,
        enrolment=found.enrolment,
    )


def require_observation(protocol: TrialProtocol) -> ObservationPlan:
    """What is observed.

    Raises: MissingValue if the protocol asks for nothing.
    """
    if protocol.observe is None:
        raise _needed("observe")
    return protocol.observe


def known_bounds(scale: str) -> ScaleBounds:
    """Bounds of an instrument that Afterglow knows.

    Raises: UnknownName; NoModel for an instrument without a total.

    >>> known_bounds("madrs")
    ScaleBounds(name='MADRS', lowest=0, highest=60)
    """
    found = instrument(scale)
    if found.range is None:
        raise NoModel(f"{found.short_name} has no total score", next_step="Name a scale with a total, such as MADRS")
    return ScaleBounds(name=found.short_name, lowest=found.range[0], highest=found.range[1])


def require_design(protocol: TrialProtocol) -> TrialDesign:
    """The trial that is planned.

    Raises: MissingValue if none is.
    """
    if protocol.design is None:
        raise MissingValue(
            "design is missing",
            next_step="Add design to the protocol, as in design: {sizes: [50, 100, 200]}",
            about="design",
        )
    return protocol.design


def _needed(key: str) -> MissingValue:
    return MissingValue(
        f"{key} is missing", next_step=f"Add {key} to the protocol: predicting a trial needs it", about=key
    )


def _check_title(title: str | None) -> None:
    if title is None:
        return
    if not title.isprintable() or not 0 < len(title.strip()) <= LONGEST_TITLE:
        raise OutOfRange(
            "title is refused",
            observed=f"{len(title)} characters",
            allowed=f"one line of up to {LONGEST_TITLE} printable characters",
            about="title",
        )


def _check_times(times_h: Sequence[float], about: str) -> None:
    if not times_h:
        raise MissingValue(f"{about} is empty", allowed="at least one time", about=about)
    for time_h in times_h:
        if not 0 <= time_h <= LONGEST_COURSE_H:
            raise OutOfRange(
                f"{about} lies outside the course",
                observed=format_duration(time_h),
                allowed=f"0 h to {format_duration(LONGEST_COURSE_H)} after the first session",
                about=about,
            )
    for before, after in itertools.pairwise(times_h):
        if not before < after:
            raise WrongOrder(
                f"{about} must rise, each time once",
                observed=f"{format_duration(after)} after {format_duration(before)}",
                next_step="Put the times in order",
                about=about,
            )


def _check_sessions(given: DoseAdministration, session_h: Sequence[float]) -> None:
    _check_times(session_h, "days")
    if session_h[0] != 0:
        raise OutOfRange(
            "days count from the first session",
            observed=f"a first session at {format_duration(session_h[0])}",
            allowed="0 as the first",
            about="days",
        )
    for before, after in itertools.pairwise(session_h):
        if after - before < given.duration_h:
            raise WrongOrder(
                "A session starts before the infusion of the one before has ended",
                observed=f"{format_duration(after - before)} between sessions of {format_duration(given.duration_h)}",
                next_step="Shorten the infusion or move the sessions apart",
                about="days",
            )


def _check_control(protocol: TrialProtocol) -> None:
    control, route = protocol.control, protocol.route
    routes = _CONTROL_ROUTES.get(control, tuple(Route))
    if route not in routes:
        raise OutOfRange(
            f"control {control} does not go with route {route}: given another way than the drug it blinds nobody",
            observed=str(control),
            allowed=f"{control} with {', '.join(routes)}; {', '.join(_controls_for(route))} with {route}",
            about="control",
        )
    if control is not Control.NONE:
        return
    if protocol.arm is not ArmSelection.ACTIVE:
        raise MissingValue(
            f"arm {protocol.arm} is asked for, but control is none: there is no other arm",
            next_step="Name the control, or ask for arm: active",
            about="arm",
        )
    if protocol.population is not None and protocol.population.n_control is not None:
        raise MissingValue(
            "population.n_control counts patients of an arm that does not exist",
            next_step="Name the control, or remove population.n_control",
            about="population.n_control",
        )


def _controls_for(route: Route) -> list[Control]:
    return [control for control in Control if route in _CONTROL_ROUTES.get(control, tuple(Route))]


def _check_scales(protocol: TrialProtocol) -> None:
    names = [declared.name for declared in protocol.scales]
    for number, name in enumerate(names):
        if name in names[:number]:
            raise WrongOrder("A scale is declared twice", observed=name, about=f"scales.{name}")
        if _is_known(name):
            raise OutOfRange(
                f"scales.{name} needs no bounds: Afterglow knows this scale",
                next_step=f"Remove {name} from scales",
                about=f"scales.{name}",
            )
    for section, part in (("population", protocol.population), ("observe", protocol.observe)):
        _check_scale_name(protocol, part, f"{section}.scale")
    _check_same_scale(protocol)
    _check_baseline(protocol)
    _check_cut_offs(protocol)


def _is_known(name: str) -> bool:
    try:
        instrument(name)
    except UnknownName:
        return False
    return True


def _check_scale_name(protocol: TrialProtocol, part: Population | ObservationPlan | None, about: str) -> None:
    if part is None or part.scale is None:
        return
    try:
        protocol.bounds(part.scale)
    except UnknownName as fault:
        raise UnknownName(
            f"{about} is not known",
            observed=repr(part.scale),
            allowed=fault.allowed,
            next_step=f"For another scale give both ends of its range: scales: {{{part.scale}: [LOWEST, HIGHEST]}}",
            about=about,
        ) from None
    except NoModel as fault:
        fault.about = about
        raise


def _check_same_scale(protocol: TrialProtocol) -> None:
    population, observe, scale = protocol.population, protocol.observe, protocol.scale()
    if population and observe and scale and observe.scale and protocol.bounds(observe.scale) != scale:
        raise OutOfRange(
            "observe.scale is not the scale of the baseline: the change from one to the other has no unit",
            observed=f"{observe.scale}, with the baseline in {population.scale}",
            next_step="Give the baseline on the scale that is observed",
            about="observe.scale",
        )


def _check_baseline(protocol: TrialProtocol) -> None:
    found, scale = protocol.population, protocol.scale()
    if found is None or (found.baseline_mean is None and found.baseline_sd is None):
        return
    if scale is None:
        raise _needed("population.scale")
    if found.baseline_mean is not None:
        scale.check(found.baseline_mean, what="population.baseline_mean")
    largest = (scale.highest - scale.lowest) / 2  # no distribution on a bounded scale has a larger one (Popoviciu)
    if found.baseline_sd is not None and not 0 <= found.baseline_sd <= largest:
        raise OutOfRange(
            f"population.baseline_sd is impossible on {scale.name}",
            observed=f"{found.baseline_sd:g} points",
            allowed=f"0 to {largest:g} points",
            about="population.baseline_sd",
        )


def _check_cut_offs(protocol: TrialProtocol) -> None:
    observe, scale = protocol.observe, protocol.scale()
    if observe is None:
        return
    if scale is None:
        raise _needed("observe.scale")
    if observe.remission_at_most is not None:
        scale.check(observe.remission_at_most, what="observe.remission")
    if observe.relapse is not None and observe.relapse.score_at_least is not None:
        scale.check(observe.relapse.score_at_least, what="observe.relapse.score_at_least")


def _check_relapse(protocol: TrialProtocol) -> None:
    relapse = protocol.observe.relapse if protocol.observe else None
    judged_h = protocol.relapse_judged_h
    if relapse is None:
        return
    for about, times_h in (("observe.relapse.at", relapse.at_h), ("observe.relapse.visits", relapse.visits_h)):
        if times_h and times_h[0] <= judged_h:
            raise WrongOrder(
                f"{about} must come after the {relapse.of} are determined",
                observed=f"{format_duration(times_h[0])}, with {relapse.of} determined at {format_duration(judged_h)}",
                next_step="Move the times, or give observe.relapse.judged",
                about=about,
            )


_DEFINED_BY = {
    Endpoint.RESPONSE: ("response_fraction", "observe.response"),
    Endpoint.REMISSION: ("remission_at_most", "observe.remission"),
    Endpoint.RELAPSE: ("relapse", "observe.relapse"),
}


def _check_design(protocol: TrialProtocol) -> None:
    """The endpoint is defined, and there are arms to compare."""
    planned = protocol.design
    if planned is None:
        return
    if protocol.observe is None:
        raise _needed("observe")
    field, key = _DEFINED_BY.get(planned.compared_on, ("times_h", "observe.times"))
    if getattr(protocol.observe, field) is None:
        raise MissingValue(
            f"{key} is missing, so {planned.compared_on} has no definition",
            next_step=f"Give {key}, or another endpoint",
            about="design",
        )
    if planned.arms and protocol.arm is not ArmSelection.ACTIVE:
        raise OutOfRange(
            "Arms that are randomised after response go on from one active arm",
            observed=f"arm: {protocol.arm}",
            allowed=f"arm: {ArmSelection.ACTIVE}",
            about="arm",
        )
    if not planned.arms and protocol.arm is not ArmSelection.BOTH:
        raise MissingValue(
            "There are no arms to compare",
            next_step="Name the control and ask for arm: both, or name design.arms",
            about="design",
        )


_COMPARATOR_WORDS = {
    Control.MIDAZOLAM: ("midazolam",),
    Control.SALINE: ("saline", "placebo"),
    Control.PLACEBO_SPRAY: ("placebo",),
}


def _check_published(protocol: TrialProtocol) -> None:
    """Figures of another treatment must never stand beside a prediction as if they agreed with it."""
    named = protocol.trial
    if named is None:
        return
    published = trial(named.key)
    active = published.arm(named.active)
    asked = f"{protocol.drug} {protocol.route} {protocol.dose or ''}".strip()
    told = f"{active.form or active.drug} {active.route or ''} {active.dose or ''}".strip()
    differs = (
        (active.form is not None and active.form is not protocol.drug)
        or (active.route is not None and active.route.value != protocol.route.value)
        or (active.dose is not None and protocol.dose is not None and active.dose != protocol.dose)
    )
    if differs:
        raise OutOfRange(
            f"Arm {named.active} of {named.key} had another treatment than this protocol",
            observed=asked,
            allowed=told,
            next_step="Name the arm that had this treatment, or leave out trial",
            about="trial.active",
        )
    words = _COMPARATOR_WORDS.get(protocol.control, ())
    comparator = "" if named.control is None else published.arm(named.control).drug.lower()
    if words and comparator and not any(word in comparator for word in words):
        raise OutOfRange(
            f"Arm {named.control} of {named.key} had another comparator than this protocol",
            observed=str(protocol.control),
            allowed=comparator,
            next_step="Name the arm that had this control, or leave out trial",
            about="trial.control",
        )
