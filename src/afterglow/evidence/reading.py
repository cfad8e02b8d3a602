"""Strict reading of the data files: every key is asked for by name, whatever is left over is refused."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping, Sequence
from enum import StrEnum
from pathlib import Path
from typing import Any, TypeVar

import yaml

from afterglow.errors import InvalidData, Place, UnknownName
from afterglow.provenance import Provenance, Verified, parse_verified

DATA = Path(__file__).parent / "data"

E = TypeVar("E", bound=StrEnum)


class Record:
    """One mapping of a data file, taken key by key.

    Every `take` method refuses a value of another type with the file, the record and the key; `close` refuses the
    keys that nobody took, so that a misspelt key can never be silently ignored.

    Args:
        data: the mapping, fresh out of the file.
        file: path inside the data folder.
        what: name of the record inside the file, for messages.
    """

    def __init__(self, data: Any, *, file: str, what: str) -> None:
        self.file = file
        self.what = what
        if not isinstance(data, Mapping):
            raise self.fault("is not a mapping", observed=data)
        self._left = dict(data)

    def fault(self, problem: str, *, observed: object = None, allowed: str | None = None) -> InvalidData:
        """The error to raise for this record; the caller raises it."""
        seen = None if observed is None else repr(observed)[:80]
        return InvalidData(f"{self.what} {problem}", observed=seen, allowed=allowed, place=Place(file=self.file))

    def optional_text(self, key: str) -> str | None:
        """Text, or None when the key is absent."""
        value = self._left.pop(key, None)
        if value is not None and (not isinstance(value, str) or not value):
            raise self.fault(f"key `{key}` is not text", observed=value)
        return value

    def text(self, key: str) -> str:
        """Text that must be there."""
        value = self.optional_text(key)
        if value is None:
            raise self.fault(f"misses the key `{key}`")
        return value

    def optional_number(self, key: str) -> float | None:
        """A number, or None when the key is absent."""
        value = self._left.pop(key, None)
        if value is not None and (isinstance(value, bool) or not isinstance(value, int | float)):
            raise self.fault(f"key `{key}` is not a number", observed=value)
        return None if value is None else float(value)

    def optional_text_or_number(self, key: str) -> str | None:
        """Text or a number, as text; None when the key is absent."""
        value = self._left.pop(key, None)
        if value is not None and (isinstance(value, bool) or not isinstance(value, str | int | float)):
            raise self.fault(f"key `{key}` is neither text nor a number", observed=value)
        return None if value is None else str(value)

    def number(self, key: str) -> float:
        """A number that must be there."""
        value = self.optional_number(key)
        if value is None:
            raise self.fault(f"misses the key `{key}`")
        return value

    def flag(self, key: str) -> bool:
        """True or False; False when the key is absent."""
        value = self._left.pop(key, False)
        if not isinstance(value, bool):
            raise self.fault(f"key `{key}` is neither true nor false", observed=value)
        return value

    def optional_count(self, key: str) -> int | None:
        """A whole number of 0 or more, or None when the key is absent."""
        value = self._left.pop(key, None)
        if value is not None and (isinstance(value, bool) or not isinstance(value, int) or value < 0):
            raise self.fault(f"key `{key}` is not a count", observed=value)
        return value

    def word(self, key: str, vocabulary: type[E]) -> E:
        """One word of a closed vocabulary that must be there."""
        value = self.optional_word(key, vocabulary)
        if value is None:
            raise self.fault(f"misses the key `{key}`")
        return value

    def optional_word(self, key: str, vocabulary: type[E]) -> E | None:
        """One word of a closed vocabulary, or None when the key is absent."""
        value = self.optional_text(key)
        if value is None:
            return None
        try:
            return vocabulary(value)
        except ValueError:
            raise self.fault(f"key `{key}` is unknown", observed=value, allowed=", ".join(vocabulary)) from None

    def texts(self, key: str) -> tuple[str, ...]:
        """A list of texts; empty when the key is absent."""
        values = self._list(key)
        if not all(isinstance(value, str) and value for value in values):
            raise self.fault(f"key `{key}` is not a list of texts", observed=values)
        return tuple(values)

    def numbers(self, key: str) -> tuple[float, ...]:
        """A list of numbers; empty when the key is absent."""
        values = self._list(key)
        if not all(isinstance(value, int | float) and not isinstance(value, bool) for value in values):
            raise self.fault(f"key `{key}` is not a list of numbers", observed=values)
        return tuple(float(value) for value in values)

    def records(self, key: str, *, name_by: str = "") -> list[Record]:
        """A list of mappings; empty when the key is absent. `name_by` is the key that names each in messages."""
        children = []
        for position, data in enumerate(self._list(key)):
            name = data.get(name_by, position) if isinstance(data, Mapping) else position
            children.append(Record(data, file=self.file, what=f"{self.what} {key}[{name}]"))
        return children

    def mapping(self, key: str) -> dict[str, Record]:
        """A mapping of names to mappings; empty when the key is absent."""
        value = self._left.pop(key, None)
        if value is None:
            return {}
        if not isinstance(value, Mapping) or not all(isinstance(name, str) for name in value):
            raise self.fault(f"key `{key}` is not a mapping by name", observed=value)
        return {name: Record(data, file=self.file, what=f"{self.what} {key}[{name}]") for name, data in value.items()}

    def counts(self) -> dict[str, int]:
        """All the rest of this mapping, as counts by name."""
        return {key: self.optional_count(key) or 0 for key in tuple(self._left)}

    def record(self, key: str) -> Record:
        """A mapping inside this one that must be there."""
        child = self.optional_record(key)
        if child is None:
            raise self.fault(f"misses the key `{key}`")
        return child

    def ranges(self, key: str) -> tuple[tuple[float, float], ...]:
        """A list of pairs of numbers; empty when the key is absent."""
        pairs = []
        for position, value in enumerate(self._list(key)):
            pair = Record({"pair": value}, file=self.file, what=f"{self.what} {key}[{position}]").numbers("pair")
            if len(pair) != 2 or pair[0] > pair[1]:
                raise self.fault(f"key `{key}` is not a list of ranges", observed=value)
            pairs.append((pair[0], pair[1]))
        return tuple(pairs)

    def optional_record(self, key: str) -> Record | None:
        """A mapping inside this one, or None when the key is absent."""
        value = self._left.pop(key, None)
        return None if value is None else Record(value, file=self.file, what=f"{self.what} {key}")

    def provenance(self) -> Provenance:
        """The keys `source` (one key or a list), `verified` and `note` of a figure."""
        only = isinstance(self._left.get("source"), str)
        keys = (self.text("source"),) if only else self.texts("source")
        verified = self.verified()
        if not keys and verified is Verified.PAGE:
            raise self.fault("is marked `verified: page` and names no source")
        return Provenance(source=keys, verified=verified, note=self.optional_text("note"))

    def verified(self) -> Verified:
        """The single verification of a figure."""
        if "verified" not in self._left:
            raise self.fault("misses the key `verified`")
        return parse_verified(self._left.pop("verified"), where=f"{self.file}: {self.what}")

    def close(self) -> None:
        """Refuse the keys that nobody took."""
        if self._left:
            raise self.fault("has an unknown key", observed=", ".join(map(str, self._left)))

    def _list(self, key: str) -> Sequence[Any]:
        value = self._left.pop(key, None)
        if value is not None and not isinstance(value, list):
            raise self.fault(f"key `{key}` is not a list", observed=value)
        return value or []


def read_record(name: str) -> Record:
    """The whole of one data file, by its path inside the data folder.

    Raises: InvalidData if it is not YAML, not a mapping, or gives a key twice.
    """
    path = DATA / name
    try:
        data = yaml.load(path.read_text(encoding="utf-8"), Loader=_StrictLoader)  # noqa: S506 - a subclass of the safe loader
    except yaml.YAMLError as error:
        raise InvalidData("The file is not YAML", observed=str(error)[:200], place=Place(file=name)) from None
    return Record(data, file=name, what="the file")


def unknown(problem: str, name: str, existing: Iterable[str]) -> UnknownName:
    """The error for a name nobody knows, with the closest existing ones; the caller raises it."""
    names = list(existing)
    within = [each for each in names if name and name.casefold() in each.casefold()][:5]
    close = within or difflib.get_close_matches(name, names, n=5, cutoff=0.5)
    return UnknownName(
        problem,
        observed=repr(name)[:80],
        allowed=", ".join(close or names[:40]),
        next_step="Take one of these names" if not close else f"Did you mean {close[0]}?",
    )


_SafeLoader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # the C loader is about ten times faster


class _StrictLoader(_SafeLoader):  # type: ignore[misc]
    """Safe YAML that refuses a key given twice, which plain YAML silently overwrites."""

    def construct_mapping(self, node: Any, deep: Any = False) -> Any:  # noqa: FBT002 - the library's signature
        keys = [str(key.value) for key, _ in node.value]
        if len(keys) != len(set(keys)):
            twice = sorted({key for key in keys if keys.count(key) > 1})
            raise yaml.constructor.ConstructorError(None, None, f"key given twice: {', '.join(twice)}", node.start_mark)
        return super().construct_mapping(node, deep=deep)
