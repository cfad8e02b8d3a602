"""PDF documents: text as it was given, the same bytes, who and when on every page, letters that no font draws."""

from __future__ import annotations

import io
from dataclasses import replace
from datetime import UTC, datetime

import pytest
from pypdf import PdfReader
from pypdf.generic import StreamObject

from afterglow.render.axes import Calendar
from afterglow.render.chart import Column, Table
from afterglow.render.marks import ObservedPoint
from afterglow.render.pdf import Paper, pdf
from afterglow.render.report import Claim, KeyFigure, KeyFigures, Notice, Paragraph, Report, Section, claims_section
from afterglow.render.scores import ScoresData, scores_chart

AT = datetime(2026, 11, 27, 13, 5, tzinfo=UTC)
HOSTILE = '#read("/etc/passwd") *bold* $x^2$ _under_ = head \\ // /* @ref <tag> `raw` [box] {1+1} -- ~ \' "'
CHART = scores_chart(
    ScoresData(
        title="PHQ-9 and sessions",
        calendar=Calendar(origin_at=AT, zone="UTC"),
        score_name="PHQ-9",
        lowest=0,
        highest=27,
        now_h=240.0,
        scores=(ObservedPoint(time_h=0.0, value=17.0), ObservedPoint(time_h=168.0, value=8.0)),
        severity_of=("", ""),
    )
)
PAPER = Paper(
    report=Report(
        title="Session record",
        subtitle="Session 3",
        sections=(
            Section(
                heading="In short",
                blocks=(
                    KeyFigures(
                        figures=(KeyFigure(label="PHQ-9", value="8", unit="mild", note="down 9", predicted=True),)
                    ),
                    Paragraph(text="A paragraph with SpO₂ ≥ 92 % and −3."),
                    Notice(text="Careful.", kind="warning"),
                    Notice(text="A remark."),
                    CHART,
                    Table(
                        caption="Readings",
                        columns=(Column(heading="Time"), Column(heading="Pulse", numeric=True)),
                        rows=tuple((f"10:{i:02}", str(60 + i)) for i in range(60)),
                    ),
                    Table(caption="", columns=(Column(heading=""), Column(heading="")), rows=(("Dose", "40 mg"),)),
                ),
            ),
        ),
        foot="Made by Nora Osei, 27 Nov 2026, 14:05.",
        tags=("Off label",),
    ),
    clinic="Clinic north",
    whose="Anna Berger · born 1 May 1982 · record R-1",
    at=AT,
)


def pages_of(paper: Paper) -> list[str]:
    found = PdfReader(io.BytesIO(pdf(paper))).pages
    return [" ".join(page.extract_text().replace("\u200b", "").split()) for page in found]


def test_every_block_stands_on_the_page_and_every_page_says_whose_it_is() -> None:
    pages = pages_of(PAPER)
    text = " ".join(pages)
    for said in ("Off label", "8 mild down 9", "SpO₂ ≥ 92 % and −3.", "Warning. Careful.", "A remark.", "Dose 40 mg"):
        assert said in text, said
    assert "2 PHQ-9 scores, from 17 on 27 Nov 2026 to 8 on 4 Dec 2026." in text
    assert len(pages) > 1
    for number, page in enumerate(pages, start=1):
        assert PAPER.clinic in page
        assert PAPER.whose in page
        assert PAPER.report.foot in page
        assert f"Page {number} of {len(pages)}" in page
    assert "Time Pulse" in pages[-1]  # the head of a table that goes on


def test_text_is_never_markup() -> None:
    everywhere = Report(
        title=HOSTILE,
        subtitle=HOSTILE,
        sections=(
            Section(
                heading=HOSTILE,
                blocks=(
                    Paragraph(text=HOSTILE),
                    Notice(text=HOSTILE),
                    KeyFigures(figures=(KeyFigure(label=HOSTILE, value=HOSTILE, unit=HOSTILE, note=HOSTILE),)),
                    Table(caption=HOSTILE, columns=(Column(heading=HOSTILE),), rows=((HOSTILE,),)),
                ),
            ),
        ),
        foot=HOSTILE,
        tags=(HOSTILE,),
    )
    (text,) = pages_of(Paper(report=everywhere, clinic=HOSTILE, whose=HOSTILE, at=AT))
    assert text.count('#read("/etc/passwd") *bold*') == 16
    assert text.count("[box] {1+1} --") == 16
    assert "root:" not in text


def test_the_same_report_at_the_same_moment_is_the_same_file() -> None:
    assert pdf(PAPER) == pdf(PAPER)
    assert pdf(PAPER) != pdf(replace(PAPER, at=datetime(2026, 11, 27, 13, 6, tzinfo=UTC)))


def test_it_is_tagged_for_screen_readers_and_knows_its_title() -> None:
    read = PdfReader(io.BytesIO(pdf(PAPER)))
    assert "/StructTreeRoot" in read.root_object
    metadata = read.root_object["/Metadata"].get_object()
    assert isinstance(metadata, StreamObject)
    assert b"pdfuaid" in metadata.get_data()
    assert read.metadata is not None
    assert read.metadata.title == "Session record"


@pytest.mark.parametrize("name", ["Šárka Łódź", "Жук", "Ωμέγα", "Nguyễn Thị Ánh"])
def test_names_of_many_languages_print_in_our_own_letters(name: str) -> None:
    read = PdfReader(io.BytesIO(pdf(replace(PAPER, whose=name))))
    fonts = {str(font["/BaseFont"]) for page in read.pages for font in _fonts(page)}
    assert all("Inter" in font for font in fonts), fonts
    assert name in pages_of(replace(PAPER, whose=name))[0]


def test_a_letter_that_no_font_draws_is_a_box_and_the_document_says_so() -> None:
    pages = pages_of(replace(PAPER, whose="Anna \U0010fffd Berger"))
    assert "Letters that no font on this machine draws are shown as boxes" in pages[0]
    assert "Letters that no font" not in pages_of(PAPER)[0]


def test_what_no_document_may_hold_leaves_a_mark_and_long_words_break() -> None:
    long = "x" * 300
    (page,) = pages_of(replace(PAPER, report=replace(PAPER.report, sections=(), title="a\x00b", subtitle=long)))
    assert "a�b" in page
    assert page.replace(" ", "").count("x") >= 300


def test_paper_comes_in_two_sizes_and_takes_no_claims() -> None:
    assert [round(float(x)) for x in PdfReader(io.BytesIO(pdf(PAPER))).pages[0].mediabox[2:]] == [595, 842]
    letter = PdfReader(io.BytesIO(pdf(replace(PAPER, size="us-letter"))))
    assert [round(float(x)) for x in letter.pages[0].mediabox[2:]] == [612, 792]
    claims = claims_section([Claim(key="C1", claim="It works", verdict="overstated", numbers=(), action="Say so")])
    with pytest.raises(TypeError, match="ClaimsLedger"):
        pdf(replace(PAPER, report=replace(PAPER.report, sections=(claims,))))


def _fonts(page: object) -> list[dict[str, object]]:
    found = page["/Resources"]["/Font"]  # type: ignore[index]
    return [each.get_object() for each in found.values()]
