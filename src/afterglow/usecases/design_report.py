"""A planned trial as a JSON document and as a report with pictures."""

from __future__ import annotations

from afterglow import __version__
from afterglow.protocol import require_design
from afterglow.render.chart import Chart, Column, Table
from afterglow.render.design import Kind, PowerData, PowerLine, power_chart
from afterglow.render.report import KeyFigure, KeyFigures, Notice, Paragraph, Report, Section
from afterglow.render.rows import ObservedPredictedData, PredictionGroup, PredictionRow, observed_predicted_chart
from afterglow.render.text import format_number, format_percent, format_points, format_range
from afterglow.therapy.coverage import model_tag
from afterglow.trials import Masking
from afterglow.usecases.contracts import Document, round_number
from afterglow.usecases.designing import DesignAnswer, DesignRow

MASKING_NAMES = {Masking.PLANNED: "As planned", Masking.MASKED: "Masked", Masking.UNMASKED: "Unmasked"}
COUNTED = "patients starting treatment for each arm"


def design_document(answer: DesignAnswer) -> Document:
    """`afterglow.design/1`."""
    planned = require_design(answer.protocol)
    return {
        "schema": "afterglow.design/1",
        "title": answer.protocol.title,
        "model": answer.model,
        "status": answer.status,
        "seed": answer.seed,
        "trials": answer.trials,
        "digest": answer.digest,
        "endpoint": str(planned.compared_on),
        "alpha": planned.alpha,
        "reference": answer.reference,
        "unit": answer.unit,
        "comparisons": [
            {
                "masking": str(row.masking),
                "arm": row.arm,
                "size": row.size,
                **{
                    name: round_number(getattr(row, name))
                    for name in (
                        "power",
                        "power_se",
                        "assurance",
                        "assurance_se",
                        "estimate",
                        "lo90",
                        "hi90",
                        "randomised",
                        "stayed",
                    )
                },
            }
            for row in answer.rows
        ],
        "arms": [
            {
                "masking": str(one.masking),
                "arm": one.arm,
                **{name: round_number(getattr(one, name)) for name in ("value", "lo90", "hi90")},
            }
            for one in answer.outcomes
        ],
        "notes": list(answer.notes),
    }


def design_report(answer: DesignAnswer) -> Report:
    """A planned trial as one HTML document."""
    planned = require_design(answer.protocol)
    sections = [
        Section(
            heading="How likely the trial is to find it",
            blocks=(
                KeyFigures(figures=tuple(_key_figure(answer, arm) for arm in answer.arms)),
                *(Notice(text=note, kind="warning") for note in answer.warnings),
                *(_power(answer, arm) for arm in answer.arms),
            ),
        ),
        Section(heading="What it would find", blocks=(_estimates(answer), _outcomes(answer))),
        Section(heading="Everything simulated", blocks=(_table(answer),)),
        Section(heading="What this rests on", blocks=tuple(Paragraph(text=note) for note in answer.notes)),
    ]
    return Report(
        title=answer.protocol.title or "A planned trial",
        subtitle=f"{answer.protocol.regimen().administrations[0]}; {planned.compared_on}, compared with "
        f"{answer.reference}; {answer.trials:,} simulated trials of each kind",
        sections=tuple(sections),
        foot=f"Afterglow {__version__}, {answer.model}, seed {answer.seed}, design {answer.digest[:12]}. "
        "Decision support, not advice.",
        tags=(model_tag(answer.status), *(("Extrapolation",) if planned.arms else ())),
    )


def format_estimate(answer: DesignAnswer, value: float) -> str:
    """A difference between arms: points to one decimal, percentage points whole and signed."""
    return format_points(value) if "points" in answer.unit and "percentage" not in answer.unit else _pp(value)


def _pp(value: float) -> str:
    return f"{format_number(value, signed=True)} pp"


def _rows(answer: DesignAnswer, masking: Masking, arm: str) -> list[DesignRow]:
    return [row for row in answer.rows if (row.masking, row.arm) == (masking, arm)]


