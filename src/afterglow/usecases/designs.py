"""Planned trials in the clinic's app: asked for from a protocol's text, simulated by the worker, kept for who asked.

A trial under way is claimed for some minutes, as a forecast is. Between two chunks the worker makes what forecasts are
due, says how far it is, and looks whether somebody cancelled: a cancelled trial stops within a chunk. Nothing here is
about a patient.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum
from functools import partial

from afterglow.clinic import Role
from afterglow.errors import AfterglowError, Conflict, NotFound, OutOfRange, RuleRefused, StoreFault
from afterglow.logs import say
from afterglow.protocol import TrialProtocol, parse_protocol, require_design, require_observation, require_population
from afterglow.store import facts
from afterglow.store.records import Store
from afterglow.trials import arm_names, design_tasks
from afterglow.usecases.designing import TRIALS, DesignAnswer, design
from afterglow.usecases.desk import Desk, taken_up, use_case, view
from afterglow.usecases.people import LOGIN_ROLES
from afterglow.usecases.work import Loaded, Work, Written

LARGEST_TEXT = 20_000  # characters; policy: a protocol that a person writes has some hundreds
MOST_OF_A_PERSON, MOST_OF_A_CLINIC = 2, 6  # waiting or running at once; policy
KEPT = 20  # of a person; policy: the oldest goes when another is asked for
FEWEST_TRIALS, MOST_TRIALS = 100, 2_000  # policy
MOST_PATIENTS = 40_000_000  # simulated for one planned trial; policy: some minutes of one core
LEASE = timedelta(minutes=3)  # Assumption: a chunk takes seconds; a worker silent for so long has died
TELL_EVERY = timedelta(seconds=4)
TITLE = "A planned trial"
_CLAIMED_AT_ONCE = 10


class DesignState(StrEnum):
    """Where a planned trial is; interrupted: the worker ended under it. Forgotten: newer ones took its place."""

    WAITING = "waiting"
    RUNNING = "running"
    DONE = "done"
    CANCELLED = "cancelled"
    INTERRUPTED = "interrupted"
    FAILED = "failed"
    FORGOTTEN = "forgotten"


_UNDER_WAY = (DesignState.WAITING, DesignState.RUNNING)
_SHOWN = tuple(each for each in DesignState if each is not DesignState.FORGOTTEN)


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannedTrial:
    """A planned trial as it was asked for, and what came of it.

    Args:
        owner: who asked, and alone sees it.
        title: of the protocol.
        text: the protocol as it was written.
        trials: simulated for each kind of masking and each basis.
        claim: of the worker that is at it; a worker that lost it writes nothing.
        held_until: when the claim runs out.
        done: fraction of the work.
        fault: why it failed, in words.
        answer: None until it is done.
    """

    owner: str
    asked_at: datetime
    title: str
    text: str
    trials: int
    claim: str | None = None
    held_until: datetime | None = None
    done: float = 0.0
    ended_at: datetime | None = None
    fault: str | None = None
    answer: DesignAnswer | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class DesignLine:
    """One of somebody's planned trials in a list."""

    id: str
    title: str
    state: DesignState
    asked_at: datetime
    done: float


@dataclass(frozen=True, slots=True, kw_only=True)
class DesignPage:
    """A planned trial as its owner sees it.

    Args:
        ahead: trials of the clinic that are computed before it, where it waits.
    """

    id: str
    state: DesignState
    asked_at: datetime
    title: str
    text: str
    trials: int
    done: float
    ahead: int
    fault: str | None
    answer: DesignAnswer | None


@dataclass(frozen=True, slots=True, kw_only=True)
class DesignTask:
    """A planned trial that a worker claimed; the claim is what it gives back."""

    design_id: str
    claim: str
    text: str
    trials: int


def read_design(text: str, *, trials: int = TRIALS) -> TrialProtocol:
    """The protocol of a planned trial that this clinic's app will simulate.

    Raises: InputError, with the line where the text is at fault; OutOfRange for more work than is done here.

    >>> read_design("{drug: esketamine, route: intranasal, dose: 84 mg, days: [0]}")
    Traceback (most recent call last):
    ...
    afterglow.errors.MissingValue: design is missing. Add design to the protocol, as in design: {sizes: [50, 100, 200]}.
    """
    if len(text) > LARGEST_TEXT:
        raise OutOfRange(
            "The protocol is too long",
            observed=f"{len(text):,} characters",
            allowed=f"up to {LARGEST_TEXT:,}",
            next_step="Leave out what is no protocol",
            about="text",
        )
    if not FEWEST_TRIALS <= trials <= MOST_TRIALS:
        raise OutOfRange(
            "The number of simulated trials is refused",
            observed=f"{trials:,}",
            allowed=f"{FEWEST_TRIALS:,} to {MOST_TRIALS:,}",
            next_step="Correct it",
            about="trials",
        )
    protocol = parse_protocol(text)
    planned = require_design(protocol)
    require_observation(protocol)
    people = protocol.population
    require_population(
        protocol if people is None else replace(protocol, population=replace(people, n=planned.sizes[-1]))
    )
    each = sum(planned.sizes) * len(arm_names(protocol))
    patients = each * sum(task.count for task in design_tasks(protocol, trials=trials))
    if patients > MOST_PATIENTS:
        raise OutOfRange(
            "This is more work than is done here",
            observed=f"{patients / 1e6:,.0f} million simulated patients",
            allowed=f"up to {MOST_PATIENTS / 1e6:,.0f} million",
            next_step="Ask for fewer or smaller sizes, or fewer simulated trials, or use `afterglow design`",
            about="sizes",
        )
    return protocol


