"""What is known: claims beside the model, trials, and pooled effects; every figure with its source."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from threading import Thread

from fastapi import APIRouter, Request, Response

from afterglow.errors import NotFound, UnknownName
from afterglow.evidence import outcomes, trial
from afterglow.render.report import Links, Report, sections_html
from afterglow.usecases.claims_model import claim_predictions
from afterglow.usecases.knowledge import pooled_outcome
from afterglow.usecases.knowledge_reports import claims_report, pool_report, sources_report, trial_report, trials_report
from afterglow.usecases.model_pages import MODEL_PAGES, model_report
from afterglow.web.citing import citations, trial_links
from afterglow.web.pages import PageRoute, desk_of, page

router = APIRouter(route_class=PageRoute, prefix="/evidence")
_PAGES = (
    ("/evidence", "Claims"),
    ("/evidence/pooled", "Pooled effects"),
    ("/evidence/trials", "Trials"),
    ("/evidence/model", "The model"),
    ("/evidence/sources", "Sources"),
)
_FIRST = "depression-24h"


@router.get("")
def show_claims(request: Request) -> Response:
    """The claims ledger; the model's predictions take seconds once, and are made beside it."""
    making = _predictions().is_alive()
    return _shown(request, claims_report(beside=not making), again_s=4 if making else None)


@router.get("/pooled")
def show_first(request: Request) -> Response:
    """The outcome that most people ask about."""
    return show_pooled(request, _FIRST)


@router.get("/pooled/{name}")
def show_pooled(request: Request, name: str) -> Response:
    """One outcome pooled, as a forest plot.

    Raises: NotFound.
    """
    others = [(f"/evidence/pooled/{each.name}", each.title) for each in outcomes()]
    with _known(request, "outcome", "/evidence/pooled lists them"):
        found = pooled_outcome(name)
    return _shown(request, pool_report(found), here="/evidence/pooled", others=others)


@router.get("/trials")
def show_trials(request: Request) -> Response:
    """Every trial by condition."""
    return _shown(request, trials_report())


@router.get("/trials/{key}")
def show_trial(request: Request, key: str) -> Response:
    """One trial with every figure.

    Raises: NotFound.
    """
    with _known(request, "trial", "/evidence/trials lists them"):
        found = trial(key)
    links = {name: link for name, link in citations().items() if name != key}  # it does not lead to itself
    return _shown(request, trial_report(found), here="/evidence/trials", links=links)


@router.get("/model")
def show_validation(request: Request) -> Response:
    """What the model's predictions are worth, held against trials that it never saw."""
    return show_model(request, next(iter(MODEL_PAGES)))


@router.get("/model/{name}")
def show_model(request: Request, name: str) -> Response:
    """One page on what the model rests on, as it was generated when it was last made.

    Raises: NotFound.
    """
    with _known(request, "page of the model", "/evidence/model lists them"):
        found = model_report(name)
    others = [(f"/evidence/model/{each}", words) for each, words in MODEL_PAGES.items()]
    return _shown(request, found, here="/evidence/model", current=f"/evidence/model/{name}", others=others)


@router.get("/sources")
def show_sources(request: Request) -> Response:
    """Every source by its key: where the keys beside numbers lead."""
    return _shown(request, sources_report(), links=trial_links(), named_rows=True)


def _shown(
    request: Request,
    report: Report,
    *,
    here: str | None = None,
    others: list[tuple[str, str]] | None = None,
    current: str | None = None,
    links: Links | None = None,
    named_rows: bool = False,
    again_s: int | None = None,
) -> Response:
    return page(
        request,
        "report.html",
        desk=desk_of(request),
        report=report,
        body=sections_html(report.sections, links=links or citations(), named_rows=named_rows),
        pages=_PAGES,
        here=here or request.url.path,
        current=current or request.url.path,
        others=others or [],
        again_s=again_s,
    )


@contextmanager
def _known(request: Request, what: str, where: str) -> Iterator[None]:
    """An address whose name nobody knows leads nowhere; whoever has not logged in is told nothing of it."""
    desk_of(request)
    try:
        yield
    except UnknownName:
        raise NotFound(f"There is no such {what}", next_step=where) from None


@cache
def _predictions() -> Thread:
    """Makes the model's predictions once a process, so that no page waits for them."""
    thread = Thread(target=claim_predictions, name="claims", daemon=True)
    thread.start()
    return thread
