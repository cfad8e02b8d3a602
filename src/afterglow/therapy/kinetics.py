"""Linear compartment systems as sums of exponentials, one set of modes per virtual patient.

The concentration at the observed site after an amount put into a channel is a sum of decaying exponentials, so
sessions superpose exactly and no differential equation is solved. Two ways lead to the modes:

* `path_modes`: the system is a chain of mammillary models and first-order steps, written as poles and zeros
  (closed form, a few hundred nanoseconds per patient, no linear algebra);
* `system_modes`: any other system given as a matrix of rate constants. Flow out and back is allowed along a
  tree of compartments only: such a system can be made symmetric, so its rates are real. A circle of one-way
  flows can oscillate; it is refused, not approximated.

Rates closer than `PAIR_GAP` (relative) are moved apart symmetrically: the error is of second order in the gap, where
the plain formula would divide by zero. Measured, as a share of the peak: distinct rates 1e-11, two equal ones 5e-9 in
closed form and 1e-7 by matrix, three 1e-6.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import ArrayLike, NDArray

from afterglow.errors import InvalidData, NoModel, OutOfRange, UnknownName

FloatArray = NDArray[np.float64]
BoolArray = NDArray[np.bool_]

# Error of the split against rounding: gap^2 / 4 against 1e-16 / gap for two rates, gap^2 against 1e-16 / gap^2 for 3.
PAIR_GAP = 3e-5
TRIPLE_GAP = 1.5e-4


@dataclass(frozen=True, slots=True, kw_only=True)
class ExposureModes:
    """Impulse response of n patients: sum over modes of amplitude * exp(-rate * t), per channel.

    Args:
        rates_per_h: shape (n_patients, n_modes), positive.
        channels: names of the places where drug can enter.
        amplitude: shape (n_patients, n_channels, n_modes), ng/mL at the observed site per mg put into the channel.
    """

    rates_per_h: FloatArray
    channels: tuple[str, ...]
    amplitude: FloatArray

    def __post_init__(self) -> None:
        n, m = self.rates_per_h.shape
        if self.amplitude.shape != (n, len(self.channels), m):
            raise InvalidData(
                "Amplitudes do not match rates and channels",
                observed=str(self.amplitude.shape),
                allowed=str((n, len(self.channels), m)),
            )

    def channel(self, name: str) -> int:
        """Position of a channel.

        Raises: UnknownName listing the channels that exist.
        """
        if name not in self.channels:
            raise UnknownName("No such input channel", observed=name, allowed=", ".join(self.channels))
        return self.channels.index(name)


@dataclass(frozen=True, slots=True, kw_only=True)
class Input:
    """An amount put into a channel at a constant rate; a duration of 0 is a bolus.

    Args:
        channel: name of the channel.
        start_h: start, in h since the time origin of the course.
        duration_h: how long, in h.
        amount_mg: amount that does not depend on body weight.
        amount_mg_per_kg: amount per kg of body weight, added to it.
    """

    channel: str
    start_h: float
    duration_h: float = 0.0
    amount_mg: float = 0.0
    amount_mg_per_kg: float = 0.0

    def __post_init__(self) -> None:
        if not 0 <= self.duration_h < math.inf:
            raise OutOfRange("An input needs a duration of 0 h or more", observed=f"{self.duration_h:g} h")

    def amounts_mg(self, weight_kg: FloatArray) -> FloatArray:
        """Amount in mg for each patient, shape (n_patients,)."""
        return self.amount_mg + self.amount_mg_per_kg * weight_kg


@dataclass(frozen=True, slots=True, kw_only=True)
class Path:
    """A transfer function gain * prod(s + zero) / prod(s + pole), each of shape (n_patients,).

    Two paths share a pole (hence a mode) when they hold the very same array.
    """

    gain: FloatArray
    poles: tuple[FloatArray, ...]
    zeros: tuple[FloatArray, ...] = ()

    def then(self, following: Path) -> Path:
        """This path feeding into `following`."""
        return Path(
            gain=self.gain * following.gain,
            poles=self.poles + following.poles,
            zeros=self.zeros + following.zeros,
        )

    def scaled(self, factor: ArrayLike) -> Path:
        """The same path with its gain multiplied."""
        return replace(self, gain=self.gain * np.asarray(factor, dtype=np.float64))


def first_order(rate_per_h: FloatArray) -> Path:
    """A first-order step that loses nothing: absorption depot, transit compartment, effect site (ke0)."""
    return Path(gain=rate_per_h, poles=(rate_per_h,))


def mammillary(
    *,
    clearance_l_per_h: FloatArray,
    central_volume_l: FloatArray,
    peripherals: Sequence[tuple[FloatArray, FloatArray]],
) -> Path:
    """Amount put into the central compartment -> its concentration, for one to three compartments.

    Closed form: the poles are the roots of a polynomial of degree 1 to 3 (trigonometric solution polished by
    Newton steps), the zeros are the exit rates of the peripheral compartments.

    Args:
        clearance_l_per_h: elimination from the central compartment, shape (n_patients,).
        central_volume_l: shape (n_patients,).
        peripherals: flow in L/h and volume in L of up to two peripheral compartments.
    Returns: gain in 1/L, so mg in gives mg/L out.
    Raises: NoModel for more than two peripheral compartments (use `system_modes`).

    >>> one = np.ones(1)
    >>> path = mammillary(clearance_l_per_h=10 * one, central_volume_l=5 * one, peripherals=())
    >>> [float(pole[0]) for pole in path.poles]
    [2.0]
    """
    k10 = clearance_l_per_h / central_volume_l
    out = [flow / central_volume_l for flow, _ in peripherals]
    back = tuple(flow / volume for flow, volume in peripherals)
    poles: tuple[FloatArray, ...]
    match len(peripherals):
        case 0:
            poles = (k10,)
        case 1:
            poles = _quadratic_poles(k10 + out[0] + back[0], k10 * back[0])
        case 2:
            (k12, k13), (k21, k31) = out, back
            poles = _cubic_poles(
                k10 + k12 + k13 + k21 + k31,
                k10 * (k21 + k31) + k21 * k31 + k12 * k31 + k13 * k21,
                k10 * k21 * k31,
            )
        case more:
            raise NoModel("No closed form", observed=f"{more} peripheral compartments", allowed="0 to 2")
    return Path(gain=1.0 / central_volume_l, poles=poles, zeros=back)


def path_modes(channels: Mapping[str, Path]) -> ExposureModes:
    """Modes of several channels that end at one observed site.

    Each amplitude is the residue of the channel's transfer function at the mode's pole.

    Args:
        channels: from channel name to its whole path, mg in and ng/mL out.

    >>> half = np.array([0.5])
    >>> central = mammillary(clearance_l_per_h=half, central_volume_l=2 * half, peripherals=())
    >>> path_modes({"iv": central}).amplitude.tolist()
    [[[1.0]]]
    """
    distinct: list[FloatArray] = []  # a pole that a path holds twice is two modes
    for path in channels.values():
        for pole in path.poles:
            missing = _times(pole, path.poles) - _times(pole, distinct)
            distinct.extend([pole] * missing)
    rates = _moved_apart(np.stack(distinct))
    amplitude = np.empty((rates.shape[1], len(channels), len(distinct)))
    for c, path in enumerate(channels.values()):
        # A pole that this path lacks gets a zero that cancels it. Then a pole that was moved for the sake of another
        # path does no harm here: its partner moved the other way, and the two cancel to second order in the gap.
        zeros = [*path.zeros]
        for pole in distinct:
            zeros.extend([pole] * (_times(pole, distinct) - _times(pole, path.poles) - _times(pole, zeros)))
        for k in range(len(distinct)):
            residue = path.gain
            for zero in zeros:
                residue = residue * (zero - rates[k])
            for j in range(len(distinct)):
                if j != k:
                    residue = residue / (rates[j] - rates[k])
            amplitude[:, c, k] = residue
    return ExposureModes(rates_per_h=np.ascontiguousarray(rates.T), channels=tuple(channels), amplitude=amplitude)


def system_modes(
    rate_matrix_per_h: FloatArray, *, channels: Mapping[str, FloatArray], observed: FloatArray
) -> ExposureModes:
    """Modes of a linear system x' = M x, for systems without a closed form.

    Rates are eigenvalues of the symmetrised blocks of compartments that exchange drug; amplitudes are residues
    c adj(sI - M) b / prod(s + rate), the adjugate taken from a bordered determinant, so that near-equal rates do
    no harm.

    Args:
        rate_matrix_per_h: shape (n_patients, n, n); entry [i, j] is the rate constant from compartment j to i,
            the diagonal minus everything that leaves.
        channels: from name to the share of an amount that enters each compartment, shape (n,) or (n_patients, n).
        observed: weight of each compartment's amount in the observed value, shape (n,) or (n_patients, n).
    Raises: NoModel if compartments exchange drug otherwise than along a tree (rates might be complex).
        OutOfRange if something never leaves.

    >>> chain = np.array([[[-2.0, 0.0], [2.0, -1.0]]])
    >>> modes = system_modes(chain, channels={"depot": np.array([1.0, 0.0])}, observed=np.array([0.0, 1.0]))
    >>> modes.rates_per_h.tolist(), modes.amplitude.round(12).tolist()
    ([[2.0, 1.0]], [[[-2.0, 2.0]]])
    """
    n, size, _ = rate_matrix_per_h.shape
    flows = np.any(rate_matrix_per_h != 0, axis=0) & ~np.eye(size, dtype=bool)
    reach = _reachable(flows)
    rates = np.empty((size, n))
    for block in _exchanging(reach):
        rates[block] = -np.linalg.eigvalsh(_symmetric(rate_matrix_per_h, flows, block)).T
    if not np.all(rates > 0):
        raise OutOfRange(
            "Every compartment must be emptied in the end",
            observed=f"rate {rates.min():g} per h",
            allowed="positive rates",
        )
    exact, rates = rates, _moved_apart(rates)
    seen = np.broadcast_to(observed, (n, size))
    amplitude = np.zeros((n, len(channels), size))
    for c, share in enumerate(channels.values()):
        entered = np.broadcast_to(share, (n, size))
        # Compartments that the drug cannot reach, or that cannot be seen from the site, have no part in it; their poles
        # get zeros that cancel them, as in `path_modes`.
        reached = np.any(reach[:, np.any(entered != 0, axis=0)], axis=1)
        part = np.flatnonzero(reached & np.any(reach[np.any(seen != 0, axis=0), :], axis=0))
        zeros = np.delete(exact, part, axis=0)
        numerators = _numerators(rate_matrix_per_h[:, part[:, None], part], rates, entered[:, part], seen[:, part])
        for k in range(size):
            others = np.delete(rates, k, axis=0)
            amplitude[:, c, k] = numerators[k] * np.prod(zeros - rates[k], axis=0) / np.prod(others - rates[k], axis=0)
    return ExposureModes(rates_per_h=np.ascontiguousarray(rates.T), channels=tuple(channels), amplitude=amplitude)


def summed(parts: Sequence[ExposureModes]) -> ExposureModes:
    """The sum of several responses: analytes that are added, or channels of different drugs and routes.

    A channel that several parts have adds up; one that a part lacks contributes nothing there.
    """
    channels = tuple(dict.fromkeys(itertools.chain.from_iterable(part.channels for part in parts)))
    rates = np.concatenate([part.rates_per_h for part in parts], axis=1)
    amplitude = np.zeros((rates.shape[0], len(channels), rates.shape[1]))
    first = 0
    for part in parts:
        last = first + part.rates_per_h.shape[1]
        amplitude[:, [channels.index(name) for name in part.channels], first:last] = part.amplitude
        first = last
    return ExposureModes(rates_per_h=rates, channels=channels, amplitude=amplitude)


def lagged(modes: ExposureModes, rate_per_h: FloatArray) -> ExposureModes:
    """The same response behind one more first-order step that loses nothing: a slow effect site.

    Args:
        modes: n patients.
        rate_per_h: of the step, shape (n,); far from every rate of `modes`, as a step of days is.

    >>> one = ExposureModes(rates_per_h=np.array([[2.0]]), channels=("iv",), amplitude=np.array([[[10.0]]]))
    >>> slow = lagged(one, np.array([1.0]))
    >>> slow.rates_per_h.tolist(), slow.amplitude.tolist()
    ([[2.0, 1.0]], [[[-10.0, 10.0]]])
    """
    rate = rate_per_h[:, None]
    amplitude = modes.amplitude * (rate / (rate - modes.rates_per_h))[:, None, :]
    return ExposureModes(
        rates_per_h=np.concatenate([modes.rates_per_h, rate], axis=1),
        channels=modes.channels,
        amplitude=np.concatenate([amplitude, -amplitude.sum(axis=2, keepdims=True)], axis=2),
    )


def concentration(
    modes: ExposureModes, inputs: Iterable[Input], times_h: ArrayLike, *, weight_kg: FloatArray
) -> FloatArray:
    """Concentration at the observed site, by exact superposition; inputs may overlap and come in any order.

    The modal state is carried from one start or end of an input to the next, so the work grows with the number
    of times plus the number of inputs, not with their product.

    Args:
        modes: n patients.
        inputs: what is put in; a bolus counts from its own time on.
        times_h: shape (n_times,), in any order.
        weight_kg: shape (n_patients,), for amounts per kg.
    Returns: ng/mL, shape (n_patients, n_times); 0 before the first input.

    >>> one = ExposureModes(rates_per_h=np.array([[1.0]]), channels=("iv",), amplitude=np.array([[[10.0]]]))
    >>> bolus = Input(channel="iv", start_h=0.0, amount_mg=2.0)
    >>> concentration(one, [bolus], [-1.0, 0.0], weight_kg=np.array([70.0])).tolist()
    [[0.0, 20.0]]
    """
    times = np.asarray(times_h, dtype=np.float64)
    rates = modes.rates_per_h
    inputs = tuple(inputs)
    breaks = sorted({edge for given in inputs for edge in (given.start_h, given.start_h + given.duration_h)})
    result = np.zeros((rates.shape[0], times.size))
    state = running = np.zeros_like(rates)
    segment = np.searchsorted(breaks, times, side="right") - 1  # -1: before everything
    for position, now in enumerate(breaks):
        if position:
            state = _advanced(rates, state, running, now - breaks[position - 1])
        running = np.zeros_like(rates)
        for given in inputs:
            if given.start_h <= now and (given.start_h == now or now < given.start_h + given.duration_h):
                entering = modes.amplitude[:, modes.channel(given.channel)] * given.amounts_mg(weight_kg)[:, None]
                if given.duration_h == 0:
                    state = state + entering
                else:
                    running += entering / given.duration_h
        here = np.flatnonzero(segment == position)
        for mode in range(rates.shape[1] if here.size else 0):
            result[:, here] += _advanced(
                rates[:, mode, None], state[:, mode, None], running[:, mode, None], times[here] - now
            )
    return result


def area_under_curve(
    modes: ExposureModes, inputs: Iterable[Input], *, weight_kg: FloatArray, until_h: float = math.inf
) -> FloatArray:
    """Area under the concentration curve from the first input to `until_h`, in ng*h/mL, shape (n_patients,).

    >>> one = ExposureModes(rates_per_h=np.array([[0.5]]), channels=("iv",), amplitude=np.array([[[10.0]]]))
    >>> infusion = Input(channel="iv", start_h=0.0, duration_h=1.0, amount_mg=2.0)
    >>> area_under_curve(one, [infusion], weight_kg=np.array([70.0])).tolist()
    [40.0]
    """
    rates = modes.rates_per_h
    total = np.zeros(rates.shape[0])
    for given in inputs:
        amplitude = modes.amplitude[:, modes.channel(given.channel)]
        if until_h <= given.start_h:
            continue
        # From x' = u - rate * x: the area is what has entered less what is still there, over the rate.
        entered = min(1.0, (until_h - given.start_h) / given.duration_h) if given.duration_h else 1.0
        left = 0.0 if until_h == math.inf else _unit_response(rates, given, until_h)
        total += np.sum(amplitude / rates * (entered - left), axis=1) * given.amounts_mg(weight_kg)
    return total


def peak(modes: ExposureModes, inputs: Iterable[Input], *, weight_kg: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Highest concentration of each patient and its time; (0, first input) without drug.

    Looks at a grid (64 times between two starts or ends of inputs, 256 in the day after the last), then around
    the best time with ever finer steps, so the time is good to about 1e-5 h.

    Returns: ng/mL and h, shape (n_patients,) each.

    >>> one = ExposureModes(rates_per_h=np.array([[1.0]]), channels=("iv",), amplitude=np.array([[[10.0]]]))
    >>> infusion = Input(channel="iv", start_h=1.0, duration_h=0.5, amount_mg=2.0)
    >>> [float(x[0].round(4)) for x in peak(one, [infusion], weight_kg=np.array([70.0]))]
    [15.7388, 1.5]
    """
    inputs = tuple(inputs)
    breaks = sorted({edge for given in inputs for edge in (given.start_h, given.start_h + given.duration_h)})
    pieces = [np.linspace(a, b, 64) for a, b in itertools.pairwise([*breaks, breaks[-1] + 24.0])]
    pieces.append(np.linspace(breaks[-1], breaks[-1] + 24.0, 256))
    grid = np.unique(np.concatenate(pieces))
    highest, at = np.empty(len(weight_kg)), np.empty(len(weight_kg))
    for patient in range(len(weight_kg)):
        one = replace(
            modes,
            rates_per_h=modes.rates_per_h[[patient]],
            amplitude=modes.amplitude[[patient]],
        )
        times = grid
        for _ in range(4):
            level = concentration(one, inputs, times, weight_kg=weight_kg[[patient]])[0]
            best = int(np.argmax(level))
            highest[patient], at[patient] = level[best], times[best]
            around = times[max(best - 1, 0)], times[min(best + 1, len(times) - 1)]
            times = np.union1d(np.linspace(*around, 33), times[best])
    return highest, at


