"""Messages out: written in the transaction that causes them, sent afterwards, tried again, and never silent about it.

A message names no patient: it says that something waits in the clinic's own screens. An address counts once somebody
has shown that what is sent there arrives; an alert whose owner has no such address says so. Links for patients are made
when a message leaves, so that their secrets lie nowhere.
"""

from __future__ import annotations

import hmac
import secrets
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from enum import StrEnum
from hashlib import sha256
from urllib.parse import urlsplit

from afterglow.clinic import ClinicAlert, Role
from afterglow.errors import Conflict, InputError, NotPermitted, OutOfRange, echo
from afterglow.store import facts
from afterglow.store.records import Store
from afterglow.usecases.desk import Desk, use_case, view
from afterglow.usecases.passes import Purpose, issue_to, link_address, take_back
from afterglow.usecases.work import CARE, Loaded, Work, Written, program

OWNERS = (Role.NURSE, Role.PRESCRIBER, Role.MEDICAL_DIRECTOR)
NO_ROUTE = "No route is confirmed: nobody is told outside this screen"
LEASE = timedelta(minutes=5)  # Assumption: a sender that is silent for so long has died
MOST_TRIES = 12  # policy: with the waits below, about seven hours
LONGEST_WAIT = timedelta(hours=1)
CODE_TRIES = 5  # policy: a code of eight digits is then guessed once in twenty million
_CODE_DIGITS = 8
LINKS = "{links}"
"""Where the links of a message stand in its text."""
NO_PAGES = "the address of the pages is not set"
LINK_DAYS = 3.0


class Channel(StrEnum):
    """How a message leaves."""

    EMAIL = "email"
    WEBHOOK = "webhook"


class Delivery(StrEnum):
    """Where a message is.

    sent: the next server took it, which is not that somebody read it; dropped: the patient said no before it left.
    """

    WAITING = "waiting"
    SENDING = "sending"
    SENT = "sent"
    FAILED = "failed"
    DROPPED = "dropped"


@dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    """Where alerts of a role go.

    Args:
        code_digest: of the code that was sent there; None once it is confirmed.
        wrong_codes: given since the code was sent.
    """

    role: Role
    channel: Channel
    address: str
    set_by: str
    code_digest: str | None
    wrong_codes: int = 0
    confirmed_at: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class LinkWanted:
    """What a link in a message is for; `about` is the scale or session."""

    purpose: Purpose
    about: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class OutgoingMessage:
    """A message and what became of it; the next server may get it twice after a crash, with the same id.

    Args:
        about: id of what it is about.
        text: with `{links}` where its links come.
        links: what its links are for; passes: ids of the ones that its last try holds.
        fault: why the last try failed, in words that name nobody.
    """

    about: str
    channel: Channel
    address: str = field(repr=False)
    subject: str
    text: str = field(repr=False)
    made_at: datetime
    links: tuple[LinkWanted, ...] = ()
    passes: tuple[str, ...] = ()
    tries: int = 0
    fault: str | None = None
    sent_at: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class AlertDelivery:
    """What became of the messages of an alert, in words, the latest owner last."""

    role: Role
    state: Delivery | None
    words: str


@dataclass(frozen=True, slots=True, kw_only=True)
class MessageLine:
    """One message as those see it who keep messages going: no patient, no text, no address.

    Args:
        to: "patient", else the role that it is for.
        due_at: of the next try; None where none is planned.
        again: whether it may be tried again by hand.
    """

    id: str
    to: str
    channel: Channel
    state: Delivery
    made_at: datetime
    due_at: datetime | None
    sent_at: datetime | None
    tries: int
    fault: str | None
    again: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class RouteLine:
    """Where alerts of a role go; no channel and no address where nobody set one."""

    role: Role
    channel: Channel | None = None
    address: str = ""
    confirmed_at: datetime | None = None
    wrong_codes: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Post:
    """Where alerts go, and what became of messages, newest first."""

    routes: tuple[RouteLine, ...]
    messages: tuple[MessageLine, ...]
    counts: tuple[tuple[Delivery, int], ...]


Send = Callable[[str, OutgoingMessage], str | None]
"""Sends a message of an id; why it did not go, None if it went."""


