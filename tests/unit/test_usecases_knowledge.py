"""Evidence as answers: figures in words, pooled effects in the unit a reader sees, and the two reports."""

from __future__ import annotations

import dataclasses
import math
import re
from xml.etree import ElementTree as ET

import pytest

from afterglow.evidence import (
    PREDICTION_FORMULA,
    Favours,
    Figure,
    PoolingMethod,
    Spread,
    SpreadKind,
    Statistic,
    TimeOrigin,
    claims,
    outcomes,
    pool_outcome,
    source,
    trial,
    trials,
)
from afterglow.evidence.figures import PValue
from afterglow.provenance import Provenance, Role, Verified
from afterglow.render.report import Report, report_html
from afterglow.usecases.knowledge import (
    FROM_MEMORY,
    PoolAnswer,
    arm_words,
    checked_words,
    evidence_words,
    figure_time,
    figure_value,
    figure_words,
    heterogeneity_words,
    overview,
    pooled_outcome,
    provenances_in,
    shown_pool,
    typeset,
)
from afterglow.usecases.knowledge_contracts import plain, pool_document
from afterglow.usecases.knowledge_reports import claims_report, pool_report

PAGE = Provenance(source=("mur_rev",), verified=Verified.PAGE)
NAMES = [outcome.name for outcome in outcomes()]
WITH_PUBLISHED = "depression-24h"


def figure(**told: object) -> Figure:
    """A figure of which only the told fields say anything."""
    empty = {field.name: None for field in dataclasses.fields(Figure)}
    fields = {
        **empty,
        "arm": "ket",
        "statistic": Statistic.MEAN,
        "t_from": TimeOrigin.FIRST_DOSE,
        "spreads": (),
        "do_not_fit": False,
        "provenance": PAGE,
        **told,
    }
    return Figure(**fields)  # type: ignore[arg-type]


# Words


@pytest.mark.parametrize(
    ("written", "printed"),
    [
        ("-3.8 points", "−3.8 points"),
        ("effect -0.2, CI -0.6 to 0.3", "effect −0.2, CI −0.6 to 0.3"),
        ("(-13.3 to 1.64)", "(−13.3 to 1.64)"),
        ("40-60 min on 0.25-1 mg/kg", "40-60 min on 0.25-1 mg/kg"),
        ("HDRS-25 -14 (SD 10)", "HDRS-25 −14 (SD 10)"),
        (">=50% or <=10", "≥50 % or ≤10"),
        ("46.5 % vs 25.9 %", "46.5 % vs 25.9 %"),
        ("no number - nothing changes", "no number - nothing changes"),
    ],
)
def test_words_of_the_records_are_typeset(written: str, printed: str) -> None:
    assert typeset(written) == printed
    assert typeset(printed) == printed


@pytest.mark.parametrize(
    ("told", "words"),
    [
        ({"scale": "MADRS", "statistic": Statistic.RESPONSE_PCT}, "MADRS, response"),
        ({"scale": "MADRS", "statistic": Statistic.ADJUSTED_MEAN_CHANGE}, "MADRS, adjusted mean change"),
        ({"statistic": Statistic.MEDIAN_DAYS_TO_RELAPSE, "of": "responders"}, "median days to relapse, of responders"),
        ({"statistic": Statistic.PCT, "measure": "BP rise >=40"}, "proportion, BP rise ≥40"),
        ({"statistic": Statistic.OTHER, "measure": "observation, hours"}, "observation, hours"),
        ({"statistic": Statistic.OTHER}, "figure"),
    ],
)
def test_a_figure_is_named(told: dict[str, object], words: str) -> None:
    assert figure_words(figure(**told)) == words


@pytest.mark.parametrize(
    ("told", "words"),
    [
        ({}, ""),
        ({"when": "before"}, "before"),
        ({"t_days": 1.0}, "24 h"),
        ({"t_days": 0.0}, "before"),
        ({"t_days": 0.0, "when": "before"}, "before"),
        ({"t_days": 7.0, "when": "week 1"}, "7 days (week 1)"),
        ({"t_days": 28.0, "t_from": TimeOrigin.END_OF_INDUCTION}, "28 days from end of induction"),
    ],
)
def test_a_time_is_told_from_the_first_dose(told: dict[str, object], words: str) -> None:
    assert figure_time(figure(**told)) == words


