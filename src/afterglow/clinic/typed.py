"""What a field can hold, held to its type where it is made: words, numbers, yes or no, days and times.

The rules compare words and times; a text in the place of a word, or a time without its zone, would compare as something
else without a sound. One decorator looks at every record of the rules, whoever makes it.
"""

from __future__ import annotations

import re
import types
from collections.abc import Callable, Mapping
from dataclasses import is_dataclass
from datetime import UTC, date, datetime, timedelta
from enum import StrEnum
from functools import cache, wraps
from operator import is_
from typing import Any, TypeVar, Union, get_args, get_origin, get_type_hints

from afterglow.errors import AfterglowError, InputError, OutOfRange, UnknownName, echo, first_of, kind_word

C = TypeVar("C")
W = TypeVar("W", bound=StrEnum)
_Check = Callable[[Any], Any]

_YEARS = (1900, 3000)  # Assumption: a day outside them is a slip, and day arithmetic stays in range inside them
_WORDS: dict[type, str] = {bool: "yes or no", int: "a whole number", float: "a number", str: "text"}


class _Unfit(Exception):
    """What is unfit, and what the field would take."""

    def __init__(self, value: object, allowed: str, *, word: bool = False) -> None:
        super().__init__(allowed)
        self.value, self.allowed, self.word = value, allowed, word


def typed(cls: type[C]) -> type[C]:
    """A frozen dataclass whose fields are held to their types when it is made; a word's own text becomes the word.

    Raises (when it is made): UnknownName for a word that is not one of the field's, with all of them; OutOfRange for a
        value of another kind; InputError for a time that is not aware UTC.

    >>> from dataclasses import dataclass
    >>> @typed
    ... @dataclass(frozen=True, slots=True, kw_only=True)
    ... class WashHands:
    ...     minutes: float
    >>> WashHands(minutes="two")
    Traceback (most recent call last):
    ...
    afterglow.errors.OutOfRange: The minutes of a wash hands is refused; found 'two'; allowed: a number.
    """
    kind: Any = cls
    make: Any = cls.__init__
    name = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", cls.__name__).lower()
    of = f"{'an' if name[0] in 'aeiou' else 'a'} {name}"

    @wraps(make)
    def checked(self: C, **given: Any) -> None:
        checks = _checks(kind)
        faults: list[AfterglowError] = []
        for field, value in given.items():
            check = checks.get(field)
            if check is None:
                continue
            try:
                fitting = check(value)
            except _Unfit as unfit:  # its words are made here, not for each of the thousands that fit
                faults.append(_refusal(unfit, what=f"The {field.replace('_', ' ')} of {of}", about=field))
                continue
            if fitting is not value:
                given[field] = fitting
        if faults:
            raise first_of(faults)
        make(self, **given)

    cls.__init__ = checked  # type: ignore[method-assign,assignment]
    return cls


def as_word(kind: type[W], value: object, *, what: str) -> W:
    """A word of a closed vocabulary, given as itself or as its text.

    Raises: UnknownName with every word that is allowed.

    >>> class Answer(StrEnum):
    ...     YES = "yes"
    >>> as_word(Answer, "yes", what="The answer")
    <Answer.YES: 'yes'>
    """
    found: W = _fit(_check_of(kind), value, what=what, about=None)
    return found


def check_utc(at: datetime, *, what: str) -> None:
    """Refuse a time that is not aware UTC, or of no year in which anybody is treated.

    Raises: InputError, OutOfRange.

    >>> check_utc(datetime(2026, 1, 5), what="The time")
    Traceback (most recent call last):
    ...
    afterglow.errors.InputError: The time must be aware UTC; found 2026-01-05T00:00:00. Convert it at the edge.
    """
    _fit(_time, at, what=what, about=None)


def check_day(on: date, *, what: str) -> None:
    """Refuse what is no day: a time, a text, a year in which nobody is treated.

    Raises: OutOfRange.

    >>> check_day(date(2026, 1, 5), what="The day of an expiry")
    """
    _fit(_day, on, what=what, about=None)


def _fit(check: _Check, given: object, *, what: str, about: str | None) -> Any:
    try:
        return check(given)
    except _Unfit as unfit:
        raise _refusal(unfit, what=what, about=about) from None