@use_case("messages.set_route", roles=(Role.ADMINISTRATOR, Role.MEDICAL_DIRECTOR))
def set_route(work: Work, role: Role, channel: Channel, address: str) -> Written:
    """Where alerts of a role are to go; a code is sent there, and the route counts once it is given back.

    Raises: OutOfRange for a role that owns no alerts; InputError for an address that cannot be one.
    """
    if role not in OWNERS:
        raise OutOfRange("This role owns no alerts", observed=role, allowed=", ".join(OWNERS))
    _check_address(channel, address)
    code = "".join(secrets.choice("0123456789") for _ in range(_CODE_DIGITS))
    route = Route(
        role=role,
        channel=channel,
        address=address,
        set_by=work.actor.person_id,
        code_digest=sha256(code.encode()).hexdigest(),
    )
    known = work.find(Route, role)
    written = work.add(route, id=role) if known is None else work.change(known, route)
    work.about(subject=role, channel=channel)
    text = f"The code is {code}. Give it back in Afterglow, so that alerts for the role {role} come here."
    _queue(work, f"route.{role}.{written.version}", route, "Afterglow: confirm this address", text)
    return written


@use_case("messages.confirm_route", roles=(Role.ADMINISTRATOR, Role.MEDICAL_DIRECTOR))
def confirm_route(work: Work, role: Role, code: str) -> Written:
    """The code that arrived is given back: from now on alerts of the role go there.

    `state` tells what came of it: "confirmed", or "refused", since a wrong code is counted.

    Raises: NotFound; NotPermitted after too many wrong codes.
    """
    loaded = work.load(Route, role)
    route = loaded.now
    if route.wrong_codes >= CODE_TRIES:
        raise NotPermitted("Too many wrong codes", next_step="Set the route again: a new code is sent")
    digest = sha256(code.encode()).hexdigest()
    right = route.code_digest is not None and hmac.compare_digest(digest, route.code_digest)
    work.about(confirmed=right)
    if not right:
        return replace(work.change(loaded, replace(route, wrong_codes=route.wrong_codes + 1)), state="refused")
    return work.change(loaded, replace(route, code_digest=None, confirmed_at=work.now), state="confirmed")


@view("messages.of_alert", roles=(*CARE, Role.COORDINATOR))
def of_alert(work: Work, alert_id: str) -> tuple[AlertDelivery, ...]:
    """Whether the owners of an alert were told, and where not, why.

    Raises: NotFound.
    """
    alert = work.load(ClinicAlert, alert_id).now
    roles = (*alert.escalations, alert.owner)
    return tuple(_delivery(work, _alert_message(alert_id, n), role) for n, role in enumerate(roles))


@view("messages.list", roles=(Role.ADMINISTRATOR, Role.MEDICAL_DIRECTOR))
def list_messages(work: Work, *, most: int = 100) -> Post:
    """Where alerts go, and what became of messages; it names no patient and shows no text.

    Raises: OutOfRange for more than 500.
    """
    if not 1 <= most <= 500:
        raise OutOfRange("The list's length is refused", observed=str(most), allowed="1 to 500")
    routes = {each.now.role: each.now for each in work.every(Route)}
    known = [head for head in facts.load_all(work.tx, OutgoingMessage) if head.now is not None]
    lines = [_line(head, head.now, set(routes)) for head in known if head.now is not None]
    lines.sort(key=lambda each: (each.made_at, each.id), reverse=True)
    states = [each.state for each in lines]
    return Post(
        routes=tuple(_route_line(role, routes.get(role)) for role in OWNERS),
        messages=tuple(lines[:most]),
        counts=tuple((state, states.count(state)) for state in Delivery if state in states),
    )


@use_case("messages.retry", roles=(Role.ADMINISTRATOR, Role.MEDICAL_DIRECTOR))
def retry(work: Work, message_id: str) -> Written:
    """Send a message that was given up once more, with all its tries before it.

    Raises: NotFound; Conflict for one that was not given up; NotPermitted for one to a patient, who may have said no
        since: reminders are made anew by themselves.
    """
    loaded = work.load(OutgoingMessage, message_id)
    work.about(subject=message_id)
    if loaded.now.links:
        raise NotPermitted("A message to a patient is not sent by hand", next_step="Reminders are made anew")
    if loaded.state != Delivery.FAILED:
        raise Conflict("The message was not given up", observed=str(loaded.state))
    return work.change(loaded, replace(loaded.now, tries=0), state=Delivery.WAITING, due_at=work.now)


