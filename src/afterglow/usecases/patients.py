"""Patients: who they are, what was asked of them, medicines, allergies, trials of medicines; and their erasure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any

from afterglow.clinic import (
    Allergies,
    AllergyStatus,
    Medicine,
    MedicineList,
    MedicineTrial,
    Role,
    SitePolicy,
    check_facts,
    medicine_facts,
    reconcile,
    resistance_facts,
)
from afterglow.errors import Conflict, MissingValue, OutOfRange, SecondPerson, TooEarly, WrongOrder, echo
from afterglow.predicates import Fact
from afterglow.store import facts as store_facts
from afterglow.store import patients
from afterglow.store.audit import last_seen, note_erasure
from afterglow.store.patients import Identifiers, Patient
from afterglow.usecases.desk import use_case, view
from afterglow.usecases.work import CARE, Actor, Loaded, Work, Written

_OFFICE = (Role.COORDINATOR, Role.NURSE, Role.PRESCRIBER)
_ASKERS = (Role.NURSE, Role.PRESCRIBER)
RETENTION_YEARS = 10  # Assumption: our policy; laws differ from 5 to 20 years, so a clinic checks its own
_YEAR = timedelta(days=365.25)
_DAY = timedelta(days=1)
_HELD = ("age", "consent.current", "trd.", "allergy.", "dose.", "order.", "weight.", "session.", "site.", "schedule.")
_HELD_TOO = ("readings.", "device.", "discharge.", "plan.indication", "plan.route", "plan.endpoint_defined")
_MEDICINES = "meds."


@dataclass(frozen=True, slots=True, kw_only=True)
class KnownFact:
    """A fact that somebody asked for or read: a finding of the history, a laboratory value, that work-up was done.

    Args:
        name: as the rules call it; value None takes an earlier answer back.
        learnt_at: when it was so; what counts days since grows from here on.
    """

    name: str
    value: str | float | bool | None
    learnt_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class TrialHistory:
    """Every trial of a medicine as told; an empty history was taken and holds none."""

    trials: tuple[MedicineTrial, ...]
    taken_at: datetime
    by: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """A patient as a list shows it."""

    id: str
    name: str
    born_on: date | None
    record_number: str | None


@use_case("patients.register", roles=_OFFICE)
def register(work: Work, identifiers: Identifiers, *, twin: bool = False) -> Written:
    """A new patient; `twin` says that a patient of the same name and birth date is somebody else.

    Raises: Conflict where somebody of that name and birth date, or of that name where a birth date is missing, is here
        already, and whatever is said where somebody has the record number; OutOfRange for a birth date, mail address,
        phone number or text that nobody has.
    """
    patient_id = register_new(work, identifiers, twin=twin)
    work.about(patient_id=patient_id, subject=patient_id)
    return Written(id=patient_id, version=1)


def register_new(work: Work, identifiers: Identifiers, *, twin: bool) -> str:
    """As `register`, within another use case; the id."""
    patients.check_identifiers(identifiers, work.now.date())
    _check_number(work, identifiers)
    if not twin:
        _check_new(work, identifiers)
    return patients.register(work.tx, identifiers)


@use_case("patients.identify", roles=_OFFICE)
def identify(work: Work, patient_id: str, identifiers: Identifiers, *, version: int) -> Written:
    """Correct who a patient is: all identifiers are named and replaced; what is empty (null) is no longer known.

    Read the identity first and give all of it again with what changes.
    Raises: NotFound; Conflict for another version, or where somebody else has the record number; OutOfRange as for a
        new patient.
    """
    work.open_patient(patient_id)
    patients.check_identifiers(identifiers, work.now.date())
    _check_number(work, identifiers, of=patient_id)
    version = patients.identify(work.tx, patient_id, identifiers, version=version)
    work.about(subject=patient_id)
    return Written(id=patient_id, version=version)


@view("patients.find", roles=(*CARE, Role.COORDINATOR))
def find(
    work: Work, part: str = "", *, born_on: date | None = None, record_number: str | None = None
) -> tuple[Found, ...]:
    """Patients by part of a name, or by exact birth date and record number; at most 50.

    Raises: MissingValue where nothing is asked for.
    """
    return tuple(
        each for each in search(work, part, born_on=born_on, record_number=record_number) if each.id not in work.hidden
    )


def search(work: Work, part: str, *, born_on: date | None, record_number: str | None) -> tuple[Found, ...]:
    """As `find`, within another use case, closed charts too."""
    if not (part.strip() or born_on or record_number):
        raise MissingValue("A search needs a part of a name, a birth date or a record number")
    exact: dict[str, str | date] = {}
    if born_on is not None:
        exact["born_on"] = born_on
    if record_number is not None:
        exact["record_number"] = record_number
    ids = patients.find_by_name(work.tx, part) if part.strip() else ()
    if exact:
        hits = patients.find_exact(work.tx, **exact)
        ids = tuple(each for each in ids if each in hits) if part.strip() else hits
    shown = (patients.load(work.tx, each) for each in ids)
    return tuple(
        Found(id=each.id, name=known.name, born_on=known.born_on, record_number=known.record_number)
        for each in shown
        if (known := each.identifiers) is not None
    )


@view("patients.identity", roles=(*CARE, Role.COORDINATOR))
def read_identity(work: Work, patient_id: str) -> Patient:
    """Who a patient is, with the version that a correction needs."""
    work.open_patient(patient_id)
    return patients.load(work.tx, patient_id)


@use_case("patients.note_facts", roles=(*_ASKERS, Role.THERAPIST))
def note_facts(
    work: Work, patient_id: str, facts: Mapping[str, Fact | None], *, learnt_at: datetime | None = None
) -> Written:
    """What was asked or read, by the names of the rules; None takes an answer back.

    Raises: UnknownName for a fact that no rule asks for; OutOfRange for one that the record holds itself; WrongOrder
        for one of tomorrow.
    """
    work.open_patient(patient_id)
    at = learnt_at or work.now
    if at > work.now:
        raise WrongOrder("What is known was learnt by now", observed=f"{at:%Y-%m-%d %H:%M} UTC")
    check_noted(facts)
    for name, value in sorted(facts.items()):
        work.write(KnownFact(name=name, value=_plain(value), learnt_at=at), patient_id=patient_id, subject=name, at=at)
    work.about(subject=patient_id, facts=len(facts))
    return Written(id=patient_id)


@use_case("patients.reconcile_medicines", roles=(*_ASKERS, Role.MEDICAL_DIRECTOR))
def reconcile_medicines(work: Work, patient_id: str, medicines: tuple[Medicine, ...], *, visit: str) -> Written:
    """The medicine list as gone through with the patient at a visit, changed or not."""
    work.open_patient(patient_id)
    loaded = work.find(MedicineList, patient_id)
    before = MedicineList() if loaded is None else loaded.now
    outcome = reconcile(before, medicines, work.act(), visit=visit)
    work.about(patient_id=patient_id, subject=patient_id)
    return _kept(work, loaded, outcome.now, patient_id)


@use_case("patients.note_allergies", roles=_ASKERS)
def note_allergies(work: Work, patient_id: str, allergies: Allergies) -> Written:
    """Allergies as asked."""
    work.open_patient(patient_id)
    return _kept(work, work.find(Allergies, patient_id), allergies, patient_id)


@use_case("patients.note_trials", roles=_ASKERS)
def note_trials(work: Work, patient_id: str, trials: tuple[MedicineTrial, ...]) -> Written:
    """Every trial of a medicine as told, in place of the history before."""
    work.open_patient(patient_id)
    history = TrialHistory(trials=trials, taken_at=work.now, by=work.actor.person_id)
    return _kept(work, work.find(TrialHistory, patient_id), history, patient_id)


@use_case("patients.mark_in_error", roles=(*_ASKERS, Role.THERAPIST))
def mark_in_error(work: Work, patient_id: str, fact_id: str, *, reason: str) -> Written:
    """A fact that is of another patient, or never was: it stands for nothing, and stays readable in the history.

    Raises: NotFound for a fact of somebody else; MissingValue without a reason; Conflict if it was corrected already.
    """
    work.open_patient(patient_id)
    if not any(each.id == fact_id for each in store_facts.history(work.tx, KnownFact, patient_id=patient_id)):
        raise OutOfRange(
            "This is corrected where it was entered",
            observed=echo(fact_id),
            allowed="facts that were asked",
            next_step="Correct a score with measures/correct, a reading in its session",
        )
    work.about(subject=fact_id)
    return Written(id=store_facts.mark_in_error(work.tx, fact_id, reason=reason))


@use_case("patients.erase", roles=(Role.COMPLIANCE,), signs=True)
def erase(work: Work, patient_id: str, *, reason: str, second: Actor | None = None) -> Written:
    """Destroy a patient's key once retention is over; everything of the patient is unreadable from then on.

    Raises: TooEarly before retention is over; MissingValue without a reason; SecondPerson without a medical director's
        signature; NotFound; Conflict if it was done already.
    """
    if not reason.strip():
        raise MissingValue("An erasure needs a reason", about="reason")
    director = work.act_of(second, reason)
    if director is None or not director.has(Role.MEDICAL_DIRECTOR):
        raise SecondPerson(
            "An erasure needs the medical director", rule="two_persons", observed="one signature", allowed="two"
        )
    director.check_other_than(work.actor.person_id, what="An erasure")
    if patients.load(work.tx, patient_id).identifiers is None:
        raise Conflict("The patient is erased already", observed=patient_id)
    last = last_seen(work.tx, patient_id)
    if last is not None and work.now - last < RETENTION_YEARS * _YEAR:
        raise TooEarly(
            "The patient's records are kept for now",
            rule="retention",
            observed=f"last entry {last:%Y-%m-%d}",
            allowed=f"{RETENTION_YEARS} years after it",
        )
    store_facts.stop_clocks(work.tx, patient_id)
    patients.erase(work.tx, patient_id)
    note_erasure(work.tx.store, work.actor.clinic_id, patient_id)
    work.about(patient_id=patient_id, subject=patient_id, second=director.by)
    return Written(id=patient_id, state="erased")


def check_noted(facts: Mapping[str, Fact | None]) -> None:
    """Refuse what is not noted by asking: what the record holds itself, and what no rule asks for.

    Raises: UnknownName, OutOfRange.
    """
    for name in facts:
        if is_held(name):
            raise OutOfRange(
                "The record itself holds this",
                observed=echo(name),
                next_step="Enter it where it belongs: identity, medicines, trials, consent, plan, dose, readings",
            )
    check_facts(facts)


def is_held(name: str) -> bool:
    """Whether the record itself holds a fact, so that nobody enters it as an answer.

    >>> is_held("age"), is_held("meds.lithium"), is_held("hx.avm")
    (True, True, False)
    """
    return name.startswith((*_HELD, *_HELD_TOO)) or (name.startswith(_MEDICINES) and name != _CHANGED)


def counts_days(name: str) -> bool:
    """Whether a fact counts days since something, so that it grows by itself and is asked for as a date.

    >>> counts_days("workup.w08.age_days"), counts_days("hx.nyha_class")
    (True, False)
    """
    return name.endswith(".age_days") or ".days_since" in name


def known_facts_of(work: Work, patient_id: str, *, policy: SitePolicy) -> dict[str, Fact | None]:
    """What the record knows of a patient, in the names of the rules; what it does not hold is absent, and unknown.

    What was asked counts as of then: days since a finding or a test grow until today. Age, medicines, allergies and
    trials come from where they are kept.
    """
    found: dict[str, Fact | None] = {}
    for each in work.standing(KnownFact, patient_id=patient_id):
        found[each.fact.name] = aged_fact(each.fact, work.now)
    if (age := age_of(work, patient_id)) is not None:
        found["age"] = age
    medicines, allergies = work.find(MedicineList, patient_id), work.find(Allergies, patient_id)
    found |= medicine_facts(
        MedicineList() if medicines is None else medicines.now,
        Allergies(status=AllergyStatus.NOT_ASKED) if allergies is None else allergies.now,
    )
    history = work.find(TrialHistory, patient_id)
    return found | resistance_facts(None if history is None else history.now.trials, policy)


def known_fact(work: Work, patient_id: str, name: str) -> Fact | None:
    """One fact that was asked, in the name of the rules, as of today; None where it was not, or is not known."""
    noted = work.standing(KnownFact, patient_id=patient_id, subject=name)
    return aged_fact(noted[-1].fact, work.now) if noted else None


def age_of(work: Work, patient_id: str) -> int | None:
    """A patient's age in whole years; None where the birth date is not known."""
    identity = patients.load(work.tx, patient_id).identifiers
    return None if identity is None or identity.born_on is None else age_years(identity.born_on, work.now.date())


