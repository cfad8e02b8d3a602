"""Bands, response, remission, relapse, reliable change and alerts: both sides of every bound."""

import pytest

from afterglow.scales import (
    AlertStatus,
    Change,
    ScaleScore,
    alerts,
    band_of,
    instrument,
    instruments,
    is_relapse,
    is_remission,
    is_response,
    meets,
    meets_symptom_count,
    reliable_change,
    scale_answers,
    score,
    score_subscales,
    score_total,
)

# Lowest and highest score of each band.
BANDS: dict[str, list[tuple[float, float, str]]] = {
    "phq9": [
        (0, 4, "minimal"),
        (5, 9, "mild"),
        (10, 14, "moderate"),
        (15, 19, "moderately severe"),
        (20, 27, "severe"),
    ],
    "gad7": [(0, 4, "minimal"), (5, 9, "mild"), (10, 14, "moderate"), (15, 21, "severe")],
    "qids_sr16": [(0, 5, "none"), (6, 10, "mild"), (11, 15, "moderate"), (16, 20, "severe"), (21, 27, "very severe")],
    "madrs": [(0, 6, "normal"), (7, 19, "mild"), (20, 34, "moderate"), (35, 60, "severe")],
    "hamd17": [(0, 7, "none"), (8, 13, "mild"), (14, 18, "moderate"), (19, 22, "severe"), (23, 52, "very severe")],
    "pcl5": [
        (0, 30, "below usual cut"),
        (31, 33, "cut-point zone (setting-dependent)"),
        (34, 80, "above usual cut"),
    ],
    "pain_nrs": [(0, 0, "none"), (1, 3, "mild"), (4, 6, "moderate"), (7, 10, "severe")],
    "peg": [(0, 11 / 3, "mild"), (4, 20 / 3, "moderate"), (7, 10, "severe")],
    "cadss": [
        (0, 4, "no or trivial"),
        (5, 92, "dissociation present (esketamine trials: >4 with change from baseline)"),
    ],
    "moaas": [
        (0, 0, "loss of consciousness"),
        (1, 1, "deep"),
        (2, 3, "moderate sedation"),
        (4, 4, "mild sedation"),
        (5, 5, "alert"),
    ],
    "moca": [(0, 25, "below usual cut"), (26, 30, "normal")],
    "audit_c": [(0, 2, "negative"), (3, 12, "positive")],  # sex not recorded: the lower cut
    "dast10": [(0, 0, "none"), (1, 2, "low"), (3, 5, "moderate"), (6, 8, "substantial"), (9, 10, "severe")],
    "bsrs5": [(0, 5, "normal"), (6, 9, "mild"), (10, 14, "moderate"), (15, 20, "severe")],
    "aldrete_modified": [(0, 8, "keep in recovery"), (9, 10, "ready for the next step")],
    "padss": [(0, 8, "not ready to leave"), (9, 10, "ready to leave")],
}
SYMPTOM_T: list[tuple[float, float, str]] = [
    (0, 54.9, "within normal limits"),
    (55, 59.9, "mild"),
    (60, 69.9, "moderate"),
    (70, 100, "severe"),
]
FUNCTION_T: list[tuple[float, float, str]] = [
    (0, 30, "severe"),
    (30.1, 40, "moderate"),
    (40.1, 45, "mild"),
    (45.1, 100, "within normal limits"),
]


def test_every_instrument_with_bands_is_in_the_table() -> None:
    assert set(BANDS) | {"bpi_sf", "promis29"} == {key for key, each in instruments().items() if each.bands}


@pytest.mark.parametrize(
    ("name", "value", "label"),
    [(name, value, label) for name, rows in BANDS.items() for low, high, label in rows for value in (low, high)],
)
def test_band(name: str, value: float, label: str) -> None:
    band = band_of(score_total(name, round(value, 2)))
    assert band is not None
    assert band.label == label


@pytest.mark.parametrize(
    ("part", "value", "label"),
    [("fatigue", v, label) for low, high, label in SYMPTOM_T for v in (low, high)]
    + [("social_roles", v, label) for low, high, label in FUNCTION_T for v in (low, high)],
)
def test_promis_bands_by_domain(part: str, value: float, label: str) -> None:
    band = band_of(score_subscales("PROMIS-29", {part: value}), of=part)
    assert band is not None
    assert band.label == label


@pytest.mark.parametrize(("worst", "label"), [(4, "mild"), (5, "moderate"), (6, "moderate"), (7, "severe")])
def test_bpi_bands_are_for_one_item(worst: int, label: str) -> None:
    form = score(scale_answers("BPI-SF", {"1": worst}))
    band = band_of(form, of="item_1")
    assert band is not None
    assert band.label == label
    assert band_of(form, of="item_3") is None  # average pain was not answered
    assert band_of(form, of="pain_severity") is None  # no bands for the mean


