"""Replicating a trial: which statistics, what they are made of, what is refused."""

from __future__ import annotations

import itertools
import math
from dataclasses import replace

import numpy as np
import pytest

from afterglow.errors import MissingValue, NoModel
from afterglow.protocol import ObservationPlan, TrialProtocol, parse_protocol, require_population
from afterglow.therapy.population import Belief
from afterglow.therapy.relief import Execution
from afterglow.therapy.setting import Arm, Condition
from afterglow.trials import Parts, Prediction, Replication, Statistic, arm_plan, replicate
from afterglow.trials.moments import consecutive_by

INFUSION = """\
drug: racemic_ketamine
route: iv
dose: {dose}
infusion: 40 min
days: {days}
condition: {condition}
control: {control}
arm: {arm}
population: {{n: {n}, scale: {scale}, baseline_mean: {mean}, baseline_sd: {sd}{who}}}
observe: {{times: [{times}]{observe}}}
{more}
"""


def protocol(
    *,
    dose: str = "0.5 mg/kg",
    days: str = "[0]",
    condition: str = "depression",
    control: str = "midazolam",
    arm: str = "both",
    n: int = 40,
    scale: str = "MADRS",
    mean: float = 32,
    sd: float = 5,
    who: str = "",
    times: str = "24 h, 7 d",
    observe: str = ", response: 50 %, remission: 10",
    more: str = "",
) -> TrialProtocol:
    return parse_protocol(
        INFUSION.format(
            dose=dose,
            days=days,
            condition=condition,
            control=control,
            arm=arm,
            n=n,
            scale=scale,
            mean=mean,
            sd=sd,
            who=who,
            times=times,
            observe=observe,
            more=more,
        )
    )


def predicted(
    asked: TrialProtocol, *, seed: int = 0, n_draws: int = 32, execution: Execution | None = None
) -> Replication:
    return replicate(asked, seed=seed, n_draws=n_draws, patients_per_draw=16, execution=execution)


def one(found: Replication, arm: Arm, statistic: Statistic = Statistic.MEAN_CHANGE, time_h: float = 24.0) -> Prediction:
    (only,) = (p for p in found.predictions if (p.arm, p.statistic, p.time_h) == (arm, statistic, time_h))
    return only


def parts(prediction: Prediction) -> Parts:
    assert prediction.parts is not None
    return prediction.parts


WEEKS = ", response: 50 %, remission: 10, relapse: {of: responders, at: [14 d, 28 d]}"


# What is answered


@pytest.mark.parametrize(
    ("arm", "arms"),
    [
        ("active", [Arm.ACTIVE]),
        ("control", [Arm.CONTROL]),
        ("both", [Arm.ACTIVE, Arm.CONTROL, Arm.CONTRAST]),
    ],
)
def test_every_statistic_at_every_time_once(arm: str, arms: list[Arm]) -> None:
    found = predicted(protocol(arm=arm, observe=WEEKS))
    weeks = dict.fromkeys(set(Statistic) - {Statistic.STAYING_PCT}, (24.0, 168.0))
    weeks |= {Statistic.RELAPSE_PCT: (14 * 24.0, 28 * 24.0)}
    expected = [(a, statistic, time) for a in arms for statistic, times in weeks.items() for time in times]
    answered = [(p.arm, p.statistic, p.time_h) for p in found.predictions]
    assert sorted(answered) == sorted(expected)
    for p in found.predictions:
        assert (p.of == "responders") if p.statistic is Statistic.RELAPSE_PCT else (p.of is None)
        assert (p.parts is not None) == (p.statistic in {Statistic.MEAN_CHANGE, Statistic.MEAN_SCORE})
        assert p.scale == "MADRS"


def test_a_statistic_without_definition_is_not_computed() -> None:
    found = predicted(protocol(observe=""))
    assert {p.statistic for p in found.predictions} == {Statistic.MEAN_CHANGE, Statistic.MEAN_SCORE}


def test_what_a_replication_rests_on() -> None:
    found = predicted(protocol(who=", n_control: 20", observe=WEEKS), seed=4)
    assert (found.seed, found.n_draws, found.patients_per_draw) == (4, 32, 16)
    assert found.n == {Arm.ACTIVE: 40, Arm.CONTROL: 20}
    assert found.status == "calibrated"
    assert found.model.startswith("afterglow population ")
    text = " ".join(found.notes)
    assert "upper bound" in text
    assert "Relapse is judged among those at risk at 24 h after the first session." in text


