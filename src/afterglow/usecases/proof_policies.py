"""What treating by forecast costs and spares beside other policies: the pictures and tables of that part of a proof."""

from __future__ import annotations

from collections.abc import Sequence

from afterglow.forecast.policy import POLICIES, Addition
from afterglow.render.chart import Chart, Column, Table
from afterglow.render.proof import Dot, DotData, DotRow, PolicyData, PolicyPoint, dot_chart, policy_chart
from afterglow.render.text import format_number
from afterglow.usecases.proving import PairedRow, PolicyRow, ProofAnswer

_ADDITIONS = {Addition.LITTLE: "little", Addition.EXPECTED: "as expected", Addition.MUCH: "much"}
_SHORT = {
    "weekly": "weekly",
    "every 2 weeks": "2-weekly",
    "every 4 weeks": "4-weekly",
    "when it feels bad": "feels bad",
}


def policy_picture(answer: ProofAnswer) -> Chart:
    """Days relapsed over sessions given, a panel for each way that sessions may add up."""

    def kind(row: PolicyRow) -> str:
        if row.policy.limit is not None:
            return "forecast"
        return "calendar" if row.policy.every_weeks is not None else "reactive"

    return policy_chart(
        PolicyData(
            title="What treating by forecast costs, and what it spares",
            worlds=tuple(
                (
                    _ADDITIONS[addition],
                    tuple(
                        PolicyPoint(
                            name=row.policy.name,
                            short=_short(row),
                            sessions=row.sessions,
                            days=row.relapsed_days,
                            days_se=row.relapsed_days_se,
                            kind=kind(row),  # type: ignore[arg-type]
                        )
                        for row in answer.policies
                        if row.addition is addition
                    ),
                )
                for addition in Addition
            ),
        )
    )


def paired_picture(answer: ProofAnswer) -> Chart:
    """Days relapsed by forecast less by another policy, in the world in the middle."""
    rows = [row for row in answer.paired if row.addition is Addition.EXPECTED]
    return dot_chart(
        DotData(
            title="Treating by forecast less other policies, the same patients",
            unit="days relapsed a quarter more (right) or fewer (left) than by the other policy",
            names=(("own", "mean difference; whiskers: 95 % interval over patients"),),
            rows=tuple(
                DotRow(
                    label=f"{_limit(row)} less {_SHORT[row.against.name]}: {_signed(row.sessions)}",
                    dots=(
                        Dot(
                            kind="own",
                            value=row.relapsed_days,
                            low=row.relapsed_days - row.relapsed_days_reach,
                            high=row.relapsed_days + row.relapsed_days_reach,
                        ),
                    ),
                )
                for row in rows
            ),
            sentence=_paired_sentence(rows),
            goals=(0.0,),
            decimals=1,
        )
    )


def _limit(row: PairedRow) -> str:
    return f"{100 * (row.policy.limit or 0.0):.0f} %"


def _signed(sessions: float) -> str:
    return f"{format_number(sessions, 1) if sessions < 0 else f'+{format_number(sessions, 1)}'} sessions"


def _paired_sentence(rows: Sequence[PairedRow]) -> str:
    """The pairs that cost about the same, and whether they differ."""
    closest = min((row for row in rows if row.against.every_weeks is not None), key=lambda row: abs(row.sessions))
    reactive = min((row for row in rows if row.against.every_weeks is None), key=lambda row: abs(row.sessions))
    return (
        "Each row: a limit on the chance of relapse, the policy it is set against, and how many more sessions it "
        f"gives. Where sessions add up as expected, {_said(closest)}; {_said(reactive)}. "
        "Extrapolation: no trial has compared how often sessions are given."
    )


def _said(row: PairedRow) -> str:
    low, high = row.relapsed_days - row.relapsed_days_reach, row.relapsed_days + row.relapsed_days_reach
    verdict = "no difference that these patients could show" if low <= 0 <= high else "fewer" if high < 0 else "more"
    return (
        f"{row.policy.name} gives {_signed(row.sessions)} beside {row.against.name} and moves days "
        f"relapsed by {format_number(row.relapsed_days, 1)} "
        f"({_between(row.relapsed_days, row.relapsed_days_reach)}): {verdict}"
    )


def _between(middle: float, reach: float) -> str:
    return f"95 % {format_number(middle - reach, 1)} to {format_number(middle + reach, 1)}"


def paired_table(answer: ProofAnswer) -> Table:
    """Every policy by forecast less every other one, in every world."""
    others = list(_SHORT)
    by = {(row.addition, row.policy.name, row.against.name): row for row in answer.paired}

    def cell(row: PairedRow) -> str:
        days = f"{format_number(row.relapsed_days, 1)} days ({_between(row.relapsed_days, row.relapsed_days_reach)})"
        return f"{days}, {_signed(row.sessions)}"

    return Table(
        caption="By forecast less the other policy, per quarter, the same patients under both",
        columns=(
            Column(heading="Sessions add up"),
            Column(heading="By forecast"),
            *(Column(heading=f"less {name}") for name in others),
        ),
        rows=tuple(
            (_ADDITIONS[addition], policy.name, *(cell(by[addition, policy.name, name]) for name in others))
            for addition in Addition
            for policy in POLICIES
            if policy.limit is not None
        ),
    )


def _short(row: PolicyRow) -> str:
    """The name beside a point; the key names the one that stands for itself."""
    if row.policy.limit is not None:
        return f"{100 * row.policy.limit:.0f} %"
    return row.policy.name.replace("every 2 weeks", "2-weekly").replace("every 4 weeks", "4-weekly") * bool(
        row.policy.every_weeks
    )
