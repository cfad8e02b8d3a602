"""Random sessions, courses, drug movements, bookings and alerts: whatever is tried, the invariants hold."""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule
from tests import clinic_cases as cases
from tests.clinic_cases import DEVICE_FACTS, POLICY, at, entered, nurse, prescriber

from afterglow.clinic import (
    ALERT,
    COURSE,
    Act,
    AlertStage,
    Authorisation,
    BenefitReview,
    Booking,
    BookingState,
    Chair,
    Chart,
    ClinicAlert,
    Consent,
    ConsentMethod,
    Container,
    ContainerState,
    CourseState,
    Delivery,
    Diary,
    Indication,
    Outcome,
    Plan,
    RateStep,
    ReviewDecision,
    ReviewKind,
    Role,
    SessionState,
    SitePolicy,
    StopReason,
    TreatmentCourse,
    TreatmentSession,
    WithdrawalMethod,
    act_on,
    add_authorisation,
    alert_from_finding,
    book,
    cancel,
    clashes,
    clear_to_leave,
    close,
    close_alert,
    count,
    earliest_leave,
    end_booking,
    enter_reading,
    escalate,
    escalations,
    explain,
    finish_dose,
    give_back,
    give_consent,
    give_device,
    go,
    hand_over,
    has_consent,
    hold,
    lot_balance,
    make_safety_plan,
    move_booking,
    move_course,
    order_rate,
    overstay,
    read_alert,
    record_review,
    resume,
    set_plan,
    set_rate,
    sign_note,
    start_dose,
    stop,
    take_drug,
    transfer,
    undo_no_show,
    units_left,
    use_unit,
    walk_out,
    waste,
    waste_drawn,
    waste_rest,
    withdraw_consent,
)
from afterglow.clinic import rule as clinic_rule
from afterglow.clinic.containers import draw, put_back
from afterglow.clinic.ruling import judge
from afterglow.errors import AfterglowError
from afterglow.predicates import Fact
from afterglow.quantities import DrugForm

RUN = settings(max_examples=60, stateful_step_count=40, deadline=None)
ROLES = st.sampled_from([Role.NURSE, Role.PRESCRIBER, Role.COORDINATOR, Role.MEDICAL_DIRECTOR])
AMOUNTS = st.sampled_from([1, 50, 10_000, 20_000, 28_000, 40_000, 50_000, 500_000])


OPEN_GATES = {
    "logistics.escort_confirmed": None,
    "rems.patient_enrolled": False,
    "staff.acls_on_site": None,
    "cssrs_slc.item_4": None,
    "checklist.arrival_complete": False,
}
STRICT = replace(POLICY, values=(("session.gates_valid_minutes", 30.0), ("session.leave_reading_minutes", 15.0)))


