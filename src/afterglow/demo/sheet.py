"""The demo's sheet: what a demo clinic was made of, its logins, and the code of now. Only a demo has one."""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path

import pyotp

from afterglow.errors import MalformedFile, NotFound

FILE = "demo.json"


@dataclass(frozen=True, slots=True, kw_only=True)
class Sheet:
    """What stands beside a demo clinic.

    Args:
        made_on: day of the clinic's own calendar on which it is today there.
        secret: of every colleague's code generator; made anew for each demo clinic.
        people: login, name and roles in words.
    """

    made_at: str
    made_on: str
    seed: int
    time_zone: str
    version: str
    password: str
    secret: str
    people: tuple[tuple[str, str, str], ...]


def write_sheet(folder: Path, sheet: Sheet) -> None:
    """Keep the sheet beside the records, for their owner's eyes."""
    file = folder / FILE
    handle = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(handle, "w", encoding="utf-8") as out:
        json.dump(asdict(sheet), out, indent=1)


def read_sheet(folder: Path) -> Sheet:
    """The sheet of a demo clinic.

    Raises: NotFound where no demo clinic lies; MalformedFile.
    """
    file = folder / FILE
    if not file.is_file():
        raise NotFound("There is no demo clinic", observed=str(folder), next_step="Run 'afterglow demo-data'")
    try:
        read = json.loads(file.read_text(encoding="utf-8"))
        return Sheet(**(read | {"people": tuple(tuple(each) for each in read["people"])}))
    except (ValueError, TypeError, KeyError):
        raise MalformedFile(
            "The demo's sheet is damaged", observed=str(file), next_step="Build it with --fresh"
        ) from None


def code_of(sheet: Sheet, now: datetime) -> str:
    """The code that every colleague's generator shows now."""
    return pyotp.TOTP(sheet.secret).at(int(now.timestamp()))
