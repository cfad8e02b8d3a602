"""Every instrument that is scored from items: answers, arithmetic by hand, total. One table per instrument.

The arithmetic stands in the table as it would on paper; nothing here is computed by the code under test.
"""

from collections.abc import Sequence

import pytest

from afterglow.errors import NoModel, OutOfRange, UnknownName
from afterglow.scales import ScoreStatus, instrument, instruments, scale_answers, score, score_subscales, score_total

# Answers in the order of the items; None is an item without an answer.
TOTALS: dict[str, list[tuple[Sequence[int | bool | None], float]]] = {
    "phq9": [
        ([0] * 9, 0),
        ([3] * 9, 9 * 3),
        ([2, 2, 3, 2, 1, 2, 1, 0, 1], 2 + 2 + 3 + 2 + 1 + 2 + 1 + 0 + 1),
    ],
    "gad7": [([0] * 7, 0), ([3] * 7, 7 * 3), ([1, 2, 3, 0, 1, 2, 3], 1 + 2 + 3 + 0 + 1 + 2 + 3)],
    "madrs": [
        ([0] * 10, 0),
        ([6] * 10, 10 * 6),
        ([4, 4, 3, 4, 2, 3, 4, 3, 3, 2], 4 + 4 + 3 + 4 + 2 + 3 + 4 + 3 + 3 + 2),
    ],
    "hamd17": [
        ([0] * 17, 0),
        # Nine items go to 4 (1, 2, 3, 7, 8, 9, 10, 11, 15) and eight to 2 (4, 5, 6, 12, 13, 14, 16, 17).
        ([4, 4, 4, 2, 2, 2, 4, 4, 4, 4, 4, 2, 2, 2, 4, 2, 2], 9 * 4 + 8 * 2),
        (
            [3, 2, 1, 1, 2, 0, 3, 1, 1, 2, 2, 1, 1, 1, 0, 1, 0],
            3 + 2 + 1 + 1 + 2 + 0 + 3 + 1 + 1 + 2 + 2 + 1 + 1 + 1 + 1,
        ),
    ],
    "pcl5": [
        ([0] * 20, 0),
        ([4] * 20, 20 * 4),
        ([1, 2, 3, 4, 0] + [2, 2] + [1] * 7 + [3] * 6, 10 + 2 * 2 + 7 * 1 + 6 * 3),
    ],
    # Nine domains: the highest of 1-4, 5, the highest of 6-9, 10, 11, 12, 13, 14, the highest of 15-16.
    "qids_sr16": [
        ([0] * 16, 0),
        ([3] * 16, 9 * 3),
        ([*[3, 1, 2, 0], 2, *[0, 1, 0, 2], *[1, 2, 0, 1, 3], *[1, 2]], 3 + 2 + 2 + 1 + 2 + 0 + 1 + 3 + 2),
        ([*[0, 0, 0, 1], 0, *[0, 0, 0, 3], *[0] * 5, *[0, 2]], 1 + 3 + 2),
    ],
    "pain_nrs": [([0], 0), ([7], 7), ([10], 10)],
    "peg": [([0, 0, 0], 0), ([10, 10, 10], 10), ([4, 5, 4], (4 + 5 + 4) / 3), ([7, 5, 6], 18 / 3)],
    "cadss": [([0] * 23, 0), ([4] * 23, 23 * 4), ([1] * 20 + [2] * 3, 20 + 6)],
    "cadss6": [([0] * 6, 0), ([4] * 6, 6 * 4), ([1, 0, 2, 3, 0, 1], 7)],
    "moaas": [([5], 5), ([3], 3), ([0], 0)],
    "whodas12": [([0] * 12, 0), ([4] * 12, 12 * 4), ([1, 2, 3] * 4, 4 * 6)],
    "sds": [([0] * 3, 0), ([10] * 3, 30), ([4, 5, 6], 15)],
    "audit_c": [([0, 0, 0], 0), ([4, 4, 4], 12), ([2, 1, 3], 6)],
    # Item 3 ("able to stop when wanted") is reversed: no gives the point.
    "dast10": [
        ([False] * 10, 1),
        ([True] * 10, 9),
        ([False, False, True] + [False] * 7, 0),
        ([True, True, False] + [True] * 7, 10),
    ],
    "bprs_pos4": [([1] * 4, 4), ([7] * 4, 28), ([2, 1, 4, 3], 10)],
    "bsrs5": [([0] * 5, 0), ([4] * 5, 20), ([1, 2, 0, 3, 1], 7)],
    # Reversed: 1, 2, 6, 7, 8, 10, 17, 20, 22, 24, 34 (eleven items, 1 counts 5), the other 25 as they are.
    "ders": [([1] * 36, 11 * 5 + 25 * 1), ([5] * 36, 11 * 1 + 25 * 5), ([3] * 36, 36 * 3)],
    "aldrete_modified": [([0] * 5, 0), ([2] * 5, 10), ([2, 2, 1, 2, 2], 9)],
    "padss": [([0] * 5, 0), ([2] * 5, 10), ([2, 1, 2, 1, 2], 8)],
    "dsst": [([0], 0), ([54], 54), ([133], 133)],
}

