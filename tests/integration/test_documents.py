"""Documents on paper: what stands in each, read back from the PDF itself; who may make one; text that stays text."""

from __future__ import annotations

import io
from datetime import date, timedelta
from zoneinfo import ZoneInfo

import pytest
from pypdf import PdfReader
from tests.integration import care
from tests.integration.care import desk, in_induction, later
from tests.integration.desks import actor, at_work, now

from afterglow.clinic import (
    Allergies,
    AllergyStatus,
    Decision,
    Delivery,
    Indication,
    Medicine,
    MedicineTrial,
    ReviewDecision,
    ReviewKind,
    Role,
    TrialOutcome,
)
from afterglow.errors import NotFound, NotPermitted, OutOfRange
from afterglow.quantities import DrugForm
from afterglow.render.pdf import Paper, pdf
from afterglow.store import audit
from afterglow.store.patients import Identifiers
from afterglow.store.records import Store
from afterglow.usecases import (
    courses,
    deciding,
    diary,
    documents,
    drugs,
    intake,
    jobs,
    measures,
    patients,
    people,
    policies,
    room,
    sessions,
)
from afterglow.usecases.desk import Page
from afterglow.usecases.intake import Referrer
from afterglow.usecases.monitoring_sheet import read_monitoring
from afterglow.usecases.policies import HelpLines
from afterglow.usecases.wording import Wording

NAME = 'Anna #read("/etc/passwd") *Łucja* $y$ </script> {{ 7 * 7 }}'
BEGIN = date(2026, 1, 1)


@pytest.fixture
def north(store: Store) -> Store:
    made = at_work(store)
    care.open_clinic(made)
    care.vial(made)
    admin = desk(made, Role.ADMINISTRATOR)
    people.add_person(admin, "nurse-1", name="Nora Osei", roles=(Role.NURSE,))
    people.add_person(admin, "nurse-2", name="Bea Lutz", roles=(Role.NURSE,))
    return made


def text_of(made: Page[Paper]) -> str:
    """What a reader of the PDF reads, with single blanks."""
    pages = PdfReader(io.BytesIO(pdf(made.shown))).pages
    return " ".join(" ".join(page.extract_text() for page in pages).replace("\u200b", "").split())


def treated(store: Store, name: str = "Anna Berger", *, close: bool = True) -> tuple[str, str, str]:
    """Patient, course and a session with a corrected reading, an event and one entered in error."""
    patient_id, course_id = in_induction(store, name=name)
    session_id = care.book(store, course_id, minutes=1)
    care.dosing(store, session_id)
    nurse = desk(store, Role.NURSE)
    later(store, 0.5)
    room.read_vitals(nurse, session_id, care.quiet(systolic_mmhg=142))
    slip = sessions.read_session(nurse, session_id).shown.session.readings[-1]
    room.correct_vitals(nurse, session_id, slip.id, vitals=care.quiet(), reason="typed 142 for 124")
    dizzy = room.note_event(nurse, session_id, term="Dizziness", intervention="lay down").also[0]
    wrong = room.note_event(nurse, session_id, term="Nausea").also[0]
    room.take_event_back(nurse, session_id, wrong, reason="another patient's")
    care.left(store, session_id)
    room.grade(nurse, session_id, dizzy, grade=1, serious=False)
    if close:
        care.closed(store, session_id)
    return patient_id, course_id, session_id


def test_a_session_record_tells_all_that_was_recorded_and_who_signed(north: Store) -> None:
    _, _, session_id = treated(north)
    made = documents.session_record(desk(north, Role.NURSE), session_id)
    text = text_of(made)
    for said in (
        "Session record",
        "Clinic north Anna Berger · born 1 May 1982 · record R-Anna Berger",
        "Every gate was closed when the dose began",
        "Adult escort is confirmed",
        "0.5 mg/kg over 40 min",
        "40 mg, 0.8 mL of 50 mg/mL, for 80 kg; Nora Osei",
        "computed apart; Bea Lutz",
        "124/78 (corrected)",
        "Systolic 142 Systolic 124 typed 142 for 124",
        "Dizziness",
        "1, mild",
        "lay down",
        "Entered in error; stands for nothing",
        "another patient's",
        "Escort is here",
        "Witness of waste Bea Lutz",
        "Note: the record as a whole Nora Osei",
        "Made by Nora Osei (nurse-1), 5 Jan 2026, ",
        "(Europe/Zurich). Afterglow 0.1.0",
    ):
        assert said in text, said
    assert "Not closed" not in text
    pages = PdfReader(io.BytesIO(pdf(made.shown))).pages
    for number, page in enumerate(pages, start=1):
        on_page = " ".join(page.extract_text().split())
        assert f"Page {number} of {len(pages)}" in on_page
        assert "Anna Berger · born 1 May 1982" in on_page


