"""The population file is sealed, and fits one version of the model and its priors."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest

from afterglow.errors import AfterglowError, Conflict, InvalidData, UnreadableFile
from afterglow.therapy import calibrated
from afterglow.therapy.calibrated import (
    SHIPPED,
    Learnt,
    calibration_in_use,
    choose_calibration,
    load_calibrated,
    read_calibrated,
    shipped_calibration,
    write_calibrated,
)
from afterglow.therapy.population import (
    BETWEEN,
    Belief,
    load_population,
    prior_population,
    shifts_from,
    updated_population,
)
from afterglow.therapy.setting import Condition


def sealed(**changes: object) -> str:
    """A file whose digest is right, with some of its content replaced."""
    content = json.loads(SHIPPED.read_text())
    del content["digest"]
    content.update(changes)
    return json.dumps({**content, "digest": calibrated._digest(content)})


def test_a_written_file_is_read_back() -> None:
    one = Learnt(names=("a", "b"), shift=np.array([0.5, -1.0]), factor=np.array([[1.0, 0.0], [0.6, 0.8]]))
    text = write_calibrated(version="9", learnt={"depression": one}, seed=3, diagnostics={"x": 1}, data_digest="d")
    found = read_calibrated(text, file="population.json")
    again = found.learnt["depression"]
    assert (found.version, found.seed, found.diagnostics, found.data_digest) == ("9", 3, {"x": 1}, "d")
    assert again.names == one.names
    assert again.shift.tolist() == [0.5, -1.0]
    assert again.factor.tolist() == one.factor.tolist()
    shift, covariance = again.part(("b",))
    assert shift.tolist() == [-1.0]
    assert covariance.round(12).tolist() == [[1.0]]  # 0.6² + 0.8²


@pytest.mark.parametrize("kept", [0, 1, 200, -2])
def test_a_truncated_file_is_refused(kept: int) -> None:
    with pytest.raises(InvalidData, match="truncated") as caught:
        read_calibrated(SHIPPED.read_text()[:kept], file="population.json")
    assert "afterglow calibrate" in str(caught.value)


@pytest.mark.parametrize("text", ["[]", "{}", "1", '{"digest": 1}', "null"])
def test_another_file_is_refused(text: str) -> None:
    with pytest.raises(InvalidData, match=r"truncated or not one|digest"):
        read_calibrated(text, file="population.json")


def test_one_edited_digit_is_refused() -> None:
    text = SHIPPED.read_text()
    at = text.index('"shift"') + text[text.index('"shift"') :].index("0.") + 2
    edited = text[:at] + str((int(text[at]) + 1) % 10) + text[at + 1 :]
    with pytest.raises(InvalidData, match="edited or damaged"):
        read_calibrated(edited, file="population.json")


@pytest.mark.parametrize("key", ["model", "priors"])
def test_a_file_of_another_version_is_refused(key: str) -> None:
    assert read_calibrated(sealed(), file="population.json").version == shipped_calibration().version
    with pytest.raises(InvalidData, match="another version of the model") as caught:
        read_calibrated(sealed(**{key: "other"}), file="population.json")
    assert key in str(caught.value)


@pytest.mark.parametrize("key", ["version", "seed", "learnt", "diagnostics", "data_digest"])
def test_a_sealed_file_without_a_part_is_refused(key: str) -> None:
    content = json.loads(sealed())
    del content["digest"], content[key]
    text = json.dumps({**content, "digest": calibrated._digest(content)})
    with pytest.raises(InvalidData, match="not complete") as caught:
        read_calibrated(text, file="population.json")
    assert key in str(caught.value)
    assert "afterglow calibrate" in str(caught.value)


@pytest.mark.parametrize(
    "learnt",
    [
        {},
        {"ptsd": {"names": ["a"], "shift": [0.0], "factor": [[1.0]]}},  # depression is what all start from
        {"depression": {"shift": [0.0], "factor": [[1.0]]}},
        {"depression": {"names": ["a", "b"], "shift": [0.0], "factor": [[1.0], [0.0, 1.0]]}},
        {"depression": {"names": ["a"], "shift": [0.0], "factor": []}},
        {"depression": {"names": ["a"], "shift": [0.0], "factor": [[1.0, 2.0]]}},
        {"depression": {"names": ["a"], "shift": ["x"], "factor": [[1.0]]}},
        {"depression": 3},
        [],
    ],
)
def test_a_sealed_file_of_another_form_is_refused(learnt: object) -> None:
    with pytest.raises(InvalidData, match="not complete"):
        read_calibrated(sealed(learnt=learnt), file="population.json")


def test_a_sealed_file_that_lacks_a_value_is_refused() -> None:
    learnt = {"depression": {"names": ["a"], "shift": [0.0], "factor": [[1.0]]}}
    found = read_calibrated(sealed(learnt=learnt), file="population.json")
    with pytest.raises(InvalidData, match="says nothing of a value"):
        updated_population(prior_population(Condition.DEPRESSION), found)


def test_the_shipped_file_is_small_so_that_it_loads_in_a_few_milliseconds() -> None:
    # The benchmark page has the time; JSON of this size parses in about 1 ms, the limit of the package is 50 ms.
    assert SHIPPED.stat().st_size < 150_000


@pytest.mark.parametrize("condition", Condition)
def test_populations_follow_the_file(condition: Condition) -> None:
    prior, after, file = prior_population(condition), load_population(condition), shipped_calibration()
    assert after.uncertain == prior.uncertain
    assert after.digest == file.digest
    own = condition in file.learnt
    assert after.status == ("calibrated" if condition is Condition.DEPRESSION else "provisional")
    learnt = file.learnt[condition if own else Condition.DEPRESSION]
    moved = dict(zip(prior.uncertain, shifts_from(prior, after), strict=True))
    apart = {"largest_drug_relief": 1.0, "care": 0.16, **{f"expectancy_{belief}": 1.0 for belief in Belief}}
    for name, sd, before in zip(after.uncertain, after.doubt_sds, prior.doubt_sds, strict=True):
        further = 0.0 if own else apart.get(name, 0.0) ** 2  # how conditions differ (decision 0028)
        if not own and name.removesuffix(BETWEEN) in prior.own:
            assert moved[name] == 0
            assert sd**2 == pytest.approx(before**2 + further)
        else:
            shift, variance = learnt.part((name,))
            assert moved[name] == pytest.approx(shift[0], abs=1e-6)
            carried = 0.0 if own else before**2  # elsewhere a prior's doubt is added
            assert sd**2 == pytest.approx(variance[0, 0] + carried + further, rel=1e-6)


def test_a_condition_is_open_to_expectancy_or_not_whatever_is_believed() -> None:
    prior, depression = prior_population(Condition.ANXIETY), load_population(Condition.DEPRESSION)
    after = load_population(Condition.ANXIETY)
    assert after.doubt_factor is not None
    assert depression.doubt_factor is not None
    covariance, before = after.doubt_factor @ after.doubt_factor.T, depression.doubt_factor @ depression.doubt_factor.T
    there = {name: depression.uncertain.index(name) for name in ("expectancy_saline", "expectancy_ketamine")}
    here = {name: after.uncertain.index(name) for name in (*there, "largest_drug_relief", "care")}
    saline, ketamine = here["expectancy_saline"], here["expectancy_ketamine"]
    learnt = before[there["expectancy_saline"], there["expectancy_ketamine"]]
    assert covariance[saline, ketamine] == pytest.approx(learnt + 1.0)  # one logit, shared
    assert prior.doubt_sds[here["largest_drug_relief"]] == 0.5
    assert covariance[here["largest_drug_relief"], here["largest_drug_relief"]] == pytest.approx(0.25 + 1.0)
    assert covariance[here["largest_drug_relief"], saline] == pytest.approx(0.0)


@pytest.mark.parametrize("condition", [one for one in Condition if one is not Condition.DEPRESSION])
def test_bands_are_wider_where_less_is_known(condition: Condition) -> None:
    # The doubt of each effect size against depression's: what makes a band, whatever the scale of the condition.
    depression, after = load_population(Condition.DEPRESSION), load_population(condition)
    known = dict(zip(depression.uncertain, depression.doubt_sds, strict=True))
    here = dict(zip(after.uncertain, after.doubt_sds, strict=True))
    sizes = [name for name in here if name in ("largest_drug_relief", "care") or name[11:] in set(Belief)]
    assert sizes
    assert all(here[name] > 1.5 * known[name] for name in sizes)


def test_shifts_use_the_factor() -> None:
    prior = prior_population(Condition.DEPRESSION)
    deviates = np.eye(len(prior.uncertain))[:1]
    assert prior.shifts(deviates)[0, 0] == pytest.approx(prior.doubt_sds[0])
    after = updated_population(prior, shipped_calibration())
    assert after.doubt_factor is not None
    assert after.shifts(deviates)[0] == pytest.approx(after.doubt_factor[:, 0])


def test_deviates_of_the_shipped_population_have_its_covariance() -> None:
    # 20,000 draws: each variance is within 5 % of its value with a false-alarm rate under 1e-5 for all 40.
    after = load_population(Condition.DEPRESSION)
    deviates = np.random.default_rng(7).standard_normal((20_000, len(after.uncertain)))
    assert after.shifts(deviates).std(axis=0) == pytest.approx(after.doubt_sds, rel=0.025)


@pytest.mark.parametrize(
    ("content", "kind", "words"),
    [
        (None, UnreadableFile, "No such file"),
        (b"\xff\xfe\x00population", UnreadableFile, "no text in UTF-8"),
        (b"[" * 100_000, InvalidData, "truncated or not one"),
        (b"", InvalidData, "truncated or not one"),
    ],
)
def test_a_file_that_is_no_population_is_refused(
    tmp_path: Path, content: bytes | None, kind: type[AfterglowError], words: str
) -> None:
    file = tmp_path / "population.json"
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(kind, match=words) as caught:
        load_calibrated(file)
    assert "--population" in str(caught.value)


def test_a_shift_that_is_no_number_is_refused() -> None:
    learnt = json.loads(SHIPPED.read_text())["learnt"]
    learnt["depression"]["shift"][0] = float("nan")
    with pytest.raises(InvalidData, match="finite"):
        read_calibrated(sealed(learnt=learnt), file="population.json")


def test_another_population_is_chosen_once_and_says_so(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(calibrated, "_chosen", [])
    assert calibration_in_use() is shipped_calibration()
    (tmp_path / "population.json").write_text(sealed(seed=7))
    other = load_calibrated(tmp_path / "population.json")
    choose_calibration(other)
    choose_calibration(other)
    assert calibration_in_use() is other
    assert other.version == f"{shipped_calibration().version}+{other.digest[:8]}"
    with pytest.raises(Conflict, match="in use already"):
        choose_calibration(shipped_calibration())


def test_commands_rest_on_a_population_file(tmp_path: Path) -> None:
    """In processes of their own, as a person runs them; two cores, so that the workers rest on it too."""
    learnt = json.loads(SHIPPED.read_text())["learnt"]
    at = learnt["depression"]["names"].index("largest_drug_relief")
    learnt["depression"]["shift"][at] -= 3.0
    file, plan = tmp_path / "population.json", tmp_path / "plan.yaml"
    file.write_text(sealed(learnt=learnt))
    plan.write_text(
        "{drug: racemic_ketamine, route: iv, dose: 0.5 mg/kg, infusion: 40 min, days: [0], control: midazolam, "
        "arm: both, population: {scale: MADRS, baseline_mean: 32, baseline_sd: 6}, observe: {times: [24 h]}, "
        "design: {sizes: [20]}}"
    )

    def asked(*options: str | Path) -> dict[str, Any]:
        words = ["design", str(plan), "--trials", "250", "--cores", "2", "--json", *map(str, options)]
        return cast("dict[str, Any]", json.loads(afterglow(*words).stdout))

    shipped, other = asked(), asked("--population", file)
    assert shipped["model"].endswith(shipped_calibration().version)
    assert other["model"] == f"{shipped['model']}+{json.loads(file.read_text())['digest'][:8]}"
    assert (
        other["comparisons"][0]["estimate"] > shipped["comparisons"][0]["estimate"] + 1.0
    )  # less of the drug, a smaller fall
    refused = afterglow("replicate", str(plan), "--population", str(tmp_path / "none.json"))
    assert (refused.returncode, refused.stdout) == (2, "")
    assert "The population file cannot be read" in refused.stderr


def afterglow(*words: str) -> subprocess.CompletedProcess[str]:
    program = "from afterglow.cli import main; main()"
    return subprocess.run([sys.executable, "-c", program, *words], capture_output=True, text=True, check=False)
