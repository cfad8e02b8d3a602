"""The rules of care as typed data: candidacy, interacting drugs, work-up and session rules, with their sources.

A rule raises a question; `ruling` judges it against facts. A threshold that a site may set is a `Setting`, linked to
the comparison that it replaces; `verified` is the weakest of the parts that `checked` names.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from functools import cache
from pathlib import Path
from types import MappingProxyType

from afterglow.clinic.thresholds import Setting, comparisons, read_setting
from afterglow.errors import InvalidData, echo
from afterglow.predicates import Combination, Comparison, Condition, facts_of
from afterglow.provenance import Provenance, Source, Verified
from afterglow.records import Record, read_record, unknown_name
from afterglow.therapy.regimen import Route

DATA = Path(__file__).parent / "data"


class Severity(StrEnum):
    """What a hit asks for.

    caution: information. needs_clinician_review: nothing goes on until a clinician's decision is recorded. exclude:
    stop; a prescriber may override with a reason where that is allowed. emergency: staff raise the alarm, never
    the software.
    """

    CAUTION = "caution"
    NEEDS_CLINICIAN_REVIEW = "needs_clinician_review"
    EXCLUDE = "exclude"
    EMERGENCY = "emergency"


class Delivery(StrEnum):
    """How a clinic gives the drug: intranasal esketamine, or ketamine by one of five other routes."""

    ESK = "esk"
    IV = "iv"
    IM = "im"
    SC = "sc"
    SL = "sl"
    PO = "po"

    @property
    def route(self) -> Route:
        """The route into the body."""
        return _ROUTES[self]

    @property
    def words(self) -> str:
        """As people say it."""
        if self is Delivery.ESK:
            return "intranasal esketamine"
        return f"{self.route.upper() if len(self.route) == 2 else self.route} ketamine"


_ROUTES = {
    Delivery.ESK: Route.INTRANASAL,
    Delivery.IV: Route.IV,
    Delivery.IM: Route.IM,
    Delivery.SC: Route.SC,
    Delivery.SL: Route.SUBLINGUAL,
    Delivery.PO: Route.ORAL,
}


class Group(StrEnum):
    """Where in the course or the session a rule is asked."""

    LABELLED = "labelled contraindication"
    AGE = "age"
    CARDIOVASCULAR = "cardiovascular"
    NEUROLOGICAL = "neurological"
    RESPIRATORY = "respiratory"
    HEPATIC = "hepatic"
    ENDOCRINE = "endocrine"
    METABOLIC = "metabolic"
    UROLOGICAL = "urological"
    RENAL = "renal"
    REPRODUCTIVE = "reproductive"
    PSYCHIATRIC = "psychiatric"
    SUBSTANCE = "substance"
    INDICATION = "indication"
    PROCESS = "process"
    INTERACTION = "interaction"
    ARRIVAL = "arrival"
    PRE_DOSE = "pre-dose"
    ADMINISTRATION = "administration"
    MONITORING = "monitoring"
    ESCALATION = "escalation"
    DISCHARGE = "discharge"
    AFTER = "after"


@dataclass(frozen=True, slots=True, kw_only=True)
class Branch:
    """A proposal for one case of a rule."""

    when: Condition
    propose: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """One rule of care.

    Args:
        applies_to: deliveries it is for.
        threshold: the limit in words, as published or by default.
        checked: which part of it was read at a source and which was not, where that differs.
        label_regions, label_deliveries: where and for which drug it is a labelled contraindication.
        not_in_labels_of: regions whose label was read and does not have it; elsewhere it binds until that was read.
        urgent: its question is answered in the same visit, so a hit alerts with high priority.
        gate: something that must be known before a dose.
        lock: a time or state that no answer replaces.
        site_configurable: whether the site may set it; a label or risk-programme rule is not.
        flags: further conditions that raise the same question.
        settings: thresholds that the site may set.
        figures: published numbers that are used by name.
    """

    id: str
    group: Group
    applies_to: tuple[Delivery, ...]
    condition: str
    when: Condition
    severity: Severity
    threshold: str | None
    action: str | None
    rationale: str | None
    provenance: Provenance
    checked: str | None
    label_regions: tuple[str, ...]
    label_deliveries: tuple[Delivery, ...]
    not_in_labels_of: tuple[str, ...]
    urgent: bool
    gate: bool
    lock: bool
    site_configurable: bool
    settings: tuple[Setting, ...]
    figures: Mapping[str, float]
    branches: tuple[Branch, ...]

    def __hash__(self) -> int:
        return hash(self.id)  # its figures are a mapping, which has no hash

    @property
    def is_labelled(self) -> bool:
        """Whether it is a labelled contraindication somewhere."""
        return self.group is Group.LABELLED

    @property
    def basis(self) -> str:
        """How far its threshold was checked, in words that never show a recalled figure as fact."""
        return basis_of(self.provenance, self.checked)


@dataclass(frozen=True, slots=True, kw_only=True)
class DrugClass:
    """A class of medicines that interact; `rule` carries the question, `members` the ingredients known by name."""

    rule: Rule
    fact: str
    name: str
    members: tuple[str, ...]
    effect: str


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkupItem:
    """Something asked or measured before a course.

    Args:
        due_if: true when it is missing or out of date.
        required_if: true when it applies to this patient; None applies to everybody.
        valid_days: how long it stays valid; None without an end.
    """

    id: str
    item: str
    loinc: tuple[str, ...]
    timing: str
    required: str
    valid_days: int | None
    due_if: Condition
    required_if: Condition | None
    settings: tuple[Setting, ...]
    provenance: Provenance
    checked: str | None


def basis_of(provenance: Provenance, checked: str | None = None) -> str:
    """How far a figure was checked, in words: what was not read is a site default, never a fact.

    >>> basis_of(Provenance(source=(), verified=Verified.RECALLED), "page (threshold); recalled (rule)")
    'page in part, the rest a site default to be signed (page (threshold); recalled (rule))'
    """
    if provenance.verified in {Verified.PAGE, Verified.DERIVED}:
        return checked or provenance.verified
    start = "page in part, the rest a site default" if (checked or "").startswith("page") else "site default"
    return f"{start} to be signed ({checked or provenance.verified})"


def rule(rule_id: str) -> Rule:
    """One rule, of candidacy, session or interaction.

    Raises: UnknownName with close matches.

    >>> rule("S010").condition
    'blood pressure above 140 systolic or above 90 diastolic'
    """
    found = rules()
    if rule_id not in found:
        raise unknown_name("No rule has this id", rule_id, found)
    return found[rule_id]


@cache
def rules() -> Mapping[str, Rule]:
    """Every rule by id, in the order of its file: candidacy, interactions, session.

    >>> len(rules()) > 120
    True
    """
    found = [
        *_rules_in("candidacy_rules.yaml"),
        *(each.rule for each in drug_classes()),
        *_rules_in("session_rules.yaml"),
    ]
    for each in found:
        _check_links(each.id, each.when, each.settings)
        _check_sources(each.id, each.provenance)
    by_id = {each.id: each for each in found}
    if len(by_id) != len(found):
        raise InvalidData("Two rules share an id")
    return MappingProxyType(by_id)


@cache
def rules_of(*groups: Group, delivery: Delivery) -> tuple[Rule, ...]:
    """The rules of some groups that apply to a delivery.

    >>> [each.id for each in rules_of(Group.DISCHARGE, delivery=Delivery.SL)]
    ['S062', 'S063', 'S064', 'S065', 'S066', 'S067']
    """
    return tuple(each for each in rules().values() if each.group in groups and delivery in each.applies_to)


@cache
def drug_classes() -> tuple[DrugClass, ...]:
    """Classes of medicines that interact, in the order of the file.

    >>> drug_classes()[0].fact
    'meds.benzodiazepine'
    """
    file = read_record(DATA, "interactions.yaml")
    return file.close(tuple(map(_drug_class, file.records("classes"))))


@cache
def workup_items() -> tuple[WorkupItem, ...]:
    """The baseline work-up.

    >>> workup_items()[3].item
    'pregnancy test (urine hCG)'
    """
    file = read_record(DATA, "workup.yaml")
    items = file.close(tuple(map(_workup_item, file.records("items"))))
    for item in items:
        _check_links(item.id, item.due_if, item.settings)
        _check_sources(item.id, item.provenance)
    return items


@cache
def sources() -> Mapping[str, Source]:
    """Pages, labels and papers that the rules rest on, by key.

    >>> sources()["spravato_2019"].verified
    <Verified.PAGE: 'page'>
    """
    file = read_record(DATA, "sources.yaml")
    return file.close(file.sources("sources"))


def _check_links(owner: str, condition: Condition, settings: tuple[Setting, ...]) -> None:
    here = [(c.fact, c.value) for c in comparisons(condition)]
    linked = [(each.fact, each.default) for each in settings if each.fact is not None]
    for link in linked:
        if link not in here or linked.count(link) > 1:
            raise InvalidData(f"{owner}: a setting does not name one comparison", observed=echo(link))


def _check_sources(owner: str, provenance: Provenance) -> None:
    for key in provenance.source:
        if key not in sources():
            raise InvalidData(f"{owner}: no such source", observed=key)


def _rules_in(file_name: str) -> tuple[Rule, ...]:
    file = read_record(DATA, file_name)
    return file.close(tuple(map(_rule, file.records("rules"))))


def _rule(record: Record) -> Rule:
    rule_id, condition = record.text("id"), record.text("condition")
    provenance = record.provenance()
    figures = {row.text("name"): row.number("value") for row in record.records("figures")}
    configurable = record.flag("site_configurable") if record.has("site_configurable") else record.has("settings")
    return record.close(
        Rule(
            id=rule_id,
            group=record.word("group", Group),
            applies_to=_deliveries(record, "applies_to"),
            condition=condition,
            when=record.condition("when"),
            severity=record.word("severity", Severity),
            threshold=record.text("threshold", None),
            action=record.text("action", None),
            rationale=record.text("rationale", None),
            provenance=provenance,
            checked=record.text("checked", None),
            label_regions=record.texts("label_regions"),
            label_deliveries=_deliveries(record, "label_routes"),
            not_in_labels_of=record.texts("not_in_labels_of"),
            urgent=record.flag("urgent"),
            gate=record.flag("gate"),
            lock=record.flag("lock"),
            site_configurable=configurable,
            settings=tuple(
                read_setting(row, prefix=f"{rule_id}.", provenance=provenance, text=condition)
                for row in record.records("settings")
            ),
            figures=MappingProxyType(figures),
            branches=tuple(
                row.close(Branch(when=row.condition("when"), propose=row.text("propose")))
                for row in record.records("branches")
            ),
        )
    )


def _deliveries(record: Record, key: str) -> tuple[Delivery, ...]:
    words = record.texts(key)
    if words == ("all",):
        return tuple(Delivery)
    unknown = [word for word in words if word not in set(Delivery)]
    if unknown:
        raise record.fault("is an unknown route", key=key, observed=unknown[0], allowed=", ".join(Delivery))
    return tuple(map(Delivery, words))


def _drug_class(record: Record) -> DrugClass:
    rule_id, name, effect = record.text("id"), record.text("drug_class"), record.text("effect")
    provenance, when = record.provenance(), record.condition("when")
    flags = tuple(
        Comparison(fact=row.text("fact"), op=row.text("op"), value=row.number("value"), unit=row.text("unit", None))
        for row in record.records("flags")
    )
    (fact,) = facts_of(when)
    made = Rule(
        id=rule_id,
        group=Group.INTERACTION,
        applies_to=tuple(Delivery),
        condition=f"{name}: {effect}",
        when=Combination(how="any", parts=(when, *flags)) if flags and rule_id == "D03" else when,
        severity=record.word("severity", Severity),
        threshold=None,
        action=record.text("rule"),
        rationale=effect,
        provenance=provenance,
        checked=record.text("checked", None),
        label_regions=(),
        label_deliveries=(),
        not_in_labels_of=(),
        urgent=False,
        gate=False,
        lock=False,
        site_configurable=record.has("settings"),
        settings=tuple(
            read_setting(row, prefix=f"{rule_id}.", provenance=provenance, text=name)
            for row in record.records("settings")
        ),
        figures=MappingProxyType({}),
        branches=tuple(Branch(when=flag, propose=f"flag: {flag}") for flag in flags),
    )
    return record.close(
        DrugClass(
            rule=made,
            fact=fact,
            name=name,
            members=tuple(each.casefold() for each in record.texts("examples")),
            effect=effect,
        )
    )


def _workup_item(record: Record) -> WorkupItem:
    item_id, item, provenance = record.text("id"), record.text("item"), record.provenance()
    return record.close(
        WorkupItem(
            id=item_id,
            item=item,
            loinc=record.texts("loinc"),
            timing=record.text("timing"),
            required=record.text("required"),
            valid_days=record.whole("valid_days", None),
            due_if=record.condition("due_if"),
            required_if=record.condition("required_if", None),
            settings=tuple(
                read_setting(row, prefix=f"{item_id}.", provenance=provenance, text=item)
                for row in record.records("settings")
            ),
            provenance=provenance,
            checked=record.text("checked", None),
        )
    )
