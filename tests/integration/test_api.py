"""The API: who may, what is refused and how, versions, keys, parts, limits; and that one clinic never sees another."""

from __future__ import annotations

import base64
import io
import json
import logging
import re
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path
from types import MappingProxyType
from typing import Any, get_args

import httpx
import numpy as np
import pyotp
import pytest
from argon2 import PasswordHasher
from argon2.profiles import CHEAPEST
from pydantic import TypeAdapter
from pydantic_core.core_schema import ErrorType
from tests.integration import care
from tests.integration.apis import NOWHERE, PREFIX, ask, asking, document_, everything, example, token
from tests.integration.desks import at_work, desk, later
from tests.integration.stores import new_store
from tests.unit.test_errors import tree

from afterglow import logs
from afterglow.clinic import Delivery, Indication, Role
from afterglow.errors import AfterglowError, Outdated
from afterglow.quantities import DrugForm
from afterglow.store import audit
from afterglow.store.records import Store
from afterglow.store.requests import request_digest
from afterglow.usecases import courses, login, measures, passes, people
from afterglow.usecases.desk import CATALOGUE, Page
from afterglow.usecases.jobs import run_jobs
from afterglow.usecases.passes import Purpose
from afterglow.usecases.work import STAFF
from afterglow.web import api, api_fields
from afterglow.web.api import Limits
from afterglow.web.api_document import _Schemas, api_markdown
from afterglow.web.api_routes import BEARERS, _answer, routes

ROOT = Path(__file__).parent.parent.parent
PASSWORD = "seven quiet rivers"
SECRETS = ("Anna", "Berger", "1982-05-01", "anna@example.org", "R-Anna")


