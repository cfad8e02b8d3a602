"""Messages to patients: with consent, at day, with links made when they leave, ended by one word."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import date, timedelta

import pytest
from pydantic import ValidationError
from tests.integration import care
from tests.integration.care import desk, in_induction, later, now, open_clinic
from tests.integration.desks import at_work
from tests.integration.test_messages import Mailbox, mail

from afterglow.clinic import Role
from afterglow.errors import InputError, LoginRefused, MissingValue, NotFound, NotPermitted
from afterglow.settings import Settings
from afterglow.store import audit, facts
from afterglow.store.patients import Identifiers
from afterglow.store.records import Store
from afterglow.usecases import answering, contacts, measures, messages, passes, patients
from afterglow.usecases.desk import Desk
from afterglow.usecases.login import open_link
from afterglow.usecases.messages import Delivery, LinkWanted, OutgoingMessage
from afterglow.usecases.passes import Pass, Purpose
from afterglow.usecases.post import run_due
from afterglow.usecases.work import Actor, program

__all__ = ["mail"]
PAGES = "https://clinic.example"
ANSWERS = {str(number): 1 for number in range(1, 10)}


@pytest.fixture
def north(store: Store) -> Store:
    made = at_work(store)
    open_clinic(made)
    return made


class Post:
    """What left, by the sender that a test gives."""

    def __init__(self, store: Store, fault: str | None = None) -> None:
        self.store, self.fault = store, fault
        self.left: list[OutgoingMessage] = []

    def __call__(self, _: str, message: OutgoingMessage) -> str | None:
        self.left.append(message)
        return self.fault

    def send(self, pages: str | None = PAGES) -> int:
        return messages.send_due(self.store, "north", self, pages=pages)

    def tokens(self, at: int = -1) -> list[str]:
        return re.findall(r"https://clinic\.example/link#(\S+)", self.left[at].text)


def agreed(store: Store, name: str = "Anna Berger") -> tuple[str, str]:
    patient_id, course_id = in_induction(store, name=name)
    contacts.allow(desk(store, Role.COORDINATOR), patient_id)
    return patient_id, course_id


def as_patient(store: Store, token: str) -> Desk:
    return Desk(store=store, actor=open_link(store, token)[1])


def to_weekday_noon(store: Store, days: float = 0) -> None:
    """Some days on, at noon of the clinic."""
    later(store, days * 24 * 60)
    noon = now(store).replace(hour=11, minute=0)
    later(store, ((noon - now(store)) % timedelta(days=1)) / timedelta(minutes=1))


def page(store: Store, patient_id: str) -> contacts.ContactPage:
    return contacts.read_contact(desk(store, Role.NURSE), patient_id).shown


def test_nobody_is_written_to_who_has_not_agreed(north: Store) -> None:
    patient_id, _ = in_induction(north)
    coordinator = desk(north, Role.COORDINATOR)
    assert page(north, patient_id) == contacts.ContactPage(contact=None, has_address=True, told=())
    with pytest.raises(NotPermitted, match="never asked"):
        contacts.send_link(coordinator, patient_id, Purpose.ANSWER_SCALE, about="PHQ-9")
    contacts.allow(coordinator, patient_id)
    contacts.stop(coordinator, patient_id)
    with pytest.raises(NotPermitted, match="said no"):
        contacts.send_link(coordinator, patient_id, Purpose.ANSWER_SCALE, about="PHQ-9")
    to_weekday_noon(north, 20)
    assert contacts.remind_all(north) == 0
    assert contacts.remind(Desk(store=north, actor=program("north")), patient_id) is None


def test_without_an_address_nothing_is_asked(north: Store) -> None:
    coordinator = desk(north, Role.COORDINATOR)
    patient_id = patients.register(coordinator, Identifiers(name="Ada Moor")).id
    with pytest.raises(MissingValue, match="no mail address"):
        contacts.allow(coordinator, patient_id)
    other, _ = agreed(north)
    bare = Identifiers(name="Anna Berger", born_on=date(1982, 5, 1))
    patients.identify(coordinator, other, bare, version=1)
    with pytest.raises(MissingValue, match="no mail address"):
        contacts.send_link(coordinator, other, Purpose.SEE_PROGRESS)


def test_a_link_is_made_when_the_message_leaves_and_opens_its_scale_once(north: Store) -> None:
    patient_id, _ = agreed(north)
    contacts.send_link(desk(north, Role.COORDINATOR), patient_id, Purpose.ANSWER_SCALE, about="PHQ-9")
    assert passes.list_links(desk(north, Role.NURSE), patient_id).shown == ()
    post = Post(north)
    assert post.send() == 1
    assert post.send() == 0
    (token,) = post.tokens()
    (told,) = page(north, patient_id).told
    assert (told.state, told.links) == (Delivery.SENT, (LinkWanted(purpose=Purpose.ANSWER_SCALE, about="phq9"),))
    with north.read("north") as tx:
        bodies = [each.now for each in facts.load_all(tx, OutgoingMessage)]
    assert not [each for each in bodies if each is not None and token.split("~")[-1] in each.text]
    assert token not in repr(post.left)
    browser = as_patient(north, token)
    assert answering.ask(browser, patient_id).shown.about == "phq9"
    measures.answer(browser, patient_id, "PHQ-9", ANSWERS)
    with pytest.raises(LoginRefused):
        as_patient(north, token)
    assert audit.verify(north, "north").faults == ()


def test_a_message_tells_a_stranger_nothing(north: Store) -> None:
    patient_id, _ = agreed(north)
    contacts.send_link(desk(north, Role.COORDINATOR), patient_id, Purpose.ANSWER_SCALE, about="PHQ-9")
    post = Post(north)
    post.send()
    said = f"{post.left[0].subject} {re.sub('https://[^ ]+', '', post.left[0].text)}".lower()
    telling = ("anna", "berger", "phq", "depress", "mood", "ketamine", "north", "score", "treatment", "session")
    assert not [word for word in (*telling, patient_id) if word in said]
    assert "emergency" in said


def test_a_try_that_fails_takes_its_link_back(north: Store) -> None:
    patient_id, _ = agreed(north)
    contacts.send_link(desk(north, Role.COORDINATOR), patient_id, Purpose.SEE_PROGRESS)
    post = Post(north, fault="no answer")
    assert post.send() == 0
    later(north, 2)
    post.fault = None
    assert post.send() == 1
    (first,), (second,) = post.tokens(0), post.tokens(1)
    with pytest.raises(LoginRefused):
        as_patient(north, first)
    assert answering.progress(as_patient(north, second), patient_id).shown.scores
    found = passes.list_links(desk(north, Role.NURSE), patient_id).shown
    assert sorted(each.revoked_at is None for each in found) == [False, True]


def test_without_the_address_of_the_pages_no_link_is_made(north: Store) -> None:
    patient_id, _ = agreed(north)
    contacts.send_link(desk(north, Role.COORDINATOR), patient_id, Purpose.SEE_PROGRESS)
    post = Post(north)
    assert post.send(pages=None) == 0
    assert post.left == []
    (told,) = page(north, patient_id).told
    assert (told.state, told.fault) == (Delivery.WAITING, messages.NO_PAGES)
    with north.read("north") as tx:
        assert facts.load_all(tx, Pass, patient_id=patient_id) == ()


def test_the_address_of_the_pages_is_checked() -> None:
    assert Settings(public_url="https://clinic.example/afterglow").public_url
    for wrong in ("http://clinic.example", "https://clinic.example/?a=1", "https://user:word@clinic.example"):
        with pytest.raises(ValidationError):
            Settings(public_url=wrong)


def test_what_is_due_is_told_at_day_then_after_two_and_five_days_then_never(north: Store) -> None:
    _, course_id = agreed(north)
    care.book(north, course_id, minutes=4 * 24 * 60)  # its scale is due a day before
    post, told = Post(north), []
    for day in range(14):
        to_weekday_noon(north)
        while not contacts.is_quiet(now(north), "Europe/Zurich"):
            contacts.remind_all(north)
            told += [day] * post.send()
            later(north, 45)
        assert contacts.remind_all(north) == 0  # night
    assert told == [3, 5, 8]
    assert all(each.links == (LinkWanted(purpose=Purpose.ANSWER_SCALE, about="phq9"),) for each in post.left)


def test_several_things_due_are_one_message_and_one_a_day(north: Store) -> None:
    patient_id, course_id = agreed(north)
    care.vial(north)
    session_id = care.book(north, course_id)
    later(north, 60)
    care.dosing(north, session_id)
    care.left(north, session_id)
    to_weekday_noon(north, 1)
    care.book(north, course_id, minutes=12 * 60)
    assert contacts.remind_all(north) == 1
    assert contacts.remind_all(north) == 0
    post = Post(north)
    post.send()
    about = {each.about for each in post.left[0].links}
    assert about == {"phq9", session_id}
    check_in = as_patient(north, post.tokens()[[each.about for each in post.left[0].links].index(session_id)])
    measures.check_in(check_in, patient_id, session_id, unwell=False, low_mood_or_thoughts=False, drove_or_fell=False)
    to_weekday_noon(north, 1)
    assert contacts.remind_all(north) == 0  # how the day after was is answered; the scale was told of yesterday
    to_weekday_noon(north, 1)
    assert contacts.remind_all(north) == 1
    post.send()
    assert {each.about for each in post.left[1].links} == {"phq9"}
    to_weekday_noon(north, 3)
    contacts.remind_all(north)  # the session is too long ago to ask how the day after was
    post.send()
    assert session_id not in {each.about for each in post.left[-1].links}


def test_a_patient_ends_messages_from_the_page_that_a_link_opens(north: Store) -> None:
    patient_id, _ = agreed(north)
    coordinator = desk(north, Role.COORDINATOR)
    contacts.send_link(coordinator, patient_id, Purpose.SEE_PROGRESS)
    post = Post(north)
    post.send()
    contacts.send_link(coordinator, patient_id, Purpose.ANSWER_SCALE, about="PHQ-9")
    waiting = Post(north, fault="no answer")
    waiting.send()
    browser = as_patient(north, post.tokens()[0])
    other, _ = agreed(north, name="Jonas Weber")
    with pytest.raises(NotFound):
        contacts.stop(browser, other)
    contacts.stop(browser, patient_id)
    found = page(north, patient_id)
    assert found.contact is not None
    assert (found.contact.allowed, found.contact.by.split(":")[0]) == (False, "link")
    assert [each.state for each in found.told] == [Delivery.DROPPED, Delivery.SENT]
    later(north, 90)
    assert post.send() == 0
    with pytest.raises(LoginRefused):
        as_patient(north, waiting.tokens()[0])


def test_a_link_is_for_something_of_the_patient(north: Store) -> None:
    patient_id, _ = agreed(north)
    coordinator = desk(north, Role.COORDINATOR)
    other, course = agreed(north, name="Jonas Weber")
    session_id = care.book(north, course)
    with pytest.raises(InputError, match="another patient"):
        contacts.send_link(coordinator, patient_id, Purpose.CHECK_IN, about=session_id)
    with pytest.raises(InputError, match="clinician rates"):
        contacts.send_link(coordinator, patient_id, Purpose.ANSWER_SCALE, about="MADRS")
    with pytest.raises(MissingValue):
        contacts.send_link(coordinator, patient_id, Purpose.CHECK_IN)
    contacts.send_link(coordinator, other, Purpose.CHECK_IN, about=session_id)
    with pytest.raises(NotPermitted):  # a link of one patient sees no other contact
        contacts.read_contact(replace(coordinator, actor=link_of(north, patient_id)), other)


def link_of(store: Store, patient_id: str) -> Actor:
    issued = passes.issue_link(desk(store, Role.NURSE), patient_id, Purpose.SEE_PROGRESS)
    return as_patient(store, issued.token).actor


def test_the_clock_reminds_and_sends_by_a_real_mail_server(north: Store, mail: tuple[Mailbox, Settings]) -> None:
    box, settings = mail
    _, course_id = agreed(north)
    care.book(north, course_id, minutes=3 * 24 * 60)
    to_weekday_noon(north, 2)
    assert run_due(north, settings) == (0, 0)  # nobody is reminded without the address of the pages
    assert run_due(north, settings.model_copy(update={"public_url": PAGES})) == (0, 1)
    (letter,) = box.letters
    assert letter.rcpt_tos == ["anna@example.org"]
    assert "https://clinic.example/link#north~" in letter.content.decode().replace("=\r\n", "").replace("=23", "#")


def test_an_erased_patient_gets_nothing(north: Store) -> None:
    patient_id, _ = agreed(north)
    contacts.send_link(desk(north, Role.COORDINATOR), patient_id, Purpose.SEE_PROGRESS)
    later(north, 11 * 366 * 24 * 60)
    second = care.actor(north, Role.MEDICAL_DIRECTOR)
    patients.erase(desk(north, Role.COMPLIANCE), patient_id, reason="asked for", second=second)
    seen = audit_length(north)
    assert Post(north).send() == 0
    assert contacts.remind_all(north) == 0
    assert audit_length(north) == seen  # nor is the trail filled with tries


def audit_length(store: Store) -> int:
    with store.read("north") as tx:
        return audit.last_seq(tx)
