"""What somebody typed into a form, read into values; each refusal names its field."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal, InvalidOperation
from zoneinfo import ZoneInfo

from fastapi import Request

from afterglow.errors import InputError, MissingValue, OutOfRange, echo
from afterglow.predicates import Fact

_LONGEST = 2000  # characters of one field
LARGEST_FORM = 2**20  # bytes, with its files
_UG_PER_MG = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class Typed:
    """The fields of a form by name; what is empty is None, never zero and never no."""

    fields: Mapping[str, str] = field(repr=False)

    def text(self, name: str) -> str:
        """A field as typed, without blanks around it; empty where there is none.

        Raises: OutOfRange for more than 2000 characters.
        """
        found = self.fields.get(name, "").strip()
        if len(found) > _LONGEST:
            raise OutOfRange(
                "The text is too long",
                observed=f"{len(found)} characters",
                allowed=f"{_LONGEST} characters",
                next_step="Shorten it",
                about=name,
            )
        return found

    def needed(self, name: str, what: str) -> str:
        """A field that must be filled.

        Raises: MissingValue.
        """
        found = self.text(name)
        if not found:
            raise MissingValue(f"{what} is missing", next_step="Fill it in", about=name)
        return found

    def number(self, name: str, what: str) -> float | None:
        """A number with a point for its fraction.

        Raises: OutOfRange.
        """
        found = self._decimal(name, what)
        return None if found is None else float(found)

    def needed_number(self, name: str, what: str) -> float:
        """A number that must be there.

        Raises: MissingValue, OutOfRange.
        """
        self.needed(name, what)
        found = self._decimal(name, what)
        return 0.0 if found is None else float(found)

    def whole(self, name: str, what: str) -> int | None:
        """A whole number.

        Raises: OutOfRange.
        """
        found = self._decimal(name, what)
        if found is None:
            return None
        return self._whole(found, name, what, "a whole number")

    def thousandths(self, name: str, what: str) -> int | None:
        """Milligrams as whole micrograms, or millilitres as whole microlitres.

        Raises: OutOfRange for more than three decimals.

        >>> Typed(fields={"mg": "39.5"}).thousandths("mg", "The amount")
        39500
        """
        found = self._decimal(name, what)
        return None if found is None else self._whole(found * _UG_PER_MG, name, what, "at most three decimals")

    def hundredths(self, name: str, what: str) -> int | None:
        """A price as whole hundredths of its currency.

        Raises: OutOfRange for more than two decimals.

        >>> Typed(fields={"price": "450.5"}).hundredths("price", "The price")
        45050
        """
        found = self._decimal(name, what)
        return None if found is None else self._whole(found * 100, name, what, "at most two decimals")

    def needed_thousandths(self, name: str, what: str) -> int:
        """As `thousandths`, where it must be there.

        Raises: MissingValue, OutOfRange.
        """
        self.needed(name, what)
        return self.thousandths(name, what) or 0

    def yes_no(self, name: str) -> bool | None:
        """Yes, no, or None where nobody said.

        Raises: OutOfRange for another word.

        >>> Typed(fields={"a": "yes", "b": ""}).yes_no("a"), Typed(fields={}).yes_no("b")
        (True, None)
        """
        found = self.text(name)
        if found not in {"", "yes", "no", "unknown"}:
            raise OutOfRange("This is no answer", observed=echo(found), allowed="yes, no or not known", about=name)
        return {"yes": True, "no": False}.get(found)

    def ticked(self, name: str) -> bool:
        """Whether a box is ticked."""
        return bool(self.text(name))

    def at(self, name: str, *, now: datetime, zone: str) -> datetime | None:
        """A time of day as the last moment at which the clinic's clock showed it; None where empty.

        Raises: OutOfRange.

        >>> from datetime import UTC
        >>> Typed(fields={"t": "23:50"}).at("t", now=datetime(2026, 1, 5, 0, 10, tzinfo=UTC), zone="UTC").day
        4
        """
        found = self.text(name)
        if not found:
            return None
        try:
            typed = datetime.strptime(found, "%H:%M").time()  # noqa: DTZ007  a time of day
        except ValueError:
            raise OutOfRange("This is no time", observed=echo(found), allowed="as in 14:05", about=name) from None
        here = now.astimezone(ZoneInfo(zone))
        at = datetime.combine(here.date(), typed, tzinfo=here.tzinfo)
        if at > here + timedelta(minutes=1):  # before midnight, typed after it
            at -= timedelta(days=1)
        return min(at.astimezone(now.tzinfo), now)

    def day(self, name: str) -> date | None:
        """A day as in 2026-12-11; None where empty.

        Raises: OutOfRange.
        """
        found = self.text(name)
        try:
            return date.fromisoformat(found) if found else None
        except ValueError:
            raise OutOfRange(
                "The day cannot be read",
                observed=echo(found),
                allowed="as in 2026-12-11",
                next_step="Write the day",
                about=name,
            ) from None

    def moment(self, name: str) -> datetime | None:
        """A moment in ISO form with its offset, as a device sends it.

        Raises: InputError.
        """
        found = self.text(name)
        if not found:
            return None
        try:
            at = datetime.fromisoformat(found)
        except ValueError:
            at = datetime.min  # noqa: DTZ901  has no offset, so it is refused below
        if at.tzinfo is None:
            raise InputError("This is no moment", observed=echo(found), allowed="as in 2026-03-02T14:05:00Z")
        return at

    def one_of(self, name: str, words: Iterable[str], what: str) -> str:
        """One of several words.

        Raises: MissingValue, OutOfRange.
        """
        found, allowed = self.needed(name, what), tuple(words)
        if found not in allowed:
            raise OutOfRange(f"{what} is refused", observed=echo(found), allowed=", ".join(allowed), about=name)
        return found

    def _decimal(self, name: str, what: str) -> Decimal | None:
        found = self.text(name)
        if not found:
            return None
        try:
            number = Decimal(found)
        except InvalidOperation:
            number = Decimal("NaN")
        if not number.is_finite() or abs(number) >= 10**9:
            raise OutOfRange(
                f"{what} is no number",
                observed=echo(found),
                allowed="digits, with a point before a fraction",
                next_step="Correct the number",
                about=name,
            )
        return number

    @staticmethod
    def _whole(number: Decimal, name: str, what: str, allowed: str) -> int:
        if number != number.to_integral_value():
            raise OutOfRange(
                f"{what} is refused", observed=f"{number}", allowed=allowed, next_step="Correct the number", about=name
            )
        return int(number)


def as_typed(fact: Fact | None) -> str:
    """An answer at screening as a form would hold it; empty where it is not known.

    >>> as_typed(True), as_typed(6.5), as_typed(None)
    ('yes', '6.5', '')
    """
    if fact is None or isinstance(fact, bool):
        return {True: "yes", False: "no", None: ""}[fact]
    return fact if isinstance(fact, str) else f"{fact:g}"


def local_time(day: str, clock: str, zone: ZoneInfo) -> datetime:
    """A day and a time of the clinic's clock as UTC.

    Raises: InputError, also for a time that the clocks skip in spring.
    """
    try:
        local = datetime.combine(date.fromisoformat(day), time.fromisoformat(clock), tzinfo=zone)
    except ValueError:
        wrong = "day" if not _is_day(day) else "time"
        raise InputError(
            f"The {wrong} is not understood",
            allowed="a day as 2026-01-05, a time as 14:30",
            next_step=f"Give the {wrong}",
            about=wrong,
        ) from None
    at = local.astimezone(UTC)
    if at.astimezone(zone).replace(tzinfo=None) != local.replace(tzinfo=None):
        raise InputError("The clocks skip this time", observed=clock, next_step="Take an hour later", about="time")
    return at


def _is_day(text: str) -> bool:
    try:
        date.fromisoformat(text)
    except ValueError:
        return False
    return True


def check_size(request: Request, *, most: int) -> None:
    """Refuse a form of more bytes than its page sends, before it is read.

    Raises: OutOfRange, also where it does not say how large it is.
    """
    told, in_parts = request.headers.get("content-length", "0"), "transfer-encoding" in request.headers
    if in_parts or not told.isdigit() or int(told) > most:
        raise OutOfRange(
            "The form is too large",
            observed="a size that is not told" if in_parts else f"{told} bytes",
            allowed=f"up to {most:,} bytes",
            next_step="Send less",
        )


async def typed_of(request: Request) -> Typed:
    """The form of a request; files in it are left out."""
    form = await request.form()
    return Typed(fields={name: value for name, value in form.items() if isinstance(value, str)})
