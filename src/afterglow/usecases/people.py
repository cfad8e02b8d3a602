"""People: who works here, as what; charts that are open to a team alone; who broke the glass; who saw whom."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from afterglow.clinic import Role
from afterglow.errors import Conflict, InputError, MissingValue, NotFound, NotPermitted, OutOfRange, echo
from afterglow.store import facts
from afterglow.store.audit import AuditEvent, last_events, who
from afterglow.store.logins import drop_credentials, end_sessions
from afterglow.store.records import Transaction
from afterglow.usecases.desk import use_case, view
from afterglow.usecases.passes import Issued, Pass, set_up_pass, token_of
from afterglow.usecases.work import CARE, STAFF, BrokenGlass, Loaded, PatientAccess, Work, Written

_LOGIN = re.compile(r"[a-z][a-z0-9]*([.-][a-z0-9]+)*")
_RESERVED = {"program", "operator", "demo", "import"}
GLASS_FOR = timedelta(minutes=60)  # Assumption: our policy
LOGIN_ROLES = (*STAFF, Role.RESEARCHER, Role.ADMINISTRATOR)


@dataclass(frozen=True, slots=True, kw_only=True)
class Person:
    """Somebody who works here; `login` is theirs for good and stands in the records.

    Args:
        left_at: None while they work here.
        service: another system in the place of a person: it has tokens alone, never a login, and cannot sign.
    """

    login: str
    name: str
    roles: tuple[Role, ...]
    added_at: datetime
    left_at: datetime | None = None
    service: bool = False


@use_case("people.add", roles=(Role.ADMINISTRATOR,))
def add_person(work: Work, login: str, *, name: str, roles: Iterable[Role]) -> Issued:
    """A new person, and the token with which they set up their login.

    Raises: InputError for a login of another form; Conflict for one that is or was somebody's; MissingValue without
        name or role; NotPermitted for roles that do not go together.
    """
    person = _new(work, login, name, roles)
    work.add(person, id=person.login, state="active")
    return set_up_pass(work, person.login)


@use_case("people.add_service", roles=(Role.ADMINISTRATOR,))
def add_service(work: Work, login: str, *, name: str, roles: Iterable[Role]) -> Written:
    """Another system that works here by tokens alone; the records name it as they name a person.

    Raises: as `add_person`.
    """
    person = _new(work, login, name, roles, service=True)
    return work.add(person, id=person.login, state="active")


@use_case("people.issue_token", roles=(Role.ADMINISTRATOR,))
def issue_service_token(work: Work, login: str, label: str, *, only: Iterable[str], days: float = 90.0) -> Issued:
    """An API token of a service; a person makes the own tokens, and nobody else's.

    Raises: NotFound; NotPermitted for a person; OutOfRange, MissingValue, UnknownName.
    """
    person = work.load(Person, login).now
    if not person.service or person.left_at is not None:
        raise NotPermitted(
            "Tokens are made for services alone",
            observed=f"{person.login}, who has left" if person.left_at else f"{person.login}, a person",
            next_step="The person makes the token, with password and code",
        )
    return token_of(work, person.login, label, roles=person.roles, only=only, days=days)


@use_case("people.set_roles", roles=(Role.ADMINISTRATOR,))
def set_roles(work: Work, login: str, *, roles: Iterable[Role], version: int) -> Written:
    """Other roles for a person; logins that go on have them at once.

    Raises: NotFound, Conflict; NotPermitted for one's own.
    """
    loaded = _other(work, login, version)
    person = replace(loaded.now, roles=_checked(roles))
    work.about(subject=loaded.id, roles=",".join(person.roles))
    return work.change(loaded, person, state="active")


@use_case("people.leave", roles=(Role.ADMINISTRATOR,))
def leave(work: Work, login: str, *, version: int) -> Written:
    """Somebody leaves: credentials, sessions and tokens end; what they did stays theirs.

    Raises: NotFound, Conflict; NotPermitted for oneself.
    """
    loaded = _other(work, login, version)
    drop_credentials(work.tx, loaded.id)
    for each in work.every(Pass, states=("good",)):
        if each.now.person_id == loaded.id:
            work.change(each, replace(each.now, revoked_at=work.now), state="revoked")
    work.about(subject=loaded.id)
    return work.change(loaded, replace(loaded.now, left_at=work.now), state="left")


@use_case("people.reset", roles=(Role.ADMINISTRATOR,))
def reset(work: Work, login: str, *, version: int) -> Issued:
    """A new set-up for who lost password, phone and recovery codes; what they had holds no more.

    Raises: NotFound, Conflict; NotPermitted for oneself and for a service.
    """
    loaded = _other(work, login, version)
    if loaded.now.service:
        raise NotPermitted("A service has no login", observed=loaded.id, next_step="Make it a new token")
    drop_credentials(work.tx, loaded.id)
    return set_up_pass(work, loaded.id)


@use_case("people.end_sessions", roles=(Role.ADMINISTRATOR,))
def end_sessions_of(work: Work, login: str) -> Written:
    """End all of a person's sessions; they may log in again.

    Raises: NotFound.
    """
    loaded = work.load(Person, login)
    work.about(subject=loaded.id, sessions=end_sessions(work.tx, loaded.id))
    return Written(id=loaded.id, version=loaded.version, state=loaded.state)


@view("people.list", roles=LOGIN_ROLES)
def list_people(work: Work) -> tuple[tuple[Person, int], ...]:
    """Who works here or did, with the version of each."""
    found = sorted(work.every(Person), key=lambda each: each.id)
    return tuple((each.now, each.version) for each in found)


def names_of(work: Work) -> dict[str, str]:
    """How everybody who works or worked here is called, by login."""
    return {each.id: each.now.name for each in work.every(Person)}


@use_case("people.restrict_chart", roles=(Role.COMPLIANCE, Role.MEDICAL_DIRECTOR))
def restrict_chart(work: Work, patient_id: str, *, team: Iterable[str]) -> Written:
    """Open a patient's chart to a team alone; no team opens it to everybody again.

    Raises: NotFound for a login that nobody has.
    """
    people = tuple(dict.fromkeys(team))
    for login in people:
        if work.find(Person, login) is None:
            raise NotFound("Nobody has this login", observed=login)
    work.about(patient_id=patient_id, subject=patient_id, restricted=bool(people))
    access = PatientAccess(patient_id=patient_id, restricted=bool(people), team=people)
    state = "restricted" if people else "open"
    try:
        head = facts.load(work.tx, PatientAccess, patient_id)
    except NotFound:
        return work.add(access, id=patient_id, patient_id=patient_id, state=state)
    version = facts.save(
        work.tx, access, id=patient_id, version=head.version, patient_id=patient_id, state=state
    )  # past the wall: compliance sets it without seeing the chart
    return Written(id=patient_id, version=version, state=state)


@use_case("people.break_glass", roles=CARE)
def break_glass(work: Work, patient_id: str, *, reason: str) -> Written:
    """Open a restricted chart for an hour, with a reason that compliance reads.

    Raises: MissingValue without a reason; Conflict for a chart that is open anyway.
    """
    if len(reason.strip()) < 8:
        raise MissingValue("Breaking the glass needs a reason", next_step="Say why, in a sentence", about="reason")
    if patient_id not in work.hidden:
        raise Conflict("The chart is open to this person", observed=patient_id)
    broken = BrokenGlass(
        id=f"{work.actor.person_id}:{work.now:%Y%m%d%H%M%S}"[:64],
        patient_id=patient_id,
        by=work.actor.person_id,
        reason=reason.strip(),
        at=work.now,
        until=work.now + GLASS_FOR,
    )
    version = facts.save(
        work.tx, broken, id=broken.id, version=0, patient_id=patient_id, state="broken", due_at=broken.until
    )
    work.about(patient_id=patient_id, subject=broken.id)
    return Written(id=broken.id, version=version, state="broken")


@view("people.broken_glass", roles=(Role.COMPLIANCE, Role.MEDICAL_DIRECTOR))
def list_broken_glass(work: Work) -> tuple[BrokenGlass, ...]:
    """Who broke the glass, when, why; newest first."""
    found = [head.now for head in facts.load_all(work.tx, BrokenGlass) if head.now is not None]
    return tuple(sorted(found, key=lambda each: each.at, reverse=True))


@view("audit.who", roles=(Role.COMPLIANCE,))
def who_saw_patient(work: Work, patient_id: str) -> tuple[AuditEvent, ...]:
    """Everything that anybody did or saw of a patient, oldest first.

    Raises: NotFound for a patient of whom no event tells.
    """
    work.about(patient_id=patient_id)
    if not patient_id.isprintable() or not (found := who(work.tx, patient_id)):
        raise NotFound("The audit trail knows no such patient", observed=echo(patient_id))
    return found


@view("audit.events", roles=(Role.COMPLIANCE,))
def read_trail(work: Work, *, after: int = 0, most: int = 200) -> tuple[AuditEvent, ...]:
    """A page of the audit trail, after an event's number.

    Raises: OutOfRange for a page over 500.
    """
    if not 1 <= most <= 500:
        raise OutOfRange("The page's length is refused", observed=str(most), allowed="1 to 500")
    return last_events(work.tx, after=after, most=most)


def find_person(tx: Transaction, login: str) -> Person | None:
    """Who has a login and works here."""
    try:
        found = facts.load(tx, Person, login.strip().lower()).now
    except NotFound:
        return None
    return found if found is not None and found.left_at is None else None


def check_login(login: str) -> str:
    """The login as it is kept: small letters.

    Raises: InputError.

    >>> check_login("Anna.Meier")
    'anna.meier'
    """
    normal = login.strip().lower()
    if not is_login(normal) or normal in _RESERVED:
        raise InputError(
            "The login is refused", allowed="2 to 40 of a-z 0-9 . -, from a letter on, none of Afterglow's own words"
        )
    return normal


def is_login(text: str) -> bool:
    """Whether a text has the form of a login."""
    return 2 <= len(text) <= 40 and _LOGIN.fullmatch(text) is not None


def _new(work: Work, login: str, name: str, roles: Iterable[Role], *, service: bool = False) -> Person:
    normal = check_login(login)
    if not name.strip():
        raise MissingValue("A person needs a name", about="name")
    if work.find(Person, normal) is not None:
        raise Conflict(
            "This login is or was somebody's",
            observed=normal,
            next_step="Choose another login; for somebody who lost theirs, reset it",
            about="login",
        )
    person = Person(login=normal, name=name.strip()[:80], roles=_checked(roles), added_at=work.now, service=service)
    work.about(subject=normal, roles=",".join(person.roles))
    return person


def _checked(roles: Iterable[Role]) -> tuple[Role, ...]:
    asked = tuple(sorted(set(roles), key=list(Role).index))
    if not asked:
        raise MissingValue("A person needs a role", allowed=", ".join(LOGIN_ROLES), about="roles")
    if wrong := [each for each in asked if each not in LOGIN_ROLES]:
        raise InputError("Nobody logs in with this role", observed=", ".join(wrong), allowed=", ".join(LOGIN_ROLES))
    for apart in (Role.ADMINISTRATOR, Role.RESEARCHER):
        if apart in asked and len(asked) > 1:
            raise NotPermitted(
                f"The role {apart} stands alone",
                observed=", ".join(asked),
                next_step="Give the person a second login",
            )
    return asked


def _other(work: Work, login: str, version: int) -> Loaded[Person]:
    if login == work.actor.person_id:
        raise NotPermitted("Nobody changes the own login", next_step="Ask another administrator")
    loaded = work.load(Person, login, version=version)
    if loaded.now.left_at is not None:
        raise Conflict("The person has left", observed=login)
    return loaded
