"""Requests that were answered, by the key that came with them: a retry after a lost reply is not done again."""

from __future__ import annotations

import hmac
from datetime import timedelta
from hashlib import sha256

from sqlalchemy import delete, insert, select

from afterglow.errors import Conflict, InputError
from afterglow.store import tables
from afterglow.store.codec import canonical, to_data
from afterglow.store.records import Transaction

KEPT_FOR = timedelta(days=7)
_LONGEST_KEY = 64


def request_digest(tx: Transaction, use_case: str, asked: object) -> str:
    """What stands for a request: keyed, since a score or a name could be guessed from a plain digest."""
    ring = tx.store.keys.audit
    key = ring.derive(ring.secrets_by_id[0][0], f"requests:{tx.clinic_id}")
    return hmac.digest(key, canonical([use_case, to_data(_by_digest(asked))]), sha256).hex()


def _by_digest(asked: object) -> object:
    """What was asked with the content of files as digests."""
    if isinstance(asked, tuple | list):
        return [_by_digest(each) for each in asked]
    return sha256(asked).hexdigest() if isinstance(asked, bytes) else asked


def recall(tx: Transaction, person_id: str, key: str, digest: str) -> bytes | None:
    """The answer that this request got before; None if it is new.

    Raises: InputError for a key of another form; Conflict if the key came with another request.
    """
    if not 8 <= len(key) <= _LONGEST_KEY or not key.isascii() or not key.isprintable():
        raise InputError(
            "The request's key is refused", observed=f"{len(key)} characters", allowed="8 to 64, printable"
        )
    rows = tables.request_keys
    row = tx.one(select(rows).where(tx.mine(rows), rows.c.person_id == person_id, rows.c.key == key))
    if row is None:
        return None
    if not hmac.compare_digest(str(row["digest"]), digest):
        raise Conflict("The request's key was used for another request", next_step="Send a new key with a new request")
    return bytes(row["result"])


def remember(tx: Transaction, person_id: str, key: str, digest: str, result: bytes) -> None:
    """Keep the answer, and forget answers that are older than a week."""
    rows = tables.request_keys
    tx.run(delete(rows).where(tx.mine(rows), rows.c.at < tx.now - KEPT_FOR))
    row = {"clinic_id": tx.clinic_id, "person_id": person_id, "key": key, "digest": digest, "at": tx.now}
    tx.run(insert(rows).values(**row, result=result))
