"""Afterglow: from ketamine dose to relief, and how long it holds.

The public names of the library; each is loaded when it is first used, so that importing one costs little.

>>> from afterglow import read_protocol, replicate
>>> from afterglow import instrument, score_total, trial
>>> trial("murrough2013_ajp").arm("ket05").n
47
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

# Public name -> module that defines it.
_PUBLIC = {
    name: module
    for module, names in {
        "afterglow.quantities": "Dose DrugForm Rate parse_dose parse_duration_h parse_rate parse_weight_kg",
        "afterglow.errors": "AfterglowError InputError",
        "afterglow.scales": "Instrument ScaleAnswers ScaleScore instrument instruments is_remission is_response "
        "reliable_change scale_answers score score_total",
        "afterglow.evidence": "calibration_figures claims fact meta_analyses outcomes pk_model pool pool_outcome "
        "sources trial",
        "afterglow.therapy": "Condition Control DoseAdministration Regimen Route Setting Site load_population repeat "
        "simulate_acute simulate_exposure typical",
        "afterglow.protocol": "TrialProtocol parse_protocol read_course read_protocol write_course write_protocol",
        "afterglow.trials": "replicate simulate_cohort simulate_trajectory",
        "afterglow.usecases.designing": "design",
        "afterglow.usecases.modelling": "expose replicate_beside_published",
    }.items()
    for name in names.split()
}

__all__ = ["__version__", *sorted(_PUBLIC)]  # noqa: PLE0604  the names are made above

if TYPE_CHECKING:
    from afterglow.errors import AfterglowError, InputError
    from afterglow.evidence import (
        calibration_figures,
        claims,
        fact,
        meta_analyses,
        outcomes,
        pk_model,
        pool,
        pool_outcome,
        sources,
        trial,
    )
    from afterglow.protocol import (
        TrialProtocol,
        parse_protocol,
        read_course,
        read_protocol,
        write_course,
        write_protocol,
    )
    from afterglow.quantities import Dose, DrugForm, Rate, parse_dose, parse_duration_h, parse_rate, parse_weight_kg
    from afterglow.scales import (
        Instrument,
        ScaleAnswers,
        ScaleScore,
        instrument,
        instruments,
        is_remission,
        is_response,
        reliable_change,
        scale_answers,
        score,
        score_total,
    )
    from afterglow.therapy import (
        Condition,
        Control,
        DoseAdministration,
        Regimen,
        Route,
        Setting,
        Site,
        load_population,
        repeat,
        simulate_acute,
        simulate_exposure,
        typical,
    )
    from afterglow.trials import replicate, simulate_cohort, simulate_trajectory
    from afterglow.usecases.designing import design
    from afterglow.usecases.modelling import expose, replicate_beside_published


def __getattr__(name: str) -> Any:
    if name not in _PUBLIC:
        raise AttributeError(f"module 'afterglow' has no attribute {name!r}")
    return getattr(import_module(_PUBLIC[name]), name)


def __dir__() -> list[str]:
    return __all__
