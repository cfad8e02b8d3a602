"""Self-contained reports of exposure and replication: pictures, each with its table, and what they rest on."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

import numpy as np

from afterglow import __version__
from afterglow.errors import UnknownName
from afterglow.evidence import fact, pk_models, source
from afterglow.protocol import Analysis
from afterglow.quantities import format_duration
from afterglow.render.acute import AcuteData, ChanceCurve, RiseCurve, acute_chart
from afterglow.render.chart import Chart, Column, Table
from afterglow.render.exposure import ConcentrationCurve, ExposureData, exposure_chart
from afterglow.render.marks import ObservedPoint, dose_marks, series
from afterglow.render.panels import Threshold
from afterglow.render.report import KeyFigure, KeyFigures, Notice, Paragraph, Report, Section
from afterglow.render.response import AfterglowData, ResponseData, afterglow_chart, response_chart
from afterglow.render.rows import ObservedPredictedData, PredictionGroup, PredictionRow, observed_predicted_chart
from afterglow.render.text import (
    format_number,
    format_percent,
    format_points,
    format_range,
    format_significant,
)
from afterglow.therapy.course import course_table
from afterglow.therapy.coverage import model_tag
from afterglow.therapy.exposure import PkVariation, drive_inputs, regimen_drive
from afterglow.therapy.plasticity import simulate_plasticity
from afterglow.therapy.population import load_population, typical_chain
from afterglow.therapy.regimen import Regimen
from afterglow.therapy.setting import Arm, Condition
from afterglow.trials import ArmTrajectory, Prediction, Statistic
from afterglow.usecases.contracts import analyte_name, site_name
from afterglow.usecases.modelling import ExposureAnswer, ObservedFigure, ReplicationAnswer

ARM_NAMES = {Arm.ACTIVE: "Active", Arm.CONTROL: "Control", Arm.CONTRAST: "Active minus control"}
STATISTIC_NAMES = {
    Statistic.MEAN_CHANGE: "Mean change",
    Statistic.MEAN_SCORE: "Mean score",
    Statistic.RESPONSE_PCT: "Response",
    Statistic.REMISSION_PCT: "Remission",
    Statistic.RELAPSE_PCT: "Relapse",
    Statistic.STAYING_PCT: "Still in the trial",
}
ANALYSIS_NAMES = {Analysis.INTENTION_TO_TREAT: "intention to treat", Analysis.COMPLETERS: "completers"}
PUT_BELOW = "Published change, below the protocol's baseline"
_AFTERGLOW_DAYS, _ACUTE_H = 28.0, 6.0


def expose_report(answer: ExposureAnswer) -> Report:
    """Concentrations and acute effects of a protocol as one HTML document."""
    protocol, acute = answer.protocol, answer.acute
    doses = dose_marks(protocol.regimen())
    curves = tuple(
        ConcentrationCurve(
            label=f"{analyte_name(profile.analyte)}, {site_name(profile.site)}",
            unit=profile.unit,
            time_h=series(profile.times_h),
            median=series(profile.median),
            lo90=series(profile.lo90),
            hi90=series(profile.hi90),
        )
        for profile in answer.profiles
    )
    first = answer.profiles[0]
    figures = KeyFigures(
        figures=(
            KeyFigure(
                label=f"Highest {analyte_name(first.analyte)}",
                value=format_significant(first.cmax),
                unit=first.unit,
                note=f"typical person, {format_duration(first.tmax_h)} after the first dose began",
                predicted=True,
            ),
            KeyFigure(
                label="Dissociated at any time",
                value=format_percent(100 * acute.dissociation_ever, predicted=True),
                note="last session",
                predicted=True,
            ),
            KeyFigure(
                label="Likely ready",
                value=format_duration(acute.ready_median_h) if np.isfinite(acute.ready_median_h) else "after 12 h",
                note="half of people, erring on the late side; a rule decides, never this model",
                predicted=True,
            ),
        )
    )
    exposure = exposure_chart(ExposureData(title="Concentration over time", curves=curves, doses=doses))
    warnings = dict.fromkeys(warning for profile in answer.profiles for warning in profile.warnings)
    sections = [
        Section(heading="Exposure", blocks=(figures, exposure, *(Notice(text=w, kind="warning") for w in warnings))),
        Section(heading="Acute effects", blocks=(_acute(answer), *(Notice(text=note) for note in acute.notes))),
        sources_section([key for profile in answer.profiles for key in profile.sources]),
    ]
    borrowed = any(profile.borrowed_spread for profile in answer.profiles)
    return Report(
        title=protocol.title or "Exposure",
        subtitle=str(protocol.regimen().administrations[0]),
        sections=tuple(sections),
        foot=f"Afterglow {__version__}, seed {answer.seed}. Provisional model. Decision support, not advice.",
        tags=("Provisional model", *(("Borrowed spread",) if borrowed else ())),
    )


def replicate_report(answer: ReplicationAnswer, courses: Sequence[ArmTrajectory]) -> Report:
    """A predicted trial beside its published figures as one HTML document."""
    protocol, replication = answer.protocol, answer.replication
    pictured = [
        response_chart(response_data(answer, course, courses)) for course in courses if course.arm is Arm.ACTIVE
    ] or [response_chart(response_data(answer, course, courses)) for course in courses]
    pairs = list(zip(replication.predictions, answer.observed, strict=True))
    compared = observed_predicted_chart(
        ObservedPredictedData(title="Observed beside predicted", groups=tuple(prediction_groups(pairs)))
    )
    sections = [
        Section(
            heading="Predicted and observed",
            blocks=(
                KeyFigures(figures=tuple(_key_figures(pairs))),
                Notice(text=answer.standing, kind="warning"),
                *(Notice(text=note, kind="warning") for note in replication.warnings),
                compared,
            ),
        ),
        Section(heading="The course of the arm", blocks=tuple(pictured)),
    ]
    if Arm.ACTIVE in protocol.arms and protocol.condition is not Condition.PAIN:
        sections.append(Section(heading="The afterglow of one session", blocks=(session_afterglow(answer),)))
    notes = answer.notes
    cited = [key for _, o in pairs if o for key in o.figure.provenance.source]
    sections += [
        Section(heading="What this rests on", blocks=tuple(Paragraph(text=note) for note in notes)),
        sources_section(cited),
    ]
    sizes = ", ".join(f"{ARM_NAMES[arm].lower()} n = {n}" for arm, n in replication.n.items())
    return Report(
        title=protocol.title or "Replication",
        subtitle=f"{protocol.regimen().administrations[0]}; {sizes}",
        sections=tuple(sections),
        foot=f"Afterglow {__version__}, {replication.model}, seed {replication.seed}. Decision support, not advice.",
        tags=(model_tag(replication.status), *_standing_tag(answer)),
    )


def statistic_label(prediction: Prediction) -> str:
    """A statistic in words, with whom it is of.

    >>> from afterglow.trials import Prediction
    >>> statistic_label(Prediction(arm=Arm.ACTIVE, time_h=24.0, statistic=Statistic.RESPONSE_PCT, of=None,
    ...                            scale="MADRS", value=50.0, lo90=40.0, hi90=60.0, parts=None))
    'Response'
    """
    name = STATISTIC_NAMES[prediction.statistic]
    return name if prediction.of is None else f"{name} of {prediction.of}"


def arm_label(prediction: Prediction) -> str:
    """An arm in words, with whose scores count where some patients leave.

    >>> from afterglow.trials import Prediction
    >>> arm_label(Prediction(arm=Arm.ACTIVE, time_h=24.0, statistic=Statistic.RESPONSE_PCT, of=None, scale="MADRS",
    ...                      value=50.0, lo90=40.0, hi90=60.0, parts=None, analysis=Analysis.COMPLETERS))
    'Active, completers'
    """
    name = ARM_NAMES[prediction.arm]
    return name if prediction.analysis is None else f"{name}, {ANALYSIS_NAMES[prediction.analysis]}"


def format_prediction(prediction: Prediction, value: float, *, observed: bool = False) -> str:
    """A value of a prediction's statistic: points to one decimal, percentages whole, percentage points as pp.

    An observed percentage may be 0 % or 100 %, a predicted one never is.
    """
    if prediction.statistic in {Statistic.MEAN_CHANGE, Statistic.MEAN_SCORE}:
        return format_points(value)
    if prediction.arm is Arm.CONTRAST:
        return f"{format_number(value, signed=True)} pp"
    return format_percent(value, predicted=not observed)


def _standing_tag(answer: ReplicationAnswer) -> tuple[str, ...]:
    return () if answer.trial is None else (f"{answer.trial.role.replace('_', '-').capitalize()} figures",)


def prediction_groups(pairs: Sequence[tuple[Prediction, ObservedFigure | None]]) -> Iterable[PredictionGroup]:
    """One group per statistic and unit; contrasts stand by themselves."""
    order: dict[tuple[str, bool], list[tuple[Prediction, ObservedFigure | None]]] = {}
    for prediction, observed in pairs:
        if prediction.statistic is Statistic.MEAN_SCORE and observed is None:
            continue  # the change from baseline says the same
        order.setdefault((statistic_label(prediction), prediction.arm is Arm.CONTRAST), []).append(
            (prediction, observed)
        )
    for (label, contrast), rows in order.items():
        points = rows[0][0].statistic in {Statistic.MEAN_CHANGE, Statistic.MEAN_SCORE}
        yield PredictionGroup(
            heading=f"{label}, active minus control" if contrast else label,
            unit=f"{rows[0][0].scale} points" if points else ("percentage points" if contrast else "%"),
            rows=tuple(
                PredictionRow(
                    label=f"{arm_label(prediction)}, {format_duration(prediction.time_h)}",
                    predicted=prediction.value,
                    lo90=prediction.lo90,
                    hi90=prediction.hi90,
                    observed=None if observed is None else observed.value,
                    observed_low=None if observed is None else observed.low,
                    observed_high=None if observed is None else observed.high,
                )
                for prediction, observed in rows
            ),
            decimals=1 if points else 0,
        )


def _key_figures(pairs: Sequence[tuple[Prediction, ObservedFigure | None]]) -> Iterable[KeyFigure]:
    """The first mean change of each arm and of the contrast."""
    seen: set[Arm] = set()
    for prediction, observed in pairs:
        if prediction.statistic is not Statistic.MEAN_CHANGE or prediction.arm in seen:
            continue
        seen.add(prediction.arm)
        beside = f"; observed {format_points(observed.value)}" if observed else ""
        yield KeyFigure(
            label=f"{arm_label(prediction)}, {format_duration(prediction.time_h)}",
            value=format_points(prediction.value),
            unit=prediction.scale,
            note=f"90 % {format_range(format_points(prediction.lo90), format_points(prediction.hi90))}{beside}",
            predicted=True,
        )


def response_data(answer: ReplicationAnswer, course: ArmTrajectory, courses: Sequence[ArmTrajectory]) -> ResponseData:
    """One arm's course for its picture: mean and bands, where the fall comes from, the control arm beside it."""
    protocol = answer.protocol
    population = protocol.population
    baseline = population.baseline_mean if population and population.baseline_mean is not None else 0.0
    scale = answer.replication.predictions[0].scale
    control = next((other for other in courses if other.arm is Arm.CONTROL and other is not course), None)
    return ResponseData(
        title=f"{ARM_NAMES[course.arm]} arm: mean {scale} and where the relief comes from",
        score_name=scale,
        baseline=baseline,
        time_h=series(course.times_h),
        mean=series(course.mean),
        lo50=series(course.lo50),
        hi50=series(course.hi50),
        lo90=series(course.lo90),
        hi90=series(course.hi90),
        drug=series(course.drug),
        expectancy=series(course.expectancy),
        care=series(course.care),
        sessions=dose_marks(protocol.regimen()),
        observed=_observed_points(answer, course.arm, baseline),
        control_mean=series(control.mean) if control else (),
        observed_control=_observed_points(answer, Arm.CONTROL, baseline) if control else (),
        drug_layers=tuple(series(layer) for layer in course.drug_layers),
        thresholds=tuple(_thresholds(answer, baseline)),
        observed_name=PUT_BELOW,
    )


