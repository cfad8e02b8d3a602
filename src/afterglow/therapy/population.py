"""Virtual patients: typical values, spread between patients, and doubt about both, drawn by a scrambled Sobol sequence.

A virtual patient is one draw of the population (what the typical values might be, and how this trial differs from
others) plus one point of the sequence (how this person differs). Patient i of a seed is the same in any batch, chunk
or order. Priors live in data/population.yaml with their sources, what calibration learnt in data/population.json.
"""

from __future__ import annotations

import functools
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, fields, replace
from enum import StrEnum
from typing import Any

import numpy as np

from afterglow.markdown import table
from afterglow.provenance import Provenance
from afterglow.quantities import rate_from_half_life
from afterglow.records import Record, parse_record
from afterglow.therapy.calibrated import PRIORS, Calibrated, calibration_in_use
from afterglow.therapy.exposure import PK_DEVIATIONS, PkVariation
from afterglow.therapy.kinetics import FloatArray
from afterglow.therapy.plasticity import Plasticity
from afterglow.therapy.relief import ReadOut
from afterglow.therapy.setting import Condition, Control, Enrolment, Setting
from afterglow.therapy.variation import PLAUSIBLE_WEIGHT_KG

_PER_PATIENT = (
    "draw",
    "weight_kg",
    "chain",
    "readout",
    "mood_sd",
    "following_self_report",
    "error_clinician",
    "error_self_report",
    "baseline_deviate",
)
_SHIFT_AT = 30  # people an arm at which `small_trial_shift` is what it says
_TRIAL_EFFECTS = ("trial_care", "trial_expectancy", "trial_drug_relief")
_TRANSFER_DOUBT = 1.0  # Assumption: what depression taught holds elsewhere up to a prior's doubt; ADR 0011.
BETWEEN = ".between"
"""Suffix of a doubt about the spread between patients, as in `half_relief.between`."""
AGE_THRESHOLD_YEARS = 65.0  # The age groups of the esketamine label (spravato label, section 8.5).


class Spread(StrEnum):
    """The scale on which a parameter's spreads are normal."""

    LOG = "log"
    LOGIT = "logit"
    PLAIN = "plain"


class Drive(StrEnum):
    """What a condition's relief reads out."""

    PLASTICITY = "plasticity"
    EFFECT_COMPARTMENT = "effect_compartment"


class Belief(StrEnum):
    """What patients and raters believe was given; expectancy follows it, not the arm's label."""

    OPEN = "open"
    KETAMINE = "ketamine"
    MIDAZOLAM = "midazolam"
    MASKED = "masked"
    PLACEBO_SPRAY = "placebo_spray"
    SALINE = "saline"


@dataclass(frozen=True, slots=True, kw_only=True)
class Parameter:
    """One population parameter; spreads are standard deviations on the `spread` scale.

    `between_uncertainty_sd` is doubt about the logarithm of `between_sd`.
    """

    name: str
    unit: str
    spread: Spread
    typical: float
    uncertainty_sd: float
    between_sd: float
    provenance: Provenance
    between_uncertainty_sd: float = 0.0

    @property
    def transformed(self) -> float:
        """The typical value on the scale where spreads are normal."""
        return float(_to_normal(self.spread, np.float64(self.typical)))


