"""What open pages follow by server-sent events: that something was written, as the number of its audit event.

The records are asked once for all open pages of a clinic together. Rows wait in the database, so nothing queues here,
however slow a reader is or how long it was away.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field

from fastapi import Request, Response
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import StreamingResponse

from afterglow.errors import LoginRefused, StoreFault
from afterglow.store import audit
from afterglow.store.records import Store
from afterglow.usecases.desk import Desk

LOOK_S = 0.5  # between two looks into the records; half a reader's second to see a reading
HEARTBEAT_S = 5.0  # an open page knows by it that its line is alive
CHECK_S, CHECK_AT_LEAST_S = 2.0, 15.0  # a login is checked again when something was written, and in any case


@dataclass(slots=True)
class Beat:
    """How far one clinic's trail is known: the number of its last change."""

    changed: int
    followers: int = 0
    news: asyncio.Event = field(default_factory=asyncio.Event)
    task: asyncio.Task[None] | None = None

    async def after(self, seq: int) -> int:
        """The number of the last change after another, once there is one; 0 after a silent heartbeat."""
        if self.changed <= seq:
            with suppress(TimeoutError):
                await asyncio.wait_for(self.news.wait(), HEARTBEAT_S)
        return self.changed if self.changed > seq else 0


class Pulse:
    """The ends of the clinics' trails while anybody follows them.

    Args:
        store: of the installation.
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        self._beats: dict[str, Beat] = {}

    @asynccontextmanager
    async def following(self, clinic_id: str, seq: int) -> AsyncIterator[Beat]:
        """The clinic's beat while somebody follows it, who knows the trail up to a number."""
        beat = self._beats.setdefault(clinic_id, Beat(changed=seq))
        beat.followers += 1
        if beat.task is None or beat.task.done():  # one that died is begun again
            beat.task = asyncio.create_task(self._look(clinic_id, beat))
        try:
            yield beat
        finally:
            beat.followers -= 1
            if not beat.followers and beat.task is not None:
                beat.task.cancel()
                del self._beats[clinic_id]

    async def _look(self, clinic_id: str, beat: Beat) -> None:
        while True:
            await asyncio.sleep(LOOK_S)
            with suppress(StoreFault):  # the database is away for a while: the next look tries again
                last = await run_in_threadpool(_last_change, self._store, clinic_id)
                if last > beat.changed:
                    beat.changed = last
                    beat.news.set()
                    beat.news = asyncio.Event()


def followed(request: Request, desk_for: Callable[..., Desk], *, after: int, last_event_id: int | None) -> Response:
    """The stream of an open page, from where it was the last time.

    Args:
        request: of the page.
        desk_for: whose it is; asked again while the stream lasts.
        after: the number that the page was made at.
        last_event_id: the last that the browser had before its line broke.
    Raises: LoginRefused.
    """
    desk = desk_for(request, refresh=True)
    start = max(0, after if last_event_id is None else last_event_id)
    return StreamingResponse(_lines(request, desk_for, desk, start), media_type="text/event-stream")


async def _lines(request: Request, desk_for: Callable[..., Desk], desk: Desk, seq: int) -> AsyncIterator[str]:
    clinic_id, pulse = desk.actor.clinic_id, request.app.state.pulse
    last = seq
    with suppress(StoreFault):
        last = await run_in_threadpool(_last_change, desk.store, clinic_id)
    yield _changed(last) if last > seq else ": here\n\n"  # a first line at once opens the stream
    seq = max(seq, last)
    checked = time.monotonic()
    async with pulse.following(clinic_id, seq) as beat:
        while not await request.is_disconnected():
            last = await beat.after(seq)
            if time.monotonic() - checked >= (CHECK_S if last else CHECK_AT_LEAST_S):
                try:
                    with suppress(StoreFault):
                        await run_in_threadpool(desk_for, request, refresh=True)
                except LoginRefused:
                    yield "event: ended\ndata: log in again\n\n"
                    return
                checked = time.monotonic()
            seq = last or seq
            yield _changed(last) if last else "event: beat\ndata: still here\n\n"


def _last_change(store: Store, clinic_id: str) -> int:
    with store.read(clinic_id) as tx:
        return audit.last_change(tx)


def _changed(seq: int) -> str:
    return f"id: {seq}\nevent: changed\ndata: {seq}\n\n"
