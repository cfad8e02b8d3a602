"""The pictures of the app that README and how-tos show: a demo clinic is made, opened in Chromium, and thrown away.

python scripts/screenshots.py [FOLDER]    writes into docs/images; a clinic in FOLDER is made once and kept
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from playwright.sync_api import sync_playwright

from afterglow.demo import build_demo, demo_clock, demo_settings, read_sheet
from afterglow.errors import NotFound
from afterglow.web.door import PATH, add_door
from afterglow.web.serving import Listening, serve

IMAGES = Path(__file__).resolve().parent.parent / "docs" / "images"
CHROMIUM = os.environ.get("AFTERGLOW_TEST_CHROMIUM", "/usr/bin/chromium")
LARGEST = 150_000  # bytes of one picture
DESK, TABLET, PHONE = ((1280, 800), (1024, 1060), (390, 844))
SCALE = 0.75  # of a desk or tablet, so that a picture stays small
READY_MS = 120_000  # a forecast is computed once


def as_role(page: Any, role: str) -> None:
    """Log in by the demo's door as the first colleague of a role."""
    page.goto(PATH)
    page.locator(f".people li:has(.hint:has-text('{role},')) button").first.click()
    page.wait_for_load_state()


def today(page: Any) -> None:
    """The chairs, alerts and arrivals."""
    as_role(page, "nurse")
    page.wait_for_selector(".chair")


def session(page: Any) -> None:
    """The flow sheet of an infusion that runs, with a set of readings half typed."""
    as_role(page, "nurse")
    page.locator(".chair:has-text('Monitor') a").first.click()
    page.wait_for_selector("html[data-ready]")
    page.fill("#reading-systolic_mmhg", "138")
    page.fill("#reading-diastolic_mmhg", "84")


def chart(page: Any) -> None:
    """A patient under treatment: scores, and the forecast's fan to the next session that is due."""
    as_role(page, "prescriber")
    page.goto("/worklist")
    charts = page.locator("section:has(#g-sessions) a[href^='/patients/']").evaluate_all("all => all.map(a => a.href)")
    for address in charts:
        page.goto(address)
        page.wait_for_selector("[data-again-s]", state="detached", timeout=READY_MS)
        for _ in range(READY_MS // 5000):
            if not page.locator("text=forecast is being made").count():
                break
            page.wait_for_timeout(5000)
            page.reload()
        if page.locator(".picture svg:has-text('Next due')").count():
            return
    raise SystemExit("No chart of the demo clinic shows when the next session is due")


def candidacy(page: Any) -> None:
    """A patient whose interview has begun: questions, and the rules that they meet or leave open."""
    as_role(page, "prescriber")
    page.goto("/worklist?group=steps")
    waiting = page.locator("a.button[href*='/candidacy']").evaluate_all("all => all.map(a => a.href)")
    for address in waiting:
        page.goto(address)
        if page.text_content(".facts .phase").strip() == "Candidacy" and page.locator("#rules li").count():
            page.evaluate("document.querySelector('#interview-title').scrollIntoView()")
            return
    raise SystemExit("Nobody in the demo clinic is in candidacy")


def phone(page: Any) -> None:
    """The third question of a scale, on the phone of a patient who scanned a link."""
    as_role(page, "coordinator")
    page.goto("/worklist")
    page.locator("form[action='/links'] button[aria-label*='PHQ-9']").first.click()
    page.goto(page.text_content(".secret code"))
    page.wait_for_url("**/my")
    page.click("button.go")
    for _ in range(2):
        page.locator("button.answer").first.click()
    page.wait_for_url("**/my/question/3")


PICTURES: dict[str, tuple[Callable[[Any], None], tuple[int, int]]] = {
    "app_today.png": (today, DESK),
    "app_session.png": (session, TABLET),
    "app_chart.png": (chart, DESK),
    "app_candidacy.png": (candidacy, DESK),
    "app_phone.png": (phone, PHONE),
}


def take(address: str) -> None:
    """Every picture, each in a browser of its own."""
    with sync_playwright() as started:
        browser = started.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu"])
        for name, (go, (width, height)) in PICTURES.items():
            scale = 1.0 if (width, height) == PHONE else SCALE
            context = browser.new_context(
                base_url=address,
                viewport={"width": width, "height": height},
                reduced_motion="reduce",
                device_scale_factor=scale,
            )
            page = context.new_page()
            go(page)
            page.screenshot(path=IMAGES / name)
        browser.close()


def main(folder: Path) -> None:
    """Build the clinic where none lies, and serve it on this machine alone while the pictures are taken."""
    try:
        sheet = read_sheet(folder)
    except NotFound:
        sheet = build_demo(folder, seed=1).sheet
    faults: list[BaseException] = []

    def taken(address: str) -> None:
        try:
            take(address)
        except BaseException as fault:  # noqa: BLE001  it is raised again where the server has ended
            faults.append(fault)

    serve(
        demo_settings(folder),
        Listening(port=0),
        started=lambda _address: None,
        more=lambda app: add_door(app, sheet),
        until=taken,
        clock=demo_clock,
    )
    if faults:
        raise faults[0]
    large = [each for each in PICTURES if (IMAGES / each).stat().st_size > LARGEST]
    if large:
        sys.exit(f"Over {LARGEST // 1000} kB: {', '.join(large)}")


if __name__ == "__main__":
    if len(sys.argv) > 1:
        main(Path(sys.argv[1]))
    else:
        with TemporaryDirectory() as made:
            main(Path(made) / "clinic")