@dataclass(frozen=True, slots=True, kw_only=True)
class Population:
    """The people a condition's virtual patients are drawn from.

    Args:
        condition: what is treated.
        version: of the population file.
        status: provisional, or calibrated.
        drive: what the read-out reads.
        evidence: one sentence on how much is known.
        parameters: by name.
        uncertain: names with doubt about the typical value, and names with the suffix `BETWEEN` for doubt about a
            spread: the order of the dimensions of a draw.
        varying: names that differ between patients: the order of the dimensions of a patient.
        doubt_factor: lower triangular, what turns the standard-normal deviates of a draw into shifts of the typical
            values, (len(uncertain), len(uncertain)); None where doubts are independent.
        digest: of the calibration the values come from; None for priors.
        own: names of the parameters that this condition does not share with depression.
    """

    condition: Condition
    version: str
    status: str
    drive: Drive
    evidence: str
    parameters: Mapping[str, Parameter]
    uncertain: tuple[str, ...]
    varying: tuple[str, ...]
    doubt_factor: FloatArray | None = None
    digest: str | None = None
    own: frozenset[str] = frozenset()

    @property
    def doubt_sds(self) -> FloatArray:
        """Standard deviations of the doubts on the scales where they are normal, (len(uncertain),)."""
        if self.doubt_factor is not None:
            sds: FloatArray = np.sqrt(np.sum(self.doubt_factor**2, axis=1))
            return sds
        return np.array([_doubt_sd(self.parameters, name) for name in self.uncertain])

    def shifts(self, deviates: FloatArray) -> FloatArray:
        """Shifts of the uncertain values, (n, len(uncertain)), from standard-normal deviates of that shape."""
        if self.doubt_factor is None:
            return deviates * self.doubt_sds
        # A matrix product would round differently in batches of another size, and a patient must not.
        shifts, columns = np.zeros(deviates.shape[::-1]), np.ascontiguousarray(deviates.T)
        for j, column in enumerate(columns):
            shifts[j:] += self.doubt_factor[j:, j, None] * column
        return np.ascontiguousarray(shifts.T)

    @property
    def person_dimensions(self) -> int:
        """Dimensions of the sequence that a patient takes: kinetics, what varies, the baseline score."""
        return len(PK_DEVIATIONS) + len(self.varying) + 1

    @property
    def dimensions(self) -> int:
        """Dimensions that a patient and his draw take together; what else is random starts after them."""
        return self.person_dimensions + len(self.uncertain) + len(_TRIAL_EFFECTS)


@dataclass(frozen=True, slots=True, kw_only=True)
class Circumstances:
    """How an arm or a patient is treated, as far as it matters for relief.

    Args:
        belief: what people think was given.
        setting: where.
        enrolment: trial, or clinic (no screening inflation, no trial care).
        new_antidepressant: whether an oral antidepressant is started with the course.
        nasal_esketamine: whether the drug is intranasal esketamine.
        age_mean_years: mean age; None when unknown.
        weight_kg: median weight; None takes the population's.
        people_per_arm: of a trial, whose drug effect is the larger the fewer they are (decision 0018); None, and any
            number in a clinic, is a trial so large that nothing is added.
    """

    belief: Belief
    setting: Setting = Setting.OUTPATIENT
    enrolment: Enrolment = Enrolment.TRIAL
    new_antidepressant: bool = False
    nasal_esketamine: bool = False
    age_mean_years: float | None = None
    weight_kg: float | None = None
    people_per_arm: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class VirtualPatients:
    """A batch of virtual patients; every array has shape (n_patients,).

    Args:
        population: where they come from.
        seed: chooses the sequence.
        first: index of the first patient in the sequence.
        draw: which draw of the population each patient belongs to.
        weight_kg: body weight.
        pk: pharmacokinetic deviations.
        chain: plasticity parameters.
        readout: relief parameters.
        mood_sd: fluctuation of mood, fraction of baseline.
        following_self_report: how far a self-report scale follows the state.
        error_clinician, error_self_report: measurement error, fraction of the scale's range.
        effect_half_time_h: of the slow effect site; None where relief reads out plasticity.
        baseline_deviate: standard-normal, of the observed baseline score.
    """

    population: Population
    seed: int
    first: int
    draw: np.ndarray[tuple[int], np.dtype[np.int64]]
    weight_kg: FloatArray
    pk: PkVariation
    chain: Plasticity
    readout: ReadOut
    mood_sd: FloatArray
    following_self_report: FloatArray
    error_clinician: FloatArray
    error_self_report: FloatArray
    effect_half_time_h: FloatArray | None
    baseline_deviate: FloatArray

    def __len__(self) -> int:
        return len(self.weight_kg)

    def take(self, chosen: np.ndarray[tuple[int], np.dtype[np.int64]]) -> VirtualPatients:
        """Some of these patients, by position; one may be taken twice. `further_deviates` is lost with the order."""

        def some(values: Any) -> Any:
            if isinstance(values, np.ndarray):
                return values[chosen]
            return replace(values, **{field.name: some(getattr(values, field.name)) for field in fields(values)})

        deviations = {name: values[chosen] for name, values in self.pk.deviations.items()}
        return replace(
            self,
            **{name: some(getattr(self, name)) for name in _PER_PATIENT},
            pk=replace(self.pk, weight_kg=self.pk.weight_kg[chosen], deviations=deviations),
            effect_half_time_h=None if self.effect_half_time_h is None else self.effect_half_time_h[chosen],
        )

    def further_deviates(self, dimensions: int) -> FloatArray:
        """Standard-normal deviates of these patients, independent of what made them: (n_patients, dimensions)."""
        return normal_points(
            self.seed, skip=self.population.dimensions, dimensions=dimensions, first=self.first, count=len(self)
        )


