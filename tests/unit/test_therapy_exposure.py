"""Exposure models: coverage, refusals, doses, inputs, spread and what profiles say about themselves."""

from __future__ import annotations

import numpy as np
import pytest

from afterglow.errors import InputError, InvalidData, NoModel, OutOfRange, UnknownName
from afterglow.evidence import fact, pk_models, source
from afterglow.quantities import Dose, DrugForm, Rate
from afterglow.records import Record
from afterglow.therapy import variation as variation_module
from afterglow.therapy.exposure import (
    PK_DEVIATIONS,
    Analyte,
    Ancestry,
    PkVariation,
    Site,
    check_doses,
    dose_guardrails,
    drive_inputs,
    drive_model,
    exposure_inputs,
    exposure_model,
    exposure_models,
    oral_prolonged_release_area,
    regimen_drive,
    regimen_plasma,
    simulate_exposure,
    simulate_exposures,
    typical,
)
from afterglow.therapy.kinetics import area_under_curve, concentration
from afterglow.therapy.regimen import DoseAdministration, InfusionStep, Regimen, Route, repeat
from afterglow.therapy.variation import Assumption, assumptions, given

RACEMIC, ESKETAMINE = DrugForm.RACEMIC_KETAMINE, DrugForm.ESKETAMINE
HALF = Dose(mg_per_kg=0.5)
FORTY_MIN = 40.0 / 60.0


def session(
    drug: DrugForm, route: Route, dose: Dose, *, at_h: float = 0.0, infusion_h: float = 0.0
) -> DoseAdministration:
    return DoseAdministration(at_h=at_h, drug=drug, route=route, dose=dose, infusion_h=infusion_h)


def infusion(dose: Dose = HALF, drug: DrugForm = RACEMIC) -> Regimen:
    return Regimen((session(drug, Route.IV, dose, infusion_h=FORTY_MIN),))


def spray(mg: float, *, at_h: float = 0.0) -> Regimen:
    return Regimen((session(ESKETAMINE, Route.INTRANASAL, Dose(mg=mg), at_h=at_h),))


def people(n: int = 400) -> PkVariation:
    rng = np.random.default_rng(5)
    return PkVariation(
        weight_kg=rng.uniform(50.0, 110.0, n), deviations={name: rng.standard_normal(n) for name in PK_DEVIATIONS}
    )


COVERED = [
    (drug, route, analyte, site)
    for model in exposure_models()
    for drug, route in [(model.drug, model.route)]
    for analyte in model.analytes
    for site in model.sites
]


def any_dose(drug: DrugForm, route: Route) -> Regimen:
    doses = {Route.IV: HALF, Route.IM: HALF, Route.SC: HALF}
    return Regimen((session(drug, route, doses.get(route, Dose(mg=28.0))),))


@pytest.mark.parametrize(("drug", "route", "analyte", "site"), COVERED)
def test_every_covered_combination_gives_a_finite_profile_with_its_spread(
    drug: DrugForm, route: Route, analyte: Analyte, site: Site
) -> None:
    times = np.array([-1.0, 0.25, 1.0, 4.0])
    found = simulate_exposure(any_dose(drug, route), analyte=analyte, site=site, times_h=times, variation=people())
    assert found.unit == "ng/mL"
    assert (found.drug, found.analyte, found.site) == (drug, analyte, site)
    assert found.median[0] == found.hi90[0] == 0.0  # before the dose
    assert np.all(found.lo90[1:] < found.median[1:])
    assert np.all(found.median[1:] < found.hi90[1:])
    assert found.cmax > 0
    assert 0 <= found.tmax_h < 6
    assert found.auc_h > 0
    assert found.model_ids
    assert found.sources


def test_no_combination_is_covered_twice() -> None:
    assert len(COVERED) == len(set(COVERED))


