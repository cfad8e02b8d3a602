"""The forecast's pictures, on curves made up for these tests: no number here is a finding."""

from __future__ import annotations

import math
import re
from dataclasses import replace
from datetime import UTC, date, datetime
from itertools import combinations, pairwise
from xml.etree import ElementTree as ET

import pytest

from afterglow.errors import InvalidData
from afterglow.render.axes import Calendar, calendar_ticks
from afterglow.render.chart import Chart
from afterglow.render.forecast import DueDate, ForecastData, forecast_chart, format_due
from afterglow.render.marks import LINE_PX, DoseMark, ObservedPoint
from afterglow.render.outlook import (
    IntervalData,
    IntervalRow,
    RelapseData,
    interval_chart,
    relapse_chart,
)
from afterglow.render.panels import Fan, Relief, SeverityBand, Threshold, not_explained
from afterglow.render.svg import AXIS_PX
from afterglow.render.text import text_width
from afterglow.render.tokens import TOKENS

SVG = "{http://www.w3.org/2000/svg}"
HOSTILE = "<script>alert(\"x\")</script> & 'y' \x00"
CALENDAR = Calendar(origin_at=datetime(2026, 9, 14, 9, tzinfo=UTC), zone="Europe/London")
SESSIONS = (0, 2, 4, 7, 9, 11, 25, 43, 57)
SCORES = (
    (-10, 20), (0, 21), (2, 14), (4, 13), (7, 11), (9, 9), (11, 8), (18, 7), (25, 10),
    (32, 6), (39, 8), (43, 10), (50, 6), (57, 9), (63, 5), (70, 7),
)  # fmt: skip
NOW_H, END_D = 70 * 24.0, 112
DUE = DueDate(limit=0.1, on_h=88 * 24.0, at_half_h=86 * 24.0, at_twice_h=95 * 24.0, reason="")


def relief() -> Relief:
    times = tuple(24.0 * day for day in range(-10, END_D + 1))

    def layer(day: int, size: float) -> tuple[float, ...]:
        def at(h: float) -> float:
            since = h - 24 * day
            return size * max(0.0, math.exp(-since / 420) - math.exp(-since / 10)) if since > 0 else 0.0

        return tuple(at(h) for h in times)

    last = [max((24 * day for day in SESSIONS if 24 * day < h), default=None) for h in times]
    hope = tuple(0.0 if s is None else 3.0 * 2 ** (-(h - s) / 150) for h, s in zip(times, last, strict=True))
    care = tuple(4.0 * (1 - 2 ** (-(h + 240) / 200)) for h in times)
    return Relief(
        time_h=times,
        drug_layers=tuple(layer(day, 6.0 * 0.75**i) for i, day in enumerate((*SESSIONS, 88))),
        expectancy=hope,
        care=care,
    )


def forecast_data() -> ForecastData:
    days = tuple(range(70, END_D + 1))
    rise = [7.0 + 7.0 * (1 - math.exp(-(day - 70) / 20)) for day in days]
    width = [1.0 + 2.0 * (1 - math.exp(-(day - 70) / 10)) for day in days]

    def shifted(factor: float) -> tuple[float, ...]:
        return tuple(m + factor * w for m, w in zip(rise, width, strict=True))

    parts = relief()
    given = tuple(DoseMark(time_h=24.0 * day + 1, duration_h=2 / 3, label="0.5 mg/kg IV") for day in SESSIONS)
    return ForecastData(
        title="PHQ-9, sessions and forecast",
        calendar=CALENDAR,
        score_name="PHQ-9",
        lowest=0,
        highest=27,
        baseline=21,
        now_h=NOW_H,
        scores=tuple(ObservedPoint(time_h=24.0 * day, value=float(value)) for day, value in SCORES),
        sessions=(*given, DoseMark(time_h=88 * 24.0, label="0.5 mg/kg IV", planned=True)),
        fan=Fan(
            time_h=tuple(24.0 * day for day in days),
            median=shifted(0),
            lo50=shifted(-0.7),
            hi50=shifted(0.7),
            lo90=shifted(-1.7),
            hi90=shifted(1.7),
        ),
        relief=parts,
        control=tuple(21 - n - 0.5 * e for n, e in zip(parts.care, parts.expectancy, strict=True)),
        due=DUE,
        thresholds=(
            Threshold(name="Relapse rule", definition="15 or more", score=15, dotted=True),
            Threshold(name="Response", definition="10 or less", score=10),
            Threshold(name="Remission", definition="under 5", score=5),
        ),
        severity=tuple(
            SeverityBand(name=name, low=low, high=high)
            for name, low, high in (
                ("Minimal", 0, 5), ("Mild", 5, 10), ("Moderate", 10, 15), ("Moderately severe", 15, 20),
                ("Severe", 20, 27),
            )
        ),
    )  # fmt: skip


