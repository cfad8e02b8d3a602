"""Signing by an API token: a person's password and code, given now, stand for a signature for five minutes.

A token alone signs nothing. The signature says who signed and when, holds with the token by which it was asked for, and
is kept nowhere: a key outside the database makes it. Whoever signs acts from there on, within what the token is for.
"""

from __future__ import annotations

import hmac
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime

from afterglow.errors import NotPermitted, SignAgain
from afterglow.store.logins import keyed_digest, load_credentials
from afterglow.store.records import Store
from afterglow.usecases.login import Proof, countersign
from afterglow.usecases.passes import SEPARATOR
from afterglow.usecases.people import find_person
from afterglow.usecases.work import SIGN_WITHIN, Actor


@dataclass(frozen=True, slots=True, kw_only=True)
class Signature:
    """A signature, shown once; it ends by itself."""

    login: str
    expires_at: datetime
    signature: str = field(repr=False)


def sign_by_token(store: Store, actor: Actor, proof: Proof) -> Signature:
    """A signature of whoever proves who it is, for use with the token of `actor`.

    Raises: LoginRefused, TooManyTries; NotPermitted without a token.
    """
    token = _token_of(actor)
    signer = countersign(store, actor.clinic_id, proof)
    second = int((signer.signed_at or store.clock()).timestamp())
    mark = _mark(store, actor.clinic_id, token, signer.person_id, second)
    return Signature(
        login=signer.person_id,
        expires_at=_at(second) + SIGN_WITHIN,
        signature=SEPARATOR.join((signer.person_id, str(second), mark)),
    )


def signed_by(store: Store, actor: Actor, signature: str, *, second: bool = False) -> Actor:
    """Who signed, to act by the token of `actor`; a `second` person (a witness) is held to no token.

    Raises: SignAgain for a signature that does not hold; one that has ended is refused by what asks for it.
    """
    token = _token_of(actor)
    login, _, rest = signature.partition(SEPARATOR)
    at, _, mark = rest.partition(SEPARATOR)
    known = at.isascii() and at.isdigit() and len(at) <= 12 and signature.isascii()
    if not known or not hmac.compare_digest(_mark(store, actor.clinic_id, token, login, int(at)), mark):
        raise _refused()
    with store.read(actor.clinic_id) as tx:
        person = find_person(tx, login)
        kept, _version = load_credentials(tx, login)
    if person is None or kept is None:
        raise _refused()
    signer = Actor(person_id=login, roles=person.roles, clinic_id=actor.clinic_id, signed_at=_at(int(at)))
    return signer if second else replace(signer, only=actor.only, through=token)


def _token_of(actor: Actor) -> str:
    if actor.through is None:
        raise NotPermitted("A signature goes with an API token", next_step="Use a token that a person or service has")
    return actor.through


def _mark(store: Store, clinic_id: str, token: str, login: str, second: int) -> str:
    return keyed_digest(store, clinic_id, "signatures", SEPARATOR.join((token, login, str(second))))


def _at(second: int) -> datetime:
    return datetime.fromtimestamp(second, UTC)


def _refused() -> SignAgain:
    return SignAgain("The signature does not hold", next_step="Give password and code again")
