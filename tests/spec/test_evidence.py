"""The published record as a reader of the papers would check it: figures, roles, pooling by hand, claims."""

from __future__ import annotations

import math

import pytest

from afterglow.errors import UnknownName
from afterglow.evidence import (
    PoolingStatus,
    SpreadKind,
    Statistic,
    StudiedCondition,
    TimeOrigin,
    Verdict,
    calibration_figures,
    check_evidence,
    claim,
    claims,
    evidence_markdown,
    fact,
    meta_analyses,
    outcomes,
    pharmacology,
    pk_model,
    pool_outcome,
    sections,
    source,
    trial,
    trials,
    trials_where,
    variability,
)
from afterglow.provenance import Role, Verified

# trial, arm or contrast, scale, statistic, day, of: published value
PUBLISHED = [
    ("murrough2013_ajp", "ket05", "MADRS", "mean_change", 1, None, -16.5),
    ("murrough2013_ajp", "midaz", "MADRS", "mean_change", 1, None, -8.8),
    ("murrough2013_ajp", "ket05-midaz", "MADRS", "adjusted_mean_diff", 1, None, -7.95),
    ("murrough2013_ajp", "ket05", "MADRS", "response_pct", 1, None, 64),
    ("daly2018", "esk84", "MADRS", "adjusted_mean_change", 0.083, None, -17.6),
    ("daly2018", "placebo", "MADRS", "adjusted_mean_change", 0.083, None, -9.7),
    ("daly2018", "placebo", "MADRS", "adjusted_mean_change", 1, None, -5.7),
    ("murrough2013_bp", "ket05x6", "MADRS", "mean_change", 0.083, None, -18.9),
    ("murrough2013_bp", "ket05x6", "MADRS", "response_pct", 12, None, 70.8),
    ("murrough2013_bp", "ket05x6", None, "median_days_to_relapse", None, "responders", 18),
    ("salloum2019", "ket01", None, "relapse_pct", 14, "responders at day 3", 80),
    ("salloum2019", "ket10", None, "relapse_pct", 14, "responders at day 3", 30),
    ("daly2019_sustain1", "esk_remit", None, "relapse_pct", None, "stable remitters", 26.7),
    ("daly2019_sustain1", "pbo_resp", None, "relapse_pct", None, "stable responders", 57.6),
    ("feder_2021", "ket-mdz", "CAPS-5", "cohen_d", 14, None, 1.13),
    ("sigtermans_2009", "sket", "NRS", "mean", 7, None, 2.68),
]


@pytest.mark.parametrize(("key", "arms", "scale", "statistic", "day", "of", "value"), PUBLISHED)
def test_a_figure_is_as_published(
    key: str, arms: str, scale: str | None, statistic: str, day: float | None, of: str | None, value: float
) -> None:
    found = [
        figure.value
        for figure in trial(key).figures
        if (figure.arm or "-".join(figure.contrast or ())) == arms
        and (figure.scale, figure.statistic, figure.t_days, figure.of) == (scale, statistic, day, of)
    ]
    assert value in found


def test_murrough_2013_is_complete() -> None:
    found = trial("murrough2013_ajp")
    ketamine, midazolam = found.arms
    assert (ketamine.n, midazolam.n) == (47, 25)
    assert (str(ketamine.dose), ketamine.infusion_h, ketamine.session_days) == ("0.5 mg/kg", 40 / 60, (0.0,))
    assert ketamine.baseline is not None
    assert (ketamine.baseline.mean, ketamine.baseline.provenance.verified) == (32.6, Verified.RECALLED)
    change = found.figures[0]
    se = change.spread(SpreadKind.SE)
    assert se is not None
    assert (se.value, se.verified) == (1.6, Verified.DERIVED)  # 16.5 / 10.31 = 1.60
    assert round(16.5 / 10.31, 2) == 1.6


def test_every_reference_between_the_files_resolves() -> None:
    assert check_evidence() > 1000


def test_the_whole_record_is_there() -> None:
    """Counts of what was taken over: a file that is lost or a figure that is dropped shows here."""
    assert (len(trials()), sum(len(found.figures) for found in trials())) == (69, 426)
    assert (len(meta_analyses()), sum(len(found.figures) for found in meta_analyses())) == (31, 91)
    assert (len(variability()), len(claims())) == (50, 34)
    assert sum(len(pharmacology(section)) for section in sections()) == 295


DEPRESSION_ROLES = {
    Role.CALIBRATION: "murrough2013_ajp fava2020 salloum2019 daly2018 murrough2013_bp daly2019_sustain1",
    Role.HELD_OUT: "zarate2012 singh2016_esk shiroma2014 shiroma2020 phillips2019 ionescu2019 loo2023_kads"
    " anand2023_elektd fu2020_aspire1 ionescu2021_aspire2 reif2023_escape mcinnes2022 oliver2022 hull2022_home",
    Role.HELD_OUT_SHARED: "popova2019_transform2 fedgchin2019_transform1 transform12_by_sex zaki2025_sustain3",
}


