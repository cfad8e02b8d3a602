"""A patient's own pages, opened by a link on a phone: one question a screen, own progress, and help always in sight.

The link's token stands behind the # of its address, where no server sees it. It goes into a cookie, and is
exchanged for a session when the patient says Start. Without scripts the link is pasted; all that follows needs none.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace
from datetime import datetime
from typing import Annotated, Any
from zoneinfo import ZoneInfo

from fastapi import APIRouter, Form, Request, Response
from fastapi.responses import RedirectResponse

from afterglow.errors import AfterglowError, LoginRefused, TooManyTries
from afterglow.render.progress import ProgressData, points_words, progress_chart
from afterglow.render.text import format_day
from afterglow.scales import Direction, instrument
from afterglow.store.records import Clinic
from afterglow.usecases.answering import CRITICAL, Asked, Progress, answered_by, ask, progress, questions_of, tap
from afterglow.usecases.contacts import stop
from afterglow.usecases.desk import Desk
from afterglow.usecases.login import log_out, open_link, resume
from afterglow.usecases.measures import answer, check_in
from afterglow.usecases.passes import SEPARATOR, LinkEnd, Purpose, why_ended
from afterglow.usecases.policies import HelpLines, help_lines
from afterglow.web.pages import PageRoute, Typed, page, status_of, store_of

LINK_COOKIE, PATIENT_COOKIE, CLINIC_COOKIE = "afterglow_link", "afterglow_patient", "afterglow_patient_clinic"
_LINK_LASTS_S, _CLINIC_LASTS_S = 600, 24 * 3600
_HOME = "/my"
_CHECK_IN = {  # Our words for the three questions of rule S072
    "unwell": (
        "Since your session, have you felt unwell in a way that worries you?",
        "For example: pain in the chest, a bad headache, being sick again and again, trouble passing water, confusion.",
    ),
    "low_mood_or_thoughts": ("Is your mood very low, or have you had thoughts of hurting yourself?", ""),
    "drove_or_fell": ("Did you drive before a night's sleep, or have a fall?", ""),
}
_ENDS = {
    LinkEnd.USED: (
        "Your answers are with the clinic",
        "This link has done its work: what you answered with it was sent. Each link is good once.",
    ),
    LinkEnd.EXPIRED: (
        "This link is too old",
        "Links end after some days, so that an old message opens nothing. Ask the clinic for a new one.",
    ),
    LinkEnd.REVOKED: (
        "The clinic has taken this link back",
        "It opens nothing any more. If you expected questions, ask the clinic for a new link.",
    ),
}
_UNKNOWN = (
    "This link does not open",
    "It may have been cut short on its way. Open it from the message itself, or ask the clinic for a new one.",
)
_PAUSED = (
    "Open your link once more",
    "It closes once you have sent your answers, or after 30 minutes. Not sent yet? Open your link again.",
)
Text = Annotated[str, Form()]
Number = Annotated[int, Form()]


class PatientRoute(PageRoute):
    """A route whose refusals are told in a patient's words."""

    def refused(self, request: Request, refused: AfterglowError, typed: Typed) -> Response:  # noqa: ARG002
        """The page of a link that does not open, or of what went wrong."""
        if isinstance(refused, TooManyTries):
            wait = "Too many tries. Wait a few minutes, then open the link again."
            return _end_page(request, ("Please wait a little", wait), status=status_of(refused))
        if isinstance(refused, LoginRefused):
            return _end_page(request, _PAUSED, status=status_of(refused))
        wrong = ("That did not work", "Nothing was lost. Go back and try once more, or call the clinic.")
        return _end_page(request, wrong, status=status_of(refused))


router = APIRouter(route_class=PatientRoute)


@router.get("/link")
def ask_link(request: Request) -> Response:
    """Where every link leads: its token stands behind the #, which no server sees; a script hands it over at once.

    Without a script the patient pastes the link.
    """
    return _shown(request, "patient_link.html", clinic_id=None)


