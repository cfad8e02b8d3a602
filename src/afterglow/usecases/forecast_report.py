"""A forecast as one self-contained document: picture, outlook and what it rests on; or why there is no forecast."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np

from afterglow import __version__
from afterglow.forecast import Forecast, ForecastWarning, Trajectory, WarningCode
from afterglow.render.chart import Column, Table
from afterglow.render.forecast import forecast_chart
from afterglow.render.outlook import interval_chart, relapse_chart
from afterglow.render.report import Block, KeyFigures, Notice, Paragraph, Report, Section
from afterglow.render.text import format_day, format_number
from afterglow.scales import Definition, instrument, sources
from afterglow.therapy.coverage import model_tag
from afterglow.usecases.forecast_view import (
    drug_range,
    interval_data,
    is_percent,
    key_figures,
    parts_of_change,
    picture_data,
    relapse_data,
    scores_shown,
    sentences,
    written,
)
from afterglow.usecases.forecasting import ForecastAnswer, definition_used

_ALWAYS = (WarningCode.PROVISIONAL, WarningCode.INTERVALS_MISSED, WarningCode.UPPER_BOUND, WarningCode.PERCENT_ONLY)


def forecast_report(answer: ForecastAnswer) -> Report:
    """A forecast as one HTML document."""
    found = answer.forecast
    day = format_day(answer.at(found.given.now_h).date(), weekday=True, year=True)
    forecast = _no_forecast(answer) if found.trajectory is None else _forecast(answer, found.trajectory)
    return Report(
        title=f"Forecast from {day}",
        subtitle=_subtitle(answer),
        sections=(*forecast, _rests_on(answer), _definitions(found)),
        foot=f"Afterglow {__version__}, {found.model}, seed {found.given.seed}. Decision support, not advice.",
        tags=(model_tag(found.status),),
    )


def _subtitle(answer: ForecastAnswer) -> str:
    given = answer.forecast.given
    said = [_count(len(given.scores), "score"), _count(len(given.given.starts_h), "session")]
    if given.planned.starts_h:
        said.append(f"{len(given.planned.starts_h)} planned")
    last = (*given.given.administrations, *given.planned.administrations)[-1:]
    condition = given.condition.heading
    return "; ".join([condition, ", ".join(said), *(str(one) for one in last)])


def _count(number: int, what: str) -> str:
    return f"{number} {what}" if number == 1 else f"{number} {what}s"


def _forecast(answer: ForecastAnswer, trajectory: Trajectory) -> list[Section]:
    found = answer.forecast
    picture: list[Block] = [
        KeyFigures(figures=key_figures(answer, trajectory)),
        forecast_chart(picture_data(answer, trajectory)),
        *notices(found.warnings),
    ]
    judged: list[Block] = [Paragraph(text=text) for text in sentences(answer)]
    parts = parts_table(answer, trajectory)
    if parts is not None:
        judged.insert(0, parts)
    relapse, intervals = relapse_data(answer), interval_data(answer)
    outlook: list[Block] = [] if relapse is None else [relapse_chart(relapse)]
    outlook += [] if intervals is None else [interval_chart(intervals)]
    sections = [
        Section(heading="Course and forecast", blocks=tuple(picture)),
        Section(heading="What it says", blocks=tuple(judged)),
    ]
    return [*sections, Section(heading="The coming weeks", blocks=tuple(outlook))] if outlook else sections


def _no_forecast(answer: ForecastAnswer) -> list[Section]:
    found, scores = answer.forecast, scores_shown(answer)
    measured = Table(
        caption="The scores",
        columns=(Column(heading="Day"), Column(heading=found.scale, numeric=True)),
        rows=tuple(
            (
                format_day(answer.at(score.time_h).date(), weekday=True, year=True),
                written(score.value) + (" % of baseline" if is_percent(answer) else ""),
            )
            for score in scores
        ),
    )
    because = Notice(text=f"No forecast, because {found.reason}.", kind="warning")
    others = [one for one in found.warnings if found.reason not in one.text]
    return [Section(heading="No forecast", blocks=(because, *notices(others), measured))]


def notices(warnings: Iterable[ForecastWarning]) -> Iterator[Notice]:
    """Warnings about this patient, and as mere notes what holds of every forecast; intervals have theirs in place."""
    for one in sorted(warnings, key=lambda warning: warning.code in _ALWAYS):
        if one.code is not WarningCode.EXTRAPOLATION:
            yield Notice(text=one.text, kind="note" if one.code in _ALWAYS else "warning")


def parts_table(answer: ForecastAnswer, trajectory: Trajectory) -> Table | None:
    """Where the last measured change comes from, adding up as shown; None without a score after the first session."""
    parts = parts_of_change(answer, trajectory)
    if parts is None:
        return None
    unit = "% of baseline" if is_percent(answer) else "points"
    last = scores_shown(answer)[-1]
    day = int(np.argmin(np.abs(trajectory.times_h - last.time_h)))
    basis = {
        "Drug": f"{drug_range(trajectory, day)} in 90 %; an upper bound: what belief adds to it cannot be told apart",
        "Expectancy": "refreshed by each session, fades within weeks",
        "Care and time": "what a control arm would show as well",
    }
    return Table(
        caption=f"Where the change by {format_day(answer.at(last.time_h).date(), weekday=True)} comes from, {unit}",
        columns=(Column(heading="Part"), Column(heading=unit.capitalize(), numeric=True), Column(heading="Note")),
        rows=tuple((name, value, basis.get(name, "mood and measurement")) for name, value in parts.items()),
    )


def _rests_on(answer: ForecastAnswer) -> Section:
    found, given = answer.forecast, answer.forecast.given
    khat = "" if found.khat is None else f", k-hat {format_number(found.khat, 2)}"
    used = {
        "reweight": "the population re-weighted by the scores",
        "laplace": "a search around the most likely patient",
        "none": "no weighting could be trusted",
    }
    rows = [
        ("Model", f"{found.model}, {found.status}"),
        ("Method", f"{used[found.method]}; effective sample {format_number(found.ess)}{khat}"),
        ("Seed", str(given.seed)),
        ("Starts from", answer.at(given.now_h).isoformat(sep=" ", timespec="minutes")),
        ("Scores", ", ".join(_count(sum(s.scale == n for s in given.scores), n) for n in _names(found)) or "none"),
        ("Sessions", _count(len(given.given.starts_h), "session") + f", {len(given.planned.starts_h)} planned"),
        ("Weight", "not given: the population's spread" if given.weight_kg is None else f"{given.weight_kg:g} kg"),
        ("Age", "not given" if given.age_years is None else f"{given.age_years:g} years"),
        ("Limit", f"{100 * given.limit:g} % chance of relapse before the next session; policy, unsigned"),
    ]
    table = Table(
        caption="Input, model and method",
        columns=(Column(heading="What"), Column(heading="Value")),
        rows=tuple(rows),
    )
    return Section(heading="What it rests on", blocks=(table,))


def _names(found: Forecast) -> list[str]:
    return list(dict.fromkeys(score.scale for score in found.given.scores))


def _definitions(found: Forecast) -> Section:
    """Response, remission and relapse with their sources."""
    known = instrument(found.scale)
    rows = [
        *definition_rows("Response", known.response),
        *definition_rows("Remission", known.remission),
        *([("Relapse", found.relapse.definition, found.relapse.source)] if found.relapse else []),
        ("Early non-response", "under 20 % improvement by the third or fourth session", found.early_nonresponse.source),
    ]
    table = Table(
        caption=f"Definitions on {known.short_name}",
        columns=(Column(heading="What"), Column(heading="Definition"), Column(heading="Source")),
        rows=tuple(rows),
    )
    return Section(heading="Definitions", blocks=(table,))


def definition_rows(what: str, definitions: tuple[Definition, ...]) -> Iterator[tuple[str, str, str]]:
    """What counts as a response or a remission on a scale, with its source; nothing where no cut-off is published."""
    used = definition_used(definitions)
    if used is not None:
        cited = [sources()[key].citation for key in used.provenance.source]
        yield (
            what,
            used.text.replace(">=", "≥ ").replace("<=", "≤ "),
            "; ".join(cited) or f"{used.provenance.verified}, no source read",
        )
