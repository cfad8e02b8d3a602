"""The instruments that exist: one file each in `data/`, read on first use, checked in full and kept.

A new instrument is one new file; nothing here lists them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache, lru_cache
from pathlib import Path

from afterglow.errors import InvalidData
from afterglow.provenance import Provenance, Source
from afterglow.records import Record, read_record, unknown_name
from afterglow.scales.instrument import Instrument
from afterglow.scales.reading import read_instrument

_DATA = Path(__file__).parent / "data"
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

    Raises: UnknownName with close matches.

    >>> instrument("HDRS").short_name, instrument("phq-9").id
    ('HAM-D17', 'phq9')
    """
    wanted = _plain(name)
    for key in _ids():
        if _plain(key) == wanted:
            return _instrument_in(key)
    found = _by_name().get(wanted)
    if found is None:
        short_names = [each.short_name for each in instruments().values()]
        raise unknown_name("No instrument has this name", name, short_names)
    return _instrument_in(found)


@cache
def sources() -> Mapping[str, Source]:
    """The pages and papers that the instruments' figures come from, by key.

    >>> sources()["spier"].verified
    <Verified.PAGE: 'page'>
    """
    file = read_record(_DATA, "sources.yaml")
    return file.close(file.sources("sources"))


@cache
def core_set() -> CoreSet:
    """The smallest useful set of instruments by kind of visit.

    >>> core_set().visits[0].use[:2]
    ('phq9', 'gad7')
    """
    file = read_record(_DATA, "core_set.yaml")
    visits = tuple(map(_visit, file.records("visits")))
    return file.close(CoreSet(visits=visits, note=file.text("note"), provenance=file.provenance()))


def _visit(record: Record) -> CoreSetVisit:
    return record.close(CoreSetVisit(when=record.text("when"), use=record.texts("use")))


@cache
def _ids() -> tuple[str, ...]:
    return tuple(sorted(path.stem for path in _DATA.glob("*.yaml") if path.stem not in _OTHER_FILES))


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
    return read_instrument(read_record(_DATA, f"{key}.yaml"), sources())


def _plain(name: str) -> str:
    return "".join(letter for letter in name.casefold() if letter.isalnum())
