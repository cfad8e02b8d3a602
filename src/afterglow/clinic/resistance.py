"""Treatment resistance and its stage, computed from recorded trials of medicines; and what the label says of a plan."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from functools import cache

from afterglow.clinic.policy import SitePolicy
from afterglow.clinic.rulebook import DATA, Delivery, sources
from afterglow.clinic.typed import typed
from afterglow.errors import InvalidData, MissingValue, OutOfRange, WrongOrder
from afterglow.predicates import Fact, Truth
from afterglow.provenance import Provenance
from afterglow.records import Record, read_record

_RESPONSE_PCT = 50.0  # what every trial here calls a response


class Indication(StrEnum):
    """What is treated; trd: resistant depression, mdsi: depression with acute suicidal thoughts or behaviour."""

    TRD = "trd"
    MDSI = "mdsi"
    DEPRESSION = "depression"
    BIPOLAR_DEPRESSION = "bipolar_depression"
    PTSD = "ptsd"
    ANXIETY = "anxiety"
    PAIN = "pain"
    OTHER = "other"

    @property
    def words(self) -> str:
        """As people write it.

        >>> Indication.TRD.words
        'treatment-resistant depression'
        """
        return _INDICATIONS.get(self, self.value.replace("_", " "))


_INDICATIONS = {
    Indication.TRD: "treatment-resistant depression",
    Indication.MDSI: "depression with acute suicidal thoughts or behaviour",
    Indication.PTSD: "PTSD",
}


class TrialOutcome(StrEnum):
    """How a trial of a medicine ended."""

    FAILED = "failed"
    PARTIAL = "partial"
    WORKED = "worked"
    INTOLERANT = "intolerant"
    UNKNOWN = "unknown"


@typed
@dataclass(frozen=True, slots=True, kw_only=True)
class MedicineTrial:
    """One trial of a medicine as recorded.

    Args:
        drug: ingredient; its salt does not make another medicine.
        drug_class: "ssri", "snri", ...; one that `staging` does not know leaves open whether the trial counts.
        at_least_minimum_dose: whether a therapeutic dose was reached; None where unknown.
        weeks: at that dose; None where unknown.
        improvement_pct: best improvement; None where unknown.
        this_episode: whether it was in the current episode; None where unknown.
        augmentation: given on top of another.
    Raises: MissingValue without names; OutOfRange for weeks or improvement that cannot be; WrongOrder for one that
        failed with a response.
    """

    drug: str
    drug_class: str
    dose: str | None = None
    at_least_minimum_dose: bool | None = None
    weeks: float | None = None
    improvement_pct: float | None = None
    outcome: TrialOutcome = TrialOutcome.UNKNOWN
    this_episode: bool | None = None
    augmentation: bool = False

    def __post_init__(self) -> None:
        if not self.drug.strip() or not self.drug_class.strip():
            raise MissingValue("A trial of a medicine names the medicine and its class")
        for what, value, low, high, unit in (
            ("time at dose", self.weeks, 0.0, 2600.0, "weeks"),
            ("improvement", self.improvement_pct, -100.0, 100.0, "%"),
        ):
            if value is not None and not low <= value <= high:
                raise OutOfRange(
                    f"The {what} of a trial of a medicine is refused",
                    observed=f"{value:g} {unit}",
                    allowed=f"{low:g} to {high:g} {unit}",
                    next_step="Correct it, or leave it out where it is not known",
                )
        over = self.improvement_pct is not None and self.improvement_pct >= _RESPONSE_PCT
        if over and self.outcome is TrialOutcome.FAILED:
            raise WrongOrder(
                "A trial that failed does not end in a response",
                observed=f"failed, {self.improvement_pct:g} % better",
                allowed=f"under {_RESPONSE_PCT:g} %",
                next_step="Correct the outcome or the improvement",
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class TrialVerdict:
    """Whether one trial counts as adequate and failed; None where something is missing, as `reasons` says."""

    drug: str
    counts: Truth
    reasons: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Resistance:
    """How many adequate trials have failed in this episode.

    Args:
        at_least: trials, or classes, that surely count.
        at_most: the same if every open question is answered so that the trial counts.
        needed: the site's number.
        meets: whether that is treatment-resistant depression; None where open questions decide it.
    """

    trials: tuple[TrialVerdict, ...]
    at_least: int
    at_most: int
    needed: int
    meets: Truth


class MaudsleySeverity(StrEnum):
    """Severity of the current episode on the Maudsley scale."""

    SUBSYNDROMAL = "subsyndromal"
    MILD = "mild"
    MODERATE = "moderate"
    SEVERE = "severe"
    SEVERE_WITH_PSYCHOSIS = "severe_with_psychosis"


@dataclass(frozen=True, slots=True, kw_only=True)
class MaudsleyStage:
    """Maudsley staging: points of each part, None where unknown; total and band only when every part is known."""

    parts: tuple[tuple[str, int | None], ...]
    total: int | None
    band: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Steps:
    """Points by the first upper bound that a value does not exceed."""

    rows: tuple[tuple[float | None, int], ...]

    def points(self, value: float) -> int:
        """Points of a value; the last row has no bound."""
        return next(points for bound, points in self.rows if bound is None or value <= bound)


@dataclass(frozen=True, slots=True, kw_only=True)
class Staging:
    """What the data file says about the Maudsley stages."""

    classes: tuple[str, ...]
    salts: tuple[str, ...]
    duration_months: Steps
    failures: Steps
    severity: Mapping[str, int]
    augmentation: int
    ect: int
    bands: tuple[tuple[int, int, str], ...]
    definition: str
    other: str
    provenance: Provenance
    payers: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class LabelRow:
    """One row of the esketamine label's dose table; bounds are closed."""

    indication: Indication
    regions: tuple[str, ...]
    ages: tuple[int, int]
    weeks: tuple[int, int]
    sessions_per_week: int | None
    interval_days: tuple[float, ...]
    day1_mg: tuple[float, ...]
    doses_mg: tuple[float, ...]
    step_mg: int | None
    provenance: Provenance


