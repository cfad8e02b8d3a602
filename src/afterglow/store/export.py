"""A whole clinic in open formats, readable without Afterglow; and back into an installation without that clinic.

The export holds everything in the clear: who takes it keeps it safe. Brought back, the clinic has new keys and its
events a new chain; what the old chain's last MAC was stands in the event that tells of it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import fields, is_dataclass
from datetime import datetime
from enum import EnumType
from inspect import getdoc
from pathlib import Path
from typing import Any, get_args, get_type_hints

from sqlalchemy import Table, insert, select

from afterglow.errors import Conflict, InputError
from afterglow.store import facts, patients, tables
from afterglow.store.archive import Reader, Writer, new_archive
from afterglow.store.attachments import fetch
from afterglow.store.backup import in_order
from afterglow.store.chain import DIGESTED, NewEvent, Write, row_digest
from afterglow.store.codec import from_data, read_time, to_data, write_time
from afterglow.store.patients import Identifiers
from afterglow.store.records import Clinic, Store, Transaction
from afterglow.store.sealing import new_patient_key, seal

_PURPOSE = "export"
_FORMS = (
    "In JSON a tuple, list or set is a list, a mapping an object, a date or time a text as in ISO 8601, bytes base64."
)
_HIDDEN = {"clinic_id", "body", "sealed", "sealed_name"}

README = """The records of one clinic, exported by Afterglow. Everything is in the clear: keep it safe.

Each .jsonl file holds one JSON object a line, UTF-8; times are UTC, ISO 8601.
patients.jsonl     who each patient is; `identifiers` is null after erasure
KINDS.md           what each kind is: the fields of `fact` and `now`, with their types
facts.jsonl        what was recorded, once: `kind` and `fact`, whom and what it is about, when it happened (`at`), when
                   and by whom it was recorded; `supersedes` names the fact that it corrects, `reason` says why;
                   `entered_in_error`: the superseded fact stands for nothing
