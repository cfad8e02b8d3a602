"""How documents write what they tell: people by name, times on the clinic's clock, what was found as tables."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date, datetime
from zoneinfo import ZoneInfo

from afterglow.clinic import MedicineList, Reading
from afterglow.render.chart import Column, Table
from afterglow.render.text import format_day
from afterglow.store.records import Clinic
from afterglow.usecases.people import names_of
from afterglow.usecases.work import Work


@dataclass(frozen=True, slots=True, kw_only=True)
class Wording:
    """How a document writes people and times: by name, on the clinic's clock.

    Args:
        zone: of the clinic.
        people: names by login.
    """

    zone: ZoneInfo
    people: Mapping[str, str]

    def who(self, login: str | None) -> str:
        """Somebody's name; the login of whoever has none."""
        return "" if login is None else self.people.get(login, "Afterglow" if login == "program" else login)

    def day(self, at: datetime | date | None) -> str:
        """The clinic's day of a time; a dash for none."""
        if at is None:
            return "–"
        return format_day(at.astimezone(self.zone).date() if isinstance(at, datetime) else at, year=True)

    def clock(self, at: datetime | None) -> str:
        """The time of day."""
        return "–" if at is None else f"{at.astimezone(self.zone):%H:%M}"

    def moment(self, at: datetime | None) -> str:
        """Day and time."""
        return "–" if at is None else f"{self.day(at)}, {self.clock(at)}"


def wording_of(work: Work) -> Wording:
    """As the clinic at work writes."""
    return Wording(zone=ZoneInfo(clinic_of(work).time_zone), people=names_of(work))


def clinic_of(work: Work) -> Clinic:
    """The clinic at work."""
    return next(each for each in work.tx.store.clinics() if each.id == work.actor.clinic_id)


def facts_table(rows: Iterable[tuple[str, str]], *, caption: str = "") -> Table:
    """Names and values without a head."""
    return Table(caption=caption, columns=(Column(heading=""), Column(heading="")), rows=tuple(rows))


def table_of(caption: str, headings: Iterable[str], rows: Iterable[Iterable[str]]) -> Table:
    """A table of text; a heading that ends in "#" is a number's."""
    columns = tuple(Column(heading=each.removesuffix("#"), numeric=each.endswith("#")) for each in headings)
    return Table(caption=caption, columns=columns, rows=tuple(map(tuple, rows)))


def pressure_words(reading: Reading) -> str:
    """A pressure, mmHg."""
    return "not taken" if reading.systolic_mmhg is None else f"{reading.systolic_mmhg}/{reading.diastolic_mmhg}"


def medicines_words(found: MedicineList) -> str:
    """What somebody takes; a list that nobody went through is no list."""
    if found.reconciled_at is None:
        return "not gone through"
    return ", ".join(f"{each.ingredient} {each.dose or ''}".strip() for each in found.medicines) or "none"


def count_words(number: int, what: str) -> str:
    """How many of something.

    >>> count_words(1, "session"), count_words(3, "course")
    ('1 session', '3 courses')
    """
    return f"{number} {what}" if number == 1 else f"{number} {what}s"
