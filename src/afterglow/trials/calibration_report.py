"""A calibration as a population file, and as the page that says what was learnt from what."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping

import numpy as np

from afterglow.markdown import table
from afterglow.therapy.calibrated import Learnt, read_calibrated, write_calibrated
from afterglow.therapy.population import BETWEEN, Population, prior_population, shifts_from, updated_population
from afterglow.therapy.setting import Condition
from afterglow.trials.calibrate import K_HAT_LIMIT, Calibration, calibrate
from afterglow.trials.likelihood import FitRow, class_priors, fit_rows

Fits = Mapping[Condition, Calibration]

VERSION = "0.4.0"
"""Of the population that this code makes; raised with every change of its numbers."""

_LEARNT = 0.9  # posterior spread under this part of the prior's counts as informed by the figures
_STRONG = 0.5  # correlations from here on are listed
_MOST = 3  # figures named for each value
_FAR = 4.0  # part of a chi-square from two standard errors on


def calibrate_all(*, seed: int = 0, progress: Callable[[float], None] | None = None) -> Fits:
    """Calibrate depression, then on top of it every condition with calibration figures of its own.

    The others have two or three figures each, so the normal approximation serves them.
    """
    tell = progress or (lambda _: None)
    fits = {Condition.DEPRESSION: calibrate(seed=seed, progress=lambda done: tell(0.85 * done))}
    base = read_calibrated(calibrated_text(fits), file="population.json")
    others = [c for c in Condition if c is not Condition.DEPRESSION and fit_rows(c)]
    for at, condition in enumerate(others):
        prior = updated_population(prior_population(condition), base)
        fits[condition] = calibrate(seed=seed, condition=condition, prior=prior, sample=False)
        tell(0.85 + 0.15 * (at + 1) / len(others))
    return fits


def calibrated_text(fits: Fits) -> str:
    """The population file of calibrations, see `therapy.calibrated`."""
    found = fits[Condition.DEPRESSION]
    chain = found.chain
    return write_calibrated(
        version=VERSION,
        learnt={str(condition): _learnt(condition, fit) for condition, fit in fits.items()},
        seed=found.seed,
        diagnostics={
            "k_hat": _rounded(found.k_hat),
            "sampler": "none" if chain is None else "Crank-Nicolson",
            "effective_draws": _rounded(found.effective if chain is None else chain.effective),
            "autocorrelation_steps": None if chain is None else _rounded(chain.autocorrelation),
            "accepted": None if chain is None else _rounded(chain.accepted),
            "surface_error": None if chain is None else _rounded(chain.surface_error),
            "skewness": None if chain is None else _rounded(chain.skewness),
            "normal_widths": None if chain is None else [_rounded(one) for one in chain.normal_widths],
            "chi_square": _rounded(found.chi_square),
            "figures": sum(not row.prior for fit in fits.values() for row in fit.rows),
            "class_priors": sum(row.prior for row in found.rows),
        },
        data_digest=data_digest(tuple(row for fit in fits.values() for row in fit.rows)),
    )


def _learnt(condition: Condition, fit: Calibration) -> Learnt:
    """What a fit learnt, from the declared prior: the fit's own prior may have been updated already."""
    prior = fit.prior
    before = np.diag(prior.doubt_sds) if prior.doubt_factor is None else prior.doubt_factor
    start = shifts_from(prior_population(condition), prior)
    return Learnt(names=prior.uncertain, shift=start + before @ fit.mean, factor=before @ fit.factor)


def _rounded(value: float) -> float | None:
    return float(f"{value:.3g}") if np.isfinite(value) else None


def data_digest(rows: tuple[FitRow, ...]) -> str:
    """Digest of what was fitted: every label, value and standard error.

    >>> len(data_digest(()))
    64
    """
    told = "\n".join(f"{row.label}|{row.value!r}|{row.se!r}|{row.n!r}" for row in rows)
    return hashlib.sha256(told.encode()).hexdigest()


