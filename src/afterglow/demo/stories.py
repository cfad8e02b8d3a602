"""What becomes of each patient of the demo clinic, as a generator that yields the time of what comes next."""

from __future__ import annotations

from collections.abc import Generator, Iterator
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta

from afterglow.clinic import (
    Allergies,
    AllergyStatus,
    ConsentMethod,
    Delivery,
    Indication,
    MedicineTrial,
    ReviewDecision,
    ReviewKind,
    StopReason,
    TrialOutcome,
)
from afterglow.demo.cast import Answer, Goes, Patient, Scene
from afterglow.demo.hands import Hands, intake, renewed
from afterglow.demo.scores import INDUCTION, Course, answers_of, on_scale, session_days
from afterglow.demo.sitting import INFUSION_MIN, ORDINARY, Script, sit
from afterglow.errors import BookingRefused
from afterglow.quantities import DrugForm
from afterglow.store.patients import Identifiers
from afterglow.usecases import courses, diary, login, measures, passes, patients, worklists
from afterglow.usecases.desk import Desk
from afterglow.usecases.passes import Purpose

_SLOTS_H = (8.0, 8.5, 11.0, 11.5, 14.0, 14.5)
_AHEAD_D = 8  # days of work between the first visit and the first session
_COVER_UNITS = 10
_RENEW_D = 26
_FORM_D = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class _Today:
    """A scene: chair, when it was or is booked in minutes from now, and what is unlike other sessions."""

    chair: str
    from_now_min: float
    script: Script = ORDINARY


_TODAY = {
    Scene.EARLY_INFUSION: _Today(chair="1", from_now_min=-52),
    Scene.WATCHED: _Today(chair="2", from_now_min=-114),
    Scene.READING_LATE: _Today(chair="3", from_now_min=-77, script=Script(last_reading_min=30)),
    Scene.HELD: _Today(chair="4", from_now_min=-46, script=Script(held_at_min=12)),
    Scene.READY: _Today(chair="5", from_now_min=-132),
    Scene.OPEN_GATE: _Today(
        chair="6", from_now_min=-15, script=Script(unknown=("logistics.escort_confirmed",), before=(152, 94))
    ),
    Scene.MORNING_CLOSED: _Today(chair="1", from_now_min=-200),
    Scene.MORNING_OPEN: _Today(chair="2", from_now_min=-285, script=Script(closes=False)),
    Scene.NO_SHOW: _Today(chair="3", from_now_min=-250),
    Scene.CALLED_OFF: _Today(chair="4", from_now_min=-190),
    Scene.NEXT_INFUSION: _Today(chair="5", from_now_min=25),
    Scene.NEXT_SPRAY: _Today(chair="2", from_now_min=55),
    Scene.LATE_INFUSION: _Today(chair="1", from_now_min=100),
}


@dataclass(slots=True, kw_only=True)
class _Chart:
    """What a story knows of its own records."""

    patient_id: str
    course_id: str
    renewed_at: datetime
    cover_left: int = _COVER_UNITS
    booked: list[tuple[str, datetime]] = field(default_factory=list)


def live(hands: Hands, patient: Patient, course: Course) -> Iterator[datetime]:
    """A patient's way through the clinic; it ends where the story does, or where the clock stops."""
    if patient.goes is Goes.WAITS:
        yield from _wait(hands, patient, course)
        return
    first = hands.day(patient.days_ago)
    chart = yield from _come_in(hands, patient, course, first)
    yield from _begin(hands, patient, chart, first)
    yield from _treat(hands, patient, course, chart, first)
    yield from _end(hands, patient, chart)


def _wait(hands: Hands, patient: Patient, course: Course) -> Iterator[datetime]:
    """Somebody who is not treated yet."""
    first = hands.day(patient.days_ago)
    if patient.waits_at == "inquiry":
        yield hands.at(hands.day(2), 10.2)
        _register(hands, patient)
        return
    chart = yield from _come_in(hands, patient, course, first)
    if patient.waits_at == "candidacy":
        return
    yield from _found_suitable(hands, patient, chart, first)
    if patient.waits_at == "authorisation":
        yield from _covered(hands, patient, chart, first, until="authorisation")