@pytest.mark.parametrize(("drug", "route"), [(drug, route) for drug in DrugForm for route in Route])
def test_every_drug_and_route_has_a_drive(drug: DrugForm, route: Route) -> None:
    inputs = drive_inputs(any_dose(drug, route))
    modes = drive_model(drug, route, typical())
    assert {entering.channel for entering in inputs} <= set(modes.channels)
    assert concentration(modes, inputs, [1.0], weight_kg=np.array([70.0]))[0, 0] > 0


@pytest.mark.parametrize(
    ("drug", "route", "analyte", "site"),
    [
        (ESKETAMINE, Route.IV, Analyte.R_KETAMINE, Site.ARTERIAL),
        (ESKETAMINE, Route.SUBLINGUAL, Analyte.S_KETAMINE, Site.VENOUS),
        (RACEMIC, Route.INTRANASAL, Analyte.NORKETAMINE, Site.VENOUS),
        (RACEMIC, Route.IV, Analyte.R_KETAMINE, Site.EFFECT),
        (ESKETAMINE, Route.ORAL, Analyte.S_NORKETAMINE, Site.VENOUS),
    ],
)
def test_what_no_model_covers_is_refused_with_what_exists(
    drug: DrugForm, route: Route, analyte: Analyte, site: Site
) -> None:
    with pytest.raises(NoModel, match=r"No model covers .*allowed: .* at ") as refusal:
        exposure_model(drug, route, analyte=analyte, site=site)
    assert all(
        model.covers in refusal.value.message
        for model in exposure_models()
        if (model.drug, model.route) == (drug, route)
    )


def test_a_venous_model_is_never_paired_with_the_effect_site() -> None:
    drives = [model for model in exposure_models() if Site.EFFECT in model.sites]
    assert len(drives) == 12
    assert all(model.sites == (Site.EFFECT,) and not model.id.startswith("otto") for model in drives)


def test_the_sum_of_racemic_ketamine_is_s_plus_r() -> None:
    times = np.linspace(0.1, 8.0, 20)
    both, s, r = simulate_exposures(infusion(), site=Site.ARTERIAL, times_h=times, variation=typical())
    assert [both.analyte, s.analyte, r.analyte] == [Analyte.KETAMINE, Analyte.S_KETAMINE, Analyte.R_KETAMINE]
    assert both.median == pytest.approx(s.median + r.median)
    assert r.auc_h / s.auc_h == pytest.approx(1.15)  # the ratio of clearances
    assert both.auc_h == pytest.approx(35.0 / 84.0 * 1000.0)  # the racemate keeps its own clearance


def test_esketamine_shows_one_profile_and_no_r() -> None:
    (only,) = simulate_exposures(spray(56.0), site=Site.VENOUS, times_h=[1.0], variation=typical())
    assert only.analyte is Analyte.S_KETAMINE
    assert only.borrowed_spread is False
    assert simulate_exposures(infusion(), site=Site.VENOUS, times_h=[1.0], variation=typical())[0].borrowed_spread


def test_area_after_an_infusion_is_dose_over_clearance() -> None:
    found = simulate_exposure(
        infusion(drug=ESKETAMINE), analyte=Analyte.S_KETAMINE, site=Site.ARTERIAL, times_h=[], variation=typical()
    )
    assert found.auc_h == pytest.approx(35.0 / 84.0 * 1000.0)


def test_weight_scales_clearance_with_three_quarters_and_volume_with_one() -> None:
    heavy, light = (
        simulate_exposure(
            Regimen((session(ESKETAMINE, Route.IV, Dose(mg=20.0)),)),
            analyte=Analyte.S_KETAMINE,
            site=Site.ARTERIAL,
            times_h=[0.0],
            variation=typical(weight_kg=weight),
        )
        for weight in (140.0, 70.0)
    )
    assert light.auc_h / heavy.auc_h == pytest.approx(2**0.75)
    assert light.median[0] / heavy.median[0] == pytest.approx(2.0)


