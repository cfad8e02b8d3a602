"""The protocol file: what a valid one means, and what is said about every kind of mistake, with its line."""

from __future__ import annotations

from pathlib import Path

import pytest

from afterglow.errors import InputError
from afterglow.protocol import (
    Analysis,
    ArmSelection,
    AtRisk,
    Dropout,
    ObservationPlan,
    Population,
    PublishedArms,
    RelapseQuestion,
    ScaleBounds,
    TrialProtocol,
    parse_protocol,
    protocol_markdown,
    read_protocol,
    require_observation,
    require_population,
    write_protocol,
)
from afterglow.quantities import Dose, DrugForm, Rate
from afterglow.therapy.regimen import InfusionStep, Route
from afterglow.therapy.setting import Arm, Condition, Control, Enrolment, Setting

EXAMPLES = Path(__file__).parents[2] / "examples"

FULL = """\
# A comment, then every key once.
title: "Six infusions: who relapses?"
condition: depression
drug: racemic_ketamine
route: iv
dose: 0.5 mg/kg
infusion: 40 min
days: [0, 2, 4, 7, 9, 11]
control: midazolam
setting: inpatient
arm: both
population: {n: 47, n_control: 25, scale: MADRS, baseline_mean: 32.6, baseline_sd: 6.1, weight_kg: 80, age_mean: 46,
  new_antidepressant: true, enrolment: clinic}
observe:
  scale: MADRS
  times: [2 h, 24 h, 7 d, 14 d]
  response: 50 %
  remission: 10
  relapse:
    of: responders
    at: [14 d, 28 d]
    judged: 12 d
    score_at_least: 22
    visits: [14 d, 21 d, 28 d]
    consecutive: 2
trial: {key: murrough2013_ajp, active: ket05, control: midaz}
dropout: {unimproved: 12.5 %, recovered: 2 %, visits: [7 d, 14 d], source: assumed, analysis: completers}
"""
SHORT = "drug: esketamine\nroute: intranasal\ndose: 84 mg\ndays: [0]\n"


def test_every_key_has_its_meaning() -> None:
    assert parse_protocol(FULL) == TrialProtocol(
        title="Six infusions: who relapses?",
        condition=Condition.DEPRESSION,
        drug=DrugForm.RACEMIC_KETAMINE,
        route=Route.IV,
        dose=Dose(mg_per_kg=0.5),
        infusion=40 / 60,
        session_h=(0.0, 2 * 24.0, 4 * 24.0, 7 * 24.0, 9 * 24.0, 11 * 24.0),
        control=Control.MIDAZOLAM,
        setting=Setting.INPATIENT,
        arm=ArmSelection.BOTH,
        population=Population(
            n=47,
            n_control=25,
            scale="MADRS",
            baseline_mean=32.6,
            baseline_sd=6.1,
            weight_kg=80.0,
            age_mean=46.0,
            new_antidepressant=True,
            enrolment=Enrolment.CLINIC,
        ),
        observe=ObservationPlan(
            scale="MADRS",
            times_h=(2.0, 24.0, 7 * 24.0, 14 * 24.0),
            response_fraction=0.5,
            remission_at_most=10.0,
            relapse=RelapseQuestion(
                of=AtRisk.RESPONDERS,
                at_h=(14 * 24.0, 28 * 24.0),
                judged_h=12 * 24.0,
                score_at_least=22.0,
                visits_h=(14 * 24.0, 21 * 24.0, 28 * 24.0),
                consecutive=2,
            ),
        ),
        trial=PublishedArms(key="murrough2013_ajp", active="ket05", control="midaz"),
        dropout=Dropout(
            unimproved=0.125,
            recovered=0.02,
            visits_h=(7 * 24.0, 14 * 24.0),
            source="assumed",
            analysis=Analysis.COMPLETERS,
        ),
    )


def test_four_keys_are_enough() -> None:
    protocol = parse_protocol(SHORT)
    assert (protocol.condition, protocol.control, protocol.setting) == ("depression", "none", "outpatient")
    assert protocol.arms == (Arm.ACTIVE,)
    assert (protocol.population, protocol.observe, protocol.trial, protocol.scale()) == (None, None, None, None)


