"""The tables of a course: how its hours are cut into panels, shared by both execution paths.

Between two marks (a dose starts or ends, a value is asked for) nothing jumps, so the receptor block is smooth there
and one Gauss-Legendre rule integrates it. The rule is laid out on the logarithm of the time since the last jump,
because that is how fast the drug still changes, and its number of nodes follows how far that logarithm runs. The tables
depend on the course alone, never on a patient: every patient of every batch uses the same.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from afterglow.errors import InputError, WrongOrder
from afterglow.therapy.kinetics import FloatArray, Input

IntArray = NDArray[np.int64]

_TIME_RESOLUTION_H = 1e-9


@dataclass(frozen=True, slots=True, kw_only=True)
class Quadrature:
    """How finely the receptor block is integrated.

    The values are chosen by measurement against finer rules and an ODE solver on virtual patients of the shipped
    population (decision record 0003), not by any clinical source.

    Args:
        soonest_h: where the logarithmic clock after a jump starts to be linear.
        nodes_per_fold: nodes of a panel for each e-fold that clock runs during it.
        least_nodes: nodes of any panel.
        fresh_nodes: more nodes while the block is strong enough for BDNF, which forgets within hours, to matter.
        fresh_h: over which time since the last jump these fade by e.
        input_nodes_per_h: more nodes for each hour of a running input, during which the block does not fade.
        horizon_h: how long after the last input the block is followed.
    """

    soonest_h: float = 0.06
    nodes_per_fold: float = 2.5
    least_nodes: float = 1.4
    fresh_nodes: float = 6.0
    fresh_h: float = 110.0
    input_nodes_per_h: float = 0.1
    horizon_h: float = 336.0


DEFAULT_QUADRATURE = Quadrature()


@dataclass(frozen=True, slots=True, kw_only=True)
class CourseTable:
    """A course as a row of steps; within a step input rates are constant.

    Args:
        times_h: (n_times,) asked times, hours since the origin of the course.
        sessions_h: (n_sessions,) starts of the sessions.
        since_session_h: (n_times,) time since the last session before each asked time; infinite before the first.
        panel_length_h: (n_panels,) length of each distinct kind of step.
        panel_node: (n_panels + 1,) where the nodes of each panel start; a panel without nodes only lets states fade.
        node_h: (n_nodes,) Gauss-Legendre nodes, hours since the start of their panel.
        node_weight_h: (n_nodes,) their weights, h.
        step_panel: (n_steps,) which panel a step is.
        step_rates: (n_steps,) which row of `rates` runs during a step.
        step_bolus: (n_steps,) which row of `boluses` is added at its start, -1 for none.
        step_time: (n_steps,) index of the asked time at its end, -1 for none.
        rates: (n_rate_rows, n_channels, 2) mg/h and mg/kg/h into each channel; row 0 is no input.
        boluses: (n_bolus_rows, n_channels, 2) mg and mg/kg into each channel.
    """

    times_h: FloatArray
    sessions_h: FloatArray
    since_session_h: FloatArray
    panel_length_h: FloatArray
    panel_node: IntArray
    node_h: FloatArray
    node_weight_h: FloatArray
    step_panel: IntArray
    step_rates: IntArray
    step_bolus: IntArray
    step_time: IntArray
    rates: FloatArray
    boluses: FloatArray


def course_table(
    inputs: Sequence[Input],
    *,
    channels: Sequence[str],
    sessions_h: Sequence[float],
    times_h: FloatArray,
    quadrature: Quadrature = DEFAULT_QUADRATURE,
) -> CourseTable:
    """Cut a course into steps.

    A value asked for at the very start of a session belongs to the time before it.

    Args:
        inputs: drug inputs, in any order; overlapping ones add.
        channels: names of the input channels of the exposure model, in its order.
        sessions_h: starts of the sessions (also those without drug, as in a control arm), increasing.
        times_h: shape (n_times,), hours since the origin of the course, increasing strictly.
        quadrature: how finely the receptor block is integrated.

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
    builder = _Builder(inputs, tuple(channels), times, quadrature)
    builder.cut()
    last = np.searchsorted(sessions, times, side="left") - 1
    since = np.where(last >= 0, times - sessions[np.maximum(last, 0)], np.inf) if sessions.size else times * 0 + np.inf
    rules = [_rule(panel, quadrature) for panel in builder.panels]
    return CourseTable(
        times_h=times,
        sessions_h=sessions,
        since_session_h=since,
        panel_length_h=np.array([panel.until_h - panel.since_h for panel in builder.panels], dtype=np.float64),
        panel_node=np.cumsum([0, *(len(nodes) for nodes, _ in rules)], dtype=np.int64),
        node_h=np.concatenate([np.empty(0), *(nodes for nodes, _ in rules)]),
        node_weight_h=np.concatenate([np.empty(0), *(weights for _, weights in rules)]),
        step_panel=np.array([step[0] for step in builder.steps], dtype=np.int64),
        step_rates=np.array([step[1] for step in builder.steps], dtype=np.int64),
        step_bolus=np.array([step[2] for step in builder.steps], dtype=np.int64),
        step_time=np.array([step[3] for step in builder.steps], dtype=np.int64),
        rates=np.array(list(builder.rates), dtype=np.float64).reshape(len(builder.rates), len(channels), 2),
        boluses=np.array(list(builder.boluses), dtype=np.float64).reshape(len(builder.boluses), len(channels), 2),
    )


