"""What the API says of itself: the OpenAPI document, and the page of its routes; both made of the routes."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from functools import cache
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, TypeAdapter
from pydantic.json_schema import GenerateJsonSchema, JsonSchemaValue
from pydantic_core import core_schema

from afterglow.markdown import table
from afterglow.usecases.desk import signature_of
from afterglow.usecases.signing import Signature
from afterglow.web.api_routes import BEARERS, PREFIX, Route, routes

VERSION = "1.0.0"
SIGNATURES = "/signatures"
SIGNING = "afterglow-signature"
_ID = "0019a7b3c4d50000f1e2d3c4b5a69788"
_AT = "2026-12-01T09:00:00Z"
# What an example holds, by the name of the field; any other field has one by its type.
_EXAMPLES: dict[str, Any] = {
    "action": "Called the patient, who is safe",
    "address": "alerts@example.org",
    "aldrete": [2, 2, 2, 2, 2],
    "allergies": {"status": "known", "substances": ["penicillin"], "ketamine": False},
    "amount_ug": 40000,
    "amounts_ug": [["vial-7", 40000]],
    "answers": [2, 2, 3, 2, 2, 2, 2, 2, 0],
    "born_on": "1982-05-01",
    "chair_id": "c1",
    "changes": {"S013.spo2_below": 95},
    "checked": {"clinically_stable": True, "oriented_x3": True},
    "code": "492039",
    "concentration_mg_per_ml": 50,
    "concentration_ug_per_ul": 50,
    "container_id": "vial-7",
    "content": "JVBERi0xLjcK",
    "days": 30,
    "dose_mg_per_kg": 0.5,
    "endpoint": "PHQ-9 halved",
    "expires_on": "2027-01-01",
    "facts": {"rems.enrolled": True},
    "given_by": "patient",
    "identifiers": {
        "name": "Anna Berger",
        "born_on": "1982-05-01",
        "email": "anna@example.org",
        "phone": "+41 44 000 00 00",
        "address": None,
        "record_number": "R-17",
    },
    "induction_sessions": 6,
    "infusion_min": 40,
    "interval_days": 3.5,
    "label": "reader of the ward",
    "login": "nora",
    "lot": "L1",
    "media_type": "application/pdf",
    "medicines": [{"ingredient": "sertraline", "dose": "100 mg/day"}],
    "name": "PHQ-9",
    "only": ["measures", "sessions.read"],
    "padss": [2, 2, 2, 2, 2],
    "part": "Ber",
    "password": "seven quiet rivers",
    "payer": "Blue",
    "reason": "asked by the patient",
    "reference": "MF-2026-17",
    "roles": ["nurse"],
    "rule_id": "C014",
    "starts_on": "2026-12-01",
    "team": ["nora"],
    "term": "nausea",
    "total": None,
    "visit": "intake",
    "vitals": {"systolic_mmhg": 124, "diastolic_mmhg": 78, "heart_rate_per_min": 72, "spo2_pct": 98},
    "weight_kg": 80,
}
_BESIDES: dict[str, tuple[str, ...]] = {  # fields that an example shows although they may be left out
    "diary.book": ("dose_minutes",),
    "measures.record": ("answers",),
    "patients.find": ("part",),
    "sessions.order": ("dose_mg_per_kg", "infusion_min"),
    "sessions.prepare": ("weight_kg", "concentration_mg_per_ml"),
    "sessions.finish_dose": ("amounts_ug",),
}
_OTHER = {
    "files.add": {"name": "letter.pdf"},
    "people.add": {"name": "Nora Nurse"},
    "people.add_service": {"name": "Ward system", "login": "ward-system"},
}
_REFUSALS: dict[str, tuple[str, str]] = {
    "401": ("Unknown", "no token, or one that does not hold"),
    "403": ("Forbidden", "not for this person or token, or it asks for a signature"),
    "404": ("NotFound", "no such thing, or another clinic's"),
    "405": ("WrongMethod", "`Allow` says which"),
    "409": ("Refused", "a rule of care or what is there already stands against it"),
    "412": ("Outdated", "somebody changed it since it was looked at"),
    "413": ("TooLarge", "the body is larger than 1 MB, or than a file may be"),
    "415": ("WrongType", "the body is no JSON"),
    "422": ("Malformed", "a field is missing, unknown or out of range"),
    "428": ("VersionNeeded", "`If-Match` is missing"),
    "429": ("TooMany", "`Retry-After` says how many seconds to wait"),
    "500": ("Fault", "the program is at fault"),
    "503": ("Unavailable", "the records cannot be reached; nothing was changed"),
}


class Sign(BaseModel):
    """A person's proof."""

    model_config = ConfigDict(extra="forbid", strict=True, hide_input_in_errors=True)

    login: str
    password: str
    code: str


