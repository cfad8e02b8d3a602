"""What the tests of pages share: every page's route, people who are logged in, and their requests without a browser."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import httpx
from fastapi import FastAPI
from fastapi.routing import APIRoute
from tests.integration import care
from tests.integration.apis import InProcess
from tests.integration.desks import desk

from afterglow.clinic import Role
from afterglow.store import audit
from afterglow.store.logins import start_session
from afterglow.store.records import Store
from afterglow.usecases import designs, measures, papers, passes, people
from afterglow.usecases.login import _session_digest
from afterglow.usecases.passes import SEPARATOR, Purpose
from afterglow.usecases.people import LOGIN_ROLES
from afterglow.usecases.plain_protocol import MAINTENANCE_TRIAL
from afterglow.web.pages import SESSION_COOKIE
from afterglow.web.serving import make_app

OWN = {"Sec-Fetch-Site": "same-origin"}
_APPS: dict[str, Any] = {}
SYSTEM = "laboratory"  # a service, which may have tokens
ENDLESS = ("/today/events", "/room/events")  # streams: only their refusals can be waited for


def page_routes(app: FastAPI) -> list[tuple[str, str]]:
    """Method and path of every page of an application, as its router has them; the API's one route is left out."""
    found: list[tuple[str, str]] = []

    def walk(routes: list[object]) -> None:
        for each in routes:
            if isinstance(each, APIRoute):
                found.extend((method, each.path) for method in sorted(each.methods or ()) if method in {"GET", "POST"})
            else:
                inner = getattr(each, "original_router", None)
                assert inner is not None, f"{each!r} is of no kind that this test can look into"
                walk(inner.routes)

    walk(list(app.routes))
    return [each for each in dict.fromkeys(found) if not each[1].startswith("/api/")]


@dataclass(frozen=True, slots=True, kw_only=True)
class Filled:
    """A clinic with a patient, and the ids that addresses and forms name."""

    store: Store
    ids: dict[str, str]
    link: str

    def path(self, route: str) -> str:
        """The address of a route, about what this clinic has."""
        acts = {
            "/admin/people/{login}/{act}": "sessions",
            "/admin/messages/{act}": "retry",
            "/drugs/{act}": "receive",
            "/patients/{patient_id}/candidacy/{act}": "interview",
        }
        for name, value in (self.ids | {"act": acts.get(route, self.ids["act"])}).items():
            route = route.replace(f"{{{name}}}", value)
        assert "{" not in route, f"{route} names something that the test's clinic does not have: add it to filled()"
        return route

    @property
    def form(self) -> dict[str, str]:
        """A form with every field that names something; routes take what they know."""
        return self.ids | {
            "version": "1",
            "purpose": "see_progress",
            "step": "wait",
            "reason": "a reason to be told",
            "action": "read",
            "part": "Berg",
            "what": "booked",
            "label": "Wall",
            "chair": "c1",
            "day": "2026-01-07",
            "time": "10:00",
            "minutes": "40",
            "delivery": "iv",
            "capacity": "2",
            "gives": "0:iv",
            "begin": "2026-03-01T08:00",
            "end": "2026-03-01T12:00",
            "emergency": "112",
            "clinic": "112",
        }


def filled(store: Store) -> Filled:
    """The clinic `north` with Anna Berger in treatment: session, alert, note, file, link and screen."""
    care.open_clinic(store)
    patient_id, course_id = care.in_induction(store)
    session_id = care.book(store, course_id, minutes=60)
    nurse = desk(store, Role.NURSE)
    scored = measures.record(nurse, patient_id, "PHQ-9", answers=[2, 2, 3, 2, 2, 2, 2, 2, 2])
    papers.add_note(nurse, patient_id, "Anna Berger sleeps better")
    file_id = papers.add_file(nurse, patient_id, b"a letter", name="Anna Berger.txt", media_type="text/plain").id
    link = passes.issue_link(nurse, patient_id, Purpose.SEE_PROGRESS)
    screen = passes.issue_room(desk(store, Role.ADMINISTRATOR), "Wall")
    people.add_service(desk(store, Role.ADMINISTRATOR), SYSTEM, name="Laboratory", roles=(Role.NURSE,))
    ids = {
        "patient_id": patient_id,
        "course_id": course_id,
        "session_id": session_id,
        "booking_id": session_id,
        "alert_id": next(iter(scored.also), ""),
        "file_id": file_id,
        "pass_id": screen.id,
        "act": "screen",
        "number": "1",
        "name": "depression-24h",
        "key": "berman2000",
        "login": "n-therapist",
        "message_id": "0" * 32,
        "design_id": designs.start_design(nurse, MAINTENANCE_TRIAL, trials=designs.FEWEST_TRIALS).id,
    }
    return Filled(store=store, ids=ids, link=link.token)


def begin(store: Store, login: str, *, clinic: str = "north") -> str:
    """A session of somebody, without its password; its token."""
    token = SEPARATOR.join((clinic, login, secrets.token_urlsafe(32)))
    with store.write(clinic, by=login) as tx:
        start_session(tx, _session_digest(store, clinic, token), login, signed=True)
        tx.event("login", subject=login)
    return token


def hire(store: Store, *, clinic: str = "north") -> dict[Role, str]:
    """Somebody of each role in a clinic; their sessions."""
    found = {}
    for role in LOGIN_ROLES:
        name = f"{clinic[0]}-{role.replace('_', '-')}"
        people.add_person(desk(store, Role.ADMINISTRATOR, clinic=clinic), name, name=name, roles=(role,))
        found[role] = begin(store, name, clinic=clinic)
    return found


@contextmanager
def browsing(store: Store, session: str | None = None, *, scheme: str = "http") -> Iterator[httpx.Client]:
    """A client of the whole application that holds somebody's session, and sends forms as a page of its own does."""
    if _APPS.get("store") is not store:
        _APPS.update(store=store, app=make_app(store))  # the last one is kept: it takes long to make
    transport = InProcess(_APPS["app"])
    with httpx.Client(transport=transport, base_url=f"{scheme}://clinic", headers=OWN) as client:
        if session is not None:
            client.cookies.set(SESSION_COOKIE, session)
        yield client


def last_seq(store: Store, clinic: str = "north") -> int:
    """The number of the last event of a clinic's trail."""
    with store.read(clinic) as tx:
        return audit.last_seq(tx)


def told_since(store: Store, seq: int, clinic: str = "north") -> list[str]:
    """What the trail tells after an event, looks and refusals left out."""
    with store.read(clinic) as tx:
        found = audit.last_events(tx, after=seq)
    return [each.action for each in found if each.action not in {"read", "refused"}]