def _times(pole: FloatArray, among: Iterable[FloatArray]) -> int:
    return sum(other is pole for other in among)


def _unit_response(rates: FloatArray, given: Input, at_h: float) -> FloatArray:
    elapsed = at_h - given.start_h
    if given.duration_h == 0:
        return np.exp(-rates * elapsed)
    running = min(elapsed, given.duration_h)
    return -np.expm1(-rates * running) / (rates * given.duration_h) * np.exp(-rates * (elapsed - running))


def _advanced(rates: FloatArray, state: FloatArray, running: FloatArray, elapsed_h: float | FloatArray) -> FloatArray:
    """Modal state after `elapsed_h`, with a constant input of `running` per hour."""
    return state * np.exp(-rates * elapsed_h) - running * np.expm1(-rates * elapsed_h) / rates


def _quadratic_poles(total: FloatArray, product: FloatArray) -> tuple[FloatArray, FloatArray]:
    larger = 0.5 * (total + np.sqrt(np.maximum(total * total - 4.0 * product, 0.0)))
    return larger, product / larger


def _cubic_poles(a: FloatArray, b: FloatArray, c: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Roots of x^3 - a x^2 + b x - c, largest first; all are real and positive for a mammillary model."""
    q = np.maximum((a * a - 3.0 * b) / 9.0, np.finfo(np.float64).tiny)
    r = (a * (2.0 * a * a - 9.0 * b) + 27.0 * c) / 54.0
    root = np.sqrt(q)
    angle = np.arccos(np.clip(r / (q * root), -1.0, 1.0))
    largest, middle, smallest = (
        _polished(a / 3.0 + 2.0 * root * np.cos((angle - shift) / 3.0), a, b, c)
        for shift in (0.0, 2.0 * math.pi, 4.0 * math.pi)
    )
    return largest, middle, smallest


def _polished(x: FloatArray, a: FloatArray, b: FloatArray, c: FloatArray) -> FloatArray:
    """Two Newton steps: the trigonometric root is good to 1e-15 of the largest one, the smallest needs better."""
    for _ in range(2):
        slope = (3.0 * x - 2.0 * a) * x + b
        step = (((x - a) * x + b) * x - c) / np.where(slope == 0.0, 1.0, slope)
        x = x - np.clip(step, -1e-6 * x, 1e-6 * x)
    return x


def _moved_apart(rates: FloatArray) -> FloatArray:
    """Rates of shape (n_modes, n_patients) with relative gaps of at least `PAIR_GAP`, moved as little as possible.

    Isotonic regression of the logarithms (less their minimum spacing) keeps the mean of each crowded group,
    so the response changes only in second order of the gap.
    """
    ordered = np.sort(rates, axis=0)
    pairs = np.any(ordered[1:] - ordered[:-1] < PAIR_GAP * ordered[1:], axis=0)
    triples = np.any(ordered[2:] - ordered[:-2] < 2.0 * TRIPLE_GAP * ordered[2:], axis=0)
    crowded = pairs | triples
    if not crowded.any():
        return rates
    order = np.argsort(rates[:, crowded], axis=0, kind="stable")
    size = len(rates)
    spacing = np.arange(size)[:, None] * np.where(triples[crowded], TRIPLE_GAP, PAIR_GAP)
    wanted = np.log(np.take_along_axis(rates[:, crowded], order, axis=0)) - spacing
    fitted = np.stack(
        [
            np.max(
                [np.min([wanted[j : k + 1].mean(axis=0) for k in range(i, size)], axis=0) for j in range(i + 1)], axis=0
            )
            for i in range(size)
        ]
    )
    moved = rates.copy()
    separate = np.empty_like(fitted)
    np.put_along_axis(separate, order, np.exp(fitted + spacing), axis=0)
    moved[:, crowded] = separate
    return moved


def _reachable(flows: BoolArray) -> BoolArray:
    """Entry [i, j]: drug in compartment j can come to i."""
    reach = flows | np.eye(len(flows), dtype=bool)
    for _ in range(len(flows).bit_length()):
        reach = reach @ reach
    return reach


def _exchanging(reach: BoolArray) -> list[NDArray[np.intp]]:
    """Groups of compartments between which drug can go out and come back."""
    mutual = reach & reach.T
    return [np.flatnonzero(row) for i, row in enumerate(mutual) if np.flatnonzero(row)[0] == i]


def _symmetric(matrix: FloatArray, flows: BoolArray, block: NDArray[np.intp]) -> FloatArray:
    """A symmetric matrix with the eigenvalues of the block; exists when the exchange runs along a tree."""
    inside = flows[np.ix_(block, block)]
    if not np.array_equal(inside, inside.T) or inside.sum() != 2 * (len(block) - 1):
        raise NoModel(
            "Compartments that drug can circle through have no real rates for certain",
            observed=f"compartments {', '.join(map(str, block))}",
            allowed="exchange out and back along a tree of compartments",
        )
    part = matrix[:, block[:, None], block]
    product = part * np.swapaxes(part, 1, 2)
    diagonal = np.eye(len(block), dtype=bool)
    return np.where(diagonal, part, np.sqrt(np.maximum(product, 0.0)))


def _numerators(matrix: FloatArray, rates: FloatArray, entered: FloatArray, seen: FloatArray) -> FloatArray:
    """Seen * adjugate(-rate - matrix) * entered at each rate, as a bordered determinant: regular at an eigenvalue."""
    n, size = entered.shape
    bordered = np.zeros((n, size + 1, size + 1))
    bordered[:, :size, size] = entered
    bordered[:, size, :size] = seen
    numerators = np.empty_like(rates)
    for k, rate in enumerate(rates):
        bordered[:, :size, :size] = -matrix - rate[:, None, None] * np.eye(size)
        numerators[k] = -np.linalg.det(bordered)
    return numerators
