"""The desk: who is at work, and the one way through which anything is done or seen.

`@use_case` surrounds a function that writes, `@view` one that reads. Both check permission before anything else; then a
use case runs in one transaction with its audit event, a view is told in the audit trail before it is shown.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import update_wrapper
from types import MappingProxyType
from typing import Any, Concatenate, Generic, ParamSpec, TypeVar, get_type_hints

from afterglow.clinic import Role, StateTable
from afterglow.clinic.acting import wrong_role
from afterglow.errors import (
    Conflict,
    InputError,
    InvalidData,
    NotPermitted,
    StoreFault,
    UnknownName,
)
from afterglow.logs import note
from afterglow.store import audit
from afterglow.store.codec import decode, encode
from afterglow.store.records import Store
from afterglow.store.requests import recall, remember, request_digest
from afterglow.usecases.forecast_queue import ask_touched
from afterglow.usecases.work import Actor, Work, Written, check_signed, program

T = TypeVar("T")
R = TypeVar("R")
P = ParamSpec("P")
F = TypeVar("F", bound=Callable[..., Any])

_TRIES = 5  # of a use case that only adds, when somebody else added first


@dataclass(frozen=True, slots=True, kw_only=True)
class Desk:
    """Where somebody works.

    Args:
        request_key: comes with a request that may be sent twice; what was answered before is answered again.
        refresh: a page that is already open, and told in the audit trail, asks for what is new.
    """

    store: Store
    actor: Actor
    request_key: str | None = None
    refresh: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Page(Generic[T]):
    """What a view shows.

    Args:
        shown: the thing itself.
        seq: the last event of the audit trail that it may include; live events after it are new.
        trail_behind: the read waits in the spool, which the page says.
    """

    shown: T
    seq: int
    trail_behind: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class UseCase:
    """One thing that a clinic does or looks at, and who may.

    Args:
        name: "group.what", also the audit event's word.
        signs: asks for password and code within the last minutes.
        reads: whether it is a view.
        in_room: a view that stays readable when the audit trail cannot be written.
        keyed: whether a request may carry a key, and is answered again where it comes twice.
        asks: names of what it must be given.
        summary: in one line.
    """

    name: str
    roles: tuple[Role, ...]
    signs: bool
    reads: bool
    in_room: bool
    keyed: bool
    asks: tuple[str, ...]
    summary: str


def taken_up(
    store: Store, *, is_due: Callable[[str], bool], claim: Callable[[Desk], T | None], end: Callable[[], bool]
) -> Iterator[tuple[Desk, T]]:
    """What waits in every clinic, claimed by the program one after the other.

    It looks before it claims, so that nothing due leaves nothing in the audit trail.

    Args:
        store: of the installation.
        is_due: whether anything waits in a clinic.
        claim: takes the first; None where nothing is left.
        end: whether to end before the next.
    Raises: StoreFault.
    """
    for clinic in store.clinics():
        desk = Desk(store=store, actor=program(clinic.id))
        while not end() and is_due(clinic.id):
            task = None
            with suppress(Conflict):  # others were faster each time
                task = claim(desk)
            if task is None:
                break
            yield desk, task


_CATALOGUE: dict[str, UseCase] = {}
CATALOGUE: Mapping[str, UseCase] = MappingProxyType(_CATALOGUE)
"""Every use case that is loaded, by name."""

_CALLS: dict[str, Callable[..., Any]] = {}
CALLS: Mapping[str, Callable[..., Any]] = MappingProxyType(_CALLS)
"""Every use case as it is called, with a desk first; `signature_of` tells the rest."""
_FUNCTIONS: dict[str, Callable[..., Any]] = {}


def use_case(
    name: str, *, roles: Iterable[Role], signs: bool = False, adds: bool = False
) -> Callable[[Callable[Concatenate[Work, P], R]], Callable[Concatenate[Desk, P], R]]:
    """Make a function of `Work` into a thing that a clinic does, called with a `Desk`.

    Args:
        name: "group.what"; also the word of the audit event.
        roles: who may.
        signs: whether it asks for password and code within the last minutes.
        adds: it only adds, so it is done again where somebody else added first.
    """

    def around(function: Callable[Concatenate[Work, P], R]) -> Callable[Concatenate[Desk, P], R]:
        keyed = get_type_hints(function).get("return") is Written
        case = _enter(function, name, roles, signs=signs, keyed=keyed)

        def call(desk: Desk, /, *args: P.args, **kwargs: P.kwargs) -> R:
            check_permitted(case, desk)
            again = desk.request_key is not None  # the same request may have come twice at once: the first has answered
            for left in reversed(range(_TRIES if adds else 1 + again)):
                try:
                    return _written(case, desk, function, args, kwargs)
                except Conflict:
                    if not left:
                        raise
            raise AssertionError  # pragma: no cover  the last try returns or raises

        return _named(call, function, case)

    return around


def view(
    name: str, *, roles: Iterable[Role], in_room: bool = False
) -> Callable[[Callable[Concatenate[Work, P], R]], Callable[Concatenate[Desk, P], Page[R]]]:
    """Make a function of `Work` that only reads into a page: told in the audit trail before it is shown.

    Args:
        name: "group.what".
        roles: who may.
        in_room: stays readable when the trail cannot be written; the read is then spooled, and the page says so.
    """

    def around(function: Callable[Concatenate[Work, P], R]) -> Callable[Concatenate[Desk, P], Page[R]]:
        case = _enter(function, name, roles, reads=True, in_room=in_room)

        def call(desk: Desk, /, *args: P.args, **kwargs: P.kwargs) -> Page[R]:
            check_permitted(case, desk)
            actor = desk.actor
            with (
                _refusals_told(case, desk),
                desk.store.read(actor.clinic_id, by=actor.person_id, snapshot=True) as tx,
            ):
                work = Work(tx=tx, actor=actor)
                shown = function(work, *args, **kwargs)
                seq = audit.last_seq(tx)
            told = desk.refresh or audit.record_read(
                desk.store,
                actor.clinic_id,
                by=actor.person_id,
                view=case.name,
                patient_id=work.patient_id,
                may_spool=case.in_room,
                through=actor.through,
            )
            return Page(shown=shown, seq=seq, trail_behind=not told)

        return _named(call, function, case)

    return around


def roles_of(table: StateTable, *events: str) -> tuple[Role, ...]:
    """Who may bring an event about, from the state table that says so.

    Raises: UnknownName for an event that is not in the table.
    """
    found = [role for row in table.rows if row.event in events for role in row.roles]
    if missing := set(events) - {row.event for row in table.rows}:
        raise UnknownName(f"The {table.machine} has no such event", observed=", ".join(sorted(missing)))
    return tuple(dict.fromkeys(found))


def signature_of(name: str) -> inspect.Signature:
    """What a use case is given after the desk, and what it gives, with every type found.

    >>> from afterglow.usecases import permissions
    >>> list(signature_of("alerts.act").parameters)
    ['alert_id', 'action', 'version']
    """
    function = _FUNCTIONS[name]
    found, types = inspect.signature(function), get_type_hints(function)
    given = [each.replace(annotation=types[each.name]) for each in list(found.parameters.values())[1:]]
    return found.replace(parameters=given, return_annotation=types["return"])


def _enter(
    function: Callable[..., Any],
    name: str,
    roles: Iterable[Role],
    *,
    signs: bool = False,
    reads: bool = False,
    in_room: bool = False,
    keyed: bool = False,
) -> UseCase:
    if name in _CATALOGUE:
        raise InvalidData("Two use cases share a name", observed=name)
    summary = (inspect.getdoc(function) or "").split("\n")[0]
    case = UseCase(
        name=name,
        roles=tuple(sorted(set(roles), key=list(Role).index)),
        signs=signs,
        reads=reads,
        in_room=in_room,
        keyed=keyed,
        asks=_needed(function),
        summary=summary,
    )
    _CATALOGUE[name] = case
    _FUNCTIONS[name] = function
    return case


def _needed(function: Callable[..., Any]) -> tuple[str, ...]:
    given = list(inspect.signature(function).parameters.values())[1:]
    return tuple(each.name for each in given if each.default is inspect.Parameter.empty)


def _named(call: F, function: Callable[..., Any], case: UseCase) -> F:
    """The call under the function's name; its first argument is the desk, so it does not pass for the function."""
    update_wrapper(call, function, assigned=("__module__", "__name__", "__qualname__", "__doc__"), updated=())
    vars(call).pop("__wrapped__")
    vars(call)["case"] = case
    _CALLS[case.name] = call
    return call


