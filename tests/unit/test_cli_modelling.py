"""`afterglow expose` and `afterglow replicate` as a person runs them: text, JSON, reports, refusals."""

from __future__ import annotations

import functools
import json
import os
import re
import shlex
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from afterglow.cli import main
from afterglow.cli.modelling import parse_times, parse_weight
from afterglow.errors import InputError
from afterglow.therapy.acute import AcuteEffects, simulate_acute
from afterglow.trials import replicate, trajectory
from afterglow.usecases import modelling

EXAMPLES = Path(__file__).parents[2] / "examples"
MURROUGH = str(EXAMPLES / "murrough2013.yaml")
DALY = str(EXAMPLES / "daly2018_84mg.yaml")
WIDTH = 110  # columns of output that no terminal shows
SPRAY = """\
drug: esketamine
route: intranasal
dose: 84 mg
days: [0, 3]
population: {n: 20, scale: MADRS, baseline_mean: 35, baseline_sd: 4}
observe: {times: [24 h, 7 d], relapse: {of: responders, at: [28 d]}, response: 50 %}
"""

Run = Callable[..., tuple[int, str, str]]
Write = Callable[[str | bytes], str]


@pytest.fixture(autouse=True)
def _few_people(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(modelling, "N_PROFILE_PATIENTS", 32)
    monkeypatch.setattr(modelling, "replicate", functools.partial(replicate, n_draws=8, patients_per_draw=8))
    monkeypatch.setattr(trajectory, "_N_DRAWS", 8)
    monkeypatch.setattr(trajectory, "_PATIENTS_PER_DRAW", 8)


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """Run `afterglow` with these words in this process; exit status, stdout, stderr."""

    def run_words(*words: str) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["afterglow", *words])
        with pytest.raises(SystemExit) as left:
            main()
        out, err = capsys.readouterr()
        assert "Traceback" not in out + err
        return int(left.value.code or 0), out, err

    return run_words


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """Write a protocol file and say where it is."""

    def write_file(content: str | bytes) -> str:
        path = tmp_path / "protocol.yaml"
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return str(path)

    return write_file


def text_of(run: Run, *words: str) -> str:
    """Text of a command that must succeed, nothing cut off at the width, as one line."""
    code, out, err = run(*words)
    assert (code, err) == (0, "")
    assert max(map(len, out.splitlines())) <= WIDTH
    assert "…" not in out
    return re.sub(r"\s+", " ", out)


def refused(run: Run, *words: str) -> str:
    code, out, err = run(*words)
    assert (code, out) == (2, "")
    assert len(err.splitlines()) == 1
    assert err.startswith("afterglow: ")
    return err


# Text


def test_replication_as_text(run: Run) -> None:
    said = text_of(run, "replicate", MURROUGH)
    for words in (
        "Murrough 2013, one infusion, ketamine against midazolam",
        "racemic ketamine 0.5 mg/kg iv over 40 min; active n = 47, control n = 25",
        "seed 0, 64 virtual patients an arm",
        "Calibration figures, not a prediction: the model may be fitted to them.",
        "Active minus control",
        "90 % interval",
        "Points are of MADRS; pp: percentage points",
        "the drug is an upper bound",
        "4 figures of this trial are known from memory only and not shown.",
    ):
        assert words in said
    assert re.search(r"24 h Mean change \S+ \S+ to \S+ −16\.5 inside", said)
    assert re.search(r"24 h Response \d+ % [^%]+% to \d+ % 28 % (inside|OUTSIDE)", said)
    assert re.search(r"\+\d+ pp", said)


