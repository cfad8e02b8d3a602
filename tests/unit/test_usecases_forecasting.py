"""From a course file to the forecast's input, its document and its report; refusals with their line."""

from __future__ import annotations

import functools
import json
import re
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from afterglow.errors import InputError, OutOfRange
from afterglow.forecast import ForecastInput, Method, RelapseRule, WarningCode, forecast
from afterglow.protocol import CourseRecord, parse_course, parse_protocol, read_course, read_protocol
from afterglow.quantities import Dose, DrugForm, Rate
from afterglow.render.report import report_html
from afterglow.therapy.regimen import DoseAdministration, InfusionStep, Regimen, Route
from afterglow.therapy.setting import Condition
from afterglow.usecases.forecast_contracts import forecast_document, input_document, input_from_document
from afterglow.usecases.forecast_report import forecast_report
from afterglow.usecases.forecast_view import key_figures, parts_of_change, picture_data, sentences
from afterglow.usecases.forecasting import ForecastAnswer, forecast_course, forecast_input

ROOT = Path(__file__).parents[2]
COURSE = read_course(ROOT / "examples" / "course.csv")
FIRST = read_course(ROOT / "examples" / "liebrenz2007_first.csv")
SECOND = read_protocol(ROOT / "examples" / "liebrenz2007_second.yaml")
HEADER = "when,what,value,note\n,timezone,Europe/Zurich,\n"
SESSION = "session,racemic_ketamine iv 0.5 mg/kg 40 min,\n"
WEEKLY = parse_protocol("{drug: racemic_ketamine, route: iv, dose: 0.5 mg/kg, infusion: 40 min, days: [0, 7]}")


def course(*rows: str, file: str = "course") -> CourseRecord:
    return parse_course(HEADER + "".join(f"{row}\n" if not row.endswith("\n") else row for row in rows), file=file)


def responder() -> CourseRecord:
    """Well after six infusions and two more: far from relapse."""
    begin = datetime(2026, 3, 2, 9)  # noqa: DTZ001  the file holds local times
    events = [(0, "PHQ-9,21,")] + [(day, SESSION.strip()) for day in (0.04, 2, 4, 7, 9, 11)]
    events += [(day, f"PHQ-9,{score},") for day, score in ((2.9, 9), (6.9, 5), (10.9, 3), (14, 2), (21, 2))]
    return course(*(f"{begin + timedelta(days=day):%Y-%m-%dT%H:%M},{what}" for day, what in sorted(events)))


@functools.cache
def answer(name: str) -> ForecastAnswer:
    """The forecasts that several tests look at, each made once."""
    plan_only = course("2026-03-02T09:00,PHQ-9,21,")
    made = {
        "course": lambda: forecast_course(COURSE),
        "responder": lambda: forecast_course(responder(), limit=0.3),
        "percent": lambda: forecast_course(FIRST, plan=SECOND, now=datetime(2007, 2, 11, 9, tzinfo=UTC)),
        "plan": lambda: forecast_course(plan_only, plan=WEEKLY),
        "unscored": lambda: forecast_course(course(f"2026-03-02T10:00,{SESSION}")),
    }
    return made[name]()


def without_forecast(found: ForecastAnswer) -> ForecastAnswer:
    """The same patient where no weighting can be trusted."""
    none = replace(
        found.forecast,
        method=Method.NONE,
        reason="the scores leave only 3 of 20480 virtual patients",
        baseline=None,
        trajectory=None,
        p_response=None,
        p_remission=None,
        relapse=None,
        next_due=None,
        intervals=(),
    )
    return replace(found, forecast=none)


EVERY = pytest.mark.parametrize("name", ["course", "responder", "percent", "plan", "unscored"])


# The input


def test_times_count_from_the_first_session_on() -> None:
    given = forecast_input(COURSE, seed=3, limit=0.2)
    assert given.origin_at == datetime(2026, 3, 2, 9, tzinfo=UTC)
    assert [score.at_h for score in given.scores][:2] == [-1.0, 23.0]
    assert given.given.starts_h[:2] == (0.0, 48.0)
    # 28 days less an hour after the first session, and an hour lost to summer time.
    assert given.now_h == 28 * 24 - 2
    assert (given.seed, given.limit, given.weight_kg, given.condition) == (3, 0.2, 80.0, Condition.DEPRESSION)


