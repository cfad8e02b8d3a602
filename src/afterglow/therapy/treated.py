"""Virtual patients under a course: their relief, whatever their condition reads out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from afterglow.quantities import rate_from_half_life
from afterglow.therapy.course import DEFAULT_QUADRATURE, CourseTable, Quadrature, course_table
from afterglow.therapy.exposure import drive_inputs, regimen_drive, regimen_plasma, typical
from afterglow.therapy.kinetics import ExposureModes, FloatArray, concentration, lagged
from afterglow.therapy.population import Drive, Population, VirtualPatients
from afterglow.therapy.regimen import Regimen
from afterglow.therapy.relief import Execution, Relief, drug_relief, simulate_relief


def treated_table(
    population: Population,
    regimen: Regimen,
    times_h: FloatArray,
    *,
    sessions_h: Sequence[float] | None = None,
    drive: ExposureModes | None = None,
    quadrature: Quadrature = DEFAULT_QUADRATURE,
) -> CourseTable:
    """The table of a course for a population; it serves every batch of its patients.

    Args:
        population: whose read-out decides what is followed through the course.
        regimen: drug given; may be empty.
        times_h: asked times in h since the origin of the course, increasing.
        sessions_h: starts of the sessions, with or without drug; None for those of the regimen.
        drive: of the patients, where it is known already; it may have more channels than the regimen uses.
        quadrature: how finely the receptor block is integrated.
    """
    sessions = regimen.starts_h if sessions_h is None else sessions_h
    if not _drives_plasticity(population, regimen):
        return course_table((), channels=(), sessions_h=sessions, times_h=times_h)
    channels = (drive or regimen_drive(regimen, typical())).channels
    inputs = drive_inputs(regimen)
    return course_table(inputs, channels=channels, sessions_h=sessions, times_h=times_h, quadrature=quadrature)


def treated_drive(patients: VirtualPatients, regimen: Regimen) -> ExposureModes:
    """What a regimen's drugs drive the relief of patients with: the effect site, or in chronic pain a slow one.

    Args:
        patients: of one population.
        regimen: with at least one session of each drug and route.
    """
    if patients.effect_half_time_h is None:
        return regimen_drive(regimen, patients.pk)
    return lagged(regimen_plasma(regimen, patients.pk), rate_from_half_life(1.0) / patients.effect_half_time_h)


def simulate_treated(
    patients: VirtualPatients,
    regimen: Regimen,
    table: CourseTable,
    *,
    drive: ExposureModes | None = None,
    execution: Execution | None = None,
) -> Relief:
    """Relief of virtual patients under a course; no drug, no drug part.

    Args:
        patients: of one population.
        regimen: drug given; may be empty.
        table: of that population, regimen and drive, see `treated_table`.
        drive: as `treated_drive` makes it, where it is known already.
        execution: None chooses by the number of patients.

    >>> import numpy as np
    >>> from afterglow.therapy.population import Belief, Circumstances, draw_patients, load_population
    >>> from afterglow.therapy.setting import Condition
    >>> depression, nothing = load_population(Condition.DEPRESSION), Regimen()
    >>> people = draw_patients(depression, Circumstances(belief=Belief.SALINE), seed=0, first=0, count=3)
    >>> table = treated_table(depression, nothing, np.array([24.0]), sessions_h=(0.0,))
    >>> simulate_treated(people, nothing, table).drug.ravel().tolist()
    [0.0, 0.0, 0.0]
    """
    if drive is None and regimen.administrations:
        drive = treated_drive(patients, regimen)
    relief = simulate_relief(
        table,
        modes=drive if _drives_plasticity(patients.population, regimen) else None,
        weight_kg=patients.weight_kg,
        chain=patients.chain,
        readout=patients.readout,
        execution=execution,
    )
    if drive is None or not regimen.administrations or patients.effect_half_time_h is None:
        return relief
    level = concentration(drive, drive_inputs(regimen), table.times_h, weight_kg=patients.weight_kg)
    return replace(relief, drug=drug_relief(level, patients.readout))


def _drives_plasticity(population: Population, regimen: Regimen) -> bool:
    return population.drive is Drive.PLASTICITY and bool(regimen.administrations)
