"""From the mapping of an instrument's file to an `Instrument`, checked against the schema and against itself."""

from __future__ import annotations

import math
from collections.abc import Container, Iterator
from dataclasses import fields as fields_of
from dataclasses import is_dataclass
from enum import StrEnum
from itertools import pairwise
from types import MappingProxyType
from typing import Any, TypeVar

from afterglow.errors import InvalidData
from afterglow.predicates import Combination, Comparison, facts_of, parse_condition
from afterglow.provenance import Provenance
from afterglow.scales.fields import Fields
from afterglow.scales.instrument import (
    Administration,
    Alert,
    AlertSeverity,
    Band,
    BandSet,
    Code,
    Definition,
    Direction,
    Instrument,
    Item,
    Items,
    ItemText,
    Level,
    Licence,
    Method,
    MissingMethod,
    MissingRule,
    Option,
    Rater,
    ReliableChange,
    Scoring,
    Skip,
    Statement,
    Subscale,
    SymptomCount,
)

E = TypeVar("E", bound=StrEnum)


def read_instrument(data: Any, file: str, known_sources: Container[str]) -> Instrument:
    """An instrument from the mapping of its file.

    Raises: InvalidData naming the file and the key for an unknown or missing key, a wrong type, a `verified` of
    more than one word, a source nobody lists, a rule over an unknown fact, bands that overlap or leave out an end
    of the range, a range that its items do not add up to, or wording whose licence does not allow it.
    """
    fields = Fields(data, file)
    key = fields.text("id")
    direction = _word(fields, "direction", Direction)
    scoring_fields = fields.one("scoring")
    reverse = scoring_fields.texts("reverse_items")
    scoring = _scoring(scoring_fields, direction)
    read = fields.close(
        Instrument(
            id=key,
            name=fields.text("name"),
            short_name=fields.text("short_name"),
            also_known_as=fields.texts("also_known_as"),
            domain=fields.text("domain"),
            priority=fields.text("priority"),
            rater=_word(fields, "rater", Rater),
            direction=direction,
            administration=_administration(fields.one("administration")),
            recall_periods=tuple(map(_statement, fields.many("recall_periods"))),
            items=_items(fields.one("items"), key, reverse),
            scoring=scoring,
            bands=tuple(map(_band_set, fields.many("bands"))),
            response=tuple(map(_definition, fields.many("response"))),
            remission=tuple(map(_definition, fields.many("remission"))),
            relapse=tuple(map(_definition, fields.many("relapse"))),
            important_change=tuple(map(_definition, fields.many("important_change"))),
            screening=tuple(map(_definition, fields.many("screening"))),
            reliable_change=_reliable_change(fields.one("reliable_change")) if fields.has("reliable_change") else None,
            alerts=tuple(map(_alert, fields.many("alerts"))),
            cadence=_statement(fields.one("cadence")),
            codes=tuple(map(_code, fields.many("codes"))),
            notes=tuple(map(_statement, fields.many("notes"))),
            licence=_licence(fields.one("licence")),
        )
    )
    _check_names(read, file, known_sources, reverse)
    _check_ranges(read, file)
    _check_bands(read, file)
    return read


def _word(fields: Fields, key: str, words: type[E], default: E | None = None) -> E:
    value = fields.text(key) if default is None else fields.text(key, default)
    try:
        return words(value)
    except ValueError:
        raise InvalidData(
            f"{fields.where}.{key}: unknown word", observed=repr(value), allowed=", ".join(words)
        ) from None


def _statement(fields: Fields) -> Statement:
    return fields.close(Statement(text=fields.text("text"), provenance=fields.provenance()))


def _administration(fields: Fields) -> Administration:
    return fields.close(
        Administration(mode=fields.text("mode"), minutes=fields.pair("minutes"), provenance=fields.provenance())
    )


def _option(fields: Fields) -> Option:
    return fields.close(
        Option(value=fields.whole("value"), text=fields.text("text"), loinc_answer=fields.text("loinc_answer", None))
    )


