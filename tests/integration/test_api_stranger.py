"""Schemathesis asks the running application for everything that its document says, and for what it does not say.

Bounded in `make test`; `AFTERGLOW_TEST_EXAMPLES=100 scripts/with_postgres .venv/bin/python -m pytest
tests/integration/test_api_stranger.py` tries harder, with every bound of every field (about half an hour).
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent.parent
EXAMPLES = int(os.environ.get("AFTERGLOW_TEST_EXAMPLES", "2"))
CHECKS = (
    "not_a_server_error",
    "status_code_conformance",
    "content_type_conformance",
    "response_schema_conformance",
    "response_headers_conformance",
    "negative_data_rejection",
    "unsupported_method",
    "missing_required_header",
    "ignored_auth",
)
REFUSED = [
    401,
    403,
    404,
    409,
    412,
    415,
    422,
    428,
]  # what a request that fits no type is answered, by what is seen first


def test_a_stranger_finds_no_fault(url: str, tmp_path: Path) -> None:
    program = [sys.executable, str(ROOT / "tests/integration/api_program.py"), url, str(tmp_path)]
    environment = {**os.environ, "PYTHONPATH": f"{ROOT}{os.pathsep}{os.environ.get('PYTHONPATH', '')}"}
    with subprocess.Popen(
        program, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as server:
        try:
            assert server.stdout is not None
            line = server.stdout.readline()
            told = json.loads(line)
            said = stranger(told, tmp_path, brief="postgresql" in url)
        finally:
            server.kill()
        logged = server.stdout.read() + (tmp_path / "log.txt").read_text(encoding="utf-8")
    assert said.returncode == 0, said.stdout[-6000:]
    assert "No issues found" in said.stdout or " passed" in said.stdout, said.stdout[-3000:]
    assert '"use_case": "measures.record"' in logged
    assert not [each for each in ("request.failed", "Traceback", "Anna", "Berger") if each in logged], logged[-3000:]


def stranger(
    told: dict[str, str | dict[str, str]], folder: Path, *, brief: bool = False
) -> subprocess.CompletedProcess[str]:
    """Schemathesis in a folder of its own, with ids that exist, so that it comes as far as the rules."""
    known = told["known"]
    assert isinstance(known, dict)
    held = known.pop("header.Authorization")
    lines = ["[checks.missing_required_header]", "expected-statuses = [401, 428]"]
    lines += ["[checks.negative_data_rejection]", f"expected-statuses = {REFUSED}", "[parameters]"]
    lines += [f"{json.dumps(name)} = {json.dumps(value)}" for name, value in known.items()]
    (folder / "schemathesis.toml").write_text("\n".join(lines), encoding="utf-8")
    few = "examples" if brief else "examples,fuzzing"
    phases = few if EXAMPLES < 20 else "examples,coverage,fuzzing"
    command = [
        *(str(Path(sys.executable).with_name("schemathesis")), "run", f"{told['address']}/api/v1/openapi.json"),
        *("-H", f"Authorization: {held}", "-n", str(EXAMPLES), "--seed", "1", "--phases", phases),
        *("--checks", ",".join(CHECKS), "--continue-on-failure", "--generation-database", ":memory:"),
    ]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