def _register(hands: Hands, patient: Patient) -> _Chart:
    first, _, last = patient.name.partition(" ")
    mail = f"{first}.{last}@example.org".lower()
    number = f"H-{hands.chance.randint(10_000, 99_999)}"
    known = Identifiers(name=patient.name, born_on=patient.born_on, email=mail, record_number=number)
    made = patients.register(hands.desk("cora"), known).id
    drug = DrugForm.ESKETAMINE if patient.delivery is Delivery.ESK else DrugForm.RACEMIC_KETAMINE
    opened = courses.open_course(
        hands.desk("cora"), made, delivery=patient.delivery, drug=drug, indication=patient.indication
    )
    return _Chart(patient_id=made, course_id=opened.id, renewed_at=hands.clock.now)


def _come_in(hands: Hands, patient: Patient, course: Course, first: date) -> Generator[datetime, None, _Chart]:
    """Inquiry, intake, work-up and first scores."""
    chance = hands.chance
    yield hands.at(first - timedelta(days=_AHEAD_D), 9 + 6 * chance.random())
    chart = _register(hands, patient)
    yield hands.at(first - timedelta(days=_AHEAD_D - 1), 9 + 6 * chance.random())
    courses.accept(hands.desk("cora"), chart.course_id, emergency=False, version=1)
    visit = hands.at(first - timedelta(days=_AHEAD_D - 2), 9 + 5 * chance.random())
    yield visit
    spray = patient.delivery is Delivery.ESK
    risk = "moderate" if patient.special == "suicidal" else "none"
    asked = intake(
        patient.sex,
        bmi=chance.choice((22, 23, 24, 25, 27)),
        systolic=166 if patient.special == "high_pressure" else chance.randint(114, 130),
        suicide_risk=risk,
        spray=spray,
    )
    chart.renewed_at = visit
    patients.note_facts(hands.desk("nora"), chart.patient_id, asked)
    patients.note_allergies(hands.desk("nora"), chart.patient_id, Allergies(status=AllergyStatus.NONE_KNOWN))
    patients.reconcile_medicines(hands.desk("nora"), chart.patient_id, (), visit="intake")
    patients.note_trials(hands.desk("paula"), chart.patient_id, _tried(chance.choice((8, 10, 12))))
    _scale(hands, chart, "PHQ-9", answers_of("PHQ-9", course.before, chance, item_9=2 * (risk != "none")))
    _scale(hands, chart, "GAD-7", [1, 2, 1, 1, 0, 1, 1])
    _scale(hands, chart, "AUDIT-C", [1, 0, 0])
    _scale(hands, chart, "DAST-10", [0, 0, 1, 0, 0, 0, 0, 0, 0, 0])
    thoughts = risk != "none"
    _scale(hands, chart, "C-SSRS screener", _thoughts(thoughts))
    measures.record(hands.desk("paula"), chart.patient_id, "MADRS", answers=_madrs(course.before))
    if patient.main_scale != "PHQ-9":
        _main(hands, patient, chart, course, None)
    if patient.indication is Indication.PAIN:
        _scale(hands, chart, "NRS", [7])
    return chart


def _found_suitable(hands: Hands, patient: Patient, chart: _Chart, first: date) -> Iterator[datetime]:
    yield hands.at(first - timedelta(days=5), 10 + 5 * hands.chance.random())
    patients.note_facts(hands.desk("nora"), chart.patient_id, {f"workup.{n}.age_days": 0 for n in ("w02", "w10")})
    count = len(INDUCTION[patient.delivery])
    endpoint = f"{patient.main_scale} halved"
    courses.plan(
        hands.desk("paula"), chart.course_id, endpoint=endpoint, induction_sessions=count, interval_days=3.5,
        version=_version(hands, chart),
    )  # fmt: skip
    courses.find_suitable(hands.desk("paula"), chart.course_id, version=_version(hands, chart))


