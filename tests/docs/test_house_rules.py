"""The lint against SQL outside the store finds what it should."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

LINT = Path(__file__).parents[2] / "scripts" / "house_rules.py"


def lint(folder: Path, *lines: str) -> list[str]:
    (folder / "page.py").write_text("\n".join(lines) + "\n", encoding="utf-8")
    done = subprocess.run([sys.executable, LINT, folder], capture_output=True, text=True, check=False)
    assert done.returncode == bool(done.stdout)
    return done.stdout.splitlines()


def test_sql_and_drivers_are_found(tmp_path: Path) -> None:
    found = lint(
        tmp_path,
        "import sqlite3",
        "from sqlalchemy.orm import Session",
        "x = 'SELECT name FROM patients'",
        'y = f"DELETE FROM facts WHERE id = {x}"',
    )
    assert [line.split(":")[1] for line in found] == ["1", "2", "3", "4"]


def test_prose_and_the_store_itself_are_left_alone(tmp_path: Path) -> None:
    assert lint(tmp_path, "x = 'Select a patient from the list'", "import storey") == []
    (tmp_path / "store").mkdir()
    assert lint(tmp_path / "store", "import sqlite3")
    assert lint(tmp_path, "x = 1") == []
