"""Reports: one self-contained document that holds the same numbers as the text."""

from __future__ import annotations

import functools
from collections.abc import Iterator
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest

from afterglow.evidence import pk_models
from afterglow.protocol import TrialProtocol, parse_protocol, read_protocol
from afterglow.provenance import Role
from afterglow.quantities import format_duration
from afterglow.render.report import report_html
from afterglow.render.text import format_points, format_significant
from afterglow.therapy.setting import Arm
from afterglow.trials import Prediction, Statistic, replicate, trajectory
from afterglow.usecases import modelling
from afterglow.usecases.modelling import ReplicationAnswer, expose, replicate_beside_published, trajectories
from afterglow.usecases.reports import (
    _citations,
    expose_report,
    format_prediction,
    replicate_report,
    statistic_label,
)

EXAMPLES = Path(__file__).parents[2] / "examples"
MURROUGH = read_protocol(EXAMPLES / "murrough2013.yaml")
DALY = read_protocol(EXAMPLES / "daly2018_84mg.yaml")
PAIN = parse_protocol(
    "condition: pain\ndrug: esketamine\nroute: iv\ninfusion: [{rate: 10 mg/h, for: 50 h}, {rate: 20 mg/h, for: 50 h}]\n"
    "days: [0]\ncontrol: saline\narm: both\n"
    "population: {n: 30, scale: Pain NRS, baseline_mean: 7.2, baseline_sd: 1.3}\n"
    "observe: {times: [7 d, 28 d], response: 30 %, remission: 2, relapse: {of: responders, judged: 7 d, at: [28 d]}}\n"
)
OPEN = parse_protocol(
    "title: <Open> & 'plain'\ndrug: racemic_ketamine\nroute: im\ndose: 50 mg\ndays: [0, 3]\n"
    "population: {n: 20, scale: PHQ-9, baseline_mean: 17, baseline_sd: 4}\nobserve: {times: [24 h, 7 d]}\n"
)


class Page(HTMLParser):
    """What a browser would see: tags in balance, text, and everything it would fetch."""

    VOID = frozenset({"meta", "br", "hr", "img", "link", "input", "col", "wbr", "source"})

    def __init__(self, html: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[str] = []
        self.ids: list[str] = []
        self.loads: list[str] = []
        self.words: list[str] = []
        self.feed(html)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.ids += [value for name, value in attrs if name == "id" and value]
        for name, value in attrs:
            if name in {"src", "srcset", "xlink:href", "action", "data", "poster"} or (name == "href" and tag != "a"):
                self.loads.append(f"{tag} {name}={value}")
        if tag not in self.VOID and not (self.get_starttag_text() or "").endswith("/>"):
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if tag not in self.VOID and self.open and self.open[-1] == tag:
            self.open.pop()

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] not in {"style", "script"}:
            self.words.append(data)

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.words).split())


@pytest.fixture(scope="module", autouse=True)
def _few_people() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(modelling, "N_PROFILE_PATIENTS", 32)
        patch.setattr(modelling, "replicate", functools.partial(replicate, n_draws=8, patients_per_draw=8))
        patch.setattr(trajectory, "_N_DRAWS", 8)
        patch.setattr(trajectory, "_PATIENTS_PER_DRAW", 8)
        yield


@functools.cache
def answered(protocol: TrialProtocol) -> ReplicationAnswer:
    return replicate_beside_published(protocol)


def replication(protocol: TrialProtocol) -> str:
    return report_html(replicate_report(answered(protocol), trajectories(protocol)))


def check_page(html: str) -> Page:
    page = Page(html)
    assert html.lower().startswith("<!doctype html>")
    assert page.open == []
    assert page.tags.count("html") == page.tags.count("body") == page.tags.count("h1") == 1
    assert len(page.ids) == len(set(page.ids))
    assert [load for load in page.loads if not load.split("=", 1)[1].startswith(("#", "data:"))] == []
    assert "@import" not in html
    assert "url(http" not in html
    assert "script" not in page.tags
    assert "svg" in page.tags
    assert "table" in page.tags
    assert "Decision support, not advice" in page.text
    return page


@pytest.mark.parametrize("protocol", [MURROUGH, DALY, PAIN, OPEN])
def test_an_exposure_report_holds_its_numbers(protocol: TrialProtocol) -> None:
    answer = expose(protocol)
    page = check_page(report_html(expose_report(answer)))
    first = answer.profiles[0]
    assert f"{format_significant(first.cmax)} {first.unit}" in page.text or format_significant(first.cmax) in page.text
    assert format_duration(first.tmax_h) in page.text
    assert "a rule decides, never this model" in page.text
    assert str(protocol.regimen().administrations[0]) in page.text
    for note in answer.acute.notes:
        assert note in page.text
    for warning in {w for profile in answer.profiles for w in profile.warnings}:
        assert warning in page.text
    assert ("Borrowed spread" in page.text) == any(profile.borrowed_spread for profile in answer.profiles)


