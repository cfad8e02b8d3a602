"""The mechanism: dose -> exposure -> receptor block -> glutamate -> BDNF -> synapses -> relief; virtual patients."""

from afterglow.therapy.acute import AcuteEffects, simulate_acute
from afterglow.therapy.exposure import (
    Analyte,
    ExposureProfile,
    PkVariation,
    Site,
    exposure_models,
    simulate_exposure,
    simulate_exposures,
    typical,
)
from afterglow.therapy.population import Circumstances, Population, VirtualPatients, draw_patients, load_population
from afterglow.therapy.regimen import DoseAdministration, InfusionStep, Regimen, Route, repeat
from afterglow.therapy.relief import Execution, Relief, simulate_relief
from afterglow.therapy.setting import Arm, Condition, Control, Enrolment, Setting

__all__ = [
    "AcuteEffects",
    "Analyte",
    "Arm",
    "Circumstances",
    "Condition",
    "Control",
    "DoseAdministration",
    "Enrolment",
    "Execution",
    "ExposureProfile",
    "InfusionStep",
    "PkVariation",
    "Population",
    "Regimen",
    "Relief",
    "Route",
    "Setting",
    "Site",
    "VirtualPatients",
    "draw_patients",
    "exposure_models",
    "load_population",
    "repeat",
    "simulate_acute",
    "simulate_exposure",
    "simulate_exposures",
    "simulate_relief",
    "typical",
]