@pytest.fixture(autouse=True)
def _cheap(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(login, "HASHER", PasswordHasher.from_parameters(CHEAPEST))
    login._nobody.cache_clear()
    yield
    login._nobody.cache_clear()


@pytest.fixture
def north(store: Store) -> Store:
    made = at_work(store)
    care.open_clinic(made)
    return made


@pytest.fixture
def nurse(north: Store) -> Iterator[httpx.Client]:
    with asking(north, token(north, Role.NURSE)) as client:
        yield client


def person(store: Store, name: str, *roles: Role) -> tuple[str, list[str]]:
    """Somebody with a login, and the recovery codes, each good for one signature."""
    issued = people.add_person(desk(store, Role.ADMINISTRATOR), name, name=name, roles=roles)
    begun = login.begin_set_up(store, issued.token)
    code = pyotp.TOTP(begun.secret).at(int(store.clock().timestamp()))
    codes = login.finish_set_up(store, issued.token, password=PASSWORD, secret=begun.secret, code=code)
    return name, list(codes)


def sign(client: httpx.Client, somebody: tuple[str, list[str]]) -> str:
    name, codes = somebody
    answer = client.post(f"{PREFIX}/signatures", json={"login": name, "password": PASSWORD, "code": codes.pop()})
    assert answer.status_code == 200, answer.text
    return str(answer.json()["signature"])


def refused(answer: Any, status: int, code: str) -> dict[str, Any]:
    assert (answer.status_code, answer.json()["code"]) == (status, code), answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    told: dict[str, Any] = answer.json()
    assert told["status"] == status
    assert told["type"] == f"urn:afterglow:error:{code}"
    return told


def test_nobody_of_an_unknown_id_has_an_empty_list(north: Store) -> None:
    """Every look about one patient, and the lists that take a patient as a field."""
    with asking(north, token(north, *STAFF)) as client:
        looks = [each for each in routes().values() if each.thing == "patient_id" and each.method == "GET"]
        assert {"measures.list", "measures.due", "passes.list_links"} <= {each.case.name for each in looks}
        for each in looks:
            answers = [client.get(each.path.replace("{patient_id}", nobody)) for nobody in ("ffff", "", "%00")]
            if any(field.is_required() for field in each.asked.model_fields.values()):
                continue  # what it needs besides is asked for first
            told = {(answer.status_code, answer.json().get("code")) for answer in answers}
            assert told == {(404, "request.not_found")}, each.path


def test_words_of_refusals_are_those_of_json_and_the_calendar(north: Store, nurse: httpx.Client) -> None:
    patient = care.register(north)
    day = refused(ask(nurse, "measures.record", patient, name="PEG", total=3, at="2026-02-30T09:00:00Z"), 422, "input")
    assert "not in the calendar" in day["observed"]
    short = ask(nurse, "measures.record", patient, name="PHQ-9", answers=[1, 2]).json()
    assert "null in JSON" in short["next_step"]
    unknown = ask(nurse, "measures.list", patient, name="NOPE").json()
    assert "PEG?" not in unknown["detail"]


# Who may


def permitted() -> dict[str, tuple[str, dict[str, str]]]:
    """The page of permissions: for each use case and role, `x`, `s` or nothing."""
    page = (ROOT / "docs/reference/permissions.md").read_text(encoding="utf-8")
    heads = ["coordinator", "prescriber", "nurse", "therapist", "medical_director", "compliance", "researcher"]
    heads += ["administrator", "patient", "room", "system"]
    found = {}
    for line in page.splitlines():
        if (match := re.match(r"\| `([a-z_]+\.[a-z_]+)` \|", line)) is not None:
            cells = [cell.strip() for cell in line.split("|")[1:-1]]
            found[match[1]] = (cells[1], dict(zip(heads, cells[2:], strict=True)))
    return found


@pytest.fixture(scope="module")
def settled(tmp_path_factory: pytest.TempPathFactory) -> Store:
    folder = tmp_path_factory.mktemp("api")
    return at_work(new_store(f"sqlite:///{folder / 'records.db'}", folder))


@pytest.mark.parametrize("role", sorted(BEARERS))
def test_who_may_ask_for_what_is_what_the_page_of_permissions_says(settled: Store, role: Role) -> None:
    page = permitted()
    assert set(page) == set(CATALOGUE)
    if role is Role.ROOM:
        held = passes.issue_room(desk(settled, Role.ADMINISTRATOR), "Room 1").token
    else:
        held = token(settled, role)
    with asking(settled, held) as client:
        for name in routes():
            answer = ask(client, name, None, **example(name))
            code = answer.json().get("code", "") if answer.status_code != 200 else ""
            mark = page[name][1][role]
            if mark == "":
                assert (answer.status_code, code) == (403, "permission.refused"), name
            elif mark == "s":
                assert (answer.status_code, code) == (403, "permission.sign_again"), name
            elif code == "permission.refused":  # let in: what it is about is refused, or belongs to somebody else
                assert name == "people.issue_token"
            assert answer.status_code < 500, (name, answer.text)


def test_what_has_no_route_is_for_patients_and_the_program_alone() -> None:
    without = set(CATALOGUE) - set(routes())
    assert all(set(CATALOGUE[name].roles) <= {Role.PATIENT, Role.SYSTEM} for name in without)
    assert {"history.import", "measures.answer", "messages.claim"} <= without


def test_no_name_stands_in_an_address() -> None:
    """What a GET takes beside ids: times, counts, a scale, a role, a lot; never who a patient is, nor a reading."""
    known = {"after", "before", "dose_minutes", "lot", "most", "moving", "name", "owner", "since", "starts_at", "until"}
    known |= {"act", "by", "version", "zone"}  # an act by its word, a person by the login
    taken = {field for route in routes().values() if route.method == "GET" for field in route.asked.model_fields}
    assert not {each for each in taken if not each.endswith("_id")} - known
    assert {routes()[name].method for name in ("patients.find", "audit.find_patient")} == {"POST"}
    assert {route.thing for route in routes().values() if route.thing} >= {
        "alert_id", "booking_id", "container_id", "course_id", "pass_id", "patient_id", "session_id"
    }  # fmt: skip


# Tokens


def test_what_is_no_token_is_refused_in_one_way(north: Store, nurse: httpx.Client) -> None:
    good = nurse.headers["Authorization"]
    clinic, number, secret = good.removeprefix("Bearer ").split("~")
    wrong = (
        "", "Bearer", "Bearer ", f"Basic {secret}", f"Bearer {clinic}~{number}~{secret[:-1]}x", f"Bearer {secret}",
        f"Bearer south~{number}~{secret}", f"Bearer {clinic}~{NOWHERE}~{secret}", f"{good} ", "Bearer " + "x" * 300,
        "Bearer a b",
    )  # fmt: skip
    answers = [nurse.get(f"{PREFIX}/alerts/list", headers={"Authorization": each}) for each in wrong]
    assert {each.status_code for each in answers} == {401}
    assert {each.headers["www-authenticate"] for each in answers} == {'Bearer realm="afterglow"'}
    assert len({each.text for each in answers}) == 2  # none at all, or one that does not hold
    assert ask(nurse, "alerts.list").status_code == 200


def test_a_login_of_the_pages_is_none_here(north: Store) -> None:
    somebody = person(north, "nora", Role.NURSE)
    proof = login.Proof(login="nora", password=PASSWORD, code=somebody[1].pop())
    session = login.log_in(north, "north", proof).token
    with asking(north, None, cookies={"afterglow_session": session}) as client:
        refused(client.get(f"{PREFIX}/alerts/list"), 401, "permission.login")
        refused(
            client.get(f"{PREFIX}/alerts/list", headers={"Authorization": f"Bearer {session}"}), 401, "permission.login"
        )
        assert "set-cookie" not in client.get(f"{PREFIX}/alerts/list").headers


def test_no_other_site_is_let_in(nurse: httpx.Client) -> None:
    headers = {"Origin": "https://elsewhere.example", "Access-Control-Request-Method": "GET"}
    answer = nurse.options(f"{PREFIX}/alerts/list", headers=headers)
    assert answer.status_code == 405
    shown = nurse.get(f"{PREFIX}/alerts/list", headers=headers)
    assert not [name for each in (answer, shown) for name in each.headers if name.startswith("access-control")]


def test_a_token_ends_is_taken_back_and_does_what_it_is_for(north: Store) -> None:
    administrator = desk(north, Role.ADMINISTRATOR)
    held = token(north, Role.NURSE, login="ward", only=("measures.list", "alerts"))
    patient = care.register(north)
    with asking(north, held) as client:
        assert ask(client, "measures.list", patient).status_code == 200
        assert ask(client, "alerts.list").status_code == 200
        told = refused(ask(client, "measures.record", patient, name="PHQ-9", total=9.0), 403, "permission.refused")
        assert told["title"] == "This token or link is not made for measures.record"
        assert told["observed"] == "made for measures.list, alerts"
        assert "another token for measures.record" in told["next_step"]
        later(north, 60 * 24 * 91)
        refused(ask(client, "alerts.list"), 401, "permission.login")
    second = people.issue_service_token(administrator, "ward", "again", only=("alerts",))
    with asking(north, second.token) as client:
        assert ask(client, "alerts.list").status_code == 200
        passes.revoke_device(administrator, second.id)
        refused(ask(client, "alerts.list"), 401, "permission.login")
    third = people.issue_service_token(administrator, "ward", "again", only=("alerts",))
    with asking(north, third.token) as client:
        people.leave(administrator, "ward", version=1)
        refused(ask(client, "alerts.list"), 401, "permission.login")


def test_a_token_is_kept_as_a_digest_that_nobody_is_shown(north: Store) -> None:
    held = token(north, Role.COMPLIANCE)
    with asking(north, held) as client:
        listed = ask(client, "passes.list_devices").json()["shown"]
    assert [each["digest"] for each in listed] == [""]
    assert listed[0]["only"] == list(everything(Role.COMPLIANCE))
    secret = held.split("~")[2]
    with north.read("north") as tx:
        kept = passes.find_pass(tx, held.split("~")[1])
    assert kept is not None
    assert len(kept.digest) == 64
    assert secret not in kept.digest


def test_tokens_are_made_for_services_alone_and_their_maker(north: Store) -> None:
    administrator = desk(north, Role.ADMINISTRATOR)
    person(north, "nora", Role.NURSE)
    with asking(north, token(north, Role.ADMINISTRATOR)) as client:
        told = ask(client, "people.issue_token", login="nora", label="x", only=["measures"])
        refused(told, 403, "permission.refused")
        refused(ask(client, "people.reset", login="service-administrator", version=1), 403, "permission.refused")
        people.add_service(administrator, "ward", name="Ward", roles=(Role.NURSE,))
        refused(ask(client, "people.reset", login="ward", version=1), 403, "permission.refused")
        told = ask(client, "people.issue_token", login="ward", label="x", only=["nothing"])
        assert refused(told, 422, "input.unknown_name")["about"] == "only"
        idle = ask(client, "people.issue_token", login="ward", label="x", only=["measures", "audit"])
        why = refused(idle, 403, "permission.refused")
        assert why["observed"] == "audit, with the roles nurse"
        assert {"alerts", "measures"} <= set(why["allowed"].split(", "))
        assert "audit" not in why["allowed"]
        issued = ask(client, "people.issue_token", login="ward", label="x", only=["measures"]).json()["token"]
    assert login.open_token(north, issued).roles == (Role.NURSE,)


# Signatures


def test_a_signature_makes_the_signer_act_within_the_token(north: Store) -> None:
    patient = care.register(north)
    course = care.candidate(north, patient)
    drew, nora = person(north, "drew", Role.PRESCRIBER), person(north, "nora", Role.NURSE)
    with asking(north, token(north, Role.NURSE, only=("courses", "measures"))) as client:
        planned = {"endpoint": "PHQ-9 halved", "induction_sessions": 6, "interval_days": 3.5, "version": 2}
        refused(ask(client, "courses.set_plan", course, **planned), 403, "permission.refused")
        signature = sign(client, drew)
        assert ask(client, "courses.set_plan", course, **planned, signature=signature).status_code == 200
        found = ask(client, "courses.find_suitable", course, version=3, signature=signature)
        assert (found.status_code, found.headers["etag"]) == (200, '"4"'), found.text
        with north.read("north") as tx:
            event = audit.last_events(tx, after=audit.last_seq(tx) - 1)[-1]
        assert (event.by, event.action) == ("drew", "courses.find_suitable")
        assert event.detail["token"] == client.headers["Authorization"].split("~")[1]
        outside = ask(client, "patients.note_allergies", patient, **example("patients.note_allergies"))
        refused(outside, 403, "permission.refused")
        beyond = ask(client, "sessions.go", None, version=1, signature=signature)
        refused(beyond, 403, "permission.refused")  # the signer may, the token is not for it
        wrong = ask(client, "courses.start", course, version=4, signature=sign(client, nora))
        refused(wrong, 403, "permission.refused")  # the token's signer is no prescriber
        later(north, 6)
        refused(ask(client, "courses.start", course, version=4, signature=signature), 403, "permission.sign_again")


def test_a_signature_holds_with_its_token_alone_and_not_when_changed(north: Store) -> None:
    drew = person(north, "drew", Role.PRESCRIBER)
    first, second = token(north, Role.NURSE), token(north, Role.NURSE, login="other")
    with asking(north, first) as client:
        signature = sign(client, drew)
        later(north, 4)
        name, at, mark = signature.split("~")
        forged = (
            "",
            "x",
            f"{name}~{at}~{mark[:-1]}",
            f"{name}~{int(at) + 300}~{mark}",
            f"nora~{at}~{mark}",
            "~~",
            "a~b~c",
        )
        for each in forged:
            answer = ask(client, "courses.start", None, version=1, signature=each)
            refused(answer, 403, "permission.sign_again")
        with asking(north, second) as other:
            refused(ask(other, "courses.start", None, version=1, signature=signature), 403, "permission.sign_again")
        refused(ask(client, "courses.start", None, version=1, signature=signature), 404, "request.not_found")
        people.leave(desk(north, Role.ADMINISTRATOR), "drew", version=1)
        refused(ask(client, "courses.start", None, version=1, signature=signature), 403, "permission.sign_again")


def test_who_guesses_a_password_is_refused_and_then_waits(north: Store, nurse: httpx.Client) -> None:
    person(north, "drew", Role.PRESCRIBER)
    proof = {"login": "drew", "password": "wrong wrong wrong", "code": "000000"}
    for _ in range(login.FREE_TRIES):
        refused(nurse.post(f"{PREFIX}/signatures", json=proof), 401, "permission.login")
    told = nurse.post(f"{PREFIX}/signatures", json=proof)
    refused(told, 429, "permission.too_many")
    assert 1 <= int(told.headers["retry-after"]) <= 15
    assert ask(nurse, "alerts.list").status_code == 200


def test_nobody_is_a_second_person_to_the_own_token(north: Store) -> None:
    """The nurse prepares by a token and checks with a signature: it is one person, and refused."""
    _, course = care.in_induction(north)
    session = care.book(north, course)
    nora, ida = person(north, "nora", Role.NURSE), person(north, "ida", Role.NURSE)
    own = passes.issue_token(desk(north, Role.NURSE, by="nora"), "mine", only=everything(Role.NURSE)).token
    care.vial(north)
    with asking(north, own) as client:
        assert ask(client, "sessions.arrive", session).status_code == 200
        care_of = care.quiet()
        vitals = {name: getattr(care_of, name) for name in ("systolic_mmhg", "diastolic_mmhg", "heart_rate_per_min")}
        assert ask(client, "sessions.enter_reading", session, vitals=vitals).status_code == 200
        assert ask(client, "sessions.screen", session, facts=care.gates()).status_code == 200
        from afterglow.usecases import sessions  # noqa: PLC0415

        sessions.order(desk(north, Role.PRESCRIBER), session, dose_mg_per_kg=0.5, infusion_min=40.0)
        made = ask(client, "sessions.prepare", session, weight_kg=80, concentration_mg_per_ml=50, diluted=True)
        assert made.status_code == 200, made.text
        checked = {"amount_ug": 40_000, "volume_ul": 800, "concentration_ug_per_ul": 50}
        same = ask(client, "sessions.second_check", session, **checked, signature=sign(client, nora))
        refused(same, 409, "rule.second_person")
        other = ask(client, "sessions.second_check", session, **checked, signature=sign(client, ida))
        assert other.status_code == 200, other.text


# Versions, keys, parts


def test_a_change_names_the_version_that_was_seen(north: Store) -> None:
    patient = care.register(north)
    with asking(north, token(north, Role.NURSE)) as client:
        seen = ask(client, "patients.identity", patient)
        assert seen.headers["etag"] == '"1"'
        named = {"identifiers": seen.json()["shown"]["identifiers"] | {"name": "Anna Berger-Lang"}}
        told = refused(ask(client, "patients.identify", patient, **named), 428, "input.missing_value")
        assert told["about"] == "If-Match"
        for wrong in ("1", "*", 'W/"1"', '"1", "2"', '""', '"x"'):
            path = f"{PREFIX}/patients/{patient}/identify"
            refused(client.post(path, json=named, headers={"If-Match": wrong}), 422, "input")
        changed = ask(client, "patients.identify", patient, **named, version=1)
        assert (changed.json()["version"], changed.headers["etag"]) == (2, '"2"')
        refused(ask(client, "patients.identify", patient, **named, version=1), 412, "request.conflict.outdated")
        course = ask(client, "courses.open", patient, delivery="iv", drug="racemic_ketamine", indication="trd").json()
        assert ask(client, "courses.read", course["id"]).headers["etag"] == '"1"'
        refused(
            ask(client, "courses.accept", course["id"], emergency=False, version=7), 412, "request.conflict.outdated"
        )
        assert ask(client, "courses.read", course["id"]).json()["shown"]["version"] == 1


def test_an_identity_is_replaced_by_all_of_it_or_not_at_all(north: Store) -> None:
    """A body with a name alone would wipe the birth date and the record number."""
    patient = care.register(north)
    with asking(north, token(north, Role.NURSE)) as client:
        before = ask(client, "patients.identity", patient).json()["shown"]["identifiers"]
        assert before["born_on"] == "1982-05-01"
        for left_out in before:
            part = {name: value for name, value in before.items() if name != left_out}
            told = refused(ask(client, "patients.identify", patient, identifiers=part, version=1), 422, "input")
            assert f"identifiers.{left_out}" in told["observed"]
        unknown = {"identifiers": before | {"email": None}, "version": 1}
        assert ask(client, "patients.identify", patient, **unknown).status_code == 200
        assert ask(client, "patients.identity", patient).json()["shown"]["identifiers"] == before | {"email": None}
        for wrong, about in (("born_on", "2090-01-01"), ("email", "anna"), ("phone", "none"), ("name", "A\u202eB")):
            given = {"identifiers": before | {wrong: about}, "version": 2}
            told = refused(ask(client, "patients.identify", patient, **given), 422, "input.out_of_range")
            assert told["about"] == wrong


def test_what_is_versioned_is_what_the_use_case_says() -> None:
    versioned = {name for name, route in routes().items() if route.versioned}
    assert {"courses.start", "sessions.go", "alerts.act", "patients.identify", "people.leave"} <= versioned
    assert not versioned & {
        "policies.sign",
        "policies.discard",
        "policies.publish_consent_form",
    }  # versions of a policy


def test_the_same_key_is_answered_again_and_another_request_is_refused(north: Store, nurse: httpx.Client) -> None:
    patient = care.register(north)
    asked: dict[str, Any] = {"name": "PHQ-9", "answers": [1] * 9, "key": "retry-0001"}
    first = ask(nurse, "measures.record", patient, **asked)
    assert ask(nurse, "measures.record", patient, **asked).content == first.content
    refused(ask(nurse, "measures.record", patient, **asked | {"answers": [2] * 9}), 409, "request.conflict")
    assert len(ask(nurse, "measures.list", patient).json()["shown"]) == 1
    for wrong in ("short", "x" * 65):
        refused(ask(nurse, "measures.record", patient, **asked | {"key": wrong}), 422, "input")
    unkeyed = ask(nurse, "passes.issue_link", patient, purpose="check_in", key="retry-0002")
    refused(unkeyed, 422, "input")
    with asking(north, token(north, Role.NURSE, login="other")) as other:
        mine = ask(other, "measures.record", patient, **asked | {"answers": [3] * 9})
        assert (mine.status_code, mine.json()["id"] != first.json()["id"]) == (200, True)


def test_a_request_that_comes_many_times_at_once_is_done_once(north: Store, nurse: httpx.Client) -> None:
    patient = care.register(north)

    def once(_: int) -> tuple[int, bytes]:
        answer = ask(nurse, "measures.record", patient, name="PHQ-9", answers=[1] * 9, key="at-once-0001")
        return answer.status_code, answer.content

    with ThreadPoolExecutor(8) as pool:
        answers = set(pool.map(once, range(24)))
    assert len(answers) == 1
    assert next(iter(answers))[0] == 200
    assert len(measures.list_scores(desk(north, Role.NURSE), patient).shown) == 1
    assert audit.verify(north, "north").faults == ()


def test_a_list_comes_in_parts_that_hold_each_line_once(north: Store, nurse: httpx.Client) -> None:
    for number in range(7):
        care.vial(north, f"v{number}")
    seen: list[str] = []
    given: dict[str, Any] = {"limit": 3}
    while True:
        part = ask(nurse, "drugs.stock", **given).json()
        seen += [each["id"] for each in part["shown"]]
        if part["next"] is None:
            break
        given["cursor"] = part["next"]
    assert sorted(seen) == [f"v{number}" for number in range(7)]
    for wrong in ({"limit": 0}, {"limit": 201}, {"limit": "x"}, {"limit": "²"}):
        assert refused(ask(nurse, "drugs.stock", **wrong), 422, "input.out_of_range")["about"] == "limit"
    for cursor in ("", "x", "1." + "g" * 24):
        refused(ask(nurse, "drugs.stock", cursor=cursor), 422, "input")
    assert ask(nurse, "drugs.stock", cursor="999." + "0" * 24).json()["shown"] == []


def test_a_part_goes_on_after_its_line_wherever_that_stands_now(north: Store, nurse: httpx.Client) -> None:
    patient = care.register(north)
    for day in range(4):
        at = (north.clock() - timedelta(days=9 - day)).isoformat()
        ask(nurse, "measures.record", patient, name="PHQ-9", answers=[1] * 9, at=at)
    part = ask(nurse, "measures.list", patient, limit=2).json()
    early = (north.clock() - timedelta(days=30)).isoformat()
    ask(nurse, "measures.record", patient, name="PHQ-9", answers=[1] * 9, at=early)  # now the first of the list
    following = ask(nurse, "measures.list", patient, limit=2, cursor=part["next"]).json()
    seen = [each["fact_id"] if "fact_id" in each else json.dumps(each) for each in part["shown"] + following["shown"]]
    assert len(set(seen)) == 4
    assert following["next"] is None


# What is refused


def code_of(error: type[AfterglowError]) -> str:
    return error.code


ERRORS: list[type[AfterglowError]] = sorted(tree(AfterglowError), key=code_of)


@pytest.mark.parametrize("error", ERRORS, ids=code_of)
def test_every_error_has_its_status_and_is_a_problem(error: type[AfterglowError]) -> None:
    made = error("It is refused", observed="1 mg", allowed="2 mg", next_step="Stop", about="dose")
    answer = api._problem(made, api._status(made), api._advice(made))
    told = json.loads(bytes(answer.body))
    expected = 412 if error is Outdated else None
    assert answer.status_code == (expected or answer.status_code)
    assert 400 <= answer.status_code < 600
    assert answer.status_code != 500 or error.code in {"afterglow", "data.invalid"}
    assert (told["code"], told["observed"], told["allowed"]) == (error.code, "1 mg", "2 mg")
    assert (told["next_step"], told["about"], told["title"]) == ("Stop", "dose", "It is refused")


@pytest.mark.parametrize(
    ("name", "given", "says"),
    [
        ("measures.record", {"name": "PHQ-9", "answers": [1] * 9, "moood": 1}, "moood"),
        ("measures.record", {"answers": [1] * 9}, "name: a value, which this field needs"),
        ("measures.record", {"name": 9}, "name"),
        ("measures.record", {"name": "PHQ-9", "total": "9"}, "total"),
        ("measures.record", {"name": "PHQ-9", "total": 1e13}, ""),
        ("measures.record", {"name": "PHQ-9", "total": 9, "at": "2026-01-05T09:00:00"}, "zone"),
        ("measures.record", {"name": "PHQ-9", "total": 9, "at": "9999-12-31T23:59:59Z"}, "9999"),
        ("measures.record", {"name": "P\0", "total": 9}, "NUL"),
        ("measures.record", {"name": "P" * 20_001, "total": 9}, "20001"),
        ("sessions.enter_reading", {"vitals": {"systolic_mmhg": 120, "pulse": 70}}, "vitals.pulse"),
        ("sessions.enter_reading", {"vitals": {"systolic_mmhg": 120.5}}, "vitals.systolic_mmhg"),
    ],
)
def test_a_field_that_does_not_fit_is_named(nurse: httpx.Client, name: str, given: dict[str, Any], says: str) -> None:
    answer = ask(nurse, name, None, **given)
    assert answer.status_code == 422
    assert says in json.dumps(answer.json())


@pytest.mark.parametrize(
    ("given", "observed", "allowed"),
    [
        ({"name": 9, "total": 4}, "name: a whole number", "name: a text"),
        ({"total": 4}, "name: nothing", "name: a value, which this field needs"),
        (
            {"name": "PHQ-9", "total": "4", "answers": 3},
            "answers: a whole number; total: a text",
            None,
        ),
        ({"name": "PHQ-9", "mood": None}, "mood: nothing", "mood: no such field"),
        ({"name": "PHQ-9", "answers": [1, {"x": 2}]}, "answers.1: an object with named fields", None),
        ({"name": "PHQ-9", "at": ["now"]}, "at: a list", "at: a time with its zone, as in 2026-01-05T09:00:00Z"),
    ],
)
def test_what_does_not_fit_is_said_in_plain_words(
    nurse: httpx.Client, given: dict[str, Any], observed: str, allowed: str | None
) -> None:
    told = ask(nurse, "measures.record", None, **given).json()
    assert told["observed"] == observed
    assert allowed is None or told["allowed"] == allowed
    assert told["about"] == observed.partition(":")[0]
    assert "openapi.json" in told["next_step"]


def test_every_fault_of_a_field_has_words_without_python() -> None:
    python = re.compile(
        r"\b(input|dict|tuple|str|int|bool|NoneType|None|instance|valid|dataclass|mapping|literal)\b", re.IGNORECASE
    )
    numbers = dict.fromkeys(("ge", "gt", "le", "lt", "multiple_of", "min_length", "max_length"), 3)
    context = {**numbers, "expected": "'a', 'b' or 'c'"}
    for fault in get_args(ErrorType):
        said = api_fields._wanted(fault, context)
        assert not python.search(said), fault
        assert not {"{", "}", "'"} & set(said)
    assert api_fields._wanted("enum", {}) == "another value, as the document says"
    used = {"string_type", "int_from_float", "date_from_datetime_parsing", "time_delta_parsing", "too_long", "enum"}
    assert [api_fields._wanted(each, context) for each in sorted(used)] == [
        "a day, as in 2026-01-05",
        "a, b or c",
        "a whole number",
        "a text",
        "a duration, as in PT30M",
        "a list of 3 at most",
    ]


def test_what_came_is_never_told_back(nurse: httpx.Client) -> None:
    answer = ask(nurse, "patients.register", identifiers={"name": "Anna Berger", "born_on": "1982-05-41"})
    assert answer.status_code == 422
    assert not [each for each in ("Anna", "1982") if each in answer.text]


@pytest.mark.parametrize(
    ("kind", "body", "status"),
    [
        ("text/plain", b"{}", 415),
        ("application/json", b"{", 422),
        ("application/json", b"[]", 422),
        ("application/json", b"null", 422),
        ("application/json", b'{"name": NaN}', 422),
        ("application/json", b'{"name": "\\ud800"}', 422),
        ("application/json", b"\xff", 422),
        ("application/json", b"[" * 5000, 422),
        ("application/json", b'"' + b"x" * 1_000_001 + b'"', 413),
    ],
)
def test_a_body_that_is_none(nurse: httpx.Client, kind: str, body: bytes, status: int) -> None:
    path = f"{PREFIX}/measures/{NOWHERE}/record"
    answer = nurse.post(path, content=body, headers={"Content-Type": kind})
    assert answer.status_code == status
    assert answer.headers["content-type"] == "application/problem+json"


def test_a_large_body_is_refused_before_it_is_all_here(nurse: httpx.Client) -> None:
    sent = 0

    def endless() -> Iterator[bytes]:
        nonlocal sent
        for _ in range(50):
            sent += 100_000
            yield b"x" * 100_000

    answer = nurse.post(f"{PREFIX}/measures/{NOWHERE}/record", content=endless())
    refused(answer, 413, "input.out_of_range")


def test_what_is_no_route(nurse: httpx.Client) -> None:
    below = ("", "/", "/alerts", "/alerts/list/", "/alerts//list", "/a%0Ab")
    for path in ("/api/v2/alerts/list", *(f"{PREFIX}{each}" for each in below)):
        assert nurse.get(path).status_code == 404, path
    told = nurse.put(f"{PREFIX}/alerts/list")
    assert (told.status_code, told.headers["allow"]) == (405, "GET")
    refused(nurse.get(f"{PREFIX}/alerts/list?limit=1&limit=2"), 422, "input")
    refused(nurse.get(f"{PREFIX}/alerts/list?mood=1"), 422, "input")
    refused(nurse.post(f"{PREFIX}/sessions/{NOWHERE}/arrive?x=1"), 422, "input.unknown_name")
    refused(nurse.get(f"{PREFIX}/history/import"), 404, "request.not_found")


def test_too_many_requests_wait_and_hold_up_nobody_else(north: Store) -> None:
    few = Limits(per_minute=20, refused_per_minute=3)
    first, second = token(north, Role.NURSE), token(north, Role.NURSE, login="other")
    with asking(north, first, few) as client:
        answers = [ask(client, "alerts.list") for _ in range(8)]
        assert [each.status_code for each in answers].count(200) == 5
        refused(answers[-1], 429, "permission.too_many")
        assert 1 <= int(answers[-1].headers["retry-after"]) <= 3
        other = {"Authorization": f"Bearer {second}"}
        wrong = {"Authorization": "Bearer nothing"}
        tried = [client.get(f"{PREFIX}/alerts/list", headers=wrong).status_code for _ in range(5)]
        assert tried == [401, 401, 401, 429, 429]
        assert client.get(f"{PREFIX}/alerts/list", headers=other).status_code == 200


# One clinic and another


def test_no_token_reaches_another_clinic(north: Store) -> None:
    """Every route of one clinic, with the ids of another's patient, course, session, alert, pass: as if not there."""
    patient, course = care.in_induction(north, name="Zora Quill")
    session = care.book(north, course)
    care.vial(north)
    measures.record(desk(north, Role.NURSE), patient, "PHQ-9", answers=[2, 2, 3, 2, 2, 2, 2, 2, 2])
    (alert, *_) = measures.list_alerts(desk(north, Role.NURSE)).shown
    link = passes.issue_link(desk(north, Role.NURSE), patient, Purpose.CHECK_IN)
    ids = {
        "patient_id": patient, "course_id": course, "session_id": session, "booking_id": session,
        "alert_id": alert.id, "container_id": "v1", "pass_id": link.id,
    }  # fmt: skip
    alone = {Role.RESEARCHER, Role.ADMINISTRATOR}
    for number, roles in enumerate(({Role.RESEARCHER}, {Role.ADMINISTRATOR}, BEARERS - alone - {Role.ROOM})):
        with asking(north, token(north, *roles, login=f"spy{number}", clinic="south")) as client:
            before = audit_of(north)
            for name, route in routes().items():
                given = {**example(name), **{field: ids[field] for field in route.asked.model_fields if field in ids}}
                answer = ask(client, name, ids.get(route.thing or ""), **given)
                foreign = [each for each in (*ids.values(), "Zora", "Quill") if each != "v1" and each in answer.text]
                if name == "audit.who" and answer.status_code == 200:  # what this one asked is told here, nothing else
                    assert {each["by"] for each in answer.json()["shown"]} <= {f"spy{number}"}
                else:
                    assert answer.status_code != 200 or not foreign, (name, foreign)
                assert answer.status_code < 500, (name, answer.text)
            assert audit_of(north) == before
    assert audit.verify(north, "south").faults == ()


def audit_of(store: Store) -> int:
    with store.read("north") as tx:
        return audit.last_seq(tx)


def test_a_closed_chart_stays_closed(north: Store, nurse: httpx.Client) -> None:
    patient = care.register(north)
    people.add_person(desk(north, Role.ADMINISTRATOR), "teresa", name="T", roles=(Role.THERAPIST,))
    people.restrict_chart(desk(north, Role.COMPLIANCE), patient, team=("teresa",))
    refused(ask(nurse, "chart.read", patient), 403, "permission.refused")
    assert ask(nurse, "patients.find", part="Berger").json()["shown"] == []


def test_a_file_goes_there_and_back(north: Store, nurse: httpx.Client) -> None:
    patient = care.register(north)
    content = b"%PDF-\xff\xfe" + bytes(range(256))
    fields = {"name": "letter.pdf", "media_type": "application/pdf"}
    added = ask(nurse, "files.add", patient, content=base64.b64encode(content).decode(), **fields)
    assert added.status_code == 200, added.text
    back = ask(nurse, "files.read", patient, file_id=added.json()["id"]).json()["shown"]
    assert base64.urlsafe_b64decode(back["content"]) == content
    refused(ask(nurse, "files.add", patient, content="%%%", **fields), 422, "input")


# Logs and faults


def test_nothing_of_a_patient_is_logged_or_told_by_a_fault(
    north: Store, nurse: httpx.Client, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    caplog.set_level(logging.DEBUG)
    named = {"name": "Anna Berger", "born_on": "1982-05-01", "email": "anna@example.org", "record_number": "R-Anna"}
    patient = ask(nurse, "patients.register", identifiers=named).json()["id"]
    assert ask(nurse, "patients.find", part="Berger").json()["shown"][0]["id"] == patient
    assert ask(nurse, "patients.register", identifiers=named).status_code == 409
    ask(nurse, "patients.register", identifiers=named | {"nick": "Anna"})

    def broken(*_: object, **__: object) -> None:
        raise ValueError("Anna Berger, born 1982-05-01")

    monkeypatch.setattr(api, "CALLS", {"patients.find": broken})
    log = io.StringIO()
    logs.start(log)
    told = refused(ask(nurse, "patients.find", part="Berger"), 500, "store")
    logs.stop()
    said = json.dumps(told) + "".join(capfd.readouterr()) + caplog.text + log.getvalue()
    assert '"fault": "ValueError"' in log.getvalue()
    assert not [each for each in SECRETS if each in said]


# What the API says of itself


def test_the_document_is_served_to_anybody_and_names_every_route(north: Store) -> None:
    with asking(north, None) as anybody:
        answer = anybody.get(f"{PREFIX}/openapi.json")
        assert (answer.status_code, answer.json()["openapi"]) == (200, "3.1.0")
        assert anybody.post(f"{PREFIX}/openapi.json").status_code == 405
    told = {each["operationId"] for path in answer.json()["paths"].values() for each in path.values()}
    assert told == {*routes(), "signatures"}


@pytest.mark.parametrize("name", sorted(routes()))
def test_every_example_of_the_document_fits(name: str) -> None:
    route = routes()[name]
    if route.method == "POST":
        body = document_()["paths"][route.path]["post"]["requestBody"]["content"]["application/json"]["example"]
        TypeAdapter(route.asked).validate_json(json.dumps(body), strict=True)
    answer = document_()["paths"][route.path][route.method.lower()]["responses"]["200"]
    assert "example" in answer["content"]["application/json"]


def test_the_page_names_every_route() -> None:
    page = api_markdown()
    assert all(f"`{each.method} {each.path.removeprefix(PREFIX)}`" in page for each in routes().values())


def test_a_token_by_which_somebody_looked_is_told_in_the_trail(north: Store, nurse: httpx.Client) -> None:
    patient = care.register(north)
    assert ask(nurse, "chart.read", patient).status_code == 200
    event = audit_events(north)[-1]
    assert (event.action, event.by, event.patient_id) == ("read", "service-nurse", patient)
    assert event.detail["token"] == nurse.headers["Authorization"].split("~")[1]


def audit_events(store: Store) -> tuple[audit.AuditEvent, ...]:
    with store.read("north") as tx:
        return audit.last_events(tx, after=audit.last_seq(tx) - 3)


def test_a_database_that_is_away_is_told_as_such(north: Store, nurse: httpx.Client) -> None:
    away = replace(north, engine=broken_engine())
    with asking(away, nurse.headers["Authorization"].removeprefix("Bearer ")) as client:
        answer = ask(client, "alerts.list")
        assert answer.status_code == 503
        assert answer.headers["retry-after"] == "5"


def broken_engine() -> Any:
    from afterglow.store.engine import open_engine  # noqa: PLC0415

    return open_engine("sqlite:////nowhere/at/all/records.db", busy_timeout_s=1)


def test_a_name_is_searched_by_body_alone(nurse: httpx.Client) -> None:
    assert nurse.get(f"{PREFIX}/patients/find?part=Berger").status_code == 405
    refused(nurse.post(f"{PREFIX}/patients/find?part=Berger", json={"part": "x"}), 422, "input.unknown_name")


@dataclass(frozen=True, slots=True, kw_only=True)
class Drawn:
    """What a use case may hold that JSON has no form for."""

    days: np.ndarray[tuple[int, ...], np.dtype[np.float64]]
    content: bytes | None
    counts: Mapping[str, int]
    age: timedelta


def test_arrays_files_and_lengths_of_time_have_a_form() -> None:
    answer = _answer(Drawn, reads=True, listed=False)
    drawn = Drawn(
        days=np.array([1.0, np.nan]), content=b"\xff", counts=MappingProxyType({"a": 1}), age=timedelta(hours=2)
    )
    made = answer.model_construct(Page(shown=drawn, seq=1))
    told = json.loads(made.model_dump_json(fallback=api._fallback, warnings=False))
    assert told["shown"] == {"days": [1.0, None], "content": "_w==", "counts": {"a": 1}, "age": "PT2H"}
    (_, schemas) = TypeAdapter.json_schemas([(0, "serialization", TypeAdapter(answer))], schema_generator=_Schemas)
    assert schemas["$defs"]["Drawn"]["properties"]["days"]["type"] == "array"
    with pytest.raises(TypeError):
        api._fallback(object())


def test_a_request_with_a_file_is_told_from_another_by_its_digest(north: Store) -> None:
    with north.read("north") as tx:
        first, same, other = (request_digest(tx, "files.add", [("content", each)]) for each in (b"a", b"a", b"b"))
    assert first == same != other


def test_a_chart_before_the_first_session_goes_over_http(tmp_path: Path) -> None:
    fresh = at_work(new_store(f"sqlite:///{tmp_path / 'records.db'}", tmp_path))
    patient = care.register(fresh, name="Before Anything")
    course = courses.open_course(
        desk(fresh, Role.COORDINATOR),
        patient,
        delivery=Delivery.IV,
        drug=DrugForm.RACEMIC_KETAMINE,
        indication=Indication.TRD,
    ).id
    measures.record(desk(fresh, Role.NURSE), patient, "PHQ-9", total=12)
    run_jobs(fresh)
    with asking(fresh, token(fresh, Role.PRESCRIBER)) as client:
        chart = client.get(f"{PREFIX}/chart/{patient}/read")
        told = client.get(f"{PREFIX}/forecasts/{course}/read").json()
    assert chart.status_code == 200
    assert told["shown"]["answer"]["schema"] == "afterglow.forecast/1"