@functools.cache
def load_population(condition: Condition) -> Population:
    """The population of a condition: the priors as the calibration in use, usually the shipped one, updates them.

    Raises: InvalidData if a file breaks its schema, was edited, or is of another version.

    >>> load_population(Condition.DEPRESSION).status
    'calibrated'
    """
    return updated_population(prior_population(condition), calibration_in_use())


@functools.cache
def prior_population(condition: Condition) -> Population:
    """The population of a condition before any trial was looked at.

    >>> prior_population(Condition.DEPRESSION).parameters["half_block_ng_per_ml"].typical
    30.0
    """
    return parse_population(PRIORS.read_text(encoding="utf-8"), condition, file=PRIORS.name)


def updated_population(prior: Population, found: Calibrated) -> Population:
    """A population after a calibration.

    A condition with figures of its own takes what they taught; any other takes from depression what it shares with it
    and keeps its own priors, with the doubt that conditions differ in how much they are moved (decision 0028). All but
    depression stay provisional: two or three figures are no calibration.
    """
    mine = found.learnt.get(prior.condition)
    learnt = found.learnt[Condition.DEPRESSION] if mine is None else mine
    shared = tuple(name for name in prior.uncertain if mine is not None or name.removesuffix(BETWEEN) not in prior.own)
    at = [prior.uncertain.index(name) for name in shared]
    shift, covariance = learnt.part(shared)
    whole = np.diag(prior.doubt_sds**2)
    whole[np.ix_(at, at)] = covariance
    if mine is None:  # so never depression, which every file has
        whole[at, at] += (_TRANSFER_DOUBT * prior.doubt_sds[at]) ** 2
        whole += _between_conditions(prior)
    sds = dict(zip(prior.uncertain, np.sqrt(np.diag(whole)), strict=True))
    moves = dict(zip(shared, shift, strict=True))
    return replace(
        prior,
        version=found.version,
        status="calibrated" if prior.condition is Condition.DEPRESSION else prior.status,
        parameters={name: _updated(p, moves, sds) for name, p in prior.parameters.items()},
        doubt_factor=np.asarray(np.linalg.cholesky(whole), dtype=np.float64),
        digest=found.digest,
    )


def _between_conditions(prior: Population) -> FloatArray:
    """Covariance of how effect sizes differ from depression's; expectancy shifts for all beliefs alike."""
    size, care = (prior.parameters[f"between_conditions{part}_sd"].typical for part in ("", "_care"))
    found = np.zeros((len(prior.uncertain), len(prior.uncertain)))
    for names, sd in (
        (("largest_drug_relief",), size),
        (tuple(f"expectancy_{one}" for one in Belief), size),
        (("care",), care),
    ):
        at = [prior.uncertain.index(name) for name in names if name in prior.uncertain]
        found[np.ix_(at, at)] = sd**2
    return found