def test_a_session_that_is_not_closed_says_so(north: Store) -> None:
    _, course_id = in_induction(north)
    booked = care.book(north, course_id, minutes=1)
    nurse = desk(north, Role.NURSE)
    text = text_of(documents.session_record(nurse, booked))
    assert "Not closed: booked" in text
    assert "No dose was ordered." in text
    assert "Nobody was asked anything" in text
    assert "The record as a whole is not signed." in text
    care.dosing(north, booked)
    running = text_of(documents.session_record(nurse, booked))
    assert "Not closed: dosing" in running
    assert "The patient has not left, or never came." in running


def test_text_stays_text_whatever_it_looks_like(north: Store) -> None:
    _, course_id, session_id = treated(north, NAME)
    nurse = desk(north, Role.NURSE)
    for made in (documents.session_record(nurse, session_id), documents.course_summary(nurse, course_id)):
        text = text_of(made)
        assert NAME in text
        assert "root:" not in text


def test_the_same_facts_at_the_same_moment_are_the_same_bytes(north: Store) -> None:
    _, _, session_id = treated(north)
    made = documents.session_record(desk(north, Role.NURSE), session_id).shown
    first = pdf(made)
    assert first == pdf(made)
    assert first.startswith(b"%PDF-")
    later(north, 1)
    assert pdf(documents.session_record(desk(north, Role.NURSE), session_id).shown) != first


def test_a_course_summary_tells_the_referrer_why_what_and_how_it_went(north: Store) -> None:
    patient_id, course_id, _ = treated(north)
    later(north, 60 * 24 * 7)
    measures.record(desk(north, Role.NURSE), patient_id, "PHQ-9", answers=[1] * 8 + [0])
    text = text_of(documents.course_summary(desk(north, Role.PRESCRIBER), course_id))
    for said in (
        "Course summary",
        "treatment-resistant depression",
        "sertraline SSRI not known 8 10 failed yes",
        "6 sessions, one every 3.5 days; PHQ-9 halved",
        "1 5 Jan 2026 IV ketamine 40 mg yes cleared",
        "12 Jan 2026 8 mild −9 better, beyond measurement error yes no",
        "response, not remission",
        "scores fall in control arms too",
        "Dizziness 1, mild no lay down",
        "Nothing was decided yet",
        "Please ask about mood and thoughts of suicide",
    ):
        assert said in text, said
    assert "forecast" not in text.lower()


def test_a_course_without_scores_or_sessions_says_that_nothing_can_be_said(north: Store) -> None:
    patient_id = care.register(north)
    nurse = desk(north, Role.NURSE)
    course_id = courses.open_course(
        nurse, patient_id, delivery=Delivery.ESK, drug=DrugForm.ESKETAMINE, indication=Indication.TRD
    ).id
    text = text_of(documents.course_summary(nurse, course_id))
    assert "No scale was scored" in text
    assert "No dose has been given in this course." in text
    assert "Medicines tried before were not asked about." in text
    measures.record(nurse, patient_id, "AUDIT-C", total=1)
    assert "What counts on" not in text_of(documents.course_summary(nurse, course_id))