def relapse_data() -> RelapseData:
    days = tuple(float(day) for day in range(92))
    return RelapseData(
        title="Chance of relapse without another session",
        calendar=CALENDAR,
        now_h=NOW_H,
        days=days,
        chance=tuple(0.8 * (1 - math.exp(-day / 60)) for day in days),
        limit=0.1,
        due_h=NOW_H + 8 * 24,
        definition="PHQ-9 of 15 or more",
    )


def interval_data() -> IntervalData:
    rows = (
        IntervalRow(days=7, chance_well=0.995, sessions=12),
        IntervalRow(days=14, chance_well=0.91, sessions=6),
        IntervalRow(days=28, chance_well=0.5, sessions=3),
    )
    return IntervalData(title="If sessions came every...", rows=rows, definition="under 15")


def bare(data: ForecastData) -> ForecastData:
    """The plan before the first session: no score, no level, nothing given."""
    flat = (0.0,) * len(data.relief.time_h)
    return replace(
        data,
        baseline=None,
        scores=(),
        sessions=(DoseMark(time_h=NOW_H + 24, label="84 mg", planned=True),),
        relief=replace(data.relief, drug_layers=(flat,), expectancy=flat, care=flat),
        due=DueDate(limit=0.1, on_h=None, at_half_h=None, at_twice_h=None, reason="No session has been given yet."),
        thresholds=(),
        severity=(),
    )


CHARTS = {
    "forecast": forecast_chart(forecast_data()),
    "no score": forecast_chart(bare(forecast_data())),
    "percent": forecast_chart(
        replace(forecast_data(), percent=True, highest=180, thresholds=(), severity=(), score_name="HAM-D17")
    ),
    "relapse": relapse_chart(relapse_data()),
    "intervals": interval_chart(interval_data()),
}
BOTH_SIZES = pytest.mark.parametrize("narrow", [False, True], ids=["wide", "narrow"])
EACH_CHART = pytest.mark.parametrize("chart", CHARTS.values(), ids=CHARTS)


def tree(chart: Chart, *, narrow: bool = False) -> ET.Element:
    return ET.fromstring(chart.narrow_svg if narrow else chart.svg)


def words(root: ET.Element) -> list[str]:
    return [node.text or "" for node in root.iter(f"{SVG}text")]


def kinds(root: ET.Element, name: str, **attributes: str) -> list[ET.Element]:
    wanted = {key.replace("_", "-"): value for key, value in attributes.items()}
    return [node for node in root.iter(f"{SVG}{name}") if wanted.items() <= node.attrib.items()]


def said_at(root: ET.Element, content: str) -> tuple[float, float]:
    (node,) = [node for node in kinds(root, "text") if node.text == content]
    return float(node.attrib["x"]), float(node.attrib["y"])


# What every chart keeps to


