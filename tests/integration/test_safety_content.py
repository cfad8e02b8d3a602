"""What people type and send: shown as text wherever it is shown again, part of no query, header or file's path."""

from __future__ import annotations

import base64
import re
from datetime import date, timedelta
from pathlib import Path
from urllib.parse import quote

import pytest
from tests.integration import care
from tests.integration.apis import ask, asking, token
from tests.integration.desks import at_work, desk, now
from tests.integration.pages import ENDLESS, Filled, begin, browsing, filled, hire, page_routes
from tests.integration.stores import new_store

from afterglow.clinic import Allergies, AllergyStatus, Chair, Closure, Delivery, Medicine, Role
from afterglow.errors import MissingValue
from afterglow.store import facts
from afterglow.store.patients import Identifiers
from afterglow.store.records import Store
from afterglow.usecases import deciding, diary, papers, passes, people, policies, room, sessions
from afterglow.usecases import patients as patient_cases
from afterglow.usecases.policies import HelpLines
from afterglow.web.serving import make_app

MARKUP = "<img src=x onerror=alert(1)>"
HOSTILE = f"\"'>{MARKUP}</title></textarea><script>alert(1)</script>{{{{7*7}}}}${{7*7}}%0d%0aX-Own: 1"
SHORT = f"'{MARKUP}"  # where a field is short
TEXTS = (
    "' OR '1'='1",
    "'; DROP TABLE facts; --",
    "a' UNION SELECT * FROM audit_events --",
    "%",
    "../../etc/passwd",
    "..%2f..%2fetc%2fpasswd",
    "\u0000",
    "\ud800",
    "é" * 400,
    "{{7*7}}",
    "%s%n",
    "\r\nSet-Cookie: a=b",
    "1e999",
    "NaN",
    "٣",
    "<script>",
    "9" * 400,
)
LIVE = re.compile(r"<img src=x|<script>alert|onerror=alert\(1\)>(?!&)", re.IGNORECASE)


@pytest.fixture(scope="module")
def clinic(tmp_path_factory: pytest.TempPathFactory) -> Filled:
    """As ever, with markup in each field that takes text and is shown again."""
    folder: Path = tmp_path_factory.mktemp("hostile")
    store = at_work(new_store(f"sqlite:///{folder / 'records.db'}", folder))
    found = filled(store)
    hire(store)
    _soil(store, found)
    return found


def _soil(store: Store, clinic: Filled) -> None:
    """Markup in names, numbers of records, notes, reasons, file names, places, chairs, closures, forms and events."""
    patient_id, session_id = clinic.ids["patient_id"], clinic.ids["session_id"]
    nurse, prescriber = desk(store, Role.NURSE, by="n-nurse"), desk(store, Role.PRESCRIBER, by="n-prescriber")
    director, administrator = desk(store, Role.MEDICAL_DIRECTOR), desk(store, Role.ADMINISTRATOR)
    known = Identifiers(name=f"Anna {SHORT}", born_on=date(1982, 5, 1), email="anna@example.org", record_number=SHORT)
    patient_cases.identify(nurse, patient_id, known, version=1)
    people.add_person(administrator, "soiled", name=SHORT, roles=(Role.NURSE,))
    people.add_service(administrator, "soiled-2", name=SHORT, roles=(Role.NURSE,))
    people.issue_service_token(administrator, "soiled-2", SHORT, only=("measures",))
    passes.issue_room(administrator, SHORT)
    policies.publish_consent_form(director, Delivery.IM, version=SHORT)
    policies.set_help_lines(director, HelpLines(emergency="112", clinic="112", answered=SHORT))
    chairs = (Chair(id="c1", deliveries=(Delivery.ESK, Delivery.IV)), Chair(id=SHORT, deliveries=(Delivery.IV,)))
    closed = Closure(starts_at=now(store) + timedelta(days=1), until=now(store) + timedelta(days=2), reason=SHORT)
    policies.set_chairs(director, chairs, capacity=2, closures=(closed,))
    care.vial(store)
    care.screened(store, session_id)
    sessions.say_go(prescriber, session_id, version=care.version_of(store, session_id))
    room.take(nurse, session_id, "v1", amount_ug=50_000)
    room.start(nurse, session_id, version=care.version_of(store, session_id))
    reading = room.read_vitals(nurse, session_id, care.quiet()).also[0]
    room.correct_vitals(nurse, session_id, reading, vitals=care.quiet(systolic_mmhg=120), reason=HOSTILE)
    room.note_event(nurse, session_id, term="nausea", intervention=HOSTILE)
    room.pause_dose(nurse, session_id, reason=HOSTILE)
    papers.add_note(nurse, patient_id, HOSTILE)
    papers.add_file(nurse, patient_id, HOSTILE.encode(), name=HOSTILE, media_type="text/plain")
    patient_cases.note_allergies(nurse, patient_id, Allergies(status=AllergyStatus.KNOWN, substances=(SHORT,)))
    medicine = Medicine(ingredient=SHORT, dose=SHORT)
    patient_cases.reconcile_medicines(prescriber, patient_id, (medicine,), visit=session_id)
    second = care.book(store, clinic.ids["course_id"], minutes=60 * 24 * 5)
    diary.move(nurse, second, chair_id="c1", starts_at=now(store) + timedelta(days=6), reason=HOSTILE)
    diary.cancel_booking(nurse, second, reason=HOSTILE)
    deciding.decide_next(prescriber, clinic.ids["course_id"], step=deciding.NextStep.WAIT, reason=HOSTILE)


