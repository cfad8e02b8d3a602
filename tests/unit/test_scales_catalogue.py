"""Finding instruments, and refusing data files that break their schema."""

import copy
from importlib import resources
from typing import Any

import pytest
import yaml

from afterglow.errors import InputError, InvalidData, MissingValue, NoModel, UnknownName, WrongOrder
from afterglow.provenance import Verified
from afterglow.records import Record
from afterglow.scales import (
    Direction,
    ItemText,
    Rater,
    band_of,
    catalogue,
    core_set,
    instrument,
    instruments,
    is_relapse,
    is_remission,
    is_response,
    meets,
    meets_symptom_count,
    reliable_change,
    scale_answers,
    scales_markdown,
    score_subscales,
    score_total,
    sources,
)
from afterglow.scales.reading import read_instrument


@pytest.mark.parametrize(
    ("name", "key"),
    [
        ("PHQ-9", "phq9"),
        ("phq 9", "phq9"),
        ("GAD7", "gad7"),
        ("MADRS", "madrs"),
        ("HAM-D17", "hamd17"),
        ("HDRS", "hamd17"),
        ("HAMD", "hamd17"),
        ("QIDS_SR", "qids_sr16"),
        ("PCL-5", "pcl5"),
        ("C-SSRS", "cssrs_screener"),
        ("NRS", "pain_nrs"),
        ("Montgomery-Åsberg Depression Rating Scale", "madrs"),
    ],
)
def test_an_instrument_is_found_by_its_common_names(name: str, key: str) -> None:
    assert instrument(name).id == key


def test_an_unknown_instrument_is_answered_with_the_closest() -> None:
    with pytest.raises(UnknownName, match=r"allowed: PHQ-9\. Did you mean PHQ-9\?"):
        instrument("phq8")
    with pytest.raises(KeyError):
        instruments()["caps5"]


@pytest.mark.parametrize(
    ("name", "bounds", "whole", "self_rated", "direction"),
    [
        ("MADRS", (0, 60), True, False, Direction.HIGHER_IS_WORSE),
        ("HAM-D17", (0, 52), True, False, Direction.HIGHER_IS_WORSE),
        ("QIDS-SR16", (0, 27), True, True, Direction.HIGHER_IS_WORSE),
        ("PHQ-9", (0, 27), True, True, Direction.HIGHER_IS_WORSE),
        ("PCL-5", (0, 80), True, True, Direction.HIGHER_IS_WORSE),
        ("GAD-7", (0, 21), True, True, Direction.HIGHER_IS_WORSE),
        ("pain NRS", (0, 10), True, True, Direction.HIGHER_IS_WORSE),
        ("PEG", (0, 10), False, True, Direction.HIGHER_IS_WORSE),
        ("MoCA", (0, 30), True, False, Direction.HIGHER_IS_BETTER),
        ("KSET", None, True, False, Direction.NONE),
    ],
)
def test_what_a_model_asks_of_a_scale(
    *, name: str, bounds: tuple[float, float] | None, whole: bool, self_rated: bool, direction: Direction
) -> None:
    scale = instrument(name)
    assert (scale.range, scale.whole_numbers, scale.is_self_rated) == (bounds, whole, self_rated)
    assert scale.direction is direction


def test_wording_ships_for_public_domain_instruments_only() -> None:
    shown = {key for key, each in instruments().items() if each.may_show_text}
    assert shown == {"phq9", "gad7", "pcl5"}
    for each in instruments().values():
        worded = [item for item in each.items.listed if item.text]
        assert bool(worded) == (each.id in shown)
    assert instrument("MADRS").licence.show is ItemText.SCORE_ENTRY


def test_codes() -> None:
    assert instrument("PHQ-9").loinc == "44261-6"
    assert instrument("MADRS").loinc is None
    assert instrument("MOAA/S").rater is Rater.CLINICIAN