class Sessions(RuleBasedStateMachine):
    """One session, any order of events, any amounts; times run back, doses are attached again, policies change."""

    @initialize(
        delivery=st.sampled_from(list(Delivery)),
        open_gates=st.sets(st.sampled_from(sorted(OPEN_GATES)), max_size=3),
        at_once=st.sampled_from([False, True]),
    )
    def begin(self, delivery: Delivery, open_gates: set[str], *, at_once: bool) -> None:
        self.minute = 10.0
        self.session = cases.screened(delivery, {name: OPEN_GATES[name] for name in open_gates})
        rems = {"rems.patient_enrolled"}
        self.refusable = bool(open_gates - (set() if delivery is Delivery.ESK else rems))
        self.checked = cases.leave_check(0)
        self.seen: list[SessionState] = [self.session.state]
        self.last = self.session
        self.boxes = {"v1": cases.vial(), "d1": cases.device("d1"), "d2": cases.device("d2")}
        if at_once and not open_gates:
            self.session = cases.cleared(delivery)
            for box, amount in cases.containers_for(self.session):
                self.session, self.boxes[box.id] = take_drug(self.session, box, nurse(12), amount_ug=amount).now
            self.session = start_dose(self.session, nurse(15), chart=cases.chart(delivery), policy=POLICY).now
            self.minute = 15.0
            self.seen = [SessionState.SCREENED, SessionState.CLEARED, SessionState.DOSING]

    def attempt(self, move: Callable[[], Outcome[TreatmentSession]]) -> None:
        with contextlib.suppress(AfterglowError):
            self.session = move().now
            if self.session.state is not self.seen[-1]:
                self.seen.append(self.session.state)

    @property
    def chart(self) -> Chart:
        delivery = self.session.delivery
        return cases.chart(delivery, candidacy=cases.candidacy(delivery))

    @rule(minutes=st.sampled_from([0.5, 5.0, 30.0, 60.0, -1.0, -200.0]))
    def wait(self, minutes: float) -> None:
        self.minute += minutes

    @rule(policy=st.sampled_from([POLICY, POLICY, STRICT]))
    def say_go(self, policy: SitePolicy) -> None:
        self.attempt(lambda: go(self.session, prescriber(self.minute), chart=self.chart, policy=policy))

    @rule(amount=AMOUNTS, container=st.sampled_from(["v1", "d1", "d2"]))
    def draw(self, amount: int, container: str) -> None:
        with contextlib.suppress(AfterglowError):
            now = take_drug(self.session, self.boxes[container], nurse(self.minute), amount_ug=amount).now
            self.session, self.boxes[container] = now

    @rule(mg=st.sampled_from([28.0, 84.0, 200.0]))
    def swap_dose(self, mg: float) -> None:
        """Order, prepare and attach another dose, whenever."""
        with contextlib.suppress(AfterglowError):
            before = self.session
            wanted = cases.order(before.delivery, ordered_at=at(self.minute), id="o2")
            self.session = cases.prepared_for(before, wanted, self.minute + 1)
            assert before.state in {SessionState.BOOKED, SessionState.ARRIVED, SessionState.SCREENED}, mg

    @rule(by=st.sampled_from(["nurse1", "nurse2"]), policy=st.sampled_from([POLICY, POLICY, STRICT]))
    def start(self, by: str, policy: SitePolicy) -> None:
        act = nurse(self.minute, by=by)
        self.attempt(lambda: start_dose(self.session, act, chart=self.chart, policy=policy))

    @rule(mg_per_h=st.sampled_from([10.0, 30.0, 60.0, 500.0]), hours=st.sampled_from([0.2, 1.0]), role=ROLES)
    def titrate(self, mg_per_h: float, hours: float, role: Role) -> None:
        act, steps = cases.act(role, self.minute, reason="pain"), (RateStep(mg_per_h=mg_per_h, hours=hours),)
        self.attempt(lambda: order_rate(self.session, act, change_id="o3", steps=steps, policy=POLICY))

    @rule(by=st.sampled_from(["nurse1", "nurse2"]), factor=st.sampled_from([1.0, 1.0, 1.2]))
    def set_pump(self, by: str, factor: float) -> None:
        before, change = self.session, self.session.rate_waiting
        rate, rest = (0.0, 0) if change is None else (change.steps[0].mg_per_h, change.rest_ug)
        given = {"second": nurse(self.minute, by=by), "mg_per_h": rate * factor, "rest_ug": rest, "policy": POLICY}
        act, chart = nurse(self.minute), self.chart
        self.attempt(lambda: set_rate(self.session, act, chart=chart, **given))  # type: ignore[arg-type]
        if self.session is not before:
            assert change is not None
            assert (by, factor) == ("nurse2", 1.0)
            assert self.session.state is before.state
            assert before.prepared is not None
            assert self.session.prepared is not None
            raised = self.session.prepared.amount_ug > before.prepared.amount_ug
            assert not (raised and escalations(before, POLICY))
            drawn = sum(each.amount_ug for each in self.session.drug_uses if each.kind == "drawn")
            assert drawn >= self.session.prepared.amount_ug

    @rule(container=st.sampled_from(["d1", "d2"]))
    def spray(self, container: str) -> None:
        act, chart = nurse(self.minute), self.chart
        self.attempt(
            lambda: give_device(
                self.session, act, container_id=container, device_facts=DEVICE_FACTS, chart=chart, policy=POLICY
            )
        )

    @rule(amount=AMOUNTS)
    def finish(self, amount: int) -> None:
        amounts = () if self.session.delivery is Delivery.ESK else (("v1", amount),)
        self.attempt(lambda: finish_dose(self.session, nurse(self.minute), policy=POLICY, amounts_ug=amounts))

    @rule(amount=st.one_of(st.none(), AMOUNTS))
    def stop(self, amount: int | None) -> None:
        amounts = () if amount is None else (("v1", amount),)
        self.attempt(
            lambda: stop(self.session, nurse(self.minute, reason="distress"), policy=POLICY, amounts_ug=amounts)
        )

    @rule()
    def hold(self) -> None:
        self.attempt(lambda: hold(self.session, nurse(self.minute, reason="distress")))

    @rule(role=ROLES)
    def resume(self, role: Role) -> None:
        act = cases.act(role, self.minute)
        self.attempt(lambda: resume(self.session, act, chart=self.chart, policy=POLICY))

    @rule(
        systolic=st.integers(100, 200), spo2=st.sampled_from([None, 89, 91, 98]), moaas=st.sampled_from([None, 3, 5, 5])
    )
    def read(self, systolic: int, spo2: int | None, moaas: int | None) -> None:
        with contextlib.suppress(AfterglowError):
            number = len(self.session.readings)
            values = {"systolic_mmhg": systolic, "spo2_pct": spo2, "moaas": moaas}
            self.session = entered(self.session, self.minute, number, **values)

    @rule()
    def watch(self) -> None:
        """Every planned set, typed now."""
        start = self.session.dose_started_at
        if start is None:
            return
        for number, minutes in enumerate(range(0, 181, 5)):
            taken = start + timedelta(minutes=minutes)
            typed = cases.reading(self.minute, 1000 * len(self.session.readings) + number, taken_at=taken)
            with contextlib.suppress(AfterglowError):
                self.session = enter_reading(self.session, typed, nurse(self.minute), policy=POLICY).now

    @rule(name=st.sampled_from(["", "", "escort_present", "sedation_resolved", "padss"]))
    def leave(self, name: str) -> None:
        check = cases.leave_check(self.minute, **({name: None} if name else {}))
        before = self.session

        def move() -> Outcome[TreatmentSession]:
            done = clear_to_leave(before, check, nurse(self.minute), policy=POLICY)
            self.checked = check
            assert not escalations(before, POLICY)
            return done

        self.attempt(move)

    @rule(move=st.sampled_from([walk_out, transfer]))
    def go_away(self, move: Callable[[TreatmentSession, Act], Outcome[TreatmentSession]]) -> None:
        self.attempt(lambda: move(self.session, nurse(self.minute, reason="left")))

    @rule(amount=AMOUNTS, witness=st.sampled_from(["nurse1", "nurse2"]), container=st.sampled_from(["v1", "d1", "d2"]))
    def throw(self, amount: int, witness: str, container: str) -> None:
        act = nurse(self.minute, reason="rest")
        second = nurse(self.minute, by=witness)
        with contextlib.suppress(AfterglowError):
            box = self.boxes[container]
            now = waste(self.session, box, act, amount_ug=amount, policy=POLICY, witness=second).now
            self.session, self.boxes[container] = now

    @rule(amount=AMOUNTS, container=st.sampled_from(["v1", "d1", "d2"]))
    def hand_back(self, amount: int, container: str) -> None:
        act = nurse(self.minute, reason="unopened")
        with contextlib.suppress(AfterglowError):
            now = give_back(self.session, self.boxes[container], act, amount_ug=amount).now
            self.session, self.boxes[container] = now

    @rule()
    def sign(self) -> None:
        self.attempt(lambda: sign_note(self.session, nurse(self.minute)))

    @rule()
    def close(self) -> None:
        self.attempt(lambda: close(self.session, nurse(self.minute), policy=POLICY))

    @rule()
    def cancel(self) -> None:
        self.attempt(lambda: cancel(self.session, nurse(self.minute, reason="changed her mind")))

    @invariant()
    def no_dose_without_its_gates(self) -> None:
        session = self.session
        if session.runs or session.given:
            assert SessionState.CLEARED in self.seen
            assert not self.refusable
            assert session.second_check is not None
            assert session.prepared is not None
            assert session.order is not None
            assert session.second_check.amount_ug == session.prepared.amount_ug
            assert session.order.id == session.prepared.order_id
            assert session.go_at is not None
            assert session.runs[0].since - session.go_at <= timedelta(minutes=60)

    @invariant()
    def time_only_moves_on(self) -> None:
        if self.last.last_at is not None:
            assert self.session.last_at is not None
            assert self.session.last_at >= self.last.last_at
        self.last = self.session

    @invariant()
    def drug_conserves_in_both_books(self) -> None:
        for container in self.session.containers:
            out = self.session.outstanding_ug(container)
            assert out >= 0
            if self.session.state in {SessionState.CLOSED, SessionState.CANCELLED}:
                assert out == 0
            box = self.boxes[container]
            used = [each for each in self.session.drug_uses if each.container_id == container]
            gone = sum(each.amount_ug for each in used if each.kind in {"given", "wasted"})
            assert box.received_ug - box.balance_ug == gone + out
            wasted = sum(each.amount_ug for each in used if each.kind == "wasted")
            assert lot_balance((box,), box.lot).wasted_ug == wasted
        assert self.session.prepared is not None
        assert self.session.given_ug <= self.session.prepared.amount_ug

    @invariant()
    def nobody_leaves_before_time(self) -> None:
        if self.session.cleared:
            earliest = earliest_leave(self.session, policy=POLICY)
            assert earliest is not None
            assert self.session.left_at is not None
            assert self.session.left_at >= earliest
            assert None not in {self.checked.escort_present, self.checked.sedation_resolved, self.checked.padss}

    @invariant()
    def devices_are_apart(self) -> None:
        if self.session.delivery is Delivery.ESK:
            times = [each.at for each in self.session.given]
            assert all(b - a >= timedelta(minutes=5) for a, b in itertools.pairwise(times))
            assert len({each.container_id for each in self.session.given}) == len(times)

    @invariant()
    def waste_has_two_people(self) -> None:
        assert all(each.witness != each.by for each in self.session.drug_uses if each.kind == "wasted")

    @invariant()
    def a_run_ends_when_the_dose_ends(self) -> None:
        running = [run for run in self.session.runs if run.until is None]
        assert len(running) == (self.session.state is SessionState.DOSING)