@dataclass(frozen=True, slots=True, kw_only=True)
class LabelStatus:
    """Whether a plan is on label; None where a fact is missing; `statement` says why, for the record."""

    on_label: Truth
    statement: str
    basis: tuple[str, ...]


def judge_trial(trial: MedicineTrial, policy: SitePolicy) -> TrialVerdict:
    """Whether a trial counts: this episode, therapeutic dose, long enough, and too little improvement.

    A trial stopped because it was not tolerated does not count as adequate.

    >>> from afterglow.clinic.policy import demo_policy
    >>> judge_trial(MedicineTrial(drug="sertraline", drug_class="ssri", at_least_minimum_dose=True, weeks=8,
    ...                           improvement_pct=10, this_episode=True), demo_policy()).counts
    True
    """
    weeks, limit = policy.number("resistance.min_weeks"), policy.number("resistance.max_improvement_pct")
    improved: Truth = None if trial.improvement_pct is None else trial.improvement_pct <= limit
    if trial.outcome is TrialOutcome.WORKED:
        improved = False  # what the clinician recorded counts, whatever the number says
    tests: tuple[tuple[str, Truth], ...] = (
        ("in this episode", trial.this_episode),
        ("a therapeutic dose", trial.at_least_minimum_dose),
        (f"at least {weeks:g} weeks", None if trial.weeks is None else trial.weeks >= weeks),
        (f"at most {limit:g} % improvement", improved),
        ("tolerated", trial.outcome is not TrialOutcome.INTOLERANT),
        ("not an augmentation", not trial.augmentation),
        (f"a class by a word that is known ({', '.join(staging().classes)})", _class_of(trial) is not None or None),
    )
    truths = [truth for _, truth in tests]
    counts: Truth = False if False in truths else None if None in truths else True
    said = tuple(f"{'not ' if truth is False else 'unknown: '}{text}" for text, truth in tests if truth is not True)
    return TrialVerdict(drug=trial.drug, counts=counts, reasons=said)


def judge_resistance(trials: tuple[MedicineTrial, ...], policy: SitePolicy) -> Resistance:
    """Resistance from the recorded trials; an empty history counts none.

    >>> from afterglow.clinic.policy import demo_policy
    >>> judge_resistance((), demo_policy()).meets
    False
    """
    verdicts = tuple(judge_trial(each, policy) for each in trials)
    sure = [trial for trial, verdict in zip(trials, verdicts, strict=True) if verdict.counts]
    possible = [trial for trial, verdict in zip(trials, verdicts, strict=True) if verdict.counts is not False]
    by = _distinct_classes if policy.flag("resistance.different_classes") else _distinct_drugs
    at_least, at_most, needed = by(sure), by(possible), int(policy.number("C050.adequate_trials"))
    meets: Truth = True if at_least >= needed else False if at_most < needed else None
    return Resistance(trials=verdicts, at_least=at_least, at_most=at_most, needed=needed, meets=meets)


