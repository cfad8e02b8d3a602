"""Drug adds up: what a count may find, the empty container, and what became waste in a session."""

from __future__ import annotations

from datetime import date
from typing import Any

import pytest
from tests.clinic_cases import POLICY, act, nurse, vial

from afterglow.clinic import Container, ContainerState, Role, count, explain, lot_balance, receive, waste_drawn
from afterglow.clinic.containers import draw, put_back
from afterglow.errors import OutOfRange, SecondPerson, Unbalanced, WrongState
from afterglow.quantities import DrugForm


def counted(container: Container, ug: Any, minutes: float = 20) -> Container:
    other = nurse(minutes, by="nurse2")
    return count(container, nurse(minutes), counted_ug=ug, policy=POLICY, witness=other).now


def empty() -> Container:
    return draw(vial(), nurse(10), amount_ug=500_000, session_id="s1").now


@pytest.mark.parametrize(("found", "state"), [(500_000, "sealed"), (499_950, "discrepant"), (0, "discrepant")])
def test_a_count_finds_what_came_in_or_less(found: int, state: str) -> None:
    assert counted(vial(), found).state == state


@pytest.mark.parametrize("found", [500_050, -50, -1, 499_950.0, "499950", True])
def test_a_count_never_finds_more_than_came_in_nor_less_than_nothing(found: Any) -> None:
    with pytest.raises(OutOfRange, match="0 to 500 mg, what came in"):
        counted(vial(), found)


def test_an_empty_container_is_counted_and_one_that_is_not_empty_is_found() -> None:
    assert empty().state is ContainerState.SPENT
    assert counted(empty(), 0).state is ContainerState.SPENT
    found = counted(empty(), 10_000)
    assert found.state is ContainerState.DISCREPANT
    lead = act(Role.COMPLIANCE, 30, reason="less was drawn than entered")
    now = explain(found, lead).now
    assert (now.state, now.balance_ug) == (ContainerState.OPENED, 10_000)
    assert lot_balance((now,), "L1").written_off_ug == -10_000  # found, and on record


def test_no_return_makes_a_container_hold_more_than_came_in() -> None:
    found = counted(empty(), 500_000)  # nothing had been drawn after all
    now = explain(found, act(Role.COMPLIANCE, 30, reason="never drawn")).now
    with pytest.raises(Unbalanced):
        put_back(now, nurse(40, reason="unopened"), amount_ug=500_000, session_id="s1")


def thrown(container: Container, ug: int, minutes: float = 30, **changes: Any) -> Container:
    given = {"witness": nurse(minutes, by="nurse2"), "session_id": "s1", "policy": POLICY, **changes}
    return waste_drawn(container, nurse(minutes, reason="rest of syringe"), amount_ug=ug, **given).now


def test_drug_wasted_in_a_session_is_waste_of_its_lot() -> None:
    taken = draw(vial(), nurse(10), amount_ug=50_000, session_id="s1").now
    now = thrown(taken, 10_000)
    lot = lot_balance((now,), "L1")
    assert (lot.received_ug, lot.in_stock_ug, lot.used_ug, lot.wasted_ug) == (500_000, 450_000, 40_000, 10_000)
    last = now.movements[-1]
    assert (last.what, last.wasted_ug, last.amount_ug, last.balance_ug) == ("waste_drawn", 10_000, 0, 450_000)
    assert (last.by, last.witness, last.session_id) == ("nurse1", "nurse2", "s1")
    assert thrown(now, 40_000).movements[-1].balance_ug == 450_000
    with pytest.raises(Unbalanced):  # 40 mg are left of what was drawn
        thrown(now, 40_050)
    with pytest.raises(Unbalanced):
        thrown(taken, 50, session_id="s2")


def test_what_was_drawn_is_wasted_from_an_empty_or_a_locked_container_too_and_before_a_witness() -> None:
    assert thrown(empty(), 500_000).state is ContainerState.SPENT
    locked = counted(draw(vial(), nurse(10), amount_ug=50_000, session_id="s1").now, 449_950)
    assert thrown(locked, 10_000).state is ContainerState.DISCREPANT
    for witness in (None, nurse(30)):
        with pytest.raises(SecondPerson):
            thrown(empty(), 500_000, witness=witness)
    with pytest.raises(WrongState):
        draw(locked, nurse(40), amount_ug=50, session_id="s1")


def test_what_is_told_of_an_expired_drug() -> None:
    with pytest.raises(OutOfRange) as late:
        draw(vial(), nurse(60 * 24 * 400), amount_ug=50_000, session_id="s1")
    assert late.value.message == (
        "The drug has expired; found good until 2027-01-01; allowed: good on 2027-04-06. "
        "Take another container; waste this one with a witness."
    )
    receipt: dict[str, Any] = {"container_id": "v", "lot": "L", "drug": DrugForm.RACEMIC_KETAMINE}
    with pytest.raises(OutOfRange, match="Do not take it in; send it back"):
        receive(nurse(), expires_on=date(2026, 3, 1), amount_ug=500, concentration_ug_per_ul=50, **receipt)