class Drugs(RuleBasedStateMachine):
    """Three vials of one lot and random movements."""

    @initialize()
    def begin(self) -> None:
        self.minute = 0.0
        self.vials = {name: cases.vial(name) for name in ("v1", "v2", "v3")}

    def attempt(self, name: str, move: Callable[[Container, float], Outcome[Container]]) -> None:
        self.minute += 1
        with contextlib.suppress(AfterglowError):
            self.vials[name] = move(self.vials[name], self.minute).now

    VIALS = st.sampled_from(["v1", "v2", "v3"])
    UG = st.one_of(AMOUNTS, st.integers(-100, 600_000))

    @rule(name=VIALS, amount=UG, session=st.sampled_from(["s1", "s2"]))
    def draw(self, name: str, amount: int, session: str) -> None:
        self.attempt(name, lambda vial, m: draw(vial, nurse(m), amount_ug=amount, session_id=session))

    @rule(name=VIALS, amount=UG, session=st.sampled_from(["s1", "s2"]))
    def put_back(self, name: str, amount: int, session: str) -> None:
        self.attempt(name, lambda vial, m: put_back(vial, nurse(m, reason="r"), amount_ug=amount, session_id=session))

    @rule(name=VIALS, witness=st.sampled_from(["nurse1", "nurse2"]))
    def waste(self, name: str, witness: str) -> None:
        def move(vial: Container, m: float) -> Outcome[Container]:
            return waste_rest(vial, nurse(m, reason="r"), policy=POLICY, witness=nurse(m, by=witness))

        self.attempt(name, move)

    @rule(name=VIALS, amount=UG, session=st.sampled_from(["s1", "s2"]), witness=st.sampled_from(["nurse1", "nurse2"]))
    def waste_drawn(self, name: str, amount: int, session: str, witness: str) -> None:
        def move(vial: Container, m: float) -> Outcome[Container]:
            by, second = nurse(m, reason="rest"), nurse(m, by=witness)
            return waste_drawn(vial, by, amount_ug=amount, session_id=session, policy=POLICY, witness=second)

        self.attempt(name, move)

    @rule(name=VIALS, off_by=st.sampled_from([0, 0, -50, 100, 500_000, -600_000]))
    def count(self, name: str, off_by: int) -> None:
        def move(vial: Container, m: float) -> Outcome[Container]:
            found = vial.balance_ug + off_by
            return count(vial, nurse(m), counted_ug=found, policy=POLICY, witness=nurse(m, by="nurse2"))

        self.attempt(name, move)

    @rule(name=VIALS, role=ROLES)
    def explain(self, name: str, role: Role) -> None:
        self.attempt(name, lambda vial, m: explain(vial, cases.act(role, m, reason="spilt")))

    @invariant()
    def balances_conserve_and_are_never_negative(self) -> None:
        for vial in self.vials.values():
            assert 0 <= vial.balance_ug <= vial.received_ug
            assert 0 <= (vial.counted_ug or 0) <= vial.received_ug
            assert vial.balance_ug == 50 * vial.balance_ul == sum(each.amount_ug for each in vial.movements)
            assert vial.balance_ul == sum(each.volume_ul for each in vial.movements)
            assert (vial.counted_ug is not None) == (vial.state is ContainerState.DISCREPANT)
        lot = lot_balance(self.vials.values(), "L1")
        assert lot.received_ug == 1_500_000
        assert lot.received_ug == lot.in_stock_ug + lot.used_ug + lot.wasted_ug + lot.written_off_ug
        assert lot.in_stock_ug == 50 * lot.in_stock_ul
        assert lot.used_ug >= 0
        assert lot.wasted_ug >= 0


