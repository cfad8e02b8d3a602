"""The JSON documents that other programs rely on: names are kept, fields may be added. See docs/reference/json.md."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from afterglow.quantities import DrugForm
from afterglow.therapy.acute import AcuteEffects
from afterglow.therapy.exposure import Analyte, ExposureProfile, Site
from afterglow.trials import Prediction
from afterglow.usecases.modelling import ExposureAnswer, ObservedFigure, ReplicationAnswer

Document = dict[str, Any]
_DIGITS = 6  # significant; the model promises fewer

# What is measured, as the contract names it: the molecule, and which of its forms.
_ANALYTES: dict[Analyte, tuple[str, str]] = {
    Analyte.KETAMINE: ("ketamine", "racemic"),
    Analyte.S_KETAMINE: ("ketamine", "S"),
    Analyte.R_KETAMINE: ("ketamine", "R"),
    Analyte.NORKETAMINE: ("norketamine", "racemic"),
    Analyte.S_NORKETAMINE: ("norketamine", "S"),
    Analyte.R_NORKETAMINE: ("norketamine", "R"),
    Analyte.S_HYDROXYNORKETAMINE: ("hydroxynorketamine", "S"),
}


def expose_document(answer: ExposureAnswer) -> Document:
    """`afterglow.expose/1`."""
    return {
        "schema": "afterglow.expose/1",
        "title": answer.protocol.title,
        "seed": answer.seed,
        "weight_kg": round_number(answer.weight_kg),
        "profiles": [_profile(profile) for profile in answer.profiles],
        "acute": _acute(answer.acute),
        "notes": list(answer.acute.notes),
    }


def replicate_document(answer: ReplicationAnswer) -> Document:
    """`afterglow.replicate/1`."""
    replication = answer.replication
    return {
        "schema": "afterglow.replicate/1",
        "title": answer.protocol.title,
        "model": replication.model,
        "status": replication.status,
        "seed": replication.seed,
        "virtual_patients": replication.n_draws * replication.patients_per_draw,
        "n": {str(arm): n for arm, n in replication.n.items()},
        "trial": None if answer.trial is None else {"key": answer.trial.key, "role": str(answer.trial.role)},
        "standing": answer.standing,
        "predictions": [
            _prediction(prediction, observed)
            for prediction, observed in zip(replication.predictions, answer.observed, strict=True)
        ],
        "notes": list(answer.notes),
    }


def analyte_name(analyte: Analyte) -> str:
    """An analyte as people write it.

    >>> analyte_name(Analyte.S_KETAMINE), analyte_name(Analyte.KETAMINE)
    ('S-ketamine', 'ketamine, S + R')
    """
    molecule, form = _ANALYTES[analyte]
    return f"{molecule}, S + R" if form == "racemic" else f"{form}-{molecule}"


def site_name(site: Site) -> str:
    """Where a level is measured, in words.

    >>> site_name(Site.VENOUS), site_name(Site.EFFECT)
    ('venous plasma', 'effect site')
    """
    return "effect site" if site is Site.EFFECT else f"{site} plasma"


def _profile(profile: ExposureProfile) -> Document:
    molecule, form = _ANALYTES[profile.analyte]
    return {
        "analyte": molecule,
        "form": form,
        "drug": "racemic" if profile.drug is DrugForm.RACEMIC_KETAMINE else "esketamine",
        "site": str(profile.site),
        "unit": profile.unit,
        "time_h": _rounded(profile.times_h),
        "median": _rounded(profile.median),
        "lo90": _rounded(profile.lo90),
        "hi90": _rounded(profile.hi90),
        "cmax": round_number(profile.cmax),
        "tmax_h": round_number(profile.tmax_h),
        "auc_h": round_number(profile.auc_h),
        "borrowed_spread": profile.borrowed_spread,
        "exploratory": profile.exploratory,
        "models": list(profile.model_ids),
        "sources": list(profile.sources),
        "warnings": list(profile.warnings),
    }


def _acute(effects: AcuteEffects) -> list[Document]:
    time = _rounded(effects.times_h)
    rises = {
        "systolic_rise": ("mmHg", effects.systolic_mmhg),
        "diastolic_rise": ("mmHg", effects.diastolic_mmhg),
        "heart_rate_rise": ("/min", effects.heart_rate_bpm),
    }
    return [
        {
            "effect": "effect_site_s_ketamine",
            "unit": "ng/mL",
            "time_h": time,
            "median": _rounded(effects.effect_site_median),
            "lo90": _rounded(effects.effect_site_lo90),
            "hi90": _rounded(effects.effect_site_hi90),
        },
        *(
            {"effect": name, "time_h": time, "probability": _rounded(chance), "ever": round_number(ever)}
            for name, chance, ever in (
                ("dissociation", effects.dissociation, effects.dissociation_ever),
                ("sedation", effects.sedation, effects.sedation_ever),
            )
        ),
        *(
            {"effect": name, "unit": unit, "time_h": time, "mean": _rounded(rise.mean), "sd": _rounded(rise.sd)}
            for name, (unit, rise) in rises.items()
        ),
        {
            "effect": "ready_to_leave",
            "time_h": time,
            "probability": _rounded(effects.ready),
            "median_h": _finite(effects.ready_median_h),
            "hi90_h": _finite(effects.ready_90_h),
            "note": "a rule decides when somebody leaves, never this model",
        },
    ]


def _prediction(prediction: Prediction, observed: ObservedFigure | None) -> Document:
    parts = prediction.parts
    return {
        "arm": str(prediction.arm),
        "time_h": round_number(prediction.time_h),
        "statistic": str(prediction.statistic),
        "analysis": None if prediction.analysis is None else str(prediction.analysis),
        "of": None if prediction.of is None else str(prediction.of),
        "scale": prediction.scale,
        "value": round_number(prediction.value),
        "lo90": round_number(prediction.lo90),
        "hi90": round_number(prediction.hi90),
        "parts": None
        if parts is None
        else {
            name: round_number(getattr(parts, name))
            for name in ("drug", "expectancy", "care", "drug_lo90", "drug_hi90")
        },
        "observed": None
        if observed is None
        else {
            "value": observed.value,
            "lo95": None if observed.low is None else round_number(observed.low),
            "hi95": None if observed.high is None else round_number(observed.high),
            "source": list(observed.figure.provenance.source),
            "verified": str(observed.figure.provenance.verified),
        },
    }


def round_number(value: float) -> float:
    """A computed number as a document gives it.

    >>> round_number(1 / 3)
    0.333333
    """
    return float(f"{value:.{_DIGITS}g}")


def _rounded(values: Iterable[float]) -> list[float]:
    return [round_number(float(value)) for value in values]


def _finite(value: float) -> float | None:
    return round_number(value) if value < float("inf") else None
