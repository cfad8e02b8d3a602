"""The patient's chart: one look tells the story, from the inquiry to what is due next."""

from __future__ import annotations

from datetime import date

from fastapi import APIRouter, Request, Response

from afterglow.clinic import AllergyStatus
from afterglow.render.scores import scores_chart
from afterglow.usecases.course_view import course_shown, dose_words, scale_courses
from afterglow.usecases.patients import age_years
from afterglow.usecases.worklists import ChartPage, read_chart
from afterglow.web.pages import PageRoute, clinic_of, desk_of, page

router = APIRouter(route_class=PageRoute)


@router.get("/patients/{patient_id}")
def show(request: Request, patient_id: str) -> Response:
    """Everything of one patient on one page."""
    desk = desk_of(request)
    found = read_chart(desk, patient_id)
    chart, now = found.shown, desk.store.clock()
    zone = clinic_of(desk.store, desk.actor.clinic_id).time_zone
    scales = scale_courses(chart, now=now, zone=zone)
    return page(
        request,
        "chart.html",
        desk=desk,
        chart=chart,
        behind=found.trail_behind,
        course=course_shown(chart),
        age=_age(chart, now.date()),
        allergies=_allergies(chart),
        figures=(),
        scales=scales,
        pictures=[scores_chart(each.picture) for each in scales],
        sessions=sorted((each.now for each in chart.sessions), key=lambda each: each.planned_at, reverse=True),
        dose_words=dose_words,
    )


def _age(chart: ChartPage, today: date) -> int | None:
    born_on = None if chart.identifiers is None else chart.identifiers.born_on
    return None if born_on is None else age_years(born_on, today)


def _allergies(chart: ChartPage) -> str:
    """Not asked differs from none known."""
    if chart.allergies is None or chart.allergies.status is AllergyStatus.NOT_ASKED:
        return "Not asked"
    return ", ".join(chart.allergies.substances) or "None known"
