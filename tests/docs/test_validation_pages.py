"""The pages that `afterglow calibrate` and `afterglow validate` write are of the population that is shipped."""

import re
from importlib.resources import files
from pathlib import Path

from afterglow.render.report import sections_html
from afterglow.render.svg import escape
from afterglow.therapy.acute import CLEARS_LATE
from afterglow.therapy.calibrated import shipped_calibration
from afterglow.therapy.coverage import (
    CRISIS_MISSED,
    DIFFERENCE_MISSED,
    INTERVALS_MISSED,
    RELAPSE_MISSED,
    SELF_REPORT_MISSED,
    model_tag,
)
from afterglow.trials.arms import scored_figures
from afterglow.trials.validate import HELD_OUT
from afterglow.trials.validation_report import BAR_COVERAGE, figure_name
from afterglow.usecases.model_pages import MODEL_PAGES, model_report

PAGES = Path(__file__).parents[2] / "docs" / "validation"
SHIPPED = files("afterglow.usecases") / "data" / "validation"


def test_the_package_carries_the_pages_and_pictures_as_they_are_in_the_documentation() -> None:
    pages = {each.name: each for each in PAGES.glob("*.md")}
    assert {f"{name}.md" for name in MODEL_PAGES} == set(pages)
    shipped = {each.name: each.read_text(encoding="utf-8") for each in SHIPPED.iterdir()}
    for name, text in shipped.items():
        of = pages.get(name, PAGES.parent / "images" / name)
        assert text == of.read_text(encoding="utf-8"), name
    for name in MODEL_PAGES:
        shown = sections_html(model_report(name).sections)
        assert not re.search(r"[|`]|\*\*|\]\(|#[0-9A-F]{6}", shown), name  # nothing of Markdown, no colour of one theme
        figures = [
            cell for line in shipped[f"{name}.md"].splitlines() if line.startswith("|") for cell in line.split("|")[1:2]
        ]
        assert all(escape(cell.strip().replace("`", "")) in shown for cell in figures if "---" not in cell)


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


def test_every_output_says_how_many_intervals_held() -> None:
    page = (PAGES / "model.md").read_text(encoding="utf-8")
    everything = page.partition("\n| all |")[2].partition("\n")[0].split("|")
    number, inside = everything[0].strip(), everything[2].strip()
    bar = f"{100 * BAR_COVERAGE:.0f} %"
    assert f"{inside} of {number} held-out figures lay inside such 90 % intervals" in INTERVALS_MISSED
    assert f"the bar of {bar} is not reached" in INTERVALS_MISSED
    assert "The bar is **not reached**: coverage" in page
    assert f"{inside} of held-out figures inside 90 % intervals, bar {bar}" in model_tag("calibrated")


def test_what_outputs_say_of_self_reports_and_crisis_wards_is_what_the_page_says() -> None:
    page = (PAGES / "model.md").read_text(encoding="utf-8")
    limits = page.partition("*Self-report scales.*")[2].partition("\n")[0]
    assert "all of the misses lie higher than predicted. 3 of 9 inside" in limits
    assert "3 of 9 such figures" in SELF_REPORT_MISSED
    assert "the other 6 are all higher" in SELF_REPORT_MISSED
    for arm, observed, predicted in (("ket05x2", "63.0", "22.7"), ("saline", "31.6", "8.7")):
        assert f"abbar2022 {arm}, SSI remission, 3 days | {observed} | {predicted} |" in page
        assert f"{observed} %" in CRISIS_MISSED
        assert f"{predicted} %" in CRISIS_MISSED


def test_what_is_said_of_how_late_acute_effects_clear_is_what_the_page_says() -> None:
    page = (PAGES / "acute.md").read_text(encoding="utf-8")
    for effect, published, predicted in (("dissociation", "1.5", "2.9"), ("sedation", "1 to 1.5", "2.5")):
        assert f"`jnj_{effect}_resolution_time` | most are clear | 84 mg spray | {published} | {predicted} | h" in page
        assert f"{published} h" in CLEARS_LATE or f"{published} h published" in CLEARS_LATE
        assert f"{predicted} h" in CLEARS_LATE


def test_the_headline_is_given_without_trials_that_share_patients() -> None:
    """By hand from the rows of the page: 35 of 53 inside, 16 of 18 of the trials that share patients."""
    page = (PAGES / "model.md").read_text(encoding="utf-8")
    rows = page.partition("## Every held-out figure")[2].partition("\n## ")[0].splitlines()
    cells = [[cell.strip() for cell in row.split("|")[1:-1]] for row in rows if row.startswith("| ")][1:]
    keys = ("fedgchin2019_transform1", "popova2019_transform2", "transform12_by_sex", "zaki2025_sustain3")
    inside = [row[4] == "yes" for row in cells if row[0].startswith(keys)]
    others = [row[4] == "yes" for row in cells if not row[0].startswith(keys)]
    assert f"{', '.join(keys)} share theirs. Of those {len(inside)} figures {sum(inside)} lie inside" in page
    assert (
        f"of the other {len(others)}, of trials that share none, **{sum(others) / len(others):.0%}".rstrip("%") in page
    )
