"""A clinic's outcomes by hand: who counts, when, and what is missing; control arms as they were read."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import cast

import numpy as np
import pytest

from afterglow.clinic import (
    CourseState,
    Delivery,
    DrugUse,
    DrugUseKind,
    Indication,
    SessionState,
    TreatmentCourse,
    TreatmentSession,
)
from afterglow.provenance import Verified
from afterglow.quantities import DrugForm
from afterglow.render.chart import Table
from afterglow.render.report import KeyFigures, Notice, Paragraph
from afterglow.scales import instrument
from afterglow.usecases.forecasting import ForecastAnswer
from afterglow.usecases.measures import Measured
from afterglow.usecases.outcome_report import outcome_sections
from afterglow.usecases.outcomes import (
    Followed,
    OutcomeLine,
    ScaleOutcome,
    _control_change,
    control_arms,
    scale_outcomes,
)

BEGAN = datetime(2026, 1, 5, 9, tzinfo=UTC)
COURSE = TreatmentCourse(
    id="c1",
    patient_id="p1",
    delivery=Delivery.IV,
    drug=DrugForm.RACEMIC_KETAMINE,
    indication=Indication.TRD,
    state=CourseState.INDUCTION,
    induced_at=BEGAN,
)
SESSION = TreatmentSession(
    id="s1",
    patient_id="p1",
    course_id="c1",
    delivery=Delivery.IV,
    drug=DrugForm.RACEMIC_KETAMINE,
    number=1,
    week=1,
    planned_at=BEGAN,
    state=SessionState.CLOSED,
    drug_uses=(DrugUse(kind=DrugUseKind.GIVEN, container_id="v1", amount_ug=40_000, at=BEGAN, by="rn1"),),
)


def score(total: float | None, name: str = "phq9") -> Measured:
    return Measured(
        instrument=name, entered_total=total, total=total, level=None, status="complete", by="x", self_rated=True
    )


def followed(
    *scores: tuple[float, float | None], name: str = "phq9", indication: Indication = Indication.TRD
) -> Followed:
    """A course with scores by day from its first dose."""
    told = tuple((BEGAN + timedelta(days=day), score(total, name)) for day, total in scores)
    return Followed(
        course=replace(COURSE, indication=indication), sessions=(SESSION,), scores={name: told}, forecast=None
    )


def at(day: float) -> datetime:
    return BEGAN + timedelta(days=day)


def test_everybody_who_is_due_counts_and_who_is_not_measured_is_missing() -> None:
    courses = (
        followed((-3, 20), (27, 8)),  # 8 of 20: a response, no remission
        followed((-3, 20), (28, 4)),  # both
        followed((-3, 20), (30, 19)),  # neither
        followed((-3, 20), (14, 10), (60, 2)),  # 14 is within two weeks of 28: 10 of 20 is a response
        followed((-3, 20)),  # missing: no score then
        followed((28, 3)),  # missing: no score before
    )
    (phq9,) = scale_outcomes(courses, at=at(43))
    line = phq9.lines[0]
    assert (phq9.scale.short_name, phq9.main) == ("PHQ-9", True)
    assert (line.day, line.due, line.measured, line.missing, line.later) == (28, 6, 4, 2, 0)
    assert (line.response, line.remission) == (3, 1)
    assert line.change == pytest.approx(((8 - 20) + (4 - 20) + (19 - 20) + (10 - 20)) / 4)
    assert (line.control, line.control_of) == (None, 0)
    assert [(each.due, each.later) for each in phq9.lines[1:]] == [(0, 6), (0, 6)]


def test_a_course_is_due_when_its_time_is_over_and_no_sooner() -> None:
    course = followed((-1, 20), (28, 5))
    assert scale_outcomes((course,), at=at(42) - timedelta(seconds=1))[0].lines[0].due == 0
    assert scale_outcomes((course,), at=at(42))[0].lines[0].due == 1


@pytest.mark.parametrize(
    ("scores", "measured"),
    [
        (((-28, 20), (28, 5)), 1),  # at most 28 days before
        (((-28.1, 20), (28, 5)), 0),
        (((0, 20), (28, 5)), 1),  # as the dose began
        (((0.1, 20), (28, 5)), 0),
        (((-1, 20), (42, 5)), 1),  # at most 14 days off
        (((-1, 20), (42.1, 5)), 0),
        (((-1, 20), (28, None)), 0),  # incomplete is not zero
        (((-1, None), (-2, 20), (28, 5)), 1),
    ],
)
def test_which_score_counts(scores: tuple[tuple[float, float | None], ...], measured: int) -> None:
    assert scale_outcomes((followed(*scores),), at=at(60))[0].lines[0].measured == measured


def test_the_nearest_score_counts_and_the_later_of_two_as_near() -> None:
    (phq9,) = scale_outcomes((followed((-9, 27), (-1, 20), (26, 11), (27, 9), (29, 7)),), at=at(60))
    assert phq9.lines[0].change == pytest.approx(7 - 20)


def test_worse_is_beyond_measurement_error_alone() -> None:
    (phq9,) = scale_outcomes((followed((-1, 10), (28, 27)), followed((-1, 10), (28, 11))), at=at(60))
    assert phq9.lines[0].worse == 1


def test_a_course_is_judged_by_the_scale_of_its_indication_and_others_where_they_were_scored_before() -> None:
    ptsd = followed((-1, 50), (28, 20), name="pcl5", indication=Indication.PTSD)
    gad = followed((-1, 15), (28, 5), name="gad7")  # a course for depression, in which GAD-7 was scored
    late = followed((28, 5), name="gad7")
    found = {each.scale.id: each for each in scale_outcomes((ptsd, gad, late), at=at(60))}
    assert {name: each.main for name, each in found.items()} == {"phq9": True, "pcl5": True, "gad7": False}
    assert (found["phq9"].lines[0].due, found["phq9"].lines[0].measured) == (2, 0)
    assert (found["gad7"].lines[0].due, found["gad7"].lines[0].measured) == (1, 1)


def test_nobody_is_no_scale() -> None:
    assert scale_outcomes((), at=at(60)) == ()


def test_control_arms_are_those_that_were_read_at_a_page_four_weeks_after_the_first_dose() -> None:
    arms = control_arms((Indication.TRD, Indication.PTSD))
    popova = next(each for each in arms if each.trial.key == "popova2019_transform2")
    # The mean change of this arm is from memory in our data, so it is not told.
    assert (popova.arm.n, popova.response_pct, popova.remission_pct, popova.change) == (109, 52.0, 31.0, None)
    assert all(each.arm.form is None and each.sources for each in arms)
    kept = {(each.trial.key, each.arm.id) for each in arms}
    for each in arms:
        figures = [f for f in each.trial.figures if f.arm == each.arm.id and f.t_days == 28]
        assert any(f.provenance.verified is Verified.PAGE for f in figures), kept
    assert control_arms((Indication.PTSD, Indication.PAIN)) == ()


LINE = OutcomeLine(
    instrument="phq9",
    day=28,
    within=14,
    due=10,
    later=0,
    measured=0,
    response=0,
    remission=0,
    worse=None,
    change=None,
    control=None,
    control_of=0,
)


def told(*scales: ScaleOutcome, indication: Indication = Indication.PTSD, closed: int = 0) -> str:
    """What a report of one course says of some scales."""
    courses = (followed(indication=indication),)
    said = []
    for section in outcome_sections(courses, scales, control_arms([indication]), closed=closed):
        said.append(section.heading)
        for block in section.blocks:
            if isinstance(block, Paragraph | Notice):
                said.append(block.text)
            elif isinstance(block, KeyFigures):
                said += [f"{each.label}: {each.value}, {each.note}" for each in block.figures]
            elif isinstance(block, Table):
                said += [block.caption, *(" | ".join(row) for row in block.rows)]
    return "\n".join(said)


def test_nobody_measured_is_told_as_all_missing() -> None:
    text = told(ScaleOutcome(scale=instrument("phq9"), main=True, lines=(LINE,)))
    assert "after 4 weeks | response | 0 of 10, 0 % | 10 of 10, 100 % | 10 of 10, 100 % | nobody" in text
    assert "| worse |" not in text  # no published error
    assert "after 4 weeks | – | – | 10 of 10, 100 % | 0 of 10, 0 % | 0 of 0" in text
    assert "Response after 4 weeks: 0 %, of all 10; up to 100 % if all missing responded" in text
    assert "No control arm four weeks after the first dose was read for what is treated here." in text
    assert "No adverse event was recorded in them." in text


def test_a_scale_without_a_rule_has_no_share_and_one_never_scored_again_is_named_once() -> None:
    without = ScaleOutcome(scale=instrument("pain_nrs"), main=True, lines=(replace(LINE, response=None),))
    unseen = ScaleOutcome(scale=instrument("gad7"), main=False, lines=(LINE,))
    text = told(without, unseen, closed=2)
    assert "Response after" not in text
    assert "Scored before the first dose and never when it was due: GAD-7 (10 courses)." in text
    assert "GAD-7, where it was scored" not in text
    assert "2 patients not counted: a chart that is open to its team alone." in text


def test_who_began_too_late_is_said_and_small_shares_are_not_nothing() -> None:
    text = told(
        ScaleOutcome(
            scale=instrument("phq9"), main=True, lines=(replace(LINE, due=1000, later=3, measured=1000, response=4),)
        ),
        indication=Indication.TRD,
    )
    assert "3 courses began too late to be counted yet, even after 4 weeks." in text
    assert "4 of 1000, under 1 %" in text
    assert "Popova V 2019" in text


def test_the_control_arm_is_that_of_the_same_scale_and_inside_the_forecasts_days() -> None:
    days = SimpleNamespace(times_h=np.array([0.0, 240.0, 480.0]), control=np.array([20.0, 18.0, 16.0]))

    def change(when: float = 15, trajectory: object = days, **given: object) -> float | None:
        told = {"scale": "PHQ-9", "unit": "points", "baseline": 20.0, "given": SimpleNamespace(origin_at=BEGAN)} | given
        answer = SimpleNamespace(forecast=SimpleNamespace(trajectory=trajectory, **told))
        return _control_change(cast(ForecastAnswer, answer), "phq9", at(when))

    assert change() == pytest.approx(17.0 - 20.0)  # halfway from 18 to 16
    assert change(scale="MADRS") is None
    assert change(unit="% of baseline") is None
    assert change(baseline=None) is None
    assert change(trajectory=None) is None
    assert change(when=21) is None
    assert change(when=-1) is None
