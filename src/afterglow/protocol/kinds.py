"""The kinds of value that the two files hold: how each is read, how it is written, and how it is described.

One table row per key (`Key`) names its kind; reader, writer and reference page all follow that row. What is written
reads back to the same value.
"""

from __future__ import annotations

import dataclasses
import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Generic, TypeVar

from afterglow.errors import InputError, MissingValue, OutOfRange, UnknownName, echo
from afterglow.protocol.nodes import Node
from afterglow.quantities import (
    HOURS_PER_DAY,
    HOURS_PER_MINUTE,
    Dose,
    Rate,
    parse_dose,
    parse_duration_h,
    parse_number,
    parse_percent,
    parse_rate,
    parse_weight_kg,
)

T = TypeVar("T")
E = TypeVar("E", bound=StrEnum)

MOST_ITEMS = 2_000  # twice a week for the longest course is half of it
_PLAIN_WORD = re.compile(r"[A-Za-z][A-Za-z0-9_.-]*")
_YAML_WORDS = {"y", "n", "yes", "no", "on", "off", "true", "false", "null"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind(Generic[T]):
    """One kind of value.

    Args:
        says: what may be written, for the reference page.
        read: raises InputError with the place.
        write: text that `read` understands.
    """

    says: str
    read: Callable[[Node], T]
    write: Callable[[T], str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Key:
    """One key of a file.

    Args:
        name: as written in the file.
        kind: of its value.
        meaning: one line for the reference page.
        field: of the dataclass; the name where both are the same.
    """

    name: str
    kind: Kind[Any]
    meaning: str
    field: str = ""

    @property
    def target(self) -> str:
        """Field of the dataclass that takes the value."""
        return self.field or self.name


def plain(says: str, parse: Callable[[str, str], T], write: Callable[[T], str]) -> Kind[T]:
    """A kind written as one text; `parse` takes the text and the key it stands under."""

    def read(node: Node) -> T:
        try:
            return parse(node.text(), node.path)
        except InputError as fault:
            raise fault.at(node.place) from None

    return Kind(says=says, read=read, write=write)


def words(vocabulary: type[E]) -> Kind[E]:
    """One word of a vocabulary."""

    def parse(text: str, what: str) -> E:
        try:
            return vocabulary(text)
        except ValueError:
            raise UnknownName(f"{what} is not known", observed=echo(text), allowed=", ".join(vocabulary)) from None

    return plain(" | ".join(f"`{word}`" for word in vocabulary), parse, str)


def number(low: float, high: float, unit: str) -> Kind[float]:
    """A plain number of `unit` in a closed range."""

    def parse(text: str, what: str) -> float:
        return in_range(parse_number(text, what=what), low, high, what=f"{what} in {unit}")

    return plain(f"number of {unit}, {low:g} to {high:g}", parse, exact)


def whole(low: int, high: int) -> Kind[int]:
    """A whole number in a closed range."""

    def parse(text: str, what: str) -> int:
        value = parse_number(text, what=what)
        if not value.is_integer():
            raise OutOfRange(f"{what} is a whole number", observed=echo(text), allowed=f"{low} to {high}")
        return int(in_range(value, low, high, what=what))

    return plain(f"whole number, {low} to {high}", parse, str)


def in_range(value: float, low: float, high: float, *, what: str) -> float:
    """The value, if it lies in the closed range.

    Raises: OutOfRange.
    """
    if not low <= value <= high:
        raise OutOfRange(f"{what} is refused", observed=exact(value), allowed=f"{exact(low)} to {exact(high)}")
    return value


def weight_with_unit(low_kg: float, high_kg: float) -> Kind[float]:
    """A body weight with its unit."""

    def parse(text: str, what: str) -> float:
        return in_range(parse_weight_kg(text, what=what), low_kg, high_kg, what=f"{what} in kg")

    return plain(
        f"weight with its unit, as in `80 kg`; {low_kg:g} to {high_kg:g} kg", parse, lambda kg: f"{exact(kg)} kg"
    )


def _parse_truth(text: str, what: str) -> bool:
    if text not in {"true", "false"}:
        raise UnknownName(f"{what} is yes or no", observed=echo(text), allowed="true, false")
    return text == "true"


def _parse_day(text: str, what: str) -> float:
    try:
        return parse_number(text, what=what) * HOURS_PER_DAY
    except UnknownName:  # it has a unit
        return parse_duration_h(text, what=what)


def _positive(parse: Callable[[str, str], float], text: str, what: str) -> float:
    value = parse(text, what)
    if value <= 0:
        raise OutOfRange(f"{what} must be longer than nothing", observed=echo(text), allowed="over 0 min")
    return value


def _parse_percent(text: str, what: str) -> float:
    fraction = parse_percent(text, what=what)
    if not 0 < fraction <= 1:
        raise OutOfRange(f"{what} is refused", observed=echo(text), allowed="over 0 % to 100 %")
    return fraction


def exact(value: float) -> str:
    """The shortest text that reads back as the same number.

    >>> exact(47.0), exact(0.1)
    ('47', '0.1')
    """
    return repr(float(value)).removesuffix(".0")


def exact_duration(hours: float) -> str:
    """A duration that reads back as the same hours, in the unit people would choose if that is exact.

    >>> exact_duration(40 * HOURS_PER_MINUTE), exact_duration(24.0), exact_duration(168.0)
    ('40 min', '24 h', '7 d')
    """
    if hours == 0:
        return "0 h"
    large = abs(hours) >= 2 * HOURS_PER_DAY
    unit, per = ("d", HOURS_PER_DAY) if large else ("min", HOURS_PER_MINUTE)
    if large or not float(hours).is_integer():
        text = f"{exact(float(f'{hours / per:.12g}'))} {unit}"
        if parse_duration_h(text) == hours:
            return text
    return f"{exact(hours)} h"


def _write_day(hours: float) -> str:
    days = hours / HOURS_PER_DAY
    return exact(days) if days * HOURS_PER_DAY == hours and days == round(days, 2) else exact_duration(hours)


def write_dose(dose: Dose) -> str:
    """A dose that reads back as the same amount."""
    return f"{exact(dose.mg)} mg" if dose.mg is not None else f"{exact(dose.mg_per_kg or 0.0)} mg/kg"


def write_rate(rate: Rate) -> str:
    """A rate that reads back as the same rate."""
    return (
        f"{exact(rate.mg_per_h)} mg/h" if rate.mg_per_h is not None else f"{exact(rate.mg_per_kg_per_h or 0.0)} mg/kg/h"
    )


def write_percent(fraction: float) -> str:
    """A percentage of up to 12 digits.

    >>> write_percent(0.07)
    '7 %'
    """
    return f"{fraction * 100:.12g} %"


def write_word(text: str) -> str:
    """A word, in quotes where another YAML reader could take it for something else."""
    if _PLAIN_WORD.fullmatch(text) and text.lower() not in _YAML_WORDS:
        return text
    return json.dumps(text, ensure_ascii=False)


TEXT = plain("text", lambda text, _: text, lambda text: json.dumps(text, ensure_ascii=False))
WORD = plain("name", lambda text, _: text.strip(), write_word)
TRUTH = plain("`true` | `false`", _parse_truth, lambda truth: "true" if truth else "false")
DOSE = plain(
    "amount of free base with its unit: `0.5 mg/kg`, `84 mg`", lambda t, what: parse_dose(t, what=what), write_dose
)
RATE = plain("rate with its unit: `0.1 mg/kg/h`, `20 mg/h`", lambda t, what: parse_rate(t, what=what), write_rate)
PERCENT = plain("percentage with its sign: `50 %`", _parse_percent, write_percent)
TIME = plain("time with its unit: `2 h`, `7 d`", lambda t, what: parse_duration_h(t, what=what), exact_duration)
DURATION = plain(
    "duration with its unit: `40 min`, `2 h`",
    lambda text, what: _positive(lambda t, w: parse_duration_h(t, what=w), text, what),
    exact_duration,
)
DAY = plain("number of days, or a time with its unit", _parse_day, _write_day)


def many(kind: Kind[T], *, says: str) -> Kind[tuple[T, ...]]:
    """A list of one kind."""

    def read(node: Node) -> tuple[T, ...]:
        items = node.items()
        if len(items) > MOST_ITEMS:
            raise OutOfRange(
                f"{node.path} is too long",
                observed=f"{len(items)} items",
                allowed=f"up to {MOST_ITEMS}",
                place=node.place,
            )
        return tuple(kind.read(item) for item in items)

    return Kind(says=says, read=read, write=lambda values: f"[{', '.join(map(kind.write, values))}]")


def section(build: type[T], keys: Sequence[Key], *, says: str) -> Kind[T]:
    """A mapping with the keys of a table, built into a dataclass."""
    return Kind(
        says=says,
        read=lambda node: read_section(build, keys, node),
        write=lambda value: "{" + ", ".join(f"{name}: {text}" for name, text in write_section(keys, value)) + "}",
    )


def read_section(build: type[T], keys: Sequence[Key], node: Node) -> T:
    """A dataclass from a mapping.

    Raises: UnknownName, MissingValue and whatever values and dataclass refuse, each at its line.
    """
    entries = node.fields(key.name for key in keys)
    needed = required(build)
    for key in keys:
        if key.target in needed and key.name not in entries:
            name = f"{node.path}.{key.name}".lstrip(".")
            raise MissingValue(f"{name} is missing", allowed=key.kind.says.replace("`", ""), place=node.place)
    try:
        return build(**{key.target: key.kind.read(entries[key.name]) for key in keys if key.name in entries})
    except InputError as fault:
        about = (fault.about or "").removeprefix(f"{node.path}.")
        raise fault.at(node.place_of(about)) from None


def write_section(keys: Sequence[Key], value: Any) -> list[tuple[str, str]]:
    """Keys and texts of everything that differs from its default."""
    standard = defaults(type(value))
    found = [(key, getattr(value, key.target)) for key in keys]
    return [
        (key.name, key.kind.write(content))
        for key, content in found
        if key.target not in standard or content != standard[key.target]
    ]


def defaults(build: type[Any]) -> Mapping[str, Any]:
    """Default of every optional field of a dataclass."""
    return {f.name: f.default for f in dataclasses.fields(build) if f.default is not dataclasses.MISSING}


def required(build: type[Any]) -> frozenset[str]:
    """Fields of a dataclass that have no default."""
    return frozenset(f.name for f in dataclasses.fields(build)) - defaults(build).keys()