@pytest.mark.parametrize(
    ("sex", "value", "label"),
    [
        ("male", 3, "negative"),
        ("male", 4, "positive"),
        ("female", 2, "negative"),
        ("female", 3, "positive"),
        (None, 2, "negative"),
        (None, 3, "positive"),
        ("other", 3, "positive"),
    ],
)
def test_audit_c_cut_by_sex(sex: str | None, value: int, label: str) -> None:
    band = band_of(score_total("AUDIT-C", value), sex=sex)
    assert band is not None
    assert band.label == label


@pytest.mark.parametrize(
    ("value", "usual", "zimmerman"),
    [(8, "mild", "mild"), (14, "moderate", "mild"), (23, "very severe", "moderate"), (24, "very severe", "severe")],
)
def test_hamd_bands_name_their_set(value: int, usual: str, zimmerman: str) -> None:
    total = score_total("HAM-D17", value)
    bands = [band_of(total), band_of(total, band_set="Zimmerman 2013")]
    assert [(b.label, b.set_name) for b in bands if b] == [(usual, "CamCOPS"), (zimmerman, "Zimmerman 2013")]


def test_a_prorated_score_between_two_bands_is_below_the_cut() -> None:
    form = score(scale_answers("PHQ-9", [1, 1, 1, 1, 0, 0, 0, None, 0]), prorate=True)
    assert form.total == 4 * 9 / 8  # 4.5
    band = band_of(form)
    assert band is not None
    assert band.label == "minimal"
    assert is_remission(form) is True


# Baseline, the lowest score that is no response, the highest that is one.
RESPONSES = [
    ("phq9", 20, 11, 10),
    ("gad7", 15, 8, 7),
    ("qids_sr16", 20, 11, 10),
    ("madrs", 33, 17, 16),  # half of 33 is 16.5
    ("hamd17", 24, 13, 12),
    ("pcl5", 50, 36, 35),  # 15 points
    ("pain_nrs", 10, 8, 7),  # 30 %
    ("peg", 20 / 3, 5, 14 / 3),  # 30 % of 20/3 is 2, so 14/3
]


@pytest.mark.parametrize(("name", "baseline", "above", "at"), RESPONSES)
def test_response(name: str, baseline: float, above: float, at: float) -> None:
    first = score_total(name, round(baseline, 2))
    assert is_response(first, score_total(name, round(above, 2))) is False
    assert is_response(first, score_total(name, round(at, 2))) is True


@pytest.mark.parametrize(
    ("answers", "response", "remission"),
    [
        ([4, 4, 4], True, False),  # 12, no item above 4
        ([5, 4, 3], False, False),  # 12, but one item of 5
        ([4, 4, 5], False, False),  # 13
        ([2, 2, 2], True, True),  # 6, no item above 2
        ([3, 2, 1], True, False),  # 6, but one item of 3
        ([3, 2, 2], True, False),  # 7
    ],
)
def test_sds_response_and_remission_look_at_items(*, answers: list[int], response: bool, remission: bool) -> None:
    form = score(scale_answers("SDS", answers))
    assert is_response(score_total("SDS", 24), form) is response
    assert is_remission(form) is remission


def test_sds_entered_as_a_total_leaves_its_items_unknown() -> None:
    assert is_remission(score_total("SDS", 6)) is None
    assert is_remission(score_total("SDS", 7)) is False


@pytest.mark.parametrize(
    ("part", "before", "short_of", "enough"),
    [("anxiety", 65, 60.1, 60), ("physical_function", 35, 39.9, 40)],  # five points toward better
)
def test_promis_response_by_domain(part: str, before: float, short_of: float, enough: float) -> None:
    first = score_subscales("PROMIS-29", {part: before})
    assert is_response(first, score_subscales("PROMIS-29", {part: short_of}), of=part) is False
    assert is_response(first, score_subscales("PROMIS-29", {part: enough}), of=part) is True


def test_bpi_response_by_subscale() -> None:
    first = score_subscales("BPI-SF", {"pain_severity": 5, "pain_interference": 6})
    later = score_subscales("BPI-SF", {"pain_severity": 3.5, "pain_interference": 5})
    assert is_response(first, later, of="pain_severity") is True  # 30 % of 5 is 1.5
    assert is_response(first, later, of="pain_interference") is False  # 30 % of 6 is 1.8
    one_point = instrument("BPI-SF").important_change[0]
    assert meets(one_point, later, baseline=first, of="pain_interference") is True


def test_every_response_definition_is_in_a_table() -> None:
    assert {row[0] for row in RESPONSES} | {"sds", "promis29", "bpi_sf"} == {
        key for key, each in instruments().items() if each.response
    }


