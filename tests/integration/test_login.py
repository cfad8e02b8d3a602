"""Login, sessions, set-up, links, screens, tokens: what holds, what does not, and what nobody learns from it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pyotp
import pytest
from argon2 import PasswordHasher
from argon2.profiles import CHEAPEST
from sqlalchemy import select, update
from tests.integration.desks import actor, at_work, desk, later, now

from afterglow.clinic import Role
from afterglow.errors import (
    AfterglowError,
    Conflict,
    InputError,
    LoginRefused,
    MissingValue,
    NotFound,
    NotPermitted,
    OutOfRange,
    SignAgain,
    TooManyTries,
)
from afterglow.store import audit, backup, patients, tables
from afterglow.store.engine import open_engine
from afterglow.store.logins import load_credentials, save_credentials
from afterglow.store.patients import Identifiers
from afterglow.store.records import Store
from afterglow.usecases import login, passes, people
from afterglow.usecases.desk import Desk
from afterglow.usecases.login import Proof
from afterglow.usecases.passes import PassKind, Purpose

PASSWORD = "seven quiet rivers"
COMMON = (
    "password1234",
    "Qwertyuiop12",
    "letmeinletmein",
    "Summer2026!!!",
    "ketamine2026",
    "trustno1trustno1",
    "x" * 128,
)
ADMIN = Role.ADMINISTRATOR


@pytest.fixture(autouse=True)
def _cheap(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(login, "HASHER", PasswordHasher.from_parameters(CHEAPEST))
    login._nobody.cache_clear()
    yield
    login._nobody.cache_clear()


@pytest.fixture
def north(store: Store) -> Store:
    made = at_work(store)
    with made.write("north", by="program") as tx:
        patients.register(tx, Identifiers(name="Anna Berger"), id="p1")
        tx.event("patient.registered", patient_id="p1")
    return made


def admin(store: Store) -> Desk:
    return desk(store, ADMIN, by="operator")


class Somebody:
    """A person who has set up a login."""

    def __init__(self, store: Store, name: str = "nora", *roles: Role) -> None:
        self.store, self.name = store, name
        issued = people.add_person(admin(store), name, name="Nora N.", roles=roles or (Role.NURSE,))
        self.token = issued.token
        self.set_up()

    def set_up(self) -> None:
        self.secret = login.begin_set_up(self.store, self.token).secret
        self.recovery = login.finish_set_up(
            self.store, self.token, password=PASSWORD, secret=self.secret, code=self.code()
        )
        later(self.store, 1)

    def code(self, shift_s: float = 0.0) -> str:
        return pyotp.TOTP(self.secret).at(now(self.store) + timedelta(seconds=shift_s))

    def proof(self, **changes: str) -> Proof:
        later(self.store, 0.5)
        given = {"login": self.name, "password": PASSWORD, "code": self.code(), "address": "10.0.0.1"}
        return Proof(**(given | changes))

    def log_in(self, **changes: str) -> login.LoggedIn:
        return login.log_in(self.store, "north", self.proof(**changes))


def events(store: Store) -> list[audit.AuditEvent]:
    with store.read("north") as tx:
        return list(audit.last_events(tx, after=0))


def test_a_person_sets_up_logs_in_and_is_who_it_is(north: Store) -> None:
    nora = Somebody(north)
    found = nora.log_in(login=" Nora ")
    assert (found.actor.person_id, found.actor.roles, found.actor.clinic_id) == ("nora", (Role.NURSE,), "north")
    assert login.resume(north, found.token) == found.actor
    assert found.recovery_left == 10
    assert audit.verify(north, "north").faults == ()


def test_a_set_up_is_good_once_and_for_three_days(north: Store) -> None:
    nora = Somebody(north)
    with pytest.raises(LoginRefused):
        login.begin_set_up(north, nora.token)
    late = people.add_person(admin(north), "lea", name="Lea", roles=(Role.NURSE,))
    later(north, 3 * 24 * 60 + 1)
    with pytest.raises(LoginRefused):
        login.begin_set_up(north, late.token)


def test_a_set_up_asks_for_a_good_password_and_a_code_that_fits(north: Store) -> None:
    token = people.add_person(admin(north), "lea", name="Lea", roles=(Role.NURSE,)).token
    secret = login.begin_set_up(north, token).secret
    code = pyotp.TOTP(secret).at(now(north))
    for password in ("short", "x" * 129, "lea lea lea lea", "afterglow rivers", "aaaaaaaaaaaab", *COMMON):
        with pytest.raises(OutOfRange) as plain:
            login.finish_set_up(north, token, password=password, secret=secret, code=code)
        assert password not in str(plain.value)
    with pytest.raises(LoginRefused, match="code does not fit"):
        login.finish_set_up(north, token, password=PASSWORD, secret=secret, code="000000")
    with pytest.raises(LoginRefused):
        login.finish_set_up(north, token, password=PASSWORD, secret="AAAA", code=code)
    people.leave(admin(north), "lea", version=1)
    with pytest.raises(LoginRefused):
        login.finish_set_up(north, token, password=PASSWORD, secret=secret, code=code)


@pytest.mark.parametrize(
    "wrong",
    [
        {"login": "nobody"},
        {"login": "x\x00y"},
        {"login": "Ünbekannt"},
        {"password": "seven quiet lakes"},
        {"code": "000000"},
        {"code": ""},
        {"code": "aaaabbbbccccdddd"},
    ],
    ids=str,
)
def test_which_part_is_wrong_is_never_told(north: Store, wrong: dict[str, str]) -> None:
    nora = Somebody(north)
    with pytest.raises(LoginRefused) as refused:
        nora.log_in(**wrong)
    assert str(refused.value) == "Login, password or code do not fit. Check all three; each code is good once."
    event = events(north)[-1]
    assert (event.by, event.action) == ("program", "login.refused")
    assert event.subject == ("unknown" if "login" in wrong else "nora")


def test_an_unknown_login_takes_a_hash_as_a_known_one_does(north: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    nora = Somebody(north)
    hashed: list[str] = []

    class Watched:
        def verify(self, kept: str, password: str) -> bool:
            hashed.append(password)
            return PasswordHasher.from_parameters(CHEAPEST).verify(kept, password)

        def hash(self, password: str) -> str:
            return PasswordHasher.from_parameters(CHEAPEST).hash(password)

    monkeypatch.setattr(login, "HASHER", Watched())
    for name in ("nobody", "nora"):
        with pytest.raises(LoginRefused):
            nora.log_in(login=name, password="seven quiet lakes")
    assert len(hashed) == 2


def test_a_code_is_good_once_and_for_a_step_around_its_own(north: Store) -> None:
    nora = Somebody(north)
    proof = nora.proof()
    login.log_in(north, "north", proof)
    with pytest.raises(LoginRefused):
        login.log_in(north, "north", proof)
    later(north, 5)
    for shift, holds in ((-60, False), (60, False), (-30, True), (30, True)):
        later(north, 5)
        given = replace(nora.proof(), code=nora.code(shift))
        if holds:
            login.log_in(north, "north", given)
        else:
            with pytest.raises(LoginRefused):
                login.log_in(north, "north", given)


def test_a_recovery_code_stands_for_the_phone_once(north: Store) -> None:
    nora = Somebody(north)
    code = nora.recovery[3]
    typed = f"{code[:4]}-{code[4:8]} {code[8:].upper()}"
    assert nora.log_in(code=typed).recovery_left == 9
    assert events(north)[-1].detail["recovery_code"] is True
    with pytest.raises(LoginRefused):
        nora.log_in(code=typed)


def test_waits_grow_and_hold_up_nobody_else(north: Store) -> None:
    nora, ida = Somebody(north), Somebody(north, "ida")
    known = nora.log_in().device
    for _ in range(5):
        with pytest.raises(LoginRefused):
            nora.log_in(password="wrong wrong wrong", address="6.6.6.6")
    with pytest.raises(TooManyTries, match=r"5 in a row; allowed: 5, then a wait\. Try again in \d+ s"):
        login.log_in(north, "north", Proof(login="nora", password=PASSWORD, code="1", address="6.6.6.6"))
    ida.log_in(address="6.6.6.6")  # another person from there
    nora.log_in(address="10.0.0.9")  # she herself from elsewhere
    nora.log_in(address="6.6.6.6", device=known)  # and from there on a device of hers
    with pytest.raises(LoginRefused):  # a device of somebody else's is none
        login.log_in(north, "north", Proof(login="ida", password="x", code="1", device=known, address="7"))
    later(north, 16)
    nora.log_in(address="6.6.6.6")
    with pytest.raises(LoginRefused):  # and the count begins anew
        nora.log_in(password="wrong wrong wrong", address="6.6.6.6")


def test_a_wait_is_the_same_for_a_login_that_nobody_has(north: Store) -> None:
    for _ in range(5):
        with pytest.raises(LoginRefused):
            login.log_in(north, "north", Proof(login="nobody", password="x", code="1", address="6"))
    with pytest.raises(TooManyTries):
        login.log_in(north, "north", Proof(login="nobody", password="x", code="1", address="6"))


def test_codes_cannot_be_guessed_from_many_addresses_by_who_has_the_password(north: Store) -> None:
    nora = Somebody(north)
    for number in range(5):
        with pytest.raises(LoginRefused):
            nora.log_in(code="000000", address=f"6.6.6.{number}")
    with pytest.raises(TooManyTries):
        login.log_in(north, "north", Proof(login="nora", password=PASSWORD, code="000000", address="6.6.6.77"))


def test_many_guesses_at_once_are_counted_too(north: Store) -> None:
    nora = Somebody(north)
    later(north, 1)
    known = now(north)

    def guess(number: int) -> str:
        try:
            login.log_in(
                replace(north, clock=lambda: known),
                "north",
                Proof(login="nora", password=PASSWORD, code=f"{number:06d}", address=f"6.6.6.{number}"),
            )
        except AfterglowError as refused:
            return type(refused).__name__
        return "in"

    with ThreadPoolExecutor(12) as pool:
        found = Counter(pool.map(guess, range(24)))
    assert found["LoginRefused"] <= 5
    assert found["in"] == 0
    assert nora.name == "nora"


def test_the_same_letters_are_the_same_password_on_every_keyboard(north: Store) -> None:
    token = people.add_person(admin(north), "lea", name="Lea", roles=(Role.NURSE,)).token
    secret = login.begin_set_up(north, token).secret
    composed, apart = "sieben stille Fl\u00fcsse", "sieben stille Flu\u0308sse"
    code = pyotp.TOTP(secret).at(now(north))
    login.finish_set_up(north, token, password=composed, secret=secret, code=code)
    later(north, 1)
    proof = login.Proof(login="lea", password=apart, code=pyotp.TOTP(secret).at(now(north)))
    assert login.log_in(north, "north", proof).actor.person_id == "lea"


def test_a_session_ends_idle_and_at_its_end(north: Store) -> None:
    nora = Somebody(north)
    found = nora.log_in()
    for _ in range(20):
        later(north, 29)
        login.resume(north, found.token)
    later(north, 32)
    with pytest.raises(LoginRefused, match="ended"):
        login.resume(north, found.token)
    found = nora.log_in()
    for _ in range(24):
        later(north, 29)
        login.resume(north, found.token)
    later(north, 28)
    with pytest.raises(LoginRefused, match="ended"):
        login.resume(north, found.token)


def test_a_session_ends_by_log_out_password_and_leaving(north: Store) -> None:
    nora = Somebody(north)
    one, two = nora.log_in(), nora.log_in()
    assert login.log_out(north, one.token) == 1
    with pytest.raises(LoginRefused):
        login.resume(north, one.token)
    login.resume(north, two.token)
    three = nora.log_in()
    assert login.log_out(north, three.token, everywhere=True) == 2
    four = nora.log_in()
    login.change_password(north, four.token, nora.proof(), password="nine loud mountains")
    with pytest.raises(LoginRefused):
        login.resume(north, four.token)
    with pytest.raises(LoginRefused):
        nora.log_in()
    five = nora.log_in(password="nine loud mountains")
    assert people.end_sessions_of(admin(north), "nora").id == "nora"
    with pytest.raises(LoginRefused):
        login.resume(north, five.token)
    six = nora.log_in(password="nine loud mountains")
    people.leave(admin(north), "nora", version=1)
    with pytest.raises(LoginRefused):
        login.resume(north, six.token)
    with pytest.raises(LoginRefused):
        nora.log_in(password="nine loud mountains")


def test_roles_count_as_they_are_now(north: Store) -> None:
    nora = Somebody(north)
    found = nora.log_in()
    people.set_roles(admin(north), "nora", roles=(Role.THERAPIST,), version=1)
    assert login.resume(north, found.token).roles == (Role.THERAPIST,)


def test_a_signature_is_password_and_code_again(north: Store) -> None:
    nora, ida = Somebody(north), Somebody(north, "ida")
    found = nora.log_in()
    later(north, 6)
    desk_of = Desk(store=north, actor=login.resume(north, found.token))
    with pytest.raises(SignAgain):
        passes.issue_token(desk_of, "reader", only=("measures",))
    signed = login.sign_again(north, found.token, nora.proof())
    passes.issue_token(replace(desk_of, actor=signed), "reader", only=("measures",))
    with pytest.raises(LoginRefused):
        login.sign_again(north, found.token, ida.proof())
    for wrong in ({"password": "wrong wrong wrong"}, {"login": "ida"}):
        with pytest.raises(LoginRefused):
            login.sign_again(north, found.token, nora.proof(**wrong))


def test_a_second_person_signs_without_a_session(north: Store) -> None:
    ida = Somebody(north, "ida")
    second = login.countersign(north, "north", ida.proof())
    assert (second.person_id, second.signed_at) == ("ida", now(north))
    assert events(north)[-1].action == "login.countersigned"
    with pytest.raises(NotFound):
        login.countersign(north, "west", ida.proof())
    with pytest.raises(NotFound):
        login.log_in(north, "west", ida.proof())


@pytest.mark.parametrize(
    "token", ["", "north", "north~nora~x", "west~nora~x", "south~nora~", "~" * 9, "x" * 999, "north~n~é"]
)
def test_a_token_that_is_none_holds_nothing(north: Store, token: str) -> None:
    Somebody(north)
    for opens in (login.resume, login.open_token, login.open_link, login.begin_set_up):
        with pytest.raises(LoginRefused):
            opens(north, token)


def test_a_session_is_of_its_clinic_and_person(north: Store) -> None:
    nora, ida = Somebody(north), Somebody(north, "ida")
    token = nora.log_in().token
    for other in (token.replace("north", "south"), token.replace("nora", "ida"), token[:-1]):
        with pytest.raises(LoginRefused):
            login.resume(north, other)
    sessions = tables.login_sessions
    with north.write("north", by="program") as tx:  # who writes to the database makes nobody else's session of it
        tx.run(update(sessions).where(tx.mine(sessions)).values(person_id=ida.name))
    with pytest.raises(LoginRefused):
        login.resume(north, token)


def test_no_secret_lies_in_the_database_or_in_a_text_form(north: Store) -> None:
    nora = Somebody(north)
    found = nora.log_in()
    link = passes.issue_link(desk(north, Role.NURSE), "p1", Purpose.CHECK_IN)
    secrets = (PASSWORD, nora.secret, *nora.recovery, found.token.split("~")[2], link.token.split("~")[2])
    with north.read("north") as tx:
        for table in tables.metadata.sorted_tables:
            if table not in tables.UNSCOPED:
                text = str(tx.rows(select(table).where(tx.mine(table)))).lower()
                assert not [each for each in secrets if each.lower() in text], table.name
        kept, _ = load_credentials(tx, "nora")
    for shown in (kept, found, link, nora.proof(), login.SetUp(login="x", secret=nora.secret, address=nora.secret)):
        assert not [each for each in secrets if each in repr(shown)]


def test_credentials_of_another_place_do_not_open(north: Store) -> None:
    nora = Somebody(north)
    Somebody(north, "ida")
    rows = tables.credentials
    with north.write("north", by="program") as tx:
        sealed = tx.one(select(rows).where(tx.mine(rows), rows.c.person_id == "ida"))
        assert sealed is not None
        tx.run(update(rows).where(tx.mine(rows), rows.c.person_id == "nora").values(sealed=sealed["sealed"]))
    with pytest.raises(Exception, match="does not open"):
        nora.log_in()


def test_a_code_that_two_tries_share_is_taken_once(north: Store) -> None:
    Somebody(north)
    with north.read("north") as tx:
        kept, version = load_credentials(tx, "nora")
    assert kept is not None
    with north.write("north", by="nora") as tx:
        save_credentials(tx, "nora", kept, version=version)
    with pytest.raises(Conflict), north.write("north", by="nora") as tx:
        save_credentials(tx, "nora", kept, version=version)


def test_an_old_hash_is_made_anew(north: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    nora = Somebody(north)
    monkeypatch.setattr(login, "HASHER", PasswordHasher(time_cost=2, memory_cost=16, parallelism=1))
    nora.log_in()
    with north.read("north") as tx:
        kept, _ = load_credentials(tx, "nora")
    assert kept is not None
    assert "t=2" in kept.password


def test_a_restored_backup_wakes_no_login_and_keeps_the_people(north: Store, tmp_path: Path) -> None:
    nora = Somebody(north)
    token = nora.log_in().token
    backup.back_up(north, tmp_path / "b.zip")
    engine = open_engine(f"sqlite:///{tmp_path / 'again.db'}")
    again = replace(north, engine=engine, anchors=tmp_path / "a2", spool=tmp_path / "s2", cache={})
    assert all(not each.faults for each in backup.restore(again, tmp_path / "b.zip").verified)
    with pytest.raises(LoginRefused):
        login.resume(again, token)
    assert login.log_in(again, "north", nora.proof()).actor.roles == (Role.NURSE,)
    engine.dispose()


# People.


def test_logins_are_checked(north: Store) -> None:
    for bad in ("x", "1a", "an na", "Ä", "program", "a" * 41, "a..b", "patient:1"):
        with pytest.raises(InputError):
            people.add_person(admin(north), bad, name="N", roles=(Role.NURSE,))
    with pytest.raises(MissingValue):
        people.add_person(admin(north), "nora", name=" ", roles=(Role.NURSE,))
    with pytest.raises(MissingValue):
        people.add_person(admin(north), "nora", name="N", roles=())
    for nobody in (Role.PATIENT, Role.ROOM, Role.SYSTEM):
        with pytest.raises(InputError):
            people.add_person(admin(north), "nora", name="N", roles=(nobody,))
    for apart in (ADMIN, Role.RESEARCHER):
        with pytest.raises(NotPermitted, match="stands alone"):
            people.add_person(admin(north), "nora", name="N", roles=(apart, Role.NURSE))
    people.add_person(admin(north), "Nora", name="N", roles=(Role.NURSE,))
    with pytest.raises(Conflict):
        people.add_person(admin(north), "nora", name="N", roles=(Role.NURSE,))


def test_nobody_changes_the_own_login(north: Store) -> None:
    people.add_person(admin(north), "ada", name="Ada", roles=(ADMIN,))
    own = desk(north, ADMIN, by="ada")
    with pytest.raises(NotPermitted):
        people.set_roles(own, "ada", roles=(Role.NURSE,), version=1)
    with pytest.raises(NotPermitted):
        people.leave(own, "ada", version=1)
    with pytest.raises(NotPermitted):
        people.reset(own, "ada", version=1)


def test_a_reset_makes_what_was_before_worthless(north: Store) -> None:
    nora = Somebody(north)
    found, proof = nora.log_in(), nora.proof()
    first = people.reset(admin(north), "nora", version=1)
    with pytest.raises(LoginRefused):
        login.resume(north, found.token)
    with pytest.raises(LoginRefused):
        login.log_in(north, "north", proof)
    nora.token = people.reset(admin(north), "nora", version=1).token
    with pytest.raises(LoginRefused):
        login.begin_set_up(north, first.token)
    nora.set_up()
    nora.log_in()


def test_who_left_stays_in_the_list_and_does_nothing(north: Store) -> None:
    Somebody(north)
    token = passes.issue_token(desk(north, Role.NURSE, by="nora"), "reader", only=("measures",))
    assert login.open_token(north, token.token).roles == (Role.NURSE,)
    people.leave(admin(north), "nora", version=1)
    with pytest.raises(LoginRefused):
        login.open_token(north, token.token)
    with pytest.raises(Conflict, match="has left"):
        people.leave(admin(north), "nora", version=2)
    (listed,) = people.list_people(desk(north, Role.COMPLIANCE)).shown
    assert (listed[0].login, listed[0].left_at is not None, listed[1]) == ("nora", True, 2)


def test_a_restricted_chart_and_the_glass(north: Store) -> None:
    Somebody(north)
    compliance = desk(north, Role.COMPLIANCE)
    with pytest.raises(NotFound):
        people.restrict_chart(compliance, "p1", team=("nobody",))
    with pytest.raises(Conflict, match="open to this person"):
        people.break_glass(desk(north, Role.NURSE, by="ida"), "p1", reason="covers for nora")
    assert people.restrict_chart(compliance, "p1", team=("nora",)).state == "restricted"
    other = desk(north, Role.NURSE, by="ida")
    with pytest.raises(NotPermitted, match="Break the glass"):
        passes.list_links(other, "p1")
    with pytest.raises(MissingValue):
        people.break_glass(other, "p1", reason="because")
    people.break_glass(other, "p1", reason="covers for nora tonight")
    assert passes.list_links(other, "p1").shown == ()
    (seen,) = people.list_broken_glass(compliance).shown
    assert (seen.by, seen.reason, seen.patient_id) == ("ida", "covers for nora tonight", "p1")
    assert people.restrict_chart(compliance, "p1", team=()).state == "open"
    later(north, 61)
    assert passes.list_links(other, "p1").shown == ()
    trail = people.who_saw_patient(compliance, "p1").shown
    assert "people.break_glass" in [each.action for each in trail]
    assert people.read_trail(compliance, after=1, most=2).shown[0].seq == 2
    with pytest.raises(OutOfRange):
        people.read_trail(compliance, most=501)


# Passes.


def test_a_link_is_for_one_purpose_until_it_is_used_or_taken_back(north: Store) -> None:
    nurse = desk(north, Role.NURSE)
    issued = passes.issue_link(nurse, "p1", Purpose.ANSWER_SCALE, about="phq9", days=2)
    token, who = login.open_link(north, issued.token, address="1")
    assert (who.roles, who.patient_id, who.only) == ((Role.PATIENT,), "p1", passes.OPENS[Purpose.ANSWER_SCALE])
    assert login.resume(north, token) == who
    assert login.open_link(north, issued.token)[1] == who  # again, until it is used
    with pytest.raises(NotPermitted):
        passes.list_links(Desk(store=north, actor=who), "p1")
    passes.revoke_link(nurse, issued.id)
    for holds in (lambda: login.resume(north, token), lambda: login.open_link(north, issued.token)):
        with pytest.raises(LoginRefused):
            holds()
    with pytest.raises(Conflict):
        passes.revoke_link(nurse, issued.id)
    assert [each.revoked_at is not None for each in passes.list_links(nurse, "p1").shown] == [True]
    again = passes.issue_link(nurse, "p1", Purpose.CHECK_IN, days=2)
    token, _ = login.open_link(north, again.token)
    later(north, 121)
    with pytest.raises(LoginRefused):
        login.resume(north, token)
    later(north, 2 * 24 * 60)
    with pytest.raises(LoginRefused):
        login.open_link(north, again.token)


def test_links_are_checked_when_they_are_made(north: Store) -> None:
    nurse = desk(north, Role.NURSE)
    with pytest.raises(MissingValue):
        passes.issue_link(nurse, "p1", Purpose.ANSWER_SCALE)
    for days in (0, 31):
        with pytest.raises(OutOfRange):
            passes.issue_link(nurse, "p1", Purpose.CHECK_IN, days=days)
    with pytest.raises(NotFound):
        passes.issue_link(nurse, "p9", Purpose.CHECK_IN)


def test_guessing_links_meets_a_wait(north: Store) -> None:
    issued = passes.issue_link(desk(north, Role.NURSE), "p1", Purpose.CHECK_IN)
    for _ in range(5):
        with pytest.raises(LoginRefused):
            login.open_link(north, issued.token[:-1], address="6")
    with pytest.raises(TooManyTries):
        login.open_link(north, issued.token, address="6")
    login.open_link(north, issued.token, address="7")
    assert audit.verify(north, "north").faults == ()


def test_an_erased_patients_link_opens_nothing(north: Store) -> None:
    issued = passes.issue_link(desk(north, Role.NURSE), "p1", Purpose.CHECK_IN)
    token, _ = login.open_link(north, issued.token)
    with north.write("north", by="program") as tx:
        patients.erase(tx, "p1")
        tx.event("patient.erased", patient_id="p1")
    with pytest.raises(LoginRefused):
        login.open_link(north, issued.token)
    with pytest.raises(LoginRefused):
        login.resume(north, token)


def test_a_screen_and_a_token(north: Store) -> None:
    Somebody(north, "drew", Role.PRESCRIBER, Role.MEDICAL_DIRECTOR)
    screen = passes.issue_room(admin(north), "Room 1")
    assert login.open_token(north, screen.token).only == ("rooms",)
    drew = desk(north, Role.PRESCRIBER, Role.MEDICAL_DIRECTOR, by="drew")
    with pytest.raises(MissingValue):
        passes.issue_token(drew, "x", only=())
    with pytest.raises(MissingValue):
        passes.issue_token(drew, " ", only=("measures",))
    token = passes.issue_token(drew, "registry", only=("measures",))
    people.set_roles(admin(north), "drew", roles=(Role.PRESCRIBER,), version=1)
    assert login.open_token(north, token.token).roles == (Role.PRESCRIBER,)
    listed = passes.list_devices(admin(north)).shown
    assert {each.kind for each in listed} == {PassKind.SET_UP, PassKind.ROOM, PassKind.TOKEN}
    other = desk(north, Role.NURSE, by="ida")
    with pytest.raises(NotPermitted, match="somebody else's"):
        passes.revoke_device(other, token.id)
    passes.revoke_device(drew, token.id)
    passes.revoke_device(admin(north), screen.id)
    for each in (token, screen):
        with pytest.raises(LoginRefused):
            login.open_token(north, each.token)
    link = passes.issue_link(other, "p1", Purpose.CHECK_IN)
    with pytest.raises(NotFound):
        passes.revoke_device(admin(north), link.id)
    with pytest.raises(NotFound):
        passes.revoke_link(other, screen.id)


def test_only_the_administrator_makes_people_and_nobody_by_default(north: Store) -> None:
    assert people.list_people(admin(north)).shown == ()
    with pytest.raises(NotPermitted):
        people.add_person(desk(north, Role.MEDICAL_DIRECTOR), "nora", name="N", roles=(Role.NURSE,))
    assert actor(north, ADMIN).roles == (ADMIN,)


def test_a_login_is_given_once(north: Store) -> None:
    administrator = desk(north, Role.ADMINISTRATOR)
    people.add_person(administrator, "ada", name="Ada", roles=[Role.NURSE])
    with pytest.raises(Conflict, match=r"is or was somebody's.*Choose another login"):
        people.add_person(administrator, "ADA", name="Ada again", roles=[Role.NURSE])
