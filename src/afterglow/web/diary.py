"""The diary: chairs by day and week; book, move, cancel and no-show; what is in the way in words; calendar files."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, date, datetime, time, timedelta
from typing import Annotated, Any
from zoneinfo import ZoneInfo

from fastapi import APIRouter, Form, Request, Response
from fastapi.responses import RedirectResponse

from afterglow.clinic import Booking, BookingState
from afterglow.errors import AfterglowError, BookingRefused, InputError, NotFound
from afterglow.usecases.desk import Desk
from afterglow.usecases.diary import (
    Booked,
    DiaryPage,
    book_session,
    cancel_booking,
    find_free,
    list_bookable,
    list_conflicts,
    list_warnings,
    move,
    no_show,
    outside_hours,
    read_booking,
    show_diary,
)
from afterglow.web.day_table import SHOWN, day_rows, next_slot
from afterglow.web.icalendar import calendar_text
from afterglow.web.pages import PageRoute, clinic_of, desk_of, page, status_of
from afterglow.web.typed import local_time

router = APIRouter(route_class=PageRoute)
DONE_COOKIE = "afterglow_done"  # what was just done, for one page: no patient, only the booking's id and old place
_DONE_LASTS_S = 120
REASONS = (
    "Patient asked",
    "Ill",
    "No escort",
    "Not fasting",
    "Transport or weather",
    "Staff away",
    "Chair out of order",
)
Text = Annotated[str, Form()]


@router.get("/diary")
def show_day(request: Request, day: str = "") -> Response:
    """One day: a column for each chair."""
    desk = desk_of(request)
    zone = _zone(desk)
    on = _day(day, desk, zone)
    try:
        told = show_diary(desk, since=_midnight(on, zone), until=_midnight(on + timedelta(days=1), zone))
    except NotFound:
        return page(request, "diary.html", desk=desk, on=on, told=None, **_around(on, desk, zone))
    shown = told.shown
    first, last = _hours(shown, on, zone)
    response = page(
        request,
        "diary.html",
        desk=desk,
        on=on,
        told=shown,
        behind=told.trail_behind,
        rows=day_rows(shown, first, last, _opening(shown, on, zone), desk.store.clock()),
        gone=[each for each in shown.booked if each.booking.state not in SHOWN],
        soon=next_slot(desk.store.clock()),
        done=_done(request),
        **_around(on, desk, zone),
    )
    response.delete_cookie(DONE_COOKIE, path="/diary")
    return response


@router.get("/diary/week")
def show_week(request: Request, day: str = "") -> Response:
    """Seven days, a row for each chair."""
    desk = desk_of(request)
    zone = _zone(desk)
    on = _day(day, desk, zone)
    monday = on - timedelta(days=on.weekday())
    days = [monday + timedelta(days=n) for n in range(7)]
    try:
        told = show_diary(desk, since=_midnight(monday, zone), until=_midnight(days[-1] + timedelta(days=1), zone))
    except NotFound:
        return page(request, "diary.html", desk=desk, on=on, told=None, **_around(on, desk, zone))
    places: dict[tuple[str, date], list[Booked]] = {}
    for each in told.shown.booked:
        if each.booking.state in SHOWN:
            where = (each.booking.chair_id, each.booking.starts_at.astimezone(zone).date())
            places.setdefault(where, []).append(each)
    closed = {
        each: next((c.reason for c in told.shown.diary.closures if c.chair_id is None and _covers(c, each, zone)), None)
        for each in days
    }
    shown: dict[str, Any] = {"days": days, "places": places, "closed": closed, "told": told.shown, "on": on}
    return page(request, "diary_week.html", desk=desk, behind=told.trail_behind, **shown, **_around(on, desk, zone))


@router.get("/diary/week.ics")
def calendar(request: Request, day: str = "") -> Response:
    """The bookings of four weeks as a calendar file: chair, drug and session number; no patient stands in it."""
    desk = desk_of(request)
    zone = _zone(desk)
    on = _day(day, desk, zone)
    monday = on - timedelta(days=on.weekday())
    told = show_diary(desk, since=_midnight(monday, zone), until=_midnight(monday + timedelta(days=28), zone))
    name = f'attachment; filename="chairs-{monday.isoformat()}.ics"'
    text = calendar_text(told.shown.booked, made_at=desk.store.clock())
    return Response(text, media_type="text/calendar", headers={"Content-Disposition": name})


@router.get("/diary/book")
def ask_booking(request: Request, course: str = "", chair: str = "", at: str = "") -> Response:
    """The form of a booking; a free place that was chosen is filled in, a length never."""
    desk = desk_of(request)
    day, _, clock = at.partition("T")
    return _book_form(request, desk, {"course": course, "chair": chair, "day": day, "time": clock, "minutes": ""})


@router.post("/diary/book")
def make_booking(
    request: Request,
    course: Text = "",
    chair: Text = "",
    day: Text = "",
    time: Text = "",
    minutes: Text = "",
    outside: Text = "",
) -> Response:
    """Book, or say what is in the way and when it would fit."""
    desk = desk_of(request)
    typed = {"course": course, "chair": chair, "day": day, "time": time, "minutes": minutes}
    zone = _zone(desk)
    try:
        at, long = local_time(day, time, zone), _minutes(minutes)
        if not course:
            raise InputError("No course is chosen", next_step="Choose whom the session is for", about="course")
        if not outside:
            hours = outside_hours(desk, course, starts_at=at, dose_minutes=long).shown
            _ask_outside(clock=f"{day} {time}", hours=hours)
        warned = list_warnings(desk, course, chair_id=chair, starts_at=at, dose_minutes=long).shown
        made = book_session(desk, course, chair_id=chair, starts_at=at, dose_minutes=long)
    except AfterglowError as refused:
        conflicts, free = _in_the_way(desk, refused, typed, zone)
        return _book_form(request, desk, typed, refused=refused, conflicts=conflicts, free=free)
    words = "; ".join(each.message for each in warned)
    return _after(at, zone, {"what": "booked", "id": made.id, "warned": words})


@router.get("/diary/bookings/{booking_id}")
def show_booking(request: Request, booking_id: str) -> Response:
    """One booking, with what can be done with it."""
    desk = desk_of(request)
    return _booking_page(request, desk, booking_id, {})


@router.post("/diary/move")
def move_it(
    request: Request,
    booking_id: Text,
    chair: Text = "",
    day: Text = "",
    time: Text = "",
    reason: Text = "",
    outside: Text = "",
) -> Response:
    """Another chair or time, or what is in the way of it."""
    desk = desk_of(request)
    zone = _zone(desk)
    before = read_booking(desk, booking_id).shown.booking
    try:
        at = local_time(day, time, zone)
        if not outside:
            _ask_outside(clock=f"{day} {time}", hours=outside_hours(desk, "", starts_at=at, moving=booking_id).shown)
        move(desk, booking_id, chair_id=chair, starts_at=at, reason=reason)
    except AfterglowError as refused:
        typed = {"chair": chair, "day": day, "time": time, "reason": reason}
        return _booking_page(request, desk, booking_id, typed, refused=refused, form="move")
    old = {"chair": before.chair_id, "at": before.starts_at.isoformat()}
    return _after(at, zone, {"what": "moved", "id": booking_id, **old})


@router.post("/diary/cancel")
def cancel_it(request: Request, booking_id: Text, reason: Text = "") -> Response:
    """The session will not be."""
    return _ended(request, booking_id, reason, form="cancel")


@router.post("/diary/no-show")
def miss_it(request: Request, booking_id: Text, reason: Text = "") -> Response:
    """The patient did not come."""
    return _ended(request, booking_id, reason, form="no-show")


@router.post("/diary/undo")
def undo(request: Request, what: Text, booking_id: Text, chair: Text = "", at: Text = "") -> Response:
    """Take the last step back: a new booking is cancelled, a moved one goes back, a cancelled one is booked again."""
    desk = desk_of(request)
    zone = _zone(desk)
    found = read_booking(desk, booking_id).shown
    if what == "booked":
        cancel_booking(desk, booking_id, reason="Undone: booked by mistake")
    elif what == "moved":
        move(desk, booking_id, chair_id=chair, starts_at=_instant(at), reason="Undone: moved by mistake")
    elif what == "cancelled" and found.course_id is not None:
        held = found.booking
        book_session(
            desk,
            found.course_id,
            chair_id=held.chair_id,
            starts_at=held.starts_at,
            dose_minutes=held.dose_minutes,
        )
    else:
        raise InputError("This cannot be undone", next_step="Change the booking itself")
    back = _instant(at) if what == "moved" else found.booking.starts_at
    return _after(back, zone, {"what": "undone", "id": booking_id})


def _opening(shown: DiaryPage, on: date, zone: ZoneInfo) -> tuple[datetime, datetime]:
    first = datetime.combine(on, time(int(shown.opens_hour)), tzinfo=zone)
    return first, datetime.combine(on, time(), tzinfo=zone) + timedelta(hours=shown.closes_hour)


def _hours(shown: DiaryPage, on: date, zone: ZoneInfo) -> tuple[datetime, datetime]:
    """From opening to closing, and wider where a session is."""
    first, last = _opening(shown, on, zone)
    held = [each.booking for each in shown.booked if each.booking.state in SHOWN]
    first = min([first, *(each.starts_at.astimezone(zone).replace(minute=0, second=0, microsecond=0) for each in held)])
    midnight = datetime.combine(on + timedelta(days=1), time(), tzinfo=zone)
    ends = (min(each.until.astimezone(zone), midnight) for each in held)
    late = max([last, *ends])
    full = late.replace(minute=0, second=0, microsecond=0)
    return first.astimezone(UTC), (full if full == late else full + timedelta(hours=1)).astimezone(UTC)


def _book_form(
    request: Request,
    desk: Desk,
    typed: Mapping[str, str],
    *,
    refused: AfterglowError | None = None,
    conflicts: tuple[str, ...] = (),
    free: Booking | None = None,
) -> Response:
    zone = _zone(desk)
    courses = list_bookable(desk).shown
    today = desk.store.clock().astimezone(zone).date()
    try:
        chairs = show_diary(
            desk, since=_midnight(today, zone), until=_midnight(today + timedelta(days=1), zone)
        ).shown.diary.chairs
    except NotFound:
        chairs = ()
    shown: dict[str, Any] = {"courses": courses, "chairs": chairs, "typed": typed, "today": today}
    shown |= {"refused": refused, "conflicts": conflicts, "free": free}
    status = 200 if refused is None else status_of(refused)
    return page(request, "diary_book.html", desk=desk, status=status, **shown)


def _booking_page(
    request: Request,
    desk: Desk,
    booking_id: str,
    typed: Mapping[str, str],
    *,
    refused: AfterglowError | None = None,
    form: str = "",
) -> Response:
    zone = _zone(desk)
    found = read_booking(desk, booking_id).shown
    held = found.booking
    local = held.starts_at.astimezone(zone)
    filled = {"chair": held.chair_id, "day": f"{local:%Y-%m-%d}", "time": f"{local:%H:%M}", "reason": ""} | dict(typed)
    free = None
    if isinstance(refused, BookingRefused) and found.course_id is not None:
        free = find_free(
            desk,
            found.course_id,
            chair_id=filled["chair"],
            starts_at=local_time(filled["day"], filled["time"], zone),
            moving=booking_id,
        ).shown
    day = local.date()
    told = show_diary(desk, since=_midnight(day, zone), until=_midnight(day + timedelta(days=1), zone)).shown
    shown: dict[str, Any] = {"found": found, "typed": filled, "form": form, "chairs": told.diary.chairs}
    shown |= {"refused": refused, "conflicts": _reasons(refused), "free": free, "reasons": REASONS}
    shown |= {"open": held.state is BookingState.BOOKED, "due": desk.store.clock() >= held.starts_at}
    status = 200 if refused is None else status_of(refused)
    return page(request, "diary_booking.html", desk=desk, status=status, **shown)


def _ask_outside(*, clock: str, hours: str | None) -> None:
    """Ask before something is booked outside the opening hours.

    Raises: InputError, about the box that says yes.
    """
    if hours is not None:
        raise InputError(
            "This is outside the opening hours",
            observed=clock,
            allowed=hours,
            next_step="Choose another time, or tick that it is meant",
            about="outside",
        )


def _ended(request: Request, booking_id: str, reason: str, *, form: str) -> Response:
    desk = desk_of(request)
    try:
        if form == "cancel":
            cancel_booking(desk, booking_id, reason=reason)
        else:
            no_show(desk, booking_id, reason=reason)
    except AfterglowError as refused:
        return _booking_page(request, desk, booking_id, {"reason": reason}, refused=refused, form=form)
    held = read_booking(desk, booking_id).shown.booking
    what = "cancelled" if form == "cancel" and held.starts_at > desk.store.clock() else form.replace("-", " ")
    return _after(held.starts_at, _zone(desk), {"what": what, "id": booking_id})


def _in_the_way(
    desk: Desk, refused: AfterglowError, typed: Mapping[str, str], zone: ZoneInfo
) -> tuple[tuple[str, ...], Booking | None]:
    """What stands against a booking, one by one, and the next time at which it fits."""
    if not isinstance(refused, BookingRefused):
        return (), None
    at, long = local_time(typed["day"], typed["time"], zone), _minutes(typed["minutes"])
    wanted: dict[str, Any] = {"chair_id": typed["chair"], "starts_at": at, "dose_minutes": long}
    against = list_conflicts(desk, typed["course"], **wanted).shown
    return tuple(each.text for each in against), find_free(desk, typed["course"], **wanted).shown


def _reasons(refused: AfterglowError | None) -> tuple[str, ...]:
    return tuple((refused.observed or "").split("; ")) if isinstance(refused, BookingRefused) else ()


def _after(at: datetime, zone: ZoneInfo, done: Mapping[str, str]) -> Response:
    response = RedirectResponse(f"/diary?day={at.astimezone(zone):%Y-%m-%d}", status_code=303)
    response.set_cookie(
        DONE_COOKIE,
        json.dumps(done).encode().hex(),
        max_age=_DONE_LASTS_S,
        path="/diary",
        httponly=True,
        samesite="strict",
    )
    return response


def _done(request: Request) -> dict[str, str]:
    """What was done last, once; empty where nothing was."""
    try:
        found = json.loads(bytes.fromhex(request.cookies.get(DONE_COOKIE, "")).decode() or "{}")
    except ValueError:
        return {}
    if not isinstance(found, dict) or not found:
        return {}
    return {name: str(found.get(name, "")) for name in ("what", "id", "warned", "chair", "at")}


def _around(on: date, desk: Desk, zone: ZoneInfo) -> dict[str, Any]:
    """Where the page leads: the day or week before and after, and today."""
    return {
        "before": on - timedelta(days=1),
        "after": on + timedelta(days=1),
        "week_before": on - timedelta(days=7),
        "week_after": on + timedelta(days=7),
        "today": desk.store.clock().astimezone(zone).date(),
    }


def _covers(closure: Any, on: date, zone: ZoneInfo) -> bool:
    noon = datetime.combine(on, time(12), tzinfo=zone)
    return bool(closure.starts_at <= noon < closure.until)


def _zone(desk: Desk) -> ZoneInfo:
    return ZoneInfo(clinic_of(desk.store, desk.actor.clinic_id).time_zone)


def _midnight(on: date, zone: ZoneInfo) -> datetime:
    return datetime.combine(on, time(), tzinfo=zone).astimezone(UTC)


def _day(text: str, desk: Desk, zone: ZoneInfo) -> date:
    """A day of an address; today where it is none."""
    try:
        return date.fromisoformat(text)
    except ValueError:
        return desk.store.clock().astimezone(zone).date()


def _minutes(text: str) -> float:
    """The length of an infusion; nothing typed is none.

    Raises: InputError.
    """
    try:
        return float(text.strip() or 0)
    except ValueError:
        raise InputError(
            "The length of the infusion is not a number", next_step="Give whole minutes", about="minutes"
        ) from None


def _instant(text: str) -> datetime:
    try:
        return datetime.fromisoformat(text).astimezone(UTC)
    except ValueError:
        raise InputError("The time is not understood", next_step="Move the booking itself") from None
