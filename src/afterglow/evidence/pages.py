"""The reference pages on claims and trials, generated from the data so that they cannot disagree with it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from afterglow.evidence.citations import source
from afterglow.evidence.figures import Figure, TimeOrigin
from afterglow.evidence.ledger import Claim, Verdict, claims
from afterglow.evidence.studies import StudiedCondition, Trial, TrialArm, trials, trials_where
from afterglow.markdown import table
from afterglow.provenance import Provenance, Verified
from afterglow.quantities import HOURS_PER_DAY, format_duration


def evidence_markdown(model: Mapping[str, str] | None = None) -> dict[str, str]:
    """Markdown of the generated reference pages by file name.

    Args:
        model: what a model says beside each claim, by its id.

    >>> sorted(evidence_markdown())
    ['claims.md', 'trials.md']
    """
    return {"claims.md": _claims_page(model or {}), "trials.md": _trials_page()}


def _claims_page(model: Mapping[str, str]) -> str:
    found = claims()
    lines = [
        "# Claims ledger",
        "",
        "What is promised about ketamine treatment in public, in our words, and what the evidence says. A claim is",
        "judged on what controlled evidence shows for its wording. Lines marked *not confirmed* are from memory and",
        "must not be shown to a patient or clinician as a fact.",
        *(
            ["", "What the model predicts stands beside each claim. It changes no verdict, and it may be wrong."]
            * bool(model)
        ),
        "",
        *table(
            ["Verdict", "Claims"],
            ((word, ", ".join(claim.id for claim in found if claim.verdict is word)) for word in Verdict),
        ),
        "",
    ]
    for claim in found:
        lines += _claim_lines(claim, model.get(claim.id))
    cited = (part.provenance for claim in found for part in claim.evidence)
    return "\n".join([*lines, "## Sources", "", *_source_lines(cited), ""])


def _claim_lines(claim: Claim, model: str | None) -> list[str]:
    evidence = [
        f"- {'' if part.may_be_shown_as_fact else '*Not confirmed:* '}{part.text} [{', '.join(part.provenance.source)}]"
        for part in claim.evidence
    ]
    return [
        f"## {claim.id}. {claim.claim}",
        "",
        f"**{claim.verdict.capitalize()}.**",
        "",
        *evidence,
        "",
        *([model, ""] if model else []),
        f"System ({claim.action_kind}): {claim.action}",
        "",
    ]


def _trials_page() -> str:
    lines = [
        "# Published trials",
        "",
        "Every figure taken from a trial, cohort, label or survey, with its source. *Recalled* figures are from memory",
        "and never fitted. Figures of role `held_out` judge the model and are never fitted; `held_out_shared` only the",
        "acute endpoint. Times count from the first dose unless the row says otherwise.",
        "",
    ]
    for condition in StudiedCondition:
        lines += [f"## {condition.replace('_', ' ').capitalize()}", ""]
        for trial in trials_where(condition=condition):
            lines += _trial_lines(trial)
    cited = (figure.provenance for trial in trials() for figure in trial.figures)
    return "\n".join([*lines, "## Sources", "", *_source_lines(cited), ""])


def _trial_lines(trial: Trial) -> list[str]:
    said = [("Population", trial.population), ("Comparator", trial.comparator), ("Primary outcome", trial.primary)]
    said += [("Shares patients with", ", ".join(trial.overlaps) or None)]
    lines = [
        f"### {trial.key}",
        "",
        f"{trial.citation}. {trial.kind.replace('_', ' ')}; role **{trial.role}**. {trial.design}.",
        "",
        *(f"- {name}: {text}" for name, text in said if text is not None),
        *(f"- Caveat: {caveat}" for caveat in trial.caveats),
        *(f"- Sources disagree: {conflict}" for conflict in trial.conflicts),
        "",
    ]
    if trial.arms:
        lines += [*table(["Arm", "Given", "n"], map(_arm_row, trial.arms)), ""]
    if trial.figures:
        columns = ["Arm", "Scale", "Figure", "Time", "Value", "Verified", "Source"]
        lines += [*table(columns, map(_figure_row, trial.figures)), ""]
    return lines


def _arm_row(arm: TrialArm) -> list[object]:
    given = ", ".join(str(part) for part in (arm.drug, arm.dose or arm.dose_text, arm.schedule) if part is not None)
    return [arm.id, given, "" if arm.n is None else arm.n]


def _figure_row(figure: Figure) -> list[str]:
    what = figure.statistic.replace("_", " ")
    return [
        figure.arm or " against ".join(figure.contrast or ()),
        figure.scale or "",
        ", ".join(filter(None, (what, figure.measure, figure.of and f"of {figure.of}"))),
        _time(figure),
        _value(figure),
        figure.provenance.verified,
        ", ".join(figure.provenance.source),
    ]


def _time(figure: Figure) -> str:
    if figure.t_days is None:
        return figure.when or ""
    origin = "" if figure.t_from is TimeOrigin.FIRST_DOSE else f" from {figure.t_from.replace('_', ' ')}"
    return format_duration(figure.t_days * HOURS_PER_DAY) + origin


def _value(figure: Figure) -> str:
    parts = [] if figure.value is None else [f"{figure.value:g}"]
    parts += [str(spread) for spread in figure.spreads]
    if figure.events is not None:
        parts.append(f"{figure.events} patients")
    parts += [str(part) for part in (figure.p, figure.text, figure.provenance.note) if part is not None]
    return "; ".join(parts)


def _source_lines(provenances: Iterable[Provenance]) -> list[str]:
    lines = []
    for key in sorted({key for provenance in provenances for key in provenance.source}):
        cited = source(key)
        url = "" if cited.url is None else f" <{cited.url}>"
        memory = " (citation from memory)" if cited.verified is Verified.RECALLED else ""
        lines.append(f"- `{key}`: {cited.citation}{memory}. Read: {cited.read or 'not stated'}.{url}")
    return lines
