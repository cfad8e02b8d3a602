"""Drug containers: receipt, draw, return, waste, count and discrepancy, in whole micrograms and microlitres.

received = in the container + drawn - returned + wasted + written off, for every container and lot; never negative. Drug
that was drawn and wasted in a session is waste of its lot, not use.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import date, datetime
from enum import StrEnum

from afterglow.clinic.acting import CLINICAL, Act, Outcome, Role, Row, StateTable, check_witness
from afterglow.clinic.policy import SitePolicy
from afterglow.clinic.typed import typed
from afterglow.errors import MissingValue, OutOfRange, Unbalanced
from afterglow.quantities import DrugForm, format_mg


class ContainerState(StrEnum):
    """Where a container is; discrepant: a count did not agree and nobody has explained it yet."""

    SEALED = "sealed"
    OPENED = "opened"
    SPENT = "spent"
    DISCREPANT = "discrepant"


_SEALED, _OPENED = ContainerState.SEALED, ContainerState.OPENED
_SPENT, _LOCKED = ContainerState.SPENT, ContainerState.DISCREPANT
_LEADS = (Role.MEDICAL_DIRECTOR, Role.COMPLIANCE)
_IN_USE = (_SEALED, _OPENED)
_COUNTED = (*_IN_USE, _SPENT)  # an empty one too: zero is a count

CONTAINER = StateTable(
    machine="container",
    initial=_SEALED,
    rows=(
        Row(states=_IN_USE, event="draw", to=_OPENED, roles=CLINICAL, guard="not more than is in it; not expired"),
        Row(states=_IN_USE, event="draw_all", to=_SPENT, roles=CLINICAL, guard="all that is in it"),
        Row(states=_COUNTED, event="put_back", to=_OPENED, roles=CLINICAL, guard="no liquid; unopened", reason=True),
        Row(states=_COUNTED, event="put_back_all", to=_SEALED, roles=CLINICAL, guard="all that came in", reason=True),
        Row(states=_IN_USE, event="waste", to=_SPENT, roles=CLINICAL, guard="witness, another login", reason=True),
        Row(
            states=tuple(ContainerState),
            event="waste_drawn",
            to=None,
            roles=CLINICAL,
            guard="what a session drew and did not give; witness, another login",
            reason=True,
        ),
        Row(states=_COUNTED, event="count", to=None, roles=CLINICAL, guard="two persons; agrees"),
        Row(states=_COUNTED, event="miscount", to=_LOCKED, roles=CLINICAL, guard="two persons; not over what came in"),
        Row(
            states=(_LOCKED,),
            event="explain",
            to=_OPENED,
            roles=_LEADS,
            guard="not who counted; balance set to what was counted; the difference stays on record",
            reason=True,
        ),
        Row(states=(_LOCKED,), event="explain_empty", to=_SPENT, roles=_LEADS, guard="not who counted", reason=True),
    ),
)


@typed
@dataclass(frozen=True, slots=True, kw_only=True)
class Movement:
    """A fact: drug that came in or went out of a container; positive in, negative out.

    Args:
        what: received, or the event of the table.
        session_id: for which session, if for one.
        counted_ug: what was found, for counts.
        wasted_ug: of what a session had drawn; it is out of the container already, so that no balance changes.
    """

    container_id: str
    what: str
    amount_ug: int
    volume_ul: int
    balance_ug: int
    balance_ul: int
    by: str
    at: datetime
    witness: str | None = None
    reason: str | None = None
    session_id: str | None = None
    counted_ug: int | None = None
    wasted_ug: int | None = None


@typed
@dataclass(frozen=True, slots=True, kw_only=True)
class Container:
    """One vial, device, film or bottle of one lot.

    Args:
        concentration_ug_per_ul: the same number as mg/mL; None for what is not a liquid.
        balance_ug, balance_ul: what is in it now; microlitres are 0 for what is not a liquid.
        movements: all of them, in order; the first is the receipt.
        counted_ug: what the count that disagreed found; None unless discrepant.
    """

    id: str
    lot: str
    drug: DrugForm
    concentration_ug_per_ul: int | None
    expires_on: date
    balance_ug: int
    balance_ul: int
    state: ContainerState = ContainerState.SEALED
    movements: tuple[Movement, ...] = ()
    counted_ug: int | None = None

    @property
    def received_ug(self) -> int:
        """What came in."""
        return self.movements[0].amount_ug if self.movements else 0


@dataclass(frozen=True, slots=True, kw_only=True)
class LotBalance:
    """What came in of a lot and where it is, in micrograms; `received` is the sum of the others.

    Args:
        used_ug: drawn, neither returned nor wasted; what a running session has not accounted for yet is in it.
        wasted_ug: from containers, and of what sessions had drawn.
    """

    lot: str
    received_ug: int
    in_stock_ug: int
    used_ug: int
    wasted_ug: int
    written_off_ug: int
    in_stock_ul: int


def receive(
    act: Act,
    *,
    container_id: str,
    lot: str,
    drug: DrugForm,
    expires_on: date,
    amount_ug: int,
    concentration_ug_per_ul: int | None,
) -> Outcome[Container]:
    """A container as it came in, with all that its label says is in it.

    Raises: NotPermitted; OutOfRange for an amount that is not positive or not whole microlitres; MissingValue.

    >>> from datetime import UTC
    >>> act = Act(by="rn1", roles=(Role.NURSE,), at=datetime(2026, 1, 5, 9, tzinfo=UTC))
    >>> receive(act, container_id="v1", lot="L1", drug=DrugForm.RACEMIC_KETAMINE, expires_on=date(2027, 1, 1),
    ...         amount_ug=500_000, concentration_ug_per_ul=50).now.balance_ul
    10000
    """
    act.check_role(*CLINICAL, Role.COMPLIANCE, what="Receiving drug")
    if not (container_id and lot):
        raise MissingValue("A container has an id and a lot")
    volume_ul = _volume_ul(amount_ug, concentration_ug_per_ul)
    container = Container(
        id=container_id,
        lot=lot,
        drug=drug,
        concentration_ug_per_ul=concentration_ug_per_ul,
        expires_on=expires_on,
        balance_ug=0,
        balance_ul=0,
    )
    _check_expiry(expires_on, act, next_step="Do not take it in; send it back")
    return _moved(container, act, "received", amount_ug, volume_ul, state=ContainerState.SEALED)


def draw(container: Container, act: Act, *, amount_ug: int, session_id: str) -> Outcome[Container]:
    """Take drug for a session; taking all of it spends the container.

    Raises: WrongState, NotPermitted; MissingValue without a session; Unbalanced for more than is in it; OutOfRange
        after its expiry.

    >>> from afterglow.clinic.examples import nurse, vial
    >>> draw(vial(), nurse(), amount_ug=40_000, session_id="s1").written[0].volume_ul
    -800
    """
    event = "draw_all" if amount_ug == container.balance_ug else "draw"
    row = CONTAINER.check(container.state, event, act)
    if not session_id.strip():
        raise MissingValue("Drug is drawn for a session", next_step="Name the session", about="session_id")
    _check_expiry(container.expires_on, act, next_step="Take another container; waste this one with a witness")
    volume_ul = _volume_ul(amount_ug, container.concentration_ug_per_ul)
    _check_balance(container, amount_ug)
    return _moved(container, act, event, -amount_ug, -volume_ul, state=row.to, session_id=session_id)


def put_back(container: Container, act: Act, *, amount_ug: int, session_id: str) -> Outcome[Container]:
    """Return what a session drew and did not open, with a reason; a container that is whole again is sealed.

    Raises: WrongState, NotPermitted, MissingValue; Unbalanced for more than the session drew, or part of a liquid.

    >>> from afterglow.clinic.examples import nurse, vial
    >>> taken = draw(vial(), nurse(), amount_ug=500_000, session_id="s1").now
    >>> put_back(taken, nurse(reason="unopened"), amount_ug=500_000, session_id="s1").now.state
    <ContainerState.SEALED: 'sealed'>
    """
    whole = container.balance_ug + amount_ug == container.received_ug == amount_ug
    event = "put_back_all" if whole else "put_back"
    row = CONTAINER.check(container.state, event, act)
    volume_ul = _volume_ul(amount_ug, container.concentration_ug_per_ul)
    if volume_ul and not whole:
        raise Unbalanced(
            "A liquid goes back only unopened",
            rule="K01",
            observed=format_mg(amount_ug),
            allowed=f"the whole container, {format_mg(container.received_ug)}",
            next_step="Waste it with a witness",
        )
    out = _out_ug(container, session_id)
    if amount_ug > out:
        raise Unbalanced(
            "More is returned than the session drew",
            rule="K01",
            observed=format_mg(amount_ug),
            allowed=format_mg(out),
        )
    if container.balance_ug + amount_ug > container.received_ug:
        raise Unbalanced(
            "More would be in the container than came in",
            rule="K01",
            observed=format_mg(container.balance_ug + amount_ug),
            allowed=format_mg(container.received_ug),
            next_step="Count the container",
        )
    return _moved(container, act, event, amount_ug, volume_ul, state=row.to, session_id=session_id)


def waste_rest(container: Container, act: Act, *, policy: SitePolicy, witness: Act | None = None) -> Outcome[Container]:
    """Waste all that is left in a container, expired or not, with a reason and a witness under another login.

    Raises: WrongState, NotPermitted, MissingValue, SecondPerson.

    >>> from afterglow.clinic.examples import POLICY, nurse, vial
    >>> waste_rest(vial(), nurse(reason="expired"), policy=POLICY, witness=nurse(by="rn2")).now.balance_ug
    0
    """
    row = CONTAINER.check(container.state, "waste", act)
    if policy.flag("drugs.waste_witness"):
        check_witness(act, witness, what="Waste")
    by = None if witness is None else witness.by
    return _moved(container, act, "waste", -container.balance_ug, -container.balance_ul, state=row.to, witness=by)


def waste_drawn(
    container: Container,
    act: Act,
    *,
    amount_ug: int,
    session_id: str,
    policy: SitePolicy,
    witness: Act | None = None,
) -> Outcome[Container]:
    """Waste what a session drew and did not give, with a reason and a witness under another login.

    Raises: WrongState, NotPermitted, MissingValue, SecondPerson; Unbalanced for more than the session drew.

    >>> from afterglow.clinic.examples import POLICY, nurse, vial
    >>> drawn = draw(vial(), nurse(5), amount_ug=50_000, session_id="s1").now
    >>> wasted = waste_drawn(drawn, nurse(60, reason="rest"), amount_ug=10_000, session_id="s1", policy=POLICY,
    ...                      witness=nurse(60, by="rn2")).now
    >>> balance = lot_balance((wasted,), "L1")
    >>> balance.used_ug, balance.wasted_ug, balance.in_stock_ug
    (40000, 10000, 450000)
    """
    row = CONTAINER.check(container.state, "waste_drawn", act)
    by = check_witness(act, witness, what="Waste").by if policy.flag("drugs.waste_witness") or witness else None
    check_amount(amount_ug)
    out = _out_ug(container, session_id)
    if amount_ug > out:
        raise Unbalanced(
            "More is wasted than the session drew",
            rule="K01",
            observed=format_mg(amount_ug),
            allowed=format_mg(out),
        )
    return _moved(
        container, act, "waste_drawn", 0, 0, state=row.to, witness=by, session_id=session_id, wasted_ug=amount_ug
    )


def count(
    container: Container, act: Act, *, counted_ug: int, policy: SitePolicy, witness: Act | None = None
) -> Outcome[Container]:
    """A count, of an empty container too; one that differs makes it discrepant and locks it, and changes no balance.

    Raises: WrongState, NotPermitted; SecondPerson where the policy asks for two; OutOfRange for a negative amount, one
        that is not whole microlitres, or more than ever came in: a slip, or drug of another container.

    >>> from afterglow.clinic.examples import POLICY, nurse, vial
    >>> count(vial(), nurse(), counted_ug=499_950, policy=POLICY, witness=nurse(by="rn2")).now.state
    <ContainerState.DISCREPANT: 'discrepant'>
    """
    if type(counted_ug) is not int or not 0 <= counted_ug <= container.received_ug:
        raise OutOfRange(
            "The count is refused",
            observed=format_mg(counted_ug) if _is_whole(counted_ug) else f"{counted_ug!r} micrograms",
            allowed=f"0 to {format_mg(container.received_ug)}, what came in",
            next_step="Count again; what is over belongs to another container",
        )
    if counted_ug:
        _volume_ul(counted_ug, container.concentration_ug_per_ul)
    event = "count" if counted_ug == container.balance_ug else "miscount"
    row = CONTAINER.check(container.state, event, act)
    if policy.flag("drugs.count_two_persons"):
        check_witness(act, witness, what="A count")
    by = None if witness is None else witness.by
    state = row.to or container.state
    done = _moved(container, act, event, 0, 0, state=state, witness=by, counted_ug=counted_ug)
    found = counted_ug if event == "miscount" else None
    return Outcome(now=replace(done.now, counted_ug=found), written=done.written)


def explain(container: Container, act: Act) -> Outcome[Container]:
    """Close a discrepancy with a reason: the balance becomes what was counted, the difference stays on record.

    Theft or significant loss is reported outside this system (K05).

    Raises: WrongState, NotPermitted (medical director or compliance), MissingValue; SecondPerson for one who counted.

    >>> from afterglow.clinic.examples import POLICY, act, nurse, vial
    >>> found = count(vial(), nurse(), counted_ug=499_950, policy=POLICY, witness=nurse(by="rn2")).now
    >>> explain(found, act(Role.COMPLIANCE, reason="spilt")).now.balance_ug
    499950
    """
    counted = container.counted_ug or 0
    event = "explain" if counted else "explain_empty"
    row = CONTAINER.check(container.state, event, act)
    _check_not_counter(container, act)
    difference = counted - container.balance_ug
    concentration = container.concentration_ug_per_ul
    volume_ul = 0 if concentration is None else counted // concentration - container.balance_ul
    done = _moved(container, act, event, difference, volume_ul, state=row.to, counted_ug=counted)
    return Outcome(now=replace(done.now, counted_ug=None), written=done.written)


def lot_balance(containers: Iterable[Container], lot: str) -> LotBalance:
    """Where the drug of a lot is, from its movements.

    >>> lot_balance((), "L1").received_ug
    0
    """
    mine = [each for each in containers if each.lot == lot]
    moved = [(each.what, each.amount_ug) for container in mine for each in container.movements]

    def total(*what: str) -> int:
        return sum(amount for name, amount in moved if name in what)

    wasted_ug = sum(each.wasted_ug or 0 for container in mine for each in container.movements)
    return LotBalance(
        lot=lot,
        received_ug=total("received"),
        in_stock_ug=sum(each.balance_ug for each in mine),
        used_ug=-total("draw", "draw_all", "put_back", "put_back_all") - wasted_ug,
        wasted_ug=wasted_ug - total("waste"),
        written_off_ug=-total("explain", "explain_empty"),
        in_stock_ul=sum(each.balance_ul for each in mine),
    )


def _moved(
    container: Container,
    act: Act,
    what: str,
    amount_ug: int,
    volume_ul: int,
    *,
    state: str | None,
    witness: str | None = None,
    session_id: str | None = None,
    counted_ug: int | None = None,
    wasted_ug: int | None = None,
) -> Outcome[Container]:
    if container.movements:
        act.check_after(container.movements[-1].at, what="A movement of drug")
    movement = Movement(
        container_id=container.id,
        what=what,
        amount_ug=amount_ug,
        volume_ul=volume_ul,
        balance_ug=container.balance_ug + amount_ug,
        balance_ul=container.balance_ul + volume_ul,
        by=act.by,
        at=act.at,
        witness=witness,
        reason=act.reason,
        session_id=session_id,
        counted_ug=counted_ug,
        wasted_ug=wasted_ug,
    )
    now = replace(
        container,
        balance_ug=movement.balance_ug,
        balance_ul=movement.balance_ul,
        state=ContainerState(state or container.state),
        movements=(*container.movements, movement),
    )
    return Outcome(now=now, written=(movement,))


def check_amount(amount_ug: int) -> None:
    """Refuse an amount of drug that is not a positive whole number of micrograms.

    Raises: OutOfRange.

    >>> check_amount(28_000)
    """
    if not _is_whole(amount_ug) or amount_ug <= 0:
        raise OutOfRange(
            "An amount of drug is positive and whole", observed=f"{amount_ug} micrograms", allowed="0.001 mg or more"
        )


def _out_ug(container: Container, session_id: str) -> int:
    """What a session drew of a container and neither returned nor wasted."""
    mine = [each for each in container.movements if each.session_id == session_id]
    return -sum(each.amount_ug for each in mine) - sum(each.wasted_ug or 0 for each in mine)


def _is_whole(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _check_not_counter(container: Container, act: Act) -> None:
    last = container.movements[-1]
    for each in (last.by, last.witness):
        if each is not None:
            act.check_other_than(each, what="Explaining a count that differs")


def _volume_ul(amount_ug: int, concentration_ug_per_ul: int | None) -> int:
    check_amount(amount_ug)
    if concentration_ug_per_ul is None:
        return 0
    if not _is_whole(concentration_ug_per_ul) or concentration_ug_per_ul <= 0:
        raise OutOfRange(
            "The concentration is refused",
            observed=f"{concentration_ug_per_ul} mg/mL",
            allowed="a whole number of mg/mL, 1 or more",
            next_step="Read it from the label",
        )
    if amount_ug % concentration_ug_per_ul:
        raise OutOfRange(
            "A liquid is measured in whole microlitres",
            observed=f"{format_mg(amount_ug)} of {concentration_ug_per_ul} mg/mL",
            allowed=f"a multiple of {format_mg(concentration_ug_per_ul)}",
            next_step="Enter the volume drawn",
        )
    return amount_ug // concentration_ug_per_ul


def _check_balance(container: Container, amount_ug: int) -> None:
    if amount_ug > container.balance_ug:
        raise Unbalanced(
            "More is taken than is in the container",
            rule="K01",
            observed=format_mg(amount_ug),
            allowed=format_mg(container.balance_ug),
            next_step="Count the container",
        )


def _check_expiry(expires_on: date, act: Act, *, next_step: str) -> None:
    if act.at.date() > expires_on:
        raise OutOfRange(
            "The drug has expired",
            observed=f"good until {expires_on:%Y-%m-%d}",
            allowed=f"good on {act.at:%Y-%m-%d}",
            next_step=next_step,
        )
