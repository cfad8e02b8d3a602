"""`python -m afterglow.therapy.warm`: compile the kernel at set-up, so that nobody waits for it later."""

from __future__ import annotations

import sys

import numpy as np

from afterglow.therapy import kernel
from afterglow.therapy.course import course_table
from afterglow.therapy.kinetics import Input


def warm() -> str:
    """Compile the kernel, or load it where that was done before; the line that says which.

    Where no directory for compiled code can be written nothing fails: each process then compiles for itself.
    """
    dose = Input(channel="iv", start_h=0.0, duration_h=1.0, amount_mg=1.0)
    one = np.ones(1)
    kernel.simulate(
        course_table((dose,), channels=("iv",), sessions_h=(0.0,), times_h=one),
        rates_per_h=np.ones((1, 1)),
        amplitude=np.ones((1, 1, 1)),
        weight_kg=one,
        chain=np.ones((6, 1)),
        readout=np.ones((7, 1)),
    )
    directory, loaded = kernel.compiled_code()
    return describe(directory, loaded=loaded)


def describe(directory: str | None, *, loaded: bool) -> str:
    """One line on where the compiled kernel is.

    >>> describe("/var/cache/x", loaded=True)
    'The simulation kernel is compiled and kept in /var/cache/x.'
    """
    if directory is None:
        return (
            "The simulation kernel compiles, but no directory for compiled code can be written, so every process will "
            "compile it again (seconds). Set NUMBA_CACHE_DIR to a directory that can be written."
        )
    return f"The simulation kernel {'is' if loaded else 'was'} compiled and kept in {directory}."


if __name__ == "__main__":  # pragma: no cover - tested in a process of its own
    sys.stdout.write(warm() + "\n")
