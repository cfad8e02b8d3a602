"""What is promised about ketamine in public, and what the evidence says."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from functools import cache
from pathlib import Path

from afterglow.provenance import Provenance, Verified
from afterglow.records import Record, read_record, unknown_name

_DATA = Path(__file__).parent / "data"


class Verdict(StrEnum):
    """How a claim stands; "citation not found" says only that the study it names could not be identified."""

    SUPPORTED = "supported"
    PARTLY_SUPPORTED = "partly supported"
    OVERSTATED = "overstated"
    CONTRADICTED = "contradicted"
    CITATION_NOT_FOUND = "citation not found"


class ActionKind(StrEnum):
    """What a clinic's system does about a claim."""

    MEASURE = "measure"
    WARN = "warn"
    DO = "do"


@dataclass(frozen=True, slots=True, kw_only=True)
class ClaimEvidence:
    """One piece of evidence in words, with its figures."""

    text: str
    provenance: Provenance

    @property
    def may_be_shown_as_fact(self) -> bool:
        """False for recalled evidence: a display marks it as unconfirmed or leaves it out."""
        return self.provenance.verified is not Verified.RECALLED


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """A public promise about ketamine treatment, in our words.

    `action_kind` and `action` say in one line what a clinic's system should do about it.
    """

    id: str
    section: str
    claim: str
    verdict: Verdict
    evidence: tuple[ClaimEvidence, ...]
    action_kind: ActionKind
    action: str


def claims() -> tuple[Claim, ...]:
    """Every claim, in the order of its id.

    >>> [claim.id for claim in claims() if claim.verdict is Verdict.CITATION_NOT_FOUND][:1]
    ['C15']
    """
    return _claims()


def claim(claim_id: str) -> Claim:
    """One claim.

    Raises: UnknownName with close matches.
    """
    for found in _claims():
        if found.id == claim_id:
            return found
    raise unknown_name("No claim has this id", claim_id, [found.id for found in _claims()])


@cache
def _claims() -> tuple[Claim, ...]:
    file = read_record(_DATA, "claims.yaml")
    return file.close(tuple(_read_claim(name, record) for name, record in file.mapping("claims").items()))


def _read_claim(name: str, record: Record) -> Claim:
    evidence = tuple(
        child.close(ClaimEvidence(text=child.text("text"), provenance=child.provenance()))
        for child in record.records("evidence")
    )
    if not evidence:
        raise record.fault("has a verdict and no evidence")
    kind, line = _read_action(record.record("action"))
    return record.close(
        Claim(
            id=name,
            section=record.text("section"),
            claim=record.text("claim"),
            verdict=record.word("verdict", Verdict),
            evidence=evidence,
            action_kind=kind,
            action=line,
        )
    )


def _read_action(record: Record) -> tuple[ActionKind, str]:
    return record.close((record.word("kind", ActionKind), record.text("line")))