def shifts_from(prior: Population, after: Population) -> FloatArray:
    """How far the uncertain values of one population lie from those of another, on their scales, (len(uncertain),)."""

    def one(name: str) -> float:
        base = name.removesuffix(BETWEEN)
        old, new = prior.parameters[base], after.parameters[base]
        return new.transformed - old.transformed if base == name else float(np.log(new.between_sd / old.between_sd))

    return np.array([one(name) for name in prior.uncertain])


def _updated(parameter: Parameter, moves: Mapping[str, float], sds: Mapping[str, float]) -> Parameter:
    name = parameter.name
    move, wider = moves.get(name, 0.0), moves.get(name + BETWEEN, 0.0)
    moved = _from_normal(parameter.spread, np.array([parameter.transformed + move]))
    return replace(
        parameter,
        typical=float(moved[0]) if move else parameter.typical,
        uncertainty_sd=float(sds.get(name, parameter.uncertainty_sd)),
        between_sd=parameter.between_sd * float(np.exp(wider)),
        between_uncertainty_sd=float(sds.get(name + BETWEEN, parameter.between_uncertainty_sd)),
    )


def parse_population(text: str, condition: Condition, *, file: str) -> Population:
    """A population from the text of its file; see `load_population`."""
    record = parse_record(text, file=file)
    if record.whole("schema") != 1:
        raise record.fault("is of an unknown version", key="schema", allowed="1")
    version, status = record.text("version"), record.text("status")
    shared = _parameters(record)
    conditions = record.mapping("conditions")
    if set(conditions) != set(Condition):
        raise record.fault("needs an entry for every condition", key="conditions", allowed=", ".join(Condition))
    found: dict[str, Population] = {}
    for name, own in conditions.items():
        mine = _parameters(own)
        parameters = {**shared, **mine}
        found[name] = own.close(
            Population(
                condition=Condition(name),
                version=version,
                status=status,
                drive=own.word("drive", Drive),
                evidence=own.text("evidence"),
                parameters=parameters,
                own=frozenset(mine),
                uncertain=(
                    *(key for key, p in parameters.items() if p.uncertainty_sd > 0),
                    *(key + BETWEEN for key, p in parameters.items() if p.between_uncertainty_sd > 0),
                ),
                varying=tuple(key for key, p in parameters.items() if p.between_sd > 0),
            )
        )
    return record.close(found[condition])


def belief(control: Control, *, active: bool) -> Belief:
    """What the patients of an arm believe: an unmasked ketamine arm believes the same whatever its comparator.

    >>> belief(Control.MIDAZOLAM, active=True), belief(Control.SALINE, active=False)
    (<Belief.KETAMINE: 'ketamine'>, <Belief.SALINE: 'saline'>)
    """
    if control is Control.MASKED:
        return Belief.MASKED
    if active:
        return Belief.OPEN if control is Control.NONE else Belief.KETAMINE
    return Belief(control.value)


def draw_patients(
    population: Population,
    circumstances: Circumstances,
    *,
    seed: int,
    first: int,
    count: int,
    patients_per_draw: int = 1,
) -> VirtualPatients:
    """Virtual patients number `first` to `first + count` of a seed.

    Args:
        population: where they come from.
        circumstances: how they are treated; the same patient in other circumstances has the same deviations.
        seed: chooses the scrambling of the sequences.
        first: index of the first patient.
        count: how many.
        patients_per_draw: that many consecutive patients share one draw of the population.

    >>> arm = Circumstances(belief=Belief.KETAMINE)
    >>> depression = load_population(Condition.DEPRESSION)
    >>> a = draw_patients(depression, arm, seed=0, first=0, count=8)
    >>> b = draw_patients(depression, arm, seed=0, first=4, count=2)
    >>> bool(np.all(a.weight_kg[4:6] == b.weight_kg))
    True
    """
    draw = np.arange(first, first + count) // patients_per_draw
    low, high = (int(draw[0]), int(draw[-1]) + 1) if count else (0, 0)
    persons = normal_points(seed, skip=0, dimensions=population.person_dimensions, first=first, count=count)
    doubts = normal_points(
        seed,
        skip=population.person_dimensions,
        dimensions=population.dimensions - population.person_dimensions,
        first=low,
        count=high - low,
    )[draw - low]
    return build_patients(population, circumstances, persons=persons, doubts=doubts, seed=seed, first=first, draw=draw)


