"""Passes: what stands for a person where nobody logs in: links for patients, room screens, API tokens, set-ups.

A pass is unguessable, kept as a digest, good for one purpose, ends by itself, and can be taken back at any time. Its
token reads `CLINIC~ID~SECRET`; which part of one is wrong is never told.
"""

from __future__ import annotations

import hmac
import secrets
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

from afterglow.clinic import Diary, Role
from afterglow.errors import (
    Conflict,
    LoginRefused,
    MissingValue,
    NotFound,
    NotPermitted,
    OutOfRange,
    UnknownName,
    echo,
)
from afterglow.scales import instrument
from afterglow.store import facts
from afterglow.store.logins import end_sessions, keyed_digest
from afterglow.store.records import Store, Transaction, new_id
from afterglow.usecases.desk import CATALOGUE, covers, use_case, view
from afterglow.usecases.work import DIARY, STAFF, Actor, Work, Written

_SECRET_BYTES = 32
SEPARATOR = "~"


class PassKind(StrEnum):
    """What a pass is."""

    SET_UP = "set_up"
    LINK = "link"
    ROOM = "room"
    TOKEN = "token"  # noqa: S105  a word


LONGEST: dict[PassKind, timedelta] = {  # Assumption: our policy
    PassKind.SET_UP: timedelta(days=3),
    PassKind.LINK: timedelta(days=30),
    PassKind.ROOM: timedelta(days=366),
    PassKind.TOKEN: timedelta(days=366),
}


class Purpose(StrEnum):
    """What a patient's link is for: one thing each."""

    ANSWER_SCALE = "answer_scale"
    CHECK_IN = "check_in"
    SEE_PROGRESS = "see_progress"