def test_before_the_first_session_times_count_from_the_first_row() -> None:
    given = forecast_input(course("2026-03-02T09:00,PHQ-9,21,"), plan=WEEKLY)
    assert (given.scores[0].at_h, given.now_h) == (0.0, 0.0)
    assert given.planned.starts_h == (24.0, 24.0 + 7 * 24)


@pytest.mark.parametrize(
    ("row", "rule", "message"),
    [
        ("2026-03-02T09:00,PHQ-9,21,", 0.0, "0 points of PHQ-9 or more; allowed: over 0 and up to 27"),
        ("2026-03-02T09:00,PHQ-9,21,", 28.0, "28 points of PHQ-9 or more"),
        ("2026-03-02T09:00,MADRS,50 % of baseline,", 101.0, "101 % of baseline or more; allowed: over 0 and up to 100"),
        (f"2026-03-02T09:00,{SESSION}", 16.0, "A relapse rule needs a score of its scale"),
    ],
)
def test_a_relapse_rule_lies_inside_the_scale(row: str, rule: float, message: str) -> None:
    with pytest.raises(InputError, match=re.escape(message)):
        forecast_input(course(row), relapse_at=rule)


@pytest.mark.parametrize(
    ("row", "rule"),
    [("2026-03-02T09:00,PHQ-9,21,", 27.0), ("2026-03-02T09:00,MADRS,50 % of baseline,", 100.0)],
)
def test_the_clinics_relapse_rule_is_on_the_last_scores_scale(row: str, rule: float) -> None:
    found = forecast_input(course(row), relapse_at=rule).relapse
    assert found is not None
    assert (found.scale, found.score_at_least) == (row.split(",")[1], rule)


def test_a_plan_starts_a_day_after_now_with_its_own_dose() -> None:
    now = datetime(2007, 2, 11, 9, tzinfo=UTC)
    given = forecast_input(FIRST, plan=SECOND, now=now)
    assert given.at(given.planned.starts_h[0]) == now + timedelta(days=1)
    assert given.planned.administrations[0].infusion_h == 50 / 60
    assert given.scores[1].fraction_of_baseline == pytest.approx(0.434)


# Refusals


@pytest.mark.parametrize(
    ("rows", "now", "line", "message"),
    [
        (("2026-03-02T09:00,PHQ-9,21,",), datetime(2026, 3, 1, tzinfo=UTC), 3, "The score lies after"),
        (
            ("2026-03-02T09:00,PHQ-9,21,", f"2026-03-03T10:00,{SESSION}"),
            datetime(2026, 3, 3, 8, tzinfo=UTC),
            4,
            "The session lies after",
        ),
        (("1926-03-02T09:00,PHQ-9,21,", "2026-03-02T09:00,PHQ-9,20,"), None, 3, "before any course could have begun"),
        (
            ("2026-03-02T09:00,PHQ-9,21,", "2026-03-03T09:00,GAD-7,12,"),
            None,
            4,
            "GAD-7 cannot be linked to a forecast of depression; found a scale of anxiety; allowed: HAM-D17, MADRS",
        ),
        (
            ("2026-03-02T09:00,PHQ-9,21,", "2026-03-03T09:00,PHQ-9,50 % of baseline,"),
            None,
            3,
            "PHQ-9 is given both in points and as a percentage",
        ),
        (("2026-03-02T09:00,PHQ-9,0,", f"2026-03-02T10:00,{SESSION}"), None, 3, "PHQ-9 shows no symptoms"),
    ],
)
def test_what_cannot_be_forecast_names_its_line(
    rows: tuple[str, ...], now: datetime | None, line: int, message: str
) -> None:
    with pytest.raises(InputError) as refused:
        forecast_course(course(*rows, file="patient.csv"), now=now)
    assert str(refused.value).startswith(f"patient.csv:{line}: ")
    assert message in str(refused.value)