@EACH_CHART
@BOTH_SIZES
def test_a_chart_is_an_image_in_tokens_with_readable_text_inside_it(chart: Chart, *, narrow: bool) -> None:
    root = tree(chart, narrow=narrow)
    assert (root.get("role"), root.get("aria-label")) == ("img", chart.summary)
    assert chart.summary.endswith(".")
    assert ".." not in chart.summary
    width, height = (float(value) for value in root.attrib["viewBox"].split()[2:])
    known = {"none", *(f"var(--{token})" for token in TOKENS["light"])}
    for node in root.iter():
        assert "style" not in node.attrib
        for attribute in ("fill", "stroke"):
            paint = node.get(attribute, "none")
            assert paint in known or re.fullmatch(r"url\(#c[0-9a-f]{8}-[wn]-(hatch|dots)\)", paint)
            assert not re.match(r"var\(--(high|medium|low)", paint)
    for node in kinds(root, "text"):
        assert float(node.attrib["font-size"]) >= 12.5
        assert 0 <= float(node.attrib["x"]) <= width
        assert 0 < float(node.attrib["y"]) <= height


@EACH_CHART
def test_the_table_holds_the_same_data_with_true_minus_signs(chart: Chart) -> None:
    assert chart.table.rows
    assert chart.title in chart.table.caption
    assert not [cell for row in chart.table.rows for cell in row if re.match(r"-\d", cell)]


def test_the_same_data_give_the_same_bytes() -> None:
    assert forecast_chart(forecast_data()) == CHARTS["forecast"]
    assert relapse_chart(relapse_data()) == CHARTS["relapse"]


def test_hostile_text_stays_text() -> None:
    data = replace(forecast_data(), title=HOSTILE, score_name=HOSTILE)
    charts = [
        forecast_chart(replace(data, thresholds=(Threshold(name=HOSTILE, definition=HOSTILE, score=9),))),
        relapse_chart(replace(relapse_data(), definition=HOSTILE)),
        interval_chart(replace(interval_data(), title=HOSTILE, definition=HOSTILE)),
    ]
    for chart in charts:
        for narrow in (False, True):
            assert not kinds(tree(chart, narrow=narrow), "script")


@pytest.mark.parametrize("field", ["median", "lo50", "hi50", "lo90", "hi90"])
def test_a_fan_that_cannot_be_drawn_is_refused(field: str) -> None:
    data = forecast_data()
    with pytest.raises(InvalidData, match="differ in length"):
        forecast_chart(replace(data, fan=replace(data.fan, **{field: (1.0,)})))


def test_relief_and_scores_that_cannot_be_drawn_are_refused() -> None:
    data = forecast_data()
    with pytest.raises(InvalidData, match="differ in length"):
        forecast_chart(replace(data, control=data.control[1:]))
    with pytest.raises(InvalidData, match="finite"):
        forecast_chart(replace(data, scores=(ObservedPoint(time_h=0.0, value=math.nan),)))
    with pytest.raises(InvalidData, match="finite"):
        interval_chart(replace(interval_data(), rows=(IntervalRow(days=7, chance_well=math.nan, sessions=1),)))


# The picture


def test_the_picture_says_what_was_measured_and_what_comes() -> None:
    assert CHARTS["forecast"].summary == (
        "PHQ-9 was 7 on 23 Nov, from 21 before treatment; the model expects 13 (90 % 8 to 18) on 4 Jan. "
        "Next due by Fri 11 Dec. The last day with a chance of relapse under 10 %."
    )
    said = set(words(tree(CHARTS["forecast"])))
    assert {"Next due by Fri 11 Dec", "9 Dec at a 5 % limit, 18 Dec at 20 %", "Today, PHQ-9 is 7", "Today"} <= said
    assert {"Relapse rule", "15 or more", "Response", "10 or less", "Remission", "under 5"} <= said
    assert {"Severe", "Moderately severe", "Moderate", "Mild", "Minimal", "0", "5", "10", "15", "20", "27"} <= said
    assert {"1–6", "7", "8", "9", "0.5 mg/kg IV", "Expected in a control arm", "50 %", "90 %", "21"} <= said
    assert {"Sum", "Care and time", "Expectancy", "Drug", "The afterglow", "Not explained", "Session planned"} <= said