class Bookings(RuleBasedStateMachine):
    """Two chairs, three patients, staff for two."""

    @initialize()
    def begin(self) -> None:
        chairs = (Chair(id="a", deliveries=tuple(Delivery)), Chair(id="b", deliveries=(Delivery.ESK,)))
        self.diary = Diary(chairs=chairs, capacity=2)
        self.stayed: set[str] = set()

    MINUTES = st.integers(0, 400)
    WHEN = st.integers(0, 12).map(lambda half_hours: at(30 * half_hours))

    @rule(
        patient=st.sampled_from(["p1", "p2", "p3"]),
        chair=st.sampled_from(["a", "b", "c"]),
        starts=WHEN,
        delivery=st.sampled_from([Delivery.ESK, Delivery.IV]),
        minutes=st.sampled_from([60, 129, 130, 150, 150]),
        enrolled=st.sampled_from([True, True, None]),
    )
    def book(
        self, patient: str, chair: str, starts: datetime, delivery: Delivery, minutes: int, *, enrolled: bool | None
    ) -> None:
        wanted = Booking(
            id=f"b{len(self.diary.bookings)}",
            patient_id=patient,
            chair_id=chair,
            delivery=delivery,
            starts_at=starts,
            until=starts + timedelta(minutes=minutes),
            dose_minutes=40.0 if delivery is Delivery.IV else 0.0,
        )
        with contextlib.suppress(AfterglowError):
            self.diary = book(self.diary, wanted, nurse(0), policy=POLICY, enrolled=enrolled).now
            assert enrolled or delivery is Delivery.IV
            assert minutes >= (150 if delivery is Delivery.ESK else 130)

    @rule(number=st.integers(0, 8), chair=st.sampled_from(["a", "b"]), starts=WHEN)
    def move(self, number: int, chair: str, starts: datetime) -> None:
        with contextlib.suppress(AfterglowError):
            self.diary = move_booking(
                self.diary,
                f"b{number}",
                nurse(0, reason="r"),
                chair_id=chair,
                starts_at=starts,
                policy=POLICY,
                enrolled=True,
            ).now

    @rule(
        number=st.integers(0, 8),
        event=st.sampled_from(["arrive", "leave", "cancel", "no_show", "move"]),
        minute=MINUTES,
    )
    def end(self, number: int, event: str, minute: int) -> None:
        with contextlib.suppress(AfterglowError):
            before = self.diary.booking(f"b{number}")
            self.diary = end_booking(self.diary, before.id, event, nurse(minute, reason="r")).now
            assert event != "no_show" or at(minute) >= before.starts_at
            assert event != "leave" or before.state is BookingState.ARRIVED

    @rule(number=st.integers(0, 8), minute=MINUTES, until=MINUTES)
    def stay(self, number: int, minute: int, until: int) -> None:
        with contextlib.suppress(AfterglowError):
            before = self.diary.booking(f"b{number}")
            self.diary = overstay(self.diary, before.id, nurse(minute, reason="slow"), until=at(until)).now
            assert before.state is BookingState.ARRIVED
            assert self.diary.booking(before.id).until > before.until
            self.stayed.add(before.id)

    @rule(number=st.integers(0, 8), minute=MINUTES, chair=st.sampled_from([None, "a", "b"]))
    def undo(self, number: int, minute: int, chair: str | None) -> None:
        with contextlib.suppress(AfterglowError):
            before = self.diary.booking(f"b{number}")
            act = nurse(minute, reason="was here")
            self.diary = undo_no_show(self.diary, before.id, act, policy=POLICY, enrolled=True, chair_id=chair).now
            assert before.state is BookingState.NO_SHOW

    @invariant()
    def nobody_and_nothing_is_booked_twice(self) -> None:
        active = self.diary.active
        sitting = [each.chair_id for each in active if each.state is BookingState.ARRIVED]
        assert len(sitting) == len(set(sitting))
        for place, one in enumerate(active):
            assert one.state in {BookingState.BOOKED, BookingState.ARRIVED}
            for other in active[place + 1 :]:
                overlap = one.starts_at < other.until and other.starts_at < one.until
                twice = overlap and (one.chair_id == other.chair_id or one.patient_id == other.patient_id)
                if twice:  # who stays longer holds up others, and that is told of both
                    assert {one.id, other.id} & self.stayed
                    for each, held_up in ((one, other), (other, one)):
                        found = clashes(self.diary, each.id, policy=POLICY)
                        assert held_up.id in {clash.booking_id for clash in found}
            inside = [each for each in active if each.starts_at <= one.starts_at < each.until]
            assert len(inside) <= self.diary.capacity or self.stayed
            assert not (one.chair_id == "b" and one.delivery is Delivery.IV)


