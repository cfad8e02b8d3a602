"""Messages to patients: with their consent, at day, about nothing that a stranger could read, and ended by one word.

A message holds links and no more: no name, no scale, no finding, no clinic's name. Its links are made when it leaves,
so that their secrets lie nowhere. Who has said no, or has answered, gets none.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime, time, timedelta
from hashlib import sha256
from zoneinfo import ZoneInfo

from afterglow.clinic import CourseState, Role, SessionState, TreatmentCourse, TreatmentSession
from afterglow.errors import InputError, MissingValue, NotPermitted
from afterglow.scales import instrument
from afterglow.store import patients
from afterglow.store.records import Store
from afterglow.usecases.desk import Desk, use_case, view
from afterglow.usecases.measures import CheckIn, Measured, due_of
from afterglow.usecases.messages import LINKS, Delivery, LinkWanted, OutgoingMessage, drop_waiting, queue_to_patient
from afterglow.usecases.passes import Purpose
from afterglow.usecases.work import CARE, Work, Written, program

_ASKERS = (Role.COORDINATOR, Role.NURSE, Role.PRESCRIBER, Role.THERAPIST)
QUIET_FROM, QUIET_UNTIL = time(20), time(9)  # Assumption: our policy; in the clinic's time zone
AGAIN_AFTER = (timedelta(0), timedelta(days=2), timedelta(days=5))  # Assumption: our policy; then nothing more
ONE_A_DAY = timedelta(hours=20)  # Assumption: our policy
CHECK_IN_OPEN = timedelta(days=3)  # Assumption: our policy; later the clinic calls
LOOK_EVERY = timedelta(minutes=10)
_SUBJECT = "A message from your clinic"
_REMINDED = (
    CourseState.CANDIDACY,
    CourseState.CONSENT,
    CourseState.AUTHORISATION,
    CourseState.INDUCTION,
    CourseState.REINDUCTION,
    CourseState.MAINTENANCE,
    CourseState.PAUSED,
    CourseState.RELAPSE,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Reminded:
    """How often and when last a patient was told of one thing that is due."""

    link: LinkWanted
    due_at: datetime
    times: int
    last_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Contact:
    """Whether a patient may be written to, and what was written about what is due now.

    Args:
        allowed: the patient said yes to mail to the address of the identity.
        by, at: who noted it, or the patient by a link, and when.
    """

    allowed: bool
    by: str
    at: datetime
    reminded: tuple[Reminded, ...] = ()
    last_at: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """One message to a patient: when, about what, and what became of it."""

    at: datetime
    links: tuple[LinkWanted, ...]
    state: Delivery
    fault: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class ContactPage:
    """What a chart shows: consent (None: nobody asked), whether there is an address, every message, newest first."""

    contact: Contact | None
    has_address: bool
    told: tuple[Told, ...]


@use_case("contacts.allow", roles=_ASKERS)
def allow(work: Work, patient_id: str) -> Written:
    """The patient agrees to messages by mail, after being told what they hold.

    Raises: NotFound; MissingValue without an address in the identity.
    """
    work.open_patient(patient_id)
    if _address(work, patient_id) is None:
        raise MissingValue("The patient has no mail address", next_step="Enter it in the identity", about="email")
    return _keep(work, patient_id, allowed=True)


@use_case("contacts.stop", roles=(*_ASKERS, Role.PATIENT))
def stop(work: Work, patient_id: str) -> Written:
    """No more messages, from this moment on; what waits is dropped.

    Raises: NotFound.
    """
    work.open_patient(patient_id)
    dropped = drop_waiting(work, patient_id)
    work.about(dropped=dropped)
    return _keep(work, patient_id, allowed=False)


@view("contacts.read", roles=(*CARE, Role.COORDINATOR))
def read_contact(work: Work, patient_id: str) -> ContactPage:
    """Whether a patient may be written to, and what was."""
    work.open_patient(patient_id)
    found = work.find(Contact, patient_id)
    sent = [each for each in work.every(OutgoingMessage, patient_id=patient_id) if each.now.links]
    told = (
        Told(
            at=each.now.made_at,
            links=each.now.links,
            state=Delivery(each.state or Delivery.WAITING),
            fault=each.now.fault,
        )
        for each in sorted(sent, key=lambda each: each.now.made_at, reverse=True)
    )
    return ContactPage(
        contact=None if found is None else found.now,
        has_address=_address(work, patient_id) is not None,
        told=tuple(told),
    )


@use_case("contacts.send_link", roles=_ASKERS)
def send_link(work: Work, patient_id: str, purpose: Purpose, *, about: str | None = None) -> Written:
    """Write to a patient now, with one link; somebody of the clinic decides the hour.

    Raises: NotFound; NotPermitted without the patient's consent; MissingValue without an address, or the scale or
        session of the link; InputError for a scale that a clinician rates.
    """
    work.open_patient(patient_id)
    wanted = _wanted(work, patient_id, purpose, about)
    found = work.find(Contact, patient_id)
    if found is None or not found.now.allowed:
        raise NotPermitted(
            "The patient has not agreed to messages",
            observed="never asked" if found is None else "said no",
            next_step="Ask, and note the answer; or print the link",
        )
    address = _address(work, patient_id)
    if address is None:
        raise MissingValue("The patient has no mail address", next_step="Enter it in the identity", about="email")
    return _queue(work, patient_id, address, (wanted,))


@use_case("contacts.remind", roles=(Role.SYSTEM,))
def remind(work: Work, patient_id: str) -> Written | None:
    """One message with a link for each thing that is due and not told of too often; None if there is none.

    At most one message a day; the same thing at once, after two days and after five, then never again.
    """
    found = work.find(Contact, patient_id)
    address = _address(work, patient_id)
    due = _to_tell(work, patient_id)
    if found is None or address is None or not due:
        return None
    contact = found.now
    before = {(each.link, each.due_at): each.times for each in contact.reminded}
    now = tuple(
        Reminded(link=link, due_at=due_at, times=before.get((link, due_at), 0) + 1, last_at=work.now)
        for link, due_at in due
    )
    told = {(each.link, each.due_at) for each in now}
    kept = [each for each in contact.reminded if (each.link, each.due_at) not in told]
    recent = [each for each in kept if work.now - each.last_at < timedelta(days=60)]
    work.change(found, replace(contact, reminded=(*recent, *now), last_at=work.now), state="allowed")
    return _queue(work, patient_id, address, tuple(link for link, _ in due))


def remind_all(store: Store) -> int:
    """Remind every patient who agreed of what is due, in every clinic where it is day; how many messages.

    It looks every ten minutes, without writing; only who has something due is written to, in a transaction each.

    Raises: StoreFault.
    """
    count = 0
    for clinic in store.clinics():
        now, seen = store.clock(), f"reminded/{clinic.id}"
        if is_quiet(now, clinic.time_zone) or now - store.cache.get(seen, datetime.min.replace(tzinfo=now.tzinfo)) < (
            LOOK_EVERY
        ):
            continue
        store.cache[seen] = now
        desk = Desk(store=store, actor=program(clinic.id))
        with store.read(clinic.id, snapshot=True) as tx:
            work = Work(tx=tx, actor=desk.actor)
            allowed = [each.id for each in work.every(Contact, states=("allowed",))]
            wanted = [each for each in allowed if _to_tell(work, each)]
        count += sum(remind(desk, each) is not None for each in wanted)
    return count


def is_quiet(at: datetime, zone: str) -> bool:
    """Whether it is night where the clinic is, when nobody is written to.

    >>> from datetime import UTC
    >>> is_quiet(datetime(2026, 1, 5, 19, tzinfo=UTC), "Europe/Zurich"), is_quiet(
    ...     datetime(2026, 1, 5, 8, tzinfo=UTC), "Europe/Zurich")
    (True, False)
    """
    local = at.astimezone(ZoneInfo(zone)).time()
    return local >= QUIET_FROM or local < QUIET_UNTIL


def _to_tell(work: Work, patient_id: str) -> tuple[tuple[LinkWanted, datetime], ...]:
    """What is due, may be told of today, and was not told of too often."""
    found = work.find(Contact, patient_id)
    if found is None or not found.now.allowed:
        return ()
    contact = found.now
    if contact.last_at is not None and work.now - contact.last_at < ONE_A_DAY:
        return ()
    told = {(each.link, each.due_at): each for each in contact.reminded}
    kept = []
    for link, due_at in _due(work, patient_id):
        before = told.get((link, due_at))
        times = 0 if before is None else before.times
        if times < len(AGAIN_AFTER) and work.now >= due_at + AGAIN_AFTER[times]:
            kept.append((link, due_at))
    return tuple(kept)


def _due(work: Work, patient_id: str) -> Iterator[tuple[LinkWanted, datetime]]:
    """What a patient can answer by a link and is due: self-rated scales, the questions a day after a session."""
    scores = [(each.at, each.fact.instrument) for each in work.standing(Measured, patient_id=patient_id)]
    sessions = work.every(TreatmentSession, patient_id=patient_id)
    next_at = min((each.now.planned_at for each in sessions if each.state == SessionState.BOOKED), default=None)
    scales: dict[str, datetime] = {}
    for course in work.every(TreatmentCourse, patient_id=patient_id, states=_REMINDED):
        for each in due_of(work, course.now, scores, next_at=next_at):
            if each.due_at <= work.now and instrument(each.instrument).is_self_rated:
                scales[each.instrument] = min(each.due_at, scales.get(each.instrument, each.due_at))
    for name, due_at in sorted(scales.items()):
        yield LinkWanted(purpose=Purpose.ANSWER_SCALE, about=name), due_at
    after = timedelta(hours=work.policy_or_defaults().number("S072.hours"))
    for session in sessions:
        left_at = session.now.left_at
        if left_at is not None and left_at + after <= work.now < left_at + CHECK_IN_OPEN:
            done = work.standing(CheckIn, patient_id=patient_id, subject=session.id)
            if not done:
                yield LinkWanted(purpose=Purpose.CHECK_IN, about=session.id), left_at + after


def _wanted(work: Work, patient_id: str, purpose: Purpose, about: str | None) -> LinkWanted:
    if purpose is Purpose.SEE_PROGRESS:
        return LinkWanted(purpose=purpose)
    if about is None:
        raise MissingValue("The link is for a scale or a session", next_step="Name which", about="about")
    if purpose is Purpose.ANSWER_SCALE:
        scale = instrument(about)
        if not scale.is_self_rated:
            raise InputError("A clinician rates this scale", observed=scale.short_name)
        return LinkWanted(purpose=purpose, about=scale.id)
    session = work.load(TreatmentSession, about)
    if session.patient_id != patient_id:
        raise InputError("The session is another patient's")
    return LinkWanted(purpose=purpose, about=about)


def _queue(work: Work, patient_id: str, address: str, links: tuple[LinkWanted, ...]) -> Written:
    several = len(links) > 1
    text = (
        f"Your clinic asks you to open {'these links' if several else 'this link'} and answer a few questions.\n"
        f"{'Each' if several else 'It'} is for you alone, opens once and holds for three days:\n\n"
        f"{LINKS}\n\n"
        "You can end these messages on the page that opens, or by telling your clinic. Please do not reply: nobody\n"
        "reads what is sent here. In an emergency call your local emergency number.\n"
    )
    chance = sha256(f"{patient_id}/{work.now.isoformat()}/{links}".encode()).hexdigest()[:32]
    work.about(subject=chance, links=len(links))
    return queue_to_patient(
        work, chance, patient_id=patient_id, address=address, subject=_SUBJECT, text=text, links=links
    )


def _keep(work: Work, patient_id: str, *, allowed: bool) -> Written:
    state, found = "allowed" if allowed else "stopped", work.find(Contact, patient_id)
    if found is None:
        made = Contact(allowed=allowed, by=work.actor.person_id, at=work.now)
        return work.add(made, id=patient_id, patient_id=patient_id, state=state)
    made = replace(found.now, allowed=allowed, by=work.actor.person_id, at=work.now)
    return work.change(found, made, state=state)


def _address(work: Work, patient_id: str) -> str | None:
    identity = patients.load(work.tx, patient_id).identifiers
    return None if identity is None else identity.email
