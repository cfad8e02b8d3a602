"""Login: password and code, sessions with an end, set-up, second signatures, and waits that hold up nobody else.

Whoever asks with a wrong login, password or code gets the same answer after the same work. Failed tries are counted by
login and device (or address, for a device that never logged in), so that nobody can lock another person out. Wrong
codes after the right password are counted by person, since only who has the password gets there.
"""

from __future__ import annotations

import hmac
import re
import secrets
import unicodedata
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from functools import cache
from hashlib import sha256
from threading import Semaphore

import pyotp
from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError
from zxcvbn import zxcvbn

from afterglow.errors import LoginRefused, NotFound, OutOfRange, TooManyTries
from afterglow.store import facts
from afterglow.store.logins import (
    Credentials,
    LoginSession,
    drop_credentials,
    end_sessions,
    find_session,
    forget_failures,
    give_try_back,
    keyed_digest,
    load_credentials,
    save_credentials,
    start_session,
    take_try,
    touch_session,
)
from afterglow.store.records import Store, Transaction
from afterglow.usecases.passes import SEPARATOR, Pass, PassKind, actor_of, find_pass, open_pass, refused
from afterglow.usecases.people import find_person, is_login
from afterglow.usecases.work import Actor

IDLE = timedelta(minutes=30)  # Source: NIST SP 800-63B-3, 4.2.3 (AAL2): 30 min without activity, 12 h in all
ABSOLUTE = timedelta(hours=12)
PATIENT_IDLE, PATIENT_ABSOLUTE = timedelta(minutes=30), timedelta(hours=2)  # Assumption: our policy
SEEN_EVERY = timedelta(minutes=1)  # a session's last sight is written no oftener
FREE_TRIES = 5  # Assumption: our policy, as the waits
FIRST_WAIT, LONGEST_WAIT = timedelta(seconds=15), timedelta(minutes=15)
FORGET_AFTER = timedelta(days=1)
SHORTEST, LONGEST = 12, 128  # characters of a password; Source: NIST SP 800-63B-3, 5.1.1.2 asks for 8 and 64 or more
FEWEST_GUESSES = 1e10  # Assumption: our policy; what zxcvbn calls safe against guessing a slow hash off line
_JUDGED = 64  # characters of a password that are judged
_NEAR = ("afterglow", "ketamine", "esketamine", "spravato", "clinic")  # words that somebody would try here first
RECOVERY_CODES = 10
_STEP_S = 30  # Source: RFC 6238, 5.2
HASHER = PasswordHasher()  # Argon2id as RFC 9106, 4 recommends where memory is short: 64 MiB, 3 passes, 4 lanes
_HASHING = Semaphore(4)  # each hash takes 64 MiB: many logins at once wait in line
_RECOVERY = re.compile(r"[a-z2-7]{16}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Proof:
    """What somebody types to prove who it is; its text form shows nothing.

    Args:
        code: of the code generator, or a recovery code.
        device: what an earlier login on this device gave; None on a new one.
        address: where the request comes from.
    """

    login: str
    password: str = field(repr=False)
    code: str = field(repr=False)
    device: str | None = field(default=None, repr=False)
    address: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class LoggedIn:
    """A login that held: the session's token, who it is, and what this device may show next time."""

    token: str = field(repr=False)
    actor: Actor
    device: str = field(repr=False)
    recovery_left: int


@dataclass(frozen=True, slots=True, kw_only=True)
class SetUp:
    """What a code generator is given: the secret, and as the address that a QR code holds."""

    login: str
    secret: str = field(repr=False)
    address: str = field(repr=False)


def begin_set_up(store: Store, token: str) -> SetUp:
    """A new secret for the code generator of whoever holds a set-up token; nothing is kept yet.

    Raises: LoginRefused.
    """
    clinic_id, found = open_pass(store, token, PassKind.SET_UP)
    secret, login = pyotp.random_base32(), str(found.person_id)
    address = pyotp.TOTP(secret).provisioning_uri(name=f"{login}@{clinic_id}", issuer_name="Afterglow")
    return SetUp(login=login, secret=secret, address=address)


def finish_set_up(store: Store, token: str, *, password: str, secret: str, code: str) -> tuple[str, ...]:
    """Keep password and secret, once a first code shows that the generator has it; the recovery codes, shown once.

    Raises: LoginRefused; OutOfRange for a password that is too short or too plain.
    """
    clinic_id, found = open_pass(store, token, PassKind.SET_UP)
    login = str(found.person_id)
    check_password(password, login=login)
    if not re.fullmatch(r"[A-Z2-7]{32,64}", secret):
        raise refused()
    step = _step_of(secret, code, store.clock(), after=0)
    if step is None:
        raise LoginRefused("The code does not fit", next_step="Check the clock of the phone and take the next code")
    codes = tuple(secrets.token_bytes(10) for _ in range(RECOVERY_CODES))
    words = tuple(_base32(each) for each in codes)
    made = Credentials(
        password=HASHER.hash(_normal(password)),
        totp=secret,
        recovery=tuple(map(_recovery_digest, words)),
        last_step=step,
    )
    with store.write(clinic_id, by=login) as tx:
        head = facts.load(tx, Pass, found.id)
        if head.now is None or not head.now.holds(tx.now) or find_person(tx, login) is None:
            raise refused()  # pragma: no cover  only if it was used or taken back since it was opened above
        spent = replace(head.now, used_at=tx.now)
        facts.save(tx, spent, id=found.id, version=head.version, state="used", due_at=head.due_at)
        drop_credentials(tx, login)
        save_credentials(tx, login, made, version=0)
        tx.event("login.set_up", subject=login)
    return words


def unspent_code_at(store: Store, clinic_id: str, login: str) -> datetime:
    """A time whose code this login has not used: now, or the start of the 30 s after the last code that was used.

    A code of up to 30 s ahead is taken; one of later waits until then.
    """
    with store.read(clinic_id) as tx:
        (kept, _), here = load_credentials(tx, login), int(tx.now.timestamp()) // _STEP_S
    step = here if kept is None else max(here, kept.last_step + 1)
    return datetime.fromtimestamp(step * _STEP_S, UTC)


def log_in(store: Store, clinic_id: str, proof: Proof) -> LoggedIn:
    """A new session of whoever proves who it is.

    Raises: LoginRefused, the same for every reason; TooManyTries.
    """
    _check_clinic(store, clinic_id)
    login, left = _proven(store, clinic_id, proof, event="login")
    token = SEPARATOR.join((clinic_id, login, secrets.token_urlsafe(32)))
    with store.write(clinic_id, by=login) as tx:
        start_session(tx, _session_digest(store, clinic_id, token), login, signed=True)
    return LoggedIn(
        token=token, actor=resume(store, token), device=_new_device(store, clinic_id, login), recovery_left=left
    )


def open_link(store: Store, token: str, *, address: str = "") -> tuple[str, Actor]:
    """Exchange a patient's link for a session of its own, by POST, so that the link stays out of logs and histories.

    Raises: LoginRefused; TooManyTries.
    """
    known = [each.id for each in store.clinics() if token.startswith(f"{each.id}{SEPARATOR}")]
    bucket = [_bucket(store, each, "link", address) for each in known]
    for clinic_id, each in zip(known, bucket, strict=True):
        _take_try(store, clinic_id, each)
    clinic_id, found = open_pass(store, token, PassKind.LINK)
    who = f"{PassKind.LINK}:{found.id}"
    made = SEPARATOR.join((clinic_id, who, secrets.token_urlsafe(32)))
    with store.write(clinic_id, by=who) as tx:
        give_try_back(tx, _bucket(store, clinic_id, "link", address))
        start_session(tx, _session_digest(store, clinic_id, made), who, signed=False)
        tx.event("link.opened", patient_id=found.patient_id, subject=found.id)
    return made, actor_of(clinic_id, found)


def resume(store: Store, token: str, *, at_work: bool = True) -> Actor:
    """Who a session's token is, with the roles of now; `at_work` False for what a page asks by itself.

    What a page asks by itself keeps no session alive: a screen that nobody touches ends as any other.
    Raises: LoginRefused for one that has ended or never was.
    """
    session, clinic_id = _session(store, token)
    with store.read(clinic_id) as tx:
        actor = _actor(tx, session)
        now = tx.now
    if at_work and now - session.seen_at >= SEEN_EVERY:
        with store.write(clinic_id, by=session.person_id) as tx:
            touch_session(tx, session.digest)
    return actor


def open_token(store: Store, token: str) -> Actor:
    """Who an API token or a room's screen is.

    Raises: LoginRefused.
    """
    clinic_id, found = open_pass(store, token, PassKind.TOKEN, PassKind.ROOM)
    if found.kind is PassKind.ROOM:
        return actor_of(clinic_id, found)
    with store.read(clinic_id) as tx:
        person = find_person(tx, str(found.person_id))
    if person is None:
        raise refused()  # pragma: no cover  who leaves loses the token too
    return actor_of(clinic_id, found, roles=person.roles)


def sign_again(store: Store, token: str, proof: Proof) -> Actor:
    """Password and code again, for what asks for a signature; the session goes on.

    Raises: LoginRefused, also for another person's login; TooManyTries.
    """
    session, clinic_id = _session(store, token)
    login, _ = _proven(store, clinic_id, replace(proof, login=session.person_id), event="login.signed")
    if login != session.person_id or proof.login.strip().lower() != login:
        raise _refused_login()
    with store.write(clinic_id, by=login) as tx:
        touch_session(tx, session.digest, signed=True)
    return resume(store, token)


def countersign(store: Store, clinic_id: str, proof: Proof) -> Actor:
    """A second person's signature on somebody else's screen: witness, second check, co-signature. No session starts.

    Raises: LoginRefused, TooManyTries.
    """
    _check_clinic(store, clinic_id)
    login, _ = _proven(store, clinic_id, proof, event="login.countersigned")
    with store.read(clinic_id) as tx:
        person = find_person(tx, login)
        if person is None:
            raise _refused_login()  # pragma: no cover  only if the person left since the proof above
        return Actor(person_id=login, roles=person.roles, clinic_id=clinic_id, signed_at=tx.now)


def log_out(store: Store, token: str, *, everywhere: bool = False) -> int:
    """End this session, or all of the person's; how many.

    Raises: LoginRefused for one that has ended.
    """
    session, clinic_id = _session(store, token)
    with store.write(clinic_id, by=session.person_id) as tx:
        ended = end_sessions(tx, session.person_id, digest=None if everywhere else session.digest)
        tx.event("login.ended", subject=session.person_id, sessions=ended)
    return ended


def change_password(store: Store, token: str, proof: Proof, *, password: str) -> None:
    """A new password; all of the person's sessions end, this one too.

    Raises: LoginRefused, TooManyTries; OutOfRange.
    """
    actor = sign_again(store, token, proof)
    check_password(password, login=actor.person_id)
    hashed = HASHER.hash(_normal(password))
    with store.write(actor.clinic_id, by=actor.person_id) as tx:
        kept, version = load_credentials(tx, actor.person_id)
        if kept is None:
            raise _refused_login()  # pragma: no cover  only if they were reset since the proof above
        save_credentials(tx, actor.person_id, replace(kept, password=hashed), version=version)
        end_sessions(tx, actor.person_id)
        tx.event("login.password_changed", subject=actor.person_id)


def offline_key(store: Store, actor: Actor) -> bytes:
    """A person's key for what a device keeps while there is no network, 256 bits; the same at each login.

    It opens nothing here: it only seals, on the person's own devices, what was not sent yet.
    """
    return bytes.fromhex(keyed_digest(store, actor.clinic_id, "offline", actor.person_id))


def check_password(password: str, *, login: str) -> None:
    """Refuse a password that is short, or that a program would guess soon.

    Guesses are counted by zxcvbn: 30,000 leaked passwords, names and words, keyboard rows, dates, repeats, and what
    they make together; the login and words of this trade count as first tries. No kinds of characters are asked for.
    Source: NIST SP 800-63B-3, 5.1.1.2; Wheeler 2016, USENIX Security.

    Raises: OutOfRange.

    >>> check_password("seven quiet rivers", login="anna")
    """
    if not SHORTEST <= len(password) <= LONGEST:
        raise OutOfRange(
            "The password is refused",
            observed=f"{len(password)} characters",
            allowed=f"{SHORTEST} to {LONGEST} characters",
            next_step="Take some words that only you would put together",
            about="password",
        )
    if zxcvbn(_normal(password)[:_JUDGED], user_inputs=[login, *_NEAR])["guesses"] < FEWEST_GUESSES:
        raise OutOfRange(
            "The password is too easy to guess",
            allowed="none that was leaked, or is made of the login, common words, dates, rows of keys or repeats",
            next_step="Take some words that only you would put together",
            about="password",
        )


def _normal(password: str) -> str:
    """The same letters are the same password on every keyboard (NIST SP 800-63B-3, 5.1.1.2)."""
    return unicodedata.normalize("NFKC", password)


def _proven(store: Store, clinic_id: str, proof: Proof, *, event: str) -> tuple[str, int]:
    """The login of a proof that holds, and how many recovery codes are left."""
    login = proof.login.strip().lower()
    login = login if is_login(login) else "?"  # nobody's; it takes the same way
    bucket = _bucket(store, clinic_id, login, _device(store, clinic_id, login, proof))
    codes = _bucket(store, clinic_id, login, "codes")
    _take_try(store, clinic_id, bucket)
    with store.read(clinic_id) as tx:
        person = find_person(tx, login)
        kept, version = load_credentials(tx, login) if person is not None else (None, 0)
        now = tx.now
    right = _verify(kept, proof.password)  # hashing holds no lock
    if right:
        _take_try(store, clinic_id, codes)
    after = None if kept is None else _after_code(kept, proof.code, now)
    if not right or kept is None or after is None:
        _tell_failure(store, clinic_id, proof, known=person is not None)
        raise _refused_login()
    if HASHER.check_needs_rehash(kept.password):
        after = replace(after, password=HASHER.hash(_normal(proof.password)))
    with store.write(clinic_id, by=login) as tx:
        save_credentials(tx, login, after, version=version)
        for each in (bucket, codes):
            forget_failures(tx, each)
        tx.event(event, subject=login, address=proof.address[:45], recovery_code=after.recovery != kept.recovery)
    return login, len(after.recovery)


def _verify(kept: Credentials | None, password: str) -> bool:
    try:
        with _HASHING:
            return (
                HASHER.verify(_nobody() if kept is None else kept.password, _normal(password[:LONGEST]))
                and kept is not None
            )
    except (VerificationError, InvalidHashError):
        return False


@cache
def _nobody() -> str:
    """A hash that no password fits, so that an unknown login takes as long as a known one."""
    return HASHER.hash(secrets.token_urlsafe(32))


def _after_code(kept: Credentials, code: str, now: datetime) -> Credentials | None:
    """The credentials once this code is taken; None if it does not fit. A code is taken once."""
    typed = re.sub(r"[\s-]", "", code).lower()
    if _RECOVERY.fullmatch(typed):
        digest = _recovery_digest(typed)
        left = tuple(each for each in kept.recovery if not hmac.compare_digest(each, digest))
        return replace(kept, recovery=left) if len(left) < len(kept.recovery) else None
    step = _step_of(kept.totp, typed, now, after=kept.last_step)
    return None if step is None else replace(kept, last_step=step)


def _step_of(secret: str, code: str, now: datetime, *, after: int) -> int | None:
    """The 30 s step of a code: this one, the one before or the next (RFC 6238, 5.2), and later than `after`."""
    totp, here, found = pyotp.TOTP(secret), int(now.timestamp()) // _STEP_S, None
    for step in (here - 1, here, here + 1):
        if hmac.compare_digest(totp.at(step * _STEP_S).encode(), code.strip().encode()) and step > after:
            found = step
    return found


def _tell_failure(store: Store, clinic_id: str, proof: Proof, *, known: bool) -> None:
    with store.write(clinic_id, by="program") as tx:
        about = proof.login.strip().lower() if known else "unknown"  # a typed login may be a password
        tx.event("login.refused", subject=about, address=proof.address[:45])


def _take_try(store: Store, clinic_id: str, bucket: str) -> None:
    """Count a try before anything is looked at, and refuse it while a wait runs."""
    with store.write(clinic_id, by="program") as tx:
        before = take_try(tx, bucket, forget_before=tx.now - FORGET_AFTER)
        if before.failures < FREE_TRIES:
            return
        wait = min(FIRST_WAIT * 2 ** min(before.failures - FREE_TRIES, 16), LONGEST_WAIT)
        until = before.last_at + wait
        if tx.now < until:
            raise TooManyTries(
                "Too many failed tries",
                observed=f"{before.failures} in a row",
                allowed=f"{FREE_TRIES}, then a wait",
                next_step=f"Try again in {max(1, round((until - tx.now).total_seconds()))} s",
            )


def _session(store: Store, token: str) -> tuple[LoginSession, str]:
    clinic_id, _, rest = token.partition(SEPARATOR)
    person_id = rest.partition(SEPARATOR)[0]
    if len(token) > 256 or not token.isascii() or not any(each.id == clinic_id for each in store.clinics()):
        raise _ended()
    with store.read(clinic_id) as tx:
        found, now = find_session(tx, _session_digest(store, clinic_id, token)), tx.now
    if found is None or found.person_id != person_id or found.ended_at is not None:
        raise _ended()
    patient = person_id.startswith(f"{PassKind.LINK}:")
    idle, absolute = (PATIENT_IDLE, PATIENT_ABSOLUTE) if patient else (IDLE, ABSOLUTE)
    if now - found.seen_at > idle + SEEN_EVERY or now - found.started_at > absolute:
        raise _ended()
    return found, clinic_id


def _actor(tx: Transaction, session: LoginSession) -> Actor:
    kind, _, pass_id = session.person_id.partition(":")
    if kind == PassKind.LINK:
        found = find_pass(tx, pass_id)
        if found is None or not found.holds(tx.now):
            raise _ended()
        return actor_of(tx.clinic_id, found)
    person = find_person(tx, session.person_id)
    if person is None:
        raise _ended()  # pragma: no cover  who leaves loses the session too
    return Actor(person_id=session.person_id, roles=person.roles, clinic_id=tx.clinic_id, signed_at=session.signed_at)


def _device(store: Store, clinic_id: str, login: str, proof: Proof) -> str:
    """What failed tries are counted by beside the login: a device that this login used before, else the address."""
    nonce, _, sign = (proof.device or "").partition(".")
    if nonce and hmac.compare_digest(_device_sign(store, clinic_id, login, nonce).encode(), sign.encode()):
        return f"device {nonce}"
    return f"address {proof.address}"


def _new_device(store: Store, clinic_id: str, login: str) -> str:
    nonce = secrets.token_hex(16)
    return f"{nonce}.{_device_sign(store, clinic_id, login, nonce)}"


def _device_sign(store: Store, clinic_id: str, login: str, nonce: str) -> str:
    return keyed_digest(store, clinic_id, "devices", f"{login} {nonce}")


def _bucket(store: Store, clinic_id: str, login: str, beside: str) -> str:
    return keyed_digest(store, clinic_id, "tries", f"{login} {beside}")


def _session_digest(store: Store, clinic_id: str, token: str) -> str:
    return keyed_digest(store, clinic_id, "sessions", token)


def _recovery_digest(code: str) -> str:
    return sha256(code.encode()).hexdigest()  # 80 bits of chance need no slow hash


def _base32(chance: bytes) -> str:
    letters = "abcdefghijklmnopqrstuvwxyz234567"
    number = int.from_bytes(chance, "big")
    return "".join(letters[number >> shift & 31] for shift in range(0, 8 * len(chance), 5))


def _check_clinic(store: Store, clinic_id: str) -> None:
    if not any(each.id == clinic_id for each in store.clinics()):
        raise NotFound("There is no such clinic")


def _refused_login() -> LoginRefused:
    return LoginRefused("Login, password or code do not fit", next_step="Check all three; each code is good once")


def _ended() -> LoginRefused:
    return LoginRefused("The login has ended", next_step="Log in again")
