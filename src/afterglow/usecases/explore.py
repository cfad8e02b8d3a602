"""What the model says of a protocol without a patient, as one report: exposure, effects, course and response."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

from afterglow import __version__
from afterglow.protocol import TrialProtocol
from afterglow.quantities import HOURS_PER_DAY, format_duration
from afterglow.render.chart import Chart, Column, Table
from afterglow.render.report import KeyFigure, KeyFigures, Notice, Paragraph, Report, Section
from afterglow.render.response import response_chart
from afterglow.render.rows import ObservedPredictedData, PredictionGroup, observed_predicted_chart
from afterglow.render.text import format_percent, format_points, format_range
from afterglow.therapy.coverage import model_tag
from afterglow.therapy.setting import Arm, Condition
from afterglow.trials import Prediction, Statistic
from afterglow.usecases.modelling import (
    ExposureAnswer,
    ReplicationAnswer,
    expose,
    replicate_beside_published,
    trajectories,
)
from afterglow.usecases.reports import (
    ARM_NAMES,
    expose_report,
    format_prediction,
    prediction_groups,
    response_data,
    session_afterglow,
    sources_section,
)

_KEY_NAMES = {Arm.ACTIVE: "With the drug", Arm.CONTROL: "Control arm", Arm.CONTRAST: "Difference"}


def explore_report(protocol: TrialProtocol) -> Report:
    """One dose, the course and what a trial of this size would show, with what speaks against the numbers.

    Computes for some seconds, and longer the more sessions there are.

    Args:
        protocol: of both arms, with population and observation.

    Raises: NoModel, OutOfRange, MissingValue.
    """
    one = expose(replace(protocol, session_h=protocol.session_h[:1]))
    answer = replicate_beside_published(protocol)
    courses = trajectories(protocol)
    exposure, effects = (_told_together(each) for each in expose_report(one).sections[:2])
    replication = answer.replication
    sizes = ", ".join(f"{ARM_NAMES[arm].lower()} {n}" for arm, n in replication.n.items())
    count = len(protocol.session_h)
    sections = [
        Section(
            heading="In short",
            blocks=(
                KeyFigures(figures=tuple(_key_figures(one, answer))),
                *(Notice(text=each, kind="warning") for each in replication.warnings),
            ),
        ),
        Section(
            heading="The course",
            blocks=(
                *(response_chart(response_data(answer, each, courses)) for each in courses if each.arm is Arm.ACTIVE),
                *([] if protocol.condition is Condition.PAIN else [session_afterglow(answer)]),
            ),
        ),
        Section(
            heading="What a trial of this size would show",
            blocks=(
                *_predicted_charts(replication.predictions),
                _parts_table(replication.predictions),
            ),
        ),
        replace(exposure, heading="One dose: concentrations"),
        replace(effects, heading="One dose: acute effects"),
        Section(heading="What this rests on", blocks=tuple(Paragraph(text=note) for note in answer.notes)),
        sources_section([key for profile in one.profiles for key in profile.sources] + list(one.acute.sources)),
    ]
    return Report(
        title="A protocol without a patient",
        subtitle=f"{protocol.condition.heading}: {protocol.regimen().administrations[0]}, "
        f"{'one session' if count == 1 else f'{count} sessions in {format_duration(protocol.session_h[-1])}'}; "
        f"patients: {sizes}",
        sections=tuple(sections),
        foot=f"Afterglow {__version__}, {replication.model}, seed {replication.seed}. Decision support, not advice.",
        tags=(model_tag(replication.status), *(["Outside the calibrated range"] if _is_outside(answer) else [])),
    )


def _told_together(section: Section) -> Section:
    """A section whose notices of a kind stand in one, after its pictures."""
    notices = [each for each in section.blocks if isinstance(each, Notice)]
    kinds = dict.fromkeys(each.kind for each in notices)
    told = (Notice(text=" ".join(each.text for each in notices if each.kind == kind), kind=kind) for kind in kinds)
    return replace(section, blocks=(*(each for each in section.blocks if not isinstance(each, Notice)), *told))


def _is_outside(answer: ReplicationAnswer) -> bool:
    return any("extrapolation" in each for each in answer.replication.warnings)


def _key_figures(one: ExposureAnswer, answer: ReplicationAnswer) -> Iterable[KeyFigure]:
    """The change of each arm and their difference a day after the last session; dissociation in one session."""
    changes = [each for each in answer.replication.predictions if each.statistic is Statistic.MEAN_CHANGE]
    after = [each.time_h for each in changes if each.time_h >= answer.protocol.session_h[-1] + HOURS_PER_DAY]
    at_h = min(after, default=max(each.time_h for each in changes))
    for each in changes:
        if each.time_h == at_h:
            low, high = (format_prediction(each, bound) for bound in (each.lo90, each.hi90))
            yield KeyFigure(
                label=f"{_KEY_NAMES[each.arm]}, {format_duration(at_h)}",
                value=format_prediction(each, each.value),
                unit=each.scale,
                note=f"90 % {format_range(low, high)}",
                predicted=True,
            )
    yield KeyFigure(
        label="Dissociated at any time",
        value=format_percent(100 * one.acute.dissociation_ever, predicted=True),
        note="of people, in one session",
        predicted=True,
    )


def _predicted_charts(predictions: Sequence[Prediction]) -> Iterable[Chart]:
    """A picture for each statistic: both arms, and their difference."""
    alike: dict[str, list[PredictionGroup]] = {}
    for group in prediction_groups([(each, None) for each in predictions]):
        alike.setdefault(group.heading.split(",")[0], []).append(group)
    for name, groups in alike.items():
        title = f"{name}: predicted, with the 90 % interval of such a trial"
        yield observed_predicted_chart(ObservedPredictedData(title=title, groups=tuple(groups), published=False))


def _parts_table(predictions: Sequence[Prediction]) -> Table:
    """Mean changes taken apart; the drug's part is an upper bound."""
    rows = []
    for each in predictions:
        parts = each.parts
        if each.statistic is not Statistic.MEAN_CHANGE or parts is None:
            continue
        drug, doubt = format_points(parts.drug), format_range(*map(format_points, (parts.drug_lo90, parts.drug_hi90)))
        rows.append(
            (
                f"{ARM_NAMES[each.arm]}, {format_duration(each.time_h)}",
                format_prediction(each, each.value),
                f"{drug} ({doubt})" if parts.drug_hi90 != parts.drug_lo90 else drug,
                format_points(parts.expectancy),
                format_points(parts.care),
            )
        )
    headings = ("Arm and time", "Change", "Drug (90 %)", "Expectancy", "Care and time")
    return Table(
        caption="Where the change comes from, in points; what is credited to the drug is an upper bound",
        columns=tuple(Column(heading=heading, numeric=i > 0) for i, heading in enumerate(headings)),
        rows=tuple(rows),
    )
