"""Virtual patients: the file, who is drawn, and what circumstances change."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import fields, replace
from itertools import pairwise
from pathlib import Path
from types import MappingProxyType

import numpy as np
import pytest
from scipy.stats import qmc

from afterglow.errors import AfterglowError, InvalidData
from afterglow.evidence import SpreadKind, fact, sources
from afterglow.provenance import Verified
from afterglow.therapy import population as module
from afterglow.therapy.kinetics import FloatArray
from afterglow.therapy.population import (
    Belief,
    Circumstances,
    Drive,
    Parameter,
    Population,
    Spread,
    VirtualPatients,
    belief,
    draw_patients,
    load_population,
    normal_points,
    parse_population,
    population_markdown,
    prior_population,
    typical_chain,
)
from afterglow.therapy.setting import Condition, Control, Enrolment, Setting

FILE = Path(module.__file__).parent / "data" / "population.yaml"
TEXT = FILE.read_text(encoding="utf-8")
KETAMINE = Circumstances(belief=Belief.KETAMINE)


def depression() -> Population:
    return prior_population(Condition.DEPRESSION)


def draw(
    circumstances: Circumstances = KETAMINE,
    *,
    population: Population | None = None,
    count: int = 256,
    patients_per_draw: int = 1,
) -> VirtualPatients:
    return draw_patients(
        population or depression(),
        circumstances,
        seed=5,
        first=0,
        count=count,
        patients_per_draw=patients_per_draw,
    )


def logit(x: FloatArray) -> FloatArray:
    value: FloatArray = np.log(x / (1 - x))
    return value


# The file


@pytest.mark.parametrize(
    ("found", "replacement", "says"),
    [
        ("schema: 1", "schema: 2", "schema"),
        ("schema: 1\n", "", "schema"),
        ("status: provisional", "state: provisional", "stat"),
        ("schema: 1", "schema: 1\ncolour: red", "colour"),
        ("  cognition:\n    drive", "  memory:\n    drive", "condition.*allowed: .*cognition"),
        ("scale: logit, typical: 0.21", "scale: probit, typical: 0.21", "probit.*allowed: log, logit, plain"),
        ("typical: 0.21", "typical: a fifth", "typical.* is not a number"),
        ("{unit: kg, scale", "{unit: kg, weight: 80, scale", "weight"),
        ("source: [perezruixo2021], ", "", "source"),
        ("verified: page,\n", "verified: maybe,\n", "maybe"),
        ("drive: effect_compartment", "drive: engine", "engine.*allowed: plasticity, effect_compartment"),
    ],
)
def test_a_broken_file_is_refused(found: str, replacement: str, says: str) -> None:
    assert found in TEXT
    with pytest.raises(InvalidData, match=f"(?s)population.yaml.*{says}"):
        parse_population(TEXT.replace(found, replacement, 1), Condition.DEPRESSION, file="population.yaml")


@pytest.mark.parametrize("text", ["", "[]", "just words"])
def test_what_is_no_mapping_is_refused(text: str) -> None:
    with pytest.raises(InvalidData, match="mapping"):
        parse_population(text, Condition.DEPRESSION, file="population.yaml")


@pytest.mark.parametrize("condition", Condition)
def test_every_parameter_says_where_it_comes_from(condition: Condition) -> None:
    population = prior_population(condition)
    assert population.status == "provisional"
    assert population.condition is condition
    assert population.evidence
    for parameter in population.parameters.values():
        assert parameter.unit
        assert parameter.provenance.source
        if parameter.provenance.source == ("assumed",):
            assert parameter.provenance.verified is Verified.POLICY, parameter.name
        else:
            assert set(parameter.provenance.source) <= set(sources()), parameter.name
        assert parameter.uncertainty_sd >= 0
        assert parameter.between_sd >= 0


def test_a_condition_changes_only_what_it_names() -> None:
    ordinary, ptsd = depression().parameters, prior_population(Condition.PTSD).parameters
    assert {name for name in ordinary if ordinary[name] != ptsd[name]} == {
        "largest_drug_relief",
        "trial_care_sd",
        "trial_expectancy_sd",
        "trial_drug_relief_sd",
    }
    assert depression().drive is Drive.PLASTICITY


def test_pain_takes_the_published_effect_site() -> None:
    pain = prior_population(Condition.PAIN)
    assert pain.drive is Drive.EFFECT_COMPARTMENT
    level, half_time = pain.parameters["half_relief"], pain.parameters["effect_half_time_h"]
    c50, t_half = fact("dahan2011_c50_crps_pain_relief"), fact("dahan2011_half_time_crps_pain_relief")
    assert (level.typical, level.unit) == (c50.value, "ng/mL")
    assert t_half.value is not None
    assert half_time.typical == pytest.approx(24.0 * t_half.value)
    # The interval of a lognormal: from typical to a bound are 1.96 standard deviations.
    for parameter, published, per_day in ((level, c50, 1.0), (half_time, t_half, 24.0)):
        interval = next(one for one in published.spread if one.kind is SpreadKind.CI95)
        assert interval.lo is not None
        assert interval.hi is not None
        sd = np.log(interval.hi / interval.lo) / (2 * 1.959964)
        assert parameter.uncertainty_sd == pytest.approx(sd, abs=0.01)
        assert interval.lo * per_day < parameter.typical < interval.hi * per_day


# Who believes what


def test_expectancy_follows_belief() -> None:
    order = [Belief.SALINE, Belief.PLACEBO_SPRAY, Belief.MASKED, Belief.MIDAZOLAM, Belief.KETAMINE, Belief.OPEN]
    assert set(order) == set(Belief)
    everyone = [draw(Circumstances(belief=one)).readout.expectancy for one in order]
    typical = [depression().parameters[f"expectancy_{one}"].typical for one in order]
    assert typical == sorted(typical)
    assert len(set(typical)) == len(order)
    for lower, higher in pairwise(everyone):
        assert np.median(lower) < np.median(higher)


@pytest.mark.parametrize(
    ("control", "active", "other"),
    [
        (Control.SALINE, Belief.KETAMINE, Belief.SALINE),
        (Control.MIDAZOLAM, Belief.KETAMINE, Belief.MIDAZOLAM),
        (Control.PLACEBO_SPRAY, Belief.KETAMINE, Belief.PLACEBO_SPRAY),
        (Control.MASKED, Belief.MASKED, Belief.MASKED),
    ],
)
def test_an_arm_believes_what_it_can_tell(control: Control, active: Belief, other: Belief) -> None:
    assert belief(control, active=True) is active
    assert belief(control, active=False) is other


def test_without_a_control_the_drug_is_given_openly() -> None:
    assert belief(Control.NONE, active=True) is Belief.OPEN


# Circumstances


def arrays(patients: VirtualPatients) -> dict[str, FloatArray]:
    found: dict[str, FloatArray] = {}
    for part in (patients, patients.chain, patients.readout, patients.pk):
        for field in fields(part):
            value = getattr(part, field.name)
            if isinstance(value, np.ndarray):
                found[field.name] = value
            elif isinstance(value, Mapping):
                found |= value
    return found


@pytest.mark.parametrize(
    ("change", "changed"),
    [
        ({"setting": Setting.INPATIENT}, {"care"}),
        ({"new_antidepressant": True}, {"care"}),
        ({"enrolment": Enrolment.CLINIC}, {"care", "inflation"}),
        ({"nasal_esketamine": True}, {"largest_drug_relief"}),
        ({"age_mean_years": 65.0}, {"largest_drug_relief"}),
        ({"age_mean_years": 64.9}, set()),
        ({"belief": Belief.SALINE}, {"expectancy"}),
        ({"weight_kg": 90.0}, {"weight_kg"}),
        ({"people_per_arm": 30}, {"largest_drug_relief"}),
        ({"people_per_arm": 30, "enrolment": Enrolment.CLINIC}, {"care", "inflation"}),
    ],
)
def test_circumstances_change_what_they_should_and_nothing_else(change: dict[str, object], changed: set[str]) -> None:
    before, after = arrays(draw()), arrays(draw(replace(KETAMINE, **change)))  # type: ignore[arg-type]
    assert {name for name in before if not np.array_equal(before[name], after[name])} == changed


def test_a_protocol_weight_moves_everybody_alike() -> None:
    ratio = draw(replace(KETAMINE, weight_kg=148.0)).weight_kg / draw().weight_kg
    assert np.allclose(ratio, 148.0 / 74.0)


def test_a_clinic_has_neither_inflation_nor_trial_care() -> None:
    clinic = draw(replace(KETAMINE, enrolment=Enrolment.CLINIC)).readout
    assert np.all(clinic.inflation == 0)
    assert np.all(clinic.care == 0)
    with_drug = draw(replace(KETAMINE, enrolment=Enrolment.CLINIC, new_antidepressant=True)).readout
    assert np.median(with_drug.care) == pytest.approx(0.2, abs=0.01)


def test_care_adds_up() -> None:
    """Medians of symmetric sums: 0.1 in a trial, and 0.05 inpatients, and 0.2 with a new antidepressant."""
    for change, expected in (
        ({}, 0.1),
        ({"setting": Setting.INPATIENT}, 0.15),
        ({"new_antidepressant": True}, 0.3),
        ({"setting": Setting.INPATIENT, "new_antidepressant": True}, 0.35),
    ):
        care = draw(replace(KETAMINE, **change)).readout.care
        assert np.median(care) == pytest.approx(expected, abs=0.02)
        assert care.min() < 0.0 or expected > 0.1  # in some trials people get worse


def with_parameter(name: str, **change: float) -> Population:
    population = depression()
    parameter: Parameter = replace(population.parameters[name], **change)  # type: ignore[arg-type]
    return replace(population, parameters=MappingProxyType({**population.parameters, name: parameter}))


def test_nobody_loses_more_than_all_symptoms() -> None:
    readout = draw(population=with_parameter("care", typical=3.0)).readout
    assert np.all(readout.care == 1.0)


@pytest.mark.parametrize(
    ("name", "circumstances"),
    [
        ("nasal_esketamine_offset", replace(KETAMINE, nasal_esketamine=True)),
        ("age_65_offset", replace(KETAMINE, age_mean_years=70.0)),
    ],
)
def test_offsets_act_on_the_logit_of_the_largest_relief(name: str, circumstances: Circumstances) -> None:
    plain = draw(circumstances).readout.largest_drug_relief
    shifted = draw(circumstances, population=with_parameter(name, typical=0.7)).readout.largest_drug_relief
    assert np.allclose(logit(shifted) - logit(plain), 0.7)


@pytest.mark.parametrize(("people", "spreads"), [(30, 0.5), (120, 0.25), (8, 0.5 * 3.75**0.5), (10**9, 0.0)])
def test_small_trials_show_more_of_the_drug(people: int, spreads: float) -> None:
    """By 0.5 times the root of 30/n, in spreads between trials; those are doubtful, so each draw has its own."""
    sure = with_parameter("trial_drug_relief_sd", uncertainty_sd=0.0)
    sure = replace(sure, uncertain=tuple(name for name in sure.uncertain if name != "trial_drug_relief_sd"))
    large, small = (draw(one, population=sure) for one in (KETAMINE, replace(KETAMINE, people_per_arm=people)))
    moved = logit(small.readout.largest_drug_relief) - logit(large.readout.largest_drug_relief)
    assert np.allclose(moved, spreads * 0.45, atol=1e-4)  # 0.45 is the prior's spread between trials


def test_a_patient_of_a_clinic_has_the_relief_of_a_large_trial() -> None:
    clinic = replace(KETAMINE, enrolment=Enrolment.CLINIC)
    one, many = draw(clinic), draw(replace(clinic, people_per_arm=10))
    assert np.array_equal(one.readout.largest_drug_relief, many.readout.largest_drug_relief)
    assert np.array_equal(one.readout.largest_drug_relief, draw().readout.largest_drug_relief)


# Draws


def test_values_follow_their_scale() -> None:
    """Quantiles of 4096 patients against the closed forms: log, logit and no spread."""
    people = draw(count=4096)
    for name, values in (("half_relief", people.readout.half_relief), ("weight_kg", people.weight_kg)):
        parameter = depression().parameters[name]
        assert parameter.spread is Spread.LOG
        # Doubt about a lognormal spread: its mean square is the square of its median times exp(2 sd²).
        between = parameter.between_sd * np.exp(parameter.between_uncertainty_sd**2)
        sd = np.hypot(parameter.uncertainty_sd, between)
        assert np.log(values).mean() == pytest.approx(np.log(parameter.typical), abs=0.01)
        assert np.log(values).std() == pytest.approx(sd, rel=0.02)
    e = depression().parameters["expectancy_ketamine"]
    trial = depression().parameters["trial_expectancy_sd"]
    trial_sd, between = (
        sd * np.exp(doubt**2)
        for sd, doubt in ((trial.typical, trial.uncertainty_sd), (e.between_sd, e.between_uncertainty_sd))
    )
    found = logit(people.readout.expectancy)
    assert found.mean() == pytest.approx(e.transformed, abs=0.02)
    assert found.std() == pytest.approx(np.sqrt(e.uncertainty_sd**2 + between**2 + trial_sd**2), rel=0.04)
    assert np.all(people.chain.synaptic_gain_per_h == 1.0)


def test_patients_of_a_draw_share_its_typical_values() -> None:
    people = draw(count=64, patients_per_draw=16)
    assert people.draw.tolist() == [i // 16 for i in range(64)]
    for shared in (people.error_clinician, people.readout.steepness, people.chain.half_block_ng_per_ml):
        by_draw = shared.reshape(4, 16)
        assert np.all(by_draw == by_draw[:, :1])
        assert len(np.unique(shared)) == 4
    assert len(np.unique(people.readout.half_relief)) == 64


def test_nothing_random_is_correlated_by_construction() -> None:
    """Every pair of deviates of 4096 patients, their draws and their moods: below 0.1, where chance gives 0.016."""
    people = draw(count=4096)
    population = depression()
    everything = np.column_stack(
        [
            normal_points(5, skip=0, dimensions=population.person_dimensions, first=0, count=4096),
            normal_points(
                5,
                skip=population.person_dimensions,
                dimensions=population.dimensions - population.person_dimensions,
                first=0,
                count=4096,
            ),
            people.further_deviates(8),
        ]
    )
    assert np.array_equal(everything[:, population.person_dimensions - 1], people.baseline_deviate)
    others = ~np.eye(everything.shape[1], dtype=bool)
    assert np.max(np.abs(np.corrcoef(everything.T))[others]) < 0.1
    assert np.allclose(everything.mean(axis=0), 0.0, atol=0.01)
    assert np.allclose(everything.std(axis=0), 1.0, atol=0.02)


@pytest.mark.parametrize("point", [0.0, 1.0 - 2.0**-30])
def test_the_ends_of_the_sequence_are_finite(monkeypatch: pytest.MonkeyPatch, point: float) -> None:
    """A scrambled point may lie on either end of its grid of 2^-30."""
    monkeypatch.setattr(qmc.Sobol, "random_base2", lambda self, m: np.full((2**m, self.d), point))
    deviates = normal_points(0, skip=1, dimensions=2, first=0, count=3)
    assert deviates.shape == (3, 2)
    assert np.all(np.abs(deviates) < 6.5)
    found = arrays(draw(count=3))
    assert all(np.all(np.isfinite(values)) for values in found.values())


def test_nobody_is_nobody() -> None:
    people = draw(count=0)
    assert len(people) == 0
    assert people.further_deviates(2).shape == (0, 2)


@pytest.mark.parametrize("condition", [Condition.DEPRESSION, Condition.PAIN])
def test_some_of_the_patients_are_taken_with_all_that_is_theirs(condition: Condition) -> None:
    everyone = draw(population=prior_population(condition), count=8)
    chosen = np.array([6, 0, 6])
    some = everyone.take(chosen)
    assert len(some) == 3
    theirs, taken = arrays(everyone), arrays(some)
    assert theirs.keys() == taken.keys()
    for name, values in theirs.items():
        assert np.array_equal(taken[name], values[chosen]), name


def test_the_page_lists_every_parameter_and_condition() -> None:
    page = population_markdown()
    for condition in Condition:
        population = load_population(condition)
        assert population.evidence in page
        for name, parameter in population.parameters.items():
            assert f"`{name}`" in page
            assert f" {parameter.typical:g} " in page


@pytest.mark.parametrize("condition", Condition)
def test_only_pain_has_an_effect_half_time(condition: Condition) -> None:
    people = draw(population=prior_population(condition))
    assert (people.effect_half_time_h is not None) == (condition is Condition.PAIN)
    assert len(people) == 256


def test_the_typical_chain_is_what_the_file_says() -> None:
    chain, of = typical_chain(depression()), depression().parameters
    ln2 = np.log(2.0)
    leaving = ln2 / of["labile_half_life_h"].typical
    share = of["consolidated_share"].typical
    expected = {
        "half_block_ng_per_ml": of["half_block_ng_per_ml"].typical,
        "bdnf_rate_per_h": ln2 / of["bdnf_half_life_h"].typical,
        "synaptic_gain_per_h": 1.0,
        "labile_loss_per_h": leaving * (1 - share),
        "consolidation_per_h": leaving * share,
        "consolidated_loss_per_h": ln2 / of["consolidated_half_life_h"].typical,
    }
    for name, value in expected.items():
        assert getattr(chain, name) == pytest.approx([value])


def test_errors_of_the_file_are_the_packages_own() -> None:
    with pytest.raises(AfterglowError) as refused:
        parse_population(re.sub("schema: 1", "schema: 0", TEXT, count=1), Condition.PAIN, file="population.yaml")
    assert refused.value.code == "data.invalid"
