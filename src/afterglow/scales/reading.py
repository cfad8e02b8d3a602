"""From the mapping of an instrument's file to an `Instrument`, checked against the schema and against itself."""

from __future__ import annotations

import math
from collections.abc import Container, Iterator
from dataclasses import fields, is_dataclass
from itertools import pairwise
from typing import Any

from afterglow.errors import InvalidData, echo
from afterglow.predicates import Combination, Comparison, facts_of
from afterglow.provenance import Provenance, Verified
from afterglow.records import Record
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


def read_instrument(record: Record, known_sources: Container[str]) -> Instrument:
    """An instrument from its file.

    Raises: InvalidData naming the file and the key for an unknown or missing key, a wrong type, a `verified` of
    more than one word, a source nobody lists, a rule over an unknown fact, bands that overlap or leave out an end
    of the range, a range that its items do not add up to, or wording whose licence does not allow it.
    """
    file, key = record.file, record.text("id")
    direction = record.word("direction", Direction)
    counted, reliable = record.record("scoring"), record.record("reliable_change", None)
    reverse = counted.texts("reverse_items")
    read = record.close(
        Instrument(
            id=key,
            name=record.text("name"),
            short_name=record.text("short_name"),
            also_known_as=record.texts("also_known_as"),
            domain=record.text("domain"),
            priority=record.text("priority"),
            rater=record.word("rater", Rater),
            direction=direction,
            administration=_administration(record.record("administration")),
            recall_periods=tuple(map(_statement, record.records("recall_periods"))),
            items=_items(record.record("items"), key, reverse),
            scoring=_scoring(counted, direction),
            bands=tuple(map(_band_set, record.records("bands"))),
            response=tuple(map(_definition, record.records("response"))),
            remission=tuple(map(_definition, record.records("remission"))),
            relapse=tuple(map(_definition, record.records("relapse"))),
            important_change=tuple(map(_definition, record.records("important_change"))),
            screening=tuple(map(_definition, record.records("screening"))),
            reliable_change=None if reliable is None else _reliable_change(reliable),
            alerts=tuple(map(_alert, record.records("alerts"))),
            cadence=_statement(record.record("cadence")),
            codes=tuple(map(_code, record.records("codes"))),
            notes=tuple(map(_statement, record.records("notes"))),
            licence=_licence(record.record("licence")),
        )
    )
    _check_names(read, file, known_sources, reverse)
    _check_ranges(read, file)
    _check_bands(read, file)
    return read


def _statement(record: Record) -> Statement:
    return record.close(Statement(text=record.text("text"), provenance=record.provenance()))


def _administration(record: Record) -> Administration:
    return record.close(
        Administration(mode=record.text("mode"), minutes=record.pair("minutes", int), provenance=record.provenance())
    )


def _option(record: Record) -> Option:
    return record.close(
        Option(value=record.whole("value"), text=record.text("text"), loinc_answer=record.text("loinc_answer", None))
    )


def _items(record: Record, key: str, reverse: tuple[str, ...]) -> Items:
    count, shared = record.count("count", None), record.pair("range", int, None)
    options = tuple(map(_option, record.records("options")))
    rows = record.records("list")
    if not rows and count is not None and shared is not None:
        # Where the licence leaves only numbers, the items are numbered and nothing else.
        rows = [Record({"id": f"{key}_{number}"}, file=record.file, path=record.path) for number in range(1, count + 1)]
    provenance = record.provenance()
    range_verified = record.word("range_verified", Verified, None)
    return record.close(
        Items(
            count=count,
            count_text=record.text("count_text", None),
            provenance=provenance,
            range_provenance=provenance if range_verified is None else Provenance(source=(), verified=range_verified),
            listed=tuple(
                _item(row, number=str(number), shared=shared, options=options, reverse=reverse)
                for number, row in enumerate(rows, start=1)
            ),
            unscored=tuple(
                _item(row, number="", shared=None, options=(), reverse=()) for row in record.records("unscored")
            ),
            stem=record.text("stem", None),
            options=options,
            answer_codes=record.table("answer_codes", str, str),
            notes=record.texts("notes"),
        )
    )


def _item(
    record: Record,
    *,
    number: str,
    shared: tuple[int, int] | None,
    options: tuple[Option, ...],
    reverse: tuple[str, ...],
) -> Item:
    number = record.text("number", number)
    own = tuple(map(_option, record.records("options"))) or options
    if shared is None and own:
        shared = (min(o.value for o in own), max(o.value for o in own))
    return record.close(
        Item(
            number=number,
            id=record.text("id"),
            range=record.pair("range", int) if shared is None else record.pair("range", int, shared),
            label=record.text("label", None),
            text=record.text("text", None),
            loinc=record.text("loinc", None),
            levels=record.table("levels", int, str),
            options=own,
            reverse=number in reverse,
            critical=record.flag("critical"),
        )
    )


