"""The command as a process: exit codes, messages, pipes, encodings, and what help costs."""

from __future__ import annotations

import io
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from afterglow import __version__
from afterglow.cli import app as cli_app
from afterglow.cli import main
from afterglow.cli.output import console, print_json, progress, write_report
from afterglow.errors import (
    AfterglowError,
    BookingRefused,
    Conflict,
    GateClosed,
    InputError,
    InvalidData,
    KeysRefused,
    LoginRefused,
    MalformedFile,
    MissingValue,
    NoModel,
    NotFound,
    NotOverridable,
    NotPermitted,
    Outdated,
    OutOfRange,
    OutOfScope,
    Place,
    PolicyUnsigned,
    RecordsDamaged,
    RuleRefused,
    SecondPerson,
    SignAgain,
    StoreFault,
    StoreOutdated,
    StoreUnavailable,
    TooEarly,
    TooManyTries,
    Unbalanced,
    UnknownName,
    UnreadableFile,
    UnwritableFile,
    WrongOrder,
    WrongState,
)

MURROUGH = str(Path(__file__).parents[2] / "examples" / "murrough2013.yaml")
COMMAND = [sys.executable, "-c", "from afterglow.cli import main; main()"]


def leaves(of: type[AfterglowError]) -> Iterator[type[AfterglowError]]:
    yield of
    for child in of.__subclasses__():
        yield from leaves(child)


EXIT_CODES = {
    AfterglowError: 1,
    InputError: 2,
    UnreadableFile: 2,
    UnwritableFile: 2,
    MalformedFile: 2,
    UnknownName: 2,
    MissingValue: 2,
    OutOfRange: 2,
    WrongOrder: 2,
    NoModel: 2,
    NotFound: 2,
    InvalidData: 3,
    RuleRefused: 4,
    WrongState: 4,
    GateClosed: 4,
    NotOverridable: 4,
    TooEarly: 4,
    SecondPerson: 4,
    Unbalanced: 4,
    BookingRefused: 4,
    PolicyUnsigned: 4,
    NotPermitted: 5,
    SignAgain: 5,
    LoginRefused: 5,
    TooManyTries: 5,
    Conflict: 6,
    Outdated: 6,
    StoreFault: 7,
    StoreUnavailable: 7,
    StoreOutdated: 7,
    KeysRefused: 7,
    RecordsDamaged: 7,
    OutOfScope: 7,
}


def test_every_error_has_its_exit_code() -> None:
    assert set(EXIT_CODES) == set(leaves(AfterglowError))
    for error, code in EXIT_CODES.items():
        assert cli_app.exit_code(error("x")) == code, error


@pytest.fixture
def failing(monkeypatch: pytest.MonkeyPatch) -> list[Exception]:
    """A command line whose commands raise what the test puts into the list."""
    raised: list[Exception] = []

    def fail(**_: object) -> None:
        raise raised[0]

    monkeypatch.setattr(cli_app, "app", fail)
    return raised


@pytest.mark.parametrize(("error", "code"), EXIT_CODES.items())
def test_a_deliberate_error_is_one_message(
    failing: list[Exception], capsys: pytest.CaptureFixture[str], error: type[AfterglowError], code: int
) -> None:
    failing.append(error("A dose is refused", observed="9 g", allowed="up to 1 g", place=Place(file="a.yaml", line=3)))
    with pytest.raises(SystemExit) as left:
        main()
    assert left.value.code == code
    out, err = capsys.readouterr()
    assert (out, err) == ("", "afterglow: a.yaml:3: A dose is refused; found 9 g; allowed: up to 1 g.\n")


