"""Validation: scores by hand, and the guard that keeps what the shipped population reaches."""

import dataclasses

import pytest

from afterglow.provenance import Role
from afterglow.therapy.setting import Condition
from afterglow.trials.arms import ScoredFigure, scored_figures
from afterglow.trials.lookup import Lookup
from afterglow.trials.moments import Statistic
from afterglow.trials.predictive import Interval
from afterglow.trials.validate import Kind, Row, Validation, interval_score, summarise, validate
from afterglow.trials.validation_report import figure_name, reason, validation_markdown


def scored(key: str, **of: object) -> ScoredFigure:
    """The first scored figure of a trial with these attributes."""
    return next(
        f
        for f in scored_figures()
        if f.trial.key == key and all(getattr(f, name) == value for name, value in of.items())
    )


def row(f: ScoredFigure, *, lo: float, hi: float, lookup: Interval | None = None, per_cent: float = 1.0) -> Row:
    """A row with that interval, symmetric about its value."""
    return Row(
        scored=f,
        value=(lo + hi) / 2,
        lo90=lo,
        hi90=hi,
        sd=(hi - lo) / 3.29,
        sampling_sd=(hi - lo) / 6.58,
        chance_significant=None,
        lookup=lookup,
        per_cent=per_cent,
    )


@pytest.mark.parametrize(
    ("observed", "expected"),
    [(0.0, 10.0), (10.0, 10.0), (11.0, 10.0 + 20.0), (-0.5, 10.0 + 10.0)],  # 2 / 0.1 for each unit outside
)
def test_interval_score(observed: float, expected: float) -> None:
    assert interval_score(observed, 0.0, 10.0) == pytest.approx(expected)


def test_scores_are_averaged_by_trial_and_then_over_trials() -> None:
    table = Interval(value=50.0, lo90=0.0, hi90=100.0)
    one, other = scored("shiroma2014"), scored("phillips2019")  # observed 25 % and 59 %
    rows = [
        row(one, lo=20.0, hi=40.0, lookup=table),
        row(one, lo=10.0, hi=20.0, lookup=table),  # 5 outside: 10 + 100
        row(other, lo=50.0, hi=80.0, lookup=table),
        row(other, lo=50.0, hi=80.0),  # the lookup knows nothing: left out of the scores
    ]
    found = summarise(rows)
    assert (found.n, found.trials, found.coverage) == (4, 2, 0.75)
    assert found.score == pytest.approx(((20 + 110) / 2 + 30) / 2)
    assert found.lookup_score == pytest.approx(100)
    assert found.gain == pytest.approx(1 - 47.5 / 100)
    assert found.sharpness == pytest.approx(2.0, rel=1e-3)
    nothing = summarise([row(other, lo=50.0, hi=80.0)])
    assert nothing.score != nothing.score  # nan


def test_kinds() -> None:
    assert row(scored("phillips2019"), lo=0, hi=1).kind is Kind.WEEKS
    assert row(scored("shiroma2014"), lo=0, hi=1).kind is Kind.FIRST_DAY
    assert row(scored("mcinnes2022"), lo=0, hi=1).kind is Kind.LATER
    assert row(scored("mcinnes2022", statistic=Statistic.RELAPSE_PCT), lo=0, hi=1).kind is Kind.RELAPSE
    assert row(scored("fu2020_aspire1"), lo=0, hi=1).kind is Kind.CONTRAST


def test_the_lookup_never_sees_the_trial_itself_nor_held_out_figures() -> None:
    figures = scored_figures()
    f = scored("murrough2013_ajp")
    without = [g for g in figures if g.trial.key != f.trial.key and g.trial.role in (Role.CALIBRATION, Role.CONTEXT)]
    assert Lookup(figures).predict(f) == Lookup(without).predict(f)


def test_the_lookup_by_hand() -> None:
    base = scored("phillips2019")  # response of an open arm at day 14, n = 41
    role = dataclasses.replace(base.trial, role=Role.CALIBRATION)
    known = [
        dataclasses.replace(base, trial=dataclasses.replace(role, key="a"), value=40.0),
        dataclasses.replace(base, trial=dataclasses.replace(role, key="b"), value=60.0),
    ]
    found = Lookup(known).predict(base)
    assert found is not None
    assert found.value == 50.0
    # between trials: sqrt(200) with 1 degree of freedom, times sqrt(1 + 1/2); sampling sqrt(.5 * .5 / 41)
    half = 1.6449 * (200 * 1.5 + 100**2 * 0.25 / 41) ** 0.5
    assert found.hi90 == pytest.approx(50 + half, rel=1e-4)
    assert Lookup([]).predict(base) is None
    single = Lookup(known[:1]).predict(base)
    assert single is not None
    assert single.hi90 - single.value == pytest.approx(1.6449 * 100 * (0.24 / 41) ** 0.5, rel=1e-4)