def test_core_set_names_instruments_that_exist() -> None:
    named = {word for visit in core_set().visits for use in visit.use for word in use.split()}
    assert {"phq9", "gad7", "cssrs_screener", "audit_c", "dast10", "qids_sr16", "madrs", "moaas", "cadss6"} <= (
        named & set(instruments())
    )


def test_the_page_shows_every_instrument_and_every_source_it_cites() -> None:
    page = scales_markdown()
    for key, each in instruments().items():
        assert f'<a id="{key}"></a>{each.short_name}' in page
        for alert in each.alerts:
            assert alert.id in page
    for key in sources():
        assert page.count(f"source-{key}") >= 2  # its entry and at least one figure


def test_the_page_shows_no_wording() -> None:
    page = scales_markdown()
    assert "Little interest" not in page
    assert page == scales_markdown()


# --- one fault at a time in a real data file ---


def data(name: str) -> dict[str, Any]:
    loaded = yaml.safe_load((resources.files("afterglow.scales") / "data" / f"{name}.yaml").read_text())
    assert isinstance(loaded, dict)
    return loaded


def broken(name: str, path: tuple[str | int, ...], value: Any) -> dict[str, Any]:
    whole = copy.deepcopy(data(name))
    inner: Any = whole
    for step in path[:-1]:
        inner = inner[step]
    if value is None:
        del inner[path[-1]]
    else:
        inner[path[-1]] = value
    return whole


@pytest.mark.parametrize(
    ("name", "path", "value", "message"),
    [
        ("phq9", ("colour",), "blue", r"phq9\.yaml: the file has an unknown key; found 'colour'"),
        ("phq9", ("licence", " permission"), "none", r"phq9\.yaml: `licence` has an unknown key; found ' permission'"),
        ("phq9", ("domain",), None, r"phq9\.yaml: `domain` is missing"),
        ("phq9", ("domain",), False, r"phq9\.yaml: `domain` is not text"),
        ("phq9", ("items", "count"), "nine", r"phq9\.yaml: `items\.count` is not a whole number"),
        ("phq9", ("items", "count"), True, r"phq9\.yaml: `items\.count` is not a whole number"),
        ("phq9", ("also_known_as",), ["PHQ", 9], r"phq9\.yaml: `also_known_as\[2\]` is not text"),
        ("phq9", ("administration", "minutes"), [3, 2], "two numbers, lowest first"),
        ("phq9", ("administration",), "self-report", "`administration` is not a mapping"),
        (
            "phq9",
            ("rater",),
            "nurse",
            "`rater` is an unknown word; found 'nurse'; allowed: self, clinician, performance",
        ),
        ("phq9", ("cadence", "verified"), "recalled (minutes), page (2 h)", "`verified` must be one word"),
        ("phq9", ("cadence", "verified"), None, "`verified` must be one word"),
        ("phq9", ("recall_periods", 0, "source"), None, r"`recall_periods\[1\]` is marked `verified: page`"),
        ("phq9", ("cadence", "source"), ["nowhere"], "no such source; found 'nowhere'"),
        ("phq9", ("id",), "phq8", "the id is not the file's name"),
        ("phq9", ("scoring", "range"), [0, 26], r"range of total is not what its items add up to.*\(0, 27\)"),
        ("phq9", ("scoring", "reverse_items"), ["10"], "no such item; found '10'"),
        ("phq9", ("scoring", "missing", "never_missing"), ["10"], "no such item; found '10'"),
        ("phq9", ("items", "count"), 8, "the count of items is not the number listed"),
        ("phq9", ("licence", "show"), "labels", "the wording of items may not be shipped"),
        ("phq9", ("bands", 0, "rows", 1, "min"), 4, "must rise"),
        ("phq9", ("bands", 0, "rows", 4, "max"), 26, "reach both ends"),
        ("phq9", ("bands", 0, "rows"), [], "must rise"),
        ("phq9", ("bands", 0, "applies_to"), ["mood"], "no such target of bands"),
        ("phq9", ("response", 0, "rule", "fact"), "item_10", "no such fact; found 'item_10'"),
        ("phq9", ("response", 0, "rule", "op"), "=<", "unknown operator"),
        ("phq9", ("reliable_change", "threshold_points"), 6, "exactly one of"),
        ("pcl5", ("scoring", "subscales", 0, "items"), ["21"], "no such item; found '21'"),
        ("pcl5", ("scoring", "subscales", 0, "range"), [0, 19], "range of B is not"),
        ("pcl5", ("scoring", "symptom_count", "need"), {"F": 1}, "no such subscale; found 'F'"),
        (
            "pcl5",
            ("scoring", "symptom_count", "need"),
            {"B": "one"},
            r"`scoring\.symptom_count\.need\.B` is not a whole number",
        ),
        ("audit_c", ("scoring", "missing", "skips", 0, "items"), ["4"], "no such item; found '4'"),
        ("qids_sr16", ("scoring", "range"), [0, 48], "range of total is not"),
        ("moaas", ("items", "range_verified"), "page (count)", "`items.range_verified` is an unknown word"),
    ],
)
def test_a_broken_file_is_refused(name: str, path: tuple[str | int, ...], value: Any, message: str) -> None:
    with pytest.raises(InvalidData, match=message):
        read_instrument(Record(broken(name, path, value), file=f"{name}.yaml"), sources())


