"""Acute effects: thresholds from the literature, time course, readiness, ages, edges."""

from __future__ import annotations

import dataclasses
import itertools
import math

import numpy as np
import pytest

from afterglow.errors import InputError, OutOfRange
from afterglow.evidence import fact
from afterglow.provenance import Verified
from afterglow.quantities import Dose, DrugForm
from afterglow.therapy import acute as acute_module
from afterglow.therapy import acute_validation
from afterglow.therapy.acute import AcuteEffects, simulate_acute
from afterglow.therapy.acute_validation import acute_checks, acute_validation_markdown
from afterglow.therapy.exposure import PK_DEVIATIONS, PkVariation, typical
from afterglow.therapy.regimen import DoseAdministration, Regimen, Route, repeat

RACEMIC, ESKETAMINE = DrugForm.RACEMIC_KETAMINE, DrugForm.ESKETAMINE
TIMES = np.array([0.0, 0.25, 2.0 / 3.0, 1.0, 1.5, 2.0, 4.0, 11.0])


def infusion(mg_per_kg: float, *, at_h: float = 0.0) -> DoseAdministration:
    return DoseAdministration(
        at_h=at_h, drug=RACEMIC, route=Route.IV, dose=Dose(mg_per_kg=mg_per_kg), infusion_h=2.0 / 3.0
    )


def spray(mg: float) -> DoseAdministration:
    return DoseAdministration(at_h=0.0, drug=ESKETAMINE, route=Route.INTRANASAL, dose=Dose(mg=mg))


def people(n: int = 300) -> PkVariation:
    rng = np.random.default_rng(11)
    deviations = {name: rng.standard_normal(n) for name in PK_DEVIATIONS}
    return PkVariation(weight_kg=rng.uniform(55.0, 105.0, n), deviations=deviations)


def acute(session: DoseAdministration, *, age_years: float | None = None) -> AcuteEffects:
    return simulate_acute(Regimen((session,)), people(), TIMES, age_years=age_years)


def test_half_are_dissociated_at_the_published_c50() -> None:
    threshold = acute_module._dissociation_threshold()
    assert math.exp(threshold.mean) == pytest.approx(0.51 * 237.73)
    # ln(0.66 / 0.38) / 3.92 is the standard error; times the root of 17 men
    assert threshold.stdev == pytest.approx(math.log(0.66 / 0.38) / (2 * 1.959964) * math.sqrt(17), rel=1e-6)
    assert acute_module._sedation_threshold().mean > threshold.mean


def test_pressure_lies_between_the_meta_analysis_and_the_trials_of_the_spray() -> None:
    infused = simulate_acute(Regimen((infusion(0.5),)), typical(), np.linspace(0.6, 0.8, 81))
    sprayed = simulate_acute(Regimen((spray(84.0),)), typical(), np.linspace(0.3, 0.9, 241))
    # at equal ratio from 12.61 after the infusion and 13.3 after the spray; 8.49 and 8.7
    assert infused.systolic_mmhg.mean.max() * sprayed.systolic_mmhg.mean.max() == pytest.approx(12.61 * 13.3, rel=2e-3)
    assert infused.diastolic_mmhg.mean.max() * sprayed.diastolic_mmhg.mean.max() == pytest.approx(8.49 * 8.7, rel=2e-3)
    assert infused.heart_rate_bpm.mean.max() == pytest.approx(4.09, rel=1e-4)
    # 8 % rise by 40 mmHg or more around a mean maximum of 13.3: (40 - 13.3) / 1.405, at the level of the spray
    assert sprayed.systolic_mmhg.sd.max() == pytest.approx(19.0, abs=0.05)


def test_every_published_acute_figure_stands_on_the_page_and_most_agree() -> None:
    checks, page = acute_checks(), acute_validation_markdown()
    assert all(check.fact_id in page for check in checks)
    assert all(fact(check.fact_id).provenance.verified is Verified.PAGE for check in checks)
    apart = {check.fact_id for check in checks if not check.inside}
    assert len(checks) == 25
    assert len(apart) <= 4
    # what lasts too long errs on the late side; nothing that sets nothing is missed on the early side
    assert all(check.predicted > check.high for check in checks if not check.inside)


@pytest.mark.parametrize(
    ("low", "high", "worst_of_several", "agrees", "differs"),
    [
        (10.0, 20.0, False, (10.0, 20.0), (9.9, 20.1)),
        (10.0, 20.0, True, (0.0, 20.0), (20.1,)),
        (10.0, 10.0, False, (8.0, 12.0), (7.9, 12.1)),
    ],
    ids=["a range", "only its upper end", "a number alone, within a fifth"],
)
def test_when_an_acute_figure_agrees(
    low: float, high: float, *, worst_of_several: bool, agrees: tuple[float, ...], differs: tuple[float, ...]
) -> None:
    one = dataclasses.replace(acute_checks()[0], low=low, high=high, at_most=worst_of_several)
    assert all(dataclasses.replace(one, predicted=value).inside for value in agrees)
    assert not any(dataclasses.replace(one, predicted=value).inside for value in differs)


def test_a_page_without_misses_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    good = tuple(check for check in acute_checks() if check.inside)
    monkeypatch.setattr(acute_validation, "acute_checks", lambda: good)
    assert "Nowhere." in acute_validation_markdown()


