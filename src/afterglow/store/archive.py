"""A zip file of JSON lines with a manifest: every part with its digest, the whole with a keyed signature."""

from __future__ import annotations

import hmac
import json
import os
import zipfile
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import Any

from afterglow.errors import KeysRefused, RecordsDamaged, StoreUnavailable, UnreadableFile, UnwritableFile
from afterglow.store.codec import canonical
from afterglow.store.keys import KeyRing

MANIFEST = "manifest.json"


@dataclass(slots=True, kw_only=True)
class Writer:
    """An archive that is being written."""

    zip: zipfile.ZipFile
    parts: dict[str, dict[str, Any]] = field(default_factory=dict)

    def lines(self, name: str, rows: Iterable[Mapping[str, Any]]) -> int:
        """A part of JSON lines; how many."""
        digest, count = sha256(), 0
        with self.zip.open(name, "w", force_zip64=True) as out:
            for row in rows:
                line = canonical(dict(row)) + b"\n"
                digest.update(line)
                out.write(line)
                count += 1
        self.parts[name] = {"lines": count, "sha256": digest.hexdigest()}
        return count

    def file(self, name: str, content: bytes) -> None:
        """A part that is a file."""
        self.zip.writestr(name, content)
        self.parts[name] = {"sha256": sha256(content).hexdigest()}

    def close(self, ring: KeyRing, purpose: str, about: Mapping[str, Any]) -> None:
        """The manifest, signed with the key in use."""
        said = {**about, "parts": self.parts, "key_id": ring.current}
        sign = hmac.digest(ring.derive(ring.current, purpose), canonical(said), sha256).hex()
        self.zip.writestr(MANIFEST, canonical({**said, "sign": sign}))


class Reader:
    """An archive that is read; each part is checked against the manifest while it is read.

    Args:
        file: the archive.

    Raises: UnreadableFile, RecordsDamaged.
    """

    def __init__(self, file: Path) -> None:
        self.file = file
        try:
            self._zip = zipfile.ZipFile(file)
            self.manifest: dict[str, Any] = json.loads(self._zip.read(MANIFEST))
            self.parts: dict[str, dict[str, Any]] = self.manifest["parts"]
        except OSError as fault:
            raise UnreadableFile("The archive cannot be read", observed=f"{file}: {fault.strerror}") from None
        except (zipfile.BadZipFile, KeyError, ValueError, TypeError):
            raise RecordsDamaged("The file is no archive of Afterglow, or it is torn", observed=str(file)) from None

    def check_sign(self, ring: KeyRing, purpose: str) -> None:
        """Refuse a manifest that these keys did not sign.

        Raises: RecordsDamaged, KeysRefused.
        """
        said = {name: value for name, value in self.manifest.items() if name != "sign"}
        key = ring.derive(str(said.get("key_id")), purpose)
        sign = hmac.digest(key, canonical(said), sha256).hex()
        if not hmac.compare_digest(sign, str(self.manifest.get("sign"))):
            raise KeysRefused(
                "The archive was not made with these keys, or it was changed",
                observed=str(self.file),
                next_step="Set AFTERGLOW_KEYS_FOLDER to the keys of the installation that made it",
            )

    def check_parts(self) -> None:
        """Read every part once, so that nothing of a damaged archive is ever kept.

        Raises: RecordsDamaged.
        """
        for name, said in self.parts.items():
            if "lines" in said:
                for _ in self.lines(name):
                    pass
            else:
                self.content(name)

    def lines(self, name: str) -> Iterator[dict[str, Any]]:
        """The rows of a part.

        Raises: RecordsDamaged if the part is not as the manifest says; then nothing of it may be kept.
        """
        digest, count = sha256(), 0
        try:
            with self._zip.open(name) as part:
                for line in part:
                    digest.update(line)
                    count += 1
                    yield json.loads(line)
        except (zipfile.BadZipFile, KeyError, ValueError, OSError, EOFError):
            raise self._damaged(name) from None
        if {"lines": count, "sha256": digest.hexdigest()} != self.parts.get(name):
            raise self._damaged(name)

    def content(self, name: str) -> bytes:
        """A part that is a file.

        Raises: RecordsDamaged.
        """
        try:
            content = self._zip.read(name)
        except (zipfile.BadZipFile, KeyError, OSError, EOFError):
            raise self._damaged(name) from None
        if {"sha256": sha256(content).hexdigest()} != self.parts.get(name):
            raise self._damaged(name)
        return content

    def close(self) -> None:
        """Close the file."""
        self._zip.close()

    def _damaged(self, name: str) -> RecordsDamaged:
        return RecordsDamaged(
            "A part of the archive is damaged", observed=f"{self.file}: {name}", next_step="Use another copy"
        )


class new_archive:  # noqa: N801  used as a function: with new_archive(path) as writer
    """An archive at a new place, for its owner alone; it is there whole, or not at all.

    Raises: UnwritableFile if there is something, or it cannot be written; StoreUnavailable if the disk is full.
    """

    def __init__(self, file: Path) -> None:
        if file.exists():
            raise UnwritableFile("An archive is not written over another file", observed=str(file))
        self._file, self._part = file, file.with_name(f".{file.name}.part")

    def __enter__(self) -> Writer:
        try:
            self._part.unlink(missing_ok=True)
            handle = os.open(self._part, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600)
        except OSError as fault:
            raise UnwritableFile("The archive cannot be written", observed=f"{self._file}: {fault.strerror}") from None
        self._out = os.fdopen(handle, "w+b")
        self._zip = zipfile.ZipFile(self._out, "w", zipfile.ZIP_DEFLATED)
        return Writer(zip=self._zip)

    def __exit__(self, kind: type[BaseException] | None, fault: BaseException | None, trace: object) -> None:
        try:
            self._zip.close()
            self._out.flush()
            os.fsync(self._out.fileno())
            self._out.close()
            if kind is None:
                self._part.replace(self._file)
        except OSError as full:
            raise StoreUnavailable("The archive cannot be written", observed=str(full.strerror)) from None
        finally:
            self._part.unlink(missing_ok=True)
        if isinstance(fault, OSError):
            raise StoreUnavailable("The archive cannot be written", observed=str(fault.strerror)) from None
