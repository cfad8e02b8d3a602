"""What the store's tests share: kinds of records, a clock, new databases."""

from __future__ import annotations

import os
import secrets
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import psycopg
import pytest

from afterglow.store.engine import open_engine, upgrade
from afterglow.store.keys import create_keys
from afterglow.store.records import Clinic, Store

POSTGRES = os.environ.get("AFTERGLOW_TEST_POSTGRES", "")
BY = "nurse-1"


@dataclass(frozen=True, slots=True, kw_only=True)
class Pressure:
    """A fact of a patient."""

    systolic_mmhg: int
    note: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Chair:
    """A thing without patient."""

    name: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Visit:
    """A thing that changes."""

    started_at: datetime
    readings: tuple[Pressure, ...] = ()


KINDS = {"Pressure": Pressure, "Chair": Chair, "Visit": Visit}


class Clock:
    """A clock that goes a second at each look."""

    def __init__(self) -> None:
        self.now = datetime(2026, 1, 5, 9, tzinfo=UTC)

    def __call__(self) -> datetime:
        self.now += timedelta(seconds=1)
        return self.now


class RunningClock(Clock):
    """A clock that runs as any other, from a day in January, and can be put forward."""

    def __init__(self) -> None:
        self._ahead = datetime(2026, 1, 5, 9, tzinfo=UTC) - datetime.now(UTC)

    @property
    def now(self) -> datetime:
        return datetime.now(UTC) + self._ahead

    @now.setter
    def now(self, to: datetime) -> None:
        self._ahead = to - datetime.now(UTC)

    def __call__(self) -> datetime:
        return self.now


def new_postgres() -> str:
    """A new empty database, owned by a plain user as in a clinic; its address."""
    if not POSTGRES:
        pytest.skip("PostgreSQL is not here: run through scripts/with_postgres")
    name = f"t_{secrets.token_hex(6)}"
    with psycopg.connect(POSTGRES, autocommit=True) as admin:
        admin.execute(f"CREATE ROLE {name} LOGIN")
        admin.execute(f"CREATE DATABASE {name} OWNER {name}")
    host = POSTGRES.split("@")[1].split("/")[0]
    return f"postgresql://{name}@{host}/{name}"


def new_url(backend: str, folder: Path) -> str:
    return new_postgres() if backend == "postgresql" else f"sqlite:///{folder / 'records.db'}"


def new_store(url: str, folder: Path) -> Store:
    """An installed store with two clinics."""
    engine = open_engine(url, busy_timeout_s=5)
    upgrade(engine)
    store = Store(
        engine=engine,
        keys=create_keys(folder / "keys"),
        kinds=KINDS,
        anchors=folder / "anchors",
        spool=folder / "spool",
        busy_timeout_s=5,
        clock=Clock(),
    )
    for name in ("north", "south"):
        store.add_clinic(Clinic(id=name, name=f"Clinic {name}", time_zone="Europe/Zurich"), by="program")
    return store
