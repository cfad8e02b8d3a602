"""The reference page of both file formats, written from the tables that read the files."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from afterglow.markdown import table
from afterglow.protocol.course import FIRST_YEAR, LAST_YEAR, LONGEST_NOTE, CourseRecord
from afterglow.protocol.course_file import COLUMNS, SESSION_EXAMPLES, SETTING_KEYS
from afterglow.protocol.course_file import LARGEST_MB as LARGEST_COURSE_MB
from afterglow.protocol.design import MaintenanceArm, TrialDesign
from afterglow.protocol.dropout import Dropout
from afterglow.protocol.kinds import MOST_ITEMS, Key, defaults, required
from afterglow.protocol.nodes import DEEPEST
from afterglow.protocol.treatment import LONGEST_COURSE_H
from afterglow.protocol.trial import (
    LONGEST_TITLE,
    ObservationPlan,
    Population,
    PublishedArms,
    RelapseQuestion,
    TrialProtocol,
)
from afterglow.protocol.trial_file import (
    ARM_KEYS,
    DESIGN_KEYS,
    DROPOUT_KEYS,
    LARGEST_MB,
    OBSERVE_KEYS,
    POPULATION_KEYS,
    PROTOCOL_KEYS,
    RELAPSE_KEYS,
    STEP_KEYS,
    TRIAL_KEYS,
)
from afterglow.quantities import format_duration
from afterglow.therapy.regimen import InfusionStep

_SECTIONS: tuple[tuple[str, type[Any], Sequence[Key]], ...] = (
    ("Keys of a protocol", TrialProtocol, PROTOCOL_KEYS),
    ("One step of `infusion`", InfusionStep, STEP_KEYS),
    ("Keys under `population`", Population, POPULATION_KEYS),
    ("Keys under `observe`", ObservationPlan, OBSERVE_KEYS),
    ("Keys under `observe.relapse`", RelapseQuestion, RELAPSE_KEYS),
    ("Keys under `dropout`", Dropout, DROPOUT_KEYS),
    ("Keys under `design`", TrialDesign, DESIGN_KEYS),
    ("One arm of `design.arms`", MaintenanceArm, ARM_KEYS),
    ("Keys under `trial`", PublishedArms, TRIAL_KEYS),
)


_INTRODUCTION = f"""\
# The files you write

A **protocol** (YAML) says what a trial arm, a plan or a what-if is. A **course** (CSV) says what happened to one
patient. Both are UTF-8 text, with or without a byte-order mark, in any line ending. Whatever is not listed here is
refused with file, line, the value and what is allowed; nothing is guessed and no row is dropped.

## Protocol

Up to {LARGEST_MB} MB, one document, nested at most {DEEPEST} deep, lists of at most {MOST_ITEMS} items. Plain YAML keys
and values: no tags, anchors or aliases. Units are always written, except where a key names its unit. Times count from
the first session and lie within {format_duration(LONGEST_COURSE_H)}. A title has up to {LONGEST_TITLE} characters.
Doses outside the limits of their drug and route are refused with the source of the limit."""

_COURSE = f"""\
## Course

Up to {LARGEST_COURSE_MB} MB. The first line is `{",".join(COLUMNS)}`; semicolons or tabs may stand for the commas, and
decimals have a point. Every row has all four cells; empty rows are skipped. Rows without a time, each at most once and
without a note:"""

_TIMED_ROWS = f"""\
Rows with a time, in order of time:

| what | value |
|---|---|
| name of a scale | total score, inside the scale: `21`; or `43.4 % of baseline` |
| `session` | drug, route, dose and, if infused, for how long: {", ".join(f"`{text}`" for text in SESSION_EXAMPLES)} |

A time is `2026-03-02T09:00`, with seconds if wanted, from {FIRST_YEAR} to {LAST_YEAR}. Its offset from UTC follows
(`+01:00` or `Z`), or the `timezone` row gives it. A local time that the clocks skip, or show twice, when summer time
begins or ends is refused: write it with its offset. One session, and one score of each scale, can stand at a time. The
first time is the origin of the course. A note has up to {LONGEST_NOTE} characters."""


def protocol_markdown() -> str:
    """The reference page of the protocol and the course file, in Markdown.

    >>> protocol_markdown().splitlines()[0]
    '# The files you write'
    """
    sections = [f"### {title}\n\n{_table(build, keys)}" for title, build, keys in _SECTIONS]
    return "\n\n".join([_INTRODUCTION, *sections, _COURSE, _table(CourseRecord, SETTING_KEYS), _TIMED_ROWS]) + "\n"


def _table(build: type[Any], keys: Sequence[Key]) -> str:
    rows = ((f"`{key.name}`", key.kind.says, _default(build, key), key.meaning) for key in keys)
    return "\n".join(table(["Key", "Value", "Default", "Meaning"], rows))


def _default(build: type[Any], key: Key) -> str:
    if key.target in required(build):
        return "required"
    value = defaults(build)[key.target]
    return "none" if value is None or value == () else f"`{key.kind.write(value)}`"
