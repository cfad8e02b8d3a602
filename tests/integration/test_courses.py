"""From inquiry to induction and on, by use cases on both databases."""

from __future__ import annotations

import pytest
from tests.integration.care import book, in_induction, open_clinic
from tests.integration.desks import at_work

from afterglow.store import audit
from afterglow.store.records import Store


@pytest.fixture
def north(store: Store) -> Store:
    made = at_work(store)
    open_clinic(made)
    return made


def test_smoke(north: Store) -> None:
    patient, course = in_induction(north)
    book(north, course)
    assert audit.verify(north, "north").faults == ()
