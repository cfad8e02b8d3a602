"""What does not fit in a request, in plain words: field by field what came, what is taken, what to do.

Never the value itself, which may be a patient's, and no word of the programming language behind.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from pydantic import ValidationError

from afterglow.errors import InputError, kind_word
from afterglow.web.api_routes import PREFIX

_MOST = 5  # fields that one refusal names
_LONGEST_STEP = 40
_OF_CALENDAR = ("datetime", "date", "time_")
_NO_FIELD = "no such field"
_OBJECT = "an object with named fields"

WANTED: Mapping[str, str] = MappingProxyType(
    {
        "missing": "a value, which this field needs",
        "extra": _NO_FIELD,
        "string_too_short": "a text of {min_length} characters or more",
        "string_too_long": "a text of {max_length} characters at most",
        "string_pattern": "a text of the form that the document gives",
        "string": "a text",
        "int": "a whole number",
        "float": "a number",
        "finite": "a number",
        "decimal": "a number",
        "bool": "true or false",
        "none": "null",
        "datetime": "a time with its zone, as in 2026-01-05T09:00:00Z",
        "timezone": "a time with its zone, as in 2026-01-05T09:00:00Z",
        "date": "a day, as in 2026-01-05",
        "time_delta": "a duration, as in PT30M",
        "time": "a time of day, as in 09:00",
        "list": "a list",
        "tuple": "a list",
        "set": "a list",
        "frozen_set": "a list",
        "iterable": "a list",
        "too_short": "a list of {min_length} or more",
        "too_long": "a list of {max_length} at most",
        "dict": _OBJECT,
        "mapping": _OBJECT,
        "model": _OBJECT,
        "dataclass": _OBJECT,
        "enum": "{expected}",
        "literal": "{expected}",
        "greater_than_equal": "{ge} or more",
        "greater_than": "more than {gt}",
        "less_than_equal": "{le} or less",
        "less_than": "less than {lt}",
        "multiple_of": "a multiple of {multiple_of}",
        "bytes": "a file as base64",
        "json": "JSON text",
    }
)
"""What is taken instead, by the beginning of the checker's own name for a fault; the longest that fits counts."""


def refused_fields(fault: ValidationError, given: bytes | Mapping[str, Any]) -> InputError:
    """A refusal that names each field, what came and what is taken; `given` is the body or the query as it came."""
    found: dict[str, tuple[str, list[str]]] = {}
    data = _read(given)
    for each in fault.errors(include_url=False):
        where, came = _place(each["loc"], each["type"], data)
        _, wanted = found.setdefault(where, ("" if each["type"] == "missing" else came, []))
        wanted += [text for text in (_wanted(each["type"], each.get("ctx", {})),) if text not in wanted]
    told = [(where, each) for where, each in found.items() if not any(_is_within(other, where) for other in found)]
    told = told[:_MOST]  # where several forms are taken, the one that fits furthest says what is wrong
    return InputError(
        "The fields are refused",
        observed="; ".join(f"{where or 'the body'}: {came or 'nothing'}" for where, (came, _) in told),
        allowed="; ".join(f"{where or 'the body'}: {' or '.join(wanted)}" for where, (_, wanted) in told),
        next_step=f"Send these fields as allowed; {PREFIX}/openapi.json has every field of each route",
        about=told[0][0] or None,
    )


def _is_within(inner: str, outer: str) -> bool:
    return inner != outer and (not outer or inner.startswith(f"{outer}."))


def _read(given: bytes | Mapping[str, Any]) -> Any:
    if not isinstance(given, bytes):
        return given
    try:
        return json.loads(given)
    except (ValueError, RecursionError):  # also bytes that are no text, and what is nested beyond reason
        return None


def _place(steps: tuple[int | str, ...], kind: str, data: Any) -> tuple[str, str]:
    """The field as the sender wrote it, and what stands there; the checker's own steps between are left out."""
    path: list[str] = []
    for step in steps:
        known = step in data if isinstance(data, Mapping) else isinstance(data, list) and step in range(len(data))
        if known:
            data = data[step]
        elif kind != "missing" or step != steps[-1]:
            continue
        path.append(str(step)[:_LONGEST_STEP])
    if kind.startswith(_OF_CALENDAR) and isinstance(data, str):
        return ".".join(path), "a text that is none, or not in the calendar"
    return ".".join(path), "no JSON" if kind.startswith("json") else kind_word(data)


def _wanted(kind: str, context: Mapping[str, Any]) -> str:
    starts = [start for start in WANTED if kind == start or kind.startswith(f"{start}_")]
    text = WANTED[max(starts, key=len)] if starts else "another value, as the document says"
    try:
        return text.format_map({name: str(value).replace("'", "") for name, value in context.items()})
    except KeyError:
        return "another value, as the document says"
