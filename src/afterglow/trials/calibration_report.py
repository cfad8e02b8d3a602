"""A calibration as a population file, and as the page that says what was learnt from what."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator

import numpy as np

from afterglow.markdown import table
from afterglow.therapy.calibrated import write_calibrated
from afterglow.therapy.population import BETWEEN, updated_population
from afterglow.therapy.calibrated import read_calibrated
from afterglow.trials.calibrate import K_HAT_LIMIT, Calibration
from afterglow.trials.likelihood import FitRow, class_priors

VERSION = "0.2.0"
"""Of the population that this code makes; raised with every change of its numbers."""

_LEARNT = 0.9  # posterior spread under this part of the prior's counts as informed by the figures
_STRONG = 0.5  # correlations from here on are listed
_MOST = 3  # figures named for each value


def calibrated_text(found: Calibration) -> str:
    """The population file of a calibration, see `therapy.calibrated`."""
    sds = found.prior.doubt_sds
    return write_calibrated(
        version=VERSION,
        names=found.prior.uncertain,
        shift=found.mean * sds,
        factor=found.factor * sds[:, None],
        seed=found.seed,
        diagnostics={
            "k_hat": [round(k, 3) for k in found.k_hat],
            "effective_draws": round(found.effective, 1),
            "draws_a_round": found.n_proposed,
            "figures": sum(not row.prior for row in found.rows),
            "class_priors": sum(row.prior for row in found.rows),
        },
        data_digest=data_digest(found.rows),
    )


def data_digest(rows: tuple[FitRow, ...]) -> str:
    """Digest of what was fitted: every label, value and standard error.

    >>> len(data_digest(()))
    64
    """
    told = "\n".join(f"{row.label}|{row.value!r}|{row.se!r}|{row.n!r}" for row in rows)
    return hashlib.sha256(told.encode()).hexdigest()


def calibration_markdown(found: Calibration) -> str:
    """The page docs/validation/calibration.md of a calibration."""
    file = read_calibrated(calibrated_text(found), file="population.json")
    k_hat = found.k_hat[-1] if found.k_hat else float("nan")
    trusted = "under" if k_hat < K_HAT_LIMIT else "NOT under"
    lines = [
        "# Calibration",
        "",
        "What `afterglow calibrate` learnt about the depression population. A good fit proves nothing; what the model can",
        "predict stands in [validation](model.md). Decisions: 0010 to 0012.",
        "",
        f"- Population {file.version}, seed {found.seed}, digest `{file.digest[:16]}`, data digest `{file.data_digest[:16]}`.",
        f"- {sum(not r.prior for r in found.rows)} figures of role calibration, read at a page, and "
        f"{sum(r.prior for r in found.rows)} class-level results as declared priors.",
        f"- Importance sampling from the normal approximation at the mode: {len(found.k_hat)} rounds of "
        f"{found.n_proposed} draws, k-hat by round {', '.join(f'{k:.2f}' for k in found.k_hat)} (the last is {trusted} "
        f"{K_HAT_LIMIT:g}), {found.effective:.0f} effective draws in the last. What is shipped is a normal with the moments "
        "of those draws.",
        f"- Chi-square of the rows {_chi_square(found):.0f} on {len(found.rows)} (each row alone; rows of one arm share "
        "patients).",
        "",
        "## Every value, before and after",
        "",
        "On the scale where a value is normal. *Left* is the posterior spread as a part of the prior's: 1.00 is nothing "
        "learnt. Informed by: the rows that alone hold most information on it.",
        "",
        *_values(found),
        "",
        "## What is not identified",
        "",
        _not_identified(found),
        "",
        "From active arms only drug and expectancy together are identified: see the correlations. How session frequency",
        "adds up (labile and consolidated half-life, consolidated share) is barely informed: no trial compared frequencies.",
        "",
        "## Values that go together",
        "",
        *_correlations(found),
        "",
        "## Class-level results as priors",
        "",
        "Each is widened by one trial's between-trial spread. Validation is repeated without them.",
        "",
        *table(
            ["Result", "As printed", "Overlap with our trials", "Fitted value"],
            [
                [f"`{row.trial}`", words, overlap, f"{100 * p:.0f} %" if _is_chance(row) else f"{p:.1f} points"]
                for (row, words, overlap) in class_priors()
                for p in (_predicted(found, row.label),)
            ],
        ),
        "",
        "## Every figure that was fitted",
        "",
        *table(
            ["Figure", "Published", "Fitted", "Standard error", "z"],
            (_figure(found, i) for i, row in enumerate(found.rows) if not row.prior),
        ),
    ]
    return "\n".join(lines) + "\n"


def _values(found: Calibration) -> Iterator[str]:
    prior, names = found.prior, found.prior.uncertain
    after = updated_population(prior, read_calibrated(calibrated_text(found), file="population.json"))
    rows = []
    for i, name in enumerate(names):
        base = name.removesuffix(BETWEEN)
        old, new = prior.parameters[base], after.parameters[base]
        before, now = (old.typical, new.typical) if base == name else (old.between_sd, new.between_sd)
        told = np.argsort(-found.informing[:, i], kind="stable")[:_MOST]
        by = "; ".join(found.rows[k].label for k in told if found.informing[k, i] > 0.02)
        rows.append(
            [
                f"`{name}`",
                f"{before:.3g}",
                f"{prior.doubt_sds[i]:.2g}",
                f"{now:.3g}",
                f"{prior.doubt_sds[i] * found.sd[i]:.2g}",
                f"{found.sd[i]:.2f}",
                by or "nothing",
            ]
        )
    headings = ["Value", "Prior", "Prior spread", "Posterior", "Posterior spread", "Left", "Informed by"]
    yield from table(headings, rows)


def _not_identified(found: Calibration) -> str:
    names = [f"`{name}`" for name, sd in zip(found.prior.uncertain, found.sd, strict=True) if sd >= _LEARNT]
    return f"The figures leave these where the prior put them ({_LEARNT:g} of its spread or more): {', '.join(names)}."


def _correlations(found: Calibration) -> list[str]:
    names, size = found.prior.uncertain, len(found.prior.uncertain)
    pairs = [(abs(found.correlation[i, j]), i, j) for i in range(size) for j in range(i)]
    strong = sorted((p for p in pairs if p[0] >= _STRONG), reverse=True)
    if not strong:
        return [f"No posterior correlation reaches {_STRONG:g}."]
    return [f"- `{names[i]}` and `{names[j]}`: {found.correlation[i, j]:.2f}" for _, i, j in strong]


def _figure(found: Calibration, i: int) -> list[str]:
    row, predicted, error = found.rows[i], float(found.predicted[i]), float(found.error[i])
    factor, unit = (100.0, " %") if _is_chance(row) else (1.0, "")
    z = (row.value - predicted) / error
    return [row.label, *(f"{factor * x:.1f}{unit}" for x in (row.value, predicted, error)), f"{z:.1f}"]


def _is_chance(row: FitRow) -> bool:
    return row.read.statistic.endswith("_pct")


def _predicted(found: Calibration, label: str) -> float:
    at = [i for i, row in enumerate(found.rows) if row.label == label]
    return float(found.predicted[at[0]]) if at else float("nan")


def _chi_square(found: Calibration) -> float:
    off = [(row.value - p) / e for row, p, e in zip(found.rows, found.predicted, found.error, strict=True)]
    return float(np.sum(np.square(off)))
