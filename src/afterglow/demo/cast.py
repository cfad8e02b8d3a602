"""Who works in the demo clinic, who is treated there, and what becomes of each. Names and stories are made up."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from enum import StrEnum

from afterglow.clinic import Delivery, Indication, Role, StopReason

CLINIC_NAME = "Harbour Clinic (demo)"
CHAIRS = ("1", "2", "3", "4", "5", "6")


@dataclass(frozen=True, slots=True, kw_only=True)
class Colleague:
    """Somebody who works in the demo clinic."""

    login: str
    name: str
    roles: tuple[Role, ...]


STAFF = (
    Colleague(login="nora", name="Nora Osei, RN", roles=(Role.NURSE,)),
    Colleague(login="niko", name="Niko Brandt, RN", roles=(Role.NURSE,)),
    Colleague(login="paula", name="Dr Paula Hale", roles=(Role.PRESCRIBER,)),
    Colleague(login="peter", name="Dr Peter Lindqvist", roles=(Role.PRESCRIBER,)),
    Colleague(login="cora", name="Cora Ruiz", roles=(Role.COORDINATOR,)),
    Colleague(login="theo", name="Theo Amsel", roles=(Role.THERAPIST,)),
    Colleague(login="dina", name="Dr Dina Voss", roles=(Role.MEDICAL_DIRECTOR,)),
    Colleague(login="clea", name="Clea Marsh", roles=(Role.COMPLIANCE,)),
    Colleague(login="rosa", name="Rosa Quist", roles=(Role.RESEARCHER,)),
    Colleague(login="adam", name="Adam Pryce", roles=(Role.ADMINISTRATOR,)),
)


class Answer(StrEnum):
    """How a patient is picked from those that the model draws."""

    GOOD = "good"  # at least halved at the end of induction, and it holds
    SLOW = "slow"  # some relief, less than half
    NONE = "none"  # less than a fifth
    FADES = "fades"  # halved, and most of it lost again


class Goes(StrEnum):
    """What becomes of a course."""

    ON = "on"
    LAPSES = "lapses"  # stops coming; nobody has stopped the course
    STOPS = "stops"
    PAUSES = "pauses"
    RELAPSES = "relapses"
    WAITS = "waits"  # not treated yet


class Scene(StrEnum):
    """Where a patient is today, told by what the clock has reached; see `today` in `stories`."""

    EARLY_INFUSION = "early_infusion"
    HELD = "held"
    READY = "ready"
    WATCHED = "watched"
    READING_LATE = "reading_late"
    OPEN_GATE = "open_gate"
    MORNING_CLOSED = "morning_closed"
    MORNING_OPEN = "morning_open"
    NO_SHOW = "no_show"
    CALLED_OFF = "called_off"
    NEXT_INFUSION = "next_infusion"
    NEXT_SPRAY = "next_spray"
    LATE_INFUSION = "late_infusion"


@dataclass(frozen=True, slots=True, kw_only=True)
class Patient:
    """A made-up patient and the story to be lived.

    Args:
        days_ago: when the first session was (will be, if negative), before today.
        sessions: most that are given; None for as many as the schedule has until today.
        waits_at: state that a course which waits has reached.
        scene: of today.
        special: a turn that this story takes; see `stories`.
    """

    name: str
    born_on: date
    sex: str
    weight_kg: float
    indication: Indication = Indication.TRD
    delivery: Delivery = Delivery.IV
    answer: Answer = Answer.GOOD
    days_ago: int = 0
    sessions: int | None = None
    goes: Goes = Goes.ON
    stop_reason: StopReason | None = None
    waits_at: str | None = None
    scene: Scene | None = None
    special: str | None = None

    @property
    def main_scale(self) -> str:
        """The scale by which the clinic follows this patient."""
        return {Indication.PTSD: "PCL-5", Indication.PAIN: "PEG"}.get(self.indication, "PHQ-9")


def _born(text: str) -> date:
    return date.fromisoformat(text)


_ESK, _IV = Delivery.ESK, Delivery.IV
PATIENTS = (
    # In a chair now
    Patient(name="Jonas Wieland", born_on=_born("1979-04-12"), sex="male", weight_kg=78, days_ago=10,
            scene=Scene.EARLY_INFUSION),
    Patient(name="Ines Almeida", born_on=_born("1988-11-02"), sex="female", weight_kg=61, delivery=_ESK, days_ago=44,
            scene=Scene.WATCHED),
    Patient(name="Amara Bello", born_on=_born("1991-06-21"), sex="female", weight_kg=70, delivery=_ESK, days_ago=8,
            answer=Answer.SLOW, scene=Scene.READING_LATE),
    Patient(name="Theodor Lang", born_on=_born("1966-01-30"), sex="male", weight_kg=86, days_ago=14,
            answer=Answer.SLOW, scene=Scene.HELD),
    Patient(name="Sofia Marchetti", born_on=_born("1974-09-08"), sex="female", weight_kg=64, days_ago=80,
            scene=Scene.READY),
    Patient(name="Priya Nair", born_on=_born("1985-02-17"), sex="female", weight_kg=58, days_ago=3,
            scene=Scene.OPEN_GATE),
    # Here this morning, or should have been
    Patient(name="Karim Haddad", born_on=_born("1970-12-05"), sex="male", weight_kg=82, days_ago=122,
            scene=Scene.MORNING_CLOSED),
    Patient(name="Linnea Dahl", born_on=_born("1995-07-14"), sex="female", weight_kg=66, delivery=_ESK, days_ago=24,
            scene=Scene.MORNING_OPEN),
    Patient(name="Oskar Feld", born_on=_born("1958-03-03"), sex="male", weight_kg=90, delivery=_ESK, days_ago=60,
            answer=Answer.SLOW, scene=Scene.NO_SHOW),
    Patient(name="Mirela Popa", born_on=_born("1982-10-27"), sex="female", weight_kg=69, days_ago=101,
            scene=Scene.CALLED_OFF),
    # To come today
    Patient(name="Daniel Roth", born_on=_born("1969-08-19"), sex="male", weight_kg=84, delivery=_ESK, days_ago=3,
            scene=Scene.NEXT_SPRAY),
    Patient(name="Hana Tanaka", born_on=_born("1993-05-11"), sex="female", weight_kg=55, days_ago=0,
            scene=Scene.NEXT_INFUSION),
    Patient(name="Greta Olsen", born_on=_born("1961-02-09"), sex="female", weight_kg=72, days_ago=59,
            scene=Scene.LATE_INFUSION),
    # Under treatment, not here today
    Patient(name="Lena Kowalski", born_on=_born("1990-03-28"), sex="female", weight_kg=63, indication=Indication.MDSI,
            delivery=_ESK, days_ago=15, special="suicidal"),
    Patient(name="Marcus Field", born_on=_born("1972-07-07"), sex="male", weight_kg=88, days_ago=165),
    Patient(name="Elif Demir", born_on=_born("1987-01-15"), sex="female", weight_kg=59, days_ago=150, special="event"),
    Patient(name="Henrik Sand", born_on=_born("1964-11-23"), sex="male", weight_kg=81, delivery=_ESK, days_ago=130),
    Patient(name="Yara Costa", born_on=_born("1998-09-30"), sex="female", weight_kg=57, delivery=_ESK, days_ago=95),
    Patient(name="Tomas Novak", born_on=_born("1976-06-02"), sex="male", weight_kg=93, days_ago=8,
            answer=Answer.NONE),
    Patient(name="Agnes Berg", born_on=_born("1955-12-18"), sex="female", weight_kg=68, days_ago=16,
            answer=Answer.NONE, special="unreviewed"),
    Patient(name="Samuel Adeyemi", born_on=_born("1983-04-04"), sex="male", weight_kg=77, delivery=_ESK, days_ago=12,
            answer=Answer.SLOW, special="uncalled"),
    Patient(name="Nadia Rahimi", born_on=_born("1980-08-25"), sex="female", weight_kg=65, indication=Indication.PTSD,
            days_ago=39, special="unwell"),
    Patient(name="Victor Lund", born_on=_born("1971-10-10"), sex="male", weight_kg=85, indication=Indication.PTSD,
            days_ago=12, answer=Answer.SLOW),
    Patient(name="Ruth Ziegler", born_on=_born("1962-05-05"), sex="female", weight_kg=74, indication=Indication.PAIN,
            days_ago=48, answer=Answer.SLOW),
    # Getting worse, lapsed, paused
    Patient(name="Clara Winter", born_on=_born("1989-12-01"), sex="female", weight_kg=62, days_ago=75, sessions=6,
            answer=Answer.FADES, goes=Goes.LAPSES),
    Patient(name="Paul Okafor", born_on=_born("1977-02-22"), sex="male", weight_kg=80, days_ago=110, sessions=7,
            answer=Answer.FADES, goes=Goes.RELAPSES),
    Patient(name="Bruno Keller", born_on=_born("1968-06-16"), sex="male", weight_kg=79, delivery=_ESK, days_ago=40,
            sessions=5, answer=Answer.SLOW, goes=Goes.LAPSES),
    Patient(name="Eva Lindholm", born_on=_born("1984-03-19"), sex="female", weight_kg=67, days_ago=90, sessions=8,
            goes=Goes.PAUSES),
    # Over
    Patient(name="Felix Baumann", born_on=_born("1981-01-26"), sex="male", weight_kg=83, days_ago=140, sessions=6,
            answer=Answer.NONE, goes=Goes.STOPS, stop_reason=StopReason.NO_BENEFIT),
    Patient(name="Maja Horvat", born_on=_born("1992-10-13"), sex="female", weight_kg=60, delivery=_ESK, days_ago=120,
            sessions=4, answer=Answer.SLOW, goes=Goes.STOPS, stop_reason=StopReason.PATIENT_CHOICE),
    Patient(name="Ivo Stanic", born_on=_born("1973-07-31"), sex="male", weight_kg=91, days_ago=168, sessions=9,
            goes=Goes.STOPS, stop_reason=StopReason.PLANNED_END),
    # Not treated yet
    Patient(name="Olivia Grant", born_on=_born("1996-08-08"), sex="female", weight_kg=64, goes=Goes.WAITS,
            days_ago=-6, waits_at="inquiry"),
    Patient(name="Stefan Moser", born_on=_born("1967-09-17"), sex="male", weight_kg=87, goes=Goes.WAITS, days_ago=-5,
            waits_at="candidacy"),
    Patient(name="Leila Farouk", born_on=_born("1986-11-11"), sex="female", weight_kg=58, goes=Goes.WAITS,
            delivery=_ESK, days_ago=-2, waits_at="consent"),
    Patient(name="Anton Reis", born_on=_born("1978-05-24"), sex="male", weight_kg=76, goes=Goes.WAITS, days_ago=-3,
            waits_at="authorisation"),
    Patient(name="Wilma Dorn", born_on=_born("1950-04-20"), sex="female", weight_kg=71, goes=Goes.WAITS, days_ago=-4,
            waits_at="candidacy", special="high_pressure"),
)  # fmt: skip
"""Everybody who is or was treated."""
