"""The page on safety names modules and tests that exist, and every ASVS requirement of levels 1 and 2 once."""

from __future__ import annotations

import ast
import re
from collections import Counter
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "reference" / "safety-and-privacy.md").read_text(encoding="utf-8")
STATES = {"met", "partly", "not met", "does not apply", "site"}
# How many requirements of levels 1 and 2 each section of ASVS 5.0.0 has, numbered from 1; those of level 3 come after.
# Source: OWASP ASVS 5.0.0, its own table of requirements.
SECTIONS = """1.1:2 1.2:9 1.3:11 1.4:3 1.5:2 2.1:3 2.2:3 2.3:4 2.4:1 3.2:2 3.3:4 3.4:6 3.5:5 3.7:2 4.1:3 4.2:1
4.3:2 4.4:4 5.1:1 5.2:3 5.3:2 5.4:3 6.1:3 6.2:12 6.3:4 6.4:4 6.5:5 6.6:3 6.8:4 7.1:3 7.2:4 7.3:2
7.4:5 7.5:2 7.6:2 8.1:2 8.2:3 8.3:1 8.4:1 9.1:3 9.2:4 10.1:2 10.2:2 10.3:4 10.4:11 10.5:5 10.6:2
10.7:3 11.1:2 11.2:3 11.3:3 11.4:4 11.5:1 11.6:1 12.1:3 12.2:2 12.3:4 13.1:1 13.2:5 13.3:2 13.4:5
14.1:2 14.2:4 14.3:3 15.1:3 15.2:3 15.3:7 16.1:1 16.2:5 16.3:4 16.4:3 16.5:3 17.1:1 17.2:4 17.3:2"""
REQUIRED = {
    f"{section}.{number}"
    for section, count in (each.split(":") for each in SECTIONS.split())
    for number in range(1, int(count) + 1)
}


def rows(heading: str) -> list[list[str]]:
    """The cells of the table under a heading."""
    part = PAGE.split(f"## {heading}")[1].split("\n## ")[0]
    lines = [line for line in part.splitlines() if line.startswith("| ") and not line.startswith("| |")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]


def functions(file: Path) -> set[str]:
    tree = ast.parse(file.read_text(encoding="utf-8"))
    return {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)}


def test_every_promise_names_a_module_and_tests_that_exist() -> None:
    promises = rows("Promises")
    assert [each[0] for each in promises] == [f"P{number}" for number in range(1, len(promises) + 1)]
    for name, _, module, tests in promises:
        place = re.fullmatch(r"`([a-z_/.]+)`", module)
        assert place, name
        assert (ROOT / place[1]).is_file() or (ROOT / "src" / "afterglow" / place[1]).is_file(), module
        named = re.findall(r"`([^`]+)`", tests)
        assert named, f"{name} is guarded by no test"
        for each in named:
            file, _, function = each.partition("::")
            assert (ROOT / file).is_file(), each
            assert not function or function in functions(ROOT / file), each


def test_every_requirement_stands_in_one_row_with_a_state() -> None:
    assert len(REQUIRED) == 70 + 183  # levels 1 and 2 of ASVS 5.0.0
    table = [each for each in rows("ASVS 5.0.0") if each[0] != "Requirements"]
    counted = Counter(each.strip() for row in table for each in row[0].split(","))
    assert {each for each, times in counted.items() if times > 1} == set()
    assert set(counted) == REQUIRED
    known = {each[0] for each in rows("Promises")}
    for ids, state, how in table:
        assert state in STATES, ids
        assert how, ids
        assert set(re.findall(r"\bP\d+\b", how)) <= known, ids


def test_its_links_lead_somewhere() -> None:
    for place in re.findall(r"\]\(([^)#]+)\)", PAGE):
        assert (ROOT / "docs" / "reference" / place).resolve().is_file(), place
