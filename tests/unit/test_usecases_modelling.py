"""Expose and replicate without records: what is shown by default, and which published figure stands beside which."""

from __future__ import annotations

import functools
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from afterglow.errors import MissingValue, NoModel, OutOfRange
from afterglow.evidence import Figure, SpreadKind, TimeOrigin, Trial, trial
from afterglow.evidence import Statistic as Published
from afterglow.protocol import TrialProtocol, parse_protocol, read_protocol
from afterglow.provenance import Role, Verified
from afterglow.quantities import DrugForm
from afterglow.therapy.exposure import Analyte, Site
from afterglow.therapy.regimen import Route
from afterglow.therapy.setting import Arm
from afterglow.trials import Prediction, Statistic, replicate, trajectory
from afterglow.usecases import modelling
from afterglow.usecases.modelling import (
    READABLE_TIMES_H,
    ReplicationAnswer,
    expose,
    replicate_beside_published,
    trajectories,
)

EXAMPLES = Path(__file__).parents[2] / "examples"
MURROUGH = read_protocol(EXAMPLES / "murrough2013.yaml")
DALY = read_protocol(EXAMPLES / "daly2018_84mg.yaml")


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Few virtual people: these tests ask what is shown, not how exact it is."""
    monkeypatch.setattr(modelling, "N_PROFILE_PATIENTS", 32)
    monkeypatch.setattr(modelling, "replicate", functools.partial(replicate, n_draws=8, patients_per_draw=8))
    monkeypatch.setattr(trajectory, "_N_DRAWS", 8)
    monkeypatch.setattr(trajectory, "_PATIENTS_PER_DRAW", 8)


def plan(drug: DrugForm, route: Route, *, days: str = "[0]") -> TrialProtocol:
    dose = {Route.IV: "0.5 mg/kg", Route.INTRANASAL: "56 mg"}.get(route, "50 mg")
    infusion = "infusion: 40 min\n" if route is Route.IV else ""
    return parse_protocol(f"drug: {drug}\nroute: {route}\ndose: {dose}\n{infusion}days: {days}\n")


# Exposure


def test_what_is_shown_by_default() -> None:
    racemic = expose(plan(DrugForm.RACEMIC_KETAMINE, Route.IV))
    assert [p.analyte for p in racemic.profiles] == [
        Analyte.KETAMINE,
        Analyte.S_KETAMINE,
        Analyte.R_KETAMINE,
        Analyte.NORKETAMINE,
    ]
    esketamine = expose(plan(DrugForm.ESKETAMINE, Route.INTRANASAL))
    assert [p.analyte for p in esketamine.profiles] == [Analyte.S_KETAMINE, Analyte.S_NORKETAMINE]
    for answer in (racemic, esketamine):
        assert {p.site for p in answer.profiles} == {Site.VENOUS}
        assert not answer.asked
        assert answer.weight_kg == pytest.approx(74.0, rel=0.02)
        assert len(answer.acute.times_h) == len(answer.profiles[0].times_h)


@pytest.mark.parametrize("drug", DrugForm)
@pytest.mark.parametrize("route", Route)
@pytest.mark.parametrize("site", [None, *Site])
def test_every_drug_route_and_site_is_answered_or_says_what_exists(
    drug: DrugForm, route: Route, site: Site | None
) -> None:
    asked = plan(drug, route)
    if route is Route.SUBLINGUAL and site is Site.VENOUS:
        with pytest.raises(NoModel, match=r"No model predicts the venous site .* allowed: .*arterial") as refused:
            expose(asked, site=site)
        assert "venous" not in str(refused.value.allowed)
        return
    answered = expose(asked, site=site, times_h=[1.0]).profiles
    assert len({p.site for p in answered}) == 1
    assert site is None or answered[0].site is site
    assert not any(p.exploratory for p in answered)


def test_without_a_venous_model_blood_is_arterial() -> None:
    found = expose(plan(DrugForm.RACEMIC_KETAMINE, Route.SUBLINGUAL), times_h=[1.0])
    assert {p.site for p in found.profiles} == {Site.ARTERIAL}


def test_asked_times_are_answered_in_order() -> None:
    found = expose(MURROUGH, times_h=[2.0, 0.5, 2.0])
    assert found.profiles[0].times_h.tolist() == [0.5, 2.0]
    assert found.readable_times == (0, 1)
    assert found.asked


def test_everybody_may_have_one_weight() -> None:
    light, heavy = (
        expose(plan(DrugForm.RACEMIC_KETAMINE, Route.IM), weight_kg=kg, times_h=[8.0]) for kg in (50.0, 100.0)
    )
    assert (light.weight_kg, heavy.weight_kg) == (50.0, 100.0)
    assert light.profiles[0].cmax > heavy.profiles[0].cmax
    heavy = expose(parse_protocol(EXPLICIT_WEIGHT), times_h=[1.0])
    assert heavy.weight_kg == pytest.approx(110.0, rel=0.02)
    with pytest.raises(OutOfRange, match="Body weight is refused; found 5 kg"):
        expose(MURROUGH, weight_kg=5.0)


EXPLICIT_WEIGHT = (
    "drug: esketamine\nroute: intranasal\ndose: 56 mg\ndays: [0]\npopulation: {weight_kg: 110, age_mean: 70}\n"
)


def test_age_reaches_the_acute_effects() -> None:
    old = parse_protocol(EXPLICIT_WEIGHT)
    young = parse_protocol(EXPLICIT_WEIGHT.replace("70", "40"))
    rises = [expose(p).acute.systolic_mmhg.mean.max() for p in (old, young)]
    assert rises[0] > rises[1]


def test_same_seed_same_people() -> None:
    one, again, other = (expose(MURROUGH, times_h=[3.0], seed=seed).profiles[0].hi90[0] for seed in (1, 1, 2))
    assert one == again != other


@pytest.mark.parametrize("days", ["[0]", "[0, 3]", str(list(range(0, 400, 2))), str(list(range(0, 3650, 7)))])
def test_a_pictures_grid_holds_the_times_people_read_and_stays_small(days: str) -> None:
    asked = plan(DrugForm.RACEMIC_KETAMINE, Route.IV, days=days)
    grid = modelling._grid(asked, 24.0)
    last = asked.session_h[-1]
    assert len(grid) <= 650
    assert np.all(np.diff(grid) > 0)
    assert grid[0] == 0.0
    assert grid[-1] == pytest.approx(last + 2 / 3 + 24, abs=1e-6)
    for start in (0.0, last):
        for readable in (t for t in READABLE_TIMES_H if start + t < grid[-1]):
            assert np.min(np.abs(grid - (start + readable))) < 1e-6


def test_the_grid_of_a_course_reaches_the_last_asked_time() -> None:
    assert modelling._grid(MURROUGH, 48.0)[-1] == 168.0
    assert modelling._grid(MURROUGH, 24.0)[-1] == pytest.approx(24 + 2 / 3, abs=1e-6)  # exposure is over by then
    pain = read_protocol(EXAMPLES / "pain_infusion.yaml")
    assert np.max(np.diff(modelling._grid(pain, 24.0))) < 10.0


# Beside what was published


def found(answer: ReplicationAnswer, arm: Arm, statistic: Statistic, time_h: float) -> modelling.ObservedFigure | None:
    (only,) = (
        observed
        for p, observed in zip(answer.replication.predictions, answer.observed, strict=True)
        if (p.arm, p.statistic, p.time_h) == (arm, statistic, time_h)
    )
    return only


def test_published_figures_stand_beside_their_predictions() -> None:
    answer = replicate_beside_published(MURROUGH)
    for arm, statistic, value, low, high in (
        (Arm.ACTIVE, Statistic.MEAN_CHANGE, -16.5, -16.5 - 1.96 * 1.6, -16.5 + 1.96 * 1.6),
        (Arm.CONTROL, Statistic.MEAN_CHANGE, -8.8, -8.8 - 1.96 * 1.9, -8.8 + 1.96 * 1.9),
        (Arm.CONTRAST, Statistic.MEAN_CHANGE, -7.95, -12.71, -3.2),
        (Arm.ACTIVE, Statistic.RESPONSE_PCT, 64.0, None, None),
        (Arm.CONTROL, Statistic.RESPONSE_PCT, 28.0, None, None),
    ):
        observed = found(answer, arm, statistic, 24.0)
        assert observed is not None
        assert observed.value == value
        assert [observed.low, observed.high] == pytest.approx([low, high], abs=1e-3)
        assert observed.figure in trial("murrough2013_ajp").figures
    # Known from memory only: the adjusted means at 24 h, and response at day 7.
    for arm in (Arm.ACTIVE, Arm.CONTROL):
        assert found(answer, arm, Statistic.MEAN_SCORE, 24.0) is None
        assert found(answer, arm, Statistic.RESPONSE_PCT, 168.0) is None
    assert answer.recalled_left_out == 4


def test_the_standing_of_a_comparison() -> None:
    answer = replicate_beside_published(MURROUGH)
    assert answer.standing == "Calibration figures, not a prediction: the model may be fitted to them."
    assert answer.trial is not None
    said = {replace(answer, trial=replace(answer.trial, role=role)).standing for role in Role}
    assert len(said) == len(Role)
    alone = replicate_beside_published(replace(MURROUGH, trial=None))
    assert alone.standing == "No published figures stand beside this prediction."
    assert set(alone.observed) == {None}
    assert alone.recalled_left_out == 0


def test_a_protocol_without_people_is_refused() -> None:
    with pytest.raises(MissingValue, match="population"):
        replicate_beside_published(read_protocol(EXAMPLES / "esketamine_induction_maintenance.yaml"))


def prediction(**change: object) -> Prediction:
    base = Prediction(
        arm=Arm.ACTIVE,
        time_h=168.0,
        statistic=Statistic.RESPONSE_PCT,
        of=None,
        scale="MADRS",
        value=40.0,
        lo90=20.0,
        hi90=60.0,
        parts=None,
    )
    return replace(base, **change)  # type: ignore[arg-type]


def published(**change: object) -> Figure:
    (base,) = (
        figure
        for figure in trial("murrough2013_ajp").figures
        if (figure.arm, figure.statistic, figure.t_days) == ("ket05", Published.RESPONSE_PCT, 1)
    )
    return replace(base, t_days=7.0, **change)  # type: ignore[arg-type]


def is_beside(asked: Prediction, figure: Figure, protocol: TrialProtocol = MURROUGH) -> bool:
    return modelling._beside(protocol, asked, [figure]) is not None


@pytest.mark.parametrize(
    ("change", "beside"),
    [
        ({}, True),
        ({"arm": "midaz"}, False),
        ({"arm": "all"}, False),
        ({"scale": "HAM-D17"}, False),
        ({"statistic": Published.REMISSION_PCT}, False),
        ({"measure": "at any time"}, False),
        ({"of": "women"}, False),
        ({"t_days": None}, False),
        ({"t_days": 7.13}, True),  # 2 % of a week are 3.4 h
        ({"t_days": 7.15}, False),
        ({"t_from": TimeOrigin.LAST_DOSE}, True),  # the only dose
        ({"t_from": TimeOrigin.RANDOMISATION}, False),
    ],
)
def test_a_figure_stands_beside_its_own_kind_only(change: dict[str, object], beside: bool) -> None:  # noqa: FBT001
    assert is_beside(prediction(), replace(published(), **change)) == beside  # type: ignore[arg-type]


def test_times_count_from_the_dose_that_the_source_names() -> None:
    after_last = published(t_from=TimeOrigin.LAST_DOSE)
    assert is_beside(prediction(time_h=72.0 + 168.0), after_last, DALY_LIKE)
    assert not is_beside(prediction(), after_last, DALY_LIKE)


DALY_LIKE = replace(MURROUGH, session_h=(0.0, 72.0))


def test_relapse_is_compared_among_the_same_people() -> None:
    relapse = prediction(statistic=Statistic.RELAPSE_PCT, of="remitters")
    for of, beside in (
        ("remitters", True),
        ("stable remitters", True),
        ("remitters at day 3", True),
        ("responders", False),
        ("nonremitters", False),
        (None, False),
    ):
        assert is_beside(relapse, published(statistic=Published.RELAPSE_PCT, of=of)) == beside


def test_percentages_of_a_contrast_have_no_published_figure() -> None:
    assert not is_beside(prediction(arm=Arm.CONTRAST), published(arm=None, contrast=("ket05", "midaz")))
    assert not is_beside(prediction(), published(), replace(MURROUGH, trial=None))


def test_some_figures_may_never_be_shown() -> None:
    assert modelling._may_be_shown(published())
    assert not modelling._may_be_shown(published(value=None))
    assert not modelling._may_be_shown(published(do_not_fit=True))
    recalled = replace(published().provenance, verified=Verified.RECALLED)
    assert not modelling._may_be_shown(published(provenance=recalled))


def test_an_interval_comes_before_a_standard_error() -> None:
    both = next(f for f in trial("murrough2013_ajp").figures if f.spread(SpreadKind.CI95) and f.contrast)
    error = trial("murrough2013_ajp").figures[0].spread(SpreadKind.SE)
    assert error is not None
    observed = modelling._observed(replace(both, spreads=(error, *both.spreads)))
    assert (observed.low, observed.high) == (-12.71, -3.2)
    unprinted = modelling._observed(replace(both, spreads=(replace(error, value=None),)))
    assert (unprinted.low, unprinted.high) == (None, None)


# Pictures


@pytest.mark.parametrize(
    ("asked", "arms"),
    [
        (replace(MURROUGH, observe=MURROUGH.observe), [Arm.ACTIVE, Arm.CONTROL]),
        (replace(MURROUGH, arm=type(MURROUGH.arm)("control")), [Arm.CONTROL]),
        (replace(MURROUGH, arm=type(MURROUGH.arm)("active")), [Arm.ACTIVE]),
    ],
)
def test_each_arm_has_its_course(asked: TrialProtocol, arms: list[Arm]) -> None:
    courses = trajectories(asked)
    assert [course.arm for course in courses] == arms
    for course in courses:
        assert course.times_h[-1] == 168.0


def test_trials_of_the_examples_exist() -> None:
    for asked in (MURROUGH, DALY):
        assert asked.trial is not None
        named: Trial = trial(asked.trial.key)
        assert {asked.trial.active, asked.trial.control} <= {arm.id for arm in named.arms}
