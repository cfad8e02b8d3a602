"""Where a number comes from, how far it was checked, and what it may be used for."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from afterglow.errors import InvalidData, OutOfRange, echo


class Verified(StrEnum):
    """How far a figure was checked, best first; one value per figure.

    page: read at the source page. derived: arithmetic on page figures. policy: no published threshold, a
    default that a medical director signs. recalled: from memory, never shown as fact.
    """

    PAGE = "page"
    DERIVED = "derived"
    POLICY = "policy"
    RECALLED = "recalled"


class Role(StrEnum):
    """What a published figure may be used for.

    calibration: may be fitted. bound: may bound a prior or a sign, never a fit. context: neither. held_out:
    validation only, never fitted. held_out_shared: validation of the acute endpoint only, because some of its
    patients are also in a calibration entry.
    """

    CALIBRATION = "calibration"
    BOUND = "bound"
    CONTEXT = "context"
    HELD_OUT = "held_out"
    HELD_OUT_SHARED = "held_out_shared"


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """A page, label, paper or library that figures were taken from.

    Args:
        key: the name figures refer to.
        citation: authors, year, title and journal as far as known.
        url: the page read, if any.
        read: which part was read (abstract, table, label section, ...).
        verified: whether the citation itself was read at a page.
    """

    key: str
    citation: str
    url: str | None = None
    doi: str | None = None
    pmid: str | None = None
    pmcid: str | None = None
    nct: str | None = None
    read: str | None = None
    verified: Verified = Verified.PAGE
    note: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Provenance:
    """Source keys, verification and note of one figure or rule; a recalled figure may have no source."""

    source: tuple[str, ...]
    verified: Verified
    note: str | None = None

    def __post_init__(self) -> None:
        if not self.source and self.verified is Verified.PAGE:
            raise InvalidData(
                "A figure marked `verified: page` names no source",
                next_step="Name the source, or mark the figure recalled",
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class Guardrail:
    """Bounds on a value a person types, with their source: outside `absolute` is refused, outside `usual` warned.

    Both are closed intervals in `unit`.
    """

    name: str
    unit: str
    absolute: tuple[float, float]
    usual: tuple[float, float]
    provenance: Provenance

    def __post_init__(self) -> None:
        (low, high), (usual_low, usual_high) = self.absolute, self.usual
        if not low <= usual_low <= usual_high <= high:
            raise InvalidData(
                f"Guardrail {self.name}: the usual range must lie inside the absolute one",
                observed=f"{self.usual} in {self.absolute} {self.unit}",
            )

    def check(self, value: float) -> None:
        """Refuse a value outside the absolute bounds.

        Raises: OutOfRange with the bounds and their source.
        """
        low, high = self.absolute
        if not low <= value <= high:  # also catches NaN
            raise OutOfRange(
                f"{self.name} is refused",
                observed=f"{value:g} {self.unit}",
                allowed=f"{low:g} to {high:g} {self.unit} ({'; '.join(self.provenance.source)})",
                next_step="Correct the value; if it is right, this model has no evidence for it",
            )

    def is_usual(self, value: float) -> bool:
        """Whether the value lies inside the usual range."""
        return self.usual[0] <= value <= self.usual[1]


def parse_verified(value: Any, *, where: str) -> Verified:
    """The single verification of a figure.

    Raises: InvalidData unless `value` is exactly one of page, derived, policy, recalled.

    >>> parse_verified("page", where="a figure")
    <Verified.PAGE: 'page'>
    """
    try:
        return Verified(value)
    except ValueError:
        raise InvalidData(
            f"{where}: `verified` must be one word",
            observed=echo(value),
            allowed=", ".join(Verified),
            next_step="Split a mixed record, or give it the lowest of its parts",
        ) from None


def lowest(values: Iterable[Verified]) -> Verified:
    """The weakest verification of several figures; a result can be no better than its worst input.

    >>> lowest([Verified.PAGE, Verified.RECALLED, Verified.DERIVED])
    <Verified.RECALLED: 'recalled'>
    """
    order = list(Verified)
    return max(values, key=order.index)