def test_the_lookup_has_a_sampling_error_for_what_prints_none() -> None:
    f = dataclasses.replace(scored("ionescu2021_aspire2"), se=None)
    found = Lookup(scored_figures()).predict(f)
    assert found is not None
    assert found.hi90 - found.value > 1.6449 * 10


def test_reasons_name_what_the_trial_was() -> None:
    cases = [
        (scored("shiroma2014"), "12 patients"),
        (scored("mcinnes2022", statistic=Statistic.RELAPSE_PCT), "Relapse"),
        (scored("mcinnes2022"), "self-report"),
        (scored("ionescu2021_aspire2", statistic=Statistic.MEAN_CHANGE), "Inpatients"),
        (next(f for f in scored_figures() if f.trial.key == "popova2019_transform2" and f.arm.arm == "pbo"), "control"),
        (next(f for f in scored_figures() if f.trial.key == "salloum2019"), "beyond what trials"),
    ]
    for f, expected in cases:
        assert expected in reason(row(f, lo=f.value + 1, hi=f.value + 2))
        assert "lower" in reason(row(f, lo=f.value + 1, hi=f.value + 2)).lower()
    ptsd = dataclasses.replace(next(f for f in scored_figures() if f.trial.key == "feder_2021" and not f.control), n=80)
    told = reason(row(ptsd, lo=ptsd.value - 2, hi=ptsd.value - 1))
    assert "this condition" in told
    assert told.startswith("Higher")


def test_a_difference_is_explained_as_one() -> None:
    f = scored("grunebaum2018")
    assert f.control is not None
    assert "difference larger" in reason(row(f, lo=f.value + 1, hi=f.value + 2))
    assert "difference smaller" in reason(row(f, lo=f.value - 3, hi=f.value - 2))


@pytest.fixture(scope="module")
def small() -> Validation:
    """Every held-out figure and some of calibration with small cohorts."""
    held_out = (Role.HELD_OUT, Role.HELD_OUT_SHARED, Role.CONTEXT)
    figures = [f for f in scored_figures() if f.trial.role in held_out or f.trial.key == "sigtermans_2009"]
    told: list[float] = []
    found = validate(figures=figures, n_draws=64, patients_per_draw=64, progress=told.append)
    assert told[-1] == 1.0
    return found


def test_the_shipped_population_keeps_what_it_reached(small: Validation) -> None:
    # Fixed seed, so unchanged code never fails: false-alarm rate 0. Were the seed redrawn, a figure at the edge of its
    # interval changes sides: of population 0.2.0 none of 20 seeds moved more than three of 50 figures (0.06) and 0.3 of
    # width, so at 95 % confidence fewer than 3 in 20 seeds do (rule of three). Not tried again of 0.4.0.
    every = small.groups(small.held_out)["all"]
    assert every.n >= 50
    assert every.coverage >= GUARD_COVERAGE
    assert every.gain >= GUARD_GAIN
    assert every.sharpness <= GUARD_SHARPNESS


GUARD_COVERAGE, GUARD_GAIN, GUARD_SHARPNESS = 0.61, -0.48, 3.0  # reached: 0.66, -0.30, 2.5 (decision 0012, look 5)


def test_negative_trials_are_no_sure_success(small: Validation) -> None:
    # Ionescu 2019, 13 v 13, p = 0.47; TRANSFORM-1, p = 0.09: neither may be predicted as a sure success.
    chances = {p.active.trial: p.chance_significant for p in small.planned}
    # Reached: 0.54 and 0.89, which is not small (decision 0012, look 5); it may not grow. Fixed seed, so unchanged code
    # never fails. Were the seed redrawn: each is a mean over 64 draws of a chance, whose standard error is at most
    # sqrt(p (1 - p) / 64), 0.062 and 0.039, so the margins of 0.11 and 0.06 are passed by at most 4 % and 6 % of seeds.
    assert chances["ionescu2019"] < 0.65
    assert chances["fedgchin2019_transform1"] < 0.95


def test_tables_of_the_page(small: Validation) -> None:
    page = validation_markdown(small, small)
    assert "public held-out figures" in page
    assert page.count("## ") >= 7
    all_inside = dataclasses.replace(small, rows=tuple(r for r in small.rows if r.inside))
    assert "None." in validation_markdown(all_inside, small)
    some = next(r for r in small.rows if r.scored.control is not None)
    assert " minus " in figure_name(some.scored)
    assert set(small.groups(small.rows)) >= {"all", "relapse", "control arms", "depression", "pain"}


def test_conditions_have_their_own_population(small: Validation) -> None:
    assert {r.scored.condition for r in small.rows} == {
        Condition.DEPRESSION,
        Condition.SUICIDAL_IDEATION,
        Condition.PAIN,
    }
