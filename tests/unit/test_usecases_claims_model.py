"""The ledger meets the model: every claim has a row or a reason, and no sentence outruns its verdict."""

from __future__ import annotations

import html
import json
import re

import pytest
from typer.testing import CliRunner

from afterglow.cli.app import app
from afterglow.evidence import Verdict, claims, evidence_markdown
from afterglow.render.report import report_html
from afterglow.therapy.setting import Condition
from afterglow.usecases.claims_model import (
    ASKED,
    BESIDE_THE_LEDGER,
    AskedOfSession,
    AskedOfTrial,
    ClaimPrediction,
    NotAsked,
    asked_protocol,
    claim_predictions,
    claim_sentence,
)
from afterglow.usecases.knowledge_reports import claims_report

PREDICTED = {claim: found for claim, found in claim_predictions().items() if isinstance(found, ClaimPrediction)}
# What each of the claims that the model must address is about, as its words in the ledger say.
ADDRESSED = {
    "C09": "50% symptom reduction 24 h",
    "C11": "in hours",
    "C12": "suicidal thoughts",
    "C16": "veterans with long-term trauma",
    "C26": "lasting relief",
    "C29": "cognition",
    "C33": "fade quickly",
}
PRAISE = r"confirm|prove|support|works|effective|benefit|lasting|instant|significant|hope|safe|rescue|success"


def test_every_claim_is_asked_or_says_why_not() -> None:
    ids = [claim.id for claim in claims()]
    assert list(ASKED) == list(claim_predictions()) == ids
    for claim, found in claim_predictions().items():
        assert claim_sentence(found).startswith("Model, " if claim in PREDICTED else "Not for the model: ")
        assert isinstance(found, ClaimPrediction) or len(found.reason) > 10


@pytest.mark.parametrize("claim", ADDRESSED)
def test_what_the_model_can_address_has_a_number_with_its_interval(claim: str) -> None:
    (words,) = (one.claim for one in claims() if one.id == claim)
    assert ADDRESSED[claim] in words
    found = PREDICTED[claim]
    assert found.lo90 <= found.value <= found.hi90
    assert found.lo90 < found.hi90
    assert "90 %" in claim_sentence(found)
    assert found.status in claim_sentence(found)


def test_each_condition_has_its_own_read_out() -> None:
    conditions = {c: asked_protocol(asked).condition for c, asked in ASKED.items() if not isinstance(asked, NotAsked)}
    assert conditions["C12"] is Condition.SUICIDAL_IDEATION
    assert conditions["C16"] is Condition.PTSD
    assert conditions["C29"] is Condition.COGNITION
    assert {conditions[c] for c in ("C09", "C26")} == {Condition.DEPRESSION}


def test_a_promise_about_the_drug_is_met_by_a_difference_or_says_what_else_is_in_it() -> None:
    for claim, asked in ASKED.items():
        if isinstance(asked, AskedOfTrial) and not PREDICTED[claim].difference:
            relapse = "lost response" in asked.says
            assert relapse or "belief and care included" in asked.says, claim


def test_no_sentence_outruns_the_verdict() -> None:
    """Numbers and what they count, never a word that judges: the ledger alone does that."""
    for claim, found in PREDICTED.items():
        assert not re.search(PRAISE, claim_sentence(found), re.IGNORECASE), claim
    assert "changes no verdict" in BESIDE_THE_LEDGER


def test_a_claim_without_a_study_gets_no_number_for_it() -> None:
    assert isinstance(claim_predictions()["C15"], NotAsked)
    lost = {claim.id for claim in claims() if claim.verdict is Verdict.CITATION_NOT_FOUND}
    assert lost == {"C15", "C19"}


def test_week_twelve_of_pain_gets_no_number_from_figures_of_week_one() -> None:
    found = claim_predictions()["C19"]
    assert isinstance(found, NotAsked)
    assert "twelfth week" in found.reason


def test_acute_effects_fade() -> None:
    assert isinstance(ASKED["C33"], AskedOfSession)
    assert PREDICTED["C33"].value < PREDICTED["C32"].value
    assert (PREDICTED["C33"].time_h, PREDICTED["C32"].time_h) == (2.0, None)


def test_relief_that_a_few_sessions_bring_is_lost_by_more_people_later() -> None:
    assert PREDICTED["C26"].value < PREDICTED["C27"].value


@pytest.mark.parametrize(
    ("claim", "words"),
    [
        ("C12", "Differences from control are predicted too large"),
        ("C12", "Too little evidence"),
        ("C12", "The drug cannot harm in this model"),
        ("C16", "Too little evidence"),
        ("C16", "The drug cannot harm in this model"),
        ("C16", "the model does not reproduce it"),
        ("C26", "Relapse is predicted too early"),
        ("C29", "helps or harms cognition is left out"),
        ("C32", "any of several sessions"),
        ("C33", "predicted too slowly"),
    ],
)
def test_what_counts_against_a_number_stands_beside_it(claim: str, words: str) -> None:
    assert words in claim_sentence(PREDICTED[claim])


@pytest.mark.parametrize("claim", ["C06", "C24"])
def test_a_number_that_is_not_to_be_read_is_not_given(claim: str) -> None:
    found = claim_predictions()[claim]
    assert isinstance(found, NotAsked)
    assert "first hours" in found.reason
    assert all(one.time_h >= 24.0 for one in ASKED.values() if isinstance(one, AskedOfTrial))


def test_verdict_and_model_stand_together_in_text_document_report_and_page() -> None:
    sentences = {claim: claim_sentence(found) for claim, found in claim_predictions().items()}
    text = " ".join(CliRunner().invoke(app, ["evidence", "claims"]).output.split())
    document = json.loads(CliRunner().invoke(app, ["evidence", "claims", "--json"]).output)
    page, report = evidence_markdown(sentences)["claims.md"], html.unescape(report_html(claims_report()))
    told = {one["id"]: (one["verdict"], one["model"]) for one in document["claims"]}
    for claim in claims():
        assert sentences[claim.id] in text
        assert sentences[claim.id] in report
        section = page.partition(f"## {claim.id}. ")[2].partition("\n## ")[0]
        assert f"**{claim.verdict.capitalize()}.**" in section
        assert sentences[claim.id] in section
        verdict, model = told[claim.id]
        assert verdict == claim.verdict
        assert (model["prediction"] is None) == (claim.id not in PREDICTED) == (model["reason"] is not None)
    assert "Model, " not in evidence_markdown()["claims.md"]
