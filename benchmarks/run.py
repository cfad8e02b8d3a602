"""Measure the engine against its peers: python benchmarks/run.py [--quick] [--write PAGE.md]."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent))

from benchmarks.report import main

if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