def test_a_course_that_was_referred_decided_upon_and_stopped_tells_all_of_it(north: Store) -> None:
    coordinator, prescriber = desk(north, Role.COORDINATOR), desk(north, Role.PRESCRIBER)
    asked = intake.inquire(
        coordinator,
        Identifiers(name="Anna Berger"),
        referred_by=Referrer.PSYCHIATRIST,
        referrer="Dr Meier, Basel",
        asks="two SSRIs failed",
        delivery=Delivery.IV,
        drug=DrugForm.RACEMIC_KETAMINE,
        indication=Indication.TRD,
    )
    (patient_id,) = asked.also
    courses.accept(coordinator, asked.id, emergency=False, version=1)
    note = (MedicineTrial(drug="lithium", drug_class="lithium", outcome=TrialOutcome.INTOLERANT),)
    patients.note_trials(prescriber, patient_id, note)
    patients.note_allergies(prescriber, patient_id, Allergies(status=AllergyStatus.KNOWN, substances=("latex",)))
    patients.reconcile_medicines(prescriber, patient_id, (Medicine(ingredient="sertraline"),), visit="intake")
    measures.record(desk(north, Role.NURSE), patient_id, "PHQ-9", answers=[2, 2, 3, 2, 2, 2, 2, 2, 3])
    measures.record(desk(north, Role.NURSE), patient_id, "GAD-7", answers=[1] * 6 + [None])
    measures.record(desk(north, Role.NURSE), patient_id, "AUDIT-C", total=2)
    intake.decide_candidacy(prescriber, asked.id, decision=Decision.DECLINE, reason="pregnant", version=2)
    policies.set_help_lines(
        desk(north, Role.MEDICAL_DIRECTOR),
        HelpLines(emergency="911", crisis="988", clinic="555 0142", answered="8 to 18"),
    )
    text = text_of(documents.course_summary(prescriber, asked.id))
    for said in (
        "Anna Berger · birth date not recorded · no record number",
        "For Dr Meier, Basel: IV ketamine",
        "Referred by Dr Meier, Basel, psychiatrist",
        "Asked for two SSRIs failed",
        "Not suitable pregnant (prescriber-1, 5 Jan 2026)",
        "lithium LITHIUM not known not known not known intolerant",
        "Course stopped not a candidate",
        "Other scales Scale Day Score Band Change AUDIT-C 5 Jan 2026 2 negative –",
        "Allergies latex",
        "Medicines sertraline",
        "Safety plan none was made",
        "Open alert",
        "The clinic is reached at 555 0142.",
    ):
        assert said in text, said
    assert "Course goes on" not in text


def test_reviews_decisions_and_missed_sessions_stand_in_the_summary(north: Store) -> None:
    patient_id, course_id, _ = treated(north)
    coordinator, prescriber = desk(north, Role.COORDINATOR), desk(north, Role.PRESCRIBER)
    missed = care.book(north, course_id, minutes=60)
    later(north, 120)
    diary.no_show(coordinator, missed, reason="no answer")
    version = courses.read_course(prescriber, course_id).shown.version
    courses.review(
        desk(north, Role.PRESCRIBER),
        course_id,
        kind=ReviewKind.EARLY_NON_RESPONSE,
        decision=ReviewDecision.CONTINUE,
        reason="sleeps again",
        version=version,
    )
    day = now(north).date() + timedelta(days=7)
    deciding.decide_next(prescriber, course_id, step=deciding.NextStep.WAIT, reason="too early", digest="")
    later(north, 5)
    deciding.decide_next(
        prescriber, course_id, step=deciding.NextStep.BOOK_BY, reason="relief fades", by_day=day, digest=""
    )
    measures.record(desk(north, Role.NURSE), patient_id, "PHQ-9", answers=[0] * 9)
    text = text_of(documents.course_summary(prescriber, course_id))
    for said in (
        "Missed or called off: 1 booked session.",
        "Review, early non response continue sleeps again prescriber-1",
        "Planned 6 sessions, one every 3.5 days; ",
        "Next session Wait for the next score (replaced) too early prescriber-1",
        "Next session Book a session by a date, 12 Jan 2026 relief fades prescriber-1",
        "response and remission",
        "Safety plan made or renewed 5 Jan 2026",
    ):
        assert said in text, said