def test_a_refusal_that_is_about_no_row_names_no_line() -> None:
    with pytest.raises(OutOfRange, match="relapse limit") as refused:
        forecast_course(COURSE, limit=0.9)
    assert refused.value.place is None


@pytest.mark.parametrize(
    ("plan", "about", "message"),
    [
        ("{drug: esketamine, route: intranasal, dose: 84 mg, days: [0]}", "plan.drug", "found esketamine"),
        (
            "{condition: ptsd, drug: racemic_ketamine, route: im, dose: 0.5 mg/kg, days: [0]}",
            "plan.condition",
            "found PTSD; allowed: depression",
        ),
    ],
)
def test_a_plan_for_somebody_else_is_refused(plan: str, about: str, message: str) -> None:
    with pytest.raises(InputError, match=message) as refused:
        forecast_course(COURSE, plan=parse_protocol(plan))
    assert refused.value.about == about


def test_before_the_first_session_any_drug_may_be_planned() -> None:
    spray = parse_protocol("{drug: esketamine, route: intranasal, dose: 84 mg, days: [0, 3]}")
    found = forecast_course(course("2026-03-02T09:00,MADRS,34,"), plan=spray)
    assert found.forecast.given.planned.administrations[0].drug is DrugForm.ESKETAMINE


def test_a_condition_without_a_domain_takes_any_scale() -> None:
    found = course("2026-03-02T09:00,MADRS,34,")
    given = forecast_course(replace(found, condition=Condition.SUICIDAL_IDEATION)).forecast.given
    assert given.condition is Condition.SUICIDAL_IDEATION


# The document


def read(document: dict[str, Any]) -> dict[str, Any]:
    """As another program reads it: strict JSON without NaN or infinity."""
    again: dict[str, Any] = json.loads(json.dumps(document, allow_nan=False))
    return again


@EVERY
def test_the_document_keeps_the_contract(name: str) -> None:
    document = read(forecast_document(answer(name)))
    assert document["schema"] == "afterglow.forecast/1"
    assert document["method"] in {"reweight", "laplace"}
    rows = document["trajectory"]
    ahead = [row for row in rows if datetime.fromisoformat(row["at"]) >= datetime.fromisoformat(document["now"])]
    assert len(ahead) == 13 * 7 + 1
    for row in rows:
        assert row["lo90"] <= row["lo50"] <= row["median"] <= row["hi50"] <= row["hi90"]
        assert {"drug", "expectancy", "care"} <= set(row)
    assert {"on", "limit", "reason"} <= set(document["next_due"])
    assert {"definition", "source", "median_days", "p_by_day"} <= set(document["relapse"])
    assert all({"days", "p_well_12w", "sessions_12w"} == set(one) for one in document["intervals"])
    assert all({"code", "text"} == set(one) for one in document["warnings"])
    for session in document["sessions"]:
        assert len(session["drug"]) == len(rows)


def test_times_are_told_in_the_zone_of_the_course() -> None:
    document = forecast_document(answer("course"))
    assert document["now"] == "2026-03-30T09:00:00+02:00"
    assert document["sessions"][0]["at"] == "2026-03-02T10:00:00+01:00"
    zoneless = ForecastAnswer(course=replace(COURSE, timezone=None), plan=None, forecast=answer("course").forecast)
    assert forecast_document(zoneless)["now"] == "2026-03-30T07:00:00+00:00"


@EVERY
def test_a_stored_document_can_be_replayed(name: str) -> None:
    found = answer(name)
    given = input_from_document(read(forecast_document(found)))
    assert given == found.forecast.given
    again = replace(found, forecast=forecast(given, layers=True))
    assert forecast_document(again) == forecast_document(found)