def age_years(born_on: date, on: date) -> int:
    """Whole years on a day.

    >>> age_years(date(1980, 3, 2), date(2026, 3, 1)), age_years(date(1980, 3, 2), date(2026, 3, 2))
    (45, 46)
    """
    return on.year - born_on.year - ((on.month, on.day) < (born_on.month, born_on.day))


_CHANGED = "meds.sedating_or_pressor_changed"


def _kept(work: Work, loaded: Loaded[Any] | None, now: object, patient_id: str) -> Written:
    """The thing as it is from now on, and as a fact for the history."""
    work.write(now, patient_id=patient_id, subject=patient_id)
    if loaded is None:
        return work.add(now, id=patient_id, patient_id=patient_id)
    return work.change(loaded, now)


def aged_fact(fact: KnownFact, now: datetime) -> Fact | None:
    """What a fact says today: what counts days or hours since something has grown."""
    value, name = fact.value, fact.name
    if isinstance(value, bool | str) or value is None:
        return value
    passed = now - fact.learnt_at
    if counts_days(name):
        return value + passed // _DAY  # whole days: what was read today is 0 days old all day
    if ".hours_since" in name:
        return value + passed / timedelta(hours=1)
    return value + passed / timedelta(minutes=1) if ".minutes_since" in name else value


