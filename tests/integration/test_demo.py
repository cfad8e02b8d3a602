"""The demo clinic: lived through use cases, the same for the same seed, alive today, and nothing but made up."""

from __future__ import annotations

import inspect
import json
import random
import re
import shutil
import subprocess
import sys
import time
import urllib.parse
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from http.cookiejar import CookieJar
from pathlib import Path

import pytest
from fastapi import FastAPI
from typer.testing import CliRunner

from afterglow.cli.app import app
from afterglow.clinic import Role, SessionState, TreatmentSession
from afterglow.demo import build_demo, building, code_of, demo_clock, demo_settings, read_sheet
from afterglow.demo.building import place_of
from afterglow.demo.cast import PATIENTS, Answer, Goes, Scene
from afterglow.demo.scores import answers_of, courses, on_scale
from afterglow.errors import Conflict, InputError, MalformedFile, NotFound
from afterglow.store import audit, facts
from afterglow.store.engine import open_engine
from afterglow.store.records import Clinic, Store
from afterglow.store.scope import OWN_SQL
from afterglow.usecases import drugs, login, measures, today, worklists
from afterglow.usecases.desk import Desk
from afterglow.usecases.login import Proof
from afterglow.usecases.messages import Delivery, OutgoingMessage
from afterglow.usecases.upkeep import create_records, opened
from afterglow.usecases.work import Actor
from afterglow.web.door import add_door, check_door
from afterglow.web.serving import Listening, make_app

