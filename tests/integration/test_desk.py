"""The desk: permission first, one transaction with its audit event, reads told before they are shown."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta

import pytest
from tests.integration.desks import actor, at_work, desk, later, now

from afterglow.clinic import SESSION, Allergies, AllergyStatus, Role, SafetyPlan
from afterglow.errors import (
    Conflict,
    InputError,
    InvalidData,
    NotFound,
    NotPermitted,
    SignAgain,
    StoreUnavailable,
    UnknownName,
)
from afterglow.store import audit, facts, patients
from afterglow.store.patients import Identifiers
from afterglow.store.records import Store
from afterglow.usecases import desk as frame
from afterglow.usecases.desk import CATALOGUE, Desk, roles_of, use_case, view
from afterglow.usecases.work import Actor, BrokenGlass, PatientAccess, Work, Written, check_signed, program

NURSE, PRESCRIBER, PATIENT = Role.NURSE, Role.PRESCRIBER, Role.PATIENT


@pytest.fixture
def north(store: Store) -> Store:
    made = at_work(store)
    with made.write("north", by="program") as tx:
        patients.register(tx, Identifiers(name="Anna"), id="p1")
        patients.register(tx, Identifiers(name="Berta"), id="p2")
        tx.event("patient.registered")
    return made


CALLS: list[str] = []


def _set_allergies(work: Work, patient_id: str, allergies: Allergies, *, version: int = 0) -> Written:
    """Note allergies."""
    CALLS.append(patient_id)
    work.act().check_role(NURSE, PATIENT, what="Noting allergies")
    if version == 0:
        return work.add(allergies, id=f"a-{patient_id}", patient_id=patient_id, state="asked")
    return work.change(work.load(Allergies, f"a-{patient_id}", version=version), allergies, state="asked")


def _read_allergies(work: Work, patient_id: str) -> Allergies:
    return work.load(Allergies, f"a-{patient_id}").now


set_allergies = use_case("test.set_allergies", roles=(NURSE, PRESCRIBER, PATIENT))(_set_allergies)
sign_allergies = use_case("test.sign", roles=(NURSE,), signs=True)(_set_allergies)
read_allergies = view("test.read", roles=(NURSE, PATIENT))(_read_allergies)
read_in_room = view("test.read_in_room", roles=(NURSE,), in_room=True)(_read_allergies)
OWN = {name: frame._CATALOGUE.pop(name) for name in list(CATALOGUE) if name.startswith("test.")}
NONE = Allergies(status=AllergyStatus.NONE_KNOWN)
NUTS = Allergies(status=AllergyStatus.KNOWN, substances=("nuts",), ketamine=False)


@pytest.fixture(autouse=True)
def _catalogue() -> Iterator[None]:
    """What this file adds to the catalogue stands in it for this file's tests alone."""
    before = dict(frame._CATALOGUE)
    frame._CATALOGUE.update(OWN)
    yield
    frame._CATALOGUE.clear()
    frame._CATALOGUE.update(before)


def told(store: Store, patient_id: str = "p1") -> list[tuple[str, str]]:
    with store.read("north") as tx:
        return [(each.by, each.action) for each in audit.who(tx, patient_id)]


def last(store: Store) -> audit.AuditEvent:
    with store.read("north") as tx:
        return audit.last_events(tx, after=audit.last_seq(tx) - 1)[-1]


def test_a_use_case_writes_with_one_event_of_its_name(north: Store) -> None:
    done = set_allergies(desk(north, NURSE), "p1", NONE)
    assert done == Written(id="a-p1", version=1, state="asked")
    assert told(north) == [("nurse-1", "test.set_allergies")]
    assert (last(north).subject, last(north).patient_id) == ("a-p1", "p1")
    assert audit.verify(north, "north").faults == ()


