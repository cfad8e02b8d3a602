"""How pages and documents say what the rules call by name: gates, questions, points of the leave check, readings."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from afterglow.clinic import Delivery, Group, Rule, SessionState, SitePolicy, fact_kinds, rules_of, sources
from afterglow.predicates import Fact, facts_of

STEPS = ("Arrive", "Screen", "Go or no-go", "Dose", "Monitor", "Leave", "Close")
PHASES = {
    SessionState.BOOKED: (1, "Booked"),
    SessionState.ARRIVED: (2, "Screen"),
    SessionState.SCREENED: (3, "Go or no-go"),
    SessionState.CLEARED: (4, "Dose"),
    SessionState.DOSING: (4, "Dose"),
    SessionState.HELD: (4, "Dose held"),
    SessionState.OBSERVING: (5, "Monitor"),
    SessionState.LEFT: (7, "Close"),
    SessionState.CLOSED: (7, "Closed"),
    SessionState.CANCELLED: (1, "Cancelled"),
    SessionState.MISSED: (1, "Missed"),
}
GATES = {
    "treatment": "Course and consent",
    "cover": "Cover",
    "candidacy": "Candidacy",
    "medicines": "Medicines gone through",
    "identity": "Identity and checklist",
    "rems": "REMS",
    "escort": "Escort, no driving",
    "fasting": "Fasting",
    "cssrs": "C-SSRS",
    "well": "Well today",
    "vitals": "Vitals",
    "staff": "Staff and room",
    "dose": "Dose within limits",
}
_PLACES = (
    ("Identity and checklist", ("checklist",)),
    ("REMS", ("rems",)),
    ("Food, drink, alcohol", ("intake",)),
    ("Suicide risk since last contact (C-SSRS)", ("cssrs_slc",)),
    ("How the patient is", ("arrival", "meds")),
    ("Getting home", ("logistics",)),
    ("Staff and room", ("staff", "equipment")),
    ("Schedule", ("schedule",)),
)
QUESTIONS = {
    "checklist.arrival_complete": "Identity, consent, allergies, pregnancy, medicines, alcohol and drugs gone through",
    "rems.setting_certified": "Setting is certified",
    "rems.patient_enrolled": "Patient is enrolled",
    "rems.prescriber_on_site": "Prescriber is on site",
    "rems.pulse_oximeter_present": "Pulse oximeter is here",
    "intake.hours_since_food": "Hours since food",
    "intake.minutes_since_liquids": "Minutes since liquids",
    "intake.minutes_since_nasal_drug": "Minutes since a nasal steroid or decongestant",
    "intake.hours_since_solid_food": "Hours since solid food",
    "intake.hours_since_clear_fluids": "Hours since clear fluids",
    "intake.hours_since_alcohol": "Hours since alcohol",
    "cssrs_slc.item_4": "Question 4 answered yes",
    "cssrs_slc.item_5": "Question 5 answered yes",
    "cssrs_slc.behaviour": "Suicidal behaviour",
    "arrival.acute_illness": "New acute illness",
    "arrival.intoxicated": "Intoxicated",
    "arrival.oriented": "Oriented",
    "meds.sedating_or_pressor_changed": "A sedating or pressure-raising medicine is new or changed",
    "logistics.escort_confirmed": "Adult escort is confirmed",
    "logistics.no_driving_confirmed": "Will not drive until the day after, after restful sleep",
    "staff.prescriber_in_facility": "Prescriber is in the building",
    "staff.acls_on_site": "Advanced life support responder is on site",
    "staff.second_bls_on_site": "Second person with basic life support is here",
    "equipment.emergency_set_checked": "Emergency set is checked",
    "staff.iv_patients_per_rn": "Infusions that this nurse watches now",
    "schedule.returned_to_twice_weekly": "Went back to twice a week by decision",
}
LEAVING = {
    "clinically_stable": "Clinically stable",
    "sedation_resolved": "Sedation is over",
    "dissociation_resolved": "Dissociation is over",
    "respiratory_depression_resolved": "Breathing is normal",
    "oriented_x3": "Oriented to person, place and time",
    "steady_gait": "Walks steadily",
    "escort_present": "Escort is here",
    "instructions_given": "Written instructions given",
    "driving_ban_acknowledged": "Driving ban understood",
    "out_of_hours_contact_given": "Contact for the night given",
    "signed": "I let the patient go and sign for it",
}
LEAVE_RULES = {
    "S060": "Stable, pressure falling, nothing left of the drug",
    "S061": "Time after the dose",
    "S062": "Aldrete 9 or more, then PADSS 9 or more",
    "S063": "Awake, oriented, steady, pressure near baseline",
    "S064": "Escort, instructions, driving ban, contact",
    "S065": "Signed by who lets the patient go",
    "S066": "Time after the dose",
    "S067": "No dissociation in the last set",
}
MONITORING = {
    "S030": "No pressure about 40 minutes after the first device",
    "S031": "Two hours since the first device are not over",
    "S032": "Oxygen saturation is overdue",
    "S033": "The next set is overdue",
    "S034": "The next set is overdue",
    "S035": "The last set says nothing of alertness or dissociation",
    "S036": "The next set of the long infusion is overdue",
    "S037": "A planned set was never read",
}
SEEN = {
    "symptoms.hypertensive_crisis": "Signs of hypertensive crisis: severe headache, chest pain, confusion, visual loss",
    "events.apnoea": "Apnoea",
    "events.chest_pain": "Chest pain",
    "events.arrhythmia": "Arrhythmia",
    "events.allergic_reaction": "Allergic reaction",
    "events.severe_distress": "Severe distress",
    "events.agitation": "Agitation",
    "events.psychotic_symptoms": "Psychotic symptoms",
    "events.vomiting": "Vomiting",
}
READINGS = {
    "systolic_mmhg": ("Systolic", "mmHg"),
    "diastolic_mmhg": ("Diastolic", "mmHg"),
    "heart_rate_per_min": ("Pulse", "per min"),
    "spo2_pct": ("SpO₂", "%"),
    "respiratory_rate_per_min": ("Breaths", "per min"),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """One question at screening; a number has a unit in its words, anything else is yes or no."""

    name: str
    words: str
    number: bool


def questions(delivery: Delivery) -> tuple[tuple[str, tuple[Question, ...]], ...]:
    """What is asked at screening for a delivery, in groups with a heading; what the record itself knows is left out.

    >>> [heading for heading, _ in questions(Delivery.SL)][0]
    'Identity and checklist'
    """
    groups = (Group.ARRIVAL, Group.PRE_DOSE, Group.ADMINISTRATION)
    asked = {name for each in rules_of(*groups, delivery=delivery) for name in facts_of(each.when) if name in QUESTIONS}
    found = []
    for heading, starts in _PLACES:
        names = [name for name in QUESTIONS if name in asked and name.partition(".")[0] in starts]
        if names:
            found.append((heading, tuple(_question(name) for name in names)))
    return tuple(found)


def fact_words(value: Fact | None) -> str:
    """What was answered; an answer that nobody gave is told as such.

    >>> fact_words(True), fact_words(6.0), fact_words(None)
    ('yes', '6', 'not known')
    """
    if value is None:
        return "not known"
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:g}" if isinstance(value, int | float) else str(value).replace("_", " ")


def source_words(of: Rule, policy: SitePolicy | None = None) -> str:
    """What a threshold rests on: the source that was read, or the site; never a recalled figure as a fact.

    Without a policy it does not say whether the site's are signed.

    >>> from afterglow.clinic import demo_policy
    >>> from afterglow.clinic import rule as find
    >>> source_words(find("S044"), demo_policy())
    'Site default, unsigned until the medical director signs'
    >>> source_words(find("S031"), demo_policy()).startswith("Source: ")
    True
    """
    default = "site default" if policy is None else "site default, unsigned until the medical director signs"
    own = default if policy is None or policy.signed_at is None else "site policy, signed"
    if of.basis.startswith("site default"):
        return own.capitalize()
    cited = sources()[of.provenance.source[0]].citation if of.provenance.source else "policy"
    return f"Source: {cited}" + (f"; the numbers are of the {own}" if "site default" in of.basis else "")


def tidy(text: str) -> str:
    """What was observed, without digits that nobody reads; capital first.

    >>> tidy("age of the last set 21.7135454 min, given 0.4871234 mg/kg, oxygen saturation 91 %")
    'Age of the last set 21 min, given 0.487 mg/kg, oxygen saturation 91 %'
    """
    waited = r"(overdue by|last set|first dose) (\d+\.\d+) min"
    shorter = re.sub(waited, lambda found: f"{found[1]} {max(1, int(float(found[2])))} min", text)
    shorter = re.sub(r"\d+\.\d{3,}", lambda found: f"{float(found[0]):.3g}", shorter)
    return shorter[:1].upper() + shorter[1:]


def short_name(name: str) -> str:
    """A name as boards show it: the first name and an initial.

    >>> short_name("Anna Berger"), short_name("Cher"), short_name("Ana María de la Cruz")
    ('Anna B.', 'Cher', 'Ana C.')
    """
    words = name.split()
    return name if len(words) < 2 else f"{words[0]} {words[-1][0]}."


def _question(name: str) -> Question:
    return Question(name=name, words=QUESTIONS[name], number=fact_kinds()[name].kind is float)


def shortcut_keys(words: Iterable[str]) -> list[str]:
    """A letter for each page, of its name and each once.

    >>> shortcut_keys(["Evidence", "Explore", "Today"])
    ['e', 'x', 't']
    """
    taken: list[str] = []
    for each in words:
        taken.append(next((letter for letter in each.lower() if letter.isalpha() and letter not in taken), ""))
    return taken