def test_a_figure_beyond_its_interval_is_called_out(run: Run, write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    """The observed fall of 16.5 points lies outside what a trial of a million patients a draw would report."""
    monkeypatch.setattr(modelling, "replicate", functools.partial(replicate, n_draws=1, patients_per_draw=8))
    large = Path(MURROUGH).read_text(encoding="utf-8").replace("n: 47 ", "n: 1000000 ")
    assert "OUTSIDE" in text_of(run, "replicate", write(large))


def test_exposure_as_text(run: Run) -> None:
    said = text_of(run, "expose", MURROUGH)
    for words in (
        "racemic ketamine 0.5 mg/kg iv over 40 min, one session",
        "Concentrations, venous plasma, ng/mL; median, and 90 % of people in brackets",
        "ketamine, S + R S-ketamine R-ketamine norketamine, S + R",
        "Highest (typical)",
        "Area, ng/mL·h",
        "Acute effects of the last session",
        "Mean rise at its highest:",
        "mmHg",
        "beats/min",
        "A rule decides, never this model.",
        "The spread between people is borrowed",
        "Provisional: not calibrated",
    ):
        assert words in said
    assert re.search(r"40 min \d+ \(\d+ to \d+\)", said)
    assert "Observation: no label covers this use" in said
    nasal = text_of(run, "expose", DALY)
    assert "2 sessions" in nasal
    assert nasal.count("Observation: the label asks for at least 2 h after the first device") == 1


def test_asked_times_sites_and_weights(run: Run) -> None:
    said = text_of(
        run, "expose", MURROUGH, "--site", "arterial", "--times", "45 min, 2 h", "--weight", "80 kg", "--seed", "7"
    )
    assert "Concentrations, arterial plasma, ng/mL" in said
    assert "median weight 80 kg" in said
    assert "Mean rise, highest of these times:" in said
    assert said.index("45 min") < said.index("2 h ")
    assert "40 min 2" not in said
    assert "Concentrations, effect site, ng/mL" in text_of(run, "expose", MURROUGH, "--site", "effect")


def test_an_effect_that_outlasts_the_horizon_is_said_so(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    def late(*args: Any, **options: Any) -> AcuteEffects:
        return replace(simulate_acute(*args, **options), ready_median_h=float("inf"))

    monkeypatch.setattr(modelling, "simulate_acute", late)
    assert "half of people by later than 12 h" in text_of(run, "expose", MURROUGH)


@pytest.mark.parametrize("example", sorted(path.name for path in EXAMPLES.glob("*.yaml")))
def test_every_example_is_exposed(run: Run, example: str) -> None:
    assert "ng/mL" in text_of(run, "expose", str(EXAMPLES / example))


def test_relapse_and_untitled_protocols(run: Run, write: Write) -> None:
    said = text_of(run, "replicate", write(SPRAY))
    assert said.startswith("Replication esketamine 84 mg intranasal; active n = 20 afterglow")
    assert re.search(r"28 d\w* Relapse of (under |over )?\d+ % .*? responders", said)
    assert "No published figures stand beside this prediction." in said
    assert text_of(run, "expose", write(SPRAY)).startswith("Exposure esketamine 84 mg intranasal, 2 sessions")


@pytest.mark.parametrize("command", ["expose", "replicate"])
def test_help_has_an_example_that_runs(run: Run, command: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    said = text_of(run, command, "--help")
    example = re.search(r"Example: (afterglow .*?) Arguments:", said)
    assert example is not None
    (tmp_path / "examples").symlink_to(EXAMPLES)
    monkeypatch.chdir(tmp_path)
    assert run(*shlex.split(example[1])[1:])[0] == 0


# JSON


@pytest.mark.parametrize("command", ["expose", "replicate"])
def test_json_is_one_document_and_nothing_else(run: Run, command: str) -> None:
    code, out, err = run(command, MURROUGH, "--json", "--seed", "3")
    assert (code, err) == (0, "")
    document = json.loads(out)
    assert document["schema"] == f"afterglow.{command}/1"
    assert document["seed"] == 3
    assert run(command, MURROUGH, "--json", "--seed", "3")[1] == out


def test_text_and_json_tell_the_same(run: Run) -> None:
    document = json.loads(run("replicate", MURROUGH, "--json")[1])
    said = text_of(run, "replicate", MURROUGH)
    first = document["predictions"][0]
    for number in (first["value"], first["lo90"], first["hi90"], first["parts"]["care"]):
        assert f"{number:.1f}".replace("-", "−") in said


# Reports


@pytest.mark.parametrize("command", ["expose", "replicate"])
def test_a_report_is_written_and_named(run: Run, command: str, tmp_path: Path) -> None:
    path = tmp_path / "new folder" / "out.html"
    code, out, err = run(command, MURROUGH, "--report", str(path))
    assert code == 0
    assert err == f"Report: {path}\n"
    assert path.read_text(encoding="utf-8").startswith("<!")
    assert [one.name for one in path.parent.iterdir()] == ["out.html"]
    assert out == run(command, MURROUGH)[1]


def test_a_report_pictures_the_whole_course_whatever_was_asked(run: Run, tmp_path: Path) -> None:
    whole, asked = tmp_path / "whole.html", tmp_path / "asked.html"
    assert run("expose", MURROUGH, "--report", str(whole))[0] == 0
    assert run("expose", MURROUGH, "--times", "1 h", "--report", str(asked))[0] == 0
    assert whole.read_bytes() == asked.read_bytes()


@pytest.mark.parametrize("command", ["expose", "replicate"])
def test_a_report_that_cannot_be_written_leaves_nothing_behind(run: Run, command: str, tmp_path: Path) -> None:
    (tmp_path / "a file").write_text("mine")
    for path in (tmp_path / "a file" / "out.html", tmp_path):
        code, _, err = run(command, MURROUGH, "--report", str(path))
        assert code == 2
        assert f"afterglow: --report is refused; found {str(path)!r}, " in err
        assert "Choose a file in a folder that you may write to." in err
    assert [one.name for one in tmp_path.iterdir()] == ["a file"]
    assert (tmp_path / "a file").read_text() == "mine"


# Refusals


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("--times", "soon"), "--times cannot be read; found 'soon'; allowed: a number with its unit."),
        (("--times", "1 h,"), "--times cannot be read; found ''"),
        (("--times", "90"), "--times needs a unit; found '90'"),
        (("--times", "3 fortnights"), "--times has no known unit"),
        (("--times", "-2 h, 1 h"), "--times lies outside the course; found -2 h; allowed: 0 to"),
        (("--times", "11 y"), "--times"),
        (("--times", "4000 d"), "--times lies outside the course; found 96000 h"),
        (("--times", "nan h"), "--times cannot be read"),
        (("--weight", "80"), "--weight needs a unit"),
        (("--weight", "-80 kg"), "--weight must be positive; found '-80 kg'"),
        (("--weight", "8 kg"), "--weight: Body weight is refused; found 8 kg; allowed: 20 to 350 kg."),
        (("--weight", "400 kg"), "--weight: Body weight is refused; found 400 kg"),
    ],
)
def test_options_out_of_bounds_are_refused(run: Run, words: tuple[str, ...], says: str) -> None:
    assert says in refused(run, "expose", MURROUGH, *words)


