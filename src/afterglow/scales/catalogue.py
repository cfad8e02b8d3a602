"""The instruments that exist: one file each in `data/`, read on first use, checked in full and kept.

A new instrument is one new file; nothing here lists them.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache, lru_cache
from importlib import resources
from types import MappingProxyType
from typing import Any

import yaml

from afterglow.errors import InvalidData, UnknownName
from afterglow.provenance import Provenance, Source, parse_verified
from afterglow.scales.fields import Fields
from afterglow.scales.instrument import Instrument
from afterglow.scales.reading import read_instrument

_DATA = resources.files(__package__) / "data"
_OTHER_FILES = {"sources", "core_set"}


@dataclass(frozen=True, slots=True, kw_only=True)
class CoreSetVisit:
    """The instruments of the smallest useful set at one kind of visit, in words."""

    when: str
    use: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class CoreSet:
    """The smallest set of instruments that answers: is it safe, is it working, when to treat again."""

    note: str
    visits: tuple[CoreSetVisit, ...]
    provenance: Provenance


class _Instruments(Mapping[str, Instrument]):
    """Every instrument by id; a file is read when its instrument is first asked for."""

    def __getitem__(self, key: str) -> Instrument:
        if key not in _ids():
            raise KeyError(key)
        return _instrument_in(key)

    def __iter__(self) -> Iterator[str]:
        return iter(_ids())

    def __len__(self) -> int:
        return len(_ids())


def instruments() -> Mapping[str, Instrument]:
    """Every instrument by its id, in alphabetical order; read lazily, one file at a time.

    >>> len(instruments()), instruments()["phq9"].range
    (27, (0, 27))
    """
    return _Instruments()


@lru_cache(maxsize=512)
def instrument(name: str) -> Instrument:
    """The instrument of this id, short name or other common name; case, spaces and hyphens do not matter.

    Raises: UnknownName with the instruments that exist, the closest first.

    >>> instrument("HDRS").short_name, instrument("phq-9").id
    ('HAM-D17', 'phq9')
    """
    wanted = _plain(name)
    for key in _ids():
        if _plain(key) == wanted:
            return _instrument_in(key)
    found = _by_name().get(wanted)
    if found is None:
        close = [_by_name()[match] for match in difflib.get_close_matches(wanted, _by_name(), n=5, cutoff=0.5)]
        names = dict.fromkeys(_instrument_in(key).short_name for key in [*close, *_ids()])
        raise UnknownName("No instrument has this name", observed=repr(name), allowed=", ".join(names))
    return _instrument_in(found)


@cache
def sources() -> Mapping[str, Source]:
    """The pages and papers that the instruments' figures come from, by key.

    >>> sources()["spier"].verified
    <Verified.PAGE: 'page'>
    """
    entries = _load("sources")
    if not isinstance(entries, dict):
        raise InvalidData("sources.yaml: a mapping is needed", observed=repr(entries)[:60])
    return MappingProxyType({key: _source(key, Fields(entry, f"sources.yaml.{key}")) for key, entry in entries.items()})


@cache
def core_set() -> CoreSet:
    """The smallest useful set of instruments by kind of visit.

    >>> core_set().visits[0].use[:2]
    ('phq9', 'gad7')
    """
    fields = Fields(_load("core_set"), "core_set.yaml")
    return fields.close(
        CoreSet(
            visits=tuple(v.close(CoreSetVisit(when=v.text("when"), use=v.texts("use"))) for v in fields.many("visits")),
            note=fields.take("note"),
            provenance=fields.provenance(),
        )
    )


@cache
def _ids() -> tuple[str, ...]:
    names = sorted(entry.name.removesuffix(".yaml") for entry in _DATA.iterdir() if entry.name.endswith(".yaml"))
    return tuple(name for name in names if name not in _OTHER_FILES)


@cache
def _by_name() -> Mapping[str, str]:
    """Id of every plain name; two instruments may not share one."""
    found: dict[str, str] = {}
    for key, each in instruments().items():
        for name in {_plain(n) for n in (key, each.name, each.short_name, *each.also_known_as)}:
            if name in found:
                raise InvalidData(f"{key}.yaml: the name belongs to {found[name]} too", observed=name)
            found[name] = key
    return found


@cache
def _instrument_in(key: str) -> Instrument:
    return read_instrument(_load(key), f"{key}.yaml", sources())


def _load(name: str) -> Any:
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # the C loader is about ten times faster, but optional
    return yaml.load((_DATA / f"{name}.yaml").read_text(encoding="utf-8"), Loader=loader)  # noqa: S506 both are safe


def _plain(name: str) -> str:
    return "".join(letter for letter in name.casefold() if letter.isalnum())


def _source(key: str, fields: Fields) -> Source:
    note, read = fields.text("note", None), fields.text("read", None)
    return fields.close(
        Source(
            key=key,
            citation=fields.text("citation"),
            url=fields.text("url", None),
            doi=fields.text("doi", None),
            read="; ".join(part for part in (read, note) if part) or None,
            verified=parse_verified(fields.take("verified", None), where=fields.where),
        )
    )
