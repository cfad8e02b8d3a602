"""Reading data files: what each kind of key gives, and what is refused with its file and path."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from afterglow.errors import InvalidData
from afterglow.predicates import Comparison
from afterglow.provenance import Provenance, Role, Source, Verified
from afterglow.quantities import Dose, parse_dose
from afterglow.records import Record, parse_record, read_record, unknown_name


def record(**data: Any) -> Record:
    return Record(data, file="some.yaml")


@pytest.mark.parametrize(
    ("data", "read", "message"),
    [
        ({}, lambda r: r.text("a"), "`a` is missing"),
        ({"a": 3}, lambda r: r.text("a"), "`a` is not text; found 3"),
        ({"a": ""}, lambda r: r.text("a"), "`a` is not text; found ''"),
        ({"a": None}, lambda r: r.text("a"), "`a` is not text"),
        ({"a": False}, lambda r: r.text("a", "x"), "`a` is not text; found False"),  # `no` in YAML
        ({}, lambda r: r.number("a"), "`a` is missing"),
        ({"a": "3"}, lambda r: r.number("a"), "`a` is not a number; found '3'"),
        ({"a": True}, lambda r: r.number("a", None), "`a` is not a number; found True"),
        ({"a": [1]}, lambda r: r.text_or_number("a"), "`a` is not text; found [1]"),
        ({"a": True}, lambda r: r.text_or_number("a"), "`a` is not a number; found True"),
        ({"a": 1.5}, lambda r: r.whole("a"), "`a` is not a whole number; found 1.5"),
        ({"a": True}, lambda r: r.whole("a"), "`a` is not a whole number; found True"),
        ({"a": 1.5}, lambda r: r.count("a"), "`a` is not a whole number; found 1.5"),
        ({"a": -1}, lambda r: r.count("a", None), "`a` is not a count; found -1"),
        ({"a": "yes"}, lambda r: r.flag("a"), "`a` is not true or false; found 'yes'"),
        ({}, lambda r: r.word("a", Role), "`a` is missing"),
        ({"a": "fit"}, lambda r: r.word("a", Role), "`a` is an unknown word; found 'fit'; allowed: calibration, bound"),
        ({"a": 3}, lambda r: r.quantity("a", parse_dose), "`a` is not text; found 3"),
        ({"a": "84 ml"}, lambda r: r.quantity("a", parse_dose), "`a` is refused: a has no known unit; found '84 ml'"),
        ({"a": "text"}, lambda r: r.texts("a"), "`a` is not a list; found 'text'"),
        ({"a": ["x", 3]}, lambda r: r.texts("a"), "`a[2]` is not text; found 3"),
        ({"a": [1, "x"]}, lambda r: r.numbers("a"), "`a[2]` is not a number; found 'x'"),
        ({}, lambda r: r.pair("a", int), "`a` is missing"),
        ({"a": [3, 1]}, lambda r: r.pair("a", int), "`a` is not two numbers, lowest first; found [3, 1]"),
        ({"a": [3]}, lambda r: r.pair("a", int), "`a` is not two numbers, lowest first; found [3]"),
        ({"a": [0, 1.5]}, lambda r: r.pair("a", int), "`a` is not a whole number; found 1.5"),
        ({"a": [[1, 2], [3, 1]]}, lambda r: r.pairs("a", float), "`a[2]` is not two numbers, lowest first"),
        ({"a": [1, 2]}, lambda r: r.pairs("a", float), "`a[1]` is not a list; found 1"),
        ({"a": {"x": "y"}}, lambda r: r.table("a", str, int), "`a.x` is not a whole number; found 'y'"),
        ({"a": {"x": 1}}, lambda r: r.table("a", int, int), "`a` is not a whole number; found 'x'"),
        ({}, lambda r: r.record("a"), "`a` is missing"),
        ({"a": 3}, lambda r: r.record("a", None), "`a` is not a mapping; found 3"),
        ({"a": [{}, 1]}, lambda r: r.records("a"), "`a[2]` is not a mapping; found 1"),
        ({"a": [1]}, lambda r: r.mapping("a"), "`a` is not a mapping; found [1]"),
        ({"a": {"x": 1}}, lambda r: r.mapping("a"), "`a.x` is not a mapping; found 1"),
        ({"a": {1: {}}}, lambda r: r.mapping("a"), "`a` is not text; found 1"),
        ({"a": {"b": [{"c": 1}]}}, lambda r: r.record("a").records("b")[0].text("c"), "`a.b[1].c` is not text"),
        ({}, lambda r: r.condition("a"), "`a` is missing"),
        ({"a": {"fact": "total"}}, lambda r: r.condition("a"), "`a`: a condition is"),
        ({"source": "x"}, lambda r: r.provenance(), "`verified` must be one word"),
        ({"a": {"verified": "mixed"}}, lambda r: r.record("a").verified(), "`a`: `verified` must be one word"),
        ({"verified": "page"}, lambda r: r.provenance(), "the file is marked `verified: page` and names no source"),
        ({"verified": "page", "source": 3}, lambda r: r.provenance(), "`source` is not a list; found 3"),
        ({"a": {"x": {"url": "y"}}}, lambda r: r.sources("a"), "`a.x.citation` is missing"),
        ({"a": 1, "b": 2}, lambda r: r.close(None), "the file has an unknown key; found 'a, b'. Correct the key"),
        ({"a": {"b": 2}}, lambda r: r.record("a").close(None), "`a` has an unknown key; found 'b'"),
    ],
)
def test_a_record_refuses(data: dict[str, Any], read: Callable[[Record], object], message: str) -> None:
    with pytest.raises(InvalidData) as caught:
        read(record(**data))
    assert caught.value.message.startswith("some.yaml:")
    assert message in caught.value.message


def test_a_refusal_knows_its_place_and_path() -> None:
    with pytest.raises(InvalidData) as caught:
        record(a={"b": 3}).record("a").text("b")
    assert str(caught.value.place) == "some.yaml"
    assert caught.value.about == "a.b"


def test_a_record_reads_each_kind() -> None:
    found = Record(
        {
            "text": "PEG",
            "number": 2,
            "p": 0.03,
            "limit": "<0.001",
            "whole": -3,
            "count": 0,
            "flag": True,
            "role": "bound",
            "dose": "84 mg",
            "texts": ["a", "b"],
            "numbers": [1, 2.5],
            "range": [0, 27],
            "bands": [[1, 2], [3, 4.5]],
            "levels": {0: "none"},
            "inner": {"x": 1},
            "rows": [{"x": 2}],
            "named": {"one": {"x": 3}},
            "when": {"fact": "total", "op": ">=", "value": 10},
            "source": "somewhere",
            "verified": "page",
            "note": "read twice",
            "sources": {"spier": {"citation": "Spier 2023", "verified": "recalled"}},
        },
        file="some.yaml",
    )
    assert found.has("text")
    assert found.text("text") == "PEG"
    assert not found.has("text")
    number = found.number("number")
    assert (number, type(number)) == (2.0, float)
    assert (found.text_or_number("p"), found.text_or_number("limit")) == ("0.03", "<0.001")
    assert (found.whole("whole"), found.count("count"), found.flag("flag")) == (-3, 0, True)
    assert found.word("role", Role) is Role.BOUND
    assert found.quantity("dose", parse_dose) == Dose(mg=84.0)
    assert (found.texts("texts"), found.numbers("numbers")) == (("a", "b"), (1.0, 2.5))
    assert (found.pair("range", int), found.pairs("bands", float)) == ((0, 27), ((1, 2), (3, 4.5)))
    assert found.table("levels", int, str) == {0: "none"}
    assert found.record("inner").count("x") == 1
    assert [row.count("x") for row in found.records("rows")] == [2]
    assert {name: one.count("x") for name, one in found.mapping("named").items()} == {"one": 3}
    assert found.condition("when") == Comparison(fact="total", op=">=", value=10)
    assert found.provenance() == Provenance(source=("somewhere",), verified=Verified.PAGE, note="read twice")
    assert found.sources("sources") == {"spier": Source(key="spier", citation="Spier 2023", verified=Verified.RECALLED)}
    assert found.close("built") == "built"


def test_an_absent_key_is_its_default() -> None:
    found = record(null=None)
    assert found.text("null", None) is None
    assert found.text("a", "usual") == "usual"
    assert found.number("a", None) is None
    assert found.text_or_number("a", None) is None
    assert found.count("a", None) is None
    assert found.flag("a") is False
    assert found.word("a", Role, Role.CONTEXT) is Role.CONTEXT
    assert found.quantity("a", parse_dose, None) is None
    assert found.pair("a", int, (0, 3)) == (0, 3)
    assert (found.texts("a"), found.numbers("a"), found.pairs("a", int), found.records("a")) == ((), (), (), [])
    assert (found.table("a", str, int), found.mapping("a"), found.sources("a")) == ({}, {}, {})
    assert found.record("a", None) is None
    assert found.condition("a", None) is None
    assert found.close("built") == "built"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: 1\na: 2\n", "key given twice: a"),
        ("b:\n  a: 1\n  a: 2\n", "key given twice: a"),
        ("a: [\n", "the file is not YAML"),
        ("- 1\n", "the file is not a mapping"),
        ("", "the file is not a mapping"),
    ],
)
def test_a_file_is_refused(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "some.yaml").write_text(text, encoding="utf-8")
    with pytest.raises(InvalidData) as caught:
        read_record(tmp_path, "some.yaml")
    assert caught.value.message.startswith("some.yaml: ")
    assert message in caught.value.message


def test_a_file_is_read(tmp_path: Path) -> None:
    (tmp_path / "some.yaml").write_text("name: Åsberg\n", encoding="utf-8")
    assert read_record(tmp_path, "some.yaml").text("name") == "Åsberg"
    assert parse_record("name: PEG", file="some.yaml").text("name") == "PEG"


@pytest.mark.parametrize(
    ("name", "allowed", "next_step"),
    [
        ("zzz", "alpha, beta, alphabet", "Take one of these names"),
        ("ALPHA", "alpha, alphabet", "Did you mean alpha?"),  # contained, in any case
        ("Betta", "beta", "Did you mean beta?"),  # resembles
        ("", "alpha, beta, alphabet", "Take one of these names"),
    ],
)
def test_an_unknown_name_is_answered_with_those_it_may_mean(name: str, allowed: str, next_step: str) -> None:
    found = unknown_name("No such thing", name, ["alpha", "beta", "alphabet"])
    assert (found.refused, found.observed) == ("No such thing", repr(name))
    assert (found.allowed, found.next_step) == (allowed, next_step)
