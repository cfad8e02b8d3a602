"""What was given, how and when: the input of every exposure and relief computation."""

from __future__ import annotations

import itertools
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

from afterglow.errors import InputError, OutOfRange, WrongOrder
from afterglow.quantities import Dose, DrugForm, Rate, format_duration


class Route(StrEnum):
    """How a dose enters the body."""

    IV = "iv"
    INTRANASAL = "intranasal"
    IM = "im"
    SC = "sc"
    SUBLINGUAL = "sublingual"
    ORAL = "oral"


@dataclass(frozen=True, slots=True, kw_only=True)
class InfusionStep:
    """A constant rate held for `duration_h` hours."""

    rate: Rate
    duration_h: float

    def __post_init__(self) -> None:
        if not self.duration_h > 0:
            raise OutOfRange(
                "An infusion step lasts longer than nothing", observed=f"{self.duration_h:g} h", allowed="over 0 h"
            )

    def __str__(self) -> str:
        return f"{self.rate} for {format_duration(self.duration_h)}"


@dataclass(frozen=True, slots=True, kw_only=True)
class DoseAdministration:
    """One session's drug, free base.

    Args:
        at_h: start, in hours since the time origin of the course.
        drug: drug form given.
        route: how it was given.
        dose: total amount; None when `steps` says it.
        infusion_h: duration of a constant-rate infusion in h; 0 is a bolus and the only value for other routes than
            IV and SC.
        steps: rates in a row, each starting when the one before ends; replaces `dose`.
    """

    at_h: float
    drug: DrugForm
    route: Route
    dose: Dose | None = None
    infusion_h: float = 0.0
    steps: tuple[InfusionStep, ...] = ()

    def __post_init__(self) -> None:
        if (self.dose is None) == (not self.steps):
            raise InputError("A session has a dose, or infusion steps, and not both")
        infused = self.infusion_h > 0 or bool(self.steps)
        if infused and self.route not in {Route.IV, Route.SC}:
            raise InputError("Only an intravenous or subcutaneous dose is infused", observed=str(self.route))
        if not self.infusion_h >= 0:
            raise OutOfRange("An infusion cannot last less than nothing", observed=f"{self.infusion_h:g} h")

    @property
    def duration_h(self) -> float:
        """From the start to the end of giving, in h; 0 for a bolus, spray, injection, film or tablet."""
        return sum(step.duration_h for step in self.steps) if self.steps else self.infusion_h

    def amount_mg(self, weight_kg: float) -> float:
        """Total amount in mg of free base for a person of `weight_kg`.

        >>> session = DoseAdministration(at_h=0.0, drug=DrugForm.RACEMIC_KETAMINE, route=Route.IV,
        ...                              dose=Dose(mg_per_kg=0.5), infusion_h=2 / 3)
        >>> session.amount_mg(80.0)
        40.0
        """
        if self.dose is not None:
            return self.dose.amount_mg(weight_kg)
        return sum(step.rate.over(step.duration_h).amount_mg(weight_kg) for step in self.steps)

    def __str__(self) -> str:
        given = str(self.dose) if self.dose is not None else ", then ".join(map(str, self.steps))
        over = f" over {format_duration(self.infusion_h)}" if self.infusion_h > 0 else ""
        return f"{self.drug.replace('_', ' ')} {given} {self.route}{over}"


@dataclass(frozen=True, slots=True)
class Regimen:
    """Administrations in order of time; may be empty (no drug at all)."""

    administrations: tuple[DoseAdministration, ...] = ()

    def __post_init__(self) -> None:
        starts = [given.at_h for given in self.administrations]
        for before, after in itertools.pairwise(starts):
            if not before < after:
                raise WrongOrder(
                    "Sessions must follow one another in time",
                    observed=f"{format_duration(after)} after {format_duration(before)}",
                    next_step="Put the sessions in order and give each its own time",
                )

    @property
    def starts_h(self) -> tuple[float, ...]:
        """Start of each session, in h."""
        return tuple(given.at_h for given in self.administrations)


def repeat(given: DoseAdministration, at_h: Iterable[float]) -> Regimen:
    """The same administration at each of the times, in h.

    >>> session = DoseAdministration(at_h=0.0, drug=DrugForm.ESKETAMINE, route=Route.INTRANASAL, dose=Dose(mg=84.0))
    >>> repeat(session, [0.0, 72.0]).starts_h
    (0.0, 72.0)
    """
    return Regimen(
        tuple(
            DoseAdministration(
                at_h=start,
                drug=given.drug,
                route=given.route,
                dose=given.dose,
                infusion_h=given.infusion_h,
                steps=given.steps,
            )
            for start in at_h
        )
    )
