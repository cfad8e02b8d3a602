"""One session of the demo clinic, from arrival to close: what the room does, minute by minute.

A sitting is a generator: it yields the time of what comes next. A clock that stops in between leaves a patient in the
chair, which is how today is made.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta

from afterglow.clinic import Delivery, Indication
from afterglow.demo.cast import Patient
from afterglow.demo.hands import DEVICE_UG, UG_PER_UL, VIAL_UG, Hands, arrival
from afterglow.usecases import patients, room, sessions
from afterglow.usecases.desk import Desk
from afterglow.usecases.room import Vitals
from afterglow.usecases.work import Written

INFUSION_MIN = 40.0
PREPARE_MIN = 30  # of the site policy: from the booked time to the dose
_MG_PER_KG = 0.5
_IV_READINGS: tuple[int, ...] = (10, 20, 30, 40, 55, 70, 85, 100)
_ESK_READINGS: tuple[int, ...] = (2, 20, 40, 60, 90, 120)
_EVERY_DEVICE_MIN = 5
_LEFT = dict.fromkeys(
    (
        "clinically_stable",
        "sedation_resolved",
        "dissociation_resolved",
        "respiratory_depression_resolved",
        "oriented_x3",
        "steady_gait",
        "escort_present",
        "instructions_given",
        "driving_ban_acknowledged",
        "out_of_hours_contact_given",
        "signed",
    ),
    True,
)
_READY = (2, 2, 2, 2, 2)


@dataclass(frozen=True, slots=True, kw_only=True)
class Script:
    """What is unlike other sessions.

    Args:
        unknown: answers at arrival that nobody has yet: the session waits at its gate.
        before: pressure at screening, systolic and diastolic in mmHg.
        last_reading_min: readings planned after it are not taken.
        held_at_min: minutes after the start at which a low saturation stops the dose for a while.
        event: an adverse event, in words.
        closes: whether the nurse closes the session once the patient has left.
    """

    unknown: tuple[str, ...] = ()
    before: tuple[int, int] | None = None
    last_reading_min: float = math.inf
    held_at_min: float | None = None
    event: str | None = None
    closes: bool = True


ORDINARY = Script()


@dataclass(slots=True, kw_only=True)
class _Seat:
    """A patient in a chair, and the session's version as last written."""

    hands: Hands
    patient: Patient
    session_id: str
    number: int
    script: Script
    nurse: str
    other: str
    prescriber: str
    base: tuple[int, int]
    dose_ug: int
    version: int = 1
    used: tuple[str, ...] = ()

    @property
    def spray(self) -> bool:
        return self.patient.delivery is Delivery.ESK

    def did(self, written: Written) -> Written:
        self.version = written.version
        return written

    def desk(self) -> Desk:
        """The nurse's."""
        return self.hands.desk(self.nurse)


