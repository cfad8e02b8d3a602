"""Messages out: queued with their cause, sent by a real mail server and a real webhook, tried again, never silent."""

from __future__ import annotations

import json
import re
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
from aiosmtpd.controller import Controller
from pydantic import SecretStr
from tests.integration.care import desk, later, now, open_clinic, register
from tests.integration.desks import at_work
from typer.testing import CliRunner

from afterglow.cli.app import app
from afterglow.clinic import Role
from afterglow.errors import Conflict, InputError, NotFound, NotPermitted, OutOfRange
from afterglow.settings import MailSecurity, Settings
from afterglow.store import audit
from afterglow.store.records import Store
from afterglow.usecases import measures, messages
from afterglow.usecases.desk import Desk
from afterglow.usecases.messages import Channel, Delivery, OutgoingMessage
from afterglow.usecases.post import sender, signature
from afterglow.usecases.work import program

THOUGHTS = [2, 2, 2, 2, 2, 2, 2, 2, 2]
SECRET = SecretStr("a secret for webhooks")


class Mailbox:
    """What a real SMTP server on this machine took, and what it answers."""

    def __init__(self) -> None:
        self.letters: list[Any] = []
        self.answer = "250 taken"

    async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:  # noqa: ARG002, N802
        if self.answer.startswith("250"):
            self.letters.append(envelope)
        return self.answer


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


@pytest.fixture
def mail() -> Iterator[tuple[Mailbox, Settings]]:
    box, port = Mailbox(), free_port()
    server = Controller(box, hostname="127.0.0.1", port=port)
    server.start()
    settings = Settings(
        smtp_host="127.0.0.1", smtp_port=port, smtp_security=MailSecurity.NONE, mail_from="desk@clinic.example"
    )
    yield box, settings
    server.stop()


@pytest.fixture
def north(store: Store) -> Store:
    made = at_work(store)
    open_clinic(made)
    return made


