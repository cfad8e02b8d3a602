"""What those who answer for a clinic look at: its audit trail and the proof of it, backups, exports, what runs here."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cache
from hashlib import sha256
from importlib.metadata import Distribution, PackageNotFoundError, distribution
from importlib.resources import files
from importlib.resources.abc import Traversable

from afterglow import __version__
from afterglow.clinic import Role
from afterglow.errors import OutOfRange
from afterglow.store import audit
from afterglow.store.audit import AuditEvent, Verification
from afterglow.store.codec import read_time
from afterglow.store.engine import SCHEMA
from afterglow.therapy.population import load_population
from afterglow.therapy.setting import Condition
from afterglow.usecases.desk import view
from afterglow.usecases.people import LOGIN_ROLES, names_of
from afterglow.usecases.upkeep import BACKED_UP
from afterglow.usecases.work import Work

OVERSEERS = (Role.COMPLIANCE, Role.MEDICAL_DIRECTOR, Role.ADMINISTRATOR)
BACKUP_DUE = timedelta(hours=26)  # Assumption: our policy, as deploy/afterglow-backup.timer: every night
ANCHOR_DUE = timedelta(minutes=25)  # Assumption: our policy: two anchors of a server that runs are missed
_EXPORTED = "clinic.exported"
_DATA = ("clinic", "evidence", "scales", "therapy", "trials")
_MOST = 200
_NEED = re.compile(r"([A-Za-z0-9._-]+)(?:\[([A-Za-z0-9,._-]+)\])?")


@dataclass(frozen=True, slots=True, kw_only=True)
class TrailPage:
    """A page of the audit trail, newest first.

    Args:
        last: number of the trail's last event, of any page.
        names: how people are called, by login.
    """

    events: tuple[AuditEvent, ...]
    last: int
    names: Mapping[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Safekeeping:
    """How the records are kept.

    Args:
        backed_up_at: of the last backup; None before the first.
        backup_late, anchor_late: older than they may be.
        anchored_at: of the last anchor outside the database; anchored_seq: the event that it vouches for.
        events: of the trail so far.
        reads_wait: reads wait for a trail that could not be written.
        exports: who wrote all of the clinic's records into a file, and when, newest first.
    """

    backed_up_at: datetime | None
    backup_late: bool
    anchored_at: datetime | None
    anchored_seq: int
    anchor_late: bool
    events: int
    reads_wait: bool
    exports: tuple[AuditEvent, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Licensed:
    """A package that Afterglow runs on."""

    name: str
    version: str
    licence: str


@dataclass(frozen=True, slots=True, kw_only=True)
class About:
    """What runs here.

    Args:
        schema: revision of the database's tables.
        populations: version and status of the virtual patients, by condition.
        data: SHA-256 of the data that each part ships with, in hexadecimal.
        packages: everything that it needs, with licences.
    """

    version: str
    schema: str
    populations: tuple[tuple[str, str, str], ...]
    data: tuple[tuple[str, str], ...]
    packages: tuple[Licensed, ...]


@view("audit.page", roles=(Role.COMPLIANCE,))
def read_page(work: Work, *, before: int | None = None, most: int = 50) -> TrailPage:
    """A page of the audit trail that ends before an event's number, or at the newest.

    Raises: OutOfRange for a page over 200 or a number that no event has.
    """
    if not 1 <= most <= _MOST:
        raise OutOfRange("The page's length is refused", observed=str(most), allowed=f"1 to {_MOST}")
    last = audit.last_seq(work.tx)
    top = last if before is None else before - 1
    if not 0 <= top <= last:
        raise OutOfRange("No event has this number", observed=str(before), allowed=f"1 to {last}")
    found = audit.last_events(work.tx, after=max(0, top - most), most=most)
    shown = tuple(each for each in reversed(found) if each.seq <= top)
    return TrailPage(events=shown, last=last, names=names_of(work))


@view("audit.prove", roles=(Role.COMPLIANCE,))
def prove_trail(work: Work) -> Verification:
    """Prove the trail: every event, every record that it tells of, and the anchors; takes seconds to minutes."""
    return audit.verify(work.tx.store, work.actor.clinic_id)


@view("installation.safekeeping", roles=OVERSEERS)
def read_safekeeping(work: Work) -> Safekeeping:
    """Last backup and anchor, reads that wait, exports; no patient."""
    store, clinic_id = work.tx.store, work.actor.clinic_id
    backups = audit.events_of(work.tx, BACKED_UP, most=1)
    anchors = audit.anchors(store, clinic_id)
    backed_up_at = backups[0].at if backups else None
    anchored_at = read_time(anchors[-1].at) if anchors else None
    return Safekeeping(
        backed_up_at=backed_up_at,
        backup_late=backed_up_at is None or work.now - backed_up_at > BACKUP_DUE,
        anchored_at=anchored_at,
        anchored_seq=anchors[-1].seq if anchors else 0,
        anchor_late=anchored_at is None or work.now - anchored_at > ANCHOR_DUE,
        events=audit.last_seq(work.tx),
        reads_wait=audit.reads_wait(store, clinic_id),
        exports=audit.events_of(work.tx, _EXPORTED, most=20),
    )


@view("installation.about", roles=LOGIN_ROLES)
def read_about(work: Work) -> About:
    """Version, database, virtual patients, data and packages of what runs here; the same for every clinic."""
    del work
    return _about()


@cache
def _about() -> About:
    populations = [(each, load_population(each)) for each in Condition]
    return About(
        version=__version__,
        schema=SCHEMA,
        populations=tuple((each.value, found.version, found.status) for each, found in populations),
        data=tuple((part, _digest(files(f"afterglow.{part}").joinpath("data"))) for part in _DATA),
        packages=tuple(sorted(_packages("afterglow"), key=lambda each: each.name.lower())),
    )


def _digest(folder: Traversable) -> str:
    """Of names and contents of every file below a folder, in order."""
    found = sha256()
    for name, content in _contents(folder, ""):
        found.update(f"{name}\0{len(content)}\0".encode())
        found.update(content)
    return found.hexdigest()


def _contents(folder: Traversable, path: str) -> Iterator[tuple[str, bytes]]:
    for each in sorted(folder.iterdir(), key=lambda each: each.name):
        name = f"{path}/{each.name}"
        if each.is_dir():
            yield from _contents(each, name)
        elif not name.endswith((".pyc", ".py")):
            yield name, each.read_bytes()


def _packages(name: str) -> tuple[Licensed, ...]:
    """Everything that is installed and that a package needs, directly or not."""
    found: dict[str, Licensed] = {}
    seen, waiting = set(), [(name, "")]
    while waiting:
        wanted, extra = waiting.pop()
        if (wanted, extra) in seen:
            continue
        seen.add((wanted, extra))
        try:
            package = distribution(wanted)
        except PackageNotFoundError:
            continue  # of another system
        known = str(package.metadata["Name"])
        found[known] = Licensed(name=known, version=package.version, licence=_licence(package))
        waiting += _needs(package, extra)
    return tuple(each for known, each in found.items() if known != name)


def _needs(package: Distribution, extra: str) -> Iterator[tuple[str, str]]:
    """What a package needs with one of its extras (none: empty); each with the extras that it asks for."""
    for each in package.requires or ():
        of_extra = re.search(r"extra == [\"']([^\"']+)", each)
        if (of_extra[1] if of_extra else "") in {"", extra} and (named := _NEED.match(each)):
            yield from ((named[1], asked) for asked in {"", *(named[2] or "").split(",")})


def _licence(package: Distribution) -> str:
    """As the package says: an expression, else its classifiers, else the first line of its text."""
    said = package.metadata
    if "License-Expression" in said:
        return said["License-Expression"]
    named = [each.split(" :: ")[-1] for each in said.get_all("Classifier") or () if each.startswith("License ::")]
    named = [each for each in named if each != "OSI Approved"]
    text = said["License"].strip() if "License" in said else ""
    return ", ".join(named) or text.partition("\n")[0][:80] or "not stated"
