"""How a message leaves: by SMTP, or as a signed request to a webhook. Faults in words hold no address or secret."""

from __future__ import annotations

import hmac
import http.client
import json
import smtplib
import ssl
from collections.abc import Callable
from datetime import datetime
from email.message import EmailMessage
from email.utils import format_datetime
from hashlib import sha256
from urllib.parse import urlsplit

from afterglow.settings import MailSecurity, Settings
from afterglow.store.records import Store
from afterglow.usecases.contacts import remind_all
from afterglow.usecases.desk import Desk
from afterglow.usecases.measures import escalate_due, is_escalation_due
from afterglow.usecases.messages import Channel, OutgoingMessage, Send, send_due
from afterglow.usecases.work import program

TIMEOUT_S = 20.0
_TAKEN = range(200, 300)


def sender(settings: Settings, clock: Callable[[], datetime]) -> Send:
    """Sends by whatever the settings name; `clock` gives aware UTC for the signature of a webhook."""

    def send(message_id: str, message: OutgoingMessage) -> str | None:
        try:
            if message.channel is Channel.EMAIL:
                return _mail(settings, message_id, message)
            return _call(settings, message_id, message, clock())
        except smtplib.SMTPResponseException as fault:
            return f"the mail server answered {fault.smtp_code}"
        except (smtplib.SMTPException, http.client.HTTPException, ssl.SSLError) as fault:
            return f"the server did not take it ({type(fault).__name__})"
        except OSError as fault:
            return f"the server cannot be reached ({type(fault).__name__})"

    return send


def run_due(store: Store, settings: Settings) -> tuple[int, int]:
    """What the clock asks for in every clinic: alerts go to their next owner, patients are reminded, messages leave.

    How many alerts went on, and how many messages left. Without the address of the pages nobody is reminded.

    It looks before it acts, so that a minute in which nothing is due leaves nothing in the audit trail.

    Raises: StoreFault.
    """
    escalated = sent = 0
    if settings.public_url is not None:
        remind_all(store)
    for clinic in store.clinics():
        if is_escalation_due(store, clinic.id):
            escalated += len(escalate_due(Desk(store=store, actor=program(clinic.id))))
        sent += send_due(store, clinic.id, sender(settings, store.clock), pages=settings.public_url)
    return escalated, sent


def signature(secret: str, timestamp: str, body: bytes) -> str:
    """The signature of a webhook request: HMAC-SHA256 over time, full stop and body, in hexadecimal.

    A receiver makes it again, compares, and refuses an old time.

    >>> signature("secret", "1767603600", b"{}")[:16]
    '65bddcefa4a70606'
    """
    return hmac.digest(secret.encode(), timestamp.encode() + b"." + body, sha256).hex()


def _mail(settings: Settings, message_id: str, message: OutgoingMessage) -> str | None:
    if settings.smtp_host is None or settings.mail_from is None:
        return "no mail server is set"
    letter = EmailMessage()
    letter["From"], letter["To"], letter["Subject"] = settings.mail_from, message.address, message.subject
    letter["Date"] = format_datetime(message.made_at)
    letter["Message-ID"] = f"<{message_id}@{settings.mail_from.rpartition('@')[2]}>"
    letter["Auto-Submitted"] = "auto-generated"
    letter.set_content(message.text)
    context = ssl.create_default_context()
    if settings.smtp_security is MailSecurity.TLS:
        server: smtplib.SMTP = smtplib.SMTP_SSL(
            settings.smtp_host, settings.smtp_port, timeout=TIMEOUT_S, context=context
        )
    else:
        server = smtplib.SMTP(settings.smtp_host, settings.smtp_port, timeout=TIMEOUT_S)
    with server:
        if settings.smtp_security is MailSecurity.STARTTLS:
            server.starttls(context=context)
        if settings.smtp_user is not None and settings.smtp_password is not None:
            server.login(settings.smtp_user, settings.smtp_password.get_secret_value())
        server.send_message(letter)
    return None


def _call(settings: Settings, message_id: str, message: OutgoingMessage, now: datetime) -> str | None:
    if settings.webhook_secret is None:
        return "no secret for webhooks is set"
    body = json.dumps({"id": message_id, "subject": message.subject, "text": message.text}).encode()
    stamp = str(int(now.timestamp()))
    headers = {
        "Content-Type": "application/json",
        "Afterglow-Id": message_id,
        "Afterglow-Time": stamp,
        "Afterglow-Signature": signature(settings.webhook_secret.get_secret_value(), stamp, body),
    }
    place = urlsplit(message.address)
    if place.scheme == "https":
        line: http.client.HTTPConnection = http.client.HTTPSConnection(place.netloc, timeout=TIMEOUT_S)
    else:
        line = http.client.HTTPConnection(place.netloc, timeout=TIMEOUT_S)
    try:
        line.request("POST", f"{place.path or '/'}{'?' if place.query else ''}{place.query}", body, headers)
        status = line.getresponse().status
    finally:
        line.close()
    return None if status in _TAKEN else f"the webhook answered {status}"
