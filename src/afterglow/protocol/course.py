"""What happened to one patient: scores and sessions in order of time, every time in UTC."""

from __future__ import annotations

import difflib
import itertools
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo, available_timezones

from afterglow.errors import InputError, MissingValue, OutOfRange, Place, UnknownName, WrongOrder, echo
from afterglow.protocol.treatment import Infusion, administer, check_dose
from afterglow.protocol.trial import known_bounds
from afterglow.quantities import Dose, DrugForm
from afterglow.scales import score_total
from afterglow.therapy.regimen import DoseAdministration, Regimen, Route
from afterglow.therapy.setting import Condition

FIRST_YEAR, LAST_YEAR = 1900, 2099
LONGEST_NOTE = 500


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordedScore:
    """A total score; exactly one of the two values is set.

    Args:
        at: UTC.
        scale: name of the instrument.
        points: total score.
        fraction_of_baseline: total score as a fraction of the one before treatment, where only that is known.
        note: free text; never part of an error or a log.
        place: where it was read; two rows that say the same are equal wherever they stand.
    """

    at: datetime
    scale: str
    points: float | None = None
    fraction_of_baseline: float | None = None
    note: str = ""
    place: Place | None = field(default=None, compare=False, repr=False)

    def __post_init__(self) -> None:
        _check_row(self.at, self.note)
        if self.points is not None and self.fraction_of_baseline is None:
            score_total(self.scale, self.points)
            return
        if self.points is not None or self.fraction_of_baseline is None:
            raise InputError("A score is given in points or as a fraction of baseline, and not both")
        largest = known_bounds(self.scale).highest  # the highest score over a baseline of one point
        if not 0 <= self.fraction_of_baseline <= largest:
            raise OutOfRange(
                f"{self.scale} cannot be this fraction of its baseline",
                observed=f"{100 * self.fraction_of_baseline:g} %",
                allowed=f"0 to {100 * largest:g} %",
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordedSession:
    """A session as it was given; `at` in UTC, `place` as in `RecordedScore`, the rest as in `TrialProtocol`."""

    at: datetime
    drug: DrugForm
    route: Route
    dose: Dose | None = None
    infusion: Infusion = None
    note: str = ""
    place: Place | None = field(default=None, compare=False, repr=False)

    def __post_init__(self) -> None:
        _check_row(self.at, self.note)
        self.administration(self.at)

    def administration(self, origin_at: datetime) -> DoseAdministration:
        """The session on a clock of hours since `origin_at`."""
        at_h = hours_between(origin_at, self.at)
        return administer(drug=self.drug, route=self.route, dose=self.dose, infusion=self.infusion, at_h=at_h)


RecordedEvent = RecordedScore | RecordedSession


@dataclass(frozen=True, slots=True, kw_only=True)
class CourseRecord:
    """One patient's course.

    Args:
        events: scores and sessions in order of time, at least one.
        condition: what is treated.
        weight_kg: body weight, None if unknown.
        age_years: None if unknown.
        timezone: IANA name in which local times are written; None if every time carries its offset.
    """

    events: tuple[RecordedEvent, ...]
    condition: Condition = Condition.DEPRESSION
    weight_kg: float | None = None
    age_years: float | None = None
    timezone: str | None = None

    def __post_init__(self) -> None:
        if self.timezone is not None:
            zone_called(self.timezone)
        if not self.events:
            raise MissingValue(
                "The course has no row with a time", allowed="at least one score or session", about="events"
            )
        for number, (before, after) in enumerate(itertools.pairwise(self.events), start=1):
            if after.at < before.at:
                raise WrongOrder(
                    "The row is earlier than the one before",
                    observed=f"{_minute(after.at)} after {_minute(before.at)} (UTC)",
                    next_step="Put the rows in order of time",
                    about=f"events.{number}",
                )
        self._check_repeated()
        self._check_sessions()

    @property
    def origin_at(self) -> datetime:
        """Time origin of the course: its first row."""
        return self.events[0].at

    @property
    def last_at(self) -> datetime:
        """Time of the last row."""
        return self.events[-1].at

    @property
    def sessions(self) -> tuple[RecordedSession, ...]:
        """Sessions in order of time."""
        return tuple(event for event in self.events if isinstance(event, RecordedSession))

    @property
    def scores(self) -> tuple[RecordedScore, ...]:
        """Scores in order of time."""
        return tuple(event for event in self.events if isinstance(event, RecordedScore))

    def regimen(self) -> Regimen:
        """The sessions on a clock of hours since `origin_at`; empty if there was none."""
        return Regimen(tuple(session.administration(self.origin_at) for session in self.sessions))

    def _check_repeated(self) -> None:
        seen = set()
        for number, event in enumerate(self.events):
            what = event.scale if isinstance(event, RecordedScore) else "session"
            if (event.at, what) in seen:
                raise WrongOrder(
                    "The row stands twice",
                    observed=f"{what} at {_minute(event.at)} (UTC)",
                    allowed="one session, and one score of each scale, at a time",
                    next_step="Remove one of the rows or correct its time",
                    about=f"events.{number}",
                )
            seen.add((event.at, what))

    def _check_sessions(self) -> None:
        numbered = [(number, e) for number, e in enumerate(self.events) if isinstance(e, RecordedSession)]
        for number, session in numbered:
            try:
                check_dose(session.administration(session.at), weight_kg=self.weight_kg)
            except OutOfRange as fault:
                fault.about = f"events.{number}"
                raise
        for (_, before), (number, after) in itertools.pairwise(numbered):
            if hours_between(before.at, after.at) < before.administration(before.at).duration_h:
                raise WrongOrder(
                    "The session starts before the infusion of the one before has ended",
                    observed=f"{_minute(after.at)} after {_minute(before.at)} (UTC)",
                    next_step="Correct the time or the infusion",
                    about=f"events.{number}",
                )


def hours_between(start: datetime, end: datetime) -> float:
    """Hours from `start` to `end`, negative if it comes before.

    >>> hours_between(datetime(2026, 3, 2, tzinfo=UTC), datetime(2026, 3, 3, 12, tzinfo=UTC))
    36.0
    """
    return (end - start) / timedelta(hours=1)


def zone_called(name: str) -> ZoneInfo:
    """The time zone of an IANA name.

    Raises: UnknownName with close names.
    """
    try:
        return ZoneInfo(name)
    except (ValueError, KeyError, OSError):  # KeyError: not found; the others: no possible name of a zone file
        close = difflib.get_close_matches(name, sorted(available_timezones()), n=3)
        raise UnknownName(
            "timezone is not known",
            observed=echo(name),
            allowed="an IANA name, as in Europe/Zurich",
            next_step=f"Did you mean {' or '.join(close)}?" if close else None,
            about="timezone",
        ) from None


def utc_from_local(local: datetime, zone: ZoneInfo) -> datetime:
    """UTC of a wall-clock time.

    Raises: OutOfRange for a time that the clocks skip, or show twice, when summer time begins or ends.

    >>> utc_from_local(datetime(2026, 3, 2, 9), ZoneInfo("Europe/Zurich"))  # noqa: DTZ001 - a wall clock has no zone
    datetime.datetime(2026, 3, 2, 8, 0, tzinfo=datetime.timezone.utc)
    """
    readings = set(_readings(local, zone))
    if len(readings) != 1:
        raise OutOfRange(
            f"In {zone.key} the clocks {'show this time twice' if readings else 'skip this time'}",
            observed=local.isoformat(),
            allowed="a time that exists once",
            next_step="Write the time with its offset from UTC, as in 2026-03-02T09:00+01:00",
        )
    return readings.pop()


def _readings(local: datetime, zone: ZoneInfo) -> Iterator[datetime]:
    for fold in (0, 1):
        at = local.replace(tzinfo=zone, fold=fold).astimezone(UTC)
        if at.astimezone(zone).replace(tzinfo=None) == local:
            yield at


def _check_row(at: datetime, note: str) -> None:
    if at.utcoffset() != timedelta(0) or not FIRST_YEAR <= at.year <= LAST_YEAR:
        raise OutOfRange(
            "A time of a course is in UTC", observed=at.isoformat(), allowed=f"years {FIRST_YEAR} to {LAST_YEAR}"
        )
    if len(note) > LONGEST_NOTE or not note.replace("\n", "").replace("\t", "").isprintable():
        raise OutOfRange(
            "The note is refused",
            observed=f"{len(note)} characters",
            allowed=f"up to {LONGEST_NOTE} printable characters",
        )


def _minute(at: datetime) -> str:
    return f"{at:%Y-%m-%d %H:%M}"