def test_probabilities_rise_with_the_dose_and_fade_with_time() -> None:
    doses = [acute(spray(mg)) for mg in (28.0, 56.0, 84.0)]
    for lower, higher in itertools.pairwise(doses):
        assert np.all(higher.dissociation[1:] > lower.dissociation[1:])
        assert higher.dissociation_ever > lower.dissociation_ever
        assert higher.sedation_ever > lower.sedation_ever
        assert np.all(higher.marked_systolic_rise >= lower.marked_systolic_rise)
        assert higher.ready_90_h > lower.ready_90_h
    top = doses[-1]
    assert top.dissociation[0] == 0.0
    assert top.dissociation.argmax() == 2  # the highest of these times is 40 min, as labels say
    assert top.dissociation[-1] < 0.01
    assert np.all(top.sedation <= top.dissociation)
    assert top.dissociation_ever >= top.dissociation.max()


def test_readiness_is_a_rising_probability_that_waits_for_the_dose() -> None:
    found = acute(infusion(0.5))
    assert found.ready[:2].tolist() == [0.0, 0.0]  # the infusion still runs
    assert np.all(np.diff(found.ready) >= 0)
    assert found.ready[-1] > 0.99
    assert 2.0 / 3.0 < found.ready_median_h < found.ready_90_h < 4.0


def test_readiness_is_after_the_last_of_several_sessions() -> None:
    twice = simulate_acute(repeat(infusion(0.5), [0.0, 72.0]), people(), np.array([2.0, 72.3, 74.0]))
    once = simulate_acute(Regimen((infusion(0.5),)), people(), np.array([2.0]))
    assert twice.ready[:2].tolist() == [0.0, 0.0]
    assert twice.ready[2] == pytest.approx(once.ready[0], abs=0.01)
    assert twice.ready_median_h == pytest.approx(once.ready_median_h, abs=0.06)


def test_older_people_have_larger_and_more_variable_rises() -> None:
    younger, older = acute(spray(56.0), age_years=64.9), acute(spray(56.0), age_years=65.0)
    assert np.array_equal(younger.systolic_mmhg.mean, acute(spray(56.0)).systolic_mmhg.mean)
    assert older.systolic_mmhg.mean == pytest.approx(younger.systolic_mmhg.mean * 16.0 / 13.3)
    assert np.all(older.marked_systolic_rise[1:-1] > younger.marked_systolic_rise[1:-1])
    assert "spravato_label_2020_sbp_rise_40_from_65_y" in older.sources
    assert "spravato_label_2020_sbp_rise_40_under_65_y" in younger.sources


def test_no_drug_has_no_effect_and_everyone_is_ready_at_its_end() -> None:
    nothing = acute(infusion(0.0))
    for values in (nothing.dissociation, nothing.sedation, nothing.marked_systolic_rise, nothing.systolic_mmhg.sd):
        assert not values.any()
    assert nothing.ready[3:].tolist() == [1.0] * 5
    assert nothing.ready_90_h == pytest.approx(0.7, abs=0.051)  # the first look after 40 min


def test_who_is_never_ready_within_the_horizon_gets_infinity() -> None:
    long = DoseAdministration(at_h=0.0, drug=RACEMIC, route=Route.IV, dose=Dose(mg_per_kg=12.0), infusion_h=11.9)
    found = simulate_acute(Regimen((long,)), typical(), [24.0])
    assert found.ready_90_h == math.inf or found.ready_90_h > 12.0
    assert acute_module._first(np.array([0.0, 1.0]), np.array([0.1, 0.2]), 0.5) == math.inf


def test_times_after_the_horizon_are_judged_by_their_own_level() -> None:
    found = simulate_acute(Regimen((infusion(0.5),)), people(), np.array([30.0]))
    assert found.ready[0] == pytest.approx(1.0, abs=1e-6)


def test_results_say_that_they_are_provisional_and_which_doses_are_unusual() -> None:
    found = acute(infusion(1.2))
    assert found.notes[0].startswith("Provisional")
    assert any("outside the usual" in note for note in found.notes)


def test_every_source_is_a_fact_of_the_evidence() -> None:
    for name in {*acute(spray(56.0)).sources, *acute(spray(56.0), age_years=70.0).sources}:
        assert fact(name).id == name


def test_refusals() -> None:
    with pytest.raises(InputError, match="no acute effects"):
        simulate_acute(Regimen(), typical(), [1.0])
    with pytest.raises(OutOfRange, match="mg/kg"):
        simulate_acute(Regimen((infusion(5.0),)), typical(), [1.0])


@pytest.mark.parametrize(
    ("drug", "route", "dose"),
    [
        (ESKETAMINE, Route.INTRANASAL, Dose(mg=28.0)),
        (RACEMIC, Route.INTRANASAL, Dose(mg=50.0)),
        (RACEMIC, Route.SUBLINGUAL, Dose(mg=100.0)),
        (RACEMIC, Route.ORAL, Dose(mg=100.0)),
        (RACEMIC, Route.IM, Dose(mg_per_kg=0.5)),
    ],
)
def test_nobody_is_ready_before_the_drug_has_peaked(drug: DrugForm, route: Route, dose: Dose) -> None:
    found = acute(DoseAdministration(at_h=0.0, drug=drug, route=route, dose=dose))
    assert found.ready[0] == 0.0
    assert found.ready_median_h > 0.1
    assert any(note.startswith("Observation:") for note in found.notes)
