"""The interview asks for every fact that candidacy hangs on and that somebody enters by asking, each once."""

from __future__ import annotations

from datetime import date

import pytest

from afterglow.clinic import Delivery, asked_for, fact_kinds
from afterglow.errors import OutOfRange
from afterglow.usecases.intake import ELSEWHERE
from afterglow.usecases.patients import is_held
from afterglow.web.interview import GROUPS, answers_of
from afterglow.web.typed import Typed


def test_every_fact_is_asked_once() -> None:
    asked = [name for _, names in GROUPS for name in names]
    assert len(asked) == len(set(asked))
    wanted = {name for delivery in Delivery for name in asked_for(delivery)}
    assert set(asked) == {name for name in wanted if not is_held(name) and not name.startswith(ELSEWHERE)}


@pytest.mark.parametrize(
    ("name", "typed", "value"),
    [
        ("hx.avm", "yes", True),
        ("hx.avm", "unknown", None),
        ("hx.avm", "", None),
        ("hx.nyha_class", "2", 2.0),
        ("cssrs.level", "low", "low"),
        ("cssrs.level", "unknown", None),
        ("workup.w08.age_days", "2026-01-05", 0),
        ("hx.days_since_cv_event", "2025-12-31", 5),
        ("hx.days_since_cv_event", "", None),
    ],
)
def test_an_answer_is_read_by_what_its_fact_can_be(name: str, typed: str, value: object) -> None:
    assert answers_of(Typed(fields={name: typed}), today=date(2026, 1, 5)) == {name: value}


@pytest.mark.parametrize(
    ("name", "typed"),
    [
        ("hx.avm", "maybe"),
        ("hx.nyha_class", "two"),
        ("workup.w08.age_days", "2026-01-06"),
        ("workup.w08.age_days", "5.1.2026"),
    ],
)
def test_a_slip_is_refused_by_field(name: str, typed: str) -> None:
    assert name in fact_kinds()
    with pytest.raises(OutOfRange) as refused:
        answers_of(Typed(fields={name: typed}), today=date(2026, 1, 5))
    assert refused.value.about == name


def test_what_no_rule_asks_for_is_no_answer() -> None:
    assert answers_of(Typed(fields={"version": "2", "shown:hx.avm": "yes"}), today=date(2026, 1, 5)) == {}
