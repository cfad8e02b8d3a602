"""What the model says of a protocol without a patient, as one report."""

from __future__ import annotations

from functools import cache

from afterglow.render.chart import Chart, Table
from afterglow.render.report import KeyFigures, Notice, Paragraph, Report, report_html
from afterglow.trials import Statistic
from afterglow.usecases.explore import explore_report
from afterglow.usecases.modelling import replicate_beside_published
from afterglow.usecases.plain_protocol import EXAMPLES, trial_protocol


@cache
def report(name: str) -> Report:
    return explore_report(trial_protocol(EXAMPLES[name]))


def blocks(found: Report, kind: type) -> list[object]:
    return [block for section in found.sections for block in section.blocks if isinstance(block, kind)]


def test_every_part_of_the_answer_has_a_picture_with_its_table() -> None:
    found = report("One infusion")
    assert [section.heading for section in found.sections] == [
        "In short",
        "The course",
        "What a trial of this size would show",
        "One dose: concentrations",
        "One dose: acute effects",
        "What this rests on",
        "Sources",
    ]
    charts = [chart for chart in blocks(found, Chart) if isinstance(chart, Chart)]
    assert [chart.title.split(":")[0] for chart in charts] == [
        "Active arm",
        "Plasticity after one session, typical person",
        "Mean change",
        "Response",
        "Remission",
        "Concentration over time",
        "Effects of a session",
    ]
    assert all(chart.table.rows for chart in charts)


def test_numbers_are_those_of_the_replication_and_parts_add_up() -> None:
    answer = replicate_beside_published(trial_protocol(EXAMPLES["One infusion"]))
    found = report("One infusion")
    (figures, *_) = [each for each in blocks(found, KeyFigures) if isinstance(each, KeyFigures)]
    said = [each.label for each in figures.figures]
    assert said[:3] == ["With the drug, 24 h", "Control arm, 24 h", "Difference, 24 h"]
    (parts,) = [each for each in blocks(found, Table) if isinstance(each, Table) and "comes from" in each.caption]
    assert len(parts.rows) == sum(each.statistic is Statistic.MEAN_CHANGE for each in answer.replication.predictions)
    control = next(row for row in parts.rows if row[0].startswith("Control"))
    assert control[2] == "0.0"


def test_what_speaks_against_the_numbers_stands_beside_them() -> None:
    found = report("Pain, four days")
    first = found.sections[0]
    warnings = [each.text for each in first.blocks if isinstance(each, Notice) and each.kind == "warning"]
    assert any(
        "None of them is of pain" in each.text for each in blocks(found, Paragraph) if isinstance(each, Paragraph)
    )
    assert any("Differences from control" in each for each in warnings)
    assert any("extrapolation" in each for each in warnings)
    assert "Outside the calibrated range" in found.tags
    assert not any("plasticity" in each.title.lower() for each in blocks(found, Chart) if isinstance(each, Chart))


def test_a_source_leads_to_its_page() -> None:
    html = report_html(report("One infusion"))
    assert 'href="https://' in html
    assert 'rel="noreferrer"' in html