def test_the_phone_moves_names_into_the_key() -> None:
    said = set(words(tree(CHARTS["forecast"], narrow=True)))
    assert {"Response 10 or less; Remission under 5", "Relapse rule 15 or more", "Next due", "Drug"} <= said
    assert not {"Severe", "Relapse rule", "Sum"} & said


def test_measured_scores_are_ink_points_the_newest_larger() -> None:
    root = tree(CHARTS["forecast"])
    small, large = (kinds(root, "circle", r=size, fill="var(--ink)") for size in ("4.6", "6.5"))
    assert (len(small), len(large)) == (len(SCORES) + 1, 1)  # all of them and the key's
    assert float(large[0].attrib["cx"]) == pytest.approx(said_at(root, "Today")[0], abs=0.01)


def test_the_line_of_scores_breaks_over_a_gap() -> None:
    data = forecast_data()
    gap = replace(data, scores=tuple(score for score in data.scores if not 12 * 24 < score.time_h < 60 * 24))
    single = replace(data, scores=data.scores[-1:])

    def lines(one: ForecastData) -> int:
        return len(kinds(tree(forecast_chart(one)), "path", stroke="var(--ink)", stroke_width="1.25"))

    assert (lines(data), lines(gap), lines(single)) == (1, 2, 0)


def test_the_forecast_starts_today_and_not_before() -> None:
    root = tree(CHARTS["forecast"])
    (band,) = kinds(root, "path", fill="var(--predicted-90)")
    starts = min(float(x) for x in re.findall(r"[ML]([\d.]+) ", band.attrib["d"]))
    assert starts == pytest.approx(said_at(root, "Today")[0], abs=0.1)


def test_the_next_due_line_runs_through_all_lanes_with_its_bracket() -> None:
    root = tree(CHARTS["forecast"])
    (due,) = kinds(root, "line", stroke="var(--predicted)", stroke_width="2.25", x1=_due_x(root))
    lowest = max(float(node.attrib["y1"]) for node in kinds(root, "line", stroke="var(--edge)"))
    assert float(due.attrib["y2"]) == pytest.approx(lowest - 5, abs=5.1)
    caps = [node for node in kinds(root, "line", stroke_width="1.5") if node.get("x1") == node.get("x2")]
    left, right = sorted(float(node.attrib["x1"]) for node in caps)
    assert left < float(_due_x(root)) < right


def _due_x(root: ET.Element) -> str:
    lines = kinds(root, "line", stroke="var(--predicted)", stroke_width="2.25")
    return next(node.attrib["x1"] for node in lines if node.get("x1") == node.get("x2"))


@pytest.mark.parametrize(
    ("half", "twice", "said", "caps"),
    [
        (None, 95 * 24.0, "over 5 % already, 18 Dec at 20 %", 1),
        (86 * 24.0, None, "9 Dec at a 5 % limit, beyond the forecast at 20 %", 1),
        (None, None, "over 5 % already, beyond the forecast at 20 %", 0),
    ],
)
def test_an_end_of_the_bracket_that_is_not_known_stays_open(
    half: float | None, twice: float | None, said: str, caps: int
) -> None:
    due = replace(DUE, at_half_h=half, at_twice_h=twice)
    assert format_due(due, CALENDAR) == ("Next due by Fri 11 Dec", said)
    root = tree(forecast_chart(replace(forecast_data(), due=due)))
    ends = [node for node in kinds(root, "line", stroke_width="1.5") if node.get("x1") == node.get("x2")]
    assert len(ends) == caps


