"""Evidence and instruments as text for a terminal."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from rich.console import Console
from rich.text import Text

from afterglow.cli.output import console, print_facts, print_table
from afterglow.evidence import Figure, StudiedCondition, Trial, Verdict, claims, source
from afterglow.provenance import Source, Verified
from afterglow.render.text import format_percent
from afterglow.scales import Instrument, Item, ItemText, instrument_facts, instruments
from afterglow.scales import sources as scale_sources
from afterglow.usecases.knowledge import (
    FROM_MEMORY,
    METHOD_NAMES,
    ROLE_USES,
    SIGN_WARNING,
    VERDICT_MARKS,
    Overview,
    PoolAnswer,
    ShownEffect,
    checked_words,
    cited_words,
    figure_time,
    figure_value,
    figure_words,
    heterogeneity_words,
    is_recalled,
    provenances_in,
    source_keys,
    typeset,
)
from afterglow.usecases.knowledge_reports import CONDITION_NAMES, arm_cells

_SHOWN = {
    ItemText.FULL: "the wording is in the public domain",
    ItemText.LABELS: "the licence lets short labels be shown, not the wording",
    ItemText.CONDITIONAL: "the wording needs accepted terms or a text pack; until then labels or scores",
    ItemText.SCORE_ENTRY: "the licence leaves scores to enter, with labels at most",
}
_BAR_WIDTH = 30  # columns of the forest plot in letters


def print_overview(found: Overview) -> None:
    """What there is, and what to type next."""
    out = console()
    out.print("Published evidence", style="bold")
    out.print(
        f"{sum(found.roles.values())} trials, cohorts and labels with {found.figures} figures ({found.recalled} "
        f"{FROM_MEMORY}), {found.meta_analyses} meta-analyses and reviews, {sum(found.verdicts.values())} claims"
    )
    out.print()
    print_table(
        out,
        ["Role of a trial", "Trials", "Its figures"],
        [[_words(role), str(count), ROLE_USES[role]] for role, count in found.roles.items()],
        numeric=(1,),
        whole=(0,),
    )
    out.print()
    print_table(
        out,
        ["Verdict on a claim", "Claims"],
        [[_verdict_words(verdict), str(count)] for verdict, count in found.verdicts.items()],
        numeric=(1,),
    )
    out.print()
    print_table(
        out,
        ["Outcome", "Pooled", "Left out", "What is compared"],
        [[pool.outcome.name, str(pool.pooled.k), str(len(pool.excluded)), pool.outcome.title] for pool in found.pools],
        numeric=(1, 2),
        whole=(0,),
    )
    out.print()
    out.print("Next: afterglow …", style="bold")
    print_facts(
        out,
        [
            ("evidence trials", "every trial; --role and --condition choose"),
            ("evidence trial KEY", "one trial with every figure and its source"),
            ("evidence claims", "what is promised in public, and what is known"),
            ("evidence pool OUTCOME", "an outcome pooled; --report draws the forest plot"),
        ],
    )


def print_trials(found: Sequence[Trial]) -> None:
    """Trials by condition."""
    out = console()
    out.print(f"{len(found)} {'trial' if len(found) == 1 else 'trials'}", style="bold")
    if not found:
        out.print("None has this role and condition; `afterglow evidence trials` lists them all.")
        return
    for condition in StudiedCondition:
        of_condition = [one for one in found if one.condition is condition]
        if not of_condition:
            continue
        out.print()
        out.print(f"{_condition(condition)} ({len(of_condition)})", style="bold")
        print_table(
            out,
            ["Key", "First author", "Kind", "Role", "Figures", "Recalled"],
            [
                [
                    one.key,
                    f"{one.citation.first_author} {one.citation.year or 'undated'}",
                    _kind(one),
                    _words(one.role),
                    str(len(one.figures)),
                    str(sum(is_recalled(figure.provenance) for figure in one.figures)),
                ]
                for one in of_condition
            ],
            numeric=(4, 5),
            whole=(0,),
        )
    out.print()
    out.print(f"Recalled figures are {FROM_MEMORY}; they are never fitted.")


def print_trial(found: Trial) -> None:
    """One trial; what is from memory stands apart."""
    out = console()
    citation = found.citation
    identifiers = {"doi": citation.doi, "PMID": citation.pmid, "PMC": citation.pmcid, "trial": citation.nct}
    memory = f" ({FROM_MEMORY})" if citation.verified is Verified.RECALLED else ""
    out.print(found.key, style="bold")
    print_facts(
        out,
        [
            ("Published", f"{citation}{memory}"),
            ("Title", citation.title or ""),
            ("Identifiers", ", ".join(f"{name} {key}" for name, key in identifiers.items() if key)),
            ("Page", citation.url or ""),
            ("About", f"{_condition(found.condition)}; {_kind(found)}"),
            ("Role", f"{_words(found.role)}: {ROLE_USES[found.role]}"),
            ("Design", typeset(found.design)),
            ("Population", typeset(found.population or "")),
            ("Schedule", typeset(found.schedule or "")),
            ("Comparator", typeset(found.comparator or "")),
            ("Primary outcome", typeset(found.primary or "")),
            ("Shares patients with", ", ".join(found.overlaps)),
            *(("Caveat", typeset(caveat)) for caveat in found.caveats),
            *(("Sources disagree", typeset(conflict)) for conflict in found.conflicts),
        ],
    )
    if found.arms:
        out.print()
        out.print("Arms", style="bold")
        print_table(
            out,
            ["Arm", "Given", "Schedule", "Patients", "Baseline"],
            [list(arm_cells(arm)) for arm in found.arms],
            whole=(0,),
        )
    if not found.figures:
        out.print("No figure was taken from it.")
    confirmed = [figure for figure in found.figures if not is_recalled(figure.provenance)]
    recalled = [figure for figure in found.figures if is_recalled(figure.provenance)]
    _print_figures(out, "Figures", confirmed)
    _print_figures(out, f"{FROM_MEMORY.capitalize()}: never to be quoted", recalled)
    _print_sources(out, [source(key) for key in source_keys(provenances_in(found))])


def _print_figures(out: Console, heading: str, figures: Sequence[Figure]) -> None:
    if not figures:
        return
    out.print()
    out.print(f"{heading} ({len(figures)})", style="bold")
    rows = [
        [
            figure.arm or " against ".join(figure.contrast or ()),
            figure_words(figure),
            figure_time(figure),
            figure_value(figure),
            checked_words(figure.provenance).removeprefix(FROM_MEMORY).removeprefix("; "),
        ]
        for figure in figures
    ]
    print_table(out, ["Arm", "Figure", "Time", "Value", "Source, note"], rows)


def print_claims() -> None:
    """The claims ledger, and what the model predicts beside it."""
    from afterglow.usecases.claims_model import (  # noqa: PLC0415  the other commands need no model
        BESIDE_THE_LEDGER,
        claim_predictions,
        claim_sentence,
    )

    out = console()
    found = claims()
    out.print("What is claimed, and what is known", style="bold")
    tally = [(verdict, sum(claim.verdict is verdict for claim in found)) for verdict in Verdict]
    out.print(f"{len(found)} claims: " + ", ".join(f"{count} {verdict}" for verdict, count in tally))
    out.print(BESIDE_THE_LEDGER)
    for claim in found:
        out.print()
        said: list[tuple[str, str | Text]] = [
            (claim.id, Text(typeset(claim.claim), style="bold")),
            ("", _verdict_words(claim.verdict)),
        ]
        said += [("", cited_words(part)) for part in claim.evidence]
        said.append(("", claim_sentence(claim_predictions()[claim.id])))
        print_facts(out, [*said, ("", f"Afterglow ({claim.action_kind}): {typeset(claim.action)}")])
    out.print()
    out.print("The keys in brackets are spelt out in the report (--report OUT.html) and in the JSON (--json).")


def print_pool(answer: PoolAnswer) -> None:
    """A pooled outcome: the plot in letters, its rows, what was left out, and published results."""
    out = console()
    outcome, pooled = answer.pool.outcome, answer.pool.pooled
    out.print(f"Pooled: {outcome.title}", style="bold")
    out.print(f"{METHOD_NAMES[pooled.method]} random effects, {answer.unit}; {answer.better}")
    for note in answer.notes:
        out.print(f"Note: {note}")
    out.print()
    _print_forest(out, answer)
    out.print()
    differ = heterogeneity_words(answer)
    if differ:
        print_facts(out, differ)
        out.print()
    out.print("What each row is", style="bold")
    print_table(
        out,
        ["Trial", "Drug", "Control", "Spread from", "Source"],
        [
            [row.row.trial.key, row.drug, row.control, typeset(row.row.basis), ", ".join(row.sources)]
            for row in answer.rows
        ],
        whole=(0,),
    )
    if answer.pool.excluded:
        out.print()
        out.print(f"Left out ({len(answer.pool.excluded)})", style="bold")
        print_facts(
            out, [(row.trial.key, f"{' against '.join(row.contrast)}: {row.reason}") for row in answer.pool.excluded]
        )
    if answer.published:
        _print_published(out, answer)
    _print_sources(out, [source(key) for key in answer.source_keys])


def _print_published(out: Console, answer: PoolAnswer) -> None:
    out.print()
    out.print(f"Published meta-analyses, as printed ({len(answer.published)})", style="bold")
    out.print(SIGN_WARNING)
    print_table(
        out,
        ["Study", "Figure", "Time", "As printed", "Source"],
        [
            [
                found.label,
                figure_words(found.figure),
                figure_time(found.figure),
                figure_value(found.figure),
                checked_words(found.figure.provenance),
            ]
            for found in answer.published
        ],
    )
    caveats = dict.fromkeys((found.label, caveat) for found in answer.published for caveat in found.study.caveats)
    out.print()
    out.print("Their caveats", style="bold")
    print_facts(out, [(label, typeset(caveat)) for label, caveat in caveats])


def _print_forest(out: Console, answer: PoolAnswer) -> None:
    """The forest plot in letters: squares are trials, diamonds are pooled, dots reach to where a new trial may lie."""
    drawn = [(found.label, found.effect) for found in answer.published if found.effect is not None]
    effects = [answer.effect, *(row.effect for row in answer.rows), *(effect for _, effect in drawn)]
    ends = [*(end for effect in effects for end in (effect.lo95, effect.hi95)), *(answer.prediction95 or ())]
    axis = _Axis(low=min(*ends, answer.no_effect), high=max(*ends, answer.no_effect), answer=answer)

    def line(label: str, bar: str, effect: ShownEffect, weight: str = "") -> list[str]:
        return [label, bar, answer.number(effect.estimate), answer.interval(effect), weight]

    rows = [
        line(
            f"{row.label}, {_words(row.row.role)}",
            axis.bar(row.effect, "■"),
            row.effect,
            format_percent(row.weight_pct, predicted=False),
        )
        for row in answer.rows
    ]
    rows.append(line("Pooled", axis.bar(answer.effect, "◆", answer.prediction95), answer.effect))
    rows += [line(f"{label}, published", axis.bar(effect, "◆"), effect) for label, effect in drawn]
    sides = (
        ("← drug better", "control better →") if answer.lower_favours_drug else ("← control better", "drug better →")
    )
    print_table(
        out,
        ["Trial and role", " ".join(sides).center(_BAR_WIDTH), "Effect", "95 % interval", "Weight"],
        rows,
        numeric=(2, 3, 4),
        whole=(1,),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Axis:
    """Where values stand in a bar of letters; ratios on a log axis."""

    low: float
    high: float
    answer: PoolAnswer

    def column(self, value: float) -> int:
        """The column of a value, from 0."""
        low, high, at = (math.log(x) if self.answer.is_ratio else x for x in (self.low, self.high, value))
        return round((at - low) / (high - low) * (_BAR_WIDTH - 1))

    def bar(self, effect: ShownEffect, mark: str, prediction: tuple[float, float] | None = None) -> str:
        """One row of the plot."""
        letters = [" "] * _BAR_WIDTH
        letters[self.column(self.answer.no_effect)] = "│"
        for line, span in (("·", prediction), ("─", (effect.lo95, effect.hi95))):
            if span is not None:
                start, end = map(self.column, span)
                letters[start : end + 1] = line * (end + 1 - start)
        letters[self.column(effect.estimate)] = mark
        return "".join(letters)


def print_scales() -> None:
    """Every instrument."""
    out = console()
    found = instruments().values()
    out.print(f"{len(found)} instruments", style="bold")
    rows = [
        [
            each.short_name,
            each.domain,
            str(each.rater),
            "" if each.items.count is None else str(each.items.count),
            "no total" if each.range is None else f"{each.range[0]:g} to {each.range[1]:g}",
            _words(each.licence.show),
        ]
        for each in found
    ]
    print_table(
        out, ["Instrument", "Measures", "Rated by", "Items", "Range", "Shown"], rows, numeric=(3, 4), whole=(0,)
    )
    out.print()
    print_facts(out, [(_words(shown), meaning) for shown, meaning in _SHOWN.items()])
    out.print()
    out.print("Next: afterglow scales PHQ-9")


def print_scale(each: Instrument) -> None:
    """One instrument."""
    out = console()
    out.print(f"{each.short_name}: {each.name}", style="bold")
    count = "" if each.items.count is None else f"; {each.items.count} items"
    out.print(f"{each.domain[0].upper()}{each.domain[1:]}; {each.priority}; rated by {each.rater}{count}")
    out.print()
    _print_items(out, each)
    out.print()
    print_facts(
        out,
        [
            (fact.title, " ".join([typeset(fact.text), *(f"[{checked_words(one)}]" for one in fact.provenances)]))
            for fact in instrument_facts(each)
        ],
    )
    found = scale_sources()
    _print_sources(out, [found[key] for key in source_keys(provenances_in(each))])


def _print_items(out: Console, each: Instrument) -> None:
    items = [*each.items.listed, *each.items.unscored]
    out.print(f"Items [{checked_words(each.items.provenance)}]", style="bold")
    if each.items.stem:
        out.print(each.items.stem)
    if items:
        print_table(out, ["No.", "Item", "Answer", ""], [_item_cells(each, item) for item in items], whole=(0, 2))
    if each.items.options:
        out.print("Answers: " + ", ".join(f"{option.value} {option.text}" for option in each.items.options))
    if not each.may_show_text:
        out.print(f"The wording is not shown: {_SHOWN[each.licence.show]}. Licence: {each.licence.status}.")


def _item_cells(each: Instrument, item: Item) -> list[str]:
    marks = ["critical"] * item.critical + ["reversed"] * item.reverse + ["not scored"] * (item in each.items.unscored)
    levels = "; ".join(f"{value} {text}" for value, text in sorted(item.levels.items()))
    text = item.text or item.label or "not shown"
    said = f"{text}: {levels}" if levels else text
    return [item.number, said, f"{item.range[0]} to {item.range[1]}", ", ".join(marks)]


def _print_sources(out: Console, found: Sequence[Source]) -> None:
    if found:
        out.print()
        out.print("Sources", style="bold")
        print_facts(out, [(one.key, _source_words(one)) for one in found])


def _source_words(one: Source) -> str:
    parts = [
        one.citation + (f" ({FROM_MEMORY})" if one.verified is Verified.RECALLED else ""),
        f"Read: {one.read}" if one.read else "",
    ]
    said = " ".join(f"{part.rstrip('.')}." for part in parts if part)
    return f"{said} {one.url or (f'doi {one.doi}' if one.doi else '')}".rstrip()


def _verdict_words(verdict: Verdict) -> str:
    return f"{VERDICT_MARKS[verdict]} {verdict.capitalize()}"


def _condition(condition: StudiedCondition) -> str:
    return CONDITION_NAMES.get(condition, _words(condition).capitalize())


def _kind(found: Trial) -> str:
    return _words(found.kind).replace("rct", "RCT").replace("pkpd", "PK/PD")


def _words(name: str) -> str:
    return name.replace("_", " ")
