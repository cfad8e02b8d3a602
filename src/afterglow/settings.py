"""What an installation sets: variables that start with AFTERGLOW_, or a TOML file that AFTERGLOW_SETTINGS names."""

from __future__ import annotations

import os
from collections.abc import Sequence
from difflib import get_close_matches
from enum import StrEnum
from pathlib import Path
from typing import Self

from pydantic import Field, SecretStr, ValidationError, model_validator
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict, TomlConfigSettingsSource

from afterglow.errors import InputError, MalformedFile, UnknownName, UnreadableFile, echo

PREFIX = "AFTERGLOW_"
FILE_VARIABLE = f"{PREFIX}SETTINGS"
_OF_TESTS = f"{PREFIX}TEST_"
_LOOPBACK = {"127.0.0.1", "::1", "localhost"}


class MailSecurity(StrEnum):
    """How the way to the mail server is protected."""

    TLS = "tls"
    STARTTLS = "starttls"
    NONE = "none"


class Settings(BaseSettings):
    """Where the records and keys of an installation lie, and its limits; a variable wins over the file."""

    model_config = SettingsConfigDict(
        env_prefix=PREFIX, extra="forbid", frozen=True, hide_input_in_errors=True, env_ignore_empty=True
    )

    folder: Path = Field(
        default=Path("afterglow-data"), description="Folder of everything below that is not given a place of its own."
    )
    database_url: SecretStr | None = Field(
        default=None,
        description="`sqlite:///FILE` or `postgresql://USER:PASSWORD@HOST/NAME`. Default: records.db in the folder.",
    )
    keys_folder: Path | None = Field(
        default=None,
        description="Folder of the keys; best on another disk than the database. Default: keys in the folder.",
    )
    anchors_folder: Path | None = Field(
        default=None,
        description="Folder of the audit trail's anchors; best on another machine. Default: anchors in the folder.",
    )
    spool_folder: Path | None = Field(
        default=None,
        description="Folder of reads that could not be written to the audit trail. Default: spool in the folder.",
    )
    clinic: str = Field(
        default="clinic", pattern=r"^[a-z0-9-]{1,40}$", description="The clinic that commands speak about."
    )
    busy_timeout_s: float = Field(
        default=10.0, gt=0, le=300, description="How long a write waits for another program's write."
    )
    attachment_limit_mb: float = Field(default=20.0, gt=0, le=200, description="Largest attachment.")
    api_per_minute: int = Field(
        default=600, ge=1, le=100_000, description="Requests that one API token may make in a minute."
    )
    smtp_host: str | None = Field(default=None, description="The mail server; none: no mail is sent.")
    smtp_port: int = Field(default=587, ge=1, le=65535, description="The mail server's port.")
    smtp_security: MailSecurity = Field(
        default=MailSecurity.STARTTLS, description="`starttls`, `tls`, or `none` for a mail server on this machine."
    )
    smtp_user: str | None = Field(default=None, description="Login at the mail server.")
    smtp_password: SecretStr | None = Field(default=None, description="Password at the mail server.")
    mail_from: str | None = Field(
        default=None, pattern=r"^[^@\s<>]+@[^@\s<>]+$", description="Address that mail comes from."
    )
    public_url: str | None = Field(
        default=None,
        pattern=r"^https://[A-Za-z0-9.:\[\]-]+(/[A-Za-z0-9._~/-]*)?$",
        description="Address of the pages as patients reach them, `https://...`; none: no link is sent to a patient.",
    )
    webhook_secret: SecretStr | None = Field(
        default=None, min_length=16, description="Signs what is sent to webhooks; 16 characters or more."
    )

    @model_validator(mode="after")
    def _check_mail(self) -> Self:
        if self.smtp_security is MailSecurity.NONE and self.smtp_host is not None and self.smtp_host not in _LOOPBACK:
            raise ValueError("smtp_security none is for a mail server on this machine")
        return self

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Arguments, then variables, then the file; no .env file is looked for."""
        del dotenv_settings, file_secret_settings
        named = os.environ.get(FILE_VARIABLE)
        file = (TomlConfigSettingsSource(settings_cls, toml_file=named),) if named else ()
        return (init_settings, env_settings, *file)

    @property
    def url(self) -> str:
        """The database's address; it may hold a password, so it is never shown."""
        if self.database_url is None:
            return f"sqlite:///{self.folder.absolute() / 'records.db'}"
        return self.database_url.get_secret_value()

    @property
    def keys(self) -> Path:
        """Folder of the keys."""
        return self.keys_folder or self.folder / "keys"

    @property
    def anchors(self) -> Path:
        """Folder of the audit trail's anchors."""
        return self.anchors_folder or self.folder / "anchors"

    @property
    def spool(self) -> Path:
        """Folder of reads that wait for the audit trail."""
        return self.spool_folder or self.folder / "spool"


_VARIABLES = (*(f"{PREFIX}{name.upper()}" for name in Settings.model_fields), FILE_VARIABLE, f"{PREFIX}DEBUG")


def read_settings() -> Settings:
    """The settings of this installation.

    Raises: UnknownName for a variable or name that is none of them; UnreadableFile or MalformedFile for the settings
        file; InputError naming the settings that are refused, never their values.
    """
    named = os.environ.get(FILE_VARIABLE)
    if named and not os.access(named, os.R_OK):
        raise UnreadableFile(
            "The settings file cannot be read",
            observed=named,
            next_step=f"Correct {FILE_VARIABLE}, or make it readable",
        )
    _check_names({name for name in os.environ if name.startswith(PREFIX)}, _VARIABLES, what="variable")
    try:
        return Settings()
    except ValidationError as fault:
        unknown = {str(each["loc"][0]) for each in fault.errors() if each["type"] == "extra_forbidden"}
        _check_names(unknown, tuple(Settings.model_fields), what="name in the settings file")
        refused = "; ".join(f"{PREFIX}{'.'.join(map(str, e['loc'])).upper()}: {e['msg']}" for e in fault.errors())
        raise InputError("Settings are refused", observed=refused, next_step="See docs/reference/settings.md") from None
    except ValueError as fault:  # tomllib's error, whose message holds a place in the file and no value
        raise MalformedFile(f"The settings file {named} is not TOML", observed=str(fault)) from None


def _check_names(given: set[str], known: Sequence[str], *, what: str) -> None:
    """Refuse settings that nobody reads: a misspelt one would be missed on the day it is needed.

    Raises: UnknownName naming the first, never its value.
    """
    for name in sorted(given - set(known)):
        if name.startswith(_OF_TESTS):
            continue
        close = get_close_matches(name, known, n=1, cutoff=0.85)
        raise UnknownName(
            f"No setting has this {what}",
            observed=echo(name),
            allowed="the names of docs/reference/settings.md",
            next_step=f"Did you mean {close[0]}?" if close else "Take it away, or correct it",
        )


def settings_markdown() -> str:
    """The reference page of the settings."""
    lines = [
        "# Settings",
        "",
        "An installation is set by variables, or by a TOML file that `AFTERGLOW_SETTINGS` names with the same names in",
        'small letters and without the prefix (`folder = "/srv/afterglow"`). A variable wins over the file.',
        "",
        "| Variable | Default | What it sets |",
        "|---|---|---|",
    ]
    for name, field in Settings.model_fields.items():
        default = "" if field.default is None else f"`{field.default}`"
        lines.append(f"| `{PREFIX}{name.upper()}` | {default} | {field.description} |")
    return "\n".join([*lines, ""])