def test_no_date_gives_its_reason_and_no_line() -> None:
    due = DueDate(limit=0.1, on_h=None, at_half_h=None, at_twice_h=None, reason="The chance stays under the limit.")
    chart = forecast_chart(replace(forecast_data(), due=due))
    root = tree(chart)
    assert {"No date for the next session", "The chance stays under the limit."} <= set(words(root))
    assert chart.summary.endswith("No date for the next session. The chance stays under the limit.")
    lines = kinds(root, "line", stroke="var(--predicted)", stroke_width="2.25")
    assert not [node for node in lines if node.get("x1") == node.get("x2")]


def test_planned_sessions_are_dashed_empty_and_have_no_number() -> None:
    root = tree(CHARTS["forecast"])
    planned = kinds(root, "rect", fill="none", stroke="var(--drug)")
    assert len(planned) == 1 + 1  # the plan's and the key's
    assert all("stroke-dasharray" in node.attrib for node in planned)
    assert "10" in words(root)  # a tick of the score
    assert words(root).count("10") == 2  # and one of the strip: no tenth session is numbered


def test_the_number_before_a_planned_session_gives_way() -> None:
    data = forecast_data()
    close = (data.sessions[0], data.sessions[1], DoseMark(time_h=50.0 + 24, label="0.5 mg/kg IV", planned=True))
    flat = (data.relief.drug_layers[0],)
    chart = forecast_chart(replace(data, sessions=close, relief=replace(data.relief, drug_layers=flat)))
    (number,) = [node for node in kinds(tree(chart), "text") if node.text == "1–2"]
    assert number.get("text-anchor") == "end"


def test_every_session_has_a_layer_the_newest_darkest() -> None:
    root = tree(CHARTS["forecast"])
    fills = [node.attrib["fill"] for node in kinds(root, "path") if "drug-layer" in node.get("fill", "")]
    assert len(fills) == len(SESSIONS) + 1
    steps = [int(fill[-2]) for fill in fills]
    assert steps == sorted(steps)
    assert (steps[0], steps[-1]) == (0, 7)


def test_after_today_the_strip_lightens_by_a_third() -> None:
    (veil,) = kinds(tree(CHARTS["forecast"]), "rect", opacity="0.34")
    assert float(veil.attrib["x"]) == pytest.approx(said_at(tree(CHARTS["forecast"]), "Today")[0], abs=0.01)
    assert veil.attrib["fill"] == "var(--surface)"


def test_relief_that_nothing_explains_is_dashed_and_empty_in_runs() -> None:
    parts = Relief(time_h=(0.0, 24.0, 48.0, 72.0), drug_layers=((0, 2, 2, 2),), expectancy=(0,) * 4, care=(0,) * 4)
    rests = not_explained(parts, (0.0, 24.0, 48.0, 72.0), (0.0, 5.0, 1.0, 3.0))
    assert rests == [[(24.0, 2.0, 5.0)], [(48.0, 2.0, 1.0)], [(72.0, 2.0, 3.0)]]
    assert not_explained(parts, (24.0,), (2.0,)) == []
    dashed = kinds(tree(CHARTS["forecast"]), "path", stroke="var(--ink3)", stroke_dasharray="4 3")
    assert dashed
    assert all(node.get("fill") == "none" for node in dashed)


def test_a_course_that_the_parts_explain_has_nothing_left_over() -> None:
    data = forecast_data()
    flat, base = (0.0,) * len(data.relief.time_h), data.baseline
    assert base is not None
    nothing = replace(data.relief, drug_layers=(flat,), expectancy=flat, care=flat)
    explained = replace(data, relief=nothing, scores=tuple(replace(score, value=base) for score in data.scores))
    assert "Not explained" not in words(tree(forecast_chart(explained)))


