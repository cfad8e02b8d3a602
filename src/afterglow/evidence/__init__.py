"""Published trials, claims and pharmacology as typed data with sources; pooling of effect sizes."""

from afterglow.evidence.figures import Confidence, PValue, Spread, SpreadKind
from afterglow.evidence.pharmacology import (
    PharmacologyFact,
    PkModel,
    PkParameter,
    Point,
    fact,
    pharmacology,
    pk_model,
    pk_models,
    section_notes,
    sections,
)

__all__ = [
    "Confidence",
    "PValue",
    "PharmacologyFact",
    "PkModel",
    "PkParameter",
    "Point",
    "Spread",
    "SpreadKind",
    "fact",
    "pharmacology",
    "pk_model",
    "pk_models",
    "section_notes",
    "sections",
]
