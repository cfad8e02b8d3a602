"""Reports of the evidence: an outcome pooled as a forest plot, the claims ledger, the trials."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from afterglow import __version__
from afterglow.evidence import (
    PREDICTION_FORMULA,
    Claim,
    Figure,
    StudiedCondition,
    Trial,
    TrialArm,
    claims,
    source,
    sources,
    trials_where,
)
from afterglow.provenance import Role, Verified
from afterglow.quantities import format_duration
from afterglow.render import report
from afterglow.render.chart import Chart, Column, Table
from afterglow.render.report import (
    Block,
    KeyFigure,
    KeyFigures,
    Notice,
    Paragraph,
    Report,
    Section,
    claims_section,
)
from afterglow.render.rows import ForestData, ForestGroup, ForestRow, forest_chart
from afterglow.render.text import format_number, format_percent, format_range
from afterglow.usecases.knowledge import (
    FROM_MEMORY,
    METHOD_NAMES,
    ROLE_USES,
    SIGN_WARNING,
    PoolAnswer,
    ShownRow,
    arm_words,
    checked_words,
    cited_words,
    figure_time,
    figure_value,
    figure_words,
    is_recalled,
    printed,
    provenances_in,
    source_keys,
    typeset,
)

CONDITION_NAMES = {
    StudiedCondition.PTSD: "PTSD",
    StudiedCondition.OCD: "OCD",
    StudiedCondition.PAIN_CRPS: "Pain, CRPS",
    StudiedCondition.PAIN_MIXED: "Pain, mixed",
}
"""Of those whose words are not the name of their key."""

_FOOT = f"Afterglow {__version__}. Published figures, each with its source. Decision support, not advice."
_HELD_OUT = {Role.HELD_OUT, Role.HELD_OUT_SHARED}


def pool_report(answer: PoolAnswer) -> Report:
    """An outcome pooled, its rows with role and source, what was left out, and published meta-analyses beside."""
    outcome, pooled = answer.pool.outcome, answer.pool.pooled
    sections = [
        Section(
            heading="What the trials add up to",
            blocks=(
                KeyFigures(figures=tuple(_key_figures(answer))),
                *([Notice(text=" ".join(answer.notes))] if answer.notes else []),
                _forest(answer),
                *_how_predicted(answer),
                *_drawn_caveats(answer),
            ),
        ),
        Section(heading="What each row is", blocks=(_rows_table(answer),)),
    ]
    if answer.pool.excluded:
        sections.append(Section(heading="Left out, and why", blocks=(_excluded_table(answer),)))
    if answer.published:
        sections.append(Section(heading="Published meta-analyses", blocks=tuple(_published_blocks(answer))))
    return Report(
        title=f"Pooled: {outcome.title}",
        subtitle=f"{METHOD_NAMES[pooled.method]} random effects, {answer.unit}; {answer.better}.",
        sections=(*sections, _sources_section(answer.source_keys)),
        foot=_FOOT,
        tags=("Contains held-out figures: for display only",) if answer.held_out else (),
    )


def claims_report(*, beside: bool = True) -> Report:
    """The claims ledger: the tally, each claim with verdict and evidence, and the sources.

    Without `beside` the model's predictions, which take seconds the first time, are said to be on the way.
    """
    from afterglow.usecases.claims_model import BESIDE_THE_LEDGER  # noqa: PLC0415  only the claims need the model

    found = claims()
    recalled = sum(is_recalled(part.provenance) for claim in found for part in claim.evidence)
    ledger = claims_section([_ledger_claim(claim, beside=beside) for claim in found])
    note = Notice(text=f"{recalled} pieces of evidence are from memory and say so: they are not to be quoted.")
    how = Notice(text=BESIDE_THE_LEDGER)
    sections = [
        Section(heading=ledger.heading, blocks=(how, *ledger.blocks, note)),
        Section(heading="Sources", blocks=(_claim_sources(found),)),
    ]
    return Report(
        title="What ketamine therapy does, and what is only said of it",
        subtitle=f"{len(found)} popular claims, judged on what controlled evidence shows for the words used.",
        sections=tuple(sections),
        foot=_FOOT,
    )


def trials_report() -> Report:
    """Every trial, cohort and label by condition: its role, how many figures were read, and the comparator."""
    sections = []
    for condition in StudiedCondition:
        found = trials_where(condition=condition)
        rows = tuple(
            (
                each.key,
                str(each.citation),
                each.role.replace("_", " "),
                typeset(each.comparator or "none"),
                str(len(each.figures)),
            )
            for each in found
        )
        if rows:
            heading = CONDITION_NAMES.get(condition, condition.replace("_", " ").capitalize())
            columns = tuple(Column(heading=heading) for heading in ("Key", "Published", "Role", "Comparator"))
            table = Table(
                caption=f"{heading}: {len(rows)} in all",
                columns=(*columns, Column(heading="Figures", numeric=True)),
                rows=rows,
            )
            sections.append(Section(heading=heading, blocks=(table,)))
    return Report(
        title="Trials, cohorts and labels",
        subtitle="What each may be used for: calibration figures are fitted, held-out ones judge the model.",
        sections=tuple(sections),
        foot=_FOOT,
    )


def trial_report(found: Trial) -> Report:
    """One trial: what it was, its arms, every figure with its source; what is from memory stands apart."""
    about = [
        ("Title", found.citation.title),
        ("About", CONDITION_NAMES.get(found.condition, found.condition.replace("_", " "))),
        ("Role", f"{found.role.replace('_', ' ')}: {ROLE_USES[found.role]}"),
        ("Design", found.design),
        ("Population", found.population),
        ("Schedule", found.schedule),
        ("Comparator", found.comparator),
        ("Primary outcome", found.primary),
        ("Shares patients with", ", ".join(found.overlaps)),
        *(("Caveat", caveat) for caveat in found.caveats),
        *(("Sources disagree", conflict) for conflict in found.conflicts),
    ]
    facts = tuple((name, typeset(text)) for name, text in about if text)
    blocks: list[Block] = [
        Table(caption="What it was", columns=(Column(heading="What"), Column(heading="As published")), rows=facts)
    ]
    if found.arms:
        columns = tuple(Column(heading=heading) for heading in ("Arm", "Given", "Schedule", "Patients", "Baseline"))
        blocks.append(Table(caption="Arms", columns=columns, rows=tuple(map(arm_cells, found.arms))))
    sections = [Section(heading="The trial", blocks=tuple(blocks))]
    for heading, recalled in (("Figures", False), (f"{FROM_MEMORY.capitalize()}: never to be quoted", True)):
        figures = [each for each in found.figures if is_recalled(each.provenance) is recalled]
        if figures:
            columns = tuple(Column(heading=one) for one in ("Arm", "Figure", "Time", "Value", "Source, note"))
            table = Table(
                caption=f"{heading}, {len(figures)} in all", columns=columns, rows=tuple(map(_figure_cells, figures))
            )
            sections.append(Section(heading=heading, blocks=(table,)))
    return Report(
        title=found.key,
        subtitle=f"{found.citation}.",
        sections=(*sections, _sources_section(source_keys(provenances_in(found)))),
        foot=_FOOT,
        tags=("Held out: for display only",) if found.role in _HELD_OUT else (),
    )


def sources_report() -> Report:
    """Every source by its key, as the keys beside numbers name it."""
    found = sources()
    table = Table(
        caption=f"{len(found)} pages, papers and labels that figures were read at",
        columns=tuple(Column(heading=heading) for heading in ("Key", "Citation", "Read", "Page")),
        rows=tuple((key, *_citation(key)) for key in sorted(found)),
    )
    return Report(
        title="Sources",
        subtitle="What the keys beside numbers stand for, and which part was read.",
        sections=(Section(heading="By key", blocks=(table,)),),
        foot=_FOOT,
    )


def arm_cells(arm: TrialArm) -> tuple[str, str, str, str, str]:
    """An arm in a table: its id, what was given, the schedule, patients, baseline."""
    route = "" if arm.route is None else arm.route.replace("_", " ").replace("iv", "IV")
    given = [arm_words(arm), arm.stratum or "", route]
    if arm.infusion_h is not None:
        given.append(f"over {format_duration(arm.infusion_h)}")
    given.append(FROM_MEMORY if is_recalled(arm.provenance) else "")
    baseline = ""
    if arm.baseline is not None:
        spread = "" if arm.baseline.sd is None else f" (SD {printed(arm.baseline.sd)})"
        memory = f", {FROM_MEMORY}" if is_recalled(arm.baseline.provenance) else ""
        baseline = f"{arm.baseline.scale} {printed(arm.baseline.mean)}{spread}{memory}"
    patients = "" if arm.n is None else f"{arm.n} {arm.n_label or ''}".strip()
    return arm.id, ", ".join(filter(None, given)), typeset(arm.schedule or ""), patients, baseline


def _figure_cells(figure: Figure) -> tuple[str, ...]:
    return (
        figure.arm or " against ".join(figure.contrast or ()),
        figure_words(figure),
        figure_time(figure),
        figure_value(figure),
        checked_words(figure.provenance).removeprefix(FROM_MEMORY).removeprefix("; "),
    )


def _key_figures(answer: PoolAnswer) -> Iterable[KeyFigure]:
    pooled = answer.pool.pooled
    yield KeyFigure(
        label=f"Pooled effect, {pooled.k} {'trial' if pooled.k == 1 else 'contrasts'}",
        value=answer.number(answer.effect.estimate),
        unit=answer.unit,
        note=f"95 % {answer.interval(answer.effect)}",
    )
    if answer.prediction95 is not None:
        yield KeyFigure(
            label="A further trial's true effect",
            value=format_range(*(answer.number(end) for end in answer.prediction95)),
            note="95 % prediction interval",
        )
    if pooled.tau2 is not None and pooled.i2_pct is not None and pooled.q_p is not None and pooled.q is not None:
        yield KeyFigure(
            label="Heterogeneity",
            value=format_percent(pooled.i2_pct, predicted=False),
            unit="I²",
            note=f"τ² {format_number(pooled.tau2, 2)}; Q {format_number(pooled.q, 1)} on {pooled.q_df} df, "
            f"p = {format_number(pooled.q_p, 2)}",
        )


def _how_predicted(answer: PoolAnswer) -> Iterable[Paragraph]:
    if answer.prediction95 is not None:
        yield Paragraph(text=f"Prediction interval: {PREDICTION_FORMULA}.")


def _forest(answer: PoolAnswer) -> Chart:
    """Rows by role, the pooled diamond, and the meta-analyses that lie on the same axis."""
    kept = [row for row in answer.rows if row.row.role not in _HELD_OUT]
    held = [row for row in answer.rows if row.row.role in _HELD_OUT]
    prediction = answer.prediction95 or (None, None)
    pooled = ForestRow(
        label=f"{METHOD_NAMES[answer.pool.pooled.method]}",
        source="all rows above",
        comparator="all",
        effect=answer.effect.estimate,
        lo95=answer.effect.lo95,
        hi95=answer.effect.hi95,
        kind="pooled",
        prediction_lo95=prediction[0],
        prediction_hi95=prediction[1],
    )
    groups = [
        ForestGroup(heading="Trials", rows=tuple(_forest_row(row) for row in kept)),
        ForestGroup(heading="Held-out trials, for display only", rows=tuple(_forest_row(row) for row in held)),
        ForestGroup(heading="Pooled", rows=(pooled,)),
        ForestGroup(heading="Published meta-analyses", rows=tuple(_published_rows(answer))),
    ]
    sides = ("drug better", "control better")
    left, right = sides if answer.lower_favours_drug else sides[::-1]
    title = answer.pool.outcome.title
    return forest_chart(
        ForestData(
            title=f"{title[0].upper()}{title[1:]}",
            measure=f"{answer.unit[0].upper()}{answer.unit[1:]}",
            left_label=left,
            right_label=right,
            groups=tuple(group for group in groups if group.rows),
            log_x=answer.is_ratio,
            decimals=answer.decimals,
        )
    )


def _forest_row(row: ShownRow) -> ForestRow:
    return ForestRow(
        label=row.drug,
        source=f"{row.label}, {row.row.role.replace('_', ' ')}",
        comparator=row.control,
        effect=row.effect.estimate,
        lo95=row.effect.lo95,
        hi95=row.effect.hi95,
        kind="trial",
        weight_percent=row.weight_pct,
    )


def _published_rows(answer: PoolAnswer) -> Iterable[ForestRow]:
    for found in answer.published:
        if found.effect is not None:
            yield ForestRow(
                label=found.figure.measure or answer.unit,
                source=found.label,
                comparator=found.study.comparator or "not stated",
                effect=found.effect.estimate,
                lo95=found.effect.lo95,
                hi95=found.effect.hi95,
                kind="pooled",
            )


def _drawn_caveats(answer: PoolAnswer) -> Iterable[Notice]:
    """What weakens a drawn meta-analysis, which its diamond cannot say."""
    caveats = dict.fromkeys(
        f"{found.label}: {typeset(caveat)}."
        for found in answer.published
        if found.effect is not None
        for caveat in found.study.caveats
    )
    if caveats:
        yield Notice(text=" ".join(caveats))


def _rows_table(answer: PoolAnswer) -> Table:
    return Table(
        caption="Every contrast that was pooled; printed figures, or computed from the arms as stated",
        columns=tuple(
            Column(heading=heading, numeric=numeric)
            for heading, numeric in (
                ("Trial", False),
                ("Drug", False),
                ("Control", False),
                ("Role", False),
                (f"Effect, {answer.unit}", True),
                ("Weight", True),
                ("Spread from", False),
                ("Source", False),
            )
        ),
        rows=tuple(
            (
                row.row.trial.key,
                row.drug,
                row.control,
                row.row.role.replace("_", " "),
                f"{answer.number(row.effect.estimate)} ({answer.interval(row.effect)})",
                format_percent(row.weight_pct, predicted=False),
                row.row.basis,
                ", ".join(row.sources),
            )
            for row in answer.rows
        ),
    )


def _excluded_table(answer: PoolAnswer) -> Table:
    return Table(
        caption="Contrasts that answer the same question and were not pooled",
        columns=tuple(Column(heading=heading) for heading in ("Trial", "Contrast", "Reason")),
        rows=tuple((row.trial.key, " against ".join(row.contrast), row.reason) for row in answer.pool.excluded),
    )


def _published_blocks(answer: PoolAnswer) -> Iterable[Block]:
    drawn = sum(found.effect is not None for found in answer.published)
    yield Paragraph(
        text=f"{drawn} of {len(answer.published)} are in the unit of the plot and drawn there; their trials overlap "
        f"with ours. All stand here as printed. {SIGN_WARNING}"
    )
    yield Table(
        caption="What meta-analyses printed on the same question",
        columns=tuple(
            Column(heading=heading) for heading in ("Study", "Figure", "Time", "As printed", "Caveats", "Source")
        ),
        rows=tuple(
            (
                found.label,
                figure_words(found.figure),
                figure_time(found.figure),
                figure_value(found.figure),
                typeset("; ".join(found.study.caveats)),
                ", ".join(found.figure.provenance.source),
            )
            for found in answer.published
        ),
    )


def _ledger_claim(claim: Claim, *, beside: bool) -> report.Claim:
    from afterglow.usecases.claims_model import claim_predictions, claim_sentence  # noqa: PLC0415

    return report.Claim(
        key=claim.id,
        claim=typeset(claim.claim),
        verdict=claim.verdict.value,
        numbers=tuple(map(cited_words, claim.evidence)),
        action=typeset(claim.action),
        model=claim_sentence(claim_predictions()[claim.id]) if beside else "being computed",
    )


def _claim_sources(found: Sequence[Claim]) -> Table:
    cited_by: dict[str, list[str]] = {}
    for claim in found:
        for key in source_keys(part.provenance for part in claim.evidence):
            cited_by.setdefault(key, []).append(claim.id)
    return Table(
        caption="Every source of the ledger, by the key that stands with the evidence",
        columns=tuple(Column(heading=heading) for heading in ("Key", "Citation", "Read", "Page", "Claims")),
        rows=tuple((key, *_citation(key), ", ".join(ids)) for key, ids in cited_by.items()),
    )


def _sources_section(keys: Sequence[str]) -> Section:
    table = Table(
        caption="Where the figures were read",
        columns=tuple(Column(heading=heading) for heading in ("Key", "Citation", "Read", "Page")),
        rows=tuple((key, *_citation(key)) for key in keys),
    )
    return Section(heading="Sources", blocks=(table,))


def _citation(key: str) -> tuple[str, str, str]:
    found = source(key)
    memory = " (citation from memory)" if found.verified is Verified.RECALLED else ""
    return f"{found.citation}{memory}", found.read or "not stated", found.url or found.doi or ""
