"""The JSON documents, key by key and type by type: other programs rely on them."""

from __future__ import annotations

import functools
import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from afterglow.evidence import sources
from afterglow.protocol import TrialProtocol, parse_protocol, read_protocol
from afterglow.therapy.exposure import Analyte, Site
from afterglow.therapy.setting import Arm
from afterglow.trials import replicate
from afterglow.usecases import modelling
from afterglow.usecases.contracts import analyte_name, expose_document, replicate_document, site_name
from afterglow.usecases.modelling import ExposureAnswer, ReplicationAnswer, expose, replicate_beside_published

ROOT = Path(__file__).parents[2]
MURROUGH = read_protocol(ROOT / "examples" / "murrough2013.yaml")
WITH_RELAPSE = parse_protocol(
    "drug: racemic_ketamine\nroute: iv\ndose: 0.5 mg/kg\ninfusion: 40 min\ndays: [0]\n"
    "population: {n: 20, scale: MADRS, baseline_mean: 32, baseline_sd: 5}\n"
    "observe: {times: [24 h], response: 50 %, relapse: {of: responders, judged: 24 h, at: [14 d]}}\n"
)
NUMBERS = [float]


@pytest.fixture(scope="module", autouse=True)
def _few_people() -> Any:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(modelling, "N_PROFILE_PATIENTS", 32)
        patch.setattr(modelling, "replicate", functools.partial(replicate, n_draws=8, patients_per_draw=8))
        yield


@functools.cache
def exposure(times_h: tuple[float, ...] | None = (0.5, 2.0, 24.0)) -> ExposureAnswer:
    return expose(MURROUGH, times_h=times_h, seed=3)


@functools.cache
def replication(protocol: TrialProtocol = MURROUGH) -> ReplicationAnswer:
    return replicate_beside_published(protocol, seed=3)


def read(document: dict[str, Any]) -> dict[str, Any]:
    """As another program reads it: strict JSON without NaN or infinity."""
    again: dict[str, Any] = json.loads(json.dumps(document, allow_nan=False))
    assert again == document
    return again


def check(value: Any, wanted: Any, where: str = "") -> None:
    """Hold a document against its shape: a type, a tuple of choices, a list of one kind, or a dict of keys."""
    if isinstance(wanted, dict):
        assert isinstance(value, dict), where
        assert list(value) == list(wanted), where
        for key, inner in wanted.items():
            check(value[key], inner, f"{where}.{key}")
    elif isinstance(wanted, list):
        assert isinstance(value, list), where
        assert value, where
        for one in value:
            check(one, wanted[0], where)
    elif isinstance(wanted, tuple):
        assert any(value == choice or (isinstance(choice, type) and type(value) is choice) for choice in wanted), where
    else:
        assert type(value) is wanted, f"{where}: {value!r}"


def test_expose_is_as_promised() -> None:
    document = read(expose_document(exposure()))
    assert document["schema"] == "afterglow.expose/1"
    profile = {
        "analyte": str,
        "form": ("racemic", "S", "R"),
        "drug": ("racemic", "esketamine"),
        "site": ("venous",),
        "unit": ("ng/mL",),
        "time_h": NUMBERS,
        "median": NUMBERS,
        "lo90": NUMBERS,
        "hi90": NUMBERS,
        "cmax": float,
        "tmax_h": float,
        "auc_h": float,
        "borrowed_spread": bool,
        "exploratory": bool,
        "models": [str],
        "sources": [str],
        "warnings": (list, []),
    }
    assert list(document) == ["schema", "title", "seed", "weight_kg", "profiles", "acute", "notes"]
    check(document["profiles"], [profile])
    assert (document["seed"], document["title"]) == (3, MURROUGH.title)
    check(document["weight_kg"], float)
    check(document["notes"], [str])
    named = [(one["analyte"], one["form"]) for one in document["profiles"]]
    assert named == [("ketamine", "racemic"), ("ketamine", "S"), ("ketamine", "R"), ("norketamine", "racemic")]
    for one in document["profiles"]:
        assert one["time_h"] == [0.5, 2.0, 24.0]
        assert all(len(one[key]) == 3 for key in ("median", "lo90", "hi90"))
        assert all(lo <= mid <= hi for lo, mid, hi in zip(one["lo90"], one["median"], one["hi90"], strict=True))


def test_racemic_ketamine_is_the_sum_of_its_halves() -> None:
    both, s, r = expose_document(exposure())["profiles"][:3]
    for at in range(3):
        assert both["lo90"][at] <= s["hi90"][at] + r["hi90"][at]
    assert both["auc_h"] == pytest.approx(s["auc_h"] + r["auc_h"], rel=1e-5)


def test_acute_effects_are_as_promised() -> None:
    acute = {one["effect"]: one for one in read(expose_document(exposure()))["acute"]}
    probability = {"effect": str, "time_h": NUMBERS, "probability": NUMBERS, "ever": float}
    rise = {"effect": str, "unit": ("mmHg", "/min"), "time_h": NUMBERS, "mean": NUMBERS, "sd": NUMBERS}
    shapes: dict[str, dict[str, Any]] = {
        "effect_site_s_ketamine": {
            "effect": str,
            "unit": ("ng/mL",),
            "time_h": NUMBERS,
            "median": NUMBERS,
            "lo90": NUMBERS,
            "hi90": NUMBERS,
        },
        "dissociation": probability,
        "sedation": probability,
        "systolic_rise": rise,
        "diastolic_rise": rise,
        "heart_rate_rise": rise,
        "ready_to_leave": {
            "effect": str,
            "time_h": NUMBERS,
            "probability": NUMBERS,
            "median_h": float,
            "hi90_h": float,
            "note": str,
        },
    }
    assert list(acute) == list(shapes)
    for name, shape in shapes.items():
        check(acute[name], shape, name)
        assert acute[name]["time_h"] == [0.5, 2.0, 24.0]
        assert all(0 <= p <= 1 for p in acute[name].get("probability", []))


