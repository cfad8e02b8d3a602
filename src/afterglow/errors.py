"""Every error Afterglow raises on purpose.

    AfterglowError
    ├── InputError            malformed: the file, the value or the request cannot be understood
    │   ├── UnreadableFile    input.unreadable_file    missing, not text, too large
    │   ├── UnwritableFile    input.unwritable_file    a report or export that cannot be written where asked
    │   ├── MalformedFile     input.malformed_file     not YAML, not CSV, a wrong shape
    │   ├── UnknownName       input.unknown_name       a key, unit, drug, route or scale nobody knows
    │   ├── MissingValue      input.missing_value      something required is absent
    │   ├── OutOfRange        input.out_of_range       outside a scale, a guardrail or a definition
    │   ├── WrongOrder        input.wrong_order        times or bounds that run backwards, duplicate rows
    │   └── NoModel           input.no_model           understood, but no model or evidence covers it
    ├── InvalidData           data.invalid             data shipped with the package breaks its own schema
    ├── RuleRefused           rule.refused             valid request; the clinic's rules say no
    │   ├── WrongState        rule.wrong_state         the course, session, container or alert is not where this applies
    │   ├── GateClosed        rule.gate_closed         a rule is hit, or something that must be known is not
    │   ├── NotOverridable    rule.not_overridable     an answer to a rule that nobody may override here
    │   ├── TooEarly          rule.too_early           before its time: next device, leave, policy not yet in force
    │   ├── SecondPerson      rule.second_person       needs another login: second check, witness, co-signature
    │   ├── Unbalanced        rule.unbalanced          drug that does not add up
    │   ├── BookingRefused    rule.booking             a chair, patient or capacity that is taken
    │   └── PolicyUnsigned    rule.policy_unsigned     no signed policy is in force
    ├── NotPermitted          permission.refused       valid request; this person may not
    │   ├── SignAgain         permission.sign_again    this person may, after proving again who it is
    │   ├── LoginRefused      permission.login         not known who asks: a login, link or token that does not hold
    │   └── TooManyTries      permission.too_many      too many failed tries from here; a wait
    ├── NotFound              request.not_found        the thing named does not exist
    ├── Conflict              request.conflict         what is there already stands against it
    │   └── Outdated          request.conflict.outdated  somebody changed it since it was looked at
    └── StoreFault            the clinic's records cannot be read or written now
        ├── StoreUnavailable  store.unavailable        full, read-only, locked or unreachable
        ├── StoreOutdated     store.outdated           the database is of another version
        ├── KeysRefused       store.keys               keys that are missing, open to others, or of another database
        ├── RecordsDamaged    store.damaged            records, a backup or an export that fail their check
        └── OutOfScope        store.scope              a statement without its clinic; a fault of the program

A message says what was refused, the value observed (with unit), the limit, and what to do next. It never
holds a name, a date of birth or free text of a patient. Edges map `code`, never the class, to an exit status.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from datetime import date, datetime
from typing import ClassVar, Self

_LONGEST_ECHO = 60


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where in a file something was found; `line` counts from 1, None when the whole file is meant."""

    file: str
    line: int | None = None

    def __str__(self) -> str:
        return self.file if self.line is None else f"{self.file}:{self.line}"


def echo(value: object) -> str:
    """A value for a message, as it was typed or found, shortened when it is long.

    >>> echo("50 mg/kg"), len(echo("x" * 1000))
    ("'50 mg/kg'", 61)
    """
    text = repr(value)
    return text if len(text) <= _LONGEST_ECHO else text[:_LONGEST_ECHO] + "…"


_KIND_WORDS: tuple[tuple[type, str], ...] = (
    (type(None), "nothing"),
    (bool, "true or false"),
    (int, "a whole number"),
    (float, "a number"),
    (str, "a text"),
    (bytes, "a file"),
    (Mapping, "an object with named fields"),
    (Sequence, "a list"),
    (AbstractSet, "a list"),
    (datetime, "a time"),
    (date, "a day"),
)


def kind_word(value: object) -> str:
    """What kind of thing a value is, in plain words and without the value.

    >>> kind_word([1, 2]), kind_word(None), kind_word({"a": 1})
    ('a list', 'nothing', 'an object with named fields')
    """
    return next((word for kind, word in _KIND_WORDS if isinstance(value, kind)), "something else")


class AfterglowError(Exception):
    """Base of every deliberate error; `code` is stable across versions.

    Args:
        refused: what was refused, as a sentence without its full stop.
        observed: the value found, with its unit; None when nothing was there.
        allowed: the limit or the accepted values.
        next_step: what the reader can do now.
        place: file and line, when the value came from a file.
        about: the key or field that the error is about, as a path ("population.n"); it finds the line or form field.

    What else was found wrong with the same thing is in `also`, so that nobody corrects one field after the other.
    """

    code: ClassVar[str] = "afterglow"
    also: tuple[AfterglowError, ...] = ()

    def __init__(
        self,
        refused: str,
        *,
        observed: str | None = None,
        allowed: str | None = None,
        next_step: str | None = None,
        place: Place | None = None,
        about: str | None = None,
    ) -> None:
        super().__init__(refused)  # copying and pickling call the class with this one argument, then set the rest
        self.refused = refused
        self.observed = observed
        self.allowed = allowed
        self.next_step = next_step
        self.place = place
        self.about = about

    def __str__(self) -> str:
        return self.message

    @property
    def message(self) -> str:
        """The whole message on one line: place, refusal, observed, allowed, next step."""
        parts = [f"{self.place}: " if self.place else "", self.refused]
        if self.observed is not None:
            parts.append(f"; found {self.observed}")
        if self.allowed is not None:
            parts.append(f"; allowed: {self.allowed}")
        parts.append(".")
        if self.next_step is not None:
            parts.append(f" {self.next_step}" if self.next_step.endswith((".", "?")) else f" {self.next_step}.")
        return "".join(parts)

    def at(self, place: Place) -> Self:
        """The same error, told where it happened; a place already known is kept."""
        placed = copy.copy(self)
        placed.place = self.place or place
        return placed


