"""From a path to clean text: size, encoding and control characters are settled here, once for every file format."""

from __future__ import annotations

import codecs
import os
import re
from pathlib import Path

from afterglow.errors import Place, UnreadableFile

BYTES_PER_MB = 1_000_000

# NUL and friends, exotic line ends, lone surrogates and non-characters: no person types them, parsers disagree on them.
_FORBIDDEN = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff\ufffe\uffff]")
_OTHER_ENCODINGS = (
    (codecs.BOM_UTF32_LE, "UTF-32"),
    (codecs.BOM_UTF32_BE, "UTF-32"),
    (codecs.BOM_UTF16_LE, "UTF-16"),
    (codecs.BOM_UTF16_BE, "UTF-16"),
)
_SAVE_AS = "Save the file as UTF-8 text"


def read_text(path: str | os.PathLike[str], *, largest_mb: int) -> str:
    """Text of a UTF-8 file, with or without a byte-order mark, in any line ending.

    Args:
        path: the file; never more than the limit is read into memory.
        largest_mb: limit in MB (10^6 bytes).

    Raises: UnreadableFile if it is missing, a directory, not allowed, too large or not UTF-8.
    """
    place = Place(file=os.fspath(path))
    limit = largest_mb * BYTES_PER_MB
    try:
        with Path(path).open("rb") as file:
            data = file.read(limit + 1)
            size = max(len(data), os.fstat(file.fileno()).st_size)
    except (OSError, ValueError) as fault:  # ValueError: a NUL in the path
        reason = fault.strerror if isinstance(fault, OSError) else None
        raise UnreadableFile(
            "The file cannot be opened",
            observed=(reason or str(fault)).lower(),
            next_step="Check the path and the permissions",
            place=place,
        ) from None
    if size > limit:
        raise UnreadableFile(
            "The file is too large for one that a person writes",
            observed=f"{size / BYTES_PER_MB:.1f} MB",
            allowed=f"up to {largest_mb} MB",
            place=place,
        )
    return clean_text(_decode(data, place), file=place.file)


def decode_text(data: bytes, *, file: str) -> str:
    """Text of a file that somebody sent, with or without a byte-order mark, in any line ending.

    Raises: UnreadableFile if it is not UTF-8, or holds a control character.

    >>> decode_text("a: é".encode(), file="sent")
    'a: é'
    """
    return clean_text(_decode(data, Place(file=file)), file=file)


def clean_text(text: str, *, file: str) -> str:
    r"""Text without byte-order mark, every line ending a line feed.

    Raises: UnreadableFile at a control character, such as the NUL bytes of UTF-16.

    >>> clean_text("a\r\nb\rc", file="notes.csv")
    'a\nb\nc'
    """
    text = text.removeprefix("\ufeff").replace("\r\n", "\n").replace("\r", "\n")
    found = _FORBIDDEN.search(text)
    if found:
        raise UnreadableFile(
            "The file holds a character that is not text",
            observed=f"U+{ord(found[0]):04X}",
            next_step=_SAVE_AS,
            place=Place(file=file, line=text.count("\n", 0, found.start()) + 1),
        )
    return text


def _decode(data: bytes, place: Place) -> str:
    encoding = next((name for mark, name in _OTHER_ENCODINGS if data.startswith(mark)), None)
    if encoding:
        raise UnreadableFile(
            "The encoding is not accepted", observed=encoding, allowed="UTF-8", next_step=_SAVE_AS, place=place
        )
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError as fault:
        raise UnreadableFile(
            "The encoding is not accepted",
            observed=f"byte 0x{data[fault.start]:02X}, which is not UTF-8 (Latin-1?)",
            allowed="UTF-8",
            next_step=_SAVE_AS,
            place=Place(file=place.file, line=data.count(b"\n", 0, fault.start) + 1),
        ) from None