@pytest.mark.parametrize(
    ("name", "definition", "highest"),
    [
        ("phq9", "usual", 4),
        ("gad7", "usual", 4),
        ("qids_sr16", "usual", 5),
        ("madrs", "usual", 10),
        ("madrs", "esketamine trials", 12),
        ("hamd17", "usual", 7),
        ("pcl5", "usual", 28),
    ],
)
def test_remission(name: str, definition: str, highest: int) -> None:
    assert is_remission(score_total(name, highest), definition=definition) is True
    assert is_remission(score_total(name, highest + 1), definition=definition) is False


@pytest.mark.parametrize("definition", ["usual", "SUSTAIN-1"])
def test_relapse(definition: str) -> None:
    assert is_relapse(score_total("MADRS", 21), definition=definition) is False
    assert is_relapse(score_total("MADRS", 22), definition=definition) is True


def test_response_from_a_baseline_of_zero_or_an_incomplete_score_is_unknown() -> None:
    assert is_response(score_total("PHQ-9", 0), score_total("PHQ-9", 0)) is None
    assert is_response(score_total("PHQ-9", 20), score(scale_answers("PHQ-9", {"1": 1}))) is None


@pytest.mark.parametrize(("name", "cut"), [("phq9", 10), ("gad7", 10)])
def test_positive_screen(name: str, cut: int) -> None:
    screen = instrument(name).screening[0]
    assert meets(screen, score_total(name, cut - 1)) is False
    assert meets(screen, score_total(name, cut)) is True


@pytest.mark.parametrize(
    ("name", "threshold"),
    [
        ("madrs", 1.96 * 2**0.5 * 1.9),  # 5.27
        ("phq9", 1.96 * 2**0.5 * 3.1),  # 8.59
        ("gad7", 6),
        ("pcl5", 15),
    ],
)
def test_reliable_change(name: str, threshold: float) -> None:
    inside, outside = {"madrs": (5, 6), "phq9": (8, 9), "gad7": (5, 6), "pcl5": (14, 15)}[name]
    first = score_total(name, 16)
    for points, change in ((inside, Change.WITHIN_NOISE), (outside, Change.IMPROVED)):
        verdict = reliable_change(first, score_total(name, 16 - points))
        assert verdict.verdict is change
        assert verdict.change_points == -points
        assert verdict.threshold_points == pytest.approx(threshold, rel=1e-12)
        assert verdict.provenance is not None
    high = score_total(name, 20)
    assert reliable_change(high, score_total(name, 20)).verdict is Change.WITHIN_NOISE
    assert reliable_change(score_total(name, 20 - outside), high).verdict is Change.WORSENED


def test_reliable_change_says_why_it_cannot_tell() -> None:
    without = reliable_change(score_total("QIDS-SR16", 20), score_total("QIDS-SR16", 10))
    assert (without.verdict, without.reason) == (None, "no measurement error of QIDS-SR16 was found")
    gap = reliable_change(score_total("PHQ-9", 20), score(scale_answers("PHQ-9", {"1": 1})))
    assert (gap.verdict, gap.reason) == (None, "one of the two scores is incomplete")


# PCL-5 provisional diagnosis: items of 2 or more; one of B (1-5), one of C (6-7), two of D (8-14), two of E (15-20).
JUST_ENOUGH: list[int | None] = [*[2, 0, 0, 0, 0], *[2, 0], *[2, 2, 0, 0, 0, 0, 0], *[2, 2, 0, 0, 0, 0]]


def changed(at: int, value: int | None) -> list[int | None]:
    return [*JUST_ENOUGH[: at - 1], value, *JUST_ENOUGH[at:]]


@pytest.mark.parametrize(
    ("answers", "met"),
    [
        (list(JUST_ENOUGH), True),
        (changed(1, 1), False),
        (changed(6, 1), False),
        (changed(8, 1), False),
        (changed(15, 1), False),
        (changed(1, None), None),
        (changed(2, None), True),
        ([None] * 5 + JUST_ENOUGH[5:], None),
        ([None] * 5 + changed(6, 1)[5:], False),  # C fails whatever B would be
    ],
)
def test_pcl5_symptom_count(*, answers: list[int | None], met: bool | None) -> None:
    assert meets_symptom_count(score(scale_answers("PCL-5", answers))) is met


def state_of(form: ScaleScore, alert: str, **facts: object) -> AlertStatus:
    return {s.alert.id: s.status for s in alerts(form, **facts)}[alert]  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("name", "alert", "item", "below", "at"),
    [
        ("phq9", "phq9_item9", "9", 0, 1),
        ("qids_sr16", "qids_item12", "12", 1, 2),
        ("madrs", "madrs_item10", "10", 3, 4),
        ("hamd17", "hamd_item3", "3", 1, 2),
        ("pcl5", "pcl5_item16", "16", 2, 3),
    ],
)
def test_a_critical_item_alerts_without_the_rest_of_the_form(
    name: str, alert: str, item: str, below: int, at: int
) -> None:
    assert state_of(score(scale_answers(name, {item: below})), alert) is AlertStatus.CLEAR
    assert state_of(score(scale_answers(name, {item: at})), alert) is AlertStatus.TRIGGERED
    assert state_of(score(scale_answers(name, {})), alert) is AlertStatus.UNKNOWN


