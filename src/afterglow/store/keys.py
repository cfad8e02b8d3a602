"""Keys that lie outside the database: files that only their owner may read, kept with every older key.

Two rings: `clinic` (wraps the key of each patient, and makes the search index) and `audit` (the audit trail's chain).
From a ring's key one key per clinic and purpose is derived (HKDF-SHA256), so no key serves two ends.
"""

from __future__ import annotations

import base64
import json
import os
import secrets
import stat
from dataclasses import dataclass, field, replace
from functools import lru_cache
from pathlib import Path

from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from afterglow.errors import KeysRefused

KEY_BYTES = 32
RINGS = ("clinic", "audit")


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyRing:
    """The keys of one end, oldest first; the last is in use, the others open what was sealed before.

    Args:
        secrets_by_id: 32 bytes by key id ("k1", "k2", ...); never shown.
    """

    name: str
    secrets_by_id: tuple[tuple[str, bytes], ...] = field(repr=False)

    @property
    def current(self) -> str:
        """Id of the key in use."""
        return self.secrets_by_id[-1][0]

    def derive(self, key_id: str, purpose: str) -> bytes:
        """The key for one purpose ("wrap:CLINIC"), 32 bytes.

        Raises: KeysRefused if the ring has no such key.
        """
        for known, secret in self.secrets_by_id:
            if known == key_id:
                return _derived(secret, f"afterglow/{self.name}/{purpose}")
        raise KeysRefused(
            f"The {self.name} keys lack a key that the records need",
            observed=f"{', '.join(known for known, _ in self.secrets_by_id)}",
            allowed=f"a ring with {key_id!r}",
            next_step="Put the key file that belongs to this database in its place",
        )

    def with_new_key(self) -> KeyRing:
        """The ring with a new key in use."""
        number = 1 + max(int(known[1:]) for known, _ in self.secrets_by_id) if self.secrets_by_id else 1
        return replace(self, secrets_by_id=(*self.secrets_by_id, (f"k{number}", secrets.token_bytes(KEY_BYTES))))


@dataclass(frozen=True, slots=True, kw_only=True)
class Keys:
    """Both rings of an installation, as their files hold them now: a new key is taken up by a server that runs."""

    folder: Path
    _kept: dict[str, tuple[tuple[int, int], KeyRing]] = field(default_factory=dict, repr=False, compare=False)

    @property
    def clinic(self) -> KeyRing:
        """The ring that wraps patients' keys."""
        return self.ring("clinic")

    @property
    def audit(self) -> KeyRing:
        """The ring of the audit trail."""
        return self.ring("audit")

    def ring(self, name: str) -> KeyRing:
        """A ring, read again where its file was replaced; the one that is kept where that cannot be read.

        Raises: KeysRefused if it was never read.
        """
        kept = self._kept.get(name)
        try:
            found = _file(self.folder, name).stat()
            stamp = (found.st_mtime_ns, found.st_ino)
        except OSError:
            stamp = (0, 0)
        if kept is None or stamp not in {kept[0], (0, 0)}:
            try:
                kept = (stamp, _read(self.folder, name))
            except KeysRefused:
                if kept is None:
                    raise
                return kept[1]
            self._kept[name] = kept
        return kept[1]


@lru_cache(maxsize=256)
def _derived(secret: bytes, info: str) -> bytes:
    return HKDF(algorithm=SHA256(), length=KEY_BYTES, salt=None, info=info.encode()).derive(secret)


def create_keys(folder: Path) -> Keys:
    """New rings with one key each, written to a folder of their own.

    Raises: KeysRefused if there are keys already, or the folder cannot be written.
    """
    for name in RINGS:
        if _file(folder, name).exists():
            raise KeysRefused(
                "Keys are not made over older ones",
                observed=str(_file(folder, name)),
                next_step="Keep them: without them the records cannot be read",
            )
    for name in RINGS:
        _write(folder, KeyRing(name=name, secrets_by_id=()).with_new_key())
    return load_keys(folder)


def load_keys(folder: Path) -> Keys:
    """The rings of an installation.

    Raises: KeysRefused if a file is missing, unreadable, malformed, or may be read by others than its owner.
    """
    found = Keys(folder=folder)
    for name in RINGS:
        found.ring(name)  # read and checked here, not at the first record
    return found


def rotate_key(folder: Path, name: str) -> KeyRing:
    """A new key in use in one ring, written beside the older ones; the records are sealed again by the store.

    Raises: KeysRefused as `load_keys`.
    """
    ring = _read(folder, name).with_new_key()
    _write(folder, ring)
    return ring


def _file(folder: Path, name: str) -> Path:
    return folder / f"{name}.keys"


def _read(folder: Path, name: str) -> KeyRing:
    file = _file(folder, name)
    try:
        mode, owner = file.stat().st_mode, file.stat().st_uid
        text = file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        raise KeysRefused(
            "A key file cannot be read",
            observed=str(file),
            next_step="Copy clinic.keys and audit.keys of these records there, or set AFTERGLOW_KEYS_FOLDER to their"
            " folder; only a new installation, without backups, begins with 'afterglow records create'",
        ) from None
    if stat.S_IMODE(mode) & 0o077 or owner not in {os.geteuid(), 0}:
        raise KeysRefused(
            "A key file is open to others",
            observed=f"{file}, mode {stat.S_IMODE(mode):03o}",
            allowed="mode 600, owned by who runs Afterglow",
            next_step=f"chmod 600 {file}",
        )
    try:
        rows = [(str(row["id"]), base64.b64decode(row["secret"], validate=True)) for row in json.loads(text)["keys"]]
    except (ValueError, KeyError, TypeError):
        rows = []
    if not rows or any(len(secret) != KEY_BYTES for _, secret in rows):
        raise KeysRefused("A key file is malformed", observed=str(file), next_step="Restore it from its own backup")
    return KeyRing(name=name, secrets_by_id=tuple(rows))


def _write(folder: Path, ring: KeyRing) -> None:
    """The whole file or none of it: written beside, synced, then moved into place."""
    rows = [{"id": key_id, "secret": base64.b64encode(secret).decode()} for key_id, secret in ring.secrets_by_id]
    file = _file(folder, ring.name)
    part = file.with_suffix(".part")
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        part.unlink(missing_ok=True)
        with os.fdopen(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as out:
            json.dump({"afterglow_keys": ring.name, "keys": rows}, out, indent=1)
            out.flush()
            os.fsync(out.fileno())
        part.replace(file)
    except OSError as fault:
        raise KeysRefused("A key file cannot be written", observed=f"{file}: {fault.strerror}") from None
