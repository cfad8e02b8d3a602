"""Published trials, meta-analyses and facts about variability, in one schema; the gate through which a fit passes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from functools import cache
from pathlib import Path
from types import MappingProxyType

from afterglow.evidence.figures import Confidence, Figure, read_confidence, read_figure
from afterglow.provenance import Provenance, Role, Verified
from afterglow.quantities import Dose, DrugForm, parse_dose, parse_duration_h
from afterglow.records import Record, read_record, unknown_name

_DATA = Path(__file__).parent / "data"
_FOLDER = "trials"


class StudiedCondition(StrEnum):
    """What a study was about."""

    DEPRESSION = "depression"
    SUICIDAL_IDEATION = "suicidal_ideation"
    PTSD = "ptsd"
    ANXIETY = "anxiety"
    OCD = "ocd"
    PAIN_CRPS = "pain_crps"
    PAIN_MIXED = "pain_mixed"
    COGNITION = "cognition"
    SUBSTANCE_USE = "substance_use"
    SAFETY = "safety"


class StudyKind(StrEnum):
    """How a study was made; `rct` where the page does not say parallel or crossover."""

    RCT = "rct"
    RCT_PARALLEL = "rct_parallel"
    RCT_CROSSOVER = "rct_crossover"
    RCT_SECONDARY = "rct_secondary"
    RCT_WITHDRAWAL = "rct_withdrawal"
    RCT_PLUS_OPEN = "rct_plus_open"
    DOSE_ASCENDING = "dose_ascending"
    OPEN_LABEL = "open_label"
    COHORT = "cohort"
    SURVEY = "survey"
    PKPD_MODEL = "pkpd_model"
    GUIDELINE = "guideline"
    LABEL = "label"
    META_ANALYSIS = "meta_analysis"
    SYSTEMATIC_REVIEW = "systematic_review"


class TrialRoute(StrEnum):
    """How an arm's drug was given."""

    IV = "iv"
    INTRANASAL = "intranasal"
    SC = "sc"
    SUBLINGUAL = "sublingual"
    ORAL = "oral"


@dataclass(frozen=True, slots=True, kw_only=True)
class Citation:
    """Where a study was published; `verified` is about first author, year and journal."""

    first_author: str
    year: int | None
    journal: str
    title: str | None
    doi: str | None
    pmid: str | None
    pmcid: str | None
    nct: str | None
    url: str | None
    verified: Verified

    def __str__(self) -> str:
        return f"{self.first_author} {self.year or 'undated'}, {self.journal}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Baseline:
    """The score of an arm before the first dose."""

    scale: str
    mean: float
    sd: float | None
    provenance: Provenance


@dataclass(frozen=True, slots=True, kw_only=True)
class TrialArm:
    """One arm, or a group of patients that figures speak of.

    Args:
        drug: in the publication's words, with what was added to it.
        form: which ketamine; None for a comparator or where the page does not say.
        dose, infusion_h: of a usual session, where one number holds; `dose_text` has what does not fit.
        schedule: in the publication's words.
        session_days: days of the sessions from the first; `session_days_assumed` where only the number per week is
            printed and the weekdays are ours (Monday-Wednesday-Friday, or days 0 and 3 of each week).
        n: patients, as `n_label` says.
        stratum: the part of the trial the arm was randomised in; arms of two strata are not compared.
    """

    id: str
    stratum: str | None
    drug: str
    form: DrugForm | None
    route: TrialRoute | None
    route_text: str | None
    dose: Dose | None
    dose_text: str | None
    infusion_h: float | None
    schedule: str | None
    session_days: tuple[float, ...]
    session_days_assumed: bool
    n: int | None
    n_label: str | None
    baseline: Baseline | None
    confidence: Confidence | None
    provenance: Provenance


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """One trial, cohort, label or survey with every figure taken from it.

    `overlaps` names studies that share patients: never put both on different sides of a fit, never pool both.
    `caveats` say what flatters or weakens it, `conflicts` where sources disagree.
    """

    key: str
    citation: Citation
    condition: StudiedCondition
    kind: StudyKind
    role: Role
    design: str
    population: str | None
    schedule: str | None
    comparator: str | None
    primary: str | None
    overlaps: tuple[str, ...]
    caveats: tuple[str, ...]
    conflicts: tuple[str, ...]
    arms: tuple[TrialArm, ...]
    figures: tuple[Figure, ...]

    def arm(self, arm_id: str) -> TrialArm:
        """The arm of that id.

        Raises: UnknownName with the arms that exist.
        """
        for arm in self.arms:
            if arm.id == arm_id:
                return arm
        raise unknown_name(f"Trial {self.key} has no such arm", arm_id, [arm.id for arm in self.arms])