def _items(fields: Fields, key: str, reverse: tuple[str, ...]) -> Items:
    count, shared = fields.whole("count", None), fields.pair("range", None)
    options = tuple(map(_option, fields.many("options")))
    rows = fields.many("list")
    if not rows and count is not None and shared is not None:
        # Where the licence leaves only numbers, the items are numbered and nothing else.
        rows = [Fields({"id": f"{key}_{number}"}, fields.where) for number in range(1, count + 1)]
    provenance = fields.provenance()
    range_provenance = provenance
    if fields.has("range_verified"):
        range_provenance = Fields({"verified": fields.take("range_verified")}, fields.where).provenance()
    return fields.close(
        Items(
            count=count,
            count_text=fields.text("count_text", None),
            provenance=provenance,
            range_provenance=range_provenance,
            listed=tuple(
                _item(row, number=str(number), shared=shared, options=options, reverse=reverse)
                for number, row in enumerate(rows, start=1)
            ),
            unscored=tuple(
                _item(row, number="", shared=None, options=(), reverse=()) for row in fields.many("unscored")
            ),
            stem=fields.text("stem", None),
            options=options,
            answer_codes=MappingProxyType(fields.table("answer_codes", str, str)),
            notes=fields.texts("notes"),
        )
    )


def _item(
    fields: Fields,
    *,
    number: str,
    shared: tuple[int, int] | None,
    options: tuple[Option, ...],
    reverse: tuple[str, ...],
) -> Item:
    number = fields.text("number", number)
    own = tuple(map(_option, fields.many("options"))) or options
    if shared is None and own:
        shared = (min(o.value for o in own), max(o.value for o in own))
    return fields.close(
        Item(
            number=number,
            id=fields.text("id"),
            range=fields.pair("range") if shared is None else fields.pair("range", shared),
            label=fields.text("label", None),
            text=fields.text("text", None),
            loinc=fields.text("loinc", None),
            levels=MappingProxyType(fields.table("levels", int, str)),
            options=own,
            reverse=number in reverse,
            critical=fields.flag("critical"),
        )
    )


def _missing(fields: Fields) -> MissingRule:
    skips = tuple(
        skip.close(
            Skip(
                when_item=skip.text("when_item"),
                is_value=skip.whole("is_value"),
                items=skip.texts("items"),
                count_as=skip.whole("count_as"),
            )
        )
        for skip in fields.many("skips")
    )
    return fields.close(
        MissingRule(
            max_missing=fields.whole("max_missing", None),
            method=_word(fields, "method", MissingMethod),
            never_missing=fields.texts("never_missing"),
            site_must_allow=fields.flag("site_must_allow"),
            skips=skips,
            text=fields.text("text", None),
            provenance=fields.provenance(),
        )
    )


def _scoring(fields: Fields, direction: Direction) -> Scoring:
    missing = _missing(fields.one("missing"))
    count = fields.one("symptom_count") if fields.has("symptom_count") else None
    return fields.close(
        Scoring(
            method=_word(fields, "method", Method),
            text=fields.text("text"),
            range=fields.pair("range", None),
            steps_per_point=fields.whole("steps_per_point"),
            subscales=tuple(
                _subscale(subscale, direction=direction, missing=missing) for subscale in fields.many("subscales")
            ),
            levels=tuple(map(_level, fields.many("levels"))),
            symptom_count=None
            if count is None
            else count.close(
                SymptomCount(
                    text=count.text("text"),
                    item_at_least=count.whole("item_at_least"),
                    need=MappingProxyType(count.table("need", str, int)),
                )
            ),
            missing=missing,
            notes=fields.texts("notes"),
            provenance=fields.provenance(),
        )
    )