def test_the_control_arm_is_named_at_the_end_where_its_line_has_no_room() -> None:
    data = forecast_data()
    crossed = replace(
        data,
        scores=tuple(
            ObservedPoint(time_h=24.0 * day, value=float(v)) for day in range(-10, 71, 2) for v in [27 * (day % 4 // 2)]
        ),
    )
    said = words(tree(forecast_chart(crossed)))
    assert "Expected in a control arm" not in said
    assert "Control arm" in said


def test_without_scores_the_control_arm_is_named_on_its_line() -> None:
    said = words(tree(CHARTS["no score"]))
    assert "Expected in a control arm" in said
    assert "Today" in said
    assert "Measured" not in said
    assert CHARTS["no score"].summary.startswith("The model expects 13")


def test_an_old_score_is_told_with_its_date() -> None:
    data = forecast_data()
    old = forecast_chart(replace(data, scores=data.scores[:-3]))
    assert "Today; PHQ-9 6 on 3 Nov" in words(tree(old))


def test_percentages_say_of_what() -> None:
    said = " ".join(words(tree(CHARTS["percent"])))
    assert "Today, HAM-D17 is 7 % of baseline" in said
    assert "relief in % of" in said
    assert "HAM-D17 was 7 % of baseline on 23 Nov" in CHARTS["percent"].summary


def test_empty_height_of_a_long_scale_is_cut_off() -> None:
    long = replace(forecast_data(), highest=60, severity=(SeverityBand(name="Severe", low=35, high=60),))
    said = words(tree(forecast_chart(long)))
    assert "60" not in said
    assert "Severe" not in said


# The table


def test_parts_of_every_score_add_up_as_shown() -> None:
    table = CHARTS["forecast"].table
    scores = [row for row in table.rows if row[1] == "Score"]
    assert len(scores) == len(SCORES)
    for row in scores:
        change, *parts = (float(cell.replace("−", "-")) for cell in (row[3], *row[7:]))
        assert round(sum(parts), 1) == -change


def test_rows_are_in_order_of_time_with_weekly_forecasts_and_the_due_date() -> None:
    rows = CHARTS["forecast"].table.rows
    days = [datetime.strptime(row[0], "%a %d %b %Y").replace(tzinfo=UTC) for row in rows]
    assert all(before <= after for before, after in pairwise(days))
    forecast = [row[0] for row in rows if row[1] == "Forecast"]
    assert forecast[:3] == ["Mon 23 Nov 2026", "Mon 30 Nov 2026", "Mon 7 Dec 2026"]
    assert "Fri 11 Dec 2026" in forecast
    assert ("Mon 14 Sep 2026", "Score", "21", "0.0") in [row[:4] for row in rows]


def test_a_session_tells_what_it_still_holds_today() -> None:
    table = CHARTS["forecast"].table
    drug = [column.heading for column in table.columns].index("Drug")
    sessions = [(row[1], row[drug]) for row in table.rows if "ession" in row[1]]
    assert sessions[0] == ("Session 1, 0.5 mg/kg IV", "0.1 today")
    assert sessions[-1] == ("Planned session 10, 0.5 mg/kg IV", "")
    held = sum(float(cell.removesuffix(" today")) for _, cell in sessions[:-1])
    (now,) = [row[drug] for row in table.rows if (row[0], row[1]) == ("Mon 23 Nov 2026", "Forecast")]
    assert held == pytest.approx(float(now), abs=0.3)  # nine roundings


def test_without_a_level_there_is_no_change_to_split() -> None:
    data = forecast_data()
    rows = forecast_chart(replace(data, baseline=None)).table.rows
    assert all(row[3] == "" for row in rows)
    assert {row[2] for row in rows if row[1] == "Score"} == {str(value) for _, value in SCORES}


# The calendar


def test_dates_step_from_today_whatever_the_span() -> None:
    for days, step in ((5, 1), (30, 7), (120, 14), (400, 56), (2000, 364), (9000, 364)):
        ticks = calendar_ticks(CALENDAR, NOW_H, NOW_H - 24 * days / 2, NOW_H + 24 * days / 2, 9)
        found = [CALENDAR.at(at_h).date() for at_h, _ in ticks]
        assert all((day - date(2026, 11, 23)).days % step == 0 for day in found)
        assert date(2026, 11, 23) not in found
    assert ticks[-1][1].endswith("2038")


def test_midnight_follows_the_clocks_of_the_zone() -> None:
    # London's clocks go back on 25 October 2026, so that day has 25 hours.
    before, after = (CALENDAR.midnight_h(date(2026, 10, day)) for day in (25, 26))
    assert after - before == 25.0


def test_a_date_too_close_to_today_is_left_out() -> None:
    crowded = replace(relapse_data(), days=(0.0, 3000.0), chance=(0.0, 0.9), due_h=None)
    said = words(tree(relapse_chart(crowded), narrow=True))
    assert "Today" in said


# Relapse and intervals


def test_relapse_tells_now_the_end_and_the_even_chance() -> None:
    assert CHARTS["relapse"].summary == (
        "Chance of having reached relapse (PHQ-9 of 15 or more) without another session: under 1 % now, 62 % by "
        "22 Feb; an even chance by 21 Jan."
    )
    low = relapse_chart(replace(relapse_data(), chance=tuple(0.1 for _ in range(92)), due_h=None))
    assert low.summary.endswith("10 % now, 10 % by 22 Feb; under an even chance throughout.")
    assert "Next due by Tue 1 Dec" in words(tree(CHARTS["relapse"]))
    assert not [word for word in words(tree(low)) if "Next due" in word]
    assert {"Limit 10 %", "Chance of relapse"} <= set(words(tree(CHARTS["relapse"])))


def test_the_diamond_lies_on_the_limit() -> None:
    root = tree(CHARTS["relapse"])
    (mark,) = kinds(root, "path", fill="var(--predicted)")
    (limit,) = kinds(root, "line", stroke="var(--ink2)")
    middle = float(re.findall(r"M[\d.]+ ([\d.]+)", mark.attrib["d"])[0])
    assert middle == pytest.approx(float(limit.attrib["y1"]), abs=0.1)


@BOTH_SIZES
def test_intervals_are_named_and_called_extrapolation(*, narrow: bool) -> None:
    root = tree(CHARTS["intervals"], narrow=narrow)
    said = set(words(root))
    assert {"Every week, over 99 %", "Every 2 weeks, 91 %", "Every 4 weeks, 50 %", "sessions in 12 weeks"} <= said
    assert "Extrapolation: no trial has compared these intervals" in said
    assert len(kinds(root, "circle", fill="var(--surface)", stroke="var(--predicted)")) == 3
    assert "this is the model's extrapolation" in CHARTS["intervals"].summary
    assert CHARTS["intervals"].table.rows[0] == ("Every week", "over 99 %", "12")


@pytest.mark.parametrize(
    "chances", [(0.4,) * 6, (0.06, 0.04, 0.03, 0.02, 0.01, 0.01), (0.99, 0.99, 0.98, 0.98, 0.97, 0.97)]
)
@BOTH_SIZES
def test_labels_of_like_intervals_do_not_run_into_each_other(chances: tuple[float, ...], *, narrow: bool) -> None:
    days = (7, 14, 21, 28, 42, 84)
    rows = tuple(
        IntervalRow(days=each, chance_well=well, sessions=84 // each) for each, well in zip(days, chances, strict=True)
    )
    root = tree(interval_chart(replace(interval_data(), rows=rows)), narrow=narrow)
    named = [node for node in kinds(root, "text") if (node.text or "").startswith("Every")]
    at = [(float(n.attrib["x"]), text_width(n.text or "", AXIS_PX), float(n.attrib["y"])) for n in named]
    assert len(at) == len(days)
    for (x, width, y), (other, wide, foot) in combinations(at, 2):
        assert x + width <= other or other + wide <= x or abs(y - foot) >= LINE_PX - 0.1
