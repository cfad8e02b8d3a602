"""The dose: what is ordered, what is prepared from weight and concentration, and the second check; whole micrograms.

1 mg/mL is 1 microgram per microlitre, so amounts and volumes stay whole numbers.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from datetime import datetime
from typing import TypeVar

from afterglow.clinic.acting import CLINICAL, Act, Role, login
from afterglow.clinic.policy import SitePolicy
from afterglow.clinic.resistance import Indication
from afterglow.clinic.rulebook import Delivery
from afterglow.clinic.typed import typed
from afterglow.errors import Conflict, GateClosed, MissingValue, OutOfRange, SecondPerson
from afterglow.quantities import HOURS_PER_MINUTE, Dose, DrugForm, Rate
from afterglow.therapy.exposure import check_doses, dose_guardrails
from afterglow.therapy.regimen import DoseAdministration, InfusionStep, Regimen

DEVICE_UG = 28_000  # Source: spravato_ifu, 28 mg a device
DEVICE_DOSES_MG = (28.0, 56.0, 84.0)  # one to three devices
LEAST_UG = 10  # Assumption: 1 microlitre of 10 mg/mL, the weakest vial; a dose below it is a typing slip
HEAVIEST_KG = 350.0  # Assumption: an adult's scale; outside it a typing slip
LONGEST_MIN = 14 * 24 * 60.0  # Assumption: two weeks; beyond it a typing slip
_UG_PER_MG = 1000
_INJECTED = (Delivery.IV, Delivery.IM, Delivery.SC)
O = TypeVar("O", "DoseOrder", "RateChange")


@typed
@dataclass(frozen=True, slots=True, kw_only=True)
class RateStep:
    """One stretch of a long infusion at a constant rate, free base; a rate of 0 is a pause.

    Raises: OutOfRange.
    """

    mg_per_h: float
    hours: float

    def __post_init__(self) -> None:
        _check_number(self.hours, "The length of a step", "h")
        _check_number(self.mg_per_h, "The rate of a step", "mg/h", zero=True)


@typed
@dataclass(frozen=True, slots=True, kw_only=True)
class DoseOrder:
    """What a prescriber ordered; exactly one of the three amounts is set, and it is no dose of 0.

    Args:
        drug: always free base.
        dose_mg, dose_mg_per_kg: the whole dose.
        steps: rates of an infusion of hours or days.
        infusion_min: length of an IV infusion; None for every other delivery but a subcutaneous infusion.
        second_signature_by: login of a second prescriber, where the dose asks for one.
    Raises: MissingValue, OutOfRange for a combination that cannot be given; SecondPerson for one who signs twice.
    """

    id: str
    delivery: Delivery
    drug: DrugForm
    indication: Indication
    dose_mg: float | None = None
    dose_mg_per_kg: float | None = None
    steps: tuple[RateStep, ...] = ()
    infusion_min: float | None = None
    ordered_by: str
    ordered_at: datetime
    second_signature_by: str | None = None

    def __post_init__(self) -> None:
        self._check_numbers()
        amounts = [self.dose_mg is not None, self.dose_mg_per_kg is not None, bool(self.steps)]
        if sum(amounts) != 1:
            raise MissingValue(
                "An order has one amount",
                observed=f"{sum(amounts)} amounts",
                allowed="mg, mg/kg or steps",
                next_step="Give one and leave the others empty",
            )
        _check_least(self.amount_ug(HEAVIEST_KG), LEAST_UG, "mg")
        if self.steps and self.infusion_min is not None and not math.isclose(self.infusion_min, self.minutes):
            raise OutOfRange(
                "The steps of the order contradict its length",
                observed=f"steps of {self.minutes:g} min, length {self.infusion_min:g} min",
                allowed="one length",
                next_step="Leave the length out: the steps say it",
                about="infusion_min",
            )
        infused = self.infusion_min is not None or bool(self.steps)
        if infused and self.delivery not in {Delivery.IV, Delivery.SC}:
            raise OutOfRange("Only an IV or SC dose is infused", observed=self.delivery.words)
        if self.delivery is Delivery.IV and not infused:
            raise MissingValue("An IV order needs the length of its infusion", next_step="Say over how many minutes")
        if self.minutes > LONGEST_MIN:
            raise OutOfRange(
                "The length of an infusion is refused",
                observed=f"{self.minutes:g} min",
                allowed=f"up to {LONGEST_MIN:g} min",
            )
        nasal = self.drug is DrugForm.ESKETAMINE and self.dose_mg in DEVICE_DOSES_MG
        if self.delivery is Delivery.ESK and not nasal:
            raise OutOfRange(
                "Intranasal esketamine comes in devices of 28 mg",
                observed=f"{self.dose_mg} mg of {self.drug.replace('_', ' ')}",
                allowed="28, 56 or 84 mg of esketamine",
            )
        for name in ("ordered_by", "second_signature_by"):
            signed = getattr(self, name)
            object.__setattr__(self, name, None if signed is None else login(signed))
        if self.second_signature_by == self.ordered_by:
            raise SecondPerson("An order is signed by two people", observed="the same login", rule="S019")

    def _check_numbers(self) -> None:
        for value, what, unit in (
            (self.dose_mg, "The dose", "mg"),
            (self.dose_mg_per_kg, "The dose", "mg/kg"),
            (self.infusion_min, "The length of an infusion", "min"),
        ):
            if value is not None:
                _check_number(value, what, unit)

    @property
    def minutes(self) -> float:
        """How long giving is planned to take; 0 for all but infusions."""
        if self.steps:
            return sum(step.hours for step in self.steps) / HOURS_PER_MINUTE
        return self.infusion_min or 0.0

    def amount_ug(self, weight_kg: float | None) -> int:
        """The whole dose in micrograms.

        Raises: MissingValue if it is per kg and there is no weight.
        """
        if self.dose_mg is not None:
            return round(self.dose_mg * _UG_PER_MG)
        if self.steps:
            return _steps_ug(self.steps)
        if weight_kg is None:
            raise MissingValue("A dose per kg needs a weight", next_step="Weigh the patient")
        return round((self.dose_mg_per_kg or 0.0) * weight_kg * _UG_PER_MG)


@typed
@dataclass(frozen=True, slots=True, kw_only=True)
class RateChange:
    """New rates of an infusion that runs, as a prescriber ordered them; they hold once the pump was set and checked.

    Args:
        id: also of the order that it makes: what ran until then, and these steps.
        steps: from when the pump is set, to the end.
        ran_h: how long drug had run when it was ordered.
        second_signature_by: login of a second prescriber, where the dose asks for one.
        set_by, set_at: who set the pump, and when; None while it waits.
        checked_by: login of who computed rate and rest independently.
    Raises: MissingValue without a step that gives drug.
    """

    id: str
    steps: tuple[RateStep, ...]
    ran_h: float
    ordered_by: str
    ordered_at: datetime
    reason: str
    second_signature_by: str | None = None
    set_by: str | None = None
    set_at: datetime | None = None
    checked_by: str | None = None

    def __post_init__(self) -> None:
        if not self.rest_ug:
            raise MissingValue(
                "A new rate gives drug",
                observed=f"{len(self.steps)} steps, 0 mg",
                allowed="a step over 0 mg/h",
                next_step="Hold or stop the dose to give none",
            )

    @property
    def rest_ug(self) -> int:
        """What is given from the setting of the pump to the end."""
        return _steps_ug(self.steps)


@typed
@dataclass(frozen=True, slots=True, kw_only=True)
class BodyWeight:
    """A weight as measured."""

    kg: float
    measured_at: datetime

    def __post_init__(self) -> None:
        if not 20 <= self.kg <= HEAVIEST_KG:
            raise OutOfRange(
                "The weight is refused", observed=f"{self.kg:g} kg", allowed="20 to 350 kg", about="weight_kg"
            )


@typed
@dataclass(frozen=True, slots=True, kw_only=True)
class PreparedDose:
    """What was drawn up for one session.

    Args:
        amount_ug: free base.
        concentration_ug_per_ul: of the vial (the same number as mg/mL); None for devices, films and tablets.
        volume_ul: to draw; None for devices, films and tablets.
        weighed_at: when the weight was measured; None without one.
        diluted: whether it is diluted before it is given.
        devices: nasal devices; 0 for the others.
        warnings: doses outside the usual range, in words.
    """

    order_id: str
    amount_ug: int
    concentration_ug_per_ul: int | None
    volume_ul: int | None
    diluted: bool
    devices: int
    weight_kg: float | None
    weighed_at: datetime | None = None
    minutes: float
    warnings: tuple[str, ...]
    prepared_by: str
    prepared_at: datetime

    def __post_init__(self) -> None:
        _check_some(self)

    @property
    def mg(self) -> float:
        """The dose in mg."""
        return self.amount_ug / _UG_PER_MG

    @property
    def mg_per_kg(self) -> float | None:
        """The dose per weight; None without a weight."""
        return None if self.weight_kg is None else self.mg / self.weight_kg

    @property
    def weight(self) -> BodyWeight | None:
        """The weight it was computed from."""
        if self.weight_kg is None or self.weighed_at is None:
            return None
        return BodyWeight(kg=self.weight_kg, measured_at=self.weighed_at)


@typed
@dataclass(frozen=True, slots=True, kw_only=True)
class SecondCheck:
    """Another person computed the same dose."""

    order_id: str
    amount_ug: int
    volume_ul: int | None
    concentration_ug_per_ul: int | None
    by: str
    at: datetime

    def __post_init__(self) -> None:
        _check_some(self)


def sign_second(order: O, act: Act) -> O:
    """The order, of a dose or of a new rate, with a second prescriber's signature.

    Raises: NotPermitted, SecondPerson; WrongOrder before the order was made.

    >>> from datetime import UTC
    >>> now = datetime(2026, 1, 5, 9, tzinfo=UTC)
    >>> order = DoseOrder(id="o1", delivery=Delivery.PO, drug=DrugForm.RACEMIC_KETAMINE, indication=Indication.TRD,
    ...                   dose_mg=50.0, ordered_by="dr1", ordered_at=now)
    >>> sign_second(order, Act(by="dr2", roles=(Role.PRESCRIBER,), at=now)).second_signature_by
    'dr2'
    """
    act.check_role(Role.PRESCRIBER, what="A second signature")
    act.check_after(order.ordered_at, what="A second signature")
    act.check_other_than(order.ordered_by, what="A second signature")
    return replace(order, second_signature_by=act.by)


def prepare_dose(
    order: DoseOrder,
    act: Act,
    *,
    policy: SitePolicy,
    weight: BodyWeight | None = None,
    concentration_mg_per_ml: int | None = None,
    diluted: bool = False,
) -> PreparedDose:
    """Amount and volume of an order for a weight and a vial, inside the guardrails of the drug and route.

    Args:
        act: who, when, why.
        diluted: before it is given.
        order: what the prescriber ordered.
        policy: in force; of the session where there is one.
        weight: needed for every injected dose.
        concentration_mg_per_ml: of the vial; needed for every injected dose.
    Raises: NotPermitted, MissingValue, OutOfRange (guardrail with its source, or an unknown concentration);
        WrongOrder before the order or the weighing.

    >>> from datetime import UTC
    >>> from afterglow.clinic.policy import demo_policy
    >>> now = datetime(2026, 1, 5, 9, tzinfo=UTC)
    >>> order = DoseOrder(id="o1", delivery=Delivery.IV, drug=DrugForm.RACEMIC_KETAMINE, indication=Indication.TRD,
    ...                   dose_mg_per_kg=0.5, infusion_min=40, ordered_by="dr1", ordered_at=now)
    >>> act = Act(by="rn1", roles=(Role.NURSE,), at=now)
    >>> dose = prepare_dose(order, act, policy=demo_policy(), weight=BodyWeight(kg=80, measured_at=now),
    ...                     concentration_mg_per_ml=50, diluted=True)
    >>> dose.amount_ug, dose.volume_ul
    (40000, 800)
    """
    act.check_role(Role.NURSE, Role.PRESCRIBER, what="Preparing a dose")
    act.check_after(order.ordered_at, what="Preparing a dose")
    if weight is not None:
        act.check_after(weight.measured_at, what="Preparing a dose from this weight")
    weight_kg = None if weight is None else weight.kg
    injected = order.delivery in _INJECTED
    if injected and weight_kg is None:
        raise MissingValue("An injected dose needs a weight", next_step="Weigh the patient")
    concentration = _concentration(order, concentration_mg_per_ml, policy)
    amount_ug = order.amount_ug(weight_kg)
    if concentration is not None:  # what a syringe holds is whole microlitres, so the dose is too
        amount_ug = round(amount_ug / concentration) * concentration
    return PreparedDose(
        order_id=order.id,
        amount_ug=amount_ug,
        concentration_ug_per_ul=concentration,
        volume_ul=None if concentration is None else amount_ug // concentration,
        diluted=diluted,
        devices=amount_ug // DEVICE_UG if order.delivery is Delivery.ESK else 0,
        weight_kg=weight_kg,
        weighed_at=None if weight is None else weight.measured_at,
        minutes=order.minutes,
        warnings=guard_dose(order, weight_kg),
        prepared_by=act.by,
        prepared_at=act.at,
    )


def check_dose(
    prepared: PreparedDose,
    act: Act,
    *,
    policy: SitePolicy,
    amount_ug: int,
    volume_ul: int | None = None,
    concentration_ug_per_ul: int | None = None,
) -> SecondCheck:
    """A second person's own computation, compared with what was prepared.

    Raises: NotPermitted; SecondPerson for the same login; GateClosed where the two differ.

    >>> from afterglow.clinic.examples import POLICY, infusion_of_hours, nurse
    >>> dose = infusion_of_hours().prepared
    >>> found = {"amount_ug": 48_000, "volume_ul": 960, "concentration_ug_per_ul": 50}
    >>> check_dose(dose, nurse(by="rn2"), policy=POLICY, **found).by
    'rn2'
    """
    act.check_role(*CLINICAL, what="The second check")
    act.check_other_than(prepared.prepared_by, what="The second check")
    act.check_after(prepared.prepared_at, what="The second check")
    check = SecondCheck(
        order_id=prepared.order_id,
        amount_ug=amount_ug,
        volume_ul=volume_ul,
        concentration_ug_per_ul=concentration_ug_per_ul,
        by=act.by,
        at=act.at,
    )
    _check_same(prepared, check, policy)
    return check


def check_second(prepared: PreparedDose | None, check: SecondCheck | None, policy: SitePolicy) -> PreparedDose:
    """The prepared dose, if it may be given: the check is of this very amount, volume and concentration.

    Raises: GateClosed if nothing is prepared or the two differ; SecondPerson without the second check that the policy
        asks for, or with one by the person who prepared it.

    >>> from afterglow.clinic.policy import demo_policy
    >>> check_second(None, None, demo_policy())
    Traceback (most recent call last):
    ...
    afterglow.errors.GateClosed: No dose is prepared. Prepare it from the order.
    """
    if prepared is None:
        raise GateClosed("No dose is prepared", rule="dose", next_step="Prepare it from the order")
    if check is None:
        if policy.flag("dosing.second_check_all"):
            raise SecondPerson(
                "The dose has no second check", rule="second_check", next_step="Another login computes it again"
            )
        return prepared
    if login(check.by) == login(prepared.prepared_by):
        raise SecondPerson("The second check is by who prepared the dose", rule="second_check", allowed="another login")
    if check.at < prepared.prepared_at or check.order_id != prepared.order_id:
        raise Conflict(
            "The second check is of another preparation",
            observed=f"order {check.order_id}, {check.at:%H:%M} UTC",
            allowed=f"order {prepared.order_id}, from {prepared.prepared_at:%H:%M} UTC on",
            next_step="Check what is prepared now",
        )
    _check_same(prepared, check, policy)
    return prepared


def _check_same(prepared: PreparedDose, check: SecondCheck, policy: SitePolicy) -> None:
    tolerance = policy.number("dosing.second_check_tolerance_pct") / 100.0
    compared = (
        ("the amount", "mg", _UG_PER_MG, prepared.amount_ug, check.amount_ug),
        ("the volume", "mL", _UG_PER_MG, prepared.volume_ul, check.volume_ul),
        ("the concentration", "mg/mL", 1, prepared.concentration_ug_per_ul, check.concentration_ug_per_ul),
    )
    for what, unit, scale, first, second in compared:
        allowed = 0.0 if what == "the concentration" else tolerance * (first or 0)
        same = (first is None) == (second is None) and abs((first or 0) - (second or 0)) <= allowed
        if not same:  # a number that is none (NaN) is not the same either; what the first found is not told
            raise GateClosed(
                f"Second check: {what} differs",
                rule="second_check",
                observed="none" if second is None else f"{second / scale:g} {unit}",
                allowed="what was prepared" + (f", within {100 * tolerance:g} %" if allowed else ""),
                next_step="Both compute again from order, weight and vial",
            )


def _steps_ug(steps: tuple[RateStep, ...]) -> int:
    return round(sum(step.mg_per_h * step.hours for step in steps) * _UG_PER_MG)


def _check_some(dose: PreparedDose | SecondCheck) -> None:
    _check_least(dose.amount_ug, 1, "mg")
    if dose.volume_ul is not None:
        _check_least(dose.volume_ul, 1, "mL")


def _check_least(found: int, least: int, unit: str) -> None:
    """Refuse a dose that is none once rounded to what can be counted, micrograms or microlitres; `unit` is of 1000."""
    if found < least:
        raise OutOfRange(
            "The dose is too small to be drawn",
            observed=f"{found / 1000:g} {unit}",
            allowed=f"{least / 1000:g} {unit} or more",
            next_step="Correct the dose and its unit",
        )


def _check_number(value: float, what: str, unit: str, *, zero: bool = False) -> None:
    if not (math.isfinite(value) and (value > 0 or (zero and value == 0))):
        raise OutOfRange(
            f"{what} is refused", observed=f"{value:g} {unit}", allowed=f"{'0 or more' if zero else 'over 0'} {unit}"
        )


def _concentration(order: DoseOrder, given: int | None, policy: SitePolicy) -> int | None:
    if order.delivery not in _INJECTED:
        return None
    strengths = policy.numbers("dosing.concentrations_mg_per_ml")
    if given is None or given not in strengths:
        raise OutOfRange(
            "The concentration of the vial is refused",
            observed="none" if given is None else f"{given} mg/mL",
            allowed=", ".join(f"{each:g}" for each in strengths) + " mg/mL",
            next_step="Read it from the vial: ten-fold errors start here",
        )
    return given


def guard_dose(order: DoseOrder, weight_kg: float | None) -> tuple[str, ...]:
    """The guardrails of therapy, on mg, mg/kg, rate and length; a dose in mg needs no weight. What is unusual, told.

    Raises: OutOfRange.
    """
    if order.steps:
        steps = tuple(InfusionStep(rate=Rate(mg_per_h=s.mg_per_h), duration_h=s.hours) for s in order.steps)
        given = DoseAdministration(at_h=0.0, drug=order.drug, route=order.delivery.route, steps=steps)
    else:
        dose = Dose(mg=order.dose_mg, mg_per_kg=order.dose_mg_per_kg)
        _check_minutes(order)
        given = DoseAdministration(
            at_h=0.0,
            drug=order.drug,
            route=order.delivery.route,
            dose=dose,
            infusion_h=order.minutes * HOURS_PER_MINUTE,
        )
    return check_doses(Regimen((given,)), weight_kg=weight_kg or 70.0)  # only limits in mg are left without a weight


def _check_minutes(order: DoseOrder) -> None:
    """The guardrail on length, in the minutes that were ordered."""
    limit = dose_guardrails().get((order.drug, order.delivery.route, "h"))
    if order.infusion_min is not None and limit is not None:
        low, high = (each / HOURS_PER_MINUTE for each in limit.absolute)
        usual = (limit.usual[0] / HOURS_PER_MINUTE, limit.usual[1] / HOURS_PER_MINUTE)
        replace(limit, unit="min", absolute=(low, high), usual=usual).check(order.infusion_min)
