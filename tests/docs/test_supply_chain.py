"""The bill of materials says what the lock file says, and an audit that could not ask never says that all is well."""

from __future__ import annotations

import importlib.util
import json
import re
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
BOM = ROOT / "docs" / "reference" / "sbom.cdx.json"


@pytest.fixture(scope="module")
def chain() -> ModuleType:
    spec = importlib.util.spec_from_file_location("supply_chain", ROOT / "scripts" / "supply_chain.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def locked() -> dict[str, tuple[str, set[str]]]:
    """Versions and digests by package, as the lock file says."""
    text = (ROOT / "requirements" / "run.txt").read_text(encoding="utf-8").replace("\\\n", " ")
    found = {}
    for line in text.splitlines():
        if pin := re.match(r"([A-Za-z0-9._-]+)==([^\s;]+)", line):
            found[pin[1]] = (pin[2], set(re.findall(r"sha256:([0-9a-f]{64})", line)))
    return found


def test_the_bill_names_every_locked_package_with_its_digests() -> None:
    bill = json.loads(BOM.read_text(encoding="utf-8"))
    told = {
        each["name"]: (
            each["version"],
            {digest["content"] for place in each["externalReferences"] for digest in place["hashes"]},
        )
        for each in bill["components"]
    }
    assert told == locked()
    assert (bill["bomFormat"], bill["specVersion"]) == ("CycloneDX", "1.6")
    assert "://" not in json.dumps(bill["components"]), "where a package comes from differs between installations"


def test_what_was_not_asked_is_not_checked(
    chain: ModuleType, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    answers: list[tuple[list[dict[str, Any]], str]] = [([], "the vulnerability service cannot be reached")]
    monkeypatch.setattr(chain, "_ask", lambda _pins: answers.pop(0))
    assert chain.main(["audit"]) == 0
    said = capsys.readouterr().out
    assert "NOT CHECKED" in said
    assert "0 known" not in said
    answers.append(([], "the vulnerability service cannot be reached"))
    assert chain.main(["audit", "--strict"]) == 1
    good = {"name": "a", "version": "1", "vulns": []}
    bad = {"name": "b", "version": "2", "vulns": [{"id": "PYSEC-1", "fix_versions": ["3"]}]}
    answers += [([good], ""), ([good, bad], "")]
    assert chain.main(["audit"]) == 1
    assert "b 2: PYSEC-1, mended in 3" in capsys.readouterr().out
    answers += [([good], ""), ([good], "")]
    assert chain.main(["audit"]) == 0
    assert "1 locked packages checked, 0 known vulnerabilities" in capsys.readouterr().out


@pytest.mark.parametrize(
    "answer",
    [
        "",
        "no JSON",
        "{}",
        '{"dependencies": []}',
        '{"dependencies": [{"name": "a", "version": "1", "vulns": []}, {"name": "b", "skip_reason": "not found"}]}',
    ],
)
def test_an_answer_that_leaves_a_package_out_tells_nothing(chain: ModuleType, answer: str) -> None:
    found, why = chain.told_of(answer)
    assert found == []
    assert why