def test_every_kind_of_session_and_rule_comes_back() -> None:
    steps = (
        InfusionStep(rate=Rate(mg_per_kg_per_h=0.1), duration_h=2.0),
        InfusionStep(rate=Rate(mg_per_h=16.0), duration_h=1.5),
    )
    given = ForecastInput(
        origin_at=datetime(2026, 3, 2, 8, tzinfo=UTC),
        now_h=100 / 3,
        condition=Condition.PAIN,
        scores=(),
        given=Regimen((DoseAdministration(at_h=0.1, drug=DrugForm.RACEMIC_KETAMINE, route=Route.IV, steps=steps),)),
        planned=Regimen(
            (DoseAdministration(at_h=200 / 3, drug=DrugForm.ESKETAMINE, route=Route.INTRANASAL, dose=Dose(mg=84.0)),)
        ),
        age_years=54.5,
        relapse=RelapseRule(scale="Pain NRS", score_at_least=6.0, source="signed by the clinic"),
        seed=12,
    )
    assert input_from_document(read({"input": input_document(given)})) == given


def test_no_forecast_has_no_numbers() -> None:
    document = read(forecast_document(without_forecast(answer("course"))))
    assert document["method"] == "none"
    assert "leave only 3 of" in document["reason"]
    assert document["trajectory"] == document["intervals"] == []
    absent = ("p_response", "p_remission", "relapse", "next_due", "baseline")
    assert [document[name] for name in absent] == [None] * len(absent)
    assert {session["drug"] for session in document["sessions"]} == {None}


def keys_in(value: Any) -> Iterator[str]:
    if isinstance(value, list):
        for part in value:
            yield from keys_in(part)
    elif isinstance(value, dict):
        for key, part in value.items():
            yield key
            yield from keys_in(part)


def test_every_key_is_documented_and_every_documented_key_goes_out() -> None:
    page = (ROOT / "docs" / "reference" / "json.md").read_text(encoding="utf-8")
    (section,) = re.findall(r"^## `afterglow.forecast/1`\n(.*?)(?=^## |\Z)", page, flags=re.MULTILINE | re.DOTALL)
    sent = {key for name in ("course", "percent") for key in keys_in(forecast_document(answer(name)))}
    stepped = course("2026-03-02T10:00,session,racemic_ketamine iv 0.1 mg/kg/h for 2 h,")
    sent |= set(keys_in(input_document(forecast_input(stepped))))
    assert sent - set(re.findall(r"`([a-z][a-z0-9_]*)`", section)) == set()
    first = re.findall(r"^\| (`.+?) \|", section, flags=re.MULTILINE)
    assert {name for cell in first for name in re.findall(r"`(\w+)`", cell)} - sent == set()


# What people see


def figures(found: ForecastAnswer) -> dict[str, tuple[str, str, str]]:
    trajectory = found.forecast.trajectory
    assert trajectory is not None
    return {one.label: (one.value, one.unit, one.note) for one in key_figures(found, trajectory)}


def test_the_strip_tells_the_last_score_and_its_change() -> None:
    shown = figures(answer("course"))
    assert shown["PHQ-9, 30 Mar"] == ("13", "moderate", "up 4 since 16 Mar")
    assert shown["Since baseline of 21"] == ("−8", "points, 38 %", "no response")
    assert "Credited to the drug now" in shown
    responded = figures(answer("responder"))
    assert responded["Since baseline of 21"] == ("−19", "points, 90 %", "remission")
    assert responded["PHQ-9, 23 Mar"] == ("2", "minimal", "unchanged since 16 Mar")


def test_the_strip_of_a_percentage_and_of_a_first_score() -> None:
    assert figures(answer("percent"))["HAM-D17, 5 Feb"] == ("100", "% of baseline", "up 56.6 since 3 Jan")
    first = figures(answer("plan"))
    assert first["PHQ-9, 2 Mar"] == ("21", "severe", "")
    assert not [label for label in first if label.startswith("Since")]
    assert list(figures(answer("unscored"))) in (["Next due"], ["Next due by"])