def test_permission_comes_before_anything_else_and_its_refusal_is_told(north: Store) -> None:
    CALLS.clear()
    with pytest.raises(NotPermitted, match="for prescriber, nurse or patient; you are here as coordinator"):
        set_allergies(desk(north, Role.COORDINATOR), "p1", NONE)
    assert CALLS == []
    event = last(north)
    assert (event.by, event.action) == ("coordinator-1", "refused")
    assert event.detail == {"use_case": "test.set_allergies", "code": "permission.refused"}


def test_what_a_rule_does_not_permit_leaves_nothing_but_the_refusal(north: Store) -> None:
    with pytest.raises(NotPermitted, match="Noting allergies"):
        set_allergies(desk(north, PRESCRIBER), "p1", NONE)
    assert last(north).action == "refused"
    with pytest.raises(NotFound):
        read_allergies(desk(north, NURSE), "p1")


def test_a_failed_use_case_leaves_neither_row_nor_event(north: Store) -> None:
    before = last(north).seq
    with pytest.raises(NotFound, match="no such patient"):
        set_allergies(desk(north, NURSE), "nobody", NONE)
    with pytest.raises(Conflict, match="found version 1; allowed: version 3"):
        set_allergies(desk(north, NURSE), "p1", NONE)
        set_allergies(desk(north, NURSE), "p1", NUTS, version=3)
    assert last(north).seq == before + 1


def test_a_view_is_told_before_it_is_shown(north: Store) -> None:
    set_allergies(desk(north, NURSE), "p1", NONE)
    page = read_allergies(desk(north, NURSE), "p1")
    assert (page.shown, page.trail_behind) == (NONE, False)
    assert told(north)[-1] == ("nurse-1", "read")
    assert last(north).detail == {"view": "test.read"}
    assert page.seq == last(north).seq - 1
    read_allergies(Desk(store=north, actor=actor(north, NURSE), refresh=True), "p1")
    assert last(north).seq == page.seq + 1