@router.post("/link")
def arrive(request: Request, token: Text = "") -> Response:
    """Keep the token in a cookie; nothing is opened yet, so a robot that follows links opens nothing."""
    response = RedirectResponse(_HOME, status_code=303)
    response.delete_cookie(PATIENT_COOKIE, path=_HOME)
    _keep(request, response, LINK_COOKIE, _cookie_safe(token.rpartition("#")[2]), lasts_s=_LINK_LASTS_S)
    return response


@router.get(_HOME)
def home(request: Request) -> Response:
    """Where the patient is: before the start, at a question, at the progress."""
    token = request.cookies.get(LINK_COOKIE)
    if token is None:
        desk = _desk(request)
        return RedirectResponse(_next(_asked(desk)), status_code=303)
    found = why_ended(store_of(request), token)
    if found is None:
        return _end_page(request, _UNKNOWN, status=404)
    clinic_id, link = found
    if isinstance(link, LinkEnd):
        return _end_page(request, _ENDS[link], clinic_id=clinic_id, status=410)
    scale = instrument(link.about) if link.purpose is Purpose.ANSWER_SCALE and link.about else None
    begun = answered_by(store_of(request), clinic_id, link.id)
    return _shown(request, "patient_start.html", clinic_id=clinic_id, link=link, scale=scale, begun=begun)


@router.post("/my/start")
def start(request: Request) -> Response:
    """Exchange the link for a session of its own."""
    token = request.cookies.get(LINK_COOKIE, "")
    address = "" if request.client is None else request.client.host
    try:
        session, actor = open_link(store_of(request), token, address=address)
    except LoginRefused:
        return RedirectResponse(_HOME, status_code=303)  # the page there says why
    response = RedirectResponse(_HOME, status_code=303)
    response.delete_cookie(LINK_COOKIE, path=_HOME)
    _keep(request, response, PATIENT_COOKIE, session)
    _keep(request, response, CLINIC_COOKIE, actor.clinic_id, lasts_s=_CLINIC_LASTS_S)
    return response


@router.get("/my/question/{number}")
def question(request: Request, number: int) -> Response:
    """One question."""
    desk = _desk(request)
    asked = _asked(desk)
    names = _questions(asked)
    if not 1 <= number <= len(names):
        return RedirectResponse(_next(asked), status_code=303)
    name = names[number - 1]
    return _shown(
        request,
        "patient_question.html",
        clinic_id=desk.actor.clinic_id,
        asked=asked,
        number=number,
        count=len(names),
        given=dict(asked.answers).get(name),
        **_wording(asked, name),
    )


@router.post("/my/answer")
def keep(request: Request, number: Number, value: Number) -> Response:
    """Keep an answer; one that calls for help goes to the help page, which comes before anything else."""
    desk = _desk(request)
    asked = _asked(desk)
    names = _questions(asked)
    if not 1 <= number <= len(names) or asked.about is None:
        return RedirectResponse(_next(asked), status_code=303)
    kept = tap(desk, str(desk.actor.patient_id), asked.about, names[number - 1], value)
    to = "/my/help" if kept.state == CRITICAL else f"/my/question/{number + 1}" if number < len(names) else "/my/check"
    return RedirectResponse(to, status_code=303)


@router.get("/my/help")
def help_now(request: Request) -> Response:
    """Who can be called now, and who was told."""
    desk = _desk(request)
    asked = _asked(desk)
    if asked.critical is None:
        return RedirectResponse(_next(asked), status_code=303)
    number = _questions(asked).index(asked.critical) + 1
    said = (
        "very low mood, or thoughts of hurting yourself"
        if asked.purpose is Purpose.CHECK_IN
        else _wording(asked, asked.critical)["words"]
    )
    said = said[0].lower() + said[1:].rstrip(".")
    return _shown(
        request,
        "patient_help.html",
        clinic_id=desk.actor.clinic_id,
        asked=asked,
        said=said,
        number=number,
        on=_next(asked),
    )


