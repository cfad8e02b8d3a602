"""How numbers are written, and how wide text will be: the same rules in every chart and report.

A minus is U+2212. A percentage of a model is never 0 % or 100 %. Parts shown to one decimal add up as shown.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from datetime import date
from typing import Final

MINUS: Final = "\u2212"
NOT_EXPLAINED: Final = "Not explained"

_WEEKDAYS: Final = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_MONTHS: Final = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")

# Advance widths of the shipped Inter at weight 400 in em, rounded up by class; digits are tabular.
_WIDTHS_EM: Final = {
    letter: width
    for letters, width in (
        ("iIjl", 0.27),
        (" !'.,:;|", 0.30),
        ("()[]/ftr-`", 0.38),
        ('cksvxyz"*?^_', 0.56),
        ("abdeghnopquJLF", 0.61),
        ("0123456789ABEKPRSTXYZ+<=>~−$#&", 0.66),
        ("CDGHNUV", 0.75),
        ("OQmMw", 0.86),
        ("%@W", 0.99),
    )
    for letter in letters
}
_OTHER_EM: Final = 0.66
_BOLD: Final = 1.04


def text_width(text: str, size_px: float, *, bold: bool = False) -> float:
    """Width of one line of text in px, a little generous; for placing labels, not for typesetting.

    Examples:
        >>> text_width("90 %", 10.0)
        26.1
    """
    em = sum(_WIDTHS_EM.get(letter, _OTHER_EM) for letter in text)
    return round(em * size_px * (_BOLD if bold else 1.0), 2)


def format_number(value: float, decimals: int = 0, *, signed: bool = False) -> str:
    """A number with a fixed count of decimals, thousands set apart, a true minus and no negative zero.

    Args:
        value: any number; a value that is not finite is written "unknown".
        decimals: digits after the point.
        signed: write "+" before positive values.

    Examples:
        >>> format_number(-3.84, 1), format_number(-0.04, 1), format_number(12345), format_number(2, signed=True)
        ('−3.8', '0.0', '12,345', '+2')
    """
    if not math.isfinite(value):
        return "unknown"
    shown = f"{value:,.{decimals}f}"
    if not shown.strip("-0.,"):
        return shown.lstrip("-")
    return shown.replace("-", MINUS) if value < 0 else ("+" if signed else "") + shown


def format_points(value: float, *, signed: bool = False) -> str:
    """Points of a scale, to one decimal.

    Examples:
        >>> format_points(-14.23), format_points(5.0, signed=True)
        ('−14.2', '+5.0')
    """
    return format_number(value, 1, signed=signed)


def format_significant(value: float, digits: int = 3) -> str:
    """A positive or negative quantity to `digits` significant figures, never in exponent form.

    Examples:
        >>> [format_significant(x) for x in (1234.5, 185.4, 18.54, 0.018543, 0.0)]
        ['1,230', '185', '18.5', '0.0185', '0']
    """
    if value == 0 or not math.isfinite(value):
        return format_number(value)
    rounded = float(f"{value:.{digits - 1}e}")
    return format_number(rounded, max(0, digits - 1 - math.floor(math.log10(abs(rounded)))))


def format_percent(percent: float, *, predicted: bool) -> str:
    """A percentage in whole numbers; one that a model gives is never 0 % or 100 %.

    Args:
        percent: 0 to 100.
        predicted: whether a model gave it; a count from a trial may be 0 % or 100 %.

    Examples:
        >>> [format_percent(p, predicted=True) for p in (0.0, 0.6, 45.3, 99.2, 100.0)]
        ['under 1 %', 'under 1 %', '45 %', 'over 99 %', 'over 99 %']
        >>> format_percent(0.0, predicted=False)
        '0 %'
    """
    if predicted and percent < 1.0:
        return "under 1 %"
    if predicted and percent > 99.0:
        return "over 99 %"
    return f"{format_number(percent)} %"


def format_range(low: str, high: str) -> str:
    """Two formatted numbers as a range; "to" keeps the minus signs apart.

    Examples:
        >>> format_range("−17.9", "−10.6")
        '−17.9 to −10.6'
        >>> format_range("over 99 %", "over 99 %")
        'over 99 %'
    """
    return low if low == high and low.startswith(("over ", "under ")) else f"{low} to {high}"


def format_parts(total: float, parts: Mapping[str, float]) -> dict[str, str]:
    """The parts of a total in points to one decimal, with what they leave unexplained.

    The unexplained part is the shown total minus the shown parts, so that a reader's own sum is right.

    Args:
        total: the whole, in points.
        parts: the named parts, in points.
    Returns: the parts in their order, then "Not explained".

    Examples:
        >>> format_parts(14.0, {"Drug": 5.94, "Expectancy": 0.56, "Care and time": 4.47})
        {'Drug': '5.9', 'Expectancy': '0.6', 'Care and time': '4.5', 'Not explained': '3.0'}
    """
    shown = {name: round(value, 1) for name, value in parts.items()}
    shown[NOT_EXPLAINED] = round(total, 1) - sum(shown.values())
    return {name: format_points(value) for name, value in shown.items()}


def format_day(day: date, *, weekday: bool = False, year: bool = False) -> str:
    """A date as people say it, whatever the machine's language.

    Examples:
        >>> format_day(date(2026, 12, 11), weekday=True), format_day(date(2026, 12, 4), year=True)
        ('Fri 11 Dec', '4 Dec 2026')
    """
    name = f"{_WEEKDAYS[day.weekday()]} " if weekday else ""
    return f"{name}{day.day} {_MONTHS[day.month - 1]}{f' {day.year}' if year else ''}"


def wrap_text(text: str, size_px: float, width_px: float, *, bold: bool = False) -> list[str]:
    """Text broken at spaces into lines no wider than `width_px`, where its words allow.

    Examples:
        >>> wrap_text("S-ketamine, venous plasma", 12.5, 100.0)
        ['S-ketamine,', 'venous plasma']
    """
    lines: list[str] = []
    for word in text.split():
        longer = f"{lines[-1]} {word}" if lines else word
        if lines and text_width(longer, size_px, bold=bold) <= width_px:
            lines[-1] = longer
        else:
            lines.append(word)
    return lines