def _thresholds(answer: ReplicationAnswer, baseline: float) -> Iterable[Threshold]:
    observe, scale = answer.protocol.observe, answer.protocol.scale()
    if observe and scale and observe.response_fraction is not None:
        fall = format_percent(100 * observe.response_fraction, predicted=False)
        score = scale.lowest + (baseline - scale.lowest) * (1 - observe.response_fraction)
        yield Threshold(name="Response", definition=f"{fall} fall", score=score)
    if observe and observe.remission_at_most is not None:
        yield Threshold(
            name="Remission", definition=f"{observe.remission_at_most:g} or less", score=observe.remission_at_most
        )


def _observed_points(answer: ReplicationAnswer, arm: Arm, baseline: float) -> tuple[ObservedPoint, ...]:
    """Published changes, put below the protocol's baseline: not scores that anybody measured."""
    points: dict[float, ObservedPoint] = {}
    for prediction, observed in zip(answer.replication.predictions, answer.observed, strict=True):
        if prediction.arm is not arm or observed is None:
            continue
        if prediction.statistic is not Statistic.MEAN_CHANGE:
            continue
        points[prediction.time_h] = ObservedPoint(
            time_h=prediction.time_h,
            value=baseline + observed.value,
            low=None if observed.low is None else baseline + observed.low,
            high=None if observed.high is None else baseline + observed.high,
        )
    return tuple(points[time] for time in sorted(points))


