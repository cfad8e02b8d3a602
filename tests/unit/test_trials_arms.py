"""Published arms as the model runs them, and which figures are scored."""

import dataclasses
import re
from itertools import pairwise

import pytest

from afterglow.evidence import Statistic as Published
from afterglow.evidence import TimeOrigin, trial, trials
from afterglow.protocol import AtRisk, parse_protocol
from afterglow.provenance import Role, Verified
from afterglow.quantities import DrugForm
from afterglow.records import Record
from afterglow.therapy.coverage import (
    COVERED,
    COVERED_PEOPLE,
    CRISIS_MISSED,
    DIFFERENCE_MISSED,
    INTERVALS_MISSED,
    RELAPSE_MISSED,
    SELF_REPORT_MISSED,
    intervals_missed,
    missed_in_validation,
    model_standing,
    outside_calibration,
    outside_circumstances,
    outside_people,
)
from afterglow.therapy.population import Belief
from afterglow.therapy.regimen import Regimen, Route, repeat
from afterglow.therapy.setting import Condition, Control, Setting
from afterglow.trials import arms
from afterglow.trials.arms import (
    ScoredFigure,
    arm_designs,
    asked_of,
    may_be_scored,
    read_design,
    scale_rule,
    scored_figures,
)
from afterglow.trials.moments import Statistic


def test_every_flag_is_what_the_rule_says() -> None:
    wrong = [
        (found.key, figure.arm, figure.statistic)
        for found in trials()
        for figure in found.figures
        if figure.applicable != may_be_scored(found, figure)
    ]
    assert wrong == []


def test_no_recalled_or_bounding_figure_is_scored() -> None:
    scored = scored_figures()
    assert {f.figure.provenance.verified for f in scored} <= {Verified.PAGE, Verified.DERIVED}
    assert Role.BOUND not in {f.trial.role for f in scored}
    assert all(f.time_h <= 28 * 24 for f in scored if f.trial.role is Role.HELD_OUT_SHARED)


def figure(key: str, **of: object) -> ScoredFigure:
    """The first scored figure of a trial with these attributes."""
    return next(
        f
        for f in scored_figures()
        if f.trial.key == key and all(getattr(f, name) == value for name, value in of.items())
    )


def test_values_are_read_as_the_model_reports_them() -> None:
    # a median time to relapse: half by then; randomised at day 112 and 273 days later
    median = next(
        f
        for f in scored_figures()
        if f.figure.statistic is Published.MEDIAN_DAYS_TO_RELAPSE and f.trial.key == "daly2019_sustain1"
    )
    assert (median.value, median.time_h / 24) == (50.0, 385.0)
    # 2 remitters of 13
    count = figure("ionescu2019", statistic=Statistic.REMISSION_PCT)
    assert count.value == pytest.approx(200 / 13)
    # 80 % without relapse 28 days after the last infusion on day 21
    free = figure("mcinnes2022", statistic=Statistic.RELAPSE_PCT)
    assert (free.value, free.time_h / 24, free.n, free.of) == (20.0, 49.0, None, AtRisk.RESPONDERS)
    # the first arm did better, printed as +11.88
    contrast = next(f for f in scored_figures() if f.trial.key == "feder_2021" and f.control is not None)
    assert contrast.value == -11.88
    # SE from an SD: 11.56 / sqrt(115)
    change = figure("ionescu2021_aspire2", statistic=Statistic.MEAN_CHANGE)
    assert change.se == pytest.approx(1.078, abs=1e-3)
    assert len(change.arms) == 1
    assert len(contrast.arms) == 2


def test_observed_intervals() -> None:
    change = figure("ionescu2021_aspire2", statistic=Statistic.MEAN_CHANGE)
    # -15.7 and 1.96 standard errors of 1.078 to either side
    assert change.observed_interval == pytest.approx((-17.81, -13.59), abs=0.01)
    # Wilson's interval of 3 of 12: (0.0889, 0.5323)
    response = figure("shiroma2014", statistic=Statistic.RESPONSE_PCT)
    assert response.observed_interval == pytest.approx((8.89, 53.23), abs=0.01)
    assert figure("mcinnes2022", statistic=Statistic.RELAPSE_PCT).observed_interval is None


