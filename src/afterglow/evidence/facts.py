"""Published pharmacology: kinetic models and single facts, each to be cited by its id."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from types import MappingProxyType

from afterglow.evidence.figures import Confidence, PValue, Spread, SpreadKind, read_confidence, read_p, read_spreads
from afterglow.provenance import Provenance, Role
from afterglow.quantities import parse_duration_h
from afterglow.records import Record, read_record, unknown_name

_DATA = Path(__file__).parent / "data"
_FOLDER = "pharmacology"
_PK_FILE = f"{_FOLDER}/pk_models.yaml"


@dataclass(frozen=True, slots=True, kw_only=True)
class PkParameter:
    """One printed number of a kinetic model, in the unit it was printed in.

    `value` is None where the publication states that there is no effect to quantify.
    """

    name: str
    value: float | None
    unit: str
    variability: tuple[Spread, ...]
    provenance: Provenance

    def spread(self, kind: SpreadKind) -> Spread | None:
        """The spread of that kind, None if the source does not give it."""
        return next((spread for spread in self.variability if spread.kind is kind), None)

    @property
    def between_subject_omega2(self) -> float | None:
        """Between-subject variance of the logarithm, None where the source gives none.

        A printed coefficient of variation is converted by omega2 = ln(1 + CV^2), exact for a lognormal.

        >>> round(pk_model("fanta2015_oral").parameters["CL"].between_subject_omega2, 6)
        0.016759
        """
        omega2 = self.spread(SpreadKind.OMEGA2)
        if omega2 is not None:
            return omega2.value
        cv = self.spread(SpreadKind.IIV_CV_PCT)
        return None if cv is None or cv.value is None else math.log1p((cv.value / 100.0) ** 2)


@dataclass(frozen=True, slots=True, kw_only=True)
class PkModel:
    """A published kinetic model as printed.

    Args:
        id: the name it is cited by.
        n: size of the population it was estimated in; counts `n_unit`.
        n_samples: concentrations used, by analyte.
        sampling: arterial or venous, and what is uncertain about it; None if the page did not say.
        default_for: the uses it is the default for.
        structure: compartments and absorption in words, where the parameter names do not say it.
        parameters, covariates, abstract_figures: by name; the last are checks printed elsewhere in the paper.
    """

    id: str
    drug: str
    route: str
    population: str
    n: int | None
    n_unit: str
    n_samples: Mapping[str, int]
    sampling: str | None
    source: str
    default_for: tuple[str, ...]
    structure: str | None
    parameters: Mapping[str, PkParameter]
    covariates: Mapping[str, PkParameter]
    abstract_figures: Mapping[str, PkParameter]
    notes: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Point:
    """One of several numbers of a fact: an arm, a dose, an analyte (`label`) or a time (`time_h`)."""

    label: str
    time_h: float | None
    value: float | None
    spread: tuple[Spread, ...]
    p: PValue | None


@dataclass(frozen=True, slots=True, kw_only=True)
class PharmacologyFact:
    """One published finding: a number (`value`), several (`points`), a band (`spread` alone) or words (`text`).

    Args:
        id: stable name to cite it by.
        section: data file it lies in; `group` is a heading inside it.
        quantity: what was measured.
        agent, victim: of an interaction, what acts and what it acts on; None elsewhere.
        population, n, route: in whom and how; n counts `n_unit`.
        unit: of every number of the fact; None for words.
        study, drug, dose, sampling, analyte: of an observed concentration; None elsewhere.
        overlaps_models: kinetic models estimated in the same people, so that agreement proves little.
        confidence: how sure the compiler is of a figure; None where it was simply read.
    """

    id: str
    section: str
    group: str | None
    quantity: str
    agent: str | None
    victim: str | None
    population: str | None
    n: int | None
    n_unit: str
    route: str | None
    value: float | None
    text: str | None
    unit: str | None
    points: tuple[Point, ...]
    spread: tuple[Spread, ...]
    p: PValue | None
    study: str | None
    drug: str | None
    dose: str | None
    sampling: str | None
    analyte: str | None
    overlaps_models: tuple[str, ...]
    confidence: Confidence | None
    role: Role
    provenance: Provenance

    def point(self, label: str) -> Point:
        """The point of that label.

        Raises: UnknownName listing the labels.
        """
        for point in self.points:
            if point.label == label:
                return point
        raise unknown_name(f"fact {self.id} has no such point", label, [point.label for point in self.points])


def pk_models() -> Mapping[str, PkModel]:
    """Every kinetic model by id."""
    return _pk_models()


def pk_model(model_id: str) -> PkModel:
    """A kinetic model by id.

    Raises: UnknownName with the models that exist.

    >>> pk_model("kamp2020_meta_3cmt").parameters["CL"].value
    84.0
    """
    models = _pk_models()
    if model_id not in models:
        raise unknown_name("No kinetic model has this id", model_id, models)
    return models[model_id]


def sections() -> tuple[str, ...]:
    """Names of the sections of facts, in alphabetical order.

    >>> "absorption" in sections()
    True
    """
    return tuple(sorted(path.stem for path in (_DATA / _FOLDER).glob("*.yaml") if path.stem != "pk_models"))


def pharmacology(section: str) -> tuple[PharmacologyFact, ...]:
    """The facts of one section; reads that file alone.

    Raises: UnknownName with the sections that exist.

    >>> pharmacology("absorption")[0].id
    'spravato_intranasal_f'
    """
    return tuple(_section(section).facts.values())


def section_notes(section: str) -> tuple[str, ...]:
    """What is said about a section as a whole: rules of use, or what could not be found.

    >>> len(section_notes("gaps"))
    9
    """
    return _section(section).notes


def fact(fact_id: str) -> PharmacologyFact:
    """A fact by id; parses only the file it lies in.

    Raises: UnknownName with close matches.

    >>> fact("olofsen2022_c50_dissociation").value
    0.51
    """
    for section in sections():
        # A text search is hundreds of times faster than parsing every section to find one id.
        if f"\n  {fact_id}:\n" in (_DATA / _FOLDER / f"{section}.yaml").read_text(encoding="utf-8"):
            return _section(section).facts[fact_id]
    raise unknown_name(
        "No pharmacology fact has this id", fact_id, [name for s in sections() for name in _section(s).facts]
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Section:
    notes: tuple[str, ...]
    facts: Mapping[str, PharmacologyFact]


@cache
def _pk_models() -> Mapping[str, PkModel]:
    file = read_record(_DATA, _PK_FILE)
    models = {name: _read_model(name, record) for name, record in file.mapping("models").items()}
    return file.close(MappingProxyType(models))


def _read_model(name: str, record: Record) -> PkModel:
    model = record.close(
        PkModel(
            id=name,
            drug=record.text("drug"),
            route=record.text("route"),
            population=record.text("population"),
            n=record.count("n", None),
            n_unit=record.text("n_unit", "participants"),
            n_samples=record.table("n_samples", str, int),
            sampling=record.text("sampling", None),
            source=record.text("source"),
            default_for=record.texts("default_for"),
            structure=record.text("structure", None),
            parameters=_read_parameters(record.mapping("parameters")),
            covariates=_read_parameters(record.mapping("covariates")),
            abstract_figures=_read_parameters(record.mapping("abstract_figures")),
            notes=record.texts("notes"),
        )
    )
    if not model.parameters:
        raise record.fault("has no parameters")
    return model


def _read_parameters(records: Mapping[str, Record]) -> Mapping[str, PkParameter]:
    return MappingProxyType({name: _read_parameter(name, record) for name, record in records.items()})


def _read_parameter(name: str, record: Record) -> PkParameter:
    return record.close(
        PkParameter(
            name=name,
            value=record.number("value", None),
            unit=record.text("unit"),
            variability=read_spreads(record, "variability"),
            provenance=record.provenance(),
        )
    )


@cache
def _section(section: str) -> _Section:
    if section not in sections():
        raise unknown_name("Pharmacology has no section of this name", section, sections())
    file = read_record(_DATA, f"{_FOLDER}/{section}.yaml")
    role = file.word("role", Role)
    facts = {
        name: _read_fact(name, record, section=section, role=role) for name, record in file.mapping("facts").items()
    }
    return file.close(_Section(notes=file.texts("notes"), facts=MappingProxyType(facts)))


def _read_fact(name: str, record: Record, *, section: str, role: Role) -> PharmacologyFact:
    found = record.close(
        PharmacologyFact(
            id=name,
            section=section,
            group=record.text("group", None),
            quantity=record.text("quantity"),
            agent=record.text("agent", None),
            victim=record.text("victim", None),
            population=record.text("population", None),
            n=record.count("n", None),
            n_unit=record.text("n_unit", "participants"),
            route=record.text("route", None),
            value=record.number("value", None),
            text=record.text("text", None),
            unit=record.text("unit", None),
            points=tuple(_read_point(child) for child in record.records("points")),
            spread=read_spreads(record),
            p=read_p(record),
            study=record.text("study", None),
            drug=record.text("drug", None),
            dose=record.text("dose", None),
            sampling=record.text("sampling", None),
            analyte=record.text("analyte", None),
            overlaps_models=record.texts("overlaps_models"),
            confidence=read_confidence(record),
            role=role,
            provenance=record.provenance(),
        )
    )
    contents = [found.value is not None, found.text is not None, bool(found.points)]
    if sum(contents) > 1 or not (any(contents) or found.spread):
        raise record.fault("has exactly one of: value, text, points, or a band in spread")
    if found.text is None and found.unit is None:
        raise record.fault("has numbers and no unit")
    return found


def _read_point(record: Record) -> Point:
    if record.has("at") == record.has("label"):
        raise record.fault("has a time `at` or a `label`, and not both")
    label, time_h = record.quantity("at", _read_time, None) or (record.text("label"), None)
    return record.close(
        Point(
            label=label,
            time_h=time_h,
            value=record.number("value", None),
            spread=read_spreads(record),
            p=read_p(record),
        )
    )


def _read_time(text: str, *, what: str) -> tuple[str, float | None]:
    return text, parse_duration_h(text, what=what)
