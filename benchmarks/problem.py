"""The benchmark problem: a 26-week course of 19 ketamine infusions, scored every day, for people of all kinds.

Three compartments and an effect site, then B, L and K and the read-out: the equations of docs/explanation/model.md.
Kinetics are drawn around published-like values, for benchmarking only; plasticity and read-out are those of the shipped
population. Every engine gets the same people, doses and 183 asked times, and answers with the drug part of relief.
"""

from __future__ import annotations

from dataclasses import astuple, dataclass, fields
from typing import Any

import numpy as np

from afterglow.quantities import HOURS_PER_DAY
from afterglow.therapy.course import DEFAULT_QUADRATURE, CourseTable, Quadrature, course_table
from afterglow.therapy.kinetics import ExposureModes, FloatArray, Input, first_order, mammillary, path_modes
from afterglow.therapy.plasticity import Plasticity
from afterglow.therapy.population import Belief, Circumstances, draw_patients, load_population
from afterglow.therapy.relief import ReadOut, readout_rows
from afterglow.therapy.setting import Condition

DAYS = (0, 3, 7, 10, 14, 17, 21, 24, 31, 38, 45, 52, 66, 80, 94, 108, 122, 136, 150)
STARTS_H = tuple(day * HOURS_PER_DAY for day in DAYS)
TIMES_H: FloatArray = np.arange(26 * 7 + 1, dtype=np.float64) * HOURS_PER_DAY
INFUSION_H = 40.0 / 60.0
S_KETAMINE_MG_PER_KG = 0.25  # half of 0.5 mg/kg racemate
NG_PER_ML = 1000.0  # in 1 mg/L
FINE = Quadrature(
    soonest_h=0.03, nodes_per_fold=12.0, least_nodes=8.0, fresh_nodes=8.0, input_nodes_per_h=0.5, horizon_h=2000.0
)


@dataclass(frozen=True, slots=True, kw_only=True)
class People:
    """Volumes and flows (3, n), clearance first; ke0 and weight (n,); chain and read-out."""

    volumes_l: FloatArray
    flows_l_per_h: FloatArray
    ke0_per_h: FloatArray
    weight_kg: FloatArray
    chain: Plasticity
    readout: ReadOut

    def __len__(self) -> int:
        return len(self.weight_kg)

    def __getitem__(self, part: slice) -> People:
        def cut(group: Any) -> dict[str, FloatArray]:
            return {one.name: getattr(group, one.name)[..., part] for one in fields(group)}

        return People(
            volumes_l=self.volumes_l[:, part],
            flows_l_per_h=self.flows_l_per_h[:, part],
            ke0_per_h=self.ke0_per_h[part],
            weight_kg=self.weight_kg[part],
            chain=Plasticity(**cut(self.chain)),
            readout=ReadOut(**cut(self.readout)),
        )

    def rows(self) -> FloatArray:
        """(n, 14): volumes, flows, ke0, the six of the chain, and the rate of an infusion in mg/h."""
        rate = self.weight_kg * S_KETAMINE_MG_PER_KG / INFUSION_H
        columns = (*self.volumes_l, *self.flows_l_per_h, self.ke0_per_h, *astuple(self.chain), rate)
        return np.ascontiguousarray(np.stack(columns).T)


def draw_people(n: int, *, seed: int) -> People:
    """The first n people of a seed, the same whatever n is."""
    deviates = iter(np.random.default_rng(seed).standard_normal((n, 7)).T)
    patients = draw_patients(
        load_population(Condition.DEPRESSION), Circumstances(belief=Belief.KETAMINE), seed=seed, first=0, count=n
    )
    size = patients.weight_kg / 70.0

    def around(value: float, power: float) -> FloatArray:
        drawn: FloatArray = value * size**power * np.exp(0.3 * next(deviates))
        return drawn

    return People(
        volumes_l=np.array([around(litres, 1.0) for litres in (25.0, 56.0, 157.0)]),
        flows_l_per_h=np.array([around(flow, 0.75) for flow in (84.0, 161.0, 79.0)]),
        ke0_per_h=around(5.0, 0.0),
        weight_kg=patients.weight_kg,
        chain=patients.chain,
        readout=patients.readout,
    )


def modes(people: People) -> ExposureModes:
    central = mammillary(
        clearance_l_per_h=people.flows_l_per_h[0],
        central_volume_l=people.volumes_l[0],
        peripherals=tuple(zip(people.flows_l_per_h[1:], people.volumes_l[1:], strict=True)),
    )
    return path_modes({"iv": central.then(first_order(people.ke0_per_h)).scaled(NG_PER_ML)})


def table(quadrature: Quadrature = DEFAULT_QUADRATURE) -> CourseTable:
    infusions = [
        Input(channel="iv", start_h=start, duration_h=INFUSION_H, amount_mg_per_kg=S_KETAMINE_MG_PER_KG)
        for start in STARTS_H
    ]
    return course_table(infusions, channels=("iv",), sessions_h=STARTS_H, times_h=TIMES_H, quadrature=quadrature)


def readout_columns(readout: ReadOut) -> FloatArray:
    """(n, 3): log A50, steepness, largest drug relief, as compiled read-outs of the peers take them."""
    return np.ascontiguousarray(readout_rows(readout)[:3].T)