def resistance_facts(trials: tuple[MedicineTrial, ...] | None, policy: SitePolicy) -> dict[str, Fact | None]:
    """What the rules ask about trials; None means that the history was not taken.

    >>> from afterglow.clinic.policy import demo_policy
    >>> resistance_facts(None, demo_policy())
    {'trd.adequate_trials': None, 'trd.trial_adequate': None, 'workup.w13.done': False}
    """
    if trials is None:
        return {"trd.adequate_trials": None, "trd.trial_adequate": None, "workup.w13.done": False}
    found = judge_resistance(trials, policy)
    counts = [each.counts for each in found.trials]
    all_adequate: Truth = False if False in counts else None if None in counts or not counts else True
    decided = found.at_least == found.at_most or found.meets is not None
    return {
        "trd.adequate_trials": found.at_least if decided else None,
        "trd.trial_adequate": all_adequate,
        "workup.w13.done": True,
    }


def maudsley_stage(
    *,
    duration_months: float | None,
    severity: MaudsleySeverity | None,
    failures: int | None,
    augmentation: bool | None,
    ect: bool | None,
) -> MaudsleyStage:
    """The Maudsley stage of this episode, 3 to 15 points; a missing part leaves no total.

    Raises: OutOfRange for a negative duration, or without one failure (the scale starts at one).
    Source: msm_table, msm_panel.

    >>> maudsley_stage(duration_months=18, severity=MaudsleySeverity.SEVERE, failures=3, augmentation=True, ect=False)
    MaudsleyStage(parts=(('duration', 2), ('severity', 4), ('failures', 2), ('augmentation', 1), ('ect', 0)), total=9,
    band='moderate')
    """
    table = staging()
    if duration_months is not None and not duration_months >= 0:
        raise OutOfRange("An episode lasts 0 months or more", observed=f"{duration_months:g} months")
    if failures is not None and failures < 1:
        raise OutOfRange("The scale starts at one failed treatment", observed=f"{failures}", allowed="1 or more")
    parts = (
        ("duration", None if duration_months is None else table.duration_months.points(duration_months)),
        ("severity", None if severity is None else table.severity[severity]),
        ("failures", None if failures is None else table.failures.points(failures)),
        ("augmentation", None if augmentation is None else table.augmentation * augmentation),
        ("ect", None if ect is None else table.ect * ect),
    )
    points = [value for _, value in parts if value is not None]
    total = sum(points) if len(points) == len(parts) else None
    band = None if total is None else next(label for low, high, label in table.bands if low <= total <= high)
    return MaudsleyStage(parts=parts, total=total, band=band)


def label_status(
    *,
    delivery: Delivery,
    indication: Indication,
    age_years: float | None,
    resistant: Truth,
    on_ssri_or_snri: bool | None,
    policy: SitePolicy,
) -> LabelStatus:
    """Whether a plan is on label in the site's region, derived and stated.

    Ketamine by any route is off label for every condition treated here.

    Source: spravato_2019, spravato_eu_pi, spravato_mono; fda_compound for ketamine.

    >>> from afterglow.clinic.policy import demo_policy
    >>> label_status(delivery=Delivery.IV, indication=Indication.TRD, age_years=40, resistant=True,
    ...              on_ssri_or_snri=True, policy=demo_policy()).on_label
    False
    """
    if delivery is not Delivery.ESK:
        return LabelStatus(
            on_label=False,
            statement=f"off label: no {delivery.words} product is approved for {_say(indication)}",
            basis=("fda_compound", "asa2023"),
        )
    region = policy.region
    rows = [row for row in label_rows() if row.indication is indication and region in row.regions]
    basis = tuple(dict.fromkeys(key for row in rows for key in row.provenance.source)) or ("spravato_2019",)
    if not rows:
        return LabelStatus(on_label=False, statement=f"off label in {region}: {_say(indication)}", basis=basis)
    low, high = min(row.ages[0] for row in rows), max(row.ages[1] for row in rows)
    known = age_years is not None and math.isfinite(age_years)
    tests: list[tuple[str, Truth]] = [("age", low <= (age_years or 0) < high + 1 if known else None)]
    if indication is Indication.TRD:
        tests.append(("resistance to treatment", resistant))
        if region in {"EU", "UK"}:
            tests.append(("an SSRI or SNRI alongside", on_ssri_or_snri))
    failed = [name for name, truth in tests if truth is False]
    unknown = [name for name, truth in tests if truth is None]
    if failed:
        return LabelStatus(on_label=False, statement=f"off label in {region}: {', '.join(failed)} not met", basis=basis)
    if unknown:
        return LabelStatus(on_label=None, statement=f"not known: {', '.join(unknown)} missing", basis=basis)
    return LabelStatus(on_label=True, statement=f"on label in {region}: {_say(indication)}", basis=basis)