def _covered(
    hands: Hands, patient: Patient, chart: _Chart, first: date, *, until: str | None = None
) -> Iterator[datetime]:
    """Consent, safety plan, cover."""
    yield hands.at(first - timedelta(days=4), 9.5 + 6 * hands.chance.random())
    courses.take_consent(
        hands.desk("paula"), chart.course_id, method=ConsentMethod.PAPER, off_label_stated=True,
        given_by="patient", version=_version(hands, chart),
    )  # fmt: skip
    courses.safety_plan(hands.desk("theo"), chart.course_id, version=_version(hands, chart))
    courses.await_cover(hands.desk("cora"), chart.course_id, version=_version(hands, chart))
    if until is None:
        yield hands.at(first - timedelta(days=2), 9.5 + 6 * hands.chance.random())
        _authorise(hands, patient, chart)


def _authorise(hands: Hands, patient: Patient, chart: _Chart) -> None:
    today = hands.clock.now.astimezone(hands.zone).date()
    own = patient.indication in {Indication.PTSD, Indication.PAIN}
    courses.authorise(
        hands.desk("cora"), chart.course_id, payer="own pay" if own else "Northern Health",
        units=None if own else _COVER_UNITS, starts_on=today, ends_on=None if own else today + timedelta(days=180),
        self_pay=own, version=_version(hands, chart),
    )  # fmt: skip
    chart.cover_left = 1000 if own else chart.cover_left + _COVER_UNITS


def _begin(hands: Hands, patient: Patient, chart: _Chart, first: date) -> Iterator[datetime]:
    """Found suitable, covered, started, and the first session booked."""
    yield from _found_suitable(hands, patient, chart, first)
    chart.cover_left = 0
    yield from _covered(hands, patient, chart, first)
    yield hands.at(first - timedelta(days=1), 10 + 4 * hands.chance.random())
    courses.start(hands.desk("paula"), chart.course_id, version=_version(hands, chart))
    _book(hands, patient, chart, first)


def _treat(hands: Hands, patient: Patient, course: Course, chart: _Chart, first: date) -> Iterator[datetime]:
    """Every session of the schedule, with the scores before and the call after it, and the reviews between."""
    days = session_days(patient)
    induction = len(INDUCTION[patient.delivery])
    for number, day in enumerate(days, start=1):
        session_id, at = chart.booked[-1]
        today = _TODAY[patient.scene] if patient.scene is not None and day == patient.days_ago else None
        if at - hands.clock.now > timedelta(hours=4):
            yield at - timedelta(hours=2)
        _before(hands, patient, chart, course, day, maintained=number > induction)
        missed = yield from _session(hands, patient, chart, session_id, at, today)
        if number < len(days) and not missed:
            _book(hands, patient, chart, first + timedelta(days=days[number]))
        if missed:
            return
        yield from _after(hands, patient, chart, session_id, number)
        if number == induction:
            yield from _reviewed(hands, patient, chart, first, day)


def _session(
    hands: Hands, patient: Patient, chart: _Chart, session_id: str, at: datetime, today: _Today | None
) -> Generator[datetime, None, bool]:
    """A session, or why it was none; whether it was missed."""
    if today is not None and patient.scene is Scene.NO_SHOW:
        yield at + timedelta(minutes=45)
        diary.no_show(hands.desk("cora"), session_id, reason="did not come, phone not answered")
        return True
    if today is not None and patient.scene is Scene.CALLED_OFF:
        yield at - timedelta(minutes=40)
        diary.cancel_booking(hands.desk("cora"), session_id, reason="has a cold; calls again")
        return True
    begins = at if today is None else hands.now + timedelta(minutes=today.from_now_min)
    nausea = patient.special == "event" and len(chart.booked) == 4
    script = today.script if today is not None else Script(event="Nausea") if nausea else ORDINARY
    yield from sit(hands, patient, chart.patient_id, session_id, begins, number=len(chart.booked), script=script)
    chart.cover_left -= 1
    hands.sat += 1
    return False


