"""The flow sheet of a session and the dots of readiness."""

from __future__ import annotations

import math
import re
from dataclasses import replace
from datetime import UTC, datetime

import pytest

from afterglow.errors import InvalidData
from afterglow.render.axes import Box, Calendar, Scale, draw_clock_axis
from afterglow.render.flow import (
    FlowDose,
    FlowEvent,
    FlowReading,
    FlowSheet,
    PredictedBand,
    PredictedSession,
    SiteLimit,
)
from afterglow.render.flowsheet import flow_sheet_chart
from afterglow.render.ready import ReadyData, ready_chart
from afterglow.render.svg import AXIS_PX
from afterglow.render.text import text_width

CLOCK = Calendar(origin_at=datetime(2026, 11, 23, 12, tzinfo=UTC), zone="Europe/Zurich")  # 13:00 at the clinic
SETS = tuple(
    FlowReading(
        time_h=time_h,
        systolic_mmhg=systolic,
        diastolic_mmhg=80,
        heart_rate_per_min=70,
        spo2_pct=98,
        moaas=moaas,
        dissociated=dissociated,
    )
    for time_h, systolic, moaas, dissociated in ((0.0, 120, 5, False), (0.5, 140, 4, True), (1.0, 130, 5, False))
)
BAND = PredictedBand(mean=(120.0, 130.0, 125.0), sd=(0.0, 10.0, 8.0))
PREDICTED = PredictedSession(
    time_h=(0.0, 0.5, 1.0),
    systolic_mmhg=BAND,
    diastolic_mmhg=None,
    heart_rate_per_min=None,
    dissociation=(0.0, 0.6, 0.1),
)


def sheet(**changes: object) -> FlowSheet:
    fields: dict[str, object] = {
        "title": "Session 3",
        "clock": CLOCK,
        "start_h": -0.25,
        "end_h": 2.0,
        "now_h": 1.1,
        "next_reading_h": 1.25,
        "leave_h": 1.8,
        "readings": SETS,
        "doses": (FlowDose(start_h=0.0, end_h=0.67, label="39 mg in 40 min"),),
        "events": (),
        "limits": (),
        "predicted": None,
    }
    return FlowSheet(**{**fields, **changes})  # type: ignore[arg-type]


def test_words_stand_clear_of_the_lines_through_all_lanes_or_over_them() -> None:
    """Now at 1.1 h and the next set at 1.25 h: what is told beside them stands before them, where there is room."""
    limit = SiteLimit(lane="pressure", value=160.0, label="S041 160, signed 21 May")
    event = FlowEvent(time_h=1.05, label="anxiety, moderate")
    drawn = str(flow_sheet_chart(sheet(limits=(limit,), events=(event,), now_h=1.1, next_reading_h=1.25)).svg)
    lines = [float(x) for x, y in re.findall(r'<line x1="([\d.]+)" y1="26" x2="\1" y2="([\d.]+)"', drawn)]
    assert len(lines) == 3
    for words in (limit.label, f"14:03 {event.label}"):
        start = float(re.search(rf'<text x="([\d.]+)"[^>]*>{words}<', drawn)[1])  # type: ignore[index]
        end = start + text_width(words, AXIS_PX)
        assert not [x for x in lines if start <= x <= end], words
        assert drawn.index(words) > drawn.rindex(f'x1="{lines[0]:g}"')  # painted after the lines


def test_the_sentence_says_what_was_read_last_and_what_was_missed() -> None:
    found = flow_sheet_chart(sheet(missed_h=(0.25,)))
    assert found.summary == (
        "3 sets of readings from 13:00; last pressure 130/80 mmHg at 14:00; last SpO2 98 % at 14:00; "
        "1 planned set not taken."
    )
    assert flow_sheet_chart(sheet(readings=(), doses=())).summary == "No reading was entered yet."
    alone = FlowReading(time_h=0.0, moaas=5)
    assert flow_sheet_chart(sheet(readings=(alone,), missed_h=(0.1, 0.2))).summary == (
        "1 set of readings from 13:00; 2 planned sets not taken."
    )


