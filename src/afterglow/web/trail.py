"""The audit trail for compliance: who did and saw what, by patient, person, act and time; and the proof of it.

A patient's name travels in the form alone; the address of the trail holds the id.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime, time, timedelta
from threading import Thread
from typing import Annotated
from urllib.parse import urlencode
from zoneinfo import ZoneInfo

from fastapi import APIRouter, Form, Request, Response
from fastapi.responses import RedirectResponse

from afterglow.errors import AfterglowError, InputError
from afterglow.store.audit import Verification, proven_so_far
from afterglow.usecases.desk import CATALOGUE, Desk, check_permitted
from afterglow.usecases.oversight import act_words, find_for_trail, prove_trail, read_page
from afterglow.usecases.patients import Found
from afterglow.web.pages import ADMIN, PageRoute, clinic_of, desk_of, page, status_of

router = APIRouter(route_class=PageRoute, prefix="/admin/audit")
Text = Annotated[str, Form()]
_AGAIN_S = 3
_PAGE = 50
_FIRST, _LAST = date(1800, 1, 1), date(2999, 12, 31)  # a zone's clock is not asked for beyond
_KINDS = ("read", "refused", "login.refused", "link.opened", "clinic.exported")


class Proof:
    """A proof of a clinic's trail under way, or done."""

    def __init__(self, desk: Desk) -> None:
        self.asked_at = desk.store.clock()
        self.found: Verification | None = None
        self.fault: AfterglowError | None = None
        self._thread = Thread(target=self._prove, args=(desk,), name="proof", daemon=True)
        self._thread.start()

    @property
    def runs(self) -> bool:
        """Whether it is under way."""
        return self._thread.is_alive()

    def _prove(self, desk: Desk) -> None:
        try:
            self.found = prove_trail(desk).shown
        except AfterglowError as fault:
            self.fault = fault


@router.get("")
def show_trail(
    request: Request,
    before: int | None = None,
    patient: str = "",
    by: str = "",
    act: str = "",
    since: str = "",
    until: str = "",
) -> Response:
    """A page of the audit trail, newest first, of a patient, a person, an act or a time; and the proof's state."""
    asked = {"patient": patient.strip(), "by": by, "act": act, "since": since, "until": until}
    return _trail(request, desk_of(request), asked, before=before)


@router.post("/find")
def find_in_trail(request: Request, name: Text = "", born_on: Text = "", record_number: Text = "") -> Response:
    """Who fits what is known of a patient; it travels in the form alone and stands in no address or log."""
    desk = desk_of(request)
    typed = {"name": name, "born_on": born_on, "record_number": record_number}
    try:
        day = _day(born_on, "born_on") if born_on else None
        found = find_for_trail(desk, name, born_on=day, record_number=record_number.strip() or None).shown
    except AfterglowError as refused:
        if refused.about == "born_on":
            typed["born_on"] = ""  # a field for dates shows none that is not one
        return _trail(request, desk, {}, typed=typed, refused=refused)
    return _trail(request, desk, {}, typed=typed, found=found)


def _trail(
    request: Request,
    desk: Desk,
    asked: dict[str, str],
    *,
    before: int | None = None,
    typed: dict[str, str] | None = None,
    found: Sequence[Found] | None = None,
    refused: AfterglowError | None = None,
) -> Response:
    zone = ZoneInfo(clinic_of(desk.store, desk.actor.clinic_id).time_zone)
    kept, ends = {name: value for name, value in asked.items() if value}, dict[str, datetime]()
    for name, days in (("since", 0), ("until", 1)):
        try:
            if name in kept:
                ends[name] = datetime.combine(_day(kept[name], name) + timedelta(days), time(), tzinfo=zone)
        except InputError as wrong:
            refused = wrong
            kept.pop(name)
    told = read_page(
        desk,
        before=before,
        most=_PAGE,
        patient_id=kept.get("patient"),
        by=kept.get("by"),
        act=kept.get("act"),
        since=ends.get("since"),
        until=ends.get("until"),
    ).shown
    proof = _proofs(request).get(desk.actor.clinic_id)
    older = urlencode({**kept, "before": told.events[-1].seq}) if len(told.events) == _PAGE else None
    return page(
        request,
        "admin_audit.html",
        desk=desk,
        status=200 if refused is None else status_of(refused),
        tabs=ADMIN,
        told=told,
        events=told.events,
        asked=asked,
        kept=kept,
        typed=typed or {},
        found=found,
        refused=refused,
        acts=_acts(),
        older=older,
        newest=urlencode(kept) if before is not None else None,
        proof=proof,
        walked=proven_so_far(desk.store, desk.actor.clinic_id),
        again_s=_AGAIN_S if proof is not None and proof.runs else None,
        what=act_words,
    )


def _acts() -> list[tuple[str, list[tuple[str, str]]]]:
    """Every act that the trail can be asked for, by group."""
    groups: dict[str, list[tuple[str, str]]] = {"Everything of a kind": [(each, act_words(each)) for each in _KINDS]}
    for name in sorted(CATALOGUE):
        groups.setdefault(name.partition(".")[0].capitalize(), []).append((name, act_words(name)))
    return list(groups.items())


@router.post("/prove")
def prove(request: Request) -> Response:
    """Begin a proof of the trail, unless one is under way; the page shows how far it is."""
    desk = desk_of(request)
    check_permitted(CATALOGUE["audit.prove"], desk)
    known = _proofs(request).get(desk.actor.clinic_id)
    if known is None or not known.runs:
        _proofs(request)[desk.actor.clinic_id] = Proof(desk)
    return RedirectResponse("/admin/audit", status_code=303)  # no #: a page with one is not loaded again by itself


def _day(text: str, about: str) -> date:
    try:
        day = date.fromisoformat(text)
    except ValueError:
        day = date.max
    if not _FIRST <= day <= _LAST:
        raise InputError(
            "The date is not understood", allowed="a day as 2026-01-05", next_step="Give the date again", about=about
        )
    return day


def _proofs(request: Request) -> dict[str, Proof]:
    """The latest proof of each clinic, in this process."""
    if not hasattr(request.app.state, "proofs"):
        request.app.state.proofs = {}
    found: dict[str, Proof] = request.app.state.proofs
    return found
