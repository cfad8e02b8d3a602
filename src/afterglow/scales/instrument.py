"""What an instrument is: items, scoring, missing-item rule, bands, definitions, alerts, licence and their sources.

The facts live in `data/<id>.yaml`, one file per instrument; `catalogue` reads them into these types.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from afterglow.errors import UnknownName, echo
from afterglow.predicates import Condition
from afterglow.provenance import Provenance


class Rater(StrEnum):
    """Who gives the score; a model lets self-ratings move less than clinician ratings."""

    SELF = "self"
    CLINICIAN = "clinician"
    PERFORMANCE = "performance"


class Direction(StrEnum):
    """What a higher score means; mixed: each subscale has its own, none: there is no score."""

    HIGHER_IS_WORSE = "higher_is_worse"
    HIGHER_IS_BETTER = "higher_is_better"
    MIXED = "mixed"
    NONE = "none"


class Method(StrEnum):
    """How a total or subscale comes about; entry: scored elsewhere and typed in, none: there is no such score."""

    SUM = "sum"
    MEAN = "mean"
    MAX = "max"
    SUM_OF_SUBSCALES = "sum_of_subscales"
    ENTRY = "entry"
    NONE = "none"


class MissingMethod(StrEnum):
    """What unanswered items do to a score.

    prorate_mean: mean of the answered items times the item count. mean_of_answered: mean over the answered
    items. none: the instrument gives no score that could be incomplete.
    """

    INVALID = "invalid"
    PRORATE_MEAN = "prorate_mean"
    MEAN_OF_ANSWERED = "mean_of_answered"
    NONE = "none"


class ItemText(StrEnum):
    """What the software may show of the items.

    full: the wording ships. labels: short labels only. conditional: wording needs an accepted term or a text
    pack, until then labels or scores. score_entry: numbers only.
    """

    FULL = "full"
    LABELS = "labels"
    CONDITIONAL = "conditional"
    SCORE_ENTRY = "score_entry"


class AlertSeverity(StrEnum):
    """What an alert asks for.

    caution: information only. needs_clinician_review: an owner and a recorded decision (urgent: in the same
    visit). emergency: escalation card; staff raise the alarm.
    """

    CAUTION = "caution"
    NEEDS_CLINICIAN_REVIEW = "needs_clinician_review"
    EMERGENCY = "emergency"


@dataclass(frozen=True, slots=True, kw_only=True)
class Statement:
    """A statement in words with its provenance."""

    text: str
    provenance: Provenance


@dataclass(frozen=True, slots=True, kw_only=True)
class Option:
    """One answer of a fixed-choice item."""

    value: int
    text: str
    loinc_answer: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Item:
    """One item; `number` ("9", "6b") is the key of its answer.

    Args:
        id: identifier of the item in questionnaires, unique across instruments.
        label: short description; None where the licence leaves only numbers.
        text: the wording, for public-domain instruments only.
        range: lowest and highest whole-number answer.
        levels: meaning of each answer in a few words, where it differs by item.
        reverse: whether a high answer is a low score.
        critical: whether the item alone can call for action.
    """

    number: str
    id: str
    range: tuple[int, int]
    label: str | None = None
    text: str | None = None
    loinc: str | None = None
    levels: Mapping[int, str]
    options: tuple[Option, ...] = ()
    reverse: bool = False
    critical: bool = False

    @property
    def is_yes_no(self) -> bool:
        """Whether True and False are answers too."""
        return self.range == (0, 1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Items:
    """The items of an instrument.

    Args:
        count: items that are scored; None for an instrument without a fixed list.
        count_text: what the number leaves out.
        listed: the items in order; empty where only scores are entered.
        unscored: asked, never counted.
        stem: the question in front of the items, for public-domain instruments only.
        notes: branching, versions, common errors.
    """

    count: int | None
    count_text: str | None
    provenance: Provenance
    range_provenance: Provenance
    listed: tuple[Item, ...]
    unscored: tuple[Item, ...]
    stem: str | None
    options: tuple[Option, ...]
    answer_codes: Mapping[str, str]
    notes: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Skip:
    """Items that are not asked after an answer, and what they then count as."""

    when_item: str
    is_value: int
    items: tuple[str, ...]
    count_as: int


@dataclass(frozen=True, slots=True, kw_only=True)
class MissingRule:
    """When an incomplete form still gives a score.

    Args:
        max_missing: largest number of unanswered items; None where nothing is scored.
        never_missing: items without which there is no score.
        site_must_allow: the rule applies only where the site has switched it on; otherwise incomplete is invalid.
        skips: items that count as answered because the form leaves them out.
    """

    max_missing: int | None
    method: MissingMethod
    never_missing: tuple[str, ...]
    site_must_allow: bool
    skips: tuple[Skip, ...]
    text: str | None
    provenance: Provenance


@dataclass(frozen=True, slots=True, kw_only=True)
class Subscale:
    """A part score; `items` are item numbers, empty where the part score is entered.

    Args:
        range: lowest and highest value.
        steps_per_point: 1 for whole numbers, 10 for tenths, None for means over a varying number of items.
    """

    name: str
    items: tuple[str, ...]
    method: Method
    range: tuple[float, float]
    steps_per_point: int | None
    direction: Direction
    missing: MissingRule


@dataclass(frozen=True, slots=True, kw_only=True)
class Level:
    """A named level and the condition that gives it; the first true one in order counts."""

    name: str
    text: str
    when: Condition


@dataclass(frozen=True, slots=True, kw_only=True)
class SymptomCount:
    """A provisional diagnosis by counting items at or above a value in each subscale."""

    text: str
    item_at_least: int
    need: Mapping[str, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class Scoring:
    """How answers become a score.

    Args:
        method: of the total.
        range: lowest and highest total; None where there is no total.
        steps_per_point: 1 for whole numbers, 3 for thirds.
        levels: for instruments that end in a level instead of a number.
    """

    method: Method
    text: str
    range: tuple[float, float] | None
    steps_per_point: int
    subscales: tuple[Subscale, ...]
    levels: tuple[Level, ...]
    symptom_count: SymptomCount | None
    missing: MissingRule
    notes: tuple[str, ...]
    provenance: Provenance


@dataclass(frozen=True, slots=True, kw_only=True)
class Band:
    """A named stretch of the range; `set_name` tells which published set it belongs to."""

    label: str
    min: float
    max: float
    set_name: str
    provenance: Provenance


@dataclass(frozen=True, slots=True, kw_only=True)
class BandSet:
    """One published set of bands.

    Args:
        applies_to: "total", names of subscales, or "item_3".
        sex: the sex the set is for; None for everybody.
        when_sex_unknown: whether the set is used where sex is not recorded.
        bands: in ascending order.
    """

    name: str
    applies_to: tuple[str, ...]
    sex: str | None
    when_sex_unknown: bool
    bands: tuple[Band, ...]
    note: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Definition:
    """A definition of response, remission, relapse or a change that matters.

    Args:
        name: which of several definitions this is.
        text: the definition in words.
        rule: the cut-off as a condition; None where the source gives no single one.
        window: over which time or how many visits, where the source says.
    """

    name: str
    text: str
    rule: Condition | None
    window: str | None
    provenance: Provenance


@dataclass(frozen=True, slots=True, kw_only=True)
class ReliableChange:
    """What a change must reach to be more than measurement error.

    Args:
        threshold_points: published, or from the standard error of measurement.
        sem_points: the largest standard error of measurement found; None where the threshold itself is published.
    """

    threshold_points: float
    sem_points: float | None
    text: str
    provenance: Provenance


@dataclass(frozen=True, slots=True, kw_only=True)
class Alert:
    """A condition on a score that somebody must see, with what to do.

    Args:
        text: the condition, as a reviewer checks it.
        says: what it means, in a clinician's words.
    """

    id: str
    text: str
    says: str = ""
    when: Condition
    severity: AlertSeverity
    urgent: bool
    action: str
    provenance: Provenance


@dataclass(frozen=True, slots=True, kw_only=True)
class Code:
    """A code in a terminology; `use` is what it codes (panel, total, ...)."""

    system: str
    use: str
    code: str
    provenance: Provenance


@dataclass(frozen=True, slots=True, kw_only=True)
class Licence:
    """Terms of use and what may be shown under them.

    Args:
        holder: who holds the rights or granted them.
        show: what the software shows of the items.
        default: what it does until terms are accepted.
    """

    status: str
    holder: str | None
    show: ItemText
    default: str | None
    provenance: Provenance


@dataclass(frozen=True, slots=True, kw_only=True)
class Administration:
    """How it is given; minutes as shortest and longest usual time."""

    mode: str
    minutes: tuple[int, int]
    provenance: Provenance


@dataclass(frozen=True, slots=True, kw_only=True)
class Instrument:
    """Everything known about one instrument; an empty tuple means that none is defined.

    Args:
        short_name: the name people use ("PHQ-9").
        also_known_as: other names that find it.
        recall_periods: the usual one first.
        response: the usual definition first; likewise remission, relapse, important_change and screening.
        reliable_change: None where no measurement error was found.
    """

    id: str
    name: str
    short_name: str
    also_known_as: tuple[str, ...]
    domain: str
    priority: str
    rater: Rater
    direction: Direction
    administration: Administration
    recall_periods: tuple[Statement, ...]
    items: Items
    scoring: Scoring
    bands: tuple[BandSet, ...]
    response: tuple[Definition, ...]
    remission: tuple[Definition, ...]
    relapse: tuple[Definition, ...]
    important_change: tuple[Definition, ...]
    screening: tuple[Definition, ...]
    reliable_change: ReliableChange | None
    alerts: tuple[Alert, ...]
    cadence: Statement
    codes: tuple[Code, ...]
    notes: tuple[Statement, ...]
    licence: Licence

    @property
    def range(self) -> tuple[float, float] | None:
        """Lowest and highest total, in points; None where there is no total."""
        return self.scoring.range

    @property
    def whole_numbers(self) -> bool:
        """Whether a complete form gives a whole number."""
        return self.scoring.steps_per_point == 1

    @property
    def is_self_rated(self) -> bool:
        """Whether the patient gives the score."""
        return self.rater is Rater.SELF

    @property
    def may_show_text(self) -> bool:
        """Whether the wording of the items may be shown."""
        return self.licence.show is ItemText.FULL

    @property
    def loinc(self) -> str | None:
        """LOINC code of the total, if one was confirmed."""
        return next((code.code for code in self.codes if (code.system, code.use) == ("loinc", "total")), None)

    def subscale(self, name: str) -> Subscale:
        """The subscale called `name`.

        Raises: UnknownName with the subscales there are.
        """
        for subscale in self.scoring.subscales:
            if subscale.name == name:
                return subscale
        raise UnknownName(
            f"{self.short_name} has no such subscale",
            observed=echo(name),
            allowed=", ".join(subscale.name for subscale in self.scoring.subscales) or "none",
        )