@pytest.mark.parametrize("role", DEPRESSION_ROLES)
def test_roles_of_the_depression_trials(role: Role) -> None:
    found = {one.key for one in trials_where(role=role, condition=StudiedCondition.DEPRESSION)}
    assert found == set(DEPRESSION_ROLES[role].split())


def test_a_fit_gets_nothing_but_calibration_figures_read_at_a_page() -> None:
    found = calibration_figures()
    assert len(found) > 100
    assert {one.trial.role for one in found} == {Role.CALIBRATION}
    assert {one.figure.provenance.verified for one in found} == {Verified.PAGE}
    assert not any(one.figure.do_not_fit for one in found)
    given = {id(one.figure) for one in found}
    for held in trials():
        if held.role is not Role.CALIBRATION:
            assert not any(id(figure) in given for figure in held.figures)
    misprint = [
        one for one in found if one.trial.key == "murrough2013_ajp" and one.figure.statistic is Statistic.ODDS_RATIO
    ]
    assert not misprint
    first = next(one for one in found if one.trial.key == "murrough2013_ajp")
    assert first.arm is not None
    assert first.arm.id == first.figure.arm


def test_observed_concentrations_are_held_out() -> None:
    assert {one.role for one in pharmacology("observations")} == {Role.HELD_OUT}
    assert len(pharmacology("observations")) == 37


def test_times_from_another_origin_say_so() -> None:
    relapse = next(one for one in trial("daly2019_sustain1").figures if one.statistic is Statistic.RELAPSE_PCT)
    assert relapse.t_from is TimeOrigin.RANDOMISATION


KINETICS = [
    ("kamp2020_meta_3cmt", "CL", 84.0, "L/h per 70 kg"),
    ("kamp2020_meta_3cmt", "Q2", 161.0, "L/h per 70 kg"),
    ("otto2021_fanta_iv_esketamine", "V1", 133.0, "L per 70 kg"),
    ("perezruixo2021_esketamine", "FRn", 0.54, "fraction of the first 28 mg absorbed in the nose"),
    ("simons2022_otf", "MTT_K_to_NK", 20.1, "min"),
]


@pytest.mark.parametrize(("model", "name", "value", "unit"), KINETICS)
def test_a_kinetic_parameter_is_as_published(model: str, name: str, value: float, unit: str) -> None:
    parameter = pk_model(model).parameters[name]
    assert (parameter.value, parameter.unit) == (value, unit)


def test_between_subject_variance_from_either_print() -> None:
    otto = pk_model("otto2021_fanta_iv_esketamine").parameters["V1"]
    assert otto.between_subject_omega2 == 0.084177
    covariance = pk_model("otto2021_fanta_iv_esketamine").parameters["CL"].spread(SpreadKind.COVARIANCE)
    assert covariance is not None
    assert (covariance.value, covariance.partner) == (0.02261, "V1")
    volume = pk_model("perezruixo2021_esketamine").parameters["Vc"]
    assert volume.between_subject_omega2 == pytest.approx(math.log(1 + 0.275**2))
    assert pk_model("kamp2020_meta_3cmt").parameters["CL"].between_subject_omega2 is None
    assert (
        pk_model("perezruixo2021_esketamine").parameters["kmet"].between_subject_omega2 is None
    )  # left blank in print


def test_dissociation_concentration_and_its_spread() -> None:
    found = fact("olofsen2022_c50_dissociation")
    assert (found.value, found.unit, found.spread[0].lo, found.spread[0].hi) == (0.51, "nmol/mL", 0.38, 0.66)
    assert fact("spravato_salt").point("hydrochloride").value == 32.3
    curve = fact("obs_otto_chdr1311_sket")
    assert [(point.time_h, point.value) for point in curve.points][:2] == [(0.5, 56.0), (1.0, 27.0)]


def test_claims_stand_as_judged() -> None:
    found = claim("C09")
    assert found.verdict is Verdict.OVERSTATED
    assert [part.may_be_shown_as_fact for part in found.evidence] == [True, False, True]


def test_recalled_evidence_is_marked_on_the_page() -> None:
    page = evidence_markdown()["claims.md"]
    recalled = [part for one in claims() for part in one.evidence if not part.may_be_shown_as_fact]
    assert page.count("*Not confirmed:*") == len(recalled) > 0
    assert all(f"*Not confirmed:* {part.text}" in page for part in recalled)


def test_the_trials_page_has_every_trial_and_flags_memory() -> None:
    page = evidence_markdown()["trials.md"]
    assert all(f"### {one.key}\n" in page for one in trials())
    assert (
        "| ket05 | MADRS | mean change | 24 h | -16.5; se 1.6 (derived); sd 10.97 (derived) | page | mur_apa |" in page
    )
    assert "| ket05 | MADRS | response pct | 7 days | 45.7 | recalled |  |" in page


