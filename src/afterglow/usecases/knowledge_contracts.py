"""The JSON documents of the evidence and the instruments: names are kept, fields may be added.

Records go out field by field as the library holds them, except that a `provenance` becomes the keys `source`,
`verified` and `note` of whatever it belongs to. docs/reference/json.md names every key, and a test holds it to that.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from afterglow.evidence import PREDICTION_FORMULA, StudiedCondition, Trial, claims, source
from afterglow.provenance import Role, Source
from afterglow.scales import Instrument, core_set, instruments
from afterglow.scales import sources as scale_sources
from afterglow.usecases.knowledge import (
    Overview,
    PoolAnswer,
    ShownEffect,
    is_recalled,
    provenances_in,
    source_keys,
)

if TYPE_CHECKING:  # only the claims need the model
    from afterglow.usecases.claims_model import ClaimPrediction, NotAsked

Document = dict[str, Any]
_DIGITS = 6  # significant, of what we compute; published numbers go out as they were printed


def overview_document(overview: Overview) -> Document:
    """`afterglow.evidence/1`."""
    return {
        "schema": "afterglow.evidence/1",
        "trials_by_role": dict(overview.roles),
        "figures": overview.figures,
        "figures_recalled": overview.recalled,
        "meta_analyses": overview.meta_analyses,
        "claims_by_verdict": dict(overview.verdicts),
        "outcomes": [
            {"name": pool.outcome.name, "title": pool.outcome.title, "k": pool.pooled.k, "excluded": len(pool.excluded)}
            for pool in overview.pools
        ],
    }


def trials_document(found: Sequence[Trial], *, role: Role | None, condition: StudiedCondition | None) -> Document:
    """`afterglow.evidence.trials/1`: trials without their figures, and the filters they passed."""
    return {
        "schema": "afterglow.evidence.trials/1",
        "role": role,
        "condition": condition,
        "trials": [
            {
                "key": trial.key,
                "citation": plain(trial.citation),
                "condition": trial.condition,
                "kind": trial.kind,
                "role": trial.role,
                "design": trial.design,
                "figures": len(trial.figures),
                "figures_recalled": sum(is_recalled(figure.provenance) for figure in trial.figures),
            }
            for trial in found
        ],
    }


def trial_document(trial: Trial) -> Document:
    """`afterglow.evidence.trial/1`: one trial with every figure; those of `verified` "recalled" are no facts."""
    return {
        "schema": "afterglow.evidence.trial/1",
        **plain(trial),
        "sources": _sources(source_keys(provenances_in(trial))),
    }


def claims_document() -> Document:
    """`afterglow.evidence.claims/1`."""
    from afterglow.usecases.claims_model import claim_predictions  # noqa: PLC0415

    cited = source_keys(part.provenance for claim in claims() for part in claim.evidence)
    return {
        "schema": "afterglow.evidence.claims/1",
        "claims": [plain(claim) | {"model": _model(claim_predictions()[claim.id])} for claim in claims()],
        "sources": _sources(cited),
    }


def _model(found: ClaimPrediction | NotAsked) -> Document:
    from afterglow.usecases.claims_model import NotAsked  # noqa: PLC0415

    if isinstance(found, NotAsked):
        return {"reason": found.reason, "prediction": None}
    numbers = {name: _round(getattr(found, name)) for name in ("value", "lo90", "hi90")}
    said = {name: getattr(found, name) for name in ("says", "statistic", "difference", "time_h", "status")}
    return {"reason": None, "prediction": {**said, **numbers}}


def pool_document(answer: PoolAnswer) -> Document:
    """`afterglow.evidence.pool/1`: effects in the shown unit, and under `pooling` on the scale they were pooled on."""
    outcome, pooled = answer.pool.outcome, answer.pool.pooled
    return {
        "schema": "afterglow.evidence.pool/1",
        "outcome": outcome.name,
        "title": outcome.title,
        "method": pooled.method,
        "unit": answer.unit,
        "better": answer.better,
        "k": pooled.k,
        "status": pooled.status,
        **_effect(answer.effect),
        "pooling": {
            "unit": outcome.unit,
            "estimate": _round(pooled.estimate),
            "se": _round(pooled.se),
            "tau2": _round(pooled.tau2),
        },
        "i2_pct": _round(pooled.i2_pct),
        "q": _round(pooled.q),
        "q_df": pooled.q_df,
        "q_p": _round(pooled.q_p),
        "prediction95": None if answer.prediction95 is None else [_round(end) for end in answer.prediction95],
        "prediction_formula": PREDICTION_FORMULA,
        "rows": [
            {
                "trial": row.row.trial.key,
                "contrast": list(row.row.contrast),
                "drug": row.drug,
                "control": row.control,
                "role": row.row.role,
                "basis": row.row.basis,
                "weight_pct": _round(row.weight_pct),
                **_effect(row.effect),
                "pooling": {
                    "estimate": _round(row.row.effect.estimate),
                    "variance": _round(row.row.effect.variance),
                },
                "source": list(row.sources),
            }
            for row in answer.rows
        ],
        "excluded": [
            {"trial": row.trial.key, "contrast": list(row.contrast), "role": row.trial.role, "reason": row.reason}
            for row in answer.pool.excluded
        ],
        "published": [
            {
                "study": found.study.key,
                "citation": plain(found.study.citation),
                "caveats": list(found.study.caveats),
                "figure": plain(found.figure),
                "on_axis": found.effect is not None,
            }
            for found in answer.published
        ],
        "recalled_left_out": answer.recalled_left_out,
        "notes": list(answer.notes),
        "sources": _sources(answer.source_keys),
    }


def scales_document() -> Document:
    """`afterglow.scales/1`: what instruments there are, and the smallest useful set."""
    return {
        "schema": "afterglow.scales/1",
        "scales": [
            {
                "id": each.id,
                "short_name": each.short_name,
                "name": each.name,
                "domain": each.domain,
                "rater": each.rater,
                "items": each.items.count,
                "range": None if each.range is None else list(each.range),
                "direction": each.direction,
                "shown": each.licence.show,
            }
            for each in instruments().values()
        ],
        "core_set": plain(core_set()),
    }


def scale_document(each: Instrument) -> Document:
    """`afterglow.scale/1`: one instrument; item text only where its licence lets it be shown."""
    found = scale_sources()
    return {
        "schema": "afterglow.scale/1",
        **plain(each),
        "sources": {key: _source(found[key]) for key in source_keys(provenances_in(each))},
    }


def plain(value: Any) -> Any:
    """A record as JSON: dataclasses and mappings become objects, tuples lists, a provenance keys of its owner.

    >>> from afterglow.evidence import trial
    >>> plain(trial("murrough2013_ajp").arms[0].baseline)
    {'scale': 'MADRS', 'mean': 32.6, 'sd': 6.1, 'source': [], 'verified': 'recalled', 'note': None}
    """
    if dataclasses.is_dataclass(value):
        said: Document = {}
        for field in dataclasses.fields(value):
            part = plain(getattr(value, field.name))
            said |= part if field.name == "provenance" else {field.name: part}
        return said
    if isinstance(value, Mapping):
        return {str(key): plain(part) for key, part in value.items()}
    if isinstance(value, tuple):
        return [plain(part) for part in value]
    return str(value) if isinstance(value, str) else value


def _effect(effect: ShownEffect) -> Document:
    return {"estimate": _round(effect.estimate), "lo95": _round(effect.lo95), "hi95": _round(effect.hi95)}


def _sources(keys: Iterable[str]) -> Document:
    return {key: _source(source(key)) for key in keys}


def _source(found: Source) -> Document:
    return {
        "citation": found.citation,
        "url": found.url,
        "doi": found.doi,
        "read": found.read,
        "verified": found.verified,
    }


def _round(value: float | None) -> float | None:
    return None if value is None else float(f"{value:.{_DIGITS}g}")