def _before(hands: Hands, patient: Patient, chart: _Chart, course: Course, day: int, *, maintained: bool) -> None:
    """Scores shortly before a session; work-up again where it is getting old."""
    if hands.clock.now - chart.renewed_at > timedelta(days=_RENEW_D - 6):
        patients.note_facts(hands.desk("nora"), chart.patient_id, renewed(patient.sex))
        chart.renewed_at = hands.clock.now
        if maintained:
            _scale(hands, chart, "AUDIT-C", [1, 0, 0])
            _scale(hands, chart, "DAST-10", [0, 0, 1, 0, 0, 0, 0, 0, 0, 0])
    if day > 0 or patient.main_scale == "PHQ-9":
        _main(hands, patient, chart, course, day or None)
    if patient.indication is Indication.PAIN:
        _scale(hands, chart, "NRS", [round(on_scale(patient, course, day or None))])
    _scale(hands, chart, "C-SSRS screener", _thoughts(patient.special == "suicidal" and day < 7))


def _after(hands: Hands, patient: Patient, chart: _Chart, session_id: str, number: int) -> Iterator[datetime]:
    """The call a day later, the form to the risk programme, more cover."""
    last = number == sum(day < patient.days_ago for day in session_days(patient))  # before today
    unwell = last and patient.special == "unwell"
    call = hands.clock.now + timedelta(hours=20 if unwell else 22 + 2 * hands.chance.random())
    yield call
    if last and patient.special == "uncalled":
        return
    measures.check_in(
        hands.desk("nora"), chart.patient_id, session_id, unwell=unwell, low_mood_or_thoughts=False, drove_or_fell=False
    )
    hands.raised = hands.raised or unwell
    if patient.delivery is Delivery.ESK:
        yield call + timedelta(days=_FORM_D - 1)
        worklists.note_form_sent(hands.desk("cora"), session_id, reference=f"RF-{hands.chance.randint(10**5, 10**6)}")
    waits = hands.now - hands.clock.now < timedelta(days=8)  # the payer has not answered yet
    if not chart.cover_left or (chart.cover_left <= 2 and not waits):
        _authorise(hands, patient, chart)
    if patient.answer is Answer.NONE and number == 4 and patient.special != "unreviewed":
        yield hands.clock.now + timedelta(minutes=20)
        _review(
            hands, chart, ReviewKind.EARLY_NON_RESPONSE, ReviewDecision.CONTINUE, "little change; two more, then stop"
        )
    if patient.special == "suicidal" and number == 4:
        yield hands.now - timedelta(minutes=9)
        _answer_by_link(hands, chart, answers_of("PHQ-9", 17, hands.chance, item_9=2))


def _reviewed(hands: Hands, patient: Patient, chart: _Chart, first: date, day: int) -> Iterator[datetime]:
    """The end of induction: go on into maintenance, or stop."""
    yield hands.at(first + timedelta(days=day + 3), 13 + 3 * hands.chance.random())
    if patient.answer is Answer.NONE:
        _review(hands, chart, ReviewKind.END_OF_INDUCTION, ReviewDecision.STOP, "no benefit after six sessions")
        return
    _review(
        hands, chart, ReviewKind.END_OF_INDUCTION, ReviewDecision.CONTINUE, "clearly better by the scores and by report"
    )
    courses.maintain(hands.desk("paula"), chart.course_id, version=_version(hands, chart))


def _end(hands: Hands, patient: Patient, chart: _Chart) -> Iterator[datetime]:
    """What becomes of a course whose sessions are over."""
    later = hands.clock.now + timedelta(days=5)
    if patient.goes is Goes.STOPS and patient.stop_reason is not None:
        yield later
        why = patient.stop_reason
        reason = {StopReason.PATIENT_CHOICE: "the way is too long"}.get(why)
        courses.stop(hands.desk("paula"), chart.course_id, why=why, reason=reason, version=_version(hands, chart))
    elif patient.goes is Goes.PAUSES:
        yield hands.at(hands.day(17), 11.0)
        courses.pause(
            hands.desk("nora"), chart.course_id, reason="abroad for six weeks", version=_version(hands, chart)
        )
    elif patient.goes is Goes.RELAPSES:
        yield hands.at(hands.day(3), 15.0)
        _answer_by_link(hands, chart, answers_of("PHQ-9", 19, hands.chance))
        yield hands.at(hands.day(2), 10.0)
        courses.relapse(
            hands.desk("paula"), chart.course_id, reason="PHQ-9 back at 19, seen today", version=_version(hands, chart)
        )
    elif patient.goes is Goes.LAPSES and patient.answer is Answer.FADES:
        for days_ago, points in ((21, 12), (6, 18)):
            yield hands.at(hands.day(days_ago), 18.5)
            _answer_by_link(hands, chart, answers_of("PHQ-9", points, hands.chance))