@pytest.mark.parametrize(
    ("told", "words"),
    [
        ({"scale": "MADRS", "value": -16.5}, "−16.5 points"),
        ({"value": 22.0}, "22"),
        ({"statistic": Statistic.RESPONSE_PCT, "value": 45.7}, "45.7 %"),
        ({"statistic": Statistic.MEDIAN_DAYS_TO_RELAPSE, "value": 27.5}, "27.5 days"),
        ({"statistic": Statistic.ODDS_RATIO, "value": 2.18}, "2.18"),
        (
            {"scale": "MADRS", "value": 1.0, "spreads": (Spread(kind=SpreadKind.SD, value=0.5),), "n": 36},
            "1 points (SD 0.5); n = 36",
        ),
        ({"spreads": (Spread(kind=SpreadKind.RANGE, lo=48.0, hi=61.0),)}, "range 48 to 61"),
        (
            {"value": 1.0, "spreads": (Spread(kind=SpreadKind.CI95, lo=-0.5, hi=None, note="not estimable"),)},
            "1 (95 % −0.5 to not given)",
        ),
        (
            {"value": 1.0, "spreads": (Spread(kind=SpreadKind.SE, value=2.0, verified=Verified.RECALLED),)},
            "1 (SE 2, from memory, not confirmed)",
        ),
        ({"statistic": Statistic.RESPONSE_PCT, "value": 64.0, "n": 47, "events": 30}, "64 %; 30 of 47 patients"),
        ({"statistic": Statistic.COUNT, "value": 3.0, "events": 3}, "3; 3 patients"),
        ({"statistic": Statistic.P_VALUE, "p": PValue(value=0.001, below=True)}, "p < 0.001"),
        ({"statistic": Statistic.OTHER, "text": "rose by >=5%"}, "rose by ≥5 %"),
        (
            {"statistic": Statistic.ODDS_RATIO, "value": 2.18, "do_not_fit": True, "favours": Favours.FIRST},
            "2.18; in doubt, kept for the record only",
        ),
    ],
)
def test_a_value_has_unit_spread_and_patients(told: dict[str, object], words: str) -> None:
    assert figure_value(figure(**told)) == words


def test_every_figure_of_every_trial_has_words_and_a_value_without_ascii_minus() -> None:
    for found in trials():
        for each in found.figures:
            assert figure_words(each)
            assert figure_value(each)
            assert not re.search(r"(^|[ (])-\d", figure_value(each))


@pytest.mark.parametrize(
    ("key", "arm", "words"),
    [
        ("murrough2013_ajp", "midaz", "midazolam 0.045 mg/kg"),
        ("daly2018", "placebo", "placebo"),
        ("fu2020_aspire1", "esk84", "esketamine 84 mg + SOC"),
        ("fedgchin2019_transform1", "esk84", "esketamine 84 mg (56 on day 1) + new oral AD"),
    ],
)
def test_an_arm_is_named_by_drug_and_dose(key: str, arm: str, words: str) -> None:
    assert arm_words(trial(key).arm(arm)) == words


@pytest.mark.parametrize(
    ("provenance", "words"),
    [
        (Provenance(source=("a", "b"), verified=Verified.PAGE), "a, b"),
        (Provenance(source=("a",), verified=Verified.DERIVED), "derived from a"),
        (Provenance(source=(), verified=Verified.DERIVED, note="-2 x 3"), "derived; −2 x 3"),
        (Provenance(source=(), verified=Verified.POLICY), "policy default, no published figure"),
        (Provenance(source=("a",), verified=Verified.POLICY), "policy default, no published figure: a"),
        (Provenance(source=("a",), verified=Verified.RECALLED), "from memory, not confirmed"),
    ],
)
def test_how_far_something_was_checked_is_said(provenance: Provenance, words: str) -> None:
    assert checked_words(provenance) == words


# Pooled outcomes


@pytest.mark.parametrize("name", NAMES)
def test_an_answer_shows_what_was_pooled(name: str) -> None:
    answer = pooled_outcome(name)
    pooled = answer.pool.pooled

    def shown(value: float) -> float:
        return math.exp(value) if answer.is_ratio else value

    assert answer.effect.estimate == shown(pooled.estimate)
    assert (answer.effect.lo95, answer.effect.hi95) == tuple(map(shown, pooled.ci95))
    assert sum(row.weight_pct for row in answer.rows) == pytest.approx(100)
    for row in answer.rows:
        half = 1.959963984540054 * math.sqrt(row.row.effect.variance)
        assert row.effect.estimate == shown(row.row.effect.estimate)
        assert (row.effect.lo95, row.effect.hi95) == pytest.approx(
            (shown(row.row.effect.estimate - half), shown(row.row.effect.estimate + half))
        )
    assert all(key in {one for row in answer.rows for one in row.sources} or source(key) for key in answer.source_keys)