def _subscale(fields: Fields, *, direction: Direction, missing: MissingRule) -> Subscale:
    return fields.close(
        Subscale(
            name=fields.text("name"),
            items=fields.texts("items"),
            method=_word(fields, "method", Method),
            range=fields.pair("range"),
            steps_per_point=fields.whole("steps_per_point", None),
            direction=_word(fields, "direction", Direction, direction),
            missing=_missing(fields.one("missing")) if fields.has("missing") else missing,
        )
    )


def _level(fields: Fields) -> Level:
    return fields.close(
        Level(
            name=fields.text("name"),
            text=fields.text("text"),
            when=parse_condition(fields.take("when"), where=fields.where),
        )
    )


def _band_set(fields: Fields) -> BandSet:
    name, provenance = fields.text("name"), fields.provenance()
    bands = tuple(
        row.close(
            Band(
                label=row.text("label"),
                min=row.number("min"),
                max=row.number("max"),
                set_name=name,
                provenance=row.provenance() if row.has("verified") else provenance,
            )
        )
        for row in fields.many("rows")
    )
    return fields.close(
        BandSet(
            name=name,
            applies_to=fields.texts("applies_to") or ("total",),
            sex=fields.text("sex", None),
            when_sex_unknown=fields.flag("when_sex_unknown"),
            bands=bands,
            note=provenance.note,
        )
    )


def _definition(fields: Fields) -> Definition:
    rule = fields.take("rule", None)
    return fields.close(
        Definition(
            name=fields.text("name", "usual"),
            text=fields.text("text"),
            rule=None if rule is None else parse_condition(rule, where=fields.where),
            window=fields.text("window", None),
            provenance=fields.provenance(),
        )
    )


def _reliable_change(fields: Fields) -> ReliableChange:
    published, sem_points = fields.number("threshold_points", None), fields.number("sem_points", None)
    if (published is None) == (sem_points is None):
        raise InvalidData(f"{fields.where}: exactly one of threshold_points and sem_points is needed")
    return fields.close(
        ReliableChange(
            # Jacobson and Truax, J Consult Clin Psychol 59:12-19 (1991): 95 % of differences between two
            # measurements of an unchanged person lie within 1.96 standard errors of a difference.
            threshold_points=published if sem_points is None else 1.96 * math.sqrt(2.0) * sem_points,
            sem_points=sem_points,
            text=fields.text("text"),
            provenance=fields.provenance(),
        )
    )


def _alert(fields: Fields) -> Alert:
    return fields.close(
        Alert(
            id=fields.text("id"),
            text=fields.text("text"),
            when=parse_condition(fields.take("when"), where=fields.where),
            severity=_word(fields, "severity", AlertSeverity),
            urgent=fields.flag("urgent"),
            action=fields.text("action"),
            provenance=fields.provenance(),
        )
    )


def _code(fields: Fields) -> Code:
    return fields.close(
        Code(
            system=fields.text("system"),
            use=fields.text("use"),
            code=fields.text("code"),
            provenance=fields.provenance(),
        )
    )


def _licence(fields: Fields) -> Licence:
    return fields.close(
        Licence(
            status=fields.text("status"),
            holder=fields.text("holder", None),
            show=_word(fields, "show", ItemText),
            default=fields.text("default", None),
            provenance=fields.provenance(),
        )
    )


def _parts(value: Any) -> Iterator[Any]:
    """A value and everything inside it, through dataclasses and tuples; conditions are leaves."""
    yield value
    if isinstance(value, (Comparison, Combination)):
        return
    if is_dataclass(value):
        value = [getattr(value, field.name) for field in fields_of(value)]
    if isinstance(value, (tuple, list)):
        for part in value:
            yield from _parts(part)


