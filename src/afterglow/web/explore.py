"""Explore: a protocol without a patient, and trials that are planned; nothing here is about anybody.

A protocol stands in its address, so that a link can be shared. What the model says of it is computed in a thread beside
the pages, one after the other, and kept by the protocol; the page that waits for it looks again by itself.
"""

from __future__ import annotations

import re
from collections import OrderedDict
from copy import copy
from dataclasses import asdict, replace
from threading import Lock, Thread
from typing import Any
from urllib.parse import urlencode

from fastapi import APIRouter, Request, Response
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import RedirectResponse
from starlette.datastructures import UploadFile

from afterglow.errors import AfterglowError, InputError, MissingValue, RuleRefused
from afterglow.protocol import Endpoint, TrialProtocol, write_protocol
from afterglow.protocol.source_text import decode_text
from afterglow.render.report import Report, sections_html
from afterglow.therapy.regimen import Route
from afterglow.therapy.setting import Control
from afterglow.usecases.design_report import design_report
from afterglow.usecases.designing import TRIALS
from afterglow.usecases.designs import (
    LARGEST_TEXT,
    DesignState,
    cancel_design,
    list_designs,
    read_own_design,
    start_design,
)
from afterglow.usecases.desk import Desk
from afterglow.usecases.explore import explore_report
from afterglow.usecases.plain_protocol import (
    EXAMPLES,
    MAINTENANCE_TRIAL,
    MEASURES,
    TREATMENTS,
    PlainDesign,
    PlainProtocol,
    trial_design,
    trial_protocol,
)
from afterglow.web.pages import PageRoute, desk_of, page, status_of
from afterglow.web.typed import Typed

router = APIRouter(route_class=PageRoute, prefix="/explore")
_TABS = (("/explore", "Protocol"), ("/explore/design", "Trial design"))
_AGAIN_S = 2
_SOON_S = 0.5  # what is computed within this time is shown at once
_MOST_KEPT, _MOST_COMPUTED = 32, 6
_PER_KG, _MG = "mg/kg", "mg"
_ENDPOINTS = (
    (Endpoint.CHANGE, "Change of the score"),
    (Endpoint.RESPONSE, "Response, half of the score gone"),
    (Endpoint.REMISSION, "Remission"),
)
_CONTROLS = (
    ("", "As usual for the route"),
    (Control.MIDAZOLAM, "Midazolam"),
    (Control.SALINE, "Saline"),
    (Control.PLACEBO_SPRAY, "Placebo spray"),
    (Control.MASKED, "Nobody can tell the arms apart"),
)
_ROUTES = {
    Route.IV: "into a vein",
    Route.INTRANASAL: "nasal spray",
    Route.IM: "into a muscle",
    Route.SC: "under the skin",
    Route.SUBLINGUAL: "under the tongue",
    Route.ORAL: "swallowed",
}
_CHOSEN = ("measure", "treatment", "unit", "control", "endpoint")
_BEGIN = {"endpoint": Endpoint.CHANGE, "scored_day": "28", "sizes": "50, 100, 200", "trials": f"{TRIALS}"}
_FIELD_OF = {  # a key of a protocol, and the field of the form that says it
    "infusion": "infusion_min",
    "days": "every_days",
    "population.n": "patients",
    "population.scale": "measure",
    "population.baseline_mean": "baseline_mean",
    "population.baseline_sd": "baseline_sd",
    "observe.times": "scored_day",
    "observe.remission": "measure",
    "design": "endpoint",
    "dropout.visits": "scored_day",
    "dropout.unimproved": "leaving_unimproved",
    "dropout.recovered": "leaving_recovered",
}
_WHAT = {
    "dose": "The dose",
    "infusion_min": "The length of the infusion",
    "sessions": "The number of sessions",
    "every_days": "The time between sessions",
    "baseline_mean": "The mean score before treatment",
    "baseline_sd": "Its standard deviation",
    "patients": "The number of patients",
    "scored_day": "The day of the comparison",
    "sizes": "The number of patients in each arm",
    "trials": "The number of simulated trials",
    "leaving_unimproved": "The chance of leaving without improvement",
    "leaving_recovered": "The chance of leaving without symptoms",
}
_IN_FILE = re.compile(r"^(?:\w+\.)+(\w+)(?:\[\d+\])?")  # as a file names what a form calls by words
_WORDS = {
    DesignState.WAITING: "waits",
    DesignState.RUNNING: "is computed",
    DesignState.DONE: "done",
    DesignState.CANCELLED: "cancelled",
    DesignState.INTERRUPTED: "interrupted",
    DesignState.FAILED: "failed",
}


class _Making(Thread):
    """What the model says of one protocol, under way or made; one is made at a time."""

    _turn = Lock()

    def __init__(self, protocol: TrialProtocol) -> None:
        super().__init__(name="explore", daemon=True)
        self._protocol = protocol
        self.report: Report | None = None
        self.fault: Exception | None = None

    def run(self) -> None:
        """Wait for the others, then compute."""
        with self._turn:
            try:
                self.report = explore_report(self._protocol)
            except Exception as fault:  # noqa: BLE001  raised again on the page that asks
                self.fault = fault


