"""Pages, papers and labels that figures were taken from, and the check that every reference between files resolves."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path

from afterglow.errors import InvalidData, Place
from afterglow.evidence.facts import pharmacology, pk_models, sections
from afterglow.evidence.ledger import claims
from afterglow.evidence.studies import meta_analyses, trials, variability
from afterglow.provenance import Source
from afterglow.records import read_record, unknown_name

_DATA = Path(__file__).parent / "data"


def sources() -> Mapping[str, Source]:
    """Every source by key; the keys are those of `Provenance.source`.

    >>> sources()["mur_apa"].read
    'APA 2013 meeting abstract of the same trial'
    """
    return _sources()


def source(key: str) -> Source:
    """One source.

    Raises: UnknownName with close matches.
    """
    found = _sources()
    if key not in found:
        raise unknown_name("No source has this key", key, found)
    return found[key]


def check_evidence() -> int:
    """Read every file and resolve every reference between them; files are otherwise read one by one when needed.

    Returns: the number of source references that were resolved.
    Raises: InvalidData naming the file and what does not resolve: a source, a study that shares patients, a kinetic
        model, or a fact id used in two sections.
    """
    resolved = 0
    for file, owner, keys in _references():
        for key in keys:
            if key not in _sources():
                raise InvalidData(f"{owner} cites an unknown source", observed=key, place=Place(file=file))
            resolved += 1
    studies = {found.key for found in trials()} | {found.key for found in meta_analyses()}
    for found in trials():
        for key in found.overlaps:
            if key not in studies:
                raise InvalidData(
                    f"{found.key} overlaps an unknown study", observed=key, place=Place(file=f"trials/{found.key}.yaml")
                )
    seen: dict[str, str] = {}
    for section in sections():
        for found_fact in pharmacology(section):
            place = Place(file=f"pharmacology/{section}.yaml")
            if found_fact.id in seen:
                raise InvalidData(f"{found_fact.id} is also a fact of {seen[found_fact.id]}", place=place)
            seen[found_fact.id] = section
            for model in found_fact.overlaps_models:
                if model not in pk_models():
                    raise InvalidData(f"{found_fact.id} names an unknown model", observed=model, place=place)
    return resolved


def _references() -> Iterator[tuple[str, str, tuple[str, ...]]]:
    """File, owner and source keys of every figure, arm, fact, parameter and piece of evidence."""
    for trial in trials():
        file = f"trials/{trial.key}.yaml"
        for arm in trial.arms:
            yield file, f"arm {arm.id}", arm.provenance.source
            if arm.baseline is not None:
                yield file, f"baseline of {arm.id}", arm.baseline.provenance.source
        for position, figure in enumerate(trial.figures, start=1):
            yield file, f"figures[{position}]", figure.provenance.source
    for review in meta_analyses():
        for position, figure in enumerate(review.figures, start=1):
            yield "meta_analyses.yaml", f"{review.key} figures[{position}]", figure.provenance.source
    for varies in variability():
        yield "variability.yaml", varies.id, varies.provenance.source
    for section in sections():
        for found in pharmacology(section):
            yield f"pharmacology/{section}.yaml", found.id, found.provenance.source
    for model in pk_models().values():
        yield "pharmacology/pk_models.yaml", model.id, (model.source,)
        for parameter in (*model.parameters.values(), *model.covariates.values(), *model.abstract_figures.values()):
            yield "pharmacology/pk_models.yaml", f"{model.id} {parameter.name}", parameter.provenance.source
    for claim in claims():
        for evidence in claim.evidence:
            yield "claims.yaml", claim.id, evidence.provenance.source


@cache
def _sources() -> Mapping[str, Source]:
    file = read_record(_DATA, "sources.yaml")
    return file.close(file.sources("sources"))
