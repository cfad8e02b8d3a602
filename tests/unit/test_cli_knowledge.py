"""`afterglow evidence` and `afterglow scales` as a person runs them: text, JSON, reports, refusals."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from afterglow.cli import main
from afterglow.evidence import Verdict, claims, outcomes, trial_keys, trials
from afterglow.provenance import Role, Verified
from afterglow.scales import instruments
from afterglow.usecases.knowledge import FROM_MEMORY, printed, typeset

PAGE = Path(__file__).parents[2] / "docs" / "reference" / "json.md"
WIDTH = 110  # columns of output that no terminal shows
COMMANDS = ("evidence", "evidence trials", "evidence trial", "evidence claims", "evidence pool", "scales")

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """Run `afterglow` with these words in this process; exit status, stdout, stderr."""

    def run_words(*words: str) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["afterglow", *words])
        with pytest.raises(SystemExit) as left:
            main()
        out, err = capsys.readouterr()
        return int(left.value.code or 0), out, err

    return run_words


def text_of(run: Run, *words: str) -> str:
    """Text of a command that must succeed, within the width, as one line."""
    code, out, err = run(*words)
    assert code == 0, err
    assert max(map(len, out.splitlines())) <= WIDTH
    return re.sub(r"\s+", " ", out)


def json_of(run: Run, *words: str) -> dict[str, Any]:
    code, out, err = run(*words, "--json")
    assert (code, err) == (0, "")
    found: dict[str, Any] = json.loads(out)
    return found


# Help


@pytest.mark.parametrize("command", COMMANDS)
def test_help_shows_an_example_of_the_command(run: Run, command: str) -> None:
    said = text_of(run, *command.split(), "--help")
    example = re.search(r"Example: afterglow (.*?) (Options|Arguments):", said)
    assert example is not None
    assert example[1].startswith(command)


@pytest.mark.parametrize("command", COMMANDS)
def test_the_example_of_help_runs(run: Run, command: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    example = re.search(r"Example: afterglow (.*?) (Options|Arguments):", text_of(run, *command.split(), "--help"))
    assert example is not None
    assert run(*example[1].split())[0] == 0


# Text


def test_the_overview_counts_everything_and_says_what_to_type_next(run: Run) -> None:
    said = text_of(run, "evidence")
    for role in Role:
        count = sum(trial.role is role for trial in trials())
        assert f"{role.replace('_', ' ')} {count} " in said
    for verdict in Verdict:
        assert f"{verdict.capitalize()} {sum(claim.verdict is verdict for claim in claims())}" in said
    for outcome in outcomes():
        assert f"{outcome.name} " in said
    assert "evidence pool OUTCOME" in said


def test_trials_lists_every_trial_once_with_its_role(run: Run) -> None:
    listed = run("evidence", "trials")[1]
    for key in trial_keys():
        assert len(re.findall(rf"^{key} ", listed, flags=re.MULTILINE)) == 1


@pytest.mark.parametrize(
    ("words", "shown", "hidden"),
    [
        (("--role", "held_out"), "phillips2019", "murrough2013_ajp"),
        (("--condition", "ptsd"), "feder_2021", "daly2018"),
        (("--role", "calibration", "--condition", "ptsd"), "feder_2021", "feder_2014"),
        (("--condition", "ocd", "--role", "calibration"), "rodriguez_2013", "feder_2014"),
    ],
)
def test_trials_are_filtered(run: Run, words: tuple[str, ...], shown: str, hidden: str) -> None:
    said = text_of(run, "evidence", "trials", *words)
    assert shown in said
    assert hidden not in said


def test_no_trial_says_what_to_do(run: Run) -> None:
    assert "`afterglow evidence trials` lists them all" in text_of(
        run, "evidence", "trials", "--role", "bound", "--condition", "ocd"
    )


@pytest.mark.parametrize("key", trial_keys())
def test_every_trial_is_shown_with_its_figures_apart_from_what_is_from_memory(run: Run, key: str) -> None:
    (trial,) = (trial for trial in trials() if trial.key == key)
    _, out, _ = run("evidence", "trial", key)
    recalled = sum(figure.provenance.verified is Verified.RECALLED for figure in trial.figures)
    confirmed = len(trial.figures) - recalled
    assert (f"Figures ({confirmed})" in out) == (confirmed > 0)
    assert (f"never to be quoted ({recalled})" in out) == (recalled > 0)
    assert ("No figure was taken from it." in out) == (not trial.figures)
    if recalled:
        assert out.index("never to be quoted") > out.rfind("Figures (")


def test_a_trial_is_shown_with_arms_times_units_and_sources(run: Run) -> None:
    said = text_of(run, "evidence", "trial", "murrough2013_ajp")
    for words in (
        "calibration: may be fitted",
        "ket05 racemic ketamine 0.5 mg/kg, single 47 completed 24 h (48 MADRS 32.6 (SD 6.1), from",
        "IV, over 40 min started) memory, not confirmed",
        "ket05 MADRS, mean change 24 h −16.5 points (SE 1.6, SD",
        "midaz MADRS, response 24 h 28 %",
        "Murrough JW 2013, Am J Psychiatry",
        "https://clinicaltrials.gov/ct2/show/results/NCT00768430",
    ):
        assert words in said


def test_claims_are_shown_with_verdict_evidence_and_what_is_from_memory(run: Run) -> None:
    said = text_of(run, "evidence", "claims")
    assert "34 claims: 6 supported, 10 partly supported, 11 overstated, 5 contradicted, 2 citation not found" in said
    for claim in claims():
        assert f"{claim.id} {typeset(claim.claim)}" in said
        for part in claim.evidence:
            marked = f"{FROM_MEMORY.capitalize()}: {typeset(part.text)}" in said
            assert typeset(part.text) in said
            assert marked == (part.provenance.verified is Verified.RECALLED)


def test_a_pooled_outcome_is_shown_with_roles_weights_reasons_and_published_results(run: Run) -> None:
    said = text_of(run, "evidence", "pool", "depression-24h")
    for words in (
        "Paule-Mandel random effects, MADRS points; negative favours the drug",
        "2 of 4 rows are held out: they are pooled for display only, and nothing is fitted to them.",
        "−5.9 −9.0 to −2.8",
        "Fu DJ 2020, held out",
        "fu2020_aspire1 esketamine 84 mg + SOC placebo + SOC printed standard error",
        "esk56 against placebo: shares the arm placebo with esk84 against placebo, which has the higher dose",
        "Wilkinson ST 2019 Cohen's d, ketamine vs 24 h 0.7 (95 % 0.4 to 0.9)",
        "Published results known from memory only and left out: 1.",
        "do not use",
    ):
        assert words in said
    # Cochrane's result against placebo is recalled: its number must not appear.
    assert "−0.87 (95 % −1.26" not in said


def test_a_ratio_is_shown_as_a_ratio_and_says_so(run: Run) -> None:
    said = text_of(run, "evidence", "pool", "depression-relapse", "--method", "dl")
    for words in (
        "DerSimonian-Laird random effects, hazard ratio; below 1 favours the drug",
        "Pooled as log hazard ratios and shown as hazard ratios",
        "0.49 0.29 to 0.83",
        "0.30 0.16 to 0.56",
        "Two studies: heterogeneity is barely estimable and there is no prediction interval.",
    ):
        assert words in said


def test_one_trial_is_not_called_pooled(run: Run) -> None:
    said = text_of(run, "evidence", "pool", "ptsd-2w")
    assert "One study: nothing is pooled and heterogeneity is unknown." in said
    assert "Between-trial variance" not in said


@pytest.mark.parametrize("outcome", [outcome.name for outcome in outcomes()])
def test_marks_of_the_plot_in_letters_stand_where_the_numbers_say(run: Run, outcome: str) -> None:
    code, out, _ = run("evidence", "pool", outcome)
    assert code == 0
    lines = [line for line in out.splitlines() if re.search(r"[■◆]", line)]
    read = []
    for line in lines:
        effect = float(re.split(r"\s{2,}", re.split(r"[■◆]", line)[1].strip(" ─│·"))[0].replace("−", "-"))
        read.append((effect, re.search(r"[■◆]", line)))
    columns = [(effect, mark.start()) for effect, mark in read if mark is not None]
    assert len(columns) == len(lines) > 1
    for one, at in columns:
        for other, there in columns:
            assert (at <= there) or (one >= other)


def test_scales_lists_every_instrument_and_what_may_be_shown(run: Run) -> None:
    said = text_of(run, "scales")
    for each in instruments().values():
        assert f"{each.short_name} {each.domain}"[:20] in said
    assert "PHQ-9 depression self 9 0 to 27 full" in said


@pytest.mark.parametrize("name", list(instruments()))
def test_every_instrument_is_shown_with_its_licence_and_no_wording_it_forbids(run: Run, name: str) -> None:
    each = instruments()[name]
    said = text_of(run, "scales", each.short_name)
    assert typeset(each.licence.status) in said
    assert ("The wording is not shown: " in said) == (not each.may_show_text)
    if not each.may_show_text:
        assert not [item.text for item in each.items.listed if item.text]


def test_a_scale_is_shown_with_items_bands_definitions_alerts_and_checks(run: Run) -> None:
    said = text_of(run, "scales", "PHQ-9")
    for words in (
        "1 Little interest or pleasure in doing things 0 to 3",
        "hurting yourself in some way",
        "critical",
        "Answers: 0 Not at all, 1 Several days, 2 More than half the days, 3 Nearly every day",
        "sum; 0 to 27; higher is worse [spier, camcops_txt]",
        "0-4 minimal, 5-9 mild, 10-14 moderate, 15-19 moderately severe, 20-27 severe [spier]",
        "Response ≥50 % fall from baseline [mcinnes2022]",
        "Remission total <5",
        "8.6 points",
        "[derived from phq9_retest;",
        "item 9 ≥ 1: needs clinician review",
        "prorate mean with at most 2 missing, where the site has switched it on",
        "[from memory, not confirmed]",
        "public domain",
    ):
        assert words in said


def test_levels_of_an_item_are_shown(run: Run) -> None:
    assert "4 lethargic response to name; 5 responds readily to name in normal tone" in text_of(run, "scales", "MOAA/S")


# Refusals


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (
            ("evidence", "trial", "murrough2013"),
            "found 'murrough2013'; allowed: murrough2013_ajp, murrough2013_bp. Did you mean murrough2013_ajp?",
        ),
        (("evidence", "trial", "fedgshin2019"), "Did you mean fedgchin2019_transform1?"),
        (("evidence", "trial", "zzz"), "Take one of these names."),
        (("evidence", "trial", ""), "Take one of these names."),
        (
            ("evidence", "pool", "depresion-24h"),
            "No outcome has this name; found 'depresion-24h'; allowed: depression-24h",
        ),
        (("scales", "PHQ"), "No instrument has this name; found 'PHQ'; allowed: PHQ-9"),
        (("evidence", "trials", "--role", "fit"), "'fit' is not one of 'calibration'"),
        (("evidence", "trials", "--condition", "migraine"), "'migraine' is not one of 'depression'"),
        (("evidence", "pool", "depression-24h", "--method", "REML"), "'REML' is not one of"),
        (("evidence", "pool"), "Missing argument 'OUTCOME'"),
        (("evidence", "everything"), "No such command 'everything'"),
    ],
)
def test_what_is_unknown_is_refused_with_what_exists(run: Run, words: tuple[str, ...], message: str) -> None:
    code, out, err = run(*words)
    assert (code, out) == (2, "")
    assert message in err


# Reports


@pytest.mark.parametrize("words", [("evidence", "pool", "depression-24h"), ("evidence", "claims")])
def test_a_report_is_written_where_asked_and_named(run: Run, words: tuple[str, ...], tmp_path: Path) -> None:
    path = tmp_path / "new folder" / "report.html"
    code, out, err = run(*words, "--report", str(path))
    assert (code, err) == (0, f"Report: {path}\n")
    assert out
    assert path.read_text(encoding="utf-8").endswith("</html>\n")
    assert list(path.parent.iterdir()) == [path]


def test_a_report_that_cannot_be_written_leaves_nothing_behind(run: Run, tmp_path: Path) -> None:
    path = tmp_path / "taken"
    path.mkdir()
    code, _, err = run("evidence", "claims", "--report", str(path))
    assert code == 2
    assert "--report is refused" in err
    assert list(tmp_path.iterdir()) == [path]
    assert list(path.iterdir()) == []


# JSON: the page names every key that goes out, and no key that does not


def documents(run: Run) -> Iterator[dict[str, Any]]:
    yield json_of(run, "evidence")
    yield json_of(run, "evidence", "trials", "--role", "held_out")
    yield json_of(run, "evidence", "claims")
    yield json_of(run, "scales")
    for key in trial_keys():
        yield json_of(run, "evidence", "trial", key)
    for outcome in outcomes():
        yield json_of(run, "evidence", "pool", outcome.name)
    for name in instruments():
        yield json_of(run, "scales", name)


# Objects whose keys are data, not names of the contract.
BY_NAME = frozenset({"sources", "trials_by_role", "claims_by_verdict", "answer_codes", "need"})


def keys_in(value: Any) -> Iterator[str]:
    if isinstance(value, list):
        for part in value:
            yield from keys_in(part)
    elif isinstance(value, dict):
        for key, part in value.items():
            yield key
            named = key in BY_NAME or (key == "levels" and isinstance(part, dict))
            yield from keys_in(list(part.values()) if named and isinstance(part, dict) else part)


def sections_of_the_page() -> dict[str, str]:
    parts = re.split(r"^## (.+)$", PAGE.read_text(encoding="utf-8"), flags=re.MULTILINE)
    return {heading.strip("`"): text for heading, text in zip(parts[1::2], parts[2::2], strict=True)}


def names_in(section: str) -> set[str]:
    """Backticked words of a section that look like keys."""
    return set(re.findall(r"`([a-z][a-z0-9_]*)`", section))


def first_cells(section: str) -> set[str]:
    cells = re.findall(r"^\| (`.+?) \|", section, flags=re.MULTILINE)
    return {name for cell in cells for name in re.findall(r"`(\w+)`", cell)}


def test_every_key_is_named_in_the_page_and_every_named_key_goes_out(run: Run) -> None:
    sections = sections_of_the_page()
    shared = names_in(sections["Shared records"])
    sent: dict[str, set[str]] = {}
    for document in documents(run):
        sent.setdefault(document["schema"], set()).update(keys_in(document))
    assert set(sent) == {schema for schema in sections if schema.startswith(("afterglow.evidence", "afterglow.scale"))}
    for schema, keys in sent.items():
        assert keys - shared - names_in(sections[schema]) - {"schema"} == set(), schema
        assert first_cells(sections[schema]) - keys == set(), schema
    assert first_cells(sections["Shared records"]) - set().union(*sent.values()) == set()


def test_pool_json_has_the_pooled_effect_its_rows_and_no_recalled_result(run: Run) -> None:
    found = json_of(run, "evidence", "pool", "depression-response-24h")
    assert found["unit"] == "odds ratio"
    assert found["estimate"] == pytest.approx(7.28, abs=0.01)
    assert found["pooling"]["unit"] == "log odds ratio"
    assert [row["role"] for row in found["rows"]] == ["calibration", "calibration"]
    assert sum(row["weight_pct"] for row in found["rows"]) == pytest.approx(100)
    assert found["recalled_left_out"] == 1
    assert {row["figure"]["verified"] for row in found["published"]} == {"page"}
    assert found["prediction95"] is None
    for row in [*found["rows"], *(row["figure"] for row in found["published"])]:
        assert set(row["source"]) <= set(found["sources"])


def test_trial_json_marks_what_is_recalled(run: Run) -> None:
    found = json_of(run, "evidence", "trial", "murrough2013_ajp")
    first, third = found["figures"][0], found["figures"][2]
    assert (first["value"], first["verified"], first["source"]) == (-16.5, "page", ["mur_apa"])
    assert (third["verified"], third["source"]) == ("recalled", [])
    assert found["arms"][0]["dose"] == {"mg": None, "mg_per_kg": 0.5}


def test_scale_json_holds_wording_only_where_the_licence_allows_it(run: Run) -> None:
    texts = {name: [item["text"] for item in json_of(run, "scales", name)["items"]["listed"]] for name in instruments()}
    assert texts["phq9"][0] == "Little interest or pleasure in doing things"
    for name, each in instruments().items():
        assert each.may_show_text or set(texts[name]) <= {None}


def test_trials_json_repeats_the_filters(run: Run) -> None:
    found = json_of(run, "evidence", "trials", "--role", "bound")
    assert (found["role"], found["condition"]) == ("bound", None)
    assert {trial["role"] for trial in found["trials"]} == {"bound"}


def test_printed_keeps_published_digits() -> None:
    assert [printed(value) for value in (0.1, -12.71, 1234.5)] == ["0.1", "−12.71", "1,234.5"]
