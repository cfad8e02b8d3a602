"""Small examples for the documentation of the rules: people, a day, and things as they stand at a minute of it."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from typing import Any

from afterglow.clinic.acting import Act, Role
from afterglow.clinic.alerts import ClinicAlert, alert_from_finding
from afterglow.clinic.candidacy import Candidacy, assess_candidacy
from afterglow.clinic.containers import Container, receive
from afterglow.clinic.course import Authorisation, Consent, ConsentMethod, CourseState, TreatmentCourse
from afterglow.clinic.diary import Booking, BookingState, Chair, Diary
from afterglow.clinic.dosing import BodyWeight, DoseOrder, RateStep, SecondCheck, prepare_dose
from afterglow.clinic.gates import Chart
from afterglow.clinic.medicines import MedicineList
from afterglow.clinic.policy import SitePolicy, demo_policy
from afterglow.clinic.resistance import Indication
from afterglow.clinic.rulebook import Delivery, rule
from afterglow.clinic.ruling import judge
from afterglow.clinic.session import (
    DrugUse,
    DrugUseKind,
    InfusionRun,
    Reading,
    SessionState,
    TreatmentSession,
    policy_digest,
)
from afterglow.quantities import DrugForm

START = datetime(2026, 1, 5, 9, tzinfo=UTC)
POLICY: SitePolicy = demo_policy()


def at(minutes: float) -> datetime:
    """Minutes after nine o'clock.

    >>> at(40).isoformat()
    '2026-01-05T09:40:00+00:00'
    """
    return START + timedelta(minutes=minutes)


def act(role: Role, minutes: float = 0, *, by: str | None = None, reason: str | None = None) -> Act:
    """What somebody of a role does at a minute.

    >>> act(Role.NURSE).by
    'nurse1'
    """
    return Act(by=by or f"{role}1", roles=(role,), at=at(minutes), reason=reason)


def nurse(minutes: float = 0, *, by: str | None = None, reason: str | None = None) -> Act:
    """What a nurse does.

    >>> nurse(5, by="rn2").by
    'rn2'
    """
    return act(Role.NURSE, minutes, by=by, reason=reason)


def prescriber(minutes: float = 0, *, by: str | None = None, reason: str | None = None) -> Act:
    """What a prescriber does.

    >>> prescriber(reason="fit").reason
    'fit'
    """
    return act(Role.PRESCRIBER, minutes, by=by, reason=reason)


def course(**changes: Any) -> TreatmentCourse:
    """IV ketamine in induction, with a consent that stands and self-pay.

    >>> course().state.value
    'induction'
    """
    consent = Consent(
        version="2",
        delivery=Delivery.IV,
        method=ConsentMethod.PAPER,
        off_label_stated=True,
        given_by="p1",
        taken_by="nurse1",
        at=at(-60),
    )
    cover = Authorisation(id="a1", payer="self", units=None, self_pay=True, starts_on=START.date())
    whole = TreatmentCourse(
        id="c1",
        patient_id="p1",
        delivery=Delivery.IV,
        drug=DrugForm.RACEMIC_KETAMINE,
        indication=Indication.TRD,
        state=CourseState.INDUCTION,
        consents=(consent,),
        authorisations=(cover,),
        induced_at=at(-60),
    )
    return replace(whole, **changes)


def candidacy(**facts: Any) -> Candidacy:
    """Of the patient of `course`, with hardly anything known; double underscores stand for dots.

    >>> candidacy(age=44).hits
    ()
    """
    known = {name.replace("__", "."): value for name, value in facts.items()}
    return assess_candidacy(known, patient_id="p1", delivery=Delivery.IV, policy=POLICY, at=START)


def chart(**changes: Any) -> Chart:
    """Of the patient of `course`.

    >>> chart().age_years
    44
    """
    whole = Chart(
        course=course(), candidacy=candidacy(age=44), medicines=MedicineList(), age_years=44, consent_version="2"
    )
    return replace(whole, **changes)


def session(state: SessionState = SessionState.BOOKED, **changes: Any) -> TreatmentSession:
    """The first session of `course` in a state, under the demo clinic's policy once somebody is there.

    >>> session().number
    1
    """
    fixed: dict[str, Any] = {"policy_version": POLICY.version, "policy_digest": policy_digest(POLICY)}
    whole = TreatmentSession(
        id="s1",
        patient_id="p1",
        course_id="c1",
        delivery=Delivery.IV,
        drug=DrugForm.RACEMIC_KETAMINE,
        number=1,
        week=1,
        planned_at=START,
        state=state,
        **({} if state is SessionState.BOOKED else fixed),
    )
    return replace(whole, **changes)


def injected(**changes: Any) -> TreatmentSession:
    """Ketamine given into a muscle at nine o'clock; the patient is watched.

    >>> injected().dose_started_at == START
    True
    """
    run = InfusionRun(since=START, until=START)
    given = {"delivery": Delivery.IM, "runs": (run,), "dose_ended_at": START, **changes}
    return session(given.pop("state", SessionState.OBSERVING), **given)


def infusion_of_hours() -> TreatmentSession:
    """12 mg/h for four hours, from nine o'clock on; 100 mg are drawn.

    >>> infusion_of_hours().prepared.amount_ug
    48000
    """
    order = DoseOrder(
        id="o1",
        delivery=Delivery.IV,
        drug=DrugForm.RACEMIC_KETAMINE,
        indication=Indication.TRD,
        steps=(RateStep(mg_per_h=12.0, hours=4.0),),
        ordered_by="prescriber1",
        ordered_at=at(-20),
    )
    weight = BodyWeight(kg=80.0, measured_at=at(-30))
    dose = prepare_dose(order, nurse(-15), policy=POLICY, weight=weight, concentration_mg_per_ml=50, diluted=True)
    check = SecondCheck(
        order_id="o1",
        amount_ug=dose.amount_ug,
        volume_ul=dose.volume_ul,
        concentration_ug_per_ul=50,
        by="nurse2",
        at=at(-14),
    )
    return session(
        SessionState.DOSING,
        order=order,
        prepared=dose,
        second_check=check,
        arrived_at=at(-45),
        runs=(InfusionRun(since=START),),
        drug_uses=(DrugUse(kind=DrugUseKind.DRAWN, container_id="v1", amount_ug=100_000, at=at(-5), by="nurse1"),),
    )


def reading(minutes: float = 0, **values: Any) -> Reading:
    """What was read at a minute, and nothing besides.

    >>> reading(spo2_pct=97).spo2_pct
    97
    """
    return Reading(id=f"r{minutes:g}", taken_at=at(minutes), entered_at=at(minutes), by="nurse1", **values)


def vial(amount_ug: int = 500_000) -> Container:
    """Ketamine 50 mg/mL as it came in.

    >>> vial().balance_ul
    10000
    """
    return receive(
        nurse(-60),
        container_id="v1",
        lot="L1",
        drug=DrugForm.RACEMIC_KETAMINE,
        expires_on=date(2027, 1, 1),
        amount_ug=amount_ug,
        concentration_ug_per_ul=50,
    ).now


def diary(state: str = "booked") -> Diary:
    """One chair: intranasal esketamine from nine o'clock on, for two and a half hours, and again from twelve.

    >>> len(diary().active)
    2
    """
    first, second = (
        Booking(
            id=f"b{number}",
            patient_id=f"p{number}",
            chair_id="A",
            delivery=Delivery.ESK,
            starts_at=at(minutes),
            until=at(minutes + 150),
        )
        for number, minutes in ((1, 0), (2, 180))
    )
    chairs = (Chair(id="A", deliveries=(Delivery.ESK,)),)
    return Diary(chairs=chairs, capacity=2, bookings=(replace(first, state=BookingState(state)), second))


def alert(spo2_pct: int = 91) -> ClinicAlert:
    """Of an oxygen saturation read at nine o'clock.

    >>> alert().about
    'S044'
    """
    found = judge(rule("S044"), {"vitals.spo2": spo2_pct}, POLICY, delivery=Delivery.IV)
    return alert_from_finding(found, alert_id="a1", patient_id="p1", action=None, at=START, policy=POLICY)