def test_two_instruments_may_not_share_a_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(catalogue, "_ids", lambda: ("phq9", "phq9"))
    with pytest.raises(InvalidData, match="the name belongs to phq9 too"):
        catalogue._by_name.__wrapped__()


def test_figures_of_mixed_origin_are_split() -> None:
    madrs, moaas = instrument("MADRS"), instrument("MOAA/S")
    assert [d.provenance.verified for d in madrs.relapse] == [Verified.PAGE, Verified.RECALLED]
    assert [b.provenance.verified for b in moaas.bands[0].bands] == [Verified.PAGE, *[Verified.RECALLED] * 4]
    assert instrument("CADSS").items.provenance.verified is Verified.PAGE
    assert instrument("CADSS").items.range_provenance.verified is Verified.RECALLED


# --- requests that cannot be answered ---


def test_questions_without_an_answer_are_refused() -> None:
    phq9, madrs = score_total("PHQ-9", 10), score_total("MADRS", 10)
    anxiety = score_subscales("PROMIS-29", {"anxiety": 50})
    with pytest.raises(InputError, match=r"different instruments.*PHQ-9 and MADRS"):
        reliable_change(phq9, madrs)
    with pytest.raises(NoModel, match="defines no remission"):
        is_remission(score_total("PEG", 2))
    with pytest.raises(NoModel, match="defines no relapse"):
        is_relapse(phq9)
    with pytest.raises(UnknownName, match="no such definition of response; found 'strict'; allowed: usual"):
        is_response(madrs, madrs, definition="strict")
    with pytest.raises(NoModel, match="no single cut-off"):
        meets(instrument("PHQ-9").important_change[0], phq9)
    with pytest.raises(MissingValue, match="name the subscale"):
        is_response(anxiety, anxiety)
    with pytest.raises(UnknownName, match="no such bands"):
        band_of(phq9, band_set="Zimmerman 2013")
    with pytest.raises(UnknownName, match="no such subscale"):
        band_of(phq9, of="mood")
    with pytest.raises(NoModel, match="counts symptoms"):
        meets_symptom_count(phq9)
    with pytest.raises(NoModel, match="Enter its subscales: physical_function"):
        score_total("PROMIS-29", 50)
    with pytest.raises(NoModel, match="keep the form"):
        score_total("KSET", 1)
    with pytest.raises(NoModel, match="not entered by subscales"):
        score_subscales("PHQ-9", {"mood": 1})
    with pytest.raises(MissingValue, match="no subscale was entered"):
        score_subscales("PROMIS-29", {})
    with pytest.raises(WrongOrder, match="as many as the items; found 2; allowed: 3"):
        scale_answers("PEG", [1, 2])
    with pytest.raises(UnknownName, match="enter its score"):
        scale_answers("MoCA", {"1": 1})