@use_case("designs.start", roles=LOGIN_ROLES)
def start_design(work: Work, text: str, *, trials: int = TRIALS) -> Written:
    """Ask for a planned trial to be simulated; a worker does it, and nobody but who asked sees it.

    Raises: InputError for the protocol; RuleRefused for too many at once.
    """
    protocol = read_design(text, trials=trials)
    under_way = [each for each in _every(work) if _state(each, work.now) in _UNDER_WAY]
    own = [each for each in under_way if each.now.owner == work.actor.person_id]
    for count, most, whose in (
        (len(own), MOST_OF_A_PERSON, "of yours"),
        (len(under_way), MOST_OF_A_CLINIC, "of this clinic"),
    ):
        if count >= most:
            raise RuleRefused(
                f"Planned trials {whose} are under way already",
                observed=f"{count}",
                allowed=f"{most} at once",
                next_step="Wait until one is done, or cancel one",
            )
    over = [each for each in _newest_first(_own(work)) if _state(each, work.now) not in _UNDER_WAY]
    for old in over[KEPT - 1 :]:
        work.change(old, replace(old.now, text="", answer=None), state=DesignState.FORGOTTEN)
    asked = PlannedTrial(
        owner=work.actor.person_id, asked_at=work.now, title=protocol.title or TITLE, text=text, trials=trials
    )
    work.about(trials=trials)
    return work.add(asked, state=DesignState.WAITING, due_at=work.now)


@use_case("designs.cancel", roles=LOGIN_ROLES, adds=True)
def cancel_design(work: Work, design_id: str) -> Written:
    """Stop a planned trial of one's own; what was computed is thrown away.

    Raises: NotFound; RuleRefused for one that is over.
    """
    found = _of_owner(work, design_id)
    state = _state(found, work.now)
    if state not in _UNDER_WAY:
        raise RuleRefused("This planned trial is over", observed=state, next_step="Run it again, or ask for another")
    cancelled = replace(found.now, claim=None, ended_at=work.now)
    return work.change(found, cancelled, state=DesignState.CANCELLED)


@view("designs.list", roles=LOGIN_ROLES)
def list_designs(work: Work) -> tuple[DesignLine, ...]:
    """One's own planned trials, the newest first."""
    return tuple(
        DesignLine(
            id=each.id,
            title=each.now.title,
            state=_state(each, work.now),
            asked_at=each.now.asked_at,
            done=each.now.done,
        )
        for each in _newest_first(_own(work))
    )


@view("designs.read", roles=LOGIN_ROLES)
def read_own_design(work: Work, design_id: str) -> DesignPage:
    """A planned trial of one's own: how far it is, or what came of it.

    Raises: NotFound, also for somebody else's.
    """
    found = _of_owner(work, design_id)
    now, state = found.now, _state(found, work.now)
    ahead = 0
    if state is DesignState.WAITING:
        ahead = sum(
            _state(each, work.now) is DesignState.RUNNING
            or (
                _state(each, work.now) is DesignState.WAITING
                and (each.now.asked_at, each.id) < (now.asked_at, found.id)
            )
            for each in _every(work)
        )
    return DesignPage(
        id=found.id,
        state=state,
        asked_at=now.asked_at,
        title=now.title,
        text=now.text,
        trials=now.trials,
        done=now.done,
        ahead=ahead,
        fault=now.fault,
        answer=now.answer,
    )


@use_case("designs.claim", roles=(Role.SYSTEM,), adds=True)
def claim_design(work: Work) -> DesignTask | None:
    """The planned trial that waits longest, for some minutes nobody else's; one whose worker died is interrupted."""
    heads = facts.load_all(work.tx, PlannedTrial, states=_UNDER_WAY, due_until=work.now, most=_CLAIMED_AT_ONCE)
    for head in heads:
        if head.now is None:  # pragma: no cover  belongs to no patient, so nothing erases it
            continue
        found = Loaded(id=head.id, now=head.now, version=head.version, patient_id=None, state=head.state)
        if head.state == DesignState.RUNNING:
            work.change(found, replace(head.now, claim=None, ended_at=work.now), state=DesignState.INTERRUPTED)
            continue
        until = work.now + LEASE
        claimed = replace(head.now, claim=secrets.token_hex(8), held_until=until)
        work.change(found, claimed, state=DesignState.RUNNING, due_at=until)
        work.about(subject=head.id)
        return DesignTask(design_id=head.id, claim=str(claimed.claim), text=claimed.text, trials=claimed.trials)
    return None


