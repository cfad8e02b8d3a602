"""What every published number consists of: a statistic, a value, its spread, and where it was read."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from afterglow.evidence.reading import Record


class Confidence(StrEnum):
    """How sure the compiler was of a figure that was not simply read."""

    HIGH = "high"
    MEDIUM = "medium"
    LOW = "low"


class SpreadKind(StrEnum):
    """What a spread describes; the unit is that of its figure unless the kind says otherwise."""

    SD = "sd"
    SE = "se"
    CI95 = "ci95"
    CI90 = "ci90"
    IQR = "iqr"
    RANGE = "range"
    UNLABELLED = "unlabelled"
    OMEGA2 = "omega2"
    """Between-subject variance of the logarithm."""
    OCCASION_OMEGA2 = "occasion_omega2"
    """Between-occasion variance of the logarithm."""
    COVARIANCE = "covariance"
    """Between-subject covariance of the logarithm with the parameter in `partner`."""
    IIV_CV_PCT = "iiv_cv_pct"
    """Between-subject coefficient of variation in per cent."""
    IIV_LOGIT_SD_PCT = "iiv_logit_sd_pct"
    """Between-subject standard deviation on the logit scale times 100."""
    RSE_PCT = "rse_pct"
    """Standard error of an estimate in per cent of it."""


_INTERVALS = frozenset({SpreadKind.CI95, SpreadKind.CI90, SpreadKind.IQR, SpreadKind.RANGE})


@dataclass(frozen=True, slots=True, kw_only=True)
class Spread:
    """The spread of one figure: `value`, or `lo` and `hi` for intervals.

    All three are None where the publication has the quantity but leaves the number out; `note` then says so.
    `partner` names the other parameter of a covariance.
    """

    kind: SpreadKind
    value: float | None = None
    lo: float | None = None
    hi: float | None = None
    partner: str | None = None
    note: str | None = None

    def __str__(self) -> str:
        if self.lo is not None:
            return f"{self.kind} {self.lo:g} to {self.hi:g}"
        return f"{self.kind} {'not given' if self.value is None else format(self.value, 'g')}"


@dataclass(frozen=True, slots=True, kw_only=True)
class PValue:
    """A p-value as printed; `below` where the source only gives an upper limit."""

    value: float
    below: bool = False

    def __str__(self) -> str:
        return f"p {'<' if self.below else '='} {self.value:g}"


def read_spreads(record: Record, key: str = "spread") -> tuple[Spread, ...]:
    """The list of spreads under `key` of a record; empty when there is none."""
    return tuple(_read_spread(child) for child in record.records(key, name_by="kind"))


def _read_spread(record: Record) -> Spread:
    spread = Spread(
        kind=record.word("kind", SpreadKind),
        value=record.optional_number("value"),
        lo=record.optional_number("lo"),
        hi=record.optional_number("hi"),
        partner=record.optional_text("partner"),
        note=record.optional_text("note"),
    )
    record.close()
    if (spread.lo is None) != (spread.hi is None) or (spread.value is not None and spread.lo is not None):
        raise record.fault("has a value, or both lo and hi", observed=str(spread))
    if spread.lo is not None and spread.hi is not None and spread.lo > spread.hi:
        raise record.fault("runs backwards", observed=f"{spread.lo:g} to {spread.hi:g}")
    if spread.kind in _INTERVALS and spread.value is not None:
        raise record.fault("is an interval and needs lo and hi", observed=spread.value)
    if spread.kind is SpreadKind.COVARIANCE and spread.partner is None:
        raise record.fault("is a covariance and misses the key `partner`")
    if spread.value is None and spread.lo is None and spread.note is None:
        raise record.fault("has no number and no note that says why")
    return spread


def read_p(record: Record) -> PValue | None:
    """The key `p` of a record: a number, or a text such as "<0.001"."""
    text = record.optional_text_or_number("p")
    if text is None:
        return None
    try:
        p = PValue(value=float(text.removeprefix("<")), below=text.startswith("<"))
    except ValueError:
        raise record.fault("key `p` is not a p-value", observed=text) from None
    if not 0 <= p.value <= 1:
        raise record.fault("key `p` is not a probability", observed=text)
    return p


def read_confidence(record: Record) -> Confidence | None:
    """The key `confidence` of a record, None when absent."""
    return record.optional_word("confidence", Confidence)