@contextmanager
def webhook(status: int = 204) -> Iterator[tuple[str, list[tuple[dict[str, str], bytes]]]]:
    """A real web server; its address, and what it got."""
    got: list[tuple[dict[str, str], bytes]] = []

    class Receiver(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            got.append((dict(self.headers), self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(status)
            self.end_headers()

        def log_message(self, *args: object) -> None:
            pass

    server = HTTPServer(("127.0.0.1", 0), Receiver)
    thread = Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/hook?room=1", got
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def confirmed(store: Store, address: str, channel: Channel = Channel.EMAIL) -> None:
    """The route of the prescriber, with the code that was sent there given back."""
    codes: list[str] = []

    def read(_: str, message: OutgoingMessage) -> None:
        codes.extend(re.findall(r"\d{8}", message.text))

    admin = desk(store, Role.ADMINISTRATOR)
    messages.set_route(admin, Role.PRESCRIBER, channel, address)
    messages.send_due(store, "north", read)
    assert messages.confirm_route(admin, Role.PRESCRIBER, codes[-1]).state == "confirmed"


def alarmed(store: Store) -> tuple[str, str]:
    """A patient, and the alert of the answers that a prescriber owns."""
    patient, nurse = register(store), desk(store, Role.NURSE)
    measures.record(nurse, patient, "PHQ-9", answers=THOUGHTS)
    found = measures.list_alerts(nurse, patient_id=patient).shown
    (alert,) = (each.id for each in found if each.now.owner is Role.PRESCRIBER)
    return patient, alert


def state(store: Store, alert: str) -> list[tuple[Role, Delivery | None, str]]:
    return [(e.role, e.state, e.words) for e in messages.of_alert(desk(store, Role.NURSE), alert).shown]


def test_an_alert_without_route_says_that_nobody_is_told(north: Store) -> None:
    messages.set_route(desk(north, Role.ADMINISTRATOR), Role.PRESCRIBER, Channel.EMAIL, "doctor@clinic.example")
    _, alert = alarmed(north)
    assert state(north, alert) == [(Role.PRESCRIBER, None, messages.NO_ROUTE)]


def test_an_alert_arrives_by_mail_and_names_nobody(north: Store, mail: tuple[Mailbox, Settings]) -> None:
    box, settings = mail
    confirmed(north, "doctor@clinic.example")
    patient, alert = alarmed(north)
    assert state(north, alert) == [(Role.PRESCRIBER, Delivery.WAITING, "Not sent yet")]
    send = sender(settings, north.clock)
    assert messages.send_due(north, "north", send) == 1
    assert messages.send_due(north, "north", send) == 0
    (letter,) = box.letters
    text = letter.content.decode()
    assert letter.rcpt_tos == ["doctor@clinic.example"]
    assert "Message-ID: <" in text
    assert "priority high" in text
    assert patient not in text
    assert "PHQ" not in text
    assert state(north, alert)[0][1:] == (
        Delivery.SENT,
        "Handed to the email server; whether it was read is not known",
    )
    assert audit.verify(north, "north").faults == ()


def test_a_refusal_is_tried_again_later_and_shown_meanwhile(north: Store, mail: tuple[Mailbox, Settings]) -> None:
    box, settings = mail
    confirmed(north, "doctor@clinic.example")
    _, alert = alarmed(north)
    send = sender(settings, north.clock)
    box.answer = "451 later"
    assert messages.send_due(north, "north", send) == 0
    assert state(north, alert)[0][2] == "Not sent yet, 1 tries: the mail server answered 451"
    assert messages.send_due(north, "north", send) == 0
    box.answer = "250 taken"
    later(north, 1)
    assert messages.send_due(north, "north", send) == 1
    assert len(box.letters) == 1


def test_a_message_is_given_up_after_twelve_tries(north: Store) -> None:
    confirmed(north, "doctor@clinic.example")
    _, alert = alarmed(north)
    for _ in range(messages.MOST_TRIES + 1):
        messages.send_due(north, "north", lambda *_: "no answer")
        later(north, 61)
    assert state(north, alert)[0][1:] == (Delivery.FAILED, "Given up after 12 tries: no answer")


def test_a_sender_that_dies_is_followed_by_another_after_the_lease(north: Store) -> None:
    confirmed(north, "doctor@clinic.example")
    alarmed(north)
    machine = Desk(store=north, actor=program("north"))
    (taken,) = messages.claim(machine)
    assert messages.claim(machine) == ()
    later(north, messages.LEASE / timedelta(minutes=1))
    (again,) = messages.claim(machine)
    assert (again.id, again.now.tries) == (taken.id, 2)
    with pytest.raises(Conflict):
        messages.note(machine, taken.id, None, version=taken.version)


def test_what_another_sender_took_is_left_to_it(north: Store) -> None:
    confirmed(north, "doctor@clinic.example")
    alarmed(north)

    def slow(*_: object) -> None:
        later(north, 6)
        messages.claim(Desk(store=north, actor=program("north")))

    assert messages.send_due(north, "north", slow) == 0


def test_the_next_owner_is_told_too(north: Store) -> None:
    confirmed(north, "doctor@clinic.example")
    _, alert = alarmed(north)
    later(north, 60)
    measures.escalate_due(Desk(store=north, actor=program("north")))
    assert [(role, at) for role, at, _ in state(north, alert)] == [
        (Role.PRESCRIBER, Delivery.WAITING),
        (Role.MEDICAL_DIRECTOR, None),
    ]


def test_a_webhook_is_signed(north: Store) -> None:
    settings = Settings(webhook_secret=SECRET)
    with webhook() as (address, got):
        confirmed(north, address, Channel.WEBHOOK)
        alarmed(north)
        assert messages.send_due(north, "north", sender(settings, north.clock)) == 1
    ((headers, body),) = got
    assert headers["Afterglow-Signature"] == signature(SECRET.get_secret_value(), headers["Afterglow-Time"], body)
    assert headers["Afterglow-Id"] == json.loads(body)["id"]
    assert abs(int(headers["Afterglow-Time"]) - now(north).timestamp()) < 60


def message(channel: Channel, address: str, store: Store) -> OutgoingMessage:
    return OutgoingMessage(about="a", channel=channel, address=address, subject="s", text="t", made_at=now(store))


def test_faults_are_words_without_address_or_secret(north: Store, mail: tuple[Mailbox, Settings]) -> None:
    box, settings = mail
    to = message(Channel.EMAIL, "doctor@clinic.example", north)
    closed = settings.model_copy(update={"smtp_port": free_port()})
    assert sender(closed, north.clock)("m", to) == "the server cannot be reached (ConnectionRefusedError)"
    assert sender(Settings(), north.clock)("m", to) == "no mail server is set"
    secure = settings.model_copy(update={"smtp_security": MailSecurity.STARTTLS})
    assert sender(secure, north.clock)("m", to) == "the server did not take it (SMTPNotSupportedError)"
    tls = settings.model_copy(update={"smtp_security": MailSecurity.TLS})
    assert "the server did not take it" in str(sender(tls, north.clock)("m", to))
    login = Settings(**settings.model_dump() | {"smtp_user": "me", "smtp_password": "hidden-word"})
    assert sender(login, north.clock)("m", to) == "the server did not take it (SMTPNotSupportedError)"
    assert not box.letters
    with webhook(500) as (address, _):
        hook = message(Channel.WEBHOOK, address, north)
        assert sender(Settings(), north.clock)("m", hook) == "no secret for webhooks is set"
        signed = sender(Settings(webhook_secret=SECRET), north.clock)
        assert signed("m", hook) == "the webhook answered 500"
    hook = message(Channel.WEBHOOK, f"https://127.0.0.1:{free_port()}", north)
    assert signed("m", hook) == "the server cannot be reached (ConnectionRefusedError)"


def test_a_wrong_code_is_counted_and_five_are_too_many(north: Store) -> None:
    admin = desk(north, Role.ADMINISTRATOR)
    with pytest.raises(NotFound):
        messages.confirm_route(admin, Role.NURSE, "0")
    messages.set_route(admin, Role.NURSE, Channel.EMAIL, "nurses@clinic.example")
    for _ in range(messages.CODE_TRIES):
        assert messages.confirm_route(admin, Role.NURSE, "0").state == "refused"
    with pytest.raises(NotPermitted, match="Too many"):
        messages.confirm_route(admin, Role.NURSE, "0")
    assert messages.set_route(admin, Role.NURSE, Channel.EMAIL, "nurses@clinic.example").version > 1
    assert messages.confirm_route(admin, Role.NURSE, "0").state == "refused"


@pytest.mark.parametrize(
    ("channel", "address"),
    [
        (Channel.EMAIL, "nobody"),
        (Channel.EMAIL, "a@b,c@d"),
        (Channel.EMAIL, "a @b"),
        (Channel.EMAIL, "a@b\nBcc: c@d"),
        (Channel.WEBHOOK, "http://elsewhere.example/"),
        (Channel.WEBHOOK, "http://127.0.0.1.elsewhere.example/"),
        (Channel.WEBHOOK, "https://me:word@clinic.example/"),
        (Channel.WEBHOOK, "https://"),
        (Channel.WEBHOOK, "https://clinic.example:x/"),
    ],
)
def test_addresses_that_are_refused(north: Store, channel: Channel, address: str) -> None:
    with pytest.raises(InputError):
        messages.set_route(desk(north, Role.ADMINISTRATOR), Role.NURSE, channel, address)


def test_who_owns_no_alerts_gets_none(north: Store) -> None:
    with pytest.raises(OutOfRange):
        messages.set_route(desk(north, Role.ADMINISTRATOR), Role.COORDINATOR, Channel.EMAIL, "a@b.example")


def test_mail_without_protection_stays_on_this_machine(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="this machine"):
        Settings(smtp_host="mail.example", smtp_security=MailSecurity.NONE)


def test_the_commands_set_confirm_and_send(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, mail: tuple[Mailbox, Settings]
) -> None:
    box, settings = mail
    for name, value in {
        "FOLDER": tmp_path / "data",
        "CLINIC": "north",
        "SMTP_HOST": "127.0.0.1",
        "SMTP_PORT": settings.smtp_port,
        "SMTP_SECURITY": "none",
        "MAIL_FROM": "desk@clinic.example",
    }.items():
        monkeypatch.setenv(f"AFTERGLOW_{name}", str(value))
    command = CliRunner()
    assert command.invoke(app, ["records", "create", "--name", "North"]).exit_code == 0
    said = command.invoke(app, ["messages", "route", "prescriber", "email", "doctor@clinic.example"])
    assert "A code waits to be sent there" in said.output
    assert "1 messages sent, 0 alerts passed on" in command.invoke(app, ["messages", "send"]).output
    (letter,) = box.letters
    (code,) = re.findall(r"\b\d{8}\b", letter.content.decode().partition("The code is")[2])
    wrong = command.invoke(app, ["messages", "confirm", "prescriber"], input="0\n")
    assert isinstance(wrong.exception, InputError)
    right = command.invoke(app, ["messages", "confirm", "prescriber"], input=f"{code}\n")
    assert "go there from now on" in right.output
    assert code not in right.output
