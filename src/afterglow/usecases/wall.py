"""The screen on a room's wall: every chair in its place, initials and clocks; nobody's name or id."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from afterglow.clinic import (
    Booking,
    BookingState,
    Clocks,
    Delivery,
    Diary,
    Priority,
    Role,
    SessionState,
    TreatmentSession,
    escalations,
)
from afterglow.clinic import clocks as clocks_of
from afterglow.store import facts
from afterglow.usecases.desk import view
from afterglow.usecases.passes import Pass, PassKind
from afterglow.usecases.room import IN_ROOM
from afterglow.usecases.session_sheet import ReadingMark, reading_line, standing_priority
from afterglow.usecases.sessions import policy_of
from afterglow.usecases.work import CARE, DIARY, Work


@dataclass(frozen=True, slots=True, kw_only=True)
class RoomLine:
    """Who sits in a chair now: initials, phase, clocks, and how fast somebody must respond to what was read."""

    initials: str
    delivery: Delivery
    state: SessionState
    clocks: Clocks
    priority: Priority | None
    line: tuple[ReadingMark, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class WallChair:
    """One chair in the clinic's own order.

    Args:
        taken: whether somebody sits there.
        now: None for a free chair, and for one whose chart is open to its team alone.
        next_at, next_initials: who is booked into it next today.
    """

    chair_id: str
    taken: bool
    now: RoomLine | None
    next_at: datetime | None
    next_initials: str


@view("rooms.board", roles=(Role.ROOM, Role.COORDINATOR, *CARE), in_room=True)
def read_board(work: Work, *, until: datetime | None = None) -> tuple[WallChair, ...]:
    """Who is in which chair now and who comes next, for a screen that everybody in the room sees.

    `until` is the end of the day, for who comes next; without it nobody is told.
    """
    kind, _, pass_id = work.actor.person_id.partition(":")
    chairs = work.load(Pass, pass_id).now.chairs if kind == PassKind.ROOM else ()
    held = {each.id: each.chair_id for each in _booked(work, BookingState.ARRIVED)}
    here = [each for each in facts.load_all(work.tx, TreatmentSession, states=IN_ROOM) if each.id in held]
    taken = {held[each.id] for each in here}  # past closed charts too: a taken chair is never shown as free
    open_to = (each.now for each in here if each.patient_id not in work.hidden)
    sitting = {held[session.id]: session for session in open_to if session is not None}
    coming = () if until is None else _booked(work, BookingState.BOOKED, until=until)
    plan = work.find(Diary, DIARY)
    places = tuple(each.id for each in plan.now.chairs) if plan is not None else tuple(sorted(taken))
    names = work.names([each.patient_id for each in sitting.values()] + [each.patient_id for each in coming])
    shown = []
    for chair_id in (each for each in places if not chairs or each in chairs):
        session = sitting.get(chair_id)
        following = next((each for each in coming if each.chair_id == chair_id), None)
        shown.append(
            WallChair(
                chair_id=chair_id,
                taken=chair_id in taken,
                now=None if session is None else _line(work, session, names),
                next_at=None if following is None else following.starts_at,
                next_initials="" if following is None else _initials(names.get(following.patient_id, "")),
            )
        )
    work.patient_id = None
    work.subject = None
    return tuple(shown)


def _booked(work: Work, state: BookingState, *, until: datetime | None = None) -> tuple[Booking, ...]:
    found = facts.load_all(work.tx, Booking, states=(state,), due_until=until)
    return tuple(sorted((each.now for each in found if each.now is not None), key=lambda each: each.starts_at))


def _line(work: Work, session: TreatmentSession, names: Mapping[str, str]) -> RoomLine:
    policy = policy_of(work, session)
    told = clocks_of(session, work.now, policy=policy)
    return RoomLine(
        initials=_initials(names[session.patient_id]),
        delivery=session.delivery,
        state=session.state,
        clocks=told,
        priority=standing_priority(escalations(session, policy), session),
        line=reading_line(session, work.now, told, policy),
    )


def _initials(name: str) -> str:
    """All that a room's screen shows of who a patient is; none for a chart open to its team alone."""
    return " ".join(f"{word[0].upper()}." for word in name.split()[:3])