def _book(hands: Hands, patient: Patient, chart: _Chart, day: date) -> None:
    """The next session: in a scene of today where the story has one, else in the first chair that is free."""
    desk, minutes = hands.desk("cora"), INFUSION_MIN if patient.delivery is Delivery.IV else 0.0
    today = hands.day(0)
    if day == today and patient.scene is not None:
        wanted = _TODAY[patient.scene]
        exact = hands.now + timedelta(minutes=wanted.from_now_min)
        at = exact.replace(minute=exact.minute - exact.minute % 5, second=0, microsecond=0)
        made = diary.book_session(desk, chart.course_id, chair_id=wanted.chair, starts_at=at, dose_minutes=minutes)
        chart.booked.append((made.id, at))
        return
    for _ in range(14):
        for hour in hands.chance.sample(_SLOTS_H, len(_SLOTS_H)):
            at = hands.at(day, hour)
            if at < hands.clock.now or (day == today and at < hands.now):
                continue
            for chair in ("1", "2", "3", "4", "5", "6"):
                try:
                    made = diary.book_session(desk, chart.course_id, chair_id=chair, starts_at=at, dose_minutes=minutes)
                except BookingRefused:
                    continue
                chart.booked.append((made.id, at))
                return
        day += timedelta(days=1)
    raise AssertionError  # pragma: no cover  six chairs are never full for two weeks


def _main(hands: Hands, patient: Patient, chart: _Chart, course: Course, day: int | None) -> None:
    points = on_scale(patient, course, day)
    _scale(hands, chart, patient.main_scale, answers_of(patient.main_scale, points, hands.chance))


def _scale(hands: Hands, chart: _Chart, name: str, answers: list[int] | dict[str, int]) -> None:
    made = measures.record(hands.desk("cora"), chart.patient_id, name, answers=answers)
    hands.raised = hands.raised or bool(made.also)


def _answer_by_link(hands: Hands, chart: _Chart, answers: list[int]) -> None:
    """The patient answers at home, by a link."""
    link = passes.issue_link(hands.desk("cora"), chart.patient_id, Purpose.ANSWER_SCALE, about="phq9", days=7)
    _, who = login.open_link(hands.store, link.token)
    measures.answer(
        Desk(store=hands.store, actor=who), chart.patient_id, "PHQ-9",
        {str(place): value for place, value in enumerate(answers, start=1)},
    )  # fmt: skip
    hands.raised = True


def _review(hands: Hands, chart: _Chart, kind: ReviewKind, decision: ReviewDecision, reason: str) -> None:
    courses.review(
        hands.desk("paula"), chart.course_id, kind=kind, decision=decision, reason=reason,
        version=_version(hands, chart),
    )  # fmt: skip


def _thoughts(there: bool) -> dict[str, int]:  # noqa: FBT001  the one thing it says
    found = dict.fromkeys(("1", "2", "3", "4", "5", "6"), 0)
    return found | {"1": 1, "2": 1} if there else found


def _madrs(phq9: float) -> list[int]:
    """Clinician-rated, at about the same severity."""
    total = min(50, max(29, round(1.7 * phq9)))
    each, more = divmod(total, 9)
    return [each + (place < more) for place in range(9)] + [0]


def _tried(weeks: int) -> tuple[MedicineTrial, ...]:
    return tuple(
        MedicineTrial(
            drug=drug,
            drug_class=kind,
            at_least_minimum_dose=True,
            weeks=weeks,
            improvement_pct=10,
            outcome=TrialOutcome.FAILED,
            this_episode=True,
        )
        for drug, kind in (("sertraline", "ssri"), ("venlafaxine", "snri"))
    )


def _version(hands: Hands, chart: _Chart) -> int:
    return courses.read_course(hands.desk("paula"), chart.course_id).shown.version