class Courses(RuleBasedStateMachine):
    """One course and everything that can be recorded about it."""

    @initialize()
    def begin(self) -> None:
        self.course = TreatmentCourse(
            id="c1",
            patient_id="p1",
            delivery=Delivery.ESK,
            drug=DrugForm.ESKETAMINE,
            indication=Indication.TRD,
        )
        self.minute = 0.0
        self.used = 0
        self.treated: set[str] = set()

    def attempt(self, move: Callable[[], Outcome[TreatmentCourse]]) -> bool:
        self.minute += 1
        with contextlib.suppress(AfterglowError):
            self.course = move().now
            return True
        return False

    @rule(
        event=st.sampled_from([row.event for row in COURSE.rows]),
        role=ROLES,
        fit=st.booleans(),
        back=st.sampled_from([0, 0, 0, 5]),
    )
    def move(self, event: str, role: Role, back: int, *, fit: bool) -> None:
        before, minute = self.course, self.minute + 1 - back
        assessed = cases.candidacy(minutes=minute, changes={} if fit else {"hx.avm": True})
        done = self.attempt(
            lambda: move_course(
                before,
                event,
                cases.act(role, minute, reason="r"),
                policy=POLICY,
                consent_version="2",
                candidacy=assessed,
                emergency=False,
                stop_reason=StopReason.PATIENT_CHOICE if fit else None,
            )
        )
        if done and event in {"start", "induce_again"}:
            assert has_consent(before, at(minute), version="2", policy=POLICY)
            assert units_left(before, at(minute).date()) != 0
        if done and event in {"find_suitable", "induce_again"}:
            assert fit
        if done and event in {"maintain", "recover"}:
            held = [each for each in before.reviews if each.at >= (before.induced_at or at(0))]
            assert held
            assert held[-1].decision is not ReviewDecision.STOP
        if done:
            assert self.course.moved_at == at(minute)
            assert before.moved_at is None or before.moved_at <= at(minute)

    @rule(version=st.sampled_from(["1", "2"]))
    def consent(self, version: str) -> None:
        consent = Consent(
            version=version,
            delivery=Delivery.ESK,
            method=ConsentMethod.PAPER,
            off_label_stated=True,
            given_by="patient",
            taken_by="nurse1",
            at=at(self.minute),
        )
        self.attempt(lambda: give_consent(self.course, consent, nurse(self.minute)))

    @rule()
    def withdraw(self) -> None:
        self.attempt(
            lambda: withdraw_consent(self.course, nurse(self.minute), withdrawn_by="p1", how=WithdrawalMethod.BY_PHONE)
        )
        assert not has_consent(self.course, at(self.minute), version="2", policy=POLICY)

    @rule()
    def prepare(self) -> None:
        act = prescriber(self.minute)
        label = {"age_years": 44, "resistant": True, "on_ssri_or_snri": True, "policy": POLICY}
        plan = Plan(
            endpoint="PHQ-9 below 5",
            induction_sessions=8,
            interval_days=3.5,
            by=act.by,
            at=act.at,
        )
        self.attempt(lambda: set_plan(self.course, plan, act, **label))  # type: ignore[arg-type]
        self.attempt(lambda: make_safety_plan(self.course, act))

    @rule(units=st.integers(0, 3))
    def authorise(self, units: int) -> None:
        number = len(self.course.authorisations)
        granted = Authorisation(id=f"a{number}", payer="payer", units=units, starts_on=at(0).date())
        if self.attempt(lambda: add_authorisation(self.course, granted, nurse(self.minute))):
            assert not self.attempt(lambda: add_authorisation(self.course, granted, nurse(self.minute)))

    @rule(number=st.integers(1, 6))
    def use(self, number: int) -> None:
        day, session_id = at(self.minute).date(), f"s{number}"
        done = self.attempt(lambda: use_unit(self.course, nurse(self.minute), on=day, session_id=session_id))
        assert not (done and session_id in self.treated)
        self.treated |= {session_id} if done else set()
        self.used += done

    @rule(decision=st.sampled_from(list(ReviewDecision)), given=st.sampled_from([3, 4, 8]))
    def review(self, decision: ReviewDecision, given: int) -> None:
        act = prescriber(self.minute)
        held = BenefitReview(kind=ReviewKind.END_OF_INDUCTION, decision=decision, by=act.by, at=act.at, reason="scores")
        done = self.attempt(lambda: record_review(self.course, held, act, sessions_given=given, policy=POLICY))
        assert not done or given > 3 or decision is ReviewDecision.STOP

    @invariant()
    def units_conserve(self) -> None:
        granted = sum(each.units or 0 for each in self.course.authorisations)
        assert sum(each.used for each in self.course.authorisations) == self.used <= granted

    @invariant()
    def states_are_possible(self) -> None:
        course = self.course
        assert (course.paused_from is not None) == (course.state is CourseState.PAUSED)
        assert (course.stop_reason is not None) == (course.state is CourseState.STOPPED)
        if course.state in {CourseState.INDUCTION, CourseState.MAINTENANCE, CourseState.REINDUCTION}:
            assert course.plan is not None
            assert course.safety_plans
            assert course.induced_at is not None


