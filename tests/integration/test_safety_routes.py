"""Every page against everybody: each role, nobody, a patient's link, another clinic, another site's form.

The routes come from the application's own router, so a page that is not in the table fails here.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from tests.integration.desks import at_work, desk
from tests.integration.pages import (
    ENDLESS,
    SYSTEM,
    Filled,
    begin,
    browsing,
    filled,
    hire,
    last_seq,
    page_routes,
    told_since,
)
from tests.integration.stores import new_store
from tests.integration.test_login import PASSWORD, Somebody
from tests.integration.test_permissions import LETTERS

from afterglow.clinic import Role
from afterglow.store.records import Store
from afterglow.usecases.desk import CATALOGUE
from afterglow.usecases.login import open_link
from afterglow.usecases.passes import Purpose, issue_link, issue_room
from afterglow.usecases.people import LOGIN_ROLES
from afterglow.web.acts import ACTS
from afterglow.web.pages import HEADERS, SESSION_COOKIE
from afterglow.web.serving import make_app

EVERYBODY = "CPNTDQRA"  # whoever is logged in
OPEN = "open"  # before a login, and with any
LINK = "link"  # what the session of a patient's link opens, and nobody else's
TABLE = {
    ("GET", "/"): EVERYBODY,
    ("GET", "/admin"): EVERYBODY,  # each is led to what is theirs
    ("GET", "/admin/about"): EVERYBODY,
    ("GET", "/admin/audit"): "Q",
    ("GET", "/admin/messages"): "DA",
    ("GET", "/admin/people"): "A",
    ("GET", "/admin/people/{login}"): "A",
    ("GET", "/admin/policy"): "CPNTDQ",
    ("GET", "/admin/records"): "DQA",
    ("GET", "/admin/tokens"): "QA",
    ("GET", "/clinic"): "CPNTDQA",
    ("GET", "/courses/{course_id}/summary.pdf"): "PNTD",
    ("GET", "/diary"): "CPNTD",
    ("GET", "/diary/book"): "CPN",
    ("GET", "/diary/bookings/{booking_id}"): "CPNTD",
    ("GET", "/diary/week"): "CPNTD",
    ("GET", "/diary/week.ics"): "CPNTD",
    ("GET", "/drugs"): "PNTDQ",
    ("GET", "/documents"): "PNTDQ",
    ("GET", "/documents/drugs.pdf"): "PNTDQ",
    ("GET", "/documents/outcomes.pdf"): "PD",
    ("GET", "/evidence"): EVERYBODY,
    ("GET", "/evidence/model"): EVERYBODY,
    ("GET", "/evidence/model/{name}"): EVERYBODY,
    ("GET", "/evidence/pooled"): EVERYBODY,
    ("GET", "/evidence/pooled/{name}"): EVERYBODY,
    ("GET", "/evidence/sources"): EVERYBODY,
    ("GET", "/evidence/trials"): EVERYBODY,
    ("GET", "/evidence/trials/{key}"): EVERYBODY,
    ("GET", "/explore"): EVERYBODY,
    ("GET", "/explore/design"): EVERYBODY,
    ("GET", "/explore/design/{design_id}"): EVERYBODY,  # of one's own alone
    ("GET", "/find"): EVERYBODY,
    ("GET", "/inquiries/new"): "CPN",
    ("GET", "/link"): OPEN,
    ("GET", "/login"): OPEN,
    ("GET", "/my"): LINK,
    ("GET", "/my/check"): LINK,
    ("GET", "/my/done"): OPEN,
    ("GET", "/my/help"): LINK,
    ("GET", "/my/messages"): LINK,
    ("GET", "/my/progress"): LINK,
    ("GET", "/my/question/{number}"): LINK,
    ("GET", "/offline"): OPEN,
    ("GET", "/offline/key"): EVERYBODY,
    ("GET", "/offline/session"): OPEN,
    ("GET", "/patients/{patient_id}"): "PNTD",
    ("GET", "/patients/{patient_id}/candidacy"): "CPNTD",
    ("GET", "/patients/{patient_id}/files/{file_id}"): "PNTD",
    ("GET", "/patients/{patient_id}/plan"): "CPNTD",
    ("GET", "/room"): "CPNTD",
    ("GET", "/room/board"): "CPNTD",
    ("GET", "/room/events"): EVERYBODY,
    ("GET", "/screens"): "QA",
    ("GET", "/service-worker.js"): OPEN,
    ("GET", "/sessions/{session_id}"): "PNTD",
    ("GET", "/sessions/{session_id}/board"): "PNTD",
    ("GET", "/sessions/{session_id}/form"): "PNTD",
    ("GET", "/sessions/{session_id}/form.pdf"): "PNTD",
    ("GET", "/sessions/{session_id}/record.pdf"): "PNTD",
    ("GET", "/set-up"): OPEN,
    ("GET", "/static/{name}"): OPEN,
    ("GET", "/today"): "CPNTD",
    ("GET", "/today/board"): "CPNTD",
    ("GET", "/today/events"): EVERYBODY,
    ("GET", "/worklist"): "CPNTD",
    ("POST", "/admin/audit/find"): "Q",
    ("POST", "/admin/audit/prove"): "Q",
    ("POST", "/admin/messages/{act}"): "DA",
    ("POST", "/admin/people"): "A",
    ("POST", "/admin/people/{login}/{act}"): "A",
    ("POST", "/admin/policy/draft"): "PDQ",
    ("POST", "/admin/policy/sign"): "D",
    ("POST", "/admin/tokens"): "A",
    ("POST", "/admin/tokens/revoke"): "A",
    ("POST", "/admin/tokens/service"): "A",
    ("POST", "/alerts/act"): "PND",
    ("POST", "/alerts/close"): "PND",
    ("POST", "/alerts/read"): "PND",
    ("POST", "/clinic/chairs"): "CD",
    ("POST", "/clinic/close"): "CD",
    ("POST", "/clinic/consent"): "DQ",
    ("POST", "/clinic/help"): "CD",
    ("POST", "/clinic/prices"): "CD",
    ("POST", "/diary/book"): "CPN",
    ("POST", "/diary/cancel"): "CPN",
    ("POST", "/diary/move"): "CPN",
    ("POST", "/diary/no-show"): "CN",
    ("POST", "/diary/undo"): "CPN",
    ("POST", "/drugs/{act}"): "PNDQ",
    ("POST", "/explore/design"): EVERYBODY,
    ("POST", "/explore/design/{design_id}/again"): EVERYBODY,
    ("POST", "/explore/design/{design_id}/cancel"): EVERYBODY,
    ("POST", "/find"): "CPNTD",
    ("POST", "/inquiries/new"): "CPN",
    ("POST", "/link"): OPEN,
    ("POST", "/links"): "CPNT",
    ("POST", "/login"): OPEN,
    ("POST", "/logout"): OPEN,
    ("POST", "/my/answer"): LINK,
    ("POST", "/my/leave"): OPEN,
    ("POST", "/my/messages"): LINK,
    ("POST", "/my/send"): LINK,
    ("POST", "/my/start"): OPEN,
    ("POST", "/patients/{patient_id}/candidacy/try"): "PNTD",
    ("POST", "/patients/{patient_id}/candidacy/{act}"): "PNT",
    ("POST", "/patients/{patient_id}/decide"): "P",
    ("POST", "/patients/{patient_id}/files"): "PNTD",
    ("POST", "/patients/{patient_id}/forecast"): "PNTD",
    ("POST", "/patients/{patient_id}/notes"): "PNTD",
    ("POST", "/patients/{patient_id}/plan"): "P",
    ("POST", "/patients/{patient_id}/plan/compare"): "PNTD",
    ("POST", "/patients/{patient_id}/plan/try"): "PNTD",
    ("POST", "/room"): OPEN,
    ("POST", "/screens"): "A",
    ("POST", "/screens/revoke"): "A",
    ("POST", "/sessions/arrive"): "CN",
    ("POST", "/sessions/{session_id}/try"): "PN",
    ("POST", "/sessions/{session_id}/{act}"): "N",  # screening; every other act follows below
    ("POST", "/set-up"): OPEN,
    ("POST", "/set-up/finish"): OPEN,
    ("POST", "/still-here"): EVERYBODY,
    ("POST", "/theme"): OPEN,
}
SEES_NOBODY = (Role.COMPLIANCE, Role.RESEARCHER, Role.ADMINISTRATOR)
CLOSED = {each: who for each, who in TABLE.items() if who not in {OPEN, LINK}}
FOREIGN: tuple[dict[str, str], ...] = (
    {"Sec-Fetch-Site": "cross-site"},
    {"Sec-Fetch-Site": "same-site"},
    {"Sec-Fetch-Site": "none"},
    {"Sec-Fetch-Site": "cross-site", "Origin": "http://clinic"},
    {"Origin": "http://elsewhere.example"},
    {"Origin": "null"},
    {},
)


@pytest.fixture(scope="module")
def clinic(tmp_path_factory: pytest.TempPathFactory) -> Filled:
    folder: Path = tmp_path_factory.mktemp("clinics")
    store = at_work(new_store(f"sqlite:///{folder / 'records.db'}", folder))
    found = filled(store)
    hire(store)
    hire(store, clinic="south")
    return found


def people_of(store: Store, clinic_id: str) -> Iterator[tuple[Role, str]]:
    """A session of somebody of each role, begun anew since one may end on the way."""
    for role in LOGIN_ROLES:
        yield role, begin(store, f"{clinic_id[0]}-{role.replace('_', '-')}", clinic=clinic_id)


def sent(client: httpx.Client, clinic: Filled, method: str, route: str, **headers: str) -> httpx.Response:
    """A route as a page of its own asks for it, about what the clinic `north` has."""
    data = clinic.form if method == "POST" else None
    if route == "/admin/tokens" and data is not None:
        data |= {"login": SYSTEM, "only": "measures", "days": "30"}
    return client.request(method, clinic.path(route), data=data, headers=headers)


def test_every_page_is_in_the_table(clinic: Filled) -> None:
    assert set(page_routes(make_app(clinic.store))) == set(TABLE)


@pytest.mark.parametrize(("method", "route"), CLOSED)
def test_who_may_open_and_do_what(clinic: Filled, method: str, route: str) -> None:
    may = {LETTERS[letter] for letter in CLOSED[method, route]}
    for role, session in people_of(clinic.store, "north"):
        if role in may and route in ENDLESS:
            continue
        with browsing(clinic.store, session) as client:
            seq = last_seq(clinic.store)
            answer = sent(client, clinic, method, route)
            if role in may:
                assert answer.status_code not in {401, 403, 500}, f"{role} is refused"
            else:
                assert answer.status_code == 403, f"{role} is let in"
                assert "Anna Berger" not in answer.text or role not in SEES_NOBODY
                assert told_since(clinic.store, seq) == []
            if "location" in answer.headers:
                assert answer.headers["location"].startswith("/")
                assert not answer.headers["location"].startswith("//")


@pytest.mark.parametrize("act", sorted(ACTS))
def test_who_may_do_what_in_a_session(clinic: Filled, act: str) -> None:
    may = CATALOGUE[ACTS[act].case].roles
    for role, session in people_of(clinic.store, "north"):
        if role in may:
            continue
        with browsing(clinic.store, session) as client:
            seq = last_seq(clinic.store)
            answer = client.post(f"/sessions/{clinic.ids['session_id']}/{act}", data=clinic.form)
            assert answer.status_code in {401, 403, 422}, role  # 422 where the form is read before anything is asked
            assert told_since(clinic.store, seq) == []


@pytest.mark.parametrize(("method", "route"), CLOSED)
def test_before_a_login_there_is_nothing(clinic: Filled, method: str, route: str) -> None:
    with browsing(clinic.store) as client:
        seq = last_seq(clinic.store)
        answer = sent(client, clinic, method, route)
        if (method, route) == ("GET", "/room"):
            assert "Token of the screen" in answer.text
        elif method == "GET":
            assert (answer.status_code, answer.headers["location"]) == (303, "/login")
        else:
            assert answer.status_code == 401
        assert "Anna" not in answer.text
        assert last_seq(clinic.store) == seq


@pytest.mark.parametrize("route", ENDLESS)
def test_a_live_page_whose_login_has_ended_is_told_to_stop_asking(clinic: Filled, route: str) -> None:
    with browsing(clinic.store, "north~n-nurse~" + "x" * 43) as client:
        answer = client.get(route, headers={"Accept": "text/event-stream"})
    assert (answer.status_code, answer.content) == (204, b"")  # a browser asks again after anything else


@pytest.mark.parametrize(("method", "route"), CLOSED)
def test_nobody_of_another_clinic_sees_or_changes_anything(clinic: Filled, method: str, route: str) -> None:
    named = any(f"{{{name}}}" in route for name in ("patient_id", "booking_id", "session_id", "design_id"))
    named = any(f"{{{name}}}" in route for name in ("patient_id", "booking_id", "session_id", "course_id"))
    for role, session in people_of(clinic.store, "south"):
        if route in ENDLESS:
            continue
        with browsing(clinic.store, session) as client:
            seq = last_seq(clinic.store)
            answer = sent(client, clinic, method, route)
            assert "Anna Berger" not in answer.text, role
            assert last_seq(clinic.store) == seq, role
            if named:
                assert answer.status_code in {403, 404, 422}, role


def test_an_id_of_another_clinic_is_answered_as_one_that_never_was(clinic: Filled) -> None:
    with browsing(clinic.store, begin(clinic.store, "s-nurse", clinic="south")) as client:
        for place in ("/patients/{}", "/sessions/{}", "/diary/bookings/{}", "/courses/{}/summary.pdf"):
            name = {"p": "patient_id", "s": "session_id", "d": "booking_id", "c": "course_id"}[place[1]]
            told = [
                (answer.status_code, answer.text.replace(each, "ID"))
                for each in (clinic.ids[name], "0" * 32)
                for answer in [client.get(place.format(each))]
            ]
            assert told[0] == told[1]
            assert told[0][0] == 404


@pytest.mark.parametrize("kind", ["link", "screen", "login that never was"])
def test_what_is_no_login_opens_no_page(clinic: Filled, kind: str) -> None:
    store = clinic.store
    if kind == "link":
        made = issue_link(desk(store, Role.NURSE), clinic.ids["patient_id"], Purpose.SEE_PROGRESS)
        session, _ = open_link(store, made.token)
    elif kind == "screen":
        session = issue_room(desk(store, Role.ADMINISTRATOR), "Corridor").token
    else:
        session = "north~n-nurse~" + "x" * 43
    with browsing(store, session) as client:
        for method, route in CLOSED:
            seq = last_seq(store)
            answer = sent(client, clinic, method, route)
            assert "Anna" not in answer.text, route
            assert told_since(store, seq) == [], route
            if method == "GET" and route != "/room":
                assert (answer.status_code, answer.headers["location"]) == (303, "/login?ended=1"), route
            elif method == "POST":
                assert answer.status_code == 401, route


def test_a_login_opens_none_of_a_patients_pages(clinic: Filled) -> None:
    with browsing(clinic.store, begin(clinic.store, "n-nurse")) as client:
        for method, route in (each for each, who in TABLE.items() if who == LINK):
            seq = last_seq(clinic.store)
            assert sent(client, clinic, method, route).status_code in {401, 422}, route
            assert told_since(clinic.store, seq) == []


@pytest.mark.parametrize("headers", FOREIGN, ids=str)
def test_no_form_of_another_site_is_taken(clinic: Filled, headers: dict[str, str]) -> None:
    for route in (route for method, route in TABLE if method == "POST"):
        with browsing(clinic.store, begin(clinic.store, "n-nurse")) as client:
            client.headers.pop("Sec-Fetch-Site")
            seq = last_seq(clinic.store)
            answer = client.post(clinic.path(route), data=clinic.form, headers=headers)
            assert answer.status_code == 403, route
            assert "set-cookie" not in answer.headers
            assert told_since(clinic.store, seq) == [], route


def test_a_form_of_a_page_of_its_own_is_taken_from_an_old_browser_too(clinic: Filled) -> None:
    with browsing(clinic.store, begin(clinic.store, "n-nurse")) as client:
        client.headers.pop("Sec-Fetch-Site")
        assert client.post("/still-here", headers={"Origin": "http://clinic"}).status_code == 204


def test_what_is_only_looked_at_changes_nothing(clinic: Filled) -> None:
    for route in (route for method, route in TABLE if method == "GET" and route not in ENDLESS):
        for _, session in people_of(clinic.store, "north"):
            with browsing(clinic.store, session) as client:
                seq = last_seq(clinic.store)
                sent(client, clinic, "GET", route)
                assert told_since(clinic.store, seq) == [], route


@pytest.mark.parametrize("role", [Role.NURSE, Role.ADMINISTRATOR, None], ids=str)
def test_every_answer_carries_the_headers(clinic: Filled, role: Role | None) -> None:
    session = None if role is None else begin(clinic.store, f"n-{role}")
    policy = HEADERS["Content-Security-Policy"]
    assert "default-src 'none'" in policy
    assert "frame-ancestors 'none'" in policy
    assert "unsafe" not in policy
    with browsing(clinic.store, session, scheme="https") as client:
        addresses = [each for each in TABLE if each[1] not in ENDLESS and each[1] != "/logout"]
        for method, route in [*addresses, ("GET", "/no/such/page"), ("GET", "/static/page.css"), ("DELETE", "/today")]:
            answer = sent(client, clinic, method, route)
            for name, value in HEADERS.items():
                if name == "Cache-Control" and route in {"/static/page.css", "/service-worker.js"}:
                    assert "no-store" not in answer.headers[name]
                else:
                    assert answer.headers[name] == value, (route, name)
            assert answer.headers["Strict-Transport-Security"] == "max-age=31536000"
            assert "access-control-allow-origin" not in answer.headers
            if answer.headers.get("content-type", "").startswith("text/"):
                assert "charset=utf-8" in answer.headers["content-type"], route
        answer = client.get("/api/v1/patients/find")
        assert answer.headers["Content-Security-Policy"] == "default-src 'none'; frame-ancestors 'none'"
        assert answer.headers["Strict-Transport-Security"] == "max-age=31536000"
    with browsing(clinic.store, session) as client:
        assert "Strict-Transport-Security" not in client.get("/login").headers


def test_a_fault_that_nobody_foresaw_carries_the_headers_too(clinic: Filled, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object, **__: object) -> None:
        raise RuntimeError("Anna Berger")

    monkeypatch.setattr("afterglow.web.today.read_today", fail)
    with browsing(clinic.store, begin(clinic.store, "n-nurse")) as client:
        answer = client.get("/today")
    assert answer.status_code == 500
    assert answer.headers["Content-Security-Policy"] == HEADERS["Content-Security-Policy"]
    assert "Anna" not in answer.text
    assert "RuntimeError" not in answer.text


@pytest.mark.parametrize(
    "back",
    [
        "//elsewhere.example",
        "https://elsewhere.example",
        "/\\elsewhere.example",
        "\\\\x",
        "/\t/elsewhere.example",
        "/\n/elsewhere.example",
        "javascript:alert(1)",
        "elsewhere.example",
        " //x",
        "",
    ],
)
def test_no_redirect_leaves_the_site(clinic: Filled, back: str) -> None:
    with browsing(clinic.store) as client:
        answer = client.post("/theme", data={"theme": "dark", "back": back})
    assert answer.headers["location"] == "/"
    assert "\n" not in str(answer.headers)


def test_no_session_stands_in_an_address(clinic: Filled) -> None:
    session = begin(clinic.store, "n-nurse")
    with browsing(clinic.store) as client:
        answer = client.get("/today", params={SESSION_COOKIE: session, "token": session})
        assert answer.headers["location"] == "/login"


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_a_login_and_a_link_lie_in_cookies_that_no_script_and_no_other_site_has(clinic: Filled, scheme: str) -> None:
    nora = Somebody(clinic.store, f"nora-{scheme}")
    with browsing(clinic.store, scheme=scheme) as client:
        form = {"clinic": "north", "login": nora.name, "password": PASSWORD, "code": nora.code(30)}
        entered = client.post("/login", data=form)
        assert entered.status_code == 303
        made = issue_link(desk(clinic.store, Role.NURSE), clinic.ids["patient_id"], Purpose.SEE_PROGRESS)
        client.post("/logout")
        arrived, started = client.post("/link", data={"token": made.token}), client.post("/my/start")
        set_by = [each for answer in (entered, arrived, started) for each in answer.headers.get_list("set-cookie")]
    kept = [each for each in set_by if "Max-Age=0" not in each]
    assert {each.split("=")[0].removeprefix("afterglow_") for each in kept} >= {"session", "device", "link", "patient"}
    for each in kept:
        assert "HttpOnly" in each
        assert "SameSite=strict" in each
        assert ("Secure" in each) == (scheme == "https")
        assert "Domain" not in each
    assert not any("Max-Age" in each for each in kept if each.startswith("afterglow_session"))


def test_a_refused_login_looks_the_same_whoever_is_asked_for(clinic: Filled) -> None:
    nora = Somebody(clinic.store, "nora-known")
    told = []
    for login, password, code in (
        (nora.name, "wrong", nora.code()),
        (nora.name, PASSWORD, "000000"),
        ("nobody", "wrong", "000000"),
    ):
        with browsing(clinic.store) as client:
            form = {"clinic": "north", "login": login, "password": password, "code": code}
            answer = client.post("/login", data=form)
        told.append((answer.status_code, answer.text.replace(login, "LOGIN"), "set-cookie" in answer.headers))
    assert told[0] == told[1] == told[2]
    assert told[0][0] == 401
    assert not told[0][2]


def test_many_tries_wait_on_the_page_too(clinic: Filled) -> None:
    with browsing(clinic.store) as client:
        form = {"clinic": "north", "login": "guessed", "password": "wrong", "code": "000000"}
        told = [client.post("/login", data=form).status_code for _ in range(8)]
    assert told[0] == 401
    assert told[-1] == 429


def test_a_link_with_one_letter_changed_looks_like_one_that_never_was(clinic: Filled) -> None:
    made = issue_link(desk(clinic.store, Role.NURSE), clinic.ids["patient_id"], Purpose.SEE_PROGRESS).token
    other = "a" if made[-1] != "a" else "b"
    told = []
    for token in (made[:-1] + other, "north~" + "0" * 32 + "~" + "x" * 43, "nowhere~a~b", "x", ""):
        with browsing(clinic.store) as client:
            client.post("/link", data={"token": token})
            answers = [client.get("/my"), client.post("/my/start"), client.get("/my")]
        told.append([(each.status_code, each.text) for each in answers[::2]])
    assert told[0] == told[1]
    assert told[2] == told[3] == told[4]  # of no clinic here, so no clinic's telephone stands there
    assert {status for each in told for status, _ in each} == {404}
    with browsing(clinic.store) as client:
        client.post("/link", data={"token": made})
        assert client.get("/my").status_code == 200