OPENS: dict[Purpose, tuple[str, ...]] = {
    Purpose.ANSWER_SCALE: ("measures.answer", "measures.ask", "measures.tap", "contacts.stop"),
    Purpose.CHECK_IN: ("measures.check_in", "measures.ask", "measures.tap", "contacts.stop"),
    Purpose.SEE_PROGRESS: ("measures.progress", "measures.ask", "contacts.stop"),
}
"""The use cases of each purpose; any link can end messages."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pass:
    """A pass as it is kept; the secret itself is kept nowhere.

    Args:
        person_id: of a set-up, who sets up; of a token, who made it and whose roles it has at most.
        patient_id, purpose, about: of a link; `about` is the scale or session it is for.
        only: the use cases it is for.
        chairs: of a room screen; empty for all.
    """

    id: str
    kind: PassKind
    label: str
    digest: str = field(repr=False)
    roles: tuple[Role, ...]
    only: tuple[str, ...]
    issued_by: str
    issued_at: datetime
    expires_at: datetime
    person_id: str | None = None
    patient_id: str | None = None
    purpose: Purpose | None = None
    about: str | None = None
    chairs: tuple[str, ...] = ()
    used_at: datetime | None = None
    revoked_at: datetime | None = None

    def holds(self, at: datetime) -> bool:
        """Whether it is good at a time; a clock that stands behind the one it was made by takes nothing from it."""
        return self.revoked_at is None and self.used_at is None and at < self.expires_at


class LinkEnd(StrEnum):
    """Why a link opens nothing any more."""

    USED = "used"
    EXPIRED = "expired"
    REVOKED = "revoked"


@dataclass(frozen=True, slots=True, kw_only=True)
class Issued:
    """A new pass; `token` is shown once and never again.

    Args:
        url: where a patient's link leads, token and all; None for other passes, and without an address of the pages.
    """

    id: str
    expires_at: datetime
    token: str = field(repr=False)
    url: str | None = field(default=None, repr=False)


@use_case("passes.issue_link", roles=(Role.COORDINATOR, Role.NURSE, Role.PRESCRIBER, Role.THERAPIST, Role.SYSTEM))
def issue_link(work: Work, patient_id: str, purpose: Purpose, *, about: str | None = None, days: float = 3.0) -> Issued:
    """A link for a patient: one purpose, good for some days.

    Raises: OutOfRange over 30 days; MissingValue for a scale's link without its scale; UnknownName for no scale.
    """
    work.open_patient(patient_id)
    return issue_to(work, patient_id, purpose, about=about, days=days)


def issue_to(work: Work, patient_id: str, purpose: Purpose, *, about: str | None, days: float) -> Issued:
    """A link for a patient, within another use case; raises as `issue_link`."""
    if purpose is Purpose.ANSWER_SCALE and about is None:
        raise MissingValue("A link for a scale names the scale", about="about")
    if purpose is Purpose.ANSWER_SCALE and about is not None:
        about = instrument(about).id
    return issue(
        work,
        Pass(
            **_begun(work, PassKind.LINK, f"{purpose} {about or ''}".strip(), days=days),
            roles=(Role.PATIENT,),
            only=OPENS[purpose],
            patient_id=patient_id,
            purpose=purpose,
            about=about,
        ),
    )


@use_case("passes.issue_room", roles=(Role.ADMINISTRATOR,))
def issue_room(work: Work, label: str, *, chairs: Iterable[str] = (), days: float = 366.0) -> Issued:
    """A screen on a room's wall: sees initials and clocks, changes nothing.

    Raises: OutOfRange over 366 days; MissingValue without a label; UnknownName for a chair that the clinic has not.
    """
    begun, wanted = _begun(work, PassKind.ROOM, label, days=days), tuple(chairs)
    plan = work.find(Diary, DIARY)
    known = () if plan is None else tuple(each.id for each in plan.now.chairs)
    if unknown := [each for each in wanted if each not in known]:
        raise UnknownName(
            "The clinic has no such chair",
            observed=", ".join(echo(each) for each in unknown),
            allowed=", ".join(known) or "none: no chair is set yet",
            next_step="Choose the chairs by their ids",
            about="chairs",
        )
    return issue(work, Pass(**begun, roles=(Role.ROOM,), only=("rooms",), chairs=wanted))


@use_case("passes.issue_token", roles=(*STAFF, Role.RESEARCHER, Role.ADMINISTRATOR), signs=True)
def issue_token(work: Work, label: str, *, only: Iterable[str], days: float = 90.0) -> Issued:
    """An API token of the person who makes it: for the use cases named, with the person's roles at most.

    Raises: OutOfRange over 366 days; MissingValue without a label or use cases; UnknownName for what nobody does.
    """
    roles = tuple(each for each in work.actor.roles if each is not Role.SYSTEM)
    return token_of(work, work.actor.person_id, label, roles=roles, only=only, days=days)


@use_case("passes.revoke", roles=(Role.COORDINATOR, Role.NURSE, Role.PRESCRIBER, Role.THERAPIST))
def revoke_link(work: Work, pass_id: str) -> Written:
    """Take a patient's link back, and end what it opened.

    Raises: NotFound for anything but a link.
    """
    loaded = work.load(Pass, pass_id)
    if loaded.now.kind is not PassKind.LINK:
        raise NotFound("There is no such link", observed=pass_id)
    return _revoke(work, pass_id)


@use_case("passes.revoke_device", roles=(*STAFF, Role.RESEARCHER, Role.ADMINISTRATOR))
def revoke_device(work: Work, pass_id: str) -> Written:
    """Take a token, a room screen or a set-up back: one's own, or any by the administrator.

    Raises: NotFound for a link; NotPermitted for somebody else's.
    """
    found = work.load(Pass, pass_id).now
    if found.kind is PassKind.LINK:
        raise NotFound("There is no such token or screen", observed=pass_id)
    if not work.actor.has(Role.ADMINISTRATOR) and found.person_id != work.actor.person_id:
        raise NotPermitted("The token is somebody else's", next_step="Ask the administrator")
    return _revoke(work, pass_id)


@view("passes.list_links", roles=(Role.COORDINATOR, Role.NURSE, Role.PRESCRIBER, Role.THERAPIST))
def list_links(work: Work, patient_id: str) -> tuple[Pass, ...]:
    """A patient's links, used and ended ones too; never what they are checked against."""
    work.open_patient(patient_id)
    return tuple(replace(each.now, digest="") for each in work.every(Pass, patient_id=patient_id))


@view("passes.list_devices", roles=(Role.ADMINISTRATOR, Role.COMPLIANCE))
def list_devices(work: Work) -> tuple[Pass, ...]:
    """Every token, room screen and set-up; no patient's link, and never what they are checked against."""
    return tuple(replace(each.now, digest="") for each in work.every(Pass) if each.now.kind is not PassKind.LINK)


