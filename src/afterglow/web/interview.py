"""The interview before a course: what is asked, in the order in which a clinician asks, and what somebody answered."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, timedelta

from afterglow.clinic import fact_kinds, workup_items
from afterglow.errors import OutOfRange
from afterglow.predicates import Fact
from afterglow.usecases.intake import Assessment
from afterglow.usecases.patients import counts_days
from afterglow.web.typed import Typed

SHOWN = "shown:"
"""Before a field's name: what the form showed in it, so that only what somebody changed is written."""
_WORKUP = {f"workup.{each.id.lower()}.age_days": each.item for each in workup_items()}
GROUPS: tuple[tuple[str, tuple[str, ...]], ...] = (
    (
        "Why now",
        (
            "plan.prescriber_evaluation_done",
            "plan.team_review",
            "plan.home_unsupervised",
            "plan.frequent_or_high_dose",
            "tx.on_ssri_or_snri",
            "tx.concurrent_neuromod_or_ketamine",
            "dx.pain_weak_evidence",
        ),
    ),
    (
        "Mood and mind",
        (
            "cssrs.level",
            "dx.bipolar",
            "dx.mania_current",
            "dx.psychosis_active",
            "dx.psychosis_history",
            "dx.dissociative_or_bpd_primary",
            "hx.dementia_or_delirium",
        ),
    ),
    (
        "Heart and vessels",
        (
            "hx.aneurysmal_vascular_disease",
            "hx.avm",
            "hx.cv_event",
            "hx.days_since_cv_event",
            "hx.mi",
            "hx.unstable_angina",
            "hx.nyha_class",
            "hx.arrhythmia_uncontrolled",
            "hx.ecg_abnormality_significant",
            "hx.valve_disease_significant",
            "hx.severe_coronary_or_myocardial_disease",
            "hx.poorly_controlled_cvd",
            "hx.hypertensive_crisis",
            "hx.hypertensive_encephalopathy",
            "hx.cardiac_risk",
            "clinical.bp_or_icp_rise_serious_risk",
        ),
    ),
    (
        "Brain and eyes",
        (
            "hx.intracerebral_haemorrhage",
            "hx.stroke_or_cerebral_trauma",
            "hx.raised_icp",
            "hx.raised_iop",
            "hx.seizure_uncontrolled",
        ),
    ),
    ("Breathing and sleep", ("hx.respiratory_unstable", "hx.sleep_apnoea")),
    (
        "Liver, kidneys, bladder, glands",
        (
            "hx.liver_risk",
            "hx.renal_risk",
            "hx.dialysis",
            "hx.bladder_symptoms",
            "hx.hyperthyroid",
            "hx.porphyria",
        ),
    ),
    (
        "Pregnancy",
        (
            "pregnancy.possible",
            "pregnancy.prevention_plan",
            "pregnancy.test",
            "pregnancy.days_since_negative_test",
            "pregnancy.lactating",
            "hx.eclampsia_or_pre_eclampsia",
        ),
    ),
    (
        "Alcohol and drugs",
        (
            "sud.active",
            "sud.history",
            "sud.ketamine_misuse",
            "intake.hours_since_alcohol",
            "patient.sex_for_cutoff",
            "lab.uds",
            "workup.pdmp_checked",
        ),
    ),
    (
        "Measured",
        ("vitals.systolic", "vitals.diastolic", "vitals.bmi", "lab.child_pugh", "lab.alt_ast_xuln"),
    ),
    ("Work-up: last done on", tuple(name for name in _WORKUP if name in fact_kinds())),
    (
        "Before the first session",
        (
            "rems.setting_certified",
            "rems.patient_enrolled",
            "rems.prescriber_on_site",
            "rems.pulse_oximeter_present",
            "logistics.transport",
        ),
    ),
)
_DATES = {
    "hx.days_since_cv_event": "Date of the last cardiovascular event",
    "pregnancy.days_since_negative_test": "Date of the last negative test",
}
_UNITS = {
    "vitals.systolic": "mmHg",
    "vitals.diastolic": "mmHg",
    "vitals.bmi": "kg/m²",
    "lab.alt_ast_xuln": "times the upper limit",
    "intake.hours_since_alcohol": "h",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """One question of the interview.

    Args:
        kind: "flag" (yes, no, not known), "word", "number" or "date".
        words: that it may be answered with, of a word.
        shown: the answer as the form shows it; empty where not known.
    """

    name: str
    text: str
    kind: str
    words: tuple[str, ...]
    unit: str
    shown: str


def interview(known: Assessment) -> tuple[tuple[str, tuple[Question, ...]], ...]:
    """Every question that the rules of this delivery ask, in groups with a heading, with what is known."""
    found = []
    for heading, names in GROUPS:
        asked = tuple(_question(name, known) for name in names if name in known.asked)
        if asked:
            found.append((heading, asked))
    return tuple(found)


def answers_of(typed: Typed, *, today: date) -> dict[str, Fact | None]:
    """Every answer of a form by the name of the rules; None where nobody knows.

    Raises: OutOfRange naming the field.

    >>> form = Typed(fields={"hx.avm": "no", "hx.nyha_class": "", "workup.w08.age_days": "2026-01-01"})
    >>> answers_of(form, today=date(2026, 1, 5))
    {'hx.avm': False, 'hx.nyha_class': None, 'workup.w08.age_days': 4}
    """
    return {name: _answer(typed, name, today) for name in _names(typed)}


def changes_of(typed: Typed, *, today: date) -> dict[str, Fact | None]:
    """The answers that differ from what the form showed: what nobody touched is not written again.

    Raises: OutOfRange naming the field.

    >>> form = Typed(fields={"hx.avm": "no", "shown:hx.avm": "no", "hx.mi": "", "shown:hx.mi": "yes"})
    >>> changes_of(form, today=date(2026, 1, 5))
    {'hx.mi': None}
    """
    touched = (name for name in _names(typed) if _said(typed, name) != typed.text(f"{SHOWN}{name}"))
    return {name: _answer(typed, name, today) for name in touched}


def _names(typed: Typed) -> tuple[str, ...]:
    kinds = fact_kinds()
    return tuple(name for name in typed.fields if name in kinds)


def _said(typed: Typed, name: str) -> str:
    found = typed.text(name)
    return "" if found == "unknown" else found


def _answer(typed: Typed, name: str, today: date) -> Fact | None:
    kind = fact_kinds()[name]
    if kind.kind is bool:
        return typed.yes_no(name)
    if kind.kind is str:
        return _said(typed, name) or None
    if not counts_days(name):
        return typed.number(name, f"The answer to {kind.text}")
    on = typed.day(name)
    if on is not None and on > today:
        raise OutOfRange(
            f"{kind.text.capitalize()}: the date is in the future",
            observed=on.isoformat(),
            allowed=f"up to {today.isoformat()}",
            next_step="Correct the date",
            about=name,
        )
    return None if on is None else (today - on).days


def _question(name: str, known: Assessment) -> Question:
    kind = fact_kinds()[name]
    if kind.kind is bool:
        form = "flag"
    elif kind.kind is str:
        form = "word"
    else:
        form = "date" if counts_days(name) else "number"
    text = _DATES.get(name) or _WORKUP.get(name, kind.text)
    shown = _shown(name, known.noted[name].value, known) if name in known.noted else ""
    return Question(
        name=name,
        text=text[:1].upper() + text[1:],
        kind=form,
        words=kind.words,
        unit=_UNITS.get(name, ""),
        shown=shown,
    )


def _shown(name: str, value: Fact | None, known: Assessment) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, str):
        return value
    if counts_days(name):
        return (known.noted[name].learnt_at.date() - timedelta(days=round(value))).isoformat()
    return f"{value:g}"
