"""A clinic for the tests of use cases: a store with every kind of record, and a desk for each role."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta

from tests.integration.stores import Clock

from afterglow.clinic import Role, demo_policy
from afterglow.store import facts
from afterglow.store.records import Store
from afterglow.usecases.desk import Desk
from afterglow.usecases.kinds import KINDS
from afterglow.usecases.policies import policy_id
from afterglow.usecases.work import Actor


def without_policy(store: Store) -> Store:
    """The store with the clinic's kinds; nobody signed anything."""
    return replace(store, kinds=KINDS)


def at_work(store: Store) -> Store:
    """The store with the clinic's kinds, and the demo policy in force."""
    store = without_policy(store)
    for clinic in ("north", "south"):
        with store.write(clinic, by="program") as tx:
            facts.save(tx, demo_policy(), id=policy_id(demo_policy().version), version=0, state="demo")
            tx.event("policy.drafted")
    return store


def actor(store: Store, *roles: Role, by: str | None = None, clinic: str = "north", signed: bool = True) -> Actor:
    """Somebody at work who signed just now."""
    return Actor(
        person_id=by or f"{roles[0]}-1", roles=roles, clinic_id=clinic, signed_at=now(store) if signed else None
    )


def desk(store: Store, *roles: Role, by: str | None = None, clinic: str = "north", signed: bool = True) -> Desk:
    return Desk(store=store, actor=actor(store, *roles, by=by, clinic=clinic, signed=signed))


def now(store: Store) -> datetime:
    """The clock's time, without moving it."""
    clock = store.clock
    assert isinstance(clock, Clock)
    return clock.now


def later(store: Store, minutes: float) -> None:
    """Let time pass."""
    clock = store.clock
    assert isinstance(clock, Clock)
    clock.now += timedelta(minutes=minutes)
