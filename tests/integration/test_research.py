"""The researcher's view: what it shows, and that nobody can be told from it."""

from __future__ import annotations

import json
from datetime import date

import pytest
from tests.integration import care
from tests.integration.apis import ask, asking, token
from tests.integration.desks import at_work, desk, later

from afterglow.clinic import Role
from afterglow.store import patients
from afterglow.store.codec import to_data
from afterglow.store.patients import Identifiers
from afterglow.store.records import Store
from afterglow.usecases import measures, people, room, sessions
from afterglow.usecases.research import ResearchCourse, read_courses

NAMES = ("Anna Berger", "Jonas Weber", "Mira Kern", "Paul Roth", "Ida Lang")


@pytest.fixture
def north(store: Store) -> Store:
    made = at_work(store)
    care.open_clinic(made)
    return made


def treated(store: Store, name: str) -> str:
    """A patient who was given 40 mg; 12 days after another score was taken."""
    patient, course = care.in_induction(store, name=name)
    session = care.book(store, course)
    care.dosing(store, session)
    care.left(store, session)
    care.closed(store, session)
    later(store, 12 * 24 * 60 - 200)
    measures.record(desk(store, Role.NURSE), patient, "PHQ-9", answers=[1, 1, 1, 1, 1, 1, 1, 1, 0])
    return patient


def seen(store: Store) -> tuple[ResearchCourse, ...]:
    return read_courses(desk(store, Role.RESEARCHER)).shown


def test_courses_are_shown_without_whoever_they_are_of(north: Store) -> None:
    """Four are too few; with a fifth all are shown, and hidden again where one more thing tells them apart."""
    care.vial(north)
    ids = [treated(north, name) for name in NAMES[:4]]
    assert seen(north) == ()
    ids.append(treated(north, NAMES[4]))
    courses = seen(north)
    assert len({each.person for each in courses}) == 5
    for each in courses:
        (visit,) = each.sessions
        assert (visit.day, visit.given_mg, visit.complete, visit.events) == (0, 40.0, True, 0)
        assert [(score.day, score.instrument, score.total) for score in each.scores] == [
            (0, "phq9", 17.0),
            (12, "phq9", 8.0),
        ]
        assert each.decade == 40  # born 1982-05-01, treated in January 2026: 43
    said = json.dumps(to_data(courses))
    assert not [word for word in (*ids, *" ".join(NAMES).split(), "1982", "2026", "nurse", "R-") if word in said]

    with north.write("north", by="program") as tx:  # one of another decade would stand out, so no decade is shown
        patients.identify(tx, ids[0], Identifiers(name=NAMES[0], born_on=date(1930, 1, 1)), version=1)
        tx.event("patients.identify", patient_id=ids[0])
    assert {each.decade for each in seen(north)} == {None}

    _, course = care.in_induction(north, name="Emil Haas")  # events are counted, never told in words
    session = care.book(north, course)
    care.dosing(north, session)
    nurse = desk(north, Role.NURSE)
    room.note_event(nurse, session, term="nausea after a quarrel")
    care.left(north, session)
    (event,) = sessions.read_session(nurse, session).shown.session.adverse_events
    room.grade(nurse, session, event.id, grade=2, serious=False)
    found = [each for each in seen(north) if each.sessions[0].events]
    assert [(each.sessions[0].worst_grade, each.sessions[0].given_mg) for each in found] == [(2, 40.0)]
    assert "nausea" not in json.dumps(to_data(seen(north)))

    people.add_person(desk(north, Role.ADMINISTRATOR), "teresa", name="T", roles=(Role.THERAPIST,))
    for closed in ids[:2]:  # a chart that is closed to its team is not shown, and counts for nobody
        people.restrict_chart(desk(north, Role.COMPLIANCE), closed, team=("teresa",))
    assert seen(north) == ()


def test_the_read_is_told_and_the_api_shows_it_to_researchers_alone(north: Store) -> None:
    with asking(north, token(north, Role.RESEARCHER)) as client:
        answer = ask(client, "research.courses")
        assert (answer.status_code, answer.json()["shown"]) == (200, [])
        assert ask(client, "patients.find", part="Anna").status_code == 403
        assert ask(client, "chart.read").status_code == 403
    with asking(north, token(north, Role.MEDICAL_DIRECTOR)) as client:
        assert ask(client, "research.courses").status_code == 403
