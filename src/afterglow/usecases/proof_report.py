"""The proof of the forecast as a JSON document, a report, and the generated page docs/validation/forecast.md."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from scipy.stats import chi2

from afterglow import __version__
from afterglow.forecast.policy import POLICIES, RESPONSE
from afterglow.forecast.proof import FASTER, FORECASTS, ILLNESS, MISSING_ILL, MISSING_WELL, World
from afterglow.markdown import table
from afterglow.render.chart import Chart, Column, Table
from afterglow.render.proof import (
    Dot,
    DotData,
    DotRow,
    Kind,
    RankData,
    RankPanel,
    dot_chart,
    rank_chart,
)
from afterglow.render.report import KeyFigure, KeyFigures, Notice, Paragraph, Report, Section
from afterglow.render.text import format_number, format_percent
from afterglow.render.tokens import resolve_colours
from afterglow.therapy.coverage import model_tag
from afterglow.usecases.contracts import Document, round_number
from afterglow.usecases.proof_policies import paired_picture, paired_table, policy_picture
from afterglow.usecases.proving import BINS, LeadRow, PairedRow, PolicyRow, ProofAnswer, SettingResult

SHOWN_LEAD = 7  # days ahead, of the pictures
_KINDS: tuple[Kind, ...] = ("own", "rival", "second rival", "third rival")
_WORLDS = {
    World.FASTER_DECAY: f"relief of drug and expectancy fades {FASTER:g} times as fast",
    World.MISSING_WHEN_ILL: f"a score is missing with a chance of {100 * MISSING_WELL:.0f} % without "
    f"symptoms, rising to {100 * MISSING_ILL:.0f} % with all of them",
    World.SECOND_ILLNESS: f"on a random day something else adds {100 * ILLNESS:.0f} % of the first score, for good",
    World.CHANGED_DRUG: "the last three infusions were really sprays of 56 mg esketamine; the record does not say so",
}
EXTRAPOLATION = (
    "Extrapolation. No data inform how sessions add up: no trial in the evidence compared how often they are given. "
    "The panels put the two parameters that say it at the lower end, the middle and the upper end of their prior; the "
    "forecast is told of none of it. These are simulated patients, and say nothing of what a real one should have."
)


def proof_document(answer: ProofAnswer) -> Document:
    """`afterglow.prove/1`."""
    return {
        "schema": "afterglow.prove/1",
        "version": __version__,
        "model": answer.model,
        "status": answer.status,
        "seed": answer.seed,
        "forecasts": list(FORECASTS),
        "settings": [
            {
                "name": one.setting.name,
                "world": str(one.setting.world),
                "scale": one.setting.design.scale,
                "scores": len(one.setting.design.score_days),
                "n": one.n,
                "refused": one.refused,
                "leads": [_lead(row) for row in one.leads],
            }
            for one in answer.settings
        ],
        "chains": [{"name": name, "largest_difference": round_number(found)} for name, found in answer.chains],
        "policies": [_policy(row) for row in answer.policies],
        "paired": [_paired(row) for row in answer.paired],
        "notes": [EXTRAPOLATION],
    }


def _lead(row: LeadRow) -> Document:
    numbers = {name: round_number(getattr(row, name)) for name in ("inside50", "inside90", "unevenness")}
    series = {name: [round_number(one) for one in getattr(row, name)] for name in ("crps", "crps_gain_se", "log_score")}
    return {"lead_days": row.lead_days, **numbers, "ranks": list(row.ranks), **series}


def _policy(row: PolicyRow) -> Document:
    numbers = ("sessions", "sessions_se", "relapsed_days", "relapsed_days_se")
    return {
        "policy": row.policy.name,
        "limit": row.policy.limit,
        "adds_up": str(row.addition),
        "n": row.n,
        **{name: round_number(getattr(row, name)) for name in numbers},
    }


def _paired(row: PairedRow) -> Document:
    numbers = ("sessions", "sessions_reach", "relapsed_days", "relapsed_days_reach")
    return {
        "policy": row.policy.name,
        "against": row.against.name,
        "adds_up": str(row.addition),
        "n": row.n,
        **{name: round_number(getattr(row, name)) for name in numbers},
    }


def proof_charts(answer: ProofAnswer) -> Mapping[str, Chart]:
    """The pictures by name, the headline first.

    Args:
        answer: of `prove_forecast`.
    """
    return {
        "policy": policy_picture(answer),
        "paired": paired_picture(answer),
        "coverage": _coverage_picture(answer),
        "ranks": _rank_picture(answer),
        "crps": _crps_picture(answer),
    }


def proof_report(answer: ProofAnswer) -> Report:
    """The proof as one HTML document."""
    charts = proof_charts(answer)
    sections = [
        Section(
            heading="What the forecast is for",
            blocks=(
                KeyFigures(figures=_key_figures(answer)),
                Notice(text=EXTRAPOLATION, kind="warning"),
                charts["policy"],
                charts["paired"],
                paired_table(answer),
            ),
        ),
        Section(heading="Do its bands hold what they say", blocks=(charts["coverage"], charts["ranks"])),
        Section(heading="Is it better than simple forecasts", blocks=(charts["crps"], *_score_tables(answer))),
        Section(
            heading="Where the world is not as modelled",
            blocks=(*(Paragraph(text=f"{world.capitalize()}: {said}.") for world, said in _WORLDS.items()),),
        ),
        Section(heading="Against a long Markov chain", blocks=(_chain_table(answer),)),
        Section(heading="How it was done", blocks=tuple(Paragraph(text=one) for one in _how(answer))),
    ]
    return Report(
        title="Proof of the forecast",
        subtitle=_subtitle(answer),
        sections=tuple(sections),
        foot=f"Afterglow {__version__}, {answer.model}, seed {answer.seed}. Decision support, not advice.",
        tags=(model_tag(answer.status), "Simulated patients", "Extrapolation"),
    )


def proof_page(answer: ProofAnswer) -> tuple[str, dict[str, str]]:
    """The Markdown page and its pictures (SVG by file name), which stand in ../images beside it.

    Args:
        answer: of `prove_forecast`.
    """
    charts = proof_charts(answer)
    pictures = {f"forecast_{name}.svg": resolve_colours(str(one.svg), "light") for name, one in charts.items()}

    def picture(name: str) -> list[str]:
        chart = charts[name]
        return [f"![{chart.title}](../images/forecast_{name}.svg)", "", f"{chart.summary}", ""]

    lines = ["# Proof of the forecast", "", f"{_subtitle(answer)}. Generated by `afterglow prove --page`.", ""]
    lines += [
        "## What the forecast is for",
        "",
        *picture("policy"),
        EXTRAPOLATION,
        "",
        *_markdown(charts["policy"].table),
        *picture("paired"),
        f"{paired_table(answer).caption}:",
        "",
        *_markdown(paired_table(answer)),
    ]
    lines += ["## Do its bands hold what they say", "", *picture("coverage"), *_coverage_lines(answer), ""]
    lines += [*picture("ranks"), *_markdown(charts["ranks"].table)]
    lines += ["## Is it better than simple forecasts", "", *picture("crps")]
    for scores in _score_tables(answer):
        lines += [f"{scores.caption}:", "", *_markdown(scores)]
    lines += ["## Where the world is not as modelled", ""]
    lines += [
        *(f"- **{world.capitalize()}**: {said}." for world, said in _WORLDS.items()),
        "",
        *_worlds_said(answer),
        "",
    ]
    lines += ["## Against a long Markov chain", "", *_markdown(_chain_table(answer))]
    lines += ["## How it was done", "", *(f"- {one}" for one in _how(answer)), ""]
    return "\n".join(lines), pictures


def _markdown(of: Table) -> list[str]:
    return [*table([column.heading for column in of.columns], of.rows), ""]


def _subtitle(answer: ProofAnswer) -> str:
    return (
        f"{answer.size.patients:,} simulated patients a setting, {answer.size.responders} responders a policy and "
        f"world; {answer.model}, {answer.status}, seed {answer.seed}"
    )


def _row(result: SettingResult) -> LeadRow:
    return next(row for row in result.leads if row.lead_days == SHOWN_LEAD)


def _key_figures(answer: ProofAnswer) -> tuple[KeyFigure, ...]:
    modelled = [_row(one) for one in answer.settings if one.setting.world is World.AS_MODELLED]
    inside = float(np.mean([row.inside90 for row in modelled]))
    gains = [1.0 - row.crps[0] / row.crps[2] for row in modelled[1:]]
    return (
        KeyFigure(
            label="Scores inside the 90 % band",
            value=format_percent(100 * inside, predicted=False),
            note="a week ahead",
        ),
        KeyFigure(
            label="Closer than the last score",
            value=format_percent(100 * float(np.mean(gains)), predicted=False),
            note="CRPS, a week ahead, once there is a score",
        ),
    )


def _coverage_picture(answer: ProofAnswer) -> Chart:
    rows = []
    for result in answer.settings:
        row = _row(result)
        dots = []
        for kind, share in (("own", row.inside90), ("own second", row.inside50)):
            reach = 1.96 * float(np.sqrt(max(share * (1 - share), 1e-9) / result.n))
            low, high = max(100 * (share - reach), 0.0), min(100 * (share + reach), 100.0)
            dots.append(Dot(kind=kind, value=100 * share, low=low, high=high))  # type: ignore[arg-type]
        rows.append(DotRow(label=_label(result), dots=tuple(dots)))
    modelled = [one for one in answer.settings if one.setting.world is World.AS_MODELLED]
    said = [_furthest("As modelled", modelled)]
    if len(modelled) < len(answer.settings):
        said.append(_furthest("In worlds that break it", [one for one in answer.settings if one not in modelled]))
    sentence = f"{' '.join(said)} Drawn is a week ahead; whiskers: 95 % of the simulation's chance."
    return dot_chart(
        DotData(
            title="Share of next scores inside the bands, a week ahead",
            unit="%",
            names=(("own", "in the 90 % band"), ("own second", "in the 50 % band")),
            rows=tuple(rows),
            sentence=sentence,
            goals=(50.0, 90.0),
            decimals=1,
        )
    )


def _furthest(where: str, results: Sequence[SettingResult]) -> str:
    """How far the bands are from what they say, at the worst of all leads, not at the one that is drawn."""
    rows = [(one, lead) for one in results for lead in one.leads]
    one90, lead90 = max(rows, key=lambda each: abs(each[1].inside90 - 0.9))
    one50, lead50 = max(rows, key=lambda each: abs(each[1].inside50 - 0.5))
    return (
        f"{where}, the 90 % band is furthest off in {_label(one90)} after {_days(lead90.lead_days)} with "
        f"{100 * lead90.inside90:.1f} % inside, the 50 % band in {_label(one50)} after {_days(lead50.lead_days)} with "
        f"{100 * lead50.inside50:.1f} %."
    )


def _days(days: int) -> str:
    return "1 day" if days == 1 else f"{days} days"


def _rank_picture(answer: ProofAnswer) -> Chart:
    panels = [
        RankPanel(name=one.setting.name, counts=_row(one).ranks, unevenness=_row(one).unevenness)
        for one in answer.settings
        if one.setting.world is World.AS_MODELLED
    ]
    rows = [
        (row.unevenness, one.setting.name, row.lead_days)
        for one in answer.settings
        if one.setting.world is World.AS_MODELLED
        for row in one.leads
    ]
    worst, name, lead = max(rows)
    beyond = f"Over all leads: {name} after {_days(lead)}, {worst:.1f}."
    return rank_chart(RankData(title="Ranks of the next score, a week ahead", panels=tuple(panels), beyond=beyond))


def _crps_picture(answer: ProofAnswer) -> Chart:
    rows = [
        DotRow(
            label=_label(one),
            dots=tuple(Dot(kind=kind, value=value) for kind, value in zip(_KINDS, _row(one).crps, strict=True)),
        )
        for one in answer.settings
    ]
    beaten = [
        f"{FORECASTS[i]} {sum(_row(one).crps[0] < _row(one).crps[i] for one in answer.settings)}"
        for i in range(1, len(FORECASTS))
    ]
    return dot_chart(
        DotData(
            title="How close the forecasts are, a week ahead",
            unit="CRPS, points of the scale (less is better)",
            names=(
                ("own", "Afterglow"),
                ("rival", "the population's curve"),
                ("second rival", "last score carried forward"),
                ("third rival", "decay fitted to the patient alone"),
            ),
            rows=tuple(rows),
            sentence=f"Of {len(rows)} settings the forecast is closer than: {', '.join(beaten)}.",
        )
    )


def _label(result: SettingResult) -> str:
    own = result.setting.world is World.AS_MODELLED
    return result.setting.name if own else f"6 scores, {result.setting.name}"


def _score_table(answer: ProofAnswer, name: str, caption: str) -> Table:
    headings = ("Patients", "Days", *FORECASTS)
    return Table(
        caption=caption,
        columns=tuple(Column(heading=heading, numeric=i > 0) for i, heading in enumerate(headings)),
        rows=tuple(
            (_label(one), str(row.lead_days), *(format_number(value, 2) for value in getattr(row, name)))
            for one in answer.settings
            for row in one.leads
        ),
    )


def _score_tables(answer: ProofAnswer) -> tuple[Table, Table]:
    return (
        _score_table(answer, "crps", "CRPS in points; less is better"),
        _score_table(answer, "log_score", "Log score: minus the log of the chance given to what came; less is better"),
    )


def _coverage_lines(answer: ProofAnswer) -> list[str]:
    rows = [
        (
            _label(one),
            row.lead_days,
            one.n,
            f"{100 * row.inside50:.1f}",
            f"{100 * row.inside90:.1f}",
            f"{row.unevenness:.1f}",
            one.refused,
        )
        for one in answer.settings
        for row in one.leads
    ]
    return list(table(["Patients", "Days", "n", "In 50 %", "In 90 %", "Ranks", "No forecast"], rows))


def _worlds_said(answer: ProofAnswer) -> list[str]:
    """What each wrong world does to the band, in numbers, good or bad."""
    said = []
    for one in answer.settings:
        if one.setting.world is World.AS_MODELLED:
            continue
        shares = ", ".join(f"{100 * row.inside90:.0f} % after {_days(row.lead_days)}" for row in one.leads)
        better = [FORECASTS[int(np.argmin(row.crps))] for row in one.leads]
        closest = ", ".join(f"{name} after {_days(row.lead_days)}" for name, row in zip(better, one.leads, strict=True))
        said.append(f"- {one.setting.name.capitalize()}: inside the 90 % band {shares}; closest by CRPS: {closest}.")
    return said


def _chain_table(answer: ProofAnswer) -> Table:
    return Table(
        caption="Largest difference of any quantile of the expected score 1, 7 and 28 days ahead",
        columns=(Column(heading="Patient"), Column(heading="Largest difference, points of PHQ-9", numeric=True)),
        rows=tuple((name, format_number(found, 2)) for name, found in answer.chains),
    )


def _how(answer: ProofAnswer) -> list[str]:
    n = answer.size.patients
    limit = float(chi2.ppf(0.999, BINS - 1))
    limits = ", ".join(f"{100 * policy.limit:.0f} %" for policy in POLICIES if policy.limit)
    return [
        (
            f"Standard errors with {n:,} patients: {100 * np.sqrt(0.09 / n):.1f} points at 90 %, "
            f"{100 * np.sqrt(0.25 / n):.1f} at 50 %. Ranks: chi-squared over {BINS} bins, under {limit:.1f} with a "
            "chance of 99.9 % if flat. Bands are of whole scores, so they hold a little more than they say."
        ),
        (
            "Six infusions in 17 days and scores of PHQ-9, unless the name says otherwise; the forecast starts at the "
            "last score, without scores on day 20."
        ),
        (
            "The last score and the own decay are forecasts of one number; here each is a normal around it, as wide as "
            "its errors on these very patients, which is more than it could know. The own decay is least squares on "
            "the patient's scores by the time since the last session before each."
        ),
        "The log score gives no forecast a chance under 1 in 100,000.",
        (
            f"Policies: responders to six infusions ({100 * RESPONSE:.0f} % down by day 20), weekly visits for two "
            "quarters from day 21; a session by forecast is given where the chance of relapse before the next visit "
            f"reaches {limits}. Days relapsed are days with a true score over the cut-off, errors of measurement left "
            "out. Whiskers of the first picture are one standard error over patients. These are the same under every "
            "policy, so differences between policies are taken person by person, with 95 % intervals by Student's t."
        ),
    ]
