"""The drug log on paper: every container of a period, what came in, what went where, and that it adds up to zero."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime

from afterglow.clinic import Container, DrugUse, DrugUseKind, Movement
from afterglow.quantities import format_mg
from afterglow.render.chart import Table
from afterglow.render.report import Block, Notice, Paragraph, Section
from afterglow.usecases.wording import Wording, table_of

_WHAT = {
    "received": "Received",
    "draw": "Drawn for a session",
    "draw_all": "Drawn for a session, all of it",
    "put_back": "Returned by a session",
    "put_back_all": "Returned by a session, whole",
    "waste": "Rest wasted",
    "waste_drawn": "Wasted of what was drawn",
    "count": "Counted, agrees",
    "miscount": "Counted, differs",
    "explain": "Difference explained",
    "explain_empty": "Difference explained, empty",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class ContainerAccount:
    """Where the drug of one container is at a time, in micrograms of free base.

    Args:
        movements: up to that time, in order.
        given: what sessions gave, by session.
        given_ug: in all; of an erased patient's session what was drawn and neither returned nor wasted.
        wasted_ug: from the container, and of what sessions had drawn.
        written_off_ug: by counts that differed and were explained.
        out_ug: drawn by sessions and not accounted for yet.
    """

    container: Container
    movements: tuple[Movement, ...]
    given: tuple[tuple[str, DrugUse], ...]
    given_ug: int
    wasted_ug: int
    written_off_ug: int
    out_ug: int

    @property
    def received_ug(self) -> int:
        """What came in."""
        return self.movements[0].amount_ug

    @property
    def left_ug(self) -> int:
        """What is in it."""
        return self.movements[-1].balance_ug

    @property
    def difference_ug(self) -> int:
        """What none of the columns explains: 0 unless the record contradicts itself."""
        known = self.given_ug + self.wasted_ug + self.written_off_ug + self.left_ug + self.out_ug
        return self.received_ug - known


def account(container: Container, uses: Mapping[str, Iterable[DrugUse] | None], *, until: datetime) -> ContainerAccount:
    """A container's drug at a time, from its own movements and from what sessions say of them.

    Args:
        container: received before that time.
        uses: what each session did with drug, by its id; None for a session whose patient was erased.
        until: the time; later movements are left out.
    """
    moved = tuple(each for each in container.movements if each.at < until)
    given: list[tuple[str, DrugUse]] = []
    given_ug = out_ug = 0
    for session_id in dict.fromkeys(each.session_id for each in moved if each.session_id is not None):
        mine = [each for each in moved if each.session_id == session_id]
        taken = -sum(each.amount_ug for each in mine) - sum(each.wasted_ug or 0 for each in mine)
        told = uses.get(session_id)
        if told is None:
            given_ug += taken
            continue
        gave = [e for e in told if e.kind is DrugUseKind.GIVEN and e.container_id == container.id and e.at < until]
        given += [(session_id, each) for each in gave]
        given_ug += sum(each.amount_ug for each in gave)
        out_ug += taken - sum(each.amount_ug for each in gave)
    return ContainerAccount(
        container=container,
        movements=moved,
        given=tuple(given),
        given_ug=given_ug,
        wasted_ug=sum(each.wasted_ug or 0 for each in moved)
        - sum(each.amount_ug for each in moved if each.what == "waste"),
        written_off_ug=-sum(each.amount_ug for each in moved if each.what.startswith("explain")),
        out_ug=out_ug,
    )


def log_sections(accounts: tuple[ContainerAccount, ...], say: Wording, *, since: datetime) -> tuple[Section, ...]:
    """The log: all containers in one table that adds up, then all movements of each that was touched.

    Args:
        accounts: at the end of the period.
        say: how people and times are written.
        since: begin of the period.
    """
    touched = tuple(each for each in accounts if each.movements[-1].at >= since)
    if not accounts:
        return (
            Section(
                heading="No container",
                blocks=(
                    Paragraph(text="No container was in the clinic in this period. Nothing was received or given."),
                ),
            ),
        )
    return (
        Section(heading="Reconciliation", blocks=tuple(_summary(accounts))),
        *(
            (Section(heading="Movements, by container", blocks=tuple(_movements(each, say) for each in touched)),)
            if touched
            else ()
        ),
    )


def _summary(found: tuple[ContainerAccount, ...]) -> Iterator[Block]:
    rows = [(each.container.id, each.container.lot, *_amounts(each)) for each in found]
    totals = tuple(_mg(sum(column)) for column in zip(*map(_micrograms, found), strict=True))
    yield table_of(
        "mg of free base, at the end of the period: what came in is the sum of the columns after it",
        ("Container", "Lot", "Received#", "Given#", "Wasted#", "Written off#", "Out#", "In it#", "Difference#"),
        (*rows, ("All", "", *totals)),
    )
    wrong = [each.container.id for each in found if each.difference_ug]
    out = [each.container.id for each in found if each.out_ug]
    counted = [each.container.id for each in found if _last_count(each) == "miscount"]
    if wrong:
        yield Notice(text=f"Does not add up: {', '.join(wrong)}.", kind="warning")
    if out:
        yield Notice(text=f"Drawn by a session and not accounted for yet: {', '.join(out)}.", kind="warning")
    if counted:
        yield Notice(text=f"A count differs and nobody has explained it: {', '.join(counted)}.", kind="warning")
    if not (wrong or out or counted):
        yield Notice(text="Every container adds up to zero; no drug is out and no count differs.")
    yield Paragraph(
        text="Written off: what a count found missing (with a minus: found over) and somebody else than who counted "
        "explained. In brackets: of what a session had drawn before. Theft or loss is reported elsewhere."
    )


def _last_count(each: ContainerAccount) -> str:
    counts = [m.what for m in each.movements if m.what in {"count", "miscount"} or m.what.startswith("explain")]
    return counts[-1] if counts else ""


def _head(of: Container, say: Wording) -> str:
    strength = "" if of.concentration_ug_per_ul is None else f", {of.concentration_ug_per_ul} mg/mL"
    return f"{of.id}: {of.drug.replace('_', ' ')}{strength}; lot {of.lot}; good until {say.day(of.expires_on)}"


def _movements(each: ContainerAccount, say: Wording) -> Table:
    rows = [
        (
            move.at,
            (
                _WHAT[move.what],
                _moved(move),
                _mg(move.balance_ug),
                say.who(move.by),
                say.who(move.witness),
                _short(move.session_id),
                move.reason or "",
            ),
        )
        for move in each.movements
    ]
    rows += [
        (use.at, ("Given", f"({_mg(use.amount_ug)})", "", say.who(use.by), "", _short(session_id), ""))
        for session_id, use in each.given
    ]
    return table_of(
        _head(each.container, say),
        ("When", "What", "mg#", "In it, mg#", "By", "Witness", "Session", "Reason"),
        ((say.moment(at), *cells) for at, cells in sorted(rows, key=lambda row: row[0])),
    )


def _short(session_id: str | None) -> str:
    """The end of a session's number, which tells it from every other of a container."""
    return "" if session_id is None else session_id[-8:]


def _moved(move: Movement) -> str:
    if move.what in {"count", "miscount"}:
        return f"found {_mg(move.counted_ug or 0)}"
    if move.wasted_ug is not None:
        return f"({_mg(move.wasted_ug)})"
    return f"{'+' if move.amount_ug > 0 else ''}{_mg(move.amount_ug)}"


def _micrograms(each: ContainerAccount) -> tuple[int, ...]:
    return (
        each.received_ug,
        each.given_ug,
        each.wasted_ug,
        each.written_off_ug,
        each.out_ug,
        each.left_ug,
        each.difference_ug,
    )


def _amounts(each: ContainerAccount) -> tuple[str, ...]:
    return tuple(map(_mg, _micrograms(each)))


def _mg(ug: int) -> str:
    return format_mg(ug).removesuffix(" mg").replace("-", "−")