def test_the_intranasal_model_ignores_weight() -> None:
    areas = [
        simulate_exposure(
            spray(84.0),
            analyte=Analyte.S_KETAMINE,
            site=Site.VENOUS,
            times_h=[],
            variation=typical(weight_kg=weight),
        ).auc_h
        for weight in (50.0, 120.0)
    ]
    assert areas[0] == areas[1]


@pytest.mark.parametrize("site", [Site.ARTERIAL, Site.EFFECT])
@pytest.mark.parametrize(("route", "dose"), [(Route.INTRANASAL, 84.0), (Route.ORAL, 20.0)])
def test_each_person_has_the_same_area_in_artery_effect_site_and_vein(site: Site, route: Route, dose: float) -> None:
    group = people(20)
    inputs = exposure_inputs(Regimen((session(ESKETAMINE, route, Dose(mg=dose)),)))
    areas = [
        area_under_curve(
            exposure_model(ESKETAMINE, route, analyte=Analyte.S_KETAMINE, site=place).build(group, Analyte.S_KETAMINE),
            inputs,
            weight_kg=group.weight_kg,
        )
        for place in (site, Site.VENOUS)
    ]
    assert areas[0] == pytest.approx(areas[1], rel=1e-9)


def test_sessions_superpose() -> None:
    times = np.linspace(0.0, 80.0, 161)
    one = session(RACEMIC, Route.IV, HALF, infusion_h=FORTY_MIN)
    args = {"analyte": Analyte.KETAMINE, "site": Site.ARTERIAL, "variation": typical()}
    both = simulate_exposure(repeat(one, [0.0, 48.0]), times_h=times, **args)  # type: ignore[arg-type]
    first = simulate_exposure(repeat(one, [0.0]), times_h=times, **args)  # type: ignore[arg-type]
    second = simulate_exposure(repeat(one, [48.0]), times_h=times, **args)  # type: ignore[arg-type]
    assert both.median == pytest.approx(first.median + second.median)


def test_several_rates_equal_one_infusion_when_the_rate_stays() -> None:
    steps = (InfusionStep(rate=Rate(mg_per_kg_per_h=0.4), duration_h=0.5),) * 2
    stepped = Regimen((DoseAdministration(at_h=0.0, drug=RACEMIC, route=Route.IV, steps=steps),))
    plain = Regimen((session(RACEMIC, Route.IV, Dose(mg_per_kg=0.4), infusion_h=1.0),))
    times = np.linspace(0.0, 6.0, 25)
    curves = [
        simulate_exposure(
            regimen, analyte=Analyte.KETAMINE, site=Site.ARTERIAL, times_h=times, variation=typical()
        ).median
        for regimen in (stepped, plain)
    ]
    assert curves[0] == pytest.approx(curves[1], rel=1e-12)


def test_routes_of_one_drug_form_mix_and_drug_forms_do_not() -> None:
    mixed = Regimen(
        (
            session(RACEMIC, Route.ORAL, Dose(mg=50.0)),
            session(RACEMIC, Route.IV, HALF, at_h=24.0, infusion_h=FORTY_MIN),
        )
    )
    found = simulate_exposure(
        mixed, analyte=Analyte.KETAMINE, site=Site.VENOUS, times_h=[1.0, 25.0], variation=typical()
    )
    assert found.model_ids == ("kamp2020_meta_3cmt", "otto2021_fanta_iv_esketamine")
    switched = Regimen((*mixed.administrations, session(ESKETAMINE, Route.INTRANASAL, Dose(mg=56.0), at_h=48.0)))
    with pytest.raises(NoModel, match="one drug form"):
        simulate_exposure(switched, analyte=Analyte.S_KETAMINE, site=Site.VENOUS, times_h=[1.0], variation=typical())


