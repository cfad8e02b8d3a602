"""The cabinet: containers that hold drug, taken in, counted by two, wasted before a witness, explained."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Annotated

from fastapi import APIRouter, Depends, Request, Response
from fastapi.responses import RedirectResponse

from afterglow.clinic import ContainerState
from afterglow.errors import AfterglowError, MissingValue, NotFound, SignAgain
from afterglow.quantities import DrugForm
from afterglow.usecases import drugs
from afterglow.usecases.desk import Desk
from afterglow.web.intake import signing
from afterglow.web.intake_acts import today_of
from afterglow.web.pages import PageRoute, check_role, desk_of, page, second_person, status_of
from afterglow.web.typed import Typed, typed_of

router = APIRouter(route_class=PageRoute, prefix="/drugs")
Form = Annotated[Typed, Depends(typed_of)]
_KEPT = (DrugForm.RACEMIC_KETAMINE, DrugForm.ESKETAMINE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """One form of the page as it came in."""

    request: Request
    desk: Desk
    typed: Typed

    @property
    def container(self) -> tuple[str, int]:
        """The container that was chosen, and the version that the page showed.

        Raises: MissingValue.
        """
        version, _, container_id = self.typed.needed("container", "The container").partition(":")
        return container_id, int(version) if version.isdigit() else 0


@router.get("")
def show(request: Request) -> Response:
    """What is in the cabinet, and the forms."""
    return _page(request, desk_of(request))


@router.post("/{act}")
def do(request: Request, act: str, form: Form) -> Response:
    """One act; what is refused comes back on the page with what was typed."""
    wanted, desk = ACTS.get(act), desk_of(request)
    if wanted is None:
        raise NotFound("There is no such form")
    case, run = wanted
    check_role(desk, case)
    try:
        run(Asked(request=request, desk=desk, typed=form))
    except SignAgain:
        raise
    except AfterglowError as refused:
        return _page(request, replace(desk, refresh=True), refused=refused, act=act, typed=form)
    return RedirectResponse("/drugs", status_code=303)


def _receive(asked: Asked) -> None:
    form = asked.typed
    container_id, lot = form.needed("container_id", "The number of the container"), form.needed("lot", "The lot")
    drug = DrugForm(form.one_of("drug", _KEPT, "The drug"))
    expires_on = form.day("expires_on")
    if expires_on is None:
        raise MissingValue("The expiry is missing", next_step="Read it from the label", about="expires_on")
    drugs.receive_container(
        asked.desk,
        container_id,
        lot=lot,
        drug=drug,
        expires_on=expires_on,
        amount_ug=form.needed_thousandths("amount_mg", "The amount"),
        concentration_ug_per_ul=form.whole("concentration_mg_per_ml", "The concentration"),
    )


def _count(asked: Asked) -> None:
    container_id, version = asked.container
    drugs.count_container(
        asked.desk,
        container_id,
        counted_ug=asked.typed.needed_thousandths("counted_mg", "What was counted"),
        witness=second_person(asked.request, asked.desk, asked.typed, "The second count"),
        version=version,
    )


def _waste(asked: Asked) -> None:
    container_id, version = asked.container
    drugs.waste_container(
        asked.desk,
        container_id,
        reason=asked.typed.needed("reason", "The reason"),
        witness=second_person(asked.request, asked.desk, asked.typed, "The witness"),
        version=version,
    )


def _explain(asked: Asked) -> None:
    container_id, version = asked.container
    drugs.explain_container(
        asked.desk, container_id, reason=asked.typed.needed("reason", "The reason"), version=version
    )


ACTS: dict[str, tuple[str, Callable[[Asked], None]]] = {
    "receive": ("drugs.receive", _receive),
    "count": ("drugs.count", _count),
    "waste": ("drugs.waste", _waste),
    "explain": ("drugs.explain", _explain),
}
"""Every act of the page, the use case that says who may, and what it does."""


def _page(
    request: Request,
    desk: Desk,
    *,
    refused: AfterglowError | None = None,
    act: str = "",
    typed: Typed | None = None,
) -> Response:
    found = drugs.list_stock(desk)
    here = sorted(found.shown, key=lambda each: (each.now.drug, each.now.expires_on, each.id))
    return page(
        request,
        "drugs.html",
        desk=desk,
        status=200 if refused is None else status_of(refused),
        behind=found.trail_behind,
        stock=here,
        usable=[each for each in here if each.now.state is not ContainerState.DISCREPANT],
        disputed=[each for each in here if each.now.state is ContainerState.DISCREPANT],
        drug_words=[(each.value, each.replace("_", " ").capitalize()) for each in _KEPT],
        mg=lambda ug: f"{ug / 1000:g}",
        today=today_of(desk),
        refused=refused,
        act=act,
        typed={} if typed is None else typed.fields,
        **signing(desk),
    )
