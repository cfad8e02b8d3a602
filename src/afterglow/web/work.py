"""The worklist: who lapsed, who is getting worse, what is due and whose it is; and a link for a patient's phone."""

from __future__ import annotations

import io
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Any

import segno
from fastapi import APIRouter, Form, Request, Response

from afterglow.clinic import Priority, Role, WorkItem, WorkKind
from afterglow.errors import InputError
from afterglow.scales import instrument
from afterglow.usecases.passes import Purpose, issue_link
from afterglow.usecases.patients import read_identity
from afterglow.usecases.worklists import WorkLine, read_worklist
from afterglow.web.pages import PageRoute, desk_of, page

router = APIRouter(route_class=PageRoute)
Text = Annotated[str, Form()]


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """Lines that belong together; `none` is said where there are none."""

    key: str
    title: str
    about: str
    none: str
    kinds: tuple[WorkKind, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Shown:
    """One row: lines of one patient that are read together."""

    name: str
    patient_id: str
    course_id: str
    texts: tuple[str, ...]
    owner: Role
    priority: Priority
    due_at: datetime | None
    between: tuple[datetime | None, datetime | None]
    overdue: bool
    scales: tuple[str, ...]
    kind: WorkKind


GROUPS = (
    Group(
        key="alerts",
        title="Alerts",
        about="They are read, acted upon and closed on Today.",
        none="No alert is open.",
        kinds=(WorkKind.ALERT,),
    ),
    Group(
        key="worse",
        title="Getting worse",
        about="The last score is worse by more than measurement error.",
        none="Nobody's last score is worse by more than measurement error.",
        kinds=(WorkKind.GETTING_WORSE,),
    ),
    Group(
        key="lapsed",
        title="Lapsed",
        about="Started, and nothing given or booked for too long.",
        none="Nobody has lapsed: whoever started has a session given or booked in time.",
        kinds=(WorkKind.LAPSED,),
    ),
    Group(
        key="reviews",
        title="Benefit reviews",
        about="Among them early non-response. A prescriber decides; the list only asks.",
        none="No benefit review is due.",
        kinds=(WorkKind.REVIEW_DUE,),
    ),
    Group(
        key="sessions",
        title="Next session due",
        about="By the forecast, with the days for half and twice the accepted chance; else by the plan's interval.",
        none="No session is due without being booked.",
        kinds=(WorkKind.SESSION_DUE,),
    ),
    Group(
        key="scales",
        title="Scales missing",
        about="Due or overdue, one row a patient.",
        none="No scale is missing.",
        kinds=(WorkKind.MEASURE_DUE,),
    ),
    Group(
        key="after",
        title="Calls, forms and open sessions",
        about="Calls a day after, forms of the risk programme, sessions that are not closed.",
        none="Every call is made, every form is sent, every session is closed.",
        kinds=(WorkKind.CHECK_IN, WorkKind.MONITORING_FORM, WorkKind.SESSION_OPEN),
    ),
    Group(
        key="cover",
        title="Cover",
        about="Authorisations that run out.",
        none="No authorisation runs out soon.",
        kinds=(WorkKind.AUTHORISATION,),
    ),
)
_REST = Group(
    key="steps",
    title="Course steps and questions",
    about="Courses that wait for a step, and what aftercare asks.",
    none="No course waits.",
    kinds=tuple(each for each in WorkKind if not any(each in group.kinds for group in GROUPS)),
)
ALL_GROUPS = (*GROUPS, _REST)


@router.get("/worklist")
def show(request: Request, group: str = "", owner: str = "", overdue: str = "") -> Response:
    """Everything to do, in groups; a filter leaves some of it out and says so."""
    desk = desk_of(request)
    told = read_worklist(desk)
    lines = [
        each for each in told.shown if (not owner or each.item.owner == owner) and (not overdue or each.item.overdue)
    ]
    found = [(each, _rows(lines, each)) for each in ALL_GROUPS]
    counts = {each.key: len(rows) for each, rows in found}
    chosen = [(each, rows) for each, rows in found if each.key == group] or [pair for pair in found if pair[1]]
    shown: dict[str, Any] = {
        "groups": ALL_GROUPS,
        "counts": counts,
        "found": chosen,
        "empty": [each for each, rows in found if not rows],
        "chosen": {"group": group if group in counts else "", "owner": owner, "overdue": overdue},
        "owners": sorted({each.item.owner for each in told.shown}),
        "behind": told.trail_behind,
        "total": sum(counts.values()),
        "late": sum(each.overdue for _, rows in found for each in rows),
    }
    return page(request, "worklist.html", desk=desk, **shown)


@router.post("/links")
def make_link(request: Request, patient_id: Text, purpose: Text, about: Text = "") -> Response:
    """A link for a patient's phone, shown once: to be scanned at the desk, printed, or read out."""
    desk = desk_of(request)
    issued = issue_link(desk, patient_id, _purpose(purpose), about=about or None)
    address = f"{str(request.base_url).rstrip('/')}/link#{issued.token}"
    squares = io.BytesIO()
    drawn = segno.make(address, error="m", micro=False)
    drawn.save(squares, kind="svg", xmldecl=False, svgns=False, omitsize=True, border=4, svgclass=None, lineclass="qr")
    scale = instrument(about) if purpose == Purpose.ANSWER_SCALE else None
    identity = read_identity(desk, patient_id).shown.identifiers
    shown: dict[str, Any] = {
        "address": address,
        "picture": squares.getvalue().decode(),
        "until": issued.expires_at,
        "scale": scale,
        "reads": purpose == Purpose.SEE_PROGRESS,
        "whose": "" if identity is None else identity.name,
    }
    return page(request, "link.html", desk=desk, **shown)


def _purpose(word: str) -> Purpose:
    try:
        return Purpose(word)
    except ValueError:
        raise InputError(
            "A link is for one thing", allowed=", ".join(Purpose), about="purpose", next_step="Choose what it is for"
        ) from None


def _rows(lines: Iterable[WorkLine], group: Group) -> list[Shown]:
    """The lines of a group; a patient's missing scales in one row, by what is due first."""
    rows: list[Shown] = []
    by_patient: dict[str, list[WorkLine]] = {}
    for each in lines:
        if each.item.kind not in group.kinds:
            continue
        if each.item.kind is WorkKind.MEASURE_DUE:
            by_patient.setdefault(each.item.patient_id, []).append(each)
        else:
            rows.append(_row([each]))
    return [*rows, *(_row(each) for each in by_patient.values())]


def _row(lines: list[WorkLine]) -> Shown:
    first: WorkItem = lines[0].item
    scales = tuple(each.item.text for each in lines if each.item.kind is WorkKind.MEASURE_DUE)
    return Shown(
        name=lines[0].name,
        patient_id=first.patient_id,
        course_id=first.course_id,
        texts=tuple(dict.fromkeys(_words(each.item) for each in lines)),
        owner=first.owner,
        priority=first.priority,
        due_at=min((each.item.due_at for each in lines if each.item.due_at is not None), default=None),
        between=first.between,
        overdue=any(each.item.overdue for each in lines),
        scales=tuple(each for each in dict.fromkeys(scales) if _on_phone(each)),
        kind=first.kind,
    )


def _words(item: WorkItem) -> str:
    return item.text[:1].upper() + item.text[1:]


def _on_phone(name: str) -> bool:
    """Whether a patient may answer a scale by a link: who rates it, and what its licence lets us show."""
    scale = instrument(name)
    return scale.is_self_rated and scale.may_show_text