def _missing(record: Record) -> MissingRule:
    skips = tuple(
        skip.close(
            Skip(
                when_item=skip.text("when_item"),
                is_value=skip.whole("is_value"),
                items=skip.texts("items"),
                count_as=skip.whole("count_as"),
            )
        )
        for skip in record.records("skips")
    )
    return record.close(
        MissingRule(
            max_missing=record.whole("max_missing", None),
            method=record.word("method", MissingMethod),
            never_missing=record.texts("never_missing"),
            site_must_allow=record.flag("site_must_allow"),
            skips=skips,
            text=record.text("text", None),
            provenance=record.provenance(),
        )
    )


def _scoring(record: Record, direction: Direction) -> Scoring:
    missing = _missing(record.record("missing"))
    count = record.record("symptom_count", None)
    return record.close(
        Scoring(
            method=record.word("method", Method),
            text=record.text("text"),
            range=record.pair("range", float, None),
            steps_per_point=record.whole("steps_per_point"),
            subscales=tuple(
                _subscale(subscale, direction=direction, missing=missing) for subscale in record.records("subscales")
            ),
            levels=tuple(map(_level, record.records("levels"))),
            symptom_count=None
            if count is None
            else count.close(
                SymptomCount(
                    text=count.text("text"),
                    item_at_least=count.whole("item_at_least"),
                    need=count.table("need", str, int),
                )
            ),
            missing=missing,
            notes=record.texts("notes"),
            provenance=record.provenance(),
        )
    )


def _subscale(record: Record, *, direction: Direction, missing: MissingRule) -> Subscale:
    own = record.record("missing", None)
    return record.close(
        Subscale(
            name=record.text("name"),
            items=record.texts("items"),
            method=record.word("method", Method),
            range=record.pair("range", float),
            steps_per_point=record.whole("steps_per_point", None),
            direction=record.word("direction", Direction, direction),
            missing=missing if own is None else _missing(own),
        )
    )


def _level(record: Record) -> Level:
    return record.close(
        Level(
            name=record.text("name"),
            text=record.text("text"),
            when=record.condition("when"),
        )
    )


def _band_set(record: Record) -> BandSet:
    name, provenance = record.text("name"), record.provenance()
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
        for row in record.records("rows")
    )
    return record.close(
        BandSet(
            name=name,
            applies_to=record.texts("applies_to") or ("total",),
            sex=record.text("sex", None),
            when_sex_unknown=record.flag("when_sex_unknown"),
            bands=bands,
            note=provenance.note,
        )
    )


def _definition(record: Record) -> Definition:
    return record.close(
        Definition(
            name=record.text("name", "usual"),
            text=record.text("text"),
            rule=record.condition("rule", None),
            window=record.text("window", None),
            provenance=record.provenance(),
        )
    )


def _reliable_change(record: Record) -> ReliableChange:
    sem_points = record.number("sem_points", None)
    if record.has("threshold_points") == (sem_points is not None):
        raise record.fault("has exactly one of: threshold_points, sem_points")
    return record.close(
        ReliableChange(
            # Jacobson and Truax, J Consult Clin Psychol 59:12-19 (1991): 95 % of differences between two
            # measurements of an unchanged person lie within 1.96 standard errors of a difference.
            threshold_points=record.number("threshold_points")
            if sem_points is None
            else 1.96 * math.sqrt(2.0) * sem_points,
            sem_points=sem_points,
            text=record.text("text"),
            provenance=record.provenance(),
        )
    )


def _alert(record: Record) -> Alert:
    return record.close(
        Alert(
            id=record.text("id"),
            text=record.text("text"),
            says=record.text("says"),
            when=record.condition("when"),
            severity=record.word("severity", AlertSeverity),
            urgent=record.flag("urgent"),
            action=record.text("action"),
            provenance=record.provenance(),
        )
    )


def _code(record: Record) -> Code:
    return record.close(
        Code(
            system=record.text("system"),
            use=record.text("use"),
            code=record.text("code"),
            provenance=record.provenance(),
        )
    )


def _licence(record: Record) -> Licence:
    return record.close(
        Licence(
            status=record.text("status"),
            holder=record.text("holder", None),
            show=record.word("show", ItemText),
            default=record.text("default", None),
            provenance=record.provenance(),
        )
    )


def _parts(value: Any) -> Iterator[Any]:
    """A value and everything inside it, through dataclasses and tuples; conditions are leaves."""
    yield value
    if isinstance(value, (Comparison, Combination)):
        return
    if is_dataclass(value):
        value = [getattr(value, field.name) for field in fields(value)]
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
            raise InvalidData(f"{file}: no such {what}", observed=echo(name))


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