def test_arms_say_what_was_given() -> None:
    spray = arm_designs()["daly2018", "esk84"]
    plan = spray.plan(scale_rule("MADRS", spray), "MADRS")
    assert plan.circumstances.belief is Belief.KETAMINE
    assert plan.circumstances.nasal_esketamine
    assert (plan.baseline_mean, plan.baseline_sd, plan.highest) == (35.0, 4.22, 60)
    withdrawn = arm_designs()["daly2019_sustain1", "pbo_remit"]
    sham = withdrawn.plan(scale_rule("MADRS", withdrawn), "MADRS")
    assert max(sham.regimen.starts_h) / 24 == 105
    assert max(sham.sessions_h) / 24 == 371
    placebo = arm_designs()["daly2018", "placebo"]
    assert placebo.drug_days == ()
    assert not placebo.plan(scale_rule("MADRS", placebo), "MADRS").regimen.administrations
    assert scale_rule("CAPS-5", arm_designs()["feder_2021", "ket"]).response_fraction == 0.3
    assert scale_rule("SSI", arm_designs()["abbar2022", "saline"]).condition is Condition.SUICIDAL_IDEATION
    assert arm_designs()["abbar2022", "saline"].setting is Setting.INPATIENT


def test_what_is_asked_of_an_arm() -> None:
    both = tuple(f.read_at for f in scored_figures() if f.arm.key == ("daly2019_sustain1", "esk_resp"))
    asked = asked_of(arm_designs()["daly2019_sustain1", "esk_resp"], "MADRS", both)
    assert asked.but_not_remitters
    assert [asked.times_h[i] / 24 for i in asked.held] == [98, 105]
    assert asked.relapse is not None
    assert [t / 24 for t in asked.relapse.visits_h][:2] == [119, 126]


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"applicable": True, "measure": "at any time"}, "another measure"),
        ({"do_not_fit": True}, "contradicts itself"),
        ({"value": None}, "no value"),
        ({"arm": "nobody"}, "no such arm"),
        ({"t_days": None}, "no time"),
        ({"t_from": TimeOrigin.PERIOD_2}, "an origin that the arm does not have"),
        ({"t_days": 0.0}, "before treatment"),
        ({"scale": "CADSS"}, "no baseline on that scale"),
        ({"scale": "WHODAS"}, "an unknown scale"),
        ({"of": "responders"}, "a part of the arm"),
        ({"statistic": Published.RELAPSE_PCT}, "relapse without a design"),
        ({"statistic": Published.COHEN_D}, "another statistic"),
        ({"statistic": Published.MEAN_DIFF}, "a difference of one arm"),
    ],
)
def test_the_rule_refuses(changes: dict[str, object], why: str) -> None:
    found = trial("murrough2013_ajp")
    first = found.figures[0]
    assert may_be_scored(found, first)
    assert not may_be_scored(found, dataclasses.replace(first, **changes)), why  # type: ignore[arg-type]
    assert not may_be_scored(dataclasses.replace(found, role=Role.BOUND), first)


def test_a_scale_without_remission_has_none_to_score() -> None:
    found = trial("berman2000")
    remission = dataclasses.replace(found.figures[0], statistic=Published.REMISSION_PCT)
    assert not may_be_scored(found, remission)


def test_relapse_without_a_time_needs_the_end_of_follow_up() -> None:
    found = trial("murrough2013_bp")
    relapse = next(f for f in found.figures if f.statistic is Published.RELAPSE_FREE_PCT)
    assert may_be_scored(found, relapse)
    assert not may_be_scored(found, dataclasses.replace(relapse, t_days=None))


def test_an_arm_that_no_trial_holds() -> None:
    record = Record({"belief": "saline", "days": [0]}, file="some.yaml")
    design = read_design(record, key="k", name="n")
    assert design.given is None
    assert design.key == ("k", "n")
    assert design.n is None


def test_a_book_of_another_version_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    arms._book.cache_clear()
    monkeypatch.setattr(arms, "read_record", lambda *_: Record({"schema": 2}, file="arms.yaml"))
    with pytest.raises(Exception, match="unknown version"):
        arms._book()
    monkeypatch.undo()
    arms._book.cache_clear()


def test_an_unread_standard_error_is_none() -> None:
    found = trial("murrough2013_ajp").figures[0]
    assert arms._standard_error(dataclasses.replace(found, spreads=()), 47) is None


def test_what_is_covered_is_what_was_fitted() -> None:
    fitted = [f for f in scored_figures() if f.trial.role is Role.CALIBRATION]
    for condition, treatments in COVERED.items():
        given = [f.arm for f in fitted if f.condition is condition and f.arm.given is not None]
        assert {(a.given.drug, a.given.route) for a in given if a.given} == set(treatments)
        for (drug, route), covered in treatments.items():
            some = [a for a in given if a.given and (a.given.drug, a.given.route) == (drug, route)]
            doses = [d.mg_per_kg if covered.per_kg else d.mg for a in some if a.given and (d := a.given.dose)]
            assert (min(doses), max(doses)) == (covered.lowest, covered.highest)  # type: ignore[type-var]
            assert all(a.given.duration_h == pytest.approx(covered.infusion_h) for a in some if a.given)
            assert max(len(a.drug_days) for a in some) == covered.most_sessions
            assert max(a.drug_days[-1] for a in some) == covered.longest_days
            gaps = [y - x for a in some for x, y in pairwise(a.drug_days)]
            assert ((min(gaps), max(gaps)) if gaps else None) == covered.gaps_days