@dataclass(frozen=True, slots=True)
class _Panel:
    """A kind of step: from when to when since the last jump, whether the block is integrated, whether input runs."""

    since_h: float
    until_h: float
    driven: bool
    running: bool


def _rule(panel: _Panel, quadrature: Quadrature) -> tuple[FloatArray, FloatArray]:
    """Nodes and weights of a panel in hours since its start: Gauss-Legendre on log(soonest + time since the jump)."""
    if not panel.driven:
        return np.empty(0), np.empty(0)
    start = quadrature.soonest_h + panel.since_h
    folds = math.log((quadrature.soonest_h + panel.until_h) / start)
    count = quadrature.least_nodes + quadrature.nodes_per_fold * folds
    if panel.running:
        count += quadrature.fresh_nodes + quadrature.input_nodes_per_h * (panel.until_h - panel.since_h)
    else:
        count += quadrature.fresh_nodes * math.exp(-panel.since_h / quadrature.fresh_h)
    x, w = _gauss_legendre(math.ceil(count))
    growth = np.exp(folds * x)
    return start * (growth - 1.0), w * folds * start * growth


@functools.cache
def _gauss_legendre(count: int) -> tuple[FloatArray, FloatArray]:
    """Nodes and weights on [0, 1]."""
    x, w = np.polynomial.legendre.leggauss(count)
    return (x + 1.0) / 2.0, w / 2.0


class _Builder:
    """Walks the marks of a course once and collects steps and the distinct rows they refer to."""

    def __init__(
        self, inputs: Sequence[Input], channels: tuple[str, ...], times: FloatArray, quadrature: Quadrature
    ) -> None:
        self.inputs, self.channels, self.times, self.horizon_h = inputs, channels, times, quadrature.horizon_h
        self.panels: dict[_Panel, int] = {}
        self.rates: dict[tuple[float, ...], int] = {(0.0,) * (2 * len(channels)): 0}
        self.boluses: dict[tuple[float, ...], int] = {}
        self.steps: list[tuple[int, int, int, int]] = []

    def cut(self) -> None:
        if not self.inputs:
            return
        begins = np.array([given.start_h for given in self.inputs])
        ends = begins + np.array([given.duration_h for given in self.inputs])
        jumps, ended = np.unique([begins, ends]), np.sort(ends)
        horizons = [
            end + self.horizon_h
            for end in ended
            if not np.any((begins < end + self.horizon_h) & (end < ends))  # nothing given before the block is gone
        ]
        marks = np.array(_distinct([*jumps, *horizons, *self.times[self.times > jumps[0]]]))
        start, end = marks[:-1], marks[1:]
        asked = start < max(self.times, default=jumps[0])
        start, end = start[asked], end[asked]
        middle = ((start + end) / 2)[:, None]
        running = (begins < middle) & (middle < ends)
        at_start = (begins == ends) & (np.abs(begins - start[:, None]) <= _TIME_RESOLUTION_H)
        last_end = np.append(-np.inf, ended)[np.searchsorted(ended, start + _TIME_RESOLUTION_H, side="right")]
        runs = running.any(axis=1)
        driven = runs | (start - last_end < self.horizon_h - _TIME_RESOLUTION_H)
        jump = jumps[np.searchsorted(jumps, start + _TIME_RESOLUTION_H, side="right") - 1]
        time = np.searchsorted(self.times, end - _TIME_RESOLUTION_H)
        time[np.append(self.times, np.inf)[time] > end + _TIME_RESOLUTION_H] = -1
        for step in range(len(start)):
            since, until = float(start[step] - jump[step]), float(end[step] - jump[step])
            self.steps.append(
                (
                    self._panel(since, until, driven=bool(driven[step]), running=bool(runs[step])),
                    self._row(self.rates, running[step], per_hour=True) if runs[step] else 0,
                    self._row(self.boluses, at_start[step], per_hour=False) if at_start[step].any() else -1,
                    int(time[step]),
                )
            )

    def _panel(self, since: float, until: float, *, driven: bool, running: bool) -> int:
        """Times are rounded, so that the same hours after another session are the same panel."""
        if not driven:
            since, until = 0.0, until - since
        panel = _Panel(round(since, 9), round(until, 9), driven, running)
        return self.panels.setdefault(panel, len(self.panels))

    def _row(self, rows: dict[tuple[float, ...], int], which: NDArray[np.bool_], *, per_hour: bool) -> int:
        row = np.zeros((len(self.channels), 2))
        for given in (self.inputs[i] for i in np.flatnonzero(which).tolist()):
            amount = np.array([given.amount_mg, given.amount_mg_per_kg])
            row[self.channels.index(given.channel)] += amount / given.duration_h if per_hour else amount
        return rows.setdefault(tuple(row.ravel().tolist()), len(rows))


def _distinct(times: Sequence[float]) -> list[float]:
    """Sorted times; those closer than the resolution are one."""
    kept: list[float] = []
    for time in sorted(times):
        if not kept or time - kept[-1] > _TIME_RESOLUTION_H:
            kept.append(time)
    return kept