def build_patients(
    population: Population,
    circumstances: Circumstances,
    *,
    persons: FloatArray,
    doubts: FloatArray,
    seed: int = 0,
    first: int = 0,
    draw: np.ndarray[tuple[int], np.dtype[np.int64]] | None = None,
) -> VirtualPatients:
    """Virtual patients from their standard-normal deviates: what a search over patients varies.

    Args:
        population: where they come from.
        circumstances: how they are treated.
        persons: (n_patients, population.person_dimensions).
        doubts: (n_patients, population.dimensions - population.person_dimensions).
        seed: of the sequence that further deviates come from.
        first: index of the first patient in that sequence.
        draw: which draw of the population each belongs to; None makes each its own.

    >>> depression = load_population(Condition.DEPRESSION)
    >>> zero = np.zeros((1, depression.person_dimensions))
    >>> doubts = np.zeros((1, depression.dimensions - depression.person_dimensions))
    >>> middle = build_patients(depression, Circumstances(belief=Belief.OPEN), persons=zero, doubts=doubts)
    >>> middle.weight_kg.round(6).tolist()
    [74.0]
    """
    count = len(persons)
    own = dict(zip(population.varying, persons.T[len(PK_DEVIATIONS) : -1], strict=True))
    split = len(population.uncertain)
    shifted = population.shifts(doubts[:, :split])
    doubt = dict(zip((*population.uncertain, *_TRIAL_EFFECTS), (*shifted.T, *doubts.T[split:]), strict=True))
    build = _Builder(population=population, doubt=doubt, own=own, n=count)
    # Nobody is drawn beyond the weights that kinetics accepts.
    weight = np.clip(build.value("weight_kg", typical=circumstances.weight_kg), *PLAUSIBLE_WEIGHT_KG)
    pk = PkVariation(
        weight_kg=weight, deviations=dict(zip(PK_DEVIATIONS, persons.T[: len(PK_DEVIATIONS)], strict=True))
    )
    return VirtualPatients(
        population=population,
        seed=seed,
        first=first,
        draw=np.arange(count) if draw is None else draw,
        weight_kg=weight,
        pk=pk,
        chain=_chain(build),
        readout=_readout(build, circumstances),
        mood_sd=build.value("mood_sd"),
        following_self_report=build.value("following_self_report"),
        error_clinician=build.value("error_clinician"),
        error_self_report=build.value("error_self_report"),
        effect_half_time_h=build.value("effect_half_time_h") if population.drive is Drive.EFFECT_COMPARTMENT else None,
        baseline_deviate=persons[:, -1],
    )


def typical_chain(population: Population) -> Plasticity:
    """The plasticity of the typical patient, one value each; for pictures of the mechanism.

    >>> typical_chain(prior_population(Condition.DEPRESSION)).half_block_ng_per_ml.round(6).tolist()
    [30.0]
    """
    return _chain(_Builder(population=population, doubt={}, own={}, n=1))


