"""Sealing of a patient's data: AES-256-GCM with a key of the patient, wrapped by the clinic's key; search by digest.

What is sealed is bound to its place (clinic, patient, record), so that a sealed text
moved to another row does not open.
"""

from __future__ import annotations

import hmac
import os
import unicodedata
from dataclasses import dataclass, field
from hashlib import sha256

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from afterglow.errors import RecordsDamaged
from afterglow.store.keys import KEY_BYTES, KeyRing

_NONCE_BYTES = 12  # NIST SP 800-38D, 8.2: 96 bits, random; far below 2^32 texts under one patient's key
_DIGEST_BYTES = 16


@dataclass(frozen=True, slots=True, kw_only=True)
class WrappedKey:
    """A patient's key as it lies in the database: sealed by the clinic's key `key_id`."""

    key_id: str
    wrapped: bytes = field(repr=False)


def seal(key: bytes, text: bytes, place: str) -> bytes:
    """A text sealed for one place.

    >>> key = bytes(32)
    >>> unseal(key, seal(key, b"PHQ-9", "clinic/p1/f1"), "clinic/p1/f1")
    b'PHQ-9'
    """
    nonce = os.urandom(_NONCE_BYTES)
    return nonce + AESGCM(key).encrypt(nonce, text, place.encode())


def unseal(key: bytes, sealed: bytes, place: str) -> bytes:
    """The text again.

    Raises: RecordsDamaged if it was altered, moved, or sealed by another key.
    """
    try:
        return AESGCM(key).decrypt(sealed[:_NONCE_BYTES], sealed[_NONCE_BYTES:], place.encode())
    except (InvalidTag, ValueError):
        raise RecordsDamaged(
            "A sealed record does not open",
            observed=f"altered, moved, or sealed by another key: {place}",
            next_step="Run 'afterglow audit verify', and check that the keys belong to this database",
        ) from None


def new_patient_key(ring: KeyRing, clinic_id: str, patient_id: str) -> tuple[bytes, WrappedKey]:
    """A patient's new key, plain and wrapped."""
    key = AESGCM.generate_key(bit_length=8 * KEY_BYTES)
    return key, wrap(ring, key, clinic_id, patient_id)


def wrap(ring: KeyRing, key: bytes, clinic_id: str, patient_id: str) -> WrappedKey:
    """A patient's key sealed by the clinic's key in use."""
    clinic_key = ring.derive(ring.current, f"wrap:{clinic_id}")
    return WrappedKey(key_id=ring.current, wrapped=seal(clinic_key, key, f"{clinic_id}/{patient_id}/key"))


def unwrap(ring: KeyRing, wrapped: WrappedKey, clinic_id: str, patient_id: str) -> bytes:
    """A patient's key.

    Raises: KeysRefused, RecordsDamaged.
    """
    clinic_key = ring.derive(wrapped.key_id, f"wrap:{clinic_id}")
    return unseal(clinic_key, wrapped.wrapped, f"{clinic_id}/{patient_id}/key")


def normalised(text: str) -> str:
    """A name as it is searched for: no accents, no case, one space between words.

    >>> normalised("  Renée  O'BRIEN ")
    "renee o'brien"
    """
    plain = "".join(c for c in unicodedata.normalize("NFKD", text.casefold()) if not unicodedata.combining(c))
    return " ".join(plain.split())


def search_digest(ring: KeyRing, key_id: str, clinic_id: str, field_name: str, text: str) -> bytes:
    """What stands in the search index for a value: keyed, so that it tells nothing without the clinic's key."""
    key = ring.derive(key_id, f"index:{clinic_id}")
    return hmac.digest(key, f"{field_name}\0{normalised(text)}".encode(), sha256)[:_DIGEST_BYTES]