class Alerts(RuleBasedStateMachine):
    """Alerts are raised at any time; people act in any order, also on the wrong screen and with the clock set back."""

    @initialize()
    def begin(self) -> None:
        self.minute = 0.0
        self.alerts: dict[str, ClinicAlert] = {}
        self.raised: list[str] = []
        self.done: dict[str, list[tuple[str, float]]] = {}

    @rule(facts=st.sampled_from([("S045", {"vitals.spo2": 88}), ("S044", {"vitals.spo2": 91}), ("S049", {})]))
    def raise_one(self, facts: tuple[str, dict[str, Fact | None]]) -> None:
        name, known = facts
        found = judge(clinic_rule(name), known or {"events.vomiting": True}, POLICY)
        alert_id = f"a{len(self.raised)}"
        self.raised.append(alert_id)
        self.done[alert_id] = []
        self.alerts[alert_id] = alert_from_finding(
            found, alert_id=alert_id, patient_id="p1", action=None, at=at(self.minute), policy=POLICY
        )

    @rule(
        which=st.integers(0, 9),
        event=st.sampled_from([row.event for row in ALERT.rows]),
        role=st.one_of(ROLES, st.just(Role.SYSTEM)),
        patient=st.sampled_from(["p1", "p1", "p2"]),
        minutes=st.sampled_from([-20, 0, 1, 15, 60, 1440]),
    )
    def happen(self, which: int, event: str, role: Role, patient: str, minutes: int) -> None:
        if not self.raised:
            return
        name = self.raised[which % len(self.raised)]
        minute = self.minute + minutes
        self.minute = max(self.minute, minute)
        alert, act = self.alerts[name], cases.act(role, minute, reason="seen the patient")
        moves: dict[str, Callable[[], Outcome[ClinicAlert]]] = {
            "read": lambda: read_alert(alert, act, patient_id=patient),
            "act": lambda: act_on(alert, act, policy=POLICY),
            "close": lambda: close_alert(alert, act),
            "escalate": lambda: escalate(alert, act, policy=POLICY),
            "hand_over": lambda: hand_over(alert, act, to=Role.PRESCRIBER),
        }
        with contextlib.suppress(AfterglowError):
            self.alerts[name] = moves[event]().now
            self.done[name].append((event, minute))
            assert not (event == "read" and patient != "p1")
            assert not (event == "escalate" and act.at < alert.respond_by)
            now = self.alerts[name]
            assert now.respond_by == alert.respond_by or event in {"act", "escalate"}
            order = [Role.NURSE, Role.PRESCRIBER, Role.MEDICAL_DIRECTOR]
            owns = role in order and order.index(role) >= order.index(alert.owner)
            assert owns or event != "close"
            assert owns or event != "act" or now.respond_by == alert.respond_by

    @invariant()
    def every_alert_that_was_raised_is_there_as_its_history_says(self) -> None:
        assert set(self.alerts) == set(self.raised)
        for name, alert in self.alerts.items():
            events = [event for event, _ in self.done[name]]
            minutes = [minute for _, minute in self.done[name]]
            assert minutes == sorted(minutes)
            assert alert.owner in {Role.NURSE, Role.PRESCRIBER, Role.MEDICAL_DIRECTOR}
            assert len(alert.escalations) == events.count("escalate") + events.count("hand_over")
            told = {"close": AlertStage.CLOSED, "act": AlertStage.ACTED, "read": AlertStage.SEEN}
            stages = [told[event] for event in events if event in told]
            assert alert.stage is (stages[-1] if stages else AlertStage.OPEN)
            if alert.stage is AlertStage.CLOSED:
                assert events.index("read") < events.index("act") < events.index("close")
                assert alert.read_by is not None
                assert alert.action_taken is not None


TestSessions = Sessions.TestCase
TestDrugs = Drugs.TestCase
TestBookings = Bookings.TestCase
TestCourses = Courses.TestCase
TestAlerts = Alerts.TestCase
for case in (TestSessions, TestDrugs, TestBookings, TestCourses, TestAlerts):
    case.settings = RUN