def test_a_drive_may_mix_drugs_and_routes() -> None:
    mixed = Regimen((*infusion().administrations, *spray(56.0, at_h=72.0).administrations))
    modes = regimen_drive(mixed, typical())
    levels = concentration(modes, drive_inputs(mixed), [0.7, 72.7], weight_kg=np.array([70.0]))[0]
    alone = concentration(
        drive_model(ESKETAMINE, Route.INTRANASAL, typical()),
        drive_inputs(spray(56.0)),
        [0.7],
        weight_kg=np.array([70.0]),
    )
    assert levels[0] > 90
    assert levels[1] == pytest.approx(alone[0, 0], rel=1e-2)  # little is left of the first session


def test_arterial_plasma_and_drive_of_a_regimen_share_channels_and_area() -> None:
    regimen = infusion()
    plasma, drive = regimen_plasma(regimen, typical()), regimen_drive(regimen, typical())
    assert plasma.channels == drive.channels
    areas = [area_under_curve(modes, drive_inputs(regimen), weight_kg=np.array([70.0]))[0] for modes in (plasma, drive)]
    assert areas[0] == pytest.approx(areas[1])


def test_an_empty_regimen_is_refused() -> None:
    with pytest.raises(InputError, match="has no exposure"):
        simulate_exposure(Regimen(), analyte=Analyte.KETAMINE, site=Site.VENOUS, times_h=[1.0], variation=typical())
    with pytest.raises(InputError, match="drives nothing"):
        regimen_drive(Regimen(), typical())


@pytest.mark.parametrize(
    ("times", "warned"),
    [([0.1], True), ([0.24], True), ([0.26, 2.0], False)],
)
def test_early_venous_levels_carry_a_warning(times: list[float], *, warned: bool) -> None:
    injected = Regimen((session(RACEMIC, Route.IM, HALF),))
    found = simulate_exposure(injected, analyte=Analyte.KETAMINE, site=Site.VENOUS, times_h=times, variation=typical())
    assert any("over-predicted" in warning for warning in found.warnings) is warned


def test_the_same_times_in_the_artery_carry_none() -> None:
    found = simulate_exposure(
        infusion(), analyte=Analyte.KETAMINE, site=Site.ARTERIAL, times_h=[0.3], variation=typical()
    )
    assert found.warnings == ()


def test_exploratory_profiles_say_so() -> None:
    found = simulate_exposure(
        infusion(),
        analyte=Analyte.S_HYDROXYNORKETAMINE,
        site=Site.ARTERIAL,
        times_h=[1.0],
        variation=typical(),
    )
    assert found.exploratory
    assert "not for any decision" in found.warnings[0]


@pytest.mark.parametrize("mg", [30.0, 14.0, 57.0])
def test_a_nasal_dose_is_a_number_of_whole_devices(mg: float) -> None:
    with pytest.raises(OutOfRange, match=r"whole devices.*28 mg, 56 mg or 84 mg"):
        drive_inputs(spray(mg))


def test_a_nasal_dose_per_kg_is_refused_and_no_device_is_no_dose() -> None:
    with pytest.raises(OutOfRange, match="whole devices"):
        drive_inputs(Regimen((session(ESKETAMINE, Route.INTRANASAL, HALF),)))
    assert drive_inputs(spray(0.0)) == ()


def test_zero_dose_is_a_flat_line() -> None:
    found = simulate_exposure(
        infusion(Dose(mg_per_kg=0.0)), analyte=Analyte.KETAMINE, site=Site.VENOUS, times_h=[1.0], variation=typical()
    )
    assert found.cmax == found.auc_h == found.hi90[0] == 0.0


@pytest.mark.parametrize(("mg_per_kg", "accepted"), [(1.5, True), (1.51, False), (0.0, True)])
def test_intravenous_doses_are_limited(mg_per_kg: float, *, accepted: bool) -> None:
    regimen = infusion(Dose(mg_per_kg=mg_per_kg))
    if accepted:
        assert check_doses(regimen, weight_kg=70.0)  # outside the usual range, so said
    else:
        with pytest.raises(OutOfRange, match=r"allowed: 0 to 1.5 mg/kg \(fava2020; vlisides2017\)"):
            check_doses(regimen, weight_kg=70.0)