def test_people_and_follow_up_beyond_calibration_are_said() -> None:
    asked = protocol(who=", n_control: 2", times="24 h, 3650 d")
    text = " ".join(predicted(asked).notes)
    assert "Day 3,650 lies beyond the calibrated follow-up" in text
    assert "An arm of 2 patients lies outside" in text
    assert "calibrated range" not in " ".join(predicted(protocol(observe=WEEKS)).notes)


def test_what_speaks_against_a_prediction_stands_apart_and_among_the_notes() -> None:
    asked = protocol(scale="PHQ-9", mean=18, control="saline", observe=WEEKS.replace("remission: 10", "remission: 4"))
    found = predicted(asked)
    assert [note for note in found.notes if note in found.warnings] == list(found.warnings)
    text = " ".join(found.warnings)
    assert "On scales that patients fill in" in text
    assert "one pooled result" in text
    assert "Differences from control are predicted too large" in text
    assert "66 % of 53 held-out figures" in found.notes[0]
    assert "one pooled result" not in " ".join(predicted(protocol(control="saline", arm="active")).warnings)


def test_a_control_arm_alone_credits_no_drug() -> None:
    found = predicted(protocol(arm="control"))
    assert "upper bound" not in " ".join(found.notes)
    assert parts(one(found, Arm.CONTROL)).drug == 0.0


def test_progress_ends_at_one() -> None:
    seen: list[float] = []
    replicate(protocol(), n_draws=4, patients_per_draw=4, progress=seen.append)
    assert seen == [0.5, 1.0]


def test_a_trial_needs_people_and_times() -> None:
    with pytest.raises(MissingValue, match="observe is missing"):
        predicted(replace(protocol(), observe=None))
    nobody = replace(protocol(), observe=ObservationPlan(times_h=(24.0,), scale="MADRS"), population=None)
    with pytest.raises(MissingValue, match=r"population\.n is missing"):
        predicted(nobody)


def test_a_scale_on_which_higher_is_better_is_refused() -> None:
    with pytest.raises(NoModel, match="On MoCA a higher score is better; the model predicts symptoms"):
        predicted(protocol(scale="MoCA", mean=20, condition="cognition", observe=""))


# Numbers that must hold together


def test_a_contrast_is_active_minus_control() -> None:
    found = predicted(protocol(observe=WEEKS))
    for p in found.predictions:
        if p.arm is Arm.CONTRAST:
            active, control = (one(found, arm, p.statistic, p.time_h) for arm in (Arm.ACTIVE, Arm.CONTROL))
            assert p.value == pytest.approx(active.value - control.value, abs=1e-9)
            assert p.lo90 < p.value < p.hi90
            if p.parts is not None:
                for name in ("drug", "expectancy", "care"):
                    difference = getattr(parts(active), name) - getattr(parts(control), name)
                    assert getattr(p.parts, name) == pytest.approx(difference, abs=1e-9)


def test_parts_add_up_to_the_modelled_change() -> None:
    """Far from the bounds of the scale the mean change is the sum of its parts; the rest is rounding at the ends."""
    found = predicted(protocol(mean=34, observe=""))
    for arm, time_h in itertools.product((Arm.ACTIVE, Arm.CONTROL), (24.0, 168.0)):
        change = one(found, arm, time_h=time_h)
        of = parts(change)
        assert change.value == pytest.approx(of.drug + of.expectancy + of.care, abs=0.25)
        assert of.drug_lo90 <= of.drug <= of.drug_hi90 <= 0
        assert parts(one(found, arm, Statistic.MEAN_SCORE, time_h)) == of


def test_score_and_change_differ_by_the_baseline() -> None:
    found = predicted(protocol())
    for arm in (Arm.ACTIVE, Arm.CONTROL):
        difference = one(found, arm, Statistic.MEAN_SCORE).value - one(found, arm).value
        assert difference == pytest.approx(32.0, abs=0.3)


def test_percentages_are_percentages() -> None:
    for n in (1, 7, 40):
        for p in predicted(protocol(n=n, observe=WEEKS)).predictions:
            if p.statistic.endswith("_pct"):
                low, high = (-100.0, 100.0) if p.arm is Arm.CONTRAST else (0.0, 100.0)
                assert low <= p.lo90 <= p.hi90 <= high
                assert low <= p.value <= high
            elif p.statistic is Statistic.MEAN_SCORE and p.arm is not Arm.CONTRAST:
                assert 0 <= p.lo90 < p.value < p.hi90 <= 60