def test_depression_at_24_hours_pools_four_independent_trials() -> None:
    found = pool_outcome("depression-24h")
    assert [(row.trial.key, row.effect.estimate, row.role) for row in found.rows] == [
        ("murrough2013_ajp", -7.95, Role.CALIBRATION),
        ("daly2018", -10.7, Role.CALIBRATION),
        ("fu2020_aspire1", -3.8, Role.HELD_OUT),
        ("ionescu2021_aspire2", -3.9, Role.HELD_OUT),
    ]
    # Murrough: interval -12.71 to -3.20 is 9.51 wide, 9.51 / 3.92 = 2.426; Daly: printed standard error 2.88
    assert found.rows[0].effect.variance == pytest.approx(2.426**2, rel=1e-3)
    assert found.rows[1].effect.variance == pytest.approx(2.88**2)
    assert found.pooled.status is PoolingStatus.POOLED
    assert found.pooled.prediction95 is not None
    assert found.pooled.prediction95[0] < found.pooled.ci95[0] < found.pooled.estimate < found.pooled.ci95[1]
    assert "price2022_ipd" in {result.study.key for result in found.published}


def reasons(name: str) -> dict[tuple[str, str], str]:
    return {(row.trial.key, row.contrast[0]): row.reason for row in pool_outcome(name).excluded}


def test_what_is_left_out_says_why() -> None:
    day = reasons("depression-24h")
    assert day["daly2018", "esk28"] == "shares the arm placebo with esk84 against placebo, which has the higher dose"
    assert day["ionescu2021_aspire2", "bzd_on_esk"] == "does not compare the drug with a control"
    month = reasons("depression-28d")
    assert month["fedgchin2019_transform1", "esk84"] == "from memory, not read at a page"
    assert month["popova2019_transform2", "esk_flex"] == "shares patients with transform12_by_sex, which is larger"


def test_no_pooled_rows_share_patients_or_arms() -> None:
    for outcome in outcomes():
        rows = pool_outcome(outcome.name).rows
        for position, row in enumerate(rows):
            for other in rows[position + 1 :]:
                assert other.trial.key not in row.trial.overlaps
                assert row.trial.key != other.trial.key or not set(row.contrast) & set(other.contrast)


def test_response_odds_by_hand() -> None:
    # Murrough 2013: 64 % of 47 = 30, 28 % of 25 = 7; odds ratio (30 / 17) / (7 / 18)
    row = pool_outcome("depression-response-24h").rows[0]
    assert row.effect.estimate == pytest.approx(math.log((30 / 17) / (7 / 18)))
    assert row.effect.variance == pytest.approx(1 / 30 + 1 / 17 + 1 / 7 + 1 / 18)


def test_relapse_pools_the_two_strata_of_one_trial_on_the_log_scale() -> None:
    found = pool_outcome("depression-relapse")
    assert [row.effect.estimate for row in found.rows] == pytest.approx([math.log(0.49), math.log(0.30)])
    assert found.rows[0].effect.variance == pytest.approx((math.log(0.84 / 0.29) / 3.92) ** 2, rel=1e-4)
    assert found.pooled.status is PoolingStatus.TWO_STUDIES
    assert found.pooled.prediction95 is None


def test_one_trial_is_not_pooled() -> None:
    found = pool_outcome("ptsd-2w")
    assert found.pooled.status is PoolingStatus.ONE_STUDY
    assert (found.pooled.estimate, found.pooled.tau2, found.pooled.weights) == (-1.13, None, (1.0,))


def test_suicidal_ideation_by_hand() -> None:
    murrough, grunebaum = pool_outcome("suicidal-ideation-24h").rows
    sd = math.sqrt((35 * 1.05**2 + 20 * 1.26**2) / 55)
    assert murrough.effect.estimate == pytest.approx((0.72 - 1.24) / sd * (1 - 3 / 219))
    assert grunebaum.effect.variance == pytest.approx(80 / 1600 + 0.75**2 / 160)


@pytest.mark.parametrize(
    ("ask", "name", "close"),
    [
        (trial, "murough2013", "murrough2013_ajp"),
        (pk_model, "kamp2020", "kamp2020_meta_3cmt"),
        (fact, "olofsen2022_c50", "olofsen2022_c50_dissociation"),
        (pharmacology, "absorbtion", "absorption"),
        (pool_outcome, "depression-24", "depression-24h"),
        (claim, "C99", "C09"),
        (source, "mur_ap", "mur_apa"),
    ],
)
def test_an_unknown_name_is_answered_with_close_ones(ask: object, name: str, close: str) -> None:
    assert callable(ask)
    with pytest.raises(UnknownName, match=close):
        ask(name)
