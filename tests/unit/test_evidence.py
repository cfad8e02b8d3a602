"""Refusals of figures and facts, laziness, and pooling at its edges."""

from __future__ import annotations

import dataclasses
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from afterglow.errors import InvalidData, MissingValue, OutOfRange, UnknownName
from afterglow.evidence import citations, facts, figures, ledger, pooling, studies, synthesis
from afterglow.evidence.figures import PValue, Spread, SpreadKind
from afterglow.evidence.pooling import Effect, PoolingMethod, PoolingStatus, pool
from afterglow.provenance import Provenance, Role, Verified
from afterglow.records import Record


def record(**data: Any) -> Record:
    return Record(data, file="some.yaml")


PAGE = {"source": "somewhere", "verified": "page"}


def refused(read: Callable[[], object], *words: str) -> None:
    with pytest.raises(InvalidData) as caught:
        read()
    for word in ("some.yaml", *words):
        assert word in caught.value.message


SPREADS = [
    ({"kind": "sd", "lo": 1, "hi": 2}, "takes a value"),
    ({"kind": "sd"}, "lacks a number"),
    ({"kind": "ci95", "value": 1}, "takes lo and hi"),
    ({"kind": "ci95", "lo": 1}, "lacks a number"),
    ({"kind": "ci95", "lo": 2, "hi": 1}, "runs backwards"),
    ({"kind": "covariance", "value": 1}, "if and only if it is a covariance"),
    ({"kind": "sd", "value": 1, "partner": "V1"}, "if and only if it is a covariance"),
    ({"kind": "sdd", "value": 1}, "is an unknown word"),
]


@pytest.mark.parametrize(("spread", "word"), SPREADS)
def test_a_spread_is_refused(spread: dict[str, Any], word: str) -> None:
    refused(lambda: figures.read_spreads(record(spread=[spread])), word)


def test_spreads_and_p_values_as_text() -> None:
    assert str(Spread(kind=SpreadKind.CI95, lo=97, note="upper limit not estimable")) == "ci95 97 to not given"
    assert str(PValue(value=0.001, below=True)) == "p < 0.001"
    assert figures.read_p(record(p="<0.001")) == PValue(value=0.001, below=True)
    assert figures.read_p(record()) is None
    refused(lambda: figures.read_p(record(p="low")), "not a p-value")
    refused(lambda: figures.read_p(record(p=1.2)), "not a probability")


FIGURES = [
    ({"contrast": ["a", "b"]}, "an arm or a contrast"),
    ({"arm": "x"}, "unknown arm"),
    ({"arm": None, "contrast": ["a", "x"]}, "not two arms"),
    ({"arm": None, "contrast": ["a", "a"]}, "not two arms"),
    ({"favours": "first"}, "is no contrast"),
    ({"value": None}, "no value, spread, p-value or text"),
    ({"n": 3, "events": 4}, "more events than patients"),
    ({"statistic": "averge"}, "is an unknown word"),
    ({"t_days": "one"}, "not a number"),
    ({"colour": "red"}, "unknown key"),
]


@pytest.mark.parametrize(("change", "word"), FIGURES)
def test_a_figure_is_refused(change: dict[str, Any], word: str) -> None:
    data = {"arm": "a", "statistic": "mean", "value": 1, **PAGE, **change}
    refused(lambda: figures.read_figure(record(**data), frozenset({"a", "b"})), word)


FACTS = [
    ({"text": "also words"}, "exactly one of"),
    ({"value": None}, "exactly one of"),
    ({"unit": None}, "no unit"),
    ({"points": [{"label": "x", "at": "1 h", "value": 1}], "value": None}, "a time `at` or a `label`"),
]


@pytest.mark.parametrize(("change", "word"), FACTS)
def test_a_fact_is_refused(change: dict[str, Any], word: str) -> None:
    data = {"quantity": "C50", "value": 1, "unit": "ng/mL", **PAGE, **change}
    refused(lambda: facts._read_fact("x", record(**data), section="s", role=Role.BOUND), word)


def test_a_model_without_parameters_is_refused() -> None:
    data = {"drug": "ketamine", "route": "IV", "population": "adults", "source": "somewhere"}
    refused(lambda: facts._read_model("x", record(**data)), "has no parameters")


def test_a_claim_without_evidence_is_refused() -> None:
    data = {"section": "s", "claim": "c", "verdict": "supported", "action": {"kind": "do", "line": "l"}}
    refused(lambda: ledger._read_claim("C1", record(**data)), "no evidence")


def test_a_variability_fact_has_one_content() -> None:
    data = {"topic": "t", "what": "w", "values": [1], "text": "also words", **PAGE}
    refused(lambda: studies._read_variability("x", record(**data)), "exactly one of")


