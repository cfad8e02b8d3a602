"""Explore: protocols without a patient, and planned trials: limits, progress, cancelling, interruptions."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from typing import Any

import httpx
import pytest
from tests.integration.desks import at_work, desk, later
from tests.integration.pages import begin, browsing, hire

from afterglow.clinic import Role
from afterglow.errors import (
    AfterglowError,
    MalformedFile,
    MissingValue,
    NotFound,
    OutOfRange,
    RuleRefused,
    StoreUnavailable,
)
from afterglow.protocol import Endpoint, parse_protocol, read_protocol, write_protocol
from afterglow.store import audit, facts
from afterglow.store.records import Store
from afterglow.usecases import designs, jobs
from afterglow.usecases.designing import design
from afterglow.usecases.designs import DesignPage, DesignState, PlannedTrial, run_designs
from afterglow.usecases.desk import Desk
from afterglow.usecases.plain_protocol import (
    EXAMPLES,
    MAINTENANCE_TRIAL,
    MEASURES,
    TREATMENTS,
    PlainDesign,
    trial_design,
    trial_protocol,
)
from afterglow.usecases.work import program
from afterglow.web import explore

SMALL = """\
title: A small one
drug: esketamine
route: intranasal
dose: 84 mg
days: [0, 3]
control: placebo_spray
arm: both
population: {scale: MADRS, baseline_mean: 35, baseline_sd: 5}
observe: {times: [7 d]}
design: {sizes: [20]}
"""
FEW = designs.FEWEST_TRIALS


@pytest.fixture
def north(store: Store) -> Store:
    return at_work(store)


def asked(store: Store, *, by: str = "nora", text: str = SMALL) -> str:
    return designs.start_design(desk(store, Role.NURSE, by=by), text, trials=FEW).id


def seen(store: Store, design_id: str, *, by: str = "nora") -> DesignPage:
    return designs.read_own_design(desk(store, Role.NURSE, by=by), design_id).shown


def machine(store: Store) -> Desk:
    return Desk(store=store, actor=program("north"))


def example(name: str = "Six infusions", **changed: str) -> dict[str, str]:
    return explore._fields_of(EXAMPLES[name]) | changed


# Plain fields


@pytest.mark.parametrize("name", EXAMPLES)
def test_an_example_is_a_protocol_that_can_be_written_and_read(name: str) -> None:
    protocol = trial_protocol(EXAMPLES[name])
    assert parse_protocol(write_protocol(protocol)) == protocol


@pytest.mark.parametrize("measure", MEASURES)
def test_every_measure_has_a_protocol(measure: str) -> None:
    found = MEASURES[measure]
    plain = replace(
        EXAMPLES["Six infusions"],
        measure=measure,
        baseline_mean=found.baseline_mean,
        baseline_sd=found.baseline_sd,
    )
    observe = trial_protocol(plain).observe
    assert observe is not None
    known = {"MADRS": 10.0, "HAM-D17": 7.0, "PHQ-9": 4.0, "QIDS-SR16": 5.0, "PCL-5": 28.0}
    assert observe.remission_at_most == known.get(found.scale)  # GAD-7's is recalled, others have none


@pytest.mark.parametrize("treatment", TREATMENTS)
def test_every_drug_and_route_has_a_control_of_its_own(treatment: str) -> None:
    infusion_min = 40.0 if treatment.endswith("-iv") else None
    plain = replace(EXAMPLES["One infusion"], treatment=treatment, dose=28.0, per_kg=False, infusion_min=infusion_min)
    assert trial_protocol(plain).control != "none"


def test_the_maintenance_trial_is_the_one_of_the_examples() -> None:
    assert parse_protocol(MAINTENANCE_TRIAL) == read_protocol("examples/maintenance_trial.yaml")


@pytest.mark.parametrize(
    ("changed", "about", "says"),
    [
        ({"dose": 2.0}, "dose", "1.5 mg/kg"),
        ({"sessions": 41}, "sessions", "1 to 40 sessions"),
        ({"sessions": 0}, "sessions", "1 to 40 sessions"),
        ({"every_days": 0.4}, "every_days", "0.5 to 365 days"),
        ({"sessions": 40, "every_days": 9.5}, "every_days", "0 to 365 days in all"),
        ({"patients": 1}, "patients", "2 to 2000 patients"),
        ({"baseline_mean": 61.0}, "population.baseline_mean", "0 to 60 points"),
        ({"infusion_min": None}, "infusion", "bolus"),
    ],
)
def test_a_plain_protocol_is_refused_with_field_and_limit(changed: dict[str, Any], about: str, says: str) -> None:
    with pytest.raises(AfterglowError) as refused:
        trial_protocol(replace(EXAMPLES["Six infusions"], **changed))
    assert refused.value.about == about
    assert says in refused.value.message


@pytest.mark.parametrize(
    ("changed", "about"),
    [
        ({"leaving_unimproved": 0.03}, "leaving_recovered"),
        ({"leaving_recovered": 0.03}, "leaving_unimproved"),
        ({"leaving_unimproved": 0.03, "leaving_recovered": 0.01, "scored_day": 7.0}, "scored_day"),
        ({"leaving_unimproved": 1.5, "leaving_recovered": 0.01}, "dropout.unimproved"),
        ({"sizes": (50, 20)}, "sizes"),
        ({"sizes": ()}, "sizes"),
    ],
)
def test_a_plain_design_is_refused_with_its_field(changed: dict[str, Any], about: str) -> None:
    asked_for: dict[str, Any] = {"endpoint": "change", "scored_day": 28.0, "sizes": (20,)} | changed
    with pytest.raises(AfterglowError) as refused:
        trial_design(EXAMPLES["Six infusions"], PlainDesign(**asked_for))
    assert refused.value.about == about


def test_who_leaves_does_so_after_each_weekly_visit() -> None:
    planned = PlainDesign(
        endpoint=Endpoint.RESPONSE,
        scored_day=28.0,
        sizes=(20, 50),
        leaving_unimproved=0.03,
        leaving_recovered=0.01,
    )
    protocol = trial_design(EXAMPLES["Six infusions"], planned)
    assert protocol.dropout is not None
    assert protocol.dropout.visits_h == (168.0, 336.0, 504.0)
    assert protocol.dropout.source == "assumed"


# Planned trials


def test_a_planned_trial_is_asked_for_simulated_and_seen_by_its_owner_alone(north: Store) -> None:
    found = asked(north)
    before = seen(north, found)
    assert (before.state, before.ahead, before.title) == (DesignState.WAITING, 0, "A small one")
    assert run_designs(north) == 1
    assert run_designs(north) == 0
    after = seen(north, found)
    assert (after.state, after.done, after.fault) == (DesignState.DONE, 1.0, None)
    assert after.answer == design(parse_protocol(SMALL), trials=FEW)
    (line,) = designs.list_designs(desk(north, Role.NURSE, by="nora")).shown
    assert (line.id, line.state) == (found, DesignState.DONE)
    assert designs.list_designs(desk(north, Role.NURSE, by="petra")).shown == ()
    for other in (desk(north, Role.NURSE, by="petra"), desk(north, Role.NURSE, by="nora", clinic="south")):
        with pytest.raises(NotFound):
            designs.read_own_design(other, found)
        with pytest.raises(NotFound):
            designs.cancel_design(other, found)
    assert audit.verify(north, "north").faults == ()


@pytest.mark.parametrize(
    ("text", "error", "says"),
    [
        (SMALL.replace("days: [0, 3]", "days: [0, three]"), AfterglowError, "protocol:5"),
        (SMALL.replace("route: intranasal", "route: nose"), AfterglowError, "protocol:3"),
        ("drug: &a esketamine", MalformedFile, "anchor"),
        (SMALL.replace("design: {sizes: [20]}\n", ""), MissingValue, "design is missing"),
        (SMALL.replace("population: {scale: MADRS, baseline_mean: 35, baseline_sd: 5}\n", ""), AfterglowError, "scale"),
        (SMALL.replace("baseline_sd: 5", "n: 3"), MissingValue, "population.baseline_sd"),
        (SMALL.replace("[20]", "[2000]"), OutOfRange, "fewer or smaller sizes"),
        (SMALL + "#" * designs.LARGEST_TEXT, OutOfRange, "up to 20,000"),
    ],
)
def test_a_text_is_refused_before_anything_is_kept(
    north: Store, text: str, error: type[AfterglowError], says: str
) -> None:
    trials = designs.MOST_TRIALS if "[2000]" in text else FEW
    if "[2000]" in text:
        text = text.replace("[2000]", "[1800, 1900, 2000]")
    with pytest.raises(error) as refused:
        designs.start_design(desk(north, Role.NURSE), text, trials=trials)
    assert says in refused.value.message
    assert not designs.list_designs(desk(north, Role.NURSE)).shown


@pytest.mark.parametrize("trials", [FEW - 1, designs.MOST_TRIALS + 1])
def test_the_number_of_simulated_trials_has_limits(north: Store, trials: int) -> None:
    with pytest.raises(OutOfRange) as refused:
        designs.start_design(desk(north, Role.NURSE), SMALL, trials=trials)
    assert refused.value.about == "trials"


def test_only_so_many_are_under_way_at_once(north: Store) -> None:
    first = [asked(north, by="nora") for _ in range(designs.MOST_OF_A_PERSON)]
    with pytest.raises(RuleRefused, match=r"of yours .* 2; allowed: 2 at once"):
        asked(north, by="nora")
    others = designs.MOST_OF_A_CLINIC - designs.MOST_OF_A_PERSON
    for number in range(others):
        asked(north, by=f"petra-{number}")
    with pytest.raises(RuleRefused, match="of this clinic"):
        asked(north, by="cora")
    (last,) = designs.list_designs(desk(north, Role.NURSE, by=f"petra-{others - 1}")).shown
    assert seen(north, last.id, by=f"petra-{others - 1}").ahead == designs.MOST_OF_A_CLINIC - 1
    designs.cancel_design(desk(north, Role.NURSE, by="nora"), first[0])
    asked(north, by="nora")


def test_the_oldest_goes_when_too_many_are_kept(north: Store) -> None:
    found = []
    for _ in range(designs.KEPT + 1):
        found.append(asked(north))
        designs.cancel_design(desk(north, Role.NURSE, by="nora"), found[-1])
    kept = [each.id for each in designs.list_designs(desk(north, Role.NURSE, by="nora")).shown]
    assert kept == found[:0:-1]
    with pytest.raises(NotFound):
        seen(north, found[0])
    with north.read("north") as tx:
        head = facts.load(tx, PlannedTrial, found[0])
    assert head.now is not None
    assert (head.state, head.now.text) == (DesignState.FORGOTTEN, "")


def test_a_cancelled_trial_stops_within_a_chunk(north: Store) -> None:
    found, chunks = asked(north), []

    def cancel_at_third() -> None:
        chunks.append(1)
        if len(chunks) == 3:
            designs.cancel_design(desk(north, Role.NURSE, by="nora"), found)

    assert run_designs(north, meanwhile=cancel_at_third) == 1
    assert len(chunks) == 3
    page = seen(north, found)
    assert (page.state, page.answer) == (DesignState.CANCELLED, None)
    with pytest.raises(RuleRefused, match="is over"):
        designs.cancel_design(desk(north, Role.NURSE, by="nora"), found)
    assert run_designs(north) == 0


def test_a_trial_that_waits_is_cancelled_before_it_begins(north: Store) -> None:
    found = asked(north)
    designs.cancel_design(desk(north, Role.NURSE, by="nora"), found)
    assert run_designs(north) == 0
    assert seen(north, found).state is DesignState.CANCELLED


def test_how_far_it_is_is_told_and_forecasts_go_first(north: Store) -> None:
    found, told = asked(north), []
    run_designs(north, meanwhile=lambda: told.append(seen(north, found).done))
    assert len(told) == 31  # six kinds of five chunks, and the beginning
    assert told == sorted(told)
    assert 0 < told[-1] < 1
    assert seen(north, found).state is DesignState.DONE


def test_a_server_that_ends_leaves_it_interrupted(north: Store) -> None:
    found, rounds = asked(north), []

    def ends() -> bool:
        rounds.append(1)
        return len(rounds) > 4

    run_designs(north, end=ends)
    assert seen(north, found).state is DesignState.INTERRUPTED
    assert run_designs(north) == 0


def test_a_server_that_dies_leaves_it_interrupted_once_its_claim_is_over(north: Store) -> None:
    found, second = asked(north), asked(north)
    task = designs.claim_design(machine(north))
    assert task is not None
    assert seen(north, found).state is DesignState.RUNNING
    assert seen(north, second).ahead == 1
    later(north, designs.LEASE / timedelta(minutes=1))
    assert seen(north, found).state is DesignState.INTERRUPTED
    assert seen(north, second).ahead == 0
    with pytest.raises(RuleRefused, match="is over"):
        designs.cancel_design(desk(north, Role.NURSE, by="nora"), found)
    assert run_designs(north) == 1  # the second; the first is marked on the way
    with north.read("north") as tx:
        assert facts.load(tx, PlannedTrial, found).state == DesignState.INTERRUPTED
    with pytest.raises(AfterglowError, match="Another worker"):
        designs.go_on_with_design(machine(north), task, 0.5)
    assert seen(north, second).state is DesignState.DONE


@pytest.mark.parametrize(
    ("fault", "says"),
    [(RuntimeError("Anna Berger"), "the simulation failed (RuntimeError)"), (MissingValue("It is missing"), "missing")],
)
def test_a_trial_that_fails_says_so(north: Store, monkeypatch: pytest.MonkeyPatch, fault: Exception, says: str) -> None:
    def fail(*_: object, **__: object) -> None:
        raise fault

    monkeypatch.setattr(designs, "design", fail)
    found = asked(north)
    run_designs(north)
    page = seen(north, found)
    assert page.state is DesignState.FAILED
    assert says in str(page.fault)
    assert "Anna" not in str(page.fault)


def test_a_dead_worker_with_nothing_waiting_is_noticed_once(north: Store) -> None:
    found = asked(north)
    assert designs.claim_design(machine(north)) is not None
    later(north, designs.LEASE / timedelta(minutes=1))
    assert run_designs(north) == 0
    with north.read("north") as tx:
        assert facts.load(tx, PlannedTrial, found).state == DesignState.INTERRUPTED


def test_records_that_are_away_end_the_round_and_not_the_trial(north: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    def away(*_: object, **__: object) -> None:
        raise StoreUnavailable("The records are away")

    found = asked(north)
    monkeypatch.setattr(designs, "design", away)
    with pytest.raises(StoreUnavailable):
        run_designs(north)
    assert seen(north, found).state is DesignState.RUNNING  # until its claim is over


def test_the_worker_does_planned_trials_too(north: Store) -> None:
    found, rounds = asked(north), []

    def wait(seconds: float) -> bool:
        rounds.append(seconds)
        return seconds == jobs.LOOK_EVERY_S

    jobs.keep_running(north, wait=wait)
    assert seen(north, found).state is DesignState.DONE


# Pages


@pytest.fixture
def nora(north: Store) -> Iterator[httpx.Client]:
    hire(north)
    with browsing(north, begin(north, "n-nurse")) as client:
        yield client


@pytest.fixture(autouse=True)
def _nothing_computed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(explore, "_REPORTS", explore._Reports())


def test_a_protocol_is_computed_beside_the_page_and_then_kept(nora: httpx.Client) -> None:
    address = example("One infusion", patients="33")
    first = nora.get("/explore", params=address)
    assert first.status_code == 200
    if "data-again-s" in first.text:
        (making,) = explore._REPORTS._kept.values()
        making.join()
    page = nora.get("/explore", params=address)
    assert "data-again-s" not in page.text
    for words in (
        "Where the change comes from",
        "Expectancy",
        "Control arm",
        "Dissociated at any time",
        "What this rests on",
        "Model status",
        "active 33, control 33",
        "The same, as a table",
    ):
        assert words in page.text, words
    assert len(explore._REPORTS._kept) == 1


def test_the_first_example_is_shown_to_who_asks_for_none(nora: httpx.Client, monkeypatch: pytest.MonkeyPatch) -> None:
    asked_for: list[object] = []
    monkeypatch.setattr(explore._REPORTS, "get", asked_for.append)
    page = nora.get("/explore")
    assert asked_for == [trial_protocol(EXAMPLES["Six infusions"])]
    assert "The model is computing this protocol" in page.text
    assert '<option value="racemic_ketamine-iv" selected>' in page.text


@pytest.mark.parametrize(
    ("changed", "field", "says"),
    [
        ({"dose": "2"}, "dose", "1.5 mg/kg"),
        ({"dose": ""}, "dose", "The dose is missing"),
        ({"dose": "half"}, "dose", "The dose is no number"),
        ({"infusion_min": ""}, "infusion_min", "infusion is missing"),
        ({"sessions": "2.5"}, "sessions", "a whole number"),
        ({"sessions": "400"}, "sessions", "1 to 40 sessions"),
        ({"baseline_sd": "90"}, "baseline_sd", "0 to 30 points"),
        ({"treatment": "tea-oral"}, "treatment", "The drug and its route is refused"),
        ({"control": "placebo_spray"}, "control", "blinds nobody"),
        ({"every_days": "0.001"}, "every_days", "0.5 to 365 days"),
        ({"dose": "<script>alert(1)</script>"}, "dose", "&lt;script&gt;"),
        ({"dose": "x" * 3000}, "dose", "The text is too long"),
    ],
)
def test_a_protocol_is_refused_at_its_field(nora: httpx.Client, changed: dict[str, str], field: str, says: str) -> None:
    page = nora.get("/explore", params=example(**changed))
    assert page.status_code == 422
    assert f'href="#explore-{field}"' in page.text
    assert f'id="explore-{field}-fault"' in page.text
    assert says in page.text
    assert "<script>alert" not in page.text
    assert "<title>Error: Explore" in page.text


def test_too_many_protocols_at_once_wait(nora: httpx.Client, monkeypatch: pytest.MonkeyPatch) -> None:
    gate, made = threading.Event(), []

    def slow(protocol: object) -> None:
        gate.wait(30)
        made.append(protocol)

    monkeypatch.setattr(explore, "explore_report", slow)
    monkeypatch.setattr(explore, "_SOON_S", 0.01)
    for number in range(explore._MOST_COMPUTED + 3):
        page = nora.get("/explore", params=example(patients=str(20 + number)))
        assert "data-again-s" in page.text
    assert len(explore._REPORTS._kept) == explore._MOST_COMPUTED
    gate.set()
    for each in list(explore._REPORTS._kept.values()):
        each.join()
    assert len(made) == explore._MOST_COMPUTED


def test_what_the_model_refuses_while_it_computes_is_an_error_of_the_form(
    nora: httpx.Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(_: object) -> None:
        raise OutOfRange("The dose is refused by the model", about="dose")

    monkeypatch.setattr(explore, "explore_report", refuse)
    page = nora.get("/explore", params=example())
    assert page.status_code == 422
    assert "The dose is refused by the model" in page.text
    assert not explore._REPORTS._kept


def planned(**changed: str) -> dict[str, str]:
    begun = {"endpoint": "change", "scored_day": "7", "sizes": "20", "trials": f"{FEW}", "by": "fields"}
    return example("Spray twice a week", sessions="2") | begun | changed


def test_a_trial_is_asked_for_in_plain_fields_followed_and_run_again(north: Store, nora: httpx.Client) -> None:
    answer = nora.post("/explore/design", data=planned())
    assert answer.status_code == 303
    address = answer.headers["location"]
    page = nora.get(address)
    assert "It waits for its turn" in page.text
    assert "data-again-s" in page.text
    run_designs(north)
    page = nora.get(address)
    assert "data-again-s" not in page.text
    for words in ("assurance with 20 an arm", "Plan for a smaller effect than is shown", "Run again", "84 mg"):
        assert words in page.text, words
    title = "Depression, MADRS: esketamine 84 mg intranasal, 2 sessions, against placebo spray"
    assert title in nora.get("/explore/design").text
    again = nora.post(f"{address}/again").headers["location"]
    assert again != address
    assert nora.post(f"{again}/cancel").headers["location"] == again
    assert "It was cancelled" in nora.get(again).text
    assert nora.post(f"{again}/cancel").status_code == 409
    changed = nora.get("/explore/design", params={"start": address.rsplit("/", 1)[1]})
    assert "observe: {times: [7 d]" in changed.text


def test_plain_fields_are_shown_as_text(nora: httpx.Client) -> None:
    fields = planned(show="text")
    fields.pop("by")
    page = nora.post("/explore/design", data=fields)
    assert page.status_code == 200
    assert "design: {sizes: [20], endpoint: change}" in page.text
    assert "maintenance_trial" not in page.text
    begun = nora.get("/explore/design", params={"text": "maintenance"})
    assert "every four weeks" in begun.text
    assert 'value="0.5"' in nora.get("/explore/design", params=example()).text


@pytest.mark.parametrize(
    ("changed", "field", "says"),
    [
        ({"sizes": ""}, "sizes", "The number of patients in each arm is missing"),
        ({"sizes": "1"}, "sizes", "The number of patients in each arm is refused"),
        ({"sizes": "50, 20"}, "sizes", "The number of patients in each arm must rise"),
        ({"sizes": "many"}, "sizes", "no number"),
        ({"scored_day": ""}, "scored_day", "missing"),
        ({"endpoint": "remission", "measure": "ptsd-caps"}, "endpoint", "has no definition"),
        ({"leaving_unimproved": "3"}, "leaving_recovered", "both chances"),
        ({"leaving_unimproved": "130", "leaving_recovered": "1", "scored_day": "28"}, "leaving_unimproved", "100 %"),
        ({"trials": "5"}, "trials", "100 to 2,000"),
        ({"dose": "85"}, "dose", "84"),
    ],
)
def test_a_trial_is_refused_at_its_field(nora: httpx.Client, changed: dict[str, str], field: str, says: str) -> None:
    page = nora.post("/explore/design", data=planned(**changed))
    assert page.status_code == 422
    assert f'id="explore-{field}-fault"' in page.text
    assert says in page.text


def test_a_text_is_refused_at_its_line_and_kept(nora: httpx.Client) -> None:
    wrong = SMALL.replace("dose: 84 mg", "dose: 840 mg")
    page = nora.post("/explore/design", data={"by": "text", "text": wrong, "trials": f"{FEW}"})
    assert page.status_code == 422
    assert "Line 4: " in page.text
    assert "dose: 840 mg" in page.text
    assert 'href="#explore-text"' in page.text
    page = nora.post("/explore/design", data={"by": "text", "text": " ", "trials": f"{FEW}"})
    assert "The protocol is missing" in page.text
    page = nora.post("/explore/design", data={"by": "text", "text": SMALL, "trials": "1"})
    assert 'id="explore-trials-fault"' in page.text


def test_a_file_takes_the_place_of_the_text(north: Store, nora: httpx.Client) -> None:
    form = {"by": "text", "text": "", "trials": f"{FEW}"}
    answer = nora.post("/explore/design", data=form, files={"file": ("plan.yaml", SMALL.encode())})
    assert answer.status_code == 303
    wrong = nora.post("/explore/design", data=form, files={"file": ("plan.yaml", b"drug: \xe9")})
    assert wrong.status_code == 422
    assert "not UTF-8" in wrong.text
    long = nora.post("/explore/design", data=form, files={"file": ("plan.yaml", b"#" * 30_000)})
    assert "up to 20,000" in long.text
    large = nora.post("/explore/design", data=form, files={"file": ("plan.yaml", b"#" * 2**20)})
    assert large.status_code == 422
    assert "The form is too large" in large.text
    assert len(designs.list_designs(desk(north, Role.NURSE, by="n-nurse")).shown) == 1


def test_too_many_trials_are_refused_on_the_page(nora: httpx.Client) -> None:
    for _ in range(designs.MOST_OF_A_PERSON):
        assert nora.post("/explore/design", data=planned()).status_code == 303
    page = nora.post("/explore/design", data=planned())
    assert page.status_code == 409
    assert "under way already" in page.text
    assert 'href="#own"' in page.text


def test_nobody_elses_trial_is_shown(north: Store, nora: httpx.Client) -> None:
    address = nora.post("/explore/design", data=planned()).headers["location"]
    with browsing(north, begin(north, "n-prescriber")) as other:
        assert other.get(address).status_code == 404
        assert other.post(f"{address}/cancel").status_code == 404
        assert other.post(f"{address}/again").status_code == 404
