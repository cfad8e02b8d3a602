"""Who does something, when and why; one table per state machine, which also draws its diagram."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Generic, TypeVar

from afterglow.clinic.typed import typed
from afterglow.errors import MissingValue, NotPermitted, SecondPerson, WrongOrder, WrongState, echo

S = TypeVar("S")


class Role(StrEnum):
    """What a login may act as; one login may have several."""

    COORDINATOR = "coordinator"
    PRESCRIBER = "prescriber"
    NURSE = "nurse"
    THERAPIST = "therapist"
    MEDICAL_DIRECTOR = "medical_director"
    COMPLIANCE = "compliance"
    RESEARCHER = "researcher"  # sees nobody's identity
    ADMINISTRATOR = "administrator"  # people and devices, no clinical data
    PATIENT = "patient"  # its own records alone
    ROOM = "room"  # a screen on the wall
    SYSTEM = "system"  # a clock that has run out: escalation, lapse


CLINICAL = (Role.PRESCRIBER, Role.NURSE, Role.MEDICAL_DIRECTOR)
_TOGETHER = timedelta(minutes=15)  # Assumption: two people who sign one thing stand beside each other


def chair_words(name: str) -> str:
    """A chair in a sentence; a name that says what it is stands by itself.

    >>> chair_words("1"), chair_words("Chair 1"), chair_words("Room B")
    ('chair 1', 'Chair 1', 'Room B')
    """
    return name if name.casefold().startswith(("chair", "bed", "room")) else f"chair {name}"


def wrong_role(what: str, own: Iterable[Role], allowed: Iterable[Role]) -> NotPermitted:
    """The refusal of what is for other roles than somebody's own.

    >>> str(wrong_role("This", [Role.ADMINISTRATOR], [Role.NURSE, Role.MEDICAL_DIRECTOR]))
    'This is for nurse or medical director; you are here as administrator. Ask somebody who has the role.'
    """
    *most, last = (each.replace("_", " ") for each in allowed)
    here = " and ".join(each.replace("_", " ") for each in own)
    return NotPermitted(
        f"{what} is for {', '.join(most)}{' or ' if most else ''}{last}; you are here as {here}",
        next_step="Ask somebody who has the role",
    )


@typed
@dataclass(frozen=True, slots=True, kw_only=True)
class Act:
    """One person doing one thing at one time.

    Args:
        by: the login, never a name; kept as `login` gives it, so that "Nurse1 " is nurse1.
        at: aware UTC.
        reason: why, where the rules ask for it.
    Raises: MissingValue without login or role; as every record, for a time without zone or a role that is none.

    >>> from datetime import UTC
    >>> Act(by=" Nurse1", roles=(Role.NURSE,), at=datetime(2026, 1, 5, 9, tzinfo=UTC)).by
    'nurse1'
    """

    by: str
    roles: tuple[Role, ...]
    at: datetime
    reason: str | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "by", login(self.by))
        if not self.by or not self.roles:
            raise MissingValue("An act needs a login and a role", observed=f"{echo(self.by)}, {len(self.roles)} roles")

    def has(self, *roles: Role) -> bool:
        """Whether the person may act as one of the roles."""
        return any(role in self.roles for role in roles)

    def check_role(self, *roles: Role, what: str) -> None:
        """Refuse who has none of the roles.

        Raises: NotPermitted.
        """
        if not self.has(*roles):
            raise wrong_role(what, self.roles, roles)

    def check_reason(self, *, what: str) -> str:
        """The reason.

        Raises: MissingValue if none is given.
        """
        if not (self.reason and self.reason.strip()):
            raise MissingValue(f"{what} needs a reason", next_step="Say why in a few words")
        return self.reason

    def check_other_than(self, other: str, *, what: str) -> None:
        """Refuse the same login twice; a shared login is one person.

        Raises: SecondPerson.
        """
        if self.by == login(other):
            raise SecondPerson(
                f"{what} needs a second person", observed="the same login", allowed="another login", rule="two_persons"
            )

    def check_after(self, earlier: datetime, *, what: str) -> None:
        """Refuse an act dated before an earlier one; the same minute is allowed.

        Raises: WrongOrder.
        """
        if self.at < earlier:
            raise WrongOrder(
                f"{what} is dated before what was done already",
                observed=f"{self.at:%Y-%m-%d %H:%M:%S} UTC",
                allowed=f"from {earlier:%Y-%m-%d %H:%M:%S} UTC on",
                next_step="Record it when it is done; correct a wrong entry by a correction",
            )


def check_witness(act: Act, witness: Act | None, *, what: str) -> Act:
    """The witness: a second clinician under another login, at the same time (K02).

    Raises: SecondPerson, NotPermitted; WrongOrder for a witness who signed more than 15 minutes before or after.

    >>> from datetime import UTC
    >>> at = datetime(2026, 1, 5, 9, tzinfo=UTC)
    >>> nurse, other = (Act(by=by, roles=(Role.NURSE,), at=at) for by in ("rn1", "rn2"))
    >>> check_witness(nurse, other, what="Waste").by
    'rn2'
    """
    if witness is None:
        raise SecondPerson(f"{what} needs a witness", rule="K02", observed="one person", allowed="two logins")
    witness.check_role(*CLINICAL, what=f"Witnessing: {what.lower()}")
    witness.check_other_than(act.by, what=what)
    if abs(witness.at - act.at) > _TOGETHER:
        raise WrongOrder(
            f"{what}: the witness signed at another time",
            observed=f"{minutes_between(act.at, witness.at):g} min apart",
            allowed=f"within {minutes_between(act.at, act.at + _TOGETHER):g} min",
            next_step="The witness sees it and signs then",
        )
    return witness


@dataclass(frozen=True, slots=True, kw_only=True)
class Transitioned:
    """A fact: something moved from one state to another; `machine` is course, session, container, booking or alert."""

    machine: str
    subject: str
    event: str
    before: str
    after: str
    by: str
    at: datetime
    reason: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome(Generic[S]):
    """What a transition gives: the thing as it is now, and the facts to write, in order; nothing else has changed."""

    now: S
    written: tuple[object, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One line of a state table.

    Args:
        states: where the event may happen.
        to: the state after it; None stays where it is, or goes back.
        back: whether it goes back where it was before it came into its state; whoever keeps that knows which.
        guard: in words, what else must hold; the function that checks it stands beside the table.
        reason: whether the act must say why.
    """

    states: tuple[str, ...]
    event: str
    to: str | None
    roles: tuple[Role, ...]
    guard: str = ""
    reason: bool = False
    back: bool = False

    @property
    def goes_to(self) -> str:
        """The state after it, in words."""
        return self.to or ("back where it was" if self.back else "stays")