@pytest.mark.parametrize(
    ("arm", "arms"),
    [("active", (Arm.ACTIVE,)), ("control", (Arm.CONTROL,)), ("both", (Arm.ACTIVE, Arm.CONTROL, Arm.CONTRAST))],
)
def test_both_arms_bring_their_contrast(arm: str, arms: tuple[Arm, ...]) -> None:
    assert parse_protocol(FULL.replace("arm: both", f"arm: {arm}")).arms == arms


@pytest.mark.parametrize(
    ("given", "infusion", "amount_mg"),
    [
        ("route: iv\ndose: 40 mg\ninfusion: 40 min", 40 / 60, 40),
        ("route: iv\ndose: 0.2 mg/kg\ninfusion: bolus", 0.0, 0.2 * 70),
        ("route: sc\ndose: 0.5 mg/kg", None, 0.5 * 70),
        ("route: sc\ndose: 0.5 mg/kg\ninfusion: 1 h", 1.0, 0.5 * 70),
        (
            "route: iv\ninfusion: [{rate: 0.1 mg/kg/h, for: 2 h}, {rate: 20 mg/h, for: 30 min}]",
            (
                InfusionStep(rate=Rate(mg_per_kg_per_h=0.1), duration_h=2.0),
                InfusionStep(rate=Rate(mg_per_h=20.0), duration_h=0.5),
            ),
            0.1 * 2 * 70 + 20 * 0.5,
        ),
    ],
)
def test_ways_of_giving(given: str, infusion: object, amount_mg: float) -> None:
    protocol = parse_protocol(f"drug: racemic_ketamine\ndays: [0]\n{given}\n")
    assert protocol.infusion == infusion
    assert protocol.regimen().administrations[0].amount_mg(70.0) == pytest.approx(amount_mg)


def test_days_may_be_times() -> None:
    protocol = parse_protocol(SHORT.replace("[0]", "[0, 12 h, 1.5, 2 d]"))
    assert protocol.session_h == protocol.regimen().starts_h == (0.0, 12.0, 36.0, 48.0)


def test_a_scale_of_the_trial_is_declared_with_its_bounds() -> None:
    text = SHORT + "scales: {CAPS-5: [0, 80]}\npopulation: {n: 9, scale: CAPS-5, baseline_mean: 40, baseline_sd: 8}\n"
    complete = require_population(parse_protocol(text))
    assert complete.scale == ScaleBounds(name="CAPS-5", lowest=0.0, highest=80.0)


def test_the_control_arm_is_as_large_as_the_active_one_unless_said() -> None:
    assert require_population(parse_protocol(FULL)).n_control == 25
    assert require_population(parse_protocol(FULL.replace("n_control: 25, ", ""))).n_control == 47


def test_one_scale_serves_baseline_and_observation() -> None:
    for text in (FULL.replace("  scale: MADRS\n", ""), FULL.replace(" scale: MADRS,", "")):
        assert parse_protocol(text).scale() == ScaleBounds(name="MADRS", lowest=0, highest=60)


def test_relapse_counts_from_the_last_session_unless_said() -> None:
    assert parse_protocol(FULL).relapse_judged_h == 12 * 24.0
    assert parse_protocol(FULL.replace("    judged: 12 d\n", "")).relapse_judged_h == (11 + 1) * 24.0
    assert parse_protocol(SHORT).relapse_judged_h == 24.0


