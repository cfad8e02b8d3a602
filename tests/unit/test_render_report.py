"""The report: one file, strict, accessible, the same bytes every time."""

from __future__ import annotations

import base64
import hashlib
import re
from html.parser import HTMLParser
from importlib import resources
from itertools import pairwise
from xml.etree import ElementTree as ET

import pytest

from afterglow.errors import InvalidData
from afterglow.render.chart import Column, Table
from afterglow.render.report import (
    Claim,
    KeyFigure,
    KeyFigures,
    Notice,
    Paragraph,
    Report,
    Section,
    Verdict,
    claims_section,
    report_html,
)
from afterglow.render.response import AfterglowData, afterglow_chart

HOSTILE = '</style><script>alert("x")</script><!-- & \\22 \n\x00'

CHART = afterglow_chart(
    AfterglowData(title="Made up", time_h=(0.0, 24.0, 48.0), labile=(0.0, 1.0, 0.3), consolidated=(0.0, 0.1, 0.1))
)
TABLE = Table(
    caption="Two numbers", columns=(Column(heading="Name"), Column(heading="Value", numeric=True)), rows=(("a", "1"),)
)
VERDICTS: tuple[Verdict, ...] = ("supported", "partly supported", "overstated", "contradicted", "citation not found")


def claim(verdict: Verdict, key: str = "C1") -> Claim:
    return Claim(key=key, claim="It helps", verdict=verdict, numbers=("0.5 (0.1 to 0.9)",), action="Show the number")


def report(said: str = "Plain words", foot: str = "Afterglow 0.1, seed 0") -> str:
    sections = [
        Section(
            heading=said,
            blocks=(
                Paragraph(text=said),
                KeyFigures(
                    figures=(
                        KeyFigure(label=said, value="−14.1", unit="points", note=said, predicted=True),
                        KeyFigure(label="Published", value="−16.4"),
                    )
                ),
                Notice(text=said, kind="warning"),
                Notice(text=said),
                CHART,
                TABLE,
            ),
        ),
        claims_section([claim(verdict, key=f"C{i}") for i, verdict in enumerate(VERDICTS)]),
    ]
    return report_html(Report(title=said, subtitle=said, sections=tuple(sections), foot=foot, tags=(said,)))


def parsed(html: str) -> ET.Element:
    """The document as XML; every report is well-formed after its doctype."""
    return ET.fromstring(html.removeprefix("<!doctype html>\n"))


def test_the_same_report_has_the_same_bytes() -> None:
    assert report() == report()


def test_the_head_names_language_charset_and_viewport() -> None:
    root = parsed(report())
    assert root.get("lang") == "en"
    metas = root.findall("head/meta")
    assert metas[0].get("charset") == "utf-8"
    assert {meta.get("name") for meta in metas} >= {"viewport", "color-scheme"}
    assert root.findtext("head/title") == "Plain words"


def test_nothing_is_fetched_and_nothing_runs() -> None:
    html = report()
    assert not re.findall(r"<(script|link|img|iframe|object)\b", html)
    assert not re.findall(r'\s(?:on\w+|style)="', html)
    # The one address is the name of the SVG vocabulary, which no browser fetches.
    assert set(re.findall(r"https?://[^\"' )]+", html)) == {"http://www.w3.org/2000/svg"}
    assert re.findall(r"url\((?!\"data:|#)", html) == []


def test_the_policy_allows_the_pages_own_style_and_font_alone() -> None:
    html = report()
    root = parsed(html)
    style = root.findtext("head/style") or ""
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    policy = root.findall("head/meta")[1].get("content", "")
    assert policy.startswith(f"default-src 'none'; style-src 'sha256-{digest}'; font-src data:")
    assert "unsafe" not in policy
    assert html.count("<style>") == 1


def test_the_style_holds_font_both_palettes_and_the_printed_foot() -> None:
    style = parsed(report(foot='v1 "x" \\ <b>')).findtext("head/style") or ""
    assert "data:font/woff2;base64,d09GMg" in style  # "wOF2", the first bytes of the format
    assert "--ink: #1B1A20;" in style
    assert "@media screen and (prefers-color-scheme: dark)" in style
    assert '@bottom-left { content: "v1 \\22 x\\22  \\5c  \\3c b\\3e "' in style
    assert "counter(page)" in style