heads.jsonl        each thing as it is now: `kind`, `state`, `version`, `now`
attachments.jsonl  files, by their names here and as they were named; they lie in attachments/
audit.jsonl        who did or saw what, in order, and which records that wrote
manifest.json      the clinic, when it was exported, and a SHA-256 of each part
"""


def export_clinic(store: Store, clinic_id: str, file: Path, *, by: str) -> int:
    """Write everything of a clinic, in the clear; how many records. The audit trail tells of it.

    Raises: NotFound for an unknown clinic; UnwritableFile, StoreUnavailable.
    """
    count = 0
    with new_archive(file) as archive:
        with store.write(clinic_id, by=by) as tx:
            tx.event("clinic.exported")
        clinic = next(each for each in store.clinics() if each.id == clinic_id)
        with store.read(clinic_id, snapshot=True) as tx:
            count += archive.lines("patients.jsonl", _patients(tx))
            count += archive.lines("facts.jsonl", _facts(tx))
            count += archive.lines("heads.jsonl", _heads(tx))
            count += archive.lines("attachments.jsonl", _attachments(tx))
            archive.lines("audit.jsonl", _events(tx))
            _files(tx, archive)
        archive.file("README.txt", README.encode())
        archive.file("KINDS.md", kinds_markdown(store.kinds).encode())
        about = {"afterglow_export": 1, "made_at": write_time(store.clock()), "clinic": to_data(clinic)}
        archive.close(store.keys.audit, _PURPOSE, about)
    return count


def kinds_markdown(kinds: Mapping[str, type]) -> str:
    """What each kind of record is, and the fields of each class in it, from the classes themselves.

    >>> "## `clinic`: Clinic" in kinds_markdown({"clinic": Clinic}).splitlines()
    True
    """
    named = {kind: name for name, kind in kinds.items()}
    waiting, seen = list(kinds.values()), set(kinds.values())
    lines = ["# Kinds of records", "", "Of facts.jsonl and heads.jsonl, then what stands in their fields.", _FORMS, ""]
    while waiting:
        kind = waiting.pop(0)
        lines += [f"## {f'`{named[kind]}`: ' if kind in named else ''}{kind.__name__}", "", getdoc(kind) or "", ""]
        if isinstance(kind, EnumType):
            lines += [f"One of: {', '.join(f'`{word.value}`' for word in list[Any](kind))}", ""]
            continue
        hints = get_type_hints(kind)
        lines += ["| Field | Type |", "|---|---|"]
        lines += [f"| `{each.name}` | {_type_words(hints[each.name])} |" for each in fields(kind)]
        lines.append("")
        for part in (part for each in fields(kind) for part in _classes_in(hints[each.name])):
            if part not in seen:
                seen.add(part)
                waiting.append(part)
    return "\n".join(lines)


def _type_words(hint: Any) -> str:
    if hint is type(None):
        return "null"
    name = getattr(hint, "__name__", None) if not get_args(hint) else None
    return (name or re.sub(r"(?:\w+\.)+(\w)", r"\1", str(hint))).replace("|", "or")


def _classes_in(hint: Any) -> Iterator[type]:
    """Classes and enumerations within a type, ours alone."""
    if isinstance(hint, type) and not get_args(hint) and (is_dataclass(hint) or isinstance(hint, EnumType)):
        yield hint
    for each in get_args(hint):
        yield from _classes_in(each)


def import_clinic(store: Store, file: Path, *, by: str) -> Clinic:
    """Bring an exported clinic into an installation without it, all or nothing, under new keys and a new chain.

    Raises: RecordsDamaged if a part is not as the manifest says; InputError for another kind of archive; Conflict if
        the clinic is there.
    """
    source = Reader(file)
    try:
        source.check_parts()
        if source.manifest.get("afterglow_export") != 1:
            raise InputError("The file is no export of a clinic", observed=str(file))
        clinic = from_data(Clinic, source.manifest["clinic"])
        if any(each.id == clinic.id for each in store.clinics()):
            raise Conflict("The clinic is there already; nothing was imported", observed=clinic.id)
        with store.write(clinic.id, by=by) as tx:
            tx.start_clinic(clinic)
            digests = dict(_brought(tx, source))
            tx.replay(_replayed(source, digests))
            tx.event("clinic.imported", exported_at=str(source.manifest["made_at"]), sign=str(source.manifest["sign"]))
    finally:
        source.close()
    return clinic


def _patients(tx: Transaction) -> Iterator[dict[str, Any]]:
    for row in _all(tx, tables.patients):
        found = patients.load(tx, row["id"]).identifiers
        yield {**_shown(row), "identifiers": None if found is None else to_data(found)}


def _facts(tx: Transaction) -> Iterator[dict[str, Any]]:
    for row in _all(tx, tables.facts):
        body = facts.opened(tx, row["patient_id"], f"facts/{row['id']}", row["body"])
        yield {**_shown(row), **(body or {"fact": None, "reason": None})}


def _heads(tx: Transaction) -> Iterator[dict[str, Any]]:
    for row in _all(tx, tables.heads):
        yield {**_shown(row), "now": facts.opened(tx, row["patient_id"], _head_place(row), row["body"])}


def _attachments(tx: Transaction) -> Iterator[dict[str, Any]]:
    for row in _all(tx, tables.attachments):
        yield {**_shown(row), "name": fetch(tx, row["id"]).name}


def _files(tx: Transaction, archive: Writer) -> None:
    for row in _all(tx, tables.attachments):
        content = fetch(tx, row["id"]).content
        if content is not None:
            archive.file(f"attachments/{row['id']}", content)


def _events(tx: Transaction) -> Iterator[dict[str, Any]]:
    for row in _all(tx, tables.audit_events):
        writes = [write[:-1] for write in json.loads(row["writes"])]
        shown = {name: value for name, value in _shown(row).items() if name not in {"key_id", "mac"}}
        yield {**shown, "detail": json.loads(row["detail"]), "writes": writes}


def _all(tx: Transaction, table: Table) -> Iterator[Mapping[Any, Any]]:
    yield from tx.rows(select(table).where(tx.mine(table)).order_by(*table.primary_key.columns))


def _shown(row: Mapping[Any, Any]) -> dict[str, Any]:
    return {
        name: write_time(value) if isinstance(value, datetime) else value
        for name, value in row.items()
        if name not in _HIDDEN
    }


def _brought(tx: Transaction, source: Reader) -> Iterator[tuple[tuple[str, ...], str]]:
    """Write every record; its table and key, and its digest under the new keys."""
    erased = set()
    for line in source.lines("patients.jsonl"):
        said = line.pop("identifiers")
        if said is None:
            erased.add(line["id"])
            yield _put(tx, tables.patients, {**line, "sealed": b""})
            continue
        key, wrapped = new_patient_key(tx.store.keys.clinic, tx.clinic_id, line["id"])
        tx.keep_key(line["id"], key)
        identifiers = from_data(Identifiers, said)
        yield _put(tx, tables.patients, {**line, "sealed": patients.seal_identifiers(tx, key, line["id"], identifiers)})
        patients.keep_wrapped(tx, line["id"], wrapped)
        patients.index(tx, line["id"], identifiers)
    for fact in in_order(source.lines("facts.jsonl")):
        line = dict(fact)
        data = {"fact": line.pop("fact"), "reason": line.pop("reason")}
        yield _put(tx, tables.facts, {**line, "body": _body(tx, line, f"facts/{line['id']}", data, erased)})
    for line in source.lines("heads.jsonl"):
        now = line.pop("now")
        yield _put(tx, tables.heads, {**line, "body": _body(tx, line, _head_place(line), now, erased)})
    for line in source.lines("attachments.jsonl"):
        name = line.pop("name")
        key_of = tx.patient_key(line["patient_id"]) if line["patient_id"] not in erased else None
        place = f"{tx.clinic_id}/{line['patient_id']}/attachments/{line['id']}"
        sealed = {"sealed_name": b"", "sealed": b""}
        if key_of is not None:
            content = source.content(f"attachments/{line['id']}")
            sealed = {
                "sealed_name": seal(key_of, name.encode(), f"{place}/name"),
                "sealed": seal(key_of, content, place),
            }
        yield _put(tx, tables.attachments, {**line, **sealed})


def _body(tx: Transaction, line: Mapping[str, Any], place: str, data: object, erased: set[str]) -> bytes:
    return b"" if line["patient_id"] in erased else facts.sealed(tx, line["patient_id"], place, data)


def _head_place(row: Mapping[Any, Any]) -> str:
    return f"heads/{row['kind']}/{row['id']}"


def _put(tx: Transaction, table: Table, line: Mapping[str, Any]) -> tuple[tuple[str, ...], str]:
    row = {name: read_time(value) if _is_time(table, name, value) else value for name, value in line.items()}
    tx.run(insert(table).values(clinic_id=tx.clinic_id, **row))
    key, _ = DIGESTED[table.name]
    return (table.name, *(str(row[each]) for each in key)), row_digest(table.name, row)


def _is_time(table: Table, name: str, value: object) -> bool:
    return value is not None and isinstance(table.c[name].type, tables.UtcTime)


def _replayed(source: Reader, digests: Mapping[tuple[str, ...], str]) -> list[NewEvent]:
    """The events as they were; a record's last event tells its new digest, the ones before it none."""
    lines = list(source.lines("audit.jsonl"))
    last = {tuple(map(str, write)): line["seq"] for line in lines for write in line["writes"]}
    return [
        NewEvent(
            at=read_time(line["at"]),
            by=line["by"],
            action=line["action"],
            patient_id=line["patient_id"],
            subject=line["subject"],
            detail=line["detail"],
            writes=tuple(
                Write(
                    table=write[0],
                    key=tuple(map(str, write[1:])),
                    digest=digests.get(tuple(map(str, write))) if last[tuple(map(str, write))] == line["seq"] else None,
                )
                for write in line["writes"]
            ),
        )
        for line in lines
    ]