def test_markup_that_somebody_typed_is_shown_as_text(clinic: Filled) -> None:
    seen: dict[str, int] = {}
    for method, route in page_routes(make_app(clinic.store)):
        if route in ENDLESS:
            continue
        for role in ("nurse", "prescriber", "coordinator", "medical-director", "compliance", "administrator"):
            with browsing(clinic.store, begin(clinic.store, f"n-{role}")) as client:
                data = clinic.form | {"part": "Anna"} if method == "POST" and route in {"/find", "/links"} else None
                answer = client.request(method, clinic.path(route), data=data)
            if answer.headers.get("content-type", "").startswith("text/html"):
                assert not LIVE.search(answer.text), (role, route, LIVE.search(answer.text))
                if "&lt;img src=x" in answer.text:
                    seen[route] = seen.get(route, 0) + answer.text.count("&lt;img src=x")
                assert "${49}" not in answer.text, "a template was made of what somebody typed"
    shown = {"/patients/{patient_id}", "/sessions/{session_id}", "/clinic", "/screens", "/diary", "/find", "/today"} | {
        "/admin/people",
        "/admin/tokens",
    }
    assert shown <= set(seen), "markup is looked for where nothing of it is shown"


def test_markup_stays_text_on_a_patients_page(clinic: Filled) -> None:
    with browsing(clinic.store) as client:
        client.post("/link", data={"token": clinic.link})
        client.post("/my/start")
        answer = client.get("/my/progress")
    assert answer.status_code == 200
    assert "&lt;img src=x" in answer.text
    assert not LIVE.search(answer.text)


@pytest.mark.parametrize("text", TEXTS, ids=range(len(TEXTS)))
def test_no_text_breaks_a_page_or_is_sent_back_alive(clinic: Filled, text: str) -> None:
    store = clinic.store
    with store.read("north") as tx:
        before = len(facts.load_all(tx, people.Person))
    for method, route in page_routes(make_app(store)):
        if route in ENDLESS or route == "/logout":
            continue
        place = (
            clinic.path(route) if "{" not in route else re.sub(r"{\w+}", quote(text, errors="replace") or "x", route)
        )
        query = {
            name: text.encode("utf-8", "replace")
            for name in ("day", "group", "owner", "course", "chair", "at", "after")
        }
        fields = {name: text.encode("utf-8", "replace") for name in [*clinic.form, "token", "theme", "back", "answer"]}
        with browsing(store, begin(store, "n-prescriber")) as client:
            answer = client.request(method, place, params=query, data=fields if method == "POST" else None)
        assert answer.status_code < 500, (route, answer.text[-300:])
        assert not LIVE.search(answer.text), route
        assert "set-cookie" not in answer.headers or "a=b" not in answer.headers["set-cookie"]
    with store.read("north") as tx:
        assert len(facts.load_all(tx, people.Person)) == before