NOT_SUMMED = {"cssrs_screener", "bpi_sf", "promis29", "moca", "kset", "thinc_it"}


def test_every_instrument_is_in_a_table() -> None:
    assert set(TOTALS) | NOT_SUMMED == set(instruments())


@pytest.mark.parametrize(("name", "answers", "total"), [(n, a, t) for n, rows in TOTALS.items() for a, t in rows])
def test_total(name: str, answers: Sequence[int | bool | None], total: float) -> None:
    form = score(scale_answers(name, answers))
    assert form.total == total
    assert form.status is ScoreStatus.COMPLETE
    assert form.missing == ()


@pytest.mark.parametrize("name", TOTALS)
def test_one_unanswered_item_leaves_no_total_and_is_named(name: str) -> None:
    numbers = [item.number for item in instrument(name).items.listed]
    answers = {number: instrument(name).items.listed[0].range[0] + 1 for number in numbers[:-1]}
    form = score(scale_answers(name, answers))
    assert form.total is None
    assert form.status is ScoreStatus.INCOMPLETE
    assert form.missing == (numbers[-1],)


@pytest.mark.parametrize(
    ("name", "answers", "prorate", "total", "status"),
    [
        # PHQ-9: at most two missing, mean of the answered times nine, only where the site allows it.
        ("phq9", [2, 2, 2, 2, 2, 2, 2, None, 1], True, (7 * 2 + 1) * 9 / 8, ScoreStatus.PRORATED),
        ("phq9", [2, 2, 2, 2, 2, 2, None, None, 1], True, (6 * 2 + 1) * 9 / 7, ScoreStatus.PRORATED),
        ("phq9", [2, 2, 2, 2, 2, None, None, None, 1], True, None, ScoreStatus.INCOMPLETE),
        ("phq9", [2, 2, 2, 2, 2, 2, 2, None, 1], False, None, ScoreStatus.INCOMPLETE),
        # Never without item 9, thoughts of death.
        ("phq9", [2, 2, 2, 2, 2, 2, 2, 2, None], True, None, ScoreStatus.INCOMPLETE),
        ("gad7", [1, 1, 1, 1, 1, 1, None], True, 6 * 7 / 6, ScoreStatus.PRORATED),
        ("gad7", [1, 1, 1, 1, 1, None, None], True, None, ScoreStatus.INCOMPLETE),
        # No rule: asking for proration changes nothing.
        ("madrs", [3] * 9 + [None], True, None, ScoreStatus.INCOMPLETE),
        ("qids_sr16", [1] * 15 + [None], True, None, ScoreStatus.INCOMPLETE),
        # AUDIT-C: "never" in item 1 answers items 2 and 3.
        ("audit_c", [0, None, None], False, 0, ScoreStatus.COMPLETE),
        ("audit_c", [1, None, None], False, None, ScoreStatus.INCOMPLETE),
        # An answer that was given is not overwritten by a skip.
        ("audit_c", [0, 3, None], False, 3, ScoreStatus.COMPLETE),
        # Nothing answered is not zero.
        ("phq9", [None] * 9, True, None, ScoreStatus.INCOMPLETE),
    ],
)
def test_missing_items(
    *, name: str, answers: list[int | None], prorate: bool, total: float | None, status: ScoreStatus
) -> None:
    form = score(scale_answers(name, answers), prorate=prorate)
    assert form.total == total
    assert form.status is status


