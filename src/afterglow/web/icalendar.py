"""Bookings as a calendar file (RFC 5545): chair, drug and session number; no patient stands in it."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime

from afterglow.clinic import BookingState
from afterglow.usecases.diary import Booked


def calendar_text(booked: Iterable[Booked], *, made_at: datetime) -> str:
    """Bookings as iCalendar (RFC 5545), in UTC; each keeps its id, so that a newer file updates the older one.

    >>> calendar_text((), made_at=datetime(2026, 1, 5, tzinfo=UTC)).splitlines()[0]
    'BEGIN:VCALENDAR'
    """
    stamp = f"{made_at.astimezone(UTC):%Y%m%dT%H%M%SZ}"
    lines = ["BEGIN:VCALENDAR", "VERSION:2.0", "PRODID:-//Afterglow//Diary//EN", "CALSCALE:GREGORIAN"]
    for each in booked:
        held = each.booking
        number = "" if each.number is None else f", session {each.number}"
        gone = held.state in {BookingState.CANCELLED, BookingState.NO_SHOW}
        lines += [
            "BEGIN:VEVENT",
            f"UID:{held.id}@afterglow",
            f"DTSTAMP:{stamp}",
            f"DTSTART:{held.starts_at.astimezone(UTC):%Y%m%dT%H%M%SZ}",
            f"DTEND:{held.until.astimezone(UTC):%Y%m%dT%H%M%SZ}",
            f"SUMMARY:{_ical(f'Chair {held.chair_id}: {held.delivery.words}{number}')}",
            f"STATUS:{'CANCELLED' if gone else 'CONFIRMED'}",
            "CLASS:PRIVATE",
            "END:VEVENT",
        ]
    return "".join(f"{folded}\r\n" for line in [*lines, "END:VCALENDAR"] for folded in _folded(line))


def _ical(text: str) -> str:
    """Text with what RFC 5545, 3.3.11 asks to be escaped."""
    return text.replace("\\", "\\\\").replace(";", "\\;").replace(",", "\\,").replace("\n", "\\n")


def _folded(line: str) -> Iterable[str]:
    """A line in pieces of at most 75 octets (RFC 5545, 3.1)."""
    piece = ""
    for letter in line:
        if len((piece + letter).encode()) > 75:
            yield piece
            piece = " "
        piece += letter
    yield piece