@dataclass(frozen=True, slots=True, kw_only=True)
class MetaAnalysis:
    """A published meta-analysis or systematic review; `trials` and `patients` are how many it holds."""

    key: str
    citation: Citation
    condition: StudiedCondition
    kind: StudyKind
    role: Role
    design: str | None
    schedule: str | None
    comparator: str | None
    primary: str | None
    trials: int | None
    patients: int | None
    caveats: tuple[str, ...]
    figures: tuple[Figure, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class VariabilityFact:
    """How much people, scales or trials differ.

    `what` explains the numbers in their order; a range is a pair in `ranges`; a finding in words is `text`.
    """

    id: str
    topic: str
    what: str
    values: tuple[float, ...]
    ranges: tuple[tuple[float, float], ...]
    text: str | None
    provenance: Provenance


@dataclass(frozen=True, slots=True, kw_only=True)
class CalibrationFigure:
    """A figure that a fit may use, with the trial and the arm it belongs to (None for a contrast)."""

    trial: Trial
    arm: TrialArm | None
    figure: Figure


def trial_keys() -> tuple[str, ...]:
    """Keys of all trials, in alphabetical order; reads no file.

    >>> "murrough2013_ajp" in trial_keys()
    True
    """
    return tuple(sorted(path.stem for path in (_DATA / _FOLDER).glob("*.yaml")))


def trial(key: str) -> Trial:
    """One trial; reads its own file alone.

    Raises: UnknownName with close matches.

    >>> [arm.n for arm in trial("murrough2013_ajp").arms]
    [47, 25]
    """
    if key not in trial_keys():
        raise unknown_name("No trial has this key", key, trial_keys())
    return _trial(key)


def trials() -> tuple[Trial, ...]:
    """Every trial, by key."""
    return tuple(_trial(key) for key in trial_keys())


def trials_where(*, role: Role | None = None, condition: StudiedCondition | None = None) -> tuple[Trial, ...]:
    """Trials of a role, a condition or both.

    >>> len(trials_where(role=Role.CALIBRATION, condition=StudiedCondition.DEPRESSION))
    6
    """
    return tuple(
        found
        for found in trials()
        if (role is None or found.role is role) and (condition is None or found.condition is condition)
    )


def calibration_figures(condition: StudiedCondition | None = None) -> tuple[CalibrationFigure, ...]:
    """The only figures that anything may be fitted to: role calibration and read at a page.

    Every fit takes its data from here, so that a held-out, recalled or self-contradicting figure cannot reach it.
    Design constants (an arm's baseline) may still be recalled; their provenance says so.

    >>> {found.trial.key for found in calibration_figures(StudiedCondition.DEPRESSION)} == {
    ...     "murrough2013_ajp", "fava2020", "salloum2019", "daly2018", "murrough2013_bp", "daly2019_sustain1"}
    True
    """
    return tuple(
        CalibrationFigure(trial=found, arm=_arm_of(found, figure), figure=figure)
        for found in trials_where(role=Role.CALIBRATION, condition=condition)
        for figure in found.figures
        if figure.provenance.verified is Verified.PAGE and figure.value is not None and not figure.do_not_fit
    )


def meta_analyses() -> tuple[MetaAnalysis, ...]:
    """Every published meta-analysis and systematic review, by key.

    >>> len(meta_analyses()) > 10
    True
    """
    return tuple(_meta_analyses().values())


def variability() -> tuple[VariabilityFact, ...]:
    """Every fact about variability, in the order of the file."""
    return _variability()


def _arm_of(found: Trial, figure: Figure) -> TrialArm | None:
    return next((arm for arm in found.arms if arm.id == figure.arm), None)


@cache
def _trial(key: str) -> Trial:
    file = read_record(_DATA, f"{_FOLDER}/{key}.yaml")
    arms = tuple(_read_arm(record) for record in file.records("arms"))
    ids = frozenset(arm.id for arm in arms)
    if len(ids) != len(arms):
        raise file.fault("has two arms of one id", observed=[arm.id for arm in arms])
    return file.close(
        Trial(
            key=key,
            citation=_read_citation(file),
            condition=file.word("condition", StudiedCondition),
            kind=file.word("kind", StudyKind),
            role=file.word("role", Role),
            design=file.text("design"),
            population=file.text("population", None),
            schedule=file.text("schedule", None),
            comparator=file.text("comparator", None),
            primary=file.text("primary", None),
            overlaps=file.texts("overlaps"),
            caveats=file.texts("caveats"),
            conflicts=file.texts("conflicts"),
            arms=arms,
            figures=tuple(read_figure(record, ids) for record in file.records("figures")),
        )
    )


def _read_citation(file: Record) -> Citation:
    record = file.record("citation")
    return record.close(
        Citation(
            first_author=record.text("first_author"),
            year=record.count("year", None),
            journal=record.text("journal"),
            title=record.text("title", None),
            doi=record.text("doi", None),
            pmid=record.text("pmid", None),
            pmcid=record.text("pmcid", None),
            nct=record.text("nct", None),
            url=record.text("url", None),
            verified=record.verified(),
        )
    )


def _read_arm(record: Record) -> TrialArm:
    baseline = record.record("baseline", None)
    return record.close(
        TrialArm(
            id=record.text("id"),
            stratum=record.text("stratum", None),
            drug=record.text("drug"),
            form=record.word("form", DrugForm, None),
            route=record.word("route", TrialRoute, None),
            route_text=record.text("route_text", None),
            dose=record.quantity("dose", parse_dose, None),
            dose_text=record.text("dose_text", None),
            infusion_h=record.quantity("infusion", parse_duration_h, None),
            schedule=record.text("schedule", None),
            session_days=record.numbers("session_days"),
            session_days_assumed=record.flag("session_days_assumed"),
            n=record.count("n", None),
            n_label=record.text("n_label", None),
            baseline=None if baseline is None else _read_baseline(baseline),
            confidence=read_confidence(record),
            provenance=record.provenance(),
        )
    )


def _read_baseline(record: Record) -> Baseline:
    return record.close(
        Baseline(
            scale=record.text("scale"),
            mean=record.number("mean"),
            sd=record.number("sd", None),
            provenance=record.provenance(),
        )
    )


@cache
def _meta_analyses() -> Mapping[str, MetaAnalysis]:
    file = read_record(_DATA, "meta_analyses.yaml")
    found = {key: _read_meta_analysis(key, record) for key, record in file.mapping("meta_analyses").items()}
    return file.close(MappingProxyType(found))


def _read_meta_analysis(key: str, record: Record) -> MetaAnalysis:
    return record.close(
        MetaAnalysis(
            key=key,
            citation=_read_citation(record),
            condition=record.word("condition", StudiedCondition),
            kind=record.word("kind", StudyKind),
            role=record.word("role", Role),
            design=record.text("design", None),
            schedule=record.text("schedule", None),
            comparator=record.text("comparator", None),
            primary=record.text("primary", None),
            trials=record.count("trials", None),
            patients=record.count("patients", None),
            caveats=record.texts("caveats"),
            figures=tuple(read_figure(child, frozenset()) for child in record.records("figures")),
        )
    )


@cache
def _variability() -> tuple[VariabilityFact, ...]:
    file = read_record(_DATA, "variability.yaml")
    return file.close(tuple(_read_variability(name, record) for name, record in file.mapping("facts").items()))


def _read_variability(name: str, record: Record) -> VariabilityFact:
    found = record.close(
        VariabilityFact(
            id=name,
            topic=record.text("topic"),
            what=record.text("what"),
            values=record.numbers("values"),
            ranges=record.pairs("ranges", float),
            text=record.text("text", None),
            provenance=record.provenance(),
        )
    )
    if sum(map(bool, (found.values, found.ranges, found.text))) != 1:
        raise record.fault("has exactly one of: values, ranges, text")
    return found
