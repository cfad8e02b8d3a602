"""`afterglow prove`: quick, the same twice and on two cores; its document, report, page and pictures."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

from afterglow.cli.app import app
from afterglow.errors import InvalidData, UnwritableFile
from afterglow.forecast.policy import POLICIES, Addition, Outcome
from afterglow.forecast.proof import FORECASTS, World
from afterglow.render.proof import (
    Dot,
    DotData,
    DotRow,
    Kind,
    PolicyData,
    PolicyPoint,
    RankData,
    RankPanel,
    dot_chart,
    policy_chart,
    rank_chart,
)
from afterglow.render.report import report_html
from afterglow.render.text import text_width
from afterglow.usecases import proving
from afterglow.usecases.proof_report import proof_charts, proof_document, proof_page, proof_report
from afterglow.usecases.proving import SETTINGS, ProofAnswer, Size, prove_forecast

ROOT = Path(__file__).parents[2]
TINY = Size(patients=8, steps=20, responders=1, visits=2)


@pytest.fixture(scope="module")
def answer() -> ProofAnswer:
    seen: list[float] = []
    found = prove_forecast(size=TINY, progress=seen.append)
    assert seen == sorted(seen)
    assert seen[-1] == pytest.approx(1.0)
    return found


def keys_in(value: Any) -> set[str]:
    if isinstance(value, dict):
        return set(value).union(*(keys_in(one) for one in value.values()))
    return set().union(*map(keys_in, value)) if isinstance(value, list) else set()


def test_a_second_run_on_two_cores_is_the_same_to_the_byte(answer: ProofAnswer) -> None:
    again = prove_forecast(size=TINY, cores=2)
    assert proof_page(again) == proof_page(answer)
    assert report_html(proof_report(again)) == report_html(proof_report(answer))


def test_what_it_is_put_to() -> None:
    """The settings that the proof promises: 0, 1, 3, 6 and 12 scores, each wrong world, 1,000 patients at full size."""
    modelled = [len(one.design.score_days) for one in SETTINGS if one.world is World.AS_MODELLED]
    assert modelled == [0, 1, 3, 6, 12, 4]
    assert {one.world for one in SETTINGS} == set(World)
    assert proving.FULL.patients >= 1_000


def test_the_document_is_as_promised(answer: ProofAnswer) -> None:
    document = proof_document(answer)
    assert document == json.loads(json.dumps(document, allow_nan=False))
    assert document["forecasts"] == list(FORECASTS)
    for setting in document["settings"]:
        assert setting["n"] == 8
        for lead in setting["leads"]:
            assert sum(lead["ranks"]) == 8
            assert len(lead["crps"]) == len(lead["log_score"]) == len(lead["crps_gain_se"]) == len(FORECASTS)
            assert 0 <= lead["inside50"] <= lead["inside90"] <= 1
    assert {one["adds_up"] for one in document["policies"]} == {"little", "as expected", "much"}
    assert len(document["chains"]) == 3
    page = (ROOT / "docs" / "reference" / "json.md").read_text(encoding="utf-8")
    section = page.partition("## `afterglow.prove/1`")[2].partition("\n## ")[0]
    for key in keys_in(document):
        assert f"`{key}`" in section, key


def test_policies_are_set_against_each_other_on_the_same_patients() -> None:
    one = Outcome(sessions=np.array([3.0, 5.0, 4.0]), relapsed_days=np.array([10.0, 40.0, 25.0]))
    other = Outcome(sessions=np.array([6.0, 6.0, 6.0]), relapsed_days=np.array([12.0, 41.0, 28.0]))
    found = proving._paired_row(POLICIES[-1], POLICIES[0], Addition.EXPECTED, one, other)
    assert (found.n, found.sessions, found.relapsed_days) == (3, -2.0, -2.0)
    # differences of -2, -1 and -3 days: sd 1, root of 3, and t of 2 degrees of freedom at 97.5 %
    assert found.relapsed_days_reach == pytest.approx(4.302653 / 3**0.5)
    alone = Outcome(sessions=np.array([3.0]), relapsed_days=np.array([10.0]))
    assert proving._paired_row(POLICIES[-1], POLICIES[0], Addition.EXPECTED, alone, alone).sessions_reach == 0.0


def test_the_picture_of_pairs_says_whether_they_differ(answer: ProofAnswer) -> None:
    """Of all pairs the ones that cost about the same, with the verdict that their interval gives."""

    def sentence(days: float, reach: float) -> str:
        rows = tuple(replace(row, relapsed_days=days, relapsed_days_reach=reach) for row in answer.paired)
        return proof_charts(replace(answer, paired=rows))["paired"].summary

    assert "no difference that these patients could show" in sentence(1.0, 2.0)
    assert "): fewer" in sentence(-3.0, 2.0)
    assert "): more" in sentence(3.0, 2.0)
    page, _ = proof_page(answer)
    assert "less when it feels bad" in page
    assert page.count("| next due, limit 10 % |") >= 6  # in both tables, in each world


def test_the_report_has_its_pictures_and_says_what_is_extrapolated(answer: ProofAnswer) -> None:
    page = report_html(proof_report(answer))
    for title in (chart.title for chart in proof_charts(answer).values()):
        assert title in page
    assert page.count("<svg") >= 8
    assert "Extrapolation. No data inform how sessions add up" in page
    assert "second illness: on a random day" in page.lower()


def test_the_page_holds_everything_in_text(answer: ProofAnswer) -> None:
    text, pictures = proof_page(answer)
    assert set(re.findall(r"\(\.\./images/(.*?)\)", text)) == set(pictures)
    assert all("var(--" not in svg for svg in pictures.values())
    for setting in SETTINGS:
        assert setting.name in text
    for world in World:
        if world is not World.AS_MODELLED:
            assert re.search(rf"- {world.value.capitalize()}: inside the 90 % band \d+ % after 1 day,", text)
    assert "no trial in the evidence compared how often they are given" in text


def test_the_command_says_it_and_writes_what_is_asked_for(
    answer: ProofAnswer, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    asked: list[Size] = []

    def prepared(**given: Any) -> ProofAnswer:
        asked.append(given["size"])
        return answer

    monkeypatch.setattr(proving, "prove_forecast", prepared)
    docs = tmp_path / "docs" / "validation"
    docs.mkdir(parents=True)
    said = (
        CliRunner()
        .invoke(
            app, ["prove", "--quick", "--page", str(docs / "forecast.md"), "--report", str(tmp_path / "proof.html")]
        )
        .output
    )
    for words in ("Proof of the forecast", "12 scores", "when it feels bad", "far from everyone", "Extrapolation."):
        assert words in said
    assert (docs / "forecast.md").read_text(encoding="utf-8") == proof_page(answer)[0]
    assert {file.name for file in (tmp_path / "docs" / "images").iterdir()} == set(proof_page(answer)[1])
    assert (tmp_path / "proof.html").exists()
    assert json.loads(CliRunner().invoke(app, ["prove", "--json"]).output)["schema"] == "afterglow.prove/1"
    assert asked == [proving.QUICK, proving.FULL]
    with pytest.raises(UnwritableFile, match="The place of the file is refused"):
        raise (
            CliRunner().invoke(app, ["prove", "--page", str(tmp_path / "no" / "where" / "x.md")]).exception or KeyError
        )


def test_the_documented_proof_is_of_full_size() -> None:
    page = (ROOT / "docs" / "validation" / "forecast.md").read_text(encoding="utf-8")
    assert "1,000 simulated patients a setting" in page
    for name in re.findall(r"\(\.\./images/(.*?)\)", page):
        assert (ROOT / "docs" / "images" / name).exists()


# Pictures


def test_marks_in_rows_are_named_and_held_in_the_table() -> None:
    row = DotRow(
        label="A", dots=(Dot(kind="own", value=90.0, low=88.0, high=92.0), Dot(kind="third rival", value=50.0))
    )
    names: tuple[tuple[Kind, str], ...] = (
        ("own", "ours"),
        ("third rival", "a name so long that the key of a phone needs another line"),
        ("rival", "r"),
    )
    found = dot_chart(DotData(title="T", unit="%", names=names, rows=(row,), sentence="S.", goals=(90.0,)))
    assert found.table.rows == (("A", "90.00", "50.00", ""),)
    assert found.summary == "S."
    for svg in (found.svg, found.narrow_svg):
        assert "ours" in svg


def test_ranks_name_the_most_uneven_panel() -> None:
    panels = (
        RankPanel(name="even", counts=(5, 5), unevenness=0.0),
        RankPanel(name="odd", counts=(9, 1), unevenness=6.4),
    )
    found = rank_chart(RankData(title="T", panels=panels))
    assert "Most uneven of those drawn: odd, chi-squared 6.4 on 1 degrees of freedom." in found.summary
    assert found.table.rows[1] == ("odd", "6.4", "9 1")
    assert found.summary.endswith("degrees of freedom.")
    more = rank_chart(RankData(title="T", panels=panels, beyond="Over all leads: odd after 1 day, 7.0."))
    assert more.summary.endswith("degrees of freedom. Over all leads: odd after 1 day, 7.0.")


def test_no_label_of_a_policy_covers_another() -> None:
    """As the shipped proof found them where sessions add up much: 50 % stood over 2-weekly."""
    places = (("weekly", 13.0, 19.1), ("2-weekly", 6.5, 22.7), ("4-weekly", 3.0, 27.9))
    points = [
        *(PolicyPoint(name=a, short=a, sessions=b, days=c, days_se=1.0, kind="calendar") for a, b, c in places),
        *(
            PolicyPoint(name=a, short=a, sessions=b, days=c, days_se=1.0, kind="forecast")
            for a, b, c in (("10 %", 9.28, 19.5), ("20 %", 8.45, 20.0), ("50 %", 6.34, 22.2))
        ),
        PolicyPoint(name="scale", short="", sessions=3.0, days=38.3, days_se=1.0, kind="reactive"),
    ]
    found = policy_chart(PolicyData(title="T", worlds=tuple((name, tuple(points)) for name in ("a", "b", "c"))))
    pattern = r'<text x="([0-9.]+)" y="([0-9.]+)"[^>]*paint-order="stroke">([^<]+)<'
    labels = [(float(x), float(y), text_width(words, 12.5)) for x, y, words in re.findall(pattern, str(found.svg))]
    assert len(labels) == 18
    for (x, y, width), (other_x, other_y, other_width) in combinations(labels, 2):
        assert abs(y - other_y) >= 12.5 or x + width <= other_x or other_x + other_width <= x


def test_policies_name_the_fewest_and_the_most_days() -> None:
    points = (
        PolicyPoint(name="weekly", short="weekly", sessions=13.0, days=4.0, days_se=1.0, kind="calendar"),
        PolicyPoint(name="due", short="10 %", sessions=13.0, days=4.0, days_se=1.0, kind="forecast"),
        PolicyPoint(name="bad", short="bad", sessions=13.0, days=4.2, days_se=1.0, kind="reactive"),
        PolicyPoint(name="due late", short="50 %", sessions=12.9, days=4.1, days_se=1.0, kind="forecast"),
        PolicyPoint(name="due later", short="60 %", sessions=12.9, days=4.1, days_se=1.0, kind="forecast"),
    )
    found = policy_chart(PolicyData(title="T", worlds=(("as expected", points),)))
    assert "weekly has 13.0 sessions and 4 days relapsed, the fewest days; bad has" in found.summary
    assert "Extrapolation" in found.svg
    assert "Extrapolation" in found.narrow_svg
    assert [row[1] for row in found.table.rows] == ["weekly", "due", "bad", "due late", "due later"]


def test_nothing_to_draw_is_refused() -> None:
    with pytest.raises(InvalidData, match="holds no mark"):
        dot_chart(DotData(title="T", unit="", names=(), rows=(), sentence=""))
    with pytest.raises(InvalidData, match="holds no panel"):
        rank_chart(RankData(title="T", panels=()))
    with pytest.raises(InvalidData, match="holds no policy"):
        policy_chart(PolicyData(title="T", worlds=(("w", ()),)))