def test_an_unforeseen_error_tells_its_kind_alone(
    failing: list[Exception], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its message may quote a patient's data."""
    monkeypatch.delenv("AFTERGLOW_DEBUG", raising=False)
    failing.append(ZeroDivisionError("Jane Doe scored 21"))
    with pytest.raises(SystemExit) as left:
        main()
    assert left.value.code == 70
    out, err = capsys.readouterr()
    assert (out, "Jane" in err) == ("", False)
    assert "internal error (ZeroDivisionError); set AFTERGLOW_DEBUG=1" in err


def test_debugging_shows_where(failing: list[Exception], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AFTERGLOW_DEBUG", "1")
    failing.append(ZeroDivisionError("somewhere"))
    with pytest.raises(ZeroDivisionError, match="somewhere"):
        main()


def test_any_stream_will_do(failing: list[Exception], monkeypatch: pytest.MonkeyPatch) -> None:
    """Not only a text file whose encoding can be changed."""
    stream = io.StringIO()
    monkeypatch.setattr(sys, "stderr", stream)
    failing.append(OutOfRange("A dose is refused"))
    with pytest.raises(SystemExit):
        main()
    assert stream.getvalue() == "afterglow: A dose is refused.\n"


def test_version(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(sys, "argv", ["afterglow", "--version"])
    with pytest.raises(SystemExit) as left:
        main()
    assert not left.value.code
    assert capsys.readouterr().out == f"afterglow {__version__}\n"


@pytest.mark.parametrize(("words", "code"), [(["--help"], 0), (["-h"], 0), ([], 2), (["dance"], 2)])
def test_help_is_always_near(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], words: list[str], code: int
) -> None:
    monkeypatch.setattr(sys, "argv", ["afterglow", *words])
    with pytest.raises(SystemExit) as left:
        main()
    assert (left.value.code or 0) == code
    out, err = capsys.readouterr()
    assert "Usage: afterglow" in out + err
    if not code:
        assert "Decision support, not advice." in out
        for command in ("expose", "replicate", "evidence", "scales"):
            assert command in out


# As a process


def test_a_reader_that_leaves_ends_it_quietly() -> None:
    words = ["expose", MURROUGH, "--times", "1 h", "--json"]
    with subprocess.Popen([*COMMAND, *words], stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.close()
        assert process.stderr.read() == b""
    assert process.returncode == 1


def test_a_terminal_without_minus_signs_gets_question_marks() -> None:
    done = subprocess.run(
        [*COMMAND, "expose", MURROUGH, "--times", "1 h"],
        env={**os.environ, "PYTHONIOENCODING": "ascii"},
        capture_output=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, b"")
    assert b"ng/mL?h" in done.stdout


def test_help_does_not_load_the_model() -> None:
    """`--help` of the modelling commands must answer at once: no kernel, no statistics."""
    code = (
        "import sys\nfrom afterglow.cli import main\nsys.argv = ['afterglow', 'replicate', '--help']\n"
        "try:\n    main()\nexcept SystemExit:\n    pass\n"
        "print([name for name in ('numba', 'statsmodels') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"


# What the commands share


def test_progress_is_silent_where_nobody_watches(capsys: pytest.CaptureFixture[str]) -> None:
    with progress("Virtual patients") as done:
        done(0.5)
        done(1.0)
    assert capsys.readouterr() == ("", "")


def test_progress_is_shown_where_somebody_watches(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("FORCE_COLOR", "1")
    with progress("Virtual patients") as done:
        done(0.5)
    out, err = capsys.readouterr()
    assert out == ""
    assert "Virtual patients" in err


def test_output_has_the_width_of_the_terminal_or_a_fixed_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "63")
    assert console().width == 110
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    assert console().width == 63


def test_json_has_no_infinity() -> None:
    with pytest.raises(ValueError, match="Out of range float"):
        print_json({"value": float("inf")})


def test_a_report_replaces_the_old_one_whole(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "out.html"
    path.write_text("old")
    write_report(path, "<p>né</p>")
    assert path.read_text(encoding="utf-8") == "<p>né</p>"
    assert path.stat().st_mode & 0o777 == 0o644
    assert capsys.readouterr().err == f"Report: {path}\n"


def test_a_full_disk_leaves_the_old_report(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "out.html"
    path.write_text("old")

    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fdopen", full)
    with pytest.raises(UnwritableFile, match="found No space left on device"):
        write_report(path, "new")
    assert [one.name for one in tmp_path.iterdir()] == ["out.html"]
    assert path.read_text() == "old"
