"""Policies of treating again: by hand where that can be, and the same limit as the forecast's own date."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from afterglow.forecast import RelapseState, forecast, policy
from afterglow.forecast.answer import Method
from afterglow.forecast.policy import (
    ADDING_UP,
    ENDS,
    Addition,
    Policy,
    _input,
    _put,
    _responders,
    _session,
    chance_before_next_visit,
    follow,
)
from afterglow.quantities import HOURS_PER_DAY
from afterglow.therapy.population import load_population
from afterglow.therapy.regimen import Regimen
from afterglow.therapy.setting import Condition

SIX = Regimen(tuple(_session(day) for day in policy.INDUCTION_DAYS))


def followed(asked: Policy, *, addition: Addition = Addition.EXPECTED, visits: int = 8) -> policy.Outcome:
    return follow(asked, addition, first=0, count=3, seed=2, visits=visits)


@pytest.mark.parametrize(("weeks", "sessions"), [(1, 8), (2, 4), (4, 2)])
def test_the_calendar_counts_weeks_from_the_induction(weeks: int, sessions: int) -> None:
    found = followed(Policy(name="", every_weeks=weeks))
    assert found.sessions.tolist() == [pytest.approx(sessions * 91 / 56)] * 3


def test_more_sessions_never_mean_more_days_relapsed() -> None:
    """The same people with the same moods: relief of a session is never negative."""
    days = [followed(Policy(name="", every_weeks=weeks)).relapsed_days for weeks in (1, 2, 4)]
    assert np.all(days[0] <= days[1])
    assert np.all(days[1] <= days[2])
    assert np.all((days[2] >= 0) & (days[2] <= 91))


def test_a_higher_limit_waits_longer() -> None:
    sessions = [followed(Policy(name="", limit=limit), visits=4).sessions.sum() for limit in (0.01, 0.2, 0.99)]
    assert sessions[0] >= sessions[1] >= sessions[2]
    assert sessions[0] > sessions[2]


def test_when_it_feels_bad_treats_at_the_cut_off() -> None:
    found = followed(Policy(name="when it feels bad"))
    assert np.all(found.sessions < 13)


@pytest.mark.parametrize("scores", [(9.0, 7.0, 6.0), (12.0, 10.0, 9.0), (8.0, 5.0, 3.0)])
def test_the_limit_is_that_of_the_forecasts_own_date(scores: tuple[float, ...]) -> None:
    """The last day is a day before the limit is reached: a day or more before the visit by which it is."""
    given = _input(20.0, list(zip(policy.INDUCTION_SCORES, scores, strict=True)), SIX, 21.0)
    found = forecast(given)
    assert found.relapse is not None
    assert found.relapse.state is RelapseState.WELL
    by_day = dict(found.relapse.p_by_day)
    assert chance_before_next_visit(given) == pytest.approx(by_day[7.0], rel=1e-12)
    assert found.next_due is not None
    due = found.next_due.on_h
    before = due is not None and due <= given.now_h + 6 * HOURS_PER_DAY
    over_now = by_day[0.0] >= given.limit
    assert (chance_before_next_visit(given) >= given.limit) == (before or over_now)


def test_nobody_waits_on_an_answer_that_is_not_there(monkeypatch: pytest.MonkeyPatch) -> None:
    class Nothing:
        method = Method.NONE

    monkeypatch.setattr(policy, "infer", lambda _: Nothing())
    assert chance_before_next_visit(_input(20.0, [], SIX, 21.0)) == 1.0


def test_responders_are_the_same_however_they_are_asked_for() -> None:
    whole = _responders(Addition.EXPECTED, first=0, count=3, seed=4)
    parts = itertools.chain.from_iterable(_responders(Addition.EXPECTED, first=i, count=1, seed=4) for i in range(3))
    for one, other in zip(whole, parts, strict=True):
        assert (one.level, one.first_scores) == (other.level, other.first_scores)
        assert one.first_scores[-1] <= one.level / 2


@pytest.mark.parametrize(
    ("addition", "deviate"), [(Addition.LITTLE, -ENDS), (Addition.EXPECTED, 0.0), (Addition.MUCH, ENDS)]
)
def test_a_world_fixes_how_sessions_add_up_and_nothing_else(addition: Addition, deviate: float) -> None:
    population = load_population(Condition.DEPRESSION)
    drawn = np.full((1, population.dimensions), 7.0)
    put = _put(population, addition, drawn.copy())
    changed = np.flatnonzero(put[0] != 7.0) - population.person_dimensions
    assert [population.uncertain[i] for i in changed] == list(ADDING_UP)
    assert set(put[0][put[0] != 7.0]) == {deviate}
