"""Set-up of a clinic: what it needs before its first patient, what it has, and the forms for what is set here."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Annotated, Any
from zoneinfo import ZoneInfo

from fastapi import APIRouter, Depends, Form, Request, Response
from fastapi.responses import RedirectResponse

from afterglow.clinic import Chair, Closure, Delivery, Diary, Role
from afterglow.clinic.acting import chair_words
from afterglow.errors import AfterglowError, InputError, echo
from afterglow.usecases.policies import (
    HelpLines,
    Prices,
    help_lines,
    publish_consent_form,
    read_readiness,
    set_chairs,
    set_help_lines,
    set_prices,
)
from afterglow.usecases.words import tidy
from afterglow.web.pages import PageRoute, check_role, clinic_of, desk_of, page, status_of, store_of
from afterglow.web.typed import Typed, local_time, typed_of

router = APIRouter(route_class=PageRoute)
NEEDED = (Role.MEDICAL_DIRECTOR, Role.PRESCRIBER, Role.NURSE, Role.COORDINATOR)
_SPARE_ROWS = 3  # empty rows for new chairs
Text = Annotated[str, Form()]
Texts = Annotated[Sequence[str], Form()]


@router.get("/clinic")
def show(request: Request) -> Response:
    """The steps, each done or open."""
    return _page(request)


@router.post("/clinic/chairs")
def keep_chairs(
    request: Request, chair: Texts = (), gives: Texts = (), capacity: Text = "", nurses: Text = ""
) -> Response:
    """Chairs with what may be given in each; a chair without a name is left out."""
    desk = desk_of(request)
    typed = tuple(
        Chair(id=name.strip(), deliveries=tuple(d for d in Delivery if f"{n}:{d}" in gives))
        for n, name in enumerate(chair)
    )
    try:
        _check_chairs(typed)
        closures = _diary(request).closures
        at_once = _whole(capacity, "capacity", "The number of patients in chairs at once")
        watch = _whole(nurses, "nurses", "The number of nurses") if nurses.strip() else None
        named = tuple(each for each in typed if each.id)
        set_chairs(desk, named, capacity=at_once, closures=closures, nurses=watch)
    except AfterglowError as refused:
        staff = {"capacity": capacity, "nurses": nurses}
        return _page(request, refused=refused, form="chairs", chairs=typed, staff=staff)
    return _back("chairs")


@router.post("/clinic/close")
def close(
    request: Request, chair: Text = "", begin: Text = "", end: Text = "", reason: Text = "", drop: Text = ""
) -> Response:
    """A time in which nothing is booked, of one chair or of all; or one of them taken away again."""
    desk = desk_of(request)
    zone = ZoneInfo(clinic_of(desk.store, desk.actor.clinic_id).time_zone)
    now = _diary(request)
    try:
        if drop:
            kept = tuple(each for n, each in enumerate(now.closures) if str(n) != drop)
        else:
            starts, until = (local_time(*each.partition("T")[::2], zone) for each in (begin, end))
            if not reason.strip():
                raise InputError("A closure needs a reason", next_step="Say why", about="reason")
            made = Closure(starts_at=starts, until=until, reason=reason.strip()[:80], chair_id=chair or None)
            kept = (*now.closures, made)
        set_chairs(desk, now.chairs, capacity=now.capacity, closures=kept, nurses=now.nurses)
    except AfterglowError as refused:
        return _page(request, refused=refused, form="closures")
    return _back("closures")


@router.post("/clinic/consent")
def publish(request: Request, delivery: Text = "", version: Text = "") -> Response:
    """The consent form in use for a delivery."""
    try:
        publish_consent_form(desk_of(request), _delivery(delivery), version=version)
    except AfterglowError as refused:
        return _page(request, refused=refused, form="consent")
    return _back("consent")


@router.post("/clinic/help")
def keep_help(
    request: Request,
    emergency: Text = "",
    crisis: Text = "",
    crisis_text: Text = "",
    clinic: Text = "",
    answered: Text = "",
) -> Response:
    """Whom patients are told to call."""
    lines = HelpLines(
        emergency=emergency.strip(),
        crisis=crisis.strip(),
        crisis_text=bool(crisis_text),
        clinic=clinic.strip(),
        answered=answered.strip()[:60],
    )
    try:
        set_help_lines(desk_of(request), lines)
    except AfterglowError as refused:
        return _page(request, refused=refused, form="help", typed=lines)
    return _back("help")


@router.post("/clinic/prices")
def keep_prices(request: Request, form: Annotated[Typed, Depends(typed_of)]) -> Response:
    """What a session costs by treatment; an empty field is no price."""
    check_role(desk_of(request), "policies.set_prices")
    try:
        found = ((d, form.hundredths(f"price_{d}", f"The price of {d.words}")) for d in Delivery)
        priced = tuple((delivery, price) for delivery, price in found if price is not None)
        set_prices(desk_of(request), Prices(currency=form.needed("currency", "The currency").upper(), session=priced))
    except AfterglowError as refused:
        return _page(request, refused=refused, form="prices", prices=form.fields)
    return _back("prices")


def _page(
    request: Request,
    *,
    refused: AfterglowError | None = None,
    form: str = "",
    typed: HelpLines | None = None,
    prices: Mapping[str, str] | None = None,
    chairs: Sequence[Chair] | None = None,
    staff: Mapping[str, object] | None = None,
) -> Response:
    desk = desk_of(request)
    ready = read_readiness(desk).shown
    kept = () if ready.diary is None else ready.diary.chairs
    missing = [each for each in NEEDED if each not in ready.people]
    done = {
        "people": not missing,
        "policy": ready.policy is not None,
        "chairs": ready.diary is not None,
        "consent": bool(ready.consent_forms),
        "help": ready.help_lines is not None,
        "first": ready.has_course,
    }
    shown: dict[str, Any] = {
        "ready": ready,
        "missing": missing,
        "done": done,
        "rows": [*kept, *[Chair(id="", deliveries=())] * _SPARE_ROWS] if chairs is None else chairs,
        "staff": _staff(ready.diary) if staff is None else staff,
        "deliveries": tuple(Delivery),
        "lines": typed or ready.help_lines or help_lines(store_of(request), desk.actor.clinic_id),
        "refused": refused,
        "form": form,
        "prices": _prices(ready.prices) if prices is None else prices,
    }
    return page(request, "clinic.html", desk=desk, status=200 if refused is None else status_of(refused), **shown)


def _prices(kept: Prices | None) -> dict[str, str]:
    """Prices as the form shows them."""
    if kept is None:
        return {}
    return {"currency": kept.currency} | {f"price_{d}": f"{price / 100:.2f}" for d, price in kept.session}


def _staff(kept: Diary | None) -> dict[str, object]:
    """Numbers of staff as the form shows them."""
    if kept is None:
        return {"capacity": "", "nurses": ""}
    return {"capacity": kept.capacity, "nurses": "" if kept.nurses is None else kept.nurses}


def _check_chairs(typed: Sequence[Chair]) -> None:
    """Refuse, at its row, what the form alone can tell: ticks without a name, a name without ticks, a name twice.

    Raises: InputError.
    """
    if not any(each.id for each in typed):
        raise InputError("A clinic has a chair", next_step="Name one", about="chair-0")
    for n, each in enumerate(typed):
        if each.deliveries and not each.id:
            raise InputError("A chair has a name", next_step="Name it, or take the ticks away", about=f"chair-{n}")
        if each.id and not each.deliveries:
            words = tidy(chair_words(each.id))
            raise InputError(f"{words} is for nothing", next_step="Tick what may be given in it", about=f"chair-{n}")
        if each.id and each.id in {other.id for other in typed[:n]}:
            raise InputError(
                "Two chairs share a name", observed=echo(each.id), next_step="Name one otherwise", about=f"chair-{n}"
            )


def _diary(request: Request) -> Diary:
    found = read_readiness(replace(desk_of(request), refresh=True)).shown.diary
    return Diary(chairs=(), capacity=0) if found is None else found


def _whole(text: str, name: str, what: str) -> int:
    try:
        return int(text)
    except ValueError:
        raise InputError(
            f"{what} is no whole number",
            observed=echo(text) if text.strip() else "nothing",
            next_step="Give a whole number",
            about=name,
        ) from None


def _delivery(text: str) -> Delivery:
    try:
        return Delivery(text)
    except ValueError:
        raise InputError("Nothing is given that way", next_step="Choose from the list", about="delivery") from None


def _back(part: str) -> Response:
    return RedirectResponse(f"/clinic#{part}", status_code=303)