def test_a_smaller_group_of_a_clinic_has_wider_intervals_around_the_same_values() -> None:
    trials = [predicted(protocol(n=n, who=", enrolment: clinic")).predictions for n in (5, 20, 80)]
    for smaller, larger in itertools.pairwise(trials):
        assert [p.value for p in smaller] == [p.value for p in larger]
        for wide, narrow in zip(smaller, larger, strict=True):
            if wide.statistic is Statistic.MEAN_CHANGE:
                assert wide.hi90 - wide.lo90 > narrow.hi90 - narrow.lo90


def test_a_smaller_trial_shows_more_of_the_drug_and_the_same_control_arm() -> None:
    trials = [predicted(protocol(n=n)) for n in (10, 40, 160, 10**6)]
    active, control = ([one(found, arm).value for found in trials] for arm in (Arm.ACTIVE, Arm.CONTROL))
    assert active == sorted(active)
    assert active[0] < active[-1] - 1.0
    assert len(set(control)) == 1


def test_a_large_trial_is_still_one_trial_of_an_unsure_model() -> None:
    change = one(predicted(protocol(n=1_000_000)), Arm.ACTIVE)
    assert change.hi90 - change.lo90 > 3.0


def test_both_paths_give_the_same_answer() -> None:
    asked = protocol(observe=WEEKS)
    reference, compiled = (predicted(asked, execution=path) for path in Execution)
    for one_way, other_way in zip(reference.predictions, compiled.predictions, strict=True):
        for name in ("value", "lo90", "hi90"):
            assert getattr(one_way, name) == pytest.approx(getattr(other_way, name), abs=1e-9)


def test_chunks_do_not_change_the_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = protocol(observe=WEEKS)
    whole = predicted(asked)
    chunked = replicate.__globals__["simulate_cohort"]
    monkeypatch.setitem(
        replicate.__globals__, "simulate_cohort", lambda *args, **kwargs: chunked(*args, **kwargs, chunk=48)
    )
    assert predicted(asked) == whole


def test_same_seed_same_answer_other_seed_other_answer() -> None:
    asked = protocol()
    assert predicted(asked, seed=1) == predicted(asked, seed=1)
    differing = predicted(asked, seed=2)
    assert one(predicted(asked, seed=1), Arm.ACTIVE).value != one(differing, Arm.ACTIVE).value
    # Sampling of virtual patients moves an answer by little: half a point between seeds at 512 patients.
    values = [one(predicted(asked, seed=seed, n_draws=64), Arm.ACTIVE).value for seed in range(4)]
    assert max(values) - min(values) < 1.5


# What an arm is


def test_control_arms_have_no_drug_part() -> None:
    found = predicted(protocol())
    for time_h in (24.0, 168.0):
        assert parts(one(found, Arm.CONTROL, time_h=time_h)).drug == 0.0
        assert parts(one(found, Arm.ACTIVE, time_h=time_h)).drug < -1.0


def test_no_dose_is_no_drug_part() -> None:
    found = predicted(protocol(dose="0 mg/kg", control="masked"))
    contrast = one(found, Arm.CONTRAST)
    assert parts(contrast).drug == pytest.approx(0.0, abs=1e-100)
    assert contrast.value == pytest.approx(0.0, abs=1e-12)


def test_masked_arms_believe_the_same() -> None:
    asked = protocol(control="masked")
    people = require_population(asked)
    active, control = (arm_plan(asked, people, arm) for arm in (Arm.ACTIVE, Arm.CONTROL))
    assert active.circumstances == control.circumstances
    assert active.circumstances.belief is Belief.MASKED
    assert active.sessions_h == control.sessions_h
    assert not control.regimen.administrations


def test_covariates_reach_the_model() -> None:
    """A new antidepressant adds care; a clinic has none, nor screening inflation."""
    ordinary, started, clinic = (
        parts(one(predicted(protocol(who=who)), Arm.CONTROL, time_h=168.0)).care
        for who in ("", ", new_antidepressant: true", ", enrolment: clinic")
    )
    assert started < ordinary < clinic == 0.0
    inpatient = parts(one(predicted(protocol(more="setting: inpatient")), Arm.CONTROL, time_h=168.0)).care
    assert inpatient < ordinary
    told = protocol(who=", age_mean: 70, weight_kg: 90")
    circumstances = arm_plan(told, require_population(told), Arm.ACTIVE).circumstances
    assert (circumstances.age_mean_years, circumstances.weight_kg) == (70.0, 90.0)