def test_a_hazard_ratio_by_hand() -> None:
    """The printed hazard ratio comes back, and its interval is symmetrical on the log scale."""
    answer = pooled_outcome("depression-relapse")
    first = answer.rows[0]
    assert first.effect.estimate == pytest.approx(0.49)
    assert (first.effect.lo95, first.effect.hi95) == pytest.approx((0.29, 0.84), abs=0.01)
    assert (answer.no_effect, answer.lower_favours_drug, answer.unit) == (1.0, True, "hazard ratio")
    assert first.label == "Daly EJ 2019, stable remitters"


@pytest.mark.parametrize(
    ("name", "better", "unit", "no_effect"),
    [
        ("depression-24h", "negative favours the drug", "MADRS points", 0.0),
        ("depression-response-24h", "above 1 favours the drug", "odds ratio", 1.0),
        ("depression-relapse", "below 1 favours the drug", "hazard ratio", 1.0),
        ("ptsd-2w", "negative favours the drug", "standard deviations", 0.0),
    ],
)
def test_units_and_sides(name: str, better: str, unit: str, no_effect: float) -> None:
    answer = pooled_outcome(name)
    assert (answer.better, answer.unit, answer.no_effect) == (better, unit, no_effect)


@pytest.mark.parametrize("name", NAMES)
def test_no_published_result_from_memory_is_kept_and_each_one_is_counted(name: str) -> None:
    every, answer = pool_outcome(name).published, pooled_outcome(name)
    assert len(answer.published) + answer.recalled_left_out == len(every)
    assert Verified.RECALLED not in {found.figure.provenance.verified for found in answer.published}


@pytest.mark.parametrize("name", NAMES)
def test_notes_say_held_out_and_how_few_trials(name: str) -> None:
    answer = pooled_outcome(name)
    said = " ".join(answer.notes)
    held = {row.row.role for row in answer.rows} & {Role.HELD_OUT, Role.HELD_OUT_SHARED}
    assert ("pooled for display only" in said) == bool(held)
    assert ("studies:" in said or "study:" in said) == (answer.prediction95 is None)
    assert ("on the log scale" in said) == answer.is_ratio


@pytest.mark.parametrize(
    ("name", "drawn"),
    [
        # In MADRS points, at 4 h: An 2021. Standardised results are on another axis.
        ("depression-4h", {"An D 2021"}),
        # At 24 h its own caveat says not to use it.
        ("depression-24h", set()),
        # Odds ratios; risk ratios would not be drawn.
        ("depression-response-24h", {"Dean RL 2021", "Newport DJ 2015"}),
        # The sign of a standardised result may mean either side.
        ("suicidal-ideation-24h", set()),
    ],
)
def test_only_published_results_on_the_same_axis_are_drawn(name: str, drawn: set[str]) -> None:
    answer = pooled_outcome(name)
    assert {found.label for found in answer.published if found.effect is not None} == drawn


@pytest.mark.parametrize(
    "spoilt",
    [
        {"do_not_fit": True},
        {"value": None},
        {"spreads": ()},
        {"spreads": (Spread(kind=SpreadKind.CI95, lo=-10.0, note="upper end not estimable"),)},
    ],
)
def test_a_published_result_without_a_whole_interval_or_in_doubt_is_not_drawn(spoilt: dict[str, object]) -> None:
    pool = pool_outcome("depression-4h")
    (found,) = pool.published
    broken = dataclasses.replace(found, figure=dataclasses.replace(found.figure, **spoilt))  # type: ignore[arg-type]
    (shown,) = shown_pool(dataclasses.replace(pool, published=(broken,))).published
    assert shown.effect is None


def test_methods_differ_and_say_their_names() -> None:
    by_method = {method: pool_document(pooled_outcome(WITH_PUBLISHED, method=method)) for method in PoolingMethod}
    assert {document["method"] for document in by_method.values()} == {"paule_mandel", "dersimonian_laird"}
    assert len({document["pooling"]["tau2"] for document in by_method.values()}) == 2


def test_heterogeneity_is_told_where_there_is_any_to_tell() -> None:
    assert heterogeneity_words(pooled_outcome("ptsd-2w")) == ()
    assert [name for name, _ in heterogeneity_words(pooled_outcome("depression-28d"))] == [
        "Between-trial variance",
        "Test of homogeneity",
    ]


def test_overview_tells_its_progress() -> None:
    told: list[float] = []
    found = overview(told.append)
    assert told == pytest.approx([(i + 1) / len(NAMES) for i in range(len(NAMES))])
    assert [pool.outcome.name for pool in found.pools] == NAMES
    assert found.figures == sum(len(one.figures) for one in trials())
    assert overview() == found


# Records as JSON


