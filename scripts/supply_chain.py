"""What Afterglow is made of: its bill of materials, and whether anything in it is known to be vulnerable.

python scripts/supply_chain.py bom [--check]     docs/reference/sbom.cdx.json from the lock file
python scripts/supply_chain.py audit [--strict]  asks the package index's vulnerability service

An audit that could not ask says "not checked", and never that nothing was found; with --strict it then fails.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parent.parent
LOCK, BOM = ROOT / "requirements" / "run.txt", ROOT / "docs" / "reference" / "sbom.cdx.json"
_PIN = re.compile(r"^([A-Za-z0-9._-]+)==([^\s;\\]+)", re.MULTILINE)
_WAIT_S, _LONGEST_S = 10, 600


def bill_of_materials(lock: Path = LOCK) -> str:
    """The locked packages with their digests, as CycloneDX 1.6; the same lock file gives the same text.

    Places that packages come from are left out: they differ from one installation to the next, and the digests do not.
    """
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "bom.json"
        command = [
            *(sys.executable, "-W", "ignore", "-m", "cyclonedx_py", "requirements", "--output-reproducible"),
            *("--pyproject", str(ROOT / "pyproject.toml"), "--sv", "1.6", "--of", "JSON", "-o", str(file), str(lock)),
        ]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)  # noqa: S603  our own
        found: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
    needed = {_normal(re.split(r"[\[<>=;!~ ]", each)[0]) for each in _project()["dependencies"]}
    root = found["metadata"]["component"]
    for each in found["components"]:
        each["bom-ref"] = each["purl"]
        each.pop("description", None)
        for place in each.get("externalReferences", ()):
            place["url"] = each["purl"]
            place.pop("comment", None)
    for tool in found["metadata"]["tools"]["components"]:
        tool.pop("externalReferences", None)
    direct = sorted(each["purl"] for each in found["components"] if _normal(each["name"]) in needed)
    found["dependencies"] = [{"ref": root["bom-ref"], "dependsOn": direct}]
    return json.dumps(found, indent=1, sort_keys=True) + "\n"


def audit(lock: Path = LOCK) -> tuple[list[str], list[str], str]:
    """What is known to be vulnerable, what was asked about, and why nothing was asked; empty if it was.

    One package is asked about first, so that no list of names is sent to an index that answers nothing.
    """
    pins = _PIN.findall(lock.read_text(encoding="utf-8"))
    asked, why = _ask(pins[:1])
    if not why:
        asked, why = _ask(pins)
    if why:
        return [], [], why
    bad = [
        f"{each['name']} {each['version']}: {fault['id']}, mended in {', '.join(fault['fix_versions']) or 'no version'}"
        for each in asked
        for fault in each["vulns"]
    ]
    return bad, [each["name"] for each in asked], ""


def _ask(pins: Sequence[tuple[str, str]]) -> tuple[list[dict[str, Any]], str]:
    """What pip-audit was told of each package; or why it was told nothing of one of them."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "pins.txt"
        file.write_text("".join(f"{name}=={version}\n" for name, version in pins), encoding="utf-8")
        command = [
            *(sys.executable, "-m", "pip_audit", "-r", str(file), "--no-deps", "--disable-pip", "--format", "json"),
            *("--progress-spinner", "off", "--timeout", str(_WAIT_S)),
        ]
        try:
            done = subprocess.run(command, capture_output=True, text=True, timeout=_LONGEST_S, check=False)  # noqa: S603
        except subprocess.TimeoutExpired:
            return [], "the vulnerability service did not answer in time"
    return told_of(done.stdout)


def told_of(answer: str) -> tuple[list[dict[str, Any]], str]:
    """What an answer of pip-audit tells of each package; a package that it skipped was not checked.

    >>> told_of('{"dependencies": [{"name": "a", "skip_reason": "not found"}]}')
    ([], 'the vulnerability service knows nothing of a')
    >>> told_of("")
    ([], 'the vulnerability service cannot be reached')
    """
    try:
        found: list[dict[str, Any]] = json.loads(answer)["dependencies"]
    except (ValueError, KeyError, TypeError):
        return [], "the vulnerability service cannot be reached"
    if not found:
        return [], "the vulnerability service was asked about nothing"
    if skipped := [each["name"] for each in found if "vulns" not in each]:
        return [], f"the vulnerability service knows nothing of {', '.join(skipped[:3])}"
    return found, ""


def _project() -> dict[str, Any]:
    found: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    return found


def _normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def main(words: Sequence[str]) -> int:
    """Write, check or audit; the exit status."""
    if words[:1] == ["bom"]:
        text = bill_of_materials()
        if "--check" not in words:
            BOM.write_text(text, encoding="utf-8")
        elif not BOM.exists() or BOM.read_text(encoding="utf-8") != text:
            sys.stdout.write(f"{BOM.relative_to(ROOT)} is behind the lock file: run 'make docs'\n")
            return 1
        return 0
    if words[:1] == ["audit"]:
        bad, asked, why = audit()
        if why:
            sys.stdout.write(f"Dependencies were NOT CHECKED for known vulnerabilities: {why}\n")
            return 1 if "--strict" in words else 0
        sys.stdout.write("".join(f"{each}\n" for each in bad))
        sys.stdout.write(f"{len(asked)} locked packages checked, {len(bad)} known vulnerabilities\n")
        return 1 if bad else 0
    sys.stdout.write(str(__doc__))
    return 2


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