class Problem(BaseModel):
    """A refusal (RFC 9457)."""

    type: str
    title: str
    status: int
    detail: str
    code: str
    observed: str | None = None
    allowed: str | None = None
    next_step: str | None = None
    about: str | None = None
    rule: str | None = None


@cache
def openapi() -> bytes:
    """The OpenAPI 3.1 document as JSON."""
    return json.dumps(document(), ensure_ascii=False).encode()


def document() -> dict[str, Any]:
    """The OpenAPI 3.1 document."""
    asked: list[tuple[Any, Literal["validation", "serialization"], TypeAdapter[Any]]] = [
        ("problem", "serialization", TypeAdapter(Problem)),
        ("sign", "validation", TypeAdapter(Sign)),
        ("signature", "serialization", TypeAdapter(Signature)),
    ]
    for name, route in routes().items():
        asked += [
            ((name, "asked"), "validation", TypeAdapter(route.asked)),
            ((name, "answer"), "serialization", TypeAdapter(route.answer)),
        ]
    made, defs = TypeAdapter.json_schemas(asked, ref_template="#/components/schemas/{model}", schema_generator=_Schemas)
    schemas = {str(key): value for key, value in defs["$defs"].items()}
    forms = {key: value for (key, _), value in made.items()}
    examples = _Examples(schemas)
    paths: dict[str, Any] = {f"{PREFIX}{SIGNATURES}": {"post": _signing(forms, examples)}}
    for name, route in routes().items():
        paths[route.path] = {route.method.lower(): _operation(route, forms, name, examples)}
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Afterglow",
            "version": VERSION,
            "summary": "A ketamine clinic's records by its own use cases",
            "description": "What is added stays within this version; what a caller could miss makes a new one.",
            "license": {"name": "MIT", "identifier": "MIT"},
        },
        "security": [{"token": []}],
        "paths": paths,
        "components": {
            "schemas": schemas,
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
            "responses": {name: _refusal(status, what, forms) for status, (name, what) in _REFUSALS.items()},
        },
    }


def api_markdown() -> str:
    """The reference page of the routes.

    >>> api_markdown().splitlines()[0]
    '# Routes of the API'
    """
    return "\n".join(_page()) + "\n"


def _page() -> Iterator[str]:
    yield "# Routes of the API"
    yield ""
    yield "Generated from the use cases; do not edit by hand. How to use it: [the API](../how-to/use-the-api.md); who"
    yield "may: [permissions](permissions.md). Each field, type and answer: `/api/v1/openapi.json` of a running server."
    yield "*v*: asks for `If-Match`. *k*: takes an `Idempotency-Key`. *s*: asks for a signature. *l*: comes in parts,"
    yield "with `limit` and `cursor`. Fields in brackets may be left out."
    yield ""
    for group in dict.fromkeys(name.split(".")[0] for name in routes()):
        yield f"## {group.capitalize()}"
        yield ""
        yield from table(
            ["Route", "What", "Fields", ""],
            (_line(route) for name, route in routes().items() if name.split(".")[0] == group),
        )
        yield ""
    yield "## Refusals"
    yield ""
    yield from table(["Status", "When"], ([status, what] for status, (_, what) in _REFUSALS.items()))


def _line(route: Route) -> list[str]:
    fields = [f"`{name}`" if field.is_required() else f"[`{name}`]" for name, field in route.asked.model_fields.items()]
    case = route.case
    marks = [
        *(["v"] if route.versioned else []),
        *(["k"] if case.keyed else []),
        *(["s"] if case.signs else []),
        *(["l"] if route.listed else []),
    ]
    return [f"`{route.method} {route.path.removeprefix(PREFIX)}`", case.summary, " ".join(fields), " ".join(marks)]


