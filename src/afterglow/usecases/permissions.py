"""Every use case with who may, as a table: the page that a clinic checks its roles against."""

from __future__ import annotations

from collections.abc import Iterator

from afterglow.clinic import Role
from afterglow.markdown import table
from afterglow.usecases import (  # noqa: F401  each enters its use cases into the catalogue
    answering,
    charts,
    contacts,
    courses,
    deciding,
    designs,
    diary,
    documents,
    drugs,
    importing,
    intake,
    jobs,
    measures,
    messages,
    monitoring_sheet,
    oversight,
    papers,
    passes,
    patients,
    people,
    planning,
    policies,
    research,
    room,
    session_sheet,
    sessions,
    titration,
    today,
    wall,
    worklists,
)
from afterglow.usecases.desk import CATALOGUE, UseCase

SHOWN = (
    Role.COORDINATOR,
    Role.PRESCRIBER,
    Role.NURSE,
    Role.THERAPIST,
    Role.MEDICAL_DIRECTOR,
    Role.COMPLIANCE,
    Role.RESEARCHER,
    Role.ADMINISTRATOR,
    Role.PATIENT,
    Role.ROOM,
    Role.SYSTEM,
)
_HEADS = {
    Role.COORDINATOR: "Coord.",
    Role.PRESCRIBER: "Prescr.",
    Role.NURSE: "Nurse",
    Role.THERAPIST: "Therap.",
    Role.MEDICAL_DIRECTOR: "Director",
    Role.COMPLIANCE: "Compl.",
    Role.RESEARCHER: "Research.",
    Role.ADMINISTRATOR: "Admin.",
    Role.PATIENT: "Patient",
    Role.ROOM: "Room",
    Role.SYSTEM: "Program",
}


def permissions_markdown() -> str:
    """The reference page of who may do what.

    >>> permissions_markdown().splitlines()[0]
    '# Who may do what'
    """
    return "\n".join(_page()) + "\n"


def _page() -> Iterator[str]:
    yield "# Who may do what"
    yield ""
    yield "Generated from the use cases; do not edit by hand. `x` may; `s` may, after giving password and code again;"
    yield "*reads* are told in the audit trail before they are shown. A rule of care may still refuse."
    yield ""
    for group in dict.fromkeys(name.split(".")[0] for name in sorted(CATALOGUE)):
        yield f"## {group.capitalize()}"
        yield ""
        rows = (_row(case) for name, case in sorted(CATALOGUE.items()) if name.split(".")[0] == group)
        yield from table(["Use case", "What", *(_HEADS[role] for role in SHOWN)], rows)
        yield ""


def _row(case: UseCase) -> list[str]:
    mark = "s" if case.signs else "x"
    what = case.summary.rstrip(".") + (" (*reads*)" if case.reads else "")
    return [f"`{case.name}`", what, *(mark if role in case.roles else "" for role in SHOWN)]