def test_only_the_drug_arm_of_a_spray_trial_has_the_nasal_offset() -> None:
    asked = parse_protocol(
        "drug: esketamine\nroute: intranasal\ndose: 84 mg\ndays: [0]\ncontrol: placebo_spray\narm: both\n"
        "population: {n: 20, scale: MADRS, baseline_mean: 35, baseline_sd: 4}\nobserve: {times: [24 h]}\n"
    )
    people = require_population(asked)
    assert [arm_plan(asked, people, arm).circumstances.nasal_esketamine for arm in (Arm.ACTIVE, Arm.CONTROL)] == [
        True,
        False,
    ]
    assert parts(one(predicted(asked), Arm.ACTIVE)).drug < -1.0


# Scales and conditions


def test_a_declared_scale_may_start_at_one() -> None:
    found = predicted(
        protocol(
            scale="CGI-S", mean=5, sd=0, observe=", response: 50 %", more="scales: {CGI-S: [1, 7]}", control="saline"
        )
    )
    score = one(found, Arm.ACTIVE, Statistic.MEAN_SCORE)
    assert 1.0 < score.lo90 < score.value < score.hi90 < 5.0
    # A response is half of what lies above the symptom-free score of 1: 3 points or less, not 2.5.
    assert 20.0 < one(found, Arm.ACTIVE, Statistic.RESPONSE_PCT).value < 80.0


def test_scales_know_who_rates_and_whether_they_have_fractions() -> None:
    plans = [
        arm_plan(p, require_population(p), Arm.ACTIVE)
        for p in (
            protocol(),
            protocol(scale="PHQ-9", mean=18, observe=""),
            protocol(scale="PEG", mean=6, observe=""),
            protocol(scale="CGI-S", mean=5, sd=0, observe="", more="scales: {CGI-S: [1, 7]}"),
        )
    ]
    assert [(plan.self_report, plan.whole_numbers) for plan in plans] == [
        (False, True),
        (True, True),
        (True, False),
        (False, True),
    ]
    assert [(plan.lowest, plan.highest) for plan in plans] == [(0, 60), (0, 27), (0, 10), (1, 7)]


def test_a_self_report_shows_less_of_the_same_relief() -> None:
    """Fall relative to the mean baseline."""
    clinician = one(predicted(protocol(observe="")), Arm.ACTIVE).value / 32
    patient = one(predicted(protocol(scale="PHQ-9", mean=16, observe="")), Arm.ACTIVE).value / 16
    assert clinician < patient < 0.6 * clinician


@pytest.mark.parametrize("condition", Condition)
def test_every_condition_is_predicted(condition: Condition) -> None:
    declared = "scales: {A scale: [0, 80]}"
    found = predicted(protocol(condition=condition, scale="A scale", mean=40, observe=WEEKS, more=declared))
    assert all(math.isfinite(x) for p in found.predictions for x in (p.value, p.lo90, p.hi90))
    drug = parts(one(found, Arm.ACTIVE)).drug
    if condition is Condition.COGNITION:
        assert drug == pytest.approx(0.0, abs=0.1)
    else:
        assert drug < 0.0


def test_pain_after_a_long_infusion_lasts_for_weeks() -> None:
    asked = parse_protocol(
        "condition: pain\ndrug: esketamine\nroute: iv\ninfusion: [{rate: 20 mg/h, for: 100 h}]\ndays: [0]\n"
        "control: saline\narm: both\n"
        "population: {n: 30, scale: Pain NRS, baseline_mean: 7.2, baseline_sd: 1.3}\n"
        "observe: {times: [5 d, 35 d, 84 d]}\n"
    )
    found = predicted(asked)
    week, month, quarter = (parts(one(found, Arm.ACTIVE, time_h=24.0 * days)).drug for days in (5, 35, 84))
    assert week < month < quarter < 0
    assert month < 0.3 * week


# Relapse