def session_afterglow(answer: ReplicationAnswer) -> Chart:
    """What one session leaves behind in a typical person, over four weeks."""
    population = load_population(answer.protocol.condition)
    session = answer.protocol.regimen().administrations[0]
    regimen = Regimen((session,))
    weight = answer.protocol.population.weight_kg if answer.protocol.population else None
    person = PkVariation(weight_kg=np.array([weight or population.parameters["weight_kg"].typical]))
    modes, inputs = regimen_drive(regimen, person), drive_inputs(regimen)
    times = np.unique(np.concatenate([np.linspace(0.0, 48.0, 60), np.linspace(48.0, _AFTERGLOW_DAYS * 24.0, 80)]))
    table = course_table(inputs, channels=modes.channels, sessions_h=(0.0,), times_h=times)
    states = simulate_plasticity(
        table,
        rates_per_h=modes.rates_per_h,
        amplitude=modes.amplitude,
        weight_kg=person.weight_kg,
        chain=typical_chain(population),
    )
    return afterglow_chart(
        AfterglowData(
            title="Plasticity after one session, typical person",
            time_h=series(times),
            labile=series(states.labile[0]),
            consolidated=series(states.consolidated[0]),
            unit="block-hours, relative",
        )
    )


def _acute(answer: ExposureAnswer) -> Chart:
    """Effects from the start of the last session until some hours after its end, over their table."""
    acute, last = answer.acute, answer.protocol.session_h[-1]
    given = answer.protocol.regimen().administrations[-1]
    shown = (acute.times_h >= last) & (acute.times_h <= last + given.duration_h + _ACUTE_H)
    (dose,) = dose_marks(Regimen((replace(given, at_h=0.0),)))
    return acute_chart(
        AcuteData(
            title="Effects of a session",
            time_h=series(acute.times_h[shown] - last),
            chances=(
                ChanceCurve(name="Dissociated", chance=series(acute.dissociation[shown])),
                ChanceCurve(name="Sedated", chance=series(acute.sedation[shown])),
                ChanceCurve(name="Likely ready", chance=series(acute.ready[shown])),
            ),
            rises=tuple(
                RiseCurve(name=name, unit=unit, mean=series(rise.mean[shown]), sd=series(rise.sd[shown]))
                for name, unit, rise in (
                    ("Systolic rise", "mmHg", acute.systolic_mmhg),
                    ("Diastolic rise", "mmHg", acute.diastolic_mmhg),
                    ("Heart rate rise", "/min", acute.heart_rate_bpm),
                )
            ),
            dose=dose,
            table=_acute_table(answer),
        )
    )


