"""The drug log by hand: where a container's drug is, and that a record which contradicts itself shows."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from afterglow.clinic import DrugUse, DrugUseKind
from afterglow.clinic.containers import draw
from afterglow.clinic.examples import nurse, vial
from afterglow.render.report import Notice
from afterglow.usecases.drug_log import account, log_sections
from afterglow.usecases.wording import Wording

SAY = Wording(zone=ZoneInfo("UTC"), people={})
LATER = datetime(2100, 1, 1, tzinfo=UTC)


def test_what_was_drawn_is_given_or_out_by_what_the_session_says() -> None:
    drawn = draw(vial(), nurse(5), amount_ug=50_000, session_id="s1").now
    at = drawn.movements[-1].at
    gave = DrugUse(kind=DrugUseKind.GIVEN, container_id=drawn.id, amount_ug=30_000, at=at, by="nurse1")
    found = account(drawn, {"s1": (gave, replace(gave, container_id="other"))}, until=LATER)
    assert (found.received_ug, found.given_ug, found.out_ug, found.left_ug) == (500_000, 30_000, 20_000, 450_000)
    assert found.difference_ug == 500_000 - 30_000 - 20_000 - 450_000 == 0
    erased = account(drawn, {"s1": None}, until=LATER)
    assert (erased.given_ug, erased.out_ug, erased.given) == (50_000, 0, ())
    before = account(drawn, {"s1": (gave,)}, until=at)
    assert (before.given_ug, before.out_ug, before.left_ug) == (0, 0, 500_000)


def test_movements_that_contradict_each_other_do_not_add_up() -> None:
    drawn = draw(vial(), nurse(5), amount_ug=50_000, session_id="s1").now
    *first, last = drawn.movements
    wrong = replace(drawn, movements=(*first, replace(last, balance_ug=440_000)))
    found = account(wrong, {"s1": ()}, until=LATER)
    assert found.difference_ug == 10_000
    (summary, *_) = log_sections((found,), SAY, since=last.at)
    said = [each.text for each in summary.blocks if isinstance(each, Notice)]
    assert f"Does not add up: {drawn.id}." in said


def test_containers_that_nobody_touched_stand_in_the_sum_alone() -> None:
    whole = vial()
    found = account(whole, {}, until=LATER)
    touched = log_sections((found,), SAY, since=whole.movements[0].at)
    assert [each.heading for each in touched] == ["Reconciliation", "Movements, by container"]
    quiet = log_sections((found,), SAY, since=whole.movements[0].at + timedelta(days=1))
    assert [each.heading for each in quiet] == ["Reconciliation"]
