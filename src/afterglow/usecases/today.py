"""Today: every chair in its place with its clocks, who is expected, and the alerts that stand."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime

from afterglow.clinic import (
    Booking,
    BookingState,
    ClinicAlert,
    Clocks,
    Delivery,
    Diary,
    Finding,
    Priority,
    Role,
    SessionState,
    TreatmentSession,
    clocks,
    escalations,
    owns_alert,
    standing_readings,
)
from afterglow.store import facts
from afterglow.usecases.desk import view
from afterglow.usecases.measures import OPEN_ALERTS
from afterglow.usecases.people import names_of
from afterglow.usecases.room import IN_ROOM
from afterglow.usecases.session_sheet import (
    Gate,
    ReadingMark,
    gates_of,
    reading_line,
    standing_priority,
    waiting_decisions,
)
from afterglow.usecases.sessions import chart_of, policy_of
from afterglow.usecases.work import CARE, DIARY, Loaded, Work


@dataclass(frozen=True, slots=True, kw_only=True)
class InChair:
    """Who sits in a chair now.

    Args:
        name: None for a chart that is closed to whoever looks; then nothing else is told but that the chair is taken.
        rules_met: ids of the rules that stand for an escalation, `seen` what they were met with, in words.
        decisions: what waits for a prescriber, `asked_at` since when at the latest.
    """

    name: str | None
    session_id: str | None = None
    delivery: Delivery | None = None
    number: int | None = None
    state: SessionState | None = None
    clocks: Clocks | None = None
    rules_met: tuple[str, ...] = ()
    seen: str = ""
    priority: Priority | None = None
    line: tuple[ReadingMark, ...] = ()
    decisions: tuple[Finding, ...] = ()
    asked_at: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ChairNow:
    """One chair, in the clinic's own order: who sits there, and who comes next."""

    chair_id: str
    now: InChair | None
    next: Expected | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Expected:
    """A booked session whose patient is not here yet; neither name nor gates of a chart closed to the reader."""

    session_id: str
    chair_id: str
    starts_at: datetime
    delivery: Delivery
    name: str | None
    number: int | None = None
    gates: tuple[Gate, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class NamedAlert:
    """An alert that stands, with who it is about; `mine` where whoever looks owns it or stands above its owner.

    `own` where it waits for whoever looks: they own it, or its cause asks for them besides. `session_id` is of the
    session in which the patient sits now; None where they sit in no chair.
    """

    alert: Loaded[ClinicAlert]
    name: str
    mine: bool = False
    own: bool = False
    session_id: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Today:
    """What the page shows; `at` is the server's time, `people` are names by login."""

    at: datetime
    chairs: tuple[ChairNow, ...]
    expected: tuple[Expected, ...]
    alerts: tuple[NamedAlert, ...]
    people: dict[str, str]


@view("today.read", roles=(*CARE, Role.COORDINATOR))
def read_today(work: Work, *, since: datetime, until: datetime) -> Today:
    """Chairs, arrivals between two times, and open alerts; a closed chart holds its chair without a name."""
    booked = facts.load_all(work.tx, Booking, states=(BookingState.BOOKED,), due_from=since, due_until=until)
    coming = [each.now for each in booked if each.now is not None]
    names = work.names(each.patient_id for each in coming)
    expected = tuple(
        sorted(
            (_expected(work, each, names) for each in coming),
            key=lambda each: (each.starts_at, each.chair_id),
        )
    )
    here = [each.now for each in facts.load_all(work.tx, TreatmentSession, states=IN_ROOM) if each.now is not None]
    sitting, seated = _sitting(work, here), {each.patient_id: each.id for each in here}
    plan = work.find(Diary, DIARY)
    chairs = tuple(
        ChairNow(
            chair_id=chair.id,
            now=sitting.get(chair.id),
            next=next((each for each in expected if each.chair_id == chair.id), None),
        )
        for chair in (() if plan is None else plan.now.chairs)
    )
    raised = work.every(ClinicAlert, states=OPEN_ALERTS)
    about = work.names(each.now.patient_id for each in raised)
    alerts = tuple(
        NamedAlert(
            alert=each,
            name=about[each.now.patient_id],
            mine=owns_alert(each.now, work.actor.roles),
            own=any(work.actor.has(role) for role in (each.now.owner, *each.now.informs)),
            session_id=seated.get(each.now.patient_id),
        )
        for each in raised
    )
    work.patient_id = None
    work.subject = None
    return Today(at=work.now, chairs=chairs, expected=expected, alerts=alerts, people=names_of(work))


def _expected(work: Work, booking: Booking, names: Mapping[str, str]) -> Expected:
    known = Expected(
        session_id=booking.id,
        chair_id=booking.chair_id,
        starts_at=booking.starts_at,
        delivery=booking.delivery,
        name=None,
    )
    if booking.patient_id in work.hidden:
        return known
    session = work.load(TreatmentSession, booking.id).now
    policy = work.policy_or_defaults()
    return replace(
        known,
        name=names[booking.patient_id],
        number=session.number,
        gates=gates_of(work, session, chart_of(work, session, policy), policy),
    )


def _sitting(work: Work, here: list[TreatmentSession]) -> dict[str, InChair]:
    """Who is in which chair; chairs are looked up past closed charts, since a taken chair is never shown as free."""
    found: dict[str, InChair] = {}
    arrived = {
        head.id: head.now.chair_id
        for head in facts.load_all(work.tx, Booking, states=(BookingState.ARRIVED,))
        if head.now is not None
    }
    names = work.names(each.patient_id for each in here)
    for each in here:
        if each.id in arrived:
            name = names.get(each.patient_id)
            found[arrived[each.id]] = InChair(name=None) if name is None else _in_chair(work, each, name)
    return found


def _in_chair(work: Work, session: TreatmentSession, name: str) -> InChair:
    policy = policy_of(work, session)
    told = clocks(session, work.now, policy=policy)
    met = escalations(session, policy)
    asks = session.state is not SessionState.ARRIVED  # nobody decides before the screening is saved
    chart = chart_of(work, session, policy) if asks and (not session.runs or session.rate_waiting) else None
    last = max([e.entered_at for e in standing_readings(session.readings)], default=None)
    return InChair(
        name=name,
        session_id=session.id,
        delivery=session.delivery,
        number=session.number,
        state=session.state,
        clocks=told,
        rules_met=tuple(each.rule for each in met),
        seen="; ".join(dict.fromkeys(each.values for each in met)),
        priority=standing_priority(met, session),
        line=reading_line(session, work.now, told, policy),
        decisions=waiting_decisions(work, session, chart, policy, standing=met) if asks else (),
        asked_at=max([each for each in (last, session.screened_at) if each is not None], default=None),
    )
