"""One patient: prior, update on scores, relapse forecast, maintenance comparison: ForecastInput -> Forecast."""

from afterglow.forecast.answer import (
    DEFAULT_LIMIT,
    AfterglowStrip,
    EarlyNonResponse,
    Forecast,
    ForecastInput,
    ForecastWarning,
    IntervalChoice,
    Method,
    NextDue,
    PatientScore,
    RelapseForecast,
    RelapseRule,
    RelapseState,
    Trajectory,
    WarningCode,
)
from afterglow.forecast.predict import forecast

__all__ = [
    "DEFAULT_LIMIT",
    "AfterglowStrip",
    "EarlyNonResponse",
    "Forecast",
    "ForecastInput",
    "ForecastWarning",
    "IntervalChoice",
    "Method",
    "NextDue",
    "PatientScore",
    "RelapseForecast",
    "RelapseRule",
    "RelapseState",
    "Trajectory",
    "WarningCode",
    "forecast",
]
