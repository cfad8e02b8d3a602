"""A session on paper: everything that was recorded of it and who signed what; and what its monitoring form asks for."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import datetime

from afterglow.clinic import (
    AdverseEvent,
    AllergyStatus,
    DrugUseKind,
    LeaveCheck,
    Leaving,
    Reading,
    SessionState,
    Transitioned,
    event_grades,
    standing_readings,
)
from afterglow.clinic.acting import minutes_between
from afterglow.quantities import format_mg
from afterglow.render.report import Block, KeyFigure, KeyFigures, Notice, Paragraph, Section
from afterglow.scales import instrument
from afterglow.usecases.session_sheet import SessionSheet
from afterglow.usecases.wording import Wording, facts_table, medicines_words, pressure_words, table_of
from afterglow.usecases.words import GATES, LEAVING, READINGS, SEEN, fact_words, questions, tidy

_LEFT = {
    Leaving.CLEARED: "after the leave check",
    Leaving.WALKED_OUT: "without the leave check",
    Leaving.TRANSFERRED: "handed over to emergency care",
}
_DISSOCIATED = {True: "present", False: "none", None: "not asked"}
_VALUES = {name: words for name, (words, _) in READINGS.items()} | {"moaas": "MOAA/S"}
_TOLD_ELSEWHERE = {"enter_reading", "record_event"}
_UG_PER_ML_IN_UL = 1000.0


def session_sections(sheet: SessionSheet, moves: Iterable[Transitioned], say: Wording) -> tuple[Section, ...]:
    """The record of a session, in the order of the day.

    Args:
        sheet: the session with all that its page knows.
        moves: what was done, in order.
        say: how people and times are written.
    """
    return tuple(
        Section(heading=heading, blocks=blocks)
        for heading, found in (
            ("The session", _session(sheet, say)),
            ("Before the dose", _before(sheet, say)),
            ("Dose", _dose(sheet, say)),
            ("Readings", _readings(sheet, say)),
            ("Events", _events(sheet, say)),
            ("Leaving", _leaving(sheet, say)),
            ("Close", _close(sheet, say)),
            ("Who signed", _signed(sheet, moves, say)),
            ("What was done, in order", _done(moves, say)),
        )
        if (blocks := tuple(found))
    )


def session_tags(sheet: SessionSheet) -> tuple[str, ...]:
    """What a reader of the record must not miss."""
    session = sheet.session
    label = {True: "On label", False: "Off label", None: "Label: not known"}[sheet.label.on_label]
    state = () if session.state is SessionState.CLOSED else (f"Not closed: {session.state.replace('_', ' ')}",)
    corrected = any(each.supersedes or each.entered_in_error for each in session.readings) or session.voided_events
    return (*state, label, *(("Holds corrections",) if corrected else ()))


def _session(sheet: SessionSheet, say: Wording) -> Iterator[Block]:
    session, order = sheet.session, sheet.session.order
    start, end = session.dose_started_at, session.left_at
    ended = session.closed_at
    state = session.state.replace("_", " ")
    figures = [
        KeyFigure(label="Session", value=str(session.number), note=f"week {session.week} of treatment"),
        KeyFigure(
            label="Given",
            value=format_mg(session.given_ug) if session.given else "nothing",
            note=session.delivery.words if session.complete is not False else "stopped before the whole dose",
        ),
        KeyFigure(
            label="From first dose to leaving",
            value="–" if start is None or end is None else f"{minutes_between(start, end):.0f} min",
            note="" if session.left_how is None else _LEFT[session.left_how],
        ),
        KeyFigure(
            label="State",
            value="Closed" if session.state is SessionState.CLOSED else "Not closed",
            note=say.moment(ended) if ended else state,
        ),
    ]
    yield KeyFigures(figures=tuple(figures))
    if session.state is not SessionState.CLOSED:
        yield Notice(text="This session is not closed: what follows is the record as it stood then.", kind="warning")
    rows = [
        ("Planned", say.moment(session.planned_at)),
        ("Arrived", say.moment(session.arrived_at)),
        ("Chair", sheet.chair_id or "–"),
        (
            "Treatment",
            session.delivery.words if order is None else f"{session.delivery.words}, {order.indication.words}",
        ),
        ("Label", sheet.label.statement),
        ("Allergies", _allergies(sheet)),
        ("Medicines", medicines_words(sheet.medicines)),
        ("Thresholds", _policy(sheet, say)),
    ]
    yield facts_table(rows)


def _before(sheet: SessionSheet, say: Wording) -> Iterator[Block]:
    session = sheet.session
    if session.arrived_at is None:
        yield Paragraph(text="Nobody was asked anything: the patient had not arrived.")
        return
    answers = dict(session.gate_facts)
    if sheet.gates_met:
        met = ", ".join(GATES[each] for each in sheet.gates_met)
        yield Paragraph(
            text=f"Every gate was closed when the dose began, {say.moment(session.dose_started_at)}: {met}."
        )
    elif sheet.gates:
        yield table_of(
            "Gates as they stand",
            ("Gate", "State", "What is open"),
            ((GATES[g.name], g.state, g.says or "") for g in sheet.gates),
        )
    asked = [
        (each.words, heading, fact_words(answers.get(each.name)))
        for heading, group in questions(session.delivery)
        for each in group
    ]
    if session.screened_at is None:
        yield Paragraph(text="The questions of screening were not all asked.")
    else:
        yield table_of(f"Asked at screening, {say.moment(session.screened_at)}", ("Question", "About", "Answer"), asked)
    if session.answers:
        yield table_of(
            "Rules that were met, and what was decided",
            ("Rule", "Found", "Decision", "Reason", "By", "At"),
            (
                (
                    each.rule,
                    tidy(
                        ", ".join(
                            f"{name.rpartition('.')[2].replace('_', ' ')} {fact_words(v)}" for name, v in each.observed
                        )
                    ),
                    each.decision,
                    each.reason,
                    say.who(each.by) + ("" if each.cosigned_by is None else f", with {say.who(each.cosigned_by)}"),
                    say.clock(each.at),
                )
                for each in session.answers
            ),
        )


def _dose(sheet: SessionSheet, say: Wording) -> Iterator[Block]:
    session = sheet.session
    order, prepared, check = session.order, session.prepared, session.second_check
    rows: list[tuple[str, str]] = []
    if order is not None:
        amounts = {"mg": order.dose_mg, "mg/kg": order.dose_mg_per_kg}
        dose = next((f"{value:g} {unit}" for unit, value in amounts.items() if value is not None), "by rates")
        over = f" over {order.minutes:g} min" if order.minutes else ""
        second = "" if order.second_signature_by is None else f", with {say.who(order.second_signature_by)}"
        rows.append(("Ordered", f"{dose}{over}; {say.who(order.ordered_by)}{second}, {say.moment(order.ordered_at)}"))
    if prepared is not None:
        drawn = "" if prepared.volume_ul is None else f", {prepared.volume_ul / _UG_PER_ML_IN_UL:g} mL"
        strength = "" if prepared.concentration_ug_per_ul is None else f" of {prepared.concentration_ug_per_ul} mg/mL"
        weight = "" if prepared.weight_kg is None else f", for {prepared.weight_kg:g} kg"
        devices = f", {prepared.devices} devices" if prepared.devices else ""
        who = f"{say.who(prepared.prepared_by)}, {say.moment(prepared.prepared_at)}"
        rows.append(("Prepared", f"{format_mg(prepared.amount_ug)}{drawn}{strength}{devices}{weight}; {who}"))
        rows += [("Noted at preparing", each) for each in prepared.warnings]
    if check is not None:
        rows.append(
            (
                "Second check",
                f"{format_mg(check.amount_ug)}, computed apart; {say.who(check.by)}, {say.moment(check.at)}",
            )
        )
    rows += [
        (
            "New rate ordered",
            f"{', '.join(f'{s.mg_per_h:g} mg/h for {s.hours:g} h' for s in each.steps)}: {each.reason}; "
            f"{say.who(each.ordered_by)}, {say.moment(each.ordered_at)}; "
            + (
                "never set"
                if each.set_at is None
                else f"set {say.clock(each.set_at)} by {say.who(each.set_by)}, checked by {say.who(each.checked_by)}"
            ),
        )
        for each in session.rate_changes
    ]
    rows += [
        ("Drug ran", f"{say.moment(run.since)} to {'–' if run.until is None else say.clock(run.until)}")
        for run in session.runs
    ]
    if session.gap is not None:
        gap = session.gap
        rows.append(
            ("Ended otherwise than ordered", f"{gap.words}. {gap.reason}; {say.who(gap.by)}, {say.clock(gap.at)}")
        )
    if not rows:
        yield Paragraph(text="No dose was ordered.")
        return
    yield facts_table(rows)
    if session.drug_uses:
        yield table_of(
            "Every movement of drug in this session",
            ("Time", "What", "Amount, mg#", "Container", "By", "Witness", "Reason"),
            (
                (
                    say.clock(each.at),
                    each.kind if each.device is None else f"{each.kind}, device {each.device}",
                    format_mg(each.amount_ug).removesuffix(" mg"),
                    each.container_id,
                    say.who(each.by),
                    say.who(each.witness),
                    each.reason or "",
                )
                for each in session.drug_uses
            ),
        )


def _readings(sheet: SessionSheet, say: Wording) -> Iterator[Block]:
    session = sheet.session
    sets = standing_readings(session.readings)
    if not sets or sheet.sheet is None:
        yield Paragraph(text="No reading was entered.")
        return
    yield sheet.sheet
    corrects = {each.id: each.supersedes for each in session.readings}
    yield table_of(
        "Every set as it stands",
        ("Time", "Pressure, mmHg#", "Pulse#", "SpO₂, %#", "Breaths#", "MOAA/S#", "Dissociation", "Seen", "By"),
        (
            (
                say.clock(each.taken_at),
                pressure_words(each) + (" (corrected)" if corrects[each.id] else ""),
                _number(each.heart_rate_per_min),
                _number(each.spo2_pct),
                _number(each.respiratory_rate_per_min),
                _number(each.moaas),
                _DISSOCIATED[each.dissociated],
                _seen(each),
                say.who(each.by),
            )
            for each in sets
        ),
    )
    by_id = {each.id: each for each in session.readings}
    corrected = [(by_id[each.supersedes], each) for each in session.readings if each.supersedes in by_id]
    if corrected:
        yield table_of(
            "Corrections: what was entered first stays in the record",
            ("Set of", "Was", "Is", "Reason", "By", "At"),
            (
                (
                    say.clock(old.taken_at),
                    _set_words(old, new, say),
                    "nothing: entered in error" if new.entered_in_error else _set_words(new, old, say),
                    new.reason or "",
                    say.who(new.by),
                    say.moment(new.entered_at),
                )
                for old, new in corrected
            ),
        )


def _events(sheet: SessionSheet, say: Wording) -> Iterator[Block]:
    session = sheet.session
    if session.adverse_events:
        yield table_of(
            "Adverse events (CTCAE general grades)",
            ("Event", "From", "To", "Grade", "Serious", "What was done", "Recorded by", "Graded by"),
            (
                (
                    each.term,
                    say.clock(each.started_at),
                    say.clock(each.ended_at),
                    _grade(each),
                    {True: "yes", False: "no", None: "not known"}[each.serious],
                    each.intervention or "",
                    say.who(each.by),
                    say.who(each.graded_by),
                )
                for each in session.adverse_events
            ),
        )
    else:
        yield Paragraph(text="No adverse event was recorded.")
    if session.voided_events:
        yield table_of(
            "Entered in error; stands for nothing",
            ("Event", "From", "Reason", "Recorded by", "Taken back by"),
            (
                (each.term, say.clock(each.started_at), each.reason or "", say.who(each.by), say.who(each.voided_by))
                for each in session.voided_events
            ),
        )
    if session.assessments:
        yield table_of(
            "Seen by a prescriber after an emergency",
            ("Rule", "What was found", "By", "At"),
            ((each.rule, each.reason, say.who(each.by), say.clock(each.at)) for each in session.assessments),
        )


def _leaving(sheet: SessionSheet, say: Wording) -> Iterator[Block]:
    session, check = sheet.session, sheet.leave_check
    if session.left_at is None or session.left_how is None:
        yield Paragraph(text="The patient has not left, or never came.")
        return
    yield Paragraph(text=f"Left {say.moment(session.left_at)}, {_LEFT[session.left_how]}.")
    if sheet.left_because is not None:
        yield Paragraph(text=f"Because: {sheet.left_because}")
    if check is not None:
        yield facts_table(_leave_rows(check), caption="Leave check")


def _leave_rows(check: LeaveCheck) -> Iterator[tuple[str, str]]:
    for name, words in LEAVING.items():
        if name != "signed":
            yield words, {True: "yes", False: "no", None: "not looked at"}[getattr(check, name)]
    for name, parts in (("aldrete_modified", check.aldrete), ("padss", check.padss)):
        scale = instrument(name)
        told = (f"{item.label} {part}" for item, part in zip(scale.items.listed, parts or (), strict=False))
        yield scale.short_name, "not scored" if parts is None else f"{sum(parts)}: {', '.join(told)}"


def _close(sheet: SessionSheet, say: Wording) -> Iterator[Block]:
    session = sheet.session
    if session.containers:
        kinds = (DrugUseKind.DRAWN, DrugUseKind.GIVEN, DrugUseKind.WASTED, DrugUseKind.RETURNED)
        yield table_of(
            "Drug to zero",
            ("Container", *(f"{each.capitalize()}, mg#" for each in kinds), "Left, mg#"),
            (
                (
                    each,
                    *(
                        format_mg(
                            sum(
                                use.amount_ug
                                for use in session.drug_uses
                                if (use.container_id, use.kind) == (each, kind)
                            )
                        ).removesuffix(" mg")
                        for kind in kinds
                    ),
                    format_mg(session.outstanding_ug(each)).removesuffix(" mg"),
                )
                for each in session.containers
            ),
        )
    rows = [("Closed", say.moment(session.closed_at) if session.closed_at else "not closed")]
    if session.rems_due_at is not None:
        sent = sheet.form_sent
        rows.append(
            (
                "REMS monitoring form",
                f"due {say.day(session.rems_due_at)}; not recorded as sent"
                if sent is None
                else f"sent {say.moment(sent.at)} by {say.who(sent.fact.by)}"
                + (f", reference {sent.fact.reference}" if sent.fact.reference else ""),
            )
        )
    yield facts_table(rows)


def _signed(sheet: SessionSheet, moves: Iterable[Transitioned], say: Wording) -> Iterator[Block]:
    """Password and code, or another login, each time."""
    session, check = sheet.session, sheet.leave_check
    order, second = session.order, session.second_check
    went = [each for each in moves if each.event == "go"][-1:]
    signed: list[tuple[str, str | None, datetime | None]] = []
    if order is not None:
        signed.append(("Order", order.ordered_by, order.ordered_at))
    if second is not None:
        signed.append(("Second check", second.by, second.at))
    signed += [("Go", each.by, each.at) for each in went]
    signed += [("Witness of waste", each.witness, each.at) for each in session.drug_uses if each.witness]
    if check is not None:
        signed.append(("Leave check", check.by, check.checked_at))
    if session.note is not None:
        signed.append(("Note: the record as a whole", session.note.by, session.note.at))
    if session.note is None:
        yield Notice(text="The record as a whole is not signed.", kind="warning")
    if signed:
        yield table_of("", ("What", "Who", "When"), ((what, say.who(by), say.moment(at)) for what, by, at in signed))


def _done(moves: Iterable[Transitioned], say: Wording) -> Iterator[Block]:
    rows = [
        (say.moment(each.at), each.event.replace("_", " ").capitalize(), say.who(each.by), each.reason or "")
        for each in moves
        if each.event not in _TOLD_ELSEWHERE
    ]
    if rows:
        yield table_of("", ("When", "What", "Who", "Why"), rows)


def _policy(sheet: SessionSheet, say: Wording) -> str:
    policy = sheet.policy
    if policy.signed_by is None:
        return f"version {policy.version}: defaults that no medical director has signed"
    return f"version {policy.version}, signed by {say.who(policy.signed_by)}, {say.day(policy.signed_at)}"


def _allergies(sheet: SessionSheet) -> str:
    found = sheet.allergies
    if found is None or found.status is AllergyStatus.NOT_ASKED:
        return "not asked"
    return ", ".join(found.substances) or "none known"


def _number(value: int | None) -> str:
    return "not taken" if value is None else str(value)


def _set_words(reading: Reading, other: Reading, say: Wording) -> str:
    """What one of two sets says otherwise than the other."""
    told = [
        f"{words} {_number(getattr(reading, name))}"
        for name, words in _VALUES.items()
        if getattr(reading, name) != getattr(other, name)
    ]
    if reading.dissociated is not other.dissociated:
        told.append(f"Dissociation {_DISSOCIATED[reading.dissociated]}")
    if reading.symptoms != other.symptoms:
        told.append(f"Seen: {_seen(reading) or 'nothing'}")
    if reading.taken_at != other.taken_at:
        told.append(f"Taken at {say.clock(reading.taken_at)}")
    return ", ".join(told) or "the same values"


def _seen(reading: Reading) -> str:
    return ", ".join(SEEN[name].partition(":")[0] for name, seen in reading.symptoms if seen)


def _grade(event: AdverseEvent) -> str:
    return "not graded" if event.grade is None else f"{event.grade}, {event_grades()[event.grade]}"
