"""Keys outside the database: made once, open to their owner alone, kept when a new one comes."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest

from afterglow.errors import KeysRefused, RecordsDamaged
from afterglow.store import keys, sealing
from afterglow.store.keys import create_keys, load_keys, rotate_key


def test_keys_are_made_once_for_their_owner_alone(tmp_path: Path) -> None:
    folder = tmp_path / "keys"
    made = create_keys(folder)
    assert load_keys(folder) == made
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert {stat.S_IMODE(file.stat().st_mode) for file in folder.iterdir()} == {0o600}
    with pytest.raises(KeysRefused, match="not made over"):
        create_keys(folder)


def test_a_ring_shows_no_key(tmp_path: Path) -> None:
    made = create_keys(tmp_path)
    assert repr(made.clinic) == "KeyRing(name='clinic')"


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660])
def test_a_file_open_to_others_is_refused(tmp_path: Path, mode: int) -> None:
    create_keys(tmp_path)
    (tmp_path / "audit.keys").chmod(mode)
    with pytest.raises(KeysRefused, match="open to others"):
        load_keys(tmp_path)


@pytest.mark.parametrize("text", ["", "{}", '{"keys": []}', '{"keys": [{"id": "k1", "secret": "AAAA"}]}', "[1]"])
def test_a_malformed_file_is_refused(tmp_path: Path, text: str) -> None:
    create_keys(tmp_path)
    (tmp_path / "clinic.keys").write_text(text, encoding="utf-8")
    with pytest.raises(KeysRefused, match="malformed"):
        load_keys(tmp_path)


def test_missing_keys_and_a_folder_that_cannot_be_written_are_refused(tmp_path: Path) -> None:
    with pytest.raises(KeysRefused, match="cannot be read"):
        load_keys(tmp_path)
    (tmp_path / "file").write_text("")
    with pytest.raises(KeysRefused, match="cannot be written"):
        create_keys(tmp_path / "file" / "keys")


def test_a_new_key_comes_beside_the_old_one(tmp_path: Path) -> None:
    old = create_keys(tmp_path).clinic
    new = rotate_key(tmp_path, "clinic")
    assert (old.current, new.current) == ("k1", "k2")
    assert new.derive("k1", "wrap:north") == old.derive("k1", "wrap:north")
    assert load_keys(tmp_path).clinic == new
    with pytest.raises(KeysRefused, match="lack a key"):
        old.derive("k2", "wrap:north")


def test_no_key_serves_two_ends(tmp_path: Path) -> None:
    made = create_keys(tmp_path)
    derived = {
        ring.derive("k1", purpose) for ring in (made.clinic, made.audit) for purpose in ("wrap:a", "wrap:b", "index:a")
    }
    assert len(derived) == 6
    assert all(len(key) == keys.KEY_BYTES for key in derived)


def test_a_sealed_text_opens_with_its_key_in_its_place_alone(tmp_path: Path) -> None:
    ring = create_keys(tmp_path).clinic
    key, wrapped = sealing.new_patient_key(ring, "north", "p1")
    assert sealing.unwrap(ring, wrapped, "north", "p1") == key
    sealed = sealing.seal(key, b"text", "here")
    assert sealing.seal(key, b"text", "here") != sealed
    for other_key, text, place in (
        (bytes(32), sealed, "here"),
        (key, sealed, "there"),
        (key, sealed[:-1] + bytes([sealed[-1] ^ 1]), "here"),
        (key, b"", "here"),
    ):
        with pytest.raises(RecordsDamaged, match="does not open"):
            sealing.unseal(other_key, text, place)
    with pytest.raises(RecordsDamaged):
        sealing.unwrap(ring, wrapped, "south", "p1")
