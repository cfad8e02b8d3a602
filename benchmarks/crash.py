"""Kill a writing program with SIGKILL, many times, and prove that nothing it acknowledged was lost.

python benchmarks/crash.py --kills 1000 --database sqlite

The proof itself is tests/integration/test_store_crash.py, which `make test` runs with 25 kills on each database; this
runs it in full and says how long it took. PostgreSQL is started for it by scripts/with_postgres.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).parent.parent
TEST = "tests/integration/test_store_crash.py"


def main() -> int:
    """Run the proof; 0 where it held."""
    asked = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    asked.add_argument("--kills", type=int, default=1000)
    asked.add_argument("--database", choices=("sqlite", "postgresql"), default="sqlite")
    given = asked.parse_args()
    command = [sys.executable, "-m", "pytest", "-q", "-x", "-k", given.database, "-p", "no:cacheprovider", TEST]
    if given.database == "postgresql" and not os.environ.get("AFTERGLOW_TEST_POSTGRES"):
        command.insert(0, str(ROOT / "scripts" / "with_postgres"))
    began = time.monotonic()
    environment = {**os.environ, "AFTERGLOW_CRASHES": str(given.kills)}
    done = subprocess.run(command, cwd=ROOT, env=environment, check=False, capture_output=True, text=True)
    held = done.returncode == 0 and "1 passed" in done.stdout
    minutes = (time.monotonic() - began) / 60
    sys.stdout.write(done.stdout[-4000:] + done.stderr[-2000:] if not held else "")
    said = "every acknowledged fact there, no use case half there, trail verified" if held else "THE PROOF DID NOT HOLD"
    sys.stdout.write(f"{given.database}: {given.kills} kills in {minutes:.1f} min: {said}\n")
    return 0 if held else 1


if __name__ == "__main__":
    sys.exit(main())