# What is replaced in FULL, and what is said about it.
MISTAKES = {
    # names
    ("dose:", "doze:"): ":6: The file has no key of this name; found 'doze'; allowed: title, condition, drug",
    ("n_control: 25", "n_controls: 25"): "Did you mean n_control?",
    ("32.6", "32,6"): ":12: population has no key of this name; found '6'",
    ("depression", "depresion"): ":3: condition is not known; found 'depresion'; allowed: depression, ",
    ("racemic_ketamine", "ketamine"): ":4: drug is not known; found 'ketamine'; allowed: racemic_ketamine, esketamine.",
    ("route: iv", "route: inhaled"): ":5: route is not known; found 'inhaled'; allowed: iv, intranasal, im, sc",
    ("scale: MADRS, ", "scale: MADRX, "): ":12: population.scale is not known; found 'MADRX'; allowed: MADRS",
    ("  scale: MADRS\n", "  scale: MADRX\n"): "scales: {MADRX: [LOWEST, HIGHEST]}",
    ("murrough2013_ajp", "murrough2013_apj"): ":26: No trial has this key; found 'murrough2013_apj'",
    ("ket05", "ket5"): ":26: murrough2013_ajp has no arm of this name; found 'ket5'; allowed: ket05, midaz.",
    # quantities
    ("0.5 mg/kg", "0.5 mg/lbs"): ":6: dose has no known unit; found '0.5 mg/lbs'; allowed: kg, lb.",
    ("0.5 mg/kg", "0.5"): ":6: dose needs a unit; found '0.5'; allowed: g, mg",
    ("0.5 mg/kg", "-0.5 mg/kg"): ":6: dose cannot be negative; found '-0.5 mg/kg'; allowed: 0 or more.",
    ("0.5 mg/kg", "50 mg/kg"): ":6: The IV dose of racemic ketamine is refused; found 50 mg/kg; allowed: 0 to 1.5",
    ("0.5 mg/kg", "4 g"): ":6: The IV dose of racemic ketamine is refused; found 50 mg/kg",  # 4000 mg in 80 kg
    ("40 min", "no"): ":7: infusion cannot be read; found 'no'; allowed: a number with its unit.",
    ("40 min", "40"): ":7: infusion needs a unit; found '40'",
    ("40 min", "0 min"): ":7: infusion must be longer than nothing; found '0 min'",
    ("n: 47", "n: on"): ":12: population.n cannot be read; found 'on'",
    ("n: 47", "n: .nan"): ":12: population.n cannot be read; found '.nan'",
    ("n: 47", "n: 47.5"): ":12: population.n is a whole number; found '47.5'; allowed: 1 to 1000000.",
    ("n: 47", "n: 0"): ":12: population.n is refused; found 0; allowed: 1 to 1000000.",
    ("age_mean: 46", "age_mean: 460"): ":12: population.age_mean in years is refused; found 460; allowed: 0 to 130.",
    ("weight_kg: 80", "weight_kg: 80000"): ":12: population.weight_kg in kg is refused; found 80000",
    ("true", "yes"): ":13: population.new_antidepressant is yes or no; found 'yes'; allowed: true, false.",
    ("50 %", "0.5"): ":17: observe.response needs a percent sign; found '0.5'",
    ("50 %", "150 %"): ":17: observe.response is refused; found '150 %'; allowed: over 0 % to 100 %.",
    ("24 h", "24"): ":16: observe.times[2] needs a unit; found '24'",
    # scales and cut-offs
    ("32.6", "62.6"): ":12: population.baseline_mean lies outside MADRS; found 62.6 points; allowed: 0 to 60 points.",
    ("6.1", "31"): ":12: population.baseline_sd is impossible on MADRS; found 31 points; allowed: 0 to 30 points.",
    ("remission: 10", "remission: 61"): ":18: observe.remission lies outside MADRS; found 61 points",
    ("least: 22", "least: 61"): ":23: observe.relapse.score_at_least lies outside MADRS; found 61 points",
    ("  scale: MADRS\n", "  scale: PHQ-9\n"): ":15: observe.scale is not the scale of the baseline",
    ("arm: both", "arm: both\nscales: {MADRS: [0, 60]}"): ":12: scales.MADRS needs no bounds",
    ("arm: both", "arm: both\nscales: {A: [9, 1]}"): ":12: The lowest score of A must be under its highest",
    ("arm: both", "arm: both\nscales: {A: [9]}"): ":12: scales.A needs two numbers; found 1",
    ("  scale: MADRS\n", "  scale: C-SSRS screener\n"): ":15: C-SSRS screener has no total score",
    # drop-out
    ("12.5 %", "100 %"): ":27: dropout.unimproved is refused; found 100 %; allowed: over 0 % to under 100 % a visit.",
    ("recovered: 2 %", "recovered: 0 %"): ":27: dropout.recovered is refused; found '0 %'",
    ("source: assumed", "source: guessed"): "27: No source or trial has this key; found 'guessed'",
    (", source: assumed", ""): ":27: dropout.source is missing; allowed: name.",
    ("completers", "per_protocol"): ":27: dropout.analysis is not known; found 'per_protocol'; allowed: intention_to",
    ("[7 d, 14 d]", "[14 d, 7 d]"): ":27: dropout.visits must rise",
    # order
    ("[0, 2, 4", "[0, 4, 2"): ":8: days must rise, each time once; found 2 days after 4 days. Put the times in order.",
    ("[0, 2, 4", "[0, 2, 2"): ":8: days must rise, each time once; found 2 days after 2 days.",
    ("[0, 2, 4", "[1, 2, 4"): ":8: days count from the first session; found a first session at 24 h",
    ("[0, 2, 4", "[-1, 2, 4"): ":8: days lies outside the course; found −24 h",
    ("11]", "1e6]"): ":8: days lies outside the course; found 1000000 days; allowed: 0 h to 3652.5 days",
    ("[0, 2, 4, 7, 9, 11]", "[]"): ":8: days is empty; allowed: at least one time.",
    ("[2 h, 24 h", "[24 h, 2 h"): ":16: observe.times must rise",
    ("[14 d, 28 d]", "[28 d, 14 d]"): ":21: observe.relapse.at must rise",
    ("[14 d, 21 d", "[21 d, 14 d"): ":24: observe.relapse.visits must rise",
    ("[14 d, 28 d]", "[12 d, 28 d]"): ":21: observe.relapse.at must come after the responders are determined",
    ("[14 d, 21 d", "[7 d, 21 d"): ":24: observe.relapse.visits must come after the responders are determined",
    # what does not go together
    ("infusion: 40 min\n", ""): ":2: infusion is missing: an intravenous dose is infused or pushed",
    ("dose: 0.5 mg/kg\n", ""): ":2: dose is missing; allowed: an amount as in 0.5 mg/kg or 84 mg, or infusion steps.",
    ("40 min", "[{rate: 9 mg/h, for: 2 h}]"): ":6: dose and infusion steps exclude each other",
    ("40 min", "[]"): ":7: infusion has no step",
    ("40 min", "[{rate: 9 mg/h}]"): ":7: infusion[1].for is missing; allowed: duration with its unit: 40 min, 2 h.",
    ("route: iv", "route: oral"): ":7: infusion does not go with this route; found oral; allowed: iv, sc.",
    ("midazolam", "placebo_spray"): ":9: control placebo_spray does not go with route iv",
    ("control: midazolam", "control: none"): ":11: arm both is asked for, but control is none: there is no other arm",
    ("  response: 50 %\n", ""): ":19: observe.response is missing, so nobody knows who the responders are",
    ("consecutive: 2", "improvement_below: 50 %"): ":25: A relapse has one definition",
    # shape
    ("title: ", "title: &a "): ":2: title uses a YAML tag, anchor or alias",
    ("n: 47", "n: *a"): ":12: population.n uses a YAML tag, anchor or alias",
    ("n: 47", "n: !!int 47"): ":12: population.n uses a YAML tag, anchor or alias",
    ("{n: 47", "{<<: {a: b}, n: 47"): ":12: population has no key of this name; found '<<'",
    ("n: 47", "n: [47]"): ":12: population.n has the wrong shape; found a list; allowed: one value.",
    ("n: 47", "n: {a: 47}"): ":12: population.n has the wrong shape; found a mapping; allowed: one value.",
    ("[0, 2, 4, 7, 9, 11]", "0"): ":8: days has the wrong shape; found one value ('0'); allowed: a list",
    ("depression", ""): ":3: condition has no value. Give a value, or leave it out.",
    ("control: midazolam", "dose: 1 mg"): ":9: The same key stands twice; found 'dose', first on line 6.",
    ("control: midazolam", "control: midazolam\n---"): ":10: The file holds several documents; allowed: one.",
    ("[2 h", "[" * 20 + "2 h"): ":16: The file is nested too deeply; allowed: 10 levels.",
    ("[2 h", "[{[a]: 2} h"): ":16: A key is one word",
    ("24 h, 7 d, 14 d]", "24 h"): "The file is not YAML",
    ("Six", "\x07Six"): ":2: The file holds a character that is not text; found U+0007.",
    ("?", "?" * 200): ":2: title is refused; found 227 characters; allowed: one line of up to 200 ",
    ("?", "\\n"): ":2: title is refused",
}  # fmt: skip