def population_markdown() -> str:
    """The reference page of every parameter, its spreads and its basis, made from the file itself.

    >>> population_markdown().splitlines()[0]
    '# Population'
    """
    base = load_population(Condition.DEPRESSION)
    lines = [
        "# Population",
        "",
        (
            f"Version {base.version}, status **{base.status}**: priors as the calibration updated them; prior and "
            "posterior side by side, and what informs them: [calibration](../validation/calibration.md). Spreads are "
            "standard deviations on the scale named: *uncertainty* is doubt about the typical value, *between* the "
            "spread between patients. The source is that of the prior; `assumed` is an assumption of the model "
            "(decision 0004)."
        ),
        "",
        "## Depression, and what the other conditions share",
        "",
        base.evidence,
        "",
        *_parameter_table(base.parameters.values()),
    ]
    for condition in Condition:
        if condition is Condition.DEPRESSION:
            continue
        own = load_population(condition)
        differs = [p for name, p in own.parameters.items() if base.parameters.get(name) != p]
        drive = own.drive.replace("_", " ")
        lines += ["", f"## {condition.heading}", "", f"{own.evidence} Reads out: {drive}.", ""]
        lines += _parameter_table(differs) if differs else ["No parameter of its own."]
    return "\n".join([*lines, ""])


def _parameter_table(parameters: Iterable[Parameter]) -> Iterator[str]:
    columns = ["Parameter", "Typical", "Unit", "Scale", "Uncertainty", "Between", "Source", "Verified", "Note"]
    return table(columns, map(_parameter_row, parameters))


def _parameter_row(p: Parameter) -> list[str]:
    spreads = f"{p.uncertainty_sd:g}", f"{p.between_sd:g}"
    basis = ", ".join(p.provenance.source), p.provenance.verified, p.provenance.note or ""
    return [f"`{p.name}`", f"{p.typical:g}", p.unit, p.spread, *spreads, *basis]


def normal_points(seed: int, *, skip: int, dimensions: int, first: int, count: int) -> FloatArray:
    """Points `first` to `first + count` of a scrambled Sobol sequence as normal deviates, (count, dimensions).

    Args:
        seed: chooses the scrambling.
        skip: dimensions before the first one returned. What is to be independent takes dimensions of its own: two
            scramblings of one dimension share their first digit, so their deviates correlate by 0.6 and more.
        dimensions: how many are returned.
        first: index of the first point.
        count: how many points.
    """
    from scipy.special import ndtri  # noqa: PLC0415  keep the import of this module light
    from scipy.stats import qmc  # noqa: PLC0415

    if count == 0:
        return np.empty((0, dimensions))
    sequence = qmc.Sobol(skip + dimensions, scramble=True, rng=np.random.default_rng([seed, skip]))
    if first:
        sequence.fast_forward(first)
        points = sequence.random(count)
    else:
        points = sequence.random_base2((count - 1).bit_length())[:count]
    # A point may lie on 0 exactly; half a unit of the sequence's resolution keeps its deviate finite.
    deviates: FloatArray = ndtri(np.maximum(points[:, skip:], 2.0**-31))
    return deviates


@dataclass(frozen=True, slots=True, kw_only=True)
class _Builder:
    """Turns deviates into parameter values."""

    population: Population
    doubt: Mapping[str, FloatArray]  # shifts of uncertain values; standard-normal deviates of the trial's effects
    own: Mapping[str, FloatArray]
    n: int

    def normal(self, name: str, *, typical: float | None = None) -> FloatArray:
        """The patients' values on the scale where spreads are normal."""
        parameter = self.population.parameters[name]
        if typical is not None:
            parameter = replace(parameter, typical=typical)
        value = np.full(self.n, parameter.transformed)
        if name in self.doubt:
            value = value + self.doubt[name]
        if name in self.own:
            spread: FloatArray | float = parameter.between_sd
            if name + BETWEEN in self.doubt:
                spread = spread * np.exp(self.doubt[name + BETWEEN])
            value = value + spread * self.own[name]
        return value

    def value(self, name: str, *, typical: float | None = None) -> FloatArray:
        return _from_normal(self.population.parameters[name].spread, self.normal(name, typical=typical))

    def trial(self, name: str) -> FloatArray:
        """What this trial adds: the between-trial spread times the draw's deviate."""
        return self.value(name + "_sd") * self.doubt[name]


