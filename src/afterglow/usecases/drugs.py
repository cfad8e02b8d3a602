"""Drugs: containers received, counted, wasted, explained; every lot adds up."""

from __future__ import annotations

from datetime import date

from afterglow.clinic import (
    CONTAINER,
    Container,
    ContainerState,
    LotBalance,
    Outcome,
    Role,
    count,
    explain,
    lot_balance,
    receive,
    waste_rest,
)
from afterglow.quantities import DrugForm
from afterglow.usecases.desk import roles_of, use_case, view
from afterglow.usecases.work import CARE, Actor, Loaded, Work, Written

_STOCK = (ContainerState.SEALED, ContainerState.OPENED, ContainerState.DISCREPANT)


@use_case("drugs.receive", roles=(Role.NURSE, Role.PRESCRIBER, Role.MEDICAL_DIRECTOR, Role.COMPLIANCE))
def receive_container(
    work: Work,
    container_id: str,
    *,
    lot: str,
    drug: DrugForm,
    expires_on: date,
    amount_ug: int,
    concentration_ug_per_ul: int | None,
) -> Written:
    """A container as it came in, with all that its label says is in it.

    Raises: OutOfRange, MissingValue; Conflict for an id that is there already.
    """
    outcome = receive(
        work.act(),
        container_id=container_id,
        lot=lot,
        drug=drug,
        expires_on=expires_on,
        amount_ug=amount_ug,
        concentration_ug_per_ul=concentration_ug_per_ul,
    )
    for fact in outcome.written:
        work.write(fact, subject=container_id)
    return work.add(outcome.now, id=container_id, state=outcome.now.state)


@use_case("drugs.waste", roles=roles_of(CONTAINER, "waste"), signs=True)
def waste_container(
    work: Work, container_id: str, *, reason: str, witness: Actor | None = None, version: int
) -> Written:
    """Waste all that is left in a container, before a witness.

    Raises: WrongState, MissingValue, SecondPerson, Conflict.
    """
    loaded = work.load(Container, container_id, version=version)
    outcome = waste_rest(loaded.now, work.act(reason), policy=work.policy(), witness=work.act_of(witness))
    return keep_container(work, loaded, outcome)


@use_case("drugs.count", roles=roles_of(CONTAINER, "count"), signs=True)
def count_container(
    work: Work, container_id: str, *, counted_ug: int, witness: Actor | None = None, version: int
) -> Written:
    """A count by two; one that differs locks the container until it is explained.

    Raises: WrongState, SecondPerson, OutOfRange, Conflict.
    """
    loaded = work.load(Container, container_id, version=version)
    second = work.act_of(witness)
    outcome = count(loaded.now, work.act(), counted_ug=counted_ug, policy=work.policy(), witness=second)
    return keep_container(work, loaded, outcome)


@use_case("drugs.explain", roles=roles_of(CONTAINER, "explain"), signs=True)
def explain_container(work: Work, container_id: str, *, reason: str, version: int) -> Written:
    """Close a discrepancy with a reason; the difference stays on record.

    Raises: WrongState, MissingValue, Conflict.
    """
    loaded = work.load(Container, container_id, version=version)
    return keep_container(work, loaded, explain(loaded.now, work.act(reason)))


@view("drugs.stock", roles=(*CARE, Role.COMPLIANCE))
def list_stock(work: Work) -> tuple[Loaded[Container], ...]:
    """Every container that holds drug or waits for an explanation."""
    return work.every(Container, states=_STOCK)


@view("drugs.lot", roles=(*CARE, Role.COMPLIANCE))
def read_lot(work: Work, lot: str) -> LotBalance:
    """Where the drug of a lot is."""
    return lot_balance((each.now for each in work.every(Container)), lot)


def keep_container(work: Work, loaded: Loaded[Container], outcome: Outcome[Container]) -> Written:
    """The container as it is now, with its movements."""
    return work.keep(loaded, outcome, state=outcome.now.state)