def test_a_prorated_form_still_names_what_was_missing() -> None:
    assert score(scale_answers("gad7", [1, 1, 1, 1, 1, 1, None]), prorate=True).missing == ("7",)


def test_pcl5_clusters() -> None:
    form = score(scale_answers("pcl5", [1, 2, 3, 4, 0] + [2, 3] + [1] * 7 + [3] * 6))
    assert form.subscales == {"B": 1 + 2 + 3 + 4 + 0, "C": 2 + 3, "D": 7 * 1, "E": 6 * 3}


def test_a_gap_takes_its_own_cluster_and_the_total() -> None:
    form = score(scale_answers("pcl5", [None, 2, 3, 4, 0] + [2, 3] + [1] * 7 + [3] * 6))
    assert form.subscales == {"B": None, "C": 5, "D": 7, "E": 18}
    assert form.total is None


def test_qids_domains_are_maxima() -> None:
    form = score(scale_answers("qids_sr16", [*[3, 1, 2, 0], 2, *[0, 1, 0, 2], *[1, 2, 0, 1, 3], *[1, 2]]))
    assert (form.subscales["sleep"], form.subscales["appetite_weight"], form.subscales["psychomotor"]) == (3, 2, 2)


@pytest.mark.parametrize(
    ("answers", "severity", "interference", "status"),
    [
        ([8, 3, 5, 4] + [7] * 7, (8 + 3 + 5 + 4) / 4, 7, ScoreStatus.COMPLETE),
        # Interference: mean of those answered, at least four of seven.
        ([*[8, 3, 5, 4], *[6, 6, 4, 4, None, None, None]], 5, (6 + 6 + 4 + 4) / 4, ScoreStatus.PRORATED),
        ([*[8, 3, 5, 4], *[6, 6, 4, None, None, None, None]], 5, None, ScoreStatus.INCOMPLETE),
        # Severity: all four.
        ([8, 3, 5, None] + [7] * 7, None, 7, ScoreStatus.INCOMPLETE),
    ],
)
def test_bpi_has_two_means_and_no_total(
    answers: list[int | None], severity: float | None, interference: float | None, status: ScoreStatus
) -> None:
    form = score(scale_answers("BPI-SF", answers))
    assert form.subscales == {"pain_severity": severity, "pain_interference": interference}
    assert form.total is None
    assert form.status is status


YES, NO = True, False