@router.get("/my/check")
def check(request: Request) -> Response:
    """All answers once more, before they are sent."""
    desk = _desk(request)
    asked = _asked(desk)
    names, given = _questions(asked), dict(asked.answers)
    if asked.about is None or len(given) < len(names):
        return RedirectResponse(_next(asked), status_code=303)
    rows = []
    for name in names:
        told = _wording(asked, name)
        rows.append((told["words"], dict(told["options"]).get(given[name], given[name])))
    return _shown(request, "patient_check.html", clinic_id=desk.actor.clinic_id, asked=asked, rows=rows)


@router.post("/my/send")
def send(request: Request) -> Response:
    """All answers are given: the scale or check-in is done, and the link with it."""
    desk = _desk(request)
    asked = _asked(desk)
    patient, given = str(desk.actor.patient_id), dict(asked.answers)
    if asked.about is None or len(given) < len(_questions(asked)):
        return RedirectResponse(_next(asked), status_code=303)
    if asked.purpose is Purpose.CHECK_IN:
        check_in(desk, patient, asked.about, **{name: bool(value) for name, value in given.items()})
    else:
        answer(desk, patient, asked.about, given)
    response = RedirectResponse("/my/done", status_code=303)
    response.delete_cookie(PATIENT_COOKIE, path=_HOME)
    return response


@router.get("/my/done")
def done(request: Request) -> Response:
    """Thanks; nothing of what was answered."""
    return _shown(request, "patient_done.html", clinic_id=request.cookies.get(CLINIC_COOKIE))


@router.get("/my/progress")
def own_progress(request: Request) -> Response:
    """Own scores and sessions so far."""
    desk = _desk(request)
    shown = progress(desk, str(desk.actor.patient_id)).shown
    return _shown(request, "patient_progress.html", clinic_id=desk.actor.clinic_id, **_story(request, desk, shown))


@router.get("/my/messages")
def ask_stop(request: Request) -> Response:
    """Whether the clinic's messages should end."""
    return _shown(request, "patient_messages.html", clinic_id=_desk(request).actor.clinic_id)


@router.post("/my/messages")
def stop_messages(request: Request) -> Response:
    """No more messages, from this moment on; the questions of this link stay."""
    desk = _desk(request)
    stop(desk, str(desk.actor.patient_id))
    words = "The clinic sends you no more messages like this. To have them again, tell the clinic."
    return _end_page(request, ("Stopped", words), clinic_id=desk.actor.clinic_id, status=200)


@router.post("/my/leave")
def leave(request: Request) -> Response:
    """Close the pages on this phone; the link opens them again."""
    with suppress(LoginRefused):
        log_out(store_of(request), request.cookies.get(PATIENT_COOKIE, ""))
    closed = ("Closed", "Your answers so far are kept. Open the link in your message to go on.")
    response = _end_page(request, closed, status=200)
    response.delete_cookie(PATIENT_COOKIE, path=_HOME)
    return response


def _desk(request: Request) -> Desk:
    store = store_of(request)
    return Desk(store=store, actor=resume(store, request.cookies.get(PATIENT_COOKIE, "")))


def _asked(desk: Desk) -> Asked:
    """What the link asks; the page was told in the trail when it opened, so each question is not told once more."""
    return ask(replace(desk, refresh=True), str(desk.actor.patient_id)).shown


def _questions(asked: Asked) -> tuple[str, ...]:
    return (
        () if asked.about is None or asked.purpose is Purpose.SEE_PROGRESS else questions_of(asked.purpose, asked.about)
    )


def _next(asked: Asked) -> str:
    """The first question without an answer, else the end of the way."""
    if asked.purpose is Purpose.SEE_PROGRESS:
        return "/my/progress"
    given = dict(asked.answers)
    missing = [number for number, name in enumerate(_questions(asked), start=1) if name not in given]
    if asked.about is None:
        return "/my/done"
    return f"/my/question/{missing[0]}" if missing else "/my/check"