def test_response_without_remission_is_said_so() -> None:
    halved = course("2026-03-02T09:00,PHQ-9,21,", f"2026-03-02T10:00,{SESSION}", "2026-03-03T09:00,PHQ-9,9,")
    assert figures(forecast_course(halved))["Since baseline of 21"][2] == "response, not remission"
    percent = course("2026-03-02T09:00,PHQ-9,100 % of baseline,", f"2026-03-02T10:00,{SESSION}",
                     "2026-03-03T09:00,PHQ-9,40 % of baseline,")  # fmt: skip
    assert figures(forecast_course(percent))["Since baseline of 100"][2] == "response"


def test_a_date_that_is_due_stands_with_its_limit() -> None:
    found = answer("responder")
    due = found.forecast.next_due
    assert due is not None
    assert due.on_h is not None
    assert figures(found)["Next due by"][2] == "at a limit of 30 %: our default, no clinic's"
    assert any(one.startswith("Next due by") for one in sentences(found))


def test_parts_of_the_change_add_up_as_shown() -> None:
    found = answer("course")
    assert found.forecast.trajectory is not None
    parts = parts_of_change(found, found.forecast.trajectory)
    assert parts is not None
    assert round(sum(float(part.replace("−", "-")) for part in parts.values()), 1) == 21 - 13
    for name in ("plan", "unscored"):
        trajectory = answer(name).forecast.trajectory
        assert trajectory is not None
        assert parts_of_change(answer(name), trajectory) is None


def test_the_picture_ends_some_weeks_ahead_and_starts_at_most_forty_weeks_back() -> None:
    found = answer("course")
    assert found.forecast.trajectory is not None
    data = picture_data(found, found.forecast.trajectory)
    assert data.fan.time_h[0] == found.forecast.given.now_h
    assert data.fan.time_h[-1] - data.now_h == 42 * 24
    assert len(data.relief.drug_layers) == len(data.sessions) == 4
    assert [one.name for one in data.severity] == ["Minimal", "Mild", "Moderate", "Moderately severe", "Severe"]
    cuts = [(one.name, one.definition) for one in data.thresholds]
    assert cuts[:2] == [("Response", "10 or less"), ("Remission", "under 5")]
    assert cuts[2][0] == "Relapse rule"


def test_sessions_before_the_picture_share_its_first_layer() -> None:
    rows = ["2025-03-03T09:00,PHQ-9,21,", f"2025-03-03T10:00,{SESSION}", f"2026-01-05T10:00,{SESSION}"]
    found = forecast_course(course(*rows, f"2026-02-02T10:00,{SESSION}", "2026-02-09T10:00,PHQ-9,8,"))
    trajectory = found.forecast.trajectory
    assert trajectory is not None
    data = picture_data(found, trajectory)
    assert len(data.sessions) == len(data.relief.drug_layers) == 2
    assert len(data.scores) == 1
    inside = trajectory.strip.times_h >= data.relief.time_h[0]
    shown = sum(sum(layer) for layer in data.relief.drug_layers)
    whole = trajectory.strip.drug_layers[:, inside][:, : len(data.relief.time_h)].sum()
    assert shown == pytest.approx(whole)


def test_scales_without_bands_or_cut_offs_have_no_lines() -> None:
    ratings = course(",condition,pain,", "2026-03-02T09:00,Pain NRS,7,", f"2026-03-02T10:00,{SESSION}",
                     "2026-03-09T09:00,Pain NRS,4,")  # fmt: skip
    found = forecast_course(ratings)
    assert found.forecast.trajectory is not None
    names = [one.name for one in picture_data(found, found.forecast.trajectory).thresholds]
    assert "Remission" not in names
    assert "Relapse rule" in names


# The report


class Reader:
    """The words of a report, without its style and pictures."""

    def __init__(self, html: str) -> None:
        self.words = re.sub(
            r"\s+", " ", re.sub(r"<[^>]+>", " ", re.sub(r"<style.*?</style>", "", html, flags=re.DOTALL))
        )