def _line(head: facts.Head[OutgoingMessage], message: OutgoingMessage, roles: set[Role]) -> MessageLine:
    state = Delivery(head.state or Delivery.WAITING)
    return MessageLine(
        id=head.id,
        to="patient" if message.links else next((r for r in roles if head.id.startswith(f"route.{r}.")), "an owner"),
        channel=message.channel,
        state=state,
        made_at=message.made_at,
        due_at=head.due_at if state in {Delivery.WAITING, Delivery.SENDING} else None,
        sent_at=message.sent_at,
        tries=message.tries,
        fault=message.fault,
        again=state is Delivery.FAILED and not message.links,
    )


def _route_line(role: Role, route: Route | None) -> RouteLine:
    if route is None:
        return RouteLine(role=role)
    return RouteLine(
        role=role,
        channel=route.channel,
        address=route.address,
        confirmed_at=route.confirmed_at,
        wrong_codes=route.wrong_codes,
    )


def tell_owner(work: Work, alert: ClinicAlert) -> None:
    """Queue the message to the owner of an alert, in the transaction that raised or escalated it.

    As it is raised, the roles that it informs are told as well.
    """
    for role in (alert.owner, *(() if alert.escalations else alert.informs)):
        known = work.find(Route, role)
        if known is None or known.now.confirmed_at is None:
            continue
        text = (
            f"An alert of priority {alert.priority} waits for the role {alert.owner}.\n"
            f"Respond by {alert.respond_by:%Y-%m-%d %H:%M} UTC. Open Afterglow to read it."
        )
        subject = f"Afterglow: alert, priority {alert.priority}"
        step = _alert_message(alert.id, len(alert.escalations))
        message_id = step if role is alert.owner else f"{step}.{role}"
        _queue(work, message_id, known.now, subject, text, patient_id=alert.patient_id)


@use_case("messages.claim", roles=(Role.SYSTEM,))
def claim(work: Work, *, pages: str | None = None) -> tuple[Loaded[OutgoingMessage], ...]:
    """Messages that are to be sent now, links and all; nobody else sends them for five minutes.

    Links stand in what is given back alone. Those of an earlier try are taken back.

    Args:
        work: of the program.
        pages: address of the pages that links lead to; None leaves links out, and the message does not go.
    """
    states = (Delivery.WAITING, Delivery.SENDING)
    due = work.every(OutgoingMessage, states=states, due_until=work.now)
    taken = []
    for each in due:
        addresses, passes = _new_links(work, each, pages) if each.now.links and pages is not None else ((), ())
        now = replace(each.now, tries=each.now.tries + 1, passes=passes)
        written = work.change(each, now, state=Delivery.SENDING, due_at=work.now + LEASE)
        complete = replace(now, text=now.text.replace(LINKS, "\n".join(addresses)))
        taken.append(replace(each, now=complete, version=written.version, state=Delivery.SENDING))
    work.about(messages=len(taken))
    return tuple(taken)


@use_case("messages.note", roles=(Role.SYSTEM,))
def note(work: Work, message_id: str, fault: str | None, *, version: int) -> Written:
    """What became of a try: sent, to be tried again later, or given up.

    Raises: Conflict if somebody else took the message meanwhile.
    """
    loaded = work.load(OutgoingMessage, message_id, version=version)
    message = loaded.now
    if fault is None:
        return work.change(loaded, replace(message, fault=None, sent_at=work.now), state=Delivery.SENT)
    failed = replace(message, fault=fault)
    if message.tries >= MOST_TRIES:
        return work.change(loaded, failed, state=Delivery.FAILED)
    return work.change(loaded, failed, state=Delivery.WAITING, due_at=work.now + wait_after(message.tries))


def wait_after(tries: int) -> timedelta:
    """How long until the next try: a minute, then twice as long each time, an hour at most.

    >>> [int(wait_after(n).total_seconds()) // 60 for n in (1, 2, 3, 7, 12)]
    [1, 2, 4, 60, 60]
    """
    return min(timedelta(minutes=2 ** (tries - 1)), LONGEST_WAIT)