@pytest.mark.parametrize(("right", "wrong"), MISTAKES)
def test_a_mistake_is_named_with_its_line_value_and_what_is_allowed(right: str, wrong: str) -> None:
    assert right in FULL
    with pytest.raises(InputError) as refused:
        parse_protocol(FULL.replace(right, wrong, 1), file="my.yaml")
    assert str(refused.value).startswith("my.yaml:")
    assert MISTAKES[right, wrong] in str(refused.value)


@pytest.mark.parametrize(
    ("addition", "message"),
    [
        ("arm: control\n", "p:5: arm control is asked for, but control is none"),
        ("population: {n_control: 9}\n", "p:5: population.n_control counts patients of an arm that does not exist"),
        ("control: saline\n", "p:5: control saline does not go with route intranasal"),
        ("population: {baseline_sd: 5}\n", "p:5: population.scale is missing"),
        ("observe: {times: [2 h]}\n", "p:5: observe.scale is missing"),
        (
            "observe: {times: [2 h], scale: MADRS, response: 50 %, relapse: {of: remitters, at: [7 d]}}\n",
            "p:5: observe.remission is missing, so nobody knows who the remitters are",
        ),
        ("scales: {PEGX: [0, 10], PEGX: [0, 10]}\n", "p:5: The same key stands twice"),
    ],
)
def test_what_is_missing_or_too_much_beside_the_four_keys(addition: str, message: str) -> None:
    with pytest.raises(InputError) as refused:
        parse_protocol(SHORT + addition, file="p")
    assert str(refused.value).startswith(message)


