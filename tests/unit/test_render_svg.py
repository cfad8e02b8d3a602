"""Markup: escaping, attributes, numbers."""

from __future__ import annotations

from xml.etree import ElementTree as ET

import pytest
from hypothesis import given
from hypothesis import strategies as st

from afterglow.render.svg import NOTHING, coordinate, element, escape, join, path, text


@given(st.text())
def test_any_text_survives_as_text(content: str) -> None:
    parsed = ET.fromstring(element("a", escape(content), title=content))
    seen = parsed.text or ""
    assert len(seen.replace("\r\n", "\n")) == len(content.replace("\r\n", "\n"))
    assert "<" not in element("a", escape(content))[3:-4]


@pytest.mark.parametrize("bad", ["\x00", "\x0b", "\ud800", "\uffff"])
def test_characters_that_xml_forbids_are_replaced(bad: str) -> None:
    assert escape(f"a{bad}b") == "a\ufffdb"


def test_attributes_are_escaped_renamed_and_left_out() -> None:
    assert element("p", class_="x", font_size=12.50, stroke=None, title="\"<&'>") == (
        '<p class="x" font-size="12.5" title="&quot;&lt;&amp;&#39;&gt;"/>'
    )


def test_style_attributes_are_refused() -> None:
    with pytest.raises(ValueError, match="presentation attributes"):
        element("p", style="color: red")


def test_an_element_with_an_empty_child_is_not_closed_short() -> None:
    assert element("td", NOTHING) == "<td></td>"
    assert join(element("br"), NOTHING, element("hr")) == "<br/><hr/>"


@pytest.mark.parametrize(
    ("value", "shown"),
    [(0.0, "0"), (-0.0, "0"), (-0.004, "0"), (1.005, "1"), (1.239, "1.24"), (-12.5, "-12.5"), (100.0, "100"), (7, "7")],
)
def test_coordinates_are_short_and_steady(value: float, shown: str) -> None:
    assert coordinate(value) == shown


def test_a_path_joins_its_points() -> None:
    assert path([(0.04, 1.06), (10, 20), (-3.33, 0)]) == "M0 1.1L10 20L-3.3 0"


def test_figures_are_tabular_unless_a_hyphen_would_widen() -> None:
    assert 'class="number"' in text("0.45 to 0.80", 0, 0)
    assert "class" not in text("28-day", 0, 0)
    assert "class" not in text("weeks", 0, 0)


def test_a_halo_is_drawn_under_its_letters() -> None:
    assert 'paint-order="stroke"' in text("a", 0, 0, halo=True)
    assert "stroke" not in text("a", 0, 0)
