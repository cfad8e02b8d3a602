"""The patient's chart: one look tells the story, from the first score to what is due next and who decides it."""

from __future__ import annotations

from datetime import date
from typing import Annotated, Any

from fastapi import APIRouter, Form, Request, Response
from fastapi.responses import RedirectResponse

from afterglow.clinic import AllergyStatus
from afterglow.errors import AfterglowError, InputError
from afterglow.render.chart import Chart
from afterglow.render.forecast import forecast_chart
from afterglow.render.outlook import interval_chart, relapse_chart
from afterglow.render.report import KeyFigure
from afterglow.render.scores import scores_chart
from afterglow.usecases.charts import ChartPage, read_chart
from afterglow.usecases.course_view import dose_words, planned_next, scale_courses
from afterglow.usecases.deciding import NextStep, decide_next
from afterglow.usecases.desk import Desk
from afterglow.usecases.forecast_report import notices, parts_table
from afterglow.usecases.forecast_view import (
    DUE_LABELS,
    interval_data,
    key_figures,
    picture_data,
    relapse_data,
    sentences,
)
from afterglow.usecases.forecasting import ForecastAnswer
from afterglow.usecases.jobs import ask_forecast
from afterglow.usecases.papers import LONGEST_NOTE, add_note
from afterglow.usecases.patients import age_years
from afterglow.web.pages import PageRoute, clinic_of, desk_of, page, status_of

router = APIRouter(route_class=PageRoute, prefix="/patients")
Text = Annotated[str, Form()]
Number = Annotated[int, Form()]
_SUICIDE_RISK = "cssrs_screener"


@router.get("/{patient_id}")
def show(request: Request, patient_id: str) -> Response:
    """Everything of one patient on one page."""
    return chart_response(request, desk_of(request), patient_id)


@router.post("/{patient_id}/decide")
def decide(
    request: Request,
    patient_id: str,
    course_id: Text,
    step: Text = "",
    reason: Text = "",
    by_day: Text = "",
    digest: Text = "",
    known: Number = 0,
) -> Response:
    """What a prescriber decides about the next session; a refusal keeps what was typed."""
    desk = desk_of(request)
    try:
        decide_next(
            desk,
            course_id,
            step=_step(step),
            reason=reason,
            by_day=_day(by_day) if step == NextStep.BOOK_BY else None,
            digest=digest,
            known=known,
        )
    except AfterglowError as refused:
        typed = {"step": step, "reason": reason, "by_day": by_day}
        return chart_response(request, desk, patient_id, refused=refused, typed=typed)
    return RedirectResponse(f"/patients/{patient_id}#decide", status_code=303)


@router.post("/{patient_id}/notes")
def write_note(request: Request, patient_id: str, note: Text = "") -> Response:
    """A note in the chart; a refusal keeps what was typed."""
    desk = desk_of(request)
    try:
        add_note(desk, patient_id, note)
    except AfterglowError as refused:
        return chart_response(request, desk, patient_id, refused=refused, typed={"note": note})
    return RedirectResponse(f"/patients/{patient_id}#notes", status_code=303)


@router.post("/{patient_id}/forecast")
def ask(request: Request, patient_id: str, course_id: Text) -> Response:
    """Ask for the forecast again; it is made within moments."""
    ask_forecast(desk_of(request), course_id)
    return RedirectResponse(f"/patients/{patient_id}", status_code=303)


def chart_response(
    request: Request,
    desk: Desk,
    patient_id: str,
    *,
    refused: AfterglowError | None = None,
    typed: dict[str, str] | None = None,
) -> Response:
    """The chart; with what was refused in one of its forms."""
    found = read_chart(desk, patient_id)
    chart, now = found.shown, desk.store.clock()
    zone = clinic_of(desk.store, desk.actor.clinic_id).time_zone
    scales = scale_courses(chart, now=now, zone=zone)
    told = _told(None if chart.forecast is None else chart.forecast.answer)
    if (planned := planned_next(chart, zone=zone)) is not None:
        told["figures"] = (*(each for each in told.get("figures", ()) if each.label not in DUE_LABELS), planned)
    drawn = [scores_chart(each.picture) for each in scales if each.name != told.get("scale")]
    return page(
        request,
        "chart.html",
        desk=desk,
        status=200 if refused is None else status_of(refused),
        chart=chart,
        behind=found.trail_behind,
        course=chart.course,
        decisions=[each for each in chart.decisions if chart.course is not None and each.course_id == chart.course.id],
        age=_age(chart, now.date()),
        allergies=_allergies(chart),
        suicide_risk=_suicide_risk(chart),
        pictures=drawn,
        sessions=sorted((each.now for each in chart.sessions), key=lambda each: each.planned_at, reverse=True),
        dose_words=dose_words,
        steps=tuple(NextStep),
        longest_note=LONGEST_NOTE,
        largest_mb=desk.store.attachment_limit_mb,
        today=now.date(),
        refused=refused,
        typed=typed or {},
        **{"figures": (), "lead": None, "parts": None, "outlook": (), "said": (), "notices": (), "due_day": None}
        | told,
    )


def _told(answer: ForecastAnswer | None) -> dict[str, Any]:
    """What a forecast tells on the page; nothing where there is none."""
    trajectory = None if answer is None else answer.forecast.trajectory
    if answer is None or trajectory is None:
        return {}
    figures: tuple[KeyFigure, ...] = key_figures(answer, trajectory)
    outlook: list[Chart] = []
    relapse, intervals = relapse_data(answer), interval_data(answer)
    if intervals is not None:
        outlook.append(interval_chart(intervals))
    if relapse is not None:
        outlook.append(relapse_chart(relapse))
    return {
        "scale": answer.forecast.scale,
        "figures": figures,
        "lead": forecast_chart(picture_data(answer, trajectory)),
        "parts": parts_table(answer, trajectory),
        "outlook": outlook,
        "said": sentences(answer),
        "notices": tuple(notices(answer.forecast.warnings)),
        "due_day": answer.due_day,
    }


def _age(chart: ChartPage, today: date) -> int | None:
    born_on = None if chart.identifiers is None else chart.identifiers.born_on
    return None if born_on is None else age_years(born_on, today)


def _allergies(chart: ChartPage) -> str:
    """Not asked differs from none known."""
    if chart.allergies is None or chart.allergies.status is AllergyStatus.NOT_ASKED:
        return "Not asked"
    return ", ".join(chart.allergies.substances) or "None known"


def _suicide_risk(chart: ChartPage) -> dict[str, Any] | None:
    """The last result of the C-SSRS and when it was so, from the scale or the interview; None where neither asked."""
    told = [
        (each.at, f"{each.measured.level} risk" if each.measured.level else "incomplete")
        for each in chart.scores
        if each.measured.instrument == _SUICIDE_RISK
    ]
    told += [(e.learnt_at, f"{e.value} risk") for e in chart.known if e.name == "cssrs.level" and e.value is not None]
    at, said = max(told, default=(None, ""))
    return None if at is None else {"at": at, "said": said.replace("none risk", "no risk").capitalize()}


def _step(word: str) -> NextStep:
    try:
        return NextStep(word)
    except ValueError:
        raise InputError(
            "Nothing was chosen", allowed="one of the options", about="step", next_step="Choose one"
        ) from None


def _day(text: str) -> date | None:
    try:
        return date.fromisoformat(text) if text else None
    except ValueError:
        raise InputError(
            "The day cannot be read", allowed="as in 2026-12-11", about="by_day", next_step="Write the day"
        ) from None
