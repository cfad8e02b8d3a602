"""A store of its own for each test, on SQLite and on PostgreSQL."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.integration.stores import new_store, new_url

from afterglow.store.records import Store


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The address of an empty database."""
    return new_url(request.param, tmp_path)


@pytest.fixture
def store(url: str, tmp_path: Path) -> Iterator[Store]:
    """An installed store with the clinics north and south."""
    made = new_store(url, tmp_path)
    yield made
    made.engine.dispose()
