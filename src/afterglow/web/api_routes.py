"""The routes of the API, made of the use cases: one each, its fields and answer as the use case's own types say.

A use case `group.what` that is about one thing is `/api/v1/group/{thing_id}/what`, any other `/api/v1/group/what`. What
looks is a GET, what writes a POST. So is a look that is given more than words and numbers, and a search, since names
stand in no address.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, make_dataclass
from dataclasses import fields as fields_of
from datetime import date
from enum import Enum
from functools import cache
from types import MappingProxyType
from typing import Annotated, Any, Generic, TypeVar, get_args, get_origin, get_type_hints

from pydantic import AfterValidator, BaseModel, ConfigDict, RootModel, create_model

from afterglow.clinic import Role
from afterglow.usecases import permissions  # noqa: F401  every use case is in the catalogue from here on
from afterglow.usecases.desk import CATALOGUE, Page, UseCase, signature_of
from afterglow.usecases.people import LOGIN_ROLES
from afterglow.usecases.work import Actor

T = TypeVar("T")

PREFIX = "/api/v1"
BEARERS = frozenset({*LOGIN_ROLES, Role.ROOM})
"""Roles that somebody with a token may have; patients and the program itself have none."""
_SEARCHES = {"audit.find_patient", "patients.find"}
_REPLACES = {"patients.identify": "identifiers"}
"""Fields that replace all that was there: each part is named, so that nothing is wiped by leaving it out."""
_CONFIG = ConfigDict(
    extra="forbid", strict=True, allow_inf_nan=False, hide_input_in_errors=True, val_json_bytes="base64"
)


class Answer(RootModel[T], Generic[T]):
    """What a use case gives, as JSON: files as base64, arrays as lists of numbers."""

    model_config = ConfigDict(arbitrary_types_allowed=True, ser_json_bytes="base64")


@dataclass(frozen=True, slots=True, kw_only=True)
class Listed(Generic[T]):
    """A part of a list that a view shows.

    Args:
        next: the cursor of the part after it; None at the end.
        seq: the last event of the audit trail that it may include.
        trail_behind: the read waits to be written to the audit trail.
    """

    shown: tuple[T, ...]
    next: str | None
    seq: int
    trail_behind: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    """How a use case is asked for over HTTP.

    Args:
        thing: name of the field that stands in the path; None if none does.
        asked: what the body holds, or the query of a GET.
        persons: fields that hold a second person's signature.
        versioned: it changes a version that the caller saw, and `If-Match` says which.
        listed: its answer comes in parts.
        large: it takes a file.
    """

    case: UseCase
    method: str
    path: str
    thing: str | None
    asked: type[BaseModel]
    persons: tuple[str, ...]
    versioned: bool
    listed: bool
    large: bool
    answer: type[RootModel[Any]]


@cache
def routes() -> Mapping[str, Route]:
    """Every route, by the name of its use case; none for what only a patient or the program itself does."""
    return MappingProxyType(
        {name: _route(case) for name, case in sorted(CATALOGUE.items()) if BEARERS.intersection(case.roles)}
    )


def find_route(path: str) -> tuple[Route | None, str | None]:
    """The route of a path below the prefix, and the id in it.

    >>> found, thing = find_route("/courses/0019/start")
    >>> found.case.name, thing
    ('courses.start', '0019')
    """
    parts = path.removeprefix("/").split("/")
    if not 2 <= len(parts) <= 3:
        return None, None
    found = routes().get(f"{parts[0]}.{parts[-1]}")
    thing = parts[1] if len(parts) == 3 else None
    return (found, thing) if found is not None and (found.thing is None) == (thing is None) else (None, None)


def _route(case: UseCase) -> Route:
    signature = signature_of(case.name)
    given = dict(signature.parameters)
    first = next(iter(given.values()), None)
    thing = first.name if first is not None and first.name.endswith("_id") and _by_place(first) else None
    versioned = "version" in given and given["version"].annotation is int and not _by_place(given["version"])
    persons = tuple(name for name, each in given.items() if Actor in _options(each.annotation))
    fields: dict[str, Any] = {
        name: (str | None if name in persons else _plain(each.annotation), ... if _needed(each) else each.default)
        for name, each in given.items()
        if name != thing and not (versioned and name == "version")
    }
    if (replaced := _REPLACES.get(case.name)) is not None:
        fields[replaced] = (_whole(given[replaced].annotation), ...)
    group, what = case.name.split(".")
    listed = case.reads and _is_list(signature.return_annotation)
    return Route(
        case=case,
        method="GET" if case.reads and _fits_address(case.name, given.values()) else "POST",
        path=f"{PREFIX}/{group}/{{{thing}}}/{what}" if thing else f"{PREFIX}/{group}/{what}",
        thing=thing,
        asked=create_model(f"{group}_{what}", __config__=_CONFIG, **fields),
        persons=persons,
        versioned=versioned,
        listed=listed,
        large=any(bytes in _options(each.annotation) for each in given.values()),
        answer=_answer(signature.return_annotation, reads=case.reads, listed=listed),
    )


def _answer(given: Any, *, reads: bool, listed: bool) -> type[RootModel[Any]]:
    wrapped: Any = Listed if listed else Page
    kinds: Any = Answer
    made: type[RootModel[Any]] = kinds[wrapped[get_args(given)[0] if listed else given] if reads else given]
    return made


def _by_place(each: inspect.Parameter) -> bool:
    return each.kind is inspect.Parameter.POSITIONAL_OR_KEYWORD


def _needed(each: inspect.Parameter) -> bool:
    return each.default is inspect.Parameter.empty


def _fits_address(name: str, given: Iterable[inspect.Parameter]) -> bool:
    plain = (str, int, float, date, Enum, type(None))
    options = [option for each in given for option in _options(each.annotation)]
    return name not in _SEARCHES and all(isinstance(each, type) and issubclass(each, plain) for each in options)


def _is_list(given: Any) -> bool:
    return get_origin(given) is tuple and get_args(given)[1:] == (...,)


def _options(given: Any) -> tuple[Any, ...]:
    return get_args(given) or (given,)


def _whole(kind: type[Any]) -> Any:
    """A dataclass whose every field is named; None says that something is not known."""
    hints = get_type_hints(kind)
    parts = make_dataclass(f"Whole{kind.__name__}", [(each.name, hints[each.name]) for each in fields_of(kind)])
    return Annotated[parts, AfterValidator(lambda read: kind(**vars(read)))]


def _run_of(each: Any) -> Any:
    return tuple.__class_getitem__((each, ...))


def _plain(given: Any) -> Any:
    """The type as it is read from JSON: any run of things is a tuple."""
    if get_origin(given) in {get_origin(Iterable[int]), get_origin(Sequence[int])}:
        return _run_of(get_args(given)[0])
    if get_origin(given) is not None and type(None) in get_args(given):
        options = [_plain(each) for each in get_args(given)]
        found: Any = options[0]
        for each in options[1:]:
            found = found | each
        return found
    return given