@dataclass(frozen=True, slots=True, kw_only=True)
class StateTable:
    """Every transition of one machine; what is not in the table cannot happen."""

    machine: str
    initial: str
    rows: tuple[Row, ...]

    @property
    def states(self) -> tuple[str, ...]:
        """Every state, the initial one first."""
        named = [state for row in self.rows for state in (*row.states, *((row.to,) if row.to else ()))]
        return tuple(dict.fromkeys([self.initial, *named]))

    def events(self, state: str) -> tuple[str, ...]:
        """What may happen in a state."""
        return tuple(dict.fromkeys(row.event for row in self.rows if state in row.states))

    def check(self, state: str, event: str, act: Act) -> Row:
        """The row of an event, if this person may bring it about now.

        Raises: WrongState if the table has no such row; NotPermitted for another role; MissingValue without a reason
            where one is needed.
        """
        for row in self.rows:
            if row.event == event and state in row.states:
                what = f"{self.machine.capitalize()}: {event.replace('_', ' ')}"
                act.check_role(*row.roles, what=what)
                if row.reason:
                    act.check_reason(what=what)
                return row
        raise WrongState(
            f"The {self.machine} cannot: {event.replace('_', ' ')}",
            rule=f"{self.machine}.{event}",
            observed=f"it is {state.replace('_', ' ')}",
            allowed=", ".join(self.events(state)) or "nothing: this is an end",
            next_step="Do one of what is allowed first",
        )

    def step(self, state: str, event: str, act: Act, *, subject: str) -> Transitioned:
        """The fact that an event happened; guards, and where a row goes back to, are the caller's."""
        row = self.check(state, event, act)
        return Transitioned(
            machine=self.machine,
            subject=subject,
            event=event,
            before=state,
            after=row.to or state,
            by=act.by,
            at=act.at,
            reason=act.reason,
        )

    def mermaid(self) -> Iterator[str]:
        """The diagram, as Mermaid text."""
        yield "stateDiagram-v2"
        yield f"    [*] --> {self.initial}"
        for row in self.rows:
            for state in row.states:
                if row.back:
                    for before in self._into(state):
                        yield f"    {state} --> {before}: {row.event} ({row.goes_to})"
                else:
                    yield f"    {state} --> {row.to or state}: {row.event}"
        leaving = {state for row in self.rows for state in row.states if row.back or row.to not in {None, state}}
        for state in self.states:
            if state not in leaving:
                yield f"    {state} --> [*]"

    def _into(self, state: str) -> tuple[str, ...]:
        """Where it may have been before it came into a state."""
        return tuple(dict.fromkeys(each for row in self.rows if row.to == state for each in row.states))


def login(text: str) -> str:
    """A login as it is compared: one form of each letter, one case, nothing invisible; a shared login is one person.

    Letters of two scripts that look alike stay two: where logins are made, only a-z, 0-9, dot and hyphen are let in.

    >>> login("Nurse1 ") == login("nurse1") == login("Ｎurse\u200b1")
    True
    """
    seen = "".join(each for each in text.strip() if unicodedata.category(each) not in {"Cc", "Cf"})
    return unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", seen).casefold()).strip()


def minutes_between(start: datetime, end: datetime) -> float:
    """Minutes from one time to another.

    >>> from datetime import UTC
    >>> minutes_between(datetime(2026, 1, 5, 9, 0, tzinfo=UTC), datetime(2026, 1, 5, 9, 40, tzinfo=UTC))
    40.0
    """
    return (end - start) / timedelta(minutes=1)


def days_between(start: datetime, end: datetime) -> float:
    """Days of 24 h from one time to another.

    >>> from datetime import UTC
    >>> days_between(datetime(2026, 1, 5, 9, 0, tzinfo=UTC), datetime(2026, 1, 6, 21, 0, tzinfo=UTC))
    1.5
    """
    return (end - start) / timedelta(days=1)