def relapse(definition: str, *, days: str = "[0]", at: str = "[35 d, 63 d]", seed: int = 0) -> list[float]:
    observe = f", response: 30 %, remission: 12, relapse: {{{definition}, judged: 7 d, at: {at}}}"
    asked = protocol(arm="active", control="none", days=days, observe=observe)
    return [p.value for p in predicted(asked, seed=seed).predictions if p.statistic is Statistic.RELAPSE_PCT]


def test_relapse_grows_with_time_and_with_visits() -> None:
    early, late = relapse("of: responders")
    assert 0 < early < late < 100
    weekly = "visits: [14 d, 21 d, 28 d, 35 d, 42 d, 49 d, 56 d, 63 d]"
    watched = relapse(f"of: responders, {weekly}")
    assert watched[0] > early
    assert watched[1] > late
    confirmed = relapse(f"of: responders, {weekly}, consecutive: 2")
    assert confirmed[0] < watched[0]
    assert confirmed[1] < watched[1]


def test_who_is_at_risk_matters() -> None:
    responders, remitters = relapse("of: responders"), relapse("of: remitters")
    assert responders != remitters


def test_relapse_definitions() -> None:
    """A higher threshold is crossed by fewer; losing half of one's improvement is not the same as losing response."""
    low, high = (relapse(f"of: responders, score_at_least: {points}")[1] for points in (16, 28))
    assert low > high
    fraction = relapse("of: responders, score_at_least: 19.5")[1]
    assert fraction == relapse("of: responders, score_at_least: 20")[1]  # no score lies between
    assert fraction > relapse("of: responders, score_at_least: 20.5")[1]
    lost, nearly = (relapse(f"of: responders, improvement_below: {share} %")[1] for share in (30, 10))
    assert lost == relapse("of: responders")[1]
    assert nearly < lost


def test_only_visits_find_a_relapse() -> None:
    """Two visits at 14 and 21 days: by 35 days nothing more can have been seen, by 10 days nothing yet."""
    found = relapse("of: responders, visits: [14 d, 21 d]", at="[10 d, 14 d, 21 d, 35 d]")
    assert found[0] == 0.0
    assert found[1] < found[2] == found[3]


def test_further_sessions_hold_relapse_off() -> None:
    stopped = relapse("of: responders")[0]
    maintained = relapse("of: responders", days="[0, 7, 14, 21, 28]")[0]
    assert maintained < stopped


def test_a_run_of_visits_is_dated_by_its_first() -> None:
    shown = np.array([[1.0, 1.0, 0.0, 1.0]])
    assert consecutive_by(shown, 1).tolist() == [[0, 1, 1, 1, 1]]
    assert consecutive_by(shown, 2).tolist() == [[0, 1, 1, 1, 1]]
    assert consecutive_by(shown, 3).tolist() == [[0, 0, 0, 0, 0]]
    assert consecutive_by(np.array([[0.0, 1.0, 1.0]]), 2).tolist() == [[0, 0, 1, 1]]
    assert consecutive_by(np.empty((2, 0)), 2).tolist() == [[0], [0]]


@pytest.mark.parametrize(
    ("condition", "scale", "mean", "more"),
    [
        ("suicidal_ideation", "SSI", 15, "scales: {SSI: [0, 38]}"),
        ("anxiety", "GAD-7", 15, ""),
        ("ptsd", "PCL-5", 50, ""),
        ("pain", "NRS", 7, ""),
    ],
)
def test_a_condition_with_hardly_any_figures_has_wide_bands(condition: str, scale: str, mean: float, more: str) -> None:
    """As a part of the baseline, in a trial so large that sampling is nothing (decision 0028); seed fixed."""

    def widths(asked: TrialProtocol) -> list[float]:
        baseline = require_population(asked).baseline_mean
        found = replicate(asked, n_draws=128, patients_per_draw=32).predictions
        return [
            (p.hi90 - p.lo90) / baseline
            for p in found
            if p.statistic is Statistic.MEAN_CHANGE and p.arm is not Arm.CONTRAST
        ]

    only = {"n": 10_000, "times": "24 h", "observe": ""}
    known = widths(protocol(mean=32, sd=5, **only))  # type: ignore[arg-type]
    here = widths(
        protocol(condition=condition, scale=scale, mean=mean, sd=mean / 6, more=more, **only)  # type: ignore[arg-type]
    )
    assert all(one > 1.3 * other for one, other in zip(here, known, strict=True))
