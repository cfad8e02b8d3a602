"""What is valid is written and reads back the same; all else is refused at a place, and nothing else happens."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from afterglow.errors import InputError
from afterglow.evidence import trial, trial_keys
from afterglow.protocol import (
    Analysis,
    ArmSelection,
    AtRisk,
    CourseRecord,
    Dropout,
    Infusion,
    ObservationPlan,
    Population,
    PublishedArms,
    RecordedScore,
    RecordedSession,
    RelapseQuestion,
    ScaleBounds,
    TrialProtocol,
    parse_course,
    parse_protocol,
    read_course,
    read_protocol,
    write_course,
    write_protocol,
)
from afterglow.quantities import Dose, DrugForm, Rate
from afterglow.scales import instrument
from afterglow.therapy.regimen import InfusionStep, Route
from afterglow.therapy.setting import Condition, Control, Enrolment, Setting

EXAMPLES = Path(__file__).parents[2] / "examples"

SPRAYS = (Route.INTRANASAL,)
NEEDLES = (Route.IV, Route.IM, Route.SC)
CONTROLS = {
    route: [
        Control.NONE,
        Control.MASKED,
        *([Control.SALINE, Control.MIDAZOLAM] if route in NEEDLES else []),
        *([Control.PLACEBO_SPRAY] if route in SPRAYS else []),
    ]
    for route in Route
}
SCALES = ("MADRS", "PHQ-9", "HAM-D17", "C/D 5")  # the last is declared by the file
DECLARED = ScaleBounds(name="C/D 5", lowest=-5.0, highest=80.0)

percent = st.integers(1, 1_000).map(lambda tenths: tenths / 10 / 100)


def times(start_h: float, count: int) -> st.SearchStrategy[tuple[float, ...]]:
    """Rising times, the first at least a little after `start_h`, far enough apart for any infusion here."""
    gap = st.one_of(st.sampled_from([101.0, 168.0, 240.0]), st.floats(101.0, 1e4))
    return st.lists(gap, min_size=1, max_size=count).map(
        lambda gaps: tuple(start_h + sum(gaps[: number + 1]) for number in range(len(gaps)))
    )


@st.composite
def doses(draw: st.DrawFn, drug: DrugForm, route: Route) -> tuple[Dose | None, Infusion]:
    """A dose inside the limits of its drug and route, and how it is infused."""
    per_kg = Dose(mg_per_kg=draw(st.floats(0.0, 0.5)))
    if route in {Route.INTRANASAL, Route.SUBLINGUAL, Route.ORAL}:
        return Dose(mg=draw(st.sampled_from([28.0, 56.0, 84.0, 10.5, 0.1]))), None
    if route is Route.IM:
        return per_kg, None
    rates = st.floats(0.0, 0.1).map(lambda amount: Rate(mg_per_kg_per_h=amount))
    step = st.builds(InfusionStep, rate=rates, duration_h=st.floats(0.04, 30.0))
    infusion: Infusion = draw(
        st.one_of(st.just(0.0), st.floats(0.04, 2.0), st.lists(step, min_size=1, max_size=3).map(tuple))
    )
    return (None if isinstance(infusion, tuple) else per_kg), infusion


@st.composite
def protocols(draw: st.DrawFn) -> TrialProtocol:
    drug, route = draw(st.sampled_from(DrugForm)), draw(st.sampled_from(Route))
    dose, infusion = draw(doses(drug, route))
    session_h = (0.0, *draw(st.one_of(st.just(()), times(0.0, 5))))
    control = draw(st.sampled_from(CONTROLS[route]))
    scale, open_label = draw(st.sampled_from(SCALES)), control is Control.NONE
    bounds = DECLARED if scale == DECLARED.name else known(scale)
    half = (bounds.highest - bounds.lowest) / 2
    score = st.floats(bounds.lowest, bounds.highest)
    relapse = RelapseQuestion(
        of=AtRisk.RESPONDERS,
        at_h=draw(times(session_h[-1], 3)),
        judged_h=draw(st.sampled_from([None, session_h[-1], session_h[-1] + 1.0])),
        score_at_least=draw(st.one_of(st.none(), score)),
        visits_h=draw(st.one_of(st.just(()), times(session_h[-1], 3))),
        consecutive=draw(st.integers(1, 10)),
    )
    population = Population(
        n=draw(st.one_of(st.none(), st.integers(1, 10**6))),
        n_control=None if open_label else draw(st.one_of(st.none(), st.integers(1, 10**6))),
        scale=scale,
        baseline_mean=draw(st.one_of(st.none(), score)),
        baseline_sd=draw(st.one_of(st.none(), st.floats(0.0, half))),
        weight_kg=draw(st.one_of(st.none(), st.floats(70.0, 650.0))),
        age_mean=draw(st.one_of(st.none(), st.floats(0.0, 130.0))),
        new_antidepressant=draw(st.booleans()),
        enrolment=draw(st.sampled_from(Enrolment)),
    )
    observe = ObservationPlan(
        times_h=draw(times(-100.0, 4)),
        scale=draw(st.sampled_from([None, scale])),
        response_fraction=draw(percent),
        remission_at_most=draw(st.one_of(st.none(), score)),
        relapse=draw(st.sampled_from([None, relapse])),
    )
    below_all = percent.filter(lambda chance: chance < 1)
    dropout = Dropout(
        unimproved=draw(below_all),
        recovered=draw(below_all),
        source=draw(st.sampled_from(["assumed", "murrough2013_ajp"])),
        visits_h=draw(st.one_of(st.just(()), times(-100.0, 4))),
        analysis=draw(st.sampled_from(Analysis)),
    )
    published = trial(draw(st.sampled_from(trial_keys())))
    fitting = [
        arm.id
        for arm in published.arms
        if arm.form in {None, drug} and arm.route in {None, route} and (arm.dose is None or dose in {None, arm.dose})
    ]
    return TrialProtocol(
        drug=drug,
        route=route,
        session_h=session_h,
        dose=dose,
        infusion=infusion,
        condition=draw(st.sampled_from(Condition)),
        control=control,
        setting=draw(st.sampled_from(Setting)),
        arm=ArmSelection.ACTIVE if open_label else draw(st.sampled_from(ArmSelection)),
        scales=(DECLARED,),
        population=population,
        observe=draw(st.sampled_from([None, observe])),
        dropout=draw(st.sampled_from([None, dropout])),
        title=draw(st.one_of(st.none(), titles)),
        trial=PublishedArms(key=published.key, active=draw(st.sampled_from(fitting))) if fitting else None,
    )


titles = st.text(max_size=200).filter(lambda text: text.isprintable() and bool(text.strip()))
notes = st.text(max_size=50).filter(lambda text: text.replace("\n", "").replace("\t", "").isprintable())


def known(scale: str) -> ScaleBounds:
    lowest, highest = instrument(scale).range or (0.0, 0.0)
    return ScaleBounds(name=scale, lowest=lowest, highest=highest)


@st.composite
def courses(draw: st.DrawFn) -> CourseRecord:
    at = draw(st.datetimes(datetime(1950, 1, 1), datetime(2050, 1, 1))).replace(tzinfo=UTC)  # noqa: DTZ001 - made aware here
    events: list[RecordedScore | RecordedSession] = []
    for _ in range(draw(st.integers(1, 5))):
        at += draw(st.timedeltas(timedelta(hours=101), timedelta(days=40)))
        at = at.replace(microsecond=draw(st.sampled_from([0, 0, at.microsecond])))
        note = draw(notes)
        drug, route = draw(st.sampled_from(DrugForm)), draw(st.sampled_from(Route))
        dose, infusion = draw(doses(drug, route))
        fraction = draw(st.integers(0, 9_999).map(lambda tenths: tenths / 10 / 100))
        points = float(draw(st.integers(0, 27)))
        of_today: list[RecordedScore | RecordedSession] = [
            RecordedScore(at=at, scale="PHQ-9", points=points, note=note),
            RecordedScore(at=at, scale="MADRS", fraction_of_baseline=fraction, note=note),
            RecordedSession(at=at, drug=drug, route=route, dose=dose, infusion=infusion, note=note),
        ]
        events.append(draw(st.sampled_from(of_today)))
    return CourseRecord(
        events=tuple(events),
        condition=draw(st.sampled_from(Condition)),
        weight_kg=draw(st.one_of(st.none(), st.floats(70.0, 650.0))),
        age_years=draw(st.one_of(st.none(), st.floats(0.0, 130.0))),
        timezone=draw(
            st.sampled_from([None, "UTC", "Europe/Zurich", "America/St_Johns", "Pacific/Apia", "Asia/Kolkata"])
        ),
    )


@given(protocol=protocols())
def test_a_protocol_reads_back(protocol: TrialProtocol) -> None:
    assert parse_protocol(write_protocol(protocol)) == protocol


@given(course=courses())
def test_a_course_reads_back(course: CourseRecord) -> None:
    assert parse_course(write_course(course)) == course


# Garbage: text of the right alphabet, and valid files with a piece cut, doubled or replaced.
PROTOCOL = (EXAMPLES / "murrough2013_six_infusions.yaml").read_text(encoding="utf-8")
COURSE = (EXAMPLES / "course.csv").read_text(encoding="utf-8")
PIECES = [
    *(
        "\n",
        " ",
        ",",
        ";",
        '"',
        "'",
        ":",
        ": ",
        "- ",
        "[",
        "]",
        "{",
        "}",
        "#",
        "|",
        ">",
        "---\n",
        "\t",
        "\r",
        "%",
        "? ",
    ),
    *("&a ", "*a", "!!int ", "\x00", "\ufeff", "\u2028", "\ud800", "\U0001f600"),
    *("nan", "-1", "1e999", "9" * 400, "0", "no", "null", "mg", "mg/kg", "MADRS", "dose: ", "title: "),
    *("2026-03-29T02:30", "session", "esketamine iv 1 mg/h for 2 h then", "of baseline", "timezone", "Europe"),
]
garbage = st.one_of(st.text(), st.lists(st.sampled_from(PIECES), max_size=30).map("".join))


@st.composite
def damaged(draw: st.DrawFn, text: str) -> str:
    for _ in range(draw(st.integers(1, 3))):
        start = draw(st.integers(0, len(text)))
        end = min(len(text), start + draw(st.integers(0, 12)))
        text = text[:start] + draw(st.one_of(garbage, st.sampled_from([text[start:end] * 2]))) + text[end:]
    return text


def refused_or_read(parse: Callable[..., object], text: str) -> bool:
    """Whether the text was read; any error but a placed InputError fails the test."""
    try:
        parse(text, file="f")
    except InputError as fault:
        place, message = fault.place, str(fault)
    else:
        return True
    assert place is not None
    assert place.file == "f"
    assert place.line is None or 1 <= place.line <= text.count("\n") + text.count("\r") + 2
    assert len(message) < 2_000
    return False


@pytest.mark.parametrize(("parse", "valid"), [(parse_protocol, PROTOCOL), (parse_course, COURSE)])
@given(data=st.data())
@settings(max_examples=200)
def test_any_text_is_read_or_refused_at_a_place(parse: Callable[..., object], valid: str, data: st.DataObject) -> None:
    assert refused_or_read(parse, valid)
    refused_or_read(parse, data.draw(st.one_of(garbage, damaged(valid))))


@pytest.mark.parametrize("read", [read_protocol, read_course])
@given(data=st.one_of(st.binary(), damaged(COURSE).map(lambda text: text.encode("utf-16", "replace"))))
def test_any_bytes_are_read_or_refused(
    read: Callable[[Path], object], data: bytes, tmp_path_factory: pytest.TempPathFactory
) -> None:
    path = tmp_path_factory.getbasetemp() / "garbage"
    path.write_bytes(data)
    with pytest.raises(InputError) as refused:
        read(path)
    assert refused.value.place is not None


@given(course=courses(), extra=st.sampled_from(["2026-03-02T09:00Z,PHQ-9,21", "x", '"', ",note,,", "2026,,,"]))
@settings(max_examples=30)
def test_no_row_is_dropped(course: CourseRecord, extra: str) -> None:
    text = write_course(course)
    with pytest.raises(InputError):
        parse_course(f"{text}{extra}\n")
    assert len(parse_course(text).events) == len(course.events)
