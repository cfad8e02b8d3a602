"""The pictures of the documents: each one that is shown is there, each one that is there is shown."""

from __future__ import annotations

import re
import runpy
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
IMAGES = ROOT / "docs" / "images"
PAGES = [ROOT / "README.md", *ROOT.glob("docs/**/*.md")]


def shown() -> set[Path]:
    return {
        (page.parent / name).resolve()
        for page in PAGES
        for name in re.findall(r"!\[[^\]]+\]\(([^)]+)\)", page.read_text(encoding="utf-8"))
    }


def test_no_picture_is_missing_or_left_over() -> None:
    assert shown() == set(IMAGES.iterdir())


def test_the_app_s_pictures_are_those_that_the_script_takes_and_small() -> None:
    script = runpy.run_path(str(ROOT / "scripts" / "screenshots.py"))
    app = {each.name: each.stat().st_size for each in IMAGES.glob("app_*")}
    assert set(app) == set(script["PICTURES"])
    assert max(app.values()) <= script["LARGEST"]