NOW = datetime(2026, 11, 27, 3, 40, tzinfo=UTC)
SCENES = {Scene.EARLY_INFUSION, Scene.READING_LATE, Scene.HELD, Scene.OPEN_GATE, Scene.NO_SHOW, Scene.NEXT_INFUSION}
FEW = tuple(
    each
    for each in PATIENTS
    if (each.scene in SCENES and each.days_ago <= 14) or each.special == "suicidal" or each.waits_at
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A demo clinic of a few stories."""
    made = tmp_path_factory.mktemp("demo") / "clinic"
    build_demo(made, now=NOW, patients=FEW)
    return made


@contextmanager
def open_demo(folder: Path) -> Iterator[Store]:
    with opened(demo_settings(folder)) as store:
        yield replace(store, clock=lambda: NOW)


def desk(store: Store, role: Role = Role.NURSE, by: str = "nora") -> Desk:
    return Desk(store=store, actor=Actor(person_id=by, roles=(role,), clinic_id="clinic", signed_at=NOW))


def test_the_day_is_going_on_now(folder: Path) -> None:
    with open_demo(folder) as store:
        day = today.read_today(desk(store), since=NOW - timedelta(hours=14), until=NOW + timedelta(hours=10)).shown
        chairs = {each.chair_id: each.now for each in day.chairs}
        assert chairs["1"] is not None
        assert chairs["1"].state is SessionState.DOSING
        assert chairs["1"].clocks is not None
        assert chairs["1"].clocks.since_first_dose_min == pytest.approx(22, abs=1)
        late = chairs["3"]
        assert late is not None
        assert late.clocks is not None
        assert late.clocks.next_reading is not None
        assert late.clocks.next_reading.state == "overdue"
        held = chairs["4"]
        assert held is not None
        assert held.state is SessionState.HELD
        assert held.rules_met == ("S044",)
        waiting = chairs["6"]
        assert waiting is not None
        assert waiting.state is SessionState.SCREENED
        assert [each.name for each in day.expected] == ["Hana Tanaka"]
        assert {each.name for each in day.alerts} == {"Lena Kowalski", "Theodor Lang"}
        kinds = {each.item.kind for each in worklists.read_worklist(desk(store)).shown}
        assert {"alert", "course_step", "monitoring_form"} <= kinds


def test_everything_was_written_through_use_cases_and_adds_up(folder: Path) -> None:
    with open_demo(folder) as store:
        found = audit.verify(store, "clinic")
        assert found.faults == ()
        assert found.events > 500
        stock = drugs.list_stock(desk(store)).shown
        for lot in {each.now.lot for each in stock}:
            balance = drugs.read_lot(desk(store), lot).shown
            apart = balance.in_stock_ug + balance.used_ug + balance.wasted_ug + balance.written_off_ug
            assert balance.received_ug == apart
            assert balance.used_ug > 0
        with store.read("clinic") as tx:
            sessions = facts.load_all(tx, TreatmentSession)
            sent = facts.load_all(tx, OutgoingMessage, states=(Delivery.SENT,))
        assert {each.state for each in sessions} >= {SessionState.CLOSED, SessionState.DOSING, SessionState.BOOKED}
        assert len(sent) >= 2
        assert all(each.synthetic for each in store.clinics())
        assert measures.list_alerts(desk(store)).shown


def test_the_same_seed_makes_the_same_clinic(tmp_path: Path) -> None:
    few = FEW[1:3]
    later = NOW + timedelta(minutes=17)
    for name, seed, now in (("a", 1, NOW), ("b", 1, NOW), ("c", 2, NOW), ("d", 1, later)):
        build_demo(tmp_path / name, now=now, seed=seed, patients=few)
    one, same, other, late = (_content(tmp_path / name) for name in "abcd")
    assert one == same
    assert one != other
    midnight = NOW.astimezone(place_of(NOW)).replace(hour=0, minute=0).astimezone(UTC)
    assert one != late
    assert len([each for each in one if each[0] < f"{midnight}"]) > 100
    assert [each for each in one if each[0] < f"{midnight}"] == [each for each in late if each[0] < f"{midnight}"]


def _content(folder: Path) -> list[tuple[str, str]]:
    """What was done when and to what, without ids, which are new each time."""
    with open_demo(folder) as store, store.read("clinic") as tx:
        done = [(f"{each.at}", each.action) for each in audit.last_events(tx, after=0, most=100_000)]
        scores = [(f"{each.at}", f"{each.fact}") for each in facts.standing(tx, measures.Measured)]
        read = [
            (f"{each.taken_at}", f"{each.systolic_mmhg}/{each.diastolic_mmhg}")
            for head in facts.load_all(tx, TreatmentSession)
            if head.now is not None
            for each in head.now.readings
        ]
    return [*done, *sorted(scores), *sorted(read)]


def test_everybody_logs_in_with_the_code_of_now(folder: Path, tmp_path: Path) -> None:
    own = shutil.copytree(folder, tmp_path / "own")  # a code counts once
    sheet = read_sheet(own)
    with open_demo(own) as store:
        for name, _, _ in sheet.people:
            proof = Proof(login=name, password=sheet.password, code=code_of(sheet, store.clock()), device=None)
            assert login.log_in(store, "clinic", proof).actor.person_id == name
    assert (folder / "demo.json").stat().st_mode & 0o077 == 0


def test_nothing_but_a_demo_is_ever_thrown_away(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(Conflict, match="demo clinic lies there already"):
        build_demo(folder, now=NOW, patients=())
    create_records(demo_settings(tmp_path), Clinic(id="clinic", name="Real", time_zone="UTC"))
    before = sorted(each.name for each in tmp_path.iterdir())
    with pytest.raises(Conflict, match="left as it is"):
        build_demo(tmp_path, now=NOW, fresh=True, patients=())
    assert sorted(each.name for each in tmp_path.iterdir()) == before


def test_a_demo_ignores_the_database_and_mail_server_of_the_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AFTERGLOW_DATABASE_URL", "postgresql://nobody@localhost/real")
    monkeypatch.setenv("AFTERGLOW_KEYS_FOLDER", str(tmp_path / "real-keys"))
    monkeypatch.setenv("AFTERGLOW_SMTP_HOST", "mail.example.org")
    monkeypatch.setenv("AFTERGLOW_CLINIC", "real")
    settings = demo_settings(tmp_path)
    assert settings.url == f"sqlite:///{tmp_path / 'records.db'}"
    assert settings.keys == tmp_path / "keys"
    assert (settings.smtp_host, settings.clinic) == (None, "clinic")


def test_it_is_early_afternoon_in_the_demo_clinic_at_any_hour() -> None:
    for hour in range(24):
        now = datetime(2026, 7, 1, hour, 20, tzinfo=UTC)
        assert 12 <= now.astimezone(place_of(now)).hour < 17


def test_scores_follow_the_story_and_answers_add_up() -> None:
    drawn = courses(PATIENTS, seed=3)
    for patient in PATIENTS:
        course = drawn[patient.name]
        if patient.goes is Goes.WAITS or patient.days_ago < 30:
            continue
        relief = 1 - course.at(patient.days_ago) / course.before
        if patient.answer is Answer.NONE:
            assert relief < 0.45
        points = on_scale(patient, course, 20)
        items = answers_of(patient.main_scale, points, random.Random(1))
        assert sum(items) == pytest.approx(3 * points if patient.main_scale == "PEG" else points, abs=0.01)
    assert answers_of("PHQ-9", 17, random.Random(1), item_9=2)[8] == 2


def test_the_door_opens_for_made_up_clinics_on_this_machine_alone(folder: Path, tmp_path: Path) -> None:
    check_door(Listening(host="::1"))
    for wrong in (Listening(host="0.0.0.0"), Listening(host="127.0.0.1", proxy="10.0.0.1")):
        with pytest.raises(InputError, match="this machine alone"):
            check_door(wrong)
    sheet = read_sheet(folder)
    settings = demo_settings(tmp_path)
    create_records(settings, Clinic(id="clinic", name="Real", time_zone="UTC"))
    with opened(settings) as store, pytest.raises(InputError, match="made-up clinics alone"):
        make_app(store, more=lambda made: add_door(made, sheet))
    with opened(settings) as store:
        assert "/demo" not in _paths(make_app(store))


def _paths(app: FastAPI) -> set[str]:
    return {getattr(each, "path", "") for each in app.routes}


def test_one_button_logs_a_newcomer_in(folder: Path) -> None:
    """As a program of its own: the door shows a form for each colleague, and the form's answer is Today."""
    _mark_as_of_today(folder)
    command = [sys.executable, "-c", "from afterglow.cli import main; main()", "demo", str(folder), "--stay"]
    with subprocess.Popen(
        [*command, "--port", "0"], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as program:
        try:
            assert program.stdout is not None
            address = next(found[0] for line in program.stdout if (found := re.search(r"http://\S+/demo", line)))
            site = urllib.request.build_opener(urllib.request.HTTPCookieProcessor(CookieJar()))
            with site.open(address) as answer:
                html = answer.read().decode()
                assert answer.headers["Refresh"] == "15"
            form = next(each for each in html.split("<form")[1:] if 'value="nora"' in each)
            fields = dict(re.findall(r'name="(\w+)" value="([^"]*)"', form))
            request = urllib.request.Request(
                address.replace("/demo", "/login"),
                urllib.parse.urlencode(fields).encode(),
                {"Origin": address.removesuffix("/demo"), "Sec-Fetch-Site": "same-origin"},
            )
            with site.open(request) as answer:
                assert answer.url.endswith("/today")
                assert "Synthetic data" in answer.read().decode()
        finally:
            program.terminate()
            program.wait(timeout=30)


def _mark_as_of_today(folder: Path) -> None:
    file = folder / "demo.json"
    sheet = json.loads(file.read_text())
    file.write_text(json.dumps(sheet | {"made_on": datetime.now(UTC).astimezone().date().isoformat()}))


def test_the_command_ends_by_itself_where_nobody_watches(folder: Path) -> None:
    _mark_as_of_today(folder)
    began = time.monotonic()
    done = subprocess.run(
        [sys.executable, "-c", "from afterglow.cli import main; main()", "demo", str(folder)],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "The pages answer: /demo, /login." in done.stdout
    assert "harbour lamps at noon" in done.stdout
    assert "all patients are made up" in done.stdout
    assert time.monotonic() - began < 120


def test_a_damaged_sheet_says_so(tmp_path: Path) -> None:
    with pytest.raises(NotFound, match="no demo clinic"):
        read_sheet(tmp_path)
    (tmp_path / "demo.json").write_text("{}")
    with pytest.raises(MalformedFile):
        read_sheet(tmp_path)


def test_only_the_building_of_a_demo_leaves_commits_unsynced(tmp_path: Path) -> None:
    def synchronous(*, synced: bool) -> int:
        engine = open_engine(f"sqlite:///{tmp_path / 'records.db'}", synced=synced)
        with engine.connect().execution_options(**{OWN_SQL: True}) as connection:
            found = connection.exec_driver_sql("PRAGMA synchronous").scalar_one()
        engine.dispose()
        return int(found)

    assert (synchronous(synced=True), synchronous(synced=False)) == (2, 0)  # FULL, OFF
    assert inspect.signature(open_engine).parameters["synced"].default is True
    assert inspect.signature(opened).parameters["synced"].default is True


def test_time_stands_still_while_the_demo_is_closed(folder: Path) -> None:
    with opened(demo_settings(folder)) as store:
        with store.read("clinic") as tx:
            (last,) = audit.last_events(tx, after=audit.last_seq(tx) - 1)
        clock = demo_clock(store)
        assert timedelta(0) <= clock() - last.at < timedelta(seconds=5)
        time.sleep(0.05)
        assert clock() - last.at >= timedelta(seconds=0.05)


def test_demo_data_builds_and_says_where(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        building.build_demo, "__kwdefaults__", (building.build_demo.__kwdefaults__ or {}) | {"patients": FEW[:1]}
    )
    made = CliRunner().invoke(app, ["demo-data", str(tmp_path / "c"), "--seed", "4"])
    assert made.exit_code == 0, made.output
    assert "1 made-up patients" in made.output
    assert read_sheet(tmp_path / "c").seed == 4
    assert isinstance(CliRunner().invoke(app, ["demo-data", str(tmp_path / "c")]).exception, Conflict)