def _refusal(unfit: _Unfit, *, what: str, about: str | None) -> AfterglowError:
    value = unfit.value
    plain = isinstance(value, bool | int | float | str)
    observed = echo(value) if plain else kind_word(value)
    if unfit.word:
        return UnknownName(
            f"{what} is no word of its own",
            observed=observed,
            allowed=unfit.allowed,
            next_step="Choose one of the words",
            about=about,
        )
    if isinstance(value, datetime) and value.utcoffset() != timedelta(0) and unfit.allowed == "aware UTC":
        return InputError(
            f"{what} must be aware UTC", observed=value.isoformat(), next_step="Convert it at the edge", about=about
        )
    if isinstance(value, date):
        observed = f"{value:%Y-%m-%d}"
    return OutOfRange(f"{what} is refused", observed=observed, allowed=unfit.allowed, about=about)


@cache
def _checks(cls: type) -> Mapping[str, _Check]:
    return {name: _check_of(hint) for name, hint in get_type_hints(cls).items()}


@cache
def _check_of(hint: Any) -> _Check:
    """What looks at a value of a type and gives it back, its texts as words."""
    origin, inner = get_origin(hint), get_args(hint)
    if origin in {Union, types.UnionType}:
        options = tuple(each for each in inner if each is not type(None))
        exact = {each for each in options if isinstance(each, type) and not issubclass(each, date | tuple)}
        as_it_is = frozenset(exact | ({type(None)} & set(inner)))
        return _one_of(tuple(map(_check_of, options)), as_it_is)
    if origin is tuple:
        return _several(inner)
    if hint is datetime:
        return _time
    if hint is date:
        return _day
    if isinstance(hint, type) and issubclass(hint, StrEnum):
        return _word(hint)
    kind = origin or hint
    return _plain(kind) if isinstance(kind, type) else _as_it_is


def _as_it_is(value: Any) -> Any:
    return value


def _word(kind: type[StrEnum]) -> _Check:
    words = {each.value: each for each in kind}

    def check(value: Any) -> Any:
        if type(value) is kind:
            return value
        if type(value) is not str or value not in words:
            raise _Unfit(value, ", ".join(words), word=True)
        return words[value]

    return check


def _plain(kind: type) -> _Check:
    takes = (int, float) if kind is float else kind
    thing = f"a {kind.__name__}" if is_dataclass(kind) else kind.__name__
    words = _WORDS.get(kind, thing)

    def check(value: Any) -> Any:
        if type(value) is kind:  # nearly all: the checks below cost several times as much
            return value
        if not isinstance(value, takes) or (isinstance(value, bool) and kind in {int, float}):
            raise _Unfit(value, words)
        return value

    return check


def _time(value: Any) -> Any:
    if not isinstance(value, datetime) or (value.tzinfo is not UTC and value.utcoffset() != timedelta(0)):
        raise _Unfit(value, "aware UTC")
    return _in_years(value)


def _day(value: Any) -> Any:
    if not isinstance(value, date) or isinstance(value, datetime):
        raise _Unfit(value, "a day without a time")
    return _in_years(value)


def _in_years(value: Any) -> Any:
    if not _YEARS[0] <= value.year < _YEARS[1]:
        raise _Unfit(value, f"years {_YEARS[0]} to {_YEARS[1] - 1}")
    return value


def _one_of(checks: tuple[_Check, ...], as_it_is: frozenset[type]) -> _Check:
    def check(value: Any) -> Any:
        if type(value) in as_it_is:
            return value
        unfit: list[_Unfit] = []
        for each in checks:
            try:
                return each(value)
            except _Unfit as found:
                unfit.append(found)
        allowed = dict.fromkeys(e.allowed for e in unfit)
        raise _Unfit(value, " or ".join(allowed), word=any(e.word for e in unfit))

    return check


def _several(inner: tuple[Any, ...]) -> _Check:
    if len(inner) == 2 and inner[1] is Ellipsis:
        one = _check_of(inner[0])

        def each_of(value: Any) -> Any:
            if not isinstance(value, tuple):
                raise _Unfit(value, "several, as a tuple")
            return _kept(value, tuple(map(one, value)))

        return each_of
    parts = tuple(map(_check_of, inner))

    def fixed(value: Any) -> Any:
        if not isinstance(value, tuple) or len(value) != len(parts):
            raise _Unfit(value, f"{len(parts)} values, as a tuple")
        return _kept(value, tuple([check(each) for check, each in zip(parts, value, strict=True)]))

    return fixed


def _kept(given: tuple[Any, ...], checked: tuple[Any, ...]) -> tuple[Any, ...]:
    """The tuple that was given where nothing in it changed."""
    return given if all(map(is_, given, checked)) else checked