def _operation(route: Route, forms: Mapping[Any, Any], name: str, examples: _Examples) -> dict[str, Any]:
    case = route.case
    asked = forms[name, "asked"]
    refusals = {status: {"$ref": f"#/components/responses/{_REFUSALS[status][0]}"} for status in _statuses(route)}
    answer: dict[str, Any] = {
        "description": "As asked",
        "content": {
            "application/json": {"schema": forms[name, "answer"], "example": examples.of(forms[name, "answer"])}
        },
    }
    if _has_version(route):
        answer["headers"] = {"ETag": {"description": "The version", "schema": {"type": "string"}}}
    operation: dict[str, Any] = {
        "operationId": case.name,
        "tags": [name.split(".", maxsplit=1)[0]],
        "summary": case.summary,
        "description": f"For: {', '.join(role.replace('_', ' ') for role in case.roles if role in BEARERS)}.",
        "x-roles": list(case.roles),
        "x-signed": case.signs,
        "parameters": list(_parameters(route, asked, examples)),
        "responses": {"200": answer, **refusals},
    }
    if route.method == "POST":
        example = examples.asked(asked, besides=_BESIDES.get(name, ()), other=_OTHER.get(name, {}))
        operation["requestBody"] = {
            "required": bool(examples.resolved(asked).get("required")),
            "content": {"application/json": {"schema": asked, "example": example}},
        }
    return operation


def _signing(forms: Mapping[Any, Any], examples: _Examples) -> dict[str, Any]:
    refusals = {
        status: {"$ref": f"#/components/responses/{_REFUSALS[status][0]}"}
        for status in ("401", "403", "405", "413", "415", "422", "429", "500", "503")
    }
    answer = {"schema": forms["signature"], "example": examples.of(forms["signature"])}
    return {
        "operationId": "signatures",
        "tags": ["signatures"],
        "summary": "Sign with password and code, for five minutes",
        "description": f"The signature goes into the header `{SIGNING.title()}` or into the field of a second person.",
        "requestBody": {
            "required": True,
            "content": {"application/json": {"schema": forms["sign"], "example": examples.asked(forms["sign"])}},
        },
        "responses": {"200": {"description": "The signature", "content": {"application/json": answer}}, **refusals},
    }


def _parameters(route: Route, asked: Any, examples: _Examples) -> Iterator[dict[str, Any]]:
    text = {"type": "string"}
    if route.thing is not None:
        form = {**text, "minLength": 1, "pattern": r"^[^/?#%\\]+$"}
        example = examples.word(route.thing)
        yield {"name": route.thing, "in": "path", "required": True, "schema": form, "example": example}
    if route.method == "GET":
        resolved = examples.resolved(asked)
        for name, form in resolved.get("properties", {}).items():
            needed = name in resolved.get("required", ())
            yield {"name": name, "in": "query", "required": needed, "schema": form, "example": examples.of(form, name)}
    if route.listed:
        limit = {"type": "integer", "minimum": 1, "maximum": 200, "default": 50}
        yield {"name": "limit", "in": "query", "schema": limit, "description": "Lines of one answer"}
        cursor = {"type": "string", "pattern": r"^[0-9]{1,9}\.[0-9a-f]{24}$"}
        yield {"name": "cursor", "in": "query", "schema": cursor, "description": "`next` of the part before"}
    if route.versioned:
        form = {"type": "string", "pattern": '^"[0-9]{1,9}"$'}
        told = "The version that was seen"
        yield {
            "name": "If-Match", "in": "header", "required": True, "schema": form, "example": '"3"', "description": told
        }  # fmt: skip
    if route.case.keyed:
        form = {"type": "string", "minLength": 8, "maxLength": 64, "pattern": "^[!-~]+$"}
        told = "The same request with the same key is answered again, for a week"
        yield {"name": "Idempotency-Key", "in": "header", "schema": form, "description": told}
    if route.case.signs:
        told = f"From `POST {PREFIX}{SIGNATURES}`; whoever signed acts"
        yield {"name": SIGNING.title(), "in": "header", "schema": text, "description": told}


def _statuses(route: Route) -> Iterator[str]:
    for status in _REFUSALS:
        if status in {"413", "415"} and route.method == "GET":
            continue
        if status in {"412", "428"} and not route.versioned:
            continue
        yield status