@pytest.mark.parametrize(("mg", "accepted"), [(84.0, True), (112.0, False)])
def test_nasal_doses_are_limited_in_mg(mg: float, *, accepted: bool) -> None:
    if accepted:
        assert check_doses(spray(mg), weight_kg=70.0) == ()
    else:
        with pytest.raises(OutOfRange, match="0 to 84 mg"):
            check_doses(spray(mg), weight_kg=70.0)


@pytest.mark.parametrize(("mg_per_kg_per_h", "accepted"), [(1.2, True), (1.21, False)])
def test_long_infusions_are_limited_by_their_fastest_rate(mg_per_kg_per_h: float, *, accepted: bool) -> None:
    steps = tuple(InfusionStep(rate=Rate(mg_per_kg_per_h=rate), duration_h=1.0) for rate in (0.2, mg_per_kg_per_h, 0.2))
    regimen = Regimen((DoseAdministration(at_h=0.0, drug=RACEMIC, route=Route.IV, steps=steps),))
    if accepted:
        assert "1.2 mg/kg/h, is outside the usual" in check_doses(regimen, weight_kg=70.0)[0]
    else:
        with pytest.raises(OutOfRange, match="rate of racemic ketamine"):
            check_doses(regimen, weight_kg=70.0)


def test_a_day_long_infusion_is_limited_by_its_mean_rate_not_its_total() -> None:
    day = Regimen((session(RACEMIC, Route.IV, Dose(mg=480.0), infusion_h=24.0),))  # 20 mg/h, 6.9 mg/kg in all
    assert check_doses(day, weight_kg=70.0) == ()


def test_every_guardrail_has_a_source_and_every_route_a_guardrail() -> None:
    guardrails = dose_guardrails()
    assert {(drug, route) for drug, route, _ in guardrails} == {(drug, route) for drug in DrugForm for route in Route}
    assert all(guardrail.provenance.source and guardrail.provenance.note for guardrail in guardrails.values())


def test_only_the_total_exposure_of_a_prolonged_release_tablet_is_predicted() -> None:
    # 20 mg of each enantiomer: 0.15 / 90.3 + 0.19 / 78.5 L/h
    s, r = 84.0 * 2.15 / 2.0, 84.0 * 2.15 / 2.3
    expected = 20.0 * 1000.0 * (0.15 / s + 0.19 / r)
    assert oral_prolonged_release_area(40.0, typical())[0] == pytest.approx(expected)


def test_deviations_are_named_and_shaped() -> None:
    weight = np.array([70.0, 80.0])
    with pytest.raises(UnknownName, match=r"found size; allowed: central_volume"):
        PkVariation(weight_kg=weight, deviations={"size": np.zeros(2)})
    with pytest.raises(InputError, match="one value per patient"):
        PkVariation(weight_kg=weight, deviations={"clearance": np.zeros(3)})


@pytest.mark.parametrize("weight", [19.9, 351.0, float("nan")])
def test_absurd_weights_are_refused(weight: float) -> None:
    with pytest.raises(OutOfRange, match="20 to 350 kg"):
        typical(weight_kg=weight)


def test_the_typical_patient_has_median_weight_and_age_and_the_same_ancestry() -> None:
    group = PkVariation(
        weight_kg=np.array([60.0, 70.0, 100.0]),
        deviations={"clearance": np.ones(3)},
        age_years=np.array([20.0, 70.0, 80.0]),
        ancestry=Ancestry.JAPANESE,
    )
    middle = group.typical_patient()
    assert middle.n == 1
    assert middle.weight_kg[0] == 70.0
    assert middle.age_years is not None
    assert middle.age_years[0] == 70.0
    assert middle.deviation("clearance")[0] == 0.0
    assert middle.ancestry is Ancestry.JAPANESE
    assert typical().typical_patient().age_years is None