def test_what_cannot_be_told_is_not_shown_but_in_a_room(north: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    set_allergies(desk(north, NURSE), "p1", NONE)

    def full(*_: object, **__: object) -> None:
        raise StoreUnavailable("The records cannot be reached or written", observed="the disk is full")

    monkeypatch.setattr(Store, "write", full)
    with pytest.raises(StoreUnavailable):
        read_allergies(desk(north, NURSE), "p1")
    page = read_in_room(desk(north, NURSE), "p1")
    assert (page.shown, page.trail_behind) == (NONE, True)
    with pytest.raises(NotPermitted):  # a refusal stays one where it cannot be told
        read_in_room(desk(north, Role.COORDINATOR), "p1")
    monkeypatch.undo()
    assert audit.drain_spool(north, "north") == 1
    assert told(north)[-1] == ("program", "read.spooled")


def test_a_patient_sees_itself_alone_and_learns_of_nobody_else(north: Store) -> None:
    for each in ("p1", "p2"):
        set_allergies(desk(north, NURSE), each, NONE)
    own = replace(desk(north, PATIENT), actor=replace(actor(north, PATIENT), patient_id="p1"))
    assert read_allergies(own, "p1").shown == NONE
    with pytest.raises(NotFound) as other:
        read_allergies(own, "p2")
    with pytest.raises(NotFound) as nobody:
        read_allergies(own, "p3")
    assert other.value.code == nobody.value.code
    with pytest.raises(NotFound, match="There is no such patient"):
        set_allergies(own, "p2", NUTS)

    @view("test.list", roles=(NURSE, PATIENT))
    def listed(work: Work, patient_id: str | None) -> int:
        return len(work.every(Allergies, patient_id=patient_id))

    assert listed(own, "p1").shown == 1
    assert listed(desk(north, NURSE), None).shown == 2
    with pytest.raises(NotFound):
        listed(own, None)


def test_a_pass_is_for_what_it_names(north: Store) -> None:
    def passed(*only: str) -> Desk:
        return Desk(store=north, actor=replace(actor(north, NURSE), only=only))

    set_allergies(passed("test"), "p1", NONE)
    assert read_allergies(passed("test.read", "other"), "p1").shown == NONE
    for only in (("test.rea",), ("other",), ()):
        with pytest.raises(NotPermitted, match="is not made for"):
            read_allergies(passed(*only), "p1")


def test_signing_asks_for_a_fresh_proof(north: Store) -> None:
    with pytest.raises(SignAgain, match="found none given"):
        sign_allergies(desk(north, NURSE, signed=False), "p1", NONE)
    early = desk(north, NURSE)
    later(north, 4.5)
    sign_allergies(early, "p1", NONE)
    later(north, 1)
    with pytest.raises(SignAgain, match="given earlier; allowed: within 5 min"):
        sign_allergies(early, "p2", NONE)
    check_signed(early.actor, now(north) - timedelta(minutes=1), what="It")
    with pytest.raises(SignAgain):  # a signature of tomorrow is none
        check_signed(early.actor, now(north) - timedelta(hours=1), what="It")


def test_a_second_person_signs_for_this_clinic(north: Store) -> None:
    seen: list[object] = []

    @use_case("test.witnessed", roles=(NURSE,))
    def witnessed(work: Work, *, witness: Actor | None = None) -> None:
        seen.append(work.act_of(witness, "seen"))

    witnessed(desk(north, NURSE))
    witnessed(desk(north, NURSE), witness=actor(north, NURSE, by="nurse-2"))
    assert seen[0] is None
    assert (seen[1].by, seen[1].reason) == ("nurse-2", "seen")  # type: ignore[attr-defined]
    with pytest.raises(NotPermitted, match="another clinic"):
        witnessed(desk(north, NURSE), witness=actor(north, NURSE, by="nurse-2", clinic="south"))
    with pytest.raises(SignAgain):
        witnessed(desk(north, NURSE), witness=actor(north, NURSE, by="nurse-2", signed=False))


def test_a_retry_of_an_answered_request_is_answered_and_not_done_again(north: Store) -> None:
    keyed = replace(desk(north, NURSE), request_key="request-0001")
    first = set_allergies(keyed, "p1", NONE)
    seq = last(north).seq
    assert set_allergies(keyed, "p1", NONE) == first
    with pytest.raises(Conflict, match="used for another request"):
        set_allergies(keyed, "p1", NUTS)
    with pytest.raises(Conflict, match="there already"):  # another person's key is another request
        set_allergies(replace(keyed, actor=actor(north, NURSE, by="nurse-2")), "p1", NONE)
    with pytest.raises(InputError, match="8 to 64"):
        set_allergies(replace(keyed, request_key="short"), "p2", NONE)
    assert last(north).seq == seq
    later(north, 8 * 24 * 60)
    set_allergies(replace(keyed, request_key="request-0002"), "p2", NONE)
    with pytest.raises(Conflict, match="there already"):  # forgotten after a week
        set_allergies(keyed, "p1", NONE)

    @use_case("test.unkeyed", roles=(NURSE,))
    def unkeyed(work: Work) -> None:
        work.about(patient_id="p1", count=3)

    with pytest.raises(InputError, match="takes no request key"):
        unkeyed(keyed)
    unkeyed(desk(north, NURSE))
    assert last(north).detail == {"count": 3}


def test_what_only_adds_is_done_again_where_somebody_was_first(north: Store) -> None:
    tries: list[int] = []

    @use_case("test.adds", roles=(NURSE,), adds=True)
    def adds(work: Work, most: int) -> Written:
        tries.append(1)
        if len(tries) < most:
            raise Conflict("Somebody was first")
        return work.add(SafetyPlan(by="nurse-1", at=work.now))

    assert adds(desk(north, NURSE), 3).version == 1
    assert len(tries) == 3
    tries.clear()
    with pytest.raises(Conflict):
        adds(desk(north, NURSE), 9)
    assert len(tries) == 5


def test_a_restricted_chart_is_open_to_its_team_and_to_who_broke_the_glass(north: Store) -> None:
    set_allergies(desk(north, NURSE), "p1", NONE)
    with north.write("north", by="program") as tx:
        access = PatientAccess(patient_id="p1", restricted=True, team=("nurse-1",))
        facts.save(tx, access, id="p1", version=0, patient_id="p1", state="restricted")
        tx.event("access.restricted", patient_id="p1")
    other = desk(north, NURSE, by="nurse-2")
    assert read_allergies(desk(north, NURSE), "p1").shown == NONE
    with pytest.raises(NotPermitted, match="Break the glass"):
        read_allergies(other, "p1")

    @view("test.all", roles=(NURSE,))
    def everybody(work: Work) -> int:
        return len(work.every(Allergies))

    assert (everybody(desk(north, NURSE)).shown, everybody(other).shown) == (1, 0)
    with north.write("north", by="nurse-2") as tx:
        broken = BrokenGlass(
            id="g1", patient_id="p1", by="nurse-2", reason="cover", at=tx.now, until=tx.now + timedelta(minutes=30)
        )
        facts.save(tx, broken, id="g1", version=0, patient_id="p1", state="broken")
        tx.event("glass.broken", patient_id="p1")
    assert read_allergies(other, "p1").shown == NONE
    later(north, 31)
    with pytest.raises(NotPermitted):
        read_allergies(other, "p1")


def test_work_finds_what_is_there_and_writes_facts(north: Store) -> None:
    @use_case("test.fact", roles=(NURSE,))
    def fact(work: Work, patient_id: str) -> Written:
        assert work.find(Allergies, "nothing") is None
        assert work.find(Allergies, "no\x00thing") is None
        written = work.write(SafetyPlan(by="nurse-1", at=work.now), patient_id=patient_id, subject="c1")
        (one,) = work.standing(SafetyPlan, patient_id=patient_id, subject="c1")
        assert one.at == work.now
        return Written(id=written)

    fact(desk(north, NURSE), "p1")
    with north.write("north", by="program") as tx:
        patients.erase(tx, "p2")
        tx.event("patient.erased", patient_id="p2")
    with pytest.raises(Conflict, match="erased"):
        fact(desk(north, NURSE), "p2")


def test_an_erased_patients_things_do_not_load(north: Store) -> None:
    set_allergies(desk(north, NURSE), "p1", NONE)
    with north.write("north", by="program") as tx:
        patients.erase(tx, "p1")
        tx.event("patient.erased", patient_id="p1")
    with pytest.raises(Conflict, match="erased"):
        read_allergies(desk(north, NURSE), "p1")


def test_policies_are_by_version(north: Store) -> None:
    @view("test.policy", roles=(NURSE,))
    def policy(work: Work, version: int | None) -> int:
        return work.policy_of(version).version

    assert policy(desk(north, NURSE), None).shown == 0
    assert policy(desk(north, NURSE), 0).shown == 0
    with pytest.raises(NotFound):
        policy(desk(north, NURSE), 2)


def test_the_catalogue_holds_each_name_once() -> None:
    assert CATALOGUE["test.sign"].signs
    assert CATALOGUE["test.read"].reads
    assert CATALOGUE["test.set_allergies"].summary == "Note allergies."
    with pytest.raises(InvalidData, match=r"test\.sign"):
        use_case("test.sign", roles=(NURSE,))(_set_allergies)


def test_roles_come_from_the_state_tables() -> None:
    assert roles_of(SESSION, "screen") == (NURSE,)
    assert roles_of(SESSION, "arrive", "screen") == (Role.COORDINATOR, NURSE)
    with pytest.raises(UnknownName, match="fly"):
        roles_of(SESSION, "fly")


def test_the_program_acts_as_the_system() -> None:
    assert program("north").roles == (Role.SYSTEM,)