@EVERY
def test_a_report_holds_picture_table_and_what_it_rests_on(name: str) -> None:
    html = report_html(forecast_report(answer(name)))
    words = Reader(html).words
    assert html.count('<svg xmlns="http://www.w3.org/2000/svg"') >= 2
    for heading in ("Course and forecast", "What it says", "What it rests on", "Definitions"):
        assert heading in words
    assert "style=" not in html
    assert "policy, unsigned" in words
    assert ("Weight 80 kg" in words) == (name == "course")
    for warning in answer(name).forecast.warnings:
        if warning.code is not WarningCode.EXTRAPOLATION:
            assert warning.text[:40].replace("'", "&#39;") in words


def test_a_report_is_the_same_each_time_and_says_what_was_planned() -> None:
    assert report_html(forecast_report(answer("course"))) == report_html(forecast_report(answer("course")))
    assert "3 scores, 1 session, 1 planned" in Reader(report_html(forecast_report(answer("percent")))).words


def test_a_report_without_a_forecast_says_why_and_shows_the_scores() -> None:
    html = report_html(forecast_report(without_forecast(answer("course"))))
    words = Reader(html).words
    assert "No forecast, because the scores leave only 3 of 20480 virtual patients." in words
    assert "Mon 30 Mar 2026 13" in words
    assert "Next due" not in words
    assert "The coming weeks" not in words
    assert 'class="wide"' not in html
    percent = Reader(report_html(forecast_report(without_forecast(answer("percent"))))).words
    assert "43.4 % of baseline" in percent


def test_what_a_forecast_leaves_out_is_left_out_of_the_report() -> None:
    found = answer("course")
    less = replace(
        found.forecast,
        baseline=None,
        relapse=None,
        next_due=None,
        p_response=None,
        p_remission=None,
        reliable_change=None,
    )
    words = Reader(report_html(forecast_report(replace(found, forecast=less)))).words
    for absent in ("Relapse rule", "A score written now", "within noise", "The coming weeks", "Control arm would"):
        assert absent not in words
    assert "No date for the next session" in words


def test_a_scale_without_bands_and_definitions_has_no_band_and_no_verdict() -> None:
    rows = (",condition,suicidal_ideation,", "2026-03-02T09:00,SDS,24,", f"2026-03-02T10:00,{SESSION}")
    found = forecast_course(course(*rows, "2026-03-09T09:00,SDS,20,"))
    shown = figures(found)
    assert shown["SDS, 9 Mar"][1] == ""
    assert shown["Since baseline of 24"][2] == ""
    assert found.forecast.trajectory is not None
    data = picture_data(found, found.forecast.trajectory)
    assert data.severity == ()
    assert forecast_document(found)["definitions"]["response"] is None
    assert "Definitions on SDS What Definition Source Relapse" in Reader(report_html(forecast_report(found))).words
    assert "Response" not in [one.name for one in data.thresholds]


def test_relapse_is_told_by_its_day_or_its_reason() -> None:
    found = answer("responder")
    relapse = found.forecast.relapse
    assert relapse is not None

    def said(**change: Any) -> str:
        changed = replace(found.forecast, relapse=replace(relapse, **change))
        return " ".join(sentences(replace(found, forecast=changed)))

    assert "has an even chance by Mon 6 Apr." in said(median_days=14.0)
    assert "stays under an even chance throughout the forecast." in said(median_days=None)
    assert "Nothing to lose." in said(p_by_day=(), median_days=None, reason="Nothing to lose")
    assert "Lost already." in said(reached=True, reason="Lost already")


@pytest.mark.parametrize(
    ("called", "chance", "said"),
    [
        (True, 0.9, "Early non-response: 90 % chance of x."),
        (False, 0.1, "No early non-response: 10 % chance of x."),
        (None, None, "Early non-response is not judged: chance of x."),
    ],
)
def test_early_non_response_is_called_denied_or_not_judged(
    *, called: bool | None, chance: float | None, said: str
) -> None:
    found = answer("course")
    early = replace(found.forecast.early_nonresponse, called=called, chance=chance, reason="chance of x")
    assert said in sentences(replace(found, forecast=replace(found.forecast, early_nonresponse=early)))