def sit(
    hands: Hands, patient: Patient, patient_id: str, session_id: str, at: datetime, *, number: int, script: Script
) -> Iterator[datetime]:
    """A patient's session of a number, that is booked at a time."""
    seat = _take_seat(hands, patient, session_id, number, script)
    started = at + timedelta(minutes=PREPARE_MIN)

    def minute(value: float) -> datetime:
        return at + timedelta(minutes=value)

    yield minute(hands.chance.choice((-4, -2, 1, 3)))
    seat.did(sessions.check_in(hands.desk("cora"), session_id))
    yield minute(6)
    seat.did(room.read_vitals(seat.desk(), session_id, _vitals(seat, minutes=None)))
    yield minute(9)
    seat.did(sessions.screening(seat.desk(), session_id, arrival(spray=seat.spray, unknown=script.unknown)))
    asked = {f"workup.{name}.age_days": 0 for name in ("w03", "w10", "w17")}
    urinary = {"review.days_since_urinary_question": 0, "events.urinary_symptoms_new": False}
    patients.note_facts(seat.desk(), patient_id, asked | urinary)
    patients.reconcile_medicines(seat.desk(), patient_id, (), visit=session_id)
    yield minute(13)
    _order(seat)
    if script.unknown:
        return
    yield minute(16)
    _prepare(seat)
    yield minute(20)
    _check(seat)
    yield minute(23)
    seat.did(sessions.say_go(hands.desk(seat.prescriber), session_id, version=seat.version))
    yield minute(26)
    seat.used = hands.containers(patient.delivery, seat.dose_ug // DEVICE_UG if seat.spray else 1)
    for each in seat.used:
        seat.did(room.take(seat.desk(), session_id, each, amount_ug=DEVICE_UG if seat.spray else VIAL_UG))
    yield started
    seat.did(room.start(seat.desk(), session_id, version=seat.version))
    yield from _given_and_watched(seat, started)
    if script.held_at_min is not None:
        return  # who decides is at the patient's side when the demo opens
    yield started + timedelta(minutes=123 if seat.spray else 103)
    seat.did(room.let_go(seat.desk(), session_id, _LEFT, aldrete=_READY, padss=_READY, version=seat.version))
    if script.closes:
        yield started + timedelta(minutes=131 if seat.spray else 112)
        _close(seat)


def _take_seat(hands: Hands, patient: Patient, session_id: str, number: int, script: Script) -> _Seat:
    chance = hands.chance
    nurse = chance.choice(("nora", "niko"))
    if patient.delivery is Delivery.ESK:
        low = number == 1 and patient.indication is not Indication.MDSI  # the label gives 84 mg from the start there
        dose_ug = 56_000 if low else 84_000
    else:
        dose_ug = round(1000 * _MG_PER_KG * patient.weight_kg)
    return _Seat(
        hands=hands,
        patient=patient,
        session_id=session_id,
        number=number,
        script=script,
        nurse=nurse,
        other="niko" if nurse == "nora" else "nora",
        prescriber=chance.choice(("paula", "paula", "peter")),
        base=script.before or (chance.randint(112, 132), chance.randint(68, 82)),
        dose_ug=dose_ug,
    )


def _given_and_watched(seat: _Seat, started: datetime) -> Iterator[datetime]:
    """The dose and the readings beside it, in order of time."""
    script, session_id = seat.script, seat.session_id
    for minutes, what in _steps(seat):
        later = seat.hands.chance.random() if what == "read" else 0.0
        yield started + timedelta(minutes=minutes + later)
        if what == "end":
            amounts = () if seat.spray else ((seat.used[0], seat.dose_ug),)
            seat.did(room.end_dose(seat.desk(), session_id, amounts_ug=amounts))
        elif what == "hold":
            seat.did(room.pause_dose(seat.desk(), session_id, reason="saturation 91 %, oxygen given"))
        elif what == "event":
            term = script.event or ""
            seat.did(room.note_event(seat.desk(), session_id, term=term, intervention="ondansetron 4 mg"))
        elif what in {"read", "low"}:
            seen = _vitals(seat, minutes=minutes, spo2=91 if what == "low" else None)
            made = seat.did(room.read_vitals(seat.desk(), session_id, seen))
            seat.hands.raised = seat.hands.raised or len(made.also) > 1
        else:
            seat.did(room.use_device(seat.desk(), session_id, what, green_dots_checked=True, primed=False))


def _steps(seat: _Seat) -> list[tuple[float, str]]:
    """What is done when, in minutes after the start: a reading, a device by its id, the end of the dose, and so on."""
    script = seat.script
    if seat.spray:
        steps = [(float(_EVERY_DEVICE_MIN * place), each) for place, each in enumerate(seat.used)]
        steps.append((steps[-1][0] + 1, "end"))
        readings = _ESK_READINGS
    else:
        steps, readings = [(INFUSION_MIN, "end")], _IV_READINGS
    steps += [(float(minutes), "read") for minutes in readings if minutes <= script.last_reading_min]
    if script.event is not None:
        steps.append((35.0, "event"))
    if script.held_at_min is not None:
        steps = [each for each in steps if each[0] < script.held_at_min]
        steps += [(script.held_at_min, "low"), (script.held_at_min + 1, "hold")]
    return sorted(steps, key=lambda each: (each[0], each[1] == "end"))


def _order(seat: _Seat) -> None:
    desk = seat.hands.desk(seat.prescriber)
    if seat.spray:
        seat.did(sessions.order(desk, seat.session_id, dose_mg=seat.dose_ug / 1000))
    else:
        seat.did(sessions.order(desk, seat.session_id, dose_mg_per_kg=_MG_PER_KG, infusion_min=INFUSION_MIN))


def _prepare(seat: _Seat) -> None:
    """What is prepared waits for its second check; the session itself has not changed."""
    weight_kg = seat.patient.weight_kg
    if seat.spray:
        sessions.prepare(seat.desk(), seat.session_id, weight_kg=weight_kg)
    else:
        sessions.prepare(
            seat.desk(), seat.session_id, weight_kg=weight_kg, concentration_mg_per_ml=UG_PER_UL, diluted=True
        )


def _check(seat: _Seat) -> None:
    volume = {} if seat.spray else {"volume_ul": seat.dose_ug // UG_PER_UL, "concentration_ug_per_ul": UG_PER_UL}
    seat.did(sessions.second_check(seat.hands.desk(seat.other), seat.session_id, amount_ug=seat.dose_ug, **volume))


def _close(seat: _Seat) -> None:
    if not seat.spray:
        seat.did(
            room.waste_drug(
                seat.desk(),
                seat.session_id,
                seat.used[0],
                amount_ug=VIAL_UG - seat.dose_ug,
                reason="rest of the vial",
                witness=seat.hands.actor(seat.other),
            )
        )
    if seat.script.event is not None:
        for each in sessions.read_session(seat.desk(), seat.session_id).shown.session.adverse_events:
            seat.did(room.grade(seat.desk(), seat.session_id, each.id, grade=2, serious=False))
    seat.did(room.sign(seat.desk(), seat.session_id))
    room.finish(seat.desk(), seat.session_id, version=seat.version)


def _vitals(seat: _Seat, *, minutes: float | None, spo2: int | None = None) -> Vitals:
    """Readings of somebody quiet, whose pressure rises and falls with the drug; None is before the dose."""
    chance = seat.hands.chance
    shape = 0.0 if minutes is None else math.exp(-(((minutes - 35.0) / 28.0) ** 2))
    rise = shape * (17.0 if seat.spray else 20.0)
    awake = minutes is None or minutes < 5 or minutes > 70
    low, high = (-4.0, -1.0) if minutes is not None and minutes > 80 else (-2.0, 2.0)  # settles under where it began
    systolic, diastolic = seat.base
    if minutes is not None:
        systolic = round(systolic + rise + chance.uniform(low, high))
        diastolic = round(diastolic + 0.55 * rise + chance.uniform(low, high))
    return Vitals(
        systolic_mmhg=systolic,
        diastolic_mmhg=diastolic,
        heart_rate_per_min=round(70 + 0.3 * rise + chance.uniform(-4, 4)),
        spo2_pct=spo2 or chance.choice((97, 98, 98, 99)),
        respiratory_rate_per_min=chance.choice((13, 14, 15, 16)),
        moaas=5 if awake else chance.choice((4, 5)),
        dissociated=not awake,
    )