def _check_names(read: Instrument, file: str, known_sources: Container[str], reverse: tuple[str, ...]) -> None:
    """Refuse a reference to an item, subscale, fact or source that does not exist."""
    if file != f"{read.id}.yaml":
        raise InvalidData(f"{file}: the id is not the file's name", observed=read.id)
    numbers = [item.number for item in read.items.listed]
    subscales = [subscale.name for subscale in read.scoring.subscales]
    named = [*reverse]
    for rule in (read.scoring.missing, *(subscale.missing for subscale in read.scoring.subscales)):
        named += [*rule.never_missing, *(n for skip in rule.skips for n in (skip.when_item, *skip.items))]
    named += [number for subscale in read.scoring.subscales for number in subscale.items]
    _refuse_unknown(file, "item", named, numbers)
    if read.scoring.symptom_count is not None:
        _refuse_unknown(file, "subscale", read.scoring.symptom_count.need, subscales)
    facts = {"total", "level", "change", "change_pct", "change_toward_better"}
    facts |= {name + suffix for name in subscales for suffix in ("", "_change", "_change_pct")}
    facts |= {f"item_{number}{suffix}" for number in numbers for suffix in ("", "_answered", "_rise_since_last")}
    for part in _parts(read):
        if isinstance(part, Provenance):
            _refuse_unknown(file, "source", part.source, known_sources)
        elif isinstance(part, (Comparison, Combination)):
            _refuse_unknown(file, "fact", (f for f in facts_of(part) if "." not in f), facts)  # a dot: from elsewhere
    _refuse_unknown(file, "target of bands", (t for s in read.bands for t in s.applies_to), facts)


def _refuse_unknown(file: str, what: str, names: Any, known: Container[str]) -> None:
    for name in names:
        if name not in known:
            raise InvalidData(f"{file}: no such {what}", observed=repr(name))


def _check_ranges(read: Instrument, file: str) -> None:
    """Refuse ranges that the items do not add up to, and wording that the licence does not give away."""
    items = {item.number: item for item in read.items.listed}
    total = ("total", read.scoring.method, tuple(items), read.scoring.range)
    for name, method, numbers, stated in (
        total,
        *((s.name, s.method, s.items, s.range) for s in read.scoring.subscales),
    ):
        bounds = [items[number].range for number in numbers]
        low, high = [low for low, _ in bounds], [high for _, high in bounds]
        expected: tuple[float, float] | None = stated
        if method is Method.SUM:
            expected = (sum(low), sum(high))
        elif method in {Method.MEAN, Method.MAX}:
            expected = (min(low), max(high))
        elif method is Method.SUM_OF_SUBSCALES:
            ranges = [subscale.range for subscale in read.scoring.subscales]
            expected = (sum(r[0] for r in ranges), sum(r[1] for r in ranges))
        if stated != expected:
            raise InvalidData(
                f"{file}: the range of {name} is not what its items add up to",
                observed=str(stated),
                allowed=str(expected),
            )
    counted = read.scoring.method in {Method.SUM, Method.MEAN, Method.SUM_OF_SUBSCALES}
    if counted and read.items.count != len(items):
        raise InvalidData(f"{file}: the count of items is not the number listed", observed=str(read.items.count))
    worded = any(item.text is not None for item in (*read.items.listed, *read.items.unscored))
    if worded and not read.may_show_text:
        raise InvalidData(f"{file}: the wording of items may not be shipped", observed=read.licence.show)


def _check_bands(read: Instrument, file: str) -> None:
    """Refuse bands that overlap, run backwards or leave out an end of the range."""
    ranges: dict[str, Any] = {"total": read.scoring.range}
    ranges |= {subscale.name: subscale.range for subscale in read.scoring.subscales}
    ranges |= {f"item_{item.number}": item.range for item in read.items.listed}
    for band_set in read.bands:
        edges = [edge for band in band_set.bands for edge in (band.min, band.max)]
        rising = edges == sorted(edges) and all(a.max < b.min for a, b in pairwise(band_set.bands))
        if not edges or not rising or any(ranges[t] != (edges[0], edges[-1]) for t in band_set.applies_to):
            raise InvalidData(
                f"{file}: bands {band_set.name} must rise, not overlap and reach both ends of the range",
                observed=str(edges),
            )