def _chain(build: _Builder) -> Plasticity:
    leaving = rate_from_half_life(1.0) / build.value("labile_half_life_h")
    share = build.value("consolidated_share")
    return Plasticity(
        half_block_ng_per_ml=build.value("half_block_ng_per_ml"),
        bdnf_rate_per_h=rate_from_half_life(1.0) / build.value("bdnf_half_life_h"),
        synaptic_gain_per_h=build.value("synaptic_gain_per_h"),
        labile_loss_per_h=leaving * (1.0 - share),
        consolidation_per_h=leaving * share,
        consolidated_loss_per_h=rate_from_half_life(1.0) / build.value("consolidated_half_life_h"),
    )


def _readout(build: _Builder, circumstances: Circumstances) -> ReadOut:
    in_trial = circumstances.enrolment is Enrolment.TRIAL
    drug = build.normal("largest_drug_relief") + build.trial("trial_drug_relief")
    if in_trial and circumstances.people_per_arm is not None:
        share = np.sqrt(_SHIFT_AT / circumstances.people_per_arm)
        drug = drug + build.value("small_trial_shift") * share * build.value("trial_drug_relief_sd")
    if circumstances.nasal_esketamine:
        drug = drug + build.value("nasal_esketamine_offset")
    if circumstances.age_mean_years is not None and circumstances.age_mean_years >= AGE_THRESHOLD_YEARS:
        drug = drug + build.value("age_65_offset")
    expectancy = build.normal(f"expectancy_{circumstances.belief}") + build.trial("trial_expectancy")
    care = np.zeros(build.n)
    if in_trial:
        care = care + build.value("care") + build.trial("trial_care")
    if circumstances.setting is Setting.INPATIENT:
        care = care + build.value("care_inpatient")
    if circumstances.new_antidepressant:
        care = care + build.value("care_new_antidepressant")
    care = np.minimum(care, 1.0)  # nobody loses more than all symptoms
    return ReadOut(
        half_relief=build.value("half_relief"),
        steepness=build.value("steepness"),
        largest_drug_relief=_from_normal(Spread.LOGIT, drug),
        expectancy=_from_normal(Spread.LOGIT, expectancy),
        lasting_expectancy=build.value("lasting_expectancy"),
        expectancy_fast_half_life_h=build.value("expectancy_fast_half_life_h"),
        expectancy_slow_half_life_h=build.value("expectancy_slow_half_life_h"),
        inflation=build.value("inflation_trial") if in_trial else np.zeros(build.n),
        care=care,
    )


def _parameters(record: Record) -> dict[str, Parameter]:
    return {name: _parameter(name, one) for name, one in record.mapping("parameters").items()}


def _parameter(name: str, record: Record) -> Parameter:
    return record.close(
        Parameter(
            name=name,
            unit=record.text("unit"),
            spread=record.word("scale", Spread),
            typical=record.number("typical"),
            uncertainty_sd=record.number("uncertainty_sd"),
            between_sd=record.number("between_sd"),
            between_uncertainty_sd=record.number("between_uncertainty_sd", 0.0),
            provenance=record.provenance(),
        )
    )


def _doubt_sd(parameters: Mapping[str, Parameter], name: str) -> float:
    base = name.removesuffix(BETWEEN)
    return parameters[base].uncertainty_sd if base == name else parameters[base].between_uncertainty_sd


def _to_normal(spread: Spread, value: np.float64) -> np.float64:
    if spread is Spread.LOG:
        return np.float64(np.log(value))
    return np.float64(np.log(value) - np.log1p(-value)) if spread is Spread.LOGIT else value


def _from_normal(spread: Spread, value: FloatArray) -> FloatArray:
    if spread is Spread.LOG:
        return np.exp(value)
    result: FloatArray = 1.0 / (1.0 + np.exp(-value)) if spread is Spread.LOGIT else value
    return result
