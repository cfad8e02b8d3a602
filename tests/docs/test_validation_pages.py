"""The pages that `afterglow calibrate` and `afterglow validate` write are of the population that is shipped."""

from pathlib import Path

from afterglow.therapy.calibrated import shipped_calibration
from afterglow.trials.arms import scored_figures
from afterglow.trials.validate import HELD_OUT
from afterglow.trials.validation_report import figure_name

PAGES = Path(__file__).parents[2] / "docs" / "validation"


def test_the_calibration_page_is_of_the_shipped_file() -> None:
    shipped, page = shipped_calibration(), (PAGES / "calibration.md").read_text(encoding="utf-8")
    assert f"digest `{shipped.digest[:16]}`" in page
    assert f"data `{shipped.data_digest[:16]}`" in page


def test_the_validation_page_is_of_the_shipped_population_and_has_every_held_out_figure() -> None:
    page = (PAGES / "model.md").read_text(encoding="utf-8")
    assert f"population {shipped_calibration().version} ({shipped_calibration().digest[:16]})" in page
    missing = [name for f in scored_figures() if f.trial.role in HELD_OUT and (name := figure_name(f)) not in page]
    assert missing == []