def test_two_arms_of_one_id_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    arm = "{id: a, drug: ketamine, verified: recalled}"
    (tmp_path / "trials").mkdir()
    (tmp_path / "trials" / "some.yaml").write_text(f"arms: [{arm}, {arm}]\n", encoding="utf-8")
    monkeypatch.setattr(studies, "_DATA", tmp_path)
    refused(lambda: studies._trial.__wrapped__("some"), "two arms of one id")


def test_names_that_resemble_nothing_are_answered_with_a_list() -> None:
    with pytest.raises(UnknownName, match="ket05"):
        studies.trial("murrough2013_ajp").arm("zzz")
    with pytest.raises(UnknownName, match="hydrochloride"):
        facts.fact("spravato_salt").point("chloride")


def replaced(monkeypatch: pytest.MonkeyPatch, name: str, value: object) -> None:
    monkeypatch.setattr(citations, name, lambda *_: value)


def test_references_that_do_not_resolve(monkeypatch: pytest.MonkeyPatch) -> None:
    trial = studies.trial("murrough2013_ajp")
    lost = dataclasses.replace(trial.figures[0], provenance=Provenance(source=("lost",), verified=Verified.PAGE))
    with monkeypatch.context() as patch:
        replaced(patch, "trials", (dataclasses.replace(trial, figures=(lost,)),))
        with pytest.raises(InvalidData, match=r"trials/murrough2013_ajp.yaml: figures\[1\] cites an unknown source"):
            citations.check_evidence()
    with monkeypatch.context() as patch:
        replaced(patch, "trials", (dataclasses.replace(trial, overlaps=("lost",)),))
        with pytest.raises(InvalidData, match="overlaps an unknown study"):
            citations.check_evidence()
    found = facts.fact("obs_simons_iv20")
    with monkeypatch.context() as patch:
        replaced(patch, "pharmacology", (found,))
        with pytest.raises(InvalidData, match="is also a fact of"):
            citations.check_evidence()
    with monkeypatch.context() as patch:
        replaced(patch, "pharmacology", (dataclasses.replace(found, overlaps_models=("lost",)),))
        with pytest.raises(InvalidData, match="names an unknown model"):
            citations.check_evidence()


LAZY = """
import sys
from pathlib import Path
read = []
whole = Path.read_text
Path.read_text = lambda self, *args, **kwargs: (read.append(self.name), whole(self, *args, **kwargs))[1]
import afterglow.evidence as evidence
heavy = {"scipy", "pandas", "statsmodels"} & set(sys.modules)
assert not heavy, heavy
evidence.trial("murrough2013_ajp")
assert [name for name in read if name.endswith(".yaml")] == ["murrough2013_ajp.yaml"], read
read.clear()
evidence.pk_model("kamp2020_meta_3cmt")
assert read == ["pk_models.yaml"], read
"""


