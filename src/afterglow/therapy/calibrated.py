"""The calibrated population file: what calibration learnt about the priors, sealed by a digest of its own content.

The file is JSON. It holds shifts of the priors' typical values and spreads on the scales where these are normal, the
Cholesky factor of their covariance, and what the calibration rests on. It fits one version of the model and one text of
the priors; anything else is refused.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from afterglow.errors import Conflict, InvalidData, Place, UnreadableFile
from afterglow.therapy.kinetics import FloatArray

MODEL = "afterglow relief 2"
"""Version of the model's equations and parameter names; a population of another one is refused."""

PRIORS = Path(__file__).parent / "data" / "population.yaml"
SHIPPED = Path(__file__).parent / "data" / "population.json"
_FIRST = "depression"  # every file has it: the other conditions start from it
_AGAIN = "Make one with `afterglow calibrate --out FILE` and name it with --population, or install Afterglow again"
_DIGITS = 6  # written, so that the file does not depend on the last bits of a machine


@dataclass(frozen=True, slots=True, kw_only=True)
class Learnt:
    """What was learnt about the uncertain values of one condition.

    Args:
        names: of the values, in the order of `shift`.
        shift: (n,), of each from its prior, on the scale where it is normal.
        factor: (n, n), lower triangular, of the covariance of the shifts.
    """

    names: tuple[str, ...]
    shift: FloatArray
    factor: FloatArray

    def part(self, names: tuple[str, ...]) -> tuple[FloatArray, FloatArray]:
        """Shift and covariance of some of the values."""
        lacking = [name for name in names if name not in self.names]
        if lacking:
            raise InvalidData(
                "The population file says nothing of a value that the model needs",
                observed=", ".join(lacking),
                next_step=_AGAIN,
            )
        at = [self.names.index(name) for name in names]
        return self.shift[at], (self.factor @ self.factor.T)[np.ix_(at, at)]


@dataclass(frozen=True, slots=True, kw_only=True)
class Calibrated:
    """What a population file says.

    Args:
        version: of the population.
        learnt: by condition; one without an entry takes what it shares from depression.
        seed: of the calibration.
        diagnostics: of the sampler, by name.
        data_digest: of the figures and priors that were fitted.
        digest: of everything in the file.
    """

    version: str
    learnt: Mapping[str, Learnt]
    seed: int
    diagnostics: Mapping[str, Any]
    data_digest: str
    digest: str


def write_calibrated(
    *,
    version: str,
    learnt: Mapping[str, Learnt],
    seed: int,
    diagnostics: Mapping[str, Any],
    data_digest: str,
) -> str:
    """The text of a population file; see `Calibrated`.

    >>> one = Learnt(names=("a",), shift=np.zeros(1), factor=np.eye(1))
    >>> text = write_calibrated(version="1", learnt={"depression": one}, seed=0, diagnostics={}, data_digest="")
    >>> read_calibrated(text, file="population.json").learnt["depression"].names
    ('a',)
    """
    content = {
        "model": MODEL,
        "priors": priors_digest(),
        "version": version,
        "seed": seed,
        "data_digest": data_digest,
        "diagnostics": dict(diagnostics),
        "learnt": {
            condition: {
                "names": list(one.names),
                "shift": [round(float(x), _DIGITS) for x in one.shift],
                "factor": [[round(float(x), _DIGITS) for x in row[: i + 1]] for i, row in enumerate(one.factor)],
            }
            for condition, one in learnt.items()
        },
    }
    return json.dumps({**content, "digest": _digest(content)}, separators=(",", ":")) + "\n"


