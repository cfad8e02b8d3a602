"""Simulated trials: tests by hand and against scipy, chances that are what they say, work that is never lost."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy import stats

from afterglow.errors import Conflict, InputError, MissingValue, NotFound, UnwritableFile
from afterglow.protocol import Analysis, Dropout, Endpoint, MaintenanceArm, TrialDesign, TrialProtocol, parse_protocol
from afterglow.therapy import calibrated
from afterglow.therapy.calibrated import shipped_calibration
from afterglow.trials import Basis, DesignChunk, DesignTask, Masking, design_tasks, here, on_cluster, run_design
from afterglow.trials import simulate_trials as simulate
from afterglow.trials.running import Runner, Work
from afterglow.trials.virtual import _TESTS, CHUNK_TRIALS, _Asked, _Followed, _log_rank, _there
from afterglow.usecases.designing import design

CONTROLLED = """\
{drug: racemic_ketamine, route: iv, dose: 0.5 mg/kg, infusion: 40 min, days: [0], control: midazolam, arm: both,
 population: {scale: MADRS, baseline_mean: 32, baseline_sd: 6},
 observe: {times: [24 h, 7 d], response: 50 %, remission: 10}, design: {sizes: [20, 60]}}
"""
INTERVALS = """\
{drug: esketamine, route: intranasal, dose: 84 mg, days: [0, 3, 7, 10, 14, 17, 21, 24],
 population: {scale: MADRS, baseline_mean: 37, baseline_sd: 5},
 observe: {times: [28 d], response: 50 %, relapse: {of: responders, judged: 28 d, at: [84 d],
   visits: [35 d, 42 d, 49 d, 56 d, 63 d, 70 d, 77 d, 84 d], consecutive: 2}},
 design: {sizes: [40, 120], arms: [{name: weekly, every: 7 d}, {name: monthly, every: 28 d}, {name: stop}]}}