def test_outcomes_count_everybody_and_print_what_is_missing(north: Store) -> None:
    first, course_id, _ = treated(north)
    care.book(north, course_id, minutes=300)  # nothing given yet
    treated(north, "Jonas Weber")
    nurse, director = desk(north, Role.NURSE), desk(north, Role.MEDICAL_DIRECTOR)
    early = text_of(documents.outcomes(director, since=BEGIN, until=now(north).date()))
    assert "The time for the first comparison is not over for any course." in early
    later(north, 60 * 24 * 28)
    measures.record(nurse, first, "PHQ-9", answers=[1] * 8 + [0])
    later(north, 60 * 24 * 15)
    jobs.refresh_all(north)
    jobs.run_jobs(north)
    text = text_of(documents.outcomes(director, since=BEGIN, until=now(north).date()))
    for said in (
        "Courses begun 2 of 2 patients",
        "Missing after 4 weeks 50 % 1 of 2",
        # at least, at most, missing, of those measured
        "after 4 weeks response 1 of 2, 50 % 2 of 2, 100 % 1 of 2, 50 % 1 of 1, 100 % (21 to 100 %)",
        "after 4 weeks remission 0 of 2, 0 % 1 of 2, 50 % 1 of 2, 50 % 0 of 1, 0 % (0 to 79 %)",
        "after 4 weeks worse 0 of 2, 0 % 1 of 2, 50 % 1 of 2, 50 % 0 of 1, 0 %",
        "after 4 weeks −9.0 −",
        "1 of 2, 50 % 1 of 2, 50 % 1 of 1 ",
        "no measure of what the drug does",
        "Popova V 2019",
        "52 %",
        "Dizziness 2 0 0 0 0 0 0 2 of 2, 100 %",
        "goes on: induction 2 of 2, 100 %",
        "These choices are our policy.",
    ):
        assert said in text, said
    assert "Anna" not in text
    assert "Jonas" not in text
    today = now(north).date()
    assert "No first dose was given" in text_of(documents.outcomes(director, since=today, until=today))


def test_a_period_without_patients_says_so_and_an_odd_one_is_refused(north: Store) -> None:
    director, today = desk(north, Role.MEDICAL_DIRECTOR), now(north).date()
    assert "No first dose was given in this period" in text_of(documents.outcomes(director, since=today, until=today))
    empty = documents.drug_log(desk(north, Role.COMPLIANCE), since=date(2025, 1, 1), until=date(2025, 1, 2))
    assert "No container was in the clinic in this period." in text_of(empty)
    for since, until in ((today, BEGIN), (date(2030, 1, 1), date(2030, 2, 1)), (date(2000, 1, 1), today)):
        with pytest.raises(OutOfRange, match="period"):
            documents.outcomes(director, since=since, until=until)


def test_a_chart_closed_to_who_asks_is_not_counted_and_that_is_said(north: Store) -> None:
    patient_id, _, session_id = treated(north)
    people.restrict_chart(desk(north, Role.COMPLIANCE), patient_id, team=("nurse-1",))
    text = text_of(documents.outcomes(desk(north, Role.MEDICAL_DIRECTOR), since=BEGIN, until=now(north).date()))
    assert "1 patient not counted: a chart that is open to its team alone." in text
    with pytest.raises(NotPermitted):
        documents.session_record(desk(north, Role.MEDICAL_DIRECTOR), session_id)
    log = text_of(documents.drug_log(desk(north, Role.COMPLIANCE), since=BEGIN, until=now(north).date()))
    assert "v1 L1 500 40 10 0 0 450 0" in log


def test_the_drug_log_adds_up_container_by_container(north: Store) -> None:
    treated(north, close=False)
    nurse, since = desk(north, Role.NURSE), BEGIN
    care.vial(north, "v2", 100_000)
    open_ = text_of(documents.drug_log(nurse, since=since, until=now(north).date()))
    assert "v1 L1 500 40 0 0 10 450 0" in open_
    assert "Drawn by a session and not accounted for yet: v1." in open_
    witness = actor(north, Role.NURSE, by="nurse-2")
    drugs.waste_container(desk(north, Role.NURSE), "v2", reason="expired", witness=witness, version=1)
    drugs.count_container(desk(north, Role.NURSE), "v1", counted_ug=449_950, witness=witness, version=2)
    differs = text_of(documents.drug_log(nurse, since=since, until=now(north).date()))
    assert "A count differs and nobody has explained it: v1." in differs
    assert "v2 L1 100 0 100 0 0 0 0" in differs
    assert "Rest wasted −100 0 Nora Osei Bea Lutz expired" in differs
    drugs.explain_container(desk(north, Role.COMPLIANCE), "v1", reason="spilt", version=3)
    explained = text_of(documents.drug_log(nurse, since=since, until=now(north).date()))
    assert "v1 L1 500 40 0 0.05 10 449.95 0" in explained
    assert "Given (40)" in explained