def test_importing_and_asking_reads_only_what_is_needed() -> None:
    done = subprocess.run([sys.executable, "-c", LAZY], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def effect(estimate: float, variance: float) -> Effect:
    return Effect(label="Study", estimate=estimate, variance=variance)


def test_nothing_to_pool() -> None:
    with pytest.raises(MissingValue, match="no effect"):
        pool([])


@pytest.mark.parametrize("variance", [0.0, -1.0, float("nan"), float("inf")])
def test_a_variance_must_be_positive(variance: float) -> None:
    with pytest.raises(OutOfRange, match="variance of Study"):
        pool([effect(1.0, variance)])


def test_an_effect_must_be_a_number() -> None:
    with pytest.raises(OutOfRange, match="effect of Study"):
        pool([effect(float("nan"), 1.0)])


@pytest.mark.parametrize("method", PoolingMethod)
def test_equal_effects_have_no_heterogeneity(method: PoolingMethod) -> None:
    found = pool([effect(0.5, 0.1), effect(0.5, 0.2), effect(0.5, 0.3)], method=method)
    assert (found.tau2, found.q, found.q_p, found.i2_pct) == (0.0, 0.0, 1.0, 0.0)
    assert found.estimate == pytest.approx(0.5)
    assert found.se == pytest.approx((1 / 0.1 + 1 / 0.2 + 1 / 0.3) ** -0.5)


def test_nearly_exact_studies_still_have_a_root() -> None:
    found = pool([effect(0.0, 1e-18), effect(1.0, 1e-18), effect(2.0, 1e-18)])
    assert found.tau2 == pytest.approx(1.0)
    assert found.status is PoolingStatus.POOLED


def test_paule_mandel_solves_its_equation_where_the_library_gives_up() -> None:
    """The library's own iteration with a tight tolerance returns zero for about one set in five of this kind."""
    from statsmodels.stats.meta_analysis import combine_effects  # noqa: PLC0415 - the oracle of this test alone

    rng = np.random.default_rng(1)
    collapsed = 0
    for _ in range(60):
        k = int(rng.integers(3, 15))
        y, v = rng.normal(0.0, 0.6, k), rng.uniform(0.01, 0.3, k)
        tau2 = pool([effect(a, b) for a, b in zip(y.tolist(), v.tolist(), strict=True)]).tau2
        assert tau2 is not None
        weights = 1 / (v + tau2)
        q = float((weights * (y - weights @ y / weights.sum()) ** 2).sum())
        assert q == pytest.approx(k - 1, rel=1e-9) if tau2 else q <= k - 1
        collapsed += combine_effects(y, v, method_re="pm", atol=1e-12).tau2 == 0 < tau2
    assert collapsed > 0


def test_dersimonian_laird_agrees_with_the_library_when_it_is_positive() -> None:
    from statsmodels.stats.meta_analysis import combine_effects  # noqa: PLC0415 - the oracle of this test alone

    y, v = np.array([-0.9, -0.3, -0.5, 0.4]), np.array([0.04, 0.02, 0.09, 0.05])
    found = pool([effect(a, b) for a, b in zip(y, v, strict=True)], method=PoolingMethod.DERSIMONIAN_LAIRD)
    assert found.tau2 == pytest.approx(combine_effects(y, v, method_re="dl").tau2, rel=1e-12)


def test_the_formula_of_the_prediction_interval_has_a_name() -> None:
    assert "Higgins-Thompson-Spiegelhalter" in pooling.PREDICTION_FORMULA


BASE = synthesis._OUTCOMES["depression-24h"]
SMD = synthesis._OUTCOMES["suicidal-ideation-24h"]
MURROUGH = studies.trial("murrough2013_ajp")
KETAMINE, MIDAZOLAM = MURROUGH.arms
CONTRAST = MURROUGH.figures[4]


def made(**changes: Any) -> object:
    kind, outcome = changes.pop("kind", MURROUGH.kind), changes.pop("outcome", BASE)
    first = changes.pop("first", KETAMINE)
    figure = dataclasses.replace(CONTRAST, **changes)
    return synthesis._from_print(kind, first, MIDAZOLAM, figure, outcome)


def test_printed_contrasts_that_cannot_be_pooled() -> None:
    hazard = synthesis._OUTCOMES["depression-relapse"]
    assert made(spreads=()) == "no spread to derive a standard error from"
    assert made(spreads=(), outcome=SMD, first=dataclasses.replace(KETAMINE, n=None)) == made(spreads=())
    assert made(spreads=(), outcome=SMD, kind=studies.StudyKind.RCT_CROSSOVER) == (
        "group sizes do not give a standard error in a crossover"
    )
    assert made(spreads=(), outcome=hazard) == "no interval to derive a standard error from"
    second = made(favours=figures.Favours.SECOND)
    assert isinstance(second, tuple)
    assert second[0] == 7.95


def test_refusals_of_a_figure() -> None:
    recalled = Provenance(source=(), verified=Verified.RECALLED)
    refuse = synthesis._refusal
    assert refuse(CONTRAST) is None
    assert refuse(CONTRAST, dataclasses.replace(CONTRAST, provenance=recalled)) == "from memory, not read at a page"
    assert refuse(dataclasses.replace(CONTRAST, do_not_fit=True)) == "the publication contradicts itself"
    assert refuse(dataclasses.replace(CONTRAST, value=None)) == "the value was not read"


def test_computed_effects_need_sizes_and_spreads() -> None:
    response = [one for one in MURROUGH.figures if one.statistic is figures.Statistic.RESPONSE_PCT][:2]
    nobody = dataclasses.replace(KETAMINE, n=None)
    assert isinstance(synthesis._odds_ratio(nobody, MIDAZOLAM, *response), str)
    assert isinstance(synthesis._hedges_g(nobody, MIDAZOLAM, *response), str)
    none = dataclasses.replace(response[1], value=0.0)
    corrected = synthesis._odds_ratio(KETAMINE, MIDAZOLAM, response[0], none)
    assert isinstance(corrected, tuple)
    assert "0.5 added" in corrected[2]
    counted = synthesis._odds_ratio(KETAMINE, MIDAZOLAM, dataclasses.replace(response[0], n=40, events=20), response[1])
    assert isinstance(counted, tuple)
    assert counted[1] == pytest.approx(1 / 20 + 1 / 20 + 1 / 7 + 1 / 18)