def test_the_table_holds_every_set_dose_event_and_missed_set_by_time() -> None:
    rows = flow_sheet_chart(
        sheet(
            readings=(FlowReading(time_h=0.0, spo2_pct=97, dissociated=True),),
            events=(FlowEvent(time_h=0.2, label="nausea, mild"),),
            doses=(FlowDose(start_h=0.1, end_h=0.1, label="28 mg", planned=True),),
            missed_h=(0.5,),
        )
    ).table.rows
    assert rows == (
        ("13:00", "not taken", "not taken", "97", "not taken", "yes", ""),
        ("13:06", "", "", "", "", "", "planned: 28 mg"),
        ("13:12", "", "", "", "", "", "nausea, mild"),
        ("13:30", "not taken", "not taken", "not taken", "not taken", "not taken", "planned set"),
    )


def stems(svg: str) -> int:
    """Vertical ink lines of 1.2 px: the stems of pressures."""
    return len(
        re.findall(r'<line x1="([\d.]+)" y1="[\d.]+" x2="\1" y2="[\d.]+" stroke="var\(--ink\)" stroke-width="1.2"', svg)
    )


def test_a_pressure_is_two_marks_and_a_stem_and_a_draft_is_dotted() -> None:
    draft = replace(SETS[0], time_h=1.1, draft=True)
    drawn = flow_sheet_chart(sheet(readings=(*SETS, draft))).svg
    assert stems(drawn) == 4
    assert drawn.count('stroke-dasharray="2 3"') == 2  # the draft's stem and the next reading
    assert "4 sets" not in flow_sheet_chart(sheet(readings=(*SETS, draft))).summary


def test_a_line_breaks_where_a_planned_set_is_missing() -> None:
    def lines(missed: tuple[float, ...]) -> int:
        svg = flow_sheet_chart(sheet(missed_h=missed)).svg
        return len(re.findall(r'd="M[^"]*" fill="none" stroke="var\(--ink\)" stroke-width="1.25"', svg))

    assert lines(()) == 2  # heart rate and oxygen
    assert lines((0.75,)) == 2  # the first two sets are joined, the third stands alone
    assert lines((0.25, 0.75)) == 0


def test_bands_stand_where_the_model_has_them_alone() -> None:
    with_band, without = flow_sheet_chart(sheet(predicted=PREDICTED)).svg, flow_sheet_chart(sheet()).svg
    assert 'fill="var(--predicted-50)"' in with_band
    assert "--predicted" not in without
    assert flow_sheet_chart(sheet(predicted=PREDICTED, start_h=0.9, end_h=1.6)).svg.count("Z") < with_band.count("Z")


def test_a_limit_is_named_with_its_status_and_the_axis_holds_it() -> None:
    limit = SiteLimit(lane="pressure", value=210.0, label="S041 210, default, unsigned")
    drawn = flow_sheet_chart(sheet(limits=(limit,)))
    assert "S041 210, default, unsigned" in drawn.svg
    assert ">220</text>" in drawn.svg


def test_moments_outside_the_sheet_are_left_out() -> None:
    drawn = flow_sheet_chart(sheet(now_h=None, leave_h=5.0))
    assert "Now" not in drawn.svg
    assert "Leave" not in drawn.svg
    assert "Next 14:15" in drawn.svg


def test_events_that_would_touch_stand_under_each_other_and_none_leaves_the_sheet() -> None:
    events = tuple(FlowEvent(time_h=time_h, label="asked for water") for time_h in (0.5, 0.52, 1.99))
    for svg in (flow_sheet_chart(sheet(events=events)).svg, flow_sheet_chart(sheet(events=events)).narrow_svg):
        heights = [float(y) for y in re.findall(r'<text x="[\d.]+" y="([\d.]+)"[^>]*>1\d:\d\d asked for water', svg)]
        assert len(heights) == 3
        assert heights[0] != heights[1]