@use_case("designs.go_on", roles=(Role.SYSTEM,), adds=True)
def go_on_with_design(work: Work, task: DesignTask, done: float) -> Written:
    """Say how far a planned trial is, and keep the claim.

    Raises: Conflict if it was cancelled, or another worker has it.
    """
    found, until = _held(work, task), work.now + LEASE
    return work.change(found, replace(found.now, done=done, held_until=until), state=DesignState.RUNNING, due_at=until)


@use_case("designs.finish", roles=(Role.SYSTEM,), adds=True)
def finish_design(work: Work, task: DesignTask, answer: DesignAnswer) -> Written:
    """Keep what came of a planned trial.

    Raises: Conflict if it was cancelled, or another worker has it.
    """
    found = _held(work, task)
    finished = replace(found.now, claim=None, done=1.0, ended_at=work.now, answer=answer)
    return work.change(found, finished, state=DesignState.DONE)


@use_case("designs.leave", roles=(Role.SYSTEM,), adds=True)
def leave_design(work: Work, task: DesignTask, *, fault: str | None = None) -> Written:
    """The worker ends under a planned trial, or the trial failed.

    Raises: Conflict if it was cancelled, or another worker has it.
    """
    found = _held(work, task)
    state = DesignState.INTERRUPTED if fault is None else DesignState.FAILED
    return work.change(found, replace(found.now, claim=None, ended_at=work.now, fault=fault), state=state)


def run_designs(
    store: Store, *, meanwhile: Callable[[], object] = lambda: None, end: Callable[[], bool] = lambda: False
) -> int:
    """Simulate every planned trial that waits in every clinic, one after the other; how many were taken up.

    Args:
        store: of the installation.
        meanwhile: done between two chunks: what must not wait.
        end: whether to end; a trial under way is left as interrupted.
    Raises: StoreFault.
    """
    count = 0
    for desk, task in taken_up(store, is_due=partial(_is_due, store), claim=claim_design, end=end):
        _work_on(desk, task, meanwhile, end)
        count += 1
    return count


class _Stopped(Exception):
    """Somebody cancelled, or another worker has it."""


def _work_on(desk: Desk, task: DesignTask, meanwhile: Callable[[], object], end: Callable[[], bool]) -> None:
    """One planned trial from text to answer."""
    told_at = desk.store.clock()

    def told(done: float) -> None:
        nonlocal told_at
        meanwhile()
        with desk.store.read(desk.actor.clinic_id) as tx:
            head, now = facts.load(tx, PlannedTrial, task.design_id), tx.now
        if head.now is None or head.now.claim != task.claim:
            raise _Stopped
        if end():
            leave_design(desk, task)
            raise _Stopped
        if now - told_at >= TELL_EVERY:
            go_on_with_design(desk, task, done)
            told_at = now

    try:
        answer = design(read_design(task.text, trials=task.trials), trials=task.trials, progress=told)
        finish_design(desk, task, answer)
        say("design.done", design=task.design_id)
    except StoreFault:
        raise
    except (_Stopped, Conflict, NotFound):
        say("design.stopped", design=task.design_id)
    except Exception as fault:  # noqa: BLE001  whatever it is, its owner is told that it failed
        words = (
            fault.message if isinstance(fault, AfterglowError) else f"the simulation failed ({type(fault).__name__})"
        )
        with suppress(Conflict, NotFound):
            leave_design(desk, task, fault=words)
        say("design.failed", design=task.design_id, kind=type(fault).__name__)


def _state(found: Loaded[PlannedTrial], now: datetime) -> DesignState:
    """As it is now: a worker that let its claim run out has died, whoever notices."""
    state = DesignState(found.state or DesignState.WAITING)
    silent = found.now.held_until is not None and found.now.held_until <= now
    return DesignState.INTERRUPTED if state is DesignState.RUNNING and silent else state


def _every(work: Work) -> tuple[Loaded[PlannedTrial], ...]:
    return work.every(PlannedTrial, states=_UNDER_WAY)


def _own(work: Work) -> tuple[Loaded[PlannedTrial], ...]:
    return tuple(each for each in work.every(PlannedTrial, states=_SHOWN) if each.now.owner == work.actor.person_id)


def _newest_first(found: Iterable[Loaded[PlannedTrial]]) -> list[Loaded[PlannedTrial]]:
    return sorted(found, key=lambda each: each.now.asked_at, reverse=True)


def _of_owner(work: Work, design_id: str) -> Loaded[PlannedTrial]:
    """Of whoever asks; somebody else's is as one that never was."""
    found = work.load(PlannedTrial, design_id)
    if found.now.owner != work.actor.person_id or found.state == DesignState.FORGOTTEN:
        raise NotFound("There is no such record", observed=design_id)
    return found


def _held(work: Work, task: DesignTask) -> Loaded[PlannedTrial]:
    found = work.load(PlannedTrial, task.design_id)
    if found.now.claim != task.claim:
        raise Conflict("Another worker has the planned trial, or it was cancelled", observed=task.design_id)
    return found


def _is_due(store: Store, clinic_id: str) -> bool:
    with store.read(clinic_id) as tx:
        return facts.is_due(tx, PlannedTrial, states=_UNDER_WAY, until=tx.now)