class _Reports:
    """What was computed last, by protocol."""

    def __init__(self) -> None:
        self._kept: OrderedDict[TrialProtocol, _Making] = OrderedDict()
        self._lock = Lock()

    def get(self, protocol: TrialProtocol) -> Report | None:
        """The report of a protocol; None while it is computed, or waits because too many are.

        Raises: what the model refuses.
        """
        with self._lock:
            making = self._kept.get(protocol)
            if making is None:
                if sum(each.is_alive() for each in self._kept.values()) >= _MOST_COMPUTED:
                    return None
                making = self._kept[protocol] = _Making(protocol)
                making.start()
                if len(self._kept) > _MOST_KEPT:
                    self._kept.popitem(last=False)
            self._kept.move_to_end(protocol)
        making.join(_SOON_S)
        if making.fault is not None:
            with self._lock:
                self._kept.pop(protocol, None)
            raise making.fault
        return making.report


_REPORTS = _Reports()


@router.get("")
def show_protocol(request: Request) -> Response:
    """What the model says of the protocol in the address, or of the first example."""
    desk = desk_of(request)
    fields = _fields_of(next(iter(EXAMPLES.values())))
    if request.query_params:
        fields = {name: request.query_params.get(name, "") for name in fields}
    refused, report = None, None
    try:
        report = _REPORTS.get(trial_protocol(_plain(Typed(fields=fields))))
    except InputError as fault:
        refused = _on_form(fault, "dose")
    computing = report is None and refused is None
    return page(
        request,
        "explore.html",
        desk=desk,
        status=200 if refused is None else status_of(refused),
        tabs=_TABS,
        values=fields,
        refused=refused,
        report=report,
        body="" if report is None else sections_html(report.sections),
        again_s=_AGAIN_S if computing else None,
        examples=[(f"/explore?{urlencode(_fields_of(each))}", name) for name, each in EXAMPLES.items()],
        planned=f"/explore/design?{urlencode(fields)}",
        **_choices(),
    )


@router.get("/design")
def show_designs(request: Request, start: str = "", text: str = "") -> Response:
    """The form of a planned trial, begun from a protocol in the address or one of one's own trials; and these."""
    desk = desk_of(request, refresh=True)  # nothing of a patient: nothing to tell the trail
    given = dict(request.query_params)
    begun = _fields_of(next(iter(EXAMPLES.values()))) | _BEGIN
    fields = begun | {name: value for name, value in given.items() if name in begun}
    written = ""
    if start:
        written = read_own_design(desk, start).shown.text
    elif text == "maintenance":
        written = MAINTENANCE_TRIAL
    return _designs(request, desk, fields=fields, text=written)


@router.post("/design")
async def ask(request: Request) -> Response:
    """A trial asked for in plain fields or as text; a refusal keeps what was typed."""
    form = await request.form()
    upload = form.get("file")
    data = await upload.read(LARGEST_TEXT * 4 + 1) if isinstance(upload, UploadFile) else b""
    fields = {name: value for name, value in form.items() if isinstance(value, str)}
    return await run_in_threadpool(_ask, request, fields, data)


@router.get("/design/{design_id}")
def show_design(request: Request, design_id: str) -> Response:
    """How far a trial of one's own is, or what came of it.

    Raises: NotFound.
    """
    desk = desk_of(request, refresh=True)
    shown = read_own_design(desk, design_id).shown
    report = None if shown.answer is None else design_report(shown.answer)
    return page(
        request,
        "explore_trial.html",
        desk=desk,
        tabs=_TABS,
        shown=shown,
        report=report,
        body="" if report is None else sections_html(report.sections),
        words=_WORDS[shown.state],
        under_way=shown.state in {DesignState.WAITING, DesignState.RUNNING},
        again_s=_AGAIN_S,
    )


@router.post("/design/{design_id}/cancel")
def cancel(request: Request, design_id: str) -> Response:
    """Stop it.

    Raises: NotFound, RuleRefused.
    """
    cancel_design(desk_of(request), design_id)
    return RedirectResponse(f"/explore/design/{design_id}", status_code=303)


@router.post("/design/{design_id}/again")
def run_again(request: Request, design_id: str) -> Response:
    """The same trial from the beginning, as one of its own.

    Raises: NotFound, RuleRefused.
    """
    desk = desk_of(request)
    old = read_own_design(replace(desk, refresh=True), design_id).shown
    return _begun(desk, old.text, old.trials)


