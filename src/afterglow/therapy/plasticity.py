"""From effect-site concentration to plasticity, without an ODE solver.

    u  = Ce / (Ce + C50)                      receptor block on interneurons -> glutamate surge, 0..1
    B' = k_B (u - B)                          BDNF signal
    L' = k_S B - (lambda_L + kappa) L         labile synaptic gain
    K' = kappa L - lambda_K K                 consolidated synaptic gain
    A  = L + K                                plasticity, the memory that relief reads out

Everything but u is linear, so (B, L, K) after a panel is their old value through the chain's propagator plus the
propagator's first column integrated against u. The propagator's entries are divided differences of exp, written so that
equal rates need no special case and nothing cancels. This module is the reference path in plain numpy;
`kernel` computes the same numbers compiled. All states are relative, for explanation, never a patient's measurement.
Source: the equations are this project's model, docs/explanation/model.md.
"""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np

from afterglow.errors import InputError
from afterglow.therapy.course import CourseTable
from afterglow.therapy.kinetics import FloatArray

_SERIES_BELOW = 0.25


@dataclass(frozen=True, slots=True, kw_only=True)
class Plasticity:
    """Parameters of the chain, one value a virtual patient; every array has shape (n_patients,).

    Args:
        half_block_ng_per_ml: effect-site S-ketamine giving half of the receptor block (C50_u).
        bdnf_rate_per_h: k_B.
        synaptic_gain_per_h: k_S; fixed, because scores identify only its ratio to A50.
        labile_loss_per_h: lambda_L.
        consolidation_per_h: kappa.
        consolidated_loss_per_h: lambda_K.
    """

    half_block_ng_per_ml: FloatArray
    bdnf_rate_per_h: FloatArray
    synaptic_gain_per_h: FloatArray
    labile_loss_per_h: FloatArray
    consolidation_per_h: FloatArray
    consolidated_loss_per_h: FloatArray

    def __post_init__(self) -> None:
        n = self.half_block_ng_per_ml.shape
        for field in fields(self):
            values = getattr(self, field.name)
            if values.shape != n or not np.all(values > 0) or not np.all(np.isfinite(values)):
                raise InputError(f"{field.name} must be positive and finite, one value a patient")


@dataclass(frozen=True, slots=True, kw_only=True)
class PlasticityStates:
    """States at the asked times, shape (n_patients, n_times) each; relative (gains: block-hours)."""

    times_h: FloatArray
    bdnf: FloatArray
    labile: FloatArray
    consolidated: FloatArray

    @property
    def total(self) -> FloatArray:
        """A = L + K."""
        return self.labile + self.consolidated


def simulate_plasticity(
    table: CourseTable, *, rates_per_h: FloatArray, amplitude: FloatArray, weight_kg: FloatArray, chain: Plasticity
) -> PlasticityStates:
    """States of the chain under a course, by the reference path.

    Args:
        table: the course.
        rates_per_h: (n_patients, n_modes), modes of the effect-site concentration.
        amplitude: (n_patients, n_channels, n_modes), ng/mL per mg put into a channel at once.
        weight_kg: (n_patients,).
        chain: the patients' parameters.

    Returns: zeros before the first input.
    """
    n, n_modes = rates_per_h.shape
    rates = np.ascontiguousarray(rates_per_h.T)
    into = np.ascontiguousarray(amplitude.transpose(1, 2, 0))
    steady = [_amounts(row, weight_kg, into) / rates for row in table.rates]
    boluses = [_amounts(row, weight_kg, into) for row in table.boluses]
    panels = [_panel(table, panel, rates, chain) for panel in range(len(table.panel_length_h))]
    out = np.zeros((3, len(table.times_h), n))
    modes, bdnf, labile, consolidated = np.zeros((n_modes, n)), np.zeros(n), np.zeros(n), np.zeros(n)
    for panel_id, rate_id, bolus_id, time_id in zip(
        table.step_panel, table.step_rates, table.step_bolus, table.step_time, strict=True
    ):
        panel = panels[panel_id]
        if bolus_id >= 0:
            modes = modes + boluses[bolus_id]
        bdnf, labile, consolidated = (
            panel.bb * bdnf,
            panel.lb * bdnf + panel.ll * labile,
            panel.kb * bdnf + panel.kl * labile + panel.kk * consolidated,
        )
        limit = steady[rate_id]
        fading = modes - limit
        total = _sum(limit)
        for node in panel.nodes:
            site = total + _sum(fading * node.decay)
            block = site / (site + chain.half_block_ng_per_ml)
            bdnf = bdnf + node.into_b * block
            labile = labile + node.into_l * block
            consolidated = consolidated + node.into_k * block
        modes = limit + fading * panel.decay
        if time_id >= 0:
            out[:, time_id] = bdnf, labile, consolidated
    bdnf_t, labile_t, consolidated_t = np.ascontiguousarray(out.transpose(0, 2, 1))
    return PlasticityStates(times_h=table.times_h, bdnf=bdnf_t, labile=labile_t, consolidated=consolidated_t)


@dataclass(frozen=True, slots=True)
class _Node:
    """Patient-wise factors of one node: fading of the modes until it, what the block at it adds to B, L and K."""

    decay: FloatArray
    into_b: FloatArray
    into_l: FloatArray
    into_k: FloatArray