def test_the_people_covered_are_those_of_what_was_fitted() -> None:
    fitted = [f for f in scored_figures() if f.trial.role is Role.CALIBRATION and f.control is None]
    assert {f.condition for f in fitted} == set(COVERED_PEOPLE)
    for condition, covered in COVERED_PEOPLE.items():
        some = [f for f in fitted if f.condition is condition]
        levels = []
        for f in some:
            (mean, sd), bounds = f.arm.baseline[f.scale], scale_rule(f.scale, f.arm).bounds
            levels.append([(x - bounds.lowest) / (bounds.highest - bounds.lowest) for x in (mean, mean - 2 * sd)])
        means, mildest = zip(*levels, strict=True)
        assert (min(means), max(means)) == pytest.approx(covered.baseline, abs=5e-4)
        assert max(0.0, min(mildest)) == pytest.approx(covered.mildest, abs=5e-4)
        assert max(f.time_h for f in some) == covered.until_days * 24.0
        sizes = [f.arm.n for f in some if f.arm.n is not None]
        assert (min(sizes), max(sizes)) == covered.arms


def test_people_and_follow_up_outside_are_said_with_the_range() -> None:
    depression = Condition.DEPRESSION
    assert outside_people(depression, until_h=386 * 24.0, level=(35, 60), age_years=64.0, smallest_arm=11) == ()
    found = outside_people(depression, until_h=3_650 * 24.0, level=(8, 60), age_years=75.0, smallest_arm=2)
    expected = [
        "Day 3,650 lies beyond .* up to day 385",
        "mean baseline of 13 % .*, 52 to 67 %:",
        "An arm of 2 patients .*, 11 to 90 patients",
        "an age of 65 or over changes: at 75 years",
    ]
    assert len(found) == len(expected)
    assert all(re.search(part, sentence) for part, sentence in zip(expected, found, strict=True))
    assert "An arm of 1 patient lies" in outside_people(depression, until_h=0.0, smallest_arm=1)[0]
    assert len(outside_people(depression, until_h=0.0, level=(43.5, 60))) == 1
    # One patient: trials let in nobody mild, but anybody severe.
    assert outside_people(depression, until_h=0.0, level=(58, 60), one_patient=True) == ()
    assert "33 % or more" in outside_people(depression, until_h=0.0, level=(19, 60), one_patient=True)[0]
    assert outside_people(Condition.COGNITION, until_h=1e6, level=(0, 60), age_years=90.0) == ()


SPRAYS = "{drug: esketamine, route: intranasal, dose: 84 mg, days: "


@pytest.mark.parametrize(
    ("protocol", "said"),
    [
        ("{drug: racemic_ketamine, route: iv, dose: 0.5 mg/kg, infusion: 40 min, days: [0]}", []),
        ("{drug: racemic_ketamine, route: iv, dose: 1.5 mg/kg, infusion: 40 min, days: [0]}", ["0.1 to 1 mg/kg"]),
        ("{drug: racemic_ketamine, route: iv, dose: 0.5 mg/kg, infusion: 2 h, days: [0]}", ["infusion of 2 h.*40 min"]),
        ("{drug: racemic_ketamine, route: iv, dose: 0.5 mg/kg, infusion: 50 min, days: [0]}", []),
        ("{drug: racemic_ketamine, route: iv, dose: 0.5 mg/kg, infusion: bolus, days: [0]}", ["infusion of 0.*40 min"]),
        (
            (
                "{drug: racemic_ketamine, route: iv, dose: 35 mg, infusion: 40 min, days: [0], "
                "population: {weight_kg: 70}}"
            ),
            [],
        ),
        (
            "{drug: esketamine, route: intranasal, dose: 14 mg, days: [0]}",
            ["28 to 84 mg.*that the dose does nothing"],
        ),
        (SPRAYS + "[0, 3, 17]}", []),
        (SPRAYS + "[0, 1]}", [r"sessions 1 days apart \(3 to 14\)"]),
        (SPRAYS + "[0, 7, 35]}", [r"sessions 28 days apart \(3 to 14\)"]),
        (SPRAYS + f"{[7 * week for week in range(42)]}}}", [r"42 sessions \(calibrated: up to 40\), 287 days .*245"]),
        (
            "{drug: racemic_ketamine, route: iv, dose: 0.5 mg/kg, infusion: 40 min, days: [0, 14]}",
            [r"14 days from first to last \(up to 11\), sessions 14 days apart \(2 to 3\)"],
        ),
        ("{drug: racemic_ketamine, route: oral, dose: 100 mg, days: [0]}", ["No calibration figure of depression"]),
        (SPRAYS + "[0], condition: anxiety}", ["No calibration figure is of anxiety"]),
        (
            SPRAYS + "[0], condition: cognition}",
            ["No calibration figure is of cognition", "helps or harms cognition is left out.*narrow is no knowledge"],
        ),
        (
            (
                "{drug: racemic_ketamine, route: iv, dose: 0.5 mg/kg, infusion: 40 min, days: [0, 3], "
                "condition: suicidal_ideation}"
            ),
            [r"2 sessions \(calibrated: up to 1\)\. It"],
        ),
    ],
)
def test_what_lies_outside_is_said_with_the_range(protocol: str, said: list[str]) -> None:
    read = parse_protocol(protocol)
    weight_kg = read.population.weight_kg if read.population else None
    found = outside_calibration(read.condition, read.regimen(), weight_kg=weight_kg)
    assert len(found) == len(said)
    assert all(re.search(part, sentence) for part, sentence in zip(said, found, strict=True))