def read_calibrated(text: str, *, file: str) -> Calibrated:
    """A population file from its text.

    Raises: InvalidData if it is truncated, edited, or of another version of the model or its priors.
    """
    try:
        content = json.loads(text)
        digest = content.pop("digest")
        computed = _digest(content)
    except (ValueError, AttributeError, KeyError, TypeError, RecursionError):
        raise InvalidData(
            "The population file is truncated or not one", place=Place(file=file), next_step=_AGAIN
        ) from None
    if digest != computed:
        raise InvalidData(
            "The population file was edited or damaged: its digest is not that of its content",
            observed=f"{str(digest)[:12]} stated, {computed[:12]} of its content",
            place=Place(file=file),
            next_step=_AGAIN,
        )
    try:
        for key, expected in (("model", MODEL), ("priors", priors_digest())):
            if content[key] != expected:
                raise InvalidData(
                    f"The population file belongs to another version of the model ({key})",
                    observed=str(content[key])[:24],
                    allowed=expected[:24],
                    place=Place(file=file),
                    next_step=_AGAIN,
                )
        learnt = {condition: _learnt(one) for condition, one in content["learnt"].items()}
        return Calibrated(
            version=content["version"],
            learnt={_FIRST: learnt.pop(_FIRST), **learnt},
            seed=content["seed"],
            diagnostics=content["diagnostics"],
            data_digest=content["data_digest"],
            digest=digest,
        )
    except (AttributeError, IndexError, KeyError, TypeError, ValueError) as fault:
        raise InvalidData(
            "The population file is sealed, but not complete: a part is missing or has another form",
            observed=str(fault)[:60],
            allowed="what `afterglow calibrate` writes",
            place=Place(file=file),
            next_step=_AGAIN,
        ) from None


def load_calibrated(path: Path) -> Calibrated:
    """A population file from where it lies; the version of one that is not the shipped one tells its digest.

    Raises: UnreadableFile if it cannot be read or is no text; InvalidData as `read_calibrated`.

    >>> load_calibrated(SHIPPED).digest == shipped_calibration().digest
    True
    """
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, ValueError) as fault:
        raise UnreadableFile(
            "The population file cannot be read",
            observed=fault.strerror if isinstance(fault, OSError) else "it is no text in UTF-8",
            place=Place(file=path.name),
            next_step=_AGAIN,
        ) from None
    found = read_calibrated(text, file=path.name)
    return found if path == SHIPPED else replace(found, version=f"{found.version}+{found.digest[:8]}")


@cache
def shipped_calibration() -> Calibrated:
    """The population file of this package.

    >>> shipped_calibration().seed
    0
    """
    return load_calibrated(SHIPPED)


_chosen: list[Calibrated] = []


def choose_calibration(found: Calibrated) -> None:
    """Let this process rest on another population file.

    Call it before any population is loaded, which is kept: numbers of one process must not rest on two files.

    Args:
        found: what `load_calibrated` read; the one chosen before changes nothing.

    Raises: Conflict if another one was chosen before.
    """
    if _chosen and _chosen[0].digest != found.digest:
        raise Conflict(
            "Another population file is in use already",
            observed=found.digest[:12],
            allowed=_chosen[0].digest[:12],
            next_step="Start Afterglow again with the other file",
        )
    _chosen[:] = [found]


def calibration_in_use() -> Calibrated:
    """The chosen population file, else the shipped one.

    >>> calibration_in_use().version == shipped_calibration().version
    True
    """
    return _chosen[0] if _chosen else shipped_calibration()


@cache
def priors_digest() -> str:
    """Digest of the text of the priors.

    >>> len(priors_digest())
    64
    """
    return hashlib.sha256(PRIORS.read_bytes()).hexdigest()


def _learnt(content: Mapping[str, Any]) -> Learnt:
    names, rows = tuple(content["names"]), content["factor"]
    shift, factor = np.array(content["shift"], dtype=np.float64), np.zeros((len(names), len(names)))
    if shift.shape != (len(names),) or len(rows) != len(names):
        raise ValueError("names, shift and factor differ in length")
    for i, row in enumerate(rows):
        factor[i, : i + 1] = row
    if not (np.isfinite(shift).all() and np.isfinite(factor).all()):
        raise ValueError("shift and factor must be finite")
    return Learnt(names=names, shift=shift, factor=factor)


def _digest(content: Any) -> str:
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()