def first_of(faults: Sequence[AfterglowError]) -> AfterglowError:
    """The first of what was found wrong at once, with the others in `also`."""
    first, *others = faults
    first.also = tuple(others)
    return first


class InputError(AfterglowError):
    """The file, the value or the request cannot be understood."""

    code = "input"


class UnreadableFile(InputError):
    """A file that is missing, not text, or too large."""

    code = "input.unreadable_file"


class UnwritableFile(InputError):
    """A report or export that cannot be written where asked."""

    code = "input.unwritable_file"


class MalformedFile(InputError):
    """A file that is not YAML or CSV, or has the wrong shape."""

    code = "input.malformed_file"


class UnknownName(InputError):
    """A key, unit, drug, route or scale that nobody knows."""

    code = "input.unknown_name"


class MissingValue(InputError):
    """Something required is absent."""

    code = "input.missing_value"


class OutOfRange(InputError):
    """A value outside a scale, a guardrail or a definition."""

    code = "input.out_of_range"


class WrongOrder(InputError):
    """Times or bounds that run backwards, or a row given twice."""

    code = "input.wrong_order"


class NoModel(InputError):
    """A request that is understood, but that no model or evidence covers."""

    code = "input.no_model"


class InvalidData(AfterglowError):
    """Data shipped with the package breaks its own schema."""

    code = "data.invalid"


class RuleRefused(AfterglowError):
    """A valid request that the clinic's rules refuse; `rule` is the rule's identifier."""

    code = "rule.refused"

    def __init__(
        self,
        refused: str,
        *,
        rule: str = "",
        observed: str | None = None,
        allowed: str | None = None,
        next_step: str | None = None,
        place: Place | None = None,
        about: str | None = None,
    ) -> None:
        super().__init__(refused, observed=observed, allowed=allowed, next_step=next_step, place=place, about=about)
        self.rule = rule


class WrongState(RuleRefused):
    """The course, session, container or alert is not in a state where this applies."""

    code = "rule.wrong_state"


class GateClosed(RuleRefused):
    """A rule is hit and unanswered, or something that must be known is not."""

    code = "rule.gate_closed"


class NotOverridable(RuleRefused):
    """An answer to a rule that nobody may override here."""

    code = "rule.not_overridable"


class TooEarly(RuleRefused):
    """Asked before its time."""

    code = "rule.too_early"


class SecondPerson(RuleRefused):
    """An act that needs another person than the one who asks."""

    code = "rule.second_person"


class Unbalanced(RuleRefused):
    """Drug that does not add up."""

    code = "rule.unbalanced"


class BookingRefused(RuleRefused):
    """A chair, patient or capacity that is taken."""

    code = "rule.booking"


class PolicyUnsigned(RuleRefused):
    """No signed policy is in force."""

    code = "rule.policy_unsigned"


class NotPermitted(AfterglowError):
    """A valid request that this person may not make."""

    code = "permission.refused"


class SignAgain(NotPermitted):
    """Somebody who may do this must prove again who it is."""

    code = "permission.sign_again"


class LoginRefused(NotPermitted):
    """A login, link, token or device that does not hold; which part of it is wrong is never told."""

    code = "permission.login"


class TooManyTries(NotPermitted):
    """Too many failed tries; others are not held up by it."""

    code = "permission.too_many"


class NotFound(AfterglowError):
    """The thing named does not exist."""

    code = "request.not_found"


class Conflict(AfterglowError):
    """What is there already stands against it."""

    code = "request.conflict"


class Outdated(Conflict):
    """Somebody changed it since it was looked at."""

    code = "request.conflict.outdated"


class StoreFault(AfterglowError):
    """The clinic's records cannot be read or written now; nothing was changed."""

    code = "store"


class StoreUnavailable(StoreFault):
    """The database is full, read-only, locked or unreachable."""

    code = "store.unavailable"


class StoreOutdated(StoreFault):
    """The database was written by another version of the schema."""

    code = "store.outdated"


class KeysRefused(StoreFault):
    """Keys that are missing, open to others, or of another database."""

    code = "store.keys"


class RecordsDamaged(StoreFault):
    """Records, a backup or an export that fail their check."""

    code = "store.damaged"


class OutOfScope(StoreFault):
    """A statement that does not say whose clinic it is about; the program is at fault, never the user."""

    code = "store.scope"
