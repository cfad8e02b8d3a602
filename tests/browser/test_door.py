"""The demo's door: everybody logs in with one press, again at once too, with a code that was not used."""

from __future__ import annotations

from dataclasses import replace

import pytest
from tests.browser.conftest import PASSWORD, Open, Served, look

from afterglow.demo import Sheet
from afterglow.web.door import add_door


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_the_door_opens_again_at_once(
    opened: Open, served: Served, theme: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    clinic = replace(served.store.clinics()[0], synthetic=True)
    monkeypatch.setattr(type(served.store), "clinics", lambda _store: [clinic])
    sheet = Sheet(
        made_at="",
        made_on="",
        seed=1,
        time_zone=clinic.time_zone,
        version="",
        password=PASSWORD,
        secret=served.secrets["nora"],
        people=(("nora", "Nora Quist", "nurse"),),
    )
    add_door(served.app, sheet)
    served.code("nora")  # half a minute after she set her login up
    page = opened(color_scheme=theme)
    for _ in range(2):
        page.goto("/demo")
        look(page, "demo", theme)
        page.click("text=Log in")
        page.wait_for_url("**/today")
    page.goto("/demo")
    assert "The next code holds in" in page.text_content(".people")
    assert page.locator(".people button").count() == 0
    served.code("nora")
    page.reload()
    page.click(".people button")
    page.wait_for_url("**/today")