def covers(named: str, case_name: str) -> bool:
    """Whether what a pass names, a use case or a group of them, covers a use case.

    >>> covers("measures", "measures.record"), covers("measures.list", "measures.record")
    (True, False)
    """
    return case_name == named or case_name.startswith(f"{named}.")


def check_permitted(case: UseCase, desk: Desk) -> None:
    """Refuse who may not; the audit trail is told.

    Raises: NotPermitted; SignAgain.
    """
    note(actor=desk.actor.person_id, use_case=case.name)
    with _refusals_told(case, desk):
        actor = desk.actor
        if actor.only is not None and not any(covers(each, case.name) for each in actor.only):
            raise NotPermitted(
                f"This token or link is not made for {case.name}",
                observed=f"made for {', '.join(actor.only) or 'nothing'}",
                next_step=f"Make another token for {case.name}, or ask for a new link",
            )
        if not actor.has(*case.roles):
            raise wrong_role("This", actor.roles, case.roles)
        if case.signs:
            check_signed(actor, desk.store.clock(), what=case.name)


@contextmanager
def _refusals_told(case: UseCase, desk: Desk) -> Iterator[None]:
    """Tell the audit trail of what was not permitted; a trail that cannot be written changes no refusal."""
    try:
        yield
    except NotPermitted as refused:
        actor = desk.actor
        with suppress(StoreFault), desk.store.write(actor.clinic_id, by=actor.person_id) as tx:
            tx.event("refused", use_case=case.name, code=refused.code)
        raise


def _written(
    case: UseCase,
    desk: Desk,
    function: Callable[Concatenate[Work, P], R],
    args: tuple[Any, ...],
    kwargs: dict[str, Any],
) -> R:
    actor, key = desk.actor, desk.request_key
    if key is not None and not case.keyed:
        raise InputError(f"{case.name} takes no request key")
    with _refusals_told(case, desk), desk.store.write(actor.clinic_id, by=actor.person_id) as tx:
        if key is not None:
            asked = [each for each in (*args, *sorted(kwargs.items())) if not _is_actor(each)]
            digest = request_digest(tx, case.name, asked)
            known = recall(tx, actor.person_id, key, digest)
            if known is not None:
                answer: Any = decode(Written, known)
                return answer  # type: ignore[no-any-return]
        work = Work(tx=tx, actor=actor)
        result = function(work, *args, **kwargs)
        ask_touched(tx)
        through = {} if actor.through is None else {"token": actor.through}
        tx.event(case.name, patient_id=work.patient_id, subject=work.subject, **work.detail, **through)
        if key is not None:
            remember(tx, actor.person_id, key, digest, encode(result))
    return result


def _is_actor(given: Any) -> bool:
    """Second persons are left out of a request's digest: they sign anew at each try."""
    return isinstance(given, Actor) or (isinstance(given, tuple) and len(given) == 2 and isinstance(given[1], Actor))
