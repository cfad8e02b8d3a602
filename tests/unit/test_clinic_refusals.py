"""Requests that are refused before a rule is asked, and data files that break their own schema."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import date, datetime, timedelta

import pytest
from tests import clinic_cases as cases
from tests.clinic_cases import POLICY, at, nurse, prescriber
from tests.unit.test_clinic_care import LABEL, PLAN, booking, course

from afterglow.clinic import (
    Act,
    Authorisation,
    BookingState,
    Chair,
    ContainerState,
    CourseState,
    Delivery,
    Diary,
    DueMeasure,
    Indication,
    Role,
    SitePolicy,
    Standing,
    TreatmentCourse,
    WorkKind,
    add_authorisation,
    book,
    count,
    explain,
    list_work,
    order_dose,
    policy_digest,
    receive,
    record_review,
    rule,
    set_plan,
    walk_out,
    walk_out_alert,
    waste,
    waste_rest,
)
from afterglow.clinic.containers import draw
from afterglow.clinic.dose_rules import in_label_table
from afterglow.clinic.dosing import check_second
from afterglow.clinic.monitoring import monitoring_facts
from afterglow.clinic.thresholds import read_setting, with_values
from afterglow.errors import (
    AfterglowError,
    Conflict,
    GateClosed,
    InputError,
    InvalidData,
    MissingValue,
    OutOfRange,
    UnknownName,
    WrongOrder,
    WrongState,
)
from afterglow.quantities import DrugForm
from afterglow.records import Record

DIARY = Diary(chairs=(Chair(id="a", deliveries=tuple(Delivery)),), capacity=1, bookings=(booking("o", "a", 0, "p1"),))


def authorised(**changes: object) -> Authorisation:
    fields: dict[str, object] = {"id": "a", "payer": "p", "units": 2, "starts_on": date(2026, 3, 2)}
    return Authorisation(**(fields | changes))  # type: ignore[arg-type]


def planned(**changes: object) -> object:
    return set_plan(course(), replace(PLAN, **changes), prescriber(), **LABEL)  # type: ignore[arg-type]


REFUSED: list[tuple[str, Callable[[], object], type[AfterglowError]]] = [
    ("no login", lambda: Act(by="", roles=(Role.NURSE,), at=at(0)), MissingValue),
    ("naive time", lambda: Act(by="x", roles=(Role.NURSE,), at=datetime(2026, 1, 1)), InputError),  # noqa: DTZ001
    ("no rule", lambda: rule("X999"), UnknownName),
    ("vial without id", lambda: cases.vial(""), MissingValue),
    ("draw before receipt", lambda: draw(cases.vial(), nurse(-1), amount_ug=50, session_id="s"), WrongOrder),
    (
        "expired",
        lambda: draw(cases.vial(), nurse(60 * 24 * 400), amount_ug=50, session_id="s"),
        OutOfRange,
    ),
    ("half a microlitre", lambda: draw(cases.vial(), nurse(1), amount_ug=25, session_id="s"), OutOfRange),
    ("negative count", lambda: count(cases.vial(), nurse(1), counted_ug=-1, policy=POLICY), OutOfRange),
    ("too many units used", lambda: authorised(used=3), OutOfRange),
    ("ends first", lambda: add_authorisation(course(), authorised(ends_on=date(2026, 1, 1)), nurse()), WrongOrder),
    (
        "no endpoint",
        lambda: planned(endpoint=" "),
        MissingValue,
    ),
    (
        "no sessions",
        lambda: planned(induction_sessions=0),
        OutOfRange,
    ),
    ("booked twice", lambda: book(DIARY, booking("o", "a", 300, "p2"), nurse(), policy=POLICY), Conflict),
    ("in the past", lambda: book(DIARY, booking("n", "a", -1, "p2"), nurse(), policy=POLICY), OutOfRange),
    ("per kg without weight", lambda: cases.order(Delivery.IV).amount_ug(None), MissingValue),
    ("nothing prepared", lambda: check_second(None, None, POLICY), GateClosed),
    ("not one number", lambda: POLICY.number("site.region"), InvalidData),
    ("not several numbers", lambda: POLICY.numbers("alerts.high_minutes"), InvalidData),
    ("not yes or no", lambda: POLICY.flag("site.region"), InvalidData),
    (
        "several for one",
        lambda: with_values(rule("S013").when, rule("S013").settings, {"S013.spo2_below": (1.0, 2.0)}),
        InvalidData,
    ),
    (
        "default outside its range",
        lambda: read_setting(
            Record({"name": "x", "text": "t", "default": 3, "range": [1, 2], "verified": "policy"}, file="policy.yaml")
        ),
        InvalidData,
    ),
]


@pytest.mark.parametrize(("ask", "error"), [(ask, error) for _, ask, error in REFUSED], ids=[n for n, _, _ in REFUSED])
def test_refused(ask: Callable[[], object], error: type[AfterglowError]) -> None:
    with pytest.raises(error):
        ask()


def test_a_review_says_why() -> None:
    from afterglow.clinic import BenefitReview, ReviewDecision, ReviewKind  # noqa: PLC0415

    held = BenefitReview(kind=ReviewKind.PERIODIC, decision=ReviewDecision.STOP, by="prescriber1", at=at(0), reason="")
    with pytest.raises(MissingValue):
        record_review(course(), held, prescriber(), sessions_given=8, policy=POLICY)


def test_a_dose_belongs_to_its_session_before_it_starts() -> None:
    session = cases.screened()
    with pytest.raises(Conflict, match="does not belong"):
        order_dose(session, cases.order(Delivery.IV, ordered_at=at(9)), prescriber(9))
    assert monitoring_facts(session, at(30), policy=POLICY) == {}


def site(**changes: object) -> SitePolicy:
    return replace(POLICY, values=tuple((name.replace("__", "."), value) for name, value in changes.items()))  # type: ignore[misc]


def test_a_site_may_go_without_witnesses() -> None:
    alone = site(drugs__waste_witness=False, drugs__count_two_persons=False, dosing__second_check_all=False)
    assert waste_rest(cases.vial(), nurse(1, reason="broken"), policy=alone).now.balance_ug == 0
    counted = count(cases.vial(), nurse(1), counted_ug=499_950, policy=alone).now
    assert counted.state is ContainerState.DISCREPANT
    told = explain(counted, cases.act(Role.COMPLIANCE, 2, reason="spilt")).now
    assert (told.balance_ug, told.balance_ul, told.state) == (499_950, 9_999, ContainerState.OPENED)
    assert check_second(cases.screened().prepared, None, alone)


@pytest.mark.parametrize(
    ("mg", "number", "week", "age", "region", "inside"),
    [
        (56.0, 1, 1, 40.0, "US", True),
        (84.0, 1, 1, 40.0, "US", False),  # day 1 is 56 mg
        (84.0, 2, 1, 40.0, "US", True),
        (28.0, 1, 1, 65.0, "EU", True),
        (56.0, 1, 1, 65.0, "EU", False),
        (28.0, 2, 1, 64.9, "EU", False),
        (56.0, 1, 1, 17.0, "US", False),  # no row
        (56.0, 1, 1, None, "US", None),
    ],
)
def test_the_label_table(
    mg: float, number: int, week: int, age: float | None, region: str, *, inside: bool | None
) -> None:
    policy = site(site__region=region)
    wanted = cases.order(dose_mg=mg)
    assert in_label_table(wanted, number=number, week=week, age_years=age, policy=policy) is inside
    assert in_label_table(cases.order(Delivery.IV), number=1, week=1, age_years=40, policy=policy) is None


def test_the_worklist_asks_for_cover_and_for_closing() -> None:
    now = TreatmentCourse(
        id="c1",
        patient_id="p1",
        delivery=Delivery.ESK,
        drug=DrugForm.ESKETAMINE,
        indication=Indication.TRD,
        state=CourseState.INDUCTION,
        induced_at=at(0),
    )

    def kinds(*covers: Authorisation) -> list[str]:
        standing = Standing(patient_id="p1", course=replace(now, authorisations=covers), next_session_at=at(60))
        found = list_work([standing], at(0), policy=POLICY)
        return [f"{each.kind} {each.text}" for each in found if each.kind is not WorkKind.AFTERCARE]

    assert kinds(authorised(units=2)) == ["authorisation 2 authorised units left"]
    assert kinds(authorised(units=3)) == []
    soon = at(0).date() + timedelta(days=20)
    assert kinds(authorised(units=9, ends_on=soon)) == ["authorisation authorisation ends soon"]
    left = replace(cases.observing(), state=cases.booked().state.__class__.LEFT, left_at=at(200), rems_due_at=None)
    one = Standing(patient_id="p1", course=replace(now, state=CourseState.STOPPED), sessions=(left,))
    assert [each.kind for each in list_work([one], at(201), policy=POLICY)] == [WorkKind.SESSION_OPEN]
    quiet = replace(left, rems_due_at=at(0) + timedelta(days=7), left_at=at(200), state=left.state.__class__.CLOSED)
    found = list_work([replace(one, sessions=(quiet,))], at(201), policy=POLICY)
    assert [(each.kind, each.priority) for each in found] == [(WorkKind.MONITORING_FORM, "low")]


def test_tablets_have_no_volume_and_a_new_booking_is_not_over() -> None:
    tablets = receive(
        nurse(0),
        container_id="t",
        lot="L2",
        drug=DrugForm.RACEMIC_KETAMINE,
        expires_on=date(2027, 1, 1),
        amount_ug=100_000,
        concentration_ug_per_ul=None,
    ).now
    assert (draw(tablets, nurse(1), amount_ug=50_000, session_id="s").now.balance_ug, tablets.balance_ul) == (50_000, 0)
    over = replace(booking("n", "a", 300, "p2"), state=BookingState.CANCELLED)
    with pytest.raises(OutOfRange, match="starts as booked"):
        book(DIARY, over, nurse(), policy=POLICY)
    alone = site(drugs__waste_witness=False)
    session = walk_out(cases.observing(Delivery.IV), nurse(90, reason="r")).now
    session = replace(session, policy_digest=policy_digest(alone))
    by = nurse(91, reason="rest")
    done, _ = waste(session, cases.drawn(session), by, amount_ug=10_000, policy=alone).now
    assert (done.outstanding_ug("v1"), done.drug_uses[-1].witness) == (0, None)


def test_a_due_scale_is_on_the_worklist_with_its_owner() -> None:
    due = DueMeasure(instrument="phq9", due_at=at(-24 * 60), overdue=False, reason="every 28 days")
    found = list_work([Standing(patient_id="p1", course=course(), measures=(due,))], at(0), policy=POLICY)
    (item,) = (each for each in found if each.kind is WorkKind.MEASURE_DUE)
    assert (item.kind, item.owner, item.overdue) == (WorkKind.MEASURE_DUE, Role.COORDINATOR, True)


@pytest.mark.parametrize("changes", [{"number": 0}, {"week": 0}, {"planned_at": datetime(2026, 1, 5)}])  # noqa: DTZ001
def test_a_session_that_cannot_be_is_refused(changes: dict[str, object]) -> None:
    with pytest.raises(InputError):
        replace(cases.booked(), **changes)  # type: ignore[arg-type]


def test_a_worklist_takes_nothing_of_another_patient() -> None:
    gone = walk_out(cases.observing(), nurse(60, reason="left")).now
    alert = walk_out_alert(gone, alert_id="a1", policy=POLICY)
    own = Standing(patient_id="p1", course=course(), sessions=(gone,), alerts=(alert,))
    assert WorkKind.ALERT in {each.kind for each in list_work([own], at(61), policy=POLICY)}
    for changes in (
        {"course": replace(course(), patient_id="p2")},
        {"sessions": (gone, replace(gone, id="s2", patient_id="p2"))},
        {"alerts": (replace(alert, patient_id="p2"),)},
    ):
        with pytest.raises(Conflict, match="mixes patients"):
            replace(own, **changes)


def test_nobody_walks_out_of_a_session_that_is_cleared() -> None:
    with pytest.raises(WrongState):
        walk_out_alert(cases.observing(), alert_id="a1", policy=POLICY)


def test_drug_is_drawn_for_a_session() -> None:
    with pytest.raises(MissingValue, match="for a session"):
        draw(cases.vial(), nurse(0), amount_ug=50, session_id=" ")