@dataclass(frozen=True, slots=True)
class _Panel:
    """Patient-wise factors of one panel: fading of the modes, the chain's propagator, nodes."""

    decay: FloatArray
    nodes: list[_Node]
    bb: FloatArray
    lb: FloatArray
    ll: FloatArray
    kb: FloatArray
    kl: FloatArray
    kk: FloatArray


def _panel(table: CourseTable, panel: int, rates: FloatArray, chain: Plasticity) -> _Panel:
    length_h = table.panel_length_h[panel]
    nodes = []
    for node in range(table.panel_node[panel], table.panel_node[panel + 1]):
        bb, lb, _, kb, _, _ = _propagator(chain, length_h - table.node_h[node])
        scale = chain.bdnf_rate_per_h * table.node_weight_h[node]
        nodes.append(_Node(np.exp(-rates * table.node_h[node]), scale * bb, scale * lb, scale * kb))
    return _Panel(np.exp(-rates * length_h), nodes, *_propagator(chain, length_h))


def _propagator(chain: Plasticity, span_h: float) -> tuple[FloatArray, ...]:
    """Entries bb, lb, ll, kb, kl, kk of exp(span·M) for the chain B -> L -> K; all are non-negative."""
    a = chain.bdnf_rate_per_h
    b = chain.labile_loss_per_h + chain.consolidation_per_h
    c = chain.consolidated_loss_per_h
    fall_a, fall_b, fall_c = np.exp(-a * span_h), np.exp(-b * span_h), np.exp(-c * span_h)
    gain, consolidation = chain.synaptic_gain_per_h, chain.consolidation_per_h
    ab = _two(a, b, fall_a, fall_b, span_h)
    bc = _two(b, c, fall_b, fall_c, span_h)
    abc = _three(a, b, c, fall_a, fall_b, fall_c, span_h)
    return fall_a, gain * ab, fall_b, gain * consolidation * abc, consolidation * bc, fall_c


def _two(a: FloatArray, b: FloatArray, fall_a: FloatArray, fall_b: FloatArray, span_h: float) -> FloatArray:
    """(exp(-a s) - exp(-b s)) / (b - a), also for a = b: exp(-a s) convolved with exp(-b s)."""
    slow, fast = np.minimum(a, b), np.maximum(a, b)
    z = (fast - slow) * span_h
    near = z < _SERIES_BELOW
    x = np.where(near, z, 0.0)
    series = np.ones_like(x)
    for n in range(11, 1, -1):
        series = 1.0 - x * (1.0 / n) * series
    top = np.maximum(fall_a, fall_b)
    direct = (top - np.minimum(fall_a, fall_b)) / np.where(near, 1.0, fast - slow)
    return np.where(near, span_h * top * series, direct)


def _three(
    a: FloatArray,
    b: FloatArray,
    c: FloatArray,
    fall_a: FloatArray,
    fall_b: FloatArray,
    fall_c: FloatArray,
    span_h: float,
) -> FloatArray:
    """exp(-a s) * exp(-b s) * exp(-c s), convolved: the second divided difference of exp, symmetric in its rates."""
    low, high = np.minimum(np.minimum(a, b), c), np.maximum(np.maximum(a, b), c)
    middle = np.maximum(np.minimum(a, b), np.minimum(np.maximum(a, b), c))
    fall_low, fall_high = np.maximum(np.maximum(fall_a, fall_b), fall_c), np.minimum(np.minimum(fall_a, fall_b), fall_c)
    fall_middle = np.minimum(np.maximum(fall_a, fall_b), np.maximum(np.minimum(fall_a, fall_b), fall_c))
    gap = high - low
    near = gap * span_h < _SERIES_BELOW
    direct = (
        _two(low, middle, fall_low, fall_middle, span_h) - _two(middle, high, fall_middle, fall_high, span_h)
    ) / np.where(near, 1.0, gap)
    # Around the lowest rate: sum of the complete homogeneous polynomials h_n(p, q) (-s)^n / (n + 2)!.
    p, q = np.where(near, (middle - low) * span_h, 0.0), np.where(near, gap * span_h, 0.0)
    h, power = np.ones_like(p), np.ones_like(p)
    total, factorial, sign = np.full_like(p, 0.5), 2.0, 1.0
    for n in range(1, 11):
        power = power * p
        h = h * q + power
        factorial *= n + 2
        sign = -sign
        total = total + sign * h / factorial
    return np.where(near, span_h * span_h * fall_low * total, direct)


def _amounts(row: FloatArray, weight_kg: FloatArray, into: FloatArray) -> FloatArray:
    """(n_modes, n_patients): sum over channels of the amount of each patient times its amplitude."""
    total = np.zeros(into.shape[1:])
    for channel, (mg, mg_per_kg) in enumerate(row):
        if mg or mg_per_kg:
            total = total + (mg + mg_per_kg * weight_kg) * into[channel]
    return total


def _sum(modes: FloatArray) -> FloatArray:
    """Sum over modes in a fixed order, so that no batch changes a bit."""
    total: FloatArray = modes[0]
    for mode in modes[1:]:
        total = total + mode
    return total
