"""Scores, links, check-ins, alerts, the worklist and the chart, by use cases on both databases."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime, time, timedelta

import pytest
from tests.integration.care import (
    actor,
    book,
    candidate,
    closed,
    desk,
    dosing,
    in_induction,
    later,
    left,
    now,
    open_clinic,
    register,
    vial,
)
from tests.integration.desks import at_work, without_policy

from afterglow.clinic import AlertStage, Delivery, Priority, ReviewKind, Role, StopReason, WorkKind
from afterglow.errors import (
    Conflict,
    GateClosed,
    LoginRefused,
    MissingValue,
    NotFound,
    NotPermitted,
    OutOfRange,
    WrongOrder,
    WrongState,
)
from afterglow.settings import Settings
from afterglow.store import audit
from afterglow.store.records import Store
from afterglow.usecases import (
    answering,
    charts,
    courses,
    login,
    measures,
    passes,
    patients,
    people,
    policies,
    worklists,
)
from afterglow.usecases.desk import Desk
from afterglow.usecases.passes import Purpose
from afterglow.usecases.policies import HelpLines
from afterglow.usecases.post import run_due
from afterglow.usecases.work import program

NURSE, COORDINATOR, PRESCRIBER = Role.NURSE, Role.COORDINATOR, Role.PRESCRIBER
QUIET = [2, 2, 2, 2, 2, 2, 2, 2, 0]
THOUGHTS = [2, 2, 2, 2, 2, 2, 2, 2, 2]


@pytest.fixture
def north(store: Store) -> Store:
    made = at_work(store)
    open_clinic(made)
    return made


def linked(store: Store, patient: str, purpose: Purpose, about: str | None = None) -> Desk:
    """The desk of a patient who opened a link."""
    issued = passes.issue_link(desk(store, COORDINATOR), patient, purpose, about=about)
    _, who = login.open_link(store, issued.token)
    return Desk(store=store, actor=who)


def test_thoughts_of_death_raise_an_alert_that_is_read_acted_on_and_closed(north: Store) -> None:
    patient, nurse = register(north), desk(north, NURSE)
    quiet = measures.record(nurse, patient, "PHQ-9", answers=QUIET)
    assert quiet.also == ()
    raised = measures.record(nurse, patient, "PHQ-9", answers=THOUGHTS).also
    assert raised
    alert, *_ = measures.list_alerts(nurse, patient_id=patient).shown
    assert alert.now.priority is Priority.HIGH
    assert alert.now.respond_by == alert.now.raised_at + timedelta(minutes=15)
    with pytest.raises(WrongState):
        measures.act_upon(nurse, alert.id, action="called", version=1)
    with pytest.raises(GateClosed, match="its patient's screen"):
        measures.mark_read(nurse, alert.id, patient_id="somebody", version=1)
    measures.mark_read(nurse, alert.id, patient_id=patient, version=1)
    with pytest.raises(Conflict):
        measures.act_upon(nurse, alert.id, action="called", version=1)
    with pytest.raises(MissingValue):
        measures.act_upon(nurse, alert.id, action=" ", version=2)
    measures.give_to(nurse, alert.id, to=PRESCRIBER, reason="prescriber asked", version=2)
    measures.act_upon(nurse, alert.id, action="called, safe tonight", version=3)
    with pytest.raises(NotPermitted, match="Closing an alert of the prescriber"):
        measures.close(nurse, alert.id, version=4)
    done = measures.close(desk(north, PRESCRIBER), alert.id, version=4)
    assert done.state == AlertStage.CLOSED
    assert alert.id not in {each.id for each in measures.list_alerts(nurse).shown}


def test_the_clock_takes_an_alert_to_the_next_owner(north: Store) -> None:
    patient = register(north)
    measures.record(desk(north, NURSE), patient, "PHQ-9", answers=THOUGHTS)
    clock = Desk(store=north, actor=program("north"))
    assert measures.escalate_due(clock) == ()
    later(north, 16)
    gone = measures.escalate_due(clock)
    shown = {each.id: each.now for each in measures.list_alerts(desk(north, NURSE)).shown}
    assert gone
    assert all(shown[each].owner is Role.MEDICAL_DIRECTOR for each in gone)


def test_a_minute_in_which_nothing_is_due_leaves_nothing_in_the_trail(north: Store) -> None:
    def events() -> int:
        with north.read("north") as tx:
            return audit.last_seq(tx)

    measures.record(desk(north, NURSE), register(north), "PHQ-9", answers=THOUGHTS)
    before = events()
    assert run_due(north, Settings()) == (0, 0)
    assert events() == before
    later(north, 16)
    escalated, _ = run_due(north, Settings())
    assert escalated
    after = events()
    assert after > before
    assert run_due(north, Settings()) == (0, 0)
    assert events() == after


def test_an_alert_is_raised_whatever_was_signed(store: Store) -> None:
    north = without_policy(store)
    patient = register(north)
    assert measures.record(desk(north, NURSE), patient, "PHQ-9", answers=THOUGHTS).also


def test_scores_are_checked_kept_once_and_corrected(north: Store) -> None:
    patient, nurse = register(north), desk(north, NURSE)
    with pytest.raises(MissingValue):
        measures.record(nurse, patient, "PHQ-9")
    with pytest.raises(MissingValue):
        measures.record(nurse, patient, "PHQ-9", answers=QUIET, total=16)
    with pytest.raises(OutOfRange):
        measures.record(nurse, patient, "PHQ-9", total=28)
    with pytest.raises(WrongOrder):
        measures.record(nurse, patient, "PHQ-9", total=16, at=now(north) + timedelta(days=1))
    first = measures.record(nurse, patient, "PHQ-9", total=16, origin="file row 1")
    assert measures.record(nurse, patient, "PHQ-9", total=16, origin="file row 1").id == first.id
    old = measures.record(nurse, patient, "PHQ-9", answers=THOUGHTS, at=now(north) - timedelta(days=90))
    assert old.also == ()
    measures.record(nurse, patient, "GAD-7", total=9, at=now(north) - timedelta(days=91))
    parts = measures.record(nurse, patient, "PROMIS-29", subscales={"anxiety": 61.2})
    lines = measures.list_scores(nurse, patient).shown
    assert [each.measured.total for each in lines] == [9, 18, 16, None]
    fixed = measures.correct(nurse, patient, first.id, total=15, reason="typed wrong")
    measures.correct(nurse, patient, parts.id, reason="another patient's")
    assert [each.measured.total for each in measures.list_scores(nurse, patient, name="PHQ-9").shown] == [18, 15]
    for fact_id in (first.id, parts.id):
        with pytest.raises(Conflict, match="was corrected already"):
            measures.correct(nurse, patient, fact_id, total=14, reason="again")
    with pytest.raises(OutOfRange, match="no score"):
        measures.correct(nurse, register(north, "Berta Muster"), fixed.id, total=14, reason="again")
    with pytest.raises(OutOfRange, match="measures/correct"):
        patients.mark_in_error(nurse, patient, fixed.id, reason="wrong")
    for born in (date(1982, 4, 30), date(1900, 1, 1)):
        with pytest.raises(WrongOrder, match="earlier"):
            measures.record(nurse, patient, "PHQ-9", total=9, at=datetime.combine(born, time(12), UTC))
    assert fixed.id != first.id


@pytest.mark.parametrize(("minutes", "kept"), [(10, 1), (11, 2)])
def test_a_form_sent_twice_within_minutes_is_one_score_with_one_set_of_alerts(
    north: Store, minutes: int, kept: int
) -> None:
    patient, nurse = register(north), desk(north, NURSE)
    at = now(north)
    first = measures.record(nurse, patient, "PHQ-9", answers=THOUGHTS, at=at)
    alerts = len(measures.list_alerts(nurse).shown)
    later(north, minutes)
    again = measures.record(nurse, patient, "PHQ-9", answers=THOUGHTS, at=at + timedelta(minutes=minutes))
    assert (again.id == first.id, again.state) == ((True, "here_already") if kept == 1 else (False, None))
    assert len(measures.list_scores(nurse, patient).shown) == kept
    assert len(measures.list_alerts(nurse).shown) == alerts * kept
    other = measures.record(nurse, patient, "PHQ-9", answers=QUIET, at=at)
    assert other.id not in {first.id, again.id}
    measures.correct(nurse, patient, other.id, reason="another patient's")
    anew = measures.record(nurse, patient, "PHQ-9", answers=QUIET, at=at)
    assert anew.state is None  # what was taken back comes anew


def test_a_score_is_read_against_the_one_before_treatment(north: Store) -> None:
    patient, _ = in_induction(north)
    later(north, 60)
    measures.record(desk(north, NURSE), patient, "PHQ-9", total=8)
    later(north, 60)
    measures.record(desk(north, NURSE), patient, "PHQ-9", total=4)
    lines = measures.list_scores(desk(north, NURSE), patient).shown
    assert [each.reading.response for each in lines] == [None, True, True]
    assert [each.reading.remission for each in lines] == [False, False, True]


def test_a_patient_answers_the_scale_of_the_link_once(north: Store) -> None:
    patient = register(north)
    own = linked(north, patient, Purpose.ANSWER_SCALE, "phq9")
    assert answering.ask(own, patient).shown.about == "phq9"
    with pytest.raises(NotPermitted, match="something else"):
        measures.answer(own, patient, "GAD-7", {"1": 1})
    answers = {str(n + 1): value for n, value in enumerate(THOUGHTS)}
    told = measures.answer(own, patient, "PHQ-9", answers)
    assert (told.also, told.state) == ((), None)  # what it means is for clinicians
    assert measures.list_alerts(desk(north, NURSE)).shown
    (link,) = passes.list_links(desk(north, NURSE), patient).shown
    assert link.used_at is not None
    with pytest.raises(LoginRefused):
        login.open_link(north, f"north~{link.id}~x")
    with pytest.raises(NotPermitted):
        measures.list_scores(own, patient)
    assert audit.verify(north, "north").faults == ()


def test_what_is_due_counts_each_course_from_where_it_is(north: Store) -> None:
    patient, _ = in_induction(north)
    candidate(north, patient, Delivery.ESK)
    measures.record(desk(north, NURSE), patient, "GAD-7", total=9)
    assert {each.instrument for each in measures.list_due(desk(north, NURSE), patient).shown} >= {"madrs"}


def test_a_link_tells_where_it_leads_where_the_pages_have_an_address(north: Store) -> None:
    patient = register(north)
    assert passes.issue_link(desk(north, COORDINATOR), patient, Purpose.SEE_PROGRESS).url is None
    public = replace(north, public_url="https://clinic.example/p")
    issued = passes.issue_link(desk(public, COORDINATOR), patient, Purpose.SEE_PROGRESS)
    assert issued.url == f"https://clinic.example/p/link#{issued.token}"
    assert issued.token not in repr(issued)
    assert passes.issue_room(desk(public, Role.ADMINISTRATOR), "Room 1").url is None


def test_a_link_is_for_its_patient_and_scale(north: Store) -> None:
    anna, berta = register(north), register(north, "Berta Muster")
    own = linked(north, anna, Purpose.ANSWER_SCALE, "madrs")
    with pytest.raises(NotFound):
        answering.ask(own, berta)
    with pytest.raises(NotPermitted, match="not answered on a phone"):
        answering.tap(own, anna, "madrs", "1", 1)
    with pytest.raises(NotPermitted, match="clinician rates"):
        measures.answer(own, anna, "madrs", {"1": 1})


def test_a_patient_sees_own_totals_and_no_verdict(north: Store) -> None:
    patient = register(north)
    measures.record(desk(north, NURSE), patient, "PHQ-9", answers=QUIET)
    measures.record(desk(north, NURSE), patient, "MADRS", total=30)
    own = linked(north, patient, Purpose.SEE_PROGRESS)
    shown = answering.progress(own, patient).shown
    assert (shown.instrument, [points for _, points in shown.scores]) == ("phq9", [16.0])


def test_a_critical_answer_is_told_at_the_tap_and_once(north: Store) -> None:
    patient = register(north)
    own = linked(north, patient, Purpose.ANSWER_SCALE, "PHQ-9")
    for number in range(1, 9):
        assert answering.tap(own, patient, "phq9", str(number), 0).state is None
    assert measures.list_alerts(desk(north, NURSE)).shown == ()
    assert answering.tap(own, patient, "phq9", "9", 1).state == "critical"
    (first,) = measures.list_alerts(desk(north, NURSE)).shown
    assert first.now.text.endswith(
        "Raised at the tap on the patient's phone, before the scale was sent."
    )  # true before and after
    asked = answering.ask(own, patient).shown
    assert (asked.critical, asked.told) == ("9", ())
    answering.tap(own, patient, "phq9", "9", 1)  # the same again tells nobody again
    answering.tap(own, patient, "phq9", "9", 2)
    assert len(measures.list_alerts(desk(north, NURSE)).shown) == 2
    asked = answering.ask(own, patient).shown
    measures.answer(own, patient, "phq9", dict(asked.answers))
    assert len(measures.list_alerts(desk(north, NURSE)).shown) == 2
    (line,) = measures.list_scores(desk(north, NURSE), patient).shown
    assert line.measured.total == 2


def test_an_answer_stays_where_it_belongs(north: Store) -> None:
    patient = register(north)
    own = linked(north, patient, Purpose.ANSWER_SCALE, "PHQ-9")
    with pytest.raises(NotPermitted, match="something else"):
        answering.tap(own, patient, "gad7", "1", 1)
    for question, value in (("10", 1), ("1", 4)):
        with pytest.raises(OutOfRange):
            answering.tap(own, patient, "phq9", question, value)
    with pytest.raises(NotPermitted):
        answering.tap(desk(north, Role.PATIENT), patient, "phq9", "1", 1)
    day_after = linked(north, patient, Purpose.CHECK_IN)
    assert answering.ask(day_after, patient).shown.about is None  # no session yet
    with pytest.raises(OutOfRange):
        answering.tap(day_after, patient, "s1", "unwell", 2)
    answering.tap(day_after, patient, "s1", "unwell", 1)
    answering.tap(day_after, patient, "s1", "drove_or_fell", 1)
    answering.tap(day_after, patient, "s1", "low_mood_or_thoughts", 0)
    assert len(measures.list_alerts(desk(north, NURSE)).shown) == 2
    measures.check_in(day_after, patient, "s1", unwell=True, low_mood_or_thoughts=True, drove_or_fell=True)
    told = [each.now.text for each in measures.list_alerts(desk(north, NURSE)).shown]
    assert sorted(told) == [
        f"24-hour check-in: {each}." for each in ("drove or fell", "low mood or thoughts", "unwell")
    ]


def test_why_a_link_ended_is_told_to_who_holds_it(north: Store) -> None:
    patient, office = register(north), desk(north, COORDINATOR)
    assert passes.why_ended(north, "cut short") is None
    assert passes.why_ended(north, "elsewhere~x~y") is None
    issued = [passes.issue_link(office, patient, Purpose.SEE_PROGRESS, days=1) for _ in range(2)]
    assert passes.why_ended(north, issued[0].token + "x") is None
    clinic, held = passes.why_ended(north, issued[0].token) or ("", None)
    assert (clinic, getattr(held, "purpose", None)) == ("north", Purpose.SEE_PROGRESS)
    passes.revoke_link(office, issued[1].id)
    assert passes.why_ended(north, issued[1].token) == ("north", passes.LinkEnd.REVOKED)
    later(north, 2 * 24 * 60)
    assert passes.why_ended(north, issued[0].token) == ("north", passes.LinkEnd.EXPIRED)
    scale = passes.issue_link(office, patient, Purpose.ANSWER_SCALE, about="GAD-7")
    _, who = login.open_link(north, scale.token)
    own = Desk(store=north, actor=who)
    measures.answer(own, patient, "gad7", {str(n): 0 for n in range(1, 8)})
    assert passes.why_ended(north, scale.token) == ("north", passes.LinkEnd.USED)


def test_before_a_policy_is_in_force_no_number_is_guessed(store: Store) -> None:
    assert policies.help_lines(without_policy(store), "north") == HelpLines(emergency="")


def test_whom_patients_call_is_the_clinics_word(north: Store) -> None:
    assert policies.help_lines(north, "north").crisis == "988"  # the demo policy is of the United States
    assert policies.help_lines(without_policy(north), "south").emergency == "911"
    director = desk(north, Role.MEDICAL_DIRECTOR)
    with pytest.raises(MissingValue):
        policies.set_help_lines(director, HelpLines(emergency="112"))
    with pytest.raises(OutOfRange, match="no telephone number"):
        policies.set_help_lines(director, HelpLines(emergency="112", clinic="call us"))
    for number in ("555 0142", "555 0143"):
        policies.set_help_lines(director, HelpLines(emergency="112", clinic=number))
    assert policies.help_lines(north, "north").clinic == "555 0143"


@pytest.mark.parametrize(("mood", "priority"), [(True, Priority.HIGH), (False, Priority.MEDIUM)])
def test_a_red_check_in_calls_somebody(north: Store, mood: bool, priority: Priority) -> None:  # noqa: FBT001
    patient = register(north)
    own = linked(north, patient, Purpose.CHECK_IN)
    measures.check_in(own, patient, "s1", unwell=not mood, low_mood_or_thoughts=mood, drove_or_fell=False)
    (alert,) = measures.list_alerts(desk(north, NURSE)).shown
    assert alert.now.priority is priority
    calm = measures.check_in(
        desk(north, NURSE), patient, "s2", unwell=False, low_mood_or_thoughts=False, drove_or_fell=False
    )
    assert calm.also == ()


def test_what_is_due_follows_the_course(north: Store) -> None:
    patient, course = in_induction(north)
    book(north, course, minutes=3 * 24 * 60)
    later(north, 3 * 24 * 60 - 30)
    assert "phq9" in {each.instrument for each in measures.list_due(desk(north, NURSE), patient).shown}
    version = courses.read_course(desk(north, NURSE), course).shown.version
    courses.stop(desk(north, COORDINATOR), course, why=StopReason.PLANNED_END, version=version)
    assert measures.list_due(desk(north, NURSE), patient).shown == ()


def test_the_worklist_tells_what_is_to_do_and_who_owns_it(north: Store) -> None:
    patient, course = in_induction(north)
    session = book(north, course, minutes=30)
    vial(north)
    dosing(north, session)
    left(north, session)

    def kinds() -> set[WorkKind]:
        return {each.item.kind for each in worklists.read_worklist(desk(north, NURSE)).shown}

    assert WorkKind.SESSION_OPEN in kinds()
    closed(north, session)
    assert WorkKind.SESSION_OPEN not in kinds()
    later(north, 24 * 60)
    assert WorkKind.CHECK_IN in kinds()
    measures.check_in(
        desk(north, NURSE), patient, session, unwell=False, low_mood_or_thoughts=False, drove_or_fell=False
    )
    assert WorkKind.CHECK_IN not in kinds()
    with pytest.raises(GateClosed, match="No monitoring form"):
        worklists.note_form_sent(desk(north, COORDINATOR), session)
    measures.record(desk(north, NURSE), patient, "PHQ-9", answers=[3] * 9)
    lines = worklists.read_worklist(desk(north, NURSE)).shown
    assert lines[0].item.kind is WorkKind.ALERT
    assert {each.name for each in lines} == {"Anna Berger"}
    assert WorkKind.GETTING_WORSE in kinds()
    later(north, 40 * 24 * 60)
    assert WorkKind.LAPSED in kinds()
    mine = worklists.read_worklist(desk(north, NURSE), owner=COORDINATOR).shown
    assert {each.item.owner for each in mine} == {COORDINATOR}


def test_a_stopped_course_leaves_only_what_is_open(north: Store) -> None:
    patient, course = in_induction(north)
    measures.record(desk(north, NURSE), patient, "PHQ-9", answers=THOUGHTS)
    version = courses.read_course(desk(north, NURSE), course).shown.version
    courses.stop(desk(north, COORDINATOR), course, why=StopReason.PLANNED_END, version=version)
    assert {each.item.kind for each in worklists.read_worklist(desk(north, NURSE)).shown} == {WorkKind.ALERT}
    other = candidate(north, register(north, "Berta Muster"))
    courses.stop(desk(north, COORDINATOR), other, why=StopReason.NOT_A_CANDIDATE, version=2)
    assert {each.item.kind for each in worklists.read_worklist(desk(north, NURSE)).shown} == {WorkKind.ALERT}


def test_a_review_is_due_where_benefit_is_unknown(north: Store) -> None:
    patient, _ = in_induction(north)
    lines = worklists.read_worklist(desk(north, PRESCRIBER)).shown
    assert not [each for each in lines if ReviewKind.EARLY_NON_RESPONSE.replace("_", " ") in each.item.text]
    assert charts.read_chart(desk(north, PRESCRIBER), patient).shown.scores[0].measured.total == 17


def test_a_restricted_chart_is_in_nobody_elses_worklist(north: Store) -> None:
    people.add_person(desk(north, Role.ADMINISTRATOR), "nora", name="Nora", roles=(NURSE,))
    patient = register(north)
    candidate(north, patient)
    measures.record(desk(north, NURSE), patient, "PHQ-9", answers=THOUGHTS)
    people.restrict_chart(desk(north, Role.COMPLIANCE), patient, team=("nora",))
    assert worklists.read_worklist(desk(north, NURSE)).shown == ()
    assert worklists.read_worklist(desk(north, NURSE, by="nora")).shown
    with pytest.raises(NotPermitted, match="Break the glass"):
        charts.read_chart(desk(north, NURSE), patient)
    assert replace(actor(north, NURSE), person_id="nora").has(NURSE)
