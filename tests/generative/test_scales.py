"""Properties of every scored instrument, for any answers."""

import itertools
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from afterglow.scales import (
    AlertStatus,
    Instrument,
    ScoreStatus,
    alerts,
    band_of,
    instruments,
    scale_answers,
    score,
    score_total,
)
from afterglow.scales.instrument import Method

SCORED = [each for each in instruments().values() if each.items.listed]
SUMMED = [each for each in SCORED if each.scoring.method is not Method.NONE]
unhurried = settings(deadline=None)  # a shared machine is slow now and then


@st.composite
def forms(draw: st.DrawFn, among: list[Instrument], *, gaps: bool) -> tuple[Instrument, dict[str, int | bool | None]]:
    scale = draw(st.sampled_from(among))
    answers: dict[str, int | bool | None] = {}
    for item in scale.items.listed:
        value = st.integers(*item.range)
        answers[item.number] = draw(st.none() | value if gaps else value)
    return scale, answers


@unhurried
@given(forms(SCORED, gaps=True), st.booleans())
def test_a_score_stays_in_its_range_and_a_band_exists(
    form: tuple[Instrument, dict[str, int | bool | None]],
    prorate: bool,  # noqa: FBT001 drawn by Hypothesis
) -> None:
    scale, answers = form
    scored = score(scale_answers(scale, answers), prorate=prorate)
    if scored.total is not None:
        assert scale.range is not None
        assert scale.range[0] <= scored.total <= scale.range[1]
        assert (band_of(scored) is None) == (not scale.bands)
    for part in scale.scoring.subscales:
        value = scored.subscales[part.name]
        assert value is None or part.range[0] <= value <= part.range[1]


@unhurried
@given(forms(SUMMED, gaps=False))
def test_a_complete_total_can_be_entered_again(form: tuple[Instrument, dict[str, int | bool | None]]) -> None:
    scale, answers = form
    total = score(scale_answers(scale, answers)).total
    assert total is not None
    assert score_total(scale, total).total == total


@unhurried
@given(forms(SUMMED, gaps=True), st.booleans())
def test_a_gap_never_lowers_a_total_silently(
    form: tuple[Instrument, dict[str, int | bool | None]],
    prorate: bool,  # noqa: FBT001 drawn by Hypothesis
) -> None:
    """A total from a form with gaps is marked prorated and names them; it lies within what the gaps could hold."""
    scale, answers = form
    scored = score(scale_answers(scale, answers), prorate=prorate)
    if not scored.missing:
        assert scored.status is ScoreStatus.COMPLETE
        return
    assert set(scored.missing) <= {number for number, value in answers.items() if value is None}
    assert (scored.status is ScoreStatus.PRORATED) == (scored.total is not None)
    assert (scored.status is ScoreStatus.INCOMPLETE) == (scored.total is None)
    if scored.total is not None:
        extremes = []
        for pick in (0, 1):
            filled = {item.number: item.range[pick] for item in scale.items.listed} | dict(scored.items)
            extremes.append(score(scale_answers(scale, filled)).total or 0.0)
        assert extremes[0] <= scored.total <= extremes[1]


@unhurried
@given(forms(SCORED, gaps=True), st.randoms(use_true_random=False))
def test_the_order_of_answers_does_not_matter(
    form: tuple[Instrument, dict[str, int | bool | None]], shuffled_by: random.Random
) -> None:
    scale, answers = form
    pairs = list(answers.items())
    shuffled_by.shuffle(pairs)
    assert score(scale_answers(scale, dict(pairs))) == score(scale_answers(scale, answers))


@unhurried
@given(forms(SCORED, gaps=True))
def test_answering_more_never_turns_a_certain_alert_over(
    form: tuple[Instrument, dict[str, int | bool | None]],
) -> None:
    scale, answers = form
    before = alerts(score(scale_answers(scale, answers)), sex="male")
    filled = {
        item.number: item.range[0] if answers[item.number] is None else answers[item.number]
        for item in scale.items.listed
    }
    after = alerts(score(scale_answers(scale, filled)), sex="male")
    for was, now in zip(before, after, strict=True):
        # Behaviour of unknown date counts as recent until it is asked: the one alert that an answer may calm.
        if was.status is not AlertStatus.UNKNOWN and was.alert.id not in {"cssrs_high", "cssrs_moderate"}:
            assert now.status is was.status


@pytest.mark.parametrize("answers", list(itertools.product([False, True], repeat=7)))
def test_cssrs_every_complete_form_has_the_level_of_its_worst_answer(answers: tuple[bool, ...]) -> None:
    wish, thoughts, method, intent, plan, ever, recent = answers
    expected = "none"
    if wish or thoughts:
        expected = "low"
    if method or ever:
        expected = "moderate"
    if intent or plan or recent:
        expected = "high"
    assert score(scale_answers("C-SSRS", list(answers))).level == expected
