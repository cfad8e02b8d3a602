"""House rules as a check: outside `store/` no SQL and no SQLAlchemy; prints what breaks them.

python scripts/house_rules.py [FOLDER]
"""

from __future__ import annotations

import ast
import re
import sys
from collections.abc import Iterator
from pathlib import Path

PACKAGE = Path(__file__).parent.parent / "src" / "afterglow"
_SQL = re.compile(
    r"^\s*(SELECT\s.+\sFROM|INSERT\s+INTO|UPDATE\s+\w+\s+SET|DELETE\s+FROM|(CREATE|DROP|ALTER)\s+(TABLE|INDEX)|PRAGMA\s)",
    re.DOTALL,
)
_DRIVERS = {"sqlalchemy", "sqlite3", "psycopg", "alembic"}


def breaches(folder: Path) -> Iterator[str]:
    """Each place in a folder of Python files, its `store` left out, that holds SQL or imports a driver."""
    for file in sorted(folder.rglob("*.py")):
        if "store" in file.relative_to(folder).parts:
            continue
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Constant) and isinstance(node.value, str) and _SQL.match(node.value):
                yield f"{file}:{node.lineno}: SQL as text outside store/"
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            for name in names:
                if name.split(".")[0] in _DRIVERS:
                    yield f"{file}:{getattr(node, 'lineno', 0)}: {name} is imported outside store/"


if __name__ == "__main__":
    found = list(breaches(Path(sys.argv[1]) if len(sys.argv) > 1 else PACKAGE))
    sys.stdout.write("".join(f"{line}\n" for line in found))
    sys.exit(bool(found))
