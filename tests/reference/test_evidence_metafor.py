"""Pooling against R's metafor; the numbers, their tool and its version lie in evidence_metafor.json."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from afterglow.evidence.pooling import Effect, PooledEffect, PoolingMethod, pool

STORED: dict[str, Any] = json.loads((Path(__file__).parent / "evidence_metafor.json").read_text(encoding="utf-8"))
LARGEST_ERROR = 1e-6  # asked for; the largest measured is 4e-13 absolute and 3e-14 relative
CASES = [(name, method) for name in STORED["sets"] for method in PoolingMethod]


def ours(found: PooledEffect) -> dict[str, float | None]:
    prediction = found.prediction95 or (None, None)
    return {
        "estimate": found.estimate,
        "se": found.se,
        "ci_lo": found.ci95[0],
        "ci_hi": found.ci95[1],
        "tau2": found.tau2,
        "i2_pct": found.i2_pct,
        "q": found.q,
        "q_p": found.q_p,
        "prediction_lo": prediction[0],
        "prediction_hi": prediction[1],
        **{f"weight_{i}": weight for i, weight in enumerate(found.weights)},
    }


@pytest.mark.parametrize(("name", "method"), CASES)
def test_every_quantity_agrees_with_metafor(name: str, method: PoolingMethod) -> None:
    data = STORED["sets"][name]
    theirs = dict(data[method.value])
    theirs |= {f"weight_{i}": weight for i, weight in enumerate(theirs.pop("weights"))}
    effects = [
        Effect(label=str(i), estimate=y, variance=v)
        for i, (y, v) in enumerate(zip(data["yi"], data["vi"], strict=True))
    ]
    found = ours(pool(effects, method=method))
    assert found.keys() == theirs.keys()
    for quantity, value in found.items():
        expected = theirs[quantity]
        if expected is None or value is None:
            assert value is expected, quantity
            continue
        absolute = abs(value - expected)
        relative = absolute / abs(expected) if expected else absolute
        assert absolute < LARGEST_ERROR, f"{quantity}: {value} against {expected}"
        assert relative < LARGEST_ERROR, f"{quantity}: {value} against {expected}"


def test_the_sets_hold_the_edges() -> None:
    sets = STORED["sets"]
    assert sets["homogeneous"]["paule_mandel"]["tau2"] == 0
    assert len(sets["two_studies"]["yi"]) == 2
    assert len(sets["bcg_log_risk_ratio"]["yi"]) == 13
    assert STORED["info"]["tool"].startswith("metafor")