def test_the_font_is_small_and_comes_with_its_licence() -> None:
    data = resources.files("afterglow.render") / "data"
    assert len((data / "inter-latin-wght-normal.woff2").read_bytes()) < 120_000
    assert "SIL Open Font License" in (data / "inter-OFL.txt").read_text(encoding="utf-8")


def test_hostile_text_stays_text_everywhere() -> None:
    def tags(html: str) -> list[tuple[str, int]]:
        """Every tag a browser would see, with its count of attributes."""
        seen: list[tuple[str, int]] = []
        parser = HTMLParser()
        parser.handle_starttag = lambda tag, attrs: seen.append((tag, len(attrs)))  # type: ignore[method-assign]
        parser.feed(html)
        return seen

    assert tags(report(HOSTILE, foot=HOSTILE)) == tags(report())
    assert parsed(report(HOSTILE, foot=HOSTILE)).findtext("body/header/h1") == HOSTILE.replace("\x00", "\ufffd")


def test_headings_run_in_order_from_one_first_level() -> None:
    levels = [int(node.tag[1]) for node in parsed(report()).iter() if re.fullmatch("h[1-6]", node.tag)]
    assert levels.count(1) == 1
    assert levels[0] == 1
    assert all(after - before <= 1 for before, after in pairwise(levels))


def test_the_skip_link_leads_to_the_content() -> None:
    root = parsed(report())
    first = root.findall("body/a")[0]
    assert (first.get("class"), first.get("href")) == ("skip", "#content")
    assert [node.get("id") for node in root.iter("main")] == ["content"]


def test_every_table_has_a_caption_scopes_and_a_way_to_scroll() -> None:
    root = parsed(report())
    tables = list(root.iter("table"))
    assert len(tables) == 3
    for table in tables:
        assert table.findtext("caption")
        assert all(head.get("scope") in {"col", "row"} for head in table.iter("th"))
        assert all(row.find("th") is not None for row in table.findall("tbody/tr"))
    scrolling = [node for node in root.iter("div") if node.get("class") == "scroll"]
    assert [node.get("tabindex") for node in scrolling] == ["0", "0"]


def test_a_chart_stands_in_both_sizes_above_its_table() -> None:
    root = parsed(report())
    figure = next(root.iter("figure"))
    svg = "{http://www.w3.org/2000/svg}svg"
    assert [node.get("class") for node in figure.iter(svg)] == ["wide", "narrow"]
    details = figure.find("details")
    assert details is not None
    assert details.findtext("summary") == "The same, as a table"
    assert details.find("div/table") is not None


def test_identifiers_are_unique() -> None:
    names = [node.get("id") for node in parsed(report()).iter() if node.get("id")]
    assert len(names) == len(set(names))


def test_each_verdict_has_a_word_and_a_shape_of_its_own() -> None:
    root = parsed(report())
    verdicts = [node for node in root.iter("span") if (node.get("class") or "").startswith("verdict")]
    words = ["".join(node.itertext()) for node in verdicts]
    assert words == ["Supported", "Partly supported", "Overstated", "Contradicted", "Citation not found"] * 2
    shapes = {ET.tostring(node[0]) for node in verdicts}
    without_colour = {re.sub(rb'(fill|stroke)="[^"]*"', b"", shape) for shape in shapes}
    assert len(without_colour) == 5


def test_the_tally_leaves_out_what_no_claim_has() -> None:
    html = report_html(Report(title="T", subtitle="", sections=(claims_section([claim("overstated")] * 3),), foot="f"))
    tally = next(node for node in parsed(html).iter("ul") if node.get("class") == "tally")
    assert ["".join(item.itertext()) for item in tally] == ["3Overstated"]


def test_a_verdict_nobody_defined_is_refused() -> None:
    odd = claim("proven")  # type: ignore[arg-type]
    with pytest.raises(InvalidData, match="proven"):
        report_html(Report(title="T", subtitle="", sections=(claims_section([odd]),), foot="f"))


def test_an_empty_report_is_still_a_page() -> None:
    root = parsed(report_html(Report(title="T", subtitle="", sections=(), foot="f")))
    assert root.find("body/main") is not None
    assert root.find("body/header/p") is None
    assert root.find("body/header/ul") is None


def test_a_row_that_does_not_fit_its_table_is_refused() -> None:
    with pytest.raises(InvalidData, match="2 cells"):
        Table(caption="c", columns=(Column(heading="a"),), rows=(("x", "y"),))
