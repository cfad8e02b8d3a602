"""From a path to text: what cannot be read is refused in words, and never read in full."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from afterglow.errors import UnreadableFile
from afterglow.protocol import read_course, read_protocol
from afterglow.protocol.source_text import clean_text, read_text

TEXT = "drug: esketamine\nroute: intranasal\ndose: 84 mg\ndays: [0]\ntitle: Zürich\n"


@pytest.mark.parametrize("ending", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf"])
def test_any_line_ending_and_a_byte_order_mark_are_fine(tmp_path: Path, ending: str, mark: bytes) -> None:
    path = tmp_path / "a.yaml"
    path.write_bytes(mark + TEXT.replace("\n", ending).encode())
    assert read_text(path, largest_mb=1) == TEXT
    assert read_protocol(path).title == "Zürich"


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (TEXT.encode("utf-16"), "x: The encoding is not accepted; found UTF-16; allowed: UTF-8."),
        (TEXT.encode("utf-32"), "x: The encoding is not accepted; found UTF-32; allowed: UTF-8."),
        (b"\xfe\xff" + TEXT.encode("utf-16-be"), "x: The encoding is not accepted; found UTF-16"),
        (TEXT.encode("utf-16-le"), "x:5: The encoding is not accepted; found byte 0xFC, which is not UTF-8"),
        (TEXT.replace("ü", "u").encode("utf-16-le"), "x:1: The file holds a character that is not text; found U+0000."),
        (TEXT.encode("latin-1"), "x:5: The encoding is not accepted; found byte 0xFC, which is not UTF-8 (Latin-1?)"),
        (b"a: \x00", "x:1: The file holds a character that is not text; found U+0000. Save the file as UTF-8 text."),
        (b"\x89PNG\r\n\x1a\n", "x:1: The encoding is not accepted; found byte 0x89"),
    ],
)
def test_other_encodings_are_named(tmp_path: Path, data: bytes, message: str) -> None:
    path = tmp_path / "x"
    path.write_bytes(data)
    with pytest.raises(UnreadableFile) as refused:
        read_text(path, largest_mb=1)
    assert str(refused.value).removeprefix(f"{tmp_path}{os.sep}").startswith(message)


def test_a_large_file_is_refused_by_its_size(tmp_path: Path) -> None:
    path = tmp_path / "large"
    with path.open("wb") as file:
        file.truncate(100_000_000)  # a hole: it takes no room
    with pytest.raises(
        UnreadableFile, match=r"large for one that a person writes; found 100.0 MB; allowed: up to 1 MB"
    ):
        read_protocol(path)
    with pytest.raises(UnreadableFile, match=r"found 100.0 MB; allowed: up to 10 MB"):
        read_course(path)


def test_the_limit_itself_is_allowed(tmp_path: Path) -> None:
    path = tmp_path / "edge"
    path.write_bytes(b"#" * 1_000_000)
    assert len(read_text(path, largest_mb=1)) == 1_000_000
    path.write_bytes(b"#" * 1_000_001)
    with pytest.raises(UnreadableFile):
        read_text(path, largest_mb=1)


@pytest.mark.skipif(not Path("/dev/zero").exists(), reason="the system has no endless file")
def test_an_endless_file_ends_at_the_limit() -> None:
    with pytest.raises(UnreadableFile, match="too large"):
        read_text("/dev/zero", largest_mb=1)


def test_what_is_no_file_is_refused(tmp_path: Path) -> None:
    for path, message in (
        (tmp_path / "none.yaml", "no such file"),
        (tmp_path, "is a directory"),
        (tmp_path / ("n" * 5_000), "file name too long"),
        (Path("nul\x00.yaml"), "null byte"),
    ):
        with pytest.raises(UnreadableFile, match=f"The file cannot be opened; found .*{message}.*Check the path"):
            read_text(path, largest_mb=1)


def test_permission_denied_by_the_system_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def denied(*_: object, **__: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "open", denied)
    with pytest.raises(UnreadableFile, match="cannot be opened; found permission denied"):
        read_text(tmp_path / "secret.yaml", largest_mb=1)


@pytest.mark.parametrize("character", ["\x00", "\x07", "\x1a", "\x7f", "\x85", "\u2028", "\ud800", "\ufffe", "\uffff"])
def test_characters_that_nobody_types_are_named_with_their_line(character: str) -> None:
    with pytest.raises(UnreadableFile, match=rf"^f:3: .* found U\+{ord(character):04X}"):
        clean_text(f"a\r\nb\rc{character}", file="f")


def test_tabs_and_letters_of_every_language_stay() -> None:
    assert clean_text("\ta\u00e9\u4e2d\U0001f600\u200f", file="f") == "\ta\u00e9\u4e2d\U0001f600\u200f"