def _refusal(status: str, what: str, forms: Mapping[Any, Any]) -> dict[str, Any]:
    example = {
        "type": "urn:afterglow:error:rule.too_early",
        "title": "The patient cannot leave yet",
        "status": int(status),
        "detail": "The patient cannot leave yet; found 74 min; allowed: from 120 min on. Wait.",
        "code": "rule.too_early",
        "observed": "74 min",
        "allowed": "from 120 min on",
        "next_step": "Wait",
    }
    content: dict[str, Any] = {"application/problem+json": {"schema": forms["problem"]}}
    if status == "409":
        content["application/problem+json"]["example"] = example
    found: dict[str, Any] = {"description": what[0].upper() + what[1:], "content": content}
    if status in {"429", "503"}:
        found["headers"] = {"Retry-After": {"description": "Seconds", "schema": {"type": "string"}}}
    return found


def _has_version(route: Route) -> bool:
    given = signature_of(route.case.name).return_annotation
    return not route.listed and "version" in getattr(given, "__dataclass_fields__", {})


class _Schemas(GenerateJsonSchema):
    """With files as base64, and arrays as lists of numbers; null stands for none."""

    def bytes_schema(self, schema: core_schema.BytesSchema) -> JsonSchemaValue:
        """The schema of a file."""
        del schema
        return {"type": "string", "format": "base64url"}

    def is_instance_schema(self, schema: core_schema.IsInstanceSchema) -> JsonSchemaValue:
        """The schema of an array."""
        del schema
        return {"type": "array", "items": {}}


class _Examples:
    """Examples made of the schemas and of words for their fields."""

    def __init__(self, schemas: Mapping[str, Any]) -> None:
        self._schemas = schemas

    def resolved(self, form: Mapping[str, Any]) -> Mapping[str, Any]:
        """The schema itself where this one points to it."""
        while "$ref" in form:
            form = self._schemas[form["$ref"].rsplit("/", 1)[-1]]
        return form

    def asked(self, form: Mapping[str, Any], besides: tuple[str, ...] = (), other: Mapping[str, Any] = {}) -> Any:
        """A request: what it needs, and some that it need not."""
        found = self.resolved(form)
        named = [name for name in found.get("properties", {}) if name in (*found.get("required", ()), *besides)]
        return {name: other.get(name, self.of(found["properties"][name], name)) for name in named}

    def word(self, name: str) -> Any:
        """What a field of a name holds."""
        return _EXAMPLES.get(name, _ID)

    def of(self, form: Mapping[str, Any], name: str = "", depth: int = 0) -> Any:
        """Something of a schema."""
        found = self.resolved(form)
        if depth < 2 and name in _EXAMPLES and _EXAMPLES[name] is not None and _fits(found, _EXAMPLES[name]):
            return _EXAMPLES[name]
        for options in (found.get("anyOf"), found.get("oneOf")):
            if options:
                return self.of(options[0] if depth < 6 else options[-1], name, depth + 1)
        if "enum" in found:
            return found["enum"][0]
        if "const" in found:
            return found["const"]
        kind = found.get("type")
        if kind == "object":
            inner = found.get("properties", {})
            wanted = inner if depth < 4 else found.get("required", ())
            return {each: self.of(inner[each], each, depth + 1) for each in wanted}
        if kind == "array":
            if "prefixItems" in found:
                return [self.of(each, name, depth + 1) for each in found["prefixItems"]]
            return [self.of(found["items"], name, depth + 1)] if depth < 4 and "items" in found else []
        if kind == "string":
            forms = {"date-time": _AT, "date": "2026-12-01", "base64url": "aGVsbG8=", "duration": "PT2H"}
            return forms.get(found.get("format", ""), _ID if name.endswith("id") else name or "text")
        return {"integer": 1, "number": 1.0, "boolean": True}.get(str(kind))


def _fits(form: Mapping[str, Any], value: Any) -> bool:
    """Whether a word may stand for a field of this schema."""
    options = form.get("anyOf") or [form]
    kinds = {"string": str, "integer": int, "number": int | float, "boolean": bool, "array": list, "object": dict}
    return any("$ref" in each or isinstance(value, kinds.get(str(each.get("type")), ())) for each in options)
