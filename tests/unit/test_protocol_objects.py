"""Protocols and courses built in Python are held to the rules of the files; texts of values read back exactly."""

from __future__ import annotations

import math
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from zoneinfo import ZoneInfo

import pytest

from afterglow.errors import InputError, MissingValue, NoModel, OutOfRange, UnknownName, WrongOrder
from afterglow.protocol import (
    CourseRecord,
    ObservationPlan,
    Population,
    RecordedScore,
    RecordedSession,
    ScaleBounds,
    TrialProtocol,
    parse_protocol,
    write_protocol,
)
from afterglow.protocol.course import utc_from_local, zone_called
from afterglow.protocol.kinds import exact, exact_duration, write_word
from afterglow.quantities import Dose, DrugForm, parse_duration_h
from afterglow.therapy.regimen import Route

PLAN = TrialProtocol(drug=DrugForm.ESKETAMINE, route=Route.INTRANASAL, dose=Dose(mg=84.0), session_h=(0.0, 72.0))
NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)
SCORE = RecordedScore(at=NOON, scale="PHQ-9", points=21.0)
SESSION = RecordedSession(at=NOON, drug=DrugForm.ESKETAMINE, route=Route.INTRANASAL, dose=Dose(mg=84.0))


def test_a_scale_declared_twice_is_refused() -> None:
    caps = ScaleBounds(name="CAPS-5", lowest=0.0, highest=80.0)
    assert replace(PLAN, scales=(caps,)).bounds("CAPS-5") == caps
    with pytest.raises(WrongOrder, match="declared twice"):
        replace(PLAN, scales=(caps, caps))


@pytest.mark.parametrize("day", [-1.0, math.nan, math.inf])
def test_sessions_lie_inside_a_course(day: float) -> None:
    with pytest.raises(InputError):
        replace(PLAN, session_h=(0.0, day))


@pytest.mark.parametrize("infusion", [-1.0, math.nan, math.inf])
def test_an_infusion_has_a_length(infusion: float) -> None:
    with pytest.raises(OutOfRange):
        replace(PLAN, route=Route.IV, dose=Dose(mg=20.0), infusion=infusion)


def test_another_name_of_the_same_scale_is_the_same_scale() -> None:
    found = replace(PLAN, population=Population(scale="Montgomery-Asberg Depression Rating Scale")).scale()
    assert found == ScaleBounds(name="MADRS", lowest=0, highest=60)


def test_a_list_has_a_limit() -> None:
    text = write_protocol(PLAN).replace("[0, 3]", f"[{', '.join(map(str, range(2_001)))}]")
    with pytest.raises(OutOfRange, match="days is too long; found 2001 items; allowed: up to 2000"):
        parse_protocol(text)


@pytest.mark.parametrize(
    ("hours", "text"),
    [
        (0.0, "0 h"),
        (40 / 60, "40 min"),
        (1.5, "90 min"),
        (24.0, "24 h"),
        (48.0, "2 d"),
        (60.0, "2.5 d"),
        (100.0, "100 h"),  # so would twelve digits of days
        (1 / 3, "20 min"),
        (math.pi, "3.141592653589793 h"),
        (1e-9, "1e-09 h"),  # twelve digits of minutes would miss it
    ],
)
def test_a_duration_reads_back_to_the_last_bit(hours: float, text: str) -> None:
    assert exact_duration(hours) == text
    assert parse_duration_h(text) == hours


def test_numbers_are_as_short_as_they_can_be() -> None:
    assert [exact(value) for value in (47.0, 0.1, 1e22, -0.0)] == ["47", "0.1", "1e+22", "-0"]


@pytest.mark.parametrize(
    ("word", "text"),
    [("MADRS", "MADRS"), ("no", '"no"'), ("TRUE", '"TRUE"'), ("C-SSRS screener", '"C-SSRS screener"'), ("6", '"6"')],
)
def test_a_word_is_quoted_where_yaml_would_take_it_for_something_else(word: str, text: str) -> None:
    assert write_word(word) == text


@pytest.mark.parametrize(
    "at",
    [datetime(2026, 3, 2, 12), NOON.astimezone(timezone(timedelta(hours=1))), NOON.replace(year=1899)],  # noqa: DTZ001 - the fault under test
)
def test_a_time_is_in_utc_and_in_living_memory(at: datetime) -> None:
    with pytest.raises(OutOfRange, match="A time of a course is in UTC"):
        replace(SCORE, at=at)


@pytest.mark.parametrize(("points", "fraction"), [(None, None), (21.0, 0.5)])
def test_a_score_has_one_value(points: float | None, fraction: float | None) -> None:
    with pytest.raises(InputError, match="in points or as a fraction of baseline, and not both"):
        replace(SCORE, points=points, fraction_of_baseline=fraction)


def test_a_course_without_sessions_has_an_empty_regimen() -> None:
    assert CourseRecord(events=(SCORE,)).regimen().starts_h == ()
    assert CourseRecord(events=(SCORE, SESSION)).regimen().starts_h == (0.0,)


def test_a_course_needs_a_time_and_a_known_zone() -> None:
    with pytest.raises(MissingValue, match="no row with a time"):
        CourseRecord(events=())
    with pytest.raises(UnknownName, match="timezone is not known"):
        CourseRecord(events=(SCORE,), timezone="Mars/Olympus")


@pytest.mark.parametrize("name", ["", "/etc/passwd", "../x", "Europe", "a" * 5_000, "\ud800"])
def test_no_name_of_a_zone_reaches_the_file_system(name: str) -> None:
    with pytest.raises(UnknownName):
        zone_called(name)


@pytest.mark.parametrize(
    ("clock", "utc_hour"),
    [
        ("2026-03-29T01:59", 0),  # 02:00 becomes 03:00
        ("2026-03-29T02:00", None),
        ("2026-03-29T02:59", None),
        ("2026-03-29T03:00", 1),
        ("2026-10-25T01:59", 23),  # 03:00 becomes 02:00
        ("2026-10-25T02:00", None),
        ("2026-10-25T02:59", None),
        ("2026-10-25T03:00", 2),
    ],
)
def test_the_hours_around_summer_time(clock: str, utc_hour: int | None) -> None:
    local, zone = datetime.fromisoformat(clock), ZoneInfo("Europe/Zurich")
    if utc_hour is not None:
        assert utc_from_local(local, zone).hour == utc_hour
        return
    with pytest.raises(OutOfRange):
        utc_from_local(local, zone)


def test_a_scale_without_a_total_is_refused() -> None:
    with pytest.raises(NoModel, match="has no total score") as refused:
        replace(PLAN, observe=ObservationPlan(times_h=(2.0,), scale="C-SSRS screener"))
    assert refused.value.about == "observe.scale"
