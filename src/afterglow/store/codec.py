"""Frozen dataclasses to canonical JSON and back, led by their type hints; the same object gives the same bytes.

Scalars, words (StrEnum), dates, aware UTC times, optional values, tuples, mappings, bytes, arrays (kept to six
figures) and nested dataclasses are known; a value that may be one of several dataclasses carries its class's name under
"is". A field at its default is left out, so
that a class may grow a field and older rows are still read.
"""

from __future__ import annotations

import json
import types
from base64 import b64decode, b64encode
from collections.abc import Callable, Mapping
from dataclasses import MISSING, Field, fields, is_dataclass
from datetime import UTC, date, datetime
from enum import Enum
from functools import cache
from types import MappingProxyType
from typing import Any, TypeVar, Union, get_args, get_origin, get_type_hints

import numpy as np

from afterglow.errors import InvalidData

T = TypeVar("T")
_Read = Callable[[Any], Any]
_TAG = "is"
_SCALARS = (str, int, float, bool)
_FIGURES = 6  # of a number in an array: what a model gives, never what somebody measured


def encode(value: object) -> bytes:
    """A dataclass as canonical JSON: keys sorted, no spaces, UTF-8.

    >>> from afterglow.errors import Place
    >>> encode(Place(file="a.csv", line=3)), decode(Place, b'{"file":"a.csv"}')
    (b'{"file":"a.csv","line":3}', Place(file='a.csv', line=None))
    """
    return canonical(to_data(value))


def decode(kind: type[T], body: bytes) -> T:
    """The object that `encode` wrote.

    Raises: InvalidData if the text does not fit the class.
    """
    try:
        return from_data(kind, json.loads(body))
    except InvalidData:
        raise
    except Exception as fault:  # noqa: BLE001  the class's own checks; their messages may quote a patient's data
        raise InvalidData(f"A stored {kind.__name__} does not fit its class", observed=type(fault).__name__) from None


def canonical(data: object) -> bytes:
    r"""Plain data as canonical JSON.

    >>> canonical({"b": 1.5, "a": [True, None, "°"]})
    b'{"a":[true,null,"\xc2\xb0"],"b":1.5}'
    """
    return json.dumps(data, ensure_ascii=False, sort_keys=True, separators=(",", ":"), allow_nan=False).encode()


def to_data(value: Any) -> Any:
    """Plain data of a dataclass or of any value that it may hold."""
    if isinstance(value, Enum):
        return value.value
    if value is None or isinstance(value, _SCALARS):
        return value
    if isinstance(value, datetime):
        return write_time(value)
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, tuple | list):
        return [to_data(each) for each in value]
    if isinstance(value, bytes):
        return b64encode(value).decode()
    if isinstance(value, np.ndarray):
        if not value.size:
            return {"shape": list(value.shape)}  # nothing in it says how many columns it has
        return [_figures(each) for each in value] if value.ndim == 1 else [to_data(each) for each in value]
    if isinstance(value, frozenset):
        return sorted(to_data(each) for each in value)
    if isinstance(value, Mapping):
        return {str(to_data(key)): to_data(each) for key, each in value.items()}
    if is_dataclass(value):
        data = {}
        kind: Any = type(value)
        for name, default, tagged in _written(kind):
            own = getattr(value, name)
            if own is default or (type(own) is type(default) and own == default):
                continue
            data[name] = _tag(own) if tagged else to_data(own)
        return data
    raise InvalidData(f"A {type(value).__name__} cannot be stored", next_step="Teach store.codec its form")


def from_data(kind: type[T], data: Any) -> T:
    """The object of a class from plain data."""
    hint: Any = kind
    read: T = _reader(hint)(data)
    return read