@pytest.mark.parametrize(
    ("before", "now", "status"),
    [
        (None, 0, AlertStatus.CLEAR),  # the lowest answer is no rise, whatever the last one was
        (None, 1, AlertStatus.UNKNOWN),
        (None, 2, AlertStatus.TRIGGERED),
        (0, 1, AlertStatus.TRIGGERED),
        (1, 1, AlertStatus.CLEAR),
        (3, 1, AlertStatus.CLEAR),
        (3, 2, AlertStatus.TRIGGERED),
    ],
)
def test_phq9_item_9_is_urgent_when_high_or_rising(before: int | None, now: int, status: AlertStatus) -> None:
    previous = None if before is None else score(scale_answers("PHQ-9", {"9": before}))
    form = score(scale_answers("PHQ-9", {"9": now}))
    assert state_of(form, "phq9_item9_high", previous=previous) is status


@pytest.mark.parametrize(
    ("answers", "high", "moderate"),
    [
        ({"1": True, "2": True, "3": True, "4": True}, AlertStatus.TRIGGERED, AlertStatus.CLEAR),
        (
            {"1": True, "2": True, "3": True, "4": False, "5": False, "6": False},
            AlertStatus.CLEAR,
            AlertStatus.TRIGGERED,
        ),
        ({"1": False, "2": False, "6": False}, AlertStatus.CLEAR, AlertStatus.CLEAR),
        ({"1": True, "2": True, "3": True}, AlertStatus.UNKNOWN, AlertStatus.UNKNOWN),
    ],
)
def test_cssrs_alerts(answers: dict[str, int | bool | None], high: AlertStatus, moderate: AlertStatus) -> None:
    form = score(scale_answers("C-SSRS", answers))
    assert state_of(form, "cssrs_high") is high
    assert state_of(form, "cssrs_moderate") is moderate


@pytest.mark.parametrize(
    ("name", "alert", "clear", "triggered"),
    [("moaas", "moaas_3", 4, 3), ("moaas", "moaas_1", 2, 1), ("dast10", "dast_3", 2, 3)],
)
def test_alert_on_the_total(name: str, alert: str, clear: int, triggered: int) -> None:
    assert state_of(score_total(name, clear), alert) is AlertStatus.CLEAR
    assert state_of(score_total(name, triggered), alert) is AlertStatus.TRIGGERED


@pytest.mark.parametrize(("sex", "clear", "triggered"), [("male", 3, 4), ("female", 2, 3), (None, 2, 3)])
def test_audit_c_alert_by_sex(sex: str | None, clear: int, triggered: int) -> None:
    assert state_of(score_total("AUDIT-C", clear), "auditc_pos", sex=sex) is AlertStatus.CLEAR
    assert state_of(score_total("AUDIT-C", triggered), "auditc_pos", sex=sex) is AlertStatus.TRIGGERED


def test_moca_alert_on_a_fall() -> None:
    first = score_total("MoCA", 28)
    assert state_of(score_total("MoCA", 26), "moca_drop", baseline=first) is AlertStatus.CLEAR
    assert state_of(score_total("MoCA", 25), "moca_drop", baseline=first) is AlertStatus.TRIGGERED
    assert state_of(score_total("MoCA", 25), "moca_drop") is AlertStatus.UNKNOWN


@pytest.mark.parametrize(
    ("answers", "distress", "status"),
    [
        ([3, 3, 3, 3, 3, 3], False, AlertStatus.CLEAR),
        ([0, 0, 4, 0, 0, 0], None, AlertStatus.TRIGGERED),
        ([0, 0, 0, 0, 0, 0], True, AlertStatus.TRIGGERED),
        ([0, 0, 0, 0, 0, 0], None, AlertStatus.UNKNOWN),
    ],
)
def test_cadss6_alert(*, answers: list[int], distress: bool | None, status: AlertStatus) -> None:
    form = score(scale_answers("CADSS-6", answers))
    assert state_of(form, "dissoc_distress", context={"events.severe_distress": distress}) is status


def test_every_alert_is_in_a_table() -> None:
    tested = {"phq9_item9", "phq9_item9_high", "qids_item12", "madrs_item10", "hamd_item3", "pcl5_item16"}
    tested |= {
        "cssrs_high",
        "cssrs_moderate",
        "moaas_3",
        "moaas_1",
        "dast_3",
        "auditc_pos",
        "moca_drop",
        "dissoc_distress",
    }
    assert tested == {alert.id for each in instruments().values() for alert in each.alerts}
