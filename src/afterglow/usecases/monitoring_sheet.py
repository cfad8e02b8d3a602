"""What the risk programme's monitoring form asks of a session, from the record alone; the official form is theirs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from afterglow.clinic import AdverseEvent, Container, Reading, standing_readings
from afterglow.clinic.acting import minutes_between
from afterglow.errors import NotFound
from afterglow.quantities import format_mg
from afterglow.usecases.desk import view
from afterglow.usecases.session_sheet import SessionSheet, sheet_of
from afterglow.usecases.wording import Wording, clinic_of, medicines_words, pressure_words, wording_of
from afterglow.usecases.work import CARE, Work

_AWAKE = 5  # of MOAA/S, responds readily: the scale's highest point (instruments/moaas)


@dataclass(frozen=True, slots=True, kw_only=True)
class MonitoringData:
    """What goes into a session's monitoring form: `fields` are names and values, as far as the record holds them."""

    due_at: datetime
    fields: tuple[tuple[str, str], ...]


@view("sessions.monitoring", roles=CARE)
def read_monitoring(work: Work, session_id: str) -> MonitoringData:
    """What goes into the monitoring form of a session, and when it is due.

    Raises: NotFound, also for a session that needs none.
    """
    return monitored(work, session_id, wording_of(work))[1]


def monitored(work: Work, session_id: str, say: Wording) -> tuple[SessionSheet, MonitoringData]:
    """As `read_monitoring`, with the session, within another use case."""
    sheet = sheet_of(work, session_id, zone=say.zone.key, model=False)
    if sheet.session.rems_due_at is None:
        raise NotFound("No monitoring form is due for this session")
    used = (work.find(Container, each) for each in sheet.session.containers)
    containers = {each.id: each.now for each in used if each is not None}
    found = monitoring_fields(sheet, containers, setting=clinic_of(work).name, say=say)
    return sheet, MonitoringData(due_at=sheet.session.rems_due_at, fields=found)


def monitoring_fields(
    sheet: SessionSheet, containers: Mapping[str, Container], *, setting: str, say: Wording
) -> tuple[tuple[str, str], ...]:
    """What the risk programme's monitoring form asks for, field by field, as far as the record holds it.

    Args:
        sheet: of a session that needs the form.
        containers: the devices that were used, by id.
        setting: the clinic's name.
        say: how people and times are written.
    """
    session, whose = sheet.session, sheet.whose
    first = session.given[0]
    sets = standing_readings(session.readings)
    pressures = [each for each in sets if each.systolic_mmhg is not None]
    before = [each for each in pressures if each.taken_at < first.at]
    after = [each for each in pressures if each.taken_at >= first.at]
    lots = dict.fromkeys(containers[each.container_id].lot for each in session.given if each.container_id in containers)
    sedated = any(each.moaas is not None and each.moaas < _AWAKE for each in sets)
    early = ", stopped early" if session.complete is False else ""
    return (
        ("Patient", "erased" if whose is None else whose.name),
        ("Birth date", say.day(None if whose is None else whose.born_on)),
        ("First treatment", "yes" if session.number == 1 else f"no, session {session.number}"),
        ("Concomitant medicines", medicines_words(sheet.medicines)),
        ("Monitoring provider", say.who(first.by)),
        ("Setting", setting),
        ("Treatment date", say.day(first.at)),
        ("Dose", f"{format_mg(session.given_ug)}{early}"),
        ("Devices", ", ".join(f"{each.container_id} at {say.clock(each.at)}" for each in session.given)),
        ("Lot", ", ".join(lots) or "not recorded"),
        (
            "Minutes from first device to end of monitoring",
            "still watched" if session.left_at is None else str(_minutes(first.at, session.left_at)),
        ),
        ("Pressure before", "; ".join(_pressure(each, say) for each in before[-1:]) or "not taken"),
        (
            "Pressures after",
            "; ".join(f"{_pressure(each, say)} ({_minutes(first.at, each.taken_at)} min)" for each in after)
            or "not taken",
        ),
        ("Sedation", "yes" if sedated else "no set under 5 of 5"),
        ("Dissociation", "yes" if any(each.dissociated for each in sets) else "not seen in any set"),
        ("Events", "; ".join(_event_words(each, say) for each in session.adverse_events) or "none recorded"),
    )


def _minutes(since: datetime, until: datetime) -> int:
    return int(minutes_between(since, until))


def _pressure(reading: Reading, say: Wording) -> str:
    return f"{pressure_words(reading)} at {say.clock(reading.taken_at)}"


def _event_words(event: AdverseEvent, say: Wording) -> str:
    until = "" if event.ended_at is None else f" to {say.clock(event.ended_at)}"
    done = f", {event.intervention}" if event.intervention else ""
    return f"{event.term}, {say.clock(event.started_at)}{until}{done}{', serious' if event.serious else ''}"