def test_the_widened_spread_of_clearance_is_one_and_a_half_times_the_published() -> None:
    group = PkVariation(weight_kg=np.full(2, 70.0), deviations={"clearance": np.array([-1.0, 1.0])})
    modes = exposure_model(ESKETAMINE, Route.IV, analyte=Analyte.S_KETAMINE, site=Site.ARTERIAL).build(
        group, Analyte.S_KETAMINE
    )
    areas = area_under_curve(modes, exposure_inputs(infusion(drug=ESKETAMINE)), weight_kg=group.weight_kg)
    assert np.log(areas[0] / areas[1]) / 2.0 == pytest.approx(1.5 * np.sqrt(0.029))


def test_venous_clearance_and_volume_are_correlated_as_published() -> None:
    group = PkVariation(weight_kg=np.full(2, 70.0), deviations={"central_volume": np.array([-1.0, 1.0])})
    modes = exposure_model(ESKETAMINE, Route.IV, analyte=Analyte.S_KETAMINE, site=Site.VENOUS).build(
        group, Analyte.S_KETAMINE
    )
    areas = area_under_curve(modes, exposure_inputs(infusion(drug=ESKETAMINE)), weight_kg=group.weight_kg)
    assert np.log(areas[0] / areas[1]) / 2.0 == pytest.approx(1.5 * 0.02261 / np.sqrt(0.084177))


def test_a_band_is_uniform_in_the_probability_of_its_deviate() -> None:
    group = PkVariation(weight_kg=np.full(3, 70.0), deviations={"bioavailability": np.array([-9.0, 0.0, 9.0])})
    modes = exposure_model(RACEMIC, Route.INTRANASAL, analyte=Analyte.KETAMINE, site=Site.VENOUS).build(
        group, Analyte.KETAMINE
    )
    inputs = exposure_inputs(Regimen((session(RACEMIC, Route.INTRANASAL, Dose(mg=50.0)),)))
    f = area_under_curve(modes, inputs, weight_kg=group.weight_kg) / (50.0 / 84.0 * 1000.0)
    assert f == pytest.approx([0.11, 0.28, 0.45])


def test_data_that_lack_a_number_are_refused() -> None:
    with pytest.raises(InvalidData, match="lacks a number"):
        given(None)
    data = {"value": 1.0, "lo": 0.0, "hi": 2.0, "unit": "1/h", "basis": "assumed", "note": "both"}
    with pytest.raises(InvalidData, match="a value, or a band"):
        variation_module._assumption("wrong", Record(data, file="some.yaml"))


def test_every_source_named_in_the_data_exists() -> None:
    named = [guardrail.provenance.source for guardrail in dose_guardrails().values()]
    named += [assumption.source for assumption in assumptions().values()]
    for key in {key for keys in named for key in keys}:
        assert source(key).citation


def test_every_model_rests_on_kinetic_models_and_facts_of_the_evidence() -> None:
    for key in {key for model in exposure_models() for key in model.sources}:
        assert key in pk_models() or fact(key).id == key


def test_every_assumption_says_what_it_rests_on() -> None:
    for assumption in assumptions().values():
        assert isinstance(assumption, Assumption)
        assert assumption.basis in {"assumed", "derived"}
        assert assumption.source
        assert assumption.note


@pytest.mark.parametrize(
    ("hours", "accepted"), [(0.02, False), (0.03, True), (240.0, True), (241.0, False), (21_600.0, False)]
)
def test_an_infusion_runs_between_two_minutes_and_ten_days(hours: float, *, accepted: bool) -> None:
    given = Regimen((session(RACEMIC, Route.IV, HALF, infusion_h=hours),))
    if accepted:
        check_doses(given, weight_kg=70.0)
    else:
        with pytest.raises(OutOfRange, match="infusion length of racemic ketamine"):
            check_doses(given, weight_kg=70.0)
