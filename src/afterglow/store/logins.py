"""Credentials, login sessions and failed tries: what passes, beside the records and outside their audit chain.

Credentials are sealed with a key of the clinic. A token stands in the database as a digest that is keyed outside it, so
whoever can write to the database can make nobody's session.
"""

from __future__ import annotations

import hmac
from dataclasses import dataclass, field
from datetime import datetime
from hashlib import sha256

from sqlalchemy import Table, delete, insert, select, update

from afterglow.errors import Conflict
from afterglow.store import tables
from afterglow.store.codec import decode, encode
from afterglow.store.records import Store, Transaction
from afterglow.store.sealing import seal, unseal


@dataclass(frozen=True, slots=True, kw_only=True)
class Credentials:
    """How a person proves who it is; its text form shows nothing.

    Args:
        password: Argon2id hash; totp: the secret of the code generator.
        recovery: digests of the recovery codes that are left.
        last_step: number of the last 30 s step whose code was taken; a code is taken once.
    """

    password: str = field(repr=False)
    totp: str = field(repr=False)
    recovery: tuple[str, ...] = field(default=(), repr=False)
    last_step: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class LoginSession:
    """A login that goes on; times are aware UTC."""

    digest: str
    person_id: str
    started_at: datetime
    seen_at: datetime
    signed_at: datetime | None
    ended_at: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Tries:
    """Failed tries in a row, and when the last was."""

    failures: int
    last_at: datetime


def keyed_digest(store: Store, clinic_id: str, purpose: str, text: str) -> str:
    """The digest of a secret, keyed outside the database; it outlives a new key of the clinic."""
    ring = store.keys.clinic
    key = ring.derive(ring.secrets_by_id[0][0], f"{purpose}:{clinic_id}")
    return hmac.digest(key, text.encode(), sha256).hex()


def load_credentials(tx: Transaction, person_id: str) -> tuple[Credentials | None, int]:
    """A person's credentials and their version; None and 0 for who has none.

    Raises: RecordsDamaged, KeysRefused.
    """
    rows = tables.credentials
    row = tx.one(select(rows).where(tx.mine(rows), rows.c.person_id == person_id))
    if row is None:
        return None, 0
    key = tx.store.keys.clinic.derive(row["key_id"], f"credentials:{tx.clinic_id}")
    return decode(Credentials, unseal(key, row["sealed"], _place(tx, person_id))), int(row["version"])


def save_credentials(tx: Transaction, person_id: str, credentials: Credentials, *, version: int) -> None:
    """Keep credentials; `version` is the one that was loaded.

    Raises: Conflict if they changed since: a code that two tries share is taken once.
    """
    rows, ring = tables.credentials, tx.store.keys.clinic
    key = ring.derive(ring.current, f"credentials:{tx.clinic_id}")
    sealed = seal(key, encode(credentials), _place(tx, person_id))
    if version == 0:
        known = {"clinic_id": tx.clinic_id, "person_id": person_id, "version": 1, "key_id": ring.current}
        tx.run(insert(rows).values(**known, sealed=sealed))
        return
    own = (tx.mine(rows), rows.c.person_id == person_id, rows.c.version == version)
    changed = tx.run(update(rows).where(*own).values(version=version + 1, key_id=ring.current, sealed=sealed))
    if changed != 1:
        raise Conflict("The credentials changed in the meantime", next_step="Try again with a new code")


def drop_credentials(tx: Transaction, person_id: str) -> None:
    """Forget how a person proved who it is, and end its sessions."""
    _forget(tx, tables.credentials, person_id)
    end_sessions(tx, person_id)


def start_session(tx: Transaction, digest: str, person_id: str, *, signed: bool) -> None:
    """A new login session, which starts now."""
    row = {"clinic_id": tx.clinic_id, "digest": digest, "person_id": person_id, "started_at": tx.now}
    tx.run(insert(tables.login_sessions).values(**row, seen_at=tx.now, signed_at=tx.now if signed else None))


def find_session(tx: Transaction, digest: str) -> LoginSession | None:
    """The login session of a token's digest."""
    rows = tables.login_sessions
    row = tx.one(select(rows).where(tx.mine(rows), rows.c.digest == digest))
    if row is None:
        return None
    return LoginSession(**{name: row[name] for name in LoginSession.__dataclass_fields__})


def touch_session(tx: Transaction, digest: str, *, signed: bool = False) -> None:
    """It was seen now; with `signed`, password and code were given now."""
    rows = tables.login_sessions
    changes = {"seen_at": tx.now} | ({"signed_at": tx.now} if signed else {})
    tx.run(update(rows).where(tx.mine(rows), rows.c.digest == digest).values(**changes))


def end_sessions(tx: Transaction, person_id: str, *, digest: str | None = None) -> int:
    """End a person's sessions, or the one of a digest; how many."""
    rows = tables.login_sessions
    which = [tx.mine(rows), rows.c.person_id == person_id, rows.c.ended_at.is_(None)]
    if digest is not None:
        which.append(rows.c.digest == digest)
    return tx.run(update(rows).where(*which).values(ended_at=tx.now))


def take_try(tx: Transaction, bucket: str, *, forget_before: datetime) -> Tries:
    """Count a try before it is made, so that many at once are counted too; the tries in a row before it.

    Raise in the same transaction to refuse it; it then does not count. What failed before a time is forgotten.
    """
    rows = tables.tries
    tx.run(delete(rows).where(tx.mine(rows), rows.c.last_at < forget_before))
    own = (tx.mine(rows), rows.c.bucket == bucket)
    if tx.run(update(rows).where(*own).values(failures=rows.c.failures + 1)) == 0:  # holds the row until the end
        tx.run(insert(rows).values(clinic_id=tx.clinic_id, bucket=bucket, failures=1, last_at=tx.now))
        return Tries(failures=0, last_at=tx.now)
    (row,) = tx.rows(select(rows).where(*own))
    tx.run(update(rows).where(*own).values(last_at=tx.now))
    return Tries(failures=int(row["failures"]) - 1, last_at=row["last_at"])


def give_try_back(tx: Transaction, bucket: str) -> None:
    """A try that held, where the ones before it still count."""
    rows = tables.tries
    tx.run(update(rows).where(tx.mine(rows), rows.c.bucket == bucket).values(failures=rows.c.failures - 1))


def forget_failures(tx: Transaction, bucket: str) -> None:
    """A try that held: the ones before count no more."""
    rows = tables.tries
    tx.run(delete(rows).where(tx.mine(rows), rows.c.bucket == bucket))


def _forget(tx: Transaction, table: Table, person_id: str) -> None:
    tx.run(delete(table).where(tx.mine(table), table.c.person_id == person_id))


def _place(tx: Transaction, person_id: str) -> str:
    return f"{tx.clinic_id}/{person_id}/credentials"
