"""Tables of generated pages."""

from __future__ import annotations

from afterglow.markdown import table


def test_a_table_has_a_heading_and_one_line_a_row() -> None:
    assert list(table(["Arm", "n"], [["active", 47], ["control", 25]])) == [
        "| Arm | n |",
        "|---|---|",
        "| active | 47 |",
        "| control | 25 |",
    ]


def test_a_bar_in_a_cell_stays_in_its_cell() -> None:
    assert list(table(["Value"], [["iv | im"]]))[-1] == r"| iv \| im |"


def test_a_table_without_rows_is_its_heading() -> None:
    assert list(table(["Arm"], [])) == ["| Arm |", "|---|"]