def issue(work: Work, made: Pass) -> Issued:
    """Keep a new pass, and give its token."""
    secret = secrets.token_urlsafe(_SECRET_BYTES)
    kept = replace(made, digest=_digest(work.tx.store, work.actor.clinic_id, made.id, secret))
    work.add(kept, id=kept.id, patient_id=kept.patient_id, state="good", due_at=kept.expires_at)
    work.about(patient_id=kept.patient_id, subject=kept.id, pass_kind=kept.kind.value)
    token = SEPARATOR.join((work.actor.clinic_id, kept.id, secret))
    pages = work.tx.store.public_url if kept.kind is PassKind.LINK else None
    url = None if pages is None else link_address(pages, token)
    return Issued(id=kept.id, expires_at=kept.expires_at, token=token, url=url)


def token_of(
    work: Work, person_id: str, label: str, *, roles: tuple[Role, ...], only: Iterable[str], days: float
) -> Issued:
    """A token of a person or a service, for the use cases or groups named.

    Raises: as `issue_token`; NotPermitted for what none of the roles may use.
    """
    named = tuple(dict.fromkeys(only))
    if not named:
        raise MissingValue("A token names what it is for", next_step="Name use cases or groups of them", about="only")
    known = {*CATALOGUE, *(each.partition(".")[0] for each in CATALOGUE)}
    if wrong := [each for each in named if each not in known]:
        raise UnknownName(
            "Nobody does this here",
            observed=", ".join(map(echo, wrong)),
            allowed='a use case ("measures.record") or a group of them ("measures")',
            next_step="See docs/reference/api.md",
            about="only",
        )
    may = {case.name for case in CATALOGUE.values() if set(roles).intersection(case.roles)}
    signed = {case.name for case in CATALOGUE.values() if case.signs}  # by people with roles of their own
    if idle := [each for each in named if not any(covers(each, name) for name in may | signed)]:
        raise NotPermitted(
            f"No role of {person_id} may use this, so a token for it would do nothing",
            observed=f"{', '.join(idle)}, with the roles {', '.join(roles)}",
            allowed=", ".join(sorted({name.partition(".")[0] for name in may})),
            next_step="Name what the roles may use",
            about="only",
        )
    return issue(
        work, Pass(**_begun(work, PassKind.TOKEN, label, days=days), roles=roles, only=named, person_id=person_id)
    )


def set_up_pass(work: Work, person_id: str) -> Issued:
    """What a new person, or one who lost password or phone, sets up the login with; an earlier one ends."""
    for each in work.every(Pass, states=("good",)):
        if each.now.kind is PassKind.SET_UP and each.now.person_id == person_id:
            _revoke(work, each.id)
    begun = _begun(work, PassKind.SET_UP, person_id, days=LONGEST[PassKind.SET_UP] / timedelta(days=1))
    return issue(work, Pass(**begun, roles=(), only=(), person_id=person_id))


def open_pass(store: Store, token: str, *kinds: PassKind) -> tuple[str, Pass]:
    """The clinic and the pass of a token that holds now.

    Raises: LoginRefused, always with the same words and after the same work.
    """
    clinic_id, pass_id, secret = _split(token)
    digest = _digest(store, clinic_id, pass_id, secret)
    found = None
    if any(each.id == clinic_id for each in store.clinics()):
        with store.read(clinic_id) as tx:
            found = find_pass(tx, pass_id)
    same = hmac.compare_digest(digest, found.digest if found else "0" * len(digest))
    if found is None or not same or found.kind not in kinds or not found.holds(store.clock()):
        raise refused()
    return clinic_id, found


def find_pass(tx: Transaction, pass_id: str) -> Pass | None:
    """A pass by its id; None if there is none, or its patient is erased."""
    try:
        return facts.load(tx, Pass, pass_id).now
    except NotFound:
        return None


def actor_of(clinic_id: str, found: Pass, *, roles: Iterable[Role] | None = None) -> Actor:
    """Who acts by a pass; `roles` are the ones that the person behind a token has now.

    By a token its person acts, so that nobody is a second person to the own tokens.
    """
    held = found.roles if roles is None else tuple(each for each in found.roles if each in set(roles))
    token = found.kind is PassKind.TOKEN and found.person_id is not None
    return Actor(
        person_id=str(found.person_id) if token else f"{found.kind}:{found.id}",
        roles=held,
        clinic_id=clinic_id,
        patient_id=found.patient_id,
        only=found.only,
        through=found.id if token else None,
    )


