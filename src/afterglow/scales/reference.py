"""The reference page of all instruments, generated from the data that the software runs on."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from afterglow.markdown import table
from afterglow.provenance import Provenance
from afterglow.scales.catalogue import core_set, instruments, sources
from afterglow.scales.instrument import Band, Definition, Direction, Instrument, Method, MissingMethod, MissingRule

_INTRODUCTION = """# Instruments

Generated from `src/afterglow/scales/data/`; do not edit by hand.

After each figure stands how far it was checked and where it comes from: *page* was read at the source, *derived* is
arithmetic on such figures, *policy* is a default without a published threshold, *recalled* is from memory and must be
confirmed before clinical use. An incomplete form has no score unless the missing-item rule says so. Item wording ships
only where it is in the public domain.
"""

_DEFINITIONS = (
    ("Response", "response"),
    ("Remission", "remission"),
    ("Relapse", "relapse"),
    ("Change that matters", "important_change"),
    ("Positive screen", "screening"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class InstrumentFact:
    """One thing known about an instrument, in words; `provenances` is empty for what only restates the items."""

    title: str
    text: str
    provenances: tuple[Provenance, ...]


def scales_markdown() -> str:
    """The page of every instrument in Markdown: summary, core set, one section each, sources.

    >>> scales_markdown().splitlines()[0]
    '# Instruments'
    """
    columns = ["Instrument", "Measures", "Rated by", "Items", "Range", "Shown"]
    lines = [_INTRODUCTION, *table(columns, map(_summary_row, instruments().values()))]
    core = core_set()
    lines += ["", "## Core set", "", f"{core.note} {_checked(core.provenance)}", ""]
    lines += [f"- {visit.when}: {', '.join(visit.use)}" for visit in core.visits]
    for each in instruments().values():
        lines += ["", *_section(each)]
    lines += ["", "## Sources", ""]
    for source in sources().values():
        link = source.url or (f"https://doi.org/{source.doi}" if source.doi else None)
        parts = (source.citation, source.read, f"<{link}>" if link else None, source.verified)
        lines.append(f'- <a id="source-{source.key}"></a>`{source.key}`: {"; ".join(filter(None, parts))}')
    return "\n".join(lines) + "\n"


def instrument_facts(each: Instrument) -> Iterator[InstrumentFact]:
    """Everything known about an instrument but its items, in words, in the order a reader asks for it.

    >>> from afterglow.scales.catalogue import instrument
    >>> [fact.text for fact in instrument_facts(instrument("PHQ-9")) if fact.title == "Remission"]
    ['total <5']
    """
    low, high = each.administration.minutes
    minutes = f"{low}" if low == high else f"{low} to {high}"
    yield _fact("Given by", f"{each.administration.mode}, {minutes} min", each.administration.provenance)
    for period in each.recall_periods:
        yield _fact("Recall", period.text, period.provenance)
    direction = "" if each.direction is Direction.NONE else "; " + each.direction.replace("_", " ")
    yield _fact("Score", f"{each.scoring.text}; {_range(each.range)}{direction}", each.scoring.provenance)
    reverse = [item.number for item in each.items.listed if item.reverse]
    if reverse:
        yield _fact("Reversed items", ", ".join(reverse))
    for part in each.scoring.subscales:
        items = f" of items {', '.join(part.items)}" if part.items else ""
        how = "entered" if part.method is Method.ENTRY else f"{part.method}{items}"
        yield _fact(f"Subscale {part.name}", f"{how}; {_range(part.range)}; {_missing(part.missing)}")
    for level in each.scoring.levels:
        yield _fact(f"Level {level.name}", level.text)
    if each.scoring.symptom_count is not None:
        yield _fact("Provisional diagnosis", each.scoring.symptom_count.text)
    yield _fact("Missing items", _missing(each.scoring.missing), each.scoring.missing.provenance)
    for bands in each.bands:
        rows = ", ".join(f"{_band_range(band)} {band.label}" for band in bands.bands)
        whom = "" if bands.sex is None else f", {bands.sex}" + " or not recorded" * bands.when_sex_unknown
        name = f"Bands ({bands.name}; {', '.join(bands.applies_to)}{whom})"
        yield _fact(name, rows, *dict.fromkeys(band.provenance for band in bands.bands))
    for title, field in _DEFINITIONS:
        yield from _definitions(title, getattr(each, field))
    if each.reliable_change is None:
        yield _fact("Reliable change", "no measurement error was found")
    else:
        points = f"{each.reliable_change.threshold_points:.1f} points: {each.reliable_change.text}"
        yield _fact("Reliable change", points, each.reliable_change.provenance)
    for alert in each.alerts:
        urgency = alert.severity.replace("_", " ") + ", same visit" * alert.urgent
        yield _fact(f"Alert {alert.id}", f"{alert.text}: {urgency}: {alert.action}", alert.provenance)
    yield _fact("When", each.cadence.text, each.cadence.provenance)
    for code in each.codes:
        yield _fact("Code", f"{code.system} {code.use.replace('_', ' ')} {code.code}", code.provenance)
    terms = (each.licence.status, each.licence.holder, each.licence.default)
    shown = f"{'; '.join(filter(None, terms))}; shown: {each.licence.show.replace('_', ' ')}"
    yield _fact("Licence", shown, each.licence.provenance)
    for note in each.notes:
        yield _fact("Note", note.text, note.provenance)
    for text in (*each.items.notes, *each.scoring.notes):
        yield _fact("Note", text)


def _summary_row(each: Instrument) -> list[object]:
    return [
        f"[{each.short_name}](#{each.id})",
        each.domain,
        each.rater,
        "" if each.items.count is None else each.items.count,
        _range(each.range),
        each.licence.show.replace("_", " "),
    ]


def _section(each: Instrument) -> Iterator[str]:
    yield f'## <a id="{each.id}"></a>{each.short_name}'
    yield ""
    yield f"{each.name}. {each.domain.capitalize()}; {each.priority}."
    yield ""
    yield _line(_fact("Items", _items(each), each.items.provenance))
    for fact in instrument_facts(each):
        yield _line(fact)


def _items(each: Instrument) -> str:
    parts = [
        "" if each.items.count is None else str(each.items.count),
        each.items.count_text or "",
        "; ".join(f"{item.number} {item.label}" for item in each.items.listed if item.label),
    ]
    critical = ", ".join(item.number for item in each.items.listed if item.critical)
    return "; ".join(filter(None, [*parts, f"critical: {critical}" if critical else ""]))


def _definitions(title: str, definitions: Iterable[Definition]) -> Iterator[InstrumentFact]:
    for definition in definitions:
        name = title if definition.name == "usual" else f"{title} ({definition.name})"
        window = f" ({definition.window})" if definition.window else ""
        yield _fact(name, definition.text + window, definition.provenance)


def _missing(rule: MissingRule) -> str:
    if rule.method is MissingMethod.NONE:
        return rule.text or "nothing is scored"
    method = rule.method.replace("_", " ")
    allowed = "any missing item leaves the form without a score"
    if rule.max_missing:
        allowed = f"{method} with at most {rule.max_missing} missing"
        allowed += ", where the site has switched it on" * rule.site_must_allow
    return f"{allowed}; {rule.text}" if rule.text else allowed


def _band_range(band: Band) -> str:
    return f"{band.min:g}" if band.min == band.max else f"{band.min:g}-{band.max:g}"


def _range(bounds: tuple[float, float] | None) -> str:
    return "no total" if bounds is None else f"{bounds[0]:g} to {bounds[1]:g}"


def _fact(title: str, text: str, *provenances: Provenance) -> InstrumentFact:
    return InstrumentFact(title=title, text=text, provenances=provenances)


def _line(fact: InstrumentFact) -> str:
    return " ".join((f"- **{fact.title}:** {fact.text}", *map(_checked, fact.provenances)))


def _checked(provenance: Provenance) -> str:
    links = [f"[{key}](#source-{key})" for key in provenance.source]
    return f"({'; '.join(filter(None, [provenance.verified, ', '.join(links), provenance.note]))})"
