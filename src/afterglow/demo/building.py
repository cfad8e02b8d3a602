"""Building the demo clinic: people, policy, chairs, then every story in order of time, up to now."""

from __future__ import annotations

import heapq
import random
import shutil
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from itertools import count
from pathlib import Path
from zoneinfo import ZoneInfo

import pyotp

from afterglow import __version__
from afterglow.clinic import Chair, Delivery, Priority, Role
from afterglow.demo.cast import CHAIRS, CLINIC_NAME, PATIENTS, STAFF, Patient
from afterglow.demo.hands import Clock, Hands
from afterglow.demo.scores import Course, courses
from afterglow.demo.sheet import FILE, Sheet, write_sheet
from afterglow.demo.stories import live
from afterglow.errors import Conflict
from afterglow.settings import Settings
from afterglow.store import audit
from afterglow.store.records import Clinic, Store
from afterglow.usecases import login, measures, messages, people, policies
from afterglow.usecases.desk import Desk
from afterglow.usecases.messages import Channel, OutgoingMessage, claim, note
from afterglow.usecases.policies import HelpLines
from afterglow.usecases.upkeep import create_records, opened
from afterglow.usecases.work import program

PASSWORD = "harbour lamps at noon"  # noqa: S105  of made-up people; the code generator's secret is made anew each time
CLINIC_ID = "clinic"  # as commands call it where nothing else is set
_HELP = HelpLines(emergency="911", crisis="988", crisis_text=True, clinic="555 0142", answered="8 to 18")
_OPENED_D = 190
_OWN_FILES = (FILE, "records.db", "records.db-wal", "records.db-shm")
_OWN_FOLDERS = ("keys", "anchors", "spool")
# One place for each hour of the day, so that it is early afternoon in the demo clinic whenever it is built.
_PLACES = (
    "Pacific/Honolulu", "America/Anchorage", "America/Los_Angeles", "America/Denver", "America/Chicago",
    "America/New_York", "America/Halifax", "America/Sao_Paulo", "Atlantic/South_Georgia", "Atlantic/Azores",
    "Europe/London", "Europe/Zurich", "Europe/Athens", "Asia/Riyadh", "Asia/Dubai", "Asia/Karachi", "Asia/Dhaka",
    "Asia/Bangkok", "Asia/Singapore", "Asia/Tokyo", "Australia/Brisbane", "Pacific/Noumea", "Pacific/Auckland",
    "Pacific/Pago_Pago",
)  # fmt: skip
# Where the region's own numbers, of the United States, would be wrong. 999: https://www.nhs.uk/nhs-services/urgent-and-
# emergency-care-services/when-to-call-999/; 116 123: https://www.samaritans.org/how-we-can-help/contact-samaritan/; the
# clinic's is kept free for made-up places: https://www.ofcom.org.uk/phones-and-broadband/phone-numbers/numbers-for-drama
_LINES = {"Europe/London": HelpLines(emergency="999", crisis="116 123", clinic="020 7946 0142", answered="8 to 18")}
_NOON_H, _LATEST_H = 12, 17
_OPEN_HIGH, _OPEN_OTHER = timedelta(hours=1), timedelta(hours=24)  # how young an alert of today is left open
_OWNERS = {Role.NURSE: "nora", Role.PRESCRIBER: "paula", Role.MEDICAL_DIRECTOR: "dina"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Built:
    """A demo clinic that was built: its sheet, how much is in it, how long it took (s)."""

    sheet: Sheet
    patients: int
    sessions: int
    events: int
    seconds: float


def build_demo(
    folder: Path,
    *,
    seed: int = 1,
    now: datetime | None = None,
    fresh: bool = False,
    patients: tuple[Patient, ...] = PATIENTS,
    told: Callable[[float], None] = lambda _share: None,
) -> Built:
    """Build the demo clinic in a folder of its own.

    Args:
        folder: empty, not there yet, or of a demo clinic.
        seed: same seed and same `now`: the same people, doses, readings and scores; on the same day the same but for
            today's own times. Ids and keys are always new.
        now: what is today in the demo; the time now if None.
        fresh: a demo clinic that lies there is thrown away first; nothing else ever is.
        patients: whose stories are lived.
        told: is told which share of the time is lived through.
    Raises: Conflict where anything else lies in the folder, or a demo clinic without `fresh`.
    """
    began = time.monotonic()
    _make_room(folder, fresh=fresh)
    settings = demo_settings(folder)
    now = now or datetime.now(UTC)
    zone = place_of(now)
    sheet = _sheet(now, zone, seed)
    clinic = Clinic(id=settings.clinic, name=CLINIC_NAME, time_zone=str(zone), synthetic=True)
    opening = (now.astimezone(zone) - timedelta(days=_OPENED_D)).replace(hour=8, minute=0, second=0, microsecond=0)
    clock = Clock(opening.astimezone(UTC))
    create_records(settings, None)
    with opened(settings, synced=False) as store:
        lived = replace(store, clock=clock)
        lived.add_clinic(clinic, by="program")
        hands = Hands(store=lived, clinic_id=clinic.id, clock=clock, now=now, zone=zone, chance=random.Random(seed))  # noqa: S311  no secret
        _open_clinic(hands, sheet)
        _live_all(hands, courses(patients, seed=seed), patients, told)
        write_sheet(folder, sheet)
        events = audit.anchor(lived, clinic.id).seq
    return Built(
        sheet=sheet, patients=len(patients), sessions=hands.sat, events=events, seconds=time.monotonic() - began
    )


def demo_settings(folder: Path) -> Settings:
    """Settings that hold a demo clinic to its folder, whatever the environment says; it sends no mail anywhere."""
    return Settings(
        folder=folder, clinic=CLINIC_ID, database_url=None, keys_folder=None, anchors_folder=None, spool_folder=None,
        smtp_host=None, webhook_secret=None,
    )  # fmt: skip


def demo_clock(store: Store) -> Callable[[], datetime]:
    """The time in a demo clinic, which goes on from its last event: while the demo is closed, time stands still there.

    Else everybody in a chair would be hours late whenever a demo of this morning is opened again.
    """
    with store.read(CLINIC_ID) as tx:
        (last,) = audit.last_events(tx, after=audit.last_seq(tx) - 1)
    behind = max(datetime.now(UTC) - last.at, timedelta(0))
    return lambda: datetime.now(UTC) - behind


def place_of(now: datetime) -> ZoneInfo:
    """Where the demo clinic lies: where this machine's clock is told if it is day there, else where it is noon.

    >>> at = datetime(2026, 1, 5, 3, tzinfo=UTC)
    >>> 12 <= at.astimezone(place_of(at)).hour < 17
    True
    """
    here = now.astimezone().utcoffset()
    zones = [ZoneInfo(each) for each in _PLACES]
    own = [each for each in zones if now.astimezone(each).utcoffset() == here]
    if own and _NOON_H <= now.astimezone(own[0]).hour < _LATEST_H:
        return own[0]
    return min(zones, key=lambda each: abs(now.astimezone(each).hour + now.minute / 60 - _NOON_H - 1))


def _sheet(now: datetime, zone: ZoneInfo, seed: int) -> Sheet:
    return Sheet(
        made_at=now.isoformat(timespec="seconds"),
        made_on=now.astimezone().date().isoformat(),
        seed=seed,
        time_zone=zone.key,
        version=__version__,
        password=PASSWORD,
        secret=pyotp.random_base32(),
        people=tuple(
            (each.login, each.name, ", ".join(role.replace("_", " ") for role in each.roles)) for each in STAFF
        ),
    )


def _make_room(folder: Path, *, fresh: bool) -> None:
    """See that the folder is empty or, with `fresh`, take away what an earlier demo left there and nothing else."""
    there = sorted(each.name for each in folder.iterdir()) if folder.is_dir() else []
    if not there:
        return
    if FILE not in there:
        raise Conflict(
            "The folder holds something that is no demo clinic, and is left as it is",
            observed=f"{folder}: {', '.join(there[:5])}",
            next_step="Name another folder",
        )
    if not fresh:
        raise Conflict(
            "A demo clinic lies there already", observed=str(folder), next_step="Take it, or build it anew with --fresh"
        )
    for name in _OWN_FOLDERS:
        shutil.rmtree(folder / name, ignore_errors=True)
    for name in _OWN_FILES:
        (folder / name).unlink(missing_ok=True)


def _open_clinic(hands: Hands, sheet: Sheet) -> None:
    """People with their logins, the signed policy, consent forms, chairs, and where alerts go."""
    for each in STAFF:
        issued = people.add_person(hands.operator, each.login, name=each.name, roles=each.roles)
        login.begin_set_up(hands.store, issued.token)
        code = pyotp.TOTP(sheet.secret).at(int(hands.clock.now.timestamp()))
        login.finish_set_up(hands.store, issued.token, password=sheet.password, secret=sheet.secret, code=code)
    director = hands.desk("dina")
    if (lines := _LINES.get(sheet.time_zone)) is not None:
        policies.set_help_lines(director, lines)
    version = policies.draft(director, {}).id
    policies.sign(director, int(version.removeprefix("v")))
    for delivery in (Delivery.ESK, Delivery.IV):
        policies.publish_consent_form(director, delivery, version="2026-1")
    both = (Delivery.ESK, Delivery.IV)
    policies.set_help_lines(director, _HELP)
    policies.set_chairs(
        director, tuple(Chair(id=each, deliveries=both) for each in CHAIRS), capacity=len(CHAIRS), nurses=2
    )
    for role, address in ((Role.PRESCRIBER, "on-call@example.org"), (Role.NURSE, "nurses@example.org")):
        messages.set_route(hands.desk("adam"), role, Channel.EMAIL, address)
        code = _post(hands)[-1].text.split("The code is ")[1].split(".")[0]
        messages.confirm_route(hands.desk("adam"), role, code)


def _live_all(
    hands: Hands, drawn: Mapping[str, Course], patients: tuple[Patient, ...], told: Callable[[float], None]
) -> None:
    """Every story, interleaved by the clock, until now."""
    waiting: list[tuple[datetime, int, Iterator[datetime], random.Random]] = []
    turns = count()  # of two that come at once, who asked first

    def go_on(story: Iterator[datetime], chance: random.Random) -> None:
        hands.chance = chance
        at = next(story, None)
        if at is not None and at <= hands.now:
            heapq.heappush(waiting, (max(at, hands.clock.now), next(turns), story, chance))

    own = hands.chance
    for patient in patients:  # each with chances of its own, whoever else comes in between
        go_on(live(hands, patient, drawn[patient.name]), random.Random(f"{own.random()}/{patient.name}"))  # noqa: S311
    begun = hands.clock.now
    while waiting:
        at, _, story, chance = heapq.heappop(waiting)
        hands.clock.now = at
        told((at - begun) / (hands.now - begun))
        go_on(story, chance)
        if hands.raised:
            hands.raised = False
            go_on(_answer_alerts(hands), own)
    hands.clock.now = hands.now


def _answer_alerts(hands: Hands) -> Iterator[datetime]:
    """The alert's message leaves, and its owner reads, acts and closes; what is new today stays open."""
    yield hands.clock.now + timedelta(minutes=6)
    _post(hands)
    for each in measures.list_alerts(hands.desk("nora")).shown:
        alert = each.now
        open_for = _OPEN_HIGH if alert.priority is Priority.HIGH else _OPEN_OTHER
        if hands.now - alert.raised_at < open_for:
            continue
        desk = hands.desk(_OWNERS[alert.owner])
        read = measures.mark_read(desk, each.id, patient_id=alert.patient_id, version=each.version)
        acted = measures.act_upon(desk, each.id, action="called the patient; plan agreed", version=read.version)
        measures.close(desk, each.id, version=acted.version)


def _post(hands: Hands) -> tuple[OutgoingMessage, ...]:
    """What waits in the outbox leaves, as if a mail server had taken it."""
    desk = Desk(store=hands.store, actor=program(hands.clinic_id))
    taken = claim(desk)
    for each in taken:
        note(desk, each.id, None, version=each.version)
    return tuple(each.now for each in taken)