def write_time(at: datetime) -> str:
    """An aware time as text, in UTC to the microsecond; as text it sorts as in time.

    >>> write_time(datetime(2026, 1, 5, 9, tzinfo=UTC))
    '2026-01-05T09:00:00.000000Z'
    """
    if at.tzinfo is None:
        raise InvalidData("A time without zone cannot be stored", next_step="Make it aware UTC at the edge")
    return at.astimezone(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")


def read_time(text: str) -> datetime:
    """The time that `write_time` wrote."""
    return datetime.fromisoformat(text)


def _tag(value: Any) -> Any:
    if isinstance(value, tuple):
        return [_tag(each) for each in value]
    return {_TAG: type(value).__name__, **to_data(value)} if is_dataclass(value) else to_data(value)


@cache
def _written(kind: type) -> tuple[tuple[str, Any, bool], ...]:
    """Name, default (MISSING if none) and whether the field may hold one of several dataclasses."""
    hints = get_type_hints(kind)
    return tuple((each.name, _default(each), _is_tagged(hints[each.name])) for each in fields(kind) if each.init)


def _default(each: Field[Any]) -> Any:
    return each.default if each.default_factory is MISSING else each.default_factory()


def _is_tagged(hint: Any) -> bool:
    if get_origin(hint) is tuple:
        return any(_is_tagged(part) for part in get_args(hint) if part is not Ellipsis)
    options = [each for each in _options(hint) if is_dataclass(each)]
    return len(options) > 1


def _options(hint: Any) -> tuple[Any, ...]:
    return get_args(hint) if get_origin(hint) in {Union, types.UnionType} else (hint,)


@cache
def _reader(hint: Any) -> _Read:
    """A function that reads plain data as a type."""
    if hint in {Any, object} or hint in {str, bool, int, type(None)}:
        return _same
    if hint is float:
        return _float
    if hint is bytes:
        return b64decode
    if hint is datetime:
        return datetime.fromisoformat
    if hint is date:
        return date.fromisoformat
    if isinstance(hint, type) and issubclass(hint, Enum):
        return hint
    if is_dataclass(hint):
        return _dataclass_reader(hint)
    origin, inner = get_origin(hint), get_args(hint)
    if origin in {Union, types.UnionType}:
        return _union_reader(inner)
    if origin is tuple:
        return _tuple_reader(inner)
    if origin is np.ndarray:
        return _array
    if origin is frozenset:
        one = _reader(inner[0])
        return lambda data: frozenset(map(one, data))
    if origin is not None and isinstance(origin, type) and issubclass(origin, Mapping):
        key, one = _reader(inner[0]), _reader(inner[1])
        return lambda data: MappingProxyType({key(name): one(each) for name, each in data.items()})
    raise InvalidData(f"A field of type {hint} cannot be stored", next_step="Teach store.codec its form")


def _same(data: Any) -> Any:
    return data


def _float(data: Any) -> float:
    return float(data)


def _figures(number: Any) -> float | None:
    return float(f"{number:.{_FIGURES}g}") if np.isfinite(number) else None


def _array(data: Any) -> Any:
    if isinstance(data, Mapping):
        return np.empty(tuple(data["shape"]))
    made = np.array(data, dtype=np.float64)  # None becomes nan
    made.flags.writeable = False  # what was read is given to whoever reads it next
    return made


def _tuple_reader(inner: tuple[Any, ...]) -> _Read:
    if len(inner) == 2 and inner[1] is Ellipsis:
        one = _reader(inner[0])
        return lambda data: tuple(map(one, data))
    each = tuple(map(_reader, inner))
    if len(each) == 2:
        first, second = each

        def pair(data: Any) -> Any:
            one, other = data
            return first(one), second(other)

        return pair
    return lambda data: tuple(read(part) for read, part in zip(each, data, strict=True))


def _union_reader(inner: tuple[Any, ...]) -> _Read:
    options: list[Any] = [each for each in inner if each is not type(None)]
    classes: dict[str, _Read] = {_name(each): _read_as(each) for each in options if is_dataclass(each)}
    if len(classes) > 1:
        plain = [each for each in options if not is_dataclass(each)]

        def tagged(data: Any) -> Any:
            if isinstance(data, dict):
                return classes[data[_TAG]]({key: each for key, each in data.items() if key != _TAG})
            return None if data is None else _by_json(plain)(data)

        return tagged
    if len(options) == 1:
        one = _reader(options[0])
        return lambda data: None if data is None else one(data)
    return _plain(options) if set(options) <= {str, bool, int, float} else _by_json(options)


def _plain(options: list[Any]) -> _Read:
    """Of plain types that are written as they are, any one; a whole number is read as float where it may be no int."""
    read = _by_json(options)
    as_is = frozenset((*options, type(None)))
    return lambda data: data if type(data) in as_is else read(data)


def _read_as(hint: Any) -> _Read:
    return _reader(hint)


def _name(kind: Any) -> str:
    return str(kind.__name__)


def _by_json(options: list[Any]) -> _Read:
    """Of several plain types, the one whose JSON form the value has; words before bare text."""

    def read(data: Any) -> Any:
        if data is None:
            return None
        for option in options:
            if isinstance(option, type) and issubclass(option, Enum) and data in {each.value for each in option}:
                return option(data)
        for option in options:
            form = {tuple: list, date: str, datetime: str}.get(get_origin(option) or option, option)
            if is_dataclass(option):
                form = dict
            if isinstance(form, type) and isinstance(data, form) and (form is not int or not isinstance(data, bool)):
                return _read_as(option)(data)
        if float in options and isinstance(data, int):
            return float(data)
        raise InvalidData("A stored value fits none of its types", observed=type(data).__name__)

    return read


def _dataclass_reader(kind: Any) -> _Read:
    known: frozenset[str] = frozenset()
    other: list[tuple[str, _Read]] = []  # what is not as it is written

    def read(data: Any) -> Any:
        nonlocal known, other
        if not known:  # found at first use, so that a class may hold its own kind
            found = get_type_hints(kind)
            hints = {each.name: _reader(found[each.name]) for each in fields(kind) if each.init}
            other = [(name, one) for name, one in hints.items() if one is not _same]
            known = frozenset(hints)
        given = {**data}
        if not known.issuperset(given):
            strange = min(given.keys() - known)
            raise InvalidData(f"A stored {kind.__name__} has an unknown field", observed=repr(strange))
        try:
            for name, one in other:
                if name in given:
                    given[name] = one(given[name])
            return kind(**given)
        except KeyError as fault:
            raise InvalidData(f"A stored {kind.__name__} has an unknown field", observed=str(fault)) from None

    return read
