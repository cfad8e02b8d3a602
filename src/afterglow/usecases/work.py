"""What a use case works with: who acts, its transaction, and what this person may load, change and sign.

Whatever is loaded here is held to what the person may see: a patient to itself, everybody to their clinic, restricted
charts to their team and to who broke the glass.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Generic, TypeVar
from zoneinfo import ZoneInfo

from afterglow.clinic import Act, Outcome, Role, SitePolicy, policy_at
from afterglow.errors import Conflict, NotFound, NotPermitted, Outdated, PolicyUnsigned, SignAgain, echo
from afterglow.store import facts, patients
from afterglow.store.records import Transaction, new_id

T = TypeVar("T")

SIGN_WITHIN = timedelta(minutes=5)  # Assumption: password and code given this shortly before stand for a signature

STAFF = (
    Role.COORDINATOR,
    Role.PRESCRIBER,
    Role.NURSE,
    Role.THERAPIST,
    Role.MEDICAL_DIRECTOR,
    Role.COMPLIANCE,
)
"""Who works with patients' records, and may be given a login for that."""

DIARY = "diary"  # the one id of a clinic's chairs and closures
CARE = (Role.PRESCRIBER, Role.NURSE, Role.THERAPIST, Role.MEDICAL_DIRECTOR)
"""Who reads charts."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Actor:
    """Who is at work: a person who logged in, a token, a patient's link, a screen, the operator or the program.

    Args:
        person_id: what the records and the audit trail call it; never a patient's name.
        signed_at: when password and code were last given; None for whoever cannot sign.
        patient_id: the one patient that it may see; None for all of the clinic.
        only: names or groups ("measures") of use cases it is for; None for all of its roles.
        through: the token by which the person acts, told in the audit trail; None without one.
    """

    person_id: str
    roles: tuple[Role, ...]
    clinic_id: str
    signed_at: datetime | None = None
    patient_id: str | None = None
    only: tuple[str, ...] | None = None
    through: str | None = None

    def has(self, *roles: Role) -> bool:
        """Whether it may act as one of the roles."""
        return any(role in self.roles for role in roles)


def program(clinic_id: str) -> Actor:
    """The program itself: clocks that run out, jobs, messages."""
    return Actor(person_id="program", roles=(Role.SYSTEM,), clinic_id=clinic_id)


@dataclass(frozen=True, slots=True, kw_only=True)
class Written:
    """What a use case wrote.

    Args:
        id: of the thing or the fact.
        version: of the thing now; 0 for a fact.
        state: of the thing now.
        also: ids of what came with it: alerts, jobs.
    """

    id: str
    version: int = 0
    state: str | None = None
    also: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class PatientAccess:
    """Whether a patient's chart is open to its team alone (a colleague, a known person)."""

    patient_id: str
    restricted: bool
    team: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class BrokenGlass:
    """That somebody outside the team opened a restricted chart, why, and until when."""

    id: str
    patient_id: str
    by: str
    reason: str
    at: datetime
    until: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Loaded(Generic[T]):
    """A thing that is there, as it was loaded."""

    id: str
    now: T
    version: int
    patient_id: str | None
    state: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Noted(Generic[T]):
    """A fact that holds, with its id and when it happened."""

    id: str
    fact: T
    at: datetime