@pytest.mark.parametrize(
    ("answers", "level", "status"),
    [
        # 1 wish, 2 thoughts, 3 method, 4 intent, 5 plan, 6 behaviour ever, 6b within three months
        ({"1": NO, "2": NO, "6": NO}, "none", ScoreStatus.COMPLETE),
        ({"1": YES, "2": NO, "6": NO}, "low", ScoreStatus.COMPLETE),
        ({"1": YES, "2": YES, "3": NO, "4": NO, "5": NO, "6": NO}, "low", ScoreStatus.COMPLETE),
        ({"1": YES, "2": YES, "3": YES, "4": NO, "5": NO, "6": NO}, "moderate", ScoreStatus.COMPLETE),
        ({"1": NO, "2": NO, "6": YES, "6b": NO}, "moderate", ScoreStatus.COMPLETE),
        ({"1": YES, "2": YES, "3": NO, "4": YES, "5": NO, "6": NO}, "high", ScoreStatus.COMPLETE),
        ({"1": YES, "2": YES, "3": NO, "4": NO, "5": YES, "6": NO}, "high", ScoreStatus.COMPLETE),
        ({"1": NO, "2": NO, "6": YES, "6b": YES}, "high", ScoreStatus.COMPLETE),
        # Behaviour of unknown date counts as recent until it is asked.
        ({"1": NO, "2": NO, "6": YES}, "high", ScoreStatus.INCOMPLETE),
        # Intent is high whatever was left out.
        ({"4": YES}, "high", ScoreStatus.INCOMPLETE),
        # With intent unanswered nobody may call it moderate, and with behaviour unanswered nobody may call it none.
        ({"1": YES, "2": YES, "3": YES, "5": NO, "6": NO}, None, ScoreStatus.INCOMPLETE),
        ({"1": NO, "2": NO}, None, ScoreStatus.INCOMPLETE),
        ({}, None, ScoreStatus.INCOMPLETE),
        # Items 3 to 5 answered although item 2 is no: the answers count.
        ({"1": NO, "2": NO, "4": YES, "6": NO}, "high", ScoreStatus.COMPLETE),
    ],
)
def test_cssrs_level(answers: dict[str, int | bool | None], level: str | None, status: ScoreStatus) -> None:
    form = score(scale_answers("C-SSRS", answers))
    assert form.level == level
    assert form.status is status
    assert form.total is None


@pytest.mark.parametrize(
    ("name", "value", "kept"),
    [
        ("MADRS", 0, 0),
        ("MADRS", 60, 60),
        ("MoCA", 26, 26),
        ("PEG", 4.3, 13 / 3),
        ("PEG", 4.33, 13 / 3),
        ("PEG", 6.7, 20 / 3),
        ("PEG", 7, 7),
    ],
)
def test_a_total_can_be_entered(name: str, value: float, kept: float) -> None:
    entered = score_total(name, value)
    assert entered.total == kept
    assert entered.status is ScoreStatus.COMPLETE


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("MADRS", 61),
        ("MADRS", -1),
        ("MADRS", 12.5),
        ("PEG", 4.5),
        ("PEG", 10.4),
        ("PHQ-9", 28),
        ("MADRS", float("nan")),
    ],
)
def test_a_total_off_the_scale_is_refused(name: str, value: float) -> None:
    with pytest.raises(OutOfRange):
        score_total(name, value)


def test_subscales_can_be_entered() -> None:
    form = score_subscales("PROMIS-29", {"anxiety": 61.2, "pain_intensity": 4})
    assert form.subscales == {"anxiety": 61.2, "pain_intensity": 4}
    assert score_subscales("BPI-SF", {"pain_interference": 4.57}).subscales == {"pain_interference": 4.57}


@pytest.mark.parametrize(
    ("values", "error"),
    [({"anxiety": 61.25}, OutOfRange), ({"pain_intensity": 4.5}, OutOfRange), ({"mood": 50}, UnknownName)],
)
def test_subscales_off_their_scale_are_refused(values: dict[str, float], error: type[Exception]) -> None:
    with pytest.raises(error):
        score_subscales("PROMIS-29", values)


@pytest.mark.parametrize(
    ("answers", "error"),
    [({"1": 4}, OutOfRange), ({"1": -1}, OutOfRange), ({"1": True}, OutOfRange), ({"10": 1}, UnknownName)],
)
def test_answers_off_the_form_are_refused(answers: dict[str, int | bool | None], error: type[Exception]) -> None:
    with pytest.raises(error):
        scale_answers("PHQ-9", answers)


@pytest.mark.parametrize("name", ["MoCA", "PROMIS-29", "KSET", "THINC-it"])
def test_what_is_scored_elsewhere_is_not_scored_here(name: str) -> None:
    with pytest.raises(NoModel, match="not scored from its items"):
        score(scale_answers(name, {}))
