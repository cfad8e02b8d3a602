"""The files of `deploy/`: every source that the container copies is in the repository, every command in them exists."""

from __future__ import annotations

import json
import re
import shlex
from pathlib import Path

import pytest
from typer.main import get_command

from afterglow.cli.app import app
from afterglow.settings import PREFIX, Settings

ROOT = Path(__file__).parent.parent.parent
CONTAINER = (ROOT / "deploy/Containerfile").read_text(encoding="utf-8").replace("\\\n", " ")
STEPS = [line.split(maxsplit=1) for line in CONTAINER.splitlines() if line and not line.startswith("#")]
COMMANDS = set(vars(get_command(app))["commands"])


def step(name: str) -> list[str]:
    return [rest for word, rest in STEPS if word == name]


def test_the_container_copies_what_is_there_and_installs_from_hashes() -> None:
    copied = [words[:-1] for words in map(shlex.split, step("COPY")) if not words[0].startswith("--from")]
    assert {source for group in copied for source in group} >= {"requirements/run.txt", "pyproject.toml", "src"}
    assert all((ROOT / source).exists() for group in copied for source in group)
    installs = [run for run in step("RUN") if "pip install" in run]
    assert len(installs) == 2
    assert all("--require-hashes" in run or "--no-deps" in run for run in installs)


def test_the_container_runs_without_rights_keeps_keys_apart_and_is_stopped_gently() -> None:
    assert step("USER") == ["afterglow"]
    assert [word for word, _ in STEPS].index("USER") < [word for word, _ in STEPS].index("ENTRYPOINT")
    assert step("STOPSIGNAL") == ["SIGINT"]
    set_ = dict(each.split("=", 1) for each in shlex.split(" ".join(step("ENV"))))
    ours = {name.removeprefix(PREFIX).lower(): value for name, value in set_.items() if name.startswith(PREFIX)}
    assert set(ours) <= set(Settings.model_fields)
    volumes = json.loads(step("VOLUME")[0])
    assert sorted(ours.values()) == sorted(volumes)
    assert len(set(volumes)) == 3
    entry, arguments = json.loads(step("ENTRYPOINT")[0]), json.loads(step("CMD")[0])
    assert (entry, arguments[0]) == (["afterglow"], "serve")
    assert "0.0.0.0" not in arguments
    health = json.loads(step("HEALTHCHECK")[0].partition("CMD ")[2])
    compile(health[2], "health", "exec")
    assert set_["HEALTH_URL"] == "http://127.0.0.1:8420/login"


@pytest.mark.parametrize("file", ["afterglow.service", "afterglow-backup.service"])
def test_a_unit_calls_commands_that_exist(file: str) -> None:
    text = (ROOT / "deploy" / file).read_text(encoding="utf-8")
    called = re.findall(r"bin/afterglow ([a-z-]+)", text)
    assert called
    assert set(called) <= COMMANDS