def test_a_session_waits_for_the_infusion_before() -> None:
    text = "drug: esketamine\nroute: iv\ninfusion: [{rate: 20 mg/h, for: 100 h}]\ndays: [0, 4]\n"
    with pytest.raises(
        InputError, match=r"p:4: A session starts before the infusion .* found 4 days between sessions of 4.2 days"
    ):
        parse_protocol(text, file="p")
    assert parse_protocol(text.replace("[0, 4]", "[0, 5]")).session_h == (0.0, 120.0)


def test_an_infusion_has_an_end() -> None:
    text = "drug: esketamine\nroute: iv\ninfusion: [{rate: 1 mg/h, for: 9e9 h}]\ndays: [0]\n"
    with pytest.raises(InputError, match="p:3: infusion lasts longer than any course"):
        parse_protocol(text, file="p")


def test_without_a_weight_the_limit_is_checked_for_70_kg_and_says_so() -> None:
    text = "drug: racemic_ketamine\nroute: iv\ndose: 120 mg\ninfusion: bolus\ndays: [0]\n"
    # 120 mg / 70 kg = 1.71 mg/kg, over the limit of 1.5; 120 mg / 120 kg = 1 mg/kg is not.
    with pytest.raises(InputError, match=r"p:3: .* found 1\.71429 mg/kg; .* give the body weight: 70 kg was assumed"):
        parse_protocol(text, file="p")
    assert parse_protocol(text + "population: {weight_kg: 120}\n").dose == Dose(mg=120.0)
    assert parse_protocol(text.replace("120 mg", "1.2 mg/kg")).dose == Dose(mg_per_kg=1.2)


@pytest.mark.parametrize("key", ["n", "scale", "baseline_mean", "baseline_sd"])
def test_predicting_a_trial_names_the_key_that_is_missing(key: str) -> None:
    values = {"n": "9", "scale": "MADRS", "baseline_mean": "30", "baseline_sd": "5"}
    del values[key]
    if key == "scale":
        del values["baseline_mean"], values["baseline_sd"]  # they have no meaning without a scale
    inside = ", ".join(f"{name}: {value}" for name, value in values.items())
    with pytest.raises(InputError, match=rf"population\.{key} is missing. Add population\.{key} to the protocol"):
        require_population(parse_protocol(SHORT + f"population: {{{inside}}}\n"))


def test_predicting_a_trial_needs_something_to_observe() -> None:
    with pytest.raises(InputError, match="observe is missing"):
        require_observation(parse_protocol(SHORT))
    assert require_observation(parse_protocol(FULL)).times_h[0] == 2.0


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "p: The file is empty."),
        ("\n# nothing but a comment\n", "p: The file is empty."),
        ("---\n", "p:2: The file has the wrong shape; found one value ('')"),
        ("ketamine", "p:1: The file has the wrong shape; found one value ('ketamine'); allowed: keys with values"),
        ("- drug: esketamine", "p:1: The file has the wrong shape; found a list"),
        ("a: [", "p:2: The file is not YAML; found did not find expected node content."),
        ("a: b: c", "p:1: The file is not YAML; found mapping values are not allowed in this context."),
        ("%YAML 3.0\n---\na: b", "p:1: The file is not YAML; found incompatible YAML document."),
        ("drug: esketamine\n", "p:1: route is missing; allowed: iv | intranasal | im | sc | sublingual | oral."),
        ("{}", "p:1: drug is missing; allowed: racemic_ketamine | esketamine."),
        ("drug: \ud800", "p:1: The file holds a character that is not text; found U+D800."),
        ('drug: "\\ud800"', "p:1: The file is not YAML; found invalid Unicode character escape code."),
    ],
)
def test_a_file_that_is_no_protocol(text: str, message: str) -> None:
    with pytest.raises(InputError) as refused:
        parse_protocol(text, file="p")
    assert str(refused.value).startswith(message)