def test_an_effect_that_outlasts_the_horizon_is_said_so() -> None:
    answer = expose(MURROUGH)
    late = replace(answer, acute=replace(answer.acute, ready_median_h=np.inf))
    assert "after 12 h" in Page(report_html(expose_report(late))).text


@pytest.mark.parametrize("protocol", [MURROUGH, DALY, PAIN, OPEN])
def test_a_replication_report_holds_its_numbers(protocol: TrialProtocol) -> None:
    answer = answered(protocol)
    page = check_page(replication(protocol))
    assert answer.standing in page.text
    provisional = answer.replication.status == "provisional"
    assert ("Provisional model" in page.text) == provisional
    for prediction, observed in zip(answer.replication.predictions, answer.observed, strict=True):
        if prediction.statistic is Statistic.MEAN_CHANGE:
            assert format_points(prediction.value) in page.text
        if observed is not None and prediction.statistic is Statistic.MEAN_CHANGE:
            assert format_points(observed.value) in page.text
    for note in answer.replication.notes:
        assert note in page.text
    # The picture of plasticity belongs to what reads it out.
    assert ("The afterglow of one session" in page.text) == (protocol is not PAIN)


def test_the_role_of_the_published_trial_is_named() -> None:
    page = check_page(replication(MURROUGH))
    assert "Calibration figures, not a prediction" in page.text
    assert "4 figures of this trial are known from memory only and not shown." in page.text
    assert "knows the baseline of this trial from memory only" in page.text
    assert "Measured mean" not in page.text
    answer = answered(MURROUGH)
    assert answer.trial is not None
    held_out = replace(answer, trial=replace(answer.trial, role=Role.HELD_OUT))
    page = check_page(report_html(replicate_report(held_out, trajectories(MURROUGH))))
    assert "Held-out figures: never fitted" in page.text


def test_without_a_published_trial_nothing_is_observed() -> None:
    page = check_page(replication(OPEN))
    assert "No published figures stand beside this prediction." in page.text
    assert "known from memory" not in page.text


def test_titles_are_text_not_markup() -> None:
    html = replication(OPEN)
    assert "<Open>" not in html
    assert "<Open> & 'plain'" in Page(html).text


def test_a_control_arm_alone_is_pictured() -> None:
    control = replace(MURROUGH, arm=type(MURROUGH.arm)("control"))
    page = check_page(replication(control))
    assert "Control arm" in page.text
    assert "The afterglow of one session" not in page.text


def test_a_report_repeats() -> None:
    assert replication(MURROUGH) == replication(MURROUGH)


def test_labels_of_statistics() -> None:
    names = {statistic_label(one(statistic=statistic)) for statistic in Statistic}
    assert len(names) == len(Statistic)
    assert statistic_label(one(statistic=Statistic.RELAPSE_PCT, of="responders")) == "Relapse of responders"


def one(**change: object) -> Prediction:
    base = Prediction(
        arm=Arm.ACTIVE,
        time_h=24.0,
        statistic=Statistic.RESPONSE_PCT,
        of=None,
        scale="MADRS",
        value=0.0,
        lo90=0.0,
        hi90=10.0,
        parts=None,
    )
    return replace(base, **change)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("prediction", "value", "observed", "said"),
    [
        (one(), 0.0, False, "under 1 %"),
        (one(), 0.0, True, "0 %"),
        (one(), 45.4, False, "45 %"),
        (one(arm=Arm.CONTRAST), 12.3, False, "+12 pp"),
        (one(arm=Arm.CONTRAST), -12.3, False, "−12 pp"),
        (one(statistic=Statistic.MEAN_CHANGE), -14.16, False, "−14.2"),
        (one(statistic=Statistic.MEAN_SCORE, arm=Arm.CONTRAST), -14.16, True, "−14.2"),
    ],
)
def test_values_as_text(prediction: Prediction, value: float, observed: bool, said: str) -> None:  # noqa: FBT001
    assert format_prediction(prediction, value, observed=observed) == said


def test_sources_are_found_wherever_they_are_kept() -> None:
    """A kinetic model, a fact, a source's own key."""
    model = next(iter(pk_models()))
    for key in (model, "dahan2011_c50_crps_pain_relief", "perezruixo2021"):
        for source_key, citation, _ in _citations(key):
            assert source_key
            assert citation
