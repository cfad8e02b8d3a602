"""Settings: from variables or a file, refused without showing a value, all of them documented."""

from __future__ import annotations

from pathlib import Path

import pytest

from afterglow.errors import InputError, MalformedFile, UnknownName, UnreadableFile
from afterglow.settings import Settings, read_settings, settings_markdown

PAGE = Path(__file__).parents[2] / "docs" / "reference" / "settings.md"


@pytest.fixture(autouse=True)
def no_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in Settings.model_fields:
        monkeypatch.delenv(f"AFTERGLOW_{name.upper()}", raising=False)
    monkeypatch.delenv("AFTERGLOW_SETTINGS", raising=False)


def test_without_any_everything_lies_in_one_folder() -> None:
    found = read_settings()
    assert found.url == f"sqlite:///{Path('afterglow-data').absolute() / 'records.db'}"
    assert (found.keys, found.anchors, found.spool) == tuple(
        Path("afterglow-data") / name for name in ("keys", "anchors", "spool")
    )


def test_a_variable_wins_over_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "afterglow.toml"
    file.write_text('folder = "/srv/a"\nclinic = "north"\nkeys_folder = "/etc/keys"\n', encoding="utf-8")
    monkeypatch.setenv("AFTERGLOW_SETTINGS", str(file))
    monkeypatch.setenv("AFTERGLOW_CLINIC", "south")
    monkeypatch.setenv("AFTERGLOW_DATABASE_URL", "postgresql://a:hush-word@localhost/a")
    found = read_settings()
    assert (found.clinic, found.spool, found.keys) == ("south", Path("/srv/a/spool"), Path("/etc/keys"))
    assert found.url == "postgresql://a:hush-word@localhost/a"
    assert "hush-word" not in repr(found)


def test_a_wrong_value_is_refused_without_being_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AFTERGLOW_CLINIC", "Anna Muster")
    monkeypatch.setenv("AFTERGLOW_BUSY_TIMEOUT_S", "0")
    with pytest.raises(InputError, match=r"AFTERGLOW_CLINIC.*AFTERGLOW_BUSY_TIMEOUT_S") as refused:
        read_settings()
    assert "Anna" not in refused.value.message


@pytest.mark.parametrize(
    ("name", "said"),
    [("AFTERGLOW_KEYSFOLDER", "Did you mean AFTERGLOW_KEYS_FOLDER"), ("AFTERGLOW_NOPE", "Take it away")],
)
def test_a_variable_that_nobody_reads_is_refused(monkeypatch: pytest.MonkeyPatch, name: str, said: str) -> None:
    monkeypatch.setenv(name, "hush-word")
    with pytest.raises(UnknownName, match=said) as refused:
        read_settings()
    assert name in refused.value.message
    assert "hush-word" not in refused.value.message


def test_a_name_in_the_file_that_nobody_reads_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "afterglow.toml"
    file.write_text('keysfolder = "hush-word"\nfolder = "/srv/a"\n', encoding="utf-8")
    monkeypatch.setenv("AFTERGLOW_SETTINGS", str(file))
    with pytest.raises(UnknownName, match="Did you mean keys_folder") as refused:
        read_settings()
    assert "hush-word" not in refused.value.message


def test_variables_beside_the_settings_are_let_be(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AFTERGLOW_DEBUG", "AFTERGLOW_TEST_POSTGRES"):
        monkeypatch.setenv(name, "1")
    assert read_settings().clinic == "clinic"


def test_a_file_that_is_not_there_or_not_toml_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "afterglow.toml"
    monkeypatch.setenv("AFTERGLOW_SETTINGS", str(file))
    with pytest.raises(UnreadableFile):
        read_settings()
    file.write_text("folder = ", encoding="utf-8")
    with pytest.raises(MalformedFile):
        read_settings()


def test_every_setting_is_documented() -> None:
    page = PAGE.read_text(encoding="utf-8")
    assert page == settings_markdown()
    for name, field in Settings.model_fields.items():
        assert f"`AFTERGLOW_{name.upper()}`" in page
        assert field.description
        assert field.description.endswith(".")