def test_writing_leaves_out_defaults_and_reads_back() -> None:
    assert (
        write_protocol(parse_protocol(FULL))
        == """\
title: "Six infusions: who relapses?"
drug: racemic_ketamine
route: iv
dose: 0.5 mg/kg
infusion: 40 min
days: [0, 2, 4, 7, 9, 11]
control: midazolam
setting: inpatient
arm: both
population: {n: 47, n_control: 25, scale: MADRS, baseline_mean: 32.6, baseline_sd: 6.1, weight_kg: 80, age_mean: 46, \
new_antidepressant: true, enrolment: clinic}
observe: {scale: MADRS, times: [2 h, 24 h, 7 d, 14 d], response: 50 %, remission: 10, relapse: {of: responders, \
at: [14 d, 28 d], judged: 12 d, score_at_least: 22, visits: [14 d, 21 d, 28 d], consecutive: 2}}
dropout: {unimproved: 12.5 %, recovered: 2 %, source: assumed, visits: [7 d, 14 d], analysis: completers}
trial: {key: murrough2013_ajp, active: ket05, control: midaz}
"""
    )


@pytest.mark.parametrize("path", sorted(EXAMPLES.glob("*.yaml")), ids=lambda path: path.name)
def test_the_examples_read_and_write(path: Path) -> None:
    protocol = read_protocol(path)
    assert parse_protocol(write_protocol(protocol)) == protocol


def test_the_murrough_example_holds_the_published_numbers() -> None:
    protocol = read_protocol(EXAMPLES / "murrough2013.yaml")
    people = require_population(protocol)
    assert (people.n, people.n_control, people.baseline_mean, people.baseline_sd) == (47, 25, 32.6, 6.1)
    assert protocol.trial == PublishedArms(key="murrough2013_ajp", active="ket05", control="midaz")
    assert protocol.arms == (Arm.ACTIVE, Arm.CONTROL, Arm.CONTRAST)


def test_the_reference_page_names_every_key_once_per_section() -> None:
    page = protocol_markdown()
    for section in ("protocol", "`infusion`", "`population`", "`observe`", "`observe.relapse`", "`dropout`", "`trial`"):
        assert section in page
    assert page.count("| `baseline_sd` |") == page.count("| `days` |") == page.count("| `timezone` |") == 1
    assert "| `drug` | `racemic_ketamine` \\| `esketamine` | required | what is given |" in page
    assert "| `enrolment` | `trial` \\| `clinic` | `trial` |" in page
    assert all(line.count(" | ") in {1, 3} for line in page.splitlines() if line.startswith("| `"))


@pytest.mark.parametrize(
    ("link", "said"),
    [
        ("{key: daly2018, active: esk84, control: placebo}", "Arm esk84 of daly2018 had another treatment"),
        ("{key: fava2020, active: ket10, control: midaz}", "Arm ket10 of fava2020 had another treatment"),
        (
            "{key: murrough2013_ajp, active: ket05, control: ket05}",
            "Arm ket05 of murrough2013_ajp had another comparator",
        ),
    ],
)
def test_figures_of_another_treatment_never_stand_beside_a_prediction(link: str, said: str) -> None:
    example = (Path(__file__).parents[2] / "examples" / "murrough2013.yaml").read_text(encoding="utf-8")
    own = "{key: murrough2013_ajp, active: ket05, control: midaz}"
    assert own in example
    with pytest.raises(InputError) as refused:
        parse_protocol(example.replace(own, link), file="my.yaml")
    assert str(refused.value).startswith("my.yaml:21: ")
    assert said in str(refused.value)