@pytest.mark.parametrize(
    ("condition", "treatment", "said"),
    [
        (
            Condition.PAIN,
            "route: iv, dose: 0.5 mg/kg, infusion: 40 min, days: [0]",
            ["a weak one is not told from a strong one", r"infusion of 40 min lies outside .*, 4\.2 days"],
        ),
        (
            Condition.DEPRESSION,
            f"route: sc, dose: 1.5 mg/kg, days: {list(range(21))}",
            ["dose cannot be compared", r"21 sessions \(calibrated: up to 6\), 20 days .*, sessions 1 days apart"],
        ),
        (Condition.DEPRESSION, "route: sc, dose: 0.5 mg/kg, days: [0, 2, 4]", ["dose cannot be compared"]),
    ],
)
def test_a_drug_or_route_without_figures_is_still_asked_about_the_rest(
    condition: Condition, treatment: str, said: list[str]
) -> None:
    read = parse_protocol(f"{{condition: {condition}, drug: racemic_ketamine, {treatment}}}")
    found = outside_calibration(condition, read.regimen())
    assert len(found) == len(said)
    assert all(re.search(part, sentence) for part, sentence in zip(said, found, strict=True)), found


def test_settings_that_no_figure_informs_are_said() -> None:
    assert outside_circumstances(Setting.OUTPATIENT, Control.PLACEBO_SPRAY) == ()
    (inpatient,) = outside_circumstances(Setting.INPATIENT, Control.NONE)
    (masked,) = outside_circumstances(Setting.OUTPATIENT, Control.MASKED)
    (saline,) = outside_circumstances(Setting.OUTPATIENT, Control.SALINE)
    assert "being an inpatient changes" in inpatient
    assert "cannot tell the arms apart" in masked
    assert "one pooled result, 1 % responders" in saline


def test_what_validation_missed_is_said_of_the_numbers_it_is_about() -> None:
    assert missed_in_validation(Condition.DEPRESSION) == ()
    assert missed_in_validation(Condition.DEPRESSION, difference=True, relapse=True, self_report=True) == (
        RELAPSE_MISSED,
        DIFFERENCE_MISSED,
        SELF_REPORT_MISSED,
    )
    crisis = missed_in_validation(Condition.SUICIDAL_IDEATION, difference=True, setting=Setting.INPATIENT)
    assert crisis[:2] == (CRISIS_MISSED, DIFFERENCE_MISSED)
    assert "drug cannot harm" in crisis[2]
    assert missed_in_validation(Condition.DEPRESSION, setting=Setting.INPATIENT) == ()
    assert missed_in_validation(Condition.COGNITION, difference=True) == ()
    assert model_standing(Condition.PTSD, "provisional", "One trial.").endswith("None of them is of PTSD.")
    assert intervals_missed(Condition.SUICIDAL_IDEATION) == INTERVALS_MISSED


def test_two_treatments_in_one_course_are_said_to_be_such() -> None:
    spray = parse_protocol(SPRAYS + "[0, 3]}").regimen()
    film = parse_protocol("{drug: racemic_ketamine, route: sublingual, dose: 100 mg, days: [0]}").regimen()
    later = repeat(film.administrations[0], [168.0])
    found = outside_calibration(Condition.DEPRESSION, Regimen((*spray.administrations, *later.administrations)))
    assert len(found) == 2
    assert "racemic ketamine sublingual" in found[0]
    assert "two drugs or routes" in found[1]
    assert outside_calibration(Condition.DEPRESSION, Regimen()) == ()


def test_words_of_a_range() -> None:
    assert COVERED[Condition.PTSD][DrugForm.RACEMIC_KETAMINE, Route.IV].doses == "0.5 mg/kg"