def calibration_markdown(fits: Fits) -> str:
    """The page docs/validation/calibration.md of calibrations."""
    found = fits[Condition.DEPRESSION]
    file = read_calibrated(calibrated_text(fits), file="population.json")
    lines = [
        "# Calibration",
        "",
        (
            "What `afterglow calibrate` learnt about the population. A good fit proves nothing; what the model can "
            "predict stands in [validation](model.md). Structure and priors: decisions 0010 to 0012, 0018 and 0028."
        ),
        "",
        f"- Population {file.version}, seed {found.seed}, digest `{file.digest[:16]}`, data `{file.data_digest[:16]}`.",
        (
            f"- Depression: {sum(not r.prior for r in found.rows)} figures of role calibration, read at a page, and "
            f"{sum(r.prior for r in found.rows)} class-level results as declared priors."
        ),
        f"- {_method(found)}",
        f"- {_agreement(found)}",
        "",
        "## Every value of depression, before and after",
        "",
        (
            "On the scale where a value is normal. *Left* is the posterior spread as a part of the prior's: 1.00 is "
            "nothing learnt. Informed by: the rows that alone hold most information on it."
        ),
        "",
        *_values(found, updated_population(found.prior, file)),
        "",
        "## What is not identified",
        "",
        _not_identified(found),
        "",
        (
            "From active arms only the sum of drug and expectancy is identified; control arms part the two. How "
            "session frequency adds up (labile and consolidated half-life, consolidated share) is barely informed: no "
            "trial compared frequencies."
        ),
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
        "## Every figure of depression that was fitted",
        "",
        *table(_COLUMNS, (_figure(found, i) for i, row in enumerate(found.rows) if not row.prior)),
    ]
    for condition, fit in fits.items():
        if condition is not Condition.DEPRESSION:
            lines += ["", *_condition(condition, fit, updated_population(prior_population(condition), file))]
    without = ", ".join(c.words for c in Condition if c not in fits)
    lines += [
        "",
        f"## Without figures: {without}",
        "",
        "No calibration figure measures them: priors stand, and every output says so.",
    ]
    return "\n".join(lines) + "\n"


_COLUMNS = ["Figure", "Published", "Fitted", "Standard error", "z"]


def _method(found: Calibration) -> str:
    chain, k_hat = found.chain, found.k_hat
    if chain is None:
        how = "taken" if k_hat < K_HAT_LIMIT else "not tried"
        return f"Importance sampling from the normal approximation at the mode: k-hat {k_hat:.2f}, {how}."
    return (
        f"Importance sampling from the normal approximation at the mode was not to be trusted (k-hat {k_hat:.2f}, "
        f"limit {K_HAT_LIMIT:g}), so chains went on from there over a response surface of the predictions: "
        f"{len(chain.draws)} draws kept, {100 * chain.accepted:.0f} % accepted, longest autocorrelation "
        f"{chain.autocorrelation:.0f} steps, {chain.effective:.0f} independent draws of the slowest value; the surface "
        f"is {chain.surface_error:.2f} standard errors (root mean square) from exact predictions at draws of the "
        "chain. The k-hat speaks against the normal approximation at the mode and its weights. Shipped is another "
        "normal, with mean and covariance of the chain's draws: no value's draws are more skewed than "
        f"{chain.skewness:.2f}, and 90 % intervals of the fitted rows from it are {chain.normal_widths[0]:.2f} to "
        f"{chain.normal_widths[1]:.2f} times as wide as from the draws themselves. The draws are not shipped: a "
        "forecast weights and searches patients by the density of their values, which a normal has and a list of draws "
        "has not."
    )


def _agreement(found: Calibration) -> str:
    """Chi-square in words: alone, and together."""
    alone = [((row.value - p) / e) ** 2 for row, p, e in zip(found.rows, found.predicted, found.error, strict=True)]
    far = [k for k in np.argsort(alone)[::-1][:_MOST] if alone[k] > _FAR]
    learnt = float(np.sum(1.0 - found.sd**2))
    named = "; ".join(f"{found.rows[k].label} ({alone[k]:.1f})" for k in far)
    return (
        f"Chi-square of the {len(found.rows)} rows {sum(alone):.0f}, each row alone against its own standard error. "
        "That is no test: rows of one arm share patients, and a trial may differ from others. With what they share the "
        f"chi-square is {found.chi_square:.0f} on {len(found.rows)} rows, of which about {learnt:.0f} numbers were "
        f"learnt: {'no sign of misfit' if found.chi_square < len(found.rows) else 'more than rows alone explain'}."
        + (f" Largest single parts: {named}." if named else "")
    )


def _condition(condition: Condition, fit: Calibration, after: Population) -> Iterator[str]:
    yield from (f"## {condition.heading}", "", after.evidence, "")
    yield from table(_COLUMNS, (_figure(fit, i) for i in range(len(fit.rows))))
    own = [i for i, name in enumerate(fit.prior.uncertain) if name.removesuffix(BETWEEN) in fit.prior.own]
    yield ""
    yield from table(
        ["Own value", "Prior", "Posterior", "Left"],
        (
            [
                f"`{name}`",
                f"{fit.prior.parameters[name].typical:.3g}",
                f"{after.parameters[name].typical:.3g}",
                f"{fit.sd[i]:.2f}",
            ]
            for i in own
            for name in (fit.prior.uncertain[i],)
        ),
    )


def _values(found: Calibration, after: Population) -> Iterator[str]:
    prior, names = found.prior, found.prior.uncertain
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
                by or ("nothing" if found.sd[i] >= _LEARNT else "many rows, a little each"),
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