def test_planned_drug_is_dashed_and_given_drug_filled() -> None:
    planned = FlowDose(start_h=0.0, end_h=1.0, label="39 mg in 60 min", planned=True)
    dashed = 'fill="none" stroke="var(--drug)"'
    assert dashed in flow_sheet_chart(sheet(doses=(planned,))).svg
    assert dashed not in flow_sheet_chart(sheet()).svg
    short = FlowDose(start_h=1.95, end_h=1.95, label="28 mg, device 3 of 3")
    assert 'text-anchor="end"' in flow_sheet_chart(sheet(doses=(short,))).svg.split("Events")[1]


@pytest.mark.parametrize(("start_h", "end_h"), [(1.0, 1.0), (2.0, 1.0), (0.0, math.nan)])
def test_an_axis_without_length_is_refused(start_h: float, end_h: float) -> None:
    with pytest.raises(InvalidData, match="time axis"):
        flow_sheet_chart(sheet(start_h=start_h, end_h=end_h))


def test_predictions_that_are_unequal_are_refused() -> None:
    with pytest.raises(InvalidData, match="Session 3"):
        flow_sheet_chart(sheet(predicted=replace(PREDICTED, dissociation=(0.0,))))


@pytest.mark.parametrize(
    ("high", "labels"), [(1.0, ["13:00", "13:10", "14:00"]), (12.0, ["14:00", "00:00"]), (48.0, ["24 Nov", "25 Nov"])]
)
def test_the_clock_axis_has_round_times_and_days(high: float, labels: list[str]) -> None:
    box = Box(left=0, top=0, right=440, bottom=10)
    drawn = draw_clock_axis(box, Scale(low=0.0, high=high, start_px=0, end_px=440), CLOCK)
    assert all(f">{label}<" in drawn for label in labels)


def ready(**changes: object) -> ReadyData:
    fields: dict[str, object] = {
        "title": "Likely ready",
        "clock": CLOCK,
        "start_h": 0.5,
        "ready_h": tuple(0.6 + 0.05 * i for i in range(20)),
        "rule_h": 1.5,
        "rule": "rule S061",
    }
    return ReadyData(**{**fields, **changes})  # type: ignore[arg-type]


def test_twenty_dots_and_the_rule_that_decides() -> None:
    found = ready_chart(ready())
    assert found.svg.count("<circle") == 20
    assert found.summary == (
        "Each dot is 1 chance in 20: half by 14:06, nine in ten by 14:30. Not before 14:30 (rule S061). "
        "The rule decides, not the model."
    )
    assert found.table.rows[9] == ("50 %", "14:03")
    assert found.table.rows[-1][0] == "over 99 %"


def test_what_is_later_than_the_model_looks_is_said() -> None:
    found = ready_chart(ready(ready_h=(*(0.6,) * 15, *(math.inf,) * 5), rule_h=None))
    assert "nine in ten later than shown" in found.summary
    assert "Not before" not in found.summary
    assert "5 of 20 later" in found.svg
    assert found.table.rows[-1] == ("over 99 %", "later")


def test_the_rules_label_stays_on_the_picture() -> None:
    assert 'text-anchor="end"' not in ready_chart(ready(rule_h=0.8)).svg
    assert 'text-anchor="end"' in ready_chart(ready(rule_h=30.0)).svg
    nothing = ready_chart(ready(ready_h=(math.inf,)))
    assert nothing.svg.count("<circle") == 0


def test_dots_without_times_are_refused() -> None:
    with pytest.raises(InvalidData, match="no time"):
        ready_chart(ready(ready_h=()))


def test_lanes_say_their_scale_while_there_is_a_now() -> None:
    drawn = flow_sheet_chart(sheet()).svg
    assert re.findall(r'data-lane="([^"]+)"', drawn) == ["pressure", "heart rate", "oxygen"]
    assert "data-lane" not in flow_sheet_chart(sheet(now_h=None)).svg


def test_digits_of_sets_close_together_do_not_read_as_one_number() -> None:
    close = tuple(replace(each, time_h=0.02 * n) for n, each in enumerate(SETS))
    found = re.findall(
        r'<text x="([\d.]+)" y="([\d.]+)"[^>]*font-size="15"[^>]*>[45]</text>',
        flow_sheet_chart(sheet(readings=close)).svg,
    )
    (first, second, third) = [float(y) for _, y in found]
    assert first == third
    assert second - first >= 11