def _key_figure(answer: DesignAnswer, arm: str) -> KeyFigure:
    row = _rows(answer, Masking.PLANNED, arm)[-1]
    return KeyFigure(
        label=f"{arm[0].upper()}{arm[1:]} against {answer.reference}",
        value=format_percent(100 * row.assurance, predicted=True),
        note=f"assurance with {row.size} an arm",
        predicted=True,
    )


def _power(answer: DesignAnswer, arm: str) -> Chart:
    planned = _rows(answer, Masking.PLANNED, arm)
    lines = [
        PowerLine(
            kind="assurance",
            name="Assurance",
            about="over all that the model holds possible",
            chance=tuple(row.assurance for row in planned),
        ),
        PowerLine(
            kind="power",
            name="Power",
            about="were the typical values true",
            chance=tuple(row.power for row in planned),
        ),
    ]
    kinds: dict[Masking, tuple[Kind, str]] = {
        Masking.MASKED: ("masked", "assurance if nobody could tell"),
        Masking.UNMASKED: ("unmasked", "assurance if the control arm knew"),
    }
    for masking in answer.maskings:
        if masking in kinds:
            kind, about = kinds[masking]
            chance = tuple(row.assurance for row in _rows(answer, masking, arm))
            lines.append(PowerLine(kind=kind, name=MASKING_NAMES[masking], about=about, chance=chance))
    return power_chart(
        PowerData(
            title=f"{arm[0].upper()}{arm[1:]} against {answer.reference}: chance of a significant result",
            sizes=tuple(row.size for row in planned),
            counted=COUNTED,
            lines=tuple(lines),
        )
    )


def _estimates(answer: DesignAnswer) -> Chart:
    decimals = 1 if format_estimate(answer, 0.0) == "0.0" else 0
    return observed_predicted_chart(
        ObservedPredictedData(
            title=f"Difference from {answer.reference} that a trial would find",
            groups=tuple(
                PredictionGroup(
                    heading=f"{arm[0].upper()}{arm[1:]} minus {answer.reference}",
                    unit=answer.unit,
                    rows=tuple(
                        PredictionRow(
                            label=f"{format_number(row.size)} an arm",
                            predicted=row.estimate,
                            lo90=row.lo90,
                            hi90=row.hi90,
                        )
                        for row in _rows(answer, Masking.PLANNED, arm)
                    ),
                    decimals=decimals,
                )
                for arm in answer.arms
            ),
            published=False,
        )
    )


def _outcomes(answer: DesignAnswer) -> Table:
    def cell(value: float) -> str:
        return format_percent(value, predicted=True) if "percentage" in answer.unit else format_points(value)

    return Table(
        caption="What each arm shows on average in the largest trial, with its central 90 %",
        columns=(
            Column(heading="Arm"),
            Column(heading="What people can tell"),
            Column(heading="Outcome", numeric=True),
        ),
        rows=tuple(
            (
                one.arm,
                MASKING_NAMES[one.masking],
                f"{cell(one.value)} ({format_range(cell(one.lo90), cell(one.hi90))})",
            )
            for one in answer.outcomes
        ),
    )


HEADINGS = ("What people can tell", "Arm", "An arm", "Power", "Assurance", "Difference (90 %)", "Compared", "Stay")


def design_cells(answer: DesignAnswer, row: DesignRow) -> tuple[str, ...]:
    """A row in words, under `HEADINGS`."""
    low, high = (format_estimate(answer, value) for value in (row.lo90, row.hi90))
    return (
        MASKING_NAMES[row.masking],
        row.arm,
        format_number(row.size),
        format_percent(100 * row.power, predicted=True),
        format_percent(100 * row.assurance, predicted=True),
        f"{format_estimate(answer, row.estimate)} ({format_range(low, high)})",
        format_number(row.randomised),
        format_percent(100 * row.stayed / max(row.randomised, 1e-9), predicted=False),
    )


def _table(answer: DesignAnswer) -> Table:
    return Table(
        caption=f"Compared with {answer.reference}; sizes count {COUNTED}; Compared: patients of both arms whose "
        "outcome counts; Stay: of these there at the end",
        columns=tuple(Column(heading=heading, numeric=i > 1) for i, heading in enumerate(HEADINGS)),
        rows=tuple(design_cells(answer, row) for row in answer.rows),
    )
