"""`afterglow calibrate` and `afterglow validate` on small cohorts."""

import dataclasses
import functools
import json
import re
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from afterglow.cli.app import app
from afterglow.errors import InputError, UnknownName, UnwritableFile
from afterglow.provenance import Role
from afterglow.render.report import report_html
from afterglow.therapy.calibrated import read_calibrated
from afterglow.therapy.population import Population
from afterglow.therapy.setting import Condition
from afterglow.trials import calibrate as calibrating
from afterglow.trials.arms import scored_figures
from afterglow.trials.calibration_report import Fits
from afterglow.trials.curves import arm_curves
from afterglow.trials.leaving_out import LeftOut
from afterglow.trials.moments import Statistic
from afterglow.trials.validate import validate
from afterglow.usecases import validating, validation_charts

QUICK = ("daly2018", "daly2019_sustain1", "murrough2013_bp", "fava2020")


@functools.cache
def small_fits() -> Fits:
    """One trial, few people."""
    one = calibrating.calibrate(seed=0, sample=False, persons=16, without=QUICK, with_class_priors=False)
    return {Condition.DEPRESSION: one}


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Small fits and small cohorts in place of the whole ones."""

    def fits(**_: object) -> Fits:
        return small_fits()

    monkeypatch.setattr("afterglow.trials.calibration_report.calibrate_all", fits)
    monkeypatch.setattr(validating, "calibrate", lambda **_: fits()[Condition.DEPRESSION])
    keys = ("ionescu2021_aspire2", "shiroma2014", "daly2018", "mcinnes2022", "berman2000")
    some = [f for f in scored_figures() if f.trial.key in keys or f.trial.role is Role.HELD_OUT_SHARED]
    monkeypatch.setattr(
        validating, "validate", lambda **more: validate(figures=some, n_draws=8, patients_per_draw=8, **more)
    )
    monkeypatch.setattr(
        validating, "arm_curves", lambda of, **more: arm_curves(of, n_draws=4, patients_per_draw=4, **more)
    )


def run(*words: str) -> str:
    """What the command printed."""
    result = CliRunner().invoke(app, list(words), catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.output


@pytest.mark.parametrize(
    ("words", "place"),
    [
        (("calibrate", "--out"), "no/such/folder/population.json"),
        (("calibrate", "--page"), "."),
        (("validate", "--page"), "no/such/folder/model.md"),
        (("prove", "--page"), "no/such/folder/forecast.md"),
    ],
)
def test_a_place_that_cannot_be_written_is_refused_before_the_work(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, words: tuple[str, ...], place: str
) -> None:
    def never(**_: object) -> None:
        raise AssertionError("it was computed")

    for work in (
        "trials.calibration_report.calibrate_all",
        "usecases.validating.validate_model",
        "usecases.proving.prove_forecast",
    ):
        monkeypatch.setattr(f"afterglow.{work}", never)
    with pytest.raises(UnwritableFile, match="The place of the file is refused"):
        CliRunner().invoke(app, [*words, str(tmp_path / place)], catch_exceptions=False)


@pytest.mark.usefixtures("quick")
def test_calibrate_writes_a_population_that_is_read_back(tmp_path: Path) -> None:
    file, page = tmp_path / "population.json", tmp_path / "calibration.md"
    said = run("calibrate", "--out", str(file), "--page", str(page))
    assert read_calibrated(file.read_text(), file=file.name).learnt.keys() == {"depression"}
    assert page.read_text().startswith("# Calibration")
    assert "Prior spread" in said
    document = json.loads(run("calibrate", "--json"))
    assert document["schema"] == "afterglow.calibrate/1"
    assert document["diagnostics"]["k_hat"] is None
    assert {"name", "shift", "prior_sd", "left"} == set(document["values"][0])


def test_leave_out_shows_each_trial_and_sums(monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[tuple[int, int, float]] = []

    def some(
        *,
        seed: int,
        conditions: Sequence[Condition],
        declared: Callable[[Condition], Population],
        progress: Callable[[float], None] | None,
    ) -> tuple[LeftOut, ...]:
        assert progress is not None
        progress(1.0)
        told.append((seed, len(conditions), declared(Condition.PTSD).parameters["small_trial_shift"].typical))
        one = LeftOut(
            condition=Condition.DEPRESSION,
            role=Role.CALIBRATION,
            trial="daly2018",
            n=30,
            log_density=-1.5,
            without_priors=-2.25,
        )
        two = dataclasses.replace(one, trial="fava2020", log_density=-2.0)
        return one, two, dataclasses.replace(one, condition=Condition.PTSD, trial="feder_2021", without_priors=None)

    monkeypatch.setattr(validating, "leave_out", some)
    said = run("calibrate", "--leave-out", "--seed", "3")
    assert "daly2018" in said
    assert "-3.50" in said
    other = ("--with", "small_trial_shift=0", "--condition", "ptsd")
    assert "seed 0, small_trial_shift 0" in run("calibrate", "--leave-out", *other)
    document = json.loads(run("calibrate", "--leave-out", "--json"))
    assert document["with"] == {}
    assert document["sums"] == {"depression": {"calibration": -3.5}, "ptsd": {"calibration": -1.5}}
    assert document["trials"][2]["without_class_priors"] is None
    assert told == [(3, len(Condition), 0.5), (0, 1, 0.0), (0, len(Condition), 0.5)]


@pytest.mark.parametrize("option", ["--out", "--page"])
def test_leave_out_makes_no_file(option: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no population and no page"):
        run("calibrate", "--leave-out", option, str(tmp_path / "x"))
    assert not (tmp_path / "x").exists()


@pytest.mark.parametrize("words", [("--with", "small_trial_shift=0"), ("--condition", "ptsd")])
def test_another_structure_makes_no_population(words: tuple[str, ...]) -> None:
    with pytest.raises(InputError, match="compare structures"):
        run("calibrate", *words)


@pytest.mark.parametrize("text", ["small_trial_shift", "small_trial_shift=", "small_trial_shift=x", "a=nan", "a=inf"])
def test_another_value_is_a_number(text: str) -> None:
    with pytest.raises(InputError, match="NAME=VALUE") as refused:
        run("calibrate", "--leave-out", "--with", text)
    assert text in str(refused.value)


def test_another_value_is_of_a_parameter() -> None:
    with pytest.raises(UnknownName, match=r"no such parameter.*small_trial_shift"):
        run("calibrate", "--leave-out", "--with", "small=1")


@pytest.mark.usefixtures("quick")
def test_validate_prints_misses_first_and_writes_page_and_report(tmp_path: Path) -> None:
    page, report = tmp_path / "validation" / "model.md", tmp_path / "report.html"
    said = run("validate", "--page", str(page), "--report", str(report))
    assert said.index("Outside") < said.index("Inside 90 %")
    assert page.read_text().startswith("# Validation of the model")
    assert "Residual by time" in report.read_text()
    assert "Relapse, arm by arm: held out" in report.read_text()
    pictures = {path.name: path.read_text() for path in (tmp_path / "images").iterdir()}
    assert set(re.findall(r"\(\.\./images/(.*?)\)", page.read_text())) == set(pictures)
    assert {"validation_checks.svg", "validation_changes.svg", "validation_relapse_held_out.svg"} <= set(pictures)
    assert all("var(--" not in svg for svg in pictures.values())
    document = json.loads(run("validate", "--json"))
    assert document["schema"] == "afterglow.validate/1"
    assert document["held_out"]["all"]["n"] == sum(f["role"].startswith("held_out") for f in document["figures"])
    before = page.read_bytes(), pictures
    again = json.loads(run("validate", "--json", "--page", str(page)))
    assert document == again
    assert before == (page.read_bytes(), {path.name: path.read_text() for path in (tmp_path / "images").iterdir()})


def test_a_chart_without_rows_is_left_out() -> None:
    percentages = [f for f in scored_figures() if f.trial.key == "phillips2019"]
    rows = validate(figures=percentages, n_draws=4, patients_per_draw=4).rows
    assert [chart.title for chart in validation_charts._arms(rows)] == ["Percentages"]


def test_numbers_that_do_not_exist_are_null() -> None:
    assert validating._round(float("nan")) is None
    assert validating._round(np.float64(1.23456789)) == 1.23457


def test_an_arm_curve_passes_the_figures_at_their_times() -> None:
    some = [f for f in scored_figures() if f.trial.key in ("daly2018", "murrough2013_bp", "salloum2019")]
    told: list[float] = []
    found = arm_curves(some, n_draws=8, patients_per_draw=8, progress=told.append)
    assert told[-1] == 1.0
    assert {str(one.figures[0].statistic) for one in found} == {"mean_change", "relapse_pct"}
    for one in found:
        assert list(one.times_h) == sorted(set(one.times_h))
        assert {f.time_h for f in one.figures} <= set(one.times_h)
        assert all(p.lo90 <= p.hi90 for p in one.predicted)
        values = [p.value for p in one.predicted]
        if one.figures[0].statistic is Statistic.RELAPSE_PCT:
            assert values == sorted(values)  # who has relapsed stays so


def test_a_validation_without_curves_has_fewer_pictures() -> None:
    held_out = [f for f in scored_figures() if f.trial.key == "phillips2019"]
    fitted = [f for f in scored_figures() if f.trial.key == "daly2018"]
    found = validate(figures=[*held_out, *fitted], n_draws=4, patients_per_draw=4)
    answer = validating.ValidationAnswer(shipped=found, without_priors=found, curves=())
    assert set(validation_charts.validation_charts(answer)) == {"checks", "dose"}
    assert "Visual predictive check" not in report_html(validation_charts.validation_report(answer))
    page, pictures = validation_charts.validation_page(answer)
    assert "Negative trials" not in page
    assert set(pictures) == {"validation_checks.svg", "validation_dose.svg"}
