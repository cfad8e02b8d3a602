"""What those who answer for a clinic look at: its audit trail and the proof of it, backups, exports, what runs here."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from functools import cache
from hashlib import sha256
from importlib.metadata import Distribution, PackageNotFoundError, distribution
from importlib.resources import files
from importlib.resources.abc import Traversable

from afterglow import __version__
from afterglow.clinic import Role
from afterglow.errors import OutOfRange
from afterglow.store import audit, trail
from afterglow.store.audit import AuditEvent, Verification
from afterglow.store.codec import read_time
from afterglow.store.engine import SCHEMA
from afterglow.therapy.population import load_population
from afterglow.therapy.setting import Condition
from afterglow.usecases.desk import CATALOGUE, view
from afterglow.usecases.patients import Found, search
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


_ACTS = {
    "audit.events": "Audit trail",
    "audit.find_patient": "Search for a patient, for the audit trail",
    "audit.page": "Audit trail",
    "audit.prove": "Proof of the audit trail",
    "audit.who": "All that was done and seen of a patient",
    "chart.read": "Patient chart",
    "clinic.exported": "All records were written into a file",
    "courses.candidacy": "Candidacy, rule by rule",
    "courses.intake": "Inquiry and candidacy",
    "courses.read": "Course of treatment",
    "courses.read_plan": "Plan of a course",
    "courses.try_candidacy": "Candidacy tried with other answers",
    "courses.try_plan": "Draft of a plan tried",
    "designs.go_on": "A planned trial goes on",
    "diary.conflicts": "Check of a booking before it is made",
    "diary.show": "Diary with who each booking is for",
    "forecasts.read": "Forecast of a course",
    "installation.about": "About: version, data and packages",
    "installation.safekeeping": "Backups, anchors and exports",
    "jobs.finish": "A forecast is ready",
    "jobs.refresh": "Forecasts that are missing or old are asked for",
    "link.opened": "A patient opened a link",
    "login.refused": "A login was refused",
    "measures.ask": "What a patient's link asks for",
    "measures.tap": "A patient's answer to one question",
    "passes.list_devices": "Tokens, screens and set-ups",
    "passes.list_links": "Links of a patient",
    "patients.find": "Search for a patient",
    "patients.identity": "Name, birth date and contact of a patient",
    "patients.note_allergies": "Allergies noted",
    "patients.note_facts": "Answers about a patient noted",
    "patients.note_trials": "Earlier medicines noted",
    "patients.identify": "Who a patient is, corrected",
    "people.list": "People who work here or did",
    "patients.register": "New patient",
    "policies.list": "Versions of the thresholds",
    "policies.read": "Thresholds of a version",
    "read": "Looks at anything",
    "records.backed_up": "Backup made",
    "refused": "Refusals",
    "sessions.amend_screening": "Some answers of screening changed or came late",
    "sessions.go": "Go: the dose may be given",
    "sessions.read": "Session",
    "sessions.record_event": "Adverse event",
    "sessions.sheet": "Session page",
    "today.read": "Today: chairs, arrivals and open alerts",
}
"""Acts whose use case does not say it in a reader's words."""


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
def read_page(
    work: Work,
    *,
    before: int | None = None,
    most: int = 50,
    patient_id: str | None = None,
    by: str | None = None,
    act: str | None = None,
    since: datetime | None = None,
    until: datetime | None = None,
) -> TrailPage:
    """A page of the audit trail, newest first: all of it, or what fits patient, person, act and time.

    It ends before an event's number where one is given. Nothing may fit.
    Raises: OutOfRange for a page over 200 or a number that no event has.
    """
    if not 1 <= most <= _MOST:
        raise OutOfRange("The page's length is refused", observed=str(most), allowed=f"1 to {_MOST}")
    last = audit.last_seq(work.tx)
    top = last if before is None else before - 1
    if not 0 <= top <= last:
        raise OutOfRange("No event has this number", observed=str(before), allowed=f"1 to {last}")
    asked = {"patient_id": patient_id, "by": by, "act": act}
    if not all(each is None or each.isprintable() for each in asked.values()):
        return TrailPage(events=(), last=last, names=names_of(work))
    found = trail.page_of(work.tx, before=before, most=most, since=since, until=until, **asked)
    if patient_id is not None and found:
        work.about(patient_id=patient_id)
    return TrailPage(events=found, last=last, names=names_of(work))


@view("audit.find_patient", roles=(Role.COMPLIANCE,))
def find_for_trail(
    work: Work, name: str = "", *, born_on: date | None = None, record_number: str | None = None
) -> tuple[Found, ...]:
    """Patients by part of a name, or by birth date and record number, to read who saw their charts; at most 50.

    Closed charts too, since the trail is read of each; nothing of a chart is shown.
    Raises: MissingValue where nothing is asked for.
    """
    return search(work, name, born_on=born_on, record_number=record_number)


def act_words(name: str) -> str:
    """What an act of the trail is, in plain words.

    >>> act_words("people.leave"), act_words("chart.read"), act_words("login.set_up")
    ('Somebody leaves: credentials, sessions and tokens end', 'Patient chart', 'Login set up')
    """
    case = CATALOGUE.get(name)
    if name in _ACTS or case is None:
        return _ACTS.get(name, name.replace(".", " ").replace("_", " ").capitalize())
    return case.summary.partition(";")[0].rstrip(".")


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
