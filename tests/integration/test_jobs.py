"""Forecast jobs: asked for with what changes them, made once outside any lock, tried again, given up with a reason."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from threading import Barrier, Thread
from typing import Any

import pytest
from sqlalchemy import delete
from tests.integration import care
from tests.integration.care import desk, in_induction, later, now, open_clinic
from tests.integration.desks import actor, at_work
from tests.integration.stores import new_store
from typer.testing import CliRunner

from afterglow import logs
from afterglow.cli.app import app
from afterglow.clinic import CourseState, Delivery, Indication, Role, StopReason, TreatmentCourse, WorkKind
from afterglow.errors import Conflict, NoModel, OutOfRange, Place, StoreUnavailable
from afterglow.forecast import RelapseState
from afterglow.protocol import RecordedScore
from afterglow.protocol.course_file import read_session
from afterglow.protocol.history_file import HistoryRow, PastScore, PastSession
from afterglow.quantities import Dose, DrugForm
from afterglow.store import audit, facts
from afterglow.store.records import Store
from afterglow.store.tables import heads
from afterglow.therapy.regimen import Route
from afterglow.usecases import courses, importing, jobs, measures, patients, room, sessions, worklists
from afterglow.usecases.desk import Desk
from afterglow.usecases.forecast_queue import FED_BY, ForecastJob, JobState
from afterglow.usecases.forecast_view import picture_data
from afterglow.usecases.forecasting import forecast_course
from afterglow.usecases.jobs import ForecastRecord
from afterglow.usecases.kinds import KINDS
from afterglow.usecases.work import program

LOST = "relief is more likely than not lost, by the forecast"


@pytest.fixture
def north(store: Store) -> Store:
    made = at_work(store)
    open_clinic(made)
    return made


def machine(store: Store) -> Desk:
    return Desk(store=store, actor=program("north"))


def job(store: Store, course_id: str) -> tuple[str | None, ForecastJob]:
    with store.read("north") as tx:
        head = facts.load(tx, ForecastJob, course_id)
    assert head.now is not None
    return head.state, head.now


def records(store: Store, course_id: str) -> list[ForecastRecord]:
    with store.read("north") as tx:
        found = facts.standing(tx, ForecastRecord, subject=course_id)
    return [each.fact for each in found if each.fact is not None]


def page(store: Store, course_id: str) -> jobs.ForecastPage:
    return jobs.view_forecast(desk(store, Role.PRESCRIBER), course_id).shown


def treated(store: Store, sessions: int = 2) -> tuple[str, str]:
    """A patient with some sessions and scores in between."""
    patient_id, course_id = in_induction(store)
    care.vial(store)
    for number in range(sessions):
        session_id = care.book(store, course_id)
        later(store, 60)
        care.dosing(store, session_id)
        care.left(store, session_id)
        care.closed(store, session_id)
        later(store, 24 * 60)
        answers = [1, 1, 1, 1, 1, 1, 1, 1 - number % 2, 0]
        measures.record(desk(store, Role.NURSE), patient_id, "PHQ-9", answers=answers)
        later(store, 48 * 60)
    return patient_id, course_id


def in_maintenance(store: Store, course_id: str) -> None:
    """The course as it stands after its induction: from here on the forecast says when the next session is."""
    with store.write("north", by="test") as tx:
        head = facts.load(tx, TreatmentCourse, course_id)
        assert head.now is not None
        state = CourseState.MAINTENANCE
        course = replace(head.now, state=state)
        facts.save(tx, course, id=course_id, version=head.version, patient_id=head.patient_id, state=state)
        tx.event("test.changed")


def test_kinds_that_feed_a_forecast_are_kinds() -> None:
    assert set(KINDS) >= FED_BY


def test_a_score_asks_once_and_a_worker_makes_one_forecast(north: Store) -> None:
    patient_id, course_id = in_induction(north)
    assert job(north, course_id)[0] == JobState.WAITING
    before = page(north, course_id)
    assert (before.pending, before.answer, before.made_at) == (True, None, None)
    for total in (18, 19, 20):  # merged: one job, one forecast
        measures.record(desk(north, Role.NURSE), patient_id, "PHQ-9", total=total, at=now(north))
        later(north, 1)
    assert jobs.run_jobs(north) == 1
    assert jobs.run_jobs(north) == 0
    (record,) = records(north, course_id)
    assert record.refused is None
    assert record.forecast is not None
    assert record.forecast.trajectory is None
    assert record.forecast.model == f"afterglow population {record.population}"
    assert [score.points for score in record.forecast.given.scores] == [17, 18, 19, 20]
    assert audit.verify(north, "north").faults == ()


def test_a_page_is_drawn_from_what_is_kept(north: Store) -> None:
    _, course_id = treated(north)
    jobs.run_jobs(north)
    later(north, 90)
    found = page(north, course_id)
    assert found.answer is not None
    assert found.made_at is not None
    assert (found.pending, found.outdated, found.refused) == (False, False, None)
    assert found.age is not None
    assert timedelta(minutes=90) <= found.age < timedelta(minutes=92)
    (record,) = records(north, course_id)
    assert found.digest == record.digest
    forecast = found.answer.forecast
    assert replace(forecast, trajectory=None) == record.forecast
    assert len(forecast.given.given.administrations) == 2
    assert forecast.trajectory is not None
    picture = picture_data(found.answer, forecast.trajectory)
    assert picture.calendar.zone == "Europe/Zurich"
    assert len(picture.sessions) == 2
    assert len(picture.relief.drug_layers) == 2
    again = jobs.make_forecast(
        found.answer.course, [], population=found.population, digest=found.digest, now=found.made_at
    )
    assert again.answer is not None
    assert again.answer.forecast.trajectory is not None
    assert forecast.trajectory.median == pytest.approx(again.answer.forecast.trajectory.median, rel=1e-3)


def test_a_session_given_makes_a_new_forecast_and_a_booking_is_planned(north: Store) -> None:
    _, course_id = treated(north, sessions=1)
    jobs.run_jobs(north)
    care.book(north, course_id, minutes=3 * 24 * 60)
    assert page(north, course_id).pending
    jobs.run_jobs(north)
    found = page(north, course_id).answer
    assert found is not None
    planned = found.forecast.given.planned.administrations
    assert [each.dose for each in planned] == [found.forecast.given.given.administrations[0].dose]
    assert planned[0].at_h > found.forecast.given.now_h
    assert len(records(north, course_id)) == 2


def test_nothing_new_makes_no_forecast_and_writes_no_fact(north: Store) -> None:
    _, course_id = in_induction(north)
    jobs.run_jobs(north)
    jobs.ask_forecast(desk(north, Role.NURSE), course_id)
    assert jobs.run_jobs(north) == 1
    assert len(records(north, course_id)) == 1
    assert job(north, course_id)[0] == JobState.DONE


def test_a_corrected_score_makes_a_new_forecast(north: Store) -> None:
    patient_id, course_id = in_induction(north)
    jobs.run_jobs(north)
    nurse = desk(north, Role.NURSE)
    (line,) = measures.list_scores(nurse, patient_id).shown
    measures.correct(nurse, patient_id, line.id, reason="typed wrong", total=19)
    jobs.run_jobs(north)
    assert [r.forecast.given.scores[0].points for r in records(north, course_id) if r.forecast] == [17, 19]


def test_imported_scores_and_sessions_feed_the_forecast(north: Store) -> None:
    patient_id, course_id = in_induction(north)
    at = now(north) - timedelta(days=40)
    number = "R-Anna Berger"
    rows = [
        past_score(number, RecordedScore(at=at, scale="PHQ-9", points=22)),
        past_score(number, RecordedScore(at=at, scale="GAD-7", points=12)),  # another condition's scale
        past_score(number, RecordedScore(at=at - timedelta(days=12 * 366), scale="PHQ-9", points=9)),  # too old
        past_session(number, at + timedelta(days=1)),
    ]
    jobs.run_jobs(north)
    report = importing.import_history(machine(north), rows)
    assert report.new == {"scores": 3, "sessions": 1}
    jobs.run_jobs(north)
    found = page(north, course_id).answer
    assert found is not None
    assert [score.points for score in found.forecast.given.scores] == [22, 17]
    assert len(found.forecast.given.given.administrations) == 1
    assert patient_id


def past_score(number: str, score: RecordedScore) -> HistoryRow:
    return HistoryRow(
        place=Place(file="history.csv", line=2),
        said=PastScore(record_number=number, score=score, answers=None),
    )


def past_session(number: str, at: datetime) -> HistoryRow:
    session = read_session("racemic_ketamine iv 0.5 mg/kg 40 min", at=at)
    return HistoryRow(place=Place(file="history.csv", line=3), said=PastSession(record_number=number, session=session))


def test_devices_count_together_and_scores_without_total_not_at_all(north: Store) -> None:
    patient_id, course_id = in_induction(north, Delivery.ESK)
    session_id = care.book(north, course_id, dose_minutes=0)
    later(north, 60)
    care.screened(north, session_id, Delivery.ESK)
    sessions.say_go(desk(north, Role.PRESCRIBER), session_id, version=care.version_of(north, session_id))
    nurse = desk(north, Role.NURSE)
    for each in ("d1", "d2"):
        care.device(north, each)
        room.take(nurse, session_id, each, amount_ug=28_000)
    room.start(nurse, session_id, version=care.version_of(north, session_id))
    for each in ("d1", "d2"):
        room.use_device(nurse, session_id, each, green_dots_checked=True, primed=False)
        later(north, 5)
    measures.record(nurse, patient_id, "PROMIS-29", subscales={"anxiety": 61.2})
    jobs.run_jobs(north)
    found = page(north, course_id).answer
    assert found is not None
    (given,) = found.course.sessions
    assert (given.route, given.infusion, given.dose) == (Route.INTRANASAL, None, Dose(mg=56.0))
    assert [each.scale for each in found.course.scores] == ["PHQ-9"]


def test_an_answer_that_the_model_refuses_is_kept_as_the_reason(north: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    _, course_id = in_induction(north)

    def refused(*_: object, **__: object) -> None:
        raise NoModel("These scales cannot be linked")

    with monkeypatch.context() as patched:
        patched.setattr(jobs, "forecast_course", refused)
        jobs.run_jobs(north)
    assert page(north, course_id).refused == "These scales cannot be linked."
    patient_id = care.register(north, "Jonas Weber")
    importing.import_history(machine(north), [past_session("R-Jonas Weber", now(north) - timedelta(days=3))])
    bare = courses.open_course(
        desk(north, Role.COORDINATOR),
        patient_id,
        delivery=Delivery.IV,
        drug=DrugForm.RACEMIC_KETAMINE,
        indication=Indication.TRD,
    ).id
    jobs.run_jobs(north)
    found = page(north, bare).answer  # without a score it is the forecast of anybody like this
    assert found is not None
    assert found.forecast.given.scores == ()
    assert jobs._due_at(replace(found.forecast, next_due=None)) is None


def test_records_that_are_away_end_a_round_and_the_claim_runs_out(
    north: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, course_id = in_induction(north)

    def away(*_: object, **__: object) -> None:
        raise StoreUnavailable("The records are away")

    def taken(_: Desk) -> None:
        raise Conflict("Somebody was faster")

    with monkeypatch.context() as patched:
        patched.setattr(jobs, "claim", taken)
        assert jobs.run_jobs(north) == 0
    with monkeypatch.context() as patched:
        patched.setattr(jobs, "recorded_course", away)
        with pytest.raises(StoreUnavailable):
            jobs.run_jobs(north)
    assert job(north, course_id)[0] == JobState.RUNNING
    assert jobs.run_jobs(north) == 0
    later(north, jobs.LEASE / timedelta(minutes=1))
    assert jobs.run_jobs(north) == 1


def test_why_there_is_no_forecast_is_kept_and_shown(north: Store) -> None:
    patient_id = care.register(north)
    course_id = courses.open_course(
        desk(north, Role.COORDINATOR),
        patient_id,
        delivery=Delivery.IV,
        drug=DrugForm.RACEMIC_KETAMINE,
        indication=Indication.BIPOLAR_DEPRESSION,
    ).id
    plain = courses.open_course(
        desk(north, Role.COORDINATOR),
        patient_id,
        delivery=Delivery.IV,
        drug=DrugForm.RACEMIC_KETAMINE,
        indication=Indication.TRD,
    ).id
    assert jobs.run_jobs(north) == 2
    found = page(north, course_id)
    assert found.refused is not None
    assert "no model for this indication; found bipolar depression" in found.refused
    assert "at least one score or session" in str(page(north, plain).refused)
    assert jobs.run_jobs(north) == 0
    assert records(north, course_id)[0].refused == found.refused


def broken(*_: object, **__: object) -> None:
    raise ZeroDivisionError("Anna Berger")


def test_a_forecast_that_fails_is_tried_again_then_given_up_and_told(
    north: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    patient_id, course_id = in_induction(north)
    with monkeypatch.context() as patched:
        patched.setattr(jobs, "forecast_course", broken)
        for tried in range(1, jobs.MOST_TRIES + 1):
            assert jobs.run_jobs(north) == 1
            state, held = job(north, course_id)
            assert held.tries == tried
            assert held.fault == "the forecast failed (ZeroDivisionError)"
            assert jobs.run_jobs(north) == 0  # it waits
            later(north, 61)
    assert state == JobState.GIVEN_UP
    assert page(north, course_id).given_up
    lines = worklists.read_worklist(desk(north, Role.PRESCRIBER)).shown
    (told,) = (each.item for each in lines if each.item.kind is WorkKind.FORECAST)
    assert "the forecast failed (ZeroDivisionError)" in told.text
    (line,) = jobs.list_jobs(desk(north, Role.ADMINISTRATOR)).shown
    assert (line.state, line.tries) == ("given_up", jobs.MOST_TRIES)
    assert jobs.run_jobs(north) == 0
    measures.record(desk(north, Role.NURSE), patient_id, "PHQ-9", total=16)  # something new: it is tried again
    assert jobs.run_jobs(north) == 1
    assert job(north, course_id)[0] == JobState.DONE
    assert job(north, course_id)[1].fault is None


def test_a_worker_that_dies_loses_its_claim_and_is_followed(north: Store) -> None:
    _, course_id = in_induction(north)
    first = jobs.claim(machine(north))
    assert first is not None
    assert jobs.claim(machine(north)) is None
    later(north, jobs.LEASE / timedelta(minutes=1))
    second = jobs.claim(machine(north))
    assert second is not None
    assert job(north, course_id)[1].tries == 2
    assert job(north, course_id)[1].fault == jobs.DIED
    with pytest.raises(Conflict):
        jobs.finish(machine(north), first, None)
    with pytest.raises(Conflict):
        jobs.fail(machine(north), first, "late")
    jobs.finish(machine(north), second, None)
    assert job(north, course_id)[0] == JobState.DONE


def test_a_job_that_kills_each_worker_is_given_up(north: Store) -> None:
    _, course_id = in_induction(north)
    for _ in range(jobs.MOST_TRIES):
        assert jobs.claim(machine(north)) is not None
        later(north, jobs.LEASE / timedelta(minutes=1))
    assert jobs.claim(machine(north)) is None
    assert job(north, course_id)[0] == JobState.GIVEN_UP
    assert page(north, course_id).fault == jobs.DIED


def test_what_comes_while_a_forecast_runs_makes_it_run_once_more(north: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    patient_id, course_id = in_induction(north)
    whole = forecast_course

    def slow(*args: Any, **kwargs: Any) -> Any:
        with monkeypatch.context() as patched:
            patched.setattr(jobs, "forecast_course", whole)
            for total in (15, 14):
                measures.record(desk(north, Role.NURSE), patient_id, "PHQ-9", total=total)
        return whole(*args, **kwargs)

    calls: list[int] = []

    def once(*args: Any, **kwargs: Any) -> Any:
        calls.append(1)
        return slow(*args, **kwargs) if len(calls) == 1 else whole(*args, **kwargs)

    monkeypatch.setattr(jobs, "forecast_course", once)
    assert jobs.run_jobs(north) == 2
    assert [len(r.forecast.given.scores) for r in records(north, course_id) if r.forecast] == [1, 3]

    def failing(*_: object, **__: object) -> None:
        measures.record(desk(north, Role.NURSE), patient_id, "PHQ-9", total=13)
        broken()

    monkeypatch.setattr(jobs, "forecast_course", failing)
    measures.record(desk(north, Role.NURSE), patient_id, "PHQ-9", total=12)
    task = jobs.claim(machine(north))
    assert task is not None
    measures.record(desk(north, Role.NURSE), patient_id, "PHQ-9", total=11)
    assert jobs.fail(machine(north), task, "it failed").state == JobState.WAITING
    assert job(north, course_id)[1].tries == 0  # as if it were asked for now


def test_two_workers_never_do_one_job_twice(north: Store) -> None:
    ids = [in_induction(north, name=f"Patient {n}")[1] for n in range(3)]
    start, taken = Barrier(4), []

    def work() -> None:
        start.wait()
        while True:
            try:
                task = jobs.claim(machine(north))
            except Conflict:
                continue
            if task is None:
                return
            taken.append(task.course_id)

    threads = [Thread(target=work) for _ in range(4)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    assert sorted(taken) == sorted(ids)


def test_other_virtual_patients_and_a_week_without_news_make_it_again(
    north: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, course_id = in_induction(north)
    jobs.run_jobs(north)
    assert jobs.refresh_all(north) == 0
    with monkeypatch.context() as patched:
        patched.setattr(jobs, "_population", lambda _: "9.9.9")
        assert page(north, course_id).outdated
        assert jobs.refresh_all(north) == 1
        assert jobs.run_jobs(north) == 1
    assert len(records(north, course_id)) == 2
    later(north, jobs.FRESH_FOR / timedelta(minutes=1))
    assert jobs.refresh_all(north) == 1
    assert jobs.refresh_all(north) == 0  # asked for already
    assert jobs.run_jobs(north) == 1
    assert len(records(north, course_id)) == 3


def test_a_course_without_job_is_found(north: Store) -> None:
    """As in a database of a version that had none."""
    _, course_id = in_induction(north)
    with north.write("north", by="test") as tx:
        tx.run(delete(heads).where(tx.mine(heads), heads.c.kind == "forecast_job"))
    assert page(north, course_id) == jobs.ForecastPage(course_id=course_id)
    assert jobs.refresh_all(north) == 1
    assert jobs.run_jobs(north) == 1
    assert page(north, course_id).answer is not None


def test_the_worklist_says_who_is_due_and_who_lost_relief(north: Store) -> None:
    patient_id, course_id = treated(north, sessions=3)
    for days, total in ((4, 7), (5, 9)):
        later(north, days * 24 * 60)
        measures.record(desk(north, Role.NURSE), patient_id, "PHQ-9", total=total)
    in_maintenance(north, course_id)
    jobs.run_jobs(north)
    last = job(north, course_id)[1].last
    assert last is not None
    assert last.next_due_at is not None
    found = page(north, course_id).answer
    assert found is not None
    assert found.forecast.next_due is not None
    assert found.forecast.next_due.on_h is not None
    assert last.next_due_at == found.forecast.given.at(found.forecast.next_due.on_h)
    texts = [each.item.text for each in worklists.read_worklist(desk(north, Role.PRESCRIBER)).shown]
    assert LOST not in texts
    while now(north) < last.next_due_at - timedelta(days=1):
        later(north, 12 * 60)
    lines = worklists.read_worklist(desk(north, Role.PRESCRIBER)).shown
    (due,) = (each.item for each in lines if each.item.kind is WorkKind.SESSION_DUE)
    assert due.due_at == last.next_due_at
    lost = replace(last, relapse=RelapseState.REACHED)
    with north.write("north", by="test") as tx:
        head = facts.load(tx, ForecastJob, course_id)
        assert head.now is not None
        facts.save(
            tx,
            replace(head.now, last=lost),
            id=course_id,
            version=head.version,
            patient_id=head.patient_id,
            state=head.state,
        )
        tx.event("test.changed")
    lines = worklists.read_worklist(desk(north, Role.PRESCRIBER)).shown
    assert LOST in [e.item.text for e in lines if e.item.kind is WorkKind.GETTING_WORSE]


def test_who_is_past_the_limit_is_due_now(north: Store) -> None:
    patient_id, course_id = treated(north)
    measures.record(desk(north, Role.NURSE), patient_id, "PHQ-9", total=14)
    in_maintenance(north, course_id)
    jobs.run_jobs(north)
    last, found = job(north, course_id)[1].last, page(north, course_id).answer
    assert last is not None
    assert found is not None
    assert found.forecast.next_due is not None
    assert "passed already" in found.forecast.next_due.reason
    assert last.next_due_at == found.forecast.given.at(found.forecast.given.now_h)
    lines = worklists.read_worklist(desk(north, Role.PRESCRIBER)).shown
    (due,) = (each.item for each in lines if each.item.kind is WorkKind.SESSION_DUE)
    assert due.due_at == last.next_due_at
    assert not due.overdue
    later(north, 24 * 60)
    lines = worklists.read_worklist(desk(north, Role.PRESCRIBER)).shown
    (due,) = (each.item for each in lines if each.item.kind is WorkKind.SESSION_DUE)
    assert due.overdue  # the day is over


def test_a_stopped_course_asks_for_nothing(north: Store) -> None:
    patient_id, course_id = in_induction(north)
    jobs.run_jobs(north)
    version = courses.read_course(desk(north, Role.PRESCRIBER), course_id).shown.version
    courses.stop(desk(north, Role.PRESCRIBER), course_id, why=StopReason.PATIENT_CHOICE, version=version)
    measures.record(desk(north, Role.NURSE), patient_id, "PHQ-9", total=9)
    assert jobs.run_jobs(north) == 0
    with pytest.raises(OutOfRange):
        jobs.ask_forecast(desk(north, Role.NURSE), course_id)


def test_an_erased_patient_is_nobodys_job(north: Store) -> None:
    patient_id, course_id = in_induction(north)
    later(north, 11 * 366 * 24 * 60)
    task = jobs.claim(machine(north))
    assert task is not None
    second = actor(north, Role.MEDICAL_DIRECTOR)
    patients.erase(desk(north, Role.COMPLIANCE), patient_id, reason="asked for", second=second)
    with pytest.raises(Conflict):
        jobs.finish(machine(north), task, None)
    with north.read("north") as tx:
        assert not facts.is_due(tx, ForecastJob, states=tuple(JobState), until=now(north) + timedelta(days=1))
    assert jobs.run_jobs(north) == 0
    assert jobs.list_jobs(desk(north, Role.ADMINISTRATOR)).shown == ()
    assert audit.verify(north, "north").faults == ()
    assert course_id


def test_a_worker_goes_on_until_it_is_told_to_end(north: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    _, course_id = in_induction(north)
    waits: list[float] = []

    def wait(seconds: float) -> bool:
        waits.append(seconds)
        return len([each for each in waits if each]) > 2

    whole, rounds = jobs.run_jobs, []

    def first_away(store: Store, **end: Any) -> int:
        rounds.append(1)
        if len(rounds) == 1:
            raise StoreUnavailable("The records are away")
        return whole(store, **end)

    monkeypatch.setattr(jobs, "run_jobs", first_away)
    jobs.keep_running(north, wait=wait)
    assert len(rounds) == 3
    assert len(records(north, course_id)) == 1
    monkeypatch.setattr(jobs, "run_jobs", whole)
    measures.record(desk(north, Role.NURSE), job_patient(north, course_id), "PHQ-9", total=12)
    jobs.run_jobs(north, end=lambda: True)
    assert job(north, course_id)[0] == JobState.WAITING


def job_patient(store: Store, course_id: str) -> str:
    return str(courses.read_course(desk(store, Role.NURSE), course_id).shown.patient_id)


def test_the_operator_lists_and_runs_jobs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AFTERGLOW_FOLDER", str(tmp_path))
    monkeypatch.setenv("AFTERGLOW_CLINIC", "north")
    monkeypatch.setenv("COLUMNS", "200")
    store = at_work(new_store(f"sqlite:///{tmp_path / 'records.db'}", tmp_path))
    run = CliRunner().invoke
    assert run(app, ["jobs", "list"]).output == "There are no jobs.\n"
    open_clinic(store)
    _, course_id = in_induction(store)
    (line,) = [each for each in run(app, ["jobs", "list"]).output.splitlines() if course_id in each]
    assert line.split()[1:3] == ["waiting", "0"]
    assert run(app, ["jobs", "run", "--once"]).output == "1 forecast done.\n"
    assert run(app, ["jobs", "run", "--once"]).output == "0 forecasts done.\n"
    assert "done" in run(app, ["jobs", "list"]).output

    def interrupted(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(jobs, "keep_running", interrupted)
    assert run(app, ["jobs", "run"]).output == "Ended.\n"
    logs.stop()
    store.engine.dispose()