def test_a_record_becomes_json_with_its_provenance_in_it() -> None:
    found = plain(trial("murrough2013_ajp").figures[4])
    assert found["contrast"] == ["ket05", "midaz"]
    assert (found["source"], found["verified"]) == (["mur_rev"], "page")
    assert "provenance" not in found
    assert type(found["statistic"]) is str


def test_provenances_are_found_at_every_depth() -> None:
    found = trial("murrough2013_ajp")
    inside = list(provenances_in(found))
    arms = [one for arm in found.arms for one in (arm.baseline and arm.baseline.provenance, arm.provenance) if one]
    assert sorted(map(str, inside)) == sorted(map(str, [*arms, *(each.provenance for each in found.figures)]))


# Reports


def body_of(html: str) -> ET.Element:
    body = ET.fromstring(html.removeprefix("<!doctype html>\n")).find("body")
    assert body is not None
    return body


def words_of(html: str) -> str:
    return re.sub(r"\s+", " ", " ".join(body_of(html).itertext()))


@pytest.mark.parametrize("name", NAMES)
def test_a_pool_report_shows_rows_roles_reasons_and_sources(name: str) -> None:
    answer = pooled_outcome(name)
    said = words_of(report_html(pool_report(answer)))
    for row in answer.rows:
        assert f"{row.label}, {row.row.role.replace('_', ' ')}" in said
        assert row.row.basis in said
    for excluded in answer.pool.excluded:
        assert excluded.reason in said
    for key in answer.source_keys:
        assert source(key).citation in said
    assert ("Held-out trials, for display only" in said) == (answer.held_out > 0)
    assert ("Contains held-out figures" in said) == (answer.held_out > 0)
    assert ("Left out, and why" in said) == bool(answer.pool.excluded)
    assert ("Published meta-analyses" in said) == bool(answer.published)


def test_a_pool_report_tells_the_caveats_of_what_it_draws() -> None:
    said = words_of(report_html(pool_report(pooled_outcome("depression-response-24h"))))
    assert "Newport DJ 2015: early, small, saline: an example of inflation" in said
    # A caveat of a result that is not drawn stands in the table alone.
    assert (
        words_of(report_html(pool_report(pooled_outcome(WITH_PUBLISHED)))).count("NOT significant as monotherapy") == 1
    )


def test_a_result_in_doubt_is_listed_and_not_drawn() -> None:
    said = words_of(report_html(pool_report(pooled_outcome("depression-24h"))))
    assert "In doubt, so listed but not drawn (see the caveats): An D 2021." in said
    assert "4 contrasts of trials and 1 pooled or published results" in said
    assert f"Prediction interval: {PREDICTION_FORMULA}." in said
    drawn = body_of(report_html(pool_report(pooled_outcome("depression-24h")))).find(".//figure")
    assert drawn is not None
    assert "An D 2021" not in "".join(drawn.itertext())


def test_the_claims_report_has_tally_verdicts_evidence_and_sources() -> None:
    html = report_html(claims_report())
    said = words_of(html)
    tally = body_of(html).find(".//ul[@class='tally']")
    assert tally is not None
    assert [number.text for number in tally.iter("b")] == ["6", "10", "11", "5", "2"]
    for claim in claims():
        assert typeset(claim.claim) in said
        assert typeset(claim.action) in said
        for part in claim.evidence:
            assert f"{evidence_words(part)} [{', '.join(part.provenance.source) or 'no source'}]" in said
            for key in part.provenance.source:
                assert source(key).citation in said
    assert "3 pieces of evidence are from memory" in said


def test_every_key_of_the_claims_report_stands_in_its_table_of_sources() -> None:
    ledger, sources = body_of(report_html(claims_report())).findall(".//main/section")
    keys = {row[0].text for row in sources.iter("tr")}
    pieces = [one.text or "" for cell in ledger.iter("td") for one in cell.findall("div")]
    cited = [key for piece in pieces for key in piece[piece.rindex("[") + 1 : -1].split(", ")]
    assert len(pieces) == sum(len(claim.evidence) for claim in claims())
    assert set(cited) - {"no source"} <= keys


def test_evidence_from_memory_says_so_in_the_claims_report() -> None:
    said = words_of(report_html(claims_report()))
    assert f"{FROM_MEMORY.capitalize()}: Single-infusion response" in said


def test_reports_are_the_same_bytes_every_time() -> None:
    answer: PoolAnswer = pooled_outcome(WITH_PUBLISHED)
    assert report_html(pool_report(answer)) == report_html(pool_report(pooled_outcome(WITH_PUBLISHED)))
    assert report_html(claims_report()) == report_html(claims_report())
    assert report_html(Report(title="", subtitle="", sections=(), foot=""))[:40] in report_html(claims_report())