@dataclass(slots=True, kw_only=True)
class Work:
    """One use case at work: its transaction, what it may load, what its audit event tells."""

    tx: Transaction
    actor: Actor
    patient_id: str | None = None
    subject: str | None = None
    detail: dict[str, str | int | bool] = field(default_factory=dict)
    _policies: tuple[SitePolicy, ...] | None = None
    _hidden: frozenset[str] | None = None

    @property
    def now(self) -> datetime:
        """The time of everything in this transaction."""
        return self.tx.now

    def act(self, reason: str | None = None) -> Act:
        """What this person does, for the rules of care."""
        return Act(by=self.actor.person_id, roles=self.actor.roles, at=self.now, reason=reason)

    def act_of(self, other: Actor | None, reason: str | None = None) -> Act | None:
        """What a second person does who signed for it just now: witness, second check, co-signature.

        Raises: SignAgain if the signature is not fresh; NotPermitted for somebody of another clinic.
        """
        if other is None:
            return None
        if other.clinic_id != self.actor.clinic_id:
            raise NotPermitted("The second person is of another clinic")
        check_signed(other, self.now, what="The second person's signature")
        return Act(by=other.person_id, roles=other.roles, at=self.now, reason=reason)

    def about(self, *, patient_id: str | None = None, subject: str | None = None, **detail: str | int | bool) -> None:
        """What the audit event tells besides."""
        self.patient_id = patient_id or self.patient_id
        self.subject = subject or self.subject
        self.detail |= detail

    def open_patient(self, patient_id: str) -> None:
        """Check that this person may see a patient; the audit event is about it from here on.

        Raises: NotFound for a patient nobody knows, and for anybody but the patient itself, where a patient asks;
            NotPermitted for a restricted chart.
        """
        if self.actor.patient_id not in {None, patient_id} or not patient_id.isprintable():
            raise NotFound("There is no such patient", observed=echo(patient_id))
        if patient_id in self.hidden:
            raise NotPermitted(
                "The chart is open to its team alone", observed=patient_id, next_step="Break the glass, with a reason"
            )
        self.tx.patient_key(patient_id)  # kept for what is read next; nobody has the key of a patient who is not there
        self.patient_id = patient_id

    @property
    def zone(self) -> ZoneInfo:
        """Of the clinic's clock."""
        clinics = self.tx.store.clinics()
        return ZoneInfo(next(each.time_zone for each in clinics if each.id == self.actor.clinic_id))

    def load(self, kind: type[T], id: str, *, version: int | None = None) -> Loaded[T]:  # noqa: A002
        """A thing as it is now, if this person may see it.

        `version` is the one that the person looked at; None for what only adds to whatever is there.

        Raises: NotFound; NotPermitted; Conflict for another version, or after the patient's erasure.
        """
        if not id.isprintable():
            raise NotFound("There is no such record", observed=echo(id))
        head = facts.load(self.tx, kind, id)
        if head.patient_id is not None:
            if self.actor.patient_id not in {None, head.patient_id}:
                raise NotFound("There is no such record", observed=id)
            self.open_patient(head.patient_id)
        if head.now is None:
            raise Conflict("The patient is erased; nothing more is written", observed=str(head.patient_id))
        if version is not None and version != head.version:
            raise Outdated(
                "It was changed by somebody else in the meantime",
                observed=f"version {head.version}",
                allowed=f"version {version}",
                next_step="Load it again and repeat",
            )
        self.subject = self.subject or id
        return Loaded(id=id, now=head.now, version=head.version, patient_id=head.patient_id, state=head.state)

    def find(self, kind: type[T], id: str) -> Loaded[T] | None:  # noqa: A002
        """As `load`, None where it is not there."""
        try:
            return self.load(kind, id)
        except NotFound:
            return None

    def every(
        self,
        kind: type[T],
        *,
        patient_id: str | None = None,
        states: Sequence[str] = (),
        due_until: datetime | None = None,
    ) -> tuple[Loaded[T], ...]:
        """Every thing of a kind that this person may see, what is due first."""
        foreign = self.actor.patient_id is not None and patient_id != self.actor.patient_id
        if foreign or not (patient_id or "").isprintable():
            raise NotFound("There is no such patient", observed=echo(patient_id))
        return tuple(
            Loaded(id=head.id, now=head.now, version=head.version, patient_id=head.patient_id, state=head.state)
            for head in facts.load_all(self.tx, kind, patient_id=patient_id, states=states, due_until=due_until)
            if head.now is not None and head.patient_id not in self.hidden
        )

    def standing(self, kind: type[T], *, patient_id: str, subject: str | None = None) -> tuple[Noted[T], ...]:
        """A patient's facts of a kind that hold now, by the time they happened; none after an erasure."""
        self.open_patient(patient_id)
        found = facts.standing(self.tx, kind, patient_id=patient_id, subject=subject)
        return tuple(Noted(id=each.id, fact=each.fact, at=each.at) for each in found if each.fact is not None)

    def standing_by_patient(
        self, kind: type[T], *, subjects: Collection[str] | None = None
    ) -> dict[str, tuple[Noted[T], ...]]:
        """The facts of a kind that hold now of every patient that this person may see, read at once.

        Raises: NotFound where a patient asks.
        """
        if self.actor.patient_id is not None:
            raise NotFound("There is no such record", observed="every patient")
        found: defaultdict[str, list[Noted[T]]] = defaultdict(list)
        for each in facts.standing(self.tx, kind, subjects=subjects):
            if each.patient_id is not None and each.fact is not None and each.patient_id not in self.hidden:
                found[each.patient_id].append(Noted(id=each.id, fact=each.fact, at=each.at))
        return {patient_id: tuple(of) for patient_id, of in found.items()}

    def names(self, patient_ids: Iterable[str]) -> dict[str, str]:
        """Names of patients by id, read at once; "" for one who is erased, none for a chart closed to this person."""
        known = patients.load_some(self.tx, set(patient_ids) - self.hidden)
        return {each: "" if of.identifiers is None else of.identifiers.name for each, of in known.items()}

    def add(
        self,
        thing: object,
        *,
        id: str | None = None,  # noqa: A002
        patient_id: str | None = None,
        state: str | None = None,
        due_at: datetime | None = None,
    ) -> Written:
        """A new thing.

        Raises: Conflict if the id is there already.
        """
        if patient_id is not None:
            self.open_patient(patient_id)
        known = id or new_id()
        version = facts.save(self.tx, thing, id=known, version=0, patient_id=patient_id, state=state, due_at=due_at)
        self.subject = self.subject or known
        return Written(id=known, version=version, state=state)

    def change(
        self, loaded: Loaded[Any], now: object, *, state: str | None = None, due_at: datetime | None = None
    ) -> Written:
        """The thing as it is from now on.

        Raises: Conflict if somebody saved it since it was loaded.
        """
        version = facts.save(
            self.tx, now, id=loaded.id, version=loaded.version, patient_id=loaded.patient_id, state=state, due_at=due_at
        )
        return Written(id=loaded.id, version=version, state=state)

    def write(
        self, fact: object, *, patient_id: str | None = None, subject: str | None = None, at: datetime | None = None
    ) -> str:
        """A new fact; its id."""
        if patient_id is not None:
            self.open_patient(patient_id)
        return facts.write(self.tx, fact, at=at or self.now, patient_id=patient_id, subject=subject)

    def keep(
        self, loaded: Loaded[T], outcome: Outcome[T], *, state: str | None = None, due_at: datetime | None = None
    ) -> Written:
        """What a rule gave: the thing as it is now, and the facts to write, in order."""
        for fact in outcome.written:
            self.write(fact, patient_id=loaded.patient_id, subject=loaded.id, at=_when(fact))
        return self.change(loaded, outcome.now, state=state, due_at=due_at)

    @property
    def policies(self) -> tuple[SitePolicy, ...]:
        """Every version of the clinic's policy, drafts too."""
        if self._policies is None:
            heads = facts.load_all(self.tx, SitePolicy)
            self._policies = tuple(sorted((h.now for h in heads if h.now is not None), key=lambda p: p.version))
        return self._policies

    def policy(self) -> SitePolicy:
        """The policy in force now.

        Raises: PolicyUnsigned.
        """
        return policy_at(self.policies, self.now)

    def policy_or_defaults(self) -> SitePolicy:
        """The policy in force now, else the defaults: a score is kept and an alert raised whatever was signed."""
        try:
            return self.policy()
        except PolicyUnsigned:
            return SitePolicy(version=0, drafted_by="program")

    def policy_of(self, version: int | None) -> SitePolicy:
        """One version, of a session that runs under it; the one in force for None.

        Raises: PolicyUnsigned, NotFound.
        """
        if version is None:
            return self.policy()
        for each in self.policies:
            if each.version == version:
                return each
        raise NotFound("There is no such policy version", observed=str(version))

    @property
    def hidden(self) -> frozenset[str]:
        """Patients whose charts are restricted, and closed to this person."""
        if self._hidden is None:
            self._hidden = frozenset(self._closed()) if self.actor.has(*STAFF, Role.RESEARCHER) else frozenset()
        return self._hidden

    def _closed(self) -> Iterable[str]:
        for head in facts.load_all(self.tx, PatientAccess, states=("restricted",)):
            if head.now is None or self.actor.person_id in head.now.team:
                continue
            broken = facts.load_all(self.tx, BrokenGlass, patient_id=head.id)
            if not any(b.now and b.now.by == self.actor.person_id and b.now.until > self.now for b in broken):
                yield head.id


def check_signed(actor: Actor, now: datetime, *, what: str) -> None:
    """Refuse who has not given password and code within the last minutes.

    Raises: SignAgain.
    """
    if actor.signed_at is None or not timedelta(0) <= now - actor.signed_at <= SIGN_WITHIN:
        raise SignAgain(
            f"{what} asks for password and code",
            observed="none given" if actor.signed_at is None else "given earlier",
            allowed=f"within {SIGN_WITHIN.seconds // 60} min",
            next_step="Give them again",
        )


def _when(fact: object) -> datetime | None:
    """When a fact says that it happened."""
    for name in ("taken_at", "at", "started_at", "raised_at", "checked_at"):
        found = getattr(fact, name, None)
        if isinstance(found, datetime):
            return found
    return None