def test_a_time_beyond_the_horizon_is_null() -> None:
    """Nobody may be ready within the 12 h that are followed; JSON has no infinity."""
    never = replace(exposure(), acute=replace(exposure().acute, ready_median_h=np.inf, ready_90_h=np.inf))
    ready = read(expose_document(never))["acute"][-1]
    assert (ready["median_h"], ready["hi90_h"]) == (None, None)


def test_replicate_is_as_promised() -> None:
    document = read(replicate_document(replication()))
    assert document["schema"] == "afterglow.replicate/1"
    parts = {"drug": float, "expectancy": float, "care": float, "drug_lo90": float, "drug_hi90": float}
    observed = {
        "value": float,
        "lo95": (float, None),
        "hi95": (float, None),
        "source": [str],
        "verified": ("page", "derived", "policy"),
    }
    shape = {
        "schema": str,
        "title": str,
        "model": str,
        "status": ("provisional",),
        "seed": int,
        "virtual_patients": int,
        "n": {"active": int, "control": int},
        "trial": {"key": str, "role": str},
        "standing": str,
        "predictions": (list,),
        "notes": [str],
    }
    check(document, shape)
    assert document["trial"] == {"key": "murrough2013_ajp", "role": "calibration"}
    assert (document["seed"], document["virtual_patients"], document["n"]) == (3, 64, {"active": 47, "control": 25})
    for prediction in document["predictions"]:
        points = prediction["statistic"] in {"mean_change", "mean_score"}
        check(
            prediction,
            {
                "arm": ("active", "control", "contrast"),
                "time_h": float,
                "statistic": ("mean_change", "mean_score", "response_pct"),
                "analysis": (None,),
                "of": (None,),
                "scale": ("MADRS",),
                "value": float,
                "lo90": float,
                "hi90": float,
                "parts": parts if points else (None,),
                "observed": (None,) if prediction["observed"] is None else observed,
            },
        )
        assert prediction["lo90"] <= prediction["value"] <= prediction["hi90"]
    told = {(p["arm"], p["statistic"]): p["observed"] for p in document["predictions"] if p["observed"]}
    assert told["contrast", "mean_change"]["value"] == -7.95
    assert {key for one in told.values() for key in one["source"]} <= set(sources())


def test_relapse_says_of_whom() -> None:
    document = read(replicate_document(replication(WITH_RELAPSE)))
    (relapse,) = (p for p in document["predictions"] if p["statistic"] == "relapse_pct")
    assert (relapse["of"], relapse["time_h"], relapse["parts"]) == ("responders", 336.0, None)
    assert {p["of"] for p in document["predictions"] if p is not relapse} == {None}
    assert (document["title"], document["trial"]) == (None, None)
    assert document["n"] == {"active": 20}


def test_a_document_is_the_same_for_the_same_seed() -> None:
    def exposed(seed: int) -> str:
        return json.dumps(expose_document(expose(MURROUGH, times_h=[1.0], seed=seed)))

    def replicated(seed: int) -> str:
        return json.dumps(replicate_document(replicate_beside_published(MURROUGH, seed=seed)))

    for document in (exposed, replicated):
        assert document(5) == document(5)
        assert document(5) != document(6)


def test_computed_numbers_have_six_digits() -> None:
    text = json.dumps([expose_document(exposure()), replicate_document(replication())["predictions"]])
    for number in re.findall(r"-?\d+\.\d+(?:e-?\d+)?", text):
        digits = re.sub(r"e.*|\D", "", number).strip("0")
        assert len(digits) <= 6, number


def test_every_key_is_documented() -> None:
    page = (ROOT / "docs" / "reference" / "json.md").read_text(encoding="utf-8")
    for document in (expose_document(exposure(None)), replicate_document(replication())):
        _, _, section = page.partition(f"## `{document['schema']}`")
        section, _, _ = section.partition("\n## ")
        assert section, document["schema"]
        for key in keys(document):
            assert f"`{key}`" in section, f"{document['schema']}: {key}"


def keys(document: Any) -> set[str]:
    if isinstance(document, dict):
        return set(document).union(*(keys(value) for value in document.values()))
    return set().union(*map(keys, document)) if isinstance(document, list) else set()


def test_names_for_people() -> None:
    assert {analyte_name(analyte) for analyte in Analyte} == {
        "ketamine, S + R",
        "S-ketamine",
        "R-ketamine",
        "norketamine, S + R",
        "S-norketamine",
        "R-norketamine",
        "S-hydroxynorketamine",
    }
    assert [site_name(site) for site in Site] == ["arterial plasma", "venous plasma", "effect site"]


def test_an_arm_of_a_document_is_an_arm_of_the_model() -> None:
    assert [str(arm) for arm in Arm] == ["active", "control", "contrast"]