@pytest.mark.parametrize(
    ("command", "words", "says"),
    [
        ("expose", ("--site", "moon"), "'--site'"),
        ("expose", ("--seed", "-1"), "'--seed'"),
        ("replicate", ("--seed", "-1"), "'--seed'"),
        ("replicate", ("--seed", "many"), "'--seed'"),
        ("replicate", ("--times", "1 h"), "--times"),
        ("expose", ("second.yaml",), "second.yaml"),
    ],
)
def test_options_nobody_knows_are_refused(run: Run, command: str, words: tuple[str, ...], says: str) -> None:
    code, out, err = run(command, MURROUGH, *words)
    assert (code, out) == (2, "")
    assert says in err
    assert "Usage: " in err


@pytest.mark.parametrize("command", ["expose", "replicate"])
def test_a_protocol_is_needed(run: Run, command: str) -> None:
    code, out, err = run(command)
    assert (code, out) == (2, "")
    assert "PROTOCOL" in err


@pytest.mark.parametrize("command", ["expose", "replicate"])
@pytest.mark.parametrize(
    ("content", "says"),
    [
        (None, "cannot be opened"),
        (b"", "The file is empty"),
        (b"drug: [", "The file is not YAML"),
        (b"\x00\x01\x02", ":1: The file holds a character that is not text; found U+0000"),
        ("drug: kétamine".encode("latin-1"), "UTF-8"),
        (SPRAY.replace("esketamine", "esketamin").encode(), ":1: "),
        (SPRAY.replace("84 mg", "8400 mg").encode(), ":3: "),
        (SPRAY.replace("84 mg", "-84 mg").encode(), ":3: "),
        (SPRAY.replace("[0, 3]", "[3, 0]").encode(), ":4: "),
        (SPRAY.replace("scale: MADRS", "scale: MADRZ").encode(), ":5: "),
        (SPRAY.replace("mean: 35", "mean: 75").encode(), ":5: "),
        (SPRAY.replace("response", "respons").encode(), ":6: "),
        (SPRAY.replace("days", "colour: red\ndays").encode(), ":4: "),
    ],
)
def test_files_are_refused_with_their_line(
    run: Run, write: Write, command: str, content: bytes | None, says: str
) -> None:
    path = "nowhere.yaml" if content is None else write(content)
    message = refused(run, command, path)
    assert message.startswith(f"afterglow: {path}")
    assert says in message