def _plain(value: Fact | None) -> str | float | bool | None:
    return float(value) if isinstance(value, int) and not isinstance(value, bool) else value


def check_born(born_on: date | None, at: datetime) -> None:
    """Refuse what was of a patient before birth.

    Raises: WrongOrder, which tells no date.

    >>> check_born(date(1980, 3, 2), datetime(1980, 3, 2, 9))
    """
    if born_on is not None and at.date() < born_on:
        raise WrongOrder("It is earlier than the patient's birth", next_step="Correct its date, or the birth date")


def same_person(work: Work, name: str, born_on: date | None) -> tuple[str, ...]:
    """Ids of who may be the same person: of this name, and of this birth date wherever both are known."""
    same = patients.load_some(work.tx, patients.find_exact(work.tx, name=name))
    known = {each: of.identifiers.born_on for each, of in same.items() if of.identifiers is not None}
    return tuple(each for each, born in known.items() if born is None or born_on is None or born == born_on)


def _check_number(work: Work, identifiers: Identifiers, *, of: str | None = None) -> None:
    if not identifiers.record_number:
        return
    if have := set(patients.find_exact(work.tx, record_number=identifiers.record_number)) - {of}:
        raise Conflict(
            "Somebody of this record number is here already",
            observed=min(have),
            next_step="Open that chart, or correct one of the two numbers",
            about="record_number",
        )


def _check_new(work: Work, identifiers: Identifiers) -> None:
    if same := same_person(work, identifiers.name, identifiers.born_on):
        raise Conflict(
            "Somebody of this name and birth date, or of this name with a birth date missing, is here already",
            observed=same[0],
            next_step="Open that chart; say 'twin' if this is another person",
        )