def label_row(*, indication: Indication, region: str, age_years: float, week: int) -> LabelRow | None:
    """The row of the esketamine label for a week of treatment (from 1); None where the label has none.

    >>> label_row(indication=Indication.TRD, region="US", age_years=40, week=1).day1_mg
    (56.0,)
    """
    for row in label_rows():
        fits = row.indication is indication and region in row.regions
        if fits and row.ages[0] <= age_years < row.ages[1] + 1 and row.weeks[0] <= week <= row.weeks[1]:
            return row
    return None


@cache
def label_rows() -> tuple[LabelRow, ...]:
    """The esketamine dose table.

    >>> label_rows()[0].doses_mg
    (56.0, 84.0)
    """
    return _label_file()[0]


@cache
def dose_notes() -> tuple[tuple[str, str, Provenance, str | None], ...]:
    """What is known of doses beside the table: name, text, provenance and what was checked.

    >>> dose_notes()[0][0]
    'esketamine after hepatic impairment'
    """
    return _label_file()[1]


@cache
def staging() -> Staging:
    """The definitions behind resistance and its stage.

    >>> staging().failures.points(3)
    2
    """
    file = read_record(DATA, "staging.yaml")
    trd, msm = file.record("trd"), file.record("maudsley")
    definition, other = trd.text("definition"), trd.text("other")
    trd.number("min_weeks")
    trd.number("max_improvement_pct")
    trd.close(trd.provenance())
    named = file.record("classes")
    classes, salts = named.texts("words"), named.texts("salts")
    named.text("note")
    named.close(named.provenance())
    payers = tuple((row.text("payer"), row.text("text")) for row in file.records("payer_variants"))
    file.texts("payer_source")
    read = Staging(
        classes=classes,
        salts=salts,
        duration_months=_steps(msm, "duration_months"),
        failures=_steps(msm, "failures"),
        severity=msm.table("severity", str, int),
        augmentation=msm.whole("augmentation"),
        ect=msm.whole("ect"),
        bands=tuple((row.whole("min"), row.whole("max"), row.text("label")) for row in msm.records("bands")),
        definition=definition,
        other=other,
        provenance=msm.provenance(),
        payers=payers,
    )
    if set(read.severity) != set(MaudsleySeverity):
        raise InvalidData("staging.yaml: the severities are not those of the scale", observed=", ".join(read.severity))
    msm.close(read)
    return file.close(read)


def _steps(record: Record, key: str) -> Steps:
    rows = []
    for row in record.records(key):
        row.text("text")
        rows.append(row.close((row.number("max", None), row.whole("points"))))
    return Steps(rows=tuple(rows))


@cache
def _label_file() -> tuple[tuple[LabelRow, ...], tuple[tuple[str, str, Provenance, str | None], ...]]:
    file = read_record(DATA, "label_doses.yaml")
    file.text("checked")
    rows = tuple(map(_label_row, file.records("rows")))
    notes = tuple(
        note.close((note.text("name"), note.text("text"), note.provenance(), note.text("checked", None)))
        for note in file.records("notes")
    )
    for provenance in (*(row.provenance for row in rows), *(note[2] for note in notes)):
        for key in provenance.source:
            if key not in sources():
                raise InvalidData("label_doses.yaml: no such source", observed=key)
    return file.close((rows, notes))


def _label_row(record: Record) -> LabelRow:
    return record.close(
        LabelRow(
            indication=record.word("indication", Indication),
            regions=record.texts("regions"),
            ages=record.pair("ages", int),
            weeks=record.pair("weeks", int),
            sessions_per_week=record.whole("sessions_per_week", None),
            interval_days=record.numbers("interval_days"),
            day1_mg=record.numbers("day1_mg"),
            doses_mg=record.numbers("doses_mg"),
            step_mg=record.whole("step_mg", None),
            provenance=record.provenance(),
        )
    )


def _distinct_drugs(trials: list[MedicineTrial]) -> int:
    return len({_ingredient(each) for each in trials})


def _distinct_classes(trials: list[MedicineTrial]) -> int:
    return len({_class_of(each) or _written(each) for each in trials})


def _ingredient(trial: MedicineTrial) -> str:
    """The name without its salt; a name that is nothing else stays."""
    words = trial.drug.casefold().split()
    return " ".join(word for word in words if word.strip("()") not in staging().salts) or " ".join(words)


def _class_of(trial: MedicineTrial) -> str | None:
    return _written(trial) if _written(trial) in staging().classes else None


def _written(trial: MedicineTrial) -> str:
    return "_".join(trial.drug_class.casefold().split())


def _say(indication: Indication) -> str:
    words = {
        Indication.TRD: "treatment-resistant depression",
        Indication.MDSI: "depression with acute suicidal thoughts or behaviour",
        Indication.PTSD: "post-traumatic stress disorder",
    }
    return words.get(indication, indication.replace("_", " "))