def _wording(asked: Asked, name: str) -> dict[str, Any]:
    """The words of a question: what stands before it, itself, a hint, and its answers with their values."""
    if asked.purpose is Purpose.CHECK_IN:
        words, hint = _CHECK_IN[name]
        return {"stem": "", "words": words, "hint": hint, "options": ((0, "No"), (1, "Yes"))}
    scale = instrument(str(asked.about))
    item = next(each for each in scale.items.listed if each.number == name)
    options = item.options or scale.items.options
    return {
        "stem": scale.items.stem or "",
        "words": item.text or "",
        "hint": "",
        "options": tuple((each.value, each.text) for each in options),
    }


def _story(request: Request, desk: Desk, shown: Progress) -> dict[str, Any]:
    """The progress in words: what the last score is, what it was, and what a difference can be."""
    clinic = _clinic(request, desk.actor.clinic_id)
    zone = ZoneInfo("UTC" if clinic is None else clinic.time_zone)
    scale = None if shown.instrument is None else instrument(shown.instrument)
    if scale is None or not shown.scores:
        return {"scale": None, "shown": shown, "chart": "", "headline": "", "rows": (), "points": points_words}
    (first_at, first), (last_at, last) = shown.scores[0], shown.scores[-1]
    years = first_at.astimezone(zone).year != last_at.astimezone(zone).year

    def day(at: datetime) -> str:
        return format_day(at.astimezone(zone), year=years)

    headline = f"Your score on {day(last_at)} was {points_words(last)}."
    if len(shown.scores) > 1:
        headline += f" On {day(first_at)} it was {points_words(first)}."
    most = scale.range[1] if scale.range is not None else max(value for _, value in shown.scores)
    data = ProgressData(
        name=scale.short_name,
        most=most,
        higher_is_worse=scale.direction is Direction.HIGHER_IS_WORSE,
        scores=shown.scores,
        sessions=shown.sessions,
        zone=str(zone),
    )
    rows: list[tuple[datetime, str, str]] = [(at, day(at), points_words(value)) for at, value in shown.scores]
    rows += [(at, day(at), "session") for at in shown.sessions]
    return {
        "scale": scale,
        "shown": shown,
        "chart": progress_chart(data),
        "headline": headline,
        "rows": [each[1:] for each in sorted(rows, reverse=True)],
        "points": points_words,
    }


def _shown(request: Request, template: str, *, clinic_id: str | None, status: int = 200, **shown: Any) -> Response:
    clinic = _clinic(request, clinic_id)
    lines = HelpLines(emergency="") if clinic is None else help_lines(store_of(request), clinic.id)
    local = ZoneInfo("UTC" if clinic is None else clinic.time_zone)
    return page(
        request,
        template,
        status=status,
        place=clinic,
        lines=lines,
        day=lambda at: format_day(at.astimezone(local), weekday=True),
        hour=lambda at: f"{at.astimezone(local):%H:%M}",
        **shown,
    )


def _end_page(request: Request, words: tuple[str, str], *, clinic_id: str | None = None, status: int) -> Response:
    token = request.cookies.get(LINK_COOKIE, request.cookies.get(PATIENT_COOKIE, ""))
    known = clinic_id or request.cookies.get(CLINIC_COOKIE) or token.partition(SEPARATOR)[0]
    return _shown(request, "patient_end.html", clinic_id=known, status=status, heading=words[0], text=words[1])


def _cookie_safe(text: str) -> str:
    """A typed token without what no token holds."""
    return "".join(each for each in text.strip() if each.isascii() and (each.isalnum() or each in "~_-"))[:256]


def _clinic(request: Request, clinic_id: str | None) -> Clinic | None:
    """The clinic by its id, or the only one there is."""
    known = store_of(request).clinics()
    return next((each for each in known if each.id == clinic_id), known[0] if len(known) == 1 else None)


def _keep(request: Request, response: Response, name: str, value: str, *, lasts_s: int | None = None) -> None:
    """A cookie that no script reads and no other site's link sends along."""
    secure = request.url.scheme == "https"
    response.set_cookie(name, value, max_age=lasts_s, path=_HOME, httponly=True, samesite="strict", secure=secure)
