"""What is typed into forms: empty is nothing, a slip names its field, and every question of the rules has words."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from afterglow.clinic import SESSION, Delivery, Group, demo_policy, rule, rules_of
from afterglow.clinic.screening import _ASKED, _ASKED_TOO
from afterglow.errors import InputError, MissingValue, OutOfRange
from afterglow.predicates import facts_of
from afterglow.usecases import patients, room, sessions, worklists
from afterglow.usecases.desk import CATALOGUE
from afterglow.usecases.words import LEAVING, PHASES, QUESTIONS, SEEN, questions, source_words
from afterglow.web.acts import ACTS, leave_points, vitals_of
from afterglow.web.typed import Typed

NOW = datetime(2026, 3, 2, 14, 5, tzinfo=UTC)


def typed(**fields: str) -> Typed:
    return Typed(fields=fields)


def test_empty_is_nothing() -> None:
    empty = typed(a="  ")
    assert (empty.text("a"), empty.number("a", "It"), empty.whole("b", "It"), empty.yes_no("a")) == (
        "",
        None,
        None,
        None,
    )
    assert (empty.thousandths("a", "It"), empty.at("a", now=NOW, zone="UTC"), empty.moment("a")) == (None, None, None)
    assert vitals_of(typed()) == room.Vitals()


@pytest.mark.parametrize(
    ("ask", "about"),
    [
        (lambda form: form.whole("n", "The number"), "n"),
        (lambda form: form.number("word", "The number"), "word"),
        (lambda form: form.thousandths("fine", "The amount"), "fine"),
        (lambda form: form.yes_no("word"), "word"),
        (lambda form: form.at("word", now=NOW, zone="UTC"), "word"),
        (lambda form: form.one_of("word", ("go", "no_go"), "The decision"), "word"),
        (lambda form: form.text("long"), "long"),
        (lambda form: form.number("huge", "The number"), "huge"),
    ],
)
def test_a_slip_names_its_field(ask: object, about: str) -> None:
    form = typed(n="1.5", word="maybe", fine="0.0005", long="x" * 2001, huge="1e400")
    with pytest.raises(OutOfRange) as refused:
        ask(form)  # type: ignore[operator]
    assert refused.value.about == about
    assert "maybe" not in str(refused.value) or about == "word"


@pytest.mark.parametrize(
    "ask",
    [
        lambda form: form.needed("a", "The reason"),
        lambda form: form.needed_number("a", "The number"),
        lambda form: form.needed_thousandths("a", "The amount"),
        lambda form: form.one_of("a", ("go",), "The decision"),
    ],
)
def test_what_is_needed_is_asked_for(ask: object) -> None:
    with pytest.raises(MissingValue) as refused:
        ask(typed())  # type: ignore[operator]
    assert refused.value.about == "a"


def test_amounts_are_whole_micrograms() -> None:
    assert typed(a="39.5").needed_thousandths("a", "The amount") == 39_500
    assert typed(a="0.8").thousandths("a", "The volume") == 800
    assert typed(a="0").needed_number("a", "The number") == 0.0


def test_a_time_is_the_last_moment_the_clock_showed_it() -> None:
    assert typed(t="14:00").at("t", now=NOW, zone="UTC") == NOW.replace(minute=0)
    assert typed(t="15:00").at("t", now=NOW, zone="Europe/Zurich") == NOW.replace(minute=0)
    assert typed(t="14:06").at("t", now=NOW, zone="UTC") == NOW  # the minute that has just begun elsewhere
    assert typed(t="23:50").at("t", now=NOW, zone="UTC") == NOW.replace(day=1, hour=23, minute=50)
    assert typed(t="2026-03-02T14:05:00Z").moment("t") == NOW
    for word in ("2026-03-02T14:05:00", "soon"):
        with pytest.raises(InputError):
            typed(t=word).moment("t")


def test_none_of_these_says_no_to_each_sign() -> None:
    seen = vitals_of(Typed(fields={"seen_none": "yes", "events.vomiting": "yes"})).symptoms
    assert dict(seen) == dict.fromkeys(SEEN, False) | {"events.vomiting": True}
    assert vitals_of(Typed(fields={"events.vomiting": "yes"})).symptoms == (("events.vomiting", True),)


def test_a_leave_point_nobody_looked_at_is_not_known() -> None:
    points = leave_points(Typed(fields={"steady_gait": "yes", "escort_present": "no"}))
    assert set(points) == set(LEAVING)
    assert (points["steady_gait"], points["escort_present"], points["oriented_x3"], points["signed"]) == (
        True,
        False,
        None,
        None,
    )


@pytest.mark.parametrize("delivery", list(Delivery))
def test_every_question_of_the_rules_has_words(delivery: Delivery) -> None:
    groups = (Group.ARRIVAL, Group.PRE_DOSE, Group.ADMINISTRATION)
    wanted = {
        name
        for each in rules_of(*groups, delivery=delivery)
        for name in facts_of(each.when)
        if name.partition(".")[0] in _ASKED or name in _ASKED_TOO
    }
    shown = {each.name for _, group in questions(delivery) for each in group}
    assert wanted - {"staff.iv_patients_per_rn"} <= shown
    assert shown <= set(QUESTIONS)


def test_every_act_is_a_use_case_and_every_state_has_words() -> None:
    assert patients
    assert sessions
    assert worklists
    assert {each.case for each in ACTS.values()} <= set(CATALOGUE)
    assert {str(state) for state in PHASES} >= {str(state) for row in SESSION.rows for state in row.states}


def test_one_wording_says_whether_the_sites_limits_are_signed() -> None:
    draft = demo_policy()
    signed = replace(draft, signed_by="dora", signed_at=datetime(2026, 5, 21, tzinfo=UTC))
    for rule_id in ("S041", "S044"):
        assert "unsigned" in source_words(rule(rule_id), draft)
        assert "unsigned" not in source_words(rule(rule_id), signed)
        assert "signed" in source_words(rule(rule_id), signed)
