"""A session's record where things went otherwise: what was never done is told as well as what was."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from tests.integration import care
from tests.integration.care import desk, in_induction, later
from tests.integration.desks import at_work

from afterglow.clinic import (
    Allergies,
    AllergyStatus,
    Decision,
    Delivery,
    DoseGap,
    EmergencyAssessment,
    InfusionRun,
    Leaving,
    Medicine,
    MedicineList,
    RateChange,
    RateStep,
    Role,
    RuleAnswer,
    demo_policy,
)
from afterglow.render.chart import Table
from afterglow.render.report import Notice, Paragraph
from afterglow.store.records import Store
from afterglow.usecases import room, sessions
from afterglow.usecases.session_record import session_sections, session_tags
from afterglow.usecases.session_sheet import SessionSheet, read_sheet
from afterglow.usecases.wording import Wording
from afterglow.usecases.work import Noted
from afterglow.usecases.worklists import FormSent

SAY = Wording(zone=ZoneInfo("UTC"), people={"nurse-1": "Nora Osei"})


@pytest.fixture
def north(store: Store) -> Store:
    made = at_work(store)
    care.open_clinic(made)
    care.vial(made)
    return made


def sheet(store: Store, session_id: str) -> SessionSheet:
    return read_sheet(desk(store, Role.NURSE), session_id, zone="UTC").shown


def told(of: SessionSheet) -> str:
    """Everything that the record says, cell by cell."""
    said: list[str] = list(session_tags(of))
    for section in session_sections(of, (), SAY):
        for block in section.blocks:
            if isinstance(block, Paragraph | Notice):
                said.append(block.text)
            elif isinstance(block, Table):
                said += [block.caption, *(" | ".join(row) for row in block.rows)]
    return "\n".join(said)


def changed(of: SessionSheet, **changes: Any) -> SessionSheet:
    return replace(of, session=replace(of.session, **changes))


def test_before_the_dose_the_open_gates_stand_in_it(north: Store) -> None:
    _, course_id = in_induction(north)
    session_id = care.book(north, course_id, minutes=1)
    sessions.check_in(desk(north, Role.NURSE), session_id)
    text = told(sheet(north, session_id))
    assert "Gates as they stand" in text
    assert "Escort, no driving | unknown | not known: " in text
    assert "The questions of screening were not all asked." in text
    assert "No reading was entered." in text
    assert "Medicines | none" in text


def test_a_dose_that_went_otherwise_says_how(north: Store) -> None:
    _, course_id = in_induction(north)
    session_id = care.book(north, course_id, minutes=1)
    care.dosing(north, session_id)
    now = sheet(north, session_id)
    session = now.session
    at = session.runs[0].since
    assert session.order is not None
    assert session.prepared is not None
    step = RateStep(mg_per_h=20, hours=0.5)
    rate: dict[str, Any] = {"steps": (step,), "ran_h": 0.2, "ordered_by": "dr1", "ordered_at": at, "reason": "pressure"}
    text = told(
        changed(
            now,
            order=replace(session.order, second_signature_by="dr2"),
            prepared=replace(session.prepared, warnings=("below the usual range",), devices=2),
            rate_changes=(
                RateChange(id="r1", set_by="nurse-1", set_at=at, checked_by="rn2", **rate),
                RateChange(id="r2", **rate),
            ),
            runs=(
                InfusionRun(since=at, until=at + timedelta(minutes=12)),
                InfusionRun(since=at + timedelta(minutes=20)),
            ),
            gap=DoseGap(
                given_ug=20_000,
                expected_ug=40_000,
                ran_min=12,
                planned_min=40,
                unset_rate="r2",
                reason="line came out",
                by="nurse-1",
                at=at,
            ),
            complete=False,
        )
    )
    for said in (
        "prescriber-1, with dr2",
        "below the usual range",
        ", 2 devices, for 80 kg",
        "20 mg/h for 0.5 h: pressure; dr1",
        "by Nora Osei, checked by rn2",
        "never set",
        "to –",
        "Ended otherwise than ordered | 20 mg stated, 40 mg by rate and run time; ran 12.0 of 40 min; a new rate was",
        "line came out; Nora Osei",
    ):
        assert said in text, said
    steps = changed(now, order=replace(session.order, dose_mg_per_kg=None, infusion_min=None, steps=(step,)))
    assert "Ordered | by rates over 30 min" in told(steps)


def test_a_session_that_ended_before_any_drug_was_drawn_says_no_more_than_that(north: Store) -> None:
    _, course_id = in_induction(north)
    session_id = care.book(north, course_id, minutes=1)
    care.screened(north, session_id)
    ordered = told(sheet(north, session_id))
    assert "Ordered | 0.5 mg/kg over 40 min" in ordered
    assert "Every movement of drug" not in ordered
    sessions.call_off(desk(north, Role.NURSE), session_id, reason="fever")
    text = told(sheet(north, session_id))
    assert "Not closed: cancelled" in text
    assert "Gates as they stand" not in text
    assert "Every gate was closed" not in text


def test_decisions_emergencies_and_leaving_without_a_check_stand_in_it(north: Store) -> None:
    patient_id, course_id = in_induction(north)
    session_id = care.book(north, course_id, minutes=1)
    care.dosing(north, session_id)
    nurse = desk(north, Role.NURSE)
    later(north, 40)
    room.end_dose(nurse, session_id, amounts_ug=(("v1", 40_000),))
    room.left_unchecked(nurse, session_id, reason="went out for a smoke")
    now = sheet(north, session_id)
    at = now.session.runs[0].since
    found = changed(
        now,
        answers=(
            RuleAnswer(
                rule="S010",
                observed=(("vitals.systolic", 152.0),),
                reason="usual for her",
                by="dr1",
                cosigned_by="dr2",
                at=at,
                patient_id=patient_id,
                delivery=Delivery.IV,
                decision=Decision.PROCEED,
                policy_version=1,
            ),
        ),
        assessments=(EmergencyAssessment(rule="S045", by="dr1", at=at, reason="awake and pink"),),
    )
    text = told(found)
    for said in (
        "S010 | Systolic 152 | proceed | usual for her | dr1, with dr2",
        "S045 | awake and pink | dr1",
        "without the leave check.",
        "Because: went out for a smoke",
        "Not closed: left",
        "The record as a whole is not signed.",
        "not closed",
    ):
        assert said in text, said
    assert "Leave check\n" not in text
    assert "handed over to emergency care" in told(changed(now, left_how=Leaving.TRANSFERRED))


def test_what_is_known_of_the_patient_and_the_thresholds_is_told_as_known(north: Store) -> None:
    _, course_id = in_induction(north)
    session_id = care.book(north, course_id, minutes=1)
    now = sheet(north, session_id)
    signed = replace(demo_policy(), version=3, signed_by="dora", signed_at=now.at, effective_from=now.at, demo=False)
    known = replace(
        now,
        policy=signed,
        allergies=Allergies(status=AllergyStatus.KNOWN, substances=("penicillin", "latex")),
        medicines=MedicineList(
            medicines=(Medicine(ingredient="sertraline", dose="100 mg"), Medicine(ingredient="lithium")),
            reconciled_at=now.at,
        ),
    )
    text = told(known)
    assert "Allergies | penicillin, latex" in text
    assert "Medicines | sertraline 100 mg, lithium" in text
    assert "Thresholds | version 3, signed by dora, 5 Jan 2026" in text
    unknown = told(replace(known, allergies=None, medicines=MedicineList()))
    assert "Allergies | not asked" in unknown
    assert "Medicines | not gone through" in unknown


def test_a_reading_entered_in_error_and_signs_seen_stand_in_it(north: Store) -> None:
    _, course_id = in_induction(north)
    session_id = care.book(north, course_id, minutes=1)
    care.dosing(north, session_id)
    nurse = desk(north, Role.NURSE)
    later(north, 1)
    room.read_vitals(nurse, session_id, care.quiet(symptoms=(("events.vomiting", True),)))
    later(north, 1)
    room.read_vitals(nurse, session_id, room.Vitals(heart_rate_per_min=70))
    last = sheet(north, session_id).session.readings[-1]
    room.correct_vitals(nurse, session_id, last.id, vitals=None, reason="the next room's patient")
    slip = sheet(north, session_id).session.readings[-3]
    room.correct_vitals(nurse, session_id, slip.id, vitals=care.quiet(dissociated=True, moaas=4), reason="seen late")
    first = sheet(north, session_id).session.readings[0]
    earlier = first.taken_at - timedelta(minutes=5)
    room.correct_vitals(nurse, session_id, first.id, vitals=care.quiet(), taken_at=earlier, reason="the clock")
    text = told(sheet(north, session_id))
    assert (
        "MOAA/S 5, Dissociation none, Seen: Vomiting | MOAA/S 4, Dissociation present, Seen: nothing | seen late"
        in text
    )
    assert "| nothing: entered in error | the next room's patient | Nora Osei" in text
    assert f"Taken at {SAY.clock(first.taken_at)} | Taken at {SAY.clock(earlier)} | the clock" in text
    assert "Holds corrections" in text


def test_the_form_that_was_sent_is_told(north: Store) -> None:
    _, course_id = in_induction(north, Delivery.ESK)
    session_id = care.book(north, course_id, dose_minutes=0)
    now = sheet(north, session_id)
    due = changed(now, rems_due_at=now.at + timedelta(days=7))
    assert "REMS monitoring form | due 12 Jan 2026; not recorded as sent" in told(due)
    for reference, words in (("R-7", ", reference R-7"), ("", "")):
        sent = Noted(id="f1", fact=FormSent(session_id=session_id, by="nurse-1", reference=reference), at=now.at)
        assert f"by Nora Osei{words}" in told(replace(due, form_sent=sent))