def _ask(request: Request, fields: dict[str, str], data: bytes) -> Response:
    desk = desk_of(request)
    typed, by_text = Typed(fields=fields), fields.get("by") == "text"
    text = fields.get("text", "")
    try:
        if by_text:
            text = decode_text(data, file="file") if data else text
            if not text.strip():
                raise MissingValue("The protocol is missing", next_step="Write it, or choose a file", about="text")
        else:
            text = write_protocol(trial_design(_plain(typed, sized=False), _planned(typed)))
            if "show" in fields:
                return _designs(request, desk, fields=fields, text=text)
        return _begun(desk, text, typed.whole("trials", _WHAT["trials"]) or TRIALS)
    except (InputError, RuleRefused) as refused:
        told = _on_form(refused, "text" if by_text else "dose", by_text=by_text)
        return _designs(request, desk, fields=fields, text=text if by_text else "", refused=told)


def _begun(desk: Desk, text: str, trials: int) -> Response:
    asked = start_design(desk, text, trials=trials)
    return RedirectResponse(f"/explore/design/{asked.id}", status_code=303)


def _designs(
    request: Request, desk: Desk, *, fields: dict[str, str], text: str, refused: AfterglowError | None = None
) -> Response:
    reading = replace(desk, refresh=True)
    own = list_designs(reading).shown
    return page(
        request,
        "explore_design.html",
        desk=desk,
        status=200 if refused is None else status_of(refused),
        tabs=_TABS,
        values=fields,
        text=text,
        refused=refused,
        own=own,
        state_words=_WORDS,
        endpoints=_ENDPOINTS,
        largest=LARGEST_TEXT,
        **_choices(),
    )


def _plain(form: Typed, *, sized: bool = True) -> PlainProtocol:
    """The fields of the form as they are asked for; `sized` where patients are counted here.

    Raises: MissingValue, OutOfRange.
    """
    control = form.text("control")
    return PlainProtocol(
        measure=form.one_of("measure", MEASURES, "What is treated"),
        treatment=form.one_of("treatment", TREATMENTS, "The drug and its route"),
        dose=form.needed_number("dose", _WHAT["dose"]),
        per_kg=form.one_of("unit", (_PER_KG, _MG), "The unit of the dose") == _PER_KG,
        infusion_min=form.number("infusion_min", _WHAT["infusion_min"]),
        sessions=_whole(form, "sessions"),
        every_days=form.needed_number("every_days", _WHAT["every_days"]),
        control=Control(form.one_of("control", [each for each, _ in _CONTROLS], "The control")) if control else None,
        baseline_mean=form.needed_number("baseline_mean", _WHAT["baseline_mean"]),
        baseline_sd=form.needed_number("baseline_sd", _WHAT["baseline_sd"]),
        patients=_whole(form, "patients") if sized else 2,  # a planned trial has sizes instead
    )


def _whole(form: Typed, name: str) -> int:
    form.needed(name, _WHAT[name])
    return form.whole(name, _WHAT[name]) or 0


def _planned(form: Typed) -> PlainDesign:
    listed = form.needed("sizes", _WHAT["sizes"]).replace(",", " ").split()
    sizes = tuple(Typed(fields={"sizes": each}).whole("sizes", _WHAT["sizes"]) or 0 for each in listed)
    leaving = [form.number(name, _WHAT[name]) for name in ("leaving_unimproved", "leaving_recovered")]
    return PlainDesign(
        endpoint=Endpoint(form.one_of("endpoint", [each for each, _ in _ENDPOINTS], "What is compared")),
        scored_day=form.needed_number("scored_day", _WHAT["scored_day"]),
        sizes=sizes,
        leaving_unimproved=None if leaving[0] is None else leaving[0] / 100.0,
        leaving_recovered=None if leaving[1] is None else leaving[1] / 100.0,
    )


def _fields_of(plain: PlainProtocol) -> dict[str, str]:
    """An example as the form would hold it."""
    found = asdict(plain)
    found["unit"] = _PER_KG if found.pop("per_kg") else _MG
    return {
        name: "" if value is None else f"{value:g}" if isinstance(value, float) else str(value)
        for name, value in found.items()
    }


def _on_form(refused: AfterglowError, default: str, *, by_text: bool = False) -> AfterglowError:
    """A refusal about a field of the form, or about a line of the text."""
    told = copy(refused)
    if isinstance(refused, RuleRefused):
        told.about = "own"
    elif by_text:
        told.about = "trials" if refused.about == "trials" else default
        if refused.place is not None and refused.place.line is not None:
            told.refused = f"Line {refused.place.line}: {refused.refused}"
    else:
        named = _IN_FILE.match(refused.refused)
        about = refused.about or (default if named is None else named[1])
        field = _FIELD_OF.get(about, about)
        told.about = field if field in _WHAT or field in _CHOSEN else default
        told.refused = _IN_FILE.sub(lambda found: _WHAT.get(field, found[0]), refused.refused)
    told.next_step = told.next_step or "Correct it"
    return told


def _choices() -> dict[str, Any]:
    return {
        "measures": [(name, each.words) for name, each in MEASURES.items()],
        "treatments": [
            (name, f"{drug.replace('_', ' ').capitalize()}, {_ROUTES[route]}")
            for name, (drug, route) in TREATMENTS.items()
        ],
        "units": ((_PER_KG, _PER_KG), (_MG, _MG)),
        "controls": _CONTROLS,
    }
