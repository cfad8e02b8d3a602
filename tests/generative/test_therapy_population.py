"""The same patient for the same seed, in any batch and order."""

from __future__ import annotations

from dataclasses import fields

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from afterglow.therapy.population import Belief, Circumstances, VirtualPatients, draw_patients, load_population
from afterglow.therapy.setting import Condition

ARM = Circumstances(belief=Belief.MIDAZOLAM)


def draw(condition: Condition, seed: int, first: int, count: int, patients_per_draw: int) -> VirtualPatients:
    return draw_patients(
        load_population(condition), ARM, seed=seed, first=first, count=count, patients_per_draw=patients_per_draw
    )


@settings(max_examples=40)
@given(
    condition=st.sampled_from([Condition.DEPRESSION, Condition.PAIN]),
    seed=st.integers(0, 2**63),
    first=st.integers(0, 300),
    count=st.integers(1, 40),
    total=st.integers(340, 400),
    patients_per_draw=st.integers(1, 300),
)
def test_a_patient_is_the_same_in_any_batch(
    condition: Condition, seed: int, first: int, count: int, total: int, patients_per_draw: int
) -> None:
    batch = draw(condition, seed, first, count, patients_per_draw)
    everyone = draw(condition, seed, 0, total, patients_per_draw)
    here = slice(first, first + count)
    for mine, theirs in ((batch.chain, everyone.chain), (batch.readout, everyone.readout), (batch, everyone)):
        for field in fields(mine):
            values = getattr(mine, field.name)
            if isinstance(values, np.ndarray):
                assert np.array_equal(values, getattr(theirs, field.name)[here]), field.name
    for name, values in batch.pk.deviations.items():
        assert np.array_equal(values, everyone.pk.deviations[name][here])
    assert np.array_equal(batch.further_deviates(3), everyone.further_deviates(3)[here])


@given(seed=st.integers(0, 2**31))
def test_another_seed_is_other_people(seed: int) -> None:
    one, other = (draw(Condition.DEPRESSION, s, 0, 4, 1).weight_kg for s in (seed, seed + 1))
    assert not np.any(one == other)