def send_due(store: Store, clinic_id: str, send: Send, *, pages: str | None = None) -> int:
    """Send what is due in a clinic; how many went. No transaction is open while a message is under way."""
    with store.read(clinic_id) as tx:
        states = (Delivery.WAITING, Delivery.SENDING)
        if not facts.load_all(tx, OutgoingMessage, states=states, due_until=tx.now):
            return 0
    desk = Desk(store=store, actor=program(clinic_id))
    sent = 0
    for each in claim(desk, pages=pages):
        fault = NO_PAGES if each.now.links and pages is None else send(each.id, each.now)
        with suppress(Conflict):  # another sender took it after the lease, or the patient was erased meanwhile
            note(desk, each.id, fault, version=each.version)
            sent += fault is None
    return sent


def queue_to_patient(
    work: Work,
    message_id: str,
    *,
    patient_id: str,
    address: str,
    subject: str,
    text: str,
    links: tuple[LinkWanted, ...],
) -> Written:
    """Queue a message to a patient by mail, in the transaction that decides it."""
    message = OutgoingMessage(
        about=message_id,
        channel=Channel.EMAIL,
        address=address,
        subject=subject,
        text=text,
        made_at=work.now,
        links=links,
    )
    return work.add(message, id=message_id, patient_id=patient_id, state=Delivery.WAITING, due_at=work.now)


def drop_waiting(work: Work, patient_id: str) -> int:
    """Drop what waits to be sent to a patient, and take back the links of a try that may be under way; how many."""
    states = (Delivery.WAITING, Delivery.SENDING)
    found = [each for each in work.every(OutgoingMessage, patient_id=patient_id, states=states) if each.now.links]
    for each in found:
        for pass_id in each.now.passes:
            take_back(work, pass_id)
        work.change(each, each.now, state=Delivery.DROPPED)
    return len(found)


def _new_links(work: Work, message: Loaded[OutgoingMessage], pages: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The addresses of a message's links, and the ids of their passes; each is told in the trail by itself."""
    patient_id, made = str(message.patient_id), []
    for pass_id in message.now.passes:
        take_back(work, pass_id)
    for each in message.now.links:
        made.append(issue_to(work, patient_id, each.purpose, about=each.about, days=LINK_DAYS))
        work.tx.event("passes.issue_link", patient_id=patient_id, subject=made[-1].id, purpose=each.purpose.value)
    work.patient_id = work.subject = None  # the claim itself is about many messages
    work.detail.clear()
    return tuple(link_address(pages, each.token) for each in made), tuple(each.id for each in made)


def _queue(
    work: Work, message_id: str, route: Route, subject: str, text: str, *, patient_id: str | None = None
) -> None:
    message = OutgoingMessage(
        about=message_id,
        channel=route.channel,
        address=route.address,
        subject=subject,
        text=text,
        made_at=work.now,
    )
    work.add(message, id=message_id, patient_id=patient_id, state=Delivery.WAITING, due_at=work.now)


def _alert_message(alert_id: str, step: int) -> str:
    return sha256(f"{alert_id}/{step}".encode()).hexdigest()[:32]


def _delivery(work: Work, message_id: str, role: Role) -> AlertDelivery:
    found = work.find(OutgoingMessage, message_id)
    if found is None:
        return AlertDelivery(role=role, state=None, words=NO_ROUTE)
    message, state = found.now, Delivery(found.state or Delivery.WAITING)
    if state is Delivery.SENT:
        words = f"Handed to the {message.channel} server; whether it was read is not known"
    elif state is Delivery.FAILED:
        words = f"Given up after {message.tries} tries: {message.fault}"
    else:
        words = f"Not sent yet, {message.tries} tries: {message.fault}" if message.fault else "Not sent yet"
    return AlertDelivery(role=role, state=state, words=words)


def _check_address(channel: Channel, address: str) -> None:
    plain = address.isascii() and address.isprintable() and " " not in address and len(address) <= 200
    name, at, domain = address.rpartition("@")
    if channel is Channel.EMAIL:
        fits = bool(at and name and domain) and not set(address) & set(',;:<>()[]\\"')
    else:
        fits = not at and _is_web(address)
    if not (plain and fits):
        raise InputError(
            "The address is refused",
            observed=echo(address),
            allowed="name@domain, or https://... without a password in it",
        )


def _is_web(address: str) -> bool:
    try:
        place = urlsplit(address)
        place.port  # noqa: B018  raises where it is none
    except ValueError:
        return False
    return bool(place.hostname) and (
        place.scheme == "https" or (place.scheme == "http" and place.hostname in {"127.0.0.1", "localhost"})
    )
