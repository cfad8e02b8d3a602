"""What a clinic's registers must hold: grades and terms of adverse events, drug records, the risk programme's form."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from types import MappingProxyType

from afterglow.clinic.rulebook import DATA, basis_of, sources
from afterglow.errors import InvalidData
from afterglow.markdown import table
from afterglow.provenance import Provenance
from afterglow.records import Record, read_record, unknown_name


@dataclass(frozen=True, slots=True, kw_only=True)
class DrugRecordRule:
    """One thing that drug records must show; `checked` says which part was read at a source."""

    id: str
    rule: str
    provenance: Provenance
    checked: str | None

    @property
    def basis(self) -> str:
        """How far it was checked, in words that never show a recalled figure as fact."""
        return basis_of(self.provenance, self.checked)


@dataclass(frozen=True, slots=True, kw_only=True)
class VisitStage:
    """One stage of a visit; minutes in words, as recalled: a plan, not a rule."""

    stage: str
    minutes: str
    who: str


@dataclass(frozen=True, slots=True, kw_only=True)
class FormGroup:
    """One part of the risk programme's monitoring form; a star marks a field that must be filled."""

    name: str
    fields: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class MonitoringForm:
    """The official form of the risk programme: it is filled from the record, never redrawn."""

    version: str
    groups: tuple[FormGroup, ...]
    provenance: Provenance
    checked: str | None
    print_only: str


@dataclass(frozen=True, slots=True, kw_only=True)
class EventGrades:
    """Grades of adverse events by number, terms that are offered, and pressure grades by name."""

    grades: Mapping[int, str]
    terms: tuple[str, ...]
    grades_source: tuple[str, ...]
    terms_source: tuple[str, ...]
    terms_checked: str
    pressure: Mapping[str, str]
    pressure_note: str


def event_grades() -> Mapping[int, str]:
    """Grades of adverse events (CTCAE general grades).

    >>> event_grades()[3]
    'severe'
    """
    return adverse_events().grades


@cache
def adverse_events() -> EventGrades:
    """Grades and terms of adverse events, with their sources.

    >>> adverse_events().terms[0], adverse_events().grades_source
    ('Dissociation', ('ctcae5',))
    """
    file = read_record(DATA, "adverse_events.yaml")
    pressure = file.record("hypertension")
    levels = {name: pressure.text(name) for name in ("g1", "g2", "g3", "g4")}
    provenance = pressure.close(pressure.provenance())
    _check_sources(provenance, "adverse_events.yaml")
    found = EventGrades(
        grades=MappingProxyType(dict(file.table("grades", int, str))),
        terms=file.texts("terms"),
        grades_source=file.texts("grades_source"),
        terms_source=file.texts("terms_source"),
        terms_checked=file.text("terms_checked"),
        pressure=MappingProxyType(levels),
        pressure_note=provenance.note or "",
    )
    for key in (*found.grades_source, *found.terms_source):
        if key not in sources():
            raise InvalidData("adverse_events.yaml: no such source", observed=key)
    return file.close(found)


@cache
def drug_record_rules() -> Mapping[str, DrugRecordRule]:
    """What drug records must show, by id.

    >>> drug_record_rules()["K01"].basis
    'site default to be signed (recalled)'
    """
    file = read_record(DATA, "drug_records.yaml")
    found = {}
    for row in file.records("checks"):
        provenance = row.provenance()
        _check_sources(provenance, "drug_records.yaml")
        made = DrugRecordRule(
            id=row.text("id"), rule=row.text("rule"), provenance=provenance, checked=row.text("checked", None)
        )
        found[made.id] = row.close(made)
    file.records("visit")  # read by `visit_stages`
    return MappingProxyType(file.close(found))


