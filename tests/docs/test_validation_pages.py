"""The pages that `afterglow calibrate` and `afterglow validate` write are of the population that is shipped."""

from pathlib import Path

from afterglow.therapy.calibrated import shipped_calibration
from afterglow.therapy.coverage import DIFFERENCE_MISSED, RELAPSE_MISSED
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


def test_what_outputs_say_of_misses_is_what_the_page_says() -> None:
    page = (PAGES / "model.md").read_text(encoding="utf-8")
    cells = [[cell.strip() for cell in line.split("|")[1:-1]] for line in page.splitlines() if line.startswith("|")]
    rows = {row[0]: row for row in cells[::-1]}  # the first of a name counts

    def near(figure: str, observed: str, said: str) -> bool:
        row = rows[figure]
        return float(row[1]) == float(observed) and round(float(row[2]), 0 if "." not in said else 1) == float(said)

    assert near("mcinnes2022 kit, PHQ-9 relapse of responders, 49 days", "20", "73")
    assert near("mcinnes2022 kit, PHQ-9 relapse of responders, 77 days", "40", "87")
    assert near("fu2020_aspire1 esk84 minus pbo, MADRS change, 24 h", "-3.8", "-8.6")
    assert near("ionescu2021_aspire2 esk84 minus pbo, MADRS change, 24 h", "-3.9", "-8.3")
    assert rows["relapse"][1:4:2] == ["4", "50 %"]
    assert rows["active minus control"][1:4:2] == ["7", "43 %"]
    for said in ("73 % by day 49 and 87 % by day 77", "20 % and 40 %", "2 of 4"):
        assert said in RELAPSE_MISSED
    for said in ("-8.6 and -8.3", "-3.8 and -3.9", "3 of 7"):
        assert said in DIFFERENCE_MISSED