def take_back(work: Work, pass_id: str) -> None:
    """Take a link back that may be used or taken back already, within another use case."""
    found = work.find(Pass, pass_id)
    if found is not None and found.state == "good":
        _revoke(work, pass_id)


def link_address(pages: str, token: str) -> str:
    """Where a link leads: its token stands behind the #, which no browser sends and no log sees.

    >>> link_address("https://clinic.example/", "north~1~secret")
    'https://clinic.example/link#north~1~secret'
    """
    return f"{pages.rstrip('/')}/link#{token}"


def spend(work: Work) -> None:
    """What a link was for is done: it opens nothing more."""
    kind, _, pass_id = work.actor.person_id.partition(":")
    if kind == PassKind.LINK:
        loaded = work.load(Pass, pass_id)
        work.change(loaded, replace(loaded.now, used_at=work.now), state="used")
        end_sessions(work.tx, work.actor.person_id)


def link_of(work: Work) -> Pass:
    """The link by which a patient is here.

    Raises: NotPermitted for whoever has no link.
    """
    kind, _, pass_id = work.actor.person_id.partition(":")
    if kind != PassKind.LINK:
        raise NotPermitted("This is for a patient's link")
    return work.load(Pass, pass_id).now


def why_ended(store: Store, token: str) -> tuple[str, LinkEnd | Pass] | None:
    """The clinic of a link's token, and the link itself, or why it has ended; None for a token that never was one.

    Only who holds the whole token is told, so nobody learns of links by guessing.
    """
    try:
        clinic_id, pass_id, secret = _split(token)
    except LoginRefused:
        return None
    digest = _digest(store, clinic_id, pass_id, secret)
    if not any(each.id == clinic_id for each in store.clinics()):
        return None
    with store.read(clinic_id) as tx:
        found, now = find_pass(tx, pass_id), tx.now
    if found is None or found.kind is not PassKind.LINK or not hmac.compare_digest(digest, found.digest):
        return None
    if found.holds(now):
        return clinic_id, found
    ended = LinkEnd.REVOKED if found.revoked_at else LinkEnd.USED if found.used_at else LinkEnd.EXPIRED
    return clinic_id, ended


def purpose_of(work: Work, patient_id: str, about: str) -> None:
    """Refuse a link that is for something else; nothing to do for whoever has no link.

    Raises: NotPermitted.
    """
    kind, _, pass_id = work.actor.person_id.partition(":")
    if kind == PassKind.LINK:
        found = work.load(Pass, pass_id).now
        if found.about not in {None, about} or found.patient_id != patient_id:
            raise NotPermitted("The link is for something else", next_step="Ask the clinic for a new link")


def refused() -> LoginRefused:
    """One answer for every reason."""
    return LoginRefused("This link, token or screen does not hold", next_step="Ask the clinic for a new one")


def _begun(work: Work, kind: PassKind, label: str, *, days: float) -> dict[str, Any]:
    if not label.strip():
        raise MissingValue("A pass needs a label", about="label")
    longest = LONGEST[kind] / timedelta(days=1)
    if not 0 < days <= longest:
        raise OutOfRange("The days are refused", observed=f"{days:g} days", allowed=f"over 0 to {longest:g} days")
    return {
        "id": new_id(),
        "kind": kind,
        "label": label.strip()[:80],
        "digest": "",
        "issued_by": work.actor.person_id,
        "issued_at": work.now,
        "expires_at": work.now + timedelta(days=days),
    }


def _revoke(work: Work, pass_id: str) -> Written:
    loaded = work.load(Pass, pass_id)
    if loaded.now.revoked_at is not None:
        raise Conflict("It was taken back already", observed=pass_id)
    end_sessions(work.tx, f"{loaded.now.kind}:{pass_id}")
    return work.change(loaded, replace(loaded.now, revoked_at=work.now), state="revoked")


def _digest(store: Store, clinic_id: str, pass_id: str, secret: str) -> str:
    return keyed_digest(store, clinic_id, "passes", f"{pass_id}{SEPARATOR}{secret}")


def _split(token: str) -> tuple[str, str, str]:
    parts = token.split(SEPARATOR)
    if len(parts) != 3 or not all(0 < len(part) <= 64 and part.isascii() and part.isprintable() for part in parts):
        raise refused()
    return parts[0], parts[1], parts[2]