def test_a_folder_is_no_file(run: Run, tmp_path: Path) -> None:
    assert "directory" in refused(run, "expose", str(tmp_path))


def test_a_byte_order_mark_and_windows_lines_are_read(run: Run, write: Write) -> None:
    plain = run("expose", write(SPRAY))
    assert plain[0] == 0
    assert run("expose", write(b"\xef\xbb\xbf" + SPRAY.replace("\n", "\r\n").encode())) == plain


def test_what_the_models_do_not_cover_is_refused_with_the_file(run: Run, write: Write) -> None:
    film = write("drug: racemic_ketamine\nroute: sublingual\ndose: 50 mg\ndays: [0]\n")
    message = refused(run, "expose", film, "--site", "venous")
    assert message.startswith(f"afterglow: {film}: No model predicts the venous site")
    assert "allowed: arterial, effect. Ask for a site that exists." in message


def test_a_protocol_without_people_cannot_be_replicated(run: Run, write: Write) -> None:
    plan = EXAMPLES / "esketamine_induction_maintenance.yaml"
    message = refused(run, "replicate", str(plan))
    assert message.startswith(f"afterglow: {plan}: population.n is missing")
    better = write(SPRAY.replace("MADRS, baseline_mean: 35", "MoCA, baseline_mean: 20"))
    assert f"{better}: On MoCA a higher score is better" in refused(run, "replicate", better)


def test_a_title_is_printed_as_it_is(run: Run, write: Write) -> None:
    """Square brackets are markup to the terminal library, not to us."""
    titled = write('title: "[bold]x[/bold] :smile: [1]"\n' + SPRAY)
    assert "[bold]x[/bold] :smile: [1]" in run("expose", titled)[1]


def test_parsers_of_options() -> None:
    assert parse_times("30 min, 2 h") == [0.5, 2.0]
    assert parse_times("0") == [0.0]
    assert parse_weight("80 kg") == 80.0
    with pytest.raises(InputError):
        parse_times("")


@pytest.mark.parametrize("name", ["mine.yaml", "mine.html", "out.txt", "a/b/out.html"])
def test_a_report_never_replaces_another_file(run: Run, name: str, tmp_path: Path) -> None:
    target = tmp_path / name
    if target.parent == tmp_path:
        target.write_text("mine")
    code, said, err = run("expose", MURROUGH, "--report", str(target))
    assert (code, said) == (2, "")
    assert "--report is refused" in err
    assert target.parent != tmp_path or target.read_text() == "mine"


def test_a_report_makes_no_folder_at_the_root_and_replaces_nothing_that_is_locked(run: Run, tmp_path: Path) -> None:
    assert run("expose", MURROUGH, "--report", "/no-such-folder/out.html")[0] == 2
    assert not Path("/no-such-folder").exists()
    report = tmp_path / "out.html"
    assert run("expose", MURROUGH, "--report", str(report))[0] == 0
    with pytest.MonkeyPatch.context() as patch:  # whoever may do everything cannot be locked out
        patch.setattr(os, "access", lambda path, mode: not (Path(path) == report and mode & os.W_OK))
        _, _, err = run("expose", MURROUGH, "--report", str(report))
        assert "which may not be written to" in err
        patch.setattr(os, "access", lambda path, mode: not (Path(path) == tmp_path and mode & os.W_OK))
        _, _, err = run("expose", MURROUGH, "--report", str(report))
        assert "whose folder may not be written to" in err


def test_a_report_replaces_an_earlier_one_and_makes_one_folder(run: Run, tmp_path: Path) -> None:
    for _ in range(2):
        code, _, err = run("expose", MURROUGH, "--report", str(tmp_path / "out" / "again.html"))
        assert (code, err.startswith("Report: ")) == (0, True)


@pytest.mark.parametrize("times", ["2 h, 1 h", "1 h, 1 h", "60 min, 1 h"])
def test_times_are_asked_for_in_order_and_once(run: Run, times: str) -> None:
    code, said, err = run("expose", MURROUGH, "--times", times)
    assert (code, said) == (2, "")
    assert "--times must increase" in err
