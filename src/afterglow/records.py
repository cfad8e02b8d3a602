"""Data files read strictly: each key is asked for by name and type, and whatever is left over is refused."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterable, Mapping
from enum import StrEnum
from pathlib import Path
from types import MappingProxyType
from typing import Any, TypeVar

import yaml

from afterglow.errors import InputError, InvalidData, Place, UnknownName, echo
from afterglow.predicates import Condition, parse_condition
from afterglow.provenance import Provenance, Source, Verified, parse_verified

D = TypeVar("D")  # type of a default; a key without one must be there
E = TypeVar("E", bound=StrEnum)
K = TypeVar("K", int, str)
N = TypeVar("N", int, float)
Q = TypeVar("Q")
T = TypeVar("T")
V = TypeVar("V", int, float, str)

_REQUIRED: Any = object()
_KINDS = {
    str: "text",
    int: "a whole number",
    float: "a number",
    bool: "true or false",
    list: "a list",
    dict: "a mapping",
}


class Record:
    """One mapping of a data file, taken key by key.

    Each method takes one key away and checks its type; `close` refuses what is left over, which is where a misspelt
    key or an unquoted comma shows. Every refusal is InvalidData with the file and the path of the key.

    Args:
        data: the mapping, fresh out of the file.
        file: path inside the data folder.
        path: the keys that lead to it, places in a list counted from 1; empty for the whole file.

    >>> record = Record({"name": "PEG", "extra": 1}, file="peg.yaml")
    >>> record.close(record.text("name"))
    Traceback (most recent call last):
    afterglow.errors.InvalidData: peg.yaml: the file has an unknown key; found 'extra'. Correct the key, or quote a text
    with commas.
    """

    def __init__(self, data: Any, *, file: str, path: str = "") -> None:
        self.file = file
        self.path = path
        if not isinstance(data, dict):
            raise self.fault("is not a mapping", observed=data)
        self._left: dict[Any, Any] = dict(data)

    def fault(
        self,
        problem: str,
        *,
        key: str = "",
        observed: object = None,
        allowed: str | None = None,
        next_step: str | None = None,
    ) -> InvalidData:
        """The error about this record, or about one key of it; the caller raises it."""
        path = self._path(key)
        return InvalidData(
            f"`{path}` {problem}" if path else f"the file {problem}",
            observed=None if observed is None else echo(observed),
            allowed=allowed,
            next_step=next_step,
            place=Place(file=self.file),
            about=path or None,
        )

    @property
    def keys(self) -> tuple[str, ...]:
        """The keys not yet taken."""
        return tuple(self._left)

    def over(self, shared: Record | None) -> Record:
        """This mapping, with the keys of another one where it has none of its own; the other one is kept.

        >>> own, shared = (Record(data, file="some.yaml") for data in ({"n": 1}, {"n": 2, "m": 3}))
        >>> merged = own.over(shared)
        >>> merged.whole("n"), merged.whole("m")
        (1, 3)
        """
        below = {} if shared is None else shared._left  # noqa: SLF001  another record, of this class
        return Record({**below, **self._left}, file=self.file, path=self.path)

    def has(self, key: str) -> bool:
        """Whether the key is there and not yet taken."""
        return key in self._left

    def text(self, key: str, default: D = _REQUIRED) -> str | D:
        """A text that is not empty."""
        text: str | D = self._typed(key, str, default)
        return text

    def number(self, key: str, default: D = _REQUIRED) -> float | D:
        """A number."""
        value: float | D = self._typed(key, float, default)
        return float(value) if isinstance(value, int) else value

    def text_or_number(self, key: str, default: D = _REQUIRED) -> str | D:
        """A text or a number, as text."""
        kind = float if isinstance(self._left.get(key), int | float) else str
        value = self._typed(key, kind, default)
        return default if value is default else str(value)

    def whole(self, key: str, default: D = _REQUIRED) -> int | D:
        """A whole number."""
        value: int | D = self._typed(key, int, default)
        return value

    def count(self, key: str, default: D = _REQUIRED) -> int | D:
        """A whole number of 0 or more."""
        value = self.whole(key, default)
        if isinstance(value, int) and value < 0:
            raise self.fault("is not a count", key=key, observed=value)
        return value

    def flag(self, key: str) -> bool:
        """True or false; absent is false."""
        flag: bool = self._typed(key, bool, False)
        return flag

    def word(self, key: str, vocabulary: type[E], default: D = _REQUIRED) -> E | D:
        """One word of a closed vocabulary."""
        word = self._typed(key, str, default)
        if word is default:
            return default
        try:
            return vocabulary(word)
        except ValueError:
            raise self.fault("is an unknown word", key=key, observed=word, allowed=", ".join(vocabulary)) from None

    def quantity(self, key: str, parse: Callable[..., Q], default: D = _REQUIRED) -> Q | D:
        """A text such as "0.5 mg/kg", read by one of the parsers of `quantities`."""
        text = self._typed(key, str, default)
        if text is default:
            return default
        try:
            return parse(text, what=key)
        except InputError as error:
            raise self.fault(f"is refused: {error.message.removesuffix('.')}", key=key) from None

    def texts(self, key: str) -> tuple[str, ...]:
        """A list of texts; absent is empty."""
        return tuple(self._each(key, str))

    def numbers(self, key: str) -> tuple[float, ...]:
        """A list of numbers; absent is empty."""
        return tuple(map(float, self._each(key, float)))

    def pair(self, key: str, kind: type[N], default: D = _REQUIRED) -> tuple[N, N] | D:
        """Two numbers of a kind, lowest first; whole ones stay whole."""
        bounds = self._typed(key, list, default)
        return default if bounds is default else self._ordered(key, bounds, kind)

    def pairs(self, key: str, kind: type[N]) -> tuple[tuple[N, N], ...]:
        """A list of pairs of numbers, lowest first; absent is empty."""
        return tuple(
            self._ordered(f"{key}[{at}]", pair, kind) for at, pair in enumerate(self._each(key, list), start=1)
        )

    def table(self, key: str, keys: type[K], values: type[V]) -> Mapping[K, V]:
        """A mapping with keys and values of one type each; absent is empty."""
        table = self._typed(key, dict, {})
        for name, value in table.items():
            self._checked(key, name, keys)
            self._checked(f"{key}.{name}", value, values)
        return MappingProxyType(table)

    def record(self, key: str, default: D = _REQUIRED) -> Record | D:
        """The mapping under a key."""
        data = self._typed(key, dict, default)
        return default if data is default else Record(data, file=self.file, path=self._path(key))

    def records(self, key: str) -> list[Record]:
        """The mappings of a list; absent is empty."""
        rows = enumerate(self._typed(key, list, []), start=1)
        return [Record(row, file=self.file, path=self._path(f"{key}[{at}]")) for at, row in rows]

    def mapping(self, key: str) -> dict[str, Record]:
        """The mappings under a key by their names; absent is empty."""
        parts = self._typed(key, dict, {})
        names = [self._checked(key, name, str) for name in parts]
        return {name: Record(parts[name], file=self.file, path=self._path(f"{key}.{name}")) for name in names}

    def condition(self, key: str, default: D = _REQUIRED) -> Condition | D:
        """A rule, as `predicates.parse_condition` reads it."""
        data = self._typed(key, dict, default)
        return default if data is default else parse_condition(data, where=f"{self.file}: `{self._path(key)}`")

    def verified(self) -> Verified:
        """The key `verified`: one word."""
        return parse_verified(self._left.pop("verified", None), where=f"{self.file}: `{self.path}`")

    def provenance(self) -> Provenance:
        """The keys `verified`, `source` (one key or a list) and `note` of a figure or rule."""
        alone = isinstance(self._left.get("source"), str)
        source, verified = (self.text("source"),) if alone else self.texts("source"), self.verified()
        if not source and verified is Verified.PAGE:
            raise self.fault("is marked `verified: page` and names no source")
        return Provenance(source=source, verified=verified, note=self.text("note", None))

    def sources(self, key: str) -> Mapping[str, Source]:
        """The pages and papers listed under a key, by the name that figures call them."""
        return MappingProxyType({name: _source(name, record) for name, record in self.mapping(key).items()})

    def close(self, built: T) -> T:
        """What was built from this mapping, once nothing of it is left over."""
        if self._left:
            raise self.fault(
                "has an unknown key",
                observed=", ".join(map(str, self._left)),
                next_step="Correct the key, or quote a text with commas",
            )
        return built

    def _path(self, key: str) -> str:
        return f"{self.path}.{key}".strip(".")

    def _typed(self, key: str, kind: type, default: Any) -> Any:
        if key not in self._left and default is _REQUIRED:
            raise self.fault("is missing", key=key)
        value = self._left.pop(key, default)
        return value if value is default else self._checked(key, value, kind)

    def _each(self, key: str, kind: type) -> list[Any]:
        values = enumerate(self._typed(key, list, []), start=1)
        return [self._checked(f"{key}[{at}]", value, kind) for at, value in values]

    def _ordered(self, key: str, bounds: list[Any], kind: type[N]) -> tuple[N, N]:
        if len(bounds) != 2 or not self._checked(key, bounds[0], kind) <= self._checked(key, bounds[1], kind):
            raise self.fault("is not two numbers, lowest first", key=key, observed=bounds)
        return bounds[0], bounds[1]

    def _checked(self, key: str, value: Any, kind: type) -> Any:
        # A bool is an int to Python, and `no` is False to YAML: neither is a number here.
        fits = isinstance(value, (int, float) if kind is float else kind) and (
            kind is bool or not isinstance(value, bool)
        )
        if not fits or value == "":
            raise self.fault(f"is not {_KINDS[kind]}", key=key, observed=value)
        return value


def read_record(folder: Path, name: str) -> Record:
    """The whole of one data file of a folder.

    Raises: InvalidData if it is not YAML, not a mapping, or gives a key twice.
    """
    return parse_record((folder / name).read_text(encoding="utf-8"), file=name)


def parse_record(text: str, *, file: str) -> Record:
    """The whole of a data file from its text; see `read_record`.

    >>> parse_record("n: 47", file="some.yaml").count("n")
    47
    """
    try:
        data = yaml.load(text, Loader=_StrictLoader)  # noqa: S506 - a subclass of the safe loader
    except yaml.YAMLError as error:
        raise InvalidData("the file is not YAML", observed=str(error)[:200], place=Place(file=file)) from None
    return Record(data, file=file)


def unknown_name(problem: str, name: str, existing: Iterable[str]) -> UnknownName:
    """The error for a name nobody knows, with the existing ones that contain or resemble it; the caller raises it.

    >>> unknown_name("No scale has this name", "phq", ["GAD-7", "PHQ-9"]).message
    "No scale has this name; found 'phq'; allowed: PHQ-9. Did you mean PHQ-9?"
    """
    wanted, known = name.casefold(), {each.casefold(): each for each in existing}
    within = [each for each in known if wanted and wanted in each][:5]
    close = [known[each] for each in within or difflib.get_close_matches(wanted, known, n=5, cutoff=0.6)]
    return UnknownName(
        problem,
        observed=echo(name),
        allowed=", ".join(close or list(known.values())[:40]),
        next_step=f"Did you mean {close[0]}?" if close else "Take one of these names",
    )


def _source(key: str, record: Record) -> Source:
    return record.close(
        Source(
            key=key,
            citation=record.text("citation"),
            url=record.text("url", None),
            doi=record.text("doi", None),
            pmid=record.text("pmid", None),
            pmcid=record.text("pmcid", None),
            nct=record.text("nct", None),
            read=record.text("read", None),
            verified=record.verified(),
            note=record.text("note", None),
        )
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