"""


def controlled(**changes: Any) -> TrialProtocol:
    protocol = parse_protocol(CONTROLLED)
    assert protocol.design is not None
    return replace(protocol, design=replace(protocol.design, **changes))


def intervals(*arms: MaintenanceArm) -> TrialProtocol:
    protocol = parse_protocol(INTERVALS)
    assert protocol.design is not None
    return replace(protocol, design=replace(protocol.design, arms=arms or protocol.design.arms))


def task(
    *, masking: Masking = Masking.PLANNED, basis: Basis = Basis.ASSURANCE, first: int = 0, count: int = 20
) -> DesignTask:
    return DesignTask(masking=masking, basis=basis, first=first, count=count)


def followed(**arrays: Any) -> _Followed:
    """One trial of four patients, with two visits where relapse is asked for."""
    base: dict[str, Any] = {
        "baseline": np.full((1, 4), 30.0),
        "end": np.full((1, 4), 20.0),
        "randomised": np.ones((1, 4), dtype=np.bool_),
        "stayed": np.ones((1, 4), dtype=np.bool_),
        "relapsed_at": np.zeros((1, 4), dtype=np.int64),
        "seen": np.ones((1, 4, 0), dtype=np.bool_),
    }
    return _Followed(**(base | arrays))


# The tests, by hand and against scipy


def test_the_change_is_compared_by_welch() -> None:
    asked = replace(_Asked.of_plan(controlled(sizes=(4,))), last=(3,))
    control, active = np.array([[28.0, 30.0, 25.0, 33.0]]), np.array([[12.0, 25.0, 20.0, 9.0]])
    outcome, estimate, p = _TESTS[Endpoint.CHANGE](asked, [followed(end=control), followed(end=active)])
    assert outcome.ravel().tolist() == [-1.0, -13.5]  # 29 and 16.5 from 30
    assert estimate.ravel().tolist() == [-12.5]
    assert p.ravel() == pytest.approx([stats.ttest_ind(active[0], control[0], equal_var=False).pvalue])


def test_shares_are_compared_with_a_pooled_error() -> None:
    """One of four responds against three of four: pooled 1/2, standard error sqrt(1/8), z = sqrt 2."""
    asked = replace(_Asked.of_plan(controlled(endpoint=Endpoint.RESPONSE, sizes=(4,))), last=(3,))
    control, active = np.array([[15.0, 16.0, 30.0, 30.0]]), np.array([[15.0, 2.0, 9.0, 16.0]])
    outcome, estimate, p = _TESTS[Endpoint.RESPONSE](asked, [followed(end=control), followed(end=active)])
    assert (outcome.ravel().tolist(), estimate.ravel().tolist()) == ([25.0, 75.0], [50.0])
    assert p.ravel() == pytest.approx([2 * stats.norm.sf(np.sqrt(2.0))])
    remission = replace(_Asked.of_plan(controlled(endpoint=Endpoint.REMISSION, sizes=(4,))), last=(3,))
    outcome, _, _ = _TESTS[Endpoint.REMISSION](remission, [followed(end=control), followed(end=active)])
    assert outcome.ravel().tolist() == [0.0, 50.0]


def test_the_log_rank_test_is_scipys() -> None:
    rng = np.random.default_rng(3)
    event = rng.integers(0, 6, (2, 30))  # number of the visit; 5 is none
    leaves = rng.integers(0, 6, (2, 30))  # last visit attended
    counts = []
    for arm in range(2):
        here_at = [np.sum((event[arm] >= v) & (leaves[arm] >= v)) for v in range(5)]
        now = [np.sum((event[arm] == v) & (leaves[arm] >= v)) for v in range(5)]
        counts += [np.array(here_at, dtype=float), np.array(now, dtype=float)]
    happened = (event <= leaves) & (event < 5)
    samples = [
        stats.CensoredData(uncensored=event[arm][happened[arm]], right=np.minimum(leaves[arm], 4)[~happened[arm]])
        for arm in range(2)
    ]
    assert _log_rank(*counts) == pytest.approx(stats.logrank(samples[0], samples[1]).pvalue)


def test_relapse_by_kaplan_and_meier() -> None:
    """Of four, one relapses at the first visit, one is not seen at the second, one relapses there: 1 - 3/4 x 1/2."""
    asked = replace(_Asked.of_plan(intervals()), visits=(0, 1), last=(3,))
    seen = np.array([[[True, True], [True, False], [True, True], [True, True]]])
    arm = followed(relapsed_at=np.array([[0, 2, 1, 2]]), seen=seen)
    outcome, _, _ = _TESTS[Endpoint.RELAPSE](asked, [arm, arm])
    assert outcome.ravel() == pytest.approx([62.5, 62.5])


def test_who_leaves_is_seen_at_his_last_visit_and_not_again() -> None:
    rule = Dropout(unimproved=0.5, recovered=0.5, source="assumed")
    asked = replace(_Asked.of_plan(controlled()), leaving=(0, 1), protocol=replace(controlled(), dropout=rule))
    there = _there(asked, np.ones((3, 3)), np.array([[0.4, 0.4, 0.9], [0.6, 0.4, 0.9], [0.6, 0.6, 0.1]]))
    assert there.tolist() == [[True, False, False], [True, True, False], [True, True, True]]


# Chances are what they say


def test_equal_arms_are_significant_as_often_as_alpha_says() -> None:
    """400 trials of two weekly arms at 5 %: three standard errors are 3.3 points; false alarm 1 in 370."""
    same = intervals(MaintenanceArm(name="a", every_h=168.0), MaintenanceArm(name="b", every_h=168.0))
    p = simulate(same, task(count=400), seed=1).p[:, -1, 0]
    assert abs(float(np.mean(p < 0.05)) - 0.05) < 3 * np.sqrt(0.05 * 0.95 / 400)


def test_a_control_that_believes_the_same_without_drug_effect_is_no_different() -> None:
    """A placebo dose, masked: 400 trials of the change at 5 %, as above."""
    nothing = replace(parse_protocol(CONTROLLED.replace("0.5 mg/kg", "0 mg/kg")))
    p = simulate(nothing, task(masking=Masking.MASKED, count=400), seed=2).p[:, -1, 0]
    assert abs(float(np.mean(p < 0.05)) - 0.05) < 3 * np.sqrt(0.05 * 0.95 / 400)


def test_more_patients_find_more_and_a_blinded_trial_finds_less() -> None:
    found = design(controlled(), trials=60, seed=4)
    planned, masked, unmasked = ([r for r in found.rows if r.masking is m] for m in Masking)
    assert planned[0].assurance < planned[1].assurance
    assert planned[0].power < planned[1].power
    assert planned[0].hi90 - planned[0].lo90 > planned[1].hi90 - planned[1].lo90
    # A fall is negative: a control arm that knows itself falls less, so the drug seems to do more. Ketamine and
    # midazolam raise nearly the same expectancy here, so 60 trials do not tell planned from masked.
    assert unmasked[1].estimate < min(planned[1].estimate, masked[1].estimate)
    assert max(planned[1].estimate, masked[1].estimate) < 0
    assert planned[1].randomised == 120
    assert planned[1].stayed == 120


def test_a_size_is_a_trial_of_its_own_and_a_small_one_shows_more_of_the_drug() -> None:
    asked = task(masking=Masking.MASKED, basis=Basis.POWER, count=200)
    both, small = simulate(controlled(sizes=(8, 200)), asked, seed=3), simulate(controlled(sizes=(8,)), asked, seed=3)
    assert np.array_equal(both.estimate[:, :1], small.estimate)
    # About 1.7 points apart; the mean of 200 trials of 8 people has a standard error of 0.4: false alarm under 1e-4.
    assert both.estimate[:, 0].mean() < both.estimate[:, 1].mean()


def test_only_responders_are_randomised_and_fewer_sessions_mean_more_relapse() -> None:
    found = design(intervals(), trials=40, seed=5)
    weekly, monthly, stop = (one.value for one in found.outcomes[:3])
    assert weekly < monthly < stop
    assert all(40 < row.randomised < 200 for row in found.rows if row.size == 120)
    assert (found.reference, found.arms, found.unit) == ("weekly", ("monthly", "stop"), "percentage points")
    assert Masking.UNMASKED not in found.maskings
    assert any("extrapolation" in note for note in found.notes)


def test_drop_out_counts_by_analysis() -> None:
    leaving = Dropout(unimproved=0.6, recovered=0.05, source="assumed", analysis=Analysis.COMPLETERS)
    completers = design(replace(controlled(), dropout=leaving), trials=40, seed=6)
    everybody = design(
        replace(controlled(), dropout=replace(leaving, analysis=Analysis.INTENTION_TO_TREAT)), trials=40, seed=6
    )
    assert completers.rows[0].stayed == everybody.rows[0].stayed < everybody.rows[0].randomised
    outcome = {name: found.outcomes[0].value for name, found in (("stay", completers), ("all", everybody))}
    assert outcome["stay"] < outcome["all"]  # who improved stays
    assert any("Analysis: completers" in note for note in completers.notes)


@pytest.mark.parametrize("definition", ["score_at_least: 24", "improvement_below: 30 %", "consecutive: 9"])
def test_every_definition_of_relapse(definition: str) -> None:
    text = INTERVALS.replace(
        "consecutive: 2", f"consecutive: 2, {definition}" if "consec" not in definition else definition
    )
    usual = simulate(parse_protocol(INTERVALS), task(count=5), seed=0)
    other = simulate(parse_protocol(text), task(count=5), seed=0)
    if definition == "consecutive: 9":  # more visits in a row than there are
        assert np.all(other.outcome == 0)
    else:
        assert np.all(other.outcome.mean(axis=0)[-1] < usual.outcome.mean(axis=0)[-1])  # both are harder to reach


def test_remitters_may_be_randomised_too() -> None:
    text = INTERVALS.replace("of: responders", "of: remitters").replace("response: 50 %", "remission: 10")
    fewer = simulate(parse_protocol(text), task(count=5), seed=0)
    assert np.all(
        fewer.randomised.sum(axis=0) < simulate(parse_protocol(INTERVALS), task(count=5), seed=0).randomised.sum(axis=0)
    )


# The same answer in any order, on any number of cores


def same(a: Sequence[DesignChunk], b: Sequence[DesignChunk]) -> bool:
    arrays = ("outcome", "estimate", "p", "randomised", "stayed")
    return all(
        one.task == other.task and all(np.array_equal(getattr(one, name), getattr(other, name)) for name in arrays)
        for one, other in zip(a, b, strict=True)
    )


def test_a_trial_does_not_depend_on_its_chunk() -> None:
    whole = simulate(controlled(), task(count=6), seed=7)
    parts = [simulate(controlled(), task(first=first, count=3), seed=7) for first in (0, 3)]
    assert np.array_equal(whole.estimate, np.concatenate([part.estimate for part in parts]))
    assert not np.array_equal(whole.estimate, simulate(controlled(), task(count=6), seed=8).estimate)


def test_two_processes_give_the_answer_of_one() -> None:
    assert same(
        run_design(controlled(), trials=30, runner=here(2)), run_design(controlled(), trials=30, runner=here(1))
    )


# Kept work


def counting(done: list[DesignTask], stop_after: int = 10**9) -> Runner:
    def run(work: Work, tasks: Sequence[DesignTask]) -> Iterator[DesignChunk]:
        for one in tasks:
            if len(done) == stop_after:
                raise KeyboardInterrupt
            done.append(one)
            yield work(one)

    return run


def test_an_interrupted_run_goes_on_where_it_was(tmp_path: Path) -> None:
    file = tmp_path / "kept.jsonl"
    first: list[DesignTask] = []
    second: list[DesignTask] = []
    with pytest.raises(KeyboardInterrupt):
        run_design(controlled(), trials=30, runner=counting(first, 4), results=file)
    seen: list[float] = []
    found = run_design(
        controlled(),
        trials=30,
        runner=counting(second),
        results=file,
        progress=seen.append,
    )
    assert (len(first), len(second)) == (4, len(design_tasks(controlled(), trials=30)) - 4)
    assert not set(first) & set(second)
    assert seen[0] == pytest.approx(4 / 12)
    assert seen[-1] == 1.0
    assert same(found, run_design(controlled(), trials=30, runner=here(1)))


def test_what_was_cut_off_or_changed_is_done_again(tmp_path: Path) -> None:
    file = tmp_path / "kept.jsonl"
    whole = run_design(controlled(), trials=30, runner=here(1), results=file)
    lines = file.read_text(encoding="utf-8").splitlines(keepends=True)
    assert len(lines) == 13
    edited = lines[3].replace('"first"', '"first"').replace("[[", "[[9", 1)
    lone = json.dumps({"chunk": 3, "sha256": ""}) + "\n"
    file.write_text("".join([*lines[:3], edited, lone, "no json\n", *lines[4:-1], lines[-1][:100]]), encoding="utf-8")
    again: list[DesignTask] = []
    assert same(run_design(controlled(), trials=30, runner=counting(again), results=file), whole)
    assert len(again) == 2
    assert same(run_design(controlled(), trials=30, runner=counting([], 0), results=file), whole)


def test_more_trials_use_what_was_done(tmp_path: Path) -> None:
    file = tmp_path / "kept.jsonl"
    more: list[DesignTask] = []
    run_design(controlled(), trials=CHUNK_TRIALS, runner=here(1), results=file)
    run_design(controlled(), trials=2 * CHUNK_TRIALS, runner=counting(more), results=file)
    assert {one.first for one in more} == {CHUNK_TRIALS}


def test_results_of_another_design_are_refused(tmp_path: Path) -> None:
    file = tmp_path / "kept.jsonl"
    run_design(controlled(), trials=20, runner=here(1), results=file)
    for other, seed in ((controlled(sizes=(20, 61)), 0), (controlled(), 1)):
        with pytest.raises(Conflict, match="results of another design"):
            run_design(other, trials=20, seed=seed, runner=here(1), results=file)


@pytest.mark.parametrize("held", ["a letter", '{"schema": "other"}\n', "[]\n"])
def test_another_file_is_never_written_over(tmp_path: Path, held: str) -> None:
    file = tmp_path / "letter.txt"
    file.write_text(held, encoding="utf-8")
    with pytest.raises(UnwritableFile, match="holds no results of a design"):
        run_design(controlled(), trials=20, runner=here(1), results=file)
    assert file.read_text(encoding="utf-8") == held


def test_a_place_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    with pytest.raises(UnwritableFile, match="cannot be kept"):
        run_design(controlled(), trials=20, runner=here(1), results=tmp_path)
    file = tmp_path / "kept.jsonl"

    def broken(work: Work, tasks: Sequence[DesignTask]) -> Iterator[DesignChunk]:
        file.unlink()
        file.mkdir()
        yield work(tasks[0])

    with pytest.raises(UnwritableFile, match="cannot be kept"):
        run_design(controlled(), trials=20, runner=broken, results=file)


def test_a_worker_of_another_version_is_refused() -> None:
    def elsewhere(work: Work, tasks: Sequence[DesignTask]) -> Iterator[DesignChunk]:
        yield replace(work(tasks[0]), digest="0" * 64)

    with pytest.raises(
        Conflict, match="A worker gives another answer than this machine would; found design 000000000000"
    ):
        run_design(controlled(), trials=20, runner=elsewhere)


def test_no_cluster_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(NotFound, match="No Dask scheduler answers; found nowhere"):
        run_design(controlled(), trials=20, runner=on_cluster("nowhere"))
    monkeypatch.setitem(__import__("sys").modules, "distributed", None)
    with pytest.raises(
        MissingValue, match=r"needs the package distributed. Install it: pip install 'afterglow\[cluster\]'"
    ):
        run_design(controlled(), trials=20, runner=on_cluster("tcp://127.0.0.1:1"))


# What is refused


@pytest.mark.parametrize(
    ("right", "wrong", "said"),
    [
        ("sizes: [20, 60]", "sizes: [60, 20]", "design.sizes must rise, each once; found 20 after 60"),
        ("sizes: [20, 60]", "sizes: []", "design.sizes is refused; found 0 sizes; allowed: 1 to 12"),
        ("sizes: [20, 60]", "sizes: [1]", r"design.sizes\[1\] is refused; found 1; allowed: 2 to 2000"),
        (
            "sizes: [20, 60]",
            "sizes: [20], alpha: 60 %",
            "design.alpha is refused; found 60 %; allowed: over 0 % to 50 %",
        ),
        ("sizes: [20, 60]", "sizes: [20], endpoint: relapse", "Relapse is compared between arms that are randomised"),
        (
            "sizes: [20, 60]",
            "sizes: [20], arms: [{name: a}, {name: b}]",
            "Arms that are randomised after response go on from one active arm|observe.relapse is missing",
        ),
        ("remission: 10}", "scale: MADRS}, title: x", ""),
        (", response: 50 %", "", ""),
        ("arm: both", "arm: active", "There are no arms to compare"),
        (
            ", remission: 10}, design: {",
            "}, design: {endpoint: remission, ",
            "observe.remission is missing, so remission",
        ),
        ("observe: {times: [24 h, 7 d], response: 50 %, remission: 10}, ", "", "observe is missing"),
    ],
)
def test_a_design_that_cannot_be(right: str, wrong: str, said: str) -> None:
    assert right in CONTROLLED
    text = CONTROLLED.replace(right, wrong)
    if not said:
        assert parse_protocol(text).design is not None
        return
    with pytest.raises(InputError, match=said):
        parse_protocol(text)


@pytest.mark.parametrize(
    ("right", "wrong", "said"),
    [
        ("{name: stop}", "{name: weekly}", "Two arms have the same name; found weekly"),
        (", {name: monthly, every: 28 d}, {name: stop}", "", "design.arms is refused; found 1 arms; allowed: 2 to 6"),
        (
            "every: 28 d",
            "every: 12 h",
            r"An interval between maintenance sessions is refused; found 12 h; allowed: 24 h",
        ),
        ("name: stop", 'name: ""', "has no value"),
        ("name: stop", f"name: {'x' * 41}", "The name of an arm is refused; found 41 characters"),
        ("sizes: [40, 120]", "sizes: [40], endpoint: change", "are compared on relapse; found change"),
        ("design:", "control: placebo_spray, arm: both, design:", "go on from one active arm; found arm: both"),
    ],
)
def test_maintenance_arms_that_cannot_be(right: str, wrong: str, said: str) -> None:
    assert right in INTERVALS
    with pytest.raises(InputError, match=said):
        parse_protocol(INTERVALS.replace(right, wrong))


def test_a_design_needs_a_design() -> None:
    with pytest.raises(MissingValue, match=r"design is missing\. Add design to the protocol"):
        design(replace(controlled(), design=None))


def test_defaults_of_the_endpoint() -> None:
    assert TrialDesign(sizes=(10,)).compared_on is Endpoint.CHANGE
    assert intervals().design.compared_on is Endpoint.RELAPSE  # type: ignore[union-attr]


def test_a_protocol_already_masked_is_not_masked_again() -> None:
    masked = parse_protocol(CONTROLLED.replace("midazolam", "masked"))
    assert {one.masking for one in design_tasks(masked, trials=20)} == {Masking.PLANNED, Masking.UNMASKED}


def test_processes_share_the_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    from afterglow.trials.running import _begin  # noqa: PLC0415

    monkeypatch.setenv("NUMBA_NUM_THREADS", "8")
    monkeypatch.setattr(calibrated, "_chosen", [])
    _begin(shipped_calibration())
    assert calibrated.calibration_in_use() is shipped_calibration()
    assert os.environ["NUMBA_NUM_THREADS"] == "1"
