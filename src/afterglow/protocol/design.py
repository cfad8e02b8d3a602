"""A planned trial: which arms are compared, on what, and how large it could be."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from enum import StrEnum

from afterglow.errors import MissingValue, OutOfRange, WrongOrder
from afterglow.quantities import HOURS_PER_DAY, format_duration

MOST_ARMS, MOST_SIZES, LARGEST_SIZE = 6, 12, 2_000
_SHORTEST_INTERVAL_H = HOURS_PER_DAY
LONGEST_ARM_NAME = 40


class Endpoint(StrEnum):
    """What the arms are compared on, at the last asked time."""

    CHANGE = "change"
    RESPONSE = "response"
    REMISSION = "remission"
    RELAPSE = "relapse"


@dataclass(frozen=True, slots=True, kw_only=True)
class MaintenanceArm:
    """Sessions after randomisation.

    Args:
        name: one line for people.
        every_h: interval between sessions, the first of them one interval after randomisation; None: no more sessions.
    """

    name: str
    every_h: float | None = None

    def __post_init__(self) -> None:
        if not self.name.isprintable() or not 0 < len(self.name.strip()) <= LONGEST_ARM_NAME:
            raise OutOfRange(
                "The name of an arm is refused",
                observed=f"{len(self.name)} characters",
                allowed=f"one line of up to {LONGEST_ARM_NAME} printable characters",
                about="name",
            )
        if self.every_h is not None and self.every_h < _SHORTEST_INTERVAL_H:
            raise OutOfRange(
                "An interval between maintenance sessions is refused",
                observed=format_duration(self.every_h),
                allowed=f"{format_duration(_SHORTEST_INTERVAL_H)} or more",
                about="every",
            )

    def sessions_h(self, after_h: float, until_h: float) -> tuple[float, ...]:
        """Starts of the maintenance sessions, h since the first session of the course.

        >>> MaintenanceArm(name="weekly", every_h=168.0).sessions_h(672.0, 1008.0)
        (840.0, 1008.0)
        """
        if self.every_h is None:
            return ()
        count = int((until_h - after_h) / self.every_h + 1e-9)
        return tuple(after_h + self.every_h * number for number in range(1, count + 1))


@dataclass(frozen=True, slots=True, kw_only=True)
class TrialDesign:
    """What `afterglow design` works out.

    Without `arms` the active arm is compared with the control. With `arms` everybody gets the sessions of `days`; who
    is at risk of relapse when `observe.relapse` judges it is randomised, and each arm is compared with the first one.

    Args:
        sizes: patients who start treatment for each arm.
        arms: ways of going on after randomisation.
        endpoint: None means relapse with arms, else the change of the score.
        alpha: chance of a false positive of the whole trial, two-sided, shared out among the comparisons.
    """

    sizes: tuple[int, ...]
    arms: tuple[MaintenanceArm, ...] = ()
    endpoint: Endpoint | None = None
    alpha: float = 0.05

    def __post_init__(self) -> None:
        _check_sizes(self.sizes)
        _check_arms(self.arms)
        if self.arms and self.endpoint not in {None, Endpoint.RELAPSE}:
            raise OutOfRange(
                "Arms that are randomised after response are compared on relapse",
                observed=str(self.endpoint),
                allowed=str(Endpoint.RELAPSE),
                about="endpoint",
            )
        if not self.arms and self.endpoint is Endpoint.RELAPSE:
            raise MissingValue(
                "Relapse is compared between arms that are randomised after response",
                next_step="Name design.arms, or another endpoint",
                about="endpoint",
            )
        if not 0 < self.alpha <= 0.5:
            raise OutOfRange(
                "design.alpha is refused",
                observed=f"{100 * self.alpha:g} %",
                allowed="over 0 % to 50 %",
                about="alpha",
            )

    @property
    def compared_on(self) -> Endpoint:
        """The endpoint, with its default."""
        return self.endpoint or (Endpoint.RELAPSE if self.arms else Endpoint.CHANGE)


def _check_sizes(sizes: tuple[int, ...]) -> None:
    if not 0 < len(sizes) <= MOST_SIZES:
        raise OutOfRange(
            "design.sizes is refused",
            observed=f"{len(sizes)} sizes",
            allowed=f"1 to {MOST_SIZES}",
            about="sizes",
        )
    for before, after in itertools.pairwise(sizes):
        if not before < after:
            raise WrongOrder("design.sizes must rise, each once", observed=f"{after} after {before}", about="sizes")


def _check_arms(arms: tuple[MaintenanceArm, ...]) -> None:
    if arms and not 2 <= len(arms) <= MOST_ARMS:
        raise OutOfRange(
            "design.arms is refused", observed=f"{len(arms)} arms", allowed=f"2 to {MOST_ARMS}", about="arms"
        )
    names = [arm.name for arm in arms]
    for number, name in enumerate(names):
        if name in names[:number]:
            raise WrongOrder("Two arms have the same name", observed=name, about="arms")