def _acute_table(answer: ExposureAnswer) -> Table:
    acute = answer.acute
    last = answer.protocol.session_h[-1]
    rows = []
    for offset in (0.25, 0.5, 2 / 3, 1.0, 1.5, 2.0, 3.0, 4.0):
        i = int(np.argmin(np.abs(acute.times_h - (last + offset))))
        rows.append(
            (
                format_duration(float(acute.times_h[i] - last)),
                format_percent(100 * float(acute.dissociation[i]), predicted=True),
                format_percent(100 * float(acute.sedation[i]), predicted=True),
                _rise(acute.systolic_mmhg.mean[i], acute.systolic_mmhg.sd[i]),
                _rise(acute.diastolic_mmhg.mean[i], acute.diastolic_mmhg.sd[i]),
                _rise(acute.heart_rate_bpm.mean[i], acute.heart_rate_bpm.sd[i]),
                format_percent(100 * float(acute.ready[i]), predicted=True),
            )
        )
    return Table(
        caption="After the start of the last session: chance of an effect, mean rise and its SD between people",
        columns=(
            Column(heading="Time"),
            *(
                Column(heading=heading, numeric=True)
                for heading in (
                    "Dissociated",
                    "Sedated",
                    "Systolic, mmHg",
                    "Diastolic, mmHg",
                    "Heart rate, /min",
                    "Likely ready",
                )
            ),
        ),
        rows=tuple(dict.fromkeys(rows)),
    )


def _rise(mean: float, sd: float) -> str:
    return f"{format_points(float(mean), signed=True)} (SD {format_points(float(sd))})"


def sources_section(keys: Iterable[str]) -> Section:
    """Citations of sources, facts and kinetic models, each once."""
    cited = dict.fromkeys(citation for key in dict.fromkeys(keys) for citation in _citations(key))
    table = Table(
        caption="Where the numbers come from",
        columns=(Column(heading="Key"), Column(heading="Citation"), Column(heading="Page")),
        rows=tuple(cited),
    )
    return Section(heading="Sources", blocks=(table,))


def _citations(key: str) -> Iterable[tuple[str, str, str]]:
    """Key, citation and page of the sources behind a kinetic model, a fact, or a source's own key."""
    for one in _source_keys(key):
        found = source(one)
        yield found.key, found.citation, found.url or ""


def _source_keys(key: str) -> Sequence[str]:
    if key in pk_models():
        return (pk_models()[key].source,)
    try:
        return fact(key).provenance.source
    except UnknownName:
        return (key,)