@pytest.mark.parametrize("part", ["%", "_", "' OR ''='", "%%%", "a' OR name LIKE '%"])
def test_a_search_takes_its_words_as_words(clinic: Filled, part: str) -> None:
    with browsing(clinic.store, begin(clinic.store, "n-nurse")) as client:
        answer = client.post("/find", data={"part": part})
    assert "record_number" not in answer.text
    assert "/patients/" not in answer.text, "somebody was found by what is no name"


def test_a_calendar_holds_no_line_that_somebody_typed(clinic: Filled) -> None:
    with browsing(clinic.store, begin(clinic.store, "n-nurse")) as client:
        lines = client.get("/diary/week.ics", params={"day": "2026-01-05"}).text.split("\r\n")
    assert any(line.startswith("SUMMARY") for line in lines)
    assert not [line for line in lines if line and not re.match(r"[A-Z-]+[:;]| ", line)]
    assert not any("Anna" in line for line in lines)


@pytest.mark.parametrize(
    ("content", "media_type", "status"),
    [
        (b"<script>alert(1)</script>", "text/html", 422),
        (b"<svg onload=alert(1)>", "image/svg+xml", 422),
        (b"MZ\x90\x00", "application/x-msdownload", 422),
        (b"<script>alert(1)</script>", "image/png", 422),
        (b"GIF89a/*<script>*/", "image/jpeg", 422),
        (b"PK\x03\x04", "application/pdf", 422),
        (b"  %PDF-1.7", "application/pdf", 422),
        (b"\xff\xfe<\x00s\x00", "text/plain", 422),
        (b"a\x00b", "text/plain", 422),
        (b"", "text/plain", 422),
        (b"%PDF-" + b"0" * 30_000_000, "application/pdf", 413),
    ],
    ids=lambda each: str(each)[:24],
)
def test_files_of_another_type_or_too_large_are_refused(
    clinic: Filled, held: str, content: bytes, media_type: str, status: int
) -> None:
    with asking(clinic.store, held) as client:
        body = base64.b64encode(content).decode()
        answer = ask(client, "files.add", clinic.ids["patient_id"], content=body, name="letter", media_type=media_type)
    assert answer.status_code == status, answer.text[:300]


@pytest.mark.parametrize(
    "content",
    [b"%PDF-1.7\n<script>alert(1)</script>", b"\x89PNG\r\n\x1a\n<svg onload=alert(1)>", b"<script>alert(1)</script>"],
)
def test_a_file_that_is_two_things_comes_back_as_neither_page_nor_script(
    clinic: Filled, held: str, content: bytes
) -> None:
    """It starts as its type asks, so it is kept; but it is only ever given out as text within JSON."""
    kinds = {b"%": "application/pdf", b"\x89": "image/png", b"<": "text/plain"}
    with asking(clinic.store, held) as client:
        body = base64.b64encode(content).decode()
        given = {"name": "x.html", "media_type": kinds[content[:1]], "content": body}
        made = ask(client, "files.add", clinic.ids["patient_id"], **given)
        assert made.status_code < 300, made.text
        answer = ask(client, "files.read", clinic.ids["patient_id"], file_id=made.json()["id"])
    assert answer.headers["content-type"] == "application/json"
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert b"<script>" not in answer.content
    assert b"<svg" not in answer.content


@pytest.mark.parametrize(
    ("name", "kept"),
    [
        ("../../etc/passwd", "passwd"),
        ("C:\\Users\\anna\\a.pdf", "a.pdf"),
        ("a\r\nSet-Cookie: b=c", "aSet-Cookie: b=c"),
        (".bashrc", "bashrc"),
        ("a\u202efdp.exe", "afdp.exe"),
        ("x" * 500, "x" * 120),
        ("/", None),
        ("...", None),
        ("\x00", None),
    ],
    ids=lambda each: str(each)[:16],
)
def test_a_files_name_is_no_path(clinic: Filled, name: str, kept: str | None) -> None:
    nurse, patient_id = desk(clinic.store, Role.NURSE), clinic.ids["patient_id"]
    if kept is None:
        with pytest.raises(MissingValue):
            papers.add_file(nurse, patient_id, b"a", name=name, media_type="text/plain")
        return
    papers.add_file(nurse, patient_id, b"a", name=name, media_type="text/plain")
    assert papers.list_files(nurse, patient_id).shown[0].name == kept


@pytest.fixture(scope="module")
def held(clinic: Filled) -> str:
    """The token of a service that may add files."""
    return token(clinic.store, Role.NURSE)