def test_an_erased_patient_leaves_the_drug_log_balanced(north: Store) -> None:
    patient_id, course_id, session_id = treated(north)
    later(north, 60 * 24 * 366 * 11)  # retention is over
    compliance = desk(north, Role.COMPLIANCE)
    second = actor(north, Role.MEDICAL_DIRECTOR, by="director-2")
    patients.erase(compliance, patient_id, reason="asked for it", second=second)
    log = text_of(documents.drug_log(compliance, since=now(north).date(), until=now(north).date()))
    assert "v1 L1 500 40 10 0 0 450 0" in log
    assert "Every container adds up to zero" in log
    with pytest.raises(Exception, match="erased"):
        documents.course_summary(desk(north, Role.NURSE), course_id)
    with pytest.raises(Exception, match="erased"):
        documents.session_record(desk(north, Role.NURSE), session_id)


def test_the_monitoring_data_are_the_records_and_no_form(north: Store) -> None:
    _, course_id = in_induction(north, Delivery.ESK)
    session_id = care.book(north, course_id, dose_minutes=0)
    nurse = desk(north, Role.NURSE)
    with pytest.raises(NotFound):
        documents.monitoring_sheet(nurse, session_id)
    care.device(north, "d1")
    care.device(north, "d2")
    care.screened(north, session_id, Delivery.ESK)
    sessions.say_go(desk(north, Role.PRESCRIBER), session_id, version=care.version_of(north, session_id))
    room.take(nurse, session_id, "d1", amount_ug=28_000)
    room.start(nurse, session_id, version=care.version_of(north, session_id))
    room.use_device(nurse, session_id, "d1", green_dots_checked=True, primed=False)
    later(north, 5)
    room.read_vitals(nurse, session_id, care.quiet(systolic_mmhg=131, moaas=0, dissociated=True))
    text = text_of(documents.monitoring_sheet(nurse, session_id))
    for said in (
        "do not redraw it",
        "Monitoring provider Nora Osei",
        "Dose 28 mg",
        "Lot S1",
        "still watched",
        "131/78 at ",
        "Sedation yes",  # MOAA/S 0, the deepest
        "Dissociation yes",
        "Session not closed",
    ):
        assert said in text, said
    say = Wording(zone=ZoneInfo("UTC"), people={})
    assert (documents._whose(None, say), say.day(None)) == ("Erased patient", "–")
    event = room.note_event(nurse, session_id, term="Vomiting", intervention="antiemetic").also[0]
    room.stop_early(nurse, session_id, reason="vomits")
    room.grade(nurse, session_id, event, grade=3, serious=True, ended_at=now(north))
    found = dict(read_monitoring(nurse, session_id).shown.fields)
    assert found["Dose"] == "28 mg, stopped early"
    assert found["Events"].startswith("Vomiting, ")
    assert found["Events"].endswith(", antiemetic, serious")


def test_each_document_is_told_in_the_trail_once_and_is_no_other_clinics(north: Store) -> None:
    patient_id, course_id, session_id = treated(north)
    nurse = desk(north, Role.NURSE)
    with north.read("north") as tx:
        before = audit.last_seq(tx)
    documents.session_record(nurse, session_id)
    documents.course_summary(nurse, course_id)
    documents.drug_log(nurse, since=BEGIN, until=now(north).date())
    documents.outcomes(desk(north, Role.PRESCRIBER), since=BEGIN, until=now(north).date())
    with north.read("north") as tx:
        told = [(each.patient_id, each.detail["view"]) for each in audit.last_events(tx, after=before)]
    assert told == [
        (patient_id, "documents.session_record"),
        (patient_id, "documents.course_summary"),
        (None, "documents.drug_log"),
        (None, "documents.outcomes"),
    ]
    south = desk(north, Role.NURSE, clinic="south")
    for make, of in ((documents.session_record, session_id), (documents.course_summary, course_id)):
        with pytest.raises(NotFound):
            make(south, of)
