"""Every chart of the grammar, on curves made up for these tests: no number here is a finding."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from dataclasses import replace
from xml.etree import ElementTree as ET

import pytest

from afterglow.errors import InvalidData
from afterglow.render.chart import NARROW_PX, WIDE_PX, Chart
from afterglow.render.exposure import ConcentrationCurve, ExposureData, exposure_chart
from afterglow.render.marks import DoseMark, ObservedPoint
from afterglow.render.panels import SeverityBand, Threshold
from afterglow.render.response import (
    AfterglowData,
    ResponseData,
    afterglow_chart,
    response_chart,
)
from afterglow.render.rows import (
    ForestData,
    ForestGroup,
    ForestRow,
    ObservedPredictedData,
    PredictionGroup,
    PredictionRow,
    forest_chart,
    observed_predicted_chart,
)
from afterglow.render.tokens import TOKENS

SVG = "{http://www.w3.org/2000/svg}"
HOSTILE = "<script>alert(\"x\")</script> & 'y' \x00"


def concentration(label: str = "Ketamine, racemic, venous plasma", size: float = 190.0) -> ConcentrationCurve:
    times = tuple(i / 15 for i in range(91))
    peak_h = times[10]

    def level(hours: float) -> float:
        since = hours - peak_h
        return hours / peak_h if since <= 0 else 0.55 * math.exp(-2 * since) + 0.45 * math.exp(-0.3 * since)

    shape = [size * level(hours) for hours in times]
    return ConcentrationCurve(
        label=label,
        unit="ng/mL",
        time_h=times,
        median=tuple(shape),
        lo90=tuple(0.66 * value for value in shape),
        hi90=tuple(1.5 * value for value in shape),
    )


def exposure_data() -> ExposureData:
    points = tuple(
        ObservedPoint(time_h=h, value=v, low=v - 30, high=v + 30) for h, v in ((2 / 3, 204.0), (2.0, 76.0), (4.0, 46.0))
    )
    return ExposureData(
        title="Concentration after one infusion",
        curves=(
            replace(concentration(), observed=points),
            concentration("S-ketamine, venous plasma", 96.0),
            concentration("Norketamine, venous plasma", 60.0),
        ),
        doses=(DoseMark(time_h=0.0, duration_h=2 / 3, label="0.5 mg/kg IV"),),
    )


def afterglow_data() -> AfterglowData:
    times = tuple(float(h) for h in range(0, 28 * 24 + 1, 4))
    return AfterglowData(
        title="One session, on its own",
        time_h=times,
        labile=tuple(1.3 * (math.exp(-h / 120) - math.exp(-h / 14)) for h in times),
        consolidated=tuple(0.28 * (math.exp(-h / 900) - math.exp(-h / 110)) for h in times),
    )


def response_data() -> ResponseData:
    days = (0, 2, 4, 7, 9, 11)
    times = tuple(h / 1 for h in range(0, 28 * 24 + 1, 4))

    def layer(day: int, size: float) -> tuple[float, ...]:
        return tuple(
            size * max(0.0, math.exp(-(h - 24 * day) / 420) - math.exp(-(h - 24 * day) / 10)) if h > 24 * day else 0.0
            for h in times
        )

    layers = tuple(layer(day, 6.5 * 0.6**i) for i, day in enumerate(days))
    drug = tuple(sum(values) for values in zip(*layers, strict=True))
    last = [max([24 * day for day in days if 24 * day < h], default=0) for h in times]
    hope = tuple(
        4.0 * 2 ** (-(h - s) / 150) * (1 - math.exp(-(h - s + 1) / 3)) if h else 0.0
        for h, s in zip(times, last, strict=True)
    )
    care = tuple(4.2 * (1 - 2 ** (-h / 200)) for h in times)
    mean = tuple(32.6 - d - e - c for d, e, c in zip(drug, hope, care, strict=True))
    width = [2.4 * (1 - math.exp(-h / 60)) for h in times]
    control = tuple(32.6 - 0.75 * e - c for e, c in zip(hope, care, strict=True))
    active = ((24.0, 19.8), (168.0, 15.6), (336.0, 11.9), (672.0, 17.4))
    sham = ((24.0, 28.9), (168.0, 26.7), (336.0, 24.6), (672.0, 27.3))
    return ResponseData(
        title="Mean score over four weeks",
        score_name="MADRS",
        baseline=32.6,
        time_h=times,
        mean=mean,
        lo50=tuple(m - w for m, w in zip(mean, width, strict=True)),
        hi50=tuple(m + w for m, w in zip(mean, width, strict=True)),
        lo90=tuple(m - 2.4 * w for m, w in zip(mean, width, strict=True)),
        hi90=tuple(m + 2.4 * w for m, w in zip(mean, width, strict=True)),
        drug=drug,
        expectancy=hope,
        care=care,
        sessions=tuple(DoseMark(time_h=24.0 * day, duration_h=2 / 3, label="0.5 mg/kg IV") for day in days),
        observed=tuple(ObservedPoint(time_h=h, value=v, low=v - 2.6, high=v + 2.6) for h, v in active),
        control_mean=control,
        observed_control=tuple(ObservedPoint(time_h=h, value=v, low=v - 2.8, high=v + 2.8) for h, v in sham),
        drug_layers=layers,
        thresholds=(Threshold(name="Remission", definition="10 or less", score=10.0),),
        severity=(
            SeverityBand(name="Severe", low=34, high=60),
            SeverityBand(name="Moderate", low=20, high=34),
            SeverityBand(name="Mild", low=7, high=20),
            SeverityBand(name="None", low=0, high=7),
        ),
    )


def prediction_data() -> ObservedPredictedData:
    def row(label: str, middle: float, half: float, seen: float | None, own: float | None = None) -> PredictionRow:
        return PredictionRow(
            label=label,
            predicted=middle,
            lo90=middle - half,
            hi90=middle + half,
            observed=seen,
            observed_low=None if seen is None or own is None else seen - own,
            observed_high=None if seen is None or own is None else seen + own,
        )

    return ObservedPredictedData(
        title="Published against predicted",
        groups=(
            PredictionGroup(
                heading="Change in MADRS",
                unit="points from baseline",
                rows=(
                    row("Ketamine, 24 h", -14.1, 3.9, -16.4, 2.4),
                    row("Ketamine, 7 days", -11.0, 4.2, -10.1, 3.0),
                    row("Midazolam, 24 h", -8.0, 3.8, -7.8, 2.5),
                    row("Midazolam, 7 days", -6.6, 4.0, None),
                    row("Ketamine − midazolam, 24 h", -6.1, 4.4, -8.6, 3.6),
                ),
            ),
            PredictionGroup(
                heading="Response",
                unit="% of the arm",
                decimals=0,
                rows=(row("Ketamine, 24 h", 52, 17, 64, 14), row("Midazolam, 24 h", 22, 15, 44, 18)),
            ),
        ),
    )


def forest_data() -> ForestData:
    def row(
        label: str, source: str, control: str, low: float, effect: float, high: float, weight: float | None = None
    ) -> ForestRow:
        return ForestRow(
            label=label,
            source=source,
            comparator=control,
            effect=effect,
            lo95=low,
            hi95=high,
            kind="trial",
            weight_percent=weight,
        )

    pooled = ForestRow(
        label="All three trials",
        source="pooled here, Paule-Mandel",
        comparator="mixed",
        effect=0.58,
        lo95=0.21,
        hi95=0.95,
        kind="pooled",
        prediction_lo95=-0.12,
        prediction_hi95=1.28,
    )
    unsure = replace(
        pooled,
        label="All trials, bias-corrected",
        lo95=-0.08,
        effect=0.2,
        hi95=0.48,
        prediction_lo95=None,
        prediction_hi95=None,
    )
    return ForestData(
        title="How much more than control?",
        measure="Standardised difference",
        left_label="control better",
        right_label="drug better",
        groups=(
            ForestGroup(
                heading="Depression, 24 h",
                rows=(
                    row("Invented trial A, 47 people", "Doe 2019", "midazolam", 0.36, 0.81, 1.26, 45.0),
                    row("Invented trial B", "Roe 2020, abstract", "saline", 0.2, 1.13, 1.91, 15.0),
                    row("Invented trial C", "Poe 2021", "masked", -0.31, 0.12, 0.55, 40.0),
                    pooled,
                ),
            ),
            ForestGroup(heading="PTSD", rows=(row("Six infusions", "Moe 2022", "midazolam", 0.36, 1.13, 1.9), unsure)),
        ),
    )


def every_chart() -> dict[str, Chart]:
    return {
        "exposure": exposure_chart(exposure_data()),
        "exposure, log": exposure_chart(replace(exposure_data(), log_y=True, doses=())),
        "afterglow": afterglow_chart(afterglow_data()),
        "response": response_chart(response_data()),
        "observed": observed_predicted_chart(prediction_data()),
        "forest": forest_chart(forest_data()),
    }


CHARTS = every_chart()
BOTH_SIZES = pytest.mark.parametrize("narrow", [False, True], ids=["wide", "narrow"])
EACH_CHART = pytest.mark.parametrize("chart", CHARTS.values(), ids=CHARTS)


def tree(chart: Chart, *, narrow: bool) -> ET.Element:
    return ET.fromstring(chart.narrow_svg if narrow else chart.svg)


def words(root: ET.Element) -> list[str]:
    return [node.text or "" for node in root.iter(f"{SVG}text")]


def kinds(root: ET.Element, name: str) -> list[ET.Element]:
    return list(root.iter(f"{SVG}{name}"))


@EACH_CHART
@BOTH_SIZES
def test_a_chart_is_an_image_named_by_one_sentence(chart: Chart, *, narrow: bool) -> None:
    root = tree(chart, narrow=narrow)
    assert root.get("role") == "img"
    assert root.get("aria-label") == chart.summary
    assert chart.summary.endswith(".")
    assert chart.title
    assert root.get("viewBox", "").split()[2] == f"{NARROW_PX if narrow else WIDE_PX:.0f}"


@EACH_CHART
@BOTH_SIZES
def test_a_chart_uses_presentation_attributes_and_token_colours_only(chart: Chart, *, narrow: bool) -> None:
    root = tree(chart, narrow=narrow)
    for node in root.iter():
        assert node.tag != f"{SVG}style"
        assert "style" not in node.attrib
        for attribute in ("fill", "stroke"):
            paint = node.get(attribute, "none")
            known = {"none", *(f"var(--{token})" for token in TOKENS["light"])}
            assert paint in known or re.fullmatch(r"url\(#c[0-9a-f]{8}-[wn]-(hatch|dots)\)", paint)


@EACH_CHART
@BOTH_SIZES
def test_no_text_is_smaller_than_the_axis_size_or_starts_outside(chart: Chart, *, narrow: bool) -> None:
    root = tree(chart, narrow=narrow)
    width, height = (float(value) for value in root.get("viewBox", "").split()[2:])
    for node in kinds(root, "text"):
        assert float(node.get("font-size", "0")) >= 12.5
        assert 0 <= float(node.get("x", "-1")) <= width
        assert 0 < float(node.get("y", "-1")) <= height


@EACH_CHART
@BOTH_SIZES
def test_priority_colours_appear_in_no_chart(chart: Chart, *, narrow: bool) -> None:
    svg = chart.narrow_svg if narrow else chart.svg
    assert not re.search(r"var\(--(high|medium|low)", svg)


@EACH_CHART
def test_the_table_holds_the_same_data_with_units_and_true_minus_signs(chart: Chart) -> None:
    assert chart.table.rows
    assert chart.title in chart.table.caption
    cells = [cell for row in chart.table.rows for cell in row]
    assert not [cell for cell in cells if re.match(r"-\d", cell)]
    assert len({column.heading for column in chart.table.columns}) == len(chart.table.columns)


def test_the_same_data_give_the_same_bytes_and_other_data_other_pattern_names() -> None:
    assert every_chart() == CHARTS
    other = response_chart(replace(response_data(), title="Another arm"))
    names = re.findall(r'id="([^"]+)"', CHARTS["response"].svg + CHARTS["response"].narrow_svg + other.svg)
    assert len(names) == len(set(names)) == 6


def test_hostile_text_stays_text() -> None:
    charts = [
        exposure_chart(
            replace(
                exposure_data(),
                title=HOSTILE,
                curves=(concentration(HOSTILE),),
                doses=(DoseMark(time_h=0, label=HOSTILE),),
            )
        ),
        response_chart(replace(response_data(), score_name=HOSTILE)),
        forest_chart(replace(forest_data(), left_label=HOSTILE, measure=HOSTILE)),
    ]
    for chart in charts:
        for narrow in (False, True):
            assert not kinds(tree(chart, narrow=narrow), "script")
            assert "\x00" not in chart.svg
    assert any("<script>" in said for said in words(tree(charts[2], narrow=True)))


# Exposure


def test_exposure_names_each_curve_its_unit_and_its_peak() -> None:
    said = words(tree(CHARTS["exposure"], narrow=False))
    assert {"S-ketamine,", "venous plasma", "ng/mL", "Peak 96.0", "at 40 min", "0.5 mg/kg IV"} <= set(said)
    phone = words(tree(CHARTS["exposure"], narrow=True))
    assert "ng/mL. Peak 96.0 at 40 min, 90 % 63.4 to 144" in phone
    assert "S-ketamine, venous plasma 96.0 ng/mL (90 % of people 63.4 to 144) at 40 min" in CHARTS["exposure"].summary


def test_exposure_table_holds_peaks_measured_values_and_doses() -> None:
    table = CHARTS["exposure"].table
    assert ("40 min", "S-ketamine, venous plasma, ng/mL", "96.0", "63.4 to 144") in table.rows
    assert ("2 h", "Ketamine, racemic, venous plasma, ng/mL, measured", "76.0 (46.0 to 106)", "") in table.rows
    assert table.caption.endswith("0.5 mg/kg IV at 0 h")


def test_panels_of_one_unit_share_their_scale() -> None:
    said = words(tree(CHARTS["exposure"], narrow=False))
    assert said.count("300") == 3
    other_unit = replace(concentration("Other", 2.0), unit="nmol/mL")
    mixed = exposure_chart(replace(exposure_data(), curves=(*exposure_data().curves, other_unit)))
    assert words(tree(mixed, narrow=False)).count("300") == 3


def test_a_log_axis_starts_three_decades_below_the_peak_at_most() -> None:
    steep = concentration()
    steep = replace(steep, median=tuple(190.0 * 10 ** (-h) for h in steep.time_h), lo90=(0.0,) * 91)
    said = words(tree(exposure_chart(replace(exposure_data(), curves=(steep,), log_y=True)), narrow=False))
    assert {"0.1", "100"} <= set(said)
    assert "0.01" not in said


def test_no_dose_given_is_a_flat_line_on_a_linear_axis() -> None:
    nothing = replace(concentration(size=0.0), observed=())
    chart = exposure_chart(replace(exposure_data(), curves=(nothing,), log_y=True))
    assert "Peak 0" in words(tree(chart, narrow=False))


def test_unlike_doses_are_named_in_the_table() -> None:
    doses = (
        DoseMark(time_h=0.0, label="28 mg"),
        DoseMark(time_h=2.0, label="56 mg"),
        DoseMark(time_h=4.0, label="56 mg"),
    )
    chart = exposure_chart(replace(exposure_data(), doses=doses))
    assert "see the table" in words(tree(chart, narrow=False))
    assert chart.table.caption.endswith("28 mg at 0 h; 56 mg at 2 h, 4 h")


@pytest.mark.parametrize(
    ("odd", "message"),
    [
        (replace(concentration(), median=(1.0,)), "differ in length"),
        (replace(concentration(), hi90=(math.nan,) * 91), "finite"),
        (replace(concentration(), time_h=tuple(reversed(concentration().time_h))), "do not increase"),
        (replace(concentration(), time_h=(1.0,), median=(1.0,), lo90=(1.0,), hi90=(1.0,)), "too short"),
    ],
)
def test_a_curve_that_cannot_be_drawn_is_refused(odd: ConcentrationCurve, message: str) -> None:
    with pytest.raises(InvalidData, match=message):
        exposure_chart(replace(exposure_data(), curves=(odd,)))


@pytest.mark.parametrize(
    "draw",
    [
        lambda: exposure_chart(replace(exposure_data(), curves=())),
        lambda: observed_predicted_chart(replace(prediction_data(), groups=())),
        lambda: forest_chart(replace(forest_data(), groups=())),
    ],
)
def test_nothing_to_draw_is_refused(draw: Callable[[], Chart]) -> None:
    with pytest.raises(InvalidData, match="holds no"):
        draw()


# Afterglow


def test_the_afterglow_tells_its_peak_its_half_and_its_end() -> None:
    assert CHARTS["afterglow"].summary == (
        "The afterglow of one session: highest after 36 h, half of it gone by 7.5 days, 15 % left at 28 days."
    )


def test_a_curve_that_ends_before_its_half_says_only_what_it_shows() -> None:
    data = afterglow_data()
    chart = afterglow_chart(
        replace(data, time_h=data.time_h[:20], labile=data.labile[:20], consolidated=data.consolidated[:20])
    )
    assert "half" not in chart.summary


def test_no_response_has_no_afterglow_and_no_half_of_it() -> None:
    data = afterglow_data()
    flat = (0.0,) * len(data.time_h)
    chart = afterglow_chart(replace(data, labile=flat, consolidated=flat))
    assert chart.summary == "The afterglow of one session: no gain at 28 days."


def test_words_at_a_late_turn_stay_left_of_the_margin() -> None:
    data = afterglow_data()
    short = afterglow_chart(
        replace(data, time_h=data.time_h[:47], labile=data.labile[:47], consolidated=data.consolidated[:47])
    )
    (half,) = [node for node in kinds(tree(short, narrow=True), "text") if "Half" in (node.text or "")]
    assert float(half.get("x", "0")) < NARROW_PX - 130


# Response


def test_response_parts_add_up_as_shown_in_every_row() -> None:
    table = CHARTS["response"].table
    headings = [column.heading for column in table.columns]
    first = headings.index("Relief")
    predicted = [row for row in table.rows if row[1] == "predicted"]
    assert predicted
    for row in predicted:
        relief, *parts = (float(cell.replace("−", "-")) for cell in row[first:])
        assert round(sum(parts), 1) == relief


def test_response_shows_both_arms_measured_and_predicted() -> None:
    chart = CHARTS["response"]
    assert ("24 h", "Measured mean", "19.8 (17.2 to 22.4)", "", "", "28.9 (26.1 to 31.7)") in [
        row[:6] for row in chart.table.rows
    ]
    root = tree(chart, narrow=False)
    assert [node for node in kinds(root, "path") if node.get("stroke-dasharray") == "6 4"]
    # Four measured means and the key's; as many hollow squares for the control arm.
    assert len(kinds(root, "circle")) == 4 + 1 + 2  # the two dots of the care pattern
    hollow = [node for node in kinds(root, "rect") if node.get("fill") == "var(--surface)"]
    assert len(hollow) == 4 + 1
    assert {"Control arm", "Predicted", "Remission", "10 or less", "Sum", "Expectancy", "Drug"} <= set(words(root))


def test_response_alone_needs_no_control_arm_layers_bands_or_sessions() -> None:
    bare = replace(
        response_data(),
        control_mean=(),
        observed_control=(),
        observed=(ObservedPoint(time_h=24.0, value=20.0),),
        drug_layers=(),
        thresholds=(),
        severity=(),
        sessions=(),
    )
    chart = response_chart(bare)
    said = words(tree(chart, narrow=False))
    assert "Control arm" not in said
    assert "Session" not in said
    assert "Severe" in words(tree(CHARTS["response"], narrow=False))
    assert "Severe" not in said
    assert "session" not in chart.table.caption
    assert ("24 h", "Measured mean", "20.0") in [row[:3] for row in chart.table.rows]


def test_severity_bands_beyond_the_axis_are_left_out() -> None:
    far = replace(response_data(), severity=(SeverityBand(name="Beyond", low=90, high=99),))
    assert "Beyond" not in words(tree(response_chart(far), narrow=False))


def test_narrow_bands_carry_no_percentages() -> None:
    data = response_data()
    flat = replace(data, lo50=data.mean, hi50=data.mean, lo90=data.mean, hi90=data.mean)
    assert "50 %" not in words(tree(response_chart(flat), narrow=False))
    assert "50 %" in words(tree(CHARTS["response"], narrow=False))


def test_crowded_sessions_share_one_range_of_numbers() -> None:
    assert "1–6" in words(tree(CHARTS["response"], narrow=True))
    spread = words(tree(CHARTS["response"], narrow=False))
    assert {"1", "2", "3", "4", "5", "6"} <= set(spread)


def test_the_number_of_a_session_at_the_end_stands_before_it() -> None:
    data = replace(response_data(), sessions=(DoseMark(time_h=0.0), DoseMark(time_h=672.0)))
    ends = [node for node in kinds(tree(response_chart(data), narrow=True), "text") if node.text == "2"]
    assert [node.get("text-anchor") for node in ends] == ["end"]


def test_what_was_given_or_measured_outside_the_curve_is_still_on_the_axis() -> None:
    late = replace(
        response_data(),
        sessions=(DoseMark(time_h=0.0), DoseMark(time_h=840.0)),
        observed=(ObservedPoint(time_h=900.0, value=48.0, low=-4.0, high=55.0),),
    )
    early = replace(concentration(), observed=(ObservedPoint(time_h=-1.0, value=5.0, low=-20.0, high=400.0),))
    charts = [response_chart(late), exposure_chart(replace(exposure_data(), curves=(early,), doses=()))]
    for chart in charts:
        root = tree(chart, narrow=False)
        (x, y) = next(
            (float(n.get("cx", 0)), float(n.get("cy", 0))) for n in kinds(root, "circle") if n.get("r") == "4.6"
        )
        assert 100 < x < WIDE_PX - 100
        assert 0 < y < 300
    assert "none" in words(tree(charts[1], narrow=False))


# Observed against predicted


def test_predictions_are_counted_and_judged() -> None:
    chart = CHARTS["observed"]
    assert chart.summary == "5 of 6 published figures lie inside the predicted 90 % interval."
    assert (
        "Midazolam, 24 h",
        "Response",
        "% of the arm",
        "22",
        "7 to 37",
        "44 (26 to 62)",
        "outside",
    ) in chart.table.rows
    assert "44, outside" in words(tree(chart, narrow=False))
    assert "Published: none shown" in words(tree(chart, narrow=True))


def test_a_plan_has_no_place_for_published_figures() -> None:
    row = PredictionRow(label="Plan, 24 h", predicted=-9.0, lo90=-12.0, hi90=-6.0)
    only = PredictionGroup(heading="Change", unit="points", rows=(row,))
    chart = observed_predicted_chart(ObservedPredictedData(title="A plan", groups=(only,), published=False))
    assert chart.table.rows == (("Plan, 24 h", "Change", "points", "−9.0", "−12.0 to −6.0"),)
    assert "ublished" not in chart.summary
    for narrow in (False, True):
        assert "ublished" not in words(tree(chart, narrow=narrow))


def test_predictions_without_published_figures_say_so() -> None:
    row = PredictionRow(label="Plan, 24 h", predicted=-9.0, lo90=-12.0, hi90=-6.0)
    only = PredictionGroup(heading="Change", unit="points", rows=(row,))
    chart = observed_predicted_chart(ObservedPredictedData(title="Plan", groups=(only,)))
    assert chart.summary == "Predicted figures with their 90 % intervals; none has been published."


def test_the_line_of_no_effect_is_drawn_only_where_the_axis_holds_it() -> None:
    row = PredictionRow(label="A", predicted=50.0, lo90=41.0, hi90=60.0, observed=52.0)
    away = observed_predicted_chart(
        ObservedPredictedData(title="T", groups=(PredictionGroup(heading="H", unit="%", rows=(row,)),))
    )

    def zero_lines(chart: Chart) -> int:
        return len([node for node in kinds(tree(chart, narrow=False), "line") if node.get("stroke") == "var(--ink2)"])

    assert (zero_lines(away), zero_lines(CHARTS["observed"])) == (0, 2)


# Forest


def test_forest_marks_are_diamonds_squares_and_hollow_when_unsure() -> None:
    root = tree(CHARTS["forest"], narrow=False)
    diamonds = [node.get("fill") for node in kinds(root, "path")]
    squares = [node.get("fill") for node in kinds(root, "rect")]
    ink, surface = "var(--ink)", "var(--surface)"
    # Two pooled rows and four trials, then one of each shape in the key.
    assert sorted(map(str, diamonds)) == sorted([ink, surface, ink, surface])
    assert sorted(map(str, squares)) == sorted([ink] * 3 + [surface] + [ink, surface])
    assert CHARTS["forest"].summary == (
        "Standardised difference: 4 contrasts of trials and 2 pooled or published results, from 0.12 to 1.13; "
        "the 95 % interval reaches no effect in 2."
    )


def test_a_square_grows_with_its_weight_in_area() -> None:
    rows = kinds(tree(CHARTS["forest"], narrow=False), "rect")
    heavy, light = (float(rows[i].get("width", "0")) for i in (0, 1))
    assert heavy > light


def test_forest_columns_name_source_control_weight_and_interval() -> None:
    said = words(tree(CHARTS["forest"], narrow=False))
    assert {"Doe 2019", "midazolam", "45 %", "0.81", "0.36 to 1.26", "Weight", "control better"} <= set(said)
    phone = words(tree(CHARTS["forest"], narrow=True))
    assert {
        "0.81 (0.36 to 1.26)",
        "Doe 2019, midazolam, weight 45 %",
        "Left: control better. Right: drug better.",
    } <= set(phone)
    assert ("−0.12 to 1.28") in [row[-1] for row in CHARTS["forest"].table.rows]


def test_forest_without_weights_or_trials_leaves_both_out() -> None:
    pooled = forest_data().groups[1].rows[1]
    chart = forest_chart(replace(forest_data(), groups=(ForestGroup(heading="PTSD", rows=(pooled,)),)))
    said = words(tree(chart, narrow=False))
    assert "Weight" not in said
    assert "One trial" not in said
    assert "Where a new trial would lie" not in said


def test_ratios_stand_on_a_log_axis_around_one() -> None:
    row = ForestRow(label="A", source="S", comparator="C", effect=0.7, lo95=0.5, hi95=1.1, kind="trial")
    data = replace(forest_data(), log_x=True, groups=(ForestGroup(heading="Risk", rows=(row,)),))
    chart = forest_chart(data)
    assert "reaches no effect in 1" in chart.summary
    assert {"0.5", "1", "2"} <= set(words(tree(chart, narrow=False)))
    with pytest.raises(InvalidData, match="log axis"):
        forest_chart(replace(data, groups=(ForestGroup(heading="Risk", rows=(replace(row, lo95=-0.1),)),)))
    with pytest.raises(InvalidData, match="finite"):
        forest_chart(replace(data, groups=(ForestGroup(heading="Risk", rows=(replace(row, effect=math.inf),)),)))
