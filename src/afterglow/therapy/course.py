"""The tables of a course: how its hours are cut into panels, shared by both execution paths.

Between two marks (a dose starts or ends, a value is asked for) nothing jumps, so the receptor block is smooth there
and a few Gauss-Legendre nodes integrate it. Panels grow geometrically with the time since the last jump, because that
is how the drug fades. The tables depend on the course alone, never on a patient: every patient of every batch uses the same.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from afterglow.errors import InputError, WrongOrder
from afterglow.therapy.kinetics import FloatArray, Input

IntArray = NDArray[np.int64]

# Numerical settings: chosen by measurement against the ODE twin (decision record 0003), not by any clinical source.
FIRST_PANEL_H = 0.06
PANEL_RATIO = 2.4
NODES = 5
DRIVE_HORIZON_H = 240.0
_TIME_RESOLUTION_H = 1e-9


@dataclass(frozen=True, slots=True, kw_only=True)
class CourseTable:
    """A course as a row of steps; within a step input rates are constant.

    Args:
        times_h: (n_times,) asked times, hours since the origin of the course.
        sessions_h: (n_sessions,) starts of the sessions.
        since_session_h: (n_times,) time since the last session before each asked time; infinite before the first.
        panel_length_h: (n_panels,) distinct lengths of steps.
        panel_driven: (n_panels,) whether such a step integrates the receptor block, or only lets states fade.
        step_panel: (n_steps,) which length a step has.
        step_rates: (n_steps,) which row of `rates` runs during a step.
        step_bolus: (n_steps,) which row of `boluses` is added at its start, -1 for none.
        step_time: (n_steps,) index of the asked time at its end, -1 for none.
        rates: (n_rate_rows, n_channels, 2) mg/h and mg/kg/h into each channel; row 0 is no input.
        boluses: (n_bolus_rows, n_channels, 2) mg and mg/kg into each channel.
        nodes, weights: (NODES,) Gauss-Legendre rule on [0, 1].
    """

    times_h: FloatArray
    sessions_h: FloatArray
    since_session_h: FloatArray
    panel_length_h: FloatArray
    panel_driven: NDArray[np.bool_]
    step_panel: IntArray
    step_rates: IntArray
    step_bolus: IntArray
    step_time: IntArray
    rates: FloatArray
    boluses: FloatArray
    nodes: FloatArray
    weights: FloatArray


def course_table(
    inputs: Sequence[Input],
    *,
    channels: Sequence[str],
    sessions_h: Sequence[float],
    times_h: FloatArray,
    first_panel_h: float = FIRST_PANEL_H,
    panel_ratio: float = PANEL_RATIO,
    nodes: int = NODES,
) -> CourseTable:
    """Cut a course into steps.

    A value asked for at the very start of a session belongs to the time before it.

    Args:
        inputs: drug inputs, in any order; overlapping ones add.
        channels: names of the input channels of the exposure model, in its order.
        sessions_h: starts of the sessions (also those without drug, as in a control arm), increasing.
        times_h: shape (n_times,), hours since the origin of the course, increasing strictly.
        first_panel_h: length scale of the first panel after a jump.
        panel_ratio: growth of the panels.
        nodes: Gauss-Legendre nodes in a panel.

    Raises: WrongOrder if times or sessions run backwards; InputError for a channel the model does not have.
    """
    times, sessions = np.asarray(times_h, dtype=np.float64), np.asarray(sessions_h, dtype=np.float64)
    for what, values in (("Asked times", times), ("Sessions", sessions)):
        if not np.all(np.isfinite(values)) or np.any(np.diff(values) <= 0):
            raise WrongOrder(f"{what} must be finite and increase", observed=", ".join(f"{v:g} h" for v in values[:8]))
    for given in inputs:
        if given.channel not in channels:
            raise InputError(
                "The exposure model has no such input", observed=given.channel, allowed=", ".join(channels)
            )
    builder = _Builder(inputs, tuple(channels), times, first_panel_h, panel_ratio)
    builder.cut()
    last = np.searchsorted(sessions, times, side="left") - 1
    since = np.where(last >= 0, times - sessions[np.maximum(last, 0)], np.inf) if sessions.size else times * 0 + np.inf
    x, w = np.polynomial.legendre.leggauss(nodes)
    return CourseTable(
        times_h=times,
        sessions_h=sessions,
        since_session_h=since,
        panel_length_h=np.array([length for length, _ in builder.panels], dtype=np.float64),
        panel_driven=np.array([driven for _, driven in builder.panels], dtype=np.bool_),
        step_panel=np.array([step[0] for step in builder.steps], dtype=np.int64),
        step_rates=np.array([step[1] for step in builder.steps], dtype=np.int64),
        step_bolus=np.array([step[2] for step in builder.steps], dtype=np.int64),
        step_time=np.array([step[3] for step in builder.steps], dtype=np.int64),
        rates=np.array(list(builder.rates), dtype=np.float64).reshape(len(builder.rates), len(channels), 2),
        boluses=np.array(list(builder.boluses), dtype=np.float64).reshape(len(builder.boluses), len(channels), 2),
        nodes=(x + 1.0) / 2.0,
        weights=w / 2.0,
    )


class _Builder:
    """Walks the marks of a course once and collects steps and the distinct rows they refer to."""

    def __init__(
        self,
        inputs: Sequence[Input],
        channels: tuple[str, ...],
        times: FloatArray,
        first_panel_h: float,
        panel_ratio: float,
    ) -> None:
        self.inputs, self.channels, self.times = inputs, channels, times
        self.first_panel_h, self.panel_ratio = first_panel_h, panel_ratio
        self.panels: dict[tuple[float, bool], int] = {}
        self.rates: dict[tuple[float, ...], int] = {(0.0,) * (2 * len(channels)): 0}
        self.boluses: dict[tuple[float, ...], int] = {}
        self.steps: list[tuple[int, int, int, int]] = []

    def cut(self) -> None:
        jumps = sorted({t for given in self.inputs for t in (given.start_h, given.start_h + given.duration_h)})
        if not jumps:
            return
        last_end = [given.start_h + given.duration_h for given in self.inputs]
        horizons = {end + DRIVE_HORIZON_H for end in last_end}
        marks = _distinct([*jumps, *horizons, *(t for t in self.times if t > jumps[0])])
        stop = max(self.times, default=jumps[0])
        for start, end in itertools.pairwise(marks):
            if start >= stop:
                break
            ended = max((t for t in last_end if t <= start + _TIME_RESOLUTION_H), default=-math.inf)
            running = [g for g in self.inputs if g.duration_h > 0 and _covers(g, (start + end) / 2)]
            given = [g for g in self.inputs if g.duration_h == 0 and abs(g.start_h - start) <= _TIME_RESOLUTION_H]
            driven = bool(running or given) or start - ended < DRIVE_HORIZON_H - _TIME_RESOLUTION_H
            jump = max(t for t in jumps if t <= start + _TIME_RESOLUTION_H)
            rates = self._row(self.rates, running, per_hour=True)
            bolus = self._row(self.boluses, given, per_hour=False) if given else -1
            for length in self._lengths(start - jump, end - jump, driven=driven):
                panel = self.panels.setdefault((round(length, 9), driven), len(self.panels))
                self.steps.append((panel, rates, bolus, -1))
                bolus = -1
            asked = np.flatnonzero(np.abs(self.times - end) <= _TIME_RESOLUTION_H)
            if asked.size:
                self.steps[-1] = (*self.steps[-1][:3], int(asked[0]))

    def _lengths(self, since: float, until: float, *, driven: bool) -> list[float]:
        """Panels between two times since the last jump, growing by at most `panel_ratio`."""
        if not driven:
            return [until - since]
        low, high = since + self.first_panel_h, until + self.first_panel_h
        count = max(1, math.ceil(math.log(high / low) / math.log(self.panel_ratio) - 1e-9))
        edges = [low * (high / low) ** (i / count) for i in range(count + 1)]
        return [after - before for before, after in itertools.pairwise(edges)]

    def _row(self, rows: dict[tuple[float, ...], int], inputs: list[Input], *, per_hour: bool) -> int:
        row = np.zeros((len(self.channels), 2))
        for given in inputs:
            amount = np.array([given.amount_mg, given.amount_mg_per_kg])
            row[self.channels.index(given.channel)] += amount / given.duration_h if per_hour else amount
        return rows.setdefault(tuple(row.ravel().tolist()), len(rows))


def _covers(given: Input, time_h: float) -> bool:
    return given.start_h < time_h < given.start_h + given.duration_h


def _distinct(times: Sequence[float]) -> list[float]:
    """Sorted times; those closer than the resolution are one."""
    kept: list[float] = []
    for time in sorted(times):
        if not kept or time - kept[-1] > _TIME_RESOLUTION_H:
            kept.append(time)
    return kept