@cache
def visit_stages() -> tuple[VisitStage, ...]:
    """The stages of a visit in order, with who does them and how long they take.

    >>> visit_stages()[0].stage
    'check-in'
    """
    rows = sorted(read_record(DATA, "drug_records.yaml").records("visit"), key=lambda row: row.whole("order"))
    return tuple(
        row.close(VisitStage(stage=row.text("stage"), minutes=row.text("minutes"), who=row.text("who"))) for row in rows
    )


def drug_record_rule(rule_id: str) -> DrugRecordRule:
    """One of them.

    Raises: UnknownName with close matches.

    >>> drug_record_rule("K02").id
    'K02'
    """
    if rule_id not in drug_record_rules():
        raise unknown_name("No rule of drug records has this id", rule_id, drug_record_rules())
    return drug_record_rules()[rule_id]


@cache
def monitoring_form() -> MonitoringForm:
    """The risk programme's monitoring form for esketamine, by parts.

    >>> [group.name for group in monitoring_form().groups][:2]
    ['patient', 'concomitant medication']
    """
    file = read_record(DATA, "rems.yaml")
    enrolment = file.record("enrolment")
    enrolment.texts("duties")
    _check_sources(enrolment.provenance(), "rems.yaml")
    enrolment.close(None)
    form = file.record("form")
    groups = tuple(
        row.close(FormGroup(name=row.text("name"), fields=row.texts("fields"))) for row in form.records("groups")
    )
    provenance = form.provenance()
    _check_sources(provenance, "rems.yaml")
    made = MonitoringForm(
        version=form.text("version"),
        groups=groups,
        provenance=provenance,
        checked=form.text("checked", None),
        print_only=form.text("print_only"),
    )
    return file.close(form.close(made))


@cache
def enrolment_duties() -> tuple[str, ...]:
    """What the risk programme asks of a setting before the first treatment.

    >>> enrolment_duties()[0]
    'authorised representative designated'
    """
    enrolment: Record = read_record(DATA, "rems.yaml").record("enrolment")
    return enrolment.texts("duties")


def registers_markdown() -> str:
    """The reference page of the registers.

    >>> registers_markdown().splitlines()[0]
    '# Registers'
    """
    return "\n".join(_page()) + "\n"


def _page() -> Iterator[str]:
    yield "# Registers"
    yield ""
    yield "Generated from the data; do not edit by hand. What is *recalled* is a site default to be signed, no fact."
    yield ""
    yield "## Drug records"
    yield ""
    rows = ([each.id, each.rule, each.basis] for each in drug_record_rules().values())
    yield from table(["Rule", "What must hold", "Status"], rows)
    yield ""
    yield "## A visit"
    yield ""
    yield "Minutes are recalled: a plan to start from."
    yield ""
    yield from table(["Stage", "Minutes", "Who"], ([each.stage, each.minutes, each.who] for each in visit_stages()))
    yield ""
    events = adverse_events()
    yield "## Adverse events"
    yield ""
    yield f"Grades (sources: {', '.join(events.grades_source)}):"
    yield ""
    yield from table(["Grade", "Means"], ([number, word] for number, word in events.grades.items()))
    yield ""
    yield "Pressure, mmHg: " + "; ".join(f"{name} {level}" for name, level in events.pressure.items()) + "."
    yield f"{events.pressure_note}"
    yield ""
    yield f"Terms offered ({events.terms_checked}): {', '.join(events.terms)}."
    yield ""
    form = monitoring_form()
    yield "## Risk programme for esketamine (US)"
    yield ""
    yield f"Before the first treatment: {'; '.join(enrolment_duties())}."
    yield ""
    yield f"Monitoring form ({basis_of(form.provenance, form.checked)}). {form.print_only}"
    yield ""
    yield from table(["Part", "Fields (* must be filled)"], ([g.name, ", ".join(g.fields)] for g in form.groups))


def _check_sources(provenance: Provenance, where: str) -> None:
    for key in provenance.source:
        if key not in sources():
            raise InvalidData(f"{where}: no such source", observed=key)
